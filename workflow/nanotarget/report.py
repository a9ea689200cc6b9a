"""Pages without network: the report, the verdict first, and the answer for who decides.

Every section of the report is made from the tables of a stage; one whose inputs do not exist is left
out with one sentence that says why.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from nanotarget import tables, theme
from nanotarget.tables import Table
from nanotarget.theme import Names

NO_CALIBRATION = "This study has no calibration survey, so there is nothing to show here."
NO_EXPERIMENT = "This study has no experiment, so there is nothing to show here."

NO_REGISTRATION = "This study has no pre-registration, so there is nothing to deviate from."

LABELS_MEAN = (
    "Confirmatory estimates test a pre-registered hypothesis; secondary ones were pre-registered beside "
    "them; exploratory ones were not pre-registered."
)
STAGE_LEADS = {
    "heterogeneity": (
        "Answers of one person to different tasks share her tastes but no noise, so their products measure "
        "how much tastes differ. The ceiling is what a mind-reader could gain."
    ),
    "predictability": (
        "Only differences that the covariates reveal can be used. Predictions are for people whom the "
        "learner has not seen; the ceiling is what perfect use of the predictable part could gain."
    ),
    "crossover": (
        "Differences help only if they change which petition is best, and in the same way when the "
        "calibration is done twice. One half of it chooses, the other half says what the choice gains."
    ),
    "dividend": (
        "Every respondent is scored on petitions that were chosen without her answers. The plug-in "
        "estimate is the learner's own promise, optimistic because the same data made the choice."
    ),
}
STAGE_FIGURES = {
    "heterogeneity": ("variance",),
    "predictability": ("calibration", "ladder"),
    "crossover": ("switches", "abundance"),
    "dividend": ("dividend", "frontier", "learning"),
}
STAGE_TABLES = {
    "heterogeneity": ("diagnostics", "diagnostics_attributes"),
    "predictability": ("ladder",),
    "crossover": (),
    "dividend": ("frontier", "learning_curve"),
}
# The verdict and what binds, for people who do not read statistics.
OVERALL = {
    "DEPLOY": "Yes: nano-targeting pays.",
    "DO NOT DEPLOY": "No: give everybody the overall-best petition.",
    "COLLECT MORE": "Not known yet: these data do not decide.",
}
BINDING = {
    "heterogeneity": "People differ too little in what moves them: even a mind-reader could not gain enough.",
    "predictability": "What is known about people does not reveal who prefers what.",
    "crossover": "People differ, but not reproducibly in which petition is best for them.",
    "dividend": "What could be gained is not gained once the rule meets people it has not seen.",
}

NO_LABELS = "Without a pre-registration every estimate is exploratory."


@dataclass(frozen=True)
class Picture:
    """A figure as the report shows it: SVG text, alternative text and caption."""

    svg: str
    description: str
    caption: str

    @property
    def narrow(self) -> bool:
        """Whether the figure is made for one column of a page."""
        found = re.search(r'<svg[^>]* width="([0-9.]+)pt"', self.svg)
        return found is not None and float(found[1]) <= 72 * theme.COLUMN_WIDTH

    @property
    def source(self) -> str:
        """Data URI. As an image of its own the SVG can neither run scripts nor clash in ids."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode("utf-8")).decode("ascii")


@dataclass(frozen=True)
class Section:
    """One part of the report; with `missing` set it is one sentence and nothing else.

    Tables that repeat a figure's numbers or give background go into `details`, folded up.
    """

    key: str
    title: str
    lead: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Markup] = ()
    details: Sequence[tuple[str, Markup]] = ()
    quote: str = ""
    missing: str = ""
    exploratory: bool = False
    parts: Sequence[Section] = ()


@dataclass(frozen=True)
class Material:
    """What the report is made of.

    Attributes:
        names: labels.
        has_calibration, has_experiment, registered: which parts the study has.
        tables: by name, from `tables.build`.
        pictures: by figure name.
        sources: tidy tables that sentences quote (effects, petitions).
        verdict: diagnose/verdict.json, or None.
    """

    names: Names
    has_calibration: bool
    has_experiment: bool
    registered: bool
    tables: Mapping[str, Table]
    pictures: Mapping[str, Picture]
    sources: Mapping[str, pd.DataFrame]
    verdict: Mapping[str, Any] | None


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
        else {(t["outcome"], t["contrast"]): t for t in equivalence.to_dict("records")}
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


