"""Manifest and verify: what is listed, what is noticed, what never appears."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest

from nanotarget.study import artefacts, provenance
from nanotarget.study.provenance import AGAIN, REMOVE, RESTORE, Rule, manifest, packages, verify


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder with its manifest, and the working directory above it."""
    monkeypatch.chdir(tmp_path)
    folder = Path("results/x")
    artefacts.write_text("a\n", folder / "clean/flow.csv")
    artefacts.write_text("b\n", folder / "model/one.json")
    artefacts.write_text("c\n", folder / "model/deep/two.json")
    artefacts.write_text("raw\n", "data/raw.csv")
    write(folder)
    return folder


def rules(folder: Path) -> list[Rule]:
    return [
        Rule("clean", ["data/raw.csv"], [f"{folder}/clean/flow.csv"], {"seed": 1, "b": None}),
        Rule("learn", [f"{folder}/clean/flow.csv"], [f"{folder}/model"], {}),
    ]


def write(folder: Path) -> None:
    content = manifest(
        folder, rules(folder), ["data/raw.csv"], {"study": "x", "root_seed": 7}, {"numpy": "2"}
    )
    artefacts.write_json(content, folder / "manifest.json")


def test_only_their_owner_reads_files_of_people_and_the_manifest_says_which_they_are(results):
    rows = pd.DataFrame({"a": [1]})
    artefacts.write_csv(rows, results / "private/a.csv")
    artefacts.write_parquet(rows, results / "private/a.parquet")
    artefacts.write_csv(rows, results / "private/a.csv")
    for name in ("a.csv", "a.parquet"):
        assert (results / "private" / name).stat().st_mode & 0o777 == 0o600
    assert (results / "clean/flow.csv").stat().st_mode & 0o077
    made = [Rule("assign", [], [f"{results}/private/a.csv", f"{results}/clean/flow.csv"], {})]
    listed = manifest(results, made, [], {}, {})["artefacts"]
    assert {row["path"]: row["private"] for row in listed} == {"clean/flow.csv": False, "private/a.csv": True}


def test_the_manifest_lists_every_artefact_with_its_checksum_and_rule(results):
    content = json.loads((results / "manifest.json").read_text())
    assert content["study"] == {"study": "x", "root_seed": 7} and content["packages"] == {"numpy": "2"}
    assert [(row["path"], row["rule"]) for row in content["artefacts"]] == [
        ("clean/flow.csv", "clean"),
        ("model/deep/two.json", "learn"),
        ("model/one.json", "learn"),
    ]
    assert content["artefacts"][0]["sha256"] == hashlib.sha256(b"a\n").hexdigest()
    assert content["artefacts"][0]["bytes"] == 2
    assert content["inputs"][0] == {
        "path": "data/raw.csv",
        "sha256": hashlib.sha256(b"raw\n").hexdigest(),
        "bytes": 4,
    }
    assert content["rules"]["clean"]["inputs"] == ["data/raw.csv"]
    assert content["rules"]["clean"]["parameters_sha256"] == provenance.digest({"b": None, "seed": 1})
    assert content["rules"]["clean"]["parameters_sha256"] != content["rules"]["learn"]["parameters_sha256"]


def test_an_untouched_folder_matches(results):
    assert verify(results) == ({}, 3)


def test_changed_missing_and_unknown_files_are_named(results):
    artefacts.write_text("other\n", results / "clean/flow.csv")
    (results / "model/one.json").unlink()
    artefacts.write_text("new\n", results / "extra/new.csv")
    assert verify(results)[0] == {
        AGAIN: [
            "clean/flow.csv: changed since rule clean made it",
            "model/one.json: missing (made by rule learn)",
        ],
        REMOVE: ["extra/new.csv: unknown, no rule made it"],
    }


def test_a_changed_input_is_named_and_an_absent_one_is_not_asked_for(results):
    artefacts.write_text("RAW\n", "data/raw.csv")
    assert verify(results)[0] == {RESTORE: ["data/raw.csv: input changed since the results were made"]}
    Path("data/raw.csv").unlink()
    assert verify(results)[0] == {}


def test_the_registration_is_in_the_manifest_with_its_checksum(project, monkeypatch):
    monkeypatch.chdir(project)
    file = "data/climate_petition/preregistration.yaml"
    content = manifest("results/climate_petition", [], [file], {"study": "climate_petition"}, {})
    expected = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    assert content["inputs"] == [{"path": file, "sha256": expected, "bytes": Path(file).stat().st_size}]


def test_leftovers_of_a_killed_job_and_the_simulation_are_no_artefacts(results):
    artefacts.write_text("half", results / "clean/.flow.csv.123.tmp")
    artefacts.write_text("x", results / "simulated/calibration.csv")
    assert verify(results)[0] == {}
    write(results)
    assert verify(results) == ({}, 3)


def test_an_absolute_path_is_never_published(tmp_path):
    file = tmp_path / "secret" / "raw.csv"
    artefacts.write_text("x", file)
    content = manifest(tmp_path, [Rule("r", [str(file)], [str(file)], {})], [file], {}, {})
    assert content["inputs"][0]["path"] == "raw.csv" and content["rules"]["r"]["inputs"] == ["raw.csv"]
    assert str(tmp_path) not in json.dumps(content)


def test_files_of_the_library_have_one_name_wherever_the_study_lies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    artefacts.write_text("x", "out.csv")
    file = os.path.relpath(provenance.__file__)
    content = manifest(tmp_path, [Rule("r", [file], [], {})], [], {}, {})
    assert content["rules"]["r"]["inputs"] == ["workflow/nanotarget/study/provenance.py"]


def test_packages_are_what_results_rest_on():
    found = packages()
    first, *others = found
    assert first == "python" and others == sorted(others)
    assert found["numpy"] == metadata.version("numpy") and "contourpy" in found
    assert "pytest" not in found and "ruff" not in found
    assert "jinja2" in found


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = project / "workflow/scripts/verify.py"
    return subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, check=False
    )


def test_the_script_speaks_and_its_exit_code_tells(results, project):
    artefacts.write_text("study: x\n", "my.yaml")
    for argument in ("results/x", "my.yaml"):
        good = run(project, argument)
        assert (good.returncode, good.stdout) == (0, "all 3 artefacts match\n")
    artefacts.write_text("other\n", results / "clean/flow.csv")
    bad = run(project, "results/x")
    assert bad.returncode == 1 and "clean/flow.csv: changed" in bad.stdout
    assert "run the pipeline again" in bad.stdout and "delete" not in bad.stdout
    artefacts.write_text("RAW", "data/raw.csv")
    assert "Never delete raw data" in run(project, "results/x").stdout
    nothing = run(project, "results/y")
    assert nothing.returncode == 1 and "there is no manifest" in nothing.stderr
    artefacts.write_text("[]", results / "manifest.json")
    broken = run(project, "results/x")
    assert broken.returncode == 1 and "not a manifest" in broken.stderr and "Traceback" not in broken.stderr
