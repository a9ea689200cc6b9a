"""Tidy tables to figures.

Each function takes the tables of earlier stages and returns a `Drawn`: a matplotlib figure, the
tidy data it shows and a sentence that describes it for those who cannot see it. All sizes are in
inches and measured, so that labels of any length find room. Texts from data are never markup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from nanotarget import theme
from nanotarget.config import ArmConfig
from nanotarget.theme import LINE, TEXT_SIZE, Names

MARGIN = 0.12
GAP = 0.16
AXIS = 0.42  # room for tick labels and an axis label under a panel
LABELS_AT_MOST = 2.5

LABELS = {"confirmatory": "#0072B2", "secondary": "#E69F00", "exploratory": "white"}


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


@dataclass(frozen=True)
class Row:
    """One line of a forest plot: label, points (one a panel, None = empty) and a text on the right."""

    label: str
    points: Sequence[Point | None] = ()
    text: str = ""
    head: bool = False
    band: tuple[float, float] | None = None


@dataclass(frozen=True)
class Panel:
    """The x axis of a column of points; `reference` is the line of no effect."""

    axis: str
    reference: float | None = None


@dataclass(frozen=True)
class Block:
    """Rows that share panels, stacked with other blocks in one figure."""

    rows: Sequence[Row]
    panels: Sequence[Panel]
    title: str = ""


@dataclass(frozen=True)
class Key:
    """One entry of the legend."""

    label: str
    marker: str = "o"
    fill: str = theme.INK
    edge: str = theme.INK
    band: bool = False


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
        x, y = (left + 0.08) / width, 1 - top / height
        if key.band:
            box = Rectangle(
                (left / width, y - 0.04 / height),
                0.16 / width,
                0.08 / height,
                facecolor=theme.BAND,
                edgecolor=theme.RULE,
                linewidth=0.5,
                transform=figure.transFigure,
            )
            figure.add_artist(box)
        else:
            figure.add_artist(
                Line2D(
                    [x],
                    [y],
                    marker=key.marker,
                    markerfacecolor=key.fill,
                    markersize=4.2,
                    markeredgecolor=key.edge,
                    markeredgewidth=0.8,
                    linestyle="none",
                    transform=figure.transFigure,
                )
            )
        write(figure, left + 0.24, top, key.label)


def forest(
    blocks: Sequence[Block], names: Names, keys: Sequence[Key] = (), width: float = theme.PAGE_WIDTH
) -> Figure:
    """Draw stacked forest plots with one label column, aligned panels and a text column.

    Args:
        blocks: at least one; blocks may have different panels.
        names: whether to mark the figure as simulated.
        keys: legend entries, at the bottom.
        width: of the figure in inches; the height follows from the rows.
    """
    with theme.drawing():
        rows = [row for block in blocks for row in block.rows]
        labels = max(theme.text_width(row.label, bold=row.head) + (0 if row.head else 0.1) for row in rows)
        labels = min(labels, LABELS_AT_MOST, width * 0.4)
        texts = max((theme.text_width(row.text) for row in rows), default=0)
        left = MARGIN + labels + GAP
        right = width - MARGIN - (texts + GAP if texts else 0.05)

        canvas = Canvas(width, names)
        titles: list[tuple[float, list[str]]] = []
        frames: list[tuple[Block, float, list[tuple[float, float, list[str]]], float]] = []
        for block in blocks:
            if block.title:
                lines = theme.wrap(block.title, width - 2 * MARGIN, bold=True)
                titles.append((canvas.room(LINE * (len(lines) + 0.1)), lines))
            places = []
            offset = 0.05
            for k, row in enumerate(block.rows):
                lines = theme.wrap(row.label, labels + GAP / 2 if row.head else labels - 0.1, bold=row.head)
                before = 0.05 if row.head and k else 0.0
                height = LINE * max(1, len(lines)) + 0.035
                places.append((offset + before, height, lines))
                offset += before + height
            axis = theme.wrap(block.panels[0].axis, 99)  # an empty axis label needs no line
            top = canvas.room(offset + 0.05 + AXIS + (0 if axis else -LINE))
            frames.append((block, top, places, offset + 0.05))
        legend = draw_legend(canvas, keys)

        figure = canvas.figure()
        for top, lines in titles:
            write_lines(figure, MARGIN, top, lines, bold=True)
        for block, top, places, height in frames:
            count = len(block.panels)
            panel_width = (right - left - GAP * 1.5 * (count - 1)) / count
            for row, (offset, row_height, lines) in zip(block.rows, places, strict=True):
                start = top + offset + (row_height - LINE * len(lines)) / 2
                write_lines(figure, MARGIN if row.head else MARGIN + 0.1, start, lines, bold=row.head)
                if row.text:
                    write(figure, width - MARGIN, top + offset + row_height / 2, row.text, align="right")
            for j, panel in enumerate(block.panels):
                axes = axes_at(figure, left + j * (panel_width + GAP * 1.5), top, panel_width, height)
                _panel(axes, panel, j, block.rows, places, height)
                _axis_label(
                    figure, panel.axis, left + j * (panel_width + GAP * 1.5), panel_width, top + height
                )
        paint_legend(figure, legend)
        return figure


def _axis_label(figure: Figure, text: str, left: float, width: float, top: float) -> None:
    lines = theme.wrap(text, width + GAP)[:1] if text else []
    for line in lines:
        write(figure, left + width / 2, top + 0.28, line, align="center")


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
        point = row.points[index] if index < len(row.points) else None
        if point is None or np.isnan(point.estimate):
            continue
        y = offset + row_height / 2
        if np.isfinite([point.low, point.high]).all():
            axes.plot(
                [point.low, point.high],
                [y, y],
                color=point.edge,
                linewidth=1.0,
                solid_capstyle="butt",
                zorder=2,
            )
            spread += [point.low, point.high]
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
        spread.append(point.estimate)
    if panel.reference is not None:
        axes.axvline(panel.reference, color=theme.MUTED, linewidth=0.6, linestyle=(0, (4, 3)), zorder=1)
    low, high = (min(spread), max(spread)) if spread else (0.0, 1.0)
    pad = 0.06 * (high - low) or 0.5
    axes.set_xlim(low - pad, high + pad)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))


def amce(
    effects: pd.DataFrame, means: pd.DataFrame, outcome: str, names: Names, null: float | None = None
) -> Drawn:
    """Draw average marginal component effects beside marginal means, grouped by attribute.

    Args:
        effects: calibrate/amce.csv; of several estimators the last is drawn, which in a restricted
            design is the one that allows for it. What cannot be estimated stays empty.
        means: calibrate/marginal_means.csv.
        outcome: the calibration outcome to draw.
        names: labels.
        null: marginal mean without any preference (1/profiles for a forced choice), drawn as a line.
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
                    (_point(effect, fill="white" if reference else theme.INK), _point(mean)),
                )
            )
    label = names.of(outcome)
    unit = "share" if outcome in names.binary else "points"
    panels = (Panel(f"Effect (AMCE), {unit}", 0.0), Panel("Marginal mean", null))
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


