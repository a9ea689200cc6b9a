"""The ridge learner against direct computation, under invariances and on known truth."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import scipy.optimize

from nanotarget.calibrate.learners import FITTERS, AdditiveModel, TrainingData, fit_null, ridge
from nanotarget.calibrate.learners.crossfit import compare_losses, crossfit, held_out_losses
from nanotarget.calibrate.learners.ridge import (
    Regression,
    choose_penalties,
    compared_moments,
    conjugate_gradients,
    fit_ridge,
    identified_pairs,
    joint_moments,
    level_contrasts,
    solve,
)
from nanotarget.calibrate.learners.trees import tree_rows
from nanotarget.petitions.design import Design
from nanotarget.petitions.encoding import CovariateEncoder, contrasts, indicators
from nanotarget.petitions.policy import nano
from nanotarget.petitions.score import best_petitions, landscape
from nanotarget.petitions.utilities import Layout, Tables, additive_layout, average, part_worths
from nanotarget.study.config import AttributeConfig, CalibrateConfig, CovariateConfig, DesignConfig
from nanotarget.study.problems import InputError
from nanotarget.study.response import RESPONSES, Rating
from worlds import Known, factorial, simulate, utility_of

DESIGN = factorial((4, 3, 3))


def cross(data, fit=fit_ridge):
    return crossfit(data, lambda train, part: fit(train, 1), 5, 1)


def long_matrix(data, features):
    """The design matrix that the learner never builds: indicators x (1, features), demeaned."""
    d = indicators(data.levels, data.design)
    for i in range(data.n_respondents):
        d[data.respondent == i] -= d[data.respondent == i].mean(axis=0)
    z = np.column_stack([np.ones(len(features)), features])[data.respondent]
    return np.hstack([z[:, [j]] * d for j in range(z.shape[1])])


def long_products(data):
    """The products of all centred indicators of each pair of attributes, compared as answers compare them."""
    encoded = np.split(indicators(data.levels, data.design), np.cumsum(data.design.shape)[:-1], axis=1)
    pairs = [(a, b) for a in range(len(encoded)) for b in range(a + 1, len(encoded))]
    products = [
        (encoded[a][:, :, None] * encoded[b][:, None, :]).reshape(len(data.levels), -1) for a, b in pairs
    ]
    return data.compared(np.hstack(products))


def problem_of(data, features, curved=None, pairs=()):
    layout = Layout(data.design, (*additive_layout(data.design).subsets, *pairs))
    curved = np.zeros(features.shape[1], dtype=bool) if curved is None else np.array(curved)
    return Regression(data, features, curved, layout)


def interacting(design, n, tasks, rng, strength, outcome="rating", **world):
    """Training data whose pairs of attributes interact, and the utilities of the average respondent."""
    data, truth = simulate(design, n, tasks, rng, **world)
    pairs = identified_pairs(design)
    cells = np.concatenate(
        [
            basis @ rng.normal(size=basis.shape[1])
            for basis in (level_contrasts(design, pair) for pair in pairs)
        ]
    )
    response = (
        data.outcome + strength * Tables(Layout(design, pairs), cells[None]).utilities_of_all(data.levels)[0]
    )
    if outcome == "choice":
        first = response[::2] > response[1::2]
        response = np.column_stack([first, ~first]).ravel().astype(float)
    layout = Layout(design, (*additive_layout(design).subsets, *pairs))
    common = Tables(layout, np.append(truth.mean(axis=0), strength * cells)[None])
    return replace(data, response=RESPONSES[outcome], outcome=response), common


@pytest.fixture
def keep_all(monkeypatch):
    """One candidate a penalty: every group of coefficients stays in the model."""
    monkeypatch.setattr(ridge, "CANDIDATES", {group: np.array([0.1]) for group in ridge.CANDIDATES})


def test_joint_moments_equal_those_of_the_long_matrix():
    data, _ = simulate(DESIGN, 25, 3, np.random.default_rng(0), specific=0.3)
    features = np.random.default_rng(1).normal(size=(25, 2))
    weight = np.random.default_rng(2).uniform(0.5, 2, size=25)
    matrix = long_matrix(data, features)
    y = data.outcome - pd.Series(data.outcome).groupby(data.respondent).transform("mean").to_numpy()
    w = weight[data.respondent][:, None]
    gram, cross = joint_moments(compared_moments(data), features, weight)
    assert np.allclose(gram, (matrix * w).T @ matrix)
    assert np.allclose(cross, (matrix * w).T @ y)


def test_solution_is_the_penalised_least_squares_of_a_general_optimiser():
    data, _ = simulate(DESIGN, 25, 3, np.random.default_rng(3), specific=0.3)
    features = np.random.default_rng(4).normal(size=(25, 2))
    matrix = long_matrix(data, features)
    y = data.outcome - pd.Series(data.outcome).groupby(data.respondent).transform("mean").to_numpy()
    total = indicators(data.levels, DESIGN).shape[1]
    penalty = np.repeat([2.0, 7.0, 5.0], total)
    stacked = np.vstack([matrix, np.diag(np.sqrt(penalty))])
    expected = np.linalg.lstsq(stacked, np.append(y, np.zeros(len(penalty))))[0]
    solution = solve(*joint_moments(compared_moments(data), features, np.ones(25)), penalty)
    assert np.allclose(solution, expected, atol=1e-10)


def test_equations_with_pairs_equal_those_of_the_long_matrix(monkeypatch):
    """Built in chunks of people, for all and for some of them, with weights of people and of rows."""
    monkeypatch.setattr(ridge, "PEOPLE_AT_ONCE", 7)
    rng = np.random.default_rng(20)
    for outcome in ("rating", "choice"):
        data, _ = simulate(DESIGN, 25, 3, rng, outcome=outcome)
        data.respondents["weight"] = rng.uniform(0.5, 2, size=25)
        problem = problem_of(data, rng.normal(size=(25, 2)), pairs=identified_pairs(DESIGN))
        z = problem.z[problem.respondent]
        singles = data.compared(indicators(data.levels, DESIGN) @ contrasts(DESIGN))
        basis = [scipy.linalg.helmert(size).T for size in DESIGN.shape]
        to_pairs = scipy.linalg.block_diag(
            *(np.kron(basis[a], basis[b]) for a, b in identified_pairs(DESIGN))
        )
        matrix = np.hstack([z[:, [j]] * singles for j in range(3)] + [long_products(data) @ to_pairs])
        response, precision = rng.normal(size=len(z)), rng.uniform(0.1, 1, size=len(z))
        for members in (np.arange(25), np.array([0, 3, 4, 9, 11, 17, 18, 20, 24])):
            rows = np.isin(problem.respondent, members)
            w = (precision * data.weight[problem.respondent])[rows, None]
            gram, cross = problem.equations(response, precision, members)
            assert np.allclose(gram, (matrix[rows] * w).T @ matrix[rows], atol=1e-12)
            assert np.allclose(cross, (matrix[rows] * w).T @ response[rows], atol=1e-12)


def test_equations_in_principal_axes_turn_back_to_those_of_the_features():
    rng = np.random.default_rng(6)
    data, _ = simulate(DESIGN, 40, 3, rng)
    encoder = CovariateEncoder.fit(data.respondents, data.covariates, curved=True)
    for pairs in ((), identified_pairs(DESIGN)):
        problem = problem_of(data, encoder.encode(data.respondents), encoder.curved, pairs)
        turned, axes = problem.in_principal_axes()
        assert np.allclose(axes.T @ axes, np.eye(len(axes)))
        assert np.allclose(turned.z, problem.z @ axes)
        straight = turned.features[:, ~turned.curved]
        assert np.allclose(straight.T @ straight, np.diag((straight**2).sum(axis=0)), atol=1e-9)
        response, people = rng.normal(size=len(problem.singles)), np.arange(40)
        own, other = (p.equations(response, np.ones(len(response)), people) for p in (problem, turned))
        for expected, found in zip(own, problem.turned_back(other, axes), strict=True):
            assert np.allclose(found, expected, atol=1e-9)


def test_conjugate_gradients_solve_what_is_not_diagonal_at_all():
    rng = np.random.default_rng(9)
    rows = rng.normal(size=(60, 40)) @ rng.normal(size=(40, 40))
    gram, right, penalty = rows.T @ rows, rng.normal(size=40), rng.uniform(0.5, 2, 40)
    expected = scipy.linalg.solve(gram + np.diag(penalty), right)
    for start in (np.zeros(40), expected, rng.normal(size=40)):
        assert conjugate_gradients(gram, right, penalty, start) == pytest.approx(expected, rel=1e-6)
    assert not conjugate_gradients(gram, np.zeros(40), penalty, np.zeros(40)).any()
    assert not len(conjugate_gradients(np.zeros((0, 0)), np.zeros(0), 1.0, np.zeros(0)))


def test_cross_validation_without_refits_picks_the_penalties_of_a_plain_loop():
    """Each group in turn, by fits of every fold and penalty on the long matrix."""
    rng = np.random.default_rng(5)
    data, _ = interacting(DESIGN, 60, 3, rng, 0.8, specific=0.8)
    encoder = CovariateEncoder.fit(data.respondents, data.covariates, curved=True)
    problem = problem_of(data, encoder.encode(data.respondents), encoder.curved, identified_pairs(DESIGN))
    y, fold = data.compared(data.outcome), rng.permutation(np.arange(60) % 5)
    shares = [problem.equations(y, np.ones(len(y)), np.flatnonzero(fold == f)) for f in range(5)]
    chosen = choose_penalties(shares, problem.group)

    z = problem.z[data.respondent]
    pairs = problem.compared(data, slice(problem.n_attributes, None))
    matrix = np.hstack([z[:, [j]] * problem.singles for j in range(z.shape[1])] + [pairs])
    size, out = np.diag(matrix.T @ matrix), fold[data.respondent]

    def losses(penalty):
        kept = np.isfinite(penalty)
        found = []
        for f in range(5):
            x, v = matrix[out != f][:, kept], y[out != f]
            b = np.linalg.solve(x.T @ x + np.diag(penalty[kept]), x.T @ v)
            found.append(np.sum((y[out == f] - matrix[out == f][:, kept] @ b) ** 2))
        return np.array(found)

    expected = np.full(4, np.inf)
    for own, relative in ridge.CANDIDATES.items():
        tried = []
        for candidate in relative * size[problem.group == own].mean():
            beside = [expected[g] if g in ridge.BESIDE[own] else np.inf for g in range(4)]
            beside[own] = candidate
            tried.append(losses(np.array(beside)[problem.group]))
        best = int(np.argmin([loss.sum() for loss in tried]))
        gain = tried[0] - tried[best]
        if own in ridge.SPARING and gain.mean() <= gain.std(ddof=1) / np.sqrt(5):
            best = 0
        expected[own] = relative[best] * size[problem.group == own].mean()
    assert chosen == pytest.approx(expected)
    assert np.isfinite(chosen[[ridge.LINE, ridge.PAIR]]).all()


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_fit_minimises_the_penalised_loss(keep_all, outcome):
    """Against a general optimiser on all indicators and all products of indicators."""
    rng = np.random.default_rng(6)
    data, _ = interacting(DESIGN, 60, 4, rng, 0.3, outcome, specific=0.8, features=2)
    model = fit_ridge(data, 1, interactions=True)
    assert len(model.encoder.features) == 8  # a line and three curves each
    z = np.column_stack([np.ones(60), model.encoder.encode(data.respondents)])
    who = data.respondent if outcome == "rating" else data.respondent[::2]
    singles = data.compared(indicators(data.levels, DESIGN))
    matrix = np.hstack([z[who][:, [j]] * singles for j in range(9)] + [long_products(data)])
    penalty = [
        model.fit[name] for name in ("penalty_common", *["penalty_specific", *["penalty_curved"] * 3] * 2)
    ]
    penalty = np.append(np.repeat(penalty, 10), np.full(33, model.fit["penalty_interactions"]))
    if outcome == "rating":
        gram, cross = matrix.T @ matrix, matrix.T @ data.compared(data.outcome)
        best = np.linalg.solve(gram + np.diag(penalty), cross)
    else:
        sign = 2 * data.outcome[::2] - 1

        def objective(b):
            eta = matrix @ b
            slope = -sign / (1 + np.exp(sign * eta))
            return np.logaddexp(0, -sign * eta).sum() + penalty @ b**2 / 2, matrix.T @ slope + penalty * b

        options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 5000}
        start = np.zeros(len(penalty))
        best = scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    utility = model.utilities(data.respondents).utility_of_rows(data.levels, data.respondent)
    assert np.abs(data.compared(utility) - matrix @ best).max() < (1e-9 if outcome == "rating" else 1e-4)


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_utilities_follow_permuted_rows_and_relabelled_levels(outcome):
    data, _ = interacting(DESIGN, 80, 4, np.random.default_rng(7), 0.3, outcome, specific=0.8)

    def utilities(changed):
        return landscape(fit_ridge(changed, 3, True).utilities(changed.respondents)).reshape(
            80, *DESIGN.shape
        )

    base = utilities(data)

    relabel = [np.random.default_rng(8).permutation(size) for size in DESIGN.shape]
    levels = np.column_stack([relabel[a][data.levels[:, a]] for a in range(3)])
    renamed = TrainingData(
        DESIGN,
        RESPONSES[outcome],
        levels,
        data.outcome,
        data.respondent,
        data.task,
        data.respondents,
        data.covariates,
    )
    relabelled = utilities(renamed)[np.ix_(np.arange(80), *relabel)]
    assert np.allclose(base, relabelled, atol=1e-7)

    names = {f"z{j}": f"{j} `x` <br>" for j in range(4)}
    other = replace(
        data,
        respondents=data.respondents.rename(columns=names),
        covariates=tuple(CovariateConfig(name=names[c.name], kind="numeric") for c in data.covariates[::-1]),
    )
    assert np.allclose(base, utilities(other), atol=1e-7)

    rows = np.arange(len(data.task)).reshape(80, 4, 2)[:, ::-1].ravel()  # tasks in another order
    shuffled = replace(data, levels=data.levels[rows], outcome=data.outcome[rows], task=data.task[rows])
    assert np.allclose(base, utilities(shuffled), atol=1e-7)


def test_a_constant_added_to_ratings_changes_only_the_intercept():
    data, _ = simulate(DESIGN, 50, 3, np.random.default_rng(9), specific=0.6)
    moved = TrainingData(
        DESIGN,
        Rating,
        data.levels,
        data.outcome + 5,
        data.respondent,
        data.task,
        data.respondents,
        data.covariates,
    )
    a, b = fit_ridge(data, 1, True), fit_ridge(moved, 1, True)
    assert np.allclose(a.coefficients, b.coefficients)
    assert b.intercept == pytest.approx(a.intercept + 5)


def test_weights_act_like_copies():
    """Fixed penalties: a respondent of weight 2 counts like two respondents."""
    data, _ = simulate(DESIGN, 20, 3, np.random.default_rng(10), specific=0.6)
    features = np.random.default_rng(11).normal(size=(20, 2))
    moments = compared_moments(data)
    weight = np.where(np.arange(20) < 5, 2.0, 1.0)
    copies = np.append(np.arange(20), np.arange(5))
    doubled = type(moments)(moments.gram[copies], moments.cross[copies], moments.square[copies])
    a = joint_moments(moments, features, weight)
    b = joint_moments(doubled, features[copies], np.ones(25))
    assert np.allclose(a[0], b[0])
    assert np.allclose(a[1], b[1])


def test_model_survives_being_frozen(keep_all):
    data, _ = simulate(DESIGN, 50, 3, np.random.default_rng(12), specific=0.8)
    model = fit_ridge(data, 1, interactions=True)
    assert model.encoder.curved.any()
    settings = json.loads(json.dumps(model.settings()))
    again = AdditiveModel.from_data(settings, model.arrays(), DESIGN)
    assert (
        again.layout
        == model.layout
        == problem_of(data, np.zeros((50, 0)), pairs=identified_pairs(DESIGN)).layout
    )
    assert np.array_equal(again.utilities(data.respondents).cells, model.utilities(data.respondents).cells)
    with pytest.raises(ValueError, match="other attributes"):
        AdditiveModel.from_data(model.settings(), model.arrays(), factorial((4, 3, 2)))


def test_missing_covariates_and_unknown_categories_are_encoded():
    table = pd.DataFrame(
        {
            "age": [20.0, 40.0, np.nan, 60.0],
            "party": pd.Categorical(["A", None, "B", "A"], categories=["A", "B", "C"]),
            "hidden": [1.0, 2.0, 3.0, 4.0],
        }
    )
    covariates = [
        CovariateConfig(name="age", kind="numeric"),
        CovariateConfig(name="party", kind="categorical", levels=["A", "B", "C"]),
        CovariateConfig(name="hidden", kind="numeric", target=False),
    ]
    encoder = CovariateEncoder.fit(table, covariates)
    names = [(f.covariate, f.level, f.missing) for f in encoder.features]
    assert names == [
        ("age", None, False),
        ("age", None, True),
        ("party", "A", False),
        ("party", "B", False),
        ("party", None, True),
    ]
    encoded = encoder.encode(table)
    assert not np.isnan(encoded).any()
    assert encoded[2, 0] == 0
    assert np.allclose(encoded.mean(axis=0)[1:], 0)


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_held_out_losses_equal_a_plain_loop(outcome):
    data, truth = simulate(DESIGN, 15, 3, np.random.default_rng(13), specific=0.5, outcome=outcome)
    eta = utility_of(truth[data.respondent], data.levels, DESIGN)
    expected = []
    for i in range(15):
        y, e = data.outcome[data.respondent == i], eta[data.respondent == i]
        if outcome == "rating":
            expected.append(np.mean(((y - e) - (y - e).mean()) ** 2))
        else:
            p = 1 / (1 + np.exp(e[1::2] - e[::2]))
            expected.append(-np.mean(np.log(np.where(y[::2] == 1, p, 1 - p))))
    assert held_out_losses(Known(data, truth, truth)) == pytest.approx(expected)


def test_nobody_is_predicted_by_a_model_that_has_seen_her():
    """Changing a respondent's own ratings wildly does not move her held-out part-worths."""
    data, _ = simulate(DESIGN, 40, 3, np.random.default_rng(14), specific=0.6)
    base = cross(data)
    outcome = data.outcome.copy()
    outcome[data.respondent == 7] = np.random.default_rng(15).normal(size=6) * 100
    wild = TrainingData(
        DESIGN, Rating, data.levels, outcome, data.respondent, data.task, data.respondents, data.covariates
    )
    moved = cross(wild)
    before, after = (fitted.utilities.level_means() for fitted in (base, moved))
    assert np.array_equal(before[7], after[7])
    others = base.unit_fold != base.unit_fold[7]
    assert not np.allclose(before[others], after[others])


