"""Randomisation tests of attributes: what is drawn, what is computed, how often a true null is rejected."""

import numpy as np
import pandas as pd
from scipy import stats

from attribute_tests import BARRED, design_of, p_values, survey
from nanotarget.calibrate.attribute_tests import (
    ANY,
    FOLDS,
    PERSONS,
    Answers,
    _drawing,
    _measure,
    attribute_tests,
)
from nanotarget.study.seeds import child_rng


def prepared(outcome="rating", barred=(), effect="average", seed=1):
    rng = child_rng(seed, "tests of attributes")
    design = design_of(barred)
    profiles, features = survey(design, effect, rng)
    return Answers.of(profiles, design, outcome, features, rng), design, rng


def test_statistics_are_what_regressions_would_predict_of_answers_they_have_not_seen():
    """By loops over people, folds and tasks."""
    answers, *_ = prepared("choice")
    left = answers.without(np.zeros((len(answers.y), 0)))
    own = answers.codes[:, 0]
    found = _measure(answers, left, 3)(own)
    scale = 1 / np.bincount(own)
    features = np.column_stack([np.ones(len(answers.fold)), answers.features])
    expected = np.zeros(3)
    for level in range(3):
        for k in range(features.shape[1]):
            u = left * features[answers.person, k] * (own == level)
            folds = [u[answers.fold[answers.person] == f].sum() for f in range(FOLDS)]
            products = sum(folds[f] * folds[g] for f in range(FOLDS) for g in range(FOLDS) if f != g)
            expected[min(k, 1)] += scale[level] * products
        for person in range(len(answers.fold)):
            mine = (answers.person == person) & (own == level)
            tasks = [left[mine & (answers.task == t)].sum() for t in np.unique(answers.task[mine])]
            expected[2] += scale[level] * (np.sum(tasks) ** 2 - np.sum(np.square(tasks)))
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_residuals_are_those_of_least_squares_within_units():
    answers, *_ = prepared()
    x = np.column_stack([answers.codes[:, 1] == 1, answers.codes[:, 1] == 2, answers.codes[:, 2]]).astype(
        float
    )
    dummies = (answers.person[:, None] == np.arange(len(answers.fold))).astype(float)
    both = np.column_stack([dummies, x])
    theirs = answers.y - both @ np.linalg.lstsq(both, answers.y, rcond=None)[0]
    np.testing.assert_allclose(answers.without(x), theirs, atol=1e-8)


def test_levels_are_drawn_as_the_design_does():
    """Tasks keep their pairs of levels; what is tied keeps to the chances given the others."""
    answers, design, rng = prepared()
    draw, _ = _drawing(answers, design, 0, rng)
    pairs = [sorted(map(tuple, codes.reshape(-1, 2))) for codes in (answers.codes[:, 0], draw())]
    assert pairs[0] == pairs[1]
    answers, design, rng = prepared(barred=BARRED)
    draw, _ = _drawing(answers, design, 0, rng)
    drawn = np.concatenate([draw() for _ in range(10)])
    beside = np.tile(answers.codes[:, 1], 10)
    assert not ((drawn == 0) & (beside == 2)).any()
    assert stats.chisquare(np.bincount(drawn[beside != 2], minlength=3)).pvalue > 0.001


def test_an_attribute_that_does_nothing_has_even_p_values_and_one_that_matters_is_found():
    """Small version of docs/validation_answers.md."""
    null = [p_values("nothing", ("rating", ()), draw)[ANY] for draw in range(40)]
    assert stats.kstest(null, "uniform").pvalue > 0.01
    assert np.mean([p_values("average", ("rating", ()), draw)[ANY] <= 0.05 for draw in range(4)]) == 1
    own = pd.DataFrame([p_values("persons", ("rating", ()), draw) for draw in range(4)])
    assert (own[PERSONS] <= 0.05).all() and (own["average"] > 0.05).any()


def test_what_does_not_vary_within_persons_is_not_tested():
    answers, design, rng = prepared()
    codes = answers.codes.copy()
    codes[:, 0] = answers.person % 3
    table = attribute_tests(answers._replace(codes=codes), design, 19, rng)
    first = table[table["attribute"] == "a0"]
    assert first["p_value"].isna().all() and "does not vary" in first["note"].iloc[0]
    assert table.loc[table["part"] == ANY, "p_holm"].count() == 3