def _point(row: Any, **style: str) -> Point:
    return Point(float(row["estimate"]), float(row["conf_low"]), float(row["conf_high"]), **style)


def effects(table: pd.DataFrame, names: Names, bands: Mapping[tuple[str, str], float] | None = None) -> Drawn:
    """Draw every contrast of every outcome; estimators differ in shape, labels in fill.

    Args:
        table: estimate/effects.csv.
        names: labels.
        bands: (outcome, contrast) -> smallest effect that matters, drawn as a grey band.
    """
    bands = bands or {}
    markers = {e: theme.MARKERS[k] for k, e in enumerate(dict.fromkeys(table["estimator"]))}
    blocks = []
    for outcome, group in table.groupby("outcome", sort=False):
        places = theme.decimals(group["std_error"])
        rows = []
        for contrast, estimates in group.groupby("contrast", sort=False):
            rows.append(Row(theme.difference(str(contrast)), head=True))
            bound = bands.get((str(outcome), str(contrast)))
            for _, row in estimates.iterrows():
                style = {"marker": markers[row["estimator"]], "fill": LABELS.get(row["label"], "white")}
                rows.append(
                    Row(
                        theme.ESTIMATORS.get(row["estimator"], str(row["estimator"])),
                        (_point(row, **style),),
                        theme.estimate_text(row, places),
                        band=(-bound, bound) if bound else None,
                    )
                )
        unit = "difference in shares" if outcome in names.binary else "difference in points"
        blocks.append(Block(rows, (Panel(unit[0].upper() + unit[1:], 0.0),), names.of(str(outcome))))
    keys = [Key(theme.ESTIMATORS.get(e, str(e)), marker, fill="white") for e, marker in markers.items()]
    keys += [
        Key(label.capitalize(), fill=colour)
        for label, colour in LABELS.items()
        if (table["label"] == label).any()
    ]
    keys += [Key("Smaller than the smallest effect of interest", band=True)] if bands else []
    labels = ", ".join(names.of(o) for o in dict.fromkeys(table["outcome"]))
    description = (
        f"Estimated differences between arms with {theme.percent(names.level)} intervals for: {labels}."
    )
    return Drawn(forest(blocks, names, keys), table, description)


