"""What was measured on the profiles of a conjoint survey: attributes, choice, rating, pairs never shown."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import chdtrc, fdtrc

from nanotarget.clean.cells import BINARY
from nanotarget.propose.columns import Column, words
from nanotarget.propose.families import CHOICE_WORDS
from nanotarget.propose.numbering import groups, numbers_rows
from nanotarget.propose.ordering import ALPHABET, ordered
from nanotarget.propose.people import PLATFORM, Noted, free_name
from nanotarget.study.response import RESPONSES, Response

RATING_WORDS = words("rating rate rated support score evaluation likert favor favour scale")
ANSWER_WORDS = CHOICE_WORDS | words("sign signed would accept accepted buy approve agree answer response yes")
MAX_ATTRIBUTE_LEVELS = 40
HIDDEN_SHARE = 0.05  # of petitions without an attribute: rarer ones look like errors
WHOLE_TASKS = 0.95  # of them lie in tasks that hide it in all petitions
MIN_FOLLOWED = 5  # times that a level must have been met to say what always goes with it
MANY = 2000  # rows that mostly tell that columns have nothing to do with each other
MIN_EXPECTED = 20  # a pair of levels that should have occurred so often, and never did, was hardly possible
SIGNIFICANT = 1e-6  # p value from which a number is taken for an answer rather than for a random level


@dataclass(frozen=True)
class GuessedAttribute:
    """One attribute.

    Attributes:
        name, column: for people, and in the raw file.
        levels: in order; `shares` is how often each was shown.
        uneven: are the shares too different for equal probabilities?
        reason: how the order was determined.
        hidden: share of the petitions that seem to hide it; 0 if it seems to be shown in all.
    """

    name: str
    column: str
    levels: list[str]
    shares: list[float]
    uneven: bool
    reason: str
    hidden: float = 0.0


@dataclass(frozen=True)
class GuessedConjoint:
    """A conjoint survey; each setting of the config with its reason.

    Attributes:
        settings: keys of the section `calibration` and their reasons, in order: layout, task, ...
        outcomes: the sections below `outcomes` by the name of the response.
        attributes: in the file's order.
        never: pairs of levels that never occurred together, in the form of `design.prohibited`.
        taken: all columns that belong to the tasks.
        unused: columns of the tasks that are none of these.
        first: position of the first answer to a task, in the wide layout; what stands behind was asked later.
        questions: what the data do not answer.
    """

    respondent: Noted
    settings: dict[str, tuple[Any, str]]
    outcomes: dict[str, tuple[dict[str, Any], str]]
    attributes: list[GuessedAttribute]
    never: list[dict[str, list[str]]]
    taken: frozenset[str]
    unused: list[Noted]
    first: float = math.inf
    questions: list[str] = field(default_factory=list)

    @property
    def unordered(self) -> list[str]:
        """Attributes whose order nothing tells; of two levels it hardly matters."""
        return [a.name for a in self.attributes if a.reason == ALPHABET and len(a.levels) > 2]

    @property
    def analysed(self) -> type[Response]:
        """The outcome to analyse: answers to each petition say more than choices between them."""
        return min((RESPONSES[name] for name in self.outcomes), key=lambda response: response.paired)


@dataclass(frozen=True)
class Measured:
    """What was measured on profiles, one below the other.

    Attributes:
        person, task: (n,) which of them each profile belongs to.
        columns: by name; the cells of the profiles.
    """

    person: np.ndarray
    task: np.ndarray
    columns: Mapping[str, Column]

    @property
    def profiles(self) -> int:
        """Profiles of the largest task."""
        return int(np.bincount(self.task).max())

    def at(self, keep: np.ndarray) -> Measured:
        """Return the profiles where `keep` is true."""
        columns = {
            name: replace(column, texts=column.texts[keep].reset_index(drop=True))
            for name, column in self.columns.items()
        }
        return Measured(self.person[keep], self.task[keep], columns)


def find_none_rows(shown: Measured) -> tuple[np.ndarray, list[str]]:
    """Find rows, one in every task, that show no petition but can be chosen, as Sawtooth writes them.

    Returns:
        (n,) which rows; and what stands in two or more of their columns, and in these columns nowhere else:
        a text for none, or nothing.
    """
    for text in ("0", "none", ""):
        empty = [
            column.values < 0 if not text else column.texts.eq(text).to_numpy()
            for column in shown.columns.values()
        ]
        for rows in empty:
            by_task = np.bincount(shown.task[rows], minlength=int(shown.task.max()) + 1)
            alike = sum(np.array_equal(rows, others) for others in empty)
            if alike >= 2 and by_task.max() == 1 and by_task.mean() > WHOLE_TASKS:
                return rows, [text] * bool(text)
    return np.zeros(len(shown.task), dtype=bool), []


def find_choice(shown: Measured) -> str | None:
    """Find the column that is yes for exactly one profile of nearly every task."""
    candidates = [
        ((shown.columns[name].named(CHOICE_WORDS), one), name)
        for name, chosen in _yes_by_task(shown)
        if (one := float((chosen == 1).mean())) > 0.95
    ]
    return max(candidates, key=lambda candidate: candidate[0])[1] if candidates else None


def find_choice_or_none(shown: Measured) -> tuple[str | None, float]:
    """Find the column that is yes for one profile of many tasks and never for two, and how often for none."""
    candidates = [
        ((shown.columns[name].named(CHOICE_WORDS), one), name)
        for name, chosen in _yes_by_task(shown)
        if (chosen <= 1).mean() > 0.99 and (one := float((chosen == 1).mean())) > 0.3
    ]
    if not candidates:
        return None, 0.0
    (_, one), name = max(candidates, key=lambda candidate: candidate[0])
    return name, 1 - one


def find_answer(shown: Measured) -> str | None:
    """Find the column, named like an answer, that is yes or no for each profile."""
    named = [name for name, column in shown.columns.items() if column.binary and column.named(ANSWER_WORDS)]
    return named[0] if named else None


def _yes_by_task(shown: Measured) -> Iterator[tuple[str, np.ndarray]]:
    """Yield columns of yes and no, and how many profiles of each complete task are yes."""
    for name, column in shown.columns.items():
        if column.binary:
            yes = column.mapped(BINARY)
            known = ~np.isnan(yes)
            complete = np.bincount(shown.task[known]) == shown.profiles
            chosen = np.bincount(shown.task[known], yes[known])[complete]
            if len(chosen):
                yield name, chosen


def find_rating(shown: Measured, choice: str | None) -> str | None:
    """Find the number in which people differ more than random levels would make them."""
    chosen = None
    if choice:
        chosen = shown.columns[choice].mapped(BINARY)
    candidates = []
    for name, column in shown.columns.items():
        if name == choice or column.numbers is None or not 3 <= len(column.answers) <= 101:
            continue
        strength = _between_people(column.numbers, shown.person)
        if chosen is not None and column.named(RATING_WORDS):  # levels such as a price go with it, too
            both = ~np.isnan(column.numbers) & ~np.isnan(chosen)
            strength = max(strength, abs(float(np.corrcoef(column.numbers[both], chosen[both])[0, 1])))
        if strength > 0.05 or column.named(("rating", "rated", "score", "likert")):
            candidates.append(((column.named(RATING_WORDS), strength), name))
    return max(candidates, key=lambda candidate: candidate[0])[1] if candidates else None


def _between_people(values: np.ndarray, person: np.ndarray) -> float:
    """Return the share of variance between people (0 if it may be chance)."""
    known = ~np.isnan(values)
    groups, values = pd.factorize(person[known])[0], values[known]
    size = np.bincount(groups)
    n, people = len(values), len(size)
    total = float(((values - values.mean()) ** 2).sum())
    means = np.bincount(groups, values) / size
    within = float(((values - means[groups]) ** 2).sum())
    if people < 2 or n <= people or within <= 0 or total <= within:
        return 0.0
    f = (total - within) / (people - 1) / (within / (n - people))
    return 1 - within / total if fdtrc(people - 1, n - people, f) < SIGNIFICANT else 0.0


def rated(column: str, cells: Column) -> tuple[dict[str, Any], str]:
    numbers = cells.numbers
    assert numbers is not None
    limits = [float(np.nanmin(numbers)), float(np.nanmax(numbers))]
    reason = "its name says so, or people differ in it more than in random levels; the range is what was seen"
    return {"column": column, "range": limits}, reason


def describe_attributes(
    shown: Measured, outcomes: Collection[str | None], names: Mapping[str, str]
) -> tuple[list[GuessedAttribute], list[Noted]]:
    """Describe what varies from profile to profile, is no outcome, no number and no function of another."""
    unused: list[Noted] = []
    used: set[str] = set()
    kept: dict[str, Column] = {}
    for name, column in shown.columns.items():
        if name in outcomes:
            continue
        if PLATFORM.fullmatch(re.sub(r"[^a-z0-9]", "", name.lower())):
            reason = "written by the survey platform"
        elif not 2 <= len(column.counts) <= MAX_ATTRIBUTE_LEVELS:
            reason = f"varies between profiles, but {len(column.counts)} values are no levels"
        elif not (reason := numbers_rows(column, shown.person, shown.task, shown.profiles)):
            alike = [other for other in kept if kept[other].n_values == column.n_values]
            twin = next((other for other in alike if follows(column, kept[other])), None)
            reason = f"says the same as '{twin}' in other words" if twin else ""
        if reason:
            unused.append(Noted(name, reason))
        else:
            kept[name] = column
    for name in _whole_petitions(kept):
        unused.append(Noted(name, "numbers whole petitions"))
        del kept[name]
    for name, column in list(kept.items()):
        finer = next((other for other in kept if other != name and follows(column, kept[other])), None)
        if finer:
            unused.append(Noted(name, f"follows from '{finer}', as a group of its levels"))
            del kept[name]
    hidden = _hidden(kept, shown)
    return [
        replace(_attribute(column, free_name(names.get(name, name), used)), hidden=hidden[name])
        for name, column in kept.items()
    ], unused


def _hidden(columns: Mapping[str, Column], shown: Measured) -> dict[str, float]:
    """Return the share of petitions in which each attribute is empty as if it was hidden by design.

    That is often, in all petitions of a task, and where other attributes are there.
    """
    empty = {name: column.values < 0 for name, column in columns.items()}
    recorded = ~np.all(list(empty.values()), axis=0) if empty else np.zeros(0, dtype=bool)
    task = pd.Series(groups(shown.person, shown.task)[recorded])
    found = {}
    for name, gone in empty.items():
        own = pd.Series(gone[recorded])
        whole = own.groupby(task.to_numpy()).transform("all")
        by_design = own.mean() >= HIDDEN_SHARE and whole.sum() >= WHOLE_TASKS * own.sum()
        found[name] = round(float(own.mean()), 2) if by_design else 0.0
    return found


def _whole_petitions(columns: Mapping[str, Column]) -> list[str]:
    """Find columns from which several others follow, which together tell their values apart."""
    found = []
    for name, column in columns.items():
        parts = [o.values for other, o in columns.items() if other != name and follows(o, column)]
        if len(parts) > 1 and int(groups(*parts).max()) + 1 == column.n_values:
            found.append(name)
    return found


def _attribute(column: Column, name: str) -> GuessedAttribute:
    levels, reason = ordered(list(column.counts), column.labels)
    count = np.array([column.counts[level] for level in levels])
    expected = count.sum() / len(count)
    uneven = chdtrc(len(count) - 1, ((count - expected) ** 2 / expected).sum()) < SIGNIFICANT
    shares = [round(float(n), 4) for n in count / count.sum()]
    return GuessedAttribute(name, column.name, levels, shares, bool(uneven), reason)


def follows(one: Column, other: Column, some: int = MIN_FOLLOWED) -> bool:
    """Does each value of the other column, met so many times, go with one value of this one?"""
    if one.n_values > other.n_values or min(other.counts.values()) < some:
        return False
    if (_table(one, other, MANY) > 0).sum() > other.n_values:
        return False
    return bool((_table(one, other) > 0).sum() == other.n_values)


def _table(one: Column, other: Column, rows: int | None = None) -> np.ndarray:
    """Count the cells of each pair of values in the first rows: (n_values of one, n_values of other)."""
    first, second = one.values[:rows], other.values[:rows]
    known = (first >= 0) & (second >= 0)
    pairs = first[known] * other.n_values + second[known]
    return np.bincount(pairs, minlength=one.n_values * other.n_values).reshape(one.n_values, -1)


def absent_pairs(
    attributes: Sequence[GuessedAttribute], columns: Mapping[str, Column]
) -> list[dict[str, list[str]]]:
    """Find pairs of levels that never occurred together although each is frequent.

    Returns:
        Entries as in `design.prohibited`: levels of one attribute with the same levels of another.
    """
    absent: list[dict[str, list[str]]] = []
    for one, other in itertools.combinations(attributes, 2):
        rows, across = columns[one.column], columns[other.column]
        if _table(rows, across, MANY).all():
            continue
        table = _table(rows, across)[np.ix_(rows.indices(one.levels), across.indices(other.levels))]
        expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / max(table.sum(), 1)
        together: dict[tuple[int, ...], list[str]] = {}
        for level, row in zip(one.levels, (table == 0) & (expected >= MIN_EXPECTED), strict=True):
            if row.any():
                together.setdefault(tuple(np.flatnonzero(row)), []).append(level)
        absent += [
            {one.name: levels, other.name: [other.levels[j] for j in gone]}
            for gone, levels in together.items()
        ]
    return absent
