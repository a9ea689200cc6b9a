"""Profiles of clusters, what they submit, and the image: all that can be held without a cluster."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import stat
import subprocess
import sys
import tomllib
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_args

from nanotarget.cli import GROUPS, PROFILES, parsed, profile_of
from nanotarget.study.problems import InputError

CLUSTERS = ("kubernetes", "slurm")
PACKAGE = re.compile(r"^([\w.-]+)==([^ \\]+)", re.M)


def profile(name: str) -> dict[str, object]:
    return dict(yaml.safe_load((PROFILES / name / "config.yaml").read_text("utf-8")))


def instructions(project: Path) -> list[tuple[str, str]]:
    """Return the instructions of the container file, each on a line."""
    text = re.sub(r"^#.*\n", "", (project / "Dockerfile").read_text("utf-8"), flags=re.M)
    lines = text.replace("\\\n", " ").splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines if line.strip()]


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_lock_holds_what_a_profile_needs_and_only_that(project, name):
    lock = dict(PACKAGE.findall((project / f"requirements-{name}.lock").read_text("utf-8")))
    base = dict(PACKAGE.findall((project / "requirements.lock").read_text("utf-8")))
    extras = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    plugin = f"snakemake-executor-plugin-{profile(name)['executor']}"
    assert extras["optional-dependencies"][name] == [plugin]
    assert plugin in lock and not set(lock) & set(base)


def test_jobs_are_grouped_by_rules_that_exist_on_every_cluster_that_says_nothing_else(project, tmp_path):
    groups = yaml.safe_load(GROUPS.read_text("utf-8"))
    rules = "\n".join(file.read_text("utf-8") for file in (project / "workflow/rules").glob("*.smk"))
    named = set(re.findall(r"^ *rule (\w+):", rules, re.M)) | {"figures", "figures_of_experiment"}
    sizes = Counter(groups["groups"].values())
    assert set(groups["groups"]) <= named
    chain = {"raw"}  # its second job reads from its first
    assert set(groups["group-components"]) == set(sizes) - chain
    assert min(groups["group-components"].values()) >= max(sizes.values())
    own = tmp_path / "config.yaml"
    for text, expected in (("jobs: 7\n", groups["groups"]), ("groups: {learn: mine}\n", {"learn": "mine"})):
        own.write_text(text)
        _, options = parse_args(["--profile", str(GROUPS), "--workflow-profile", str(tmp_path)])
        assert options.groups == expected and options.group_components == groups["group-components"]


def test_every_rule_with_a_script_says_what_it_needs_by_a_class(project):
    texts = {file.name: file.read_text("utf-8") for file in (project / "workflow/rules").glob("*.smk")}
    declared = set(re.findall(r"^([A-Z]+) = (?:asked\(|\{\n +\"mem_mb\")", "\n".join(texts.values()), re.M))
    assert {"LIGHT", "MEDIUM", "LONG"} <= declared
    for name, text in texts.items():
        classes = re.findall(r"resources:\n +\*\*([A-Z]+),", text)
        assert text.count("script:\n") == len(classes) and set(classes) <= declared, name


def test_a_profile_is_ours_or_a_folder_and_its_executor_is_installed(tmp_path, monkeypatch):
    assert profile_of(None) == "none"
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"no profile mine(.|\n)*kubernetes, slurm, or a folder"):
        profile_of("mine")
    Path("mine/config.yaml").write_text("executor: no-such-plugin\n")
    with pytest.raises(
        InputError, match=r"no-such-plugin is not installed(.|\n)*make kubernetes or make slurm"
    ):
        profile_of("mine")
    Path("mine/config.yaml").write_text("executor: local\njobs: 2\n")
    assert profile_of("mine") == "mine"
    monkeypatch.setattr("nanotarget.cli.find_spec", lambda name: name == "snakemake_executor_plugin_slurm")
    assert profile_of("slurm") == str(PROFILES / "slurm")
    with pytest.raises(InputError, match="make kubernetes"):
        profile_of("kubernetes")
    options, more = parsed(["all", "study.yaml", "--cluster", "slurm"])
    assert (options.cluster, more) == ("slurm", [])


def test_a_pod_asks_for_what_the_job_asks_for_and_may_do_nothing_else(tmp_path, monkeypatch):
    submit = runpy.run_path(str(PROFILES / "kubernetes/submit"))
    monkeypatch.chdir(tmp_path)
    surroundings = {
        "NANOTARGET_IMAGE": "image:1",
        "NANOTARGET_CLAIM": "claim",
        "NANOTARGET_VOLUME": "/study",
    }
    properties = {"rule": "figures_of_x", "threads": 1, "resources": {"mem_mb": 1500, "runtime": 5}}
    job = submit["manifest"]("/study/job.sh", properties, surroundings)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert job["metadata"]["generateName"] == "nanotarget-figures-of-x-"
    assert job["spec"]["activeDeadlineSeconds"] == 300 and job["spec"]["backoffLimit"] == 0
    assert container["resources"]["limits"] == {"memory": "1500M"}
    assert container["command"] == ["/bin/sh", "/study/job.sh"] and container["workingDir"] == str(tmp_path)
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "claim"}
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    group = {"groupid": "raw", "threads": 2, "resources": {"mem_mb": 1, "runtime": 1}}
    assert submit["manifest"]("job.sh", group, surroundings)["metadata"]["generateName"] == "nanotarget-raw-"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("job-1:1:", "success"),
        ("job-1::True", "failed"),
        ("job-1::", "running"),
        ("", "failed"),
        (None, "running"),
    ],
)
def test_a_job_that_is_gone_has_failed_and_one_nobody_tells_of_runs(tmp_path, answer, said):
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f"#!/bin/sh\n{'exit 1' if answer is None else f'echo {answer}'}\n")
    kubectl.chmod(stat.S_IRWXU)
    command = [str(PROFILES / "kubernetes/status"), "job-1"]
    asked = subprocess.run(command, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True)
    assert asked.stdout == f"{said}\n"


def test_the_study_of_the_page_may_submit_jobs_and_no_more(project):
    text = (PROFILES / "kubernetes/study.yaml").read_text("utf-8")
    parts = {part["kind"]: part for part in yaml.safe_load_all(text)}
    (rule,) = parts["Role"]["rules"]
    assert rule["resources"] == ["jobs"] and set(rule["verbs"]) == {"create", "get", "list", "delete"}
    pod = parts["Job"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    values = {variable["name"]: variable["value"] for variable in container["env"]}
    assert values["NANOTARGET_IMAGE"] == container["image"]
    assert values["NANOTARGET_CLAIM"] == parts["PersistentVolumeClaim"]["metadata"]["name"]
    assert values["NANOTARGET_VOLUME"] == container["volumeMounts"][0]["mountPath"] == container["workingDir"]
    options, more = parsed(container["args"])
    assert (options.command, options.cluster, more) == ("all", "kubernetes", [])
    user = next(what for name, what in instructions(project) if name == "USER")
    assert pod["securityContext"]["runAsUser"] == int(user)
    named = set(re.findall(r"\bNANOTARGET_[A-Z]+\b", (PROFILES / "kubernetes/submit").read_text("utf-8")))
    assert named == set(values)


def test_the_image_is_pinned_built_from_the_locks_and_not_run_by_root(project):
    steps = instructions(project)
    bases = [what for name, what in steps if name == "FROM"]
    assert all(re.match(r"python:3\.\d+\.\d+-slim-\w+( |$)", base) for base in bases)
    version = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]
    assert all(base.removeprefix("python:") >= version.removeprefix(">=") for base in bases)
    installs = [what for name, what in steps if name == "RUN" and "pip install" in what and "-r " in what]
    assert installs and all("--require-hashes" in what for what in installs)
    names = [name for name, _ in steps]
    last = len(names) - 1 - names[::-1].index("USER")
    assert steps[last][1] not in ("root", "0") and "RUN" not in names[last:]  # nor is anything fetched later
    entry = json.loads(dict(steps)["ENTRYPOINT"])
    scripts = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert len(entry) == 1 and entry[0] in scripts


def test_what_is_copied_into_the_image_is_all_that_a_study_needs(project, tmp_path):
    """The files that the container file copies, and nothing else, check the reference study."""
    ignored = (project / ".dockerignore").read_text("utf-8").splitlines()
    let_in = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert "*" in ignored
    inside = tmp_path / "inside"
    for name, what in instructions(project):
        if name != "COPY" or what.startswith("--from"):
            continue
        *sources, _ = what.split()
        for source in sources:
            kept = [path for path in let_in if fnmatch(path, source) or fnmatch(path, f"{source}/*")]
            assert kept, f"{source} is not let in"
            for path in kept:
                copied = shutil.copytree if (project / path).is_dir() else shutil.copy
                (inside / path).parent.mkdir(parents=True, exist_ok=True)
                copied(project / path, inside / path)
    environment = {"PYTHONPATH": str(inside / "workflow"), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "nanotarget.cli", "check", "config.yaml"]
    ran = subprocess.run(command, cwd=inside, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert (inside / "workflow/profiles/kubernetes/submit").stat().st_mode & stat.S_IXUSR
