"""Profiles of a conjoint survey, out of a long or a wide file: who was shown what, and what they answered."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanotarget.clean.cells import Cells
from nanotarget.clean.design_file import read_shown
from nanotarget.clean.labels import labelled, read_labels
from nanotarget.clean.people import People, check_unique
from nanotarget.clean.positions import profile_numbers, task_numbers
from nanotarget.petitions.design import Design
from nanotarget.study.config import CalibrationConfig
from nanotarget.study.response import RESPONSES, Response


@dataclass(frozen=True)
class Profiles:
    """Profiles shown, one per row.

    Attributes:
        table: person (as in `People`), respondent_id, task, profile, and one column per outcome measured
            (NaN where not answered).
        attributes: cells of each attribute in the design's order.
        answers: cells of each outcome measured.
    """

    table: pd.DataFrame
    attributes: list[Cells]
    answers: dict[str, Cells]

    def at(self, keep: np.ndarray) -> Profiles:
        """Return the profiles where `keep` is true."""
        return Profiles(
            self.table.loc[keep].reset_index(drop=True),
            [cells.at(keep) for cells in self.attributes],
            {name: cells.at(keep) for name, cells in self.answers.items()},
        )

    @property
    def n_tasks(self) -> int:
        """Tasks of all people."""
        return len(self.table[["person", "task"]].drop_duplicates())

    @property
    def answered(self) -> np.ndarray:
        """Does each profile belong to a task with at least one answer?"""
        answer = self.table[list(self.answers)].notna().any(axis=1)
        by_task = answer.groupby([self.table["person"], self.table["task"]])
        return by_task.transform("any").to_numpy(dtype=bool)

    @property
    def paired(self) -> list[str]:
        """Outcomes that compare the profiles of a task: one of them is chosen."""
        return [name for name in self.answers if RESPONSES[name].paired]

    def incomplete(self, outcome: str) -> np.ndarray:
        """Is each profile of a task in which this outcome is recorded for some profiles only?"""
        there, size = self._over_task(outcome, "count"), self._over_task(outcome, "size")
        return ((there < size) & (there > 0)).to_numpy()

    def n_incomplete(self, outcome: str) -> int:
        """Tasks in which this outcome is recorded for some profiles only."""
        return int((self.incomplete(outcome) & (self.table["profile"] == 1)).sum())

    def without_incomplete(self) -> Profiles:
        """Return the profiles without choices that are recorded for some profiles of a task only."""
        whole = {name: self.table[name].mask(self.incomplete(name)) for name in self.paired}
        return dataclasses.replace(self, table=self.table.assign(**whole))

    def check_choices(self, profiles: int, outcomes: Sequence[Response]) -> None:
        """Refuse tasks with other than one chosen profile among so many, or none where that is an answer."""
        may_be_none = {outcome.name for outcome in outcomes if outcome.none_is_answer}
        for name in self.paired:
            size, there, chosen = (self._over_task(name, what) for what in ("size", "count", "sum"))
            self.answers[name].refuse(
                ((size < profiles) & (there > 0)).to_numpy(),
                f"a task has fewer than the {profiles} profiles between which the respondent chose",
                f"{profiles} rows per task",
                "complete or remove these tasks, or correct 'profiles' in the config",
            )
            none = (there == size) & (size == profiles) & (chosen == 0) & (name not in may_be_none)
            remedy = "correct the file; empty the cells of the whole task if the answer is missing"
            option = f"; set key calibration.outcomes.{name}.none_option if respondents could choose none"
            for bad, count, more in (
                (chosen > 1, "more than one profile is", ""),
                (none, "no profile is", option),
            ):
                self.answers[name].refuse(
                    bad.to_numpy(),
                    f"{count} chosen in a task",
                    f"{'at most' if name in may_be_none else 'exactly'} one chosen profile in every task",
                    remedy + more,
                )

    def _over_task(self, outcome: str, what: str) -> pd.Series:
        """Aggregate an outcome over each profile's task."""
        return self.table.groupby(["person", "task"])[outcome].transform(what)


