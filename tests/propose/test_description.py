"""What `nanotarget describe` says is what the data hold."""

import re

import numpy as np
import pytest
import yaml
from scipy.stats import t

from nanotarget.cli import main
from nanotarget.propose.description import describe
from nanotarget.study.checks import validate
from tiny_study import await_fielding, tiny_study


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tiny_study()


def described(study, tmp_path):
    config = yaml.safe_load(study.write(tmp_path).read_text(encoding="utf-8"))
    return describe(validate(config, "study.yaml"), "study.yaml")


def row(text, *begin):
    """Cells of the table's row that begins so."""
    pattern = r"^  " + r"\s+".join(map(re.escape, begin)) + r"(\s.*)?$"
    return re.search(pattern, text, re.MULTILINE)[0].split()


def test_sizes_grid_and_arms(study, tmp_path):
    study.calibration.loc[study.calibration["id"] == "c1", "consent"] = "No"
    study.calibration.loc[study.calibration["id"] == "c2", "party"] = "Refused"
    text = described(study, tmp_path)
    assert "3 attributes, 24 petitions are possible of 27 combinations" in text
    assert "30 people in the raw file" in text
    assert "- 1: No consent" in text
    assert "29 people answered 3 tasks of 2 profiles: 174 petitions shown" in text
    assert row(text, "control")[1] == "20"
    assert row(text, "nano") == ["nano", "20", "0.0%", "nano"]
    assert row(text, "party") == ["party", "3", "levels", "3.4%", "0.0%", "yes"]
    assert "preregistration: every estimate is labelled exploratory" in text
    assert "no equivalence test for sign, support" in text
    assert "SIMULATED" not in text


def test_what_is_detectable_follows_from_n_and_spread_alone(study, tmp_path):
    study.config["estimate"] = {"sesoi": {"support": 2}}
    del study.config["experiment"]["weight"]
    text = described(study, tmp_path)
    y = study.experiment["support"].astype(float)
    arms = [y[study.experiment["arm"] == name] for name in ("Overall best", "Nano")]
    error = np.sqrt(sum(arm.var() / len(arm) for arm in arms))
    detectable = (t.ppf(0.975, 38) + t.ppf(0.8, 38)) * error
    cells = row(text, "support", "continuous", "nano", "-", "best")
    assert float(cells[6]) == pytest.approx(detectable, abs=0.05)
    shifted = study.experiment["support"].astype(int) + 100 * (study.experiment["arm"] == "Nano")
    study.experiment["support"] = shifted.astype(str)
    study.config["experiment"]["outcomes"][1]["range"] = [0, 200]
    again = row(described(study, tmp_path), "support", "continuous", "nano", "-", "best")
    assert again[5:] == cells[5:]


def test_a_roster_is_planned_with_the_spread_of_the_calibration(study, tmp_path):
    await_fielding(study)
    text = described(study, tmp_path)
    spread = study.calibration["rating"].astype(float).std()
    planned = {"control": 41 / 5, "best": 82 / 5}
    error = spread * np.sqrt(sum(1 / n for n in planned.values()))
    df = sum(planned.values()) - 2
    assert row(text, "best", "16")[-1] == "overall_best"
    shown = float(row(text, "best", "-", "control")[-1])
    assert shown == pytest.approx((t.ppf(0.975, df) + t.ppf(0.8, df)) * error, rel=0.02)
    assert "the study ends with assign" not in text


def test_synthetic_data_are_called_so(study, tmp_path):
    study.config["synthetic"] = True
    assert "SIMULATED (synthetic)" in described(study, tmp_path)


def test_the_command_prints_and_reports_problems_for_people(study, tmp_path, monkeypatch, capsys):
    path = study.write(tmp_path)
    monkeypatch.setattr("sys.argv", ["nanotarget", "describe", str(path)])
    assert main() == 0
    assert capsys.readouterr().out.startswith("tiny\n")
    study.calibration.loc[0, "sector"] = "Aviation"
    study.write(tmp_path)
    assert main() == 1
    told = capsys.readouterr()
    assert "Aviation" in told.err and not told.out


def test_what_the_survey_says_of_its_design(study, tmp_path):
    del study.config["experiment"], study.config["design"]["prohibited"]
    text = described(study, tmp_path)
    assert "24 petitions are possible of 27 combinations" in text
    assert "never: nobody saw Sector 'Housing' with Cost <br> '25', although" in " ".join(text.split())
    study.config["design"]["attributes"][1]["hidden"] = "allowed"
    column = study.config["design"]["attributes"][1]["column"]
    study.calibration.loc[:89, column] = ""
    text = " ".join(described(study, tmp_path).split())
    assert "(3; hidden in 50% of the petitions of the survey, a policy always shows it)" in text


def test_one_petition_each_is_counted(study, tmp_path):
    del study.config["experiment"]
    study.config["calibration"] |= {"profiles": 1, "tasks": 1, "analyse": "rating"}
    study.config["calibration"]["outcomes"] = {"rating": {"column": "rating", "range": [0, 10]}}
    study.calibration = study.calibration[::6]
    text = " ".join(described(study, tmp_path).split())
    assert "30 people answered 1 task of 1 profile" in text
    assert "30 of them answered about one petition" in text
    assert "no learner, no diagnose and assign: everybody saw one petition" in text
    assert "the study ends with calibrate" in text
    del study.config["calibration"]["tasks"]
    text = " ".join(described(study, tmp_path).split())
    assert "no diagnose and assign: everybody saw one petition (the config has to say so" in text
    assert "assign random" not in text
