"""Cross-fitting by respondent: nobody is scored by a model that has seen her."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanotarget.design import Design
from nanotarget.learners.base import AdditiveModel, TrainingData, mean_and_error, utility_of
from nanotarget.seeds import child_rng


@dataclass(frozen=True)
class Crossfit:
    """Held-out part-worths of every respondent.

    Attributes:
        fold: (n_respondents,) fold of each respondent.
        utilities: (n_respondents, total levels) part-worths from the model of the other folds.
        common: (n_respondents, total levels) average part-worths in that model's training sample;
            constant within a fold.
        intercept: (n_respondents,) intercept of that model.
    """

    fold: np.ndarray
    utilities: np.ndarray
    common: np.ndarray
    intercept: np.ndarray

    def to_table(self, respondent_id: pd.Series, design: Design) -> pd.DataFrame:
        """Return a tidy table: respondent_id, fold, intercept, attribute, level, utility, common."""
        labels = [(a.name, level) for a in design.attributes for level in a.levels]
        n, total = self.utilities.shape
        return pd.DataFrame(
            {
                "respondent_id": np.repeat(respondent_id.to_numpy(), total),
                "fold": np.repeat(self.fold, total),
                "intercept": np.repeat(self.intercept, total),
                "attribute": np.tile(np.array([a for a, _ in labels], dtype=object), n),
                "level": np.tile(np.array([level for _, level in labels], dtype=object), n),
                "utility": self.utilities.ravel(),
                "common": self.common.ravel(),
            }
        ).astype({"respondent_id": "str", "attribute": "str", "level": "str"})

    @classmethod
    def from_table(cls, table: pd.DataFrame, design: Design) -> Crossfit:
        """Rebuild from `to_table`; rows in its order."""
        total = int(np.sum(design.shape))
        first = table.iloc[::total]
        return cls(
            fold=first["fold"].to_numpy(),
            utilities=table["utility"].to_numpy().reshape(-1, total),
            common=table["common"].to_numpy().reshape(-1, total),
            intercept=first["intercept"].to_numpy(),
        )


def assign_folds(n: int, folds: int, seed: int) -> np.ndarray:
    """Return (n,) balanced random folds of respondents in their stored (id) order."""
    return child_rng(seed, "crossfit/folds").permutation(np.arange(n) % min(folds, n))


def crossfit(
    data: TrainingData,
    fit: Callable[[TrainingData, int], AdditiveModel],
    folds: int,
    seed: int,
    progress: Callable[[str], None] = lambda message: None,
) -> Crossfit:
    """Fit on all folds but one and predict the one left out, in turn."""
    fold = assign_folds(data.n_respondents, folds, seed)
    total = int(np.sum(data.design.shape))
    utilities, common = np.empty((2, data.n_respondents, total))
    intercept = np.empty(data.n_respondents)
    for f, (inside, model, train) in enumerate(_models(data, fit, fold, seed)):
        utilities[inside] = model.utilities(data.respondents[inside])
        common[inside] = np.average(model.utilities(train.respondents), axis=0, weights=train.weight)
        intercept[inside] = model.intercept
        progress(f"cross-fitting: fold {f + 1} of {fold.max() + 1}")
    return Crossfit(fold, utilities, common, intercept)


def _models(
    data: TrainingData, fit: Callable[[TrainingData, int], AdditiveModel], fold: np.ndarray, seed: int
) -> Iterator[tuple[np.ndarray, AdditiveModel, TrainingData]]:
    for f in range(fold.max() + 1):
        inside = fold == f
        train = data.subset(~inside)
        yield inside, fit(train, seed), train


def held_out_losses(data: TrainingData, fitted: Crossfit) -> np.ndarray:
    """Return the (n_respondents,) mean held-out loss of each respondent.

    Rating: squared error of the rating within the respondent (points squared). Choice: negative
    log-likelihood of the choice between the petitions of a task (nats).
    """
    eta = utility_of(fitted.utilities[data.respondent], data.levels, data.design)
    if data.outcome_kind == "rating":
        error = data.outcome - eta
        error -= data.respondent_means(error)[data.respondent]
        return data.respondent_means(error**2)
    sign = 2 * data.outcome[::2] - 1
    loss = np.logaddexp(0, -sign * (eta[::2] - eta[1::2]))
    return data.respondent_means(np.repeat(loss, 2))


def compare_with_null(data: TrainingData, learner: Crossfit, null: Crossfit) -> dict[str, float]:
    """Compare held-out losses of a learner with those of the null of no heterogeneity.

    Returns:
        loss, loss_null, improvement (null minus learner, positive = the learner predicts better),
        its std_error over respondents, statistic and n.
    """
    losses, losses_null = held_out_losses(data, learner), held_out_losses(data, null)
    improvement, std_error = mean_and_error(losses_null - losses, data.weight)
    return {
        "loss": float(np.average(losses, weights=data.weight)),
        "loss_null": float(np.average(losses_null, weights=data.weight)),
        "improvement": improvement,
        "std_error": std_error,
        "statistic": improvement / std_error if std_error > 0 else float("nan"),
        "n": data.n_respondents,
    }
