"""The ladder: what each set of covariates predicts and gains, then all, then own answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nanotarget.diagnose.refits import Refit
from nanotarget.diagnose.rows import ONE_SIDED, Estimate, Sample

ALL_COVARIATES = "All covariates"
COVARIATES, OWN_ANSWERS = "covariates", "covariates + own answers"


@dataclass(frozen=True)
class Rung:
    """A cross-fit of the ladder: its name, its learner, what it uses and of how many covariates."""

    name: str
    learner: str
    information: str
    n_covariates: int
    refit: Refit


class LadderRow(NamedTuple):
    """A row of ladder.csv: a rung with its improvement, slope, predictable variance and gain."""

    rung: str
    learner: str
    information: str
    n_covariates: int
    improvement: float
    std_error: float
    slope: float
    slope_low: float
    slope_high: float
    predictable_variance: float
    predictable_share: float
    gain: float
    gain_std_error: float
    gain_low: float
    gain_high: float
    n: int


def ladder_row(rung: Rung, sample: Sample) -> LadderRow:
    """Return what a rung predicts and gains, with one-sided bounds."""
    refit = rung.refit
    df = max((refit.divergent > 0).sum() - 1, 1)
    gain = Estimate.mean(refit.gains, sample.weight, df)
    slope = Estimate(*refit.slope)
    person, free, learned = refit.variance
    known, (improvement, error) = max(free, learned), refit.improvement
    return LadderRow(
        rung.name,
        rung.learner,
        rung.information,
        rung.n_covariates,
        improvement,
        error,
        slope.value,
        *slope.interval(ONE_SIDED),
        known,
        known / person if person > 0 else np.nan,
        gain.value,
        gain.std_error,
        *gain.interval(ONE_SIDED),
        sample.n,
    )