def read_profiles(people: People, config: CalibrationConfig, design: Design) -> Profiles:
    """Read all profiles that a file records, answered or not.

    Args:
        people: who is left.
        config: the section `calibration`.
        design: the petitions.
    """
    read = {"wide": _from_wide, "task": _from_tasks, "long": _from_long}[config.layout]
    return read(people, config, design)


def profile_columns(config: CalibrationConfig, design: Design) -> list[tuple[str, list[str]]]:
    """Raw columns of profiles by the config key that names them."""
    wanted: list[tuple[str, list[str]]] = []
    if config.shown and config.shown.version:
        version = config.shown.version_shown or config.shown.version
        wanted.append(("calibration.shown.version_shown", [version]))
    elif config.attribute_names:
        rows = range(1, len(design.attributes) + 1)
        for key, pattern in (
            ("attribute_columns", config.attribute_columns or ""),
            ("attribute_names", config.attribute_names),
        ):
            wanted += [(f"calibration.{key}", _columns(pattern, config, row=row)) for row in rows]
    elif config.layout != "long":
        pattern = config.attribute_columns or ""
        shown = [_columns(pattern, config, a.column) for a in design.attributes]
        wanted = [("calibration.attribute_columns", columns) for columns in shown]
    else:
        wanted = [
            (f"design.attributes[{i}] ('{a.name}')", [a.column]) for i, a in enumerate(design.attributes)
        ]
    numbers = (("task", config.task), ("profile", config.profile))
    wanted += [(f"calibration.{key}", [column]) for key, column in numbers if column]
    if config.repeated:
        wanted += [
            (f"calibration.repeated.answers.{name}", config.repeated.columns(name, config.profiles))
            for name in config.repeated.answers
        ]
    return wanted + [
        (f"calibration.outcomes.{outcome.name}.column", _columns(outcome.column, config))
        for outcome in config.outcomes.measured
    ]


def _numbers(config: CalibrationConfig) -> list[tuple[int, int]]:
    """All (task, profile) of a row: of a respondent, or of one task."""
    tasks = range(1, (config.tasks or 0) + 1) if config.layout == "wide" else range(1, 2)
    return [(task, profile) for task in tasks for profile in range(1, config.profiles + 1)]


def _columns(
    pattern: str | Sequence[str], config: CalibrationConfig, attribute: str = "", row: int = 0
) -> list[str]:
    """Fill a pattern for every task and profile; in the long layout it is the column itself.

    A list has a column of every task, or of every profile of every task, in their order. By plain
    replacement: `str.format` would evaluate what else the pattern contains.
    """
    numbers = _numbers(config)
    if not isinstance(pattern, str):
        return list(pattern) if len(pattern) == len(numbers) else [pattern[t - 1] for t, _ in numbers]
    if config.layout == "long":
        return [pattern]
    tasks, profiles = (
        [str(value) for value in values or range(1, n + 1)]
        for values, n in ((config.task_values, config.tasks or 1), (config.profile_values, config.profiles))
    )
    named = pattern.replace("{attribute}", attribute).replace("{row}", str(row))
    return [named.replace("{task}", tasks[t - 1]).replace("{profile}", profiles[p - 1]) for t, p in numbers]


def _from_wide(people: People, config: CalibrationConfig, design: Design) -> Profiles:
    """Turn rows of respondents into rows of profiles, task by task and profile by profile."""
    check_unique(people)
    numbers, n = _numbers(config), len(people.rows)
    table = pd.DataFrame(
        {
            "person": np.tile(people.person, len(numbers)),
            "respondent_id": np.tile(people.ids.ids, len(numbers)),
            "task": np.repeat([task for task, _ in numbers], n),
            "profile": np.repeat([profile for _, profile in numbers], n),
        }
    )
    return _with_answers(people, config, design, table)


