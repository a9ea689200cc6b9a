"""A sensible order for levels: codes of a labelled file, numbers, known scales, or the alphabet."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import yaml

from nanotarget.study.config import normalised

SCALES = Path(__file__).with_name("scales.yaml")
AMOUNT = re.compile(r"(\d[\d,.]*\d|\d)\s*(k|m|bn|thousand|million|billion)?(?![a-z])", re.IGNORECASE)
NUMBER = r"\d[\d,.]*(?:\s*(?:k|m|bn|thousand|million|billion)\b)?"
BETWEEN = re.compile(
    rf"({NUMBER})[^\w\s]?\s*(?:-|–|—|to|bis|and|und|a|à|y|et)\s*[^\w\s]?({NUMBER})", re.IGNORECASE
)
BELOW = re.compile(
    r"\W*(<|≤|under|less than|below|up to|at most|fewer than|unter|bis|weniger als|höchstens|menos de|hasta"
    r"|moins de|jusqu)",
    re.IGNORECASE,
)
ABOVE = re.compile(
    r"^\W*(>|≥|over|more than|above|at least|mehr als|über|mindestens|ab|más de|plus de)\b|^\s*[>≥]"
    r"|\+\s*$|\b(or more|and more|and over|and above|or older|and older|und mehr|y más|o más|et plus)\W*$",
    re.IGNORECASE,
)
TIMES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "bn": 1e9, "billion": 1e9}
NOTHING = re.compile(r"(no|none|never|zero|without|not|nothing)\b", re.IGNORECASE)
# Each ladder from its lowest rung up; a level stands on the first rung whose pattern it matches.
LADDERS: Mapping[str, Sequence[str]] = {
    "agreement": (
        r"(strongly|completely|fully|totally) (disagree|oppose|against)",
        r"(somewhat|slightly|rather|tend to) (disagree|oppose)",
        r"neither|neutral|undecided",
        r"(somewhat|slightly|rather|tend to) (agree|support|favou?r)",
        r"(strongly|completely|fully|totally) (agree|support|favou?r|in favou?r)",
        r"^(disagree|oppose)",
        r"^(agree|support|favou?r)",
    ),
    "frequency": (
        r"never",
        r"rarely|seldom|once",
        r"sometimes|occasionally",
        r"often|frequently|many times",
        r"always|every day|daily",
    ),
    "education": (
        r"^(none|no formal|no school)",
        r"4th grade|primary|elementary",
        r"8th grade|lower secondary|less than high school|middle school",
        r"upper secondary|high school|vocational",
        r"some college|two-year|community college|associate",
        r"college|bachelor|undergraduate|university",
        r"graduate degree|postgraduate|master|phd|doctora",
    ),
    "position": (
        r"^(lowest|bottom|first)\b",
        r"^(second|lower)\b",
        r"^(middle|third)\b",
        r"^(fourth|upper)\b",
        r"^(highest|top|fifth)\b",
    ),
    "amount": (
        r"^(none|no|nothing|not at all)\b",
        r"^(very few|very little|very low|very small|minimal)\b",
        r"^(few|little|low|small|minor|weak|a little)\b",
        r"^(some|moderate|medium|middle|average|somewhat)\b",
        r"^(many|much|high|large|major|strong|a lot|often)\b",
        r"^(very|extremely|complete|completely|all|full|total)\b",
    ),
    "place": (r"^(urban|city)\b", r"^suburb", r"^(town|small town)\b", r"^(rural|country|village)"),
}
ALPHABET = "of the alphabet, as no other is known"


def ordered(texts: Sequence[str], codes: Mapping[str, str] | None = None) -> tuple[list[str], str]:
    """Put levels in a sensible order.

    Args:
        texts: distinct levels.
        codes: code of each level where the file has value labels.

    Returns:
        The levels, and how their order was determined.
    """
    alphabet = sorted(texts, key=lambda text: (not NOTHING.match(text), normalised(text)))
    if codes and all(text in codes and amount(codes[text]) is not None for text in texts):
        return sorted(alphabet, key=lambda text: amount(codes[text]) or 0.0), "by the codes of the file"
    if {normalised(text) for text in texts} == {"yes", "no"}:
        return alphabet, "with no before yes"
    if spans := _spans(texts):
        return sorted(alphabet, key=lambda text: spans[text]), "by the numbers in the texts"
    for name, scale in scales().items():
        steps = [scale.get(normalised(text)) for text in texts]
        if len(texts) > 1 and None not in steps and len(set(steps)) == len(texts):
            step_of = dict(zip(texts, steps, strict=True))
            return sorted(alphabet, key=lambda text: step_of[text] or 0), f"of the scale '{name}'"
    for name, ladder in LADDERS.items():
        rungs = [_rung(text, ladder) for text in texts]
        if len(texts) > 2 and None not in rungs and len(set(rungs)) == len(texts):
            rung_of = dict(zip(texts, rungs, strict=True))
            return sorted(alphabet, key=lambda text: rung_of[text] or 0), f"by words of {name}"
    return alphabet, ALPHABET


@cache
def scales() -> dict[str, dict[str, int]]:
    """Return the rung of each text of each scale."""
    named: dict[str, list[list[str]]] = yaml.safe_load(SCALES.read_text(encoding="utf-8"))
    return {
        name: {normalised(text): i for i, rung in enumerate(rungs) for text in rung}
        for name, rungs in named.items()
    }


def _spans(texts: Sequence[str]) -> dict[str, tuple[float, float]] | None:
    """Return the interval of numbers that each text means, if they all differ; None otherwise.

    Where the first number is the same in all of them, as in "1 of 4: 20%", the next one counts.
    """
    if not any(amount(text) is not None for text in texts):
        return None
    spans = {text: _span(text) for text in texts}
    known = [span for span in spans.values() if span is not None]
    if len(known) == len(texts) and len(set(known)) == len(texts):
        return {text: span for text, span in spans.items() if span is not None}
    numbers = [
        [value for part in AMOUNT.finditer(text) if (value := amount(part[0])) is not None] for text in texts
    ]
    for nth in range(1, min(map(len, numbers))):
        before, here = ({values[i] for values in numbers} for i in (nth - 1, nth))
        if len(before) == 1 and len(here) == len(texts):
            return {text: (v[nth], v[nth]) for text, v in zip(texts, numbers, strict=True)}
    return None


def _span(text: str) -> tuple[float, float] | None:
    """Return the interval that a text means: "10-35k", "<25k", "over 100k", "40%", "none"."""
    if NOTHING.match(text):
        return 0.0, 0.0
    if match := BETWEEN.search(text):
        low, high = amount(match[1]), amount(match[2])
        if low is not None and high is not None:
            unit = AMOUNT.search(match[2])
            scaled = low * TIMES.get((unit[2] or "").lower(), 1) if unit and low < high else low
            return (scaled if scaled < high else low), high
    value = amount(text)
    if value is None:
        return None
    if BELOW.match(text):
        return -math.inf, value
    return (value, math.inf) if ABOVE.search(text) else (value, value)


def amount(text: str) -> float | None:
    """Return the first number of a text ("$1,500", "32K", "40% reduction", "-2"), None without one."""
    match = AMOUNT.search(text)
    if not match:
        return None
    digits = match[1]
    plain = digits.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", digits) else digits
    try:
        value = float(plain.replace(",", "."))
    except ValueError:  # a date or a version, such as 1.2.2020
        return None
    sign = -1 if re.match(r"\s*[-−]\s*\W?$", text[: match.start()]) else 1
    return sign * value * TIMES.get((match[2] or "").lower(), 1)


def _rung(text: str, ladder: Sequence[str]) -> int | None:
    for i, pattern in enumerate(ladder):
        if re.search(pattern, text, re.IGNORECASE):
            return i
    return None