def dividend(diagnostics: pd.DataFrame, sesoi: float, unit: str, names: Names) -> Drawn:
    """Draw the value of policies against each other: honest estimates and the plug-in.

    Args:
        diagnostics: diagnose/diagnostics.csv; rows of the diagnostic `dividend` are used.
        sesoi: smallest gain that matters, drawn as the right end of a grey band (0 = none).
        unit: label of the calibration outcome.
        names: labels.
    """
    table = diagnostics[diagnostics["diagnostic"] == "dividend"]
    contrasts = table["quantity"].str.contains(" - ", regex=False)
    table = table[contrasts & table["estimator"].isin(["dr_q1", "dr_q2", "plug_in"])].reset_index(drop=True)
    fills = {"dr_q1": LABELS["confirmatory"], "dr_q2": "#56B4E9", "plug_in": "white"}
    markers = dict(zip(fills, theme.MARKERS, strict=False))
    blocks = []
    for quantity, group in table.groupby("quantity", sort=False):
        places = theme.decimals(group["std_error"])
        targeted = quantity == "nano - overall_best" and sesoi > 0
        rows = [
            Row(
                theme.ESTIMATORS[row["estimator"]],
                (_point(row, marker=markers[row["estimator"]], fill=fills[row["estimator"]]),),
                theme.estimate_text(row, places),
                band=(0.0, sesoi) if targeted else None,
            )
            for _, row in group.iterrows()
        ]
        blocks.append(
            Block(rows, (Panel("Difference in value", 0.0),), theme.difference(str(quantity), theme.POLICIES))
        )
    blocks[-1] = Block(blocks[-1].rows, (Panel(f"Difference in value; {unit}", 0.0),), blocks[-1].title)
    keys = [Key(f"Gain below the smallest that matters ({sesoi:g})", band=True)] if sesoi > 0 else []
    gain = table[(table["quantity"] == "nano - overall_best") & (table["estimator"] == "dr_q1")]
    level = theme.percent(names.confidence)
    description = f"Differences in value between targeting policies with {level} intervals."
    if len(gain):
        description += f" Nano minus overall-best, doubly robust: {theme.estimate_text(gain.iloc[0], 3)}."
    return Drawn(forest(blocks, names, keys), table, description)


