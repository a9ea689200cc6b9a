"""Assign a petition under every policy to everybody on the roster and audit what was fielded."""

from nanotarget import artefacts
from nanotarget.assign import assign, audit, lookup_table, petitions_table
from nanotarget.config import ArmConfig, CovariateConfig, DesignConfig, typed
from nanotarget.contracts import assignments as contract
from nanotarget.design import Design
from nanotarget.learners.base import AdditiveModel
from nanotarget.policy import best_set
from nanotarget.problems import reporting


def write_assignments(inputs, outputs, design, covariates, settings, arms, seed):
    """Write assignments, the list of petitions, the lookup table and, with an experiment, the audit."""
    design = Design.from_config(typed(DesignConfig, design))
    covariates = typed(list[CovariateConfig], covariates)
    coefficients = artefacts.read_parquet(inputs.coefficients)
    model = AdditiveModel.from_tables(coefficients, artefacts.read_json(inputs.settings), design)
    roster = artefacts.read_parquet(inputs.roster)
    population = artefacts.read_parquet(inputs.population)
    weight = population["weight"].to_numpy()
    segments = best_set(model.utilities(population), weight, settings["segments"], design)
    policies = settings["policies"]
    table = assign(model, coefficients["average"].to_numpy(), segments, roster, policies, seed)
    artefacts.write_parquet(contract(design).validate(table), outputs.assignments)
    artefacts.write_csv(petitions_table(table, design), outputs.petitions)
    if "nano" in policies:
        artefacts.write_csv(lookup_table(table, roster, covariates, "nano"), outputs.lookup)
    if arms:
        artefacts.write_csv(audit(table, roster, typed(list[ArmConfig], arms), design), outputs.audit)


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        write_assignments(
            snakemake.input,
            snakemake.output,
            snakemake.params.design,
            snakemake.params.covariates,
            snakemake.params.assign,
            snakemake.params.arms,
            snakemake.params.seed,
        )
