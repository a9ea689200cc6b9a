"""Effects of every level on every respondent, and the covariates that they depend on."""

from nanotarget.calibrate.frozen import read_frozen
from nanotarget.calibrate.imce import distribution, imce, importance, published_distribution
from nanotarget.petitions.design import Design
from nanotarget.study import artefacts
from nanotarget.study.config import CovariateConfig, DesignConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_imce(inputs, outputs, params):
    """Write individual effects and the importance of covariates."""
    design = Design.from_config(DesignConfig.model_validate(params.design))
    model = read_frozen(inputs.settings, inputs.arrays, inputs.digest, design)
    respondents = artefacts.read_parquet(inputs.respondents)
    effects = imce(model, respondents, params.confidence, params.seed)
    artefacts.write_parquet(effects, outputs.effects)
    artefacts.write_csv(published_distribution(distribution(effects), params.min_cell), outputs.distribution)
    covariates = CovariateConfig.validate_list(params.covariates)
    explained = importance(effects, respondents, covariates, params.seed)
    artefacts.write_csv(explained, outputs.importance)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_imce(snakemake.input, snakemake.output, snakemake.params)
