"""What all learners share: the data they train on, the fitted model, the scale of a response."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from nanotarget.petitions.design import Design
from nanotarget.petitions.encoding import CovariateEncoder, split_levels
from nanotarget.petitions.utilities import Layout, Reversed, Tables, Utilities
from nanotarget.study.config import CovariateConfig, DesignConfig
from nanotarget.study.problems import InputError, Problem
from nanotarget.study.response import RESPONSES, Response


class NotConverged(InputError):
    """A learner that has not come to an end: other learners may still learn from the same answers."""


@dataclass(frozen=True)
class TrainingData:
    """Profiles shown to respondents, as arrays.

    Attributes:
        design: the petitions.
        response: what was measured on each profile.
        levels: (n_rows, n_attributes) level indices of the profiles.
        outcome: (n_rows,) answers; no missing values.
        respondent: (n_rows,) index into `respondents`, non-decreasing.
        task: (n_rows,) number of the task; rows of a respondent are sorted by it.
        respondents: one row per respondent: respondent_id, covariates, weight.
        covariates: the covariates' config; only those with `target` are used.
    """

    design: Design
    response: type[Response]
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
        response: type[Response],
        covariates: Sequence[CovariateConfig],
    ) -> TrainingData:
        """Build training data from the cleaned tables.

        Profiles without an outcome are left out, where answers compare petitions the whole task; so are
        respondents who have nothing left.

        Raises:
            InputError: if fewer than two respondents are left, or nobody answered about two petitions.
        """
        rows = profiles.sort_values(["respondent_id", "task", "profile"], ignore_index=True)
        observed = rows[response.name].notna()
        if response.paired:
            observed &= observed.groupby([rows["respondent_id"], rows["task"]]).transform("all")
        rows = rows[observed]
        answers = rows.groupby("respondent_id").size()
        # Answers are compared within a respondent only.
        if len(answers) < 2 or answers.max() < 2:
            raise InputError(
                [
                    Problem(
                        "calibration",
                        f"column {response.name}",
                        f"{len(answers)} respondents with at most {answers.max() if len(answers) else 0} "
                        "answered petitions each are left to learn from",
                        "at least two respondents, and somebody with two petitions",
                        "see the counts of exclusions in clean/flow.csv; one petition per respondent "
                        "cannot tell preferences from habits of rating. If that is the design, write "
                        "'profiles: 1' and 'tasks: 1' in the section calibration: effects on average remain",
                    )
                ]
            )
        people = respondents[respondents["respondent_id"].isin(rows["respondent_id"])]
        people = people.sort_values("respondent_id", ignore_index=True)
        index = pd.Index(people["respondent_id"]).get_indexer(rows["respondent_id"])
        by_task = rows.groupby(["respondent_id", "task"])[response.name]
        return cls(
            design=design,
            response=response.of_tasks(int(by_task.size().max()), none=not by_task.any().all()),
            levels=design.codes(rows),
            outcome=rows[response.name].to_numpy(dtype=float),
            respondent=index,
            task=rows["task"].to_numpy(),
            respondents=people,
            covariates=tuple(covariates),
        )

    @classmethod
    def from_settings(
        cls, profiles: pd.DataFrame, respondents: pd.DataFrame, settings: Mapping[str, Any]
    ) -> TrainingData:
        """Build training data as `from_tables` does from sections of a validated config.

        Their design is the one that the survey shows (`Design.as_shown`).

        Args:
            settings: design, covariates, and outcome (the outcome that is analysed).
        """
        design = Design.from_config(DesignConfig.model_validate(settings["design"]))
        design = design.as_shown(design.codes(profiles))
        covariates = CovariateConfig.validate_list(settings["covariates"])
        return cls.from_tables(profiles, respondents, design, RESPONSES[settings["outcome"]], covariates)

    @property
    def n_respondents(self) -> int:
        """Number of respondents."""
        return len(self.respondents)

    @cached_property
    def weight(self) -> np.ndarray:
        """(n_respondents,) survey weights, scaled to mean 1."""
        weight = self.respondents["weight"].to_numpy(dtype=float)
        return weight / weight.mean()

    @cached_property
    def starts(self) -> np.ndarray:
        """(n_respondents,) first row of each respondent."""
        return np.searchsorted(self.respondent, np.arange(self.n_respondents))

    def reversed(self) -> TrainingData:
        """Return the data with the opposite outcome: less support, or not chosen."""
        outcome = self.response.opposite(self.outcome)
        return replace(self, response=self.response.reversed(), outcome=outcome)

    def compared(self, values: np.ndarray) -> np.ndarray:
        """Return what answers compare of (n_rows, ...) values of profiles, see `Response.compare`."""
        return self.response.compare(values, self)

    def respondent_means(self, values: np.ndarray) -> np.ndarray:
        """Average values over each respondent's rows: (n_rows, ...) to (n_respondents, ...)."""
        counts = np.bincount(self.respondent, minlength=self.n_respondents)
        return np.add.reduceat(values, self.starts) / counts.reshape(-1, *[1] * (values.ndim - 1))

    def subset(self, rows: np.ndarray) -> TrainingData:
        """Return some rows and the respondents who have one among them.

        Args:
            rows: (n_rows,) booleans.
        """
        chosen = np.bincount(self.respondent[rows], minlength=self.n_respondents) > 0
        new_index = np.cumsum(chosen) - 1
        return TrainingData(
            self.design,
            self.response,
            self.levels[rows],
            self.outcome[rows],
            new_index[self.respondent[rows]],
            self.task[rows],
            self.respondents[chosen].reset_index(drop=True),
            self.covariates,
        )

    def parts(self, people: int) -> Iterator[TrainingData]:
        """Yield successive respondents, so many at a time."""
        for first in range(0, self.n_respondents, people):
            yield self.subset((self.respondent >= first) & (self.respondent < first + people))


