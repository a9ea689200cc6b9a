"""Figures of the explorations: for whom it works, whether the promise was kept, and the opposite end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from nanotarget.diagnose.quantities import Quantity
from nanotarget.report import theme
from nanotarget.report.figures.estimate import ABREAST, difference_axis
from nanotarget.report.figures.page import (
    DASHED,
    Block,
    Drawn,
    Key,
    Panel,
    Plot,
    Point,
    Row,
    forest,
    grid,
)
from nanotarget.report.theme import Names

BLUE, ORANGE, SKY = "#0072B2", "#E69F00", "#56B4E9"
HIDDEN = "too few people to show"
SHRUNKEN = ("shrunken", "shrunken_low", "shrunken_high")
PREDICTED = ("predicted", "predicted_low", "predicted_high")


def subgroups(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw effects by subgroup, raw and shrunken, a panel a contrast; suppressed cells say so.

    Args:
        table: explore/subgroups.csv.
        names: labels.
    """
    blocks = []
    shrunken = "shrunken" in table and table["shrunken"].notna().any()
    for outcome, group in theme.in_units(table, names).groupby("outcome", sort=False):
        for contrasts in _abreast(group, "contrast"):
            own, rows = group[group["contrast"].isin(contrasts)], []
            for grouping, cells in own.groupby("grouping", sort=False):
                rows.append(Row(f"By {grouping}", head=True))
                rows += _crossed(cells, "group", ("contrast", contrasts), shrunken=shrunken)
            axis = difference_axis(str(outcome), names)
            panels = [Panel(axis, 0.0, title=theme.difference(contrast)) for contrast in contrasts]
            blocks.append(Block(rows, panels, names.of(str(outcome))))
    level = theme.percent(names.level)
    description = (
        "Exploratory differences between arms within subgroups "
        f"({', '.join(str(g) for g in dict.fromkeys(table['grouping']))}), with {level} intervals."
    )
    keys = [Key(f"Exploratory estimate with {level} interval", fill="white")]
    if shrunken:
        keys.append(Key("Shrunken towards the mean of the groups", "s", BLUE, BLUE))
        description += " Below each its estimate shrunken towards the mean of the groups."
    return Drawn(forest(blocks, names, keys), table, description)


def _abreast(table: pd.DataFrame, column: str, most: int = ABREAST) -> Iterator[list[str]]:
    """Yield the values of a column, as many together as have panels side by side."""
    values = list(dict.fromkeys(table[column]))
    yield from (values[k : k + most] for k in range(0, len(values), most))


def _crossed(
    table: pd.DataFrame, down: str, across: tuple[str, Sequence[str]], *, shrunken: bool = False
) -> Iterator[Row]:
    """Yield a row a value of one column with a point a value of another; suppressed cells are named."""
    column, values = across
    for label, cells in table.groupby(down, sort=False):
        found = {row[column]: row for _, row in cells.iterrows()}
        shown = [found.get(value) for value in values]
        points = [None if row is None else Point.of(row, fill="white") for row in shown]
        below = [
            Point.of(row, SHRUNKEN, marker="s", fill=BLUE, edge=BLUE)
            if shrunken and row is not None
            else None
            for row in shown
        ]
        hidden = "suppressed" in cells and cells["suppressed"].astype("bool").any()
        text = theme.difference(str(label)) if down == "contrast" else str(label)
        yield Row(text, points, HIDDEN if hidden else "", second=below if shrunken else ())


def _cell(label: str, row: pd.Series, places: int, **more: Any) -> Row:
    """Return the row of an estimate, or one that says that it is suppressed."""
    if bool(row["suppressed"]):
        return Row(label, text=HIDDEN)
    return Row(label, (Point.of(row, fill="white"),), theme.estimate_text(row, places), **more)


