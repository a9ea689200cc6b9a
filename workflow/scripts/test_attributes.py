"""Whether each attribute matters to anybody, by redrawing its levels as the design draws them."""

import pandas as pd

from nanotarget.calibrate.attribute_tests import COLUMNS, Answers, attribute_tests
from nanotarget.calibrate.conjoint import own_design
from nanotarget.petitions.design import Design
from nanotarget.petitions.encoding import CovariateEncoder
from nanotarget.study import artefacts
from nanotarget.study.config import CovariateConfig, DesignConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording
from nanotarget.study.seeds import child_rng


def test(inputs, output, params):
    """Write the tests of every attribute, of the outcome analysed."""
    profiles, respondents = map(artefacts.read_parquet, (inputs.profiles, inputs.respondents))
    design = Design.from_config(DesignConfig.model_validate(params.design))
    design = own_design(profiles, design.as_shown(design.codes(profiles)))
    covariates = CovariateConfig.validate_list(params.covariates)
    numbers = CovariateEncoder.fit(respondents, covariates).encode(respondents)
    features = pd.DataFrame(numbers, index=respondents["respondent_id"])
    rng = child_rng(params.seed, "calibrate/attribute_tests")
    answers = Answers.of(profiles, design, params.analysed, features, rng)
    table = attribute_tests(answers, design, params.draws, rng).assign(outcome=params.analysed)
    artefacts.write_csv(table[list(COLUMNS)], output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        test(snakemake.input, snakemake.output[0], snakemake.params)
