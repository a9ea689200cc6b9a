"""Crossover: does what is predicted change which petition is best, and does that replicate in other data?

Rules are learned from half of the respondents and scored by the answers of the other half, in many
divisions into halves (`divisions`): scored by the answers that it was chosen by, a petition looks better than
it is (the winner's curse), most of all where people differ only in how strongly they care, which changes no
one's best petition. That gain is one of rules of half of the data; more data may learn better ones. In one
division the models of both halves also say what replicates: which levels both give to a person, and what
either thinks of the other's choices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from nanotarget.calibrate.learners.base import Model, ReversedModel, TrainingData
from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.diagnose.evidence import Answers, block_products
from nanotarget.diagnose.folds import shared_noise
from nanotarget.diagnose.heterogeneity import Heterogeneity, Variances
from nanotarget.diagnose.permutation import Permutations
from nanotarget.diagnose.predictability import Predictability, person_specific
from nanotarget.diagnose.quantities import Estimator, Quantity
from nanotarget.diagnose.rows import Row, Sample
from nanotarget.petitions import policy
from nanotarget.petitions.score import best_petitions, predicted_response
from nanotarget.petitions.utilities import Tables, Utilities, in_memory
from nanotarget.study.response import Response

LEARNED = 2.0  # standard errors that the slope is above zero where predictions are real


class Switch(NamedTuple):
    """A row of switches.csv: shares of respondents to whom nano gives a level, by a half, and by both."""

    attribute: str
    level: str
    overall_best: bool
    share_nano: float
    share_replicated: float


class Agreement(NamedTuple):
    """What the halves say of an attribute.

    Attributes:
        attribute: its name.
        divergence: share of respondents to whom a half gives another level than its overall-best one.
        replicated: to whom both give the same, other than both overall-best ones.
        kappa: agreement of the halves beyond chance (Cohen 1960), NaN where both give everybody one level.
    """

    attribute: str
    divergence: float
    replicated: float
    kappa: float


@dataclass(frozen=True)
class Half:
    """A model fitted to one half, and what it says about all respondents.

    Attributes:
        model: the model.
        utilities: of all respondents.
        common: average utilities of the half.
        slope: scale of its predictions, see `Crossover.halves`.
    """

    model: Model | ReversedModel
    utilities: Utilities
    common: Tables
    slope: float

    @cached_property
    def nano(self) -> np.ndarray:
        """(n_respondents, n_attributes) everybody's best petition."""
        return policy.nano(self.utilities)

    @cached_property
    def best(self) -> np.ndarray:
        """(n_attributes,) the overall-best petition."""
        return best_petitions(self.common)[0]

    @property
    def divergent(self) -> np.ndarray:
        """(n_respondents, n_attributes) where nano differs from overall-best."""
        return self.nano != self.best

    def calibrated(self, chosen: np.ndarray, best: np.ndarray, kind: type[Response]) -> np.ndarray:
        """Return the (n_respondents,) gain from petitions over one for all, in the calibrated model.

        Args:
            chosen: (n_respondents, n_attributes) petitions; best: (n_attributes,).
            kind: of outcome, in whose units it is.
        """
        tables = in_memory(self.utilities)
        own = Tables(tables.layout, self.common.cells + self.slope * (tables.cells - self.common.cells))
        everybody = np.tile(best, (len(chosen), 1))
        new, old = (predicted_response(own, shown, 0.0, kind) for shown in (chosen, everybody))
        return new - old


