"""Every sentence about the verdict that people read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanotarget.diagnose.quantities import Diagnostic, Estimator
from nanotarget.diagnose.rows import LEARNED_ENOUGH, Stage
from nanotarget.diagnose.verdict import OfRule, Overall, Verdict
from nanotarget.study import ties
from nanotarget.study.response import RESPONSES

MINUS = "\u2212"

QUESTIONS = {
    Diagnostic.HETEROGENEITY: "Do tastes for petitions differ between people?",
    Diagnostic.PREDICTABILITY: "Can the differences be seen beforehand?",
    Diagnostic.CROSSOVER: "Do they change which petition is best?",
    Diagnostic.DIVIDEND: "Does nano-targeting pay?",
}
# What the verdict of a stage answers to its question.
ANSWERS = {
    Verdict.PASS: "Yes",
    Verdict.FAIL: "Not enough: the gain is shown to be too small",
    Verdict.INCONCLUSIVE: "Not decided",
    Verdict.NOT_EVALUATED: "Not evaluated",
}
GLOSS = (
    "Nano-targeting gives every person the petition that is predicted to move her most. The overall-best "
    "petition is the one that works best on average if everybody gets the same."
)
IN_SHORT = {
    Overall.DEPLOY: "Yes: nano-targeting pays.",
    Overall.DO_NOT: "No: send everybody the overall-best petition.",
    Overall.COLLECT: "Not known yet: these data do not decide.",
}
ONLY_THIS_RULE = "Not with this rule; these data do not exclude that another rule would pay."
NOT_TO_DISSUADE = "No: petitions chosen for the person would lower support by no more than a single one."
# How sure a bound is, where it is not one end of an interval.
BOUND = "one-sided 95% upper bound"
AT_MOST = {
    Diagnostic.PREDICTABILITY: "How much could any rule from what is known about people gain?",
    Diagnostic.HETEROGENEITY: "How much could be gained if everybody's tastes were known?",
}
OBSTACLES = {
    Diagnostic.HETEROGENEITY: (
        "People differ too little in what moves them: even knowing everybody's taste would not gain enough."
    ),
    Diagnostic.PREDICTABILITY: "What is known about people does not reveal who prefers what.",
    Diagnostic.CROSSOVER: "People differ, but not reproducibly in which petition is best for them.",
    Diagnostic.DIVIDEND: "What could be gained is not gained once the rule meets people it has not seen.",
}
SEND = {
    Overall.DEPLOY: "Everybody for whom there is no petition of her own gets the overall-best one:",
    Overall.DO_NOT: "The petition to send to everybody, the overall-best one:",
    Overall.COLLECT: "Until more is known, the overall-best petition is the one to send:",
}
NEVER_FIELDED = "A petition that dissuades is never generated for fielding; its value is only computed."
LARGEST_FACTOR = 100  # on the number of respondents that is worth advising
# Warnings begin with the name of their flag.
UNSTABLE = (
    "lag: answers to neighbouring tasks are more alike than to distant ones. Part of the differences between "
    "people is a mood or carried over from task to task; what they allow to be gained is overstated."
)
INTERACTING = (
    "interactions: what a level adds depends on the rest of the petition. The best petition is put together "
    "from the best levels and may not be the best combination{}"
)
ORDERS = (
    "orders: the gain computed level by level differs from the one computed for pairs of levels; both are in "
    "the table of the diagnosis."
)
OUT_OF_ORDER = (
    "order: the gain is larger than the differences between people, or what is known about them, leave "
    "possible, so the model of the answers is wrong somewhere; check the design and the scale before "
    "anything is fielded."
)
ENDS = "ends: {} of answers are at an end of the scale, and a score that ignores the ends gives another gain."
SPEAKS_FOR_OTHERS = (
    "What could be told about people is bounded loosely, but this rule has learned at least "
    f"{LEARNED_ENOUGH:.0%} of it and does not gain: another rule from the same information is not expected "
    "to."
)
NO_SESOI = (
    "sesoi: no smallest gain that matters is stated (diagnose.sesoi), so no gain can be called too small."
)
LEARNER = "learner: {}."
FEW_DIVERGENT = "few: only {} respondents would get another petition; the whole gain depends on them."
# How the warning of interactions ends, by the estimator that decides.
WEIGHTS = {
    Estimator.FIRST_ORDER: ".",
    Estimator.INTERACTING_PAIRS: "; the gain allows for the pairs of attributes that stand out.",
    Estimator.SECOND_ORDER: "; the gain allows for all pairs of attributes.",
}


@dataclass(frozen=True)
class Amounts:
    """How gains are written: two digits, in percentage points where the outcome is a share.

    Attributes:
        unit: of the outcome in words (`Response.unit_in_text`).
        smallest: gain that matters, whose size says how many decimals are of interest.
    """

    unit: str
    smallest: float

    @property
    def is_share(self) -> bool:
        """Whether the outcome is a share."""
        return any(kind.binary and kind.unit_in_text() == self.unit for kind in RESPONSES.values())

    @property
    def unit_of_gain(self) -> str:
        """The unit as it follows a gain."""
        return f"percentage points {self.unit}" if self.is_share else self.unit

    def threshold(self) -> str:
        """Write the smallest gain that matters, as it was stated."""
        return f"{self._scaled(self.smallest):.6g}"

    def gain(self, value: float) -> str:
        """Write a gain; further digits only tell it from 0 and from the smallest gain that matters."""
        if not np.isfinite(value):
            return "unknown"
        scaled, line = self._scaled(value), self._scaled(self.smallest)
        places = self._places(line if line > 0 else scaled)
        places = min(places, max(self._places(scaled), 0))
        for finer in range(places, places + 3):
            text = f"{scaled:.{finer}f}"
            if float(text) not in (0.0, line):
                return text.replace("-", MINUS)
        return self.threshold() if float(text) == line != 0 else "0"

    def span(self, low: float, high: float) -> str:
        """Write an interval of a gain."""
        return f"{self.gain(low)} to {self.gain(high)}"

    def up_to(self, ceiling: float, high: float) -> str:
        """Write what could be gained, and its upper bound."""
        bound = self.gain(high)
        unit = f" {self.unit_of_gain}"
        return "nothing" if bound == "0" else f"about {self.gain(ceiling)}{unit}, at most {bound}"

    def _scaled(self, value: float) -> float:
        return round(value * 100, 9) if self.is_share else value

    @staticmethod
    def _places(value: float) -> int:
        """Decimals that show two digits of a number."""
        return max(1 - int(np.floor(np.log10(abs(value)))), 0) if value else 2


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

    @property
    def amounts(self) -> Amounts:
        """How its gains are written."""
        return Amounts(self.unit, self.smallest)


def in_short(verdict: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what decision-makers want to know of verdict.json after the verdict: (question, answer)."""
    binding, amounts = verdict["binding"], Amounts(verdict["unit"], verdict["threshold"])
    said = []
    if binding and verdict["overall"] == Overall.DO_NOT:
        said.append(("What stands in the way?", OBSTACLES[binding]))
    elif binding:
        said.append(("What is not decided?", QUESTIONS[binding]))
    if verdict["gain"] is not None:
        said.append(("What does nano-targeting gain?", _best_estimate(verdict, amounts)))
    matters = f"A gain of more than {amounts.threshold()} {amounts.unit_of_gain}."
    said.append(("What would matter?", matters))
    if verdict["share_divergent"] is not None:
        share = f"{share_of(verdict['share_divergent'])} of the respondents."
        said.append(("How many would get another petition?", share))
    return said + _at_most(verdict, amounts)


