"""Tidy tables to tables for people: HTML and LaTeX (booktabs) with the same cells, and CSV.

Intervals instead of stars. Every text from data is escaped. Own writers of a few lines each:
great-tables 1.1 loses a `*` that begins a LaTeX row, cannot wrap text there, and fixes its colours.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanotarget import theme
from nanotarget.theme import Names

SIMULATED_NOTE = f"{theme.SIMULATED}: made by a generator with known truth, not measured on people."


@dataclass(frozen=True)
class Column:
    """A column of formatted texts, one a row; `numeric` aligns right, `wide` wraps long texts."""

    label: str
    cells: Sequence[str]
    numeric: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Table:
    """A table for people.

    Attributes:
        name: file stem.
        title: one line.
        columns: at least one, all of the same length.
        data: the tidy numbers behind it, unrounded, written as CSV.
        groups: a heading a row (printed when it changes), or empty.
        notes: sentences under the table.
    """

    name: str
    title: str
    columns: Sequence[Column]
    data: pd.DataFrame
    groups: Sequence[str] = ()
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.columns[0].cells)


def texts(table: pd.DataFrame, column: str) -> list[str]:
    """Return a column as texts; missing cells are empty."""
    return ["" if pd.isna(value) else str(value) for value in table[column]]


def _estimates(table: pd.DataFrame, group: Sequence[str], level: float) -> tuple[Column, Column]:
    """Estimate and interval, with as many decimals as each group's median standard error asks for."""
    places = {key: _places(rows) for key, rows in table.groupby(np.asarray(group, dtype=object), sort=False)}
    estimates, intervals = [], []
    for key, estimate, low, high in zip(
        group, table["estimate"], table["conf_low"], table["conf_high"], strict=True
    ):
        estimates.append(theme.number(estimate, places[key]))
        intervals.append(theme.interval(low, high, places[key]))
    return (
        Column("Estimate", estimates, numeric=True),
        Column(f"{theme.percent(level)} interval", intervals, numeric=True),
    )


def _places(table: pd.DataFrame) -> int:
    """Decimals from standard errors; numbers without one that are whole or large have none."""
    values = table["estimate"].dropna()
    bare = not table["std_error"].gt(0).any()
    return (
        0
        if bare and ((values % 1 == 0) | (values.abs() >= 100)).all()
        else theme.decimals(table["std_error"])
    )


def _p_values(table: pd.DataFrame, column: str, label: str) -> Column:
    return Column(label, [theme.p_value(value) for value in table[column]], numeric=True)


def _counts(table: pd.DataFrame, column: str, label: str) -> Column:
    return Column(label, [theme.count(value) for value in table[column]], numeric=True)


def effects(table: pd.DataFrame, names: Names) -> Table:
    """Effects of the experiment (estimate/effects.csv), a group an outcome."""
    groups = [names.of(outcome) for outcome in table["outcome"]]
    deviations = texts(table, "deviation")
    labels = [
        f"{label} (deviates: {deviation})" if deviation else label
        for label, deviation in zip(texts(table, "label"), deviations, strict=True)
    ]
    columns = [
        Column("Contrast", [theme.difference(contrast) for contrast in texts(table, "contrast")]),
        Column("Estimator", [theme.ESTIMATORS.get(e, e) for e in texts(table, "estimator")]),
        *_estimates(table, groups, names.level),
        _p_values(table, "p_value", "p"),
        _p_values(table, "p_adjusted", "p, adjusted"),
        _counts(table, "n", "n"),
        Column("Label", labels),
    ]
    notes = ["p, adjusted: for the number of contrasts in the family (Holm)."]
    return Table("effects", "Effects of the experiment", columns, table, groups, notes)


