"""What was changed by hand is noticed by its checksum, whatever its time says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import Namedlist

from nanotarget.study import record
from nanotarget.study.artefacts import write_json, write_text
from nanotarget.study.problems import InputError
from nanotarget.study.record import changed, claim, recording, refuse_changed, refuse_unforced

RESULTS = Path("results/x")
CLEAN, EFFECTS, RAW = "results/x/clean.csv", "results/x/effects.csv", "raw.csv"


def work(rule: str, inputs: Namedlist, output: str, text: str) -> None:
    resources = {"mem_mb": 1000, "runtime": 5}
    with recording(SimpleNamespace(rule=rule, input=inputs, output=[output], resources=resources)):
        write_text(text, output)


@pytest.fixture(autouse=True)
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raw data, a cleaned table made from them, effects made from that."""
    monkeypatch.chdir(tmp_path)
    write_text("raw", RAW)
    write_text("code", "code.py")
    work("clean", Namedlist(fromdict={"raw": RAW, "library": "code.py"}), CLEAN, "clean")
    work("effects", Namedlist([CLEAN]), EFFECTS, "1.0")


def test_nothing_has_changed():
    assert changed(RESULTS) == {}
    refuse_changed(RESULTS, [CLEAN, EFFECTS])


def test_an_edited_artefact_is_made_again_and_refused_by_the_manifest():
    write_text("9.99", EFFECTS)
    said = f"{EFFECTS}: changed since rule effects made it; it and what follows is made again"
    assert changed(RESULTS) == {said: ["effects"]}
    with pytest.raises(InputError, match=f"{EFFECTS}(.|\n)*what rule effects wrote"):
        refuse_changed(RESULTS, [CLEAN, EFFECTS])
    work("effects", Namedlist([CLEAN]), EFFECTS, "1.0")
    assert changed(RESULTS) == {}


def test_raw_data_that_kept_their_time_are_noticed():
    before = Path(RAW).stat()
    write_text("RAW", RAW)
    os.utime(RAW, ns=(before.st_atime_ns, before.st_mtime_ns))
    said = f"{RAW}: changed since results were made from it; they are made again"
    assert changed(RESULTS) == {said: ["clean"]}


def test_what_a_newer_job_wrote_is_no_change_and_code_is_left_to_snakemake():
    work("clean", Namedlist([RAW]), CLEAN, "cleaner")
    write_text("other code", "code.py")
    assert changed(RESULTS) == {}


def test_plain_snakemake_is_told_what_to_type(monkeypatch):
    run = ["/env/bin/snakemake", "--cores", "1"]
    refuse_unforced(RESULTS, "my study.yaml", run)
    write_text("9.99", EFFECTS)
    with pytest.raises(InputError, match="changed since rule effects made it") as error:
        refuse_unforced(RESULTS, "my study.yaml", run)
    assert "type: nanotarget all 'my study.yaml'   (or add to your command: --forcerun effects)" in str(
        error.value
    )
    for told in ([*run, "--forcerun", "effects"], [*run, "--forceall"], [*run, "--lint"], ["pytest"]):
        refuse_unforced(RESULTS, "my study.yaml", told)
    monkeypatch.setenv(record.COMPARED, "1")
    refuse_unforced(RESULTS, "my study.yaml", run)


def test_other_studies_and_files_that_are_gone_are_not_asked_for():
    Path(EFFECTS).unlink()
    assert changed(RESULTS) == {}
    write_text("9.99", CLEAN)
    assert changed(Path("results/y")) == {}


def test_a_job_that_fails_records_nothing():
    with (
        pytest.raises(ValueError, match="no"),
        recording(SimpleNamespace(rule="r", input=Namedlist(), output=[])),
    ):
        raise ValueError("no")
    assert '"r"' not in record.RECORD.read_text()


def test_a_line_that_a_killed_job_left_half_written_is_passed_over():
    with record.RECORD.open("a") as file:
        file.write('\n{"rule": "ef')
    work("effects", Namedlist([CLEAN]), EFFECTS, "2.0")
    assert changed(RESULTS) == {}
    write_text("9.99", EFFECTS)
    assert len(changed(RESULTS)) == 1


def test_a_part_of_a_folder_that_is_gone_or_changed_is_made_again():
    """Snakemake knows only whether the folder is there."""
    folder = RESULTS / "roster.parquet"
    for parts in (3, 2):  # the second time people have left
        shutil.rmtree(folder, ignore_errors=True)
        job = {"rule": "clean", "input": Namedlist([RAW]), "resources": {"mem_mb": 1, "runtime": 1}}
        with recording(SimpleNamespace(**job, output=[str(folder)])):
            for number in range(parts):
                write_text(f"{parts}", folder / f"part-0000{number}.parquet")
    assert changed(RESULTS) == {}
    (folder / "part-00001.parquet").unlink()
    ((said, rules),) = changed(RESULTS).items()
    assert "part-00001.parquet: gone since rule clean made it" in said and rules == ["clean"]
    write_text("9", folder / "part-00001.parquet")
    assert "changed since rule clean made it" in next(iter(changed(RESULTS)))
    with pytest.raises(InputError, match=r"part-00001\.parquet"):
        refuse_changed(RESULTS, [str(folder)])


def test_without_a_record_the_manifest_tells():
    record.RECORD.unlink()
    assert changed(RESULTS) == {}
    artefacts = [{"path": "effects.csv", "sha256": "0", "rule": "effects"}]
    rules = {"effects": {"inputs": [RAW]}}
    write_json(
        {"inputs": [{"path": RAW, "sha256": "0"}], "artefacts": artefacts, "rules": rules},
        RESULTS / "manifest.json",
    )
    assert list(changed(RESULTS).values()) == [["effects"], ["effects"]]
    write_text("[]", RESULTS / "manifest.json")
    assert changed(RESULTS) == {}


def test_every_script_records_what_it_makes(project):
    scripts = [
        file for file in (project / "workflow/scripts").glob("*.py") if "reporting(" in file.read_text()
    ]
    assert len(scripts) > 20
    assert not [file.name for file in scripts if "recording(snakemake)" not in file.read_text()]


def test_two_configs_cannot_have_one_study():
    write_text("study: x", "one.yaml")
    write_text("study: x", "two.yaml")
    claim("x", Path("one.yaml"))
    claim("x", Path("./one.yaml"))
    with pytest.raises(InputError, match=r"two\.yaml: key study: one\.yaml describes a study 'x', too"):
        claim("x", Path("two.yaml"))
    write_text("study: y", "one.yaml")
    claim("x", Path("two.yaml"))
    Path("two.yaml").unlink()
    claim("x", Path("one.yaml"))
