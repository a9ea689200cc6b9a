"""Write the tidy tables of all samples, the participant flow and the quality checks."""

import logging
from collections.abc import Mapping, Sequence

from nanotarget.clean.samples import read_samples
from nanotarget.petitions.design import Design
from nanotarget.study.artefacts import write_csv, write_parquet
from nanotarget.study.config import (
    CalibrationConfig,
    CovariateConfig,
    DesignConfig,
    ExperimentConfig,
    RosterConfig,
)
from nanotarget.study.problems import reporting


def clean(
    samples: str,
    design: Design | None,
    covariates: Sequence[CovariateConfig],
    calibration: CalibrationConfig | None,
    experiment: ExperimentConfig | None,
    roster: RosterConfig | None,
    paths: Mapping[str, str],
) -> None:
    """Clean what the study has and write it.

    Args:
        samples, design, covariates, calibration, experiment, roster: sections of the config.
        paths: where to write: flow, quality, and what the study has of calibration,
            calibration_respondents, experiment and roster.
    """
    cleaned = read_samples(samples, design, covariates, calibration, experiment, roster)
    if cleaned.calibration:
        write_parquet(cleaned.calibration.profiles, paths["calibration"])
        write_parquet(cleaned.calibration.respondents, paths["calibration_respondents"])
    if cleaned.experiment:
        write_parquet(cleaned.experiment.respondents, paths["experiment"])
    if cleaned.roster:
        write_parquet(cleaned.roster.respondents, paths["roster"])
    logging.getLogger("nanotarget").info("participant flow\n%s", cleaned.flow.to_string(index=False))
    write_csv(cleaned.flow, paths["flow"])
    write_csv(cleaned.quality, paths["quality"])


if __name__ == "__main__":
    params = snakemake.params
    with reporting(snakemake.log[0]):
        clean(
            params.samples,
            Design.from_config(DesignConfig.model_validate(params.design)) if params.design else None,
            CovariateConfig.validate_list(params.covariates),
            CalibrationConfig.model_validate(params.calibration) if params.calibration else None,
            ExperimentConfig.model_validate(params.experiment) if params.experiment else None,
            RosterConfig.model_validate(params.roster) if params.roster else None,
            dict(snakemake.output.items()),
        )
