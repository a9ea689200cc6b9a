"""Penalised regression with separate penalties for common and person-specific preferences.

Utility of petition x for respondent i with covariate features z_i:
    eta_i(x) = d(x)' (b + T' z_i) + p(x)' g,
d(x) the centred level indicators, b the common part-worths, T the person-specific part (lines and curves of
the covariates), and, if wanted, p(x) the products of d(x) of two attributes with common interactions g.
Ratings are regressed within respondents (a respondent's mean drops out), choices between the petitions of a
task follow a logit of the differences of utilities.

All fits need only each respondent's moments G_i = sum d d' and c_i = sum d y (demeaned ratings, or
weighted differences of pairs), because the Gram matrix of attributes x features is
    sum_i (z~_i z~_i') kron G_i,   z~_i = (1, z_i),
one matrix product over respondents. Folds subtract their share; no design matrix is ever built. Products
of attributes are many but common to all, so their moments are summed over chunks of respondents.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.linalg

from nanotarget.calibrate.learners.base import DRAWS, AdditiveModel, TrainingData
from nanotarget.petitions.design import Design
from nanotarget.petitions.encoding import CovariateEncoder, indicators
from nanotarget.petitions.utilities import Layout, Tables, additive_layout
from nanotarget.study import ties
from nanotarget.study.seeds import child_rng

FOLDS = 5  # inner folds of respondents for choosing penalties
# Groups of coefficients, each with a penalty of its own, and their names in `Model.fit`.
COMMON, LINE, CURVE, PAIR = range(4)
PENALTY_NAMES = ("penalty_common", "penalty_specific", "penalty_curved", "penalty_interactions")
# Candidates relative to the mean diagonal of the group's Gram block, from strong to weak, so that a tie goes
# to the stronger; infinity leaves the group out.
CANDIDATES = {
    COMMON: 10.0 ** np.arange(0.0, -5.1, -0.5),
    LINE: np.append(np.inf, 10.0 ** np.arange(2.0, -1.1, -0.25)),
    CURVE: np.append(np.inf, 10.0 ** np.arange(2.0, -1.1, -0.5)),
    PAIR: np.append(np.inf, 10.0 ** np.arange(2.0, -2.1, -0.5)),
}
# What a group is chosen beside. Pairs are uncorrelated with all person-specific parts under the design.
BESIDE: dict[int, tuple[int, ...]] = {COMMON: (), LINE: (COMMON,), CURVE: (COMMON, LINE), PAIR: (COMMON,)}
SPARING = (CURVE, PAIR)  # groups that most worlds do without
SMALLEST_DIAGONAL = 1e-8
TOLERANCE = 1e-8  # of a solution by conjugate gradients, relative
MOST_STEPS = 10_000  # of conjugate gradients; far more than systems that are nearly diagonal take
NEWTON_STEPS = 50
NEWTON_TOLERANCE = 1e-8
SEARCHABLE = 1_000_000  # petitions among which attributes may interact
PRODUCTS_AT_ONCE = 2_000  # respondents of whom products of features are in memory
PEOPLE_AT_ONCE = 500  # respondents of whom products of attributes are in memory

# Normal equations: a Gram matrix and cross moments.
Equations = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Moments:
    """Second moments of every respondent's contribution to the penalised least squares.

    Attributes:
        gram: (n_respondents, L, L) with L total levels.
        cross: (n_respondents, L).
        square: (n_respondents,) sum of squares of the (working) response.
    """

    gram: np.ndarray
    cross: np.ndarray
    square: np.ndarray

    def projected(self, basis: np.ndarray) -> Moments:
        """Return the moments of the same rows in another (L, r) basis."""
        return Moments(basis.T @ self.gram @ basis, self.cross @ basis, self.square)


def compared_moments(data: TrainingData) -> Moments:
    """Moments of answers and indicators after subtracting each respondent's means."""
    found = []
    for part in data.parts(PEOPLE_AT_ONCE):
        encoded, answers = part.compared(indicators(part.levels, part.design)), part.compared(part.outcome)
        found.append(second_moments(encoded, answers, np.ones(len(encoded)), part.starts))
    parts = zip(*((own.gram, own.cross, own.square) for own in found), strict=True)
    return Moments(*map(np.concatenate, parts))


