"""Who took part, who is missing, and whether the arms are comparable."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from nanotarget.report import theme
from nanotarget.report.tables.parts import (
    Column,
    Shown,
    Table,
    chosen,
    counts,
    decimals,
    estimated,
    footnotes,
    headings,
    labelled,
    shown,
    texts,
    together,
)
from nanotarget.report.theme import Names

OTHER_ARMS = {"all": "everybody", "none": "in no arm"}
AUDIT: Shown = {
    "arm": "Arm", "policy": "Policy", "n": "n", "n_agree": "Same petition", "share_agree": "Share",
    "attributes_agree": "Same levels, share", "distinct_fielded": "Distinct, fielded",
    "distinct_assigned": "Distinct, recomputed",
}  # fmt: skip
ATTRITION: Shown = {
    "arm": "Arm", "n_assigned": "Randomised", "n_observed": "Observed", "n_missing": "Missing",
    "attrition": "Share missing", "chi2_p": "p, χ²", "wald_p": "p, F",
}  # fmt: skip
DIFFERENTIAL: Shown = {
    "covariate": "Covariate", "wald_f": "F", "df1": "df", "df2": "df, residual", "p_value": "p",
    "p_adjusted": "p, adjusted", "n_missing": "Missing",
}  # fmt: skip
ARM_BALANCE: Shown = {
    "covariate": "Covariate", "level": "Level", "mean_other": "Mean, first arm",
    "mean_ref": "Mean, second arm", "std_diff": "Standardised difference",
}  # fmt: skip


def flow(table: pd.DataFrame, names: Names) -> Table:
    """Participant flow (clean/flow.csv), a group a sample and arm."""
    groups = [
        f"{sample.capitalize()}: {arm if arm in names.arms else OTHER_ARMS.get(arm, arm)}"
        for sample, arm in zip(texts(table, "sample"), texts(table, "arm"), strict=True)
    ]
    table, groups = together(table, groups)
    columns = [
        Column("Step", texts(table, "step"), wide=True),
        counts(table, "n_before", "Before"),
        counts(table, "n_excluded", "Left out"),
        counts(table, "n_after", "After"),
    ]
    return Table("flow", "Participant flow", columns, table, groups)


def participants(table: pd.DataFrame, names: Names) -> Table:
    """Participants of the experiment at every stage (estimate/participants.csv), arms side by side."""
    stages = ["stage", "outcome", "reason"]
    rows = table[stages].fillna("").drop_duplicates(ignore_index=True)
    keys = [table[column].fillna("") for column in (*stages, "arm")]
    found = dict(zip(zip(*keys, strict=True), table["n"], strict=True))
    arms = list(dict.fromkeys(texts(table, "arm")))
    columns = [
        Column("Stage", [stage.capitalize() for stage in rows["stage"]]),
        Column("Outcome", labelled(rows, "outcome", names), wide=True),
        Column("Reason", texts(rows, "reason"), wide=True),
    ]
    for arm in arms:
        cells = [
            theme.count(found[(*row, arm)]) if (*row, arm) in found else ""
            for row in rows.itertuples(index=False, name=None)
        ]
        label = arm if arm in names.arms else OTHER_ARMS.get(arm, arm).capitalize()
        columns.append(Column(label, cells, numeric=True))
    notes = ["Who failed a check is not left out: all who answered are analysed as they were assigned."]
    return Table(
        "participants", "Participants of the experiment", columns, table, notes=notes if len(rows) else []
    )


def balance(table: pd.DataFrame, names: Names) -> Table:
    """Sample and balance (estimate/balance.csv): means and shares of the arms and how far they are apart."""
    table = table.assign(level=table["level"].fillna(""))
    rows = table[["covariate", "level"]].drop_duplicates(ignore_index=True)
    means, sizes = _of_arms(table, names.arms)
    arms = [arm for arm in names.arms if any(arm == key[-1] for key in means)]
    places = {key: _places(own) for key, own in table.groupby(["covariate", "level"], sort=False)}
    keys = list(rows.itertuples(index=False, name=None))
    people = {arm: max(n for key, n in sizes.items() if key[-1] == arm) for arm in arms}
    first = len(rows) > 0  # nobody to count without a row
    columns = [
        Column("Covariate", [*(["Respondents"] if first else []), *rows["covariate"]], wide=True),
        Column("Level", [*([""] if first else []), *rows["level"]], wide=True),
    ]

    def cell(key: tuple[str, str], value: float) -> str:
        return f"{theme.number(100 * value, places[key])}%" if key[1] else theme.number(value, places[key])

    if first:
        whole = [_mean([(means[(*key, arm)], sizes[(*key, arm)]) for arm in arms]) for key in keys]
        cells = [cell(key, value) for key, value in zip(keys, whole, strict=True)]
        columns.append(Column("All", [theme.count(sum(people.values())), *cells], numeric=True))
    for arm in arms:
        cells = [cell(key, means[(*key, arm)]) for key in keys]
        columns.append(Column(arm, [theme.count(people[arm]), *cells], numeric=True))
    apart = {
        (covariate, level, contrast): value
        for covariate, level, contrast, value in table[
            ["covariate", "level", "contrast", "std_diff"]
        ].itertuples(index=False, name=None)
    }
    for contrast in dict.fromkeys(texts(table, "contrast")):
        cells = [theme.number(apart[(*key, contrast)], 2) for key in keys]
        columns.append(Column(f"d, {theme.difference(contrast)}", ["", *cells], numeric=True))
    notes = [
        "Means, and shares of the levels among those who answered.",
        "d: difference divided by the root of the mean of both variances.",
    ]
    return Table("balance", "Sample and balance of the arms", columns, table, notes=notes)


ArmNumbers = dict[tuple[str, str, str], float]


def _of_arms(table: pd.DataFrame, arms: Sequence[str]) -> tuple[ArmNumbers, ArmNumbers]:
    """Collect means and respondents by covariate, level and arm from the comparisons of arms."""
    compared = {f"{later} - {earlier}": (later, earlier) for later in arms for earlier in arms}
    means: ArmNumbers = {}
    sizes: ArmNumbers = {}
    for row in table.to_dict("records"):
        for arm, end in zip(compared.get(row["contrast"], ()), ("other", "ref"), strict=False):
            key = (row["covariate"], row["level"], arm)
            means[key], sizes[key] = row[f"mean_{end}"], row[f"n_{end}"]
    return means, sizes


def _mean(parts: list[tuple[float, float]]) -> float:
    """Mean of everybody from means and sizes of the arms."""
    known = [(mean, n) for mean, n in parts if n > 0 and not pd.isna(mean)]
    total = sum(n for _, n in known)
    return sum(mean * n for mean, n in known) / total if total else float("nan")


def _places(rows: pd.DataFrame) -> int:
    """Decimals from the standard errors of the means, which follow from the standardised differences."""
    spread = (rows["mean_other"] - rows["mean_ref"]) / rows["std_diff"].where(rows["std_diff"] != 0)
    errors = spread / rows["n_ref"] ** 0.5
    return theme.decimals(errors * 100 if rows["level"].iloc[0] else errors)


def arm_balance(table: pd.DataFrame, names: Names) -> Table:
    """Balance of the roster's arms (assign/arm_balance.csv), a group a comparison."""
    return chosen("arm_balance", "Balance of the roster's arms", table, names, ARM_BALANCE, "contrast")


