"""Simulate the raw data of a study and write what is true in them beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nanotarget.simulate.field import simulate
from nanotarget.simulate.simulate import Parameters
from nanotarget.simulate.simulate import Study as Simulated
from nanotarget.simulate.truth import describe, respondents
from nanotarget.study.artefacts import write_csv, write_json
from nanotarget.study.config import Study
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def main(parameters: str, config: Mapping[str, Any], output: Mapping[str, str]) -> None:
    """Simulate a study and write it.

    Args:
        parameters: path of simulation.yaml.
        config: of the study, what is said of data, learning, subgroups and seed.
        output: see `write`.
    """
    study = Study.model_validate(config)
    described = yaml.safe_load(Path(parameters).read_text(encoding="utf-8"))
    write(simulate(study, Parameters.model_validate(described)), study, output)


def write(simulated: Simulated, study: Study, output: Mapping[str, str]) -> None:
    """Write the raw tables and their truth.

    Args:
        simulated: the study.
        study: its config.
        output: paths by name: calibration, experiment, truth, respondents.
    """
    write_csv(simulated.calibration, output["calibration"])
    write_csv(simulated.experiment, output["experiment"])
    write_json(describe(simulated, study.explore.subgroups), output["truth"])
    write_csv(respondents(simulated), output["respondents"])


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        main(snakemake.input.parameters, snakemake.params.config, dict(snakemake.output.items()))
