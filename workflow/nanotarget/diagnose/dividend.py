"""Dividend: what nano gains over overall-best, honestly estimated.

Every respondent is scored under petitions that were chosen by a model fitted without this respondent, the
overall-best petition included, with doubly robust scores (`value`).

The gain is a sum over those to whom nano gives another petition; for everybody else it is exactly
zero. Its intervals are therefore Student's with (divergent respondents - 1) degrees of freedom: with
a dozen of them or fewer, one of the two normal bounds misses the true gain in 7% to 16% of samples
instead of 5% and would decide too often.

Folds share answers, which makes errors larger than those of independent scores (`folds`). The gain that
decides is the mean over many divisions into folds (`divisions`); what stands here is one of them.

Overall-best has the highest average utility of the training respondents, weighted with their survey
weights. For a rating that is the highest average response. For a choice utilities are log-odds, and
the petition that wins most often against a random one may be another; it is not searched for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.diagnose.quantities import OVER_RANDOM, Estimator, Quantity
from nanotarget.diagnose.rows import ONE_SIDED, Estimate, Row, Sample, Stage
from nanotarget.diagnose.value import PolicyScores, Scores, random_scores
from nanotarget.petitions import policy
from nanotarget.petitions.design import Pairs
from nanotarget.petitions.utilities import in_memory
from nanotarget.study.config import CostsConfig
from nanotarget.study.seeds import child_rng

SHUFFLES = 5  # of petitions among respondents
MOST_CHOOSERS = 5_000  # people for whom the petitions of the frontier are chosen
SIZES = (1, 2, 3, 5, 8, 13, 21)  # numbers of petitions on the frontier
LARGER = (2, 4, np.inf)  # calibrations that the learning curve is extrapolated to, times the present one


class FrontierPoint(NamedTuple):
    """A row of frontier.csv: value of k petitions, gain over overall-best with one-sided bounds."""

    k: int
    value: float
    std_error: float
    gain: float
    gain_std_error: float
    gain_low: float
    gain_high: float


class CurvePoint(NamedTuple):
    """A row of learning_curve.csv.

    Attributes:
        share: of the training respondents; NaN for an infinite calibration.
        n: their number; NaN for an infinite calibration.
        gain, std_error, conf_low, conf_high: of nano over overall-best.
        kind: measured or extrapolated.
    """

    share: float
    n: float
    gain: float
    std_error: float
    conf_low: float
    conf_high: float
    kind: str


@dataclass(frozen=True)
class Dividend:
    """Scores of respondents under policies, computed once, whatever weights respondents get.

    Attributes:
        fitted: the cross-fitted learner.
        order, pairs: of the weights that the verdict is based on, see `value.policy_weights`.
    """

    fitted: Crossfit
    order: int = 1
    pairs: Pairs = ()

    @property
    def estimator(self) -> Estimator:
        """Estimator that the verdict is based on."""
        if self.pairs:
            return Estimator.INTERACTING_PAIRS
        return Estimator.FIRST_ORDER if self.order == 1 else Estimator.SECOND_ORDER

    @cached_property
    def petitions(self) -> Mapping[Quantity, np.ndarray]:
        """(n_units, n_attributes) petitions of the policies."""
        nano, best = policy.nano(self.fitted.utilities), self.fitted.overall_best
        return {Quantity.NANO: nano, Quantity.OVERALL_BEST: best}

    @cached_property
    def scorers(self) -> Mapping[Estimator, Scores]:
        """What scores policies, by estimator."""
        scorers = {
            Estimator.FIRST_ORDER: Scores(self.fitted),
            Estimator.SECOND_ORDER: Scores(self.fitted, 2),
        }
        if self.pairs:
            scorers[Estimator.INTERACTING_PAIRS] = Scores(self.fitted, 1, self.pairs)
        return scorers

    @cached_property
    def scores(self) -> Mapping[Estimator, Mapping[Quantity, PolicyScores]]:
        """Scores by estimator and policy."""
        return {
            estimator: {name: scorer.of(shown) for name, shown in self.petitions.items()}
            for estimator, scorer in self.scorers.items()
        }

    @cached_property
    def divergent(self) -> np.ndarray:
        """(n_respondents,) share of a respondent's rows in which nano differs from overall-best."""
        apart = (self.petitions[Quantity.NANO] != self.petitions[Quantity.OVERALL_BEST]).any(axis=1)
        return self.fitted.respondent_means(apart.astype(float))

    def gains(self, estimator: Estimator = Estimator.FIRST_ORDER) -> np.ndarray:
        """Return the (n_respondents,) scores of nano less those of overall-best."""
        scores = self.scores[estimator]
        return scores[Quantity.NANO].value - scores[Quantity.OVERALL_BEST].value

    def predicted_gains(self) -> np.ndarray:
        """Return the (n_respondents,) gain that the learner itself predicts."""
        scores = self.scores[Estimator.SECOND_ORDER]  # which take all that the learner says
        return scores[Quantity.NANO].plug_in - scores[Quantity.OVERALL_BEST].plug_in

    def room(self, sample: Sample) -> Estimate:
        """Return how far overall-best is from the end of the scale: nobody can gain more."""
        best = self.scores[Estimator.FIRST_ORDER][Quantity.OVERALL_BEST].value
        return Estimate.mean(self.fitted.data.outcome.max() - best, sample.weight)

    def degrees(self, weight: np.ndarray) -> int:
        """Return the degrees of freedom of the gain."""
        return max(int(((self.divergent > 0) & (weight > 0)).sum()) - 1, 1)

    def shuffled(self, seed: int) -> np.ndarray:
        """Return the (n_respondents,) scores if a fold's nano petitions were permuted within it."""
        rng, fitted = child_rng(seed, "diagnose/shuffled petitions"), self.fitted
        total = np.zeros(fitted.data.n_respondents)
        for _ in range(SHUFFLES):
            shuffled = self.petitions[Quantity.NANO].copy()
            for f in range(len(fitted.models)):
                units = np.flatnonzero(fitted.unit_fold == f)
                shuffled[units] = shuffled[rng.permutation(units)]
            total += self.scorers[Estimator.FIRST_ORDER].of(shuffled).value
        return total / SHUFFLES

    def gain(self, sample: Sample, estimator: Estimator, shared: float = 1.0) -> Estimate:
        """Return the gain of nano over overall-best in this division.

        Args:
            shared: factor on its error for what folds share.
        """
        plain = Estimate.mean(self.gains(estimator), sample.weight, self.degrees(sample.weight))
        return plain.times(shared)

    def values(self, sample: Sample, shared: float = 1.0) -> list[Row]:
        """Return the values of the policies and what they gain over a random petition, by every estimator.

        Args:
            shared: see `gain`.
        """
        random = random_scores(self.fitted.data)
        estimators = {
            estimator: {name: scores.value for name, scores in policies.items()}
            for estimator, policies in self.scores.items()
        }
        promised = self.scores[Estimator.SECOND_ORDER]
        estimators[Estimator.PLUG_IN] = {name: scores.plug_in for name, scores in promised.items()}
        rows = [sample.mean_row(Quantity.RANDOM, Estimator.OBSERVED, random)]
        for estimator, values in estimators.items():
            rows += [sample.mean_row(name, estimator, score) for name, score in values.items()]
            rows.append(self._gain_row(sample, estimator, shared))
            for name, score in values.items():
                rows.append(sample.mean_row(OVER_RANDOM[name], estimator, score - random))
        return rows

    def _gain_row(self, sample: Sample, estimator: Estimator, shared: float) -> Row:
        if estimator not in self.scores:
            degrees = self.degrees(sample.weight)
            return sample.mean_row(Quantity.GAIN, estimator, self.predicted_gains(), degrees)
        gain = self.gain(sample, estimator, shared)
        row = sample.row(Quantity.GAIN, estimator, gain)
        if estimator != self.estimator:
            return row
        return row.with_ceiling(gain.value, *gain.interval(ONE_SIDED))

    def rows(self, sample: Sample, shared: float = 1.0) -> list[Row]:
        """Return the values of the policies, and where nano and the orders of the weights differ.

        Args:
            shared: see `gain`.
        """
        change = self.gains(Estimator.SECOND_ORDER) - self.gains(Estimator.FIRST_ORDER)
        estimate = Estimate.mean(change, sample.weight, self.degrees(sample.weight)).times(shared).tested()
        orders = sample.row(Quantity.ORDER_DIFFERENCE, Estimator.ORDERS, estimate)
        return [*self.values(sample, shared), self.share_divergent(sample), orders]

    def share_divergent(self, sample: Sample) -> Row:
        """Return the share of respondents to whom nano gives another petition than overall-best."""
        return sample.mean_row(Quantity.SHARE_DIVERGENT, Estimator.OBSERVED, self.divergent)

    def matching(self, sample: Sample, seed: int) -> list[Row]:
        """Split the gain: matching petitions to people, less the quality lost by leaving the best one.

        V(nano) - V(best) = [V(nano) - V(permuted)] - [V(best) - V(permuted)] (Imai & Li 2023).
        """
        shuffled, scores = self.shuffled(seed), self.scores[Estimator.FIRST_ORDER]
        parts = {Quantity.MATCHING_GAIN: Quantity.NANO, Quantity.QUALITY_LOSS: Quantity.OVERALL_BEST}
        return [
            sample.mean_row(quantity, Estimator.FIRST_ORDER, scores[name].value - shuffled)
            for quantity, name in parts.items()
        ]

    def costs(self, sample: Sample, gain: Stage, costs: CostsConfig | None, petitions: int) -> list[Row]:
        """Return how many people a unit of the outcome takes, and how many pay back the costs.

        Args:
            gain: the dividend.
            costs: of calibration and petitions, if they are known.
            petitions: number of petitions that nano would field.
        """
        rows = []
        if gain.ceiling > 0:
            rows.append(sample.row(Quantity.NUMBER_NEEDED, self.estimator, 1 / gain.ceiling))
        if costs is not None and gain.low > 0:
            audience = (costs.calibration + costs.message * (petitions - 1)) / (costs.value * gain.low)
            rows.append(sample.row(Quantity.BREAK_EVEN_AUDIENCE, self.estimator, audience))
        return rows

    def frontier(
        self, sample: Sample, sizes: Sequence[int] = SIZES, shared: float = 1.0
    ) -> list[FrontierPoint]:
        """Value k petitions, each respondent given the best of them, all chosen without the respondent.

        They are chosen for at most `MOST_CHOOSERS` of the people learned from, and valued by everybody.

        Args:
            shared: see `gain`.
            sizes: numbers k of petitions; k = 1 is overall-best.
        """
        fitted, best = self.fitted, self.scores[Estimator.FIRST_ORDER][Quantity.OVERALL_BEST].value
        given = {k: fitted.overall_best.copy() for k in sizes}
        several = [k for k in sizes if k > 1]
        for f, (trained, weight) in enumerate(fitted.training(MOST_CHOOSERS) if several else ()):
            units = np.flatnonzero(fitted.unit_fold == f)
            own = fitted.models[f].utilities(fitted.data.respondents.iloc[fitted.respondent[units]])
            utilities = in_memory(trained)
            own_best = policy.nano(utilities)
            for k in several:
                given[k][units] = policy.segment(own, policy.best_set(utilities, weight, k, 1, own_best))
        points = []
        for k, petitions in given.items():
            scores = self.scorers[Estimator.FIRST_ORDER].of(petitions).value
            value = Estimate.mean(scores, sample.weight)
            apart = fitted.respondent_means((petitions != fitted.overall_best).any(axis=1).astype(float))
            df = max(((apart > 0) & (sample.weight > 0)).sum() - 1, 1)
            gain = Estimate.mean(scores - best, sample.weight, df).times(shared)
            points.append(FrontierPoint(k, *value.pair, *gain.pair, *gain.interval(ONE_SIDED)))
        return points


