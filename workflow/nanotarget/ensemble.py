"""Tree ensembles, scored exactly: everyone against every petition without visiting the pairs.

**Leaves.** A sum of trees predicts f(z, p) = offset + sum_l w_l 1[z in B_l] 1[p in S_l], one term a
leaf l. The splits on the way to it fall apart into those on covariates, a box B_l (a conjunction of
z_j <= t and z_j > t), and those on attributes, a product set S_l = S_l1 x ... x S_lA of allowed levels
(a bitmask an attribute). With D posterior draws the mean divides w_l by D.

**Condition.** Hundreds of thousands of leaves share few thousand product sets and not many more boxes. With
w_SB the sum of the weights of all leaves with product set S and box B, what remains of the ensemble for
respondent i is one weight a product set,

    W_S(i) = sum_B w_SB 1[z_i in B],      a sparse matrix times a 0/1 matrix.

**Tables.** A product set restricts only some attributes U. All sets of the same U add up in one small
table over the levels of U (again a sparse matrix), so f(z_i, .) = offset + sum_U T_U[p_U].

**Expansion.** Tables are merged pairwise by broadcasting, each time the two whose union is smallest, until
one table over the whole grid is left: a table inside another one costs next to nothing, and few additions
have the size of the grid (the idea of Yates 1937 and of fast zeta transforms: sums over subsets share
partial sums). A table of minus infinity marks the cells that a prohibition removes. All steps are
linear in the weights, so the mean over a population is one expansion of the mean weights.

Sums run in float64 or float32; nothing else is approximated. Ties go to the lowest petition id.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from nanotarget.design import Design

# Bitmasks are signed 64-bit integers (Parquet and numpy both know them).
MAX_LEVELS = 62
# Numbers of one chunk of respondents that are in memory at once: in weights, and in each of few grids.
CHUNK_NUMBERS = 4_000_000
GRID_NUMBERS = 16_000_000


@dataclass(frozen=True)
class Inputs:
    """What the columns of a tree model's matrix mean.

    Attributes:
        covariate: (n_columns,) index of the covariate that a column holds; -1: it tells a level.
        attribute: (n_columns,) index of the attribute that a column depends on; -1: none.
        codes: (n_columns, most levels) value of the column at each level; NaN beyond the last.
    """

    covariate: np.ndarray
    attribute: np.ndarray
    codes: np.ndarray

    @classmethod
    def indicators(cls, shape: Sequence[int], n_covariates: int) -> Inputs:
        """One 0/1 column a level of each attribute in order, then the covariates."""
        attribute = np.repeat(np.arange(len(shape)), shape)
        levels = np.concatenate([np.arange(size) for size in shape])
        inside = np.arange(max(shape)) < np.array(shape)[attribute][:, None]
        codes = np.where(inside, np.arange(max(shape)) == levels[:, None], np.nan)
        return cls._with_covariates(attribute, codes, n_covariates)

    @classmethod
    def level_indices(cls, shape: Sequence[int], n_covariates: int) -> Inputs:
        """One column of level indices an attribute (ordered or categorical), then the covariates."""
        levels = np.arange(max(shape), dtype=float)
        codes = np.where(levels < np.array(shape)[:, None], levels, np.nan)
        return cls._with_covariates(np.arange(len(shape)), codes, n_covariates)

    @classmethod
    def _with_covariates(cls, attribute: np.ndarray, codes: np.ndarray, n_covariates: int) -> Inputs:
        none = np.full(n_covariates, -1)
        return cls(
            np.concatenate([np.full(len(attribute), -1), np.arange(n_covariates)]),
            np.concatenate([attribute, none]),
            np.concatenate([codes, np.full((n_covariates, codes.shape[1]), np.nan)]),
        )

    def matrix(self, covariates: np.ndarray, petitions: np.ndarray) -> np.ndarray:
        """Return the (n, n_columns) matrix of respondents' covariates beside petitions, row by row."""
        own = self.covariate >= 0
        matrix = np.empty((len(petitions), len(own)))
        matrix[:, own] = covariates[:, self.covariate[own]]
        matrix[:, ~own] = self.codes[np.flatnonzero(~own), petitions[:, self.attribute[~own]]]
        return matrix


