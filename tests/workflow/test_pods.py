"""A study goes through the profile of Kubernetes; a stand-in for kubectl starts its jobs on this machine.

Long, and only where `make kubernetes` was typed before; docs/cluster.md says what this cannot show.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from running import artefacts, ended, start, study_in
from tiny_study import await_fielding, tiny_study

pytestmark = [
    pytest.mark.long,
    pytest.mark.workflow,
    pytest.mark.skipif(
        not find_spec("snakemake_executor_plugin_cluster_generic"),
        reason="nothing submits jobs: make kubernetes",
    ),
]
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


def roster(folder: Path) -> Path:
    study = tiny_study()
    await_fielding(study)
    return study_in(folder, study)


def run(project: Path, folder: Path, *options: str, **environment: str) -> None:
    code, said = ended(start(project, folder, "all", "study.yaml", *options, **environment))
    assert code == 0, said


def test_pods_leave_the_bytes_of_this_machine(project: Path, tmp_path: Path) -> None:
    here, there, tools = roster(tmp_path / "here"), roster(tmp_path / "there"), tmp_path / "tools"
    run(project, here, "--cores", "1")
    (tools / "jobs").mkdir(parents=True)
    kubectl = tools / "kubectl"
    places = {"jobs": str(tools / "jobs"), "home": str(tools)}
    kubectl.write_text(KUBECTL.format(python=sys.executable, **places))
    kubectl.chmod(stat.S_IRWXU)
    names = {"NANOTARGET_IMAGE": "image", "NANOTARGET_CLAIM": "claim", "NANOTARGET_VOLUME": str(there)}
    run(project, there, "--cluster", "kubernetes", PATH=f"{tools}:{os.environ['PATH']}", **names)
    made, expected = (artefacts(folder / "results/tiny") for folder in (there, here))
    assert len(made) > 50 and made == expected
    assert (there / "ledger/arms.csv").read_bytes() == (here / "ledger/arms.csv").read_bytes()
    submitted = [json.loads(file.read_text()) for file in (tools / "jobs").iterdir() if not file.suffix]
    names = [job["metadata"]["generateName"] for job in submitted]
    assert names.count("nanotarget-raw-") == names.count("nanotarget-report-") == 1
