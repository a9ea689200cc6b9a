"""Least squares with robust and clustered standard errors, linear contrasts and Wald tests.

Coefficients, heteroskedasticity-consistent and clustered covariances and adjusted p values come from
statsmodels, on design matrices: nothing from a data file may be read as a formula. It is imported where it is
used, because that costs a second, which jobs without a regression need not pay. Own code is

- which columns are combinations of earlier ones: statsmodels spreads an effect over collinear columns;
- CR2 and its degrees of freedom: statsmodels has neither;
- NaN for what cannot be estimated, where statsmodels gives rounding error or infinity;
- t tests of many estimates, each with degrees of freedom of its own, and F tests that refuse a singular
  covariance: statsmodels has one number of degrees of freedom a model, and a generalised inverse.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy import special

if TYPE_CHECKING:
    from statsmodels.regression.linear_model import RegressionResults

SeType = Literal["HC1", "HC2", "HC3", "CR0", "CR1", "CR2"]
CLUSTERED = ("CR0", "CR1", "CR2")

# A column is aliased when less than this share of its length is new (the tolerance of R's lm).
ALIASED = 1e-7
# An observation with a leverage this near to 1 is fitted exactly: its variance is not estimable.
EXACT = 1e-10
# Residuals below this share of the largest outcome are rounding error of an exact fit.
ROUNDING = 1e-12
# Eigenvalues of a cluster's residual maker below this count as zero (as clubSandwich does).
SINGULAR = 1e-12


@dataclass(frozen=True)
class _Clusters:
    """What CR2 and its Satterthwaite degrees of freedom need; rows sorted by cluster."""

    order: np.ndarray  # (n,) rows, sorted by cluster
    starts: np.ndarray  # (G,) first row of each cluster
    weights: np.ndarray  # (n,)
    basis: np.ndarray  # (n, r) design in the orthonormal basis, unweighted
    inverse_r: np.ndarray  # (r, r) turns coefficients of the basis into those of the design
    gram: np.ndarray  # (r, r) basis' W^2 basis
    adjusted: np.ndarray  # (n, r) A_g W_g basis_g

    def covariance(self, residual: np.ndarray) -> np.ndarray:
        """Return the (r, r) covariance of the coefficients from (n,) residuals in the order of the data."""
        scores = np.add.reduceat(self.adjusted * residual[self.order, None], self.starts, axis=0)
        return self.inverse_r @ (scores.T @ scores) @ self.inverse_r.T


@dataclass(frozen=True)
class Fit:
    """A fitted linear model.

    Attributes:
        coef: (k,) coefficients; NaN where the column is a combination of earlier columns.
        vcov: (k, k) covariance; NaN in rows and columns of aliased coefficients, and everywhere
            if it cannot be estimated.
        df: degrees of freedom of t tests: n - rank for HC, clusters - 1 for CR0 and CR1; NaN for
            CR2, whose degrees of freedom belong to a contrast.
        df_wald: denominator degrees of freedom of F tests (for CR2: clusters - 1).
        n: rows used.
        n_clusters: clusters, None for HC types.
        se_type: type of the standard errors.
    """

    coef: np.ndarray
    vcov: np.ndarray
    df: float
    df_wald: float
    n: int
    n_clusters: int | None
    se_type: SeType
    _kept: np.ndarray = field(repr=False)
    _clusters: _Clusters | None = field(repr=False, default=None)


def orthogonalise(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Q, R and the indices of the columns that are not combinations of earlier ones.

    Gram-Schmidt with reorthogonalisation, from left to right and without pivoting, so that it is
    always the later of two collinear columns that is aliased, as in R.

    Args:
        x: (n, k).

    Returns:
        Q (n, r) orthonormal, R (r, r) upper triangular with ``x[:, kept] = Q @ R``, kept (r,).
    """
    n, k = x.shape
    q = np.empty((n, min(n, k)), order="F")
    r = np.zeros((k, k))
    kept: list[int] = []
    for j in range(k):
        rank = len(kept)
        if rank == n:
            break
        v = x[:, j].astype(np.float64)
        length = np.linalg.norm(v)
        for _ in range(2):
            projection = q[:, :rank].T @ v
            v = v - q[:, :rank] @ projection
            r[:rank, rank] += projection
        left = np.linalg.norm(v)
        if left <= ALIASED * length:
            r[:, rank] = 0
            continue
        q[:, rank] = v / left
        r[rank, rank] = left
        kept.append(j)
    rank = len(kept)
    return q[:, :rank], r[:rank, :rank], np.array(kept, dtype=np.intp)


