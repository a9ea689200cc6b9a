"""Cross-fit variants of the calibration for the diagnosis."""

from nanotarget.calibrate.learners import TrainingData
from nanotarget.diagnose.refits import Refitting, to_arrays
from nanotarget.study import artefacts
from nanotarget.study.config import LearningConfig, RefitConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_refits(inputs, output, variants, learning, settings):
    """Write what the cross-fits leave."""
    refitting = Refitting(
        TrainingData.from_settings(
            artefacts.read_parquet(inputs.profiles), artefacts.read_parquet(inputs.respondents), learning
        ),
        LearningConfig.model_validate(learning["calibrate"]),
        RefitConfig.model_validate(settings),
        artefacts.read_json(inputs.settings)["learner"],
        learning["seed"],
    )
    artefacts.write_npz(to_arrays({variant: refitting.refit(variant) for variant in variants}), output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_refits(
            snakemake.input,
            snakemake.output[0],
            snakemake.params.variants,
            snakemake.params.learning,
            snakemake.params.diagnose,
        )
