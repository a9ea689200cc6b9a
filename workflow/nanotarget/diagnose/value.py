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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.petitions.design import Block, Design
from nanotarget.petitions.score import predicted_response

Pairs = Sequence[tuple[int, int]]


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


def policy_scores(
    fitted: Crossfit, petitions: np.ndarray, order: int, pairs: Pairs = (), linear: bool = False
) -> PolicyScores:
    """Score a policy for every respondent with models that have not seen the answers they are scored on.

    psi_i = mean over profiles of [ f_i(p_i) + w_q(x, p_i) (y - f_i(x)) ].

    For a choice f(x) is the probability given the others shown. On a scale with ends f_i is the ordinal
    link (`calibrate.link`), averaged over what the respondent's *other* tasks say about the level; for an
    open measurement, and a choice among more than two, it is the prediction plus the mean residual of the
    other tasks. Petitions
    of different tasks are independent, so that the other tasks remove the level without bias
    (docs/methods.md, section 3). In a panel f and p_i are those of the profile's fold, learned from the
    respondent's tasks in the other folds.

    Args:
        petitions: (n_units, n_attributes) petition of each unit of `fitted` under the policy.
        order, pairs: of the truncated weights, see `policy_weights`.
        linear: whether to take a scale for one without ends.
    """
    data, unit = fitted.data, fitted.unit
    if not data.response.own_level:
        plug_in = predicted_response(fitted.utilities, petitions, fitted.intercept, data.response)[unit]
        eta = fitted.utilities.utility_of_rows(data.levels, unit)
        average, residual = plug_in, data.response.residual(data.outcome, fitted.intercept[unit], eta)
    elif fitted.links and not linear:
        plug_in, residual = _on_scale(fitted, petitions)
        average = plug_in
    else:
        plug_in = predicted_response(fitted.utilities, petitions, fitted.intercept, data.response)[unit]
        residual, level = _residuals(fitted)
        average, residual = plug_in + level, residual - level
    weight = policy_weights(data.levels, petitions[unit], data.design, order, pairs)
    scores = data.respondent_means(average + weight * residual)
    return PolicyScores(scores, data.respondent_means(plug_in))


def _on_scale(fitted: Crossfit, petitions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return by row the expected answer to the policy's petition, and the residual of the answer given."""
    data = fitted.data
    row, unit, own = _rows_of_units(fitted)
    index = fitted.intercept[unit] + fitted.utilities.utility_of_rows(data.levels[row], unit)
    chosen = fitted.intercept + fitted.utilities.utility_of(petitions)
    expected, residual = np.empty((2, len(row)))
    for f, link in enumerate(fitted.links):
        of = np.flatnonzero(fitted.unit_fold[unit] == f)
        answers = data.outcome[row[of]]
        level = link.level_elsewhere(index[of], answers, unit[of], data.task[row[of]])
        expected[of] = link.expected(chosen[unit[of]], level)
        residual[of] = answers - link.expected(index[of], level)
    return expected[own], residual[own]


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
