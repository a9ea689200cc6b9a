"""The factorial design: attributes, feasible petitions, level probabilities, petition texts.

A petition is an array of level indices, one per attribute in config order. Its id is its index in
the *full* grid in row-major order (the last attribute varies fastest), so it stays the same when
rows are permuted or a combination becomes prohibited.

Attributes that a prohibition ties together form a *block*; all other attributes are blocks of
one. Blocks are drawn independently of each other, so everything exact about policies (argmax,
weights, grid size) factorises over blocks and the whole grid is never enumerated.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from nanotarget.petitions.text import render
from nanotarget.study.config import DesignConfig, normalised
from nanotarget.study.problems import InputError, Problem
from nanotarget.study.seeds import child_rng


@dataclass(frozen=True)
class Attribute:
    """One dimension of a petition. `levels` are texts; the first is the reference."""

    name: str
    levels: tuple[str, ...]
    column: str
    probabilities: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.levels)


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
        radix = (
            np.maximum(self.cells.max(axis=0), levels[:, list(self.attributes)].max(axis=0, initial=0)) + 1
        )
        table = np.full(radix, -1)
        table[tuple(self.cells.T)] = np.arange(len(self.cells))
        return table[tuple(levels[:, a] for a in self.attributes)]

    def functions(self, order: int = 1) -> np.ndarray:
        """Return an orthonormal basis of the functions of the block that have order at most `order`.

        They are linear combinations of indicators of all level combinations of at most `order` attributes,
        have mean zero, variance 1 and no correlation with each other under the design.

        Returns:
            (n_cells, rank) values.
        """
        columns = []
        for size in range(1, min(order, len(self.attributes)) + 1):
            for members in itertools.combinations(range(len(self.attributes)), size):
                _, code = np.unique(self.cells[:, members], axis=0, return_inverse=True)
                columns.append(np.eye(code.max() + 1)[code.ravel()])
        indicators = np.hstack(columns)
        centred = indicators - self.probabilities @ indicators
        variance, direction = np.linalg.eigh(centred.T @ (centred * self.probabilities[:, None]))
        # Indicators of an attribute add up to 1, so some variances are zero but for rounding (1e-16).
        kept = variance > 1e-10 * max(variance.max(), np.finfo(float).tiny)
        return centred @ (direction[:, kept] / np.sqrt(variance[kept]))


@dataclass(frozen=True)
class Design:
    """The petitions of a study.

    Attributes:
        attributes: in config order.
        prohibited: each a mapping from attribute index to the level indices whose combinations
            are impossible.
        randomisation: "rejection" (a prohibited draw is repeated as a whole) or "sequential"
            (attributes drawn in order, each among the levels that earlier draws still allow).
        petition_text: Jinja2 template or None.
    """

    attributes: tuple[Attribute, ...]
    prohibited: tuple[tuple[tuple[int, frozenset[int]], ...], ...] = ()
    randomisation: str = "rejection"
    petition_text: str | None = None

    @classmethod
    def from_config(cls, config: DesignConfig) -> Design:
        """Build the design from the config's section."""
        attributes = tuple(
            Attribute(
                name=a.name,
                levels=tuple(str(level) for level in a.levels),
                column=a.column or a.name,
                probabilities=tuple(a.probabilities or [1 / len(a.levels)] * len(a.levels)),
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
        return cls(attributes, prohibited, config.randomisation, config.petition_text)

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
            InputError: if the prohibitions leave no petition.
        """
        group = list(range(len(self.attributes)))
        for combination in self.prohibited:
            tied = {group[i] for i, _ in combination}
            group = [min(tied) if g in tied else g for g in group]
        members = [tuple(i for i, g in enumerate(group) if g == root) for root in sorted(set(group))]
        return tuple(self._block(indices) for indices in members)

    def _block(self, indices: tuple[int, ...]) -> Block:
        cells = np.array(list(itertools.product(*(range(self.shape[i]) for i in indices))))
        feasible = np.ones(len(cells), dtype=bool)
        for combination in self.prohibited:
            if combination[0][0] in indices:
                hit = np.ones(len(cells), dtype=bool)
                for attribute, levels in combination:
                    hit &= np.isin(cells[:, indices.index(attribute)], list(levels))
                feasible &= ~hit
        if not feasible.any():
            names = ", ".join(self.names[i] for i in indices)
            raise InputError(
                [
                    Problem(
                        "config",
                        "key design.prohibited",
                        f"no combination of {names} is left",
                        "at least one feasible petition",
                        "remove a prohibition",
                    )
                ]
            )
        marginals = [np.array(self.attributes[i].probabilities) for i in indices]
        if self.randomisation == "sequential":
            probabilities = _sequential_probabilities(cells, feasible, marginals)
        else:
            weights = np.prod([p[cells[:, j]] for j, p in enumerate(marginals)], axis=0) * feasible
            probabilities = weights / weights.sum()
        return Block(indices, cells[feasible], probabilities[feasible])

    @property
    def n_feasible(self) -> int:
        """Number of feasible petitions."""
        return int(np.prod([len(block.cells) for block in self.blocks], dtype=object))

    def level_probabilities(self, attribute: int) -> np.ndarray:
        """Return the marginal probability of each level of an attribute under the design."""
        block = next(b for b in self.blocks if attribute in b.attributes)
        column = block.cells[:, block.attributes.index(attribute)]
        return np.bincount(column, weights=block.probabilities, minlength=self.shape[attribute])

    def joint_probabilities(self, attributes: tuple[int, ...]) -> np.ndarray:
        """Return the joint distribution of the levels of some attributes (ascending) under the design.

        Returns:
            Array with one axis an attribute; adds up to 1.
        """
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

        Raises:
            ValueError: if a cell is missing or not a level (cleaned tables have none).
        """
        columns = []
        for attribute in self.attributes:
            index = pd.Index(attribute.levels).get_indexer(table[attribute.name].astype("str"))
            if (index < 0).any():
                raise ValueError(f"'{attribute.name}' holds values that are no levels")
            columns.append(index)
        return np.column_stack(columns)

    def frame(self, levels: np.ndarray) -> pd.DataFrame:
        """Return petitions as a table: one ordered categorical column per attribute."""
        return pd.DataFrame(
            {
                a.name: pd.Categorical.from_codes(levels[:, i], categories=list(a.levels), ordered=True)
                for i, a in enumerate(self.attributes)
            }
        )

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw n petitions from the design; returns (n, n_attributes) level indices."""
        levels = np.empty((n, len(self.attributes)), dtype=np.int64)
        for block in self.blocks:
            cell = rng.choice(len(block.cells), size=n, p=block.probabilities)
            levels[:, list(block.attributes)] = block.cells[cell]
        return levels

    def texts(self, levels: np.ndarray) -> list[str]:
        """Write the text of each petition with the sandboxed template.

        Without a template the text is "attribute: level" for every attribute, joined by "; ".

        Raises:
            InputError: if the template cannot be used (`nanotarget.petitions.text.render`).
        """
        petitions = [
            {a.name: a.levels[code] for a, code in zip(self.attributes, row, strict=True)} for row in levels
        ]
        if self.petition_text is None:
            return [
                "; ".join(f"{name}: {level}" for name, level in petition.items()) for petition in petitions
            ]
        return render(self.petition_text, petitions)


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
