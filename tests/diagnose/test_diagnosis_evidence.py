"""Moments of respondents against loops that do what the formulas say."""

import itertools

import numpy as np
import pytest
from scipy import stats

from nanotarget.diagnose.ceiling import (
    Contest,
    Shape,
    _maximum_of_block,
    ceiling,
    gain_ceiling,
    normal_points,
    sides,
)
from nanotarget.diagnose.covariance import Covariance
from nanotarget.diagnose.evidence import Answers, PairList, Vectors, block_products, difference
from nanotarget.diagnose.heterogeneity import Heterogeneity
from nanotarget.diagnose.projection import ALONE, Projection, orthonormal
from nanotarget.petitions.design import Design
from nanotarget.study.config import AttributeConfig, DesignConfig
from worlds import factorial

UNEVEN = Design.from_config(
    DesignConfig(
        attributes=[
            AttributeConfig(name="a", levels=["x", "y"], probabilities=[0.3, 0.7]),
            AttributeConfig(name="b", levels=["x", "y", "z"], probabilities=[0.5, 0.2, 0.3]),
        ]
    )
)
TIED = factorial((3, 3, 2), prohibited=[{"a0": ["l0"], "a1": ["l0", "l2"]}])


def answers_of(design, kind, seed, tasks=(4, 3, 5, 2, 4, 6)):
    """Unbalanced answers of a few people, two petitions a task."""
    rng = np.random.default_rng(seed)
    respondent = np.repeat(np.arange(len(tasks)), np.array(tasks) * (2 if kind == "rating" else 1))
    task = np.concatenate([np.repeat(np.arange(t), 2 if kind == "rating" else 1) for t in tasks]) + 1
    n = len(task)
    sides = tuple(design.draw(n, rng) for _ in range(1 if kind == "rating" else 2))
    outcome = rng.normal(size=n) if kind == "rating" else rng.choice([-0.5, 0.5], n)
    expected = rng.normal(size=n) * 0.1
    rated = kind == "rating"
    return Answers(design, respondent, task, respondent % 2, sides, outcome, expected, len(tasks), rated)


def kernel(design, block, one, other):
    """1{same}/p - 1 of a single attribute; of tied ones by the projection on indicators of levels."""
    if len(block.attributes) == 1:
        a = block.attributes[0]
        return (one[a] == other[a]) / design.level_probabilities(a)[one[a]] - 1
    indicators = np.hstack(
        [np.eye(design.shape[a])[block.cells[:, j]] for j, a in enumerate(block.attributes)]
    )
    gram = indicators.T @ (indicators * block.probabilities[:, None])
    cells = [int(block.cell_of(x[None])[0]) for x in (one, other)]
    return indicators[cells[0]] @ np.linalg.pinv(gram, rcond=1e-10) @ indicators[cells[1]] - 1


def slow_coefficients(answers, weight):
    """Weighted least squares over explicit pairs, with the baseline taken from all other tasks."""
    design, rows = answers.design, []
    residual = answers.outcome - answers.expected

    def petitions(row):
        return {tuple(side[row]) for side in answers.sides}

    ranks = [sum(design.shape[a] - 1 for a in block.attributes) for block in design.blocks]
    for i in range(answers.n_respondents):
        own = np.flatnonzero(answers.respondent == i)
        pairs = [(s, t) for s, t in itertools.combinations(own, 2) if answers.task[s] != answers.task[t]]
        if not answers.has_baseline:  # a task shown again is left out
            pairs = [(s, t) for s, t in pairs if petitions(s) != petitions(t)]
        for s, t in pairs:
            level = 0.0
            others = own[~np.isin(answers.task[own], [answers.task[s], answers.task[t]])]
            removed = answers.has_baseline and len(others) > 0
            if removed:
                level = residual[others].mean()
            likeness = []
            for block, rank in zip(design.blocks, ranks, strict=True):
                signs = (1, -1)[: answers.n_sides]
                likeness.append(
                    sum(
                        p * q * kernel(design, block, one[s], other[t])
                        for p, one in zip(signs, answers.sides, strict=True)
                        for q, other in zip(signs, answers.sides, strict=True)
                    )
                    / rank
                )
            rows.append(
                [
                    removed,
                    not removed,
                    *likeness,
                    (residual[s] - level) * (residual[t] - level),
                    weight[i] / len(pairs),
                ]
            )
    table = np.array(rows, dtype=float)
    x, y, w = table[:, :-2], table[:, -2], table[:, -1]
    kept = np.any(x != 0, axis=0)
    root = np.sqrt(w)[:, None]
    return np.linalg.lstsq(x[:, kept] * root, y * root[:, 0], rcond=None)[0][-len(design.blocks) :]


