"""Say from calibration data alone whether nano-targeting can pay."""

import pandas as pd

from nanotarget.calibrate.learners import TrainingData, models_from_data
from nanotarget.calibrate.learners.crossfit import Crossfit, assign_halves
from nanotarget.clean.groups import published_groups
from nanotarget.diagnose import Group, Material, diagnose
from nanotarget.diagnose.permutation import ABUNDANCE_COLUMNS, COLUMNS, SHARES, abundance_table
from nanotarget.diagnose.refits import from_arrays
from nanotarget.study import artefacts
from nanotarget.study.config import CalibrateConfig, CovariateConfig, DiagnoseConfig, SubgroupConfig, typed
from nanotarget.study.problems import reporting


def write_diagnosis(inputs, outputs, learning, settings, subgroups, min_cell, synthetic):
    """Write the table of diagnostics, the verdict and the tables of the figures."""
    data = TrainingData.from_settings(
        artefacts.read_parquet(inputs.profiles), artefacts.read_parquet(inputs.respondents), learning
    )
    calibrate, seed = typed(CalibrateConfig, learning["calibrate"]), learning["seed"]
    permuted = [artefacts.read_parquet(path) for path in inputs.permutations]
    permutations = pd.concat(permuted).sort_values("draw", ignore_index=True) if permuted else None
    learners = artefacts.read_csv(inputs.learners)
    chosen = learners[learners["chosen"]].iloc[0]
    fold = artefacts.read_parquet(inputs.crossfit)["fold"].to_numpy() - 1
    material = Material(
        fitted=Crossfit(data, fold, read_models(inputs.folds_settings, inputs.folds_arrays, data)),
        halves=Crossfit(
            data,
            assign_halves(data, seed, calibrate.own_answers),
            read_models(inputs.halves_settings, inputs.halves_arrays, data),
        ),
        settings=typed(DiagnoseConfig, settings),
        seed=seed,
        learner=chosen["learner"],
        improvement=(chosen["improvement"], chosen["std_error"]),
        own_answers=calibrate.own_answers,
        refits={
            variant: found
            for path in inputs.refits
            for variant, found in from_arrays(artefacts.read_npz(path)).items()
        },
        permuted=permutations,
    )
    groups = published_groups(
        data.respondents,
        typed(list[SubgroupConfig], subgroups),
        typed(list[CovariateConfig], learning["covariates"]),
        min_cell,
    )
    found = diagnose(material, [Group(*group) for group in groups])
    for name in ("diagnostics", "calibration", "switches", "frontier", "learning_curve", "ladder"):
        artefacts.write_csv(getattr(found, name), outputs[name])
    artefacts.write_json({**found.answer, "synthetic": synthetic}, outputs.verdict)
    if permutations is None:
        abundance, permutations = (
            pd.DataFrame(columns=list(ABUNDANCE_COLUMNS)),
            pd.DataFrame(columns=list(COLUMNS)),
        )
    else:
        shares = permutations[SHARES].to_numpy()
        abundance = abundance_table(shares[0], shares[1:])
    artefacts.write_csv(abundance, outputs.abundance)
    artefacts.write_csv(permutations[list(COLUMNS)], outputs.permutations)


def read_models(settings, arrays, data):
    """Return the models of a cross-fit."""
    return models_from_data(artefacts.read_json(settings), artefacts.read_npz(arrays), data.design)


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        write_diagnosis(
            snakemake.input,
            snakemake.output,
            snakemake.params.learning,
            snakemake.params.diagnose,
            snakemake.params.subgroups,
            snakemake.params.min_cell,
            snakemake.params.synthetic,
        )
