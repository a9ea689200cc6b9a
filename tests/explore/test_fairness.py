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
from nanotarget.study.config import CovariateConfig, SubgroupConfig
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
    assert set(hidden["group"]) == {"d", "m"} and set(hidden["quantity"]) == {f.PROMISED, f.REALISED}
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
