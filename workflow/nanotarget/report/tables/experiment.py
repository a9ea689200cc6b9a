"""What the arms of the experiment did, and how far the answer depends on how it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from nanotarget.report import theme
from nanotarget.report.tables.parts import (
    Column,
    Shown,
    Table,
    chosen,
    decimals,
    estimated,
    headings,
    marked_labels,
    p_values,
    shown,
    texts,
    together,
)
from nanotarget.report.theme import Names

HOLM = "p, adjusted: for the number of tests in the family (Holm)."
TESTED: Shown = {"p_value": "p", "p_adjusted": "p, adjusted", "n": "n", "label": "Label"}


def effects(table: pd.DataFrame, names: Names, redrawn: pd.DataFrame | None = None) -> Table:
    """Effects of the experiment (estimate/effects.csv), a group an outcome.

    Args:
        table: estimate/effects.csv.
        names: labels.
        redrawn: estimate/randomization_inference.csv, whose p values stand beside those of the
            differences in means.
    """
    notes = [HOLM]
    beside = dict(TESTED)
    data = table
    if redrawn is not None:
        test = redrawn[["outcome", "contrast", "p_value"]].assign(estimator="dim")
        test = test.rename(columns={"p_value": "p_redrawn"})
        data = table.merge(test, on=["outcome", "contrast", "estimator"], how="left", validate="m:1")
        beside = {"p_value": "p", "p_redrawn": "p, redrawn", **TESTED}
        notes.append("p, redrawn: by randomisation inference, of no difference for anybody.")
    keys: Shown = {"contrast": "Contrast", "estimator": "Estimator"}
    return estimated("effects", "Effects of the experiment", data, names, keys, beside, notes=notes)


def scales(table: pd.DataFrame, names: Names) -> Table:
    """Effects as the kind of outcome asks for and on other scales (estimate/scales.csv)."""
    table = table.assign(quantity=table["quantity"].fillna("")) if "quantity" in table else table
    keys: Shown = {"contrast": "Contrast", "estimator": "Estimator", "quantity": "Quantity"}
    beside: Shown = {
        "ratio": "Ratio", ("ratio_low", "ratio_high"): "Its interval", "p_value": "p",
        "p_adjusted": "p, adjusted", "p_fisher": "p, Fisher", "n": "n", "label": "Label",
    }  # fmt: skip
    alike = [column for column in ("outcome", "estimator", "quantity") if column in table]
    notes = [
        "Log ratios stand in the column of the estimate, ratios beside them. "
        "Mann-Whitney: probability that who is in the first arm answers higher, ties halved.",
        HOLM,
        *_parallel(table, names),
    ]
    return estimated(
        "scales", "Effects on other scales", table, names, keys, beside, alike=alike, notes=notes
    )


def _parallel(table: pd.DataFrame, names: Names) -> list[str]:
    """Say whether proportional odds hold, a sentence an outcome."""
    if "parallel_p" not in table:
        return []
    tested = table.dropna(subset=["parallel_p"]).drop_duplicates("outcome")
    return [
        f"Proportional odds of {names.of(outcome)}: p = {theme.p_value(p)} (Brant).".replace("= <", "< ")
        for outcome, p in zip(tested["outcome"], tested["parallel_p"], strict=True)
    ]


def omnibus(table: pd.DataFrame, names: Names) -> Table:
    """Tests of all arms together (estimate/omnibus.csv), a group an outcome."""
    columns: Shown = {"test": "Test", "statistic": "Statistic", "df1": "df", "df2": "df, residual",
                      "p_value": "p", "n": "n", "label": "Label"}  # fmt: skip
    notes = ["Of the hypothesis that no arm differs from another."]
    return chosen("omnibus", "Do the arms differ at all?", table, names, columns, "outcome", notes)


def robustness(table: pd.DataFrame, names: Names) -> Table:
    """The specification curve (estimate/robustness.csv), a group an outcome and contrast."""
    keys: Shown = {"scale": "Scale", "estimator": "Estimator", "adjustment": "Adjustment",
                   "sample": "Sample", "se_type": "Errors"}  # fmt: skip
    beside: Shown = {"p_value": "p", "n": "n", "label": "Label"}
    return estimated(
        "robustness",
        "Effects under every specification",
        table,
        names,
        keys,
        beside,
        ["outcome", "contrast"],
        ["outcome", "scale"],
        ["Sorted by the estimate; only estimates on one scale can be compared."],
    )


def randomization_inference(table: pd.DataFrame, names: Names) -> Table:
    """Randomisation inference (estimate/randomization_inference.csv), a group an outcome."""
    keys: Shown = {"contrast": "Contrast", "scheme": "Redrawn"}
    beside: Shown = {"p_value": "p", "p_greater": "p, greater", "p_less": "p, less",
                     "p_adjusted": "p, adjusted", "draws": "Draws", "n": "n", "label": "Label"}  # fmt: skip
    notes = ["p: of no difference for anybody, from redraws of the arms as they were drawn.", HOLM]
    title = "Randomisation inference"
    return estimated("randomization_inference", title, table, names, keys, beside, notes=notes)


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
    title = "Tests and their families"
    data = table[["family", "outcome", "estimator", "contrast", "p_value", "tests", "rank", "threshold",
                  "p_adjusted", "label", "deviation"]]  # fmt: skip
    return Table("multiplicity", title, columns, data, list(table["heading"]), notes)


def _families(table: pd.DataFrame, names: Names) -> list[str]:
    """Name the family of each row; those without a registered name by outcome and estimator."""
    own = table["outcome"].astype("str") + ", " + table["estimator"].astype("str")
    labels = headings(table, ["outcome", "estimator"], names)
    unnamed = table["family"].eq(own)
    return [
        label if bare else family
        for label, bare, family in zip(labels, unnamed, texts(table, "family"), strict=True)
    ]


def equivalence(table: pd.DataFrame, names: Names, sentences: Sequence[str] = ()) -> Table:
    """Tests that effects are smaller than the smallest effect of interest (estimate/equivalence.csv).

    Args:
        table: estimate/equivalence.csv.
        names: labels.
        sentences: what the data exclude, one a contrast (estimate/sentences.csv).
    """
    bounds = [f"±{theme.number(b, theme.decimals([b]))}" for b in table["sesoi"]]
    keys: Shown = {"contrast": "Contrast", "bound": "Bound"}
    beside: Shown = {"p_value": "p", "verdict": "Verdict", "non_superiority": "One-sided", "label": "Label"}
    notes = [
        "p: the larger of two one-sided tests against the bound, the smallest effect of interest.",
        *sentences,
    ]
    made = estimated(
        "equivalence", "Equivalence tests", table.assign(bound=bounds), names, keys, beside,
        notes=notes, level=2 * names.level - 1,
    )  # fmt: skip
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
    return Table("power", "Smallest detectable effects", columns, table, groups, notes)
