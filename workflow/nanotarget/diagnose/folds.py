"""What scores of different folds have in common.

A rule follows the noise of the answers that it was learned from, and these are other folds' evidence. Let n_k
be the noise of the answers of fold k, and let fold k be scored n_k'r(s + what the other n_j say) by a rule r
learned from signal s and noise. If r is linear, two folds have E[(n_j'n_k)^2] / (K - 1)^2 in common, so that
the variance of the mean over folds is that of independent scores times 1 + the share of noise in the rule
(cf. Bengio & Grandvalet 2004). A rule that chooses by a threshold is not linear; Stein's identity gives the
covariance of two folds as a product of mean derivatives:

- where people stand at different thresholds, of their mean choices' derivatives, 2 phi(0) each: the linear
  part of a choice, 2 / pi of its variance, counts;
- where all stand at the same threshold (two petitions tie for overall-best, and noise says which is taken)
  the K - 2 folds that two rules have both learned from decide for both: the mean of 4 phi(R)^2 over
  R ~ N(0, K - 2), times K - 1, which is (2 / pi) (K - 1) / sqrt(2 K - 3). It is 2 / pi with two folds and .96
  with five, and grows without bound: with very many folds a tie would be judged by itself.

How much noise is in a rule is seen from two rules that were learned from disjoint halves.

The noise part is a sum over ordered pairs of people, one who is scored and one who is learned from. A
division uses those of different folds, 1 - 1 / K of them; the mean over many divisions uses all, each a share
1 - 1 / K of the time, so that this part of the variance is smaller by 1 - 1 / K. With S divisions it is
smaller by 1 - (1 - 1 / S) / K (exact for linear rules; for choices a little too large, see the tests).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.petitions import policy
from nanotarget.petitions.design import Design
from nanotarget.petitions.score import best_petitions

LINEAR_PART_OF_CHOICE = 2 / np.pi
PEOPLE_AT_ONCE = 5_000  # respondents of whom all values are in memory


@dataclass(frozen=True)
class Change:
    """What the rules of both halves of a division give instead of overall-best.

    Its *values* are orthonormal functions of nano's petitions less those of overall-best; scores of answers
    to a petition x weigh them with the product of these and the functions of x.

    Attributes:
        terms: which add up: (n_cells, k) functions of a block of attributes, and the (2, n_respondents) cells
            of nano's and of the overall-best petitions. Those of one block stand beside those of others.
    """

    terms: Sequence[Sequence[Term]]

    def values(self, members: slice) -> np.ndarray:
        """Return the (2, m, k) values of some respondents."""
        blocks = (
            sum(functions[nano[:, members]] - functions[best[:, members]] for functions, nano, best in own)
            for own in self.terms
        )
        return np.concatenate(list(blocks), axis=2)

    @cached_property
    def _squares(self) -> tuple[np.ndarray, np.ndarray]:
        n = self.terms[0][0].nano.shape[1]
        square, product = np.empty(n), np.empty(n)
        for start in range(0, n, PEOPLE_AT_ONCE):
            own = slice(start, start + PEOPLE_AT_ONCE)
            values = self.values(own)
            square[own] = np.einsum("hnk,hnk->n", values, values) / 2
            product[own] = np.einsum("nk,nk->n", *values)
        return square, product

    @property
    def square(self) -> np.ndarray:
        """(n_respondents,) mean square of both."""
        return self._squares[0]

    @property
    def product(self) -> np.ndarray:
        """(n_respondents,) product of both."""
        return self._squares[1]

    def means(self, share: np.ndarray) -> np.ndarray:
        """Return (2, k) means over respondents with these shares."""

        def mean(term: Term, half: int) -> np.ndarray:
            n = len(term.functions)
            new, old = (np.bincount(cells[half], share, n) for cells in (term.nano, term.best))
            return (new - old) @ term.functions

        return np.array(
            [np.concatenate([sum(mean(term, half) for term in own) for own in self.terms]) for half in (0, 1)]
        )

    def plus(self, other: Change) -> Change:
        """Return the sum with another change by the same halves."""
        return Change([[*one, *two] for one, two in zip(self.terms, other.terms, strict=True)])


class Term(NamedTuple):
    """See `Change`."""

    functions: np.ndarray
    nano: np.ndarray
    best: np.ndarray


@dataclass(frozen=True)
class Rules:
    """Rules learned from both halves of a division, and what they give to everybody.

    Attributes:
        nano: (2, n_respondents, n_attributes) petitions of the rules.
        best: (2, n_respondents, n_attributes) the overall-best petition as either half sees it.
        design: the petitions.
    """

    nano: np.ndarray
    best: np.ndarray
    design: Design

    @classmethod
    def of(cls, halves: Crossfit) -> Rules:
        """Return the rules of both models of a cross-fit with two folds."""
        people, n = halves.data.respondents, halves.data.n_respondents
        own = [model.utilities(people) for model in halves.models]
        best = [np.tile(best_petitions(common), (n, 1)) for common in halves.common]
        nano = np.array([policy.nano(utilities) for utilities in own])
        return cls(nano, np.array(best), halves.data.design)

    @cached_property
    def change(self) -> Change:
        """What the rules give instead of overall-best."""
        terms = []
        for block in self.design.blocks:
            smallest = np.min_scalar_type(len(block.cells))  # there are many divisions and many people
            nano, best = (
                block.cell_of(shown.reshape(-1, shown.shape[-1])).reshape(shown.shape[:2]).astype(smallest)
                for shown in (self.nano, self.best)
            )
            terms.append([Term(block.functions(1), nano, best)])
        return Change(terms)


def shared_threshold(folds: int) -> float:
    """Return what a choice at a threshold that all have in common counts, in shares of its variance."""
    return LINEAR_PART_OF_CHOICE * (folds - 1) / np.sqrt(2 * folds - 3)


def shared_noise(one: np.ndarray, other: np.ndarray, weight: np.ndarray, folds: int) -> float:
    """Return the factor on a standard error for what folds share, for rules that are linear in noise.

    Args:
        one, other: (n,) or (n, k) what two rules learned from disjoint halves do, zero for nothing.
        weight: (n,).
        folds: number of folds K; their rules have learned from more answers than those of the halves.

    Returns:
        1 (signal) to sqrt(2) (noise).
    """

    def product(a: np.ndarray, b: np.ndarray) -> float:
        return float(weight @ (a * b).reshape(len(a), -1).sum(axis=1))

    total = (product(one, one) + product(other, other)) / 2
    return _factor(folds, [(total, product(one, other), 1.0)])


def shared_choices(changes: Sequence[Change], weight: np.ndarray, folds: int, divisions: int = 1) -> float:
    """Return the factor on a standard error for what folds share, for rules that choose.

    What a rule changes for all alike and what it changes for the person are judged apart.

    Args:
        changes: for each division into halves.
        weight: (n,).
        folds: number of folds K.
        divisions: that scores are averaged over; the error is that of one of them.
    """
    share = weight / weight.sum()
    parts = np.zeros((2, 2))  # for all alike, for the person: mean square, mean product of the halves
    for change in changes:
        mean = change.means(share)
        alike = (mean**2).sum() / 2, mean[0] @ mean[1]
        parts += [alike, (share @ change.square - alike[0], share @ change.product - alike[1])]
    counted = (shared_threshold(folds), LINEAR_PART_OF_CHOICE)
    return _factor(folds, [(*part, count) for part, count in zip(parts, counted, strict=True)], divisions)


def _factor(folds: int, parts: Sequence[tuple[float, float, float]], divisions: int = 1) -> float:
    """Return the factor from the parts of a rule: mean square, mean product of halves, what noise counts."""
    signal = sum(max(product, 0) for _, product, _ in parts)
    noises = [max(square - max(product, 0), 0) / 2 / (1 - 1 / folds) for square, product, _ in parts]
    if signal + sum(noises) <= 0:
        return 1.0
    used = 1 - (1 - 1 / divisions) / folds
    noise = used * sum(noise * (1 + count) for noise, (_, _, count) in zip(noises, parts, strict=True))
    return float(np.sqrt((signal + noise) / (signal + sum(noises))))
