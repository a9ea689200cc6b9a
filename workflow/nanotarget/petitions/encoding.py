"""Numbers for models: petitions as centred level indicators, covariates as standardised features.

A number enters as itself, and for learners that are linear in their features also as curves: the part of a
natural cubic spline that no straight line describes. The curves of a covariate have mean zero, standard
deviation 1 and no correlation with it or with each other among the training respondents, so that one
penalty treats them alike whatever the unit of the covariate is.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg

from nanotarget.petitions.design import Design
from nanotarget.study.config import CovariateConfig

# A spread below this share of the largest value is rounding error.
ROUNDING = 1e-12
# Knots of the spline of a number as quantiles of its training values (Harrell 2015, table 2.3).
KNOTS = {3: (0.1, 0.5, 0.9), 4: (0.05, 0.35, 0.65, 0.95), 5: (0.05, 0.275, 0.5, 0.725, 0.95)}
# Curves of all numbers together (each has at least one): fits stay fast and well determined.
CURVES = 12
# What a curve adds to the line and the curves before it, relative to its size, must exceed this.
COLLINEAR = 1e-4


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


def spline_terms(values: np.ndarray, knots: Sequence[float]) -> np.ndarray:
    """Return a basis of natural cubic splines: a constant, a line, and curves, straight beyond the knots.

    Source: Stone & Koo (1985), in the form of Harrell (2015, eq. 2.25).

    Args:
        values: (n,) numbers.
        knots: k >= 3 ascending, different numbers.

    Returns:
        (n, k) matrix.
    """
    at = np.asarray(knots)
    cubes = np.maximum(values[:, None] - at, 0) ** 3
    last = at[-1] - at[-2]
    before_last = cubes[:, [-2]] * (at[-1] - at[:-2]) / last
    curves = cubes[:, :-2] - before_last + cubes[:, [-1]] * (at[-2] - at[:-2]) / last
    return np.column_stack([np.ones(len(values)), values, curves / (at[-1] - at[0]) ** 2])


@dataclass(frozen=True)
class Feature:
    """One column of the covariate matrix: ``u = (value - centre) / scale``, or a curve of it.

    Attributes:
        covariate: name of the covariate.
        level: level that the column indicates; None for the number itself.
        missing: True for the indicator of a missing value.
        centre: training mean, subtracted.
        scale: training standard deviation of a number, 1 for an indicator.
        knots: of a curve, in units of u; empty for u itself.
        heights: of a curve at its knots; unlike the weights of its terms they bear rounding.
    """

    covariate: str
    level: str | None
    missing: bool
    centre: float
    scale: float
    knots: tuple[float, ...] = ()
    heights: tuple[float, ...] = ()

    def encode(self, column: pd.Series) -> np.ndarray:
        """Return the (n,) feature of a column of the covariate; a missing number is the training mean."""
        if self.missing:
            values = column.isna().to_numpy(dtype=float)
        elif self.level is not None:
            values = (column.astype("object") == self.level).to_numpy(dtype=float)
        else:
            values = column.to_numpy(dtype=float, na_value=np.nan)
            values = np.where(np.isnan(values), self.centre, values)
        standardised = (values - self.centre) / self.scale
        if not self.knots:
            return standardised
        at_knots = spline_terms(np.array(self.knots), self.knots)
        curve = spline_terms(standardised, self.knots) @ np.linalg.solve(at_knots, self.heights)
        return np.where(column.isna(), 0.0, curve)


def curves_of(line: Feature, column: pd.Series, most: int) -> list[Feature]:
    """Return the curves of a number, fewer if its training values are too few to tell them apart.

    Args:
        line: the number itself as a feature.
        column: its training values.
        most: number of curves wanted.
    """
    values = line.encode(column.dropna())
    distinct = np.unique(values)
    for n_knots in sorted(KNOTS, reverse=True):
        if n_knots > min(most + 2, len(distinct)):
            continue
        knots = np.quantile(values, KNOTS[n_knots])
        if (np.diff(knots) < COLLINEAR).any():  # most people share few values
            knots = np.quantile(distinct, KNOTS[n_knots])
        if (np.diff(knots) < COLLINEAR).any():
            continue
        terms = spline_terms(values, knots)
        triangle = np.linalg.qr(terms, mode="r")
        added = np.abs(np.diag(triangle)) / np.linalg.norm(terms, axis=0)
        if added.min() > COLLINEAR:
            weights = np.linalg.inv(triangle)[:, 2:] * np.sqrt(len(values))
            heights = spline_terms(knots, knots) @ weights
            return [replace(line, knots=tuple(knots.tolist()), heights=tuple(h)) for h in heights.T.tolist()]
    return []


@dataclass(frozen=True)
class CovariateEncoder:
    """Covariates to features with everything learned on the training respondents.

    A missing number becomes the training mean (and lies on no curve) plus an indicator of missingness;
    a missing category is a level of its own. Indicators keep their 0/1 scale.
    """

    features: tuple[Feature, ...]

    @classmethod
    def fit(
        cls, table: pd.DataFrame, covariates: Sequence[CovariateConfig], curved: bool = False
    ) -> CovariateEncoder:
        """Learn centres, scales and curves; features without variation in training are left out.

        Args:
            curved: whether numbers enter with their curves; trees bend by themselves.
        """
        features: list[Feature] = []
        used = [covariate for covariate in covariates if covariate.target]
        numbers = sum(covariate.kind == "numeric" for covariate in used)
        for covariate in used:
            column = table[covariate.name]
            if covariate.kind == "numeric":
                scale = float(column.std(ddof=0))
                # A constant like 0.1 has a spread of rounding error: dividing by it would explode.
                if scale > ROUNDING * column.abs().max():
                    line = Feature(covariate.name, None, False, float(column.mean()), scale)
                    features += [
                        line,
                        *(curves_of(line, column, max(1, CURVES // numbers)) if curved else []),
                    ]
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
            encoded[:, j] = feature.encode(table[feature.covariate])
        return encoded

    def restricted(self, kept: np.ndarray) -> CovariateEncoder:
        """Return the encoder of some features, (n_features,) booleans."""
        return CovariateEncoder(tuple(itertools.compress(self.features, kept)))

    @property
    def curved(self) -> np.ndarray:
        """(n_features,) whether a feature is a curve."""
        return np.array([len(feature.knots) > 0 for feature in self.features], dtype=bool)

    def to_data(self) -> list[dict[str, Any]]:
        """Return the encoder as plain data for JSON."""
        return [asdict(feature) for feature in self.features]

    @classmethod
    def from_data(cls, data: Sequence[Mapping[str, Any]]) -> CovariateEncoder:
        """Rebuild an encoder from `to_data`."""
        features = (Feature(**feature) for feature in data)
        return cls(tuple(replace(f, knots=tuple(f.knots), heights=tuple(f.heights)) for f in features))