def _from_tasks(people: People, config: CalibrationConfig, design: Design) -> Profiles:
    """Turn rows of tasks into rows of profiles, profile by profile."""
    numbers = {"task": _task_numbers(people, config), "profile": 1}
    row = pd.DataFrame({"person": people.person, "respondent_id": people.ids.ids, **numbers})
    keep = np.tile(_once(people, row), config.profiles)
    table = pd.concat([row.assign(profile=p) for p in range(1, config.profiles + 1)], ignore_index=True)
    return _with_answers(people, config, design, table).at(keep)


def _from_long(people: People, config: CalibrationConfig, design: Design) -> Profiles:
    """Take rows of profiles as they are and number tasks and profiles where the file does not."""
    table = pd.DataFrame({"person": people.person, "respondent_id": people.ids.ids})
    table["task"] = _task_numbers(people, config)
    table["profile"] = _profile_numbers(people, config, table)
    return _with_answers(people, config, design, table).at(_once(people, table))


def _with_answers(people: People, config: CalibrationConfig, design: Design, table: pd.DataFrame) -> Profiles:
    """Add the levels shown and the answers to numbered profiles."""
    pattern = config.attribute_columns or ""
    attributes: Sequence[Cells]
    if config.shown:
        attributes = read_shown(people, config.shown, design, table)
    elif config.attribute_names:
        attributes = [_by_row(people, config, a.column) for a in design.attributes]
    else:
        attributes = [
            people.cells(*_columns(a.column if config.layout == "long" else pattern, config, a.column))
            for a in design.attributes
        ]
    if config.labels:
        labels = read_labels(config.labels, people.table.problems)
        attributes = [
            labelled(cells, a.name, a.column, labels)
            for cells, a in zip(attributes, design.attributes, strict=True)
        ]
    answers, read = {}, {}
    for outcome in config.outcomes.measured:
        cells = people.cells(*_columns(outcome.column, config))
        answers[outcome.name] = cells
        read[outcome.name] = read_answers(cells, outcome, config, table["profile"])
    return Profiles(table.assign(**read), list(attributes), answers)


def _by_row(people: People, config: CalibrationConfig, attribute: str) -> Cells:
    """Read an attribute from the row of the table that names it, which may differ from person to person."""
    found: Cells | None = None
    for row in itertools.count(1):
        names = _columns(config.attribute_names or "", config, row=row)
        shown = _columns(config.attribute_columns or "", config, row=row)
        if found is not None and not {*names, *shown} <= set(people.table.raw.columns):
            break
        here, cells = people.cells(*names).among([attribute]), people.cells(*shown)
        if found is None:
            found = dataclasses.replace(cells, text=cells.text.where(here))
        else:
            columns = np.where(here, cells.columns, found.columns)
            found = dataclasses.replace(found, text=found.text.mask(here, cells.text), columns=columns)
    assert found is not None
    return found


def attribute_rows(profiles: Profiles, config: CalibrationConfig, design: Design) -> pd.DataFrame | None:
    """Return in which row of the table each attribute stood (`contracts.attribute_rows`, unsorted).

    None where the order of attributes was not drawn.
    """
    if not config.attribute_names:
        return None
    row_of = {
        column: float(row)
        for row in range(1, len(design.attributes) + 1)
        for column in _columns(config.attribute_columns or "", config, row=row)
    }
    rows = {
        a.name: pd.Series(cells.columns).map(row_of).where(~cells.empty).to_numpy(dtype=float)
        for a, cells in zip(design.attributes, profiles.attributes, strict=True)
    }
    return profiles.table[["respondent_id", "task", "profile"]].assign(**rows)


def read_answers(
    cells: Cells, outcome: Response, config: CalibrationConfig, profile: pd.Series
) -> np.ndarray:
    """Read an outcome of each profile; a row of several profiles names the one chosen instead.

    Args:
        cells: of the outcome, a cell a profile.
        outcome: which it is.
        config: the section `calibration`.
        profile: number of the profile of each cell.
    """
    name = outcome.name
    if outcome.paired and config.layout != "long":
        chosen = _read_chosen(cells, outcome, config)
        missing = chosen < 0
        if outcome.none_is_answer:
            missing &= ~cells.among(outcome.none_values)
        return np.where(missing, np.nan, (chosen == profile - 1).astype(float))
    return cells.binary(name) if outcome.binary else cells.numbers(name, outcome.limits)


