"""Figures of the four-part diagnosis, from diagnostics.csv and the tables beside it.

A study may lack covariates, and a learner may find no differences between people; then a table has
no rows and its figure says why. Gains are those of nano over the overall-best petition for the goal
of the study, with one-sided 95% bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from nanotarget.diagnose import words
from nanotarget.diagnose.quantities import DIAGNOSTICS, Diagnostic, Estimator, Quantity
from nanotarget.diagnose.verdict import Verdict
from nanotarget.report import theme
from nanotarget.report.figures.page import (
    DASHED,
    DOTTED,
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
    band_key,
    chart,
    draw_legend,
    forest,
    log_counts,
    log_ticks,
    paint_legend,
    spread_over,
    threshold_key,
    write,
    write_lines,
)
from nanotarget.report.tables.diagnose import GAINS, dividend_rows, variance_parts
from nanotarget.report.theme import LINE, Names

BLUE, ORANGE, SKY = "#0072B2", "#E69F00", "#56B4E9"
BOUNDS = "one-sided 95% bounds"
CEILING = ("ceiling", "ceiling_low", "ceiling_high")
GAIN = ("gain", "gain_low", "gain_high")
VERDICTS: dict[str, dict[str, Any]] = {
    Verdict.PASS: {"marker": "o", "fill": BLUE},
    Verdict.FAIL: {"marker": "X", "fill": theme.ALERT, "edge": theme.ALERT},
    Verdict.INCONCLUSIVE: {"marker": "D", "fill": "white"},
}
# Label, fill and hatching. The first part begins at zero, so that its interval can be read on the axis.
PARTS = {
    Quantity.PERSON_BY_MESSAGE: ("Person × message", BLUE, ""),
    Quantity.COMMON: ("Common message", ORANGE, "////"),
    Quantity.BASELINE: ("Baseline of the person", "white", "...."),
    Quantity.NOISE: ("Noise", theme.BAND, ""),
}


def threshold_of(diagnostics: pd.DataFrame) -> float | None:
    """Return the smallest gain that matters from diagnose/diagnostics.csv."""
    found = diagnostics[diagnostics["quantity"] == Quantity.SMALLEST_GAIN]["estimate"].dropna()
    return float(found.iloc[0]) if len(found) else None


def gain_axis(names: Names) -> str:
    """Return the label of an axis of gains."""
    best = "over overall-best" if names.goal == "support" else "in dissuasion over overall-worst"
    return f"Gain {best} ({names.unit})"


def _decisive(table: pd.DataFrame) -> pd.Series | None:
    """Return the gain of nano that the verdict is based on: the row with a ceiling."""
    found = table[(table["quantity"] == Quantity.GAIN) & table["ceiling"].notna()]
    return None if found.empty else found.iloc[0]


def _row(diagnostics: pd.DataFrame, quantity: Quantity, estimator: Estimator) -> pd.Series | None:
    found = diagnostics[(diagnostics["quantity"] == quantity) & (diagnostics["estimator"] == estimator)]
    return found.iloc[0] if len(found) else None


def _error_bars(axes: Any, x: Any, y: Any, low: Any, high: Any, **style: Any) -> None:
    """Draw points with intervals; a point without an interval stands alone."""
    axes.vlines(x, low, high, color=style.get("markeredgecolor", theme.INK), linewidth=1.0, zorder=2)
    look = {"marker": "o", "markersize": 4.2, "markerfacecolor": theme.INK, "markeredgecolor": theme.INK}
    axes.plot(x, y, zorder=3, **{**look, "markeredgewidth": 0.8, "color": theme.INK, **style})


def _gain_lines(axes: Any, threshold: float | None) -> None:
    """Draw the lines of no gain and of the smallest gain that matters."""
    axes.axhline(0, color=theme.MUTED, linewidth=0.6, linestyle=DASHED, zorder=1)
    if threshold is not None:
        axes.axhline(threshold, color=theme.ALERT, linewidth=1.0, linestyle=DOTTED, zorder=1)


def _threshold_keys(threshold: float | None) -> list[Key]:
    return [] if threshold is None else [threshold_key(threshold)]


def funnel(diagnostics: pd.DataFrame, names: Names) -> Drawn:
    """Draw what each stage of the diagnosis says the gain can be at most, with its verdict.

    Args:
        diagnostics: diagnose/diagnostics.csv; the rows with a verdict are drawn, one a stage.
        names: labels, goal.
    """
    ours = names.main(diagnostics)
    threshold = threshold_of(ours)
    table = ours[ours["diagnostic"].isin(DIAGNOSTICS) & ours["verdict"].fillna("").ne("")]
    table = table.drop_duplicates("diagnostic").reset_index(drop=True)
    found = {row["diagnostic"]: row for _, row in table.iterrows()}
    places = theme.decimals_of_bounds(table["ceiling_low"], table["ceiling_high"])
    rows, described = [], []
    for k, (stage, question) in enumerate(words.QUESTIONS.items()):
        label = f"{k + 1} {stage.capitalize()}: {question}"
        row = found.get(stage)
        if row is None or row["verdict"] not in VERDICTS:
            rows.append(Row(label, text="not evaluated"))
            described.append(f"{stage} not evaluated")
            continue
        point = Point.of(row, CEILING, **VERDICTS[row["verdict"]])
        number = theme.number(point.estimate, places)
        bounds = theme.interval(point.low, point.high, places)
        rows.append(
            Row(
                label,
                (point,),
                f"{number if bounds == '–' else f'{number} {bounds}'}  {row['verdict']}",
                band=(0.0, point.high) if point.high > 0 else None,
            )
        )
        at_most = f" (at most {theme.number(point.high, places)})" if np.isfinite(point.high) else ""
        described.append(f"{stage} {row['verdict']}{at_most}")
    used = dict.fromkeys(table["verdict"])
    keys = [Key(name, **style) for name, style in VERDICTS.items() if name in used]
    keys += _threshold_keys(threshold)
    if any(row.band for row in rows):
        keys.append(band_key("Not ruled out (up to the upper one-sided 95% bound)"))
    panel = Panel(gain_axis(names), 0.0, threshold)
    description = f"Ceilings on the gain by stage: {'; '.join(described)}."
    if threshold is not None:
        description += f" The smallest gain that matters is {threshold:g} ({names.unit})."
    return Drawn(forest([Block(rows, (panel,))], names, keys), table, description)


def variance(diagnostics: pd.DataFrame, names: Names) -> Drawn:
    """Draw the parts of the outcome's variance, and person x message variance by attribute.

    Negative estimates, which noise can bring about, are drawn as no share.

    Args:
        diagnostics: diagnose/diagnostics.csv; rows of the diagnostic `heterogeneity` are used.
        names: labels, goal.
    """
    ours, parts = names.main(diagnostics), variance_parts(diagnostics, names)
    ours = ours[ours["diagnostic"] == Diagnostic.HETEROGENEITY]
    by_attribute = ours[ours["quantity"].str.startswith(f"{Quantity.PERSON_BY_MESSAGE}: ")]
    table = pd.concat([parts.reset_index(), by_attribute], ignore_index=True)
    sizes = parts["estimate"].clip(lower=0)
    total = float(sizes.sum())
    shares = sizes / total if total > 0 else sizes
    columns = ["share", "share_low", "share_high"]
    table[columns] = table[["estimate", "conf_low", "conf_high"]] / total if total > 0 else np.nan

    ends = shares.cumsum()
    bars = [Bar(ends[q] - shares[q], ends[q], *PARTS[q][1:]) for q in parts.index if shares[q] > 0]
    person = table.iloc[0]
    blocks = [
        Block(
            [
                Row("All parts", bars=bars),
                Row(
                    PARTS[Quantity.PERSON_BY_MESSAGE][0],
                    (Point.of(person, columns),),
                    _share_text(person, columns),
                ),
            ],
            (Panel("Share of the variance of the answers", shares=True),),
            "Where the variance comes from",
            [
                Key(f"{PARTS[q][0]} {_share(shares[q])}", "", PARTS[q][1], box=True, hatch=PARTS[q][2])
                for q in parts.index
            ],
        )
    ]
    if len(by_attribute) and total > 0:
        rows = []
        for _, row in table.tail(len(by_attribute)).iterrows():
            cells = {end: 100 * row[column] for end, column in zip(ENDS, columns, strict=True)}
            label = row["quantity"].removeprefix(f"{Quantity.PERSON_BY_MESSAGE}: ")
            rows.append(Row(label, (Point.of(cells),), _share_text(row, columns)))
        axis = Panel("Share of the variance of the answers (%)", 0.0)
        blocks.append(Block(rows, (axis,), "Person × message by attribute"))
    level = theme.percent(names.confidence)
    described = ", ".join(f"{PARTS[q][0].lower()} {_share(shares[q])}" for q in parts.index)
    description = (
        f"Parts of the variance: {described}. "
        f"Person × message: {_share_text(person, columns)} ({level} interval)."
    )
    return Drawn(forest(blocks, names, [Key(f"Estimate with {level} interval")]), table, description)


ENDS = ("estimate", "conf_low", "conf_high")


def _share(value: float) -> str:
    return f"{theme.number(100 * float(value), 1)}%" if np.isfinite(value) else "–"


def _share_text(row: Any, columns: Sequence[str]) -> str:
    estimate, low, high = (100 * float(row[column]) for column in columns)
    bounds = theme.interval(low, high, 1)
    return _share(estimate / 100) if bounds == "–" else f"{theme.number(estimate, 1)} {bounds}%"


def calibration(table: pd.DataFrame, diagnostics: pd.DataFrame, names: Names) -> Drawn:
    """Draw what the learner predicts of a person's own taste against what is observed of it.

    Args:
        table: diagnose/calibration.csv, a row a bin of predictions.
        diagnostics: diagnose/diagnostics.csv, for the slope.
        names: labels, goal.
    """
    slope = _row(names.main(diagnostics), Quantity.SLOPE, Estimator.CROSSFIT)
    said = "" if slope is None else _slope_in_words(slope)
    ends = np.array([table["predicted"].min(), table["predicted"].max()])
    shown = table[["predicted", "observed", "conf_low", "conf_high"]].to_numpy(float)
    low, high = np.nanmin(shown), np.nanmax(shown)
    pad = 0.04 * (high - low) or 0.5

    def draw(axes: Any) -> None:
        axes.set_xlim(low - pad, high + pad)
        axes.set_ylim(low - pad, high + pad)
        axes.axhline(0, color=theme.RULE, linewidth=0.6, zorder=0)
        axes.axvline(0, color=theme.RULE, linewidth=0.6, zorder=0)
        axes.plot(ends, ends, color=theme.MUTED, linestyle=DASHED, zorder=1)
        if slope is not None and np.isfinite(slope["estimate"]):
            axes.plot(ends, slope["estimate"] * ends, color=BLUE, zorder=1)
        _error_bars(
            axes, table["predicted"], table["observed"], table["conf_low"], table["conf_high"], linestyle=""
        )

    keys = [
        Key(f"Bin of predictions with {theme.percent(names.confidence)} interval"),
        Key("Calibration slope", "", edge=BLUE, line="-"),
        Key("Perfect: observed = predicted", "", edge=theme.MUTED, line=DASHED),
    ]
    figure = chart(
        draw,
        names,
        keys,
        x=f"Predicted person-specific part ({names.unit})",
        y=f"Observed person-specific part ({names.unit})",
        words=[said, _bin_sizes(table["n"])] if said else [_bin_sizes(table["n"])],
        height=SQUARE,
    )
    return Drawn(figure, table, f"Observed against predicted person-specific parts. {said}".strip())


SQUARE = theme.COLUMN_WIDTH - 0.65  # height of axes that are as wide, beside their labels


def _bin_sizes(sizes: pd.Series) -> str:
    least, most = theme.count(sizes.min()), theme.count(sizes.max())
    return f"n of a bin: {least if least == most else f'{least} to {most}'}."


def _slope_in_words(slope: Any) -> str:
    reading = words.slope_reading(slope["conf_low"], slope["conf_high"])
    return f"Slope {theme.estimate_text(slope, 2)}{f': {reading}' if reading else ''}."


def ladder(table: pd.DataFrame, diagnostics: pd.DataFrame, names: Names) -> Drawn:
    """Draw what each set of covariates and each learner predicts, and what it gains.

    Args:
        table: diagnose/ladder.csv, a row a rung.
        diagnostics: diagnose/diagnostics.csv, for the smallest gain that matters.
        names: labels, goal.
    """
    threshold = threshold_of(names.main(diagnostics))
    margin = NormalDist().inv_cdf(0.975) * table["std_error"]
    drawn = table.assign(low=table["improvement"] - margin, high=table["improvement"] + margin)
    rows = []
    for (_, row), looks_at in zip(drawn.iterrows(), theme.looks_at(table), strict=True):
        rows.append(
            Row(
                f"{row['rung']}: {row['learner']}, {looks_at}",
                (
                    Point.of(row, ("improvement", "low", "high")),
                    Point.of(row, ("slope", "slope_low", "slope_high"), marker="s", fill=SKY),
                    Point.of(row, GAIN, marker="D", fill="white"),
                ),
            )
        )
    panels = (
        Panel("Improvement of the loss", 0.0),
        Panel("Calibration slope (1 is perfect)", 0.0),
        Panel(gain_axis(names), 0.0, threshold),
    )
    level = theme.percent(names.confidence)
    keys = [
        Key("Improvement with 95% interval"),
        Key(f"Slope with {level} interval", "s", SKY),
        Key(f"Gain with {BOUNDS}", "D", "white"),
        *_threshold_keys(threshold),
    ]
    places = theme.decimals_of_bounds(table["gain_low"], table["gain_high"])
    gains = "; ".join(
        f"{rung} {theme.number(gain, places)}"
        for rung, gain in zip(table["rung"], table["gain"], strict=True)
    )
    return Drawn(
        forest([Block(rows, panels)], names, keys),
        table,
        f"Rungs of the ladder, out of sample. Gain over overall-best: {gains}.",
    )


@dataclass(frozen=True)
class Cell:
    """A level in the heat-map; place and size in inches."""

    left: float
    top: float
    width: float
    height: float
    lines: Sequence[str]
    best: bool
    nano: float
    both: float


CELLS = 5  # in one line of the heat-map
CELL_PADDING = 0.05
BEST = "★ "


def switches(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw how often nano gives each level, beside the level of the overall-best petition.

    Args:
        table: diagnose/switches.csv, a row a level.
        names: labels.
    """
    with theme.drawing():
        canvas = Canvas(theme.PAGE_WIDTH, names)
        groups = list(table.groupby("attribute", sort=False))
        label_width = min(1.5, max(theme.text_width(str(name), bold=True) for name, _ in groups))
        left = MARGIN + label_width + GAP
        count = min(CELLS, max(len(levels) for _, levels in groups))
        width = min(1.6, (canvas.width - MARGIN - left) / count)
        labels, cells = [], []
        for name, levels in groups:
            start = canvas.top
            for k in range(0, len(levels), count):
                cells += _cells(canvas, levels.iloc[k : k + count], left, width)
            lines = theme.wrap(str(name), label_width, bold=True)
            labels.append((start + CELL_PADDING, lines))
            canvas.top = max(canvas.top, start + LINE * len(lines) + CELL_PADDING) + 0.05
        keys = [
            Key(f"{BEST.strip()} and frame: level of the overall-best petition", "", "white", box=True),
            Key(
                "Without a number: nano gives it to nobody; –: hidden, of few people",
                "",
                "white",
                theme.RULE,
                box=True,
            ),
            Key("62%: share to whom nano gives the level (the more, the darker)", "", SKY, box=True),
            Key(
                "(54%) and bar: share to whom both halves of the calibration give it",
                "",
                edge=theme.INK,
                line="-",
            ),
        ]
        legend = draw_legend(canvas, keys)
        figure = canvas.figure()
        for start, lines in labels:
            write_lines(figure, MARGIN, start, lines, bold=True)
        for cell in cells:
            _paint_cell(figure, cell)
        paint_legend(figure, legend)
    kept = table[table["overall_best"].astype(bool)].sort_values("share_nano", kind="stable")
    description = f"Levels that nano gives, in {len(groups)} attributes."
    if len(kept):
        attribute, share = kept[["attribute", "share_nano"]].iloc[0]
        description += (
            f" The overall-best level is kept least in {attribute}: "
            f"{theme.whole_percent(share)} of respondents get it."
        )
    return Drawn(figure, table, description)