@pytest.mark.statistical
@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_heterogeneity_is_found_where_it_is_and_not_invented_where_it_is_not(outcome):
    design = factorial((5, 5, 3))
    found, _ = simulate(design, 400, 6, np.random.default_rng(16), specific=0.4, outcome=outcome)
    absent, _ = simulate(design, 400, 6, np.random.default_rng(17), idiosyncratic=0.3, outcome=outcome)
    better, same = cross(found), cross(absent)
    for fitted, low, high in ((better, 4, 1e9), (same, -1e9, 2)):
        losses, null = held_out_losses(fitted), held_out_losses(cross(fitted.data, fit_null))
        compared = compare_losses(losses, null, fitted.data.weight)
        # Where nothing person-specific is kept the learner is the null, without any error.
        assert (
            low * compared["std_error"] <= compared["improvement"] <= high * max(compared["std_error"], 1e-12)
        )
    divergent = (nano(same.utilities) != same.overall_best).any(axis=1)
    assert divergent.mean() < 0.2


def test_the_contrast_basis_gives_the_fit_of_all_indicators():
    """Ridge on all indicators and on orthonormal contrasts: the same predictions, one dimension less each."""
    data, _ = simulate(DESIGN, 40, 3, np.random.default_rng(18), specific=0.6)
    features = np.random.default_rng(19).normal(size=(40, 3))
    moments, basis = compared_moments(data), contrasts(DESIGN)
    assert np.allclose(basis.T @ basis, np.eye(7))
    projected = moments.projected(basis)
    everything = solve(*joint_moments(moments, features, np.ones(40)), np.repeat([2.0, 9, 9, 9], 10))
    reduced = solve(*joint_moments(projected, features, np.ones(40)), np.repeat([2.0, 9, 9, 9], 7))
    assert np.allclose(everything.reshape(4, 10), reduced.reshape(4, 7) @ basis.T)


