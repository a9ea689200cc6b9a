"""How a bounded rating follows from what a respondent thinks of a petition.

Ratings have ends. Near them a better petition moves the answer less, so that a model that is linear in the
answers promises more than the scale can hold, and weights that are unbiased for additive responses
(`diagnose.value`) do not see it. Here a rating is an ordinal answer (McKelvey & Zavoina 1975) with a level of
its own for each respondent:

    latent = slope * index(petition) + u_i + e,    e ~ N(0, 1),  u_i ~ N(0, spread^2),
    answer = the category between whose cuts the latent value falls.

The index is a learner's utility, of answers that it has not seen. The expected answer to another petition
averages over what the *same respondent's* other tasks say about u_i, not over all people.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import special

MOST_ANSWERS = 201  # on a scale; more distinct ones, or ones that hardly repeat, are open measurements
MOST_CATEGORIES = 15  # more distinct answers are grouped, the ends of the scale kept apart
POINTS = 8  # of the cuts inside a group
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
NODES, LOG_WEIGHTS = _NODES, np.log(_WEIGHTS / _WEIGHTS.sum())
GRID = np.linspace(-14, 14, 5601)  # latent values in units of the noise; the curve is flat outside
SPACING = (GRID[-1] - GRID[0]) / (len(GRID) - 1)
SMALLEST = 1e-300
ROWS_AT_ONCE = 4_000  # whose probabilities at all nodes stay in a processor's cache
MOST_RESPONDENTS = 10_000  # whom a link is fitted to
STEP, FEW = 4, 100  # a first look is taken at every fourth respondent if these are a hundred
CONVERGED = (
    1e-5  # largest derivative of the mean log-likelihood of a respondent, whose standard error is 1 / sqrt(n)
)


def on_scale(answers: np.ndarray) -> bool:
    """Return whether answers were given on a scale, which has ends: they are few and repeat."""
    distinct = len(np.unique(answers))
    return 1 < distinct <= MOST_ANSWERS and 3 * distinct <= len(answers)


@dataclass(frozen=True)
class Categories:
    """The answers of a rating as ordered categories.

    Attributes:
        bounds: (K - 1,) smallest answer of each category but the first.
        lowest, highest: the ends of what was answered.
        exact: whether every category is one answer.
    """

    bounds: np.ndarray
    lowest: float
    highest: float
    exact: bool

    @classmethod
    def of(cls, answers: np.ndarray) -> Categories:
        """Take the distinct answers, or groups of nearly equal size between the two ends."""
        distinct = np.unique(answers)
        if len(distinct) <= MOST_CATEGORIES:
            return cls(distinct[1:], distinct[0], distinct[-1], True)
        inside = np.sort(answers[(answers > distinct[0]) & (answers < distinct[-1])])
        places = np.arange(1, MOST_CATEGORIES - 2) * len(inside) // (MOST_CATEGORIES - 2)
        bounds = np.unique([distinct[1], *inside[places], distinct[-1]])
        return cls(bounds, distinct[0], distinct[-1], False)

    def of_answers(self, answers: np.ndarray) -> np.ndarray:
        """Return the category of each answer, from 0."""
        return np.searchsorted(self.bounds, answers, side="right")

    def steps(self, cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return cuts and answer units so that E[answer] = lowest + sum of units * P(latent > cut)."""
        if self.exact:
            return cuts, np.diff(self.bounds, prepend=self.lowest)
        share = (np.arange(POINTS) + 0.5) / POINTS
        inner = (cuts[:-1, None] + np.diff(cuts)[:, None] * share).ravel()
        first = self.bounds[0] - self.lowest
        return np.append(cuts[0], inner), np.append(first, np.repeat(np.diff(self.bounds) / POINTS, POINTS))


