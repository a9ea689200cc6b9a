"""A column whose every value is in one arm: `check` asks whether people were randomised together."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from nanotarget.clean.experiment import read_experiment
from nanotarget.study.config import ExperimentConfig
from nanotarget.study.seeds import child_rng


def asked(folder, table, **more):
    path = folder / "trial.csv"
    table.to_csv(path, index=False)
    config = {
        "file": str(path),
        "respondent": "id",
        "arm": "arm",
        "arms": [{"name": "control"}, {"name": "nano"}],
        "outcomes": [{"name": "y", "kind": "continuous", "range": [-10, 10]}],
    }
    return read_experiment(ExperimentConfig.model_validate(config | more), None, []).questions


@pytest.fixture
def schools():
    """24 schools of 8, each in one arm, and other columns that mean nothing."""
    rng = child_rng(1, "schools")
    school = np.repeat(np.arange(24), 8)
    arm = np.where(rng.permutation(24) % 2, "nano", "control")[school]
    return pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(192)],
            "school": [f"S{s:02d}" for s in school],
            "arm": arm,
            "arm_label": np.where(arm == "nano", "a letter", "nothing"),
            "age": rng.integers(18, 60, 192),
            "seconds": rng.integers(0, 10**6, 192),
            "y": rng.normal(size=192).round(2),
        }
    )


def test_the_column_that_determines_the_arm_is_named_and_no_other(tmp_path, schools):
    (question,) = asked(tmp_path, schools)
    assert "column 'school'" in question and "'cluster: school'" in question


def test_nothing_is_asked_where_people_were_drawn_or_clusters_are_known(tmp_path, schools):
    drawn = child_rng(2, "drawn").permutation(schools["arm"].to_numpy())
    assert asked(tmp_path, schools.assign(arm=drawn)) == ()
    clustered = {"scheme": "clustered", "cluster": "school"}
    assert asked(tmp_path, schools, randomisation=clustered) == ()
    # Few groups may be in one arm each by chance.
    assert asked(tmp_path, schools[schools["school"] < "S06"]) == ()


def test_check_writes_and_says_the_question(tmp_path, schools, monkeypatch, capsys):
    from nanotarget import cli

    schools.to_csv(tmp_path / "trial.csv", index=False)
    (tmp_path / "study.yaml").write_text(
        "study: schools\nroot_seed: 1\nexperiment:\n  file: trial.csv\n  respondent: id\n  arm: arm\n"
        "  arms: [{name: control}, {name: nano}]\n"
        "  outcomes: [{name: y, kind: continuous, range: [-10, 10]}]\n"
    )
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        folder = tmp_path / "results/schools"
        folder.mkdir(parents=True)
        (folder / "check.json").write_text(json.dumps({"questions": asked(tmp_path, schools)}))
        return 0

    monkeypatch.setattr(cli, "run", run)
    monkeypatch.setattr(sys, "argv", ["nanotarget", "check", "study.yaml"])
    assert cli.main() == 0
    assert "Were they randomised together?" in capsys.readouterr().out
