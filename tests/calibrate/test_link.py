"""The link from utilities to answers on a scale with ends: exact sums, invariants, known truth."""

import numpy as np
import pytest
from scipy import integrate, stats

from nanotarget.calibrate.link import NODES, Categories, Likelihood, OrdinalLink, fit_link

CUTS = np.array([-1.5, -0.4, 0.1, 0.9])
LINK = OrdinalLink(Categories(np.array([2.0, 3.0, 4.0, 5.0]), 1.0, 5.0, True), CUTS, 0.8, 0.6)


def world(n, rng, *, answers=6, slope=0.9, spread=0.7, step=None):
    """Draw (n * answers,) index, answers and respondents of the model itself."""
    who = np.repeat(np.arange(n), answers)
    index = rng.normal(size=len(who))
    latent = slope * index + spread * rng.normal(size=n)[who] + rng.normal(size=len(who))
    if step is None:
        return index, 1.0 + np.searchsorted(CUTS, latent), who
    return index, np.clip(np.round((50 + 22 * latent) / step) * step, 0, 100), who


def test_the_expected_answer_is_the_sum_over_categories():
    latent = np.linspace(-3, 3, 13)
    edges = np.concatenate([[-np.inf], CUTS, [np.inf]])
    chance = np.diff(stats.norm.cdf(edges[None] - latent[:, None]), axis=1)
    np.testing.assert_allclose(LINK.at(latent), chance @ np.arange(1, 6), atol=2e-5)


def test_the_average_over_a_normal_latent_value_is_an_integral():
    def integrand(z):
        return float(LINK.at(np.array([0.3 + 1.1 * z]))[0]) * stats.norm.pdf(z)

    variance = np.array([1.1**2 + 1])
    np.testing.assert_allclose(
        LINK.average(np.array([0.3]), variance), integrate.quad(integrand, -9, 9)[0], atol=1e-4
    )


def test_the_level_is_known_from_other_tasks_only():
    rng = np.random.default_rng(1)
    index, answers, who = world(40, rng)
    task = np.tile(np.repeat([1, 2, 3], 2), 40)
    level = LINK.level_elsewhere(index, answers, who, task)
    np.testing.assert_allclose(level.sum(axis=1), 1)
    changed = answers.copy()
    changed[:2] = 6 - changed[:2]  # the first task of the first respondent
    again = LINK.level_elsewhere(index, changed, who, task)
    np.testing.assert_allclose(again[:2], level[:2], rtol=1e-9)
    assert np.abs(again[2:6] - level[2:6]).max() > 0.01
    np.testing.assert_array_equal(again[6:], level[6:])
    # By Bayes' rule, written out for the first respondent's first task.
    edges = np.concatenate([[-np.inf], CUTS, [np.inf]])
    weight = np.polynomial.hermite_e.hermegauss(len(NODES))[1].copy()
    for row in range(2, 6):
        mean = 0.8 * index[row] + 0.6 * NODES
        code = int(answers[row]) - 1
        weight *= stats.norm.cdf(edges[code + 1] - mean) - stats.norm.cdf(edges[code] - mean)
    np.testing.assert_allclose(level[0], weight / weight.sum(), rtol=1e-9)


def test_the_opposite_answers_have_the_opposite_expectation():
    rng = np.random.default_rng(2)
    index, answers, who = world(30, rng)
    task = np.tile(np.arange(6), 30)
    level = LINK.level_elsewhere(index, answers, who, task)
    other = LINK.reversed()
    np.testing.assert_allclose(other.level_elsewhere(-index, -answers, who, task), level)
    np.testing.assert_allclose(other.expected(-index, level), -LINK.expected(index, level))
    np.testing.assert_allclose(other.average(-index, 2.0), -LINK.average(index, 2.0))
    np.testing.assert_allclose(other.levels(-index, -answers, who), -LINK.levels(index, answers, who))
    np.testing.assert_allclose(other.steepness(-index), LINK.steepness(index))


def test_maximum_likelihood_finds_the_truth():
    link = fit_link(*world(6_000, np.random.default_rng(3)))
    np.testing.assert_allclose(link.cuts, CUTS, atol=0.04)
    assert link.slope == pytest.approx(0.9, abs=0.03)
    assert link.spread == pytest.approx(0.7, abs=0.04)


def test_a_slider_is_grouped_and_keeps_its_ends():
    index, answers, who = world(4_000, np.random.default_rng(4), step=1)
    link = fit_link(index, answers, who)
    assert not link.categories.exact
    assert link.categories.bounds[-1] == 100
    assert link.categories.lowest == 0
    latent = np.linspace(-2, 3, 11)
    noise = np.random.default_rng(5).normal(size=200_000)
    true = [np.clip(np.round(50 + 22 * (z + noise)), 0, 100).mean() for z in latent]
    np.testing.assert_allclose(link.at(latent), true, atol=1.0)


