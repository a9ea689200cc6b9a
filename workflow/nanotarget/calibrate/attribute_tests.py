"""Does an attribute matter at all, to anybody? Randomisation tests, whatever the shape of its effects.

If an attribute changes nobody's answers, these do not depend on its levels given the others: whatever is
computed from levels that were drawn again by the design is distributed as what is computed from those that
were shown (conditional randomisation test; Ham, Imai & Janson 2024). The statistic may be anything; here
it is how well heavily penalised regressions on the levels of the attribute predict answers that they have
not seen:

- `average`: people of other folds by level;
- `covariates`: people of other folds by level times covariate;
- `persons`: a person's answers to other tasks by what she thought of the level.

Each is measured in standard deviations of the draws, and the largest counts: effects that cancel over people
are found as well as those that everybody shares. No fit is made anew for a draw, only sums are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from nanotarget.calibrate import regression
from nanotarget.calibrate.conjoint import dummies, with_constant
from nanotarget.calibrate.multiplicity import adjusted
from nanotarget.petitions.design import Design
from nanotarget.study.response import RESPONSES

COLUMNS = (
    "outcome",
    "attribute",
    "part",
    "statistic",
    "p_value",
    "p_holm",
    "draws",
    "n",
    "n_clusters",
    "note",
)
ANY, AVERAGE, COVARIATES, PERSONS = "any", "average", "covariates", "persons"
PARTS = (AVERAGE, COVARIATES, PERSONS)
FOLDS = 10
PERMUTED = "levels of whole tasks permuted"
REDRAWN = "levels drawn again by the design, given the attributes that they are tied to"
CONSTANT = "it does not vary among the tasks of a person: nothing can be drawn again within the design"


class Answers(NamedTuple):
    """Answers to petitions, as the tests take them.

    Attributes:
        codes: (n, attributes) levels shown.
        person: (n,) index of the respondent, non-decreasing.
        unit: (n,) what answers are compared within: the task of a choice, else the respondent.
        task: (n,) number of the task within the whole survey.
        y: (n,) answers.
        weight: (n,) survey weights.
        features: (respondents, k) standardised covariates.
        fold: (respondents,) of the respondent.
    """

    codes: np.ndarray
    person: np.ndarray
    unit: np.ndarray
    task: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    features: np.ndarray
    fold: np.ndarray

    @classmethod
    def of(
        cls,
        profiles: pd.DataFrame,
        design: Design,
        outcome: str,
        features: pd.DataFrame,
        rng: np.random.Generator,
    ) -> Answers:
        """Prepare a survey.

        Args:
            profiles: `contracts.calibration_profiles`.
            design: the petitions.
            outcome: name of the outcome.
            features: numbers that describe respondents, by respondent_id.
            rng: draws the folds.
        """
        used = profiles[profiles[outcome].notna()]
        person = pd.factorize(used["respondent_id"])[0]
        own = features.loc[used["respondent_id"].unique()].to_numpy(np.float64)
        spread = own.std(axis=0)
        standard = (own - own.mean(axis=0))[:, spread > 0] / spread[spread > 0]
        task = used.groupby(["respondent_id", "task"], sort=False).ngroup().to_numpy()
        unit = task if RESPONSES[outcome].paired else person
        if unit.max() + 1 == len(unit):  # with one answer each people are compared with each other
            unit = np.zeros_like(unit)
        fold = rng.permutation(len(own)) % FOLDS
        return cls(
            design.codes(used),
            person,
            unit,
            task,
            used[outcome].to_numpy(np.float64),
            used["weight"].to_numpy(np.float64),
            standard,
            fold,
        )

    def without(self, x: np.ndarray) -> np.ndarray:
        """Return what is left of answers within their unit after least squares on (n, k) columns."""
        both = np.column_stack([self.y, x])
        sums = np.zeros((self.unit.max() + 1, both.shape[1]))
        np.add.at(sums, self.unit, both)
        within = both - (sums / np.bincount(self.unit)[:, None])[self.unit]
        q = regression.orthogonalise(within[:, 1:])[0]
        return self.weight * (within[:, 0] - q @ (q.T @ within[:, 0]))


def attribute_tests(
    answers: Answers,
    design: Design,
    draws: int,
    rng: np.random.Generator,
    only: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Test of each attribute whether it matters to anybody.

    Args:
        answers: to petitions of the design.
        design: without attributes that follow from others.
        draws: of the levels of each attribute.
        rng: of the draws.
        only: indices of the attributes that are tested; all by default.

    Returns:
        `COLUMNS` but the outcome: for each attribute `any`, then its parts; `p_holm` is over attributes, of
        `any` only. P values are (1 + draws at least as large) / (1 + draws).
    """
    tested = range(len(design.shape)) if only is None else only
    rows = [row for a in tested for row in _tested(answers, design, a, draws, rng)]
    table = pd.DataFrame(rows)
    table["p_holm"] = adjusted(table["p_value"].where(table["part"] == ANY))
    return table