def _read_chosen(cells: Cells, outcome: Response, config: CalibrationConfig) -> np.ndarray:
    """Return the index of the profile that each cell names, -1 where none was chosen."""
    key = f"calibration.outcomes.{outcome.name}.chosen_values"
    values = outcome.names_of_profiles or list(range(1, config.profiles + 1))
    if not isinstance(values[0], list):
        return cells.levels(outcome.name, values, key, outcome.none_values)
    size = len(cells.text) // len(values)
    by_task = [cells.at(np.arange(t * size, (t + 1) * size)) for t in range(len(values))]
    return np.concatenate(
        [
            part.levels(outcome.name, list(names), f"{key}[{t}]", outcome.none_values)
            for t, (part, names) in enumerate(zip(by_task, values, strict=True))
        ]
    )


def _once(people: People, table: pd.DataFrame) -> np.ndarray:
    """Refuse rows that repeat respondent, task and profile; return which rows are numbered and the first."""
    usable = ((table["task"] > 0) & (table["profile"] > 0) & table["respondent_id"].notna()).to_numpy()
    key = ["respondent_id", "task", "profile"]
    people.ids.refuse(
        table.duplicated(key, keep=False).to_numpy() & usable,
        "the same respondent, task and profile more than once",
        "one row for each of them",
        "remove the repetitions, or correct the numbers of tasks and profiles",
    )
    return usable & ~table.duplicated(key).to_numpy()


def _task_numbers(people: People, config: CalibrationConfig) -> np.ndarray:
    """Read the number of each row's task, 0 where wrong; without them tasks are consecutive rows."""
    if config.task:
        return task_numbers(people, config)
    return _consecutive_tasks(people, config)


def _profile_numbers(people: People, config: CalibrationConfig, table: pd.DataFrame) -> np.ndarray:
    """Read the number of each row's profile, 0 where wrong; without them rows of a task are counted."""
    if config.profile:
        return profile_numbers(people, config)
    counted = table.groupby(["person", "task"]).cumcount().to_numpy() + 1
    many = (counted > config.profiles) & (table["task"] > 0).to_numpy()
    people.ids.refuse(
        many,
        f"a task has more than the {config.profiles} profiles that the config declares",
        f"at most {config.profiles} rows per task",
        "correct 'profiles' in the config, or the numbers of the tasks in the file",
    )
    return np.where(many, 0, counted)


def _consecutive_tasks(people: People, config: CalibrationConfig) -> np.ndarray:
    """Number tasks where the file does not: consecutive rows of a respondent, `profiles` a task if long."""
    profiles, person, ids = config.profiles if config.layout == "long" else 1, people.person, people.ids
    order = pd.Series(person).groupby(person).cumcount().to_numpy()
    size = np.bincount(person)[person]
    begins = np.append(True, person[1:] != person[:-1])
    ids.refuse(
        begins & (order > 0),
        "rows of a respondent are interrupted by another respondent's",
        "all rows of a respondent one after the other, in the order of the tasks",
        "sort the file, or name the column of the tasks' numbers in key calibration.task",
    )
    last = order == size - 1
    ids.refuse(
        last & (size % profiles != 0),
        f"the respondent's rows are no multiple of {profiles}, so they are not whole tasks",
        f"{profiles} consecutive rows per task",
        "complete the tasks in the file, or name the column of their numbers in key calibration.task",
    )
    task = order // profiles + 1
    if config.tasks:
        ids.refuse(
            last & (task > config.tasks),
            f"the respondent has more than the {config.tasks} tasks that the config declares",
            f"at most {config.tasks * profiles} rows per respondent",
            "correct 'tasks' in the config, or the file",
        )
    return task
