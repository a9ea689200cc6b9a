"""Variances from influence values: what every respondent adds to the error of an estimate."""

from __future__ import annotations

import numpy as np

from nanotarget.calibrate.regression import ROUNDING


def deviations_from(mean: float | np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return y - mean, zero where it is only rounding error, as `regression.fit` has it.

    Args:
        mean: a number, or (k,) one per column.
        y: (n,) or (n, k).
    """
    deviation = y - mean
    deviation[np.abs(deviation) <= ROUNDING * np.abs(y).max(axis=0, initial=0)] = 0
    return deviation


def covariance(influence: np.ndarray, unit: np.ndarray, cell: np.ndarray | None = None) -> np.ndarray:
    """Sum influence values within units and square the sums.

    Units of several people are taken to be a sample of units, hence G / (G - 1) (Liang & Zeger 1986): in
    every cell if each unit lies in one, else among all. Where everybody is a unit nothing is corrected,
    because the influence values can be.

    Args:
        influence: (n, k) values of k estimates that sum to zero in every cell.
        unit: (n,) unit of each respondent.
        cell: (n,) arm and block, or block, of each respondent; None if there is one.

    Returns:
        (k, k); NaN for estimates that depend on a cell all of whose people are in one unit.
    """
    unit = np.unique(unit, return_inverse=True)[1]
    count = unit.max(initial=-1) + 1
    if count == len(unit):
        return influence.T @ influence
    totals = np.zeros((count, influence.shape[1]))
    np.add.at(totals, unit, influence)
    cells = np.zeros((count, 1), dtype=np.int64)
    if cell is not None:
        pairs = np.unique(np.column_stack([unit, np.unique(cell, return_inverse=True)[1]]), axis=0)
        cells = pairs[:, 1:] if len(pairs) == count else cells
    result = np.zeros((influence.shape[1],) * 2)
    for code in np.unique(cells):
        own = totals[cells[:, 0] == code]
        groups, touched = len(own), own.any(axis=0)
        factor = groups / (groups - 1) if groups > 1 else 1.0
        result += own.T @ own * factor
        if groups < 2:
            result[np.outer(touched, touched)] = np.nan
    return result
