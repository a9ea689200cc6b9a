"""The pipeline as a user runs it: same bytes, nothing half-done, real data sets against R."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tiny_study import await_fielding, tiny_study

pytestmark = pytest.mark.workflow
REFERENCE_STUDY = "results/climate_petition"


def copy_project(project, folder):
    """Copy what git would hand out (committed or about to be) into a folder with a space in its name."""
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        if (project / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(project / name, target)
    (folder / "python env").symlink_to(sys.prefix)
    return folder


def quicken(folder):
    """Let the reference study of a copy sample few trees: the same rules and files in a tenth of the time."""
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert config["calibrate"]["learner"] == "bart"
    config["calibrate"]["bart"] = {"trees": 10, "draws": 40, "burn_in": 10, "chains": 1}
    config["assign"]["permutations"] = 1
    path.write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return folder


def snakemake(folder, *arguments, **options):
    """Run Snakemake in a folder with an interpreter whose path has a space in it."""
    python = folder / "python env" / "bin" / "python"
    command = [str(python), "-m", "snakemake", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, **options)


def verify(folder):
    command = [sys.executable, "workflow/scripts/verify.py", "config.yaml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def two_cores(project, tmp_path_factory):
    folder = quicken(copy_project(project, tmp_path_factory.mktemp("two cores") / "a b"))
    result = snakemake(folder, "--cores", "2")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_the_reference_study_runs_from_raw_data_to_report(two_cores):
    results = two_cores / REFERENCE_STUDY
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "simulated" in page.lower()
    assert json.loads((results / "diagnose/verdict.json").read_text())["overall"] == "DO NOT DEPLOY"
    assert not list(results.rglob("*.tmp"))


def test_no_identifier_and_no_path_of_this_machine_reaches_an_artefact(two_cores):
    needles = [b"@example", b"198.51.100.", b"203.0.113.", str(two_cores).encode()]
    needles += [os.uname().nodename.encode() + b"/", b"python env"]
    found = [
        (path.name, needle)
        for path in (two_cores / "results").rglob("*")
        if path.is_file() and "simulated" not in path.parts
        for needle in needles
        if needle in path.read_bytes()
    ]
    assert not found


def test_a_second_run_has_nothing_to_do(two_cores):
    result = snakemake(two_cores, "--cores", "1", "--dry-run")
    assert "Nothing to be done" in result.stdout + result.stderr


def test_one_core_after_a_kill_ends_with_the_same_bytes(project, two_cores, tmp_path):
    folder = quicken(copy_project(project, tmp_path / "one core"))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nolock"]
    killed = subprocess.Popen(command, cwd=folder, start_new_session=True, stdout=-3, stderr=-3)
    deadline = time.monotonic() + 60
    while (
        not (folder / REFERENCE_STUDY / "clean/calibration.parquet").exists() and time.monotonic() < deadline
    ):
        time.sleep(0.1)
    time.sleep(1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (folder / REFERENCE_STUDY / "manifest.json").exists()
    result = snakemake(folder, "--cores", "1", "--nolock", "--rerun-incomplete")
    assert result.returncode == 0, result.stdout + result.stderr
    first, second = (f / REFERENCE_STUDY for f in (two_cores, folder))
    names = sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file())
    left_over = sorted(p for p in second.rglob(".*.tmp"))
    for path in left_over:  # of the killed job; not an artefact
        path.unlink()
    assert names == sorted(p.relative_to(second) for p in second.rglob("*") if p.is_file())
    assert [n for n in names if (first / n).read_bytes() != (second / n).read_bytes()] == []


def test_verify_names_what_was_changed_removed_or_added(two_cores):
    assert verify(two_cores).returncode == 0
    results = two_cores / REFERENCE_STUDY
    changed, removed, added = (
        results / "estimate/effects.csv",
        results / "clean/flow.csv",
        results / "extra.csv",
    )
    kept = changed.read_bytes(), removed.read_bytes()
    try:
        changed.write_bytes(kept[0] + b"\n")
        removed.unlink()
        added.write_text("1")
        result = verify(two_cores)
    finally:
        changed.write_bytes(kept[0])
        removed.write_bytes(kept[1])
        added.unlink(missing_ok=True)
    text = result.stdout + result.stderr
    assert result.returncode == 1
    assert "Traceback" not in text
    assert all(name in text for name in ("effects.csv", "flow.csv", "extra.csv"))


@pytest.fixture(scope="module")
def examples(project, reference, tmp_path_factory):
    """Run every example on the reference data; returns the folder."""
    folder = copy_project(project, tmp_path_factory.mktemp("examples") / "project")
    for path in sorted((project / "examples").glob("*.yaml")):
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        for sample in ("calibration", "experiment"):
            if sample in config:
                config[sample]["file"] = config[sample]["file"].replace("../shared", str(reference))
        (folder / "examples" / path.name).write_text(
            yaml.safe_dump(config, allow_unicode=True), encoding="utf-8"
        )
        result = snakemake(folder, "--cores", "2", "--configfile", f"examples/{path.name}")
        assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture(scope="module")
def roster(project, tmp_path_factory):
    """Randomise a roster, then run all of the study with people who came and left; returns both results."""
    folder = copy_project(project, tmp_path_factory.mktemp("roster") / "project")
    study = tiny_study()
    await_fielding(study)
    study.config["design"]["attributes"][0]["levels"][0] = "-Energy"
    study.calibration["sector"] = study.calibration["sector"].replace("Energy", "-Energy")
    study.roster.loc[3, "personal"] = "No"
    everyone, kept = study.roster, {}
    study.roster = everyone.iloc[:20]
    for wave, target in (("first", "assign"), ("same", "all"), ("second", "all")):
        if wave == "second":
            study.roster = everyone.iloc[2:].sample(frac=1, random_state=1)
        study.write(folder)
        result = snakemake(folder, target, "--cores", "1", "--configfile", "study.yaml")
        assert result.returncode == 0, result.stdout + result.stderr
        kept[wave] = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in [folder / "ledger/arms.csv", *(folder / "results/tiny/assign").iterdir()]
        }
    return folder, kept


def test_whoever_was_randomised_keeps_the_arm(roster):
    _, kept = roster
    first, second = kept["first"]["ledger/arms.csv"], kept["second"]["ledger/arms.csv"]
    assert first.count(b"\n") == 21
    assert second.startswith(first)
    assert second.count(b"\n") == 42
    arms, recorded = (
        pd.read_csv(io.BytesIO(content), dtype="str", keep_default_na=False, index_col="respondent_id")
        for content in (kept["second"]["results/tiny/assign/arms.csv"], second)
    )
    assert len(arms) == 39
    pd.testing.assert_frame_equal(arms, recorded.loc[arms.index])
    everybody = recorded["arm"].value_counts()  # 41 people in shares of 1 : 2 : 2
    assert everybody["control"] in (8, 9)
    assert everybody["nano"] in (16, 17)


def test_a_rerun_randomises_nobody_and_writes_the_same_bytes(roster):
    folder, kept = roster
    assert kept["first"] == {name: kept["same"][name] for name in kept["first"]}
    run = ["--cores", "1", "--configfile", "study.yaml"]
    assert "Nothing to be done" in snakemake(folder, "all", *run, "--dry-run").stdout
    result = snakemake(folder, "assign", *run, "--forcerun", "randomise")
    assert result.returncode == 0, result.stdout + result.stderr
    for name, content in kept["second"].items():
        assert (folder / name).read_bytes() == content


def test_the_export_holds_the_petition_of_everybodys_arm(roster):
    folder, _ = roster
    results = folder / "results/tiny"
    fielding = pd.read_csv(results / "assign/fielding.csv", dtype="str", keep_default_na=False)
    columns = ["respondent_id", "arm", "policy", "petition_id", "sector", "job", "cost", "petition_text"]
    assert list(fielding.columns) == columns
    assert (fielding.loc[fielding["arm"] == "control", columns[2:]] == "").all(axis=None)
    assignments = pd.read_parquet(results / "assign/assignments.parquet")
    assert assignments.groupby("respondent_id").size().tolist() == [4] * 39  # under every policy
    treated = fielding[fielding["arm"] != "control"].merge(assignments, on=["respondent_id", "policy"])
    assert len(treated) == (fielding["arm"] != "control").sum()
    assert treated["sector"].str.removeprefix("'").tolist() == treated["Sector"].astype("str").tolist()
    assert not fielding["sector"].str.startswith("-").any()
    best = assignments[(assignments["policy"] == "overall_best")]["petition_id"].unique()
    refused = assignments[assignments["respondent_id"] == "r4"]["petition_id"]
    assert refused.unique().tolist() == best.tolist()
    manifest = json.loads((results / "manifest.json").read_text(encoding="utf-8"))
    made = {row["path"]: row["rule"] for row in manifest["artefacts"]}
    assert made["clean/roster.parquet"] == "clean"
    assert made["assign/arms.csv"] == made["assign/arm_balance.csv"] == "randomise"
    assert made["assign/fielding.csv"] == "fielding"
    assert "Balance of the roster" in (results / "report.html").read_text(encoding="utf-8")


def run_tiny(project, folder, study):
    """Run a whole tiny study; return its results."""
    copy_project(project, folder)
    study.write(folder)
    result = snakemake(folder, "--cores", "2", "--configfile", "study.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "results/tiny"


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_auto_compares_all_learners_and_says_which_it_took(project, tmp_path, outcome):
    study = tiny_study()
    study.config["calibration"]["analyse"] = outcome
    study.config["calibrate"] = {
        "learner": "auto",
        "candidates": ["ridge", "hierarchical", "boosting", "bart"],
        "folds": 2,
        "bart": {"trees": 5, "draws": 20, "burn_in": 5, "chains": 2},
    }
    study.config["assign"] = {"permutations": 1, "segments": 2}
    results = run_tiny(project, tmp_path / "auto", study)
    learners = pd.read_csv(results / "calibrate/learners.csv").set_index("learner")
    assert list(learners.index) == ["ridge", "hierarchical", "boosting", "bart"]
    assert learners["loss"].notna().all() and learners["loss_null"].nunique() == 1
    assert learners["chosen"].sum() == 1
    assert "loss" in learners.loc[learners["chosen"], "reason"].iloc[0]
    assert learners["rhat"].notna().tolist() == [False, False, False, True]
    settings = json.loads((results / "calibrate/model/model.json").read_text(encoding="utf-8"))
    assert settings["learner"] == learners.index[learners["chosen"]][0]


def test_a_panel_uses_peoples_own_answers(project, tmp_path):
    study = tiny_study()
    study.experiment = study.experiment.iloc[:30].copy()
    study.experiment["id"] = [f"c{i}" for i in range(1, 31)]
    ratings = study.calibration["sector"].map({"Energy": 2, "Transport": 5, "Housing": 8})
    own = study.calibration["id"].str[1:].astype(int) % 2  # half of the people like the opposite
    noise = np.random.default_rng(1).integers(-2, 3, len(ratings))
    study.calibration["rating"] = (ratings.where(own == 1, 10 - ratings) + noise).astype("str")
    study.config["samples"] = "panel"
    study.config["calibrate"] = {
        "learner": "hierarchical",
        "information": "covariates + own answers",
        "folds": 3,
    }
    results = run_tiny(project, tmp_path / "panel", study)
    crossfit = pd.read_parquet(results / "calibrate/crossfit.parquet")
    assert crossfit.groupby("respondent_id")["fold"].nunique().min() > 1
    assignments = pd.read_parquet(results / "assign/assignments.parquet")
    nano = assignments[assignments["policy"] == "nano"].set_index("respondent_id")["Sector"]
    odd = nano.index.str[1:].astype(int) % 2 == 1
    assert (nano[odd] == "Housing").mean() > 0.8
    assert (nano[~odd] == "Energy").mean() > 0.8
    verdict = json.loads((results / "diagnose/verdict.json").read_text(encoding="utf-8"))
    assert verdict["gain"] > 1


def compare(ours, golden, keys, columns):
    """Return the number of numbers compared and the largest relative difference."""
    merged = golden.merge(ours, on=keys, suffixes=("_golden", ""), validate="1:1")
    assert len(merged) == len(golden)
    differences = [
        ((merged[column] - merged[f"{column}_golden"]).abs() / merged[f"{column}_golden"].abs()).max()
        for column in columns
    ]
    return len(merged) * len(columns), max(differences)


CONJOINTS = {
    "conjoint_climate_bs2013": ["choice"],
    "conjoint_candidates_sw2022": ["choice"],
    "conjoint_immigration_hhy2014": ["choice"],
    "conjoint_candidates_hhy2014_rating": ["choice", "rating"],
}


@pytest.mark.golden
@pytest.mark.parametrize("study", CONJOINTS)
def test_artefacts_of_real_conjoints_hold_the_numbers_of_r(examples, reference, study):
    ours = pd.read_csv(
        examples / f"results/{study}/calibrate/amce.csv",
        dtype={"level": str},
        keep_default_na=False,
        na_values=[""],
    )
    ours = ours[ours["estimator"] == "main_effects"]
    for outcome in CONJOINTS[study]:
        golden = pd.read_csv(
            reference / f"golden/{study}__amce_estimatr_{outcome}.csv",
            dtype={"level": str},
            keep_default_na=False,
            na_values=[""],
        )
        golden = golden[golden["se_type"] == "cluster_stata_CR1"].drop(columns="se_type")
        count, worst = compare(
            ours[ours["outcome"] == outcome],
            golden,
            ["attribute", "level"],
            ["estimate", "std_error", "statistic", "conf_low", "conf_high"],
        )
        assert count == 5 * len(golden)
        assert worst < 1e-8


@pytest.mark.golden
@pytest.mark.parametrize("study", ["exp_hillstrom_2008", "exp_levendusky_2016"])
def test_artefacts_of_real_experiments_hold_the_numbers_of_r(examples, reference, study):
    ours = pd.read_csv(examples / f"results/{study}/estimate/effects.csv")
    golden = pd.read_csv(reference / f"golden/{study}__effects.csv")
    for mine, theirs in (("dim", "dim_joint"), ("lin", "lin_joint")):
        rows = golden[(golden["estimator"] == theirs) & (golden["se_type"] == "HC2")]
        rows = rows.rename(columns={"p_holm_within_outcome": "p_adjusted"})[
            ["outcome", "contrast", "estimate", "std_error", "conf_low", "conf_high", "p_value", "p_adjusted"]
        ]
        count, worst = compare(
            ours[ours["estimator"] == mine], rows, ["outcome", "contrast"], list(rows.columns[2:])
        )
        assert count == 6 * len(rows)
        assert worst < 1e-8


@pytest.mark.golden
def test_the_best_petition_of_a_restricted_design_was_possible(examples, reference):
    prohibited = pd.read_csv(reference / "data/conjoint_immigration_hhy2014/prohibited_pairs.csv")
    assert len(prohibited) == 22
    petitions = pd.read_csv(examples / "results/conjoint_immigration_hhy2014/assign/petitions.csv")
    assert petitions["n_overall_best"].gt(0).sum() == 1
    levels = petitions.rename(
        columns={"CountryOfOrigin": "Country of Origin", "ReasonForApplication": "Reason for Application"}
    )
    for _, pair in prohibited.iterrows():
        hit = (levels[pair["attribute_1"]].str.lower() == pair["level_1"].lower()) & (
            levels[pair["attribute_2"]].str.lower() == pair["level_2"].lower()
        )
        assert not hit.any()
    check = json.loads((examples / "results/conjoint_immigration_hhy2014/check.json").read_text())
    assert "936960" in json.dumps(check)


@pytest.mark.golden
def test_the_best_of_336_petitions_is_found_by_enumeration(examples):
    results = examples / "results/conjoint_candidates_sw2022"
    part_worths = pd.read_parquet(results / "calibrate/model/coefficients.parquet")
    best = part_worths.loc[
        part_worths.groupby("attribute", sort=False)["average"].idxmax(), ["attribute", "level"]
    ]
    petitions = pd.read_csv(results / "assign/petitions.csv", dtype=str)
    chosen = petitions[petitions["n_overall_best"] != "0"].iloc[0]
    assert {a: chosen[a] for a in best["attribute"]} == dict(
        zip(best["attribute"], best["level"], strict=True)
    )


@pytest.mark.golden
def test_nothing_of_the_reference_study_leaks_into_another_one(examples):
    for path in sorted((examples / "results").iterdir()):
        assert path.name != "climate_petition"
        page = (path / "report.html").read_text(encoding="utf-8")
        assert "climate_petition" not in page
        assert "Citizens" not in page
    assert not Path(examples / "results/exp_hillstrom_2008/calibrate").exists()
    assert not Path(examples / "results/conjoint_climate_bs2013/estimate").exists()
