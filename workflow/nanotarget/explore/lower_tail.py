"""The experiment read downward: did an arm move people to refusal, or only those who liked little anyway?

These are the outcomes of arms that seek support; no arm that dissuades is ever fielded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nanotarget.calibrate import regression
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial
from nanotarget.explore.pair import Pair, unknown
from nanotarget.study.preregistration import contrast_name
from nanotarget.study.seeds import child_rng

REFUSED = "share refused"
LEVELS = (0.1, 0.25, 0.5)
DRAWS = 500  # bootstrap samples of either arm


def lower_tail(trial: Trial, seed: int) -> pd.DataFrame:
    """Compare the lower tails of the outcomes between arms.

    Args:
        trial: the lower end of an outcome's range (0 without one) is a refusal.
        seed: root seed of the bootstrap.

    Returns:
        The columns of `Table.LOWER_TAIL`: for every outcome and contrast the difference in the share that
        refused (HC2, CR2 where clusters were randomised) and, of outcomes with more than two values, in the
        `LEVELS` quantiles (`mid_quantiles`; errors by a bootstrap of respondents, or clusters, in either
        arm; with blocks within them, arms weighted to the blocks of all); `value_ref` and `value_other` are
        of the earlier and the later arm. Every row is exploratory.
    """
    parts = []
    for outcome in trial.outcomes:
        answers = trial.table[outcome.name].dropna()
        floor = outcome.range[0] if outcome.range else 0.0
        refused = (trial.table[outcome.name] <= floor).astype(np.float64)
        shares = trial.with_columns(**{REFUSED: refused.where(trial.table[outcome.name].notna())})
        for later, earlier in trial.pairs:
            share = _share(Pair.of(shares, later, earlier, REFUSED))
            rows = [share.assign(quantity=REFUSED)]
            if answers.nunique() > 2:
                rows.append(_quantiles(Pair.of(trial, later, earlier, outcome.name), seed))
            contrast = contrast_name(later, earlier)
            parts += [part.assign(outcome=outcome.name, contrast=contrast) for part in rows]
    return trial.published(parts, Table.LOWER_TAIL)


def _share(pair: Pair) -> pd.DataFrame:
    shares = [
        float(np.average(pair.y[rows], weights=pair.strata.standardised(rows))) if rows.any() else np.nan
        for rows in (~pair.treated, pair.treated)
    ]
    return pair.effect().assign(value_ref=shares[0], value_other=shares[1])


def _quantiles(pair: Pair, seed: int) -> pd.DataFrame:
    names = [f"quantile {100 * level:g}%" for level in LEVELS]
    n = len(pair.table)
    if pair.note:
        return pd.concat([unknown(n, pair.note).assign(quantity=name) for name in names], ignore_index=True)
    arms = (~pair.treated, pair.treated)
    cells = [np.unique(pair.units[rows], return_index=True, return_inverse=True) for rows in arms]
    joint = len(np.intersect1d(cells[0][0], cells[1][0])) > 0
    value, drawn = [], []
    for rows, (_, first, units) in zip(arms, cells, strict=True):
        y, weight, block = pair.y[rows], pair.strata.standardised(rows), pair.strata.code[rows]
        value.append(mid_quantiles(y, weight[None], LEVELS)[0])
        # Every arm has the same stream, so that its error does not depend on its name or place.
        if joint:
            times = _times(pair.units, np.zeros(len(pair.units), dtype=int), seed)[:, rows]
        else:
            times = _times(np.arange(len(first)), block[first], seed)[:, units]
        drawn.append(mid_quantiles(y, weight * times, LEVELS))
    # Clusters with people in both arms are drawn once for both.
    spreads = [drawn[1] - drawn[0]] if joint else drawn
    # The variance of equal numbers is not always exactly zero.
    variance = [np.where(np.ptp(d, axis=0) > 0, d.var(axis=0, ddof=1), 0.0) for d in spreads]
    error = np.sqrt(np.sum(variance, axis=0))
    degrees = len(np.unique(pair.units)) - 2 * len(pair.strata.size)
    known = error > 0
    df = np.where(known, float(degrees), np.nan)
    rows = regression.tidy(value[1] - value[0], np.where(known, error, np.nan), df, pair.trial.alpha)
    notes = np.where(known, "", "the quantile is the same in every sample")
    return rows.assign(quantity=names, value_ref=value[0], value_other=value[1], n=n, note=notes)


def _times(unit: np.ndarray, block: np.ndarray, seed: int) -> np.ndarray:
    """(DRAWS, n) how often each unit is in samples of as many units with replacement, in every block.

    Args:
        unit: (n,).
        block: (n,) of the units.
        seed: root seed.
    """
    units, first, place = np.unique(unit, return_index=True, return_inverse=True)
    times, rng = np.empty((DRAWS, len(units))), child_rng(seed, "explore/lower tail")
    for b in np.unique(block):
        own = block[first] == b
        times[:, own] = rng.multinomial(own.sum(), np.full(own.sum(), 1 / own.sum()), size=DRAWS)
    return times[:, place]


def mid_quantiles(values: np.ndarray, weights: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Return quantiles by linear interpolation of the mid-distribution function P(Y < y) + P(Y = y) / 2.

    Scales with few answers have quantiles that hardly ever move; these move with the shares, and are
    asymptotically normal (Ma, Genton & Parzen 2011). Without ties they are Hazen's, R's type 5.

    Args:
        values: (n,).
        weights: (d, n) of d samples; a zero leaves a value out.
        levels: between 0 and 1.

    Returns:
        (d, len(levels)).
    """
    order = np.argsort(values, kind="stable")
    distinct, first = np.unique(values[order], return_index=True)
    mass = np.add.reduceat(weights[:, order], first, axis=1)
    middle = (np.cumsum(mass, axis=1) - mass / 2) / mass.sum(axis=1, keepdims=True)
    there = mass > 0
    return np.array(
        [np.interp(levels, m[t], distinct[t]) for m, t in zip(middle, there, strict=True)], dtype=np.float64
    )
