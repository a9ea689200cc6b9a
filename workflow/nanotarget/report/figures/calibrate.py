"""Figures of the calibration: the design of the petitions, and what people like in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from scipy.special import ndtri

from nanotarget.report import theme
from nanotarget.report.figures.page import (
    GAP,
    LABELS_AT_MOST,
    MARGIN,
    Bar,
    Block,
    Canvas,
    Drawn,
    Key,
    Panel,
    Point,
    Row,
    axes_at,
    chart,
    draw_legend,
    forest,
    paint_legend,
    write,
    write_lines,
)
from nanotarget.report.theme import LINE, Names

INSIDE = 0.1  # between the frame of the example and its text


def design(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw the attributes with their levels, and a petition beside them as a respondent could have seen it.

    Args:
        table: the design at a glance, `design.overview`.
        names: whether to mark the figure as simulated.
    """
    shown = table["example"].astype(bool)
    texts = table.loc[shown, "petition_text"].dropna()
    text = str(texts.iloc[0]) if len(texts) else ""
    groups = [(str(name), levels) for name, levels in table.groupby("attribute", sort=False)]
    with theme.drawing():
        canvas = Canvas(theme.PAGE_WIDTH, names)
        room = canvas.width - 2 * MARGIN
        heading = theme.wrap("A petition as a respondent could have seen it", room - 2 * INSIDE, bold=True)
        written = [line for part in text.splitlines() for line in theme.wrap(part, room - 2 * INSIDE)]
        size = LINE * (len(heading) + len(written)) + 0.05 + 2 * INSIDE
        start = canvas.room(size + GAP)
        columns = _columns(table, room)
        width = (room - GAP * (columns - 1)) / columns
        placed = [_levels(name, levels, width) for name, levels in groups]
        total = sum(height for _, height in placed)
        top, column, ends = canvas.top, 0, []
        frames = []
        for texts, height in placed:
            if column < columns - 1 and canvas.top - top + height / 2 > total / columns:
                column, canvas.top = column + 1, top
            frames.append((MARGIN + column * (width + GAP), canvas.room(height), texts))
            ends.append(canvas.top)
        canvas.top = max(ends)
        legend = draw_legend(
            canvas,
            [
                Key("Level of the petition above"),
                Key("Another level; the first of each attribute is the reference", fill="white"),
                Key("20%: how often the design shows the level", ""),
            ],
        )
        figure = canvas.figure()
        _frame(figure, (MARGIN, start, room, size))
        write_lines(figure, MARGIN + INSIDE, start + INSIDE, heading, bold=True)
        write_lines(figure, MARGIN + INSIDE, start + INSIDE + LINE * len(heading) + 0.05, written)
        for left, top, texts in frames:
            for level in texts:
                _paint_level(figure, level, left, top, width)
        paint_legend(figure, legend)
    sizes = table.groupby("attribute", sort=False).size()
    return Drawn(
        figure,
        table,
        f"The design: {len(sizes)} attributes with {sizes.min()} to {sizes.max()} levels. Example: {text}",
    )


def _share(probability: float) -> str:
    return theme.percent(round(float(probability), 3))


@dataclass(frozen=True)
class Level:
    """A line of the design: its place below the attribute's top, in inches; without a share a heading."""

    top: float
    lines: Sequence[str]
    share: str = ""
    shown: bool = False


INDENT = 0.2  # of levels, behind their marks


def _columns(table: pd.DataFrame, room: float) -> int:
    """Return in how many columns attributes are placed: three if no text must be broken for it."""
    widest = max(
        *(theme.text_width(level) + INDENT + 0.5 for level in table["level"]),
        *(theme.text_width(str(name), bold=True) for name in table["attribute"]),
    )
    return 3 if 3 * widest + 2 * GAP <= room else 2


def _levels(attribute: str, levels: pd.DataFrame, width: float) -> tuple[list[Level], float]:
    """Place an attribute and its levels below each other; also returns their height."""
    lines = theme.wrap(attribute, width, bold=True)
    found, top = [Level(0.0, lines)], LINE * len(lines) + 0.02
    for _, row in levels.iterrows():
        lines = theme.wrap(row["level"], width - INDENT - 0.45)
        found.append(Level(top, lines, _share(row["probability"]), bool(row["example"])))
        top += LINE * len(lines) + 0.015
    return found, top + 0.08


