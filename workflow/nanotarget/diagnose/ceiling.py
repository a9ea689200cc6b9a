"""From variances to outcome units: how much could be gained if people's own best petition were known?

G = E max_x {m(x) + h(x)} - max_x m(x),

m the common utilities, h what a person adds. Petitions add up over attributes, so G is a sum over blocks of
attributes, of which only the covariance of a person's deviations within the block matters (`covariance`);
attributes that prohibitions tie together are maximised over feasible combinations. Deviations are taken for
normal; for an upper bound also for those of an electorate that is divided in two along each axis of the
covariance, which gain more where the best levels are nearly alike.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import special

from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.calibrate.link import OrdinalLink
from nanotarget.diagnose.covariance import Covariance
from nanotarget.diagnose.rows import ONE_SIDED, Estimate, quantile
from nanotarget.petitions.design import Block, Design
from nanotarget.petitions.encoding import split_levels

POINTS = 1024  # people in whom the maximum is taken
MOST_SPLITS = 9  # axes of a block up to which all ways to take sides are listed
VALUES_AT_ONCE = 1 << 14  # utilities of a cell that stay in a processor's cache
COUPLING = 0.5  # noise with which petitions are chosen, added to that of the data
MIN_NOISE = 0.05  # share of a rating's noise that nobody can know


class Shape(Enum):
    """Of the distribution of a person's deviations."""

    NORMAL = "normal"
    DIVIDED = "divided"


@dataclass(frozen=True)
class Scale:
    """An answer scale with ends: how far a petition can still move the answers of some respondents.

    What answers show is turned into latent part-worths and variances (`OrdinalLink.steepness`), the best
    petition is found there, and what it gains is said in answers again.

    Attributes:
        link: from utilities to answers.
        location: latent value of a random petition for these respondents.
        of_effects, of_variances: what answers show of latent part-worths and variances.
    """

    link: OrdinalLink
    location: float
    of_effects: float
    of_variances: float

    @classmethod
    def of(cls, fitted: Crossfit, weight: np.ndarray) -> Scale | None:
        """Return the scale of some respondents; None for choices and open measurements.

        Args:
            weight: (n_respondents,).
        """
        link, data = fitted.link, fitted.data
        if link is None:
            return None
        level = link.levels(fitted.index, data.outcome, data.respondent)
        latent = link.slope * data.respondent_means(fitted.index) + level
        return cls(link, float(weight @ latent / weight.sum()), *link.steepness(fitted.index))

    def reversed(self) -> Scale:
        """Return the scale of the opposite answer."""
        return replace(self, link=self.link.reversed(), location=-self.location)

    def gain(self, top: Maximum, variance: np.ndarray) -> np.ndarray:
        """Return the (n_samples,) gain in answers.

        The noise of the link contains what respondents add; who knows it has less noise.

        Args:
            top: latent.
            variance: (n_samples,) latent, of what is known of a person's deviations.
        """
        spread, start = self.link.spread**2, self.location + top.common
        noise = np.maximum(1 - variance, MIN_NOISE) + spread
        known = self.link.average(start + top.gain, noise + top.variance)
        return known - self.link.average(start, np.full(len(start), 1 + spread))


@dataclass(frozen=True)
class Contest:
    """Choices: how much likelier a petition wins against others that are drawn from the design, and none.

    As for a scale with ends, what answers show is turned into latent utilities, with a noise of variance 1 in
    a comparison with the best of the others (probit). With normal utilities whose variance over petitions and
    people is S, that of the others' best r S, and levels of respondents of variance v, a random petition that
    wins with probability p is ahead by z = Phi^-1(p) standard deviations. Answers then show
    s = phi(z) / sqrt(1 + (1 + r) S + v) of latent effects, and s^2 of variances to first order (Price 1958),
    so that s^2 = phi(z)^2 - (1 + r) s^2 S - s^2 v. In choices of two r = 1, p = 1/2 and v = 0.

    Attributes:
        of_effects, of_variances: s and s^2.
        against: 1 + r S + v.
        person: the part of S that respondents add.
        start: how far a random petition is ahead.
    """

    of_effects: float
    of_variances: float
    against: float
    person: float
    start: float

    @classmethod
    def of(
        cls, common: float, person: float, baseline: float = 0.0, chance: float = 0.5, shown: float = 2.0
    ) -> Contest:
        """Take what answers show.

        Args:
            common, person, baseline: variances of the common response, of what respondents add to it, and
                of their levels.
            chance: of a random petition, p.
            shown: 1 + r, see `Response.variance_shown`.
        """
        common, person, baseline = max(common, 0.0), max(person, 0.0), max(baseline, 0.0)
        ahead = float(special.ndtri(chance))
        certain = np.exp(-(ahead**2)) / (2 * np.pi)
        square = max(certain - shown * (common + person) - baseline, MIN_NOISE * certain)
        everything = (common + person) / square
        against = 1 + (shown - 1) * everything + baseline / square
        start = ahead * float(np.sqrt(against + everything))
        return cls(float(np.sqrt(square)), square, against, person / square, start)

    def reversed(self) -> Contest:
        """Return that of the opposite answer."""
        return replace(self, start=-self.start)

    def gain(self, top: Maximum, variance: np.ndarray) -> np.ndarray:
        """Return the (n_samples,) gain in the probability to be chosen; see `Scale.gain`."""
        best, unknown = self.start + top.common, np.maximum(self.person - variance, 0)
        own = special.ndtr((best + top.gain) / np.sqrt(self.against + unknown + top.variance))
        return own - special.ndtr(best / np.sqrt(self.against + self.person))


