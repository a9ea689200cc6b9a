"""Pages without network: the report, the verdict first, and the answer for who decides.

Every exhibit stands in the section that the catalogue names; a section whose inputs do not exist is left out
with one sentence that says why. Figures and tables carry their numbers with them and name what made them.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from nanotarget.assign.assign import AGREED
from nanotarget.diagnose import words
from nanotarget.diagnose.quantities import Diagnostic
from nanotarget.diagnose.verdict import Verdict
from nanotarget.report import outline, tables, theme
from nanotarget.report.answer import Answer, told
from nanotarget.report.catalogue import VERDICT, Exhibit
from nanotarget.report.disclosure import Status
from nanotarget.report.labels import Labels
from nanotarget.report.origins import Origin
from nanotarget.report.outline import Part
from nanotarget.report.policy import content_policy
from nanotarget.report.tables import Column, Table
from nanotarget.report.tables.assign import DISAGREED
from nanotarget.report.theme import Names
from nanotarget.study import artefacts
from nanotarget.study.problems import counted

LACKING = {
    "calibration": "This study has no calibration survey, so there is nothing to show here.",
    "experiment": "This study has no experiment, so there is nothing to show here.",
    "preferences": "Every respondent saw one petition, so nobody's preferences can be learned.",
    "registration": "This study has no pre-registration, so there is nothing to deviate from.",
}
NOTHING_HERE = "The config asks for nothing of this kind, or the data do not allow it."

LABELS_MEAN = (
    "Confirmatory estimates test a pre-registered hypothesis; secondary ones were pre-registered beside "
    "them; exploratory ones were not pre-registered."
)
OF_MANY = (
    "These ranges are wider than 90% intervals, so that in at most 5 of 100 such surveys any of these "
    "verdicts is wrong (Holm)."
)
HIDDEN = "Suppressed cells hold too few people to be published."
NO_LABELS = "Without a pre-registration every estimate is exploratory."


TALL = 1.2  # height over width of a figure of which half a page of paper would show too little
# Rows of a figure's data that the page shows; the data themselves are there whole.
SHOWN_ROWS = 100


@dataclass(frozen=True)
class Picture:
    """A figure as the report shows it.

    Attributes:
        svg: its text.
        description: alternative text.
        caption: of the figure.
        data: CSV text with the numbers that it shows.
        origin: where it comes from.
    """

    svg: str
    description: str
    caption: str
    data: str
    origin: Origin

    @property
    def shape(self) -> str:
        """`narrow` if the figure is made for one column of a page, `tall` if it needs a page, or nothing."""
        sizes = [re.search(rf'<svg[^>]* {side}="([0-9.]+)pt"', self.svg) for side in ("width", "height")]
        width, height = (float(found[1]) if found else math.nan for found in sizes)
        if width <= 72 * theme.COLUMN_WIDTH:
            return "narrow"
        return "tall" if height > TALL * width else ""

    @property
    def source(self) -> str:
        """Data URI. As an image of its own the SVG can neither run scripts nor clash in ids."""
        return data_uri("image/svg+xml", self.svg)

    @property
    def download(self) -> str:
        """Data URI of the numbers."""
        return data_uri("text/csv", self.data)

    @property
    def table(self) -> Markup:
        """The numbers as a table; of many the first rows."""
        frame = artefacts.read_csv(io.StringIO(self.data))
        columns = [_numbers(frame[name][:SHOWN_ROWS]) for name in frame]
        notes = [] if len(frame) <= SHOWN_ROWS else [f"The first {SHOWN_ROWS} of {len(frame)} rows."]
        title = f"Numbers in {self.origin.file}"
        return Markup(tables.as_html(Table(columns, frame, notes=notes, title=title)))


@dataclass(frozen=True)
class Sheet:
    """A table as the report shows it.

    Attributes:
        table: as `tables.tabulate` makes it.
        origin: where it comes from.
    """

    table: Table
    origin: Origin

    @property
    def title(self) -> str:
        """Its title."""
        return self.table.title

    @property
    def markup(self) -> Markup:
        """The table as HTML."""
        return Markup(tables.as_html(self.table))

    @property
    def download(self) -> str:
        """Data URI of the unrounded numbers."""
        return data_uri("text/csv", artefacts.csv_text(self.table.data))


@dataclass(frozen=True)
class Section:
    """One part of the report, filled; with `missing` set it is one sentence and nothing else.

    `silent` are the sentences of exhibits that have nothing to show. Tables that repeat a figure's numbers or
    give background go into `details`, folded up; a part that is `folded` is so as a whole.
    """

    key: str
    title: str
    lead: Sequence[str] = ()
    silent: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Sheet] = ()
    details: Sequence[Sheet] = ()
    missing: str = ""
    exploratory: bool = False
    folded: bool = False
    parts: Sequence[Section] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it that the study itself has made."""
        own = self.silent or self.pictures or self.tables or self.details
        return not own and all(part.missing for part in self.parts)


