"""The one reader of YAML: of a config, by the command and by the Snakefile, and of a pre-registration.

It reads less than YAML: what may mean something else than it seems to is refused with its place.
"""

from __future__ import annotations

import math
import re
import stat
import unicodedata
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

from nanotarget.study.problems import InputError, Problem

DEEPEST = 30  # levels of nesting; a study has seven
LARGEST = 5_000_000  # bytes of a file of text
# YAML 1.1 reads 010 as 8, 1:30 as 90 and 1_0 as 10.
WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
PLAIN_NUMBER = "is no plain number; write it in digits (at most 18), or in quotes if it is a text"


class _StrictLoader(yaml.SafeLoader):
    """YAML without anchors, tags, merge keys, repeated keys and texts that cannot be printed."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _refusal("anchors (&) and aliases (*) are not read; write the value out, in quotes", event)
        if event.tag is not None:
            raise _refusal("tags (!) are not read; write the text in quotes", event)
        self.depth += 1
        if self.depth > DEEPEST:
            raise _refusal(f"it is nested more than {DEEPEST} levels deep", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:  # an impossible date
            raise _refusal(str(error), node) from None

    def mapping(self, node: yaml.MappingNode) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _refusal("a key must be a text", key_node)
            if key_node.tag.endswith(":merge"):
                raise _refusal("merge keys (<<) are not read; write the keys out", key_node)
            key = self.construct_object(key_node)
            if key in made:
                raise _refusal(f"the key '{key}' is written twice", key_node)
            made[key] = self.construct_object(value_node, deep=True)
        return made

    def text(self, node: yaml.ScalarNode) -> str:
        for letter in node.value:
            if unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\n\t":
                raise _refusal(f"the character U+{ord(letter):04X} cannot be printed", node)
        return str(node.value)

    def whole(self, node: yaml.ScalarNode) -> int:
        if not WHOLE.fullmatch(node.value):
            raise _refusal(f"{node.value[:40]} {PLAIN_NUMBER}", node)
        return int(node.value)

    def decimal(self, node: yaml.ScalarNode) -> float:
        if not DECIMAL.fullmatch(node.value) or not math.isfinite(float(node.value)):
            raise _refusal(f"{node.value[:40]} {PLAIN_NUMBER}", node)
        return float(node.value)


def _refusal(problem: str, place: Any) -> ConstructorError:
    return ConstructorError(None, None, problem, place.start_mark)


_StrictLoader.add_constructor("tag:yaml.org,2002:value", _StrictLoader.text)  # a lone "="
for _kind in ("map", "str", "int", "float"):
    _read = {"map": "mapping", "str": "text", "int": "whole", "float": "decimal"}[_kind]
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", getattr(_StrictLoader, _read))


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
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
            raise OSError(None, "it is no regular file")
        if status.st_size > LARGEST:
            raise OSError(None, f"it has more than {LARGEST // 1_000_000} MB")
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            what = "it is not UTF-8 text"
            raise InputError(
                [Problem(source, "whole file", what, "a YAML file", "save it as UTF-8")]
            ) from None
        what = f"the file cannot be read ({getattr(error, 'strerror', error)})"
        raise InputError([Problem(source, "whole file", what, "a YAML file", remedy)]) from None


def parse_yaml(text: str, source: str) -> Any:
    """Parse YAML.

    Raises:
        InputError: if it is no YAML, or holds a key twice in one mapping.
    """
    try:
        return yaml.load(text, _StrictLoader)
    except ReaderError as error:  # knows no line
        before = text[: error.position]
        where = f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"
        what = f"it is not valid YAML: the character U+{ord(text[error.position]):04X} is not allowed"
        remedy = "remove it there; an editor that shows invisible characters helps"
        raise InputError([Problem(source, where, what, "text that can be printed", remedy)]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "whole file"
        what = f"it is not valid YAML: {getattr(error, 'problem', None) or error}"
        remedy = "correct that place; quote texts that hold ':' or '#'"
        raise InputError([Problem(source, where, what, "a mapping of keys to values", remedy)]) from None
