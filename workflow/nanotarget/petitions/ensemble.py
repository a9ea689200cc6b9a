"""Tree ensembles as sums of leaves, and what is left of them for a respondent.

**Leaves.** A sum of trees predicts f(z, p) = offset + sum_l w_l 1[z in B_l] 1[p in S_l], one term a
leaf l. The splits on the way to it fall apart into those on covariates, a box B_l (a conjunction of
z_j <= t and z_j > t), and those on attributes, a product set S_l = S_l1 x ... x S_lA of allowed levels
(a bitmask an attribute). With D posterior draws the mean divides w_l by D.

**Condition.** Hundreds of thousands of leaves share few thousand product sets and not many more boxes. With
w_SB the sum of the weights of all leaves with product set S and box B, what remains of the ensemble for
respondent i is one weight a product set,

    W_S(i) = sum_B w_SB 1[z_i in B],      a sparse matrix times a 0/1 matrix.

**Tables.** A product set restricts only some attributes U. All sets of the same U add up in one small
table over the levels of U (again a sparse matrix): the form of `utilities`, which `score` expands over the
whole grid. All steps are linear in the weights, so the mean over a population needs one expansion.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from nanotarget.petitions.design import Design
from nanotarget.petitions.utilities import CHUNK_NUMBERS, Chunk, Layout, Utilities

# Bitmasks are signed 64-bit integers (Parquet and numpy both know them).
MAX_LEVELS = 62


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
        """One 0/1 column per level of each attribute in order, then the covariates."""
        attribute = np.repeat(np.arange(len(shape)), shape)
        levels = np.concatenate([np.arange(size) for size in shape])
        inside = np.arange(max(shape)) < np.array(shape)[attribute][:, None]
        codes = np.where(inside, np.arange(max(shape)) == levels[:, None], np.nan)
        return cls._with_covariates(attribute, codes, n_covariates)

    @classmethod
    def level_indices(cls, shape: Sequence[int], n_covariates: int) -> Inputs:
        """One column of level indices per attribute (ordered or categorical), then the covariates."""
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
        products, product = np.unique(self.product[kept], return_inverse=True)
        boxes, box = np.unique(self.box[kept], return_inverse=True)
        return replace(
            self,
            n_draws=len(set(draws)),
            draw=self.draw[kept],
            weight=self.weight[kept],
            product=product,
            box=box,
            products=self.products[products],
            boxes=self.boxes[boxes],
        )

    @cached_property
    def pooled(self) -> sparse.csr_array:
        """(n_products, n_boxes) weights w_SB, means over draws."""
        shape = (len(self.products), len(self.boxes))
        return sparse.coo_array((self.weight / self.n_draws, (self.product, self.box)), shape=shape).tocsr()

    @cached_property
    def tables(self) -> tuple[tuple[tuple[int, ...], ...], sparse.csr_array]:
        """Attributes of each table, and the 0/1 matrix from products to cells."""
        return _tables(self.products, self.shape)

    def scaled(self, factor: float) -> Ensemble:
        """Return the ensemble with all predictions times a factor."""
        return replace(self, weight=self.weight * factor, offset=self.offset * factor)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the ensemble as flat arrays of numbers."""
        facts = {"shape": np.array(self.shape), "n_covariates": np.array(self.n_covariates)}
        facts |= {"n_draws": np.array(self.n_draws), "offset": np.array(self.offset)}
        return facts | {name: getattr(self, name) for name in ARRAYS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Ensemble:
        """Rebuild an ensemble from `to_arrays`; nothing is executed."""
        return cls(
            tuple(int(size) for size in arrays["shape"]),
            int(arrays["n_covariates"]),
            int(arrays["n_draws"]),
            float(arrays["offset"]),
            *(arrays[name] for name in ARRAYS),
        )


ARRAYS = ("draw", "weight", "product", "box", "products", "boxes", "cut_covariate", "cut_value")


def pool(ensembles: Sequence[Ensemble]) -> Ensemble:
    """Return the draws of several ensembles of the same data (chains) as one, in their order.

    Raises:
        ValueError: if they have other attributes, covariates or offsets.
    """
    first = ensembles[0]
    facts = {(e.shape, e.n_covariates, e.offset) for e in ensembles}
    if len(facts) > 1:
        raise ValueError("the ensembles belong to different designs, covariates or data")
    depth = max(e.boxes.shape[1] for e in ensembles)
    cuts, cut = _unique_rows(
        np.concatenate([np.column_stack([e.cut_covariate, e.cut_value]) for e in ensembles]).astype(float)
    )
    draw, masks, boxes = [], [], []
    cuts_before, draws_before = 0, 0
    for e in ensembles:
        number = np.concatenate([[0], cut[cuts_before : cuts_before + len(e.cut_value)] + 1])
        signed = np.sign(e.boxes) * number[np.abs(e.boxes)]
        draw.append(e.draw + draws_before)
        masks.append(e.products[e.product])
        boxes.append(np.pad(signed, ((0, 0), (0, depth - signed.shape[1])))[e.box])
        cuts_before, draws_before = cuts_before + len(e.cut_value), draws_before + e.n_draws
    products, product = _unique_rows(np.concatenate(masks))
    distinct, box = _unique_rows(_sorted_boxes(np.concatenate(boxes)))
    return Ensemble(
        first.shape,
        first.n_covariates,
        draws_before,
        first.offset,
        np.concatenate(draw).astype(np.int32),
        np.concatenate([e.weight for e in ensembles]),
        product,
        box,
        products,
        distinct.astype(np.int32),
        cuts[:, 0].astype(np.int32),
        cuts[:, 1],
    )


def _sorted_boxes(boxes: np.ndarray) -> np.ndarray:
    """Sort the cuts of each box: their order does not matter, and equal boxes become equal rows."""
    boxes = -np.sort(-np.abs(boxes) * 2 - (boxes < 0), axis=1)
    boxes = np.where(boxes % 2 == 1, -(boxes // 2), boxes // 2)
    boxes[:, 1:][boxes[:, 1:] == boxes[:, :-1]] = 0
    return boxes[:, (boxes != 0).any(axis=0)]


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
    nodes: Nodes, inputs: Inputs, shape: Sequence[int], n_covariates: int, n_draws: int
) -> Ensemble:
    """Turn trees into leaves.

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
    attribute = np.where(by_covariate, -1, inputs.attribute[column])
    going_left = _levels_going_left(nodes, inputs.codes[column], max(shape))
    draw, weight, masks, boxes = _leaves(nodes, node_cut, attribute, going_left, shape)
    products, product = _unique_rows(masks)
    boxes, box = _unique_rows(_sorted_boxes(boxes))
    return Ensemble(
        shape=tuple(shape),
        n_covariates=n_covariates,
        n_draws=n_draws,
        offset=0.0,
        draw=draw,
        weight=weight,
        product=product,
        box=box,
        products=products,
        boxes=boxes,
        cut_covariate=cuts[:, 0].astype(np.int32),
        cut_value=cuts[:, 1],
    )


def _levels_going_left(nodes: Nodes, codes: np.ndarray, n_levels: int) -> np.ndarray:
    """Return the (n_nodes,) bits of the levels that go left at a node that splits an attribute.

    Args:
        codes: (n_nodes, n_levels) what the column of the node holds for each level.
    """
    going_left = np.zeros(len(codes), dtype=np.int64)
    for level in range(n_levels):
        code = codes[:, level]
        bit = np.int64(1) << np.nan_to_num(code).astype(np.int64)
        left = np.where(nodes.categories != 0, (nodes.categories & bit) != 0, code <= nodes.threshold)
        going_left |= np.where(left & ~np.isnan(code), 1 << level, 0)
    return going_left


def _leaves(
    nodes: Nodes, node_cut: np.ndarray, attribute: np.ndarray, going_left: np.ndarray, shape: Sequence[int]
) -> tuple[np.ndarray, ...]:
    """Walk down all trees at once, one depth at a time.

    Args:
        node_cut: (n_nodes,) 1 + index of the cut of a covariate; 0 where an attribute is split.
        attribute: (n_nodes,) that is split; -1 where a covariate is.
        going_left: (n_nodes,) bits of its levels that go left.

    Returns:
        Of each leaf the draw, the value, the (n_attributes,) bitmasks of levels and the (depth,) signed cuts.
    """
    node = np.asarray(nodes.root)
    draw = np.asarray(nodes.tree_draw, dtype=np.int32)
    full = np.array([(1 << size) - 1 for size in shape])
    masks = np.repeat(full[None, :], len(node), axis=0)
    signed = np.zeros((len(node), 0), dtype=np.int32)
    leaves: list[tuple[np.ndarray, ...]] = []
    while len(node):
        leaf = nodes.left[node] < 0
        leaves.append((draw[leaf], nodes.value[node[leaf]], masks[leaf], signed[leaf]))
        node, draw, masks, signed = node[~leaf], draw[~leaf], masks[~leaf], signed[~leaf]
        of_attribute = attribute[node] >= 0
        rows, columns = np.flatnonzero(of_attribute), attribute[node[of_attribute]]
        sides = []
        for child, sign in ((nodes.left, 1), (nodes.right, -1)):
            allowed = going_left[node[of_attribute]]
            below = masks.copy()
            below[rows, columns] &= allowed if sign > 0 else ~allowed
            cut_here = (sign * node_cut[node])[:, None].astype(np.int32)
            alive = (below > 0).all(axis=1)
            sides.append(
                (child[node][alive], draw[alive], below[alive], np.hstack([signed, cut_here])[alive])
            )
        node, draw, masks, signed = (np.concatenate(pair) for pair in zip(*sides, strict=True))
    deepest = max(cuts.shape[1] for *_, cuts in leaves)
    draws, values, products, boxes = zip(*leaves, strict=True)
    padded = [np.pad(cuts, ((0, 0), (0, deepest - cuts.shape[1]))) for cuts in boxes]
    return tuple(np.concatenate(part) for part in (draws, values, products, padded))


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
    ensemble = from_nodes(nodes, inputs, shape, n_covariates, n_draws)
    return replace(ensemble.scaled(float(model.y_std)), offset=float(model.y_bar))


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
    return from_nodes(nodes, inputs, shape, n_covariates, n_draws=1).scaled(scale)


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


@dataclass(frozen=True)
class EnsembleUtilities(Utilities):
    """Predictions of an ensemble (means over its draws) for respondents, as tables made when asked for.

    Attributes:
        ensemble: the trees.
        design: the petitions.
        covariates: (n, n_covariates) numbers without missing values.
        dtype: numpy.float64, or numpy.float32 for half of the time and memory.
    """

    ensemble: Ensemble
    design: Design
    covariates: np.ndarray
    dtype: Any = np.float64

    def __post_init__(self) -> None:
        """Refuse a design that the ensemble was not fitted to.

        Raises:
            ValueError: if the design has other numbers of levels than the ensemble.
        """
        if self.design.shape != self.ensemble.shape:
            raise ValueError("the ensemble belongs to a design with other levels")

    @property
    def n(self) -> int:  # type: ignore[override]
        """Number of respondents."""
        return len(self.covariates)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the tables of all respondents, each respondent once."""
        subsets, matrix = self.ensemble.tables
        layout = Layout(self.design, subsets)
        matrix = matrix.astype(self.dtype)
        step = max(1, CHUNK_NUMBERS // max(1, sum(matrix.shape)))
        for start in range(0, self.n, step):
            rows = np.arange(start, min(start + step, self.n))
            cells = matrix @ condition(self.ensemble, self.covariates[rows], self.dtype)
            cells[0] += self.dtype(self.ensemble.offset)
            yield Chunk(rows, layout, cells)


def _tables(
    products: np.ndarray, shape: tuple[int, ...]
) -> tuple[tuple[tuple[int, ...], ...], sparse.csr_array]:
    """Lay out one table for each set of attributes that products restrict, the constant first.

    Returns:
        The sets, and the 0/1 matrix from weights of products to cells of the tables.
    """
    full = np.array([(1 << size) - 1 for size in shape])
    none = np.zeros((1, len(shape)), dtype=np.int8)
    restricted, table = _unique_rows(np.concatenate([none, (products != full).astype(np.int8)]))
    table = table[1:]
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
    return subsets, matrix.tocsr()


class Draws:
    """Each posterior draw of an ensemble, for the same respondents."""

    def __init__(self, ensemble: Ensemble, covariates: np.ndarray) -> None:
        """Sort the leaves by draw; find out once who is in which box."""
        self.ensemble = ensemble
        order = np.argsort(ensemble.draw, kind="stable")
        self._starts = np.searchsorted(ensemble.draw[order], np.arange(ensemble.n_draws + 1))
        self._weight = ensemble.weight[order].astype(np.float32)
        self._product, self._box = ensemble.product[order], ensemble.box[order]
        self._inside = _inside(ensemble, covariates)

    def times(self, by_product: np.ndarray) -> Iterator[np.ndarray]:
        """Yield for each draw the (n, k) sums over leaves of weight x [in the box] x a row of `by_product`.

        Args:
            by_product: (n_products, k), e.g. whether petitions are in a product set; sums are float32.
        """
        by_product = by_product.astype(np.float32)
        for start, stop in zip(self._starts[:-1], self._starts[1:], strict=True):
            boxes, leaf = np.unique(self._box[start:stop], return_inverse=True)
            table = np.zeros((len(boxes), by_product.shape[1]), dtype=np.float32)
            np.add.at(table, leaf, self._weight[start:stop, None] * by_product[self._product[start:stop]])
            yield self._inside[boxes].T.astype(np.float32) @ table

    def of_petitions(self, petitions: np.ndarray) -> Iterator[np.ndarray]:
        """Yield for each draw the (n, k) predictions for k petitions, (k, n_attributes) level indices."""
        products = self.ensemble.products
        inside = ((products[:, None, :] >> petitions) & 1).all(axis=2)
        for value in self.times(inside):
            yield value + np.float32(self.ensemble.offset)

    def level_means(self, design: Design) -> Iterator[np.ndarray]:
        """Yield for each draw the (n, total levels) `Utilities.level_means`."""
        subsets, matrix = self.ensemble.tables
        layout = Layout(design, subsets)
        by_cell = layout.level_matrix - layout.probabilities[:, None]
        yield from self.times(matrix.T @ by_cell)
