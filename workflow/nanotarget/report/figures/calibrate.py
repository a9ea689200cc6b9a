"""Figures of the calibration: the design of the petitions, and what people like in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from nanotarget.report import theme
from nanotarget.report.figures.page import (
    GAP,
    MARGIN,
    Bar,
    Block,
    Canvas,
    Drawn,
    Key,
    Panel,
    Point,
    Row,
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


def amce(effects: pd.DataFrame, means: pd.DataFrame, names: Names, outcome: str) -> Drawn:
    """Draw average marginal component effects beside marginal means, grouped by attribute.

    Args:
        effects: calibrate/amce.csv; of several estimators the last is drawn, which in a restricted
            design is the one that allows for it. What cannot be estimated stays empty.
        means: calibrate/marginal_means.csv.
        names: labels, and the marginal mean without any preference, drawn as a line.
        outcome: the calibration outcome to draw.
    """
    effects, means = effects[effects["outcome"] == outcome], means[means["outcome"] == outcome]
    shown = effects[effects["estimator"] == effects["estimator"].iloc[-1]]
    found = {(r["attribute"], r["level"]): r for _, r in shown.iterrows()}
    rows: list[Row] = []
    for attribute, group in means.groupby("attribute", sort=False):
        rows.append(Row(str(attribute), head=True))
        for _, mean in group.iterrows():
            effect = found[attribute, mean["level"]]
            reference = effect["estimate"] == 0 and not effect["std_error"] > 0
            rows.append(
                Row(
                    str(mean["level"]),
                    (Point.of(effect, fill="white" if reference else theme.INK), Point.of(mean)),
                )
            )
    label = names.of(outcome)
    unit = "share" if outcome in names.binary else "points"
    panels = (Panel(f"Effect (AMCE), {unit}", 0.0), Panel("Marginal mean", names.indifference.get(outcome)))
    figure = forest(
        [Block(rows, panels, label)],
        names,
        [
            Key(f"Estimate with {theme.percent(theme.CALIBRATION_LEVEL)} interval"),
            Key("Reference level", fill="white"),
        ],
    )
    data = pd.concat(
        [effects.assign(quantity="amce"), means.assign(quantity="marginal_mean")], ignore_index=True
    )
    data.insert(0, "quantity", data.pop("quantity"))
    spans = means.groupby("attribute", sort=False)["estimate"].agg(lambda m: m.max() - m.min())
    description = (
        f"{label}: average marginal component effects and marginal means of {len(means)} levels of "
        f"{len(spans)} attributes. The attribute that moves it most is {spans.idxmax()} "
        f"(marginal means {theme.number(spans.max(), 2)} apart)."
        if len(spans)
        else f"{label}: no estimates."
    )
    return Drawn(figure, data, description)