def opening(verdict: Mapping[str, Any]) -> str:
    """Answer in one sentence whether it pays."""
    if verdict["goal"] == "dissuade" and verdict["overall"] == Overall.DO_NOT:
        return NOT_TO_DISSUADE
    only_this = verdict["overall"] == Overall.COLLECT and verdict["rule"] == OfRule.DOES_NOT
    return ONLY_THIS_RULE if only_this else IN_SHORT[verdict["overall"]]


def worth(amounts: Amounts, value: float, over_random: float) -> str:
    """Say what the overall-best petition earns on average, and how much more than a random one."""
    if amounts.is_share:
        earned = f"Its {amounts.unit.removeprefix('in the ')} is {share_of(value)}"
    else:
        earned = f"It earns {value:.1f} {amounts.unit}"
    more = f"{amounts.gain(over_random)} {'percentage points' if amounts.is_share else 'points'}"
    return (
        f"{earned} on average, {more} more than a random petition, tested with people whose answers did not "
        "choose it."
    )


def _best_estimate(verdict: Mapping[str, Any], amounts: Amounts) -> str:
    if verdict["share_divergent"] == 0:
        return "Nothing: this rule gives everybody the overall-best petition."
    span = amounts.span(verdict["gain_low"], verdict["gain_high"])
    return (
        f"An estimated {amounts.gain(verdict['gain'])} {amounts.unit_of_gain}; the data allow {span} "
        "(90% interval)."
    )


