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


def covariance(influence: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Sum influence values within units and square the sums.

    Units of several people are taken to be a sample of units, hence G / (G - 1) (Liang & Zeger 1986);
    where everybody is a unit nothing is corrected, because the influence values can be.

    Args:
        influence: (n, k) values that sum to zero, of k estimates.
        unit: (n,) unit of each respondent.

    Returns:
        (k, k); NaN if all people are in one unit.
    """
    codes, names = pd.factorize(unit)
    if len(names) == len(unit):
        return influence.T @ influence
    if len(names) < 2:
        return np.full((influence.shape[1],) * 2, np.nan)
    totals = np.zeros((len(names), influence.shape[1]))
    np.add.at(totals, codes, influence)
    return totals.T @ totals * len(names) / (len(names) - 1)
