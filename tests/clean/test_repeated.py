"""A task that was asked twice: its second answers stand apart, and nothing else learns of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nanotarget.clean.samples import read_samples
from nanotarget.petitions.design import Design
from nanotarget.study.checks import validate
from nanotarget.study.problems import InputError
from tiny_study import tiny_study


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read a study; `read(study)` returns its calibration."""

    def calibration(study):
        monkeypatch.chdir(tmp_path)
        study.write(tmp_path)
        data = validate(yaml.safe_load(Path("study.yaml").read_text(encoding="utf-8")), "study.yaml")
        return read_samples(data, Design.from_config(data.design)).calibration

    return calibration


def repeated_long(swapped):
    """Task 4 repeats task 1 with the petitions in reversed order, or not; every third person flips."""
    study = tiny_study()
    table = study.calibration
    again = table[table["task"] == "1"].assign(task="4")
    if swapped:
        again["profile"] = again["profile"].map({"1": "2", "2": "1"})
    flips = again["id"].isin([f"c{i}" for i in range(1, 31, 3)])
    again["choice"] = again["choice"].where(~flips, again["choice"].map({"0": "1", "1": "0"}))
    study.calibration = pd.concat([table, again]).sort_values(["id", "task", "profile"], ignore_index=True)
    study.config["calibration"] |= {
        "tasks": 4,
        "repeated": {"task": 1, "again": 4, "swapped": swapped},
    }
    return study, flips


@pytest.mark.parametrize("swapped", [False, True])
def test_a_repetition_is_no_task_and_its_answers_are_those_of_the_same_petition(read, swapped):
    plain = read(tiny_study())
    study, _ = repeated_long(swapped)
    found = read(study)
    for name in ("profiles", "respondents", "quality"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(plain, name))
    assert plain.again is None
    keys = ["respondent_id", "task", "profile"]
    both = found.again.merge(found.profiles, on=keys, suffixes=("_again", ""), validate="1:1")
    assert len(both) == len(found.again) == 60 and set(both["task"]) == {1}
    flipped = (both["choice"] != both["choice_again"]).to_numpy()
    assert set(both.loc[flipped, "respondent_id"]) == {f"c{i}" for i in range(1, 31, 3)}
    np.testing.assert_array_equal(both["rating"], both["rating_again"])


def test_second_answers_may_stand_in_columns_of_their_own(read):
    long, _ = repeated_long(True)
    study = tiny_study("wide")
    table = study.calibration
    first = long.calibration.query("task == '4' and profile == '1'").set_index("id")["choice"]
    table["again"] = table["id"].map(first).map({"1": "A", "0": "B"})
    for profile, other in (("1", "2"), ("2", "1")):
        table[f"again_{profile}"] = table[f"t1_p{other}_rating"]
    answers = {"choice": "again", "rating": ["again_1", "again_2"]}
    study.config["calibration"]["repeated"] = {"task": 1, "answers": answers, "swapped": True}
    pd.testing.assert_frame_equal(read(study).again, read(long).again)


def test_a_repetition_of_other_petitions_is_refused(read):
    study, _ = repeated_long(True)
    study.config["calibration"]["repeated"]["swapped"] = False
    with pytest.raises(InputError) as error:
        read(study)
    said = error.value.message()
    assert "'Sector' differs from task 1, which this task repeats" in said
    assert "calibration.repeated" in said and "row" in said


def test_who_did_not_answer_twice_is_left_out(read):
    study, _ = repeated_long(False)
    table = study.calibration
    table.loc[(table["id"] == "c5") & (table["task"] == "4"), ["choice", "rating"]] = ""
    table.loc[(table["id"] == "c6") & (table["task"] == "1"), ["choice", "rating"]] = ""
    found = read(study)
    assert set(found.profiles["respondent_id"]) - set(found.again["respondent_id"]) == {"c5", "c6"}


@pytest.mark.parametrize(
    ("layout", "keys", "said"),
    [
        ("long", {"task": 1}, "it does not say where the second answers are"),
        ("long", {"task": 1, "again": 1}, "task 1 cannot repeat itself"),
        ("long", {"task": 1, "again": 9}, "there is no task 9"),
        ("long", {"task": 1, "answers": {"choice": "x"}}, "it has no meaning in the long layout"),
        ("wide", {"task": 1, "again": 2, "answers": {"choice": "x"}}, "it says so in two ways"),
        ("wide", {"task": 1, "answers": {"would_sign": "x"}}, "there is no outcome 'would_sign'"),
        ("wide", {"task": 1, "answers": {"rating": ["x"]}}, "a list of 2 columns, one a profile"),
    ],
)
def test_what_contradicts_itself_is_refused_before_anything_is_read(layout, keys, said):
    config = tiny_study(layout).config
    config["calibration"]["repeated"] = keys
    with pytest.raises(InputError) as error:
        validate(config, "study.yaml")
    assert said in error.value.message()