@dataclass(frozen=True)
class Nodes:
    """Nodes of all trees of an ensemble; a leaf is where `left` is -1.

    Attributes:
        tree_draw: (n_trees,) draw that a tree belongs to.
        root: (n_trees,) index of its root.
        left, right: (n_nodes,) index of the child when the condition holds, when it does not.
        column: (n_nodes,) column that the node splits on.
        threshold: (n_nodes,) the condition is ``value <= threshold``, unless:
        categories: (n_nodes,) nonzero: ... the column's integer code is among these bits.
        value: (n_nodes,) what a leaf adds.
    """

    tree_draw: np.ndarray
    root: np.ndarray
    left: np.ndarray
    right: np.ndarray
    column: np.ndarray
    threshold: np.ndarray
    categories: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class Ensemble:
    """A sum of trees as leaves: flat arrays only.

    Attributes:
        shape: number of levels of each attribute.
        n_covariates: number of covariates that respondents have.
        n_draws: posterior draws; predictions are means over them.
        offset: added to every prediction.
        draw, weight: (n_leaves,) draw and value of each leaf (in units of the outcome).
        product, box: (n_leaves,) index into `products` and `boxes`.
        products: (n_products, n_attributes) bitmask of the levels that each attribute may have.
        boxes: (n_boxes, depth) signed cuts that all hold: +k is ``z <= t`` of cut k - 1, -k is
            ``z > t``; 0 is none.
        cut_covariate, cut_value: (n_cuts,) j and t of each cut.
    """

    shape: tuple[int, ...]
    n_covariates: int
    n_draws: int
    offset: float
    draw: np.ndarray
    weight: np.ndarray
    product: np.ndarray
    box: np.ndarray
    products: np.ndarray
    boxes: np.ndarray
    cut_covariate: np.ndarray
    cut_value: np.ndarray

    def of_draws(self, draws: Sequence[int]) -> Ensemble:
        """Return the ensemble of some of the posterior draws (for uncertainty)."""
        kept = np.isin(self.draw, list(draws))
        leaves = {name: getattr(self, name)[kept] for name in ("draw", "weight", "product", "box")}
        return replace(self, n_draws=len(set(draws)), **leaves)

    @cached_property
    def pooled(self) -> sparse.csr_array:
        """(n_products, n_boxes) weights w_SB, means over draws."""
        shape = (len(self.products), len(self.boxes))
        return sparse.coo_array((self.weight / self.n_draws, (self.product, self.box)), shape=shape).tocsr()

    @cached_property
    def layout(self) -> tuple[tuple[tuple[int, ...], ...], np.ndarray, sparse.csr_array]:
        """Tables: their attributes, offsets of their cells, and the 0/1 matrix from products to cells."""
        return _layout(self.products, self.shape)

    def to_tables(self) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
        """Return the ensemble as data: one row a leaf, one row a cut, a mapping for JSON."""
        leaves = pd.DataFrame({"draw": self.draw, "weight": self.weight})
        for j in range(len(self.shape)):
            leaves[f"levels_{j}"] = self.products[self.product, j]
        for d in range(self.boxes.shape[1]):
            leaves[f"cut_{d}"] = self.boxes[self.box, d]
        cuts = pd.DataFrame({"covariate": self.cut_covariate, "value": self.cut_value})
        settings = {
            "format": "ensemble",
            "shape": list(self.shape),
            "n_covariates": self.n_covariates,
            "n_draws": self.n_draws,
            "offset": self.offset,
        }
        return leaves, cuts, settings

    @classmethod
    def from_tables(cls, leaves: pd.DataFrame, cuts: pd.DataFrame, settings: Mapping[str, Any]) -> Ensemble:
        """Rebuild an ensemble from `to_tables`; nothing is executed."""
        masks = leaves[[f"levels_{j}" for j in range(len(settings["shape"]))]].to_numpy(np.int64)
        signed = leaves[[name for name in leaves if name.startswith("cut_")]].to_numpy(np.int32)
        products, product = _unique_rows(masks)
        boxes, box = _unique_rows(signed)
        return cls(
            tuple(settings["shape"]),
            settings["n_covariates"],
            settings["n_draws"],
            settings["offset"],
            leaves["draw"].to_numpy(np.int32),
            leaves["weight"].to_numpy(np.float64),
            product,
            box,
            products,
            boxes,
            cuts["covariate"].to_numpy(np.int32),
            cuts["value"].to_numpy(np.float64),
        )


