"""Who took part."""

from __future__ import annotations

import pandas as pd

from nanotarget.report import theme
from nanotarget.report.tables.parts import Column, Listing, Shown, Table, counts, labelled, texts, together
from nanotarget.report.theme import Names

FOUND: Shown = {"rule": "Rule", "status": "Status", "done": "What was done", "n": "Cells"}
DISCLOSURE = Listing(FOUND, "file", ["disclosure.csv, beside the report, names every cell."])
OTHER_ARMS = {"all": "everybody", "none": "in no arm"}


def flow(table: pd.DataFrame, names: Names) -> Table:
    """Participant flow (clean/flow.csv), a group a sample and arm."""
    groups = [
        f"{sample.capitalize()}: {arm if arm in names.arms else OTHER_ARMS.get(arm, arm)}"
        for sample, arm in zip(texts(table, "sample"), texts(table, "arm"), strict=True)
    ]
    table, groups = together(table, groups)
    columns = [
        Column("Step", texts(table, "step"), wide=True),
        counts(table, "n_before", "Before"),
        counts(table, "n_excluded", "Left out"),
        counts(table, "n_after", "After"),
    ]
    return Table(columns, table, groups)


def disclosure(table: pd.DataFrame, names: Names) -> Table:
    """How many cells of each file the audit found (disclosure.csv)."""
    found = ["file", "rule", "status", "done"]
    return DISCLOSURE(table.fillna("").groupby(found, sort=False).size().rename("n").reset_index(), names)


def participants(table: pd.DataFrame, names: Names) -> Table:
    """Participants of the experiment at every stage (estimate/participants.csv), arms side by side."""
    stages = ["stage", "outcome", "reason"]
    rows = table[stages].fillna("").drop_duplicates(ignore_index=True)
    keys = [table[column].fillna("") for column in (*stages, "arm")]
    found = dict(zip(zip(*keys, strict=True), table["n"], strict=True))
    arms = list(dict.fromkeys(texts(table, "arm")))
    columns = [
        Column("Stage", [stage.capitalize() for stage in rows["stage"]]),
        Column("Outcome", labelled(rows, "outcome", names), wide=True),
        Column("Reason", texts(rows, "reason"), wide=True),
    ]
    for arm in arms:
        cells = [
            theme.people(found[(*row, arm)]) if (*row, arm) in found else ""
            for row in rows.itertuples(index=False, name=None)
        ]
        label = arm if arm in names.arms else OTHER_ARMS.get(arm, arm).capitalize()
        columns.append(Column(label, cells, numeric=True))
    notes = ["Who failed a check is not left out: all who answered are analysed as they were assigned."]
    return Table(columns, table, notes=notes if len(rows) else [])
