"""Fairness: divergence of assignment against scipy, gains by group, and what stays hidden."""

import importlib

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nanotarget import estimate
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate import Table
from nanotarget.explore.pair import Fielded
from nanotarget.study.config import CovariateConfig, ExploreConfig, SubgroupConfig
from nanotarget.study.seeds import child_rng
from trials import trial

# The package has a function of the same name.
f = importlib.import_module("nanotarget.explore.fairness")

ARMS = ["best", "nano"]
GENDER = CovariateConfig(name="gender", kind="categorical", levels=["w", "m", "d"])
BY = SubgroupConfig(name="gender", covariate="gender")


def study(sizes=(150, 140, 60), seed=1):
    rng = child_rng(seed, "fairness")
    gender = np.repeat(GENDER.levels, sizes)
    n = len(gender)
    ids = [f"r{i:04d}" for i in rng.permutation(n)]
    table = pd.DataFrame(
        {
            "respondent_id": ids,
            "arm": pd.Categorical.from_codes(rng.integers(0, 2, n), ARMS),
            "gender": pd.Categorical(gender, GENDER.levels),
            "y": rng.normal(size=n),
            "weight": rng.uniform(0.5, 2, n),
        }
    )
    cost = np.where(gender == "w", rng.integers(0, 2, n), rng.integers(1, 3, n))  # depends on gender
    frame = rng.integers(0, 3, n)
    parts = []
    for policy, levels, gain in (
        ("overall_best", np.zeros((2, n), dtype=int), 0.0),
        ("nano", np.array([cost, frame]), 0.1 * cost),
    ):
        part = pd.DataFrame(
            {"respondent_id": ids, "policy": policy, "petition_id": levels[0] * 3 + levels[1]}
        )
        for name, own in zip(("cost", "frame"), levels, strict=True):
            part[name] = pd.Categorical.from_codes(own, ["a", "b", "c"], ordered=True)
        parts.append(part.assign(predicted=3 + gain, gain_over_best=gain))
    return table, pd.concat(parts, ignore_index=True)


def run(table, assignments, outcomes=("y",), groupings=(BY,), min_cell=10):
    asked, fielded = trial(table, ARMS, outcomes, covariates=[GENDER]), Fielded(assignments, "nano", "best")
    found = f.fairness(asked, fielded, groupings, min_cell, 1)
    assert list(found.columns) == list(Table.FAIRNESS.columns)
    return found


def test_divergence_is_cramers_v_with_its_permutation_test():
    table, assignments = study()
    rows = run(table, assignments)
    rows = rows[rows["quantity"] == f.DIVERGENCE].set_index("attribute")
    nano = assignments[assignments["policy"] == "nano"].set_index("respondent_id")
    for name in ("cost", "frame"):
        counts = pd.crosstab(table["gender"].to_numpy(), nano.loc[table["respondent_id"], name].to_numpy())
        assert rows.loc[name, "estimate"] == pytest.approx(stats.contingency.association(counts.to_numpy()))
        p = stats.chi2_contingency(counts.to_numpy(), correction=False).pvalue
        assert rows.loc[name, "p_value"] == pytest.approx(p, abs=0.05)
    assert rows.loc["cost", "p_value"] == 0.001 and rows.loc["cost", "p_adjusted"] == 0.002
    assert rows.loc["frame", "p_value"] > 0.01


def test_gains_of_a_group_are_those_of_its_people():
    table, assignments = study()
    found = run(table, assignments).set_index(["quantity", "group"])
    nano = assignments[assignments["policy"] == "nano"].set_index("respondent_id")
    own = table[table["gender"] == "w"]
    gain = nano.loc[own["respondent_id"], "gain_over_best"].to_numpy()
    assert found.loc[(f.PROMISED, "w"), "estimate"] == pytest.approx(np.average(gain, weights=own["weight"]))
    effect = estimate.effects(trial(own, ARMS, ["y"])).iloc[0]
    columns = list(ESTIMATE_COLUMNS)
    np.testing.assert_allclose(
        found.loc[(f.REALISED, "w"), columns].to_numpy(float), effect[columns].to_numpy(float)
    )


def test_small_groups_are_hidden_and_take_no_part_in_the_divergence():
    table, assignments = study((150, 140, 6))
    found = run(table, assignments)
    hidden = found[found["suppressed"]]
    assert set(hidden["group"]) == {"d", "m"} and set(hidden["quantity"]) == {
        *(f.PROMISED, f.REALISED, f.SLOPE, f.SLOPE_APART)
    }
    assert hidden[list(ESTIMATE_COLUMNS)].isna().all(axis=None)
    rows = found[found["quantity"] == f.DIVERGENCE]
    assert rows["n"].eq(150).all() and rows["note"].eq("one group or one level only").all()


