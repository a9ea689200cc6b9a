"""Everyone against every petition: exact best and worst petitions without visiting the pairs.

Utilities are sums of tables over few attributes (`utilities`). Attributes that share a table, or that a
prohibition ties together, form a *component*; what is best in one component does not depend on the
others, so the search over the grid separates:

    max_p sum_U T_U[p_U] = sum over components c of max_{p_c} sum_{U in c} T_U[p_U].

With additive part-worths every attribute is a component of its own and the work is the number of levels.
Tree ensembles tie attributes together. Within a component the tables are *expanded* to one over all its
levels: merged pairwise by broadcasting, each time the two whose union is smallest, until one is left. A
table inside another one costs next to nothing, and few additions have the size of the grid (the idea of
Yates 1937 and of fast zeta transforms: sums over subsets share partial sums). A table of minus infinity
marks the cells that a prohibition removes. Pairs that interact for everybody alike take less than that
(`pairwise`).

Sums run in the precision of the tables, float64 or float32; nothing is approximated. Ties go to the
petition with the lowest id.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from nanotarget.petitions.pairwise import Pairwise
from nanotarget.petitions.utilities import Chunk, Layout, Reversed, Utilities
from nanotarget.study.problems import InputError, Problem, listed
from nanotarget.study.response import Response

# Numbers of the expanded tables of some respondents at once: few enough for the cache, in rows long
# enough for fast loops, and never more than memory bears.
CACHE_NUMBERS, MIN_RESPONDENTS, GRID_NUMBERS = 2_000_000, 16, 16_000_000
# Attributes tied together must have a grid that fits into memory for one respondent.
MAX_GRID = 100_000_000


class Component:
    """Attributes that must be searched together, and how their tables are merged.

    Attributes:
        attributes: ascending.
        shape: their numbers of levels.
        n_cells: size of their grid.
    """

    def __init__(self, layout: Layout, attributes: tuple[int, ...]) -> None:
        """Plan the merges once."""
        design = layout.design
        self.attributes = attributes
        self.shape = tuple(design.shape[a] for a in attributes)
        self.n_cells = math.prod(self.shape)
        if self.n_cells > MAX_GRID:
            raise InputError(
                [
                    Problem(
                        "config",
                        "key calibrate.learner",
                        f"the learner, or prohibitions, tie {listed([design.names[a] for a in attributes])} "
                        f"together in {self.n_cells:,} combinations, too many to search",
                        f"at most {MAX_GRID:,}",
                        "choose learner 'ridge' with 'interactions: false' or 'hierarchical', or drop levels",
                    )
                ]
            )
        self._tables = [t for t, subset in enumerate(layout.subsets) if subset and subset[0] in attributes]
        self._spans = [slice(layout.offsets[t], layout.offsets[t + 1]) for t in self._tables]
        subsets = [layout.subsets[t] for t in self._tables]
        self._prohibited = []
        for block in design.blocks:
            if block.attributes[0] in attributes:
                table = np.full([design.shape[a] for a in block.attributes], -np.inf, dtype=np.float32)
                table[tuple(block.cells.T)] = 0
                if np.isinf(table).any():
                    self._prohibited.append(table)
                    subsets.append(block.attributes)
        self._lengths = [[design.shape[a] if a in subset else 1 for a in attributes] for subset in subsets]
        self._plan = merge_plan(tuple(subsets), design.shape)
        limits = np.array([len(design.attributes[a].fielded) for a in attributes])
        self._withheld = None
        self._places = [tuple(attributes.index(a) for a in subset) for subset in subsets]
        if (limits < self.shape).any():
            cells = np.column_stack(np.unravel_index(np.arange(self.n_cells), self.shape))
            self._withheld = np.where((cells < limits).all(axis=1), 0, -np.inf)[:, None]

    def fielded(self, cells: np.ndarray, sign: int = 1) -> np.ndarray:
        """Return what `expand` does, with minus infinity where a policy may not hide what the cell hides."""
        grid = self.expand(cells, sign)
        return grid if self._withheld is None else grid + self._withheld.astype(grid.dtype)

    def best(self, cells: np.ndarray, sign: int = 1) -> np.ndarray:
        """Return the (m, n attributes) levels with the highest sum of the tables times `sign`.

        Args:
            cells: (n_cells of the layout, m) tables of m respondents.
        """
        if self._has_common_pairs(cells):
            return self._best_of_pairs(sign * cells)
        levels = np.empty((cells.shape[1], len(self.shape)), dtype=np.int64)
        for span in _component_spans(cells.shape[1], self):
            cell = _argmax(self.fielded(cells[:, span], sign), self.shape[0])
            levels[span] = np.column_stack(np.unravel_index(cell, self.shape))
        return levels

    def _has_common_pairs(self, cells: np.ndarray) -> bool:
        """Return whether there are only single attributes, and pairs that are the same for all."""
        if self._withheld is not None or self._prohibited or set(map(len, self._places)) != {1, 2}:
            return False
        pairs = (span for span, own in zip(self._spans, self._places, strict=True) if len(own) == 2)
        return all((cells[span] == cells[span, :1]).all() for span in pairs)

    def _best_of_pairs(self, cells: np.ndarray) -> np.ndarray:
        starts = np.cumsum(self.shape) - self.shape
        singles = np.zeros((sum(self.shape), cells.shape[1]))
        pairs: dict[tuple[int, int], np.ndarray] = {}
        for span, own in zip(self._spans, self._places, strict=True):
            if len(own) == 1:
                singles[starts[own[0]] : starts[own[0]] + self.shape[own[0]]] += cells[span]
            else:
                pairs[own[0], own[1]] = cells[span, 0].reshape([self.shape[place] for place in own])
        return Pairwise.of(self.shape, pairs).best(singles)

    def expand(self, cells: np.ndarray, sign: int = 1) -> np.ndarray:
        """Return (n_cells, m) sums of the tables times `sign`, in row-major order of the levels.

        Args:
            cells: (n_cells of the layout, m) tables of m respondents.
        """
        m = cells.shape[1]
        parts: list[Any] = [sign * cells[span] for span in self._spans]
        parts += [table[..., None].astype(cells.dtype) for table in self._prohibited]
        tables: list[Any] = [
            part.reshape([*length, part.shape[-1]]) for part, length in zip(parts, self._lengths, strict=True)
        ]
        if not tables:
            return np.zeros((self.n_cells, m), dtype=cells.dtype)
        for first, second in self._plan:
            a, b = tables[first], tables[second]
            tables[first] = tables[second] = None
            tables.append(a + b)
        return np.broadcast_to(tables[-1], (*self.shape, m)).reshape(self.n_cells, m)


def components(layout: Layout) -> list[Component]:
    """Split the attributes into components, ordered by their first attribute."""
    group = list(range(len(layout.design.shape)))
    for tied in [*layout.subsets, *(block.attributes for block in layout.design.blocks)]:
        names = {group[a] for a in tied}
        group = [min(names) if g in names else g for g in group]
    members = [tuple(a for a, g in enumerate(group) if g == root) for root in sorted(set(group))]
    return [Component(layout, attributes) for attributes in members]


@lru_cache(maxsize=64)
def merge_plan(subsets: tuple[tuple[int, ...], ...], shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return which two tables to add next, always those whose union is smallest; results are appended."""
    open_tables = {i: frozenset(subset) for i, subset in enumerate(subsets)}
    plan = []
    size = {a: math.log(n) for a, n in enumerate(shape)}
    while len(open_tables) > 1:
        names = list(open_tables)
        _, first, second = min(
            (sum(size[a] for a in sorted(open_tables[i] | open_tables[j])), i, j)
            for k, i in enumerate(names)
            for j in names[k + 1 :]
        )
        plan.append((first, second))
        union = open_tables.pop(first) | open_tables.pop(second)
        open_tables[len(subsets) + len(plan) - 1] = union
    return plan


