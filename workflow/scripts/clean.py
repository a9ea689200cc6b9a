"""Write the tidy tables of all samples, the participant flow and the quality checks."""

import logging
from collections.abc import Mapping
from typing import Any

from nanotarget.clean.pseudonyms import public_key, secret_key, under_pseudonyms
from nanotarget.clean.samples import read_samples
from nanotarget.petitions.design import Design
from nanotarget.study.artefacts import write_csv, write_parquet, write_text
from nanotarget.study.config import DataConfig
from nanotarget.study.private import READMES
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def clean(data: DataConfig, secret: str | None, paths: Mapping[str, Any]) -> None:
    """Clean what the study has and write it under pseudonyms.

    Args:
        data: the sections of the config that speak of data.
        secret: file of the secret of the pseudonyms; None for a public key.
        paths: where to write: flow, quality, and what the study has of calibration,
            calibration_respondents, attribute_rows, second_answers, experiment and roster; ids and readmes.
    """
    cleaned = read_samples(data, Design.from_config(data.design) if data.design else None)
    cleaned, ids = under_pseudonyms(cleaned, secret_key(secret) if secret else public_key(data.study))
    write_parquet(ids, paths["ids"])
    if cleaned.calibration:
        write_parquet(cleaned.calibration.profiles, paths["calibration"])
        write_parquet(cleaned.calibration.respondents, paths["calibration_respondents"])
        if cleaned.calibration.rows is not None:
            write_parquet(cleaned.calibration.rows, paths["attribute_rows"])
        if cleaned.calibration.again is not None:
            write_parquet(cleaned.calibration.again, paths["second_answers"])
    if cleaned.experiment:
        write_parquet(cleaned.experiment.respondents, paths["experiment"])
    if cleaned.roster:
        write_parquet(cleaned.roster.respondents, paths["roster"])
    logging.getLogger("nanotarget").info("participant flow\n%s", cleaned.flow.to_string(index=False))
    write_csv(cleaned.flow, paths["flow"])
    write_csv(cleaned.quality, paths["quality"])
    for text, path in zip(READMES.values(), paths["readmes"], strict=True):
        write_text(text, path)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        clean(
            DataConfig.model_validate(snakemake.params.data),
            snakemake.params.secret,
            dict(snakemake.output.items()),
        )
