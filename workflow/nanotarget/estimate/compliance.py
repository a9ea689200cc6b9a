"""Petitions that did not arrive, and people who failed a check after they had seen theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.calibrate import regression
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate.effects import effects
from nanotarget.estimate.influence import covariance, deviations_from
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial
from nanotarget.study.preregistration import contrast_name

# Below this F of the first stage an instrument is weak (Staiger & Stock 1997).
STRONG = 10.0
# A variance below this share of the outcome's is rounding error.
EXACT = 1e-12

DELIVERY = ("itt", "first_stage", "first_stage_f", "ar_low", "ar_high")
COMPLIERS = "compliers"
REACHED = "reached in both arms"
ASSUMED = {
    COMPLIERS: "assumes that being assigned to the petition works only through its delivery",
    REACHED: "assumes that the same people would be missed in either arm, and see the same then",
}


@dataclass(frozen=True)
class _Moments:
    """Differences between two arms in the means of outcome and exposure.

    Attributes:
        mean: (2,).
        covariance: (2, 2), HC2, summed within clusters.
        df: units observed, less two a block.
    """

    mean: np.ndarray
    covariance: np.ndarray
    df: int


def cace(trial: Trial) -> pd.DataFrame:
    """Estimate what the petitions did to those whom they reached; the primary analysis stays as assigned.

    A contrast is estimated as its effect of assignment (`itt`) divided by `first_stage`, with assignment as
    the instrument of delivery. What it is depends on the two arms (`estimand`):

    - `compliers`: one arm has a petition to deliver, the other (unfielded) none. The first stage
      is the difference in the share that was reached, the estimate the average effect of the petition on
      those who are reached if, and only if, they are assigned to it (Imbens & Angrist 1994; Angrist, Imbens
      & Rubin 1996), which assumes that assignment works only through delivery and that nobody is reached only
      when not assigned. If nobody in the arm without petition is reached (one-sided), these are all who are
      reached when assigned.
    - `reached in both arms`: both arms have a petition. Being assigned to the one instead of the
      other does not move whether one is reached, so that assignment is no instrument of delivery.
      Where the same people would be missed in either arm and see the same instead, the effect of
      assignment is diluted by the share of those who are reached in both, and the estimate is the average
      effect of the later arm's petition against the earlier one's on them; the first stage is the mean of
      both shares.
      The assumption implies equal shares: where they differ (p < alpha) the estimand is not identified.

    The estimate is two-stage least squares of the outcome on delivery, its standard error that of
    a difference in means of y - b x (x delivery) with HC2, divided by the first stage. The interval of
    Anderson & Rubin (1949) contains all b at which that difference is not significant; it covers whatever the
    strength of the instrument, and is infinite where the data do not bound b. With blocks the difference in
    means is that within blocks, averaged by the size of the blocks, as it is of `dim`.

    Args:
        trial: with `delivered`: whether the arm's own petition was delivered; for its unfielded arms, whether
            a petition reached the person all the same (missing = no). The estimator is called `cace`.

    Returns:
        The columns of `Table.CACE`, with t tests of n - 2 degrees of freedom (units instead of n where
        outcomes are clustered; two less a block). What is not identified or cannot be estimated is NaN, and
        `note` says why.
    """
    rows = [_cace(trial, outcome.name, pair) for outcome in trial.outcomes for pair in trial.pairs]
    if not rows:
        return trial.published([], Table.CACE)
    table = pd.DataFrame(rows).assign(estimator="cace")
    estimate, error, df = (table.pop(c).to_numpy(np.float64) for c in ("estimate", "std_error", "df"))
    table = table.join(regression.tidy(estimate, error, df, trial.alpha))
    return trial.published([part for _, part in table.groupby("outcome", sort=False)], Table.CACE)


def _cace(trial: Trial, outcome: str, pair: tuple[str, str]) -> dict[str, object]:
    """Return the row of one contrast, without its test."""
    observed, unfielded = trial.observed(outcome), trial.unfielded
    people = {name: observed.among(observed.members(name)) for name in pair}
    sizes = {name: len(arm.table) for name, arm in people.items()}
    units = {name: len(np.unique(arm.scheme.unit)) for name, arm in people.items()}
    estimand = COMPLIERS if set(pair) & set(unfielded) else REACHED
    row: dict[str, object] = dict.fromkeys(("estimate", "std_error", "df", *DELIVERY), np.nan)
    row |= {"outcome": outcome, "contrast": contrast_name(*pair), "estimand": estimand}
    row["n"] = sum(sizes.values())
    notes = [
        f"fewer than two observed respondents in '{name}'" for name in pair[::-1] if sizes[name] < 2
    ] or [f"'{name}' is a single cluster" for name in pair if units[name] < 2]
    if notes:
        return row | {"note": "; ".join(notes)}
    strata = observed.strata
    factors = _factors(pair, unfielded)
    means = {
        name: _means(arm, outcome, factor, _Blocks(strata.code[observed.members(name)], strata.size))
        for (name, arm), factor in zip(people.items(), factors, strict=True)
    }
    (later, of_later), (earlier, of_earlier) = means.values()
    both = [np.flatnonzero(observed.members(name)) for name in pair]
    rows, arm = np.concatenate(both), np.repeat([0, 1], [len(own) for own in both])
    unit, cell = observed.scheme.unit[rows], 2 * strata.code[rows] + arm
    spread = covariance(np.concatenate([of_later, -of_earlier]), unit, cell)
    change = _Moments(later - earlier, spread, len(np.unique(unit)) - 2 * len(strata.size))
    row["itt"] = change.mean[0]
    if notes := _unknown(people, unfielded):
        return row | {"note": "; ".join(notes)}
    shares = later[1] + earlier[1]
    unequal = estimand == REACHED and _differ(shares, change.covariance[1, 1], trial.alpha)
    row |= _instrumented(change, estimand, unequal, trial.alpha)
    return row | {"note": "; ".join([str(row["note"]), *strata.remarks])}


def _instrumented(change: _Moments, estimand: str, unequal: bool, alpha: float) -> dict[str, object]:
    """Return first stage, estimate and interval of a contrast in which delivery is known.

    Args:
        change: differences between the arms.
        estimand: what the estimate is.
        unequal: the arms' petitions were delivered to different shares.
        alpha: level of the interval is 1 - alpha.
    """
    noise = change.covariance[1, 1]
    # Without noise everybody was delivered as assigned: the first stage is certain.
    strength = change.mean[1] ** 2 / noise if noise > 0 else np.inf
    row = {"first_stage": change.mean[1], "first_stage_f": strength}
    slope = change.mean[0] / change.mean[1] if change.mean[1] > 0 else np.nan
    variance = np.array([1, -slope]) @ change.covariance @ np.array([1, -slope])
    if unequal:
        return row | {"note": "not identified: the arms' petitions were delivered to different shares"}
    if np.isnan(slope):
        return row | {"note": "not identified: assignment to a petition did not raise the share reached"}
    if not variance > EXACT * change.covariance[0, 0] > 0:
        return row | {"note": "the outcome does not vary in either arm, or only with delivery"}
    error, df = np.sqrt(variance) / change.mean[1], float(change.df)
    low, high, unbounded = _anderson_rubin(change, df, alpha)
    weak = ["weak first stage: rely on the Anderson-Rubin interval"] if strength < STRONG else []
    row |= {"estimate": slope, "std_error": error, "df": df, "ar_low": low, "ar_high": high}
    return row | {"note": "; ".join([ASSUMED[estimand], *weak, *unbounded])}


def _factors(pair: tuple[str, str], unfielded: Sequence[str]) -> tuple[float, float]:
    """Return what delivery counts in each arm, so that a positive first stage has the contrast's sign."""
    if not set(pair) & set(unfielded):
        return 0.5, -0.5
    return (-1.0, -1.0) if pair[0] in unfielded else (1.0, 1.0)


