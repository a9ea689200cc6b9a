"""What the arms of the experiment did, how far the answer depends on how it is computed, who is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from nanotarget.report import theme
from nanotarget.report.tables.parts import (
    Column,
    Estimates,
    Listing,
    Shown,
    Table,
    decimals,
    footnotes,
    headings,
    labelled,
    marked_labels,
    p_values,
    shown,
    texts,
    together,
)
from nanotarget.report.theme import Names

HOLM = "p, adjusted: for the number of tests in the family (Holm)."
DEGREES: Shown = {"df": "df", "df_type": "df from"}


def _effects(notes: Sequence[str]) -> Estimates:
    return Estimates(
        {"contrast": "Contrast", "estimator": "Estimator"},
        {"p_value": "p", "p_redrawn": "p, redrawn", "p_adjusted": "p, adjusted", **DEGREES, "n": "n",
         "label": "Label"},
        notes=(HOLM, "p, redrawn: by randomisation inference, of no difference for anybody.", *notes),
    )  # fmt: skip


def effects(table: pd.DataFrame, redrawn: pd.DataFrame, names: Names) -> Table:
    """Effects of the experiment, a group an outcome.

    Args:
        table: estimate/effects.csv.
        redrawn: estimate/randomization_inference.csv, whose p values stand beside those of the
            differences in means.
        names: labels.
    """
    test = redrawn[["outcome", "contrast", "p_value"]].assign(estimator="dim")
    test = test.rename(columns={"p_value": "p_redrawn"})
    merged = table.merge(test, on=["outcome", "contrast", "estimator"], how="left", validate="m:1")
    estimated, tested = (dict.fromkeys(texts(rows, "estimand")) for rows in (table, redrawn))
    apart = f"Estimated: {', '.join(estimated)}; redrawn: {', '.join(tested)}."
    return _effects([apart] * (list(estimated) != list(tested)))(merged, names)


def of_contrast(table: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return estimates with the respondents of the two arms of their contrast as n, not those of all arms.

    Args:
        table: with outcome and contrast.
        outcomes: estimate/outcomes.csv.
    """
    whole = outcomes[outcomes["value"].isna()]
    n = {(o, arm): k for o, arm, k in zip(whole["outcome"], whole["arm"], whole["n"], strict=True)}
    pairs = [contrast.split(" - ") for contrast in texts(table, "contrast")]
    both = [
        sum(n.get((outcome, arm), np.nan) for arm in pair)
        for outcome, pair in zip(texts(table, "outcome"), pairs, strict=True)
    ]
    return table.assign(n=both)


STATUS = "Confirmatory, secondary and exploratory: as registered; without registration all is exploratory."