def _unique_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows in lexical order and the (int32) index of each row among them."""
    if not rows.shape[1] or not len(rows):
        return rows[:1], np.zeros(len(rows), dtype=np.int32)
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    first = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])
    index = np.empty(len(rows), dtype=np.int32)
    index[order] = np.cumsum(first) - 1
    return ordered[first], index


def from_nodes(
    nodes: Nodes,
    inputs: Inputs,
    shape: Sequence[int],
    n_covariates: int,
    n_draws: int,
    offset: float = 0.0,
    scale: float = 1.0,
) -> Ensemble:
    """Turn trees into leaves by walking down all of them at once, one depth at a time.

    Raises:
        ValueError: if an attribute has too many levels, or a covariate is split by categories.
    """
    if max(shape) > MAX_LEVELS:
        raise ValueError(f"an attribute may have at most {MAX_LEVELS} levels")
    split = nodes.left >= 0
    # A pruned node may keep the column of the split that it once had: only `left` tells a leaf.
    column = np.where(split, nodes.column, 0)
    by_covariate = split & (inputs.covariate[column] >= 0)
    if (by_covariate & (nodes.categories != 0)).any():
        raise ValueError("a tree splits a covariate by categories; give covariates as numbers")
    cuts, cut = _unique_rows(
        np.column_stack([inputs.covariate[column], nodes.threshold]).astype(float)[by_covariate]
    )
    node_cut = np.zeros(len(split), dtype=np.int32)
    node_cut[by_covariate] = cut + 1
    # Levels that go left at a node that splits an attribute.
    going_left = np.zeros(len(split), dtype=np.int64)
    for level in range(max(shape)):
        code = inputs.codes[column, level]
        bit = np.int64(1) << np.nan_to_num(code).astype(np.int64)
        left = np.where(nodes.categories != 0, (nodes.categories & bit) != 0, code <= nodes.threshold)
        going_left |= np.where(left & ~np.isnan(code), 1 << level, 0)
    attribute = inputs.attribute[column]

    node = np.asarray(nodes.root)
    draw = np.asarray(nodes.tree_draw, dtype=np.int32)
    full = np.array([(1 << size) - 1 for size in shape])
    masks = np.repeat(full[None, :], len(node), axis=0)
    signed = np.zeros((len(node), 0), dtype=np.int32)
    found: list[tuple[np.ndarray, ...]] = []
    while len(node):
        leaf = ~split[node]
        found.append((draw[leaf], nodes.value[node[leaf]], masks[leaf], signed[leaf]))
        node, draw, masks, signed = node[~leaf], draw[~leaf], masks[~leaf], signed[~leaf]
        ties = by_covariate[node]
        rows, columns = np.flatnonzero(~ties), attribute[node[~ties]]
        sides = []
        for child, sign in ((nodes.left, 1), (nodes.right, -1)):
            allowed = going_left[node[~ties]]
            below = masks.copy()
            below[rows, columns] &= allowed if sign > 0 else ~allowed
            cut_here = np.where(ties, sign * node_cut[node], 0)[:, None].astype(np.int32)
            alive = (below > 0).all(axis=1)
            sides.append(
                (child[node][alive], draw[alive], below[alive], np.hstack([signed, cut_here])[alive])
            )
        node, draw, masks, signed = (np.concatenate(pair) for pair in zip(*sides, strict=True))
    deepest = max(part[3].shape[1] for part in found)
    boxes = np.concatenate([np.pad(part[3], ((0, 0), (0, deepest - part[3].shape[1]))) for part in found])
    # The order of the cuts does not matter: sort them, so that equal boxes are equal rows.
    boxes = -np.sort(-np.abs(boxes) * 2 - (boxes < 0), axis=1)
    boxes = np.where(boxes % 2 == 1, -(boxes // 2), boxes // 2)
    boxes[:, 1:][boxes[:, 1:] == boxes[:, :-1]] = 0
    boxes = boxes[:, (boxes != 0).any(axis=0)]
    products, product = _unique_rows(np.concatenate([part[2] for part in found]))
    boxes, box = _unique_rows(boxes)
    return Ensemble(
        tuple(shape),
        n_covariates,
        n_draws,
        float(offset),
        np.concatenate([part[0] for part in found]),
        np.concatenate([part[1] for part in found]) * scale,
        product,
        box,
        products,
        boxes,
        cuts[:, 0].astype(np.int32),
        cuts[:, 1],
    )


def from_stochtree(model: Any, inputs: Inputs, shape: Sequence[int], n_covariates: int) -> Ensemble:
    """Read the mean forest of a sampled `stochtree.BARTModel` (its linear predictor, for probit too).

    The trees are asked for node by node: the model's JSON text of 100,000 trees would fill the memory.

    Args:
        model: trained on a numpy matrix with the columns of `inputs`.
    """
    forests = model.forest_container_mean.forest_container_cpp
    if forests.OutputDimension() != 1 or not model.forest_container_mean.leaf_constant:
        raise ValueError("only forests with one constant a leaf can be read")
    n_draws, n_trees = forests.NumSamples(), forests.NumTrees()
    left: list[int] = []
    right: list[int] = []
    column: list[int] = []
    number: list[float] = []  # threshold of a split, value of a leaf
    categories: dict[int, int] = {}
    roots = np.empty(n_draws * n_trees, dtype=np.int64)
    child, other = forests.LeftChildNode, forests.RightChildNode
    index, threshold, value = forests.SplitIndex, forests.SplitThreshold, forests.NodeLeafValues
    is_numeric = forests.IsNumericSplitNode
    for draw in range(n_draws):
        for tree in range(n_trees):
            roots[draw * n_trees + tree] = len(left)
            pending = [(0, -1, True)]
            while pending:
                node, parent, is_left = pending.pop()
                here = len(left)
                if parent >= 0:
                    (left if is_left else right)[parent] = here
                below = child(draw, tree, node)
                left.append(-1)
                right.append(-1)
                if below == -1:
                    column.append(-1)
                    number.append(value(draw, tree, node)[0])
                    continue
                column.append(index(draw, tree, node))
                if is_numeric(draw, tree, node):
                    number.append(threshold(draw, tree, node))
                else:
                    number.append(np.nan)
                    categories[here] = _bits(forests.SplitCategories(draw, tree, node))
                pending.append((other(draw, tree, node), here, False))
                pending.append((below, here, True))
    masks = np.zeros(len(left), dtype=np.int64)
    masks[list(categories)] = list(categories.values())
    numbers = np.array(number)
    nodes = Nodes(
        tree_draw=np.repeat(np.arange(n_draws), n_trees),
        root=roots,
        left=np.array(left),
        right=np.array(right),
        column=np.array(column),
        threshold=numbers,
        categories=masks,
        value=numbers,
    )
    return from_nodes(nodes, inputs, shape, n_covariates, n_draws, float(model.y_bar), float(model.y_std))


def from_lightgbm(
    dump: Mapping[str, Any], inputs: Inputs, shape: Sequence[int], n_covariates: int
) -> Ensemble:
    """Read the raw score of a boosted ensemble from `Booster.dump_model()`.

    Raises:
        ValueError: if zeros count as missing, or leaves are linear.
    """
    rows: list[tuple[int, int, int, float, int, float]] = []  # left, right, column, threshold, bits, value

    def walk(node: Mapping[str, Any]) -> int:
        here = len(rows)
        if "split_feature" not in node:
            if "leaf_coeff" in node:
                raise ValueError("only constant leaves can be read")
            rows.append((-1, -1, -1, np.nan, 0, node["leaf_value"]))
            return here
        if node["missing_type"] == "Zero":
            raise ValueError("zeros that count as missing values cannot be read")
        rows.append((-1, -1, -1, np.nan, 0, 0.0))
        categorical = node["decision_type"] == "=="
        threshold = np.nan if categorical else float(node["threshold"])
        bits = _bits(map(int, str(node["threshold"]).split("||"))) if categorical else 0
        left, right = walk(node["left_child"]), walk(node["right_child"])
        rows[here] = (left, right, node["split_feature"], threshold, bits, 0.0)
        return here

    roots = np.array([walk(tree["tree_structure"]) for tree in dump["tree_info"]])
    left, right, column, threshold, bits, value = (np.array(part) for part in zip(*rows, strict=True))
    scale = 1 / len(roots) if dump.get("average_output") else 1.0
    nodes = Nodes(np.zeros(len(roots), dtype=int), roots, left, right, column, threshold, bits, value)
    return from_nodes(nodes, inputs, shape, n_covariates, n_draws=1, scale=scale)


def _bits(codes: Any) -> int:
    """Return the integer whose bits are the given codes."""
    return sum(1 << int(code) for code in codes)


def _inside(ensemble: Ensemble, covariates: np.ndarray) -> np.ndarray:
    """Return the (n_boxes, n) booleans: is a respondent in a box?"""
    holds = ensemble.cut_value[:, None] >= covariates[:, ensemble.cut_covariate].T
    packed = np.packbits(holds, axis=1)
    # Row 0: no cut; rows k and -k: cut k - 1 holds, does not hold.
    signed = np.concatenate([np.full_like(packed, 255, shape=(1, packed.shape[1])), packed, ~packed[::-1]])
    inside = np.broadcast_to(signed[:1], (len(ensemble.boxes), packed.shape[1])).copy()
    for cut in ensemble.boxes.T:
        inside &= signed[cut]
    return np.unpackbits(inside, axis=1, count=len(covariates)).view(bool)


def condition(ensemble: Ensemble, covariates: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
    """Return the (n_products, n) weight that each product set has for each respondent.

    Args:
        covariates: (n, n_covariates) numbers without missing values.

    Raises:
        ValueError: if the covariates have another shape or hold missing values.
    """
    if covariates.ndim != 2 or covariates.shape[1] != ensemble.n_covariates:
        raise ValueError(f"covariates of shape {covariates.shape}, {ensemble.n_covariates} columns expected")
    if np.isnan(covariates).any():
        raise ValueError("covariates must not be missing; encode them first")
    weights = ensemble.pooled.astype(dtype)
    out = np.empty((len(ensemble.products), len(covariates)), dtype=dtype)
    step = max(1, CHUNK_NUMBERS // max(1, len(ensemble.boxes)))
    for start in range(0, len(covariates), step):
        inside = _inside(ensemble, covariates[start : start + step])
        out[:, start : start + step] = weights @ inside.astype(dtype)
    return out


def predict(
    ensemble: Ensemble, covariates: np.ndarray, petitions: np.ndarray, dtype: Any = np.float64
) -> np.ndarray:
    """Return the (n,) prediction for one petition a respondent.

    Args:
        covariates: (n, n_covariates) numbers.
        petitions: (n, n_attributes) level indices.
    """
    out = np.empty(len(covariates), dtype=dtype)
    step = max(1, CHUNK_NUMBERS // max(1, len(ensemble.products)))
    for start in range(0, len(covariates), step):
        rows = slice(start, start + step)
        weights = condition(ensemble, covariates[rows], dtype)
        inside = ((ensemble.products[:, None, :] >> petitions[rows]) & 1).all(axis=2)
        out[rows] = np.einsum("si,si->i", weights, inside) + dtype(ensemble.offset)
    return out


def _layout(
    products: np.ndarray, shape: tuple[int, ...]
) -> tuple[tuple[tuple[int, ...], ...], np.ndarray, sparse.csr_array]:
    """Lay out one table for each set of attributes that products restrict."""
    full = np.array([(1 << size) - 1 for size in shape])
    restricted, table = _unique_rows((products != full).astype(np.int8))
    subsets = tuple(tuple(np.flatnonzero(row).tolist()) for row in restricted)
    sizes = [math.prod(shape[a] for a in subset) for subset in subsets]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    rows, columns = [], []
    for t, subset in enumerate(subsets):
        members = np.flatnonzero(table == t)
        levels = np.indices([shape[a] for a in subset]).reshape(len(subset), sizes[t])
        allowed = np.ones((len(members), sizes[t]), dtype=bool)
        for j, a in enumerate(subset):
            allowed &= ((products[members, a][:, None] >> levels[j]) & 1).astype(bool)
        member, cell = np.nonzero(allowed)
        rows.append(offsets[t] + cell)
        columns.append(members[member])
    row, column = np.concatenate(rows), np.concatenate(columns)
    matrix = sparse.coo_array((np.ones(len(row)), (row, column)), shape=(offsets[-1], len(products)))
    return subsets, offsets, matrix.tocsr()


def _merge_plan(subsets: Sequence[tuple[int, ...]], shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return which two tables to add next, always those whose union is smallest; results are appended."""
    open_tables = {i: frozenset(subset) for i, subset in enumerate(subsets)}
    plan = []
    size = {a: math.log(n) for a, n in enumerate(shape)}
    while len(open_tables) > 1:
        names = list(open_tables)
        _, first, second = min(
            (sum(size[a] for a in open_tables[i] | open_tables[j]), i, j)
            for k, i in enumerate(names)
            for j in names[k + 1 :]
        )
        plan.append((first, second))
        union = open_tables.pop(first) | open_tables.pop(second)
        open_tables[len(subsets) + len(plan) - 1] = union
    return plan


