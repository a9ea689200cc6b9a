"""One prognostic score instead of many covariates, for arms too small to be adjusted for all of them."""

from __future__ import annotations

import numpy as np

FOLDS = 5
# Penalties relative to the mean squared length of a column, from strong to weak: a tie goes to the stronger.
PENALTIES = 10.0 ** np.arange(3.0, -3.1, -0.5)


def prognostic_score(
    z: np.ndarray, y: np.ndarray, w: np.ndarray, arm: np.ndarray, unit: np.ndarray
) -> np.ndarray:
    """Predict everybody's outcome from covariates by a ridge regression on the other folds.

    All arms are pooled after each arm's mean is taken from the outcome, so that the score knows nothing
    of the effects; no one's score depends on their own outcome or on one of the same unit. Within an arm,
    units are dealt to the folds in the order of their names: there is no chance in it.

    Args:
        z: (n, k) centred columns of the covariates.
        y: (n,) outcome.
        w: (n,) weights.
        arm: (n,) code of the arm.
        unit: (n,) what must stay in one fold: respondent or cluster.

    Returns:
        (n,) score, with weighted mean zero.
    """
    fold = _folds(arm, unit)
    score = np.zeros(len(y))
    for held_out in range(FOLDS):
        train = fold != held_out
        present = np.unique(arm[train])
        if len(present) == 0:
            continue
        inside = (arm[train][:, None] == present).astype(np.float64) * w[train][:, None]
        means = dict(zip(present, inside.T @ y[train] / inside.sum(axis=0), strict=True))
        residual = y[train] - np.array([means[a] for a in arm[train]])
        score[~train] = z[~train] @ _ridge(z[train], residual, w[train])
    return score - np.average(score, weights=w)


def _folds(arm: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Deal the units of each arm to the folds in turn; a unit that spans arms goes with its first."""
    names, code = np.unique(unit, return_inverse=True)
    first_arm = np.full(len(names), arm.max())
    np.minimum.at(first_arm, code, arm)
    order = np.argsort(first_arm, kind="stable")
    fold = np.empty(len(names), dtype=np.intp)
    fold[order] = np.arange(len(names)) % FOLDS
    return fold[code]


def _ridge(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return (k,) coefficients; columns are scaled and the penalty minimises the leave-one-out error.

    The leave-one-out residual of a ridge regression is residual / (1 - leverage) (Allen 1974).
    """
    scale = np.sqrt(np.average(z**2, axis=0, weights=w))
    scale[scale == 0] = 1
    root = np.sqrt(w)
    u, s, vt = np.linalg.svd(z / scale * root[:, None], full_matrices=False)
    response = root * y
    projected = u.T @ response
    best, solution = np.inf, np.zeros(z.shape[1])
    for penalty in PENALTIES * w.sum():
        shrunk = s**2 / (s**2 + penalty)
        leverage = np.einsum("ij,j,ij->i", u, shrunk, u)
        error = float((((response - u @ (shrunk * projected)) / (1 - leverage)) ** 2).sum())
        if error < best * (1 - 1e-12):
            best, solution = error, vt.T @ (s / (s**2 + penalty) * projected)
    return solution / scale