def _at_most(verdict: Mapping[str, Any], amounts: Amounts) -> list[tuple[str, str]]:
    """Bound what any rule could gain, or else what knowing all tastes could.

    No rule gains more than the best one: where the upper bound of this rule is higher, so is that of any.
    """
    highs = {stage: (verdict["ceilings"].get(stage) or {}).get("high") for stage in QUESTIONS}
    stage = next((s for s in AT_MOST if highs[s] is not None), None)
    if stage is None:
        return []
    high = max([high for high in (highs[stage], highs[Diagnostic.DIVIDEND]) if high is not None])
    most = amounts.gain(max(high, 0.0))
    answer = "Nothing." if most == "0" else f"At most {most} {amounts.unit_of_gain} ({BOUND})."
    judged = verdict["binding"] in (Diagnostic.CROSSOVER, Diagnostic.DIVIDEND)
    if judged and verdict["overall"] == Overall.DO_NOT and high >= verdict["threshold"]:
        answer += f" {SPEAKS_FOR_OTHERS}"
    return [(AT_MOST[stage], answer)]


SIDES = {
    "above": "lie above the smallest gain that matters",
    "below": "lie below the smallest gain that matters",
    "open": "no longer lie on one side of the smallest gain that matters",
}


def without_error(amounts: Amounts, stage: Diagnostic, gains: tuple[float, float], side: str) -> str:
    """Say that response error decides on which side of the smallest gain that matters an answer lies.

    Args:
        amounts: how gains are written.
        stage: whose ceiling it is.
        gains: that it leaves possible, as answered and without response error.
        side: of the interval without response error, a key of `SIDES`.
    """
    raw, clean = map(amounts.gain, gains)
    return (
        "Some answers go the other way by chance. If none did, the gain that question "
        f"{list(QUESTIONS).index(stage) + 1} leaves possible would be {clean} instead of {raw} "
        f"{amounts.unit_of_gain}, and what the data allow would {SIDES[side]} "
        f"({amounts.threshold()}). The verdict rests on answers as they were given, because those who are "
        "asked to sign answer by chance now and then, too."
    )


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
    amounts = facts.amounts
    best = (
        f" The overall-best petition itself gains {amounts.gain(facts.best)} {amounts.unit_of_gain} over a "
        "random one."
        if facts.goal == "support" and np.isfinite(facts.best)
        else ""
    )
    if not facts.known:
        return (
            "Nothing that is known about people may be used for targeting, so nobody can be given another "
            f"petition than the {facts.petition}: only whether people differ at all can be said.{best}"
        )
    return (_no_gain(facts) if facts.divergent == 0 else _gain(facts)) + best


