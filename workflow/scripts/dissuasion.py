"""Estimate on calibration data how far petitions could lower support; no arm fields such a petition."""

import pandas as pd

from nanotarget.calibrate.learners import TrainingData, models_from_data
from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.clean.groups import published_groups
from nanotarget.diagnose import Group, divisions
from nanotarget.explore.dissuasion import Ends, dissuasion
from nanotarget.explore.polarisation import GAP_COLUMNS, calibrated_gap
from nanotarget.study import artefacts
from nanotarget.study.config import BaseConfig, CovariateConfig, DiagnoseConfig, SubgroupConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def estimate_dissuasion(inputs, outputs, params):
    """Write the table of both ends of support, and that of the gap between base and opposed."""
    data = TrainingData.from_settings(
        artefacts.read_parquet(inputs.profiles), artefacts.read_parquet(inputs.respondents), params.learning
    )
    models = models_from_data(
        artefacts.read_json(inputs.folds_settings), artefacts.read_npz(inputs.folds_arrays), data.design
    )
    fitted = Crossfit(data, artefacts.read_parquet(inputs.crossfit)["fold"].to_numpy() - 1, models)
    groups = published_groups(
        data.respondents,
        SubgroupConfig.validate_list(params.subgroups),
        CovariateConfig.validate_list(params.learning["covariates"]),
        params.min_cell,
    )
    several = divisions.from_arrays(artefacts.read_npz(inputs.divisions), data.design)
    ends = Ends(fitted, params.learning["seed"], several)
    confidence = DiagnoseConfig.model_validate(params.diagnose).confidence
    artefacts.write_csv(dissuasion(ends, [Group(*group) for group in groups], confidence), outputs.dissuasion)
    if path := outputs.get("gap"):
        members, base = dict(groups), BaseConfig.model_validate(params.base)
        poles = {name: members.get(f"{base.grouping}: {name}") for name in (base.group, base.opposed)}
        table = pd.DataFrame(columns=list(GAP_COLUMNS))
        if all(pole is not None for pole in poles.values()):  # large enough to be published
            table = calibrated_gap(ends, poles, confidence)
        artefacts.write_csv(table, path)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        estimate_dissuasion(snakemake.input, snakemake.output, snakemake.params)
