"""Sample one chain of the learner `bart` for one part of the calibration."""

from nanotarget.calibrate.learners import TrainingData
from nanotarget.calibrate.learners.bart import sample_chain
from nanotarget.calibrate.learners.crossfit import part_of
from nanotarget.study import artefacts
from nanotarget.study.config import LearningConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def sample(inputs, output, learning, part, chain):
    """Write the draws of a chain and their loss on what it has not seen."""
    settings, seed = LearningConfig.model_validate(learning["calibrate"]), learning["seed"]
    data = TrainingData.from_settings(
        artefacts.read_parquet(inputs.profiles), artefacts.read_parquet(inputs.respondents), learning
    )
    train, held_out = part_of(data, part, settings.folds, seed)
    drawn = sample_chain(train, settings.bart, seed, f"{part}/chain {chain}", held_out)
    artefacts.write_npz(drawn.to_arrays(), output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        sample(
            snakemake.input,
            snakemake.output[0],
            snakemake.params.learning,
            snakemake.wildcards.part,
            snakemake.wildcards.chain,
        )
