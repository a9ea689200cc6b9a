"""Figures of the experiment: effects, how sure they are, and whether they hang on a choice of method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from nanotarget.report import theme
from nanotarget.report.figures.page import (
    DASHED,
    GAP,
    MARGIN,
    YLABELS,
    Bar,
    Block,
    Canvas,
    Drawn,
    Key,
    Panel,
    Plot,
    Point,
    Row,
    axes_at,
    band_key,
    draw_legend,
    forest,
    grid,
    letters,
    paint_legend,
    tick_labels,
    write_lines,
)
from nanotarget.report.theme import LINE, Names

LABELS = {"confirmatory": "#0072B2", "secondary": "#E69F00", "exploratory": "white"}
SKY = "#56B4E9"
SMALL = "Smaller than the smallest effect of interest"
ABREAST = 3  # contrasts side by side


def difference_axis(outcome: str, names: Names) -> str:
    """Return the label of an axis of differences between arms."""
    return f"Difference ({names.unit_of(outcome)})"


def label_keys(labels: pd.Series) -> list[Key]:
    """Return legend entries for the pre-registered status of estimates, those that occur."""
    return [
        Key(label.capitalize(), "", colour, box=True)
        for label, colour in LABELS.items()
        if (labels == label).any()
    ]


def effects(table: pd.DataFrame, equivalence: pd.DataFrame, names: Names) -> Drawn:
    """Draw every contrast, a panel an outcome; estimators differ in shape, labels in fill.

    Args:
        table: estimate/effects.csv.
        equivalence: estimate/equivalence.csv; an outcome tested by differences in means gets a grey band of
            effects that are too small to matter. What the tests say stands in the legend and the tables.
        names: labels.
    """
    shown = theme.in_units(table, names)
    tested = theme.in_units(equivalence[equivalence["estimator"] == "tost"], names)
    margins = {row["outcome"]: float(row["sesoi"]) for _, row in tested.iterrows()}
    markers = {e: theme.MARKERS[k] for k, e in enumerate(dict.fromkeys(table["estimator"]))}
    outcomes = list(dict.fromkeys(table["outcome"]))
    blocks = []
    for some in (outcomes[k : k + ABREAST] for k in range(0, len(outcomes), ABREAST)):
        panels = [
            Panel(
                difference_axis(outcome, names),
                0.0,
                band=(-margins[outcome], margins[outcome]) if outcome in margins else None,
                title=names.of(outcome),
            )
            for outcome in some
        ]
        own = shown[shown["outcome"].isin(some)]
        blocks.append(Block(list(_contrasts(own, some, markers)), panels))
    keys = [
        Key(f"{theme.ESTIMATORS.get(e, str(e))}, {theme.percent(names.level)} interval", marker, fill="white")
        for e, marker in markers.items()
    ]
    keys += label_keys(table["label"])
    keys += [band_key(SMALL)] if margins else []
    labels = ", ".join(names.of(o) for o in outcomes)
    description = (
        f"Estimated differences between arms with {theme.percent(names.level)} intervals for: {labels}."
    )
    if len(tested):
        verdicts = tested["verdict"].value_counts(sort=False)
        said = ", ".join(f"{verdict} {n}" for verdict, n in verdicts.items())
        description += f" Equivalence within the smallest effect of interest: {said}."
    data = pd.concat([table, equivalence], ignore_index=True) if len(tested) else table
    return Drawn(forest(blocks, names, keys), data, description)


def _contrasts(table: pd.DataFrame, outcomes: Sequence[str], markers: Mapping[str, str]) -> Iterator[Row]:
    """Yield a heading a contrast and a row an estimator, with a point an outcome."""
    places = theme.decimals(table["std_error"])
    for contrast, estimates in table.groupby("contrast", sort=False):
        yield Row(theme.difference(str(contrast)), head=True)
        for estimator, cells in estimates.groupby("estimator", sort=False):
            found = {row["outcome"]: row for _, row in cells.iterrows()}
            points = [
                Point.of(
                    found[o], marker=markers[str(estimator)], fill=LABELS.get(found[o]["label"], "white")
                )
                if o in found
                else None
                for o in outcomes
            ]
            # Beside several panels there is no room for numbers; the table has them.
            text = theme.estimate_text(found[outcomes[0]], places) if len(outcomes) == 1 else ""
            yield Row(theme.ESTIMATORS.get(str(estimator), str(estimator)), points, text)


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


COARSE = 0.5  # width of a bar in standard errors: wide enough that the steps of yes and no do not show


def _redraws(bins: pd.DataFrame, observed: float) -> Any:
    """Return a function that draws a histogram of redraws and the observed statistic."""
    middle = (bins["low"] + bins["high"]) / 2
    extreme = middle.abs() >= abs(observed)
    left = np.floor(middle / COARSE) * COARSE
    density = bins["draws"] / (bins["draws"].sum() * COARSE)
    bars = pd.DataFrame({"extreme": density.where(extreme, 0.0), "all": density}).groupby(left).sum()

    def draw(axes: Any) -> None:
        for column, style in (
            ("all", {"facecolor": theme.BAND, "edgecolor": theme.RULE}),
            ("extreme", {"facecolor": SKY, "edgecolor": theme.INK, "hatch": "////"}),
        ):
            part = bars[bars[column] > 0]
            axes.bar(part.index, part[column], COARSE, align="edge", linewidth=0.3, **style)
        ends = [bars.index.min(), bars.index.max() + COARSE, *([observed] if np.isfinite(observed) else [])]
        axes.set_xlim(min(ends) - 0.3, max(ends) + 0.3)
        axes.set_ylim(0, max(float(bars["all"].max()), 0.1) * 1.05)
        if np.isfinite(observed):
            axes.axvline(observed, color=theme.ALERT, linewidth=1.2)

    return draw


def specifications(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw every difference under every specification, and below which choices each one makes.

    Args:
        table: estimate/robustness.csv; of its scales the differences are drawn, the others are in the table.
        names: labels.
    """
    table = theme.in_units(table[table["scale"] == "difference"], names)
    groups = [(str(outcome), own, _choices(own)) for outcome, own in table.groupby("outcome", sort=False)]
    named = letters(sum(own["contrast"].nunique() for _, own, _ in groups))
    with theme.drawing():
        canvas = Canvas(theme.PAGE_WIDTH, names)
        widest = max(theme.text_width(label) for _, _, choices in groups for label, _, _ in choices)
        left = MARGIN + min(widest, canvas.width * 0.4) + GAP
        width = (canvas.width - left - MARGIN - GAP * (ABREAST - 1)) / ABREAST
        texts: list[tuple[float, float, list[str], bool]] = []
        frames = []
        for outcome, own, choices in groups:
            lines = theme.wrap(names.of(outcome), canvas.width - 2 * MARGIN, bold=True)
            texts.append((MARGIN, canvas.room(LINE * len(lines)), lines, True))
            contrasts = list(dict.fromkeys(own["contrast"]))
            for some in (contrasts[k : k + ABREAST] for k in range(0, len(contrasts), ABREAST)):
                heads = [theme.wrap(f"{next(named)}{theme.difference(c)}", width, bold=True) for c in some]
                start = canvas.room(LINE * (max(map(len, heads)) + 0.5))
                top = canvas.room(CURVE + LINE * (len(choices) + 0.4) + GAP)
                axis = theme.wrap(difference_axis(outcome, names), left - MARGIN - GAP)
                texts.append((MARGIN, top + CURVE / 2 - LINE, axis, False))
                for k, (label, _, _) in enumerate(choices):
                    line = theme.wrap(label, left - MARGIN)[:1]
                    texts.append((MARGIN, top + CURVE + LINE * (k + 0.4), line, False))
                for j, (contrast, head) in enumerate(zip(some, heads, strict=True)):
                    place = left + j * (width + GAP)
                    texts.append((place, start, head, True))
                    frames.append((own[own["contrast"] == contrast], choices, (place, top, width)))
        keys = [
            Key(f"Estimate with {theme.percent(names.level)} interval", fill="white"),
            Key("The specification makes this choice", "s", theme.INK),
            *label_keys(table["label"]),
        ]
        legend = draw_legend(canvas, keys)
        figure = canvas.figure()
        for place, start, lines, bold in texts:
            write_lines(figure, place, start, lines, bold=bold)
        for own, choices, frame in frames:
            _curve(figure, own.sort_values("rank", kind="stable"), choices, frame)
        paint_legend(figure, legend)
    described = [
        f"{names.of(str(outcome))}, {theme.difference(str(contrast))}: {len(group)} estimates from "
        f"{theme.number(group['estimate'].min(), 2)} to {theme.number(group['estimate'].max(), 2)}"
        for (outcome, contrast), group in table.groupby(["outcome", "contrast"], sort=False)
    ]
    return Drawn(figure, table, f"Specification curve. {'; '.join(described)}.")


