"""Hold the experiment against what the calibration promised: who gained, and whom nano would serve."""

from nanotarget import explore
from nanotarget.study import artefacts, preregistration
from nanotarget.study.config import ArmConfig, CovariateConfig, ExploreConfig, OutcomeConfig, PrivacyConfig
from nanotarget.study.problems import reporting


def hold(inputs, outputs, arms, outcomes, covariates, settings, privacy, adjust, alpha, goal, seed):
    """Write dilution, dose and promise, who should get nano, and fairness."""
    table, assignments = (artefacts.read_parquet(path) for path in (inputs.experiment, inputs.assignments))
    deviations = artefacts.read_csv(inputs.deviations, dtype="str")
    registration = preregistration.read(inputs.registration)
    policies = {arm.policy: arm.name for arm in ArmConfig.validate_list(arms)}
    nano, best = policies["nano"], policies["overall_best"]
    outcomes = [outcome.name for outcome in OutcomeConfig.validate_list(outcomes)]
    covariates = CovariateConfig.validate_list(covariates)
    settings, min_cell = (
        ExploreConfig.model_validate(settings),
        PrivacyConfig.model_validate(privacy).min_cell,
    )
    promise = explore.validation(
        table,
        assignments,
        nano,
        best,
        outcomes,
        min_cell,
        alpha,
        settings.comparable,
        explore.Dividend.of(artefacts.read_csv(inputs.diagnostics), goal),
        registration,
        deviations,
    )
    gain = explore.promised(table, assignments)["gain"].set_axis(table["respondent_id"])
    found = explore.targeting(
        table,
        [best, nano],
        outcomes,
        [c for c in covariates if c.name in adjust],
        settings.subgroups,
        covariates,
        gain,
        min_cell,
        seed,
        alpha,
        deviations=deviations,
    )
    fair = explore.fairness(
        table,
        assignments,
        nano,
        best,
        outcomes,
        settings.subgroups,
        covariates,
        min_cell,
        seed,
        alpha,
        deviations,
    )
    artefacts.write_csv(promise, outputs.validation)
    artefacts.write_csv(found.gate, outputs.gate)
    artefacts.write_csv(found.projection, outputs.projection)
    artefacts.write_csv(found.rate, outputs.rate)
    artefacts.write_csv(found.curve, outputs.targeting_curve)
    artefacts.write_csv(fair, outputs.fairness)


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        hold(
            snakemake.input,
            snakemake.output,
            snakemake.params.arms,
            snakemake.params.outcomes,
            snakemake.params.covariates,
            snakemake.params.explore,
            snakemake.params.privacy,
            snakemake.params.adjust,
            snakemake.params.alpha,
            snakemake.params.goal,
            snakemake.params.seed,
        )
