"""Scoring tree ensembles: equal to walking every tree for every petition."""

from __future__ import annotations

import itertools
from dataclasses import replace

import lightgbm
import numpy as np
import pytest
import stochtree
from hypothesis import given, settings
from hypothesis import strategies as st

from nanotarget.petitions.design import Attribute, Design
from nanotarget.petitions.ensemble import (
    Draws,
    Ensemble,
    EnsembleUtilities,
    Inputs,
    Nodes,
    from_lightgbm,
    from_nodes,
    from_stochtree,
    pool,
)
from nanotarget.petitions.score import best_petitions, landscape
from nanotarget.petitions.utilities import average

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
    ensemble = replace(from_nodes(nodes, inputs, shape, n_covariates, n_draws=2).scaled(2.0), offset=1.5)
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

    utilities = EnsembleUtilities(ensemble, design, z)
    scored = landscape(utilities)
    np.testing.assert_allclose(scored[:, feasible], native[:, feasible], atol=1e-10)
    assert np.isneginf(scored[:, ~feasible]).all()
    one_draw = landscape(EnsembleUtilities(ensemble.of_draws([1]), design, z))
    np.testing.assert_allclose(one_draw[:, feasible], 1.5 + 2 * per_draw[:, feasible, 1], atol=1e-10)
    pairs = rng.integers(len(grid), size=3)
    own = utilities.utility_of(grid[pairs])
    np.testing.assert_allclose(own, native[np.arange(3), pairs], atol=1e-10)
    people = rng.integers(3, size=7)
    rows = utilities.utility_of_rows(grid[np.resize(pairs, 7)], people)
    np.testing.assert_allclose(rows, native[people, np.resize(pairs, 7)], atol=1e-10)
    np.testing.assert_allclose(utilities.utilities_of_all(grid[pairs]), native[:, pairs], atol=1e-10)
    drawn = Draws(ensemble, z)
    for d, values in enumerate(drawn.of_petitions(grid[pairs])):
        np.testing.assert_allclose(values, 1.5 + 2 * per_draw[:, pairs, d], atol=1e-4)

    # Mean utilities given a level, under the design's probabilities.
    chance = design.joint_probabilities(tuple(range(len(shape)))).ravel()
    expected = []
    for a, size in enumerate(shape):
        for level in range(size):
            given = chance * (grid[:, a] == level)
            mean = native @ given / max(given.sum(), 1e-300)
            expected.append((mean - native @ chance) * (given.sum() > 0))
    possible = np.concatenate([design.level_probabilities(a) for a in range(len(shape))]) > 0
    means = utilities.level_means()
    np.testing.assert_allclose(means[:, possible], np.column_stack(expected)[:, possible], atol=1e-9)
    average_draw = np.mean(list(drawn.level_means(design)), axis=0)
    np.testing.assert_allclose(average_draw[:, possible], means[:, possible], atol=1e-4)

    candidates = grid[feasible]
    for worst, sign in ((False, 1), (True, -1)):
        levels = best_petitions(utilities, worst)
        target = sign * native[:, feasible]
        values = utilities.utility_of(levels)
        np.testing.assert_allclose(sign * values, target.max(axis=1), atol=1e-10)
        # Sums in another order may break an exact tie either way: lowest id among the scores themselves.
        chosen = (sign * scored[:, feasible]).argmax(axis=1)
        np.testing.assert_allclose(utilities.utility_of(candidates[chosen]), values, atol=1e-10)

    weight = rng.random(3) + 0.1
    mean = landscape(average(utilities, weight))[0]
    np.testing.assert_allclose(mean[feasible], (weight / weight.sum() @ native)[feasible], atol=1e-10)

    again = Ensemble.from_arrays(ensemble.to_arrays())
    np.testing.assert_array_equal(landscape(EnsembleUtilities(again, design, z)), scored)
    both = EnsembleUtilities(pool([ensemble, ensemble.of_draws([1])]), design, z)
    expected_mean = 1.5 + 2 * (per_draw.sum(axis=2) + per_draw[:, :, 1]) / 3
    np.testing.assert_allclose(landscape(both)[:, feasible], expected_mean[:, feasible], atol=1e-10)


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
    banned = design_of(shape, (((0, frozenset({0})), (1, frozenset({1, 2}))),))
    for design, worst, best in (
        (design_of(shape), False, [0, 1, 0]),
        (design_of(shape), True, [0, 0, 0]),
        (banned, False, [0, 3, 0]),
    ):
        found = best_petitions(EnsembleUtilities(ensemble, design, z), worst)
        np.testing.assert_array_equal(found, [best] * 2)


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(5)
    shape = (4, 3, 3)
    inputs = Inputs.indicators(shape, 2)
    ensemble = from_nodes(random_nodes(rng, inputs, 3, 20, False), inputs, shape, 2, n_draws=3)
    z = rng.integers(-1, 4, size=(150, 2)).astype(float)
    utilities = EnsembleUtilities(ensemble, design_of(shape), z)
    whole = best_petitions(utilities)
    mean = landscape(average(utilities, np.ones(150)))
    monkeypatch.setattr("nanotarget.petitions.ensemble.CHUNK_NUMBERS", 400)
    monkeypatch.setattr("nanotarget.petitions.score.GRID_NUMBERS", 400)
    assert len(list(utilities.chunks())) > 10
    np.testing.assert_array_equal(best_petitions(utilities), whole)
    np.testing.assert_allclose(landscape(average(utilities, np.ones(150))), mean, atol=1e-12)


