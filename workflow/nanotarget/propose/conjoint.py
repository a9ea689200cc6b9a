"""What a proposal says about a conjoint survey: tasks, profiles, attributes, choice and rating."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import chdtrc, fdtrc

from nanotarget.clean.cells import BINARY
from nanotarget.propose.columns import EMAIL, Column, RawFile, shared_beginning, words
from nanotarget.propose.families import (
    CHOICE_WORDS,
    MAX_PROFILES,
    Attributes,
    Choices,
    find_attributes,
    find_choices,
)
from nanotarget.propose.numbering import find_numbering, groups, numbers_rows
from nanotarget.propose.ordering import ordered
from nanotarget.propose.people import (
    ID_WORDS,
    PLATFORM,
    TRAIT_WORDS,
    Noted,
    by_platform,
    free_name,
    respondent_column,
)
from nanotarget.propose.trial import arm_column
from nanotarget.study.config import normalised
from nanotarget.study.response import RESPONSES, Response

RATING_WORDS = words("rating rate rated support score evaluation likert favor favour scale")
MAX_ATTRIBUTE_LEVELS = 40
MIN_FOLLOWED = 5  # times that a level must have been met to say what always goes with it
MIN_EXPECTED = 20  # a pair of levels that should have occurred so often, and never did, was hardly possible
SIGNIFICANT = 1e-6  # p value from which a number is taken for an answer rather than for a random level

NONE_CHOSEN = (
    "is choosing none of the profiles an answer? Then the gain counts those who would choose none; "
    "with 'none_option: false' such tasks count as not answered"
)


@dataclass(frozen=True)
class GuessedAttribute:
    """One attribute.

    Attributes:
        name, column: for people, and in the raw file.
        levels: in order; `shares` is how often each was shown.
        uneven: are the shares too different for equal probabilities?
        reason: how the order was determined.
    """

    name: str
    column: str
    levels: list[str]
    shares: list[float]
    uneven: bool
    reason: str


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


def find_conjoint(file: RawFile) -> GuessedConjoint | None:
    """Find a conjoint survey in a file, long or wide; None if there is none."""
    return _find_long(file) or _find_wide(file)


# Long: a row is a profile.


def _find_long(file: RawFile) -> GuessedConjoint | None:
    respondent = repeated_respondent(file)
    if respondent is None:
        return None
    person = file.columns[respondent.column].values
    varying = {
        name: column
        for name, column in file.columns.items()
        if name != respondent.column and _varies(column, person)
    }
    shown, settings = _numbered(varying, person)
    choice, none = _choice(shown) if shown.profiles > 1 else None, 0.0
    if not choice and shown.profiles > 1 and "task" in settings:
        choice, none = _choice_or_none(shown)
    if not choice and "task" not in settings and looks_like_trial(file, respondent.column):
        return None
    rating = _rating(shown, choice)
    outcomes: dict[str, tuple[dict[str, Any], str]] = {}
    if choice:
        outcomes["choice"] = {"column": choice}, "exactly one profile of a task is chosen"
    if none:
        why = f"at most one profile of a task is chosen, and none in {none:.0%} of them"
        outcomes["choice"] = {"column": choice, "none_option": True}, why
    if rating:
        outcomes["rating"] = _rated(rating, shown.columns[rating])
    attributes, unused = _attributes(shown, {choice, rating}, {})
    if len(attributes) < 2 or not outcomes:
        return None
    never = absent_pairs(attributes, shown.columns)
    questions = [NONE_CHOSEN] if none else []
    taken = frozenset(varying)
    return GuessedConjoint(
        respondent, settings, outcomes, attributes, never, taken, unused, questions=questions
    )


def _numbered(
    varying: Mapping[str, Column], person: np.ndarray
) -> tuple[Measured, dict[str, tuple[Any, str]]]:
    """Tell tasks apart, by columns that number them or by the order of rows; return their settings, too."""
    found = find_numbering(varying, person)
    columns = {name: column for name, column in varying.items() if name not in (found.task, found.profile)}
    settings: dict[str, tuple[Any, str]] = {}
    if found.task and found.number is not None:
        shown = Measured(person, groups(person, found.number), columns)
        settings["task"] = found.task, found.reason
        if found.profile:
            settings["profile"] = found.profile, "its values tell the rows of a task apart"
        settings["tasks"] = found.largest, f"the last number in '{found.task}'"
    else:
        shown = _consecutive(columns, person)
        reason = f"no column numbers them; every {shown.profiles} consecutive rows of a person are a task"
        settings["tasks"] = int(np.bincount(person).max()) // shown.profiles, reason
    settings["profiles"] = shown.profiles, "rows of a task"
    return shown, settings


def looks_like_trial(file: RawFile, respondent: str) -> bool:
    """Do rows that share a value of this column belong to a trial rather than to one respondent?

    They do where a column of arms is the same in all of them, or where every row has an id of its own.
    """
    arm = arm_column(file, respondent)
    if arm is None:
        return False
    person = file.columns[respondent].values
    return bool(respondent_column(file)) or not _varies(file.columns[arm.column], person)


def repeated_respondent(file: RawFile) -> Noted | None:
    """Find the column whose values repeat: in a run of rows, equally often, or because its name says id."""
    n = len(file.raw)
    own = respondent_column(file) is not None  # every row has an id of its own: few values are no people
    candidates = []
    for column in file.columns.values():
        different = column.n_values
        if by_platform(column) or column.n_missing or not 2 <= different <= n / 2 or column.mostly(EMAIL):
            continue
        if column.numbers is not None and not column.whole:
            continue
        runs = int((np.diff(column.values) != 0).sum()) + 1
        alike = different > MAX_PROFILES and len(set(np.bincount(column.values))) == 1
        named = column.named(ID_WORDS) and not column.named(TRAIT_WORDS)
        if named or ((not own or different > MAX_PROFILES) and (runs == different or alike)):
            candidates.append((named, different, -column.position, column.name))
    if not candidates:
        return None
    _, different, _, name = max(candidates)
    return Noted(name, f"{different} values, each in {n / different:.3g} rows on average")


def _varies(column: Column, person: np.ndarray) -> bool:
    """Do the answers of more than a few people differ between their rows?"""
    known = column.values >= 0
    if not known.any():
        return False
    pairs = np.unique(person[known] * column.n_values + column.values[known])
    different = np.bincount(pairs // column.n_values, minlength=int(person.max()) + 1)
    return bool((different > 1).mean() > 0.02)


def _consecutive(columns: Mapping[str, Column], person: np.ndarray) -> Measured:
    """Find how many consecutive rows are a task: so many that one of them is always chosen."""
    order = pd.Series(person).groupby(person).cumcount().to_numpy()
    for size in (2, 3, 4):
        if not (np.bincount(person) % size).any():
            shown = Measured(person, groups(person, order // size), columns)
            if _choice(shown):
                return shown
    return Measured(person, groups(person, order), columns)


# Wide: a row is a respondent.


def _find_wide(file: RawFile) -> GuessedConjoint | None:
    wide = find_attributes(file)
    respondent = respondent_column(file)
    if wide is None or respondent is None:
        return None
    shown = _by_name(file, wide) if wide.named_by else _stacked(file, wide)
    rating = _rating(shown, None)
    taken = wide.columns
    answered = [file.columns[name].position for name in taken] if rating else []
    outcomes: dict[str, tuple[dict[str, Any], str]] = {}
    questions: list[str] = []
    choices = find_choices(file, wide)
    if choices and wide.size[1] > 1:
        values, why, sure = _chosen_values(file, choices, shown.columns.get(rating or ""))
        outcomes["choice"] = {"column": choices.column, "chosen_values": values}, why
        if choices.none:
            outcomes["choice"][0]["none_of_them"] = choices.none
        if choices.is_option:
            outcomes["choice"][0]["none_option"] = True
            questions.append(NONE_CHOSEN)
        if not sure:
            questions.append(f"which answer means the first profile? Here it is '{values[0]}'")
        taken |= set(choices.names)
        answered += [file.columns[name].position for name in choices.names]
    if rating:
        outcomes["rating"] = _rated(wide.pattern.replace("{attribute}", rating), shown.columns[rating])
    names = _attribute_names({p: c.question for p, c in shown.columns.items() if p != rating})
    attributes, unused = _attributes(shown, {rating}, names)
    if len(attributes) < 2 or not outcomes:
        return None
    never = absent_pairs(attributes, shown.columns)
    return GuessedConjoint(
        respondent,
        _wide_settings(wide),
        outcomes,
        attributes,
        never,
        frozenset(taken),
        unused,
        min(answered),
        questions,
    )


def _wide_settings(wide: Attributes) -> dict[str, tuple[Any, str]]:
    """Return the settings of a wide layout with their reasons."""
    tasks, profiles = wide.size
    settings: dict[str, tuple[Any, str]] = {
        "layout": ("wide", "a row is a respondent; the names of its columns tell tasks and profiles"),
        "tasks": (tasks, "so many tasks are in the names of columns"),
        "profiles": (profiles, "so many profiles are in the names of columns"),
        "attribute_columns": (wide.pattern, f"{len(wide.families)} groups of columns have such names"),
    }
    for key, values in (("task_values", wide.family.tasks), ("profile_values", wide.family.profiles)):
        if list(values) != [str(i + 1) for i in range(len(values))]:
            settings[key] = list(values), "what stands for them in the names of columns"
    if wide.named_by:
        settings["attribute_names"] = (
            wide.named_by,
            "these columns name the attribute of each row of the table",
        )
    return settings


def _by_name(file: RawFile, wide: Attributes) -> Measured:
    """Put the levels of each attribute one below the other, from the rows of the table that name it."""
    stacked = _stacked(file, wide)
    (tasks, profiles), n = wide.size, len(file.raw)
    names: list[pd.Series] = []
    for row in wide.families:
        of_task = [file.columns[wide.names[task, int(row)]].texts for task in range(1, tasks + 1)]
        names.append(pd.concat([texts for texts in of_task for _ in range(profiles)], ignore_index=True))
    found: dict[str, pd.Series] = {}
    for row, named in zip(wide.families, names, strict=True):
        texts = stacked.columns[row].texts
        for name in sorted(set(named.dropna()), key=list(named.dropna().unique()).index):
            levels = found.setdefault(
                str(name), pd.Series(None, index=range(n * tasks * profiles), dtype="str")
            )
            found[str(name)] = levels.mask((named == name).to_numpy(), texts)
    position = min(file.columns[name].position for name in wide.columns)
    columns = {name: Column(name, position, "", texts, {}) for name, texts in found.items()}
    return Measured(stacked.person, stacked.task, columns)


def _stacked(file: RawFile, wide: Attributes) -> Measured:
    """Put the columns of each attribute one below the other, under the attribute's part of their names."""
    tasks, profiles = wide.size
    numbers = list(itertools.product(range(1, tasks + 1), range(1, profiles + 1)))
    n = len(file.raw)
    person = np.tile(np.arange(n), len(numbers))
    task = person * tasks + np.repeat([task for task, _ in numbers], n) - 1
    stacked = {}
    for part, family in wide.families.items():
        columns = [file.columns[family.names[pair]] for pair in numbers]
        codes = {label: code for column in columns for label, code in column.codes.items()}
        texts = pd.concat([column.texts for column in columns], ignore_index=True)
        question = "" if columns[0].question == columns[0].name else columns[0].question
        labels = list(dict.fromkeys(label for column in columns for label in column.labels))
        stacked[part] = Column(part, columns[0].position, question, texts, codes, labels)
    return Measured(person, task, stacked)


