"""What a deposit holds and says, when it is refused, and that its bytes follow from what goes into it."""

import hashlib
import json
import re
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from nanotarget import cli
from nanotarget.report.deposit.assemble import assemble, executables
from nanotarget.report.deposit.checks import as_table
from nanotarget.report.deposit.package import Code, Package, code_of, without_data
from nanotarget.report.deposit.programs import programs
from nanotarget.report.deposit.readme import REQUIRED, duration
from nanotarget.report.deposit.runtimes import runtimes
from nanotarget.report.deposit.scan import traces
from nanotarget.report.deposit.writing import write
from nanotarget.study.artefacts import write_json
from nanotarget.study.checks import read_study
from nanotarget.study.provenance import Rule, manifest
from nanotarget.study.record import Made
from tiny_study import tiny_study

ANSWERS = {
    "authors": [{"given": "Ada", "family": "Example", "affiliation": "Invented University"}],
    "date": "2026-11-30",
    "summary": "A study.",
    "rights": "They are ours.",
    "access": "Write to the authors.",
    "data_licence": "CC0-1.0",
    "ethics": "Board of Invented University, 7/2026.",
    "sources": [
        {"file": file, "citation": f"Example, A. ({file}).", "collected": "By e-mail."}
        for file in ("calibration.csv", "experiment.csv")
    ],
    "instruments": ["questionnaire.txt"],
    "runtimes": "runtimes.csv",
}
MADE = {
    "clean": ["clean/flow.csv", "private/clean/experiment.parquet"],
    "effects": ["estimate/effects.csv"],
    "figures_of_experiment": ["figures/effects.csv", "figures/effects.svg"],
    "tables": ["tables/effects.csv", "tables/effects.html"],
    "disclose": ["disclosure.csv"],
}
AUDIT = "file,cell,rule,status,done\ntables/a.csv,row 1,fewer,accepted,pooled\n"
SCRIPTS = {
    f"workflow/scripts/{name}.py": b"" for name in ("clean", "effects", "figures", "tables", "disclose")
}
CODE = Code(
    {"Snakefile": b"# rules\n", ".ci/run": b"#!/bin/sh\n", **SCRIPTS}, frozenset({".ci/run"}), "c0ffee"
)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study in a folder of its own that was run and answers every question of an archive."""
    monkeypatch.chdir(tmp_path)
    tiny = tiny_study()
    tiny.config |= {"title": "A title", "deposit": ANSWERS}
    tiny.write(tmp_path)
    Path("questionnaire.txt").write_text("What is your age?\n")
    Path("runtimes.csv").write_text("rule,seconds\n" + "".join(f"{rule},60\n" for rule in MADE))
    results = Path("results/tiny")
    for paths in MADE.values():
        for path in paths:
            (results / path).parent.mkdir(parents=True, exist_ok=True)
            (results / path).write_text(AUDIT if path == "disclosure.csv" else f"content of {path}\n")
    rules = [
        Rule(rule, ["calibration.csv"], [str(results / path) for path in paths], {})
        for rule, paths in MADE.items()
    ]
    raw = ["calibration.csv", "experiment.csv"]
    content = manifest(results, rules, raw, {"study": "tiny"}, {"python": "3.11", "snakemake": "9.27"})
    write_json(content, results / "manifest.json")
    return tiny


def package(study, project, **answers):
    study.config["deposit"] = ANSWERS | answers
    return Package(read_study(study.write(Path())), Path("study.yaml"), Path("results/tiny"), project, CODE)


def found(checks):
    return {check.item: list(check.found) for check in checks if check.found}


def test_a_complete_study_has_nothing_open_and_its_people_stay_out(study, project):
    files, checks = assemble(package(study, project))
    assert found(checks) == {}
    assert {"README.md", "LICENSE.txt", "CITATION.cff", "codemeta.json", "checks.csv"} <= set(files)
    assert (
        "code/Snakefile" in files and "study/study.yaml" in files and "results/tables/effects.html" in files
    )
    assert not [path for path in files if "private" in path or path in ("study/calibration.csv",)]
    readme = files["README.md"].decode()
    assert re.findall(r"^#+ (.*)$", readme, re.M)[1:] and all(f"# {name}" in readme for name in REQUIRED)
    assert "Write to the authors." in readme and "about 5 minutes" in readme
    assert re.search(
        r"`results/figures/effects.csv` .*workflow/rules/report.smk`, \d+ .*figures/estimate.py:\d+`", readme
    )
    cited = yaml.safe_load(files["CITATION.cff"])
    assert cited["authors"] == [
        {"given-names": "Ada", "family-names": "Example", "affiliation": "Invented University"}
    ]
    assert b"# doi:" in files["CITATION.cff"]
    codebook = files["study/codebook.csv"].decode().splitlines()
    assert 'calibration.csv,email,"identifier, reaches no artefact",,' in codebook
    listed = dict(line.split("  ")[::-1] for line in files["SHA256SUMS"].decode().splitlines())
    assert set(listed) == set(files) - {"SHA256SUMS"}
    assert listed["README.md"] == hashlib.sha256(files["README.md"]).hexdigest()


@pytest.mark.parametrize(
    ("answers", "item", "says"),
    [
        ({"ethics": " "}, "ethics approval", "deposit.ethics is empty"),
        ({"authors": []}, "title, summary, authors and date", "deposit.authors is empty"),
        ({"rights": ""}, "data availability and rights", "deposit.rights"),
        ({"access": ""}, "data availability and rights", "deposit.access"),
        ({"data_licence": None}, "data availability and rights", "deposit.data_licence"),
        ({"sources": ANSWERS["sources"][:1]}, "every data set is cited", "experiment.csv"),
        ({"instruments": []}, "survey instruments", "no questionnaire"),
        ({"instruments": ["absent.pdf"]}, "files are there and lie in the study's folder", "absent.pdf"),
        ({"runtimes": None}, "run time of every program", "'clean'"),
        ({"data": "public"}, "no identifier in public data", "'email'"),
        ({"data": "public"}, "no trace of people, no path of this computer", "study/calibration.csv, line 2"),
        ({"summary": "Ask jo@uni-x.de"}, "no trace of people, no path of this computer", "README.md, line"),
    ],
)
def test_what_is_missing_is_open_and_said(study, project, answers, item, says):
    study.calibration["email"] = study.calibration["email"].str.replace("example.org", "uni-x.de")
    files, checks = assemble(package(study, project, **answers))
    assert says in " ".join(found(checks)[item])
    assert "SHA256SUMS" not in files
    table = as_table(checks)
    assert set(table["status"]) == {"ok", "OPEN"} and "jo@" not in table.to_csv()


def test_restricted_data_have_stand_ins_and_public_ones_have_none(study, project):
    made = package(study, project)
    stand_ins = {"calibration.csv": b"id\nSTANDIN\n", "experiment.csv": b"id\nSTANDIN\n"}
    files, checks = assemble(replace(made, stand_ins=stand_ins))
    assert not found(checks) and files["study/calibration.csv"] == b"id\nSTANDIN\n"
    assert "simulated stand-in |" in files["README.md"].decode() and "study/STAND_INS.txt" in files
    simulated = replace(made, study=made.study.model_copy(update={"synthetic": True}), stand_ins=stand_ins)
    assert simulated.files["study/calibration.csv"] == Path("calibration.csv")


def test_raw_data_in_a_folder_are_deposited_file_by_file(study, project):
    made = package(study, project, data="public")
    config = made.study.calibration.model_copy(update={"file": "people"})
    Path("people").mkdir()
    Path("calibration.csv").replace("people/1.csv")
    Path("people/2.csv").write_text("id\n1\n")
    split = replace(made, study=made.study.model_copy(update={"calibration": config}))
    assert {"study/people/1.csv", "study/people/2.csv", "study/experiment.csv"} <= set(split.files)


def test_results_that_were_edited_code_that_was_not_committed_and_open_cells_are_refused(study, project):
    Path("results/tiny/estimate/effects.csv").write_text("edited")
    changed = replace(package(study, project), code=replace(CODE, changed=("Snakefile",)))
    Path("results/tiny/disclosure.csv").write_text(AUDIT + "tables/a.csv,row 3,fewer,open,\n")
    _, checks = assemble(changed)
    assert found(checks)["no cell can be traced to people"] == ["tables/a.csv, row 3: fewer"]
    assert list(found(checks)) == [
        "results complete, and as they were made",
        "no cell can be traced to people",
        "code is the committed one",
    ]


def test_the_folder_and_the_zip_have_fixed_bytes(study, project, tmp_path):
    made = package(study, project)
    files, _ = assemble(made)
    first = write(files, executables(made), tmp_path / "a/tiny").read_bytes()
    (tmp_path / "b/tiny").mkdir(parents=True)
    (tmp_path / "b/tiny/old.txt").write_text("of an earlier deposit")
    second = write(assemble(made)[0], executables(made), tmp_path / "b/tiny")
    assert first == second.read_bytes()
    with zipfile.ZipFile(second) as archive:
        assert archive.namelist() == [f"tiny/{path}" for path in sorted(files)]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    on_disk = {
        p.relative_to(tmp_path / "b/tiny").as_posix() for p in (tmp_path / "b/tiny").rglob("*") if p.is_file()
    }
    assert on_disk == set(files)
    assert stat.S_IMODE((tmp_path / "b/tiny/code/.ci/run").stat().st_mode) == 0o755


def test_the_command_prints_the_questions_and_writes_nothing_while_one_is_open(
    study, project, monkeypatch, capsys
):
    monkeypatch.setattr("nanotarget.report.deposit.package.code_of", lambda _: CODE)
    monkeypatch.setattr("sys.argv", ["nanotarget", "deposit", "study.yaml"])
    study.config["deposit"] = ANSWERS | {"ethics": ""}
    study.write(Path())
    assert cli.main() == 1
    told = capsys.readouterr()
    assert re.search(r"^ethics approval +OPEN$", told.out, re.M) and "what to do: name board" in told.out
    assert told.err == "1 question open; nothing was written.\n" and not Path("deposits").exists()
    study.config["deposit"] = ANSWERS
    study.write(Path())
    assert cli.main() == 0
    assert "OPEN" not in capsys.readouterr().out and Path("deposits/tiny.zip").is_file()
    Path("results/tiny/manifest.json").unlink()
    assert cli.main() == 1 and "the study has not been run" in capsys.readouterr().err


def test_the_crate_links_every_step_to_its_program_and_every_file_is_there(study, project):
    files, _ = assemble(package(study, project))
    graph = {entity["@id"]: entity for entity in json.loads(files["ro-crate-metadata.json"])["@graph"]}
    assert len(graph) == len(json.loads(files["ro-crate-metadata.json"])["@graph"])
    referred = set(re.findall(r'"@id": "([^"]+)"', files["ro-crate-metadata.json"].decode()))
    outside = {identity for identity in referred - set(graph) if not identity.startswith("https://")}
    assert not outside
    run = graph["#run-effects"]
    assert run["instrument"] == {"@id": "code/workflow/scripts/effects.py"}
    assert run["result"] == [{"@id": "results/estimate/effects.csv"}]
    data = [e for e in graph.values() if "File" in e["@type"] and e["@id"] != "ro-crate-metadata.json"]
    assert {entity["@id"] for entity in data} <= set(files)
    assert graph["#run"]["instrument"] == graph["./"]["mainEntity"] == {"@id": "code/Snakefile"}


def test_code_outside_a_repository_leaves_out_what_is_ignored_and_data_of_people(tmp_path):
    for name in ("Snakefile", "data/real/raw.csv", "data/made/raw.csv", "data/made/DATA_ARE_SIMULATED.txt",
                 "results/x/a.csv", ".venv/b.py", "workflow/c.pyc", "survey.csv"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".gitignore").write_text("# ours\n.venv/\nresults/\n*.py[cod]\n/data/*/\n!/data/made/\n")
    code = code_of(tmp_path)
    assert code.commit == "" and code.changed == ()
    kept = without_data(code.files, ["survey.csv"])
    assert sorted(kept) == [
        ".gitignore",
        "Snakefile",
        "data/made/DATA_ARE_SIMULATED.txt",
        "data/made/raw.csv",
    ]


def test_costs_are_those_of_the_last_job_of_each_output_of_the_study():
    def job(rule, output, seconds, megabytes):
        return Made(rule, {output: ""}, {}, {}, {"cpu_s": seconds, "peak_mb": megabytes})

    jobs = [
        job("learn", "results/tiny/a", 9.0, 900),  # made again below
        job("learn", "results/tiny/a", 1.5, 100),
        job("learn", "results/tiny/b", 2.25, 300),
        job("effects", "results/tiny/c", 1.0, 50),
        job("effects", "results/other/c", 7.0, 70),
        Made("clean", {"results/tiny/d": ""}, {}),  # of a run that noted no cost
    ]
    table = runtimes(Path("results/tiny"), jobs)
    assert table.to_dict("records") == [
        {"rule": "effects", "seconds": 1.0, "megabytes": 50},
        {"rule": "learn", "seconds": 3.8, "megabytes": 300},
    ]


def test_every_rule_has_its_program(project):
    known = programs(project, ["effects", "manifest", "figures_of_experiment"])
    assert known["effects"].script == "workflow/scripts/effects.py"
    assert known["figures_of_experiment"].script == "workflow/scripts/figures.py"
    text = (project / known["effects"].file).read_text("utf-8").splitlines()
    assert text[known["effects"].line - 1] == "rule effects:"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("write to jo.doe@uni-x.de", "e-mail address"),
        ("from 134.76.1.9,", "IP address"),
        ("call +49 551 39 0 1234", "phone number"),
        ("DE89 3704 0044 0532 0130 00", "IBAN"),
        ("/" + "home/jo/data.csv", "absolute path"),
        ("C:\\Users\\jo", "absolute path"),
    ],
)
def test_traces_of_people_and_computers_are_found(text, what):
    assert [(trace.what, trace.line) for trace in traces(f"a line\n{text}\n")] == [(what, 2)]


@pytest.mark.parametrize(
    "text",
    [
        "a@example.org",
        "192.0.2.7",
        "version 1.2.3.4000",
        "0.25 [-0.10, 0.60]",
        "+0.25 0.31",
        "GB82 WEST 1234 5698 7654 33",
        "data:image/png;base64,aB/home/xyz0a==",
        "<path d='M 10.5 20.5'/>",
        "n/home/x",
        "DE89 3704 0044 0532 0130 01",
    ],
)
def test_what_is_nobodys_is_no_trace(text):
    assert traces(text) == []


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 seconds"), (80, "80 seconds"), (100, "2 minutes"), (9000, "2 hours")]
)
def test_a_time_is_said_as_one_would(seconds, said):
    assert duration(seconds) == said
