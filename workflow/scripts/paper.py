"""Write what a paper needs: its numbers as macros, its figures and tables, and a skeleton that shows them."""

import os
from pathlib import Path

from nanotarget.report import numbers, paper
from nanotarget.report.theme import Names
from nanotarget.study import artefacts
from nanotarget.study.problems import reporting


def write_paper(inputs, sources, outputs, title, settings):
    """Write numbers.tex, paper_parts.tex and the skeleton into one folder, from which it compiles.

    A figure `amce_rating` has the caption `amce_rating.rst`, or else `amce.rst`.
    """
    names = Names.from_settings(settings)
    verdict = artefacts.read_json(inputs["verdict"]) if "verdict" in inputs else None
    tidy = {name: artefacts.read_csv(path) for name, path in sources.items()}
    found = numbers.build(tidy, names, verdict)
    artefacts.write_text(numbers.as_latex(found, names, title), outputs.numbers)
    folder = Path(outputs.parts).parent
    captions = {
        Path(path).stem: " ".join(Path(path).read_text("utf-8").split()) for path in inputs["captions"]
    }
    figures = {
        Path(os.path.relpath(path, folder)).as_posix(): captions[Path(path).stem.split("_")[0]]
        for path in inputs["pictures"]
    }
    tables = [Path(os.path.relpath(path, folder)).as_posix() for path in inputs["tables"]]
    artefacts.write_text(paper.parts(figures, tables), outputs.parts)
    artefacts.write_text(Path(inputs["template"]).read_text("utf-8"), outputs.paper)


OTHER_INPUTS = ("verdict", "captions", "pictures", "tables", "template", "library")

if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        given = dict(snakemake.input.items())
        write_paper(
            given,
            {name: path for name, path in given.items() if name not in OTHER_INPUTS},
            snakemake.output,
            snakemake.params.title,
            snakemake.params.names,
        )
