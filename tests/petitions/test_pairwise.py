"""Searching pairs that interact for all alike gives what going through the grid gives."""

import itertools

import numpy as np
import pytest

from nanotarget.petitions.pairwise import Pairwise
from nanotarget.petitions.score import best_petitions, landscape
from nanotarget.petitions.utilities import Layout, Tables, additive_layout
from worlds import factorial

SHAPE = (3, 4, 2, 5)
STRENGTHS = (0.0, 0.1, 1.0, 10.0)  # of interactions, in units of what people differ in


def utilities(strength, rng, n=200):
    """Return random utilities of n people with the pairs of three attributes in common."""
    design = factorial(SHAPE)
    singles = additive_layout(design)
    layout = Layout(design, (*singles.subsets, (0, 1), (1, 3), (0, 3)))
    cells = rng.normal(size=(n, layout.n_cells))
    cells[:, singles.n_cells :] = strength * cells[0, singles.n_cells :]
    return Tables(layout, cells)


@pytest.mark.parametrize("worst", [False, True])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_best_of_the_grid_is_found(strength, worst):
    people = utilities(strength, np.random.default_rng(1))
    grid = landscape(people) * (-1 if worst else 1)
    found = people.design.petition_ids(best_petitions(people, worst))
    np.testing.assert_array_equal(found, grid.argmax(axis=1))


@pytest.mark.parametrize("strength", STRENGTHS)
def test_equals_go_to_the_lowest_petition(strength):
    """Whole numbers have many equals, and sums of them no rounding error."""
    people = utilities(strength, np.random.default_rng(2))
    whole = Tables(people.layout, np.round(people.cells))
    found = people.design.petition_ids(best_petitions(whole))
    np.testing.assert_array_equal(found, landscape(whole).argmax(axis=1))


def test_people_who_are_all_alike_are_searched_in_parts(monkeypatch):
    """Where nothing can be told apart all beginnings are pursued; memory stays bounded."""
    monkeypatch.setattr("nanotarget.petitions.pairwise.MOST", 50)
    pairs = {pair: np.zeros((2, 2)) for pair in itertools.combinations(range(6), 2)}
    found = Pairwise.of([2] * 6, pairs).best(np.zeros((12, 7)))
    np.testing.assert_array_equal(found, np.zeros((7, 6)))


def test_nobody_has_no_petition():
    assert Pairwise.of([2, 3], {(0, 1): np.ones((2, 3))}).best(np.zeros((5, 0))).shape == (0, 2)
