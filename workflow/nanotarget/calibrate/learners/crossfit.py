"""Cross-fitting: no answer is ever scored by a model that has seen it.

Folds hold respondents, all tasks of a person in one fold; where a policy may use a person's own
answers (a panel), they hold tasks, and a model knows a person's answers of the other folds. A *unit* is
a respondent as one fold's model sees her: without a panel every respondent is one unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from nanotarget.calibrate.learners.base import Model, ReversedModel, TrainingData, mean_and_error
from nanotarget.calibrate.learners.ridge import fit_null
from nanotarget.calibrate.link import OrdinalLink, fit_link, on_scale
from nanotarget.petitions.design import Pairs
from nanotarget.petitions.score import best_petitions
from nanotarget.petitions.utilities import Pieces, Tables, Utilities, average, is_projection, projected
from nanotarget.study.progress import steps
from nanotarget.study.seeds import child_rng


def assign_folds(
    data: TrainingData, folds: int, seed: int, own_answers: bool = False, stream: str = "crossfit/folds"
) -> np.ndarray:
    """Return the (n_rows,) fold of each row, from 0: balanced and random.

    Args:
        folds: their number; fewer if there are fewer respondents (or tasks of a respondent).
        own_answers: whether folds hold tasks of every respondent instead of respondents.
        stream: name of the random stream.
    """
    rng = child_rng(seed, stream)
    n = data.n_respondents
    if not own_answers:
        return rng.permutation(np.arange(n) % min(folds, n))[data.respondent]
    new_task = np.append(True, (np.diff(data.respondent) != 0) | (np.diff(data.task) != 0))
    person = data.respondent[new_task]
    shuffled = np.lexsort([rng.random(len(person)), person])
    within = np.arange(len(person)) - np.searchsorted(person, person)
    fold = np.empty(len(person), dtype=int)
    # Everybody begins with another fold, so that folds are balanced over people with few tasks.
    fold[shuffled] = (within + rng.permutation(n)[person]) % folds
    return fold[np.cumsum(new_task) - 1]


def assign_halves(data: TrainingData, seed: int, own_answers: bool = False) -> np.ndarray:
    """Return the (n_rows,) half of each row, 0 or 1: respondents, or tasks of every respondent."""
    return assign_folds(data, 2, seed, own_answers, "crossfit/halves")


def permuted_order(n: int, draw: int, seed: int) -> np.ndarray:
    """Return whose covariates each of n respondents gets in a random permutation; (n,) indices."""
    return child_rng(seed, f"permuted covariates/{draw}").permutation(n)


def permute_covariates(data: TrainingData, draw: int, seed: int) -> TrainingData:
    """Return the data with covariates randomly permuted among respondents, so that they predict nothing."""
    names = [c.name for c in data.covariates]
    order = permuted_order(data.n_respondents, draw, seed)
    permuted = data.respondents.copy()
    permuted[names] = permuted[names].iloc[order].set_axis(permuted.index)
    return replace(data, respondents=permuted)


def permute_answers(data: TrainingData, draw: int, seed: int, interactions: bool = False) -> TrainingData:
    """Return the data as if all respondents had the same preferences, with permuted covariates.

    See `Response.redraw`. For policies that look at people's own answers: these, too, then tell nothing.
    """
    rng = child_rng(seed, f"permuted answers/{draw}")
    permuted = permute_covariates(data, draw, seed)
    null = fit_null(data, seed, interactions).utilities(data.respondents)
    common = null.utility_of_rows(data.levels, data.respondent)
    return replace(permuted, outcome=data.response.redraw(common, data, rng))


def part_of(
    data: TrainingData, part: str, folds: int, seed: int, own_answers: bool = False
) -> tuple[TrainingData, TrainingData | None]:
    """Return the training data of a named fit, and what it must not see.

    Args:
        part: "whole", "fold_1" (all but that fold), ..., "half_1" (all but that half), "half_2",
            "permuted_1" (permuted covariates), ...
    """
    kind, _, number = part.partition("_")
    if kind == "permuted":
        return permute_covariates(data, int(number), seed), None
    if kind == "whole":
        return data, None
    if kind == "half":
        fold = assign_halves(data, seed, own_answers)
    else:
        fold = assign_folds(data, folds, seed, own_answers)
    inside = fold == int(number) - 1
    return data.subset(~inside), data.subset(inside) if inside.any() else None


@dataclass(frozen=True)
class Crossfit:
    """A model for each fold, fitted without it.

    Attributes:
        data: the calibration.
        fold: (n_rows,) fold of each row.
        models: one per fold.
        original: the cross-fit of the outcome itself, if this one is of its opposite.
        kept: pairs of blocks whose interactions `utilities` has; None for whatever the models have.
    """

    data: TrainingData
    fold: np.ndarray
    models: Sequence[Model | ReversedModel]
    original: Crossfit | None = None
    kept: Pairs | None = None

    def for_goal(self, goal: str) -> Crossfit:
        """Return the cross-fit seen from a goal: to "dissuade", of the opposite outcome by the same models.

        The best petitions for the opposite outcome are the worst ones.
        """
        if goal == "support":
            return self
        models = [ReversedModel(model) for model in self.models if isinstance(model, Model)]
        if len(models) < len(self.models):
            raise ValueError("only fitted models of the outcome itself can be reversed")
        return Crossfit(self.data.reversed(), self.fold, models, self)

    def projected(self, pairs: Pairs) -> Crossfit:
        """Return the same models with utilities without interactions of attributes, but for pairs of blocks.

        Links of a scale are fitted to what is left. It is the same object where nothing changes.
        """
        if all(is_projection(tables.layout, pairs) for tables in self.common):
            return self
        return replace(self, original=self.original and self.original.projected(pairs), kept=pairs)

    @cached_property
    def _units(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        code = self.data.respondent * len(self.models) + self.fold
        distinct, of_row = np.unique(code, return_inverse=True)
        return distinct // len(self.models), distinct % len(self.models), of_row

    @property
    def respondent(self) -> np.ndarray:
        """(n_units,) respondent of each unit, ascending."""
        return self._units[0]

    @property
    def unit_fold(self) -> np.ndarray:
        """(n_units,) fold of each unit."""
        return self._units[1]

    @property
    def unit(self) -> np.ndarray:
        """(n_rows,) unit of each row."""
        return self._units[2]

    @cached_property
    def utilities(self) -> Utilities:
        """Utilities of every unit under the model of the other folds."""
        parts = []
        for f, model in enumerate(self.models):
            units = np.flatnonzero(self.unit_fold == f)
            utilities = model.utilities(self.data.respondents.iloc[self.respondent[units]])
            parts.append((units, utilities if self.kept is None else projected(utilities, self.kept)))
        return Pieces(self.data.design, len(self.respondent), parts)

    def training(self, most: int | None = None) -> Iterator[tuple[Utilities, np.ndarray]]:
        """Yield utilities and weights of the respondents that each fold's model was trained on.

        Args:
            most: of how many at most, evenly spread ones of more; None for all.
        """
        for f, model in enumerate(self.models):
            part = self.data.subset(self.fold != f)
            if most and part.n_respondents > most:
                some = np.linspace(0, part.n_respondents - 1, most).astype(int)
                part = part.subset(np.isin(part.respondent, some))
            yield model.utilities(part.respondents), part.weight

    @cached_property
    def common(self) -> list[Tables]:
        """Average utilities of the respondents that each fold's model was trained on."""
        return [average(utilities, weight) for utilities, weight in self.training()]

    def common_utility(self, petitions: np.ndarray, fold: np.ndarray) -> np.ndarray:
        """Return the (n,) average utility of (n, n_attributes) petitions, each in the model of its fold."""
        out = np.empty(len(petitions))
        for f, tables in enumerate(self.common):
            rows = np.flatnonzero(fold == f)
            out[rows] = tables.utility_of_rows(petitions[rows], np.zeros(len(rows), dtype=int))
        return out

    @cached_property
    def overall_best(self) -> np.ndarray:
        """(n_units, n_attributes) petition with the highest average utility in the training sample."""
        best = [best_petitions(common)[0] for common in self.common]
        return np.array(best)[self.unit_fold]

    @property
    def intercept(self) -> np.ndarray:
        """(n_units,) intercept of each unit's model."""
        return np.array([model.intercept for model in self.models])[self.unit_fold]

    @cached_property
    def link(self) -> OrdinalLink | None:
        """How answers on a scale with ends follow from utilities; None for choices and open measurements."""
        if self.original is not None:
            return self.original.link and self.original.link.reversed()
        data = self.data
        if data.response.paired or not on_scale(data.outcome):
            return None
        return fit_link(self.index, data.outcome, data.respondent, data.weight)

    @cached_property
    def links(self) -> list[OrdinalLink]:
        """The link of each fold, from the answers of the other folds; empty where there is none."""
        if self.original is not None:
            return [link.reversed() for link in self.original.links]
        if self.link is None:
            return []
        if len(self.models) == 1:
            return [self.link]
        links, data = [], self.data
        for f in range(len(self.models)):
            rows = np.flatnonzero(self.fold != f)
            who = data.respondent[rows]
            weight = data.weight[np.unique(who)]
            links.append(fit_link(self.index[rows], data.outcome[rows], who, weight, self.link))
        return links

    @cached_property
    def index(self) -> np.ndarray:
        """(n_rows,) what the model of the row's fold expects of the petition: intercept plus utility."""
        eta = self.utilities.utility_of_rows(self.data.levels, self.unit)
        return self.intercept[self.unit] + eta

    def respondent_means(self, values: np.ndarray) -> np.ndarray:
        """Average values of units over each respondent's rows: (n_units,) to (n_respondents,)."""
        return self.data.respondent_means(values[self.unit])

    def to_table(self) -> pd.DataFrame:
        """Return one row per profile: respondent_id, fold, task, profile, outcome, predicted utility."""
        data = self.data
        new_task = np.append(True, (np.diff(data.respondent) != 0) | (np.diff(data.task) != 0))
        starts = np.flatnonzero(new_task)
        return pd.DataFrame(
            {
                "respondent_id": data.respondents["respondent_id"].to_numpy()[data.respondent],
                "fold": self.fold + 1,
                "task": data.task,
                "profile": np.arange(len(data.task)) - starts[np.cumsum(new_task) - 1] + 1,
                "outcome": data.outcome,
                "utility": self.utilities.utility_of_rows(data.levels, self.unit),
            }
        ).astype({"respondent_id": "str"})