@pytest.mark.parametrize("kept", [{"p00000"}, {f"p{i:05d}" for i in range(6)}])
def test_data_nobody_can_learn_from_are_refused(kept):
    """One respondent alone, or one rating each: there is nothing within a respondent to compare."""
    data, _ = simulate(DESIGN, 6, 1, np.random.default_rng(18))
    rows = DESIGN.frame(data.levels).assign(
        respondent_id=data.respondents["respondent_id"].to_numpy()[data.respondent],
        task=data.task,
        profile=np.tile([1, 2], 6),
        rating=data.outcome,
    )
    rows = rows[rows["respondent_id"].isin(kept) & ((len(kept) == 1) | (rows["profile"] == 1))]
    with pytest.raises(InputError, match="left to learn from"):
        TrainingData.from_tables(rows, data.respondents, DESIGN, Rating, data.covariates)


def test_a_training_fold_with_one_rating_each_teaches_nothing():
    """Whoever rated twice may all be in the fold that is left out; the fit must not fail."""
    data, _ = simulate(DESIGN, 6, 1, np.random.default_rng(19), specific=0.5)
    rows = np.arange(12) % 2 == 0
    one = TrainingData(
        DESIGN,
        Rating,
        data.levels[rows],
        data.outcome[rows],
        data.respondent[rows],
        data.task[rows],
        data.respondents,
        data.covariates,
    )
    assert (fit_ridge(one, 1, interactions=True).utilities(one.respondents).cells == 0).all()


