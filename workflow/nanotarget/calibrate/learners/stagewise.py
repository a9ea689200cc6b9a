"""Part-worths that change with few lines, thresholds and products of covariates, picked one after the other.

Utility of petition x for respondent i with covariates z_i:
    eta_i(x) = c common(x) + d(x)' sum_j f_j(z_i) v_j,
`common` the null's utility (pairs of attributes included), c close to 1, d(x) contrasts of levels, f_j a
*term*: a number as it is (a line), the side of a threshold, a category, or a product of two of these. Terms
are added by forward stagewise fitting (componentwise boosting: Bühlmann & Hothorn 2007): each step takes the
term along which answers deviate most from what is predicted, and moves its coefficients a part of the way.
What is never picked has no coefficients, so that covariates that do not matter do little harm, however many
they are.

Respondents are the units. Along a term the deviation of attribute a is the sum of f_i s_ia over respondents,
s_ia the sum of contrasts times residuals in her answers; its error follows from the covariance of s_ia
between people, whatever makes answers of one person alike. With chi2_a its square in units of that error,
d_a degrees of freedom, and m terms of a kind to pick from, a new term's merit is
    sum_a max(chi2_a - 2 d_a, 0) - 2 log m,
what it gains beyond Akaike's price, less what the best of m gains by chance (Foster & George 1994). Its
coefficients of attribute a are shrunk by max(1 - 2 d_a / chi2_a, 0), so that a covariate that matters for one
attribute leaves the others alone. Where a term has been picked before, nothing is charged: it may go on.

All this is done in halves of the respondents, drawn at random (subagging: Bühlmann & Yu 2002). The prediction
is the mean over halves; the number of steps is the one with which the mean over the halves without her
predicts a respondent's answers best. The fits deviate from their mean as the fit to all does from the truth
(delete-half jackknife: Shao & Wu 1989), and so they are the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg

from nanotarget.calibrate.learners.base import AdditiveModel, TrainingData
from nanotarget.calibrate.learners.ridge import fit_null, level_contrasts
from nanotarget.petitions.design import Design
from nanotarget.petitions.encoding import CovariateEncoder, indicators
from nanotarget.petitions.utilities import Tables
from nanotarget.study import ties
from nanotarget.study.seeds import child_rng

DIVISIONS = 12  # of the respondents into two halves
STEPS = 200  # at most
PATIENCE = 20  # steps without a better prediction of the other halves' answers that end the search
PACE = 0.3  # share of the way that a step takes
PRICE = 2.0  # of a degree of freedom (Akaike 1973), and of the logarithm of the number to pick from
# Of numbers: thresholds lie at quantiles, in steps of a twentieth; a few of them may be factors of products
# from the start, the others once they have been picked. With many numbers there are fewer of both.
FINE, COARSE = np.arange(1, 20) / 20, np.arange(1, 4) / 4
MANY, FINE_OF_MANY, COARSE_OF_MANY = 16, np.arange(1, 10) / 10, np.array([0.5])
SMALLEST_SIDE = 10  # people on a side of a threshold, or in a category or out of it
PRODUCTS = 60  # that a step looks at: those with the most merit at the last look at all
LOOK = 10  # steps between two looks at all products
NOTHING = -1  # the second factor of a term that is no product
TINY = np.finfo(float).tiny

Term = tuple[int, int]  # its factors


@dataclass(frozen=True)
class Terms:
    """What part-worths may change with: products of one or two *sides*.

    A side is a covariate feature as it is, or 1 above a threshold and else 0, less its training mean.

    Attributes:
        feature: (k,) feature of each side.
        threshold: (k,) its threshold; not a number where the feature is taken as it is.
        centre: (k,) its mean.
        factors: (m, 2) sides that are multiplied; the second is `NOTHING` if there is only one.
    """

    feature: np.ndarray
    threshold: np.ndarray
    centre: np.ndarray
    factors: np.ndarray

    def sides(self, features: np.ndarray) -> np.ndarray:
        """Return the (n, k) sides of (n, q) features."""
        values = features[:, self.feature]
        return np.where(np.isnan(self.threshold), values, values > self.threshold) - self.centre

    def encode(self, features: np.ndarray) -> np.ndarray:
        """Return the (n, m) terms of (n, q) features."""
        return products(self.sides(features), self.factors)


def products(sides: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return the (n, m) products of (n, k) sides by (m, 2) factors."""
    padded = np.column_stack([sides, np.ones(len(sides))])  # NOTHING is the last column
    return padded[:, factors[:, 0]] * padded[:, factors[:, 1]]