@pytest.mark.parametrize("kind", ["rating", "choice"])
@pytest.mark.parametrize("design", [UNEVEN, TIED], ids=["uneven", "tied"])
def test_variances_are_the_least_squares_of_products_on_likeness(design, kind):
    answers = answers_of(design, kind, 1)
    weight = np.array([1.0, 2.0, 0.5, 1.5, 1.0, 0.7])
    heterogeneity = Heterogeneity(answers)
    moments = heterogeneity.products
    # Without the column of pairs of attributes, which the slow version does not have.
    trimmed = type(moments)(moments.gram[:, :-1, :-1], moments.cross[:, :-1], moments.raw, moments.pairs)
    found = heterogeneity.coefficients(trimmed, weight[None])[0, 2:]
    assert found == pytest.approx(slow_coefficients(answers, weight), abs=1e-9)


def test_a_repeated_pair_of_petitions_is_no_evidence_of_taste():
    answers = answers_of(UNEVEN, "choice", 2, tasks=(3,))
    again = tuple(np.vstack([side, side[:1]]) for side in answers.sides[::-1])
    longer = Answers(
        answers.design,
        np.zeros(4, dtype=int),
        np.arange(1, 5),
        np.zeros(4, dtype=int),
        again,
        np.append(answers.outcome, -0.5),
        np.zeros(4),
        1,
        False,
    )
    pairs = PairList.of(longer)
    assert (0, 3) not in set(zip(pairs.first, pairs.second, strict=True))


def test_products_between_people_leave_out_a_person_with_herself():
    rng = np.random.default_rng(3)
    value, weight = rng.normal(size=(7, 5)), rng.uniform(0.5, 2, 7)
    fold = np.array([0, 0, 0, 1, 1, 1, 1])
    vectors = Vectors(value, np.arange(7), fold, np.ones(7), np.array([2, 3]))
    total, mass = [np.zeros((2, 2)), np.zeros((3, 3))], 0.0
    for i, j in itertools.permutations(range(7), 2):
        if fold[i] == fold[j]:
            for own, span in zip(total, (slice(2), slice(2, 5)), strict=True):
                own += np.outer(value[i, span], value[j, span]) * weight[i] * weight[j]
            mass += weight[i] * weight[j]
    found = vectors.covariance(np.vstack([weight, 3 * weight]))
    for own, blocks in zip(total, found.blocks, strict=True):
        assert blocks == pytest.approx(np.stack([own, own]) / mass, abs=1e-12)
    by_block = [np.trace(own) / mass for own in total]
    assert vectors.between_people(weight[None])[0] == pytest.approx(by_block, abs=1e-12)


def test_functions_of_a_block_are_orthonormal():
    for design in (UNEVEN, TIED):
        for block in design.blocks:
            basis = block.functions()
            assert block.probabilities @ basis == pytest.approx(0, abs=1e-12)
            gram = basis.T @ (basis * block.probabilities[:, None])
            assert gram == pytest.approx(np.eye(basis.shape[1]), abs=1e-10)


def test_orthonormal_columns_span_the_same():
    rng = np.random.default_rng(4)
    raw = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3))
    found = orthonormal(np.column_stack([raw, raw[:, 0] - raw[:, 1]]))
    assert found.T @ found == pytest.approx(np.eye(3), abs=1e-9)
    assert found @ (found.T @ raw) == pytest.approx(raw, abs=1e-9)


def people(rng, n=60, q=9, p=4):
    """Draw features with heavy tails, folds, weights, what is known of coordinates, and the size of noise."""
    features = rng.standard_t(4, size=(n, q)) @ rng.normal(size=(q, q))
    folds = np.eye(2)[rng.integers(0, 2, n)]
    folds[:3] = 0.5
    slopes = rng.normal(size=(q, p)) / 10
    spread = 0.3 + 0.2 * np.abs(features[:, :1])
    return (
        features,
        folds,
        rng.uniform(0.3, 3, n),
        folds @ rng.normal(size=(2, p)) + features @ slopes,
        spread,
    )