def test_one_respondent_is_enough_to_fit():
    """Of two respondents each fold leaves one: common part-worths, and nothing that only people can prove."""
    data, _ = simulate(DESIGN, 1, 20, np.random.default_rng(26))
    model = fit_ridge(data, 1, interactions=True)
    assert model.layout == additive_layout(DESIGN)
    assert model.encoder.features == ()


def weighted_design():
    attributes = [
        AttributeConfig(name="a", levels=["x", "y", "z"], probabilities=[0.6, 0.3, 0.1]),
        AttributeConfig(name="b", levels=["u", "v"], probabilities=[0.8, 0.2]),
        AttributeConfig(name="c", levels=["r", "s", "t"]),
    ]
    return Design.from_config(DesignConfig(attributes=attributes))


@pytest.mark.parametrize("design", [DESIGN, weighted_design()])
def test_pairs_have_mean_zero_given_either_level_so_that_part_worths_stay_marginal(keep_all, design):
    data, _ = interacting(design, 60, 4, np.random.default_rng(21), 0.3, specific=0.4)
    model = fit_ridge(data, 1, interactions=True)
    singles = additive_layout(design).n_cells
    for offset, pair in zip(model.layout.offsets[3:], model.layout.subsets[3:], strict=False):
        a, b = pair
        size = design.shape[a] * design.shape[b]
        table = model.coefficients[0, offset : offset + size].reshape(design.shape[a], design.shape[b])
        assert np.abs(table).max() > 0.01
        assert np.allclose(table @ design.level_probabilities(b), 0)
        assert np.allclose(design.level_probabilities(a) @ table, 0)
    assert (model.coefficients[1:, singles:] == 0).all()
    assert (model.draws[:, 1:, singles:] == 0).all()
    utilities = model.utilities(data.respondents)
    assert np.allclose(utilities.level_means(), utilities.cells[:, :singles])


