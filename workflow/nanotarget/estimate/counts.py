"""Counts of people in the tables of the experiment, and these tables without what is hidden of few people."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.clean.flow import EVERYBODY
from nanotarget.clean.headcount import (
    KEPT,
    REACHED,
    RECORDED,
    TRIAL,
    Cell,
    Cells,
    became,
    blanked,
    left,
    there,
)
from nanotarget.estimate.arms import MISSING
from nanotarget.estimate.outcomes import ALL
from nanotarget.estimate.robustness import ALL as EVERYONE
from nanotarget.estimate.robustness import PASSED
from nanotarget.estimate.tables import Table
from nanotarget.study.disclosure import small

PLACES = 2  # of p values of tests on few people
FEW = "suppressed: so few people are left out that estimates with and without them would tell of them"


def of_participants(table: pd.DataFrame) -> Cells:
    """Say whom `Table.PARTICIPANTS` counts."""
    after = {"completed": "answered", "not completed": "missing", "analysed": "answered"}
    excluded = table["stage"].eq("excluded") & table["n"].ne(0)
    some = set(table.loc[excluded, "arm"])

    def cell(stage: str, arm: str, outcome: str, reason: str) -> Cell:
        match stage:
            case "assessed" | "randomised":
                return there(TRIAL, arm, RECORDED if stage == "assessed" and arm in some else KEPT)
            case "excluded":
                return left(TRIAL, arm, reason)
            case "received":
                return became(REACHED[0], arm)
            case "not received":
                return became(reason, arm)
        return became(after.get(stage, stage), arm, outcome)

    rows = table[["stage", "arm", "outcome", "reason"]].astype("object").fillna("").astype("str")
    return {"n": [cell(*row) for row in rows.itertuples(index=False, name=None)]}


def of_attrition(table: pd.DataFrame) -> Cells:
    """Say whom `Table.ATTRITION` counts."""
    pairs = list(zip(table["arm"].astype("str"), table["outcome"].astype("str"), strict=True))
    return {
        "n_assigned": [there(TRIAL, arm) for arm, _ in pairs],
        "n_observed": [became("answered", *pair) for pair in pairs],
        "n_missing": [became("missing", *pair) for pair in pairs],
    }


def of_differential_attrition(table: pd.DataFrame) -> Cells:
    """Say whom `Table.DIFFERENTIAL_ATTRITION` counts."""
    return {
        "n_assigned": [there(TRIAL, EVERYBODY)] * len(table),
        "n_missing": [became("missing", EVERYBODY, str(outcome)) for outcome in table["outcome"]],
    }


def of_outcomes(table: pd.DataFrame) -> Cells:
    """Say whom `Table.OUTCOMES` counts; who gave one of the answers is in no other table."""
    arms = [EVERYBODY if arm == ALL else str(arm) for arm in table["arm"]]
    whole = table["value"].isna()
    rows = list(zip(arms, table["outcome"].astype("str"), whole, strict=True))
    return {
        "n_assigned": [there(TRIAL, arm) for arm in arms],
        "n": [became("answered", arm, outcome) if all_ else None for arm, outcome, all_ in rows],
    }


def of_balance(table: pd.DataFrame) -> Cells:
    """Say whom `Table.BALANCE` counts: whole arms, where nobody lacks the covariate."""
    lacking = table["level"].eq(MISSING)
    known = ~table["covariate"].isin(table.loc[lacking, "covariate"]) | lacking
    arms = table["contrast"].astype("str").str.rpartition(" - ")
    return {
        column: [there(TRIAL, arm) if whole else None for arm, whole in zip(arms[side], known, strict=True)]
        for column, side in (("n_ref", 2), ("n_other", 0))
    }


OF_TABLE: Mapping[Table, Callable[[pd.DataFrame], Cells]] = {
    Table.PARTICIPANTS: of_participants,
    Table.ATTRITION: of_attrition,
    Table.DIFFERENTIAL_ATTRITION: of_differential_attrition,
    Table.OUTCOMES: of_outcomes,
    Table.BALANCE: of_balance,
}


def published(table: pd.DataFrame, kind: Table, hidden: set[Cell], min_cell: int) -> pd.DataFrame:
    """Return a table of the experiment without what is hidden of few people.

    Shares, and statistics of tests, go with the counts that they would tell; p values of such tests have two
    decimals. Where few are left out of a sample, there are no estimates without them.

    Args:
        table: of the experiment.
        kind: which one.
        hidden: counts of people that no table has.
        min_cell: smallest count that is published.
    """
    match kind:
        case Table.PARTICIPANTS | Table.OUTCOMES:
            return blanked(table, OF_TABLE[kind](table), hidden)
        case Table.ATTRITION | Table.DIFFERENTIAL_ATTRITION:
            return _attrition(table, kind, hidden)
        case Table.BALANCE:
            return _balance(table, hidden)
        case Table.LEE:
            return _lee(table, hidden)
        case Table.CHECKS:
            return _checks(table, min_cell)
        case Table.ROBUSTNESS:
            return _robustness(table, min_cell)
    return table


def _attrition(table: pd.DataFrame, kind: Table, hidden: set[Cell]) -> pd.DataFrame:
    shown = blanked(table, OF_TABLE[kind](table), hidden)
    gone = shown[["n_assigned", "n_missing"]].isna().any(axis=1)
    if "attrition" in shown:
        shown.loc[gone, "attrition"] = np.nan
    tests = gone.groupby(shown["outcome"]).transform("any")
    shown.loc[tests, [c for c in ("chi2", "wald_f") if c in shown]] = np.nan
    p_values = [c for c in ("chi2_p", "wald_p", "p_value", "p_adjusted") if c in shown]
    shown.loc[tests, p_values] = shown.loc[tests, p_values].round(PLACES)
    return shown


def _balance(table: pd.DataFrame, hidden: set[Cell]) -> pd.DataFrame:
    """Take sizes of hidden arms; means, of which k / n would tell n, are rounded."""
    cells = of_balance(table)
    shown = blanked(table, cells, hidden)
    for size, mean in (("n_ref", "mean_ref"), ("n_other", "mean_other")):
        gone = [name in hidden for name in cells[size]]
        shown.loc[gone, mean] = shown.loc[gone, mean].round(PLACES + 1)
        shown.loc[gone, "std_diff"] = shown.loc[gone, "std_diff"].round(PLACES + 1)
    return shown


def _lee(table: pd.DataFrame, hidden: set[Cell]) -> pd.DataFrame:
    """Take the rates of response of hidden arms."""
    sides = table["contrast"].astype("str").str.rpartition(" - ")
    gone = sides[[0, 2]].map(lambda arm: there(TRIAL, arm) in hidden).any(axis=1)
    shown = table.copy()
    shown.loc[gone, ["rate_later", "rate_earlier", "trim_share"]] = np.nan
    shown.loc[gone, "rate_p"] = shown.loc[gone, "rate_p"].round(PLACES)
    return shown


def _few_failed(table: pd.DataFrame, passed: str, min_cell: int) -> np.ndarray:
    """Say which rows are of a sample without those who failed a check, who are few in some two arms."""
    plain = table[table["estimator"].eq("dim")]
    n = plain.groupby(["outcome", "contrast", "sample"], sort=False)["n"].max().unstack()  # noqa: PD010
    if passed not in n:
        return np.zeros(len(table), dtype=bool)
    failed = (n[EVERYONE] - n[passed]).fillna(0)
    few = failed[small(failed.to_numpy(np.float64), min_cell)].index.get_level_values("outcome")
    return (table["sample"].eq(passed) & table["outcome"].isin(few)).to_numpy()


def _checks(table: pd.DataFrame, min_cell: int) -> pd.DataFrame:
    few = _few_failed(table, "passed", min_cell)
    shown = table.assign(n_left_out=table["n_left_out"].astype("Int64").mask(few))
    numbers = [*ESTIMATE_COLUMNS, "p_adjusted"]
    shown[numbers] = shown[numbers].astype("float64").mask(np.repeat(few[:, None], len(numbers), axis=1))
    shown.loc[few, "note"] = FEW
    return shown


def _robustness(table: pd.DataFrame, min_cell: int) -> pd.DataFrame:
    shown = table[~_few_failed(table, PASSED, min_cell)].reset_index(drop=True)
    ranks = shown.groupby(["outcome", "contrast", "scale"], sort=False).cumcount() + 1
    return shown.assign(rank=ranks)