def test_what_cannot_be_scored_is_refused():
    rng = np.random.default_rng(1)
    inputs = Inputs.indicators((2, 3), 2)
    ensemble = from_nodes(random_nodes(rng, inputs, 1, 5, False), inputs, (2, 3), 2, n_draws=1)
    with pytest.raises(ValueError, match="missing"):
        best_petitions(EnsembleUtilities(ensemble, design_of((2, 3)), np.array([[np.nan, 1.0]])))
    with pytest.raises(ValueError, match="2 columns expected"):
        best_petitions(EnsembleUtilities(ensemble, design_of((2, 3)), np.zeros((1, 3))))
    with pytest.raises(ValueError, match="other levels"):
        EnsembleUtilities(ensemble, design_of((3, 2)), np.zeros((1, 2)))
    other = replace(
        from_nodes(random_nodes(rng, inputs, 1, 5, False), inputs, (2, 3), 2, n_draws=1), offset=1.0
    )
    with pytest.raises(ValueError, match="different"):
        pool([ensemble, other])


def study(rng, n=1500):
    """Synthetic rows with heterogeneity: (levels, covariates, outcome)."""
    levels = np.column_stack([rng.integers(0, size, n) for size in REFERENCE])
    z = np.column_stack([rng.integers(18, 90, n), rng.integers(0, 2, n), rng.normal(size=n)]).astype(float)
    y = levels @ np.linspace(0.1, 0.7, 7) + (levels[:, 0] == 2) * z[:, 1] * 2 + (levels[:, 3] > 2) * z[:, 2]
    return levels, z, y + rng.normal(size=n)


def check_native(ensemble, native, z, sd):
    """Every one of the 28,125 petitions, in both precisions, and the same argmax."""
    design = design_of(REFERENCE)
    utilities = EnsembleUtilities(ensemble, design, z)
    assert np.abs(landscape(utilities) - native).max() < 1e-10
    single = EnsembleUtilities(ensemble, design, z, np.float32)
    assert np.abs(landscape(single) - native).max() < 1e-5 * sd
    for worst, extreme in ((False, native.max(axis=1)), (True, native.min(axis=1))):
        ids = design.petition_ids(best_petitions(utilities, worst))
        np.testing.assert_allclose(native[np.arange(len(z)), ids], extreme, atol=1e-10)


@pytest.mark.parametrize("encoding", ["indicators", "categorical"])
def test_equals_stochtree(encoding):
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
