"""Learners: models of a respondent's response to a petition, behind one interface.

`base` holds what all share (training data, fitted model, response scale), one module holds each
learner, `crossfit` fits a learner so that nobody is scored by a model that has seen her.
Adding a learner means one module and one entry in `FITTERS`.
"""

from __future__ import annotations

from collections.abc import Callable

from nanotarget.learners.base import AdditiveModel, TrainingData
from nanotarget.learners.hierarchical import fit_hierarchical
from nanotarget.learners.ridge import fit_null, fit_ridge

FITTERS: dict[str, Callable[[TrainingData, int], AdditiveModel]] = {
    "ridge": fit_ridge,
    "hierarchical": fit_hierarchical,
}

__all__ = ["FITTERS", "AdditiveModel", "TrainingData", "fit_null"]
