"""Estimates of many groups borrow strength from each other: the normal-normal model.

y_i ~ N(theta_i, V_i), theta_i ~ N(mu, tau^2) with V_i known (Morris 1983, "Parametric empirical Bayes
inference", section 1). Given tau, theta_i has mean (1 - B_i) y_i + B_i mu, B_i = V_i / (V_i + tau^2). Few
groups say little about tau: errors that take one value of it for known would be too small. So means and
errors are averaged over the restricted likelihood of tau, which is its posterior under flat priors of mu and
tau (Gelman et al. 2013, Bayesian Data Analysis, eqs. 5.20-5.21; Gelman 2006 for the prior). With three groups
or more it has a finite integral.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

MIN_GROUPS = 3
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(400)
NODES, WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2  # of tau / (tau + scale), in (0, 1)


@dataclass(frozen=True)
class Shrunken:
    """Shrunken estimates; NaN where there are fewer than `MIN_GROUPS` groups.

    Attributes:
        mean, error: (k,) of each group, with what is not known of mu and tau.
        tau: standard deviation between groups, restricted maximum likelihood.
        tau_low, tau_high: its interval by inversion of Cochran's Q (Viechtbauer 2007).
    """

    mean: np.ndarray
    error: np.ndarray
    tau: float
    tau_low: float
    tau_high: float


def shrink(estimate: np.ndarray, error: np.ndarray, alpha: float = 0.05) -> Shrunken:
    """Shrink the estimates of groups towards their mean.

    Args:
        estimate, error: (k,) of groups of different people; groups with a NaN get none and give none.
        alpha: the interval of tau has level 1 - alpha.
    """
    known = np.isfinite(estimate) & (error > 0)
    mean, spread = np.full(len(estimate), np.nan), np.full(len(estimate), np.nan)
    if known.sum() < MIN_GROUPS:
        return Shrunken(mean, spread, np.nan, np.nan, np.nan)
    y, v = estimate[known], error[known] ** 2
    scale = float(np.sqrt(v.mean() + y.var()))
    tau = scale * NODES / (1 - NODES)
    density = restricted(tau, y, v) - 2 * np.log1p(-NODES)
    share = WEIGHTS * np.exp(density - density.max())
    share /= share.sum()
    total = v + tau[:, None] ** 2
    pull = v / total
    centre = (y / total).sum(axis=1) / (1 / total).sum(axis=1)
    given = (1 - pull) * y + pull * centre[:, None]
    variance = (1 - pull) * v + pull**2 / (1 / total).sum(axis=1)[:, None]
    mean[known] = share @ given
    spread[known] = np.sqrt(share @ (variance + (given - mean[known]) ** 2))
    low, high = (_q_profile(y, v, level, scale) for level in (1 - alpha / 2, alpha / 2))
    return Shrunken(mean, spread, _reml(y, v, tau), low, high)


def restricted(tau: np.ndarray, y: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the (m,) restricted log-likelihood of (m,) values of tau, up to a constant."""
    inverse = 1 / (v + tau[:, None] ** 2)
    mass = inverse.sum(axis=1)
    centre = (inverse @ y) / mass
    squares = (inverse * (y - centre[:, None]) ** 2).sum(axis=1)
    return 0.5 * (np.log(inverse).sum(axis=1) - np.log(mass) - squares)


def _reml(y: np.ndarray, v: np.ndarray, grid: np.ndarray) -> float:
    grid = np.append(0.0, grid)
    best = int(np.argmax(restricted(grid, y, v)))
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    peak = optimize.minimize_scalar(
        lambda tau: -restricted(np.array([tau]), y, v)[0],
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-10 * bounds[1]},
    )
    at_zero, inside = restricted(np.array([0.0, peak.x]), y, v)
    # What the search leaves of a maximum at zero is rounding error.
    return float(peak.x) if inside > at_zero + 1e-12 else 0.0


def _q_profile(y: np.ndarray, v: np.ndarray, level: float, scale: float) -> float:
    """Return tau where Cochran's Q is the `level` quantile of chi-squared (k - 1); 0 if Q is below it."""
    quantile = float(special.chdtri(len(y) - 1, 1 - level))

    def excess(tau: float) -> float:
        inverse = 1 / (v + tau**2)
        centre = (inverse @ y) / inverse.sum()
        return float(inverse @ (y - centre) ** 2) - quantile

    if excess(0.0) <= 0:
        return 0.0
    upper = scale
    while excess(upper) > 0:
        upper *= 2
    return float(optimize.brentq(excess, 0.0, upper))
