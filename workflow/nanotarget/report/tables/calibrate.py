"""The petitions of the calibration survey, what people like in them, and how well it is learned."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from nanotarget.report import theme
from nanotarget.report.tables.parts import (
    Column,
    Estimates,
    Listing,
    Shown,
    Table,
    counts,
    estimates,
    headings,
    share,
    texts,
)
from nanotarget.report.theme import Names


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
    mean, mean_interval = estimates(marginal, groups, theme.CALIBRATION_LEVEL)
    effect, effect_interval = estimates(merged, groups, theme.CALIBRATION_LEVEL)
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
        counts(merged, "n_mean", "n"),
    ]
    data = pd.concat([table.assign(quantity="amce"), means.assign(quantity="marginal_mean")])
    data.insert(0, "quantity", data.pop("quantity"))
    notes = ["AMCE: average marginal component effect against the attribute's reference level."]
    return Table(columns, data, groups, notes)


def amce_by_outcome(table: pd.DataFrame, names: Names) -> Table:
    """Average marginal component effects with outcomes side by side, a group an attribute.

    Args:
        table: calibrate/amce.csv; of several estimators the last is shown, which in a restricted design is
            the one that allows for it.
        names: labels.
    """
    last = table[table["estimator"].eq(table["estimator"].iloc[-1] if len(table) else "")]
    shown = theme.in_units(last, names)
    outcomes = list(dict.fromkeys(shown["outcome"]))
    places = {o: theme.decimals(shown.loc[shown["outcome"] == o, "std_error"]) for o in outcomes}
    found = {(row["outcome"], row["attribute"], row["level"]): row for row in shown.to_dict("records")}
    levels = shown[["attribute", "level"]].astype("str").drop_duplicates(ignore_index=True)

    def cell(outcome: str, attribute: str, level: str) -> str:
        row = found.get((outcome, attribute, level))
        if row is None or (row["estimate"] == 0 and not row["std_error"] > 0):
            return "" if row is None else "reference"
        digits = places[outcome]
        return f"{theme.number(row['estimate'], digits)} ({theme.number(row['std_error'], digits)})"

    columns = [Column("Level", [*levels["level"]], wide=True)]
    for outcome in outcomes:
        cells = [cell(outcome, *key) for key in levels.itertuples(index=False, name=None)]
        columns.append(Column(f"{names.of(outcome)}, {names.unit_of(outcome)}", cells, numeric=True))
    notes = [f"In brackets {names.errors} standard errors, clustered by respondent. {_sizes(shown, names)}"]
    return Table(columns, last, [*levels["attribute"]], notes if len(shown) else [])


def _sizes(table: pd.DataFrame, names: Names) -> str:
    """Say how many profiles of how many respondents there are, by outcome where that differs."""
    said = {
        names.of(str(outcome)): f"{theme.count(own['n'].max())} petitions of "
        f"{theme.count(own['n_clusters'].max())} respondents"
        for outcome, own in table.groupby("outcome", sort=False)
    }
    if len(set(said.values())) == 1:
        return f"n = {next(iter(said.values()))}."
    return f"n: {'; '.join(f'{outcome} {size}' for outcome, size in said.items())}."


choice_models = Estimates(
    {"attribute": "Attribute", "level": "Level"},
    {"odds_ratio": "Odds ratio", "p_value": "p", "n": "Profiles", "n_clusters": "Respondents"},
    group=("outcome", "estimator"),
    notes=[
        "Log odds against the attribute's first level, clustered by respondent (CR1). The logit takes every "
        "profile for an answer of its own, the conditional logit compares the petitions of a task."
    ],
    level=lambda names: theme.CALIBRATION_LEVEL,
)


def _against_first(table: pd.DataFrame) -> pd.DataFrame:
    """Return means, and of effects those against the first level; the file has all others, too."""
    first = table[table["reference"] != ""].groupby("attribute", sort=False)["reference"].first()
    return table[table["reference"].eq("") | table["reference"].eq(table["attribute"].map(first))]


def groups(table: pd.DataFrame, names: Names) -> Table:
    """Marginal means and effects by group and their differences (calibrate/groups.csv)."""
    table = table.fillna({"minus": "", "reference": ""})
    rows = _against_first(table).reset_index(drop=True)
    sides = [
        f"{group} - {minus}" if minus else group
        for group, minus in zip(texts(rows, "group"), texts(rows, "minus"), strict=True)
    ]
    made = GROUPED(rows.assign(compared=sides), names)
    return replace(made, data=table)


GROUPED = Estimates(
    {"attribute": "Attribute", "level": "Level", "compared": "Group"},
    {"p_holm": "p (Holm)", "p_bh": "p (BH)", "n": "Profiles"},
    group=("outcome", "grouping", "quantity"),
    notes=[
        "Effects are against the attribute's first level; the data have any two levels against each other. P "
        "values of differences are adjusted over the levels of all attributes and pairs of groups."
    ],
    level=lambda names: theme.CALIBRATION_LEVEL,
)


GROUP_TESTS: Shown = {
    "item": "Levels of", "test": "Test", "statistic": "F", "df1": "df", "df2": "Residual df",
    "p_value": "p", "p_adjusted": "p (Holm)",
}  # fmt: skip


def group_tests(table: pd.DataFrame, names: Names) -> Table:
    """Joint tests that groups like the same levels (calibrate/group_tests.csv)."""
    headed = table.assign(heading=headings(table, ["outcome", "grouping"], names))
    notes = [
        "The robust test, clustered by respondent, is the one to report; the classical one takes every "
        "profile for a draw of its own."
    ]
    made = Listing(GROUP_TESTS, "heading", notes)(headed, names)
    return replace(made, data=table)


interaction_tests = Listing(
    {
        "attribute": "Attribute", "other_attribute": "with", "statistic": "F", "df1": "df",
        "df2": "Residual df", "p_value": "p", "p_holm": "p (Holm)", "largest": "Largest interaction",
    },
    notes=["Joint tests of all interactions of two attributes, clustered by respondent."],
)  # fmt: skip


PARTS_TESTED = {
    "average": "on average", "covariates": "by covariates", "persons": "for single persons",
}  # fmt: skip


def attribute_tests(table: pd.DataFrame, names: Names) -> Table:
    """Whether each attribute matters to anybody (calibrate/attribute_tests.csv)."""
    whole = table[table["part"] == "any"].set_index("attribute")
    parts = table.pivot_table(index="attribute", columns="part", values="p_value", sort=False)
    made = whole.assign(**{part: parts.get(part) for part in PARTS_TESTED}).reset_index()
    columns: Shown = {
        **{"attribute": "Attribute", "p_value": "p", "p_holm": "p (Holm)"},
        **{part: f"p, {label}" for part, label in PARTS_TESTED.items()},
    }
    notes = [
        "Randomisation tests of no effect on anybody's answers. Holm's correction is over attributes; the "
        "parts say in which way an attribute matters and are not corrected."
    ]
    return replace(Listing(columns, notes=notes)(made, names), data=table)


METHODS = {
    "repeated": "Task asked twice",
    "extrapolated": "Extrapolated from all tasks",
    "linear": "Extrapolated, straight line",
    "given": "Given in the config",
}
RELIABLE = {
    "agreement": "Answers that agree",
    "response_error": "Answers that go another way by chance",
    "factor": "Factor on differences",
    "icc": "Intraclass correlation of answers",
    "icc_of_differences": "Intraclass correlation of differences within a task",
}


def reliability(table: pd.DataFrame, names: Names) -> Table:
    """How reliable answers are, for everybody and by group (calibrate/reliability.csv)."""
    who = [
        f"{grouping}: {group}" if group else "Everybody"
        for grouping, group in zip(texts(table, "grouping"), texts(table, "group"), strict=True)
    ]
    named = table.assign(
        who=who, quantity=table["quantity"].map(RELIABLE), method=table["method"].map(METHODS)
    )
    return replace(RELIABILITY(named, names), data=table)


RELIABILITY = Estimates(
    {"quantity": "Quantity", "method": "How it is known"},
    {"n": "Comparisons", "n_clusters": "Respondents"},
    group=("outcome", "who"),
    notes=[
        "Response error is taken to be the same whatever is shown. The straight line is projoint's "
        "extrapolation; it ends too low and is not relied on."
    ],
    level=lambda names: theme.CALIBRATION_LEVEL,
)


def corrected(table: pd.DataFrame, names: Names) -> Table:
    """Estimates for everybody without response error beside those as answered (calibrate/corrected.csv)."""
    rows = _against_first(table.fillna({"reference": "", "grouping": ""}))
    rows = rows[rows["grouping"].eq("")].reset_index(drop=True)
    return replace(CORRECTED(rows, names), data=table)


CORRECTED = Estimates(
    {"attribute": "Attribute", "level": "Level", "raw": "As answered"},
    {"std_error": "SE (delta)", "boot_std_error": "SE (bootstrap)", "n": "Profiles"},
    group=("outcome", "quantity"),
    notes=[
        "Without response error; intervals by the delta method. The data have groups and differences, too."
    ],
    level=lambda names: theme.CALIBRATION_LEVEL,
)


CLEAN: Shown = {
    "diagnostic": "Diagnostic", "quantity": "Quantity", "raw": "As answered", "raw_low": "from",
    "raw_high": "to", "estimate": "Without response error", "conf_low": "from ", "conf_high": "to ",
    "side": "Against the smallest gain",
}  # fmt: skip


def corrected_diagnosis(table: pd.DataFrame, names: Names) -> Table:
    """The diagnosis without response error (diagnose/corrected_diagnosis.csv)."""
    notes = [
        "Gains are divided by the factor of response error, variances by its square. The verdict rests on "
        "answers as they were given.",
        f"Ends are those of the {theme.percent(names.confidence)} interval; of the gain that a stage leaves "
        "possible they are one-sided 95% bounds.",
    ]
    return Listing(CLEAN, notes=notes)(table, names)


LEARNERS: Shown = {
    "learner": "Learner", "outcome": "Outcome", "loss": "Loss", "loss_null": "Loss of the null",
    "improvement": "Improvement", "std_error": "SE", "n": "n", "rhat": "R-hat",
    "ess": "Effective draws",
}  # fmt: skip


def learners(table: pd.DataFrame, names: Names) -> Table:
    """Loss of the learners, out of sample (calibrate/learners.csv)."""
    notes = ["The null learns no differences between people.", *_learner_notes(table)]
    return Listing(LEARNERS, notes=notes)(table, names)


def _learner_notes(table: pd.DataFrame) -> list[str]:
    """Say which learner was taken and why, and pass on what it warns of."""
    rows = table.to_dict("records")
    notes = [f"{row['learner']} is used: {row['reason']}." for row in rows if row["chosen"]]
    warned = [row for row in rows if isinstance(row.get("warning"), str)]
    return notes + [f"{row['learner']}: {row['warning']}." for row in warned]


def design(table: pd.DataFrame, names: Names) -> Table:
    """Attributes, levels and their probabilities (of clean/quality.csv), a group an attribute."""
    rows = table[table["check"].eq("level_frequency") & table["level"].notna()].reset_index(drop=True)
    expected, observed = ([share(value) for value in rows[column]] for column in ("expected", "share"))
    columns = [
        Column("Level", texts(rows, "level"), wide=True),
        Column("Probability by design", expected, numeric=True),
        Column("Share shown", observed, numeric=True),
        counts(rows, "n", "Profiles"),
    ]
    notes = ["Of the profiles shown in the calibration survey."] if len(rows) else []
    return Table(columns, rows, texts(rows, "item"), notes)
