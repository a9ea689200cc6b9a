"""Honest value of a policy from randomised petitions: doubly robust with truncated-ANOVA weights.

The full inverse-probability weight of one petition among 28,125 is useless: almost nobody saw it.
If responses have no interactions of attributes of order above q, the weight can be replaced by its
projection on functions of order <= q (the ANOVA form of pseudo-inverse and marginalised
importance weights; cf. Swaminathan et al. 2017, "Off-policy evaluation for slate recommendation"):
    w_q(x, p) = sum of all products of at most q factors U_a,  U_a = 1{x_a = p_a} / prob_a(x_a) - 1,
with variance 24 instead of 28,124 at q = 1 in the reference design. Products of two factors may be
kept for some pairs of attributes only, those that interact. A model of the response takes
up what it knows of higher interactions (doubly robust). Probabilities to be chosen always have some,
as the logistic curve bends: what the model misses of them biases order 1, which is why order 2 is
reported beside it.

The estimand is an average over respondents (with their survey weights), however many tasks each did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.calibrate.link import NODES, OrdinalLink
from nanotarget.petitions.design import Block, Design, Pairs
from nanotarget.petitions.score import predicted_response

UNITS_AT_ONCE = 300  # whose levels are in memory at once
FLATTEST = 0.15  # of the mean slope of a scale's curve: a residual is not divided by less


def block_kernel(block: Block, order: int, shown: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the (n,) kernel U of a block between cells shown and cells that a policy would show.

    U(x, p) = g(x)' g(p) with g an orthonormal basis of the functions of at most `order` attributes of the
    block (`Block.functions`), so that E[(1 + U(x, p)) f(x)] = f(p) for every f in their span. For a block
    of one attribute this is 1{x = p} / prob(x) - 1. No pair of cells is computed
    that is not asked for: a block may have thousands of cells.

    Args:
        shown, chosen: (n,) indices of cells.
    """
    basis = block.functions(order)
    return np.einsum("ij,ij->i", basis[shown], basis[chosen])


def policy_weights(
    shown: np.ndarray, chosen: np.ndarray, design: Design, order: int, pairs: Pairs = ()
) -> np.ndarray:
    """Return the (n,) weights w_q of petitions shown for the petitions a policy would have shown.

    Args:
        shown: (n, n_attributes) petitions drawn from the design.
        chosen: (n, n_attributes) petitions of the policy for the same respondents.
        order: 1 or 2, the highest order of interaction between attributes that is allowed for.
        pairs: indices of two blocks of attributes each that are allowed to interact at order 1, too.
    """
    if order not in (1, 2):
        raise ValueError("order must be 1 or 2")
    first = np.zeros((len(design.blocks), len(shown)))
    total = np.ones(len(shown))
    for b, block in enumerate(design.blocks):
        x, p = block.cell_of(shown), block.cell_of(chosen)
        first[b] = block_kernel(block, 1, x, p)
        total += first[b] if order == 1 else block_kernel(block, order, x, p)
    if order == 2:
        total += (first.sum(axis=0) ** 2 - (first**2).sum(axis=0)) / 2
    else:
        total += sum(first[a] * first[b] for a, b in pairs)
    return total


@dataclass(frozen=True)
class PolicyScores:
    """Respondent-level scores of one policy; their mean estimates its value.

    Attributes:
        value: (n_respondents,) doubly robust score in outcome units.
        plug_in: (n_respondents,) what the model alone promises.
    """

    value: np.ndarray
    plug_in: np.ndarray


