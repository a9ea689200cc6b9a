"""Rules of disclosure against enumeration: bounds of hidden counts, people who are alike, large shares."""

import itertools

import numpy as np
import pandas as pd
import pytest

from nanotarget.study.disclosure import (
    bounds,
    concealed,
    dominated,
    hidden_cells,
    hidden_in_table,
    k_anonymity,
    l_diversity,
    small,
    telling,
    without_small_shares,
)


def sums_of(rows, columns):
    """Totals of a table and their parts: by row, by column and of all."""
    return [
        *((("row", i), [(i, j) for j in range(columns)]) for i in range(rows)),
        *((("column", j), [(i, j) for i in range(rows)]) for j in range(columns)),
        ("all", [("row", i) for i in range(rows)]),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_bounds_of_hidden_counts_are_those_of_every_table_that_is_possible(seed):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 4, (2, 3))
    published = {("row", i): n for i, n in enumerate(table.sum(axis=1))}
    published |= {("column", j): n for j, n in enumerate(table.sum(axis=0))} | {"all": table.sum()}
    hidden = [
        tuple(map(int, cell)) for cell in rng.permutation(list(itertools.product(range(2), range(3))))[:4]
    ]
    published |= {cell: table[cell] for cell in itertools.product(range(2), range(3)) if cell not in hidden}
    if seed % 2:
        del published["column", 1], published["all"]
    values = np.array(list(itertools.product(range(table.sum() + 1), repeat=4)))
    guess = np.tile(table, (len(values), 1, 1))
    for k, cell in enumerate(hidden):
        guess[:, cell[0], cell[1]] = values[:, k]
    agree = (guess.sum(axis=2) == table.sum(axis=1)).all(axis=1)
    for j in range(3):
        agree &= (guess[:, :, j].sum(axis=1) == table[:, j].sum()) | (("column", j) not in published)
    found = bounds(published, sums_of(2, 3))
    for k, cell in enumerate(hidden):
        assert (found[cell].low, found[cell].high) == (values[agree, k].min(), values[agree, k].max())


def test_a_hidden_count_that_another_table_tells_is_found():
    first = [("nano", ["signed", "not"])]
    assert not bounds({"nano": 100}, first)["signed"].told(10)
    linked = [*first, ("signed", ["signed, old", "signed, young"])]
    told = bounds({"nano": 100, "signed, old": 3, "signed, young": 4}, linked)
    assert (told["signed"].low, told["signed"].high) == (7, 7) and told["signed"].told(10)
    assert (told["not"].low, told["not"].high) == (93, 93)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_hidden_cannot_be_told_from_the_total(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 40, (5, 2)) * rng.integers(0, 2, (5, 1))
    hidden = hidden_cells(counts, 10)
    assert hidden[small(counts, 10).any(axis=1)].all()
    for column in counts.T:
        if not hidden.any() or column.sum() < 10:
            continue
        published = {i: n for i, n in enumerate(column) if not hidden[i]} | {"all": column.sum()}
        for cell, found in bounds(published, [("all", range(5))]).items():
            assert not found.told(10) or column[hidden].sum() == 0, (cell, column, hidden)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_hidden_of_two_crossed_groupings_cannot_be_told_from_their_sizes(seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.choice([2, 30], (3, 4, 1)), (3, 4, 2))
    hidden = hidden_in_table(counts, 10)
    assert hidden[small(counts, 10).any(axis=2)].all()
    for arm in range(2):
        own = counts[:, :, arm]
        published = {("row", i): n for i, n in enumerate(own.sum(axis=1))}
        published |= {("column", j): n for j, n in enumerate(own.sum(axis=0))} | {"all": own.sum()}
        published |= {(i, j): own[i, j] for i, j in np.argwhere(~hidden).tolist()}
        told = [cell for cell, found in bounds(published, sums_of(3, 4)).items() if found.told(10)]
        # Groups that are small themselves are hidden before.
        large = [c for c in told if own[c] > 0 and min(own[c[0]].sum(), own[:, c[1]].sum()) >= 10]
        assert not large or hidden[counts.sum(axis=2) > 0].all()


