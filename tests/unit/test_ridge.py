"""The ridge learner against direct computation, under invariances and on known truth."""

import numpy as np
import pandas as pd
import pytest
import scipy.optimize

from nanotarget.config import CovariateConfig
from nanotarget.encoding import CovariateEncoder, contrasts, indicators
from nanotarget.learners import AdditiveModel, TrainingData, fit_null
from nanotarget.learners.base import centre_utilities
from nanotarget.learners.crossfit import compare_losses, crossfit, held_out_losses
from nanotarget.learners.ridge import (
    choose_penalties,
    fit_ridge,
    joint_moments,
    paired_differences,
    rating_moments,
    solve,
)
from nanotarget.policy import nano
from nanotarget.problems import InputError
from nanotarget.seeds import child_rng
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


def test_joint_moments_equal_those_of_the_long_matrix():
    data, _ = simulate(DESIGN, 25, 3, np.random.default_rng(0), specific=0.3)
    features = np.random.default_rng(1).normal(size=(25, 2))
    weight = np.random.default_rng(2).uniform(0.5, 2, size=25)
    matrix = long_matrix(data, features)
    y = data.outcome - pd.Series(data.outcome).groupby(data.respondent).transform("mean").to_numpy()
    w = weight[data.respondent][:, None]
    gram, cross = joint_moments(rating_moments(data), features, weight)
    assert np.allclose(gram, (matrix * w).T @ matrix)
    assert np.allclose(cross, (matrix * w).T @ y)


def test_solution_is_the_penalised_least_squares_of_a_general_optimiser():
    data, _ = simulate(DESIGN, 25, 3, np.random.default_rng(3), specific=0.3)
    features = np.random.default_rng(4).normal(size=(25, 2))
    matrix = long_matrix(data, features)
    y = data.outcome - pd.Series(data.outcome).groupby(data.respondent).transform("mean").to_numpy()
    total = indicators(data.levels, DESIGN).shape[1]
    penalty = np.sqrt(np.repeat([2.0, 7.0, 7.0], total))
    expected = np.linalg.lstsq(np.vstack([matrix, np.diag(penalty)]), np.append(y, np.zeros(len(penalty))))[0]
    solution = solve(*joint_moments(rating_moments(data), features, np.ones(25)), total, 2.0, 7.0)
    assert np.allclose(solution, expected, atol=1e-10)


def test_cross_validation_without_refits_picks_the_penalty_of_a_plain_loop():
    data, _ = simulate(DESIGN, 40, 3, np.random.default_rng(5), specific=0.6)
    encoder = CovariateEncoder.fit(data.respondents, data.covariates)
    features = encoder.encode(data.respondents)
    chosen = choose_penalties(rating_moments(data), features, np.ones(40), child_rng(1, "x"))

    matrix = long_matrix(data, features)
    y = data.outcome - pd.Series(data.outcome).groupby(data.respondent).transform("mean").to_numpy()
    fold = child_rng(1, "x").permutation(np.arange(40) % 5)[data.respondent]
    total = sum(DESIGN.shape)
    size = np.diag(matrix.T @ matrix)

    def loss(specific):
        penalty = np.repeat([chosen[0]] + [specific] * features.shape[1], total)
        out = 0.0
        for f in range(5):
            x, v = matrix[fold != f], y[fold != f]
            if np.isinf(specific):
                b = np.zeros(len(penalty))
                b[:total] = np.linalg.solve(
                    x[:, :total].T @ x[:, :total] + chosen[0] * np.eye(total), x[:, :total].T @ v
                )
            else:
                b = np.linalg.solve(x.T @ x + np.diag(penalty), x.T @ v)
            out += np.sum((y[fold == f] - matrix[fold == f] @ b) ** 2)
        return out

    grid = np.append(10.0 ** np.arange(-1.0, 2.1, 0.25) * size[total:].mean(), np.inf)
    assert chosen[1] == pytest.approx(grid[int(np.argmin([loss(s) for s in grid]))])


