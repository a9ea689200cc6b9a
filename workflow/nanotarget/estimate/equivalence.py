"""What a null result means: equivalence within the smallest effect of interest, and power."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial
from nanotarget.study import ties
from nanotarget.study.config import OutcomeConfig
from nanotarget.study.preregistration import contrast_name

# Equivalence test of each estimate.
TOST = "tost"
TESTS = {"dim": TOST, "lin": "tost_lin"}
# Digits of a standard error that a sentence shows.
SIGNIFICANT = 2


def equivalence(trial: Trial, effects: pd.DataFrame) -> pd.DataFrame:
    """Test that effects are smaller than the smallest effect of interest.

    Two one-sided tests (Schuirmann 1987), from robust standard errors, where statsmodels takes raw samples:
    `p_lower` against an effect of at most -sesoi, `p_upper`
    against one of at least +sesoi; `p_value` is the larger one and `statistic` belongs to it. The
    interval has level 1 - 2 alpha. Verdicts: `equivalent` (both tests reject), `larger` or
    `smaller` (the interval lies beyond the bound), `inconclusive`. `non_superiority` is the one-sided
    question alone: `not superior` where `p_upper` is below alpha, that is where the upper end of the interval
    is below +sesoi, `superior` where its lower end is above +sesoi, else `inconclusive`.

    Args:
        trial: outcomes without a smallest effect of interest are left out; alpha is one-sided.
        effects: from `effects`.

    Returns:
        The columns of `Table.EQUIVALENCE`. The estimator `tost` tests differences in means, `tost_lin` those
        adjusted by `lin`, which no registration knows.
    """
    sesoi, alpha = trial.sesoi, trial.alpha
    columns = ["outcome", "estimator", "contrast", "estimate", "std_error", "df", "df_type", "n"]
    table = effects.loc[effects["outcome"].isin(sesoi), columns].reset_index(drop=True)
    table["estimator"] = table["estimator"].map(TESTS)
    bound = table["outcome"].map(sesoi).astype(np.float64)
    lower = (table["estimate"] + bound) / table["std_error"]
    upper = (table["estimate"] - bound) / table["std_error"]
    df = table["df"].to_numpy()
    table["sesoi"] = bound
    table["p_lower"] = special.stdtr(df, -lower.to_numpy())
    table["p_upper"] = special.stdtr(df, upper.to_numpy())
    table["p_value"] = table[["p_lower", "p_upper"]].max(axis=1)
    table["statistic"] = np.where(table["p_lower"] >= table["p_upper"], lower, upper)
    margin = special.stdtrit(df, 1 - alpha) * table["std_error"]
    table["conf_low"], table["conf_high"] = table["estimate"] - margin, table["estimate"] + margin
    table["verdict"] = np.select(
        [
            table["std_error"].isna(),
            table["p_value"] < alpha,
            table["conf_low"] > bound,
            table["conf_high"] < -bound,
        ],
        ["not testable", "equivalent", "larger", "smaller"],
        default="inconclusive",
    )
    table["non_superiority"] = np.select(
        [table["std_error"].isna(), table["p_upper"] < alpha, table["conf_low"] > bound],
        ["not testable", "not superior", "superior"],
        default="inconclusive",
    )
    table.loc[table["std_error"].isna(), ["p_value", "statistic"]] = np.nan
    return trial.published([table], Table.EQUIVALENCE)


def sentences(trial: Trial, tests: pd.DataFrame) -> pd.DataFrame:
    """Say in one plain sentence a contrast what the data exclude.

    Ends of intervals are rounded outwards, so that nothing is excluded that the data do not exclude.

    Args:
        trial: its outcomes give the words and the unit (binary: percentage points).
        tests: from `equivalence`; those of differences in means are put in words.

    Returns:
        outcome, contrast, sentence.
    """
    tests = tests[tests["estimator"] == TOST]
    names = {contrast_name(later, earlier): (later, earlier) for later, earlier in trial.pairs}
    known = {outcome.name: outcome for outcome in trial.outcomes}
    rows = [
        (row.outcome, row.contrast, _sentence(row, *names[row.contrast], known[row.outcome], trial.alpha))
        for row in tests.itertuples()
    ]
    return pd.DataFrame(rows, columns=["outcome", "contrast", "sentence"])


def _sentence(row: Any, later: str, earlier: str, outcome: OutcomeConfig, alpha: float) -> str:
    what = outcome.label or outcome.name
    if np.isnan(row.std_error):
        return f"The difference between {later} and {earlier} on {what} could not be estimated."
    scale, unit = (100.0, "percentage points") if outcome.kind == "binary" else (1.0, "points")
    low, high, digits = _outward(row.conf_low * scale, row.conf_high * scale, row.std_error * scale)
    ends = f"{100 * (1 - 2 * alpha):g}% interval {low:.{digits}f} to {high:.{digits}f}"
    advantage, disadvantage = f"an advantage of {later} over {earlier}", "a disadvantage"
    if low >= 0:
        excluded = f"{advantage} of less than {low:.{digits}f} or more than {high:.{digits}f}"
    elif high <= 0:
        excluded = (
            f"any {advantage[3:]} and {disadvantage} of less than {-high:.{digits}f} "
            f"or more than {-low:.{digits}f}"
        )
    else:
        excluded = (
            f"{advantage} of more than {high:.{digits}f} and {disadvantage} of more than {-low:.{digits}f}"
        )
    bound = f"{row.sesoi * scale:.{SIGNIFICANT + 2}g}"
    meaning = {
        "equivalent": f"any effect as large as the smallest of interest ({bound}) is excluded",
        "larger": f"the advantage is larger than the smallest of interest ({bound})",
        "smaller": f"the disadvantage is larger than the smallest of interest ({bound})",
    }.get(row.verdict)
    if meaning is None and row.non_superiority == "not superior":
        meaning = f"an advantage as large as the smallest of interest ({bound}) is excluded"
    if meaning is None:
        meaning = f"an advantage as large as the smallest of interest ({bound}) is not excluded"
    return f"The data exclude {excluded} {unit} on {what} ({ends}): {meaning}."


def _outward(low: float, high: float, error: float) -> tuple[float, float, int]:
    """Round an interval outwards to `SIGNIFICANT` digits of its standard error; also returns decimals."""
    digits = max(0, SIGNIFICANT - 1 - int(ties.floor(np.log10(error))))
    unit = 10.0**digits
    # Without the slack an end such as 0.3 = 3.0000000000000004 / 10 would be rounded away.
    ends = (np.floor(low * unit + 1e-9) / unit, np.ceil(high * unit - 1e-9) / unit)
    return float(ends[0]), float(ends[1]), digits


def power(trial: Trial, effects: pd.DataFrame, target: float = 0.8) -> pd.DataFrame:
    """Say what the experiment could have detected, from its standard errors alone.

    Nothing here depends on the estimates. (The power of statsmodels is that of effects in standard deviations
    between samples of given sizes, not of a robust standard error with its degrees of freedom.)
    `mde` is the effect that a two-sided test finds with
    probability `power` (Bloom 1995), `mde_holm` the same at the first step of Holm in the
    estimate's family, `power_at_sesoi` the probability to find an effect of sesoi, and
    `equivalence_margin` the smallest bound at which two one-sided tests would show equivalence
    with that probability if there were no effect.

    Args:
        trial: gives alpha (two-sided) and the smallest effects of interest.
        effects: from `effects`.
        target: the power asked for.
    """
    alpha = trial.alpha
    table = effects[["outcome", "estimator", "contrast", "std_error", "df", "n"]].reset_index(drop=True)
    error, df = table["std_error"].to_numpy(), table["df"].to_numpy()
    family = table["std_error"].groupby(effects["family"].to_numpy()).transform("count").to_numpy()
    critical = special.stdtrit(df, 1 - alpha / 2)
    table["alpha"], table["power"] = alpha, target
    table["mde"] = smallest_detectable(error, df, alpha, target)
    table["mde_holm"] = smallest_detectable(error, df, alpha / np.maximum(family, 1), target)
    table["sesoi"] = table["outcome"].map(trial.sesoi).astype(np.float64)
    shift = table["sesoi"] / error
    table["power_at_sesoi"] = special.ndtr(shift - critical) + special.ndtr(-shift - critical)
    table["equivalence_margin"] = (
        special.stdtrit(df, 1 - alpha) + special.stdtrit(df, (1 + target) / 2)
    ) * error
    return trial.published([table], Table.POWER)


def smallest_detectable(
    error: float | np.ndarray, df: float | np.ndarray, alpha: float | np.ndarray, target: float
) -> np.ndarray:
    """Return the effects that two-sided t tests find with a given probability (Bloom 1995).

    Args:
        error, df: standard errors and degrees of freedom, numbers or (n,).
        alpha: two-sided level.
        target: the probability.
    """
    return (special.stdtrit(df, 1 - alpha / 2) + special.stdtrit(df, target)) * error
