"""A study goes through the profile of Kubernetes; a stand-in for kubectl starts its jobs on this machine.

Long, and only where `make kubernetes` was typed before; docs/cluster.md says what this cannot show.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from running import spare
from tiny_study import await_fielding, tiny_study

pytestmark = [
    pytest.mark.long,
    pytest.mark.workflow,
    pytest.mark.skipif(
        not find_spec("snakemake_executor_plugin_cluster_generic"),
        reason="nothing submits jobs: make kubernetes",
    ),
]
PATIENCE = 3000  # seconds for a run
# Jobs are processes with the environment of a pod: PATH, and what the image sets.
KUBECTL = """#!{python}
import json, os, subprocess, sys, uuid
from pathlib import Path

jobs = Path({jobs!r})
if sys.argv[1] == "create":
    job = json.load(sys.stdin)
    name = job["metadata"]["generateName"] + uuid.uuid4().hex[:5]
    (jobs / name).write_text(json.dumps(job))
    container = job["spec"]["template"]["spec"]["containers"][0]
    script = '"$@"; echo $? > ' + str(jobs / name) + ".status"
    environment = dict(PATH="/usr/bin:/bin", HOME={home!r}, PYTHONPATH=os.environ["PYTHONPATH"])
    command = ["/bin/sh", "-c", script, "sh", *container["command"]]
    output = (jobs / (name + ".log")).open("w")
    subprocess.Popen(command, cwd=container["workingDir"], env=environment, stdout=output, stderr=output,
                     stdin=subprocess.DEVNULL, start_new_session=True)
    print(name, end="")
elif sys.argv[1] == "get":
    status = jobs / (sys.argv[3] + ".status")
    text = status.read_text().strip() if status.exists() else ""
    print(sys.argv[3] + ":" + ("1:" if text == "0" else ":True" if text else ":"), end="")
"""


def study(folder: Path) -> Path:
    folder.mkdir()
    study = tiny_study()
    await_fielding(study)
    spare(study.config)
    study.write(folder)
    return folder


def run(project: Path, folder: Path, *options: str, **environment: str) -> None:
    command = [sys.executable, "-m", "nanotarget.cli", "all", "study.yaml", *options]
    environment = os.environ | {"PYTHONPATH": str(project / "workflow"), "PYTHONSAFEPATH": "1"} | environment
    ran = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_pods_leave_the_bytes_of_this_machine(project: Path, tmp_path: Path) -> None:
    here, there, tools = study(tmp_path / "here"), study(tmp_path / "there"), tmp_path / "tools"
    run(project, here, "--cores", "1")
    (tools / "jobs").mkdir(parents=True)
    kubectl = tools / "kubectl"
    places = {"jobs": str(tools / "jobs"), "home": str(tools)}
    kubectl.write_text(KUBECTL.format(python=sys.executable, **places))
    kubectl.chmod(stat.S_IRWXU)
    names = {"NANOTARGET_IMAGE": "image", "NANOTARGET_CLAIM": "claim", "NANOTARGET_VOLUME": str(there)}
    run(project, there, "--cluster", "kubernetes", PATH=f"{tools}:{os.environ['PATH']}", **names)
    manifest = json.loads((here / "results/tiny/manifest.json").read_text("utf-8"))
    paths = [*(f"results/tiny/{row['path']}" for row in manifest["artefacts"]), "ledger/arms.csv"]
    assert len(paths) > 50
    assert [path for path in paths if (here / path).read_bytes() != (there / path).read_bytes()] == []
    submitted = [json.loads(file.read_text()) for file in (tools / "jobs").iterdir() if not file.suffix]
    names = [job["metadata"]["generateName"] for job in submitted]
    assert names.count("nanotarget-raw-") == names.count("nanotarget-report-") == 1
