"""Assignment, lookup and audit."""

import numpy as np
import pandas as pd
import pytest

from nanotarget.assign.assign import (
    assign,
    audit,
    concentration_table,
    count_petitions,
    lookup_table,
    petitions_table,
    pooled_petitions,
)
from nanotarget.calibrate.learners.crossfit import permute_covariates
from nanotarget.calibrate.learners.ridge import fit_ridge
from nanotarget.clean.contracts import assignments as contract
from nanotarget.petitions.policy import best_set, concentration, nano, overall_best, segment
from nanotarget.petitions.utilities import part_worths
from nanotarget.study.config import ArmConfig, PolicyConfig
from worlds import factorial, simulate

POLICIES = ["random", "overall_best", "segment", "nano", "best_min", "nano_min"]
SETTINGS = PolicyConfig(policies=POLICIES, segments=3)
PROHIBITED = [{"a0": ["l0"], "a1": ["l1", "l2"]}]


@pytest.fixture(scope="module")
def fitted():
    design = factorial((4, 3, 3), PROHIBITED)
    data, _ = simulate(design, 120, 4, np.random.default_rng(0), specific=0.8)
    model = fit_ridge(data, 1)
    roster = data.respondents.drop(columns="weight")
    roster["opt_out"] = np.arange(120) % 10 == 0
    return design, model, data.respondents, roster, data


def test_table_keeps_its_contract_and_every_petition_is_feasible(fitted):
    design, model, people, roster, _ = fitted
    table = assign(model, people, roster, SETTINGS, 7)
    contract(design).validate(table)
    levels = design.codes(table)
    assert design.is_feasible(levels).all()
    assert (design.petition_ids(levels) == table["petition_id"]).all()
    assert table.groupby("respondent_id")["policy"].apply(list).map(tuple).unique().tolist() == [
        tuple(POLICIES)
    ]


def test_nano_is_the_best_of_all_petitions_and_gain_is_counted_from_overall_best(fitted):
    design, model, people, roster, _ = fitted
    table = assign(model, people, roster, SETTINGS, 7)
    nano = table[table["policy"] == "nano"].set_index("respondent_id")
    best = table[table["policy"] == "overall_best"].set_index("respondent_id")
    assert best["petition_id"].nunique() == 1
    assert (best["gain_over_best"] == 0).all()
    agreed = nano["predicted"].notna()
    assert agreed.sum() == (~roster["opt_out"]).sum()
    assert np.allclose(nano["gain_over_best"][agreed], (nano["predicted"] - best["predicted"])[agreed])
    person = roster.iloc[[1]]
    grid = design.petition_levels(np.arange(36))
    grid = grid[design.is_feasible(grid)]
    values = model.utilities(person).utilities_of_all(grid)[0]
    assert nano["predicted"].iloc[1] == pytest.approx(values.max() + model.intercept)
    assert nano["petition_id"].nunique() > 1


def test_opt_outs_get_the_overall_best_petition_under_every_policy(fitted):
    _, model, people, roster, _ = fitted
    table = assign(model, people, roster, SETTINGS, 7)
    refused = table[table["respondent_id"].isin(roster.loc[roster["opt_out"], "respondent_id"])]
    assert refused["petition_id"].nunique() == 1
    assert (refused["gain_over_best"] == 0).all()
    assert refused["predicted"].isna().all()


def test_order_of_the_roster_changes_nothing(fitted):
    _, model, people, roster, _ = fitted
    table = assign(model, people, roster, SETTINGS, 7)
    shuffled = assign(model, people, roster.sample(frac=1, random_state=1), SETTINGS, 7)
    pd.testing.assert_frame_equal(table, shuffled)


def test_overall_best_is_always_assigned(fitted):
    _, model, people, roster, _ = fitted
    assert set(assign(model, people, roster, PolicyConfig(policies=["nano"]), 7)["policy"]) == {
        "nano",
        "overall_best",
    }


