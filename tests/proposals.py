"""How much of each hand-written config `nanotarget init` gets right (docs/proposals.md).

Usage: python tests/proposals.py   (`make proposals`; needs the reference data, see NANOTARGET_REFERENCE)
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

import layouts
import manual_layouts
import odd_layouts
from layouts import rates
from nanotarget.propose import propose, write_config
from nanotarget.study.checks import validate
from nanotarget.study.config import Study, normalised

PROJECT = Path(__file__).parents[1]
TABLE = PROJECT / "docs" / "proposals.md"
HAND_WRITTEN = [
    "config.yaml",
    "config_panel.yaml",
    *(
        f"examples/{name}.yaml"
        for name in (
            "conjoint_climate_bs2013",
            "conjoint_candidates_sw2022",
            "conjoint_immigration_hhy2014",
            "conjoint_candidates_hhy2014_rating",
            "exp_hillstrom_2008",
            "exp_levendusky_2016",
        )
    ),
]
HEAD = """\
# What `nanotarget init` gets right

Each data set has a config written by hand (`config.yaml`, `config_panel.yaml`, `examples/`). Here is what a
proposal made from the raw files alone agrees with, and what a person has to edit. Written by `make
proposals`; a test holds the table to what the command does now. Every proposal passes `nanotarget check` as
it is (a test), which only says that it fits the data, not that it is right. The rules of `init` were
written with these data sets at hand, so expect somewhat less of it on others. The raw data of the first two
are simulated.

*Order*: the levels stand in the same order, of the attributes that have one in themselves (costs, degrees,
yes and no). *All orders*: of all attributes; which of four countries comes first nobody can know from the
data, `init` then takes the alphabet and says so. *With codebook*: of all attributes, where `init` was also
given the file that lists the levels. *Tasks*: layout, numbers of tasks and profiles, and the columns or
patterns that hold them. *Prohibited*: pairs of levels that never occur together, suggested as a comment.

"""
COLUMNS = (
    "study",
    "ids",
    "tasks",
    "attributes",
    "levels",
    "order",
    "all orders",
    "with codebook",
    "prohibited",
    "calibration outcomes",
    "arms",
    "outcomes, kind",
    "covariates, kind",
    "identifiers",
)


UNORDERED = {  # attributes of the data sets whose levels are names, in no order of their own
    *("sector", "instrument", "revenue", "sponsor", "framing", "monitoring", "distribution", "talent"),
    *("cand_gender", "Gender", "CountryOfOrigin", "ReasonForApplication", "Job", "JobPlans", "atreligion"),
    *("ated", "atprof", "atrace", "atmale"),
}
LAYOUTS = 12  # of each half
MANUALS = 24
PARTS = ("ids", "tasks", "attributes", "arms", "order")
DRAWN = """
## On synthetic layouts

`tests/layouts.py` draws studies: long, wide, attributes in an order of each respondent's own, trials
with people or clusters randomised; names, numbering, order of rows, platform columns and languages at random.
The rules of `init` were written with its visible half at hand.

