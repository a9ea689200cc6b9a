"""Outcomes by arm; corrections for many tests; degrees of freedom and estimands that tables name."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from nanotarget import estimate
from nanotarget.estimate.tables import Table
from nanotarget.study.config import CovariateConfig, OutcomeConfig
from nanotarget.study.seeds import child_rng
from trials import trial

ARMS = ["control", "best", "nano"]
AGE = CovariateConfig(name="age", kind="numeric")
OUTCOMES = [
    OutcomeConfig(name="y", kind="continuous"),
    OutcomeConfig(name="signed", kind="binary"),
    OutcomeConfig(name="scale", kind="ordinal", range=[1, 4]),
]


@pytest.fixture
def table():
    rng = child_rng(3, "outcomes by arm")
    n = 300
    return pd.DataFrame(
        {
            "arm": pd.Categorical.from_codes(np.arange(n) % 3, ARMS),
            "y": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "signed": rng.integers(2, size=n).astype(float),
            "scale": rng.integers(1, 4, size=n).astype(float),  # nobody says 4
            "age": rng.normal(size=n),
            "weight": rng.integers(1, 4, size=n).astype(float),
        }
    )


def test_outcomes_by_arm_equal_statsmodels(table):
    found = estimate.outcomes(trial(table, ARMS, OUTCOMES))
    assert list(found.columns) == list(Table.OUTCOMES.columns)
    whole = found[found["value"].isna()].set_index(["outcome", "arm"])
    assert len(whole) == 3 * 4
    for (outcome, arm), row in whole.iterrows():
        own = table if arm == "(all)" else table[table["arm"] == arm]
        own = own.dropna(subset=[outcome])
        known = DescrStatsW(own[outcome], own["weight"])
        assert row["mean"] == pytest.approx(known.mean, rel=1e-12)
        # n people stand behind the weights, not their sum.
        n = len(own)
        assert row["sd"] == pytest.approx(np.sqrt(known.var * n / (n - 1)), rel=1e-12)
        # Whole weights are copies of people.
        assert row["median"] == np.median(np.repeat(own[outcome], own["weight"].astype(int)))
        assert (row["n"], row["n_assigned"]) == (n, 300 if arm == "(all)" else 100)


def test_shares_of_answers_add_up_and_name_every_possible_one(table):
    found = estimate.outcomes(trial(table, ARMS, OUTCOMES))
    answers = found[found["value"].notna()]
    assert set(answers["outcome"]) == {"signed", "scale"}
    by_arm = answers.groupby(["outcome", "arm"])
    np.testing.assert_allclose(by_arm["share"].sum(), 1)
    assert by_arm["value"].agg(list)["scale", "nano"] == [1, 2, 3, 4]
    nobody = answers[(answers["outcome"] == "scale") & (answers["value"] == 4)]
    assert nobody[["n", "share"]].eq(0).all(axis=None)
    own = table[table["arm"] == "best"]
    share = own.loc[own["signed"] == 1, "weight"].sum() / own["weight"].sum()
    row = answers[(answers["outcome"] == "signed") & (answers["arm"] == "best") & (answers["value"] == 1)]
    assert row["share"].item() == pytest.approx(share, rel=1e-12)


def test_an_arm_without_answers_has_empty_cells(table):
    table.loc[table["arm"] == "nano", ["y", "signed"]] = np.nan
    found = estimate.outcomes(trial(table, ARMS, OUTCOMES[:2]))
    nano = found[found["arm"] == "nano"]
    assert nano[["mean", "sd", "median", "share"]].isna().all(axis=None)
    assert nano["n"].eq(0).all() and nano["n_assigned"].eq(100).all()


def test_corrections_are_over_the_tests_of_one_procedure(table):
    asked = trial(table, ARMS, OUTCOMES, adjust=[AGE])
    names = {"holm": "holm", "bonferroni": "bonferroni", "bh": "fdr_bh"}
    for found in (estimate.effects(asked), estimate.ipw_effects(asked)):
        for _, own in found.groupby("estimator"):
            for ours, theirs in names.items():
                across = multipletests(own["p_value"], method=theirs)[1]
                np.testing.assert_allclose(own[f"p_{ours}_across"], across, rtol=1e-12)
                within = own.groupby("outcome")["p_value"].transform(
                    lambda p, theirs=theirs: multipletests(p, method=theirs)[1]
                )
                np.testing.assert_allclose(own[f"p_{ours}_within"], within, rtol=1e-12)
    curve = estimate.robustness(asked)
    hc3 = curve[(curve["estimator"] == "dim") & (curve["se_type"] == "HC3")]
    np.testing.assert_allclose(
        hc3["p_holm_across"], multipletests(hc3["p_value"], method="holm")[1], rtol=1e-12
    )


def test_tables_say_what_degrees_of_freedom_are(table):
    large = estimate.effects(trial(table, ARMS, ["y"]))
    assert set(large["df_type"]) == {"n - parameters"}
    small = estimate.effects(trial(table.iloc[:90], ARMS, ["y"]))
    assert set(small["df_type"]) == {"Welch"} and (small["df"] % 1 != 0).all()
    clustered = table.assign(cluster=[f"c{i // 6}" for i in range(300)], arm=pd.Categorical.from_codes(
        np.arange(300) // 6 % 3, ARMS))  # fmt: skip
    scales = estimate.scales(trial(clustered, ARMS, OUTCOMES))
    types = scales.groupby("estimator")["df_type"].agg(lambda kinds: set(kinds) - {""})
    assert types["logit"] == {"clusters - 1"} and types["mann_whitney"] == {"Bell-McCaffrey"}
    assert scales.loc[scales["estimator"] == "proportions", "df_type"].eq("").all()


def test_tables_name_their_estimands(table):
    blocked = table.assign(
        block=np.where(np.arange(300) % 2, "a", "b"), respondent_id=[f"r{i:03d}" for i in range(300)]
    )
    assert set(estimate.effects(trial(table, ARMS, ["y"]))["estimand"]) == {"difference in means"}
    averaged = estimate.effects(trial(blocked, ARMS, ["y"]))["estimand"]
    assert set(averaged) == {"difference in means within blocks, averaged by size of block"}
    redrawn = estimate.randomization_inference(trial(blocked, ARMS, ["y"]), 1, 99)["estimand"]
    assert set(redrawn) == {"regression on block fixed effects"}


def test_equivalence_is_tested_for_adjusted_effects_too(table):
    asked = trial(table, ARMS, ["y"], adjust=[AGE], sesoi={"y": 0.4})
    effects = estimate.effects(asked)
    found = estimate.equivalence(asked, effects)
    for name, tests in (("dim", "tost"), ("lin", "tost_lin")):
        own, test = effects[effects["estimator"] == name], found[found["estimator"] == tests]
        np.testing.assert_allclose(test["estimate"], own["estimate"])
        # Both tests reject where the interval of 90% is inside.
        inside = (test["conf_low"] > -0.4) & (test["conf_high"] < 0.4)
        assert (inside == (test["p_value"] < 0.05)).all()
    assert len(estimate.sentences(asked, found)) == 3


def test_log_odds_have_the_errors_of_glm_and_a_sandwich(table):
    import statsmodels.api as sm

    plain = table.assign(weight=1.0)
    found = estimate.log_odds(trial(plain, ARMS, OUTCOMES), "signed").set_index(["se_type", "contrast"])
    x = sm.add_constant(np.column_stack([plain["arm"] == arm for arm in ARMS[1:]]).astype(float))
    for kind, cov in (("model", "nonrobust"), ("HC0", "HC0")):
        fitted = sm.GLM(plain["signed"], x, family=sm.families.Binomial()).fit(cov_type=cov, tol=1e-12)
        row = found.loc[kind, "nano - control"]
        assert row["estimate"] == pytest.approx(fitted.params.iloc[2], abs=1e-8)
        assert row["std_error"] == pytest.approx(fitted.bse.iloc[2], rel=1e-6)
    weighted = estimate.log_odds(trial(table, ARMS, OUTCOMES), "signed")
    model = weighted[weighted["se_type"] == "model"]
    assert model["std_error"].isna().all() and model["note"].str.contains("survey weights").all()
    assert weighted.loc[weighted["se_type"] == "HC0", "std_error"].notna().all()
