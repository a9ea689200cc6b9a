"""Simulate the raw data of a study and write what is true in them beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nanotarget.petitions.design import Design
from nanotarget.simulate.simulate import Parameters, simulate
from nanotarget.simulate.truth import describe, respondents
from nanotarget.study.artefacts import write_csv, write_json
from nanotarget.study.config import CovariateConfig, DesignConfig, SubgroupConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def main(
    parameters: str,
    design: dict[str, Any],
    covariates: list[dict[str, Any]],
    subgroups: list[dict[str, Any]],
    output: Mapping[str, str],
) -> None:
    """Write the raw tables and their truth.

    Args:
        parameters: path of simulation.yaml.
        design, covariates, subgroups: sections of the config.
        output: paths by name: calibration, experiment, truth, respondents.
    """
    study = simulate(
        Design.from_config(DesignConfig.model_validate(design)),
        CovariateConfig.validate_list(covariates),
        Parameters.model_validate(yaml.safe_load(Path(parameters).read_text(encoding="utf-8"))),
    )
    write_csv(study.calibration, output["calibration"])
    write_csv(study.experiment, output["experiment"])
    write_json(describe(study, SubgroupConfig.validate_list(subgroups)), output["truth"])
    write_csv(respondents(study), output["respondents"])


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        main(
            snakemake.input.parameters,
            snakemake.params.design,
            snakemake.params.covariates,
            snakemake.params.subgroups,
            dict(snakemake.output.items()),
        )
