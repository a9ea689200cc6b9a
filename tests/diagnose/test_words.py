"""The sentences of the verdict: what is said where, and that the numbers in them are those of the stages."""

from dataclasses import replace

import numpy as np
import pytest

from nanotarget.diagnose import words
from nanotarget.diagnose.quantities import DIAGNOSTICS, Diagnostic, Estimator
from nanotarget.diagnose.rows import Stage
from nanotarget.diagnose.verdict import Overall, Verdict, overall_verdict, stage_verdicts

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
        (facts(), "The whole interval lies above 0.1, the smallest gain that matters: nano-targeting pays."),
        (facts(0.25), "The interval includes 0.25, the smallest gain that matters: the data do not decide."),
        (facts(0.5), "The whole interval lies below 0.5, the smallest gain that matters."),
        (facts(), "Nano gives 40% of respondents another petition than the overall-best petition."),
        (facts(), "it gains 0.300 rating points over it (90% interval 0.200 to 0.400); the learner itself"),
        (facts(), "The overall-best petition itself gains 0.700 rating points over a random one."),
        (facts(divergent=0.0), "structurally zero."),
        (
            facts(divergent=0.0, stages=UNLEARNED),
            "That it learned nothing does not prove that there is nothing to learn.",
        ),
        (
            facts(0.5, {**UNLEARNED, Diagnostic.HETEROGENEITY: HIGH, Diagnostic.PREDICTABILITY: UNSEEN}),
            "But this rule is not known to have learned what there is to learn.",
        ),
        (facts(known=""), "No covariate may be used for targeting"),
    ],
)
def test_the_headline_says_what_the_interval_of_the_gain_decides(case, sentence):
    assert sentence in words.headline(case)


def test_a_rule_that_fails_is_not_excused():
    assert "not known to have learned" not in words.headline(facts(0.5))


def test_each_stage_has_its_reason_with_its_verdict_first():
    said = words.reasons(facts(predictable=0.08, intensity=1.2))
    starts = [f"{name.capitalize()}, PASS: " for name in DIAGNOSTICS]
    assert len(said) == len(starts)
    assert all(text.startswith(start) for text, start in zip(said, starts, strict=True))
    assert "differ stably in what they like (6% of the variance of their answers)" in said[0]
    assert "An oracle that knew everybody's preferences could gain about 0.300 rating points" in said[0]
    assert "covariates predict who likes what (an estimated 8% of the differences)" in said[1]
    assert "100% of what is predicted is how strongly people care" in said[2]  # a share is never above 1
    unknown = words.reasons(facts(within=np.nan, stages=UNLEARNED))
    assert "what they like." in unknown[0]
    assert "are not shown to predict who likes what." in unknown[1]


def test_a_rule_that_speaks_for_others_says_why_their_loose_bound_does_not_count():
    loose = {Diagnostic.HETEROGENEITY: HIGH, Diagnostic.PREDICTABILITY: HIGH}
    assert words.SPEAKS_FOR_OTHERS in words.reasons(facts(0.5, loose))[-1]
    tight = facts(0.5)  # no rule could gain so much anyway
    assert not any(words.SPEAKS_FOR_OTHERS in text for text in words.reasons(tight))
    unlearned = facts(0.5, {**UNLEARNED, Diagnostic.HETEROGENEITY: HIGH, Diagnostic.PREDICTABILITY: UNSEEN})
    assert not any(words.SPEAKS_FOR_OTHERS in text for text in words.reasons(unlearned))


def test_no_share_of_the_differences_is_above_all():
    assert "(an estimated 100% of the differences)" in words.reasons(facts(predictable=1.06))[1]


def test_what_was_not_evaluated_is_said():
    stages = {name: {"evaluated": False} for name in DIAGNOSTICS}
    assert words.reasons(facts(stages=stages, known="")) == [
        "Heterogeneity was not evaluated: nobody answered two tasks.",
        "Predictability, crossover and dividend were not evaluated: there is no covariate to target by.",
    ]


def advice(case):
    return words.advice(case, *overall_verdict(case.verdicts))