def paired_differences(data: TrainingData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return difference of indicators, whether the first was chosen, and respondent, one row per task."""
    encoded = data.compared(indicators(data.levels, data.design))
    return encoded, data.outcome[::2], data.respondent[::2]


def second_moments(rows: np.ndarray, response: np.ndarray, weight: np.ndarray, starts: np.ndarray) -> Moments:
    """Sum weighted products of rows and responses of each respondent, whose rows begin at `starts`."""
    weighted = rows * weight[:, None]
    cross = np.add.reduceat(weighted * response[:, None], starts)
    square = np.add.reduceat(weight * response**2, starts)
    return Moments(sums_of_products(weighted, rows, starts), cross, square)


def sums_of_products(left: np.ndarray, right: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sum the products of (n_rows, a) and (n_rows, b) rows from each of (n,) `starts` on; (n, a, b)."""
    counts = np.diff(np.append(starts, len(left)))
    total = np.empty((len(starts), left.shape[1], right.shape[1]))
    for count in np.unique(counts):
        members = np.flatnonzero(counts == count)
        own = starts[members, None] + np.arange(count)
        total[members] = np.swapaxes(left[own], 1, 2) @ right[own]
    return total


def joint_moments(moments: Moments, features: np.ndarray, weight: np.ndarray) -> Equations:
    """Gram matrix and cross moments of level indicators x (1, features).

    Args:
        features: (n_respondents, q).
        weight: (n_respondents,) survey weights.

    Returns:
        ((1+q) L, (1+q) L) and ((1+q) L,), feature-major: the first L entries are the common part.
    """
    z = np.column_stack([np.ones(len(features)), features])
    return equations_of(packed(moments.gram), moments.cross, z, weight)


def packed(gram: np.ndarray) -> np.ndarray:
    """Return the (n, L (L + 1) / 2) upper triangles of (n, L, L) symmetric matrices."""
    a, b = np.triu_indices(gram.shape[1])
    return gram[:, a, b]


def equations_of(gram: np.ndarray, cross: np.ndarray, z: np.ndarray, weight: np.ndarray) -> Equations:
    """Return what `joint_moments` does, from moments that many fits have in common.

    Args:
        gram: (n_respondents, L (L + 1) / 2), see `packed`.
        cross: (n_respondents, L).
        z: (n_respondents, 1 + q) features, a constant first.
        weight: (n_respondents,) survey weights.
    """
    q, total = z.shape[1], cross.shape[1]
    # The Gram matrix is symmetric in features, and each of its blocks in levels.
    (j, k), (a, b) = np.triu_indices(q), np.triu_indices(total)
    weighted = z * weight[:, None]
    own = np.zeros((len(j), len(a)))
    for start in range(0, len(z), PRODUCTS_AT_ONCE):
        part = slice(start, start + PRODUCTS_AT_ONCE)
        own += (weighted[part].T[j] * z[part].T[k]) @ gram[part]
    place = np.empty((total, total), dtype=int)
    place[a, b] = place[b, a] = np.arange(len(a))
    blocks = np.take(own, place, axis=1)
    whole = np.empty((q, total, q, total))
    whole[j, :, k] = whole[k, :, j] = blocks
    return whole.reshape(q * total, q * total), (weighted.T @ cross).ravel()


def solve(gram: np.ndarray, right: np.ndarray, penalty: np.ndarray | float) -> np.ndarray:
    """Solve penalised normal equations for one (n,) or several (n, k) right-hand sides."""
    if not len(gram):
        return np.zeros_like(right)
    matrix = np.array(gram.T, order="F")  # symmetric, and LAPACK's own order
    matrix.reshape(-1, order="F")[:: len(gram) + 1] += penalty
    _, solution, failed = scipy.linalg.lapack.dposv(matrix, right, lower=1, overwrite_a=1)
    if failed:
        raise np.linalg.LinAlgError("normal equations are not positive definite")
    return solution


def conjugate_gradients(
    gram: np.ndarray, right: np.ndarray, penalty: np.ndarray | float, start: np.ndarray
) -> np.ndarray:
    """Solve penalised normal equations that are nearly diagonal, scaled to a diagonal of ones.

    Systems that differ in their right-hand sides or penalties are solved side by side.

    Args:
        gram: (k, k) without the penalties.
        right: (k,), or (k, m) of m systems.
        penalty: positive, of the shape of `right` or one that it takes in broadcasting, not negligible beside
            the diagonal of `gram`.
        start: a guess of the solution, in the shape of `right`.

    Raises:
        ArithmeticError: if the iterations do not converge.
    """
    root = np.sqrt(np.diag(gram).reshape(-1, *[1] * (right.ndim - 1)) + penalty)

    def product(scaled: np.ndarray) -> np.ndarray:
        vector = scaled / root
        return (gram @ vector + penalty * vector) / root

    scaled, solution = right / root, start * root
    left = scaled - product(solution)
    direction, length = left, (left**2).sum(axis=0)
    enough = TOLERANCE**2 * (scaled**2).sum(axis=0)
    for _ in range(MOST_STEPS):
        going = length > enough
        if not going.any():
            return solution / root
        image = product(direction)
        step = np.where(going, length, 0.0) / np.where(going, (direction * image).sum(axis=0), 1.0)
        solution = solution + step * direction
        left = left - step * image
        before, length = length, (left**2).sum(axis=0)
        direction = left + np.where(going, length, 0.0) / np.where(going, before, 1.0) * direction
    raise ArithmeticError("conjugate gradients did not converge")


def held_out_losses(
    train: Equations, held_out: Equations, penalty: np.ndarray, candidates: np.ndarray, specific: bool
) -> np.ndarray:
    """Return the squared error of held-out answers, up to a constant, for candidates of one group's penalty.

    What is fixed is eliminated once, so that a candidate costs no more than the size of its group.

    Args:
        train, held_out: normal equations of the coefficients that are fixed, then of the group.
        penalty: of each coefficient that is fixed.
        candidates: infinity leaves the group out.
        specific: whether the group is of features, in their principal axes.
    """
    (gram, cross), (gram_out, cross_out) = train, held_out
    fixed = len(penalty)
    across = gram[:fixed, fixed:]
    both = solve(gram[:fixed, :fixed], np.column_stack([across, cross[:fixed]]), penalty)
    slope, start = both[:, :-1], both[:, -1]
    # In the order of LAPACK, which would turn it round for every candidate.
    own_gram = np.asfortranarray(gram[fixed:, fixed:] - across.T @ slope)
    own_cross = cross[fixed:] - across.T @ start
    own = np.zeros((len(own_cross), len(candidates)))
    finite = np.flatnonzero(np.isfinite(candidates))
    if specific:
        right = np.tile(own_cross[:, None], len(finite))
        own[:, finite] = conjugate_gradients(own_gram, right, candidates[finite], np.zeros_like(right))
    else:  # few coefficients, and penalties next to nothing
        for c in finite:
            own[:, c] = solve(own_gram, own_cross, candidates[c])
    solutions = np.vstack([start[:, None] - slope @ own, own])
    return np.einsum("jc,jc->c", solutions, gram_out @ solutions - 2 * cross_out[:, None])


def choose_penalties(
    shares: Sequence[Equations],
    group: np.ndarray,
    chosen: np.ndarray | None = None,
    wanted: tuple[int, ...] = (COMMON, LINE, CURVE, PAIR),
) -> np.ndarray:
    """Choose one penalty per group by cross-validation over folds of respondents, one group after the other.

    Each is chosen beside what `BESIDE` names; all but the common part may be left out. Curves and pairs,
    which most worlds do without, must lower the held-out loss by more than its standard error over folds
    (the rule of Breiman et al. 1984, sec. 3.4.3).

    Args:
        shares: what each fold adds to the normal equations, features in their principal axes
            (`Regression.in_principal_axes`).
        group: (n_coefficients,) group of each coefficient.
        chosen: (4,) penalties so far, if any.
        wanted: groups whose penalty is chosen.

    Returns:
        (4,) penalties in absolute units; infinite for a group that is left out or not there.
    """
    gram, cross = sum_of(shares)
    penalties = np.full(len(PENALTY_NAMES), np.inf) if chosen is None else chosen.copy()
    for own in wanted:
        members = np.flatnonzero(group == own)
        if not len(members):
            continue
        # Nothing to learn from: penalties stay positive.
        candidates = CANDIDATES[own] * np.maximum(np.diag(gram)[members], SMALLEST_DIAGONAL).mean()
        fixed = np.flatnonzero(np.isin(group, BESIDE[own]) & np.isfinite(penalties[group]))
        both = np.append(fixed, members)
        whole = part_of(gram, both)
        losses = np.empty((len(shares), len(candidates)))
        for f, (gram_out, cross_out) in enumerate(shares):
            held_out = part_of(gram_out, both), cross_out[both]
            train = whole - held_out[0], cross[both] - held_out[1]
            losses[f] = held_out_losses(
                train, held_out, penalties[group[fixed]], candidates, specific=own in (LINE, CURVE)
            )
        best = ties.first_smallest(losses.sum(axis=0))
        gain = losses[:, 0] - losses[:, best]
        spread = gain.std(ddof=1) if len(gain) > 1 else np.inf  # one respondent proves nothing
        if own in SPARING and gain.sum() <= spread * np.sqrt(len(gain)):
            best = 0
        penalties[own] = candidates[best]
    return penalties


def part_of(matrix: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return rows and columns of a square matrix, as a view if they are successive."""
    if (np.diff(index) == 1).all():
        span = slice(index[0], index[-1] + 1)
        return matrix[span, span]
    return matrix[np.ix_(index, index)]


def sum_of(shares: Sequence[Equations]) -> Equations:
    """Add up normal equations."""
    gram, cross = np.zeros_like(shares[0][0]), np.zeros_like(shares[0][1])
    for own_gram, own_cross in shares:
        gram += own_gram
        cross += own_cross
    return gram, cross


def identified_pairs(design: Design) -> tuple[tuple[int, ...], ...]:
    """Return the pairs of attributes whose combinations of levels are all shown.

    With a combination missing the product of two attributes cannot be told from their single levels in
    every direction, so such pairs have no interaction. There are none where the grid has more than
    `SEARCHABLE` petitions: pairs tie all attributes together, and the best of so many could not be searched.
    """
    if math.prod(design.shape) > SEARCHABLE:
        return ()
    pairs = itertools.combinations(range(len(design.shape)), 2)
    return tuple(pair for pair in pairs if (design.joint_probabilities(pair) > 0).all())


def level_contrasts(design: Design, subset: tuple[int, ...]) -> np.ndarray:
    """Return products of the orthonormal contrasts of some attributes, one row a combination of levels.

    A penalty on the coefficients of orthonormal contrasts treats all levels alike, one on those of their
    products all combinations: relabelling levels changes nothing.

    Returns:
        (n combinations, product of the numbers of levels less 1); columns have mean zero under the design,
        and, of attributes that are drawn independently, given the level of one of them.
    """
    products = np.ones((1, 1))
    for a in subset:
        basis = scipy.linalg.helmert(design.shape[a]).T
        products = np.kron(products, basis - design.level_probabilities(a) @ basis)
    return products - design.joint_probabilities(subset).ravel() @ products


@dataclass(frozen=True)
class Regression:
    """What is regressed on what.

    Attributes:
        data: the answers.
        features: (n_respondents, q) covariate features.
        curved: (q,) which of them are curves.
        layout: single attributes, then the pairs that interact.
    """

    data: TrainingData
    features: np.ndarray
    curved: np.ndarray
    layout: Layout

    @cached_property
    def contrasts(self) -> list[np.ndarray]:
        """`level_contrasts` of each table of the layout."""
        return [level_contrasts(self.data.design, subset) for subset in self.layout.subsets]

    @property
    def n_attributes(self) -> int:
        """Number of attributes, whose tables come first in the layout."""
        return len(self.data.design.shape)

    @cached_property
    def z(self) -> np.ndarray:
        """(n_respondents, 1 + q) features, a constant first."""
        return np.column_stack([np.ones(len(self.features)), self.features])

    @cached_property
    def group(self) -> np.ndarray:
        """(n_coefficients,) group of each coefficient: contrasts x (1, features), then products."""
        sizes = [table.shape[1] for table in self.contrasts]
        singles, pairs = sum(sizes[: self.n_attributes]), sum(sizes[self.n_attributes :])
        of_features = np.append(COMMON, np.where(self.curved, CURVE, LINE))
        return np.append(np.repeat(of_features, singles), np.full(pairs, PAIR))

    @cached_property
    def respondent(self) -> np.ndarray:
        """(n_comparisons,) respondent of each comparison."""
        return self.data.response.of_comparisons(self.data.respondent)

    @property
    def n_singles(self) -> int:
        """Number r of contrasts of the single attributes."""
        return sum(table.shape[1] for table in self.contrasts[: self.n_attributes])

    @cached_property
    def singles(self) -> np.ndarray:
        """(n_comparisons, r) compared contrasts of the single attributes."""
        return self.compared(self.data, slice(0, self.n_attributes))

    def singles_of(self, members: np.ndarray) -> np.ndarray:
        """Return the contrasts of comparisons of some respondents; of ratings, asked once, none are kept."""
        inside = self._are(members)
        if self.data.response.paired:
            return self.singles[inside[self.respondent]]
        return self.compared(self.data.subset(inside[self.data.respondent]), slice(0, self.n_attributes))

    def compared(self, data: TrainingData, tables: slice) -> np.ndarray:
        """Return the compared contrasts of the profiles of some respondents for some tables of the layout."""
        layout = replace(self.layout, subsets=self.layout.subsets[tables])
        cells = layout.cells_of(data.levels) - layout.offsets[:-1]
        columns = [table[cell] for table, cell in zip(self.contrasts[tables], cells.T, strict=True)]
        return data.compared(np.hstack(columns))

    def equations(
        self, response: np.ndarray, precision: np.ndarray, members: np.ndarray, crossed: bool = True
    ) -> Equations:
        """Return the normal equations of some respondents.

        Args:
            response, precision: (n_comparisons,) what is regressed, and how much a comparison weighs
                beside the survey weight; ratings weigh 1.
            members: (m,) respondents, ascending.
            crossed: whether moments of pairs of attributes with contrasts x features are wanted, which cost
                more than all others; else they are left zero.
        """
        rows = self._are(members)[self.respondent]
        starts = np.searchsorted(self.respondent[rows], members)
        moments = second_moments(self.singles_of(members), response[rows], precision[rows], starts)
        gram, cross = joint_moments(moments, self.features[members], self.data.weight[members])
        if len(self.contrasts) == self.n_attributes:
            return gram, cross
        if crossed or self.data.response.paired:
            between, own, own_cross = self._pair_moments(response, precision, members)
        else:
            between, own, own_cross = self._common_pair_moments(response, members)
        return np.block([[gram, between.T], [between, own]]), np.append(cross, own_cross)

    def _are(self, members: np.ndarray) -> np.ndarray:
        """(n_respondents,) whether respondents are members."""
        inside = np.zeros(self.data.n_respondents, dtype=bool)
        inside[members] = True
        return inside

    def in_principal_axes(self) -> tuple[Regression, np.ndarray]:
        """Turn straight features, and curves, so that the normal equations are nearly diagonal.

        A ridge penalty is the same in any orthonormal basis.

        Returns:
            The same problem, straight features first, and the (1 + q, 1 + q) axes, orthonormal: its features
            are `z @ axes`.
        """
        axes, curved = np.zeros([self.z.shape[1]] * 2), np.sort(self.curved)
        axes[0, 0] = 1
        for which in (False, True):
            own = self.features[:, self.curved == which]
            rows, columns = (1 + np.flatnonzero(inside == which) for inside in (self.curved, curved))
            axes[np.ix_(rows, columns)] = np.linalg.eigh(own.T @ own)[1]
        return replace(self, features=self.features @ axes[1:, 1:], curved=curved), axes

    def turned_back(self, equations: Equations, axes: np.ndarray) -> Equations:
        """Return the normal equations in the features themselves from those in principal axes."""
        (gram, cross), q, r = equations, len(axes), self.n_singles
        size = q * r

        def turn(rows: np.ndarray) -> np.ndarray:
            return (axes @ rows.reshape(q, -1)).reshape(rows.shape)

        gram = gram.copy()
        gram[:size] = turn(gram[:size])
        gram[:, :size] = turn(np.ascontiguousarray(gram[:, :size].T)).T
        return gram, np.append(turn(cross[:size]), cross[size:])

    def _pair_moments(
        self, response: np.ndarray, precision: np.ndarray, members: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return moments of pairs (R) with contrasts x features (R, (1+q) r), pairs (R, R), response (R,)."""
        n_pairs = int((self.group == PAIR).sum())
        own, own_cross = np.zeros((n_pairs, n_pairs)), np.zeros(n_pairs)
        for rows, contrasts in self._contrasts_in_parts(members):
            products = contrasts[:, self.n_singles :]
            weighted = products * (precision * self.data.weight[self.respondent])[rows, None]
            own += weighted.T @ products
            own_cross += weighted.T @ response[rows]
        return self.pairs_with_features(precision, members), own, own_cross

    def pairs_with_features(self, precision: np.ndarray, members: np.ndarray) -> np.ndarray:
        """Return the (R, (1+q) r) moments of pairs with contrasts x features of some respondents."""
        n_pairs, r = int((self.group == PAIR).sum()), self.n_singles
        total = np.zeros((self.z.shape[1], n_pairs, r))
        for rows, contrasts in self._contrasts_in_parts(members):
            who = self.respondent[rows]
            starts = np.flatnonzero(np.diff(who, prepend=-1))
            weighted = contrasts[:, r:] * (precision[rows] * self.data.weight[who])[:, None]
            each = sums_of_products(weighted, contrasts[:, :r], starts)
            total += (self.z[who[starts]].T @ each.reshape(len(each), -1)).reshape(total.shape)
        return total.transpose(1, 0, 2).reshape(n_pairs, -1)

    def _contrasts_in_parts(self, members: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield comparisons of some respondents, and their contrasts of single attributes, then pairs."""
        for part in np.array_split(members, -(-len(members) // PEOPLE_AT_ONCE)):
            inside = self._are(part)
            answers = self.data.subset(inside[self.data.respondent])
            rows = np.flatnonzero(inside[self.respondent])
            yield rows, self.compared(answers, slice(None))

    def _common_pair_moments(
        self, response: np.ndarray, members: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the same of ratings, with contrasts x features other than the constant left zero.

        Contrasts c of a rating less those m of the respondent on average have the moments
        sum c c' - sum m m', and of equal petitions c are equal.
        """
        data, inside = self.data, self._are(members)
        rows, weight = np.flatnonzero(inside[data.respondent]), data.weight[members]
        person = np.searchsorted(members, data.respondent[rows])
        answers = np.bincount(person)
        cells = self.layout.cells_of(data.levels[rows]) - self.layout.offsets[:-1]
        means = np.hstack(
            [
                np.bincount(person * len(table) + cell, minlength=len(members) * len(table)).reshape(
                    len(members), len(table)
                )
                @ table
                for table, cell in zip(self.contrasts, cells.T, strict=True)
            ]
        )
        means /= answers[:, None]
        _, first, kind = np.unique(
            data.design.petition_ids(data.levels[rows]), return_index=True, return_inverse=True
        )
        shown = np.hstack([table[cell] for table, cell in zip(self.contrasts, cells[first].T, strict=True)])
        mass = np.bincount(kind, weight[person])
        r = self.n_singles
        moments = (shown * mass[:, None]).T[r:] @ shown - (means * (weight * answers)[:, None]).T[r:] @ means
        between = np.zeros((len(moments), self.z.shape[1] * r))
        between[:, :r] = moments[:, :r]
        # Ratings less a respondent's mean add up to zero.
        own_cross = shown[:, r:].T @ np.bincount(kind, weight[person] * response[rows])
        return between, moments[:, r:], own_cross

    def tables(self, coefficients: np.ndarray) -> np.ndarray:
        """Turn (..., n_coefficients) into the (..., 1 + q, n_cells) tables of an `AdditiveModel`."""
        split = self.n_attributes
        to_singles, to_pairs = (
            scipy.linalg.block_diag(*part) for part in (self.contrasts[:split], self.contrasts[split:])
        )
        n, total = self.z.shape[1], to_singles.shape[1]
        lead = coefficients.shape[:-1]
        tables = np.zeros((*lead, n, self.layout.n_cells))
        tables[..., : len(to_singles)] = (
            coefficients[..., : n * total].reshape(*lead, n, total) @ to_singles.T
        )
        if len(self.contrasts) > split:
            tables[..., 0, len(to_singles) :] = coefficients[..., n * total :] @ to_pairs.T
        return tables

    def utility(self, coefficients: np.ndarray) -> np.ndarray:
        """Return the (n_comparisons,) compared utilities."""
        size = self.z.shape[1] * self.n_singles
        own = self.z @ coefficients[:size].reshape(self.z.shape[1], -1)
        utility = np.einsum("ij,ij->i", self.singles, own[self.respondent])
        if len(self.contrasts) == self.n_attributes:
            return utility
        pairs = replace(self.layout, subsets=self.layout.subsets[self.n_attributes :])
        cells = self.tables(coefficients)[:1, -pairs.n_cells :]  # common to all
        same = np.zeros(len(self.data.levels), dtype=int)
        return utility + self.data.compared(Tables(pairs, cells).utility_of_rows(self.data.levels, same))

    def kept_features(self, penalties: np.ndarray) -> np.ndarray:
        """(q,) which features have a finite penalty."""
        return np.isfinite(penalties[np.where(self.curved, CURVE, LINE)])

    def restricted(self, penalties: np.ndarray) -> Regression:
        """Return the problem without the groups whose penalty is infinite."""
        kept = self.kept_features(penalties)
        tables = None if np.isfinite(penalties[PAIR]) else self.n_attributes
        layout = replace(self.layout, subsets=self.layout.subsets[:tables])
        return replace(self, features=self.features[:, kept], curved=self.curved[kept], layout=layout)


def fit_ridge(data: TrainingData, seed: int, interactions: bool = False) -> AdditiveModel:
    """Fit common and person-specific part-worths, all penalties chosen by cross-validation.

    Args:
        data: training data; a choice needs the same number of profiles in every task.
        seed: root seed of the inner folds.
        interactions: whether pairs of attributes may interact, for everybody alike.
    """
    encoder = CovariateEncoder.fit(data.respondents, data.covariates, curved=True)
    return _fit(data, encoder, identified_pairs(data.design) if interactions else (), seed)


def fit_null(data: TrainingData, seed: int, interactions: bool = False) -> AdditiveModel:
    """Fit the common part alone: the null of no person-specific preferences.

    Args:
        interactions: whether pairs of attributes may interact, as for the learner it is compared with.
    """
    return _fit(data, CovariateEncoder(()), identified_pairs(data.design) if interactions else (), seed)


def _fit(
    data: TrainingData, encoder: CovariateEncoder, pairs: tuple[tuple[int, ...], ...], seed: int
) -> AdditiveModel:
    layout = Layout(data.design, (*additive_layout(data.design).subsets, *pairs))
    problem = Regression(data, encoder.encode(data.respondents), encoder.curved, layout)
    fold = child_rng(seed, "ridge/inner folds").permutation(
        np.arange(data.n_respondents) % min(FOLDS, data.n_respondents)
    )
    members = [np.flatnonzero(fold == f) for f in range(fold.max() + 1)]
    fit = _fit_logit if data.response.paired else _fit_linear
    penalties, solution, gram, noise = fit(problem, members)
    kept = problem.restricted(penalties)
    spread = posterior_draws(gram, penalties[kept.group], noise, child_rng(seed, "ridge/draws"))
    own_layout, tables, draws = kept.layout, kept.tables(solution), kept.tables(solution + spread)
    if data.response.none:
        fitted = Tables(kept.layout, kept.z @ tables)
        level = data.response.level_of_utility(data, fitted.utility_of_rows(data.levels, data.respondent))
        own_layout = replace(own_layout, subsets=(*own_layout.subsets, ()))
        tables, draws = (with_level(part, level) for part in (tables, draws))
    return AdditiveModel(
        design=data.design,
        response=data.response,
        encoder=encoder.restricted(problem.kept_features(penalties)),
        intercept=data.response.intercept(data),
        fit=dict(zip(PENALTY_NAMES, penalties.tolist(), strict=True)),
        layout=own_layout,
        coefficients=tables,
        draws=draws,
    )


def with_level(tables: np.ndarray, level: float) -> np.ndarray:
    """Append a cell that all petitions have, the same for everybody, to (..., 1 + q, n_cells) tables."""
    cell = np.zeros((*tables.shape[:-1], 1))
    cell[..., 0, 0] = level
    return np.append(tables, cell, axis=-1)


def posterior_draws(
    gram: np.ndarray, penalty: np.ndarray, noise: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw the error of the coefficients: a ridge penalty is a normal prior, taken as known.

    Args:
        gram: (k, k) of the normal equations without penalties.
        penalty: (k,) of each coefficient.
        noise: variance of one answer.

    Returns:
        (DRAWS, k) draws with mean zero.
    """
    root = np.linalg.cholesky(gram + np.diag(penalty))
    standard = rng.normal(size=(len(gram), DRAWS))
    return scipy.linalg.solve_triangular(root, standard, lower=True, trans="T").T * np.sqrt(noise)


# Penalties, the coefficients that they leave, the Gram matrix of these, variance of one answer.
Fit = tuple[np.ndarray, np.ndarray, np.ndarray, float]


def _fit_linear(problem: Regression, folds: Sequence[np.ndarray]) -> Fit:
    data, weight = problem.data, problem.data.weight
    response = data.compared(data.outcome)
    turned, axes = problem.in_principal_axes()
    equal = np.ones(len(response))
    shares = [turned.equations(response, equal, members, crossed=False) for members in folds]
    penalties = choose_penalties(shares, turned.group)
    kept = np.flatnonzero(np.isfinite(penalties[problem.group]))
    gram, cross = problem.turned_back(sum_of(shares), axes)
    gram, cross = gram[np.ix_(kept, kept)], cross[kept]
    own = problem.restricted(penalties)
    if np.isfinite(penalties[PAIR]) and own.features.shape[1]:
        between = own.pairs_with_features(equal, np.arange(data.n_respondents))
        gram[-len(between) :, : -len(between)] = between
        gram[: -len(between), -len(between) :] = between.T
    solution = solve(gram, cross, penalties[problem.group[kept]])
    answers = weight @ np.bincount(data.respondent) - weight.sum()
    noise = (weight[data.respondent] @ response**2 - solution @ cross) / max(answers, 1.0)
    return penalties, solution, gram, noise


def _fit_logit(problem: Regression, folds: Sequence[np.ndarray]) -> Fit:
    """Penalties from quadratic approximations of the likelihood, then Newton to its optimum.

    Curves are judged at the fit of the straight lines: at common preferences the saturation of the logit
    itself looks like a curve.
    """
    data, group = problem.data, problem.group
    turned, _ = problem.in_principal_axes()
    coefficients = np.zeros(len(group))

    def fit(penalties: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kept = np.isfinite(penalties[group])
        solution, gram = _newton(problem.restricted(penalties), coefficients[kept], penalties[group[kept]])
        coefficients[kept] = solution
        return solution, gram

    def shares() -> list[Equations]:
        response = data.response.working(data.outcome, problem.utility(coefficients))
        return [turned.equations(*response, members, crossed=False) for members in folds]

    coefficients[group == COMMON] = fit_common_choice(problem)
    penalties = choose_penalties(shares(), turned.group, wanted=(COMMON, LINE, PAIR))
    solution, gram = fit(penalties)
    if problem.curved.any():
        penalties = choose_penalties(shares(), turned.group, penalties, wanted=(CURVE,))
        if np.isfinite(penalties[CURVE]):
            solution, gram = fit(penalties)
    return penalties, solution, gram, 1.0


def fit_common_choice(problem: Regression) -> np.ndarray:
    """Fit the common part alone to choices, with a weak penalty; (r,) coefficients of contrasts."""
    common = problem.restricted(np.full(len(PENALTY_NAMES), np.inf))
    n_tasks, size = common.singles.shape
    return _newton(common, np.zeros(size), np.full(size, 1e-3 * n_tasks / size))[0]


def _newton(problem: Regression, solution: np.ndarray, penalty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maximise the penalised likelihood of choices; also returns the Hessian without penalties."""
    data = problem.data
    everybody = np.arange(data.n_respondents)
    for _ in range(NEWTON_STEPS):
        response = data.response.working(data.outcome, problem.utility(solution))
        gram, cross = problem.equations(*response, everybody)
        new = solve(gram, cross, penalty)
        change = np.abs(new - solution).max()
        solution = new
        if change < NEWTON_TOLERANCE:
            return solution, gram
    raise ArithmeticError("the logit of choices did not converge")
