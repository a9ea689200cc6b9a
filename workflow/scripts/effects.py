"""Estimate what the arms did, and whether the experiment can be trusted to show it."""

from nanotarget import estimate
from nanotarget.study import artefacts, preregistration
from nanotarget.study.config import ArmConfig, CovariateConfig, EstimateConfig, OutcomeConfig
from nanotarget.study.problems import reporting


def analyse(inputs, outputs, arms, outcomes, covariates, settings):
    """Write the tables of the experiment that are asked for."""
    arm_settings = ArmConfig.validate_list(arms)
    arms = [arm.name for arm in arm_settings]
    unfielded = [arm.name for arm in arm_settings if arm.policy is None]
    measured = OutcomeConfig.validate_list(outcomes)
    outcomes = [outcome.name for outcome in measured]
    covariates = {covariate.name: covariate for covariate in CovariateConfig.validate_list(covariates)}
    allowed = list(covariates.values())
    settings = EstimateConfig.model_validate(settings)
    adjust, alpha = [covariates[name] for name in settings.adjust], settings.alpha
    registration = preregistration.read(inputs.registration)
    deviations = artefacts.read_csv(inputs.deviations, dtype="str")
    table, flow = artefacts.read_parquet(inputs.experiment), artefacts.read_csv(inputs.flow)
    marks = (registration, deviations)

    effects = estimate.effects(table, arms, outcomes, adjust, alpha, *marks)
    equivalence = estimate.equivalence(effects, settings.sesoi, alpha, *marks)
    tables = {
        "effects": lambda: effects,
        "scales": lambda: estimate.scales(table, arms, measured, alpha, *marks),
        "omnibus": lambda: estimate.omnibus(table, arms, outcomes, *marks),
        "robustness": lambda: estimate.robustness(table, arms, measured, adjust, alpha, *marks),
        "equivalence": lambda: equivalence,
        "sentences": lambda: estimate.sentences(equivalence, arms, measured, alpha),
        "power": lambda: estimate.power(effects, settings.sesoi, alpha, deviations=deviations),
        "balance": lambda: estimate.balance(table, arms, allowed, deviations),
        "attrition": lambda: estimate.attrition(table, arms, outcomes, deviations),
        "differential_attrition": lambda: estimate.differential_attrition(
            table, arms, outcomes, allowed, deviations
        ),
        "lee_bounds": lambda: estimate.lee_bounds(table, arms, outcomes, alpha, *marks),
        "ipw": lambda: estimate.ipw_effects(table, arms, outcomes, adjust, alpha, *marks),
        "cace": lambda: estimate.cace(table, arms, outcomes, unfielded, alpha, *marks),
        "checks": lambda: estimate.checks(table, arms, outcomes, adjust, alpha, *marks),
        "participants": lambda: estimate.participant_flow(table, arms, outcomes, flow, deviations),
    }
    for name, path in outputs.items():
        artefacts.write_csv(tables[name](), path)


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
