"""Where a row of a long file stands: the numbers of its task and profile, however they are written."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pandas as pd

from nanotarget.clean.cells import Cells, parse_numbers
from nanotarget.clean.people import People
from nanotarget.study.config import CalibrationConfig

BOTH = re.compile(r"\D*(\d+)\D+(\d+)\D*")  # the numbers of task and profile in one cell, as in "1x2"


def task_numbers(people: People, config: CalibrationConfig) -> np.ndarray:
    """Read the number of each row's task, 0 where wrong.

    Any texts may number tasks: 1, 2, ...; 0, 1, ...; 3, 5, ...; "Task 1", "Task 2"; or numbers of the whole
    file.
    """
    cells = _part(people.cells(str(config.task)), config, 1)
    if (numbers := _of_whole_file(cells, people.person, config.tasks)) is not None:
        return numbers
    return _positions(cells, "task", config.tasks)


def profile_numbers(people: People, config: CalibrationConfig) -> np.ndarray:
    """Read the number of each row's profile within its task, 0 where wrong; any texts may number them."""
    return _positions(_part(people.cells(str(config.profile)), config, 2), "profile", config.profiles)


def _part(cells: Cells, config: CalibrationConfig, part: int) -> Cells:
    """Return the cells; the first or second of their numbers if one column has both."""
    if config.task != config.profile:
        return cells
    found = cells.text.str.extract(BOTH, expand=True)[part - 1]
    return dataclasses.replace(cells, text=found.where(found.notna(), cells.text).astype("str"))


def _of_whole_file(cells: Cells, person: np.ndarray, largest: int | None) -> np.ndarray | None:
    """Number the tasks of each person by rank where each value belongs to one person; None elsewhere."""
    which, texts = pd.factorize(cells.text)
    values = parse_numbers(list(texts))
    if not largest or (which < 0).any() or np.isnan(values).any() or len(texts) <= largest:
        return None
    pairs = pd.DataFrame({"person": person, "value": values[which]})
    distinct = pairs.drop_duplicates()
    if distinct["value"].duplicated().any() or distinct["person"].value_counts().max() > largest:
        return None
    return pairs.groupby("person")["value"].rank("dense").to_numpy(np.int64)


def _positions(cells: Cells, name: str, largest: int | None) -> np.ndarray:
    """Read numbers of tasks or profiles: 1, 2, ...; 0 where wrong."""
    cells = counted_from_1(cells, largest)
    numbers = cells.numbers(name)
    cells.refuse(
        cells.empty,
        f"the number of the {name} is missing",
        "1, 2, ... in every row",
        "add the numbers, or exclude these rows",
    )
    broken = ~np.isnan(numbers) & ((numbers < 1) | (numbers % 1 != 0))
    cells.refuse_texts(broken, f"no number of a {name}", "1, 2, ...", f"number every {name} from 1")
    large = ~broken & (numbers > (largest or np.inf))
    cells.refuse_texts(
        large,
        f"more than the {largest} {name}s that the config declares",
        f"1 to {largest}",
        f"correct '{name}s' in the config, or the file",
    )
    return np.where(broken | large | np.isnan(numbers), 0, numbers).astype(np.int64)


def counted_from_1(cells: Cells, largest: int | None = None) -> Cells:
    """Put 1, 2, ... in the place of 0, 1, ... or of texts without a number, in their natural order."""
    which, texts = pd.factorize(cells.text)
    values = parse_numbers(list(texts))
    if not len(texts) or len(texts) > (largest or np.inf):
        return cells
    if np.isnan(values).all():
        rank = {text: i for i, text in enumerate(sorted(texts, key=_natural))}
        order = np.array([rank[text] for text in texts])
    elif np.array_equal(np.sort(values), np.arange(len(values))) or (
        len(values) == largest and len(set(np.diff(np.sort(values)))) == 1
    ):  # a program that numbers all that it shows begins anywhere and leaves out what was no task
        order = np.argsort(np.argsort(values))
    else:
        return cells
    read = np.array([*(str(i + 1) for i in order), None], dtype=object)[which]
    return dataclasses.replace(cells, text=pd.Series(read, dtype="str"))


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts "Task 2" before "Task 10"."""
    return [
        (int(p), "") if p.isdigit() else (-1, p.casefold()) for p in re.split(r"(\d+)", text) if p.strip()
    ]
