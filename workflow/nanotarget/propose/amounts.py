"""What amount a level means: numbers with units, ranges, rates, rises and falls, numbers in words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from nanotarget.propose.vocabulary import longest, tokens, vocabulary

TIMES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "millionen": 1e6, "millones": 1e6,
         "millions": 1e6, "mio": 1e6, "bn": 1e9, "billion": 1e9, "mrd": 1e9}  # fmt: skip
SCALED = "|".join(sorted(TIMES, key=len, reverse=True))
DIGITS = r"\d{1,3}(?:[  ’']\d{3})+(?!\d)|\d[\d,.]*\d|\d"
AMOUNT = re.compile(rf"({DIGITS})\s*(?:({SCALED})(?![^\W\d_]))?", re.IGNORECASE)
NUMBER = rf"(?:{DIGITS})(?:\s*(?:{SCALED})\b)?"
CURRENCY = r"\s*[%€$£]?\s*"
BETWEEN = re.compile(
    rf"({NUMBER}){CURRENCY}(?:-|–|—|to|bis|and|und|a|à|y|et|tot|até){CURRENCY}({NUMBER})", re.IGNORECASE
)
BELOW = re.compile(
    r"\W*(<|≤|(under|less than|below|up to|at most|fewer than|no more than|unter|bis zu|bis|weniger als"
    r"|höchstens|menos de|hasta|moins de|jusqu.?à|meno di|fino a|minder dan|onder|tot|menos que|até"
    r"|mindre än)\b)",
    re.IGNORECASE,
)
ABOVE = re.compile(
    r"^\W*(>|≥|(over|more than|above|at least|mehr als|über|mindestens|ab|más de|plus de|au moins|più di"
    r"|oltre|meer dan|boven|mais de|mer än)\b)"
    r"|\+\s*$|\b(or more|and more|and over|or over|and above|or above|or older|and older|und mehr|oder mehr"
    r"|y más|o más|et plus|ou plus|o più|e oltre|of meer|en meer|ou mais|eller mer)\W*$",
    re.IGNORECASE,
)
THOUSANDS = re.compile(r"\d{1,3}(\.\d{3})+")  # as German writes them
Span = tuple[float, float]


def spans(texts: Sequence[str]) -> dict[str, Span] | None:
    """Return the interval of numbers that each text means, if they all differ; None otherwise.

    Where the first number is the same in all of them, as in "1 of 4: 20%", the next one counts.
    """
    for read in (_rates, _changes, _measures, _ranges):
        found = read(texts)
        if found and None not in found and len(set(found)) == len(texts):
            return {text: span for text, span in zip(texts, found, strict=True) if span is not None}
    return _later_numbers(texts)


def amount(text: str, dotted: bool = False) -> float | None:
    """Return the first number of a text ("$1,500", "32K", "40% reduction", "-2", "two"), None without one.

    Args:
        text: in any of the usual languages.
        dotted: do points separate thousands?
    """
    if not (match := AMOUNT.search(text)):
        words = tokens(text)
        start, end = longest(words, vocabulary().numbers)
        return vocabulary().numbers[" ".join(words[start:end])] if end else None
    value = _value(match[1], dotted)
    if value is None:
        return None
    sign = -1 if re.match(r"\s*[-−]\s*\W?$", text[: match.start()]) else 1
    return sign * value * TIMES.get((match[2] or "").lower(), 1)


def is_nothing(text: str) -> bool:
    """Does a text begin with a word for none of it?"""
    return longest(tokens(text), vocabulary().nothing)[1] > 0


def _value(digits: str, dotted: bool) -> float | None:
    digits = re.sub(r"[  ’']", "", digits)
    if dotted and THOUSANDS.fullmatch(digits):
        digits = digits.replace(".", "")
    plain_digits = digits.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", digits) else digits
    try:
        return float(plain_digits.replace(",", "."))
    except ValueError:  # a date or a version, such as 1.2.2020
        return None


def _dotted(texts: Sequence[str]) -> bool:
    """Do points separate thousands: always three digits behind them, and somewhere a round number?"""
    points = [m[1] for text in texts for m in AMOUNT.finditer(text) if "." in m[1]]
    return bool(points) and all(map(THOUSANDS.fullmatch, points)) and any(p.endswith("0") for p in points)


def _ranges(texts: Sequence[str]) -> list[Span | None]:
    """Read intervals: "10-35k", "<25k", "over 100k", "40%", "none"."""
    dotted = _dotted(texts)
    if not any(amount(text, dotted) is not None for text in texts):
        return []
    return [_range(text, dotted) for text in texts]


def _range(text: str, dotted: bool) -> Span | None:
    value = amount(text, dotted)
    if longest(tokens(text), vocabulary().endless)[1]:
        return math.inf, math.inf
    if is_nothing(text) and (value is None or not re.match(r"\D*\bmore than", text, re.IGNORECASE)):
        return 0.0, 0.0
    if match := BETWEEN.search(text):
        low, high = amount(match[1], dotted), amount(match[2], dotted)
        if low is not None and high is not None:
            unit = AMOUNT.search(match[2])
            scaled = low * TIMES.get((unit[2] or "").lower(), 1) if unit and low < high else low
            return (scaled if scaled < high else low), high
    if value is None:
        return None
    if BELOW.match(text):
        return -math.inf, value
    return (value, math.inf) if ABOVE.search(text) else (value, value)


def _later_numbers(texts: Sequence[str]) -> dict[str, Span] | None:
    """Compare by the first number that is not the same in all texts, as in "1 of 4: 20%"."""
    dotted = _dotted(texts)
    numbers = [
        [value for m in AMOUNT.finditer(t) if (value := _value(m[1], dotted)) is not None] for t in texts
    ]
    for nth in range(1, min(map(len, numbers), default=0)):
        before, here = ({values[i] for values in numbers} for i in (nth - 1, nth))
        if len(before) == 1 and len(here) == len(texts):
            return {text: (v[nth], v[nth]) for text, v in zip(texts, numbers, strict=True)}
    return None


def _changes(texts: Sequence[str]) -> list[Span | None]:
    """Read rises and falls about a middle: "10% lower", "the same", "10% higher"."""
    words = vocabulary()
    signs = []
    for text in texts:
        spoken = set(tokens(text))
        bounded = BELOW.match(text) or ABOVE.search(text)
        signs.append(0 if bounded else bool(spoken & words.more) - bool(spoken & words.less))
    if not {-1, 1} <= set(signs):
        return []
    values: list[Span | None] = []
    for text, sign in zip(texts, signs, strict=True):
        value = amount(text)
        if longest(tokens(text), words.same, anywhere=True)[1] and (not sign or value is None):
            value = 0.0
        values.append(None if value is None or (value and not sign) else (sign * value, sign * value))
    return values


def _measures(texts: Sequence[str]) -> list[Span | None]:
    """Read amounts of one kind in different units: "3 days", "1 week"; "500 m", "2 km"."""
    units = [_unit(text) for text in texts]
    known = {unit for unit in units if unit}
    timed = {kind for kind, _ in known} == {"time"}
    times = [_time(text) if timed else None for text in texts]
    endless = [longest(tokens(text), vocabulary().endless)[1] > 0 for text in texts]
    several = len(known) + sum(time is not None for time in times) + sum(endless) > 1
    if len({kind for kind, _ in known}) != 1 or not several:
        return []
    values: list[Span | None] = []
    for text, unit, time, last in zip(texts, units, times, endless, strict=True):
        value, size = _bare(text), time
        if is_nothing(text) and not last:
            size = 0.0
        elif unit and value is not None:
            size = value * unit[1]
        values.append((math.inf, math.inf) if last else None if size is None else _bounded(text, size))
    return values


def _time(text: str) -> float | None:
    """Return the seconds of a time in words: "same day", "tomorrow", "monthly"."""
    words, known = tokens(text), vocabulary()
    if end := longest(words, known.moments)[1]:
        return known.moments[" ".join(words[:end])]
    return known.units[known.often[words[0]]][1] if words and words[0] in known.often else None


def _bounded(text: str, value: float) -> Span:
    if BELOW.match(text):
        return -math.inf, value
    return (value, math.inf) if ABOVE.search(text) else (value, value)


def _bare(text: str) -> float | None:
    """Return the first number without what multiplies it: "5 m" are metres where others are kilometres."""
    match = AMOUNT.search(text)
    return _value(match[1], False) if match else amount(text)


def _unit(text: str) -> tuple[str, float] | None:
    """Return kind and size of the unit behind the number of a text."""
    words = tokens(text)
    units, numbers = vocabulary().units, vocabulary().numbers
    start, end = longest(words, numbers)
    if words and re.fullmatch(r"\d+-\d+", "".join(words[:3])):  # "2-3 days"
        words = words[2:]
    begin = next((i for i, word in enumerate(words) if word[0].isdigit()), start if end else len(words))
    rest = words[max(begin + 1, end) : max(begin + 1, end) + 1]
    return units.get(rest[0]) if rest else None


def _rates(texts: Sequence[str]) -> list[Span | None]:
    """Read how often in a time: "once a month", "twice a week", "daily", "never"."""
    rates = [_rate(text) for text in texts]
    if sum(rate is not None and rate > 0 for rate in rates) < 2:
        return []
    return [None if rate is None else _bounded(text, rate) for text, rate in zip(texts, rates, strict=True)]


def _rate(text: str) -> float | None:
    words, known = tokens(text), vocabulary()
    if is_nothing(text):
        return 0.0
    for word in words:
        if word in known.often:
            return 1 / known.units[known.often[word]][1]
    for i, word in enumerate(words[:-1]):
        unit = known.units.get(words[i + 1])
        if word in known.per and unit and unit[0] == "time":
            count = _bare(text) if i else 1.0
            return None if count is None else count / unit[1]
    return None
