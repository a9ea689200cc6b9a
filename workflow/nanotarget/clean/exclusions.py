"""Exclusions: who leaves at which registered step, and who refused personalisation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from nanotarget.clean.people import People
from nanotarget.clean.personal import quoted
from nanotarget.study.config import ColumnValues, ExclusionConfig, normalised
from nanotarget.study.problems import listed

REFUSED = "Opted out of personalisation"  # name of the step


def exclude(people: People, exclusions: Sequence[ExclusionConfig]) -> People:
    """Apply exclusions in order to who is left; a rule that applies to any row excludes its person."""
    for exclusion in exclusions:
        people = _exclude(people, exclusion)
    return people


def _exclude(people: People, exclusion: ExclusionConfig) -> People:
    column, cells = exclusion.column, people.cells(exclusion.column)
    values = quoted(exclusion.values, column in people.table.private, limit=8)
    match exclusion.rule:
        case "in":
            rule, leaves = f"is {values}", cells.among(exclusion.values)
        case "not_in":
            rule, leaves = f"is not {values}", ~cells.among(exclusion.values)
        case "missing":
            rule, leaves = "is missing", cells.empty
        case "duplicate":
            rule, leaves = "repeats an earlier one", _repeats(people, column)
        case "below" | "above":
            rule, numbers = f"is {exclusion.rule} {exclusion.value:g}", cells.numbers(column)
            leaves = numbers < exclusion.value if exclusion.rule == "below" else numbers > exclusion.value
            compared = {**people.compared, column: numbers[people.first]}
            people = dataclasses.replace(people, compared=compared)
    return people.without(exclusion.step, f"{column} {rule}", leaves)


def _repeats(people: People, column: str) -> np.ndarray:
    """Does each row repeat the text of an earlier person? An empty cell does not; in ids case counts."""
    cells = people.cells(column)
    key = cells.ids if column == people.respondent else cells.text.map(normalised, na_action="ignore")
    owner = pd.Series(people.person).groupby(key.to_numpy()).transform("first")
    return (owner.notna() & (owner != people.person)).to_numpy()


def leave_out_refusers(people: People, consent: ColumnValues | None) -> People:
    """Return the people without those who did not agree to personalisation."""
    if consent is None:
        return people
    rule = f"{consent.column} is not {listed(consent.values)}"
    return people.without(REFUSED, rule, refused(people, consent))


def refusers(everyone: People, left: People, consent: ColumnValues | None) -> frozenset[str]:
    """Return the ids of those who refused personalisation: who said so, and who is left and did not agree."""
    if consent is None:
        return frozenset()
    said = refused(everyone, consent) & ~everyone.cells(consent.column).empty
    ids = pd.concat([everyone.ids.ids[said], left.ids.ids[refused(left, consent)]])
    return frozenset(ids.dropna())


def refused(people: People, consent: ColumnValues | None) -> np.ndarray:
    """Return in which of their rows people did not agree to personalisation; no answer is no consent."""
    if consent is None:
        return np.zeros(len(people.rows), dtype=bool)
    return ~people.cells(consent.column).among(consent.values)
