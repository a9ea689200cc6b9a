"""The four diagnostics of one calibration, for both goals and for groups, as tables and in words."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.diagnose import words
from nanotarget.diagnose.crossover import Crossover, Switch
from nanotarget.diagnose.dividend import (
    CurvePoint,
    Dividend,
    FrontierPoint,
    learning_curve,
    limit_of,
    petitions_needed,
)
from nanotarget.diagnose.divisions import Divisions
from nanotarget.diagnose.heterogeneity import Variances
from nanotarget.diagnose.inputs import Group, Inputs
from nanotarget.diagnose.ladder import LadderRow, ladder
from nanotarget.diagnose.predictability import CalibrationBin
from nanotarget.diagnose.quantities import DIAGNOSTICS, Diagnostic, Estimator, Quantity
from nanotarget.diagnose.rows import (
    ALPHA,
    ONE_SIDED,
    Estimate,
    Row,
    Sample,
    Stage,
    holm_levels,
    table_of,
)
from nanotarget.diagnose.value import Scores
from nanotarget.diagnose.verdict import out_of_order, overall_verdict, rule_verdict, stage_verdicts, threshold
from nanotarget.study.progress import steps

LOG = logging.getLogger(__name__)
MIN_DIVERGENT = 30  # respondents with another petition than overall-best, fewer than which are warned of
TABLES = (  # columns of those after diagnostics and answer
    CalibrationBin._fields,
    Switch._fields,
    FrontierPoint._fields,
    CurvePoint._fields,
    LadderRow._fields,
)
OF_OVERALL_BEST = (Quantity.RANDOM, Quantity.OVERALL_BEST, Quantity.BEST_OVER_RANDOM)


@dataclass(frozen=True)
class Diagnosis:
    """What the stage leaves: the table of diagnostics, the answer, and the tables of the figures."""

    diagnostics: pd.DataFrame
    answer: dict[str, Any]
    calibration: pd.DataFrame
    switches: pd.DataFrame
    frontier: pd.DataFrame
    learning_curve: pd.DataFrame
    ladder: pd.DataFrame


def diagnose(inputs: Inputs, groups: Sequence[Group] = ()) -> Diagnosis:
    """Run the four diagnostics for the goal of the study, the other goal and groups of respondents.

    Args:
        inputs: what there is.
        groups: of respondents.

    Returns:
        Tables and answer. What needs covariates is empty, and its stages not evaluated, without any.
    """
    goal: str = inputs.settings.goal
    views = {goal: View.of(inputs, goal)}
    main = views[goal]
    rows, facts = main.whole()
    answer = answer_of(facts) | _more(facts, inputs.settings.sesoi, main.flags(rows, facts))
    rows = [replace(row, goal=goal) for row in rows]
    if inputs.has_information:
        other = "dissuade" if goal == "support" else "support"
        views[other] = View.of(inputs, other)
        everybody = Group("all", np.ones(inputs.fitted.data.n_respondents, dtype=bool))
        parts = [(other, everybody), *((g, group) for g in (goal, other) for group in groups)]
        # The question of the study stands alone; the others are many.
        gains = [views[g].divisions.dividend(inputs.sample(group.members)) for g, group in parts]
        levels = holm_levels(gains, facts.smallest)
        for (of_goal, group), level in zip(steps(parts, "goals and groups"), levels, strict=True):
            brief, brief_facts = views[of_goal].brief(group, facts.smallest, level)
            rows += [replace(row, goal=of_goal, group=group.name) for row in brief]
            answer["others"].append(_other_answer(brief_facts, group.name))
    return Diagnosis(table_of(rows), answer, *main.tables())


@dataclass(frozen=True)
class View:
    """A calibration seen from one goal: to dissuade, the outcome and all utilities have the opposite sign.

    Attributes:
        inputs: what there is.
        goal: support or dissuade.
        fitted, halves: of the goal's outcome.
    """

    inputs: Inputs
    goal: str
    fitted: Crossfit
    halves: Crossfit

    @classmethod
    def of(cls, inputs: Inputs, goal: str) -> View:
        """See the calibration from a goal."""
        return cls(inputs, goal, inputs.fitted.for_goal(goal), inputs.halves.for_goal(goal))

    @cached_property
    def dividend(self) -> Dividend:
        """Scores under the policies in the study's own division."""
        return Dividend(self.fitted, *self.inputs.allowed)

    @cached_property
    def divisions(self) -> Divisions:
        """What many divisions say; those of the study alone if there are no others."""
        if self.goal in self.inputs.divisions:
            return self.inputs.divisions[self.goal]
        return Divisions.of(self.dividend, Dividend(self.halves, *self.inputs.allowed))

    @cached_property
    def crossover(self) -> Crossover:
        """The two halves."""
        return Crossover(self.halves, self.inputs.fitted.data.weight)

    def variances(self, sample: Sample) -> Variances:
        """Return the variances of the goal's outcome."""
        variances = self.inputs.heterogeneity.variances(sample.weights)
        return variances.on_scale(self.inputs.fitted, sample.weight).for_goal(self.goal)

    def _ceilings(self, sample: Sample, variances: Variances) -> tuple[Stage, Stage]:
        """Return heterogeneity and predictability: what can be predicted is a part of what differs.

        The part is known better than the whole, which is estimated without covariates.
        """
        inputs, room = self.inputs, self.dividend.room(sample)
        heterogeneity = inputs.heterogeneity.fit(sample, variances).at_most(room)
        if not inputs.has_information:
            return heterogeneity, Stage(Diagnostic.PREDICTABILITY, evaluated=False)
        LOG.info("how much of it can be predicted, in %d bootstrap samples", inputs.settings.bootstraps)
        inflation = self.crossover.shared_noise(sample.weight, len(self.fitted.models))
        predictability = inputs.predictability.fit(sample, variances, heterogeneity, inflation).at_most(room)
        return heterogeneity.at_least(predictability), predictability

    def _crossover(self, sample: Sample, level: float = ONE_SIDED) -> Stage:
        return self._gain(sample, Quantity.CROSS_HALF_GAIN, self.divisions.crossover(sample), level)

    def _dividend(self, sample: Sample, level: float = ONE_SIDED) -> Stage:
        return self._gain(sample, Quantity.GAIN, self.divisions.dividend(sample), level)

    def _gain(self, sample: Sample, quantity: Quantity, gain: Estimate, level: float) -> Stage:
        row = sample.row(quantity, self.dividend.estimator, gain)
        return Stage.of(row.with_ceiling(gain.value, *gain.interval(level)))

    def brief(self, group: Group, smallest: float, level: float = ONE_SIDED) -> tuple[list[Row], words.Facts]:
        """Return the headline rows of a group of respondents and what there is to say.

        Args:
            group: of respondents.
            smallest: gain that matters.
            level: of the one-sided bounds of gains, see `rows.holm_levels`.
        """
        sample = self.inputs.sample(group.members)
        variances = self.variances(sample)
        stages = [
            *self._ceilings(sample, variances),
            self._crossover(sample, level),
            self._dividend(sample, level),
        ]
        facts = self._facts(sample, variances, stages, smallest)
        rows = [*(stage.headline for stage in stages), self.dividend.share_divergent(sample)]
        return judged(rows, facts), facts

    def whole(self) -> tuple[list[Row], words.Facts]:
        """Return all rows of the sample and what there is to say."""
        inputs, sample = self.inputs, self.inputs.everybody
        LOG.info("how much people differ, in %d bootstrap samples", inputs.settings.bootstraps)
        variances = self.variances(sample)
        ceilings = self._ceilings(sample, variances)
        rows = [ceilings[0].headline]
        rows += inputs.heterogeneity.rows(sample, variances, inputs.interactions)
        speak = self._targeted if inputs.has_information else self._untargeted
        more, facts = speak(sample, variances, ceilings)
        return judged([*self._thresholds(sample), *rows, *more], facts), facts

    def _untargeted(
        self, sample: Sample, variances: Variances, ceilings: tuple[Stage, Stage]
    ) -> tuple[list[Row], words.Facts]:
        """Return what can be said where a policy has nothing to use."""
        stages = [*ceilings, *(Stage(name, evaluated=False) for name in DIAGNOSTICS[2:])]
        rows = [row for row in self.dividend.values(sample) if row.quantity in OF_OVERALL_BEST]
        facts = self._facts(sample, variances, stages, self._smallest[0])
        return rows, replace(facts, best=_gain_of_best(rows))

    def _targeted(
        self, sample: Sample, variances: Variances, ceilings: tuple[Stage, Stage]
    ) -> tuple[list[Row], words.Facts]:
        """Return what predictability, crossover and dividend say."""
        inputs, settings, predictability = self.inputs, self.inputs.settings, ceilings[1]
        LOG.info("whether it changes the best petition, and whether that pays")
        crossover, smallest = self._crossover(sample), self._smallest[0]
        crossing = self.crossover.rows(sample, variances, smallest, inputs.permutations)
        dividend, values = self._dividend(sample), self._values(sample)
        rows = [
            *predictability.rows,
            *inputs.predictability.rows(sample),
            crossover.headline,
            *crossing,
            *inputs.permutations.improvement(sample),
            dividend.headline,
            *values,
            *self.dividend.matching(sample, inputs.seed),
            *self.dividend.costs(sample, dividend, settings.costs, self._petitions),
        ]
        facts = self._facts(sample, variances, [*ceilings, crossover, dividend], smallest)
        facts = replace(
            facts,
            best=_gain_of_best(values),
            intensity=Stage.of(crossover.headline, *crossing).value(Quantity.INTENSITY),
            tasks_needed=inputs.predictability.tasks_needed(sample, variances, smallest),
            limit=limit_of(self.curve),
            petitions_90=petitions_needed(self.frontier, dividend),
            learned=_learned(predictability),
        )
        return rows, facts

    @property
    def _petitions(self) -> int:
        """Number of petitions that nano would field."""
        return len(np.unique(self.crossover.halves[0].nano, axis=0))

    @cached_property
    def _smallest(self) -> tuple[float, float | None]:
        """The smallest gain that matters, and the gain that breaks even."""
        return threshold(self.inputs.settings, self._petitions if self.inputs.has_information else 1)

    def _thresholds(self, sample: Sample) -> list[Row]:
        smallest, breaks_even = self._smallest
        values = {Quantity.SMALLEST_GAIN: smallest}
        if self.inputs.settings.sesoi is not None:
            values[Quantity.SESOI] = self.inputs.settings.sesoi
        if breaks_even is not None and self.inputs.has_information:
            values[Quantity.BREAK_EVEN] = breaks_even
        return [sample.row(name, Estimator.CONFIG, value) for name, value in values.items()]

    def _values(self, sample: Sample) -> list[Row]:
        """Return values of policies in the study's own division, without the gain that decides."""
        shared = self.divisions.shared_noise(sample.weight)
        rows = self.dividend.rows(sample, shared)
        place = next(k for k, row in enumerate(rows) if row.decides)
        own = rows.pop(place).with_ceiling(np.nan, np.nan, np.nan)
        if len(self.divisions.folds.scores) > 1:
            rows.insert(place, replace(own, quantity=Quantity.GAIN_OF_FIRST_DIVISION))
        if of_all := self.divisions.of_all(sample):
            rows.insert(place, sample.row(Quantity.GAIN_OF_ALL, Estimator.EXTRAPOLATED, of_all))
        return [*rows, *self.inputs.refits.of_ridge(sample, shared)]

    def _facts(
        self, sample: Sample, variances: Variances, stages: Sequence[Stage], smallest: float
    ) -> words.Facts:
        inputs, by_name = self.inputs, {stage.name: stage for stage in stages}
        person, within = variances.person_by_message[0], variances.total[0] - variances.baseline[0]
        sides = inputs.heterogeneity.answers.n_sides
        facts = words.Facts(
            goal=self.goal,
            unit=self.fitted.data.response.unit_in_text(),
            smallest=smallest,
            stages=by_name,
            verdicts=stage_verdicts(by_name, smallest),
            known=words.information(inputs.n_covariates > 0, inputs.own_answers),
            respondents=sample.n,
            within=max(person, 0) * sides / within if within > 0 else np.nan,
            predictable=by_name[Diagnostic.PREDICTABILITY].value(Quantity.PREDICTABLE_SHARE),
        )
        if not inputs.has_information:
            return facts
        divergent, gains = self.dividend.divergent, self.dividend.predicted_gains()
        return replace(
            facts,
            divergent=Estimate.mean(divergent, sample.weight).value,
            plug_in=Estimate.mean(gains, sample.weight).value,
        )

    def _linear(self, sample: Sample) -> Estimate:
        """Return by how much the gain would differ if the scale were taken for one without ends."""
        scorer = Scores(self.fitted, linear=True)
        nano, best = (scorer.of(shown).value for shown in self.dividend.petitions.values())
        gain = self.dividend.gains(Estimator.FIRST_ORDER)
        return Estimate.mean(nano - best - gain, sample.weight)

    def flags(self, rows: Sequence[Row], facts: words.Facts) -> list[str]:
        """Return what a reader must be warned of."""
        at_ends, bent = 0.0, False
        if self.inputs.has_information and self.fitted.links:
            outcome = self.fitted.data.outcome
            at_ends = float(np.isin(outcome, [outcome.min(), outcome.max()]).mean())
            error = self.dividend.gain(self.inputs.everybody, Estimator.FIRST_ORDER).std_error
            bent = abs(self._linear(self.inputs.everybody).value) > error / 2
        p = {row.quantity: row.p_value for row in rows}
        some = int((self.dividend.divergent > 0).sum()) if self.inputs.has_information else 0
        warnings = {
            words.LEARNER.format(self.inputs.warning): bool(self.inputs.warning),
            words.UNSTABLE: p.get(Quantity.LAG_DIFFERENCE, 1) < ALPHA,
            words.INTERACTING.format(words.WEIGHTS[self.dividend.estimator]): (
                p.get(Quantity.COMMON_INTERACTIONS, 1) < ALPHA
            ),
            words.ORDERS: p.get(Quantity.ORDER_DIFFERENCE, 1) < ALPHA,
            words.FEW_DIVERGENT.format(some): 0 < some < MIN_DIVERGENT,
            words.OUT_OF_ORDER: out_of_order(facts.stages),
            words.ENDS.format(words.share_of(at_ends)): bent,
            words.NO_SESOI: facts.smallest <= 0,
        }
        return [text for text, applies in warnings.items() if applies]

    # --- tables of the figures ---

    @property
    def _shared(self) -> float:
        """Factor on errors of everybody's gain in one division."""
        return self.divisions.shared_noise(self.inputs.everybody.weight)

    @cached_property
    def frontier(self) -> list[FrontierPoint]:
        """Value of k petitions."""
        return self.dividend.frontier(self.inputs.everybody, self.inputs.sizes, self._shared)

    @cached_property
    def curve(self) -> list[CurvePoint]:
        """The learning curve; empty without refits."""
        if not self.inputs.refits:
            return []
        training = round(self.fitted.data.n_respondents * (1 - 1 / len(self.fitted.models)))
        parts = self.inputs.refits.parts(self.dividend)
        return learning_curve(parts, self.inputs.everybody, training, self._shared)

    def tables(self) -> tuple[pd.DataFrame, ...]:
        """Return the tables of a `Diagnosis`, without rows if a policy has nothing to use."""
        sample = self.inputs.everybody
        rows: list[Sequence[tuple[Any, ...]]] = [()] * len(TABLES)
        if self.inputs.has_information:
            rows = [
                self.inputs.predictability.calibration(sample),
                self.crossover.switches(sample),
                self.frontier,
                self.curve,
                ladder(self.inputs, self.dividend, self._shared),
            ]
        return tuple(
            pd.DataFrame(part, columns=list(columns)) for columns, part in zip(TABLES, rows, strict=True)
        )


