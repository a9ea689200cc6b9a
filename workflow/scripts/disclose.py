"""Audit what the study publishes: can something about few people be read from it?"""

import logging
from pathlib import Path

from nanotarget.report.disclosure import Audited, Status, audit_files
from nanotarget.study.artefacts import write_csv
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def disclose(published, private, output, study):
    """Write what was found; a study with open findings goes on, its report says so."""
    results = Path(output).parent
    files = {Path(path).relative_to(results).as_posix(): Path(path) for path in published}
    people = {Path(path).stem: Path(path) for path in private}
    found = audit_files(files, people, Audited.model_validate(study))
    n = int((found["status"] == Status.OPEN).sum())
    logging.getLogger("nanotarget").info("%s of %s findings are open", n, len(found))
    write_csv(found, output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        disclose(
            snakemake.input.published, snakemake.input.private, snakemake.output[0], snakemake.params.study
        )