def test_a_projection_is_least_squares_that_leaves_each_person_out():
    rng = np.random.default_rng(5)
    features, folds, weight, known, spread = people(rng)
    values = known + spread * rng.normal(size=known.shape)
    columns, root = np.hstack([folds, features]), np.sqrt(weight)[:, None]
    slopes = np.linalg.lstsq(root * columns, root * values, rcond=None)[0][2:]
    centred = features - folds @ np.linalg.lstsq(root * folds, root * features, rcond=None)[0]
    explained = (weight @ (centred @ slopes) ** 2).sum()
    gram = np.linalg.inv((centred * weight[:, None]).T @ centred)
    for i in range(len(values)):
        others = np.arange(len(values)) != i
        fit = np.linalg.lstsq((root * columns)[others], (root * values)[others], rcond=None)[0]
        noise = values[i] @ (values[i] - columns[i] @ fit)
        explained -= weight[i] ** 2 * (centred[i] @ gram @ centred[i]) * noise
    projection = Projection.of(features, weight, folds)
    assert projection.variance(values)[0] == pytest.approx(explained / weight.sum(), rel=1e-9)
    covariance = projection.covariance(values, np.array([1, 3]))
    assert covariance.variance[0] == pytest.approx(explained / weight.sum(), rel=1e-9)


def test_people_whom_nobody_resembles_and_too_many_features_are_left_out():
    rng = np.random.default_rng(6)
    features, folds, weight, known, _ = people(rng)
    alone = np.zeros((len(features), 1))
    alone[7] = 1
    projection = Projection.of(np.hstack([features, alone]), weight, folds)
    assert projection.weight[7] == 0
    assert projection.leverage.max() <= ALONE
    kept = np.arange(len(features)) != 7
    without = Projection.of(features[kept], weight[kept], folds[kept])
    assert projection.variance(known) == pytest.approx(without.variance(known[kept]), rel=1e-6)
    assert Projection.of(rng.normal(size=(60, 40)), weight, folds) is None


def clark(gap, deviation):
    """E max of two independent normals of one deviation, less the larger mean (Clark 1961)."""
    spread = np.sqrt(2) * deviation
    return spread * stats.norm.pdf(gap / spread) - gap * stats.norm.cdf(-gap / spread)


@pytest.mark.statistical
@pytest.mark.parametrize("kind", ["rating", "choice"])
def test_covariances_between_tasks_are_those_of_people(kind):
    """People are divided over the first two levels of the first attribute, and agree on the second."""
    design, rng, n, tasks = factorial((4, 3)), np.random.default_rng(7), 4_000, 5
    who = np.repeat(np.arange(n), tasks)
    side = rng.choice([-0.6, 0.6], n)
    sides = tuple(design.draw(len(who), rng) for _ in range(2 if kind == "choice" else 1))
    own = [side[who] * ((levels[:, 0] == 0) * 1.0 - (levels[:, 0] == 1)) for levels in sides]
    outcome = difference(own) + 0.5 * rng.normal(size=len(who))
    if kind == "rating":
        outcome += rng.normal(size=n)[who]
    task = np.tile(np.arange(tasks), n)
    rest = np.zeros(len(who), dtype=int), sides, outcome, np.zeros(len(who)), n, kind == "rating"
    answers = Answers(design, who, task, *rest)
    found = Heterogeneity(answers).variances(np.ones((1, n))).covariance
    deviations = side[:, None] * np.array([1.0, -1.0, 0, 0]), np.zeros((n, 3))
    true = Covariance.of_levels(design, deviations, np.ones(n))
    assert true.variance[0] == pytest.approx(0.36 / 2)
    for one, other in zip(found.blocks, true.blocks, strict=True):
        assert one == pytest.approx(other, abs=0.02)


