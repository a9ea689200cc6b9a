"""Exclusions: who leaves at which registered step, and who refused personalisation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from nanotarget.clean.people import People
from nanotarget.study.config import ColumnValues, ExclusionConfig, normalised
from nanotarget.study.problems import listed


def exclude(people: People, exclusions: Sequence[ExclusionConfig]) -> People:
    """Apply exclusions in order to who is left; a rule that applies to any row excludes its person."""
    for exclusion in exclusions:
        people = _exclude(people, exclusion)
    return people


def _exclude(people: People, exclusion: ExclusionConfig) -> People:
    column, cells = exclusion.column, people.cells(exclusion.column)
    match exclusion.rule:
        case "in":
            rule, leaves = f"is {listed(exclusion.values)}", cells.among(exclusion.values)
        case "not_in":
            rule, leaves = f"is not {listed(exclusion.values)}", ~cells.among(exclusion.values)
        case "missing":
            rule, leaves = "is missing", cells.empty
        case "duplicate":
            rule, leaves = "repeats an earlier one", _repeats(people, column)
        case "below" | "above":
            rule, values = f"is {exclusion.rule} {exclusion.value:g}", cells.numbers(column)
            leaves = values < exclusion.value if exclusion.rule == "below" else values > exclusion.value
            compared = {**people.compared, column: values[people.first]}
            people = dataclasses.replace(people, compared=compared)
    return people.without(exclusion.step, f"{column} {rule}", leaves)


def _repeats(people: People, column: str) -> np.ndarray:
    """Does each row repeat the text of an earlier person? An empty cell does not; in ids case counts."""
    cells = people.cells(column)
    key = cells.ids if column == people.respondent else cells.text.map(normalised, na_action="ignore")
    owner = pd.Series(people.person).groupby(key.to_numpy()).transform("first")
    return (owner.notna() & (owner != people.person)).to_numpy()


def leave_out_opt_outs(people: People, opt_out: ColumnValues | None) -> People:
    """Return the people without those who refused personalisation."""
    if opt_out is None:
        return people
    rule = f"{opt_out.column} is {listed(opt_out.values)}"
    return people.without("Opted out of personalisation", rule, opted_out(people, opt_out))


def opted_out(people: People, opt_out: ColumnValues | None) -> np.ndarray:
    """Return in which of their rows people refused personalisation."""
    if opt_out is None:
        return np.zeros(len(people.rows), dtype=bool)
    return people.cells(opt_out.column).among(opt_out.values)