def sections(material: Material) -> list[Section]:
    """Return the sections of the report in their order."""
    made, pictures, names = material.tables, material.pictures, material.names
    calibrated = "" if material.has_calibration else NO_CALIBRATION
    fielded = "" if material.has_experiment else NO_EXPERIMENT

    def shown(*wanted: str) -> list[Markup]:
        return [Markup(tables.as_html(made[name])) for name in wanted if name in made]

    def folded(*wanted: str) -> list[tuple[str, Markup]]:
        return [(made[name].title, shown(name)[0]) for name in wanted if name in made]

    def drawn(*wanted: str) -> list[Picture]:
        return [pictures[name] for name in wanted if name in pictures]

    unregistered = fielded if material.registered else NO_REGISTRATION
    conjoint = [f"amce_{rating}" for rating in names.ratings]
    count, quote = _assigned(material.sources.get("petitions"))
    count += _against_noise(material.sources.get("concentration"))
    count += _certainty(material.sources.get("uncertainty"))
    suppressed = ["Suppressed cells hold too few people to be published."] if "subgroups" in made else []
    return [
        Section(
            "flow",
            "Who took part",
            ["Exclusions are applied one after the other, in the order shown."],
            drawn("flow"),
            details=folded("flow"),
        ),
        Section(
            "calibration",
            "What people like in a petition",
            [
                "The calibration survey showed petitions with randomly combined attributes. "
                "Effects compare a level with the reference level of its attribute, averaged over all else."
            ],
            drawn(*conjoint),
            details=folded("amce", "learners"),
            missing=calibrated,
        ),
        Section(
            "diagnosis",
            "Diagnosis: can nano-targeting pay?",
            [
                "Four questions, each with the largest gain over the overall-best petition that its answer "
                "leaves possible. The first whose upper bound stays below the smallest gain that matters "
                "says why nano-targeting fails.",
            ],
            missing=calibrated,
            parts=[] if material.verdict is None else diagnosis(material.verdict, drawn, folded, shown),
        ),
        Section(
            "assignment",
            "Who gets which petition",
            count,
            drawn("petitions"),
            shown("audit"),
            folded("arm_balance"),
            quote=quote,
            missing=calibrated,
        ),
        Section(
            "effects",
            "What the experiment found",
            [
                "Differences between randomised arms.",
                LABELS_MEAN if material.registered else NO_LABELS,
            ],
            drawn("effects"),
            shown("effects", "equivalence"),
            folded("attrition", "balance", "power"),
            missing=fielded,
        ),
        Section(
            "explore",
            "Explorations",
            ["Exploratory: found by looking, not predicted; to be confirmed by new data.", *suppressed],
            drawn("subgroups"),
            details=folded("subgroups"),
            missing=fielded or ("" if "subgroups" in made else "The config names no subgroups."),
            exploratory=True,
        ),
        Section(
            "deviations",
            "Deviations from the pre-registration",
            tables=shown("deviations"),
            missing=unregistered,
        ),
    ]


def diagnosis(
    verdict: Mapping[str, Any],
    drawn: Callable[..., list[Picture]],
    folded: Callable[..., list[tuple[str, Markup]]],
    shown: Callable[..., list[Markup]],
) -> list[Section]:
    """Return a part of the section Diagnosis for each stage, and one for the other goal and subgroups.

    Args:
        verdict: diagnose/verdict.json.
        drawn, folded, shown: give figures, folded and open tables by name, those that there are.
    """
    parts = [
        Section(
            stage,
            f"{k + 1} {stage.capitalize()}: {question}",
            [f"Verdict: {verdict['stages'].get(stage, 'NOT EVALUATED')}.", STAGE_LEADS[stage]],
            drawn(*STAGE_FIGURES[stage]),
            details=folded(*STAGE_TABLES[stage]),
        )
        for k, (stage, question) in enumerate(theme.STAGES.items())
    ]
    others = verdict["others"]
    if others:
        lead = [
            f"{other['goal'].capitalize()}, {'everybody' if other['group'] == 'all' else other['group']}: "
            f"{other['overall']}. {other['text']}"
            for other in others
        ]
        lead += [tables.NEVER_FIELDED] if any(other["goal"] == "dissuade" for other in others) else []
        title = "The other goal and subgroups"
        parts.append(Section("others", title, lead, tables=shown("diagnostics_groups"), exploratory=True))
    return parts