def test_pairs_with_a_prohibited_combination_do_not_interact(keep_all):
    """Pairs that a prohibition ties only through a third attribute do; all utilities have mean zero."""
    design = factorial((3, 3, 3), [{"a0": ["l0"], "a1": ["l1"]}, {"a1": ["l2"], "a2": ["l0"]}])
    assert identified_pairs(design) == ((0, 2),)
    data, _ = simulate(design, 60, 4, np.random.default_rng(22), common=0.5)
    utilities = fit_ridge(data, 1, interactions=True).utilities(data.respondents)
    assert utilities.layout.subsets == ((0,), (1,), (2,), (0, 2))
    petitions = design.petition_levels(np.arange(27))
    probability = np.zeros(27)
    (block,) = design.blocks
    probability[design.petition_ids(block.cells)] = block.probabilities
    assert np.allclose(utilities.utilities_of_all(petitions) @ probability, 0)


def test_draws_scatter_like_the_posterior(keep_all):
    """Their mean and variance at petitions are those of the normal posterior on the long matrix."""
    data, _ = interacting(DESIGN, 60, 4, np.random.default_rng(23), 0.3)
    data = replace(data, covariates=())
    model = fit_ridge(data, 1, interactions=True)
    petitions = DESIGN.petition_levels(np.arange(36))
    drawn = np.array([u[0] for u in model.draws_of_petitions(data.respondents.iloc[:1], petitions)])
    everything = replace(data, levels=petitions, outcome=np.zeros(36), respondent=np.zeros(36, dtype=int))
    everything = replace(everything, respondents=data.respondents.iloc[:1])
    matrix = np.hstack([data.compared(indicators(data.levels, DESIGN)), long_products(data)])
    at = np.hstack([everything.compared(indicators(petitions, DESIGN)), long_products(everything)])
    penalty = np.repeat([model.fit["penalty_common"], model.fit["penalty_interactions"]], [10, 33])
    covariance = np.linalg.inv(matrix.T @ matrix + np.diag(penalty))
    y = data.compared(data.outcome)
    b = covariance @ matrix.T @ y
    noise = (y @ y - y @ matrix @ b) / (len(y) - 60)
    spread = np.sqrt(np.einsum("ij,jk,ik->i", at, covariance, at) * noise)
    assert np.abs((drawn.mean(axis=0) - at @ b) / spread).max() < 4 / np.sqrt(len(drawn))
    assert np.abs(drawn.std(axis=0) / spread - 1).max() < 0.25


