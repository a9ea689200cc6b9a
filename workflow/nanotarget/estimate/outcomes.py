"""What people of every arm answered, before anything is compared."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial
from nanotarget.study.config import OutcomeConfig

ALL = "(all)"
ROUNDING = 1e-12  # of a share of the weight


def outcomes(trial: Trial) -> pd.DataFrame:
    """Describe every outcome in every arm and in all arms together.

    Survey weights count in means, standard deviations (n - 1), medians and shares; blocks do not: what is
    described are the answers as they are.

    Returns:
        The columns of `Table.OUTCOMES`. A row whose `value` is NaN describes all answers of an arm: n of
        n_assigned people answered. Binary and ordinal outcomes have a row for each answer, too: n people gave
        it, a share of those who answered.
    """
    rows = [row for outcome in trial.outcomes for row in _described(trial, outcome)]
    return trial.published([pd.DataFrame(rows, columns=list(Table.OUTCOMES.columns[:-1]))], Table.OUTCOMES)


def _described(trial: Trial, outcome: OutcomeConfig) -> Iterator[tuple[object, ...]]:
    y, weight = trial.y(outcome.name), trial.weight
    randomised = np.any([trial.members(arm) for arm in trial.arms], axis=0)
    for arm in (*trial.arms, ALL):
        own = randomised if arm == ALL else trial.members(arm)
        answered = own & ~np.isnan(y)
        values, w = y[answered], weight[answered]
        n, nothing = len(values), (np.nan,) * 3
        numbers = (_mean(values, w), _deviation(values, w), _median(values, w)) if n else nothing
        yield outcome.name, arm, np.nan, int(own.sum()), n, *numbers, np.nan
        for value in _answers(outcome, y):
            share = float(w @ (values == value) / w.sum()) if n else np.nan
            yield outcome.name, arm, value, int(own.sum()), int((values == value).sum()), *nothing, share


def _answers(outcome: OutcomeConfig, y: np.ndarray) -> np.ndarray:
    """Return the possible answers of which shares are given."""
    if outcome.kind == "binary":
        return np.array([0.0, 1.0])
    if outcome.kind != "ordinal":
        return np.empty(0)
    if outcome.range:
        return np.arange(outcome.range[0], outcome.range[1] + 1, dtype=np.float64)
    return np.unique(y[~np.isnan(y)])


def _mean(values: np.ndarray, weight: np.ndarray) -> float:
    return float(np.average(values, weights=weight))


def _deviation(values: np.ndarray, weight: np.ndarray) -> float:
    n = len(values)
    squares = np.average((values - _mean(values, weight)) ** 2, weights=weight)
    return float(np.sqrt(squares * n / (n - 1))) if n > 1 else np.nan


def _median(values: np.ndarray, weight: np.ndarray) -> float:
    """Return the answer below and above which half of the weight is; between two answers their mean."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weight[order]) / weight.sum()
    half = np.searchsorted(below, [0.5 - ROUNDING, 0.5 + ROUNDING])
    return float(values[order][half].mean())
