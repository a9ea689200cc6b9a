"""Effects of every level on every respondent, and the covariates that they depend on."""

from nanotarget.calibrate.frozen import read_frozen
from nanotarget.calibrate.imce import distribution, imce, importance
from nanotarget.petitions.design import Design
from nanotarget.study import artefacts
from nanotarget.study.config import CovariateConfig, DesignConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_imce(inputs, outputs, design, covariates, confidence, seed):
    """Write individual effects and the importance of covariates."""
    design = Design.from_config(DesignConfig.model_validate(design))
    model = read_frozen(inputs.settings, inputs.arrays, inputs.digest, design)
    respondents = artefacts.read_parquet(inputs.respondents)
    effects = imce(model, respondents, confidence, seed)
    artefacts.write_parquet(effects, outputs.effects)
    artefacts.write_csv(distribution(effects), outputs.distribution)
    explained = importance(effects, respondents, CovariateConfig.validate_list(covariates), seed)
    artefacts.write_csv(explained, outputs.importance)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_imce(
            snakemake.input,
            snakemake.output,
            snakemake.params.design,
            snakemake.params.covariates,
            snakemake.params.confidence,
            snakemake.params.seed,
        )
