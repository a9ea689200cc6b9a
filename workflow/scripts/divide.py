"""Divide the calibration into folds and into halves until the gain of nano is reproducible."""

from nanotarget.calibrate.learners import FITTERS, TrainingData, models_from_data
from nanotarget.calibrate.learners.crossfit import Crossfit, assign_halves
from nanotarget.diagnose import Inputs
from nanotarget.diagnose.divisions import LEAST, to_arrays
from nanotarget.diagnose.redivision import Limits, RidgeDivider, dividers, redivide
from nanotarget.study import artefacts
from nanotarget.study.config import FAST_LEARNERS, DiagnoseConfig, LearningConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_divisions(inputs, output, learning, diagnose):
    """Write what the divisions say; nothing if the study's own division is to stand for them."""
    settings = DiagnoseConfig.model_validate(diagnose)
    calibrate, seed = LearningConfig.model_validate(learning["calibrate"]), learning["seed"]
    learner = artefacts.read_json(inputs.settings)["learner"]
    data = TrainingData.from_settings(
        artefacts.read_parquet(inputs.profiles), artefacts.read_parquet(inputs.respondents), learning
    )
    fold = artefacts.read_parquet(inputs.crossfit)["fold"].to_numpy() - 1
    fitted = Crossfit(data, fold, read_models(inputs.folds_settings, inputs.folds_arrays, data))
    half = assign_halves(data, seed, calibrate.own_answers)
    halves = Crossfit(data, half, read_models(inputs.halves_settings, inputs.halves_arrays, data))
    own = Inputs(fitted, halves, settings, seed, own_answers=calibrate.own_answers)

    def fit(train, _):
        return FITTERS[learner](train, seed, calibrate)

    divisions = {}
    if own.has_information and settings.splits > 1 and learner in FAST_LEARNERS:
        allowed = own.allowed
        del own  # the answers that it prepared take more memory than the divisions
        halved, folded = dividers(fitted, halves, fit, allowed)
        most = settings.splits
        if not isinstance(folded, RidgeDivider):  # each is as dear as the study's own
            most = min(most, LEAST)
        limits = Limits(calibrate.folds, most, calibrate.own_answers)
        divisions = redivide(halved, folded, data, limits, seed)
    artefacts.write_npz(to_arrays(divisions), output)


def read_models(settings, arrays, data):
    """Return the models of a cross-fit."""
    return models_from_data(artefacts.read_json(settings), artefacts.read_npz(arrays), data.design)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_divisions(
            snakemake.input, snakemake.output[0], snakemake.params.learning, snakemake.params.diagnose
        )
