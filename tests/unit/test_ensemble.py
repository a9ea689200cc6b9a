"""Scoring tree ensembles: equal to walking every tree for every petition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanotarget.design import Attribute, Design
from nanotarget.ensemble import (
    Ensemble,
    Inputs,
    Nodes,
    best_petitions,
    from_lightgbm,
    from_nodes,
    from_stochtree,
    landscape,
    mean_landscape,
    predict,
)

REFERENCE = (5, 5, 5, 5, 5, 3, 3)


def design_of(shape, prohibited=(), randomisation="rejection"):
    attributes = tuple(
        Attribute(f"a{i}", tuple(f"l{k}" for k in range(size)), f"a{i}", (1 / size,) * size)
        for i, size in enumerate(shape)
    )
    return Design(attributes, prohibited, randomisation)


def grid_of(shape):
    return np.array(list(itertools.product(*(range(size) for size in shape))))


def random_nodes(rng, inputs, n_draws, n_trees, categorical):
    """Random trees; leaves keep a stale column, as pruned nodes of stochtree do."""
    rows = []

    def grow(depth):
        here = len(rows)
        rows.append(None)
        column = int(rng.integers(len(inputs.covariate)))
        if depth == 0 or rng.random() < 0.25:
            rows[here] = (-1, -1, column, 0.0, 0, rng.normal())
            return here
        bits = 0
        if inputs.covariate[column] >= 0:
            threshold = float(rng.integers(-1, 4))
        else:
            threshold = float(rng.integers(0, 4)) - rng.choice([0.0, 0.5])
            bits = int(rng.integers(1, 31)) if categorical else 0
        left, right = grow(depth - 1), grow(depth - 1)
        rows[here] = (left, right, column, threshold, bits, 0.0)
        return here

    roots = [grow(int(rng.integers(0, 6))) for _ in range(n_draws * n_trees)]
    columns = [np.array(part) for part in zip(*rows, strict=True)]
    return Nodes(np.repeat(np.arange(n_draws), n_trees), np.array(roots), *columns)


def walk(nodes, inputs, covariates, petitions):
    """(n, n_draws) predictions by walking every tree, one row at a time."""
    matrix = inputs.matrix(covariates, petitions)
    out = np.zeros((len(matrix), nodes.tree_draw.max() + 1))
    for i, row in enumerate(matrix):
        for draw, node in zip(nodes.tree_draw, nodes.root, strict=True):
            while nodes.left[node] >= 0:
                x = row[nodes.column[node]]
                bits = int(nodes.categories[node])
                left = bool(bits >> int(x) & 1) if bits else x <= nodes.threshold[node]
                node = nodes.left[node] if left else nodes.right[node]
            out[i, draw] += nodes.value[node]
    return out


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.lists(st.integers(2, 5), min_size=1, max_size=4).map(tuple),
    n_covariates=st.integers(0, 3),
    encoding=st.sampled_from(["indicators", "ordered", "categorical"]),
    prohibit=st.booleans(),
    randomisation=st.sampled_from(["rejection", "sequential"]),
)
def test_random_trees_everywhere(seed, shape, n_covariates, encoding, prohibit, randomisation):
    rng = np.random.default_rng(seed)
    one_hot = encoding == "indicators"
    inputs = (Inputs.indicators if one_hot else Inputs.level_indices)(shape, n_covariates)
    nodes = random_nodes(rng, inputs, 2, 4, encoding == "categorical")
    ensemble = from_nodes(nodes, inputs, shape, n_covariates, n_draws=2, offset=1.5, scale=2.0)
    prohibited = ()
    if prohibit and len(shape) > 1:
        prohibited = (((0, frozenset({0})), (len(shape) - 1, frozenset({0, 1}))),)
        if shape == (2, 2):
            prohibited = (((0, frozenset({0})), (1, frozenset({0}))),)
    design = design_of(shape, prohibited, randomisation)
    grid = grid_of(shape)
    feasible = design.is_feasible(grid)
    z = rng.integers(-1, 4, size=(3, n_covariates)).astype(float)
    per_draw = np.stack([walk(nodes, inputs, np.repeat(row[None], len(grid), axis=0), grid) for row in z])
    native = 1.5 + 2.0 * per_draw.mean(axis=2)

    scored = landscape(ensemble, z, design)
    np.testing.assert_allclose(scored[:, feasible], native[:, feasible], atol=1e-10)
    assert np.isneginf(scored[:, ~feasible]).all()
    one_draw = landscape(ensemble.of_draws([1]), z, design)
    np.testing.assert_allclose(one_draw[:, feasible], 1.5 + 2 * per_draw[:, feasible, 1], atol=1e-10)
    pairs = rng.integers(len(grid), size=3)
    np.testing.assert_allclose(predict(ensemble, z, grid[pairs]), native[np.arange(3), pairs], atol=1e-10)

    candidates = grid[feasible]
    for worst, sign in ((False, 1), (True, -1)):
        levels, values = best_petitions(ensemble, z, design, worst)
        target = sign * native[:, feasible]
        np.testing.assert_allclose(sign * values, target.max(axis=1), atol=1e-10)
        # Sums in another order may break an exact tie either way: lowest id among the scores themselves.
        chosen = (sign * scored[:, feasible]).argmax(axis=1)
        np.testing.assert_array_equal(levels, candidates[chosen])

    weight = rng.random(3) + 0.1
    mean = mean_landscape(ensemble, z, weight, design)
    np.testing.assert_allclose(mean[feasible], (weight / weight.sum() @ native)[feasible], atol=1e-10)

    leaves, cuts, facts = ensemble.to_tables()
    again = Ensemble.from_tables(leaves, cuts, facts)
    np.testing.assert_array_equal(landscape(again, z, design), scored)


def test_ties_go_to_the_lowest_id():
    shape = (3, 4, 2)
    inputs = Inputs.level_indices(shape, 1)
    # One tree: level 0 of the second attribute gives 0, all others 1.
    nodes = Nodes(
        np.array([0]),
        np.array([0]),
        *(np.array(part) for part in ([1, -1, -1], [2, -1, -1], [1, 0, 0])),
        threshold=np.array([0.5, 0, 0]),
        categories=np.zeros(3, dtype=int),
        value=np.array([0.0, 0.0, 1.0]),
    )
    ensemble = from_nodes(nodes, inputs, shape, 1, n_draws=1)
    z = np.zeros((2, 1))
    np.testing.assert_array_equal(best_petitions(ensemble, z, design_of(shape))[0], [[0, 1, 0]] * 2)
    np.testing.assert_array_equal(best_petitions(ensemble, z, design_of(shape), True)[0], [[0, 0, 0]] * 2)
    banned = design_of(shape, (((0, frozenset({0})), (1, frozenset({1, 2}))),))
    np.testing.assert_array_equal(best_petitions(ensemble, z, banned)[0], [[0, 3, 0]] * 2)


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(5)
    shape = (4, 3, 3)
    inputs = Inputs.indicators(shape, 2)
    ensemble = from_nodes(random_nodes(rng, inputs, 3, 20, False), inputs, shape, 2, n_draws=3)
    z = rng.integers(-1, 4, size=(150, 2)).astype(float)
    whole = best_petitions(ensemble, z, design_of(shape))
    mean = mean_landscape(ensemble, z, np.ones(150), design_of(shape))
    monkeypatch.setattr("nanotarget.ensemble.CHUNK_NUMBERS", 400)
    monkeypatch.setattr("nanotarget.ensemble.GRID_NUMBERS", 400)
    for got, expected in zip(best_petitions(ensemble, z, design_of(shape)), whole, strict=True):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_allclose(mean_landscape(ensemble, z, np.ones(150), design_of(shape)), mean, atol=1e-12)


def test_what_cannot_be_scored_is_refused():
    rng = np.random.default_rng(1)
    inputs = Inputs.indicators((2, 3), 2)
    ensemble = from_nodes(random_nodes(rng, inputs, 1, 5, False), inputs, (2, 3), 2, n_draws=1)
    with pytest.raises(ValueError, match="missing"):
        best_petitions(ensemble, np.array([[np.nan, 1.0]]), design_of((2, 3)))
    with pytest.raises(ValueError, match="2 columns expected"):
        best_petitions(ensemble, np.zeros((1, 3)), design_of((2, 3)))
    with pytest.raises(ValueError, match="other levels"):
        best_petitions(ensemble, np.zeros((1, 2)), design_of((3, 2)))


def study(rng, n=1500):
    """Synthetic rows with heterogeneity: (levels, covariates, outcome)."""
    levels = np.column_stack([rng.integers(0, size, n) for size in REFERENCE])
    z = np.column_stack([rng.integers(18, 90, n), rng.integers(0, 2, n), rng.normal(size=n)]).astype(float)
    y = levels @ np.linspace(0.1, 0.7, 7) + (levels[:, 0] == 2) * z[:, 1] * 2 + (levels[:, 3] > 2) * z[:, 2]
    return levels, z, y + rng.normal(size=n)


def check_native(ensemble, native, z, sd):
    """Every one of the 28,125 petitions, in both precisions, and the same argmax."""
    design = design_of(REFERENCE)
    assert np.abs(landscape(ensemble, z, design) - native).max() < 1e-10
    assert np.abs(landscape(ensemble, z, design, np.float32) - native).max() < 1e-5 * sd
    ids = design.petition_ids(best_petitions(ensemble, z, design)[0])
    np.testing.assert_allclose(native[np.arange(len(z)), ids], native.max(axis=1), atol=1e-10)
    ids = design.petition_ids(best_petitions(ensemble, z, design, worst=True)[0])
    np.testing.assert_allclose(native[np.arange(len(z)), ids], native.min(axis=1), atol=1e-10)


@pytest.mark.parametrize("encoding", ["indicators", "categorical"])
def test_equals_stochtree(encoding):
    stochtree = pytest.importorskip("stochtree")
    levels, z, y = study(np.random.default_rng(3))
    inputs = (Inputs.indicators if encoding == "indicators" else Inputs.level_indices)(REFERENCE, 3)
    x = inputs.matrix(z, levels)
    general = {"random_seed": 1, "num_threads": 1}
    model = stochtree.BARTModel()
    model.sample(
        X_train=x,
        y_train=y,
        num_gfr=0,
        num_burnin=30,
        num_mcmc=12,
        mean_forest_params={"num_trees": 40},
        general_params=general,
    )
    ensemble = from_stochtree(model, inputs, REFERENCE, 3)
    grid = grid_of(REFERENCE)
    people = z[:3]
    native = np.stack(
        [
            model.predict(inputs.matrix(np.repeat(row[None], len(grid), axis=0), grid), terms="y_hat").mean(
                axis=1
            )
            for row in people
        ]
    )
    check_native(ensemble, native, people, y.std())


@pytest.mark.parametrize("categorical", [False, True])
def test_equals_lightgbm(categorical):
    lightgbm = pytest.importorskip("lightgbm")
    levels, z, y = study(np.random.default_rng(4))
    inputs = (Inputs.level_indices if categorical else Inputs.indicators)(REFERENCE, 3)
    data = lightgbm.Dataset(
        inputs.matrix(z, levels), y, categorical_feature=list(range(7)) if categorical else []
    )
    parameters = {"verbosity": -1, "num_threads": 1, "seed": 1, "num_leaves": 8, "bagging_fraction": 0.5}
    booster = lightgbm.train(parameters | {"bagging_freq": 1}, data, num_boost_round=60)
    ensemble = from_lightgbm(booster.dump_model(), inputs, REFERENCE, 3)
    grid = grid_of(REFERENCE)
    people = z[:3]
    native = np.stack(
        [booster.predict(inputs.matrix(np.repeat(row[None], len(grid), axis=0), grid)) for row in people]
    )
    check_native(ensemble, native, people, y.std())
