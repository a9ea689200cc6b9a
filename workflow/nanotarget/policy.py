"""Policies: rules that give every respondent a petition."""

from __future__ import annotations

import numpy as np

from nanotarget.design import Design
from nanotarget.encoding import level_offsets
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


def segment(utilities: np.ndarray, petitions: np.ndarray, design: Design) -> np.ndarray:
    """Give each respondent the best of a few petitions; (n, n_attributes), ties to the first.

    Args:
        utilities: (n, total levels) part-worths.
        petitions: (k, n_attributes) the petitions to choose from.
    """
    return petitions[utilities_of_all(utilities, petitions, design).argmax(axis=1)]


STARTS = 10  # searches for the best set, from different first petitions


def best_set(utilities: np.ndarray, weight: np.ndarray, k: int, design: Design) -> np.ndarray:
    """Choose k petitions so that, everyone given the best of them, average utility is high.

    Begins with one petition and adds, one at a time, the respondent's best petition that raises the
    average most. Then it alternates between giving everyone the best of the k and replacing each by the
    petition that is best on average for those who got it (Lloyd 1982); when that no longer helps it
    exchanges one petition for some respondent's best, if that does, and goes on. The average rises with
    every step. Begun once with the overall-best petition and again with the most frequent best ones; the
    best end wins. Fewer than k petitions come out when more would add nothing.

    Args:
        utilities: (n, total levels) part-worths of the population that the petitions are for.
        weight: (n,) survey weights.
        k: largest number of petitions.

    Returns:
        (at most k, n_attributes) level indices, by petition id.
    """
    candidates, kind = np.unique(best_petitions(utilities, design), axis=0, return_inverse=True)
    values = utilities_of_all(utilities, candidates, design)
    common = candidates[np.argsort(-np.bincount(kind.ravel(), weights=weight), kind="stable")]
    starts = [best_petitions((weight @ utilities)[None, :], design)]
    starts += [common[[j]] for j in range(min(len(common), STARTS if k > 1 else 0))]

    def average(petitions: np.ndarray) -> float:
        return float(weight @ utilities_of_all(utilities, petitions, design).max(axis=1))

    def centred(petitions: np.ndarray) -> np.ndarray:
        member = utilities_of_all(utilities, petitions, design).argmax(axis=1)
        totals = np.array([weight[member == j] @ utilities[member == j] for j in np.unique(member)])
        return np.unique(best_petitions(totals, design), axis=0)

    def exchanged(petitions: np.ndarray) -> np.ndarray:
        own = utilities_of_all(utilities, petitions, design)
        totals = [
            weight @ np.maximum(np.delete(own, j, axis=1).max(axis=1, initial=-np.inf)[:, None], values)
            for j in range(len(petitions))
        ]
        out, new = np.unravel_index(np.argmax(totals), np.shape(totals))
        return np.vstack([np.delete(petitions, out, axis=0), candidates[new]])

    def search(chosen: np.ndarray) -> tuple[float, np.ndarray]:
        while len(chosen) < k:
            reached = utilities_of_all(utilities, chosen, design).max(axis=1)
            gains = weight @ np.maximum(values - reached[:, None], 0)
            if gains.max() <= 0:
                break
            chosen = np.vstack([chosen, candidates[gains.argmax()]])
        value, improved = average(chosen), True
        while improved:
            improved = False
            for step in (centred, exchanged):
                other = step(chosen)
                if average(other) > value:
                    chosen, value, improved = other, average(other), True
                    break
        return value, np.unique(chosen, axis=0)

    return max((search(start) for start in starts), key=lambda found: found[0])[1]


def utilities_of_all(utilities: np.ndarray, petitions: np.ndarray, design: Design) -> np.ndarray:
    """Return the (n, n_petitions) utilities of every respondent for each of a list of petitions."""
    columns = level_offsets(design)[:-1] + petitions
    return sum((utilities[:, columns[:, a]] for a in range(columns.shape[1])), np.zeros(1))
