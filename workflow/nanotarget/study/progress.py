"""How far long work has come: for people, in the rule's log and on the terminal, never in an artefact."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

LOG = logging.getLogger("nanotarget.study.progress")
EVERY = 10.0  # seconds that pass at least between two messages of a loop
TAIL = 4096  # bytes of a log in which its last message is looked for
Step = TypeVar("Step")


def steps(
    items: Sequence[Step],
    what: str,
    clock: Callable[[], float] = time.monotonic,
    sizes: Sequence[int] | None = None,
) -> Iterator[Step]:
    """Go through a loop, and say now and then how much is done.

    The time that is left is that of the steps so far, by their sizes; before the first is done nothing is
    said, and a loop that is over soon says nothing at all.

    Args:
        items: what to go through.
        what: what is counted, in the plural and for people, e.g. "permutations".
        clock: seconds; of another clock in tests.
        sizes: how much each step counts; 1 without them.
    """
    began = said = clock()
    ends = list(accumulate(sizes or [1] * len(items)))
    for done, item in zip(ends, items, strict=True):
        yield item
        now = clock()
        if done < ends[-1] and now - said >= EVERY:
            left = (now - began) / done * (ends[-1] - done)
            LOG.info(f"{done:,} of {ends[-1]:,} {what}, {duration(left)} left for the others")
            said = now


class Crowd:
    """How far jobs have come that divide people among them, and what time that leaves, by their logs.

    The jobs take about equally many: those that have not begun are counted as the others.
    """

    def __init__(self, jobs: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Count from now on; of another clock in tests."""
        self._jobs, self._clock, self._began = jobs, clock, clock()
        self._done: dict[int, int] = {}
        self._of: dict[int, int] = {}

    def heard(self, job: int, said: str) -> None:
        """Take what the log of a job said last."""
        if found := re.match(r"([\d,]+) of ([\d,]+) people", said):
            self._done[job], self._of[job] = (int(number.replace(",", "")) for number in found.groups())

    def ended(self, job: int) -> None:
        """Take note that a job has done all its people."""
        self._done[job] = self._of.get(job, 0)

    def __str__(self) -> str:
        """Return a sentence; empty before anybody is done."""
        done = sum(self._done.values())
        if not done:
            return ""
        total = max(round(sum(self._of.values()) / len(self._of) * self._jobs), done)
        left = (self._clock() - self._began) / done * (total - done)
        return f"{done:,} of about {total:,} people, {duration(left)} left"


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
