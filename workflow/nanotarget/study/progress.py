"""How far long work has come: for people, in the rule's log and on the terminal, never in an artefact."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

LOG = logging.getLogger("nanotarget.study.progress")
EVERY = 10.0  # seconds that pass at least between two messages of a loop
TAIL = 4096  # bytes of a log in which its last message is looked for
Step = TypeVar("Step")


def steps(items: Sequence[Step], what: str, clock: Callable[[], float] = time.monotonic) -> Iterator[Step]:
    """Go through a loop whose steps take about equally long, and say now and then how many are done.

    The time that is left is that of the steps so far; before the first is done nothing is said, and a loop
    that is over soon says nothing at all.

    Args:
        items: what to go through.
        what: the steps in the plural, for people, e.g. "permutations".
        clock: seconds; of another clock in tests.
    """
    began = said = clock()
    for done, item in enumerate(items, start=1):
        yield item
        now = clock()
        if done < len(items) and now - said >= EVERY:
            left = (now - began) / done * (len(items) - done)
            LOG.info("%d of %d %s, %s left for the others", done, len(items), what, duration(left))
            said = now


def duration(seconds: float) -> str:
    """Write a span of time as roughly as it is known: "less than 10 s", "about 40 s", "about 3 min"."""
    if seconds < 10:
        return "less than 10 s"
    if seconds < 90:
        return f"about {round(seconds, -1):.0f} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 90 else f"about {minutes // 60} h {minutes % 60} min"


def latest(log: Path) -> str:
    """Return what a rule's log said last of how far its work has come; empty if it said nothing."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - TAIL))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    said = re.findall(rf"^INFO {re.escape(LOG.name)}: (.*)$", text, re.MULTILINE)
    return said[-1] if said else ""
