"""Count the petitions that nano assigns, beside those it would assign to covariates that mean nothing."""

from nanotarget import artefacts
from nanotarget.assign import concentration_table
from nanotarget.config import CovariateConfig, DesignConfig, typed
from nanotarget.design import Design
from nanotarget.learners import FITTERS, AdditiveModel, TrainingData
from nanotarget.problems import reporting


def write_concentration(inputs, output, design, covariates, outcome, learner, permutations, seed):
    """Write the table of concentrations."""
    design = Design.from_config(typed(DesignConfig, design))
    data = TrainingData.from_tables(
        artefacts.read_parquet(inputs.profiles),
        artefacts.read_parquet(inputs.respondents),
        design,
        outcome,
        typed(list[CovariateConfig], covariates),
    )
    coefficients = artefacts.read_parquet(inputs.coefficients)
    model = AdditiveModel.from_tables(coefficients, artefacts.read_json(inputs.settings), design)
    roster = artefacts.read_parquet(inputs.roster)
    table = concentration_table(model, FITTERS[learner], data, roster, permutations, seed)
    artefacts.write_csv(table, output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        write_concentration(
            snakemake.input,
            snakemake.output[0],
            snakemake.params.design,
            snakemake.params.covariates,
            snakemake.params.outcome,
            snakemake.params.learner,
            snakemake.params.permutations,
            snakemake.params.seed,
        )
