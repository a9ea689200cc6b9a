"""Look into the experiment beyond what was registered: groups of respondents, and the lower end."""

from nanotarget import explore
from nanotarget.estimate import Trial
from nanotarget.study import artefacts
from nanotarget.study.config import ExploreConfig, PrivacyConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def explore_groups(inputs, outputs, params):
    """Write the exploratory tables that are asked for."""
    trial = Trial.read(inputs.experiment, inputs.registration, inputs.deviations, params.trial)
    settings = ExploreConfig.model_validate(params.explore)
    groupings, min_cell = settings.subgroups, PrivacyConfig.model_validate(params.privacy).min_cell

    def mobilisation():
        grouping = next(g for g in groupings if g.name == settings.base.grouping)
        return explore.mobilisation(trial, grouping, settings.base.group, min_cell)

    tables = {
        "subgroups": lambda: explore.subgroups(trial, groupings, min_cell),
        "odds_ratios": lambda: explore.odds_ratios(trial, groupings, min_cell),
        "mobilisation": mobilisation,
        "lower_tail": lambda: explore.lower_tail(trial, params.seed),
    }
    for name, path in outputs.items():
        artefacts.write_csv(tables[name](), path)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        explore_groups(snakemake.input, snakemake.output, snakemake.params)
