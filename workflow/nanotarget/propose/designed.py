"""A conjoint survey in two files: who answered what, and which petitions each version showed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanotarget.propose.columns import Column, RawFile, words
from nanotarget.propose.conjoint import find_answers
from nanotarget.propose.families import Attributes, Family
from nanotarget.propose.measured import GuessedConjoint, Measured, absent_pairs, describe_attributes
from nanotarget.propose.numbering import Numbering, find_numbering, groups
from nanotarget.propose.people import respondent_column
from nanotarget.study.config import normalised

VERSION_WORDS = words("version block set questionset cbcversion form blocknumber")


@dataclass(frozen=True)
class Listed:
    """A file that lists petitions: by version (None if all saw the same), task and profile."""

    file: RawFile
    version: Column | None
    numbering: Numbering
    shown: Measured


def find_designed(files: Sequence[RawFile]) -> tuple[RawFile, RawFile, GuessedConjoint] | None:
    """Find answers, the design that they belong to, and the survey that both are."""
    for answers, listing in itertools.permutations(files, 2):
        for listed in _listings(listing):
            if found := _answered(answers, listed):
                return answers, listing, found
    return None


def _listings(file: RawFile) -> list[Listed]:
    """Read a file as a design: version, task and profile tell its rows apart; by each possible version."""
    found = []
    versions = [c for c in file.columns.values() if c.named(VERSION_WORDS) and not c.n_missing]
    for version in (*versions, None):
        unit = version.values if version else np.zeros(len(file.raw), dtype=np.int64)
        columns = {name: column for name, column in file.columns.items() if column is not version}
        numbering = find_numbering(columns, unit)
        if numbering.number is None or not numbering.profile or numbering.task == numbering.profile:
            continue
        number = columns[str(numbering.task)]
        profile = columns[numbering.profile]
        if np.bincount(groups(unit, number.values, profile.values)).max() > 1:
            continue
        rest = {n: c for n, c in columns.items() if n not in (numbering.task, numbering.profile)}
        found.append(Listed(file, version, numbering, Measured(unit, groups(unit, number.values), rest)))
    return found


def _answered(file: RawFile, listed: Listed) -> GuessedConjoint | None:
    """Find the answers to a design in a file with a row a respondent; None if there are none."""
    respondent = respondent_column(file)
    version = _version_of(file, listed.version) if listed.version else None
    if respondent is None or (listed.version and version is None):
        return None
    task, profile = (
        listed.file.columns[str(name)] for name in (listed.numbering.task, listed.numbering.profile)
    )
    names = (_numbers(task), _numbers(profile))
    family = Family("", "", "", False, *names, {})
    answers = find_answers(file, Attributes("", {"": family}, "", {}))
    attributes, unused = describe_attributes(listed.shown, (), {})
    if not answers.outcomes or len(attributes) < 2:
        return None
    where: dict[str, Any] = {"file": listed.file.path}
    if listed.file.header_rows > 1:
        where["header_rows"] = listed.file.header_rows
    if listed.version and version:
        where["version"] = listed.version.name
        if version.name != listed.version.name:
            where["version_shown"] = version.name
    where |= {"task": task.name, "profile": profile.name}
    settings: dict[str, tuple[Any, str]] = {
        "layout": ("wide", "a row is a respondent; the names of its columns tell tasks"),
        "tasks": (len(family.tasks), f"so many are in '{task.name}' of {listed.file.path}"),
        "profiles": (len(family.profiles), f"so many are in '{profile.name}' of {listed.file.path}"),
        "shown": (where, "version, task and profile tell the rows of this file apart"),
    }
    taken = frozenset(answers.columns | ({version.name} if version else set()))
    first = min(file.columns[name].position for name in answers.columns)
    never = absent_pairs(attributes, listed.shown.columns)
    return GuessedConjoint(
        respondent, settings, answers.outcomes, attributes, never, taken, unused, first, answers.questions
    )


def _version_of(file: RawFile, version: Column) -> Column | None:
    """Find the column with the version that each respondent saw."""
    known = set(map(normalised, version.counts))
    candidates = [
        (column.named(VERSION_WORDS), column.n_values, -column.position, column)
        for column in file.columns.values()
        if not column.n_missing and set(map(normalised, column.counts)) <= known and column.n_values > 1
    ]
    return max(candidates, key=lambda found: found[:3])[3] if candidates else None


def _numbers(column: Column) -> tuple[str, ...]:
    """Return the numbers of tasks or profiles, as columns of answers name them."""
    return tuple(sorted(column.counts, key=lambda text: (len(text), text)))