STRIPE = "#F4F4F4"
CURVE = 0.8  # height of the estimates above the choices, inches
# Column of estimate/robustness.csv -> how its values are called.
CHOICES: dict[str, Mapping[str, str]] = {
    "estimator": theme.ESTIMATORS,
    "adjustment": {
        "none": "Arms alone",
        "covariates": "Covariates",
        "covariates, two arms": "Covariates, two arms alone",
    },
    "sample": theme.LABELS["sample"],
    "se_type": {},
}
Choice = tuple[str, str, str]  # label, column, value


def _choices(table: pd.DataFrame) -> list[Choice]:
    """Return the choices in which specifications differ."""
    found: list[Choice] = []
    for column, labels in CHOICES.items():
        values = list(dict.fromkeys(table[column]))
        if len(values) > 1:
            end = " errors" if column == "se_type" else ""
            found += [(f"{labels.get(value, str(value))}{end}", column, value) for value in values]
    return found


def _curve(
    figure: Any, table: pd.DataFrame, choices: Sequence[Choice], place: tuple[float, float, float]
) -> None:
    """Draw the estimates of a contrast in their order, and a mark for every choice that was made."""
    left, top, width = place
    axes = axes_at(figure, left + YLABELS, top, width - YLABELS, CURVE)
    axes.axhline(0.0, color=theme.MUTED, linewidth=0.6, linestyle=DASHED, zorder=1)
    for k, (_, row) in enumerate(table.iterrows()):
        if np.isfinite(row["estimate"]):
            axes.vlines(k, row["conf_low"], row["conf_high"], color=theme.INK, linewidth=1.0, zorder=2)
            fill = LABELS.get(row["label"], "white")
            axes.plot([k], [row["estimate"]], marker="o", markersize=4.2, markerfacecolor=fill,
                      markeredgecolor=theme.INK, markeredgewidth=0.8, zorder=3)  # fmt: skip
    axes.set_xlim(-0.7, len(table) - 0.3)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    axes.ticklabel_format(axis="y", style="plain")
    labels = max(map(theme.text_width, tick_labels(axes.yaxis)), default=0) + 0.08
    page, shown = figure.get_size_inches()[0], axes.get_position()
    axes.set_position(((left + labels) / page, shown.y0, (width - labels) / page, shown.height))
    below = axes_at(figure, left + labels, top + CURVE + LINE * 0.4, width - labels, LINE * len(choices))
    below.set_xlim(-0.7, len(table) - 0.3)
    below.set_ylim(len(choices) - 0.5, -0.5)
    below.axis("off")
    for row in range(0, len(choices), 2):
        below.axhspan(row - 0.5, row + 0.5, facecolor=STRIPE, edgecolor="none", zorder=0)
    for row, (_, column, value) in enumerate(choices):
        made = np.flatnonzero(table[column].to_numpy() == value)
        style = {"marker": "s", "markersize": 3.6, "color": theme.INK, "linestyle": "none"}
        below.plot(made, np.full(len(made), row), **style)


