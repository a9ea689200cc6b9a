"""Write the report of a study: one self-contained HTML page."""

from pathlib import Path

from nanotarget.report import tables
from nanotarget.report.page import Maker, Material, Origin, Picture, render
from nanotarget.report.theme import Names
from nanotarget.study import artefacts, provenance
from nanotarget.study.problems import reporting


def write_report(inputs, sources, output, study, settings, parts, makers, drawn):
    """Fill the template with tables, figures, verdict and provenance.

    A figure `amce_rating` has the caption `amce_rating.rst`, or else `amce.rst`; a table
    `diagnostics_groups` shows the source of that name, or else `diagnostics`, or else one that it does
    not name.
    """
    results = Path(output).parent
    names = Names.from_settings(settings)
    tidy = {name: artefacts.read_csv(path) for name, path in sources.items()}
    made = tables.build(tidy, names)
    makers = {path: Maker(**maker) for path, maker in makers.items()}

    def origin(file, shown):
        return Origin(
            file,
            makers[str(results / file)],
            {Path(sources[name]).relative_to(results).as_posix(): makers[sources[name]] for name in shown},
        )

    descriptions = artefacts.read_json(inputs["descriptions"])
    captions = {
        Path(path).stem: " ".join(Path(path).read_text("utf-8").split()) for path in inputs["captions"]
    }
    pictures = {
        path.stem: Picture(
            path.read_text("utf-8"),
            descriptions[path.stem],
            captions.get(path.stem) or captions[path.stem.split("_")[0]],
            path.with_suffix(".csv").read_text("utf-8"),
            origin(f"figures/{path.stem}.csv", drawn[path.stem]),
        )
        for path in map(Path, inputs["pictures"])
    }
    material = Material(
        names=names,
        has_calibration="calibration" in parts,
        has_experiment="experiment" in parts,
        registered=study["preregistration"] is not None,
        tables=made,
        pictures=pictures,
        origins={
            name: origin(
                f"tables/{name}.csv",
                [source for source in (name, name.split("_")[0]) if source in sources][:1],
            )
            for name in made
        },
        sources=tidy,
        verdict=artefacts.read_json(inputs["verdict"]) if "verdict" in inputs else None,
    )
    listed = [
        {**row, "path": Path(row["path"]).relative_to(results).as_posix(), **vars(makers[row["path"]])}
        for row in provenance.fingerprints(sources.values())
    ]
    came_from = {
        "packages": provenance.packages(),
        "inputs": provenance.fingerprints(inputs["files"]),
        "artefacts": listed,
    }
    templates = {Path(path).name: Path(path).read_text("utf-8") for path in inputs["templates"]}
    artefacts.write_text(render(templates, study, material, came_from), output)


OTHER_INPUTS = (
    "descriptions",
    "captions",
    "pictures",
    "numbers",
    "verdict",
    "files",
    "templates",
    "library",
)

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
            snakemake.params.makers,
            snakemake.params.drawn,
        )
