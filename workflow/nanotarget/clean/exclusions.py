"""Exclusions: who leaves at which registered step, and who refused personalisation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from nanotarget.clean.people import People
from nanotarget.clean.personal import quoted
from nanotarget.clean.seen import Seen
from nanotarget.study.config import ColumnValues, ExclusionConfig, normalised
from nanotarget.study.problems import listed

REFUSED = "Opted out of personalisation"  # name of the step


def exclude(
    people: People, exclusions: Sequence[ExclusionConfig], earlier: Sequence[Seen] | None = None
) -> People:
    """Apply exclusions in order to who is left; a rule that applies to any row excludes its person.

    Args:
        people: of a file, or of a piece of one.
        exclusions: the rules.
        earlier: of pieces, for each rule whom a person may repeat; those of this piece are added to it.
    """
    earlier = earlier or [Seen() for _ in exclusions]
    for exclusion, seen in zip(exclusions, earlier, strict=True):
        people = _exclude(people, exclusion, seen)
    return people


def _exclude(people: People, exclusion: ExclusionConfig, seen: Seen) -> People:
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
            rule, leaves = "repeats an earlier one", _repeats(people, column, seen)
        case "below" | "above":
            rule, numbers = f"is {exclusion.rule} {exclusion.value:g}", cells.numbers(column)
            leaves = numbers < exclusion.value if exclusion.rule == "below" else numbers > exclusion.value
            compared = {**people.compared, column: numbers[people.first]}
            people = dataclasses.replace(people, compared=compared)
    return people.without(exclusion.step, f"{column} {rule}", leaves)


def _repeats(people: People, column: str, seen: Seen) -> np.ndarray:
    """Does each row repeat the text of an earlier person? An empty cell does not; in ids case counts."""
    cells = people.cells(column)
    key = cells.ids if column == people.respondent else cells.text.map(normalised, na_action="ignore")
    owner = pd.Series(people.person).groupby(key.to_numpy()).transform("first")
    repeated = (owner.notna() & (owner != people.person)).to_numpy(copy=True)
    given = key.notna().to_numpy()
    repeated[given] |= seen.among(key[given])
    seen.add(key[given & ~repeated])
    return repeated


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
