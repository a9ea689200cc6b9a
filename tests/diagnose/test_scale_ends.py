"""Answers on a scale with ends: what the linear score promises too much, and what all four stages find."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from nanotarget.calibrate.learners import FITTERS
from nanotarget.calibrate.learners.crossfit import crossfit
from nanotarget.diagnose.ceiling import Scale, gain_ceiling
from nanotarget.diagnose.covariance import Covariance
from nanotarget.diagnose.value import policy_scores
from nanotarget.petitions import policy
from nanotarget.study.config import CalibrateConfig
from worlds import REFERENCE, factorial, simulate, utility_of

SETTINGS = CalibrateConfig(learner="ridge", interactions=False)
POINTS, CENTRE, BASELINE = 2.0, 6.8, 0.8
CUTS = np.arange(10) + 0.5


def bounded(seed, n=700):
    """Draw ratings from 0 to 10, a fifth of them 10, and the true expected answers to any petitions."""
    rng = np.random.default_rng(seed)
    design = factorial(REFERENCE)
    data, truth = simulate(design, n, 6, rng, common=0.2, specific=0.16, idiosyncratic=0.12, baseline=0.0)
    level = BASELINE * rng.normal(size=n)
    latent = CENTRE + POINTS * (data.outcome + level[data.respondent])
    data = replace(data, outcome=np.clip(np.round(latent), 0, 10))

    def value(petitions):
        mean = CENTRE + POINTS * (utility_of(truth, petitions, design) + level)
        return special.ndtr((mean[:, None] - CUTS) / POINTS).sum(axis=1)

    return data, value


def learn(data, seed):
    return crossfit(data, lambda part, _: FITTERS["ridge"](part, seed, SETTINGS), 5, seed)


@pytest.fixture(scope="module")
def worlds():
    """Five samples with their cross-fits."""
    return [(*bounded(seed), learn(bounded(seed)[0], seed)) for seed in range(5)]


def test_the_gain_is_found_where_a_fifth_of_answers_is_at_the_end(worlds):
    errors, linear, spread = [], [], []
    for _, value, fitted in worlds:
        nano, best = policy.nano(fitted.utilities), fitted.overall_best
        truth = (value(nano) - value(best)).mean()
        for found, is_linear in ((errors, False), (linear, True)):
            scores = [policy_scores(fitted, shown, 1, linear=is_linear).value for shown in (nano, best)]
            found.append((scores[0] - scores[1]).mean() - truth)
            if not is_linear:
                spread.append((scores[0] - scores[1]).std() / np.sqrt(len(scores[0])))
    assert abs(np.mean(errors)) < 2 * np.mean(spread) / np.sqrt(len(errors))
    assert np.mean(linear) > np.mean(errors) + 0.1


def test_the_value_of_the_best_petition_stays_below_the_end(worlds):
    for _, value, fitted in worlds:
        score = policy_scores(fitted, fitted.overall_best, 1).value
        assert score.mean() == pytest.approx(value(fitted.overall_best).mean(), abs=0.35)
    promised = policy_scores(worlds[0][2], fitted.overall_best, 1).plug_in
    assert promised.max() <= 10


def test_the_opposite_goal_has_the_opposite_scores(worlds):
    fitted = worlds[0][2]
    petitions = policy.nano(fitted.utilities)
    other = policy_scores(fitted.for_goal("dissuade"), petitions, 1)
    np.testing.assert_allclose(other.value, -policy_scores(fitted, petitions, 1).value, atol=1e-9)


def test_an_open_measurement_has_no_link():
    data, _ = simulate(factorial((3, 3)), 60, 4, np.random.default_rng(1))
    assert learn(data, 1).links == []
    assert Scale.of(learn(data, 1), data.weight) is None


def test_scores_do_not_depend_on_how_many_people_are_in_memory(worlds, monkeypatch):
    _, _, fitted = worlds[0]
    nano = policy.nano(fitted.utilities)
    whole = policy_scores(fitted, nano, 1).value
    monkeypatch.setattr("nanotarget.diagnose.value.UNITS_AT_ONCE", 7)
    np.testing.assert_allclose(policy_scores(fitted, nano, 1).value, whole, atol=1e-12)


def test_a_ceiling_on_a_scale_is_the_mean_over_people(worlds):
    """Against a simulation of the link's own people, whose deviations are normal."""
    fitted = worlds[0][2]
    scale, design = Scale.of(fitted, fitted.data.weight), fitted.data.design
    rng = np.random.default_rng(3)
    common = np.concatenate([np.linspace(-1, 1, size) * 0.4 for size in design.shape])
    variance, blocks = 0.3, len(design.blocks)
    people = 40_000
    top, best = np.zeros((2, people))
    start = 0
    for size in design.shape:
        own = rng.normal(size=(people, size))
        own -= own.mean(axis=1, keepdims=True)
        own *= np.sqrt(variance / blocks / (1 - 1 / size))
        utility = common[start : start + size] + own
        top += utility.max(axis=1)
        best += utility[:, common[start : start + size].argmax()]
        start += size
    noise = np.sqrt(1 - variance + scale.link.spread**2) * rng.normal(size=people)
    steps = fitted.link.categories.steps(fitted.link.cuts)

    def answer(utility):
        latent = scale.location + utility + noise
        return (latent[:, None] > steps[0]) @ steps[1]

    true = (answer(top) - answer(best)).mean()
    alike = Covariance.alike(design, np.full((1, blocks), variance / blocks * scale.of_variances))
    found = gain_ceiling(design, common[None] * scale.of_effects, alike, scale)
    assert found[0] == pytest.approx(true, rel=0.03)
