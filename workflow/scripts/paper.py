"""Write what a paper needs: its numbers as macros, the table of its abstract, references and a skeleton."""

from importlib.metadata import version
from pathlib import Path

from nanotarget.report import catalogue, numbers, paper
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


OTHER_INPUTS = ("verdict", "exhibits", "template", "references", "registration", "library")

if __name__ == "__main__":
    with reporting(snakemake.log[0]), recording(snakemake):
        given = dict(snakemake.input.items())
        write_paper(
            given,
            {name: path for name, path in given.items() if name not in OTHER_INPUTS},
            dict(snakemake.output.items()),
            Study.model_validate(snakemake.params.study),
            snakemake.params.names,
        )
