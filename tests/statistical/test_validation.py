"""A small version of `make validate`, and checks of what the proof calls true."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import special

import summary
from nanotarget.calibrate.learners.crossfit import crossfit
from nanotarget.calibrate.learners.ridge import fit_null
from nanotarget.diagnose.evidence import Answers
from nanotarget.diagnose.heterogeneity import Heterogeneity
from nanotarget.diagnose.quantities import DIAGNOSTICS, Estimator, Quantity
from nanotarget.petitions.utilities import Tables
from regimes import REGIMES, draw_sample
from replicate import fit, replicate, run_batch
from truths import Preferences, gains, stable_variances, variance_over_petitions
from worlds import factorial, simulate

SHAPE = (5, 4, 3)
SMALL = {"n": 800, "bootstraps": 60, "shape": SHAPE}
TRUTHS = {
    Quantity.PERSON_BY_MESSAGE: Estimator.CROSS_TASK,
    Quantity.SLOPE: Estimator.CROSSFIT,
    Quantity.GAIN: Estimator.FIRST_ORDER,
}
FAR = 4  # standard errors from the truth that chance hardly ever explains


def headline(record, quantity):
    wanted = {"quantity": quantity, "estimator": TRUTHS[quantity], "goal": "support"}
    return next(row for row in record["found"] if wanted.items() <= row.items() and row["group"] == "all")


@pytest.fixture(scope="module")
def crossover():
    return replicate("R6", "ridge", 1, **SMALL)


@pytest.mark.statistical
def test_where_people_differ_predictably_all_stages_pass_and_estimates_are_near_the_truth(crossover):
    assert set(crossover["answers"][0]["stages"].values()) == {"PASS"}
    for quantity in TRUTHS:
        row, truth = headline(crossover, quantity), crossover["truth"]["support"]["all"][quantity]
        assert abs(row["estimate"] - truth) < FAR * row["std_error"], quantity


@pytest.mark.statistical
@pytest.mark.parametrize("regime", ["R1", "R3", "R4"])
def test_where_nothing_pays_the_dividend_does_not_pass(regime):
    record = replicate(regime, "ridge", 1, **SMALL)
    assert record["truth"]["support"]["all"][Quantity.GAIN] < 0.01
    assert record["answers"][0]["stages"]["dividend"] != "PASS"


@pytest.mark.statistical
def test_true_probabilities_are_those_of_simulated_choices():
    """Quadrature against a million simulated pairs: a binomial error of 0.0005, for one respondent."""
    sample = draw_sample(REGIMES["R6-choice"], 1, "R6-choice", n=3, shape=SHAPE)
    rng, design = np.random.default_rng(1), sample.data.design
    one = Tables(sample.utilities.layout, sample.utilities.cells[:1])
    petition, opponents = design.draw(1, rng), design.draw(1_000_000, rng)
    difference = one.utility_of(petition) - one.utilities_of_all(opponents)[0]
    won = difference + np.sqrt(2) * rng.normal(size=len(opponents)) > 0
    assert Preferences(one, "choice").response(petition)[0] == pytest.approx(won.mean(), abs=0.003)
    grid = design.petition_levels(np.arange(np.prod(SHAPE)))
    utility = one.utilities_of_all(grid)[0]
    wins = special.ndtr((utility[:, None] - utility) / np.sqrt(2)).mean(axis=1)
    effects = [wins[grid[:, a] == level].mean() - 0.5 for a, n in enumerate(SHAPE) for level in range(n)]
    assert Preferences(one, "choice").effects[0] == pytest.approx(np.array(effects), abs=1e-9)


def test_true_gains_are_those_of_the_whole_grid():
    sample = draw_sample(REGIMES["R6"], 1, "R6", n=200, shape=SHAPE)
    fitted, halves = (fit(sample.data, "ridge", folds, 1) for folds in (5, 2))
    grid = sample.data.design.petition_levels(np.arange(np.prod(SHAPE)))
    true = sample.utilities.utilities_of_all(grid)
    found = gains(sample, fitted, halves, sample.preferences, worst=False)
    assert found["oracle"] == pytest.approx(true.max(axis=1) - true[:, true.mean(axis=0).argmax()])
    worst = gains(sample, fitted, halves, sample.preferences, worst=True)["oracle"]
    assert worst == pytest.approx(true[:, true.mean(axis=0).argmin()] - true.min(axis=1))
    own = true - true.mean(axis=0)
    own -= own.mean(axis=1, keepdims=True)
    assert stable_variances(sample, np.ones(200, dtype=bool)).sum() == pytest.approx((own**2).mean())
    assert variance_over_petitions(sample.utilities) == pytest.approx(true.var(axis=1))


def test_tastes_that_fade_are_alike_as_far_as_pairs_of_tasks_show():
    """Correlation 0.5 from one task to the next: 0.27 on average over the pairs of six tasks."""
    sample = draw_sample(REGIMES["R14"], 1, "R14", n=4_000, shape=SHAPE)
    total = stable_variances(sample, np.ones(4_000, dtype=bool)).sum()
    lags = np.arange(1, 6)
    assert total == pytest.approx(0.28 * ((6 - lags) * 0.5**lags).sum() / 15, rel=0.1)


@pytest.mark.statistical
def test_a_batch_is_summarised(tmp_path, monkeypatch, crossover):
    monkeypatch.setattr("replicate.replicate", lambda name, learner, seed: crossover | {"seed": seed})
    run_batch(tmp_path / "R6_ridge_0.json", "R6", "ridge", [1, 2, 3])
    assert json.loads((tmp_path / "R6_ridge_0.json").read_text())["data"] == "synthetic"
    assert [path.name for path in tmp_path.iterdir()] == ["R6_ridge_0.json"]
    text = summary.tables(tmp_path)
    assert "| deployed | R6 | 3 | 100.0 (0.0) | >= 80 |" in text
    row = headline(crossover, Quantity.GAIN)
    truth = crossover["truth"]["support"]["all"][Quantity.GAIN]
    dividend = text.partition("### Gain of nano over overall-best (dividend)")[2].partition("###")[0]
    assert f"| R6 | 3 | {truth:.4f} | {row['estimate'] - truth:.4f} (0.0000) |" in dividend


def test_a_verdict_is_a_mistake_if_the_truth_of_its_replication_contradicts_it(tmp_path, monkeypatch):
    def record(name, learner, seed):
        gain = 0.0 if seed == 1 else 0.2  # two replications pass, one of them wrongly
        numbers = {
            Quantity.GAIN: gain,
            Quantity.CROSS_HALF_GAIN: 0.2,
            "oracle": 0.2,
            "covariate oracle": 0.2,
        }
        stages = dict.fromkeys(DIAGNOSTICS[:3], "FAIL") | {"dividend": "PASS"}
        answer = {"goal": "support", "group": "all", "overall": "DEPLOY", "stages": stages}
        return {
            "seed": seed,
            "learner_s": 1.0,
            "diagnosis_s": 1.0,
            "flags": [],
            "found": [],
            "answers": [answer],
        } | {"truth": {"support": {"all": numbers}}}

    monkeypatch.setattr("replicate.replicate", record)
    run_batch(tmp_path / "R6_ridge_0.json", "R6", "ridge", [1, 2])
    _, answers, facts = summary.read(tmp_path)
    assert (
        summary.mistakes(answers, facts)
        .splitlines()[-1]
        .startswith("| R6 | 100.0 (0.0) | 100.0 (0.0) | 100.0 (0.0) | 0.0 (0.0) | 50.0 (35.4) | 0.0 (0.0) |")
    )


@pytest.mark.statistical
def test_the_correction_for_response_error_undoes_random_choices():
    """People who know what they want, and the same people of whom a fifth of answers are the opposite.

    Every variance of choices shrinks by (1 - 2 tau)^2 then; a task shown again tells tau.
    """
    tau, ratios = 0.2, []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        data, _ = simulate(
            factorial(SHAPE), 1500, 5, rng, idiosyncratic=0.4, noise=0.0, baseline=0.0, outcome="choice"
        )
        sure = with_first_task_again(data)
        slips = np.repeat(rng.random(len(sure.outcome) // 2) < tau, 2)
        heard = replace(sure, outcome=np.where(slips, 1 - sure.outcome, sure.outcome))
        (true, none), (shrunk, error) = (variance_and_error(answers) for answers in (sure, heard))
        assert none == 0
        assert error == pytest.approx(tau, abs=0.03)  # 1,500 repeated tasks
        assert shrunk / true < 0.5
        ratios.append(shrunk / (1 - 2 * error) ** 2 / true)
    assert np.mean(ratios) == pytest.approx(1, abs=0.12)  # three standard errors of four samples


def with_first_task_again(data):
    """Show everybody her first two petitions again at the end, in the other order, answered alike."""
    n, tasks = data.n_respondents, data.task.max() + 1
    rows = np.arange(len(data.task)).reshape(n, 2 * tasks)
    order = np.hstack([rows, rows[:, 1::-1]]).ravel()
    task = np.tile(np.repeat(np.arange(tasks + 1), 2), n)
    return replace(
        data,
        levels=data.levels[order],
        outcome=data.outcome[order],
        respondent=data.respondent[order],
        task=task,
    )


def variance_and_error(data):
    """Return the variance of person x message and the response error of choices."""
    common = crossfit(data, lambda train, _: fit_null(train, 1), 2, 1)
    found = Heterogeneity(Answers.from_crossfit(common))
    everybody = np.ones((1, data.n_respondents))
    return found.variances(everybody).person_by_message[0], found.response_error(everybody)[0]
