"""The dividend on worlds with known truth: honest where the learner's own promise is not."""

import numpy as np
import pytest
from scipy import stats

from nanotarget.calibrate.learners.crossfit import crossfit
from nanotarget.calibrate.learners.ridge import fit_ridge
from nanotarget.diagnose.dividend import Dividend
from nanotarget.diagnose.quantities import Quantity
from nanotarget.diagnose.rows import Sample, table_of
from nanotarget.petitions import policy
from worlds import Known, factorial, simulate, utility_of

DESIGN = factorial((5, 5, 4, 3, 3))


def headline(table, estimator="dr_q1", quantity=Quantity.GAIN):
    return table[(table["quantity"] == quantity) & (table["estimator"] == estimator)].iloc[0]


def dividend(fitted, confidence=0.95):
    return table_of(Dividend(fitted).rows(Sample.of(fitted.data.weight, confidence)))


def true_gain(truth, fitted):
    nano, best = policy.nano(fitted.utilities), fitted.overall_best
    return (utility_of(truth, nano, DESIGN) - utility_of(truth, best, DESIGN)).mean()


def cross(data, seed):
    return crossfit(data, lambda train, part: fit_ridge(train, seed), 5, seed)


@pytest.mark.statistical
def test_gain_is_estimated_without_bias_and_with_honest_errors():
    """Rule and truth differ from sample to sample; the z-scores of 40 samples are standard normal."""
    z = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        data, truth = simulate(DESIGN, 300, 5, rng, features=2, specific=0.3, idiosyncratic=0.2)
        fitted = cross(data, seed)
        row = headline(dividend(fitted))
        z.append((row["estimate"] - true_gain(truth, fitted)) / row["std_error"])
    assert abs(np.mean(z)) < 3 / np.sqrt(40)
    assert 0.7 < np.std(z) < 1.35


@pytest.mark.statistical
def test_an_overfitted_rule_promises_a_gain_and_the_estimate_shows_the_loss():
    """Part-worths of pure noise: the model promises, the petitions it picks are worse than the best."""
    rng = np.random.default_rng(1)
    data, truth = simulate(DESIGN, 800, 6, rng, common=0.15)
    noise = rng.normal(size=truth.shape) * 0.15
    common = np.tile(truth[:1], (800, 1))
    fitted = Known(data, common + noise, common)
    table = dividend(fitted)
    assert headline(table, "plug_in")["estimate"] > 0.1
    row = headline(table)
    assert true_gain(truth, fitted) < -0.05
    assert abs(row["estimate"] - true_gain(truth, fitted)) < 3 * row["std_error"]
    assert row["ceiling_high"] < 0.1


@pytest.mark.statistical
def test_it_pays_where_preferences_cross_and_not_where_they_are_unpredictable():
    crossing, _ = simulate(DESIGN, 800, 6, np.random.default_rng(2), common=0.1, specific=0.4)
    row = headline(dividend(cross(crossing, 1)))
    assert row["ceiling_low"] > 0.1
    unpredictable, _ = simulate(DESIGN, 800, 6, np.random.default_rng(3), common=0.3, idiosyncratic=0.4)
    row = headline(dividend(cross(unpredictable, 1)))
    assert row["ceiling_high"] < 0.1


def test_differences_are_differences_and_intervals_surround_them():
    data, _ = simulate(DESIGN, 200, 4, np.random.default_rng(4), specific=0.4)
    table = dividend(cross(data, 1), 0.9)
    values = table[table["estimator"] == "dr_q1"].set_index("quantity")["estimate"]
    random = table[table["quantity"] == "random"]["estimate"].iloc[0]
    assert random == pytest.approx(data.outcome.mean())
    assert values[Quantity.GAIN] == pytest.approx(values["nano"] - values["overall_best"])
    assert values["nano - random"] == pytest.approx(values["nano"] - random)
    row = headline(table)
    assert row["conf_low"] == pytest.approx(row["ceiling_low"])  # two-sided 90 % = one-sided 95 %
    assert row["ceiling_low"] < row["ceiling"] < row["ceiling_high"]


def test_bounds_know_how_few_respondents_the_gain_rests_on():
    """Four of 150 divergent: Student's quantiles with 3 degrees of freedom, not normal ones."""
    data, truth = simulate(DESIGN, 150, 6, np.random.default_rng(6))
    common = np.tile(truth.mean(axis=0), (150, 1))
    utilities = np.where((np.arange(150) < 4)[:, None], -common, common)
    table = dividend(Known(data, utilities, common))
    row = headline(table)
    assert row["ceiling_high"] - row["estimate"] == pytest.approx(stats.t.ppf(0.95, 3) * row["std_error"])
    assert row["conf_high"] - row["estimate"] == pytest.approx(stats.t.ppf(0.975, 3) * row["std_error"])
    best = headline(table, quantity="overall_best")
    assert best["conf_high"] - best["estimate"] == pytest.approx(stats.t.ppf(0.975, 149) * best["std_error"])
