"""Figures of the explorations: for whom it works, whether the promise was kept, and the opposite end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from nanotarget.diagnose.quantities import Quantity
from nanotarget.report import theme
from nanotarget.report.figures.estimate import difference_axis
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
    """Draw effects by subgroup, raw and shrunken, a block an outcome; suppressed cells say so.

    Args:
        table: explore/subgroups.csv.
        names: labels.
    """
    blocks = []
    shrunken = "shrunken" in table and table["shrunken"].notna().any()
    for outcome, group in table.groupby("outcome", sort=False):
        places = theme.decimals(group["std_error"])
        rows = []
        for (grouping, contrast), cells in group.groupby(["grouping", "contrast"], sort=False):
            rows.append(Row(f"{theme.difference(str(contrast))}, by {grouping}", head=True))
            for _, row in cells.iterrows():
                below = (Point.of(row, SHRUNKEN, marker="s", fill=BLUE, edge=BLUE),) if shrunken else ()
                rows.append(_cell(str(row["group"]), row, places, second=below))
        blocks.append(
            Block(rows, (Panel(difference_axis(str(outcome), names), 0.0),), names.of(str(outcome)))
        )
    level = theme.percent(names.level)
    description = (
        "Exploratory differences between arms within subgroups "
        f"({', '.join(str(g) for g in dict.fromkeys(table['grouping']))}), with {level} intervals."
    )
    keys = [Key(f"Exploratory estimate with {level} interval (numbers on the right)", fill="white")]
    if shrunken:
        keys.append(Key("Shrunken towards the mean of the groups", "s", BLUE, BLUE))
        description += " Below each its estimate shrunken towards the mean of the groups."
    return Drawn(forest(blocks, names, keys), table, description)


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
        effects = group[group["quantity"] != "share divergent"]
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
    for (outcome, contrast), group in table.groupby(["outcome", "contrast"], sort=False):
        points = group[group["quantity"] == "effect"]
        slope = group[group["quantity"] == "effect per attribute"].iloc[0]
        what = f"{names.of(str(outcome))} ({_unit(str(outcome), names)})"
        said = theme.estimate_text(slope, theme.decimals([slope["std_error"]]))
        if np.isnan(slope["estimate"]):
            said = HIDDEN if slope["suppressed"] else str(slope["note"])
        words = [theme.difference(str(contrast)), f"per attribute: {said}"]
        labels = [
            (str(row["group"]), "–" if row["suppressed"] else theme.count(row["n"]))
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


def _unit(outcome: str, names: Names) -> str:
    return "share" if outcome in names.binary else "points"


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
        found = {row["quantity"]: row for _, row in group.iterrows()}
        gain, slope = found["theta"], found["lambda"]
        comparable = not np.isnan(slope["predicted"])
        unit = _unit(str(outcome), names)
        what = f"{names.of(str(outcome))}: {theme.difference(str(contrast))}"
        rows = list(_gains(found, comparable))
        blocks.append(Block(rows, (Panel(f"Gain ({unit})", 0.0),), what))
        places = theme.decimals([slope["std_error"]])
        text = HIDDEN if slope["suppressed"] else theme.estimate_text(slope, places)
        label = "Observed gain per unit of predicted gain" + (", 1 is perfect" if comparable else "")
        point = Point.of(slope, marker="D", fill="white")
        panel = Panel("Slope", 1.0 if comparable else 0.0)
        if not np.isnan(slope["estimate"]):
            blocks.append(Block([Row(label, (point,), text)], (panel,)))
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
    areas = {(r["outcome"], r["contrast"]): r for _, r in rate[rate["target"] == "AUTOC"].iterrows()}
    sections, described = [], []
    for outcome, group in curve.groupby("outcome", sort=False):
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
        sections.append((f"{names.of(str(outcome))} ({_unit(str(outcome), names)})", plots))
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
    blocks = list(_ends(found, names.unit))
    for low, high, title, axis in (
        ("bottom gap", "top gap", "Gaps between the outermost levels and their neighbours", "Gap"),
        (
            "ceiling below",
            "ceiling above",
            "What an oracle that knows everybody's tastes could gain at either end",
            "Ceiling",
        ),
    ):
        rows = []
        for attribute, group in found.assign(attribute=found["attribute"].fillna("")).groupby(
            "attribute", sort=False
        ):
            group = group[group["group"] == "all"].set_index("quantity")
            if {low, high} <= set(group.index):
                points = [
                    (Point.of(group.loc[name], marker=marker, fill=fill),)
                    for name, (marker, fill) in ((high, ABOVE), (low, BELOW))
                ]
                rows.append(Row(str(attribute) or "All attributes", points[0], second=points[1]))
        if rows:
            blocks.append(Block(rows, (Panel(f"{axis} ({names.unit})", 0.0),), title))
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


def _ends(table: pd.DataFrame, unit: str) -> Iterator[Block]:
    """Yield the block of the values of policies and that of what nano adds at either end, by group."""
    everybody = table[table["group"] == "all"].set_index("quantity")
    places = theme.decimals(table.loc[table["quantity"].isin(ENDS), "std_error"])
    rows = [
        Row(
            WORST.get(policy, theme.POLICIES.get(policy, policy)),
            (Point.of(everybody.loc[policy], marker=marker, fill=fill),),
            theme.estimate_text(everybody.loc[policy], places),
        )
        for policy, (marker, fill) in POLICIES.items()
        if policy in everybody.index
    ]
    if rows:
        yield Block(rows, (Panel(f"Mean answer ({unit})"),), "Value of the policies, everybody")
    rows = []
    for group, own in table[table["quantity"].isin(ENDS)].groupby("group", sort=False):
        rows.append(Row("Everybody" if group == "all" else str(group), head=True))
        for _, row in own.iterrows():
            label, (marker, fill) = ENDS[row["quantity"]]
            rows.append(
                Row(label, (Point.of(row, marker=marker, fill=fill),), theme.estimate_text(row, places))
            )
    if rows:
        yield Block(rows, (Panel(f"Difference ({unit})", 0.0),), "What nano adds at either end")


def tail(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw differences between arms in the share that refused and in the lower quantiles.

    Args:
        table: explore/lower_tail.csv.
        names: labels.
    """
    blocks = []
    for outcome, group in table.groupby("outcome", sort=False):
        refused = group["quantity"].str.startswith("share")
        shares = [
            _lower(theme.difference(row["contrast"]), group, row) for _, row in group[refused].iterrows()
        ]
        title = f"{names.of(str(outcome))}: share refused"
        if shares:
            blocks.append(Block(shares, (Panel("Difference in shares", 0.0),), title))
        rows = []
        for contrast, found in group[~refused].groupby("contrast", sort=False):
            rows.append(Row(theme.difference(str(contrast)), head=True))
            for _, row in found.iterrows():
                rows.append(_lower(str(row["quantity"]).replace(" %", "%").capitalize(), found, row))
        if rows:
            title = f"{names.of(str(outcome))}: lower quantiles"
            blocks.append(Block(rows, (Panel("Difference in points", 0.0),), title))
    keys = [Key(f"Exploratory estimate with {theme.percent(names.level)} interval", fill="white")]
    labels = ", ".join(names.of(o) for o in dict.fromkeys(table["outcome"]))
    description = f"Exploratory differences between arms at the lower end of the answers, for: {labels}."
    return Drawn(forest(blocks, names, keys), table, description)


