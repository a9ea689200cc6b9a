"""A run killed at every rule, the whole command or a job alone, ends with the bytes of one that was not.

Long (`make test-faults`): some ten minutes; the latest figures stand in docs/reliability.md.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from running import PATIENCE, artefacts, ended, start, study_in
from tiny_study import tiny_study

pytestmark = [pytest.mark.long, pytest.mark.workflow]
ARGUMENTS = ("all", "study.yaml", "--cores", "1")


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


KILLS = (kill_job, kill_all)


def struck(strikes: dict[str, int], project: Path, folder: Path) -> tuple[str, str, int]:
    """Start the command and kill as soon as a rule writes its log that was not struck twice yet.

    The first time its job is killed, the second time the command and all that it started.

    Returns:
        The rule, "" if there was none left; what the command said; its exit code.
    """
    before = written(folder)
    command = start(project, folder, *ARGUMENTS)
    limit = time.monotonic() + PATIENCE
    new = ""
    while not new and command.poll() is None and time.monotonic() < limit:
        begun = [log for log, when in written(folder).items() if before.get(log) != when]
        new = min((log for log in begun if strikes.get(log, 0) < len(KILLS)), default="")
        time.sleep(0.01)
    if new:
        KILLS[strikes.get(new, 0)](command)
    code, said = ended(command)
    return new, said, code


def written(folder: Path) -> dict[str, int]:
    """Return when each log was begun or last written."""
    found = {}
    for log in (folder / "logs").rglob("*.log"):
        with suppress(OSError):
            found[log.relative_to(folder).as_posix()] = log.stat().st_mtime_ns
    return found


def test_kills_at_every_rule_end_with_the_same_bytes(project: Path, tmp_path: Path) -> None:
    whole = study_in(tmp_path / "whole", tiny_study())
    code, said = ended(start(project, whole, *ARGUMENTS))
    assert code == 0, said
    rules = set(written(whole))
    assert len(rules) > 20
    folder = study_in(tmp_path / "killed", tiny_study())
    strikes: dict[str, int] = {}
    for _ in range(3 * len(rules)):
        rule, said, code = struck(strikes, project, folder)
        if not rule:
            break
        strikes[rule] = strikes.get(rule, 0) + 1
        if strikes[rule] == 1 and code:  # otherwise the job had ended before
            assert "killed" in said, said
    assert code == 0, said
    assert set(strikes) == rules
    sys.stdout.write(f"struck {sum(strikes.values())} times at {len(strikes)} rules\n")
    assert artefacts(folder / "results/tiny") == artefacts(whole / "results/tiny")