def effects_by_outcome(
    table: pd.DataFrame, redrawn: pd.DataFrame, outcomes: pd.DataFrame, names: Names
) -> Table:
    """Effects of the experiment with outcomes side by side, a group a contrast.

    Args:
        table: estimate/effects.csv.
        redrawn: estimate/randomization_inference.csv.
        outcomes: estimate/outcomes.csv, for the respondents of the two arms.
        names: labels.
    """
    shown = theme.in_units(of_contrast(table, outcomes), names)
    labels = list(dict.fromkeys(shown["outcome"]))
    places = {o: theme.decimals(shown.loc[shown["outcome"] == o, "std_error"]) for o in labels}
    tests = redrawn[["outcome", "contrast", "p_value"]].assign(estimator="dim")
    keys = ["outcome", "contrast", "estimator"]
    redraws = {tuple(row[key] for key in keys): row["p_value"] for row in tests.to_dict("records")}
    rows: list[tuple[str, str, list[str]]] = []
    for contrast, estimates in shown.groupby("contrast", sort=False):
        group = theme.difference(str(contrast))
        for estimator, own in estimates.groupby("estimator", sort=False):
            found = {row["outcome"]: row for row in own.to_dict("records")}
            for o in found:
                found[o]["p_redrawn"] = redraws.get((o, contrast, estimator), np.nan)
            label = theme.ESTIMATORS.get(str(estimator), str(estimator))
            lines = _lines(places, ("p_value", "p_adjusted", "p_redrawn"))
            if estimator == estimates["estimator"].iloc[-1]:
                lines["Respondents in the two arms"] = lambda row: theme.count(row["n"])
            for line, write in lines.items():
                cells = [write(found[o]) if o in found else "" for o in labels]
                if any(cells):
                    rows.append((group, label if line == "estimate" else line, cells))
    columns = [Column("", [row[1] for row in rows], wide=True)]
    for j, outcome in enumerate(labels):
        label = f"{names.of(outcome)}, {names.unit_of(outcome)}"
        columns.append(Column(label, [row[2][j] for row in rows], numeric=True))
    errors = ", ".join(dict.fromkeys(texts(table, "se_type")))
    level = theme.percent(names.level)
    notes = [
        f"Differences between arms; in round brackets standard errors ({errors}), in square brackets {level} "
        "intervals. p, Holm: adjusted for the number of tests in the family. p, redrawn: by randomisation "
        "inference, of no difference for anybody.",
        STATUS,
    ]
    return Table(columns, table, [row[0] for row in rows], notes)


P_LABELS = {"p_value": "p", "p_adjusted": "p, Holm", "p_redrawn": "p, redrawn"}
Lines = dict[str, Callable[[Mapping[str, Any]], str]]


def _lines(places: Mapping[str, int], tests: Sequence[str]) -> Lines:
    """Return the lines of an estimate: label -> what writes the cell."""

    def error(row: Mapping[str, Any]) -> str:
        return f"({theme.number(row['std_error'], places[row['outcome']])})"

    lines: Lines = {
        "estimate": lambda row: theme.number(row["estimate"], places[row["outcome"]]),
        "Standard error": error,
        "Interval": lambda row: theme.interval(row["conf_low"], row["conf_high"], places[row["outcome"]]),
    }
    for name in tests:
        lines[P_LABELS[name]] = partial(_p_cell, name)
    lines["Status"] = _status
    return lines


def _p_cell(name: str, row: Mapping[str, Any]) -> str:
    return "" if pd.isna(row[name]) else theme.p_value(row[name])


def _status(row: Mapping[str, Any]) -> str:
    deviation = row.get("deviation")
    return (
        f"{row['label']} (deviates: {deviation})"
        if isinstance(deviation, str) and deviation
        else row["label"]
    )


def outcomes_by_arm(table: pd.DataFrame, names: Names) -> Table:
    """What people of every arm answered (estimate/outcomes.csv), arms side by side, a group an outcome."""
    arms = [arm for arm in (*names.arms, ALL_ARMS) if arm in set(table["arm"])]
    rows: list[tuple[str, str, list[str]]] = []
    for outcome, own in table.groupby("outcome", sort=False):
        group, binary = names.of(str(outcome)), outcome in names.binary
        whole = {row["arm"]: row for row in own[own["value"].isna()].to_dict("records")}
        places = theme.decimals(row["sd"] / row["n"] ** 0.5 for row in whole.values() if row["n"])
        statistics = {"Mean": "mean", "Standard deviation": "sd", "Median": "median"}
        rows.append((group, "n", [theme.count(whole[arm]["n"]) if arm in whole else "" for arm in arms]))
        for label, column in {} if binary else statistics.items():
            cells = [theme.number(whole[arm][column], places) if arm in whole else "" for arm in arms]
            rows.append((group, label, cells))
        answers = own[own["value"].notna()]
        for value, cells in answers.groupby("value", sort=False):
            shares = dict(zip(cells["arm"], cells["share"], strict=True))
            written = [f"{theme.number(100 * shares[arm], 1)}%" if arm in shares else "" for arm in arms]
            name = {0.0: "No", 1.0: "Yes"}.get(float(value), "") if binary else f"Answered {value:g}"
            rows.append((group, name, written))
    columns = [Column("", [row[1] for row in rows])]
    for j, arm in enumerate(arms):
        label = "All" if arm == ALL_ARMS else arm
        columns.append(Column(label, [row[2][j] for row in rows], numeric=True))
    notes = ["Answers as they are, with survey weights if there are any; nothing is compared or adjusted."]
    return Table(columns, table, [row[0] for row in rows], notes)


