"""Penalised regression with separate penalties for common and person-specific preferences.

Utility of petition x for respondent i with covariate features z_i:
    eta_i(x) = d(x)' (b + T' z_i),
d(x) the centred level indicators, b the common part-worths, T the person-specific part. Ratings
are regressed within respondents (a respondent's mean drops out), choices between the two petitions
of a task follow a logit of the difference of utilities.

All fits need only each respondent's moments G_i = sum d d' and c_i = sum d y (demeaned ratings, or
weighted paired differences), because the Gram matrix of attributes x features is
    sum_i (z~_i z~_i') kron G_i,   z~_i = (1, z_i),
one matrix product over respondents. Folds subtract their share; no design matrix is ever built.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from nanotarget.encoding import CovariateEncoder, contrasts, indicators
from nanotarget.learners.base import DRAWS, AdditiveModel, TrainingData, centre_utilities
from nanotarget.seeds import child_rng
from nanotarget.utilities import additive_layout

FOLDS = 5  # inner folds of respondents for choosing penalties
# Penalties relative to the mean diagonal of the Gram block; infinity = no person-specific part.
COMMON_PENALTIES = 10.0 ** np.arange(-5.0, 0.1, 0.5)
SPECIFIC_PENALTIES = 10.0 ** np.arange(-1.0, 2.1, 0.25)
TINY = 1e-8
NEWTON_STEPS = 50
NEWTON_TOLERANCE = 1e-8


@dataclass(frozen=True)
class Moments:
    """Second moments of every respondent's contribution to the penalised least squares.

    Attributes:
        gram: (n_respondents, L, L) with L total levels.
        cross: (n_respondents, L).
        square: (n_respondents,) sum of squares of the (working) response.
    """

    gram: np.ndarray
    cross: np.ndarray
    square: np.ndarray

    def projected(self, basis: np.ndarray) -> Moments:
        """Return the moments of the same rows in another (L, r) basis."""
        return Moments(basis.T @ self.gram @ basis, self.cross @ basis, self.square)


def rating_moments(data: TrainingData) -> Moments:
    """Moments of ratings and indicators after subtracting each respondent's means."""
    encoded = indicators(data.levels, data.design)
    encoded -= data.respondent_means(encoded)[data.respondent]
    outcome = data.outcome - data.respondent_means(data.outcome)[data.respondent]
    return second_moments(encoded, outcome, np.ones(len(outcome)), data.starts)


