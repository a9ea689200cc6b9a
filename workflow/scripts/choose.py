"""Assign a petition under every policy to everybody on the roster and audit what was fielded."""

from nanotarget.assign.assign import assign, audit, lookup_table, petitions_table
from nanotarget.calibrate.frozen import read_frozen
from nanotarget.clean.contracts import assignments as contract
from nanotarget.petitions.design import Design
from nanotarget.study import artefacts, preregistration
from nanotarget.study.config import ArmConfig, CovariateConfig, DesignConfig, PolicyConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_assignments(inputs, outputs, design, covariates, settings, arms, seed, synthetic):
    """Write assignments, the list of petitions, the lookup table and, with an experiment, the audit."""
    design = Design.from_config(DesignConfig.model_validate(design))
    covariates = CovariateConfig.validate_list(covariates)
    registration = preregistration.read(inputs.get("registration"))
    model = read_frozen(
        inputs.settings, inputs.arrays, inputs.digest, design, registration.model if registration else None
    )
    roster = artefacts.read_parquet(inputs.roster)
    population = artefacts.read_parquet(inputs.population)
    settings = PolicyConfig.model_validate(settings)
    table = assign(model, population, roster, settings, seed)
    artefacts.write_parquet(contract(design).validate(table), outputs.assignments)
    artefacts.write_csv(petitions_table(table, design), outputs.petitions)
    if "nano" in settings.policies:
        lookup = lookup_table(table, roster, covariates, "nano")
        artefacts.write_csv(artefacts.told_simulated(lookup, synthetic), outputs.lookup)
    if arms:
        artefacts.write_csv(
            audit(table, roster, ArmConfig.validate_list(arms), design),
            outputs.audit,
        )


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_assignments(
            snakemake.input,
            snakemake.output,
            snakemake.params.design,
            snakemake.params.covariates,
            snakemake.params.assign,
            snakemake.params.arms,
            snakemake.params.seed,
            snakemake.params.synthetic,
        )