def _paint_level(figure: Figure, level: Level, left: float, top: float, width: float) -> None:
    """Write an attribute, or a level with its share and its mark, filled if it is the example's."""
    if not level.share:
        write_lines(figure, left, top + level.top, level.lines, bold=True)
        return
    middle = top + level.top + LINE / 2
    write_lines(figure, left + INDENT, top + level.top, level.lines)
    write(figure, left + width, middle, level.share, align="right", colour=theme.MUTED)
    page, height = figure.get_size_inches()
    dot = Line2D(
        [(left + 0.09) / page],
        [1 - middle / height],
        marker="o",
        markersize=4.2,
        markerfacecolor=theme.INK if level.shown else "white",
        markeredgecolor=theme.INK,
        markeredgewidth=0.8,
        transform=figure.transFigure,
    )
    figure.add_artist(dot)


def _frame(figure: Figure, place: tuple[float, float, float, float]) -> None:
    """Draw a frame given in inches: left, top, width, height."""
    (left, top, wide, tall), (width, height) = place, figure.get_size_inches()
    figure.add_artist(
        Rectangle(
            (left / width, 1 - (top + tall) / height),
            wide / width,
            tall / height,
            facecolor="white",
            edgecolor=theme.MUTED,
            linewidth=0.8,
            transform=figure.transFigure,
            zorder=0,
        )
    )