class Expansion:
    """Weights of product sets to predictions on the whole grid; -inf at petitions that are prohibited."""

    def __init__(self, ensemble: Ensemble, design: Design, dtype: Any = np.float64) -> None:
        """Plan the merges once.

        Raises:
            ValueError: if the design has other numbers of levels than the ensemble.
        """
        if design.shape != ensemble.shape:
            raise ValueError("the ensemble belongs to a design with other levels")
        self.shape, self.dtype = design.shape, dtype
        subsets, self.offsets, matrix = ensemble.layout
        self.matrix = matrix.astype(dtype)
        self.offset = dtype(ensemble.offset)
        fixed = []
        for block in design.blocks:
            table = np.full([design.shape[a] for a in block.attributes], -np.inf, dtype)
            table[tuple(block.cells.T)] = 0
            if np.isinf(table).any():
                fixed.append((block.attributes, table))
        everything = tuple(range(len(design.shape)))
        self.subsets = [*subsets, *(attributes for attributes, _ in fixed), ()]
        self.fixed = [table for _, table in fixed]
        self.plan = _merge_plan(self.subsets, design.shape)
        self.whole = everything

    @property
    def n_cells(self) -> int:
        """Number of cells of the full grid."""
        return math.prod(self.shape)

    def _shaped(self, table: np.ndarray, subset: tuple[int, ...], n: int) -> np.ndarray:
        """View a table as an array over all attributes (length 1 where it does not vary) and respondents."""
        return table.reshape([self.shape[a] if a in subset else 1 for a in self.whole] + [n])

    def grid(self, weights: np.ndarray, sign: int = 1) -> np.ndarray:
        """Return (n_cells, n) predictions times `sign`, in the order of petition ids.

        Args:
            weights: (n_products, n) from `condition`, or means over respondents.
        """
        n = weights.shape[1]
        cells = sign * (self.matrix @ weights)
        tables: list[Any] = [
            self._shaped(cells[start:stop], subset, n)
            for subset, start, stop in zip(self.subsets, self.offsets[:-1], self.offsets[1:], strict=False)
        ]
        tables += [
            self._shaped(table, self.subsets[len(tables) + k], 1) for k, table in enumerate(self.fixed)
        ]
        tables.append(np.full([1] * len(self.shape) + [n], sign * self.offset, self.dtype))
        for first, second in self.plan:
            a, b = tables[first], tables[second]
            tables[first] = tables[second] = None
            tables.append(a + b)
        whole = np.broadcast_to(tables[-1], (*self.shape, n))
        return whole.reshape(self.n_cells, n)


