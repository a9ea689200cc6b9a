"""Least squares with robust and clustered standard errors, linear contrasts and Wald tests.

Compact linear algebra on design matrices instead of a formula interface: importing a statistics
package costs seconds in every job, and nothing from a data file may be read as a formula.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special

SeType = Literal["HC1", "HC2", "HC3", "CR0", "CR1", "CR2"]

# A column is aliased when less than this share of its length is new (the tolerance of R's lm).
ALIASED = 1e-7
# An observation with a leverage this near to 1 is fitted exactly: its variance is not estimable.
EXACT = 1e-10
# A residual below this share of the largest outcome is rounding error of an exact fit.
ROUNDING = 1e-12
# Eigenvalues of a cluster's residual maker below this count as zero (as clubSandwich does).
SINGULAR = 1e-12


@dataclass(frozen=True)
class _Clusters:
    """What the Satterthwaite degrees of freedom of CR2 need; rows sorted by cluster."""

    basis: np.ndarray  # (n, r) design in the orthonormal basis, unweighted
    adjusted: np.ndarray  # (n, r) A_g W_g basis_g
    weights: np.ndarray  # (n,)
    gram: np.ndarray  # (r, r) basis' W^2 basis
    starts: np.ndarray  # (G,) first row of each cluster


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
    _inverse_r: np.ndarray = field(repr=False)
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
    n, k = x.shape
    w = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    root = np.sqrt(w)
    q, r, kept = orthogonalise(x * root[:, None])
    rank = len(kept)
    inverse_r = np.linalg.inv(r)
    projected = q.T @ (root * y)
    coef = np.full(k, np.nan)
    coef[kept] = inverse_r @ projected
    residual = y - x[:, kept] @ coef[kept]
    residual[np.abs(residual) <= ROUNDING * np.abs(y).max(initial=0)] = 0

    satterthwaite = None
    n_clusters = None
    if se_type in ("HC1", "HC2", "HC3"):
        df = df_wald = float(n - rank)
        inner = _heteroskedastic(q, root * residual, se_type)
    else:
        if clusters is None:
            raise ValueError(f"{se_type} needs clusters")
        codes = pd.factorize(np.asarray(clusters), sort=True)[0]
        n_clusters = int(codes.max()) + 1 if n else 0
        df = df_wald = float(n_clusters - 1)
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        if se_type == "CR2":
            df = np.nan
            satterthwaite = _bell_mccaffrey(q[order] / root[order, None], w[order], starts)
            scores = satterthwaite.adjusted * residual[order, None]
        else:
            scores = (q * (root * residual)[:, None])[order]
        by_cluster = np.add.reduceat(scores, starts, axis=0) if n else scores
        inner = by_cluster.T @ by_cluster
        if se_type == "CR1" and n_clusters > 1 and n > rank:
            inner *= n_clusters / (n_clusters - 1) * (n - 1) / (n - rank)
    if df_wald <= 0 or n <= rank:
        inner = np.full((rank, rank), np.nan)
    vcov = np.full((k, k), np.nan)
    vcov[np.ix_(kept, kept)] = inverse_r @ inner @ inverse_r.T
    return Fit(coef, vcov, df, df_wald, n, n_clusters, se_type, kept, inverse_r, satterthwaite)


def _heteroskedastic(q: np.ndarray, residual: np.ndarray, se_type: SeType) -> np.ndarray:
    """Return the (r, r) middle of the HC sandwich in the orthonormal basis."""
    n, rank = q.shape
    leverage = np.einsum("ij,ij->i", q, q)
    if se_type == "HC1":
        factor = np.full(n, n / (n - rank)) if n > rank else np.full(n, np.nan)
    elif (leverage > 1 - EXACT).any():
        return np.full((rank, rank), np.nan)
    else:
        factor = (1 - leverage) ** (-1.0 if se_type == "HC2" else -2.0)
    return (q * (factor * residual**2)[:, None]).T @ q


def _bell_mccaffrey(basis: np.ndarray, w: np.ndarray, starts: np.ndarray) -> _Clusters:
    """Return the adjusted design A_g W_g X_g of every cluster, with A_g = B_g^(-1/2).

    B_g is the cluster's block of (I - H)(I - H)', H = X (X'WX)^-1 X'W. Clusters of one size are
    decomposed together.
    """
    n = len(w)
    sizes = np.diff(starts, append=n)
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
    return _Clusters(basis, adjusted, w, gram, starts)


def _satterthwaite(model: Fit, row: np.ndarray) -> float:
    """Return the Bell-McCaffrey degrees of freedom of one contrast (k,).

    (sum_g P_gg)^2 / sum_gh P_gh^2 with P_gh = s_g's_h, s_g = (I - H)_g' A_g W_g X_g (X'WX)^-1 c,
    written with sums over clusters so that no n x n matrix is ever formed.
    """
    parts = model._clusters
    assert parts is not None
    a = parts.adjusted @ (model._inverse_r.T @ row[model._kept])
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
    """Return p values adjusted by Holm (1979); missing ones stay missing and do not count."""
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


def bonferroni(p_values: np.ndarray) -> np.ndarray:
    """Return p values times the number of tests, at most 1; missing ones do not count."""
    p = np.asarray(p_values, dtype=np.float64)
    return np.minimum(p * (~np.isnan(p)).sum(), 1.0)


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """Return p values adjusted for the false discovery rate (Benjamini & Hochberg 1995).

    Missing ones stay missing and do not count.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(-p[tested], kind="stable")]
    factors = len(order) / np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.minimum.accumulate(p[order] * factors), 1.0)
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