@dataclass(frozen=True)
class Model(ABC):
    """A fitted learner.

    Attributes:
        design: the petitions.
        response: what utilities are of: in units of the outcome, or in log-odds of a choice between
            petitions.
        encoder: covariates to features.
        intercept: mean response to a random petition (`Response.intercept`).
        fit: facts about the fit (penalties), plain numbers.
    """

    design: Design
    response: type[Response]
    encoder: CovariateEncoder
    intercept: float
    fit: Mapping[str, float]

    @property
    @abstractmethod
    def n_draws(self) -> int:
        """Number of posterior draws that the model keeps."""

    @abstractmethod
    def utilities(self, respondents: pd.DataFrame) -> Utilities:
        """Return the utilities of respondents: respondent_id and covariates, in any order."""

    @abstractmethod
    def drawn_utilities(self, respondents: pd.DataFrame, draws: np.ndarray) -> Iterator[Utilities]:
        """Yield the utilities of respondents in some posterior draws, ascending indices."""

    @abstractmethod
    def draws_of_petitions(self, respondents: pd.DataFrame, petitions: np.ndarray) -> Iterator[np.ndarray]:
        """Yield for each posterior draw the (n, k) utilities for k petitions."""

    @abstractmethod
    def draws_of_level_means(self, respondents: pd.DataFrame) -> Iterator[np.ndarray]:
        """Yield for each posterior draw the (n, total levels) `Utilities.level_means`."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Return what the model has learned as arrays of numbers."""

    def settings(self) -> dict[str, Any]:
        """Return what the arrays mean, for JSON."""
        shown = self.design.shown
        return {
            "outcome": self.response.name,
            **self.response.task_settings(),
            "intercept": self.intercept,
            "features": self.encoder.to_data(),
            "attributes": [{"name": a.name, "levels": list(a.levels)} for a in self.design.attributes],
            **({"shown": shown.to_data()} if shown else {}),
            "fit": dict(self.fit),
        }


def common_arguments(settings: Mapping[str, Any], design: Design) -> dict[str, Any]:
    """Return the attributes that every `Model` has, from its settings.

    Raises:
        ValueError: if the model was fitted to another design.
    """
    known = [(a["name"], a["levels"]) for a in settings["attributes"]]
    if known != [(a.name, list(a.levels)) for a in design.attributes]:
        raise ValueError("the model belongs to a design with other attributes or levels")
    return {
        "design": design,
        "response": RESPONSES[settings["outcome"]].of_tasks(
            settings.get("profiles", 0), settings.get("none", False)
        ),
        "encoder": CovariateEncoder.from_data(settings["features"]),
        "intercept": settings["intercept"],
        "fit": settings["fit"],
    }


