"""Counts of people in all tables that say who was there: what ties them, and which of them are hidden.

A count has a name (`Cell`) that says whom it counts, in whatever table it stands, so that what is hidden in
one table is hidden in all. How many people answered an outcome is the n of its estimates, and stays; where
few of an arm did not answer, it is the size of the arm that is hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nanotarget.clean.flow import EVERYBODY, OBSERVED
from nanotarget.clean.quality import LEVELS
from nanotarget.study.disclosure import concealed, small

Cell = tuple[str, ...]
Cells = Mapping[
    str, Sequence[Cell | None]
]  # column of a table -> whom each of its rows counts; None: no matter
TRIAL = "experiment"
RECORDED, KEPT = "recorded", "kept"
LARGE = 1e9  # what hiding the size of an arm costs beside hiding who left before
# What became of those who were randomised; the parts of each list make the whole arm.
REACHED = ("received", "delivery failed", "delivery not logged")
ANSWERED = ("answered", "missing")


def there(sample: str, arm: str, step: str = KEPT) -> Cell:
    """Name the people of a sample and arm who are there after a step."""
    return "there", sample, arm, step


def left(sample: str, arm: str, step: str) -> Cell:
    """Name the people of a sample and arm who leave at a step."""
    return "left", sample, arm, step


def became(what: str, arm: str, outcome: str = "") -> Cell:
    """Name the people of an arm of whom something became after they were randomised."""
    return what, TRIAL, arm, outcome


def step_name(step: object, rule: object) -> str:
    """Return a step with its rule, as tables of participants name it."""
    return f"{step} ({rule})" if isinstance(rule, str) and rule else str(step)


@dataclass(frozen=True)
class Headcount:
    """Counts by whom they count (NaN where no table gives one), and the sums that tie them."""

    counts: dict[Cell, float] = field(default_factory=dict)
    steps: list[tuple[Cell, list[Cell]]] = field(default_factory=list)

    def take(self, table: pd.DataFrame, cells: Cells) -> None:
        """Take the counts of a table; of a cell that several tables have, the first number."""
        for column, names in cells.items():
            for name, n in zip(names, table[column].astype("float64"), strict=True):
                if name is not None and np.isnan(self.counts.get(name, np.nan)):
                    self.counts[name] = float(n)

    def take_flow(self, flow: pd.DataFrame) -> None:
        """Take the counts of the participant flow: of each step, and of all arms together, the parts."""
        cells = cells_of_flow(flow)
        self.take(flow, cells)
        rows = list(zip(*cells.values(), strict=True))
        self.steps.extend((before, [gone, after]) for before, gone, after in rows if before != after)
        for places in flow.groupby(["sample", "step"], sort=False).indices.values():
            whole = flow["arm"].to_numpy()[places] == EVERYBODY
            if len(places) > 1 and whole.any():
                for names in zip(*(rows[i] for i in (*places[whole], *places[~whole])), strict=True):
                    self.steps.append((names[0], list(names[1:])))

    def take_answers(self, experiment: pd.DataFrame, outcomes: Sequence[str]) -> None:
        """Count what became of those who were randomised (as in `contracts.experiment`)."""
        arms = {str(arm): own for arm, own in experiment.groupby("arm", observed=False, sort=False)}
        for arm, own in {EVERYBODY: experiment, **arms}.items():
            self.counts[there(TRIAL, arm)] = len(own)
            for outcome in outcomes:
                missing = int(own[outcome].isna().sum())
                self.counts[became("answered", arm, outcome)] = len(own) - missing
                self.counts[became("missing", arm, outcome)] = missing
            if experiment["delivered"].notna().any():
                received, unknown = int(own["delivered"].sum()), int(own["delivered"].isna().sum())
                for what, n in zip(REACHED, (received, len(own) - received - unknown, unknown), strict=True):
                    self.counts[became(what, arm)] = n
            if experiment["passed"].notna().any():
                self.counts[became("failed check", arm)] = int((~own["passed"].fillna(True)).sum())

    @property
    def sums(self) -> list[tuple[Cell, list[Cell]]]:
        """Totals and the parts that make them."""
        found = list(self.steps)
        arms: dict[tuple[str, str], list[str]] = {}
        for what, _, arm, outcome in self.counts:
            if what not in ("there", "left"):
                arms.setdefault((what, outcome), []).append(arm)
            if what in (ANSWERED[0], REACHED[0]):
                parts = [became(other, arm, outcome) for other in (ANSWERED if outcome else REACHED)]
                found.append((there(TRIAL, arm), parts))
        for (what, outcome), names in arms.items():
            parts = [became(what, arm, outcome) for arm in names if arm != EVERYBODY]
            found += [(became(what, EVERYBODY, outcome), parts)] if parts else []
        return [(total, parts) for total, parts in found if {total, *parts} <= self.counts.keys()]


def hidden_heads(
    flow: pd.DataFrame, experiment: pd.DataFrame | None, outcomes: Sequence[str], min_cell: int
) -> set[Cell]:
    """Choose which counts of people are hidden in every table.

    Args:
        flow: of all samples, exact.
        experiment: who was randomised, if there is an experiment.
        outcomes: of the experiment.
        min_cell: smallest count that is published.
    """
    heads = Headcount()
    heads.take_flow(flow)
    if experiment is not None:
        heads.take_answers(experiment, outcomes)
    cost = dict[Cell, float]()
    for cell, n in heads.counts.items():
        what, sample, _, step = cell
        if what == "answered":
            cost[cell] = np.inf
        elif what == "there" and step == KEPT:
            cost[cell] = n + LARGE if sample == TRIAL and outcomes else np.inf
    return concealed(heads.counts, heads.sums, min_cell, cost)  # type: ignore[arg-type, return-value]


def cells_of_flow(flow: pd.DataFrame) -> Cells:
    """Say whom the participant flow counts (`flow.FLOW_COLUMNS`).

    Those who are there before and after a step that excludes nobody are the same.
    """
    found: dict[str, dict[int, Cell]] = {"n_before": {}, "n_excluded": {}, "n_after": {}}
    for (sample, arm), rows in flow.reset_index(drop=True).groupby(["sample", "arm"], sort=False):
        steps = rows[rows["step"] != OBSERVED]
        names = [step_name(step, rule) for step, rule in zip(steps["step"], steps["rule"], strict=True)]
        changes = [k for k, n in enumerate(steps["n_excluded"]) if n != 0]
        stages = [there(sample, arm, step) for step in (RECORDED, *(names[k] for k in changes[:-1]), KEPT)]
        stages = stages if changes else [there(sample, arm)] * 2
        for k, (i, name) in enumerate(zip(steps.index, names, strict=True)):
            before = sum(change < k for change in changes)
            found["n_before"][i] = stages[before]
            found["n_after"][i] = stages[before + (k in changes)]
            found["n_excluded"][i] = left(sample, arm, name)
        for i, rule in rows.loc[rows["step"] == OBSERVED, "rule"].items():
            outcome = str(rule).removesuffix(" is missing")
            found["n_before"][i] = there(sample, arm)
            found["n_excluded"][i] = became("missing", arm, outcome)
            found["n_after"][i] = became("answered", arm, outcome)
    return {column: [cells[i] for i in range(len(flow))] for column, cells in found.items()}


def cells_of_quality(quality: pd.DataFrame) -> Cells:
    """Say whom the quality checks count that other tables count, too."""

    def cell(sample: str, check: str, item: str, level: str) -> Cell | None:
        if sample != TRIAL or check not in ("arm", "missing"):
            return None
        return there(TRIAL, level) if check == "arm" else became("missing", EVERYBODY, item)

    rows = quality[["sample", "check", "item", "level"]].astype("object").fillna("").astype("str")
    return {"n": [cell(*row) for row in rows.itertuples(index=False, name=None)]}


def blanked(table: pd.DataFrame, cells: Cells, hidden: set[Cell]) -> pd.DataFrame:
    """Take hidden counts from a table, whose columns of counts become whole numbers that may be missing."""
    return table.assign(
        **{
            column: table[column]
            .astype("Int64")
            .mask(np.array([name in hidden for name in names], dtype=bool))
            for column, names in cells.items()
        }
    )


def published_flow(flow: pd.DataFrame, hidden: set[Cell]) -> pd.DataFrame:
    """Take hidden counts from the participant flow."""
    return blanked(flow, cells_of_flow(flow), hidden)


def published_quality(quality: pd.DataFrame, hidden: set[Cell], min_cell: int) -> pd.DataFrame:
    """Take from the quality checks what counts few people, or all but few.

    With the count go the share that tells it and what was computed from so few. Counts of profiles that show
    a level say nothing of people, and stay.
    """
    table = blanked(quality, cells_of_quality(quality), hidden)
    n, share = quality["n"].to_numpy(np.float64), quality["share"].to_numpy(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        others = np.where(share > 0, n / share - n, 0)
    of_people = (quality["check"] != LEVELS).to_numpy()
    few = of_people & (small(n, min_cell) | small(np.nan_to_num(others), min_cell))
    gone = few | table["n"].isna().to_numpy()
    table["n"] = table["n"].mask(gone)
    table.loc[gone, ["share", "statistic"]] = np.nan
    return table
