"""What the calibration says about each respondent, as moments from which the diagnosis is computed.

Answers are written as r = h_i(x) + noise after the common part has been taken out; h_i is what the
respondent adds. Under the design the functions g(x) of a block of attributes (`Block.functions`) are
orthonormal, so a respondent's vector A_i = mean of r g(x) estimates the coordinates of h_i without bias, and
products of vectors from independent answers estimate squared lengths without bias:

- of two *tasks of one respondent*: the variance of h, response noise being independent between tasks
  (Haseman & Elston 1972 regress such products on likeness in the same way);
- of two *respondents*: what is common to all, here the error of the common part that was taken out;
- of two respondents, times what one's covariates tell of the other: what covariates tell (`projection`).

A choice compares two petitions: r is chosen (1/2) or not (-1/2) of the first, and g(x) the difference of
the two petitions' functions. Functions then have variance 2 instead of 1; `sides` corrects for it. Of a
choice among more petitions, or none, each petition is an answer of its own (`ChoiceAmong`).
All sums are kept by respondent, so that survey weights, bootstrap samples and subgroups are weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.calibrate.learners.ridge import sums_of_products
from nanotarget.diagnose.covariance import Covariance
from nanotarget.diagnose.value import other_task_means
from nanotarget.petitions.design import Block, Design
from nanotarget.petitions.encoding import level_offsets

PAIRS_AT_ONCE = 200_000  # pairs of answers that are in memory, unless they are one respondent's
FEW_CELLS = 100  # of a block, whose likeness is looked up in a table


def difference(sides: Sequence[np.ndarray]) -> np.ndarray:
    """Return values of the petition an answer is about, or of the first less those of the second."""
    return sides[0] if len(sides) == 1 else sides[0] - sides[1]


@dataclass(frozen=True)
class Answers:
    """Answers of a calibration with the common part taken out; a row a rating or a choice of two.

    Attributes:
        design: the petitions.
        respondent: (n_rows,) index of the respondent, ascending.
        task: (n_rows,) number of the task.
        fold: (n_rows,) fold whose model gave the common part.
        sides: level indices of the petition rated, or of the two between which was chosen.
        outcome: (n_rows,) rating, or 1/2 and -1/2.
        expected: (n_rows,) the outcome that the common part of a model without these answers expects.
        n_respondents: number of respondents.
        has_baseline: whether answers have a level of their own for each respondent.
    """

    design: Design
    respondent: np.ndarray
    task: np.ndarray
    fold: np.ndarray
    sides: tuple[np.ndarray, ...]
    outcome: np.ndarray
    expected: np.ndarray
    n_respondents: int
    has_baseline: bool

    @classmethod
    def from_crossfit(cls, fitted: Crossfit) -> Answers:
        """Take the common part of every row's own fold out of its answer."""
        data, kind = fitted.data, fitted.data.response
        rows, centre = kind.answers, kind.centre
        common = fitted.common_utility(data.levels, fitted.fold)
        expected = kind.expected(fitted.intercept[fitted.unit] + common)
        return cls(
            data.design,
            data.respondent[rows],
            data.task[rows],
            fitted.fold[rows],
            kind.sides(data.levels),
            data.outcome[rows] - centre,
            expected - centre,
            data.n_respondents,
            kind.own_level,
        )

    def parts(self) -> Iterator[tuple[slice, Answers]]:
        """Yield successive respondents and their answers, so that pairs of these fit into memory."""
        rows = np.bincount(self.respondent, minlength=self.n_respondents)
        pairs, ends = np.cumsum(rows * (rows - 1) // 2), np.cumsum(rows)
        first = 0
        while first < self.n_respondents:
            done = pairs[first - 1] if first else 0
            last = max(int(np.searchsorted(pairs, done + PAIRS_AT_ONCE, side="right")), first + 1)
            own = slice(ends[first] - rows[first], ends[min(last, self.n_respondents) - 1])
            part = replace(
                self,
                respondent=self.respondent[own] - first,
                task=self.task[own],
                fold=self.fold[own],
                sides=tuple(side[own] for side in self.sides),
                outcome=self.outcome[own],
                expected=self.expected[own],
                n_respondents=min(last, self.n_respondents) - first,
            )
            yield slice(first, first + part.n_respondents), part
            first = last

    @property
    def n_sides(self) -> int:
        """1, or 2 for choices between two: variance of the functions of a row."""
        return len(self.sides)

    @cached_property
    def cells(self) -> list[list[np.ndarray]]:
        """By side and block, the (n_rows,) cells of the petitions."""
        return [[block.cell_of(side) for block in self.design.blocks] for side in self.sides]

    @cached_property
    def values(self) -> list[list[np.ndarray]]:
        """By side and block, the (n_rows, rank) functions of the petitions."""
        bases = [block.functions() for block in self.design.blocks]
        return [[basis[own] for basis, own in zip(bases, cells, strict=True)] for cells in self.cells]

    @cached_property
    def contrasts(self) -> list[np.ndarray]:
        """By block, the (n_rows, rank) functions of the petition, or of the first less the second."""
        return [difference(sides) for sides in zip(*self.values, strict=True)]

    @cached_property
    def ranks(self) -> np.ndarray:
        """(n_blocks,) number of functions of each block."""
        return np.array([block.functions().shape[1] for block in self.design.blocks])

    @cached_property
    def residual(self) -> np.ndarray:
        """(n_rows,) outcome less what is expected."""
        return self.outcome - self.expected

    def without_baseline(self, values: np.ndarray) -> np.ndarray:
        """Subtract the mean in the respondent's other tasks, which is independent of this petition."""
        if not self.has_baseline:
            return values
        return values - other_task_means(values, self.respondent, self.task)

    def unit_vectors(self, values: np.ndarray) -> Vectors:
        """Return mean vectors A of some (n_rows,) values by respondent and fold."""
        n_folds = self.fold.max() + 1
        units, of_row = np.unique(self.respondent * n_folds + self.fold, return_inverse=True)
        respondent, fold = np.divmod(units, n_folds)
        rows = np.bincount(of_row)
        products = self.without_baseline(values)[:, None] * np.hstack(self.contrasts)
        order = np.argsort(of_row, kind="stable")
        total = np.add.reduceat(products[order], np.cumsum(rows) - rows)
        share = rows / np.bincount(self.respondent, minlength=self.n_respondents)[respondent]
        return Vectors(total / (rows[:, None] * self.n_sides), respondent, fold, share, self.ranks)


@dataclass(frozen=True)
class Vectors:
    """Estimated coordinates, a row a respondent and fold (a unit).

    Attributes:
        value: (n_units, total rank).
        respondent, fold: (n_units,) whose, and of which fold.
        share: (n_units,) share of the respondent's rows that the unit has.
        ranks: (n_blocks,) columns of each block.
    """

    value: np.ndarray
    respondent: np.ndarray
    fold: np.ndarray
    share: np.ndarray
    ranks: np.ndarray

    def by_block(self, values: np.ndarray) -> np.ndarray:
        """Add up (n, total rank) values over the columns of each block: (n, n_blocks)."""
        return np.add.reduceat(values, np.cumsum(self.ranks) - self.ranks, axis=1)

    def folds(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the units of each fold and whose they are."""
        for f in np.unique(self.fold):
            units = np.flatnonzero(self.fold == f)
            yield units, self.respondent[units]

    def of_people(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (n_people, total rank) coordinates, and (n_people, n_folds) shares of rows in each fold."""
        n = self.respondent.max() + 1
        value, folds = np.zeros((n, self.value.shape[1])), np.zeros((n, self.fold.max() + 1))
        np.add.at(value, self.respondent, self.value * self.share[:, None])
        folds[self.respondent, self.fold] = self.share
        return value, folds

    def between_people(self, weights: np.ndarray) -> np.ndarray:
        """Average products of different respondents' vectors within folds.

        Args:
            weights: (n_samples, n_respondents).

        Returns:
            (n_samples, n_blocks) estimates of the squared length of E[A], by block.
        """
        return self.covariance(weights).by_block

    def covariance(self, weights: np.ndarray) -> Covariance:
        """Return the same by pairs of coordinates of a block."""
        n, ends = len(weights), np.cumsum(self.ranks)
        total = [np.zeros((n, rank, rank)) for rank in self.ranks]
        mass = np.zeros(n)
        for units, who in self.folds():
            w, value = weights[:, who] * self.share[units], self.value[units]
            squares, sums = w**2, w @ value
            mass += w.sum(axis=1) ** 2 - squares.sum(axis=1)
            for own, rank, end in zip(total, self.ranks, ends, strict=True):
                mine, part = value[:, end - rank : end], sums[:, end - rank : end]
                alone = (mine[:, :, None] * mine[:, None, :]).reshape(len(who), -1)
                own += part[:, :, None] * part[:, None, :] - (squares @ alone).reshape(n, rank, rank)
        share = np.divide(1.0, mass, out=np.zeros(n), where=mass > 0)
        return Covariance(tuple(total)).times(share)


@dataclass(frozen=True)
class Products:
    """Products of a respondent's answers in two tasks, regressed on the likeness of the petitions.

    Attributes:
        gram: (n_respondents, c, c) and
        cross: (n_respondents, c) mean moments of `regressors` over a respondent's pairs of answers.
        raw: (n_respondents,) mean product with the baseline in it.
        pairs: (n_respondents,) number of pairs.
    """

    gram: np.ndarray
    cross: np.ndarray
    raw: np.ndarray
    pairs: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[Products]) -> Products:
        """Put those of successive respondents together."""
        return cls(*(np.concatenate(own) for own in zip(*(vars(p).values() for p in parts), strict=True)))


@dataclass(frozen=True)
class PairList:
    """Pairs of rows of the same respondent in different tasks.

    Attributes:
        first, second: (n_pairs,) rows.
        lag: (n_pairs,) distance of their tasks, in tasks answered.
        product: (n_pairs,) product of residuals, the baseline removed where other tasks allow it.
        raw: (n_pairs,) product of residuals as they are.
        removed: (n_pairs,) whether the baseline was removed.
    """

    first: np.ndarray
    second: np.ndarray
    lag: np.ndarray
    product: np.ndarray
    raw: np.ndarray
    removed: np.ndarray

    @classmethod
    def of(cls, answers: Answers) -> PairList:
        """List them, without pairs of tasks that showed the same petitions (a repeated task)."""
        first, second = pairs_within(answers.respondent)
        position = task_positions(answers)
        apart = position[first] != position[second]
        apart &= ~same_petitions(answers, first, second)
        first, second = first[apart], second[apart]
        residual = answers.residual
        raw = residual[first] * residual[second]
        if not answers.has_baseline:
            none = np.zeros(len(first), dtype=bool)
            return cls(first, second, np.abs(position[first] - position[second]), raw, raw, none)
        # The respondent's mean over all tasks but these two: independent of both petitions, so that the
        # level cancels and only a constant is added to the expected product.
        who = answers.respondent
        count, total = np.bincount(who), np.bincount(who, weights=residual)
        task = np.cumsum(np.append(True, (np.diff(who) != 0) | (np.diff(answers.task) != 0))) - 1
        count_task, total_task = np.bincount(task), np.bincount(task, weights=residual)
        left = count[who[first]] - count_task[task[first]] - count_task[task[second]]
        rest = total[who[first]] - total_task[task[first]] - total_task[task[second]]
        level = np.divide(rest, left, out=np.zeros(len(first)), where=left > 0)
        product = (residual[first] - level) * (residual[second] - level)
        return cls(first, second, np.abs(position[first] - position[second]), product, raw, left > 0)


def pairs_within(group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all unordered pairs of rows with the same group, ordered by group.

    Args:
        group: (n_rows,) ascending.
    """
    sizes = np.bincount(group)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    n_pairs = sizes * (sizes - 1) // 2
    offset = np.concatenate([[0], np.cumsum(n_pairs)])
    first, second = np.empty(offset[-1], dtype=np.int64), np.empty(offset[-1], dtype=np.int64)
    for size in np.unique(sizes[sizes > 1]):
        i, j = np.triu_indices(size, 1)
        members = np.flatnonzero(sizes == size)
        place = offset[members][:, None] + np.arange(len(i))
        first[place], second[place] = starts[members][:, None] + i, starts[members][:, None] + j
    return first, second


def task_positions(answers: Answers) -> np.ndarray:
    """Return the (n_rows,) position of each row's task among the tasks its respondent answered."""
    who = answers.respondent
    person = np.append(True, np.diff(who) != 0)
    task = np.cumsum(person | np.append(True, np.diff(answers.task) != 0)) - 1
    return task - task[np.flatnonzero(person)][who]


def same_petitions(answers: Answers, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Say for pairs of choices whether both showed the same two petitions, in either order."""
    if answers.n_sides == 1:
        return np.zeros(len(first), dtype=bool)
    ids = [answers.design.petition_ids(side) for side in answers.sides]
    left, right = np.minimum(*ids), np.maximum(*ids)
    return (left[first] == left[second]) & (right[first] == right[second])


def kernels(answers: Answers, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the (n, n_blocks + 1) likeness of petitions in pairs of rows: by block, and of pairs of blocks.

    The kernel of a block is g(x)'g(x'), that of pairs the sum of its products over pairs of blocks; of
    choices the kernels of the four pairs of petitions are added with their signs. Each is divided by the
    number of functions, so that its coefficient is a variance.
    """
    ranks = answers.ranks
    total = np.zeros((len(first), len(ranks) + 1))
    for s in range(answers.n_sides):
        for t in range(answers.n_sides):
            own = np.column_stack([_likeness(answers, (s, first), (t, second), b) for b in range(len(ranks))])
            both = (own.sum(axis=1) ** 2 - (own**2).sum(axis=1)) / 2
            total += np.column_stack([own, both]) * (1 if s == t else -1)
    return total / np.append(ranks, max((ranks.sum() ** 2 - (ranks**2).sum()) / 2, 1))


def _likeness(
    answers: Answers, one: tuple[int, np.ndarray], other: tuple[int, np.ndarray], b: int
) -> np.ndarray:
    """Return the (n,) kernel of a block between petitions, each given as the side and (n,) rows."""
    (s, first), (t, second) = one, other
    basis = answers.design.blocks[b].functions()
    if len(basis) > FEW_CELLS:
        return np.einsum("ij,ij->i", answers.values[s][b][first], answers.values[t][b][second])
    table = (basis @ basis.T).ravel()
    return table[answers.cells[s][b][first] * len(basis) + answers.cells[t][b][second]]


def regressors(answers: Answers, pairs: PairList) -> np.ndarray:
    """Return what products of pairs are regressed on: (n_pairs, n_blocks + 3).

    A constant for pairs whose baseline was removed, one for pairs whose was not, then the kernels.
    """
    likeness = kernels(answers, pairs.first, pairs.second)
    return np.column_stack([pairs.removed, ~pairs.removed, likeness])


def products(answers: Answers, pairs: PairList, columns: np.ndarray, chosen: np.ndarray) -> Products:
    """Sum the moments of pairs by respondent.

    Args:
        columns: (n_pairs, c) `regressors`.
        chosen: (n_pairs,) booleans, which pairs.
    """
    n, c = answers.n_respondents, columns.shape[1]
    gram, cross, raw = np.zeros((n, c, c)), np.zeros((n, c)), np.zeros(n)
    person = answers.respondent[pairs.first[chosen]]
    count = np.bincount(person, minlength=n)
    starts = np.flatnonzero(np.diff(person, prepend=-1) != 0)
    if len(starts):
        columns, who = columns[chosen], person[starts]
        gram[who] = sums_of_products(columns, columns, starts)
        cross[who] = np.add.reduceat(columns * pairs.product[chosen][:, None], starts)
        raw[who] = np.add.reduceat(pairs.raw[chosen], starts)
    share = 1 / np.maximum(count, 1)
    return Products(gram * share[:, None, None], cross * share[:, None], raw * share, count)


def task_products(answers: Answers, pairs: PairList) -> list[np.ndarray]:
    """By block, the (n_respondents, rank, rank) mean products of coordinates in two tasks."""
    person = answers.respondent[pairs.first]
    starts = np.flatnonzero(np.diff(person, prepend=-1) != 0)
    count = np.bincount(person, minlength=answers.n_respondents)
    share = 1 / np.maximum(count, 1) / answers.n_sides**2
    moments = []
    for values, rank in zip(answers.contrasts, answers.ranks, strict=True):
        own = np.zeros((answers.n_respondents, rank, rank))
        if len(starts):
            first = values[pairs.first] * (pairs.product * share[person])[:, None]
            own[person[starts]] = sums_of_products(first, values[pairs.second], starts)
        moments.append((own + np.swapaxes(own, 1, 2)) / 2)
    return moments


def level_columns(block: Block, design: Design) -> np.ndarray:
    """Return the columns of a block's attributes among all levels."""
    offsets = level_offsets(design)
    return np.concatenate([offsets[a] + np.arange(design.shape[a]) for a in block.attributes])


def block_name(block: Block, design: Design) -> str:
    """Return the names of a block's attributes."""
    return " x ".join(design.names[a] for a in block.attributes)


def cell_indicators(block: Block, design: Design) -> np.ndarray:
    """Return the (n_cells, levels of the block's attributes) indicators of the levels of each cell."""
    return np.hstack([np.eye(design.shape[a])[block.cells[:, j]] for j, a in enumerate(block.attributes)])


def block_products(one: np.ndarray, other: np.ndarray, design: Design) -> np.ndarray:
    """Return the (n, n_blocks) covariances over petitions of two sets of (n, total levels) part-worths."""
    out = np.empty((len(one), len(design.blocks)))
    for b, block in enumerate(design.blocks):
        columns, shown = level_columns(block, design), cell_indicators(block, design)
        out[:, b] = ((one[:, columns] @ shown.T) * (other[:, columns] @ shown.T)) @ block.probabilities
    return out
