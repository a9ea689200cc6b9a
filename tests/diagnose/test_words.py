"""The sentences of the verdict: what is said where, and that the numbers in them are those of the stages."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nanotarget.diagnose import words
from nanotarget.diagnose.diagnosis import answer_of
from nanotarget.diagnose.quantities import DIAGNOSTICS, Diagnostic, Estimator
from nanotarget.diagnose.rows import LEARNED_ENOUGH, Stage
from nanotarget.diagnose.verdict import Overall, Verdict, overall_verdict, stage_verdicts
from nanotarget.study import artefacts
from nanotarget.study.response import Choice

UNIT = "rating points"


def facts(smallest=0.1, stages=(), **more):
    """Facts in which all stages pass, but for changed stages and numbers."""
    standard = {name: Stage(name, 0.3, 0.2, 0.4, significant=True, learned=True) for name in DIAGNOSTICS}
    changed = standard | {name: replace(standard[name], **change) for name, change in dict(stages).items()}
    numbers = {"divergent": 0.4, "plug_in": 0.5, "best": 0.7, "respondents": 1000, "within": 0.06} | more
    return words.Facts("support", UNIT, smallest, changed, stage_verdicts(changed, smallest), **numbers)


NOTHING = {"ceiling": 0.0, "low": 0.0, "high": 0.0}
UNLEARNED = {
    Diagnostic.PREDICTABILITY: {"significant": False, "learned": False},
    Diagnostic.CROSSOVER: NOTHING,
    Diagnostic.DIVIDEND: NOTHING,
}


HIGH = {"high": 0.9}
UNSEEN = UNLEARNED[Diagnostic.PREDICTABILITY] | HIGH


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (
            facts(),
            "All that the data allow is above 0.1, the smallest gain that matters: nano-targeting pays.",
        ),
        (
            facts(0.25),
            "The data allow gains below and above 0.25, the smallest gain that matters: they do not",
        ),
        (facts(0.5), "All that the data allow is below 0.5, the smallest gain that matters."),
        (facts(), "Nano-targeting gives 40% of respondents another petition than the overall-best petition."),
        (
            facts(),
            "it gains 0.30 rating points over it (the data allow 0.20 to 0.40); its own forecast is 0.50.",
        ),
        (facts(), "The overall-best petition itself gains 0.70 rating points over a random one."),
        (facts(divergent=0.0), "so nano-targeting with it gains nothing."),
        (
            facts(divergent=0.0, stages=UNLEARNED),
            "That nothing was learned does not prove that there is nothing to learn.",
        ),
        (
            facts(0.5, {**UNLEARNED, Diagnostic.HETEROGENEITY: HIGH, Diagnostic.PREDICTABILITY: UNSEEN}),
            "But this rule is not known to have learned what there is to learn.",
        ),
        (facts(known=""), "Nothing that is known about people may be used for targeting"),
    ],
)
def test_the_headline_says_what_the_interval_of_the_gain_decides(case, sentence):
    assert sentence in words.headline(case)


def test_a_rule_that_fails_is_not_excused():
    assert "not known to have learned" not in words.headline(facts(0.5))


def test_each_stage_has_its_reason():
    said = words.reasons(facts(predictable=0.08, intensity=1.2))
    assert len(said) == len(DIAGNOSTICS)
    assert "differ lastingly in what they like (6% of the variance of a person's answers)" in said[0]
    assert "Knowing everybody's taste could gain about 0.30 rating points, at most 0.40." in said[0]
    assert "(covariates) tells who likes what (an estimated 8% of the differences)" in said[1]
    assert "100% of what is predicted is how strongly people care" in said[2]  # a share is never above 1
    unknown = words.reasons(facts(within=np.nan, stages=UNLEARNED))
    assert "what they like." in unknown[0]
    assert "is not shown to tell who likes what." in unknown[1]


def test_a_rule_that_speaks_for_others_says_why_their_loose_bound_does_not_count():
    loose = VERDICT["ceilings"] | {"predictability": CEILING | {"high": 0.9}}
    asked = words.AT_MOST[Diagnostic.PREDICTABILITY]
    assert words.SPEAKS_FOR_OTHERS in dict(in_short(binding="dividend", ceilings=loose))[asked]
    for tight in (
        in_short(binding="dividend"),
        in_short(ceilings=loose),
    ):  # none could gain, or none is tried
        assert words.SPEAKS_FOR_OTHERS not in dict(tight)[asked]


def test_no_share_of_the_differences_is_above_all():
    said = words.reasons(facts(predictable=1.06))[1]
    assert "(all of the differences, as far as can be estimated)" in said and "1.06" not in said


def test_what_was_not_evaluated_is_said():
    stages = {name: {"evaluated": False} for name in DIAGNOSTICS}
    assert words.reasons(facts(stages=stages, known="")) == [
        "Nobody answered two tasks, so lasting tastes cannot be told from chance.",
        *["Nothing that is known about people may be used for targeting."] * 3,
    ]


def advice(case):
    return words.advice(case, *overall_verdict(case.verdicts))


FAILING = {"significant": False, "learned": False, "low": 0.0, "ceiling": 0.02, "high": 0.05}
UNDECIDED = {"ceiling": 0.151, "low": 0.05, "high": 0.25}


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (facts(petitions_90=5), "5 different petitions reach 90% of the gain; more are not needed."),
        (
            facts(stages={Diagnostic.HETEROGENEITY: FAILING} | UNLEARNED),
            "Nothing about targeting: even knowing",
        ),
        (
            facts(stages=UNLEARNED | {Diagnostic.PREDICTABILITY: FAILING}),
            "More respondents would not help: covariates do not tell enough of what",
        ),
        (
            facts(stages={Diagnostic.CROSSOVER: FAILING, Diagnostic.DIVIDEND: FAILING}),
            "More respondents would hardly help",
        ),
        # (half of the interval / distance from 0.1)^2 = 3.8 times as many respondents, in whole hundreds.
        (facts(stages={Diagnostic.DIVIDEND: UNDECIDED}), "about 3,900 instead of 1,000 would decide"),
        (facts(stages={Diagnostic.DIVIDEND: UNDECIDED | {"ceiling": 0.1001}}), "alone will hardly decide"),
        (
            facts(stages={Diagnostic.DIVIDEND: UNDECIDED}, learned=0.2),
            "this one has learned about 20% of what covariates tell.",
        ),
        (facts(stages={Diagnostic.DIVIDEND: UNDECIDED}, tasks_needed=1), "from about one task a person on"),
        (facts(stages={Diagnostic.DIVIDEND: UNDECIDED}, limit=0.2), "could reach about 0.20."),
        (
            facts(stages={Diagnostic.DIVIDEND: UNDECIDED}, limit=0.05),
            "would stay below the smallest gain that matters, at about 0.05.",
        ),
        (
            facts(stages={name: {"evaluated": False} for name in DIAGNOSTICS[1:]}, known=""),
            "Something known about people beforehand (covariates, such as age or party): without it",
        ),
    ],
)
def test_advice_says_what_would_change_the_answer(case, sentence):
    assert any(sentence in text for text in advice(case)), advice(case)


def test_a_rule_that_does_not_pay_is_not_advised_even_if_another_could():
    open_case = facts(0.5, {**UNLEARNED, Diagnostic.HETEROGENEITY: HIGH, Diagnostic.PREDICTABILITY: UNSEEN})
    assert overall_verdict(open_case.verdicts)[0] == Overall.COLLECT
    assert advice(open_case)[0].startswith("Choose the overall-best petition, not this rule.")


def test_who_deploys_needs_no_advice():
    assert overall_verdict(facts().verdicts) == (Overall.DEPLOY, None)
    assert advice(facts(learned=0.1, tasks_needed=3, limit=0.2)) == []


def test_every_verdict_and_estimator_has_its_words():
    assert set(words.QUESTIONS) == set(DIAGNOSTICS)
    assert set(words.WEIGHTS) == {e for e in Estimator if e.startswith("dr_")}
    assert {f"{v}" for v in Verdict} == {"PASS", "FAIL", "INCONCLUSIVE", "NOT EVALUATED"}


@pytest.mark.parametrize(
    ("covariates", "own_answers", "expected"),
    [
        (True, True, "covariates and people's own answers"),
        (False, True, "people's own answers"),
        (True, False, "covariates"),
        (False, False, ""),
    ],
)
def test_what_a_policy_may_use_is_said(covariates, own_answers, expected):
    assert words.information(covariates, own_answers) == expected


CEILING = {"estimate": 0.03, "low": 0.01, "high": 0.06}
VERDICT = {
    "goal": "support",
    "overall": "DO NOT DEPLOY",
    "rule": "DOES NOT PAY",
    "binding": "predictability",
    "unit": UNIT,
    "threshold": 0.1,
    "gain": 0.002,
    "gain_low": -0.047,
    "gain_high": 0.051,
    "share_divergent": 0.4,
    "ceilings": dict.fromkeys(DIAGNOSTICS, CEILING) | {"dividend": CEILING | {"high": 0.051}},
}


def in_short(**changes):
    return words.in_short(VERDICT | changes)


def test_in_short_the_verdict_says_what_binds_and_how_much_is_possible():
    assert in_short() == [
        ("What stands in the way?", "What is known about people does not reveal who prefers what."),
        (
            "What does nano-targeting gain?",
            "An estimated 0.002 rating points; the data allow \u22120.05 to 0.05 (90% interval).",
        ),
        ("What would matter?", "A gain of more than 0.1 rating points."),
        ("How many would get another petition?", "40% of the respondents."),
        (
            "How much could any rule from what is known about people gain?",
            "At most 0.06 rating points (one-sided 95% upper bound).",
        ),
    ]


def test_what_is_not_known_is_left_out():
    nothing = {name: dict.fromkeys(CEILING) for name in DIAGNOSTICS}
    unknown = {"gain": None, "gain_low": None, "gain_high": None, "share_divergent": None}
    unknown |= {"overall": "COLLECT MORE", "rule": "NOT EVALUATED", "binding": "crossover"}
    assert in_short(ceilings=nothing, **unknown) == [
        ("What is not decided?", words.QUESTIONS[Diagnostic.CROSSOVER]),
        ("What would matter?", "A gain of more than 0.1 rating points."),
    ]
    assert in_short(overall="DEPLOY", rule="PAYS", binding=None)[0][0] == "What does nano-targeting gain?"
    alone = in_short(ceilings=nothing | {"heterogeneity": CEILING}, **unknown)
    assert alone[2][0] == "How much could be gained if everybody's tastes were known?"


def test_a_rule_that_does_not_pay_is_not_all_rules():
    case = VERDICT | {"overall": "COLLECT MORE", "binding": "dividend"}
    assert words.opening(case) == words.ONLY_THIS_RULE
    assert words.opening(case | {"rule": "UNDECIDED"}) == "Not known yet: these data do not decide."
    assert words.opening(VERDICT) == "No: send everybody the overall-best petition."
    assert words.opening(VERDICT | {"goal": "dissuade"}) == words.NOT_TO_DISSUADE


def test_what_gives_everybody_the_same_gains_nothing_and_has_no_bound():
    nothing = dict(in_short(share_divergent=0.0, gain=0.0, gain_low=0.0, gain_high=0.0))
    assert nothing["What does nano-targeting gain?"].startswith("Nothing: this rule gives everybody")


@pytest.mark.parametrize(
    ("unit", "smallest", "value", "text"),
    [
        (UNIT, 0.3, 0.0451, "0.05"),
        (UNIT, 0.3, 1.377, "1.4"),
        (UNIT, 0.3, -0.0059, "\u22120.01"),
        (UNIT, 0.3, -0.00001, "0"),  # never a negative nothing
        (UNIT, 0.3, 0.003, "0.003"),  # told from 0
        (UNIT, 0.3, 0.2987, "0.299"),  # told from the smallest gain that matters
        (UNIT, 0.3, 0.3, "0.3"),
        (UNIT, 5, 12.34, "12"),
        (UNIT, 5, 0.3, "0.3"),
        (UNIT, 0, 0.0123, "0.012"),
        (UNIT, 0.3, np.nan, "unknown"),
        (Choice.unit_in_text(), 0.02, 0.0049, "0.5"),
        (Choice.unit_in_text(), 0.07, 0.07, "7"),
        (Choice.unit_in_text(), 0.02, -0.058, "\u22125.8"),
    ],
)
def test_gains_have_two_digits_and_those_of_shares_are_percentage_points(unit, smallest, value, text):
    amounts = words.Amounts(unit, smallest)
    assert amounts.gain(value) == text
    assert amounts.unit_of_gain.startswith("percentage points") == (unit != UNIT)


def test_a_share_that_is_not_nothing_is_not_called_so():
    assert [words.share_of(x) for x in (0.0, 0.001, 0.4, 0.999, 1.0)] == [
        "0%", "less than 1%", "40%", "more than 99%", "100%",
    ]  # fmt: skip


# Verdicts of every world of the proof (its committed rows), and such as no world gives.
NAMES_OF_BOUNDS = dict(zip(DIAGNOSTICS, ("G1", "G2", "G3", "dividend_bound"), strict=True))
WORLDS = sorted(Path(__file__).parents[2].joinpath("docs/validation").glob("*.csv"))


def cases_of(file):
    for row in artefacts.read_csv(file).to_dict("records"):
        stages = {
            name: Stage(
                name,
                *(row[f"{bound}{end}"] for end in ("", "_low", "_high")),
                significant=row[name] in ("PASS", "FAIL") and row[f"{bound}_low"] > 0,
                learned=row["learned"] >= LEARNED_ENOUGH * max(row["free"], row["products"]),
                evaluated=np.isfinite(row[bound]),
            )
            for name, bound in NAMES_OF_BOUNDS.items()
        }
        divergent = 0.0 if row["gain_se"] == 0 or row["gain"] == 0 else 0.4
        yield words.Facts(
            row["goal"], UNIT, SMALLEST_OF_WORLDS, stages, stage_verdicts(stages, SMALLEST_OF_WORLDS),
            respondents=1000, within=0.3, predictable=row["learned"] / row["person"], divergent=divergent,
            plug_in=row["gain"], best=0.7,
        )  # fmt: skip


SMALLEST_OF_WORLDS = 0.1
CURIOUS = (
    facts(divergent=0.0, stages={**UNLEARNED,
                                 Diagnostic.CROSSOVER: {"ceiling": 0.041, "low": 0.013, "high": 0.069}}),
    facts(stages={Diagnostic.PREDICTABILITY: {"ceiling": 0.1, "low": 0.0, "high": 0.123},
                  Diagnostic.DIVIDEND: {"ceiling": 0.128, "low": 0.05, "high": 0.2}}),
    facts(stages={Diagnostic.HETEROGENEITY: {"ceiling": 0.05, "low": 0.0, "high": 0.08}}),
    facts(0.3, stages={Diagnostic.DIVIDEND: {"ceiling": 0.2, "low": 0.1, "high": 0.2996}}),
)  # fmt: skip


# Ceilings of the published examples and the reference study (docs/diagnosis.md): G1, G2, G3, gain.
EXAMPLES = {
    "bs2013": (Choice.unit_in_text(), 0.02, ((0.129, 0.113, 0.153), (0.021, 0.010, 0.044),
                                             (0.012, -0.006, 0.031), (0.005, -0.014, 0.023))),
    "sw2022": (Choice.unit_in_text(), 0.02, ((0.306, 0.266, 0.357), (0.042, 0.0, 0.118),
                                             (0.002, -0.033, 0.037), (-0.023, -0.058, 0.013))),
    "immigration": (Choice.unit_in_text(), 0.02, ((0.060, 0.048, 0.079), (0.0, 0.0, 0.006),
                                                  (-0.003, -0.008, 0.002), (-0.007, -0.030, 0.016))),
    "reference": (UNIT, 0.3, ((0.244, 0.031, 1.377), (0.185, 0.0, 1.455),
                              (0.004, -0.074, 0.081), (-0.006, -0.098, 0.086))),
}  # fmt: skip


def example(name):
    unit, smallest, ceilings = EXAMPLES[name]
    stages = {
        stage: {"ceiling": ceiling, "low": low, "high": high}
        for stage, (ceiling, low, high) in zip(DIAGNOSTICS, ceilings, strict=True)
    }
    return replace(facts(smallest, stages), unit=unit)


def as_number(text):
    return float(text.replace(words.MINUS, "-"))


def contradictions(case):
    """What a reader of the sentences would find to contradict something else that is said."""
    answer = answer_of(case)
    verdict = answer | {
        "unit": case.unit, "threshold": case.smallest, "gain": case.gain.ceiling, "gain_low": case.gain.low,
        "gain_high": case.gain.high, "share_divergent": case.divergent,
    }  # fmt: skip
    said = dict(words.in_short(verdict))
    whole = " ".join([answer["text"], *answer["reasons"], *said.values()])
    found = []
    number = rf"({words.MINUS}?[0-9.]*[0-9])"
    unit = re.escape(case.amounts.unit_of_gain)
    threshold = as_number(case.amounts.threshold())
    gains = re.findall(rf"it gains {number}|estimated {number} {unit}", whole)
    estimates = [as_number(x) for pair in gains for x in pair if x]
    at_most = [as_number(x) for x in re.findall(rf"[Aa]t most {number}", " ".join(said.values()))]
    if any(estimate > bound for estimate in estimates for bound in at_most):
        found.append("an estimate above what is said to be possible at most")
    inside = re.findall(rf"{number} \(the data allow {number} to {number}\)", whole)
    if any(not as_number(low) <= as_number(x) <= as_number(high) for x, low, high in inside):
        found.append("an estimate outside of its interval")
    for estimate, high in re.findall(rf"about {number}(?: {unit})?, at most {number}", whole):
        if as_number(estimate) > as_number(high):
            found.append("a ceiling above its own bound")
    spans = re.findall(
        rf"it gains {number} {unit} over it \(the data allow {number} to {number}\)", answer["text"]
    )
    if case.divergent > 0 and len(spans) != 1:
        found.append("no gain with what the data allow")
    for _, low, high in spans:
        pays, fails = as_number(low) > threshold, as_number(high) < threshold
        if ("pays." in answer["text"]) != pays or ("is below" in answer["text"]) != fails:
            found.append("a verdict against its interval")
    if case.divergent == 0 and (spans or "allow 0 to 0" in whole or "At most 0 " in whole):
        found.append("a bound on what is nothing by construction")
    beyond = min(s.high for s in list(case.stages.values())[:2] if s.evaluated)
    if case.gain.ceiling > beyond + case.smallest / 10 and "leaves possible" not in whole:
        found.append("a gain above an earlier ceiling, without a word")
    if len(set(re.findall(r"gives ([\w ]*\d+%) of respondents", whole))) > 1 or re.search(
        r"[1-9]\d\d%", whole.replace("100%", "")
    ):
        found.append("two percentages for one share, or one above all")
    if re.search(rf"{words.MINUS}0(?:\.0+)?(?![.\d])|structurally|\bnan\b|oracle", whole):
        found.append("a negative nothing, or a word that nobody knows")
    return found


@pytest.mark.parametrize("file", WORLDS, ids=lambda file: file.stem)
def test_nothing_said_of_the_verdicts_of_any_world_contradicts_anything_else(file):
    cases = list(cases_of(file))
    assert cases and {text: None for case in cases for text in contradictions(case)} == {}


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_said_of_the_examples_contradicts_anything_else(name):
    assert contradictions(example(name)) == []


def test_a_contradiction_would_be_found(monkeypatch):
    case = example("bs2013")
    monkeypatch.setattr(words, "_at_most", lambda *_: [("How much?", "At most 0.4 percentage points.")])
    assert contradictions(case) == ["an estimate above what is said to be possible at most"]
    monkeypatch.undo()
    monkeypatch.setattr(words, "_no_gain", lambda _: "Nothing, at -119% of 0.")
    monkeypatch.setattr(words.Amounts, "span", lambda *_: "0.1 to 0.2")
    assert len(contradictions(case)) == 2 and len(contradictions(replace(case, divergent=0.0))) == 1


@pytest.mark.parametrize("case", CURIOUS)
def test_nothing_said_of_curious_verdicts_contradicts_anything_else(case):
    assert contradictions(case) == []


UNCERTAIN = "not distinguishable from 0, at which nothing is predicted"


@pytest.mark.parametrize(
    ("low", "high", "reading"),
    [
        (0.3, 0.8, "the learner sees real differences but overstates them"),
        (-0.2, 0.8, "not distinguishable from 0, at which nothing is predicted"),
        (
            -0.2,
            1.8,
            "not distinguishable from 0, at which nothing is predicted, nor from 1, which is perfect",
        ),
        (0.6, 1.2, "the learner sees real differences"),
        (1.1, 1.9, "the learner sees real differences but understates them"),
        (-0.9, -0.1, "predictions mislead"),
        (np.nan, np.nan, ""),
    ],
)
def test_the_interval_of_the_slope_is_read(low, high, reading):
    assert words.slope_reading(low, high) == reading
