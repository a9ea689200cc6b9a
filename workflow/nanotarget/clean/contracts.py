"""Data contracts: the pandera schema of every Parquet that one stage hands to the next."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pandera.pandas as pa

from nanotarget.petitions.design import Design
from nanotarget.study.config import CovariateConfig, OutcomeConfig

# Columns of every table of estimates, in this order, after the columns that say what is estimated.
ESTIMATE_COLUMNS = (
    "estimate",
    "std_error",
    "statistic",
    "p_value",
    "conf_low",
    "conf_high",
    "df",
    "n",
)


def _attribute_columns(design: Design, nullable: bool) -> dict[str, pa.Column]:
    return {
        a.name: pa.Column(pd.CategoricalDtype(list(a.levels), ordered=True), nullable=nullable)
        for a in design.attributes
    }


def _covariate_columns(covariates: Sequence[CovariateConfig]) -> dict[str, pa.Column]:
    """Numeric covariates are float64 (NaN = missing), categorical ones categories in config order."""
    columns = {}
    for c in covariates:
        if c.kind == "numeric":
            checks = [pa.Check.in_range(*c.range)] if c.range else []
            columns[c.name] = pa.Column("float64", checks, nullable=True)
        else:
            levels = [str(level) for level in c.levels or []]
            columns[c.name] = pa.Column(pd.CategoricalDtype(levels), nullable=True)
    return columns


def calibration_profiles(design: Design, outcomes: Sequence[str]) -> pa.DataFrameSchema:
    """One row per profile shown, sorted by respondent_id, task, profile.

    Columns: respondent_id (text), task and profile (1, 2, ...), one ordered categorical an
    attribute, the outcomes by their names in `RESPONSES` (float64, NaN = not answered), and `weight` (survey
    weight of the respondent, 1 without weights).
    """
    return pa.DataFrameSchema(
        {
            "respondent_id": pa.Column("str"),
            "task": pa.Column("int64", pa.Check.ge(1)),
            "profile": pa.Column("int64", pa.Check.ge(1)),
            **_attribute_columns(design, nullable=False),
            **{name: pa.Column("float64", nullable=True) for name in outcomes},
            "weight": pa.Column("float64", pa.Check.gt(0)),
        },
        unique=["respondent_id", "task", "profile"],
        strict=True,
        ordered=True,
    )


def attribute_rows(design: Design) -> pa.DataFrameSchema:
    """One row per profile, as `calibration_profiles`: in which row of the table each attribute stood.

    Only of surveys in which the order of attributes was drawn; NaN where an attribute was not shown.
    """
    return pa.DataFrameSchema(
        {
            "respondent_id": pa.Column("str"),
            "task": pa.Column("int64"),
            "profile": pa.Column("int64"),
            **{name: pa.Column("float64", pa.Check.ge(1), nullable=True) for name in design.names},
        },
        unique=["respondent_id", "task", "profile"],
        strict=True,
        ordered=True,
    )


def second_answers(outcomes: Sequence[str]) -> pa.DataFrameSchema:
    """One row per profile of a task that was asked twice: what was answered the second time.

    Respondent, task and profile are those of the first time; outcomes as in `calibration_profiles`.
    """
    return pa.DataFrameSchema(
        {
            "respondent_id": pa.Column("str"),
            "task": pa.Column("int64", pa.Check.ge(1)),
            "profile": pa.Column("int64", pa.Check.ge(1)),
            **{name: pa.Column("float64", nullable=True) for name in outcomes},
        },
        unique=["respondent_id", "task", "profile"],
        strict=True,
        ordered=True,
    )


def calibration_respondents(covariates: Sequence[CovariateConfig]) -> pa.DataFrameSchema:
    """One row per respondent of the calibration, sorted by respondent_id."""
    return pa.DataFrameSchema(
        {
            "respondent_id": pa.Column("str", unique=True),
            **_covariate_columns(covariates),
            "weight": pa.Column("float64", pa.Check.gt(0)),
        },
        strict=True,
        ordered=True,
    )


def experiment(
    arms: Sequence[str],
    covariates: Sequence[CovariateConfig],
    outcomes: Sequence[OutcomeConfig],
    design: Design | None,
) -> pa.DataFrameSchema:
    """One row per respondent of the experiment, sorted by respondent_id.

    Columns: respondent_id, arm (categorical, arms in config order), opt_out (bool), covariates,
    the petition shown (one nullable ordered categorical an attribute; only with `design`),
    outcomes (float64, NaN = not observed), observed (bool: the first outcome is there), weight,
    block (text: within which the arms were drawn, "" without blocks), cluster (text: who was
    randomised together; the respondent_id without clusters), outcome_cluster (text: whose outcomes hang
    together; the cluster unless the config names a larger group), delivered (nullable: the petition was
    delivered as assigned, NA = not logged), passed (nullable: no post-treatment check failed, NA =
    none asked).
    """
    return pa.DataFrameSchema(
        {
            "respondent_id": pa.Column("str", unique=True),
            "arm": pa.Column(pd.CategoricalDtype(list(arms))),
            "opt_out": pa.Column("bool"),
            **_covariate_columns(covariates),
            **(_attribute_columns(design, nullable=True) if design else {}),
            **{o.name: pa.Column("float64", nullable=True) for o in outcomes},
            "observed": pa.Column("bool"),
            "weight": pa.Column("float64", pa.Check.gt(0)),
            "block": pa.Column("str"),
            "cluster": pa.Column("str"),
            "outcome_cluster": pa.Column("str"),
            "delivered": pa.Column("boolean", nullable=True),
            "passed": pa.Column("boolean", nullable=True),
        },
        strict=True,
        ordered=True,
    )


def roster(covariates: Sequence[CovariateConfig]) -> pa.DataFrameSchema:
    """One row per respondent who is going to be fielded, sorted by respondent_id."""
    return pa.DataFrameSchema(
        {
            "respondent_id": pa.Column("str", unique=True),
            "opt_out": pa.Column("bool"),
            **_covariate_columns(covariates),
        },
        strict=True,
        ordered=True,
    )


def assignments(design: Design) -> pa.DataFrameSchema:
    """One row per respondent and policy, sorted by respondent_id, then policy in config order.

    Columns: respondent_id, policy, petition_id, one ordered categorical an attribute, predicted
    (response to that petition, outcome units; missing for people who refused personalisation) and
    gain_over_best (predicted minus the predicted response of the same respondent to the
    overall-best petition).
    """
    return pa.DataFrameSchema(
        {
            "respondent_id": pa.Column("str"),
            "policy": pa.Column("str"),
            "petition_id": pa.Column("int64", pa.Check.ge(0)),
            **_attribute_columns(design, nullable=False),
            "predicted": pa.Column("float64", nullable=True),
            "gain_over_best": pa.Column("float64"),
        },
        unique=["respondent_id", "policy"],
        strict=True,
        ordered=True,
    )
