"""Ask what the arms would have seemed to do by chance: randomisation inference."""

from nanotarget.estimate import Trial, randomization_distribution, randomization_inference
from nanotarget.study import artefacts
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def redraw(inputs, outputs, section, draws, seed):
    """Write the tests and the distributions behind them."""
    trial = Trial.read(inputs.experiment, inputs.registration, inputs.deviations, section)
    artefacts.write_csv(randomization_inference(trial, seed, draws), outputs.inference)
    artefacts.write_csv(randomization_distribution(trial, seed, draws), outputs.distribution)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        redraw(
            snakemake.input,
            snakemake.output,
            snakemake.params.trial,
            snakemake.params.draws,
            snakemake.params.seed,
        )
