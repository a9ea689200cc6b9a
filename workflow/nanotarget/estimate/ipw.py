"""Effects with answers weighted by how likely they were to be given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.estimate.arms import ArmMeans, arm_means, contrasts, covariate_columns
from nanotarget.estimate.influence import covariance, deviations_from
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Strata, Trial

# The coefficient of a standardised covariate has a normal prior with standard deviation 2.5 (the scale of
# Gelman et al. 2008): next to no information in an arm of hundreds, and enough that no logit ever separates.
PENALTY = 1 / 2.5**2
# Nobody counts for more than 20 people.
MIN_PROBABILITY = 0.05
TOLERANCE = 1e-12  # of the gradient of the mean log-likelihood


@dataclass(frozen=True)
class _Mean:
    """Weighted mean of an arm, its variance, and what is to be known about the weights."""

    mean: float
    variance: float
    largest: float
    n_cut: int
    n_effective: float


def ipw_effects(trial: Trial) -> pd.DataFrame:
    """Estimate effects with every answer weighted by 1 / P(observed | arm, covariates).

    The mean of an arm is the sum of w y / p over those observed divided by the sum of w / p (Hajek
    1971), w the survey weight and p from a logit in that arm with a weak ridge penalty. It is the
    mean of everybody randomised if, within an arm, who is missing depends on the covariates only
    and p is well described by the logit. Probabilities below `MIN_PROBABILITY` are set to it (Cole & Hernan
    2008), which bounds the weights at the price of a bias; `n_cut` says for how many respondents. With blocks
    the logit knows them, and the mean is that of every block, averaged by how many were randomised there.

    Standard errors account for the estimated probabilities by stacking the equations of the logit and of
    the mean (Lunceford & Davidian 2004, section 3; Wooldridge 2007, theorem 3.1), with the correction of
    HC2 for the mean's own residuals, summed within clusters. Where everybody in an arm is observed the mean
    and its variance are those of `arm_means`.

    Args:
        trial: its covariates of adjustment are what may explain who is missing; missing values enter as in
            `covariate_columns`. The estimator is called `ipw`.

    Returns:
        The columns of `Table.IPW`; `naive` is `dim`, the difference in means of those observed,
        `largest_weight` the largest 1 / p and `n_effective` the number of equally weighted answers worth the
        same (Kish 1965), of both arms. What cannot be estimated is NaN, and `note` says why.
    """
    trial = trial.among(trial.table["arm"].notna())
    arms = trial.arms
    parts = []
    for outcome in trial.outcome_names:
        observed, known = trial.observed(outcome), trial.table[outcome].notna().to_numpy()
        # Blocks must have two answers of every arm; what they count is by everybody randomised there.
        strata = trial.scheme.strata(trial.weight, [trial.members(name) & known for name in arms])
        weighted = _means(trial, outcome, strata)
        naive = arm_means(trial, outcome)
        unit, blocks = observed.scheme.cluster, len(strata.size)
        sizes = {name: len(np.unique(unit[observed.members(name)])) for name in arms}
        single = {name: f"'{name}' is a single cluster" for name in arms if np.isnan(weighted[name].variance)}
        means = ArmMeans(
            {name: weighted[name].mean for name in arms},
            {name: weighted[name].variance for name in arms},
            float(len(np.unique(unit)) - blocks * (len(weighted) - len(single))),
            naive.n,
            single | naive.notes,
            remarks=strata.remarks,
            size=sizes,
            arm_df={name: float(size - blocks) for name, size in sizes.items()},
        )
        rows = contrasts(trial, means).assign(naive=contrasts(trial, naive)["estimate"])
        parts.append(rows.join(_weights(weighted, trial)).assign(outcome=outcome, estimator="ipw"))
    return trial.published(parts, Table.IPW)


def _standardised(trial: Trial, strata: Strata) -> np.ndarray:
    """Return a constant and the columns of covariates and blocks, divided by their standard deviations."""
    columns = np.hstack([covariate_columns(trial, trial.adjust)[0], strata.columns])
    spread = columns.std(axis=0) if len(columns) else np.ones(columns.shape[1])
    return np.column_stack([np.ones(len(columns)), columns / np.where(spread > 0, spread, 1.0)])


def _means(trial: Trial, outcome: str, strata: Strata) -> dict[str, _Mean]:
    """Return the weighted mean of every arm; NaN with fewer than two observed respondents."""
    x, y, unit = _standardised(trial, strata), trial.y(outcome), trial.scheme.cluster
    means = {}
    for name in trial.arms:
        own = trial.members(name)
        few = np.isfinite(y[own]).sum() < 2
        means[name] = _Mean(np.nan, np.nan, np.nan, 0, np.nan)
        if not few:
            people = _People(y[own], trial.weight[own], x[own], unit[own], strata.code[own])
            means[name] = _mean(people, strata.size)
    return means


@dataclass(frozen=True)
class _People:
    """(n,) outcomes, survey weights, units and blocks of those in an arm, and (n, k) columns of the logit."""

    y: np.ndarray
    weight: np.ndarray
    x: np.ndarray
    unit: np.ndarray
    block: np.ndarray


def _mean(people: _People, size: np.ndarray) -> _Mean:
    """Return the mean of an arm.

    The influence of a respondent on the mean m is that on a weighted mean plus that on the logit's
    coefficients g times dm/dg, where d(1/p)/dg = -x (1 - p) / p; a probability that was cut has no slope.
    """
    y, x, block = people.y, people.x, people.block
    observed = ~np.isnan(y)
    weight = people.weight / people.weight.mean()
    probability, correction = np.ones(len(y)), np.zeros_like(x)
    if not observed.all():
        coefficients, hessian = penalised_logit(x, observed.astype(np.float64), weight, PENALTY)
        probability = special.expit(x @ coefficients)
        scores = x * (weight * (observed - probability))[:, None]
        correction = np.linalg.solve(hessian, scores.T).T
    cut = probability < MIN_PROBABILITY
    inverse = 1 / np.where(cut, MIN_PROBABILITY, probability)
    counted = weight * observed * inverse
    within = counted / np.bincount(block, counted)[block]
    by_block = np.bincount(block[observed], within[observed] * y[observed], minlength=len(size))
    share = within * size[block]
    pull = share.copy()
    pull[observed] *= deviations_from(by_block[block[observed]], y[observed])
    slope = -(pull * (1 - probability) * ~cut) @ x
    influence = pull / np.sqrt(1 - within) + correction @ slope
    return _Mean(
        float(size @ by_block),
        float(covariance(influence[:, None], people.unit, block)[0, 0]),
        float(inverse[observed].max()),
        int((cut & observed).sum()),
        float(1 / (share @ share)),
    )


def penalised_logit(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a logit with a ridge penalty on all but the constant.

    Source: scikit-learn; the ridge logit of statsmodels stops five digits before the optimum.

    Args:
        x: (n, k) with its constant, the first column.
        y: (n,) 0 or 1, both there.
        weight: (n,) weights of the log-likelihood.
        penalty: of half the squared coefficients.

    Returns:
        (k,) coefficients that maximise the penalised log-likelihood, and its (k, k) negative Hessian.
    """
    from sklearn.linear_model import LogisticRegression

    if x.shape[1] == 1:  # scikit-learn wants a column
        coefficients = np.array([special.logit(np.average(y, weights=weight))])
    else:
        inverse = 1 / penalty if penalty else np.inf
        model = LogisticRegression(C=inverse, solver="newton-cholesky", tol=TOLERANCE)
        model.fit(x[:, 1:], y, sample_weight=weight)
        coefficients = np.concatenate([model.intercept_, model.coef_[0]])
    probability = special.expit(x @ coefficients)
    hessian = (x * (weight * probability * (1 - probability))[:, None]).T @ x
    hessian[np.diag_indices(len(hessian))] += np.where(np.arange(len(hessian)) > 0, penalty, 0.0)
    return coefficients, hessian


def _weights(means: Mapping[str, _Mean], trial: Trial) -> pd.DataFrame:
    """Return what is to be known about the weights of both arms of every contrast."""
    rows = []
    for later, earlier in trial.pairs:
        both = [means[later], means[earlier]]
        rows.append(
            (
                max(arm.largest for arm in both),
                sum(arm.n_cut for arm in both),
                sum(arm.n_effective for arm in both),
            )
        )
    return pd.DataFrame(rows, columns=["largest_weight", "n_cut", "n_effective"])
