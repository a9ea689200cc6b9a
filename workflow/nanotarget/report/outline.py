"""The sections of the report: the stages of a study by name, and their parts.

What stands in a section, each exhibit of the catalogue says itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nanotarget.diagnose.quantities import Diagnostic
from nanotarget.diagnose.words import QUESTIONS


@dataclass(frozen=True)
class Part:
    """A section of the report, or a part of one, as it is planned.

    Attributes:
        key: of a section the stage; its anchor on the page.
        title: its heading.
        lead: sentences before figures and tables.
        needs: what a study must have for it, of calibration, experiment and registration.
        exploratory: everything in it is.
        folded: shown on demand: what checks or adds to the rest.
        parts: within it; one that stays empty is left out.
    """

    key: str
    title: str
    lead: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    exploratory: bool = False
    folded: bool = False
    parts: tuple[Part, ...] = ()


OTHERS = "others"
# Figures of the paper that the page leaves out: another one shows the same people.
ONLY_IN_THE_PAPER = frozenset({"participants"})

OUTLINE = (
    Part(
        "estimate",
        "Estimate: what the experiment found",
        ("Differences between randomised arms.",),
        needs=("experiment",),
        parts=(
            Part("size", "Are the effects large enough to matter?"),
            Part(
                "chance",
                "Could it be chance?",
                (
                    "The same people are re-randomised under the actual design; what comes out is how much "
                    "arms differ when petitions do nothing.",
                ),
                folded=True,
            ),
            Part("scales", "On other scales and with other models", folded=True),
            Part("missing", "Who did not answer, and what that could change", folded=True),
            Part("delivery", "Were the arms alike, and was the petition seen?", folded=True),
            Part("deviations", "Deviations from the pre-registration", needs=("registration",)),
        ),
    ),
    Part(
        "diagnose",
        "Diagnose: can nano-targeting pay?",
        (
            "The four questions of the verdict in detail. The first whose upper bound stays below the "
            "smallest gain that matters says why nano-targeting fails.",
        ),
        needs=("calibration", "preferences"),
        parts=(
            Part(
                "heterogeneity",
                f"1 Heterogeneity: {QUESTIONS[Diagnostic.HETEROGENEITY]}",
                (
                    "Answers of one person to different tasks share her tastes but no noise, so their "
                    "products measure how much tastes differ. The ceiling is what an oracle that knows "
                    "everybody's tastes could gain.",
                ),
            ),
            Part(
                "predictability",
                f"2 Predictability: {QUESTIONS[Diagnostic.PREDICTABILITY]}",
                (
                    "Only differences that the covariates reveal can be used. Predictions are for people "
                    "whom the learner has not seen; the ceiling is what perfect use of the predictable part "
                    "could gain.",
                ),
            ),
            Part(
                "crossover",
                f"3 Crossover: {QUESTIONS[Diagnostic.CROSSOVER]}",
                (
                    "Differences help only if they change which petition is best, and in the same way when "
                    "the calibration is done twice. One half of it chooses, the other half says what the "
                    "choice gains.",
                ),
            ),
            Part(
                "dividend",
                f"4 Dividend: {QUESTIONS[Diagnostic.DIVIDEND]}",
                (
                    "Every respondent is scored on petitions that were chosen without her answers. The "
                    "plug-in estimate is the learner's own promise, optimistic because the same data made "
                    "the choice.",
                ),
            ),
            Part(OTHERS, "The other goal and subgroups", exploratory=True, folded=True),
        ),
    ),
    Part(
        "calibrate",
        "Calibrate: what people like in a petition",
        (
            "The calibration survey showed petitions with randomly combined attributes. "
            "Effects compare a level with the reference level of its attribute, averaged over all else.",
        ),
        needs=("calibration",),
        parts=(
            Part("by_group", "Do groups of people like different levels?"),
            Part("interactions", "Do attributes interact?", folded=True),
            Part(
                "reliability",
                "How reliable are answers?",
                (
                    "Somebody who is asked the same again does not always choose the same. Such response "
                    "error draws means towards chance and effects towards zero. Estimates without it stand "
                    "beside those of the answers as they were given, on which the verdict rests.",
                ),
                folded=True,
            ),
        ),
    ),
    Part(
        "explore",
        "Explore: what else the data suggest",
        ("Exploratory: found by looking, not predicted; to be confirmed by new data.",),
        needs=("experiment",),
        exploratory=True,
        parts=(
            Part("groups", "Whom it moved more", folded=True),
            Part("tail", "At the lower end of support", folded=True),
            Part("apart", "Did it drive people apart?", folded=True),
            Part("promise", "Did what was predicted come true?", folded=True),
            Part("targeting", "Would another rule have done better?", folded=True),
            Part("dissuasion", "The worst petitions", folded=True),
            Part("fairness", "Who is served how well", folded=True),
        ),
    ),
    Part("assign", "Assign: who gets which petition", needs=("calibration", "preferences")),
    Part(
        "clean",
        "Clean: who took part",
        ("Exclusions are applied one after the other, in the order shown.",),
    ),
)


def places(parts: Iterable[Part] = OUTLINE, above: str = "") -> Iterator[tuple[str, Part]]:
    """Yield every part with its place as exhibits name it ("estimate/size"), in the order of the page."""
    for part in parts:
        yield f"{above}{part.key}", part
        yield from places(part.parts, f"{above}{part.key}/")
