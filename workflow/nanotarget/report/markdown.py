"""Texts in Markdown from templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2


def filled(template: str, facts: Mapping[str, Any]) -> str:
    """Fill a template; what a branch leaves empty is no second empty line, and no space at the end of one."""
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False
    )
    environment.filters["cell"] = lambda text: " ".join(str(text).split()).replace("|", "\\|")
    lines = [line.rstrip() for line in environment.from_string(template).render(facts).splitlines()]
    kept = [line for k, line in enumerate(lines) if line or (k and lines[k - 1])]
    return "\n".join([*kept, ""])
