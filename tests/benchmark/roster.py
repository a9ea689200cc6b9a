"""Measure how a roster of very many people is cleaned, scored, randomised and exported; print checksums.

The people are synthetic: their covariates are drawn from those of the reference study's (simulated)
calibration, from whose answers ridge learns. Each stage is a run of the workflow of its own: seconds by the
clock and of CPU, and the largest memory of any process so far.
Usage: python tests/benchmark/roster.py FOLDER PEOPLE [CORES [FORM]]; FORM: parquet (parts) or csv (one file).
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml

from nanotarget.clean.samples import read_samples
from nanotarget.petitions.design import Design
from nanotarget.study.checks import validate

PROJECT = Path(__file__).parents[2]
PART = 250_000
STAGES = {
    "check": ["check"],
    "clean": ["results/roster/private/clean/roster.parquet"],
    "learn": ["results/roster/private/calibrate/model/model.json"],
    "petitions, arms, export": [
        f"results/roster/private/assign/{name}"
        for name in ("assignments.parquet", "arms.csv", "fielding.csv")
    ],
    "how sure": ["results/roster/private/assign/uncertainty.parquet"],
}


def study_in(folder, people, form):
    """Write the config, the calibration and a roster of so many people."""
    config = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))
    for section in ("experiment", "preregistration", "explore", "estimate", "title"):
        config.pop(section, None)
    raw = folder / "calibration.csv"
    shutil.copyfile(PROJECT / config["calibration"]["file"], raw)
    config["calibration"]["file"] = raw.name
    settings = config.get("calibrate", {})
    config["calibrate"] = {key: settings[key] for key in ("folds", "information") if key in settings}
    config["calibrate"]["learner"] = "ridge"
    config |= {"study": "roster", "diagnose": {"sesoi": 0.1}, "assign": {"permutations": 0}}
    config["roster"] = {
        "file": "people" if form == "parquet" else "people.csv",
        "respondent": "id",
        "arms": [
            {"name": "control"},
            {"name": "best", "policy": "overall_best"},
            {"name": "nano", "policy": "nano"},
        ],
        "randomisation": "blocked",
        "blocks": ["party", "region"],
        "ledger": "ledger",
        "consent": {"column": "agrees", "values": ["Yes"]},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), "utf-8")
    study = validate(config, "study.yaml")
    os.chdir(folder)
    data = study.model_copy(update={"roster": None})
    known = read_samples(data, Design.from_config(study.design)).calibration.respondents
    (folder / "people").mkdir()
    for k, start in enumerate(range(0, people, PART)):
        table = drawn(known, min(PART, people - start), start)
        if form == "parquet":
            table.to_parquet(f"people/part-{k:04d}.parquet", index=False)
        else:
            table.to_csv("people.csv", index=False, mode="a", header=k == 0)


def drawn(known, n, start):
    """People with the covariates of somebody of the calibration, but an age of their own."""
    rng = np.random.default_rng(start)
    table = known.drop(columns="weight").iloc[rng.integers(len(known), size=n)].reset_index(drop=True)
    table["age"] = rng.integers(18, 99, n).astype(float)
    ids = [f"P{start + i:010d}" for i in rng.permutation(n)]
    agrees = np.where(rng.random(n) < 0.98, "Yes", "No")
    return table.drop(columns="respondent_id").assign(id=ids, agrees=agrees)


def run(targets, cores):
    """Run the workflow; return seconds by the clock, of CPU, and the peak memory of a process in MiB."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "workflow"), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile"), "--nolock"]
    command += ["--configfile", "study.yaml", "--cores", str(cores), *targets]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - start, cpu, after.ru_maxrss / 1024


def digest(path):
    """SHA-256 of a file, or of all files of a folder."""
    found = hashlib.sha256()
    for file in sorted(path.rglob("*.*")) if path.is_dir() else [path]:
        found.update(file.read_bytes())
    return found.hexdigest()[:16]


def main():
    """Measure one roster; a line of JSON a stage."""
    folder, people = Path(sys.argv[1]).resolve(), int(sys.argv[2])
    cores, form = int((*sys.argv, "2")[3]), (*sys.argv[4:], "parquet")[0]
    folder.mkdir(parents=True)
    study_in(folder, people, form)
    for stage, targets in STAGES.items():
        wall, cpu, peak = run(targets, cores)
        row = {"people": people, "cores": cores, "form": form, "stage": stage}
        row |= {"wall_s": round(wall, 1), "cpu_s": round(cpu, 1), "peak_so_far_mib": round(peak)}
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()
    made = Path("results/roster/private/assign")
    digests = {name: digest(made / name) for name in ("assignments.parquet", "arms.csv", "fielding.csv")}
    sys.stdout.write(json.dumps({"sha256": digests, "ledger": digest(Path("ledger"))}) + "\n")


if __name__ == "__main__":
    main()
