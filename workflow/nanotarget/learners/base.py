"""What all learners share: the data they train on, the fitted model, the scale of a response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nanotarget.config import CovariateConfig
from nanotarget.design import Design
from nanotarget.encoding import CovariateEncoder, level_offsets, split_levels
from nanotarget.problems import InputError, Problem


@dataclass(frozen=True)
class TrainingData:
    """Profiles shown to respondents, as arrays.

    Attributes:
        design: the petitions.
        outcome_kind: "rating" or "choice".
        levels: (n_rows, n_attributes) level indices of the profiles.
        outcome: (n_rows,) rating, or 0/1 chosen; no missing values.
        respondent: (n_rows,) index into `respondents`, non-decreasing.
        task: (n_rows,) number of the task; rows of a respondent are sorted by it.
        respondents: one row a respondent: respondent_id, covariates, weight.
        covariates: the covariates' config; only those with `target` are used.
    """

    design: Design
    outcome_kind: str
    levels: np.ndarray
    outcome: np.ndarray
    respondent: np.ndarray
    task: np.ndarray
    respondents: pd.DataFrame
    covariates: tuple[CovariateConfig, ...]

    @classmethod
    def from_tables(
        cls,
        profiles: pd.DataFrame,
        respondents: pd.DataFrame,
        design: Design,
        outcome_kind: str,
        covariates: Sequence[CovariateConfig],
    ) -> TrainingData:
        """Build training data from the cleaned tables.

        Profiles without an outcome are left out, of a choice the whole task; so are respondents
        who have nothing left.

        Raises:
            InputError: if fewer than two respondents are left, or nobody rated two petitions.
        """
        rows = profiles.sort_values(["respondent_id", "task", "profile"], ignore_index=True)
        observed = rows[outcome_kind].notna()
        if outcome_kind == "choice":
            observed &= observed.groupby([rows["respondent_id"], rows["task"]]).transform("all")
        rows = rows[observed]
        answers = rows.groupby("respondent_id").size()
        # Ratings are compared within a respondent only.
        if len(answers) < 2 or answers.max() < 2:
            raise InputError(
                [
                    Problem(
                        "calibration",
                        f"column {outcome_kind}",
                        f"{len(answers)} respondents with at most {answers.max() if len(answers) else 0} "
                        "answered petitions each are left to learn from",
                        "at least two respondents, and somebody with two petitions",
                        "see the counts of exclusions in clean/flow.csv; one petition a respondent "
                        "cannot tell preferences from habits of rating",
                    )
                ]
            )
        people = respondents[respondents["respondent_id"].isin(rows["respondent_id"])]
        people = people.sort_values("respondent_id", ignore_index=True)
        index = pd.Index(people["respondent_id"]).get_indexer(rows["respondent_id"])
        return cls(
            design=design,
            outcome_kind=outcome_kind,
            levels=design.codes(rows),
            outcome=rows[outcome_kind].to_numpy(dtype=float),
            respondent=index,
            task=rows["task"].to_numpy(),
            respondents=people,
            covariates=tuple(covariates),
        )

    @property
    def n_respondents(self) -> int:
        """Number of respondents."""
        return len(self.respondents)

    @property
    def weight(self) -> np.ndarray:
        """(n_respondents,) survey weights, scaled to mean 1."""
        weight = self.respondents["weight"].to_numpy(dtype=float)
        return weight / weight.mean()

    @property
    def starts(self) -> np.ndarray:
        """(n_respondents,) first row of each respondent."""
        return np.searchsorted(self.respondent, np.arange(self.n_respondents))

    def respondent_means(self, values: np.ndarray) -> np.ndarray:
        """Average values over each respondent's rows: (n_rows, ...) to (n_respondents, ...)."""
        counts = np.bincount(self.respondent, minlength=self.n_respondents)
        return np.add.reduceat(values, self.starts) / counts.reshape(-1, *[1] * (values.ndim - 1))

    def subset(self, chosen: np.ndarray) -> TrainingData:
        """Return the data of some respondents.

        Args:
            chosen: (n_respondents,) booleans.
        """
        rows = chosen[self.respondent]
        new_index = np.cumsum(chosen) - 1
        return TrainingData(
            self.design,
            self.outcome_kind,
            self.levels[rows],
            self.outcome[rows],
            new_index[self.respondent[rows]],
            self.task[rows],
            self.respondents[chosen].reset_index(drop=True),
            self.covariates,
        )