def random_covariance(rng, ranks, noise=0.0):
    """Draw a covariance; with noise it is none, but what an estimate of it looks like."""
    blocks = []
    for rank in ranks:
        half = rng.normal(size=(rank, rank))
        added = noise * rng.normal(size=(rank, rank))
        blocks.append((half @ half.T / rank + added + added.T)[None])
    return Covariance(tuple(blocks))


def distance(one, other):
    return sum(((a - b) ** 2).sum() for a, b in zip(one.blocks, other.blocks, strict=True))


def test_the_nearest_covariance_is_the_nearest():
    rng = np.random.default_rng(8)
    estimate = random_covariance(rng, (3, 2), noise=0.7)
    nearest = estimate.nearest(np.array([1.5]))
    assert nearest.variance == pytest.approx([1.5])
    assert min(np.linalg.eigvalsh(own).min() for own in nearest.blocks) > -1e-12
    for _ in range(300):
        other = random_covariance(rng, (3, 2))
        for share in (1.0, 0.1, 0.001):  # also close by, towards the other
            other = other.times(share * 1.5 / other.variance)
            mixed = Covariance(
                tuple((1 - share) * a + b for a, b in zip(nearest.blocks, other.blocks, strict=True))
            )
            assert mixed.variance == pytest.approx([1.5])
            assert distance(estimate, nearest) <= distance(estimate, mixed) + 1e-12


def test_a_covariance_is_its_own_nearest_and_nothing_is_left_of_negative_variances():
    own = random_covariance(np.random.default_rng(9), (4, 2))
    assert distance(own.nearest(own.variance), own) < 1e-20
    assert own.nearest(np.array([-0.1])).variance == pytest.approx([0], abs=1e-15)


def test_points_are_those_of_a_normal_distribution():
    points = normal_points(4)
    assert points.mean(axis=0) == pytest.approx(0, abs=1e-12)
    assert points.T @ points / len(points) == pytest.approx(np.eye(4), abs=1e-12)
    centred = np.linalg.svd(np.eye(5) - 0.2)[0][:, :4]
    rng = np.random.default_rng(1)
    turned = (centred @ np.linalg.qr(rng.normal(size=(4, 4)))[0].T for _ in range(50))
    largest = np.array([(points @ axes.T).max(axis=1).mean() for axes in turned])  # of five normals
    assert np.sqrt(np.mean((largest / 1.16296 - 1) ** 2)) < 0.003


def test_the_ceiling_of_two_levels_is_known():
    design = factorial((2,))
    worths = np.array([[0.15, -0.15], [0.0, 0.0], [2.0, -2.0]])
    variance = np.array([0.09, 0.04, 0.01])
    found = gain_ceiling(design, worths, Covariance.alike(design, variance[:, None]))
    deviation = np.sqrt(variance / 0.5)  # two centred levels have half of the variance
    # Points instead of an integral.
    assert found == pytest.approx(clark(worths[:, 0] - worths[:, 1], deviation), rel=0.01, abs=1e-9)


def test_the_ceiling_of_a_divided_electorate_is_exact():
    design, rng = factorial((5, 3)), np.random.default_rng(10)
    worths, wants = rng.normal(size=8) * 0.3, rng.normal(size=8) * 0.5
    camps = np.array([worths + wants, worths - wants])
    gain = sum(camps[:, own].max(axis=1).mean() - worths[own].max() for own in (slice(0, 5), slice(5, 8)))
    sides = np.array([1.0, -1.0])[:, None]
    parts = (sides * (wants[own] - wants[own].mean()) for own in (slice(0, 5), slice(5, 8)))
    covariance = Covariance.of_levels(design, parts, np.ones(2))
    found = gain_ceiling(design, worths[None], covariance, shape=Shape.DIVIDED)
    assert found[0] == pytest.approx(gain, abs=1e-12)


