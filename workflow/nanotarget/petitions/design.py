"""The factorial design: attributes, feasible petitions, level probabilities, petition texts.

A petition is an array of level indices, one per attribute in config order. Its id is its index in
the *full* grid in row-major order (the last attribute varies fastest), so it stays the same when
rows are permuted or a combination becomes prohibited.

Attributes that a prohibition ties together, or that the config calls dependent, form a *block*; all
other attributes are blocks of one. Blocks are drawn independently of each other, so everything exact
about policies (argmax, weights, grid size) factorises over blocks and the whole grid is never enumerated.

What a survey has shown completes what the config says (`Design.as_shown`): the joint distribution of
dependent attributes, how often an attribute was hidden, and combinations that nobody saw although they
were to be expected, which are as good as prohibited: nothing is known of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from nanotarget.petitions.text import render
from nanotarget.study.config import HIDDEN, DesignConfig, Hidden, normalised
from nanotarget.study.problems import InputError, Problem
from nanotarget.study.seeds import child_rng

# Chance that of all combinations of a survey that was run as designed one is taken for never shown.
FALSE_ALARM = 0.001
MAX_CELLS = 500_000  # combinations of the attributes of a block
Pairs = Sequence[tuple[int, int]]  # of blocks, by their indices
# Levels by attribute whose combinations are meant.
Combination = tuple[tuple[int, frozenset[int]], ...]


@dataclass(frozen=True)
class Attribute:
    """One dimension of a petition.

    Attributes:
        name: of the attribute.
        levels: texts; the first is the reference, the last is `HIDDEN` if the attribute can be hidden.
        column: of the raw files.
        probabilities: of the levels where the attribute is shown (0 for `HIDDEN`).
        hidden: whether it can be hidden, and whether a policy may hide it ("option").
        hidden_values: texts of the raw files that say so; without any an empty cell does.
    """

    name: str
    levels: tuple[str, ...]
    column: str
    probabilities: tuple[float, ...]
    hidden: Hidden = "never"
    hidden_values: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.levels)

    @property
    def visible(self) -> tuple[str, ...]:
        """Levels without `HIDDEN`."""
        return self.levels[: len(self.levels) - (self.hidden != "never")]

    @property
    def fielded(self) -> tuple[str, ...]:
        """Levels that a policy may choose."""
        return self.levels if self.hidden == "option" else self.visible


@dataclass(frozen=True)
class Block:
    """Attributes that are randomised jointly.

    Attributes:
        attributes: indices of the attributes, ascending.
        cells: (n_cells, len(attributes)) level indices of the feasible combinations, in grid order.
        probabilities: (n_cells,) probability with which the design shows each; sums to 1.
    """

    attributes: tuple[int, ...]
    cells: np.ndarray
    probabilities: np.ndarray

    def cell_of(self, levels: np.ndarray) -> np.ndarray:
        """Return the index of the cell that each petition is in; -1 where it is prohibited.

        Args:
            levels: (n, n_attributes) level indices of whole petitions.
        """
        table = self._index
        own = (
            np.minimum(levels[:, a], size - 1) for a, size in zip(self.attributes, table.shape, strict=True)
        )
        return table[tuple(own)]

    @cached_property
    def _index(self) -> np.ndarray:
        """Cell of each combination of levels; the last of each attribute stands for levels of no cell."""
        table = np.full(self.cells.max(axis=0) + 2, -1)
        table[tuple(self.cells.T)] = np.arange(len(self.cells))
        return table

    def functions(self, order: int = 1) -> np.ndarray:
        """Return an orthonormal basis of the functions of the block that have order at most `order`.

        They are linear combinations of indicators of all level combinations of at most `order` attributes,
        have mean zero, variance 1 and no correlation with each other under the design.

        Returns:
            (n_cells, rank) values.
        """
        if order not in self._bases:
            self._bases[order] = self._basis(order)
        return self._bases[order]

    @cached_property
    def _bases(self) -> dict[int, np.ndarray]:
        """The bases asked for so far, by order."""
        return {}

    def _basis(self, order: int) -> np.ndarray:
        columns = []
        for size in range(1, min(order, len(self.attributes)) + 1):
            for members in itertools.combinations(range(len(self.attributes)), size):
                _, code = np.unique(self.cells[:, members], axis=0, return_inverse=True)
                columns.append(np.eye(code.max() + 1)[code.ravel()])
        indicators = np.hstack(columns)
        centred = indicators - self.probabilities @ indicators
        # One column after the other, not eigenvectors: of levels that are shown equally often these are any
        # rotation, another one on another processor.
        basis = np.empty((len(self.cells), 0))
        for column in centred.T:
            left = column
            for _ in range(2):  # once is not orthogonal to the last digit
                left = left - basis @ (basis.T @ (self.probabilities * left))
            size = self.probabilities @ left**2
            # Indicators of an attribute add up to 1, so of some nothing is left but rounding.
            if size > 1e-10 * (self.probabilities @ column**2):
                basis = np.column_stack([basis, left / np.sqrt(size)])
        return basis


@dataclass(frozen=True)
class Joint:
    """How often the combinations of dependent attributes were shown.

    Attributes:
        attributes: indices, ascending.
        cells: level indices of each combination shown, in grid order.
        probabilities: their shares of the petitions shown.
    """

    attributes: tuple[int, ...]
    cells: tuple[tuple[int, ...], ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Shown:
    """What a survey has shown, as far as the config does not say it.

    Attributes:
        hidden: (n_attributes,) share of petitions in which each attribute was hidden.
        joints: one for each block with dependent attributes.
        never: levels, and combinations of two, that nobody saw although the design would have shown them.
    """

    hidden: tuple[float, ...]
    joints: tuple[Joint, ...] = ()
    never: tuple[Combination, ...] = ()

    def to_data(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return {
            "hidden": list(self.hidden),
            "joints": [
                [list(j.attributes), list(map(list, j.cells)), list(j.probabilities)] for j in self.joints
            ],
            "never": [[[a, sorted(levels)] for a, levels in combination] for combination in self.never],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Shown:
        """Rebuild it from `to_data`."""
        joints = (Joint(tuple(a), tuple(map(tuple, cells)), tuple(p)) for a, cells, p in data["joints"])
        never = (tuple((a, frozenset(levels)) for a, levels in combination) for combination in data["never"])
        return cls(tuple(data["hidden"]), tuple(joints), tuple(never))


@dataclass(frozen=True)
class Design:
    """The petitions of a study.

    Attributes:
        attributes: in config order.
        prohibited: combinations that are impossible.
        randomisation: "rejection" (a prohibited draw is repeated as a whole) or "sequential"
            (attributes drawn in order, each among the levels that earlier draws still allow).
        petition_text: Jinja2 template or None.
        dependent: groups of attributes that were drawn jointly, as the survey shows.
        derived: attributes, each with those that it follows from; all are in a group of `dependent`.
        assign_never_shown: whether what nobody saw may be assigned.
        shown: what the survey adds; None if it adds nothing or is not known.
    """

    attributes: tuple[Attribute, ...]
    prohibited: tuple[Combination, ...] = ()
    randomisation: str = "rejection"
    petition_text: str | None = None
    dependent: tuple[tuple[int, ...], ...] = ()
    derived: tuple[tuple[int, tuple[int, ...]], ...] = ()
    assign_never_shown: bool = False
    shown: Shown | None = None

    @classmethod
    def from_config(cls, config: DesignConfig) -> Design:
        """Build the design from the config's section."""
        attributes = tuple(
            Attribute(
                name=a.name,
                levels=(*map(str, a.levels), *([HIDDEN] if a.hidden != "never" else [])),
                column=a.column or a.name,
                probabilities=(
                    *(a.probabilities or [1 / len(a.levels)] * len(a.levels)),
                    *([0.0] if a.hidden != "never" else []),
                ),
                hidden=a.hidden,
                hidden_values=tuple(map(str, a.hidden_values)),
            )
            for a in config.attributes
        )
        index = {a.name: i for i, a in enumerate(attributes)}
        codes = [{normalised(level): i for i, level in enumerate(a.levels)} for a in attributes]
        prohibited = tuple(
            tuple(
                (index[name], frozenset(codes[index[name]][normalised(level)] for level in levels))
                for name, levels in combination.items()
            )
            for combination in config.prohibited
        )
        derived = tuple(
            (i, tuple(sorted(index[name] for name in a.derived_from)))
            for i, a in enumerate(config.attributes)
            if a.derived_from
        )
        groups = [[index[name] for name in group] for group in config.dependent]
        groups += [[attribute, *sources] for attribute, sources in derived]
        return cls(
            attributes,
            prohibited,
            config.randomisation,
            config.petition_text,
            tuple(tuple(sorted(group)) for group in groups),
            derived,
            config.never_shown == "assign",
        )

    @property
    def names(self) -> list[str]:
        """Attribute names in order."""
        return [attribute.name for attribute in self.attributes]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Number of levels of each attribute."""
        return tuple(len(attribute) for attribute in self.attributes)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Independent blocks, ordered by their first attribute.

        Raises:
            InputError: if the prohibitions leave no petition, or tie too many attributes together.
        """
        group = list(range(len(self.attributes)))
        for tied in [*({i for i, _ in combination} for combination in self._impossible), *self.dependent]:
            joined = {group[i] for i in tied}
            group = [min(joined) if g in joined else g for g in group]
        members = [tuple(i for i, g in enumerate(group) if g == root) for root in sorted(set(group))]
        return tuple(self._block(indices) for indices in members)

    @property
    def _impossible(self) -> tuple[Combination, ...]:
        """Combinations that no petition has, as the config says or as the survey shows."""
        if self.shown is None or self.assign_never_shown:
            return self.prohibited
        return (*self.prohibited, *self.shown.never)

    def _block(self, indices: tuple[int, ...]) -> Block:
        for joint in self.shown.joints if self.shown else ():
            if joint.attributes == indices:
                return Block(indices, np.array(joint.cells), np.array(joint.probabilities))
        names = ", ".join(self.names[i] for i in indices)
        if (size := math.prod(self.shape[i] for i in indices)) > MAX_CELLS:
            what = f"{names} are tied together in {size:,} combinations, too many to search"
            remedy = "prohibit fewer combinations, or write 'never_shown: assign' if nothing is prohibited"
            raise _unusable(what, f"at most {MAX_CELLS:,}", remedy)
        cells = np.array(list(itertools.product(*(range(self.shape[i]) for i in indices))))
        feasible = np.ones(len(cells), dtype=bool)
        for combination in self._impossible:
            if combination[0][0] in indices:
                hit = np.ones(len(cells), dtype=bool)
                for attribute, levels in combination:
                    hit &= np.isin(cells[:, indices.index(attribute)], list(levels))
                feasible &= ~hit
        if not feasible.any():
            what, remedy = f"no combination of {names} is left", "remove a prohibition"
            raise _unusable(what, "at least one feasible petition", remedy)
        marginals = [self._marginal(i) for i in indices]
        if self.randomisation == "sequential":
            probabilities = _sequential_probabilities(cells, feasible, marginals)
        else:
            weights = np.prod([p[cells[:, j]] for j, p in enumerate(marginals)], axis=0) * feasible
            probabilities = weights / weights.sum()
        return Block(indices, cells[feasible], probabilities[feasible])

    def _marginal(self, attribute: int) -> np.ndarray:
        """Return the probabilities with which the levels of an attribute were drawn, hidden or not."""
        probabilities = np.array(self.attributes[attribute].probabilities)
        if self.shown and (share := self.shown.hidden[attribute]):
            probabilities *= 1 - share
            probabilities[-1] = share
        return probabilities

    def fielded(self, block: Block) -> np.ndarray:
        """Return (n_cells,) whether a policy may choose the cells of a block: it may not hide attributes."""
        limits = [len(self.attributes[a].fielded) for a in block.attributes]
        return np.all(block.cells < limits, axis=1)

    def as_shown(self, levels: np.ndarray) -> Design:
        """Return the design completed with what a survey has shown; itself where that adds nothing.

        A level, or combination of two levels, counts as never shown if the chance that this happens to any of
        them in a survey run as designed is below `FALSE_ALARM`: n combinations of which each is expected m
        times are all seen with probability of at least 1 - n exp(-m).

        Args:
            levels: (n, n_attributes) level indices of all petitions shown.
        """
        hidden = tuple(
            float((levels[:, a] == len(attribute.visible)).mean()) if len(levels) else 0.0
            for a, attribute in enumerate(self.attributes)
        )
        known = replace(self, shown=Shown(hidden))
        joints = []
        for block in known.blocks:
            if len(levels) and not self.is_declared(block):
                cells, counts = np.unique(levels[:, block.attributes], axis=0, return_counts=True)
                shares = tuple((counts / len(levels)).tolist())
                joints.append(Joint(block.attributes, tuple(map(tuple, cells.tolist())), shares))
        known = replace(self, shown=Shown(hidden, tuple(joints)))
        never = tuple(known._never_shown(levels))
        if not (any(hidden) or joints or never):
            return self
        return replace(self, shown=Shown(hidden, tuple(joints), never))

    def _never_shown(self, levels: np.ndarray) -> Iterator[Combination]:
        n = len(self.attributes)
        sizes = [len(attribute.fielded) for attribute in self.attributes]
        pairs = list(itertools.combinations(range(n), 2))
        looked_at = sum(sizes) + sum(sizes[a] * sizes[b] for a, b in pairs)
        enough = math.log(looked_at / FALSE_ALARM)
        for a in range(n):
            count = np.bincount(levels[:, a], minlength=self.shape[a])[: sizes[a]]
            expected = len(levels) * self.level_probabilities(a)[: sizes[a]]
            for level in np.flatnonzero((count == 0) & (expected > enough)):
                yield ((a, frozenset({int(level)})),)
        for a, b in pairs:
            counts = pair_counts(levels, self.shape, a, b)
            if (counts > 0).all():
                continue
            expected, _ = quasi_independent(counts, self.joint_probabilities((a, b)))
            for one, other in np.argwhere((counts == 0) & (expected > enough)):
                if one < sizes[a] and other < sizes[b]:
                    yield (a, frozenset({int(one)})), (b, frozenset({int(other)}))

    @property
    def declared(self) -> Design:
        """The design as the config says it: what was never shown belongs to it."""
        return replace(self, shown=replace(self.shown, never=())) if self.shown else self

    def is_declared(self, block: Block) -> bool:
        """Say whether the config tells how a block is drawn, and not the survey."""
        return not any(set(group) <= set(block.attributes) for group in self.dependent)

    def with_shown(self, data: Mapping[str, Any] | None) -> Design:
        """Return the design completed with `Shown.to_data` of a survey."""
        return replace(self, shown=Shown.from_data(data)) if data else self

    def only(self, kept: Sequence[int]) -> Design:
        """Return the design of some attributes (ascending), as the config says it, without what was shown."""
        place = {a: i for i, a in enumerate(kept)}
        groups = [tuple(place[a] for a in group if a in place) for group in self.dependent]
        return replace(
            self,
            attributes=tuple(self.attributes[a] for a in kept),
            prohibited=tuple(
                tuple((place[a], levels) for a, levels in combination)
                for combination in self.prohibited
                if all(a in place for a, _ in combination)
            ),
            dependent=tuple(group for group in groups if len(group) > 1),
            derived=(),
            petition_text=None,
            shown=None,
        )

    @property
    def n_feasible(self) -> int:
        """Number of petitions that a policy may choose."""
        return math.prod(int(self.fielded(block).sum()) for block in self.blocks)

    def level_probabilities(self, attribute: int) -> np.ndarray:
        """Return the marginal probability of each level of an attribute under the design."""
        block = next(b for b in self.blocks if attribute in b.attributes)
        column = block.cells[:, block.attributes.index(attribute)]
        return np.bincount(column, weights=block.probabilities, minlength=self.shape[attribute])

    def joint_probabilities(self, attributes: tuple[int, ...]) -> np.ndarray:
        """Return the joint distribution of the levels of some attributes (ascending) under the design.

        Returns:
            Array with one axis an attribute; adds up to 1. It is kept, and not to be written to.
        """
        if attributes not in self._joint:
            self._joint[attributes] = self._joint_probabilities(attributes)
            self._joint[attributes].flags.writeable = False
        return self._joint[attributes]

    @cached_property
    def _joint(self) -> dict[tuple[int, ...], np.ndarray]:
        """The joint distributions asked for so far."""
        return {}

    def _joint_probabilities(self, attributes: tuple[int, ...]) -> np.ndarray:
        joint = np.ones([1] * len(attributes))
        for block in self.blocks:
            inside = [a for a in attributes if a in block.attributes]
            if inside:
                part = np.zeros([self.shape[a] for a in inside])
                columns = tuple(block.cells[:, block.attributes.index(a)] for a in inside)
                np.add.at(part, columns, block.probabilities)
                joint = joint * part.reshape([self.shape[a] if a in inside else 1 for a in attributes])
        return joint

    def petition_ids(self, levels: np.ndarray) -> np.ndarray:
        """Return the ids of petitions given as (n, n_attributes) level indices."""
        return np.ravel_multi_index(tuple(np.asarray(levels).T), self.shape)

    def petition_levels(self, ids: np.ndarray) -> np.ndarray:
        """Return the (n, n_attributes) level indices of petition ids."""
        return np.column_stack(np.unravel_index(np.asarray(ids), self.shape))

    def is_feasible(self, levels: np.ndarray) -> np.ndarray:
        """Return for each petition whether no prohibition hits it."""
        inside = [block.cell_of(levels) >= 0 for block in self.blocks]
        return np.logical_and.reduce(inside)

    def codes(self, table: pd.DataFrame) -> np.ndarray:
        """Return (n, n_attributes) level indices of a table with one column per attribute.

        Each attribute is in one piece of memory: counting pairs of attributes takes a tenth of the time.

        Raises:
            ValueError: if a cell is missing or not a level (cleaned tables have none).
        """
        columns = []
        for attribute in self.attributes:
            column, levels = table[attribute.name], pd.Index(attribute.levels, dtype="str")
            if isinstance(column.dtype, pd.CategoricalDtype) and levels.equals(column.cat.categories):
                index = column.cat.codes.to_numpy(np.int64)
            else:
                index = levels.get_indexer(column.astype("str"))
            if (index < 0).any():
                raise ValueError(f"'{attribute.name}' holds values that are no levels")
            columns.append(index)
        return np.array(columns).T

    def frame(self, levels: np.ndarray) -> pd.DataFrame:
        """Return petitions as a table: one ordered categorical column per attribute."""
        return pd.DataFrame(
            {
                a.name: pd.Categorical.from_codes(levels[:, i], categories=list(a.levels), ordered=True)
                for i, a in enumerate(self.attributes)
            }
        )

    def draw(self, n: int, rng: np.random.Generator, fielded: bool = False) -> np.ndarray:
        """Draw n petitions from the design; returns (n, n_attributes) level indices.

        Args:
            n: number of petitions.
            rng: random numbers.
            fielded: whether only such as a policy may choose.
        """
        levels = np.empty((n, len(self.attributes)), dtype=np.int64)
        for block in self.blocks:
            probabilities = block.probabilities
            if fielded and not (open_ := self.fielded(block)).all():
                probabilities = probabilities * open_ / probabilities[open_].sum()
            cell = rng.choice(len(block.cells), size=n, p=probabilities)
            levels[:, list(block.attributes)] = block.cells[cell]
        return levels

    def texts(self, levels: np.ndarray) -> list[str]:
        """Write the text of each petition with the sandboxed template.

        Without a template the text is "attribute: level" for every attribute that is not hidden, joined by
        "; "; to a template the level of a hidden attribute is an empty text.

        Raises:
            InputError: if the template cannot be used (`nanotarget.petitions.text.render`).
        """
        petitions = [
            {
                a.name: a.levels[code] if code < len(a.visible) else ""
                for a, code in zip(self.attributes, row, strict=True)
            }
            for row in levels
        ]
        if self.petition_text is None:
            return [
                "; ".join(f"{name}: {level}" for name, level in petition.items() if level)
                for petition in petitions
            ]
        return render(self.petition_text, petitions)


