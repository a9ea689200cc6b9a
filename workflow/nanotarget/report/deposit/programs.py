"""Which rule and script, in which line, made an artefact; which function draws an exhibit."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from nanotarget.report.catalogue import CATALOGUE, Exhibit

RULE = re.compile(r"^ *rule(?: (\w+))?:$")
SCRIPT = re.compile(r'^ *"\.\./scripts/(\w+\.py)"$')
SEPARATE = ("figures", "tables")


@dataclass(frozen=True)
class Program:
    """A rule of the workflow: its place in a file of rules, and the script that it runs."""

    rule: str
    file: str
    line: int
    script: str


def programs(project: Path, rules: Iterable[str]) -> dict[str, Program]:
    """Find rules in the files of rules; those whose names are data are made by the one without a name.

    Args:
        project: its folder.
        rules: their names.

    Raises:
        KeyError: if one is in no file.
    """
    found: dict[str, Program] = {}
    for path in sorted((project / "workflow" / "rules").glob("*.smk")):
        started = ("", 0)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if match := RULE.match(line):
                started = (match[1] or "", number)
            elif match := SCRIPT.match(line):
                script = f"workflow/scripts/{match[1]}"
                found[started[0]] = Program(started[0], f"workflow/rules/{path.name}", started[1], script)
    return {
        rule: found[rule] if rule in found else Program(rule, *_unnamed(found)) for rule in sorted(set(rules))
    }


def _unnamed(found: Mapping[str, Program]) -> tuple[str, int, str]:
    made = found[""]
    return made.file, made.line, made.script


@dataclass(frozen=True)
class Shown:
    """An exhibit of the study: its file below the results, its title, its rule, and who draws it where."""

    file: str
    title: str
    program: Program
    function: str


def exhibits(project: Path, manifest: Mapping[str, Any], known: Mapping[str, Program]) -> list[Shown]:
    """List the figures and tables of a manifest with their programs.

    Args:
        project: its folder.
        manifest: of the study.
        known: programs of its rules.
    """
    catalogue = {(str(exhibit.kind), exhibit.name): exhibit for exhibit in CATALOGUE}
    listed = []
    for row in manifest["artefacts"]:
        path = PurePath(row["path"])
        if path.parent.as_posix() in SEPARATE and path.suffix == ".csv":
            exhibit = catalogue.get((path.parent.name, path.stem))
            title = path.stem if exhibit is None else exhibit.caption
            place = "" if exhibit is None else drawn_at(project, exhibit)
            listed.append(Shown(path.as_posix(), title, known[row["rule"]], place))
    return listed


def drawn_at(project: Path, exhibit: Exhibit) -> str:
    """Return file and line of the function that draws an exhibit."""
    file = PurePath("workflow", *exhibit.module.split(".")).with_suffix(".py")
    tree = ast.parse((project / file).read_text("utf-8"))
    lines = [n.lineno for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == exhibit.name]
    return f"{file.as_posix()}:{lines[0]}" if lines else file.as_posix()
