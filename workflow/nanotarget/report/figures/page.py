"""What figures are made of: pages measured in inches, text that finds room, forest plots, charts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from nanotarget.report import theme
from nanotarget.report.theme import LINE, TEXT_SIZE, Names

MARGIN = 0.12
GAP = 0.16
AXIS = 0.42  # room for tick labels and one line of an axis label under a panel
LABELS_AT_MOST = 2.5
PLOTS = 3  # small charts in a line
YLABELS = 0.4  # about what the tick labels of a y axis take in a small chart
TICKS = 0.21  # of which the tick labels take this
BAR = 0.13  # height of a stacked bar, inches
PAIRED = 0.036  # half the distance between two points of one row, inches
DASHED = (0, (4, 3))
DOTTED = (0, (1, 1.5))


@dataclass(frozen=True)
class Drawn:
    """A figure with the data it shows.

    Attributes:
        figure: ready for `theme.save`.
        data: the tidy table behind it, written beside it as CSV.
        description: alternative text, one or two sentences.
    """

    figure: Figure
    data: pd.DataFrame
    description: str


@dataclass(frozen=True)
class Point:
    """An estimate with its interval in one row of a panel; NaN draws nothing."""

    estimate: float
    low: float = np.nan
    high: float = np.nan
    marker: str = "o"
    fill: str = theme.INK
    edge: str = theme.INK

    @classmethod
    def of(
        cls, row: Any, columns: Sequence[str] = ("estimate", "conf_low", "conf_high"), **style: str
    ) -> Point:
        """Take estimate, lower and upper end from three columns of a table's row."""
        estimate, low, high = (float(row[column]) for column in columns)
        return cls(estimate, low, high, **style)


@dataclass(frozen=True)
class Bar:
    """A stretch of a stacked bar; what differs in colour also differs in hatching."""

    low: float
    high: float
    fill: str
    hatch: str = ""


@dataclass(frozen=True)
class Row:
    """One line of a forest plot: label, points (one a panel, None = empty) and a text on the right.

    A `band` and `bars` lie in the first panel. `second` holds points that are drawn just below the first
    ones, where two estimates of one thing are compared.
    """

    label: str
    points: Sequence[Point | None] = ()
    text: str = ""
    head: bool = False
    band: tuple[float, float] | None = None
    bars: Sequence[Bar] = ()
    second: Sequence[Point | None] = ()

    def points_of(self, panel: int) -> list[Point]:
        """Return what can be drawn in a panel, from the top down."""
        found = [points[panel] for points in (self.points, self.second) if panel < len(points)]
        return [point for point in found if point is not None and not np.isnan(point.estimate)]


@dataclass(frozen=True)
class Panel:
    """The x axis of a column of points.

    `reference` is the line of no effect, `threshold` that of the smallest effect that matters; `band` holds
    values that are too small to matter; `shares` makes it an axis that begins at 0% and ends at 100%;
    `title` stands above it.
    """

    axis: str
    reference: float | None = None
    threshold: float | None = None
    band: tuple[float, float] | None = None
    shares: bool = False
    title: str = ""


@dataclass(frozen=True)
class Block:
    """Rows that share panels, stacked with other blocks in one figure; `keys` is a legend of its own."""

    rows: Sequence[Row]
    panels: Sequence[Panel]
    title: str = ""
    keys: Sequence[Key] = ()


@dataclass(frozen=True)
class Key:
    """One entry of the legend: a marker, a line or both, or a box."""

    label: str
    marker: str = "o"
    fill: str = theme.INK
    edge: str = theme.INK
    line: Any = "none"
    box: bool = False
    hatch: str = ""


def band_key(label: str) -> Key:
    """Return the legend entry of a grey band."""
    return Key(label, fill=theme.BAND, edge=theme.RULE, box=True)


def threshold_key(threshold: float) -> Key:
    """Return the legend entry of the line of the smallest effect that matters."""
    return Key(f"Smallest gain that matters: {threshold:g}", "", edge=theme.ALERT, line=DOTTED)


