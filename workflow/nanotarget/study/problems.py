"""Errors for people: every problem of one input, each with its place, in one message."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nanotarget.study import progress

# Set where a command shows what the logs of its jobs say: "bars" fill the terminal, which lines of jobs would
# tear; among "lines" there is room for progress.
SHOWN = "NANOTARGET_SHOWN"
SPACE = "free space, or work in another folder; what was finished is kept, and the same command goes on"
RIGHTS = "work in a folder where you may write, or ask for the right to"
# What the computer refuses, and what a person can do about it.
REFUSED = {
    errno.ENOSPC: ("the disk is full", "room for results", SPACE),
    errno.EDQUOT: ("your quota of the disk is used up", "room for results", SPACE),
    errno.EFBIG: ("it would be larger than files may be here", "room for results", SPACE),
    errno.EROFS: ("the disk can only be read", "a folder that can be written to", RIGHTS),
    errno.EACCES: ("it must not be read or written by you", "the right to do so", RIGHTS),
    errno.EPERM: ("it must not be read or written by you", "the right to do so", RIGHTS),
    errno.EEXIST: ("a file stands where a folder is needed", "a folder", "rename or move that file"),
    errno.ENOTDIR: ("a file stands where a folder is needed", "a folder", "rename or move that file"),
    errno.EISDIR: ("a folder stands where a file is needed", "a file", "rename or move that folder"),
    errno.EMFILE: ("too many files are open", "room for open files", "use fewer --cores"),
}
FAULT = "This is a fault of nanotarget, not of your input"


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


def refused(error: BaseException) -> Problem | None:
    """Return the problem of what the computer refuses: a full disk, a missing right, no memory; else None."""
    if isinstance(error, MemoryError):
        return Problem(
            "memory",
            "this run",
            "there is not enough of it",
            "room for the study's data and models",
            "close other programs, use a larger machine, or ask for less (fewer draws, folds or covariates)",
        )
    if not isinstance(error, OSError) or error.errno not in REFUSED:
        return None
    what, expected, remedy = REFUSED[error.errno]
    name = "the study's folder" if error.filename is None else os.path.relpath(error.filename)
    return Problem(name, "reading or writing", what, expected, remedy)


@contextmanager
def reporting(log: str | Path) -> Iterator[None]:
    """Run a script's work so that its messages reach both the log file and the person.

    Python's `logging` and its warnings go to the log file, progress goes to stderr, too. An `InputError`, or
    what the computer refuses, is written to the log without a traceback and ends the script with exit code 1.
    Any other exception is a bug of ours: its traceback goes to the log. stderr gets the same, unless a
    command shows what the log says (environment variable `SHOWN`).

    Args:
        log: the rule's log file, e.g. ``snakemake.log[0]``; what it held before is lost.
    """
    shown = os.environ.get(SHOWN)
    root, speaker = logging.getLogger(), logging.getLogger("nanotarget")
    with _logging_to(log, root, terminal=shown != "bars"):
        try:
            yield
        except Exception as error:
            message = str(error if isinstance(error, InputError) else refused(error) or "")
            if message:
                speaker.error(message)
                if not shown or message not in told(Path(log)):  # a full disk takes no log
                    print(message, file=sys.stderr)  # noqa: T201
                sys.exit(1)
            name = Path(log).as_posix()
            speaker.error(f"{FAULT}. Please report it with {name}. {type(error).__name__}: {error}")
            speaker.info("where it happened:", exc_info=True)
            if shown:
                sys.exit(1)
            raise


@contextmanager
def _logging_to(log: str | Path, root: logging.Logger, terminal: bool) -> Iterator[None]:
    """Send messages and warnings to a file, and progress to stderr, too, where asked for."""
    try:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        handler: logging.Handler = logging.FileHandler(log, mode="w", encoding="utf-8")
    except OSError:  # nothing can be written: what is to be said goes to stderr alone
        handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    level, loud = root.level, logging.raiseExceptions
    logging.raiseExceptions = False  # a log that cannot be written is no traceback of its own
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    lines = logging.StreamHandler()
    lines.setFormatter(logging.Formatter(f"{Path(log).as_posix()}: %(message)s"))
    if terminal:
        progress.LOG.addHandler(lines)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.setLevel(level)
        root.removeHandler(handler)
        progress.LOG.removeHandler(lines)
        logging.raiseExceptions = loud
        with suppress(OSError):
            handler.close()


def told(log: Path) -> list[str]:
    """Return the errors that `reporting` wrote into a rule's log, as a person should read them."""
    try:
        text = log.read_text("utf-8", "replace")
    except OSError:
        return []
    entries = re.split(r"^(?=(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) [\w.]+: )", text, flags=re.MULTILINE)
    head = "ERROR nanotarget: "
    return [entry.removeprefix(head).rstrip() for entry in entries if entry.startswith(head)]
