"""Write everybody's arm and petition in the form that a survey platform imports."""

from nanotarget.assign.fielding import fielding_table
from nanotarget.clean.pseudonyms import ids_of
from nanotarget.petitions.design import Design
from nanotarget.study import artefacts
from nanotarget.study.config import DesignConfig, RosterArmConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_fielding(inputs, output, arms, design, synthetic):
    """Write the export under people's own ids, which the platform knows."""
    drawn = artefacts.read_csv(inputs.arms, dtype="str")
    assignments = artefacts.read_parquet(inputs.assignments)
    design = Design.from_config(DesignConfig.model_validate(design))
    table = fielding_table(drawn, assignments, RosterArmConfig.validate_list(arms), design)
    ids = ids_of(artefacts.read_parquet(inputs.ids), "roster")
    table = table.assign(respondent_id=table["respondent_id"].map(ids)).sort_values("respondent_id")
    artefacts.write_csv(artefacts.told_simulated(table, synthetic), output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_fielding(
            snakemake.input,
            snakemake.output[0],
            snakemake.params.arms,
            snakemake.params.design,
            snakemake.params.synthetic,
        )