def _chosen_values(
    file: RawFile, choices: Choices, rating: Column | None
) -> tuple[list[str] | list[list[str]], str, bool]:
    """Find which answer means which profile: by ratings, else by the answers; is that sure?"""
    values = choices.values
    why = "the answers in order; check which means the first profile"
    flat = [value for value in values if isinstance(value, str)]
    if rating is None or rating.numbers is None or not 2 <= len(flat) <= 4:
        return values, why, choices.sure
    ratings = rating.numbers.reshape(len(choices.names), len(flat), len(file.raw))
    chosen = np.stack(
        [file.columns[name].texts.map(normalised, na_action="ignore") for name in choices.names]
    )

    def agreement(order: Sequence[str]) -> float:
        return sum(
            float(np.nansum((ratings[:, p] - np.nanmean(ratings))[chosen == normalised(value)]))
            for p, value in enumerate(order)
        )

    best = max(itertools.permutations(flat), key=agreement)
    return list(best), "so that the profile chosen is the one rated higher", True


def _attribute_names(questions: Mapping[str, str]) -> dict[str, str]:
    """Find what question texts say beyond what they share: names of attributes for people."""
    texts = list(questions.values())
    if len(texts) < 2 or not all(texts):
        return {}
    before = shared_beginning(texts)
    before = before[: before.rfind(" ") + 1]  # whole words
    names = {part: text[len(before) :].strip() for part, text in questions.items()}
    distinct = {normalised(name) for name in names.values()}
    if len(distinct) < len(names) or any(not 0 < len(name) <= 60 for name in names.values()):
        return {}
    return names


