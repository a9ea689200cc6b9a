"""What is known about people before anything is shown to them: covariates and survey weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nanotarget.clean.cells import Cells
from nanotarget.clean.people import People
from nanotarget.study.config import CovariateConfig


def read_covariates(people: People, covariates: Sequence[CovariateConfig]) -> dict[str, object]:
    """Read the covariates of people, whose rows must agree.

    Args:
        people: who is left.
        covariates: the allow-list; one whose column is absent is missing for everyone.

    Returns:
        Name -> values, one per person.
    """
    return {c.name: _read_covariate(people, c, f"covariates[{i}].levels") for i, c in enumerate(covariates)}


def _read_covariate(people: People, covariate: CovariateConfig, key: str) -> object:
    column, levels = covariate.column or covariate.name, covariate.levels or []
    numeric = covariate.kind == "numeric"
    if column not in people.table.raw:
        values = np.full(len(people.first), np.nan if numeric else -1)
    else:
        cells = people.cells(column)
        if numeric:
            read = cells.numbers(covariate.name, covariate.range, covariate.missing_values)
        else:
            read = cells.levels(covariate.name, levels, key, covariate.missing_values)
        values = _one_per_person(people, cells, read, f"'{covariate.name}'")
    if numeric:
        return values
    return pd.Categorical.from_codes(values.astype(int), [str(level) for level in levels])


def read_weights(people: People, weight: str | None) -> np.ndarray:
    """Return the survey weight of each person; 1 without weights."""
    if weight is None:
        return np.ones(len(people.first))
    cells = people.cells(weight)
    values = cells.numbers("weight")
    cells.refuse(
        cells.empty | (values <= 0),
        "a weight is missing or not positive",
        "a number above 0 for everyone",
        "correct the weights, or exclude these people",
    )
    return _one_per_person(people, cells, values, "the weight")


def _one_per_person(people: People, cells: Cells, values: np.ndarray, name: str) -> np.ndarray:
    """Return the value in each person's first row; refuse cells of later rows that differ from it."""
    first = values[people.first]
    same = first[people.person]
    cells.refuse(
        (values != same) & ~(pd.isna(values) & pd.isna(same)),
        f"{name} differs from the respondent's first row",
        "one value per respondent",
        "correct the file; only what was known before the tasks can describe a respondent",
    )
    return first
