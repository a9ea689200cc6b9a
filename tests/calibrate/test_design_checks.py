"""Tests of the survey's design: silent where it was run as designed, each finds what it is for."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.multivariate.cancorr import CanCorr
from statsmodels.stats.multitest import multipletests

from conjoint_surveys import JOB, NASTY, REASON, RESTRICTED, people, survey
from nanotarget.calibrate import design_checks
from nanotarget.calibrate.design_checks import Survey
from nanotarget.petitions.design import Design, quasi_independent
from nanotarget.study.config import AttributeConfig, CovariateConfig, DesignConfig
from nanotarget.study.seeds import child_rng

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
    return design_checks.design_checks(Survey(profiles, respondents, COVARIATES), design, "rating")


def test_a_clean_survey_passes_every_check():
    rng = child_rng(14, "clean")
    profiles = survey(RESTRICTED, rng, respondents=300)
    table = checks_of(profiles, respondents_of(profiles, rng), RESTRICTED)
    assert list(table.columns) == list(design_checks.CHECK_COLUMNS)
    assert (table["verdict"] == "ok").all(), table[table["verdict"] != "ok"]
    counts = table.groupby("check", sort=False).size().to_dict()
    assert counts == {
        "frequency": 4,  # three attributes and the block of two
        "independence": 3,
        "position": 3,
        "within_task": 3,
        "balance": 4,  # age as a number and in groups, party, owner
        "profile_order": 3,
        "fatigue": 3,
        "carry_over": 3,
    }
    n = table.groupby("check")["n"].first()
    assert n["frequency"] == 2400 and n["carry_over"] == 1800, "the first task has none before it"
    assert n["balance"] == 2400 - 5 * 8, "five respondents without age"
    tested = table["p_value"].notna()
    holm = multipletests(table.loc[tested, "p_value"], method="holm")[1]
    np.testing.assert_allclose(table.loc[tested, "p_adjusted"], holm, err_msg="all tests are one family")


def planted(kind, rng):
    """A survey with one thing wrong."""
    profiles = survey(NASTY, rng, respondents=300)
    respondents = respondents_of(profiles, rng)
    codes = NASTY.codes(profiles)
    job = codes[:, 0] == 1
    if kind == "frequency":
        keep = ~job | (rng.random(len(job)) < 0.6)
        return profiles[keep], respondents
    if kind == "independence":
        swap = (rng.random(len(job)) < 0.4) & job
        return profiles.assign(**{REASON: profiles[REASON].where(~swap, "10")}), respondents
    if kind == "position":
        first = profiles["profile"] == 1
        return profiles.assign(**{JOB: profiles[JOB].where(first | ~job, "None")}), respondents
    if kind == "within_task":
        other = pd.Series(job).groupby([profiles["respondent_id"], profiles["task"]]).transform("sum") > 1
        return profiles.assign(**{JOB: profiles[JOB].where(~(job & other), "None")}), respondents
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
        ("position", JOB),
        ("within_task", JOB),
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
    expected, df = quasi_independent(counts, np.outer([0.1, 0.2, 0.3, 0.4], [0.2, 0.3, 0.5]))
    test = design_checks.chi_squared(counts, expected, df)
    theirs = stats.chi2_contingency(counts, correction=False)
    np.testing.assert_allclose(expected, theirs.expected_freq)
    assert (test.statistic, test.df1) == (pytest.approx(theirs.statistic), theirs.dof)
    assert test.p_value == pytest.approx(theirs.pvalue)


def test_quasi_independence_keeps_impossible_cells_and_margins():
    counts = np.array([[30.0, 20, 0], [25, 40, 0], [10, 20, 35]])
    expected, df = quasi_independent(counts, (counts > 0).astype(float))
    assert (expected[counts == 0] == 0).all()
    np.testing.assert_allclose(expected.sum(axis=0), counts.sum(axis=0))
    np.testing.assert_allclose(expected.sum(axis=1), counts.sum(axis=1))
    # Only the first two columns of all rows are free: 7 cells, 5 margins, one of them the doctors'.
    assert df == 2
    np.testing.assert_allclose(expected[2, 2], 35)
    impossible = counts.copy()
    impossible[0, 2] = 1
    assert design_checks.chi_squared(impossible, expected, df).p_value == 0


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
        items = list(design_checks._check_balance(Survey(profiles, respondents, COVARIATES[:1]), design))
        rejected.append(items[0][2].p_value < 0.05)
    assert np.mean(rejected) < 0.1


def test_flags_of_the_checks_are_said_in_sentences():
    rng = child_rng(17, "warnings")
    profiles = survey(RESTRICTED, rng, respondents=300)
    clean = checks_of(profiles, respondents_of(profiles, rng), RESTRICTED)
    # Prohibited combinations are not expected to be shown.
    assert design_checks.design_flags(clean, profiles, RESTRICTED) == []
    for kind in design_checks.FLAWS.keys() - {"row_order"}:
        shown, respondents = planted(kind, child_rng(15, kind))
        item = "age" if kind == "balance" else JOB
        said = design_checks.design_flags(checks_of(shown, respondents, NASTY), shown, NASTY)
        assert any(item in sentence and "design_checks.csv" in sentence for sentence in said)


def test_combinations_that_nobody_saw_are_named():
    profiles = survey(RESTRICTED, child_rng(18, "never"), respondents=300)
    unseen = (profiles["gender"] == "m") & (profiles["work"] == "nurse")
    shown = profiles.assign(gender=profiles["gender"].where(~unseen, "f"))
    design = RESTRICTED.as_shown(RESTRICTED.codes(shown))
    checks = checks_of(shown, respondents_of(shown, child_rng(1, "p")), design)
    *flagged, said = design_checks.design_flags(checks, shown, design)
    assert said.startswith("never: nobody saw gender 'm' with work 'nurse', although")
    assert "education" not in said and "No petition with it is assigned" in said
    assert any("gender × work" in sentence for sentence in flagged), "checked against what the config says"
    free = dataclasses.replace(design, assign_never_shown=True)
    assert "They can be assigned" in design_checks.design_flags(checks, shown, free)[-1]


def test_a_value_of_a_number_at_which_a_level_is_impossible_is_found():
    """A line through all values does not see what happens at one of them."""
    rng = child_rng(20, "one value")
    profiles = survey(NASTY, rng, respondents=400)
    respondents = respondents_of(profiles, rng).assign(age=rng.integers(0, 8, 400).astype(float))
    age = profiles["respondent_id"].map(respondents.set_index("respondent_id")["age"])
    barred = (age == 3) & (profiles[JOB] == "Job")
    shown = profiles.assign(**{JOB: profiles[JOB].where(~barred, "None")})
    table = checks_of(shown, respondents, NASTY).set_index(["check", "item"])
    assert table.loc[("balance", "age (in groups)"), "p_adjusted"] < 1e-10
    assert table.loc[("balance", "age"), "verdict"] == "ok"


def test_levels_that_never_meet_in_a_task_are_named():
    shown, respondents = planted("within_task", child_rng(15, "within_task"))
    said = design_checks.design_flags(checks_of(shown, respondents, NASTY), shown, NASTY)
    assert said[-1].startswith(f"task: levels of {JOB} never meet in a task: 'Job' and 'Job'.")


def test_minimal_overlap_is_told_from_levels_that_go_together():
    rng = child_rng(23, "overlap")
    profiles = survey(NASTY, rng, respondents=300)
    codes = NASTY.codes(profiles).reshape(-1, 2, 3)
    sizes = np.array([3, 4])
    codes[:, 1, :2] = (codes[:, 0, :2] + 1 + rng.integers(0, sizes - 1, (len(codes), 2))) % sizes
    shown = profiles.assign(**NASTY.frame(codes.reshape(-1, 3)))
    said = design_checks.unseen_flags(shown, NASTY)
    assert said[0].startswith(f"task: no two petitions of a task have the same {JOB}, {REASON}. Surveys with")
    assert len(said) == 1


@pytest.mark.parametrize(("least", "said"), [(2, "exactly 2 of the 3"), (1, "at most 2 of the 3")])
def test_petitions_that_never_show_all_attributes_are_told(least, said):
    attributes = [AttributeConfig(name=n, levels=["x", "y"], hidden="allowed") for n in "abc"]
    design = Design.from_config(DesignConfig(attributes=attributes))
    rng = child_rng(24, "k shown")
    shown = rng.integers(0, 2, (400, 3))
    order = np.argsort(rng.random((400, 3)), axis=1)
    shown[order < 3 - rng.integers(least, 3, 400)[:, None]] = 2
    frame = design.frame(shown).assign(
        respondent_id="r", task=np.arange(400) // 2, profile=1 + np.arange(400) % 2
    )
    assert any(said in flag for flag in design_checks.unseen_flags(frame, design.as_shown(shown)))


def rows_of(profiles, rng):
    """An order of attributes for each respondent."""
    order = np.argsort(rng.random((profiles["respondent_id"].nunique(), 3)), axis=1) + 1.0
    person = pd.factorize(profiles["respondent_id"])[0]
    return profiles[["respondent_id", "task", "profile"]].assign(
        **{name: order[person, a] for a, name in enumerate(NASTY.names)}
    )


def test_effects_that_depend_on_the_row_of_the_attribute_are_found():
    rng = child_rng(22, "rows")
    profiles = survey(NASTY, rng, respondents=300)
    rows = rows_of(profiles, rng)

    def checked(table):
        shuffled = Survey(table, respondents_of(table, rng), COVARIATES, rows.sample(frac=1, random_state=1))
        found = design_checks.design_checks(shuffled, NASTY, "rating")
        return found[found["check"] == "row_order"].set_index("item")

    assert (checked(profiles)["verdict"] == "ok").all() and len(checked(profiles)) == 3
    first = (rows[JOB] == 1) & (profiles[JOB] == "Job")
    found = checked(profiles.assign(rating=profiles["rating"] + first))
    assert found.loc[JOB, "p_adjusted"] < 1e-6
    assert (found.drop(JOB)["verdict"] == "ok").all()


def test_balance_is_the_test_of_canonical_correlations():
    rng = child_rng(21, "wilks")
    x, y = rng.normal(size=(80, 3)), rng.normal(size=(80, 2))
    own = design_checks._independent(x, y)
    theirs = CanCorr(y, x - x.mean(axis=0)).corr_test().stats_mv.loc["Wilks' lambda"]
    found = (own.statistic, own.df1, own.df2, own.p_value)
    assert found == pytest.approx([theirs[c] for c in ("F Value", "Num DF", "Den DF", "Pr > F")], rel=1e-6)


@pytest.mark.statistical
@pytest.mark.parametrize(("respondents", "tasks", "least"), [(60, 3, 80), (250, 4, 40)])
def test_a_survey_run_as_designed_is_seldom_flagged(respondents, tasks, least):
    """Any flag at all in at most 5 % of clean surveys (docs/validation_surveys.md has more of them)."""
    flagged = 0
    for draw in range(least):
        rng = child_rng(draw, f"clean {respondents}")
        profiles = survey(RESTRICTED, rng, respondents=respondents, tasks=tasks)
        table = checks_of(profiles, respondents_of(profiles, rng), RESTRICTED)
        flagged += (table["verdict"] == "flag").any()
    # Binomial: more than this has probability .01 if the level is .05.
    assert flagged <= stats.binom.ppf(0.99, least, 0.05)