@dataclass(frozen=True)
class Candidates:
    """Terms to pick from.

    Attributes:
        terms: the sides, each a term.
        price: (k,) of picking a side among all of its kind (as it is, or of a threshold).
        factor: (k,) whether a side may be a factor of products from the start.
        pairs: (k, k) booleans: which sides may be multiplied, each pair once; of different covariates.
    """

    terms: Terms
    price: np.ndarray
    factor: np.ndarray
    pairs: np.ndarray

    @classmethod
    def of(cls, encoder: CovariateEncoder, features: np.ndarray, weight: np.ndarray) -> Candidates:
        """Find the sides of (n, q) features of respondents with (n,) weights."""
        number = np.array([f.level is None and not f.missing for f in encoder.features], dtype=bool)
        fine, coarse = (FINE_OF_MANY, COARSE_OF_MANY) if number.sum() > MANY else (FINE, COARSE)
        found: list[tuple[int, float, bool]] = []  # feature, threshold, whether it is a factor
        for j, values in enumerate(features.T):
            cuts, factors = values.mean()[None], values.mean()[None]
            if number[j]:
                found.append((j, np.nan, True))
                cuts, factors = np.unique(np.quantile(values, fine)), np.quantile(values, coarse)
            above = (values[:, None] > cuts).sum(axis=0)
            wide = np.minimum(above, len(values) - above) >= SMALLEST_SIDE
            found += [(j, cut, bool(np.isclose(cut, factors).any())) for cut in cuts[wide].tolist()]
        feature = np.array([j for j, *_ in found], dtype=int)
        threshold = np.array([cut for _, cut, _ in found], dtype=float)
        alone = np.column_stack([np.arange(len(found)), np.full(len(found), NOTHING)])
        terms = Terms(feature, threshold, np.zeros(len(found)), alone)
        line = np.isnan(threshold)
        covariate = np.array([encoder.features[j].covariate for j in feature], dtype=object)
        return cls(
            terms=replace(terms, centre=weight / weight.sum() @ terms.sides(features)),
            price=PRICE * np.log(np.maximum(np.where(line, line.sum(), (~line).sum()), 1)),
            factor=np.array([factor for *_, factor in found], dtype=bool),
            pairs=np.triu(covariate[:, None] != covariate, 1),
        )