@dataclass(frozen=True)
class _Blocks:
    """(n,) block of each person in an arm, and the (blocks,) share of all who are in it."""

    code: np.ndarray
    size: np.ndarray


def _means(arm: Trial, outcome: str, factor: float, blocks: _Blocks) -> tuple[np.ndarray, np.ndarray]:
    """Return the (2,) weighted means of outcome and exposure in an arm, and (n, 2) influence values.

    Delivery that is not logged counts as none.
    """
    delivered = arm.table["delivered"].fillna(False).to_numpy(np.float64)
    values, code = np.column_stack([arm.y(outcome), factor * delivered]), blocks.code
    within = arm.weight / np.bincount(code, arm.weight)[code]
    by_block = np.column_stack([np.bincount(code, within * v, len(blocks.size)) for v in values.T])
    pull = (blocks.size[code] * within / np.sqrt(1 - within))[:, None]
    return blocks.size @ by_block, deviations_from(by_block[code], values) * pull


def _unknown(people: Mapping[str, Trial], unfielded: Sequence[str]) -> list[str]:
    """Say what is not known about delivery."""
    if not set(people) - set(unfielded):
        return ["nothing was to be delivered in either arm"]
    unlogged = {
        name: int(arm.table["delivered"].isna().sum())
        for name, arm in people.items()
        if name not in unfielded
    }
    return [
        f"delivery is not logged for {count} of {len(people[name].table)} respondents in '{name}'"
        for name, count in unlogged.items()
        if count
    ]


