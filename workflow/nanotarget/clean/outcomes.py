"""Outcomes of the experiment: answers as numbers of their kind."""

from __future__ import annotations

import dataclasses

import numpy as np

from nanotarget.clean.people import People
from nanotarget.study.config import OutcomeConfig


def read_outcome(people: People, outcome: OutcomeConfig) -> np.ndarray:
    """Return an outcome as numbers; NaN where it is missing or not counted as observed."""
    cells = people.cells(outcome.column or outcome.name)
    if outcome.observed_if:
        counts = people.cells(outcome.observed_if.column).among(outcome.observed_if.values)
        cells = dataclasses.replace(cells, text=cells.text.where(counts))
    if outcome.kind == "binary" and outcome.at_least is None:
        return cells.binary(outcome.name)
    values = cells.numbers(outcome.name, outcome.range)
    if outcome.kind == "ordinal":
        cells.coded.refuse_texts(
            values % 1 > 0,
            f"between the categories of '{outcome.name}'",
            "a whole number, because the outcome is ordinal",
            "correct the cells, or write 'kind: continuous' in the config",
        )
    if outcome.kind == "count":
        cells.coded.refuse_texts(
            values < 0,
            f"below 0, but '{outcome.name}' counts something",
            "a number of at least 0",
            "correct the cells, or write 'kind: continuous' in the config",
        )
    if outcome.at_least is not None:
        return np.where(np.isnan(values), np.nan, (values >= outcome.at_least).astype(float))
    return values
