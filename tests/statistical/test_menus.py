"""Choices among several petitions, or none, in worlds with known truth.

`python tests/statistical/test_menus.py 20` writes the table of docs/validation.md, of 20 samples each.
"""

import sys
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pytest

from menus import choose, with_level
from nanotarget.calibrate.learners.crossfit import Crossfit, crossfit
from nanotarget.calibrate.learners.ridge import fit_ridge
from nanotarget.diagnose.ceiling import ceiling
from nanotarget.diagnose.dividend import Dividend
from nanotarget.diagnose.predictability import Predictability
from nanotarget.diagnose.rows import ONE_SIDED, Sample
from nanotarget.petitions import policy
from nanotarget.petitions.score import predicted_response
from nanotarget.petitions.utilities import Tables, part_worths
from nanotarget.study.seeds import child_rng
from worlds import as_respondents, draw_part_worths, factorial

DESIGN = factorial((5, 4, 3, 3))
GRID = np.indices(DESIGN.shape).reshape(len(DESIGN.shape), -1).T
SESOI = 0.02
STEP = 0.4  # of the trapezoidal rule for true chances, which leaves 1e-9
# Standard deviations of part-worths a level: common to all, told by two covariates, a person's own.
WORLDS = {"R1": (0.5, 0.0, 0.0), "R3": (0.5, 0.0, 0.5), "R6": (0.3, 0.5, 0.2)}
# Profiles, mean level beside none, its standard deviation between people.
FORMS = {"3": (3, None, 0.0), "3 + none": (3, 0.3, 1.0), "2 + none": (2, 0.3, 1.0), "5": (5, None, 0.0)}


@dataclass(frozen=True)
class Known:
    """A sample, its cross-fit, and everybody's true utilities, the level beside none included."""

    fitted: Crossfit
    utilities: Tables

    @cached_property
    def chances(self):
        """(n, n_petitions) true chance of each petition, as a race of Gumbel noise over the whole grid."""
        kind = self.fitted.data.response
        eta = self.utilities.utilities_of_all(GRID)
        out = 0.0
        for u in np.arange(-12, 30, STEP):
            behind = np.exp(eta - u)
            rivals = np.exp(-behind).mean(axis=1, keepdims=True) ** (kind.profiles - 1)
            none = np.exp(-np.exp(-u)) if kind.none else 1.0
            out = out + STEP * behind * np.exp(-behind) * rivals * none
        return out

    @property
    def gain(self):
        """What the rule truly gains."""
        everybody = np.arange(self.utilities.n)
        nano, best = policy.nano(self.fitted.utilities), self.fitted.overall_best
        nano, best = (self.chances[everybody, DESIGN.petition_ids(shown)] for shown in (nano, best))
        return (nano - best).mean()

    @property
    def oracle(self):
        """What everybody's own best petition truly gains over the best for all."""
        best = self.utilities.utilities_of_all(GRID).mean(axis=0).argmax()
        return (self.chances.max(axis=1) - self.chances[:, best]).mean()

    @property
    def variance(self):
        """True variance of person x message, of its part that is additive over attributes."""
        own = self.chances - self.chances.mean(axis=0)
        own = (own - own.mean(axis=1, keepdims=True)).reshape(-1, *DESIGN.shape)
        axes = range(1, own.ndim)
        return sum((own.mean(axis=tuple(b for b in axes if b != a)) ** 2).mean() for a in axes)


def draw(world, form, seed, n=400, tasks=6):
    """Draw people and their choices, and learn from them."""
    rng = child_rng(seed, f"choice among/{world}/{form}")
    common, told, own = WORLDS[world]
    profiles, level, differ = FORMS[form]
    people, covariates = as_respondents(pd.DataFrame(rng.normal(size=(n, 2)), columns=["z0", "z1"]))
    values = draw_part_worths(DESIGN, rng, common) + draw_part_worths(DESIGN, rng, own, n)
    values = values + people[["z0", "z1"]].to_numpy() @ draw_part_worths(DESIGN, rng, told / np.sqrt(2), 2)
    utilities, levels = part_worths(values, DESIGN), None
    if level is not None:
        levels = level + differ * rng.normal(size=n)
    data = choose(utilities, people, covariates, tasks, rng, profiles=profiles, none=levels)
    fitted = crossfit(data, lambda train, part: fit_ridge(train, seed), 5, seed)
    return Known(fitted, with_level(utilities, 0.0 if levels is None else levels))


