"""Randomisation inference: p values and intervals from nothing but how people were randomised.

A contrast of two arms is tested by permuting the labels of these two arms only, within blocks and with
clusters as wholes. Given who is in the two arms together, all ways to share them out with the realised
counts were equally likely (Imbens & Rubin 2015, chapters 5 and 9), and if nobody responds differently to
the two arms, every outcome of such a redraw is known. A redraw of all arms at once would need to know
how people of another arm respond to these two, which the hypothesis does not say: it is valid only if no
arm does anything, and its p value for one pair moves with the effects of the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd

from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import DIFFERENCE, Scheme, Trial
from nanotarget.study import ties
from nanotarget.study.preregistration import contrast_name
from nanotarget.study.seeds import child_rng

DISTRIBUTION_COLUMNS = ("outcome", "contrast", "low", "high", "draws", "density")

BLOCK_EFFECTS = "regression on block fixed effects"
# Counts of alike units are drawn instead of labels if there are this many times more units than kinds:
# a count costs about six labels.
UNITS_PER_KIND = 6
WITHIN = (
    "arms were drawn inside clusters of outcomes: redraws test that nobody responds and take effects for "
    "constant; of averages that differ between clusters the difference in means says more"
)
CHUNK = 2**16  # labels of a block in memory at a time: few enough to stay in the cache of a core
MAX_SUMS = 2**20  # sums in memory at a time, so that memory does not grow with blocks and draws
TIE = 1e-9  # statistics nearer than this differ by rounding only
ROUNDING = 1e-12  # a variance below this share of the second moment is rounding error
BIN = 0.1  # width of the histogram's bins, in standard errors
BISECTIONS = 30  # halvings of at least one standard error

# What is summed over the units of an arm in a block; names of products of size, y and z.
SUMMED = ("n", "y", "z", "yy", "yz", "zz", "yn", "zn", "nn")


@dataclass(frozen=True)
class _Blocks:
    """Units of two arms in blocks of one shape, alike units together.

    Attributes:
        sums: (n_blocks, kinds, len(SUMMED)) what a unit of each kind adds to the sums of its arm.
        copies: (kinds,) units of each kind; only a block by itself has several.
        drawn: units of a block that get the label of the first arm.
    """

    sums: np.ndarray
    copies: np.ndarray
    drawn: int

    def redraw(self, rng: np.random.Generator, draws: int) -> np.ndarray:
        """Return (len(SUMMED), draws, n_blocks): sums over the units that get the first arm's label.

        How many of each kind get it is multivariate hypergeometric; where no two units are alike, these
        counts are the labels themselves: those of the smallest random keys.
        """
        if self.copies.max() > 1:
            counts = rng.multivariate_hypergeometric(self.copies, self.drawn, draws, method="marginals")
            return (counts.astype(np.float64) @ self.sums[0]).T[:, :, None]
        keys = rng.random((len(self.sums), draws, len(self.copies)))
        limit = np.partition(keys, self.drawn, axis=2)[:, :, self.drawn, None]
        return ((keys < limit).astype(np.float64) @ self.sums).transpose(2, 1, 0)


@dataclass(frozen=True)
class _Pair:
    """Two arms as they were observed, in the blocks that have both.

    Attributes:
        shapes: the blocks, those of one shape together.
        units: (2, n_blocks) units of the first and of the other arm, blocks in the order of the shapes.
        first: (len(SUMMED), 1, n_blocks) sums over the units of the first arm.
        total: (len(SUMMED), 1, n_blocks) sums over the units of both.
        turned: the first arm is the contrast's earlier one.
        n: respondents.
        left_out: respondents in blocks with only one of the arms.
    """

    shapes: list[_Blocks]
    units: np.ndarray
    first: np.ndarray
    total: np.ndarray
    turned: bool
    n: int
    left_out: int


@dataclass(frozen=True)
class _Moments:
    """Effects and variances of the outcome y and of the observed arm z, one entry per draw.

    Under a constant effect tau the outcomes without it are y - tau z, whose effect in a draw is
    y - tau z (these fields) and whose variance is yy - 2 tau yz + tau^2 zz.
    """

    y: np.ndarray
    z: np.ndarray
    yy: np.ndarray
    yz: np.ndarray
    zz: np.ndarray

    def statistic(self) -> np.ndarray:
        """Return the studentised effects; infinite where an effect has no variance."""
        with np.errstate(divide="ignore"):
            return self.y / np.sqrt(self.yy)


@dataclass(frozen=True)
class _Test:
    """Result of one contrast; `note` alone if there is none."""

    n: int
    note: str = ""
    observed: _Moments | None = None
    redrawn: _Moments | None = None


def randomization_inference(trial: Trial, seed: int, draws: int = 10_000) -> pd.DataFrame:
    """Test every contrast by redrawing the arms as they were drawn.

    The null hypothesis is sharp: nobody responds differently to the two arms. The estimate is the
    coefficient of the arm in a regression on it and on blocks, weighted by survey weights: without
    blocks the difference in (weighted) means; with them it weighs blocks by n p (1 - p), the effects of
    `arm_means` by n, and `estimand` names which it is. Its standard error is HC2 (CR2 for clusters) with
    every leverage at its mean over the units of an arm in a block, so that a draw needs sums only: exactly
    HC2 = Neyman's without weights, exactly CR2 for clusters of one size. Studentised by it the test
    has asymptotically the right size for equal average responses, too, whatever the variances and
    sizes of the arms (Chung & Romano 2013, theorem 2.1; Wu & Ding 2021, JASA 116).

    P values are (1 + draws at least as extreme) / (1 + draws) (Phipson & Smyth 2010), two-sided by
    the absolute statistic; `p_mid` counts redraws that equal the observed one by half (`ties.mid_share`):
    statistics of binary outcomes take few values, so that `p_value` is too large. `p_greater` speaks for a
    positive effect, `p_less` for a negative one. The interval contains the constant effects that a two-sided
    test at alpha does not reject, and comes from the same draws. Respondents without the outcome are left
    out of the redraws: the hypothesis includes that who responds does not depend on which of the two arms
    it is.

    Args:
        trial: the estimator is called `ri`.
        seed: root seed of the study.
        draws: redraws a contrast.

    Returns:
        The columns of `Table.RANDOMIZATION_INFERENCE`, sorted by outcome and contrast as they were given.
        `statistic` is the studentised estimate, `n` counts the respondents who can be redrawn, `df` is not
        defined, `p_adjusted` is Holm's over the contrasts of an outcome. What cannot be estimated is NaN, and
        `note` says why.
    """
    rows = [
        {"outcome": outcome, "contrast": contrast, "estimator": "ri", **_row(test, trial.alpha)}
        for outcome, contrast, test in _tests(trial, seed, draws)
    ]
    numbers = [*ESTIMATE_COLUMNS[:-1], "p_mid", "p_greater", "p_less"]
    tests = pd.DataFrame(rows, columns=["outcome", "contrast", "estimator", *numbers, "n", "note"])
    scheme = trial.scheme.name
    estimand = BLOCK_EFFECTS if "blocked" in scheme else DIFFERENCE
    if trial.scheme.across:
        tests["note"] = [f"{note}; {WITHIN}" if note else WITHIN for note in tests["note"]]
    tests = tests.astype(dict.fromkeys(numbers, np.float64))
    tests = tests.assign(scheme=scheme, estimand=estimand, draws=draws)
    parts = [part for _, part in tests.groupby("outcome", sort=False)]
    return trial.published(parts, Table.RANDOMIZATION_INFERENCE)


def randomization_distribution(trial: Trial, seed: int, draws: int = 10_000) -> pd.DataFrame:
    """Count the studentised statistics of the very draws of `randomization_inference`.

    Args:
        trial, seed, draws: as there.

    Returns:
        `DISTRIBUTION_COLUMNS`: one row per bin of the statistic, [low, high), with the number of draws in
        it and their density. Contrasts that cannot be tested have no rows, infinite statistics no bin.
    """
    tables = []
    for outcome, contrast, test in _tests(trial, seed, draws):
        if test.redrawn is None:
            continue
        statistic = test.redrawn.statistic()
        codes = np.floor(statistic[np.isfinite(statistic)] / BIN + TIE).astype(np.int64)
        bins = np.arange(codes.min(initial=0), codes.max(initial=0) + 1)
        counts = np.bincount(codes - bins[0], minlength=len(bins))
        rows = {"low": bins * BIN, "high": (bins + 1) * BIN, "draws": counts, "density": counts / draws / BIN}
        tables.append(pd.DataFrame({"outcome": outcome, "contrast": contrast} | rows))
    if not tables:
        return pd.DataFrame(columns=list(DISTRIBUTION_COLUMNS))
    return pd.concat(tables, ignore_index=True)


def _tests(trial: Trial, seed: int, draws: int) -> Iterator[tuple[str, str, _Test]]:
    """Yield outcome, contrast and test.

    Streams and draws know the arms only by the order in which they appear among the sorted
    respondents, so that other names or another order of the arms permute the results exactly.
    """
    people = trial.table[trial.table["arm"].notna()].sort_values("respondent_id", ignore_index=True)
    trial = replace(trial, table=people)
    arm, scheme, weight = people["arm"].astype("str").to_numpy(), trial.scheme, trial.weight
    problem = scheme.problem(arm)
    rank = {name: i for i, name in enumerate(dict.fromkeys(arm))}
    for outcome in trial.outcome_names:
        y = trial.y(outcome)
        for later, earlier in trial.pairs:
            rows = np.isin(arm, (later, earlier)) & ~np.isnan(y)
            first, second = sorted((later, earlier), key=lambda name: rank.get(name, len(rank)))
            part = Scheme(scheme.block[rows], scheme.cluster[rows], scheme.unit[rows])
            pair = _pair(y[rows], weight[rows], arm[rows] == first, part, turned=first == earlier)
            note = problem or _obstacle(pair, arm[rows], part, (earlier, later), y[rows])
            if note:
                test = _Test(pair.n, note)
            else:
                rng = child_rng(seed, f"randomization/{outcome}/{rank[first]} {rank[second]}")
                test = _test(pair, rng, draws)
            yield outcome, contrast_name(later, earlier), test


def _obstacle(pair: _Pair, arm: np.ndarray, scheme: Scheme, names: tuple[str, str], y: np.ndarray) -> str:
    """Say why two arms cannot be compared; empty if they can."""
    units = "clusters" if "clustered" in scheme.name else "observed respondents"
    notes = [
        f"fewer than two {units} in '{name}'"
        for name in names
        if len(np.unique(scheme.cluster[arm == name])) < 2
    ]
    if notes:
        return "; ".join(notes)
    if np.ptp(y) == 0:
        return "the outcome does not vary in either arm"
    if pair.units.sum(axis=1).min() < 2:
        return f"fewer than two {units} of an arm in blocks that have both"
    if (pair.total[SUMMED.index("yy")] == 0).all():
        return "the outcome does not vary within blocks that have both arms"
    return ""


def _pair(y: np.ndarray, weight: np.ndarray, first: np.ndarray, scheme: Scheme, turned: bool) -> _Pair:
    """Sum respondents to units, and put units together to blocks.

    Args:
        y: (n,) outcome.
        weight: (n,) survey weights.
        first: (n,) who is in the first arm.
        scheme: of these respondents.
        turned: the first arm is the contrast's earlier one.
    """
    size = scheme.block.max(initial=0) + 1
    sizes = [np.bincount(scheme.block[who], minlength=size) for who in (first, ~first)]
    used = (np.minimum(*sizes) > 0)[scheme.block]
    y, weight, first = y[used], weight[used], first[used]
    block = np.unique(scheme.block[used], return_inverse=True)[1]
    later = (first != turned).astype(np.float64)
    code = block * (scheme.cluster.max(initial=0) + 1) + scheme.cluster[used]
    _, start, unit = np.unique(code, return_index=True, return_inverse=True)
    by_unit = [np.bincount(unit, weight * _centred(values, weight, block)) for values in (y, later)]
    terms = {"n": np.bincount(unit, weight), "y": by_unit[0], "z": by_unit[1]}
    sums = np.column_stack([math.prod(terms[part] for part in name) for name in SUMMED])
    blocks = [_block(sums[rows], first[start][rows]) for rows in _members(block[start])]
    shapes, order = _stacked([one for one, _ in blocks])
    ordered = [blocks[b] for b in order]
    units = np.array([(one.drawn, one.copies.sum() - one.drawn) for one, _ in ordered])
    observed = np.array([labels @ one.sums[0] for one, labels in ordered])
    total = np.array([one.copies @ one.sums[0] for one, _ in ordered])
    return _Pair(
        shapes,
        units.reshape(-1, 2).T,
        observed.reshape(-1, len(SUMMED)).T[:, None],
        total.reshape(-1, len(SUMMED)).T[:, None],
        turned,
        n=len(y),
        left_out=int(np.count_nonzero(~used)),
    )


def _stacked(blocks: Sequence[_Blocks]) -> tuple[list[_Blocks], list[int]]:
    """Put blocks of one shape together; also return the order in which the blocks stand now."""
    shapes: dict[tuple[int, ...], list[int]] = {}
    for b, block in enumerate(blocks):
        alike = block.copies.max() > 1
        shapes.setdefault((b,) if alike else (len(block.copies), block.drawn), []).append(b)
    stacked = [
        replace(blocks[members[0]], sums=np.concatenate([blocks[b].sums for b in members]))
        for members in shapes.values()
    ]
    return stacked, [b for members in shapes.values() for b in members]


def _members(codes: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each code; codes are sorted and have no gaps."""
    return np.split(np.arange(len(codes)), np.flatnonzero(np.diff(codes)) + 1) if len(codes) else []


