"""The form in which every learner leaves utilities: a sum of small tables over few attributes.

u_i(p) = sum_U T_iU[p_U],

one table T_iU for each subset U of attributes in a `Layout`, different for every respondent i. Additive
part-worths are tables over single attributes, interactions of attributes tables over pairs, and a
tree ensemble has a table for each set of attributes that one of its leaves restricts. All that
`score` does with utilities (best petitions, averages, probabilities to be chosen) needs only this form.

Tables are handed over in chunks of respondents, so that no more than one chunk of them need be in
memory, and in different layouts where respondents are scored by different models (cross-fitting).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nanotarget.petitions.design import Design, Pairs

# Numbers of one chunk of respondents that are in memory at once.
CHUNK_NUMBERS = 4_000_000


@dataclass(frozen=True)
class Layout:
    """Which tables there are, their cells one after the other.

    Attributes:
        design: the petitions.
        subsets: attributes of each table, ascending; cells in row-major order of their levels.
    """

    design: Design
    subsets: tuple[tuple[int, ...], ...]

    @cached_property
    def offsets(self) -> np.ndarray:
        """(n_tables + 1,) first cell of each table."""
        sizes = [math.prod(self.design.shape[a] for a in subset) for subset in self.subsets]
        return np.concatenate([[0], np.cumsum(sizes, dtype=int)])

    @property
    def n_cells(self) -> int:
        """Number of cells of all tables."""
        return int(self.offsets[-1])

    def cells_of(self, petitions: np.ndarray) -> np.ndarray:
        """Return the (n, n_tables) cells that petitions, (n, n_attributes) level indices, add up."""
        shape = self.design.shape
        cells = np.empty((len(petitions), len(self.subsets)), dtype=np.int64)
        for t, (subset, offset) in enumerate(zip(self.subsets, self.offsets, strict=False)):
            cells[:, t] = offset
            if subset:
                cells[:, t] += np.ravel_multi_index(
                    tuple(petitions[:, a] for a in subset), [shape[a] for a in subset]
                )
        return cells

    @cached_property
    def probabilities(self) -> np.ndarray:
        """(n_cells,) probability under the design of the levels that a cell stands for."""
        return np.concatenate(
            [self.design.joint_probabilities(subset).ravel() for subset in self.subsets] or [np.zeros(0)]
        )

    @cached_property
    def level_matrix(self) -> np.ndarray:
        """(n_cells, total levels) C: tables times C are mean utilities given each level of each attribute.

        The mean is over petitions of the design that have the level; it is a marginal part-worth
        up to the mean of all petitions.
        """
        columns = []
        for a, size in enumerate(self.design.shape):
            own = self.design.joint_probabilities((a,))
            for level in range(size):
                parts = []
                for subset in self.subsets:
                    joint = self.design.joint_probabilities(tuple(sorted({*subset, a})))
                    at = sorted({*subset, a}).index(a)
                    given = np.take(joint, level, axis=at) / max(own[level], np.finfo(float).tiny)
                    if a in subset:  # the table has the attribute: other levels weigh nothing
                        whole = np.zeros([self.design.shape[b] for b in subset])
                        np.moveaxis(whole, at, 0)[level] = given
                        given = whole
                    parts.append(given.ravel())
                columns.append(np.concatenate(parts))
        return np.column_stack(columns)


def additive_layout(design: Design) -> Layout:
    """Return the layout of part-worths: one table per attribute, the cells are the total levels."""
    return Layout(design, tuple((a,) for a in range(len(design.shape))))


@dataclass(frozen=True)
class Chunk:
    """Tables of some respondents.

    Attributes:
        rows: (m,) which respondents.
        layout: of the tables.
        cells: (n_cells, m) their cells.
    """

    rows: np.ndarray
    layout: Layout
    cells: np.ndarray

    def utility_of(self, petitions: np.ndarray) -> np.ndarray:
        """Return the (m,) utility of one petition for each respondent of the chunk."""
        cells = self.layout.cells_of(petitions)
        people = np.arange(self.cells.shape[1])
        total = np.zeros(len(people), dtype=self.cells.dtype)
        for cell in cells.T:
            total += self.cells[cell, people]
        return total

    def utilities_of_all(self, petitions: np.ndarray) -> np.ndarray:
        """Return the (m, n_petitions) utility of every respondent of the chunk for every petition."""
        total = np.zeros((len(petitions), self.cells.shape[1]), dtype=self.cells.dtype)
        for cell in self.layout.cells_of(petitions).T:
            total += self.cells[cell]
        return total.T


class Utilities(ABC):
    """Utilities of `n` respondents for the petitions of a design."""

    design: Design
    n: int

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """Yield the tables of all respondents, each respondent once."""

    def utility_of(self, petitions: np.ndarray) -> np.ndarray:
        """Return the (n,) utility of one petition per respondent, (n, n_attributes) level indices."""
        out = np.empty(self.n)
        for chunk in self.chunks():
            out[chunk.rows] = chunk.utility_of(petitions[chunk.rows])
        return out

    def utility_of_rows(self, petitions: np.ndarray, respondent: np.ndarray) -> np.ndarray:
        """Return the (n_rows,) utility of petitions for the respondents given by (n_rows,) indices."""
        out = np.empty(len(respondent))
        order = np.argsort(respondent, kind="stable")
        starts = np.searchsorted(respondent[order], np.arange(self.n + 1))
        for chunk in self.chunks():
            counts = starts[chunk.rows + 1] - starts[chunk.rows]
            place = np.repeat(np.arange(len(chunk.rows)), counts)
            within = np.arange(len(place)) - (np.cumsum(counts) - counts)[place]
            rows = order[starts[chunk.rows][place] + within]
            total = np.zeros(len(rows))
            for cell in chunk.layout.cells_of(petitions[rows]).T:
                total += chunk.cells[cell, place]
            out[rows] = total
        return out

    def utilities_of_all(self, petitions: np.ndarray) -> np.ndarray:
        """Return the (n, n_petitions) utilities of every respondent for each of a list of petitions."""
        out = np.empty((self.n, len(petitions)))
        for chunk in self.chunks():
            out[chunk.rows] = chunk.utilities_of_all(petitions)
        return out

    def means(self) -> np.ndarray:
        """Return the (n,) mean utility of all petitions of the design."""
        out = np.empty(self.n)
        for chunk in self.chunks():
            out[chunk.rows] = chunk.layout.probabilities @ chunk.cells
        return out

    def level_means(self) -> np.ndarray:
        """Return (n, total levels) mean utilities given each level, less the mean of all petitions."""
        out = np.empty((self.n, sum(self.design.shape)))
        for chunk in self.chunks():
            mean = chunk.layout.probabilities @ chunk.cells
            out[chunk.rows] = chunk.cells.T @ chunk.layout.level_matrix - mean[:, None]
        return out


@dataclass(frozen=True)
class Tables(Utilities):
    """Utilities that are in memory.

    Attributes:
        layout: of the tables.
        cells: (n, n_cells) cells of each respondent.
    """

    layout: Layout
    cells: np.ndarray

    @property
    def design(self) -> Design:  # type: ignore[override]
        """The petitions."""
        return self.layout.design

    @property
    def n(self) -> int:  # type: ignore[override]
        """Number of respondents."""
        return len(self.cells)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the tables of all respondents, each respondent once."""
        step = max(1, CHUNK_NUMBERS // max(1, self.layout.n_cells))
        for start in range(0, self.n, step):
            rows = np.arange(start, min(start + step, self.n))
            yield Chunk(rows, self.layout, self.cells[start : start + step].T)

    def average(self, weight: np.ndarray) -> Tables:
        """Return the utilities of averages of respondents: tables are linear.

        Args:
            weight: (n_averages, n) weights of the respondents; need not add up to 1.
        """
        return Tables(self.layout, weight @ self.cells)


@dataclass(frozen=True)
class Pieces(Utilities):
    """Utilities of respondents that come from different models.

    Attributes:
        design: the petitions.
        n: number of respondents.
        parts: which respondents, and their utilities; everybody is in one part.
    """

    design: Design
    n: int
    parts: Sequence[tuple[np.ndarray, Utilities]]

    def chunks(self) -> Iterator[Chunk]:
        """Yield the tables of all respondents, each respondent once."""
        for rows, utilities in self.parts:
            for chunk in utilities.chunks():
                yield Chunk(rows[chunk.rows], chunk.layout, chunk.cells)


@dataclass(frozen=True)
class Reversed(Utilities):
    """Utilities with the opposite sign: the best petition is the worst of the original ones.

    Attributes:
        original: the utilities.
    """

    original: Utilities

    @property
    def design(self) -> Design:  # type: ignore[override]
        """The petitions."""
        return self.original.design

    @property
    def n(self) -> int:  # type: ignore[override]
        """Number of respondents."""
        return self.original.n

    def chunks(self) -> Iterator[Chunk]:
        """Yield the tables of all respondents, each respondent once."""
        for chunk in self.original.chunks():
            yield Chunk(chunk.rows, chunk.layout, -chunk.cells)


@dataclass(frozen=True)
class Span:
    """Functions of petitions: products of the first-order functions of some blocks, see `Block.functions`.

    Attributes:
        design: the petitions.
        blocks: ascending; none for the constant.
    """

    design: Design
    blocks: tuple[int, ...] = ()

    @property
    def attributes(self) -> tuple[int, ...]:
        """Attributes of the blocks, ascending."""
        return tuple(sorted(a for b in self.blocks for a in self.design.blocks[b].attributes))

    @cached_property
    def values(self) -> np.ndarray:
        """(n_cells, rank) values on the grid of the attributes; zero where it is prohibited."""
        levels = _grid(self.design, self.attributes)
        petitions = np.zeros((levels.shape[1], len(self.design.shape)), dtype=np.int64)
        petitions[:, self.attributes] = levels.T
        values = np.ones((len(petitions), 1))
        for block in (self.design.blocks[b] for b in self.blocks):
            cell = block.cell_of(petitions)
            own = np.where(cell[:, None] < 0, 0.0, block.functions(1)[cell])
            values = (values[:, :, None] * own[:, None, :]).reshape(len(values), -1)
        return values

    def products(self, layout: Layout) -> np.ndarray:
        """Return the (rank, n_cells of the layout) mean products with indicators of its cells."""
        products = np.zeros((self.values.shape[1], layout.n_cells))
        for t, subset in enumerate(layout.subsets):
            # Functions of a block have mean zero whatever stands elsewhere.
            if all(set(subset) & set(self.design.blocks[b].attributes) for b in self.blocks):
                products[:, layout.offsets[t] : layout.offsets[t + 1]] = self._of_table(subset)
        return products

    def _of_table(self, subset: tuple[int, ...]) -> np.ndarray:
        shape, own = self.design.shape, self.attributes
        union = tuple(sorted({*subset, *own}))
        level = dict(zip(union, _grid(self.design, union), strict=True))
        probability = self.design.joint_probabilities(union).ravel()
        cell, value = (np.zeros(len(probability), dtype=np.int64) for _ in range(2))
        for place, part in ((cell, subset), (value, own)):
            for a in part:
                place *= shape[a]
                place += level[a]
        together = np.zeros((len(self.values), math.prod(shape[a] for a in subset)))
        together[value, cell] = probability
        return self.values.T @ together


def _grid(design: Design, attributes: tuple[int, ...]) -> np.ndarray:
    """Return the (len(attributes), n_cells) levels of all combinations of some attributes."""
    shape = [design.shape[a] for a in attributes]
    return np.indices(shape).reshape(len(shape), math.prod(shape))


def projected(utilities: Utilities, pairs: Pairs = ()) -> Tables:
    """Return what of utilities is a sum of first-order functions of single blocks, and of pairs of blocks.

    It is their projection on these under the design, the sum of an orthonormal basis times its mean products
    with the utilities.

    Args:
        pairs: of blocks whose products are kept.
    """
    design = utilities.design
    spans = [Span(design, blocks) for blocks in [(), *((b,) for b in range(len(design.blocks))), *pairs]]
    target = Layout(design, tuple(span.attributes for span in spans))
    cells = np.empty((utilities.n, target.n_cells))
    layout, products = None, list[np.ndarray]()
    for chunk in utilities.chunks():
        if chunk.layout != layout:
            layout, products = chunk.layout, [span.products(chunk.layout) for span in spans]
        for span, own, start in zip(spans, products, target.offsets, strict=False):
            part = span.values @ (own @ chunk.cells)
            cells[chunk.rows, start : start + len(part)] = part.T
    return Tables(target, cells)


def is_projection(layout: Layout, pairs: Pairs = ()) -> bool:
    """Return whether `projected` changes nothing in a layout."""
    kept = {frozenset(pair) for pair in pairs}
    block_of = {a: b for b, block in enumerate(layout.design.blocks) for a in block.attributes}
    of_tables = (tuple(block_of[a] for a in subset) for subset in layout.subsets)
    return all(len(blocks) < 2 or (len(blocks) == 2 and frozenset(blocks) in kept) for blocks in of_tables)


def part_worths(values: np.ndarray, design: Design) -> Tables:
    """Return additive utilities from (n, total levels) part-worths."""
    return Tables(additive_layout(design), values)


def in_memory(utilities: Utilities) -> Tables:
    """Return utilities of one layout as tables in memory.

    Raises:
        ValueError: if they come from models with different layouts.
    """
    if isinstance(utilities, Tables):
        return utilities
    parts = list(utilities.chunks())
    if any(part.layout != parts[0].layout for part in parts):
        raise ValueError("the utilities come from different models")
    cells = np.empty((utilities.n, parts[0].layout.n_cells))
    for part in parts:
        cells[part.rows] = part.cells.T
    return Tables(parts[0].layout, cells)


def average(utilities: Utilities, weight: np.ndarray) -> Tables:
    """Return the utilities of the average respondent of a population; one row.

    Args:
        weight: (n,) survey weights.
    """
    share = weight / weight.sum()
    total: np.ndarray | None = None
    layout = None
    for chunk in utilities.chunks():
        part = chunk.cells @ share[chunk.rows]
        total, layout = part if total is None else total + part, chunk.layout
    if total is None or layout is None:
        raise ValueError("nobody is there to average over")
    return Tables(layout, total[None])
