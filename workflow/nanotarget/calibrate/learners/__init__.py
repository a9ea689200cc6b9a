"""Learners: models of a respondent's response to a petition, behind one interface.

`base` holds what all share (training data, fitted model), one module holds each learner, `crossfit` fits
a learner so that nobody is scored by a model that has seen her, `selection` compares learners.
Adding a learner means one module, one entry in `FITTERS`, and its name in `study.config.Learner`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nanotarget.calibrate.learners.bart import fit_bart
from nanotarget.calibrate.learners.base import AdditiveModel, Model, TrainingData
from nanotarget.calibrate.learners.boosting import fit_boosting
from nanotarget.calibrate.learners.hierarchical import HierarchicalModel, fit_hierarchical
from nanotarget.calibrate.learners.ridge import fit_null, fit_ridge
from nanotarget.calibrate.learners.stagewise import StagewiseModel, fit_stagewise
from nanotarget.calibrate.learners.trees import EnsembleModel
from nanotarget.petitions.design import Design
from nanotarget.study.config import LearningConfig

Fitter = Callable[[TrainingData, int, LearningConfig], Model]

FITTERS: dict[str, Fitter] = {
    "ridge": lambda data, seed, settings: fit_ridge(data, seed, settings.interactions),
    "hierarchical": lambda data, seed, settings: fit_hierarchical(data, seed, settings.own_answers),
    "stagewise": lambda data, seed, settings: fit_stagewise(data, seed, settings.interactions),
    "boosting": lambda data, seed, settings: fit_boosting(data, seed, settings.boosting),
    "bart": lambda data, seed, settings: fit_bart(data, seed, settings.bart),
}
FORMATS: dict[str, Any] = {
    "additive": AdditiveModel,
    "hierarchical": HierarchicalModel,
    "stagewise": StagewiseModel,
    "ensemble": EnsembleModel,
}


def model_from_data(settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], design: Design) -> Model:
    """Rebuild a model from its `settings` and `arrays`; nothing is executed.

    Its design is completed by what the survey has shown, which the model knows.

    Raises:
        ValueError: if the model was fitted to another design.
    """
    known = design.with_shown(settings.get("shown"))
    model: Model = FORMATS[settings["format"]].from_data(settings, arrays, known)
    return model


def arrays_of(models: Sequence[Model]) -> dict[str, np.ndarray]:
    """Return the arrays of several models, those of the k-th named "k/..."."""
    return {f"{k}/{name}": array for k, model in enumerate(models) for name, array in model.arrays().items()}


def models_from_data(
    settings: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray], design: Design
) -> list[Model]:
    """Rebuild several models from their settings and `arrays_of`.

    Raises:
        ValueError: if a model was fitted to another design.
    """
    parts: list[dict[str, np.ndarray]] = [{} for _ in settings]
    for name, array in arrays.items():
        number, _, own = name.partition("/")
        parts[int(number)][own] = array
    return [model_from_data(s, part, design) for s, part in zip(settings, parts, strict=True)]


__all__ = [
    "FITTERS",
    "AdditiveModel",
    "Model",
    "TrainingData",
    "arrays_of",
    "fit_null",
    "model_from_data",
    "models_from_data",
]