def dilution(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw the effect of nano over all, and over those for whom its petition differs from overall-best.

    Args:
        table: explore/validation.csv; rows of the estimator `dilution` are drawn.
        names: labels.
    """
    table = table[table["estimator"] == "dilution"].reset_index(drop=True)
    labels = {
        ("effect", "all"): "Everybody",
        ("effect", "divergent"): "Whose petitions differ",
        ("effect", "others"): "Whose petitions are the same",
        ("effect / share divergent", "divergent"): "Everybody's effect over the share that differs",
    }
    blocks, described = [], []
    for (outcome, contrast), group in table.groupby(["outcome", "contrast"], sort=False):
        effects = theme.in_units(group[group["quantity"] != "share divergent"], names)
        places = theme.decimals(effects["std_error"])
        rows = [
            _noted(_cell(labels[row["quantity"], row["group"]], row, places), row)
            for _, row in effects.iterrows()
        ]
        share = group[group["quantity"] == "share divergent"].iloc[0]
        said = HIDDEN if share["suppressed"] else theme.whole_percent(share["estimate"])
        what = f"{names.of(str(outcome))}: {theme.difference(str(contrast))}"
        blocks.append(
            Block(
                rows,
                (Panel(difference_axis(str(outcome), names), 0.0),),
                f"{what} (petitions differ for: {said})",
            )
        )
        described.append(f"{what} {theme.estimate_text(effects.iloc[0], places)}, differ for {said}")
    keys = [Key(f"Estimate with {theme.percent(names.level)} interval", fill="white")]
    return Drawn(forest(blocks, names, keys), table, f"Dilution. {'; '.join(described)}.")


def _noted(row: Row, found: pd.Series) -> Row:
    """Say in the place of a missing number why it is missing."""
    missing = not row.points or np.isnan(found["estimate"])
    return Row(row.label, text="not estimated") if missing and not found["suppressed"] else row


def dose(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw the effect of nano by the number of attributes in which its petition differs.

    Args:
        table: explore/validation.csv; rows of the estimator `dose` are drawn.
        names: labels.
    """
    table = table[table["estimator"] == "dose"].reset_index(drop=True)
    plots, described = [], []
    for (outcome, contrast), group in theme.in_units(table, names).groupby(
        ["outcome", "contrast"], sort=False
    ):
        points = group[group["quantity"] == "effect"]
        slope = group[group["quantity"] == "effect per attribute"].iloc[0]
        what = f"{names.of(str(outcome))} ({names.unit_of(str(outcome))})"
        said = theme.estimate_text(slope, theme.decimals([slope["std_error"]]))
        if np.isnan(slope["estimate"]):
            said = HIDDEN if slope["suppressed"] else str(slope["note"])
        words = [theme.difference(str(contrast)), f"per attribute: {said}"]
        labels = [
            (str(row["group"]).replace(" or more", "+"), "–" if row["suppressed"] else theme.count(row["n"]))
            for _, row in points.iterrows()
        ]
        plots.append(Plot(what, _intervals(points), words, labels))
        described.append(f"{names.of(str(outcome))}, effect per attribute: {said}")
    figure = grid(
        [("", plots)],
        names,
        [Key(f"Estimate with {theme.percent(names.level)} interval", fill="white", line="-")],
        x="Attributes in which nano's petition differs from the overall-best one; below: respondents",
        y="Effect of nano's petition instead of the overall-best one",
    )
    return Drawn(figure, table, f"Dose and response. {'; '.join(described)}.")


def _intervals(table: pd.DataFrame) -> Any:
    """Return a function that draws estimates with intervals at 0, 1, 2, ..."""
    estimate, low, high = (table[c].to_numpy(np.float64) for c in ("estimate", "conf_low", "conf_high"))
    places = np.arange(len(table))
    known = np.isfinite(estimate)

    def draw(axes: Any) -> None:
        axes.axhline(0, color=theme.MUTED, linewidth=0.6, linestyle=DASHED, zorder=1)
        axes.vlines(places[known], low[known], high[known], color=theme.INK, linewidth=1.0, zorder=2)
        axes.plot(
            places[known],
            estimate[known],
            marker="o",
            markersize=4.2,
            markerfacecolor="white",
            markeredgecolor=theme.INK,
            markeredgewidth=0.8,
            linestyle="",
            zorder=3,
        )

    return draw


def validation(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw the gain that was predicted and the one that was observed, and how they go together.

    Args:
        table: explore/validation.csv; rows of the estimator `validation` are drawn.
        names: labels.
    """
    table = table[table["estimator"] == "validation"].reset_index(drop=True)
    blocks, described = [], []
    for (outcome, contrast), group in table.groupby(["outcome", "contrast"], sort=False):
        found = {row["quantity"]: row for _, row in theme.in_units(group, names).iterrows()}
        gain = found["theta"]
        slope = group[group["quantity"] == "lambda"].iloc[0]  # a slope has no unit
        comparable = not np.isnan(slope["predicted"])
        what = f"{names.of(str(outcome))}: {theme.difference(str(contrast))}"
        rows = list(_gains(found, comparable))
        blocks.append(Block(rows, (Panel(f"Gain ({names.unit_of(str(outcome))})", 0.0),), what))
        places = theme.decimals([slope["std_error"]])
        text = HIDDEN if slope["suppressed"] else theme.estimate_text(slope, places)
        label = "Observed gain per unit of predicted gain" + (", 1 is perfect" if comparable else "")
        point = Point.of(slope, marker="D", fill="white")
        panel = Panel("Slope", 1.0 if comparable else 0.0)
        if not np.isnan(slope["estimate"]):
            blocks.append(Block([Row(label, (point,), text)], (panel,), f"{what}: slope"))
        else:
            reason = HIDDEN if slope["suppressed"] else str(slope["note"]).split(";", maxsplit=1)[0]
            rows.append(Row(f"No slope: {reason}"))
        predicted = theme.number(gain["predicted"], 3) if comparable else "on another scale"
        described.append(f"{what}: observed {theme.estimate_text(gain, 3)}, predicted {predicted}")
    level = theme.percent(names.level)
    keys = [
        Key("Predicted by the calibration", "s", SKY),
        Key("Observed in the experiment", "o"),
        Key(f"Difference, slope ({level} intervals)", "D", "white"),
    ]
    return Drawn(forest(blocks, names, keys), table, f"Did the promise hold? {'; '.join(described)}.")


def _gains(found: dict[str, pd.Series], comparable: bool) -> Iterator[Row]:
    """Yield the rows of the predicted and the observed gain, and of their difference."""
    gain = found["theta"]
    places = theme.decimals([gain["std_error"]])
    if comparable:
        numbers = dict(zip(("estimate", "conf_low", "conf_high"), (gain[c] for c in PREDICTED), strict=True))
        point = Point.of(gain, PREDICTED, marker="s", fill=SKY)
        yield Row("Predicted gain", (point,), theme.estimate_text(numbers, places))
    else:
        yield Row("Predicted gain", text="on another scale")
    yield Row("Observed gain", (Point.of(gain),), theme.estimate_text(gain, places))
    for quantity, label in (
        ("theta - dividend", "Observed − predicted"),
        ("theta - mean predicted gain", "Observed − what the learner promised"),
    ):
        row = found.get(quantity)
        if row is not None and not np.isnan(row["estimate"]):
            point = Point.of(row, marker="D", fill="white")
            yield Row(label, (point,), theme.estimate_text(row, places))


def targeting(curve: pd.DataFrame, rate: pd.DataFrame, names: Names) -> Drawn:
    """Draw what is gained by treating those first to whom nano promises most.

    Args:
        curve: explore/targeting_curve.csv.
        rate: explore/rate.csv, for the area under each curve.
        names: labels.
    """
    rate = theme.in_units(rate[rate["target"] == "AUTOC"], names)
    areas = {(r["outcome"], r["contrast"]): r for _, r in rate.iterrows()}
    sections, described = [], []
    for outcome, group in theme.in_units(curve, names).groupby("outcome", sort=False):
        plots = []
        for contrast, own in group.groupby("contrast", sort=False):
            title = theme.difference(str(contrast))
            if own["estimate"].isna().all():
                plots.append(Plot(title, None, [str(own["note"].iloc[0])]))
                continue
            area = areas[outcome, contrast]
            said = theme.estimate_text(area, theme.decimals([area["std_error"]]))
            plots.append(Plot(title, _curve(own), [f"area {said}"]))
            described.append(f"{names.of(str(outcome))}, {title}: area {said}")
        sections.append((f"{names.of(str(outcome))} ({names.unit_of(str(outcome))})", plots))
    if all(len(plots) == 1 for _, plots in sections):  # a contrast alone: outcomes stand side by side
        sections = [("", [replace(plot, title=f"{what}, {plot.title}") for what, (plot,) in sections])]
    figure = grid(
        sections,
        names,
        [
            Key("Those treated first − everybody", "", edge=BLUE, line="-"),
            Key(f"{theme.percent(names.level)} interval at each share", "", theme.BAND, theme.RULE, box=True),
        ],
        x="Share of respondents treated, largest predicted gain first",
        y="Effect among those treated first minus effect among all",
    )
    return Drawn(figure, curve, f"Targeting operator characteristics. {'; '.join(described)}.")


def _curve(table: pd.DataFrame) -> Any:
    """Return a function that draws a targeting curve with its intervals."""

    def draw(axes: Any) -> None:
        axes.fill_between(
            table["share"],
            table["conf_low"],
            table["conf_high"],
            facecolor=theme.BAND,
            edgecolor=theme.RULE,
            linewidth=0.6,
            zorder=0,
        )
        axes.axhline(0, color=theme.MUTED, linewidth=0.6, linestyle=DASHED, zorder=1)
        axes.plot(table["share"], table["estimate"], color=BLUE, zorder=2)
        axes.set_xlim(0, 1)

    return draw


# Label, marker and fill of what is on offer at either end.
ABOVE, BELOW = ("o", BLUE), ("v", ORANGE)
POLICIES = {
    "nano": ABOVE,
    "overall_best": ABOVE,
    "overall_worst": BELOW,
    "nano_worst": BELOW,
}
WORST = {"overall_worst": "Overall worst (never fielded)", "nano_worst": "Nano worst (never fielded)"}
ENDS = {
    Quantity.GAIN: ("Support: nano over overall-best", ABOVE),
    "overall_worst - nano_worst": ("Dissuasion: nano below overall-worst", BELOW),
    "dissuasion - gain": ("Asymmetry: dissuasion − support", ("D", "white")),
}


def dissuasion(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw what nano-targeting could do at either end: to support, and against it.

    Args:
        table: explore/dissuasion.csv.
        names: labels, unit.
    """
    found = table[table["estimate"].notna()]
    blocks = [*_values(found, names.unit), *_ends(found, names.unit), *_sources(found, names.unit)]
    level = theme.percent(names.confidence)
    keys = [
        Key("Upper end: support", *ABOVE),
        Key("Lower end: dissuasion", *BELOW),
        Key(f"Difference ({level} intervals)", "D", "white"),
    ]
    said = [
        f"{label} {theme.estimate_text(row, theme.decimals([row['std_error']]))}"
        for quantity, (label, _) in ENDS.items()
        for _, row in found[(found["group"] == "all") & (found["quantity"] == quantity)].iterrows()
    ]
    return Drawn(forest(blocks, names, keys), table, f"Both ends of the calibration. {'; '.join(said)}.")


def _values(table: pd.DataFrame, unit: str) -> Iterator[Block]:
    """Yield the block of the values of policies."""
    everybody = table[table["group"] == "all"].set_index("quantity")
    rows = [
        Row(
            WORST.get(policy, theme.POLICIES.get(policy, policy)),
            (Point.of(everybody.loc[policy], marker=marker, fill=fill),),
        )
        for policy, (marker, fill) in POLICIES.items()
        if policy in everybody.index
    ]
    if rows:
        yield Block(rows, (Panel(f"Mean answer ({unit})"),), "Value of the policies, everybody")


def _ends(table: pd.DataFrame, unit: str) -> Iterator[Block]:
    """Yield the block of what nano adds at either end: a row a group, a panel an end."""
    rows = []
    for group, own in table[table["quantity"].isin(ENDS)].groupby("group", sort=False):
        found = own.set_index("quantity")
        points = [
            Point.of(found.loc[quantity], marker=marker, fill=fill) if quantity in found.index else None
            for quantity, (_, (marker, fill)) in ENDS.items()
        ]
        rows.append(Row("Everybody" if group == "all" else str(group), points))
    if rows:
        panels = [Panel(f"Difference ({unit})", 0.0, title=label) for label, _ in ENDS.values()]
        yield Block(rows, panels)


SOURCES = (
    ("bottom gap", "top gap", "Gaps between the outermost levels and their neighbours", "Gap"),
    ("ceiling below", "ceiling above", "Gain of an oracle that knows everybody's tastes", "Ceiling"),
)


def _sources(table: pd.DataFrame, unit: str) -> Iterator[Block]:
    """Yield the block of where asymmetry comes from: a row an attribute, a panel a measure."""
    table = table[table["group"] == "all"].assign(attribute=table["attribute"].fillna(""))
    found = {(row["attribute"], row["quantity"]): row for _, row in table.iterrows()}

    def points(attribute: str, side: int, style: tuple[str, str]) -> list[Point | None]:
        cells = [found.get((attribute, ends[side])) for ends in SOURCES]
        return [None if c is None else Point.of(c, marker=style[0], fill=style[1]) for c in cells]

    rows = [
        Row(attribute or "All attributes", points(attribute, 1, ABOVE), second=points(attribute, 0, BELOW))
        for attribute in dict.fromkeys(table["attribute"])
        if any((attribute, name) in found for ends in SOURCES for name in ends[:2])
    ]
    if rows:
        yield Block(rows, [Panel(f"{axis} ({unit})", 0.0, title=title) for _, _, title, axis in SOURCES])


def tail(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw differences between arms in the share that refused and in the lower quantiles.

    Args:
        table: explore/lower_tail.csv.
        names: labels.
    """
    labels = ", ".join(names.of(o) for o in dict.fromkeys(table["outcome"]))
    description = f"Exploratory differences between arms at the lower end of the answers, for: {labels}."
    keys = [Key(f"Exploratory estimate with {theme.percent(names.level)} interval", fill="white")]
    figure = forest(list(_measured(table, names)), names, keys, columns=MEASURED)
    return Drawn(figure, table, description)


def polarisation(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw by how much arms differ in the gap between groups, the variance and the tails of the answers.

    Args:
        table: explore/polarisation.csv.
        names: labels.
    """
    described = [
        f"{names.of(row['outcome'])}, {theme.difference(row['contrast'])}: "
        f"{theme.estimate_text(row, theme.decimals([row['std_error']]))}"
        for _, row in table[table["quantity"].eq("gap") & table["estimate"].notna()].iterrows()
    ]
    keys = [Key(f"Exploratory estimate with {theme.percent(names.level)} interval by redraws", fill="white")]
    said = f" Gap between base and opposed: {'; '.join(described)}." if described else ""
    figure = forest(list(_measured(table, names)), names, keys, columns=MEASURED)
    return Drawn(figure, table, f"Do the arms drive people apart?{said}")


MEASURED = 4  # measures side by side
MEASURES = {"gap": "Gap base − opposed"}


def _measured(table: pd.DataFrame, names: Names) -> Iterator[Block]:
    """Yield the blocks of an outcome: a row a contrast, a panel a measure."""
    shares = table["quantity"].str.startswith("share")
    numbers = ["estimate", "std_error", "conf_low", "conf_high"]
    percent = table[shares].assign(**{name: table.loc[shares, name] * 100 for name in numbers})
    table = pd.concat([percent, theme.in_units(table[~shares], names)]).sort_index()
    for outcome, group in table.groupby("outcome", sort=False):
        for quantities in _abreast(group, "quantity", MEASURED):
            panels = []
            for quantity in quantities:
                title = MEASURES.get(quantity, quantity[:1].upper() + quantity[1:].replace(" %", "%"))
                unit = "percentage points" if quantity.startswith("share") else names.unit_of(str(outcome))
                unit = "squared points" if quantity == "variance" else unit
                panels.append(Panel(unit.capitalize(), 0.0, title=title))
            own = group[group["quantity"].isin(quantities)]
            rows = list(_crossed(own, "contrast", ("quantity", quantities)))
            yield Block(rows, panels, names.of(str(outcome)))


GAP_CHANGES = {
    "nano - overall_best": ("Nano over overall-best", ABOVE),
    "nano_worst - overall_worst": ("Nano worst over overall-worst (never fielded)", BELOW),
}


def gap(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw the gap between base and opposed under every policy, and what personalisation does to it.

    Args:
        table: explore/gap.csv.
        names: labels, unit.
    """
    found = table.set_index("quantity")
    places = theme.decimals(found["std_error"])
    policies = [
        Row(
            WORST.get(policy, theme.POLICIES.get(policy, policy)),
            (Point.of(found.loc[policy], marker=marker, fill=fill),),
            theme.estimate_text(found.loc[policy], places),
        )
        for policy, (marker, fill) in POLICIES.items()
    ]
    changes = [
        Row(label, (Point.of(found.loc[quantity], marker=marker, fill=fill),),
            theme.estimate_text(found.loc[quantity], places))
        for quantity, (label, (marker, fill)) in GAP_CHANGES.items()
    ]  # fmt: skip
    blocks = [
        Block(policies, (Panel(f"Base − opposed ({names.unit})"),), "Gap under the policies"),
        Block(changes, (Panel(f"Change of the gap ({names.unit})", 0.0),), "What personalisation does to it"),
    ]
    level = theme.percent(names.confidence)
    keys = [Key(f"Upper end: support ({level} intervals)", *ABOVE), Key("Lower end: dissuasion", *BELOW)]
    said = "; ".join(f"{row.label} {row.text}" for row in changes)
    return Drawn(forest(blocks, names, keys), table, f"Gap between base and opposed. {said}.")
