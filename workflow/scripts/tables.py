"""Write every table of a study: CSV, LaTeX and HTML; those of the paper as floats, and for Word, too."""

from pathlib import Path

from nanotarget.report import catalogue
from nanotarget.report.labels import Labels
from nanotarget.report.tables import as_docx, as_float, as_latex, as_page, tabulate
from nanotarget.report.theme import Names
from nanotarget.study import artefacts
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_tables(sources, folder, settings):
    """Write the tables whose sources are there into a folder."""
    names, labels = Names.from_settings(settings), Labels.from_settings(settings)
    tidy = {name: labels.table(artefacts.read_csv(path)) for name, path in sources.items()}
    for exhibit in catalogue.of_study(tidy, names.has):
        if exhibit.kind is catalogue.Kind.TABLE:
            table = tabulate(exhibit, tidy, names)
            data = artefacts.told_simulated(table.data, names.synthetic)
            artefacts.write_csv(data, folder / f"{table.name}.csv")
            write = as_float if exhibit.paper else as_latex
            artefacts.write_text(write(table), folder / f"{table.name}.tex")
            artefacts.write_text(as_page(table), folder / f"{table.name}.html")
            if exhibit.paper:
                artefacts.write_bytes(as_docx(table), folder / f"{table.name}.docx")


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_tables(
            {name: path for name, path in snakemake.input.items() if name != "library"},
            Path(snakemake.output[0]).parent,
            snakemake.params.names,
        )
