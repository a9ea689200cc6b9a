"""Verdicts: what each diagnostic says, what they say together, and in plain words why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanotarget.study.config import DiagnoseConfig

STAGES = ("heterogeneity", "predictability", "crossover", "dividend")
OVERALL = {"PASS": "DEPLOY", "FAIL": "DO NOT DEPLOY", "INCONCLUSIVE": "COLLECT MORE"}
NOT_EVALUATED = "NOT EVALUATED"
HALF = 0.5  # of what there is to learn


@dataclass(frozen=True)
class Stage:
    """What one diagnostic found.

    Attributes:
        name: of the diagnostic.
        ceiling, low, high: how large a gain could be as far as it can tell, with one-sided 95 % bounds.
        found: whether what the diagnostic looks for is there (its own test, one-sided 5 %).
        learned: of predictability, whether the learner's own predictions hold for people it has not seen.
        evaluated: whether the data could tell anything.
    """

    name: str
    ceiling: float = np.nan
    low: float = np.nan
    high: float = np.nan
    found: bool = False
    learned: bool = False
    evaluated: bool = True


def threshold(settings: DiagnoseConfig, petitions: float) -> tuple[float, float | None]:
    """Return the smallest gain that matters, and the gain that breaks even if costs and audience are known.

    max(SESOI, break-even), break-even = (cost of the calibration + cost of a petition x further petitions) /
    (value of a unit of the outcome x audience).

    Args:
        petitions: number of petitions that nano would field.
    """
    costs = settings.costs
    if costs is None or costs.audience is None:
        return settings.sesoi, None
    gain = (costs.calibration + costs.message * max(petitions - 1, 0)) / (costs.value * costs.audience)
    return max(settings.sesoi, gain), gain


def stage_verdicts(stages: Mapping[str, Stage], smallest: float) -> dict[str, str]:
    """Return PASS, FAIL, INCONCLUSIVE or NOT EVALUATED by stage.

    A stage fails if even the upper bound of its ceiling is below the smallest gain that matters. Crossover
    and dividend judge a rule that was learned: a rule that learned nothing proves nothing, so they fail only
    if the learner demonstrably predicts, or if there is nothing to learn (an earlier stage fails).
    Heterogeneity and predictability pass if they are found, crossover if the gain in the other half is
    positive, the dividend if its lower bound is above the smallest gain that matters.
    """
    answers: dict[str, str] = {}
    for name in STAGES:
        stage = stages[name]
        judged = name in ("heterogeneity", "predictability") or (
            stages["predictability"].learned or "FAIL" in answers.values()
        )
        if not stage.evaluated:
            answers[name] = NOT_EVALUATED
        elif judged and (stage.high < smallest or (stage.high <= 0 and "FAIL" in answers.values())):
            answers[name] = "FAIL"
        elif _passes(stage, smallest):
            answers[name] = "PASS"
        else:
            answers[name] = "INCONCLUSIVE"
    return answers


def _passes(stage: Stage, smallest: float) -> bool:
    if stage.name == "dividend":
        return stage.low > smallest
    return stage.low > 0 if stage.name == "crossover" else stage.found


def overall_verdict(answers: Mapping[str, str]) -> tuple[str, str | None]:
    """Return DEPLOY, DO NOT DEPLOY or COLLECT MORE, and the first stage that fails (or is undecided)."""
    if answers["dividend"] == "PASS":
        return OVERALL["PASS"], None
    for verdict in ("FAIL", "INCONCLUSIVE", NOT_EVALUATED):
        stages = [name for name in STAGES if answers[name] == verdict]
        if stages:
            return OVERALL["FAIL" if verdict == "FAIL" else "INCONCLUSIVE"], stages[0]
    return OVERALL["INCONCLUSIVE"], "dividend"  # all earlier stages pass and the dividend was not reached


@dataclass(frozen=True)
class Facts:
    """Numbers that sentences quote, of one goal and group.

    Attributes:
        goal: support or dissuade.
        unit: of the outcome in words.
        smallest: smallest gain that matters.
        stages, answers: by stage, what was found and the verdict.
        within: share of the variance of answers, people's levels apart, that is person x message; NaN
        unknown.
        predictable: share of person x message that is predictable; NaN where not defined.
        slope: of held-out answers on predictions; NaN if nothing was predicted.
        intensity: share of what is predicted that changes no one's best petition.
        divergent: share of respondents to whom nano gives another petition.
        promised: what the learner itself promises.
        best: gain of overall-best over a random petition.
        respondents: number of respondents.
        tasks_needed: tasks that a person would have to answer for her own answers to pay; NaN if none would
        do.
        limit: gain in an infinite calibration, by extrapolation; NaN unknown.
        petitions_90: number of petitions that reach 90 % of the gain; NaN unknown.
        learned: share of what covariates tell that the learner has learned; NaN unknown.
        known: what a policy looks at, in words; empty if there is nothing.
    """

    goal: str
    unit: str
    smallest: float
    stages: Mapping[str, Stage]
    answers: Mapping[str, str]
    within: float = np.nan
    predictable: float = np.nan
    slope: float = np.nan
    intensity: float = np.nan
    divergent: float = np.nan
    promised: float = np.nan
    best: float = np.nan
    respondents: int = 0
    tasks_needed: float = np.nan
    limit: float = np.nan
    petitions_90: float = np.nan
    learned: float = np.nan
    known: str = "covariates"

    @property
    def petition(self) -> str:
        """What nano is compared with."""
        return "overall-best petition" if self.goal == "support" else "overall-worst petition"


def headline(facts: Facts) -> str:
    """Say in two or three sentences whether nano pays."""
    gain = facts.stages["dividend"]
    best = (
        f" The overall-best petition itself gains {_n(facts.best)} {facts.unit} over a random one."
        if facts.goal == "support" and np.isfinite(facts.best)
        else ""
    )
    if not facts.known:
        return (
            "No covariate may be used for targeting, so nano cannot give anybody another petition than the "
            f"{facts.petition}: only whether people differ at all can be said.{best}"
        )
    matters = f"{facts.smallest:g}, the smallest gain that matters"
    if facts.divergent == 0:
        text = (
            f"The learner finds no reason to give anybody another petition than the {facts.petition}; "
            "the gain of nano-targeting is structurally zero."
        )
        if facts.answers["dividend"] == "INCONCLUSIVE":
            text += " That it learned nothing does not prove that there is nothing to learn."
        return text + best
    text = (
        f"Nano gives {_share(facts.divergent)} of respondents another petition than the {facts.petition}. "
        f"Out of sample it gains {_n(gain.ceiling)} {facts.unit} over it "
        f"(90 % interval {_n(gain.low)} to {_n(gain.high)}); the learner itself promises "
        f"{_n(facts.promised)}. "
    )
    if gain.low > facts.smallest:
        text += f"The whole interval lies above {matters}: nano-targeting pays."
    elif gain.high < facts.smallest:
        text += f"The whole interval lies below {matters}."
        if facts.answers["dividend"] != "FAIL":
            text += " But this rule is not known to have learned what there is to learn."
    else:
        text += f"The interval includes {matters}: the data do not decide."
    return text + best


def reasons(facts: Facts) -> list[str]:
    """Say what each stage found, a sentence or two a stage, with its verdict first."""
    stages, said = facts.stages, facts.answers
    sentences = []
    found = stages["heterogeneity"]
    if said["heterogeneity"] == NOT_EVALUATED:
        sentences.append("Heterogeneity was not evaluated: nobody answered two tasks.")
    else:
        differ = "differ" if found.found else "are not shown to differ"
        share = (
            f" ({_share(facts.within)} of the variance of what they answer)"
            if np.isfinite(facts.within)
            else ""
        )
        sentences.append(
            f"Heterogeneity, {said['heterogeneity']}: people {differ} stably in what they like{share}. "
            f"Who knew everybody's taste could gain about {_n(found.ceiling)} {facts.unit}, at most "
            f"{_n(found.high)}."
        )
    found = stages["predictability"]
    if said["predictability"] == NOT_EVALUATED:
        sentences.append(
            "Predictability, crossover and dividend were not evaluated: there is no covariate to target by."
        )
        return sentences
    told = "tell" if found.found else "are not shown to tell"
    known = np.isfinite(facts.predictable)
    share = f" (an estimated {_share(facts.predictable)} of the differences)" if known else ""
    sentences.append(
        f"Predictability, {said['predictability']}: {facts.known} {told} who likes what{share}. "
        f"Whoever used all of it could gain about {_n(found.ceiling)}, at most {_n(found.high)}."
    )
    found = stages["crossover"]
    same = (
        f" {_share(min(max(facts.intensity, 0), 1))} of what is predicted is how strongly people care, not "
        "what they prefer."
        if np.isfinite(facts.intensity)
        else ""
    )
    sentences.append(
        f"Crossover, {said['crossover']}: chosen with one half of the data, petitions gain "
        f"{_n(found.ceiling)} (90 % interval {_n(found.low)} to {_n(found.high)}) in the other half.{same}"
    )
    found = stages["dividend"]
    sentences.append(
        f"Dividend, {said['dividend']}: scored by people's own answers, nano gains {_n(found.ceiling)} "
        f"(90 % interval {_n(found.low)} to {_n(found.high)})."
    )
    return sentences


def advice(facts: Facts, overall: str, binding: str | None) -> list[str]:
    """Say what would change the answer."""
    stages, best = facts.stages, facts.petition
    found: list[str] = []
    gain = stages["dividend"]
    if overall == "DEPLOY":
        if np.isfinite(facts.petitions_90):
            found.append(f"{facts.petitions_90:g} petitions reach 90 % of the gain; more are not needed.")
    elif not facts.known:
        found.append("Covariates: without them nobody can be given a petition of her own.")
    elif binding == "heterogeneity" and overall == "DO NOT DEPLOY":
        found.append(
            "Nothing about targeting: even who knew everybody's taste could not gain "
            f"{facts.smallest:g}. Field the {best}; better petitions are worth more than better targeting."
        )
    elif binding == "predictability" and overall == "DO NOT DEPLOY":
        found.append(
            "More respondents would not help: these covariates do not see enough of what people like. Other "
            "covariates might, or people's own answers."
        )
    elif binding in ("crossover", "dividend") and overall == "DO NOT DEPLOY":
        found.append(
            "More respondents would hardly help: what is predicted changes the best petition of too few, or "
            f"too little. Field the {best}."
        )
    else:
        found += _needed(facts, binding)
    if overall != "DEPLOY" and stages["predictability"].high >= facts.smallest and facts.learned < HALF:
        found.append(
            f"Another learner: this one has learned about {_share(facts.learned)} of what covariates tell."
        )
    if overall != "DEPLOY" and np.isfinite(facts.tasks_needed) and stages["heterogeneity"].found:
        tasks = "one task" if facts.tasks_needed == 1 else f"{facts.tasks_needed:g} tasks"
        found.append(
            f"People's own answers: from about {tasks} a person on they could tell "
            f"enough for a gain of {facts.smallest:g} (a panel in which the same people come back)."
        )
    if overall != "DEPLOY" and np.isfinite(facts.limit) and np.isfinite(gain.ceiling):
        more = (
            "could reach"
            if facts.limit >= facts.smallest
            else "would stay below the smallest gain that matters, at"
        )
        found.append(
            f"By extrapolation of the learning curve the gain in a very large calibration {more} about "
            f"{_n(facts.limit)}."
        )
    return found


def _needed(facts: Facts, binding: str | None) -> list[str]:
    """Say how many respondents would decide, if the estimate stayed where it is."""
    stage = facts.stages[binding or "dividend"]
    distance, margin = abs(stage.ceiling - facts.smallest), (stage.high - stage.low) / 2
    if not np.isfinite(distance) or not np.isfinite(margin) or margin <= 0 or distance <= 0:
        return ["More respondents: what was learned from these does not decide."]
    times = (margin / distance) ** 2
    if times > 100:
        return [
            "More respondents alone will hardly decide: the estimate lies at the smallest gain that matters."
        ]
    needed = int(np.ceil(facts.respondents * max(times, 1.0) / 100) * 100)
    if needed <= facts.respondents:
        return [
            f"More than the {facts.respondents:,} respondents of this calibration, or a learner that learns "
            "more from them."
        ]
    return [
        f"More respondents: about {needed:,} instead of {facts.respondents:,} would decide, if estimates "
        "stay where they are."
    ]


def _n(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "unknown"


def _share(value: float) -> str:
    return f"{value:.0%}".replace("%", " %")


def as_dict(stages: Mapping[str, Stage]) -> dict[str, dict[str, float | None]]:
    """Return ceilings for JSON; null where there is none."""

    def number(value: float) -> float | None:
        return float(value) if np.isfinite(value) else None

    return {
        name: {
            "estimate": number(stage.ceiling),
            "low": number(stage.low),
            "high": number(stage.high),
        }
        for name, stage in stages.items()
    }


def answer_of(facts: Facts) -> dict[str, Any]:
    """Return overall verdict, what binds, the stages and the text of one goal and group."""
    overall, binding = overall_verdict(facts.answers)
    return {
        "overall": overall,
        "goal": facts.goal,
        "binding": binding,
        "stages": dict(facts.answers),
        "ceilings": as_dict(facts.stages),
        "text": headline(facts),
        "reasons": reasons(facts),
        "advice": advice(facts, overall, binding),
    }


def listed_flags(flags: Sequence[tuple[bool, str]]) -> list[str]:
    """Return the warnings whose condition holds."""
    return [text for holds, text in flags if holds]