def _differ(difference: float, variance: float, alpha: float) -> bool:
    """Say whether a difference is significant (normal)."""
    if variance == 0:
        return bool(abs(difference) > EXACT)
    return bool(2 * special.ndtr(-abs(difference) / np.sqrt(variance)) < alpha)


def _anderson_rubin(change: _Moments, df: float, alpha: float) -> tuple[float, float, list[str]]:
    """Return the ends of the set of b at which the difference in means of y - b x is not significant.

    (dy - b dx)^2 <= t^2 (Vyy - 2 b Vxy + b^2 Vxx) is quadratic in b, and the estimate dy / dx fulfils it.
    """
    critical = special.stdtrit(df, 1 - alpha / 2) ** 2
    square = np.outer(change.mean, change.mean) - critical * change.covariance
    a, middle, c = square[1, 1], square[0, 1], square[0, 0]
    root = middle**2 - a * c
    if a == 0 or root < 0:
        return -np.inf, np.inf, ["the data do not bound the effect"]
    low, high = sorted([(middle - np.sqrt(root)) / a, (middle + np.sqrt(root)) / a])
    if a > 0:
        return low, high, []
    return -np.inf, np.inf, [f"the data exclude only effects between {low:.3g} and {high:.3g}"]


def checks(trial: Trial) -> pd.DataFrame:
    """Estimate effects without those who failed a check after treatment, beside those of everybody.

    Who fails such a check may depend on the arm, so that leaving them out compares different people
    (Montgomery, Nyhan & Torres 2018): these rows show how much depends on it, are exploratory whatever
    was registered, and replace nothing. People who were asked no check stay.

    Args:
        trial: with `passed`.

    Returns:
        The columns of `Table.CHECKS`: for each row of `effects` (sample `all`) a row with sample `passed`;
        `n_left_out` says how many observed respondents of the outcome failed. If no check was asked these
        rows are NaN with a note.
    """
    table = trial.table
    failed = ~table["passed"].fillna(True).astype(bool)
    everybody = effects(trial)
    passed = effects(replace(trial.among(~failed), registration=None))
    if table["passed"].isna().all():
        passed[[*ESTIMATE_COLUMNS, "p_adjusted"]] = np.nan
        passed["note"] = "no check after treatment was asked"
    left_out = {
        outcome.name: int((failed & table[outcome.name].notna() & table["arm"].notna()).sum())
        for outcome in trial.outcomes
    }
    both = pd.concat(
        [
            everybody.assign(sample="all", n_left_out=0),
            passed.assign(sample="passed", n_left_out=passed["outcome"].map(left_out)),
        ]
    )
    return both.sort_index(kind="stable", ignore_index=True)[list(Table.CHECKS.columns)]
