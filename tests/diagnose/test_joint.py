"""Features of two covariates: what they describe, and how many there are."""

import numpy as np
import pandas as pd
import pytest

from nanotarget.diagnose.joint import FEWEST, JointFeatures
from worlds import as_respondents

PEOPLE = 3_000


@pytest.fixture(scope="module")
def covariates():
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.normal(size=(PEOPLE, 3)), columns=["a", "b", "c"])
    table["party"] = pd.Categorical(rng.choice(["x", "y", "z"], PEOPLE))
    return as_respondents(table)


@pytest.fixture(scope="module")
def joint(covariates):
    return JointFeatures.of(*covariates)


def described(features, values):
    """Return the share of the variance of values that is linear in features."""
    columns = np.column_stack([np.ones(len(values)), features])
    rest = values - columns @ np.linalg.lstsq(columns, values, rcond=1e-8)[0]
    return 1 - rest.var() / values.var()


@pytest.mark.parametrize("people", [PEOPLE, 100, 60])
def test_features_describe_as_much_of_what_two_covariates_decide_as_they_say(covariates, joint, people):
    a, b = covariates[0]["a"].to_numpy(), covariates[0]["b"].to_numpy()
    features, seen = joint.for_people(people)
    decided = [a * b > 0, (a > 0.3) & (b > 0.3), np.abs(a) > np.abs(b), a > b]
    if people == 60:  # numbers and their products alone
        decided = decided[:1]
    shares = [described(features, 1.0 * values) for values in decided]
    assert seen - 0.02 < min(shares) < seen + 0.06


def test_finer_features_are_taken_where_people_are_enough(joint):
    sizes = [joint.for_people(people).features.shape[1] for people in (60, 100, PEOPLE)]
    assert sizes[0] < sizes[1] <= 100 / FEWEST
    assert sizes[1] < sizes[2] <= PEOPLE / FEWEST


def test_products_are_of_different_covariates_and_whole(covariates, joint):
    """A product of a number and any category, the first one included, is linear in them."""
    table = covariates[0]
    features = joint.for_people(60).features
    for party in "xyz":
        inside = (table["party"] == party).to_numpy() * table["c"].to_numpy()
        assert described(features, inside) == pytest.approx(1, abs=1e-9)
    assert described(features, 1.0 * (table["party"] == "x").to_numpy()) == pytest.approx(1, abs=1e-9)
