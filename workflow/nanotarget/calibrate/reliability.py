"""How reliable are answers? Agreement of a person with herself, from a task asked twice or from all tasks.

Choices, and answers of yes or no, are taken for what a person prefers, but for a share of answers (the
response error) that go to one of the other options by chance, whatever is shown and independently from one
time to the next (Clayton, Horiuchi, Kaufman, King & Komisarchik 2025). With K options and an error of tau,
differences shrink by the factor lambda = 1 - tau K / (K - 1), and two answers to one task agree in
1 / K + (1 - 1 / K) lambda^2. For K = 2 that is tau = (1 - sqrt(2 agreement - 1)) / 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize

from nanotarget.calibrate.resampled import Resampled, Sample, ratio, solved
from nanotarget.petitions.design import Design
from nanotarget.study.response import Response

REPEATED, EXTRAPOLATED, LINEAR, GIVEN = "repeated", "extrapolated", "linear", "given"
PAIRS = 300_000  # of tasks that are compared, at most
EVEN = 1e-6  # 1 less the square of a correlation that counts as 1
LARGEST = 6.0  # log of the weight of an attribute, beside the first
STEPS = 10  # of likeness between tasks
FEWEST = 50  # pairs of a step, so that its share has an error that can be estimated
LIKENESS = ("likeness", "agreement", "std_error", "expected", "n")


@dataclass(frozen=True)
class Agreement:
    """How often people answer alike, and what follows from it.

    Attributes:
        method: how it was found.
        options: between which an answer decides.
        alike: share of answers that would be the same if asked again.
        n: comparisons.
        people: respondents with one.
    """

    method: str
    options: int
    alike: Resampled
    n: int
    people: int

    @property
    def factor(self) -> Resampled:
        """Lambda: by how much response error shrinks differences."""
        k = self.options
        squared = self.alike.weighted(np.array([[k / (k - 1)]]))
        shifted = squared._replace(value=squared.value - 1 / (k - 1), samples=squared.samples - 1 / (k - 1))
        return shifted.through(lambda s: np.sqrt(np.maximum(s, 0)), lambda s: 0.5 / np.sqrt(np.maximum(s, 0)))

    @property
    def error(self) -> Resampled:
        """Tau: share of answers that go to another option by chance."""
        share = (self.options - 1) / self.options
        factor = self.factor
        return Resampled((1 - factor.value) * share, -factor.influence * share, (1 - factor.samples) * share)

    @property
    def usable(self) -> bool:
        """Whether people agree with themselves more often than by chance, by two standard errors."""
        lower = self.alike.value[0] - 2 * self.alike.std_error[0]
        return bool(self.n and lower > 1 / self.options)


def options_of(response: type[Response], alike: int, profiles: int) -> int:
    """Return between how many answers a question of yes or no, or a choice, decides.

    Args:
        response: kind of the outcome.
        alike: `CalibrationConfig.alike`, 0 if none of the petitions may be chosen.
        profiles: petitions of a task.
    """
    return 2 if not response.paired else profiles + (0 if alike else 1)


def asked_twice(
    profiles: pd.DataFrame, again: pd.DataFrame, response: type[Response], sample: Sample
) -> Resampled:
    """Estimate how often the second answer is the first one, with respondents as clusters.

    Args:
        profiles: `contracts.calibration_profiles`.
        again: `contracts.second_answers`.
        response: kind of the outcome: a choice, or yes or no of each petition.
        sample: of respondents.
    """
    both = _both(profiles, again, response.name)
    same = (both["first"] == both["second"]).groupby(both["respondent_id"], sort=False)
    alike = same.all() if response.paired else same.mean()
    person = sample.person(alike.index.to_series())
    weight = sample.totals(sample.weight[person][:, None], person)
    return ratio(weight * sample.totals(alike.to_numpy(np.float64)[:, None], person), weight, sample)


def _both(profiles: pd.DataFrame, again: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """Return respondent_id, first and second answer to petitions that were answered twice."""
    keys = ["respondent_id", "task", "profile"]
    both = profiles[[*keys, outcome]].merge(again[[*keys, outcome]], on=keys, suffixes=("_1", "_2"))
    both = both.rename(columns={f"{outcome}_1": "first", f"{outcome}_2": "second"})
    return both.dropna(subset=["first", "second"])


def intraclass(profiles: pd.DataFrame, again: pd.DataFrame, outcome: str, sample: Sample) -> Resampled:
    """Estimate the intraclass correlations of a number that was given twice, by absolute agreement.

    Of the answers, and of differences between two petitions of a task: the first counts what a person's
    answers have in common as agreement, the second only what she thinks of petitions.

    Returns:
        Both, in this order.
    """
    both = _both(profiles, again, outcome)
    person = sample.person(both["respondent_id"])
    weight = sample.weight[person]
    answers = both[["first", "second"]].to_numpy(np.float64)
    centred = answers - np.average(answers.mean(axis=1), weights=weight)
    pair = np.flatnonzero(person[:-1] == person[1:])
    steps = answers[pair] - answers[pair + 1]
    parts = [(centred, person), (steps, person[pair])]
    top = [sample.totals(sample.weight[p] * v.prod(axis=1), p) for v, p in parts]
    bottom = [sample.totals(sample.weight[p] * (v**2).mean(axis=1), p) for v, p in parts]
    return ratio(np.column_stack(top), np.column_stack(bottom), sample)


@dataclass(frozen=True)
class Pairs:
    """Pairs of tasks of a person, each a choice between two petitions.

    Attributes:
        person: (pairs,) index of the respondent.
        same: (pairs,) 1 if she chose the same side in both tasks, -1 if not.
        overlap: (pairs, attributes) level shared on one side or the other, less those shared crosswise.
        unlike: two (pairs, attributes): 2 where the petitions of the task differ in the attribute.
        differing: (pairs,) attributes whose levels are not the same on both sides in both tasks.
    """

    person: np.ndarray
    same: np.ndarray
    overlap: np.ndarray
    unlike: tuple[np.ndarray, np.ndarray]
    differing: np.ndarray

    @classmethod
    def of(cls, profiles: pd.DataFrame, design: Design, outcome: str, sample: Sample) -> Pairs:
        """Pair all tasks of each respondent, those that follow each other first, up to `PAIRS`."""
        used = profiles[profiles[outcome].notna()]
        codes = design.codes(used).reshape(-1, 2, len(design.shape))
        chosen = np.where(used[outcome].to_numpy()[::2] == 1, 1.0, -1.0)
        person = sample.person(used["respondent_id"].iloc[::2])
        person = np.where(sample.weight[person] > 0, person, -1 - np.arange(len(person)))
        first = [np.zeros(0, np.int64)]
        second = [np.zeros(0, np.int64)]
        for lag in range(1, len(person)):
            found = np.flatnonzero(person[:-lag] == person[lag:])
            if not len(found) or sum(map(len, first)) + len(found) > PAIRS:
                break
            first.append(found)
            second.append(found + lag)
        one, other = np.concatenate(first), np.concatenate(second)
        left, right = codes[one], codes[other]
        straight, crossed = left == right, left == right[:, ::-1]
        return cls(
            person[one],
            chosen[one] * chosen[other],
            straight.sum(axis=1) - crossed.sum(axis=1).astype(np.float64),
            (2.0 * (left[:, 0] != left[:, 1]), 2.0 * (right[:, 0] != right[:, 1])),
            (~straight.all(axis=1)).sum(axis=1),
        )

    def likeness(self, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the correlation of what speaks for a side in both tasks, and its slope.

        Args:
            share: (attributes,) of the variance of utility; what is common to all counts is left out.

        Returns:
            (pairs,), and (pairs, attributes) by the shares.
        """
        below = [unlike @ share for unlike in self.unlike]
        root = np.sqrt(below[0] * below[1])
        scale = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
        likeness = np.clip((self.overlap @ share) * scale, -1, 1)
        halves = [
            unlike * np.divide(0.5, part, out=np.zeros_like(part), where=part > 0)[:, None]
            for unlike, part in zip(self.unlike, below, strict=True)
        ]
        return likeness, self.overlap * scale[:, None] - likeness[:, None] * (halves[0] + halves[1])


