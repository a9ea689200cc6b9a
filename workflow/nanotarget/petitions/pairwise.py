"""Everybody's best petition where attributes interact in pairs, for everybody alike.

u_i(p) = sum_a u_ia(p_a) + sum_{a < b} T_ab[p_a, p_b],  T the same for all.

The grid need not be searched. Attributes are given their levels one after the other (branch and bound: Land &
Doig 1960), for many respondents side by side, and only those beginnings are pursued that can still reach the
best petition known. Of attributes b and c without a level a pair adds at most
    (max_l T_bc[p_b, l] + max_l T_bc[l, p_c]) / 2,
so that a beginning's bound separates by attribute. The petition known is one that hardly a change of a single
attribute improves. Where interactions are small beside what people differ in, few beginnings a respondent are
left, instead of the thousands of petitions of the grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

SWEEPS = 3  # over all attributes, to find a good petition first
AT_ONCE = 2_000  # respondents side by side
MOST = 100_000  # beginnings that are in memory, unless they are one respondent's
ROUNDING = 1_000  # units of the last place of all tables together, within which utilities are equal


@dataclass(frozen=True)
class Pairwise:
    """What attributes add in pairs.

    Attributes:
        shape: numbers of levels of the attributes.
        tables: (total levels, total levels) T, symmetric; zero within an attribute.
    """

    shape: Sequence[int]
    tables: np.ndarray

    @classmethod
    def of(cls, shape: Sequence[int], pairs: Mapping[tuple[int, int], np.ndarray]) -> Pairwise:
        """Put tables by pairs of attributes, (n_levels, n_levels), into one."""
        ends = np.cumsum(shape)
        tables = np.zeros((ends[-1], ends[-1]))
        for (a, b), own in pairs.items():
            rows, columns = (slice(ends[c] - shape[c], ends[c]) for c in (a, b))
            tables[rows, columns] += own
            tables[columns, rows] += own.T
        return cls(shape, tables)

    def best(self, singles: np.ndarray) -> np.ndarray:
        """Return the (n, n_attributes) levels of highest utility, the first in row-major order among equals.

        Args:
            singles: (total levels, n) u.
        """
        # What interacts most comes first, so that beginnings are soon told apart.
        most = [np.abs(self.tables[own]).max(initial=0.0) for own in self._blocks]
        order = np.argsort(-np.array(most), kind="stable")
        rows = np.concatenate([np.arange(own.start, own.stop) for own in (self._blocks[a] for a in order)])
        turned = Pairwise([self.shape[a] for a in order], self.tables[np.ix_(rows, rows)])
        found = np.empty((singles.shape[1], len(order)), dtype=np.int64)
        for start in range(0, len(found), AT_ONCE):
            span = slice(start, start + AT_ONCE)
            found[span] = turned._search(singles[rows, span].astype(float), np.argsort(order))
        return found

    @cached_property
    def _blocks(self) -> list[slice]:
        """Rows of each attribute."""
        ends = np.cumsum(self.shape)
        return [slice(end - size, end) for end, size in zip(ends, self.shape, strict=True)]

    @cached_property
    def _most(self) -> list[np.ndarray]:
        """By attribute, the (levels after it,) most that pairs of later attributes add to a level of one."""
        most = []
        for own in self._blocks:
            later = [block for block in self._blocks if block.start >= own.stop]
            both = [self.tables[own.stop :, block].max(axis=1) for block in later]
            most.append(np.sum(both, axis=0) / 2 if both else np.zeros(0))
        return most

    def _search(self, singles: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Return the (n, n_attributes) best levels.

        Args:
            place: (n_attributes,) where attributes stand here.
        """
        n = singles.shape[1]
        size = np.abs(singles).max(axis=0) + np.abs(self.tables).max()
        rounding = ROUNDING * np.finfo(float).eps * size
        enough = self._good(singles) - rounding
        person, value, ahead = np.arange(n), np.zeros(n), singles
        begun = np.empty((0, n), dtype=np.int64)
        for own, most in zip(self._blocks, self._most, strict=True):
            reached = value + ahead[: own.stop - own.start]
            ahead = ahead[len(reached) :]
            later = [block for block in self._blocks if block.start >= own.stop]
            later = [slice(block.start - own.stop, block.stop - own.stop) for block in later]
            added = self.tables[own, own.stop :]
            # A first bound takes utilities and pairs apart, and costs next to nothing.
            apart = sum((ahead[block].max(axis=0) for block in later), np.zeros(len(person)))
            alone = sum(((added + most)[:, block].max(axis=1) for block in later), np.zeros(len(added)))
            level, kept = np.nonzero(reached + apart + alone[:, None] >= enough[person])
            value, ahead = reached[level, kept], ahead[:, kept] + added.T[:, level]
            bound = sum(((ahead[block] + most[block, None]).max(axis=0) for block in later), value)
            still = np.flatnonzero(bound >= enough[person[kept]])
            if len(still) > MOST and n > 1:
                halves = np.array_split(singles, 2, axis=1)
                return np.concatenate([self._search(half, place) for half in halves])
            level, kept, value, ahead = level[still], kept[still], value[still], ahead[:, still]
            person, begun = person[kept], np.vstack([begun[:, kept], level])
        top = np.full(n, -np.inf)
        np.maximum.at(top, person, value)
        best = np.flatnonzero(value >= (top - rounding)[person])
        begun, person = begun[place][:, best], person[best]
        first = np.lexsort((*begun[::-1], person))
        return begun[:, first[np.flatnonzero(np.diff(person[first], prepend=-1))]].T

    def _good(self, singles: np.ndarray) -> np.ndarray:
        """(n,) utility of a petition that changes of one attribute have made good."""
        levels = np.array([singles[own].argmax(axis=0) + own.start for own in self._blocks])
        given = singles + sum(self.tables[:, own] for own in levels)
        for _ in range(SWEEPS):
            for chosen, own in zip(levels, self._blocks, strict=True):
                new = given[own].argmax(axis=0) + own.start
                moved = np.flatnonzero(new != chosen)
                given[:, moved] += self.tables[:, new[moved]] - self.tables[:, chosen[moved]]
                chosen[:] = new
        alone, both = (np.take_along_axis(part, levels, axis=0).sum(axis=0) for part in (singles, given))
        return (alone + both) / 2
