"""Write what a paper needs: its numbers as macros, the table of its abstract, references and a skeleton.

Also what the study owes others in words: transparency notice, model card and data sheet.
"""

from importlib.metadata import version
from pathlib import Path

from nanotarget.report import catalogue, numbers, paper, transparency
from nanotarget.report.labels import Labels
from nanotarget.report.tables import as_docx, as_float, as_page
from nanotarget.report.theme import Names
from nanotarget.study import artefacts, preregistration
from nanotarget.study.config import Study
from nanotarget.study.problems import reporting
from nanotarget.study.record import recording

# What computed the numbers of a paper.
PACKAGES = ("nanotarget", "snakemake", "numpy", "scipy", "pandas", "statsmodels", "scikit-learn", "stochtree")


def write_paper(inputs, sources, outputs, study, settings):
    """Write numbers.tex, the abstract's table, references.bib and paper.tex, which compiles beside them."""
    names, labels = Names.from_settings(settings), Labels.from_settings(settings)
    verdict = artefacts.read_json(inputs["verdict"]) if "verdict" in inputs else None
    tidy = {name: labels.table(artefacts.read_csv(path)) for name, path in sources.items()}
    quoted = numbers.build(tidy, names, verdict)
    artefacts.write_text(numbers.as_latex(quoted, names, study.title or study.study), outputs["numbers"])
    abstract = paper.abstract_table(quoted, names)
    artefacts.write_csv(artefacts.told_simulated(abstract.data, names.synthetic), outputs["csv"])
    artefacts.write_text(as_float(abstract), outputs["tex"])
    artefacts.write_text(as_page(abstract), outputs["html"])
    artefacts.write_bytes(as_docx(abstract), outputs["docx"])

    shown = [
        paper.Shown(exhibit, exhibit.legend(tidy, names), exhibit.sentence(tidy, names))
        for exhibit in catalogue.of_study(tidy, names.has)
        if exhibit.paper
    ]
    learners = tidy.get("learners")
    facts = paper.Facts(
        study,
        preregistration.read(study.preregistration),
        names,
        "" if learners is None else ", ".join(dict.fromkeys(learners.loc[learners["chosen"], "learner"])),
        [f"{package} {version(package)}" for package in PACKAGES],
    )
    template, references = (Path(inputs[name]).read_text("utf-8") for name in ("template", "references"))
    artefacts.write_text(paper.skeleton(template, facts, shown), outputs["paper"])
    artefacts.write_text(references, outputs["references"])


def write_sheets(inputs, sources, outputs, study):
    """Write the data sheet and, of a study that learns, notice and model card."""
    templates = {Path(path).name: Path(path).read_text("utf-8") for path in inputs["sheets"]}
    told = {"flow": transparency.ends(artefacts.read_csv(sources["flow"]))}
    if "notice" in outputs:
        petitions, digest = inputs["counted"]
        learners = artefacts.read_csv(sources["learners"])
        learner, counts = transparency.counted(study, learners, artefacts.read_csv(petitions))
        items = transparency.notice(study, learner, counts)
        artefacts.write_text(transparency.render_notice(templates, study, items), outputs["notice"])
        artefacts.write_json(transparency.as_json(items, study), outputs["notice_json"])
        told |= {"learner": learner, "plain": transparency.PLAIN[learner], "counts": counts}
        told |= {"losses": learners.to_dict("records"), "verdict": artefacts.read_json(inputs["verdict"])}
        told["digest"] = Path(digest).read_text("utf-8").split()[0]
    else:
        templates.pop("model_card.md.j2")
    for name, text in transparency.sheets(templates, study, told).items():
        artefacts.write_text(text, outputs[name])


OTHER_INPUTS = (
    "verdict",
    "exhibits",
    "template",
    "references",
    "sheets",
    "counted",
    "registration",
    "library",
)

if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        given = dict(snakemake.input.items())
        tables = {name: path for name, path in given.items() if name not in OTHER_INPUTS}
        made, study = dict(snakemake.output.items()), Study.model_validate(snakemake.params.study)
        write_paper(given, tables, made, study, snakemake.params.names)
        write_sheets(given, tables, made, study)