def audit(table: pd.DataFrame, names: Names) -> Table:
    """Petitions fielded against petitions recomputed (assign/audit.csv)."""
    return chosen("audit", "Petitions fielded and recomputed", table, names, AUDIT)


def attrition(table: pd.DataFrame, names: Names) -> Table:
    """Who is missing from each outcome, by arm (estimate/attrition.csv)."""
    notes = ["p: of equal shares missing in all arms, by Pearson's χ² and by an F test with HC2 errors."]
    return chosen("attrition", "Attrition", table, names, ATTRITION, "outcome", notes)


def differential_attrition(table: pd.DataFrame, names: Names) -> Table:
    """Covariates that go with being missing differently in different arms, a group an outcome."""
    notes = ["F test of arm × covariate on being missing (HC2); p, adjusted: over the covariates (Holm)."]
    return chosen(
        "differential_attrition",
        "Are the same people missing in all arms?",
        table,
        names,
        DIFFERENTIAL,
        "outcome",
        notes,
    )


def lee_bounds(table: pd.DataFrame, names: Names) -> Table:
    """Bounds on effects when people are missing (estimate/lee_bounds.csv), a row a way of trimming."""
    keys = ["outcome", "contrast", "trimming"]
    table, _ = together(table, headings(table, ["outcome"], names))
    lower, upper = (table[table["bound"] == end].reset_index(drop=True) for end in ("lower", "upper"))
    rows = lower.assign(bound_low=lower["estimate"], bound_high=upper["estimate"])
    places = pd.Series(decimals(table, texts(table, "outcome")))[table["bound"] == "lower"].to_list()
    marks, extra = footnotes(texts(rows, "note"))
    contrast, *others = shown(rows, {key: key.capitalize() for key in keys[1:]}, names)
    cells = [cell + mark for cell, mark in zip(contrast.cells, marks, strict=True)]
    beside: Shown = {
        ("bound_low", "bound_high"): "Bounds",
        ("effect_low", "effect_high"): f"{theme.percent(names.level)} interval",
        "naive": "Without trimming", "rate_later": "Answered, first arm",
        "rate_earlier": "Answered, second arm", "rate_p": "p of equal rates", "trim_share": "Trimmed",
        "label": "Label",
    }  # fmt: skip
    columns = [Column(contrast.label, cells), *others, *shown(rows, beside, names, places)]
    notes = ["The interval is of the effect itself, which lies between the bounds (Imbens & Manski)."]
    title = "Bounds on effects under attrition (Lee)"
    return Table("lee_bounds", title, columns, table, headings(rows, ["outcome"], names), [*notes, *extra])


