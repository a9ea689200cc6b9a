"""What many covariates explain without a learner, in worlds with known truth.

`python tests/statistical/test_many_covariates.py 25` writes the table of docs/validation.md.
"""

import itertools
import sys

import numpy as np
import pandas as pd
import pytest

from nanotarget.diagnose.joint import JointFeatures
from nanotarget.diagnose.projection import Projection
from nanotarget.study.seeds import child_rng
from worlds import as_respondents

FOLDS, COORDINATES = 5, 22
EXPLAINED = 0.17  # variance that features explain
NOISE = 0.15  # variance of a coordinate's noise, for people who are zero on the first covariate
ONE_SIDED, TWO_SIDED = 1.645, 1.96


def draw_covariates(kind, n, count, rng):
    """Draw numbers: independent and normal, correlated by a half, or with tails of Student's t (4)."""
    if kind == "heavy":
        return rng.standard_t(4, (n, count)) / np.sqrt(2)
    values = rng.normal(size=(n, count))
    return np.sqrt(0.5) * (values + rng.normal(size=(n, 1))) if kind == "correlated" else values


def draw(kind, n, count, seed, of_two=True):
    """Draw people; return an estimate, its error and the number of features; None if these are too many.

    Args:
        of_two: whether functions of two covariates are among the features. With heavy tails three of the
            features decide, else all of them.
    """
    rng = child_rng(seed, f"many covariates/{kind}/{count}/{of_two}")
    values = draw_covariates(kind, n, count, rng)
    names = [f"z{j}" for j in range(count)]
    joint = JointFeatures.of(*as_respondents(pd.DataFrame(values, columns=names)))
    features = joint.for_people(n).features if of_two else joint.alone
    folds = np.eye(FOLDS)[rng.permutation(n) % FOLDS]
    projection = Projection.of(features, np.ones(n), folds)
    if projection is None:
        return None
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    some = rng.choice(scaled.shape[1], 3, replace=False)
    used = some if kind == "heavy" else np.arange(scaled.shape[1])
    known = scaled[:, used] @ rng.normal(size=(len(used), COORDINATES))
    within = known - folds @ np.linalg.lstsq(folds, known, rcond=None)[0]
    size = np.sqrt(EXPLAINED / (within**2).sum(axis=1).mean())
    spread = np.sqrt(NOISE) * (1 + 0.5 * np.abs(values[:, :1]))
    error_of_common = folds @ rng.normal(size=(FOLDS, COORDINATES)) / 10
    answers = size * known + error_of_common + spread * rng.normal(size=known.shape)
    return *projection.variance(answers), projection.features.shape[1]


def summarised(samples):
    """Return bias, its Monte Carlo error, spread, mean error, coverage, and misses of the upper bound."""
    found, error, _ = np.array(samples).T
    off = found - EXPLAINED
    covered, low = np.abs(off) <= TWO_SIDED * error, off < -ONE_SIDED * error
    return (
        off.mean(),
        off.std(ddof=1) / np.sqrt(len(off)),
        off.std(ddof=1),
        error.mean(),
        covered.mean(),
        low.mean(),
    )


@pytest.mark.statistical
@pytest.mark.parametrize("kind", ["normal", "correlated", "heavy"])
def test_what_many_features_explain_is_unbiased_and_covered(kind):
    samples = [draw(kind, 300, 10, seed) for seed in range(25)]
    assert samples[0][2] > 80  # features of 300 people
    bias, monte_carlo, spread, error, covered, low = summarised(samples)
    assert abs(bias) < 3 * monte_carlo
    assert error > 0.85 * spread
    assert covered >= 0.85 and low <= 0.15


def table(n, replications):
    """Write a row for each kind and number of covariates, alone and two at a time."""
    counts = (6, 12, 24, 40)
    for kind, of_two, count in itertools.product(("normal", "correlated", "heavy"), (False, True), counts):
        label = f"| {kind} | {count} | {'two at a time' if of_two else 'alone'} "
        if draw(kind, n, count, 0, of_two) is None:
            sys.stdout.write(f"{label}| too many | | | | | |\n")
            continue
        samples = [draw(kind, n, count, seed, of_two) for seed in range(replications)]
        bias, monte_carlo, spread, error, covered, low = summarised(samples)
        sys.stdout.write(
            f"{label}| {samples[0][2]:.0f} | {bias:+.4f} ({monte_carlo:.4f}) | {spread:.4f} | {error:.4f} "
            f"| {covered:.0%} | {low:.0%} |\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    table(1_500, int(sys.argv[1]))
