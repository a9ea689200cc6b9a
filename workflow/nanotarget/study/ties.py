"""Numbers that are equal on paper and differ by rounding, from machine to machine or by the order of rows.

Where a comparison decides (who is trimmed, which group, how many draws are as extreme, which penalty) such
numbers count as equal. Counts are compared as whole numbers instead wherever there are counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

EQUAL = 1e-9  # a share of the largest number compared; rounding in sums of a million numbers stays below it


def as_large(values: np.ndarray, reference: float) -> np.ndarray:
    """Return (n,) which values are at least the reference, or equal to it but for rounding."""
    return np.asarray(values >= reference - EQUAL * _scale(np.append(values, reference)))


def share_as_large(redrawn: np.ndarray, observed: float) -> float:
    """Return the p value of a randomisation test; the observed statistic counts among the redrawn ones."""
    return float((1 + np.count_nonzero(as_large(redrawn, observed))) / (1 + len(redrawn)))


def mid_share(redrawn: np.ndarray, observed: float) -> float:
    """Return the mid-p value of a randomisation test: redraws as large as the observed one count by half.

    Of a discrete statistic many redraws equal the observed one, and `share_as_large` rejects too seldom; the
    mid-p value (Lancaster 1961) is on average one half where nothing is wrong. The observed statistic counts
    among the redrawn ones, by half.
    """
    above = np.count_nonzero(~as_large(-redrawn, -observed))
    equal = 1 + np.count_nonzero(as_large(redrawn, observed)) - above
    return float((above + equal / 2) / (1 + len(redrawn)))


def first_smallest(values: ArrayLike) -> int:
    """Return the index of the smallest of (n,) values, the first one among equals."""
    numbers = np.asarray(values, dtype=np.float64)
    return int(np.argmax(numbers <= numbers.min() + EQUAL * _scale(numbers)))


def joined(values: np.ndarray) -> np.ndarray:
    """Return (n,) values, each replaced by the smallest of those that it equals; NaN stays NaN."""
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    apart = np.diff(ascending, prepend=np.nan) <= EQUAL * _scale(values)
    first = np.maximum.accumulate(np.where(apart, 0, np.arange(len(values))))
    out = np.empty_like(values)
    out[order] = ascending[first]
    return out


def floor(values: np.ndarray) -> np.ndarray:
    """Round down to whole numbers; what lacks only rounding error of the next one is the next one."""
    return np.floor(values + EQUAL * np.maximum(np.abs(values), 1)).astype(np.int64)


def _scale(values: np.ndarray) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max(initial=0))