class Maximum(NamedTuple):
    """Of a person's utilities over petitions.

    Attributes:
        common: (n_samples,) utility of the best petition for all.
        gain: (n_samples,) mean of the maximum, less the same.
        variance: (n_samples,) of the maximum.
    """

    common: np.ndarray
    gain: np.ndarray
    variance: np.ndarray


class Ceiling(NamedTuple):
    """A gain that is left possible, with one-sided bounds."""

    gain: float
    low: float
    high: float


def gain_ceiling(
    design: Design,
    part_worths: np.ndarray,
    covariance: Covariance,
    scale: Scale | Contest | None = None,
    shape: Shape = Shape.NORMAL,
) -> np.ndarray:
    """Return the gain of who knows each person's deviations over the best petition for all.

    On a scale with ends the maximum over attributes is taken for normal: a sum of independent parts.

    Args:
        part_worths: (n_samples, total levels) common utilities, outcome units.
        covariance: of a person's deviations, without negative eigenvalues; of one sample or all.
        scale: of the answers, if it has ends, or if they are choices.
        shape: of the distribution of deviations.

    Returns:
        (n_samples,) gain in outcome units.
    """
    return _gain(design, (part_worths, part_worths), covariance, scale, shape)


def ceiling(
    design: Design,
    part_worths: np.ndarray,
    covariance: Covariance,
    variance: np.ndarray,
    scale: Scale | Contest | None = None,
) -> Ceiling:
    """Return the gain in the data with one-sided 95% bounds.

    Of levels that are nearly alike the luckiest looks best, so max m is too high and the gain over it too
    low. So the petitions are chosen by m + c e and valued by m - e / c, with e of the distribution of the
    error of m, which the samples show: the two are independent (coupled bootstrap; Oliveira, Lei &
    Tibshirani 2021). Noise in the covariance hides which levels people are divided over: the bias that it
    has if the nearest covariance is true is taken out (bootstrap; Efron & Tibshirani 1993, section 10.2),
    and bounds are widened by it. Their margin is the standard deviation of such samples. Bounds are those of
    normal deviations or of a divided electorate, whichever are further; the upper one is at least that of
    deviations that are alike for all levels of an attribute, at the upper bound of their variance.

    Args:
        part_worths: (1 + n_samples, total levels), the first of the data.
        covariance: of as many samples; negative eigenvalues are allowed.
        variance: (1 + n_samples,) over petitions.
        scale: see `gain_ceiling`.
    """
    nearest = covariance.first().nearest(variance[:1])
    error = part_worths[1:] - part_worths[0]
    if len(error) < 2:
        gain = float(gain_ceiling(design, part_worths[:1], nearest, scale)[0])
        return Ceiling(gain, np.nan, np.nan)
    noisy = (nearest + (covariance - covariance.first())).nearest(nearest.variance + variance - variance[0])
    views = (part_worths[0] + COUPLING * error, part_worths[0] - error / COUPLING)

    def honest(own: Covariance, shape: Shape = Shape.NORMAL) -> float:
        return max(float(_gain(design, views, own, scale, shape).mean()), 0.0)

    found = []
    for shape in Shape:
        gain = honest(nearest, shape)
        freed = max(2 * gain - honest(noisy.without_first(), shape), 0.0)
        samples = gain_ceiling(design, part_worths, noisy, scale, shape)[1:]
        margin = quantile(np.inf, ONE_SIDED) * float(samples.std(ddof=1))
        low, high = min(gain, freed) - margin, max(gain, freed) + margin
        found.append(Ceiling(freed, max(low, 0.0), high))
    largest = max(Estimate.bootstrapped(variance).interval(ONE_SIDED)[1], 0.0)
    alike = honest(Covariance.alike(design, covariance.first().shares * largest))
    return Ceiling(found[0].gain, min(own.low for own in found), max(alike, *(own.high for own in found)))