def _centred(values: np.ndarray, weight: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Return values less the weighted mean of their block; rounding errors become zero."""
    centred = values - (np.bincount(block, weight * values) / np.bincount(block, weight))[block]
    centred[np.abs(centred) <= ROUNDING * np.abs(values).max(initial=0)] = 0
    return centred


def _block(sums: np.ndarray, first: np.ndarray) -> tuple[_Blocks, np.ndarray]:
    """Put alike units of a block together if that pays; also return how many of a kind the first arm has.

    Args:
        sums: (units, len(SUMMED)) what each unit adds.
        first: (units,) who is in the first arm.
    """
    alike = np.column_stack([sums[:, [SUMMED.index("n"), SUMMED.index("y")]], first])
    _, start, kind, copies = np.unique(
        alike, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    if UNITS_PER_KIND * len(start) > len(first):
        start = kind = np.arange(len(first))
        copies = np.ones(len(first), dtype=np.int64)
    return _Blocks(sums[None, start], copies, int(first.sum())), np.bincount(kind, first)


def _test(pair: _Pair, rng: np.random.Generator, draws: int) -> _Test:
    """Redraw the labels of two arms."""
    labels = max(shape.sums[:, :, 0].size for shape in pair.shapes)
    chunk = max(1, min(CHUNK // labels, MAX_SUMS // pair.total.size))
    parts = []
    for done in range(0, draws, chunk):
        number = min(chunk, draws - done)
        first = np.concatenate([shape.redraw(rng, number) for shape in pair.shapes], axis=2)
        parts.append(_moments(first, pair))
    redrawn = _Moments(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(_Moments))
    )
    note = f"{pair.left_out} respondents are in blocks with only one of the arms" if pair.left_out else ""
    return _Test(pair.n, note, _moments(pair.first, pair), redrawn)


def _moments(first: np.ndarray, pair: _Pair) -> _Moments:
    """Return effects and variances, given the sums over the units that have the first arm's label.

    With w_b the share of a block that has the later arm, s = 1 - w_b there and s = -w_b in the other
    arm, the effect is T = sum s y / C with C = sum s^2 n (regression on blocks partialled out; y is
    centred by block, n the size of a unit, sums over units). Its variance is the sum of
    s^2 (y - s T n)^2 / (1 - h) over C^2, h the mean over an arm's units of n / n_b + s^2 n / C.

    Args:
        first: (len(SUMMED), draws, n_blocks).
        pair: what was observed.
    """
    second = pair.total - first
    later, other = (second, first) if pair.turned else (first, second)
    units = pair.units[::-1] if pair.turned else pair.units
    total = pair.total[0]
    share = later[0] / total
    scale = (later[0] * (1 - share)).sum(axis=1, keepdims=True)
    y, z = (later[SUMMED.index(name)].sum(axis=1, keepdims=True) / scale for name in "yz")
    raw, yy, yz, zz = np.zeros((4, first.shape[1]))
    for sums, s, m in ((later, 1 - share, units[0]), (other, -share, units[1])):
        part = dict(zip(SUMMED, sums, strict=True))
        factor = (s / scale) ** 2 / (1 - part["n"] / m * (1 / total + s**2 / scale))
        sn = s**2 * part["nn"]
        raw += (factor * part["yy"]).sum(axis=1)
        yy += (factor * (part["yy"] - 2 * s * y * part["yn"] + y**2 * sn)).sum(axis=1)
        yz += (factor * (part["yz"] - s * (z * part["yn"] + y * part["zn"]) + y * z * sn)).sum(axis=1)
        zz += (factor * (part["zz"] - 2 * s * z * part["zn"] + z**2 * sn)).sum(axis=1)
    yy[yy <= ROUNDING * raw] = 0
    return _Moments(y[:, 0], z[:, 0], yy, yz, zz)


def _row(test: _Test, alpha: float) -> dict[str, float | str]:
    """Return estimate, p values and interval of a contrast."""
    row: dict[str, float | str] = {"n": test.n, "note": test.note}
    if test.observed is None or test.redrawn is None:
        return row
    estimate, variance = float(test.observed.y[0]), float(test.observed.yy[0])
    statistic, redrawn = test.observed.statistic()[0], test.redrawn.statistic()
    row["estimate"] = estimate
    row["p_value"] = ties.share_as_large(np.abs(redrawn), abs(statistic))
    row["p_mid"] = ties.mid_share(np.abs(redrawn), abs(statistic))
    row["p_greater"], row["p_less"] = (
        ties.share_as_large(redrawn, statistic),
        ties.share_as_large(-redrawn, -statistic),
    )
    if variance == 0:
        note = "the outcome does not vary within the arms: the statistic is infinite and there is no interval"
        return row | {"note": "; ".join(filter(None, [test.note, note]))}
    row |= {"std_error": math.sqrt(variance), "statistic": statistic}
    low, high = (_bound(test.redrawn, estimate, variance, alpha, side) for side in (-1, 1))
    row |= {"conf_low": low, "conf_high": high}
    if math.isnan(low):
        note = "too few different assignments were drawn for an interval"
        row["note"] = "; ".join(filter(None, [test.note, note]))
    return row


def _bound(redrawn: _Moments, estimate: float, variance: float, alpha: float, side: int) -> float:
    """Return the largest (side 1) or smallest (-1) constant effect that is not rejected.

    The observed variance does not depend on the effect that is taken off, as the arm explains it
    exactly. Searched outward from the estimate, where p = 1, in doubling steps, then by bisection,
    because the p value is a step function of the effect.
    NaN if no effect is rejected: draws that give everybody the observed labels, or the opposite
    ones, are as extreme as the observed arms whatever is taken off.
    """
    same = redrawn.zz <= ROUNDING
    level = ties.floor(np.array(alpha * (1 + len(same))))  # 0.29 * 100 is below 29
    if 1 + np.count_nonzero(same) > level:
        return math.nan

    def rejected(distance: float) -> bool:
        tau = estimate + side * distance
        spread = redrawn.yy - 2 * tau * redrawn.yz + tau**2 * redrawn.zz
        as_large = (redrawn.y - tau * redrawn.z) ** 2 >= (1 - TIE) * distance**2 / variance * spread
        return bool(1 + np.count_nonzero(as_large | same) <= level)

    inside, outside = 0.0, math.sqrt(variance)
    while not rejected(outside):
        inside, outside = outside, 2 * outside
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        if rejected(middle):
            outside = middle
        else:
            inside = middle
    return estimate + side * inside