def test_choice_fit_minimises_the_penalised_likelihood():
    data, _ = simulate(DESIGN, 60, 4, np.random.default_rng(6), specific=0.8, outcome="choice")
    model = fit_ridge(data, 1)
    difference, chosen, respondent = paired_differences(data)
    z = np.column_stack([np.ones(60), model.encoder.encode(data.respondents)])
    assert np.isfinite(model.fit["penalty_specific"])
    penalty = np.repeat(
        [model.fit["penalty_common"]] + [model.fit["penalty_specific"]] * (z.shape[1] - 1), 10
    )

    def objective(b):
        eta = np.einsum("ij,ij->i", difference, (z @ b.reshape(z.shape[1], 10))[respondent])
        loss = np.logaddexp(0, -(2 * chosen - 1) * eta).sum() + penalty @ b**2 / 2
        slope = -(2 * chosen - 1) / (1 + np.exp((2 * chosen - 1) * eta))
        gradient = (z[respondent][:, :, None] * (difference * slope[:, None])[:, None, :]).sum(axis=0).ravel()
        return loss, gradient + penalty * b

    best = scipy.optimize.minimize(
        objective,
        np.zeros(len(penalty)),
        jac=True,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 2000},
    )
    parts = centre_utilities(best.x.reshape(-1, 10), DESIGN)
    assert np.abs(model.coefficients - parts).max() < 1e-4


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_utilities_follow_permuted_rows_and_relabelled_levels(outcome):
    data, _ = simulate(DESIGN, 80, 4, np.random.default_rng(7), specific=0.8, outcome=outcome)
    base = fit_ridge(data, 3).utilities(data.respondents).cells

    relabel = [np.random.default_rng(8).permutation(size) for size in DESIGN.shape]
    levels = np.column_stack([relabel[a][data.levels[:, a]] for a in range(3)])
    renamed = TrainingData(
        DESIGN, outcome, levels, data.outcome, data.respondent, data.task, data.respondents, data.covariates
    )
    moved = fit_ridge(renamed, 3).utilities(data.respondents).cells
    offset = np.concatenate([[0], np.cumsum(DESIGN.shape)])
    for a in range(3):
        block = slice(offset[a], offset[a + 1])
        assert np.allclose(base[:, block], moved[:, block][:, relabel[a]], atol=1e-7)

    shuffled = TrainingData(
        DESIGN,
        outcome,
        data.levels,
        data.outcome,
        data.respondent,
        data.task,
        data.respondents,
        data.covariates[::-1],
    )
    assert np.allclose(base, fit_ridge(shuffled, 3).utilities(data.respondents).cells, atol=1e-7)


def test_a_constant_added_to_ratings_changes_only_the_intercept():
    data, _ = simulate(DESIGN, 50, 3, np.random.default_rng(9), specific=0.6)
    moved = TrainingData(
        DESIGN,
        "rating",
        data.levels,
        data.outcome + 5,
        data.respondent,
        data.task,
        data.respondents,
        data.covariates,
    )
    a, b = fit_ridge(data, 1), fit_ridge(moved, 1)
    assert np.allclose(a.coefficients, b.coefficients)
    assert b.intercept == pytest.approx(a.intercept + 5)


def test_weights_act_like_copies():
    """Fixed penalties: a respondent of weight 2 counts like two respondents."""
    data, _ = simulate(DESIGN, 20, 3, np.random.default_rng(10), specific=0.6)
    features = np.random.default_rng(11).normal(size=(20, 2))
    moments = rating_moments(data)
    weight = np.where(np.arange(20) < 5, 2.0, 1.0)
    copies = np.append(np.arange(20), np.arange(5))
    doubled = type(moments)(moments.gram[copies], moments.cross[copies], moments.square[copies])
    a = joint_moments(moments, features, weight)
    b = joint_moments(doubled, features[copies], np.ones(25))
    assert np.allclose(a[0], b[0])
    assert np.allclose(a[1], b[1])


def test_model_survives_being_frozen():
    data, _ = simulate(DESIGN, 50, 3, np.random.default_rng(12), specific=0.8)
    model = fit_ridge(data, 1)
    again = AdditiveModel.from_data(model.settings(), model.arrays(), DESIGN)
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
        CovariateConfig("age", "numeric"),
        CovariateConfig("party", "categorical", levels=["A", "B", "C"]),
        CovariateConfig("hidden", "numeric", target=False),
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
        DESIGN, "rating", data.levels, outcome, data.respondent, data.task, data.respondents, data.covariates
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
    for fitted, low, high in ((better, 4, np.inf), (same, -np.inf, 2)):
        losses, null = held_out_losses(fitted), held_out_losses(cross(fitted.data, fit_null))
        assert low < compare_losses(losses, null, fitted.data.weight)["statistic"] < high
    divergent = (nano(same.utilities) != same.overall_best).any(axis=1)
    assert divergent.mean() < 0.2


def test_the_contrast_basis_gives_the_fit_of_all_indicators():
    """Ridge on all indicators and on orthonormal contrasts: the same predictions, one dimension less each."""
    data, _ = simulate(DESIGN, 40, 3, np.random.default_rng(18), specific=0.6)
    features = np.random.default_rng(19).normal(size=(40, 3))
    moments, basis = rating_moments(data), contrasts(DESIGN)
    assert np.allclose(basis.T @ basis, np.eye(7))
    everything = solve(*joint_moments(moments, features, np.ones(40)), 10, 2.0, 9.0).reshape(4, 10)
    reduced = solve(*joint_moments(moments.projected(basis), features, np.ones(40)), 7, 2.0, 9.0).reshape(
        4, 7
    )
    assert np.allclose(everything, reduced @ basis.T)


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
        TrainingData.from_tables(rows, data.respondents, DESIGN, "rating", data.covariates)


def test_a_training_fold_with_one_rating_each_teaches_nothing():
    """Whoever rated twice may all be in the fold that is left out; the fit must not fail."""
    data, _ = simulate(DESIGN, 6, 1, np.random.default_rng(19), specific=0.5)
    rows = np.arange(12) % 2 == 0
    one = TrainingData(
        DESIGN,
        "rating",
        data.levels[rows],
        data.outcome[rows],
        data.respondent[rows],
        data.task[rows],
        data.respondents,
        data.covariates,
    )
    assert (fit_ridge(one, 1).utilities(one.respondents).cells == 0).all()