def _lower(label: str, table: pd.DataFrame, row: pd.Series) -> Row:
    places = theme.decimals(table.loc[table["quantity"] == row["quantity"], "std_error"])
    return Row(label, (Point.of(row, fill="white"),), theme.estimate_text(row, places))


MEASURES = {
    "gap": ("gap between base and opposed", "Change of the gap"),
    "variance": ("variance", "Change of the variance"),
    "share in the": ("shares in the outer fifths of the scale", "Difference in shares"),
}


def polarisation(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw by how much arms differ in the gap between groups, the variance and the tails of the answers.

    Args:
        table: explore/polarisation.csv.
        names: labels.
    """
    blocks, described = [], []
    for outcome, group in table.groupby("outcome", sort=False):
        for measure, (title, axis) in MEASURES.items():
            own = group[group["quantity"].str.startswith(measure)]
            places = theme.decimals(own["std_error"])
            rows = []
            for contrast, cells in own.groupby("contrast", sort=False):
                label = theme.difference(str(contrast))
                if len(cells) > 1:
                    rows.append(Row(label, head=True))
                for _, row in cells.iterrows():
                    said = label if len(cells) == 1 else str(row["quantity"]).capitalize()
                    rows.append(_noted(_cell(said, row, places), row))
                    if measure == "gap":
                        text = rows[-1].text
                        described.append(f"{names.of(str(outcome))}, {label}: {text}")
            if rows:
                blocks.append(Block(rows, (Panel(axis, 0.0),), f"{names.of(str(outcome))}: {title}"))
    keys = [Key(f"Exploratory estimate with {theme.percent(names.level)} interval by redraws", fill="white")]
    said = f" Gap between base and opposed: {'; '.join(described)}." if described else ""
    return Drawn(forest(blocks, names, keys), table, f"Do the arms drive people apart?{said}")


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