def imces(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw how the predicted effects of each level are spread over respondents.

    Args:
        table: calibrate/imces.csv, `imce.distribution`.
        names: labels, unit of the effects.
    """
    rows = []
    for attribute, levels in table.groupby("attribute", sort=False):
        rows.append(Row(str(attribute), head=True))
        for _, row in levels.iterrows():
            point = Point.of(row, ("q50", "q05", "q95"), marker="|")
            box = Bar(row["q25"], row["q75"], theme.BAND)
            positive, certain = row["share_positive"], row["share_above"] + row["share_below"]
            text = f"{theme.whole_percent(positive)} / {theme.whole_percent(certain)}"
            rows.append(Row(str(row["level"]), (point,), text, bars=(box,)))
    level = theme.percent(names.confidence)
    keys = [
        Key("Middle half of the respondents, median", "|", theme.BAND, box=True),
        Key("5th to 95th percentile", "", line="-"),
        Key(f"Right: share with a positive effect / with a {level} interval that leaves out zero", ""),
    ]
    panel = Panel(f"Effect against the reference level, predicted for each respondent ({names.unit})", 0.0)
    spread = table.loc[(table["q95"] - table["q05"]).idxmax()]
    description = (
        f"Predicted effects of {len(table)} levels on {theme.count(table['n'].max())} respondents. They "
        f"differ most for {spread['attribute']}: {spread['level']} (5th percentile "
        f"{theme.number(spread['q05'], 2)}, 95th {theme.number(spread['q95'], 2)})."
    )
    return Drawn(forest([Block(rows, (panel,))], names, keys), table, description)


def amce(effects: pd.DataFrame, names: Names) -> Drawn:
    """Draw average marginal component effects, a panel an outcome, grouped by attribute.

    Args:
        effects: calibrate/amce.csv; of several estimators the last is drawn, which in a restricted
            design is the one that allows for it. What cannot be estimated stays empty.
        names: labels.
    """
    shown = effects[effects["estimator"] == effects["estimator"].iloc[-1]]
    keys = [
        Key(f"Estimate with {theme.percent(theme.CALIBRATION_LEVEL)} interval"),
        Key("Reference level", fill="white"),
    ]
    panels = [
        Panel(f"Effect ({names.unit_of(outcome)})", 0.0, title=names.of(outcome))
        for outcome in dict.fromkeys(shown["outcome"])
    ]
    figure = forest([Block(_levels_of_all(shown, names), panels)], names, keys)
    described = [f"{names.of(outcome)}: {_strongest(own, names)}" for outcome, own in _each_outcome(shown)]
    description = f"Average marginal component effects of {len(shown)} levels. {'; '.join(described)}."
    return Drawn(figure, effects, description)


def marginal_means(means: pd.DataFrame, names: Names) -> Drawn:
    """Draw marginal means, a panel an outcome, grouped by attribute.

    Args:
        means: calibrate/marginal_means.csv.
        names: labels, and the marginal mean without any preference, drawn as a line.
    """
    panels = []
    for outcome in dict.fromkeys(means["outcome"]):
        mean = names.indifference.get(outcome)
        reference = None if mean is None else mean * names.times(outcome)
        axis = "Mean (%)" if outcome in names.binary else "Mean (points)"
        panels.append(Panel(axis, reference, title=names.of(outcome)))
    keys = [Key(f"Estimate with {theme.percent(theme.CALIBRATION_LEVEL)} interval")]
    figure = forest([Block(_levels_of_all(means, names), panels)], names, keys)
    described = [f"{names.of(outcome)}: {_strongest(own, names)}" for outcome, own in _each_outcome(means)]
    return Drawn(figure, means, f"Marginal means of {len(means)} levels. {'; '.join(described)}.")


def _each_outcome(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for outcome, own in table.groupby("outcome", sort=False):
        yield str(outcome), own


def _levels_of_all(table: pd.DataFrame, names: Names) -> list[Row]:
    """Return a row a level with a point an outcome, below the names of their attributes."""
    table = theme.in_units(table, names)
    outcomes = list(dict.fromkeys(table["outcome"]))
    places = {o: theme.decimals(own["std_error"]) for o, own in _each_outcome(table)}
    rows = []
    for attribute, levels in table.groupby("attribute", sort=False):
        rows.append(Row(str(attribute), head=True))
        for level, cells in levels.groupby("level", sort=False):
            found = {row["outcome"]: row for _, row in cells.iterrows()}
            points = [_level_point(found[o]) if o in found else None for o in outcomes]
            # Beside several panels there is no room for numbers; the table has them.
            text = theme.estimate_text(found[outcomes[0]], places[outcomes[0]]) if len(outcomes) == 1 else ""
            rows.append(Row(str(level), points, text))
    return rows


def _level_point(row: pd.Series) -> Point:
    """Return the point of a level, open where it is the reference of its attribute."""
    reference = row["estimate"] == 0 and not row["std_error"] > 0
    return Point.of(row, fill="white" if reference else theme.INK)


def _strongest(table: pd.DataFrame, names: Names) -> str:
    """Say which attribute moves an outcome most."""
    shown = theme.in_units(table, names)
    spans = shown.groupby("attribute", sort=False)["estimate"].agg(lambda e: e.max() - e.min())
    places = theme.decimals(shown["std_error"])
    unit = names.unit_of(str(table["outcome"].iloc[0]))
    return f"most by {spans.idxmax()} (levels {theme.number(spans.max(), places)} {unit} apart)"


def groups(table: pd.DataFrame, tests: pd.DataFrame, names: Names) -> Drawn:
    """Draw marginal means of two groups and their difference, a block for each comparison.

    Args:
        table: calibrate/groups.csv; the outcome analysed is drawn, groups are compared with the first one.
        tests: calibrate/group_tests.csv.
        names: labels.
    """
    outcome = names.analysed or str(table["outcome"].iloc[0])
    means = table[(table["outcome"] == outcome) & (table["quantity"] == "marginal_mean")]
    means = theme.in_units(means.fillna({"minus": ""}), names)
    indifference = names.indifference.get(outcome)
    reference = None if indifference is None else indifference * names.times(outcome)
    axis = "Mean (%)" if outcome in names.binary else "Mean (points)"
    panels = Panel(axis, reference), Panel(f"Difference ({names.unit_of(outcome)})", 0.0)
    blocks, data = [], []
    for grouping, own in means.groupby("grouping", sort=False):
        first = str(own["group"].iloc[0])
        test = tests[(tests["outcome"] == outcome) & (tests["grouping"] == grouping)]
        joint = test[test["test"].eq("robust F")].iloc[0]
        p = theme.p_value(float(joint["p_value"]))
        said = f" (all groups alike: p {'' if p.startswith('<') else '= '}{p})" if joint["df1"] else ""
        for group in own.loc[own["minus"] == first, "group"].unique():
            rows, part = _compared(own, first, str(group))
            keys = (Key(first), Key(str(group), "s", "white"))
            blocks.append(Block(rows, panels, f"{grouping}: {group} and {first}{said}", keys))
            data.append(part)
    figure = forest(blocks, names, [Key(f"Estimate with {theme.percent(theme.CALIBRATION_LEVEL)} interval")])
    shown = pd.concat(data, ignore_index=True)
    return Drawn(figure, shown, _describe_groups(names, outcome, shown))


def _compared(means: pd.DataFrame, first: str, group: str) -> tuple[list[Row], pd.DataFrame]:
    """Return a line a level, with both means and the difference; and what of the table it shows."""
    sides = [("", first), ("", group), (first, group)]
    parts = [means[(means["minus"] == minus) & (means["group"] == own)] for minus, own in sides]
    found = [part.set_index(["attribute", "level"]) for part in parts]
    rows: list[Row] = []
    for attribute, levels in parts[0].groupby("attribute", sort=False):
        rows.append(Row(str(attribute), head=True))
        for level in levels["level"]:
            one, other, difference = (part.loc[(attribute, level)] for part in found)
            points = Point.of(one), Point.of(difference)
            rows.append(Row(str(level), points, second=(Point.of(other, marker="s", fill="white"), None)))
    return rows, pd.concat(parts, ignore_index=True)


def _describe_groups(names: Names, outcome: str, shown: pd.DataFrame) -> str:
    label = names.of(outcome)
    differences = shown[(shown["minus"] != "") & shown["estimate"].notna()]
    if differences.empty:
        return f"{label}: groups of respondents, too small to be published."
    widest = differences.loc[differences["estimate"].abs().idxmax()]
    places = theme.decimals(differences["std_error"])
    return (
        f"{label}: marginal means of levels in groups of respondents and {len(differences)} differences. The "
        f"largest is {theme.number(widest['estimate'], places)} {names.unit_of(outcome)} for "
        f"{widest['attribute']}: {widest['level']} ({widest['group']} less {widest['minus']})."
    )


ENDS = {"extrapolated": ("Extrapolated", "D", "white"), "repeated": ("Task asked twice", "s", theme.INK)}


def reliability(likeness: pd.DataFrame, table: pd.DataFrame, names: Names) -> Drawn:
    """Draw how often a person chooses alike in two tasks, by how much these have in common.

    Args:
        likeness: calibrate/likeness.csv.
        table: calibrate/reliability.csv, for the agreement of the same task.
        names: labels.
    """
    own = table[table["outcome"].eq(likeness["outcome"].iloc[0]) & table["quantity"].eq("agreement")]
    own = own[own["group"].isna() | own["group"].eq("")].set_index("method")
    ends = own.loc[[method for method in ENDS if method in own.index]]
    end = ends["estimate"].get("extrapolated", np.nan)
    z = ndtri((1 + theme.CALIBRATION_LEVEL) / 2)

    def bar(axes: Any, x: Any, value: Any, error: Any, **style: Any) -> None:
        low, high = np.maximum(value - z * error, 0.0), np.minimum(value + z * error, 1.0)
        ends = np.atleast_2d(np.array([value - low, high - value]).reshape(2, -1)) * 100
        axes.errorbar(x, 100 * value, ends, color=theme.INK, markersize=4, linewidth=0.8, **style)

    def draw(axes: Any) -> None:
        axes.set(xlim=(0, 1.06), ylim=(40, 101))
        axes.axhline(50, color=theme.RULE, linewidth=0.6)
        bar(axes, likeness["likeness"], likeness["agreement"], likeness["std_error"], fmt="o")
        x = np.linspace(0, 1, 101)
        curve = 50 + 100 * (end - 0.5) * 2 / np.pi * np.arcsin(x)
        axes.plot(x, curve, color=theme.MUTED, linestyle="--", linewidth=0.8, zorder=1)
        for k, (method, row) in enumerate(ends.iterrows()):
            _, marker, fill = ENDS[str(method)]
            bar(axes, 1 + 0.03 * k, row["estimate"], row["std_error"], fmt=marker, markerfacecolor=fill)

    level = theme.percent(theme.CALIBRATION_LEVEL)
    keys = [Key(f"Pairs of tasks, with {level} interval"), Key("Fitted curve", "", line="--")]
    keys += [Key(f"The same task: {ENDS[str(m)][0].lower()}", *ENDS[str(m)][1:]) for m in ends.index]
    figure = chart(draw, names, keys, x="What two tasks have in common", y="Choices that agree (%)")
    said = "; ".join(f"{ENDS[str(m)][0]}: {theme.percent(round(v, 3))}" for m, v in ends["estimate"].items())
    return Drawn(figure, likeness, f"Choices of the same task that agree. {said}.")


LIKED, DISLIKED = "#0072B2", "#D55E00"


def interactions(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw the interaction of every pair of levels as a coloured cell, levels in the rows and in the columns.

    Args:
        table: calibrate/interactions.csv, of which the AMIEs are drawn.
        names: labels.
    """
    shown = theme.in_units(table[table["quantity"] == "amie"], names)
    places = _level_places(shown)
    largest = float(shown["estimate"].abs().max())
    with theme.drawing():
        canvas = Canvas(theme.PAGE_WIDTH, names)
        room = max(theme.text_width(f"{k + 1}  {level}") for k, (_, level) in enumerate(places))
        labels = min(room, LABELS_AT_MOST) + GAP
        cell = min((canvas.width - 2 * MARGIN - labels) / len(places), LINE * 1.2)
        heading = canvas.room(LINE * 1.2)
        top = canvas.room(cell * len(places) + GAP)
        unit = names.unit_of(str(shown["outcome"].iloc[0]))
        digits = theme.decimals(shown["std_error"])
        legend = draw_legend(
            canvas,
            [
                Key(f"{theme.number(share * largest, digits)} {unit}", fill=_shade(share), box=True)
                for share in (-1.0, -0.5, 0.5, 1.0)
            ]
            + [Key("Not chance (Holm)", fill="white", edge=theme.INK, box=True)],
        )
        figure = canvas.figure()
        for k, (_, level) in enumerate(places):
            middle = top + (k + 0.5) * cell
            write(figure, MARGIN, middle, theme.wrap(f"{k + 1}  {level}", labels)[0])
            write(
                figure,
                MARGIN + labels + (k + 0.5) * cell,
                heading + LINE / 2,
                str(k + 1),
                align="center",
                size=5,
            )
        axes = axes_at(figure, MARGIN + labels, top, cell * len(places), cell * len(places))
        axes.set(xlim=(0, len(places)), ylim=(len(places), 0), xticks=[], yticks=[])
        number = {key: k for k, key in enumerate(places)}
        for row in shown.itertuples():
            one, other = number[row.attribute, row.level], number[row.other_attribute, row.other_level]
            sure = row.p_holm < 1 - theme.CALIBRATION_LEVEL
            share = 0.0 if pd.isna(row.estimate) or largest == 0 else row.estimate / largest
            edge = {"edgecolor": theme.INK, "linewidth": 0.8, "zorder": 3} if sure else {"edgecolor": "none"}
            for x, y in ((one, other), (other, one)):
                axes.add_patch(Rectangle((x, y), 1, 1, facecolor=_shade(share), **edge))
        ends = [k for k in range(1, len(places)) if places[k][0] != places[k - 1][0]]
        for k in ends:
            axes.axhline(k, color=theme.RULE, linewidth=0.4)
            axes.axvline(k, color=theme.RULE, linewidth=0.4)
        paint_legend(figure, legend)
    widest = shown.loc[shown["estimate"].abs().idxmax()]
    description = (
        f"{len(shown)} interactions of levels, {int((shown['p_holm'] < 0.05).sum())} of them not chance "
        f"after Holm's correction. The largest is {theme.number(widest['estimate'], digits)} {unit}: "
        f"{widest['attribute']} {widest['level']} with {widest['other_attribute']} {widest['other_level']}."
    )
    return Drawn(figure, table, description)


def _level_places(shown: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the attribute and name of every level, in the order of the design."""
    pairs = [(row.attribute, row.level) for row in shown.itertuples()]
    pairs += [(row.other_attribute, row.other_level) for row in shown.itertuples()]
    attributes = list(dict.fromkeys(attribute for attribute, _ in pairs))
    return sorted(dict.fromkeys(pairs), key=lambda pair: attributes.index(pair[0]))


def _shade(share: float) -> str:
    """Return a colour between white and that of what is liked (up to 1) or disliked (down to -1)."""
    full = np.array(to_rgb(LIKED if share > 0 else DISLIKED))
    return to_hex(1 - abs(share) * (1 - full))
