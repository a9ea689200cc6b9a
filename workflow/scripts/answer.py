"""Write the answer for who decides: one self-contained HTML page in plain language."""

from pathlib import Path

from nanotarget.report import catalogue
from nanotarget.report import page as report
from nanotarget.report.figures import draw
from nanotarget.report.origins import Maker, Origin
from nanotarget.report.theme import Names, svg
from nanotarget.study import artefacts
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_answer(inputs, output, title, makers):
    """Fill the template with the verdict and the picture of the four ceilings."""
    verdict = artefacts.read_json(inputs["verdict"])
    names = Names(verdict["synthetic"], goal=verdict["goal"], unit=verdict["unit"])
    (funnel,) = (exhibit for exhibit in catalogue.CATALOGUE if exhibit.section == catalogue.VERDICT)
    drawn = draw(funnel, {"diagnostics": artefacts.read_csv(inputs["diagnostics"])}, names)
    origin = Origin(
        "funnel.csv",
        Maker(**makers["funnel"]),
        {"diagnose/diagnostics.csv": Maker(**makers["diagnostics"])},
    )
    picture = report.Picture(
        svg(drawn.figure), drawn.description, funnel.caption, artefacts.csv_text(drawn.data), origin
    )
    templates = {Path(path).name: Path(path).read_text("utf-8") for path in inputs["templates"]}
    artefacts.write_text(report.render_answer(templates, title, verdict, picture), output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_answer(
            dict(snakemake.input.items()),
            snakemake.output[0],
            snakemake.params.title,
            snakemake.params.makers,
        )
