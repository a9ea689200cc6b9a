"""A sensible order for levels: numbers, known ladders, codes of a labelled file, or the alphabet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nanotarget.study.config import normalised

AMOUNT = re.compile(r"(\d[\d,.]*\d|\d)\s*(k|m|bn|thousand|million|billion)?(?![a-z])", re.IGNORECASE)
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
    amounts = {text: 0.0 if NOTHING.match(text) else amount(text) for text in texts}
    known = [value for value in amounts.values() if value is not None]
    if len(set(known)) == len(texts) and any(amount(text) is not None for text in texts):
        return sorted(alphabet, key=lambda text: amounts[text] or 0.0), "by the numbers in the texts"
    for name, ladder in LADDERS.items():
        rungs = [_rung(text, ladder) for text in texts]
        if len(texts) > 2 and None not in rungs and len(set(rungs)) == len(texts):
            rung_of = dict(zip(texts, rungs, strict=True))
            return sorted(alphabet, key=lambda text: rung_of[text] or 0), f"by words of {name}"
    return alphabet, ALPHABET


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
