"""Truncated-ANOVA weights and doubly robust scores, against enumeration and direct computation."""

import itertools
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from nanotarget.calibrate.learners.base import mean_and_error
from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.diagnose.value import other_task_means, policy_scores, policy_weights, random_scores
from nanotarget.petitions.encoding import indicators
from nanotarget.petitions.policy import nano
from nanotarget.petitions.score import best_petitions
from nanotarget.petitions.utilities import Layout, Tables, part_worths, projected
from worlds import Known, factorial, simulate

PROHIBITED = [{"a0": ["l0"], "a1": ["l1", "l2"]}]
DESIGNS = [
    factorial((3, 3, 2)),
    factorial((3, 3, 2), PROHIBITED),
    factorial((3, 3, 2), PROHIBITED, "sequential"),
]


def grid_and_probability(design):
    grid = np.array(list(itertools.product(*(range(size) for size in design.shape))))
    grid = grid[design.is_feasible(grid)]
    probability = np.ones(len(grid))
    for block in design.blocks:
        probability *= block.probabilities[block.cell_of(grid)]
    return grid, probability


def random_function(grid, order, rng):
    """A function of petitions with all interactions of up to `order` attributes."""
    values = np.zeros(len(grid))
    for size in range(order + 1):
        for chosen in itertools.combinations(range(grid.shape[1]), size):
            _, code = np.unique(grid[:, chosen], axis=0, return_inverse=True)
            values += rng.normal(size=code.max() + 1)[code.ravel()]
    return values


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("order", [1, 2])
def test_weights_reproduce_every_function_of_their_order_exactly(design, order):
    grid, probability = grid_and_probability(design)
    values = random_function(grid, order, np.random.default_rng(order))
    for p in range(len(grid)):
        weights = policy_weights(grid, np.tile(grid[p], (len(grid), 1)), design, order)
        assert probability @ weights == pytest.approx(1, abs=1e-12)
        assert probability @ (weights * values) == pytest.approx(values[p], abs=1e-10)


def test_first_order_weights_miss_interactions_and_second_order_ones_do_not():
    design = DESIGNS[0]
    grid, probability = grid_and_probability(design)
    values = random_function(grid, 2, np.random.default_rng(3))
    target = np.tile(grid[4], (len(grid), 1))
    assert abs(probability @ (policy_weights(grid, target, design, 1) * values) - values[4]) > 0.1


def test_weights_of_first_order_can_allow_for_one_pair():
    """Exact for main effects and the interaction of the pair, blind to that of another."""
    design = DESIGNS[0]
    grid, probability = grid_and_probability(design)
    rng = np.random.default_rng(4)
    _, cell = np.unique(grid[:, [0, 1]], axis=0, return_inverse=True)
    values = random_function(grid, 1, rng) + rng.normal(size=cell.max() + 1)[cell.ravel()]
    for p in range(len(grid)):
        target = np.tile(grid[p], (len(grid), 1))
        weights = policy_weights(grid, target, design, 1, [(0, 1)])
        assert probability @ (weights * values) == pytest.approx(values[p], abs=1e-10)
    other = policy_weights(grid, np.tile(grid[4], (len(grid), 1)), design, 1, [(0, 2)])
    assert abs(probability @ (other * values) - values[4]) > 0.05


@pytest.mark.parametrize("pairs", [[], [(0, 1)]])
@pytest.mark.parametrize("design", DESIGNS)
def test_a_projection_says_what_weights_of_the_same_pairs_find(design, pairs):
    """E[w(x, p) u(x)] over all petitions x, for tables of any attributes."""
    grid, probability = grid_and_probability(design)
    subsets = ((), (0,), (1, 2), (0, 1), (0, 1, 2), (0, 2))
    layout = Layout(design, subsets)
    tables = Tables(layout, np.random.default_rng(5).normal(size=(4, layout.n_cells)))
    values, found = tables.utilities_of_all(grid), projected(tables, pairs)
    for p in range(len(grid)):
        target = np.tile(grid[p], (len(grid), 1))
        weights = policy_weights(grid, target, design, 1, pairs)
        assert found.utilities_of_all(grid[[p]])[:, 0] == pytest.approx(values @ (probability * weights))
    assert projected(found, pairs).utilities_of_all(grid) == pytest.approx(found.utilities_of_all(grid))