def test_all_petitions_of_a_large_grid_are_direct_sums(keep_all):
    design = factorial((3, 3, 5, 5, 5, 5, 5))
    data, _ = interacting(design, 120, 6, np.random.default_rng(24), 0.2, specific=0.4)
    people = data.respondents.iloc[[3, 50, 119]]
    model = fit_ridge(data, 1, interactions=True)
    petitions = design.petition_levels(np.arange(28_125))
    cells = np.column_stack([np.ones(3), model.encoder.encode(people)]) @ model.coefficients
    expected = np.zeros((3, 28_125))
    for subset, start in zip(model.layout.subsets, model.layout.offsets, strict=False):
        index = np.zeros(28_125, dtype=int)
        for a in subset:
            index = index * design.shape[a] + petitions[:, a]
        expected += cells[:, start + index]
    assert np.abs(landscape(model.utilities(people)) - expected).max() < 1e-10
    assert len(model.layout.subsets) == 7 + 21


def test_settings_reach_the_learner_and_other_learners_keep_the_line():
    data, _ = interacting(DESIGN, 80, 6, np.random.default_rng(25), 0.5)
    for interactions, tables in ((False, 3), (True, 6)):
        model = FITTERS["ridge"](data, 1, CalibrateConfig(interactions=interactions))
        assert len(model.layout.subsets) == tables
    assert not tree_rows(data).encoder.curved.any()
    settings = CalibrateConfig(interactions=True)
    hierarchical = FITTERS["hierarchical"](data, 1, settings)
    assert not hierarchical.encoder.curved.any()
    assert hierarchical.layout == additive_layout(DESIGN)