def crossfit(
    data: TrainingData,
    fit: Callable[[TrainingData, str], Model],
    folds: int,
    seed: int,
    own_answers: bool = False,
) -> Crossfit:
    """Fit on all folds but one, in turn.

    Args:
        fit: from training data and the name of the part left out, "fold_1" ..., to a model.
    """
    return fit_folds(data, assign_folds(data, folds, seed, own_answers), fit, "fold")


def fit_folds(
    data: TrainingData,
    fold: np.ndarray,
    fit: Callable[[TrainingData, str], Model],
    name: str,
) -> Crossfit:
    """Fit a model for each fold to all others.

    Args:
        fold: (n_rows,) fold of each row.
        fit: from training data and the name of the part left out, `name`_1 ..., to a model.
    """
    parts = steps(range(fold.max() + 1), f"fits without one {name}")
    models = [fit(data.subset(fold != f), f"{name}_{f + 1}") for f in parts]
    return Crossfit(data, fold, models)


def held_out_losses(fitted: Crossfit) -> np.ndarray:
    """Return the (n_respondents,) mean held-out loss of each respondent, see `Response.held_out_losses`."""
    data = fitted.data
    eta = fitted.utilities.utility_of_rows(data.levels, fitted.unit)
    return data.respondent_means(data.response.held_out_losses(data.outcome, eta, fitted.unit))


def compare_losses(losses: np.ndarray, losses_null: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    """Compare held-out losses of a learner with those of the null of no heterogeneity.

    Args:
        losses, losses_null: (n_respondents,) from `held_out_losses`.

    Returns:
        loss, loss_null, improvement (null minus learner, positive = the learner predicts better),
        its std_error over respondents, statistic and n.
    """
    improvement, std_error = mean_and_error(losses_null - losses, weight)
    return {
        "loss": float(np.average(losses, weights=weight)),
        "loss_null": float(np.average(losses_null, weights=weight)),
        "improvement": improvement,
        "std_error": std_error,
        "statistic": improvement / std_error if std_error > 0 else float("nan"),
        "n": len(losses),
    }
