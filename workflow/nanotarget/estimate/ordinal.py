"""Ordinal outcomes: proportional odds of the arms, and a check of the assumption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.calibrate import regression
from nanotarget.estimate import logistic
from nanotarget.estimate.arms import ArmColumns, ArmValues, arm_columns, compared
from nanotarget.estimate.binary import varying_arms
from nanotarget.estimate.trial import Trial
from nanotarget.study.config import CovariateConfig

STEPS = 100
TOLERANCE = 1e-10
# A log odds ratio beyond this is on its way to infinity.
SEPARATED = 15.0


def ordinal(trial: Trial, outcome: str, adjust: Sequence[CovariateConfig] = ()) -> pd.DataFrame:
    """Compare the arms by the proportional-odds model (McCullagh 1980) on arms, blocks and covariates.

    The estimate is the log odds ratio of being above any threshold of the scale, `ratio` its exponential.
    Standard errors are robust (`HC0`; `CR1` by cluster times G / (G - 1) where clusters were randomised),
    t with n - parameters (clusters - 1) degrees of freedom. `parallel_*` is `parallel_odds`, repeated on
    every row: where it rejects, the estimate is an average over thresholds and `dim` and `mann_whitney`
    say more.

    Args:
        trial: gives arms and alpha.
        outcome: numbers whose order alone counts.
        adjust: covariates that enter additively.

    Returns:
        Rows of `Table.SCALES`, not yet adjusted and labelled.
    """
    columns = varying_arms(arm_columns(trial, outcome, adjust))
    kind = "HC0" if columns.clusters is None else "CR1"
    values, trouble = _arm_values(columns, kind)
    rows = compared(trial, columns, values, trouble)
    check = parallel_odds(columns)
    return rows.assign(
        outcome=outcome,
        estimator="ordinal",
        se_type=kind,
        ratio=np.exp(rows["estimate"]),
        ratio_low=np.exp(rows["conf_low"]),
        ratio_high=np.exp(rows["conf_high"]),
        parallel_chi2=check.statistic,
        parallel_df=check.df,
        parallel_p=check.p_value,
        note=[_joined(note, check.note) for note in rows["note"]],
    )


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _arm_values(columns: ArmColumns, se_type: str) -> tuple[ArmValues | None, str]:
    """Return the log odds of each usable arm against the first, or why there are none."""
    k = len(columns.usable)
    if k < 2:
        return None, "there is no other arm to compare with"
    rows = columns.rows
    x = np.hstack([columns.dummies[:, 1:], columns.controls[rows]])
    clusters = None if columns.clusters is None else columns.clusters[rows]
    model = proportional_odds(x, columns.y[rows], columns.w[rows], se_type, clusters)
    if model is None:
        return None, "arms and covariates predict the outcome perfectly"
    value, covariance = np.zeros(k), np.zeros((k, k))
    value[1:], covariance[1:, 1:] = model.coef[: k - 1], model.vcov[: k - 1, : k - 1]
    return ArmValues(value, covariance, model.df), ""


@dataclass(frozen=True)
class OrdinalFit:
    """Coefficients (k,), their covariance (k, k), thresholds (categories - 1,), degrees of freedom."""

    coef: np.ndarray
    vcov: np.ndarray
    thresholds: np.ndarray
    df: float


def proportional_odds(
    x: np.ndarray, y: np.ndarray, w: np.ndarray, se_type: str = "HC0", clusters: np.ndarray | None = None
) -> OrdinalFit | None:
    """Maximise the weighted likelihood of P(y <= c) = logistic(threshold_c - x b) by Newton's method.

    Own code, because `OrderedModel` of statsmodels knows no survey weights and takes its Hessian numerically.

    Args:
        x: (n, k) without a constant.
        y: (n,) numbers; their distinct values are the categories.
        w: (n,) weights.
        se_type: `model` (inverse information), `HC0` or `CR1`.
        clusters: (n,) for CR1.

    Returns:
        None if the columns separate the categories or there are too few rows.
    """
    values, code = np.unique(y, return_inverse=True)
    m, k, n = len(values) - 1, x.shape[1], len(y)
    if m < 1 or n <= m + k:
        return None
    share = np.cumsum(np.bincount(code, weights=w))[:-1] / w.sum()
    theta = np.concatenate([special.logit(share), np.zeros(k)])
    for _ in range(STEPS):
        scores, information = _derivatives(theta, x, code, w, m)
        if np.abs(theta[m:] * _spread(x)).max(initial=0) > SEPARATED or not _regular(information):
            return None
        step = np.linalg.solve(information, scores.sum(axis=0))
        loss = _loss(theta, x, code, w, m)
        # The likelihood is concave where thresholds are in order: halve what leaves that or goes too far.
        while not _loss(theta + step, x, code, w, m) <= loss + 1e-12 * abs(loss):
            step = step / 2
            if np.abs(step).max() <= TOLERANCE:
                break
        theta = theta + step
        if np.abs(step).max() <= TOLERANCE:
            break
    else:
        return None
    scores, information = _derivatives(theta, x, code, w, m)
    vcov, df = np.linalg.inv(information), float(n - m - k)
    if se_type != "model":
        vcov, df = logistic.sandwich(scores, vcov, clusters if se_type == "CR1" else None)
    return OrdinalFit(theta[m:], vcov[m:, m:], theta[:m], df)


def _spread(x: np.ndarray) -> np.ndarray:
    return x.std(axis=0) if len(x) else np.zeros(x.shape[1])


def _regular(information: np.ndarray) -> bool:
    return bool(np.isfinite(information).all() and np.linalg.cond(information) < 1e14)


def _bounds(
    theta: np.ndarray, x: np.ndarray, code: np.ndarray, m: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return linear predictors of each row's upper and lower threshold, and its probability."""
    cuts = np.concatenate([[-np.inf], theta[:m], [np.inf]])
    eta = x @ theta[m:]
    upper, lower = cuts[code + 1] - eta, cuts[code] - eta
    # In the upper half the difference is taken of the complements, which keep their digits there.
    flip = lower > 0
    probability = np.where(
        flip, special.expit(-lower) - special.expit(-upper), special.expit(upper) - special.expit(lower)
    )
    return upper, lower, probability


