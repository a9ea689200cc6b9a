"""Kinds of files that people have: trials told from conjoints, numbers of tasks, wide exports."""

import numpy as np
import pandas as pd
import pytest
import yaml

from nanotarget.clean.samples import read_samples
from nanotarget.clean.shown import check_design
from nanotarget.cli import main
from nanotarget.propose import propose, questions, verified_config
from nanotarget.study.checks import validate
from nanotarget.study.problems import InputError

LEVELS = {"price": ["10", "20", "30"], "brand": ["North", "South", "West"], "tag": ["no tag", "green tag"]}
N, TASKS = 40, 4


def proposed(table, folder):
    """Write a table, propose a config that has passed its own check; return it and its text."""
    path = folder / "data.csv"
    table.to_csv(path, index=False)
    text = verified_config(propose([str(path)]), "tiny")
    return validate(yaml.safe_load(text), "tiny.yaml"), text


def trial(rng, arms, by_village=True):
    """Make a trial of 30 villages of 8 people, a row a person."""
    village = np.repeat(np.arange(30), 8)
    drawn = rng.choice(arms, 30)[village] if by_village else rng.choice(arms, 240)
    return pd.DataFrame(
        {
            "person_id": np.arange(240) + 1001,
            "village": village,
            "treatment": drawn,
            "sex": rng.choice(["male", "female"], 240),
            "trust": rng.integers(1, 10, 240),
            "voted": rng.choice(["Yes", "No"], 240),
        }
    )


def long_survey(rng):
    """Make a long conjoint survey of N people, TASKS pairs each, sorted."""
    rows = N * TASKS * 2
    table = pd.DataFrame({"respondent": np.repeat(np.arange(N) + 101, TASKS * 2)})
    for name, levels in LEVELS.items():
        table[name] = rng.choice(levels, rows)
    first = rng.integers(0, 2, N * TASKS)
    table["chosen"] = np.column_stack([first, 1 - first]).ravel()
    table["age"] = rng.integers(18, 80, N)[np.repeat(np.arange(N), TASKS * 2)]
    return table


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_trial_of_clusters_is_no_conjoint(tmp_path, shuffled):
    table = trial(np.random.default_rng(1), ["Control", "Letter", "Phone call"])
    table = table.sample(frac=1, random_state=1) if shuffled else table
    config, text = proposed(table, tmp_path)
    experiment = config.experiment
    assert config.calibration is None
    assert (experiment.respondent, experiment.arm) == ("person_id", "treatment")
    assert (experiment.randomisation.scheme, experiment.randomisation.cluster) == ("clustered", "village")
    assert [covariate.name for covariate in config.covariates] == ["sex"]
    assert "village" not in [outcome.name for outcome in experiment.outcomes]
    assert len(questions(text)) == 1


def test_a_trial_without_ids_is_told_from_a_conjoint(tmp_path):
    table = trial(np.random.default_rng(1), ["Control", "Letter"]).drop(columns="person_id")
    with pytest.raises(InputError, match="arms in 'treatment'") as error:
        proposed(table, tmp_path)
    assert "the number of the row" in str(error.value)