ALL_ARMS = "(all)"


def sample(table: pd.DataFrame, names: Names) -> Table:
    """Characteristics of the sample by arm, beside the population's where they are given.

    Args:
        table: estimate/balance.csv.
        names: the arms in their order.
    """
    made = balance(table, names)
    apart = [column for column in made.columns if column.label.startswith(APART)]
    largest = table.assign(level=table["level"].fillna("")).groupby(["covariate", "level"], sort=False)
    sizes = [theme.number(value, 2) for value in largest["std_diff"].agg(lambda d: d.abs().max())]
    columns = [column for column in made.columns if column not in apart]
    if len(made):
        columns.append(Column("Largest d", ["", *sizes], numeric=True))
    return replace(made, columns=columns)


def outcomes(table: pd.DataFrame, names: Names) -> Table:
    """What people of every arm answered (estimate/outcomes.csv), a group an outcome."""
    whole = table["value"].isna()
    groups = labelled(table, "outcome", names)
    places = [0] * len(table)
    for _, own in table.groupby("outcome", sort=False):
        digits = theme.decimals(own["sd"] / np.sqrt(own["n"]))
        for i in own.index:
            places[i] = digits
    answers = [
        "" if is_whole else f"answered {theme.number(value, 0 if value % 1 == 0 else 2)}"
        for is_whole, value in zip(whole, table["value"], strict=True)
    ]
    numbers = [
        Column(
            label,
            [theme.number(v, p) if pd.notna(v) else "" for v, p in zip(table[column], places, strict=True)],
            numeric=True,
        )
        for column, label in (("mean", "Mean"), ("sd", "SD"), ("median", "Median"))
    ]
    columns = [
        Column("Arm", [arm if is_whole else "" for arm, is_whole in zip(table["arm"], whole, strict=True)]),
        Column("Answer", answers),
        Column(
            "Randomised",
            [
                theme.people(n) if is_whole else ""
                for n, is_whole in zip(table["n_assigned"], whole, strict=True)
            ],
            numeric=True,
        ),
        Column("n", [theme.count(n) for n in table["n"]], numeric=True),
        *numbers,
        Column(
            "Share",
            ["" if pd.isna(v) else f"{theme.number(100 * v, 1)}%" for v in table["share"]],
            numeric=True,
        ),
    ]
    notes = [
        "Answers as they are, with survey weights if there are any: nothing is compared or adjusted here."
    ]
    return Table(columns, table, groups, notes)


def scales(table: pd.DataFrame, names: Names) -> Table:
    """Effects as the kind of outcome asks for and on other scales (estimate/scales.csv)."""
    table = table.assign(quantity=table["quantity"].fillna("")) if "quantity" in table else table
    shown_as = Estimates(
        {"contrast": "Contrast", "estimator": "Estimator", "quantity": "Quantity"},
        {"ratio": "Ratio", ("ratio_low", "ratio_high"): "Its interval", "p_value": "p",
         "p_adjusted": "p, adjusted", "p_fisher": "p, Fisher", "n": "n", "label": "Label"},
        alike=[column for column in ("outcome", "estimator", "quantity") if column in table],
        notes=[
            "Log ratios stand in the column of the estimate, ratios beside them. "
            "Mann-Whitney: probability that who is in the first arm answers higher, ties halved.",
            HOLM,
            *_parallel(table, names),
        ],
    )  # fmt: skip
    return shown_as(table, names)


