"""Simulated choices among several petitions, or none of them, with known truth."""

import numpy as np

from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.study.response import Choice


def choose(utilities, respondents, covariates, tasks, rng, *, profiles=3, none=None, differ=0.0):
    """Return what people of known utilities choose, by a conditional logit, as training data.

    Args:
        utilities: of the respondents, log-odds.
        none: utility of the average petition beside choosing none; without it one is always chosen.
        differ: standard deviation between people of this level.
    """
    design = utilities.design
    who = np.repeat(np.arange(utilities.n), tasks * profiles)
    levels = design.draw(len(who), rng)
    eta = utilities.utility_of_rows(levels, who)
    if none is not None:
        eta += none + differ * rng.normal(size=utilities.n)[who]
    felt = (eta + rng.gumbel(size=len(who))).reshape(-1, profiles)
    least = -np.inf if none is None else rng.gumbel(size=(len(felt), 1))
    chosen = (felt == felt.max(axis=1, keepdims=True)) & (felt > least)
    task = np.tile(np.repeat(np.arange(tasks), profiles), utilities.n)
    kind = Choice.of_tasks(profiles, none is not None)
    outcome = chosen.ravel().astype(float)
    return TrainingData(design, kind, levels, outcome, who, task, respondents, covariates)
