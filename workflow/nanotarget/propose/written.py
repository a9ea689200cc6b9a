"""A proposal as a commented config file; `proposal.yaml.j2` is its text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
import yaml

from nanotarget.clean.cells import NUMBER
from nanotarget.propose.study import Proposal

NAMES = frozenset(  # keys of texts
    {
        *("name", "column", "columns", "label", "step", "cluster", "blocks"),
        *("file", "version", "version_shown", "task", "profile"),
    }
)
TEMPLATE = Path(__file__).with_name("proposal.yaml.j2")


def write_config(proposal: Proposal, study: str) -> str:
    """Write the config of a proposal.

    Args:
        proposal: what the files look like.
        study: name of the study, as the schema wants it.

    Returns:
        YAML text; every guess has a comment with its reason.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # it writes YAML, whose values the filter makes safe
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"yaml": flow, "named": named, "remark": remark, "quoted": repr}
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(proposal=proposal, conjoint=proposal.conjoint, trial=proposal.trial, study=study)


def study_name(text: str) -> str:
    """Make a name of a study, as the schema wants it, from the name of a file."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return (name if name[:1].isalpha() else f"study_{name}".rstrip("_"))[:64]


def scalar(value: Any) -> str:
    """Write a level on one line, so that YAML reads the same text or number again."""
    if isinstance(value, float):
        value = int(value) if value.is_integer() else value
    if isinstance(value, str) and NUMBER.fullmatch(value) and value == _plain(value):
        return value
    return text(value)


def text(value: Any) -> str:
    """Write a value on one line, so that YAML reads a text, such as the name of a column, as a text."""
    return yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=10**9).strip()[1:-1]


def _plain(text: str) -> str:
    """Write the number of a text as YAML would print it; a text such as "007" differs from that."""
    number = float(text)
    return str(int(number)) if number.is_integer() and "." not in text else repr(number)


def flow(value: Any, level: bool = True) -> str:
    """Write lists and mappings on one line.

    Args:
        value: what to write.
        level: may a text that is a number be read as one, as levels may and names may not?
    """
    if isinstance(value, dict):
        entries = (f"{text(key)}: {flow(entry, key not in NAMES)}" for key, entry in value.items())
        return "{" + ", ".join(entries) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(entry, level) for entry in value) + "]"
    return scalar(value) if level or isinstance(value, float) else text(value)


def named(value: Any) -> str:
    """Write names of columns and the like: texts stay texts."""
    return flow(value, level=False)


def remark(text: str) -> str:
    """Make a text fit for a comment: on one line, without what YAML forbids even there."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
