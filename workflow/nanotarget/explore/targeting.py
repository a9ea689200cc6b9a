"""Who should get the later arm's petition? Doubly robust scores of respondents and what they average to.

G_i = m_b(Z_i) - m_a(Z_i) + W_i (Y_i - m_b(Z_i)) / e_i - (1 - W_i) (Y_i - m_a(Z_i)) / (1 - e_i)

with W whether respondent i is in the later arm b, e its probability among the two, which the design
fixes, and m the cross-fitted mean outcomes given covariates (Robins, Rotnitzky & Zhao 1994; cross-fitted
Chernozhukov et al. 2018). As e is known, G has the effect as its mean in every group, however poor m is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from nanotarget.calibrate import regression
from nanotarget.clean.groups import suppressed_groups
from nanotarget.estimate.arms import covariate_columns
from nanotarget.estimate.prognosis import ridge
from nanotarget.estimate.tables import JOINT, Table
from nanotarget.estimate.trial import Trial
from nanotarget.explore.pair import Pair, hide, unknown
from nanotarget.study import ties
from nanotarget.study.config import SubgroupConfig
from nanotarget.study.seeds import child_rng

TABLES = (Table.GATE, Table.PROJECTION, Table.RATE, Table.TARGETING_CURVE)
PREDICTED = "predicted gain"  # the grouping by quantiles of it
QUANTILES = 5
FOLDS = 5
MIN_UNITS = 4  # units in an arm, so that every fold leaves some of both arms
DRAWS = 1000  # half-samples
GRID = 20  # points of the targeting curve
CELLS_AT_ONCE = 4_000_000  # respondents x half-samples in memory


@dataclass(frozen=True)
class ContrastScores:
    """Doubly robust scores of a contrast.

    Attributes:
        pair: the respondents.
        value: (n,) their scores, outcome units.
        note: why there are none (`value` is then empty), or who was left out.
    """

    pair: Pair
    value: np.ndarray
    note: str = ""

    @property
    def known(self) -> bool:
        """Whether there are scores."""
        return len(self.value) > 0


@dataclass(frozen=True)
class Targeting:
    """The tables `Table.GATE`, `PROJECTION`, `RATE` and `TARGETING_CURVE`."""

    gate: pd.DataFrame
    projection: pd.DataFrame
    rate: pd.DataFrame
    curve: pd.DataFrame


def targeting(
    trial: Trial, gain: pd.Series, groupings: Sequence[SubgroupConfig], min_cell: int, seed: int
) -> Targeting:
    """Ask for every contrast and outcome for whom the later arm does more.

    Args:
        trial: its covariates of adjustment are those of the outcome models and of the projection.
        gain: what the learner predicted that each respondent gains from nano over overall-best, by
            respondent_id (`promised`); people are ranked by it. It must not depend on the experiment.
        groupings: as in `subgroups`.
        min_cell: as in `subgroups`; also the people that a step of the curve has in either arm, at least.
        seed: root seed.

    Returns:
        gate: mean score of all, of every configured group and of quantiles of predicted gain (equal gains
        together), with an F test that published groups of a grouping are alike. projection: the best linear
        projection of the effect on covariates (Semenova & Chernozhukov 2021), `(mean)` at their means, and
        an F test of all slopes. rate and curve: see `rank_weighted`. Errors are HC2 (CR2 where
        clusters were randomised). Every row is exploratory.
    """
    parts: dict[Table, list[pd.DataFrame]] = {table: [] for table in TABLES}
    for outcome in trial.outcome_names:
        for later, earlier in trial.pairs:
            scores = contrast_scores(trial, later, earlier, outcome, seed)
            ranked = scores.pair.table["respondent_id"].map(gain).to_numpy(np.float64)
            rate, curve = _ranked(scores, ranked, min_cell, seed)
            tables = {
                Table.GATE: _gates(scores, groupings, ranked, min_cell),
                Table.PROJECTION: _projection(scores, min_cell),
                Table.RATE: rate,
                Table.TARGETING_CURVE: curve,
            }
            for table, rows in tables.items():
                parts[table].append(rows.assign(outcome=outcome, contrast=scores.pair.contrast))
    return Targeting(*(trial.published(parts[table], table) for table in TABLES))


def contrast_scores(trial: Trial, later: str, earlier: str, outcome: str, seed: int) -> ContrastScores:
    """Score the observed respondents of two arms.

    Args:
        trial: its covariates of adjustment are those of the outcome models, which know the block too. The
            probability of an arm is `trial.shares`; without them its share among the people randomised, in
            every block.
        later, earlier: arms.
        outcome: its name.
        seed: root seed of the folds.

    Returns:
        The scores. Respondents of blocks in which an arm has nobody are left out, as nobody there can be
        compared.
    """
    two = trial.of_arms(earlier, later)
    pair = Pair.of(two.with_columns(_chance=_chances(two, later)), later, earlier, outcome)
    if note := _unscorable(pair):
        return ContrastScores(pair, np.zeros(0), note)
    chance = pair.table["_chance"].to_numpy()
    inside = (chance > 0) & (chance < 1)
    if lost := int((~inside).sum()):
        pair, chance = pair.restricted(inside), chance[inside]
        if note := _unscorable(pair):
            return ContrastScores(pair, np.zeros(0), note)
        note = f"{lost} respondents of blocks with one arm only left out"
    # Differences between the outcomes of blocks are noise to the weights alone.
    blocks = pd.get_dummies(pair.trial.scheme.block, dtype=np.float64).to_numpy()
    z = np.hstack([covariate_columns(pair.trial, trial.adjust)[0], blocks[:, 1:]])
    fold = _folds(pair, child_rng(seed, "explore/targeting/folds"))
    y, weight, treated = pair.y, pair.weight, pair.treated
    mean = np.empty((2, len(y)))
    for arm in (0, 1):
        for f in range(fold.max() + 1):
            train, new = (fold != f) & (treated == arm), fold == f
            mean[arm, new] = ridge(z[train], y[train], weight[train], z[new])
    residual = y - mean[treated.astype(int), np.arange(len(y))]
    correction = np.where(treated, residual / chance, -residual / (1 - chance))
    return ContrastScores(pair, mean[1] - mean[0] + correction, note)


def _unscorable(pair: Pair) -> str:
    """Say why there can be no scores; empty if there can."""
    units, arms = pair.units, ((pair.earlier, ~pair.treated), (pair.later, pair.treated))
    few = [f"'{arm}'" for arm, members in arms if len(np.unique(units[members])) < MIN_UNITS]
    if few:
        return f"fewer than {MIN_UNITS} observed respondents or clusters in {' and '.join(few)}"
    if all(np.ptp(pair.y[members]) == 0 for _, members in arms):
        return "the outcome does not vary in either arm"
    return ""


def _chances(two: Trial, later: str) -> np.ndarray:
    """(n,) probability of the later of two arms."""
    if two.shares is not None:
        share = two.shares[later] / sum(two.shares[arm] for arm in two.arms)
        return np.full(len(two.table), share)
    block = two.scheme.block
    return (np.bincount(block, two.members(later)) / np.bincount(block))[block]


def _folds(pair: Pair, rng: np.random.Generator) -> np.ndarray:
    """(n,) fold of each respondent: units of either arm spread evenly over folds."""
    units, first = np.unique(pair.units, return_index=True)
    arm = pair.treated[first]
    fold = np.empty(len(units), dtype=int)
    rank = rng.permutation(len(units))
    for treated in (False, True):
        members = np.flatnonzero(arm == treated)
        fold[members[np.argsort(rank[members])]] = np.arange(len(members)) % FOLDS
    return fold[np.searchsorted(units, pair.units)]


def _gates(
    scores: ContrastScores, groupings: Sequence[SubgroupConfig], gain: np.ndarray, min_cell: int
) -> pd.DataFrame:
    trial = scores.pair.trial
    cuts = [("all", ["all"], np.zeros(len(trial.table), dtype=int))]
    cuts += [(grouping.name, *trial.groups(grouping)) for grouping in groupings]
    cuts.append((PREDICTED, *quantile_groups(gain, scores.pair.weight)))
    parts = []
    for cut, names, codes in cuts:
        rows = _means(scores, codes, len(names), min_cell)
        parts.append(rows.assign(grouping=cut, group=names))
    return pd.concat(parts, ignore_index=True)


def quantile_groups(gain: np.ndarray, weight: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Cut people into `QUANTILES` parts by predicted gain, or fewer where many have the same.

    Args:
        gain, weight: (n,); a NaN gain is in no group.

    Returns:
        Names ("1 of 5" has the smallest gains) and the (n,) group of each, -1 for none.
    """
    known = np.isfinite(gain)
    codes = np.full(len(gain), -1)
    if not known.any():
        return [], codes
    place = np.unique(ties.joined(gain[known]), return_inverse=True)[1]
    mass = np.bincount(place, weights=weight[known])
    # Equal gains go where the middle of their mass is.
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    part = np.minimum(ties.floor(middle * QUANTILES), QUANTILES - 1)
    present, codes[known] = np.unique(part[place], return_inverse=True)
    return [f"{i + 1} of {len(present)}" for i in range(len(present))], codes


