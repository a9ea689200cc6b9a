"""Covariates as numbers: constants, curves, missing values, and what they do to new respondents."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.interpolate

from nanotarget.petitions.encoding import CURVES, CovariateEncoder, spline_terms
from nanotarget.study import artefacts
from nanotarget.study.config import CovariateConfig

X = [CovariateConfig(name="x", kind="numeric")]


def curves(values, covariates=X):
    """The encoder and the (n, k) curves of a column."""
    table = pd.DataFrame({"x": values})
    encoder = CovariateEncoder.fit(table, covariates, curved=True)
    return encoder, encoder.encode(table)[:, encoder.curved]


@pytest.mark.parametrize("value", [0.1, 3.3, -0.7, 1e9 + 0.1, 0.0])
@pytest.mark.parametrize("n", [1, 7, 333])
def test_a_covariate_constant_in_training_is_left_out_whatever_its_rounding(value, n):
    """The standard deviation of 333 times 0.1 is 1e-17, and a feature divided by it 1e17."""
    table = pd.DataFrame({"x": [value] * n})
    assert CovariateEncoder.fit(table, [CovariateConfig(name="x", kind="numeric")]).features == ()


def test_small_units_and_large_offsets_are_variation():
    for column in ([1e-9, 2e-9, 3e-9], [1e6, 1e6 + 1, 1e6 + 2]):
        encoder = CovariateEncoder.fit(
            pd.DataFrame({"x": column}), [CovariateConfig(name="x", kind="numeric")]
        )
        encoded = encoder.encode(pd.DataFrame({"x": column}))
        assert encoded[:, 0] == pytest.approx([-(1.5**0.5), 0, 1.5**0.5], rel=1e-6)


def test_spline_terms_span_the_natural_splines_through_their_knots():
    """Against an interpolating natural spline with the same knots, and straight lines beyond them."""
    knots = np.array([-1.3, -0.2, 0.1, 0.9, 2.0])
    heights = np.random.default_rng(0).normal(size=5)
    spline = scipy.interpolate.CubicSpline(knots, heights, bc_type="natural")
    weights = np.linalg.solve(spline_terms(knots, knots), heights)
    inside = np.linspace(-1.3, 2.0, 101)
    assert np.allclose(spline_terms(inside, knots) @ weights, spline(inside), atol=1e-10)
    for end, step in ((-1.3, -1.0), (2.0, 1.0)):
        beyond = spline_terms(end + step * np.arange(4.0), knots) @ weights
        assert np.allclose(beyond, spline(end) + step * np.arange(4) * spline(end, 1), atol=1e-10)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(1).normal(size=300),
        np.random.default_rng(2).integers(0, 11, size=300).astype(float),
        np.exp(np.random.default_rng(3).normal(size=300)),
        np.where(np.random.default_rng(4).random(300) < 0.9, 0.0, np.random.default_rng(5).random(300)),
    ],
    ids=["normal", "scale", "heavy tail", "mostly zero"],
)
def test_curves_are_neutral_whatever_the_distribution_and_unit(values):
    """Mean 0, SD 1, uncorrelated with the number and each other; the same space in another unit, mirrored."""
    _, found = curves(values)
    assert found.shape[1] >= 1
    together = np.column_stack([np.ones(300), (values - values.mean()) / values.std(), found])
    assert np.allclose(together.T @ together / 300, np.eye(together.shape[1]), atol=1e-6)
    _, moved = curves(1e3 - 0.01 * values)
    assert np.allclose(found @ found.T, moved @ moved.T, atol=1e-5)


@pytest.mark.parametrize(("values", "n"), [([0, 1], 0), ([0, 1, 2], 1), ([1, 2, 3, 4], 2), (range(11), 3)])
def test_a_number_with_few_values_has_few_curves(values, n):
    encoder, found = curves([float(v) for v in values] * 20)
    assert found.shape[1] == n
    if 0 < n < 3:  # as many features as values have differences: everything about them can be described
        everything = np.column_stack([np.ones(len(found)), encoder.encode(pd.DataFrame({"x": values * 20}))])
        assert np.linalg.matrix_rank(everything) == len(values)


def test_curves_share_a_budget():
    table = pd.DataFrame(
        np.random.default_rng(6).normal(size=(100, 14)), columns=[f"x{j}" for j in range(14)]
    )
    for n, each in ((1, 3), (4, 3), (5, 2), (12, 1), (14, 1)):
        covariates = [CovariateConfig(name=f"x{j}", kind="numeric") for j in range(n)]
        encoder = CovariateEncoder.fit(table, covariates, curved=True)
        assert encoder.curved.sum() == n * each <= max(CURVES, n)
        assert not CovariateEncoder.fit(table, covariates).curved.any()


def test_missing_numbers_lie_on_no_curve():
    rng = np.random.default_rng(7)
    values = np.where(rng.random(400) < 0.2, np.nan, rng.normal(size=400))
    encoder, found = curves(values)
    assert (found[np.isnan(values)] == 0).all()
    assert np.allclose(found.mean(axis=0), 0)
    encoded = encoder.encode(pd.DataFrame({"x": values}))
    assert np.abs(encoded[:, encoder.curved].T @ encoded[:, ~encoder.curved]).max() < 1e-8


def test_an_encoder_with_curves_is_plain_data():
    encoder, _ = curves(np.random.default_rng(8).normal(size=50))
    again = CovariateEncoder.from_data(json.loads(json.dumps(encoder.to_data())))
    new = pd.DataFrame({"x": [-50.0, np.nan, 0.1, 50.0]})
    assert again == encoder
    assert np.array_equal(again.encode(new), encoder.encode(new))


def test_curves_bear_the_rounding_of_an_artefact(tmp_path):
    """JSON artefacts keep twelve digits."""
    for values in (np.arange(200) % 11.0, np.exp(np.random.default_rng(9).normal(size=200))):
        encoder, _ = curves(values)
        artefacts.write_json(encoder.to_data(), tmp_path / "encoder.json")
        again = CovariateEncoder.from_data(artefacts.read_json(tmp_path / "encoder.json"))
        table = pd.DataFrame({"x": values})
        assert np.abs(again.encode(table) - encoder.encode(table)).max() < 1e-9
