"""Outcomes of the experiment: answers as numbers of their kind."""

from __future__ import annotations

import dataclasses

import numpy as np

from nanotarget.clean.cells import UNKNOWN, Cells
from nanotarget.clean.people import People
from nanotarget.study.config import OutcomeConfig


def read_outcome(people: People, outcome: OutcomeConfig) -> np.ndarray:
    """Return an outcome as numbers; NaN where it is missing or not counted as observed."""
    cells = people.cells(*outcome.raw_columns)
    if outcome.observed_if:
        counts = people.cells(outcome.observed_if.column).among(outcome.observed_if.values)
        cells = dataclasses.replace(cells, text=cells.text.where(np.tile(counts, len(outcome.raw_columns))))
    if outcome.kind == "binary" and outcome.at_least is None and not outcome.recode:
        return cells.binary(outcome.name)
    first = people.cells(outcome.raw_columns[0])
    values = _combined(cells, outcome)
    if outcome.kind == "ordinal":
        first.coded.refuse_texts(
            values % 1 > 0,
            f"between the categories of '{outcome.name}'",
            "a whole number, because the outcome is ordinal",
            "correct the cells, or write 'kind: continuous' in the config",
        )
    if outcome.kind == "count":
        first.coded.refuse_texts(
            values < 0,
            f"below 0, but '{outcome.name}' counts something",
            "a number of at least 0",
            "correct the cells, or write 'kind: continuous' in the config",
        )
    if outcome.at_least is not None:
        return np.where(np.isnan(values), np.nan, (values >= outcome.at_least).astype(float))
    return values


def _combined(cells: Cells, outcome: OutcomeConfig) -> np.ndarray:
    """Return the numbers of an outcome's columns, recoded, and of several columns their sum or mean."""
    derived = outcome.recode or outcome.combine
    values = (
        _recoded(cells, outcome)
        if outcome.recode
        else cells.numbers(outcome.name, None if derived else outcome.range)
    )
    columns = values.reshape(len(outcome.raw_columns), -1)
    values = columns.mean(axis=0) if outcome.combine == "mean" else columns.sum(axis=0)
    if derived and outcome.range:
        low, high = outcome.range
        cells.refuse(
            np.tile((values < low) | (values > high), len(columns)),
            f"outside the range of '{outcome.name}'",
            f"{low} to {high}",
            "correct the cells, or 'recode', 'combine' or 'range' in the config",
        )
    return values


def _recoded(cells: Cells, outcome: OutcomeConfig) -> np.ndarray:
    """Return the number that the config gives to each answer; an answer that it does not name is refused."""
    answers, numbers = list(outcome.recode), np.array([*outcome.recode.values(), np.nan], dtype=np.float64)
    # Value labels are what people saw; where the config names codes instead, it means these.
    if (cells.index(answers) == UNKNOWN).any() and not (cells.coded.index(answers) == UNKNOWN).any():
        cells = cells.coded
    return numbers[cells.levels(outcome.name, answers, "experiment.outcomes, 'recode'")]
