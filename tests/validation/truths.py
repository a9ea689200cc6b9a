"""What a diagnosis should find in a sample whose preferences are known, computed without sampling noise.

Ratings: everything in rating points; on a scale with ends they are exact means over the noise, of the answers
that latent ratings fall on. Choices: in probability to be chosen from a pair whose other petition is
drawn from the design, under the latent model (the higher of two responses with normal noise of variance 1
each), exactly, by quadrature. Only slopes and predictable
variances of choices have a simulated part, whose error is far below that of any estimate.
"""

from __future__ import annotations

import itertools
from functools import cached_property

import numpy as np
from scipy import special

from nanotarget.diagnose.ceiling import Contest, gain_ceiling
from nanotarget.diagnose.covariance import Covariance
from nanotarget.diagnose.quantities import Quantity
from nanotarget.petitions import policy
from nanotarget.petitions.score import best_petitions, landscape
from nanotarget.petitions.utilities import Tables, average

# Phi(t / sqrt(2)) = 1/2 + 1/pi int_0^inf sin(w t) exp(-w^2) / w dw: it ends where exp(-w^2) < 1e-15,
# and its nodes follow the waves of all differences of utility below about 20.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
FREQUENCIES = 3 * (_NODES + 1)
FREQUENCY_WEIGHTS = 3 * _WEIGHTS * np.exp(-(FREQUENCIES**2)) / (np.pi * FREQUENCIES)
GOALS = ("support", "dissuade")
PAIRS = 30  # of petitions a person, for the slopes of choices
ROUNDING = 1e-12
PEOPLE_AT_ONCE = 50  # respondents whose utilities of all petitions are in memory


def spans(design):
    """Return the slice of each attribute's levels."""
    return [slice(a, b) for a, b in itertools.pairwise(np.cumsum([0, *design.shape]))]


def chances(design):
    """Return (total levels,) probabilities of the levels of each attribute."""
    return np.concatenate([design.level_probabilities(a) for a in range(len(design.shape))])


class Preferences:
    """Known utilities, and the responses that they make people give on average.

    Attributes:
        utilities: of the respondents, as tables; for a choice part-worths only.
        regime: how they are asked: choices or ratings, and on which scale.
        level: (n,) respondents' own mean ratings, where a scale has ends.
    """

    def __init__(self, utilities, regime, level=0.0):
        self.utilities, self.regime, self.level = utilities, regime, level
        self.paired = regime.outcome == "choice"
        self.spans = spans(utilities.design)

    def response(self, petitions):
        """Return the (n,) true expected response of each respondent to one petition."""
        own = self.utilities.utility_of(petitions)
        if self.regime.scale is not None:
            return self.regime.scale.expected(own + self.level, self.regime.noise)
        if not self.paired:
            return own
        waves = np.exp(1j * np.outer(FREQUENCIES, own)) * np.prod(self.means.conj(), axis=1)
        return 0.5 + self.frequency_weights @ waves.imag

    @property
    def frequency_weights(self):
        """Weights of the frequencies; a petition is as often the first of its task as the second."""
        return FREQUENCY_WEIGHTS * np.cos(FREQUENCIES * self.regime.left)

    @cached_property
    def effects(self):
        """(n, total levels) mean response to each level, less the mean of all petitions."""
        if not self.paired:
            return self.utilities.level_means()
        total = np.zeros(self.utilities.cells.shape)
        chance = chances(self.utilities.design)
        for frequency, weight in zip(FREQUENCIES, self.frequency_weights, strict=True):
            wave = np.exp(1j * frequency * self.utilities.cells)
            means = np.array([wave[:, span] @ chance[span] for span in self.spans])
            for a, span in enumerate(self.spans):
                # The attribute has the level in the petition, and is averaged in its opponent.
                others = np.prod(np.abs(np.delete(means, a, axis=0)) ** 2, axis=0) * means[a].conj()
                total[:, span] += weight * (wave[:, span] * others[:, None]).imag
        return total

    @cached_property
    def means(self):
        """(n_frequencies, n_attributes, n) characteristic function of the part-worths of each attribute."""
        cells, chance = self.utilities.cells, chances(self.utilities.design)
        return np.array(
            [
                [np.exp(1j * frequency * cells[:, span]) @ chance[span] for span in self.spans]
                for frequency in FREQUENCIES
            ]
        )