def _cells(canvas: Canvas, levels: pd.DataFrame, left: float, width: float) -> list[Cell]:
    """Place one line of cells, as high as the longest of their texts asks for."""
    texts = [
        theme.wrap((BEST if best else "") + str(level), width - 2 * CELL_PADDING)
        for level, best in zip(levels["level"], levels["overall_best"], strict=True)
    ]
    height = LINE * (max(map(len, texts)) + 1) + 2 * CELL_PADDING + 0.04
    top = canvas.room(height)
    return [
        Cell(left + k * width, top, width, height, texts[k], bool(best), float(nano), float(both))
        for k, (best, nano, both) in enumerate(
            zip(levels["overall_best"], levels["share_nano"], levels["share_replicated"], strict=True)
        )
    ]


def _paint_cell(figure: Figure, cell: Cell) -> None:
    page, height = figure.get_size_inches()

    def box(left: float, top: float, width: float, tall: float, **style: Any) -> None:
        place = (left / page, 1 - (top + tall) / height)
        figure.add_artist(
            Rectangle(place, width / page, tall / height, transform=figure.transFigure, **style)
        )

    gap = 0.015
    shade = 0.0 if np.isnan(cell.nano) else cell.nano
    box(
        cell.left + gap,
        cell.top + gap,
        cell.width - 2 * gap,
        cell.height - 2 * gap,
        facecolor=[1 - shade * (1 - part) for part in to_rgb(SKY)],
        edgecolor=theme.INK if cell.best else theme.RULE,
        linewidth=1.6 if cell.best else 0.5,
        zorder=2 if cell.best else 1,
    )
    inner = cell.width - 2 * CELL_PADDING
    start = cell.left + CELL_PADDING
    write_lines(figure, start, cell.top + CELL_PADDING, cell.lines)
    bottom = cell.top + cell.height - CELL_PADDING
    if cell.nano == 0 and not cell.both > 0 and not cell.best:
        return  # nobody gets it: an empty cell says so
    both = "" if np.isnan(cell.both) else f" ({theme.whole_percent(cell.both)})"
    write(figure, start, bottom - 0.04 - LINE / 2, theme.whole_percent(cell.nano) + both, bold=True)
    if cell.both > 0:
        box(start, bottom - 0.025, inner * cell.both, 0.025, facecolor=theme.INK, linewidth=0, zorder=3)


