"""Effects by the kind of outcome, blocks, clusters and small arms against independent computations."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.miscmodels.ordinal_model import OrderedModel
from statsmodels.stats.multitest import multipletests

from nanotarget import estimate
from nanotarget.calibrate import regression
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate import Table, logistic
from nanotarget.estimate.arms import SMALL_ARM, arm_columns, covariate_columns
from nanotarget.estimate.ordinal import parallel_odds, proportional_odds
from nanotarget.estimate.prognosis import prognostic_score
from nanotarget.study.config import CovariateConfig, OutcomeConfig
from nanotarget.study.preregistration import Analysis, RegisteredOutcome, Registration
from nanotarget.study.seeds import child_rng
from trials import trial

pytestmark = pytest.mark.filterwarnings("error")

ARMS = ["control", "best", "nano"]
NUMBERS = [column for column in ESTIMATE_COLUMNS if column != "n"]
AGE = CovariateConfig(name="age", kind="numeric")
PARTY = CovariateConfig(name="party", kind="categorical", levels=["red", "blue", "none"])
KINDS = {"sign": "binary", "support": "continuous", "grade": "ordinal", "visits": "count"}
CONTRASTS = np.array([[-1, 1, 0], [-1, 0, 1], [0, -1, 1]])


def outcomes(*names):
    return [OutcomeConfig(name=name, kind=KINDS[name]) for name in names]


@pytest.fixture
def table():
    rng = child_rng(3, "kinds")
    n = 450
    arm = rng.permutation(np.arange(n) % 3)
    age = rng.normal(50, 12, size=n)
    party = rng.choice(["red", "blue", "none"], size=n)
    support = 0.05 * age + (party == "red") + 0.4 * arm + rng.normal(size=n) * (1 + arm)
    people = [f"r{i:03}" for i in range(n)]
    return pd.DataFrame(
        {
            "respondent_id": people,
            "arm": pd.Categorical.from_codes(arm, ARMS),
            "age": age,
            "party": pd.Categorical(party, PARTY.levels),
            "support": support,
            "sign": (support > 3.5).astype(float),
            "grade": np.clip(np.round(support), 1, 5),
            "visits": rng.poisson(np.exp(0.2 * arm)).astype(float),
            "weight": 1.0,
            "block": "",
            "cluster": people,
        }
    )


def weighted(table):
    return table.assign(weight=child_rng(4, "weights").uniform(0.5, 2, size=len(table)))


def values(table, outcome):
    return [table.loc[table["arm"] == arm, outcome].to_numpy() for arm in ARMS]


# ----------------------------------------------------------------- small arms, blocks, clusters


def test_small_arms_have_welchs_degrees_of_freedom(table):
    small = table.drop(table.index[table["arm"] == "nano"][SMALL_ARM - 1 :])
    found = estimate.effects(trial(small, ARMS, ["support"])).set_index("contrast")
    y = values(small, "support")
    for later, earlier in ((2, 0), (2, 1)):
        row = found.loc[f"{ARMS[later]} - {ARMS[earlier]}"]
        theirs = stats.ttest_ind(y[later], y[earlier], equal_var=False)
        interval = theirs.confidence_interval()
        np.testing.assert_allclose(
            row[["statistic", "p_value", "df", "conf_low", "conf_high"]].to_numpy(float),
            [theirs.statistic, theirs.pvalue, theirs.df, *interval],
            rtol=1e-9,
        )
        assert row["n"] == len(y[later]) + len(y[earlier])
    assert found.loc["best - control", "df"] == len(small) - 3
    assert (estimate.effects(trial(table, ARMS, ["support"]))["df"] == len(table) - 3).all()


def blocked(table):
    """Arms have unequal shares in blocks that differ in their outcomes."""
    rng = child_rng(5, "blocks")
    block = rng.choice(["x", "y", "z"], size=len(table), p=[0.5, 0.3, 0.2])
    shares = {"x": [0.6, 0.2, 0.2], "y": [0.2, 0.4, 0.4], "z": [0.3, 0.3, 0.4]}
    arm = [rng.choice(3, p=shares[b]) for b in block]
    support = table["support"] + pd.Series(block).map({"x": 0.0, "y": 3.0, "z": -2.0})
    return table.assign(arm=pd.Categorical.from_codes(arm, ARMS), block=block, support=support)


def test_blocked_means_are_block_means_weighted_by_the_size_of_blocks(table):
    data = blocked(table)
    found = estimate.effects(trial(data, ARMS, ["support"]))
    cells = data.groupby(["block", "arm"], observed=True)["support"].agg(["mean", "var", "count"])
    share = data["block"].value_counts(normalize=True)
    for row, (later, earlier) in zip(found.itertuples(), estimate.pairs(ARMS), strict=True):
        a, b = (cells.xs(arm, level="arm") for arm in (earlier, later))
        np.testing.assert_allclose(row.estimate, (share * (b["mean"] - a["mean"])).sum(), rtol=1e-9)
        variance = (share**2 * (b["var"] / b["count"] + a["var"] / a["count"])).sum()
        np.testing.assert_allclose(row.std_error, np.sqrt(variance), rtol=1e-9)
        assert row.df == len(data) - 9
    constant = estimate.effects(trial(data.assign(block="only one"), ARMS, ["support"]))
    none = estimate.effects(trial(data.drop(columns="block"), ARMS, ["support"]))
    pd.testing.assert_frame_equal(constant, none)


def test_blocks_and_covariates_equal_one_regression_with_interactions(table):
    data = weighted(blocked(table))
    found = estimate.effects(trial(data, ARMS, ["support"], adjust=[AGE]))
    dummies = np.column_stack([data["arm"] == arm for arm in ARMS]).astype(float)
    z = np.column_stack([data["block"] == "y", data["block"] == "z", data["age"]]).astype(float)
    z = z - np.average(z, axis=0, weights=data["weight"])
    x = np.hstack([dummies, *(dummies[:, [a]] * z for a in range(3))])
    model = sm.WLS(data["support"], x, weights=data["weight"]).fit(cov_type="HC2", use_t=True)
    test = model.t_test(np.pad(CONTRASTS, ((0, 0), (0, 9))))
    lin = found[found["estimator"] == "lin"]
    np.testing.assert_allclose(lin["estimate"], test.effect, rtol=1e-8)
    np.testing.assert_allclose(lin["std_error"], test.sd.ravel() if test.sd.ndim == 1 else np.diag(test.sd))
    assert (lin["df"] == model.df_resid).all()


def test_blocks_without_two_units_of_an_arm_are_pooled(table):
    block = np.where(table["arm"] == "nano", "x", "y")
    nobody = estimate.effects(trial(table.assign(block=block), ARMS, ["support"]))
    plain = estimate.effects(trial(table, ARMS, ["support"]))
    assert nobody["note"].str.startswith("2 blocks are pooled").all()
    np.testing.assert_allclose(nobody[NUMBERS], plain[NUMBERS])
    data = blocked(table)
    lonely = data.assign(block=data["block"].where(np.arange(len(data)) > 0, "lonely"))
    smallest = data["block"].value_counts().index[-1]
    merged = data.assign(block=data["block"].where(np.arange(len(data)) > 0, smallest))
    found, same = (estimate.effects(trial(t, ARMS, ["support"])) for t in (lonely, merged))
    assert found["note"].str.startswith("2 blocks are pooled").all()
    np.testing.assert_allclose(found[NUMBERS], same[NUMBERS], rtol=1e-9)


@pytest.mark.statistical
def test_blocked_estimates_are_unbiased_and_cover():
    gaps, naive, covered = [], [], []
    for draw in range(150):
        rng = child_rng(draw, "blocked")
        block = np.repeat([0, 1], [40, 80])
        arm = np.concatenate(
            [rng.permutation(np.repeat(a, n)) for a, n in (([0, 1], [30, 10]), ([0, 1], 40))]
        )
        y = 3.0 * block + arm * (0.5 + block) + rng.normal(size=120)
        data = pd.DataFrame(
            {
                "arm": pd.Categorical.from_codes(arm, ["a", "b"]),
                "y": y,
                "weight": 1.0,
                "block": block.astype(str),
            }
        )
        row = estimate.effects(trial(data, ["a", "b"], ["y"])).iloc[0]
        truth = 0.5 + 80 / 120
        gaps.append(row["estimate"] - truth)
        covered.append(row["conf_low"] <= truth <= row["conf_high"])
        naive.append(
            estimate.effects(trial(data.drop(columns="block"), ["a", "b"], ["y"]))["estimate"][0] - truth
        )
    assert abs(np.mean(gaps)) < 4 * np.std(gaps) / np.sqrt(150)
    assert np.mean(naive) > 0.3
    assert 0.89 <= np.mean(covered) <= 0.99


def test_clusters_have_cr2_errors_with_satterthwaite_degrees_of_freedom(table):
    """Clusters within arms and across them; a joint regression is fitted by the golden-tested engine."""
    n = len(table)
    across = table.assign(cluster=[f"k{i // 5}" for i in range(n)])
    within = table.assign(cluster=[f"{a}{i % 15}" for i, a in enumerate(table["arm"])])
    for data in (across, weighted(within)):
        dummies = np.column_stack([data["arm"] == arm for arm in ARMS]).astype(float)
        model = regression.fit(
            dummies, data["support"].to_numpy(), "CR2", data["cluster"].to_numpy(), data["weight"].to_numpy()
        )
        theirs = regression.contrast(model, CONTRASTS)
        found = estimate.effects(trial(data, ARMS, ["support"]))
        assert (found["se_type"] == "CR2").all()
        np.testing.assert_allclose(found[NUMBERS], theirs[NUMBERS], rtol=1e-9)
        assert found["df"].nunique() > 1 and (found["df"] < 100).all()
    # With clusters of one size the CR2 variance of a difference is Neyman's of the cluster means.
    even = table.sort_values("arm", kind="stable").assign(cluster=[f"k{i // 10}" for i in range(n)])
    means = even.groupby("cluster").agg(y=("support", "mean"), arm=("arm", "first"))
    a, b = (means.loc[means["arm"] == arm, "y"] for arm in ARMS[:2])
    row = estimate.effects(trial(even, ARMS, ["support"])).iloc[0]
    np.testing.assert_allclose(row["std_error"], np.sqrt(a.var() / 15 + b.var() / 15), rtol=1e-9)
    np.testing.assert_allclose(row["df"], 28, rtol=1e-9)


def test_one_cluster_in_an_arm_spoils_only_its_contrasts(table):
    cluster = np.where(table["arm"] == "nano", "all", np.arange(len(table)) % 40).astype(str)
    found = estimate.effects(trial(table.assign(cluster=cluster), ARMS, ["support"])).set_index("contrast")
    assert found.loc["nano - best", NUMBERS].isna().all()
    assert found.loc["nano - best", "note"] == "fewer than two clusters in 'nano'"
    assert found.loc["best - control", NUMBERS].notna().all()


# ------------------------------------------------------------------------- prognostic score


def many(table, columns):
    rng = child_rng(6, "many")
    noise = {f"v{j}": rng.normal(size=len(table)) for j in range(columns)}
    return table.assign(**noise), [AGE, *(CovariateConfig(name=name, kind="numeric") for name in noise)]


def test_many_covariates_become_one_prognostic_score(table):
    data, covariates = many(table, 15)
    found = estimate.effects(trial(data, ARMS, ["support"], adjust=covariates))
    lin = found[found["estimator"] == "lin"]
    assert (
        lin["note"].eq("adjusted for one prognostic score: 16 columns are too many for 150 respondents").all()
    )
    assert (lin["df"] == len(table) - 6).all()
    full = estimate.effects(trial(data, ARMS, ["support"], adjust=covariates[:15]))
    assert (full["note"] == "").all()
    shuffled = estimate.effects(
        trial(data.sample(frac=1, random_state=1), ARMS, ["support"], adjust=covariates)
    )
    np.testing.assert_allclose(found[NUMBERS], shuffled[NUMBERS], rtol=1e-8)


def test_nobodys_score_depends_on_their_own_outcome_or_their_clusters(table):
    data, covariates = many(table, 5)
    z = covariate_columns(trial(data, ARMS), covariates)[0]
    y, w = data["support"].to_numpy(), data["weight"].to_numpy()
    arm = data["arm"].cat.codes.to_numpy()
    unit = np.arange(len(data)) // 3
    score = prognostic_score(z, y, w, arm, unit)
    changed = y.copy()
    changed[:3] += 100
    other = prognostic_score(z, changed, w, arm, unit)
    gap = (other - score) - (other - score)[0]
    np.testing.assert_allclose(gap[:3], 0, atol=1e-9)
    assert np.abs(gap).max() > 0.1
    # An effect of the arms, however large, does not enter.
    np.testing.assert_allclose(prognostic_score(z, y + 50 * arm, w, arm, unit), score, atol=1e-8)
    assert np.corrcoef(score, data["age"])[0, 1] > 0.8


@pytest.mark.statistical
def test_the_score_makes_small_trials_more_precise_and_covers():
    covered, errors, gaps = [], [], []
    for draw in range(150):
        rng = child_rng(draw, "score")
        z = rng.normal(size=(90, 20))
        arm = rng.permutation(np.arange(90) % 3)
        y = z[:, :3].sum(axis=1) + 0.5 * arm + rng.normal(size=90)
        data = pd.DataFrame({f"z{j}": z[:, j] for j in range(20)}).assign(
            arm=pd.Categorical.from_codes(arm, ARMS), y=y, weight=1.0
        )
        covariates = [CovariateConfig(name=f"z{j}", kind="numeric") for j in range(20)]
        found = estimate.effects(trial(data, ARMS, ["y"], adjust=covariates))
        dim, lin = (found[found["estimator"] == e].iloc[1] for e in ("dim", "lin"))
        covered.append(lin["conf_low"] <= 1.0 <= lin["conf_high"])
        errors.append(lin["std_error"] / dim["std_error"])
        gaps.append(lin["estimate"] - 1.0)
    assert np.mean(errors) < 0.85
    assert 0.89 <= np.mean(covered) <= 0.99
    assert abs(np.mean(gaps)) < 4 * np.std(gaps) / np.sqrt(150)


# ----------------------------------------------------------------------------------- binary


def test_average_marginal_effects_equal_statsmodels(table):
    dummies = np.column_stack([table["arm"] == arm for arm in ARMS[1:]]).astype(float)
    z = np.column_stack([table["age"], table["party"] == "blue", table["party"] == "none"]).astype(float)
    model = sm.Logit(table["sign"], np.hstack([np.ones((len(table), 1)), dummies, z])).fit(disp=0, tol=1e-12)
    found = estimate.logit(trial(table, ARMS), "sign", [AGE, PARTY], se_type="model").set_index(
        ["quantity", "contrast"]
    )
    margins = model.get_margeff(dummy=True)
    ours = found.loc["average marginal effect"].loc[["best - control", "nano - control"]]
    # With two other dummies at their observed values statsmodels' discrete change is not the arms' contrast,
    # so it is compared in the pairs of arms below; odds ratios agree here.
    odds = found.loc["log odds ratio"].loc[["best - control", "nano - control"]]
    np.testing.assert_allclose(odds["estimate"], model.params[1:3], rtol=1e-7)
    np.testing.assert_allclose(odds["std_error"], model.bse[1:3], rtol=1e-7)
    assert not np.allclose(ours["estimate"], margins.margeff[:2], rtol=1e-4)
    pair = table[table["arm"] != "best"]
    x = np.hstack([np.ones((len(pair), 1)), (pair[["arm"]] == "nano"), z[table["arm"] != "best"]]).astype(
        float
    )
    model = sm.Logit(pair["sign"], x).fit(disp=0, tol=1e-12)
    margins = model.get_margeff(dummy=True)
    row = estimate.logit(trial(pair, ["control", "nano"]), "sign", [AGE, PARTY], se_type="model").iloc[0]
    np.testing.assert_allclose(row["estimate"], margins.margeff[0], rtol=1e-7)
    np.testing.assert_allclose(row["std_error"], margins.margeff_se[0], rtol=1e-6)
    np.testing.assert_allclose(row["df"], len(pair) - 5)


def test_robust_errors_of_the_logit_equal_statsmodels(table):
    x = np.column_stack([np.ones(len(table)), table["arm"] == "nano", table["age"]]).astype(float)
    w = weighted(table)["weight"].to_numpy()
    y, groups = table["sign"].to_numpy(), np.arange(len(table)) // 6
    model = sm.GLM(y, x, family=sm.families.Binomial())
    ours = logistic.fit(x, y, "HC0")
    np.testing.assert_allclose(ours.vcov, model.fit(cov_type="HC0", tol=1e-12).cov_params(), rtol=1e-6)
    options = {"groups": groups, "use_correction": False, "df_correction": False}
    cluster = model.fit(cov_type="cluster", cov_kwds=options, tol=1e-12).cov_params()
    factor = 75 / 74
    np.testing.assert_allclose(logistic.fit(x, y, "CR1", groups).vcov, cluster * factor, rtol=1e-6)
    doubled = logistic.fit(np.vstack([x, x]), np.tile(y, 2), "HC0", weights=np.tile(w, 2) / 2)
    np.testing.assert_allclose(doubled.coef, logistic.fit(x, y, "HC0", weights=w).coef, rtol=1e-8)


def test_without_covariates_the_marginal_effect_is_the_difference_in_means(table):
    for data in (table, weighted(table)):
        ours = estimate.logit(trial(data, ARMS), "sign")
        ours = ours[ours["quantity"] == "average marginal effect"]
        dim = estimate.effects(trial(data, ARMS, ["sign"]))
        np.testing.assert_allclose(ours[NUMBERS], dim[NUMBERS], rtol=1e-8)


def test_risk_ratios_of_two_arms_are_katzs(table):
    found = estimate.logit(trial(table, ARMS), "sign", se_type="HC0").set_index(["quantity", "contrast"])
    y = values(table, "sign")
    row = found.loc[("log risk ratio", "nano - control")]
    np.testing.assert_allclose(row["ratio"], y[2].mean() / y[0].mean(), rtol=1e-9)
    katz = sum((1 - v.mean()) / v.sum() for v in (y[0], y[2]))
    np.testing.assert_allclose(row["std_error"], np.sqrt(katz), rtol=1e-9)
    np.testing.assert_allclose(
        np.log(row[["ratio_low", "ratio_high"]].astype(float)), row[["conf_low", "conf_high"]].astype(float)
    )


def test_separation_is_said_and_never_diverges(table):
    nobody = table.assign(sign=table["sign"].where(table["arm"] != "nano", 0.0))
    found = estimate.logit(trial(nobody, ARMS), "sign", [AGE])
    lost = found["contrast"].str.startswith("nano")
    assert found.loc[lost, NUMBERS].isna().all(axis=None)
    assert found.loc[lost, "note"].eq("the outcome does not vary in 'nano'").all()
    assert found.loc[~lost, NUMBERS].notna().all(axis=None)
    perfect = table.assign(sign=(table["age"] > 50).astype(float))
    found = estimate.logit(trial(perfect, ARMS), "sign", [AGE])
    assert found[NUMBERS].isna().all(axis=None)
    assert found["note"].eq("arms and covariates predict the outcome perfectly").all()
    assert len(found) == 9


def test_fisher_and_chi_squared_equal_scipy(table):
    found = estimate.proportions(trial(table, ARMS), "sign")
    for row, (later, earlier) in zip(found.itertuples(), ((1, 0), (2, 0), (2, 1)), strict=True):
        y = values(table, "sign")
        counts = [[v.sum(), (1 - v).sum()] for v in (y[earlier], y[later])]
        np.testing.assert_allclose(row.p_fisher, stats.fisher_exact(counts).pvalue, rtol=1e-9)
        chi2 = stats.chi2_contingency(counts, correction=False)
        np.testing.assert_allclose(row.p_chi2, chi2.pvalue, rtol=1e-9)
    none = estimate.proportions(trial(table.assign(sign=0.0), ARMS), "sign")
    assert none[["std_error", "p_value", "p_fisher", "p_chi2"]].isna().all(axis=None)
    assert none["note"].eq("the outcome does not vary in either arm").all()


# ---------------------------------------------------------------------------------- ordinal


def test_proportional_odds_equal_statsmodels(table):
    x = np.column_stack([table["arm"] == "best", table["arm"] == "nano", table["age"] / 10]).astype(float)
    model = OrderedModel(table["grade"].astype(int), x, distr="logit")
    theirs = model.fit(method="newton", disp=0, tol=1e-12)
    ours = {
        se: proportional_odds(x, table["grade"].to_numpy(), np.ones(len(x)), se) for se in ("model", "HC0")
    }
    np.testing.assert_allclose(ours["HC0"].coef, theirs.params[:3], rtol=1e-6)
    np.testing.assert_allclose(
        ours["HC0"].thresholds, model.transform_threshold_params(theirs.params)[1:-1], rtol=1e-6
    )
    np.testing.assert_allclose(np.sqrt(np.diag(ours["model"].vcov)), theirs.bse[:3], rtol=1e-5)
    scores = model.score_obs(theirs.params)
    hessian = np.linalg.inv(model.hessian(theirs.params))
    robust = np.sqrt(np.diag(hessian @ scores.T @ scores @ hessian))
    np.testing.assert_allclose(np.sqrt(np.diag(ours["HC0"].vcov)), robust[:3], rtol=1e-4)


def test_ordinal_of_two_categories_is_the_logit(table):
    found = estimate.ordinal(trial(table, ARMS), "sign", [AGE])
    odds = estimate.logit(trial(table, ARMS), "sign", [AGE], se_type="HC0")
    odds = odds[odds["quantity"] == "log odds ratio"]
    np.testing.assert_allclose(found[NUMBERS], odds[NUMBERS], rtol=1e-6)
    assert found["parallel_p"].isna().all()


def test_ordinal_knows_the_order_alone_and_duplicated_weights(table):
    first = estimate.ordinal(trial(table, ARMS), "grade", [AGE])
    curved = estimate.ordinal(trial(table.assign(grade=table["grade"] ** 3), ARMS), "grade", [AGE])
    pd.testing.assert_frame_equal(first, curved, rtol=1e-9)
    turned = estimate.ordinal(trial(table.assign(grade=-table["grade"]), ARMS), "grade", [AGE])
    np.testing.assert_allclose(turned["estimate"], -first["estimate"], rtol=1e-6)
    np.testing.assert_allclose(turned["parallel_chi2"], first["parallel_chi2"], rtol=1e-6)
    halves = pd.concat([table, table]).assign(weight=0.5)
    np.testing.assert_allclose(
        estimate.ordinal(trial(halves, ARMS), "grade", [AGE])["estimate"], first["estimate"], rtol=1e-6
    )
    reordered = estimate.ordinal(trial(table, ARMS[::-1]), "grade", [AGE])
    np.testing.assert_allclose(reordered["estimate"], -first["estimate"].to_numpy()[::-1], rtol=1e-6)
    np.testing.assert_allclose(reordered["std_error"], first["std_error"].to_numpy()[::-1], rtol=1e-6)


def test_brants_test_equals_his_formula(table):
    """Brant (1990): model-based products of the binary fits, here with arms alone."""
    found = estimate.ordinal(trial(table, ARMS), "grade").iloc[0]
    dummies = np.column_stack([table["arm"] == arm for arm in ARMS]).astype(float)
    n, grade = dummies.sum(axis=0), table["grade"].to_numpy()
    above = np.array([dummies.T @ (grade > c) / n for c in (1, 2, 3, 4)])
    logits = np.log(above / (1 - above))
    differences = np.array([[-1, 1, 0], [-1, 0, 1]])
    covariance = np.zeros((8, 8))
    for j in range(4):
        for k in range(4):
            pj, pk = above[j], above[k]
            shared = (np.minimum(pj, pk) - pj * pk) / (pj * (1 - pj) * pk * (1 - pk) * n)
            covariance[2 * j : 2 * j + 2, 2 * k : 2 * k + 2] = differences * shared @ differences.T
    b = (logits @ differences.T).ravel()
    d = np.hstack([-np.tile(np.eye(2), (3, 1)), np.eye(6)])
    chi2 = d @ b @ np.linalg.solve(d @ covariance @ d.T, d @ b)
    np.testing.assert_allclose(found["parallel_chi2"], chi2, rtol=1e-6)
    assert found["parallel_df"] == 6
    np.testing.assert_allclose(found["parallel_p"], stats.chi2.sf(chi2, 6), rtol=1e-6)


@pytest.mark.statistical
def test_parallel_odds_reject_only_what_is_not_parallel():
    found = {1.0: [], 3.0: []}
    for draw in range(200):
        rng = child_rng(draw, "parallel")
        arm = rng.permutation(np.arange(600) % 2)
        noise = rng.logistic(size=600)
        for spread, p in found.items():
            latent = 0.5 * arm + noise * np.where(arm == 1, spread, 1)
            data = pd.DataFrame({"arm": pd.Categorical.from_codes(arm, ["a", "b"]), "weight": 1.0})
            data["y"] = np.digitize(latent, [-1.5, -0.5, 0.5, 1.5]).astype(float)
            p.append(parallel_odds(arm_columns(trial(data, ["a", "b"]), "y")).p_value)
    assert 0.01 <= np.mean(np.array(found[1.0]) < 0.05) <= 0.10
    assert np.mean(np.array(found[3.0]) < 0.05) > 0.95


def test_ordinal_of_degenerate_outcomes(table):
    constant = estimate.ordinal(trial(table.assign(grade=3.0), ARMS), "grade")
    assert constant[NUMBERS].isna().all(axis=None) and constant["note"].str.contains("does not vary").all()
    apart = table.assign(grade=table["grade"] + 10 * (table["arm"] == "nano"))
    found = estimate.ordinal(trial(apart, ARMS), "grade")
    assert found[NUMBERS].isna().all(axis=None)
    assert found["note"].str.startswith("arms and covariates predict the outcome perfectly").all()
    alone = estimate.ordinal(trial(table[table["arm"] == "best"], ARMS), "grade")
    assert alone[NUMBERS].isna().all(axis=None) and (alone["note"] != "").all()


# ----------------------------------------------------------------------------- Mann-Whitney


def test_superiority_equals_brunner_and_munzel(table):
    found = estimate.mann_whitney(trial(table, ARMS), "grade")
    y = values(table, "grade")
    for row, (later, earlier) in zip(found.itertuples(), ((1, 0), (2, 0), (2, 1)), strict=True):
        test = stats.brunnermunzel(y[earlier], y[later], distribution="t")
        np.testing.assert_allclose([row.statistic, row.p_value], [test.statistic, test.pvalue], rtol=1e-9)
        wins = np.sign(y[later][:, None] - y[earlier][None, :])
        np.testing.assert_allclose(row.estimate, ((wins + 1) / 2).mean(), rtol=1e-12)
        half = stats.t.ppf(0.975, row.df) * row.std_error / (row.estimate * (1 - row.estimate))
        logit = np.log(row.estimate / (1 - row.estimate))
        ends = 1 / (1 + np.exp(-(logit + np.array([-half, half]))))
        np.testing.assert_allclose([row.conf_low, row.conf_high], ends, rtol=1e-9)


def test_superiority_with_weights_and_clusters(table):
    data = weighted(table)
    w = [data.loc[data["arm"] == arm, "weight"].to_numpy() for arm in ARMS]
    y = values(data, "grade")
    row = estimate.mann_whitney(trial(data, ARMS), "grade").iloc[1]
    wins = (np.sign(y[2][:, None] - y[0][None, :]) + 1) / 2
    brute = (wins * np.outer(w[2], w[0])).sum() / np.outer(w[2], w[0]).sum()
    np.testing.assert_allclose(row["estimate"], brute, rtol=1e-12)
    # Everybody twice in one cluster: the estimate and, but for CR2's degrees of freedom, its error stay.
    alone = estimate.mann_whitney(trial(table, ARMS), "grade")
    twice = estimate.mann_whitney(trial(pd.concat([table, table]), ARMS), "grade")
    np.testing.assert_allclose(twice["estimate"], alone["estimate"], rtol=1e-12)
    np.testing.assert_allclose(twice["std_error"], alone["std_error"], rtol=1e-9)
    assert twice["se_type"].eq("placements, CR2").all() and (twice["df"] <= len(table)).all()
    turned = estimate.mann_whitney(trial(table, ARMS[::-1]), "grade")
    np.testing.assert_allclose(turned["estimate"], 1 - alone["estimate"].to_numpy()[::-1], rtol=1e-12)


def test_superiority_of_degenerate_arms(table):
    apart = table.assign(grade=table["grade"] + 10 * (table["arm"] == "nano"))
    found = estimate.mann_whitney(trial(apart, ARMS), "grade").set_index("contrast")
    row = found.loc["nano - best"]
    assert row["estimate"] == 1 and np.isnan(row["std_error"])
    assert row["note"] == "one arm is entirely above the other"
    constant = estimate.mann_whitney(trial(table.assign(grade=2.0), ARMS), "grade")
    assert constant[NUMBERS].isna().all(axis=None)
    one = table.drop(table.index[table["arm"] == "nano"][1:])
    found = estimate.mann_whitney(trial(one, ARMS), "grade").set_index("contrast")
    assert found.loc["nano - best", "note"] == "fewer than two observed respondents in 'nano'"
    assert found.loc["best - control", NUMBERS].notna().all()


# ------------------------------------------------------------------- ratios, standardised, all arms


def test_ratios_of_counts_by_the_delta_method(table):
    found = estimate.ratios(trial(table, ARMS), "visits")
    for row, (later, earlier) in zip(found.itertuples(), ((1, 0), (2, 0), (2, 1)), strict=True):
        b, a = (values(table, "visits")[i] for i in (later, earlier))
        np.testing.assert_allclose(row.ratio, b.mean() / a.mean(), rtol=1e-9)
        variance = sum(v.var(ddof=1) / len(v) / v.mean() ** 2 for v in (a, b))
        np.testing.assert_allclose(row.std_error, np.sqrt(variance), rtol=1e-9)
        np.testing.assert_allclose([row.ratio_low, row.ratio_high], np.exp([row.conf_low, row.conf_high]))
    euros = estimate.ratios(trial(table.assign(visits=100 * table["visits"]), ARMS), "visits")
    np.testing.assert_allclose(euros[NUMBERS], found[NUMBERS], rtol=1e-8)
    none = table.assign(visits=table["visits"].where(table["arm"] != "nano", 0.0))
    lost = estimate.ratios(trial(none, ARMS), "visits").set_index("contrast")
    assert lost.loc["nano - best", NUMBERS].isna().all()
    assert lost.loc["nano - best", "note"] == "the mean is not positive in 'nano'"
    clustered = estimate.ratios(
        trial(table.assign(cluster=[f"k{i // 9}" for i in range(len(table))]), ARMS), "visits"
    )
    assert (clustered["se_type"] == "CR2").all() and (clustered["df"] < 100).all()


def test_standardised_effects_are_in_sds_of_the_first_arm(table):
    found = estimate.standardised(trial(table, ARMS), "support").set_index(["estimator", "contrast"])
    y = values(table, "support")
    sd = y[0].std(ddof=1)
    for later, earlier in ((1, 0), (2, 0), (2, 1)):
        row = found.loc[("cohen_d", f"{ARMS[later]} - {ARMS[earlier]}")]
        np.testing.assert_allclose(row["estimate"], (y[later].mean() - y[earlier].mean()) / sd, rtol=1e-9)
        np.testing.assert_allclose(row["sd"], sd)
        g = found.loc[("hedges_g", f"{ARMS[later]} - {ARMS[earlier]}"), "estimate"]
        np.testing.assert_allclose(g / row["estimate"], 1 - 3 / (4 * 149 - 1), rtol=1e-5)
        # Glass's variance with the observed third and fourth moments of the first arm.
        b, a, n = y[later], y[earlier], len(y[0])
        centred = y[0] - y[0].mean()
        variance = (b.var(ddof=1) / len(b) + a.var(ddof=1) / len(a)) / sd**2
        variance += row["estimate"] ** 2 * np.var(centred**2, ddof=1) / n / (4 * sd**4)
        if earlier == 0:
            variance += row["estimate"] * (centred**3).sum() / (n - 1) / n / sd**3
        np.testing.assert_allclose(row["std_error"], np.sqrt(variance), rtol=1e-9)
    moved = estimate.standardised(trial(table.assign(support=7 * table["support"] - 3), ARMS), "support")
    np.testing.assert_allclose(moved[NUMBERS], found[NUMBERS], rtol=1e-7)
    constant = table.assign(support=table["support"].where(table["arm"] != "control", 1.0))
    lost = estimate.standardised(trial(constant, ARMS), "support")
    assert lost[NUMBERS].isna().all(axis=None)
    assert lost["note"].eq("the outcome has no standard deviation in 'control'").all()


@pytest.mark.statistical
@pytest.mark.parametrize("skewed", [False, True])
def test_errors_of_standardised_effects_are_their_spread(skewed):
    found = []
    for draw in range(120):
        rng = child_rng(draw, "standardised")
        arm = np.arange(150) % 3
        noise = rng.exponential(size=150) if skewed else rng.normal(size=150)
        data = pd.DataFrame({"arm": pd.Categorical.from_codes(arm, ARMS), "y": noise + arm, "weight": 1.0})
        table = estimate.standardised(trial(data, ARMS), "y")
        found.append(table.loc[table["estimator"] == "hedges_g", ["estimate", "std_error"]].to_numpy())
    found = np.array(found)
    spread, error = found[:, :, 0].std(axis=0, ddof=1), found[:, :, 1].mean(axis=0)
    # The Monte Carlo error of a ratio of standard deviations is about 0.07; skewed ones lag in small samples.
    np.testing.assert_allclose(error / spread, 1, atol=0.25 if skewed else 0.2)
    if not skewed:
        np.testing.assert_allclose(found[:, :, 0].mean(axis=0), [1, 2, 1], atol=0.1)


def test_tests_of_all_arms_equal_scipy_and_statsmodels(table):
    found = estimate.omnibus(trial(table, ARMS, ["support"])).set_index("test")
    y = values(table, "support")
    kruskal = stats.kruskal(*y)
    np.testing.assert_allclose(found.loc["kruskal_wallis", "p_value"], kruskal.pvalue, rtol=1e-9)
    welch = sm.stats.anova_oneway(y, use_var="unequal", welch_correction=True)
    np.testing.assert_allclose(found.loc["welch_oneway", "statistic"], welch.statistic, rtol=1e-9)
    np.testing.assert_allclose(found.loc["welch_oneway", "p_value"], welch.pvalue, rtol=1e-9)
    clusters = table.assign(cluster=[f"k{i // 9}" for i in range(len(table))])
    found = estimate.omnibus(trial(clusters, ARMS, ["support"])).set_index("test")
    assert found.loc["wald_F_CR2", "df2"] == 49 and np.isnan(found.loc["welch_oneway", "statistic"])
    constant = estimate.omnibus(trial(table.assign(support=1.0), ARMS, ["support"]))
    assert constant["p_value"].isna().all() and (constant["note"] != "").all()


def test_adjusted_p_values_equal_statsmodels():
    p = child_rng(7, "p").uniform(size=20) ** 3
    for ours, theirs in (
        (regression.holm, "holm"),
        (regression.bonferroni, "bonferroni"),
        (regression.benjamini_hochberg, "fdr_bh"),
    ):
        np.testing.assert_allclose(ours(p), multipletests(p, method=theirs)[1], rtol=1e-12)
        with_gaps = np.insert(p, [0, 7], np.nan)
        np.testing.assert_array_equal(np.delete(ours(with_gaps), [0, 8]), ours(p))
        assert np.isnan(ours(with_gaps)[[0, 8]]).all()


# ------------------------------------------------------------- specification curve, sentences


def registered(**changes):
    hypothesis = Analysis(id="H1", outcome="sign", contrast=["nano", "best"], estimator="dim")
    return Registration(
        registry="osf",
        id="x",
        date="2025-01-01",
        arms=ARMS,
        outcomes=[RegisteredOutcome(name="sign", kind="binary")],
        hypotheses=[hypothesis],
    )


def test_the_specification_curve_is_ordered_and_marks_one_confirmatory_row(table):
    passed = pd.array(child_rng(8, "passed").uniform(size=len(table)) > 0.2, dtype="boolean")
    passed[:5] = pd.NA
    data = weighted(table).assign(passed=passed)
    found = estimate.robustness(
        trial(data, ARMS, outcomes(*KINDS), adjust=[AGE, PARTY], registration=registered())
    )
    assert list(found.columns) == list(Table.ROBUSTNESS.columns)
    for _, curve in found.groupby(["outcome", "contrast", "scale"]):
        assert (np.diff(curve["estimate"]) >= -1e-11).all()
        assert curve["rank"].tolist() == list(range(1, len(curve) + 1))
    confirmatory = found[found["label"] == "confirmatory"]
    assert len(confirmatory) == 1
    row = confirmatory.iloc[0]
    assert (row["estimator"], row["se_type"], row["sample"]) == ("dim", "HC2", "all")
    main = estimate.effects(trial(data, ARMS, ["sign"], registration=registered())).iloc[2]
    np.testing.assert_allclose(row[NUMBERS].astype(float), main[NUMBERS].astype(float), rtol=1e-9)
    fits = found.groupby("outcome")["estimator"].agg(set)
    assert {"logit"} == fits["sign"] - fits["support"] and "ratio" in fits["visits"] - fits["grade"]
    assert "ordinal" in fits["grade"] and "mann_whitney" not in fits["sign"]
    # Failed checks are left out, unasked ones are not.
    dropped = found[found["sample"] == "passed checks"]
    kept = data[passed.fillna(True).astype(bool)]
    assert (dropped["n"] == len(kept)).all()
    reordered = estimate.robustness(trial(data.iloc[::-1], ARMS, outcomes(*KINDS), adjust=[AGE, PARTY]))
    np.testing.assert_allclose(reordered["estimate"], found["estimate"], rtol=1e-7)


def test_the_curve_leaves_out_what_does_not_fit(table):
    plain = estimate.robustness(trial(table, ARMS, outcomes("sign")))
    assert set(plain["sample"]) == {"all"} and set(plain["adjustment"]) == {"none"}
    clustered = table.assign(cluster=[f"k{i // 5}" for i in range(len(table))])
    found = estimate.robustness(trial(clustered, ARMS, outcomes("sign"), adjust=[AGE]))
    assert set(found["se_type"]) == {"CR1", "CR2"}
    empty = estimate.robustness(trial(table, ARMS, []))
    assert empty.empty and list(empty.columns) == list(Table.ROBUSTNESS.columns)


@pytest.mark.parametrize("left", [0, 1])
def test_every_table_survives_an_arm_with_hardly_anybody(table, left):
    data = table.drop(table.index[table["arm"] == "nano"][left:])
    found = estimate.robustness(trial(data, ARMS, outcomes(*KINDS), adjust=[AGE]))
    lost = found["contrast"].str.startswith("nano")
    assert found.loc[lost, NUMBERS].isna().all(axis=None) and (found.loc[lost, "note"] != "").all()
    assert found.loc[~lost, NUMBERS].notna().all(axis=None)
    for tables in (
        estimate.standardised(trial(data, ARMS), "support"),
        estimate.proportions(trial(data, ARMS), "sign"),
    ):
        rows = tables[~tables["contrast"].str.startswith("nano")]
        assert rows[[c for c in NUMBERS if c != "df"]].notna().all(axis=None)
    assert estimate.omnibus(trial(data, ARMS, ["support"]))["note"].str.contains("'nano'").all()


def row_of(estimate_, error, sesoi=0.05, outcome="sign"):
    effects = pd.DataFrame(
        {
            "outcome": [outcome],
            "estimator": "dim",
            "contrast": "nano - best",
            "estimate": estimate_,
            "std_error": error,
            "df": 3000.0,
            "df_type": "n - parameters",
            "n": 3003,
        }
    )
    return estimate.equivalence(trial(None, ARMS, sesoi={outcome: sesoi}), effects)


@pytest.mark.parametrize(
    ("value", "error", "non_superiority", "sentence"),
    [
        (
            -0.017,
            0.029,
            "not superior",
            "The data exclude an advantage of nano over best of more than 3.1 and a disadvantage of "
            "more than 6.5 percentage points on signs (90% interval -6.5 to 3.1): an advantage as "
            "large as the smallest of interest (5) is excluded.",
        ),
        (
            0.0,
            0.01,
            "not superior",
            "The data exclude an advantage of nano over best of more than 1.7 and a disadvantage of "
            "more than 1.7 percentage points on signs (90% interval -1.7 to 1.7): any effect as "
            "large as the smallest of interest (5) is excluded.",
        ),
        (
            0.08,
            0.01,
            "superior",
            "The data exclude an advantage of nano over best of less than 6.3 or more than 9.7 "
            "percentage points on signs (90% interval 6.3 to 9.7): the advantage is larger than the "
            "smallest of interest (5).",
        ),
        (
            -0.08,
            0.01,
            "not superior",
            "The data exclude any advantage of nano over best and a disadvantage of less than 6.3 or "
            "more than 9.7 percentage points on signs (90% interval -9.7 to -6.3): the disadvantage "
            "is larger than the smallest of interest (5).",
        ),
        (
            0.04,
            0.01,
            "inconclusive",
            "The data exclude an advantage of nano over best of less than 2.3 or more than 5.7 "
            "percentage points on signs (90% interval 2.3 to 5.7): an advantage as large as the "
            "smallest of interest (5) is not excluded.",
        ),
        (
            np.nan,
            np.nan,
            "not testable",
            "The difference between nano and best on signs could not be estimated.",
        ),
    ],
)
def test_sentences_say_what_the_data_exclude(value, error, non_superiority, sentence):
    found = row_of(value, error)
    assert found["non_superiority"].item() == non_superiority
    labelled = [OutcomeConfig(name="sign", kind="binary", label="signs")]
    assert estimate.sentences(trial(None, ARMS, labelled), found)["sentence"].item() == sentence


def test_ends_are_rounded_outwards():
    found = row_of(0.0, 0.123, 0.5, "support")
    text = estimate.sentences(trial(None, ARMS, outcomes("support")), found)["sentence"].item()
    assert found["conf_high"].item() == pytest.approx(0.2024, abs=1e-4)
    assert "more than 0.21 " in text and "0.20 " not in text


def test_every_kind_of_outcome_has_its_scales():
    rng = child_rng(8, "scales")
    arm = np.arange(240) % 3
    table = pd.DataFrame(
        {
            "respondent_id": [f"r{i:03d}" for i in range(240)],
            "arm": pd.Categorical.from_codes(arm, ["a", "b", "c"]),
            "weight": 1.0,
            "yes": (rng.random(240) < 0.4).astype(float),
            "grade": rng.integers(1, 6, 240).astype(float),
            "number": rng.normal(size=240),
            "euros": rng.exponential(size=240),
        }
    )
    kinds = {"yes": "binary", "grade": "ordinal", "number": "continuous", "euros": "count"}
    outcomes = [OutcomeConfig(name=name, kind=kind, range=[1, 5]) for name, kind in kinds.items()]
    found = estimate.scales(trial(table, ["a", "b", "c"], outcomes))
    assert list(found.columns) == list(Table.SCALES.columns)
    assert found.groupby("outcome")["estimator"].unique().map(set).to_dict() == {
        "yes": {"logit", "proportions"},
        "grade": {"ordinal", "mann_whitney", "cohen_d", "hedges_g"},
        "number": {"mann_whitney", "cohen_d", "hedges_g"},
        "euros": {"ratio", "mann_whitney", "cohen_d", "hedges_g"},
    }
    alone = estimate.mann_whitney(trial(table, ["a", "b", "c"]), "number")
    own = found[(found["outcome"] == "number") & (found["estimator"] == "mann_whitney")]
    assert own["estimate"].tolist() == alone["estimate"].tolist()
    assert estimate.scales(trial(table, ["a", "b", "c"], [])).empty
