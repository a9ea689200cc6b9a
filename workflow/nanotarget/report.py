"""The report: one self-contained page, the verdict first, every section from the tables of a stage.

A section whose inputs do not exist is left out with one sentence that says why.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
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
            "dividend",
            "Can nano-targeting pay?",
            [
                "Every respondent is scored on petitions that were chosen without her answers. The plug-in "
                "estimate is the learner's own promise, optimistic because the same data made the choice."
            ],
            drawn("dividend"),
            details=folded("diagnostics"),
            missing=calibrated,
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


def render(template: str, study: Mapping[str, Any], material: Material, provenance: Mapping[str, Any]) -> str:
    """Fill the page.

    Args:
        template: Jinja2 source of the page; every value is escaped unless it is `Markup`.
        study: study, title, synthetic, root_seed.
        material: what `sections` shows.
        provenance: packages and inputs as `provenance.manifest` writes them.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    effects = material.sources.get("effects")
    return environment.from_string(template).render(
        study=study,
        verdict=material.verdict,
        findings=[]
        if effects is None or effects.empty
        else findings(effects, material.names, material.sources.get("equivalence")),
        sections=sections(material),
        provenance=provenance,
    )
