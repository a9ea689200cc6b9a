"""Write every table of a study: CSV, LaTeX and HTML."""

from pathlib import Path

from nanotarget.report.tables import as_latex, as_page, build
from nanotarget.report.theme import Names
from nanotarget.study import artefacts
from nanotarget.study.problems import reporting


def write_tables(sources, folder, settings):
    """Write the tables whose sources are there into a folder."""
    made = build(
        {name: artefacts.read_csv(path) for name, path in sources.items()}, Names.from_settings(settings)
    )
    for name, table in made.items():
        artefacts.write_csv(table.data, folder / f"{name}.csv")
        artefacts.write_text(as_latex(table), folder / f"{name}.tex")
        artefacts.write_text(as_page(table), folder / f"{name}.html")


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        write_tables(
            {name: path for name, path in snakemake.input.items() if name != "library"},
            Path(snakemake.output[0]).parent,
            snakemake.params.names,
        )
