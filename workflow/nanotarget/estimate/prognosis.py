"""One prognostic score instead of many covariates, for arms too small to be adjusted for all of them."""

from __future__ import annotations

import numpy as np

FOLDS = 5
# Penalties a respondent, from strong to weak: a tie goes to the stronger.
PENALTIES = 10.0 ** np.arange(2.0, -4.1, -0.5)
ROUNDING = 1e-10  # a standard deviation below this share of the largest value is rounding error


def prognostic_score(
    z: np.ndarray, y: np.ndarray, w: np.ndarray, arm: np.ndarray, unit: np.ndarray
) -> np.ndarray:
    """Predict everybody's outcome from covariates by a ridge regression on the other folds.

    All arms are pooled after each arm's mean is taken from the outcome, so that the score knows nothing
    of the effects; no one's score depends on their own outcome or on one of the same unit. Within an arm,
    units are dealt to the folds in the order of their names: there is no chance in it.

    Args:
        z: (n, k) centred columns of the covariates.
        y: (n,) outcome; NaN where it is missing, which is predicted all the same.
        w: (n,) weights.
        arm: (n,) code of the arm.
        unit: (n,) what must stay in one fold: respondent or cluster.

    Returns:
        (n,) score, with weighted mean zero.
    """
    fold = _folds(arm, unit)
    score = np.zeros(len(y))
    for held_out in range(FOLDS):
        train, new = (fold != held_out) & ~np.isnan(y), fold == held_out
        present = np.unique(arm[train])
        if len(present) == 0:
            continue
        inside = (arm[train][:, None] == present).astype(np.float64) * w[train][:, None]
        means = dict(zip(present, inside.T @ y[train] / inside.sum(axis=0), strict=True))
        residual = y[train] - np.array([means[a] for a in arm[train]])
        score[new] = ridge(z[train], residual, w[train], z[new])
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


def ridge(x: np.ndarray, y: np.ndarray, weight: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Predict by ridge regression on standardised columns, the penalty by leave-one-out cross-validation.

    The constant is not penalised. Of penalties with equal errors the strongest is taken.

    Args:
        x, y, weight: (n, k), (n,) and (n,) of the training respondents.
        new: (m, k).

    Returns:
        (m,) predictions.
    """
    from sklearn.linear_model import RidgeCV

    share = weight / weight.sum()
    centre = share @ x
    scale = np.sqrt(share @ (x - centre) ** 2)
    # A column without variation in this training part predicts nothing.
    used = scale > ROUNDING * np.abs(x).max(axis=0, initial=0)
    if not used.any() or len(y) < 3:
        return np.full(len(new), share @ y)
    training, predicted = ((part[:, used] - centre[used]) / scale[used] for part in (x, new))
    model = RidgeCV(PENALTIES * len(y)).fit(training, y, sample_weight=share * len(y))
    return np.asarray(model.predict(predicted))
