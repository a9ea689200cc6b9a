"""Write everybody's arm and petition in the form that a survey platform imports."""

from nanotarget.assign.fielding import Fielded, fielding_table
from nanotarget.petitions.design import Design
from nanotarget.study import artefacts, shards
from nanotarget.study.config import DesignConfig, RosterArmConfig
from nanotarget.study.problems import reporting
from nanotarget.study.progress import steps
from nanotarget.study.record import recording


def write_fielding(inputs, output, arms, design, synthetic):
    """Write the export under people's own ids, which the platform knows; without texts if it is large."""
    arms = RosterArmConfig.validate_list(arms)
    design = Design.from_config(DesignConfig.model_validate(design))
    assigned, whose = shards.parts(inputs.assignments), shards.parts(inputs.ids)
    people = shards.sizes(whose)
    drawn = artefacts.read_csv_parts(inputs.arms, people, dtype="str", usecols=["respondent_id", "arm"])
    texts = len(assigned) == 1
    columns = None if texts else ["respondent_id", "policy", "petition_id"]

    def tables():
        parts = steps(list(zip(assigned, whose, strict=True)), "people", sizes=people)
        for (petitions, ids), arm in zip(parts, drawn, strict=True):
            fielded = Fielded(arm, shards.read_part(petitions, columns), shards.read_part(ids))
            table = fielding_table(fielded, arms, design, texts)
            yield artefacts.told_simulated(table, synthetic)

    artefacts.write_csv_parts(tables(), output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_fielding(
            snakemake.input,
            snakemake.output[0],
            snakemake.params.arms,
            snakemake.params.design,
            snakemake.params.synthetic,
        )