# What the report shows of an exhibit: it, or the sentence that stands in its place.
Shown = Picture | Sheet | str


@dataclass(frozen=True)
class Contents:
    """What the report is made of.

    Attributes:
        names: labels.
        exhibits: of the catalogue, each with what is shown of it, in the order of the catalogue.
        sources: tidy tables that sentences quote (effects, petitions).
        verdict: diagnose/verdict.json, or None.
        petition: diagnose/petition.json, which comes with a verdict.
        flags: of the survey's design, where there is no verdict that has them.
        labels: of what the verdict names.
    """

    names: Names
    exhibits: Sequence[tuple[Exhibit, Shown]]
    sources: Mapping[str, pd.DataFrame]
    verdict: Mapping[str, Any] | None
    petition: Mapping[str, Any] | None = None
    flags: Sequence[str] = ()
    labels: Labels = field(default_factory=Labels)

    def at(self, place: str) -> list[tuple[Exhibit, Shown]]:
        """Return the exhibits of a place in the report; of tables only those that have rows."""
        return [
            (exhibit, shown)
            for exhibit, shown in self.exhibits
            if exhibit.section == place and not (isinstance(shown, Sheet) and not len(shown.table))
        ]


def data_uri(kind: str, text: str) -> str:
    """Return a text as a link that needs no file and no network."""
    return f"data:{kind};charset=utf-8;base64," + base64.b64encode(text.encode("utf-8")).decode("ascii")


def _numbers(values: pd.Series) -> Column:
    """A column of a tidy table as it is, but for the digits."""
    cells = [plain(value) for value in values]
    numeric = pd.api.types.is_numeric_dtype(values)
    return Column(str(values.name), cells, numeric, wide=not numeric and max(map(len, cells), default=0) > 30)


def plain(value: Any) -> str:
    """Write a cell of a tidy table with six significant digits; missing ones are empty."""
    if pd.isna(value):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def findings(effects: pd.DataFrame, names: Names, equivalence: pd.DataFrame | None = None) -> list[str]:
    """Say in words what the experiment found on its first outcome, a sentence a contrast.

    Uses the confirmatory rows; if nothing is confirmatory, the differences in means. Where an
    interval includes zero the equivalence test says whether the effect is small or only unknown.
    """
    first = effects[effects["outcome"] == effects["outcome"].iloc[0]]
    rows = first[first["label"] == "confirmatory"]
    rows = rows if len(rows) else first[first["estimator"] == "dim"]
    tests = (
        {}
        if equivalence is None
        else {
            (t["outcome"], t["contrast"]): t
            for t in equivalence.to_dict("records")
            if t["estimator"] == "tost"
        }
    )
    return [
        _finding(row, names, tests.get((row["outcome"], row["contrast"]))) for row in rows.to_dict("records")
    ]


def _finding(row: Mapping[str, Any], names: Names, test: Mapping[str, Any] | None) -> str:
    share = row["outcome"] in names.binary
    scale, unit = (100, "percentage points") if share else (1, "points")
    places = theme.decimals([row["std_error"] * scale])
    low, high = row["conf_low"] * scale, row["conf_high"] * scale
    if not math.isfinite(low) or not math.isfinite(high):
        reading = "the interval cannot be computed"
    elif low > 0:
        reading = "the first arm is higher"
    elif high < 0:
        reading = "the first arm is lower"
    else:
        reading = "the interval includes zero"
        if test is not None:
            bound = theme.number(test["sesoi"] * scale, places)
            reading += f", and the equivalence test against ±{bound} {unit} says: {test['verdict']}"
    ends = f"{theme.number(low, places)} to {theme.number(high, places)}"
    span = f"{theme.percent(names.level)} interval {ends}"
    return (
        f"{names.of(row['outcome'])}, {theme.difference(row['contrast'])}: "
        f"{theme.number(row['estimate'] * scale, places)} {unit} ({span}; {row['label']}): {reading}."
    )


def sections(contents: Contents) -> list[Section]:
    """Return the sections of the report in their order, filled as `outline` plans them."""
    said = spoken(contents)
    return [_filled(part, part.key, said, contents) for part in outline.OUTLINE]


