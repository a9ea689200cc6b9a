"""What tree ensembles share: the rows they are trained on, and the model that is made of trees.

Trees see a profile as one 0/1 column per level, beside the respondent's covariate features. What they
learn of it is `Response.single`: of ratings the difference from the mean of the respondent's other ratings,

    y_it - mean of y_is, s != t,

so that the level of her ratings, the largest part of their variance, drops out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nanotarget.calibrate.learners.base import Model, TrainingData, common_arguments
from nanotarget.petitions.design import Design
from nanotarget.petitions.encoding import CovariateEncoder
from nanotarget.petitions.ensemble import Draws, Ensemble, EnsembleUtilities, Inputs
from nanotarget.study.response import Response


@dataclass(frozen=True)
class Rows:
    """Training data as trees see them.

    Attributes:
        response: what was measured.
        encoder: covariates to features.
        inputs: what the columns of `matrix` mean.
        matrix: (n_rows, n_columns).
        outcome: (n_rows,) what is learned of a profile (`Response.single`).
        weight: (n_rows,) survey weight of the respondent.
        respondent: (n_rows,) index of the respondent.
    """

    response: type[Response]
    encoder: CovariateEncoder
    inputs: Inputs
    matrix: np.ndarray
    outcome: np.ndarray
    weight: np.ndarray
    respondent: np.ndarray


def tree_rows(data: TrainingData, encoder: CovariateEncoder | None = None) -> Rows:
    """Lay out training data for trees.

    Args:
        encoder: learned on other data (to predict these rows); None learns it on these.
    """
    encoder = encoder or CovariateEncoder.fit(data.respondents, data.covariates)
    features = encoder.encode(data.respondents)
    inputs = Inputs.indicators(data.design.shape, features.shape[1])
    outcome, kept = data.response.single(data)
    who = data.respondent[kept]
    return Rows(
        response=data.response,
        encoder=encoder,
        inputs=inputs,
        matrix=inputs.matrix(features[who], data.levels[kept]),
        outcome=outcome[kept],
        weight=data.weight[who],
        respondent=who,
    )


@dataclass(frozen=True)
class EnsembleModel(Model):
    """Trees as leaves; utilities are means over its draws.

    Attributes:
        ensemble: the trees, with the features of `encoder` as covariates.
    """

    ensemble: Ensemble

    @property
    def n_draws(self) -> int:
        """Number of posterior draws that the model keeps."""
        return self.ensemble.n_draws

    def utilities(self, respondents: pd.DataFrame) -> EnsembleUtilities:
        """Return the utilities of respondents."""
        return EnsembleUtilities(self.ensemble, self.design, self.encoder.encode(respondents))

    def drawn_utilities(self, respondents: pd.DataFrame, draws: np.ndarray) -> Iterator[EnsembleUtilities]:
        """Yield the utilities of respondents in some posterior draws, ascending indices."""
        features = self.encoder.encode(respondents)
        for d in draws:
            yield EnsembleUtilities(self.ensemble.of_draws([int(d)]), self.design, features)

    def draws_of_petitions(self, respondents: pd.DataFrame, petitions: np.ndarray) -> Iterator[np.ndarray]:
        """Yield for each posterior draw the (n, k) utilities for k petitions."""
        return Draws(self.ensemble, self.encoder.encode(respondents)).of_petitions(petitions)

    def draws_of_level_means(self, respondents: pd.DataFrame) -> Iterator[np.ndarray]:
        """Yield for each posterior draw the (n, total levels) `Utilities.level_means`."""
        return Draws(self.ensemble, self.encoder.encode(respondents)).level_means(self.design)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what the model has learned as arrays of numbers."""
        return self.ensemble.to_arrays()

    def settings(self) -> dict[str, Any]:
        """Return what the arrays mean, for JSON."""
        return {**super().settings(), "format": "ensemble"}

    @classmethod
    def from_data(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], design: Design
    ) -> EnsembleModel:
        """Rebuild a model from `settings` and `arrays`; nothing is executed.

        Raises:
            ValueError: if the model was fitted to another design.
        """
        return cls(**common_arguments(settings, design), ensemble=Ensemble.from_arrays(arrays))
