"""The ladder: what each set of covariates predicts and gains, then all, then own answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nanotarget.diagnose.dividend import Dividend
from nanotarget.diagnose.inputs import Inputs
from nanotarget.diagnose.refits import Refit
from nanotarget.diagnose.rows import ONE_SIDED, Estimate, Sample
from nanotarget.study.config import WHOLE

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


def ladder(inputs: Inputs, dividend: Dividend, shared: float) -> list[LadderRow]:
    """Return what each rung predicts and gains; empty without refits.

    Args:
        inputs: what there is.
        dividend: of the study's learner and goal.
        shared: factor on errors of gains for what folds share.
    """
    return (
        [_row(rung, inputs.everybody, shared) for rung in _rungs(inputs, dividend)] if inputs.refits else []
    )


def _rungs(inputs: Inputs, dividend: Dividend) -> list[Rung]:
    refits, everything = inputs.refits, inputs.n_covariates
    simple = "ridge" if refits.slow else inputs.learner
    rungs = [
        Rung(rung.name, simple, COVARIATES, len(rung.covariates), refits.rung(place))
        for place, rung in enumerate(inputs.settings.ladder)
    ]
    if refits.slow:
        rungs.append(Rung(ALL_COVARIATES, simple, COVARIATES, everything, refits[WHOLE]))
    own = Refit.of(dividend, inputs.predictability, inputs.improvement)
    if inputs.own_answers:
        return [*rungs, Rung(OWN_ANSWERS, inputs.learner, OWN_ANSWERS, everything, own)]
    return [*rungs, Rung(ALL_COVARIATES, inputs.learner, COVARIATES, everything, own)]


def _row(rung: Rung, sample: Sample, shared: float) -> LadderRow:
    """Return what a rung predicts and gains, with one-sided bounds."""
    refit = rung.refit
    df = max((refit.divergent > 0).sum() - 1, 1)
    gain = Estimate.mean(refit.gains, sample.weight, df).times(shared)
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