def _means(scores: ContrastScores, codes: np.ndarray, groups: int, min_cell: int) -> pd.DataFrame:
    """Mean score of each group; groups that must not be published have no part in anything."""
    pair = scores.pair
    counts = pair.counts(codes, groups)
    hidden = suppressed_groups(counts, min_cell) if groups else np.zeros(0, dtype=bool)
    rows = pd.concat([unknown(int(n), scores.note) for n in counts.sum(axis=1)] or [unknown(0, "")[:0]])
    rows = rows.reset_index(drop=True).assign(**dict.fromkeys(JOINT, np.nan))
    shown = np.flatnonzero(~hidden)
    if scores.known and len(shown):
        inside = np.isin(codes, shown)
        part, value = pair.restricted(inside), scores.value[inside]
        dummies = (codes[inside, None] == shown).astype(np.float64)
        model = part.regress(dummies, value)
        means = regression.contrast(model, np.eye(len(shown)), pair.trial.alpha)
        rows.loc[shown, list(means.columns)] = means.to_numpy()
        apart = np.hstack([-np.ones((len(shown) - 1, 1)), np.eye(len(shown) - 1)])
        rows[list(JOINT)] = _joint(model, apart)
    return hide(rows, hidden)


def _joint(model: regression.Fit, rows: np.ndarray) -> tuple[float, float, float, float]:
    if not len(rows):
        return (np.nan,) * 4
    test = regression.wald(model, rows)
    return test.statistic, test.df1, test.df2, test.p_value


