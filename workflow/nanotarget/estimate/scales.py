"""The same differences on other scales: ratios of means (counts) and standard deviations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.estimate.arms import ArmMeans, arm_means, departures, obstacles, tidied
from nanotarget.estimate.trial import Trial
from nanotarget.study.preregistration import contrast_name


def ratios(trial: Trial, outcome: str) -> pd.DataFrame:
    """Compare counts by the ratio of their means.

    The estimate is the log ratio, its standard error by the delta method: var(log m) = var(m) / m^2. Nothing
    is trimmed. The robust companion for heavy tails is `mann_whitney`: it needs no cut-off that somebody has
    to choose, while winsorising changes what is estimated and depends on the percentile.

    Args:
        trial: gives arms and alpha.
        outcome: counts or amounts, not negative.

    Returns:
        Rows of `Table.SCALES`, not yet adjusted and labelled; an arm without a positive mean has no ratios.
    """
    means = arm_means(trial, outcome)
    rows = []
    for later, earlier in trial.pairs:
        notes = obstacles(means, later, earlier) or [
            f"the mean is not positive in '{arm}'" for arm in (earlier, later) if not means.mean[arm] > 0
        ]
        value, error, df, kind = np.nan, np.nan, np.nan, ""
        if not notes:
            value = np.log(means.mean[later] / means.mean[earlier])
            on = {later: 1 / means.mean[later], earlier: -1 / means.mean[earlier]}
            _, error, df, _, kind = means.combination(on)
        if error == 0:
            value, error, df, kind = np.nan, np.nan, np.nan, ""
            notes = ["the outcome does not vary in either arm"]
        note = "; ".join([*notes, *departures(means)])
        rows.append((contrast_name(later, earlier), value, error, df, kind, note))
    table = _estimates(rows, means, trial.alpha).assign(outcome=outcome, estimator="ratio")
    for name, column in (("ratio", "estimate"), ("ratio_low", "conf_low"), ("ratio_high", "conf_high")):
        table[name] = np.exp(table[column])
    return table


def standardised(trial: Trial, outcome: str) -> pd.DataFrame:
    """Express differences in means in standard deviations of the first arm.

    Estimators: `cohen_d` (with that standard deviation also known as Glass's delta) and `hedges_g`, the same
    times the correction of its bias in small samples for n - 1 degrees of freedom, n respondents of the first
    arm (Hedges 1981, eq. 6e). The standard error
    counts that the standard deviation is estimated, too, whatever the distribution: by the delta method it is
    that of a difference in means of y / sd + d (y - m)^2 / (2 sd^2), the square in the first arm only. With
    normal outcomes this is var(difference) / sd^2 + d^2 / (2 n) (Hedges & Olkin 1985). With blocks the first
    arm is weighted to the blocks of all, so that the unit does not depend on its shares in them.

    Args:
        trial: gives arms and alpha; the first arm is the reference.
        outcome: its name.

    Returns:
        Rows of `Table.SCALES`, not yet adjusted and labelled; `sd` is the standard deviation that is one.
    """
    trial = trial.observed(outcome)
    means, first = arm_means(trial, outcome), trial.members(trial.arms[0])
    sd = _standard_deviation(trial.y(outcome)[first], trial.strata.standardised(first))
    rows = []
    for later, earlier in trial.pairs:
        notes = obstacles(means, later, earlier)
        if not sd > 0:
            notes.append(f"the outcome has no standard deviation in '{trial.arms[0]}'")
        value, error, df, kind = np.nan, np.nan, np.nan, ""
        if not notes:
            value = (means.mean[later] - means.mean[earlier]) / sd
            error, df, kind = _error(trial, outcome, (later, earlier), sd, value)
        note = "; ".join([*notes, *departures(means)])
        rows.append((contrast_name(later, earlier), value, error, df, kind, note))
    parts = []
    for estimator, factor in (("cohen_d", 1.0), ("hedges_g", _unbiased(first.sum() - 1))):
        scaled = [
            (name, factor * d, factor * error, df, kind, note) for name, d, error, df, kind, note in rows
        ]
        parts.append(_estimates(scaled, means, trial.alpha).assign(estimator=estimator))
    return pd.concat(parts, ignore_index=True).assign(outcome=outcome, sd=sd)


def _estimates(
    rows: Sequence[tuple[str, float, float, float, str, str]], means: ArmMeans, alpha: float
) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["contrast", "value", "error", "df", "df_type", "note"])
    return tidied(table.assign(n=means.n, se_type=means.se_type), alpha)


def _unbiased(df: float) -> float:
    """Return Gamma(df / 2) / (sqrt(df / 2) Gamma((df - 1) / 2)), by which d is too large."""
    if df < 2:
        return np.nan
    return float(np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2))


def _standard_deviation(y: np.ndarray, w: np.ndarray) -> float:
    """Return the weighted standard deviation with n - 1; NaN for fewer than two."""
    if len(y) < 2:
        return np.nan
    squares = np.average((y - np.average(y, weights=w)) ** 2, weights=w)
    return float(np.sqrt(squares * len(y) / (len(y) - 1)))


def _error(
    trial: Trial, outcome: str, pair: tuple[str, str], sd: float, d: float
) -> tuple[float, float, str]:
    """Return standard error, degrees of freedom and their kind, from the means of d's linearisation."""
    y, first = trial.y(outcome), trial.members(trial.arms[0])
    later, earlier = pair
    on = {later: 1.0, earlier: -1.0}
    # The first arm's part of the linearisation has the sign with which its mean enters.
    sign = on.setdefault(trial.arms[0], -1.0)
    square = (y - np.average(y[first], weights=trial.strata.standardised(first))) ** 2
    part = -sign * d / (2 * sd**2) * square
    enters = ~first | (trial.arms[0] in pair)
    linear = np.where(enters, y / sd, 0.0) + np.where(first, part, 0.0)
    means = arm_means(trial.with_columns(**{"(linear)": linear}), "(linear)")
    _, error, df, _, kind = means.combination(on)
    return (error, df, kind) if error > 0 else (np.nan, np.nan, "")
