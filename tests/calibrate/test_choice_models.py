"""Log odds of a yes and of a choice against what others compute, and where there are none."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.discrete.conditional_models import ConditionalLogit

from conjoint_surveys import JOB, NASTY, survey
from nanotarget.calibrate import conjoint
from nanotarget.calibrate.choice_models import choice_models, conditional_logit
from nanotarget.study.seeds import child_rng


def menus(seed, none=False, respondents=60, tasks=4):
    """Choices among three petitions by known part-worths, or none of them."""
    rng = child_rng(seed, "models")
    n = respondents * tasks * 3
    codes = NASTY.draw(n, rng)
    x = conjoint.dummies(codes, NASTY.shape)[0]
    felt = (0.5 * none + x @ np.linspace(-1, 1, x.shape[1]) + rng.gumbel(size=n)).reshape(-1, 3)
    least = rng.gumbel(size=(len(felt), 1)) if none else -np.inf
    chosen = (felt == felt.max(axis=1, keepdims=True)) & (felt > least)
    table = pd.DataFrame(
        {
            "respondent_id": np.repeat([f"r{i:03}" for i in range(respondents)], tasks * 3),
            "task": np.tile(np.repeat(np.arange(1, tasks + 1), 3), respondents),
            "profile": np.tile([1, 2, 3], respondents * tasks),
            "choice": chosen.ravel().astype(float),
            "weight": np.repeat(rng.uniform(0.5, 2.0, respondents), tasks * 3),
        }
    )
    return table.join(NASTY.frame(codes)), x


def test_the_logit_is_that_of_statsmodels_with_weights_and_clusters():
    profiles = survey(NASTY, child_rng(1, "logit"), respondents=80)
    found = choice_models(profiles, NASTY, ["choice", "rating"]).query("estimator == 'logit'")
    x = conjoint.with_constant(conjoint.dummies(NASTY.codes(profiles), NASTY.shape)[0])
    groups = pd.factorize(profiles["respondent_id"])[0]
    theirs = sm.GLM(profiles["choice"], x, sm.families.Binomial(), var_weights=profiles["weight"]).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True}
    )
    np.testing.assert_allclose(found["estimate"], theirs.params[1:], rtol=1e-8)
    np.testing.assert_allclose(found["std_error"], theirs.bse[1:], rtol=1e-6)
    np.testing.assert_allclose(found["odds_ratio"], np.exp(theirs.params[1:]))
    assert set(found["n"]) == {640} and set(found["n_clusters"]) == {80}


def test_the_conditional_logit_is_that_of_statsmodels():
    profiles, x = menus(2)
    profiles["weight"] = 1.0
    found = choice_models(profiles, NASTY, ["choice"]).query("estimator == 'conditional_logit'")
    task = profiles.groupby(["respondent_id", "task"]).ngroup().to_numpy()
    theirs = ConditionalLogit(profiles["choice"].to_numpy(), x, groups=task).fit(disp=False)
    # Its optimiser stops early; R's clogit is met to 1e-8 (tests/golden).
    np.testing.assert_allclose(found["estimate"], theirs.params, atol=1e-3)
    assert theirs.llf <= found["log_likelihood"].iloc[0] == pytest.approx(theirs.llf, rel=1e-6)
    model = conditional_logit(x, profiles["choice"].to_numpy(), np.ones(len(x)), task, False)
    np.testing.assert_allclose(np.sqrt(np.diag(model.bread)), theirs.bse, rtol=1e-3)


def test_choosing_none_is_an_alternative_of_its_own():
    """A row that is none of the petitions, with a constant of the others, gives the same."""
    profiles, x = menus(3, none=True)
    found = choice_models(profiles, NASTY, ["choice"]).query("estimator == 'conditional_logit'")
    task = profiles.groupby(["respondent_id", "task"]).ngroup().to_numpy()
    none = 1 - np.bincount(task, profiles["choice"])
    own = np.vstack([conjoint.with_constant(x), np.zeros((len(none), 1 + x.shape[1]))])
    weight = np.append(profiles["weight"], profiles["weight"].to_numpy()[::3])
    y, tasks = np.append(profiles["choice"], none), np.append(task, np.arange(len(none)))
    theirs = conditional_logit(own, y, weight, tasks, False)
    assert none.sum() > 10
    np.testing.assert_allclose(found["estimate"], theirs.coef[1:], rtol=1e-8)


def test_what_cannot_be_estimated_says_why():
    profiles = survey(NASTY, child_rng(4, "certain"), respondents=40)
    sure = profiles.assign(choice=(profiles[JOB] == "Job").astype(float))
    found = choice_models(sure, NASTY, ["choice"]).query("estimator == 'logit'")
    certain = found["level"].eq("Job")
    assert found.loc[certain, "estimate"].isna().all() and found.loc[~certain, "estimate"].notna().all()
    assert set(found.loc[certain, "note"]) == {"tells the answers for certain"}
    gone = profiles.assign(**{JOB: profiles[JOB].where(profiles[JOB] != "NA", "None")})
    found = choice_models(gone, NASTY, ["choice"])
    lost = found["level"].eq("NA")
    assert found.loc[lost, "estimate"].isna().all() and found.loc[~lost, "estimate"].notna().all()
    assert set(found.loc[lost, "note"]) == {"not seen, or always with others"}