def _unusable(what: str, expected: str, remedy: str) -> InputError:
    return InputError([Problem("config", "key design.prohibited", what, expected, remedy)])


def pair_counts(levels: np.ndarray, shape: Sequence[int], a: int, b: int) -> np.ndarray:
    """Return how often each combination of the levels of two attributes is among petitions."""
    pairs = levels[:, a] * shape[b] + levels[:, b]
    return np.bincount(pairs, minlength=shape[a] * shape[b]).reshape(shape[a], shape[b]).astype(np.float64)


def quasi_independent(counts: np.ndarray, seed: np.ndarray) -> tuple[np.ndarray, int]:
    """Fit the margins of a table of counts to the association of a seed table.

    Iterative proportional fitting (Deming & Stephan 1940). With a seed of products this is the
    usual independence model, with zeros in the seed quasi-independence (Goodman 1968).

    Returns:
        Expected counts, and degrees of freedom: cells minus the rank of the margins.
    """
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    fitted = seed.astype(np.float64)
    for _ in range(1000):
        for axis, margin in ((1, rows), (0, columns)):
            total = fitted.sum(axis=axis)
            factor = np.divide(margin, total, out=np.zeros_like(total), where=total > 0)
            fitted = fitted * (factor[:, None] if axis == 1 else factor)
        if np.abs(fitted.sum(axis=1) - rows).max() <= 1e-10 * counts.sum():
            break
    at_row, at_column = np.nonzero(fitted)
    margins = np.zeros((len(at_row), sum(counts.shape)))
    margins[np.arange(len(at_row)), at_row] = 1
    margins[np.arange(len(at_row)), counts.shape[0] + at_column] = 1
    return fitted, len(at_row) - (int(np.linalg.matrix_rank(margins)) if len(at_row) else 0)


