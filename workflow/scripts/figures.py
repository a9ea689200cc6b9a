"""Draw figures of a study: PDF, SVG, PNG and the tidy data behind each."""

from pathlib import Path

from nanotarget.report import catalogue, theme
from nanotarget.report.figures import draw
from nanotarget.report.labels import Labels
from nanotarget.study import artefacts
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def draw_figures(sources, folder, settings, wanted):
    """Write the figures of these names into a folder; an SVG holds its alternative text."""
    names, labels = theme.Names.from_settings(settings), Labels.from_settings(settings)
    tables = {name: labels.table(artefacts.read_csv(path)) for name, path in sources.items()}
    for exhibit in catalogue.of_study(tables, names.has):
        if exhibit.kind is catalogue.Kind.FIGURE and exhibit.name in wanted:
            drawn = draw(exhibit, tables, names)
            theme.save(drawn.figure, folder / exhibit.name, drawn.description)
            data = artefacts.told_simulated(drawn.data, names.synthetic)
            artefacts.write_csv(data, folder / f"{exhibit.name}.csv")


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        draw_figures(
            {name: path for name, path in snakemake.input.items() if name != "library"},
            Path(snakemake.output[0]).parent,
            snakemake.params.names,
            snakemake.params.figures,
        )