def subgroups(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw effects by subgroup, a block an outcome; suppressed cells say so."""
    blocks = []
    for outcome, group in table.groupby("outcome", sort=False):
        places = theme.decimals(group["std_error"])
        rows = []
        for (grouping, contrast), cells in group.groupby(["grouping", "contrast"], sort=False):
            rows.append(Row(f"{theme.difference(str(contrast))}, by {grouping}", head=True))
            for _, row in cells.iterrows():
                hidden = bool(row["suppressed"])
                rows.append(
                    Row(
                        str(row["group"]),
                        () if hidden else (_point(row, fill="white"),),
                        "too few people to show" if hidden else theme.estimate_text(row, places),
                    )
                )
        unit = "Difference in shares" if outcome in names.binary else "Difference in points"
        blocks.append(Block(rows, (Panel(unit, 0.0),), names.of(str(outcome))))
    description = (
        "Exploratory differences between arms within subgroups "
        f"({', '.join(str(g) for g in dict.fromkeys(table['grouping']))}), "
        f"with {theme.percent(names.level)} intervals."
    )
    keys = [Key(f"Exploratory estimate with {theme.percent(names.level)} interval", fill="white")]
    return Drawn(forest(blocks, names, keys), table, description)


def petitions(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw how often each policy assigns its petitions, from the most to the least frequent.

    Args:
        table: assign/petitions.csv; the columns n_<policy> count respondents.
        names: labels.

    The data hold ranks and counts but no petition: a near-unique petition identifies a person.
    """
    parts = []
    for column in [c for c in table.columns if c.startswith("n_")]:
        counts = np.sort(table[column].fillna(0).to_numpy(dtype=np.int64))[::-1]
        counts = counts[counts > 0]
        parts.append(
            pd.DataFrame(
                {
                    "policy": column.removeprefix("n_"),
                    "rank": np.arange(1, len(counts) + 1),
                    "n_assigned": counts,
                }
            )
        )
    data = pd.concat(parts, ignore_index=True)
    distinct = data.groupby("policy", sort=False).size()
    with theme.drawing():
        canvas = Canvas(theme.COLUMN_WIDTH, names)
        top = canvas.room(2.2)
        keys = [
            Key(
                f"{theme.POLICIES.get(str(p), str(p))}: {theme.count(n)} petition{'s' if n != 1 else ''}",
                theme.MARKERS[k],
                fill=theme.PALETTE[k],
                edge=theme.INK,
            )
            for k, (p, n) in enumerate(distinct.items())
        ]
        canvas.room(AXIS)
        legend = draw_legend(canvas, keys)
        figure = canvas.figure()
        ticks = theme.text_width(theme.count(data["n_assigned"].max()))
        left = MARGIN + LINE + ticks + 0.14
        axes = axes_at(figure, left, top, theme.COLUMN_WIDTH - left - MARGIN, 2.15)
        for k, (_, group) in enumerate(data.groupby("policy", sort=False)):
            axes.plot(
                group["rank"],
                group["n_assigned"],
                marker=theme.MARKERS[k],
                markersize=3.4,
                color=theme.PALETTE[k],
                markeredgecolor=theme.INK,
                markeredgewidth=0.4,
                markevery=_spread(group["rank"].to_numpy()),
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(0.8, max(10, data["rank"].max() * 1.25))
        axes.set_ylim(0.8, data["n_assigned"].max() * 1.6)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: theme.count(value)))
            axis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("Petitions, most assigned first")
        axes.set_ylabel("Respondents assigned")
        paint_legend(figure, legend)
    described = "; ".join(
        f"{theme.POLICIES.get(str(p), str(p))} {theme.count(n)}" for p, n in distinct.items()
    )
    return Drawn(figure, data, f"Number of respondents by petition, ranked. Distinct petitions: {described}.")


def _spread(ranks: np.ndarray) -> list[int]:
    """Indices of at most a dozen markers, evenly apart on a log scale."""
    wanted = np.unique(np.geomspace(1, len(ranks), num=min(12, len(ranks))).round().astype(int))
    return [int(i) - 1 for i in wanted]


@dataclass(frozen=True)
class Box:
    """A framed text in the participant flow, in inches from the top left; the first lines are bold."""

    left: float
    top: float
    width: float
    height: float
    heading: Sequence[str]
    lines: Sequence[str]

    @property
    def centre(self) -> float:
        """Horizontal middle."""
        return self.left + self.width / 2

    @property
    def bottom(self) -> float:
        """Lower edge."""
        return self.top + self.height


PADDING = 0.07
OBSERVED = "Outcome observed"  # the step of clean/flow.csv that is attrition, not an exclusion
Segment = tuple[float, float, float, float]


