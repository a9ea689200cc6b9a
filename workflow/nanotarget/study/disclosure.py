"""What a published table tells about few people: rules of output checking, and bounds on what was hidden.

Threshold, degrees of freedom, dominance and p-ratio are those of ACRO (Green, Ritchie & Smith 2021), with its
defaults; bounds of hidden cells follow from all sums that are published (Fischetti & Salazar 2001).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
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
    found = dict[Hashable, Bounds]()
    for system in _systems(list(sums), published):
        found |= {cell: system.bounds(cell) for cell in system.hidden}
    return found


def concealed(
    counts: Mapping[Hashable, float], sums: Sequence[Sum], threshold: int, cost: Mapping[Hashable, float]
) -> set[Hashable]:
    """Choose which counts are hidden, so that no small one is published or told by those that are.

    The small ones are hidden; then, as long as one that is hidden is told, the cheapest count that keeps it
    from being told, of its own sums if there is one. In the end what need not have been hidden comes back.

    Args:
        counts: every count of the tables that are published together, by cell.
        sums: what ties them: totals and their parts.
        threshold: smallest count that may be published.
        cost: what hiding a cell costs, the count itself if absent; infinite: it stays, whatever it tells.
    """
    price = {cell: cost.get(cell, n) for cell, n in counts.items()}
    small_ones = {cell for cell, n in counts.items() if 0 < n < threshold and np.isfinite(price[cell])}
    free = sorted((c for c, n in counts.items() if n > 0 and np.isfinite(price[c])), key=price.__getitem__)
    hidden = set(small_ones)

    def systems(out: set[Hashable]) -> list[_System]:
        return list(_systems(sums, {cell: n for cell, n in counts.items() if cell not in out}))

    def told(out: set[Hashable], settled: set[Hashable]) -> Iterator[tuple[Hashable, Bounds]]:
        for system in systems(out):
            yield from system.told(threshold, settled)

    def helps(cell: Hashable, others: Collection[Hashable]) -> bool:
        own = next(system for system in systems(hidden | {*others}) if cell in system.hidden)
        return not own.bounds(cell).told(threshold)

    settled, given_up = set[Hashable](), set[Hashable]()  # hiding more never tells more: a safe cell stays so
    while first := next(told(hidden, settled), None):
        cell = first[0]
        own = {c for total, parts in sums if cell in (total, *parts) for c in (total, *parts)}
        others = sorted((c for c in free if c not in hidden), key=lambda c: (c not in own, price[c]))
        if helps(cell, others):
            hidden.add(next((c for c in others if helps(cell, [c])), others[0]))
        else:
            given_up.add(cell)
            settled.add(cell)

    def harmless(out: set[Hashable]) -> bool:
        """Say whether nothing but large counts is told, and these to the last: they need not be hidden."""
        found = told(out, set(given_up))
        return all(cell not in small_ones and ends.low == ends.high for cell, ends in found)

    while back := next(
        (c for c in reversed(free) if c in hidden - small_ones and harmless(hidden - {c})), None
    ):
        hidden.remove(back)
    return hidden


@dataclass(frozen=True)
class _System:
    """Equations of hidden counts: left @ counts = right."""

    hidden: list[Hashable]
    left: np.ndarray
    right: np.ndarray

    def bounds(self, cell: Hashable) -> Bounds:
        """Bound a hidden count by linear programming."""
        low, high = (self._end(self.hidden.index(cell), sign) for sign in (1, -1))
        return _between(low[0], high[0])

    def told(self, threshold: int, safe: set[Hashable]) -> Iterator[tuple[Hashable, Bounds]]:
        """Yield the hidden cells that are told; those in `safe` are not looked at, and others join them.

        Counts found for one cell bound those of the others, too.
        """
        least, most = np.full(len(self.hidden), np.inf), np.full(len(self.hidden), -np.inf)
        for k, cell in enumerate(self.hidden):
            if cell in safe or most[k] - least[k] >= threshold + 1:
                continue
            ends = [self._end(k, sign) for sign in (1, -1)]
            for _, solution in ends:
                if solution is not None:
                    least, most = np.minimum(least, solution), np.maximum(most, solution)
            found = _between(ends[0][0], ends[1][0])
            if found.told(threshold) and found.high > 0:
                yield cell, found
            else:
                safe.add(cell)

    def _end(self, k: int, sign: int) -> tuple[float, np.ndarray | None]:
        """Return the least (sign 1) or largest (-1) value of a count, and counts with which it has it."""
        from scipy.optimize import linprog

        goal = np.zeros(len(self.hidden))
        goal[k] = sign
        end = linprog(goal, A_eq=self.left, b_eq=self.right, method="highs")
        if end.status == 0:
            return sign * end.fun, end.x
        return (-sign * np.inf if end.status == 3 else np.nan), None


def _between(low: float, high: float) -> Bounds:
    return Bounds(np.ceil(low - 1e-6), np.floor(high + 1e-6))


def _systems(sums: Sequence[Sum], published: Mapping[Hashable, float]) -> Iterator[_System]:
    """Yield the equations of every set of hidden cells that sums connect."""
    for part, equations in _connected(sums, published):
        place = {cell: k for k, cell in enumerate(part)}
        left, right = np.zeros((len(equations), len(part))), np.zeros(len(equations))
        for i, (total, parts) in enumerate(equations):
            for cell, sign in ((total, 1.0), *((cell, -1.0) for cell in parts)):
                if cell in published:
                    right[i] -= sign * published[cell]
                else:
                    left[i, place[cell]] += sign
        yield _System(part, left, right)


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