def truths(sample, fitted, rules, rng):
    """Return what a diagnosis should find: goal -> group -> quantity -> number.

    Variances, slopes and the ceilings computed from them are left out where a scale has ends or levels
    depend on each other.

    Args:
        fitted: the study's cross-fit, of which slopes are.
        rules: by goal and number of folds, the petitions that are valued (`replicate.Divided`).
        rng: for the simulated parts of choices.
    """
    others, weight = people_alike(sample, rng), sample.data.weight
    parts = Parts(sample, fitted, rng) if sample.additive else None
    goals = list(dict.fromkeys(goal for goal, _ in rules))
    known = {goal: {} for goal in goals}
    earned = {goal: gains(sample, rules, others, goal) for goal in goals}
    for label, who in sample.groups.items():
        for goal in goals:
            known[goal][label] = {
                policy: np.average(gain[who], weights=weight[who]) for policy, gain in earned[goal].items()
            }
            if parts:
                known[goal][label] |= parts.of(who, -1 if goal == "dissuade" else 1)
    return known


class Parts:
    """What is additive: variances, slopes, and the ceilings computed from them."""

    def __init__(self, sample, fitted, rng):
        self.sample, self.twins = sample, twin_effects(sample, rng)
        self.products, self.squares = slope_moments(sample, fitted, rng)

    def of(self, who, sign):
        """Return the truths of a group of respondents for a goal: quantity -> number."""
        sample, design, weight = self.sample, self.sample.data.design, self.sample.data.weight[who]
        effects = [effects[who] for effects in (sample.preferences.effects, *self.twins)]
        first, second = (own - np.average(own, axis=0, weights=weight) for own in effects[1:])
        stable, predictable = stable_covariance(sample, who), covariance(first, second, design, weight)
        common = np.average(effects[0], axis=0, weights=weight)
        everything = common**2 @ chances(design), stable.variance[0]
        scale = Contest.of(*everything) if sample.data.response.paired else None
        predicted = (self.squares[who] > ROUNDING * sample.data.outcome.var()).any()
        return {
            Quantity.PERSON_BY_MESSAGE: everything[1],
            Quantity.BASELINE: sample.baseline**2,
            Quantity.COMMON: everything[0],
            Quantity.PREDICTABLE_VARIANCE: predictable.variance[0],
            Quantity.SLOPE: (weight @ self.products[who]) / (weight @ self.squares[who])
            if predicted
            else None,
            "G1": ceiling(design, sign * common, stable, scale),
            "G2": None if sample.regime.panel else ceiling(design, sign * common, predictable, scale),
        }


def ceiling(design, common, covariance, scale):
    """Return the library's gain ceiling at true common part-worths and the true covariance of deviations."""
    # Products of twins may have negative eigenvalues where nothing is predictable.
    return gain_ceiling(design, common[None], covariance.nearest(covariance.variance), scale)[0]


def covariance(first, second, design, weight):
    """Return the mean over people of products of two sets of effects, by pairs of levels of an attribute."""
    blocks = []
    for block, span in zip(design.blocks, spans(design), strict=True):
        one, other = (own[:, span] @ np.linalg.pinv(block.functions()).T for own in (first, second))
        product = (one * weight[:, None]).T @ other / weight.sum()
        blocks.append((product + product.T)[None] / 2)
    return Covariance(tuple(blocks))


def stable_covariance(sample, who):
    """Return the covariance of what some people add to their mean, over pairs of tasks."""
    own, weight = sample.preferences.effects[who], sample.data.weight[who]
    own = own - np.average(own, axis=0, weights=weight)
    total = covariance(own, own, sample.data.design, weight)
    if sample.fading is None:
        return total
    # The mean over pairs of different tasks, from that over all pairs and that of tasks with themselves.
    fading = np.moveaxis(sample.fading[who], 1, 0)
    n, same = len(fading), [covariance(part, part, sample.data.design, weight) for part in fading]
    blocks = zip(total.blocks, *(own.blocks for own in same), strict=True)
    return Covariance(tuple((n * whole - sum(parts) / n) / (n - 1) for whole, *parts in blocks))


def twin_effects(sample, rng):
    """Return twice (n, total levels) effects whose products are on average those of what covariates tell.

    A choice bends utilities, so what is a person's own must be averaged out: two people with the same
    covariates have only what these tell in common.
    """
    if not sample.data.response.paired:
        return sample.predictable.level_means(), sample.predictable.level_means()
    draws = (sample.world.utilities(sample.data.respondents, rng) for _ in range(2))
    return tuple(sample.responses(utilities).effects for utilities in draws)


def people_alike(sample, rng):
    """Return the preferences of other people with the same covariates: of ratings what they want on average.

    Rules of halves are valued by what they do for others: their own people's tastes have shaped them. In a
    panel that is what is asked for, and tasks that have not been seen are these same people's.
    """
    if sample.regime.panel:
        return sample.preferences
    if sample.regime.scale is None and not sample.data.response.paired:
        return sample.responses(sample.predictable)
    return sample.responses(sample.world.utilities(sample.data.respondents, rng))


