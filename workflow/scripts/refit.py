"""Cross-fit a variant of the calibration for the diagnosis."""

from nanotarget import artefacts
from nanotarget.config import CalibrateConfig, DiagnoseConfig, typed
from nanotarget.diagnosis.refits import refit
from nanotarget.learners import TrainingData
from nanotarget.problems import reporting


def write_refit(inputs, output, variant, learning, settings):
    """Write what the cross-fit leaves."""
    data = TrainingData.from_settings(
        artefacts.read_parquet(inputs.profiles), artefacts.read_parquet(inputs.respondents), learning
    )
    found = refit(
        data,
        variant,
        typed(CalibrateConfig, learning["calibrate"]),
        typed(DiagnoseConfig, settings),
        artefacts.read_json(inputs.settings)["learner"],
        learning["seed"],
    )
    artefacts.write_npz(found.arrays(), output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        write_refit(
            snakemake.input,
            snakemake.output[0],
            snakemake.wildcards.variant,
            snakemake.params.learning,
            snakemake.params.diagnose,
        )
