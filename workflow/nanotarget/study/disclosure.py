"""What a published table tells about few people: rules of output checking, and bounds on what was hidden.

Threshold, degrees of freedom, dominance and p-ratio are those of ACRO (Green, Ritchie & Smith 2021), with its
defaults; bounds of hidden cells follow from all sums that are published (Fischetti & Salazar 2001).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

LEAST_DF = 10
LARGEST, SHARE_OF_LARGEST = 2, 0.9  # no n contributors make more than a share k of a total
P_RATIO = 0.1  # what the others contribute, over what the largest does


def small(counts: np.ndarray, threshold: int) -> np.ndarray:
    """Say which counts of people are too small to be published: above 0 and below the threshold."""
    people = np.round(np.asarray(counts, dtype=np.float64))
    return np.asarray((people > 0) & (people < threshold))


def hidden_cells(counts: np.ndarray, threshold: int) -> np.ndarray:
    """Say which parts of totals must be hidden: the small ones, and others that keep them from being told.

    The next smallest parts are hidden, too, until two are and the hidden ones together have as many people as
    the threshold in every column: otherwise the total tells them.

    Args:
        counts: (parts, columns) people; a part is hidden in all columns.
        threshold: smallest count that may be published.
    """
    hidden = np.asarray(small(counts, threshold).any(axis=1))
    others = np.argsort(np.where(counts.sum(axis=1) > 0, counts.sum(axis=1), np.inf), kind="stable")
    for part in others:
        if hidden.any() and (hidden.sum() < 2 or small(counts[hidden].sum(axis=0), threshold).any()):
            hidden[part] = True
    return hidden


def hidden_in_table(counts: np.ndarray, threshold: int) -> np.ndarray:
    """Say which cells of a table of two groupings must be hidden, if sizes of all groups are published.

    The small ones, and more until no hidden count is told by the sums of rows and columns.

    Args:
        counts: (rows, columns, arms) people; a cell is hidden in all arms.
        threshold: smallest count that may be published.
    """
    hidden = np.asarray(small(counts, threshold).any(axis=2))
    size = np.where(counts.sum(axis=2) > 0, counts.sum(axis=2), np.inf)
    while told := _told_by_sums(counts, hidden, threshold):
        for row, column in told:
            for line in (np.s_[row, :], np.s_[:, column]):
                free = np.where(hidden[line], np.inf, size[line])
                hidden[line] |= (np.arange(len(free)) == free.argmin()) & np.isfinite(free)
        if hidden[np.isfinite(size)].all():
            break
    return hidden


def _told_by_sums(counts: np.ndarray, hidden: np.ndarray, threshold: int) -> list[tuple[int, int]]:
    """Return the hidden cells (row, column) that the sums of any arm tell."""
    told = dict[tuple[int, int], None]()
    rows, columns, arms = counts.shape
    for arm in range(arms):
        own = counts[:, :, arm]
        published: dict[Hashable, float] = {("row", i): n for i, n in enumerate(own.sum(axis=1))}
        published |= {("column", j): n for j, n in enumerate(own.sum(axis=0))}
        published |= {(i, j): own[i, j] for i, j in np.argwhere(~hidden).tolist()}
        sums: list[Sum] = [(("row", i), [(i, j) for j in range(columns)]) for i in range(rows)]
        sums += [(("column", j), [(i, j) for i in range(rows)]) for j in range(columns)]
        for cell, found in bounds(published, sums).items():
            if found.told(threshold) and found.high > 0:
                told[cell] = None  # type: ignore[index]
    return list(told)


def without_small_shares(
    table: pd.DataFrame, by: Sequence[str], shares: Sequence[str], n: int, threshold: int
) -> pd.DataFrame:
    """Take from a table the shares of people that are too small, and those that would tell them.

    Args:
        table: rows are parts of totals of `n` people.
        by: columns that say which rows make one total.
        shares: columns of shares of `n`; the first sums to 1, others are parts of it.
        n: people of a total.
        threshold: smallest count that may be published.
    """
    table = table.copy()
    counts = table[list(shares)].to_numpy(np.float64) * n
    for rows in table.groupby(list(by), sort=False).indices.values():
        hidden = rows[hidden_cells(counts[rows][:, :1], threshold)]
        table.loc[table.index[hidden], list(shares)] = np.nan
    for k, share in enumerate(shares[1:], 1):
        table.loc[small(counts[:, k], threshold), share] = np.nan
    return table


def dominated(values: np.ndarray) -> bool:
    """Say whether few people make nearly all of a total (the (n, k) rule); values are not negative."""
    ordered = np.sort(np.abs(values))[::-1]
    return bool(ordered.sum() > 0 and ordered[:LARGEST].sum() > SHARE_OF_LARGEST * ordered.sum())


def telling(values: np.ndarray) -> bool:
    """Say whether the second largest contributor of a total could tell the largest within P_RATIO of it."""
    ordered = np.sort(np.abs(values))[::-1]
    return bool(len(ordered) and ordered[0] > 0 and ordered[2:].sum() < P_RATIO * ordered[0])


Sum = tuple[Hashable, Sequence[Hashable]]  # a total, and the parts that make it


@dataclass(frozen=True)
class Bounds:
    """Within which whole numbers a hidden count must lie, from everything that is published."""

    low: float
    high: float

    def told(self, threshold: int) -> bool:
        """Say whether the count is known to within less than the threshold."""
        return self.high - self.low < threshold


def bounds(published: Mapping[Hashable, float], sums: Iterable[Sum]) -> dict[Hashable, Bounds]:
    """Bound every hidden count by linear programming.

    Args:
        published: count by cell; what is not here is hidden.
        sums: totals and their parts, over all tables that are linked.

    Returns:
        The bounds of every hidden cell that a sum names. Cells that cannot agree with any counts are NaN.
    """
    from scipy.optimize import linprog

    sums = list(sums)
    named = dict.fromkeys(cell for total, parts in sums for cell in (total, *parts))
    hidden = [cell for cell in named if cell not in published]
    found = dict[Hashable, Bounds]()
    for part, equations in _connected(sums, published):
        place = {cell: k for k, cell in enumerate(part)}
        left, right = np.zeros((len(equations), len(part))), np.zeros(len(equations))
        for i, (total, parts) in enumerate(equations):
            for cell, sign in ((total, 1.0), *((cell, -1.0) for cell in parts)):
                if cell in published:
                    right[i] -= sign * published[cell]
                else:
                    left[i, place[cell]] += sign
        for cell in part:
            goal = np.zeros(len(part))
            goal[place[cell]] = 1
            ends = [linprog(s * goal, A_eq=left, b_eq=right, method="highs") for s in (1, -1)]
            low, high = (_value(end, s) for end, s in zip(ends, (1, -1), strict=True))
            found[cell] = Bounds(np.ceil(low - 1e-6), np.floor(high + 1e-6))
    return {cell: found[cell] for cell in hidden}


def _value(end: object, sign: int) -> float:
    status = end.status  # type: ignore[attr-defined]
    return sign * end.fun if status == 0 else (np.inf if status == 3 else np.nan)  # type: ignore[attr-defined]


def _connected(
    sums: Sequence[Sum], published: Mapping[Hashable, float]
) -> list[tuple[list[Hashable], list[Sum]]]:
    """Divide sums into those that share hidden cells, directly or not: (hidden cells, sums)."""
    groups: list[tuple[list[Hashable], list[Sum]]] = []
    for total, parts in sums:
        own = [cell for cell in dict.fromkeys((total, *parts)) if cell not in published]
        if not own:
            continue
        joined = [group for group in groups if set(group[0]) & set(own)]
        groups = [group for group in groups if group not in joined]
        cells = dict.fromkeys([*(cell for group in joined for cell in group[0]), *own])
        groups.append((list(cells), [*(s for group in joined for s in group[1]), (total, parts)]))
    return groups


def k_anonymity(rows: pd.DataFrame, known: Sequence[str]) -> int:
    """Return the size of the smallest group of people alike in what may be known of them; 0 of nobody."""
    return int(rows.groupby(list(known), dropna=False, observed=True).size().min()) if len(rows) else 0


def l_diversity(rows: pd.DataFrame, known: Sequence[str], sensitive: str) -> int:
    """Return how many different sensitive values the least diverse of these groups has; 0 of nobody."""
    if not len(rows):
        return 0
    return int(rows.groupby(list(known), dropna=False, observed=True)[sensitive].nunique(dropna=False).min())