def _no_gain(facts: Facts) -> str:
    text = (
        f"What was learned gives no reason to send anybody another petition than the {facts.petition}, so "
        "nano-targeting with it gains nothing."
    )
    if facts.verdicts[Diagnostic.DIVIDEND] == Verdict.INCONCLUSIVE:
        text += " That nothing was learned does not prove that there is nothing to learn."
    return text


def _gain(facts: Facts) -> str:
    gain, amounts = facts.gain, facts.amounts
    matters = f"{amounts.threshold()}, the smallest gain that matters"
    text = (
        f"Nano-targeting gives {share_of(facts.divergent)} of respondents another petition than the "
        f"{facts.petition}. Tested with people whose answers it did not learn from, it gains "
        f"{amounts.gain(gain.ceiling)} {amounts.unit_of_gain} over it (the data allow "
        f"{amounts.span(gain.low, gain.high)}); its own forecast is {amounts.gain(facts.plug_in)}. "
    )
    if gain.low > facts.smallest:
        return f"{text}All that the data allow is above {matters}: nano-targeting pays."
    if gain.high >= facts.smallest:
        return f"{text}The data allow gains below and above {matters}: they do not decide."
    text += f"All that the data allow is below {matters}."
    if facts.verdicts[Diagnostic.DIVIDEND] != Verdict.FAIL:
        text += " But this rule is not known to have learned what there is to learn."
    return text


def reasons(facts: Facts) -> list[str]:
    """Say what each stage says, in the order of the stages."""
    if facts.verdicts[Diagnostic.PREDICTABILITY] == Verdict.NOT_EVALUATED:
        nothing = "Nothing that is known about people may be used for targeting."
        return [_heterogeneity(facts), *[nothing] * (len(QUESTIONS) - 1)]
    return [_heterogeneity(facts), _predictability(facts), _crossover(facts), _dividend(facts)]


def _heterogeneity(facts: Facts) -> str:
    stage, amounts = facts.stages[Diagnostic.HETEROGENEITY], facts.amounts
    if not stage.evaluated:
        return "Nobody answered two tasks, so lasting tastes cannot be told from chance."
    differ = "differ" if stage.significant else "are not shown to differ"
    share = (
        f" ({share_of(facts.within)} of the variance of a person's answers)"
        if np.isfinite(facts.within)
        else ""
    )
    return (
        f"People {differ} lastingly in what they like{share}. Knowing everybody's taste could gain "
        f"{amounts.up_to(stage.ceiling, stage.high)}."
    )


def _predictability(facts: Facts) -> str:
    stage, amounts = facts.stages[Diagnostic.PREDICTABILITY], facts.amounts
    tell = "tells" if stage.significant else "is not shown to tell"
    share = ""
    if facts.predictable > 1:
        share = " (all of the differences, as far as can be estimated)"
    elif facts.predictable > 0:
        share = f" (an estimated {share_of(facts.predictable)} of the differences)"
    return (
        f"What is known about people ({facts.known}) {tell} who likes what{share}. Perfect use of it could "
        f"gain {amounts.up_to(stage.ceiling, stage.high)}."
    )


def _crossover(facts: Facts) -> str:
    stage, amounts = facts.stages[Diagnostic.CROSSOVER], facts.amounts
    span = amounts.span(stage.low, stage.high)
    gain = (
        "nothing" if span == amounts.span(0, 0) else f"{amounts.gain(stage.ceiling)} (the data allow {span})"
    )
    text = f"Chosen by the answers of one half of the people, petitions gain among the other half {gain}."
    if np.isfinite(facts.intensity):
        text += (
            f" {share_of(min(max(facts.intensity, 0), 1))} of what is predicted is how strongly people care, "
            "not what they prefer."
        )
    return text + _beyond(facts, stage)


