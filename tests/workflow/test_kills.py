"""A run killed at every rule, the whole command or a job alone, ends with the bytes of one that was not.

Long (`make test-faults`): some ten minutes; the latest figures stand in docs/reliability.md.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from running import spare
from tiny_study import tiny_study

pytestmark = [pytest.mark.long, pytest.mark.workflow]
PATIENCE = 600  # seconds for a rule to begin
ARGUMENTS = ["-m", "nanotarget.cli", "all", "study.yaml", "--cores", "1"]


def start(project: Path, folder: Path) -> subprocess.Popen[str]:
    """Start the command in a session of its own."""
    environment = os.environ | {"PYTHONPATH": str(project / "workflow"), "PYTHONSAFEPATH": "1"}
    return subprocess.Popen(
        [sys.executable, *ARGUMENTS],
        cwd=folder,
        env=environment,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def study_in(folder: Path) -> Path:
    folder.mkdir()
    study = tiny_study()
    spare(study.config)
    study.write(folder)
    return folder


def below(pid: int) -> list[int]:
    """Return the processes that a process started, and those that these started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found = list(children.get(pid, []))
    for child in found:
        found += children.get(child, [])
    return found


def kill_all(command: subprocess.Popen[str]) -> None:
    """Kill the command and all that it started."""
    os.killpg(command.pid, signal.SIGKILL)


def kill_job(command: subprocess.Popen[str]) -> None:
    """Kill the script of the job alone."""
    for pid in below(command.pid):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b".snakemake/scripts/" in line:
            os.kill(pid, signal.SIGKILL)


def killed_at_new_log(
    seen: set[str], project: Path, folder: Path, kill: Callable[[subprocess.Popen[str]], None]
) -> tuple[str, str, int]:
    """Start the command and kill as soon as a rule writes a log that is not among those seen.

    Returns:
        The rule, "" if there was none; what the command said; its exit code.
    """
    command = start(project, folder)
    limit = time.monotonic() + PATIENCE
    new = ""
    while not new and command.poll() is None and time.monotonic() < limit:
        logs = {log.relative_to(folder).as_posix() for log in (folder / "logs").rglob("*.log")}
        new = min(logs - seen, default="")
        time.sleep(0.01)
    if new:
        kill(command)
    said, _ = command.communicate(timeout=PATIENCE)
    return new, said, command.returncode


def artefacts(folder: Path) -> dict[str, bytes]:
    results = folder / "results/tiny"
    files = (file for file in results.rglob("*") if file.is_file() and not file.name.endswith(".tmp"))
    return {file.relative_to(results).as_posix(): file.read_bytes() for file in files}


@pytest.mark.parametrize("kill", [kill_all, kill_job])
def test_a_kill_at_every_rule_ends_with_the_same_bytes(
    kill: Callable[[subprocess.Popen[str]], None], project: Path, tmp_path: Path
) -> None:
    whole = study_in(tmp_path / "whole")
    done = start(project, whole)
    said, _ = done.communicate(timeout=PATIENCE)
    assert done.returncode == 0, said
    logs = {log.relative_to(whole).as_posix() for log in (whole / "logs").rglob("*.log")}
    assert len(logs) > 20
    folder = study_in(tmp_path / "killed")
    hits: set[str] = set()
    for _ in range(2 * len(logs)):
        rule, said, code = killed_at_new_log(hits, project, folder, kill)
        assert "Traceback" not in said, said
        if not rule:
            break
        hits.add(rule)
        if kill is kill_job and code:  # otherwise it had ended before
            assert "killed" in said, said
    assert code == 0, said
    assert hits == logs
    assert artefacts(folder) == artefacts(whole)
