"""Copies of the project in which tests run Snakemake as a user does."""

import shutil
import subprocess
import sys


def copy_project(project, folder):
    """Copy what git would hand out (committed or about to be) into a folder with a space in its name."""
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        if (project / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(project / name, target)
    (folder / "python env").symlink_to(sys.prefix)
    return folder


def snakemake(folder, *arguments, **options):
    """Run Snakemake in a folder with an interpreter whose path has a space in it."""
    python = folder / "python env" / "bin" / "python"
    command = [str(python), "-m", "snakemake", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, **options)


def spare(config):
    """Ask for few fits where their number is not what is tested; what the config says itself stays."""
    few = {
        "calibrate": {"folds": 2},
        "diagnose": {"bootstraps": 50, "permutations": 5, "splits": 1},
        "assign": {"permutations": 1},
        "estimate": {"draws": 1000},
    }
    for section, settings in few.items():
        config[section] = settings | config.get(section, {})


def run_tiny(project, folder, study, *targets):
    """Run some stages of a tiny study; return its results."""
    copy_project(project, folder)
    spare(study.config)
    study.write(folder)
    result = snakemake(folder, *targets, "--cores", "2", "--configfile", "study.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "results/tiny"
