"""Studies run through a real Slurm, their jobs and nodes are struck, and the bytes are those of this machine.

`make test-slurm` (root): half an hour; the latest figures stand in docs/cluster.md.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster import Cluster, Unavailable
from nanotarget.cli import PROFILES
from nanotarget.study.record import RECORD
from running import PATIENCE, artefacts, copy_project, divide, ended, start, study_in
from tiny_study import await_fielding, tiny_study

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not os.environ.get("NANOTARGET_SLURM"), reason="starts a Slurm: make test-slurm"),
]
# A cluster of this machine keeps no accounts, and there is no need to wait long for anything.
HERE = {
    "latency-wait": 30,
    "slurm-status-command": "squeue",
    "slurm-no-account": True,
    "slurm-init-seconds-before-status-checks": 1,
    "seconds-between-status-checks": 1,
}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
    except Unavailable as reason:
        pytest.fail(str(reason))
    yield cluster
    cluster.stop()


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def profile(folder: Path, **more: object) -> Path:
    """Write a copy of our profile with what this cluster wants otherwise."""
    ours = yaml.safe_load((PROFILES / "slurm/config.yaml").read_text("utf-8"))
    (folder / "profile").mkdir(exist_ok=True)
    (folder / "profile/config.yaml").write_text(yaml.safe_dump(ours | HERE | more), "utf-8")
    return folder / "profile"


def roster(folder: Path) -> Path:
    """Write a tiny study that is to be fielded."""
    study = tiny_study()
    await_fielding(study)
    return study_in(folder, study)


def queued(*options: str) -> list[tuple[int, str, str]]:
    """Return id, node and rules of the jobs that `squeue` lists."""
    command = ["squeue", "-h", "-o", "%A|%N|%k", *options]
    asked = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = (line.split("|") for line in asked.stdout.splitlines())
    return [(int(job), node, rules) for job, node, rules in rows]


def latest() -> int:
    """Return the number of the job that was submitted last; 0 if `squeue` knows of none."""
    return max((job for job, *_ in queued("--states=all")), default=0)


def working(command: subprocess.Popen[str], on: str, after: int = 0) -> tuple[int, str]:
    """Wait until a job that has a higher number is at work on a rule or group; return its id and its node."""
    limit = time.monotonic() + PATIENCE
    while command.poll() is None and time.monotonic() < limit:
        for job, node, rules in queued("-t", "R"):
            if on in rules and job > after:
                return job, node
        time.sleep(0.2)
    raise AssertionError(f"nothing was at work on {on}: {command.communicate()[0]}")


def test_a_roster_that_is_struck_ends_with_the_bytes_of_this_machine(
    slurm: Cluster, project: Path, tmp_path: Path
) -> None:
    """Five shards in two jobs."""
    project = copy_project(project, tmp_path / "project")
    divide(project)
    here, there = roster(tmp_path / "here"), roster(tmp_path / "there")
    command = ("assign", "study.yaml")
    code, said = ended(start(project, here, *command, "--cores", "2"))
    assert code == 0, said
    shards = here / "results/tiny/private/assign/assignments.parquet"
    assert len(list(shards.glob("part-*"))) == 5
    command = (*command, "--cluster", str(profile(there)))

    running = start(project, there, *command)
    job, _ = working(running, "raw")
    time.sleep(2)
    subprocess.run(["scancel", str(job)], check=True)
    code, said = ended(running)
    assert code == 1 and "was cancelled on the cluster" in said and "the same command goes on" in said, said
    say("a cancelled job: told")

    running = start(project, there, *command)
    working(running, "score")
    os.killpg(running.pid, signal.SIGKILL)  # the jobs go on
    running.communicate()
    say("a killed command: its jobs are left to themselves")

    orphans = latest()
    running = start(project, there, *command)
    _, node = working(running, "rule", after=orphans)
    time.sleep(2)
    slurm.lose(node)
    code, said = ended(running)
    slurm.bring_back(node)
    assert code == 1 and "the same command goes on" in said, said
    assert "lost with the node that it ran on" in said or "lost with its node" in said, said
    say("a lost node: told")

    code, said = ended(start(project, there, *command))
    assert code == 0, said
    made, expected = (artefacts(folder / "results/tiny") for folder in (there, here))
    assert len(made) > 20 and made == expected
    assert (there / "ledger/arms.csv").read_bytes() == (here / "ledger/arms.csv").read_bytes()


def test_a_job_that_takes_more_memory_than_it_asked_for_is_told(
    slurm: Cluster, project: Path, tmp_path: Path
) -> None:
    folder = roster(tmp_path / "study")
    own = profile(folder, **{"set-resources": {"check": {"mem_mb": 100}, "clean": {"mem_mb": 100}}})
    code, said = ended(start(project, folder, "assign", "study.yaml", "--cluster", str(own)))
    assert code == 1 and "it took more memory than it had asked for" in said, said


def test_the_reference_study_has_the_recorded_bytes(slurm: Cluster, project: Path, tmp_path: Path) -> None:
    shutil.copy(project / "config.yaml", tmp_path)
    shutil.copytree(project / "data", tmp_path / "data")
    before, begun = latest(), time.monotonic()
    code, said = ended(start(project, tmp_path, "all", "config.yaml", "--cluster", str(profile(tmp_path))))
    assert code == 0, said
    jobs = [json.loads(line) for line in (tmp_path / RECORD).read_text("utf-8").splitlines() if line]
    sent, seconds = latest() - before, sum(job["cost"]["cpu_s"] for job in jobs)
    took = time.monotonic() - begun
    say(f"{sent} jobs of Slurm for {len(jobs)}, {seconds:.0f} CPU s in scripts, {took:.0f} s by the clock")
    assert sent < len(jobs) / 2  # short ones are groups
    script = project / "workflow/scripts/verify_reference.py"
    environment = os.environ | {"PYTHONPATH": str(project / "workflow")}
    checked = subprocess.run(
        [sys.executable, script, "config.yaml"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
