"""The words that order answers and levels, in the usual languages: `scales.yaml`, read once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from nanotarget.study.config import normalised

FILE = Path(__file__).with_name("scales.yaml")
MARKS = re.compile(r"<[^>]*>|[.…!:;,]+(?=\s|$)|[\"“”„«»()\[\]]")  # mark-up and punctuation
WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*|\d[\d.,]*|\S")


@dataclass(frozen=True)
class Vocabulary:
    """What `scales.yaml` declares; all texts as `plain` returns them.

    Attributes:
        scales: the rung of each text of each scale.
        degrees: strength of a word of degree; below 0 it says no.
        opposites: the pair and the side (-1, 1) of what is graded, in each pair that has it.
        middles, negations, fillers, nothing, per, less, more, same: see the file.
        numbers: value of a number in words.
        moments: seconds of a time in words.
        endless: what has no limit.
        units: kind and size of a unit.
        often: unit of time in words such as "weekly".
    """

    scales: Mapping[str, Mapping[str, int]]
    degrees: Mapping[str, float]
    opposites: Mapping[str, Sequence[tuple[int, int]]]
    middles: frozenset[str]
    negations: frozenset[str]
    fillers: frozenset[str]
    nothing: frozenset[str]
    numbers: Mapping[str, float]
    units: Mapping[str, tuple[str, float]]
    per: frozenset[str]
    often: Mapping[str, str]
    less: frozenset[str]
    more: frozenset[str]
    same: frozenset[str]
    moments: Mapping[str, float]
    endless: frozenset[str]


def plain(text: str) -> str:
    """Return a text as words are compared: normalised, without mark-up and punctuation, one apostrophe."""
    bare = normalised(MARKS.sub(" ", text.replace("’", "'")))
    return " ".join(bare.split())


def tokens(text: str) -> list[str]:
    """Return the words, numbers and signs of a text, as `plain` writes them."""
    return WORD.findall(plain(text))


@cache
def vocabulary() -> Vocabulary:
    """Read the file."""
    declared: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    opposites: dict[str, list[tuple[int, int]]] = {}
    for pair, sides in enumerate(declared["opposites"]):
        for side, text in zip((-1, 1), sides, strict=True):
            opposites.setdefault(plain(text), []).append((pair, side))
    return Vocabulary(
        scales={
            name: {plain(text): i for i, rung in enumerate(rungs) for text in rung}
            for name, rungs in declared["scales"].items()
        },
        degrees=_valued(declared["degrees"]),
        opposites=opposites,
        middles=_texts(text for line in declared["middles"] for text in line),
        numbers=_valued(declared["numbers"]),
        moments=_valued(declared["moments"]),
        units={
            plain(text): (kind, float(size))
            for kind, sizes in declared["units"].items()
            for size, texts in sizes.items()
            for text in texts
        },
        often={plain(text): unit for unit, texts in declared["often"].items() for text in texts},
        **{
            name: _texts(declared[name])
            for name in ("negations", "fillers", "nothing", "per", "less", "more", "same", "endless")
        },
    )


def _texts(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(map(plain, texts))


def _valued(texts: Mapping[float, Sequence[str]]) -> dict[str, float]:
    return {plain(text): float(value) for value, same in texts.items() for text in same}


def longest(words: Sequence[str], phrases: Iterable[str], anywhere: bool = False) -> tuple[int, int]:
    """Find the longest of some phrases at the beginning of words, or anywhere in them.

    Returns:
        Where it begins and ends among the words; (0, 0) if there is none.
    """
    known = phrases if isinstance(phrases, Mapping | frozenset) else set(phrases)
    for length in range(min(len(words), 6), 0, -1):
        for start in range(len(words) - length + 1 if anywhere else 1):
            if " ".join(words[start : start + length]) in known:
                return start, start + length
    return 0, 0
