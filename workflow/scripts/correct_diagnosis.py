"""The diagnosis from choices, or from yes or no, without response error."""

from nanotarget.explore.corrected_diagnosis import corrected_diagnosis
from nanotarget.study import artefacts
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def correct(inputs, output, params):
    """Write gains, ceilings and variances without response error beside those of the diagnosis."""
    diagnostics, reliability = map(artefacts.read_csv, (inputs.diagnostics, inputs.reliability))
    own = reliability[reliability["outcome"] == params.analysed]
    table = corrected_diagnosis(diagnostics, own, params.goal, params.confidence)
    artefacts.write_csv(table, output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        correct(snakemake.input, snakemake.output[0], snakemake.params)