def amce(table: pd.DataFrame, means: pd.DataFrame, names: Names) -> Table:
    """Average marginal component effects beside marginal means, a group an attribute and outcome."""
    merged = table.merge(
        means, on=["outcome", "attribute", "level"], how="left", suffixes=("", "_mean"), validate="m:1"
    )
    several = len(set(merged["outcome"])) > 1
    groups = [
        f"{names.of(outcome)}: {attribute}" if several else attribute
        for outcome, attribute in zip(merged["outcome"], texts(merged, "attribute"), strict=True)
    ]
    mean_columns = ["estimate", "std_error", "conf_low", "conf_high"]
    marginal = merged[[f"{c}_mean" for c in mean_columns]].set_axis(mean_columns, axis=1)
    mean, mean_interval = _estimates(marginal, groups, theme.CALIBRATION_LEVEL)
    effect, effect_interval = _estimates(merged, groups, theme.CALIBRATION_LEVEL)
    is_reference = (merged["estimate"] == 0) & ~(merged["std_error"] > 0)
    effect_cells = ["reference" if r else cell for r, cell in zip(is_reference, effect.cells, strict=True)]
    estimators = [theme.AMCE_ESTIMATORS.get(e, e) for e in texts(merged, "estimator")]
    interval_cells = ["" if r else cell for r, cell in zip(is_reference, effect_interval.cells, strict=True)]
    columns = [
        Column("Level", texts(merged, "level"), wide=True),
        *([Column("Estimator", estimators)] if len(set(estimators)) > 1 else []),
        Column("AMCE", effect_cells, numeric=True),
        Column(effect_interval.label, interval_cells, numeric=True),
        Column("Marginal mean", mean.cells, numeric=True),
        mean_interval,
        _counts(merged, "n_mean", "n"),
    ]
    data = pd.concat([table.assign(quantity="amce"), means.assign(quantity="marginal_mean")])
    data.insert(0, "quantity", data.pop("quantity"))
    notes = ["AMCE: average marginal component effect against the attribute's reference level."]
    title = "Effects of the attributes and marginal means"
    return Table("amce", title, columns, data, groups, notes)


def flow(table: pd.DataFrame, names: Names) -> Table:
    """Participant flow (clean/flow.csv), a group a sample and arm."""
    others = {"all": "everybody", "none": "in no arm"}
    groups = [
        f"{sample.capitalize()}: {arm if arm in names.arms else others.get(arm, arm)}"
        for sample, arm in zip(texts(table, "sample"), texts(table, "arm"), strict=True)
    ]
    order = sorted(range(len(table)), key=lambda i: groups.index(groups[i]))
    table = table.iloc[order].reset_index(drop=True)
    columns = [
        Column("Step", texts(table, "step"), wide=True),
        _counts(table, "n_before", "Before"),
        _counts(table, "n_excluded", "Left out"),
        _counts(table, "n_after", "After"),
    ]
    return Table("flow", "Participant flow", columns, table, [groups[i] for i in order])


def diagnostics(table: pd.DataFrame, names: Names) -> Table:
    """Diagnosis for the study's goal and everybody (diagnose/diagnostics.csv), a group a stage.

    Values by attribute have a table of their own. Of the sensitivity estimates only those of the gain
    itself are shown; the data hold all rows.
    """
    ours = names.main(table)
    sensitive = ours["estimator"].isin(["dr_q2", "plug_in"]) & ours["quantity"].ne("nano - overall_best")
    value = ours["diagnostic"].eq("dividend") & ours["quantity"].isin(theme.POLICIES)
    by_attribute = _by_attribute(ours)["quantity"].notna()
    shown = ours[~(sensitive | value | by_attribute)].reset_index(drop=True)
    stages = {stage: f"{k + 1} {stage.capitalize()}" for k, stage in enumerate(theme.STAGES)}
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
        *_estimates(shown, list(shown["quantity"]), names.confidence),
        *_ceilings(shown),
        Column("p", [theme.p_value(p) if pd.notna(p) else "" for p in shown["p_value"]], numeric=True),
        Column("Verdict", verdicts),
    ]
    notes = [
        "Decides: the row on which the stage's verdict rests, with the gain that it leaves possible.",
        "Doubly robust estimates are out of sample; the plug-in is the learner's own promise.",
        *([NEVER_FIELDED] if names.goal == "dissuade" else []),
    ]
    return Table("diagnostics", "Can nano-targeting pay?", columns, ours, groups, notes)


