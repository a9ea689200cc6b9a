"""What groups of respondents like: means and effects of levels, their differences and joint tests."""

from nanotarget.calibrate.by_group import Grouping, all_groupings
from nanotarget.calibrate.conjoint import Analysis
from nanotarget.petitions.design import Design
from nanotarget.study import artefacts
from nanotarget.study.config import CovariateConfig, DesignConfig, GroupingConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording
from nanotarget.study.response import RESPONSES


def compare(inputs, outputs, params):
    """Write estimates and tests of every outcome and grouping."""
    profiles, respondents = map(artefacts.read_parquet, (inputs.profiles, inputs.respondents))
    design = Design.from_config(DesignConfig.model_validate(params.design))
    design = design.as_shown(design.codes(profiles))
    covariates = {c.name: c for c in CovariateConfig.validate_list(params.covariates)}
    groupings = [
        Grouping.of(profiles, respondents, config, covariates[config.covariate], params.min_cell)
        for config in GroupingConfig.validate_list(params.groups)
    ]
    # A forced choice is tested against chance, other outcomes against zero.
    analyses = [
        Analysis(
            name, params.se_type, null=RESPONSES[name].mean_without_preferences(params.profiles_a_task) or 0.0
        )
        for name in params.outcomes
    ]
    groups, tests = all_groupings(profiles, design, groupings, analyses)
    artefacts.write_csv(groups, outputs.groups)
    artefacts.write_csv(tests, outputs.group_tests)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        compare(snakemake.input, snakemake.output, snakemake.params)
