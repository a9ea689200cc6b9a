"""Write the answer for who decides: one self-contained HTML page in plain language."""

from pathlib import Path

from nanotarget.report import page as report
from nanotarget.report.figures.diagnosis import funnel
from nanotarget.report.theme import Names, svg
from nanotarget.study import artefacts
from nanotarget.study.problems import reporting


def write_answer(inputs, output, title, makers):
    """Fill the template with the verdict and the picture of the four ceilings."""
    verdict = artefacts.read_json(inputs["verdict"])
    names = Names(verdict["synthetic"], goal=verdict["goal"])
    drawn = funnel(artefacts.read_csv(inputs["diagnostics"]), verdict["unit"], names)
    caption = " ".join(Path(inputs["caption"]).read_text("utf-8").split())
    origin = report.Origin(
        "funnel.csv",
        report.Maker(**makers["funnel"]),
        {"diagnose/diagnostics.csv": report.Maker(**makers["diagnostics"])},
    )
    picture = report.Picture(
        svg(drawn.figure), drawn.description, caption, artefacts.csv_text(drawn.data), origin
    )
    templates = {Path(path).name: Path(path).read_text("utf-8") for path in inputs["templates"]}
    artefacts.write_text(report.render_answer(templates, title, verdict, picture), output)


if __name__ == "__main__":
    with reporting(snakemake.log[0]):
        write_answer(
            dict(snakemake.input.items()),
            snakemake.output[0],
            snakemake.params.title,
            snakemake.params.makers,
        )
