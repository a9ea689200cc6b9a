"""The hierarchical learner against dense computation, under invariances and on known truth."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nanotarget.calibrate.learners.hierarchical import (
    HierarchicalModel,
    common_prior,
    evidence,
    first_sites,
    fit_hierarchical,
    learn_linear,
    prepare,
    propagate,
)
from nanotarget.calibrate.learners.ridge import Moments, compared_moments
from nanotarget.petitions.encoding import contrasts, indicators, level_offsets
from nanotarget.petitions.policy import nano
from worlds import factorial, simulate, utility_of

DESIGN = factorial((4, 3, 2))


def rating_problem(data, features):
    basis = contrasts(data.design)
    return prepare(data, compared_moments(data).projected(basis), features), basis


def dense(data, features, problem, basis, variances):
    """The covariance matrix of all answers that the learner never builds, and what follows from it."""
    n, size = data.n_respondents, basis.shape[1]
    x = indicators(data.levels, data.design) @ basis
    z = np.column_stack([np.ones(n), features])[data.respondent]
    rows = np.hstack([z[:, [j]] * x for j in range(z.shape[1])])
    # Within-respondent contrasts of ratings: any orthonormal basis of them will do.
    within = []
    for i in range(n):
        members = np.flatnonzero(data.respondent == i)
        block = np.zeros((len(members) - 1, len(data.outcome)))
        q, _ = np.linalg.qr(np.column_stack([np.ones(len(members)), np.eye(len(members))[:, 1:]]))
        block[:, members] = q[:, 1:].T
        within.append(block)
    t = np.vstack(within)
    same = data.respondent[:, None] == data.respondent
    between = np.diag(variances[0][problem.attribute])
    noise = t @ (np.eye(len(x)) + same * (x @ between @ x.T)) @ t.T
    prior = np.concatenate([1 / problem.prior, np.tile(variances[1][problem.attribute], z.shape[1] - 1)])
    rows, y = t @ rows, t @ data.outcome
    total = noise + rows * prior @ rows.T
    weights = np.linalg.solve(total, y)
    coefficients = (prior * (rows.T @ weights)).reshape(z.shape[1], size)
    sigma2 = y @ weights / len(y)
    objective = np.linalg.slogdet(total)[1] + len(y) * np.log(sigma2)
    covariance = np.diag(prior) - prior[:, None] * (rows.T @ np.linalg.solve(total, rows)) * prior
    e = []
    for i in range(n):
        mine = t @ (x * (data.respondent == i)[:, None])
        e.append(between @ mine.T @ weights)
    return coefficients, covariance, sigma2, objective, np.array(e)


def test_posterior_and_likelihood_equal_those_of_the_dense_mixed_model():
    data, _ = simulate(DESIGN, 18, 3, np.random.default_rng(0), features=2, specific=0.4, idiosyncratic=0.4)
    features = data.respondents[["z0", "z1"]].to_numpy()
    problem, basis = rating_problem(data, features)
    objectives = []
    for seed in range(3):
        variances = np.random.default_rng(seed).uniform(0.01, 0.5, size=(2, 3))
        variances[0, 1] = 0 if seed == 2 else variances[0, 1]
        found = evidence(problem, variances)
        coefficients, covariance, noise, objective, own = dense(data, features, problem, basis, variances)
        assert np.allclose(found.coefficients, coefficients)
        assert np.allclose(found.covariance, covariance)
        assert found.noise == pytest.approx(noise)
        assert np.allclose(found.own, own)
        objectives.append(found.objective - objective)
    assert np.ptp(objectives) < 1e-8  # equal up to a constant


def test_gradient_is_the_slope_of_the_likelihood():
    data, _ = simulate(DESIGN, 30, 3, np.random.default_rng(1), features=2, specific=0.4, idiosyncratic=0.4)
    problem, _ = rating_problem(data, data.respondents[["z0", "z1"]].to_numpy())
    variances = np.random.default_rng(2).uniform(0.05, 0.3, size=(2, 3))
    found = evidence(problem, variances)
    for k in range(6):
        step = np.zeros(6)
        step[k] = 1e-5
        up, down = (evidence(problem, variances + s * step.reshape(2, 3)).objective for s in (1, -1))
        assert found.gradient[k] == pytest.approx(-(up - down) / 4e-5, rel=1e-5, abs=1e-6)


def test_learned_variances_maximise_the_likelihood():
    data, _ = simulate(DESIGN, 80, 5, np.random.default_rng(3), features=2, specific=0.4, idiosyncratic=0.4)
    problem, _ = rating_problem(data, data.respondents[["z0", "z1"]].to_numpy())
    variances, found = learn_linear(problem, 3)
    rng = np.random.default_rng(4)
    for _ in range(30):
        other = np.maximum(variances * np.exp(0.3 * rng.normal(size=(2, 3))), 1e-9)
        assert evidence(problem, other).objective > found.objective - 1e-3


def test_sites_match_the_moments_of_the_logit():
    rng = np.random.default_rng(5)
    chosen = np.array([1.0, 0.0, 1.0])
    sites = first_sites(chosen)
    mean, variance = rng.normal(size=3), np.array([0.5, 1.0, 2.0])
    new = propagate(sites, 2 * chosen - 1, mean, variance)
    grid = np.linspace(-30, 30, 200_001)
    for t in range(3):
        cavity = 1 / variance[t] - sites.precision[t]
        centre = (mean[t] / variance[t] - sites.shift[t]) / cavity
        mass = np.exp(-cavity * (grid - centre) ** 2 / 2) / (1 + np.exp(-(2 * chosen[t] - 1) * grid))
        mass /= mass.sum()
        expected = mass @ grid
        spread = mass @ (grid - expected) ** 2
        assert 1 / (cavity + new.precision[t]) == pytest.approx(spread, rel=1e-5)
        matched = (centre * cavity + new.shift[t]) / (cavity + new.precision[t])
        assert matched == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_utilities_follow_relabelled_levels_and_renamed_covariates(outcome):
    data, _ = simulate(
        DESIGN, 120, 4, np.random.default_rng(6), specific=0.6, idiosyncratic=0.4, outcome=outcome
    )
    base, own = (fit_hierarchical(data, 1, own_answers) for own_answers in (False, True))
    relabel = [np.random.default_rng(7).permutation(size) for size in DESIGN.shape]
    levels = np.column_stack([relabel[a][data.levels[:, a]] for a in range(3)])
    other = replace(data, levels=levels, covariates=data.covariates[::-1])
    moved, own_moved = (fit_hierarchical(other, 2, own_answers) for own_answers in (False, True))
    offset = level_offsets(DESIGN)
    pairs = [
        (model_a.utilities(data.respondents).cells, model_b.utilities(data.respondents).cells)
        for model_a, model_b in ((base, moved), (own, own_moved))
    ]
    for a in range(3):
        for before, after in pairs:
            part, permuted = (u[:, offset[a] : offset[a + 1]] for u in (before, after))
            assert np.allclose(part, permuted[:, relabel[a]], atol=1e-6)


def test_a_constant_added_to_ratings_changes_only_the_intercept():
    data, _ = simulate(DESIGN, 60, 4, np.random.default_rng(8), specific=0.6, idiosyncratic=0.4)
    a, b = (fit_hierarchical(replace(data, outcome=data.outcome + c), 1, True) for c in (0, 5))
    people = data.respondents
    assert np.allclose(a.utilities(people).cells, b.utilities(people).cells, atol=1e-8)
    assert b.intercept == pytest.approx(a.intercept + 5)


def test_weights_act_like_copies():
    data, _ = simulate(DESIGN, 30, 4, np.random.default_rng(9), features=2, specific=0.6, idiosyncratic=0.4)
    features = data.respondents[["z0", "z1"]].to_numpy()
    problem, _ = rating_problem(data, features)
    m, attribute = problem.moments, problem.attribute
    copies = np.append(np.arange(30), np.arange(7))
    doubled = Moments(m.gram[copies], m.cross[copies], m.square[copies])
    weight = np.where(np.arange(30) < 7, 2.0, 1.0)
    heavy = replace(problem, weight=weight, prior=common_prior(m, weight, attribute), answers=37 * 7.0)
    copied = replace(
        heavy,
        moments=doubled,
        features=features[copies],
        weight=np.ones(37),
        prior=common_prior(doubled, np.ones(37), attribute),
    )
    a, b = learn_linear(heavy, 3), learn_linear(copied, 3)
    assert np.allclose(a[0], b[0])
    assert np.allclose(a[1].coefficients, b[1].coefficients)


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_own_answers_are_joined_by_id(outcome):
    data, _ = simulate(DESIGN, 80, 4, np.random.default_rng(10), idiosyncratic=0.6, outcome=outcome)
    model, blind = (fit_hierarchical(data, 1, own_answers) for own_answers in (True, False))
    order = np.random.default_rng(11).permutation(80)
    people, shuffled = data.respondents, data.respondents.iloc[order]
    values = model.utilities(people).cells
    assert np.allclose(model.utilities(shuffled).cells, values[order], atol=1e-12)
    for drawn, again in zip(model.draw_tables(people), model.draw_tables(shuffled), strict=True):
        assert np.allclose(again.cells, drawn.cells[order], atol=1e-12)
    if outcome == "rating":
        mean = np.mean([drawn.cells for drawn in model.draw_tables(people)], axis=0)
        spread = np.std([drawn.cells for drawn in model.draw_tables(people)], axis=0)
        z = (mean - values) / (spread / np.sqrt(model.n_draws))
        assert 0.8 < z.std() < 1.2
    # Strangers are known by their covariates only.
    strangers = people.assign(respondent_id=[f"x{i}" for i in range(80)])
    assert np.array_equal(model.utilities(strangers).cells, blind.utilities(people).cells)
    assert not np.allclose(model.utilities(strangers).cells, values)


@pytest.mark.parametrize("own_answers", [False, True])
def test_model_survives_being_frozen_and_keeps_answers_only_in_a_panel(own_answers):
    data, _ = simulate(DESIGN, 60, 4, np.random.default_rng(13), specific=0.6, idiosyncratic=0.4)
    model = fit_hierarchical(data, 1, own_answers)
    again = HierarchicalModel.from_data(model.settings(), model.arrays(), DESIGN)
    people = data.respondents
    assert np.array_equal(again.utilities(people).cells, model.utilities(people).cells)
    first, second = (next(iter(m.draw_tables(people))).cells for m in (again, model))
    assert np.array_equal(first, second)
    assert any("own" in name for name in model.arrays()) == own_answers


def held_out_gain(data):
    """Squared error of half of the tasks saved by own answers in the other half."""
    early = data.task < 4
    train = replace(
        data,
        levels=data.levels[early],
        outcome=data.outcome[early],
        respondent=data.respondent[early],
        task=data.task[early],
    )
    models = [fit_hierarchical(train, 1, own_answers) for own_answers in (False, True)]
    who, late = data.respondent[~early], data.levels[~early]
    y = pd.Series(data.outcome[~early])
    y = (y - y.groupby(who).transform("mean")).to_numpy()
    errors = []
    for model in models:
        eta = pd.Series(model.utilities(data.respondents).utility_of_rows(late, who))
        errors.append(np.mean((y - (eta - eta.groupby(who).transform("mean")).to_numpy()) ** 2))
    return errors[0] - errors[1]


@pytest.mark.statistical
def test_own_answers_help_where_people_differ_and_do_not_hurt_where_they_do_not():
    design = factorial((5, 5, 3))
    differ, _ = simulate(design, 400, 8, np.random.default_rng(14), idiosyncratic=0.6)
    alike, _ = simulate(design, 400, 8, np.random.default_rng(15))
    assert held_out_gain(differ) > 0.1
    assert held_out_gain(alike) > -0.01


def with_logit_choices(data, truth, seed):
    """Choices that follow the logit of the true utilities exactly."""
    eta = utility_of(truth[data.respondent], data.levels, data.design)
    first = np.random.default_rng(seed).random(len(eta) // 2) < 1 / (1 + np.exp(eta[1::2] - eta[::2]))
    return replace(data, outcome=np.column_stack([first, ~first]).ravel().astype(float))


@pytest.mark.statistical
@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_spread_is_recovered_and_draws_cover(outcome):
    """Averages over 6 studies: tau and gamma without bias, 90 % intervals of theta_i cover 90 %."""
    design = factorial((5, 4, 3))
    tau, gamma, covered = [], [], []
    for seed in range(6):
        data, truth = simulate(
            design,
            400,
            8,
            np.random.default_rng(100 + seed),
            specific=0.4,
            idiosyncratic=0.5,
            outcome=outcome,
        )
        if outcome == "choice":
            data = with_logit_choices(data, truth, seed)
        model = fit_hierarchical(data, 1, own_answers=True)
        tau.append([model.fit[f"tau: {name}"] for name in design.names])
        gamma.append([model.fit[f"gamma: {name}"] for name in design.names])
        drawn = [tables.cells for tables in model.draw_tables(data.respondents[:100])]
        low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
        covered.append(np.mean((truth[:100] > low) & (truth[:100] < high)))
    level = np.sqrt(1 - 1 / np.array(design.shape))
    assert np.mean(tau, axis=0) == pytest.approx(0.5 * level, rel=0.12)
    assert np.mean(gamma, axis=0) == pytest.approx(0.2 * level, rel=0.3)
    assert 0.86 < np.mean(covered) < 0.94


@pytest.mark.statistical
@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_no_petitions_are_invented_where_covariates_tell_nothing(outcome):
    design = factorial((5, 5, 5, 3))
    for seed in range(3):
        data, _ = simulate(
            design, 400, 6, np.random.default_rng(900 + seed), features=8, idiosyncratic=0.3, outcome=outcome
        )
        utilities = fit_hierarchical(data, 1).utilities(data.respondents)
        modal = pd.Series(design.petition_ids(nano(utilities))).value_counts(normalize=True)
        assert modal.iloc[0] > 0.8
