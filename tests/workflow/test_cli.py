"""The command line speaks to people before Snakemake starts."""

import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nanotarget.cli import flags, forced, made, main, noting
from nanotarget.study.artefacts import write_json
from nanotarget.study.checks import read_study, validate
from nanotarget.study.problems import InputError
from tiny_study import await_fielding, tiny_study


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: [unclosed", "line 1"),
        ("study: a\nroot_seed: 1\nstudy: b\n", "written twice"),
        ("study: a\n\troot_seed: 1\n", "line 2"),
        ("", "holds no settings"),
        ("just a sentence", "holds no settings"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_broken_yaml_gets_a_place_and_no_traceback(tmp_path, text, message):
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_study(path)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01\x80")
    with pytest.raises(InputError, match="not UTF-8"):
        read_study(path)


def test_a_config_that_is_not_there(tmp_path):
    command = [sys.executable, "-m", "nanotarget.cli", "check", str(tmp_path / "none.yaml")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1
    assert "none.yaml" in result.stderr
    assert "cannot be read" in result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.workflow
def test_no_code_and_no_profile_of_the_studys_folder_runs(project, tmp_path):
    tiny_study().write(tmp_path)
    for name in ("snakemake", "random", "nanotarget", "yaml"):
        (tmp_path / f"{name}.py").write_text(f"open('{name} ran', 'w')")
    profile = tmp_path / "profiles/default/config.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text("no-such-option: 1")
    command = [Path(sys.executable).with_name("nanotarget"), "check", "study.yaml", "--keep-going"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "results/tiny/check.json").is_file()
    assert not list(tmp_path.glob("* ran"))


NASTY = "{x} {{y}} \"' $(touch ran) `touch ran` ; touch ran #\n<br>"


def leaves(tree):
    """Yield (container, key) of every text of a config."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(value, dict | list):
            yield from leaves(value)
        elif isinstance(value, str):
            yield tree, key


@pytest.mark.workflow
@pytest.mark.parametrize("fielded", [True, False])
def test_snakemake_takes_every_text_of_a_config_literally(fielded, tmp_path, monkeypatch):
    """Braces, quotes, line ends and commands of a shell in every text that the config's checks let pass."""
    study = tiny_study()
    if not fielded:
        await_fielding(study)
        study.config["roster"]["ledger"] = "data/{x} $(touch ran)/arms.csv"
    study.config["title"] = ""
    changed = 0
    for number, (place, key) in enumerate(list(leaves(study.config))):
        before, place[key] = place[key], f"{NASTY}{number}"
        try:
            validate(study.config, "study.yaml")
            changed += 1
        except InputError:
            place[key] = before
    assert changed > 20
    study.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "nanotarget.cli", "all", "study.yaml", "--cores", "1", "--dry-run"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert not (tmp_path / "ran").exists()


def test_what_is_forced_joins_what_the_user_forces(tmp_path, monkeypatch):
    again = {"a.csv: changed": ["results/x/a.csv"]}
    monkeypatch.setattr("nanotarget.cli.changed", lambda results: again)
    more = ["-n", "-R", "learn", "choose", "--verbose"]
    assert forced(Path("results/x"), more) == ["--forcerun", "results/x/a.csv", "learn", "choose"]
    assert more == ["-n", "--verbose"]
    again.clear()
    assert forced(Path("results/x"), []) == []


def test_signals_are_passed_on_and_the_child_holds_the_lock(tmp_path):
    """What the command starts is told of a signal, and keeps the lock when the command is killed."""
    code = (
        "import fcntl, subprocess, sys\n"
        "from nanotarget.cli import obeyed\n"
        "lock = open('lock', 'w'); fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "child = subprocess.Popen(['sleep', '60'], pass_fds=[lock.fileno()])\n"
        "print(child.pid, flush=True)\n"
        "sys.exit(obeyed(child))\n"
    )

    def start():
        command = subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        child = int(command.stdout.readline())
        time.sleep(0.5)  # until it waits
        return command, child

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        command, child = start()
        command.send_signal(number)
        assert command.wait(10) == 128 + number
        assert not Path(f"/proc/{child}").exists()
    command, child = start()
    command.kill()
    command.wait(10)
    with (tmp_path / "lock").open() as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(child, signal.SIGKILL)
        fcntl.flock(lock, fcntl.LOCK_EX)


def test_the_reference_config_is_valid(project):
    assert read_study(project / "config.yaml").study == "climate_petition"


def test_the_last_line_counts_what_was_made_and_says_where(tmp_path):
    names = [
        "figures/a.svg",
        "figures/a.pdf",
        "figures/b.svg",
        "tables/c.html",
        "tables/c.csv",
        "report.html",
    ]
    write_json({"artefacts": [{"path": name} for name in names]}, tmp_path / "manifest.json")
    assert made("all", tmp_path) == (
        f"2 figures and 1 tables among the 6 artefacts listed in {tmp_path / 'manifest.json'}; "
        f"open {tmp_path / 'report.html'}"
    )
    (tmp_path / "diagnose").mkdir()
    page, answer = tmp_path / "diagnose/answer.html", {"overall": "COLLECT MORE", "flags": ["few: only 3"]}
    write_json(answer, tmp_path / "diagnose/verdict.json")
    assert made("diagnose", tmp_path) == f"COLLECT MORE; open {page}"


def test_the_last_lines_are_what_a_reader_must_know_beside_the_result(tmp_path):
    write_json(["design: one", "never: two"], tmp_path / "calibrate/design_flags.json")
    assert flags("diagnose", tmp_path) == flags("calibrate", tmp_path) == ["design: one", "never: two"]
    write_json({"flags": ["learner: three"]}, tmp_path / "diagnose/verdict.json")
    assert flags("calibrate", tmp_path) == ["design: one", "never: two"]
    for target in ("diagnose", "assign", "report", "all"):
        assert flags(target, tmp_path) == ["learner: three"]
    for target in ("check", "estimate", "simulate"):
        assert flags(target, tmp_path) == []


def test_check_answers_in_this_process_and_writes_nothing(tmp_path, monkeypatch, capsys):
    study = tiny_study()
    study.config["synthetic"] = True
    study.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(sys, "argv", ["nanotarget", "check", "study.yaml"])
    assert main() == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "Done: config and raw data are fine (SIMULATED data)"
    study.calibration.loc[3, "sector"] = "Nowhere"
    study.write(tmp_path)
    assert main() == 1
    said = capsys.readouterr()
    assert (
        "Done" not in said.out and said.err.startswith("1 problem found") and said.err.count("Nowhere") == 1
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_what_the_library_warns_of_is_shown_by_check(capsys):
    with noting():
        logging.getLogger("nanotarget.clean").warning("two levels have one text")
        logging.getLogger("nanotarget.clean").info("nothing")
    logging.getLogger("nanotarget.clean").warning("later")
    assert capsys.readouterr().out == "Note: two levels have one text.\n"
