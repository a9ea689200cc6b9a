"""The text of a petition: a template that may choose words, and nothing else, rendered within limits."""

from __future__ import annotations

import re
import resource
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jinja2
import jinja2.sandbox

from nanotarget.study.problems import InputError, Problem

SECONDS = 1.0  # of CPU for one text, which takes a thousandth of it
MEGABYTES = 512  # beyond what the process has
LONGEST = 100_000  # letters
ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}>")  # of an object of Python, another one in each run


class _Environment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """Jinja2's sandbox without what is random and without products, which can outlast every limit."""

    intercepted_binops = frozenset(("*", "**"))

    def __init__(self) -> None:
        super().__init__(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=False)
        self.globals.pop("lipsum")
        self.filters.pop("random")

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        raise jinja2.sandbox.SecurityError(f"'{operator}' is not possible in a text")


def render(template: str, petitions: Sequence[Mapping[str, str]]) -> list[str]:
    """Write the texts of petitions.

    Args:
        template: Jinja2, in which ``petition['attribute name']`` is the level shown.
        petitions: attribute name -> level.

    Raises:
        InputError: if the template is malformed, names what does not exist, is random, needs too much time
            or memory, or a text is empty.
    """
    try:
        with _limited_memory():
            made = _Environment().from_string(template)
            return [_text(made, petition) for petition in petitions]
    except MemoryError:
        what = f"it needs more than {MEGABYTES} MB"
    except RecursionError:
        what = "it calls itself without end"
    except jinja2.TemplateError as error:
        what = str(error)
    except Exception as error:  # the sandbox evaluates a user's expression: any error in it is the user's
        what = f"{type(error).__name__}: {error}"
    names = ", ".join(petitions[0]) if petitions else ""
    raise InputError([unusable(what[:300], f"use only these attribute names: {names}")])


def unusable(what: str, remedy: str) -> Problem:
    """Return the problem of a template."""
    expected = "text with {{ petition['attribute name'] }} for a level"
    return Problem(
        "config", "key design.petition_text", f"the template cannot be used: {what}", expected, remedy
    )


def _text(template: jinja2.Template, petition: Mapping[str, str]) -> str:
    with _limited_time():
        return _checked(template.render(petition=petition))


def _checked(text: str) -> str:
    text = text.strip()
    if not text:
        raise ValueError("the text of a petition is empty")
    if len(text) > LONGEST:
        raise ValueError(f"the text of a petition has more than {LONGEST} letters")
    if ADDRESS.search(text):
        raise ValueError("it prints an object of Python, not a level")
    text.encode("utf-8")  # refuses half letters (surrogates)
    return text


@contextmanager
def _limited_memory() -> Iterator[None]:
    """Let the process grow by MEGABYTES, where the system tells how large it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    size = Path("/proc/self/statm")
    if size.is_file():
        limit = int(size.read_text("ascii").split()[0]) * resource.getpagesize() + MEGABYTES * 2**20
        if soft == resource.RLIM_INFINITY or limit < soft:
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def _limited_time() -> Iterator[None]:
    """Stop a block after SECONDS; only the main thread can be interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise TimeoutError(f"it takes more than {SECONDS:g} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