@dataclass(frozen=True)
class Curve:
    """Agreement between tasks by how much they have in common, and where it leads if all is in common.

    What speaks for one petition of a task and what does in another one are taken for normal, over people and
    tasks, with a correlation that follows from the levels in common and from how much each attribute weighs.
    Then choices without error go the same way with probability 1 / 2 + arcsin(correlation) / pi (Sheppard
    1899); response error pulls that towards a half by the square of lambda.

    Attributes:
        square: lambda squared.
        share: (attributes,) of the variance of utility.
        pairs: from which it was fitted.
    """

    square: Resampled
    share: np.ndarray
    pairs: Pairs

    @classmethod
    def fitted(cls, pairs: Pairs, sample: Sample) -> Curve:
        """Fit by nonlinear least squares; bootstrap samples take one step from the estimate."""
        size, weight = pairs.overlap.shape[1], np.sqrt(sample.weight[pairs.person])

        def parts(at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            """Return shares, and values and slopes of the curve without error."""
            share = np.exp(np.append(0, at[1:]))
            share /= share.sum()
            likeness, slope = pairs.likeness(share)
            steep = 2 / np.pi / np.sqrt(np.maximum(1 - likeness**2, EVEN))
            return share, 2 / np.pi * np.arcsin(likeness), slope * steep[:, None]

        def residual(at: np.ndarray) -> np.ndarray:
            return weight * (at[0] * parts(at)[1] - pairs.same)

        def jacobian(at: np.ndarray) -> np.ndarray:
            share, value, slope = parts(at)
            return weight[:, None] * np.column_stack([value, at[0] * slope[:, 1:] * share[1:]])

        start = np.append(0.5, np.zeros(size - 1))
        limits = (np.append(-1.0, np.full(size - 1, -LARGEST)), np.append(2.0, np.full(size - 1, LARGEST)))
        at = optimize.least_squares(residual, start, jacobian, bounds=limits).x
        share, value, slope = parts(at)
        columns = np.column_stack([value, at[0] * slope])
        own = sample.weight[pairs.person]
        left = (own * (pairs.same - at[0] * value))[:, None]
        squares = sample.totals((columns * own[:, None])[:, :, None] * columns[:, None, :], pairs.person)
        scores = sample.totals(columns * left, pairs.person)
        bread = np.linalg.pinv(squares.sum(axis=0), rcond=1e-10, hermitian=True)
        n = len(sample.draws)
        drawn = (sample.draws @ squares.reshape(len(squares), -1)).reshape(n, size + 1, size + 1)
        step = solved(drawn, sample.draws @ scores)[:, :1]
        people = len(np.unique(pairs.person))
        influence = (scores @ bread)[:, :1] * np.sqrt(people / max(people - 1, 1))
        return cls(Resampled(at[:1], influence, at[:1] + step), share, pairs)

    @property
    def alike(self) -> Resampled:
        """Agreement if all is in common."""
        half = self.square.weighted(np.array([[0.5]]))
        return half._replace(value=half.value + 0.5, samples=half.samples + 0.5)


def by_likeness(curve: Curve, sample: Sample) -> pd.DataFrame:
    """Return agreement by how much two tasks have in common.

    Where tasks have more in common crosswise than straight, choosing the other side counts as agreement.

    Returns:
        `LIKENESS`, a row a tenth of the way from nothing (0) to the same task (1), of neighbours together
        where a tenth has fewer than `FEWEST` pairs; `expected` by the curve.
    """
    pairs = curve.pairs
    likeness = pairs.likeness(curve.share)[0]
    alike = pairs.same * np.where(likeness < 0, -1, 1) == 1
    tenth = np.minimum(np.abs(likeness) * STEPS, STEPS - 1).astype(int)
    step = _steps(np.bincount(tenth, minlength=STEPS))[tenth]
    which = step[:, None] == np.arange(step.max() + 1)
    own = sample.weight[pairs.person][:, None] * which
    expected = 0.5 + curve.square.value[0] * np.arcsin(np.abs(likeness)) / np.pi
    weight = sample.totals(own, pairs.person)
    found, middle, curved = (
        ratio(sample.totals(own * values[:, None], pairs.person), weight, sample)
        for values in (alike, np.abs(likeness), expected)
    )
    rows = {
        "likeness": middle.value,
        "agreement": found.value,
        "std_error": found.std_error,
        "expected": curved.value,
        "n": which.sum(axis=0),
    }
    return pd.DataFrame(rows)[list(LIKENESS)]


def _steps(counts: np.ndarray) -> np.ndarray:
    """Return the step of each tenth: from the top down tenths join until there are `FEWEST` pairs."""
    closed, together = [], 0
    for n in counts[::-1]:
        together += int(n)
        closed.append(together >= FEWEST)
        together = 0 if closed[-1] else together
    # What is left at the bottom joins the step above it.
    ends = np.flatnonzero(closed)[:-1] if together else np.flatnonzero(closed[:-1])
    from_top = np.searchsorted(ends, np.arange(len(counts)), side="left")
    return np.asarray((from_top.max() - from_top)[::-1])


def straight_line(pairs: Pairs, sample: Sample) -> Resampled:
    """Extrapolate agreement by the number of attributes that differ to none, along a straight line.

    As projoint does it: the line through the means, weighted by their precision. Agreement bends where tasks
    become alike, so that the line ends too low (docs/methods.md).
    """
    numbers = np.arange(1, pairs.overlap.shape[1] + 1)
    own = sample.weight[pairs.person][:, None] * (pairs.differing[:, None] == numbers)
    weight = sample.totals(own, pairs.person)
    means = ratio(sample.totals(own * (pairs.same[:, None] == 1), pairs.person), weight, sample)
    known = means.std_error > 0
    x = np.column_stack([np.ones(known.sum()), numbers[known]])
    precision = 1 / means.std_error[known] ** 2
    line = np.linalg.pinv(x.T @ (x * precision[:, None])) @ (x.T * precision)
    samples = np.where(np.isnan(means.samples), means.value, means.samples)[:, known]
    return Resampled(means.value[known], means.influence[:, known], samples).weighted(line[:1])
