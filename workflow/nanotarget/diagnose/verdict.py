"""The rules of the verdict: what each diagnostic says of itself, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import numpy as np

from nanotarget.diagnose.quantities import DIAGNOSTICS, Diagnostic
from nanotarget.diagnose.rows import Stage
from nanotarget.study.checks import unstated
from nanotarget.study.config import DiagnoseConfig
from nanotarget.study.problems import InputError


class Verdict(StrEnum):
    """Of a stage."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_EVALUATED = "NOT EVALUATED"


class Overall(StrEnum):
    """Of all stages together."""

    DEPLOY = "DEPLOY"
    DO_NOT = "DO NOT DEPLOY"
    COLLECT = "COLLECT MORE"


class OfRule(StrEnum):
    """Of the rule that was learned, whatever other rules could gain."""

    PAYS = "PAYS"
    DOES_NOT = "DOES NOT PAY"
    UNDECIDED = "UNDECIDED"
    NOT_EVALUATED = "NOT EVALUATED"


def threshold(settings: DiagnoseConfig, petitions: float) -> tuple[float, float | None]:
    """Return the smallest gain that matters, and the gain that breaks even if costs and audience are known.

    max(SESOI, break-even), break-even = (cost of the calibration + cost of a petition x further petitions) /
    (value of a unit of the outcome x audience).

    Args:
        petitions: number of petitions that nano would field.

    Raises:
        InputError: if no SESOI is stated.
    """
    if settings.sesoi is None:
        raise InputError([unstated("the config")])
    costs = settings.costs
    if costs is None or costs.audience is None:
        return settings.sesoi, None
    gain = (costs.calibration + costs.message * max(petitions - 1, 0)) / (costs.value * costs.audience)
    return max(settings.sesoi, gain), gain


def stage_verdicts(stages: Mapping[Diagnostic, Stage], smallest: float) -> dict[Diagnostic, Verdict]:
    """Return the verdict of each stage.

    A stage fails if even the upper bound of its ceiling is below the smallest gain that matters. Crossover
    and dividend judge a rule that was learned: a rule that learned little proves little, so they fail only
    if the learner demonstrably predicts most of what covariates can explain, or if there is nothing to learn
    (an earlier stage fails). The funnel has an order: where a rule gains more than heterogeneity or
    predictability leave possible, the model is wrong somewhere: nothing is deployed, and a ceiling that a
    rule contradicts cannot fail.
    Heterogeneity and predictability pass if they are significant, crossover if the gain in the other half is
    positive, the dividend if its lower bound is above the smallest gain that matters.
    """
    verdicts: dict[Diagnostic, Verdict] = {}
    suspect, gained = out_of_order(stages), _gained(stages)
    for name in DIAGNOSTICS:
        stage, failed = stages[name], Verdict.FAIL in verdicts.values()
        too_small = stage.high < smallest or (stage.high <= 0 and failed)
        if not stage.evaluated:
            verdicts[name] = Verdict.NOT_EVALUATED
        elif too_small and not gained > stage.high and (failed or _judged(name, stages, smallest)):
            verdicts[name] = Verdict.FAIL
        else:
            passes = _passes(stage, smallest) and not (suspect and name == Diagnostic.DIVIDEND)
            verdicts[name] = Verdict.PASS if passes else Verdict.INCONCLUSIVE
    return verdicts


def _judged(name: Diagnostic, stages: Mapping[Diagnostic, Stage], smallest: float) -> bool:
    """Return whether a stage may fail by itself: rules of half the data are no limit for those of all."""
    if name in (Diagnostic.HETEROGENEITY, Diagnostic.PREDICTABILITY):
        return True
    learned = stages[Diagnostic.PREDICTABILITY].learned
    return learned and (name == Diagnostic.DIVIDEND or stages[Diagnostic.DIVIDEND].high < smallest)


def out_of_order(stages: Mapping[Diagnostic, Stage]) -> bool:
    """Return whether a rule gains more, by its lower bound, than an earlier ceiling leaves possible."""
    earlier = (stages[Diagnostic.HETEROGENEITY], stages[Diagnostic.PREDICTABILITY])
    return any(stage.evaluated and _gained(stages) > stage.high for stage in earlier)


def _gained(stages: Mapping[Diagnostic, Stage]) -> float:
    """Return what one of the learned rules gains at least: those of half the data or those of the folds."""
    rules = (stages[Diagnostic.CROSSOVER], stages[Diagnostic.DIVIDEND])
    lows = np.array([rule.low for rule in rules if rule.evaluated], dtype=float)
    return float(np.fmax.reduce(lows, initial=-np.inf))


def rule_verdict(stages: Mapping[Diagnostic, Stage], smallest: float) -> OfRule:
    """Return what is known of the rule that was learned."""
    gain = stages[Diagnostic.DIVIDEND]
    if not gain.evaluated:
        return OfRule.NOT_EVALUATED
    if gain.high < smallest:
        return OfRule.DOES_NOT
    return OfRule.PAYS if gain.low > smallest else OfRule.UNDECIDED


def _passes(stage: Stage, smallest: float) -> bool:
    if stage.name == Diagnostic.DIVIDEND:
        return stage.low > smallest
    return stage.low > 0 if stage.name == Diagnostic.CROSSOVER else stage.significant


def overall_verdict(verdicts: Mapping[Diagnostic, Verdict]) -> tuple[Overall, Diagnostic | None]:
    """Return the verdict of all stages, and the first that fails (or else is undecided)."""
    if verdicts[Diagnostic.DIVIDEND] == Verdict.PASS:
        return Overall.DEPLOY, None
    worst_first = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NOT_EVALUATED)
    undecided = [name for name in DIAGNOSTICS if verdicts[name] != Verdict.PASS]
    binding = min(undecided, key=lambda name: worst_first.index(verdicts[name]))
    return (Overall.DO_NOT if verdicts[binding] == Verdict.FAIL else Overall.COLLECT), binding