def abundance(table: pd.DataFrame, diagnostics: pd.DataFrame, names: Names) -> Drawn:
    """Draw how often nano assigns its petitions, against what it finds where there is nothing.

    Args:
        table: diagnose/abundance.csv; rows of the source `permuted` hold the median and the 5th and
            95th percentile over permutations of the covariates.
        diagnostics: diagnose/diagnostics.csv, for the numbers of petitions.
        names: labels, goal.
    """
    observed, null = (table[table["source"] == source] for source in ("observed", "permuted"))
    ours = names.main(diagnostics)
    said = [
        sentence
        for quantity in (Quantity.DISTINCT_PETITIONS, Quantity.EFFECTIVE_NUMBER)
        for sentence in _against_null(ours, quantity)
    ]
    shares = table[["share", "share_low", "share_high"]].to_numpy(float)
    floor = float(shares[shares > 0].min()) * 0.7

    def draw(axes: Any) -> None:
        axes.fill_between(
            null["rank"],
            null["share_low"].clip(lower=floor),
            null["share_high"].clip(lower=floor),
            facecolor=theme.BAND,
            edgecolor=theme.RULE,
            linewidth=0.6,
            zorder=0,
        )
        axes.plot(null["rank"], null["share"].where(null["share"] > 0), color=theme.MUTED, linestyle=DASHED)
        axes.plot(
            observed["rank"],
            observed["share"],
            color=BLUE,
            marker="o",
            markersize=3.4,
            markeredgecolor=theme.INK,
            markeredgewidth=0.4,
            markevery=spread_over(observed["rank"].to_numpy()) if len(observed) else None,
        )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(0.8, max(10, table["rank"].max() * 1.25))
        axes.set_ylim(floor, 1.5)
        log_counts(axes.xaxis)
        log_counts(axes.yaxis)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: theme.percent(value)))

    keys = [
        Key("Nano", edge=theme.INK, fill=BLUE, line="-"),
        Key("Covariates permuted, median", "", edge=theme.MUTED, line=DASHED),
        band_key("Permuted, 5th to 95th percentile"),
    ]
    figure = chart(
        draw,
        names,
        keys,
        x="Petitions, most assigned first",
        y="Share of respondents",
        words=said,
    )
    described = " ".join(said)
    return Drawn(figure, table, f"Share of respondents by petition, ranked. {described}".strip())


