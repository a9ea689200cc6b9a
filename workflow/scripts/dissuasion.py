"""Estimate on calibration data how far petitions could lower support; no arm fields such a petition."""

from nanotarget.calibrate.learners import TrainingData, models_from_data
from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.clean.groups import published_groups
from nanotarget.diagnose import Group
from nanotarget.explore import dissuasion
from nanotarget.study import artefacts
from nanotarget.study.config import CovariateConfig, DiagnoseConfig, SubgroupConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def estimate_dissuasion(inputs, output, params):
    """Write the table of both ends of support."""
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
    table = dissuasion(
        fitted,
        [Group(*group) for group in groups],
        params.learning["seed"],
        DiagnoseConfig.model_validate(params.diagnose).confidence,
    )
    artefacts.write_csv(table, output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        estimate_dissuasion(snakemake.input, snakemake.output[0], snakemake.params)
