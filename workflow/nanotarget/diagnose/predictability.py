"""Predictability: can what a policy looks at tell who likes what?

Two answers. *Learner-free*: products of two different respondents' answers, times how alike their
covariates are, estimate the variance of h that is linear in covariates without bias and without any fit; no
learner of straight lines can see more, however large the calibration. *The learner's*: its predictions d of
what a
person adds are compared with her answers r, which it has not seen: slope b = sum r d / sum d^2 (Chernozhukov,
Demirer, Duflo & Fernandez-Val 2018, best linear predictor), so that d explains the variance b^2 Var(d).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.calibrate.learners.ridge import compare
from nanotarget.diagnose.evidence import Answers, block_products
from nanotarget.diagnose.heterogeneity import Heterogeneity
from nanotarget.petitions.encoding import CovariateEncoder
from nanotarget.study.seeds import child_rng

DEALS = 999  # permutations of covariates for the learner-free variance
BINS = 10
NOTHING = 1e-10  # predictions that explain a smaller share of the answers' variance are rounding errors
CALIBRATION_COLUMNS = ("bin", "predicted", "observed", "std_error", "n")


def whitened(features: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return uncorrelated features of mean zero and variance 1 with the same span, less rounding errors.

    Args:
        features: (n_respondents, q).
        weight: (n_respondents,); respondents with zero are transformed like the others.
    """
    share = weight / weight.sum()
    centred = features - share @ features
    spread = np.sqrt(share @ centred**2)
    centred = centred[:, spread > 1e-9] / spread[spread > 1e-9]
    variance, direction = np.linalg.eigh(centred.T @ (centred * share[:, None]))
    kept = variance > 1e-6
    return centred @ (direction[:, kept] / np.sqrt(variance[kept]))


def person_specific(eta: np.ndarray, common: np.ndarray, data: TrainingData) -> np.ndarray:
    """Return what a person's utilities add to the common ones, as far as answers compare them.

    Args:
        eta, common: (n_rows,) utilities of the petitions shown.

    Returns:
        (n_rows,) rating points, or (n_tasks,) probability that the first petition is chosen.
    """
    own, shared = compare(eta, data), compare(common, data)
    if data.outcome_kind == "rating":
        return own - shared
    return 1 / (1 + np.exp(-own)) - 1 / (1 + np.exp(-shared))


