"""What the diagnosis found."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from nanotarget.diagnose.quantities import DIAGNOSTICS, Diagnostic, Estimator, Quantity
from nanotarget.diagnose.words import NEVER_FIELDED, QUESTIONS
from nanotarget.report import theme
from nanotarget.report.tables.parts import (
    UNADJUSTED,
    Column,
    Table,
    counts,
    estimates,
    share,
    texts,
)
from nanotarget.report.theme import Names

VARIANCES = (Quantity.PERSON_BY_MESSAGE, Quantity.COMMON, Quantity.BASELINE, Quantity.NOISE)
GAINS = (  # estimators of differences in value
    Estimator.FIRST_ORDER,
    Estimator.INTERACTING_PAIRS,
    Estimator.SECOND_ORDER,
    Estimator.PLUG_IN,
)


def variance_parts(table: pd.DataFrame, names: Names) -> pd.DataFrame:
    """Return the rows of the parts of the variance by quantity; none without person x message variance."""
    ours = names.main(table)
    ours = ours[(ours["diagnostic"] == Diagnostic.HETEROGENEITY) & ours["quantity"].isin(VARIANCES)]
    parts = ours.set_index("quantity").reindex(VARIANCES).dropna(subset="estimate")
    return parts if Quantity.PERSON_BY_MESSAGE in parts.index else parts.iloc[:0]


def dividend_rows(table: pd.DataFrame, names: Names) -> pd.DataFrame:
    """Return the differences in value between two policies, of every estimator."""
    ours = names.main(table)
    contrasts = [f"{a} - {b}" for a in theme.POLICIES for b in theme.POLICIES]
    rows = ours["diagnostic"].eq(Diagnostic.DIVIDEND) & ours["estimator"].isin(GAINS)
    return ours[rows & ours["quantity"].isin(contrasts)].reset_index(drop=True)


def diagnostics(table: pd.DataFrame, names: Names) -> Table:
    """Diagnosis for the study's goal and everybody (diagnose/diagnostics.csv), a group a stage.

    Values by attribute have a table of their own. Of the sensitivity estimates only those of the gain
    itself are shown; the data hold all rows.
    """
    ours, shown = names.main(table), headlines(table, names)
    stages = {str(stage): f"{k + 1} {stage.capitalize()}" for k, stage in enumerate(DIAGNOSTICS)}
    groups = [stages.get(diagnostic, "What would matter") for diagnostic in texts(shown, "diagnostic")]
    verdicts = texts(shown, "verdict")
    columns = [
        Column(
            "Quantity",
            [
                theme.quantity(quantity) + (" (decides)" if verdict else "")
                for quantity, verdict in zip(texts(shown, "quantity"), verdicts, strict=True)
            ],
            wide=True,
        ),
        Column("Estimator", [theme.ESTIMATORS.get(e, e) for e in texts(shown, "estimator")]),
        *estimates(shown, list(shown["quantity"]), names.confidence),
        *ceilings(shown),
        Column("p", [theme.p_value(p) if pd.notna(p) else "" for p in shown["p_value"]], numeric=True),
        Column("Verdict", verdicts),
    ]
    notes = [
        "Decides: the row on which the stage's verdict rests, with the gain that it leaves possible.",
        "Doubly robust estimates are out of sample; the plug-in is the learner's own promise.",
        *([NEVER_FIELDED] if names.goal == "dissuade" else []),
    ]
    return Table(columns, ours, groups, notes)


def funnel(table: pd.DataFrame, names: Names) -> Table:
    """What each stage of the diagnosis leaves possible, and its verdict (diagnose/diagnostics.csv)."""
    ours = names.main(table)
    ours = ours[ours["diagnostic"].isin(DIAGNOSTICS) & ours["verdict"].fillna("").ne("")]
    ours = ours.drop_duplicates("diagnostic").reset_index(drop=True)
    stages = [stage.capitalize() for stage in texts(ours, "diagnostic")]
    questions = [QUESTIONS[Diagnostic(stage)] for stage in texts(ours, "diagnostic")]
    columns = [
        Column("Stage", stages),
        Column("Question", questions, wide=True),
        *ceilings(ours),
        Column("Verdict", texts(ours, "verdict")),
    ]
    smallest = table.loc[table["quantity"] == Quantity.SMALLEST_GAIN, "estimate"].dropna()
    notes = [f"Gains over the overall-best petition, in {names.unit}."] if len(ours) else []
    notes += [f"The smallest gain that matters is {value:g}." for value in smallest[:1] if len(ours)]
    return Table(columns, ours, notes=notes)


def headlines(table: pd.DataFrame, names: Names) -> pd.DataFrame:
    """Return the rows of diagnose/diagnostics.csv that `diagnostics` shows."""
    ours = names.main(table)
    sensitive = ours["estimator"].isin(GAINS[2:]) & ours["quantity"].ne(Quantity.GAIN)
    value = ours["diagnostic"].eq(Diagnostic.DIVIDEND) & ours["quantity"].isin(theme.POLICIES)
    by_attribute = _by_attribute(ours)["quantity"].notna()
    return ours[~(sensitive | value | by_attribute)].reset_index(drop=True)


def ceilings(table: pd.DataFrame) -> tuple[Column, Column]:
    """Ceiling on the gain with its one-sided bounds; rows without one stay empty."""
    places = theme.decimals_of_bounds(table["ceiling_low"], table["ceiling_high"])
    bare = table["ceiling"].isna()
    return (
        Column(
            "Ceiling on the gain",
            ["" if b else theme.number(c, places) for b, c in zip(bare, table["ceiling"], strict=True)],
            numeric=True,
        ),
        Column(
            BOUNDS,
            [
                "" if b else theme.interval(low, high, places)
                for b, low, high in zip(bare, table["ceiling_low"], table["ceiling_high"], strict=True)
            ],
            numeric=True,
        ),
    )


BOUNDS = "One-sided 95% bounds"


def diagnostics_attributes(table: pd.DataFrame, names: Names) -> Table:
    """Diagnosis by attribute: the rows of `diagnostics` that name one, side by side."""
    ours = names.main(table)
    parts = _by_attribute(ours).dropna()
    ours = ours.loc[parts.index]
    attributes = list(dict.fromkeys(parts["attribute"]))
    columns = [Column("Attribute", attributes, wide=True)]
    for quantity, label in BY_ATTRIBUTE.items():
        rows = ours[parts["quantity"] == quantity]
        found = dict(zip(parts.loc[rows.index, "attribute"], rows.to_dict("records"), strict=True))
        places = theme.decimals(rows["std_error"])
        cells = [theme.estimate_text(found[a], places) if a in found else "–" for a in attributes]
        columns.append(Column(label, cells, numeric=True))
    notes = [
        f"In brackets {theme.percent(names.confidence)} intervals.",
        "Divergence: share to whom nano gives another level than overall-best; replicated: models of both "
        "halves of the calibration give her the same other level; kappa: their agreement beyond chance.",
    ]
    return Table(columns, ours, notes=notes)


def _by_attribute(table: pd.DataFrame) -> pd.DataFrame:
    """Split "<quantity>: <attribute>" into two columns; missing where a row names no attribute."""
    parts = table["quantity"].str.extract(r"^([^:]+): (.*)$", flags=re.DOTALL)
    parts = parts.set_axis(["quantity", "attribute"], axis=1)
    return parts.where(parts["quantity"].isin(BY_ATTRIBUTE))


BY_ATTRIBUTE = {
    Quantity.PERSON_BY_MESSAGE: Quantity.PERSON_BY_MESSAGE.label,
    Quantity.DIVERGENCE: Quantity.DIVERGENCE.label,
    Quantity.REPLICATED_DIVERGENCE: "Replicated",
    Quantity.KAPPA: Quantity.KAPPA.label,
}


def diagnostics_groups(table: pd.DataFrame, names: Names) -> Table:
    """Verdict of each stage for the other goal and for subgroups, exploratory (diagnostics.csv)."""
    others = ~((table["goal"] == names.goal) & (table["group"] == "all"))
    others &= table["verdict"].fillna("").ne("")
    table = table[others].reset_index(drop=True)
    everybody = table["group"].replace("all", "everybody")
    columns = [
        Column("Stage", [stage.capitalize() for stage in texts(table, "diagnostic")]),
        Column("Quantity", [theme.quantity(quantity) for quantity in texts(table, "quantity")], wide=True),
        *estimates(table, list(table["quantity"]), names.confidence),
        *ceilings(table),
        counts(table, "n", "n"),
        Column("Verdict", texts(table, "verdict")),
    ]
    groups = [f"{goal.capitalize()}, {group}" for goal, group in zip(table["goal"], everybody, strict=True)]
    notes = [UNADJUSTED]
    notes += [NEVER_FIELDED] if (table["goal"] == "dissuade").any() else []
    return Table(columns, table, groups, notes)


def _spanned(
    table: pd.DataFrame, label: str, columns: Sequence[str], interval: str, error: str = ""
) -> tuple[Column, Column]:
    """Estimate and interval from columns (estimate, low, high) that have names of their own."""
    estimate, low, high = (table[column] for column in columns)
    places = theme.decimals(table[error]) if error else theme.decimals_of_bounds(low, high)
    return (
        Column(label, [theme.number(value, places) for value in estimate], numeric=True),
        Column(
            interval,
            [theme.interval(a, b, places) for a, b in zip(low, high, strict=True)],
            numeric=True,
        ),
    )


def ladder(table: pd.DataFrame, names: Names) -> Table:
    """What each set of covariates and each learner predicts and gains (diagnose/ladder.csv)."""
    interval = f"{theme.percent(names.confidence)} interval"
    columns = [
        Column("Rung", texts(table, "rung"), wide=True),
        Column("Learner", texts(table, "learner")),
        Column("Looks at", theme.looks_at(table)),
        _with_error(table, "improvement", "Improvement"),
        *_spanned(table, "Slope", ("slope", "slope_low", "slope_high"), interval),
        Column("Share predictable", [share(value) for value in table["predictable_share"]], numeric=True),
        *_spanned(table, "Gain", GAIN, BOUNDS, "gain_std_error"),
    ]
    notes = [
        "Improvement of the loss over a model without differences between people, out of sample.",
        "Share predictable: of the person × message variance; empty if that is not distinguishable from 0.",
    ]
    return Table(columns, table, notes=notes)


def frontier(table: pd.DataFrame, names: Names) -> Table:
    """What k petitions gain over one (diagnose/frontier.csv)."""
    columns = [
        counts(table, "k", "Petitions"),
        _with_error(table, "value", "Value"),
        *_spanned(table, "Gain", GAIN, BOUNDS, "gain_std_error"),
    ]
    notes = ["Everybody gets the best of k petitions; the gain is that over the overall-best one (k = 1)."]
    return Table(columns, table, notes=notes)


def learning_curve(table: pd.DataFrame, names: Names) -> Table:
    """Gain by number of calibration respondents (diagnose/learning_curve.csv)."""
    endless = table["n"].isna() & table["kind"].eq("extrapolated")
    interval = f"{theme.percent(names.confidence)} interval"
    columns = [
        Column(
            "Respondents",
            ["∞" if e else theme.count(n) for e, n in zip(endless, table["n"], strict=True)],
            numeric=True,
        ),
        Column("Share of the study", [share(value) for value in table["share"]], numeric=True),
        *_spanned(table, "Gain", ("gain", "conf_low", "conf_high"), interval, "std_error"),
        Column("Kind", texts(table, "kind")),
    ]
    return Table(columns, table)


GAIN = ("gain", "gain_low", "gain_high")


def _with_error(table: pd.DataFrame, column: str, label: str) -> Column:
    """Numbers with their standard errors in brackets."""
    places = theme.decimals(table["std_error"])
    cells = [
        f"{theme.number(value, places)} ({theme.number(error, places)})"
        for value, error in zip(table[column], table["std_error"], strict=True)
    ]
    return Column(f"{label} (SE)", cells, numeric=True)
