"""From variances to outcome units: how much could be gained if people's own best petition were known?

G = E max_x {m(x) + h(x)} - max_x m(x),

m the common utilities, h what a person adds: independent normal deviations of the levels of an attribute,
whose variance under the design is the attribute's share of the variance of h. With exchangeable levels this
is the sum over attributes of E_L {sqrt(s^2 + tau^2) - s} (docs/methods.md, section 5); here the estimated
gaps between the levels stay as they are. Attributes that prohibitions tie together are maximised over
feasible combinations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import special

from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.calibrate.link import OrdinalLink
from nanotarget.petitions.design import Block, Design
from nanotarget.petitions.encoding import split_levels

# Nodes in standard deviations: the integrand is below 1e-14 outside.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(120)
NODES, WEIGHTS = 8 * _NODES, 8 * _WEIGHTS
DRAWS = 4000  # of the levels of tied attributes
MIN_NOISE = 0.05  # share of a rating's noise that nobody can know


@dataclass(frozen=True)
class Scale:
    """An answer scale with ends: how far a petition can still move the answers of some respondents.

    What answers show is turned into latent part-worths and variances (`OrdinalLink.steepness`), the best
    petition is found there, and what it gains is said in answers again.

    Attributes:
        link: from utilities to answers.
        location: latent value of a random petition for these respondents.
        of_effects, of_variances: what answers show of latent part-worths and variances.
    """

    link: OrdinalLink
    location: float
    of_effects: float
    of_variances: float

    @classmethod
    def of(cls, fitted: Crossfit, weight: np.ndarray) -> Scale | None:
        """Return the scale of some respondents; None for choices and open measurements.

        Args:
            weight: (n_respondents,).
        """
        link, data = fitted.link, fitted.data
        if link is None:
            return None
        level = link.levels(fitted.index, data.outcome, data.respondent)
        latent = link.slope * data.respondent_means(fitted.index) + level
        return cls(link, float(weight @ latent / weight.sum()), *link.steepness(fitted.index))

    def reversed(self) -> Scale:
        """Return the scale of the opposite answer."""
        return replace(self, link=self.link.reversed(), location=-self.location)

    def gain(self, best: np.ndarray, top: Maximum, variance: np.ndarray) -> np.ndarray:
        """Return the (n_samples,) gain in answers.

        The noise of the link contains what respondents add; who knows it has less noise.

        Args:
            best: (n_samples,) latent utility of the best petition for all.
            top: of the deviations, latent.
            variance: (n_samples,) latent, of what is known of a person's deviations.
        """
        spread, start = self.link.spread**2, self.location + best
        noise = np.maximum(1 - variance, MIN_NOISE) + spread
        known = self.link.average(start + top.gain, noise + top.variance)
        return known - self.link.average(start, np.full(len(best), 1 + spread))


class Maximum(NamedTuple):
    """Of a person's utilities over petitions, less the utility of the best petition for all.

    Attributes:
        gain: (n_samples,) its mean.
        variance: (n_samples,) of the maximum, less what shifts all petitions alike.
    """

    gain: np.ndarray
    variance: np.ndarray


def gain_ceiling(
    design: Design,
    part_worths: np.ndarray,
    variance: np.ndarray,
    shares: np.ndarray,
    scale: Scale | None = None,
) -> np.ndarray:
    """Return the gain of who knows each person's deviations over the best petition for all.

    On a scale with ends the maximum over attributes is taken for normal: a sum of independent parts.

    Args:
        part_worths: (n_samples, total levels) common utilities, outcome units.
        variance: (n_samples,) of a person's deviations over petitions; negative estimates count as zero.
        shares: (n_blocks,) parts of the variance, adding up to 1; or (n_blocks, n_samples).
        scale: of the answers, if it has ends.

    Returns:
        (n_samples,) gain in outcome units.
    """
    variance = np.maximum(variance, 0)
    if scale is None:
        return _maximum(design, part_worths, variance, shares).gain
    latent, known = part_worths / scale.of_effects, variance / scale.of_variances
    best = sum(_common(design, block, split_levels(latent, design)).max(axis=1) for block in design.blocks)
    return scale.gain(best, _maximum(design, latent, known, shares), known)


def _common(design: Design, block: Block, parts: list[np.ndarray]) -> np.ndarray:
    """(n_samples, n_cells) common utility of the cells of a block."""
    return np.sum([parts[a][:, block.cells[:, j]] for j, a in enumerate(block.attributes)], axis=0)


def _maximum(design: Design, part_worths: np.ndarray, variance: np.ndarray, shares: np.ndarray) -> Maximum:
    parts = split_levels(part_worths, design)
    gain, spread = np.zeros((2, len(part_worths)))
    for block, share in zip(design.blocks, shares, strict=True):
        deviation = np.sqrt(variance * share)
        if len(block.attributes) == 1:
            levels = parts[block.attributes[0]]
            own = _maximum_of_levels(levels, deviation / _spread(design, block.attributes[0]))
            shift = deviation**2 / _spread(design, block.attributes[0]) ** 2 - deviation**2
        else:
            own = _maximum_of_block(design, block, parts, deviation)
            shift = np.zeros_like(deviation)
        gain, spread = gain + own.gain, spread + np.maximum(own.variance - shift, 0)
    return Maximum(gain, spread)


def ceiling_samples(
    design: Design,
    part_worths: np.ndarray,
    variance: np.ndarray,
    shares: np.ndarray,
    scale: Scale | None = None,
) -> np.ndarray:
    """Return the gain in the data and in samples of them, freed from the winner's curse of overall-best.

    Of levels that are nearly alike the luckiest looks best, so max m is too high and the gain over it too
    low. How much, the samples show (bootstrap estimate of bias; Efron & Tibshirani 1993, section 10.2), the
    variance kept at its estimate: only its part that stems from m is taken out, because a variance near
    zero has a bias of its own kind. A sample of the data has it twice.

    Args:
        part_worths: (1 + n_samples, total levels), the first of the data.
        variance: (1 + n_samples,).
        shares: (n_blocks,).
        scale: see `gain_ceiling`.

    Returns:
        (1 + n_samples,) gains, not below zero.
    """
    gains = gain_ceiling(design, part_worths, variance, shares, scale)
    fixed = gain_ceiling(design, part_worths, np.full(len(variance), variance[0]), shares, scale)
    bias = fixed[1:].mean() - fixed[0] if len(fixed) > 1 else 0.0
    gains[0] -= bias
    gains[1:] -= 2 * bias
    return np.maximum(gains, 0)


def _spread(design: Design, attribute: int) -> float:
    """Standard deviation under the design of independent standard normal deviations of the levels."""
    return float(np.sqrt(1 - (design.level_probabilities(attribute) ** 2).sum()))


def _maximum_of_levels(levels: np.ndarray, deviation: np.ndarray) -> Maximum:
    """Maximum of independent normals: integrals of Phi(t) (1 - prod of the others' Phi), by t for squares.

    Args:
        levels: (n_samples, n_levels) means.
        deviation: (n_samples,) standard deviation of each.
    """
    ordered = np.sort(levels, axis=1)
    gaps = ordered[:, [-1]] - ordered[:, :-1]
    gain, variance = np.zeros((2, len(levels)))
    some = np.flatnonzero(deviation > 0)
    scaled = gaps[some] / deviation[some, None]
    others = special.ndtr(NODES[None, :, None] + scaled[:, None, :]).prod(axis=2)
    integrand = special.ndtr(NODES) * (1 - others)
    mean, square = integrand @ WEIGHTS, 1 + integrand @ (2 * NODES * WEIGHTS)
    gain[some] = deviation[some] * mean
    variance[some] = deviation[some] ** 2 * (square - mean**2)
    return Maximum(gain, variance)


def _maximum_of_block(
    design: Design, block: Block, parts: list[np.ndarray], deviation: np.ndarray
) -> Maximum:
    """The same over the feasible cells of tied attributes, by simulation with fixed draws."""
    rng = np.random.default_rng(0)
    functions = np.array([design.shape[a] - 1 for a in block.attributes])
    own = np.sqrt(functions / functions.sum())
    common = _common(design, block, parts)
    added = np.zeros((DRAWS, len(block.cells)))
    for j, a in enumerate(block.attributes):
        half = rng.normal(size=(DRAWS // 2, design.shape[a])) * own[j] / _spread(design, a)
        added += np.vstack([half, -half])[:, block.cells[:, j]]
    best, shift = np.argmax(common, axis=1), added @ block.probabilities
    gain, variance = np.zeros((2, len(deviation)))
    for s in np.flatnonzero(deviation > 0):
        top = (common[s] + deviation[s] * added).max(axis=1)
        gain[s] = (top - common[s, best[s]] - deviation[s] * added[:, best[s]]).mean()
        variance[s] = (top - deviation[s] * shift).var()
    return Maximum(gain, variance)
