"""Say what the jobs of a run cost: `python tests/benchmark/jobs.py FOLDER` of the study that was run.

`--people 50000 --tasks 10` first makes a calibration of that size in FOLDER and runs it to the verdict
(docs/benchmark.md). SIMULATED data: the reference study's, with more people and more tasks.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from nanotarget.petitions.design import Design
from nanotarget.simulate.simulate import Parameters, calibration_survey, with_fewer
from nanotarget.study.artefacts import write_csv, write_text
from nanotarget.study.checks import read_study
from nanotarget.study.record import Made, recorded

PROJECT = Path(__file__).parents[2]
HEAD = (
    "| rule | jobs | CPU s, all | CPU s, longest | peak MB | asked MB | asked minutes |\n"
    "|---|---:|---:|---:|---:|---:|---:|\n"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int)
    parser.add_argument("--tasks", type=int, default=10)
    options = parser.parse_args()
    if options.people:
        options.folder.mkdir(parents=True, exist_ok=True)
        os.chdir(options.folder)
        prepare(options.people, options.tasks)
        begun = time.monotonic()
        environment = os.environ | {"PYTHONPATH": str(PROJECT / "workflow"), "PYTHONSAFEPATH": "1"}
        command = [sys.executable, "-m", "nanotarget.cli", "diagnose", "study.yaml", "--cores", "2"]
        if status := subprocess.run(command, env=environment, check=False).returncode:
            return status
        sys.stdout.write(
            f"\n{options.people:,} people, {options.tasks} tasks: {time.monotonic() - begun:.0f} s\n"
        )
    else:
        os.chdir(options.folder)
    sys.stdout.write(HEAD + "\n".join(rows(list(recorded()))) + "\n")
    return 0


def prepare(people: int, tasks: int) -> None:
    """Write config and raw data of a survey into this folder."""
    reference = PROJECT / "config.yaml"
    config = yaml.safe_load(reference.read_text(encoding="utf-8"))
    study = read_study(reference)
    parameters = Parameters.model_validate(
        yaml.safe_load((PROJECT / "data" / study.study / "simulation.yaml").read_text(encoding="utf-8"))
    )
    share = people / parameters.samples.calibration.respondents
    parameters = with_fewer(parameters, share).model_copy(update={"tasks": tasks})
    survey = calibration_survey(Design.from_config(study.design), study.covariates, parameters)
    write_csv(survey.raw, "calibration.csv")
    for section in ("preregistration", "experiment", "estimate"):
        del config[section]
    config["study"] = "large"
    config["calibration"] |= {"file": "calibration.csv", "tasks": tasks}
    write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), "study.yaml")


def rows(made: list[Made]) -> Iterator[str]:
    """Yield a row of the table for each rule."""
    for rule in dict.fromkeys(job.rule for job in made):
        jobs = {tuple(job.outputs): job for job in made if job.rule == rule}.values()  # the last of each
        seconds = [job.cost["cpu_s"] for job in jobs]
        peak = max(job.cost["peak_mb"] for job in jobs)
        asked = [max(job.asked[name] for job in jobs) for name in ("mem_mb", "runtime")]
        numbers = [len(jobs), round(sum(seconds), 1), round(max(seconds), 1), peak, *asked]
        yield f"| {rule} | {' | '.join(map(str, numbers))} |"


if __name__ == "__main__":
    sys.exit(main())
