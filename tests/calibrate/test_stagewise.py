"""The learner `stagewise`: it finds thresholds and products, leaves out the rest, and knows its error."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from nanotarget.calibrate.learners import FITTERS, model_from_data
from nanotarget.calibrate.learners.crossfit import assign_folds, fit_folds
from nanotarget.calibrate.learners.ridge import fit_null, fit_ridge
from nanotarget.calibrate.learners.stagewise import NOTHING, Terms, fit_stagewise, products
from nanotarget.petitions.utilities import part_worths
from nanotarget.study.config import Learner
from worlds import answer, as_respondents, draw_part_worths, factorial

DESIGN = factorial((4, 3, 3))
WANTS = draw_part_worths(DESIGN, np.random.default_rng(5), 0.35)


def survey(tastes, n=500, numbers=4, seed=1, outcome="rating", weight=None):
    """People with some standard normal covariates and a party whose part-worths `tastes` gives."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, numbers)), columns=[f"z{j}" for j in range(numbers)])
    table["party"] = pd.Categorical(rng.choice(list("abc"), n), categories=list("abc"))
    respondents, covariates = as_respondents(table)
    if weight is not None:
        respondents["weight"] = weight(table)
    utilities = part_worths(tastes(table), DESIGN)
    return answer(utilities, respondents, covariates, 6, rng, outcome=outcome), utilities


def correlation(model, data, truth):
    """Of predicted with true person-specific part-worths."""
    parts = [u.level_means() for u in (model.utilities(data.respondents), truth)]
    ours, true = (part - part.mean(axis=0) for part in parts)
    return (ours * true).sum() / np.sqrt(max((ours**2).sum(), 1e-300) * (true**2).sum())


def alike(table):
    return np.zeros((len(table), 10))


def same_sides(table):
    return np.where((table["z0"] > 0) == (table["z1"] > 0), 1.0, -1.0)[:, None] * WANTS


def groups(table):
    return ((table["z0"] > 0.6) & (table["party"] == "a")).to_numpy()[:, None] * 3 * WANTS


def line(table):
    return table[["z0"]].to_numpy() * WANTS


@pytest.mark.statistical
@pytest.mark.parametrize(
    "tastes, outcome, at_least, ridge_at_most",
    [
        (same_sides, "rating", 0.85, 0.3),
        (same_sides, "choice", 0.85, 0.3),
        (groups, "rating", 0.85, 0.75),
        (line, "rating", 0.95, 1.0),
    ],
)
def test_thresholds_and_products_are_found_where_ridge_sees_none(tastes, outcome, at_least, ridge_at_most):
    data, _ = survey(tastes, outcome=outcome)
    new, truth = survey(tastes, seed=2)
    assert correlation(fit_stagewise(data, 1), new, truth) > at_least
    assert correlation(fit_ridge(data, 1), new, truth) < ridge_at_most


@pytest.mark.statistical
def test_one_covariate_of_forty_that_matters_for_one_attribute_leaves_the_rest_alone():
    wants = np.append(WANTS[:4] * 1.5, np.zeros(6))

    def tastes(table):
        return table[["z7"]].to_numpy() * wants

    data, _ = survey(tastes, n=300, numbers=40)
    new, truth = survey(tastes, numbers=40, seed=2)
    found = fit_stagewise(data, 1)
    assert correlation(found, new, truth) > 0.97 > 0.85 > correlation(fit_ridge(data, 1), new, truth)
    parts = found.utilities(new.respondents).level_means()
    spread = parts.std(axis=0)
    assert spread[4:].max() < 0.1 * spread[:4].mean()


def test_where_nobody_differs_hardly_anything_is_picked():
    data, _ = survey(alike)
    utilities = fit_stagewise(data, 1).utilities(data.respondents).level_means()
    assert utilities.std(axis=0).max() < 0.02


@pytest.mark.statistical
def test_its_draws_spread_as_fits_to_other_samples_do():
    person = pd.DataFrame({"z0": [1.0], "z1": [0.0], "z2": [0.0], "z3": [0.0], "party": ["b"]})
    effects, errors = [], []
    for seed in range(12):
        model = fit_stagewise(survey(line, n=200, seed=seed)[0], 1)
        person["respondent_id"] = "p"
        at_one, at_zero = person, person.assign(z0=0.0)
        draws = [
            one - zero
            for one, zero in zip(
                model.draws_of_level_means(at_one), model.draws_of_level_means(at_zero), strict=True
            )
        ]
        effects.append(np.mean(draws, axis=0)[0])
        errors.append(np.std(draws, axis=0, ddof=1)[0])
    spread = np.std(effects, axis=0, ddof=1)
    assert np.sqrt(np.mean(errors, axis=0) ** 2).mean() == pytest.approx(spread.mean(), rel=0.35)
    assert np.abs(np.mean(effects, axis=0) - WANTS).max() < 0.06