def test_petitions_table_counts_every_respondent_once_a_policy(fitted):
    design, model, people, roster, _ = fitted
    table = assign(model, people, roster, SETTINGS, 7)
    petitions = petitions_table(count_petitions([table]), design)
    assert petitions[[f"n_{name}" for name in POLICIES]].sum().tolist() == [120] * 6
    assert petitions["petition_id"].is_monotonic_increasing
    assert petitions["text"].str.startswith("a0: l").all()


@pytest.mark.parametrize(
    ("counts", "published", "pooled"),
    [
        ([30, 12, 9, 4, 0], [30, 12], [(2, 13)]),
        ([30, 12, 0, 0, 0], [30, 12], []),
        ([30, 12, 9, 0, 0], [30], [(2, 21)]),  # alone, nine people would be told by the total
        ([3, 3, 3, 3, 3], [], [(5, 15)]),
        ([50, 5, 0, 0, 0], [], [(2, 55)]),
    ],
)
def test_petitions_of_few_people_are_published_together_only(counts, published, pooled):
    private = pd.DataFrame({"petition_id": range(5), "Sector": "a", "text": "t", "n_nano": counts})
    table = pooled_petitions(private, 10)
    alone = table["petition_id"].notna()
    assert table.loc[alone, "n"].tolist() == published and (table.loc[alone, "petitions"] == 1).all()
    assert list(table.loc[~alone, ["petitions", "n"]].itertuples(index=False, name=None)) == pooled
    assert table.loc[~alone, ["Sector", "text"]].isna().all(axis=None)
    assert table["n"].sum() == sum(counts)


def test_lookup_gives_each_profile_the_petition_of_its_respondents(fitted):
    _, model, people, roster, data = fitted
    covariates = data.covariates
    coarse = roster.copy()
    names = [c.name for c in covariates]
    coarse[names] = np.sign(coarse[names])
    table = assign(model, people, coarse, SETTINGS, 7)
    lookup = lookup_table([(table, coarse)], covariates, "nano")
    assert lookup["n"].sum() == (~coarse["opt_out"]).sum()
    assert not lookup.duplicated(names).any()
    merged = coarse[~coarse["opt_out"]].merge(lookup, on=names)
    nano = table[table["policy"] == "nano"].set_index("respondent_id")["petition_id"]
    assert (merged["petition_id"].to_numpy() == nano.loc[merged["respondent_id"]].to_numpy()).all()


def test_audit_counts_what_was_fielded_otherwise(fitted):
    design, model, people, roster, _ = fitted
    table = assign(model, people, roster, SETTINGS, 7)
    arms = [
        ArmConfig(name="none"),
        ArmConfig(name="best", policy="overall_best"),
        ArmConfig(name="mine", policy="nano"),
    ]
    people = roster.copy()
    people["arm"] = np.resize(["none", "best", "mine"], 120)
    policy = people["arm"].map({"none": "nano", "best": "overall_best", "mine": "nano"})
    shown = table.set_index(["respondent_id", "policy"]).loc[
        list(zip(people["respondent_id"], policy, strict=True))
    ]
    levels = design.codes(shown.reset_index())
    changed = np.flatnonzero(people["arm"] == "mine")[:4]
    levels[changed] = [0, 1, 0]  # prohibited, and nobody's best
    people = pd.concat([people.reset_index(drop=True), design.frame(levels)], axis=1)
    people.loc[people["arm"] == "none", design.names] = None
    result = audit(table, people, arms, design).set_index("arm")
    assert list(result.index) == ["best", "mine"]
    assert result.loc["best", ["n", "n_agree", "n_infeasible"]].tolist() == [40, 40, 0]
    assert result.loc["mine", ["n", "n_agree", "n_infeasible"]].tolist() == [40, 36, 4]
    assert result.loc["mine", "share_agree"] == pytest.approx(0.9)


