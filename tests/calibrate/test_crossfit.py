"""Cross-fitting: folds, units, and honest values where folds hold tasks of a panel."""

import numpy as np
import pytest

from nanotarget.calibrate.learners.base import NotConverged, mean_and_error
from nanotarget.calibrate.learners.crossfit import (
    Crossfit,
    assign_folds,
    crossfit,
    held_out_losses,
    part_of,
    permute_answers,
    permute_covariates,
)
from nanotarget.calibrate.learners.hierarchical import _no_convergence, fit_hierarchical
from nanotarget.calibrate.learners.ridge import fit_null, fit_ridge
from nanotarget.calibrate.learners.selection import choose, compare
from nanotarget.diagnose.value import policy_scores, policy_weights
from nanotarget.petitions.policy import nano
from nanotarget.petitions.score import best_petitions
from nanotarget.petitions.utilities import average
from nanotarget.study.config import LearningConfig
from worlds import factorial, simulate, utility_of

DESIGN = factorial((4, 3, 3))


def panel(data, seed=1):
    return crossfit(data, lambda train, part: fit_hierarchical(train, seed, True), 3, seed, own_answers=True)


def test_folds_hold_whole_respondents_or_whole_tasks_and_are_balanced():
    data, _ = simulate(DESIGN, 31, 4, np.random.default_rng(0))
    fold = assign_folds(data, 5, 1)
    assert all(len(np.unique(fold[data.respondent == i])) == 1 for i in range(31))
    assert np.ptp(np.bincount(fold[::8])) <= 1

    fold = assign_folds(data, 3, 1, own_answers=True)
    pairs = fold.reshape(31, 4, 2)
    assert (pairs[:, :, 0] == pairs[:, :, 1]).all()
    for person in pairs[:, :, 0]:
        assert np.ptp(np.bincount(person, minlength=3)) <= 1
    assert np.ptp(np.bincount(pairs[:, :, 0].ravel())) <= 1
    assert not np.array_equal(fold, assign_folds(data, 3, 2, own_answers=True))


def test_named_parts_are_what_cross_fitting_trains_on():
    data, _ = simulate(DESIGN, 20, 3, np.random.default_rng(1))
    seen = []
    fitted = crossfit(data, lambda train, part: seen.append((part, train)) or fit_ridge(train, 1), 4, 7)
    for part, train in seen:
        again, held_out = part_of(data, part, 4, 7)
        assert np.array_equal(again.outcome, train.outcome)
        assert len(held_out.outcome) + len(train.outcome) == len(data.outcome)
    assert [part for part, _ in seen] == ["fold_1", "fold_2", "fold_3", "fold_4"]
    assert len(fitted.models) == 4
    whole, nothing = part_of(data, "whole", 4, 7)
    assert whole is data and nothing is None


def test_dealt_covariates_belong_to_others_and_nothing_else_moves():
    data, _ = simulate(DESIGN, 50, 2, np.random.default_rng(2))
    permuted = permute_covariates(data, 1, 3)
    assert np.array_equal(permuted.outcome, data.outcome)
    assert permuted.respondents["respondent_id"].equals(data.respondents["respondent_id"])
    before, after = (d.respondents[["z0", "z1"]].to_numpy() for d in (data, permuted))
    assert sorted(map(tuple, before)) == sorted(map(tuple, after))
    assert (before != after).any(axis=1).mean() > 0.8
    assert not permuted.respondents["z0"].equals(permute_covariates(data, 2, 3).respondents["z0"])


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_dealt_answers_keep_what_all_like_and_nothing_of_who_likes_it(outcome):
    design = factorial((5, 4, 3))
    rng = np.random.default_rng(9)
    data, truth = simulate(design, 300, 8, rng, common=0.6, idiosyncratic=0.8, outcome=outcome)
    permuted = permute_answers(data, 1, 3)
    observed, null = (fit_hierarchical(d, 1, own_answers=True) for d in (data, permuted))
    spread = [
        np.std(m.utilities(data.respondents).cells - m.coefficients[0], axis=0).mean()
        for m in (observed, null)
    ]
    assert spread[1] < 0.2 * spread[0]
    common = [fit_null(d, 1).coefficients[0] for d in (data, permuted)]
    assert np.corrcoef(*common)[0, 1] > 0.9
    assert np.corrcoef(common[1], truth.mean(axis=0))[0, 1] > 0.9


