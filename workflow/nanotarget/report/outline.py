"""What stands where in the report: its sections, and the figures and tables that each of them shows.

The only place that says so. A name that ends in `*` stands for all names that begin so; the first part
that claims a figure or table gets it. What no part claims falls to the section of the stage that made
it, or else to the section `FURTHER`: nothing that a study has made can vanish from its report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from nanotarget.report import theme


@dataclass(frozen=True)
class Part:
    """A section of the report, or a part of one, as it is planned.

    Attributes:
        key: its anchor on the page.
        title: its heading.
        lead: sentences before figures and tables.
        figures: names of the figures.
        tables: names of the tables that are shown openly.
        folded: names of those that repeat a figure's numbers or give background.
        stage: folder of the results whose unclaimed figures and tables fall to this section.
        needs: what a study must have for it, of calibration, experiment and registration.
        exploratory: everything in it is.
        parts: within it; one that stays empty is left out.
    """

    key: str
    title: str
    lead: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    stage: str = ""
    needs: tuple[str, ...] = ()
    exploratory: bool = False
    parts: tuple[Part, ...] = ()


FURTHER = "further"
OTHERS = "others"

OUTLINE = (
    Part(
        "flow",
        "Who took part",
        ("Exclusions are applied one after the other, in the order shown.",),
        figures=("flow*", "participants*"),
        folded=("flow", "participants", "sample", "quality"),
        stage="clean",
    ),
    Part(
        "calibration",
        "What people like in a petition",
        (
            "The calibration survey showed petitions with randomly combined attributes. "
            "Effects compare a level with the reference level of its attribute, averaged over all else.",
        ),
        figures=("design*", "amce*", "marginal_means*", "imce*", "importance*"),
        folded=("design*", "amce*", "marginal_means*", "imce*", "importance*", "learners"),
        stage="calibrate",
        needs=("calibration",),
    ),
    Part(
        "diagnosis",
        "Diagnosis: can nano-targeting pay?",
        (
            "Four questions, each with the largest gain over the overall-best petition that its answer "
            "leaves possible. The first whose upper bound stays below the smallest gain that matters "
            "says why nano-targeting fails.",
        ),
        stage="diagnose",
        needs=("calibration",),
        parts=(
            Part(
                "heterogeneity",
                f"1 Heterogeneity: {theme.STAGES['heterogeneity']}",
                (
                    "Answers of one person to different tasks share her tastes but no noise, so their "
                    "products measure how much tastes differ. The ceiling is what a mind-reader could gain.",
                ),
                figures=("variance",),
                folded=("diagnostics", "diagnostics_attributes"),
            ),
            Part(
                "predictability",
                f"2 Predictability: {theme.STAGES['predictability']}",
                (
                    "Only differences that the covariates reveal can be used. Predictions are for people "
                    "whom the learner has not seen; the ceiling is what perfect use of the predictable part "
                    "could gain.",
                ),
                figures=("calibration", "ladder"),
                folded=("ladder",),
            ),
            Part(
                "crossover",
                f"3 Crossover: {theme.STAGES['crossover']}",
                (
                    "Differences help only if they change which petition is best, and in the same way when "
                    "the calibration is done twice. One half of it chooses, the other half says what the "
                    "choice gains.",
                ),
                figures=("switches", "abundance"),
                folded=("switches", "abundance"),
            ),
            Part(
                "dividend",
                f"4 Dividend: {theme.STAGES['dividend']}",
                (
                    "Every respondent is scored on petitions that were chosen without her answers. The "
                    "plug-in estimate is the learner's own promise, optimistic because the same data made "
                    "the choice.",
                ),
                figures=("dividend", "frontier", "learning"),
                folded=("frontier", "learning_curve"),
            ),
            Part(OTHERS, "The other goal and subgroups", tables=("diagnostics_groups",), exploratory=True),
        ),
    ),
    Part(
        "assignment",
        "Who gets which petition",
        figures=("petitions*",),
        tables=("audit",),
        folded=("arm_balance", "petitions*", "concentration", "uncertainty"),
        stage="assign",
        needs=("calibration",),
    ),
    Part(
        "effects",
        "What the experiment found",
        ("Differences between randomised arms.",),
        figures=("effects*",),
        tables=("effects",),
        stage="estimate",
        needs=("experiment",),
        parts=(
            Part(
                "size",
                "Are the effects large enough to matter?",
                figures=("equivalence*", "power*"),
                tables=("equivalence", "sentences"),
                folded=("power*", "multiplicity"),
            ),
            Part(
                "chance",
                "Could it be chance?",
                (
                    "The same people are dealt to the arms anew, as the study dealt them; what comes out is "
                    "how much arms differ when petitions do nothing.",
                ),
                figures=("randomization*",),
                folded=("randomization*",),
            ),
            Part(
                "scales",
                "On other scales and with other models",
                figures=("scales*", "robustness*"),
                folded=("scales*", "omnibus", "robustness*"),
            ),
            Part(
                "missing",
                "Who did not answer, and what that could change",
                figures=("attrition*", "lee*"),
                folded=("attrition*", "differential_attrition", "lee_bounds", "ipw"),
            ),
            Part(
                "delivery",
                "Were the arms alike, and was the petition seen?",
                figures=("balance*", "cace*", "checks*"),
                folded=("balance*", "cace*", "checks*"),
            ),
        ),
    ),
    Part(
        "explore",
        "Explorations",
        ("Exploratory: found by looking, not predicted; to be confirmed by new data.",),
        stage="explore",
        needs=("experiment",),
        exploratory=True,
        parts=(
            Part(
                "groups",
                "Whom it moved more",
                figures=("subgroups*", "odds_ratios*", "mobilisation*"),
                folded=("subgroups*", "odds_ratios*", "mobilisation*"),
            ),
            Part(
                "tail",
                "At the lower end of support",
                figures=("lower_tail*",),
                folded=("lower_tail*",),
            ),
            Part(
                "promise",
                "Did what was predicted come true?",
                figures=("validation*", "dilution*", "dose*"),
                folded=("validation*", "dilution*", "dose*"),
            ),
            Part(
                "targeting",
                "Would another rule have done better?",
                figures=("gate*", "projection*", "rate*", "targeting*"),
                folded=("gate*", "projection*", "rate*", "targeting*"),
            ),
            Part(
                "dissuasion",
                "The worst petitions",
                figures=("dissuasion*",),
                folded=("dissuasion*",),
            ),
            Part(
                "fairness",
                "Who is served how well",
                figures=("fairness*",),
                folded=("fairness*",),
            ),
        ),
    ),
    Part(FURTHER, "Further figures and tables"),
    Part(
        "deviations",
        "Deviations from the pre-registration",
        tables=("deviations",),
        needs=("registration", "experiment"),
    ),
)
# Shown with the verdict, before all sections.
FIRST = ("funnel",)
# A table without rows is left out, but for those that say by it that nothing happened.
SHOWN_EMPTY = ("deviations",)


@dataclass
class Place:
    """What falls to one part: names of figures and of open and folded tables."""

    figures: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    folded: list[str] = field(default_factory=list)


def every(parts: Iterable[Part]) -> Iterator[Part]:
    """Go through parts and the parts within them, in the order of the page."""
    for part in parts:
        yield part
        yield from every(part.parts)


def place(
    figures: Mapping[str, str], tables: Mapping[str, str], outline: Sequence[Part] = OUTLINE
) -> dict[str, Place]:
    """Say what falls to which part; everything falls to exactly one, but for `FIRST`.

    Args:
        figures, tables: name -> folder of the results that it is made from, "" where that is not known.

    Returns:
        key of every part -> what falls to it, in the order of its names, then in the given order.
    """
    places = {part.key: Place() for part in every(outline)}
    by_stage = {part.stage: part.key for part in outline if part.stage}
    left = [name for name in figures if name not in FIRST]
    for part in every(outline):
        places[part.key].figures = _claim(part.figures, left)
    for name in left:
        places[by_stage.get(figures[name], FURTHER)].figures.append(name)
    left = list(tables)
    for part in every(outline):
        places[part.key].tables = _claim(part.tables, left)
        places[part.key].folded = _claim(part.folded, left)
    for name in left:
        places[by_stage.get(tables[name], FURTHER)].folded.append(name)
    return places


def _claim(wanted: Sequence[str], left: list[str]) -> list[str]:
    """Take the wanted names out of those that are left."""
    claimed = []
    for pattern in wanted:
        found = [name for name in left if fnmatchcase(name, pattern)]
        claimed += found
        left[:] = [name for name in left if name not in found]
    return claimed
