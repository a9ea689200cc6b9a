"""Logistic regression with robust standard errors that says when there is no finite fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special

LogitSe = Literal["model", "HC0", "HC2", "CR1"]

STEPS = 100
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
    """Maximise the (weighted) likelihood of 0/1 outcomes by iteratively reweighted least squares.

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
    n, k = x.shape
    w = np.ones(n) if weights is None else weights
    coef = np.zeros(k)
    if n <= k:
        return None
    for _ in range(STEPS):
        eta = x @ coef
        probability = special.expit(eta)
        gradient = x.T @ (w * (y - probability))
        information = _information(x, w, probability)
        if np.abs(eta).max() > SEPARATED or np.linalg.cond(information) > 1 / np.finfo(float).eps:
            return None
        step = np.linalg.solve(information, gradient)
        # The likelihood is concave: a step that goes too far is halved until it goes up.
        loss = _loss(x, y, w, coef)
        while _loss(x, y, w, coef + step) > loss + 1e-12 * abs(loss) and np.abs(step).max() > TOLERANCE:
            step = step / 2
        coef = coef + step
        if np.abs(step).max() <= TOLERANCE:
            break
    else:
        return None
    probability = special.expit(x @ coef)
    bread = np.linalg.inv(_information(x, w, probability))
    vcov, df = bread, float(n - k)
    if se_type != "model":
        scores = x * (w * (y - probability))[:, None]
        if se_type == "HC2":
            spread = w * probability * (1 - probability)
            leverage = spread * np.einsum("ij,jk,ik->i", x, bread, x)
            scores /= np.sqrt(np.maximum(1 - leverage, np.finfo(float).eps))[:, None]
        if se_type == "CR1":
            scores = by_cluster(scores, clusters)
            df = float(len(scores) - 1)
            scores *= np.sqrt(len(scores) / df) if df > 0 else np.nan
        vcov = bread @ (scores.T @ scores) @ bread
    return LogitFit(coef, vcov, probability, df)


def by_cluster(scores: np.ndarray, clusters: np.ndarray | None) -> np.ndarray:
    """Sum (n, k) scores over clusters; without clusters every row is one."""
    if clusters is None:
        return scores
    codes, names = pd.factorize(clusters, sort=True)
    summed = np.zeros((len(names), scores.shape[1]))
    np.add.at(summed, codes, scores)
    return summed


def _information(x: np.ndarray, w: np.ndarray, probability: np.ndarray) -> np.ndarray:
    return (x * (w * probability * (1 - probability))[:, None]).T @ x


def _loss(x: np.ndarray, y: np.ndarray, w: np.ndarray, coef: np.ndarray) -> float:
    """Negative log-likelihood."""
    eta = x @ coef
    return float(w @ (np.logaddexp(0, eta) - y * eta))
