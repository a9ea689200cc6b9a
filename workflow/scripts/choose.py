"""Assign a petition under every policy to everybody on the roster and audit what was fielded."""

from pathlib import Path

from nanotarget.assign.assign import (
    audit,
    count_petitions,
    lookup_table,
    petitions_table,
    pooled_petitions,
)
from nanotarget.assign.shards import assign_parts, learned_policies, place, with_rosters
from nanotarget.clean.contracts import assignments as contract
from nanotarget.petitions.design import Design
from nanotarget.study import artefacts, shards
from nanotarget.study.config import ArmConfig, CovariateConfig, DesignConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_assignments(inputs, outputs, params):
    """Write assignments: one file, or of a roster in shards a part for each of them."""
    if Path(inputs.roster).is_dir():
        with shards.replacing_folder(outputs.assignments) as folder:
            if finished := inputs.get("slices"):
                place(finished, folder)
            else:
                assign_parts(learned_policies(inputs, params), shards.parts(inputs.roster), folder)
    else:
        policies = learned_policies(inputs, params)
        table = policies.assign(artefacts.read_parquet(inputs.roster))
        artefacts.write_parquet(contract(policies.model.design).validate(table), outputs.assignments)


def write_lists(inputs, outputs, params):
    """Write the list of petitions, the lookup table and, with an experiment, the audit."""
    design = Design.from_config(DesignConfig.model_validate(params.design))
    covariates = CovariateConfig.validate_list(params.covariates)
    counts = count_petitions(
        shards.read_part(part, ["policy", "petition_id"]) for part in shards.parts(outputs.assignments)
    )
    petitions = petitions_table(counts, design)
    artefacts.write_csv(petitions, outputs.all_petitions)
    artefacts.write_csv(pooled_petitions(petitions, params.min_cell), outputs.petitions)
    if outputs.get("lookup"):
        both = with_rosters(outputs.assignments, inputs.roster)
        lookup = lookup_table(both, covariates, "nano")
        artefacts.write_csv(artefacts.told_simulated(lookup, params.synthetic), outputs.lookup)
    if params.arms:
        table, people = artefacts.read_parquet(outputs.assignments), artefacts.read_parquet(inputs.roster)
        artefacts.write_csv(audit(table, people, ArmConfig.validate_list(params.arms), design), outputs.audit)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_assignments(snakemake.input, snakemake.output, snakemake.params)
        write_lists(snakemake.input, snakemake.output, snakemake.params)
