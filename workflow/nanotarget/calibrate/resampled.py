"""Estimates with what each respondent contributes, and their values in bootstrap samples of respondents.

Two estimates from the same people covary; what is made of both has an error by the delta method, from the
contributions, and another one by the bootstrap, from the samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from nanotarget.calibrate import regression

AT_ONCE = 2_000_000  # numbers that are held
UNTOLD = 1e-10  # eigenvalues below this share of the largest are directions that the data do not tell


@dataclass(frozen=True)
class Sample:
    """Respondents, and how often each is drawn in every bootstrap sample.

    Attributes:
        ids: (n,) respondent_id.
        weight: (n,) survey weights, 0 for those who are not of the group that is looked at.
        draws: (samples, n) counts; without weight they do not matter.
    """

    ids: pd.Index
    weight: np.ndarray
    draws: np.ndarray

    @classmethod
    def of(cls, respondents: pd.DataFrame, samples: int, rng: np.random.Generator) -> Sample:
        """Draw bootstrap samples of respondents, with replacement."""
        n = len(respondents)
        draws = rng.multinomial(n, np.full(n, 1 / n), samples).astype(np.float64)
        ids, weight = pd.Index(respondents["respondent_id"]), respondents["weight"].to_numpy(np.float64)
        return cls(ids, weight, draws)

    def only(self, inside: np.ndarray) -> Sample:
        """Return the same samples with weight for (n,) some respondents only."""
        return replace(self, weight=np.where(inside, self.weight, 0.0))

    def person(self, ids: pd.Series) -> np.ndarray:
        """Return the index of each respondent_id."""
        return self.ids.get_indexer(ids)

    def totals(self, values: np.ndarray, person: np.ndarray) -> np.ndarray:
        """Add (rows, ...) values up by respondent: (n, ...)."""
        sums = np.zeros((len(self.ids), *values.shape[1:]))
        np.add.at(sums, person, values)
        return sums


class Resampled(NamedTuple):
    """Estimates of (k,) quantities.

    Attributes:
        value: (k,).
        influence: (n, k) contribution of each respondent; its squares add up to the variance.
        samples: (samples, k) values in bootstrap samples.
    """

    value: np.ndarray
    influence: np.ndarray
    samples: np.ndarray

    @property
    def std_error(self) -> np.ndarray:
        """(k,) standard errors from the contributions; 0 of a number that is not estimated."""
        return np.sqrt((self.influence**2).sum(axis=0))

    def through(
        self, change: Callable[[np.ndarray], np.ndarray], slope: Callable[[np.ndarray], np.ndarray]
    ) -> Resampled:
        """Return a smooth function of the estimates, with its slope for the contributions."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return Resampled(change(self.value), self.influence * slope(self.value), change(self.samples))

    def weighted(self, rows: np.ndarray) -> Resampled:
        """Return (r, k) linear combinations."""
        return Resampled(rows @ self.value, self.influence @ rows.T, self.samples @ rows.T)


def fixed(value: float, sample: Sample) -> Resampled:
    """Return a number that is known."""
    return Resampled(
        np.array([value]), np.zeros((len(sample.ids), 1)), np.full((len(sample.draws), 1), value)
    )


def ratio(top: np.ndarray, bottom: np.ndarray, sample: Sample) -> Resampled:
    """Estimate sums of (n, k) totals of respondents over sums of others: weighted means."""
    with np.errstate(invalid="ignore", divide="ignore"):
        below = bottom.sum(axis=0)
        value = top.sum(axis=0) / below
        influence = (top - value * bottom) / below * _clusters(bottom)
        return Resampled(value, influence, (sample.draws @ top) / (sample.draws @ bottom))


def _clusters(bottom: np.ndarray) -> np.ndarray:
    """Return the root of G / (G - 1), of the (n, k) respondents that count."""
    there = (bottom != 0).sum(axis=0)
    return np.sqrt(there / np.maximum(there - 1, 1))


def least_squares(x: np.ndarray, y: np.ndarray, person: np.ndarray, sample: Sample) -> Resampled:
    """Estimate coefficients of (rows, k) columns, weighted by respondent; NaN as in `regression.fit`.

    Bootstrap samples are fitted anew, from sums of squares and products.

    Args:
        x: (rows, k) columns.
        y: (rows,) outcome.
        person: (rows,) respondent of each row, non-decreasing.
        sample: of respondents.
    """
    root = np.sqrt(sample.weight[person])
    kept = regression.orthogonalise(x * root[:, None])[2]
    own, answer = x[:, kept] * root[:, None], y * root
    bread = np.linalg.inv(own.T @ own)
    coef = bread @ (own.T @ answer)
    scores = sample.totals(own * (answer - own @ coef)[:, None], person)
    there = np.bincount(person, weights=root, minlength=len(sample.ids))[:, None]
    drawn = _drawn_squares(own, person, sample)
    step = solved(drawn, sample.draws @ scores)
    n, k = len(sample.draws), x.shape[1]
    value, influence = np.full(k, np.nan), np.full((len(sample.ids), k), np.nan)
    samples = np.full((n, k), np.nan)
    value[kept], influence[:, kept] = coef, scores @ bread * _clusters(there)
    samples[:, kept] = coef + step
    return Resampled(value, influence, samples)


def _drawn_squares(x: np.ndarray, person: np.ndarray, sample: Sample) -> np.ndarray:
    """Return the (samples, k, k) sums of squares and products of bootstrap samples, some people at a time."""
    n, k = len(sample.draws), x.shape[1]
    total = np.zeros((n, k * k))
    starts = np.flatnonzero(np.append(True, person[1:] != person[:-1]))
    size = max(AT_ONCE // (k * k), 1)
    first = 0
    while first < len(starts):
        last = int(np.searchsorted(starts, starts[first] + size, side="right"))
        last = max(last - 1, first + 1) if last < len(starts) else len(starts)
        rows = slice(starts[first], starts[last] if last < len(starts) else len(x))
        products = (x[rows, :, None] * x[rows, None, :]).reshape(-1, k * k)
        own = np.add.reduceat(products, starts[first:last] - starts[first])
        total += sample.draws[:, person[starts[first:last]]] @ own
        first = last
    return total.reshape(n, k, k)


def solved(squares: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Solve (samples, k, k) systems; directions that a sample does not tell are left at 0."""
    return (np.linalg.pinv(squares, rcond=UNTOLD, hermitian=True) @ products[:, :, None])[:, :, 0]