def _against_null(diagnostics: pd.DataFrame, quantity: Quantity) -> list[str]:
    """Say a number of petitions beside its null; without the null it means nothing and is not said."""
    both = (Estimator.OBSERVED, Estimator.PERMUTED)
    observed, null = (_row(diagnostics, quantity, estimator) for estimator in both)
    if observed is None or null is None:
        return []
    places = 0 if quantity == Quantity.DISTINCT_PETITIONS else 1
    return [
        f"{quantity.label}: {theme.number(observed['estimate'], places)}; "
        f"with permuted covariates {theme.estimate_text(null, places)}."
    ]


def frontier(table: pd.DataFrame, diagnostics: pd.DataFrame, names: Names) -> Drawn:
    """Draw what k petitions gain over one, with the gain of nano for reference.

    Args:
        table: diagnose/frontier.csv, a row a number of petitions.
        diagnostics: diagnose/diagnostics.csv, for the gain of nano and the smallest that matters.
        names: labels, goal.
    """
    ours = names.main(diagnostics)
    threshold = threshold_of(ours)
    nano = _decisive(ours)

    def draw(axes: Any) -> None:
        axes.set_xscale("log")
        axes.set_xlim(0.8, max(2, table["k"].max()) * 1.25)
        if nano is not None:
            axes.axhspan(nano["ceiling_low"], nano["ceiling_high"], facecolor=theme.BAND, zorder=0)
            axes.axhline(nano["ceiling"], color=BLUE, linewidth=1.0, zorder=1)
        _gain_lines(axes, threshold)
        _error_bars(axes, table["k"], table["gain"], table["gain_low"], table["gain_high"])
        log_ticks(axes.xaxis, table["k"], [theme.count(k) for k in table["k"]], theme.COLUMN_WIDTH - 0.7)

    keys = [Key(f"k petitions, {BOUNDS}", line="-")]
    if nano is not None:
        keys += [Key("Nano", "", edge=BLUE, line="-"), band_key(f"Nano, {BOUNDS}")]
    figure = chart(
        draw,
        names,
        keys + _threshold_keys(threshold),
        x="Number of petitions k",
        y=gain_axis(names),
    )
    last = table.iloc[-1]
    places = theme.decimals_of_bounds(table["gain_low"], table["gain_high"])
    description = (
        f"Gain over one petition for all by number of petitions: "
        f"{theme.number(last['gain'], places)} with {theme.count(last['k'])} petitions"
    )
    description += "." if nano is None else f", {theme.number(nano['ceiling'], places)} with nano."
    return Drawn(figure, table, description)


