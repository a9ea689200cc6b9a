"""Refit to covariates permuted across respondents: one batch of the permutations."""

from nanotarget.calibrate.learners import TrainingData
from nanotarget.calibrate.learners.crossfit import assign_folds
from nanotarget.diagnose.permutation import permutation_table
from nanotarget.study import artefacts
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def permute(inputs, output, learning, folds, draws, goal):
    """Write the statistics of some draws."""
    data = TrainingData.from_settings(
        artefacts.read_parquet(inputs.profiles), artefacts.read_parquet(inputs.respondents), learning
    )
    seed = learning["seed"]
    # Folds of respondents, also where the learner of a panel knows people's own answers.
    fold = assign_folds(data, folds, seed)
    artefacts.write_parquet(permutation_table(data, fold, draws, seed, goal == "dissuade"), output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        permute(
            snakemake.input,
            snakemake.output[0],
            snakemake.params.learning,
            snakemake.params.folds,
            snakemake.params.draws,
            snakemake.params.goal,
        )