# Both layouts.


def _choice(shown: Measured) -> str | None:
    """Find the column that is yes for exactly one profile of nearly every task."""
    candidates = [
        ((shown.columns[name].named(CHOICE_WORDS), one), name)
        for name, chosen in _yes_by_task(shown)
        if (one := float((chosen == 1).mean())) > 0.95
    ]
    return max(candidates, key=lambda candidate: candidate[0])[1] if candidates else None


def _choice_or_none(shown: Measured) -> tuple[str | None, float]:
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


def _rating(shown: Measured, choice: str | None) -> str | None:
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


def _rated(column: str, cells: Column) -> tuple[dict[str, Any], str]:
    numbers = cells.numbers
    assert numbers is not None
    limits = [float(np.nanmin(numbers)), float(np.nanmax(numbers))]
    reason = "its name says so, or people differ in it more than in random levels; the range is what was seen"
    return {"column": column, "range": limits}, reason


def _attributes(
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
            twin = next((other for other in alike if _follows(column, kept[other])), None)
            reason = f"says the same as '{twin}' in other words" if twin else ""
        if reason:
            unused.append(Noted(name, reason))
        else:
            kept[name] = column
    for name, column in list(kept.items()):
        finer = next((other for other in kept if other != name and _follows(column, kept[other])), None)
        if finer:
            unused.append(Noted(name, f"follows from '{finer}', as a group of its levels"))
            del kept[name]
    return [
        _attribute(column, free_name(names.get(name, name), used)) for name, column in kept.items()
    ], unused


def _attribute(column: Column, name: str) -> GuessedAttribute:
    levels, reason = ordered(list(column.counts), column.labels)
    count = np.array([column.counts[level] for level in levels])
    expected = count.sum() / len(count)
    uneven = chdtrc(len(count) - 1, ((count - expected) ** 2 / expected).sum()) < SIGNIFICANT
    shares = [round(float(n), 4) for n in count / count.sum()]
    return GuessedAttribute(name, column.name, levels, shares, bool(uneven), reason)


def _follows(one: Column, other: Column) -> bool:
    """Does each value of the other column, met several times, go with one value of this one?"""
    if one.n_values > other.n_values or min(other.counts.values()) < MIN_FOLLOWED:
        return False
    return bool((_table(one, other) > 0).sum() == other.n_values)


def _table(one: Column, other: Column) -> np.ndarray:
    """Count the cells of each pair of values: (n_values of one, n_values of other)."""
    known = (one.values >= 0) & (other.values >= 0)
    pairs = one.values[known] * other.n_values + other.values[known]
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