def _dividend(facts: Facts) -> str:
    gain, amounts = facts.gain, facts.amounts
    if facts.divergent == 0:
        text = f"The rule learned from all answers gives everybody the {facts.petition}."
        halves = facts.stages[Diagnostic.CROSSOVER].ceiling
        if np.isfinite(halves) and amounts.gain(halves) != "0":
            text += " Rules learned from half of them do not."
    else:
        text = (
            f"Scored by people whose answers it did not learn from, nano-targeting gains "
            f"{amounts.gain(gain.ceiling)} (the data allow {amounts.span(gain.low, gain.high)})."
        )
    return text + _beyond(facts, gain)


def _beyond(facts: Facts, stage: Stage) -> str:
    """Say if an estimate is above what an earlier stage leaves possible, by a tenth of what matters."""
    earlier = (facts.stages[Diagnostic.HETEROGENEITY], facts.stages[Diagnostic.PREDICTABILITY])
    limit = stage.ceiling - facts.smallest / 10
    bounds = [found.high for found in earlier if found.evaluated and limit > found.high]
    if not bounds:
        return ""
    return (
        f" That is more than the {facts.amounts.gain(min(bounds))} that an answer above leaves possible: one "
        "of the two is off, by chance or because the model of the answers is wrong."
    )


def advice(facts: Facts, overall: Overall, binding: Diagnostic | None) -> list[str]:
    """Say what would change the answer."""
    if binding is None:
        enough = f"{facts.petitions_90:g} different petitions reach 90% of the gain; more are not needed."
        return [enough] if np.isfinite(facts.petitions_90) else []
    sentences = [_first_advice(facts, overall, binding)]
    if facts.stages[Diagnostic.PREDICTABILITY].high >= facts.smallest and facts.learned < LEARNED_ENOUGH:
        sentences.append(
            f"Another learner (model that predicts tastes): this one has learned about "
            f"{share_of(facts.learned)} of what {facts.known} tell."
        )
    if np.isfinite(facts.tasks_needed) and facts.stages[Diagnostic.HETEROGENEITY].significant:
        tasks = "one task" if facts.tasks_needed == 1 else f"{facts.tasks_needed:g} tasks"
        sentences.append(
            f"People's own answers: from about {tasks} a person on they could predict "
            "enough for a gain that matters (a panel in which the same people come back)."
        )
    if np.isfinite(facts.limit) and np.isfinite(facts.gain.ceiling):
        reaches = facts.limit >= facts.smallest
        could = "could reach" if reaches else "would stay below the smallest gain that matters, at"
        sentences.append(
            f"Extrapolated to a very large survey the gain {could} about {facts.amounts.gain(facts.limit)}."
        )
    return sentences


def _first_advice(facts: Facts, overall: Overall, binding: Diagnostic) -> str:
    if not facts.known:
        return (
            "Something known about people beforehand (covariates, such as age or party): without it nobody "
            "can be given a petition of her own."
        )
    if overall != Overall.DO_NOT and facts.gain.high < facts.smallest:
        return (
            f"Choose the {facts.petition}, not this rule. Whether another rule could pay is open: a learner "
            "(model that predicts tastes) that captures more of what is known about people, or more "
            "respondents, would have to show it."
        )
    if overall != Overall.DO_NOT:
        return _respondents_needed(facts, binding)
    if binding == Diagnostic.HETEROGENEITY:
        return (
            "Nothing about targeting: even knowing everybody's taste could not gain as much as would matter. "
            "Better petitions are worth more than better targeting."
        )
    if binding == Diagnostic.PREDICTABILITY:
        return (
            f"More respondents would not help: {facts.known} do not tell enough of what people like. Other "
            "information about people might, such as their own earlier answers."
        )
    return (
        "More respondents would hardly help: what is predicted changes the best petition of too few people, "
        "or too little."
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


def share_of(value: float) -> str:
    """Write a share in whole percent; what is not nothing, or not all, is not called so."""
    if 0 < value < 0.005:
        return "less than 1%"
    return "more than 99%" if 0.995 <= value < 1 else f"{value:.0%}"
