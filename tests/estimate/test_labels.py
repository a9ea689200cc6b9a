"""Labels and families follow from the registration alone."""

import copy

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from nanotarget import estimate
from nanotarget.calibrate import regression
from nanotarget.estimate import labels, tables
from nanotarget.estimate.tables import Table
from nanotarget.study import preregistration
from nanotarget.study.checks import validate
from nanotarget.study.seeds import child_rng
from trials import trial


def with_families(text, families, **changes):
    content = yaml.safe_load(text) | {"families": families} | changes
    return preregistration.parse(yaml.safe_dump(content), "p.yaml")


@pytest.mark.parametrize(
    ("outcome", "estimator", "contrast", "label"),
    [
        ("sign", "dim", "nano - best", "confirmatory"),
        ("sign", "dim", "best - nano", "confirmatory"),
        ("sign", "dim", "best - control", "confirmatory"),
        ("sign", "lin", "nano - best", "secondary"),
        ("sign", "tost", "nano - best", "secondary"),
        ("sign", "tost", "nano - control", "exploratory"),
        ("support", "dim", "nano - best", "secondary"),
        ("share", "tost", "nano - control", "secondary"),
        ("sign", "logit", "nano - best", "secondary"),
        ("share", "ri", "control - nano", "secondary"),
        ("sign", "cace", "nano - best", "exploratory"),
        ("sign", "ri", "nano - placebo", "exploratory"),
        ("donation", "ri", "nano - best", "exploratory"),
        ("sign", "dim", "nano - placebo", "exploratory"),
        ("donation", "dim", "nano - best", "exploratory"),
    ],
)
def test_labels(registration, outcome, estimator, contrast, label):
    assert labels.label_of(registration, outcome, estimator, contrast) == label
    assert labels.label_of(None, outcome, estimator, contrast) == "exploratory"


def test_arms_whose_names_look_like_contrasts(text):
    content = yaml.safe_load(text)
    content["arms"] = ["a", "b", "a - b"]
    for hypothesis, contrast in zip(
        content["hypotheses"], (["a - b", "a"], ["b", "a"], ["a - b", "b"]), strict=True
    ):
        hypothesis["contrast"] = contrast
    del content["secondary"], content["primary"]
    registration = preregistration.parse(yaml.safe_dump(content), "p.yaml")
    assert labels.label_of(registration, "sign", "dim", "a - b - a") == "confirmatory"
    assert labels.label_of(registration, "sign", "dim", "a - b - b - a") == "exploratory"


def test_a_robustness_estimator_answers_registered_questions_only(text):
    content = yaml.safe_load(text)
    content["secondary"] = [{"id": "S1", "outcome": "support", "contrast": ["nano", "best"]}]
    content["hypotheses"][0]["estimator"] = "ri"
    found = preregistration.parse(yaml.safe_dump(content), "p.yaml")
    label_of = labels.label_of
    assert label_of(found, "sign", "ri", "nano - best") == "confirmatory"
    assert label_of(found, "sign", "dim", "nano - best") == "exploratory"
    assert label_of(found, "sign", "ri", "nano - control") == "secondary"
    assert label_of(found, "support", "mann_whitney", "best - nano") == "secondary"
    assert label_of(found, "support", "mann_whitney", "nano - control") == "exploratory"
    assert label_of(found, "support", "ordinal", "nano - best") == "exploratory"


def test_an_arm_that_is_not_registered_is_exploratory_even_where_every_contrast_was(registration):
    label_of = labels.label_of
    assert label_of(registration, "support", "dim", "nano - best") == "secondary"
    assert label_of(registration, "support", "dim", "nano - random") == "exploratory"
    assert label_of(registration, "support", "ordinal", "nano - best") == "exploratory"


@pytest.fixture
def outcomes():
    """Three arms of 200 with effects near the threshold of significance on two outcomes."""
    rng = child_rng(5, "families")
    arm = np.arange(600) % 3
    return pd.DataFrame(
        {
            "arm": pd.Categorical.from_codes(arm, ["control", "best", "nano"]),
            "sign": (rng.random(600) < 0.4 + 0.08 * arm).astype(float),
            "support": 0.2 * arm + rng.normal(size=600),
            "age": rng.normal(size=600),
            "weight": 1.0,
        }
    )