def test_variance_of_the_weights_is_that_of_the_reference_design():
    """E[w^2] = sum over sets S of at most q attributes of prod (L_a - 1): 25 and 269 for 3^2 5^5."""
    design = factorial((5, 5, 5, 5, 5, 3, 3))
    shown = design.draw(200_000, np.random.default_rng(1))
    chosen = np.zeros_like(shown)
    assert np.mean(policy_weights(shown, chosen, design, 1) ** 2) == pytest.approx(25, rel=0.03)
    assert np.mean(policy_weights(shown, chosen, design, 2) ** 2) == pytest.approx(269, rel=0.06)


def test_only_orders_one_and_two_exist():
    with pytest.raises(ValueError, match="order"):
        policy_weights(np.zeros((1, 3), int), np.zeros((1, 3), int), DESIGNS[0], 3)


def test_other_task_means_equal_a_plain_loop():
    rng = np.random.default_rng(4)
    respondent = np.repeat([0, 1, 2], [6, 2, 5])
    task = np.array([0, 0, 1, 1, 2, 2, 0, 0, 0, 0, 1, 1, 3])
    values = rng.normal(size=13)
    expected = []
    for i in range(13):
        others = values[(respondent == respondent[i]) & (task != task[i])]
        expected.append(others.mean() if len(others) else 0.0)
    assert other_task_means(values, respondent, task) == pytest.approx(expected)


def zero_fit(data):
    """A cross-fit that has learned nothing."""
    nothing = np.zeros((data.n_respondents, sum(data.design.shape)))
    return Known(data, nothing, nothing)


def test_scores_with_an_empty_model_are_plain_weighting():
    design = DESIGNS[0]
    data, truth = simulate(design, 30, 1, np.random.default_rng(5), specific=0.5)
    petitions = nano(part_worths(truth, design))
    scores = policy_scores(zero_fit(data), petitions, 1)
    weights = policy_weights(data.levels, petitions[data.respondent], design, 1)
    expected = [np.mean((weights * data.outcome)[data.respondent == i]) for i in range(30)]
    assert scores.value == pytest.approx(expected)
    assert (scores.plug_in == 0).all()


@pytest.mark.statistical
@pytest.mark.parametrize("outcome", ["rating", "choice"])
@pytest.mark.parametrize("design", [factorial((3, 3, 2)), factorial((3, 3, 2), PROHIBITED)])
def test_value_is_unbiased_for_a_fixed_policy_whatever_the_model(design, outcome):
    """A wrong model (half of the truth) costs precision, not truth: z-scores of 150 samples have mean 0."""
    z = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        data, truth = simulate(design, 150, 3, rng, common=0.4, specific=0.5, outcome=outcome)
        common = np.tile(truth.mean(axis=0), (150, 1))
        petitions, best = (nano(part_worths(values, design)) for values in (truth, common))
        fitted = Known(data, truth / 2, truth / 2)
        scores = [policy_scores(fitted, p, 2).value for p in (petitions, best)]
        estimate, error = mean_and_error(scores[0] - scores[1], data.weight)
        z.append((estimate - true_gain(truth, petitions, best, design, outcome)) / error)
    assert abs(np.mean(z)) < 3 / np.sqrt(150)
    assert 0.85 < np.std(z) < 1.18


def test_a_scale_bears_a_model_that_tells_no_petitions_apart():
    data, truth = simulate(DESIGNS[0], 80, 3, np.random.default_rng(12), specific=0.5)
    data = replace(data, outcome=np.clip(np.rint(data.outcome + 3), 1, 5))
    fitted = zero_fit(data)
    fitted.__dict__["links"] = [replace(link, slope=0.0) for link in fitted.links]
    shown = nano(part_worths(truth, DESIGNS[0]))
    found, plain = (policy_scores(fitted, shown, 1, linear=linear).value for linear in (False, True))
    assert np.isfinite(found).all()
    assert found.mean() == pytest.approx(plain.mean(), abs=0.1)


