"""The tables that the outcomes of the experiment go into, by their paths in the results of a study."""

from __future__ import annotations

from enum import StrEnum


class Table(StrEnum):
    """Every table made of the arms and outcomes of the experiment."""

    EFFECTS = "estimate/effects.csv"
    EQUIVALENCE = "estimate/equivalence.csv"
    SCALES = "estimate/scales.csv"
    OMNIBUS = "estimate/omnibus.csv"
    RANDOMIZATION_INFERENCE = "estimate/randomization_inference.csv"
    LEE = "estimate/lee_bounds.csv"
    IPW = "estimate/ipw.csv"
    CACE = "estimate/cace.csv"
    CHECKS = "estimate/checks.csv"
    ROBUSTNESS = "estimate/robustness.csv"
    POWER = "estimate/power.csv"
    SUBGROUPS = "explore/subgroups.csv"
    ODDS_RATIOS = "explore/odds_ratios.csv"
    MOBILISATION = "explore/mobilisation.csv"
    LOWER_TAIL = "explore/lower_tail.csv"
    GATE = "explore/gate.csv"
    PROJECTION = "explore/projection.csv"
    RATE = "explore/rate.csv"
    TARGETING_CURVE = "explore/targeting_curve.csv"
    VALIDATION = "explore/validation.csv"
    FAIRNESS = "explore/fairness.csv"
    ATTRITION = "estimate/attrition.csv"
    DIFFERENTIAL_ATTRITION = "estimate/differential_attrition.csv"
    BALANCE = "estimate/balance.csv"
    PARTICIPANTS = "estimate/participants.csv"


# Who is in the sample; the others are estimates from its outcomes.
SAMPLE_TABLES = (Table.ATTRITION, Table.DIFFERENTIAL_ATTRITION, Table.BALANCE, Table.PARTICIPANTS)
ESTIMATES = tuple(table for table in Table if table not in SAMPLE_TABLES)

# Estimator that can be registered -> where its rows are beside the specification curve in ROBUSTNESS.
TABLE_OF = {
    "dim": Table.EFFECTS,
    "lin": Table.EFFECTS,
    "tost": Table.EQUIVALENCE,
    "logit": Table.SCALES,
    "ordinal": Table.SCALES,
    "mann_whitney": Table.SCALES,
    "ri": Table.RANDOMIZATION_INFERENCE,
    "lee": Table.LEE,
    "ipw": Table.IPW,
    "cace": Table.CACE,
}