@dataclass(frozen=True)
class AdditiveModel:
    """Utilities that are a sum of one part-worth an attribute, linear in covariate features.

    Attributes:
        design: the petitions.
        outcome_kind: "rating": utilities are in rating points; "choice": in log-odds.
        encoder: covariates to features.
        common: (total levels,) part-worths of the average training respondent.
        specific: (n_features, total levels) change of the part-worths with each feature.
        intercept: mean rating of a random petition (0 for choice).
        fit: facts about the fit (penalties), plain numbers.
    """

    design: Design
    outcome_kind: str
    encoder: CovariateEncoder
    common: np.ndarray
    specific: np.ndarray
    intercept: float
    fit: Mapping[str, float]

    def utilities(self, respondents: pd.DataFrame) -> np.ndarray:
        """Return the (n_respondents, total levels) part-worths, mean zero under the design."""
        return self.common + self.encoder.encode(respondents) @ self.specific

    def to_tables(self) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Return the model as data: a coefficient table and a mapping for JSON."""
        labels = [(a.name, level) for a in self.design.attributes for level in a.levels]
        table = pd.DataFrame(labels, columns=["attribute", "level"], dtype="str")
        table["common"] = self.common
        for j in range(len(self.encoder.features)):
            table[f"feature_{j}"] = self.specific[j]
        settings = {
            "format": "additive",
            "outcome": self.outcome_kind,
            "intercept": self.intercept,
            "features": self.encoder.to_data(),
            "fit": dict(self.fit),
        }
        return table, settings

    @classmethod
    def from_tables(cls, table: pd.DataFrame, settings: Mapping[str, Any], design: Design) -> AdditiveModel:
        """Rebuild a model from `to_tables`; nothing is executed.

        Raises:
            ValueError: if the model was fitted to another design.
        """
        labels = [(a.name, level) for a in design.attributes for level in a.levels]
        if list(zip(table["attribute"], table["level"], strict=True)) != labels:
            raise ValueError("the model belongs to a design with other attributes or levels")
        encoder = CovariateEncoder.from_data(settings["features"])
        specific = [table[f"feature_{j}"].to_numpy() for j in range(len(encoder.features))]
        return cls(
            design=design,
            outcome_kind=settings["outcome"],
            encoder=encoder,
            common=table["common"].to_numpy(),
            specific=np.array(specific).reshape(len(specific), len(table)),
            intercept=settings["intercept"],
            fit=settings["fit"],
        )


def mean_and_error(scores: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Return the weighted mean of respondent scores and its standard error (respondent = cluster)."""
    share = weight / weight.sum()
    mean = float(share @ scores)
    n = len(scores)
    return mean, float(np.sqrt(np.sum((share * (scores - mean)) ** 2) * n / (n - 1)))


def centre_utilities(utilities: np.ndarray, design: Design) -> np.ndarray:
    """Shift part-worths of every attribute to mean zero under the design's level probabilities."""
    parts = split_levels(utilities, design)
    means = [part @ design.level_probabilities(a) for a, part in enumerate(parts)]
    return np.concatenate([part - mean[..., None] for part, mean in zip(parts, means, strict=True)], axis=-1)


def utility_of(utilities: np.ndarray, petitions: np.ndarray, design: Design) -> np.ndarray:
    """Return the (n,) utility of one petition a row.

    Args:
        utilities: (n, total levels) part-worths.
        petitions: (n, n_attributes) level indices.
    """
    columns = level_offsets(design)[:-1] + petitions
    return np.take_along_axis(utilities, columns, axis=1).sum(axis=1)