def _filled(part: Part, place: str, said: Mapping[str, Sequence[str]], contents: Contents) -> Section:
    parts = [_filled(inner, f"{place}/{inner.key}", said, contents) for inner in part.parts]
    verdict = _stage_verdict(part.key, contents.verdict)
    found = contents.at(place)
    sheets = [(exhibit.folded, shown) for exhibit, shown in found if isinstance(shown, Sheet)]
    section = Section(
        part.key,
        part.title,
        [*verdict, *part.lead, *said.get(part.key, ())],
        list(dict.fromkeys(shown for _, shown in found if isinstance(shown, str))),
        [
            shown
            for exhibit, shown in found
            if isinstance(shown, Picture) and exhibit.name not in outline.ONLY_IN_THE_PAPER
        ],
        [sheet for folded, sheet in sheets if not folded],
        [sheet for folded, sheet in sheets if folded],
        exploratory=part.exploratory,
        folded=part.folded,
        parts=[
            inner
            for inner in parts
            if not inner.empty or inner.missing or _stage_verdict(inner.key, contents.verdict)
        ],
    )
    if not section.empty:
        return section
    return dataclasses.replace(section, missing=_why(part, contents, is_section=place == part.key))


def _why(part: Part, contents: Contents, is_section: bool) -> str:
    """Say why a part is empty; of a part within a section only if the study lacks what it needs."""
    lacking = [need for need in part.needs if need not in contents.names.has]
    if lacking:
        return LACKING[lacking[0]]
    return NOTHING_HERE if is_section else ""


def _stage_verdict(key: str, verdict: Mapping[str, Any] | None) -> list[str]:
    """The sentence that a part begins with if it is a stage of a diagnosis that was made."""
    if verdict is None or key not in words.QUESTIONS:
        return []
    said = Verdict(verdict["stages"].get(key, Verdict.NOT_EVALUATED))
    return [f"{words.ANSWERS[said]} ({said})."]


def spoken(contents: Contents) -> dict[str, list[str]]:
    """Return the sentences that depend on the study: key of a part -> what it says of itself."""
    sources, verdict = contents.sources, contents.verdict
    return {
        "assign": [
            *_assigned(sources.get("petitions")),
            *_against_noise(sources.get("concentration")),
            *_certainty(sources.get("uncertainty")),
        ],
        "estimate": [LABELS_MEAN if "registration" in contents.names.has else NO_LABELS],
        "explore": [HIDDEN] if "subgroups" in sources else [],
        Diagnostic.CROSSOVER: [] if verdict is None else _of_halves(verdict),
        outline.OTHERS: [] if verdict is None else _others(verdict["others"], contents.labels),
    }


def _of_halves(verdict: Mapping[str, Any]) -> list[str]:
    """A sentence on what rules of halves give, beside the rule of the verdict."""
    share = verdict["share_divergent"]
    if share is None:
        return []
    return [
        f"The rule of the verdict gives {words.share_of(share)} of respondents another petition than the "
        "overall-best one. The levels below are those of rules learned from half of the people, which know "
        "less and may give others."
    ]


def _others(verdicts: Sequence[Mapping[str, Any]], labels: Labels) -> list[str]:
    """A sentence on each verdict on the other goal and on subgroups."""
    groups = ["everybody" if other["group"] == "all" else labels.group(other["group"]) for other in verdicts]
    sentences = [
        f"{other['goal'].capitalize()}, {group}: {other['overall']}. {other['text']}"
        for other, group in zip(verdicts, groups, strict=True)
    ]
    if sentences:
        sentences.insert(0, OF_MANY)
    return sentences + [words.NEVER_FIELDED] * any(other["goal"] == "dissuade" for other in verdicts)


def _assigned(petitions: pd.DataFrame | None) -> list[str]:
    """Sentences on the number of distinct petitions by policy."""
    if petitions is None:
        return []
    sentences = []
    for policy, rows in petitions.groupby("policy", sort=False):
        label = theme.POLICIES.get(str(policy), policy)
        distinct, people = int(rows["petitions"].sum()), theme.count(int(rows["n"].sum()))
        noun = "petition" if distinct == 1 else "petitions"
        sentences.append(f"{label}: {theme.count(distinct)} distinct {noun} for {people} people.")
    return sentences


def _against_noise(table: pd.DataFrame | None) -> list[str]:
    """A sentence on how many petitions nano assigns when what it looks at means nothing."""
    if table is None or not (table["covariates"] == "permuted").any():
        return []
    distinct = table[table["covariates"] == "permuted"]["distinct"]
    low, high = (theme.count(int(n)) for n in (distinct.min(), distinct.max()))
    span = low if low == high else f"{low} to {high}"
    noun = "petition" if high == "1" else "petitions"
    return [
        f"With the covariates randomly permuted, {theme.count(len(distinct))} times, nano gave {span} "
        f"distinct {noun}: what it finds in noise."
    ]


