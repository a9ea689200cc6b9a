"""The skeleton of a paper: its text from the config and the registration, its floats from the catalogue.

Numbers are macros (`numbers`); prose stands in templates/paper.tex.j2. Texts from config and registration are
escaped wherever the template prints them, and never evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jinja2
import pandas as pd

from nanotarget.estimate import pairs
from nanotarget.petitions.design import Design
from nanotarget.report import theme
from nanotarget.report.catalogue import Exhibit, Kind, Place
from nanotarget.report.numbers import Number, words
from nanotarget.report.tables import SIMULATED_NOTE, Column, Table, latex
from nanotarget.report.theme import Names
from nanotarget.study.config import Study
from nanotarget.study.preregistration import Registration, contrast_name


class Tex(str):
    """Text that is LaTeX already."""


# What a learner is called in a sentence.
LEARNERS = {
    "ridge": "ridge regression of answers on attributes and their products with covariates",
    "hierarchical": "a hierarchical model of part-worths",
    "stagewise": "stagewise regression on lines, thresholds and products of covariates",
    "bart": r"Bayesian additive regression trees \citep{chipman2010}",
    "boosting": "gradient boosting of trees",
}


@dataclass(frozen=True)
class Shown:
    """An exhibit with its legend and the sentence that stands in its place, empty if it shows something."""

    exhibit: Exhibit
    legend: str
    sentence: str = ""


@dataclass(frozen=True)
class Facts:
    """What the text of a paper says beside numbers.

    Attributes:
        study: the config.
        registration: the pre-registration, if there is one.
        names: labels.
        learner: that the study used.
        versions: "package version" of what computed the numbers.
    """

    study: Study
    registration: Registration | None
    names: Names
    learner: str
    versions: Sequence[str]


def skeleton(template: str, facts: Facts, exhibits: Sequence[Shown]) -> str:
    """Return the paper as LaTeX.

    Args:
        template: templates/paper.tex.j2.
        facts: of the study.
        exhibits: in the order of the catalogue. Files of a paper lie beside the folders `figures`, `tables`.
    """
    environment = jinja2.Environment(
        block_start_string="<%", block_end_string="%>", variable_start_string="<<", variable_end_string=">>",
        comment_start_string="<#", comment_end_string="#>", trim_blocks=True, lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Tex) else latex_of(str(value)),
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    compared = list(_contrasts(facts.names))
    first = next(iter(facts.names.outcomes.values()), "")
    text = environment.from_string(template).render(
        study=facts.study,
        registration=facts.registration,
        names=facts.names,
        learner=Tex(LEARNERS.get(facts.learner, latex(facts.learner))),
        versions=facts.versions,
        unit=facts.names.unit,
        effects=compared,
        main=[contrast for contrast in compared if contrast[3] == first],
        **_texts(facts),
        floats=partial(floats, exhibits, Place.MAIN),
        refer=partial(_refer, exhibits),
        appendix=floats(exhibits, Place.APPENDIX),
        joined=joined,
        steps=lambda exclusions: joined([rule.step.lower() for rule in exclusions]),
        percent=theme.percent,
        count=theme.count,
        tex=Tex,
    )
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join([line for k, line in enumerate(lines) if line or (k and lines[k - 1])] + [""])


def latex_of(text: str) -> str:
    """Escape a text but keep its line breaks and the spaces around it, which belong to the template."""
    return "\n".join(
        f"{' ' * line.startswith(' ')}{latex(line)}{' ' * line.endswith(' ')}" for line in text.split("\n")
    )


def joined(items: Iterable[str]) -> str:
    """Write "a, b and c"."""
    *others, last = [*map(str, items)] or [""]
    return f"{', '.join(others)} and {last}" if others else last


def _texts(facts: Facts) -> dict[str, Any]:
    """Return what the methods name: attributes, covariates, outcomes, margins."""
    study, names = facts.study, facts.names
    labels = {covariate.name: covariate.label or covariate.name for covariate in study.covariates}
    margins = [
        f"±{bound * names.times(outcome):g} {names.unit_of(outcome)} ({names.of(outcome)})"
        for outcome, bound in study.estimate.sesoi.items()
    ]
    return {
        "attributes": [attribute.name for attribute in study.design.attributes] if study.design else [],
        "petitions": theme.count(Design.from_config(study.design).n_feasible) if study.design else "",
        "ratings": list(names.ratings.values()),
        "covariates": [labels[c.name] for c in study.covariates if c.target],
        "adjusted": [labels.get(name, name) for name in study.estimate.adjust],
        "margins": joined(margins),
    }


Compared = tuple[str, str, str, str]


def _contrasts(names: Names) -> Iterator[Compared]:
    """Yield every outcome and contrast: in words, its macro, its unit, its outcome."""
    outcomes, arms = words(names.outcomes), words(names.arms)
    for outcome, word in outcomes.items():
        for later, earlier in pairs(names.arms):
            text = theme.difference(contrast_name(later, earlier))
            macro = f"Effect{arms[later]}Against{arms[earlier]}On{word}"
            yield text, macro, names.unit_of(outcome), names.of(outcome)


def floats(exhibits: Sequence[Shown], place: Place, stage: str = "") -> Tex:
    """Return the floats of a place, of one stage or of all; what shows nothing is its sentence."""
    found = [s for s in exhibits if s.exhibit.paper is place and stage in ("", s.exhibit.stage)]
    parts = [rf"{latex(sentence)}\par" for sentence in dict.fromkeys(s.sentence for s in found) if sentence]
    parts += [float_of(shown) for shown in found if not shown.sentence]
    return Tex("\n".join(parts))


def float_of(shown: Shown) -> str:
    r"""Return the float of an exhibit; a figure needs the macro \ntFigure of the skeleton."""
    if shown.exhibit.kind is Kind.TABLE:
        return rf"\input{{tables/{shown.exhibit.name}.tex}}"
    lines = [
        r"\begin{figure}[htbp]",
        r"\centering",
        rf"\ntFigure{{figures/{shown.exhibit.name}.pdf}}",
        rf"\caption{{{latex(shown.legend)}}}\label{{fig:{shown.exhibit.name}}}",
        r"\end{figure}",
    ]
    return "\n".join(lines)


REFERENCES = {Kind.FIGURE: ("Figure", "fig"), Kind.TABLE: ("Table", "tab")}


def _refer(exhibits: Sequence[Shown], *stages: str) -> Tex:
    """Return a sentence that names the floats of stages in the main text."""
    named = []
    for shown in exhibits:
        if shown.exhibit.paper is Place.MAIN and shown.exhibit.stage in stages and not shown.sentence:
            word, kind = REFERENCES[shown.exhibit.kind]
            named.append(rf"{word}~\ref{{{kind}:{shown.exhibit.name}}}")
    return Tex(f"{joined(named)} show{'s' * (len(named) == 1)} them." if named else "")


# The numbers of an abstract: what they are and the beginning of their macros; those of every outcome and
# contrast stand between.
BEFORE = {
    "People of the calibration": "CalibrationKept",
    "People of the experiment": "ExperimentKept",
    "Petitions that are possible": "PetitionsPossible",
    "Distinct petitions that nano's arm was shown": "PetitionsFielded",
    "Verdict of the diagnosis": "VerdictOverall",
    "Smallest gain that matters": "DiagnosisSmallestGain",
    "Person × message variance": "DiagnosisPersonByMessage",
    "Calibration slope": "DiagnosisCalibrationSlope",
    "Gain of nano over overall-best, calibration": "DiagnosisNanoOverBest",
}
AFTER = {
    "Equivalence, first outcome and last contrast": "MainEquivalence",
    "Gain of nano over overall-worst, dissuasion": "DissuasionLoss",
    "Dissuasion less support": "DissuasionAsymmetry",
}


def abstract_table(numbers: Sequence[Number], names: Names) -> Table:
    """Return the table of the numbers that an abstract quotes; its data name their macros."""
    texts = {number.macro: number.text for number in numbers}
    effects = {f"{text}, {outcome}": macro for text, macro, _, outcome in _contrasts(names)}
    rows = []
    for label, macro in (BEFORE | effects | AFTER).items():
        value = texts.get(macro) or texts.get(f"{macro}Verdict") or texts.get(f"{macro}Estimate") or ""
        beside = [texts.get(f"{macro}{field}", "") for field in ("Interval", "P", "N")]
        if value:
            rows.append([label, value, *beside, macro])
    fields = ("number", "value", "interval", "p_value", "n", "macro")
    data = pd.DataFrame(rows, columns=fields, dtype="str")
    # Macros are for who types them: in the CSV and in docs/numbers.md.
    labels = ("Number", "Value", "Interval", "p", "n")
    columns = [
        Column(label, [*data[field]], numeric=field != "number", wide=field == "number")
        for field, label in zip(fields, labels, strict=False)
    ]
    notes = [
        "Differences in outcomes of yes and no are in percentage points.",
        *([SIMULATED_NOTE] if names.synthetic else []),
    ]
    return Table(columns, data, notes=notes, title="The numbers of the abstract", name="abstract")
