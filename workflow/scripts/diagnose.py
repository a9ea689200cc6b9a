"""Say from calibration data alone whether nano-targeting can pay."""

from nanotarget import artefacts
from nanotarget.diagnose import dividend, verdict
from nanotarget.learners import TrainingData, models_from_data
from nanotarget.learners.crossfit import Crossfit
from nanotarget.problems import reporting

UNITS = {"rating": "points on the rating scale", "choice": "in the probability to be chosen"}


def diagnose(inputs, outputs, learning, settings, synthetic):
    """Write the table of diagnostics and the verdict."""
    data = TrainingData.from_settings(
        artefacts.read_parquet(inputs.profiles), artefacts.read_parquet(inputs.respondents), learning
    )
    models = models_from_data(
        artefacts.read_json(inputs.folds_settings), artefacts.read_npz(inputs.folds_arrays), data.design
    )
    fold = artefacts.read_parquet(inputs.crossfit)["fold"].to_numpy() - 1
    table = dividend(Crossfit(data, fold, models), settings["sesoi"], settings["confidence"])
    artefacts.write_csv(table, outputs.diagnostics)
    has_covariates = any(c.target for c in data.covariates)
    answer = verdict(table, settings["sesoi"], UNITS[data.outcome_kind], has_covariates, synthetic)
    artefacts.write_json(answer, outputs.verdict)


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        diagnose(
            snakemake.input,
            snakemake.output,
            snakemake.params.learning,
            snakemake.params.diagnose,
            snakemake.params.synthetic,
        )
