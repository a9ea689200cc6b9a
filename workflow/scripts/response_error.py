"""How reliable answers are, and averages of choices corrected for response error."""

import pandas as pd

from nanotarget.calibrate.by_group import Grouping
from nanotarget.calibrate.conjoint import Analysis
from nanotarget.calibrate.resampled import Sample
from nanotarget.calibrate.response_error import Measured, Survey, corrected, groups_of, likeness, reliability
from nanotarget.petitions.design import Design
from nanotarget.study import artefacts
from nanotarget.study.config import CovariateConfig, DesignConfig, GroupingConfig, ReliabilityConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording
from nanotarget.study.response import RESPONSES
from nanotarget.study.seeds import child_rng


def estimate(inputs, outputs, params):
    """Write reliability, agreement by likeness of tasks, and corrected estimates of every outcome."""
    profiles, respondents = map(artefacts.read_parquet, (inputs.profiles, inputs.respondents))
    again = inputs.get("second_answers")
    design = Design.from_config(DesignConfig.model_validate(params.design))
    config = ReliabilityConfig.model_validate(params.reliability)
    survey = Survey(
        profiles,
        artefacts.read_parquet(again) if again else None,
        design.as_shown(design.codes(profiles)),
        params.alike,
        params.profiles_a_task,
        config.agreement,
    )
    covariates = {c.name: c for c in CovariateConfig.validate_list(params.covariates)}
    groupings = [
        Grouping.of(profiles, respondents, own, covariates[own.covariate], params.min_cell)
        for own in GroupingConfig.validate_list(params.groups)
    ]
    sample = Sample.of(respondents, config.bootstraps, child_rng(params.seed, "calibrate/reliability"))
    groups = groups_of(survey, groupings, sample)
    found, curves, tables = [], [], []
    for outcome in params.outcomes:
        measured = [Measured.of(survey, outcome, group) for group in groups]
        found.append(reliability(survey, outcome, measured))
        if RESPONSES[outcome].paired and params.alike == 2:
            curves.append(likeness(survey, outcome, groups[0]))
        if RESPONSES[outcome].binary:
            tables.append(corrected(survey, Analysis(outcome, params.se_type), measured))
    artefacts.write_csv(pd.concat(found, ignore_index=True), outputs.reliability)
    if outputs.get("likeness"):
        artefacts.write_csv(pd.concat(curves, ignore_index=True), outputs.likeness)
    if outputs.get("corrected"):
        artefacts.write_csv(pd.concat(tables, ignore_index=True), outputs.corrected)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        estimate(snakemake.input, snakemake.output, snakemake.params)
