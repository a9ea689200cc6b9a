"""A sensible order for levels: the labels of the file, amounts, grades, or the alphabet."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nanotarget.propose.amounts import is_nothing, spans
from nanotarget.propose.grades import graded
from nanotarget.propose.vocabulary import tokens, vocabulary
from nanotarget.study.config import normalised

ALPHABET = "of the alphabet, as no other is known"


def ordered(texts: Sequence[str], labels: Sequence[str] = ()) -> tuple[list[str], str]:
    """Put levels in a sensible order.

    Args:
        texts: distinct levels.
        labels: of the file, in its own order: value labels, categories, or lines of a codebook.

    Returns:
        The levels, and how their order was determined.
    """
    known = {normalised(label): i for i, label in enumerate(labels)}
    if texts and all(normalised(text) in known for text in texts):
        return sorted(texts, key=lambda text: known[normalised(text)]), "of the labels in the file"
    alphabet = sorted(texts, key=lambda text: (not is_nothing(text), normalised(text)))
    shared = _shared_beginning(texts)
    for rest in ([text[shared:] for text in texts], texts):
        if found := graded(rest):
            grade = dict(zip(texts, found[0], strict=True))
            return sorted(alphabet, key=grade.__getitem__), found[1]
        if found_spans := spans(rest):
            span = dict(zip(texts, (found_spans[text] for text in rest), strict=True))
            return sorted(alphabet, key=span.__getitem__), "of their numbers"
    if len(texts) == 2 and (denied := [text for text in alphabet if _denies(text)]) and len(denied) == 1:
        return sorted(alphabet, key=lambda text: text not in denied), "from no to yes"
    return alphabet, ALPHABET


def _shared_beginning(texts: Sequence[str]) -> int:
    """Return how many letters all texts begin with, up to the end of a word."""
    lowest, highest = min(texts, default=""), max(texts, default="")
    same = next((i for i, letter in enumerate(lowest) if highest[i : i + 1] != letter), len(lowest))
    end = max((m.end() for m in re.finditer(r"\s", lowest[:same])), default=0)
    return end if all(len(text) > end for text in texts) else 0


def _denies(text: str) -> bool:
    """Does a text say no to what another one says?"""
    return not vocabulary().negations.isdisjoint(tokens(text))
