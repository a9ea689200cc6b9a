"""Fit the learner, cross-fit it and compare it with the null of no person-specific preferences."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from nanotarget import artefacts
from nanotarget.config import CovariateConfig, DesignConfig, typed
from nanotarget.design import Design
from nanotarget.learners import FITTERS, TrainingData, fit_null
from nanotarget.learners.crossfit import compare_with_null, crossfit
from nanotarget.problems import reporting


def learn(inputs, outputs, design, covariates, outcome, learner, folds, seed):
    """Write the frozen model, the cross-fitted part-worths and the comparison with the null."""
    design = Design.from_config(typed(DesignConfig, design))
    data = TrainingData.from_tables(
        artefacts.read_parquet(inputs.profiles),
        artefacts.read_parquet(inputs.respondents),
        design,
        outcome,
        typed(list[CovariateConfig], covariates),
    )
    fit = FITTERS[learner]
    fitted = crossfit(data, fit, folds, seed, logging.getLogger("nanotarget").info)
    null = crossfit(data, fit_null, folds, seed)
    model = fit(data, seed)

    comparison = {
        "learner": learner,
        "outcome": outcome,
        **compare_with_null(data, fitted, null),
        **model.fit,
    }
    artefacts.write_csv(pd.DataFrame([comparison]), outputs.learners)
    artefacts.write_parquet(fitted.to_table(data.respondents["respondent_id"], design), outputs.crossfit)
    table, settings = model.to_tables()
    table["average"] = np.average(model.utilities(data.respondents), axis=0, weights=data.weight)
    artefacts.write_parquet(table, outputs.coefficients)
    artefacts.write_json({**settings, "learner": learner}, outputs.settings)
    digests = [
        f"{artefacts.sha256(path)}  {Path(path).name}\n" for path in (outputs.coefficients, outputs.settings)
    ]
    artefacts.write_text("".join(digests), outputs.digest)


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        learn(
            snakemake.input,
            snakemake.output,
            snakemake.params.design,
            snakemake.params.covariates,
            snakemake.params.outcome,
            snakemake.params.learner,
            snakemake.params.folds,
            snakemake.params.seed,
        )