def _parallel(table: pd.DataFrame, names: Names) -> list[str]:
    """Say whether proportional odds hold, a sentence an outcome."""
    if "parallel_p" not in table:
        return []
    tested = table.dropna(subset=["parallel_p"]).drop_duplicates("outcome")
    return [
        f"Proportional odds of {names.of(outcome)}: p = {theme.p_value(p)} (Brant).".replace("= <", "< ")
        for outcome, p in zip(tested["outcome"], tested["parallel_p"], strict=True)
    ]


omnibus = Listing(
    {"test": "Test", "statistic": "Statistic", "df1": "df", "df2": "df, residual", "p_value": "p",
     "n": "n", "label": "Label"},
    "outcome",
    ("Of the hypothesis that no arm differs from another.",),
)  # fmt: skip
robustness = Estimates(
    {"scale": "Scale", "estimator": "Estimator", "adjustment": "Adjustment", "sample": "Sample",
     "se_type": "Errors"},
    {"p_value": "p", **DEGREES, "n": "n", "label": "Label"},
    ("outcome", "contrast"),
    ("outcome", "scale"),
    ("Sorted by the estimate; only estimates on one scale can be compared.",),
)  # fmt: skip
randomization_inference = Estimates(
    {"contrast": "Contrast", "scheme": "Redrawn"},
    {"p_value": "p", "p_mid": "p, mid", "p_greater": "p, greater", "p_less": "p, less",
     "p_adjusted": "p, adjusted", "draws": "Draws", "n": "n", "label": "Label"},
    notes=(
        "p: of no difference for anybody, from redraws of the arms as they were drawn. p, mid: redraws as "
        "extreme as the observed difference count by half; outcomes of few values, such as yes and no, have "
        "many of them, and p alone is then too large.",
        HOLM,
    ),
)  # fmt: skip


_corrections = Estimates(
    {"contrast": "Contrast", "estimator": "Estimator", "adjustment": "Adjustment", "sample": "Sample",
     "se_type": "Errors"},
    {"p_value": "p", "p_holm_within": "Holm", "p_bonferroni_within": "Bonferroni",
     "p_bh_within": "Benjamini-Hochberg", "p_holm_across": "Holm, all outcomes",
     "p_bonferroni_across": "Bonferroni, all outcomes", "p_bh_across": "Benjamini-Hochberg, all outcomes"},
    notes=(
        "Adjusted over the contrasts of an outcome and over those of all outcomes, each estimator and kind "
        "of errors by itself. What is registered stands in the table of tests and their families.",
    ),
)  # fmt: skip


def corrections(table: pd.DataFrame, redrawn: pd.DataFrame, names: Names) -> Table:
    """P values by Holm, Bonferroni and Benjamini & Hochberg, within outcomes and across.

    Args:
        table: estimate/robustness.csv.
        redrawn: estimate/randomization_inference.csv.
        names: labels.
    """
    redrawn = redrawn.assign(estimator="ri", se_type="redraws", adjustment="none", sample="all")
    columns = [column for column in table if column in redrawn]
    both = pd.concat([table[columns], redrawn[columns]], ignore_index=True)
    return _corrections(both.drop(columns=["note"], errors="ignore"), names)