def best_petitions(
    ensemble: Ensemble,
    covariates: np.ndarray,
    design: Design,
    worst: bool = False,
    dtype: Any = np.float64,
) -> tuple[np.ndarray, np.ndarray]:
    """Return each respondent's feasible petition of highest prediction.

    Args:
        covariates: (n, n_covariates) numbers.
        worst: the lowest prediction instead (dissuasion).
        dtype: numpy.float64, or numpy.float32 for half of the time.

    Returns:
        (n, n_attributes) level indices and (n,) predictions; ties go to the lowest id.
    """
    expansion = Expansion(ensemble, design, dtype)
    ids = np.empty(len(covariates), dtype=np.int64)
    values = np.empty(len(covariates), dtype=dtype)
    sign = -1 if worst else 1
    for rows, weights in _conditioned(ensemble, covariates, expansion):
        grid = expansion.grid(weights, sign)
        # Two levels of search: one pass over the grid finds each segment's maximum.
        segments = grid.reshape(design.shape[0], -1, grid.shape[1])
        highest = segments.max(axis=1)
        segment = highest.argmax(axis=0)
        people = np.arange(grid.shape[1])
        within = segments[segment, :, people].argmax(axis=1)
        ids[rows] = segment * segments.shape[1] + within
        values[rows] = sign * highest[segment, people]
    return design.petition_levels(ids), values


