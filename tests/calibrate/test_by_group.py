"""Groups of respondents: what they like, how they differ, and whether a joint test of it keeps its size."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from conjoint_surveys import JOB, NASTY, REASON, RESTRICTED, people, survey
from nanotarget.calibrate import conjoint
from nanotarget.calibrate.by_group import Grouping, by_quantiles, group_tests, in_groups
from nanotarget.calibrate.conjoint import Analysis
from nanotarget.study.config import CovariateConfig, GroupingConfig
from nanotarget.study.seeds import child_rng

RATING = Analysis("rating", "CR1")
SIDE = CovariateConfig(name="side", kind="categorical", levels=["left", "centre", "right"])
BY_SIDE = GroupingConfig(name="side", covariate="side")


def grouped(design, seed, min_cell=1, respondents=120, shares=(0.4, 0.3, 0.3), outcome=None):
    """A survey and its respondents in groups."""
    rng = child_rng(seed, "groups")
    profiles = survey(design, rng, respondents=respondents, outcome=outcome)
    table = people(profiles)
    table["side"] = pd.Categorical(rng.choice(SIDE.levels, len(table), p=shares), SIDE.levels)
    return profiles, table, Grouping.of(profiles, table, BY_SIDE, SIDE, min_cell)


@pytest.mark.parametrize("design", [NASTY, RESTRICTED])
def test_estimates_of_a_group_are_those_of_its_survey_alone(design):
    profiles, _, grouping = grouped(design, 1)
    found = in_groups(profiles, design, grouping, RATING)
    alone = profiles[grouping.code == 1]
    own = found[(found["group"] == "centre") & (found["minus"] == "")]
    means = conjoint.marginal_means(alone, design, "rating", "CR1")
    columns = ["attribute", "level", "estimate", "std_error", "df", "n"]
    pd.testing.assert_frame_equal(
        own.loc[own["quantity"] == "marginal_mean", columns].reset_index(drop=True),
        means[columns],
        check_dtype=False,
    )
    effects = conjoint.amce(alone, design, "rating", "CR1")
    effects = effects[(effects["estimator"] == "main_effects") & effects["std_error"].notna()]
    first = {a.name: a.levels[0] for a in design.attributes}
    against = own[own["reference"] == own["attribute"].map(first)]
    pd.testing.assert_frame_equal(
        against[columns].reset_index(drop=True), effects[columns].reset_index(drop=True), check_dtype=False
    )


def test_any_two_levels_are_compared_as_if_the_other_were_the_reference():
    profiles, *_ = grouped(NASTY, 2)
    found = conjoint.level_contrasts(profiles, NASTY, RATING).set_index(["attribute", "level", "reference"])
    levels = NASTY.attributes[1].levels
    turned = dataclasses.replace(
        NASTY.attributes[1], levels=levels[::-1], probabilities=NASTY.attributes[1].probabilities[::-1]
    )
    other = dataclasses.replace(NASTY, attributes=(NASTY.attributes[0], turned, NASTY.attributes[2]))
    rows = profiles.assign(**{REASON: profiles[REASON].cat.reorder_categories(list(levels[::-1]))})
    again = conjoint.level_contrasts(rows, other, RATING).set_index(["attribute", "level", "reference"])
    assert len(found) == 3 + 6 + 1
    for later in range(4):
        for earlier in range(later):
            one, two = (
                found.loc[(REASON, levels[later], levels[earlier])],
                again.loc[(REASON, levels[earlier], levels[later])],
            )
            assert one["estimate"] == pytest.approx(-two["estimate"], rel=1e-9)
            assert one["std_error"] == pytest.approx(two["std_error"], rel=1e-9)


def test_differences_are_of_different_people_and_adjusted_together():
    profiles, _, grouping = grouped(NASTY, 3)
    found = in_groups(profiles, NASTY, grouping, RATING)
    keys = ["quantity", "attribute", "level", "reference"]
    left, right = (
        found[(found["group"] == g) & (found["minus"] == "")].set_index(keys) for g in ("left", "right")
    )
    difference = found[(found["group"] == "right") & (found["minus"] == "left")].set_index(keys)
    np.testing.assert_allclose(
        difference["estimate"], (right["estimate"] - left["estimate"]).loc[difference.index]
    )
    np.testing.assert_allclose(
        difference["std_error"], np.hypot(right["std_error"], left["std_error"]).loc[difference.index]
    )
    pairs = found.loc[found["minus"] != "", ["group", "minus"]].drop_duplicates()
    assert pairs.to_numpy().tolist() == [["centre", "left"], ["right", "left"], ["right", "centre"]]
    means = found[(found["minus"] != "") & (found["quantity"] == "marginal_mean")]
    for method, name in (("holm", "holm"), ("fdr_bh", "bh"), ("bonferroni", "bonferroni")):
        np.testing.assert_allclose(means[f"p_{name}"], multipletests(means["p_value"], method=method)[1])
    assert found.loc[found["minus"] == "", "p_holm"].isna().all()


def test_small_groups_are_suppressed_and_not_found_by_subtraction():
    profiles, table, grouping = grouped(NASTY, 4, min_cell=10, respondents=60, shares=(0.6, 0.32, 0.08))
    assert (table["side"] == "right").sum() < 10
    assert grouping.suppressed.tolist() == [False, True, True]
    found = in_groups(profiles, NASTY, grouping, RATING)
    open_rows = found[~found["suppressed"]]
    assert set(open_rows["group"]) == {"left"} and set(open_rows["minus"]) == {""}
    assert found.loc[found["suppressed"], ["estimate", "n", "n_clusters"]].isna().all(axis=None)
    (row,) = group_tests(profiles, NASTY, grouping, RATING).to_dict("records")
    assert row["note"] == "fewer than two groups are left" and np.isnan(row["p_value"])


def test_quantiles_divide_a_number_into_groups_of_one_size():
    config = GroupingConfig(name="age", covariate="age", quantiles=3)
    ages = pd.Series([20.0, 21, 22, 40, 41, 42, 60, 61, np.nan, 62])
    groups = by_quantiles(ages, config).groups
    assert [(g.name, g.min, g.max) for g in groups] == [
        ("20 to 22", 20, 22), ("40 to 42", 40, 42), ("60 to 62", 60, 62),
    ]  # fmt: skip
    assert [g.name for g in by_quantiles(pd.Series([0.0, 0, 0, 1]), config).groups] == ["0", "1"]


def test_levels_that_a_group_did_not_see_are_left_out_of_the_tests():
    profiles, _, grouping = grouped(NASTY, 5)
    unseen = (grouping.code == 1) & (profiles[JOB] == "NA")
    shown = profiles.assign(**{JOB: profiles[JOB].where(~unseen, "None")})
    tests = group_tests(shown, NASTY, grouping, RATING).set_index(["item", "test"])
    job = tests.loc[(JOB, "robust F")]
    assert job["df1"] == 2 and job["note"].startswith("without 1 level")
    found = in_groups(shown, NASTY, grouping, RATING)
    rows = found[(found["attribute"] == JOB) & (found["level"] == "NA") & (found["minus"] == "left")]
    assert rows.loc[rows["group"] == "centre", "estimate"].isna().all()
    assert rows.loc[rows["group"] == "right", "estimate"].notna().all()


@pytest.mark.statistical
def test_the_robust_test_keeps_its_size_where_people_differ_and_finds_groups_that_do():
    """People have tastes of their own, so that answers of one hang together: the classical test rejects."""
    draws, rejected, power = 100, [], []
    for draw in range(draws):
        taste = child_rng(draw, "tastes").normal(size=60)
        profiles, _, grouping = grouped(
            NASTY, 100 + draw, respondents=60, shares=(0.5, 0.5, 0.0),
            outcome=lambda codes, person, taste=taste: 2.0 * taste[person] * (codes[:, 0] == 1),
        )  # fmt: skip
        whole = group_tests(profiles, NASTY, grouping, RATING).set_index(["item", "test"])["p_value"]
        rejected.append(whole.loc["(all levels)"] <= 0.05)
        if draw < 20:
            liked = (grouping.code == 0) & (profiles[REASON] == "10")
            moved = profiles.assign(rating=profiles["rating"] + 3.0 * liked)
            power.append(
                group_tests(moved, NASTY, grouping, RATING).set_index("item").loc[REASON, "p_value"] < 0.01
            )
    rates = pd.DataFrame(rejected).mean()
    low, high = stats.binom.interval(0.99, draws, 0.05)
    assert low <= draws * rates["robust F"] <= high, rates
    assert draws * rates["classical F"] > high
    assert np.mean(power) > 0.9