@pytest.mark.parametrize("first", ["arm", "wave"])
def test_the_order_of_rows_says_nothing(tmp_path, first):
    rng = np.random.default_rng(2)
    table = trial(rng, ["control", "a", "b"], by_village=False).drop(columns="village")
    table.insert(5, "wave", np.arange(240) // 120)
    config, _ = proposed(table.sort_values("wave"), tmp_path)
    again, _ = proposed(table.sample(frac=1, random_state=3), tmp_path)
    assert config == again
    assert config.experiment.arm == "treatment"


@pytest.mark.parametrize("arms", [["0", "1", "2"], ["0.0", "1.0"], ["2020", "yes"], ["null", "1e3"]])
def test_arms_that_yaml_would_change_are_quoted(tmp_path, arms):
    config, text = proposed(trial(np.random.default_rng(4), arms, by_village=False), tmp_path)
    assert sorted(arm.name for arm in config.experiment.arms) == sorted(arms)
    assert "which arm is the control?" in text


NUMBERED = {
    "letters": (lambda t: t, lambda p: "AB"[p]),
    "from 0": (lambda t: t, lambda p: p),
    "texts": (lambda t: f"Task {t + 1}", lambda p: f"Package {'AB'[p]}"),
    "sides": (lambda t: t + 1, lambda p: ["left", "right"][p]),
}


@pytest.mark.parametrize("kind", NUMBERED)
@pytest.mark.parametrize("shuffled", [False, True])
def test_what_numbers_tasks_and_profiles_is_no_attribute(tmp_path, kind, shuffled):
    of_task, of_profile = NUMBERED[kind]
    table = long_survey(np.random.default_rng(5))
    table.insert(1, "screen", [of_task(i // 2 % TASKS) for i in range(len(table))])
    table.insert(2, "side", [of_profile(i % 2) for i in range(len(table))])
    table = table.sample(frac=1, random_state=2) if shuffled else table
    config, _ = proposed(table, tmp_path)
    assert [a.name for a in config.design.attributes] == list(LEVELS)
    calibration = config.calibration
    assert (calibration.task, calibration.profile) == ("screen", "side")
    assert (calibration.tasks, calibration.profiles) == (TASKS, 2)
    profiles = read_samples(config, check_design(config.design, "")).calibration.profiles
    assert profiles.groupby(["respondent_id", "task"]).size().eq(2).all()
    assert sorted(profiles["task"].unique()) == [1, 2, 3, 4]


def test_one_column_may_hold_both_numbers(tmp_path):
    table = long_survey(np.random.default_rng(6))
    table["shown"] = [f"{i // 2 % TASKS + 1}x{i % 2 + 1}" for i in range(len(table))]
    config, _ = proposed(table, tmp_path)
    assert config.calibration.task == config.calibration.profile == "shown"
    assert [a.name for a in config.design.attributes] == list(LEVELS)


def test_pairs_may_be_numbered_through_the_whole_file(tmp_path):
    table = long_survey(np.random.default_rng(7))
    table["PairNum"], table["Order"] = 7000 + 7 * (table.index // 2), table.index % 2 + 1
    config, _ = proposed(table, tmp_path)
    assert (config.calibration.task, config.calibration.profile) == ("PairNum", "Order")
    assert config.calibration.tasks == TASKS
    assert [a.name for a in config.design.attributes] == list(LEVELS)
    profiles = read_samples(config, check_design(config.design, "")).calibration.profiles
    assert profiles["task"].max() == TASKS


def test_check_stops_at_an_attribute_that_numbers_profiles(tmp_path):
    table = long_survey(np.random.default_rng(8))
    table["side"] = ["left", "right"] * (len(table) // 2)
    config, _ = proposed(table, tmp_path)
    attribute = {"name": "side", "levels": ["left", "right"]}
    written = config.model_dump(mode="json", exclude_unset=True)
    written["design"]["attributes"].append(attribute)
    written["calibration"].pop("profile", None)
    changed = validate(written, "tiny.yaml")
    with pytest.raises(InputError, match="'side' has a level of its own for every profile"):
        read_samples(changed, check_design(changed.design, "tiny.yaml"))


def test_functions_of_attributes_are_left_out(tmp_path):
    table = long_survey(np.random.default_rng(9))
    table["cheap"] = (table["price"] == "10").astype(int)
    config, text = proposed(table, tmp_path)
    assert [a.name for a in config.design.attributes] == list(LEVELS)
    assert "cheap: follows from 'price'" in text


def test_ids_need_no_sorted_rows(tmp_path):
    table = long_survey(np.random.default_rng(10)).rename(columns={"respondent": "respid"})
    table["task"], table["profile"] = table.index // 2 % TASKS + 1, table.index % 2 + 1
    config, _ = proposed(table.sample(frac=1, random_state=1), tmp_path)
    assert config.calibration.respondent == "respid"


def test_chosen_may_be_written_as_selected(tmp_path):
    table = long_survey(np.random.default_rng(11))
    table["chosen"] = table["chosen"].map({1: "Selected", 0: "Not selected"})
    assert proposed(table, tmp_path)[0].calibration.outcomes.choice.column == "chosen"


def test_a_covariate_that_its_data_refuse_is_left_out(tmp_path):
    table = long_survey(np.random.default_rng(12))
    large = pd.concat([table.assign(respondent=table["respondent"] + 100 * k) for k in range(3)])
    large = large.reset_index(drop=True)
    large.loc[1, "age"] += 1
    config, text = proposed(large, tmp_path)
    assert not config.covariates
    assert "#   age: " in text


def test_init_says_what_is_open_and_quotes_what_is_pasted(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "my data"
    folder.mkdir()
    table = trial(np.random.default_rng(13), ["0", "1"], by_village=False)
    table.to_csv(folder / "a.csv", index=False)
    out = folder / "my study.yaml"
    monkeypatch.setattr("sys.argv", ["nanotarget", "init", str(folder / "a.csv"), "--out", str(out)])
    assert main() == 0
    said = capsys.readouterr().out
    assert f"nanotarget check '{out}'" in said
    assert "1 question to decide (line" in said
