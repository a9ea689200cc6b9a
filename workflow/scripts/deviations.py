"""List what the study does differently from its pre-registration."""

from nanotarget.estimate.deviations import deviations
from nanotarget.study import artefacts, preregistration
from nanotarget.study.config import ConductedConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def compare(registration, experiment, output, study):
    """Write the deviations; without a pre-registration there are none."""
    realised = artefacts.read_parquet(experiment)["arm"].value_counts().to_dict()
    registered = preregistration.read(registration)
    artefacts.write_csv(deviations(ConductedConfig.model_validate(study), registered, realised), output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        compare(
            snakemake.input.registration,
            snakemake.input.experiment,
            snakemake.output.deviations,
            snakemake.params.study,
        )
