"""Assign a petition under every policy to everybody on the roster and audit what was fielded."""

from nanotarget.assign.assign import assign, audit, lookup_table, petitions_table, pooled_petitions
from nanotarget.calibrate.frozen import read_frozen
from nanotarget.clean.contracts import assignments as contract
from nanotarget.petitions.design import Design
from nanotarget.study import artefacts, preregistration
from nanotarget.study.config import ArmConfig, CovariateConfig, DesignConfig, PolicyConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_assignments(inputs, outputs, params):
    """Write assignments, the list of petitions, the lookup table and, with an experiment, the audit."""
    design = Design.from_config(DesignConfig.model_validate(params.design))
    covariates = CovariateConfig.validate_list(params.covariates)
    registration = preregistration.read(inputs.get("registration"))
    model = read_frozen(
        inputs.settings, inputs.arrays, inputs.digest, design, registration.model if registration else None
    )
    roster = artefacts.read_parquet(inputs.roster)
    population = artefacts.read_parquet(inputs.population)
    settings = PolicyConfig.model_validate(params.assign)
    table = assign(model, population, roster, settings, params.seed)
    artefacts.write_parquet(contract(design).validate(table), outputs.assignments)
    petitions = petitions_table(table, design)
    artefacts.write_csv(petitions, outputs.all_petitions)
    artefacts.write_csv(pooled_petitions(petitions, params.min_cell), outputs.petitions)
    if "nano" in settings.policies:
        lookup = lookup_table(table, roster, covariates, "nano")
        artefacts.write_csv(artefacts.told_simulated(lookup, params.synthetic), outputs.lookup)
    if params.arms:
        arms = ArmConfig.validate_list(params.arms)
        artefacts.write_csv(audit(table, roster, arms, design), outputs.audit)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_assignments(snakemake.input, snakemake.output, snakemake.params)
