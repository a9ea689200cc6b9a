"""The reference study as a user runs it: same bytes, nothing half-done."""

import base64
import hashlib
import html
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from forked import snakemake_forked
from nanotarget.report.catalogue import CATALOGUE
from nanotarget.report.deposit.assemble import assemble
from nanotarget.report.deposit.package import Package, code_of
from nanotarget.study.checks import read_study
from nanotarget.study.replication import RECORD
from running import artefacts, copy_project, snakemake, spare, study_in
from tiny_study import tiny_study

pytestmark = pytest.mark.workflow
REFERENCE_STUDY = "results/climate_petition"


LOOKED_AT = ["age", "party", "climate_concern"]  # covariates: numbers and categories, with missing values


def quicken(folder):
    """Let a copy learn the reference study from few covariates in few folds: the same rules and files."""
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert config["calibrate"]["learner"] == "ridge"
    config["calibrate"] |= {"folds": 2}
    for covariate in config["covariates"]:
        covariate["target"] = covariate["name"] in LOOKED_AT
    config["diagnose"]["ladder"] = [{"name": "Party", "covariates": ["party"]}]
    config["assign"]["permutations"] = 1
    spare(config)
    path.write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return folder


def verify(folder):
    command = [sys.executable, "workflow/scripts/verify.py", "config.yaml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def pickled(path):
    """Whether a file, or an array in it, is a pickle."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            try:
                return any(archive[name].dtype.hasobject for name in archive.files)
            except ValueError:  # numpy refuses the first array of objects
                return True
    content = path.read_bytes()
    return content[:1] == b"\x80" and content[1:2] <= b"\x05" and content[-1:] == b"."


def allowed_beyond(page):
    """What a page holds, or its policy allows, beyond its own style, script and embedded pictures."""
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    if policy is None:
        return ["no policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in html.unescape(policy[1]).split(";"))
    wanted = {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "img-src": "data:"}
    wrong = [name for name, value in wanted.items() if rules.get(name) != value]
    for kind in ("style", "script"):
        texts = re.findall(rf"<{kind}[^>]*>(.*?)</{kind}>", page, re.S)
        own = [f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in texts]
        wrong += [] if rules[f"{kind}-src"] == (" ".join(own) or "'none'") else [kind]
    return wrong + re.findall(r"<[^>]* (?:on\w+=|src=(?![\"']?data:)|href=[\"']?javascript)", page)


# What does not depend on what `quicken` changes: it must have the bytes of the recorded reference run.
ALIKE = (
    "clean/",
    "private/clean/",
    "estimate/",
    "calibrate/amce",
    "calibrate/marginal_means",
    "explore/subgroups",
)
SPARED = ("estimate/randomization",)


@pytest.fixture(scope="module")
def two_cores(project, tmp_path_factory):
    folder = quicken(copy_project(project, tmp_path_factory.mktemp("two cores") / "a b"))
    result = snakemake_forked(folder, folder, "--cores", "2")
    assert result.returncode == 0, result.stdout
    return folder


def test_the_reference_study_runs_from_raw_data_to_report(two_cores):
    results = two_cores / REFERENCE_STUDY
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "simulated" in page.lower()
    verdict = json.loads((results / "diagnose/verdict.json").read_text())
    assert (verdict["overall"], verdict["rule"]) == ("DO NOT DEPLOY", "DOES NOT PAY")  # by three covariates
    assert not list(results.rglob("*.tmp"))


def test_every_figure_and_table_that_was_made_is_listed(two_cores):
    results = two_cores / REFERENCE_STUDY
    made = {
        path.relative_to(results).with_suffix("").as_posix()
        for folder in ("figures", "tables")
        for path in (results / folder).iterdir()
    }
    page = (two_cores / "docs/figures.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`((?:figures|tables)/\w+)`", page))
    assert len(made) > 25
    assert made <= listed  # other studies have more: arms of a roster, effects among those reached


def test_the_recorded_reference_run_is_one_of_this_code(two_cores):
    """No run of its own: of this one the artefacts that the learner does not touch."""
    record = json.loads((two_cores / "data/climate_petition" / RECORD).read_text(encoding="utf-8"))
    own = json.loads((two_cores / REFERENCE_STUDY / "manifest.json").read_text(encoding="utf-8"))
    again = "stale: run `make reference` and commit data/climate_petition"
    assert {row["path"]: row["sha256"] for row in own["inputs"]} == record["inputs"], again
    alike = {row["path"]: row["sha256"] for row in own["artefacts"]}
    alike = {
        path: sha for path, sha in alike.items() if path.startswith(ALIKE) and not path.startswith(SPARED)
    }
    assert len(alike) > 20
    assert [path for path, sha in alike.items() if record["artefacts"].get(path) != sha] == [], again
    assert own["artefacts"] and {row["path"] for row in own["artefacts"]} == set(record["artefacts"]), again


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


def test_no_name_of_a_raw_column_reaches_a_reader(two_cores):
    config = yaml.safe_load((two_cores / "config.yaml").read_text(encoding="utf-8"))
    raw = {covariate["name"] for covariate in config["covariates"]} | {"support_group", "RecipientEmail"}
    raw |= {rule["column"] for rule in config["calibration"]["exclusions"]}
    raw = {name for name in raw if "_" in name or not name.islower()} - {"Finished"}
    assert len(raw) > 5
    for page in ("report.html", "diagnose/answer.html"):
        page = (two_cores / REFERENCE_STUDY / page).read_text("utf-8")
        text = re.sub(r"<(style|script)>.*?</\1>|<[^>]*>", " ", page, flags=re.S)
        assert {name for name in raw if re.search(rf"\b{name}\b", text)} == set()
        assert not re.search(r"nano (over|−|-) best", text)


READ_AS = {
    ".csv",
    ".json",
    ".parquet",
    ".npz",
    ".html",
    ".svg",
    ".pdf",
    ".png",
    ".tex",
    ".bib",
    ".docx",
    ".jsonl",
    ".md",
    "",
}


def test_no_file_of_results_is_a_pickle(two_cores, tmp_path):
    files = [path for path in (two_cores / REFERENCE_STUDY).rglob("*") if path.is_file()]
    assert len(files) > 200 and {path.suffix for path in files} <= READ_AS
    assert not [path for path in files if pickled(path)]
    np.savez(tmp_path / "bad.npz", a=np.array([{}], dtype=object))
    (tmp_path / "bad.csv").write_bytes(pickle.dumps([1, 2]))
    assert pickled(tmp_path / "bad.npz") and pickled(tmp_path / "bad.csv")


def test_every_page_forbids_scripts_other_than_its_own(two_cores):
    pages = sorted((two_cores / REFERENCE_STUDY).rglob("*.html"))
    assert len(pages) > 30
    assert not {path.name: found for path in pages if (found := allowed_beyond(path.read_text("utf-8")))}
    table = next(path for path in pages if path.parent.name == "tables").read_text("utf-8")
    for stranger in ("<script>1</script>", "<img src='https://a.b/c.png'>", '<p onclick="x()">'):
        assert allowed_beyond(table.replace("<body>", f"<body>{stranger}"))
    assert allowed_beyond(table.replace("default-src 'none'", "default-src *"))


def test_the_reference_study_is_ready_for_an_archive_but_for_what_this_copy_changed(two_cores, monkeypatch):
    monkeypatch.chdir(two_cores)
    study, results = read_study(Path("config.yaml")), Path(REFERENCE_STUDY)
    package = Package(study, Path("config.yaml"), results, two_cores, code_of(two_cores))
    files, checks = assemble(package)
    still = {check.item: check.found for check in checks if check.found}
    assert set(still) <= {"run time of every program"}, still
    assert len(package.exhibits) > 60 and not [path for path in files if "/private/" in path]
    assert {"code/Snakefile", "study/config.yaml", "study/data/climate_petition/experiment.csv"} <= set(files)


def test_the_report_of_snakemake_has_every_exhibit_with_its_caption(two_cores, tmp_path):
    report = ["--cores", "1", "--report", str(tmp_path / "study.html")]
    result = snakemake_forked(two_cores, two_cores, *report)
    assert result.returncode == 0, result.stdout
    report = (tmp_path / "study.html").read_text("utf-8")
    made = [
        exhibit
        for exhibit in CATALOGUE
        if (two_cores / REFERENCE_STUDY / f"{exhibit.kind}/{exhibit.name}.csv").is_file()
    ]
    assert len(made) > 60
    assert not [
        exhibit.name
        for exhibit in made
        if json.dumps(exhibit.caption)[1:-1] not in report or exhibit.stage.capitalize() not in report
    ]
    assert "All of the study on one page" in report


def test_a_second_run_has_nothing_to_do(two_cores):
    result = snakemake_forked(two_cores, two_cores, "--cores", "1", "--dry-run")
    assert "Nothing to be done" in result.stdout


def run_after_a_kill(folder, results, last, *arguments):
    """Kill a run on one core once raw data are clean, and let another one end; return what that made."""
    arguments = [*arguments, "--cores", "1", "--nolock"]
    command = [sys.executable, "-m", "snakemake", *arguments]
    killed = subprocess.Popen(command, cwd=folder, start_new_session=True, stdout=-3, stderr=-3)
    deadline = time.monotonic() + 300
    while not (results / "private/clean/calibration.parquet").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert (results / "private/clean/calibration.parquet").exists() and not (results / last).exists()
    result = snakemake(folder, *arguments, "--rerun-incomplete")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (results / last).exists()
    return artefacts(results)


def test_one_core_after_a_kill_ends_with_the_bytes_of_forks_on_two(project, tmp_path):
    study = tiny_study()
    beside = study_in(tmp_path / "two cores", study)
    folder = copy_project(project, tmp_path / "one core")
    study.write(folder)
    run = ["choose", "effects", "randomization", "--configfile", "study.yaml"]
    last = "private/assign/assignments.parquet"
    made = run_after_a_kill(folder, folder / "results/tiny", last, *run)
    result = snakemake_forked(project, beside, *run, "--cores", "2")
    assert result.returncode == 0, result.stdout
    whole = artefacts(beside / "results/tiny")
    assert sorted(made) == sorted(whole)
    assert {"estimate/effects.csv", "estimate/randomization_inference.csv", last} <= set(made)
    assert [path for path in made if made[path] != whole[path]] == []


@pytest.mark.long
def test_the_reference_study_after_a_kill_has_the_same_bytes(project, two_cores, tmp_path):
    folder = quicken(copy_project(project, tmp_path / "one core"))
    made = run_after_a_kill(folder, folder / REFERENCE_STUDY, "manifest.json")
    whole = artefacts(two_cores / REFERENCE_STUDY)
    assert sorted(made) == sorted(whole) and len(made) > 200
    assert [path for path in made if made[path] != whole[path]] == []


def test_the_manifest_holds_the_checksum_of_the_registration(two_cores):
    manifest = json.loads((two_cores / REFERENCE_STUDY / "manifest.json").read_text(encoding="utf-8"))
    file = manifest["study"]["preregistration"]
    expected = hashlib.sha256((two_cores / file).read_bytes()).hexdigest()
    assert [row["sha256"] for row in manifest["inputs"] if row["path"] == file] == [expected]


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
