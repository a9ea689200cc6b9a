"""Exact best petitions and the response scale, against enumeration of the whole grid."""

import itertools

import numpy as np
import pytest

from nanotarget.petitions import score
from nanotarget.petitions.policy import nano, overall_best, random
from nanotarget.petitions.score import best_petitions, landscape, predicted_response, win_probability
from nanotarget.petitions.utilities import Layout, Tables, part_worths
from nanotarget.study.problems import InputError
from nanotarget.study.response import Choice
from worlds import factorial, utilities_of_all, utility_of

PROHIBITED = [{"a0": ["l0", "l2"], "a2": ["l1"]}, {"a2": ["l3"], "a3": ["l0"]}]
DESIGNS = [
    factorial((3, 2, 4, 3)),
    factorial((3, 2, 4, 3), PROHIBITED),
    factorial((3, 2, 4, 3), PROHIBITED, "sequential"),
]


def feasible_grid(design):
    grid = np.array(list(itertools.product(*(range(size) for size in design.shape))))
    return grid[design.is_feasible(grid)]


@pytest.mark.parametrize("design", DESIGNS)
def test_best_and_worst_equal_enumeration(design):
    utilities = np.random.default_rng(0).normal(size=(40, sum(design.shape)))
    grid = feasible_grid(design)
    everything = utilities_of_all(utilities, grid, design)
    tables = part_worths(utilities, design)
    assert (best_petitions(tables) == grid[everything.argmax(axis=1)]).all()
    assert (best_petitions(tables, worst=True) == grid[everything.argmin(axis=1)]).all()
    whole = landscape(tables)
    assert np.allclose(whole[:, design.petition_ids(grid)], everything)
    assert np.isneginf(np.delete(whole, design.petition_ids(grid), axis=1)).all()


def test_ties_go_to_the_lowest_petition_id():
    design = DESIGNS[1]
    best = best_petitions(part_worths(np.zeros((1, sum(design.shape))), design))
    assert design.petition_ids(best)[0] == design.petition_ids(feasible_grid(design)).min()


@pytest.mark.parametrize("scale", [0.05, 0.5, 1.5])
@pytest.mark.parametrize("design", DESIGNS)
def test_probability_to_be_chosen_equals_enumeration_of_all_opponents(design, scale):
    utilities = np.random.default_rng(2).normal(size=(30, sum(design.shape))) * scale
    grid = feasible_grid(design)
    probability = np.ones(len(grid))
    for block in design.blocks:
        probability *= block.probabilities[block.cell_of(grid)]
    tables = part_worths(utilities, design)
    best = best_petitions(tables)
    eta = utility_of(utilities, best, design)
    opponents = utilities_of_all(utilities, grid, design)
    exact = (1 / (1 + np.exp(opponents - eta[:, None]))) @ probability
    assert np.abs(predicted_response(tables, best, 0.0, Choice) - exact).max() < 1e-9


def test_policies_have_the_shape_of_petitions_and_are_feasible():
    design = DESIGNS[1]
    rng = np.random.default_rng(3)
    utilities = part_worths(rng.normal(size=(9, sum(design.shape))), design)
    drawn = random(9, design, rng)
    best = np.tile(overall_best(utilities, np.ones(9)), (9, 1))
    for petitions in (drawn, best, nano(utilities), nano(utilities, worst=True)):
        assert petitions.shape == (9, 4)
        assert design.is_feasible(petitions).all()


def test_a_grid_that_cannot_be_searched_is_refused_and_additive_utilities_never_need_it():
    design = factorial((10,) * 9)
    additive = part_worths(np.random.default_rng(4).normal(size=(2, 90)), design)
    assert best_petitions(additive).shape == (2, 9)
    layout = Layout(design, tuple((a, a + 1) for a in range(8)))
    chained = Tables(layout, np.zeros((2, layout.n_cells)))
    with pytest.raises(InputError, match="too many to search"):
        best_petitions(chained)


def test_where_attributes_hang_together_opponents_are_sampled_and_say_the_same(monkeypatch):
    """One table over all attributes; the exact mean against fixed opponents."""
    design = factorial((4, 5, 3))
    rng = np.random.default_rng(11)
    layout = Layout(design, ((0, 1, 2),))
    utilities = Tables(layout, rng.normal(size=(30, layout.n_cells)))
    petitions = [design.draw(30, rng) for _ in range(2)]
    exact = [win_probability(utilities, p) for p in petitions]
    monkeypatch.setattr(score, "EXACT_GRID", 10)
    sampled = [win_probability(utilities, p) for p in petitions]
    assert not np.array_equal(exact, sampled)
    assert sampled[0] - sampled[1] == pytest.approx(exact[0] - exact[1], abs=0.01)