NEVER_FIELDED = "A petition that dissuades is never generated for fielding; its value is only computed."


def _ceilings(table: pd.DataFrame) -> tuple[Column, Column]:
    """Ceiling on the gain with its one-sided bounds; rows without one stay empty."""
    places = theme.decimals((table["ceiling_high"] - table["ceiling_low"]) / 3.29)
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
    return Table("diagnostics_attributes", "The diagnosis by attribute", columns, ours, notes=notes)


def _by_attribute(table: pd.DataFrame) -> pd.DataFrame:
    """Split "<quantity>: <attribute>" into two columns; missing where a row names no attribute."""
    parts = table["quantity"].str.extract(r"^([^:]+): (.*)$", flags=re.DOTALL)
    parts = parts.set_axis(["quantity", "attribute"], axis=1)
    return parts.where(parts["quantity"].isin(BY_ATTRIBUTE))


BY_ATTRIBUTE = {
    "person x message variance": "Person × message variance",
    "divergence": "Divergence",
    "replicated divergence": "Replicated",
    "kappa": "Kappa",
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
        *_estimates(table, list(table["quantity"]), names.confidence),
        *_ceilings(table),
        _counts(table, "n", "n"),
        Column("Verdict", texts(table, "verdict")),
    ]
    groups = [f"{goal.capitalize()}, {group}" for goal, group in zip(table["goal"], everybody, strict=True)]
    notes = ["Exploratory: not adjusted for the number of looks."]
    notes += [NEVER_FIELDED] if (table["goal"] == "dissuade").any() else []
    return Table(
        "diagnostics_groups", "The other goal and subgroups (exploratory)", columns, table, groups, notes
    )


def _spanned(
    table: pd.DataFrame, label: str, columns: Sequence[str], interval: str, error: str = ""
) -> tuple[Column, Column]:
    """Estimate and interval from columns (estimate, low, high) that have names of their own."""
    estimate, low, high = (table[column] for column in columns)
    places = theme.decimals(table[error] if error else (high - low) / 3.29)
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
        Column("Share predictable", [_percent(value) for value in table["predictable_share"]], numeric=True),
        *_spanned(table, "Gain", GAIN, BOUNDS, "gain_std_error"),
    ]
    notes = [
        "Improvement of the loss over a model without differences between people, out of sample.",
        "Share predictable: of the person × message variance; empty where that is not told from zero.",
    ]
    return Table("ladder", "Which covariates and which learner", columns, table, notes=notes)


def frontier(table: pd.DataFrame) -> Table:
    """What k petitions gain over one (diagnose/frontier.csv)."""
    columns = [
        _counts(table, "k", "Petitions"),
        _with_error(table, "value", "Value"),
        *_spanned(table, "Gain", GAIN, BOUNDS, "gain_std_error"),
    ]
    notes = ["Everybody gets the best of k petitions; the gain is that over the overall-best one (k = 1)."]
    return Table("frontier", "How many petitions", columns, table, notes=notes)


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
        Column("Share of the study", [_percent(value) for value in table["share"]], numeric=True),
        *_spanned(table, "Gain", ("gain", "conf_low", "conf_high"), interval, "std_error"),
        Column("Kind", texts(table, "kind")),
    ]
    return Table("learning_curve", "Would more respondents help?", columns, table)


GAIN = ("gain", "gain_low", "gain_high")


def _with_error(table: pd.DataFrame, column: str, label: str) -> Column:
    """Numbers with their standard errors in brackets."""
    places = theme.decimals(table["std_error"])
    cells = [
        f"{theme.number(value, places)} ({theme.number(error, places)})"
        for value, error in zip(table[column], table["std_error"], strict=True)
    ]
    return Column(f"{label} (SE)", cells, numeric=True)


def _percent(share: float) -> str:
    return "–" if pd.isna(share) else theme.percent(round(share, 3))


