"""How what respondents add to the petitions of a block of attributes varies together.

A respondent's deviations are coordinates on the orthonormal functions of the block (`Block.functions`): their
covariance says which levels people are divided over, its trace how much they differ, as a variance over
petitions. Estimates are unbiased but noisy, and products of noise have negative eigenvalues.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nanotarget.petitions.design import Design


@dataclass(frozen=True)
class Covariance:
    """Covariances of coordinates, in samples of respondents.

    Attributes:
        blocks: (n_samples, rank, rank) of each block, symmetric; outcome units squared.
    """

    blocks: tuple[np.ndarray, ...]

    @classmethod
    def alike(cls, design: Design, by_block: np.ndarray) -> Covariance:
        """Return independent coordinates of one variance within a block: no level divides more than another.

        Args:
            by_block: (n_samples, n_blocks) variance over petitions.
        """
        ranks = [block.functions().shape[1] for block in design.blocks]
        parts = zip(ranks, by_block.T, strict=True)
        return cls(tuple(np.eye(rank) * (own / rank)[:, None, None] for rank, own in parts))

    @classmethod
    def of_levels(cls, design: Design, deviations: Iterable[np.ndarray], weight: np.ndarray) -> Covariance:
        """Return the covariance that people have whose deviations are known, as one sample.

        Args:
            deviations: by block, (n, n_cells) of people's utilities from the common one.
            weight: (n,).
        """
        share, parts = weight / weight.sum(), []
        for block, own in zip(design.blocks, deviations, strict=True):
            coordinates = own @ (block.functions() * block.probabilities[:, None])
            parts.append(((coordinates * share[:, None]).T @ coordinates)[None])
        return cls(tuple(parts))

    def __add__(self, other: Covariance) -> Covariance:
        """Add block by block."""
        return Covariance(tuple(a + b for a, b in zip(self.blocks, other.blocks, strict=True)))

    def __sub__(self, other: Covariance) -> Covariance:
        """Subtract block by block."""
        return Covariance(tuple(a - b for a, b in zip(self.blocks, other.blocks, strict=True)))

    def times(self, factor: float | np.ndarray) -> Covariance:
        """Multiply by a number, or by one for each sample."""
        return Covariance(tuple(own * np.reshape(factor, (-1, 1, 1)) for own in self.blocks))

    def times_by_block(self, factors: np.ndarray) -> Covariance:
        """Multiply each block by a number a sample: (n_samples, n_blocks)."""
        return Covariance(
            tuple(own * factor[:, None, None] for own, factor in zip(self.blocks, factors.T, strict=True))
        )

    def only(self, block: int) -> Covariance:
        """Return it with the deviations of one block alone."""
        return Covariance(tuple(own * (b == block) for b, own in enumerate(self.blocks)))

    def first(self) -> Covariance:
        """Return the first sample, of the data themselves."""
        return Covariance(tuple(own[:1] for own in self.blocks))

    def without_first(self) -> Covariance:
        """Return the other samples."""
        return Covariance(tuple(own[1:] for own in self.blocks))

    def with_noise(self, error: float, samples: int, rng: np.random.Generator) -> Covariance:
        """Return an estimate, and samples to which noise is added that is alike in all directions.

        Args:
            error: standard deviation of the noise of the variance.
        """
        rank = sum(own.shape[1] for own in self.blocks)
        blocks = []
        for own in self.blocks:
            noise = rng.normal(size=(samples, *own.shape[1:])) * error / np.sqrt(rank)
            noise[0] = 0
            blocks.append(own[:1] + (noise + np.swapaxes(noise, 1, 2)) / 2)
        return Covariance(tuple(blocks))

    def spread_by(self, factor: float) -> Covariance:
        """Return samples that lie further from the first by a factor."""
        return Covariance(tuple(own[:1] + (own - own[:1]) * factor for own in self.blocks))

    @property
    def by_block(self) -> np.ndarray:
        """(n_samples, n_blocks) variance over petitions."""
        return np.column_stack([np.trace(own, axis1=1, axis2=2) for own in self.blocks])

    @property
    def variance(self) -> np.ndarray:
        """(n_samples,) variance over petitions, all blocks together."""
        return self.by_block.sum(axis=1)

    @property
    def shares(self) -> np.ndarray:
        """(n_samples, n_blocks) parts of the variance, none negative; alike where no block has any."""
        positive = np.maximum(self.by_block, 0)
        total = positive.sum(axis=1, keepdims=True)
        alike = np.full_like(positive, 1 / positive.shape[1])
        return np.divide(positive, total, out=alike, where=total > 0)

    def nearest(self, variance: np.ndarray) -> Covariance:
        """Return the nearest covariances without negative eigenvalues that have given variances.

        Nearest in the sum of squares over blocks: all eigenvalues are lowered by the same number, and cut at
        zero, until they add up to the variance. What is noise has small eigenvalues and goes first.

        Args:
            variance: (n_samples,) over petitions, all blocks together; nothing is left of negative ones.
        """
        parts = [np.linalg.eigh(own) for own in self.blocks]
        values = np.hstack([np.broadcast_to(v, (len(variance), v.shape[1])) for v, _ in parts])
        total = np.maximum(variance, 0)[:, None]
        ordered = -np.sort(-values, axis=1)
        lowered = (np.cumsum(ordered, axis=1) - total) / np.arange(1, values.shape[1] + 1)
        kept = np.maximum((ordered > lowered).sum(axis=1), 1)
        threshold = np.take_along_axis(lowered, kept[:, None] - 1, axis=1)
        left = np.where(total > 0, np.maximum(values - threshold, 0), 0)
        ends = np.cumsum([v.shape[1] for v, _ in parts])[:-1]
        return Covariance(
            tuple(
                (axes * own[:, None, :]) @ np.swapaxes(axes, 1, 2)
                for (_, axes), own in zip(parts, np.split(left, ends, axis=1), strict=True)
            )
        )
