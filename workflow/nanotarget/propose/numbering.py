"""Columns of a long conjoint survey that number tasks, profiles or rows, in whatever way."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanotarget.propose.columns import Column
from nanotarget.propose.families import CHOICE_WORDS, MAX_PROFILES, PROFILE_WORDS, TASK_WORDS

BOTH = re.compile(r"\D*(\d+)\D+(\d+)\D*")  # the numbers of task and profile in one cell, as in "1x2"
NEARLY = 0.98  # share of groups that makes a rule; a random attribute is far below it
MAX_TASKS = 100


@dataclass(frozen=True)
class Numbering:
    """Where the file says which task and profile a row is.

    Attributes:
        task, profile: columns, or None; the same column where its cells hold both numbers.
        number: (n,) task of each row within its person; None if no column says it.
        largest: number of the last task.
        reason: how tasks were told apart.
    """

    task: str | None
    profile: str | None
    number: np.ndarray | None
    largest: int
    reason: str


def groups(*parts: np.ndarray) -> np.ndarray:
    """Number the distinct combinations of non-negative indices, in any order."""
    key = np.zeros(len(parts[0]), dtype=np.int64)
    for part in parts:
        key = pd.factorize(key * (int(part.max(initial=0)) + 1) + part)[0]
    return key


def find_numbering(varying: Mapping[str, Column], person: np.ndarray) -> Numbering:
    """Find the columns that number tasks and profiles: together they tell the rows of a person apart."""
    if both := next((column for column in varying.values() if _holds_both(column, person)), None):
        number = pd.factorize(both.texts.str.extract(BOTH, expand=True)[0].astype(int), sort=True)[0]
        return Numbering(
            both.name, both.name, number, int(number.max()) + 1, "its cells hold the numbers of both"
        )
    counting = {name: column for name, column in varying.items() if _numbers(column, person)}
    candidates = []
    answers = [column for column in counting.values() if _answers(column, varying)]
    for task, profile in itertools.permutations(counting.values(), 2):
        if profile in answers:
            continue
        n_profiles, by_name = profile.n_values, task.named(TASK_WORDS)
        if n_profiles > MAX_PROFILES or (n_profiles > task.n_values and not by_name):
            continue
        if np.bincount(groups(person, task.values, profile.values)).max() == 1:
            spoken = profile.named(PROFILE_WORDS) - profile.named(CHOICE_WORDS)
            candidates.append(((by_name, spoken, counts_from_1(profile), -n_profiles), task, profile.name))
    if candidates:
        _, found, by = max(candidates, key=lambda candidate: candidate[0])
        return Numbering(found.name, by, found.values, _largest(found, person), _reason(found))
    named = next((column for column in counting.values() if column.named(TASK_WORDS)), None)
    if named:
        return Numbering(named.name, None, named.values, _largest(named, person), _reason(named))
    return Numbering(None, None, None, 0, "no column numbers them")


def find_tasks(columns: Mapping[str, Column], person: np.ndarray) -> Column | None:
    """Find the column that tells the rows of a person apart where each row is a task."""
    telling = [
        column
        for column in columns.values()
        if not column.n_missing
        and (counts_from_1(column) or column.named(TASK_WORDS))
        and np.bincount(groups(person, column.values)).max() == 1
    ]
    return max(telling, key=lambda column: (column.named(TASK_WORDS), -column.n_values), default=None)


def numbers_rows(column: Column, person: np.ndarray, task: np.ndarray, profiles: int) -> str:
    """Say what a column numbers: tasks, profiles or rows; "" if it may be an attribute."""
    values = column.values
    if (values < 0).any():
        return ""
    n_tasks, n_people = int(task.max()) + 1, int(person.max()) + 1
    pairs = int(groups(task, values).max()) + 1  # values of each task, added up
    if profiles > 1 and column.n_values == profiles and pairs >= NEARLY * len(values):
        return "each of its values occurs once in every task, so it numbers profiles"
    per_person = int(groups(person, values).max()) + 1
    if n_tasks >= 2 * n_people and profiles > 1 and pairs == n_tasks and per_person >= NEARLY * n_tasks:
        return "the same within a task and different between the tasks of a person, so it numbers tasks"
    if len(values) >= 4 * n_people and per_person >= NEARLY * len(values):
        return "different in every row of a person, so it numbers rows"
    return ""


def _holds_both(column: Column, person: np.ndarray) -> bool:
    """Does every row of a person have another text of two numbers, such as "1x2", and one of few?"""
    if column.numbers is not None or not 4 <= column.n_values <= MAX_TASKS or column.n_missing:
        return False
    if not all(BOTH.fullmatch(text.strip()) for text in column.counts):
        return False
    return bool(np.bincount(groups(person, column.values)).max() == 1)


def _numbers(column: Column, person: np.ndarray) -> bool:
    """May a column number tasks or profiles: 1, 2, ..., or each value equally often for every person?"""
    if column.n_missing or column.n_values < 2:
        return False
    if counts_from_1(column):
        return True
    cells = np.bincount(groups(person, column.values))
    usual = int(np.bincount(cells).argmax())
    return bool((cells == usual).mean() >= NEARLY and 2 <= usual <= MAX_TASKS)


def _answers(column: Column, varying: Mapping[str, Column]) -> bool:
    """Is a yes or no rather an answer than the number of a profile: by its name, or as the only one?"""
    alone = sum(other.binary for other in varying.values()) == 1
    return column.binary and (column.named(CHOICE_WORDS) or alone)


def counts_from_1(column: Column) -> bool:
    """Does a column consist of every whole number from 1 to at most 100?"""
    if not column.whole or column.numbers is None or column.n_missing:
        return False
    values = np.unique(column.numbers)
    return 2 <= len(values) <= MAX_TASKS and np.array_equal(values, np.arange(1, len(values) + 1))


def _largest(column: Column, person: np.ndarray) -> int:
    """Return the number of the last task; of a person, if the numbers run through the whole file."""
    if column.n_values <= MAX_TASKS:
        return column.n_values
    pairs = pd.DataFrame({"person": person, "value": column.values}).drop_duplicates()
    return int(pairs["person"].value_counts().max())


def _reason(column: Column) -> str:
    if counts_from_1(column):
        return "its numbers begin at 1 and tell the rows of a person apart"
    return "its values are the same number of rows of each person"