def judged(rows: Sequence[Row], facts: words.Facts) -> list[Row]:
    """Write verdicts on the headline rows."""
    return [
        replace(row, verdict=facts.verdicts[row.quantity.diagnostic]) if row.decides else row for row in rows
    ]


def _learned(predictability: Stage) -> float:
    """Share of the variance that covariates explain without a learner that was learned."""
    free = predictability.value(Quantity.PREDICTABLE_VARIANCE, Estimator.CROSS_PERSON)
    learned = predictability.value(Quantity.PREDICTABLE_VARIANCE, Estimator.CROSSFIT)
    return max(learned, 0) / free if free > 0 else np.nan


def _gain_of_best(rows: Sequence[Row]) -> float:
    """Return what overall-best gains over a random petition, by first-order weights."""
    wanted = (Quantity.BEST_OVER_RANDOM, Estimator.FIRST_ORDER)
    return float(next(row.estimate for row in rows if (row.quantity, row.estimator) == wanted))


def answer_of(facts: words.Facts) -> dict[str, Any]:
    """Return overall verdict, what binds, the stages and the text of one goal and group."""
    overall, binding = overall_verdict(facts.verdicts)
    return {
        "overall": overall,
        "rule": rule_verdict(facts.stages, facts.smallest),
        "goal": facts.goal,
        "binding": binding,
        "stages": dict(facts.verdicts),
        "ceilings": {name: _ceiling(stage) for name, stage in facts.stages.items()},
        "text": words.headline(facts),
        "reasons": words.reasons(facts),
        "advice": words.advice(facts, overall, binding),
    }


def _ceiling(stage: Stage) -> dict[str, float | None]:
    """Return a ceiling for JSON; null where there is none."""
    numbers = {"estimate": stage.ceiling, "low": stage.low, "high": stage.high}
    return {name: float(value) if np.isfinite(value) else None for name, value in numbers.items()}


def _more(facts: words.Facts, sesoi: float | None, flags: list[str]) -> dict[str, Any]:
    """Return what the answer says of the goal of the study alone."""
    return {
        "threshold": facts.smallest,
        "sesoi": sesoi,
        "unit": facts.unit,
        **_gain(facts),
        "share_divergent": facts.divergent,
        "flags": flags,
        "others": [],
    }


def _other_answer(facts: words.Facts, group: str) -> dict[str, Any]:
    """Return what is said of another goal or a group."""
    said = answer_of(facts)
    kept = {key: said[key] for key in ("goal", "overall", "rule", "binding", "stages", "text")}
    return kept | {"group": group} | _gain(facts)


def _gain(facts: words.Facts) -> dict[str, float]:
    return {"gain": facts.gain.ceiling, "gain_low": facts.gain.low, "gain_high": facts.gain.high}
