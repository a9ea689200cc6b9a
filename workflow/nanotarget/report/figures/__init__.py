"""Tidy tables to figures.

Each function takes the tables of earlier stages and returns a `Drawn`: a matplotlib figure, the
tidy data it shows and a sentence that describes it for those who cannot see it. All sizes are in
inches and measured, so that labels of any length find room. Texts from data are never markup.

`page` holds what figures are made of; `participants`, `study` (petitions and what people like of
them), `diagnosis`, `experiment` and `exploration` draw them.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from nanotarget.report import theme
from nanotarget.report.figures import diagnosis, experiment, exploration, participants, study
from nanotarget.report.figures.page import Drawn
from nanotarget.report.theme import Names

__all__ = ["Drawn", "build"]


def build(
    sources: Mapping[str, pd.DataFrame], names: Names, *, profiles: int, analysed: str
) -> dict[str, Drawn]:
    """Draw every figure whose sources are there.

    Args:
        sources: stem of an artefact -> table. `flow` is always there; `amce` comes with `marginal_means`;
            `diagnostics` with calibration, switches, abundance, frontier, learning_curve and ladder;
            `randomization_distribution` with `randomization_inference`; `targeting_curve` with `rate`;
            `effects` may come with `equivalence`.
        names: labels.
        profiles: profiles a task; a forced choice without preferences has the mean 1/profiles.
        analysed: calibration outcome in whose units the diagnosis speaks.
    """
    drawn = {"flow": participants.flow(sources["flow"], names)}
    if "participants" in sources:
        drawn["participants"] = participants.participants(sources["participants"], names)
    if "design" in sources:
        drawn["design"] = study.design(sources["design"], names)
    if "amce" in sources:
        for outcome in names.ratings:
            null = 1 / profiles if outcome == "choice" and profiles > 1 else None
            drawn[f"amce_{outcome}"] = study.amce(
                sources["amce"], sources["marginal_means"], outcome, names, null
            )
    if "imces" in sources:
        drawn["imces"] = study.imces(sources["imces"], analysed, names)
    if "diagnostics" in sources:
        drawn |= _diagnosis(sources, names, analysed)
    if "petitions" in sources:
        drawn["petitions"] = study.petitions(sources["petitions"], names)
    return drawn | _experiment(sources, names) | _exploration(sources, names, analysed)


def _experiment(sources: Mapping[str, pd.DataFrame], names: Names) -> dict[str, Drawn]:
    """Draw the figures of the experiment's effects."""
    drawn = {}
    if "effects" in sources:
        drawn["effects"] = experiment.effects(sources["effects"], names, sources.get("equivalence"))
    if "randomization_distribution" in sources:
        drawn["randomization"] = experiment.randomization(
            sources["randomization_distribution"], sources["randomization_inference"], names
        )
    if "robustness" in sources:
        drawn["specifications"] = experiment.specifications(sources["robustness"], names)
    if "lee_bounds" in sources:
        drawn["bounds"] = experiment.bounds(sources["lee_bounds"], names)
    return drawn


def _exploration(sources: Mapping[str, pd.DataFrame], names: Names, analysed: str) -> dict[str, Drawn]:
    """Draw the figures of the explorations."""
    drawn = {}
    if "subgroups" in sources:
        drawn["subgroups"] = exploration.subgroups(sources["subgroups"], names)
    if "validation" in sources:
        table = sources["validation"]
        drawn["validation"] = exploration.validation(table, names)
        drawn["dilution"] = exploration.dilution(table, names)
        drawn["dose"] = exploration.dose(table, names)
    if "targeting_curve" in sources:
        drawn["targeting"] = exploration.targeting(sources["targeting_curve"], sources["rate"], names)
    if "lower_tail" in sources:
        drawn["tail"] = exploration.tail(sources["lower_tail"], names)
    if "dissuasion" in sources:
        drawn["dissuasion"] = exploration.dissuasion(sources["dissuasion"], analysed, names)
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
