"""A survey in which everybody saw one petition: which jobs there are, and what is refused."""

import re

import pytest

from nanotarget.cli import main
from running import copy_project, snakemake
from tiny_study import tiny_study

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def folder(project, tmp_path_factory):
    """A copy of the project with a survey of one petition each."""
    folder = copy_project(project, tmp_path_factory.mktemp("one each"))
    study = tiny_study()
    study.config["calibration"] |= {"profiles": 1, "tasks": 1, "analyse": "rating"}
    study.config["calibration"]["outcomes"] = {"rating": {"column": "rating", "range": [0, 10]}}
    study.calibration = study.calibration[::6]
    study.write(folder)
    return folder


def test_average_effects_are_made_and_nothing_is_learned(folder):
    result = snakemake(folder, "all", "--cores", "1", "--configfile", "study.yaml", "--dry-run")
    assert result.returncode == 0, result.stdout + result.stderr
    planned = set(re.findall(r"^([a-z]+) +\d+$", result.stdout + result.stderr, re.MULTILINE))
    assert {"conjoint", "effects", "page", "tables"} <= planned
    assert not planned & {"learn", "imce", "diagnostics", "choose", "dissuasion", "validation"}


@pytest.mark.parametrize("command", ["diagnose", "assign"])
def test_what_needs_preferences_is_refused_with_the_reason(folder, monkeypatch, capsys, command):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["nanotarget", command, "study.yaml"])
    assert main() == 1
    said = capsys.readouterr().err
    assert "key calibration.tasks" in said and "everybody saw one petition" in said