def dividend(known):
    """The gain as the diagnosis estimates it, without what folds share."""
    found = Dividend(known.fitted)
    return found.gain(Sample.of(known.fitted.data.weight, 0.95), found.estimator)


def heterogeneity(known, bootstraps=100):
    """Person x message: the estimate, its bootstrap error, and the ceiling with its bounds."""
    n = known.fitted.data.n_respondents
    draws = np.random.default_rng(1).multinomial(n, np.full(n, 1 / n), bootstraps)
    found = Predictability.of(known.fitted).heterogeneity.variances(
        np.vstack([np.ones(n), draws]).astype(float)
    )
    found = found.on_scale(known.fitted, np.ones(n))
    total = found.person_by_message
    most = ceiling(DESIGN, found.part_worths, found.covariance, total, found.scale)
    return total[0], total[1:].std(ddof=1), most


@pytest.mark.statistical
@pytest.mark.parametrize("form", ["3", "3 + none"])
def test_gains_and_variances_are_estimated_without_bias_and_with_honest_errors(form):
    z, z_variance = [], []
    for seed in range(8):
        known = draw("R6", form, seed)
        gain = dividend(known)
        z.append((gain.value - known.gain) / gain.std_error)
        value, error, most = heterogeneity(known)
        assert most.low < known.oracle < most.high
        z_variance.append((value - known.variance) / error)
    for scores in (z, z_variance):
        assert abs(np.mean(scores)) < 3 / np.sqrt(8)
        assert 0.4 < np.std(scores) < 1.8


@pytest.mark.statistical
@pytest.mark.parametrize("form", ["3", "3 + none"])
def test_where_nobody_differs_no_gain_is_found(form):
    for seed in range(4):
        gain = dividend(draw("R1", form, seed))
        assert gain.interval(ONE_SIDED)[0] < SESOI and gain.value < SESOI


@pytest.mark.statistical
def test_true_chances_are_those_of_the_library():
    known = draw("R6", "3 + none", 1, n=40)
    shown = DESIGN.draw(40, np.random.default_rng(1))
    found = predicted_response(known.utilities, shown, 0.0, known.fitted.data.response)
    assert np.allclose(known.chances[np.arange(40), DESIGN.petition_ids(shown)], found, atol=1e-8)


@pytest.mark.statistical
def test_it_pays_where_preferences_cross():
    assert dividend(draw("R6", "5", 1)).interval(ONE_SIDED)[0] > SESOI


def table(samples):
    """Write a row for each world and form."""
    for world in WORLDS:
        for form in FORMS:
            rows = []
            for seed in range(samples):
                known = draw(world, form, seed)
                gain, (value, error, most) = dividend(known), heterogeneity(known)
                passed = gain.interval(ONE_SIDED)[0] > SESOI
                row = gain.value, gain.std_error, known.gain, value, error, known.variance, passed
                rows.append((*row, most.gain, known.oracle, most.low <= known.oracle <= most.high))
            found = np.array(rows, dtype=float)
            gain, error, true, value, spread, real, passed, most, oracle, bounded = found.T
            covered = np.mean(np.abs(gain - true) <= 1.96 * np.maximum(error, 1e-12))
            held = np.mean(np.abs(value - real) <= 1.96 * spread)
            sys.stdout.write(
                f"| {world} | {form} | {true.mean():.3f} | {(gain - true).mean():+.4f} "
                f"({(gain - true).std(ddof=1) / np.sqrt(samples):.4f}) | {covered:.0%} | {passed.mean():.0%} "
                f"| {real.mean():.4f} | {(value - real).mean():+.4f} "
                f"({(value - real).std(ddof=1) / np.sqrt(samples):.4f}) | {held:.0%} "
                f"| {oracle.mean():.3f} | {(most - oracle).mean():+.3f} | {bounded.mean():.0%} |\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    table(int(sys.argv[1]))