def petitions_needed(frontier: Sequence[FrontierPoint], gain: Stage) -> float:
    """Return how few petitions reach 90% of nano's gain; NaN where it is not shown to be positive."""
    enough = (point.k for point in frontier if point.gain >= 0.9 * gain.ceiling)
    return float(next(enough, np.nan)) if gain.low > 0 else np.nan


def learning_curve(
    gains: Mapping[float, np.ndarray], sample: Sample, training: int, shared: float = 1.0
) -> list[CurvePoint]:
    """Extrapolate the gain from parts of the calibration: gain(n) = limit - c / n.

    The loss of a learned rule is second order in the error of its part-worths, whose variance falls as 1 / n
    (docs/methods.md, section 3).

    Args:
        gains: by share of the training respondents, the (n_respondents,) scores of nano less overall-best,
            for the same people and folds.
        training: number of respondents in a training set at share 1.
        shared: factor on errors for what folds share.

    Returns:
        Points measured, then extrapolated to `LARGER` calibrations. Errors of the extrapolation are over
        respondents: it is linear in their scores.
    """
    shares = sorted(gains)
    scores = np.column_stack([gains[share] for share in shares])
    to_line = np.linalg.pinv(np.column_stack([np.ones(len(shares)), 1 / np.array(shares)]))
    ahead = LARGER if len(shares) > 2 else ()
    lines = [(share, scores[:, j], "measured") for j, share in enumerate(shares)]
    lines += [(share, scores @ (np.array([1, 1 / share]) @ to_line), "extrapolated") for share in ahead]
    points = []
    for share, values, kind in lines:
        gain = Estimate.mean(values, sample.weight, np.inf).times(shared)
        interval = gain.interval((1 + sample.confidence) / 2)
        n = round(share * training) if np.isfinite(share) else np.nan
        share = share if np.isfinite(share) else np.nan
        points.append(CurvePoint(share, n, gain.value, gain.std_error, *interval, kind))
    return points


def limit_of(curve: Sequence[CurvePoint]) -> float:
    """Return the gain in an infinite calibration; NaN where it is not extrapolated."""
    return next((point.gain for point in curve if np.isnan(point.n)), np.nan)