def _with_components(utilities: Utilities) -> Iterator[tuple[Chunk, list[Component]]]:
    """Yield chunks with the components of their layout, planned once a layout."""
    layout, parts = None, []
    for chunk in utilities.chunks():
        if chunk.layout is not layout:
            layout, parts = chunk.layout, components(chunk.layout)
        yield chunk, parts


def _spans(n: int, width: int) -> Iterator[slice]:
    """Yield spans of respondents of whom `width` numbers each fit into bounded memory."""
    step = max(1, GRID_NUMBERS // width)
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def _component_spans(n: int, component: Component) -> Iterator[slice]:
    """Yield spans of respondents whose expanded tables fit into bounded memory."""
    wanted = max(MIN_RESPONDENTS, CACHE_NUMBERS // component.n_cells)
    step = max(1, min(wanted, GRID_NUMBERS // component.n_cells))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def _argmax(grid: np.ndarray, first: int) -> np.ndarray:
    """Return the (m,) row of the maximum of each column; two levels of search touch the grid once.

    Args:
        grid: (n_cells, m).
        first: number of levels of the first attribute.
    """
    segments = grid.reshape(first, -1, grid.shape[1])
    segment = segments.max(axis=1).argmax(axis=0)
    within = segments[segment, :, np.arange(grid.shape[1])].argmax(axis=1)
    return segment * segments.shape[1] + within


def best_petitions(utilities: Utilities, worst: bool = False) -> np.ndarray:
    """Return each respondent's feasible petition of highest utility.

    Args:
        worst: the lowest utility instead (dissuasion).

    Returns:
        (n, n_attributes) level indices; ties go to the lowest petition id.
    """
    petitions = np.empty((utilities.n, len(utilities.design.shape)), dtype=np.int64)
    for chunk, parts in _with_components(utilities):
        for part in parts:
            best = part.best(chunk.cells, -1 if worst else 1)
            petitions[chunk.rows[:, None], list(part.attributes)] = best
    return petitions


def landscape(utilities: Utilities) -> np.ndarray:
    """Return the (n, n_petitions) utilities of few respondents for the whole grid.

    Minus infinity where a petition is prohibited, or hides what a policy may not hide.
    """
    design = utilities.design
    out = np.empty((utilities.n, math.prod(design.shape)))
    for chunk, _ in _with_components(utilities):
        layout = chunk.layout
        whole = Component(layout, tuple(range(len(design.shape))))
        constant = [layout.offsets[t] for t, subset in enumerate(layout.subsets) if not subset]
        for span in _component_spans(len(chunk.rows), whole):
            grid = whole.fielded(chunk.cells[:, span]) + chunk.cells[constant, span].sum(axis=0)
            out[chunk.rows[span]] = grid.T
    return out


def predicted_response(
    utilities: Utilities, petitions: np.ndarray, intercept: np.ndarray | float, response: type[Response]
) -> np.ndarray:
    """Return the predicted response to one petition per respondent, in the unit of the outcome.

    Intercept plus utility; where answers compare petitions, the probability to be chosen in a task of the
    survey, whose other petitions are drawn from the design: over one opponent E L(eta - eta') with L
    the logistic function.

    Args:
        petitions: (n, n_attributes) level indices.

    Returns:
        (n,) in the unit of the outcome.
    """
    if not response.paired:
        return intercept + utilities.utility_of(petitions)
    if response.profiles == 2 and not response.none:
        return win_probability(utilities, petitions)
    if response.opposed:
        return 1 - chosen_probability(Reversed(utilities), petitions, response)
    return chosen_probability(utilities, petitions, response)


EXACT_GRID = 100_000  # combinations of attributes up to which a mean over opponents is exact
OPPONENTS = 4_000
# Midpoint rule over frequencies: the integrand below decays like exp(-pi w), so 8 leaves 1e-11. Steps of
# 2 pi / P take the logistic function for one of period P, up to exp(|t| - P) for a difference of t (Poisson's
# summation): exact for differences of utility up to 75 log-odds, beyond any real preference.
STEP = 2 * np.pi / 100
STEPS = round(8 / STEP)


def win_probability(utilities: Utilities, petitions: np.ndarray) -> np.ndarray:
    """Return the (n,) probability that each respondent's petition beats one drawn from the design.

    With one component the mean over all opponents is taken as it stands. With several the opponent's
    utility is a sum of independent parts, one a component, so its characteristic function is a
    product; with L(t) = 1/2 + int_0^inf sin(w t) / sinh(pi w) dw (Gradshteyn & Ryzhik 3.981.1) the mean
    over all opponents is one integral over w, and no opponent is ever enumerated.

    Where attributes hang together in more than `EXACT_GRID` combinations, opponents are `OPPONENTS` fixed
    petitions drawn from the design instead, the same for everybody: differences between petitions of a
    person then have a simulation error of about 0.001.
    """
    design = utilities.design
    out = np.empty(utilities.n)
    for chunk, parts in _with_components(utilities):
        if max(part.n_cells for part in parts) > EXACT_GRID:
            opponents = design.draw(OPPONENTS, np.random.default_rng(0))
            for span in _spans(len(chunk.rows), OPPONENTS):
                subset = Chunk(chunk.rows[span], chunk.layout, chunk.cells[:, span])
                ahead = subset.utility_of(petitions[subset.rows])[:, None] - subset.utilities_of_all(
                    opponents
                )
                out[subset.rows] = (1 / (1 + np.exp(-ahead))).mean(axis=1)
            continue
        chances = [design.joint_probabilities(part.attributes).ravel() for part in parts]
        largest = max(parts, key=lambda part: part.n_cells)
        own = chunk.utility_of(petitions[chunk.rows])
        constant = [chunk.layout.offsets[t] for t, s in enumerate(chunk.layout.subsets) if not s]
        own = own - chunk.cells[constant].sum(axis=0)
        for span in _component_spans(len(chunk.rows), largest):
            grids = [part.expand(chunk.cells[:, span]) for part in parts]
            # What is never drawn weighs nothing; prohibited cells are minus infinity.
            grids = [np.where(p[:, None] > 0, grid, 0) for grid, p in zip(grids, chances, strict=True)]
            mean = _direct_mean if len(parts) == 1 else _mean_over_frequencies
            out[chunk.rows[span]] = mean(own[span], grids, chances)
    return out


def _direct_mean(own: np.ndarray, grids: Sequence[np.ndarray], chances: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of L(own - opponent) over all cells of one component."""
    return chances[0] @ (1 / (1 + np.exp(grids[0] - own)))


def _mean_over_frequencies(
    own: np.ndarray, grids: Sequence[np.ndarray], chances: Sequence[np.ndarray]
) -> np.ndarray:
    """The same as an integral over frequencies: (m,) from (n_cells, m) grids of independent components."""
    total = np.full(len(own), 0.5)
    utilities = [-own, *grids]
    waves = [np.exp(-0.5j * STEP * u) for u in utilities]
    turns = [wave**2 for wave in waves]
    for k in range(STEPS):
        whole = waves[0].copy()
        for wave, chance in zip(waves[1:], chances, strict=True):
            whole *= chance @ wave
        total += STEP / np.sinh(np.pi * STEP * (k + 0.5)) * whole.imag
        # An equal step is a turn by the same angle, which costs a tenth of a new exponential.
        for wave, turn in zip(waves, turns, strict=True):
            wave *= turn
    return total


class Race(NamedTuple):
    """How a choice among several is averaged over the others (`chosen_probability`).

    Attributes:
        ahead: (n_nodes,) by how much a petition's utility with its noise exceeds the utility.
        mass: (n_nodes,) probability of each.
        turns: (n_nodes, 2 x STEPS_OF_RACE) from waves, imaginary and real parts, to distribution functions.
    """

    ahead: np.ndarray
    mass: np.ndarray
    turns: np.ndarray


# Gumbel's characteristic function falls like exp(-pi w / 2): 17 leaves 1e-11. For a step of 2 pi / 128 see
# `STEP`; its integral is then exact for differences of utility up to 42 log-odds.
STEP_OF_RACE = 2 * np.pi / 128
STEPS_OF_RACE = round(17 / STEP_OF_RACE)
LATTICE = 0.01  # distance of the utilities to which those of many attributes that hang together are moved
MANY_CELLS = 1_000  # combinations from which on they are


@lru_cache(maxsize=1)
def race() -> Race:
    """Return the nodes of the trapezoidal rule (of an analytic integrand: 1e-9 is left) and their waves."""
    ahead = np.arange(-4, 22, 0.4)
    mass = 0.4 * np.exp(-ahead - np.exp(-ahead))
    frequency = _frequencies()
    wave = special.gamma(1 + 1j * frequency) / frequency * STEP_OF_RACE / np.pi
    turns = wave * np.exp(1j * ahead[:, None] * frequency)
    return Race(ahead, mass, np.hstack([turns.real, turns.imag]))


def chosen_probability(utilities: Utilities, petitions: np.ndarray, response: type[Response]) -> np.ndarray:
    """Return the (n,) probability that each respondent's petition is chosen among others of the design.

    In a conditional logit the highest sum of utility and Gumbel noise is chosen (McFadden 1974), so that

        P = E[G_0(u) F(u)^(K - 1)],    u = eta + e,

    F the distribution function of one other petition's utility with its noise, drawn from the design, and
    G_0 that of none, exp(-exp(-u)). F follows from the characteristic function, a product over components
    (Gil-Pelaez 1951): no task is ever enumerated. With one other petition and without none this is
    `win_probability`.

    Utilities of components of more than `MANY_CELLS` combinations are shared out to the two nearest points of
    a lattice, which moves probabilities by less than 1e-5. For more than `EXACT_GRID` see `win_probability`.

    Args:
        petitions: (n, n_attributes) level indices.
        response: how many petitions a task has, and whether none of them could be chosen.
    """
    design, (ahead, mass, turns) = utilities.design, race()
    out = np.empty(utilities.n)
    for chunk, parts in _with_components(utilities):
        constant = [chunk.layout.offsets[t] for t, s in enumerate(chunk.layout.subsets) if not s]
        level = chunk.cells[constant].sum(axis=0)
        own = chunk.utility_of(petitions[chunk.rows])
        if max(part.n_cells for part in parts) > EXACT_GRID:
            opponents = design.draw(OPPONENTS, np.random.default_rng(0))
            chances = [np.full(OPPONENTS, 1 / OPPONENTS)]
        else:
            opponents = None
            chances = [design.joint_probabilities(part.attributes).ravel() for part in parts]
        cells = max(len(chance) for chance in chances)
        for span in _spans(len(chunk.rows), 8 * max(cells, STEPS_OF_RACE)):
            if opponents is None:
                grids = [part.expand(chunk.cells[:, span]) for part in parts]
            else:
                shown = Chunk(chunk.rows[span], chunk.layout, chunk.cells[:, span])
                grids = [shown.utilities_of_all(opponents).T - level[span]]
            waves = np.exp(1j * _frequencies()[:, None] * (own - level)[span])
            for grid, chance in zip(grids, chances, strict=True):
                waves *= _waves(grid, chance)
            below = 0.5 + turns @ np.vstack([waves.imag, waves.real])
            share = np.clip(below, 0, 1) ** (response.profiles - 1)
            if response.none:
                share *= np.exp(-np.exp(-(own[span] + ahead[:, None])))
            out[chunk.rows[span]] = mass @ share
    return out


def _frequencies() -> np.ndarray:
    return STEP_OF_RACE * (np.arange(STEPS_OF_RACE) + 0.5)


def _waves(grid: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Return the (n_steps, m) conjugate characteristic functions of (n_cells, m) utilities of a component."""
    # What is never drawn weighs nothing; prohibited cells are minus infinity.
    grid, chance = np.asarray(grid, dtype=float)[chance > 0], chance[chance > 0]
    frequency = _frequencies()
    if len(grid) <= MANY_CELLS:
        wave, turn = np.exp(-0.5j * STEP_OF_RACE * grid), np.exp(-1j * STEP_OF_RACE * grid)
        out = np.empty((len(frequency), grid.shape[1]), dtype=complex)
        for k in range(len(frequency)):
            out[k] = chance @ wave
            wave *= turn
        return out
    lowest = grid.min()
    place = (grid - lowest) / LATTICE
    point = place.astype(int)
    beyond = (place - point) * chance[:, None]
    n, m = point.max() + 2, grid.shape[1]
    cell = point * m + np.arange(m)
    mass = np.bincount(cell.ravel(), (chance[:, None] - beyond).ravel(), n * m)
    mass += np.bincount((cell + m).ravel(), beyond.ravel(), n * m)
    at = lowest + LATTICE * np.arange(n)
    return np.exp(-1j * frequency[:, None] * at) @ mass.reshape(n, m)
