"""Errors for people: every problem of one input, each with its place, in one message."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nanotarget.study import progress

BARS = "NANOTARGET_BARS"  # set where progress bars fill the terminal, which lines of jobs would tear


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an input.

    Attributes:
        file: the file as the user named it (never an absolute path we made up).
        where: column, row or key, e.g. ``"column 'arm', row 17"`` or ``"key design.attributes[2].levels"``.
        what: what is wrong, in one sentence without a final full stop.
        expected: what was expected instead.
        remedy: what to do about it.
    """

    file: str
    where: str
    what: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.file}: {self.where}: {self.what}.\n"
            f"    expected: {self.expected}\n"
            f"    what to do: {self.remedy}"
        )


class InputError(Exception):
    """A user's input cannot be used. Carries all its problems; printed without a traceback."""

    def __init__(self, problems: Iterable[Problem]):
        self.problems = tuple(problems)
        super().__init__(self.message())

    def message(self) -> str:
        """Return the whole message: a count, then every problem on lines of its own."""
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''} found; nothing was written."
        return "\n".join([head, *(f"{i}. {p}" for i, p in enumerate(self.problems, 1))])


def raise_if_any(problems: Iterable[Problem]) -> None:
    """Raise one `InputError` that holds all problems, or do nothing when there are none."""
    collected = list(problems)
    if collected:
        raise InputError(collected)


def listed(values: Iterable[object], limit: int = 8) -> str:
    """Write values for a message: quoted, comma-separated, at most `limit` of them."""
    items = [f"'{shortened(v)}'" if isinstance(v, str) else str(v) for v in values]
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def shortened(text: str, length: int = 60) -> str:
    """Write a text of a file for a message: on one line, cut where it is long."""
    line = " ".join(text.splitlines())
    return line if len(line) <= length else line[: length - 3] + "..."


def counted(n: int, noun: str) -> str:
    """Write a number with its noun: "1 row", "2 rows"."""
    return f"{n} {noun}{'s' if n != 1 else ''}"


def placed(rows: Iterable[object], limit: int = 8) -> str:
    """Write row numbers for a message: "row 17" or "rows 3, 7 and 12 more"."""
    numbers = list(rows)
    return f"row{'s' if len(numbers) != 1 else ''} {listed(numbers, limit)}"


@contextmanager
def collecting(problems: list[Problem]) -> Iterator[None]:
    """Add the problems of an `InputError` raised in the block to a list and go on after it."""
    try:
        yield
    except InputError as error:
        problems.extend(error.problems)


@contextmanager
def reporting(log: str | Path) -> Iterator[None]:
    """Run a script's work so that its messages reach both the log file and the person.

    Python's `logging` and its warnings go to the log file, progress goes to stderr, too. An `InputError`
    is written to the log and to stderr, without a traceback, and ends the script with exit code 1. Any other
    exception is a bug of ours: its traceback goes to the log and, as usual, to stderr.

    Args:
        log: the rule's log file, e.g. ``snakemake.log[0]``; what it held before is lost.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(log, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    terminal = logging.StreamHandler()
    terminal.setFormatter(logging.Formatter(f"{Path(log).as_posix()}: %(message)s"))
    if BARS not in os.environ:
        progress.LOG.addHandler(terminal)
    try:
        yield
    except InputError as error:
        logging.getLogger("nanotarget").error(error.message())
        print(error.message(), file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except Exception:
        logging.getLogger("nanotarget").exception("the script failed")
        raise
    finally:
        logging.captureWarnings(False)
        root.setLevel(level)
        root.removeHandler(handler)
        progress.LOG.removeHandler(terminal)
        handler.close()
