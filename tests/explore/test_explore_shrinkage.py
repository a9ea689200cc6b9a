"""Shrunken estimates of groups, odds ratios and the base against the others."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import optimize, stats

from nanotarget import estimate, explore
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate import Table
from nanotarget.estimate.tables import SHARES, SHRUNKEN
from nanotarget.explore.shrinkage import shrink
from nanotarget.explore.subgroups import ODDS
from nanotarget.study.config import CovariateConfig, OutcomeConfig, SubgroupConfig
from nanotarget.study.seeds import child_rng
from trials import trial

ARMS = ["control", "best", "nano"]
LEVELS = ["opposed", "open", "base", "<b>"]
SUPPORT = CovariateConfig(name="prior", kind="categorical", levels=LEVELS)
BY = SubgroupConfig(name="support", covariate="prior")
Y = np.array([0.9, -0.2, 0.4, 0.1, 1.6])
ERROR = np.array([0.3, 0.2, 0.5, 0.25, 0.4])


def experiment(sizes, seed=1):
    """sizes: level -> respondents in each arm."""
    rng = child_rng(seed, "explore")
    rows = [
        (level, arm)
        for level, counts in sizes.items()
        for arm, n in zip(ARMS, counts, strict=True)
        for _ in range(n)
    ]
    table = pd.DataFrame(rows, columns=["prior", "arm"]).astype(
        {"prior": pd.CategoricalDtype(LEVELS), "arm": pd.CategoricalDtype(ARMS)}
    )
    chance = 0.3 + 0.3 * (table["prior"] == "base") + 0.1 * (table["arm"] == "nano")
    n = len(table)
    return table.assign(
        sign=(rng.random(n) < chance).astype(float), y=rng.normal(size=n), weight=rng.uniform(0.5, 2, n)
    )


BIG = {"opposed": (40, 50, 60), "open": (80, 70, 60), "base": (50, 60, 70), "<b>": (30, 35, 45)}


def by_quadrature(y, error):
    """Posterior means and errors by brute force: the joint density of mu and tau on a fine grid."""
    tau = np.concatenate([np.linspace(1e-4, 6, 1500), np.geomspace(6.01, 4000, 800)])
    step = np.gradient(tau)
    mu = np.linspace(y.min() - 8, y.max() + 8, 1201)
    sd = np.sqrt(error**2 + tau[:, None, None] ** 2)
    joint = stats.norm.logpdf(y, mu[None, :, None], sd).sum(axis=2)
    weight = np.exp(joint - joint.max()) * step[:, None]
    weight /= weight.sum()
    pull = error**2 / (error**2 + tau[:, None] ** 2)
    given = (1 - pull)[:, None, :] * y + pull[:, None, :] * mu[None, :, None]
    first = (weight[..., None] * given).sum(axis=(0, 1))
    second = (weight[..., None] * (given**2 + ((1 - pull) * error**2)[:, None, :])).sum(axis=(0, 1))
    return first, np.sqrt(second - first**2)


def test_means_and_errors_are_those_of_the_whole_posterior():
    found = shrink(Y, ERROR)
    mean, error = by_quadrature(Y, ERROR)
    np.testing.assert_allclose(found.mean, mean, atol=2e-3)
    np.testing.assert_allclose(found.error, error, atol=2e-3)


def test_tau_maximises_the_likelihood_of_differences_between_groups():
    """REML by its definition: the multivariate normal density of any contrasts of the estimates."""
    contrast = np.eye(4, 5) - np.eye(4, 5, 1)

    def loss(tau):
        covariance = contrast @ np.diag(ERROR**2 + tau**2) @ contrast.T
        return -stats.multivariate_normal.logpdf(contrast @ Y, cov=covariance)

    best = optimize.minimize_scalar(loss, bounds=(0, 5), method="bounded", options={"xatol": 1e-10}).x
    assert shrink(Y, ERROR).tau == pytest.approx(best, rel=1e-5)
    assert shrink(np.array([0.5, 0.51, 0.49]), np.full(3, 0.3)).tau == 0


def test_the_interval_of_tau_covers():
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(400):
        y = rng.normal(0, 0.3, 6) + ERROR.mean() * rng.normal(size=6)
        found = shrink(y, np.full(6, ERROR.mean()))
        inside += found.tau_low <= 0.3 <= found.tau_high
    assert 0.92 <= inside / 400 <= 0.98


def test_shrunken_intervals_cover_and_are_nearer_to_the_truth_than_raw_ones():
    rng = np.random.default_rng(4)
    truth = rng.normal(0.2, 0.15, (400, 4))
    y = truth + 0.3 * rng.normal(size=truth.shape)
    found = [shrink(row, np.full(4, 0.3)) for row in y]
    mean, error = np.array([f.mean for f in found]), np.array([f.error for f in found])
    assert ((mean - truth) ** 2).mean() < 0.7 * ((y - truth) ** 2).mean()
    assert (np.abs(mean - truth) <= 1.96 * error).mean() >= 0.93


def test_shrinking_commutes_with_shifts_and_units_and_ends_where_it_must():
    found, moved = shrink(Y, ERROR), shrink(100 * Y + 7, 100 * ERROR)
    np.testing.assert_allclose(moved.mean, 100 * found.mean + 7, rtol=1e-8)
    np.testing.assert_allclose(moved.error, 100 * found.error, rtol=1e-8)
    apart = shrink(np.array([0.0, 100, 200, 300]), np.full(4, 0.1))
    np.testing.assert_allclose(apart.mean, [0, 100, 200, 300], atol=1e-2)
    assert ((Y.min() < found.mean) & (found.mean < Y.max())).all()


def test_two_groups_tell_nothing_about_what_lies_between_groups():
    found = shrink(np.array([0.1, 0.9, np.nan]), np.array([0.1, 0.1, np.nan]))
    assert np.isnan(found.mean).all() and np.isnan([found.tau, found.tau_low]).all()


def run(function, table, *outcomes, min_cell=10):
    outcomes = [OutcomeConfig(name=o, kind="binary" if o == "sign" else "continuous") for o in outcomes]
    return function(trial(table, ARMS, outcomes, covariates=[SUPPORT]), [BY], min_cell)


def test_shrunken_effects_stand_beside_the_raw_ones_of_the_same_contrast():
    found = run(explore.subgroups, experiment(BIG), "y")
    for _, family in found.groupby("contrast"):
        alone = shrink(family["estimate"].to_numpy(float), family["std_error"].to_numpy(float))
        np.testing.assert_allclose(family["shrunken"].astype(float), alone.mean)
        np.testing.assert_allclose(family["tau"].astype(float), alone.tau)


def test_what_is_hidden_does_not_show_through_the_shrunken_ones():
    sizes = {**BIG, "opposed": (40, 9, 60)}
    table = experiment(sizes)
    found = run(explore.subgroups, table, "y")
    hidden = found["suppressed"].to_numpy()
    assert set(found.loc[hidden, "group"]) == {"opposed", "<b>"}
    assert found.loc[hidden, list(SHRUNKEN)].isna().all(axis=None)
    other = table.copy()
    other.loc[table["prior"].isin(["opposed", "<b>"]), "y"] += 50
    again = run(explore.subgroups, other, "y")
    columns = [*SHRUNKEN, "tau", "tau_low", "tau_high", "p_adjusted"]
    pd.testing.assert_frame_equal(found.loc[~hidden, columns], again.loc[~hidden, columns])


def test_odds_ratios_are_those_of_a_logit_in_the_group():
    """Unweighted; the robust errors of a saturated logit are those of the shares."""
    table = experiment(BIG).assign(weight=1.0)
    found = run(explore.odds_ratios, table, "sign")
    assert list(found.columns) == list(Table.ODDS_RATIOS.columns)
    group = table[(table["prior"] == "base") & table["arm"].isin(["best", "nano"])]
    x = sm.add_constant((group["arm"] == "nano").astype(float))
    logit = sm.Logit(group["sign"], x).fit(disp=0)
    row = found[(found["group"] == "base") & (found["contrast"] == "nano - best")].iloc[0]
    assert row["estimate"] == pytest.approx(logit.params.iloc[1], rel=1e-6)
    assert row["odds_ratio"] == pytest.approx(np.exp(logit.params.iloc[1]), rel=1e-6)
    # HC2 divides by n - 1 where the logit divides by n.
    sizes = group["arm"].value_counts()
    shares = group.groupby("arm", observed=True)["sign"].mean()
    variance = sum(1 / (shares[a] * (1 - shares[a]) * (sizes[a] - 1)) for a in ("best", "nano"))
    assert row["std_error"] == pytest.approx(np.sqrt(variance), rel=1e-10)
    assert row["std_error"] == pytest.approx(logit.bse.iloc[1], rel=0.02)
    assert (row["share_ref"], row["share_other"]) == pytest.approx((shares["best"], shares["nano"]))


def test_odds_without_failures_are_not_known_and_hidden_ones_not_shown():
    sizes = {**BIG, "opposed": (40, 9, 60)}
    table = experiment(sizes)
    table.loc[(table["prior"] == "base") & (table["arm"] == "nano"), "sign"] = 1.0
    found = run(explore.odds_ratios, table, "sign").set_index(["group", "contrast"])
    row = found.loc[("base", "nano - best")]
    assert np.isnan(row["estimate"]) and row["note"] == "everybody in 'nano' has a 1: no odds"
    assert found.loc[("base", "best - control"), "std_error"] > 0
    assert found.loc["opposed", [*SHARES, *ODDS, *ESTIMATE_COLUMNS]].isna().all(axis=None)


def mobilise(table, *outcomes, min_cell=10, base="base"):
    return explore.mobilisation(trial(table, ARMS, outcomes, covariates=[SUPPORT]), BY, base, min_cell)


def test_the_base_is_set_against_all_others():
    table = experiment(BIG)
    found = mobilise(table, "sign", "y")
    assert list(found.columns) == list(Table.MOBILISATION.columns)
    rows = found[(found["contrast"] == "nano - best") & (found["outcome"] == "sign")].set_index("quantity")
    base = table["prior"] == "base"
    alone = [estimate.effects(trial(table[rows_], ARMS, ["sign"])).iloc[2] for rows_ in (base, ~base)]
    assert rows.loc["mobilisation", "estimate"] == pytest.approx(alone[0]["estimate"])
    assert rows.loc["persuasion", "std_error"] == pytest.approx(alone[1]["std_error"])
    # The difference is the interaction of one joint regression.
    arm = np.column_stack([table["arm"] == a for a in ARMS[1:]]).astype(float)
    x = np.column_stack([np.ones(len(table)), base, arm, arm * base.to_numpy()[:, None]]).astype(float)
    model = sm.WLS(table["sign"], x, weights=table["weight"]).fit(cov_type="HC2", use_t=True)
    test = model.t_test([0, 0, 0, 0, -1, 1])
    row = rows.loc["mobilisation - persuasion"]
    expected = [test.effect.item(), test.sd.item(), float(test.pvalue), model.df_resid]
    np.testing.assert_allclose(row[["estimate", "std_error", "p_value", "df"]].astype(float), expected)


def test_a_base_hidden_to_hide_others_is_hidden_here_too():
    table = experiment({**BIG, "opposed": (40, 9, 60), "base": (12, 12, 12)})
    assert run(explore.subgroups, table, "y").groupby("group")["suppressed"].all()["base"]
    found = mobilise(table, "y")
    assert found["suppressed"].all() and found[list(ESTIMATE_COLUMNS)].isna().all(axis=None)
    with pytest.raises(ValueError, match="nobody"):
        mobilise(table, "y", base="nobody")