def learning(table: pd.DataFrame, diagnostics: pd.DataFrame, names: Names) -> Drawn:
    """Draw the gain against the number of calibration respondents, measured and extrapolated.

    Args:
        table: diagnose/learning_curve.csv; an extrapolated row without n stands for endlessly many.
        diagnostics: diagnose/diagnostics.csv, for the smallest gain that matters.
        names: labels, goal.
    """
    threshold = threshold_of(names.main(diagnostics))
    largest = float(table["n"].max())
    places = table.assign(place=table["n"].fillna(2 * largest))
    measured = places[places["kind"] == "measured"]
    guessed = places[places["kind"] == "extrapolated"]
    dashed = pd.concat([measured.tail(1), guessed.dropna(subset="n")])

    def draw(axes: Any) -> None:
        axes.set_xscale("log")
        axes.set_xlim(places["place"].min() / 1.2, places["place"].max() * 1.2)
        _gain_lines(axes, threshold)
        axes.plot(dashed["place"], dashed["gain"], color=theme.MUTED, linestyle=DASHED, zorder=1)
        bounds = ("place", "gain", "conf_low", "conf_high")
        _error_bars(axes, *(measured[c] for c in bounds))
        style = {"marker": "D", "markerfacecolor": "white", "markeredgecolor": theme.MUTED, "linestyle": ""}
        _error_bars(axes, *(guessed[c] for c in bounds), **style)
        order = [*measured["place"][::-1], *guessed["place"][::-1]]
        order = [order[0], *order[len(measured) :], *order[1 : len(measured)]]
        labels = ["∞" if tick > largest else theme.count(tick) for tick in order]
        log_ticks(axes.xaxis, order, labels, theme.COLUMN_WIDTH - 0.7)

    level = theme.percent(names.confidence)
    keys = [
        Key(f"Measured with {level} interval", line="-"),
        Key("Extrapolated", "D", "white", theme.MUTED, line=DASHED),
        *_threshold_keys(threshold),
    ]
    figure = chart(
        draw,
        names,
        keys,
        x="Calibration respondents (logarithmic)",
        y=gain_axis(names),
    )
    now = measured.iloc[-1]
    description = (
        f"Gain by number of calibration respondents: with the {theme.count(now['n'])} of this study "
        f"{theme.estimate_text({**now, 'estimate': now['gain']}, theme.decimals(measured['std_error']))}."
    )
    limit = guessed[guessed["n"].isna()]
    if len(limit):
        description += f" Extrapolated to endlessly many: {theme.number(limit['gain'].iloc[0])}."
    return Drawn(figure, table, description)


