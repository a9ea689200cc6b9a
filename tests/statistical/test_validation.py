"""A small version of `make validate`, and checks of what the proof calls true."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special

import carry
import replicate as replications
import seeds
import summary
from nanotarget.calibrate.learners.crossfit import crossfit
from nanotarget.calibrate.learners.ridge import fit_null
from nanotarget.diagnose import Inputs
from nanotarget.diagnose.evidence import Answers
from nanotarget.diagnose.heterogeneity import Heterogeneity
from nanotarget.diagnose.quantities import DIAGNOSTICS
from nanotarget.petitions.utilities import Tables
from nanotarget.study.config import DiagnoseConfig
from regimes import REGIMES, draw_sample
from replicate import COLUMNS, fit, replicate
from run import FOLDER, add, missing, path_of, rows_in, run
from scales import NOISE
from truths import GOALS, Preferences, gains, stable_covariance, variance_over_petitions
from worlds import factorial, simulate

SHAPE = (5, 4, 3)
SMALL = {"n": 800, "bootstraps": 60, "shape": SHAPE}
FAR = 4  # standard errors from the truth that chance hardly ever explains


@pytest.fixture(scope="module")
def crossover():
    return replicate("R6", "ridge", 1, **SMALL)


@pytest.mark.statistical
def test_where_people_differ_predictably_all_stages_pass_and_estimates_are_near_the_truth(crossover):
    (row,) = crossover
    assert list(row) and set(row) == set(COLUMNS)
    assert {row[stage] for stage in DIAGNOSTICS} == {"PASS"}
    for name in ("person", "slope", "gain1"):
        truth = row["gain_true" if name == "gain1" else f"{name}_true"]
        assert abs(row[name] - truth) < FAR * row[f"{name}_se"], name


@pytest.mark.statistical
@pytest.mark.parametrize("regime", ["R1", "R3", "R4"])
def test_where_nothing_pays_the_dividend_does_not_pass(regime):
    (row,) = replicate(regime, "ridge", 1, **SMALL)
    assert row["gain_true"] < 0.01
    assert row["dividend"] != "PASS"


@pytest.mark.statistical
def test_a_world_of_two_goals_has_a_row_of_each():
    rows = replicate("R11", "ridge", 1, **SMALL)
    assert [row["goal"] for row in rows] == ["support", "dissuade"]
    assert rows[0]["oracle"] < 0.01
    assert rows[1]["oracle"] > 0.2


@pytest.mark.statistical
def test_in_a_panel_rules_know_own_answers_and_are_valued_by_unseen_tasks_of_the_same_people():
    (row,) = replicate("R3-panel", "hierarchical", 1, n=500, bootstraps=60, shape=SHAPE)
    assert row["covariate_oracle"] > row["gain_true"] > 0.1
    assert abs(row["gain"] - row["gain_true"]) < FAR * row["gain_se"]
    assert abs(row["slope"] - row["slope_true"]) < FAR * row["slope_se"]


def test_what_answers_tell_of_people_is_their_posterior_mean():
    """Truth is on average what is told of it, so that it has a slope of 1 on that."""
    sample = draw_sample(REGIMES["R3-panel"], 1, "R3-panel", n=600, shape=SHAPE)
    told, own = (part.cells - sample.predictable.cells for part in (sample.knowable, sample.utilities))
    slopes = (told * own).sum(axis=1), (told**2).sum(axis=1)
    error = np.std(slopes[0] - slopes[1]) / slopes[1].mean() / np.sqrt(600)
    assert slopes[0].mean() / slopes[1].mean() == pytest.approx(1, abs=FAR * error)
    assert 0.3 < slopes[1].sum() / (own**2).sum() < 0.9


@pytest.mark.parametrize("regime", ["bounded-7", "stars", "slider", "sign", "bounded-t3", "bounded-skewed"])
def test_true_ratings_are_those_of_simulated_answers(regime):
    """Against 200,000 answers of one person to one petition: four binomial errors."""
    regime = REGIMES[regime]
    latent, rng, n = 0.7, np.random.default_rng(1), 200_000
    heard = regime.scale.answers(latent + NOISE[regime.noise].draw(rng, n))
    expected = regime.scale.expected(np.array([latent]), regime.noise)[0]
    assert abs(heard.mean() - expected) < FAR * heard.std() / np.sqrt(n)
    assert set(heard) <= set(range(regime.scale.lowest, regime.scale.highest + 1))


@pytest.mark.parametrize("name", NOISE)
def test_noise_has_mean_0_and_variance_1(name):
    """From its survival function, on a grid; a heavy tail beyond it has the rest."""
    above, x = NOISE[name].above, np.linspace(-300, 300, 600_001)
    right, left = above(x[x > 0]), 1 - above(x[x < 0])
    step = x[1] - x[0]
    assert (right.sum() - left.sum()) * step == pytest.approx(0, abs=2e-3)
    squares = 2 * step * (right @ x[x > 0] - left @ x[x < 0])
    assert squares == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("name", [name for name in REGIMES if not name.startswith("R")])
def test_every_world_can_be_drawn(name):
    regime = REGIMES[name]
    sample = draw_sample(regime, 1, name, n=60)
    outcome, n = sample.data.outcome, sample.data.n_respondents
    assert n == 60
    assert len(outcome) <= 60 * 12
    if regime.scale is not None:
        assert regime.scale.lowest <= outcome.min() < outcome.max() <= regime.scale.highest
    assert (len(outcome) < 60 * 12) == (regime.dropout is not None)
    assert (sample.data.weight.std() > 0) == bool(regime.weighted)


def test_the_first_petition_is_chosen_as_often_as_its_advantage_makes_it():
    sample = draw_sample(REGIMES["left-choice"], 1, "left-choice", n=400)
    assert sample.data.outcome[::2].mean() == pytest.approx(
        special.ndtr(0.4 / np.sqrt(2 + 2 * 0.56)), abs=0.04
    )


@pytest.mark.statistical
def test_true_probabilities_are_those_of_simulated_choices():
    """Quadrature against a million simulated pairs: a binomial error of 0.0005, for one respondent."""
    sample = draw_sample(REGIMES["R6-choice"], 1, "R6-choice", n=3, shape=SHAPE)
    rng, design = np.random.default_rng(1), sample.data.design
    one = Tables(sample.utilities.layout, sample.utilities.cells[:1])
    petition, opponents = design.draw(1, rng), design.draw(1_000_000, rng)
    difference = one.utility_of(petition) - one.utilities_of_all(opponents)[0]
    won = difference + np.sqrt(2) * rng.normal(size=len(opponents)) > 0
    known = Preferences(one, REGIMES["R6-choice"])
    assert known.response(petition)[0] == pytest.approx(won.mean(), abs=0.003)
    grid = design.petition_levels(np.arange(np.prod(SHAPE)))
    utility = one.utilities_of_all(grid)[0]
    wins = special.ndtr((utility[:, None] - utility) / np.sqrt(2)).mean(axis=1)
    effects = [wins[grid[:, a] == level].mean() - 0.5 for a, n in enumerate(SHAPE) for level in range(n)]
    assert known.effects[0] == pytest.approx(np.array(effects), abs=1e-9)


def test_true_gains_are_those_of_the_whole_grid():
    sample = draw_sample(REGIMES["R6"], 1, "R6", n=200, shape=SHAPE)
    fitted, halves = (fit(sample.data, "ridge", folds, 1) for folds in (5, 2))
    grid = sample.data.design.petition_levels(np.arange(np.prod(SHAPE)))
    true = sample.utilities.utilities_of_all(grid)
    settings = DiagnoseConfig(sesoi=0.1, splits=1)
    rules = replications.divide(Inputs(fitted, halves, settings, 1), GOALS).rules
    found = gains(sample, rules, sample.preferences, "support")
    assert found["oracle"] == pytest.approx(true.max(axis=1) - true[:, true.mean(axis=0).argmax()])
    worst = gains(sample, rules, sample.preferences, "dissuade")["oracle"]
    assert worst == pytest.approx(true[:, true.mean(axis=0).argmin()] - true.min(axis=1))
    own = true - true.mean(axis=0)
    own -= own.mean(axis=1, keepdims=True)
    assert stable_covariance(sample, np.ones(200, dtype=bool)).variance[0] == pytest.approx((own**2).mean())
    assert variance_over_petitions(sample.utilities) == pytest.approx(true.var(axis=1))


def test_tastes_that_fade_are_alike_as_far_as_pairs_of_tasks_show():
    """Correlation 0.5 from one task to the next: 0.27 on average over the pairs of six tasks."""
    sample = draw_sample(REGIMES["R14"], 1, "R14", n=4_000, shape=SHAPE)
    total = stable_covariance(sample, np.ones(4_000, dtype=bool)).variance[0]
    lags = np.arange(1, 6)
    assert total == pytest.approx(0.28 * ((6 - lags) * 0.5**lags).sum() / 15, rel=0.1)


def row_of(seed, **more):
    """Return a row of a replication of R6 in which all stages pass and nano gains 0.2."""
    row = {"world": "R6", "learner": "ridge", "seed": seed, "goal": "support", "group": "all"}
    row |= {"code": replications.code(), "seconds": 1.0, "overall": "DEPLOY", "rule": "PAYS", "flags": ""}
    numbers = {"gain": 0.21, "gain_se": 0.01, "gain_low": 0.19, "gain_high": 0.23, "gain_true": 0.2}
    return (
        row | dict.fromkeys(DIAGNOSTICS, "PASS") | numbers | {"oracle": 0.2, "covariate_oracle": 0.2} | more
    )


def test_rows_add_up_and_those_of_other_code_are_replaced(tmp_path):
    for seed in (3, 1):
        add(tmp_path, [row_of(seed)])
    add(tmp_path, [row_of(2, code="older")])
    wanted = {("R6", "ridge"): 4, ("R0", "ridge"): 1}
    assert missing(tmp_path, wanted) == [("R0", "ridge", 1), ("R6", "ridge", 2), ("R6", "ridge", 4)]
    add(tmp_path, [row_of(2, gain=1 / 3)])
    rows = rows_in(path_of(tmp_path, "R6", "ridge"))
    assert list(rows["seed"]) == [1, 2, 3]
    assert list(rows["code"].unique()) == [replications.code()]
    assert rows["gain"].to_list() == [0.21, 0.333333, 0.21]
    assert [path.name for path in tmp_path.iterdir()] == ["R6_ridge.csv"]


def test_what_is_missing_is_computed_until_time_is_up(tmp_path, monkeypatch):
    monkeypatch.setattr("run.replicate", stand_in)
    run(tmp_path, {("R6", "ridge"): 3}, 2, minutes=10)
    assert list(rows_in(path_of(tmp_path, "R6", "ridge"))["seed"]) == [1, 2, 3]
    run(tmp_path, {("R7", "ridge"): 3}, 1, minutes=0)  # only what was begun is finished
    assert list(rows_in(path_of(tmp_path, "R7", "ridge"))["seed"]) == [1]


def test_rows_of_other_code_are_carried_over_only_if_todays_code_computes_them(tmp_path, monkeypatch):
    file = path_of(tmp_path, "R6", "ridge")
    for seed in range(1, 5):
        add(tmp_path, [row_of(seed, code="older", gain=1 / 3, seconds=9.0)])
    monkeypatch.setattr("carry.replicate", lambda *job: [row_of(job[2], gain=1 / 3 + 1e-3)])
    before = file.read_bytes()
    trail, faults = carry.carry(file, 2)
    assert (trail, len(faults)) == ([], 2)
    assert all(fault.startswith("R6_ridge.csv: replication ") and fault.endswith("gain") for fault in faults)
    assert file.read_bytes() == before
    monkeypatch.setattr("carry.replicate", lambda *job: [row_of(job[2], gain=1 / 3 + 1e-12)])
    (line,), faults = carry.carry(file, 2)
    assert faults == []
    assert (line["from"], line["to"], line["rows"]) == ("older", replications.code(), 4)
    assert len(line["checked"].split()) == 2
    assert missing(tmp_path, {("R6", "ridge"): 4}) == []
    assert rows_in(file)["seconds"].to_list() == [9.0] * 4


def test_rows_of_one_code_are_carried_over_where_those_of_another_are_not(tmp_path, monkeypatch):
    file = path_of(tmp_path, "R6", "ridge")
    for seed, (version, gain) in enumerate([("old", 0.1), ("older", 0.2), ("old", 0.1)], start=1):
        add(tmp_path, [row_of(seed, code=version, gain=gain)])
    monkeypatch.setattr("carry.replicate", lambda *job: [row_of(job[2], gain=0.1)])
    (line,), (fault,) = carry.carry(file, 2)
    assert (line["from"], line["rows"]) == ("old", 2) and " 2 of older " in fault
    assert rows_in(file)["code"].to_list() == [replications.code(), "older", replications.code()]


@pytest.mark.parametrize("other", [{"overall": "COLLECT MORE"}, {"flags": "few"}, {"gain_low": np.nan}])
def test_a_verdict_a_flag_or_an_empty_number_is_a_difference(other):
    one, two = (carry.written([row_of(1, **more)]) for more in ({}, other))
    assert carry.differences(one, two) == list(other)
    assert carry.differences(one, one) == []


def stand_in(world, learner, seed):
    return [row_of(seed, world=world, learner=learner)]


def test_the_code_is_told_apart_by_what_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr(replications, "ROOT", tmp_path)
    monkeypatch.setattr(replications, "SOURCES", ["library"])
    monkeypatch.setattr(replications, "HARNESS", [])
    (tmp_path / "library").mkdir()

    def hashed(text):
        (tmp_path / "library" / "module.py").write_text(text)
        return replications.code.__wrapped__()

    assert hashed('"""Words."""\nx = 1  # one\n') == hashed('"""Other words."""\n\nx = 1\n')
    assert hashed("x = 1\n") != hashed("x = 2\n")


def test_tables_compare_what_is_found_with_what_is_true(tmp_path):
    add(tmp_path, [row_of(1, gain_true=0.0)])  # two replications are deployed, one of them wrongly
    add(tmp_path, [row_of(2)])
    text = summary.tables(tmp_path)
    assert "| deployed | R6 | 2 | 100.0 (0.0) | >= 80 | yes |" in text
    mistakes = text.partition("### Mistakes")[2].partition("###")[0]
    assert "| R6 | 2 | 0.0 (0.0) | 0.0 (0.0) | 50.0 (35.4) | 0.0 (0.0) | 0.0 (0.0) | 0.0 (0.0) |" in mistakes
    dividend = text.partition("### Gain of nano over overall-best (dividend)")[2].partition("###")[0]
    assert "| R6 | 2 | 0.1000 | 0.1100 (0.1000) | 0.1487 | 0.0100 | 14.87 | 50.0 (35.4) |" in dividend


def test_other_seeds_are_summed_up_by_verdicts_and_by_how_much_estimates_move(tmp_path, monkeypatch):
    monkeypatch.setattr(seeds, "ROWS", tmp_path / "seeds" / "rows.csv")
    for seed, gain in ((2, 0.3), (1, 0.1)):
        row = row_of(seed, gain=gain, gain_se=0.2) | {"half": 0.2, "half_se": 0.1}
        seeds.add({"data": "a survey"} | row | {"overall": "DEPLOY" if gain > 0.2 else "COLLECT MORE"})
    assert list(seeds.read()["seed"]) == [1, 2]
    text = seeds.summary(seeds.read())
    assert "| a survey | 2 | COLLECT MORE 1, DEPLOY 1 | PAYS 2 |" in text
    assert text.endswith("| 0.200 | 0.71 | 0.200 | 0.00 |")


def test_the_page_shows_the_committed_rows():
    page = summary.PAGE.read_text().partition(summary.BEGIN)[2].partition(summary.END)[0]
    assert page.strip() == summary.tables(FOLDER)


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
