"""Write what a paper needs: its numbers as macros, its figures and tables, and a skeleton that shows them."""

from pathlib import Path

from nanotarget.report import catalogue, numbers, paper
from nanotarget.report.labels import Labels
from nanotarget.report.theme import Names
from nanotarget.study import artefacts
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_paper(inputs, sources, outputs, title, settings):
    """Write numbers.tex, paper_parts.tex and the skeleton into one folder, from which it compiles."""
    names, labels = Names.from_settings(settings), Labels.from_settings(settings)
    verdict = artefacts.read_json(inputs["verdict"]) if "verdict" in inputs else None
    tidy = {name: labels.table(artefacts.read_csv(path)) for name, path in sources.items()}
    quoted = numbers.build(tidy, names, verdict)
    artefacts.write_text(numbers.as_latex(quoted, names, title), outputs.numbers)
    exhibits = catalogue.of_study(tidy, names.ratings, names.has)
    parts = paper.parts((exhibit, exhibit.sentence(tidy, names)) for exhibit in exhibits)
    artefacts.write_text(parts, outputs.parts)
    artefacts.write_text(Path(inputs["template"]).read_text("utf-8"), outputs.paper)


OTHER_INPUTS = ("verdict", "exhibits", "template", "library")

if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        given = dict(snakemake.input.items())
        write_paper(
            given,
            {name: path for name, path in given.items() if name not in OTHER_INPUTS},
            snakemake.output,
            snakemake.params.title,
            snakemake.params.names,
        )
