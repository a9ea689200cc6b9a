"""Figures of the experiment: effects, how sure they are, and whether they hang on a choice of method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nanotarget.report import theme
from nanotarget.report.figures.page import (
    Bar,
    Block,
    Drawn,
    Key,
    Panel,
    Plot,
    Point,
    Row,
    band_key,
    forest,
    grid,
)
from nanotarget.report.theme import Names

LABELS = {"confirmatory": "#0072B2", "secondary": "#E69F00", "exploratory": "white"}
SKY = "#56B4E9"
SMALL = "Smaller than the smallest effect of interest"
# Label of the axis and the value of no effect, by scale of estimate/robustness.csv.
SCALES = {
    "difference": ("Difference", 0.0),
    "log odds ratio": ("Log odds ratio", 0.0),
    "probability": ("Probability of a higher answer", 0.5),
    "log ratio": ("Log ratio of means", 0.0),
}
ABREAST = 3  # contrasts side by side


def difference_axis(outcome: str, names: Names) -> str:
    """Return the label of an axis of differences between arms."""
    return "Difference in shares" if outcome in names.binary else "Difference in points"


def label_keys(labels: pd.Series) -> list[Key]:
    """Return legend entries for the pre-registered status of estimates, those that occur."""
    return [
        Key(label.capitalize(), "", colour, box=True)
        for label, colour in LABELS.items()
        if (labels == label).any()
    ]


def effects(table: pd.DataFrame, equivalence: pd.DataFrame, names: Names) -> Drawn:
    """Draw every contrast of every outcome; estimators differ in shape, labels in fill.

    Args:
        table: estimate/effects.csv.
        equivalence: estimate/equivalence.csv; contrasts tested by differences in means get a grey band of
            effects that are too small to matter, and a row with the interval and the verdict of the test.
        names: labels.
    """
    equivalence = equivalence[equivalence["estimator"] == "tost"]
    tested = {(row["outcome"], row["contrast"]): row for _, row in equivalence.iterrows()}
    markers = {e: theme.MARKERS[k] for k, e in enumerate(dict.fromkeys(table["estimator"]))}
    test_marker = theme.MARKERS[len(markers)]
    blocks = []
    for outcome, group in table.groupby("outcome", sort=False):
        places = theme.decimals(group["std_error"])
        rows = []
        for contrast, estimates in group.groupby("contrast", sort=False):
            rows.append(Row(theme.difference(str(contrast)), head=True))
            test = tested.get((outcome, contrast))
            band = None if test is None else (-float(test["sesoi"]), float(test["sesoi"]))
            for _, row in estimates.iterrows():
                style = {"marker": markers[row["estimator"]], "fill": LABELS.get(row["label"], "white")}
                rows.append(
                    Row(
                        theme.ESTIMATORS.get(row["estimator"], str(row["estimator"])),
                        (Point.of(row, **style),),
                        theme.estimate_text(row, places),
                        band=band,
                    )
                )
            if test is not None:
                point = Point.of(test, marker=test_marker, fill=LABELS.get(test["label"], "white"))
                label = f"Equivalence test: {test['verdict']}"
                rows.append(Row(label, (point,), theme.estimate_text(test, places), band=band))
        blocks.append(
            Block(rows, (Panel(difference_axis(str(outcome), names), 0.0),), names.of(str(outcome)))
        )
    keys = [Key(theme.ESTIMATORS.get(e, str(e)), marker, fill="white") for e, marker in markers.items()]
    if tested:
        level = theme.percent(round(2 * names.level - 1, 6))
        keys.append(Key(f"Equivalence test ({level} interval)", test_marker, fill="white"))
    keys += label_keys(table["label"])
    keys += [band_key(SMALL)] if tested else []
    labels = ", ".join(names.of(o) for o in dict.fromkeys(table["outcome"]))
    description = (
        f"Estimated differences between arms with {theme.percent(names.level)} intervals for: {labels}."
    )
    if tested:
        verdicts = equivalence["verdict"].value_counts(sort=False)
        said = ", ".join(f"{verdict} {n}" for verdict, n in verdicts.items())
        description += f" Equivalence within the smallest effect of interest: {said}."
    data = pd.concat([table, equivalence], ignore_index=True) if tested else table
    return Drawn(forest(blocks, names, keys), data, description)


def randomization(distribution: pd.DataFrame, inference: pd.DataFrame, names: Names) -> Drawn:
    """Draw what the arms would show if nobody responded differently, and what they did show.

    Args:
        distribution: estimate/randomization_distribution.csv, a row a bin of the studentised difference.
        inference: estimate/randomization_inference.csv, for the observed one and its p value.
        names: labels.
    """
    bins = dict(iter(distribution.groupby(["outcome", "contrast"], sort=False)))
    sections, described = [], []
    for outcome, tests in inference.groupby("outcome", sort=False):
        plots = []
        for _, test in tests.iterrows():
            title = theme.difference(test["contrast"])
            own = bins.get((outcome, test["contrast"]))
            if own is None:
                plots.append(Plot(title, None, [str(test["note"])]))
                continue
            p = theme.p_value(test["p_value"])
            words = [f"observed {theme.number(test['statistic'], 2)}, p {p if p[0] == '<' else f'= {p}'}"]
            plots.append(Plot(title, _redraws(own, float(test["statistic"])), words))
            described.append(f"{names.of(str(outcome))}, {title}: p {p}")
        sections.append((names.of(str(outcome)), plots))
    keys = [
        Key("Redraws of the arms", "", theme.BAND, theme.RULE, box=True),
        Key("At least as extreme as observed (two-sided)", "", SKY, theme.INK, box=True, hatch="////"),
        Key("Observed", "", edge=theme.ALERT, line="-"),
    ]
    figure = grid(
        sections,
        names,
        keys,
        x="Difference between arms in standard errors, if nobody responds differently to the two",
        y="Density of the redraws",
    )
    observed = inference[["outcome", "contrast", "statistic", "p_value"]]
    data = distribution.merge(observed, on=["outcome", "contrast"], how="left")
    return Drawn(figure, data, f"Randomisation distributions. {'; '.join(described)}.")


def _redraws(bins: pd.DataFrame, observed: float) -> Any:
    """Return a function that draws a histogram of redraws and the observed statistic."""
    middle = (bins["low"] + bins["high"]) / 2
    extreme = (middle.abs() >= abs(observed)).to_numpy()

    def draw(axes: Any) -> None:
        for rows, style in (
            (~extreme, {"facecolor": theme.BAND, "edgecolor": theme.RULE}),
            (extreme, {"facecolor": SKY, "edgecolor": theme.INK, "hatch": "////"}),
        ):
            part = bins[rows]
            axes.bar(part["low"], part["density"], part["high"] - part["low"], align="edge", linewidth=0.3,
                     **style)  # fmt: skip
        ends = [bins["low"].min(), bins["high"].max(), *([observed] if np.isfinite(observed) else [])]
        axes.set_xlim(min(ends) - 0.3, max(ends) + 0.3)
        axes.set_ylim(0, max(float(bins["density"].max()), 0.1) * 1.05)
        if np.isfinite(observed):
            axes.axvline(observed, color=theme.ALERT, linewidth=1.2)

    return draw


def specifications(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw every contrast under every specification, those of one scale together.

    Specifications are ordered by their estimates of the last contrast, and the same in all contrasts.

    Args:
        table: estimate/robustness.csv.
        names: labels.
    """
    blocks = []
    for (outcome, scale), group in table.groupby(["outcome", "scale"], sort=False):
        axis, reference = SCALES.get(str(scale), (str(scale), 0.0))
        if scale == "difference":
            axis = difference_axis(str(outcome), names)
        contrasts = list(dict.fromkeys(group["contrast"]))
        for shown in (contrasts[k : k + ABREAST] for k in range(0, len(contrasts), ABREAST)):
            panels = [Panel(f"{theme.difference(contrast)}: {axis}", reference) for contrast in shown]
            blocks.append(Block(list(_curve(group, shown)), panels, names.of(str(outcome))))
    keys = [
        Key(f"Estimate with {theme.percent(names.level)} interval", fill="white"),
        *label_keys(table["label"]),
    ]
    described = [
        f"{names.of(str(outcome))}, {theme.difference(str(contrast))}: {len(group)} estimates from "
        f"{theme.number(group['estimate'].min(), 3)} to {theme.number(group['estimate'].max(), 3)}"
        for (outcome, contrast), group in table[table["scale"] == "difference"].groupby(
            ["outcome", "contrast"], sort=False
        )
    ]
    return Drawn(forest(blocks, names, keys), table, f"Specification curve. {'; '.join(described)}.")