@pytest.mark.statistical
@pytest.mark.parametrize("design", [factorial((5, 3)), TIED], ids=["free", "tied"])
def test_the_ceiling_is_what_an_oracle_gains(design):
    """Draw people whose deviations have some covariance, search all feasible petitions."""
    rng = np.random.default_rng(5)
    worths = rng.normal(size=(1, sum(design.shape))) * 0.3
    offsets = np.concatenate([[0], np.cumsum(design.shape)])
    total, deviations, people = 0.0, [], 100_000
    for block in design.blocks:
        common = sum(worths[0, offsets[a] + block.cells[:, j]] for j, a in enumerate(block.attributes))
        own = np.zeros((people, len(block.cells)))
        for j, a in enumerate(block.attributes):
            size = design.shape[a]
            mixing = rng.normal(size=(size, size)) * 0.2
            own += (rng.normal(size=(people, size)) @ mixing)[:, block.cells[:, j]]
        own -= (own @ block.probabilities)[:, None]
        total += (common + own).max(axis=1).mean() - common.max()
        deviations.append(own)
    covariance = Covariance.of_levels(design, deviations, np.ones(people))
    assert gain_ceiling(design, worths, covariance)[0] == pytest.approx(total, rel=0.015)


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("n_covariances", [1, 7])
def test_the_maximum_of_a_block_is_that_of_a_plain_loop(shape, n_covariances, monkeypatch):
    rng = np.random.default_rng(4)
    functions = factorial((4,)).blocks[0].functions()
    root = rng.normal(size=(n_covariances, 3, 3))
    covariance = root @ root.transpose(0, 2, 1)
    chosen, valued = rng.normal(size=(2, 7, 4))
    points = normal_points(3) if shape == Shape.NORMAL else sides(3)
    values, axes = np.linalg.eigh(covariance)
    roots = axes * np.sqrt(values)[:, None, :]
    if shape == Shape.NORMAL:
        roots = roots @ axes.transpose(0, 2, 1)
    monkeypatch.setattr("nanotarget.diagnose.ceiling.VALUES_AT_ONCE", 3 * len(points))
    for view in (valued, chosen):
        found = _maximum_of_block(functions, (chosen, view), covariance, shape)
        for i in range(7):
            own = functions @ roots[i % n_covariances] @ points.T
            cell, best = (chosen[i][:, None] + own).argmax(axis=0), view[i][chosen[i].argmax()]
            reached = view[i][cell] + own[cell, np.arange(len(points))]
            assert found.common[i] == pytest.approx(best)
            assert found.gain[i] == pytest.approx(reached.mean() - best)
            assert found.variance[i] == pytest.approx(reached.var())


def test_samples_without_noise_have_the_plain_ceiling():
    design = factorial((4, 3))
    worths = np.tile(np.random.default_rng(1).normal(size=(1, 7)), (5, 1))
    covariance = Covariance.alike(design, np.full((5, 2), 0.1))
    found = ceiling(design, worths, covariance, covariance.variance)
    plain = gain_ceiling(design, worths, covariance)[0]
    assert found.gain == pytest.approx(plain, abs=1e-12)
    divided = gain_ceiling(design, worths, covariance, shape=Shape.DIVIDED)[0]
    assert found.low == pytest.approx(min(plain, divided), abs=1e-12)
    # These deviations are alike for all levels, so that the third shape is the first.
    assert found.high == pytest.approx(max(plain, divided), abs=1e-12)


@pytest.mark.statistical
def test_ceilings_of_tied_levels_are_freed_from_the_winners_curse():
    """No level is better than another; the luckiest looks so, in the data and doubly in samples of them."""
    design, noise, rng = factorial((5, 5)), 0.1, np.random.default_rng(6)
    covariance = Covariance.alike(design, np.full((201, 2), 0.15))
    truth = gain_ceiling(design, np.zeros((1, 10)), covariance.first())[0]
    plain, freed = [], []
    for _ in range(60):
        data = noise * rng.normal(size=10)
        worths = np.vstack([data, data + noise * rng.normal(size=(200, 10))])
        plain.append(gain_ceiling(design, worths[:1], covariance.first())[0])
        freed.append(ceiling(design, worths, covariance, covariance.variance).gain)
    assert np.mean(plain) - truth < -0.15
    # Some of it is left: the oracle is given no better view of the common part than who fields one petition.
    assert -0.06 < np.mean(freed) - truth < 0.02


def test_no_variance_no_gain():
    design = factorial((4, 3))
    nothing = Covariance.alike(design, np.zeros((2, 2)))
    assert gain_ceiling(design, np.zeros((2, 7)), nothing).tolist() == [0.0, 0.0]
    worths = np.random.default_rng(0).normal(size=(20, 7))
    nothing = Covariance.alike(design, np.zeros((20, 2)))
    assert ceiling(design, worths, nothing, nothing.variance) == pytest.approx((0, 0, 0), abs=1e-12)


