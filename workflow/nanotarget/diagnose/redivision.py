"""Dividing the calibration again and again: rules of many divisions, and how they score.

Ridge regression of ratings is fitted to all divisions from the same moments: a division costs the Gram
matrices of its folds and a few solutions. Each respondent keeps the penalties of the study's own model that
has not seen her, so that no choice of a penalty has seen the answers that it is judged by, and its
interactions of attributes, which are common to all and uncorrelated with what is fitted. Other learners,
choices and panels are fitted anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import scipy.linalg

from nanotarget.calibrate.learners.base import AdditiveModel, Model, TrainingData
from nanotarget.calibrate.learners.crossfit import Crossfit, assign_folds, fit_folds
from nanotarget.calibrate.learners.ridge import (
    PAIR,
    PENALTY_NAMES,
    Regression,
    equations_of,
    packed,
    second_moments,
    solve,
)
from nanotarget.diagnose.dividend import Dividend
from nanotarget.diagnose.divisions import LEAST, Divisions, Gains
from nanotarget.diagnose.folds import Rules
from nanotarget.diagnose.quantities import Quantity
from nanotarget.diagnose.rows import Sample
from nanotarget.diagnose.value import Scores
from nanotarget.petitions.design import Pairs
from nanotarget.petitions.encoding import CovariateEncoder
from nanotarget.petitions.score import best_petitions
from nanotarget.petitions.utilities import Layout, Tables, additive_layout

# Numbers of divisions after which it is seen whether there are enough: each a quarter more than the last.
CHECKED = np.ceil(LEAST * 1.25 ** np.arange(25)).astype(int).tolist()
PEOPLE_AT_ONCE = 4_000  # whose tables of pairs are in memory
MOST_RULES = 20  # divisions into halves whose rules are kept: what is noise in them needs no more


class Limits(NamedTuple):
    """What divisions there are.

    Attributes:
        folds: of a division that is not into halves.
        most: divisions of either kind, even if estimates are not reproducible then.
        own_answers: whether folds hold tasks of every respondent.
    """

    folds: int
    most: int
    own_answers: bool = False


class Divided(NamedTuple):
    """A division of a goal.

    Attributes:
        gains: (n_respondents,) scores of nano less overall-best, by rules that have not seen her.
        divergent: (n_respondents,) share of her rows with another petition than overall-best.
        nano, best: (n_units, n_attributes) petitions of these rules.
        rules: of every fold left out, what it gives to everybody; None where nobody asks.
    """

    gains: np.ndarray
    divergent: np.ndarray
    nano: np.ndarray
    best: np.ndarray
    rules: Rules | None = None


class Divider(Protocol):
    """What divides a calibration."""

    def divide(self, fold: np.ndarray, everybody: bool) -> Mapping[str, Divided]:
        """Learn and score the rules of a division, by goal.

        Args:
            fold: (n_rows,) fold of each row.
            everybody: whether to return rules.
        """


@dataclass(frozen=True)
class Refitter:
    """Divisions by fitting a learner anew.

    Attributes:
        data: the calibration.
        fit: from training data and the name of the part left out to a model.
        goals: support, dissuade.
        order, pairs: of the weights, see `value.policy_weights`.
    """

    data: TrainingData
    fit: Callable[[TrainingData, str], Model]
    goals: Sequence[str]
    order: int = 1
    pairs: Pairs = ()

    def divide(self, fold: np.ndarray, everybody: bool) -> Mapping[str, Divided]:
        """See `Divider`."""
        fitted = fit_folds(self.data, fold, self.fit, "fold")
        return {goal: self._of_goal(fitted.for_goal(goal), everybody) for goal in self.goals}

    def _of_goal(self, fitted: Crossfit, everybody: bool) -> Divided:
        dividend = Dividend(fitted, self.order, self.pairs)
        gains = dividend.gains(dividend.estimator)
        rules = Rules.of(fitted) if everybody else None
        shown = dividend.petitions
        nano, best = shown[Quantity.NANO], shown[Quantity.OVERALL_BEST]
        return Divided(gains, dividend.divergent, nano, best, rules)


@dataclass(frozen=True)
class RidgeDivider:
    """Divisions by ridge regression of ratings, from moments that all of them share.

    Attributes:
        fitted: cross-fitted ridge, which has the penalties and says how respondents' rows are held out.
        scores: of support, by models of which none has seen the respondent it scores.
        goals: support, dissuade.
        moments: by respondent, see `moments_of`.
    """

    fitted: Crossfit
    scores: Scores
    goals: Sequence[str]
    moments: tuple[np.ndarray, np.ndarray]

    @classmethod
    def applies(cls, fitted: Crossfit) -> bool:
        """Return whether a cross-fit is of ridge regression of ratings."""
        data = fitted.data
        if data.response.paired or (fitted.fold[data.starts][data.respondent] != fitted.fold).any():
            return False
        return all(
            isinstance(model, AdditiveModel) and set(PENALTY_NAMES) <= set(model.fit)
            for model in fitted.models
        )

    @property
    def _models(self) -> list[AdditiveModel]:
        return [model for model in self.fitted.models if isinstance(model, AdditiveModel)]

    @cached_property
    def _unseen_by(self) -> np.ndarray:
        """(n_respondents,) which of the study's models has not seen a respondent."""
        return self.fitted.fold[self.fitted.data.starts]

    @cached_property
    def _layout(self) -> Layout:
        """Single attributes, then the pairs that interact in any model."""
        pairs = dict.fromkeys(s for model in self._models for s in model.layout.subsets if len(s) > 1)
        single = additive_layout(self.fitted.data.design)
        return replace(single, subsets=(*single.subsets, *pairs))

    @cached_property
    def _pairs(self) -> np.ndarray:
        """(n_models, n_cells of pairs) what the study's models say of them; zero where one has none."""
        singles = self.problem.layout.n_cells
        cells = np.zeros((len(self._models), self._layout.n_cells - singles))
        for own, model in zip(cells, self._models, strict=True):
            if model.layout.n_cells > singles:
                own[:] = model.coefficients[0, singles:]
        return cells

    @cached_property
    def problem(self) -> Regression:
        """What is regressed on what."""
        data = self.fitted.data
        encoder = CovariateEncoder.fit(data.respondents, data.covariates, curved=True)
        features = encoder.encode(data.respondents)
        whole = Regression(data, features, encoder.curved, additive_layout(data.design))
        return whole.restricted(self._distinct[0].min(axis=0))

    @cached_property
    def _distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """(n_distinct, 4) penalties of the study's models, and (n_models,) which each has.

        Candidates are steps of at least 10^.25; what differs less is the size of the training sets.
        """
        of_models = [[model.fit[name] for name in PENALTY_NAMES] for model in self._models]
        penalties = np.array(of_models, dtype=float)  # files have nothing for infinity
        penalties[np.isnan(penalties)] = penalties[:, PAIR] = np.inf
        _, first, which = np.unique(
            np.round(8 * np.log10(penalties)), axis=0, return_index=True, return_inverse=True
        )
        return penalties[first], which.ravel()

    @cached_property
    def _contrasts(self) -> np.ndarray:
        """(r, n_cells) what the coefficients of the contrasts of single attributes say of levels."""
        return scipy.linalg.block_diag(*self.problem.contrasts).T

    @cached_property
    def _whole(self) -> tuple[np.ndarray, np.ndarray]:
        """The normal equations of everybody."""
        return equations_of(*self.moments, self.problem.z, self.fitted.data.weight)

    def _equations(self, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the normal equations of some respondents."""
        gram, cross = (part[members] for part in self.moments)
        return equations_of(gram, cross, self.problem.z[members], self.fitted.data.weight[members])

    def divide(self, fold: np.ndarray, everybody: bool) -> Mapping[str, Divided]:
        """See `Divider`."""
        data = self.fitted.data
        fold_of = fold[data.starts]
        folds = [np.flatnonzero(fold_of == f) for f in range(fold_of.max() + 1)]
        gram, cross = self._whole
        of_last = np.zeros_like(gram), np.zeros_like(cross)  # what it learns from: all other folds
        everyone, rules = np.arange(data.n_respondents), []
        for members in folds:
            training = np.delete(everyone, members)
            given = everyone if everybody else members
            if members is folds[-1]:
                rules.append(self._rules(*of_last, training, given))
                continue
            own_gram, own_cross = self._equations(members)
            np.add(of_last[0], own_gram, out=of_last[0])
            np.add(of_last[1], own_cross, out=of_last[1])
            rules.append(self._rules(gram - own_gram, cross - own_cross, training, given))
        return {goal: self._divided(rules, fold_of, goal == "dissuade") for goal in self.goals}

    def _rules(
        self, gram: np.ndarray, cross: np.ndarray, training: np.ndarray, given: np.ndarray
    ) -> LearnedTables:
        """Return what is learned from the normal equations of some respondents, and said of others."""
        problem, data = self.problem, self.fitted.data
        weight = data.weight[training]
        mean = weight @ problem.z[training] / weight.sum()
        distinct, which = self._distinct
        singles, unseen_by = problem.layout.n_cells, self._unseen_by[given]
        cells, common = np.empty((len(given), singles)), np.zeros((len(which), singles))
        for k, penalties in enumerate(distinct):
            own = np.flatnonzero(which[unseen_by] == k)
            if not len(own):
                continue
            penalty = penalties[problem.group]
            kept = np.flatnonzero(np.isfinite(penalty))
            solution = np.zeros(len(penalty))
            # Survey weights have mean 1 among those learned from.
            part = gram if len(kept) == len(gram) else gram[np.ix_(kept, kept)]
            solution[kept] = solve(part, cross[kept], penalty[kept] * weight.mean())
            tables = solution.reshape(problem.z.shape[1], -1) @ self._contrasts
            cells[own] = problem.z[given[own]] @ tables
            common[which == k] = mean @ tables
        return LearnedTables(cells, common, given)

    def _divided(self, learned: Sequence[LearnedTables], fold_of: np.ndarray, worst: bool) -> Divided:
        own, common = (np.vstack([part[i] for part in learned]) for i in range(2))
        unseen_by = np.concatenate([self._unseen_by[part.given] for part in learned])
        nano = self._best(own, unseen_by, worst)
        every_model = np.tile(np.arange(len(self._models)), len(learned))
        overall = self._best(common, every_model, worst).reshape(len(learned), len(self._models), -1)
        best = np.concatenate([overall[f, self._unseen_by[part.given]] for f, part in enumerate(learned)])
        rules, n = None, len(fold_of)
        place = np.argsort(np.concatenate([part.given for part in learned]), kind="stable")
        if len(nano) > n:  # everybody under every rule
            design = self._layout.design
            smallest = np.min_scalar_type(max(design.shape))  # many are kept
            given, alike = (part.reshape(len(learned), n, -1).astype(smallest) for part in (nano, best))
            rules = Rules(given, alike, design)
            place = fold_of * n + np.arange(n)
        nano, best = nano[place], best[place]
        apart = (nano != best).any(axis=1).astype(float)
        gains = self.scores.gain(nano, best)
        return Divided(-gains if worst else gains, apart, nano, best, rules)

    def _best(self, cells: np.ndarray, model: np.ndarray, worst: bool) -> np.ndarray:
        """Return the best petitions of (n, n_cells of single attributes) utilities.

        Args:
            model: (n,) which of the study's models has their pairs, and is the same for all of a search.
            worst: whether outcomes are to be as low as possible.
        """
        petitions = np.empty((len(cells), len(self._layout.design.shape)), dtype=np.int64)
        paired = np.any(self._pairs, axis=1)
        alone = np.flatnonzero(~np.isin(model, np.flatnonzero(paired)))
        petitions[alone] = best_petitions(Tables(self.problem.layout, cells[alone]), worst)
        for k in np.flatnonzero(paired):
            rows = np.flatnonzero(model == k)
            for start in range(0, len(rows), PEOPLE_AT_ONCE):
                own = rows[start : start + PEOPLE_AT_ONCE]
                whole = np.hstack(
                    [cells[own], np.broadcast_to(self._pairs[k], (len(own), self._pairs.shape[1]))]
                )
                petitions[own] = best_petitions(Tables(self._layout, whole), worst)
        return petitions


class LearnedTables(NamedTuple):
    """What is learned without a fold.

    Attributes:
        cells: (n, n_cells of single attributes) utilities of some respondents.
        common: (n_models, n_cells of single attributes) average utilities of those learned from, with the
            penalties of each of the study's models.
        given: (n,) which respondents.
    """

    cells: np.ndarray
    common: np.ndarray
    given: np.ndarray


def moments_of(data: TrainingData) -> tuple[np.ndarray, np.ndarray]:
    """Return products of contrasts of single attributes (none twice), and of contrasts and answers.

    Returns:
        (n_respondents, r (r + 1) / 2) and (n_respondents, r), made of few respondents at a time.
    """
    none = np.empty((data.n_respondents, 0))
    problem = Regression(data, none, np.empty(0, dtype=bool), additive_layout(data.design))
    grams, crosses = list[np.ndarray](), list[np.ndarray]()
    for part in data.parts(PEOPLE_AT_ONCE):
        contrasts, answers = problem.compared(part, slice(None)), part.compared(part.outcome)
        moments = second_moments(contrasts, answers, np.ones(len(answers)), part.starts)
        grams.append(packed(moments.gram))
        crosses.append(moments.cross)
    return np.concatenate(grams), np.concatenate(crosses)


def dividers(
    fitted: Crossfit,
    halves: Crossfit,
    fit: Callable[[TrainingData, str], Model],
    allowed: tuple[int, Pairs] = (1, ()),
    goals: Sequence[str] = ("support", "dissuade"),
) -> tuple[Divider, Divider]:
    """Return what divides a calibration into halves, and into folds.

    Args:
        fitted, halves: the study's own cross-fits.
        fit: its learner, from training data and the name of the part left out to a model.
        allowed: order of the weights and pairs, see `inputs.allowed_interactions`.
        goals: support, dissuade.
    """
    if RidgeDivider.applies(fitted) and RidgeDivider.applies(halves):
        scores, moments = Scores(fitted, *allowed), moments_of(fitted.data)
        return RidgeDivider(halves, scores, goals, moments), RidgeDivider(fitted, scores, goals, moments)
    anew = Refitter(fitted.data, fit, goals, *allowed)
    return anew, anew


def redivide(
    halved: Divider, folded: Divider, data: TrainingData, limits: Limits, seed: int
) -> dict[str, Divisions]:
    """Divide into halves and into folds until the estimates are reproducible, see `Gains.reproducible`.

    Args:
        halved, folded: what learns and scores.
        data: the calibration.
        limits: what divisions there are.
        seed: root seed.

    Returns:
        By goal, what the divisions say.
    """
    halves = _grown(halved, data, 2, limits, seed, {})
    rules = {goal: own.rules for goal, own in halves.items()}
    folds = _grown(folded, data, limits.folds, limits, seed, rules)
    return {goal: replace(own, folds=folds[goal].folds) for goal, own in halves.items()}


def _grown(
    divider: Divider,
    data: TrainingData,
    folds: int,
    limits: Limits,
    seed: int,
    known: Mapping[str, Sequence[Rules]],
) -> dict[str, Divisions]:
    """Return divisions of one kind, in the place of both, with the rules of halves unless they are known."""
    everybody = Sample.of(data.weight)
    # Without the petitions of all divisions, which nobody asks for again.
    divided: dict[str, list[tuple[np.ndarray, np.ndarray, Rules | None]]] = {}
    found: dict[str, Divisions] = {}
    checked = {*CHECKED, limits.most}
    for division in range(1, limits.most + 1):
        fold = assign_folds(data, folds, seed, limits.own_answers, f"diagnose/{folds} folds/{division}")
        for goal, new in divider.divide(fold, not known and division <= MOST_RULES).items():
            divided.setdefault(goal, []).append((new.gains, new.divergent, new.rules))
        if division not in checked:
            continue
        found = {}
        for goal, parts in divided.items():
            scores, divergent, learned = zip(*parts, strict=True)
            gains = Gains(np.array(scores), np.array(divergent), folds)
            rules = known.get(goal) or [rules for rules in learned if rules]
            found[goal] = Divisions(gains, gains, rules)
        if all(own.reproducible(everybody) for own in found.values()):
            break
    return found