def _conditioned(
    ensemble: Ensemble, covariates: np.ndarray, expansion: Expansion
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (rows, weights) of respondents, few enough that their grids fit into bounded memory."""
    step = min(64, max(1, GRID_NUMBERS // expansion.n_cells))
    many = step * max(1, CHUNK_NUMBERS // (step * max(1, len(ensemble.products))))
    for start in range(0, len(covariates), many):
        weights = condition(ensemble, covariates[start : start + many], expansion.dtype)
        for inner in range(0, weights.shape[1], step):
            rows = slice(start + inner, min(start + inner + step, start + weights.shape[1]))
            yield rows, weights[:, inner : inner + step]


def landscape(
    ensemble: Ensemble, covariates: np.ndarray, design: Design, dtype: Any = np.float64
) -> np.ndarray:
    """Return the (n, n_cells) predictions of few respondents for all petitions; -inf where prohibited."""
    return Expansion(ensemble, design, dtype).grid(condition(ensemble, covariates, dtype)).T


def mean_landscape(
    ensemble: Ensemble, covariates: np.ndarray, weight: np.ndarray, design: Design
) -> np.ndarray:
    """Return the (n_cells,) mean prediction of each petition in a population; -inf where prohibited.

    Its argmax is the overall-best petition. The respondents' weights are averaged before the one expansion.

    Args:
        weight: (n,) survey weights.
    """
    share = weight / weight.sum()
    mean = np.zeros((len(ensemble.products), 1))
    step = max(1, CHUNK_NUMBERS // max(1, len(ensemble.products)))
    for start in range(0, len(covariates), step):
        rows = slice(start, start + step)
        mean[:, 0] += condition(ensemble, covariates[rows]) @ share[rows]
    return Expansion(ensemble, design).grid(mean)[:, 0]