def test_covariances_of_part_worths_are_those_over_petitions():
    rng = np.random.default_rng(6)
    one, other = rng.normal(size=(2, 3, 8))
    found = block_products(one, other, TIED).sum(axis=1)
    cells = np.array(list(itertools.product(range(3), range(3), range(2))))
    cells = cells[TIED.is_feasible(cells)]
    blocks = TIED.blocks
    chance = np.prod([b.probabilities[b.cell_of(cells)] for b in blocks], axis=0)

    def parts(values, block):
        offsets = np.concatenate([[0], np.cumsum(TIED.shape)])
        return sum(values[:, offsets[a] + cells[:, a]] for a in block.attributes)

    expected = sum((parts(one, b) * parts(other, b)) @ chance for b in blocks)
    assert found == pytest.approx(expected, abs=1e-10)


@pytest.mark.statistical
@pytest.mark.parametrize("size", [0.0, 1.0])
def test_what_many_features_explain_is_unbiased_and_so_is_its_error(size):
    """A third as many features as people, heavy tails, noise that grows with a feature, strong weights."""
    rng = np.random.default_rng(7)
    features, folds, weight, known, spread = people(rng, 90, 30)
    known *= size
    projection = Projection.of(features, weight, folds)
    kept = projection.weight
    centred = np.sqrt(kept)[:, None] * known
    centred -= projection.constants @ (projection.constants.T @ centred)
    true = (centred**2).sum() / kept.sum()
    found, errors = np.array(
        [projection.variance(known + spread * rng.normal(size=known.shape)) for _ in range(400)]
    ).T
    assert found.mean() == pytest.approx(true, abs=3 * found.std() / 20)
    if not size:  # else the error allows for other people, too
        assert np.sqrt((errors**2).mean()) == pytest.approx(found.std(), rel=0.15)
    else:
        assert errors.mean() > found.std()


@pytest.mark.statistical
def test_gains_of_choices_are_those_of_simulated_contests():
    """People with normal utilities compare a petition with one that is drawn from the design."""
    design, rng, people = factorial((5, 4, 3, 3)), np.random.default_rng(11), 60_000
    spans = [slice(a, b) for a, b in itertools.pairwise(np.cumsum([0, *design.shape]))]
    worths = np.concatenate([np.linspace(-0.4, 0.4, size) for size in design.shape])
    own = rng.normal(size=(people, len(worths))) * 0.35
    for span in spans:
        own[:, span] -= own[:, span].mean(axis=1, keepdims=True)
    covariance = Covariance.of_levels(design, [own[:, span] for span in spans], np.ones(people))
    levels = design.draw(people, rng) + np.array([span.start for span in spans])
    opponent = (worths + own)[np.arange(people)[:, None], levels].sum(axis=1)
    noise = rng.normal(size=people)

    def wins(utility):
        return utility - opponent + noise > 0

    utilities = worths + own
    best = [span.start + worths[span].argmax() for span in spans]
    common = utilities[:, best].sum(axis=1)
    top = sum(utilities[:, span].max(axis=1) for span in spans)
    true = wins(top).mean() - wins(common).mean()
    total = sum((worths[span] ** 2).mean() for span in spans)
    everything = total + covariance.variance[0]
    shown = 1 / (2 * np.pi * (1 + 2 * everything))
    contest = Contest.of(shown * total, shown * covariance.variance[0])
    assert contest.of_variances == pytest.approx(shown)
    found = gain_ceiling(design, worths[None] * np.sqrt(shown), covariance.times(shown), contest)
    assert found[0] == pytest.approx(true, abs=0.01)
    # The share of effects that answers show: choices of random petitions on their utilities for all.
    random = design.draw(people, rng) + np.array([span.start for span in spans])
    utility = utilities[np.arange(people)[:, None], random].sum(axis=1)
    shared = worths[random].sum(axis=1)
    assert np.cov(wins(utility), shared)[0, 1] / shared.var() == pytest.approx(np.sqrt(shown), rel=0.04)
