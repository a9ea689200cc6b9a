"""What makes one doubt a guess: codes for no answer, what was asked later, what follows from another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from nanotarget.propose.columns import Column, RawFile
from nanotarget.propose.measured import follows
from nanotarget.study.problems import listed

FEW = 5  # rows in which a code stands where another column is empty, at least
MAX_CODES = 15  # different numbers of a column that may hold a code


def unanswered_codes(file: RawFile, columns: Iterable[str]) -> Iterator[str]:
    """Ask of a number that stands exactly where another column is empty whether it means no answer."""
    empty = {
        np.packbits(column.values < 0).tobytes(): column.name
        for column in file.columns.values()
        if FEW <= (column.values < 0).sum() < len(column.values)
    }
    for name in columns if empty else ():
        column = file.columns[name]
        numbers = column.numbers
        if numbers is None or not 3 <= len(column.answers) <= MAX_CODES:
            continue
        for value in {float(np.nanmin(numbers)), float(np.nanmax(numbers))}:
            other = empty.get(np.packbits(numbers == value).tobytes())
            if other and other != name:
                yield (
                    f"'{name}' is {value:g} exactly where '{other}' is empty; if that means no answer, "
                    f"empty these cells, or name {value:g} under 'missing_values' of a covariate"
                )


def asked_late(file: RawFile, columns: Iterable[str], arm: str) -> Iterator[str]:
    """Ask of what stands behind the column of the arm whether it was known before the treatment."""
    behind = [name for name in columns if file.columns[name].position > file.columns[arm].position]
    if behind:
        yield (
            f"were {listed(behind)} known before the treatment? They stand behind '{arm}'; "
            "remove what was asked later"
        )


def derived_outcomes(file: RawFile, columns: list[str]) -> Iterator[str]:
    """Ask of an outcome that follows from another one whether it is one of its own."""
    for name in columns:
        column = file.columns[name]
        source = next((other for other in columns if _coarser(column, file.columns[other])), None)
        if source:
            yield f"'{name}' follows from '{source}', as a group of its values; is it an outcome of its own?"


def _coarser(one: Column, other: Column) -> bool:
    return one.n_values < other.n_values and follows(one, other, some=1)
