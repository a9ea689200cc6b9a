"""Least squares against textbook formulas, and CR2 against its definition with n x n matrices."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from nanotarget.calibrate import regression
from nanotarget.study.seeds import child_rng


@pytest.fixture
def data():
    rng = child_rng(1, "test_regression")
    n, groups = 240, 37
    clusters = rng.integers(groups, size=n)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2)), rng.integers(2, size=n)])
    scale = 0.5 + np.abs(x[:, 1])
    y = x @ [1.0, 0.5, -0.2, 0.3] + rng.normal(size=groups)[clusters] + rng.normal(size=n) * scale
    return x, y, clusters, rng.uniform(0.2, 3, size=n)


def sandwich_by_definition(x, y, w, se_type, clusters):
    """MacKinnon & White (1985) and Liang & Zeger (1986), CR1 with the factor of Stata."""
    n, k = x.shape
    bread = np.linalg.inv(x.T @ (w[:, None] * x))
    coef = bread @ x.T @ (w * y)
    scores = x * (w * (y - x @ coef))[:, None]
    leverage = w * np.einsum("ij,jk,ik->i", x, bread, x)
    if se_type.startswith("CR"):
        scores = np.array([scores[clusters == g].sum(axis=0) for g in np.unique(clusters)])
    groups = len(scores)
    factor = {"HC1": n / (n - k), "CR1": groups / (groups - 1) * (n - 1) / (n - k)}.get(se_type, 1.0)
    scores = (
        scores
        * ({"HC2": 1 - leverage, "HC3": (1 - leverage) ** 2}.get(se_type, np.ones(groups)) ** -0.5)[:, None]
    )
    return (
        coef,
        factor * bread @ scores.T @ scores @ bread,
        (n - k if se_type.startswith("HC") else groups - 1),
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("se_type", ["HC1", "HC2", "HC3", "CR0", "CR1"])
def test_equals_its_definition(data, se_type, weighted):
    x, y, clusters, weights = data
    weights = weights if weighted else np.ones(len(y))
    coef, vcov, df = sandwich_by_definition(x, y, weights, se_type, clusters)
    ours = regression.fit(x, y, se_type, clusters, weights if weighted else None)
    np.testing.assert_allclose(ours.coef, coef, rtol=1e-10)
    np.testing.assert_allclose(ours.vcov, vcov, rtol=1e-9, atol=1e-15)

    table, error = regression.contrast(ours, np.eye(4), alpha=0.1), np.sqrt(np.diag(vcov))
    np.testing.assert_allclose(table["p_value"], 2 * stats.t.sf(np.abs(coef / error), df), rtol=1e-8)
    ends = coef + np.outer(stats.t.ppf([0.05, 0.95], df), error)
    np.testing.assert_allclose(table[["conf_low", "conf_high"]], ends.T, rtol=1e-8)

    rows = np.array([[0, 1, 0, 0], [0, 0, 1, -1]], dtype=float)
    test, value = regression.wald(ours, rows), rows @ coef
    statistic = value @ np.linalg.solve(rows @ vcov @ rows.T, value) / 2
    assert (test.df1, test.df2) == (2, df)
    np.testing.assert_allclose(
        [test.statistic, test.p_value], [statistic, stats.f.sf(statistic, 2, df)], rtol=1e-8
    )


def power_of(matrix, exponent):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.where(values > 1e-12, np.abs(values), np.inf) ** exponent) @ vectors.T


def bell_mccaffrey_by_definition(x, y, clusters, w, contrast):
    """Variance and degrees of freedom of Pustejovsky & Tipton (2018), identity working covariance."""
    n = len(y)
    bread = np.linalg.inv(x.T @ (w[:, None] * x))
    residual_maker = np.eye(n) - x @ bread @ (x * w[:, None]).T
    e = residual_maker @ y
    total, columns = 0.0, []
    for g in np.unique(clusters):
        rows = clusters == g
        block = (residual_maker @ residual_maker.T)[np.ix_(rows, rows)]
        score = power_of(block, -0.5) @ (w[rows, None] * x[rows]) @ bread @ contrast
        total += (score @ e[rows]) ** 2
        columns.append(residual_maker[rows].T @ score)
    gram = np.column_stack(columns).T @ np.column_stack(columns)
    return total, np.trace(gram) ** 2 / (gram**2).sum()


@pytest.mark.parametrize("weighted", [False, True])
def test_cr2_equals_its_definition(data, weighted):
    x, y, clusters, weights = data
    # A dummy of one cluster makes that cluster's residual block singular.
    x = np.column_stack([x, clusters == 3])
    weights = weights if weighted else np.ones(len(y))
    contrast = np.array([0.0, 1.0, -0.5, 0.0, 0.0])
    variance, df = bell_mccaffrey_by_definition(x, y, clusters, weights, contrast)
    table = regression.contrast(regression.fit(x, y, "CR2", clusters, weights), contrast)
    np.testing.assert_allclose(table["std_error"], np.sqrt(variance), rtol=1e-9)
    np.testing.assert_allclose(table["df"], df, rtol=1e-8)


def test_cr2_of_singletons_is_hc2(data):
    x, y, _, _ = data
    single = regression.fit(x, y, "CR2", np.arange(len(y)))
    np.testing.assert_allclose(single.vcov, regression.fit(x, y, "HC2").vcov, rtol=1e-10)


@pytest.mark.parametrize("se_type", ["HC2", "CR1", "CR2"])
def test_the_later_of_two_collinear_columns_is_missing(data, se_type):
    x, y, clusters, _ = data
    double = np.column_stack([x[:, :3], x[:, 1] - 2 * x[:, 2], x[:, 3]])
    plain, aliased = (regression.fit(z, y, se_type, clusters) for z in (x, double))
    assert np.isnan(aliased.coef).tolist() == [False, False, False, True, False]
    kept = [0, 1, 2, 4]
    np.testing.assert_allclose(aliased.coef[kept], plain.coef, rtol=1e-10)
    np.testing.assert_allclose(aliased.vcov[np.ix_(kept, kept)], plain.vcov, rtol=1e-8)
    assert aliased.df_wald == plain.df_wald
    table = regression.contrast(aliased, np.eye(5)[[2, 3]])
    assert table.iloc[1].isna().all() and table.iloc[0].notna().all()
    assert regression.wald(aliased, np.eye(5)[[2, 3]]).df1 == 1


@pytest.mark.parametrize("se_type", ["HC1", "HC2", "HC3", "CR0", "CR1", "CR2"])
def test_neither_the_order_of_rows_nor_the_scale_of_weights_matters(data, se_type):
    x, y, clusters, weights = data
    order = child_rng(2, "order").permutation(len(y))
    first = regression.contrast(regression.fit(x, y, se_type, clusters, weights), np.eye(4))
    again = regression.fit(x[order], y[order], se_type, clusters[order], 7 * weights[order])
    pd.testing.assert_frame_equal(first, regression.contrast(again, np.eye(4)), rtol=1e-9)


def test_a_row_twice_with_half_its_weight_is_the_row(data):
    x, y, clusters, weights = data
    twice = np.repeat(np.arange(len(y)), 2)
    once = regression.fit(x, y, "CR0", clusters, weights)
    halved = regression.fit(x[twice], y[twice], "CR0", clusters[twice], weights[twice] / 2)
    np.testing.assert_allclose(halved.coef, once.coef, rtol=1e-10)
    np.testing.assert_allclose(halved.vcov, once.vcov, rtol=1e-9)


def test_names_of_clusters_do_not_matter(data):
    x, y, clusters, _ = data
    named = np.array([f"<br> {name}" for name in clusters])
    np.testing.assert_array_equal(
        regression.fit(x, y, "CR2", clusters).coef, regression.fit(x, y, "CR2", named).coef
    )


def test_what_cannot_be_estimated_is_missing(data):
    x, y, clusters, _ = data
    fitted_exactly = np.column_stack([x, np.arange(len(y)) == 5])
    assert np.isnan(regression.fit(fitted_exactly, y, "HC2").vcov).all()
    assert np.isfinite(regression.fit(fitted_exactly, y, "HC1").vcov).all()
    one_cluster = regression.contrast(regression.fit(x, y, "CR1", np.zeros(len(y))), np.eye(4))
    assert one_cluster["estimate"].notna().all() and one_cluster["std_error"].isna().all()
    constant = regression.contrast(regression.fit(x, np.full(len(y), 0.1), "CR1", clusters), np.eye(4))
    assert constant[["std_error", "p_value"]].isna().all(axis=None)
    saturated = regression.fit(x[:4], y[:4], "HC1")
    assert np.isnan(saturated.vcov).all()
    few = regression.fit(x, y, "CR1", clusters % 2)
    assert np.isnan(regression.wald(few, np.eye(4)[1:]).statistic), "two clusters cannot test three contrasts"
    with pytest.raises(ValueError, match="needs clusters"):
        regression.fit(x, y, "CR2")


def test_a_test_against_another_null(data):
    x, y, clusters, _ = data
    model = regression.fit(x, y, "CR1", clusters)
    plain, shifted = (regression.contrast(model, np.eye(4), null=null) for null in (0.0, 0.4))
    same = ["estimate", "std_error", "conf_low", "conf_high", "df"]
    pd.testing.assert_frame_equal(plain[same], shifted[same])
    np.testing.assert_allclose(
        shifted["statistic"], (plain["estimate"] - 0.4) / plain["std_error"], rtol=1e-12
    )


def test_holm_equals_statsmodels():
    p = np.array([0.04, 0.01, 0.01, 0.6, 0.03])
    np.testing.assert_allclose(regression.holm(p), multipletests(p, method="holm")[1])


@pytest.mark.parametrize("adjust", [regression.holm, regression.bonferroni, regression.benjamini_hochberg])
def test_missing_p_values_stay_missing_and_do_not_count(adjust):
    p = np.array([0.04, 0.01, 0.01, 0.6, 0.03])
    adjusted = adjust(np.insert(p, 2, np.nan))
    assert np.isnan(adjusted[2])
    np.testing.assert_allclose(np.delete(adjusted, 2), adjust(p))
    assert adjust(np.array([])).shape == (0,) and np.isnan(adjust(np.array([np.nan]))).all()


def test_a_constant_arm_has_no_variance_and_spoils_no_other(data):
    """Least squares leave rounding error in the residuals of a constant outcome."""
    _, y, clusters, weights = data
    arm = np.arange(len(y)) % 3
    y = np.where(arm == 1, 0.1, y)
    x = (arm[:, None] == np.arange(3)).astype(float)
    for se_type in ("HC1", "HC2", "CR1", "CR2"):
        model = regression.fit(x, y, se_type, clusters, weights)
        assert (model.vcov[1] == 0).all() and (np.diag(model.vcov)[[0, 2]] > 0).all()
        assert np.isnan(regression.contrast(model, np.eye(3))["std_error"]).tolist() == [False, True, False]


def test_hotelling_is_that_of_a_mean_of_vectors():
    """For means of G vectors the Wald test is Hotelling's T squared, whose distribution is known."""
    rng = child_rng(3, "hotelling")
    y = rng.normal(size=(12, 4))
    covariance = np.cov(y.T) / 12
    test = regression.hotelling(regression.f_test(y.mean(axis=0), covariance, 11.0))
    squared = y.mean(axis=0) @ np.linalg.solve(covariance, y.mean(axis=0))
    assert (test.df1, test.df2) == (4, 8)
    assert test.statistic == pytest.approx(squared * 8 / (11 * 4))
    assert np.isnan(regression.hotelling(regression.Wald(1.0, 12, 11.0, 0.5)).p_value)