def paired_differences(data: TrainingData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return difference of indicators, whether the first was chosen, and respondent, a row a task.

    Raises:
        ValueError: if a task does not have exactly two profiles (cleaned forced choices have).
    """
    first, second = slice(0, None, 2), slice(1, None, 2)
    same = np.array_equal(data.respondent[first], data.respondent[second])
    if len(data.outcome) % 2 or not same or not np.array_equal(data.task[first], data.task[second]):
        raise ValueError("the paired-difference logit needs exactly two profiles in every task")
    encoded = indicators(data.levels, data.design)
    return encoded[first] - encoded[second], data.outcome[first], data.respondent[first]


def choice_moments(
    difference: np.ndarray, chosen: np.ndarray, respondent: np.ndarray, eta: np.ndarray, n: int
) -> Moments:
    """Moments of the quadratic approximation of the logit log-likelihood at utilities `eta`."""
    probability = 1 / (1 + np.exp(-eta))
    weight = probability * (1 - probability)
    working = eta + (chosen - probability) / np.maximum(weight, 1e-10)
    return second_moments(difference, working, weight, np.searchsorted(respondent, np.arange(n)))


def second_moments(rows: np.ndarray, response: np.ndarray, weight: np.ndarray, starts: np.ndarray) -> Moments:
    """Sum weighted products of rows and responses of each respondent, whose rows begin at `starts`."""
    ends = np.append(starts[1:], len(rows))
    gram = np.empty((len(starts), rows.shape[1], rows.shape[1]))
    weighted = rows * weight[:, None]
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        gram[i] = weighted[start:end].T @ rows[start:end]
    cross = np.add.reduceat(weighted * response[:, None], starts)
    return Moments(gram, cross, np.add.reduceat(weight * response**2, starts))


def joint_moments(
    moments: Moments, features: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gram matrix and cross moments of level indicators x (1, features).

    Args:
        features: (n_respondents, q).
        weight: (n_respondents,) survey weights.

    Returns:
        ((1+q) L, (1+q) L) and ((1+q) L,), feature-major: the first L entries are the common part.
    """
    n, total = moments.cross.shape
    z = np.column_stack([np.ones(n), features])
    q = z.shape[1]
    products = (z[:, :, None] * z[:, None, :] * weight[:, None, None]).reshape(n, q * q)
    gram = (products.T @ moments.gram.reshape(n, total * total)).reshape(q, q, total, total)
    cross = (z * weight[:, None]).T @ moments.cross
    return gram.transpose(0, 2, 1, 3).reshape(q * total, q * total), cross.ravel()


def solve(gram: np.ndarray, cross: np.ndarray, total: int, common: float, specific: float) -> np.ndarray:
    """Solve the penalised normal equations; an infinite `specific` leaves the common part alone."""
    size = len(cross) if np.isfinite(specific) else total
    penalty = np.full(size, specific)
    penalty[:total] = common
    matrix = gram[:size, :size].copy()
    matrix[np.diag_indices(size)] += penalty
    solution = np.zeros(len(cross))
    factor = scipy.linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
    solution[:size] = scipy.linalg.cho_solve(factor, cross[:size], check_finite=False)
    return solution


def choose_penalties(
    moments: Moments, features: np.ndarray, weight: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """Choose both penalties by cross-validation over folds of respondents.

    First the penalty of the common part alone, then, given it, the penalty of the person-specific
    part, with "no person-specific part" among the candidates.

    Returns:
        (common, specific) in absolute units; specific may be infinite.
    """
    n, total = moments.cross.shape
    fold = rng.permutation(np.arange(n) % min(FOLDS, n))
    shares = []
    for f in range(fold.max() + 1):
        inside = fold == f
        part = Moments(moments.gram[inside], moments.cross[inside], moments.square[inside])
        shares.append(joint_moments(part, features[inside], weight[inside]))
    gram, cross = (np.sum([share[j] for share in shares], axis=0) for j in (0, 1))
    diagonal = np.maximum(np.diag(gram), TINY)  # nothing to learn from: penalties stay positive

    def losses(candidates: list[tuple[float, float]]) -> np.ndarray:
        loss = np.zeros(len(candidates))
        for gram_out, cross_out in shares:
            for j, (common, specific) in enumerate(candidates):
                b = solve(gram - gram_out, cross - cross_out, total, common, specific)
                loss[j] += b @ gram_out @ b - 2 * b @ cross_out
        return loss

    grid = [(float(c * diagonal[:total].mean()), np.inf) for c in COMMON_PENALTIES]
    common = grid[int(np.argmin(losses(grid)))][0]
    if features.shape[1] == 0:
        return common, np.inf
    # From strong to weak, so that a tie goes to the stronger penalty.
    grid = [(common, float(s)) for s in [np.inf, *(SPECIFIC_PENALTIES[::-1] * diagonal[total:].mean())]]
    return grid[int(np.argmin(losses(grid)))]


def fit_ridge(data: TrainingData, seed: int) -> AdditiveModel:
    """Fit common and person-specific part-worths, both penalties chosen by cross-validation.

    Args:
        data: training data; a choice needs exactly two profiles in every task.
        seed: root seed of the inner folds.
    """
    encoder = CovariateEncoder.fit(data.respondents, data.covariates)
    return _fit(data, encoder, seed)


def fit_null(data: TrainingData, seed: int) -> AdditiveModel:
    """Fit the common part alone: the null of no person-specific preferences."""
    return _fit(data, CovariateEncoder(()), seed)


def _fit(data: TrainingData, encoder: CovariateEncoder, seed: int) -> AdditiveModel:
    features, weight, basis = encoder.encode(data.respondents), data.weight, contrasts(data.design)
    rng = child_rng(seed, "ridge/inner folds")
    size = basis.shape[1]
    if data.outcome_kind == "rating":
        moments = rating_moments(data).projected(basis)
        common, specific = choose_penalties(moments, features, weight, rng)
        gram, cross = joint_moments(moments, features, weight)
        solution = solve(gram, cross, size, common, specific)
        intercept = float(np.average(data.outcome, weights=weight[data.respondent]))
        answers = weight @ np.bincount(data.respondent) - weight.sum()
        noise = (weight @ moments.square - solution @ cross) / max(answers, 1.0)
    else:
        solution, gram, common, specific = _fit_choice(data, features, weight, basis, rng)
        intercept, noise = 0.0, 1.0
    centring = centre_utilities(basis.T, data.design)
    spread = posterior_draws(gram, size, common, specific, noise, child_rng(seed, "ridge/draws"))
    return AdditiveModel(
        design=data.design,
        outcome_kind=data.outcome_kind,
        encoder=encoder,
        intercept=intercept,
        fit={"penalty_common": common, "penalty_specific": specific},
        layout=additive_layout(data.design),
        coefficients=solution.reshape(-1, size) @ centring,
        draws=(solution + spread).reshape(DRAWS, -1, size) @ centring,
    )


def posterior_draws(
    gram: np.ndarray, total: int, common: float, specific: float, noise: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw the error of the coefficients: a ridge penalty is a normal prior, taken as known.

    Args:
        gram: the normal equations without penalties.
        noise: variance of one answer.

    Returns:
        (DRAWS, len(gram)) draws with mean zero; zero where there is no person-specific part.
    """
    size = len(gram) if np.isfinite(specific) else total
    penalty = np.append(np.full(total, common), np.full(size - total, specific))
    root = np.linalg.cholesky(gram[:size, :size] + np.diag(penalty))
    draws = np.zeros((DRAWS, len(gram)))
    standard = rng.normal(size=(size, DRAWS))
    draws[:, :size] = scipy.linalg.solve_triangular(root, standard, lower=True, trans="T").T * np.sqrt(noise)
    return draws


def _fit_choice(
    data: TrainingData, features: np.ndarray, weight: np.ndarray, basis: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Penalties from the quadratic approximation at common preferences, then Newton to the optimum.

    Returns:
        Coefficients, the Hessian of the logit at them, and both penalties.
    """
    difference, chosen, respondent = paired_differences(data)
    difference = difference @ basis
    n, total = data.n_respondents, difference.shape[1]
    z = np.column_stack([np.ones(n), features])

    def newton(solution: np.ndarray, columns: int, common: float, specific: float) -> np.ndarray:
        for _ in range(NEWTON_STEPS):
            eta = np.einsum(
                "ij,ij->i", difference, (z[:, :columns] @ solution.reshape(columns, total))[respondent]
            )
            moments = choice_moments(difference, chosen, respondent, eta, n)
            joint = joint_moments(moments, features[:, : columns - 1], weight)
            new = solve(*joint, total, common, specific)
            change = np.abs(new - solution).max()
            solution = new
            if change < NEWTON_TOLERANCE:
                return solution
        raise ArithmeticError("the paired-difference logit did not converge")

    weak = 1e-3 * len(chosen) / total
    start = newton(np.zeros(total), 1, weak, np.inf)
    moments = choice_moments(difference, chosen, respondent, difference @ start, n)
    common, specific = choose_penalties(moments, features, weight, rng)
    columns = z.shape[1] if np.isfinite(specific) else 1
    solution = np.zeros(z.shape[1] * total)
    begin = np.zeros(columns * total)
    begin[:total] = start
    solution[: columns * total] = newton(begin, columns, common, specific)
    eta = np.einsum("ij,ij->i", difference, (z @ solution.reshape(-1, total))[respondent])
    gram, _ = joint_moments(choice_moments(difference, chosen, respondent, eta, n), features, weight)
    return solution, gram, common, specific