def test_units_see_their_own_model_and_overall_best_is_learned_without_them():
    data, _ = simulate(DESIGN, 30, 3, np.random.default_rng(3), specific=0.5)
    fitted = panel(data)
    assert len(fitted.respondent) == 90
    for u in (0, 17, 89):
        model = fitted.models[fitted.unit_fold[u]]
        person = data.respondents.iloc[[fitted.respondent[u]]]
        assert np.allclose(fitted.utilities.level_means()[u], model.utilities(person).level_means()[0])
        train = data.subset(fitted.fold != fitted.unit_fold[u])
        mean = average(model.utilities(train.respondents), train.weight)
        assert (fitted.overall_best[u] == best_petitions(mean)[0]).all()
    rows = fitted.to_table()
    assert rows["profile"].tolist() == [1, 2] * 90
    eta = utility_of(fitted.utilities.level_means()[fitted.unit], data.levels, DESIGN)
    assert np.allclose(rows["utility"], eta)


def test_some_of_very_many_that_a_fold_learns_from_are_spread_over_them():
    data, _ = simulate(DESIGN, 60, 4, np.random.default_rng(3))
    fitted = crossfit(data, lambda train, part: fit_ridge(train, 1), 3, 1)
    for (every, weight), (some, own) in zip(fitted.training(), fitted.training(10), strict=True):
        assert (every.n, len(weight), some.n, len(own)) == (40, 40, 10, 10)
        rows = np.linspace(0, 39, 10).astype(int)
        shown = np.zeros((10, 3), dtype=int)
        np.testing.assert_allclose(some.utility_of(shown), every.utility_of(np.zeros((40, 3), int))[rows])
    assert [utilities.n for utilities, _ in fitted.training(40)] == [40, 40, 40]


def test_no_answer_shapes_the_model_that_is_scored_on_it():
    """A panel: changing a task wildly does not move the utilities of the unit that holds this task."""
    data, _ = simulate(DESIGN, 30, 3, np.random.default_rng(4), idiosyncratic=0.5)
    base = panel(data)
    row = 8  # second respondent, second task
    outcome = data.outcome.copy()
    outcome[row : row + 2] += [30, -30]
    moved = panel(type(data)(**{**vars(data), "outcome": outcome}))
    before, after = base.utilities.level_means(), moved.utilities.level_means()
    assert np.allclose(before[base.unit[row]], after[base.unit[row]], atol=1e-9)
    others = (base.respondent == 1) & (np.arange(len(before)) != base.unit[row])
    assert not np.allclose(before[others], after[others], atol=1e-2)


def test_scores_of_a_panel_equal_a_plain_loop():
    data, _ = simulate(DESIGN, 12, 3, np.random.default_rng(5), idiosyncratic=0.5)
    fitted = panel(data)
    petitions = nano(fitted.utilities)
    scores = policy_scores(fitted, petitions, 1)
    part = fitted.utilities.level_means()
    expected = []
    for i in range(12):
        own = np.flatnonzero(data.respondent == i)
        terms = []
        for r in own:
            u = fitted.unit[r]
            model = utility_of(np.repeat(part[[u]], len(own), axis=0), data.levels[own], DESIGN)
            residual = data.outcome[own] - fitted.intercept[u] - model
            baseline = residual[data.task[own] != data.task[r]].mean()
            weight = policy_weights(data.levels[[r]], petitions[[u]], DESIGN, 1)[0]
            promise = fitted.intercept[u] + utility_of(part[[u]], petitions[[u]], DESIGN)[0]
            terms.append(promise + baseline + weight * (residual[own == r][0] - baseline))
        expected.append(np.mean(terms))
    assert scores.value == pytest.approx(expected)


