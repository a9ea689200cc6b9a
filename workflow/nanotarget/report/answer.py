"""The answer for who decides: the verdict, the petition to send, warnings, and the four questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nanotarget.diagnose import words
from nanotarget.diagnose.quantities import Diagnostic, Estimator, Quantity
from nanotarget.diagnose.verdict import Verdict
from nanotarget.diagnose.words import Amounts
from nanotarget.explore.corrected_diagnosis import matters

LEVELS = (
    "Ranges that the data allow are 90% intervals: in 95 of 100 such surveys the truth is above their lower "
    "end, and in 95 of 100 it is below their upper end, or below a gain said to be possible at most. Each of "
    "them holds by itself."
)


@dataclass(frozen=True)
class Strip:
    """Where the marks of one question lie between the ends of the scale that all share, in percent.

    Attributes:
        zero, threshold: lines of no gain and of the smallest gain that matters.
        low, high: ends of what the data allow; None where the question was not evaluated.
        estimate: the gain that its answer leaves possible.
    """

    zero: float
    threshold: float
    low: float | None = None
    high: float | None = None
    estimate: float | None = None


@dataclass(frozen=True)
class Question:
    """One of the four questions with its answer.

    Attributes:
        asked: the question.
        answer: in a word or two.
        verdict: of the stage.
        reason: a sentence or two.
        strip: the gain that the answer leaves possible.
    """

    asked: str
    answer: str
    verdict: str
    reason: str
    strip: Strip


@dataclass(frozen=True)
class Answer:
    """What is said first on both pages.

    Attributes:
        overall, opening: the verdict, and in a sentence.
        text: why there is no gain to speak of, where that is so.
        send, petition, worth: which petition to send, its text, and what it earns; empty without one.
        warnings: of the diagnosis and the design, for people.
        facts: short questions with their answers.
        questions: the four.
        advice: what would change the answer.
        note: how sure ranges and bounds are.
        threshold: the smallest gain that matters, with its unit.
    """

    overall: str
    opening: str
    text: str
    send: str
    petition: str
    worth: str
    warnings: Sequence[str]
    facts: Sequence[tuple[str, str]]
    questions: Sequence[Question]
    advice: Sequence[str]
    note: str
    threshold: str

    @classmethod
    def of(
        cls,
        verdict: Mapping[str, Any],
        petition: Mapping[str, Any] | None = None,
        diagnostics: pd.DataFrame | None = None,
        corrected: pd.DataFrame | None = None,
    ) -> Answer:
        """Put together what there is to say.

        Args:
            verdict: diagnose/verdict.json.
            petition: diagnose/petition.json: the overall-best petition, not for who studies dissuasion.
            diagnostics: diagnose/diagnostics.csv, for what that petition earns.
            corrected: diagnose/corrected_diagnosis.csv, for what response error decides.
        """
        amounts = Amounts(verdict["unit"], verdict["threshold"])
        is_sent = petition is not None and verdict["goal"] == "support"
        never = [words.NEVER_FIELDED] if verdict["goal"] == "dissuade" else []
        return cls(
            overall=verdict["overall"],
            opening=words.opening(verdict),
            text=" ".join([*([] if verdict["share_divergent"] else [verdict["text"]]), *never]),
            send=words.SEND[verdict["overall"]] if is_sent else "",
            petition=petition["text"] if petition is not None and is_sent else "",
            worth=_worth(diagnostics, amounts) if diagnostics is not None and is_sent else "",
            warnings=[*told(verdict["flags"]), *_errors(corrected, amounts)],
            facts=words.in_short(verdict),
            questions=_questions(verdict),
            advice=verdict["advice"],
            note=LEVELS,
            threshold=f"{amounts.threshold()} {amounts.unit_of_gain}",
        )


def told(flags: Sequence[str]) -> list[str]:
    """Write warnings for people: without the name of their flag, by which programs know them."""
    return [_told(flag) for flag in flags]


def _told(flag: str) -> str:
    name, colon, said = flag.partition(": ")
    return said[:1].upper() + said[1:] if colon and name.isidentifier() else flag


def _errors(corrected: pd.DataFrame | None, amounts: Amounts) -> list[str]:
    """Warn if response error decides on which side of the smallest gain that matters a stage ends."""
    moved = None if corrected is None else matters(corrected)
    if moved is None:
        return []
    gains = float(moved["raw"]), float(moved["estimate"])
    return [words.without_error(amounts, Diagnostic(moved["diagnostic"]), gains, str(moved["side"]))]


def _worth(diagnostics: pd.DataFrame, amounts: Amounts) -> str:
    """Say what the overall-best petition earns among people whose answers did not choose it."""
    ours = diagnostics[
        (diagnostics["estimator"] == Estimator.FIRST_ORDER)
        & (diagnostics["group"] == "all")
        & (diagnostics["goal"] == "support")
    ].drop_duplicates("quantity")
    found = ours.set_index("quantity")["estimate"]
    if not {Quantity.OVERALL_BEST, Quantity.BEST_OVER_RANDOM} <= set(found.index):
        return ""
    return words.worth(amounts, found[Quantity.OVERALL_BEST], found[Quantity.BEST_OVER_RANDOM])


def _questions(verdict: Mapping[str, Any]) -> list[Question]:
    found = {stage: verdict["ceilings"].get(stage) or {} for stage in words.QUESTIONS}
    shown = [value for ceiling in found.values() for value in ceiling.values() if value is not None]
    ends = (min([0.0, *shown]), max([0.0, verdict["threshold"], *shown]))
    reasons = dict(zip(words.QUESTIONS, verdict["reasons"], strict=True))
    questions = []
    for stage, asked in words.QUESTIONS.items():
        said = verdict["stages"].get(stage, Verdict.NOT_EVALUATED)
        strip = Strip(*(_place(value, ends) for value in (0.0, verdict["threshold"])))
        marks = [found[stage].get(name) for name in ("low", "high", "estimate")]
        known = [float(mark) for mark in marks if mark is not None]
        if len(known) == len(marks):
            strip = Strip(strip.zero, strip.threshold, *(_place(value, ends) for value in known))
        questions.append(Question(asked, words.ANSWERS[Verdict(said)], said, reasons[stage], strip))
    return questions


def _place(value: float, ends: tuple[float, float]) -> float:
    """Return where a value lies between two ends, in percent, away from the very edge."""
    low, high = ends
    share = (value - low) / (high - low) if high > low else 0.5
    return round(3 + 94 * share, 1)
