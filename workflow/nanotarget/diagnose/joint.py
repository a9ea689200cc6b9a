"""Features of two covariates together: what decides only jointly, without knowing which of them do.

A product of two numbers shows only part of what depends on thresholds of both. So each number also enters
with the side of its median and with how far from it the person is (two polynomials of the rank), and pairs of
covariates with the products of all these: splits of two covariates at a time, as a tree makes them. They
describe four fifths or more of what changes in a corner or a wedge of two covariates; numbers and their
products alone half of it. The finest set is taken that the people can tell apart; which one depends on
their number and the covariates alone, not on answers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.petitions.encoding import CovariateEncoder
from nanotarget.study.config import CovariateConfig

BENDS = 2  # polynomials of how far from its median a number is
SEEN = 0.8, 0.65, 0.4  # see `FeatureSet`, of the sets from the finest to the coarsest
FEWEST = 2  # people a feature of the finer sets; fewer make a bound that is too wide to be of use


class FeatureSet(NamedTuple):
    """Features of people.

    Attributes:
        features: (n, q).
        seen: share that they describe of what changes in a corner, in a wedge, or with the sign of a product
            of two normal numbers, where that is least.
    """

    features: np.ndarray
    seen: float


@dataclass(frozen=True)
class JointFeatures:
    """The covariates of some people.

    Attributes:
        alone: (n, q) features of single covariates, curves included.
        lines: (n, k) numbers and indicators, of each category but the first.
        covariate: (k,) of which covariate each is.
        numeric: (k,) whether it is a number.
    """

    alone: np.ndarray
    lines: np.ndarray
    covariate: np.ndarray
    numeric: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame, covariates: Sequence[CovariateConfig]) -> JointFeatures:
        """Encode a table of people."""
        encoder = CovariateEncoder.fit(table, covariates, curved=True)
        alone, features = encoder.encode(table), encoder.features
        names = np.array([feature.covariate for feature in features], dtype=object)
        level = np.array([feature.level is not None for feature in features], dtype=bool)
        numeric = ~level & ~np.array([feature.missing for feature in features], dtype=bool)
        first = np.array([k == 0 or names[k] != names[k - 1] for k in range(len(names))], dtype=bool)
        kept = ~encoder.curved & ~(level & first)
        return cls(alone, alone[:, kept], names[kept], numeric[kept])

    def for_people(self, n: int) -> FeatureSet:
        """Return the finest set that n people can tell apart, the coarsest if they are few."""
        numbers = int(self.numeric.sum())
        added = numbers * (numbers - 1) // 2
        least = self.alone.shape[1] + BENDS * numbers + len(self._pairs)
        if least + (1 + BENDS) ** 2 * added <= n / FEWEST:
            return FeatureSet(np.hstack([self._coarse, self._products([self._side, *self._bends])]), SEEN[0])
        if least + added <= n / FEWEST:
            return FeatureSet(np.hstack([self._coarse, self._products([self._side])]), SEEN[1])
        return FeatureSet(self._coarse, SEEN[2])

    @cached_property
    def _pairs(self) -> np.ndarray:
        """(n_pairs, 2) columns of `lines`, of two covariates."""
        pairs = itertools.combinations(range(len(self.covariate)), 2)
        return np.array([p for p in pairs if self.covariate[p[0]] != self.covariate[p[1]]], int).reshape(
            -1, 2
        )

    @cached_property
    def _coarse(self) -> np.ndarray:
        first, second = self._pairs.T
        return np.hstack([self.alone, *self._bends, self.lines[:, first] * self.lines[:, second]])

    @cached_property
    def _numbers(self) -> np.ndarray:
        return self.lines[:, self.numeric]

    @cached_property
    def _side(self) -> np.ndarray:
        """(n, n_numbers) 1 above the median of a number, else -1."""
        return np.where(self._numbers > np.median(self._numbers, axis=0), 1.0, -1.0)

    @cached_property
    def _bends(self) -> list[np.ndarray]:
        """`BENDS` Legendre polynomials of how far from the median a number is, by its rank."""
        far = np.abs(2 * (pd.DataFrame(self._numbers).rank().to_numpy() - 0.5) / len(self._numbers) - 1)
        return [special.eval_legendre(degree, 2 * far - 1) for degree in range(1, BENDS + 1)]

    def _products(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """(n, n_pairs len(parts)^2) products of all parts of two numbers."""
        first, second = np.triu_indices(self._numbers.shape[1], 1)
        return np.hstack([a[:, first] * b[:, second] for a, b in itertools.product(parts, repeat=2)])