def _sequential_probabilities(
    cells: np.ndarray, feasible: np.ndarray, marginals: Sequence[np.ndarray]
) -> np.ndarray:
    """Probability of each cell when attributes are drawn in order among the levels still allowed."""
    probabilities = np.where(feasible, 1.0, 0.0)
    for j in range(cells.shape[1]):
        allowed: dict[tuple[int, ...], set[int]] = {}
        for cell in cells[feasible]:
            allowed.setdefault(tuple(cell[:j]), set()).add(int(cell[j]))
        for row in np.flatnonzero(feasible):
            open_levels = allowed[tuple(cells[row, :j])]
            total = sum(marginals[j][level] for level in open_levels)
            probabilities[row] *= marginals[j][cells[row, j]] / total
    return probabilities


DESIGN_COLUMNS = ("attribute", "level", "probability", "example", "petition_text")


def overview(design: Design, seed: int) -> pd.DataFrame:
    """Return the design at a glance, with one petition as a respondent could have seen it.

    Args:
        design: the petitions.
        seed: root seed; the example is drawn from the design.

    Returns:
        `DESIGN_COLUMNS`, one row per level in config order; `probability` with which the design shows it;
        the levels of the example have `example` true and its text, which is empty in other rows.
    """
    levels = design.draw(1, child_rng(seed, "design/example"))
    text = design.texts(levels)[0]
    rows = [
        (attribute.name, level, probability, code == chosen, text if code == chosen else "")
        for a, (attribute, chosen) in enumerate(zip(design.attributes, levels[0], strict=True))
        for code, (level, probability) in enumerate(
            zip(attribute.levels, design.level_probabilities(a), strict=True)
        )
    ]
    return pd.DataFrame(rows, columns=list(DESIGN_COLUMNS))