FAILING = {"significant": False, "learned": False, "low": 0.0, "ceiling": 0.02, "high": 0.05}
UNDECIDED = {"ceiling": 0.151, "low": 0.05, "high": 0.25}


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (facts(petitions_90=5), "5 petitions reach 90% of the gain; more are not needed."),
        (facts(stages={Diagnostic.HETEROGENEITY: FAILING} | UNLEARNED), "Nothing about targeting: even an"),
        (
            facts(stages=UNLEARNED | {Diagnostic.PREDICTABILITY: FAILING}),
            "More respondents would not help: these covariates do not predict enough",
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
            "this one has learned about 20% of what covariates predict.",
        ),
        (facts(stages={Diagnostic.DIVIDEND: UNDECIDED}, tasks_needed=1), "from about one task a person on"),
        (facts(stages={Diagnostic.DIVIDEND: UNDECIDED}, limit=0.2), "could reach about 0.200."),
        (
            facts(stages={Diagnostic.DIVIDEND: UNDECIDED}, limit=0.05),
            "would stay below the smallest gain that matters, at about 0.050.",
        ),
        (
            facts(stages={name: {"evaluated": False} for name in DIAGNOSTICS[1:]}, known=""),
            "Covariates: without them nobody",
        ),
    ],
)
def test_advice_says_what_would_change_the_answer(case, sentence):
    assert any(sentence in text for text in advice(case)), advice(case)


def test_a_rule_that_does_not_pay_is_not_advised_even_if_another_could():
    open_case = facts(0.5, {**UNLEARNED, Diagnostic.HETEROGENEITY: HIGH, Diagnostic.PREDICTABILITY: UNSEEN})
    assert overall_verdict(open_case.verdicts)[0] == Overall.COLLECT
    assert advice(open_case)[0].startswith("Field the overall-best petition, not this rule.")


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
    return words.in_short(VERDICT | changes, "{:.3f}".format)


def test_in_short_the_verdict_says_what_binds_and_how_much_is_possible():
    assert in_short() == [
        ("Does it pay?", "No: give everybody the overall-best petition."),
        ("What stands in the way?", "What is known about people does not reveal who prefers what."),
        ("How much could this rule gain at most?", "0.051 rating points (one-sided 95% upper bound)."),
        ("How much could any rule gain at most?", "0.060 rating points (one-sided 95% upper bound)."),
        ("What is the best estimate?", "0.002 rating points (-0.047 to 0.051)."),
        ("What would matter?", "A gain above 0.1 rating points."),
        ("How many would get another petition?", "40% of the respondents."),
    ]


def test_what_is_not_known_is_left_out():
    nothing = {name: dict.fromkeys(CEILING) for name in DIAGNOSTICS}
    unknown = {"gain": None, "gain_low": None, "gain_high": None, "share_divergent": None}
    unknown |= {"overall": "COLLECT MORE", "rule": "NOT EVALUATED", "binding": "crossover"}
    assert in_short(ceilings=nothing, **unknown) == [
        ("Does it pay?", "Not known yet: these data do not decide."),
        ("What is not decided?", words.QUESTIONS[Diagnostic.CROSSOVER]),
        ("What would matter?", "A gain above 0.1 rating points."),
    ]
    assert (
        in_short(overall="DEPLOY", rule="PAYS", binding=None)[1][0]
        == "How much could this rule gain at most?"
    )
    alone = in_short(ceilings=nothing | {"heterogeneity": CEILING}, **unknown)
    assert alone[2][0] == ("How much could be gained at most if everybody's preferences were known?")


def test_a_rule_that_does_not_pay_is_not_all_rules():
    said = dict(in_short(overall="COLLECT MORE", binding="dividend"))
    assert said["Does it pay?"] == words.ONLY_THIS_RULE
    undecided = dict(in_short(overall="COLLECT MORE", rule="UNDECIDED", binding="dividend"))
    assert undecided["Does it pay?"] == "Not known yet: these data do not decide."


def test_a_gain_that_cannot_be_positive_is_said_to_be_at_most_nothing():
    below = VERDICT["ceilings"] | {"dividend": {"estimate": -0.2, "low": -0.3, "high": -0.1}}
    at_most = dict(in_short(ceilings=below))["How much could this rule gain at most?"]
    assert at_most == "0.000 rating points (one-sided 95% upper bound)."


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
