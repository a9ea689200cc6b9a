"""Write the report of a study: one self-contained HTML page."""

from pathlib import Path

from nanotarget import artefacts, provenance, tables
from nanotarget.problems import reporting
from nanotarget.report import Material, Picture, render
from nanotarget.theme import Names


def write_report(inputs, sources, output, study, settings, parts):
    """Fill the template with tables, figures, verdict and provenance.

    A figure `amce_rating` has the caption `amce_rating.rst`, or else `amce.rst`.
    """
    names = Names.from_settings(settings)
    tidy = {name: artefacts.read_csv(path) for name, path in sources.items()}
    descriptions = artefacts.read_json(inputs["descriptions"])
    captions = {
        Path(path).stem: " ".join(Path(path).read_text("utf-8").split()) for path in inputs["captions"]
    }
    pictures = {
        Path(path).stem: Picture(
            Path(path).read_text("utf-8"),
            descriptions[Path(path).stem],
            captions[Path(path).stem.split("_")[0]],
        )
        for path in inputs["pictures"]
    }
    material = Material(
        names=names,
        has_calibration="calibration" in parts,
        has_experiment="experiment" in parts,
        registered=study["preregistration"] is not None,
        tables=tables.build(tidy, names),
        pictures=pictures,
        sources=tidy,
        verdict=artefacts.read_json(inputs["verdict"]) if "verdict" in inputs else None,
    )
    origin = {"packages": provenance.packages(), "inputs": provenance.fingerprints(inputs["files"])}
    templates = {Path(path).name: Path(path).read_text("utf-8") for path in inputs["templates"]}
    artefacts.write_text(render(templates, study, material, origin), output)


OTHER_INPUTS = ("descriptions", "captions", "pictures", "verdict", "files", "templates", "library")

if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        found = dict(snakemake.input.items())
        write_report(
            found,
            {name: path for name, path in found.items() if name not in OTHER_INPUTS},
            snakemake.output[0],
            snakemake.params.study,
            snakemake.params.names,
            snakemake.params.parts,
        )
