"""What a value that does not fit a model means for people: pydantic's errors as problems."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from nanotarget.study.fields import LARGEST, NAME, SHA256, Section
from nanotarget.study.problems import InputError, Problem, listed

S = TypeVar("S", bound=Section)

WANTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a number",
    "float_type": "a number",
    "int_type": "a whole number",
    "level_type": "text or a number",
    "list_type": "a list",
    "model_type": "a mapping",
    "string_type": "text",
}
PATTERNS = {
    NAME: "lower-case letters, digits and _ (at most 64), beginning with a letter",
    SHA256: "a SHA-256: 64 digits and letters from a to f",
}
BOUNDS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "string_too_long": "a text of at most {max_length} letters",
    "string_too_short": "a text of at least {min_length} letters",
    "too_long": "a list of at most {max_length}",
    "too_short": "a list of at least {min_length}",
}


def validated(kind: type[S], raw: Mapping[str, Any], source: str) -> S:
    """Make a model of what a file says.

    Args:
        kind: the model.
        raw: what YAML (or Snakemake) made of the file.
        source: name of the file for messages.

    Raises:
        InputError: with every value that does not fit.
    """
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        found = _of_one_alternative(kind, error.errors(include_url=False))
        details = sorted(found, key=lambda e: [str(step) for step in e["loc"]])
        raise InputError(dict.fromkeys(_problem(kind, detail, source) for detail in details)) from None


def _of_one_alternative(kind: type[Section], errors: Sequence[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Yield errors with the path that people wrote; of a text or a list only what is said of what is there.

    pydantic tries each alternative, names it in the path, and says of all that they do not fit.
    """
    told: dict[tuple[int | str, ...], list[ErrorDetails]] = {}
    for error in errors:
        loc = error["loc"]
        error["loc"] = _without_alternatives(kind, loc)
        if error["loc"] == loc:
            yield error
        else:
            same = next((i for i, step in enumerate(error["loc"]) if step != loc[i]), len(error["loc"]))
            told.setdefault(loc[:same], []).append(error)
    for place, tried in told.items():
        deeper = [error for error in tried if len(error["loc"]) > len(place)]
        if deeper or len({error["type"] for error in tried}) == 1:
            yield from deeper or tried
        else:
            wanted = " or ".join(dict.fromkeys(WANTED.get(error["type"], "another value") for error in tried))
            tried[0] |= {"type": "several_types", "ctx": {"wanted": wanted}}
            yield tried[0]


def _without_alternatives(kind: type[Section], path: Sequence[str | int]) -> tuple[str | int, ...]:
    """Return a path without the names of alternatives that pydantic puts into it."""
    kept: list[str | int] = []
    for step in path:
        parts = _parts(_place(kind, kept)[0]) if kept else [kind]
        named = isinstance(step, int) or any(
            typing.get_origin(part) is dict or (isinstance(part, type) and issubclass(part, Section))
            for part in parts
        )
        kept += [step] if named or step == "[key]" else []
    return tuple(kept)


def key_of(path: Sequence[str | int]) -> str:
    """Write the path of a key as people read it: ``design.attributes[2].levels``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text or "top level"


def _problem(kind: type[Section], error: ErrorDetails, source: str) -> Problem:
    """Say what pydantic's `error` means; its place follows from the path of the value."""
    name, value, details = error["type"], error["input"], error.get("ctx", {})
    path = [step for step in error["loc"] if step != "[key]"]
    if name in ("extra_forbidden", "invalid_key"):
        return _unknown(_place(kind, path[:-1])[0], path, source)
    annotation, about = _place(kind, path)
    if name == "missing":
        remedy = f"add '{path[-1]}:' there"
        return Problem(source, _key(path[:-1]), f"the key '{path[-1]}' is missing", about, remedy)
    wrong, expected = f"{_shown(value)} does not fit", name
    if name == "several_types":
        wrong, expected = f"{_shown(value)} is not {details['wanted']}", str(details["wanted"])
    elif name in WANTED:
        expected = WANTED[name] + (" or nothing" if type(None) in typing.get_args(annotation) else "")
        wrong = f"{_shown(value)} is not {WANTED[name]}"
        if isinstance(value, bool):
            about = f'write "Yes", "No", "on" or "off" in quotes, or YAML reads true or false. {about}'
    elif name == "literal_error":
        wrong, expected = f"{_shown(value)} is not allowed", f"one of {listed(_options(annotation))}"
        about = f"choose one of them. {about}"
    elif name == "blank" or (name == "string_too_short" and not value):
        wrong, expected = f"{_shown(value)} shows nothing", "a text that can be seen"
    elif name == "repeated":
        wrong, expected = f"listed twice: {listed(details['twice'])}", "every value once"
        about = "remove the repetition"
    elif name == "string_pattern_mismatch":
        wrong = f"{_shown(value)} is not allowed"
        expected = PATTERNS[details["pattern"]]
    elif name == "file_name":
        wrong, expected = f"{_shown(value)} cannot be a file here", details["expected"]
        about = f"rename the file and correct the key. {about}"
    elif name == "too_large":
        wrong, expected = f"{_shown(value)} is too large", f"a number between -{LARGEST:g} and {LARGEST:g}"
    elif details.get("field_type") == "Dictionary":
        expected = f"at least so many entries: {details['min_length']}"
    elif name in BOUNDS:
        expected = BOUNDS[name].format(**details)
    return Problem(source, _key(path), wrong, expected, about)


# Keys of earlier versions: what says the same now.
REPLACED = {
    "opt_out": "write 'consent' with the values that mean yes: any other answer, or none, is a refusal"
}


def _unknown(section: Any, path: Sequence[str | int], source: str) -> Problem:
    """Name the keys that are known where an unknown one stands, and the one that is most like it."""
    known, key = list(_fields(section)), path[-1]
    close = difflib.get_close_matches(str(key), known, n=1)
    remedy = f"write '{close[0]}'" if close else "remove it or correct its name"
    remedy = REPLACED.get(str(key), remedy)
    return Problem(source, _key(path), f"unknown key '{key}'", f"one of {listed(known, 40)}", remedy)


def _key(path: Sequence[str | int]) -> str:
    return f"key {key_of(path)}"


def _place(kind: type[Section], path: Sequence[str | int]) -> tuple[Any, str]:
    """Return what may stand at the end of a path, and the meaning of the last key on it that has one."""
    place: Any = kind
    about = ""
    for step in path:
        fields = _fields(place)
        if isinstance(step, str) and step in fields:
            place, about = fields[step].annotation, fields[step].description or about
        elif not fields:  # an entry of a list or of a mapping
            inner = [part for part in _parts(place) if part is not type(None)]
            place = typing.get_args(inner[0])[-1] if inner and typing.get_args(inner[0]) else None
    return place, about


def _parts(annotation: Any) -> list[Any]:
    """Return the alternatives of an annotation, without what is annotated about them."""
    if hasattr(annotation, "__metadata__"):
        return _parts(annotation.__origin__)
    if typing.get_origin(annotation) in (list, dict, typing.Literal) or isinstance(annotation, type):
        return [annotation]
    return [part for option in typing.get_args(annotation) for part in _parts(option)]


def _fields(annotation: Any) -> dict[str, FieldInfo]:
    for part in _parts(annotation):
        if isinstance(part, type) and issubclass(part, Section):
            return part.model_fields
    return {}


def _options(annotation: Any) -> Iterator[Any]:
    for part in _parts(annotation):
        if typing.get_origin(part) is typing.Literal:
            yield from typing.get_args(part)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "an empty value" if value is None else str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