@pytest.mark.statistical
def test_value_of_a_rule_from_own_answers_is_unbiased():
    """Rule and truth differ from fold to fold; the z-scores of 40 panels are standard normal."""
    z = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        data, truth = simulate(DESIGN, 100, 6, rng, common=0.1, idiosyncratic=0.5)
        fitted = panel(data, seed)
        petitions, best = nano(fitted.utilities), fitted.overall_best
        gains = [policy_scores(fitted, p, 1).value for p in (petitions, best)]
        estimate, error = mean_and_error(gains[0] - gains[1], data.weight)
        mine = truth[fitted.respondent]
        unit_gain = utility_of(mine, petitions, DESIGN) - utility_of(mine, best, DESIGN)
        z.append((estimate - fitted.respondent_means(unit_gain).mean()) / error)
    assert abs(np.mean(z)) < 3 / np.sqrt(40)
    assert 0.75 < np.std(z) < 1.3


@pytest.mark.statistical
def test_own_answers_find_what_covariates_cannot():
    data, _ = simulate(factorial((5, 5, 3)), 400, 8, np.random.default_rng(6), common=0.1, idiosyncratic=0.6)
    own = panel(data)
    gain = policy_scores(own, nano(own.utilities), 1).value - policy_scores(own, own.overall_best, 1).value
    estimate, error = mean_and_error(gain, data.weight)
    assert estimate > 3 * error
    blind = crossfit(data, lambda train, part: fit_hierarchical(train, 1), 3, 1)
    assert held_out_losses(own).mean() < held_out_losses(blind).mean()


def test_the_simplest_learner_within_one_error_of_the_best_is_chosen():
    rng = np.random.default_rng(7)
    base = rng.normal(size=400) + 5
    weight = np.ones(400)
    noise = rng.normal(size=400)
    alike = {"simple": base + 0.01 * (noise - noise.mean()) + 1e-5, "rich": base}
    name, reason = choose(alike, weight)
    assert name == "simple" and "within one standard error" in reason
    name, reason = choose({"simple": base + 0.2, "rich": base}, weight)
    assert name == "rich" and "lowest" in reason
    assert choose({"simple": base, "rich": base + 0.2}, weight)[0] == "simple"


def test_a_learner_that_has_not_converged_is_passed_over_or_carries_its_warning():
    data, _ = simulate(DESIGN, 60, 4, np.random.default_rng(9), specific=0.5)

    def fit(name, train, part):
        if name == "hierarchical":
            raise _no_convergence()
        return fit_ridge(train, 1) if name == "bart" else fit_null(train, 1)

    warning = {"bart": "the chains have not converged"}
    some = LearningConfig(learner="auto", candidates=["bart", "hierarchical", "ridge"], folds=2)
    compared = compare(data, fit, some, 1, warning)
    rows = {row["learner"]: row for row in compared.rows}
    assert list(rows) == ["ridge", "hierarchical", "bart"]  # the simplest first, whatever their order
    assert rows["bart"]["loss"] < rows["ridge"]["loss"] and compared.chosen == "ridge"
    assert "passed over because it has not converged: bart, hierarchical" in rows["ridge"]["reason"]
    assert "did not converge" in rows["hierarchical"]["warning"] and "loss" not in rows["hierarchical"]
    named = compare(data, fit, LearningConfig(learner="bart", folds=2), 1, warning)
    assert named.chosen == "bart" and named.rows[0]["warning"] == warning["bart"]
    with pytest.raises(NotConverged):
        compare(data, fit, LearningConfig(learner="hierarchical", folds=2), 1, {})


def test_a_crossfit_is_rebuilt_from_its_models(tmp_path):
    from nanotarget.calibrate.learners import models_from_data
    from nanotarget.study import artefacts

    data, _ = simulate(DESIGN, 25, 3, np.random.default_rng(8), specific=0.5)
    fitted = panel(data)
    arrays = {f"{k}/{name}": a for k, m in enumerate(fitted.models) for name, a in m.arrays().items()}
    artefacts.write_npz(arrays, tmp_path / "models.npz")
    artefacts.write_json([m.settings() for m in fitted.models], tmp_path / "models.json")
    models = models_from_data(
        artefacts.read_json(tmp_path / "models.json"), artefacts.read_npz(tmp_path / "models.npz"), DESIGN
    )
    again = Crossfit(data, fitted.fold, models)
    assert np.allclose(again.utilities.level_means(), fitted.utilities.level_means(), atol=1e-10)
    first = (tmp_path / "models.npz").read_bytes()
    artefacts.write_npz(dict(reversed(arrays.items())), tmp_path / "models.npz")
    assert (tmp_path / "models.npz").read_bytes() == first