DIVIDENDS = dict(zip(GAINS, (BLUE, ORANGE, SKY, "white"), strict=True))


def dividend(diagnostics: pd.DataFrame, names: Names) -> Drawn:
    """Draw the value of policies against each other: honest estimates and the plug-in.

    Args:
        diagnostics: diagnose/diagnostics.csv; rows of the diagnostic `dividend` are used. A grey band
            ends at the smallest gain that matters.
        names: labels, goal.
    """
    ours = names.main(diagnostics)
    smallest = threshold_of(ours) or 0.0
    table = dividend_rows(diagnostics, names)
    markers = dict(zip(DIVIDENDS, theme.MARKERS, strict=False))
    blocks = []
    for quantity, group in table.groupby("quantity", sort=False):
        places = theme.decimals(group["std_error"])
        targeted = quantity == Quantity.GAIN and smallest > 0
        rows = [
            Row(
                theme.ESTIMATORS[row["estimator"]],
                (Point.of(row, marker=markers[row["estimator"]], fill=DIVIDENDS[row["estimator"]]),),
                theme.estimate_text(row, places),
                band=(0.0, smallest) if targeted else None,
            )
            for _, row in group.iterrows()
        ]
        blocks.append(
            Block(rows, (Panel("Difference in value", 0.0),), theme.difference(str(quantity), theme.POLICIES))
        )
    blocks[-1] = Block(
        blocks[-1].rows, (Panel(f"Difference in value; {names.of(names.analysed)}", 0.0),), blocks[-1].title
    )
    keys = [band_key(f"Gain below the smallest that matters ({smallest:g})")] if smallest > 0 else []
    gain = _decisive(table)
    level = theme.percent(names.confidence)
    description = f"Differences in value between targeting policies with {level} intervals."
    if gain is not None:
        description += f" Nano minus overall-best, doubly robust: {theme.estimate_text(gain, 3)}."
    return Drawn(forest(blocks, names, keys), table, description)
