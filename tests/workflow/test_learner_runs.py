"""Every learner, and a panel, through the workflow."""

import json

import numpy as np
import pandas as pd
import pytest

from nanotarget.cli import flags
from nanotarget.report.tables.calibrate import _learner_notes
from running import own_ids, run_tiny
from tiny_study import tiny_study

pytestmark = pytest.mark.workflow


@pytest.mark.long
def test_auto_compares_all_learners_and_says_which_it_took(project, tmp_path):
    study = tiny_study()
    study.config["calibration"]["analyse"] = "choice"
    study.config["calibrate"] = {
        "learner": "auto",
        "candidates": ["ridge", "hierarchical", "boosting", "bart"],
        "folds": 2,
        "bart": {"trees": 5, "draws": 20, "burn_in": 5, "chains": 1},
    }
    results = run_tiny(project, tmp_path / "auto", study, "learn")
    learners = pd.read_csv(results / "calibrate/learners.csv").set_index("learner")
    assert list(learners.index) == ["ridge", "hierarchical", "boosting", "bart"]
    assert learners["loss"].notna().all() and learners["loss_null"].nunique() == 1
    assert learners["chosen"].sum() == 1
    assert "loss" in learners.loc[learners["chosen"], "reason"].iloc[0]
    assert learners["rhat"].notna().tolist() == [False, False, False, True]
    assert "not converged" in learners.loc["bart", "warning"] and not learners.loc["bart", "chosen"]
    assert "passed over because it has not converged: bart" in learners["reason"].str.cat()
    settings = json.loads((results / "private/calibrate/model/model.json").read_text(encoding="utf-8"))
    assert settings["learner"] == learners.index[learners["chosen"]][0]


@pytest.mark.long
def test_chains_that_have_not_converged_warn_wherever_their_result_is_read(project, tmp_path):
    study = tiny_study()
    study.config["calibrate"] = {
        "learner": "bart",
        "bart": {"trees": 3, "draws": 20, "burn_in": 0, "chains": 1},
    }
    study.config["diagnose"] = {"permutations": 0}
    results = run_tiny(project, tmp_path / "bart", study, "diagnose")
    learners = pd.read_csv(results / "calibrate/learners.csv")
    warning = learners["warning"].iloc[0]
    assert "the chains have not converged (R-hat" in warning
    verdict = json.loads((results / "diagnose/verdict.json").read_text(encoding="utf-8"))
    flag = f"learner: {warning}."
    assert flag in verdict["flags"]
    assert warning[1:] in (results / "diagnose/answer.html").read_text(encoding="utf-8")
    assert flag in flags("diagnose", results) and flag in flags(
        "report", results
    )  # the terminal's last lines
    assert f"bart: {warning}." in _learner_notes(learners)  # under the report's table of learners


def test_a_panel_uses_peoples_own_answers(project, tmp_path):
    study = tiny_study()
    study.experiment = study.experiment.iloc[:30].copy()
    study.experiment["id"] = [f"c{i}" for i in range(1, 31)]
    ratings = study.calibration["sector"].map({"Energy": 2, "Transport": 5, "Housing": 8})
    number = study.calibration["id"].str[1:].astype(int)
    own, level = number % 2, number % 3 - 1  # half of the people like the opposite; some like everything more
    noise = np.random.default_rng(1).integers(-1, 2, len(ratings))
    study.calibration["rating"] = (ratings.where(own == 1, 10 - ratings) + level + noise).astype("str")
    study.config["samples"] = "panel"
    study.config["calibrate"] = {
        "learner": "hierarchical",
        "information": "covariates + own answers",
        "folds": 3,
    }
    results = run_tiny(project, tmp_path / "panel", study, "diagnose", "assign")
    crossfit = pd.read_parquet(results / "private/calibrate/crossfit.parquet")
    assert crossfit.groupby("respondent_id")["fold"].nunique().min() > 1
    assignments = pd.read_parquet(results / "private/assign/assignments.parquet")
    nano = assignments[assignments["policy"] == "nano"].set_index("respondent_id")["Sector"]
    odd = nano.index.map(own_ids(results, "experiment")).str[1:].astype(int) % 2 == 1
    # Six noisy answers: nobody gets what she likes least, most get what they like best.
    assert (nano[odd] != "Energy").all() and (nano[~odd] != "Housing").all()
    assert (nano[odd] == "Housing").mean() > 0.6
    assert (nano[~odd] == "Energy").mean() > 0.6
    verdict = json.loads((results / "diagnose/verdict.json").read_text(encoding="utf-8"))
    assert verdict["gain"] > 1


@pytest.mark.long
def test_whether_people_would_sign_each_petition_is_an_outcome(project, tmp_path):
    study = tiny_study("wide")
    likes = study.calibration["party"].map({"Left": "Energy", "Right": "Housing", "None": "Transport"})
    for name in [name for name in study.calibration if name.endswith("_rating")]:
        sector = study.calibration[name.replace("rating", "sector")]
        study.calibration[name.replace("rating", "sign")] = np.where(sector == likes, "Yes", "No")
    study.config["calibration"] |= {
        "outcomes": {"would_sign": {"column": "t{task}_p{profile}_sign"}},
        "analyse": "would_sign",
    }
    results = run_tiny(project, tmp_path / "sign", study, "calibrate", "diagnose", "assign")
    amce = pd.read_csv(results / "calibrate/amce.csv")
    assert set(amce["outcome"]) == {"would_sign"}
    verdict = json.loads((results / "diagnose/verdict.json").read_text(encoding="utf-8"))
    assert verdict["unit"] == "in the probability to sign"
    assert 0.2 < verdict["gain"] < 1
    assignments = pd.read_parquet(results / "private/assign/assignments.parquet")
    nano = assignments[assignments["policy"] == "nano"].set_index("respondent_id")
    party = pd.read_parquet(results / "private/clean/experiment.parquet").set_index("respondent_id")["party"]
    assert (nano.loc[party[party == "Left"].index, "Sector"] == "Energy").mean() > 0.8
    assert nano["predicted"].between(-0.2, 1.2).all()