@pytest.fixture
def few(monkeypatch):
    """Few halves, where their number is not what is tested."""
    monkeypatch.setattr("nanotarget.calibrate.learners.stagewise.DIVISIONS", 2)


def test_units_of_covariates_and_names_of_levels_change_nothing(few):
    data, _ = survey(groups, n=200)
    utilities = fit_stagewise(data, 1).utilities(data.respondents)
    other = data.respondents.assign(z0=data.respondents["z0"] * 40 + 7)
    again = fit_stagewise(replace(data, respondents=other), 1).utilities(other)
    assert np.allclose(again.cells, utilities.cells, atol=1e-8)
    order = np.array([2, 0, 3, 1])
    levels = data.levels.copy()
    levels[:, 0] = np.argsort(order)[levels[:, 0]]
    relabelled = fit_stagewise(replace(data, levels=levels), 1).utilities(data.respondents)
    assert np.allclose(relabelled.cells[:, :4], utilities.cells[:, order], atol=1e-8)


def test_who_weighs_next_to_nothing_teaches_next_to_nothing():
    def contrary(table):
        return np.where(table["party"] == "c", -1.0, 1.0)[:, None] * line(table)

    def weight(table):
        return np.where(table["party"] == "c", 1e-3, 1.0)

    data, _ = survey(contrary, n=400, weight=weight)
    unseen = replace(data, covariates=data.covariates[:-1])  # nobody knows who is contrary
    new, truth = survey(line, seed=2)
    assert correlation(fit_stagewise(unseen, 1), new, truth) > 0.95


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_a_fit_repeats_and_survives_being_frozen(outcome, few):
    data, _ = survey(line, n=150, outcome=outcome)
    model = fit_stagewise(data, 1, interactions=True)
    assert len(model.terms.factors) > 0
    assert np.array_equal(fit_stagewise(data, 1, interactions=True).coefficients, model.coefficients)
    again = model_from_data(model.settings(), model.arrays(), DESIGN)
    first, second = (m.utilities(data.respondents).cells for m in (model, again))
    assert np.array_equal(first, second)
    drawn = [next(m.draws_of_level_means(data.respondents)) for m in (model, again)]
    assert np.array_equal(*drawn)


def test_without_covariates_or_with_two_people_it_is_the_null(few):
    data, _ = survey(line, n=60)
    nobody_known = fit_stagewise(replace(data, covariates=()), 1)
    null = fit_null(data, 1).utilities(data.respondents).cells[0]
    ours = nobody_known.utilities(data.respondents).cells
    assert np.array_equal(ours, np.tile(ours[0], (len(ours), 1)))
    assert np.allclose(ours[0], null * (ours[0] @ null) / (null @ null))
    two = data.subset(data.respondent < 2)
    assert np.isfinite(fit_stagewise(two, 1).utilities(two.respondents).cells).all()


def test_a_term_is_a_side_or_the_product_of_two():
    terms = Terms(
        feature=np.array([0, 0, 1]),
        threshold=np.array([np.nan, 0.5, np.nan]),
        centre=np.array([0.0, 0.25, 1.0]),
        factors=np.array([[1, NOTHING], [1, 2]]),
    )
    features = np.array([[0.5, 3.0], [0.6, -1.0]])
    assert np.array_equal(terms.encode(features), [[-0.25, -0.5], [0.75, -1.5]])
    assert products(np.ones((2, 1)), np.zeros((0, 2), dtype=int)).shape == (2, 0)


def test_no_answer_of_a_fold_shapes_the_model_that_is_scored_on_it(few):
    data, _ = survey(line, n=80)
    fold = assign_folds(data, 2, 1)

    def fit(train, part):
        return fit_stagewise(train, 1)

    inside = fold == 0
    other = replace(data, outcome=np.where(inside, -3 * data.outcome, data.outcome))
    models = [fit_folds(d, fold, fit, "fold").models[0] for d in (data, other)]
    assert np.array_equal(models[0].coefficients, models[1].coefficients)


def test_every_learner_that_a_config_can_name_has_a_fitter_in_the_same_order():
    assert tuple(FITTERS) == get_args(Learner)
