"""Policies: rules that give every respondent a petition."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nanotarget.petitions.design import Design
from nanotarget.petitions.score import best_petitions
from nanotarget.petitions.utilities import Tables, Utilities, average, in_memory


def random(n: int, design: Design, rng: np.random.Generator) -> np.ndarray:
    """Give each of n respondents a petition drawn from the design; (n, n_attributes)."""
    return design.draw(n, rng, fielded=True)


def overall_best(population: Utilities, weight: np.ndarray, worst: bool = False) -> np.ndarray:
    """Return the (n_attributes,) petition with the highest average utility.

    Args:
        population: utilities of the people that it is for.
        weight: (n,) their survey weights.
        worst: the lowest average utility instead (dissuasion).
    """
    return best_petitions(average(population, weight), worst)[0]


def nano(utilities: Utilities, worst: bool = False) -> np.ndarray:
    """Give each respondent the petition that is best (or worst) for her; (n, n_attributes)."""
    return best_petitions(utilities, worst)


def segment(utilities: Utilities, petitions: np.ndarray) -> np.ndarray:
    """Give each respondent the best of a few petitions; (n, n_attributes), ties to the first.

    Args:
        petitions: (k, n_attributes) the petitions to choose from.
    """
    return petitions[utilities.utilities_of_all(petitions).argmax(axis=1)]


def concentration(petition_ids: np.ndarray) -> dict[str, float]:
    """Say how concentrated an assignment is.

    Returns:
        n respondents, distinct petitions, the effective number of petitions (exponential of the Shannon
        entropy of their shares) and the share of the most frequent one.
    """
    _, counts = np.unique(petition_ids, return_counts=True)
    return {
        "n": int(counts.sum()),
        "distinct": len(counts),
        "effective": effective_number(counts),
        "top_share": float(counts.max() / counts.sum()),
    }


def effective_number(counts: np.ndarray) -> float:
    """Return exp of the Shannon entropy of shares: how many equally frequent petitions are as diverse.

    Args:
        counts: (k,) respondents, or their weights, by petition.
    """
    share = counts[counts > 0] / counts.sum()
    return float(np.exp(-(share @ np.log(share))))


STARTS = 10  # searches for the best set, from different first petitions
CANDIDATES = 300  # respondents' best petitions, the most frequent, that are tried as members of the set


def best_set(
    utilities: Utilities,
    weight: np.ndarray,
    k: int,
    starts: int = STARTS,
    own_best: np.ndarray | None = None,
) -> np.ndarray:
    """Choose k petitions so that, everyone given the best of them, average utility is high.

    Begins with one petition and adds, one at a time, the respondent's best petition that raises the
    average most. Then it alternates between giving everyone the best of the k and replacing each by the
    petition that is best on average for those who got it (Lloyd 1982); when that no longer helps it
    exchanges one petition for some respondent's best, if that does, and goes on. The average rises with
    every step. Begun once with the overall-best petition and again with the most frequent best ones; the
    best end wins. Fewer than k petitions come out when more would add nothing.

    Args:
        utilities: of the population that the petitions are for.
        weight: (n,) survey weights.
        k: largest number of petitions.
        starts: searches from frequent petitions, beside the one from overall-best.
        own_best: (n, n_attributes) `best_petitions` of the utilities, if they are known.

    Returns:
        (at most k, n_attributes) level indices, by petition id.
    """
    tables = in_memory(utilities)
    own_best = best_petitions(tables) if own_best is None else own_best
    candidates, kind = np.unique(own_best, axis=0, return_inverse=True)
    if len(candidates) == 1:  # nobody would be better served by another
        return candidates
    count = np.bincount(kind.ravel(), weights=weight)
    tried = np.sort(np.argsort(-count, kind="stable")[:CANDIDATES])
    candidates, count = candidates[tried], count[tried]
    search = _Search(tables, weight, candidates, k)
    first = [overall_best(tables, weight)[None]]
    first += [candidates[[j]] for j in np.argsort(-count, kind="stable")[: starts if k > 1 else 0]]
    return max((search.run(start) for start in first), key=lambda end: end[0])[1]


@dataclass(frozen=True)
class _Search:
    """A search for `size` petitions, see `best_set`; sets are (at most size, n_attributes).

    Attributes:
        tables: utilities of the population.
        weight: (n,) survey weights.
        candidates: (n_candidates, n_attributes) petitions that are tried as members.
        size: largest number of petitions.
    """

    tables: Tables
    weight: np.ndarray
    candidates: np.ndarray
    size: int

    @cached_property
    def values(self) -> np.ndarray:
        """(n, n_candidates) utilities."""
        return self.tables.utilities_of_all(self.candidates)

    def run(self, start: np.ndarray) -> tuple[float, np.ndarray]:
        """Complete a set and improve it as long as that raises the average utility; also return that."""
        chosen = self.completed(start)
        value, improved = self.average(chosen), True
        while improved:
            improved = False
            for step in (self.centred, self.exchanged):
                other = step(chosen)
                if self.average(other) > value:
                    chosen, value, improved = other, self.average(other), True
                    break
        return value, np.unique(chosen, axis=0)

    def average(self, petitions: np.ndarray) -> float:
        """Return the summed utility if everyone gets the best of the set."""
        return float(self.weight @ self.tables.utilities_of_all(petitions).max(axis=1))

    def completed(self, chosen: np.ndarray) -> np.ndarray:
        """Add the candidate that raises the average most, again and again while one does."""
        while len(chosen) < self.size:
            reached = self.tables.utilities_of_all(chosen).max(axis=1)
            gains = self.weight @ np.maximum(self.values - reached[:, None], 0)
            if gains.max() <= 0:
                break
            chosen = np.vstack([chosen, self.candidates[gains.argmax()]])
        return chosen

    def centred(self, petitions: np.ndarray) -> np.ndarray:
        """Replace each petition by the best one on average for those who get it."""
        member = self.tables.utilities_of_all(petitions).argmax(axis=1)
        shares = self.weight * (member == np.unique(member)[:, None])
        return np.unique(best_petitions(self.tables.average(shares)), axis=0)

    def exchanged(self, petitions: np.ndarray) -> np.ndarray:
        """Exchange the one petition for the one candidate that raises the average most."""
        own = self.tables.utilities_of_all(petitions)
        totals = [
            self.weight
            @ np.maximum(np.delete(own, j, axis=1).max(axis=1, initial=-np.inf)[:, None], self.values)
            for j in range(len(petitions))
        ]
        out, new = np.unravel_index(np.argmax(totals), np.shape(totals))
        return np.vstack([np.delete(petitions, out, axis=0), self.candidates[new]])
