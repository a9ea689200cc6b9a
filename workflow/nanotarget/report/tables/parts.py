"""What tables consist of: columns of formatted texts, numbers rounded by the size of their errors, footnotes.

Intervals instead of stars.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np
import pandas as pd

from nanotarget.calibrate import multiplicity
from nanotarget.estimate.tables import CORRECTED
from nanotarget.report import theme
from nanotarget.report.theme import Names

UNADJUSTED = "Exploratory: not adjusted for multiple comparisons."
SUPPRESSED = "Suppressed: too few people to publish, or needed to hide a cell that has too few."
# Counts of people that are missing only where they are hidden, and the share that goes with one of them.
HEADS = ("n_before", "n_excluded", "n_after", "n_assigned", "n_observed", "n_missing", "n_left_out")
SHARE_OF_HIDDEN = {"attrition": "n_missing"}
P_VALUES = (
    "p_value", "p_adjusted", "p_fisher", "chi2_p", "wald_p", "rate_p", "interaction_p", "parallel_p",
    "p_greater", "p_less", "p_redrawn", "p_mid", *multiplicity.CORRECTED, *CORRECTED,
)  # fmt: skip
# Numbers in units of the estimate beside them, and shares.
IN_UNITS = (
    "naive", "itt", "predicted", "shrunken", "value_ref", "value_other", "ratio", "odds_ratio",
)  # fmt: skip
SHARES = ("share_ref", "share_other", "attrition", "share_agree", "attributes_agree", "trim_share",
          "rate_later", "rate_earlier", "first_stage")  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of formatted texts, one a row; `numeric` aligns right, `wide` wraps long texts."""

    label: str
    cells: Sequence[str]
    numeric: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Table:
    """A table for people.

    Attributes:
        columns: at least one, all of the same length.
        data: the tidy numbers behind it, unrounded, written as CSV.
        groups: a heading a row (printed when it changes), or empty.
        notes: sentences under the table.
        title: one line.
        name: file stem.
    """

    columns: Sequence[Column]
    data: pd.DataFrame
    groups: Sequence[str] = ()
    notes: Sequence[str] = ()
    title: str = ""
    name: str = ""

    def __len__(self) -> int:
        return len(self.columns[0].cells)


def texts(table: pd.DataFrame, column: str) -> list[str]:
    """Return a column as texts; missing cells are empty."""
    return ["" if pd.isna(value) else str(value) for value in table[column]]


def labelled(table: pd.DataFrame, column: str, names: Names) -> list[str]:
    """Return a column as people read it: labels instead of names; what has no label stays as it is."""
    cells = texts(table, column)
    match column:
        case "outcome":
            return [names.of(cell) for cell in cells]
        case "contrast":
            return [theme.difference(cell) for cell in cells]
        case "quantity":
            return [theme.quantity(cell) for cell in cells]
        case _:
            labels = theme.LABELS.get(column, {})
            return [labels.get(cell, cell) for cell in cells]


def headings(table: pd.DataFrame, columns: Sequence[str], names: Names) -> list[str]:
    """Return a heading a row: the labels of some columns, empty ones left out."""
    cells = [labelled(table, column, names) for column in columns]
    return [": ".join(filter(None, row)) for row in zip(*cells, strict=True)]


