"""What stays of a person in the ledger when she has withdrawn: that somebody was randomised to her arm.

Her id goes. The seal of her row stays in its place, so that the rows after it can still be checked, with a
second one of what is left of the row: whoever edits arm or block of a tombstone is noticed as everywhere.
"""

from __future__ import annotations

import hashlib
import json
import re

MARK = 16  # hexadecimal digits, as of a seal
TOMBSTONE = re.compile(rf"withdrawn-([0-9a-f]+)-([0-9a-f]{{{MARK}}})")


def tombstone(seal: str, arm: str, block: str) -> str:
    """Return what stands in the place of an id."""
    return f"withdrawn-{seal}-{_mark(seal, arm, block)}"


def seal_kept(respondent: str, arm: str, block: str) -> str | None:
    """Return the seal that a tombstone keeps; None if a row is none, or was edited."""
    found = TOMBSTONE.fullmatch(respondent)
    return found[1] if found and found[2] == _mark(found[1], arm, block) else None


def _mark(seal: str, arm: str, block: str) -> str:
    return hashlib.sha256(json.dumps(["withdrawn", seal, arm, block]).encode()).hexdigest()[:MARK]
