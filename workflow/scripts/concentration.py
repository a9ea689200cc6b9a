"""Count the petitions that nano assigns, beside those it would assign to covariates that mean nothing."""

from pathlib import Path

from nanotarget import artefacts
from nanotarget.assign import concentration_table
from nanotarget.config import CalibrateConfig, CovariateConfig, DesignConfig, typed
from nanotarget.design import Design
from nanotarget.learners import FITTERS, TrainingData, model_from_data
from nanotarget.learners.bart import Chain, combine
from nanotarget.learners.crossfit import deal_answers, deal_covariates
from nanotarget.problems import reporting


def write_concentration(inputs, output, design, covariates, outcome, calibrate, permutations, seed):
    """Write the table of concentrations."""
    design = Design.from_config(typed(DesignConfig, design))
    calibrate = typed(CalibrateConfig, calibrate)
    data = TrainingData.from_tables(
        artefacts.read_parquet(inputs.profiles),
        artefacts.read_parquet(inputs.respondents),
        design,
        outcome,
        typed(list[CovariateConfig], covariates),
    )
    settings = artefacts.read_json(inputs.settings)
    model = model_from_data(settings, artefacts.read_npz(inputs.arrays), design)

    def permuted(draw):
        # Own answers must tell nothing either where nano looks at them.
        deal = deal_answers if calibrate.own_answers else deal_covariates
        dealt = deal(data, draw, seed)
        paths = sorted(path for path in inputs.chains if Path(path).name.startswith(f"permuted_{draw}_"))
        if paths:
            return combine(dealt, [Chain.from_arrays(artefacts.read_npz(path)) for path in paths], seed)
        return FITTERS[settings["learner"]](dealt, seed, calibrate)

    roster = artefacts.read_parquet(inputs.roster)
    table = concentration_table(model, (permuted(draw + 1) for draw in range(permutations)), roster)
    artefacts.write_csv(table, output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        write_concentration(
            snakemake.input,
            snakemake.output[0],
            snakemake.params.design,
            snakemake.params.covariates,
            snakemake.params.outcome,
            snakemake.params.calibrate,
            snakemake.params.permutations,
            snakemake.params.seed,
        )
