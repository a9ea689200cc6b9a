"""The diagnosis without response error: it scales, its bounds are wider, and it says where that matters."""

import numpy as np
import pandas as pd
import pytest

from nanotarget.diagnose.words import Amounts, without_error
from nanotarget.explore.corrected_diagnosis import CEILING, corrected_diagnosis, matters

LIMIT = 0.03


def diagnostics():
    common = {"group": "all", "goal": "support", "n": 500, "estimator": "x"}
    rows = [
        {"diagnostic": "threshold", "quantity": "smallest gain that matters", "estimate": LIMIT},
        {"diagnostic": "heterogeneity", "quantity": "person x message variance", "estimate": 0.04,
         "conf_low": 0.02, "conf_high": 0.06, "ceiling": 0.1, "ceiling_low": 0.05, "ceiling_high": 0.15},
        {"diagnostic": "dividend", "quantity": "nano - overall_best", "estimate": 0.02,
         "conf_low": 0.01, "conf_high": 0.028, "ceiling": 0.02, "ceiling_low": 0.012, "ceiling_high": 0.027},
        {"diagnostic": "dividend", "quantity": "overall_best", "estimate": 0.7},
    ]  # fmt: skip
    return pd.DataFrame([common | row for row in rows])


def reliability(factor, error, used=True):
    row = {"outcome": "choice", "group": np.nan, "quantity": "factor", "method": "repeated", "used": used}
    return pd.DataFrame([row | {"estimate": factor, "std_error": error}])


def test_gains_are_divided_by_the_factor_and_variances_by_its_square():
    found = corrected_diagnosis(diagnostics(), reliability(0.6, 0.0), "support", 0.95)
    ceilings = found[found["quantity"] == CEILING].set_index("diagnostic")
    own = ceilings.loc["heterogeneity", ["estimate", "conf_low", "conf_high"]].to_numpy(float)
    np.testing.assert_allclose(own, np.array([0.1, 0.05, 0.15]) / 0.6)
    variance = found[found["quantity"] == "person x message variance"].iloc[0]
    own = variance[["estimate", "conf_low", "conf_high"]].to_numpy(float)
    np.testing.assert_allclose(own, np.array([0.04, 0.02, 0.06]) / 0.36)
    assert variance["side"] == "" and "overall_best" not in set(found["quantity"])


def test_what_is_not_known_of_reliability_widens_the_bounds():
    """By the delta method where the interval is symmetric: of a ratio, as if both were independent."""
    factor, error = 0.6, 0.05
    found = corrected_diagnosis(diagnostics(), reliability(factor, error), "support", 0.95)
    row = found[found["quantity"] == "person x message variance"].iloc[0]
    se = 0.02 / 1.959964
    spread = np.sqrt((se / factor**2) ** 2 + (2 * 0.04 / factor**3 * error) ** 2)
    assert row["conf_high"] == pytest.approx(row["estimate"] + 1.959964 * spread, rel=1e-6)


def test_it_is_said_where_response_error_decides():
    found = corrected_diagnosis(diagnostics(), reliability(0.6, 0.0), "support", 0.95)
    assert list(found.loc[found["quantity"] == CEILING, "raw_side"]) == ["above", "below"]
    row = matters(found)
    assert (row["diagnostic"], row["side"]) == ("dividend", "open")
    said = without_error(Amounts("in the probability to be chosen", LIMIT), row["diagnostic"],
                         (row["raw"], row["estimate"]), row["side"])  # fmt: skip
    assert "question 4 leaves possible would be 3.3 instead of 2.0 percentage points" in said
    assert "no longer lie on one side of the smallest gain that matters (3)" in said
    assert matters(corrected_diagnosis(diagnostics(), reliability(0.95, 0.0), "support", 0.95)) is None


def test_without_reliability_nothing_is_corrected():
    assert corrected_diagnosis(diagnostics(), reliability(0.6, 0.1, used=False), "support", 0.95).empty
