"""How any two attributes of petitions interact in the answers."""

from nanotarget.calibrate.conjoint import Analysis
from nanotarget.calibrate.interactions import interactions
from nanotarget.petitions.design import Design
from nanotarget.study import artefacts
from nanotarget.study.config import DesignConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def interact(inputs, outputs, params):
    """Write interactions of levels and tests of attributes, of the outcome analysed."""
    profiles = artefacts.read_parquet(inputs.profiles)
    design = Design.from_config(DesignConfig.model_validate(params.design))
    design = design.as_shown(design.codes(profiles))
    cells, tests = interactions(profiles, design, Analysis(params.analysed, params.se_type))
    artefacts.write_csv(cells, outputs.interactions)
    artefacts.write_csv(tests, outputs.interaction_tests)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        interact(snakemake.input, snakemake.output, snakemake.params)
