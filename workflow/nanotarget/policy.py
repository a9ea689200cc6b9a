"""Policies: rules that give every respondent a petition."""

from __future__ import annotations

import numpy as np

from nanotarget.design import Design
from nanotarget.score import best_petitions


def random(n: int, design: Design, rng: np.random.Generator) -> np.ndarray:
    """Give each of n respondents a petition drawn from the design; (n, n_attributes)."""
    return design.draw(n, rng)


def overall_best(common: np.ndarray, n: int, design: Design) -> np.ndarray:
    """Give n respondents the one petition that is best on average; (n, n_attributes).

    Args:
        common: (total levels,) part-worths averaged over the population.
    """
    return np.repeat(best_petitions(common[None, :], design), n, axis=0)


def nano(utilities: np.ndarray, design: Design) -> np.ndarray:
    """Give each respondent the petition that is best for her; (n, n_attributes).

    Args:
        utilities: (n, total levels) part-worths.
    """
    return best_petitions(utilities, design)
