"""All tables of a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pandas as pd

from nanotarget.report import theme
from nanotarget.report.tables import calibration, experiment, exploratory, participants
from nanotarget.report.tables.parts import Column, Table, texts
from nanotarget.report.theme import Names

SIMULATED_NOTE = f"{theme.SIMULATED}: made by a generator with known truth, not measured on people."

# Tables that show another view of a source.
VIEWS = {
    "design": "quality",
    "diagnostics_attributes": "diagnostics",
    "diagnostics_groups": "diagnostics",
    "multiplicity": "effects",
}


def build(sources: Mapping[str, pd.DataFrame], names: Names) -> dict[str, Table]:
    """Make every table whose source is there, in the order of the report.

    Args:
        sources: stem of an artefact (`amce` for calibrate/amce.csv) -> tidy table. A table is made of the
            artefact of its name, or the one that `VIEWS` names; `amce` needs `marginal_means` too,
            `effects` shows p values of `randomization_inference` and `equivalence` sentences of
            `sentences` if they are there. Other sources are left aside.
        names: labels, and whether to add the note on simulated data.
    """
    sentences = texts(sources["sentences"], "sentence") if "sentences" in sources else []
    builders: dict[str, Callable[[pd.DataFrame], Table]] = {
        "flow": lambda t: participants.flow(t, names),
        "participants": lambda t: participants.participants(t, names),
        "design": calibration.design,
        "amce": lambda t: calibration.amce(t, sources["marginal_means"], names),
        "learners": lambda t: calibration.learners(t, names),
        "diagnostics": lambda t: calibration.diagnostics(t, names),
        "diagnostics_attributes": lambda t: calibration.diagnostics_attributes(t, names),
        "diagnostics_groups": lambda t: calibration.diagnostics_groups(t, names),
        "ladder": lambda t: calibration.ladder(t, names),
        "frontier": calibration.frontier,
        "learning_curve": lambda t: calibration.learning_curve(t, names),
        "audit": lambda t: participants.audit(t, names),
        "arm_balance": lambda t: participants.arm_balance(t, names),
        "balance": lambda t: participants.balance(t, names),
        "effects": lambda t: experiment.effects(t, names, sources.get("randomization_inference")),
        "omnibus": lambda t: experiment.omnibus(t, names),
        "multiplicity": lambda t: experiment.multiplicity(t, names),
        "equivalence": lambda t: experiment.equivalence(t, names, sentences),
        "power": lambda t: experiment.power(t, names),
        "scales": lambda t: experiment.scales(t, names),
        "robustness": lambda t: experiment.robustness(t, names),
        "randomization_inference": lambda t: experiment.randomization_inference(t, names),
        "attrition": lambda t: participants.attrition(t, names),
        "differential_attrition": lambda t: participants.differential_attrition(t, names),
        "lee_bounds": lambda t: participants.lee_bounds(t, names),
        "ipw": lambda t: participants.ipw(t, names),
        "cace": lambda t: participants.cace(t, names),
        "checks": lambda t: participants.checks(t, names),
        "subgroups": lambda t: exploratory.subgroups(t, names),
        "odds_ratios": lambda t: exploratory.odds_ratios(t, names),
        "mobilisation": lambda t: exploratory.mobilisation(t, names),
        "validation": lambda t: exploratory.validation(t, names),
        "gate": lambda t: exploratory.gate(t, names),
        "projection": lambda t: exploratory.projection(t, names),
        "rate": lambda t: exploratory.rate(t, names),
        "dissuasion": lambda t: exploratory.dissuasion(t, names),
        "lower_tail": lambda t: exploratory.lower_tail(t, names),
        "fairness": lambda t: exploratory.fairness(t, names),
        "deviations": deviations,
    }
    origin = {name: VIEWS.get(name, name) for name in builders}
    made = {name: builders[name](sources[of]) for name, of in origin.items() if of in sources}
    if not names.synthetic:
        return made
    return {name: replace(table, notes=[*table.notes, SIMULATED_NOTE]) for name, table in made.items()}


def deviations(table: pd.DataFrame) -> Table:
    """What was done differently from the pre-registration (deviations.csv)."""
    labels = {
        "deviation": "Id",
        "what": "What",
        "registered": "Pre-registered",
        "done": "Done",
        "outputs": "Touches",
    }
    columns = [
        Column(label, texts(table, column), wide=column != "deviation") for column, label in labels.items()
    ]
    notes = [] if len(table) else ["No deviation."]
    return Table("deviations", "Deviations from the pre-registration", columns, table, notes=notes)
