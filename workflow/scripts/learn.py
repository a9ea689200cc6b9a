"""Fit and cross-fit the learners, compare them with the null of no heterogeneity, freeze one."""

from pathlib import Path

import pandas as pd

from nanotarget.calibrate.learners import FITTERS, TrainingData, arrays_of
from nanotarget.calibrate.learners.bart import chains_by_part, combine, worst_convergence
from nanotarget.calibrate.learners.selection import compare
from nanotarget.study import artefacts
from nanotarget.study.config import LearningConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def learn(inputs, outputs, learning):
    """Write the frozen model, the models of the folds and the comparison of learners with the null."""
    settings, seed = LearningConfig.model_validate(learning["calibrate"]), learning["seed"]
    data = TrainingData.from_settings(
        artefacts.read_parquet(inputs.profiles), artefacts.read_parquet(inputs.respondents), learning
    )
    chains = chains_by_part({Path(p).stem: artefacts.read_npz(p) for p in inputs.get("chains", [])})

    def fit(name, train, part):
        if name == "bart":
            return combine(train, chains[part], seed)
        return FITTERS[name](train, seed, settings)

    traces = [[c.trace for c in drawn] for part, drawn in chains.items() if part.startswith("fold")]
    mixing, warning = worst_convergence(traces) if traces else ({}, "")
    compared = compare(data, fit, settings, seed, {"bart": warning} if warning else {})
    model = fit(compared.chosen, data, "whole")
    rows = pd.DataFrame(compared.rows)
    rows.loc[rows["learner"] == "bart", list(mixing)] = list(mixing.values())
    rows.loc[rows["chosen"], list(model.fit)] = list(model.fit.values())
    artefacts.write_csv(rows, outputs.learners)

    fitted = compared.fitted[compared.chosen]
    artefacts.write_parquet(fitted.to_table(), outputs.crossfit)
    artefacts.write_json([m.settings() for m in fitted.models], outputs.folds_settings)
    artefacts.write_npz(arrays_of(fitted.models), outputs.folds_arrays)
    artefacts.write_json({**model.settings(), "learner": compared.chosen}, outputs.settings)
    artefacts.write_npz(model.arrays(), outputs.arrays)
    digests = [
        f"{artefacts.sha256(path)}  {Path(path).name}\n" for path in (outputs.arrays, outputs.settings)
    ]
    artefacts.write_text("".join(digests), outputs.digest)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        learn(snakemake.input, snakemake.output, snakemake.params.learning)