def test_dissuasion_twins_are_the_worst_petitions(fitted):
    design, model, people, roster, _ = fitted
    table = assign(model, people, roster, SETTINGS, 7).set_index("policy")
    kept = roster[~roster["opt_out"]]
    grid = design.petition_levels(np.arange(36))
    grid = grid[design.is_feasible(grid)]
    values = model.utilities(kept).utilities_of_all(grid)
    worst = table.loc["nano_min"].set_index("respondent_id").loc[kept["respondent_id"]]
    assert np.allclose(worst["predicted"], values.min(axis=1) + model.intercept)
    shared = table.loc["best_min"].set_index("respondent_id").loc[kept["respondent_id"], "petition_id"]
    mean = model.utilities(people).utilities_of_all(grid).mean(axis=0)
    assert shared.unique().tolist() == [design.petition_ids(grid[[mean.argmin()]])[0]]


def average(utilities, petitions):
    return utilities.utilities_of_all(petitions).max(axis=1).mean()


def test_segments_lie_between_overall_best_and_nano_and_grow_with_k(fitted):
    _, model, _, _, data = fitted
    utilities, weight = model.utilities(data.respondents), data.weight
    best = overall_best(utilities, weight)[None]
    reached = [average(utilities, best_set(utilities, weight, k)) for k in (1, 2, 3, 5)]
    assert reached[0] == pytest.approx(average(utilities, best))
    assert reached == sorted(reached)
    distinct = np.unique(nano(utilities), axis=0)
    everything = best_set(utilities, weight, 1000)
    assert average(utilities, everything) == pytest.approx(average(utilities, distinct))
    given = segment(utilities, best_set(utilities, weight, 3))
    assert len(np.unique(given, axis=0)) <= 3


def test_two_clear_segments_are_found_exactly():
    design = factorial((4, 3, 3))
    kinds = np.random.default_rng(3).normal(size=(2, 10))
    utilities = part_worths(kinds[np.arange(50) % 2], design)
    found = best_set(utilities, np.ones(50), 2)
    wanted = nano(part_worths(kinds, design))
    assert sorted(map(tuple, found)) == sorted(map(tuple, wanted))
    assert len(best_set(utilities, np.ones(50), 7)) == 2


def test_best_set_is_no_worse_than_any_pair_on_a_small_grid():
    """Exhaustive over all pairs of 12 petitions: the search reaches 98 % of the best gain."""
    design = factorial((3, 2, 2))
    grid = design.petition_levels(np.arange(12))
    shares = []
    for seed in range(20):
        utilities = part_worths(np.random.default_rng(seed).normal(size=(60, 7)), design)
        pairs = [average(utilities, grid[[i, j]]) for i in range(12) for j in range(i)]
        one = max(average(utilities, grid[[i]]) for i in range(12))
        two = average(utilities, best_set(utilities, np.ones(60), 2))
        assert two <= max(pairs) + 1e-12
        shares.append((two - one) / (max(pairs) - one))
    assert np.mean(shares) > 0.98


def test_concentration_of_known_shares():
    assert concentration(np.array([3, 3, 3, 3])) == {
        "n": 4,
        "distinct": 1,
        "effective": 1.0,
        "top_share": 1.0,
    }
    even = concentration(np.repeat(np.arange(8), 5))
    assert (even["distinct"], even["top_share"]) == (8, 0.125)
    assert even["effective"] == pytest.approx(8)


def test_permuted_covariates_show_what_noise_would_get(fitted):
    design, model, _, roster, data = fitted
    permuted = [fit_ridge(permute_covariates(data, draw, 7), 1) for draw in range(1, 5)]
    table = concentration_table(model, permuted, roster)
    assert table["covariates"].tolist() == ["observed", *["permuted"] * 4]
    assert (table["n"] == (~roster["opt_out"]).sum()).all()
    observed, permuted = table.iloc[0], table.iloc[1:]
    assert observed["distinct"] == len(
        np.unique(design.petition_ids(nano(model.utilities(roster[~roster["opt_out"]]))))
    )
    assert permuted["distinct"].max() < observed["distinct"]