def test_nothing_is_hidden_where_nothing_is_small():
    assert not hidden_cells(np.array([[10], [500], [0]]), 10).any()
    assert hidden_cells(np.array([[9], [500], [0]]), 10).tolist() == [True, True, False]
    assert hidden_cells(np.array([[5], [6], [500]]), 10).tolist() == [True, True, False]
    assert hidden_cells(np.array([[3], [4], [500]]), 10).tolist() == [True, True, True]


def test_shares_of_few_people_go_and_others_with_them():
    table = pd.DataFrame(
        {
            "attribute": ["a", "a", "a", "b", "b"],
            "share_nano": [0.005, 0.095, 0.9, 0.4, 0.6],
            "share_both": [0.0, 0.09, 0.8, 0.003, 0.5],
        }
    )
    shown = without_small_shares(table, ["attribute"], ["share_nano", "share_both"], 1000, 10)
    assert shown["share_nano"].isna().tolist() == [True, True, False, False, False]
    assert shown["share_both"].isna().tolist() == [True, True, False, True, False]
    assert table["share_nano"].notna().all()


@pytest.mark.parametrize(
    ("values", "nk", "p"),
    [([100, 1, 1], True, True), ([50, 41, 9], True, False), ([30, 30, 30], False, False), ([5], True, True),
     ([0, 0], False, False), ([90, 9, 10], True, False)],
)  # fmt: skip
def test_large_contributors(values, nk, p):
    values = np.array(values, dtype=float)
    assert (dominated(values), telling(values)) == (nk, p)
    ordered = sorted(values, reverse=True)
    total = sum(ordered)
    assert dominated(values) == (total > 0 and sum(ordered[:2]) / total > 0.9)


def test_groups_of_people_who_are_alike_by_counting_pairs():
    rng = np.random.default_rng(3)
    rows = pd.DataFrame(rng.integers(0, 3, (60, 3)), columns=["age", "party", "answer"]).astype("object")
    rows.loc[5, "age"] = None
    known = ["age", "party"]
    people = [tuple("?" if pd.isna(v) else v for v in row) for row in rows[known].to_numpy()]
    alike = [[j for j in range(60) if people[j] == people[i]] for i in range(60)]
    assert k_anonymity(rows, known) == min(map(len, alike)) >= 1
    assert l_diversity(rows, known, "answer") == min(len(set(rows.loc[group, "answer"])) for group in alike)
    assert k_anonymity(rows[:0], known) == l_diversity(rows[:0], known, "answer") == 0


@pytest.mark.parametrize("seed", range(6))
def test_what_is_concealed_in_linked_tables_is_not_told(seed):
    """The total of all is fixed; rows, columns and cells give way."""
    rng = np.random.default_rng(seed)
    table = rng.integers(1, 7, (3, 3))
    counts = {(i, j): int(table[i, j]) for i in range(3) for j in range(3)}
    counts |= {("row", i): int(n) for i, n in enumerate(table.sum(axis=1))}
    counts |= {("column", j): int(n) for j, n in enumerate(table.sum(axis=0))} | {"all": int(table.sum())}
    hidden = concealed(counts, sums_of(3, 3), 3, {"all": np.inf})
    assert {cell for cell, n in counts.items() if 0 < n < 3} <= hidden
    left = {cell: n for cell, n in counts.items() if cell not in hidden}
    told = [cell for cell, found in bounds(left, sums_of(3, 3)).items() if found.told(3)]
    assert not told, (table, hidden)


def test_nothing_is_concealed_without_need():
    sums = [("all", ["a", "b", "c"])]
    assert concealed({"all": 100, "a": 40, "b": 60, "c": 0}, sums, 10, {}) == set()
    few = {"all": 100, "a": 4, "b": 30, "c": 66}
    assert concealed(few, sums, 10, {}) == {"a", "b"}
    assert concealed(few, sums, 10, {"b": 200}) == {"a", "c"}
    stay = dict.fromkeys(["b", "c"], np.inf)
    assert concealed(few, sums, 10, stay) == {"a", "all"}
    assert concealed(few, sums, 10, stay | {"all": np.inf}) == {"a"}  # is told all the same