@dataclass(frozen=True)
class Predictability:
    """What is computed once, whatever weights respondents get.

    Attributes:
        fitted: the cross-fitted learner.
        heterogeneity: the answers, with the same learner's common part taken out.
    """

    fitted: Crossfit
    heterogeneity: Heterogeneity

    @property
    def answers(self) -> Answers:
        """The answers."""
        return self.heterogeneity.answers

    @cached_property
    def features(self) -> np.ndarray:
        """(n_respondents, q) covariate features, curves included."""
        data = self.fitted.data
        return CovariateEncoder.fit(data.respondents, data.covariates, curved=True).encode(data.respondents)

    def learner_free(self, weights: np.ndarray) -> np.ndarray:
        """Return the (n_samples, n_blocks) variance of h that is linear in covariates, by block.

        Whitened features of n people are a little less alike than new people's would be: the mean of
        (z_i'z_j)^2 over pairs is below its expectation q by a share of about q / n, and so is the estimate.
        """
        vectors = self.heterogeneity.residual_vectors
        if not self.features.shape[1]:
            return np.zeros((len(weights), len(self.answers.ranks)))
        features = whitened(self.features, weights[0])
        likeness = mass = 0.0
        for units, who in vectors.folds():
            z, w = features[who], weights[0][who] * vectors.share[units]
            own = w**2 @ (z**2).sum(axis=1) ** 2
            likeness += (((z * w[:, None]).T @ z) ** 2).sum() - own
            mass += w.sum() ** 2 - w @ w
        if likeness <= 0:
            return np.zeros((len(weights), len(self.answers.ranks)))
        correction = mass * features.shape[1] / likeness
        found = vectors.between_people(weights, features) * correction
        spread, total = vectors.between_people_error(weights[0], features), found.sum(axis=1)
        if len(weights) < 3 or not np.isfinite(spread):
            return found
        # Bootstrap samples keep their shape, but get the spread of `between_people_error`.
        scale = spread * correction / max(total[1:].std(ddof=1), 1e-300)
        return np.vstack([found[:1], found[:1] + (found[1:] - found[:1]) * scale])

    def dealt_p(self, weight: np.ndarray, seed: int) -> float:
        """Return the p-value of the learner-free variance when covariates are dealt anew within folds.

        Args:
            weight: (n_respondents,); only those with a positive one take part.
        """
        vectors = self.heterogeneity.residual_vectors
        features = whitened(self.features, weight)
        rng = child_rng(seed, "diagnose/dealt covariates")
        totals = np.zeros(DEALS + 1)
        for members, people in vectors.folds():
            units, who = members[weight[people] > 0], people[weight[people] > 0]
            w = weight[who] * vectors.share[units]
            value, z = vectors.value[units] * w[:, None], features[who]
            own, length = (value**2).sum(axis=1), (z**2).sum(axis=1)
            for d in range(DEALS + 1):
                order = rng.permutation(len(who)) if d else np.arange(len(who))
                totals[d] += ((z[order].T @ value) ** 2).sum() - own @ length[order]
        return float((1 + (totals[1:] >= totals[0]).sum()) / (1 + DEALS))

    @cached_property
    def _rows(self) -> tuple[np.ndarray, np.ndarray]:
        """(n_rows of `answers`,) held-out residual r and prediction d, as far as answers compare them."""
        fitted, data = self.fitted, self.fitted.data
        eta = fitted.utilities.utility_of_rows(data.levels, fitted.unit)
        common = fitted.common_utility(data.levels, fitted.fold)
        rating = data.outcome_kind == "rating"
        residual = compare(data.outcome - common, data) if rating else self.answers.residual
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
        if total <= NOTHING * (weight @ self._spread):
            return np.nan, np.nan
        slope = (weight @ product) / total
        n = (weight > 0).sum()
        error = np.sqrt((weight**2) @ (product - slope * square) ** 2 * n / max(n - 1, 1)) / total
        return float(slope), float(error)

    def learned(self, weights: np.ndarray) -> np.ndarray:
        """Return the (n_samples,) variance of h that d explains, b^2 Var(d); negative where b is."""
        product, square = (weights @ self.moments).T
        explained = np.divide(product**2, square, out=np.zeros(len(square)), where=square > 0)
        return np.sign(product) * explained / (weights.sum(axis=1) * self.answers.n_sides)

    def learned_shares(self, weight: np.ndarray) -> np.ndarray:
        """Return the (n_blocks,) variance of d by block, from the mean utility given each level."""
        fitted, design = self.fitted, self.answers.design
        own = fitted.utilities.level_means()
        common = np.vstack([tables.level_means() for tables in fitted.common])
        deviation = own - common[fitted.unit_fold]
        mass = np.bincount(
            fitted.unit, weights=weight[fitted.data.respondent], minlength=len(fitted.respondent)
        )
        return block_products(deviation, deviation, design).T @ mass / mass.sum()

    def discordance(self) -> tuple[np.ndarray, np.ndarray]:
        """Compare on which of two petitions nano and the common part bet; by respondent.

        Ratings are compared between neighbouring petitions of a task (of neighbouring tasks where a task has
        one); equal ratings say nothing.

        Returns:
            (n_respondents, 2) number of pairs on which they disagree, and in how many of these the person's
            own prediction won; (n_respondents,) number of pairs in all.
        """
        fitted, data = self.fitted, self.fitted.data
        first = np.arange(0, len(data.outcome) - 1)
        first = first[data.respondent[first] == data.respondent[first + 1]]
        same = data.task[first] == data.task[first + 1]
        first = first[same] if same.any() else first
        if data.outcome_kind == "choice":
            first = np.arange(0, len(data.outcome), 2)
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

    def calibration(self, weight: np.ndarray) -> pd.DataFrame:
        """Average residuals in bins of the prediction: `CALIBRATION_COLUMNS`, no row if d is zero for all."""
        residual, predicted = self._rows
        if not np.any(predicted):
            return pd.DataFrame(columns=list(CALIBRATION_COLUMNS))
        who = self.answers.respondent
        w = (weight / np.bincount(who, minlength=len(weight)))[who]
        edges = np.quantile(predicted, np.linspace(0, 1, BINS + 1)[1:-1])
        place = np.searchsorted(edges, predicted, side="right")
        rows = []
        for k in np.unique(place):
            inside = place == k
            mass = w[inside].sum()
            if mass <= 0:
                continue
            mean = (w[inside] @ residual[inside]) / mass
            by_person = np.bincount(who[inside], weights=w[inside] * (residual[inside] - mean))
            error = np.sqrt((by_person**2).sum()) / mass
            average = (w[inside] @ predicted[inside]) / mass
            rows.append((int(k) + 1, average, mean, error, int(inside.sum())))
        return pd.DataFrame(rows, columns=list(CALIBRATION_COLUMNS))
