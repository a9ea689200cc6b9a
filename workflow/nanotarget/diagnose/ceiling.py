"""From variances to outcome units: how much could be gained if people's own best petition were known?

G = E max_x {m(x) + h(x)} - max_x m(x),

m the common utilities, h what a person adds: independent normal deviations of the levels of an attribute,
whose variance under the design is the attribute's share of the variance of h. With exchangeable levels this
is the sum over attributes of E_L {sqrt(s^2 + tau^2) - s} (docs/methods.md, section 5); here the estimated
gaps between the levels stay as they are. Attributes that prohibitions tie together are maximised over
feasible combinations.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from nanotarget.petitions.design import Block, Design
from nanotarget.petitions.encoding import split_levels

# Nodes in standard deviations: the integrand is below 1e-14 outside.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(120)
NODES, WEIGHTS = 8 * _NODES, 8 * _WEIGHTS
DRAWS = 4000  # of the levels of tied attributes


def gain_ceiling(
    design: Design, part_worths: np.ndarray, variance: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """Return the gain of who knows each person's deviations over the best petition for all.

    Args:
        part_worths: (n_samples, total levels) common utilities, outcome units.
        variance: (n_samples,) of a person's deviations over petitions; negative estimates count as zero.
        shares: (n_blocks,) parts of the variance, adding up to 1.

    Returns:
        (n_samples,) gain in outcome units.
    """
    parts = split_levels(part_worths, design)
    total = np.zeros(len(part_worths))
    for block, share in zip(design.blocks, shares, strict=True):
        deviation = np.sqrt(np.maximum(variance, 0) * share)
        if len(block.attributes) == 1:
            levels = parts[block.attributes[0]]
            total += _gain_of_levels(levels, deviation / _spread(design, block.attributes[0]))
        else:
            total += _gain_of_block(design, block, parts, deviation)
    return total


def ceiling_samples(
    design: Design, part_worths: np.ndarray, variance: np.ndarray, shares: np.ndarray
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

    Returns:
        (1 + n_samples,) gains, not below zero.
    """
    gains = gain_ceiling(design, part_worths, variance, shares)
    fixed = gain_ceiling(design, part_worths, np.full(len(variance), variance[0]), shares)
    bias = fixed[1:].mean() - fixed[0] if len(fixed) > 1 else 0.0
    gains[0] -= bias
    gains[1:] -= 2 * bias
    return np.maximum(gains, 0)


def _spread(design: Design, attribute: int) -> float:
    """Standard deviation under the design of independent standard normal deviations of the levels."""
    return float(np.sqrt(1 - (design.level_probabilities(attribute) ** 2).sum()))


def _gain_of_levels(levels: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """E max of independent normals less the largest mean: integral of Phi(t) (1 - prod of the others' Phi).

    Args:
        levels: (n_samples, n_levels) means.
        deviation: (n_samples,) standard deviation of each.
    """
    ordered = np.sort(levels, axis=1)
    gaps = ordered[:, [-1]] - ordered[:, :-1]
    gain = np.zeros(len(levels))
    some = np.flatnonzero(deviation > 0)
    scaled = gaps[some] / deviation[some, None]
    others = special.ndtr(NODES[None, :, None] + scaled[:, None, :]).prod(axis=2)
    gain[some] = deviation[some] * ((special.ndtr(NODES) * (1 - others)) @ WEIGHTS)
    return gain


def _gain_of_block(
    design: Design, block: Block, parts: list[np.ndarray], deviation: np.ndarray
) -> np.ndarray:
    """The same over the feasible cells of tied attributes, by simulation with fixed draws."""
    rng = np.random.default_rng(0)
    functions = np.array([design.shape[a] - 1 for a in block.attributes])
    own = np.sqrt(functions / functions.sum())
    common = np.sum([parts[a][:, block.cells[:, j]] for j, a in enumerate(block.attributes)], axis=0)
    added = np.zeros((DRAWS, len(block.cells)))
    for j, a in enumerate(block.attributes):
        half = rng.normal(size=(DRAWS // 2, design.shape[a])) * own[j] / _spread(design, a)
        added += np.vstack([half, -half])[:, block.cells[:, j]]
    best = np.argmax(common, axis=1)
    gain = np.zeros(len(deviation))
    for s in np.flatnonzero(deviation > 0):
        top = (common[s] + deviation[s] * added).max(axis=1)
        gain[s] = (top - common[s, best[s]] - deviation[s] * added[:, best[s]]).mean()
    return gain
