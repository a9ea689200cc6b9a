"""Covariates randomly permuted across respondents, with full refit: what does a learner find in noise?

The learner is an additive ridge regression with linear covariate features, which shares all but its
covariates between permutations. Respondents keep their answers and survey weights, hence their moments G_i
and c_i (see `learners.ridge`); a permutation only decides which features z go with which of them. Choices
are judged by the quadratic approximation of their log-likelihood at the common preferences, which no
permutation changes either, so that one linear solution a fold and penalty is all there is to compute.

The penalty of the person-specific part is the one with the smallest loss in the same folds whose loss is
then reported. That makes the improvement too good, but in every permutation alike: the choice is part of
the statistic, and comparing it with its permutations is an exact test, without the cost of nested folds,
that covariates are independent of answers and weights (Phipson & Smyth 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.calibrate.learners.crossfit import permuted_order
from nanotarget.calibrate.learners.ridge import (
    COMMON,
    SMALLEST_DIAGONAL,
    Equations,
    Moments,
    Regression,
    choose_penalties,
    compared_moments,
    conjugate_gradients,
    equations_of,
    fit_common_choice,
    packed,
    second_moments,
    solve,
    sum_of,
)
from nanotarget.diagnose.quantities import Estimator, Quantity
from nanotarget.diagnose.rows import Estimate, Row, Sample
from nanotarget.petitions import policy
from nanotarget.petitions.encoding import ROUNDING, CovariateEncoder, contrasts, indicators
from nanotarget.petitions.utilities import Tables, additive_layout
from nanotarget.study import ties
from nanotarget.study.progress import steps

# Candidates for the penalty of the person-specific part, relative to the mean diagonal of its Gram block,
# from strong to weak, so that a tie goes to the stronger; infinity is the null.
CANDIDATES = np.append(np.inf, 10.0 ** np.arange(2.0, -1.1, -0.5))
PATIENCE = 2  # candidates in a row that are no better
RANKS = 30
SHARES = [f"share_{rank + 1}" for rank in range(RANKS)]
COLUMNS = ("draw", "improvement", "distinct", "effective", "share_divergent", "penalty")
ABUNDANCE_COLUMNS = ("source", "rank", "share", "share_low", "share_high")


class Draw(NamedTuple):
    """What a refit finds; the columns of `permutation_table` after the draw."""

    improvement: float
    distinct: float
    effective: float
    share_divergent: float
    penalty: float
    shares: np.ndarray


@dataclass(frozen=True)
class Permutations:
    """Refits to the data and to permuted covariates, compared.

    Attributes:
        table: a `permutation_table` in the order of draws, of which the first is 0.
    """

    table: pd.DataFrame

    @classmethod
    def of(cls, batches: Sequence[pd.DataFrame]) -> Permutations:
        """Put batches of draws together; none at all is no draw."""
        empty = pd.DataFrame(columns=[*COLUMNS, *SHARES])
        table = pd.concat(batches) if batches else empty
        return cls(table.sort_values("draw", ignore_index=True))

    @property
    def _compared(self) -> bool:
        """Whether there is anything to compare the data with."""
        return len(self.table) > 1

    def numbers(self, sample: Sample) -> list[Row]:
        """Return how many petitions nano gives, in the data and on average over permutations."""
        quantities = {Quantity.EFFECTIVE_NUMBER: "effective", Quantity.DISTINCT_PETITIONS: "distinct"}
        rows = []
        for quantity, column in quantities.items() if self._compared else ():
            values = self.table[column]
            rows.append(sample.row(quantity, Estimator.OBSERVED, values.iloc[0]))
            rows.append(sample.row(quantity, Estimator.PERMUTED, values.iloc[1:].mean()))
        return rows

    def improvement(self, sample: Sample) -> list[Row]:
        """Return by how much covariates lower the held-out loss, with the p-value of the permutations."""
        if not self._compared:
            return []
        values = self.table["improvement"].to_numpy()
        estimate = Estimate(values[0], p_value=p_value(values))
        return [sample.row(Quantity.RIDGE_IMPROVEMENT, Estimator.PERMUTATION, estimate)]

    def abundance(self) -> pd.DataFrame:
        """Return abundance.csv; without any draw it has no row."""
        shares = self.table[SHARES].to_numpy(np.float64)
        if not len(shares):
            return pd.DataFrame(columns=list(ABUNDANCE_COLUMNS))
        return abundance_table(shares[0], shares[1:])


def permutation_table(
    data: TrainingData, fold: np.ndarray, draws: Sequence[int], seed: int, worst: bool = False
) -> pd.DataFrame:
    """Refit to the data (draw 0) and to covariates permuted across respondents (draws 1, 2, ...).

    Args:
        data: the calibration.
        fold: (n_rows,) fold of each row; a respondent's rows are in one fold.
        draws: which; draw d permutes the covariates as `crossfit.permute_covariates` does.
        seed: root seed.
        worst: nano is to find each respondent's worst petition (dissuasion).

    Returns:
        One row a draw:
        draw;
        improvement: how much lower the held-out loss is than without a person-specific part, a mean over
            respondents with their survey weights. Rating: squared error of a rating within the respondent
            (points squared). Choice: quadratic approximation of the negative log-likelihood of a choice
            (nats). Never negative, because the null is among the candidates;
        distinct, effective: number of different petitions that nano gives to respondents, each by the model
            of the other folds, and exponential of the Shannon entropy of their shares;
        share_divergent: share of respondents, weighted, whose petition is not the best for the average
            respondent of the other folds;
        penalty: of the person-specific part, absolute, as `penalty_specific` of ridge;
        share_1, ..., share_30: shares of the most frequent petitions, 0 where there are fewer.

    Raises:
        ValueError: if a respondent's rows are in several folds.
    """
    refit = _Refit.of(data, fold)
    rows = []
    for draw in steps(draws, "fits to permuted covariates"):
        order = permuted_order(data.n_respondents, draw, seed) if draw else np.arange(data.n_respondents)
        *numbers, shares = refit.statistics(order, worst)
        rows.append((draw, *numbers, *shares))
    return pd.DataFrame(rows, columns=[*COLUMNS, *SHARES])


def p_value(statistics: np.ndarray) -> float:
    """Return how often a statistic is as large as the first, the first included.

    Args:
        statistics: (1 + n_permutations,) of the data themselves, then of each permutation.
    """
    return ties.share_as_large(statistics[1:], statistics[0])


def ranked_shares(petition_ids: np.ndarray) -> np.ndarray:
    """Return the (30,) shares of the most frequent petitions among (n,) ids, 0 where there are fewer."""
    counts = np.sort(np.unique(petition_ids, return_counts=True)[1])[::-1][:RANKS]
    return np.pad(counts / len(petition_ids), (0, RANKS - len(counts)))


def abundance_table(observed: np.ndarray, permuted: np.ndarray) -> pd.DataFrame:
    """Compare how often the most frequent petitions are assigned with a null of no predictable differences.

    Args:
        observed: (30,) `ranked_shares`.
        permuted: (n_permutations, 30) those of permuted covariates.

    Returns:
        source ("observed", "permuted"), rank from 1, share (of permutations: the median), share_low and
        share_high (5th and 95th percentile of the permutations; missing for what is observed). Ranks that
        no petition has are left out.
    """
    parts = [pd.DataFrame({"source": "observed", "rank": np.arange(1, RANKS + 1), "share": observed})]
    if len(permuted):
        low, middle, high = np.quantile(permuted, [0.05, 0.5, 0.95], axis=0)
        band = {"share": middle, "share_low": low, "share_high": high}
        parts.append(pd.DataFrame({"source": "permuted", "rank": np.arange(1, RANKS + 1), **band}))
    table = pd.concat(parts, ignore_index=True)
    table = table.reindex(columns=list(ABUNDANCE_COLUMNS))
    present = table[["share", "share_high"]].max(axis=1) > 0
    return table[present].reset_index(drop=True)


@dataclass(frozen=True)
class _Refit:
    """What all permutations share.

    A ridge penalty is the same in any orthonormal basis. In the principal axes of features and of contrasts
    of levels the normal equations are nearly diagonal, and conjugate gradients need few steps.

    Attributes:
        data: the calibration.
        z: (n_respondents, 1 + q) a constant and the features of the data, in their principal axes.
        basis: (total levels, r) orthonormal contrasts of levels.
        moments: of each respondent's answers in this basis.
        fold: (n_respondents,) fold of each respondent.
    """

    data: TrainingData
    z: np.ndarray
    basis: np.ndarray
    moments: Moments
    fold: np.ndarray

    @classmethod
    def of(cls, data: TrainingData, fold: np.ndarray) -> _Refit:
        """Find what no permutation changes; raises as `permutation_table`."""
        fold_of = fold[data.starts]
        if (fold_of[data.respondent] != fold).any():
            raise ValueError("covariates are permuted across respondents, whose rows must be in one fold")
        moments = choice_moments(data) if data.response.paired else compared_moments(data)
        basis = contrasts(data.design)
        basis = basis @ np.linalg.eigh(basis.T @ moments.gram.sum(axis=0) @ basis)[1]
        features = CovariateEncoder.fit(data.respondents, data.covariates).encode(data.respondents)
        size, axes = np.linalg.eigh(features.T @ features)
        axes = axes[:, size > ROUNDING * size.max(initial=0.0)]
        z = np.column_stack([np.ones(len(features)), features @ axes])
        return cls(data, z, basis, moments.projected(basis), fold_of)

    @cached_property
    def weight(self) -> np.ndarray:
        """(n_respondents,) survey weights."""
        return self.data.weight

    @cached_property
    def unit(self) -> np.ndarray:
        """(n_respondents,) what a respondent's summed squares weigh in the mean loss."""
        answers = np.bincount(self.data.respondent[self.data.response.losses_of])
        return self.weight / self.weight.sum() / answers

    @cached_property
    def members(self) -> list[np.ndarray]:
        """Respondents of each fold."""
        return [np.flatnonzero(self.fold == f) for f in np.unique(self.fold)]

    @cached_property
    def penalty_common(self) -> float:
        """Penalty of the common part, chosen beside nothing."""
        constant = self.z[:, :1]
        group = np.full(self.basis.shape[1], COMMON)
        return float(choose_penalties(self.shares(constant), group, wanted=(COMMON,))[COMMON])

    def shares(self, z: np.ndarray) -> list[Equations]:
        """Return what each fold adds to the normal equations, given (n_respondents, 1 + q) features."""
        return [
            equations_of(gram, self.moments.cross[own], z[own], self.weight[own])
            for own, gram in zip(self.members, self._packed, strict=True)
        ]

    @cached_property
    def _packed(self) -> list[np.ndarray]:
        """By fold, the respondents' products of contrasts, none twice."""
        return [packed(self.moments.gram[own]) for own in self.members]

    def solutions(self, z: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], list[float]]:
        """Solve the normal equations of all but each fold for one penalty after the other.

        Weaker penalties are not tried when `PATIENCE` of them have not lowered the held-out loss.

        Returns:
            (n_candidates,) penalties; of those tried the (n_folds, 1 + q, r) coefficients, and the mean
            held-out loss up to a constant.
        """
        shares = self.shares(z)
        gram, cross = sum_of(shares)
        training = [  # in the place of the shares, as memory is what takes time
            (np.subtract(gram, gram_out, out=gram_out), cross - cross_out) for gram_out, cross_out in shares
        ]
        r = self.basis.shape[1]
        penalties = (
            CANDIDATES * max(np.diag(gram)[r:].mean(), SMALLEST_DIAGONAL)
            if len(cross) > r
            else CANDIDATES[:1]
        )
        solution = np.zeros((len(shares), len(cross)))
        tried: list[np.ndarray] = []
        losses: list[float] = []
        for candidate in penalties:
            for own, (train, right) in zip(solution, training, strict=True):
                if np.isinf(candidate):
                    own[:r] = solve(train[:r, :r], right[:r], self.penalty_common)
                else:
                    penalty = np.repeat([self.penalty_common, candidate], [r, len(right) - r])
                    own[:] = conjugate_gradients(train, right, penalty, own)
            tried.append(solution.reshape(len(shares), z.shape[1], r).copy())
            losses.append(self.loss(z, tried[-1]))
            if len(losses) - 1 - ties.first_smallest(losses) >= PATIENCE:
                break
        return penalties, tried, losses

    def loss(self, z: np.ndarray, solutions: np.ndarray) -> float:
        """Return the mean held-out loss up to a constant."""
        total = 0.0
        for own, solution in zip(self.members, solutions, strict=True):
            utility = np.tensordot(z[own], solution, 1)
            image = np.einsum("njk,nk->nj", self.moments.gram[own], utility)
            total += self.unit[own] @ (utility * (image - 2 * self.moments.cross[own])).sum(axis=1)
        return float(total)

    def petitions(self, z: np.ndarray, solutions: np.ndarray, worst: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return each respondent's nano petition and her fold's overall best, (n, n_attributes) both.

        Args:
            z: (n_respondents, 1 + q) features.
            solutions: (n_folds, 1 + q, r) coefficients.
            worst: the lowest utility instead.
        """
        layout = additive_layout(self.data.design)
        cells = np.empty((len(z), layout.n_cells))
        average = np.empty((len(solutions), layout.n_cells))
        for f, (own, solution) in enumerate(zip(self.members, solutions, strict=True)):
            tables = solution @ self.basis.T
            cells[own] = z[own] @ tables
            others = np.delete(np.arange(len(z)), own)
            average[f] = np.average(z[others], axis=0, weights=self.weight[others]) @ tables
        nano, best = (policy.nano(Tables(layout, values), worst) for values in (cells, average))
        return nano, best[np.unique(self.fold, return_inverse=True)[1]]

    def statistics(self, order: np.ndarray, worst: bool) -> Draw:
        """Return what is found if (n,) respondents have the covariates of others."""
        z = self.z[order]
        penalties, solutions, losses = self.solutions(z)
        best = ties.first_smallest(losses)
        nano, overall_best = self.petitions(z, solutions[best], worst)
        ids = self.data.design.petition_ids(nano)
        number = policy.concentration(ids)
        divergent = (nano != overall_best).any(axis=1)
        return Draw(
            float(losses[0] - losses[best]),
            number["distinct"],
            number["effective"],
            float(np.average(divergent, weights=self.weight)),
            float(penalties[best]),
            ranked_shares(ids),
        )


def choice_moments(data: TrainingData) -> Moments:
    """Moments of choices, whose log-likelihood is approximated at the common preferences.

    Half the squares of the working response approximate the negative log-likelihood.
    """
    encoded = data.compared(indicators(data.levels, data.design))
    nothing = np.zeros((data.n_respondents, 0))
    problem = Regression(data, nothing, np.zeros(0, dtype=bool), additive_layout(data.design))
    response, weight = data.response.working(data.outcome, problem.utility(fit_common_choice(problem)))
    starts = np.searchsorted(problem.respondent, np.arange(data.n_respondents))
    return second_moments(encoded, response, weight / 2, starts)