def test_rows_in_another_order_change_nothing_and_nothing_asked_is_nothing_told():
    table, assignments = study()
    first = run(table, assignments)
    other = run(table.sample(frac=1, random_state=1), assignments.sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(first, other, rtol=1e-9)
    assert run(table, assignments, groupings=()).empty
    # Without nano's petitions nobody is in any group.
    nothing = run(table, assignments[assignments["policy"] != "nano"])
    assert nothing["estimate"].isna().all()


PARTY = CovariateConfig(name="party", kind="categorical", levels=["left", "right"])
BOTH = (BY, SubgroupConfig(name="party", covariate="party"))


def crossed(sizes=(300, 290, 120), few=6):
    """A study with a second grouping; `few` of the last gender are on the left."""
    table, assignments = study(sizes)
    rng = child_rng(2, "party")
    party = rng.choice(PARTY.levels, len(table))
    last = np.flatnonzero(table["gender"] == "d")
    party[last] = np.where(np.arange(len(last)) < few, "left", "right")
    return table.assign(party=pd.Categorical(party, PARTY.levels)), assignments


def run_both(table, assignments):
    asked = trial(table, ARMS, ["y"], covariates=[GENDER, PARTY])
    found = f.fairness(asked, Fielded(assignments, "nano", "best"), BOTH, 10, 1)
    return found[(found["grouping"] == "gender and party") & (found["quantity"] == f.PROMISED)]


def test_small_groups_of_two_crossed_groupings_stand_together():
    table, assignments = crossed()
    groups = run_both(table, assignments).set_index("group")["n"]
    assert f.TOGETHER in groups.index and "d, left" not in groups.index
    assert groups.sum() == len(table)
    everyone = run_both(*crossed(few=60))
    assert len(everyone) == 6 and f.TOGETHER not in set(everyone["group"])


def test_slope_and_difference_of_groups_where_the_truth_is_known():
    """Women gain twice what is predicted, men nothing."""
    table, assignments = study((400, 400, 30))
    nano = assignments[assignments["policy"] == "nano"].set_index("respondent_id")
    gain = child_rng(5, "gain").normal(size=len(nano))
    assignments.loc[assignments["policy"] == "nano", "gain_over_best"] = gain
    gain = pd.Series(gain, nano.index).loc[table["respondent_id"]].to_numpy()
    factor = table["gender"].astype("str").map({"w": 2.0, "m": 0.0, "d": 0.0}).to_numpy()
    treated = (table["arm"] == "nano").to_numpy()
    noise = child_rng(6, "noise").normal(size=len(gain)) * 0.3
    table["y"] = treated * factor * (gain + 1) + noise
    found = run(table, assignments)
    slopes = found[found["quantity"] == f.SLOPE].set_index("group")
    for group, truth in (("w", 2), ("m", 0)):
        assert abs(slopes.loc[group, "estimate"] - truth) < 3 * slopes.loc[group, "std_error"] < 0.3
    overall = (found["quantity"] == f.REALISED) & (found["group"] == "")
    assert found.loc[overall, "p_value"].tolist() == [0.001]
    table["y"] = treated + factor + noise
    assert run(table, assignments).loc[overall, "p_value"].iloc[0] > 0.01


def told_apart(sizes=(90, 80, 70), seed=11):
    """A study whose outcome is yes or no, with gains that were promised, and its pair of arms."""
    table, _ = study(sizes)
    rng = child_rng(seed, "apart")
    table["_code"] = pd.Index(GENDER.levels).get_indexer(table["gender"])
    table["_gain"] = rng.normal(size=len(table))
    table["y"] = rng.integers(0, 2, len(table)).astype(float)
    return table, lambda: f.Pair.of(trial(table, ARMS, ["y"]), "nano", "best", "y")


def tables_of(pair):
    groups = [pair.restricted((pair.table["_code"] == g).to_numpy()) for g in range(3)]
    gains = pd.concat([group.effect() for group in groups], ignore_index=True)
    slopes = pd.concat([f._slope(group) for group in groups], ignore_index=True)
    return {f.SLOPE: slopes, f.HARMED: gains.assign(estimate=np.maximum(0, -gains["estimate"]))}


def test_a_group_is_compared_with_all_others_as_a_regression_of_each_permutation_does(monkeypatch):
    monkeypatch.setattr(f, "PERMUTATIONS", 19)
    monkeypatch.setattr(f, "AT_ONCE", 1000)  # several portions
    pair = told_apart()[1]()
    found = f._apart(pair, tables_of(pair), 1)
    codes, gain, w = pair.table["_code"].to_numpy(), pair.table["_gain"].to_numpy(), pair.weight
    treated, n = pair.treated.astype(float), len(pair.y)

    def fit(x, y, rows):
        root = np.sqrt(w[rows])
        return np.linalg.lstsq(x[rows] * root[:, None], y[rows] * root, rcond=None)[0]

    full = np.column_stack([np.ones(n), treated, treated * gain, gain])
    dummies = np.eye(3)[codes]
    everybody = np.ones(n, dtype=bool)
    for quantity, name, null in (
        (f.SLOPE, f.SLOPE_APART, np.column_stack([dummies, dummies * treated[:, None], full[:, 2:]])),
        (f.HARMED, f.HARMED_APART, np.column_stack([dummies, treated])),
    ):

        def difference(y, g, quantity=quantity):
            both = [codes == g, codes != g]
            if quantity == f.SLOPE:
                one, other = (fit(full, y, rows)[2] for rows in both)
            else:
                one, other = (max(0, -fit(full[:, :2], y, rows)[1]) for rows in both)
            return one - other

        fitted = null @ fit(null, pair.y, everybody)
        rng = child_rng(1, f"explore/fairness/y/{quantity}")
        drawn = [fitted + (pair.y - fitted)[rng.permutation(n)] for _ in range(19)]
        for g in range(3):
            observed = difference(pair.y, g)
            reached = 1 + sum(abs(difference(y, g)) >= abs(observed) - 1e-12 for y in drawn)
            assert found[name].loc[g, "estimate"] == pytest.approx(observed, abs=1e-10)
            assert found[name].loc[g, "p_value"] == pytest.approx(reached / 20)
        p = found[name]["p_value"].to_numpy()
        assert (found[name]["p_adjusted"] >= p).all() and found[name]["p_adjusted"].min() == min(
            1, 3 * p.min()
        )


def test_groups_that_are_served_otherwise_are_told_and_others_are_not(monkeypatch):
    monkeypatch.setattr(f, "PERMUTATIONS", 199)
    table, pair = told_apart((300, 300, 300))
    women, treated = (table["_code"] == 0).to_numpy(), (table["arm"] == "nano").to_numpy()
    noise = child_rng(12, "noise").random(len(table))
    table["y"] = (noise < 0.5 - 0.4 * women * treated).astype(float)
    harmed = f._apart(pair(), tables_of(pair()), 1)[f.HARMED_APART]
    assert harmed.loc[0, "p_adjusted"] < 0.02 and harmed.loc[0, "estimate"] > 0.2
    table["y"] = 2.0 * women * treated * table["_gain"] + noise
    slopes = f._apart(pair(), {f.SLOPE: tables_of(pair())[f.SLOPE]}, 1)[f.SLOPE_APART]
    assert slopes.loc[0, "p_adjusted"] < 0.02 and slopes.loc[0, "estimate"] == pytest.approx(2, abs=0.2)
    p = []
    for seed in range(40):
        pair = told_apart(seed=seed)[1]()
        p.append(f._apart(pair, {f.SLOPE: tables_of(pair)[f.SLOPE]}, 1)[f.SLOPE_APART]["p_value"].to_numpy())
    assert 0.35 < np.mean(p) < 0.65 and np.mean(np.array(p) <= 0.1) < 0.22


def test_permutation_holds_its_level_where_all_gain_alike(monkeypatch):
    monkeypatch.setattr(f, "PERMUTATIONS", 99)
    table, _ = study((60, 60, 0))
    table["_code"] = (table["gender"] == "w").astype(int)
    rng, p = child_rng(9, "null"), []
    for _ in range(60):
        table["y"] = rng.normal(size=len(table)) + table["_code"] + (table["arm"] == "nano")
        p.append(f._alike(f.Pair.of(trial(table, ARMS, ["y"]), "nano", "best", "y"), 1)["p_value"].iloc[0])
    assert 0 < np.mean(np.array(p) < 0.1) < 0.25 and 0.3 < np.mean(p) < 0.7


def test_harm_of_a_yes_or_no_is_what_more_people_lose_than_win():
    table, assignments = study((300, 300, 60))
    treated, women = (table["arm"] == "nano").to_numpy(), (table["gender"] == "w").to_numpy()
    agree = np.where(treated, np.where(women, 0.3, 0.8), 0.5)
    table["y"] = (child_rng(8, "harm").random(len(table)) < agree).astype(float)
    found = run(table, assignments).set_index(["quantity", "group"])
    for group in ("w", "m"):
        effect, harm = found.loc[(f.REALISED, group)], found.loc[(f.HARMED, group)]
        assert harm["estimate"] == max(0, -effect["estimate"])
        assert harm["conf_high"] == max(0, -effect["conf_low"])
    assert found.loc[(f.HARMED, "w"), "conf_low"] > 0 == found.loc[(f.HARMED, "m"), "estimate"]


def test_exposure_to_sensitive_levels_is_counted_by_group():
    table, assignments = study((200, 190, 60))
    settings = ExploreConfig(subgroups=[BY], sensitive={"cost": ["c"]})
    asked, fielded = trial(table, ARMS, ["y"], covariates=[GENDER]), Fielded(assignments, "nano", "best")
    found = f.exposure(asked, fielded, settings, 10, 1).set_index("group")
    nano = assignments[assignments["policy"] == "nano"].set_index("respondent_id")
    shown = (nano.loc[table["respondent_id"], "cost"] == "c").to_numpy()
    men = (table["gender"] == "m").to_numpy()
    assert found.loc["m", "estimate"] == pytest.approx(np.average(shown[men], weights=table["weight"][men]))
    assert found.loc["w", "estimate"] == 0 and found.loc["", "p_value"] == 0.001
    assert f.exposure(asked, fielded, settings, 60, 1)["suppressed"].sum() >= 2
