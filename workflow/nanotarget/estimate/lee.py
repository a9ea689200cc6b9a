"""Bounds on the effect among those who answer in any case, when the arms lose different shares of people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import optimize, special

from nanotarget.calibrate import regression
from nanotarget.estimate.arms import arm_means, contrasts
from nanotarget.estimate.influence import covariance
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial
from nanotarget.study.preregistration import contrast_name

# Response rates that differ by less are equal; weights below this share are rounding error.
EQUAL = 1e-12


@dataclass(frozen=True)
class _Arm:
    """The outcome of one arm.

    Attributes:
        y: (n,) NaN where it is missing.
        weight: (n,) sums to 1.
        unit: (n,) who was randomised together.
        block: (n,) block, from 0.
    """

    y: np.ndarray
    weight: np.ndarray
    unit: np.ndarray
    block: np.ndarray

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

    def variance(self, values: np.ndarray) -> float:
        """Return the variance of the weighted mean of (n,) values whose weighted mean is zero.

        Within blocks, where people are compared with their block's mean and n_b / (n_b - 1) accounts for it.
        """
        if self.block.any():
            mass = np.bincount(self.block, self.weight)
            values = values - (np.bincount(self.block, self.weight * values) / mass)[self.block]
            if len(np.unique(self.unit)) == len(self.unit):
                count = np.bincount(self.block)
                values = values * np.sqrt(count / np.maximum(count - 1, 1))[self.block]
        return float(covariance((self.weight * values)[:, None], self.unit, self.block)[0, 0])


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
    weighted to the blocks of all who were randomised, and errors are within blocks. `conf_low` and
    `conf_high` belong to the bound itself (normal); `effect_low` and `effect_high` cover the effect
    with probability 1 - alpha (Imbens & Manski 2004, equations 6 and 7).

    Returns:
        The columns of `Table.LEE`, one row per bound (`lower`, `upper`); the estimator is called `lee`; n
        answers of both arms, `naive` is `dim`, the difference in means of those observed. What cannot be
        estimated is NaN, and `note` says why.
    """
    trial = trial.among(trial.table["arm"].notna())
    unit, strata = trial.scheme.cluster, trial.strata
    members = {name: trial.members(name) for name in trial.arms}
    rows: list[dict[str, object]] = []
    for outcome in trial.outcome_names:
        y = trial.y(outcome)
        parts = {
            name: _Arm(y[own], strata.standardised(own), unit[own], strata.code[own])
            for name, own in members.items()
        }
        dim = contrasts(trial, arm_means(trial, outcome)).set_index("contrast")["estimate"]
        for pair in trial.pairs:
            common = {"outcome": outcome, "naive": dim[contrast_name(*pair)]}
            for row in _contrast(pair, parts, trial.alpha):
                note = "; ".join(filter(None, [str(row["note"]), *strata.remarks]))
                rows.append(row | common | {"note": note})
    if not rows:
        return trial.published([], Table.LEE)
    table = pd.DataFrame(rows)
    error = table.pop("std_error").to_numpy()
    df = np.where(np.isnan(error), np.nan, np.inf)
    table = table.join(regression.tidy(table.pop("estimate").to_numpy(), error, df, trial.alpha))
    return trial.published([table.assign(estimator="lee")], Table.LEE)


def _contrast(pair: tuple[str, str], parts: Mapping[str, _Arm], alpha: float) -> Iterator[dict[str, object]]:
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
    for trimming, method in METHODS.items():
        bounds = error = effect = np.full(2, np.nan)
        said = notes
        if not few:
            bounds, variances = _oriented(method, later, earlier)
            said = [*notes, *_impossible(bounds, variances, later, earlier)]
            if said == notes:
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
    variance = sum(arm.variance(arm.answered - arm.rate) for arm in (later, earlier))
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
    upper, variance = _upper(more, fewer)
    turned = [replace(arm, y=-arm.y) for arm in (more, fewer)]
    lower, variance_of_lower = _upper(*turned)
    return np.array([-lower, upper]), np.array([variance_of_lower, variance])


def _upper(more: _Arm, fewer: _Arm) -> tuple[float, float]:
    """Drop the lowest answers of `more`; return the difference in means and its variance.

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
    return mean - fewer.mean, more.variance(of_more) + fewer.variance(of_fewer)


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


def _imbens_manski(bounds: np.ndarray, errors: np.ndarray, alpha: float) -> float:
    """Solve Phi(c + width / larger error) - Phi(-c) = 1 - alpha for c, for an alpha below one half."""
    if np.isnan(errors).any():
        return np.nan
    width = (bounds[1] - bounds[0]) / errors.max()

    def coverage_gap(c: float) -> float:
        return float(special.ndtr(c + width) - special.ndtr(-c) - (1 - alpha))

    # The solution is at most the two-sided critical value.
    return float(optimize.brentq(coverage_gap, 0, 1 + special.ndtri(1 - alpha / 2), xtol=1e-15))