def subgroups(table: pd.DataFrame, names: Names) -> Table:
    """Effects within subgroups (explore/subgroups.csv), a group an outcome and contrast."""
    groups = [
        f"{names.of(outcome)}: {theme.difference(contrast)}"
        for outcome, contrast in zip(table["outcome"], texts(table, "contrast"), strict=True)
    ]
    order = sorted(range(len(table)), key=lambda i: groups.index(groups[i]))
    table, groups = table.iloc[order].reset_index(drop=True), [groups[i] for i in order]
    estimate, interval = _estimates(table, groups, names.level)
    hidden = [bool(value) for value in table["suppressed"]]
    columns = [
        Column("Grouping", texts(table, "grouping")),
        Column("Group", texts(table, "group"), wide=True),
        Column(
            estimate.label,
            ["suppressed" if h else c for h, c in zip(hidden, estimate.cells, strict=True)],
            numeric=True,
        ),
        interval,
        _counts(table, "n", "n"),
        _p_values(table, "interaction_p", "p of interaction"),
        Column("Label", texts(table, "label")),
    ]
    notes = ["Exploratory: not adjusted for the number of looks.", "Suppressed: too few people to publish."]
    return Table("subgroups", "Effects within subgroups", columns, table, groups, notes)


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


def chosen(
    name: str,
    title: str,
    table: pd.DataFrame,
    names: Names,
    columns: Mapping[str, str],
    group: str = "",
    notes: Sequence[str] = (),
) -> Table:
    """Show some columns of a tidy table: texts, whole numbers, p values and numbers, each in its way.

    Args:
        columns: column -> label for people; their order is the order in the table.
        group: column whose values become headings, if any.
    """
    made = []
    for column, label in columns.items():
        values = table[column]
        if column in P_VALUES:
            made.append(_p_values(table, column, label))
        elif pd.api.types.is_bool_dtype(values) or not pd.api.types.is_numeric_dtype(values):
            cells = _labelled(table, column, names)
            made.append(Column(label, cells, wide=max(map(len, cells), default=0) > 30))
        elif (values.dropna() % 1 == 0).all():
            made.append(_counts(table, column, label))
        else:
            places = 1 if values.abs().max() >= 100 else 3
            made.append(Column(label, [theme.number(value, places) for value in values], numeric=True))
    return Table(name, title, made, table, _labelled(table, group, names) if group else (), notes)


def _labelled(table: pd.DataFrame, column: str, names: Names) -> list[str]:
    cells = texts(table, column)
    if column == "outcome":
        return [names.of(cell) for cell in cells]
    if column == "contrast":
        return [theme.difference(cell) for cell in cells]
    if column == "estimator":
        return [theme.ESTIMATORS.get(cell, cell) for cell in cells]
    if column == "policy":
        return [theme.POLICIES.get(cell, cell) for cell in cells]
    return cells


def equivalence(table: pd.DataFrame, names: Names) -> Table:
    """Tests that effects are smaller than the smallest effect of interest (estimate/equivalence.csv)."""
    groups = _labelled(table, "outcome", names)
    estimate, interval = _estimates(table, groups, 2 * names.level - 1)
    columns = [
        Column("Contrast", _labelled(table, "contrast", names)),
        Column("Bound", [f"±{theme.number(b, theme.decimals([b]))}" for b in table["sesoi"]], numeric=True),
        estimate,
        interval,
        _p_values(table, "p_value", "p"),
        Column("Verdict", texts(table, "verdict")),
        Column("Label", texts(table, "label")),
    ]
    notes = ["p: the larger of two one-sided tests against the bound, the smallest effect of interest."]
    return Table("equivalence", "Equivalence tests", columns, table, groups, notes)


