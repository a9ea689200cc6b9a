"""Figures of the participants, the calibration's effects, the assignment and the experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from nanotarget import theme
from nanotarget.config import ArmConfig
from nanotarget.estimate.flow import OBSERVED
from nanotarget.figures.page import (
    GAP,
    MARGIN,
    Block,
    Canvas,
    Drawn,
    Key,
    Panel,
    Point,
    Row,
    band_key,
    chart,
    forest,
    log_counts,
    spread_over,
    write_lines,
)
from nanotarget.theme import LINE, TEXT_SIZE, Names

LABELS = {"confirmatory": "#0072B2", "secondary": "#E69F00", "exploratory": "white"}


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
                    (Point.of(effect, fill="white" if reference else theme.INK), Point.of(mean)),
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
                        (Point.of(row, **style),),
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
    keys += [band_key("Smaller than the smallest effect of interest")] if bands else []
    labels = ", ".join(names.of(o) for o in dict.fromkeys(table["outcome"]))
    description = (
        f"Estimated differences between arms with {theme.percent(names.level)} intervals for: {labels}."
    )
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
                        () if hidden else (Point.of(row, fill="white"),),
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
    keys = [
        Key(
            f"{theme.POLICIES.get(str(p), str(p))}: {theme.count(n)} petition{'s' if n != 1 else ''}",
            theme.MARKERS[k],
            fill=theme.PALETTE[k],
        )
        for k, (p, n) in enumerate(distinct.items())
    ]

    def draw(axes: Any) -> None:
        for k, (_, group) in enumerate(data.groupby("policy", sort=False)):
            axes.plot(
                group["rank"],
                group["n_assigned"],
                marker=theme.MARKERS[k],
                markersize=3.4,
                color=theme.PALETTE[k],
                markeredgecolor=theme.INK,
                markeredgewidth=0.4,
                markevery=spread_over(group["rank"].to_numpy()),
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(0.8, max(10, data["rank"].max() * 1.25))
        axes.set_ylim(0.8, data["n_assigned"].max() * 1.6)
        log_counts(axes.xaxis)
        log_counts(axes.yaxis)

    figure = chart(draw, names, keys, x="Petitions, most assigned first", y="Respondents assigned")
    described = "; ".join(
        f"{theme.POLICIES.get(str(p), str(p))} {theme.count(n)}" for p, n in distinct.items()
    )
    return Drawn(figure, data, f"Number of respondents by petition, ranked. Distinct petitions: {described}.")


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
