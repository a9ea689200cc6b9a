"""Choices among several petitions, or none: against other computations, enumeration and known truth."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import special
from statsmodels.discrete.conditional_models import ConditionalLogit

from menus import choose, with_level
from nanotarget.calibrate.imce import imce
from nanotarget.calibrate.learners import FITTERS, model_from_data
from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.calibrate.learners.crossfit import crossfit, held_out_losses, permute_answers
from nanotarget.calibrate.learners.ridge import Regression, _newton, fit_null, fit_ridge
from nanotarget.diagnose.permutation import choice_moments
from nanotarget.diagnose.predictability import person_specific
from nanotarget.diagnose.value import policy_scores
from nanotarget.petitions.policy import nano
from nanotarget.petitions.score import chosen_probability, predicted_response, win_probability
from nanotarget.petitions.utilities import Layout, Reversed, Tables, additive_layout, part_worths
from nanotarget.study.config import BartConfig, BoostingConfig, CalibrateConfig
from nanotarget.study.response import Choice, ChoiceAmong, _choice_among
from worlds import as_respondents, crossover, draw_part_worths, draw_people, factorial, none, simulate

DESIGN = factorial((4, 3, 3))
GRID = np.indices(DESIGN.shape).reshape(3, -1).T
PAIRS = _choice_among(2, False)  # the general formulas in the tasks of `Choice`
FORMS = [(3, None), (4, None), (2, 0.3), (3, 0.3)]


def survey(profiles, level, n=300, seed=3, world=crossover):
    rng = np.random.default_rng(seed)
    people, covariates = draw_people(n, rng)
    utilities = world(DESIGN, rng).utilities(people, rng)
    utilities = replace(utilities, cells=2 * utilities.cells)
    data = choose(utilities, people, covariates, 6, rng, profiles=profiles, none=level)
    return data, utilities


def unpenalised(data):
    """Fit the common part alone and return its coefficients with the (n_rows, r) contrasts shown."""
    layout = additive_layout(data.design)
    problem = Regression(data, np.zeros((data.n_respondents, 0)), np.zeros(0, dtype=bool), layout)
    shown = np.hstack([table[code] for table, code in zip(problem.contrasts, data.levels.T, strict=True)])
    return _newton(problem, np.zeros(shown.shape[1]), np.full(shown.shape[1], 1e-9))[0], shown


@pytest.mark.parametrize(("profiles", "level"), FORMS)
def test_part_worths_are_those_of_the_conditional_logit_of_statsmodels(profiles, level):
    data, _ = survey(profiles, level)
    found, shown = unpenalised(data)
    task = np.repeat(np.arange(len(shown) // profiles), profiles)
    chosen = np.bincount(task, data.outcome)[task] > 0
    model = ConditionalLogit(data.outcome[chosen], shown[chosen], groups=task[chosen])
    theirs = model.fit(disp=0, method="newton", skip_hessian=True)
    assert np.allclose(found, theirs.params, atol=1e-6)


def test_the_level_of_utility_maximises_the_likelihood_of_choosing_none():
    data, _ = survey(3, 0.3)
    eta = np.random.default_rng(1).normal(size=len(data.outcome))
    level = data.response.level_of_utility(data, eta)
    losses = [
        data.response.losses(data.outcome, eta + at).sum() for at in (level - 0.01, level, level + 0.01)
    ]
    assert losses[1] < min(losses[0], losses[2])
    assert fit_ridge(data, 1).utilities(data.respondents).means().std() < 1e-12
    without, _ = survey(3, None)
    assert without.response.level_of_utility(without, eta) == 0


def test_in_tasks_of_two_the_formulas_are_those_of_the_paired_logit():
    rng = np.random.default_rng(4)
    data, truth = simulate(DESIGN, 200, 6, rng, outcome="choice", specific=0.4)
    general = replace(data, response=PAIRS)
    eta, y = rng.normal(size=len(data.outcome)), data.outcome
    assert np.allclose(PAIRS.compare(eta, general), Choice.compare(eta, data))
    for mine, theirs in zip(PAIRS.working(y, eta[::2]), Choice.working(y, eta[::2]), strict=True):
        assert np.allclose(mine, theirs)
    assert np.allclose(PAIRS.expected(eta)[::2], Choice.expected(eta))
    assert np.allclose(PAIRS.losses(y, eta), Choice.losses(y, eta))
    assert np.allclose(PAIRS.gradient(y, eta, y + 1), Choice.gradient(y, eta, y + 1))
    assert np.allclose(PAIRS.residual(y, 0 * eta, eta), Choice.residual(y, 0 * eta, eta))
    assert PAIRS.variance_shown(y) == pytest.approx(Choice.variance_shown(y))
    means, spread = rng.normal(size=(5, 3)), rng.random((2, 5))
    arguments = means, *spread, np.zeros(5)
    assert np.allclose(PAIRS.mean_of_levels(*arguments), Choice.mean_of_levels(*arguments))
    fitted, pairs = fit_ridge(general, 1), fit_ridge(data, 1)
    assert np.allclose(fitted.coefficients, pairs.coefficients, atol=1e-7)
    petitions = nano(part_worths(truth, DESIGN))
    utilities = pairs.utilities(data.respondents)
    assert np.allclose(
        chosen_probability(utilities, petitions, PAIRS), win_probability(utilities, petitions), atol=1e-8
    )


@pytest.mark.parametrize(("profiles", "level"), [(3, None), (3, 0.7), (2, 0.7), (4, 0.7)])
def test_the_chance_to_be_chosen_is_the_mean_over_all_tasks(profiles, level):
    rng = np.random.default_rng(5)
    values, petitions = draw_part_worths(DESIGN, rng, 1.0, 8), DESIGN.draw(8, rng)
    utilities = with_level(part_worths(values, DESIGN), level or 0.0)
    size, every = np.exp(utilities.utilities_of_all(GRID)), np.exp(utilities.utility_of(petitions))
    rivals = np.full((8, 1), 0.0 if level is None else 1.0)
    for _ in range(profiles - 1):
        rivals = (rivals[:, :, None] + size[:, None, :]).reshape(8, -1)
    exact = (every[:, None] / (every[:, None] + rivals)).mean(axis=1)
    kind = Choice.of_tasks(profiles, level is not None)
    assert np.allclose(predicted_response(utilities, petitions, 0.0, kind), exact, atol=1e-8)
    opposite = predicted_response(Reversed(utilities), petitions, 0.0, kind.reversed())
    assert np.allclose(opposite, 1 - exact, atol=1e-8)


def test_attributes_that_hang_together_are_moved_to_a_lattice():
    """A component of 1,200 combinations against the mean over all of them; then opponents are drawn."""
    design = factorial((5, 5, 6, 8))
    rng = np.random.default_rng(6)
    layout = Layout(design, (*additive_layout(design).subsets, (0, 1), (1, 2), (2, 3)))
    utilities, petitions = Tables(layout, rng.normal(size=(5, layout.n_cells)) / 3), design.draw(5, rng)
    grid = np.indices(design.shape).reshape(4, -1).T
    rivals = np.exp(utilities.utilities_of_all(grid))
    own = np.exp(utilities.utility_of(petitions))
    exact = [(own[i] / (own[i] + rivals[i][:, None] + rivals[i])).mean() for i in range(5)]
    kind = Choice.of_tasks(3, False)
    assert np.allclose(chosen_probability(utilities, petitions, kind), exact, atol=1e-5)


@pytest.mark.parametrize(("profiles", "level"), FORMS)
def test_gradients_and_slopes_are_those_of_losses_and_chances(profiles, level):
    data, _ = survey(profiles, level, n=3)
    kind, y = data.response, data.outcome
    eta, step = np.random.default_rng(7).normal(size=len(y)), 1e-5
    units = step * np.eye(len(y))
    numeric = [kind.losses(y, eta + u).sum() - kind.losses(y, eta - u).sum() for u in units]
    assert np.allclose(kind.gradient(y, eta, np.ones(len(y)))[0], np.array(numeric) / (2 * step), atol=1e-6)
    own = [(kind.expected(eta + u) - kind.expected(eta - u))[i] for i, u in enumerate(units)]
    assert np.allclose(kind.slope(eta), np.array(own) / (2 * step), atol=1e-6)
    shares = kind.expected(eta).reshape(-1, profiles).sum(axis=1)
    assert np.allclose(shares, 1) if level is None else (shares < 1).all()


@pytest.mark.parametrize(("profiles", "level"), [(3, None), (3, 0.3)])
def test_the_order_of_profiles_in_a_task_changes_nothing(profiles, level):
    data, _ = survey(profiles, level, n=150)
    rng = np.random.default_rng(8)
    order = rng.permuted(np.arange(len(data.task)).reshape(-1, profiles), axis=1).ravel()
    turned = replace(data, levels=data.levels[order], outcome=data.outcome[order])
    one, other = (fit_ridge(part, 1) for part in (data, turned))
    assert np.allclose(one.coefficients, other.coefficients, atol=1e-8)
    assert np.allclose(choice_moments(data).gram, choice_moments(turned).gram)
    shown = nano(one.utilities(data.respondents))
    scores = [
        policy_scores(crossfit(part, lambda train, _: fit_ridge(train, 1), 2, 1), shown, 1).value
        for part in (data, turned)
    ]
    assert np.allclose(*scores, atol=1e-7)


def test_scores_of_not_being_chosen_are_the_opposite():
    data, _ = survey(3, 0.3, n=150)
    fitted = crossfit(data, lambda train, _: fit_ridge(train, 1), 2, 1)
    shown = DESIGN.draw(data.n_respondents, np.random.default_rng(1))
    support, dissuade = (policy_scores(fitted.for_goal(goal), shown, 1) for goal in ("support", "dissuade"))
    assert np.allclose(support.value, 1 - dissuade.value)
    assert np.allclose(support.plug_in, 1 - dissuade.plug_in)


@pytest.mark.parametrize("chosen", [0.0, 1.0])
def test_the_level_of_utility_is_finite_where_all_or_none_choose_none(chosen):
    data, _ = survey(3, 0.3, n=20)
    outcome = np.tile([chosen, 0, 0], len(data.task) // 3)
    level = data.response.level_of_utility(replace(data, outcome=outcome), np.zeros(len(outcome)))
    assert 3 < abs(level) < 10 and (level > 0) == (chosen > 0)


def test_renaming_levels_changes_nothing():
    data, _ = survey(3, 0.3, n=150)
    turned = replace(data, levels=np.column_stack([3 - data.levels[:, 0], data.levels[:, 1:]]))
    one, other = (fit_ridge(part, 1).coefficients for part in (data, turned))
    assert np.allclose(one[:, :4], other[:, 3::-1], atol=1e-7)
    assert np.allclose(one[:, 4:], other[:, 4:], atol=1e-7)


@pytest.mark.parametrize(
    ("learner", "profiles", "level"),
    [
        *(("ridge", 3, None), ("ridge", 3, 0.3), ("stagewise", 3, 0.3)),
        *(("boosting", 3, 0.3), ("bart", 3, 0.3)),
    ],
)
def test_learners_learn_it_and_are_stored_with_the_form_of_the_task(learner, profiles, level):
    data, truth = survey(profiles, level, n=200 if learner == "boosting" else 500)
    few = BartConfig(trees=30, draws=100, burn_in=100, chains=1)
    settings = CalibrateConfig(learner=learner, bart=few, boosting=BoostingConfig(bags=4))
    model = FITTERS[learner](data, 1, settings)
    thawed = model_from_data(model.settings(), model.arrays(), DESIGN)
    assert thawed.response is data.response is Choice.of_tasks(profiles, level is not None)
    utilities = thawed.utilities(data.respondents)
    shown = DESIGN.draw(data.n_respondents, np.random.default_rng(1))
    known = with_level(truth, level or 0)
    promised = predicted_response(utilities, shown, model.intercept, model.response)
    expected = predicted_response(known, shown, 0.0, data.response)
    assert abs(promised.mean() - expected.mean()) < 0.03
    assert np.corrcoef(promised, expected)[0, 1] > 0.7
    assert 0.75 < np.polyfit(promised, expected, 1)[0] < 1.35


def test_held_out_losses_and_null_draws():
    data, _ = survey(3, 0.3, n=400)
    own = crossfit(data, lambda train, part: fit_ridge(train, 1), 4, 1)
    null = crossfit(data, lambda train, part: fit_null(train, 1), 4, 1)
    assert held_out_losses(own).mean() < held_out_losses(null).mean() < np.log(4)
    redrawn = permute_answers(data, 1, 1)
    by_task = redrawn.outcome.reshape(-1, 3)
    assert set(by_task.sum(axis=1)) == {0.0, 1.0}
    share = data.outcome.reshape(-1, 3).sum(axis=1).mean()
    assert abs(by_task.sum(axis=1).mean() - share) < 4 * np.sqrt(share * (1 - share) / len(by_task))


def test_what_is_person_specific_is_without_the_respondents_level():
    data, _ = survey(3, 0.3, n=20)
    eta, common = np.random.default_rng(2).normal(size=(2, len(data.outcome)))
    own = person_specific(eta, common, data)
    assert np.allclose(data.respondent_means(own), 0)
    chances = [
        special.softmax(np.pad(v.reshape(-1, 3), ((0, 0), (0, 1))), axis=1)[:, :3] for v in (eta, common)
    ]
    raw = (chances[0] - chances[1]).ravel()
    assert np.allclose(own, raw - data.respondent_means(raw)[data.respondent])


def test_individual_effects_are_near_those_of_enumeration():
    """The sum of rivals is taken as log-normal: within a tenth of the largest effect."""
    data, _ = survey(3, 0.5, n=300)
    model = fit_ridge(data, 1)
    people = data.respondents.head(10)
    effects = imce(model, people, 0.9, 1)
    utilities = model.utilities(people)
    chance = np.column_stack(
        [predicted_response(utilities, np.tile(row, (10, 1)), 0.0, model.response) for row in GRID]
    )
    exact = [
        (chance[:, GRID[:, a] == level].mean(axis=1) - chance[:, GRID[:, a] == 0].mean(axis=1))
        for a, size in enumerate(DESIGN.shape)
        for level in range(1, size)
    ]
    found = effects["estimate"].to_numpy().reshape(10, -1)
    assert np.abs(found - np.column_stack(exact)).max() < 0.1 * np.abs(exact).max()


def test_training_data_know_the_form_of_the_task():
    data, _ = survey(3, 0.3, n=30)
    rows = DESIGN.frame(data.levels).assign(
        respondent_id=data.respondents["respondent_id"].to_numpy()[data.respondent],
        task=data.task,
        profile=np.arange(len(data.task)) % 3 + 1,
        choice=data.outcome,
    )
    arguments = data.respondents, DESIGN, Choice, data.covariates
    assert TrainingData.from_tables(rows, *arguments).response is Choice.of_tasks(3, True)
    some = rows.groupby(["respondent_id", "task"])["choice"].transform("sum") == 1
    assert TrainingData.from_tables(rows[some], *arguments).response is Choice.of_tasks(3, False)
    assert Choice.of_tasks(2, False) is Choice and issubclass(Choice.of_tasks(2, True), ChoiceAmong)
    with pytest.raises(ValueError, match="exactly 3 profiles"):
        TrainingData.from_tables(rows[:-1], *arguments).compared(data.outcome[:-1])


def test_people_who_often_choose_none_do_not_bias_part_worths():
    """Levels of standard deviation 2 between people: the common part is that of choices without none."""
    rng = np.random.default_rng(9)
    people, covariates = as_respondents(pd.DataFrame({"z": rng.normal(size=1500)}))
    common = draw_part_worths(DESIGN, rng, 0.6)
    utilities = part_worths(np.tile(common, (1500, 1)), DESIGN)
    data = choose(utilities, people, covariates, 6, rng, none=2 * rng.normal(size=1500))
    assert 0.2 < 1 - 3 * data.outcome.mean() < 0.5
    assert np.abs(fit_null(data, 1).coefficients[0, :-1] - common).max() < 0.1


def test_worlds_without_differences_are_left_alone():
    data, _ = survey(3, None, n=400, world=none)
    model = fit_ridge(data, 1)
    assert len(np.unique(nano(model.utilities(data.respondents)), axis=0)) <= 3
