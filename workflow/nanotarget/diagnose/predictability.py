"""Predictability: can what a policy may use predict who likes what?

Two answers. *Learner-free*: products of two different respondents' answers, times what the covariates of one
tell of the other, estimate the variance of h that is linear in features of covariates without bias
(`projection`); no learner that is linear in them can explain more, however large the calibration. With
functions of two covariates among the features (`joint`) it is less precise and sees what decides only
jointly; that nothing could be predicted is said by this upper bound alone. Where policies use people's own
answers, what these tell is added (`own_answers`). *The learner's*: its predictions d
of what a respondent adds are compared with held-out answers r: slope b = sum r d / sum d^2 (Chernozhukov,
Demirer, Duflo & Fernandez-Val 2018, best linear predictor), so that d explains the variance b^2 Var(d). The
ceiling is the gain of perfect use of the larger of the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.diagnose.ceiling import ceiling, gain_ceiling
from nanotarget.diagnose.covariance import Covariance
from nanotarget.diagnose.evidence import Answers, cell_indicators, level_columns
from nanotarget.diagnose.heterogeneity import SMALLEST, Heterogeneity, Variances
from nanotarget.diagnose.joint import JointFeatures
from nanotarget.diagnose.own_answers import OwnAnswers
from nanotarget.diagnose.projection import Projection
from nanotarget.diagnose.quantities import Estimator, Quantity
from nanotarget.diagnose.rows import ALPHA, LEARNED_ENOUGH, ONE_SIDED, Estimate, Row, Sample, Stage
from nanotarget.study import ties
from nanotarget.study.seeds import child_rng

PERMUTATIONS = 999  # of covariates, for the learner-free variance
BINS = 10
NEGLIGIBLE = 1e-10  # predictions that explain a smaller share of the answers' variance are rounding errors
MOST_TASKS = 200  # a respondent, up to which own answers are asked whether they could pay


class CalibrationBin(NamedTuple):
    """A row of calibration.csv: means of predictions and of held-out residuals in a bin of predictions."""

    bin: int
    predicted: float
    observed: float
    std_error: float
    n: int
    conf_low: float
    conf_high: float


def person_specific(eta: np.ndarray, common: np.ndarray, data: TrainingData) -> np.ndarray:
    """Return what a person's utilities add to the common ones, as far as answers compare them.

    Args:
        eta, common: (n_rows,) utilities of the petitions shown.

    Returns:
        (n_rows,) rating points, (n_tasks,) probability that the first petition is chosen, or (n_rows,) that
        each is chosen among more than two.
    """
    kind = data.response
    own, shared = (kind.less_level(kind.expected(values), data) for values in (eta, common))
    return own - shared


@dataclass(frozen=True)
class Explained:
    """What features of people explain of what they add.

    Attributes:
        covariance: of it, one sample.
        estimate: of its variance; NaN where the features are too many for the people.
        seen: share that the features describe of what they are for, see `FeatureSet`.
    """

    covariance: Covariance
    estimate: Estimate
    seen: float = 1.0

    @property
    def is_known(self) -> bool:
        """Whether there is an estimate."""
        return bool(np.isfinite(self.estimate.std_error))

    def beyond(self, other: Explained) -> Estimate:
        """Return what is explained beside what other features explain, with an error that is too large."""
        return replace(self.estimate, value=self.estimate.value - other.estimate.value)

    def samples(self, n: int, name: str) -> Covariance:
        """Return the covariance and samples of its noise, (n,) together.

        Samples of respondents would cost much: noise of products of answers is alike in all directions.

        Args:
            name: of the random stream.
        """
        if not self.is_known:
            return self.covariance.times(np.zeros(n))
        return self.covariance.with_noise(self.estimate.std_error, n, child_rng(0, name))


@dataclass(frozen=True)
class Predictability:
    """What is computed once, whatever weights respondents get.

    Attributes:
        fitted: the cross-fitted learner.
        heterogeneity: the answers, with the same learner's common part taken out.
        own_answers: whether policies use respondents' own answers beside covariates.
    """

    fitted: Crossfit
    heterogeneity: Heterogeneity
    own_answers: bool = False

    @classmethod
    def of(cls, fitted: Crossfit) -> Predictability:
        """Take the common part of a learner from the answers and judge the rest of it."""
        return cls(fitted, Heterogeneity(Answers.from_crossfit(fitted)))

    @property
    def answers(self) -> Answers:
        """The answers."""
        return self.heterogeneity.answers

    @cached_property
    def features(self) -> JointFeatures:
        """Covariates, alone and jointly."""
        return JointFeatures.of(self.fitted.data.respondents, self.fitted.data.covariates)

    @property
    def has_covariates(self) -> bool:
        """Whether a covariate varies."""
        return self.features.alone.shape[1] > 0

    @cached_property
    def _people(self) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of respondents, and their shares of rows in folds."""
        return self.heterogeneity.residual_vectors.of_people()

    def learner_free(self, weight: np.ndarray) -> Explained:
        """Return what is linear in covariates and their curves.

        Args:
            weight: (n_respondents,).
        """
        return self._explained(weight, self.features.alone)

    def joint(self, weight: np.ndarray) -> Explained:
        """Return what is linear in covariates and functions of two of them."""
        features, seen = self.features.for_people(int((weight > 0).sum()))
        return replace(self._explained(weight, features), seen=seen)

    def _explained(self, weight: np.ndarray, features: np.ndarray) -> Explained:
        values, folds = self._people
        projection = Projection.of(features, weight, folds) if features.shape[1] else None
        if projection is None:
            nothing = np.zeros((1, len(self.answers.ranks)))
            return Explained(Covariance.alike(self.answers.design, nothing), Estimate(np.nan))
        covariance = projection.covariance(values, self.answers.ranks)
        return Explained(covariance, Estimate(*projection.variance(values)))

    def permuted_p(self, weight: np.ndarray, seed: int) -> float:
        """Return the p-value of the learner-free variance when covariates are permuted within folds.

        Args:
            weight: (n_respondents,); only those with a positive one take part.
        """
        vectors = self.heterogeneity.residual_vectors
        projection = Projection.of(self.features.alone, weight, self._people[1])
        if projection is None:
            return np.nan
        features = projection.features / np.sqrt(np.maximum(projection.weight, SMALLEST))[:, None]
        rng = child_rng(seed, "diagnose/dealt covariates")
        totals = np.zeros(PERMUTATIONS + 1)
        for members, people in vectors.folds():
            units, who = members[weight[people] > 0], people[weight[people] > 0]
            w = weight[who] * vectors.share[units]
            value, z = vectors.value[units] * w[:, None], features[who]
            own, length = np.einsum("ij,ij->i", value, value), np.einsum("ij,ij->i", z, z)
            by_feature, to = np.ascontiguousarray(z.T), np.empty(len(who), dtype=np.intp)
            for d in range(PERMUTATIONS + 1):
                order = rng.permutation(len(who)) if d else np.arange(len(who))
                # Answers are moved, not features: they are fewer.
                to[order] = np.arange(len(who))
                sums = by_feature @ value[to]
                totals[d] += np.vdot(sums, sums) - own @ length[order]
        return ties.share_as_large(totals[1:], totals[0])

    @cached_property
    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        """(n_rows of `answers`,) held-out residual r and prediction d, as far as answers compare them."""
        fitted, data = self.fitted, self.fitted.data
        eta = fitted.utilities.utility_of_rows(data.levels, fitted.unit)
        common = fitted.common_utility(data.levels, fitted.fold)
        kind = data.response
        residual = self.answers.residual
        if self.answers.has_baseline:
            residual = kind.less_level(data.outcome - kind.expected(common), data)
        return residual, person_specific(eta, common, data)

    @cached_property
    def moments(self) -> np.ndarray:
        """(n_respondents, 2) mean products r d and d d; of ratings unbiased for those over petitions."""
        residual, predicted = self._rows
        who, n = self.answers.respondent, self.answers.n_respondents
        count = np.bincount(who, minlength=n) - (1 if self.answers.has_baseline else 0)
        sums = [np.bincount(who, weights=v, minlength=n) for v in (residual * predicted, predicted**2)]
        return np.column_stack(sums) / np.maximum(count, 1)[:, None]

    @cached_property
    def _spread(self) -> np.ndarray:
        """(n_respondents,) mean square of r."""
        residual, _ = self._rows
        who, n = self.answers.respondent, self.answers.n_respondents
        return np.bincount(who, weights=residual**2, minlength=n) / np.bincount(who, minlength=n)

    def slope(self, weight: np.ndarray) -> tuple[float, float]:
        """Return the calibration slope and its standard error over respondents; NaN if d is zero for all."""
        product, square = self.moments.T
        total = weight @ square
        if total <= NEGLIGIBLE * (weight @ self._spread):
            return np.nan, np.nan
        slope = (weight @ product) / total
        n = (weight > 0).sum()
        error = np.sqrt((weight**2) @ (product - slope * square) ** 2 * n / max(n - 1, 1)) / total
        return float(slope), float(error)

    def learned(self, weights: np.ndarray) -> np.ndarray:
        """Return the (n_samples,) variance of h that d explains, b^2 Var(d); negative where b is."""
        product, square = (weights @ self.moments).T
        explained = np.divide(product**2, square, out=np.zeros(len(square)), where=square > 0)
        data = self.fitted.data
        return (
            np.sign(product) * explained / (weights.sum(axis=1) * data.response.variance_shown(data.outcome))
        )

    def learned_covariance(self, weight: np.ndarray) -> Covariance:
        """Return the covariance of d, from the mean utility given each level."""
        fitted, design = self.fitted, self.answers.design
        own = fitted.utilities.level_means()
        common = np.vstack([tables.level_means() for tables in fitted.common])
        deviation = own - common[fitted.unit_fold]
        mass = np.bincount(
            fitted.unit, weights=weight[fitted.data.respondent], minlength=len(fitted.respondent)
        )
        cells = (
            deviation[:, level_columns(block, design)] @ cell_indicators(block, design).T
            for block in design.blocks
        )
        return Covariance.of_levels(design, cells, mass)

    def discordance(self) -> tuple[np.ndarray, np.ndarray]:
        """Compare which of two petitions nano and the common part predict to be preferred; by respondent.

        Pairs are those of `Response.neighbours`; equal answers say nothing.

        Returns:
            (n_respondents, 2) number of pairs on which they disagree, and in how many of these the person's
            own prediction won; (n_respondents,) number of pairs in all.
        """
        fitted, data = self.fitted, self.fitted.data
        first = data.response.neighbours(data)
        eta = fitted.utilities.utility_of_rows(data.levels, fitted.unit)
        common = fitted.common_utility(data.levels, fitted.fold)
        own, shared, truth = (np.sign(v[first] - v[first + 1]) for v in (eta, common, data.outcome))
        first, own, shared, truth = (
            v[(truth != 0) & (own != 0) & (shared != 0)] for v in (first, own, shared, truth)
        )
        who, n = data.respondent[first], data.n_respondents
        apart = own != shared
        counts = [np.bincount(who, weights=v, minlength=n) for v in (apart, apart & (own == truth))]
        return np.column_stack(counts), np.bincount(who, minlength=n)

    def calibration(self, sample: Sample) -> list[CalibrationBin]:
        """Average residuals in bins of the prediction; no bin if nothing is predicted for anybody."""
        residual, predicted = self._rows
        if not np.any(predicted):
            return []
        who, weight = self.answers.respondent, sample.weight
        w = (weight / np.bincount(who, minlength=len(weight)))[who]
        equal = ties.joined(predicted)
        edges = np.quantile(equal, np.linspace(0, 1, BINS + 1)[1:-1])
        place = np.searchsorted(edges, equal, side="right")
        bins = []
        for k in np.unique(place):
            inside = place == k
            mass = w[inside].sum()
            if mass <= 0:
                continue
            mean = (w[inside] @ residual[inside]) / mass
            by_person = np.bincount(who[inside], weights=w[inside] * (residual[inside] - mean))
            observed = Estimate(mean, np.sqrt((by_person**2).sum()) / mass)
            average, n = (w[inside] @ predicted[inside]) / mass, int(inside.sum())
            interval = observed.interval((1 + sample.confidence) / 2)
            bins.append(CalibrationBin(int(k) + 1, average, mean, observed.std_error, n, *interval))
        return bins

    def fit(self, sample: Sample, variances: Variances, above: Stage, inflation: float) -> Stage:
        """Return the stage: how well predictions are calibrated, and what perfect use of what is known gains.

        Args:
            variances: of the sample and the goal.
            above: heterogeneity, whose bound stands in where that of what is known has none.
            inflation: of the error of the slope, for what folds share.
        """
        slope, error = self.slope(sample.weight)
        estimate = Estimate(slope, error * inflation, max(sample.n - 1, 1)).tested()
        free, joint = self.learner_free(sample.weight), self.joint(sample.weight)
        learned, n = self.learned(sample.weights), len(sample.weights)
        p = np.nan if sample.seed is None else self.permuted_p(sample.weight, sample.seed)
        added = joint.beyond(free)
        is_joint = added.interval(ONE_SIDED)[0] > 0
        design, levels, scale = self.answers.design, variances.part_worths, variances.scale
        known_with = self._known_with(sample.weight, variances)
        alone = free.samples(n, "diagnose/covariates")
        shape = known_with(alone)
        answers_tell = shape.variance - alone.variance
        known = np.maximum(shape.variance, learned)
        if learned[0] > shape.variance[0]:
            shape = self.learned_covariance(sample.weight)
        most = ceiling(design, levels, shape, known, scale)
        if joint.is_known:
            products = joint.samples(n, "diagnose/products")
            noisy = known_with(products)
            of_products = ceiling(design, levels, noisy, noisy.variance, scale)
            high = max(most.high, of_products.high)
            if is_joint:
                whole = known_with(products.times(1 / joint.seen))
                high = max(high, ceiling(design, levels, whole, whole.variance, scale).high)
            if is_joint and noisy.variance[0] > known[0]:
                most, known = of_products, np.maximum(known, noisy.variance)
            most = most._replace(high=high)
        elif self.has_covariates and above.evaluated:
            most = most._replace(high=max(most.high, above.high))  # covariates tell no more than there is
        headline = sample.row(Quantity.SLOPE, Estimator.CROSSFIT, estimate)
        rows = [
            headline.with_ceiling(*most),
            sample.row(
                Quantity.PREDICTABLE_VARIANCE, Estimator.CROSS_PERSON, replace(free.estimate, p_value=p)
            ),
            sample.row(Quantity.PREDICTABLE_VARIANCE, Estimator.CROSS_PERSON_PRODUCTS, joint.estimate),
            sample.row(Quantity.PREDICTABLE_VARIANCE, Estimator.CROSSFIT, Estimate.bootstrapped(learned)),
        ]
        if above.significant:
            rows.append(_share_row(sample, known, variances.person_by_message))
        is_learned = replace(estimate, df=np.inf).interval(ONE_SIDED)[0] > 0
        is_seen = joint.is_known or not self.has_covariates
        bounds = [own.estimate.interval(ONE_SIDED)[1] for own in (free, joint) if own.is_known]
        bound = max(bounds, default=0.0) / (joint.seen if is_joint else 1)
        if self.own_answers:
            bound += Estimate.bootstrapped(answers_tell).interval(ONE_SIDED)[1]
        return replace(
            Stage.of(*rows),
            significant=self._found(estimate, added, p),
            learned=is_learned and is_seen and learned[0] >= LEARNED_ENOUGH * bound,
            evaluated=is_seen or above.evaluated,
        )

    def _known_with(self, weight: np.ndarray, variances: Variances) -> Callable[[Covariance], Covariance]:
        """Return what turns that which covariates tell into all that a policy may know."""
        if not self.own_answers:
            return lambda told: told
        return OwnAnswers.of(self.heterogeneity, weight, variances).with_covariates

    @staticmethod
    def _found(slope: Estimate, products: Estimate, p: float) -> bool:
        """Return whether any of three ways finds something predictable: 5% together (Bonferroni).

        Args:
            slope: of the learner's predictions.
            products: what products of covariates add to the learner-free variance.
            p: of the learner-free variance; NaN where covariates were not permuted.
        """
        ways = [replace(slope, df=np.inf).p_above(), products.p_above(), *([p] if np.isfinite(p) else [])]
        return min(ways) * len(ways) < ALPHA

    def rows(self, sample: Sample) -> list[Row]:
        """Compare nano and the common part where they predict different choices between two petitions."""
        counts, pairs = self.discordance()
        apart, won = counts.T
        weight, rows = sample.weight, []
        mass, total = weight @ apart, weight @ pairs
        if mass > 0:
            rate = (weight @ won) / mass
            error = float(np.sqrt((weight**2) @ (won - rate * apart) ** 2) / mass)
            estimate = Estimate(rate, error).tested(0.5)
            rows.append(sample.row(Quantity.WIN_RATE, Estimator.PAIRS_OF_PETITIONS, estimate))
        if total > 0:
            uplift = (weight @ (2 * won - apart)) / total
            error = float(np.sqrt((weight**2) @ (2 * won - apart - uplift * pairs) ** 2) / total)
            estimate = Estimate(uplift, error)
            rows.append(sample.row(Quantity.ACCURACY_UPLIFT, Estimator.PAIRS_OF_PETITIONS, estimate))
        return rows

    def tasks_needed(self, sample: Sample, variances: Variances, smallest: float) -> float:
        """Return how many tasks a respondent must answer for these to promise a gain; NaN if none do.

        Without covariates (`own_answers`; docs/methods.md, section 9).

        Args:
            variances: of the sample and the goal.
            smallest: the gain.
        """
        answers = self.answers
        answered = np.unique(np.column_stack([answers.respondent, answers.task]), axis=0)
        tasks = len(answered) / answers.n_respondents
        ahead = np.arange(1, MOST_TASKS + 1)
        own = OwnAnswers.of(self.heterogeneity, sample.weight, variances)
        own = replace(own, covariance=own.covariance.first().nearest(variances.person_by_message[:1]))
        known = own.with_covariates(own.covariance.times(np.zeros(MOST_TASKS)), ahead / tasks)
        part_worths = np.repeat(variances.part_worths[:1], MOST_TASKS, axis=0)
        gains = gain_ceiling(answers.design, part_worths, known, variances.scale)
        reached = ahead[gains >= smallest]
        return float(reached[0]) if len(reached) and smallest > 0 else np.nan


def _share_row(sample: Sample, known: np.ndarray, total: np.ndarray) -> Row:
    """Return the row of a ratio, with percentiles of its bootstrap samples for an interval."""
    share = known / np.where(total > 0, total, np.nan)
    tail = (1 - sample.confidence) / 2
    low, high = np.nanquantile(share[1:], [tail, (1 + sample.confidence) / 2])
    row = sample.row(Quantity.PREDICTABLE_SHARE, Estimator.RATIO, share[0])
    return replace(row, conf_low=low, conf_high=high)