def adjusted(outcomes, settings, registration):
    config = validate(copy.deepcopy(settings), "config.yaml")
    age = [c for c in config.covariates if c.name == "age"]
    arms = ["control", "best", "nano"]
    found = estimate.effects(
        trial(outcomes, arms, ["sign", "support"], adjust=age, registration=registration)
    )
    return found.set_index(["outcome", "estimator", "contrast"])


def test_without_declared_families_the_contrasts_of_an_outcome_and_estimator_are_one(
    outcomes, settings, registration
):
    for registered in (None, registration):
        found = adjusted(outcomes, settings, registered)
        assert found["family"].unique().tolist() == ["sign, dim", "sign, lin", "support, dim", "support, lin"]
        for _, family in found.groupby(level=["outcome", "estimator"]):
            expected = regression.holm(family["p_value"].to_numpy())
            np.testing.assert_array_equal(family["p_adjusted"], expected)


def test_declared_families_span_outcomes_and_leave_the_rest_alone(outcomes, settings, text):
    dim = {"id": "S3", "outcome": "support", "contrast": ["best", "nano"], "estimator": "dim"}
    registration = with_families(
        text, [{"name": "all confirmatory", "analyses": ["H1", "H2", "H3", "S3"]}], secondary=[dim]
    )
    found = adjusted(outcomes, settings, registration)
    together = [
        ("sign", "dim", "best - control"),
        ("sign", "dim", "nano - control"),
        ("sign", "dim", "nano - best"),
        ("support", "dim", "nano - best"),
    ]
    assert found.index[found["family"] == "all confirmatory"].tolist() == together
    p = found.loc[together, "p_value"].sort_values()
    by_hand = np.minimum(np.maximum.accumulate(p * [4, 3, 2, 1]), 1)
    np.testing.assert_allclose(found.loc[by_hand.index, "p_adjusted"], by_hand)
    alone = adjusted(outcomes, settings, None)
    apart = [("support", "dim", "best - control"), ("support", "dim", "nano - control")]
    assert found.loc[apart, "family"].tolist() == ["support, dim"] * 2
    np.testing.assert_allclose(
        found.loc[apart, "p_adjusted"], regression.holm(found.loc[apart, "p_value"].to_numpy())
    )
    pd.testing.assert_frame_equal(
        found.xs("lin", level="estimator")[["p_value", "p_adjusted", "family"]],
        alone.xs("lin", level="estimator")[["p_value", "p_adjusted", "family"]],
    )
    # At the first step of Holm the critical value is that of alpha / 4.
    power = estimate.power(trial(None, []), found.reset_index()).set_index(
        ["outcome", "estimator", "contrast"]
    )
    row = power.loc[("support", "dim", "nano - best")]
    critical = row["mde_holm"] / row["std_error"] - stats.t.ppf(0.8, row["df"])
    assert 2 * stats.t.sf(critical, row["df"]) == pytest.approx(0.05 / 4)


def test_an_arm_that_is_not_registered_is_in_no_registered_family(text):
    every = {"id": "S3", "outcome": "support"}
    registration = with_families(text, [{"name": "f", "analyses": ["S3"]}], secondary=[every])
    table = pd.DataFrame(
        {
            "outcome": "support",
            "estimator": ["dim", "lin", "dim", "logit"],
            "contrast": ["nano - best", "nano - best", "nano - random", "nano - best"],
        },
        index=[3, 1, 4, 2],
    )
    found = labels.families(registration, table)
    assert found.to_dict() == {3: "f", 1: "f", 4: "support, dim", 2: "support, logit"}
    assert labels.families(registration, table.iloc[:0]).empty


def test_every_estimator_that_can_be_registered_has_its_table():
    assert set(tables.TABLE_OF) == set(preregistration.ESTIMATORS)
    adjusted = [estimator for estimator, table in tables.TABLE_OF.items() if table == Table.EFFECTS]
    assert adjusted == list(preregistration.FAMILY_ESTIMATORS)
