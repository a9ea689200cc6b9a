"""Gradient boosting (LightGBM), bagged over respondents.

Trees are boosted on bootstrap samples of respondents (bags): their mean is the prediction, their spread its
uncertainty (Breiman 1996). Bags are boosted side by side until the mean of those that have not drawn a
respondent predicts her answers no better (out-of-bag loss). A single bag would stop long before the rounds
that are best for the mean, and other fits for that alone cost more than the bags. Choices follow the logit of
the differences of the petitions' scores, so scores are log-odds as with the other learners.

Within a task, and within a respondent's ratings, outcomes are exactly balanced: a split on a covariate alone
gains nothing, and without sampling of rows no tree would ever begin with one. Every round sees half of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.calibrate.learners.trees import EnsembleModel, Rows, tree_rows
from nanotarget.petitions.ensemble import from_lightgbm, pool
from nanotarget.study.config import BoostingConfig
from nanotarget.study.problems import InputError, Problem
from nanotarget.study.seeds import child_rng

MAX_ROUNDS = 2000  # for safety only: strong smooth dependence on six covariates takes about 1,000
STEP = 10  # rounds between two looks at the loss
PATIENCE = 40  # rounds without a lower loss that end the search
PARAMETERS = {
    "learning_rate": 0.1,
    "num_leaves": 6,
    "min_data_in_leaf": 25,
    "lambda_l2": 5.0,
    "bagging_fraction": 0.51,  # of less than that LightGBM copies the rows anew in every round
    "bagging_freq": 1,
    "feature_pre_filter": False,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError:
        raise InputError(
            [
                Problem(
                    "config",
                    "key calibrate.learner",
                    "learner 'boosting' needs LightGBM, which is not installed",
                    "an environment with the extra 'boosting'",
                    "install it (pip install lightgbm), or choose another learner",
                )
            ]
        ) from None
    return lightgbm


class Bag:
    """Trees that are boosted on a bootstrap sample of respondents.

    Attributes:
        outside: (n_rows,) rows of the respondents who were not drawn.
        booster: LightGBM's.
    """

    def __init__(self, rows: Rows, rng: np.random.Generator) -> None:
        """Draw respondents, at least one of whom is left out; there must be two."""
        lightgbm, n = _lightgbm(), rows.respondent.max() + 1
        times = np.ones(n, dtype=int)
        while times.all():
            times = np.bincount(rng.integers(n, size=n), minlength=n)
        drawn = times[rows.respondent]
        self.outside, inside = drawn == 0, drawn > 0
        self._response, self._outcome = rows.response, rows.outcome[inside]
        self._weight = (rows.weight * drawn)[inside]
        data = lightgbm.Dataset(rows.matrix[inside], self._outcome)
        parameters = {**PARAMETERS, "seed": int(rng.integers(2**31)), "objective": "none", "metric": "None"}
        self.booster = lightgbm.Booster(parameters, data)
        self.booster.add_valid(lightgbm.Dataset(rows.matrix[self.outside], reference=data), "outside")

    def grow(self, rounds: int) -> None:
        """Boost some rounds more."""
        for _ in range(rounds):
            self.booster.update(fobj=self._gradient)

    def _gradient(self, score: np.ndarray, _: Any) -> tuple[np.ndarray, np.ndarray]:
        return self._response.gradient(self._outcome, score, self._weight)

    def predicted(self) -> np.ndarray:
        """Return the predictions of the rows outside."""
        found = []

        def keep(score: np.ndarray, _: Any) -> tuple[str, float, bool]:
            found.append(score.copy())
            return "kept", 0.0, False

        self.booster.eval_valid(feval=keep)
        return found[0]


def grow_together(bags: Sequence[Bag], rows: Rows) -> int:
    """Boost bags until their mean predicts no better whom they have not drawn; return the best rounds."""
    times = np.sum([bag.outside for bag in bags], axis=0)
    weight = (rows.weight * (times > 0))[rows.response.losses_of]
    losses: list[float] = []
    while STEP * len(losses) < MAX_ROUNDS:
        total = np.zeros(len(rows.outcome))
        for bag in bags:
            bag.grow(STEP)
            total[bag.outside] += bag.predicted()
        loss = rows.response.losses(rows.outcome, total / np.maximum(times, 1))
        losses.append(float(np.average(loss, weights=weight)))
        if STEP * (len(losses) - 1 - np.argmin(losses)) >= PATIENCE:
            break
    return STEP * (int(np.argmin(losses)) + 1)


def fit_boosting(data: TrainingData, seed: int, settings: BoostingConfig) -> EnsembleModel:
    """Boost on bootstrap samples of respondents.

    Args:
        data: training data; a choice needs the same number of profiles in every task.
        seed: root seed of samples and rows.

    Raises:
        InputError: if LightGBM is not installed.
    """
    rows = tree_rows(data)
    rng = child_rng(seed, "boosting/bags")
    bags = [Bag(rows, rng) for _ in range(settings.bags)]
    rounds = grow_together(bags, rows)
    dumps = (bag.booster.dump_model(num_iteration=rounds) for bag in bags)
    features = len(rows.encoder.features)
    return EnsembleModel(
        design=data.design,
        response=data.response,
        encoder=rows.encoder,
        intercept=data.response.intercept(data),
        fit={"rounds": rounds, "bags": settings.bags},
        ensemble=pool([from_lightgbm(dump, rows.inputs, data.design.shape, features) for dump in dumps]),
    )
