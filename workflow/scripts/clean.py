"""Write the tidy tables of all samples, the participant flow and the quality checks."""

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from nanotarget.clean.headcount import hidden_heads, published_flow, published_quality
from nanotarget.clean.pseudonyms import public_key, ranked, roster_part, secret_key, under_pseudonyms
from nanotarget.clean.samples import Samples, read_samples
from nanotarget.petitions.design import Design
from nanotarget.study.artefacts import write_csv, write_parquet, write_text
from nanotarget.study.config import DataConfig
from nanotarget.study.private import READMES
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording
from nanotarget.study.shards import replacing_folder, writer


def read_and_divide(data: DataConfig, key: bytes, paths: Mapping[str, Any]) -> Samples:
    """Read all samples; write the shards of a roster, and whose pseudonyms are in them, as they are read."""
    design = Design.from_config(data.design) if data.design else None
    if not data.roster:
        return read_samples(data, design)
    with ExitStack() as stack:
        people = writer(stack.enter_context(replacing_folder(paths["roster"])))
        ids = writer(stack.enter_context(replacing_folder(paths["roster_ids"])))

        def write(shard, known):
            renamed, whose = roster_part(shard, known, key)
            people(renamed)
            ids(whose)

        held = []  # people of a panel, few, until the calibration has told their pseudonyms
        panel = data.samples == "panel"
        samples = read_samples(data, design, held.append if panel else lambda shard: write(shard, {}))
        known = ranked(samples.calibration.everyone, key) if panel else {}
        for shard in held:
            write(shard, known)
    return samples


def clean(data: DataConfig, secret: str | None, min_cell: int, paths: Mapping[str, Any]) -> None:
    """Clean what the study has and write it under pseudonyms.

    Args:
        data: the sections of the config that speak of data.
        secret: file of the secret of the pseudonyms; None for a public key.
        min_cell: smallest count of people that is published.
        paths: where to write: flow, quality, exact_flow (with every count), and what the study has of
            calibration, calibration_respondents, attribute_rows, second_answers, experiment, roster (a
            folder of shards), roster_ids and roster_sample; ids and readmes.
    """
    key = secret_key(secret) if secret else public_key(data.study)
    cleaned, ids = under_pseudonyms(read_and_divide(data, key, paths), key)
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
        write_parquet(cleaned.roster.respondents, paths["roster_sample"])
    logging.getLogger("nanotarget").info("participant flow\n%s", cleaned.flow.to_string(index=False))
    people = cleaned.experiment.respondents if cleaned.experiment else None
    outcomes = [outcome.name for outcome in data.experiment.outcomes] if data.experiment else []
    hidden = hidden_heads(cleaned.flow, people, outcomes, min_cell)
    write_csv(cleaned.flow, paths["exact_flow"])
    write_csv(published_flow(cleaned.flow, hidden), paths["flow"])
    write_csv(published_quality(cleaned.quality, hidden, min_cell), paths["quality"])
    for text, path in zip(READMES.values(), paths["readmes"], strict=True):
        write_text(text, path)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        clean(
            DataConfig.model_validate(snakemake.params.data),
            snakemake.params.secret,
            snakemake.params.min_cell,
            dict(snakemake.output.items()),
        )
