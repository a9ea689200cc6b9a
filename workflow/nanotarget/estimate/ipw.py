"""Effects with answers weighted by how likely they were to be given, with and without a model of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.estimate.arms import ArmMeans, arm_columns, arm_means, contrasts, covariate_columns
from nanotarget.estimate.influence import covariance, deviations_from
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Strata, Trial

# The coefficient of a standardised covariate has a normal prior with standard deviation 2.5 (the scale of
# Gelman et al. 2008): next to no information in an arm of hundreds, and enough that no logit ever separates.
PENALTY = 1 / 2.5**2
# Nobody counts for more than 20 people.
MIN_PROBABILITY = 0.05
TOLERANCE = 1e-12  # of the gradient of the mean log-likelihood
IPW, AIPW = "ipw", "aipw"


@dataclass(frozen=True)
class _Answering:
    """The people of an arm, and how likely they were to answer.

    Attributes:
        own: (n,) who is in the arm; the other arrays have a row for each of these m people.
        y: (m,) NaN where it is missing.
        weight: (m,) survey weights, 1 on average.
        x: (m, k) columns of the logit.
        probability: (m,) of answering; 1 where everybody did.
        inverse: (m,) 1 / probability, cut.
        cut: (m,) whether the probability was below `MIN_PROBABILITY`.
        pull: (m, k) influence of each person on the coefficients of the logit.
    """

    own: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    x: np.ndarray
    probability: np.ndarray
    inverse: np.ndarray
    cut: np.ndarray
    pull: np.ndarray

    @property
    def observed(self) -> np.ndarray:
        """(m,) who answered."""
        return ~np.isnan(self.y)

    def through_logit(self, share: np.ndarray) -> np.ndarray:
        """(m,) influence on a value by the coefficients of the logit.

        The derivative of 1 / p by the coefficients is -x (1 - p) / p; a cut probability has none.

        Args:
            share: (m,) what each answer adds to the value, which is proportional to 1 / p.
        """
        slope = -(share * (1 - self.probability) * ~self.cut) @ self.x
        return self.pull @ slope


@dataclass(frozen=True)
class _Mean:
    """Mean of an arm, the (n,) influence of everybody randomised on it, and what to know of the weights."""

    mean: float
    influence: np.ndarray
    largest: float
    n_cut: int
    n_effective: float


def ipw_effects(trial: Trial) -> pd.DataFrame:
    """Estimate effects with every answer weighted by 1 / P(observed | arm, covariates).

    Two estimators. `ipw`: the mean of an arm is the sum of w y / p over those observed divided by the sum of
    w / p (Hajek 1971), w the survey weight and p from a logit in that arm with a weak ridge penalty. It is
    the mean of everybody randomised if, within an arm, who is missing depends on the covariates only
    and p is well described by the logit. Probabilities below `MIN_PROBABILITY` are set to it (Cole & Hernan
    2008), which bounds the weights at the price of a bias; `n_cut` says for how many respondents. With blocks
    the logit knows them, and the mean is that of every block, averaged by how many were randomised there.
    `aipw`: the mean over everybody randomised of what a linear model predicts that was fitted in the arm with
    weights w / p; as its residuals so weighted sum to zero, it is augmented inverse probability weighting,
    and right if either the logit or the linear model is (doubly robust; Robins, Sued, Lei-Gomez & Rotnitzky
    2007, section 3; Kang & Schafer 2007). With everybody observed its estimate is that of `lin`.

    Standard errors account for the estimated probabilities and coefficients by stacking their equations
    (Lunceford & Davidian 2004, section 3; Wooldridge 2007, theorem 3.1), with the correction of
    HC2 for residuals, summed within clusters. Where everybody in an arm is observed the mean of `ipw`
    and its variance are those of `arm_means`; the variance of `aipw` counts that covariates are those of a
    sample, too, which that of `lin` does not.

    Args:
        trial: its covariates of adjustment are what may explain who is missing; missing values enter as in
            `covariate_columns`.

    Returns:
        The columns of `Table.IPW`; `naive` is `dim`, the difference in means of those observed,
        `largest_weight` the largest 1 / p and `n_effective` the number of equally weighted answers worth the
        same (Kish 1965), of both arms. What cannot be estimated is NaN, and `note` says why.
    """
    trial = trial.among(trial.table["arm"].notna())
    parts = []
    for outcome in trial.outcome_names:
        known = trial.table[outcome].notna().to_numpy()
        # Blocks must have two answers of every arm; what they count is by everybody randomised there.
        strata = trial.scheme.strata(trial.weight, [trial.members(name) & known for name in trial.arms])
        answering = {name: _answering(trial, outcome, name, strata) for name in trial.arms}
        naive = arm_means(trial, outcome)
        for estimator, fitted in (
            (IPW, _weighted(answering, strata, naive.notes)),
            (AIPW, _augmented(trial, outcome, answering)),
        ):
            rows = contrasts(trial, fitted.put_together(trial, outcome))
            rows = rows.assign(
                naive=contrasts(trial, naive)["estimate"], outcome=outcome, estimator=estimator
            )
            parts.append(rows.join(_weights(fitted.means, trial)))
    return trial.published(parts, Table.IPW)


def _standardised(trial: Trial, strata: Strata) -> np.ndarray:
    """Return a constant and the columns of covariates and blocks, divided by their standard deviations."""
    columns = np.hstack([covariate_columns(trial, trial.adjust)[0], strata.columns])
    spread = columns.std(axis=0) if len(columns) else np.ones(columns.shape[1])
    return np.column_stack([np.ones(len(columns)), columns / np.where(spread > 0, spread, 1.0)])


def _answering(trial: Trial, outcome: str, arm: str, strata: Strata) -> _Answering | None:
    """Fit who answered in an arm; None with fewer than two who did."""
    own = trial.members(arm)
    y, weight, x = trial.y(outcome)[own], trial.weight[own], _standardised(trial, strata)[own]
    observed = ~np.isnan(y)
    if observed.sum() < 2:
        return None
    weight = weight / weight.mean()
    probability, pull = np.ones(len(y)), np.zeros_like(x)
    if not observed.all():
        coefficients, hessian = penalised_logit(x, observed.astype(np.float64), weight, PENALTY)
        probability = special.expit(x @ coefficients)
        scores = x * (weight * (observed - probability))[:, None]
        pull = np.linalg.solve(hessian, scores.T).T
    cut = probability < MIN_PROBABILITY
    return _Answering(
        own, y, weight, x, probability, 1 / np.where(cut, MIN_PROBABILITY, probability), cut, pull
    )


@dataclass(frozen=True)
class _Fitted:
    """The means of the arms.

    Attributes:
        means: of the arms that can be estimated.
        parameters: estimated of each arm.
        strata: blocks within which arms are compared.
        notes: what is wrong with an arm, by arm.
        remarks, left_out: as in `ArmMeans`.
    """

    means: Mapping[str, _Mean]
    parameters: int
    strata: Strata
    notes: Mapping[str, str]
    remarks: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def put_together(self, trial: Trial, outcome: str) -> ArmMeans:
        """Return the means with variances and covariances from their influence values."""
        arms, blocks, scheme = list(self.means), len(self.strata.size), trial.scheme
        influence = (
            np.array([self.means[name].influence for name in arms]).reshape(len(arms), len(trial.table)).T
        )
        # Who is in no usable arm moves means by covariates only; with whom is of no importance.
        arm = np.maximum(pd.Index(arms).get_indexer(trial.table["arm"].astype("str")), 0)
        matrix = covariance(influence, scheme.unit, self.strata.code * len(trial.arms) + arm)
        variance = dict(zip(arms, np.diag(matrix), strict=True))
        single = {name: f"'{name}' is a single cluster" for name in arms if np.isnan(variance[name])}
        known = trial.table[outcome].notna().to_numpy()
        sizes = {name: len(np.unique(scheme.unit[trial.members(name) & known])) for name in trial.arms}
        parameters = self.parameters if scheme.clusters is None else blocks
        usable = [name for name in arms if name not in single]
        members = np.isin(trial.table["arm"].astype("str"), usable) & known
        return ArmMeans(
            {name: self.means[name].mean if name in self.means else np.nan for name in trial.arms},
            {name: variance.get(name, np.nan) for name in trial.arms},
            float(len(np.unique(scheme.unit[members])) - parameters * len(usable)),
            int(members.sum()),
            single | dict(self.notes),
            self.left_out,
            self.remarks,
            size=sizes,
            arm_df={name: float(size - parameters) for name, size in sizes.items()},
            shared={
                (arms[i], arms[j]): float(matrix[i, j])
                for i, j in itertools.permutations(range(len(arms)), 2)
            },
        )


def _weighted(
    answering: Mapping[str, _Answering | None], strata: Strata, notes: Mapping[str, str]
) -> _Fitted:
    """Return the weighted mean of every arm."""
    means = {
        name: _hajek(people, strata.code[people.own], strata.size)
        for name, people in answering.items()
        if people is not None
    }
    return _Fitted(means, len(strata.size), strata, notes, strata.remarks)


def _hajek(people: _Answering, block: np.ndarray, size: np.ndarray) -> _Mean:
    """Return the mean of an arm, of every block averaged by its size.

    The influence of a respondent is that on a weighted mean plus that on the logit's coefficients times
    their slope.
    """
    y, observed = people.y, people.observed
    counted = people.weight * observed * people.inverse
    within = counted / np.bincount(block, counted)[block]
    by_block = np.bincount(block[observed], within[observed] * y[observed], minlength=len(size))
    share = within * size[block]
    pull = share.copy()
    pull[observed] *= deviations_from(by_block[block[observed]], y[observed])
    influence = np.zeros(len(people.own))
    influence[people.own] = pull / np.sqrt(1 - within) + people.through_logit(pull)
    return _mean(float(size @ by_block), influence, people, share)


def _augmented(trial: Trial, outcome: str, answering: Mapping[str, _Answering | None]) -> _Fitted:
    """Return the mean of every arm that a weighted regression in it predicts for everybody randomised."""
    columns = arm_columns(trial, outcome, trial.adjust, everybody=True)
    z = np.column_stack([np.ones(len(columns.y)), columns.controls])
    means = {
        name: _regressed(people, z, columns.strata)
        for name in columns.usable
        if (people := answering[name]) is not None
    }
    notes = columns.notes, columns.remarks, columns.left_out
    return _Fitted(means, z.shape[1], columns.strata, *notes)


def _regressed(people: _Answering, z: np.ndarray, strata: Strata) -> _Mean:
    """Return the mean of an arm that its weighted regression on (n, q) columns predicts for everybody.

    The influence of a respondent is that on the coefficients of the regression, directly and by those of the
    logit, plus how far the mean moves with her own columns, within her block.
    """
    everybody = strata.weight / strata.weight.sum()
    observed, own = people.observed, z[people.own]
    counted = people.weight * observed * people.inverse
    y = np.where(observed, people.y, 0.0)
    bread = np.linalg.inv((own * counted[:, None]).T @ own)
    coefficients = bread @ (own.T @ (counted * y))
    predicted = z @ coefficients
    residual = np.where(observed, deviations_from(predicted[people.own], y), 0.0)
    lever = own @ bread
    share = counted * (lever @ (everybody @ z))
    leverage = counted * np.einsum("ij,ij->i", lever, own)
    pull = share * residual
    mean = float(everybody @ predicted)
    by_block = np.bincount(strata.code, everybody * predicted) / np.bincount(strata.code, everybody)
    influence = everybody * (predicted - by_block[strata.code])
    influence[people.own] += pull / np.sqrt(np.maximum(1 - leverage, 0.0)) + people.through_logit(pull)
    return _mean(mean, influence, people, share)


def _mean(mean: float, influence: np.ndarray, people: _Answering, share: np.ndarray) -> _Mean:
    """Return a mean with what is to be known about its weights, (m,) shares that sum to 1."""
    answered = people.observed
    largest, n_cut = float(people.inverse[answered].max()), int((people.cut & answered).sum())
    return _Mean(mean, influence, largest, n_cut, float(1 / (share @ share)))


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
        both = [means[name] for name in (later, earlier) if name in means]
        rows.append(
            (
                max(arm.largest for arm in both) if len(both) == 2 else np.nan,
                sum(arm.n_cut for arm in both),
                sum(arm.n_effective for arm in both) if len(both) == 2 else np.nan,
            )
        )
    return pd.DataFrame(rows, columns=["largest_weight", "n_cut", "n_effective"])
