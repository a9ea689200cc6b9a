"""Numbers for models: petitions as centred level indicators, covariates as standardised features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg

from nanotarget.config import CovariateConfig
from nanotarget.design import Design

# A spread below this share of the largest value is rounding error.
ROUNDING = 1e-12


def level_offsets(design: Design) -> np.ndarray:
    """Return (n_attributes + 1,) offsets of each attribute's levels in a row of indicators."""
    return np.concatenate([[0], np.cumsum(design.shape)])


def indicators(levels: np.ndarray, design: Design) -> np.ndarray:
    """Encode petitions as one indicator a level, centred at the design's probabilities.

    All levels have a column (no reference level), so that a ridge penalty treats them alike and
    relabelling changes nothing.

    Args:
        levels: (n, n_attributes) level indices.

    Returns:
        (n, total levels) matrix whose columns have mean zero under the design.
    """
    offsets = level_offsets(design)
    encoded = np.zeros((len(levels), offsets[-1]))
    encoded[np.arange(len(levels))[:, None], offsets[:-1] + levels] = 1.0
    return encoded - np.concatenate([design.level_probabilities(a) for a in range(len(design.attributes))])


def contrasts(design: Design) -> np.ndarray:
    """Return an orthonormal basis of the part-worths that matter: sums over each attribute's levels are zero.

    The indicators of an attribute add up to a constant, so a ridge penalty sets the sum of its
    part-worths to zero. Working in this basis gives the same fit with one dimension an attribute less.

    Returns:
        (total levels, total levels - n_attributes) with orthonormal columns.
    """
    return scipy.linalg.block_diag(*(scipy.linalg.helmert(size).T for size in design.shape))


def split_levels(values: np.ndarray, design: Design) -> list[np.ndarray]:
    """Split the last axis (total levels) into one array an attribute."""
    return np.split(values, level_offsets(design)[1:-1], axis=-1)


@dataclass(frozen=True)
class Feature:
    """One column of the covariate matrix: ``(value - centre) / scale``.

    Attributes:
        covariate: name of the covariate.
        level: level that the column indicates; None for the number itself.
        missing: True for the indicator of a missing value.
        centre: training mean, subtracted.
        scale: training standard deviation of a number, 1 for an indicator.
    """

    covariate: str
    level: str | None
    missing: bool
    centre: float
    scale: float


@dataclass(frozen=True)
class CovariateEncoder:
    """Covariates to features with everything learned on the training respondents.

    A missing number becomes the training mean plus an indicator of missingness; a missing
    category is a level of its own. Indicators keep their 0/1 scale.
    """

    features: tuple[Feature, ...]

    @classmethod
    def fit(cls, table: pd.DataFrame, covariates: Sequence[CovariateConfig]) -> CovariateEncoder:
        """Learn centres and scales; features without variation in training are left out."""
        features: list[Feature] = []
        for covariate in covariates:
            if not covariate.target:
                continue
            column = table[covariate.name]
            if covariate.kind == "numeric":
                scale = float(column.std(ddof=0))
                # A constant like 0.1 has a spread of rounding error: dividing by it would explode.
                if scale > ROUNDING * column.abs().max():
                    features.append(Feature(covariate.name, None, False, float(column.mean()), scale))
            else:
                texts = column.astype("object")
                for level in covariate.levels or []:
                    share = float((texts == str(level)).mean())
                    if 0 < share < 1:
                        features.append(Feature(covariate.name, str(level), False, share, 1.0))
            share = float(column.isna().mean())
            if 0 < share < 1:
                features.append(Feature(covariate.name, None, True, share, 1.0))
        return cls(tuple(features))

    def encode(self, table: pd.DataFrame) -> np.ndarray:
        """Return the (n_respondents, n_features) matrix."""
        encoded = np.empty((len(table), len(self.features)))
        for j, feature in enumerate(self.features):
            column = table[feature.covariate]
            if feature.missing:
                values = column.isna().to_numpy(dtype=float)
            elif feature.level is None:
                values = column.fillna(feature.centre).to_numpy(dtype=float)
            else:
                values = (column.astype("object") == feature.level).to_numpy(dtype=float)
            encoded[:, j] = (values - feature.centre) / feature.scale
        return encoded

    def to_data(self) -> list[dict[str, Any]]:
        """Return the encoder as plain data for JSON."""
        return [asdict(feature) for feature in self.features]

    @classmethod
    def from_data(cls, data: Sequence[Mapping[str, Any]]) -> CovariateEncoder:
        """Rebuild an encoder from `to_data`."""
        return cls(tuple(Feature(**feature) for feature in data))
