"""Gradient boosting (LightGBM), bagged over respondents.

The number of rounds is chosen by cross-validation over folds of respondents. Then the model is boosted
again on bootstrap samples of respondents (Breiman 1996): their mean is the prediction, their spread its
uncertainty. Choices follow the logit of the differences of the petitions' scores, so scores are
log-odds as with the other learners.

Within a task, and within a respondent's ratings, outcomes are exactly balanced: a split on a covariate alone
gains nothing, and without sampling of rows no tree would ever begin with one. Every round sees half of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.calibrate.learners.trees import EnsembleModel, Rows, tree_rows
from nanotarget.petitions.ensemble import from_lightgbm, pool
from nanotarget.study.problems import InputError, Problem
from nanotarget.study.seeds import child_rng

FOLDS = 5
MAX_ROUNDS = 2000  # for safety only: strong smooth dependence on six covariates takes about 1,000
PATIENCE = 40  # rounds without a better held-out loss that end the search
BAGS = 40
PARAMETERS = {
    "learning_rate": 0.1,
    "num_leaves": 6,
    "min_data_in_leaf": 25,
    "lambda_l2": 5.0,
    "bagging_fraction": 0.5,
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


def _boost(
    rows: Rows, inside: np.ndarray, weight: np.ndarray, rounds: int, seed: int
) -> tuple[Any, np.ndarray]:
    """Boost on the rows inside; also return the (rounds,) loss on the others (empty without any)."""
    lightgbm, response = _lightgbm(), rows.response
    own, weight = rows.outcome[inside], weight[inside]
    data = lightgbm.Dataset(rows.matrix[inside], own, free_raw_data=False)

    def objective(score: np.ndarray, _: Any) -> tuple[np.ndarray, np.ndarray]:
        return response.gradient(own, score, weight)

    parameters = {**PARAMETERS, "seed": seed, "objective": objective}
    losses: list[float] = []
    if inside.all():
        return lightgbm.train(parameters, data, num_boost_round=rounds), np.array(losses)
    outside, outcome = rows.matrix[~inside], rows.outcome[~inside]
    held_out_weight = rows.weight[~inside][response.losses_of]
    score = np.zeros(len(outside))
    best = 0

    def watch(environment: Any) -> None:
        nonlocal best
        k = environment.iteration
        score[:] += environment.model.predict(outside, start_iteration=k, num_iteration=1, raw_score=True)
        losses.append(float(np.average(response.losses(outcome, score), weights=held_out_weight)))
        best = int(np.argmin(losses))
        if k - best >= PATIENCE:
            raise lightgbm.callback.EarlyStopException(best, [])

    return lightgbm.train(parameters, data, num_boost_round=rounds, callbacks=[watch]), np.array(losses)


def choose_rounds(rows: Rows, seed: int) -> int:
    """Return the number of rounds with the lowest mean held-out loss over folds of respondents."""
    n = rows.respondent.max() + 1
    rng = child_rng(seed, "boosting/inner folds")
    fold = rng.permutation(np.arange(n) % min(FOLDS, n))[rows.respondent]
    curves = [
        _boost(rows, fold != f, rows.weight, MAX_ROUNDS, int(rng.integers(2**31)))[1]
        for f in range(fold.max() + 1)
    ]
    # A fold that stopped early keeps its last loss: it would not have become better.
    longest = max(len(curve) for curve in curves)
    curves = [np.append(curve, np.full(longest - len(curve), curve[-1])) for curve in curves]
    return int(np.argmin(np.mean(curves, axis=0))) + 1


def fit_boosting(data: TrainingData, seed: int) -> EnsembleModel:
    """Boost on bootstrap samples of respondents.

    Args:
        data: training data; a choice needs the same number of profiles in every task.
        seed: root seed of folds, samples and rows.

    Raises:
        InputError: if LightGBM is not installed.
    """
    rows = tree_rows(data)
    rounds = choose_rounds(rows, seed)
    rng = child_rng(seed, "boosting/bags")
    n = data.n_respondents
    everybody = np.ones(len(rows.outcome), dtype=bool)
    ensembles = []
    for _ in range(BAGS):
        times = np.bincount(rng.integers(n, size=n), minlength=n)[rows.respondent]
        booster, _ = _boost(rows, everybody, rows.weight * times, rounds, int(rng.integers(2**31)))
        ensembles.append(
            from_lightgbm(booster.dump_model(), rows.inputs, data.design.shape, len(rows.encoder.features))
        )
    return EnsembleModel(
        design=data.design,
        response=data.response,
        encoder=rows.encoder,
        intercept=data.response.intercept(data),
        fit={"rounds": rounds, "bags": BAGS},
        ensemble=pool(ensembles),
    )