def flow(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw the participant flow after CONSORT: recorded, excluded in order, kept by arm.

    Args:
        table: clean/flow.csv; one row an arm and step, the arm `all` counts everybody; a step without
            a rule excludes nobody; the step `OBSERVED` is attrition after randomisation.
        names: labels and the arms in their order; rows of other arms (not randomised) have no box.
    """
    canvas = Canvas(theme.PAGE_WIDTH, names)
    boxes: list[Box] = []
    lines: list[Segment] = []
    titles, sentences = [], []
    with theme.drawing():
        for sample, rows in table.groupby("sample", sort=False):
            titles.append((canvas.room(LINE * 1.5), str(sample).capitalize()))
            everyone = rows[(rows["arm"] == "all") & (rows["step"] != OBSERVED)]
            first, last = int(everyone["n_before"].iloc[0]), int(everyone["n_after"].iloc[-1])
            _trunk(canvas, everyone, boxes, lines)
            _arms(canvas, rows[rows["arm"] != "all"], boxes, lines)
            canvas.room(0.12)
            sentences.append(f"{sample}: {theme.count(first)} recorded, {theme.count(last)} kept")
        figure = canvas.figure()
        for place, title in titles:
            write_lines(figure, MARGIN, place, [title], bold=True, size=TEXT_SIZE + 1)
        _paint_flow(figure, boxes, lines)
    return Drawn(figure, table, f"Participant flow. {'; '.join(sentences).capitalize()}.")


def _box(canvas: Canvas, left: float, width: float, heading: Sequence[str], lines: Sequence[str]) -> Box:
    height = LINE * (len(heading) + len(lines)) + 2 * PADDING
    return Box(left, canvas.room(height), width, height, heading, lines)


def _trunk(canvas: Canvas, steps: pd.DataFrame, boxes: list[Box], lines: list[Segment]) -> None:
    """Place recorded, excluded and kept below each other."""
    first, last = int(steps["n_before"].iloc[0]), int(steps["n_after"].iloc[-1])
    width = (canvas.width - 2 * MARGIN - 2 * GAP) / 3  # as wide as one of three arms
    side = canvas.width - 2 * MARGIN - width - 0.5
    recorded = _box(canvas, MARGIN, width, ["Recorded"], [f"n = {theme.count(first)}"])
    canvas.room(0.1)
    reasons = []
    applied = steps[steps["rule"].notna()]  # the first row only counts who was recorded
    for step, excluded in zip(applied["step"], applied["n_excluded"], strict=True):
        wrapped = theme.wrap(f"{step}: {theme.count(excluded)}", side - 2 * PADDING - 0.1)
        reasons += [line if k == 0 else f"   {line}" for k, line in enumerate(wrapped)]
    excluded = _box(
        canvas, canvas.width - MARGIN - side, side, [f"Excluded: n = {theme.count(first - last)}"], reasons
    )
    canvas.room(0.1)
    kept = _box(canvas, MARGIN, width, ["Kept"], [f"n = {theme.count(last)}"])
    middle = excluded.top + excluded.height / 2
    lines += [
        (recorded.centre, recorded.bottom, kept.centre, kept.top),
        (kept.centre, middle, excluded.left, middle),
    ]
    boxes += [recorded, excluded, kept]


def _arms(canvas: Canvas, arms: pd.DataFrame, boxes: list[Box], lines: list[Segment]) -> None:
    """Place a box an arm below the trunk, at most four in a line, in config order."""
    ordered = [arm for arm in canvas.names.arms if (arms["arm"] == arm).any()]  # without those in no arm
    trunk = boxes[-1]
    start = trunk.bottom
    for row in (ordered[k : k + 4] for k in range(0, len(ordered), 4)):
        width = (canvas.width - 2 * MARGIN - GAP * (len(row) - 1)) / len(row)
        branch = canvas.room(0.3) + 0.15
        top = bottom = canvas.top
        made = []
        for k, arm in enumerate(row):
            steps = arms[(arms["arm"] == arm) & (arms["step"] != OBSERVED)]
            last = arms[(arms["arm"] == arm) & (arms["step"] == OBSERVED)]
            before, after = int(steps["n_before"].iloc[0]), int(steps["n_after"].iloc[-1])
            canvas.top = top
            texts = [f"Recorded: {theme.count(before)}", f"Excluded: {theme.count(before - after)}"]
            texts.append(f"Kept: n = {theme.count(after)}")
            if len(last):
                texts.append(f"Outcome missing: {theme.count(int(last['n_excluded'].iloc[0]))}")
                texts.append(f"Outcome observed: n = {theme.count(int(last['n_after'].iloc[0]))}")
            heading = theme.wrap(arm, width - 2 * PADDING, bold=True)
            made.append(_box(canvas, MARGIN + k * (width + GAP), width, heading, texts))
            bottom = max(bottom, canvas.top)
        canvas.top = bottom
        centres = [trunk.centre, *(box.centre for box in made)]
        lines += [(trunk.centre, start, trunk.centre, branch), (min(centres), branch, max(centres), branch)]
        lines += [(box.centre, branch, box.centre, box.top) for box in made]
        boxes += made
        start = branch


def _paint_flow(figure: Figure, boxes: Sequence[Box], lines: Sequence[Segment]) -> None:
    width, height = figure.get_size_inches()
    for x0, y0, x1, y1 in lines:
        figure.add_artist(
            Line2D(
                [x0 / width, x1 / width],
                [1 - y0 / height, 1 - y1 / height],
                color=theme.MUTED,
                linewidth=0.8,
                transform=figure.transFigure,
                zorder=0,
            )
        )
    for box in boxes:
        figure.add_artist(
            Rectangle(
                (box.left / width, 1 - box.bottom / height),
                box.width / width,
                box.height / height,
                facecolor="white",
                edgecolor=theme.MUTED,
                linewidth=0.8,
                transform=figure.transFigure,
                zorder=1,
            )
        )
        write_lines(figure, box.left + PADDING, box.top + PADDING, box.heading, bold=True)
        write_lines(figure, box.left + PADDING, box.top + PADDING + LINE * len(box.heading), box.lines)


def bands(sesoi: Mapping[str, float], arms: Sequence[ArmConfig]) -> dict[tuple[str, str], float]:
    """Return the smallest effect that matters by (outcome, contrast), for nano against overall-best."""
    nano = [arm.name for arm in arms if arm.policy == "nano"]
    best = [arm.name for arm in arms if arm.policy == "overall_best"]
    pairs = [pair for n in nano for b in best for pair in (f"{n} - {b}", f"{b} - {n}")]
    return {(outcome, pair): bound for outcome, bound in sesoi.items() for pair in pairs}


def build(
    sources: Mapping[str, pd.DataFrame],
    names: Names,
    *,
    profiles: int,
    analysed: str,
    gain: float,
    smallest: Mapping[tuple[str, str], float],
) -> dict[str, Drawn]:
    """Draw every figure whose source is there.

    Args:
        sources: artefact (flow, amce, marginal_means, diagnostics, petitions, effects, subgroups) -> table.
        names: labels.
        profiles: profiles a task; a forced choice without preferences has the mean 1/profiles.
        analysed: calibration outcome in whose units the diagnosis speaks.
        gain: smallest gain of nano over overall-best that matters in the calibration (0 = none).
        smallest: the same for the experiment, as `bands` returns it.
    """
    drawn = {"flow": flow(sources["flow"], names)}
    if "amce" in sources:
        for outcome in names.ratings:
            null = 1 / profiles if outcome == "choice" and profiles > 1 else None
            drawn[f"amce_{outcome}"] = amce(sources["amce"], sources["marginal_means"], outcome, names, null)
    if "diagnostics" in sources:
        drawn["dividend"] = dividend(sources["diagnostics"], gain, names.of(analysed), names)
    if "petitions" in sources:
        drawn["petitions"] = petitions(sources["petitions"], names)
    if "effects" in sources:
        drawn["effects"] = effects(sources["effects"], names, smallest)
    if "subgroups" in sources:
        drawn["subgroups"] = subgroups(sources["subgroups"], names)
    return drawn
