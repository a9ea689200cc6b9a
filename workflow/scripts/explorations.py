"""Look into the experiment beyond what was registered: groups of respondents, and the lower end."""

from nanotarget import explore
from nanotarget.study import artefacts
from nanotarget.study.config import ArmConfig, CovariateConfig, ExploreConfig, OutcomeConfig, PrivacyConfig
from nanotarget.study.problems import reporting


def look(inputs, outputs, arms, outcomes, covariates, settings, privacy, alpha, seed):
    """Write the exploratory tables that are asked for."""
    table = artefacts.read_parquet(inputs.experiment)
    deviations = artefacts.read_csv(inputs.deviations, dtype="str")
    arms = [arm.name for arm in ArmConfig.validate_list(arms)]
    measured = OutcomeConfig.validate_list(outcomes)
    outcomes = [outcome.name for outcome in measured]
    binary = [outcome.name for outcome in measured if outcome.kind == "binary"]
    floors = {outcome.name: outcome.range[0] if outcome.range else 0.0 for outcome in measured}
    covariates = CovariateConfig.validate_list(covariates)
    settings = ExploreConfig.model_validate(settings)
    groupings, min_cell = settings.subgroups, PrivacyConfig.model_validate(privacy).min_cell
    rest = (min_cell, alpha, deviations)

    def mobilisation():
        grouping = next(g for g in groupings if g.name == settings.base.grouping)
        covariate = next(c for c in covariates if c.name == grouping.covariate)
        return explore.mobilisation(table, arms, outcomes, grouping, settings.base.group, covariate, *rest)

    tables = {
        "subgroups": lambda: explore.subgroups(table, arms, outcomes, groupings, covariates, *rest),
        "odds_ratios": lambda: explore.odds_ratios(table, arms, binary, groupings, covariates, *rest),
        "mobilisation": mobilisation,
        "lower_tail": lambda: explore.lower_tail(table, arms, outcomes, floors, seed, alpha, deviations),
    }
    for name, path in outputs.items():
        artefacts.write_csv(tables[name](), path)


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        look(
            snakemake.input,
            snakemake.output,
            snakemake.params.arms,
            snakemake.params.outcomes,
            snakemake.params.covariates,
            snakemake.params.explore,
            snakemake.params.privacy,
            snakemake.params.alpha,
            snakemake.params.seed,
        )
