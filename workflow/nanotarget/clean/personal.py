"""What tells who somebody is, and so never stands in a message or an artefact."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from nanotarget.clean.raw import PLAIN_NUMBER
from nanotarget.study.config import Level
from nanotarget.study.problems import counted, listed

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
ADDRESS = re.compile(r"(\d{1,3}\.){3}\d{1,3}|([0-9a-f]{0,4}:){3,7}[0-9a-f]{0,4}", re.IGNORECASE)
# With a plus, brackets or groups, as people write them: a row of digits may be any id.
PHONE = re.compile(r"\+\d[\d ()/.-]{6,}|\(\d{2,5}\)[\d /.-]{5,}|\d{3}[ .-]\d{3}[ .-]\d{4}")
KINDS = {"an e-mail address": EMAIL, "a network address": ADDRESS, "a telephone number": PHONE}
MANY = 20  # different texts, which then may be what each person wrote


def kind_of(text: str) -> str:
    """Say what kind of identifier a text holds; "" if none."""
    if any(EMAIL.fullmatch(word) for word in text.split()):
        return "an e-mail address"
    whole = text.strip()
    return next((kind for kind, pattern in KINDS.items() if pattern.fullmatch(whole)), "")


def quoted(texts: Sequence[Level], private: bool, limit: int = 5) -> str:
    """Write the different texts of cells for people, without those that tell who somebody is.

    Args:
        texts: distinct.
        private: whether the column is one of identifiers.
        limit: how many are written at most.
    """
    if private or (len(texts) > MANY and np.mean([len(str(text).split()) > 1 for text in texts]) > 0.5):
        return f"{counted(len(texts), 'text')} not shown here"
    shown = list(dict.fromkeys(kind_of(str(text)) or listed([text]) for text in texts))
    more = f" and {len(shown) - limit} more" if len(shown) > limit else ""
    return ", ".join(shown[:limit]) + more


def looks_like_data(header: Sequence[str]) -> bool:
    """Does the first row of a file hold what somebody answered instead of names of columns?

    One address is enough; numbers may be names, unless most are.
    """
    numbers = sum(bool(PLAIN_NUMBER.fullmatch(cell.strip())) for cell in header)
    return numbers > len(header) / 2 or any(map(kind_of, header))
