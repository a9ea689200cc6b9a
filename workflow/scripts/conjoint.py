"""Average effects of attribute levels, marginal means, and checks of the conjoint's design."""

import pandas as pd

from nanotarget.calibrate import conjoint
from nanotarget.calibrate.choice_models import choice_models
from nanotarget.calibrate.design_checks import Survey, design_checks, design_flags
from nanotarget.petitions.design import Design, overview
from nanotarget.study import artefacts
from nanotarget.study.config import CovariateConfig, DesignConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording
from nanotarget.study.response import RESPONSES


def amce(inputs, outputs, params):
    """Write AMCEs and marginal means of every outcome, design checks of the analysed one, and the design."""
    outcomes, se_type = params.outcomes, params.se_type
    design = Design.from_config(DesignConfig.model_validate(params.design))
    profiles = artefacts.read_parquet(inputs.profiles)
    design = design.as_shown(design.codes(profiles))
    respondents = artefacts.read_parquet(inputs.respondents)
    effects = [conjoint.amce(profiles, design, outcome, se_type) for outcome in outcomes]
    # A forced choice is tested against chance, other outcomes against zero.
    chance = {
        name: RESPONSES[name].mean_without_preferences(params.profiles_a_task) or 0.0 for name in outcomes
    }
    means = [
        conjoint.marginal_means(profiles, design, outcome, se_type, null=chance[outcome])
        for outcome in outcomes
    ]
    drawn_order = inputs.get("attribute_rows")
    rows = artefacts.read_parquet(drawn_order) if drawn_order else None
    survey = Survey(profiles, respondents, CovariateConfig.validate_list(params.covariates), rows)
    checks = design_checks(survey, design, params.analysed)
    artefacts.write_csv(pd.concat(effects, ignore_index=True), outputs.amce)
    artefacts.write_csv(pd.concat(means, ignore_index=True), outputs.marginal_means)
    artefacts.write_csv(checks, outputs.design_checks)
    artefacts.write_json(design_flags(checks, profiles, design), outputs.design_flags)
    artefacts.write_csv(overview(design, params.seed), outputs.design)
    if params.binary:
        artefacts.write_csv(choice_models(profiles, design, params.binary), outputs.choice_models)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        amce(snakemake.input, snakemake.output, snakemake.params)
