"""Logistic regression with robust standard errors that says when there is no finite fit.

The fit is a `GLM` of statsmodels, whose `Logit` knows no survey weights; HC2, which neither has, is added.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

LogitSe = Literal["model", "HC0", "HC2", "CR1"]

MAX_STEPS = 100
TOLERANCE = 1e-10
# A linear predictor beyond this (a probability within 1e-11 of 0 or 1) is on its way to infinity.
SEPARATED = 25.0


@dataclass(frozen=True)
class LogitFit:
    """Coefficients (k,), covariance (k, k), fitted probabilities (n,), degrees of freedom of t tests."""

    coef: np.ndarray
    vcov: np.ndarray
    probability: np.ndarray
    df: float


def fit(
    x: np.ndarray,
    y: np.ndarray,
    se_type: LogitSe = "HC2",
    clusters: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> LogitFit | None:
    """Maximise the (weighted) likelihood of 0/1 outcomes.

    Standard errors: `model` (inverse information), `HC0` (White 1982), `HC2`, whose squared scores are
    divided by 1 - leverage of the weighted regression at the optimum, so that a model of arms alone has the
    HC2 standard errors of least squares; `CR1` sums scores by cluster, times G / (G - 1).

    Args:
        x: (n, k) of full column rank, with its constant.
        y: (n,) zeros and ones.
        se_type: type of the standard errors.
        clusters: (n,) for CR1.
        weights: (n,) positive survey weights.

    Returns:
        None if the columns separate zeros from ones, so that no finite coefficients fit best
        (Albert & Anderson 1984), or there are no more rows than columns.
    """
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    n, k = x.shape
    if n <= k:
        return None
    model = GLM(y, x, family=Binomial(), var_weights=weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of separation, which is looked for below
        results = model.fit(maxiter=MAX_STEPS, tol=TOLERANCE, tol_criterion="params")
        information = -model.hessian(results.params)
    separated = np.abs(x @ results.params).max() > SEPARATED
    if separated or not results.converged or np.linalg.cond(information) > 1 / np.finfo(float).eps:
        return None
    bread = np.linalg.inv(information)
    if se_type == "model":
        return LogitFit(results.params, bread, results.fittedvalues, float(n - k))
    scores = model.score_obs(results.params)
    if se_type == "HC2":
        leverage = results.get_hat_matrix_diag()
        scores /= np.sqrt(np.maximum(1 - leverage, np.finfo(float).eps))[:, None]
    vcov, df = sandwich(scores, bread, clusters if se_type == "CR1" else None)
    return LogitFit(results.params, vcov, results.fittedvalues, df)


def sandwich(scores: np.ndarray, bread: np.ndarray, clusters: np.ndarray | None) -> tuple[np.ndarray, float]:
    """Return the robust covariance of k coefficients and the degrees of freedom of their t tests.

    Args:
        scores: (n, k) of each respondent.
        bread: (k, k) inverse information.
        clusters: (n,) whose scores are summed, times G / (G - 1); None where respondents are independent.
    """
    summed = by_cluster(scores, clusters)
    groups = len(summed)
    vcov = bread @ (summed.T @ summed) @ bread
    if clusters is None:
        return vcov, float(groups - len(bread))
    return vcov * (groups / (groups - 1) if groups > 1 else np.nan), float(groups - 1)


def by_cluster(scores: np.ndarray, clusters: np.ndarray | None) -> np.ndarray:
    """Sum (n, k) scores over clusters; without clusters every row is one."""
    if clusters is None:
        return scores
    codes, names = pd.factorize(clusters, sort=True)
    summed = np.zeros((len(names), scores.shape[1]))
    np.add.at(summed, codes, scores)
    return summed