@dataclass
class Canvas:
    """A page on which things are placed from the top down, in inches."""

    width: float
    names: Names
    top: float = MARGIN

    def room(self, height: float) -> float:
        """Reserve a strip and return where it begins."""
        start = self.top
        self.top += height
        return start

    def figure(self) -> Figure:
        """Return the empty figure with the mark of simulated data in a strip of its own."""
        strip = LINE * 1.5 if self.names.synthetic else 0.0
        height = self.top + strip + MARGIN / 2
        figure = Figure(figsize=(self.width, height))
        if self.names.synthetic:
            write(
                figure,
                self.width - MARGIN,
                height - strip / 2 - MARGIN / 4,
                theme.SIMULATED.upper(),
                align="right",
                colour=theme.ALERT,
                bold=True,
                size=TEXT_SIZE - 1,
            )
        return figure


def write(
    figure: Figure,
    left: float,
    middle: float,
    text: str,
    *,
    align: str = "left",
    colour: str = theme.INK,
    bold: bool = False,
    size: float = TEXT_SIZE,
) -> None:
    """Write one line whose lower-case letters are centred on `middle` (inches from the top)."""
    width, height = figure.get_size_inches()
    baseline = middle + 0.33 * size / 72
    figure.text(
        left / width,
        1 - baseline / height,
        text,
        ha=align,
        va="baseline",
        color=colour,
        fontweight="bold" if bold else "normal",
        fontsize=size,
    )


def write_lines(figure: Figure, left: float, top: float, lines: Sequence[str], **options: Any) -> None:
    """Write lines below each other, the first in the strip of height `theme.LINE` that begins at `top`."""
    for k, line in enumerate(lines):
        write(figure, left, top + (k + 0.5) * LINE, line, **options)


def axes_at(figure: Figure, left: float, top: float, width: float, height: float) -> Any:
    """Return axes whose frame is given in inches from the top left."""
    w, h = figure.get_size_inches()
    return figure.add_axes((left / w, 1 - (top + height) / h, width / w, height / h))


def draw_legend(canvas: Canvas, keys: Sequence[Key]) -> list[tuple[float, float, Key]]:
    """Place legend entries left to right, in as many lines as they need; returns their places."""
    if not keys:
        return []
    places: list[tuple[float, float, Key]] = []
    left, top = MARGIN, canvas.room(LINE * 1.6) + LINE * 0.8
    for key in keys:
        width = 0.24 + theme.text_width(key.label) + 0.2
        if left > MARGIN and left + width > canvas.width - MARGIN:
            left, top = MARGIN, canvas.room(LINE * 1.3) + LINE * 0.8
        places.append((left, top, key))
        left += width
    return places


def paint_legend(figure: Figure, places: Sequence[tuple[float, float, Key]]) -> None:
    """Draw the entries that `draw_legend` placed."""
    width, height = figure.get_size_inches()
    for left, top, key in places:
        x, y = (left + 0.09) / width, 1 - top / height
        if key.box:
            box = Rectangle(
                (left / width, y - 0.045 / height),
                0.18 / width,
                0.09 / height,
                facecolor=key.fill,
                edgecolor=key.edge,
                hatch=key.hatch,
                linewidth=0.5,
                transform=figure.transFigure,
            )
            figure.add_artist(box)
        else:
            figure.add_artist(
                Line2D(
                    [left / width, x, (left + 0.18) / width],
                    [y, y, y],
                    marker=key.marker,
                    markevery=[1],
                    markerfacecolor=key.fill,
                    markersize=4.2,
                    markeredgecolor=key.edge,
                    markeredgewidth=0.8,
                    color=key.edge,
                    linewidth=1.0,
                    linestyle=key.line,
                    transform=figure.transFigure,
                )
            )
        write(figure, left + 0.24, top, key.label)


