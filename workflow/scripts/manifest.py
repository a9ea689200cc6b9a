"""List every artefact of a study with its checksum and where it comes from."""

from pathlib import Path

from nanotarget.study import artefacts
from nanotarget.study.problems import reporting
from nanotarget.study.provenance import Rule, manifest, packages
from nanotarget.study.record import recording, refuse_changed


def write_manifest(files, output, made, study):
    """Write the manifest into the folder that it describes.

    Args:
        made: rule -> its inputs, outputs and params.
    """
    results = Path(output).parent
    refuse_changed(results, [file for what in made.values() for file in what["outputs"]])
    rules = [Rule(name, **what) for name, what in made.items()]
    artefacts.write_json(manifest(results, rules, files, study, packages()), output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_manifest(
            list(snakemake.input.files),
            snakemake.output[0],
            snakemake.params.made,
            snakemake.params.study,
        )
