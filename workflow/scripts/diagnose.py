"""Say from calibration data alone whether nano-targeting can pay."""

from nanotarget import artefacts
from nanotarget.config import CovariateConfig, DesignConfig, typed
from nanotarget.design import Design
from nanotarget.diagnose import dividend, verdict
from nanotarget.learners import TrainingData, models_from_data
from nanotarget.learners.crossfit import Crossfit
from nanotarget.problems import reporting

UNITS = {"rating": "points on the rating scale", "choice": "in the probability to be chosen"}


def diagnose(inputs, outputs, design, covariates, outcome, settings, synthetic):
    """Write the table of diagnostics and the verdict."""
    design = Design.from_config(typed(DesignConfig, design))
    covariates = typed(list[CovariateConfig], covariates)
    data = TrainingData.from_tables(
        artefacts.read_parquet(inputs.profiles),
        artefacts.read_parquet(inputs.respondents),
        design,
        outcome,
        covariates,
    )
    models = models_from_data(
        artefacts.read_json(inputs.folds_settings), artefacts.read_npz(inputs.folds_arrays), design
    )
    fold = artefacts.read_parquet(inputs.crossfit)["fold"].to_numpy() - 1
    table = dividend(Crossfit(data, fold, models), settings["sesoi"], settings["confidence"])
    artefacts.write_csv(table, outputs.diagnostics)
    has_covariates = any(c.target for c in covariates)
    answer = verdict(table, settings["sesoi"], UNITS[outcome], has_covariates, synthetic)
    artefacts.write_json(answer, outputs.verdict)


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        diagnose(
            snakemake.input,
            snakemake.output,
            snakemake.params.design,
            snakemake.params.covariates,
            snakemake.params.outcome,
            snakemake.params.diagnose,
            snakemake.params.synthetic,
        )