def multiplicity(table: pd.DataFrame, names: Names) -> Table:
    """P values of the effects, raw and adjusted, a group a family of tests (Holm)."""
    table = table[table["p_value"].notna()].reset_index(drop=True)
    table, groups = together(table, _families(table, names))
    table = table.assign(heading=groups)
    order = table.groupby("heading", sort=False)["p_value"].rank(method="first")
    size = table.groupby("heading", sort=False)["p_value"].transform("size")
    threshold = (1 - names.level) / (size - order + 1)
    table = table.assign(rank=order.astype("int64"), tests=size, threshold=threshold)
    place = {heading: i for i, heading in enumerate(dict.fromkeys(groups))}
    table = table.sort_values(
        ["heading", "rank"], key=lambda values: values.map(place) if values.name == "heading" else values
    ).reset_index(drop=True)
    keys: Shown = {"outcome": "Outcome", "contrast": "Contrast", "estimator": "Estimator"}
    columns = [
        *shown(table, keys, names),
        p_values(table, "p_value", "p"),
        Column("Holm's threshold", [theme.number(value, 4) for value in table["threshold"]], numeric=True),
        p_values(table, "p_adjusted", "p, adjusted"),
        marked_labels(table),
    ]
    notes = [
        "Families as registered; else the contrasts of one outcome and estimator. Holm rejects from the "
        "smallest p on, as long as p is below its threshold, that is where the adjusted p is below "
        f"{theme.number(1 - names.level, 2)}."
    ]
    data = table[["family", "outcome", "estimator", "contrast", "p_value", "tests", "rank", "threshold",
                  "p_adjusted", "label", "deviation"]]  # fmt: skip
    return Table(columns, data, list(table["heading"]), notes)


def _families(table: pd.DataFrame, names: Names) -> list[str]:
    """Name the family of each row; those without a registered name by outcome and estimator."""
    own = table["outcome"].astype("str") + ", " + table["estimator"].astype("str")
    labels = headings(table, ["outcome", "estimator"], names)
    unnamed = table["family"].eq(own)
    return [
        label if bare else family
        for label, bare, family in zip(labels, unnamed, texts(table, "family"), strict=True)
    ]


def equivalence(table: pd.DataFrame, sentences: pd.DataFrame, names: Names) -> Table:
    """Tests that effects are smaller than the smallest effect of interest.

    Args:
        table: estimate/equivalence.csv.
        sentences: estimate/sentences.csv: what the data exclude, one a contrast.
        names: labels.
    """
    bounds = [f"±{theme.number(b, theme.decimals([b]))}" for b in table["sesoi"]]
    shown_as = Estimates(
        {"contrast": "Contrast", "estimator": "Estimator", "bound": "Bound"},
        {"p_value": "p", "verdict": "Verdict", "non_superiority": "One-sided", "label": "Label"},
        notes=[
            "p: the larger of two one-sided tests against the bound, the smallest effect of interest.",
            *texts(sentences, "sentence"),
        ],
        level=lambda names: 2 * names.level - 1,
    )
    made = shown_as(table.assign(bound=bounds), names)
    return replace(made, data=made.data.drop(columns="bound"))


POWERED = ("mde", "mde_holm", "sesoi", "equivalence_margin")


def power(table: pd.DataFrame, names: Names) -> Table:
    """What the experiment could have found (estimate/power.csv), a group an outcome."""
    table, groups = together(table, headings(table, ["outcome"], names))
    places = decimals(table.assign(estimate=np.nan), groups)
    labels = dict(
        zip(
            POWERED, ["Detectable effect", "The same, Holm", "Of interest", "Equivalence margin"], strict=True
        )
    )
    in_units = [
        Column(
            labels[column],
            [theme.number(value, digits) for value, digits in zip(table[column], places, strict=True)],
            numeric=True,
        )
        for column in POWERED
    ]
    at_sesoi = [
        "–" if np.isnan(value) else theme.percent(round(value, 2)) for value in table["power_at_sesoi"]
    ]
    columns = [
        *shown(table, {"contrast": "Contrast", "estimator": "Estimator", "n": "n"}, names),
        *in_units,
        Column("Power for it", at_sesoi, numeric=True),
    ]
    target = [theme.percent(value) for value in table["power"].unique()]
    notes = [
        f"Detectable: found by a two-sided test with probability {power}. Equivalence margin: the smallest "
        "bound at which equivalence would be shown as often if there were no effect."
        for power in target
    ]
    return Table(columns, table, groups, notes)