`tests/manual_layouts.py` follows the manuals of Qualtrics, the Conjoint Survey Design Tool, projoint,
Sawtooth, Conjointly, cbcTools and mlogit, and takes levels from published designs and questionnaires. It
was written, and `init` tried on it, before any rule was written for it: 30 of 48 ids, 30 of 48 numbers of
tasks, 32 of 48 sets of attributes and 56 of 126 orders were right. The general rules that followed (orders,
rows of tasks, a second file) made that 42, 42, 44 and 117; what was still wrong, files of cbcTools, was then
looked at and mended, so that the rates below are no longer those of files never seen. Generator and rules
have one author; expect less elsewhere. Of 13 ordered factors looked up afterwards in other people's R
code, 9 orders were right; wrong were a week that begins on Sunday, "medlow", "relevant" before "irrelevant",
and "enough, seasonal, insufficient, dry".
`tests/odd_layouts.py` follows further manuals (LimeSurvey, SurveyMonkey, Google Forms, oTree in both forms,
formr, Gorilla, jsPsych, KoboToolbox, Sawtooth's codes with a file of labels, Qualtrics' loop & merge, REDCap,
Stata's reshape, SoSci Survey). It was written without a look at the rules, and `init` tried on it before any
was changed: 28 of 56 ids, 36 of 52 numbers of tasks, 32 of 52 sets of attributes, 72 of 164 orders (19 of its
28 different ones) and 0 of 4 arms were right. The rates below are after mending: nothing of it is unseen any
more. What is still wrong is "1 in 1000, 1 in 100, 1 in 10", taken for numbers that rise.
*Order* counts the attributes whose levels have an order. Where `init` knows none it takes the alphabet and
asks (`# DECIDE: do the levels of ... have an order?`).

## Time

A long file with four levels an attribute, CPU time and memory; a million rows took 103 s by the clock, beside
other work:

| rows x columns | before | now |
|---|---|---|
| 80,000 x 90 | 24 s, 1.0 GB | 8 s, 0.8 GB |
| 200,000 x 50 | 12-19 s, 1.1 GB | 8 s, 1.1 GB |
| 1,000,000 x 50 | refused (id 99999 was a missing answer) | 39 s, 4.5 GB |

## Rates

"""


@dataclass(frozen=True)
class Comparison:
    """One data set: cells of the table, and edits in words."""

    cells: dict[str, str]
    edits: list[str]
    config: Study


def share(right, of):
    """Write "3 of 4", or a dash where there is nothing to get right."""
    return f"{right} of {of}" if of else "–"


def compare(path, reference):
    """Propose a config for the raw files of a hand-written one and hold both together."""
    hand = validate(yaml.safe_load((PROJECT / path).read_text(encoding="utf-8")), path)
    samples = [sample for sample in (hand.calibration, hand.experiment) if sample]
    files = [str(file_of(sample.file, reference)) for sample in samples]
    proposal = propose(files)
    text = write_config(proposal, hand.study)
    ours = validate(yaml.safe_load(text), "proposal")
    edits: list[str] = []
    cells = {"study": hand.study}
    pairs = [(hand.calibration, ours.calibration), (hand.experiment, ours.experiment)]
    pairs = [(theirs, mine) for theirs, mine in pairs if theirs]
    cells["ids"] = share(
        sum(bool(mine) and mine.respondent == theirs.respondent for theirs, mine in pairs), len(pairs)
    )
    compare_design(hand, ours, proposal, cells, edits)
    cells["with codebook"] = with_codebook(hand, files)
    compare_calibration(hand, ours, cells, edits)
    compare_experiment(hand, ours, cells, edits)
    compare_covariates(hand, ours, cells, edits)
    wanted = [name for theirs, _ in pairs for name in theirs.identifiers]
    found = [
        name for theirs, mine in pairs if mine for name in mine.identifiers if name in theirs.identifiers
    ]
    cells["identifiers"] = share(len(found), len(wanted))
    if ours.samples != hand.samples or ours.synthetic != hand.synthetic:
        edits.append("samples or synthetic")
    return Comparison(cells, edits, ours)


def file_of(name, reference):
    """Find a raw file that a config names."""
    return reference / name.removeprefix("../shared/") if name.startswith("../shared/") else PROJECT / name


def compare_design(hand, ours, proposal, cells, edits):
    theirs = {a.column or a.name: a for a in (hand.design.attributes if hand.design else [])}
    mine = {a.column or a.name: a for a in (ours.design.attributes if ours.design else [])}
    both = [name for name in theirs if name in mine]
    levels = {
        name: [[normalised(level) for level in side[name].levels] for side in (theirs, mine)] for name in both
    }
    same = [name for name in both if sorted(levels[name][0]) == sorted(levels[name][1])]
    order = [name for name in same if levels[name][0] == levels[name][1]]
    known = [name for name in theirs if name not in UNORDERED]
    cells["attributes"] = share(len(both), len(theirs)) + extra(set(mine) - set(theirs))
    cells["levels"] = share(len(same), len(theirs))
    cells["order"] = share(len([name for name in order if name in known]), len(known))
    cells["all orders"] = share(len(order), len(theirs))
    edits += listing("order of levels of", [name for name in both if name not in order])
    edits += listing("attribute to add", [name for name in theirs if name not in mine])
    edits += listing("attribute to remove", [name for name in mine if name not in theirs])
    wanted = cells_of(hand.design.prohibited) if hand.design else set()
    suggested = cells_of(proposal.conjoint.never) if proposal.conjoint else set()
    cells["prohibited"] = share(len(wanted & suggested), len(wanted)) + extra(suggested - wanted)
    if wanted:
        edits.append("uncomment prohibited combinations")
    if hand.design and hand.design.petition_text:
        edits.append("petition text")


def with_codebook(hand, files):
    """Say how many orders are right if the file that lists the levels is given, too; a dash without one."""
    book = Path(files[0]).with_name("levels.csv")
    if not book.is_file():
        return "–"
    found = {a.column: a.levels for a in propose([*files, str(book)]).conjoint.attributes}
    same = [
        [*map(normalised, a.levels)] == [*map(normalised, found.get(a.column or a.name, []))]
        for a in hand.design.attributes
    ]
    return share(sum(same), len(same))


def cells_of(prohibited):
    """All pairs of levels that entries rule out."""
    return {
        frozenset([(a, normalised(x)), (b, normalised(y))])
        for entry in prohibited
        for (a, xs), (b, ys) in [tuple(entry.items())]
        for x in xs
        for y in ys
    }


def extra(names):
    return f", {len(names)} too many" if names else ""


def listing(what, names):
    return [f"{what} {', '.join(names)}"] if names else []


def compare_calibration(hand, ours, cells, edits):
    cells["tasks"] = cells["calibration outcomes"] = "–"
    if not hand.calibration:
        return
    keys = ("layout", "header_rows", "task", "profile", "tasks", "profiles", "attribute_columns")
    right = [key for key in keys if getattr(hand.calibration, key) == getattr(ours.calibration, key)]
    cells["tasks"] = share(len(right), len(keys))
    edits += listing("calibration:", [key for key in keys if key not in right])
    outcomes = [name for name in ("choice", "rating") if getattr(hand.calibration.outcomes, name)]
    found = [
        name
        for name in outcomes
        if getattr(hand.calibration.outcomes, name) == getattr(ours.calibration.outcomes, name)
    ]
    cells["calibration outcomes"] = share(len(found), len(outcomes))
    edits += listing("calibration outcome", [name for name in outcomes if name not in found])
    if hand.calibration.analyse != ours.calibration.analyse:
        edits.append("analyse")
    if hand.calibration.consent != ours.calibration.consent:
        edits.append("calibration.consent")
    compare_exclusions(hand.calibration, ours.calibration, "calibration", edits)


def compare_exclusions(hand, ours, section, edits):
    active = {(e.rule, e.column) for e in ours.exclusions}
    missing = [e.step for e in hand.exclusions if (e.rule, e.column) not in active]
    edits += listing(f"uncomment in {section}.exclusions:", missing)


def compare_experiment(hand, ours, cells, edits):
    cells["arms"] = cells["outcomes, kind"] = "–"
    if not hand.experiment:
        return
    wanted = [(normalised(a.name if a.value is None else a.value), a.policy) for a in hand.experiment.arms]
    found = [(normalised(a.name if a.value is None else a.value), a.policy) for a in ours.experiment.arms]
    right = (
        sum(a == b for a, b in zip(wanted, found, strict=False))
        if hand.experiment.arm == ours.experiment.arm
        else 0
    )
    cells["arms"] = share(right, len(wanted))
    if right < len(wanted):
        edits.append("arms")
    theirs = {o.name: o for o in hand.experiment.outcomes}
    mine = {o.column or o.name: o for o in ours.experiment.outcomes}
    named = [name for name, o in theirs.items() if (o.column or o.name) in mine and o.at_least is None]
    kinds = [name for name in named if mine[theirs[name].column or name].kind == theirs[name].kind]
    surplus = set(mine) - {o.column or o.name for o in theirs.values()}
    cells["outcomes, kind"] = (
        f"{share(len(named), len(theirs))}, {share(len(kinds), len(theirs))}{extra(surplus)}"
    )
    edits += listing("outcome to add", [name for name in theirs if name not in named])
    edits += listing("outcome to remove", [name for name in mine if name in surplus])
    edits += listing("kind of", [name for name in named if name not in kinds])
    edits += listing("observed_if of", [name for name in named if theirs[name].observed_if])
    compare_exclusions(hand.experiment, ours.experiment, "experiment", edits)
    if hand.experiment.consent != ours.experiment.consent:
        edits.append("experiment.consent")
    if hand.experiment.petition_columns != ours.experiment.petition_columns:
        edits.append("petition_columns")


def compare_covariates(hand, ours, cells, edits):
    theirs = {c.column or c.name: c for c in hand.covariates}
    mine = {c.column or c.name: c for c in ours.covariates}
    both = [name for name in theirs if name in mine]
    kinds = [name for name in both if theirs[name].kind == mine[name].kind]
    cells["covariates, kind"] = "–"
    if theirs:
        surplus = extra(set(mine) - set(theirs))
        cells["covariates, kind"] = (
            f"{share(len(both), len(theirs))}, {share(len(kinds), len(theirs))}{surplus}"
        )
    edits += listing("covariate to add", [name for name in theirs if name not in mine])
    edits += listing("covariate to remove", [name for name in mine if name not in theirs])
    edits += listing("target: false for", [name for name in both if theirs[name].target != mine[name].target])
    edits += listing(
        "missing_values of", [n for n in both if theirs[n].missing_values != mine[n].missing_values]
    )
    ordered = [
        name
        for name in kinds
        if theirs[name].levels
        and list(map(normalised, theirs[name].levels)) != list(map(normalised, mine[name].levels or []))
    ]
    edits += listing("order of levels of covariate", ordered)


def page(comparisons):
    """Write the table and the edits."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines += ["| " + " | ".join(c.cells[column] for column in COLUMNS) + " |" for c in comparisons]
    lines += [
        "",
        "## What a person has to edit",
        "",
        "Beside titles, labels, ranges, the smallest effect of interest and the settings of the analysis:",
        "",
    ]
    lines += [f"- **{c.cells['study']}**: {'; '.join(c.edits) or 'nothing'}" for c in comparisons]
    return HEAD + "\n".join(lines) + "\n" + drawn()


def drawn():
    """Write the rates on synthetic layouts."""
    with tempfile.TemporaryDirectory() as folder:
        halves = {
            name: rates(map(draw, seeds), Path(folder))
            for name, draw, seeds in (
                ("at random, visible half", layouts.draw, range(0, 2 * LAYOUTS, 2)),
                ("at random, other half", layouts.draw, range(1, 2 * LAYOUTS, 2)),
                ("after manuals", manual_layouts.draw, range(MANUALS)),
                ("odd ones", odd_layouts.draw, range(4 * odd_layouts.TOOLS)),
            )
        }
    lines = ["| layouts | " + " | ".join(PARTS) + " |", "|---" * (len(PARTS) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(share(*found.get(part, (0, 0))) for part in PARTS) + " |"
        for name, found in halves.items()
    ]
    return DRAWN + "\n".join(lines) + "\n"


def comparisons(reference):
    """Compare all data sets."""
    return [compare(path, reference) for path in HAND_WRITTEN]


if __name__ == "__main__":
    folder = (PROJECT / os.environ.get("NANOTARGET_REFERENCE", "../shared")).resolve()
    TABLE.write_text(page(comparisons(folder)), encoding="utf-8")
