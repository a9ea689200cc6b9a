"""Participants: who was there at which stage, of both samples and of the experiment after CONSORT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from nanotarget.clean.flow import EVERYBODY, OBSERVED
from nanotarget.report import theme
from nanotarget.report.figures.page import GAP, MARGIN, Canvas, Drawn, write_lines
from nanotarget.report.theme import LINE, TEXT_SIZE, Names

ABREAST = 4  # arms in a line


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
# The boxes of an arm from the top down: heading and texts.
Column = Sequence[tuple[str, Sequence[str]]]


def flow(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw who was recorded, excluded in order, and kept by arm, in both samples.

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
            everyone = rows[(rows["arm"] == EVERYBODY) & (rows["step"] != OBSERVED)]
            first, last = everyone["n_before"].iloc[0], everyone["n_after"].iloc[-1]
            applied = everyone[everyone["rule"].notna()]  # the first row only counts who was recorded
            reasons = dict(zip(applied["step"], applied["n_excluded"], strict=True))
            _trunk(canvas, ("Recorded", first), ("Kept", last), reasons, boxes, lines)
            arms = rows[rows["arm"] != EVERYBODY]
            ordered = [arm for arm in names.arms if (arms["arm"] == arm).any()]  # not those in no arm
            _arms(canvas, [[(arm, _kept(arms[arms["arm"] == arm]))] for arm in ordered], boxes, lines)
            canvas.room(0.12)
            sentences.append(f"{sample}: recorded {theme.people(first)}, kept {theme.people(last)}")
        figure = canvas.figure()
        for place, title in titles:
            write_lines(figure, MARGIN, place, [title], bold=True, size=TEXT_SIZE + 1)
        _paint(figure, boxes, lines)
    return Drawn(figure, table, f"Participant flow. {'; '.join(sentences).capitalize()}.")


def _kept(rows: pd.DataFrame) -> list[str]:
    """Say who of an arm was recorded, excluded, kept and observed."""
    steps, last = rows[rows["step"] != OBSERVED], rows[rows["step"] == OBSERVED]
    before, after = steps["n_before"].iloc[0], steps["n_after"].iloc[-1]
    texts = [f"Recorded: {theme.people(before)}", f"Excluded: {theme.people(before - after)}"]
    texts.append(f"Kept: {_n(after)}")
    if len(last):
        texts.append(f"Outcome missing: {theme.people(last['n_excluded'].iloc[0])}")
        texts.append(f"Outcome observed: {_n(last['n_after'].iloc[0])}")
    return texts


def _n(value: float) -> str:
    """Say how many people there are."""
    return theme.HIDDEN if pd.isna(value) else f"n = {theme.people(value)}"


def participants(table: pd.DataFrame, names: Names) -> Drawn:
    """Draw the flow of the experiment's participants after CONSORT 2010.

    Args:
        table: estimate/participants.csv.
        names: labels and the arms in their order.
    """
    texts = ["outcome", "reason"]
    rows = table.assign(**table[texts].astype("object").fillna(""))
    everybody = rows[rows["arm"] == EVERYBODY]
    counts = {
        stage: everybody.loc[everybody["stage"] == stage, "n"].iloc[0] for stage in ("assessed", "randomised")
    }
    excluded = everybody[everybody["stage"] == "excluded"]
    reasons = dict(zip(excluded["reason"], excluded["n"], strict=True))
    armless = counts["assessed"] - counts["randomised"] - sum(reasons.values())
    if pd.notna(armless) and armless:
        reasons["In no arm"] = armless
    canvas = Canvas(theme.PAGE_WIDTH, names)
    boxes: list[Box] = []
    lines: list[Segment] = []
    with theme.drawing():
        ends = ("Assessed", counts["assessed"]), ("Randomised", counts["randomised"])
        _trunk(canvas, *ends, reasons, boxes, lines)
        ordered = [arm for arm in names.arms if (rows["arm"] == arm).any()]
        _arms(canvas, [list(_stages(arm, rows[rows["arm"] == arm], names)) for arm in ordered], boxes, lines)
        figure = canvas.figure()
        _paint(figure, boxes, lines)
    sizes = rows[(rows["stage"] == "randomised") & rows["arm"].isin(names.arms)]
    by_arm = ", ".join(f"{arm} {theme.people(n)}" for arm, n in zip(sizes["arm"], sizes["n"], strict=True))
    description = (
        f"Participants of the experiment: assessed {theme.people(counts['assessed'])}, "
        f"randomised {theme.people(counts['randomised'])} ({by_arm})."
    )
    return Drawn(figure, table, description)


def _stages(arm: str, rows: pd.DataFrame, names: Names) -> Iterator[tuple[str, list[str]]]:
    """Yield an arm's boxes: allocation, follow-up, analysis."""

    def counted(stage: str) -> Iterator[tuple[str, str, str]]:
        found = rows[rows["stage"] == stage]
        for outcome, reason, n in zip(found["outcome"], found["reason"], found["n"], strict=True):
            yield names.of(outcome), reason, theme.people(n)

    yield (
        arm,
        [
            *(f"Randomised: {n}" for _, _, n in counted("randomised")),
            *(f"Received: {n}" for _, _, n in counted("received")),
            *(f"{reason.capitalize()}: {n}" for _, reason, n in counted("not received")),
        ],
    )
    missing = [f"{outcome}: {n}" for outcome, _, n in counted("not completed")]
    failed = [f"After treatment: {n}" for _, _, n in counted("failed check")]
    analysed = [f"{outcome}: {n}" for outcome, _, n in counted("analysed")]
    boxes = ("Outcome missing", missing), ("Failed a check (kept)", failed), ("Analysed", analysed)
    yield from ((title, texts) for title, texts in boxes if texts)