@dataclass(frozen=True)
class Problem:
    """What is explained by what.

    Attributes:
        data: the answers.
        candidates: the terms.
        sides: (n, k) of the respondents.
        common: (n_rows,) utilities of the null.
    """

    data: TrainingData
    candidates: Candidates
    sides: np.ndarray
    common: np.ndarray

    @cached_property
    def contrasts(self) -> np.ndarray:
        """(n_rows, r) contrasts of the attributes."""
        return indicators(self.data.levels, self.data.design) @ basis_of(self.data.design)

    @cached_property
    def compared(self) -> np.ndarray:
        """(n_comparisons, r) what answers compare of them."""
        return self.data.compared(self.contrasts)

    @cached_property
    def member(self) -> np.ndarray:
        """(r, n_attributes) whether a contrast is of an attribute."""
        return np.repeat(np.eye(len(self.data.design.shape)), np.array(self.data.design.shape) - 1, axis=0)

    @cached_property
    def respondent(self) -> np.ndarray:
        """(n_comparisons,) respondent of each comparison."""
        return self.data.response.of_comparisons(self.data.respondent)

    @cached_property
    def weight(self) -> np.ndarray:
        """(n_comparisons,) survey weights."""
        return self.data.weight[self.respondent]

    def score(self, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the (n_comparisons,) weighted residuals and information of (n_rows,) utilities."""
        data, compared = self.data, self.data.compared(eta)
        if not data.response.paired:
            return self.weight * (data.compared(data.outcome) - compared), self.weight
        response, precision = data.response.working(data.outcome, compared)
        return self.weight * precision * (response - compared), self.weight * precision

    def deviations(self, eta: np.ndarray) -> np.ndarray:
        """Return the (n, r) sums of compared contrasts times residuals of each respondent."""
        starts = np.searchsorted(self.respondent, np.arange(self.data.n_respondents))
        return np.add.reduceat(self.compared * self.score(eta)[0][:, None], starts)

    def loss(self, eta: np.ndarray) -> float:
        """Return the weighted sum of the losses of (n_rows,) utilities."""
        data = self.data
        losses = data.response.held_out_losses(data.outcome, eta, data.respondent)
        return float(data.weight[data.respondent] @ losses)

    @cached_property
    def whitening(self) -> np.ndarray:
        """(r, r) by which deviations of unit weight from the null are uncorrelated within attributes."""
        deviations = self.deviations(self.common) / self.data.weight[:, None]
        return self._by_attribute(deviations.T @ deviations / len(deviations), inverse_root)

    @cached_property
    def to_coefficients(self) -> np.ndarray:
        """(r, r) inverse information of a respondent of unit weight, attribute by attribute."""
        gram = (self.compared * self.score(self.common)[1][:, None]).T @ self.compared
        return self._by_attribute(gram / self.data.n_respondents, np.linalg.pinv)

    def _by_attribute(self, matrix: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        blocks = [np.flatnonzero(own) for own in self.member.T]
        return scipy.linalg.block_diag(*(function(matrix[np.ix_(own, own)]) for own in blocks))


def basis_of(design: Design) -> np.ndarray:
    """Return the (total levels, r) contrasts of all attributes."""
    return scipy.linalg.block_diag(*(level_contrasts(design, (a,)) for a in range(len(design.shape))))


def inverse_root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric inverse root of a covariance matrix; directions without variance stay zero."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-10 * values.max(initial=TINY)
    return vectors[:, kept] / np.sqrt(values[kept]) @ vectors[:, kept].T


@dataclass
class Path:
    """A forward stagewise fit to some respondents, as far as it has come.

    Attributes:
        problem: what is explained by what.
        members: (m,) respondents that it looks at.
        eta: (n_rows,) utilities of all respondents.
        steps: term and (r,) coefficients of each step.
        picked: (n_attributes,) booleans for each term: for which attributes it has been picked.
        products: (p, 2) factors of the products that steps look at.
        done: whether no term is worth a step any more.
    """

    problem: Problem
    members: np.ndarray
    eta: np.ndarray
    steps: list[tuple[Term, np.ndarray]] = field(default_factory=list)
    picked: dict[Term, np.ndarray] = field(default_factory=dict)
    products: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), dtype=int))
    done: bool = False

    @property
    def sides(self) -> np.ndarray:
        """(m, k) of the members; not kept, as a large survey has them in every half."""
        return self.problem.sides[self.members]

    @cached_property
    def weight(self) -> np.ndarray:
        """(m,) of the members."""
        return self.problem.data.weight[self.members]

    @cached_property
    def inside(self) -> np.ndarray:
        """(n_rows,) whether they are the members'."""
        return np.isin(self.problem.data.respondent, self.members)

    def advance(self) -> None:
        """Take one step, if a term is worth it."""
        if self.done:
            return
        problem = self.problem
        deviations = problem.deviations(self.eta)[self.members]
        white = deviations @ problem.whitening
        if len(self.steps) % LOOK == 0:
            self.products = self._look(white)
        factors = np.vstack([problem.candidates.terms.factors, self.products])
        terms = products(self.sides, factors)
        chi2 = self._chi2(terms.T @ white, self.weight**2 @ terms**2)
        merit, free = self._merit(chi2, factors)
        if not len(merit) or merit.max() <= 0:
            self.done = True
            return
        best = ties.first_smallest(-merit)
        kept = np.maximum(1 - free[best] / np.maximum(chi2[best], TINY), 0)
        term = terms[:, best]
        coefficients = (term @ deviations) @ problem.to_coefficients / (self.weight @ term**2)
        self._move(
            (int(factors[best, 0]), int(factors[best, 1])), PACE * coefficients * (problem.member @ kept)
        )

    def _merit(self, chi2: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the (m,) merits of terms, and the (m, n_attributes) prices of their degrees of freedom."""
        problem = self.problem
        among = PRICE * np.log(max(self.factor.sum() ** 2 / 2, 1))
        price = np.append(problem.candidates.price, np.full(len(self.products), among))
        free = np.tile(PRICE * problem.member.sum(axis=0), (len(chi2), 1))
        for place, term in enumerate(map(tuple, factors.tolist())):
            if term in self.picked:
                price[place] = 0
                free[place, self.picked[term]] = 0
        return np.maximum(chi2 - free, 0).sum(axis=1) - price, free

    def _move(self, term: Term, coefficients: np.ndarray) -> None:
        """Add coefficients of a term."""
        problem = self.problem
        self.picked[term] = self.picked.get(term, False) | ((coefficients != 0) @ problem.member > 0)
        values = products(problem.sides, np.array([term]))[:, 0]
        self.eta = self.eta + values[problem.data.respondent] * (problem.contrasts @ coefficients)
        self.steps.append((term, coefficients))

    def _chi2(self, sums: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Return (m, n_attributes) squares of (m, r) sums of white deviations, by the (m,) terms' squares."""
        return sums**2 @ self.problem.member / np.maximum(square, TINY)[:, None]

    @property
    def factor(self) -> np.ndarray:
        """(k,) whether a side may be a factor of products: from the start, or because it has been picked."""
        factor = self.problem.candidates.factor.copy()
        factor[[first for first, second in self.picked if second == NOTHING]] = True
        return factor

    def _look(self, white: np.ndarray) -> np.ndarray:
        """Return the (p, 2) products with the most merit, and those that have been picked."""
        sides, factor = self.sides, self.factor
        squares = sides**2
        pairs = self.problem.candidates.pairs & factor & factor[:, None]
        size = PRICE * self.problem.member.sum(axis=0)
        factors, merits = [np.zeros((0, 2), dtype=int)], [np.zeros(0)]
        for side in np.flatnonzero(pairs.any(axis=1)):
            others = np.flatnonzero(pairs[side])
            chi2 = self._chi2(
                sides[:, others].T @ (sides[:, [side]] * white),
                squares[:, others].T @ (squares[:, side] * self.weight**2),
            )
            factors.append(np.column_stack([np.full(len(others), side), others]))
            merits.append(np.maximum(chi2 - size, 0).sum(axis=1))
        best = np.argsort(-np.concatenate(merits), kind="stable")[:PRODUCTS]
        seen = {tuple(pair) for pair in np.vstack(factors)[best].tolist()}
        return np.array(sorted(seen | {t for t in self.picked if t[1] != NOTHING}), dtype=int).reshape(-1, 2)


@dataclass(frozen=True)
class StagewiseModel(AdditiveModel):
    """An additive model whose features are terms.

    Attributes:
        terms: products of sides of the encoder's features.
    """

    terms: Terms

    def features(self, respondents: pd.DataFrame) -> np.ndarray:
        """Return the (n, 1 + n_terms) features, a constant first."""
        terms = self.terms.encode(self.encoder.encode(respondents))
        return np.column_stack([np.ones(len(respondents)), terms])

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what the model has learned as arrays of numbers."""
        return super().arrays() | {f"terms_{name}": values for name, values in vars(self.terms).items()}

    def settings(self) -> dict[str, Any]:
        """Return what the arrays mean, for JSON."""
        return {**super().settings(), "format": "stagewise"}

    @classmethod
    def from_data(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], design: Design
    ) -> StagewiseModel:
        """Rebuild a model from `settings` and `arrays`; nothing is executed.

        Raises:
            ValueError: if the model was fitted to another design.
        """
        terms = {n.removeprefix("terms_"): values for n, values in arrays.items() if n.startswith("terms_")}
        return cls(**vars(AdditiveModel.from_data(settings, arrays, design)), terms=Terms(**terms))


def fit_stagewise(data: TrainingData, seed: int, interactions: bool = False) -> StagewiseModel:
    """Add terms in halves of the respondents, as many as predict the answers of the other halves best.

    Args:
        data: training data; a choice needs the same number of profiles in every task.
        seed: root seed of the halves.
        interactions: whether pairs of attributes may interact, for everybody alike.
    """
    null = fit_null(data, seed, interactions)
    encoder = CovariateEncoder.fit(data.respondents, data.covariates)
    features = encoder.encode(data.respondents)
    candidates = Candidates.of(encoder, features, data.weight)
    common = null.utilities(data.respondents).utility_of_rows(data.levels, data.respondent)
    problem = Problem(data, candidates, candidates.terms.sides(features), common)
    rng = child_rng(seed, "stagewise/halves")
    divisions = [rng.permutation(np.arange(data.n_respondents) % 2) for _ in range(DIVISIONS)]
    halves = [np.flatnonzero(half == h) for half in divisions for h in (0, 1)]
    paths = [Path(problem, members, problem.common) for members in halves]
    chosen, scale = walk(problem, paths)
    terms = sorted({term for path in paths for term, _ in path.steps[:chosen]})
    draws = np.zeros((len(paths), 1 + len(terms), null.layout.n_cells))
    draws[:, 0] = scale * null.draws[: len(paths), 0]
    basis = basis_of(data.design)
    for path, drawn in zip(paths, draws, strict=True):
        for term, coefficients in path.steps[:chosen]:
            drawn[1 + terms.index(term), : len(basis)] += basis @ coefficients
    mean = draws.mean(axis=0)
    mean[0] = scale * null.coefficients[0]
    picked = replace(candidates.terms, factors=np.array(terms, dtype=int).reshape(-1, 2))
    if data.response.none:  # which the null's level is compared with; its cell is the last
        draws[:, 0, -1] = mean[0, -1] = 0.0
        z = np.column_stack([np.ones(len(features)), picked.encode(features)])
        eta = Tables(null.layout, z @ mean).utility_of_rows(data.levels, data.respondent)
        draws[:, 0, -1] = mean[0, -1] = data.response.level_of_utility(data, eta)
    return StagewiseModel(
        design=data.design,
        response=data.response,
        encoder=encoder,
        intercept=null.intercept,
        fit={"steps": chosen, "terms": len(terms), "scale": scale},
        layout=null.layout,
        coefficients=mean,
        draws=draws,
        terms=picked,
    )


def walk(problem: Problem, paths: Sequence[Path]) -> tuple[int, float]:
    """Advance all paths together until the answers outside them are predicted no better.

    Args:
        paths: of halves of the respondents.

    Returns:
        The number of steps with the lowest loss, and the scale of the common utilities c at it, by a Newton
        step from 1: the null's log-odds are of averages over people who differ, and too flat for a person.
    """
    losses: list[float] = []
    while len(losses) <= STEPS:
        outside = np.mean([np.where(path.inside, 0.0, 2 * path.eta) for path in paths], axis=0)
        losses.append(problem.loss(outside))
        best = ties.first_smallest(losses)
        if best == len(losses) - 1:
            predicted = outside
        if best <= len(losses) - 1 - PATIENCE or all(path.done for path in paths):
            break
        for path in paths:
            path.advance()
    residual, information = problem.score(predicted)
    common = problem.data.compared(problem.common)
    return best, 1 + float(common @ residual) / max(float(common**2 @ information), TINY)
