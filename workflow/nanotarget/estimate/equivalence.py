"""What a null result means: equivalence within the smallest effect of interest, and power."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.contracts import ESTIMATE_COLUMNS
from nanotarget.preregistration import EQUIVALENCE, POWER, Registration, label_of, marked

EQUIVALENCE_COLUMNS = (
    "outcome",
    "contrast",
    "sesoi",
    *ESTIMATE_COLUMNS,
    "p_lower",
    "p_upper",
    "verdict",
    "label",
    "deviation",
)
POWER_COLUMNS = (
    "outcome",
    "estimator",
    "contrast",
    "std_error",
    "df",
    "n",
    "alpha",
    "power",
    "mde",
    "mde_holm",
    "sesoi",
    "power_at_sesoi",
    "equivalence_margin",
    "deviation",
)


def equivalence(
    effects: pd.DataFrame,
    sesoi: Mapping[str, float],
    alpha: float = 0.05,
    registration: Registration | None = None,
    deviations: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Test that differences in means are smaller than the smallest effect of interest.

    Two one-sided tests (Schuirmann 1987): `p_lower` against an effect of at most -sesoi, `p_upper`
    against one of at least +sesoi; `p_value` is the larger one and `statistic` belongs to it. The
    interval has level 1 - 2 alpha. Verdicts: `equivalent` (both tests reject), `larger` or
    `smaller` (the interval lies beyond the bound), `inconclusive`. Where `p_upper` is below alpha
    the contrast is not superior by as much as sesoi.

    Args:
        effects: from `effects`; its `dim` rows are used.
        sesoi: smallest effect of interest by outcome; outcomes without one are left out.
        alpha: one-sided level.
        registration, deviations: as in `effects`; the estimator is called `tost`.
    """
    rows = effects[(effects["estimator"] == "dim") & effects["outcome"].isin(sesoi)]
    table = rows[["outcome", "contrast", "estimate", "std_error", "df", "n"]].reset_index(drop=True)
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
    table.loc[table["std_error"].isna(), ["p_value", "statistic"]] = np.nan
    table["label"] = [
        label_of(registration, o, "tost", c) for o, c in zip(table["outcome"], table["contrast"], strict=True)
    ]
    return marked(table, EQUIVALENCE, deviations)[list(EQUIVALENCE_COLUMNS)]


def power(
    effects: pd.DataFrame,
    sesoi: Mapping[str, float],
    alpha: float = 0.05,
    target: float = 0.8,
    deviations: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Say what the experiment could have found, from its standard errors alone.

    Nothing here depends on the estimates. `mde` is the effect that a two-sided test finds with
    probability `power` (Bloom 1995), `mde_holm` the same at the first step of Holm in the
    estimate's family, `power_at_sesoi` the probability to find an effect of sesoi, and
    `equivalence_margin` the smallest bound at which two one-sided tests would show equivalence
    with that probability if there were no effect.

    Args:
        effects: from `effects`.
        sesoi: smallest effect of interest by outcome.
        alpha: two-sided level.
        target: the power asked for.
        deviations: as in `effects`.
    """
    table = effects[["outcome", "estimator", "contrast", "std_error", "df", "n"]].reset_index(drop=True)
    error, df = table["std_error"].to_numpy(), table["df"].to_numpy()
    family = table["std_error"].groupby(effects["family"].to_numpy()).transform("count").to_numpy()
    found = special.stdtrit(df, target)
    critical = special.stdtrit(df, 1 - alpha / 2)
    first = special.stdtrit(df, 1 - alpha / 2 / np.maximum(family, 1))
    table["alpha"], table["power"] = alpha, target
    table["mde"] = (critical + found) * error
    table["mde_holm"] = (first + found) * error
    table["sesoi"] = table["outcome"].map(sesoi).astype(np.float64)
    shift = table["sesoi"] / error
    table["power_at_sesoi"] = special.ndtr(shift - critical) + special.ndtr(-shift - critical)
    table["equivalence_margin"] = (
        special.stdtrit(df, 1 - alpha) + special.stdtrit(df, (1 + target) / 2)
    ) * error
    return marked(table, POWER, deviations)[list(POWER_COLUMNS)]
