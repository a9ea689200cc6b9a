"""Tidy tables to figures.

A module a stage; its functions, one a figure of the catalogue, take tidy tables and labels and return a
`Drawn`: a matplotlib figure, the tidy data that it shows and a sentence that describes it for those who
cannot see it. All sizes are in inches and measured, so that labels of any length find room. Texts from data
are never markup. `page` holds what figures are made of.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from nanotarget.report.catalogue import Exhibit
from nanotarget.report.figures.page import Drawn, sentence
from nanotarget.report.theme import Names

__all__ = ["Drawn", "draw"]


def draw(exhibit: Exhibit, tables: Mapping[str, pd.DataFrame], names: Names) -> Drawn:
    """Draw a figure of the catalogue; one with nothing to show holds its sentence and its first table.

    Args:
        exhibit: the figure.
        tables: tidy tables by stem, at least those that it draws from.
        names: labels.
    """
    if reason := exhibit.sentence(tables, names):
        return Drawn(sentence(reason, names), tables[exhibit.sources[0]], reason)
    drawn: Drawn = exhibit.make(tables, names)
    return drawn
