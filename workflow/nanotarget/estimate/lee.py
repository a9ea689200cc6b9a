"""Bounds on the effect among those who answer in any case, when the arms lose different shares of people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.calibrate import regression
from nanotarget.estimate.arms import arm_means, contrasts
from nanotarget.estimate.influence import covariance
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial
from nanotarget.study.preregistration import contrast_name

# Response rates that differ by less are equal; weights below this share are rounding error.
EQUAL = 1e-12
# Answers of either arm in a cell of covariates; smaller cells are put together.
ANSWERS_IN_CELL = 20
CELLS = "within cells"


@dataclass(frozen=True)
class _Arm:
    """The outcome of one arm.

    Attributes:
        y: (n,) NaN where it is missing.
        weight: (n,) sums to 1.
        unit: (n,) whose outcomes hang together.
        block: (n,) block, from 0.
        cell: (n,) cell of covariates, from 0.
    """

    y: np.ndarray
    weight: np.ndarray
    unit: np.ndarray
    block: np.ndarray
    cell: np.ndarray

    @property
    def answered(self) -> np.ndarray:
        return ~np.isnan(self.y)

    @property
    def rate(self) -> float:
        return float(self.weight @ self.answered) if len(self.y) else np.nan

    @property
    def mean(self) -> float:
        return float(self.weight[self.answered] @ self.y[self.answered]) / self.rate

    @property
    def plain(self) -> bool:
        """Whether everybody counts the same and was randomised alone, without blocks."""
        even = np.ptp(self.weight) <= EQUAL * self.weight.max(initial=0)
        return bool(even) and len(np.unique(self.unit)) == len(self.unit) and not self.block.any()

    def influence(self, values: np.ndarray) -> np.ndarray:
        """Return what (n,) values add to their weighted mean, which is zero.

        Within blocks, where people are compared with their block's mean and n_b / (n_b - 1) accounts for it.
        """
        if self.block.any():
            mass = np.bincount(self.block, self.weight)
            values = values - (np.bincount(self.block, self.weight * values) / mass)[self.block]
            if len(np.unique(self.unit)) == len(self.unit):
                count = np.bincount(self.block)
                values = values * np.sqrt(count / np.maximum(count - 1, 1))[self.block]
        return self.weight * values

    def inside(self, rows: np.ndarray) -> _Arm:
        """Return the people of a part, (n,) booleans, by themselves."""
        weight = self.weight[rows] / self.weight[rows].sum()
        return _Arm(self.y[rows], weight, self.unit[rows], self.block[rows], self.cell[rows])


# Two arms, and values of their people.
Values = tuple[tuple[_Arm, np.ndarray], tuple[_Arm, np.ndarray]]


def _variance(values: Values) -> float:
    """Return the variance of the sum of two weighted means, each of which is zero."""
    influence = np.concatenate([arm.influence(own) for arm, own in values])
    unit = np.concatenate([arm.unit for arm, _ in values])
    cell = np.concatenate([2 * arm.block + i for i, (arm, _) in enumerate(values)])
    return float(covariance(influence[:, None], unit, cell)[0, 0])


# The lower and the upper bound, and their variances.
Bounds = tuple[np.ndarray, np.ndarray]
Method = Callable[[_Arm, _Arm], Bounds]


def lee_bounds(trial: Trial) -> pd.DataFrame:
    """Bound the effect of every arm against every earlier one when people are missing.

    The estimand is the effect among those who would answer in either arm. The bounds (Lee 2009,
    proposition 1) assume monotonicity: whoever answers in the arm with the lower response rate
    would also have answered in the one with the higher rate. The data say which arm that is; where the
    rates do not clearly differ (`rate_p`) they say little about it, and at equal rates the bounds are
    the difference in means. The share Q = 1 - lower rate / higher rate of the answers of the arm with
    the higher rate is trimmed: the lowest answers for one bound, the highest ones for the other.

    Trimming is done in two ways. `fraction` drops exactly the share Q of the weight: the answer at the
    threshold stays with the part of its weight that is left, so that ties and discrete outcomes need no
    rule of their own and turning the outcome upside down turns the bounds around. `whole` drops whole
    people as `estimator_trim` of the R package attrition does, those with F(y) <= Q or F(y) >= 1 - Q for
    F their rank / n: floor(Q n) at the lower end and floor(Q n) + 1 at the upper end, among ties whoever
    comes first (which does not change a bound). It exists for comparison with R, for people who
    weigh the same and were randomised alone, and differs from `fraction` by less than a person's share.

    Standard errors are those of proposition 3 of Lee (2009): errors of the trimmed mean, the threshold, the
    trimmed share and the other arm's mean. For `fraction` they come from influence values, which give
    the same number without weights and hold for survey weights and clusters, too. With blocks every arm is
    weighted to the blocks of all who were randomised, and errors are within blocks. If the trial names
    covariates to tighten by, `within cells` are the bounds of `fraction` in every combination of their
    levels, averaged by the share of those who answer in either arm (Lee 2009, proposition 1b). `conf_low` and
    `conf_high` belong to the bound itself (normal); `effect_low` and `effect_high` cover the effect
    with probability 1 - alpha (Imbens & Manski 2004, equations 6 and 7).

    Returns:
        The columns of `Table.LEE`, one row per bound (`lower`, `upper`). The estimator is called `lee`, and
        `lee_cells` within cells, which no registration knows; n
        answers of both arms, `naive` is `dim`, the difference in means of those observed. What cannot be
        estimated is NaN, and `note` says why.
    """
    trial = trial.among(trial.table["arm"].notna())
    unit, strata = trial.scheme.unit, trial.strata
    combinations = [trial.table[name].astype("str").fillna("") for name in trial.tighten]
    cell = trial.table.groupby(combinations, sort=True).ngroup().to_numpy() if combinations else 0 * unit
    members = {name: trial.members(name) for name in trial.arms}
    rows: list[dict[str, object]] = []
    for outcome in trial.outcome_names:
        y = trial.y(outcome)
        parts = {
            name: _Arm(y[own], strata.standardised(own), unit[own], strata.code[own], cell[own])
            for name, own in members.items()
        }
        dim = contrasts(trial, arm_means(trial, outcome)).set_index("contrast")["estimate"]
        for pair in trial.pairs:
            common = {"outcome": outcome, "naive": dim[contrast_name(*pair)]}
            for row in _contrast(pair, parts, trial.alpha, METHODS | (TIGHTENED if trial.tighten else {})):
                note = "; ".join(filter(None, [str(row["note"]), *strata.remarks]))
                rows.append(row | common | {"note": note})
    if not rows:
        return trial.published([], Table.LEE)
    table = pd.DataFrame(rows)
    error = table.pop("std_error").to_numpy()
    df = np.where(np.isnan(error), np.nan, np.inf)
    table = table.join(regression.tidy(table.pop("estimate").to_numpy(), error, df, trial.alpha))
    within = table["trimming"] == CELLS
    return trial.published([table.assign(estimator=np.where(within, "lee_cells", "lee"))], Table.LEE)


def _contrast(
    pair: tuple[str, str], parts: Mapping[str, _Arm], alpha: float, methods: Mapping[str, Method]
) -> Iterator[dict[str, object]]:
    """Yield both bounds of a contrast for each way of trimming."""
    later, earlier = (parts[name] for name in pair)
    few = [name for name in reversed(pair) if parts[name].answered.sum() < 2]
    common: dict[str, object] = {
        "contrast": contrast_name(*pair),
        "n": int(later.answered.sum() + earlier.answered.sum()),
        "rate_later": later.rate,
        "rate_earlier": earlier.rate,
        **dict.fromkeys(("rate_p", "trim_share"), np.nan),
        "trimmed_arm": "",
    }
    notes = [f"fewer than two observed respondents in '{name}'" for name in few]
    if not few:
        more, fewer = pair if later.rate >= earlier.rate else pair[::-1]
        rate_p, share = _rate_p(later, earlier), _trim_share(parts[more], parts[fewer])
        common |= {"rate_p": rate_p, "trim_share": share}
        notes = ["response rates are equal: both bounds are the difference in means"]
        if share:
            common["trimmed_arm"] = more
            notes = [f"assumes that whoever answers in '{fewer}' would also answer in '{more}'"]
            if not rate_p < alpha:
                notes.append("the response rates do not clearly differ, so that the direction is uncertain")
    for trimming, method in methods.items():
        bounds = error = effect = np.full(2, np.nan)
        said = notes
        if not few:
            bounds, variances = _oriented(method, later, earlier)
            trouble = [*_impossible(bounds, variances, later, earlier)]
            said = trouble if np.isnan(bounds).any() else [*notes, *trouble]
            if not trouble:
                error = np.sqrt(variances)
                effect = bounds + _imbens_manski(bounds, error, alpha) * error * [-1, 1]
        for bound, estimate, its_error in zip(("lower", "upper"), bounds, error, strict=True):
            yield {
                **common,
                "trimming": trimming,
                "bound": bound,
                "estimate": estimate,
                "std_error": its_error,
                "effect_low": effect[0],
                "effect_high": effect[1],
                "note": "; ".join(said),
            }


def _impossible(bounds: np.ndarray, variances: np.ndarray, later: _Arm, earlier: _Arm) -> Iterator[str]:
    """Say why there are no bounds, or no standard errors."""
    if np.isnan(bounds).any():
        plain = later.plain and earlier.plain
        yield "trimming leaves nobody" if plain else "not for survey weights, blocks or clusters"
    elif np.isnan(variances).any():
        yield "no standard error: an arm is a single cluster"
    elif (variances <= (EQUAL * max(np.nanmax(np.abs(arm.y)) for arm in (later, earlier))) ** 2).any():
        yield "no standard error: the outcome does not vary"


def _rate_p(later: _Arm, earlier: _Arm) -> float:
    """Return the p value of equal response rates (normal); 1 where everybody answered in both arms."""
    variance = _variance(
        ((later, later.answered - later.rate), (earlier, earlier.rate - earlier.answered.astype(float)))
    )
    difference = abs(later.rate - earlier.rate)
    if difference < EQUAL:
        return 1.0
    return float(2 * special.ndtr(-difference / np.sqrt(variance))) if variance > 0 else np.nan


def _trim_share(more: _Arm, fewer: _Arm) -> float:
    share = 1 - fewer.rate / more.rate
    return share if share > EQUAL else 0.0


def _oriented(method: Method, later: _Arm, earlier: _Arm) -> Bounds:
    """Return bounds of later minus earlier whichever of them is trimmed."""
    if later.rate > earlier.rate + EQUAL:
        return method(later, earlier)
    bounds, variances = method(earlier, later)
    bounds, variances = -bounds[::-1], variances[::-1]
    if later.rate > earlier.rate - EQUAL:
        # Nothing is trimmed, but the share that might have been is uncertain in both directions.
        variances = np.maximum(variances, method(later, earlier)[1])
    return bounds, variances


def _fraction(more: _Arm, fewer: _Arm) -> Bounds:
    """Return bounds of `more` minus `fewer` and their variances, trimming exactly the share."""
    ends = [_end(more, fewer, upper) for upper in (False, True)]
    variances = [_variance(((more, of_more), (fewer, of_fewer))) for _, of_more, of_fewer in ends]
    return np.array([value for value, _, _ in ends]), np.array(variances)


def _end(more: _Arm, fewer: _Arm, upper: bool) -> tuple[float, np.ndarray, np.ndarray]:
    """Return a bound of `more` minus `fewer`, and influence values of the people of either."""
    if upper:
        return _upper(more, fewer)
    value, *influences = _upper(*(replace(arm, y=-arm.y) for arm in (more, fewer)))
    return -value, -influences[0], -influences[1]


def _upper(more: _Arm, fewer: _Arm) -> tuple[float, np.ndarray, np.ndarray]:
    """Drop the lowest answers of `more`; return the difference in means and influence values.

    The mean m of the share r that is kept above the threshold t has the influence
    t + max(y - t, 0) / r - m among those who answered, and its derivative by log r is t - m, where
    log r = log(rate of fewer) - log(rate of more).
    """
    share = _trim_share(more, fewer)
    y, weight = more.y[more.answered], more.weight[more.answered] / more.rate
    order = np.argsort(y, kind="stable")
    left = np.clip(np.cumsum(weight[order]) - share, 0, weight[order])
    threshold = y[order][np.argmax(left > EQUAL)]
    mean = float(left @ y[order] / left.sum())
    shift = threshold - mean
    tail = np.where(more.answered, threshold + np.maximum(more.y - threshold, 0) / (1 - share) - mean, 0)
    of_more = (tail - shift * (more.answered - more.rate)) / more.rate
    deviation = np.where(fewer.answered, fewer.y - fewer.mean, 0)
    of_fewer = (shift * (fewer.answered - fewer.rate) - deviation) / fewer.rate
    return mean - fewer.mean, of_more, of_fewer


def _tightened(more: _Arm, fewer: _Arm) -> Bounds:
    """Return bounds of `more` minus `fewer` in cells of covariates, averaged by who answers in either arm.

    Cells in which an arm has fewer than `ANSWERS_IN_CELL` answers are put together. The share of a cell of
    those who would answer in either arm is its share of people times the smaller of its two response rates;
    where `more` answers less in a cell, which monotonicity puts down to chance, nothing is trimmed there.
    """
    arms = [replace(arm, cell=codes) for arm, codes in zip((more, fewer), _pooled(more, fewer), strict=True)]
    size = np.array([len(arm.y) for arm in arms]) / sum(len(arm.y) for arm in arms)
    count = max(int(arm.cell.max()) for arm in arms) + 1
    share, value = np.zeros(count), np.zeros((count, 2))
    # Influence values of either arm's people on the shares, and on both bounds of their cells.
    of_share = [np.zeros((len(arm.y), count)) for arm in arms]
    of_value = [np.zeros((len(arm.y), count, 2)) for arm in arms]
    for c in range(count):
        rows = [arm.cell == c for arm in arms]
        parts = [arm.inside(own) for arm, own in zip(arms, rows, strict=True)]
        mass = [float(arm.weight[own].sum()) for arm, own in zip(arms, rows, strict=True)]
        more_part, fewer_part = parts
        trimmed = _trim_share(more_part, fewer_part) > 0
        for end, upper in enumerate((False, True)):
            bound = _end(more_part, fewer_part, upper) if trimmed else _untrimmed(more_part, fewer_part)
            value[c, end], *influences = bound
            for a in (0, 1):
                of_value[a][rows[a], c, end] = influences[a] / mass[a]
        low, people = int(trimmed), float(size @ mass)
        share[c] = people * parts[low].rate
        for a in (0, 1):
            of_share[a][:, c] = size[a] * (rows[a] - mass[a]) * parts[low].rate
        of_share[low][rows[low], c] += people * (parts[low].answered - parts[low].rate) / mass[low]
    part = share / share.sum()
    bounds = part @ value
    variances = np.zeros(2)
    for end in (0, 1):
        apart = (value[:, end] - bounds[end]) / share.sum()
        first, second = (of_share[a] @ apart + of_value[a][:, :, end] @ part for a in (0, 1))
        variances[end] = _variance(((arms[0], first), (arms[1], second)))
    return bounds, variances


def _untrimmed(more: _Arm, fewer: _Arm) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the difference in means of those who answered, and influence values."""
    of_more, of_fewer = (np.where(arm.answered, arm.y - arm.mean, 0.0) / arm.rate for arm in (more, fewer))
    return more.mean - fewer.mean, of_more, -of_fewer