class Imagining:
    """A model that sees an interaction of all attributes, another one for everybody, that is not there."""

    intercept = 3.0

    def __init__(self, design, seed):
        self.layout, self.seed = Layout(design, (tuple(range(len(design.shape))),)), seed

    def utilities(self, respondents):
        n = self.layout.n_cells
        draws = (np.random.default_rng([self.seed, int(i)]) for i in respondents["respondent_id"])
        return Tables(self.layout, np.array([rng.normal(0, 0.5, n) for rng in draws]))


@pytest.mark.statistical
@pytest.mark.parametrize("bounded", [True, False])
def test_interactions_that_are_not_there_are_not_scored(bounded):
    """Everybody gets the petition of which a model says most, and nobody prefers any to another."""
    design, z = DESIGNS[0], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        data, _ = simulate(design, 60, 4, rng, common=0, specific=0, outcome="rating")
        outcome = np.clip(np.rint(data.outcome + 3), 1, 5) if bounded else data.outcome + 3
        people = data.respondents.assign(respondent_id=np.arange(60).astype(str))
        data = replace(data, outcome=outcome, respondents=people)
        fold = data.respondent % 2
        fitted = Crossfit(data, fold, [Imagining(design, seed)] * 2)
        assert bool(fitted.links) == bounded
        scores = (policy_scores(fitted, p, 1).value for p in (nano(fitted.utilities), fitted.overall_best))
        estimate, error = mean_and_error(np.subtract(*scores), data.weight)
        z.append(estimate / error)
    assert abs(np.mean(z)) < 3 / np.sqrt(40)
    assert 0.7 < np.std(z) < 1.3


def true_gain(truth, petitions, best, design, outcome):
    """Average gain with every respondent's exact response; a choice is against a random opponent."""
    offsets = np.concatenate([[0], np.cumsum(design.shape)[:-1]])

    def eta(p):
        return np.take_along_axis(truth, offsets + p, axis=1).sum(axis=1)

    if outcome == "rating":
        return (eta(petitions) - eta(best)).mean()
    from scipy.stats import norm

    grid, probability = grid_and_probability(design)
    opponents = np.column_stack([eta(np.tile(g, (len(truth), 1))) for g in grid])
    chosen = [norm.cdf((eta(p)[:, None] - opponents) / np.sqrt(2)) @ probability for p in (petitions, best)]
    return (chosen[0] - chosen[1]).mean()


def test_random_policy_is_the_mean_outcome():
    data, _ = simulate(DESIGNS[0], 20, 2, np.random.default_rng(6))
    expected = [data.outcome[data.respondent == i].mean() for i in range(20)]
    assert random_scores(data) == pytest.approx(expected)


def test_standard_error_is_that_of_a_mean_and_doubling_weights_changes_nothing():
    scores = np.random.default_rng(7).normal(size=50)
    mean, error = mean_and_error(scores, np.ones(50))
    assert mean == pytest.approx(scores.mean())
    assert error == pytest.approx(scores.std(ddof=1) / np.sqrt(50))
    assert mean_and_error(scores, np.full(50, 2.0)) == pytest.approx((mean, error))


def test_indicators_are_centred_under_the_design():
    design = DESIGNS[2]
    grid, probability = grid_and_probability(design)
    assert np.abs(probability @ indicators(grid, design)).max() < 1e-12


def test_a_block_of_many_cells_needs_no_matrix_of_all_pairs_of_cells():
    """9,375 combinations tied together: all pairs would take 700 MB a kernel."""
    design = factorial((5, 5, 5, 5, 5, 3), [{f"a{i}": ["l0"] for i in range(6)}])
    assert len(design.blocks) == 1
    rng = np.random.default_rng(8)
    shown, chosen = design.draw(200, rng), design.draw(200, rng)
    tracemalloc.start()
    weights = policy_weights(shown, chosen, design, 1)
    best_petitions(part_worths(rng.normal(size=(200, 28)), design))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    independent = factorial((5, 5, 5, 5, 5, 3))
    assert weights == pytest.approx(policy_weights(shown, chosen, independent, 1), abs=0.05)
