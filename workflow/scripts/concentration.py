"""Count the petitions that nano assigns, beside those it would assign to covariates that mean nothing."""

from pathlib import Path

from nanotarget.assign.assign import concentration_table
from nanotarget.calibrate.frozen import read_frozen
from nanotarget.calibrate.learners import FITTERS, TrainingData
from nanotarget.calibrate.learners.bart import Chain, combine
from nanotarget.calibrate.learners.crossfit import permute_answers, permute_covariates
from nanotarget.study import artefacts
from nanotarget.study.config import LearningConfig
from nanotarget.study.keyed import sampled
from nanotarget.study.problems import reporting
from nanotarget.study.progress import steps
from nanotarget.study.record import recording


def write_concentration(inputs, output, learning, permutations):
    """Write the table of concentrations."""
    calibrate, seed = LearningConfig.model_validate(learning["calibrate"]), learning["seed"]
    data = TrainingData.from_settings(
        artefacts.read_parquet(inputs.profiles), artefacts.read_parquet(inputs.respondents), learning
    )
    settings = artefacts.read_json(inputs.settings)
    model = read_frozen(inputs.settings, inputs.arrays, inputs.digest, data.design)

    def permuted(draw):
        # Own answers must tell nothing either where nano looks at them.
        permute = permute_answers if calibrate.own_answers else permute_covariates
        train = permute(data, draw, seed)
        paths = sorted(path for path in inputs.chains if Path(path).name.startswith(f"permuted_{draw}_"))
        if paths:
            return combine(train, [Chain.from_arrays(artefacts.read_npz(path)) for path in paths], seed)
        return FITTERS[settings["learner"]](train, seed, calibrate)

    roster = sampled(artefacts.read_parquet(inputs.roster))
    draws = steps(range(permutations), "fits to permuted covariates")
    table = concentration_table(model, (permuted(draw + 1) for draw in draws), roster)
    artefacts.write_csv(table, output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_concentration(
            snakemake.input,
            snakemake.output[0],
            snakemake.params.learning,
            snakemake.params.permutations,
        )