P_VALUES = ("p_value", "p_adjusted", "chi2_p", "interaction_p")
LEARNERS = {
    "learner": "Learner", "outcome": "Outcome", "loss": "Loss", "loss_null": "Loss of the null",
    "improvement": "Improvement", "std_error": "SE", "n": "n", "rhat": "R-hat",
    "ess": "Effective draws",
}  # fmt: skip
AUDIT = {
    "arm": "Arm", "policy": "Policy", "n": "n", "n_agree": "Same petition", "share_agree": "Share",
    "attributes_agree": "Same levels, share", "distinct_fielded": "Distinct, fielded",
    "distinct_assigned": "Distinct, recomputed",
}  # fmt: skip
ATTRITION = {
    "arm": "Arm", "n_assigned": "Randomised", "n_observed": "Observed", "n_missing": "Missing",
    "attrition": "Share missing", "chi2_p": "p, all arms",
}  # fmt: skip
BALANCE = {
    "covariate": "Covariate", "level": "Level", "mean_other": "Mean, first arm",
    "mean_ref": "Mean, second arm", "std_diff": "Standardised difference",
}  # fmt: skip
POWER = {
    "contrast": "Contrast", "estimator": "Estimator", "n": "n", "mde": "Detectable effect",
    "mde_holm": "The same, Holm", "sesoi": "Of interest", "power_at_sesoi": "Power for it",
    "equivalence_margin": "Equivalence margin",
}  # fmt: skip


def build(sources: Mapping[str, pd.DataFrame], names: Names) -> dict[str, Table]:
    """Make every table whose source is there, in the order of the report.

    Args:
        sources: artefact (flow, amce, marginal_means, learners, diagnostics, ladder, frontier,
            learning_curve, audit, arm_balance, effects, equivalence, attrition, balance, power, subgroups,
            deviations) -> tidy table.
        names: labels, and whether to add the note on simulated data.
    """
    builders: dict[str, Callable[[pd.DataFrame], Table]] = {
        "flow": lambda t: flow(t, names),
        "amce": lambda t: amce(t, sources["marginal_means"], names),
        "learners": lambda t: chosen(
            "learners",
            "Learners, out of sample",
            t,
            names,
            {column: label for column, label in LEARNERS.items() if column in t},
            notes=["The null learns no differences between people.", *_learner_notes(t)],
        ),
        "diagnostics": lambda t: diagnostics(t, names),
        "diagnostics_attributes": lambda t: diagnostics_attributes(t, names),
        "diagnostics_groups": lambda t: diagnostics_groups(t, names),
        "ladder": lambda t: ladder(t, names),
        "frontier": frontier,
        "learning_curve": lambda t: learning_curve(t, names),
        "audit": lambda t: chosen("audit", "Petitions fielded and recomputed", t, names, AUDIT),
        "arm_balance": lambda t: chosen(
            "arm_balance", "Balance of the roster's arms", t, names, BALANCE, "contrast"
        ),
        "effects": lambda t: effects(t, names),
        "equivalence": lambda t: equivalence(t, names),
        "attrition": lambda t: chosen("attrition", "Attrition", t, names, ATTRITION, "outcome"),
        "balance": lambda t: chosen("balance", "Balance of the arms", t, names, BALANCE, "contrast"),
        "power": lambda t: chosen("power", "Smallest detectable effects", t, names, POWER, "outcome"),
        "subgroups": lambda t: subgroups(t, names),
        "deviations": deviations,
    }
    if "diagnostics" in sources:
        views = dict.fromkeys(("diagnostics_attributes", "diagnostics_groups"), sources["diagnostics"])
        sources = {**sources, **views}
    made = {name: builder(sources[name]) for name, builder in builders.items() if name in sources}
    if not names.synthetic:
        return made
    return {
        name: Table(t.name, t.title, t.columns, t.data, t.groups, [*t.notes, SIMULATED_NOTE])
        for name, t in made.items()
    }


def _learner_notes(table: pd.DataFrame) -> list[str]:
    """Say which learner was taken and why, and pass on what it warns of."""
    rows = table.to_dict("records")
    notes = [f"{row['learner']} is used: {row['reason']}." for row in rows if row["chosen"]]
    warned = [row for row in rows if isinstance(row.get("warning"), str)]
    return notes + [f"{row['learner']}: {row['warning']}." for row in warned]


