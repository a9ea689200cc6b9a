"""Covariates permuted anew with full refit: against direct computation, under invariances and as a test."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from nanotarget.calibrate.learners import ridge
from nanotarget.calibrate.learners.crossfit import assign_folds, permute_covariates
from nanotarget.diagnose.permutation import (
    CANDIDATES,
    RANKS,
    SHARES,
    abundance_table,
    p_value,
    permutation_table,
    ranked_shares,
)
from nanotarget.petitions.encoding import CovariateEncoder, contrasts, indicators
from worlds import answer, as_respondents, draw_part_worths, factorial, part_worths, simulate

DESIGN = factorial((4, 3, 3))
SMALL = factorial((3, 2, 2))


def people(n, rng):
    """Respondents with numbers and categories, of unequal weight."""
    table = pd.DataFrame(rng.normal(size=(n, 2)), columns=["x", "y"])
    table.loc[rng.random(n) < 0.1, "x"] = np.nan
    table["party"] = pd.Categorical(rng.choice(list("abc"), n), categories=list("abc"))
    respondents, covariates = as_respondents(table)
    respondents["weight"] = rng.uniform(0.5, 2.0, n)
    return respondents, covariates


def crossover(design, n, tasks, rng, outcome="rating", strength=0.5):
    """Calibration in which parties and x like different petitions, with unequal numbers of tasks."""
    respondents, covariates = people(n, rng)
    z = np.column_stack([respondents["x"].fillna(0), pd.get_dummies(respondents["party"])])
    worths = draw_part_worths(design, rng, 0.4) + z @ draw_part_worths(design, rng, strength, z.shape[1])
    data = answer(part_worths(worths, design), respondents, covariates, tasks, rng, outcome=outcome)
    return data.subset((data.task < tasks - 1) | (data.respondent % 3 > 0))


def logit(x, first, weight, penalty):
    """Penalised logit by a general optimiser."""

    def loss(b):
        return weight @ (np.logaddexp(0, x @ b) - first * (x @ b)) + penalty * (b @ b) / 2

    def slope(b):
        return x.T @ (weight * (1 / (1 + np.exp(-x @ b)) - first)) + penalty * b

    return optimize.minimize(loss, np.zeros(x.shape[1]), jac=slope, method="BFGS", options={"gtol": 1e-9}).x


def slow(data, fold):
    """The row of draw 0 from explicit design matrices, plain loops and all petitions."""
    rating = data.response.name == "rating"
    step = 1 if rating else 2
    who, fold = data.respondent[::step], fold[::step]
    x = data.compared(indicators(data.levels, data.design) @ contrasts(data.design))
    if rating:
        y, precision = data.compared(data.outcome), np.ones(len(data.outcome))
    else:
        eta = x @ logit(x, data.outcome[::2], data.weight[who], 1e-3 * len(x) / x.shape[1])
        p = 1 / (1 + np.exp(-eta))
        y, precision = eta + (data.outcome[::2] - p) / (p * (1 - p)), p * (1 - p) / 2
    features = CovariateEncoder.fit(data.respondents, data.covariates).encode(data.respondents)
    z = np.column_stack([np.ones(len(features)), features])
    matrix = (z[who][:, :, None] * x[:, None, :]).reshape(len(x), -1)
    w, r = precision * data.weight[who], x.shape[1]

    def fit(rows, columns, penalty):
        long = np.vstack([matrix[rows, :columns] * np.sqrt(w[rows, None]), np.diag(np.sqrt(penalty))])
        return np.linalg.lstsq(long, np.append(y[rows] * np.sqrt(w[rows]), np.zeros(columns)))[0]

    def losses_of(columns, penalty):
        squares, found = np.empty(len(y)), []
        for f in range(fold.max() + 1):
            found.append(fit(fold != f, columns, penalty))
            squares[fold == f] = (y - matrix[:, :columns] @ found[f])[fold == f] ** 2
        return squares * precision, found

    diagonal = (w[:, None] * matrix**2).sum(axis=0)
    common = ridge.CANDIDATES[ridge.COMMON] * diagonal[:r].mean()
    penalty = common[np.argmin([losses_of(r, np.full(r, c))[0] @ data.weight[who] for c in common])]
    scale = diagonal[r:].sum() / r / np.linalg.matrix_rank(features)
    best, null = None, None
    for candidate in CANDIDATES * scale:
        full = np.isfinite(candidate)
        columns = matrix.shape[1] if full else r
        squares, found = losses_of(columns, np.append(np.full(r, penalty), np.full(columns - r, candidate)))
        mean = np.bincount(who, squares) / np.bincount(who)
        loss = np.average(mean, weights=data.weight)
        null = loss if null is None else null
        if best is None or loss < best[0]:
            best = loss, candidate, found

    petitions = data.design.petition_levels(np.arange(np.prod(data.design.shape)))
    petitions = petitions[data.design.is_feasible(petitions)]
    grid = indicators(petitions, data.design) @ contrasts(data.design)
    nano, divergent = np.empty(len(z), dtype=int), np.empty(len(z), dtype=bool)
    of_person = fold[np.searchsorted(who, np.arange(len(z)))]
    for f, coefficients in enumerate(best[2]):
        tables = np.zeros((z.shape[1], r))
        tables[: len(coefficients) // r] = coefficients.reshape(-1, r)
        utility = z @ tables @ grid.T
        others = of_person != f
        overall = np.argmax(data.weight[others] @ utility[others])
        nano[~others] = utility[~others].argmax(axis=1)
        divergent[~others] = nano[~others] != overall
    share = np.sort(np.bincount(nano))[::-1] / len(nano)
    share = share[share > 0]
    return {
        "improvement": null - best[0],
        "distinct": len(share),
        "effective": np.exp(-np.sum(share * np.log(share))),
        "share_divergent": data.weight @ divergent / data.weight.sum(),
        "penalty": best[1],
        **{name: share[k] if k < len(share) else 0 for k, name in enumerate(SHARES)},
    }


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_draw_0_equals_fits_to_explicit_design_matrices(outcome):
    design = factorial((3, 3, 2), prohibited=[{"a0": ["l0"], "a1": ["l1", "l2"]}])
    data = crossover(design, 60, 4, np.random.default_rng(0), outcome)
    fold = assign_folds(data, 4, 1)
    table = permutation_table(data, fold, [0], 1)
    found, expected = table.iloc[0].to_dict(), slow(data, fold)
    assert found.pop("draw") == 0
    assert found["distinct"] > 1 and found["improvement"] > 0 and np.isfinite(found["penalty"])
    assert found == pytest.approx(expected, rel=1e-7)


def test_a_draw_is_a_fit_to_dealt_covariates():
    """Survey weights stay with the answers."""
    data = crossover(DESIGN, 60, 4, np.random.default_rng(1))
    fold = assign_folds(data, 5, 1)
    table = permutation_table(data, fold, [5, 0, *range(6, 10)], 9)
    assert table["draw"].tolist() == [5, 0, 6, 7, 8, 9]
    for draw, row in table.set_index("draw").iterrows():
        permuted = permute_covariates(data, draw, 9) if draw else data
        again = permutation_table(permuted, fold, [0], 9).iloc[0].drop("draw")
        assert row.to_dict() == pytest.approx(again.to_dict(), rel=1e-7, abs=1e-12)
    assert (table["improvement"] > 0).sum() > 2


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_order_of_respondents_and_labels_of_levels_mean_nothing(outcome):
    rng = np.random.default_rng(2)
    data = crossover(DESIGN, 80, 4, rng, outcome)
    fold = assign_folds(data, 5, 1)
    expected = permutation_table(data, fold, [0], 1).iloc[0].to_dict()
    assert expected["distinct"] > 1

    levels = np.column_stack(
        [rng.permutation(size)[data.levels[:, a]] for a, size in enumerate(DESIGN.shape)]
    )
    relabelled = permutation_table(replace(data, levels=levels), fold, [0], 1).iloc[0].to_dict()

    order = rng.permutation(data.n_respondents)
    rows = np.concatenate([np.flatnonzero(data.respondent == i) for i in order])
    shuffled = replace(
        data,
        levels=data.levels[rows],
        outcome=data.outcome[rows],
        task=data.task[rows],
        respondent=np.argsort(order)[data.respondent[rows]],
        respondents=data.respondents.iloc[order].reset_index(drop=True),
    )
    reordered = permutation_table(shuffled, fold[rows], [0], 1).iloc[0].to_dict()
    assert relabelled == pytest.approx(expected, rel=1e-7)
    assert reordered == pytest.approx(expected, rel=1e-7)


def test_doubled_respondents_of_half_the_weight_change_nothing():
    data = crossover(DESIGN, 60, 4, np.random.default_rng(3))
    fold = assign_folds(data, 5, 1)
    rows = np.concatenate([np.tile(np.flatnonzero(data.respondent == i), 2) for i in range(60)])
    again = np.concatenate([np.repeat([2 * i, 2 * i + 1], (data.respondent == i).sum()) for i in range(60)])
    respondents = data.respondents.loc[np.repeat(np.arange(60), 2)].reset_index(drop=True)
    doubled = replace(
        data,
        levels=data.levels[rows],
        outcome=data.outcome[rows],
        task=data.task[rows],
        respondent=again,
        respondents=respondents.assign(weight=respondents["weight"] / 2),
    )
    expected = permutation_table(data, fold, [0], 1).drop(columns="penalty").iloc[0].to_dict()
    found = permutation_table(doubled, fold[rows], [0], 1).drop(columns="penalty").iloc[0].to_dict()
    assert expected["improvement"] > 0
    assert found == pytest.approx(expected, rel=1e-7)


def test_the_worst_petitions_are_the_best_of_the_opposite_ratings():
    data = crossover(DESIGN, 60, 4, np.random.default_rng(4))
    fold = assign_folds(data, 5, 1)
    worst = permutation_table(data, fold, [0], 1, worst=True).iloc[0].to_dict()
    best = permutation_table(replace(data, outcome=-data.outcome), fold, [0], 1).iloc[0].to_dict()
    assert worst == pytest.approx(best, rel=1e-9)
    assert worst["distinct"] != permutation_table(data, fold, [0], 1)["distinct"][0]


@pytest.mark.statistical
@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_p_values_of_covariates_that_tell_nothing_are_uniform(outcome):
    """People differ in ways that covariates do not tell. Counts lie in 99.8 % binomial intervals.

    Where the null itself predicts best the improvement is zero, as it often is: such p-values are 1.
    """
    worlds, permutations, rng = 60, 9, np.random.default_rng(5)
    p = np.empty(worlds)
    for k in range(worlds):
        data, _ = simulate(SMALL, 30, 2, rng, features=2, idiosyncratic=0.5, outcome=outcome)
        data.respondents["weight"] = rng.uniform(0.5, 2, 30)
        table = permutation_table(data, assign_folds(data, 2, k), range(permutations + 1), k)
        p[k] = p_value(table["improvement"].to_numpy())
    assert (p == 1).mean() < 0.7
    for level in (0.1, 0.2, 0.3):
        low, high = stats.binom.ppf([0.001, 0.999], worlds, level)
        assert low <= (p < level + 1e-9).sum() <= high


@pytest.mark.statistical
@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_what_covariates_tell_is_beyond_all_permutations(outcome):
    data = crossover(DESIGN, 150, 6, np.random.default_rng(6), outcome, strength=0.8)
    table = permutation_table(data, assign_folds(data, 5, 1), range(20), 1)
    assert p_value(table["improvement"].to_numpy()) == 1 / 20
    assert table["effective"][0] > 1.5 * table["effective"][1:].max()


def test_p_value_counts_the_data_themselves_and_ties():
    assert p_value(np.array([3.0, 1.0, 2.0, 0.0])) == 0.25
    assert p_value(np.array([0.0, 0.0, 1.0, 0.0])) == 1.0
    assert p_value(np.array([1.0, 1.0, 2.0, 0.0])) == 0.75


def test_without_covariates_nothing_is_person_specific():
    data, _ = simulate(DESIGN, 30, 3, np.random.default_rng(7))
    row = permutation_table(replace(data, covariates=()), assign_folds(data, 5, 1), [0, 1], 1).iloc[0]
    assert row["improvement"] == 0 and row["share_divergent"] == 0 and row["penalty"] == np.inf


def test_a_person_in_two_folds_is_an_error():
    data, _ = simulate(DESIGN, 30, 3, np.random.default_rng(8))
    with pytest.raises(ValueError, match="one fold"):
        permutation_table(data, assign_folds(data, 3, 1, own_answers=True), [0], 1)


def test_abundance_is_a_band_of_permutations_by_rank():
    observed = ranked_shares(np.array([5, 5, 5, 2, 2, 9, 9, 9, 9, 1]))
    assert observed[:5].tolist() == [0.4, 0.3, 0.2, 0.1, 0.0] and len(observed) == RANKS
    assert ranked_shares(np.arange(60)).sum() == pytest.approx(0.5)
    permuted = np.zeros((21, RANKS))
    permuted[:, 0] = np.linspace(0.8, 1.0, 21)
    permuted[:, 1] = 1 - permuted[:, 0]
    table = abundance_table(observed, permuted)
    assert table.columns.tolist() == ["source", "rank", "share", "share_low", "share_high"]
    own, null = (table[table["source"] == source] for source in ("observed", "permuted"))
    assert own["rank"].tolist() == [1, 2, 3, 4] and own["share_low"].isna().all()
    assert null["rank"].tolist() == [1, 2]
    assert null[["share", "share_low", "share_high"]].to_numpy() == pytest.approx(
        np.array([[0.9, 0.81, 0.99], [0.1, 0.01, 0.19]])
    )
    assert set(abundance_table(observed, permuted[:0])["source"]) == {"observed"}
