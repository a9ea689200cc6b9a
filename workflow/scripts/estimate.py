"""Estimate what the arms did, and whether the experiment can be trusted to show it."""

from pathlib import Path

from nanotarget import artefacts, estimate, preregistration
from nanotarget.config import ArmConfig, CovariateConfig, EstimateConfig, OutcomeConfig, typed
from nanotarget.problems import reporting


def analyse(inputs, outputs, arms, outcomes, covariates, settings):
    """Write effects, equivalence tests, attrition, balance and power."""
    arms = [arm.name for arm in typed(list[ArmConfig], arms)]
    outcomes = [outcome.name for outcome in typed(list[OutcomeConfig], outcomes)]
    covariates = {covariate.name: covariate for covariate in typed(list[CovariateConfig], covariates)}
    settings = typed(EstimateConfig, settings)
    registration = (
        preregistration.parse(Path(inputs.registration).read_text(encoding="utf-8"), inputs.registration)
        if inputs.registration
        else None
    )
    deviations = artefacts.read_csv(inputs.deviations, dtype="str")
    table = artefacts.read_parquet(inputs.experiment)

    effects = estimate.effects(
        table,
        arms,
        outcomes,
        [covariates[name] for name in settings.adjust],
        settings.alpha,
        registration,
        deviations,
    )
    equivalence = estimate.equivalence(effects, settings.sesoi, settings.alpha, registration, deviations)
    power = estimate.power(effects, settings.sesoi, settings.alpha, deviations=deviations)
    balance = estimate.balance(table, arms, list(covariates.values()), deviations)
    attrition = estimate.attrition(table, arms, outcomes, deviations)
    artefacts.write_csv(effects, outputs.effects)
    artefacts.write_csv(equivalence, outputs.equivalence)
    artefacts.write_csv(power, outputs.power)
    artefacts.write_csv(balance, outputs.balance)
    artefacts.write_csv(attrition, outputs.attrition)


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        analyse(
            snakemake.input,
            snakemake.output,
            snakemake.params.arms,
            snakemake.params.outcomes,
            snakemake.params.covariates,
            snakemake.params.estimate,
        )