def bounds(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw Lee's bounds: what the missing answers can do to the effects.

    Args:
        table: estimate/lee_bounds.csv; the rows that trim by fractions are drawn.
        names: labels.
    """
    table = table[table["trimming"] == "fraction"].reset_index(drop=True)
    blocks, described = [], []
    for outcome, group in theme.in_units(table, names).groupby("outcome", sort=False):
        places = theme.decimals(group["std_error"])
        rows = []
        for contrast, both in group.groupby("contrast", sort=False):
            ends = dict(zip(both["bound"], both["estimate"], strict=True))
            first = both.iloc[0]
            label = theme.difference(str(contrast))
            found = theme.interval(ends["lower"], ends["upper"], places)
            trim = "–"
            if pd.notna(first["trimmed_arm"]):
                which = "first" if str(contrast).startswith(f"{first['trimmed_arm']} - ") else "second"
                trim = f"{theme.percent(round(first['trim_share'], 4))} of the {which}"
            point = Point.of(first, ("naive", "effect_low", "effect_high"))
            box = [] if np.isnan(ends["lower"]) else [Bar(ends["lower"], ends["upper"], SKY)]
            rows.append(Row(label, (point,), f"{found}, trims {trim}", bars=box))
            described.append(f"{names.of(str(outcome))}, {label} {found}")
        panel = Panel(difference_axis(str(outcome), names), 0.0)
        blocks.append(Block(rows, (panel,), names.of(str(outcome))))
    keys = [
        Key("Difference among those who answered"),
        Key("Lower to upper bound (right: and the share trimmed of which arm)", "", SKY, box=True),
        Key(f"{theme.percent(names.level)} interval of the effect", "", line="-"),
    ]
    description = f"Bounds on effects among those who would answer in either arm. {'; '.join(described)}."
    return Drawn(forest(blocks, names, keys), table, description)