@dataclass(frozen=True)
class Scores:
    """Scores of whatever policies, by models that have not seen the answers they are scored on.

    psi_i(p) = mean over profiles of [ f_i(p) + w_q(x, p) (y - f_i(x)) ].

    For a choice f(x) is the probability given the others shown. On a scale with ends f_i is the ordinal
    link (`calibrate.link`), averaged over what the respondent's *other* tasks say about the level; for an
    open measurement, and a choice among more than two, it is the prediction plus the mean residual of the
    other tasks. Petitions of different tasks are independent, so that the other tasks remove the level
    without bias (docs/methods.md, section 3). In a panel f and p are those of the profile's fold, learned
    from the respondent's tasks in the other folds.

    Weights of order 1 are linear in the functions of the petition that the policy gives, so that a unit's
    answers enter through their mean products with these functions, however many policies are scored.

    On a scale with ends it is the index f_i is a curve of that is wrong by a sum over attributes, not the
    answer: residuals are divided by the slope of the curve at the petition shown, and what weights find is
    multiplied by its slope at the policy's petition. In answers the best petitions, near the upper end where
    the curve is flat, would be corrected as if it were as steep there as at a random one.

    What weights do not correct is not taken from the models either. A petition that was chosen by a model is
    one of which it says too much; of interactions between attributes that weights of order 1 do not allow for
    this would stay in the score. f is then the projection of the model on what they allow for
    (`utilities.projected`), as is the answer that they find.

    Attributes:
        fitted: the models.
        order, pairs: of the truncated weights, see `policy_weights`.
        linear: whether to take a scale for one without ends.
    """

    fitted: Crossfit
    order: int = 1
    pairs: Pairs = ()
    linear: bool = False

    @cached_property
    def _models(self) -> Crossfit:
        """What of the models is scored with."""
        return self.fitted.projected(self.pairs) if self.order == 1 else self.fitted

    def of(self, petitions: np.ndarray) -> PolicyScores:
        """Score a policy for every respondent.

        Args:
            petitions: (n_units, n_attributes) petition of each unit of `fitted` under the policy.
        """
        fitted = self._models
        expected = self._expected(petitions)
        units = expected + self._level + self._corrections(petitions)
        return PolicyScores(fitted.respondent_means(units), fitted.respondent_means(expected))

    def gain(self, petitions: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return the (n_respondents,) scores of a policy less those of another; fast where many agree.

        Args:
            petitions, others: (n_units, n_attributes) petitions of each unit under either policy.
        """
        if self.order != 1 or self._models.data.response.paired:
            return self.of(petitions).value - self.of(others).value
        apart = np.flatnonzero((petitions != others).any(axis=1))
        chosen, other = petitions[apart], others[apart]
        change = self._expected_of(chosen, apart) - self._expected_of(other, apart)
        change += self._weighted(chosen, apart) - self._weighted(other, apart)
        units = np.zeros(len(petitions))
        units[apart] = change
        return self._models.respondent_means(units)

    @cached_property
    def _on_scale(self) -> bool:
        return bool(self._models.links) and not self.linear

    @cached_property
    def _answers(self) -> tuple[np.ndarray, np.ndarray]:
        """(n_rows,) residuals; and on a scale the (n_units, nodes) mean probabilities of a unit's level.

        Elsewhere these are the (n_units, 1) mean level of a unit's other tasks.
        """
        fitted, data = self._models, self._models.data
        if not data.response.own_level:
            eta = fitted.utilities.utility_of_rows(data.levels, fitted.unit)
            residual = data.response.residual(data.outcome, fitted.intercept[fitted.unit], eta)
            return residual, np.zeros((len(fitted.respondent), 1))
        if self._on_scale:
            return self._answers_on_scale[:2]
        residual, level = _residuals(fitted)
        return residual - level, self._means(level[:, None])

    @cached_property
    def _answers_on_scale(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return _on_scale(self._models)

    @cached_property
    def _errors(self) -> np.ndarray:
        """(n_rows,) residuals; on a scale what they say of the index."""
        residual = self._answers[0]
        return residual / self._answers_on_scale[2] if self._on_scale else residual

    @cached_property
    def _level(self) -> np.ndarray:
        """(n_units,) what answers add to every petition alike."""
        residual, level = self._answers
        same = self._means(residual[:, None])[:, 0]
        return same if self._on_scale else same + level[:, 0]

    def _expected(self, petitions: np.ndarray) -> np.ndarray:
        """(n_units,) answer to the policy's petition as the model expects it."""
        fitted = self._models
        if fitted.data.response.paired:
            return predicted_response(fitted.utilities, petitions, fitted.intercept, fitted.data.response)
        return self._expected_of(petitions, np.arange(len(petitions)))

    def _expected_of(self, petitions: np.ndarray, units: np.ndarray) -> np.ndarray:
        """(k,) expected rating of one petition by each of some units."""
        fitted = self._models
        index = fitted.intercept[units] + fitted.utilities.utility_of_rows(petitions, units)
        if not self._on_scale:
            return index
        return self._by_link(OrdinalLink.expected, index, units)

    def _by_link(
        self, function: Callable[..., np.ndarray], index: np.ndarray, units: np.ndarray
    ) -> np.ndarray:
        """(k,) values of a function of each unit's link, index and probabilities of the level."""
        values, level, fold = np.empty(len(units)), self._answers[1], self._models.unit_fold[units]
        for f, link in enumerate(self._models.links):
            of = np.flatnonzero(fold == f)
            values[of] = function(link, index[of], level[units[of]])
        return values

    def _slope(self, petitions: np.ndarray, units: np.ndarray) -> np.ndarray | float:
        """(k,) slope of the curve of the scale at one petition of each of some units; else 1."""
        if not self._on_scale:
            return 1.0
        index = self._models.intercept[units] + self._models.utilities.utility_of_rows(petitions, units)
        return self._by_link(OrdinalLink.slope_at, index, units)

    def _corrections(self, petitions: np.ndarray) -> np.ndarray:
        """(n_units,) what weighted residuals add, less their plain mean."""
        fitted, design = self._models, self._models.data.design
        if self.order != 1:
            weight = policy_weights(fitted.data.levels, petitions[fitted.unit], design, self.order)
            found = self._means(((weight - 1) * self._errors)[:, None])[:, 0]
            return found * self._slope(petitions, np.arange(len(petitions)))
        return self._weighted(petitions, np.arange(len(petitions)))

    def _weighted(self, petitions: np.ndarray, units: np.ndarray) -> np.ndarray:
        """(k,) the same by weights of order 1 for one petition of each of some units."""
        given = [
            basis[block.cell_of(petitions)]
            for block, basis in zip(self._models.data.design.blocks, self._bases, strict=True)
        ]
        total = np.einsum("ij,ij->i", self._products[units], np.hstack(given))
        for (a, b), product in zip(self.pairs, self._products_of_pairs, strict=True):
            total += np.einsum("ijk,ij,ik->i", product[units], given[a], given[b])
        return total * self._slope(petitions, units)

    @cached_property
    def _bases(self) -> list[np.ndarray]:
        return [block.functions(1) for block in self._models.data.design.blocks]

    def _shown(self, block: int) -> np.ndarray:
        """(n_rows, rank) functions of the petitions shown, of a block."""
        data = self._models.data
        return self._bases[block][data.design.blocks[block].cell_of(data.levels)]

    @cached_property
    def _products(self) -> np.ndarray:
        """(n_units, total rank) mean products of errors and functions of the petitions shown."""
        blocks = range(len(self._bases))
        return np.hstack([self._means(self._errors[:, None] * self._shown(b)) for b in blocks])

    @cached_property
    def _products_of_pairs(self) -> list[np.ndarray]:
        """By pair, the (n_units, rank, rank) mean products of errors and functions of both blocks."""
        products = []
        for a, b in self.pairs:
            one, other = self._shown(a), self._shown(b)
            both = (self._errors[:, None] * one)[:, :, None] * other[:, None, :]
            products.append(self._means(both.reshape(len(both), -1)).reshape(-1, *both.shape[1:]))
        return products

    def _means(self, values: np.ndarray) -> np.ndarray:
        """Average (n_rows, k) values over the rows of each unit: (n_units, k)."""
        unit = self._models.unit
        if (np.diff(unit) < 0).any():
            order = np.argsort(unit, kind="stable")
            unit, values = unit[order], values[order]
        starts = np.flatnonzero(np.diff(unit, prepend=-1))
        return np.add.reduceat(values, starts) / np.bincount(unit)[:, None]


def policy_scores(
    fitted: Crossfit, petitions: np.ndarray, order: int, pairs: Pairs = (), linear: bool = False
) -> PolicyScores:
    """Score one policy, see `Scores`.

    Args:
        petitions: (n_units, n_attributes) petition of each unit of `fitted` under the policy.
    """
    return Scores(fitted, order, pairs, linear).of(petitions)


def _on_scale(fitted: Crossfit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the (n_rows,) residuals of answers, (n_units, nodes) mean probabilities of levels, and slopes.

    Slopes are the (n_rows,) of the curve at the petitions shown. Probabilities of all rows are not in memory
    at once.
    """
    data = fitted.data
    row, unit, _ = _rows_of_units(fitted)
    index = fitted.intercept[unit] + fitted.utilities.utility_of_rows(data.levels[row], unit)
    residual, slope = np.empty((2, len(data.outcome)))
    levels, steep = np.empty((len(fitted.respondent), len(NODES))), np.empty(len(row))
    for f, link in enumerate(fitted.links):
        of = np.flatnonzero(fitted.unit_fold[unit] == f)
        starts = np.flatnonzero(np.diff(unit[of], prepend=-1))
        for part in np.split(of, starts[UNITS_AT_ONCE::UNITS_AT_ONCE]):
            shown, who = row[part], unit[part]
            answers = data.outcome[shown]
            level = link.level_elsewhere(index[part], answers, who, data.task[shown])
            steep[part] = link.slope_at(index[part], level)
            own = np.flatnonzero(fitted.unit[shown] == who)
            shown, who, level = shown[own], who[own], level[own]
            residual[shown] = answers[own] - link.expected(index[part][own], level)
            slope[shown] = steep[part][own]
            first = np.flatnonzero(np.diff(who, prepend=-1))
            levels[who[first]] = np.add.reduceat(level, first) / np.diff(np.append(first, len(who)))[:, None]
        rows = np.flatnonzero(fitted.fold == f)
        slope[rows] = np.maximum(slope[rows], FLATTEST * steep[of].mean())
    return residual, levels, slope


def _residuals(fitted: Crossfit) -> tuple[np.ndarray, np.ndarray]:
    """Return the (n_rows,) residual of each answer and the respondent's mean residual in the other tasks.

    Both are of the model of the answer's own fold, which in a panel knows the other tasks but not this one.
    """
    data = fitted.data
    row, unit, own = _rows_of_units(fitted)
    eta = fitted.utilities.utility_of_rows(data.levels[row], unit)
    residual = data.response.residual(data.outcome[row], fitted.intercept[unit], eta)
    others = other_task_means(residual, unit, data.task[row])
    return residual[own], others[own]


def _rows_of_units(fitted: Crossfit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows of each unit's respondent, their units, and where each row stands in its own unit."""
    data = fitted.data
    counts = np.bincount(data.respondent, minlength=data.n_respondents)[fitted.respondent]
    unit = np.repeat(np.arange(len(counts)), counts)
    row = data.starts[fitted.respondent][unit] + np.arange(len(unit)) - (np.cumsum(counts) - counts)[unit]
    own = np.flatnonzero(fitted.unit[row] == unit)
    return row, unit, own[np.argsort(row[own], kind="stable")]


def other_task_means(values: np.ndarray, respondent: np.ndarray, task: np.ndarray) -> np.ndarray:
    """Return for each row the mean of a respondent's values in the other tasks (0 without any)."""
    new_person = np.append(True, np.diff(respondent) != 0)
    new_task = new_person | np.append(True, np.diff(task) != 0)
    starts = np.flatnonzero(new_task)
    task_sum = np.add.reduceat(values, starts)
    task_count = np.diff(np.append(starts, len(values)))
    person_of_task = np.cumsum(new_person)[starts] - 1
    total = np.bincount(person_of_task, weights=task_sum)[person_of_task]
    count = np.bincount(person_of_task, weights=task_count)[person_of_task]
    others = np.divide(
        total - task_sum, count - task_count, out=np.zeros_like(total), where=count > task_count
    )
    return others[np.cumsum(new_task) - 1]


def random_scores(data: TrainingData) -> np.ndarray:
    """Return the (n_respondents,) mean outcome of each: the score of the design's random petition."""
    return data.respondent_means(data.outcome)