def facts(verdict: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a campaign wants to know before all else, as (question, answer).

    Args:
        verdict: diagnose/verdict.json.
    """
    unit, gain = verdict["unit"], verdict["gain"]
    found = [("Does it pay?", OVERALL[verdict["overall"]])]
    if verdict["binding"] and verdict["overall"] == "DO NOT DEPLOY":
        found.append(("What stands in the way?", BINDING[verdict["binding"]]))
    elif verdict["binding"]:
        found.append(("What is not decided?", theme.STAGES[verdict["binding"]]))
    bounds = {
        stage: verdict["ceilings"][stage]["high"]
        for stage in theme.STAGES
        if (verdict["ceilings"].get(stage) or {}).get("high") is not None
    }
    places = theme.decimals(
        [
            (c["high"] - c["low"]) / 3.29
            for c in verdict["ceilings"].values()
            if None not in (c["high"], c["low"])
        ]
    )
    if bounds:
        lowest = min(bounds, key=lambda stage: bounds[stage])
        at_most = theme.number(max(bounds[lowest], 0.0), places)
        found.append(
            ("How large could the gain at most be?", f"{at_most} {unit} (95% sure, from the {lowest}).")
        )
    if gain is not None:
        span = f"{theme.number(verdict['gain_low'], places)} to {theme.number(verdict['gain_high'], places)}"
        found.append(("What is the best estimate?", f"{theme.number(gain, places)} {unit} ({span})."))
    if verdict["threshold"] is not None:
        found.append(("What would matter?", f"A gain above {verdict['threshold']:g} {unit}."))
    if verdict["share_divergent"] is not None:
        share = theme.percent(round(verdict["share_divergent"], 3))
        found.append(("How many would get another petition?", f"{share} of the respondents."))
    return found


def _assigned(petitions: pd.DataFrame | None) -> tuple[list[str], str]:
    """Sentences on the number of distinct petitions by policy, and the text of the overall-best one."""
    if petitions is None:
        return [], ""
    sentences, quote = [], ""
    for column in (c for c in petitions.columns if c.startswith("n_")):
        used = petitions[petitions[column] > 0]
        policy = column.removeprefix("n_")
        label = theme.POLICIES.get(policy, policy)
        people = theme.count(int(petitions[column].sum()))
        noun = "petition" if len(used) == 1 else "petitions"
        sentences.append(f"{label}: {theme.count(len(used))} distinct {noun} for {people} people.")
        if policy == "overall_best" and len(used):
            quote = str(used.sort_values(column, ascending=False, kind="stable")["text"].iloc[0])
    return sentences, quote


def _against_noise(table: pd.DataFrame | None) -> list[str]:
    """A sentence on how many petitions nano assigns when what it looks at means nothing."""
    if table is None or not (table["covariates"] == "permuted").any():
        return []
    distinct = table[table["covariates"] == "permuted"]["distinct"]
    low, high = (theme.count(int(n)) for n in (distinct.min(), distinct.max()))
    span = low if low == high else f"{low} to {high}"
    noun = "petition" if high == "1" else "petitions"
    return [
        f"With what nano looks at dealt anew at random, {theme.count(len(distinct))} times, it gave {span} "
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
        f"The learner holds the overall-best petition for a person's best with a probability of {best} "
        f"on average, and her nano petition with {nano}, among {theme.count(int(found['candidates']))} "
        f"candidates that hold {coverage} of all best petitions."
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
    templates: Mapping[str, str], study: Mapping[str, Any], material: Material, provenance: Mapping[str, Any]
) -> str:
    """Fill the report.

    Args:
        templates: Jinja2 sources by file name: report.html.j2 and what it includes; every value is
            escaped unless it is `Markup`.
        study: study, title, synthetic, root_seed.
        material: what `sections` shows.
        provenance: packages and inputs as `provenance.manifest` writes them.
    """
    effects = material.sources.get("effects")
    return (
        _environment(templates)
        .get_template("report.html.j2")
        .render(
            study=study,
            verdict=material.verdict,
            funnel=material.pictures.get("funnel"),
            never_fielded=tables.NEVER_FIELDED,
            findings=[]
            if effects is None or effects.empty
            else findings(effects, material.names, material.sources.get("equivalence")),
            sections=sections(material),
            provenance=provenance,
        )
    )


def render_answer(
    templates: Mapping[str, str], title: str, verdict: Mapping[str, Any], funnel: Picture
) -> str:
    """Fill the page that answers a campaign manager in plain language.

    Args:
        templates: as for `render`: answer.html.j2 and what it includes.
        title: of the study.
        verdict: diagnose/verdict.json.
        funnel: the picture of the four ceilings.
    """
    return (
        _environment(templates)
        .get_template("answer.html.j2")
        .render(
            study={"title": title, "synthetic": verdict["synthetic"]},
            verdict=verdict,
            facts=facts(verdict),
            funnel=funnel,
            never_fielded=tables.NEVER_FIELDED,
        )
    )
