"""Tidy tables to figures.

Each function takes the tables of earlier stages and returns a `Drawn`: a matplotlib figure, the
tidy data it shows and a sentence that describes it for those who cannot see it. All sizes are in
inches and measured, so that labels of any length find room. Texts from data are never markup.

`page` holds what figures are made of, `diagnosis` the figures of the four-part diagnosis, `study`
all others.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from nanotarget import theme
from nanotarget.figures import diagnosis, study
from nanotarget.figures.page import Drawn
from nanotarget.theme import Names

__all__ = ["Drawn", "build"]


def build(
    sources: Mapping[str, pd.DataFrame],
    names: Names,
    *,
    profiles: int,
    analysed: str,
    smallest: Mapping[tuple[str, str], float],
) -> dict[str, Drawn]:
    """Draw every figure whose source is there.

    Args:
        sources: artefact (flow, amce, marginal_means, diagnostics, petitions, effects, subgroups; with
            diagnostics also calibration, switches, abundance, frontier, learning_curve, ladder) -> table.
        names: labels.
        profiles: profiles a task; a forced choice without preferences has the mean 1/profiles.
        analysed: calibration outcome in whose units the diagnosis speaks.
        smallest: smallest gain of nano over overall-best that matters in the experiment, as
            `study.bands` returns it.
    """
    drawn = {"flow": study.flow(sources["flow"], names)}
    if "amce" in sources:
        for outcome in names.ratings:
            null = 1 / profiles if outcome == "choice" and profiles > 1 else None
            drawn[f"amce_{outcome}"] = study.amce(
                sources["amce"], sources["marginal_means"], outcome, names, null
            )
    if "diagnostics" in sources:
        drawn |= _diagnosis(sources, names, analysed)
    if "petitions" in sources:
        drawn["petitions"] = study.petitions(sources["petitions"], names)
    if "effects" in sources:
        drawn["effects"] = study.effects(sources["effects"], names, smallest)
    if "subgroups" in sources:
        drawn["subgroups"] = study.subgroups(sources["subgroups"], names)
    return drawn


def _diagnosis(sources: Mapping[str, pd.DataFrame], names: Names, analysed: str) -> dict[str, Drawn]:
    """Draw the figures of the diagnosis in the order of its stages."""
    table, unit = sources["diagnostics"], theme.UNITS[analysed]
    return {
        "funnel": diagnosis.funnel(table, unit, names),
        "variance": diagnosis.variance(table, unit, names),
        "calibration": diagnosis.calibration(sources["calibration"], table, unit, names),
        "ladder": diagnosis.ladder(sources["ladder"], table, unit, names),
        "switches": diagnosis.switches(sources["switches"], names),
        "abundance": diagnosis.abundance(sources["abundance"], table, names),
        "dividend": diagnosis.dividend(table, names.of(analysed), names),
        "frontier": diagnosis.frontier(sources["frontier"], table, unit, names),
        "learning": diagnosis.learning(sources["learning_curve"], table, unit, names),
    }
