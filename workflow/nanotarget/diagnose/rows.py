"""Rows of the table of diagnostics: one shape for everything that is estimated."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from nanotarget.calibrate.learners.base import mean_and_error

COLUMNS = (
    "diagnostic",
    "quantity",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "ceiling",
    "ceiling_low",
    "ceiling_high",
    "verdict",
    "estimator",
    "p_value",
    "n",
    "goal",
    "group",
    "label",
)
ONE_SIDED = 0.95  # level of the bounds that verdicts stand on

Row = dict[str, Any]


def row(
    diagnostic: str,
    quantity: str,
    estimate: float,
    std_error: float = np.nan,
    *,
    estimator: str,
    n: int,
    confidence: float,
    df: float = np.inf,
    p_value: float = np.nan,
) -> Row:
    """Return an estimate with its two-sided interval: Student's, normal if `df` is infinite."""
    margin = quantile(df, (1 + confidence) / 2) * std_error
    return {
        **dict.fromkeys(COLUMNS, np.nan),
        "diagnostic": diagnostic,
        "quantity": quantity,
        "estimate": estimate,
        "std_error": std_error,
        "conf_low": estimate - margin,
        "conf_high": estimate + margin,
        "verdict": "",
        "estimator": estimator,
        "p_value": p_value,
        "n": n,
    }


def quantile(df: float, level: float) -> float:
    """Return a quantile of Student's distribution; of the normal one if `df` is infinite."""
    return float(special.ndtri(level) if np.isinf(df) else special.stdtrit(df, level))


def mean_row(
    diagnostic: str,
    quantity: str,
    scores: np.ndarray,
    weight: np.ndarray,
    *,
    estimator: str,
    confidence: float,
    df: float | None = None,
) -> Row:
    """Return the weighted mean of respondents' scores; respondents without weight are not counted.

    Args:
        scores, weight: (n_respondents,).
        df: degrees of freedom, respondents less 1 by default.
    """
    inside = weight > 0
    n = int(inside.sum())
    estimate, error = mean_and_error(scores[inside], weight[inside])
    return row(
        diagnostic,
        quantity,
        estimate,
        error,
        estimator=estimator,
        n=n,
        confidence=confidence,
        df=max(n - 1, 1) if df is None else df,
    )


def sample_row(
    diagnostic: str,
    quantity: str,
    samples: np.ndarray,
    *,
    estimator: str,
    n: int,
    confidence: float,
    p_value: float = np.nan,
) -> Row:
    """Return an estimate (the first sample) with the standard error of its bootstrap samples."""
    spread = float(np.std(samples[1:], ddof=1)) if len(samples) > 2 else np.nan
    return row(
        diagnostic,
        quantity,
        float(samples[0]),
        spread,
        estimator=estimator,
        n=n,
        confidence=confidence,
        p_value=p_value,
    )


def with_ceiling(found: Row, ceiling: float, low: float, high: float) -> Row:
    """Add the ceiling on the gain that a headline row stands for, with its one-sided bounds."""
    return found | {"ceiling": ceiling, "ceiling_low": low, "ceiling_high": high}