def fit(
    x: np.ndarray,
    y: np.ndarray,
    se_type: SeType,
    clusters: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> Fit:
    """Fit y on the columns of x by (weighted) least squares.

    Standard errors: HC1-HC3 (MacKinnon & White 1985); CR0; CR1 = CR0 times
    G/(G-1) * (N-1)/(N-rank) as Stata has it; CR2 = the bias-reduced linearisation of Bell &
    McCaffrey (2002) with an identity working covariance (Pustejovsky & Tipton 2018), which is
    what estimatr and clubSandwich compute for survey weights, too.

    Args:
        x: (n, k) design matrix, with its constant if it shall have one; no missing values.
        y: (n,) outcome, no missing values.
        se_type: type of the standard errors.
        clusters: (n,) cluster of each row; needed for CR types and ignored by HC types.
        weights: (n,) positive survey weights.

    Raises:
        ValueError: if clusters are needed and absent.
    """
    from statsmodels.regression.linear_model import WLS

    n, k = x.shape
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    q, r, kept = orthogonalise(x * np.sqrt(w)[:, None])
    rank, codes, n_clusters, parts = len(kept), np.arange(n), None, None
    df = df_wald = float(n - rank)
    if se_type in CLUSTERED:
        if clusters is None:
            raise ValueError(f"{se_type} needs clusters")
        codes, names = pd.factorize(np.asarray(clusters), sort=True)
        n_clusters = len(names)
        df = df_wald = float(n_clusters - 1)
    if se_type == "CR2":
        parts, df = _bell_mccaffrey(q, r, w, codes), np.nan
    del q  # as large as the design, of which statsmodels makes copies
    coef, vcov = np.full(k, np.nan), np.full((k, k), np.nan)
    if rank:
        results = WLS(y, x if rank == k else x[:, kept], weights=w).fit()
        coef[kept] = results.params
        if df_wald > 0 and n > rank:
            covariance = parts.covariance(results.resid) if parts else _sandwich(results, se_type, codes)
            vcov[np.ix_(kept, kept)] = _without_rounding_error(covariance, results)
    return Fit(coef, vcov, df, df_wald, n, n_clusters, se_type, kept, parts)


def _sandwich(results: RegressionResults, se_type: SeType, codes: np.ndarray) -> np.ndarray:
    """Return the (r, r) covariance of the coefficients; HC2 and HC3 are NaN if a row is fitted exactly."""
    if se_type in CLUSTERED:
        robust = results.get_robustcov_results("cluster", groups=codes, use_correction=se_type == "CR1")
        return robust.cov_params()
    leverage = np.einsum("ij,ji->i", results.model.wexog, results.model.pinv_wexog)
    if se_type != "HC1" and (leverage > 1 - EXACT).any():
        return np.full_like(results.normalized_cov_params, np.nan)
    return results.get_robustcov_results(se_type).cov_params()


def _without_rounding_error(covariance: np.ndarray, results: RegressionResults) -> np.ndarray:
    """Return the covariance, zero where the variance is no larger than rounding error makes it."""
    model = results.model
    least = (ROUNDING * np.abs(model.endog).max()) ** 2 * model.weights.mean()
    exact = np.diag(covariance) <= least * np.diag(results.normalized_cov_params)
    return np.where(exact[:, None] | exact, 0.0, covariance)


def _bell_mccaffrey(q: np.ndarray, r: np.ndarray, w: np.ndarray, codes: np.ndarray) -> _Clusters:
    """Return the adjusted design A_g W_g X_g of every cluster, with A_g = B_g^(-1/2).

    B_g is the cluster's block of (I - H)(I - H)', H = X (X'WX)^-1 X'W. Clusters of one size are
    decomposed together.

    Args:
        q, r: of the weighted design, from `orthogonalise`.
        w: (n,) weights.
        codes: (n,) cluster of each row.
    """
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    w = w[order]
    basis = q[order] / np.sqrt(w)[:, None]
    sizes = np.diff(starts, append=len(w))
    weighted = basis * w[:, None]
    gram = weighted.T @ weighted
    adjusted = np.empty_like(basis)
    for size in np.unique(sizes):
        rows = starts[sizes == size][:, None] + np.arange(size)
        x, wx = basis[rows], weighted[rows]
        cross = x @ wx.transpose(0, 2, 1)
        block = np.eye(size) - cross - cross.transpose(0, 2, 1) + x @ gram @ x.transpose(0, 2, 1)
        values, vectors = np.linalg.eigh(block)
        regular = values > SINGULAR
        scale = np.where(regular, np.where(regular, values, 1.0) ** -0.5, 0.0)
        half = (vectors * scale[:, None, :]) @ vectors.transpose(0, 2, 1)
        adjusted[rows] = half @ wx
    return _Clusters(order, starts, w, basis, np.linalg.inv(r), gram, adjusted)


def _satterthwaite(model: Fit, row: np.ndarray) -> float:
    """Return the Bell-McCaffrey degrees of freedom of one contrast (k,).

    (sum_g P_gg)^2 / sum_gh P_gh^2 with P_gh = s_g's_h, s_g = (I - H)_g' A_g W_g X_g (X'WX)^-1 c,
    written with sums over clusters so that no n x n matrix is ever formed.
    """
    parts = model._clusters
    assert parts is not None
    a = parts.adjusted @ (parts.inverse_r.T @ row[model._kept])
    d = np.add.reduceat(a**2, parts.starts)
    u = np.add.reduceat(parts.basis * a[:, None], parts.starts, axis=0)
    v = np.add.reduceat(parts.basis * (a * parts.weights)[:, None], parts.starts, axis=0)
    f = np.hstack([u, v])
    rank = u.shape[1]
    core = np.zeros((2 * rank, 2 * rank))
    core[:rank, :rank] = parts.gram
    core[:rank, rank:] = core[rank:, :rank] = -np.eye(rank)
    fcf = np.einsum("gi,ij,gj->g", f, core, f, optimize=True)
    inner = core @ (f.T @ f)
    squares = (d**2).sum() + 2 * (d * fcf).sum() + np.einsum("ij,ji->", inner, inner)
    return float((d + fcf).sum() ** 2 / squares) if squares > 0 else np.nan


def contrast(model: Fit, rows: np.ndarray, alpha: float = 0.05, null: float = 0.0) -> pd.DataFrame:
    """Estimate linear contrasts of the coefficients.

    Args:
        model: from `fit`.
        rows: (m, k) weights on the coefficients, or (k,) for one contrast.
        alpha: intervals have level 1 - alpha.
        null: value that is tested.

    Returns:
        (m rows) estimate, std_error, statistic, p_value (two-sided t), conf_low, conf_high, df.
        A contrast that touches an aliased coefficient is NaN throughout.
    """
    rows = np.atleast_2d(np.asarray(rows, dtype=np.float64))
    aliased = np.ones(rows.shape[1], dtype=bool)
    aliased[model._kept] = False
    lost = (rows[:, aliased] != 0).any(axis=1)
    estimate = rows[:, ~aliased] @ model.coef[~aliased]
    variance = np.einsum(
        "ij,jk,ik->i", rows[:, ~aliased], model.vcov[np.ix_(~aliased, ~aliased)], rows[:, ~aliased]
    )
    estimate[lost] = variance[lost] = np.nan
    error = np.sqrt(np.where(variance > 0, variance, np.nan))
    if model._clusters is None:
        df = np.full(len(rows), model.df)
    else:
        df = np.array(
            [_satterthwaite(model, row) if not skip else np.nan for row, skip in zip(rows, lost, strict=True)]
        )
    df[np.isnan(error)] = np.nan
    return tidy(estimate, error, df, alpha, null)


def tidy(
    estimate: np.ndarray, error: np.ndarray, df: np.ndarray, alpha: float, null: float = 0.0
) -> pd.DataFrame:
    """Return t tests against a null value and intervals of level 1 - alpha as a table."""
    statistic = (estimate - null) / error
    margin = special.stdtrit(df, 1 - alpha / 2) * error
    return pd.DataFrame(
        {
            "estimate": estimate,
            "std_error": error,
            "statistic": statistic,
            "p_value": 2 * special.stdtr(df, -np.abs(statistic)),
            "conf_low": estimate - margin,
            "conf_high": estimate + margin,
            "df": df,
        }
    )


@dataclass(frozen=True)
class Wald:
    """A joint test; NaN where it cannot be computed."""

    statistic: float
    df1: int
    df2: float
    p_value: float


def wald(model: Fit, rows: np.ndarray) -> Wald:
    """Test that all contrasts are zero (F test with the model's robust covariance).

    Contrasts that touch an aliased coefficient are left out and do not count in df1. If what is
    left cannot be tested (fewer clusters than contrasts, no variance) the statistic is NaN.

    Args:
        model: from `fit`.
        rows: (m, k) linearly independent contrasts.
    """
    rows = np.atleast_2d(np.asarray(rows, dtype=np.float64))
    aliased = np.ones(rows.shape[1], dtype=bool)
    aliased[model._kept] = False
    rows = rows[~(rows[:, aliased] != 0).any(axis=1)][:, ~aliased]
    covariance = rows @ model.vcov[np.ix_(~aliased, ~aliased)] @ rows.T
    return f_test(rows @ model.coef[~aliased], covariance, model.df_wald)


def f_test(estimate: np.ndarray, covariance: np.ndarray, df2: float) -> Wald:
    """Test that all of q estimates are zero.

    Args:
        estimate: (q,).
        covariance: (q, q); if it is singular or not known the test cannot be done.
        df2: denominator degrees of freedom.
    """
    df1 = len(estimate)
    nothing = Wald(np.nan, df1, df2, np.nan)
    if df1 == 0 or not df2 > 0 or not np.isfinite(covariance).all():
        return nothing
    # Scaled to unit diagonal, so that the check of the rank does not depend on units.
    scale = np.sqrt(np.diag(covariance))
    if (scale == 0).any():
        return nothing
    correlation = covariance / np.outer(scale, scale)
    if np.linalg.eigvalsh(correlation)[0] <= 1e-10:
        return nothing
    standardised = estimate / scale
    statistic = float(standardised @ np.linalg.solve(correlation, standardised) / df1)
    return Wald(statistic, df1, df2, float(special.fdtrc(df1, df2, statistic)))


def hotelling(test: Wald) -> Wald:
    """Correct a Wald test for the covariance having been estimated from few clusters.

    With d = df2 (clusters - 1) and q = df1 the statistic times (d - q + 1) / d is referred to
    F(q, d - q + 1), as Hotelling's T squared is (Korn & Graubard 1990). Uncorrected, a test of 26
    contrasts with 60 clusters rejects a true hypothesis every other time.
    """
    df2 = test.df2 - test.df1 + 1
    if not df2 > 0:
        return Wald(np.nan, test.df1, np.nan, np.nan)
    statistic = test.statistic * df2 / test.df2
    return Wald(statistic, test.df1, df2, float(special.fdtrc(test.df1, df2, statistic)))


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return p values adjusted by Holm (1979); missing ones stay missing and do not count.

    Own lines, because `multipletests` collects all garbage of the process whenever it is asked for Holm: 0.1
    seconds, dozens of times in a job.
    """
    adjusted = np.array(p_values, dtype=np.float64)
    order = np.argsort(adjusted, kind="stable")[: np.count_nonzero(~np.isnan(adjusted))]
    steps = adjusted[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def bonferroni(p_values: np.ndarray) -> np.ndarray:
    """Return p values times the number of tests, at most 1; missing ones stay missing and do not count."""
    return _adjusted(p_values, "bonferroni")


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """Return p values adjusted for the false discovery rate (Benjamini & Hochberg 1995), as `bonferroni`."""
    return _adjusted(p_values, "fdr_bh")


def _adjusted(p_values: np.ndarray, method: str) -> np.ndarray:
    from statsmodels.stats.multitest import multipletests

    adjusted = np.array(p_values, dtype=np.float64)
    tested = ~np.isnan(adjusted)
    if tested.any():
        adjusted[tested] = multipletests(adjusted[tested], method=method)[1]
    return adjusted


def welch_df(variances: np.ndarray, dfs: np.ndarray) -> float:
    """Return the degrees of freedom of a sum of independent variance estimates.

    Welch (1947), Satterthwaite (1946): (sum v)^2 / sum(v^2 / df); NaN if all variances are zero.

    Args:
        variances: (m,) estimates.
        dfs: (m,) degrees of freedom of each.
    """
    v = np.asarray(variances, dtype=np.float64)
    squares = float((v**2 / np.asarray(dfs, dtype=np.float64)).sum())
    return float(v.sum() ** 2 / squares) if squares > 0 else np.nan