@dataclass(frozen=True)
class OrdinalLink:
    """A fitted link from index to answer.

    Attributes:
        categories: of the answers.
        cuts: (K - 1,) latent values at which the answer changes, ascending.
        slope: latent units per unit of the index.
        spread: standard deviation of the respondents' levels, in units of the noise.
        sign: -1 if answers and index are those of the opposite goal.
    """

    categories: Categories
    cuts: np.ndarray
    slope: float
    spread: float
    sign: int = 1

    def reversed(self) -> OrdinalLink:
        """Return the link of the opposite answer to the opposite index."""
        return replace(self, sign=-self.sign)

    @cached_property
    def curve(self) -> np.ndarray:
        """Expected answer at each latent value of `GRID`, noise included."""
        cuts, units = self.categories.steps(self.cuts)
        return self.categories.lowest + special.ndtr(GRID[:, None] - cuts) @ units

    @cached_property
    def _rises(self) -> np.ndarray:
        """What the curve rises between values of `GRID`."""
        return np.diff(self.curve)

    def at(self, latent: np.ndarray) -> np.ndarray:
        """Return expected answers at latent values (error below 1e-5 of the scale)."""
        place = np.clip((latent - GRID[0]) / SPACING, 0, len(GRID) - 1)
        left = np.minimum(place.astype(np.intp), len(GRID) - 2)
        return self.curve[left] + (place - left) * self._rises[left]

    def average(self, mean: np.ndarray, variance: np.ndarray | float) -> np.ndarray:
        """Return the expected answer where the latent value, noise included, is normal.

        Args:
            mean, variance: (n,) of the latent value, in units of the noise.
        """
        cuts, units = self.categories.steps(self.cuts)
        distance = (self.sign * np.asarray(mean)[..., None] - cuts) / np.sqrt(variance)[..., None]
        return self.sign * (self.categories.lowest + special.ndtr(distance) @ units)

    def steepness(self, index: np.ndarray) -> tuple[float, float]:
        """Return how much answers to random petitions move with the latent value, on average.

        Answers show part-worths times the first number, and variances between respondents times the second:
        with s(u) the mean slope of the curve at level u over petitions, the first is its mean over u, the
        second that of its square (Price 1958: to first order in the correlation of a respondent's answers).

        Args:
            index: (n,) of random petitions.
        """
        cuts, units = self.categories.steps(self.cuts)
        slopes = np.interp(self.latent(index), GRID, density(GRID[:, None] - cuts) @ units).mean(axis=0)
        chance = np.exp(LOG_WEIGHTS)
        return float(chance @ slopes), float(chance @ slopes**2)

    def latent(self, index: np.ndarray) -> np.ndarray:
        """Return the (n, nodes) latent values of an index at the nodes of the respondent's level."""
        return self.sign * self.slope * np.asarray(index)[:, None] + self.spread * NODES

    def expected(self, index: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Return the (n,) expected answers given (n, nodes) probabilities of the respondent's level."""
        return self.sign * np.einsum("ij,ij->i", self.at(self.latent(index)), level)

    def slope_at(self, index: np.ndarray, level: np.ndarray) -> np.ndarray:
        """Return the (n,) slopes of the curve by the latent value, whatever the index says of it."""
        place = np.clip((self.latent(index) - GRID[0]) / SPACING, 0, len(GRID) - 2).astype(np.intp)
        return np.einsum("ij,ij->i", self._rises[place], level) / SPACING

    def log_likelihood(self, index: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Return the (n, nodes) log-probability of each answer at the nodes of the respondent's level."""
        code = self.categories.of_answers(self.sign * np.asarray(answers))
        edges = np.concatenate([[-np.inf], self.cuts, [np.inf]])
        latent = self.latent(index)
        return np.log(between(edges[code][:, None] - latent, edges[code + 1][:, None] - latent))

    def levels(self, index: np.ndarray, answers: np.ndarray, respondent: np.ndarray) -> np.ndarray:
        """Return the (n_respondents,) posterior means of the respondents' levels given all their answers."""
        starts = np.flatnonzero(np.diff(respondent, prepend=-1))
        log = np.add.reduceat(self.log_likelihood(index, answers), starts) + LOG_WEIGHTS
        chance = np.exp(log - special.logsumexp(log, axis=1, keepdims=True))
        return self.sign * self.spread * (chance @ NODES)

    def level_elsewhere(
        self, index: np.ndarray, answers: np.ndarray, respondent: np.ndarray, task: np.ndarray
    ) -> np.ndarray:
        """Return (n, nodes) probabilities of a respondent's level given the answers of her other tasks.

        Args:
            index, answers: (n,) of the rows.
            respondent, task: (n,) rows of a respondent and of her tasks stand together.
        """
        log = self.log_likelihood(index, answers)
        person = np.append(True, np.diff(respondent) != 0)
        starts = np.flatnonzero(person | np.append(True, np.diff(task) != 0))
        of_task = np.add.reduceat(log, starts)
        who = np.cumsum(person)[starts] - 1
        of_person = np.add.reduceat(of_task, np.flatnonzero(np.diff(who, prepend=-1)))
        other = of_person[who] - of_task + LOG_WEIGHTS
        other -= special.logsumexp(other, axis=1, keepdims=True)
        return np.exp(other)[np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(log))))]