@pytest.mark.statistical
@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_interactions_find_better_petitions_where_they_are_and_are_left_out_where_not(outcome):
    design = factorial((5, 5, 5, 3, 3))
    regret = np.zeros((6, 2))
    for draw in range(6):
        data, truth = interacting(design, 400, 6, np.random.default_rng(draw), 0.2, outcome, specific=0.2)
        top = truth.utility_of(best_petitions(truth))
        for on in (False, True):
            common = average(fit_ridge(data, 1, on).utilities(data.respondents), data.weight)
            regret[draw, int(on)] = (top - truth.utility_of(best_petitions(common)))[0]
    assert regret[:, 1].mean() < 0.4 * regret[:, 0].mean()
    absent = [
        simulate(design, 400, 6, np.random.default_rng(d), specific=0.2, outcome=outcome)[0] for d in range(8)
    ]
    found = [np.isfinite(fit_ridge(data, 1, True).fit["penalty_interactions"]) for data in absent]
    assert sum(found) <= 3


@pytest.mark.statistical
@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_curves_help_new_people_where_the_truth_bends_and_cost_nothing_where_it_is_straight(
    outcome, monkeypatch
):
    """Regret of everybody's best petition among new people, in true utility."""
    design = factorial((5, 5, 3))

    def regret(bend, draw):
        rng = np.random.default_rng(draw)
        data, _ = simulate(design, 500, 6, rng, specific=0.0, noise=0.0, baseline=0.0, common=0.0)
        z = rng.normal(size=(1000, 4))
        slopes = rng.normal(size=(4, 13)) * 0.15
        truth = rng.normal(size=13) * 0.25 + (bend(z) @ slopes)
        response = utility_of(truth[:500][data.respondent], data.levels, design)
        response = response + rng.normal(size=len(response))
        if outcome == "choice":
            first = response[::2] > response[1::2]
            response = np.column_stack([first, ~first]).ravel().astype(float)
        people = data.respondents.copy()
        people[[f"z{j}" for j in range(4)]] = z[:500]
        new = people.copy()
        new[[f"z{j}" for j in range(4)]] = z[500:]
        fitted = fit_ridge(
            replace(data, response=RESPONSES[outcome], outcome=response, respondents=people), 1
        )
        known = part_worths(truth[500:], design)
        lost = known.utility_of(best_petitions(known)) - known.utility_of(
            best_petitions(fitted.utilities(new))
        )
        return lost.mean()

    def mean_regrets():
        worlds = (lambda z: z), (lambda z: (z**2 - 1) / np.sqrt(2))
        return np.array([[regret(bend, draw) for draw in range(5)] for bend in worlds]).mean(axis=1)

    straight, bent = mean_regrets()
    monkeypatch.setattr("nanotarget.petitions.encoding.KNOTS", {})
    straight_lines, bent_lines = mean_regrets()
    assert bent < 0.5 * bent_lines
    assert straight < 1.1 * straight_lines
