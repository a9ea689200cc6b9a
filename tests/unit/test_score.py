"""Exact best petitions and the response scale, against enumeration of the whole grid."""

import itertools

import numpy as np
import pytest

from nanotarget.learners.base import utility_of
from nanotarget.policy import nano, overall_best, random
from nanotarget.score import best_petitions, response
from worlds import factorial

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
    everything = np.column_stack([utility_of(utilities, np.tile(g, (40, 1)), design) for g in grid])
    assert (best_petitions(utilities, design) == grid[everything.argmax(axis=1)]).all()
    assert (best_petitions(-utilities, design) == grid[everything.argmin(axis=1)]).all()


def test_ties_go_to_the_lowest_petition_id():
    design = DESIGNS[1]
    best = best_petitions(np.zeros((1, sum(design.shape))), design)
    assert design.petition_ids(best)[0] == design.petition_ids(feasible_grid(design)).min()


@pytest.mark.parametrize("scale", [0.05, 0.5, 1.5])
@pytest.mark.parametrize("design", DESIGNS)
def test_probability_to_be_chosen_equals_enumeration_of_all_opponents(design, scale):
    utilities = np.random.default_rng(2).normal(size=(30, sum(design.shape))) * scale
    grid = feasible_grid(design)
    probability = np.ones(len(grid))
    for block in design.blocks:
        probability *= block.probabilities[block.cell_of(grid)]
    eta = utility_of(utilities, best_petitions(utilities, design), design)
    opponents = np.column_stack([utility_of(utilities, np.tile(g, (30, 1)), design) for g in grid])
    exact = (1 / (1 + np.exp(opponents - eta[:, None]))) @ probability
    assert np.abs(response(eta, utilities, 0.0, "choice", design) - exact).max() < 1e-9


def test_policies_have_the_shape_of_petitions_and_are_feasible():
    design = DESIGNS[1]
    rng = np.random.default_rng(3)
    utilities = rng.normal(size=(9, sum(design.shape)))
    drawn = random(9, design, rng)
    best = overall_best(utilities.mean(axis=0), 9, design)
    assert (best == best[0]).all()
    for petitions in (drawn, best, nano(utilities, design)):
        assert petitions.shape == (9, 4)
        assert design.is_feasible(petitions).all()
