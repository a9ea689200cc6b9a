"""Interactions of attributes: saturated regressions, identities, and the size of the joint tests."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from conjoint_surveys import JOB, NASTY, REASON, RESTRICTED, TAX, survey
from nanotarget.calibrate.conjoint import Analysis
from nanotarget.calibrate.interactions import ACIE, AMIE, interactions
from nanotarget.study.seeds import child_rng

RATING = Analysis("rating", "CR1")


def of_pair(cells, quantity, one=JOB, other=REASON):
    rows = cells[
        (cells["quantity"] == quantity) & (cells["attribute"] == one) & (cells["other_attribute"] == other)
    ]
    return rows.reset_index(drop=True)


def test_acies_are_the_products_of_a_saturated_regression():
    profiles = survey(NASTY, child_rng(1, "acie"), respondents=60)
    cells, pairs = interactions(profiles, NASTY, RATING)
    codes = NASTY.codes(profiles)
    job, reason = (codes[:, [a]] == np.arange(1, NASTY.shape[a]) for a in (0, 1))
    products = [(job[:, [j]] & reason[:, [k]]) for j in range(2) for k in range(3)]
    x = sm.add_constant(np.hstack([job, reason, *products]).astype(float))
    groups = pd.factorize(profiles["respondent_id"])[0]
    theirs = sm.WLS(profiles["rating"], x, weights=profiles["weight"]).fit(
        cov_type="cluster", cov_kwds={"groups": groups}
    )
    found = of_pair(cells, ACIE)
    np.testing.assert_allclose(found["estimate"], theirs.params[-6:], rtol=1e-8)
    np.testing.assert_allclose(found["std_error"], theirs.bse[-6:], rtol=1e-8)
    row = pairs[(pairs["attribute"] == JOB) & (pairs["other_attribute"] == REASON)].iloc[0]
    wald = theirs.f_test(np.eye(12)[-6:])
    df2 = 60 - 1 - 6 + 1
    assert (row["df1"], row["df2"]) == (6, df2)
    assert row["statistic"] == pytest.approx(float(wald.fvalue) * df2 / 59, rel=1e-8)
    assert len(pairs) == 3 and row["largest"] == of_pair(cells, AMIE)["estimate"].abs().max()


def test_amies_average_zero_and_hold_the_acies():
    """Whatever the reference, and by the probabilities of the design: 70 and 30 % of the taxes."""
    profiles = survey(NASTY, child_rng(2, "amie"), respondents=60)
    cells, _ = interactions(profiles, NASTY, RATING)
    for other, shares in ((REASON, np.full(4, 0.25)), (TAX, np.array([0.7, 0.3]))):
        table = of_pair(cells, AMIE, other=other)["estimate"].to_numpy().reshape(3, -1)
        np.testing.assert_allclose(table @ shares, 0, atol=1e-12)
        np.testing.assert_allclose(np.full(3, 1 / 3) @ table, 0, atol=1e-12)
        acie = of_pair(cells, ACIE, other=other)["estimate"].to_numpy().reshape(2, -1)
        np.testing.assert_allclose(acie, (table - table[0] - table[:, [0]] + table[0, 0])[1:, 1:], atol=1e-12)


def test_attributes_that_the_design_ties_together_are_left_out():
    profiles = survey(RESTRICTED, child_rng(3, "tied"), respondents=60)
    cells, pairs = interactions(profiles, RESTRICTED, RATING)
    tied = pairs[(pairs["attribute"] == "education") & (pairs["other_attribute"] == "work")].iloc[0]
    assert np.isnan(tied["statistic"]) and "not told from what each does" in tied["note"]
    assert not ((cells["attribute"] == "education") & (cells["other_attribute"] == "work")).any()
    assert pairs["p_holm"].notna().sum() == 2


@pytest.mark.statistical
def test_the_joint_test_keeps_its_size_and_finds_an_interaction():
    rejected, found = [], []
    for draw in range(60):
        rng = child_rng(draw, "interaction")
        profiles = survey(
            NASTY, rng, respondents=50, outcome=lambda codes, _: 0.5 * codes[:, 0] + codes[:, 1]
        )
        p = interactions(profiles, NASTY, RATING)[1]["p_holm"]
        rejected.append(p.min() <= 0.05)
        if draw < 10:
            both = (profiles[JOB] == "Job") & (profiles[REASON] == "10")
            moved = profiles.assign(rating=profiles["rating"] + 2.5 * both)
            found.append(interactions(moved, NASTY, RATING)[1]["p_holm"].iloc[0] < 0.05)
    assert sum(rejected) <= stats.binom.ppf(0.99, 60, 0.05)
    assert np.mean(found) > 0.8
