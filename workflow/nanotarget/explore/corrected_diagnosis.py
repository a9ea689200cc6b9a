"""The diagnosis without response error: it decides nothing, but says where response error matters.

A share of choices that goes the other way by chance shrinks every difference of mean answers by the factor
lambda of `calibrate.reliability`: gains and ceilings by lambda, variances by its square. The verdict rests on
answers as they were given: the smallest gain that matters is one of such answers, and who signs a petition
errs, too. Nothing of ratings is corrected: their error averages out of means, and the diagnosis takes
variances from products of answers to different tasks, in which it does not occur.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.calibrate.response_error import FACTOR
from nanotarget.diagnose.quantities import DIAGNOSTICS, Diagnostic, Quantity
from nanotarget.diagnose.rows import ONE_SIDED

COLUMNS = (
    *("diagnostic", "quantity", "estimator", "raw", "raw_low", "raw_high"),
    *("estimate", "conf_low", "conf_high", "threshold", "raw_side", "side", "method", "n"),
)
CEILING = "gain that it leaves possible"
VARIANCES = (Quantity.PERSON_BY_MESSAGE, Quantity.COMMON, Quantity.PREDICTABLE_VARIANCE)
GAINS = (Quantity.CROSS_HALF_GAIN, Quantity.GAIN, Quantity.NANO_OVER_RANDOM, Quantity.BEST_OVER_RANDOM)
BELOW, OPEN, ABOVE = "below", "open", "above"


def corrected_diagnosis(
    diagnostics: pd.DataFrame, reliability: pd.DataFrame, goal: str, confidence: float
) -> pd.DataFrame:
    """Correct gains, ceilings and variances of a diagnosis from choices, or from yes or no.

    Bounds move by the error of lambda as well as by their own: distances to the estimate are added as squares
    (MOVER, Zou & Donner 2008), as if both were independent.

    Args:
        diagnostics: diagnose/diagnostics.csv.
        reliability: calibrate/reliability.csv, of the outcome that was analysed.
        goal: of the study.
        confidence: of the two-sided intervals of the diagnosis; ceilings have one-sided 95 % bounds.

    Returns:
        `COLUMNS`, ceilings first; no rows where reliability is not known. `side` says whether an interval is
        below or above the smallest gain that matters, or open.
    """
    used = reliability[reliability["used"] & (reliability["quantity"] == FACTOR)]
    used = used[used["group"].isna() | (used["group"] == "")]
    if used.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    ours = diagnostics[(diagnostics["group"] == "all") & diagnostics["goal"].isin([goal, ""])]
    ours = pd.concat([ours, diagnostics[diagnostics["goal"].isna() & (diagnostics["group"] == "all")]])
    threshold = diagnostics.loc[diagnostics["quantity"] == Quantity.SMALLEST_GAIN, "estimate"].iloc[0]
    headline = ours[ours["ceiling"].notna() & ours["diagnostic"].isin(DIAGNOSTICS)]
    names = ["raw", "raw_low", "raw_high"]
    ceilings = headline.rename(
        columns=dict(zip(["ceiling", "ceiling_low", "ceiling_high"], names, strict=True))
    )
    estimates = ["estimate", "conf_low", "conf_high"]
    wanted = ours[ours["quantity"].isin([*GAINS, *VARIANCES]) & ours["estimate"].notna()]
    plain = wanted.rename(columns=dict(zip(estimates, names, strict=True)))
    one_sided, two_sided = special.ndtri(ONE_SIDED), special.ndtri((1 + confidence) / 2)
    kept = ["diagnostic", "quantity", "estimator", *names, "n"]
    table = pd.concat(
        [
            ceilings[kept].assign(quantity=CEILING, power=1, z=one_sided),
            plain[kept].assign(power=np.where(plain["quantity"].isin(VARIANCES), 2, 1), z=two_sided),
        ],
        ignore_index=True,
    )
    factor, error = used[["estimate", "std_error"]].iloc[0]
    table = table.assign(threshold=threshold, method=used["method"].iloc[0], **_moved(table, factor, error))
    sides = {"raw_side": ("raw_low", "raw_high"), "side": ("conf_low", "conf_high")}
    gains = (table["power"] == 1).to_numpy()
    for name, (low, high) in sides.items():
        beyond = [(table[high] < threshold) & gains, (table[low] > threshold) & gains]
        table[name] = np.select(beyond, [BELOW, ABOVE], np.where(gains, OPEN, ""))
    return table[list(COLUMNS)]


def _moved(table: pd.DataFrame, factor: float, error: float) -> dict[str, pd.Series]:
    """Return estimates and bounds without response error."""
    scale = factor ** table["power"]
    estimate = table["raw"] / scale
    drift = (table["z"] * table["power"] * estimate / factor * error) ** 2
    own = [((table["raw"] - table[name]) / scale) ** 2 for name in ("raw_low", "raw_high")]
    return {
        "estimate": estimate,
        "conf_low": estimate - np.sqrt(own[0] + drift),
        "conf_high": estimate + np.sqrt(own[1] + drift),
    }


def matters(table: pd.DataFrame) -> pd.Series | None:
    """Return the ceiling, of the last stage that has one, which is elsewhere without response error."""
    moved = table[(table["quantity"] == CEILING) & (table["raw_side"] != table["side"])]
    order = [str(name) for name in Diagnostic]
    if moved.empty:
        return None
    return moved.iloc[np.argmax(moved["diagnostic"].map(order.index).to_numpy())]
