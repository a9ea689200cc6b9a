"""What is linear in features of people, as a variance: without bias, however many the features are.

A person's vector of coordinates is A_i = c_f + B'x_i + noise, c_f a constant of her fold: the error of the
common part that was taken out of its answers. Wanted is the mean square of B'x_i, features x_i centred within
folds. Least squares give fitted values H A, H = P + Q, P of the centred features, Q of the constants; their
mean square tr(A'P A) / n is too large by the noise sum_i P_ii var(A_i) / n. A_i times its residual from a fit
without person i estimates var(A_i) without bias, and that residual is the usual one divided by 1 - H_ii. So

    theta = sum_ij P_ij A_i A_j / n - sum_i P_ii A_i (A_i - sum_j H_ij A_j) / (1 - H_ii) / n
          = sum_{i != j} C_ij A_i A_j / n,    C_ij = P_ij + (r_i + r_j) H_ij / 2,    r_i = P_ii / (1 - H_ii),

in which no A_i meets itself: its expectation given the features is theirs whatever the variances of the noise
are, whether features are many, correlated or have heavy tails (Kline, Saggio & Solvsten 2020). Where what is
wanted is not linear in x it is the variance of its best linear approximation, up to a share of 1 / n.
With weights w, A_i and x_i are multiplied by sqrt(w_i), and n is the sum of weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nanotarget.diagnose.covariance import Covariance

SMALLEST = 1e-6  # variance of a direction of standardised features, below which it is rounding or a copy
MOST = 0.6  # features a person, above which their variance cannot be told from noise
ALONE = 0.99  # leverage of who is left out: nobody else shows what such a person's features do
MOST_ROWS = 5_000  # people the noise of whose pairs is added up; evenly spread ones of more
PAIRS_AT_ONCE = 1_000_000  # pairs of people that are in memory


@dataclass(frozen=True)
class Projection:
    """Least squares on the features of some people.

    Attributes:
        features: (n, q), of which inner products are P.
        constants: (n, k) the same of Q.
        weight: (n,) of people; zero of those who are left out.
    """

    features: np.ndarray
    constants: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, weight: np.ndarray, folds: np.ndarray) -> Projection | None:
        """Project on features that are centred within folds; None if they are too many for the people.

        Args:
            features: (n, q).
            weight: (n,).
            folds: (n, k) shares of a person's answers that are in each fold.
        """
        while True:
            root = np.sqrt(weight)[:, None]
            constants = orthonormal(root * folds)
            centred = root * features
            size = np.sqrt(np.einsum("ij,ij->j", centred, centred) / len(centred))
            centred -= constants @ (constants.T @ centred)
            spread = np.sqrt(np.einsum("ij,ij->j", centred, centred) / len(centred))
            used = spread > 1e-9 * np.maximum(size, 1)
            if used.sum() > MOST * (weight > 0).sum():
                return None
            if not used.all():
                centred = centred[:, used]
            centred /= spread[used]
            own = cls(orthonormal(centred), constants, weight)
            del centred
            alone = (own.leverage > ALONE) & (weight > 0)
            if not alone.any():
                return own
            weight = np.where(alone, 0.0, weight)

    @cached_property
    def leverage(self) -> np.ndarray:
        """(n,) H_ii."""
        return self._of_features + np.einsum("ij,ij->i", self.constants, self.constants)

    @cached_property
    def _of_features(self) -> np.ndarray:
        """(n,) P_ii."""
        return np.einsum("ij,ij->i", self.features, self.features)

    @cached_property
    def _ratio(self) -> np.ndarray:
        return self._of_features / np.maximum(1 - self.leverage, 1 - ALONE)

    def covariance(self, values: np.ndarray, ranks: np.ndarray) -> Covariance:
        """Return theta by pairs of coordinates of a block.

        Args:
            values: (n, p) coordinates.
            ranks: (n_blocks,) coordinates of each block.
        """
        scaled = np.sqrt(self.weight)[:, None] * values
        ratio = self._ratio[:, None] * scaled
        near = self.features.T @ scaled
        both = sum((part.T @ ratio).T @ (part.T @ scaled) for part in (self.features, self.constants))
        total = (near.T @ near + (both + both.T) / 2 - ratio.T @ scaled) / self.weight.sum()
        ends = np.cumsum(ranks)
        blocks = (slice(end - rank, end) for rank, end in zip(ranks, ends, strict=True))
        return Covariance(tuple(total[None, own, own] for own in blocks))

    def variance(self, values: np.ndarray) -> tuple[float, float]:
        """Return theta, all coordinates together, and its standard error over people.

        The error is Hoeffding's (1948) of a U-statistic: its linear part as each person's share of theta
        shows it, which counts the noise of the others twice, less that noise.

        Args:
            values: (n, p) coordinates.
        """
        scaled, total, n = np.sqrt(self.weight)[:, None] * values, self.weight.sum(), len(values)
        ratio = self._ratio[:, None]
        near, weighted = self.features.T @ scaled, ratio * scaled
        fitted = self.features @ near
        for part, own in ((self.features, near), (self.constants, self.constants.T @ scaled)):
            fitted += (ratio * (part @ own) + part @ (part.T @ weighted)) / 2
        share = (scaled * (fitted - ratio * scaled)).sum(axis=1)
        noise, some = 0.0, np.unique(np.linspace(0, n - 1, min(n, MOST_ROWS)).astype(int))
        features, constants, values = (part[some] for part in (self.features, self.constants, scaled))
        for rows in np.array_split(np.arange(len(some)), math.ceil(len(some) ** 2 / PAIRS_AT_ONCE)):
            near = features[rows] @ features.T
            kernel = near + constants[rows] @ constants.T
            kernel *= (self._ratio[some[rows], None] + self._ratio[some]) / 2
            kernel += near
            kernel[np.arange(len(rows)), rows] = 0
            kernel *= values[rows] @ values.T
            noise += 2 * np.einsum("ij,ij->", kernel, kernel)
        noise *= n * (n - 1) / (len(some) * max(len(some) - 1, 1))
        theta = share.sum() / total
        linear = 4 * ((share - self.weight * theta) ** 2).sum()
        return float(theta), float(np.sqrt(max(linear - noise, noise)) / total)


def orthonormal(columns: np.ndarray) -> np.ndarray:
    """Return (n, rank) orthonormal columns with the same span, but for directions of hardly any variance."""
    length, direction = np.linalg.eigh(columns.T @ columns / len(columns))
    kept = length > SMALLEST * max(length.max(initial=0.0), 0.0)
    return columns @ (direction[:, kept] / np.sqrt(length[kept] * len(columns)))
