"""A run beside the recorded one: rounding, other numbers, other words, what is missing."""

import importlib.util
import shutil

import numpy as np
import pandas as pd
import pytest

from nanotarget.study import artefacts
from nanotarget.study.provenance import Rule, manifest
from nanotarget.study.replication import MOST_ROWS, RECORD, compared, recorded, write_record

TABLE = pd.DataFrame(
    {"term": ["a", "b"], "estimate": [0.5, -1 / 3], "std_error": [0.1, np.nan], "note": ["", "x"]}
)


@pytest.fixture
def run(project, tmp_path, monkeypatch):
    """The recorded run of a study in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(project / "config.yaml", "config.yaml")
    results = tmp_path / "results/climate_petition"
    artefacts.write_csv(TABLE, results / "estimate/effects.csv")
    artefacts.write_csv(pd.DataFrame({"x": range(MOST_ROWS + 1)}), results / "private/assign/lookup.csv")
    artefacts.write_csv(TABLE, results / "tables/effects.csv")
    artefacts.write_text("page", results / "report.html")
    manifested(results)
    write_record(recorded(results), tmp_path / "data/climate_petition" / RECORD)
    return results


def manifested(results, versions=("numpy", "2")):
    files = [
        str(file) for file in sorted(results.rglob("*")) if file.is_file() and file.name != "manifest.json"
    ]
    made = manifest(results, [Rule("all", [], files, {})], [], {"study": "x"}, dict([versions]))
    artefacts.write_json(made, results / "manifest.json")


def found(results):
    manifested(results)
    return compared(results, artefacts.read_json(results.parents[1] / "data/climate_petition" / RECORD))


def test_the_same_run_has_the_same_bytes(run):
    assert found(run).same == 4 and found(run).different == [] and found(run).surroundings == []


def test_numbers_are_kept_of_small_tables_that_nothing_else_holds(run):
    numbers = recorded(run)["numbers"]
    assert numbers == {"estimate/effects.csv": {"estimate": [0.5, -0.333333333333], "std_error": [0.1, None]}}


@pytest.mark.parametrize(
    ("change", "relative", "said"),
    [
        (
            {"estimate": [0.5 * (1 + 1e-9), -1 / 3]},
            1e-9,
            "column estimate, row 1: 0.5000000005 instead of 0.5",
        ),
        ({"estimate": [0.5, -0.3]}, 0.1, "row 2: -0.3 instead of -0.333333333333"),
        ({"term": ["a", "c"]}, 0.0, "the same numbers, other words"),
        ({"std_error": [0.1, 0.2]}, np.inf, "not the same cells are empty"),
        ({"estimate": [np.inf, -1 / 3]}, np.inf, "empty or infinite"),
        ({"df": [1.0, 2.0]}, np.inf, "not the same columns of numbers (df)"),
    ],
)
def test_a_difference_is_measured(run, change, relative, said):
    artefacts.write_csv(TABLE.assign(**change), run / "estimate/effects.csv")
    (difference,) = found(run).different
    assert difference.path == "estimate/effects.csv" and said in difference.what
    assert difference.relative == pytest.approx(relative, rel=1e-2)


def test_rows_and_files_that_are_not_there_are_named(run):
    artefacts.write_csv(TABLE.head(1), run / "estimate/effects.csv")
    (run / "report.html").unlink()
    artefacts.write_text("new", run / "other.html")
    said = {d.path: d.what for d in found(run).different}
    assert said == {
        "estimate/effects.csv": "1 rows instead of 2",
        "other.html": "not in the reference run",
        "report.html": "missing",
    }


def test_what_has_no_numbers_differs_in_bytes(run):
    artefacts.write_text("another page", run / "report.html")
    (difference,) = found(run).different
    assert np.isnan(difference.relative) and difference.path == "report.html"


@pytest.fixture
def script(project):
    spec = importlib.util.spec_from_file_location("v", project / "workflow/scripts/verify_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_replicator_reads_what_differs(run, script, capsys):
    assert script.main(["config.yaml"]) == 0
    assert "all 4 artefacts have the bytes of the reference run" in capsys.readouterr().out
    artefacts.write_csv(TABLE.assign(estimate=[0.5 + 1e-10, -1 / 3]), run / "estimate/effects.csv")
    artefacts.write_text("another page", run / "report.html")
    manifested(run, ("numpy", "3"))
    assert script.main(["config.yaml"]) == 1
    said = capsys.readouterr().out
    assert "2 of 4 artefacts differ" in said and "estimate/effects.csv: by up to 2.0e-10" in said
    assert "agree within 1e-06" in said and "numpy 3 instead of 2" in said
    assert script.main(["config.yaml", "--record"]) == 0 and script.main(["config.yaml"]) == 0


def test_a_run_that_its_own_manifest_does_not_describe_is_not_compared(run, script, capsys):
    artefacts.write_text("edited", run / "report.html")
    assert script.main(["config.yaml"]) == 1
    assert "make verify" in capsys.readouterr().err