def ipw(table: pd.DataFrame, names: Names) -> Table:
    """Effects with answers weighted by the inverse probability to answer (estimate/ipw.csv)."""
    return estimated(
        "ipw", "Effects weighted for attrition", table, names,
        {"contrast": "Contrast"},
        {"naive": "Unweighted", "p_value": "p", "p_adjusted": "p, adjusted",
         "largest_weight": "Largest weight", "n_effective": "Effective n", "n": "n", "label": "Label"},
        notes=["Every answer counts by the inverse of its probability to be given."],
    )  # fmt: skip


def cace(table: pd.DataFrame, names: Names) -> Table:
    """Effects on those whom the petitions reached (estimate/cace.csv)."""
    return estimated(
        "cace", "Effects on those reached", table, names,
        {"contrast": "Contrast", "estimand": "Among"},
        {("ar_low", "ar_high"): "The same, Anderson-Rubin", "itt": "As assigned",
         "first_stage": "Difference in delivery", "first_stage_f": "F of it", "p_value": "p",
         "p_adjusted": "p, adjusted", "n": "n", "label": "Label"},
    )  # fmt: skip


def checks(table: pd.DataFrame, names: Names) -> Table:
    """Effects without those who failed a check after treatment (estimate/checks.csv)."""
    return estimated(
        "checks", "Effects without those who failed a check", table, names,
        {"contrast": "Contrast", "estimator": "Estimator", "sample": "Sample"},
        {"p_value": "p", "n": "n", "n_left_out": "Left out", "label": "Label"},
        notes=["Failing a check may depend on the arm: without them different people may be compared."],
    )  # fmt: skip
