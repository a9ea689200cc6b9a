"""Does an arm drive people apart? Gap between base and opposed, spread and tails of the answers.

Each measure is written as an outcome of a person whose difference between two arms is the change of the
measure, so that its error, p value and interval come from redrawing the arms (`estimate.randomization`):

- the gap: the answers of base and opposed, those of the opposed with the opposite sign, each divided by the
  weight of its group in the redraws (a block weighs n p (1 - p), p the share of the later arm). The arms are
  redrawn within the groups, whose effects then subtract;
- the variance: squared deviations from the mean of the person's own arm, times n / (n - 1);
- the tails: whether an answer lies in the lowest, or the highest, fifth of its range.

What calibration data say of the same gap is in `calibrated_gap`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from nanotarget.calibrate import regression
from nanotarget.calibrate.learners.base import mean_and_error
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.clean.groups import suppressed_groups
from nanotarget.estimate.randomization import randomization_inference
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial
from nanotarget.explore.dissuasion import Ends
from nanotarget.explore.pair import Pair, hide
from nanotarget.study.config import OutcomeConfig, SubgroupConfig
from nanotarget.study.preregistration import contrast_name

GAP, VARIANCE, LOWEST, HIGHEST = "gap", "variance", "share in the lowest fifth", "share in the highest fifth"
GAP_COLUMNS = ("group", "quantity", *ESTIMATE_COLUMNS, "label")
TAIL = 0.2  # of the range of the answers, or without a range of the answers of both arms
MEASURE = "measure"
SPLIT = "people of a cluster are in either group: the arms cannot be redrawn within the groups"


@dataclass(frozen=True)
class Poles:
    """Two groups of people who are apart beforehand.

    Attributes:
        grouping: by pre-treatment support.
        base, opposed: names of two of its groups.
        min_cell: smallest number of observed respondents in an arm of either that is published.
    """

    grouping: SubgroupConfig
    base: str
    opposed: str
    min_cell: int


def polarisation(trial: Trial, poles: Poles | None, seed: int, draws: int = 10_000) -> pd.DataFrame:
    """Compare gap, variance and tails of the outcomes between arms.

    Args:
        trial: outcomes with two values have a gap only.
        poles: without them there is no gap.
        seed: root seed of the redraws.
        draws: a contrast.

    Returns:
        The columns of `Table.POLARISATION`: for every outcome and contrast the measures in the earlier
        (`value_ref`) and the later arm (`value_other`) and their difference, with `p_value` and interval by
        redrawing the arms within blocks. Positive: the later arm drives people further apart. Every row is
        exploratory.
    """
    parts = []
    for outcome in trial.outcomes:
        for later, earlier in trial.pairs:
            pair = Pair.of(trial, later, earlier, outcome.name)
            rows = [_changed(*measured, seed, draws) for measured in _measures(pair, outcome)]
            if poles is not None:
                rows.insert(0, _gap(pair, poles, seed, draws))
            parts += [
                row.assign(outcome=outcome.name, contrast=contrast_name(later, earlier)) for row in rows
            ]
    return trial.published(parts, Table.POLARISATION)


def _measures(pair: Pair, outcome: OutcomeConfig) -> Iterator[tuple[Pair, str, np.ndarray]]:
    """Yield the measures of spread with the (n,) outcome whose mean in an arm is the measure."""
    y = pair.y
    if len(np.unique(y)) <= 2:
        return
    deviation = np.zeros(len(y))
    for arm in (False, True):
        rows = pair.treated == arm
        n = int(rows.sum())
        if n > 1:
            mean = pair.strata.standardised(rows) @ y[rows]
            deviation[rows] = (y[rows] - mean) ** 2 * n / (n - 1)
    low, high = outcome.range or (float("nan"), float("nan"))
    lowest, highest = low + TAIL * (high - low), high - TAIL * (high - low)
    if not outcome.range:
        lowest, highest = np.quantile(y, [TAIL, 1 - TAIL])
    yield pair, VARIANCE, deviation
    yield pair, LOWEST, (y <= lowest).astype(np.float64)
    yield pair, HIGHEST, (y >= highest).astype(np.float64)


def _changed(pair: Pair, name: str, measure: np.ndarray, seed: int, draws: int) -> pd.DataFrame:
    """Return the row of a measure that is the mean of an outcome."""
    values = [_mean(pair, measure, pair.treated == arm) for arm in (False, True)]
    return _redrawn(pair, measure, seed, draws).assign(
        quantity=name, value_ref=values[0], value_other=values[1], suppressed=False
    )


def _gap(pair: Pair, poles: Poles, seed: int, draws: int) -> pd.DataFrame:
    names, codes = pair.trial.groups(poles.grouping)
    side = np.select(
        [codes == names.index(poles.base), codes == names.index(poles.opposed)], [1.0, -1.0], 0.0
    )
    hidden = suppressed_groups(pair.counts(np.where(side == 0, -1, side < 0), 2), poles.min_cell).any()
    pair, side = pair.restricted(side != 0), side[side != 0]
    block = np.unique(np.column_stack([pair.trial.scheme.block, side > 0]), axis=0, return_inverse=True)[
        1
    ].ravel()
    weight = np.bincount(block, pair.weight)
    share = np.bincount(block, pair.weight * pair.treated) / weight
    of_block = weight * share * (1 - share)
    mass = np.array([of_block[np.unique(block[side == sign])].sum() for sign in (-1, 1)])
    known = bool((mass > 0).all()) and pair.trial.scheme.clusters is None
    values = [
        sum(sign * _mean(pair, pair.y, (pair.treated == arm) & (side == sign)) for sign in (1, -1))
        for arm in (False, True)
    ]
    of_person = np.zeros(len(side))
    if known:
        of_person = side * of_block.sum() / mass[(side > 0).astype(int)]
    own = replace(pair, trial=pair.trial.with_columns(block=block))
    row = _redrawn(own, pair.y * of_person, seed, draws)
    if not known:
        reason = SPLIT if pair.trial.scheme.clusters is not None else "an arm has nobody in one of the groups"
        row[[c for c in ESTIMATE_COLUMNS if c != "n"]] = np.nan
        row["note"] = reason
    row = row.assign(quantity=GAP, value_ref=values[0], value_other=values[1])
    return hide(row, np.array([hidden]), ("value_ref", "value_other"))


def _mean(pair: Pair, values: np.ndarray, rows: np.ndarray) -> float:
    """Weighted mean of some respondents; NaN of nobody."""
    weight = pair.weight[rows]
    return float(weight @ values[rows] / weight.sum()) if len(weight) else np.nan


def _redrawn(pair: Pair, measure: np.ndarray, seed: int, draws: int) -> pd.DataFrame:
    """Test the difference of an outcome between the arms by redrawing them."""
    outcome = OutcomeConfig(name=MEASURE, kind="continuous")
    trial = replace(pair.trial.with_columns(**{MEASURE: measure}), outcomes=[outcome])
    found = randomization_inference(trial, seed, draws)
    return found[[*ESTIMATE_COLUMNS, "note"]].reset_index(drop=True)


CHANGES = (("nano", "overall_best"), ("nano_worst", "overall_worst"))


def calibrated_gap(ends: Ends, poles: Mapping[str, np.ndarray], confidence: float) -> pd.DataFrame:
    """Say what personalised petitions would do to the gap, on calibration data alone.

    Args:
        ends: scores of the policies at either end of a calibration.
        poles: name of the base and of the opposed -> (n_respondents,) booleans.
        confidence: level of intervals.

    Returns:
        `GAP_COLUMNS`, in units of the calibration's outcome: the mean answer of the base less that of the
        opposed under every policy, and by how much nano changes the gap against overall-best, nano-worst
        against overall-worst. Errors are of two samples of different people. Every row is exploratory.
    """
    scores, weight = ends.scores, ends.fitted.data.weight
    base, opposed = poles.values()
    wanted = [(name, values) for name, values in scores.items()]
    wanted += [(f"{later} - {earlier}", scores[later] - scores[earlier]) for later, earlier in CHANGES]
    rows = []
    for name, values in wanted:
        (high, error), (low, other) = (mean_and_error(values[rows], weight[rows]) for rows in (base, opposed))
        n = int(base.sum() + opposed.sum())
        row = regression.tidy(
            np.array([high - low]), np.array([np.hypot(error, other)]), np.array([n - 2.0]), 1 - confidence
        )
        rows.append(row.assign(group=contrast_name(*poles), quantity=name, n=n, label="exploratory"))
    table = pd.concat(rows, ignore_index=True)
    # That the base likes a petition better than the opposed is no finding: the groups were made so.
    table.loc[: len(scores) - 1, ["statistic", "p_value"]] = np.nan
    return table[list(GAP_COLUMNS)]