DIFFERENCES = ("dim", "lin", "ancova", "logit")
SPECIFICATION = ["estimator", "se_type", "sample", "adjustment"]


def _curve(table: pd.DataFrame, contrasts: Sequence[str]) -> Iterator[Row]:
    """Yield a row a specification, with a point a contrast."""
    last = table[table["contrast"] == contrasts[-1]].sort_values("rank")
    keyed = {(row["contrast"], *(row[name] for name in SPECIFICATION)): row for _, row in table.iterrows()}
    for spec in last[SPECIFICATION].itertuples(index=False, name=None):
        rows = [keyed.get((contrast, *spec)) for contrast in contrasts]
        points = [
            None if row is None else Point.of(row, fill=LABELS.get(row["label"], "white")) for row in rows
        ]
        yield Row(_specification(*spec), points)


def _specification(estimator: str, se_type: str, sample: str, adjustment: str) -> str:
    """Say how an estimate was made."""
    parts = [theme.ESTIMATORS.get(estimator, estimator)]
    parts += [se_type] if estimator in DIFFERENCES else []  # the others have one kind of error
    parts += [sample] if sample != "all" else []
    parts += [adjustment] if adjustment != "none" and estimator not in ("lin", "ancova") else []
    parts += ["two arms alone"] if adjustment.endswith("two arms") and estimator in ("lin", "ancova") else []
    return ", ".join(parts)