def _loss(theta: np.ndarray, x: np.ndarray, code: np.ndarray, w: np.ndarray, m: int) -> float:
    """Negative log-likelihood; infinite if thresholds are out of order."""
    probability = _bounds(theta, x, code, m)[2]
    return float(-(w @ np.log(probability))) if (probability > 0).all() else np.inf


def _derivatives(
    theta: np.ndarray, x: np.ndarray, code: np.ndarray, w: np.ndarray, m: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, m + k) scores and the (m + k, m + k) observed information.

    With p = F(u) - F(l) of a row and F' = f, f' = f (1 - 2 F): d log p / du = f(u) / p,
    d log p / dl = -f(l) / p, and the second derivatives follow by the quotient rule.
    """
    n = len(x)
    upper, lower, probability = _bounds(theta, x, code, m)
    at_upper, at_lower = (special.expit(b) * special.expit(-b) for b in (upper, lower))
    du, dl = at_upper / probability, -at_lower / probability
    duu = du * (special.expit(-upper) - special.expit(upper)) - du**2
    dll = dl * (special.expit(-lower) - special.expit(lower)) - dl**2
    dul = -du * dl
    to_upper, to_lower = np.zeros((2, n, m + len(theta[m:])))
    for side, cut in ((to_upper, code), (to_lower, code - 1)):
        inside = (cut >= 0) & (cut < m)
        side[np.flatnonzero(inside), cut[inside]] = 1
        side[:, m:] = -x
    scores = (to_upper * du[:, None] + to_lower * dl[:, None]) * w[:, None]
    cross = (to_upper * (w * dul)[:, None]).T @ to_lower
    information = -(
        (to_upper * (w * duu)[:, None]).T @ to_upper
        + (to_lower * (w * dll)[:, None]).T @ to_lower
        + cross
        + cross.T
    )
    return scores, information


@dataclass(frozen=True)
class ParallelOdds:
    """A chi-squared test, NaN where it cannot be done, and what was left out of it."""

    statistic: float
    df: int
    p_value: float
    note: str = ""


def parallel_odds(columns: ArmColumns) -> ParallelOdds:
    """Test that the log odds ratios of the arms are the same at every threshold (Brant 1990).

    One logistic regression a threshold; the covariance of their coefficients comes from the products of their
    scores, summed by cluster where clusters were randomised. Without covariates and weights that is exactly
    Brant's, whose model-based products p_l (1 - p_j) are then their means. Thresholds that some arm is
    entirely above or below are left out.

    Args:
        columns: of the arms; those of `without` constant outcomes.
    """
    rows = columns.rows
    y, w, dummies = columns.y[rows], columns.w[rows], columns.dummies
    x = np.hstack([dummies, columns.controls[rows]])
    k = dummies.shape[1]
    thresholds = np.unique(y)[:-1]
    coefs, influences = [], []
    for threshold in thresholds:
        above = (y > threshold).astype(np.float64)
        share = dummies.T @ above / dummies.sum(axis=0)
        model = (
            logistic.fit(x, above, "model", weights=w) if k and ((share > 0) & (share < 1)).all() else None
        )
        if model is not None:
            coefs.append(model.coef[:k])
            influences.append((x * (w * (above - model.probability))[:, None]) @ model.vcov[:, :k])
    left_out = len(thresholds) - len(coefs)
    note = f"{left_out} of {len(thresholds)} thresholds are not in the check of parallel odds"
    if k < 2 or len(coefs) < 2:
        return ParallelOdds(np.nan, 0, np.nan, "the check of parallel odds needs two thresholds")
    clusters = None if columns.clusters is None else columns.clusters[rows]
    summed = logistic.by_cluster(np.hstack(influences), clusters)
    between = np.hstack([-np.ones((k - 1, 1)), np.eye(k - 1)])
    across = np.hstack([-np.ones((len(coefs) - 1, 1)), np.eye(len(coefs) - 1)])
    contrast = np.kron(across, between)
    test = regression.f_test(
        contrast @ np.concatenate(coefs), contrast @ (summed.T @ summed) @ contrast.T, np.inf
    )
    chi2 = test.statistic * test.df1
    p_value = float(special.chdtrc(test.df1, chi2))
    return ParallelOdds(chi2, test.df1, p_value, note if left_out else "")
