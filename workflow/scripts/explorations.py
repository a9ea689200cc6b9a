"""Look into the experiment beyond what was registered: groups, the lower end, how far people are apart."""

from nanotarget import explore
from nanotarget.estimate import Trial
from nanotarget.study import artefacts
from nanotarget.study.config import ExploreConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def explore_groups(inputs, outputs, params):
    """Write the exploratory tables that are asked for."""
    trial = Trial.read(inputs.experiment, inputs.registration, inputs.deviations, params.trial)
    settings = ExploreConfig.model_validate(params.explore)
    groupings, min_cell = settings.subgroups, params.min_cell
    base, poles = settings.base, None
    by_support = next((g for g in groupings if base and g.name == base.grouping), None)
    if base and base.opposed:
        poles = explore.Poles(by_support, base.group, base.opposed, min_cell)

    tables = {
        "subgroups": lambda: explore.subgroups(trial, groupings, min_cell),
        "odds_ratios": lambda: explore.odds_ratios(trial, groupings, min_cell),
        "mobilisation": lambda: explore.mobilisation(trial, by_support, base.group, min_cell),
        "lower_tail": lambda: explore.lower_tail(trial, params.seed),
        "polarisation": lambda: explore.polarisation(trial, poles, params.seed, params.draws),
    }
    for name, path in outputs.items():
        artefacts.write_csv(tables[name](), path)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        explore_groups(snakemake.input, snakemake.output, snakemake.params)
