"""The pipeline as a user runs it: same bytes, nothing half-done, real data sets against R."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

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
    folder = copy_project(project, tmp_path_factory.mktemp("two cores") / "a b")
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
    folder = copy_project(project, tmp_path / "one core")
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
