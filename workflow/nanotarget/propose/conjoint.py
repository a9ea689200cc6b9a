"""What a proposal says about a conjoint survey: tasks, profiles, attributes, choice and rating."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nanotarget.clean.personal import EMAIL
from nanotarget.propose.columns import Column, RawFile, shared_beginning
from nanotarget.propose.families import (
    MAX_PROFILES,
    Attributes,
    Choices,
    find_attributes,
    find_beside,
    find_choices,
)
from nanotarget.propose.measured import (
    GuessedConjoint,
    Measured,
    absent_pairs,
    describe_attributes,
    find_answer,
    find_choice,
    find_choice_or_none,
    find_none_rows,
    find_rating,
    rated,
)
from nanotarget.propose.numbering import find_numbering, find_tasks, groups
from nanotarget.propose.people import (
    ID_WORDS,
    PERSON_WORDS,
    SERIAL_WORDS,
    TRAIT_WORDS,
    Noted,
    by_platform,
    respondent_column,
)
from nanotarget.propose.trial import arm_column
from nanotarget.study.config import normalised

NONE_CHOSEN = (
    "is choosing none of the profiles an answer? Then the gain counts those who would choose none; {}"
)
NOT_ANSWERED = "with 'none_option: false' such tasks count as not answered"
NOT_ANSWERED_LONG = (
    "if not, leave the answers of such tasks empty in the file, without rows that show no profile"
)


def find_conjoint(file: RawFile) -> GuessedConjoint | None:
    """Find a conjoint survey in a file: a row a task, a profile or a respondent; None if there is none."""
    respondent = repeated_respondent(file)
    found = (_find_beside(file, respondent) or _find_long(file, respondent)) if respondent else None
    return found or _find_wide(file)


# Long: a row is a profile.


def _find_long(file: RawFile, respondent: Noted) -> GuessedConjoint | None:
    person = file.columns[respondent.column].values
    varying = {
        name: column
        for name, column in file.columns.items()
        if name != respondent.column and _varies(column, person)
    }
    shown, settings = _numbered(varying, person)
    none_rows, none_text = find_none_rows(shown)
    if none_rows.any():
        shown = shown.at(~none_rows)
        settings["profiles"] = shown.profiles, "rows of a task, without the one for none"
    choice, none = find_choice(shown) if shown.profiles > 1 else None, 0.0
    if not choice and shown.profiles > 1 and "task" in settings:
        choice, none = find_choice_or_none(shown)
    if not choice and "task" not in settings and looks_like_trial(file, respondent.column):
        return None
    rating = find_rating(shown, choice)
    outcomes: dict[str, tuple[dict[str, Any], str]] = {}
    if choice:
        outcomes["choice"] = {"column": choice}, "exactly one profile of a task is chosen"
    if none:
        why = f"at most one profile of a task is chosen, and none in {none:.0%} of them"
        outcomes["choice"] = {"column": choice, "none_option": True}, why
        if none_text:
            outcomes["choice"][0]["none_of_them"] = none_text
    if rating:
        outcomes["rating"] = rated(rating, shown.columns[rating])
    questions = [NONE_CHOSEN.format(NOT_ANSWERED_LONG)] if none else []
    if not outcomes and (answer := find_answer(shown)):
        outcomes["would_sign"] = {"column": answer}, "yes or no, for none, one or several profiles of a task"
        questions.append(f"is '{answer}' a yes or no that was given to each profile on its own?")
    attributes, unused = describe_attributes(shown, {o["column"] for o, _ in outcomes.values()}, {})
    if len(attributes) < 2 or not outcomes:
        return None
    never = absent_pairs(attributes, shown.columns)
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
        empty = (column.values < 0).any()  # 99999 may be somebody's number here
        if by_platform(column) or empty or not 2 <= different <= n / 2 or column.mostly(EMAIL):
            continue
        if column.numbers is not None and not column.whole:
            continue
        runs = int((np.diff(column.values) != 0).sum()) + 1
        alike = different > MAX_PROFILES and len(set(np.bincount(column.values))) == 1
        named = column.named(ID_WORDS) and not column.named(TRAIT_WORDS)
        if named or ((not own or different > MAX_PROFILES) and (runs == different or alike)):
            own_number = named and not column.named(SERIAL_WORDS)
            rank = (named and column.named(PERSON_WORDS), own_number, named, different, -column.position)
            candidates.append((rank, column.name))
    if not candidates:
        return None
    (*_, different, _), name = max(candidates)
    return Noted(name, f"{different} values, each in {n / different:.3g} rows on average")


def _varies(column: Column, person: np.ndarray) -> bool:
    """Do the answers of more than a few people differ between their rows?"""
    known = column.values >= 0
    if not known.any():
        return False
    who, values = person[known], column.values[known]
    first = np.zeros(int(person.max()) + 1, dtype=np.int64)
    first[who[::-1]] = values[::-1]
    different = np.zeros(len(first), dtype=bool)
    different[who[values != first[who]]] = True
    return bool(different.mean() > 0.02)


def _consecutive(columns: Mapping[str, Column], person: np.ndarray) -> Measured:
    """Find how many consecutive rows are a task: so many that one of them is always chosen."""
    order = pd.Series(person).groupby(person).cumcount().to_numpy()
    for size in (2, 3, 4):
        if not (np.bincount(person) % size).any():
            shown = Measured(person, groups(person, order // size), columns)
            if find_choice(shown):
                return shown
    return Measured(person, groups(person, order), columns)


# Wide: a row is a respondent.


def _find_wide(file: RawFile) -> GuessedConjoint | None:
    wide = find_attributes(file)
    respondent = respondent_column(file)
    if wide is None or respondent is None:
        return None
    shown = _by_name(file, wide) if wide.named_by else _stacked(file, wide)
    return _named(file, wide, shown, respondent, _wide_settings(wide))


def _named(
    file: RawFile,
    wide: Attributes,
    shown: Measured,
    respondent: Noted,
    settings: dict[str, tuple[Any, str]],
) -> GuessedConjoint | None:
    """Describe a survey with several profiles in a row, whose answers name them; None without attributes."""
    rating = find_rating(shown, None)
    answers = find_answers(file, wide, shown.columns.get(rating or ""))
    if rating:
        pattern = wide.pattern.replace("{attribute}", rating)
        answers.outcomes["rating"] = rated(pattern, shown.columns[rating])
        answers.columns.update(wide.columns)
    names = _attribute_names({p: c.question for p, c in shown.columns.items() if p != rating})
    attributes, unused = describe_attributes(shown, {rating}, names)
    if len(attributes) < 2 or not answers.outcomes:
        return None
    return GuessedConjoint(
        respondent,
        settings,
        answers.outcomes,
        attributes,
        absent_pairs(attributes, shown.columns),
        frozenset(wide.columns | answers.columns),
        unused,
        min(file.columns[name].position for name in answers.columns) if not _by_tasks(settings) else math.inf,
        answers.questions,
    )


def _by_tasks(settings: Mapping[str, tuple[Any, str]]) -> bool:
    """Is a row a task, so that the order of columns does not say what was asked later?"""
    return settings["layout"][0] == "task"


@dataclass(frozen=True)
class Answers:
    """Outcomes as the config writes them with their reasons, what they leave open, and their columns."""

    outcomes: dict[str, tuple[dict[str, Any], str]]
    questions: list[str]
    columns: set[str]


def find_answers(
    file: RawFile, wide: Attributes, rating: Column | None = None, among: Collection[str] | None = None
) -> Answers:
    """Find the columns that name the profile chosen in each task.

    Args:
        file: the file.
        wide: how tasks and profiles are named.
        rating: of the profiles, which may tell what the answers mean.
        among: columns that may be answers; None for all.
    """
    found = Answers({}, [], set())
    choices = find_choices(file, wide, among) if wide.size[1] > 1 else None
    if choices:
        values, why, sure = _chosen_values(file, choices, rating)
        found.outcomes["choice"] = {"column": choices.column, "chosen_values": values}, why
        if choices.none:
            found.outcomes["choice"][0]["none_of_them"] = choices.none
        if choices.is_option:
            found.outcomes["choice"][0]["none_option"] = True
            found.questions.append(NONE_CHOSEN.format(NOT_ANSWERED))
        if not sure:
            found.questions.append(f"which answer means the first profile? Here it is '{values[0]}'")
        found.columns.update(choices.names)
    return found


# Beside one another: a row is a task.


def _find_beside(file: RawFile, respondent: Noted) -> GuessedConjoint | None:
    person = file.columns[respondent.column].values
    varying = {
        name: column
        for name, column in file.columns.items()
        if name != respondent.column and _varies(column, person)
    }
    beside = find_beside(file, varying)
    if beside is None or not (find_choices(file, beside, varying) or _rated_beside(file, beside)):
        return None
    rest = {name: column for name, column in varying.items() if name not in beside.columns}
    task = find_tasks(rest, person)
    settings: dict[str, tuple[Any, str]] = {
        "layout": ("task", "a row is a task; the names of its columns tell profiles"),
        **({"task": (task.name, "it tells the rows of a person apart")} if task else {}),
        "tasks": (int(np.bincount(person).max()), "rows of a person"),
        "profiles": (beside.size[1], "so many profiles are in the names of columns"),
        "attribute_columns": (beside.pattern, f"{len(beside.families)} groups of columns have such names"),
    }
    if list(beside.family.profiles) != [str(i + 1) for i in range(beside.size[1])]:
        settings["profile_values"] = (
            list(beside.family.profiles),
            "what stands for them in the names of columns",
        )
    rows = _stacked(file, beside)
    shown = Measured(np.tile(person, beside.size[1]), rows.task, rows.columns)
    found = _named(file, beside, shown, respondent, settings)
    # what differs between the tasks of a person describes nobody
    return dataclasses.replace(found, taken=found.taken | set(varying)) if found else None


def _rated_beside(file: RawFile, beside: Attributes) -> bool:
    return find_rating(_stacked(file, beside), None) is not None


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