@dataclass(frozen=True)
class Crossover:
    """Two halves and what they agree on.

    Attributes:
        fitted: a cross-fit with two folds: the models have seen disjoint halves of the answers.
        weight: (n_respondents,) of the respondents that slopes are estimated with.
    """

    fitted: Crossfit
    weight: np.ndarray

    @property
    def _data(self) -> TrainingData:
        return self.fitted.data

    @cached_property
    def halves(self) -> tuple[Half, Half]:
        """The models; what each adds for a person is scaled by how much it shrinks or overstates.

        Model B predicts d_B = s h + error, shrunken by s. On average over its errors d_B / s is unbiased
        wherever the other half puts its petitions. With r answers that B has not seen, and d_A of the other
        half, whose errors are independent, s = E[d_A d_B] / E[r d_A] = E[d_A d_B] / E[r d_B] if both shrink
        alike. (The calibration slope, E[r d_B] / E[d_B^2], counts the errors of d_B and is too small.)
        """
        fitted, data = self.fitted, self._data
        predictability = Predictability(fitted, Heterogeneity(self._answers))
        mass = self._mass(self.weight)
        shared = float(mass @ np.prod(self._predictions, axis=0))
        halves = []
        for f, (model, utilities, own) in enumerate(
            zip(fitted.models, self._everybody, self._predictions, strict=True)
        ):
            unseen = data.respondent_means((fitted.fold == f).astype(float))
            slope, error = predictability.slope(self.weight * unseen)
            if not np.isfinite(slope):  # nothing person-specific was predicted: no scale is needed
                slope = 1.0
            elif shared > 0 and slope > LEARNED * error:
                slope *= float(mass @ own**2) / shared
            halves.append(Half(model, utilities, fitted.common[f], slope))
        return halves[0], halves[1]

    @cached_property
    def _answers(self) -> Answers:
        """The answers, the common part of the other half's model taken out."""
        return Answers.from_crossfit(self.fitted)

    @cached_property
    def _everybody(self) -> list[Utilities]:
        """Everybody's utilities in the model of either half."""
        return [model.utilities(self._data.respondents) for model in self.fitted.models]

    @cached_property
    def _predictions(self) -> list[np.ndarray]:
        """What either half's model adds for the person, (n_comparisons,) each, outcome units."""
        return [self._added(u, c) for u, c in zip(self._everybody, self.fitted.common, strict=True)]

    def _mass(self, weight: np.ndarray) -> np.ndarray:
        """(n_comparisons,) respondents' weights, spread over the answers of each."""
        data = self._data
        comparison = data.respondent[data.response.answers]
        return (weight / np.bincount(comparison, minlength=data.n_respondents))[comparison]

    def shared_noise(self, weight: np.ndarray, folds: int) -> float:
        """Return the factor on the error of a slope that was cross-fitted in `folds` folds.

        Args:
            weight: (n_respondents,).
            folds: their number, see `folds.shared_noise`.
        """
        one, other = self._predictions
        return shared_noise(one, other, self._mass(weight), folds)

    def _added(self, utilities: Utilities, common: Tables) -> np.ndarray:
        """(n_comparisons,) what a model adds for the person to what it expects of all, outcome units."""
        data = self._data
        shared = common.utility_of_rows(data.levels, np.zeros_like(data.respondent))
        return person_specific(utilities.utility_of_rows(data.levels, data.respondent), shared, data)

    @cached_property
    def individual_gains(self) -> np.ndarray:
        """(2, n_respondents) gain of one half's choice in the view of the other, outcome units."""
        one, other = self.halves
        kind = self._data.response
        return np.stack(
            [
                scorer.calibrated(chooser.nano, chooser.best, kind)
                for chooser, scorer in ((one, other), (other, one))
            ]
        )

    @cached_property
    def replicated(self) -> np.ndarray:
        """(n_respondents, n_attributes) levels that both halves choose; the overall-best one elsewhere."""
        one, other = self.halves
        return np.where(one.nano == other.nano, one.nano, one.best)

    def agreement(self, sample: Sample) -> list[Agreement]:
        """Compare the halves attribute by attribute."""
        one, other = self.halves
        share, out = sample.share, []
        for a, attribute in enumerate(self._data.design.attributes):
            first, second = one.nano[:, a], other.nano[:, a]
            same = first == second
            again = same & (first != one.best[a]) & (second != other.best[a])
            counts = [
                np.bincount(levels, weights=share, minlength=len(attribute)) for levels in (first, second)
            ]
            chance = counts[0] @ counts[1]
            kappa = float((share @ same - chance) / (1 - chance)) if chance < 1 - 1e-12 else np.nan
            divergence = float(share @ (one.divergent[:, a] + other.divergent[:, a]) / 2)
            out.append(Agreement(attribute.name, divergence, float(share @ again), kappa))
        return out

    def switches(self, sample: Sample) -> list[Switch]:
        """Return how often nano gives each level."""
        one, other = self.halves
        share, out = sample.share, []
        for a, attribute in enumerate(self._data.design.attributes):
            first, second = (
                np.bincount(half.nano[:, a], weights=share, minlength=len(attribute)) for half in (one, other)
            )
            same = one.nano[:, a] == other.nano[:, a]
            both = np.bincount(one.nano[same, a], weights=share[same], minlength=len(attribute))
            for k, level in enumerate(attribute.levels):
                best = k in (one.best[a], other.best[a])
                out.append(Switch(attribute.name, level, best, (first[k] + second[k]) / 2, both[k]))
        return out

    def intensity(self, sample: Sample) -> float:
        """Return the share of the predicted variance that is parallel to the common response.

        Differences of this kind change nobody's best petition. The product of the two halves' predictions has
        no noise in common; NaN where the product of predictions is not positive.
        """
        one, other = self.halves
        design = self._data.design
        common = [half.common.level_means() for half in (one, other)]
        own = [half.utilities.level_means() - c for half, c in zip((one, other), common, strict=True)]
        share = sample.share
        length = block_products(common[0], common[1], design).sum()
        both = share @ block_products(own[0], own[1], design).sum(axis=1)
        along = [
            block_products(o, np.broadcast_to(c, o.shape), design).sum(axis=1)
            for o, c in zip(own, common[::-1], strict=True)
        ]
        if both <= 0 or length <= 0:
            return np.nan
        return float(share @ (along[0] * along[1]) / (length * both))

    def rows(
        self, sample: Sample, variances: Variances, smallest: float, permutations: Permutations
    ) -> list[Row]:
        """Return how many petitions there are, in how many again, and what kind of differences they follow.

        Args:
            variances: of the sample.
            smallest: gain that matters.
            permutations: what the same learner finds where covariates predict nothing.
        """
        dominated = (self.individual_gains <= smallest).mean(axis=0) @ sample.share
        number, intensity = Quantity.EFFECTIVE_NUMBER, self.intensity(sample)
        halves = float(np.mean([self._effective(half.nano, sample.weight) for half in self.halves]))
        replicated = self._effective(self.replicated, sample.weight)
        rows = [
            sample.row(Quantity.SHARE_DOMINATED, Estimator.CROSS_HALF, dominated),
            sample.row(number, Estimator.HALVES, halves),
            sample.row(number, Estimator.REPLICATED, replicated),
            *permutations.numbers(sample),
        ]
        if self._answers.has_baseline and np.isfinite(variances.correlation):
            rows.append(sample.row(Quantity.CROSS_MESSAGE, Estimator.CROSS_TASK, variances.correlation))
        if np.isfinite(intensity):
            rows.append(sample.row(Quantity.INTENSITY, Estimator.CROSS_HALF, intensity))
        for name, divergence, again, kappa in self.agreement(sample):
            rows.append(sample.row(Quantity.DIVERGENCE, Estimator.HALVES, divergence, name))
            rows.append(sample.row(Quantity.REPLICATED_DIVERGENCE, Estimator.REPLICATED, again, name))
            if np.isfinite(kappa):
                rows.append(sample.row(Quantity.KAPPA, Estimator.REPLICATED, kappa, name))
        return rows

    def _effective(self, petitions: np.ndarray, weight: np.ndarray) -> float:
        """Effective number of (n_respondents, n_attributes) petitions."""
        _, kind = np.unique(self._data.design.petition_ids(petitions), return_inverse=True)
        return policy.effective_number(np.bincount(kind, weights=weight))