def bounds(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw Lee's bounds: what the missing answers can do to the effects.

    Args:
        table: estimate/lee_bounds.csv; the rows that trim by fractions are drawn.
        names: labels.
    """
    table = table[table["trimming"] == "fraction"].reset_index(drop=True)
    blocks, described = [], []
    for outcome, group in table.groupby("outcome", sort=False):
        places = theme.decimals(group["std_error"])
        rows = []
        for contrast, both in group.groupby("contrast", sort=False):
            ends = dict(zip(both["bound"], both["estimate"], strict=True))
            first = both.iloc[0]
            label = theme.difference(str(contrast))
            found = theme.interval(ends["lower"], ends["upper"], places)
            trimmed = first["trimmed_arm"]
            trim = (
                f"{theme.percent(round(first['trim_share'], 4))} of {trimmed}" if pd.notna(trimmed) else "–"
            )
            point = Point.of(first, ("naive", "effect_low", "effect_high"))
            box = [] if np.isnan(ends["lower"]) else [Bar(ends["lower"], ends["upper"], SKY)]
            rows.append(Row(f"{label}; trimmed: {trim}", (point,), found, bars=box))
            described.append(f"{names.of(str(outcome))}, {label} {found}")
        panel = Panel(difference_axis(str(outcome), names), 0.0)
        blocks.append(Block(rows, (panel,), names.of(str(outcome))))
    keys = [
        Key("Difference among those who answered"),
        Key("Lower to upper bound (numbers on the right)", "", SKY, box=True),
        Key(f"{theme.percent(names.level)} interval of the effect", "", line="-"),
    ]
    description = f"Bounds on effects among those who would answer in either arm. {'; '.join(described)}."
    return Drawn(forest(blocks, names, keys), table, description)
