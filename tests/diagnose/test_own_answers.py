"""What own answers tell, against Bayes' rule with the true parameters."""

from dataclasses import replace

import numpy as np
import pytest

from nanotarget.diagnose.covariance import Covariance
from nanotarget.diagnose.evidence import Answers
from nanotarget.diagnose.heterogeneity import Heterogeneity
from nanotarget.diagnose.own_answers import OwnAnswers
from worlds import REFERENCE, factorial

DESIGN = factorial(REFERENCE)
LEVEL = 0.8  # standard deviation of respondents' levels; that of noise is 1


def people(n, variance, tasks=6, seed=1):
    """Ratings of people whose tastes have a variance that all attributes share; the same for all levels."""
    rng = np.random.default_rng(seed)
    respondent, rows = np.repeat(np.arange(n), 2 * tasks), n * tasks * 2
    levels = DESIGN.draw(rows, rng)
    shown = np.hstack([block.functions()[block.cell_of(levels)] for block in DESIGN.blocks])
    prior = np.full(shown.shape[1], variance / shown.shape[1])
    tastes = rng.normal(size=(n, len(prior))) * np.sqrt(prior)
    outcome = np.einsum("ij,ij->i", shown, tastes[respondent]) + rng.normal(size=rows)
    outcome += LEVEL * rng.normal(size=n)[respondent]
    task = np.tile(np.repeat(np.arange(tasks), 2), n)
    zero = np.zeros(rows)
    answers = Answers(
        DESIGN, respondent, task, zero.astype(int), (levels,), outcome, zero, n, has_baseline=True
    )
    return answers, shown.reshape(n, 2 * tasks, -1), prior


def known_to_bayes(shown, prior):
    """Mean over people of the variance of the posterior mean of each coordinate."""
    told = prior[:, None] * np.swapaxes(shown, 1, 2)
    noise = np.eye(shown.shape[1]) + LEVEL**2
    learned = told @ np.linalg.solve(shown @ told + noise, np.swapaxes(told, 1, 2))
    return np.diagonal(learned, axis1=1, axis2=2).mean(axis=0)


def by_block(values):
    """Add up coordinates of each block."""
    ranks = [block.functions().shape[1] for block in DESIGN.blocks]
    return np.add.reduceat(values, np.cumsum(ranks) - ranks)


@pytest.mark.parametrize(
    ("variance", "tasks", "below"),
    [(0.84, 6, 0.03), (0.28, 6, 0.03), (3.0, 6, 0.04), (0.84, 20, 0.01), (0.84, 3, 0.1)],
)
def test_known_is_what_bayes_rule_knows(variance, tasks, below):
    """The noise of estimates is that of answers from which the mean of the other tasks is taken."""
    _, shown, prior = people(400, variance, tasks)
    rows, spread = 2 * tasks, 1 + variance
    noise = by_block(np.ones(len(prior))) * spread * (1 + 1 / (rows - 2)) / rows
    covariance = Covariance.alike(DESIGN, by_block(prior)[None])
    exact = known_to_bayes(shown, prior).sum()
    joint = OwnAnswers(covariance, noise, spread).with_covariates(covariance.times(0.0)).variance[0]
    assert (1 - below) * exact < joint < 1.01 * exact
    alone = (by_block(prior) ** 2 / (by_block(prior) + noise)).sum()
    assert alone < joint - 0.01 * exact


def test_what_covariates_tell_is_added_to_and_does_not_stand_in_the_way():
    _, shown, prior = people(400, 0.84)
    spread, told = 1.84, 0.6
    noise = by_block(np.ones(len(prior))) * spread * 1.1 / 12
    covariance = Covariance.alike(DESIGN, by_block(prior)[None])
    own = OwnAnswers(covariance, noise, spread)
    known = own.with_covariates(covariance.times(told)).by_block[0]
    exact = told * by_block(prior) + by_block(known_to_bayes(shown, (1 - told) * prior))
    np.testing.assert_allclose(known, exact, rtol=0.02)


def test_answers_without_end_tell_everything_and_no_answers_nothing():
    covariance = Covariance.alike(DESIGN, np.full((1, 7), 0.1))
    own = OwnAnswers(covariance, np.full(7, 0.6), 1.7)
    told = covariance.times(np.array([0.0, 0.5, 0.0]))
    known = own.with_covariates(told, np.array([1e-9, 1e-9, 1e9])).by_block
    np.testing.assert_allclose(known, np.outer([0.0, 0.05, 0.1], np.ones(7)), atol=1e-6)


def test_no_taste_is_known_where_there_is_none():
    covariance = Covariance.alike(DESIGN, np.array([[0.0, -0.01, 0.0, 0.0, 0.0, 0.0, 0.0]]))
    known = OwnAnswers(covariance, np.full(7, 0.6), 1.0).with_covariates(covariance.times(0.0))
    assert np.abs(known.by_block).max() < 1e-15


def test_noise_is_of_all_of_a_respondents_answers_however_folds_divide_them():
    answers, shown, prior = people(1_500, 0.84)
    weight = np.ones(1_500)
    found = []
    for fold in (answers.fold, answers.respondent % 3, answers.task % 3):
        heterogeneity = Heterogeneity(replace(answers, fold=fold))
        found.append(OwnAnswers.of(heterogeneity, weight, heterogeneity.variances(weight[None])))
    for own in found:
        known = own.with_covariates(own.covariance.times(0.0)).variance[0]
        assert known == pytest.approx(known_to_bayes(shown, prior).sum(), rel=0.2)
        np.testing.assert_allclose(own.noise, found[0].noise, rtol=0.05)