def test_copies_of_respondents_count_as_weights():
    index, answers, who = world(300, np.random.default_rng(6))
    weight = np.tile([1.0, 3.0], 150)
    weighted = fit_link(index, answers, who, weight)
    copies = np.concatenate([np.flatnonzero(who == i) for i in range(300) for _ in range(int(weight[i]))])
    copied = fit_link(index[copies], answers[copies], np.repeat(np.arange(600), 6))
    np.testing.assert_allclose(weighted.cuts, copied.cuts, atol=2e-3)
    assert weighted.slope == pytest.approx(copied.slope, abs=2e-3)


def test_units_of_index_and_answers_do_not_matter():
    index, answers, who = world(400, np.random.default_rng(7))
    link, other = fit_link(index, answers, who), fit_link(10 * index, 2 * answers, who)
    np.testing.assert_allclose(other.cuts, link.cuts, atol=2e-3)
    assert 10 * other.slope == pytest.approx(link.slope, abs=2e-3)
    np.testing.assert_allclose(other.at(np.zeros(1)), 2 * link.at(np.zeros(1)), atol=5e-3)


def test_an_index_without_meaning_has_no_slope():
    rng = np.random.default_rng(8)
    _, answers, who = world(400, rng)
    assert abs(fit_link(rng.normal(size=len(who)), answers, who).slope) < 0.08
    assert np.isfinite(fit_link(np.zeros(len(who)), answers, who).cuts).all()


def test_an_index_may_be_far_from_zero():
    """Ratings of about 7 whose petitions differ little: a constant moves the cuts, and nothing else."""
    rng = np.random.default_rng(13)
    index, answers, who = world(400, rng, slope=0.1)
    link, far = (fit_link(start + 0.1 * index, answers, who) for start in (0, 7))
    assert far.slope == pytest.approx(link.slope, rel=1e-4)
    assert far.spread == pytest.approx(link.spread, rel=1e-4)
    np.testing.assert_allclose(far.cuts - 7 * far.slope, link.cuts, rtol=1e-4)


def test_one_answer_is_no_scale():
    with pytest.raises(ValueError, match="two different answers"):
        fit_link(np.zeros(4), np.ones(4), np.array([0, 0, 1, 1]))


def test_a_step_that_is_too_long_ends_no_search():
    rng = np.random.default_rng(8)
    answers = rng.integers(0, 11, 400).astype(float)
    who = np.repeat(np.arange(40), 10)
    likelihood = Likelihood(Categories.of(answers), rng.normal(size=400), answers, who, None)
    values = np.array([-1.0, *np.full(9, 800.0), 1e200, 800.0])
    with np.errstate(all="ignore"):
        assert likelihood.loss(values) == np.inf and np.isfinite(likelihood.curvature(values)).all()


def test_derivatives_are_those_of_the_likelihood():
    index, answers, who = world(700, np.random.default_rng(9))
    weight = np.random.default_rng(10).exponential(size=700)
    likelihood = Likelihood(Categories.of(answers), index, answers, who, weight)
    values = np.array([-2.5, *np.log(np.full(len(CUTS) - 1, 0.5)), 0.9, -0.2])

    def slopes(function, step=1e-5):
        sides = ((function(values + move), function(values - move)) for move in step * np.eye(len(values)))
        return np.array([(above - below) / (2 * step) for above, below in sides])

    np.testing.assert_allclose(likelihood.gradient(values), slopes(likelihood.loss), atol=1e-8)
    np.testing.assert_allclose(likelihood.curvature(values), slopes(likelihood.gradient), atol=1e-8)


def test_the_search_ends_in_few_steps_where_the_model_is_wrong(monkeypatch):
    """People differ in how much they care, which the link does not know."""
    rng = np.random.default_rng(11)
    index, _, who = world(3_000, rng)
    latent = 1.5 * rng.exponential(size=3_000)[who] * index + rng.standard_t(3, size=len(who))
    asked = []
    derivatives = Likelihood._derivatives
    monkeypatch.setattr(
        Likelihood, "_derivatives", lambda self, values: asked.append(values) or derivatives(self, values)
    )
    link = fit_link(index, np.clip(np.round(5 + 2 * latent), 0, 10), who)
    assert len(asked) < 25  # 43 with the respondents' scores for the curvature
    assert 0 < link.slope < 1.5


def test_parts_change_nothing(monkeypatch):
    index, answers, who = world(200, np.random.default_rng(12))
    whole = fit_link(index, answers, who)
    monkeypatch.setattr("nanotarget.calibrate.link.ROWS_AT_ONCE", 50)
    parts = fit_link(index, answers, who)
    np.testing.assert_allclose(parts.cuts, whole.cuts, atol=1e-9)
    np.testing.assert_allclose([parts.slope, parts.spread], [whole.slope, whole.spread], atol=1e-9)


def test_a_link_of_very_many_is_that_of_every_second_or_third(monkeypatch):
    index, answers, who = world(900, np.random.default_rng(13))
    every_third = np.flatnonzero(who % 3 == 0)
    of_third = fit_link(index[every_third], answers[every_third], who[every_third])
    monkeypatch.setattr("nanotarget.calibrate.link.MOST_RESPONDENTS", 400)
    link = fit_link(index, answers, who)
    np.testing.assert_allclose(link.cuts, of_third.cuts, atol=1e-5)
    assert link.slope == pytest.approx(of_third.slope, abs=1e-5)
