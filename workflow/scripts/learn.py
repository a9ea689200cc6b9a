"""Fit and cross-fit the learners, compare them with the null of no heterogeneity, freeze one."""

import logging
from pathlib import Path

import pandas as pd

from nanotarget import artefacts
from nanotarget.config import CalibrateConfig, CovariateConfig, DesignConfig, typed
from nanotarget.design import Design
from nanotarget.learners import FITTERS, TrainingData, fit_null
from nanotarget.learners.bart import Chain, combine, worst_convergence
from nanotarget.learners.crossfit import compare_losses, crossfit, held_out_losses
from nanotarget.learners.selection import choose
from nanotarget.problems import reporting

LOG = logging.getLogger("nanotarget")


def learn(inputs, outputs, design, covariates, outcome, calibrate, seed):
    """Write the frozen model, the models of the folds and the comparison of learners with the null."""
    settings = typed(CalibrateConfig, calibrate)
    data = TrainingData.from_tables(
        artefacts.read_parquet(inputs.profiles),
        artefacts.read_parquet(inputs.respondents),
        Design.from_config(typed(DesignConfig, design)),
        outcome,
        typed(list[CovariateConfig], covariates),
    )
    chains = {}
    for path in inputs.get("chains", []):
        part, _, chain = Path(path).stem.rpartition("_")
        chains.setdefault(part, {})[int(chain)] = Chain.from_arrays(artefacts.read_npz(path))

    def fit(name, train, part):
        if name == "bart":
            return combine(train, [chains[part][c] for c in sorted(chains[part])], seed)
        return FITTERS[name](train, seed, settings)

    def cross(fitter):
        return crossfit(data, fitter, settings.folds, seed, settings.own_answers, LOG.info)

    null = held_out_losses(cross(lambda train, part: fit_null(train, seed, settings.interactions)))
    fitted, losses, rows = {}, {}, []
    for name in settings.learners:
        LOG.info("learner %s", name)
        fitted[name] = cross(lambda train, part, name=name: fit(name, train, part))
        losses[name] = held_out_losses(fitted[name])
        row = {"learner": name, "outcome": outcome, **compare_losses(losses[name], null, data.weight)}
        if name == "bart":
            traces = [[c.trace for c in drawn.values()] for part, drawn in chains.items() if part != "whole"]
            row |= worst_convergence(traces)
            if row["warning"]:
                LOG.warning("bart: %s", row["warning"])
        rows.append(row)
    chosen, reason = choose(losses, data.weight)
    if settings.learner != "auto":
        reason = "named in the config"
    model = fit(chosen, data, "whole")
    for row in rows:
        row |= {"chosen": row["learner"] == chosen}
        if row["chosen"]:
            row |= {"reason": reason, **model.fit}

    artefacts.write_csv(pd.DataFrame(rows), outputs.learners)
    artefacts.write_parquet(fitted[chosen].to_table(), outputs.crossfit)
    folds = fitted[chosen].models
    artefacts.write_json([m.settings() for m in folds], outputs.folds_settings)
    arrays = {f"{k}/{name}": a for k, m in enumerate(folds) for name, a in m.arrays().items()}
    artefacts.write_npz(arrays, outputs.folds_arrays)
    artefacts.write_json({**model.settings(), "learner": chosen}, outputs.settings)
    artefacts.write_npz(model.arrays(), outputs.arrays)
    digests = [
        f"{artefacts.sha256(path)}  {Path(path).name}\n" for path in (outputs.arrays, outputs.settings)
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
            snakemake.params.calibrate,
            snakemake.params.seed,
        )
