"""The label of every estimate, the deviations that touch it and the family in which it is adjusted.

Labels follow from the registration alone; there is no way to set one by hand.
"""

from __future__ import annotations

import pandas as pd

from nanotarget.study.preregistration import ESTIMATORS, Label, Registration


def own_family(table: pd.DataFrame) -> pd.Series:
    """Name the family of each estimate where none is registered: its outcome and estimator."""
    return table["outcome"].astype("str") + ", " + table["estimator"].astype("str")


def families(registration: Registration | None, table: pd.DataFrame) -> pd.Series:
    """Name the family of tests in which the p value of each estimate is adjusted.

    What no registered family lists is adjusted over the contrasts of its outcome and estimator.

    Args:
        registration: the study's, or None.
        table: with outcome, estimator and contrast.

    Returns:
        Texts with the index of the table.
    """
    members = [
        (family.name, analysis)
        for family in (registration.families if registration else [])
        for analysis in registration.analyses  # type: ignore[union-attr]
        if analysis.id in family.analyses
    ]

    def family_of(own: str, *estimate: str) -> str:
        if registration is not None and registration.knows(estimate[-1]):
            for name, analysis in members:
                if analysis.covers(*estimate):
                    return name
        return own

    rows = zip(own_family(table), table["outcome"], table["estimator"], table["contrast"], strict=True)
    return pd.Series([family_of(*row) for row in rows], index=table.index, dtype="str", name="family")


def label_of(registration: Registration | None, outcome: str, estimator: str, contrast: str) -> Label:
    """Return the label of an estimate; without a registration everything is exploratory.

    Args:
        registration: the study's, or None.
        outcome: name of the outcome.
        estimator: one of ESTIMATORS (or any other, which is exploratory). One of the registered
            robustness set is secondary wherever it answers the question of a registered analysis.
        contrast: as `contrast_name` writes it. With an arm that is not registered it is exploratory,
            even where an analysis was registered for every contrast.
    """
    if registration is None or estimator not in ESTIMATORS:
        return "exploratory"
    if not registration.knows(contrast):
        return "exploratory"
    if any(hypothesis.covers(outcome, estimator, contrast) for hypothesis in registration.hypotheses):
        return "confirmatory"
    if any(analysis.covers(outcome, estimator, contrast) for analysis in registration.secondary):
        return "secondary"
    if estimator in registration.robustness and any(
        analysis.asks(outcome, contrast) for analysis in registration.analyses
    ):
        return "secondary"
    return "exploratory"


def marked(table: pd.DataFrame, output: str, deviations: pd.DataFrame | None) -> pd.DataFrame:
    """Add the ids of the deviations that touch each row of a table, joined by "; ".

    Args:
        table: with outcome and estimator, where these distinguish its rows.
        output: its path inside the study's results.
        deviations: from `deviations.deviations`; None for none.
    """
    if deviations is None or deviations.empty:
        return table.assign(deviation="")
    relevant = [row for row in deviations.fillna("").itertuples() if output in row.outputs.split("; ")]
    blank = [""] * len(table)
    rows = zip(table.get("outcome", blank), table.get("estimator", blank), strict=True)
    marks = [
        "; ".join(
            deviation.deviation
            for deviation in relevant
            if deviation.outcome in ("", outcome)
            and (deviation.estimator == "" or estimator in deviation.estimator.split("; "))
        )
        for outcome, estimator in rows
    ]
    return table.assign(deviation=marks)
