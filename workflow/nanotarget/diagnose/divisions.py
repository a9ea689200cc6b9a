"""Gains in many divisions of the calibration into folds, so that no verdict hangs on one of them.

Every division gives every respondent a score, by rules that have not seen her answers; the estimate is the
mean over divisions. There are as many as make it reproducible: the standard deviation that it would have over
other divisions of the same data is to be at most a tenth of its standard error (Ritzwoller & Romano's
criterion), a rule that looks at no p-value and at no threshold.

Its variance is the mean over divisions of squared errors over respondents, times what folds have in common
and less what divisions average out (`folds`). Plain errors of the mean scores leave that out and are too
small where two policies nearly coincide (Fava 2025, arXiv 2511.04957); they are the least that is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nanotarget.calibrate.learners.base import mean_and_error
from nanotarget.diagnose.dividend import Dividend
from nanotarget.diagnose.folds import Change, Rules, shared_choices
from nanotarget.diagnose.rows import Estimate, Sample
from nanotarget.petitions.design import Design

LEAST = 8  # divisions, before their spread is trusted
REPRODUCIBLE = 0.1  # standard errors that the estimate may differ by between sets of divisions


@dataclass(frozen=True)
class Gains:
    """Scores of nano less overall-best in several divisions into the same number of folds.

    Attributes:
        scores: (n_divisions, n_respondents), outcome units.
        divergent: (n_divisions, n_respondents) share of a respondent's rows with another petition.
        folds: of a division.
    """

    scores: np.ndarray
    divergent: np.ndarray
    folds: int

    @classmethod
    def of(cls, dividend: Dividend) -> Gains:
        """Return those of one division."""
        gains = dividend.gains(dividend.estimator)
        return cls(gains[None], dividend.divergent[None], len(dividend.fitted.models))

    @property
    def mean(self) -> np.ndarray:
        """(n_respondents,) scores, averaged over divisions."""
        return self.scores.mean(axis=0)

    def degrees(self, weight: np.ndarray) -> int:
        """Return the degrees of freedom: in a division, respondents with another petition less 1."""
        apart = ((self.divergent > 0) & (weight > 0)).sum(axis=1)
        return max(round(apart.mean()) - 1, 1)

    def spread(self, weight: np.ndarray) -> float:
        """Return the variance of single estimates over divisions; 0 for one."""
        if len(self.scores) < 2:
            return 0.0
        return float(np.var(self.scores @ weight / weight.sum(), ddof=1))

    def estimate(self, sample: Sample, shared: float) -> Estimate:
        """Return the mean gain.

        Args:
            shared: factor on the error of a division for what folds share and divisions average out.
        """
        weight = sample.weight
        inside, own = weight > 0, weight[weight > 0]
        singles = [mean_and_error(scores[inside], own)[1] for scores in self.scores]
        value, least = mean_and_error(self.mean[inside], own)
        error = max(np.sqrt(np.mean(np.square(singles))) * shared, least)
        return Estimate(value, float(error), self.degrees(weight))


@dataclass(frozen=True)
class Divisions:
    """What divisions into folds and into halves say for a goal.

    Attributes:
        folds: gains of rules of all folds but one.
        halves: gains of rules of a half.
        rules: of the halves; without them rules are taken to be all signal.
        beside: `changes` of the opposite goal, where its gains are subtracted.
    """

    folds: Gains
    halves: Gains
    rules: Sequence[Rules]
    beside: Sequence[Change] = ()

    @classmethod
    def of(cls, dividend: Dividend, halves: Dividend) -> Divisions:
        """Return what one division of either kind says.

        Args:
            dividend: of a division into folds.
            halves: of one into halves.
        """
        return cls(Gains.of(dividend), Gains.of(halves), [Rules.of(halves.fitted)])

    @classmethod
    def alone(cls, dividend: Dividend) -> Divisions:
        """Return what a division into folds says without halves: its rules are taken for signal."""
        gains = Gains.of(dividend)
        return cls(gains, gains, [])

    def less(self, other: Divisions) -> Divisions:
        """Return by how much the gains of the opposite goal are larger, in the same divisions."""
        pairs = ((self.folds, other.folds), (self.halves, other.halves))
        folds, halves = (
            Gains(one.scores - two.scores, np.fmax(one.divergent, two.divergent), one.folds)
            for one, two in pairs
        )
        return replace(self, folds=folds, halves=halves, beside=other.changes)

    def shared_noise(self, weight: np.ndarray, gains: Gains | None = None) -> float:
        """Return the factor on errors of nano's gain in one division.

        Args:
            weight: (n_respondents,).
            gains: the divisions that it is averaged over; without them, one into as many folds as `folds`.
        """
        if not self.changes:
            return 1.0
        folds, count = (gains.folds, len(gains.scores)) if gains else (self.folds.folds, 1)
        return shared_choices(self.changes, weight, folds, count)

    @cached_property
    def changes(self) -> list[Change]:
        """For each division into halves, what scores weigh answers with."""
        own = [rules.change for rules in self.rules]
        # A gain of the opposite goal has the opposite weights.
        return [one.plus(two) for one, two in zip(own, self.beside, strict=True)] if self.beside else own

    def dividend(self, sample: Sample) -> Estimate:
        """Return the gain of rules of all folds but one."""
        return self.folds.estimate(sample, self.shared_noise(sample.weight, self.folds))

    def of_all(self, sample: Sample) -> Estimate | None:
        """Return the gain of the rule that has learned from everybody, which is the one to deploy.

        What a rule loses for want of data falls as 1 / n (`dividend.learning_curve`). Rules of K folds have
        learned from 1 - 1 / K of the people, rules of halves from 1 / 2; a line in 1 / n through both ends at
        all of them, without another fit. Its error is to that of the folds as the errors of the scores are.

        Returns:
            None if there are no more than two folds, or none but halves.
        """
        if self.folds.folds < 3 or self.halves.folds != 2:
            return None
        further = (self.folds.mean - self.halves.mean) / (self.folds.folds - 2)
        inside, gain = sample.weight > 0, self.dividend(sample)
        own = sample.weight[inside]
        value, error = mean_and_error((self.folds.mean + further)[inside], own)
        _, of_folds = mean_and_error(self.folds.mean[inside], own)
        factor = gain.std_error / of_folds if of_folds > 0 else 1.0
        return replace(gain, value=value, std_error=float(error * factor))

    def reproducible(self, sample: Sample) -> bool:
        """Return whether other divisions into folds of the same data would give nearly the same estimate."""
        error = REPRODUCIBLE * self.dividend(sample).std_error
        return self.folds.spread(sample.weight) <= len(self.folds.scores) * error**2

    def crossover(self, sample: Sample) -> Estimate:
        """Return the gain of rules of half of the data among the other half."""
        return self.halves.estimate(sample, self.shared_noise(sample.weight, self.halves))


def to_arrays(divisions: Mapping[str, Divisions]) -> dict[str, np.ndarray]:
    """Return what divisions by goal say as arrays for a file."""
    arrays: dict[str, np.ndarray] = {}
    for goal, own in divisions.items():
        for kind, gains in (("folds", own.folds), ("halves", own.halves)):
            arrays |= {f"{goal}.{kind}.{name}": np.asarray(value) for name, value in vars(gains).items()}
        arrays[f"{goal}.nano"] = np.array([rules.nano for rules in own.rules])
        arrays[f"{goal}.best"] = np.array([rules.best for rules in own.rules])
    return arrays


def from_arrays(arrays: Mapping[str, np.ndarray], design: Design) -> dict[str, Divisions]:
    """Read divisions by goal from the arrays of a file; none from none."""
    divisions = {}
    for goal in sorted({key.partition(".")[0] for key in arrays}):
        folds, halves = (
            Gains(arrays[f"{kind}.scores"], arrays[f"{kind}.divergent"], int(arrays[f"{kind}.folds"]))
            for kind in (f"{goal}.folds", f"{goal}.halves")
        )
        rules = zip(arrays[f"{goal}.nano"], arrays[f"{goal}.best"], strict=True)
        divisions[goal] = Divisions(folds, halves, [Rules(nano, best, design) for nano, best in rules])
    return divisions