def slope_moments(sample, fitted, rng):
    """Return (n,) products of true and predicted person-specific parts and (n,) squares of the predicted.

    What is predicted for a person is hers less the average of those whom her fold's model was trained on.
    Ratings: means over all petitions, exact. Choices: the parts are what they add to the probabilities that
    one petition beats another, and the means are over `PAIRS` random pairs a person.
    """
    if sample.data.response.paired:
        return slope_moments_of_choices(sample, fitted, rng)
    n = sample.data.n_respondents
    effects, share = sample.preferences.effects, shares_of_units(fitted)
    own = effects - np.average(effects, axis=0, weights=sample.data.weight)
    product, square = np.zeros(n), np.zeros(n)
    for f, (trained, weight) in enumerate(fitted.training()):
        units = np.flatnonzero(fitted.unit_fold == f)
        people, mass = fitted.respondent[units], share[units]
        common = average(trained, weight)
        for chunk in fitted.models[f].utilities(fitted.data.respondents.iloc[people]).chunks():
            part, rows = Tables(chunk.layout, chunk.cells.T - common.cells), people[chunk.rows]
            product[rows] += mass[chunk.rows] * (own[rows] * part.level_means() @ chances(part.design))
            square[rows] += mass[chunk.rows] * variance_over_petitions(part)
    return product, square


def shares_of_units(fitted):
    """Return the (n_units,) share of a respondent's answers that are of a unit: 1 but in a panel."""
    rows = np.bincount(fitted.unit)
    return rows / np.bincount(fitted.data.respondent)[fitted.respondent]


def slope_moments_of_choices(sample, fitted, rng):
    """See `slope_moments`."""
    data, who = sample.data, np.repeat(np.arange(sample.data.n_respondents), PAIRS)
    left = sample.regime.left
    sides = [data.design.draw(len(who), rng) for _ in range(2)]
    true, own = (
        np.subtract(*(u.utility_of_rows(side, who) for side in sides))
        for u in (sample.utilities, fitted.utilities)
    )
    common = np.subtract(*(fitted.common_utility(side, fitted.unit_fold[who]) for side in sides))
    expected = special.expit(common)
    chance = np.mean([special.ndtr((true + side) / np.sqrt(2)) for side in (left, -left)], axis=0)
    residual, predicted = chance - expected, special.expit(own) - expected
    return tuple(np.bincount(who, weights=values) for values in (residual * predicted, predicted**2))


def variance_over_petitions(utilities):
    """Return the (n,) variance of each person's utilities over all petitions, equally likely ones."""
    layout = utilities.layout
    some = [np.abs(utilities.cells[:, a:b]).max() > ROUNDING for a, b in itertools.pairwise(layout.offsets)]
    if all(len(subset) == 1 for subset, used in zip(layout.subsets, some, strict=True) if used):
        return utilities.level_means() ** 2 @ chances(utilities.design)
    parts = np.array_split(utilities.cells, -(-utilities.n // PEOPLE_AT_ONCE))
    return np.concatenate([landscape(Tables(layout, part)).var(axis=1) for part in parts])


def gains(sample, rules, others, goal):
    """Return what each respondent truly gains over the overall-best petition, by policy: (n,) each.

    Args:
        rules: see `truths`; gains are means over divisions.
        others: preferences of other people with the same covariates, for the rules of halves and of all.
        goal: support, or dissuade: towards the lowest response; a gain is then what the response falls more.
    """
    true, worst = sample.utilities, goal == "dissuade"
    best = policy.overall_best(true, sample.data.weight, worst)

    def gain(preferences, chosen, other):
        other = np.broadcast_to(other, chosen.shape)
        difference = preferences.response(chosen) - preferences.response(other)
        return -difference if worst else difference

    def mean_gain(preferences, folds):
        earned = [given.share * gain(preferences, given.nano, given.best) for given in rules[goal, folds]]
        return np.sum(earned, axis=0) / np.sum([given.share for given in rules[goal, folds]], axis=0)

    found = {
        "oracle": gain(sample.preferences, best_petitions(true, worst), best),
        "covariate oracle": gain(sample.preferences, best_petitions(sample.knowable, worst), best),
        Quantity.CROSS_HALF_GAIN: mean_gain(others, 2),
        Quantity.GAIN: mean_gain(sample.preferences, max(folds for _, folds in rules)),
    }
    if (goal, 1) in rules:
        found[Quantity.GAIN_OF_ALL] = mean_gain(others, 1)
    if sample.deployed is not None:
        found["at deployment"] = mean_gain(
            sample.responses(sample.deployed), max(folds for _, folds in rules)
        )
    return found
