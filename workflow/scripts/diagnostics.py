"""Say from calibration data alone whether nano-targeting can pay."""

from nanotarget.calibrate.learners import TrainingData, models_from_data
from nanotarget.calibrate.learners.crossfit import Crossfit, assign_halves
from nanotarget.clean.groups import published_groups
from nanotarget.diagnose import Group, Inputs, diagnose, divisions
from nanotarget.diagnose.permutation import COLUMNS, Permutations
from nanotarget.diagnose.refits import from_arrays
from nanotarget.study import artefacts
from nanotarget.study.config import CovariateConfig, DiagnoseConfig, LearningConfig, SubgroupConfig
from nanotarget.study.disclosure import small, without_small_shares
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_diagnosis(inputs, outputs, params):
    """Write the table of diagnostics, the verdict and the tables of the figures."""
    made_from = read_inputs(inputs, params.learning, params.diagnose)
    groups = published_groups(
        made_from.fitted.data.respondents,
        SubgroupConfig.validate_list(params.subgroups),
        CovariateConfig.validate_list(params.learning["covariates"]),
        params.min_cell,
    )
    diagnosis = diagnose(made_from, [Group(*group) for group in groups])
    n = len(made_from.fitted.data.respondents)
    shares = ["share_nano", "share_replicated"]
    switches = without_small_shares(diagnosis.switches, ["attribute"], shares, n, params.min_cell)
    artefacts.write_csv(switches, outputs.switches)
    for name in ("diagnostics", "calibration", "frontier", "learning_curve", "ladder"):
        artefacts.write_csv(getattr(diagnosis, name), outputs[name])
    flags = [*diagnosis.answer["flags"], *artefacts.read_json(inputs.design_flags)]
    answer = diagnosis.answer | {"flags": flags}
    artefacts.write_json({**answer, "synthetic": params.synthetic}, outputs.verdict)
    permutations = made_from.permutations
    abundance = permutations.abundance()
    few = (abundance["source"] == "observed") & small(abundance["share"] * n, params.min_cell)
    artefacts.write_csv(abundance[~few], outputs.abundance)
    artefacts.write_csv(permutations.table[list(COLUMNS)], outputs.permutations)


def read_inputs(inputs, learning, settings):
    """Return what the diagnosis is made from."""
    data = TrainingData.from_settings(
        artefacts.read_parquet(inputs.profiles), artefacts.read_parquet(inputs.respondents), learning
    )
    own_answers = LearningConfig.model_validate(learning["calibrate"]).own_answers
    learners = artefacts.read_csv(inputs.learners)
    chosen = learners[learners["chosen"]].iloc[0]
    fold = artefacts.read_parquet(inputs.crossfit)["fold"].to_numpy() - 1
    half = assign_halves(data, learning["seed"], own_answers)
    return Inputs(
        fitted=Crossfit(data, fold, read_models(inputs.folds_settings, inputs.folds_arrays, data)),
        halves=Crossfit(data, half, read_models(inputs.halves_settings, inputs.halves_arrays, data)),
        settings=DiagnoseConfig.model_validate(settings),
        seed=learning["seed"],
        learner=chosen["learner"],
        improvement=(chosen["improvement"], chosen["std_error"]),
        warning=chosen["warning"] if isinstance(chosen.get("warning"), str) else "",
        own_answers=own_answers,
        refitted={
            variant: refit
            for path in inputs.refits
            for variant, refit in from_arrays(artefacts.read_npz(path)).items()
        },
        divisions=divisions.from_arrays(artefacts.read_npz(inputs.divisions), data.design),
        permutations=Permutations.of([artefacts.read_parquet(path) for path in inputs.permutations]),
    )


def read_models(settings, arrays, data):
    """Return the models of a cross-fit."""
    return models_from_data(artefacts.read_json(settings), artefacts.read_npz(arrays), data.design)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_diagnosis(snakemake.input, snakemake.output, snakemake.params)
