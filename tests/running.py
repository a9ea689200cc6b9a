"""Copies of the project in which tests run Snakemake, and the command, as a user does."""

import os
import re
import shutil
import subprocess
import sys

import pandas as pd

from forked import snakemake_forked
from nanotarget.clean.pseudonyms import ids_of
from nanotarget.report.deposit.package import not_ignored

PATIENCE = 3600  # seconds for a run of the command
# Of a tiny roster, so that several shards are divided among several jobs.
SMALL = {"study/shards.py": ("SHARD", 9), "clean/parts.py": ("LARGE", 800)}


def copy_project(project, folder):
    """Copy the project into a folder with a space in its name.

    Compiled modules are copied, too, with the times by which Python knows whether they are current: every job
    would compile the library where Python is told to write no byte code.
    """
    compiled = (file for cache in (project / "workflow").rglob("__pycache__") for file in cache.glob("*.pyc"))
    for file in (*not_ignored(project), *compiled):
        target = folder / file.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    (folder / "python env").symlink_to(sys.prefix)
    return folder


def snakemake(folder, *arguments, **options):
    """Run Snakemake in a folder with an interpreter whose path has a space in it."""
    python = folder / "python env" / "bin" / "python"
    command = [str(python), "-m", "snakemake", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, **options)


def own_ids(results, sample):
    """Return the raw ids of a sample by the pseudonyms that artefacts hold."""
    return ids_of(pd.read_parquet(results / "private/clean/ids.parquet"), sample)


def spare(config):
    """Ask for few fits where their number is not what is tested; what the config says itself stays."""
    few = {
        "calibrate": {"folds": 2},
        "diagnose": {"sesoi": 0, "bootstraps": 50, "permutations": 5, "splits": 1},
        "assign": {"permutations": 1},
        "estimate": {"draws": 1000},
    }
    for section, settings in few.items():
        config[section] = settings | config.get(section, {})


def study_in(folder, study):
    """Write a tiny study, which asks for few fits, into a new folder; return the folder."""
    folder.mkdir()
    spare(study.config)
    study.write(folder)
    return folder


def run_tiny(project, folder, study, *targets):
    """Run some stages of a tiny study; return its results."""
    study_in(folder, study)
    result = snakemake_forked(project, folder, *targets, "--cores", "2", "--configfile", "study.yaml")
    assert result.returncode == 0, result.stdout
    return folder / "results/tiny"


def divide(folder):
    """Let a copy of the project divide 39 people into 5 shards, and these among 2 jobs."""
    for name, (constant, size) in SMALL.items():
        module = folder / "workflow/nanotarget" / name
        text, changed = re.subn(
            rf"^{constant} = [\d_]+", f"{constant} = {size}", module.read_text("utf-8"), flags=re.M
        )
        assert changed == 1, f"{name} does not say {constant}"
        module.write_text(text, "utf-8")


def start(project, folder, *arguments, **environment):
    """Start `nanotarget` of a project in a folder, in a session of its own."""
    ours = {"PYTHONPATH": str(project / "workflow"), "PYTHONSAFEPATH": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "nanotarget.cli", *arguments],
        cwd=folder,
        env=os.environ | ours | environment,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(command):
    """Wait for a command; return its exit code and what it said, which is never a traceback."""
    said, _ = command.communicate(timeout=PATIENCE)
    assert "Traceback" not in said, said
    return command.returncode, said


def artefacts(results):
    """Return the bytes of all results by their path, but for what a killed job left half-written."""
    files = (file for file in results.rglob("*") if file.is_file())
    paths = {file.relative_to(results): file for file in files}
    return {
        path.as_posix(): file.read_bytes()
        for path, file in paths.items()
        if not any(name.endswith(".tmp") for name in path.parts)
    }