def together(table: pd.DataFrame, groups: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Put rows of a heading together, headings in the order in which they come first."""
    place = {heading: i for i, heading in enumerate(dict.fromkeys(groups))}
    order = sorted(range(len(table)), key=lambda i: place[groups[i]])
    return table.iloc[order].reset_index(drop=True), [groups[i] for i in order]


def decimals(table: pd.DataFrame, alike: Sequence[Hashable]) -> list[int]:
    """Return the decimals of each row's estimate.

    Args:
        table: with estimate and std_error.
        alike: (n_rows,) rows with the same entry have the same decimals: as many as their median standard
            error asks for; numbers without one that are whole or large have none.
    """
    number = {key: i for i, key in enumerate(dict.fromkeys(alike))}
    codes = np.array([number[key] for key in alike], dtype=np.int64)
    places = [_decimals(table[codes == code]) for code in number.values()]
    return [places[code] for code in codes]


def _decimals(table: pd.DataFrame) -> int:
    values = table["estimate"].dropna()
    bare = not table["std_error"].gt(0).any()
    return (
        0
        if bare and ((values % 1 == 0) | (values.abs() >= 100)).all()
        else theme.decimals(table["std_error"])
    )


def estimates(table: pd.DataFrame, alike: Sequence[Hashable], level: float) -> tuple[Column, Column]:
    """Return estimates and their intervals, rounded as `decimals` says."""
    places = decimals(table, alike)
    return (
        Column("Estimate", _numbers(table["estimate"], places), numeric=True),
        Column(
            f"{theme.percent(level)} interval",
            _intervals(table, "conf_low", "conf_high", places),
            numeric=True,
        ),
    )


def _numbers(values: Iterable[float], places: Sequence[int]) -> list[str]:
    return [theme.number(value, digits) for value, digits in zip(values, places, strict=True)]


def _intervals(table: pd.DataFrame, low: str, high: str, places: Sequence[int]) -> list[str]:
    return [theme.interval(*ends) for ends in zip(table[low], table[high], places, strict=True)]


def p_values(table: pd.DataFrame, column: str, label: str) -> Column:
    """Return a column of p values; rows without a test stay empty."""
    cells = ["" if pd.isna(value) else theme.p_value(value) for value in table[column]]
    return Column(label, cells, numeric=True)


def counts(table: pd.DataFrame, column: str, label: str) -> Column:
    """Return a column of whole numbers."""
    if column in HEADS:
        return Column(label, [theme.people(value) for value in table[column]], numeric=True)
    cells = [theme.count(None if pd.isna(value) else value) for value in table[column]]
    return Column(label, cells, numeric=True)


def share(value: float) -> str:
    """Write a share as a percentage with one decimal at most."""
    return "–" if pd.isna(value) else theme.percent(round(value, 3))


def footnotes(notes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Turn notes on rows into marks and footnotes.

    Args:
        notes: (n_rows,) empty where there is none.

    Returns:
        (n_rows,) marks, " (a)" or empty, and the footnotes. A note on every row needs no mark.
    """
    distinct = list(dict.fromkeys(filter(None, notes)))
    sentences = [f"{note[:1].upper()}{note[1:].rstrip('.')}." for note in distinct]
    if len(distinct) == 1 and all(notes):
        return [""] * len(notes), sentences
    marks = dict(zip(distinct, _letters(), strict=False))
    return (
        [f" ({marks[note]})" if note else "" for note in notes],
        [f"({marks[note]}) {sentence}" for note, sentence in zip(distinct, sentences, strict=True)],
    )


def _letters() -> Iterator[str]:
    """Yield a, b, ..., z, aa, bb, ..."""
    length = 1
    while True:
        yield from (letter * length for letter in string.ascii_lowercase)
        length += 1


def marked_labels(table: pd.DataFrame) -> Column:
    """Return the label of every estimate: confirmatory, secondary, exploratory, and from what it deviates."""
    deviations = texts(table, "deviation") if "deviation" in table else [""] * len(table)
    cells = [
        f"{label} (deviates: {deviation})" if deviation else label
        for label, deviation in zip(texts(table, "label"), deviations, strict=True)
    ]
    return Column("Label", cells)


Shown = Mapping[str | tuple[str, str], str]


def shown(table: pd.DataFrame, columns: Shown, names: Names, places: Sequence[int] = ()) -> list[Column]:
    """Show some columns of a tidy table, each kind of value in its way; columns that are not there are not.

    Args:
        table: tidy.
        columns: column -> label for people, in this order; two columns are the ends of an interval.
        names: labels.
        places: (n_rows,) decimals of numbers in units of an estimate.
    """
    return [
        _shown(table, column, label, names, places)
        for column, label in columns.items()
        if (column[0] if isinstance(column, tuple) else column) in table
    ]


def _shown(
    table: pd.DataFrame, column: str | tuple[str, str], label: str, names: Names, places: Sequence[int]
) -> Column:
    if isinstance(column, tuple):
        cells = _intervals(table, *column, places)
        return Column(label, ["" if cell == "–" else cell for cell in cells], numeric=True)
    values = table[column]
    if column == "label":
        return marked_labels(table)
    if column in P_VALUES:
        return p_values(table, column, label)
    if pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
        cells = labelled(table, column, names)
        return Column(label, cells, wide=max(map(len, cells), default=0) > 30)
    if column in SHARES:
        cells = ["–" if pd.isna(value) else f"{theme.number(100 * value, 1)}%" for value in values]
        if column in SHARE_OF_HIDDEN:
            hidden = table[SHARE_OF_HIDDEN[column]].isna()
            cells = [theme.HIDDEN if hide else cell for hide, cell in zip(hidden, cells, strict=True)]
        return Column(label, cells, numeric=True)
    if column in IN_UNITS and len(places):
        cells = _numbers(values, places)
        return Column(label, ["" if cell == "–" else cell for cell in cells], numeric=True)
    if column == "n_effective" or (values.dropna() % 1 == 0).all():
        return counts(table, column, label)
    digits = 1 if values.abs().max() >= 100 else 3
    return Column(label, [theme.number(value, digits) for value in values], numeric=True)


@dataclass(frozen=True)
class Listing:
    """Some columns of a tidy table without estimates, as a function of the table and the labels.

    Attributes:
        columns: as in `shown`.
        group: column whose values become headings, if any.
        notes: of the table.
    """

    columns: Shown
    group: str = ""
    notes: Sequence[str] = ()

    def __call__(self, table: pd.DataFrame, names: Names) -> Table:
        marks, extra = footnotes(texts(table, "note")) if "note" in table else ((), [])
        first, *others = shown(table, self.columns, names)
        if marks:
            cells = [cell + mark for cell, mark in zip(first.cells, marks, strict=True)]
            first = replace(first, cells=cells)
        groups = labelled(table, self.group, names) if self.group else ()
        return Table([first, *others], table, groups, [*self.notes, *extra])


@dataclass(frozen=True)
class Estimates:
    """A tidy table of estimates, as a function of the table and the labels.

    It shows what is estimated, estimate and interval, and what stands beside them. Notes of rows (why there
    is no number, what is assumed) become footnotes; suppressed rows say so.

    Attributes:
        keys, beside: as in `shown`, left and right of the estimate.
        group: columns whose labels make the headings.
        alike: columns in which rows agree that are rounded alike; by default `group`.
        notes: of the table.
        level: of the intervals, by the labels; by default the experiment's.
    """

    keys: Shown
    beside: Shown
    group: Sequence[str] = ("outcome",)
    alike: Sequence[str] = ()
    notes: Sequence[str] = ()
    level: Callable[[Names], float] = attrgetter("level")

    def __call__(self, table: pd.DataFrame, names: Names) -> Table:
        """Show a table with estimate, std_error, conf_low and conf_high."""
        table, groups = together(table, headings(table, self.group, names))
        precision = list(
            table[list(self.alike or self.group)].astype("str").itertuples(index=False, name=None)
        )
        places = decimals(table, precision)
        estimate, interval = estimates(table, precision, self.level(names))
        hidden = list(table["suppressed"].astype("bool")) if "suppressed" in table else [False] * len(table)
        marks, extra = footnotes(texts(table, "note")) if "note" in table else ([""] * len(table), [])
        cells = [
            theme.HIDDEN if hide else cell + mark
            for hide, cell, mark in zip(hidden, estimate.cells, marks, strict=True)
        ]
        columns = [
            *shown(table, self.keys, names, places),
            replace(estimate, cells=cells),
            interval,
            *shown(table, self.beside, names, places),
        ]
        return Table(columns, table, groups, [*self.notes, *extra])