def _gain(
    design: Design,
    views: tuple[np.ndarray, np.ndarray],
    covariance: Covariance,
    scale: Scale | Contest | None,
    shape: Shape,
) -> np.ndarray:
    """(n_samples,) gain of petitions chosen by one view of the common utilities and valued by another."""
    if scale is None:
        return _maximum(design, views, covariance, shape).gain
    latent = (views[0] / scale.of_effects, views[1] / scale.of_effects)
    known = covariance.times(1 / scale.of_variances)
    return scale.gain(_maximum(design, latent, known, shape), known.variance)


def _maximum(
    design: Design, views: tuple[np.ndarray, np.ndarray], covariance: Covariance, shape: Shape
) -> Maximum:
    parts = [split_levels(views[0], design)]
    parts.append(parts[0] if views[1] is views[0] else split_levels(views[1], design))
    total = Maximum(*np.zeros((3, len(views[0]))))
    for block, own in zip(design.blocks, covariance.blocks, strict=True):
        kept = design.fielded(block)
        common = _common(block, parts[0])[:, kept]
        views = (common, common if parts[1] is parts[0] else _common(block, parts[1])[:, kept])
        total = Maximum(*np.add(total, _maximum_of_block(block.functions()[kept], views, own, shape)))
    return total


def _common(block: Block, parts: list[np.ndarray]) -> np.ndarray:
    """(n_samples, n_cells) common utility of the cells of a block."""
    return np.sum([parts[a][:, block.cells[:, j]] for j, a in enumerate(block.attributes)], axis=0)


def _loadings(covariance: np.ndarray, functions: np.ndarray, shape: Shape) -> np.ndarray:
    """(n_samples, n_cells, rank) what cells add per unit of `_points`."""
    values, axes = np.linalg.eigh(covariance)
    root = axes * np.sqrt(np.maximum(values, 0))[:, None, :]
    return functions @ (root if shape == Shape.DIVIDED else root @ np.swapaxes(axes, 1, 2))


def _maximum_of_block(
    functions: np.ndarray, views: tuple[np.ndarray, np.ndarray], covariance: np.ndarray, shape: Shape
) -> Maximum:
    """Maximum over the cells of a block, chosen by one (n_samples, n_cells) utility and valued by another.

    Args:
        functions: (n_cells, rank) functions of the block, of the cells that a policy may choose.
    """
    chosen, valued = views
    loadings = _loadings(covariance, functions, shape)
    points = (sides if shape == Shape.DIVIDED else normal_points)(loadings.shape[2]).T
    best = np.take_along_axis(valued, chosen.argmax(axis=1)[:, None], axis=1)[:, 0]
    mean, variance = np.empty((2, len(chosen)))
    at_once = max(VALUES_AT_ONCE // points.shape[1], 1)
    for start in range(0, len(chosen), at_once):
        part = slice(start, start + at_once)
        own, added = chosen[part], loadings if len(loadings) == 1 else loadings[part]
        value = _top(added, points, own, own if valued is chosen else valued[part])
        mean[part] = value.mean(axis=1)
        value -= mean[part, None]
        variance[part] = np.einsum("ij,ij->i", value, value) / value.shape[1]
    return Maximum(best, mean - best, variance)


def _top(loadings: np.ndarray, points: np.ndarray, chosen: np.ndarray, valued: np.ndarray) -> np.ndarray:
    """(n_samples, n_points) value of the cell with the highest utility at each point."""
    top = loadings[:, 0] @ points + chosen[:, [0]]
    which = np.zeros(top.shape, dtype=np.min_scalar_type(chosen.shape[1]))
    for cell in range(1, chosen.shape[1]):
        utility = loadings[:, cell] @ points + chosen[:, [cell]]
        if valued is not chosen:  # a later cell has a higher number: several times as fast as a mask
            np.maximum(which, (utility > top) * which.dtype.type(cell), out=which)
        np.maximum(top, utility, out=top)
    return top if valued is chosen else top + np.take_along_axis(valued - chosen, which, axis=1)


@cache
def normal_points(rank: int) -> np.ndarray:
    """Return (`POINTS`, rank) evenly spread points of a standard normal distribution.

    Half of them are Sobol' points, scrambled once and for all (Owen 1998), the others their mirror images;
    means are zero, the covariance is the identity. The mean maximum of up to eight normals is .3% off, of
    any rotation of the axes (root mean square).
    """
    from scipy.stats import qmc  # not before it is needed: it takes half a second

    half = special.ndtri(qmc.Sobol(rank, rng=np.random.default_rng(0)).random(POINTS // 2))
    points = np.vstack([half, -half])
    return points @ np.linalg.inv(np.linalg.cholesky(points.T @ points / POINTS)).T


@cache
def sides(rank: int) -> np.ndarray:
    """Return (n, rank) signs: all ways to take sides on the axes, or `POINTS` of them if these are many."""
    if rank <= MOST_SPLITS:
        return np.array(list(itertools.product([-1.0, 1.0], repeat=rank)))
    half = np.random.default_rng(0).choice([-1.0, 1.0], (POINTS // 2, rank))
    return np.vstack([half, -half])
