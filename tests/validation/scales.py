"""Scales on which latent ratings are answered, and distributions of their noise, with exact expectations."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special, stats


@dataclass(frozen=True)
class Noise:
    """A distribution of mean 0 and variance 1.

    Attributes:
        draw: takes a generator and a size.
        above: probability to be above a number.
    """

    draw: Callable[[np.random.Generator, int], np.ndarray]
    above: Callable[[np.ndarray], np.ndarray]


NOISE = {
    "normal": Noise(lambda rng, n: rng.normal(size=n), lambda x: special.ndtr(-x)),
    "skewed": Noise(
        lambda rng, n: (rng.gamma(2, size=n) - 2) / np.sqrt(2),
        lambda x: special.gammaincc(2, np.maximum(2 + np.sqrt(2) * x, 0)),
    ),
    "t3": Noise(lambda rng, n: rng.standard_t(3, n) / np.sqrt(3), lambda x: stats.t.sf(np.sqrt(3) * x, 3)),
}


@dataclass(frozen=True)
class Scale:
    """Whole numbers from `lowest` to `highest`; a latent rating of 0 falls on `centre`.

    Attributes:
        step: answers a unit of the latent rating.
    """

    lowest: int = 0
    highest: int = 10
    centre: float = 5.0
    step: float = 1.0

    def answers(self, latent):
        """Return what is answered: rounded, and clipped at the ends."""
        return np.clip(np.round(self.centre + self.step * latent), self.lowest, self.highest)

    def expected(self, latent, noise="normal"):
        """Return the exact mean answer over the noise of (n,) latent ratings."""
        cuts = (np.arange(self.lowest, self.highest) + 0.5 - self.centre) / self.step
        return self.lowest + NOISE[noise].above(cuts - np.asarray(latent)[:, None]).sum(axis=1)
