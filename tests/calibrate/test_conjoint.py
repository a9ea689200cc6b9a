"""AMCEs, marginal means and design checks on small made-up surveys with known answers."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nanotarget.calibrate import conjoint
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.petitions.design import Design
from nanotarget.study.config import AttributeConfig, CovariateConfig, DesignConfig
from nanotarget.study.seeds import child_rng

NUMBERS = ["estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "df"]

# Names that a formula interface would choke on: a name inside a level, HTML, LaTeX, Japanese.
JOB, REASON, TAX = "Job", 'C(Reason) + "x" <br>', "税 $x_1$ & 50% \\cmd"
NASTY = Design.from_config(
    DesignConfig(
        attributes=[
            AttributeConfig(name=JOB, levels=["None", "Job", "NA"]),
            AttributeConfig(name=REASON, levels=["Seek Better Job", "<b>Job</b>", "'; drop", "10"]),
            AttributeConfig(name=TAX, levels=["税金", "補助金"], probabilities=[0.7, 0.3]),
        ]
    )
)
RESTRICTED = Design.from_config(
    DesignConfig(
        attributes=[
            AttributeConfig(name="education", levels=["none", "some", "college"]),
            AttributeConfig(name="gender", levels=["f", "m"]),
            AttributeConfig(
                name="work", levels=["janitor", "nurse", "doctor"], probabilities=[0.5, 0.3, 0.2]
            ),
        ],
        prohibited=[{"education": ["none", "some"], "work": ["doctor"]}],
        randomisation="sequential",
    )
)


def survey(design, rng, respondents=200, tasks=4, outcome=None):
    """Profiles drawn from the design; `outcome(codes, person)` gives the rating without noise."""
    person = np.repeat(np.arange(respondents), 2 * tasks)
    codes = design.draw(len(person), rng)
    y = rng.normal(size=respondents)[person] + rng.normal(size=len(person))
    y = y + (0 if outcome is None else outcome(codes, person))
    profiles = pd.DataFrame(
        {
            "respondent_id": [f"r{i:04}" for i in person],
            "task": np.tile(np.repeat(np.arange(1, tasks + 1), 2), respondents),
            "profile": np.tile([1, 2], respondents * tasks),
        }
    ).join(design.frame(codes))
    # A choice goes to the profile with the higher rating of its task.
    pair = y.reshape(-1, 2)
    choice = (pair == pair.max(axis=1, keepdims=True)).astype(float).reshape(-1)
    return profiles.assign(choice=choice, rating=y, weight=rng.uniform(0.5, 2, respondents)[person])


def people(profiles):
    return profiles[["respondent_id"]].drop_duplicates(ignore_index=True)


def codes_of(design, profiles):
    return design.codes(profiles)


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
    renamed = rest.join(plain.frame(codes_of(NASTY, profiles)))
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


COVARIATES = [
    CovariateConfig(name="age", kind="numeric"),
    CovariateConfig(name="party", kind="categorical", levels=["red", "blue", "none"]),
    CovariateConfig(name="owner", kind="categorical", levels=["no", "yes"]),
]


def respondents_of(profiles, rng):
    table = people(profiles)
    table["age"] = rng.normal(50, 10, len(table))
    table["party"] = pd.Categorical(rng.choice(["red", "blue", "none"], len(table)), ["red", "blue", "none"])
    table["owner"] = pd.Categorical(rng.choice(["no", "yes"], len(table)), ["no", "yes"])
    table.loc[:4, ["age", "party"]] = None
    return table.assign(weight=1.0)


def checks_of(profiles, respondents, design):
    return conjoint.design_checks(profiles, respondents, design, COVARIATES, "rating")


def test_a_clean_survey_passes_every_check():
    rng = child_rng(14, "clean")
    profiles = survey(RESTRICTED, rng, respondents=300)
    table = checks_of(profiles, respondents_of(profiles, rng), RESTRICTED)
    assert list(table.columns) == list(conjoint.CHECK_COLUMNS)
    assert (table["verdict"] == "ok").all(), table[table["verdict"] != "ok"]
    counts = table.groupby("check", sort=False).size().to_dict()
    assert counts == {
        "frequency": 4,  # three attributes and the block of two
        "independence": 3,
        "balance": 5,  # age, three parties, one of two for a binary covariate
        "profile_order": 3,
        "fatigue": 3,
        "carry_over": 3,
    }
    n = table.groupby("check")["n"].first()
    assert n["frequency"] == 2400 and n["carry_over"] == 1800, "the first task has none before it"
    assert n["balance"] == 2400 - 5 * 8, "five respondents without age"
    holm = table[table["check"] == "balance"]
    assert (holm["p_adjusted"] >= holm["p_value"]).all()


def planted(kind, rng):
    """A survey with one thing wrong."""
    profiles = survey(NASTY, rng, respondents=300)
    respondents = respondents_of(profiles, rng)
    codes = codes_of(NASTY, profiles)
    job = codes[:, 0] == 1
    if kind == "frequency":
        keep = ~job | (rng.random(len(job)) < 0.6)
        return profiles[keep], respondents
    if kind == "independence":
        swap = (rng.random(len(job)) < 0.4) & job
        return profiles.assign(**{REASON: profiles[REASON].where(~swap, "10")}), respondents
    if kind == "balance":
        shown = profiles.assign(job=job).groupby("respondent_id")["job"].mean()
        age = respondents["age"] + 60 * respondents["respondent_id"].map(shown)
        return profiles, respondents.assign(age=age)
    if kind == "profile_order":
        return profiles.assign(rating=profiles["rating"] + job * (profiles["profile"] == 2)), respondents
    if kind == "fatigue":
        return profiles.assign(rating=profiles["rating"] - 0.4 * job * profiles["task"]), respondents
    before = (
        pd.Series(job).groupby([profiles["respondent_id"], profiles["profile"]]).shift(1, fill_value=False)
    )
    return profiles.assign(rating=profiles["rating"] + before.to_numpy()), respondents


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("frequency", JOB),
        ("independence", f"{JOB} × {REASON}"),
        ("balance", "age"),
        ("profile_order", JOB),
        ("fatigue", JOB),
        ("carry_over", JOB),
    ],
)
def test_each_check_finds_what_it_is_for(kind, item):
    table = checks_of(*planted(kind, child_rng(15, kind)), NASTY)
    found = table[table["check"] == kind].sort_values("p_adjusted").iloc[0]
    assert (found["item"], found["verdict"]) == (item, "flag")
    assert found["p_adjusted"] < 1e-6


def test_what_cannot_be_checked_is_said():
    rng = child_rng(16, "untestable")
    profiles = survey(NASTY, rng, respondents=20, tasks=1)
    respondents = respondents_of(profiles, rng).assign(age=50.0)
    table = checks_of(profiles, respondents, NASTY).set_index(["check", "item"])
    assert table.loc[("balance", "age"), "verdict"] == "not testable"
    assert table.loc[("carry_over", JOB), "verdict"] == "not testable"
    assert table.loc[("carry_over", JOB), "n"] == 0


def test_quasi_independence_is_independence_where_nothing_is_prohibited():
    counts = child_rng(17, "table").integers(5, 60, size=(4, 3)).astype(float)
    expected, df = conjoint.quasi_independent(counts, np.outer([0.1, 0.2, 0.3, 0.4], [0.2, 0.3, 0.5]))
    test = conjoint.chi_squared(counts, expected, df)
    theirs = stats.chi2_contingency(counts, correction=False)
    np.testing.assert_allclose(expected, theirs.expected_freq)
    assert (test.statistic, test.df1) == (pytest.approx(theirs.statistic), theirs.dof)
    assert test.p_value == pytest.approx(theirs.pvalue)


def test_quasi_independence_keeps_impossible_cells_and_margins():
    counts = np.array([[30.0, 20, 0], [25, 40, 0], [10, 20, 35]])
    expected, df = conjoint.quasi_independent(counts, (counts > 0).astype(float))
    assert (expected[counts == 0] == 0).all()
    np.testing.assert_allclose(expected.sum(axis=0), counts.sum(axis=0))
    np.testing.assert_allclose(expected.sum(axis=1), counts.sum(axis=1))
    # Only the first two columns of all rows are free: 7 cells, 5 margins, one of them the doctors'.
    assert df == 2
    np.testing.assert_allclose(expected[2, 2], 35)
    impossible = counts.copy()
    impossible[0, 2] = 1
    assert conjoint.chi_squared(impossible, expected, df).p_value == 0


@pytest.mark.statistical
@pytest.mark.parametrize("se_type", ["CR1", "CR2"])
def test_intervals_cover_the_truth(se_type):
    """Ratings of 60 respondents with their own slopes; the truth is known by construction."""
    covered, estimates = [], []
    for draw in range(200):
        rng = child_rng(draw, "coverage")
        slopes = rng.normal(0.5, 0.7, size=60)
        profiles = survey(
            RESTRICTED,
            rng,
            respondents=60,
            outcome=lambda codes, person, slopes=slopes: slopes[person] * codes[:, 1] + (codes[:, 2] == 2),
        )
        table = conjoint.amce(profiles.assign(weight=1.0), RESTRICTED, "rating", se_type)
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


@pytest.mark.statistical
def test_balance_has_its_nominal_size_although_contrasts_are_many_and_respondents_few():
    """26 contrasts, 60 respondents: without the correction every other test rejects."""
    shape = (5, 5, 5, 5, 5, 3, 3)
    attributes = [
        AttributeConfig(name=f"a{i}", levels=[f"l{j}" for j in range(size)]) for i, size in enumerate(shape)
    ]
    design = Design.from_config(DesignConfig(attributes=attributes))
    rejected = []
    for draw in range(120):
        rng = child_rng(draw, "size")
        profiles = survey(design, rng, respondents=60)
        respondents = people(profiles).assign(age=rng.normal(size=60), weight=1.0)
        items = list(conjoint._check_balance(profiles, respondents, design, COVARIATES[:1]))
        rejected.append(items[0][2].p_value < 0.05)
    assert np.mean(rejected) < 0.12


def test_flags_of_the_checks_are_said_in_sentences():
    rng = child_rng(17, "warnings")
    profiles = survey(RESTRICTED, rng, respondents=300)
    clean = checks_of(profiles, respondents_of(profiles, rng), RESTRICTED)
    # Prohibited combinations are not expected to be shown.
    assert conjoint.design_warnings(clean, profiles, RESTRICTED) == []
    for kind in conjoint.FLAWS:
        shown, respondents = planted(kind, child_rng(15, kind))
        item = "age" if kind == "balance" else JOB
        said = conjoint.design_warnings(checks_of(shown, respondents, NASTY), shown, NASTY)
        assert any(item in sentence and "design_checks.csv" in sentence for sentence in said)


def test_combinations_that_nobody_saw_are_named():
    profiles = survey(RESTRICTED, child_rng(18, "never"), respondents=300)
    unseen = (profiles["gender"] == "m") & (profiles["work"] == "nurse")
    shown = profiles.assign(gender=profiles["gender"].where(~unseen, "f"))
    checks = checks_of(shown, respondents_of(shown, child_rng(1, "p")), RESTRICTED)
    *flagged, said = conjoint.design_warnings(checks, shown, RESTRICTED)
    assert "gender 'm' with work 'nurse'" in said and "education" not in said
    assert any("gender × work" in sentence for sentence in flagged)
