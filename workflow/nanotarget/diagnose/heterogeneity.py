"""Heterogeneity: do respondents differ, stably, in what they like? Estimated from answers, without a learner.

The variance of a respondent's deviations h_i from the common response is estimated by regressing products of
the answers to two tasks on the likeness of the petitions (`evidence`; Haseman & Elston 1972). Noise is
independent between tasks and drops out; so does the respondent's level, the mean of the other tasks being
taken from both answers. The ceiling is what an oracle that knows h_i gains.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import special

from nanotarget.calibrate.learners.base import centre_utilities
from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.calibrate.learners.ridge import sums_of_products
from nanotarget.diagnose.ceiling import Contest, Scale, ceiling
from nanotarget.diagnose.covariance import Covariance
from nanotarget.diagnose.evidence import (
    Answers,
    PairList,
    Products,
    Vectors,
    block_name,
    cell_indicators,
    level_columns,
    pairs_within,
    products,
    regressors,
    same_petitions,
    task_positions,
    task_products,
)
from nanotarget.diagnose.quantities import LAGS, Estimator, Quantity
from nanotarget.diagnose.rows import ONE_SIDED, Estimate, Row, Sample, Stage
from nanotarget.petitions.design import Design
from nanotarget.petitions.utilities import part_worths
from nanotarget.study import ties
from nanotarget.study.seeds import child_rng

Part = tuple[Quantity, Estimate, str]  # with the attribute, if it is of one
REPEATS = 30  # repeated tasks from which response error is estimated
FLIPS = 999  # of the signs of answers
STANDS_OUT = 3.0  # standard deviations above no interaction at which a pair of attributes counts as one
FLIPS_AT_ONCE = 4_000_000  # signs that are in memory
TABLED = 8  # tasks, of which all signs are listed
SMALLEST = 1e-300
PAIRS_PER_BLOCK = 10  # of answers of one lag, without which its variance is not estimated


@dataclass(frozen=True)
class Variances:
    """Estimates for samples of respondents (the first is the sample itself), outcome units squared.

    Attributes:
        by_block: (n_samples, n_blocks) variance of person x message of each block of attributes.
        pairs: (n_samples,) of pairs of attributes.
        baseline: (n_samples,) of people's levels.
        common: (n_samples,) of the common response.
        total: (n_samples,) of answers.
        part_worths: (n_samples, total levels) common response, least squares.
        covariance: of person x message within blocks, unbiased.
        scale: on which answers are given, if it has ends or they are choices.
    """

    by_block: np.ndarray
    pairs: np.ndarray
    baseline: np.ndarray
    common: np.ndarray
    total: np.ndarray
    part_worths: np.ndarray
    covariance: Covariance
    scale: Scale | Contest | None = None

    @property
    def person_by_message(self) -> np.ndarray:
        """(n_samples,) variance of person x message."""
        return self.by_block.sum(axis=1)

    @property
    def correlation(self) -> float:
        """Correlation of a respondent's responses to two petitions, response noise apart; NaN without any."""
        baseline, person = max(self.baseline[0], 0), max(self.person_by_message[0], 0)
        return baseline / (baseline + person) if baseline + person > 0 else np.nan

    def on_scale(self, fitted: Crossfit, weight: np.ndarray) -> Variances:
        """Return the same with the scale of some respondents' answers.

        Args:
            weight: (n_respondents,).
        """
        data, kind = fitted.data, fitted.data.response
        if kind.paired:
            chance = kind.centre
            if kind.none:
                chance = float(weight @ data.respondent_means(data.outcome) / weight.sum())
            shown = self.common[0], self.person_by_message[0], self.baseline[0]
            return replace(self, scale=Contest.of(*shown, chance, kind.variance_shown(data.outcome)))
        return replace(self, scale=Scale.of(fitted, weight))

    def for_goal(self, goal: str) -> Variances:
        """Return those of the goal's outcome: to dissuade, the common response has the opposite sign."""
        if goal == "support":
            return self
        return replace(self, part_worths=-self.part_worths, scale=self.scale and self.scale.reversed())