def _tested(
    answers: Answers, design: Design, a: int, draws: int, rng: np.random.Generator
) -> Iterator[dict[str, object]]:
    size = {"n": len(answers.y), "n_clusters": len(answers.fold), "draws": draws}
    draw, note = _drawing(answers, design, a, rng)
    named = {"attribute": design.names[a], "note": note} | size
    if note == CONSTANT:
        yield named | {"part": ANY, "statistic": np.nan, "p_value": np.nan}
        return
    others = [b for b in range(len(design.shape)) if b != a]
    levels = dummies(answers.codes[:, others], [design.shape[b] for b in others])[0] if others else None
    left = answers.without(np.zeros((len(answers.y), 0)) if levels is None else levels)
    measure = _measure(answers, left, design.shape[a])
    found = np.array([measure(answers.codes[:, a]), *(measure(draw()) for _ in range(draws))])
    spread = found.std(axis=0)
    scaled = (found - found.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
    every = np.column_stack([scaled.max(axis=1), scaled])
    for part, values in zip((ANY, *PARTS), every.T, strict=True):
        p = (1 + np.count_nonzero(values[1:] >= values[0])) / (1 + draws)
        yield named | {"part": part, "statistic": values[0], "p_value": p}


def _drawing(
    answers: Answers, design: Design, a: int, rng: np.random.Generator
) -> tuple[Callable[[], np.ndarray], str]:
    """Return what draws levels of an attribute as the design does given all others, and how it does."""
    own = answers.codes[:, a]
    block = next(block for block in design.blocks if a in block.attributes)
    if len(block.attributes) > 1:
        return _redrawing(answers, design, a, rng), REDRAWN
    first = np.flatnonzero(np.append(True, answers.person[1:] != answers.person[:-1]))
    alike = np.minimum.reduceat(own, first) == np.maximum.reduceat(own, first)
    if alike.all() and answers.task[-1] > answers.person[-1]:
        return own.copy, CONSTANT
    starts = np.flatnonzero(np.append(True, answers.task[1:] != answers.task[:-1]))
    length = np.diff(np.append(starts, len(own)))
    tasks = [starts[length == size][:, None] + np.arange(size) for size in np.unique(length)]

    def permute() -> np.ndarray:
        drawn = own.copy()
        for places in tasks:
            drawn[places] = own[places[rng.permutation(len(places))]]
        return drawn

    return permute, PERMUTED


def _redrawing(
    answers: Answers, design: Design, a: int, rng: np.random.Generator
) -> Callable[[], np.ndarray]:
    """Return what draws levels of an attribute given those of its block."""
    block = next(block for block in design.blocks if a in block.attributes)
    place = block.attributes.index(a)
    others = np.delete(block.cells, place, axis=1)
    patterns, which = np.unique(others, axis=0, return_inverse=True)
    chances = np.zeros((len(patterns), design.shape[a]))
    np.add.at(chances, (which.ravel(), block.cells[:, place]), block.probabilities)
    ends = np.cumsum(chances / chances.sum(axis=1, keepdims=True), axis=1)
    cell = block.cell_of(answers.codes)
    limits = ends[which.ravel()[cell]]
    limits[:, -1] = 1.0

    def redraw() -> np.ndarray:
        drawn: np.ndarray = (rng.random(len(cell))[:, None] >= limits).sum(axis=1)
        return drawn

    return redraw


def _measure(answers: Answers, left: np.ndarray, levels: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return what computes the three statistics from (n,) levels.

    Sums of answers by level (and covariate) are the coefficients of a regression whose penalty outweighs the
    data; times those of another fold, or of another task, they are how well they predict it.
    """
    n, people = len(left), len(answers.fold)
    columns = left[:, None] * with_constant(answers.features)[answers.person]
    fold, person, task, at = answers.fold[answers.person], answers.person, answers.task, np.arange(n)
    tasks = int(task.max()) + 1

    def sums(unit: np.ndarray, units: int, values: np.ndarray, own: np.ndarray) -> np.ndarray:
        which = sparse.csr_matrix((np.ones(n), (unit * levels + own, at)), shape=(units * levels, n))
        added: np.ndarray = (which @ values).reshape(units, levels, -1)
        return added

    def measure(own: np.ndarray) -> np.ndarray:
        scale = 1 / np.sqrt(np.maximum(np.bincount(own, minlength=levels), 1))
        by_fold = sums(fold, FOLDS, columns, own) * scale[:, None]
        cross = (by_fold.sum(axis=0) ** 2 - (by_fold**2).sum(axis=0)).sum(axis=0)
        together, apart = (
            (
                (np.bincount(unit * levels + own, left, units * levels).reshape(units, levels) * scale) ** 2
            ).sum()
            for unit, units in ((person, people), (task, tasks))
        )
        return np.array([cross[0], cross[1:].sum(), together - apart])

    return measure