def between(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the normal probability of an interval, accurate in both tails."""
    flip = low > 0
    upper, lower = np.where(flip, -low, high), np.where(flip, -high, low)
    return np.maximum(special.ndtr(upper) - special.ndtr(lower), SMALLEST)


def density(z: np.ndarray) -> np.ndarray:
    """Return the standard normal density, 0 at infinity."""
    return np.exp(-np.square(z) / 2) / np.sqrt(2 * np.pi)


class Derivatives(NamedTuple):
    """A log-likelihood, and its first and second derivatives."""

    value: float
    first: np.ndarray
    second: np.ndarray


class People(NamedTuple):
    """Answers of some respondents.

    Attributes:
        who: (n_rows,) respondent, from 0 on.
        code: (n_rows,) category of the answer, ascending within a respondent.
        utility: (n_rows,) index.
        share: (n_respondents,) weight of each; 1 in all.
    """

    who: np.ndarray
    code: np.ndarray
    utility: np.ndarray
    share: np.ndarray

    def every(self, step: int) -> People:
        """Return every `step`-th respondent, and all their weight."""
        rows, share = np.flatnonzero(self.who % step == 0), self.share[::step]
        return People(self.who[rows] // step, self.code[rows], self.utility[rows], share / share.sum())

    def chunks(self) -> Iterator[People]:
        """Yield respondents few enough for a processor's cache, with the weights they have among all."""
        starts = np.append(np.flatnonzero(np.diff(self.who, prepend=-1)), len(self.who))
        first = 0
        while first < len(self.share):
            last = int(np.searchsorted(starts, starts[first] + ROWS_AT_ONCE, side="right")) - 1
            last = max(last, first + 1)
            rows = slice(starts[first], starts[last])
            who, share = self.who[rows] - first, self.share[first:last]
            yield People(who, self.code[rows], self.utility[rows], share)
            first = last

    def derivatives(self, cuts: np.ndarray, slope: float, spread: float) -> Derivatives:
        """Return the weighted log-likelihood and its derivatives by cuts, slope and spread.

        A respondent's level is not observed: second derivatives are the mean of those given the level plus
        the covariance of the first ones, over what her answers say of it (Louis 1982, equation 3.1).
        """
        edges = np.concatenate([[-np.inf], cuts, [np.inf]])
        latent = slope * self.utility[:, None] + spread * NODES
        low, high = edges[self.code][:, None] - latent, edges[self.code + 1][:, None] - latent
        probability = between(low, high)
        new_person = np.diff(self.who, prepend=-1) != 0
        joint = np.add.reduceat(np.log(probability), np.flatnonzero(new_person)) + LOG_WEIGHTS
        log = special.logsumexp(joint, axis=1)
        level = np.exp(joint - log[:, None])
        up, down = density(high) / probability, density(low) / probability
        of_latent = down - up
        # First derivatives given the level: by edges, where equal answers are added up, slope and spread.
        groups = np.flatnonzero(new_person | (np.diff(self.code, prepend=-1) != 0))
        who, code = self.who[groups], self.code[groups]
        scores = np.zeros((len(self.share), len(edges) + 2, len(NODES)))
        scores[who, code + 1] += np.add.reduceat(up, groups)
        scores[who, code] -= np.add.reduceat(down, groups)
        scores[:, -2] = np.add.reduceat(of_latent * self.utility[:, None], np.flatnonzero(new_person))
        scores[:, -1] = np.add.reduceat(of_latent, np.flatnonzero(new_person)) * NODES
        means = np.einsum("ijk,ik->ij", scores, level)
        chance = level * self.share[:, None]
        flat = np.swapaxes(scores, 1, 2).reshape(chance.size, -1)
        second = flat.T @ (flat * chance.reshape(-1, 1)) - means.T @ (means * self.share[:, None])
        # Second derivatives given the level, by edges, and by what moves the latent value.
        at_high, at_low = (np.where(np.isfinite(z), z, 0.0) * d for z, d in ((high, up), (low, down)))
        mass, powers = chance[self.who], np.vander(NODES, 3, increasing=True)
        size = len(second)
        for one, other, value in (
            (1, 1, -at_high - up**2),
            (0, 0, at_low - down**2),
            (0, 1, up * down),
            (1, 0, up * down),
        ):
            place = (self.code + one) * size + self.code + other
            second += np.bincount(place, np.einsum("ij,ij->i", mass, value), size**2).reshape(size, size)
        mixed = np.zeros((2, size))
        for edge, value in ((1, at_high - up * of_latent), (0, down * of_latent - at_low)):
            by_slope, by_spread = ((mass * value) @ powers[:, :2]).T
            for own, sums in zip(mixed, (by_slope * self.utility, by_spread), strict=True):
                own += np.bincount(self.code + edge, sums, size)
        second[-2:] += mixed
        second[:, -2:] += mixed.T
        bend = (mass * (at_low - at_high - of_latent**2)) @ powers
        across = self.utility @ bend[:, 1]
        second[-2:, -2:] += [[self.utility**2 @ bend[:, 0], across], [across, bend[:, 2].sum()]]
        kept = np.r_[1 : len(edges) - 1, size - 2, size - 1]  # no answer lies beyond the ends
        return Derivatives(float(self.share @ log), (self.share @ means)[kept], second[np.ix_(kept, kept)])


class Likelihood:
    """The likelihood of a link: lowest cut, logs of the distances of cuts, slope, log of the spread.

    Attributes:
        centre, unit: mean and standard deviation of the index, from and by which it is measured.
    """

    def __init__(
        self,
        categories: Categories,
        index: np.ndarray,
        answers: np.ndarray,
        respondent: np.ndarray,
        weight: np.ndarray | None,
    ) -> None:
        """Take what `fit_link` takes."""
        code = categories.of_answers(answers)
        who = np.cumsum(np.diff(respondent, prepend=-1) != 0) - 1
        n = who[-1] + 1
        self.centre = float(index.mean())
        centred = index - self.centre
        self.unit = float(np.sqrt(np.mean(np.square(centred)))) or 1.0
        share = np.full(n, 1 / n) if weight is None else weight / weight.sum()
        order = np.lexsort((code, who))  # a respondent's equal answers are added up
        self._people = People(who[order], code[order], centred[order], share)
        self._latest: tuple[bytes, Derivatives] | None = None

    @property
    def n_respondents(self) -> int:
        """How many answers are of."""
        return len(self._people.share)

    def unpack(self, values: np.ndarray) -> tuple[np.ndarray, float, float]:
        """Return cuts of the centred index, slope and spread."""
        cuts = values[0] + np.concatenate([[0.0], np.cumsum(np.exp(values[1:-2]))])
        return cuts, values[-2] / self.unit, np.exp(values[-1])

    def part(self, step: int) -> Likelihood:
        """Return the likelihood of every `step`-th respondent, in the same units."""
        other = copy(self)
        other._people = self._people.every(step)
        other._latest = None
        return other

    def highest(self, values: np.ndarray) -> np.ndarray:
        """Return the values of the maximum, searched from these."""
        from scipy import optimize  # costs a third of a second, and few jobs that import this module fit

        found = optimize.minimize(
            self.loss,
            values,
            jac=self.gradient,
            hess=self.curvature,
            method="trust-exact",
            options={"gtol": CONVERGED, "initial_trust_radius": 4.0},
        )
        return found.x

    def loss(self, values: np.ndarray) -> float:
        """Return the mean negative log-likelihood of a respondent's answers."""
        return -self._at(values).value

    def gradient(self, values: np.ndarray) -> np.ndarray:
        """Return the gradient of the loss."""
        return -self._at(values).first

    def curvature(self, values: np.ndarray) -> np.ndarray:
        """Return the second derivatives of the loss."""
        return -self._at(values).second

    def _at(self, values: np.ndarray) -> Derivatives:
        """Mean log-likelihood with its derivatives; kept for the values asked last."""
        if self._latest is None or values.tobytes() != self._latest[0]:
            self._latest = (values.tobytes(), self._derivatives(values))
        return self._latest[1]

    def _derivatives(self, values: np.ndarray) -> Derivatives:
        cuts, slope, spread = self.unpack(values)
        parts = [people.derivatives(cuts, slope, spread) for people in self._people.chunks()]
        value, size, n = sum(part.value for part in parts), len(values), len(cuts)
        by_values = np.zeros((size, size))  # derivatives of cuts, slope and spread
        by_values[:n, 0] = 1
        by_values[:n, 1:n] = np.tri(n, n - 1, -1) * np.exp(values[1:n])
        by_values[n, n], by_values[n + 1, n + 1] = 1 / self.unit, spread
        first = np.sum([part.first for part in parts], axis=0) @ by_values
        second = by_values.T @ np.sum([part.second for part in parts], axis=0) @ by_values
        logarithms = np.r_[1:n, n + 1]
        second[logarithms, logarithms] += first[logarithms]
        if not np.isfinite(second).all():  # a step too long: the search takes a shorter one
            return Derivatives(-np.inf, np.zeros(size), np.zeros((size, size)))
        return Derivatives(value, first, second)


def fit_link(
    index: np.ndarray,
    answers: np.ndarray,
    respondent: np.ndarray,
    weight: np.ndarray | None = None,
    start: OrdinalLink | None = None,
) -> OrdinalLink:
    """Fit a link by maximum likelihood, the respondents' levels integrated out (Gauss-Hermite).

    Newton's steps in a trust region. Of very many respondents every second, third, ... is taken: the curve
    of a scale has a dozen values, and its error is then far below that of what is learned with it.

    Args:
        index: (n,) utilities, from models that have not seen the answers.
        answers: (n,) ratings, at least two different ones.
        respondent: (n,) non-decreasing.
        weight: (n_respondents among the rows,) survey weights, in the order of their rows.
        start: a link of similar data to begin with; it must have the same categories.

    Raises:
        ValueError: if all answers are equal.
    """
    categories = start.categories if start else Categories.of(answers)
    code = categories.of_answers(answers)
    counts = np.bincount(code, minlength=len(categories.bounds) + 1)
    if (counts > 0).sum() < 2:
        raise ValueError("a link needs two different answers")
    likelihood = Likelihood(categories, index, answers, respondent, weight)
    if likelihood.n_respondents > MOST_RESPONDENTS:
        likelihood = likelihood.part(-(-likelihood.n_respondents // MOST_RESPONDENTS))
    if start is None:
        below = np.clip(np.cumsum(counts)[:-1] / counts.sum(), 1e-4, 1 - 1e-4)
        cuts = special.ndtri(below) * 1.3
        cuts += np.arange(len(cuts)) * 1e-3  # categories that nobody used have a width all the same
        values = np.array([cuts[0], *np.log(np.diff(cuts)), 0.5, np.log(0.7)])
        if likelihood.n_respondents >= FEW * STEP:  # the long way is cheaper with a part of the respondents
            values = likelihood.part(STEP).highest(values)
    else:
        slope, spread = start.slope * likelihood.unit, max(start.spread, SMALLEST)
        lowest = start.cuts[0] - start.slope * likelihood.centre
        values = np.array([lowest, *np.log(np.diff(start.cuts)), slope, np.log(spread)])
    cuts, slope, spread = likelihood.unpack(likelihood.highest(values))
    return OrdinalLink(categories, cuts + slope * likelihood.centre, float(slope), float(spread))
