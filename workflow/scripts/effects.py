"""Estimate what the arms did, and whether the experiment can be trusted to show it."""

from pathlib import Path

from nanotarget import estimate
from nanotarget.clean.headcount import hidden_heads
from nanotarget.estimate.counts import published
from nanotarget.estimate.sample import published_balance
from nanotarget.study import artefacts
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def analyse(inputs, outputs, section, min_cell):
    """Write the tables of the experiment that are asked for, without counts of few people."""
    flow = artefacts.read_csv(inputs.flow)
    trial = estimate.Trial.read(inputs.experiment, inputs.registration, inputs.deviations, section)
    effects = estimate.effects(trial)
    equivalence = estimate.equivalence(trial, effects)
    tables = {
        "effects": lambda: effects,
        "outcomes": lambda: estimate.outcomes(trial),
        "scales": lambda: estimate.scales(trial),
        "omnibus": lambda: estimate.omnibus(trial),
        "robustness": lambda: estimate.robustness(trial),
        "equivalence": lambda: equivalence,
        "sentences": lambda: estimate.sentences(trial, equivalence),
        "power": lambda: estimate.power(trial, effects),
        "balance": lambda: published_balance(estimate.balance(trial), min_cell),
        "attrition": lambda: estimate.attrition(trial),
        "differential_attrition": lambda: estimate.differential_attrition(trial),
        "lee_bounds": lambda: estimate.lee_bounds(trial),
        "ipw": lambda: estimate.ipw_effects(trial),
        "cace": lambda: estimate.cace(trial),
        "checks": lambda: estimate.checks(trial),
        "participants": lambda: estimate.participant_flow(trial, flow),
    }
    kinds = {Path(table).stem: table for table in estimate.Table}
    hidden = hidden_heads(flow, trial.table, trial.outcome_names, min_cell)
    for name, path in outputs.items():
        artefacts.write_csv(published(tables[name](), kinds.get(name), hidden, min_cell), path)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        analyse(snakemake.input, snakemake.output, snakemake.params.trial, snakemake.params.min_cell)
