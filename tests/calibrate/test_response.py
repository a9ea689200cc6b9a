"""Kinds of calibration outcomes: what each says of itself, and a further one in a single class."""

from dataclasses import replace

import numpy as np
import pytest

from nanotarget.assign.assign import assign
from nanotarget.calibrate.imce import imce
from nanotarget.calibrate.learners import FITTERS, model_from_data
from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.calibrate.learners.crossfit import assign_halves, crossfit, fit_folds, held_out_losses
from nanotarget.calibrate.learners.ridge import fit_null, fit_ridge
from nanotarget.diagnose import Inputs, diagnose
from nanotarget.petitions.policy import nano, overall_best
from nanotarget.petitions.score import predicted_response
from nanotarget.petitions.utilities import part_worths
from nanotarget.study.config import BartConfig, CalibrateConfig, DiagnoseConfig, PolicyConfig
from nanotarget.study.response import RESPONSES, Choice, Rating, Response
from worlds import factorial, simulate

DESIGN = factorial((4, 3, 3))


class WouldShare(Response):
    """Whether the respondent would share the petition: 0 or 1 for each petition."""

    name = "would_share"
    unit = "probability to share"
    binary = True


@pytest.fixture(scope="module")
def truth():
    """Training data of people who share a petition with known probabilities, and the part-worths of these."""
    rng = np.random.default_rng(1)
    data, values = simulate(
        DESIGN, 600, 8, rng, common=0.06, specific=0.1, features=2, baseline=0.0, noise=0.0
    )
    chance = np.clip(0.4 + data.outcome, 0, 1)
    shared = (rng.random(len(chance)) < chance).astype(float)
    return replace(data, response=WouldShare, outcome=shared), values


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(RESPONSES, WouldShare.name, WouldShare)


def gain(petitions, best, values):
    worths = part_worths(values, DESIGN)
    return (worths.utility_of(petitions) - worths.utility_of(np.tile(best, (len(petitions), 1)))).mean()


@pytest.mark.parametrize("learner", FITTERS)
def test_every_learner_learns_a_further_kind(truth, learner):
    data, values = truth
    settings = CalibrateConfig(learner=learner, bart=BartConfig(trees=30, draws=100, burn_in=50, chains=1))
    model = FITTERS[learner](data, 1, settings)
    assert model.intercept == pytest.approx(data.outcome.mean())
    thawed = model_from_data(model.settings(), model.arrays(), DESIGN)
    assert thawed.response is WouldShare
    utilities = thawed.utilities(data.respondents)
    petitions, best = nano(utilities), overall_best(utilities, data.weight)
    promised = predicted_response(utilities, petitions, model.intercept, WouldShare)
    assert 0.4 < promised.mean() < 1
    possible = gain(nano(part_worths(values, DESIGN)), best, values)
    assert gain(petitions, best, values) > 0.5 * possible > 0.02
    effects = imce(thawed, data.respondents.head(20), 0.9, 1)
    level = utilities.level_means()[:20, 1] - utilities.level_means()[:20, 0]
    assert np.allclose(effects.groupby("respondent_id")["estimate"].first(), level)


def test_a_further_kind_is_diagnosed_and_assigned(truth):
    data, values = truth

    def fit(train, part):
        return fit_ridge(train, 1)

    fitted = crossfit(data, fit, 4, 1)
    null = crossfit(data, lambda train, part: fit_null(train, 1), 4, 1)
    assert held_out_losses(fitted).mean() < held_out_losses(null).mean() < 0.3
    halves = fit_folds(data, assign_halves(data, 1), fit, "half")
    settings = DiagnoseConfig(sesoi=0.01, bootstraps=60, permutations=0, splits=1)
    found = diagnose(Inputs(fitted, halves, settings, 1, sizes=(1, 3)))
    assert found.answer["unit"] == "in the probability to share"
    table = found.diagnostics
    rows = table[(table["diagnostic"] == "dividend") & (table["quantity"] == "nano - overall_best")]
    row = rows[rows["ceiling"].notna()].iloc[0]
    model = fit_ridge(data, 1)
    people = data.respondents
    petitions = nano(model.utilities(people))
    best = overall_best(model.utilities(people), data.weight)
    assert abs(row["estimate"] - gain(petitions, best, values)) < 4 * row["std_error"] < 0.2
    table = assign(
        model, people, people.drop(columns="weight"), PolicyConfig(policies=["nano"]), 1
    ).set_index("policy")
    assert table.loc["nano", "gain_over_best"].min() >= 0
    assert (DESIGN.codes(table.loc[["nano"]]) == petitions).all()


def test_answers_are_compared_within_the_respondent_or_within_the_task():
    data, _ = simulate(DESIGN, 5, 3, np.random.default_rng(2))
    within = data.compared(data.outcome)
    assert np.allclose(data.respondent_means(within), 0)
    pairs = replace(data, response=Choice)
    assert np.array_equal(pairs.compared(data.outcome), data.outcome[::2] - data.outcome[1::2])
    with pytest.raises(ValueError, match="two profiles"):
        pairs.subset(np.arange(30) != 4).compared(data.outcome[np.arange(30) != 4])


@pytest.mark.parametrize("kind", [Rating, Choice])
def test_gradient_and_slope_are_those_of_losses_and_expectations(kind):
    rng = np.random.default_rng(3)
    outcome, eta = np.array([1.0, 0, 0, 1, 1, 0]), rng.normal(size=6)
    gradient, _ = kind.gradient(outcome, eta, np.ones(6))
    step = 1e-6
    numeric = [
        (kind.losses(outcome, eta + step * unit).sum() - kind.losses(outcome, eta - step * unit).sum())
        / (2 * step)
        for unit in np.eye(6)
    ]
    factor = 1 if kind.paired else 2  # half the squared error
    assert np.allclose(factor * gradient, numeric, atol=1e-6)
    own = np.zeros(6)
    own[kind.answers] = step
    assert np.allclose(kind.slope(eta), (kind.expected(eta + own) - kind.expected(eta - own)) / (2 * step))


@pytest.mark.parametrize("kind", RESPONSES.values())
def test_the_opposite_of_the_opposite_is_the_outcome(kind):
    outcome = np.array([0.0, 1, 1, 0])
    assert np.array_equal(kind.opposite(kind.opposite(outcome)), outcome)
    assert kind.mean_without_preferences(2) == (0.5 if kind.paired else None)
    assert kind.unit_in_text().endswith(kind.unit)


def test_a_model_is_not_reversed_twice():
    data, _ = simulate(DESIGN, 40, 3, np.random.default_rng(4))
    fitted = crossfit(data, lambda train, part: fit_ridge(train, 1), 2, 1)
    with pytest.raises(ValueError, match="reversed"):
        fitted.for_goal("dissuade").for_goal("dissuade")


def test_training_data_name_the_outcome_without_answers():
    data, _ = simulate(DESIGN, 4, 1, np.random.default_rng(5))
    rows = DESIGN.frame(data.levels).assign(
        respondent_id=data.respondents["respondent_id"].to_numpy()[data.respondent],
        task=data.task,
        profile=1,
        would_share=np.nan,
    )
    with pytest.raises(Exception, match="column would_share"):
        TrainingData.from_tables(rows, data.respondents, DESIGN, WouldShare, data.covariates)