def _certainty(table: pd.DataFrame | None) -> list[str]:
    """A sentence on how sure the learner is that overall-best is a person's best petition."""
    if table is None:
        return []
    found = table.set_index("quantity")["value"]
    best, nano, coverage = (
        theme.percent(round(found[name], 2)) for name in ("p_overall_best", "p_nano_best", "coverage")
    )
    return [
        f"According to the learner the overall-best petition is a person's best with a probability of {best} "
        f"on average, and her nano petition with {nano}, among {theme.count(int(found['candidates']))} "
        f"candidates that contain {coverage} of all best petitions."
    ]


def _environment(templates: Mapping[str, str]) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.DictLoader(dict(templates)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(
    templates: Mapping[str, str], study: Mapping[str, Any], contents: Contents, packages: Mapping[str, str]
) -> str:
    """Fill the report.

    Args:
        templates: sources by file name: report.html.j2 and what it includes, style.css and page.js;
            every value is escaped unless it is `Markup`.
        study: study, title, synthetic, root_seed.
        contents: what `sections` shows.
        packages: name -> version.
    """
    effects, verdict = contents.sources.get("effects"), contents.verdict
    answer = (
        None
        if verdict is None
        else Answer.of(
            verdict,
            contents.petition,
            contents.sources.get("diagnostics"),
            contents.sources.get("corrected_diagnosis"),
        )
    )
    funnels = [shown for _, shown in contents.at(VERDICT) if isinstance(shown, Picture)]
    return (
        _environment(templates)
        .get_template("report.html.j2")
        .render(
            **_embedded(templates),
            study=study,
            answer=answer,
            warnings=[
                *(told(contents.flags) if answer is None else answer.warnings),
                *_fielded(contents),
                *_disclosed(contents),
            ],
            gloss=words.GLOSS,
            funnel=funnels[0] if funnels else None,
            findings=[]
            if effects is None or effects.empty
            else findings(effects, contents.names, contents.sources.get("equivalence")),
            sections=sections(contents),
            packages=packages,
        )
    )


def _fielded(contents: Contents) -> list[str]:
    """Warn of petitions that were fielded and are not those that the pipeline assigns."""
    audit = contents.sources.get("audit")
    return [] if audit is None or not (audit["share_agree"] < AGREED).any() else [DISAGREED]


def _disclosed(contents: Contents) -> list[str]:
    """Warn of results that tell about few people."""
    audit = contents.sources.get("disclosure")
    if audit is None or not (audit["status"] == Status.OPEN).any():
        return []
    files = audit.loc[audit["status"] == Status.OPEN, "file"].value_counts(sort=False)
    where = ", ".join(f"{file} ({n})" for file, n in files.items())
    return [
        f"Do not publish this yet: {counted(int(files.sum()), 'cell')} may tell about few people: {where}. "
        "disclosure.csv names them; hide them, or accept each file with a reason (key privacy.accepted)."
    ]


def _embedded(templates: Mapping[str, str]) -> dict[str, Any]:
    """Style and script of a page, and the policy that keeps a browser from running or fetching more."""
    style, script = (f"\n{templates[name]}" for name in ("style.css", "page.js"))
    policy = content_policy(style, script)
    return {"style": Markup(style), "script": Markup(script), "policy": policy}


def still_page(templates: Mapping[str, str], name: str, **values: Any) -> str:
    """Fill a page without script, which nothing may run in.

    Args:
        templates: sources by file name: the page, head.html.j2, banner.html.j2 and style.css.
        name: of the page.
        values: what it shows.
    """
    style = f"\n{templates['style.css']}"
    return (
        _environment(templates)
        .get_template(name)
        .render(style=Markup(style), policy=content_policy(style), **values)
    )


def render_answer(
    templates: Mapping[str, str],
    title: str,
    verdict: Mapping[str, Any],
    petition: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
) -> str:
    """Fill the page that answers a campaign manager in plain language.

    Args:
        templates: as for `render`: answer.html.j2 and what it includes.
        title: of the study.
        verdict, petition: files of the stage `diagnose`.
        tables: of that stage: diagnostics and, of choices, corrected_diagnosis.
    """
    answer = Answer.of(verdict, petition, tables["diagnostics"], tables.get("corrected_diagnosis"))
    return (
        _environment(templates)
        .get_template("answer.html.j2")
        .render(
            **_embedded(templates),
            study={"title": title, "synthetic": verdict["synthetic"]},
            answer=answer,
            warnings=answer.warnings,
            gloss=words.GLOSS,
        )
    )
