"""Who answers higher? The probability that a respondent of one arm exceeds one of another."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nanotarget.calibrate import regression
from nanotarget.estimate.arms import (
    BELL_MCCAFFREY,
    WELCH,
    ArmColumns,
    arm_columns,
    departures,
    obstacles,
    tidied,
)
from nanotarget.estimate.trial import Trial
from nanotarget.study.preregistration import contrast_name

NULL = 0.5


def mann_whitney(trial: Trial, outcome: str) -> pd.DataFrame:
    """Estimate P(Y of the later arm > Y of the earlier) + P(equal) / 2; one half is no difference.

    Standard errors from the placements of each arm in the other (Brunner & Munzel 2000; DeLong, DeLong &
    Clarke-Pearson 1988), which do not need equal distributions under the null, as Mann & Whitney's do.
    `statistic` and `p_value` test one half as Brunner & Munzel do, t with Satterthwaite degrees of freedom;
    the interval is made on the logit scale, so that it stays within 0 and 1 (Brunner, Bathke & Konietschke
    2018, section 3.7). Survey weights count in the placements and in their means; clusters have CR2 standard
    errors of the mean placements. With blocks people are placed among those of their own block, and the
    probabilities of the blocks are averaged by the size of the blocks.
    (`rank_compare_2indep` of statsmodels knows neither weights nor clusters.)

    Args:
        trial: gives arms and alpha.
        outcome: numbers whose order alone counts.

    Returns:
        Rows of `Table.SCALES`, not yet adjusted and labelled; n are the respondents of the two arms.
    """
    columns = arm_columns(trial, outcome)
    rows = [
        {"contrast": contrast_name(later, earlier), **_superiority(columns, later, earlier)}
        for later, earlier in trial.pairs
    ]
    table = pd.DataFrame(rows, columns=["contrast", "value", "error", "df", "n", "df_type", "note"])
    family = tidied(table, trial.alpha, NULL)
    # The interval of the logit: its standard error by the delta method is error / (p (1 - p)).
    p = family["estimate"].to_numpy()
    margin = family["conf_high"].to_numpy() - p
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = p / (1 - p)
        factor = np.exp(margin / (p * (1 - p)))
        family["conf_low"] = odds / factor / (1 + odds / factor)
        family["conf_high"] = odds * factor / (1 + odds * factor)
    kind = "placements" if columns.clusters is None else "placements, CR2"
    return family.assign(outcome=outcome, estimator="mann_whitney", se_type=kind)


def _superiority(columns: ArmColumns, later: str, earlier: str) -> dict[str, float | str]:
    sides = [columns.members[name] for name in (later, earlier)]
    nothing: dict[str, float | str] = {"value": np.nan, "error": np.nan, "df": np.nan, "df_type": ""}
    nothing["n"] = int(sum(rows.sum() for rows in sides))
    if notes := obstacles(columns, later, earlier):
        return {**nothing, "note": "; ".join(notes)}
    (y, w), (y_ref, w_ref) = [(columns.y[rows], columns.w[rows]) for rows in sides]
    block, block_ref = (columns.strata.code[rows] for rows in sides)
    size = columns.strata.size
    above, below = np.empty(len(y)), np.empty(len(y_ref))
    for b in range(len(size)):
        own, ref = block == b, block_ref == b
        above[own] = placements(y[own], y_ref[ref], w_ref[ref])
        below[ref] = 1 - placements(y_ref[ref], y[own], w[own])
    value = float(size @ (np.bincount(block, w * above) / np.bincount(block, w)))
    if not (_varies(above, block) or _varies(below, block_ref)):
        overlap = 0 < value < 1
        why = "the outcome does not vary in either arm" if overlap else "one arm is entirely above the other"
        return {**nothing, "value": np.nan if overlap else value, "note": why}
    note = "; ".join(departures(columns))
    if columns.clusters is None:
        parts = [
            regression.fit(np.ones((inside.sum(), 1)), v[inside], "HC2", weights=weights[inside])
            for v, weights, codes in ((above, w, block), (below, w_ref, block_ref))
            for inside in (codes == b for b in range(len(size)))
        ]
        variances = np.array([part.vcov[0, 0] for part in parts]) * np.tile(size**2, 2)
        df = regression.welch_df(variances, np.array([part.df for part in parts]))
        error = float(np.sqrt(variances.sum()))
        return {**nothing, "value": value, "error": error, "df": df, "df_type": WELCH, "note": note}
    # The sum of the two mean placements is twice the estimate and has its variance: a cluster with people in
    # both arms counts once.
    cell = np.concatenate([block, len(size) + block_ref])
    x = (cell[:, None] == np.arange(2 * len(size))).astype(np.float64)
    clusters = np.concatenate([columns.clusters[rows] for rows in sides])
    model = regression.fit(x, np.concatenate([above, below]), "CR2", clusters, np.concatenate([w, w_ref]))
    both = regression.contrast(model, np.tile(size, 2)).iloc[0]
    numbers = {"value": value, "error": both["std_error"], "df": both["df"]}
    return {**nothing, **numbers, "df_type": BELL_MCCAFFREY, "note": note}


def _varies(values: np.ndarray, block: np.ndarray) -> bool:
    """Say whether (n,) values differ within any block."""
    return any(np.ptp(values[block == b]) > 0 for b in np.unique(block))


def placements(y: np.ndarray, reference: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted share of the reference that is below each y, half of what equals it counted.

    Args:
        y: (n,).
        reference, weights: (m,).
    """
    order = np.argsort(reference, kind="stable")
    sorted_reference = reference[order]
    total = np.concatenate([[0.0], np.cumsum(weights[order])])
    left, right = (np.searchsorted(sorted_reference, y, side=side) for side in ("left", "right"))
    return (total[left] + total[right]) / 2 / total[-1]
