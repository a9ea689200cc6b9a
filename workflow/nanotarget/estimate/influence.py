"""Variances from influence values: what every respondent adds to the error of an estimate."""

from __future__ import annotations

import numpy as np
import pandas as pd

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


def covariance(influence: np.ndarray, unit: np.ndarray, block: np.ndarray | None = None) -> np.ndarray:
    """Sum influence values within units and square the sums.

    Units of several people are taken to be a sample of units, hence G / (G - 1) (Liang & Zeger 1986), in
    every block; where everybody is a unit nothing is corrected, because the influence values can be.

    Args:
        influence: (n, k) values that sum to zero in every block, of k estimates.
        unit: (n,) unit of each respondent.
        block: (n,) block of each respondent, from 0; None if there are none.

    Returns:
        (k, k); NaN if all people of a block are in one unit.
    """
    if block is not None and block.any():
        parts = [covariance(influence[block == b], unit[block == b]) for b in np.unique(block)]
        return np.sum(parts, axis=0)
    codes, names = pd.factorize(unit)
    if len(names) == len(unit):
        return influence.T @ influence
    if len(names) < 2:
        return np.full((influence.shape[1],) * 2, np.nan)
    totals = np.zeros((len(names), influence.shape[1]))
    np.add.at(totals, codes, influence)
    return totals.T @ totals * len(names) / (len(names) - 1)