def forest(blocks: Sequence[Block], names: Names, keys: Sequence[Key] = (), *, columns: int = 0) -> Figure:
    """Draw stacked forest plots with one label column, aligned panels and a text column.

    Args:
        blocks: at least one; blocks may have different panels.
        names: whether to mark the figure as simulated.
        keys: legend entries, at the bottom.
        columns: of panels, the same in every block; without it the panels of each block share its width.
    """
    width = theme.PAGE_WIDTH  # the height follows from the rows
    with theme.drawing():
        rows = [row for block in blocks for row in block.rows]
        labels = max(theme.text_width(row.label, bold=row.head) + (0 if row.head else 0.1) for row in rows)
        labels = min(labels, LABELS_AT_MOST, width * 0.4)
        texts = max((theme.text_width(row.text) for row in rows), default=0)
        left = MARGIN + labels + GAP
        right = width - MARGIN - (texts + GAP if texts else 0.05)

        canvas = Canvas(width, names)
        titles: list[tuple[float, float, list[str]]] = []
        frames: list[tuple[Block, float, list[tuple[float, float, list[str]]], float]] = []
        legend: list[tuple[float, float, Key]] = []
        named = letters(sum(len(block.panels) for block in blocks))
        for block in blocks:
            panel_width = _panel_width(right - left, columns or len(block.panels))
            above = [panel.title for panel in block.panels]
            title = block.title
            if len(above) == 1 and not above[0]:
                title = f"{next(named)}{title}"
            else:
                above = [f"{next(named)}{text}" for text in above]
            if title:
                lines = theme.wrap(title, width - 2 * MARGIN, bold=True)
                titles.append((MARGIN, canvas.room(LINE * (len(lines) + 0.1)), lines))
            heads = [theme.wrap(text, panel_width, bold=True) if text else [] for text in above]
            if any(heads):
                start = canvas.room(LINE * (max(map(len, heads)) + 0.1))
                titles += [
                    (left + j * (panel_width + GAP * 1.5), start, lines) for j, lines in enumerate(heads)
                ]
            places = []
            offset = 0.05
            for k, row in enumerate(block.rows):
                lines = theme.wrap(row.label, labels + GAP / 2 if row.head else labels - 0.1, bold=row.head)
                before = 0.05 if row.head and k else 0.0
                height = LINE * max(1, len(lines)) + (0.085 if row.second else 0.035)
                places.append((offset + before, height, lines))
                offset += before + height
            axis = max(len(_axis_lines(panel.axis, panel_width)) for panel in block.panels)
            top = canvas.room(offset + 0.05 + AXIS + LINE * (axis - 1))
            frames.append((block, top, places, offset + 0.05))
            legend += draw_legend(canvas, block.keys)
            canvas.room(GAP / 2 if block.keys else 0)
        legend += draw_legend(canvas, keys)

        figure = canvas.figure()
        for start, top, lines in titles:
            write_lines(figure, start, top, lines, bold=True)
        for block, top, places, height in frames:
            panel_width = _panel_width(right - left, columns or len(block.panels))
            for row, (offset, row_height, lines) in zip(block.rows, places, strict=True):
                start = top + offset + (row_height - LINE * len(lines)) / 2
                write_lines(figure, MARGIN if row.head else MARGIN + 0.1, start, lines, bold=row.head)
                if row.text:
                    write(figure, width - MARGIN, top + offset + row_height / 2, row.text, align="right")
            for j, panel in enumerate(block.panels):
                start = left + j * (panel_width + GAP * 1.5)
                _panel(axes_at(figure, start, top, panel_width, height), panel, j, block.rows, places, height)
                lines = _axis_lines(panel.axis, panel_width)
                write_lines(figure, start + panel_width / 2, top + height + TICKS, lines, align="center")
        paint_legend(figure, legend)
        return figure


def letters(panels: int) -> Iterator[str]:
    """Yield what stands before the title of each panel: "a ", "b ", ..., nothing where there is one."""
    for k in range(panels):
        yield f"{chr(ord('a') + k % 26) * (k // 26 + 1)} " if panels > 1 else ""


def _panel_width(width: float, count: int) -> float:
    """Width of one of `count` panels that share a width."""
    return (width - GAP * 1.5 * (count - 1)) / count


def _axis_lines(text: str, width: float) -> list[str]:
    """Lines of an axis label; none if there is none."""
    return theme.wrap(text, width + GAP) if text else []


