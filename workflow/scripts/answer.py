"""Write the answer for who decides, a page in plain language of one file, and the petition that it names."""

from pathlib import Path

from nanotarget.assign.assign import petition_to_send
from nanotarget.calibrate.frozen import read_frozen
from nanotarget.petitions.design import Design
from nanotarget.report.page import render_answer
from nanotarget.study import artefacts
from nanotarget.study.config import DesignConfig
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording


def write_answer(inputs, outputs, design, title):
    """Name the petition to send and fill the template with it and the verdict."""
    design = Design.from_config(DesignConfig.model_validate(design))
    model = read_frozen(inputs.settings, inputs.arrays, inputs.digest, design)
    verdict = artefacts.read_json(inputs.verdict)
    petition = petition_to_send(model, artefacts.read_parquet(inputs.population))
    artefacts.write_json(petition | {"synthetic": verdict["synthetic"]}, outputs.petition)
    templates = {Path(path).name: Path(path).read_text("utf-8") for path in inputs.templates}
    names = [name for name in ("diagnostics", "corrected_diagnosis") if inputs.get(name)]
    tables = {name: artefacts.read_csv(inputs.get(name)) for name in names}
    artefacts.write_text(render_answer(templates, title, verdict, petition, tables), outputs.page)


if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        write_answer(snakemake.input, snakemake.output, snakemake.params.design, snakemake.params.title)