def balance(table: pd.DataFrame, names: Names) -> Table:
    """Sample and balance (estimate/balance.csv): means and shares of the arms and how far they are apart."""
    table = table.assign(level=table["level"].fillna(""))
    rows = table[["covariate", "level"]].drop_duplicates(ignore_index=True)
    means, sizes = _of_arms(table, names.arms)
    arms = [arm for arm in names.arms if any(arm == key[-1] for key in means)]
    places = {key: _places(own) for key, own in table.groupby(["covariate", "level"], sort=False)}
    keys = list(rows.itertuples(index=False, name=None))
    people = {arm: max(n for key, n in sizes.items() if key[-1] == arm and not pd.isna(n)) for arm in arms}
    # What is hidden is near the number of all.
    sizes = {key: people[key[-1]] if pd.isna(n) else n for key, n in sizes.items()}
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
        columns.append(Column(f"{APART}{theme.difference(contrast)}", ["", *cells], numeric=True))
    population = dict(
        zip(zip(table["covariate"], table["level"], strict=True), table["population"], strict=True)
    )
    if not table["population"].isna().all():
        cells = ["" if pd.isna(population[key]) else cell(key, population[key]) for key in keys]
        columns.append(Column("Population", ["", *cells], numeric=True))
    notes = [
        "Means, and shares of the levels among those who answered.",
        "d: difference divided by the root of the mean of both variances.",
    ]
    return Table(columns, table, notes=notes)


APART = "d, "  # how labels of columns of standardised differences begin
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
    """Decimals of means, from their standard errors, which follow from the standardised differences.

    Shares have one in percent, whatever their errors, so that those of all levels can be read as one column.
    """
    if rows["level"].iloc[0]:
        return 1
    spread = (rows["mean_other"] - rows["mean_ref"]) / rows["std_diff"].where(rows["std_diff"] != 0)
    return theme.decimals(spread / rows["n_ref"] ** 0.5)


attrition = Listing(
    {"arm": "Arm", "n_assigned": "Randomised", "n_observed": "Observed", "n_missing": "Missing",
     "attrition": "Share missing", "chi2_p": "p, χ²", "wald_p": "p, F"},
    "outcome",
    ("p: of equal shares missing in all arms, by Pearson's χ² and by an F test with HC2 errors.",),
)  # fmt: skip
differential_attrition = Listing(
    {"covariate": "Covariate", "wald_f": "F", "df1": "df", "df2": "df, residual", "p_value": "p",
     "p_adjusted": "p, adjusted", "n_missing": "Missing"},
    "outcome",
    ("F test of arm × covariate on being missing (HC2); p, adjusted: over the covariates (Holm).",),
)  # fmt: skip


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
    return Table(columns, table, headings(rows, ["outcome"], names), [*notes, *extra])


ipw = Estimates(
    {"contrast": "Contrast", "estimator": "Estimator"},
    {"naive": "Unweighted", "p_value": "p", "p_adjusted": "p, adjusted",
     "largest_weight": "Largest weight", "n_effective": "Effective n", "n": "n", "label": "Label"},
    notes=(
        "Every answer counts by the inverse of its probability to be given. Doubly robust: right if either "
        "these probabilities or the linear model of the answers are.",
    ),
)  # fmt: skip
cace = Estimates(
    {"contrast": "Contrast", "estimand": "Among"},
    {("ar_low", "ar_high"): "The same, Anderson-Rubin", "itt": "As assigned",
     "first_stage": "Difference in delivery", "first_stage_f": "F of it", "p_value": "p",
     "p_adjusted": "p, adjusted", "n": "n", "label": "Label"},
)  # fmt: skip
checks = Estimates(
    {"contrast": "Contrast", "estimator": "Estimator", "sample": "Sample"},
    {"p_value": "p", **DEGREES, "n": "n", "n_left_out": "Left out", "label": "Label"},
    notes=("Failing a check may depend on the arm: without them different people may be compared.",),
)  # fmt: skip


def deviations(table: pd.DataFrame, names: Names) -> Table:
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
    return Table(columns, table, notes=[] if len(table) else ["No deviation."])
