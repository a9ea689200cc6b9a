"""Fit the learner to two disjoint halves of the calibration."""

from pathlib import Path

from nanotarget.calibrate.learners import FITTERS, TrainingData, arrays_of
from nanotarget.calibrate.learners.bart import chains_by_part, combine
from nanotarget.calibrate.learners.crossfit import assign_halves, fit_folds
from nanotarget.study import artefacts
from nanotarget.study.config import LearningConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def halve(inputs, outputs, learning):
    """Write the two models."""
    settings, seed = LearningConfig.model_validate(learning["calibrate"]), learning["seed"]
    data = TrainingData.from_settings(
        artefacts.read_parquet(inputs.profiles), artefacts.read_parquet(inputs.respondents), learning
    )
    learner = artefacts.read_json(inputs.settings)["learner"]
    chains = chains_by_part({Path(p).stem: artefacts.read_npz(p) for p in inputs.get("chains", [])})

    def fit(train, part):
        if learner == "bart":
            return combine(train, chains[part], seed)
        return FITTERS[learner](train, seed, settings)

    fitted = fit_folds(data, assign_halves(data, seed, settings.own_answers), fit, "half")
    artefacts.write_json([model.settings() for model in fitted.models], outputs.settings)
    artefacts.write_npz(arrays_of(fitted.models), outputs.arrays)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        halve(snakemake.input, snakemake.output, snakemake.params.learning)
