"""Tidy tables to tables for people: HTML and LaTeX (booktabs) with the same cells, and CSV.

A module a stage; its functions, one a table of the catalogue, take tidy tables and labels and return a
`Table`. `parts` says what a table consists of and how numbers are rounded, `writing` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from nanotarget.report import theme
from nanotarget.report.catalogue import Exhibit
from nanotarget.report.tables.parts import SUPPRESSED, Column, Estimates, Listing, Table
from nanotarget.report.tables.writing import as_docx, as_float, as_html, as_latex, as_page, latex
from nanotarget.report.theme import Names

__all__ = [
    "SIMULATED_NOTE",
    "Column",
    "Estimates",
    "Listing",
    "Table",
    "as_docx",
    "as_float",
    "as_html",
    "as_latex",
    "as_page",
    "latex",
    "tabulate",
]

SIMULATED_NOTE = f"{theme.SIMULATED}: made by a generator with known truth, not measured on people."


def tabulate(exhibit: Exhibit, tables: Mapping[str, pd.DataFrame], names: Names) -> Table:
    """Make a table of the catalogue, with a note if the data are simulated.

    Args:
        exhibit: the table.
        tables: tidy tables by stem, at least those that it draws from.
        names: labels.
    """
    made: Table = exhibit.make(tables, names)
    hidden = any(theme.HIDDEN in column.cells for column in made.columns)
    notes = [
        *made.notes,
        *([SUPPRESSED] if hidden else []),
        *([SIMULATED_NOTE] if names.synthetic else []),
    ]
    return replace(made, notes=notes, title=exhibit.caption, name=exhibit.name)