def _projection(scores: ContrastScores, min_cell: int) -> pd.DataFrame:
    pair = scores.pair
    z, names = covariate_columns(pair.trial, pair.trial.adjust)
    rare = np.array([_rare(column, pair.treated, min_cell) for column in z.T], dtype=bool)
    terms = ["(mean)", *names]
    hidden = np.append(False, rare)
    rows = pd.concat([unknown(len(pair.table), scores.note) for _ in terms], ignore_index=True)
    rows = rows.assign(term=terms, **dict.fromkeys(JOINT, np.nan))
    if scores.known:
        model = pair.regress(np.column_stack([np.ones(len(z)), z[:, ~rare]]), scores.value)
        k = int((~hidden).sum())
        coefficients = regression.contrast(model, np.eye(k), pair.trial.alpha)
        rows.loc[~hidden, list(coefficients.columns)] = coefficients.to_numpy()
        alone = ~hidden & rows["estimate"].isna().to_numpy()
        rows.loc[alone, "note"] = "a combination of the terms before it"
        rows[list(JOINT)] = _joint(model, np.eye(k)[1:])
    return hide(rows, hidden)


def _rare(column: np.ndarray, treated: np.ndarray, min_cell: int) -> bool:
    """Whether a column tells a few people from all others: its effect would be that of a small cell."""
    values, place = np.unique(column, return_inverse=True)
    if len(values) != 2:
        return False
    return bool((np.bincount(2 * place + treated, minlength=4) < min_cell).any())


