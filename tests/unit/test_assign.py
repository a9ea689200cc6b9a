"""Assignment, lookup and audit."""

import numpy as np
import pandas as pd
import pytest

from nanotarget.assign import assign, audit, lookup_table, petitions_table
from nanotarget.config import ArmConfig
from nanotarget.contracts import assignments as contract
from nanotarget.learners.base import utility_of
from nanotarget.learners.ridge import fit_ridge
from worlds import factorial, simulate

POLICIES = ["random", "overall_best", "nano"]
PROHIBITED = [{"a0": ["l0"], "a1": ["l1", "l2"]}]


@pytest.fixture(scope="module")
def fitted():
    design = factorial((4, 3, 3), PROHIBITED)
    data, _ = simulate(design, 120, 4, np.random.default_rng(0), specific=0.8)
    model = fit_ridge(data, 1)
    common = model.utilities(data.respondents).mean(axis=0)
    roster = data.respondents.drop(columns="weight")
    roster["opt_out"] = np.arange(120) % 10 == 0
    return design, model, common, roster, data.covariates


def test_table_keeps_its_contract_and_every_petition_is_feasible(fitted):
    design, model, common, roster, _ = fitted
    table = assign(model, common, roster, POLICIES, 7)
    contract(design).validate(table)
    levels = design.codes(table)
    assert design.is_feasible(levels).all()
    assert (design.petition_ids(levels) == table["petition_id"]).all()
    assert table.groupby("respondent_id")["policy"].apply(list).map(tuple).unique().tolist() == [
        tuple(POLICIES)
    ]


def test_nano_is_the_best_of_all_petitions_and_gain_is_counted_from_overall_best(fitted):
    design, model, common, roster, _ = fitted
    table = assign(model, common, roster, POLICIES, 7)
    nano = table[table["policy"] == "nano"].set_index("respondent_id")
    best = table[table["policy"] == "overall_best"].set_index("respondent_id")
    assert best["petition_id"].nunique() == 1
    assert (best["gain_over_best"] == 0).all()
    assert np.allclose(nano["gain_over_best"], nano["predicted"] - best["predicted"])
    person = roster.iloc[[1]]
    grid = design.petition_levels(np.arange(36))
    grid = grid[design.is_feasible(grid)]
    values = utility_of(np.repeat(model.utilities(person), len(grid), axis=0), grid, design)
    assert nano["predicted"].iloc[1] == pytest.approx(values.max() + model.intercept)
    assert nano["petition_id"].nunique() > 1


def test_opt_outs_get_the_overall_best_petition_under_every_policy(fitted):
    _, model, common, roster, _ = fitted
    table = assign(model, common, roster, POLICIES, 7)
    refused = table[table["respondent_id"].isin(roster.loc[roster["opt_out"], "respondent_id"])]
    assert refused["petition_id"].nunique() == 1
    assert (refused["gain_over_best"] == 0).all()


def test_order_of_the_roster_changes_nothing(fitted):
    _, model, common, roster, _ = fitted
    table = assign(model, common, roster, POLICIES, 7)
    shuffled = assign(model, common, roster.sample(frac=1, random_state=1), POLICIES, 7)
    pd.testing.assert_frame_equal(table, shuffled)


def test_overall_best_is_always_assigned(fitted):
    _, model, common, roster, _ = fitted
    assert set(assign(model, common, roster, ["nano"], 7)["policy"]) == {"nano", "overall_best"}


def test_petitions_table_counts_every_respondent_once_a_policy(fitted):
    design, model, common, roster, _ = fitted
    table = assign(model, common, roster, POLICIES, 7)
    petitions = petitions_table(table, design)
    assert petitions[["n_random", "n_overall_best", "n_nano"]].sum().tolist() == [120, 120, 120]
    assert petitions["petition_id"].is_monotonic_increasing
    assert petitions["text"].str.startswith("a0: l").all()


def test_lookup_gives_each_profile_the_petition_of_its_respondents(fitted):
    _, model, common, roster, covariates = fitted
    coarse = roster.copy()
    names = [c.name for c in covariates]
    coarse[names] = np.sign(coarse[names])
    table = assign(model, common, coarse, POLICIES, 7)
    lookup = lookup_table(table, coarse, covariates, "nano")
    assert lookup["n"].sum() == (~coarse["opt_out"]).sum()
    assert not lookup.duplicated(names).any()
    merged = coarse[~coarse["opt_out"]].merge(lookup, on=names)
    nano = table[table["policy"] == "nano"].set_index("respondent_id")["petition_id"]
    assert (merged["petition_id"].to_numpy() == nano.loc[merged["respondent_id"]].to_numpy()).all()


def test_audit_counts_what_was_fielded_otherwise(fitted):
    design, model, common, roster, _ = fitted
    table = assign(model, common, roster, POLICIES, 7)
    arms = [ArmConfig("none"), ArmConfig("best", policy="overall_best"), ArmConfig("mine", policy="nano")]
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
