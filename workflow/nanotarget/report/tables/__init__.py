"""Tidy tables to tables for people: HTML and LaTeX (booktabs) with the same cells, and CSV.

`parts` says what a table consists of and how numbers are rounded, `writing` prints it; `participants`,
`calibration`, `experiment` and `exploratory` make the tables, `study` all of them.
"""

from nanotarget.report.tables.calibration import (
    BOUNDS,
    NEVER_FIELDED,
    amce,
    diagnostics,
    diagnostics_attributes,
    diagnostics_groups,
)
from nanotarget.report.tables.experiment import effects
from nanotarget.report.tables.participants import flow
from nanotarget.report.tables.parts import Column, Table, chosen
from nanotarget.report.tables.study import SIMULATED_NOTE, build, deviations
from nanotarget.report.tables.writing import as_html, as_latex, as_page, latex

__all__ = [
    "BOUNDS",
    "NEVER_FIELDED",
    "SIMULATED_NOTE",
    "Column",
    "Table",
    "amce",
    "as_html",
    "as_latex",
    "as_page",
    "build",
    "chosen",
    "deviations",
    "diagnostics",
    "diagnostics_attributes",
    "diagnostics_groups",
    "effects",
    "flow",
    "latex",
]
