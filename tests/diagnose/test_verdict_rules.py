"""Rules of the verdict: the order of the funnel, rules of half the data, a rule against all rules."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nanotarget.calibrate.learners import FITTERS
from nanotarget.calibrate.learners.crossfit import crossfit
from nanotarget.diagnose.predictability import Predictability
from nanotarget.diagnose.quantities import Diagnostic, Estimator, Quantity
from nanotarget.diagnose.rows import Estimate, Row, Sample, Stage
from nanotarget.diagnose.verdict import Verdict, out_of_order, overall_verdict, rule_verdict, stage_verdicts
from nanotarget.petitions.utilities import additive_layout
from nanotarget.study.config import CalibrateConfig
from worlds import World, answer, as_respondents, draw_part_worths, factorial

HIGH = {
    Diagnostic.HETEROGENEITY: Stage(Diagnostic.HETEROGENEITY, 0.6, 0.5, 0.7, significant=True),
    Diagnostic.PREDICTABILITY: Stage(
        Diagnostic.PREDICTABILITY, 0.4, 0.3, 0.5, significant=True, learned=True
    ),
    Diagnostic.CROSSOVER: Stage(Diagnostic.CROSSOVER, 0.3, 0.2, 0.4),
    Diagnostic.DIVIDEND: Stage(Diagnostic.DIVIDEND, 0.3, 0.2, 0.4),
}

RULES = (Diagnostic.CROSSOVER, Diagnostic.DIVIDEND)


def with_stage(name, **changes):
    return HIGH | {name: replace(HIGH[name], **changes)}


def test_a_funnel_in_order_deploys():
    verdicts = stage_verdicts(HIGH, 0.1)
    assert set(verdicts.values()) == {Verdict.PASS}
    assert overall_verdict(verdicts)[0] == "DEPLOY"
    assert not out_of_order(HIGH)


@pytest.mark.parametrize("name", [Diagnostic.HETEROGENEITY, Diagnostic.PREDICTABILITY])
def test_a_dividend_above_an_earlier_ceiling_deploys_nothing(name):
    stages = with_stage(name, ceiling=0.15, low=0.12, high=0.19)
    assert out_of_order(stages)
    assert stage_verdicts(stages, 0.1)[Diagnostic.DIVIDEND] == Verdict.INCONCLUSIVE
    assert overall_verdict(stage_verdicts(stages, 0.1))[0] == "COLLECT MORE"


@pytest.mark.parametrize("rule", [Diagnostic.CROSSOVER, Diagnostic.DIVIDEND])
def test_a_ceiling_that_a_rule_contradicts_cannot_fail(rule):
    low = {name: replace(HIGH[name], ceiling=0.0, low=-0.05, high=0.05) for name in RULES}
    stages = with_stage(Diagnostic.PREDICTABILITY, ceiling=0.05, low=0.02, high=0.08) | low
    assert stage_verdicts(stages, 0.1)[Diagnostic.PREDICTABILITY] == Verdict.FAIL
    assert not out_of_order(stages)
    contradicted = stages | {rule: HIGH[rule]}
    assert out_of_order(contradicted)
    assert stage_verdicts(contradicted, 0.1)[Diagnostic.PREDICTABILITY] == Verdict.PASS
    assert overall_verdict(stage_verdicts(contradicted, 0.1))[0] == "COLLECT MORE"


def test_a_rule_without_an_estimate_contradicts_nothing():
    stages = with_stage(Diagnostic.PREDICTABILITY, ceiling=0.05, low=0.02, high=0.08)
    for unknown in ({"evaluated": False}, {"low": np.nan, "high": np.nan}):
        rules = {name: replace(HIGH[name], **unknown) for name in RULES}
        assert not out_of_order(stages | rules)
        assert stage_verdicts(stages | rules, 0.1)[Diagnostic.PREDICTABILITY] == Verdict.FAIL


def test_what_can_be_predicted_differs():
    whole = Stage.of(row(Quantity.PERSON_BY_MESSAGE, 0.0, 0.0, 0.1))
    part = Stage.of(row(Quantity.SLOPE, 0.2, 0.1, 0.3))
    raised = whole.at_least(part)
    assert (raised.ceiling, raised.low, raised.high) == (0.2, 0.0, 0.3)
    assert (raised.headline.ceiling, raised.headline.ceiling_high) == (0.2, 0.3)
    assert part.at_least(whole) == part
    assert whole.at_least(replace(part, evaluated=False)) == whole


def test_room_that_is_not_known_exactly_leaves_its_own_bounds():
    part = Stage.of(row(Quantity.SLOPE, 0.2, 0.1, 0.3))
    capped = part.at_most(Estimate(0.15, 0.04))
    assert (capped.ceiling, capped.low) == (0.15, pytest.approx(0.15 - 1.645 * 0.04, abs=1e-4))
    assert capped.headline.ceiling_high == capped.high == pytest.approx(0.15 + 1.645 * 0.04, abs=1e-4)
    assert part.at_most(Estimate(0.5, 0.01)) == part
    assert part.at_most(Estimate(-0.02, 0.01)).ceiling == 0


def row(quantity, *ceiling):
    numbers = dict.fromkeys(("estimate", "std_error", "conf_low", "conf_high", "p_value"), 0.0)
    return Row(quantity, Estimator.CROSS_TASK, **numbers, n=100).with_ceiling(*ceiling)


def test_rules_of_half_the_data_alone_stop_nothing():
    stages = with_stage(Diagnostic.CROSSOVER, ceiling=0.02, low=-0.05, high=0.08)
    verdicts = stage_verdicts(stages, 0.1)
    assert verdicts[Diagnostic.CROSSOVER] == Verdict.INCONCLUSIVE
    assert overall_verdict(verdicts)[0] == "DEPLOY"


@pytest.mark.parametrize("learned", [True, False])
def test_a_rule_that_does_not_pay_stands_for_all_only_if_it_learned_enough(learned):
    stages = with_stage(Diagnostic.DIVIDEND, ceiling=0.0, low=-0.05, high=0.05)
    stages |= {Diagnostic.CROSSOVER: replace(HIGH[Diagnostic.CROSSOVER], ceiling=0.0, low=-0.05, high=0.05)}
    stages |= {Diagnostic.PREDICTABILITY: replace(HIGH[Diagnostic.PREDICTABILITY], learned=learned)}
    assert rule_verdict(stages, 0.1) == "DOES NOT PAY"
    overall, _ = overall_verdict(stage_verdicts(stages, 0.1))
    assert overall == ("DO NOT DEPLOY" if learned else "COLLECT MORE")


def xor(seed, n=900):
    """Draw people whose preferences depend on the sign of a product; also return the variance of that."""
    rng = np.random.default_rng(seed)
    design = factorial((4, 4, 3, 3))
    common, wants = draw_part_worths(design, rng, 0.3), draw_part_worths(design, rng, 0.4)
    table = pd.DataFrame(rng.normal(size=(n, 4)), columns=[f"z{j}" for j in range(4)])
    people, covariates = as_respondents(table)

    def specific(respondents):
        return np.sign(respondents["z0"] * respondents["z1"]).to_numpy()[:, None] * wants

    world = World(additive_layout(design), common, specific)
    variance = sum((part**2).mean() for part in np.split(wants, np.cumsum(design.shape)[:-1]))
    return answer(world.utilities(people, rng), people, covariates, 6, rng), variance


def predictability(data, seed):
    settings = CalibrateConfig(learner="ridge", interactions=False)
    return Predictability.of(crossfit(data, lambda part, _: FITTERS["ridge"](part, seed, settings), 5, seed))


def test_what_only_a_product_of_covariates_shows_is_seen():
    data, variance = xor(1)
    stage = predictability(data, 1)
    free = stage.learner_free(data.weight).estimate.value
    joint, error = stage.joint(data.weight).estimate.pair
    assert joint > 5 * error
    assert abs(joint - variance) < 3 * error  # whole, though a product of numbers sees 41%
    assert abs(free) < joint / 4


def test_where_people_are_too_few_for_two_covariates_at_a_time_nothing_is_said_of_all_rules():
    data, _ = xor(1, n=40)
    stage = predictability(data, 1)
    again = np.random.default_rng(1).multinomial(40, np.full(40, 1 / 40), 20)
    sample = Sample(np.vstack([data.weight, again * data.weight]))
    variances = stage.heterogeneity.variances(sample.weights)
    above = stage.heterogeneity.fit(sample, variances)
    found = stage.fit(sample, variances, above, 1.0)
    assert np.isnan(found.value(Quantity.PREDICTABLE_VARIANCE, Estimator.CROSS_PERSON_PRODUCTS))
    assert found.evaluated and not found.learned
    assert found.high >= above.high


def test_products_of_covariates_show_nothing_where_there_is_nothing():
    """The estimate is unbiased: its mean over worlds is within its error of zero."""
    z = []
    for seed in range(4):
        data, _ = xor(seed)
        shuffled = data.respondents.copy()
        names = [c.name for c in data.covariates]
        shuffled[names] = np.random.default_rng(seed).normal(size=(len(shuffled), len(names)))
        stage = predictability(replace(data, respondents=shuffled), seed)
        joint, error = stage.joint(data.weight).estimate.pair
        z.append(joint / error)
    assert abs(np.mean(z)) < 2.5 / np.sqrt(len(z))
