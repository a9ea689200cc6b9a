"""Estimate effects in groups of respondents."""

from nanotarget import artefacts, explore
from nanotarget.config import (
    ArmConfig,
    CovariateConfig,
    ExploreConfig,
    OutcomeConfig,
    PrivacyConfig,
    typed,
)
from nanotarget.problems import reporting


def subgroups(inputs, outputs, arms, outcomes, covariates, settings, privacy, alpha):
    """Write the effects in every group that the config names."""
    table = explore.subgroups(
        artefacts.read_parquet(inputs.experiment),
        [arm.name for arm in typed(list[ArmConfig], arms)],
        [outcome.name for outcome in typed(list[OutcomeConfig], outcomes)],
        typed(ExploreConfig, settings).subgroups,
        typed(list[CovariateConfig], covariates),
        typed(PrivacyConfig, privacy).min_cell,
        alpha,
        artefacts.read_csv(inputs.deviations, dtype="str"),
    )
    artefacts.write_csv(table, outputs.subgroups)


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        subgroups(
            snakemake.input,
            snakemake.output,
            snakemake.params.arms,
            snakemake.params.outcomes,
            snakemake.params.covariates,
            snakemake.params.explore,
            snakemake.params.privacy,
            snakemake.params.alpha,
        )
