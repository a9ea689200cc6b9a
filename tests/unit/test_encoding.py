"""Covariates as numbers: what training data without variation would do to new respondents."""

import pandas as pd
import pytest

from nanotarget.config import CovariateConfig
from nanotarget.encoding import CovariateEncoder


@pytest.mark.parametrize("value", [0.1, 3.3, -0.7, 1e9 + 0.1, 0.0])
@pytest.mark.parametrize("n", [1, 7, 333])
def test_a_covariate_constant_in_training_is_left_out_whatever_its_rounding(value, n):
    """The standard deviation of 333 times 0.1 is 1e-17, and a feature divided by it 1e17."""
    table = pd.DataFrame({"x": [value] * n})
    assert CovariateEncoder.fit(table, [CovariateConfig("x", "numeric")]).features == ()


def test_small_units_and_large_offsets_are_variation():
    for column in ([1e-9, 2e-9, 3e-9], [1e6, 1e6 + 1, 1e6 + 2]):
        encoder = CovariateEncoder.fit(pd.DataFrame({"x": column}), [CovariateConfig("x", "numeric")])
        encoded = encoder.encode(pd.DataFrame({"x": column}))
        assert encoded[:, 0] == pytest.approx([-(1.5**0.5), 0, 1.5**0.5], rel=1e-6)