def _box(canvas: Canvas, left: float, width: float, heading: Sequence[str], lines: Sequence[str]) -> Box:
    height = LINE * (len(heading) + len(lines)) + 2 * PADDING
    return Box(left, canvas.room(height), width, height, heading, lines)


def _wrapped(texts: Sequence[str], width: float) -> list[str]:
    """Break texts into the lines of a box; what continues a text is indented."""
    lines = []
    for text in texts:
        first, *others = theme.wrap(text, width - 2 * PADDING - 0.1)
        lines += [first, *(f"   {line}" for line in others)]
    return lines


def _trunk(
    canvas: Canvas,
    before: tuple[str, float],
    after: tuple[str, float],
    reasons: Mapping[str, float],
    boxes: list[Box],
    lines: list[Segment],
) -> None:
    """Place who was there before, who was excluded and who was left below each other."""
    width = (canvas.width - 2 * MARGIN - 2 * GAP) / 3  # as wide as one of three arms
    side = canvas.width - 2 * MARGIN - width - 0.5
    top = _box(canvas, MARGIN, width, [before[0]], [_n(before[1])])
    canvas.room(0.1)
    excluded = _box(
        canvas,
        canvas.width - MARGIN - side,
        side,
        [f"Excluded: {_n(before[1] - after[1])}"],
        _wrapped([f"{reason}: {theme.people(n)}" for reason, n in reasons.items()], side),
    )
    canvas.room(0.1)
    bottom = _box(canvas, MARGIN, width, [after[0]], [_n(after[1])])
    middle = excluded.top + excluded.height / 2
    lines += [
        (top.centre, top.bottom, bottom.centre, bottom.top),
        (bottom.centre, middle, excluded.left, middle),
    ]
    boxes += [top, excluded, bottom]


def _arms(canvas: Canvas, columns: Sequence[Column], boxes: list[Box], lines: list[Segment]) -> None:
    """Place the boxes of each arm below each other and below the trunk, at most four arms in a line."""
    trunk = boxes[-1]
    first: float | None = None
    for row in (columns[k : k + ABREAST] for k in range(0, len(columns), ABREAST)):
        width = (canvas.width - 2 * MARGIN - GAP * (len(row) - 1)) / len(row)
        branch = canvas.room(0.3) + 0.15
        above: list[Box] = []
        for stage in range(len(row[0])):
            top = bottom = canvas.top
            made = []
            for k, column in enumerate(row):
                canvas.top = top
                title, texts = column[stage]
                heading = theme.wrap(title, width - 2 * PADDING, bold=True)
                left = MARGIN + k * (width + GAP)
                made.append(_box(canvas, left, width, heading, _wrapped(texts, width)))
                bottom = max(bottom, canvas.top)
            lines += [(a.centre, a.bottom, b.centre, b.top) for a, b in zip(above, made, strict=False)]
            if not stage:
                # Further lines of arms are reached along the margin, where no box is in the way.
                root = MARGIN / 2 if first is not None else trunk.centre
                if first is None:
                    first = branch
                    lines.append((root, trunk.bottom, root, branch))
                else:
                    lines += [(root, first, trunk.centre, first), (root, first, root, branch)]
                centres = [root, *(box.centre for box in made)]
                lines.append((min(centres), branch, max(centres), branch))
                lines += [(box.centre, branch, box.centre, box.top) for box in made]
            boxes += made
            above = made
            canvas.top = bottom + 0.12
        canvas.top -= 0.12


def _paint(figure: Figure, boxes: Sequence[Box], lines: Sequence[Segment]) -> None:
    """Draw the boxes over the lines between them."""
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
