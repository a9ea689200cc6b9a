"""Ask what the arms would have seemed to do by chance: randomisation inference."""

from nanotarget.estimate import randomization_distribution, randomization_inference
from nanotarget.study import artefacts, preregistration
from nanotarget.study.config import ArmConfig, EstimateConfig, OutcomeConfig
from nanotarget.study.problems import reporting


def redraw(inputs, outputs, arms, outcomes, settings, seed):
    """Write the tests and the distributions behind them."""
    arms = [arm.name for arm in ArmConfig.validate_list(arms)]
    outcomes = [outcome.name for outcome in OutcomeConfig.validate_list(outcomes)]
    settings = EstimateConfig.model_validate(settings)
    registration = preregistration.read(inputs.registration)
    deviations = artefacts.read_csv(inputs.deviations, dtype="str")
    table = artefacts.read_parquet(inputs.experiment)
    artefacts.write_csv(
        randomization_inference(
            table, arms, outcomes, seed, settings.draws, settings.alpha, registration, deviations
        ),
        outputs.inference,
    )
    artefacts.write_csv(
        randomization_distribution(table, arms, outcomes, seed, settings.draws), outputs.distribution
    )


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        redraw(
            snakemake.input,
            snakemake.output,
            snakemake.params.arms,
            snakemake.params.outcomes,
            snakemake.params.estimate,
            snakemake.params.seed,
        )