def _panel(
    axes: Any,
    panel: Panel,
    index: int,
    rows: Sequence[Row],
    places: Sequence[tuple[float, float, list[str]]],
    height: float,
) -> None:
    axes.set_ylim(height, 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    spread: list[float] = [] if panel.reference is None else [panel.reference]
    if panel.band is not None:
        axes.axvspan(*panel.band, facecolor=theme.BAND, edgecolor="none", zorder=0)
        spread += panel.band
    for row, (offset, row_height, _) in zip(rows, places, strict=True):
        if row.band and index == 0:
            axes.add_patch(
                Rectangle(
                    (row.band[0], offset),
                    row.band[1] - row.band[0],
                    row_height,
                    facecolor=theme.BAND,
                    edgecolor="none",
                    zorder=0,
                )
            )
            spread += row.band
        for bar in row.bars if index == 0 else ():
            axes.add_patch(
                Rectangle(
                    (bar.low, offset + (row_height - BAR) / 2),
                    bar.high - bar.low,
                    BAR,
                    facecolor=bar.fill,
                    edgecolor=theme.INK,
                    linewidth=0.5,
                    hatch=bar.hatch,
                )
            )
        points = row.points_of(index)
        for k, point in enumerate(points):
            apart = PAIRED * (2 * k - 1) if len(points) > 1 else 0.0
            _mark(axes, point, offset + row_height / 2 + apart)
            spread += [value for value in (point.estimate, point.low, point.high) if np.isfinite(value)]
    if panel.reference is not None:
        axes.axvline(panel.reference, color=theme.MUTED, linewidth=0.6, linestyle=DASHED, zorder=1)
    if panel.threshold is not None:
        axes.axvline(panel.threshold, color=theme.ALERT, linewidth=1.0, linestyle=DOTTED, zorder=1)
        spread.append(panel.threshold)
    axes.ticklabel_format(axis="x", style="plain")
    if panel.shares:
        axes.set_xlim(min([0.0, *spread]), max([1.0, *spread]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: theme.percent(round(value, 6))))
    else:
        low, high = (min(spread), max(spread)) if spread else (0.0, 1.0)
        pad = 0.06 * (high - low) or 0.5
        axes.set_xlim(low - pad, high + pad)
    _fit_ticks(axes)


def _mark(axes: Any, point: Point, y: float) -> None:
    """Draw an estimate with its interval, if it has one, at a height of the axes."""
    if np.isfinite([point.low, point.high]).all():
        axes.plot(
            [point.low, point.high], [y, y], color=point.edge, linewidth=1.0, solid_capstyle="butt", zorder=2
        )
    axes.plot(
        [point.estimate],
        [y],
        marker=point.marker,
        markersize=4.2,
        markerfacecolor=point.fill,
        markeredgecolor=point.edge,
        markeredgewidth=0.8,
        linestyle="none",
        zorder=3,
    )


def _fit_ticks(axes: Any) -> None:
    """Put as many ticks on the x axis as have room for their labels, also beside those of the next panel."""
    width = axes.get_position().width * axes.figure.get_size_inches()[0]
    low, high = axes.get_xlim()
    for ticks in range(5, 0, -1):
        axes.xaxis.set_major_locator(MaxNLocator(nbins=ticks, steps=[1, 2, 2.5, 5, 10]))
        halves = [theme.text_width(label) / 2 for label in tick_labels(axes.xaxis)]
        shown = [t for t in axes.get_xticks() if low <= t <= high]
        places = [(t - low) / (high - low) * width for t in shown]
        spans = [(at - half, at + half) for at, half in zip(places, halves, strict=True)]
        apart = all(after[0] >= before[1] + 0.05 for before, after in pairwise(spans))
        inside = [max(-first, last - width) <= GAP * 0.7 for first, last in spans]
        if apart and all(inside):
            return
    kept, end = [], -np.inf
    for tick, (first, last), fits in zip(shown, spans, inside, strict=True):
        if fits and first >= end + 0.05:
            kept.append(tick)
            end = last
    axes.set_xticks(kept)


def chart(
    draw: Callable[[Any], None],
    names: Names,
    keys: Sequence[Key] = (),
    *,
    x: str,
    y: str,
    words: Sequence[str] = (),
    width: float = theme.COLUMN_WIDTH,
    height: float = 2.15,
) -> Figure:
    """Draw one pair of axes with sentences above it, its labels written out, and a legend below.

    Args:
        draw: draws on the axes that it is given, and sets their scales and limits.
        names: whether to mark the figure as simulated.
        keys: legend entries.
        x: label of the x axis, under it.
        y: label of the y axis, above it, where it can be read without turning one's head.
        words: sentences at the top.
        width: of the figure in inches.
        height: of the axes in inches.
    """
    with theme.drawing():
        canvas, room = Canvas(width, names), width - 2 * MARGIN
        sentences = [line for sentence in words for line in theme.wrap(sentence, room)]
        sentences_at = canvas.room(LINE * len(sentences) + (0.06 if sentences else 0))
        y_lines = theme.wrap(y, room)
        y_at = canvas.room(LINE * len(y_lines) + 0.05)
        x_lines = theme.wrap(x, room * 0.8)
        top = canvas.room(height + AXIS + LINE * (len(x_lines) - 1))
        legend = draw_legend(canvas, keys)

        figure = canvas.figure()
        axes = axes_at(figure, MARGIN, top, room, height)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
        axes.ticklabel_format(style="plain")
        draw(axes)
        left = MARGIN + max(map(theme.text_width, tick_labels(axes.yaxis)), default=0) + 0.06
        beyond = max(map(theme.text_width, tick_labels(axes.xaxis)), default=0) / 2
        inner = width - left - max(MARGIN, beyond + 0.04)
        axes.set_position((left / width, axes.get_position().y0, inner / width, axes.get_position().height))
        write_lines(figure, MARGIN, sentences_at, sentences)
        write_lines(figure, MARGIN, y_at, y_lines)
        write_lines(figure, left + inner / 2, top + height + TICKS, x_lines, align="center")
        paint_legend(figure, legend)
        return figure


@dataclass(frozen=True)
class Plot:
    """A small chart of a grid: title, a function that draws on its axes (or None) and words below the title.

    With `categories` the x axis has places 0, 1, 2, ... and these texts below them, else numbers.
    """

    title: str
    draw: Callable[[Any], None] | None
    words: Sequence[str] = ()
    categories: Sequence[Sequence[str]] = ()


def grid(
    sections: Sequence[tuple[str, Sequence[Plot]]],
    names: Names,
    keys: Sequence[Key] = (),
    *,
    x: str,
    y: str,
    height: float = 1.15,
) -> Figure:
    """Draw small charts in lines of at most three; a single one has the width of a column.

    Args:
        sections: title and charts; a line of charts that draw nothing is as high as its words.
        names: whether to mark the figure as simulated.
        keys: legend entries.
        x: label of all x axes, at the bottom.
        y: label of all y axes, at the top.
        height: of the axes in inches.
    """
    across = min(PLOTS, max(len(plots) for _, plots in sections))
    with theme.drawing():
        canvas = Canvas(theme.COLUMN_WIDTH if across == 1 else theme.PAGE_WIDTH, names)
        room = canvas.width - 2 * MARGIN
        width = _panel_width(room, across)
        texts: list[tuple[float, float, list[str], bool]] = []
        frames: list[tuple[Plot, float, float]] = []
        named = letters(sum(len(plots) for _, plots in sections))

        def place(left: float, lines: list[str], bold: bool = False) -> None:
            texts.append((left, canvas.room(LINE * len(lines)), lines, bold))

        place(MARGIN, theme.wrap(y, room))
        canvas.room(0.06)
        for title, plots in sections:
            if title:
                place(MARGIN, theme.wrap(title, room, bold=True), True)
                canvas.room(0.04)
            for line in (plots[k : k + across] for k in range(0, len(plots), across)):
                start, bottom = canvas.top, canvas.top
                for k, plot in enumerate(line):
                    canvas.top = start
                    left = MARGIN + k * (width + GAP * 1.5)
                    place(left, theme.wrap(f"{next(named)}{plot.title}", width, bold=True), True)
                    for sentence in plot.words:
                        place(left, theme.wrap(sentence, width))
                    bottom = max(bottom, canvas.top)
                canvas.top = bottom + 0.05
                frames += [
                    (plot, MARGIN + k * (width + GAP * 1.5), canvas.top) for k, plot in enumerate(line)
                ]
                labels = [
                    len(text) for plot in line for text in _categories(plot, width - YLABELS) if plot.draw
                ]
                canvas.room(height + TICKS + LINE * max([0, *(n - 1 for n in labels)]) + 0.08)
                if not any(plot.draw for plot in line):
                    canvas.top = bottom + 0.1
        x_lines = theme.wrap(x, room)
        x_at = canvas.room(LINE * len(x_lines) + 0.06)
        legend = draw_legend(canvas, keys)

        figure = canvas.figure()
        for left, top, lines, bold in texts:
            write_lines(figure, left, top, lines, bold=bold)
        for plot, left, top in frames:
            if plot.draw:
                _small_axes(figure, plot, plot.draw, (left, top, width, height))
        write_lines(figure, canvas.width / 2, x_at, x_lines, align="center")
        paint_legend(figure, legend)
        return figure


def _categories(plot: Plot, width: float) -> list[list[str]]:
    """Lines of the labels of the categories on an x axis of some width."""
    room = width / max(1, len(plot.categories)) - 0.06
    return [[line for text in texts for line in theme.wrap(text, room)] for texts in plot.categories]


def _small_axes(
    figure: Figure, plot: Plot, draw: Callable[[Any], None], place: tuple[float, float, float, float]
) -> None:
    """Draw one chart of a grid in a frame given in inches from the top left."""
    left, top, width, height = place
    axes = axes_at(figure, left + YLABELS, top, width - YLABELS, height)
    axes.ticklabel_format(style="plain")
    draw(axes)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    if plot.categories:
        lines = _categories(plot, width - YLABELS)
        axes.set_xticks(range(len(lines)), ["\n".join(text) for text in lines])
        axes.set_xlim(-0.5, len(lines) - 0.5)
    else:
        _fit_ticks(axes)
    labels = max(map(theme.text_width, tick_labels(axes.yaxis)), default=0) + 0.08
    beyond = max(map(theme.text_width, tick_labels(axes.xaxis)), default=0) / 2
    page, shown = figure.get_size_inches()[0], axes.get_position()
    inner = width - labels - (0.0 if plot.categories else beyond)
    axes.set_position(((left + labels) / page, shown.y0, inner / page, shown.height))


def tick_labels(axis: Any) -> list[str]:
    """Return the labels of the major ticks that lie within the limits of an axis."""
    low, high = sorted(axis.get_view_interval())
    ticks = [float(tick) for tick in axis.get_majorticklocs()]
    labels = axis.get_major_formatter().format_ticks(ticks)
    return [label for tick, label in zip(ticks, labels, strict=True) if low <= tick <= high]


def log_ticks(axis: Any, ticks: Sequence[float], labels: Sequence[str], length: float) -> None:
    """Put ticks on a logarithmic axis; a label that would touch one before it in the list is left out.

    Args:
        axis: the axis, its limits set.
        ticks: places in order of importance.
        labels: their labels.
        length: of the axis in inches.
    """
    low, high = np.log(axis.get_view_interval())
    shown: list[tuple[float, float]] = []
    kept = []
    for tick, label in zip(ticks, labels, strict=True):
        middle = (np.log(tick) - low) / (high - low) * length
        half = theme.text_width(label) / 2 + 0.03
        free = all(abs(middle - other) >= half + taken for other, taken in shown)
        kept.append(label if free else "")
        if free:
            shown.append((middle, half))
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter(kept))
    axis.set_minor_locator(NullLocator())


def log_counts(axis: Any) -> None:
    """Label a logarithmic axis at powers of ten with whole numbers."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: theme.count(value)))
    axis.set_minor_formatter(NullFormatter())


def spread_over(ranks: np.ndarray) -> list[int]:
    """Return the indices of at most a dozen markers, evenly apart on a log scale of ranks from 1."""
    wanted = np.unique(np.geomspace(1, len(ranks), num=min(12, len(ranks))).round().astype(int))
    return [int(i) - 1 for i in wanted]


def sentence(text: str, names: Names) -> Figure:
    """Return a figure that says in words why there is nothing to draw."""
    with theme.drawing():
        canvas = Canvas(theme.COLUMN_WIDTH, names)
        lines = theme.wrap(text, canvas.width - 2 * MARGIN)
        top = canvas.room(LINE * len(lines) + MARGIN)
        figure = canvas.figure()
        write_lines(figure, MARGIN, top, lines, colour=theme.MUTED)
        return figure
