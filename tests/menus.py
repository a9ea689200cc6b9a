"""Simulated choices among several petitions, or none of them, with known truth."""

import numpy as np

from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.petitions.utilities import Layout, Tables
from nanotarget.study.response import Choice


def with_level(utilities, level):
    """Add (n,) levels, or one for all, to part-worths."""
    layout = Layout(utilities.design, (*utilities.layout.subsets, ()))
    return Tables(layout, np.column_stack([utilities.cells, np.broadcast_to(level, utilities.n)]))


def choose(utilities, respondents, covariates, tasks, rng, *, profiles=3, none=None):
    """Return what people of known utilities choose, by a conditional logit, as training data.

    Args:
        utilities: of the respondents, log-odds.
        none: utility of the average petition beside choosing none, of each respondent or of all; without it
            one is always chosen.
    """
    design = utilities.design
    who = np.repeat(np.arange(utilities.n), tasks * profiles)
    levels = design.draw(len(who), rng)
    eta = with_level(utilities, 0.0 if none is None else none).utility_of_rows(levels, who)
    felt = (eta + rng.gumbel(size=len(who))).reshape(-1, profiles)
    least = -np.inf if none is None else rng.gumbel(size=(len(felt), 1))
    chosen = (felt == felt.max(axis=1, keepdims=True)) & (felt > least)
    task = np.tile(np.repeat(np.arange(tasks), profiles), utilities.n)
    kind = Choice.of_tasks(profiles, none is not None)
    outcome = chosen.ravel().astype(float)
    return TrainingData(design, kind, levels, outcome, who, task, respondents, covariates)
