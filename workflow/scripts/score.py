"""Assign petitions to the people of some shards of a large roster."""

from nanotarget.assign.shards import assign_parts, learned_policies
from nanotarget.study import shards
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_parts(inputs, output, params):
    """Write a folder with a part for each shard that is this job's."""
    mine = shards.slice_of(inputs.roster, params.number, params.slices)
    with shards.replacing_folder(output) as folder:
        assign_parts(learned_policies(inputs, params), mine, folder)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_parts(snakemake.input, snakemake.output[0], snakemake.params)
