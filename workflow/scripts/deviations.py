"""List what the study does differently from its pre-registration."""

from pathlib import Path

from nanotarget import artefacts, preregistration
from nanotarget.config import StudyConfig, typed
from nanotarget.problems import reporting


def deviations(registration, output, study):
    """Write the deviations; without a pre-registration there are none."""
    registered = (
        preregistration.parse(Path(registration).read_text(encoding="utf-8"), registration)
        if registration
        else None
    )
    artefacts.write_csv(preregistration.deviations(typed(StudyConfig, study), registered), output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        deviations(snakemake.input.registration, snakemake.output.deviations, snakemake.params.study)