@dataclass(frozen=True)
class AdditiveModel(Model):
    """Utilities that are linear in covariate features: a table of coefficients a feature.

    Attributes:
        layout: of the tables: part-worths, then pairs of attributes if the learner has interactions.
        coefficients: (1 + n_features, n_cells) tables of the average training respondent and their change
            with each feature.
        draws: (n_draws, 1 + n_features, n_cells) draws of the coefficients from their posterior.
    """

    layout: Layout
    coefficients: np.ndarray
    draws: np.ndarray

    @property
    def n_draws(self) -> int:
        """Number of posterior draws that the model keeps."""
        return len(self.draws)

    def features(self, respondents: pd.DataFrame) -> np.ndarray:
        """Return the (n, 1 + n_features) features, a constant first."""
        return np.column_stack([np.ones(len(respondents)), self.encoder.encode(respondents)])

    def utilities(self, respondents: pd.DataFrame) -> Tables:
        """Return the utilities of respondents; part-worths have mean zero under the design."""
        return Tables(self.layout, self.features(respondents) @ self.coefficients)

    def drawn_utilities(self, respondents: pd.DataFrame, draws: np.ndarray) -> Iterator[Tables]:
        """Yield the utilities of respondents in some posterior draws, ascending indices."""
        wanted = set(draws.tolist())
        for d, drawn in enumerate(self.draw_tables(respondents)):
            if d in wanted:
                yield drawn

    def draw_tables(self, respondents: pd.DataFrame) -> Iterator[Tables]:
        """Yield the utilities of respondents in each posterior draw."""
        features = self.features(respondents)
        for coefficients in self.draws:
            yield Tables(self.layout, features @ coefficients)

    def draws_of_petitions(self, respondents: pd.DataFrame, petitions: np.ndarray) -> Iterator[np.ndarray]:
        """Yield for each posterior draw the (n, k) utilities for k petitions."""
        for drawn in self.draw_tables(respondents):
            yield drawn.utilities_of_all(petitions)

    def draws_of_level_means(self, respondents: pd.DataFrame) -> Iterator[np.ndarray]:
        """Yield for each posterior draw the (n, total levels) `Utilities.level_means`."""
        for drawn in self.draw_tables(respondents):
            yield drawn.level_means()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what the model has learned as arrays of numbers.

        Interactions are common to all: of their cells only the constant's are stored.
        """
        total = sum(self.design.shape)
        return {
            "coefficients": self.coefficients[:, :total],
            "draws": self.draws[:, :, :total],
            "interactions": self.coefficients[0, total:],
            "interaction_draws": self.draws[:, 0, total:],
        }

    def settings(self) -> dict[str, Any]:
        """Return what the arrays mean, for JSON."""
        return {**super().settings(), "format": "additive", "tables": [list(s) for s in self.layout.subsets]}

    @classmethod
    def from_data(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], design: Design
    ) -> AdditiveModel:
        """Rebuild a model from `settings` and `arrays`; nothing is executed.

        Raises:
            ValueError: if the model was fitted to another design.
        """
        common = common_arguments(settings, design)
        layout = Layout(design, tuple(tuple(subset) for subset in settings["tables"]))
        total = sum(design.shape)
        coefficients, draws = (
            np.zeros((*arrays[name].shape[:-1], layout.n_cells)) for name in ("coefficients", "draws")
        )
        coefficients[:, :total], coefficients[0, total:] = arrays["coefficients"], arrays["interactions"]
        draws[:, :, :total], draws[:, 0, total:] = arrays["draws"], arrays["interaction_draws"]
        return cls(**common, layout=layout, coefficients=coefficients, draws=draws)


@dataclass(frozen=True)
class ReversedModel:
    """A fitted learner of the opposite outcome: its best petition is the original's worst (dissuasion).

    Attributes:
        original: the model.
    """

    original: Model

    @property
    def intercept(self) -> float:
        """Mean of the opposite outcome."""
        return -self.original.intercept

    @property
    def n_draws(self) -> int:
        """Number of posterior draws."""
        return self.original.n_draws

    def utilities(self, respondents: pd.DataFrame) -> Utilities:
        """Return the opposite utilities."""
        return Reversed(self.original.utilities(respondents))

    def drawn_utilities(self, respondents: pd.DataFrame, draws: np.ndarray) -> Iterator[Utilities]:
        """Yield the opposite utilities in some posterior draws."""
        for utilities in self.original.drawn_utilities(respondents, draws):
            yield Reversed(utilities)


DRAWS = 200  # posterior draws of the coefficients that an additive model keeps


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
