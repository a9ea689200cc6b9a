"""Write the report of a study: one self-contained HTML page."""

from pathlib import Path

from nanotarget.report import catalogue
from nanotarget.report.labels import Labels
from nanotarget.report.origins import Maker, origin
from nanotarget.report.page import Contents, Picture, Sheet, render
from nanotarget.report.tables import tabulate
from nanotarget.report.theme import Names, described, told_of_boxes
from nanotarget.study import artefacts, provenance
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_report(inputs, sources, output, study, params):
    """Fill the template with the exhibits of the study and the verdict."""
    results = Path(output).parent
    names, labels = Names.from_settings(params["names"]), Labels.from_settings(params["names"])
    tidy = {name: labels.table(artefacts.read_csv(path)) for name, path in sources.items()}
    paths = {name: Path(path).relative_to(results).as_posix() for name, path in sources.items()}
    makers = {
        Path(path).relative_to(results).as_posix(): Maker(**maker) for path, maker in params["makers"].items()
    }

    def shown(exhibit):
        if sentence := exhibit.sentence(tidy, names):
            return sentence
        made_from = origin(exhibit, paths, makers)
        if exhibit.kind is catalogue.Kind.TABLE:
            return Sheet(tabulate(exhibit, tidy, names), made_from)
        stem = results / exhibit.kind / exhibit.name
        svg, data = (stem.with_suffix(suffix).read_text("utf-8") for suffix in (".svg", ".csv"))
        legend = f"{exhibit.legend(tidy, names)} {told_of_boxes(svg)}".strip()
        return Picture(svg, described(svg), legend, data, made_from)

    contents = Contents(
        names=names,
        labels=labels,
        exhibits=[(exhibit, shown(exhibit)) for exhibit in catalogue.of_study(tidy, names.has)],
        sources=tidy,
        verdict=artefacts.read_json(inputs["verdict"]) if "verdict" in inputs else None,
        petition=artefacts.read_json(inputs["petition"]) if "petition" in inputs else None,
        flags=artefacts.read_json(inputs["design_flags"]) if "design_flags" in inputs else [],
    )
    templates = {Path(path).name: Path(path).read_text("utf-8") for path in inputs["templates"]}
    artefacts.write_text(render(templates, study, contents, provenance.packages()), output)


OTHER_INPUTS = ("figures", "verdict", "petition", "design_flags", "templates", "library")

if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        given = dict(snakemake.input.items())
        write_report(
            given,
            {name: path for name, path in given.items() if name not in OTHER_INPUTS},
            snakemake.output[0],
            snakemake.params.study,
            {key: snakemake.params[key] for key in ("names", "makers")},
        )
