"""Compare the experiment with what the calibration predicted: who gained, and whom nano would serve."""

import pandas as pd

from nanotarget import explore
from nanotarget.estimate import Trial
from nanotarget.study import artefacts
from nanotarget.study.config import ExploreConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def validate(inputs, outputs, params):
    """Write dilution, dose and prediction, who should get nano, and fairness."""
    trial = Trial.read(inputs.experiment, inputs.registration, inputs.deviations, params.trial)
    arm_of = {arm["policy"]: arm["name"] for arm in params.trial["arms"]}
    nano, best = arm_of["nano"], arm_of["overall_best"]
    fielded = explore.Fielded(artefacts.read_parquet(inputs.assignments), nano, best, trial.table)
    settings = ExploreConfig.model_validate(params.explore)
    groupings, min_cell = settings.subgroups, params.min_cell
    dividend = explore.Dividend.of(artefacts.read_csv(inputs.diagnostics), params.goal)
    gain = fielded.promised(trial.table)["gain"].set_axis(trial.table["respondent_id"])
    targeting = explore.targeting(trial.of_arms(best, nano), gain, groupings, min_cell, params.seed)
    artefacts.write_csv(
        explore.validation(trial, fielded, min_cell, settings.comparable, dividend), outputs.validation
    )
    artefacts.write_csv(targeting.gate, outputs.gate)
    artefacts.write_csv(targeting.projection, outputs.projection)
    artefacts.write_csv(targeting.rate, outputs.rate)
    artefacts.write_csv(targeting.curve, outputs.targeting_curve)
    served = [
        explore.fairness(trial, fielded, groupings, min_cell, params.seed),
        explore.exposure(trial, fielded, settings, min_cell, params.seed),
    ]
    told = [table for table in served if len(table)] or served[:1]
    artefacts.write_csv(pd.concat(told, ignore_index=True), outputs.fairness)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        validate(snakemake.input, snakemake.output, snakemake.params)