def as_html(table: Table) -> str:
    """Return the table as an HTML fragment: a labelled box that scrolls on its own when it is wide."""
    caption = html.escape(table.title)
    lines = [
        f'<div class="table" role="group" aria-label="{caption}" tabindex="0">',
        "<table>",
        f"<caption>{caption}</caption>",
        "<thead><tr>"
        + "".join(f'<th scope="col"{_class(c)}>{html.escape(c.label)}</th>' for c in table.columns)
        + "</tr></thead>",
    ]
    previous = None
    body: list[str] = []
    for i in range(len(table)):
        if table.groups and table.groups[i] != previous:
            previous = table.groups[i]
            heading = f'<th scope="rowgroup" colspan="{len(table.columns)}">{html.escape(previous)}</th>'
            body += ["</tbody>", f'<tbody><tr class="group">{heading}</tr>']
        cells = "".join(f"<td{_class(c)}>{html.escape(c.cells[i])}</td>" for c in table.columns)
        body.append(f"<tr>{cells}</tr>")
    lines += [*body[1:], "</tbody>"] if table.groups else ["<tbody>", *body, "</tbody>"]
    lines.append("</table>")
    lines += [f'<p class="note">{html.escape(note)}</p>' for note in table.notes]
    return "\n".join([*lines, "</div>", ""])


def _class(column: Column) -> str:
    kinds = [kind for kind in ("numeric", "wide") if getattr(column, kind)]
    return f' class="{" ".join(kinds)}"' if kinds else ""


STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top; white-space: nowrap; }
thead th { border-bottom: 1px solid; vertical-align: bottom; }
.group th { padding-top: .6rem; white-space: normal; }
.numeric { text-align: right; font-variant-numeric: tabular-nums; }
.wide { white-space: normal; min-width: 12rem; overflow-wrap: anywhere; }
.note { font-size: .85rem; margin: .3rem 0; }
"""


def as_page(table: Table) -> str:
    """Return the table as an HTML page of its own."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(table.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{as_html(table)}</body>\n</html>\n"
    )


LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "−": r"$-$",
    "∞": r"$\infty$",
}


def latex(text: str) -> str:
    """Escape text for LaTeX (UTF-8; T1 fonts); line breaks and control characters become spaces."""
    clean = "".join(c if c.isprintable() else " " for c in text).strip()
    escaped = "".join(LATEX.get(c, c) for c in clean).replace("--", "-{}-")
    # After a line break LaTeX would read these two as arguments of the break.
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped


def as_latex(table: Table) -> str:
    """Return the table as a LaTeX longtable with booktabs rules."""
    wide = sum(column.wide for column in table.columns)
    share = 0.9 / max(wide, 1) if wide == len(table.columns) else min(0.6 / max(wide, 1), 0.4)
    kinds = [
        rf">{{\raggedright\arraybackslash}}p{{{share:.2f}\linewidth}}"
        if c.wide
        else "r"
        if c.numeric
        else "l"
        for c in table.columns
    ]
    count = len(table.columns)
    lines = [
        r"% needs \usepackage[T1]{fontenc} and the packages array, booktabs and longtable",
        r"\begingroup\footnotesize",
        rf"\begin{{longtable}}{{@{{}}{''.join(kinds)}@{{}}}}",
        rf"\caption{{{latex(table.title)}}}\\",
        r"\toprule",
        " & ".join(latex(c.label) for c in table.columns) + r" \\",
        r"\midrule",
        r"\endhead",
    ]
    previous = None
    for i in range(len(table)):
        if table.groups and table.groups[i] != previous:
            if previous is not None:
                lines.append(r"\addlinespace")
            previous = table.groups[i]
            heading = (
                rf"\multicolumn{{{count}}}{{@{{}}p{{0.95\linewidth}}@{{}}}}{{\textbf{{{latex(previous)}}}}}"
            )
            lines.append(heading + r" \\*")
        lines.append(" & ".join(latex(c.cells[i]) for c in table.columns) + r" \\")
    lines.append(r"\bottomrule")
    lines += [
        rf"\multicolumn{{{count}}}{{@{{}}p{{0.95\linewidth}}@{{}}}}{{{latex(note)}}} \\"
        for note in table.notes
    ]
    return "\n".join([*lines, r"\end{longtable}", r"\endgroup", ""])