def _ranked(
    scores: ContrastScores, gain: np.ndarray, min_cell: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of RATE and of the targeting curve."""
    targets = ["AUTOC", "QINI"]
    note, n = scores.note, len(scores.pair.table)
    if scores.known:
        inside = np.isfinite(gain)
        scores = replace(scores, pair=scores.pair.restricted(inside), value=scores.value[inside])
        gain, n = gain[inside], int(inside.sum())
        cells = scores.pair.counts(np.zeros(n, dtype=int), 1).min()
        if cells < max(min_cell, MIN_UNITS):
            note = "too few people with a predicted gain"
        elif np.ptp(gain) == 0:
            note = "nobody is promised more than anybody else"
        else:
            steps = int(min(GRID, cells // max(min_cell, 1)))
            share = np.arange(1, steps + 1) / steps
            ranked = rank_weighted(scores, gain, share, child_rng(seed, "explore/half-samples"))
            df = np.where(ranked[1] > 0, float(len(np.unique(scores.pair.units)) - 1), np.nan)
            error = np.where(ranked[1] > 0, ranked[1], np.nan)
            rows = regression.tidy(ranked[0], error, df, scores.pair.trial.alpha).assign(n=n, note=note)
            curve = rows[2:].assign(share=share)
            # All people together are no better than all people together: known without error.
            curve.loc[curve["share"] == 1, ["estimate", "std_error", "conf_low", "conf_high"]] = 0.0
            return rows[:2].assign(target=targets), curve
    rows = pd.concat([unknown(n, note)] * 2, ignore_index=True)
    return rows.assign(target=targets), unknown(n, note).assign(share=np.nan)


def rank_weighted(
    scores: ContrastScores,
    priority: np.ndarray,
    share: np.ndarray,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate what is gained by treating those first who have the highest priority.

    The targeting operator characteristic TOC(q) is the mean score of the share q with the highest
    priorities less that of all; AUTOC is its average over q, QINI that of q TOC(q) (Yadlowsky, Fleming,
    Shah, Brunskill & Wager 2025, JASA 120). Of equal priorities all have their mean score. Standard errors
    are the spread over random halves of the respondents (or clusters), by the same paper.

    Args:
        scores: of a contrast.
        priority: (n,).
        share: (m,) shares q, ascending, the last one 1.
        rng: of the halves.
        draws: number of halves.

    Returns:
        Estimates and standard errors, each (2 + m,): AUTOC, QINI, TOC at each share.
    """
    units = np.unique(scores.pair.units, return_inverse=True)[1]
    count = units.max() + 1
    whole = _rank_weighted(scores, priority, np.ones((1, len(units))), share)[0]
    # The halves are drawn one after the other, so that they do not depend on how many fit into memory.
    size = max(1, CELLS_AT_ONCE // len(units))
    halves = []
    for start in range(0, draws, size):
        taken = np.zeros((min(size, draws - start), count))
        for row in taken:
            row[rng.permutation(count)[: count // 2]] = 1.0
        halves.append(_rank_weighted(scores, priority, taken[:, units], share))
    return whole, np.concatenate(halves).std(axis=0, ddof=1)


def _rank_weighted(
    scores: ContrastScores, priority: np.ndarray, times: np.ndarray, share: np.ndarray
) -> np.ndarray:
    """(d, 2 + m) AUTOC, QINI and TOC of samples in which each respondent is `times` (d, n) times."""
    priority = ties.joined(priority)
    order = np.argsort(-priority, kind="stable")
    tied = np.cumsum(np.append(False, np.diff(priority[order]) != 0))
    first = np.searchsorted(tied, np.arange(tied[-1] + 1))
    weight = times[:, order] * scores.pair.weight[order]
    mass = np.add.reduceat(weight, first, axis=1)
    total = np.add.reduceat(weight * scores.value[order], first, axis=1)
    mean = np.divide(total, mass, out=np.zeros_like(total), where=mass > 0)
    reached, sums = np.cumsum(weight, axis=1), np.cumsum(weight * mean[:, tied], axis=1)
    everyone, overall = reached[:, -1:], sums[:, -1:] / reached[:, -1:]
    toc = np.divide(sums, reached, out=np.zeros_like(sums), where=reached > 0) - overall
    part = weight / everyone
    estimates = np.empty((len(times), 2 + len(share)))
    estimates[:, 0] = (part * toc).sum(axis=1)
    estimates[:, 1] = (part * toc * reached / everyone).sum(axis=1)
    for d in range(len(times)):
        at = share * everyone[d]
        # A person on the border of a share belongs to it in part.
        upto = np.interp(at, np.append(0.0, reached[d]), np.append(0.0, sums[d]))
        estimates[d, 2:] = upto / at - overall[d]
    return estimates
