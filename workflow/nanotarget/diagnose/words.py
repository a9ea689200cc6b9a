"""Every sentence about the verdict that people read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanotarget.diagnose.quantities import Diagnostic, Estimator
from nanotarget.diagnose.rows import LEARNED_ENOUGH, Stage
from nanotarget.diagnose.verdict import OfRule, Overall, Verdict
from nanotarget.study import ties

QUESTIONS = {
    Diagnostic.HETEROGENEITY: "Do tastes for petitions differ between people?",
    Diagnostic.PREDICTABILITY: "Can the differences be seen beforehand?",
    Diagnostic.CROSSOVER: "Do they change which petition is best?",
    Diagnostic.DIVIDEND: "Does nano-targeting pay?",
}
IN_SHORT = {
    Overall.DEPLOY: "Yes: nano-targeting pays.",
    Overall.DO_NOT: "No: give everybody the overall-best petition.",
    Overall.COLLECT: "Not known yet: these data do not decide.",
}
ONLY_THIS_RULE = "Not with this rule; these data do not exclude that another rule would pay."
# Upper bounds by the stage that sets them; each holds with 95% certainty by itself.
AT_MOST = {
    Diagnostic.DIVIDEND: "How much could this rule gain at most?",
    Diagnostic.PREDICTABILITY: "How much could any rule gain at most?",
}
KNOWING_ALL = "How much could be gained at most if everybody's preferences were known?"
OBSTACLES = {
    Diagnostic.HETEROGENEITY: (
        "People differ too little in what moves them: even an oracle that knows everybody's tastes could "
        "not gain enough."
    ),
    Diagnostic.PREDICTABILITY: "What is known about people does not reveal who prefers what.",
    Diagnostic.CROSSOVER: "People differ, but not reproducibly in which petition is best for them.",
    Diagnostic.DIVIDEND: "What could be gained is not gained once the rule meets people it has not seen.",
}
NEVER_FIELDED = "A petition that dissuades is never generated for fielding; its value is only computed."
LARGEST_FACTOR = 100  # on the number of respondents that is worth advising
# Warnings begin with the name of their flag.
UNSTABLE = (
    "lag: answers in neighbouring tasks are more alike than in distant ones, so part of the heterogeneity is "
    "not stable or carried over between tasks; its ceiling is too high."
)
INTERACTING = (
    "interactions: what a level adds depends on other attributes; main effects alone do not find the best "
    "petition, and first-order weights rely on the learner for them{}"
)
ORDERS = "orders: first- and second-order weights give different gains; see both in the table."
OUT_OF_ORDER = (
    "order: the gain is larger than what heterogeneity or predictability leave possible, so the model of the "
    "answers is wrong somewhere; check the design and the scale before anything is fielded."
)
ENDS = "ends: {} of answers are at an end of the scale, and a score that ignores the ends gives another gain."
SPEAKS_FOR_OTHERS = (
    f"What covariates could tell is bounded loosely, but this rule has learned at least {LEARNED_ENOUGH:.0%} "
    "of it and does not gain: another rule from the same covariates is not expected to."
)
NO_SESOI = (
    "sesoi: no smallest gain that matters is stated (diagnose.sesoi), so no gain can be called too small."
)
LEARNER = "learner: {}."
FEW_DIVERGENT = "few: only {} respondents would get another petition; the whole gain depends on them."
# How the warning of interactions ends, by the estimator that decides.
WEIGHTS = {
    Estimator.FIRST_ORDER: ".",
    Estimator.INTERACTING_PAIRS: ": the gain is that of weights that allow for the pairs that stand out.",
    Estimator.SECOND_ORDER: ", which has none: the gain is that of second order.",
}


@dataclass(frozen=True)
class Facts:
    """Numbers that sentences quote, of one goal and group.

    Attributes:
        goal: support or dissuade.
        unit: of the outcome in words.
        smallest: smallest gain that matters.
        stages, verdicts: by diagnostic.
        known: what a policy may use, in words; empty if there is nothing.
        respondents: number of respondents.
        within: share of the variance of answers, respondents' own levels apart, that is person x message;
            NaN unknown.
        predictable: share of person x message that is predictable; NaN where not defined.
        intensity: share of what is predicted that changes no one's best petition.
        divergent: share of respondents to whom nano gives another petition.
        plug_in: gain that the learner itself predicts.
        best: gain of overall-best over a random petition.
        tasks_needed: tasks that a respondent would have to answer for own answers to pay; NaN if no number
            would do.
        limit: gain in an infinite calibration, by extrapolation; NaN unknown.
        petitions_90: number of petitions that reach 90% of the gain; NaN unknown.
        learned: share of what covariates explain that the learner has learned; NaN unknown.
    """

    goal: str
    unit: str
    smallest: float
    stages: Mapping[Diagnostic, Stage]
    verdicts: Mapping[Diagnostic, Verdict]
    known: str = "covariates"
    respondents: int = 0
    within: float = np.nan
    predictable: float = np.nan
    intensity: float = np.nan
    divergent: float = np.nan
    plug_in: float = np.nan
    best: float = np.nan
    tasks_needed: float = np.nan
    limit: float = np.nan
    petitions_90: float = np.nan
    learned: float = np.nan

    @property
    def petition(self) -> str:
        """What nano is compared with."""
        return "overall-best petition" if self.goal == "support" else "overall-worst petition"

    @property
    def gain(self) -> Stage:
        """The dividend."""
        return self.stages[Diagnostic.DIVIDEND]

    def opening(self, name: Diagnostic) -> str:
        """Return the name of a diagnostic with its verdict."""
        return f"{name.capitalize()}, {self.verdicts[name]}"


def in_short(verdict: Mapping[str, Any], number: Callable[[float], str]) -> list[tuple[str, str]]:
    """Return what decision-makers want to know before all else, as (question, answer).

    Args:
        verdict: verdict.json.
        number: how a gain is written.
    """
    unit, binding, do_not = verdict["unit"], verdict["binding"], verdict["overall"] == Overall.DO_NOT
    only_this = verdict["overall"] == Overall.COLLECT and verdict["rule"] == OfRule.DOES_NOT
    said = [("Does it pay?", ONLY_THIS_RULE if only_this else IN_SHORT[verdict["overall"]])]
    if binding and do_not:
        said.append(("What stands in the way?", OBSTACLES[binding]))
    elif binding:
        said.append(("What is not decided?", QUESTIONS[binding]))
    highs = {stage: (verdict["ceilings"].get(stage) or {}).get("high") for stage in QUESTIONS}
    asked = {text: highs[stage] for stage, text in AT_MOST.items()}
    if not any(high is not None for high in asked.values()):
        asked = {KNOWING_ALL: highs[Diagnostic.HETEROGENEITY]}
    judged = do_not and binding in (Diagnostic.CROSSOVER, Diagnostic.DIVIDEND)
    for text, high in asked.items():
        if high is None:
            continue
        answer = f"{number(max(high, 0.0))} {unit} (one-sided 95% upper bound)."
        if judged and text == AT_MOST[Diagnostic.PREDICTABILITY] and high >= verdict["threshold"]:
            answer += f" {SPEAKS_FOR_OTHERS}"
        said.append((text, answer))
    if verdict["gain"] is not None:
        low, high = number(verdict["gain_low"]), number(verdict["gain_high"])
        best = f"{number(verdict['gain'])} {unit} ({low} to {high})."
        said.append(("What is the best estimate?", best))
    if verdict["threshold"] is not None:
        said.append(("What would matter?", f"A gain above {verdict['threshold']:g} {unit}."))
    if verdict["share_divergent"] is not None:
        share = f"{100 * round(verdict['share_divergent'], 3):.4g}%"
        said.append(("How many would get another petition?", f"{share} of the respondents."))
    return said


def slope_reading(low: float, high: float) -> str:
    """Say what the interval of the calibration slope means; nothing if there is none."""
    if not np.isfinite([low, high]).all():
        return ""
    if low <= 0:
        zero = "not distinguishable from 0, at which nothing is predicted"
        return (zero if high >= 0 else "predictions mislead") + (
            ", nor from 1, which is perfect" if high >= 1 else ""
        )
    if high < 1:
        return "the learner sees real differences but overstates them"
    return "the learner sees real differences" + (" but understates them" if low > 1 else "")


def information(covariates: bool, own_answers: bool) -> str:
    """Say what a policy may use; empty for nothing."""
    parts = ["covariates"] * covariates + ["people's own answers"] * own_answers
    return " and ".join(parts)


def headline(facts: Facts) -> str:
    """Say in two or three sentences whether nano pays."""
    best = (
        f" The overall-best petition itself gains {_number(facts.best)} {facts.unit} over a random one."
        if facts.goal == "support" and np.isfinite(facts.best)
        else ""
    )
    if not facts.known:
        return (
            "No covariate may be used for targeting, so nano cannot give anybody another petition than the "
            f"{facts.petition}: only whether people differ at all can be said.{best}"
        )
    return (_no_gain(facts) if facts.divergent == 0 else _gain(facts)) + best


def _no_gain(facts: Facts) -> str:
    text = (
        f"The learner finds no reason to give anybody another petition than the {facts.petition}; "
        "the gain of nano-targeting is structurally zero."
    )
    if facts.verdicts[Diagnostic.DIVIDEND] == Verdict.INCONCLUSIVE:
        text += " That it learned nothing does not prove that there is nothing to learn."
    return text


def _gain(facts: Facts) -> str:
    gain, matters = facts.gain, f"{facts.smallest:g}, the smallest gain that matters"
    text = (
        f"Nano gives {share_of(facts.divergent)} of respondents another petition than the {facts.petition}. "
        f"Out of sample it gains {_number(gain.ceiling)} {facts.unit} over it ({_interval(gain)}); the "
        f"learner itself predicts {_number(facts.plug_in)}. "
    )
    if gain.low > facts.smallest:
        return f"{text}The whole interval lies above {matters}: nano-targeting pays."
    if gain.high >= facts.smallest:
        return f"{text}The interval includes {matters}: the data do not decide."
    text += f"The whole interval lies below {matters}."
    if facts.verdicts[Diagnostic.DIVIDEND] != Verdict.FAIL:
        text += " But this rule is not known to have learned what there is to learn."
    return text


def reasons(facts: Facts) -> list[str]:
    """Say what each stage says, a sentence or two a stage, with its verdict first."""
    if facts.verdicts[Diagnostic.PREDICTABILITY] == Verdict.NOT_EVALUATED:
        return [
            _heterogeneity(facts),
            "Predictability, crossover and dividend were not evaluated: there is no covariate to target by.",
        ]
    return [_heterogeneity(facts), _predictability(facts), _crossover(facts), _dividend(facts)]


def _dividend(facts: Facts) -> str:
    gain = facts.gain
    text = (
        f"{facts.opening(Diagnostic.DIVIDEND)}: scored by people's own answers, nano gains "
        f"{_number(gain.ceiling)} ({_interval(gain)})."
    )
    others = facts.stages[Diagnostic.PREDICTABILITY].high >= facts.smallest
    failed = facts.verdicts[Diagnostic.DIVIDEND] == Verdict.FAIL
    return f"{text} {SPEAKS_FOR_OTHERS}" if failed and others else text


def _heterogeneity(facts: Facts) -> str:
    stage = facts.stages[Diagnostic.HETEROGENEITY]
    if not stage.evaluated:
        return "Heterogeneity was not evaluated: nobody answered two tasks."
    differ = "differ" if stage.significant else "are not shown to differ"
    share = (
        f" ({share_of(facts.within)} of the variance of their answers)" if np.isfinite(facts.within) else ""
    )
    return (
        f"{facts.opening(stage.name)}: people {differ} stably in what they like{share}. An oracle that knew "
        f"everybody's preferences could gain about {_number(stage.ceiling)} {facts.unit}, at most "
        f"{_number(stage.high)}."
    )


def _predictability(facts: Facts) -> str:
    stage = facts.stages[Diagnostic.PREDICTABILITY]
    predict = "predict" if stage.significant else "are not shown to predict"
    known = np.isfinite(facts.predictable)
    share = f" (an estimated {share_of(min(facts.predictable, 1))} of the differences)" if known else ""
    return (
        f"{facts.opening(stage.name)}: {facts.known} {predict} who likes what{share}. Perfect use of them "
        f"could gain about {_number(stage.ceiling)}, at most {_number(stage.high)}."
    )


def _crossover(facts: Facts) -> str:
    stage = facts.stages[Diagnostic.CROSSOVER]
    text = (
        f"{facts.opening(stage.name)}: chosen with one half of the data, petitions gain "
        f"{_number(stage.ceiling)} ({_interval(stage)}) in the other half."
    )
    if np.isfinite(facts.intensity):
        text += (
            f" {share_of(min(max(facts.intensity, 0), 1))} of what is predicted is how strongly people care, "
            "not what they prefer."
        )
    return text


def advice(facts: Facts, overall: Overall, binding: Diagnostic | None) -> list[str]:
    """Say what would change the answer."""
    if binding is None:
        enough = f"{facts.petitions_90:g} petitions reach 90% of the gain; more are not needed."
        return [enough] if np.isfinite(facts.petitions_90) else []
    sentences = [_first_advice(facts, overall, binding)]
    if facts.stages[Diagnostic.PREDICTABILITY].high >= facts.smallest and facts.learned < LEARNED_ENOUGH:
        sentences.append(
            f"Another learner: this one has learned about {share_of(facts.learned)} of what covariates "
            "predict."
        )
    if np.isfinite(facts.tasks_needed) and facts.stages[Diagnostic.HETEROGENEITY].significant:
        tasks = "one task" if facts.tasks_needed == 1 else f"{facts.tasks_needed:g} tasks"
        sentences.append(
            f"People's own answers: from about {tasks} a person on they could predict "
            f"enough for a gain of {facts.smallest:g} (a panel in which the same people come back)."
        )
    if np.isfinite(facts.limit) and np.isfinite(facts.gain.ceiling):
        reaches = facts.limit >= facts.smallest
        could = "could reach" if reaches else "would stay below the smallest gain that matters, at"
        sentences.append(
            f"By extrapolation of the learning curve the gain in a very large calibration {could} about "
            f"{_number(facts.limit)}."
        )
    return sentences


def _first_advice(facts: Facts, overall: Overall, binding: Diagnostic) -> str:
    if not facts.known:
        return "Covariates: without them nobody can be given a petition of her own."
    if overall != Overall.DO_NOT and facts.gain.high < facts.smallest:
        return (
            f"Field the {facts.petition}, not this rule. Whether another rule could pay is open: a learner "
            "that captures more of what covariates explain, or more respondents, would have to show it."
        )
    if overall != Overall.DO_NOT:
        return _respondents_needed(facts, binding)
    if binding == Diagnostic.HETEROGENEITY:
        return (
            "Nothing about targeting: even an oracle that knew everybody's preferences could not gain "
            f"{facts.smallest:g}. Field the {facts.petition}; better petitions are worth more than better "
            "targeting."
        )
    if binding == Diagnostic.PREDICTABILITY:
        return (
            "More respondents would not help: these covariates do not predict enough of what people like. "
            "Other covariates might, or people's own answers."
        )
    return (
        "More respondents would hardly help: what is predicted changes the best petition of too few, or "
        f"too little. Field the {facts.petition}."
    )


def _respondents_needed(facts: Facts, binding: Diagnostic) -> str:
    """Say how many respondents would decide, if the estimate stayed where it is."""
    stage = facts.stages[binding]
    distance, margin = abs(stage.ceiling - facts.smallest), (stage.high - stage.low) / 2
    if not np.isfinite(distance) or not np.isfinite(margin) or margin <= 0 or distance <= 0:
        return "More respondents: what was learned from these does not decide."
    times = (margin / distance) ** 2
    if times > LARGEST_FACTOR:
        return (
            "More respondents alone will hardly decide: the estimate lies at the smallest gain that matters."
        )
    needed = int(np.ceil(facts.respondents * max(times, 1.0) / 100 - ties.EQUAL) * 100)
    if needed <= facts.respondents:
        return (
            f"More than the {facts.respondents:,} respondents of this calibration, or a learner that learns "
            "more from them."
        )
    return (
        f"More respondents: about {needed:,} instead of {facts.respondents:,} would decide, if estimates "
        "stay where they are."
    )


def _interval(stage: Stage) -> str:
    return f"90% interval {_number(stage.low)} to {_number(stage.high)}"


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "unknown"


def share_of(value: float) -> str:
    return f"{value:.0%}"
