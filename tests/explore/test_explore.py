"""Subgroups: who is in which group, what is suppressed, and the test of the interaction."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from nanotarget import estimate, explore
from nanotarget.clean import groups
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate import Table
from nanotarget.study.config import CovariateConfig, GroupConfig, SubgroupConfig
from nanotarget.study.seeds import child_rng
from trials import trial

ARMS = ["control", "best", "nano"]
PRIOR = CovariateConfig(name="prior", kind="numeric", range=[0, 10])
PARTY = CovariateConfig(name="party", kind="categorical", levels=["red", "blue", "none", "<b>"])
BY_PRIOR = SubgroupConfig(
    name="support",
    covariate="prior",
    groups=[
        GroupConfig(name="opposed", max=3),
        GroupConfig(name="persuadable", min=4, max=6),
        GroupConfig(name="base", min=7),
    ],
)
BY_PARTY = SubgroupConfig(name="party", covariate="party")


def experiment(sizes, rng=None):
    """sizes: party -> respondents in each arm."""
    rng = rng or child_rng(1, "explore")
    rows = [
        (party, arm)
        for party, counts in sizes.items()
        for arm, n in zip(ARMS, counts, strict=True)
        for _ in range(n)
    ]
    table = pd.DataFrame(rows, columns=["party", "arm"]).astype(
        {"party": pd.CategoricalDtype(PARTY.levels), "arm": pd.CategoricalDtype(ARMS)}
    )
    n = len(table)
    return table.assign(
        prior=rng.integers(0, 11, n).astype(float), y=rng.normal(size=n), weight=rng.uniform(0.5, 2, n)
    )


BIG = {"red": (40, 40, 40), "blue": (30, 50, 60), "none": (40, 30, 20), "<b>": (25, 35, 45)}


def run(table, *groupings, min_cell=10):
    return explore.subgroups(trial(table, ARMS, ["y"], covariates=[PRIOR, PARTY]), groupings, min_cell)


def test_groups_of_a_number_include_both_bounds_and_leave_gaps_out():
    values = pd.Series([0, 3, 3.5, 4, 6, 6.5, 7, 10, np.nan])
    names, codes = groups.group_codes(values, BY_PRIOR, PRIOR)
    assert names == ["opposed", "persuadable", "base"]
    assert codes.tolist() == [0, 0, -1, 1, 1, -1, 2, 2, -1]


def test_groups_of_categories_are_its_levels():
    values = pd.Series(pd.Categorical(["blue", None, "<b>"], PARTY.levels))
    names, codes = groups.group_codes(values, BY_PARTY, PARTY)
    assert names == PARTY.levels and codes.tolist() == [1, -1, 3]


def test_a_group_is_an_experiment_of_its_own():
    table = experiment(BIG)
    found = run(table, BY_PRIOR, BY_PARTY)
    assert list(found.columns) == list(Table.SUBGROUPS.columns)
    assert found["label"].eq("exploratory").all() and not found["suppressed"].any()
    assert found["group"].drop_duplicates().tolist() == ["opposed", "persuadable", "base", *PARTY.levels]
    for group, rows in (("persuadable", table["prior"].between(4, 6)), ("<b>", table["party"] == "<b>")):
        alone = estimate.effects(trial(table[rows], ARMS, ["y"]))
        part = found[found["group"] == group]
        np.testing.assert_allclose(
            part[list(ESTIMATE_COLUMNS)].to_numpy(float), alone[list(ESTIMATE_COLUMNS)].to_numpy(float)
        )


def test_holm_is_over_the_groups_of_a_contrast():
    found = run(experiment(BIG), BY_PARTY)
    for _, family in found.groupby("contrast"):
        assert family["p_adjusted"].min() == pytest.approx(min(1, 4 * family["p_value"].min()))


def test_the_interaction_is_the_wald_test_of_one_joint_regression():
    table = experiment(BIG)
    arm = np.column_stack([table["arm"] == a for a in ARMS[1:]]).astype(float)
    party = np.column_stack([table["party"] == p for p in PARTY.levels[1:]]).astype(float)
    products = np.hstack([party[:, [j]] * arm for j in range(3)])
    x = sm.add_constant(np.hstack([arm, party, products]))
    model = sm.WLS(table["y"], x, weights=table["weight"]).fit(cov_type="HC2", use_t=True)
    test = model.f_test(np.eye(12)[6:])
    row = run(table, BY_PARTY).iloc[0]
    found = row[["interaction_f", "interaction_df1", "interaction_df2", "interaction_p"]].to_numpy(float)
    np.testing.assert_allclose(found, [test.fvalue, test.df_num, test.df_denom, test.pvalue], rtol=1e-8)


def test_neither_row_order_nor_names_of_levels_matter():
    table = experiment(BIG)
    first = run(table, BY_PRIOR, BY_PARTY)
    pd.testing.assert_frame_equal(
        first, run(table.sample(frac=1, random_state=3), BY_PRIOR, BY_PARTY), rtol=1e-8
    )


def hidden(sizes, min_cell=10):
    counts = np.array(list(sizes))
    return groups.suppressed_groups(counts, min_cell).tolist()


def test_suppression_hides_small_groups_and_enough_others():
    assert hidden([(40, 40), (30, 30), (20, 20)]) == [False] * 3
    # One small group alone could be had by subtraction: the next smallest goes with it.
    assert hidden([(40, 40), (9, 40), (20, 20)]) == [False, True, True]
    # Two small ones hide each other only if together they are large enough.
    assert hidden([(40, 40), (6, 6), (6, 6), (50, 50)]) == [False, True, True, False]
    assert hidden([(40, 40), (3, 3), (3, 3), (50, 50)]) == [True, True, True, False]
    # An empty group hides nothing either.
    assert hidden([(40, 40), (0, 0), (30, 30)]) == [False, True, True]
    assert hidden([(40, 40), (5, 5)]) == [True, True]
    assert hidden([(10, 10), (10, 10)]) == [False, False]


def test_published_groups_are_those_that_hide_nobody():
    people = pd.DataFrame({"party": ["red"] * 40 + ["blue"] * 4 + ["none"] * 20 + ["<b>"] * 30})
    found = dict(groups.published_groups(people, [BY_PARTY], [PARTY], 10))
    assert {name: inside.sum() for name, inside in found.items()} == {
        f"{BY_PARTY.name}: red": 40,
        f"{BY_PARTY.name}: <b>": 30,
    }


def test_suppressed_rows_hold_no_number():
    sizes = {"red": (40, 40, 40), "blue": (30, 9, 30), "none": (40, 30, 20), "<b>": (12, 12, 12)}
    found = run(experiment(sizes), BY_PARTY)
    assert set(found.loc[found["suppressed"], "group"]) == {"blue", "<b>"}
    blank = found[found["suppressed"]]
    assert blank[[*ESTIMATE_COLUMNS, "p_adjusted"]].isna().all(axis=None)
    assert found.loc[~found["suppressed"], list(ESTIMATE_COLUMNS)].notna().all(axis=None)
    # Holm counts the published groups only.
    family = found[(found["contrast"] == "nano - best") & ~found["suppressed"]]
    assert family["p_adjusted"].min() == pytest.approx(min(1, 2 * family["p_value"].min()))


@pytest.mark.parametrize("n", [0, 1])
def test_a_group_without_an_arm_leaves_the_interaction_to_the_others(n):
    sizes = {**BIG, "<b>": (25, 35, n)}
    table = experiment(sizes)
    found = run(table, BY_PARTY).iloc[0]
    three = CovariateConfig(name="party", kind="categorical", levels=PARTY.levels[:3])
    same = explore.subgroups(trial(table, ARMS, ["y"], covariates=[three]), [BY_PARTY], 10).iloc[0]
    columns = ["interaction_f", "interaction_df1", "interaction_df2", "interaction_p"]
    np.testing.assert_allclose(found[columns].astype(float), same[columns].astype(float), rtol=1e-9)


def test_one_group_is_no_interaction():
    found = run(experiment({"red": (20, 20, 20)}), BY_PARTY)
    assert found["interaction_p"].isna().all()


def test_without_groupings_or_outcomes_the_table_is_empty():
    table = experiment(BIG)
    assert run(table).empty
    assert explore.subgroups(
        trial(table, ARMS, [], covariates=[PARTY]), [BY_PARTY], 10
    ).columns.tolist() == list(Table.SUBGROUPS.columns)


def test_a_handful_of_equal_answers_does_not_pass_for_knowledge_of_an_interaction():
    """Variances of a tiny group are zero; taken at their word they would make any difference certain."""
    sizes = {**BIG, "<b>": (2, 2, 2)}
    table = experiment(sizes)
    table["y"] = (table["y"] > 0).astype(float)
    tiny = table["party"] == "<b>"
    table.loc[tiny, "y"] = (table.loc[tiny, "arm"] == "nano").astype(float)
    found = run(table, BY_PARTY).iloc[0]
    without = run(table[~tiny], BY_PARTY).iloc[0]
    assert found["interaction_df1"] == 4
    assert found["interaction_p"] == pytest.approx(without["interaction_p"])
