"""BART and boosting: the frozen model predicts what the library predicts, on the scale that all share."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import stochtree

from nanotarget.calibrate.learners import FITTERS, model_from_data
from nanotarget.calibrate.learners.bart import (
    Chain,
    combine,
    convergence,
    fit_bart,
    sample_chain,
    worst_convergence,
)
from nanotarget.calibrate.learners.boosting import (
    MAX_ROUNDS,
    PATIENCE,
    STEP,
    Bag,
    fit_boosting,
    grow_together,
)
from nanotarget.calibrate.learners.crossfit import crossfit, held_out_losses
from nanotarget.calibrate.learners.ridge import fit_null, fit_ridge
from nanotarget.calibrate.learners.trees import tree_rows
from nanotarget.petitions.score import best_petitions, landscape
from nanotarget.petitions.utilities import part_worths
from nanotarget.study.config import BartConfig, BoostingConfig, CalibrateConfig
from nanotarget.study.problems import InputError
from nanotarget.study.response import Choice
from worlds import factorial, simulate

REFERENCE = factorial((5, 5, 5, 5, 5, 3, 3))
SMALL = BartConfig(trees=20, draws=60, burn_in=40, chains=2)


def grid_of(design):
    return design.petition_levels(np.arange(np.prod(design.shape)))


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_a_chain_predicts_what_stochtree_predicts_for_every_petition(outcome, monkeypatch):
    made = []

    class Kept(stochtree.BARTModel):
        def __init__(self):
            super().__init__()
            made.append(self)

    monkeypatch.setattr(stochtree, "BARTModel", Kept)
    data, _ = simulate(REFERENCE, 80, 6, np.random.default_rng(0), specific=0.8, outcome=outcome)
    chain = sample_chain(data, SMALL, 1, "chain 1")
    model = combine(data, [chain], 1)
    people = data.respondents.iloc[:2]
    grid, rows = grid_of(REFERENCE), tree_rows(data)
    features = model.encoder.encode(people)
    ours = landscape(model.utilities(people))
    best = REFERENCE.petition_ids(best_petitions(model.utilities(people)))
    for i in range(2):
        matrix = rows.inputs.matrix(np.repeat(features[[i]], len(grid), axis=0), grid)
        native = made[0].predict(matrix, terms="y_hat", scale="linear").mean(axis=1)
        factor = 1.0
        if outcome == "choice":
            slope = np.cov(ours[i], native)
            factor = slope[0, 1] / slope[1, 1]
            assert factor > 1.5  # from a probit of one profile to log-odds of a pair
        assert np.abs(ours[i] - factor * native).max() < 1e-10
        assert best[i] == native.argmax()


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_boosting_predicts_what_lightgbm_predicts_for_every_petition(outcome, monkeypatch):
    made = []

    class Kept(Bag):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self.booster)

    monkeypatch.setattr("nanotarget.calibrate.learners.boosting.Bag", Kept)
    monkeypatch.setattr("nanotarget.calibrate.learners.boosting.MAX_ROUNDS", 40)
    data, _ = simulate(REFERENCE, 80, 6, np.random.default_rng(1), specific=0.8, outcome=outcome)
    model = fit_boosting(data, 1, BoostingConfig(bags=3))
    person = data.respondents.iloc[[3]]
    grid, rows = grid_of(REFERENCE), tree_rows(data)
    matrix = rows.inputs.matrix(np.repeat(model.encoder.encode(person), len(grid), axis=0), grid)
    own = {"num_iteration": model.fit["rounds"], "raw_score": True}
    native = np.mean([booster.predict(matrix, **own) for booster in made], axis=0)
    ours = landscape(model.utilities(person))[0]
    assert np.abs(ours - native).max() < 1e-10
    assert native[REFERENCE.petition_ids(best_petitions(model.utilities(person)))[0]] == native.max()


@pytest.mark.parametrize("name", ["bart", "boosting"])
@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_fits_repeat_and_survive_being_frozen(name, outcome, monkeypatch):
    monkeypatch.setattr("nanotarget.calibrate.learners.boosting.MAX_ROUNDS", 30)
    design = factorial((4, 3, 3), [{"a0": ["l0"], "a1": ["l1"]}])
    data, _ = simulate(design, 60, 4, np.random.default_rng(2), specific=0.8, outcome=outcome)
    settings = CalibrateConfig(bart=SMALL, boosting=BoostingConfig(bags=4))
    model, again = (FITTERS[name](data, 5, settings) for _ in range(2))
    people = data.respondents
    assert np.array_equal(model.utilities(people).level_means(), again.utilities(people).level_means())
    frozen = model_from_data(model.settings(), model.arrays(), design)
    assert np.array_equal(landscape(frozen.utilities(people)), landscape(model.utilities(people)))
    drawn = list(frozen.draws_of_level_means(people))
    assert len(drawn) == frozen.n_draws
    assert np.allclose(np.mean(drawn, axis=0), model.utilities(people).level_means(), atol=1e-4)
    one = next(iter(frozen.drawn_utilities(people, np.array([1]))))
    petition = np.array([[1, 0, 2]])
    values = list(frozen.draws_of_petitions(people, petition))
    assert np.allclose(one.utilities_of_all(petition), values[1], atol=1e-4)


def test_chains_run_apart_are_chains_run_together():
    data, _ = simulate(factorial((4, 3, 3)), 60, 4, np.random.default_rng(3), specific=0.8)
    together = fit_bart(data, 9, SMALL)
    chains = [sample_chain(data, SMALL, 9, f"chain {c}") for c in (1, 2)]
    stored = [Chain.from_arrays(chain.to_arrays()) for chain in chains]
    apart = combine(data, stored, 9)
    people = data.respondents
    assert np.array_equal(together.utilities(people).level_means(), apart.utilities(people).level_means())
    assert together.n_draws == 60
    parts = [combine(data, [chain], 9).utilities(people).level_means() for chain in chains]
    assert np.allclose(np.mean(parts, axis=0), together.utilities(people).level_means())
    assert not np.allclose(*parts)


def test_ratings_are_compared_within_a_respondent():
    """A constant of a respondent changes nothing, and a lone rating teaches nothing."""
    data, _ = simulate(factorial((4, 3, 3)), 40, 3, np.random.default_rng(4), specific=0.5)
    moved = type(data)(**{**vars(data), "outcome": data.outcome + np.arange(40)[data.respondent]})
    assert np.allclose(tree_rows(data).outcome, tree_rows(moved).outcome)
    for i in (0, 17):
        own = data.outcome[data.respondent == i]
        others = [np.delete(own, k).mean() for k in range(len(own))]
        assert np.allclose(tree_rows(data).outcome[data.respondent == i], own - others)
    few = data.subset((data.respondent > 0) | (np.arange(len(data.outcome)) == 0))
    assert tree_rows(few).respondent.min() == 1


def logit_choices(design, n, tasks, scale, seed):
    rng = np.random.default_rng(seed)
    data, truth = simulate(design, n, tasks, rng, common=scale, specific=scale, features=2)
    eta = part_worths(truth, design).utility_of_rows(data.levels, data.respondent)
    first = rng.random(len(eta) // 2) < 1 / (1 + np.exp(eta[1::2] - eta[::2]))
    outcome = np.column_stack([first, ~first]).ravel().astype(float)
    return type(data)(**{**vars(data), "outcome": outcome, "response": Choice}), truth


@pytest.mark.statistical
@pytest.mark.parametrize("name", ["ridge", "hierarchical", "stagewise", "boosting", "bart"])
def test_choices_are_predicted_on_the_scale_of_log_odds(name, monkeypatch):
    """Known log-odds: the slope of the truth on the prediction is 1, and people are told apart."""
    monkeypatch.setattr("nanotarget.calibrate.learners.boosting.MAX_ROUNDS", 150)
    design = factorial((4, 3, 3))
    data, truth = logit_choices(design, 500, 6, 0.6, 5)
    settings = CalibrateConfig(bart=BartConfig(draws=150, chains=1), boosting=BoostingConfig(bags=5))
    model = FITTERS[name](data, 1, settings)
    predicted = model.utilities(data.respondents).level_means()
    target = part_worths(truth, design).level_means()
    assert np.sum(predicted * target) / np.sum(predicted**2) == pytest.approx(1, abs=0.15)
    specific = [values - values.mean(axis=0) for values in (predicted, target)]
    assert np.corrcoef(specific[0].ravel(), specific[1].ravel())[0, 1] > 0.6


@pytest.mark.statistical
def test_bart_finds_interactions_that_ridge_without_them_cannot_and_invents_little():
    design = factorial((4, 3, 3))
    rng = np.random.default_rng(6)
    data, _ = simulate(design, 250, 6, rng, common=0.2, baseline=2.0)
    pair = np.array([[1, -1, 0], [-1, 1, 0], [0, 0, 0], [0, 0, 0]]) * 0.8
    crossed = type(data)(
        **{**vars(data), "outcome": data.outcome + pair[data.levels[:, 0], data.levels[:, 1]]}
    )
    settings = BartConfig(draws=100, chains=1)

    def loss(which, fit):
        return held_out_losses(crossfit(which, lambda train, part: fit(train), 2, 1)).mean()

    assert (
        loss(crossed, lambda train: fit_bart(train, 1, settings))
        < loss(crossed, lambda train: fit_ridge(train, 1)) - 0.05
    )
    null = loss(data, lambda train: fit_null(train, 1))
    assert loss(data, lambda train: fit_bart(train, 1, settings)) < null * 1.03


def test_convergence_tells_chains_that_agree_from_chains_that_do_not():
    rng = np.random.default_rng(7)
    good = [rng.normal(size=400) for _ in range(2)]
    found = convergence(good)
    assert found["rhat"] == pytest.approx(1, abs=0.01)
    assert 500 < found["ess"] < 1100
    assert worst_convergence([good, good])[1] == ""
    bad, warning = worst_convergence([good, [good[0], good[1] + 3]])
    assert bad["rhat"] > 1.5 and "have not converged" in warning
    assert worst_convergence([[np.ones(400)] * 2])[1]
    assert convergence(good[:1])["rhat"] == pytest.approx(1, abs=0.02)
    assert convergence([np.append(good[0], good[1] + 3)])["rhat"] > 1.5


@pytest.mark.statistical
def test_boosting_goes_on_until_smooth_differences_are_learned():
    """Slopes on six covariates take hundreds of small trees; stopped early, predictions are far too flat."""
    design = factorial((5, 4, 3, 3))
    data, truth = simulate(design, 400, 6, np.random.default_rng(9), specific=0.6, features=6)
    model = fit_boosting(data, 1, BoostingConfig(bags=4))
    assert model.fit["rounds"] < MAX_ROUNDS
    predicted, target = (
        u.level_means() for u in (model.utilities(data.respondents), part_worths(truth, design))
    )
    predicted, target = predicted - predicted.mean(axis=0), target - target.mean(axis=0)
    assert np.sum(predicted * target) / np.sum(predicted**2) == pytest.approx(1, abs=0.25)


def test_boosting_without_lightgbm_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    data, _ = simulate(factorial((3, 2)), 20, 3, np.random.default_rng(8))
    with pytest.raises(InputError, match="not installed"):
        fit_boosting(data, 1, BoostingConfig())


def bags_of(data, number, seed=1):
    """Return training rows and bags of them."""
    rows, rng = tree_rows(data), np.random.default_rng(seed)
    return rows, [Bag(rows, rng) for _ in range(number)]


def test_a_bag_sees_only_whom_it_has_drawn_and_leaves_somebody_out():
    """Those outside get answers of nonsense: no tree can have been grown from them."""
    data, _ = simulate(factorial((4, 3)), 30, 4, np.random.default_rng(10), specific=0.5)
    rows, (bag,) = bags_of(data, 1)
    spoiled = replace(rows, outcome=np.where(bag.outside, 1e6, rows.outcome))
    other = Bag(spoiled, np.random.default_rng(1))
    for own in (bag, other):
        own.grow(5)
    assert bag.booster.model_to_string() == other.booster.model_to_string()
    assert np.array_equal(bag.predicted(), bag.booster.predict(rows.matrix[bag.outside], raw_score=True))
    few = data.subset(data.respondent < 2)
    for seed in range(20):
        outside = bags_of(few, 1, seed)[1][0].outside
        assert outside.any() and not outside.all()


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_rounds_are_best_for_the_mean_of_the_bags_that_have_not_seen_a_respondent(outcome):
    """The loss is computed again from the boosters."""
    data, _ = simulate(factorial((4, 3)), 60, 4, np.random.default_rng(11), specific=0.5, outcome=outcome)
    rows, bags = bags_of(data, 3)
    rounds = grow_together(bags, rows)
    outside = np.array([bag.outside for bag in bags])
    losses = []
    for k in range(STEP, bags[0].booster.num_trees() + 1, STEP):
        each = [bag.booster.predict(rows.matrix, raw_score=True, num_iteration=k) for bag in bags]
        mean = (each * outside).sum(axis=0) / np.maximum(outside.sum(axis=0), 1)
        seen = outside.any(axis=0)[data.response.losses_of]
        losses.append(data.response.losses(rows.outcome, mean)[seen].mean())
    assert rounds == STEP * (1 + int(np.argmin(losses)))
    assert len(losses) * STEP == rounds + PATIENCE
