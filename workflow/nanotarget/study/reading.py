"""The one reader of YAML: of a config, by the command and by the Snakefile, and of a pre-registration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from nanotarget.study.problems import InputError, Problem


class _StrictLoader(yaml.SafeLoader):
    """YAML that refuses a key written twice, where the plain loader silently takes the last."""


def _mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: list[Any] = []
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            problem = f"the key '{key}' is written twice"
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        seen.append(key)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_text(path: str | Path, source: str, remedy: str) -> str:
    """Read a file of text.

    Args:
        path: of the file.
        source: its name for messages.
        remedy: what to do if there is no such file.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        what = f"the file cannot be read ({error.strerror})"
        raise InputError([Problem(source, "whole file", what, "a YAML file", remedy)]) from None
    except UnicodeDecodeError:
        what = "it is not UTF-8 text"
        raise InputError([Problem(source, "whole file", what, "a YAML file", "save it as UTF-8")]) from None


def parse_yaml(text: str, source: str) -> Any:
    """Parse YAML.

    Raises:
        InputError: if it is no YAML, or holds a key twice in one mapping.
    """
    try:
        return yaml.load(text, _StrictLoader)
    except (yaml.YAMLError, ValueError) as error:  # an impossible date is a ValueError
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "whole file"
        what = f"it is not valid YAML: {getattr(error, 'problem', None) or error}"
        remedy = "correct that place; quote texts that hold ':' or '#'"
        raise InputError([Problem(source, where, what, "a mapping of keys to values", remedy)]) from None