def _pooled(*arms: _Arm) -> list[np.ndarray]:
    """Return cells from 0 without gaps, small ones together, with the smallest other one if that is small."""
    count = max(int(arm.cell.max()) for arm in arms) + 1
    people = np.sum([np.bincount(arm.cell, minlength=count) for arm in arms], axis=0)
    answers = np.array([np.bincount(arm.cell[arm.answered], minlength=count) for arm in arms])
    fewest = np.where(people > 0, answers.min(axis=0), np.inf)
    small = fewest < ANSWERS_IN_CELL
    while (
        small.any()
        and answers[:, small].sum(axis=1).min() < ANSWERS_IN_CELL
        and fewest[~small].min(initial=np.inf) < np.inf
    ):
        small[np.argmin(np.where(small, np.inf, fewest))] = True
    codes = np.where(small, count, np.arange(count))
    used = np.unique(np.concatenate([codes[arm.cell] for arm in arms]))
    return [np.searchsorted(used, codes[arm.cell]) for arm in arms]


def _whole(more: _Arm, fewer: _Arm) -> Bounds:
    """Return bounds and variances as R's attrition has them; NaN with weights or clusters."""
    bounds, variances = np.full(2, np.nan), np.full(2, np.nan)
    if not (more.plain and fewer.plain):
        return bounds, variances
    share = _trim_share(more, fewer)
    y, other = np.sort(more.y[more.answered]), fewer.y[fewer.answered]
    # F(y) > Q and F(y) < 1 - Q in whole numbers, times the answers of `more` and the people of `fewer`:
    # as floats, quotients that are equal on paper differ, and a person more is trimmed on one machine.
    remaining, size = len(other) * len(more.y), len(fewer.y)
    trimmed = len(y) * size - remaining
    rank = size * np.arange(1, len(y) + 1)
    of_share = sum((1 - arm.rate) / (arm.rate * len(arm.y)) for arm in (more, fewer))
    for i, (kept, end) in enumerate(((rank < remaining, -1), (rank > trimmed, 0))):
        stays = y[kept] if trimmed > 0 else y
        if len(stays):
            squared = (stays[end] - stays.mean()) ** 2
            bounds[i] = stays.mean() - other.mean()
            variances[i] = (stays.var() + squared * share) / len(stays) + squared * of_share
            variances[i] += other.var() / len(other)
    return bounds, variances


METHODS: dict[str, Method] = {"fraction": _fraction, "whole": _whole}
TIGHTENED: dict[str, Method] = {CELLS: _tightened}


def _imbens_manski(bounds: np.ndarray, errors: np.ndarray, alpha: float) -> float:
    """Solve Phi(c + width / larger error) - Phi(-c) = 1 - alpha for c, for an alpha below one half."""
    if np.isnan(errors).any():
        return np.nan
    width = (bounds[1] - bounds[0]) / errors.max()

    def coverage_gap(c: float) -> float:
        return float(special.ndtr(c + width) - special.ndtr(-c) - (1 - alpha))

    # The solution is at most the two-sided critical value.
    from scipy import optimize  # costs a third of a second

    return float(optimize.brentq(coverage_gap, 0, 1 + special.ndtri(1 - alpha / 2), xtol=1e-15))
