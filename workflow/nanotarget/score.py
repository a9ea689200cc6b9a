"""Everyone against every petition: exact best and worst petitions from part-worths.

Utilities are additive over attributes, so the maximum over the feasible grid separates over the
design's independent blocks: per respondent the work is the number of cells of the blocks, never
the number of petitions. Ties go to the petition with the lowest id.
"""

from __future__ import annotations

import numpy as np

from nanotarget.design import Block, Design
from nanotarget.encoding import level_offsets


def block_utilities(utilities: np.ndarray, block: Block, design: Design) -> np.ndarray:
    """Return the (n, n_cells) utility of each feasible cell of a block."""
    offsets = level_offsets(design)
    total = np.zeros((len(utilities), len(block.cells)))
    for attribute, levels in zip(block.attributes, block.cells.T, strict=True):
        total += utilities[:, offsets[attribute] + levels]
    return total


def best_petitions(utilities: np.ndarray, design: Design) -> np.ndarray:
    """Return each respondent's feasible petition of highest utility.

    Args:
        utilities: (n, total levels) part-worths; negate them for the worst petition.

    Returns:
        (n, n_attributes) level indices.
    """
    petitions = np.empty((len(utilities), len(design.attributes)), dtype=np.int64)
    for block in design.blocks:
        cell = block_utilities(utilities, block, design).argmax(axis=1)
        petitions[:, list(block.attributes)] = block.cells[cell]
    return petitions


def response(
    eta: np.ndarray, utilities: np.ndarray, intercept: np.ndarray | float, outcome_kind: str, design: Design
) -> np.ndarray:
    """Turn utilities into the unit of the outcome.

    Rating: intercept plus utility. Choice: probability to be chosen against an opponent drawn from
    the design, E L(eta - eta') with L the logistic function.

    Args:
        eta: (n,) utilities of the petitions.
        utilities: (n, total levels) part-worths of the same respondents.

    Returns:
        (n,) rating points or probabilities.
    """
    return intercept + eta if outcome_kind == "rating" else win_probability(eta, utilities, design)


# Quadrature over frequencies: the integrand below decays like exp(-pi w), so 8 leaves 1e-11. The nodes
# follow its waves for differences of utility up to 40 log-odds; beyond any real preference.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
FREQUENCIES, FREQUENCY_WEIGHTS = 4 * (_NODES + 1), 4 * _WEIGHTS


def win_probability(eta: np.ndarray, utilities: np.ndarray, design: Design) -> np.ndarray:
    """Return the (n,) probability that a petition of utility eta beats one drawn from the design.

    The opponent's utility is a sum of independent parts, one a block, so its characteristic function
    is a product; with L(t) = 1/2 + int_0^inf sin(w t) / sinh(pi w) dw (Gradshteyn & Ryzhik 3.981.1)
    the mean over all opponents is one integral over w. No opponent is ever enumerated.
    """
    values = [block_utilities(utilities, block, design) for block in design.blocks]
    total = np.full(len(eta), 0.5)
    for frequency, weight in zip(FREQUENCIES, FREQUENCY_WEIGHTS, strict=True):
        wave = np.exp(1j * frequency * eta)
        for block, value in zip(design.blocks, values, strict=True):
            wave *= np.exp(-1j * frequency * value) @ block.probabilities
        total += weight / np.sinh(np.pi * frequency) * wave.imag
    return total
