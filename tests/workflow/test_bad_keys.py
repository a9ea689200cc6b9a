"""Every key of the config with what must not stand there: refused with its place, what is wrong, a remedy.

The kinds of fault follow from what the schema says of a key: another type, a number that is none or outside
its limits, an option that does not exist, a text too short or too long, an entry twice or too few, a key that
nobody knows or that is missing. What contradicts another key, and what is wrong in a file, stands in
`test_bad_input.py`.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nanotarget.study.checks import validate
from nanotarget.study.config import Study
from nanotarget.study.problems import InputError
from tiny_study import await_fielding, tiny_study

SCHEMA = Study.model_json_schema()
LONG = "x" * 1001
Path_ = tuple[str | int, ...]


def options(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a node of the schema may be: references followed, alternatives apart."""
    if "$ref" in node:
        return options(SCHEMA["$defs"][node["$ref"].rsplit("/", 1)[1]])
    if "anyOf" in node:
        return [option for part in node["anyOf"] for option in options(part)]
    return [node]


def types(node: dict[str, Any]) -> set[str]:
    kinds = (option.get("type", "string") for option in options(node))
    return {name for kind in kinds for name in (kind if isinstance(kind, list) else [kind])}


def keys(node: dict[str, Any], path: Path_ = ()) -> Iterator[tuple[Path_, dict[str, Any]]]:
    """Yield the path and the node of every key, and of the first entry of every list."""
    inner: dict[str | int, Any] = {}
    for option in options(node):
        inner |= option.get("properties", {})
    if entries := [option["items"] for option in options(node) if option.get("type") == "array"]:
        inner[0] = {"anyOf": entries} if len(entries) > 1 else entries[0]
    for key, below in inner.items():
        yield (*path, key), below
        yield from keys(below, (*path, key))


def faults(node: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what must not stand at a key, each with its name."""
    known = types(node)
    numeric = known & {"integer", "number"}
    if "string" not in known:
        yield "a text", "many"
    elif not numeric:
        yield "a number", 7
        yield "yes without quotes", True
    if numeric:
        yield "true", True
        yield "not a number", float("nan")
        yield "infinite", float("inf")
    if "integer" in known:
        yield "a fraction", 2.5
    if "array" not in known:
        yield "a list", ["a", "b"]
    if "object" not in known:
        yield "a mapping", {"a": 1}
    if "null" not in known:
        yield "nothing", None
    if len(options(node)) == 1 or (len(options(node)) == 2 and "null" in known):
        yield from limits(options(node)[0])


def limits(node: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what is of the right type and yet wrong."""
    if "enum" in node:
        yield "an option that does not exist", "nonsense"
        yield "an option in other letters", node["enum"][0].swapcase()
    if node.get("type") in ("integer", "number"):
        for name, far in (("minimum", -1), ("exclusiveMinimum", 0), ("maximum", 1), ("exclusiveMaximum", 0)):
            if name in node:
                yield f"beyond its {name}", node[name] + far
        if node["type"] == "number" and not {"maximum", "exclusiveMaximum"} & set(node):
            yield "a huge number", 1e300
    if isinstance(node.get("type"), list):
        yield "too long a text", LONG
    if "maxLength" in node:
        yield "too long a text", "x" * (node["maxLength"] + 1)
    if node.get("minLength") == 1:
        yield "an empty text", ""
    if node.get("type") == "array":
        if node.get("minItems"):
            yield "too few entries", []
        if "maxItems" in node:
            yield "too many entries", [1, 2, 3]
        if node.get("uniqueItems") and "string" in types(node["items"]):
            first = options(node["items"])[0].get("enum", ["a"])[0]
            yield "an entry twice", [first, first, "b"]
    if "properties" in node:
        yield "a key that nobody knows", {"speling": 1}


FIELDED, AWAITING = tiny_study(), tiny_study()
await_fielding(AWAITING)


def base(path: Path_) -> dict[str, Any]:
    """Return a good config that has the sections of a key."""
    return copy.deepcopy((AWAITING if path[0] == "roster" else FIELDED).config)


def put(config: dict[str, Any], path: Path_, value: Any) -> None:
    """Write a value to a place, making the sections and lists that lead there."""
    here: Any = config
    for step, following in itertools.pairwise(path):
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(step, int):
            if not here:
                here.append(empty)
        elif not isinstance(here.get(step), dict | list):
            here[step] = empty
        here = here[step]
    if isinstance(path[-1], int) and not here:
        here.append(value)
    else:
        here[path[-1]] = value


def written(path: Path_) -> str:
    """Write a path as messages do."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


CASES = [(path, name, value) for path, node in keys(SCHEMA) for name, value in faults(node)]
REQUIRED = [
    (path, key)
    for path, node in [((), SCHEMA), *keys(SCHEMA)]
    for option in options(node)
    for key in option.get("required", [])
    if path != ("calibration", "outcomes")
]


def refused(config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the message with which a config is refused: quickly, and without a file left behind."""
    monkeypatch.chdir(tmp_path)
    began = time.process_time()
    with pytest.raises(InputError) as error:
        validate(config, "study.yaml")
    assert time.process_time() - began < 3
    assert not list(tmp_path.iterdir())
    message = str(error.value)
    assert "expected: " in message and "what to do: " in message and "Traceback" not in message
    return message


def test_there_are_hundreds() -> None:
    assert len({(path, name) for path, name, _ in CASES}) + len(REQUIRED) > 900
    assert len({name for _, name, _ in CASES}) >= 20


@pytest.mark.parametrize("path", dict.fromkeys(path for path, *_ in CASES), ids=written)
def test_what_must_not_stand_at_a_key(path: Path_, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for at, name, value in CASES:
        if at == path:
            config = base(path)
            put(config, path, value)
            message = refused(config, tmp_path, monkeypatch)
            assert f"study.yaml: key {written(path)}" in message, (name, message)


@pytest.mark.parametrize(("path", "key"), REQUIRED, ids=lambda part: written(part) if part else "")
def test_a_key_that_is_missing(
    path: Path_, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = base((*path, key))
    put(config, (*path, key), None)
    here: Any = config
    for step in path:
        here = here[step]
    del here[key]
    message = refused(config, tmp_path, monkeypatch)
    assert f"the key '{key}' is missing" in message
    assert f"add '{key}:' there" in message