@dataclass(frozen=True)
class Interactions:
    """Interactions of pairs of attributes that are common to all.

    Attributes:
        variance: of all of them, outcome units squared.
        p_value: of none.
        pairs: blocks of attributes that stand out.
    """

    variance: float
    p_value: float
    pairs: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Heterogeneity:
    """All that is computed once from the answers, whatever weights respondents get."""

    answers: Answers

    @property
    def design(self) -> Design:
        """The petitions."""
        return self.answers.design

    def _pairs(self) -> Iterator[tuple[slice, Answers, PairList]]:
        """Yield successive respondents, their answers, and pairs of these in different tasks.

        Pairs are many more than answers, so that they are made when they are asked for.
        """
        for members, answers in self.answers.parts():
            yield members, answers, PairList.of(answers)

    @cached_property
    def _moments(self) -> tuple[Products, list[tuple[int, Products]], list[np.ndarray]]:
        """Moments of all pairs; of those of each lag, with their number; `evidence.task_products`."""
        every, tasks = list[Products](), list[list[np.ndarray]]()
        lags: list[list[Products]] = [[] for _ in LAGS]
        for _, answers, pairs in self._pairs():
            columns = regressors(answers, pairs)
            every.append(products(answers, pairs, columns, np.ones(len(columns), dtype=bool)))
            for k, own in enumerate(lags):
                chosen = pairs.lag == k + 1 if k < len(LAGS) - 1 else pairs.lag > k
                own.append(products(answers, pairs, columns, chosen))
            tasks.append(task_products(answers, pairs))
        of_lags = [(int(sum(part.pairs.sum() for part in own)), Products.joined(own)) for own in lags]
        return Products.joined(every), of_lags, [np.concatenate(own) for own in zip(*tasks, strict=True)]

    @property
    def products(self) -> Products:
        """Moments of all pairs."""
        return self._moments[0]

    @cached_property
    def residual_vectors(self) -> Vectors:
        """Coordinates of respondents' deviations and of the error of the common part."""
        return self.answers.unit_vectors(self.answers.residual)

    @cached_property
    def outcome_vectors(self) -> Vectors:
        """Coordinates of respondents' whole response; no model was fitted for them, so all are one fold."""
        vectors = self.answers.unit_vectors(self.answers.outcome)
        return replace(vectors, fold=np.zeros_like(vectors.fold))

    @cached_property
    def _regression(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """By respondent: moments of functions, of these with the outcome, and the outcome's first two."""
        by_part = []
        for _, answers in self.answers.parts():
            functions = np.hstack(answers.contrasts)
            outcome = answers.without_baseline(answers.outcome)
            starts = np.searchsorted(answers.respondent, np.arange(answers.n_respondents))
            sums = np.add.reduceat(
                np.column_stack([functions * outcome[:, None], answers.outcome, answers.outcome**2]), starts
            )
            by_part.append((sums_of_products(functions, functions, starts), sums))
        gram, sums = (np.concatenate(part) for part in zip(*by_part, strict=True))
        counts = np.bincount(self.answers.respondent, minlength=len(sums))
        means = sums / counts[:, None]
        gram /= counts[:, None, None]
        return gram, means[:, :-2], means[:, -2], means[:, -1]

    def variances(self, weights: np.ndarray) -> Variances:
        """Estimate all variances.

        Args:
            weights: (n_samples, n_respondents).
        """
        answers = self.answers
        error = self.residual_vectors.covariance(weights)
        coefficients = self.coefficients(self.products, weights)
        by_block = coefficients[:, 2:-1] - error.by_block
        _, _, mean, square = self._regression
        mass = weights.sum(axis=1)
        paired = weights * (self.products.pairs > 0)
        raw = (paired @ self.products.raw) / np.maximum(paired.sum(axis=1), SMALLEST)
        total = (weights @ square) / mass
        if answers.n_sides == 1:
            total = total - ((weights @ mean) / mass) ** 2
        return Variances(
            by_block=by_block,
            pairs=coefficients[:, -1],
            baseline=raw if answers.has_baseline else np.zeros(len(weights)),
            common=self.outcome_vectors.between_people(weights).sum(axis=1),
            total=total,
            part_worths=self.part_worths(weights),
            covariance=self._between_tasks(weights) - error,
        )

    def part_worths(self, weights: np.ndarray) -> np.ndarray:
        """Return the (n_samples, total levels) common response, least squares.

        Args:
            weights: (n_samples, n_respondents).
        """
        gram, cross, _, _ = self._regression
        n, rank = cross.shape
        grams = (weights @ gram.reshape(n, -1)).reshape(-1, rank, rank)
        grams[:, np.arange(rank), np.arange(rank)] += 1e-9 * weights.sum(axis=1)[:, None]
        return self.levels_of(np.linalg.solve(grams, (weights @ cross)[:, :, None])[:, :, 0])

    def _between_tasks(self, weights: np.ndarray) -> Covariance:
        """Covariance of coordinates between tasks of one respondent, the error of the common part in it."""
        paired = weights * (self.products.pairs > 0)
        share = 1 / np.maximum(paired.sum(axis=1), SMALLEST)
        means = ((paired @ own.reshape(len(own), -1), own.shape[1:]) for own in self._moments[2])
        return Covariance(tuple(total.reshape(-1, *shape) for total, shape in means)).times(share)

    def coefficients(self, moments: Products, weights: np.ndarray) -> np.ndarray:
        """Regress products on likeness; (n_samples, n_blocks + 3), zero for columns without variation."""
        weights = weights * (moments.pairs > 0)
        n, c = moments.cross.shape
        gram = (weights @ moments.gram.reshape(n, -1)).reshape(-1, c, c)
        cross = weights @ moments.cross
        used = np.flatnonzero(np.diag(gram[0]) > 0)
        out = np.zeros(cross.shape)
        for s in range(len(weights)):
            out[s, used] = np.linalg.lstsq(gram[s][np.ix_(used, used)], cross[s, used], rcond=1e-10)[0]
        return out

    def levels_of(self, coordinates: np.ndarray) -> np.ndarray:
        """Turn (n, total rank) coordinates into (n, total levels) part-worths: mean utility given a level."""
        out, start = np.zeros((len(coordinates), sum(self.design.shape))), 0
        for block in self.design.blocks:
            basis = block.functions()
            value = coordinates[:, start : start + basis.shape[1]] @ basis.T
            start += basis.shape[1]
            columns = level_columns(block, self.design)
            out[:, columns] = value @ np.linalg.pinv(cell_indicators(block, self.design)).T
        return centre_utilities(out, self.design)

    def by_lag(self, weights: np.ndarray) -> np.ndarray:
        """Return the (n_samples, 3) variance from tasks 1, 2, and 3 or more apart; NaN without such pairs."""
        error = self.residual_vectors.between_people(weights).sum(axis=1)
        out = np.full((len(weights), len(LAGS)), np.nan)
        for k, (count, moments) in enumerate(self._moments[1]):
            if count > PAIRS_PER_BLOCK * len(self.answers.ranks):
                out[:, k] = self.coefficients(moments, weights)[:, 2:-1].sum(axis=1) - error
        return out

    def sign_flip_p(self, weight: np.ndarray, seed: int) -> float:
        """Return the p-value of the variance under random signs of the answers of every task.

        Without person x message, answers to different tasks are correlated through the respondent's level
        alone, and a task's residuals could as well have the other sign.

        Args:
            weight: (n_respondents,).
        """
        answers, moments = self.answers, self.products
        share = weight * (moments.pairs > 0) / np.maximum(moments.pairs, 1)
        c = moments.cross.shape[1]
        gram = np.tensordot(weight * (moments.pairs > 0), moments.gram, axes=1)
        chosen = np.zeros(c)
        chosen[2:-1] = 1
        used = np.flatnonzero(np.diag(gram) > 0)
        functional = np.zeros(c)
        functional[used] = np.linalg.lstsq(gram[np.ix_(used, used)], chosen[used], rcond=1e-10)[0]
        n_tasks = int(task_positions(answers).max()) + 1
        by_tasks, observed = np.zeros((answers.n_respondents, n_tasks, n_tasks)), 0.0
        for members, own, pairs in self._pairs():
            who, position = own.respondent[pairs.first], task_positions(own)
            part = regressors(own, pairs) @ functional * pairs.product * share[members][who]
            np.add.at(by_tasks[members], (who, position[pairs.first], position[pairs.second]), part)
            observed += float(part.sum())
        rng = child_rng(seed, "diagnose/signs")
        flipped = list[np.ndarray]()
        step = max(1, FLIPS_AT_ONCE // by_tasks[:, :, 0].size)
        flip = _flip_each if n_tasks > TABLED else _flip_by_table
        for start in range(0, FLIPS, step):
            shape = (answers.n_respondents, min(step, FLIPS - start), n_tasks)
            flipped.append(flip(by_tasks, rng.integers(0, 2, shape, dtype=np.int8)))
        return ties.share_as_large(np.concatenate(flipped), observed)

    def response_error(self, weights: np.ndarray) -> np.ndarray | None:
        """Estimate how often a choice does not say what is preferred, from repeated tasks; (n_samples,).

        tau = (1 - sqrt(2 IRR - 1)) / 2 with IRR the share of choices that were the same when the same two
        petitions were shown again, in either order (Clayton, Horiuchi, Kaufman, King & Komisarchik 2025).

        Returns:
            None but for choices between two, or if fewer than `REPEATS` tasks were repeated.
        """
        answers = self.answers
        if answers.n_sides == 1:
            return None
        first, second = pairs_within(answers.respondent)
        again = same_petitions(answers, first, second)
        first, second = first[again], second[again]
        ids = [answers.design.petition_ids(side) for side in answers.sides]
        chosen = np.where(answers.outcome > 0, *ids)
        differ = ids[0][first] != ids[1][first]
        if differ.sum() < REPEATS:
            return None
        who = answers.respondent[first[differ]]
        same = (chosen[first] == chosen[second])[differ]
        n = answers.n_respondents
        count, agreed = np.bincount(who, minlength=n), np.bincount(who, weights=same, minlength=n)
        agreement = (weights @ agreed) / np.maximum(weights @ count, SMALLEST)
        return (1 - np.sqrt(np.maximum(2 * agreement - 1, 0))) / 2

    def interactions(self, weight: np.ndarray, seed: int) -> Interactions:
        """Estimate the variance of common interactions of pairs of attributes, and test that there are none.

        Products of different respondents' vectors, as for the common response, with the products of two
        blocks' functions; the test gives every respondent a random sign.

        Args:
            weight: (n_respondents,).
        """
        answers = self.answers
        own = self.part_worths(weight[None])
        additive = sum(
            sign * part_worths(own, self.design).utilities_of_all(side)[0]
            for sign, side in zip((1, -1), answers.sides, strict=False)
        )
        residual = answers.without_baseline(answers.outcome - additive)
        share = weight / np.bincount(answers.respondent, minlength=len(weight)) / weight.sum()
        scaled = residual * share[answers.respondent] / answers.n_sides
        signs = _random_signs(len(weight), child_rng(seed, "diagnose/interactions"))
        blocks = np.repeat(np.arange(len(answers.ranks)), answers.ranks)
        one, other = np.nonzero(blocks[:, None] < blocks)
        sums, own, done = np.zeros((FLIPS + 1, len(one))), np.zeros(len(one)), 0
        for members, part in answers.parts():
            begin = np.searchsorted(part.respondent, np.arange(part.n_respondents))
            rows = slice(done, done := done + len(part.respondent))
            vectors = np.zeros((part.n_respondents, len(one)))
            for sign, side in zip((1.0, -1.0), part.values, strict=False):
                functions = np.hstack(side)
                each = sums_of_products(functions * (sign * scaled[rows])[:, None], functions, begin)
                vectors += each[:, one, other]
            sums += signs[:, members].astype(float) @ vectors
            own += (vectors**2).sum(axis=0)
        lengths = sums**2
        totals, interacting = lengths.sum(axis=1) - own.sum(), []
        for a, b in itertools.combinations(range(len(answers.ranks)), 2):
            pair = (blocks[one] == a) & (blocks[other] == b)
            length = lengths[:, pair].sum(axis=1) - own[pair].sum()
            if length[0] > STANDS_OUT * length[1:].std():
                interacting.append((a, b))
        mass = 1 - ((weight / weight.sum()) ** 2).sum()
        p_value = ties.share_as_large(totals[1:], totals[0])
        return Interactions(float(totals[0] / mass), p_value, tuple(interacting))

    def noise_of_respondents(self, weight: np.ndarray, variances: Variances) -> np.ndarray:
        """(n_blocks,) noise variance of the estimates of a respondent's coordinates from own answers."""
        vectors = self.residual_vectors
        value, _ = vectors.of_people()  # in a panel a respondent's answers are in several folds
        squares = weight @ vectors.by_block(value**2) / weight.sum()
        return np.maximum(squares - variances.by_block[0], 1e-12)

    def fit(self, sample: Sample, variances: Variances) -> Stage:
        """Return the stage: the variance of person x message, and what an oracle that knows it gains.

        Args:
            variances: of the sample and the goal.
        """
        total = variances.person_by_message
        p = np.nan if sample.seed is None else self.sign_flip_p(sample.weight, sample.seed)
        estimate = Estimate.bootstrapped(total, p)
        most = ceiling(self.design, variances.part_worths, variances.covariance, total, variances.scale)
        row = sample.row(Quantity.PERSON_BY_MESSAGE, Estimator.CROSS_TASK, estimate)
        return replace(
            Stage.of(row.with_ceiling(*most)),
            significant=estimate.interval(ONE_SIDED)[0] > 0,
            evaluated=bool(((self.products.pairs > 0) & (sample.weight > 0)).any()),
        )

    def rows(self, sample: Sample, variances: Variances, common: Interactions | None) -> list[Row]:
        """Return the rows beside the headline: parts of the variance, and what could distort them.

        Args:
            variances: of the sample.
            common: interactions that are common to all; None where attributes cannot interact.
        """
        estimates = [*self._parts(variances), *self._interacting(variances, common)]
        estimates += [*self._lags(sample.weights), *self._errors(sample.weights, variances)]
        return [
            sample.row(quantity, Estimator.CROSS_TASK, estimate, attribute)
            for quantity, estimate, attribute in estimates
        ]

    def _parts(self, variances: Variances) -> Iterator[Part]:
        person = variances.person_by_message
        if self.answers.has_baseline:
            yield Quantity.BASELINE, Estimate.bootstrapped(variances.baseline), ""
        yield Quantity.COMMON, Estimate.bootstrapped(variances.common), ""
        # A choice compares two petitions, each of which adds its variance: all variances are by petition.
        within = (variances.total - variances.baseline) / self.answers.n_sides
        yield Quantity.NOISE, Estimate.bootstrapped(within - variances.common - person), ""
        share = person / np.maximum(variances.common + person, 1e-12)
        yield Quantity.INTERACTION_SHARE, Estimate.bootstrapped(share), ""
        for b, block in enumerate(self.design.blocks):
            own = Estimate.bootstrapped(variances.by_block[:, b])
            yield Quantity.PERSON_BY_MESSAGE, own, block_name(block, self.design)

    def _interacting(self, variances: Variances, common: Interactions | None) -> Iterator[Part]:
        if common is not None:
            yield Quantity.PAIRS_OF_ATTRIBUTES, Estimate.bootstrapped(variances.pairs), ""
            yield Quantity.COMMON_INTERACTIONS, Estimate(common.variance, p_value=common.p_value), ""

    def _lags(self, weights: np.ndarray) -> Iterator[Part]:
        lags = self.by_lag(weights)
        for quantity, samples in zip(LAGS, lags.T, strict=True):
            if np.isfinite(samples[0]):
                yield quantity, Estimate.bootstrapped(samples), ""
        if np.isfinite(lags[0, [0, -1]]).all():
            difference = lags[:, 0] - lags[:, -1]
            # One-sided: moods and carry-over fade with distance.
            statistic = difference[0] / difference[1:].std(ddof=1)
            p = float(special.ndtr(-statistic))
            yield Quantity.LAG_DIFFERENCE, Estimate.bootstrapped(difference, p), ""

    def _errors(self, weights: np.ndarray, variances: Variances) -> Iterator[Part]:
        error = self.response_error(weights)
        if error is not None:
            yield Quantity.RESPONSE_ERROR, Estimate.bootstrapped(error), ""
            corrected = variances.person_by_message / np.maximum(1 - 2 * error, 1e-6) ** 2
            yield Quantity.CORRECTED, Estimate.bootstrapped(corrected), ""


def _random_signs(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return (1 + `FLIPS`, n) signs of respondents, all of them 1 in the first row."""
    signs = np.ones((1 + FLIPS, n), dtype=np.int8)
    step = max(1, FLIPS_AT_ONCE // n)
    for start in range(1, 1 + FLIPS, step):
        own = signs[start : start + step]
        own[:] = rng.integers(0, 2, own.shape) * 2 - 1
    return signs


def _flip_each(by_tasks: np.ndarray, coins: np.ndarray) -> np.ndarray:
    """Return the sums of (n, t, t) products of answers by task whose (n, t) tasks have random signs.

    Args:
        coins: (n, n_flips, t) zeros (minus) and ones (plus).

    Returns:
        (n_flips,).
    """
    signs = coins * 2.0 - 1
    return (signs @ by_tasks * signs).sum(axis=(0, 2))


def _flip_by_table(by_tasks: np.ndarray, coins: np.ndarray) -> np.ndarray:
    """Return what `_flip_each` does, looked up among all signs that few tasks can have."""
    n, t = by_tasks.shape[:2]
    signs = (
        2.0 * np.unpackbits(np.arange(2**t, dtype=np.uint8)[:, None], axis=1, bitorder="little")[:, :t] - 1
    )
    table = np.einsum("pt,npt->np", signs, signs @ by_tasks)
    which = np.packbits(coins, axis=2, bitorder="little")[:, :, 0]
    return table[np.arange(n)[:, None], which].sum(axis=0)
