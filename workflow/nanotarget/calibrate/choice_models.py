"""Robustness of average effects: models of the log odds of a yes or a choice, clustered by respondent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanotarget.calibrate import conjoint, regression
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.petitions.design import Design
from nanotarget.study.response import RESPONSES, Response

MODEL_COLUMNS = (
    *("outcome", "estimator", "attribute", "level", *ESTIMATE_COLUMNS),
    *("n_clusters", "odds_ratio", "log_likelihood", "note"),
)
LOGIT, CONDITIONAL = "logit", "conditional_logit"
LARGE = 15.0  # log odds of a level that tells answers for certain: there is no estimate
STEPS = 50


@dataclass(frozen=True)
class Model:
    """A fitted model.

    Attributes:
        coef: (k,) log odds of the columns.
        bread: (k, k) inverse of the information.
        scores: (n, k) contribution of each row to the gradient.
        log_likelihood: at the estimate.
        units: rows that count in the small-sample factor: profiles, or tasks.
    """

    coef: np.ndarray
    bread: np.ndarray
    scores: np.ndarray
    log_likelihood: float
    units: int

    def covariance(self, clusters: np.ndarray) -> np.ndarray:
        """Return the covariance by cluster, times G / (G - 1) (N - 1) / (N - k), as Stata has it (CR1)."""
        codes = pd.factorize(clusters)[0]
        groups, k = int(codes.max()) + 1, len(self.coef)
        totals = np.zeros((groups, k))
        np.add.at(totals, codes, self.scores)
        factor = groups / (groups - 1) * (self.units - 1) / (self.units - k)
        return factor * self.bread @ (totals.T @ totals) @ self.bread


def choice_models(
    profiles: pd.DataFrame, design: Design, outcomes: Sequence[str], alpha: float = 0.05
) -> pd.DataFrame:
    """Estimate log odds of a yes (`logit`) and of being chosen (`conditional_logit`, McFadden 1974).

    Both have the main effects of all levels. The logit takes every profile for an answer of its own; the
    conditional logit compares the petitions of a task, and choosing none of them where that is an answer.
    Errors are clustered by respondent; attributes that follow from others are left out.

    Args:
        profiles: `contracts.calibration_profiles`.
        design: the study's design.
        outcomes: names; those of numbers are left out.
        alpha: intervals have level 1 - alpha.

    Returns:
        `MODEL_COLUMNS`, a row a level that is no reference: `estimate` in log odds against the first level,
        with normal intervals. NaN with a note where a level was not seen, or tells the answers for certain.
    """
    tables = []
    for outcome in outcomes:
        response = RESPONSES[outcome]
        if response.binary:
            tables.append(_estimated(profiles, design, response, LOGIT, alpha))
        if response.paired:
            tables.append(_estimated(profiles, design, response, CONDITIONAL, alpha))
    return pd.concat(tables, ignore_index=True)[list(MODEL_COLUMNS)]


def _estimated(
    profiles: pd.DataFrame, design: Design, response: type[Response], estimator: str, alpha: float
) -> pd.DataFrame:
    used = profiles[profiles[response.name].notna()]
    own = conjoint.own_design(used, design)
    levels = conjoint.dummies(own.codes(used), own.shape)[0]
    y, weight = (used[name].to_numpy(np.float64) for name in (response.name, "weight"))
    if estimator == LOGIT:
        x = conjoint.with_constant(levels)
        kept = regression.orthogonalise(x)[2]
        model, offset = _logit(x[:, kept], y, weight), 1
    else:
        task = used.groupby(["respondent_id", "task"], sort=False).ngroup().to_numpy()
        none = np.bincount(task, y) == 0
        # Beside none every petition has a constant, which no difference between petitions shows.
        x, offset = (conjoint.with_constant(levels), 1) if none.any() else (levels, 0)
        kept = regression.orthogonalise(_within(x, task) if not offset else x)[2]
        model = conditional_logit(x[:, kept], y, weight, task, bool(none.any()))
    estimate, error = np.full((2, offset + levels.shape[1]), np.nan)
    if model is not None:
        estimate[kept] = model.coef
        error[kept] = np.sqrt(np.diag(model.covariance(used["respondent_id"].to_numpy())))
    rows = [(a.name, level) for a in own.attributes for level in a.levels[1:]]
    table = pd.DataFrame(rows, columns=["attribute", "level"])
    found = regression.tidy(estimate[offset:], error[offset:], np.full(len(table), np.inf), alpha)
    certain = (found["estimate"].abs() > LARGE).to_numpy() | (model is None)
    found[certain] = np.nan
    unseen = "not seen, or always with others"
    notes = np.where(certain, "tells the answers for certain", np.where(found["estimate"].isna(), unseen, ""))
    return table.join(found).assign(
        outcome=response.name,
        estimator=estimator,
        n=len(used),
        n_clusters=used["respondent_id"].nunique(),
        odds_ratio=np.exp(found["estimate"]),
        log_likelihood=np.nan if model is None else model.log_likelihood,
        note=notes,
    )


def _logit(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Model | None:
    """Fit a weighted logit with statsmodels; None if it does not converge."""
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    results = GLM(y, x, Binomial(), var_weights=weight).fit()
    if not results.converged:
        return None
    residual = weight * (y - results.mu)
    information = x.T @ (x * (weight * results.mu * (1 - results.mu))[:, None])
    return Model(
        results.params, np.linalg.inv(information), x * residual[:, None], float(results.llf), len(y)
    )


def _within(x: np.ndarray, task: np.ndarray) -> np.ndarray:
    """Return columns less their mean in each task, (n, k)."""
    sums = np.zeros((task.max() + 1, x.shape[1]))
    np.add.at(sums, task, x)
    return x - (sums / np.bincount(task)[:, None])[task]


def conditional_logit(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, task: np.ndarray, none: bool
) -> Model | None:
    """Fit a conditional logit by Newton's method; None if it does not converge.

    Own lines: `ConditionalLogit` of statsmodels loops over tasks, minutes where this takes a second, and has
    neither survey weights nor clusters.

    Args:
        x: (n, k) columns of the petitions.
        y: (n,) 1 for the petition chosen.
        weight: (n,) survey weights, the same in a task.
        task: (n,) number of the task.
        none: whether none of a task's petitions may be chosen; the utility of none is zero.
    """
    count = task.max() + 1
    of_task = np.zeros(count)
    of_task[task] = weight
    coef = np.zeros(x.shape[1])
    for _ in range(STEPS):
        eta = x @ coef
        top = np.full(count, 0.0 if none else -np.inf)
        np.maximum.at(top, task, eta)
        total = np.bincount(task, np.exp(eta - top[task]), minlength=count) + (np.exp(-top) if none else 0.0)
        chance = np.exp(eta - top[task]) / total[task]
        scores = x * (weight * (y - chance))[:, None]
        mean = np.zeros((count, x.shape[1]))
        np.add.at(mean, task, x * chance[:, None])
        information = x.T @ (x * (weight * chance)[:, None]) - mean.T @ (mean * of_task[:, None])
        gradient = scores.sum(axis=0)
        if np.linalg.cond(information) > 1e12:
            return None
        step = np.linalg.solve(information, gradient)
        if gradient @ step < 1e-18 * max(count, 1):
            fitted = np.bincount(task, eta * y, minlength=count) - top - np.log(total)
            log_likelihood = float(of_task @ fitted)
            return Model(coef, np.linalg.inv(information), scores, log_likelihood, int(count))
        coef = coef + step * min(1.0, 5.0 / np.abs(step).max())
    return None
