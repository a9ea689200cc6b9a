"""Rows of a long file that stand for choosing none of the petitions, as Sawtooth writes them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from nanotarget.clean.people import People
from nanotarget.petitions.design import Design
from nanotarget.study.config import CalibrationConfig
from nanotarget.study.response import Response


def without_none_rows(people: People, config: CalibrationConfig, design: Design) -> People:
    """Set rows aside that show no petition and can be chosen; refuse tasks in which they tell nothing.

    Where choosing none is an answer, such a row has empty cells in place of levels, or what `none_of_them`
    says. Without these rows it is chosen where no petition of a task is.

    Args:
        people: who is left.
        config: the section `calibration`.
        design: the petitions.
    """
    outcomes = [outcome for outcome in config.outcomes.measured if outcome.none_is_answer]
    shown_in_rows = config.layout == "long" and not config.attribute_names and not config.shown
    if not outcomes or not shown_in_rows:
        return people
    aside = np.ones(len(people.rows), dtype=bool)
    for attribute in design.attributes:
        cells = people.cells(attribute.column)
        aside &= cells.empty | cells.among(outcomes[0].none_values)
    if not aside.any():
        return people
    task = _tasks(people, config)
    # Of tasks that somebody did not reach no row tells what it stands for: the last one does.
    shown = pd.Series(~aside).groupby(task)
    aside &= shown.transform("any").to_numpy() | (shown.cumcount().to_numpy() >= config.profiles)
    for outcome in outcomes:
        _check_one_chosen(people, aside, outcome, task)
    everywhere = np.zeros(len(people.table.raw), dtype=bool)
    everywhere[people.rows[aside]] = True
    return dataclasses.replace(people, aside=everywhere)


def _tasks(people: People, config: CalibrationConfig) -> np.ndarray:
    """Tell the tasks of all people apart: by their column, or so many rows and the one for none."""
    if config.task and config.task != config.profile:
        task = pd.factorize(people.cells(config.task).text)[0]
    else:
        task = pd.Series(people.person).groupby(people.person).cumcount().to_numpy() // (config.profiles + 1)
    return (
        pd.DataFrame({"person": people.person, "task": task}).groupby(["person", "task"]).ngroup().to_numpy()
    )


def _check_one_chosen(people: People, aside: np.ndarray, outcome: Response, task: np.ndarray) -> None:
    """Refuse tasks with a row for none in which not exactly one row is chosen."""
    cells = people.cells(str(outcome.column))
    answer = pd.Series(cells.binary(outcome.name))
    chosen = answer.groupby(task).transform("sum").to_numpy()
    answered = answer.notna().groupby(task).transform("any").to_numpy()
    rows = pd.Series(aside).groupby(task).transform("sum").to_numpy()
    remedy = "correct the file; empty the cells of the whole task if the answer is missing"
    for bad, what, expected in (
        (rows > 1, "more than one row of a task has no levels", "at most one row for none a task"),
        (
            (rows == 1) & answered & (chosen != 1),
            f"{outcome.name}: not exactly one row of a task with a row for none is chosen",
            "one chosen row in every such task, that for none among them",
        ),
    ):
        cells.refuse(aside & bad, what, expected, remedy)
