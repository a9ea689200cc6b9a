"""AMCEs and marginal means on small made-up surveys with known answers."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from conjoint_surveys import JOB, NASTY, REASON, RESTRICTED, TAX, survey
from nanotarget.calibrate import conjoint
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.petitions.design import Attribute, Design
from nanotarget.study.config import HIDDEN, AttributeConfig, DesignConfig
from nanotarget.study.seeds import child_rng

NUMBERS = ["estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "df"]


def test_names_and_levels_are_only_labels():
    rng = child_rng(1, "nasty")
    profiles = survey(NASTY, rng, outcome=lambda codes, _: 0.8 * (codes[:, 0] == 1))
    table = conjoint.amce(profiles, NASTY, "rating", "CR1")
    assert list(table.columns) == list(conjoint.AMCE_COLUMNS)
    assert [c for c in table.columns if c in ESTIMATE_COLUMNS] == list(ESTIMATE_COLUMNS)
    keys = [(a.name, level) for a in NASTY.attributes for level in a.levels]
    assert list(zip(table["attribute"], table["level"], strict=True)) == keys
    plain = Design(
        tuple(
            dataclasses.replace(a, name=f"a{i}", levels=tuple(f"l{j}" for j in range(len(a))))
            for i, a in enumerate(NASTY.attributes)
        )
    )
    rest = profiles.drop(columns=NASTY.names)
    renamed = rest.join(plain.frame(NASTY.codes(profiles)))
    same = conjoint.amce(renamed, plain, "rating", "CR1")
    pd.testing.assert_frame_equal(table[[*NUMBERS, "n"]], same[[*NUMBERS, "n"]])


def test_reference_levels_and_counts():
    profiles = survey(NASTY, child_rng(2, "reference"))
    profiles.loc[:9, "rating"] = np.nan  # the first respondent answers nothing, the second half of it
    for se_type, clusters in (("CR1", 199), ("HC2", None)):
        table = conjoint.amce(profiles, NASTY, "rating", se_type)
        reference = table[table["level"].isin([a.levels[0] for a in NASTY.attributes])]
        assert len(reference) == 3
        assert (reference["estimate"] == 0).all()
        assert reference[NUMBERS[1:]].isna().all(axis=None)
        assert (table["n"] == 1590).all()
        assert (
            table["n_clusters"].isna().all() if clusters is None else set(table["n_clusters"]) == {clusters}
        )


def test_a_two_level_attribute_is_a_difference_in_weighted_means():
    design = Design(NASTY.attributes[2:])
    profiles = survey(design, child_rng(3, "two levels"))
    means = [
        np.average(part["rating"], weights=part["weight"])
        for level in design.attributes[0].levels
        for part in [profiles[profiles[TAX] == level]]
    ]
    table = conjoint.amce(profiles, design, "rating", "CR1")
    assert table["estimate"].iloc[1] == pytest.approx(means[1] - means[0])
    mm = conjoint.marginal_means(profiles, design, "rating", "CR1")
    np.testing.assert_allclose(mm["estimate"], means)
    assert mm["n"].tolist() == profiles[TAX].value_counts().sort_index().tolist()


@pytest.mark.parametrize("estimate", [conjoint.amce, conjoint.marginal_means])
@pytest.mark.parametrize("se_type", ["CR1", "CR2", "HC2"])
def test_the_order_of_rows_does_not_matter(estimate, se_type):
    profiles = survey(RESTRICTED, child_rng(4, "order"))
    shuffled = profiles.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        estimate(profiles, RESTRICTED, "rating", se_type),
        estimate(shuffled, RESTRICTED, "rating", se_type),
        rtol=1e-9,
    )


def test_another_reference_level_shifts_the_effects():
    profiles = survey(NASTY, child_rng(5, "relabel"), outcome=lambda codes, _: codes[:, 1] * 0.5)
    attribute = NASTY.attributes[1]
    turned = dataclasses.replace(attribute, levels=attribute.levels[::-1], probabilities=(0.25,) * 4)
    other = Design((NASTY.attributes[0], turned, NASTY.attributes[2]))
    relabelled = profiles.assign(**{REASON: profiles[REASON].cat.reorder_categories(turned.levels)})
    first = conjoint.amce(profiles, NASTY, "rating", "CR1").set_index(["attribute", "level"])["estimate"]
    second = conjoint.amce(relabelled, other, "rating", "CR1").set_index(["attribute", "level"])["estimate"]
    for level in attribute.levels:
        expected = first[REASON, level] - first[REASON, attribute.levels[-1]]
        assert second[REASON, level] == pytest.approx(expected, abs=1e-12)
    assert second[JOB, "NA"] == pytest.approx(first[JOB, "NA"])


def test_profiles_twice_with_half_their_weight_give_the_same_effects():
    profiles = survey(RESTRICTED, child_rng(6, "halves"))
    halves = pd.concat([profiles, profiles]).assign(weight=lambda t: t["weight"] / 2)
    columns = ["estimate", "std_error", "conf_low", "conf_high"]
    pd.testing.assert_frame_equal(
        conjoint.amce(profiles, RESTRICTED, "rating", "CR0")[columns],
        conjoint.amce(halves, RESTRICTED, "rating", "CR0")[columns],
        rtol=1e-9,
    )


def test_only_a_design_with_prohibitions_has_restricted_estimates():
    free = conjoint.amce(survey(NASTY, child_rng(7, "free")), NASTY, "choice", "CR1")
    assert set(free["estimator"]) == {"main_effects"}
    tied = conjoint.amce(survey(RESTRICTED, child_rng(7, "tied")), RESTRICTED, "choice", "CR1")
    assert tied["estimator"].value_counts().to_dict() == {"main_effects": 8, "restricted": 8}


def restricted(profiles, design):
    table = conjoint.amce(profiles, design, "rating", "CR1")
    return table[table["estimator"] == "restricted"].set_index(["attribute", "level"])


def test_restricted_effects_average_over_what_the_design_allows():
    """Within the block the model is saturated: effects are weighted differences of cell means."""
    design = Design.from_config(
        DesignConfig(
            attributes=[
                AttributeConfig(
                    name="education", levels=["none", "some", "college"], probabilities=[0.2, 0.3, 0.5]
                ),
                AttributeConfig(name="work", levels=["janitor", "nurse", "doctor"]),
            ],
            prohibited=[{"education": ["none"], "work": ["doctor"]}],
            randomisation="sequential",
        )
    )
    profiles = survey(design, child_rng(8, "cells")).assign(weight=1.0)
    cell = profiles.groupby(["education", "work"], observed=True)["rating"].mean()
    found = restricted(profiles, design)["estimate"]
    # Doctors exist with some education or college, of which there are 0.3 and 0.5.
    doctor = [cell[e, "doctor"] - cell[e, "janitor"] for e in ("some", "college")]
    assert found["work", "doctor"] == pytest.approx(np.average(doctor, weights=[0.3, 0.5]))
    nurse = [cell[e, "nurse"] - cell[e, "janitor"] for e in ("none", "some", "college")]
    assert found["work", "nurse"] == pytest.approx(np.average(nurse, weights=[0.2, 0.3, 0.5]))
    # Of the jobs that go with no education: P = 0.2 / 2 + 0.8 / 3 each, so they count alike.
    college = [cell["college", w] - cell["none", w] for w in ("janitor", "nurse")]
    assert found["education", "college"] == pytest.approx(np.mean(college))


def test_restricted_effects_say_how_much_of_the_design_they_cover():
    profiles = survey(RESTRICTED, child_rng(9, "support"))
    unseen = (profiles["education"] == "college") & (profiles["work"] == "nurse")
    found = restricted(profiles[~unseen], RESTRICTED)["support"]
    # Nurse against janitor is seen for two of three educations, doctor against janitor for college.
    assert found["work", "nurse"] == pytest.approx(2 / 3)
    assert found["work", "doctor"] == 1
    none = profiles[~((profiles["education"] == "college") & (profiles["work"] == "janitor"))]
    row = restricted(none, RESTRICTED).loc[("work", "doctor")]
    assert row["support"] == 0 and row[NUMBERS].isna().all()


def test_an_attribute_without_its_reference_level_has_no_effects():
    profiles = survey(RESTRICTED, child_rng(10, "no reference"))
    shown = profiles[profiles["gender"] == "m"]
    table = conjoint.amce(shown, RESTRICTED, "rating", "CR1").set_index(["estimator", "attribute", "level"])
    assert table.loc[("main_effects", "gender", "m"), NUMBERS].isna().all()
    assert table.loc[("restricted", "gender", "m"), NUMBERS].isna().all()
    assert table.loc[("main_effects", "work", "nurse"), NUMBERS].notna().all()
    means = conjoint.marginal_means(shown, RESTRICTED, "rating", "CR1").set_index(["attribute", "level"])
    assert means.loc[("gender", "f"), "n"] == 0 and means.loc[("gender", "f"), NUMBERS].isna().all()


def test_a_survey_without_answers_gives_no_numbers():
    profiles = survey(RESTRICTED, child_rng(11, "no answers"), respondents=5).assign(rating=np.nan)
    table = conjoint.amce(profiles, RESTRICTED, "rating", "CR1")
    assert len(table) == 16 and (table["n"] == 0).all() and table["std_error"].isna().all()
    assert conjoint.marginal_means(profiles, RESTRICTED, "rating", "CR2")["estimate"].isna().all()


def with_hidden(hidden="allowed"):
    """The survey of NASTY in which a third of the petitions hide REASON, and its design."""
    attributes = [dataclasses.replace(a) for a in NASTY.attributes]
    reason = attributes[1]
    attributes[1] = dataclasses.replace(
        reason, hidden=hidden, levels=(*reason.levels, HIDDEN), probabilities=(*reason.probabilities, 0.0)
    )
    design = Design(tuple(attributes))
    profiles = survey(
        NASTY, child_rng(30, "hidden"), outcome=lambda codes, _: 0.5 * codes[:, 1] + codes[:, 0]
    )
    levels = NASTY.codes(profiles)
    levels[child_rng(31, "hidden").random(len(levels)) < 1 / 3, 1] = 4
    shown = profiles.drop(columns=NASTY.names).join(design.frame(levels))
    return shown, design.as_shown(levels)


def test_effects_of_a_hidden_attribute_are_those_of_complete_cases():
    profiles, design = with_hidden()
    complete = profiles[profiles[REASON] != HIDDEN]
    plain = pd.get_dummies(complete[NASTY.names].astype(str), dtype=float)
    kept = [f"{a.name}_{level}" for a in NASTY.attributes for level in a.levels[1:]]
    ols = sm.WLS(complete["rating"], sm.add_constant(plain[kept]), weights=complete["weight"]).fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(complete["respondent_id"])[0]}
    )
    table = conjoint.amce(profiles, design, "rating", "CR1").set_index(["attribute", "level"])
    assert (REASON, HIDDEN) not in table.index
    for level in NASTY.attributes[1].levels[1:]:
        row, name = table.loc[(REASON, level)], f"{REASON}_{level}"
        assert row["estimate"] == pytest.approx(ols.params[name], abs=1e-12)
        assert row["std_error"] == pytest.approx(ols.bse[name], abs=1e-12)
    assert (table.loc[REASON, "n"] == len(complete)).all()
    assert (table.loc[JOB, "n"] == len(profiles)).all(), "the others were shown everywhere"
    means = conjoint.marginal_means(profiles, design, "rating", "CR1").set_index(["attribute", "level"])
    for level, part in complete.groupby(REASON, observed=True):
        wanted = np.average(part["rating"], weights=part["weight"])
        assert means.loc[(REASON, level), "estimate"] == pytest.approx(wanted, abs=1e-12)
    assert (REASON, HIDDEN) not in means.index


def test_hiding_is_a_level_like_any_other_where_it_is_an_option():
    profiles, design = with_hidden("option")
    table = conjoint.amce(profiles, design, "rating", "CR1").set_index(["attribute", "level"])
    dummies = pd.get_dummies(profiles[NASTY.names].astype(str), dtype=float)
    kept = [f"{a.name}_{level}" for a in design.attributes for level in a.levels[1:]]
    ols = sm.WLS(profiles["rating"], sm.add_constant(dummies[kept]), weights=profiles["weight"]).fit()
    found = [table.loc[key, "estimate"] for key in ((REASON, HIDDEN), (REASON, "10"), (JOB, "Job"))]
    wanted = [ols.params[f"{a}_{level}"] for a, level in ((REASON, HIDDEN), (REASON, "10"), (JOB, "Job"))]
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_an_attribute_that_follows_from_another_is_estimated_in_its_place():
    profiles = survey(NASTY, child_rng(32, "derived"), outcome=lambda codes, _: codes[:, 1] > 1)
    late = np.where(NASTY.codes(profiles)[:, 1] > 1, "late", "early")
    follower = Attribute("group", ("early", "late"), "group", (0.5, 0.5))
    design = Design((*NASTY.attributes, follower), dependent=((1, 3),), derived=((3, (1,)),))
    shown = profiles.assign(group=pd.Categorical(late, follower.levels))
    design = design.as_shown(design.codes(shown))
    table = conjoint.amce(shown, design, "rating", "CR1").set_index(["attribute", "level"])
    without = conjoint.amce(profiles, NASTY, "rating", "CR1").set_index(["attribute", "level"])
    pd.testing.assert_frame_equal(table.loc[without.index], without)
    instead = Design((NASTY.attributes[0], NASTY.attributes[2], follower))
    alone = conjoint.amce(shown, instead, "rating", "CR1").set_index(["attribute", "level"])
    assert table.loc[("group", "late"), "estimate"] == alone.loc[("group", "late"), "estimate"]
    assert alone.loc[("group", "late"), "estimate"] == pytest.approx(1, abs=0.15)


@pytest.fixture(scope="module")
def of_people_who_differ():
    """Ratings of 60 respondents with their own slopes, in 200 surveys."""
    surveys = []
    for draw in range(200):
        rng = child_rng(draw, "coverage")
        slopes = rng.normal(0.5, 0.7, size=60)
        profiles = survey(
            RESTRICTED,
            rng,
            respondents=60,
            outcome=lambda codes, person, slopes=slopes: slopes[person] * codes[:, 1] + (codes[:, 2] == 2),
        )
        surveys.append(profiles.assign(weight=1.0))
    return surveys


@pytest.mark.statistical
@pytest.mark.parametrize("se_type", ["CR1", "CR2"])
def test_intervals_cover_the_truth(se_type, of_people_who_differ):
    """The truth is known by construction."""
    covered, estimates = [], []
    for profiles in of_people_who_differ:
        table = conjoint.amce(profiles, RESTRICTED, "rating", se_type)
        table = table.set_index(["estimator", "attribute", "level"])
        for key, truth in {
            ("main_effects", "gender", "m"): 0.5,
            ("restricted", "work", "doctor"): 1.0,
            ("restricted", "education", "college"): 0.0,
        }.items():
            row = table.loc[key]
            covered.append(row["conf_low"] <= truth <= row["conf_high"])
            estimates.append(row["estimate"] - truth)
    # 600 intervals: Monte Carlo error of the coverage is about 0.009.
    assert 0.92 <= np.mean(covered) <= 0.98
    assert abs(np.mean(estimates)) < 0.03
