"""Petitions shown, where a file of its own lists them by version, task and profile, as Sawtooth writes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nanotarget.clean.cells import Cells, Table, read_ids
from nanotarget.clean.people import People
from nanotarget.clean.positions import counted_from_1
from nanotarget.clean.raw import read_raw
from nanotarget.petitions.design import Design
from nanotarget.study.config import ShownConfig

EVERYBODY = "0"  # the version of tasks that everyone was shown, as Sawtooth writes fixed ones


def read_shown(
    people: People, config: ShownConfig, design: Design, numbered: pd.DataFrame
) -> Sequence[Cells]:
    """Return the cells of each attribute, in the design's order, of profiles that are numbered already.

    Args:
        people: who is left; their file has the version that each of them saw.
        config: the section `calibration.shown`.
        design: the petitions.
        numbered: (n,) columns task and profile; all rows of the people once, or several times.

    Raises:
        InputError: if the file cannot be read, or with the columns that it lacks.
    """
    table = Table(read_raw(config.file, config.header_rows), config.file, people.table.problems)
    keys = {"task": config.task, "profile": config.profile}
    wanted = [(f"calibration.shown.{key}", [column]) for key, column in keys.items()]
    if config.version:
        wanted.append(("calibration.shown.version", [config.version]))
    wanted += [(f"design.attributes[{i}] ('{a.name}')", [a.column]) for i, a in enumerate(design.attributes)]
    table.require(wanted)
    listed = pd.DataFrame(
        {key: counted_from_1(table.cells(column)).numbers(column) for key, column in keys.items()}
    )
    listed["version"] = read_ids(table.raw[config.version]).to_numpy() if config.version else EVERYBODY
    table.cells(config.task).refuse(
        listed.duplicated(keep=False).to_numpy(),
        "the same version, task and profile more than once",
        "one row for each of them",
        "remove the repetitions, or name the column of the versions in key calibration.shown.version",
    )
    times = len(numbered) // max(1, len(people.rows))
    told = people.cells(*[config.version_shown or config.version or people.respondent] * times)
    own = told.ids.to_numpy() if config.version else np.full(len(numbered), EVERYBODY)
    row = _rows(listed, numbered, own)
    row = np.where(row < 0, _rows(listed, numbered, np.full(len(numbered), EVERYBODY)), row)
    told.refuse(
        row < 0,
        f"{config.file} has no row for this version, task and profile",
        "a row for every profile that somebody was shown",
        "complete that file, or correct the columns that calibration.shown names",
    )
    return [_taken(table, a.column, row) for a in design.attributes]


def _rows(listed: pd.DataFrame, numbered: pd.DataFrame, version: np.ndarray) -> np.ndarray:
    """Return the (n,) position in the list of each profile of these versions, -1 where it is not listed."""
    known = listed.assign(row=np.arange(len(listed))).drop_duplicates(["version", "task", "profile"])
    keys = numbered[["task", "profile"]].astype(float).assign(version=version)
    found = keys.merge(known, "left", ["version", "task", "profile"])["row"]
    return found.fillna(-1).to_numpy(np.int64)


def _taken(table: Table, column: str, row: np.ndarray) -> Cells:
    """Return the cells of a column at these rows; an empty one where there is none."""
    cells = table.cells(column)
    taken = cells.at(np.maximum(row, 0))
    return Cells(taken.text.where(row >= 0), taken.rows, taken.columns, cells.codes, table)
