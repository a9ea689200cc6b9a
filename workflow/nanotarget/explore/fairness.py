"""Are groups of people served alike? Who gets which petition, what it should do and what it did.

It reports and decides nothing: people who want different things rightly get different petitions.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from nanotarget.calibrate import regression
from nanotarget.calibrate.multiplicity import adjusted
from nanotarget.clean.groups import suppressed_groups
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial
from nanotarget.explore.pair import Fielded, Pair, hide, unknown
from nanotarget.explore.validation import regressed
from nanotarget.study.config import ExploreConfig, SubgroupConfig
from nanotarget.study.disclosure import hidden_cells, hidden_in_table
from nanotarget.study.seeds import child_rng

DIVERGENCE, PROMISED, REALISED = "divergence of assignment", "predicted gain", "realised gain"
EXPOSED, SLOPE, HARMED = "shown a sensitive level", "calibration slope", "harmed, at least"
SLOPE_APART, HARMED_APART = "calibration slope, less that of all others", "harmed at least, less all others"
TOGETHER = "small groups together"
PERMUTATIONS = 999
AT_ONCE = 4_000_000  # residuals that are permuted together
Division = tuple[str, list[str], np.ndarray]  # name of a grouping, its groups, the (n,) group of each person


def fairness(
    trial: Trial, fielded: Fielded, groupings: Sequence[SubgroupConfig], min_cell: int, seed: int
) -> pd.DataFrame:
    """Compare nano's petitions, their predicted and their realised gains between groups.

    Args:
        trial: its covariates say what kind of covariate a grouping is by.
        fielded: the petitions that are compared.
        groupings: by protected attributes, from the config.
        min_cell: groups with fewer respondents are left out (in an arm, for the realised gain).
        seed: root seed of the permutations.

    Returns:
        The columns of `Table.FAIRNESS`, for every grouping and for every two of them crossed, whose small
        groups stand together. By grouping and attribute the divergence of assignment: Cramer's V of group by
        level of nano's petition, of everybody in the table, with a permutation p value, by Holm over the
        attributes of a grouping in `p_adjusted`. By group the mean predicted gain of nano over overall-best
        (HC2; units of the calibration's outcome). By outcome and group the realised gain, nano less best; in
        a row without a group the permutation p value of the same gain in all groups; the slope of realised on
        predicted gains; and of yes or no the share that nano harms at least: by so much it lowers the share
        of yes. For slope and harm there is a second row, by how much a group differs from all others
        together, with a permutation p value, by Holm over the groups in `p_adjusted`. Survey weights enter
        gains, not the divergence. Every row is exploratory.
    """
    people = trial.table.sort_values("respondent_id", ignore_index=True)
    trial = replace(trial, table=people)
    gain = fielded.promised(people)["gain"].to_numpy(np.float64)
    petitions = fielded.petitions(people, "nano")[fielded.attributes]
    parts = []
    divisions = [(g.name, *trial.groups(g)) for g in groupings]
    divisions = [(name, names, np.where(np.isfinite(gain), codes, -1)) for name, names, codes in divisions]
    arms = [trial.members(fielded.nano), trial.members(fielded.best)]
    crossed = [_crossed(one, other, arms, min_cell) for one, other in itertools.combinations(divisions, 2)]
    for name, names, codes in [*divisions, *crossed]:
        hidden = suppressed_groups(np.bincount(codes[codes >= 0], minlength=len(names))[:, None], min_cell)
        shown = np.isin(codes, np.flatnonzero(~hidden))
        rows = [
            _divergence(codes[shown], petitions[shown], seed),
            _predicted(trial, gain, (names, codes), hidden),
        ]
        for outcome in trial.outcome_names:
            told = trial.with_columns(_code=codes, _gain=gain)
            rows += _of_outcome(Pair.of(told, fielded.nano, fielded.best, outcome), names, min_cell, seed)
        parts.append(pd.concat(rows, ignore_index=True).assign(grouping=name))
    return _as_published(trial, parts)


def _divergence(codes: np.ndarray, levels: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Cramer's V of each attribute; the same permutations of people for all."""
    n = len(codes)
    level_codes = [pd.factorize(levels[name], sort=True)[0] for name in levels]
    observed = np.array([cramers_v(codes, own) for own in level_codes])
    rng = child_rng(seed, "explore/fairness")
    reached = np.ones(len(observed))
    for _ in range(PERMUTATIONS):
        permuted = codes[rng.permutation(n)]
        # A permutation that comes out alike but for rounding is alike.
        reached += np.array([cramers_v(permuted, own) for own in level_codes]) >= observed - 1e-12
    rows = []
    for name, value, count in zip(levels.columns, observed, reached, strict=True):
        note = "" if np.isfinite(value) else "one group or one level only"
        p = count / (PERMUTATIONS + 1) if not note else np.nan
        rows.append(unknown(n, note).assign(attribute=name, estimate=value, p_value=p))
    table = pd.concat(rows, ignore_index=True)
    return table.assign(quantity=DIVERGENCE, p_adjusted=adjusted(table["p_value"]), suppressed=False).astype(
        {"n": "Int64"}
    )


def cramers_v(one: np.ndarray, other: np.ndarray) -> float:
    """Return Cramer's V of two (n,) codes: root of chi-squared / (n (k - 1)); NaN if either is constant."""
    rows, row = np.unique(one, return_inverse=True)
    columns, column = np.unique(other, return_inverse=True)
    smaller = min(len(rows), len(columns)) - 1
    if smaller < 1:
        return np.nan
    counts = np.bincount(row * len(columns) + column, minlength=len(rows) * len(columns))
    counts = counts.reshape(len(rows), len(columns)).astype(np.float64)
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    return float(np.sqrt(((counts - expected) ** 2 / expected).sum() / counts.sum() / smaller))


def _predicted(
    trial: Trial, gain: np.ndarray, groups: tuple[list[str], np.ndarray], hidden: np.ndarray
) -> pd.DataFrame:
    names, codes = groups
    rows = [
        _mean(gain[codes == i], trial.weight[codes == i], trial.alpha).assign(group=name)
        for i, name in enumerate(names)
    ]
    return hide(pd.concat(rows, ignore_index=True), hidden).assign(quantity=PROMISED)


def _crossed(one: Division, other: Division, arms: Sequence[np.ndarray], min_cell: int) -> Division:
    """Cross two groupings; cells that the sizes of groups would tell stand together."""
    (first, names_a, a), (second, names_b, b) = one, other
    inside = (a >= 0) & (b >= 0)
    counts = [
        np.bincount((a * len(names_b) + b)[inside & arm], minlength=len(names_a) * len(names_b))
        for arm in (np.ones(len(a), dtype=bool), *arms)
    ]
    table = np.stack([count.reshape(len(names_a), len(names_b)) for count in counts], axis=2)
    hidden = hidden_in_table(table, min_cell).ravel()
    place = np.where(hidden | (table[:, :, 0].ravel() == 0), -1, np.arange(hidden.size))
    kept = [k for k in place.tolist() if k >= 0]
    new = np.full(hidden.size, len(kept))
    new[kept] = np.arange(len(kept))
    names = [f"{names_a[k // len(names_b)]}, {names_b[k % len(names_b)]}" for k in kept]
    codes = np.where(inside, new[np.where(inside, a * len(names_b) + b, 0)], -1)
    return f"{first} and {second}", [*names, TOGETHER] if (codes == len(kept)).any() else names, codes


def exposure(
    trial: Trial, fielded: Fielded, settings: ExploreConfig, min_cell: int, seed: int
) -> pd.DataFrame:
    """Say which groups nano shows sensitive levels of attributes, such as fear or costs.

    Args:
        trial, fielded, min_cell, seed: as for `fairness`.
        settings: which levels of which attributes are sensitive, and the groupings.

    Returns:
        The columns of `Table.FAIRNESS`. By attribute and group the share of people whose petition of nano has
        such a level (HC2 errors); first, without a group, Cramer's V of group by whether it does, with a
        permutation p value. Shares of few people, or of all but few, are hidden.
    """
    people = trial.table.sort_values("respondent_id", ignore_index=True)
    trial = replace(trial, table=people)
    petitions, parts = fielded.petitions(people, "nano"), []
    for grouping, (attribute, levels) in itertools.product(settings.subgroups, settings.sensitive.items()):
        names, codes = trial.groups(grouping)
        codes = np.where(petitions[attribute].notna().to_numpy(), codes, -1)
        shown = petitions[attribute].astype("str").isin([str(level) for level in levels]).to_numpy()
        groups = [codes == g for g in range(len(names))]
        hidden = hidden_cells(np.array([[(shown & g).sum(), (~shown & g).sum()] for g in groups]), min_cell)
        rows = [
            _mean(shown[g].astype(np.float64), trial.weight[g], trial.alpha).assign(group=name)
            for g, name in zip(groups, names, strict=True)
        ]
        told = np.isin(codes, np.flatnonzero(~hidden))
        overall = _divergence(codes[told], pd.DataFrame({attribute: shown[told]}), seed)
        table = pd.concat([overall, hide(pd.concat(rows, ignore_index=True), hidden)], ignore_index=True)
        parts.append(table.assign(quantity=EXPOSED, grouping=grouping.name, attribute=attribute))
    return _as_published(trial, parts)


def _mean(y: np.ndarray, weight: np.ndarray, alpha: float) -> pd.DataFrame:
    if len(y) < 2:
        return unknown(len(y), "fewer than two respondents")
    model = regression.fit(np.ones((len(y), 1)), y, "HC2", weights=weight)
    return regression.contrast(model, np.ones(1), alpha).assign(n=len(y), note="")


def _of_outcome(pair: Pair, names: Sequence[str], min_cell: int, seed: int) -> list[pd.DataFrame]:
    """Return realised gains, slopes and harm of the groups, and whether gains differ."""
    own = pair.table["_code"].to_numpy()
    hidden = suppressed_groups(pair.counts(own, len(names)), min_cell)
    groups = [pair.restricted(own == i) for i in range(len(names))]
    gains = pd.concat([group.effect() for group in groups], ignore_index=True)
    tables = {REALISED: gains, SLOPE: pd.concat([_slope(group) for group in groups], ignore_index=True)}
    if set(np.unique(pair.y)) <= {0.0, 1.0}:
        least = gains.assign(
            estimate=np.maximum(0, -gains["estimate"]),
            conf_low=np.maximum(0, -gains["conf_high"]),
            conf_high=np.maximum(0, -gains["conf_low"]),
        )
        blank = ["std_error", "statistic", "p_value", "df"]
        tables[HARMED] = least.assign(**dict.fromkeys(blank, np.nan))
    rows = [
        hide(table.assign(group=list(names)), hidden).assign(quantity=quantity)
        for quantity, table in tables.items()
    ]
    shown = np.isin(own, np.flatnonzero(~hidden))
    for quantity, table in _apart(pair.restricted(shown), tables, seed).items():
        rows.append(hide(table.assign(group=list(names)), hidden).assign(quantity=quantity))
    rows.append(_alike(pair.restricted(shown), seed).assign(quantity=REALISED, suppressed=False))
    return [table.assign(outcome=pair.outcome, contrast=pair.contrast) for table in rows]


def _slope(pair: Pair) -> pd.DataFrame:
    """Slope of realised on predicted gains: lambda of Y = a + theta N + lambda N g + phi g."""
    if pair.note:
        return unknown(len(pair.table), pair.note)
    treated, gain = pair.treated.astype(np.float64), pair.table["_gain"].to_numpy(np.float64)
    x = np.column_stack([np.ones(len(gain)), treated, treated * gain, gain])
    return regressed(pair, x, np.eye(4)[[2]], "all are promised the same")


def _apart(pair: Pair, tables: Mapping[str, pd.DataFrame], seed: int) -> dict[str, pd.DataFrame]:
    """Compare slope and harm of each group with those of all others together, by permutation.

    Residuals of a model in which the groups differ in their means only (for the slope: and in their gains)
    are randomly permuted among everybody (Freedman & Lane 1983). Slopes and gains are linear in the outcome,
    so that those of many permutations are one product of matrices.

    Args:
        pair: people of groups that are shown, with `_code` and `_gain`.
        tables: rows by group of the slope and, of yes or no, of the harm.
        seed: root seed.

    Returns:
        By quantity a row per group: the difference, p_value two-sided, p_adjusted (Holm over the groups).
    """
    codes, gain = pair.table["_code"].to_numpy(), pair.table["_gain"].to_numpy(np.float64)
    treated = pair.treated.astype(np.float64)
    own_mean = (codes[:, None] == np.unique(codes)).astype(np.float64)
    slope = np.column_stack([treated * gain, gain])
    asked = {
        SLOPE: (SLOPE_APART, slope, np.column_stack([own_mean, own_mean * treated[:, None], slope])),
        HARMED: (HARMED_APART, treated[:, None], np.column_stack([own_mean, treated])),
    }
    found = {}
    for quantity, (name, tested, null) in asked.items():
        if quantity not in tables:
            continue
        rows = [unknown(int((codes == g).sum()), "") for g in range(len(tables[quantity]))]
        known = [g for g, value in enumerate(tables[quantity]["estimate"]) if np.isfinite(value)]
        known = [g for g in known if 0 < (codes == g).sum() < len(codes)]
        forms = [[_form(pair, codes == g, tested), _form(pair, codes != g, tested)] for g in known]
        if forms:
            rng = child_rng(seed, f"explore/fairness/{pair.outcome}/{quantity}")
            harm = quantity == HARMED
            apart, p_values = _permuted(pair, np.array(forms), null, harm, rng)
            for g, difference, p in zip(known, apart, p_values, strict=True):
                rows[g] = rows[g].assign(estimate=difference, p_value=p)
        table = pd.concat(rows, ignore_index=True)
        without = table["estimate"].isna()
        table.loc[without, "note"] = "it cannot be compared with others"
        found[name] = table.assign(p_adjusted=adjusted(table["p_value"]))
    return found


def _form(pair: Pair, rows: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Return (n,) weights of the outcome that sum to the coefficient of the first tested column in some rows.

    The regression has a constant, the arm and the blocks, too; NaN where it cannot tell the coefficient.
    """
    own = pair.restricted(rows)
    others = np.column_stack([np.ones(len(own.y)), own.treated, own.block_columns])
    columns = tested[rows][:, ::-1]
    x = np.column_stack(
        [others, columns] if columns.shape[1] > 1 else [others[:, [0]], others[:, 2:], columns]
    )
    root = np.sqrt(own.weight)[:, None]
    form = np.zeros(len(rows))
    told = np.linalg.matrix_rank(x * root) > np.linalg.matrix_rank(x[:, :-1] * root)
    form[rows] = np.linalg.pinv(x * root)[-1] * root[:, 0] if told else np.nan
    return form


def _permuted(
    pair: Pair, forms: np.ndarray, null: np.ndarray, harm: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much groups differ from all others, and how often permuted residuals do by as much.

    Args:
        pair: the people.
        forms: (groups, 2, n) of a group and of the others.
        null: (n, k) columns of the model in which groups do not differ.
        harm: the coefficients are gains, of which the losses are compared.
        rng: of the permutations.
    """

    def differences(y: np.ndarray) -> np.ndarray:
        both = forms @ y
        both = np.maximum(0, -both) if harm else both
        return both[:, 0] - both[:, 1]

    x = np.column_stack([null, pair.block_columns])
    root = np.sqrt(pair.weight)
    fitted = x @ np.linalg.lstsq(x * root[:, None], pair.y * root, rcond=None)[0]
    residual = pair.y - fitted
    observed = differences(pair.y[:, None])
    reached = np.ones(len(forms))
    step = max(1, AT_ONCE // len(residual))
    for start in range(0, PERMUTATIONS, step):
        draws = range(start, min(start + step, PERMUTATIONS))
        dealt = np.column_stack([residual[rng.permutation(len(residual))] for _ in draws])
        found = differences(fitted[:, None] + dealt)
        reached += (np.abs(found) >= np.abs(observed) - 1e-12).sum(axis=1)
    p_values = np.where(np.isnan(observed[:, 0]), np.nan, reached / (PERMUTATIONS + 1))
    return observed[:, 0], p_values


def _alike(pair: Pair, seed: int) -> pd.DataFrame:
    """Test by permutation that nano gains the same in all groups: groups are dealt anew among residuals.

    Residuals are those of a regression on arm and group (Freedman & Lane 1983); the statistic is the variance
    of the groups' differences between the arms, weighted by their sizes.
    """
    codes = np.unique(pair.table["_code"].to_numpy(), return_inverse=True)[1]
    k, n = int(codes.max(initial=-1)) + 1, len(codes)
    treated = pair.treated
    if k < 2 or pair.note:
        return unknown(n, pair.note or "one group only")
    dummies = np.eye(k)[codes]
    root = np.sqrt(pair.weight)[:, None]
    x = np.column_stack([dummies, treated])
    fitted = np.linalg.lstsq(x * root, pair.y * root[:, 0], rcond=None)[0]
    residual = pair.y - x @ fitted
    rng = child_rng(seed, f"explore/fairness/{pair.outcome}")

    def spread(order: np.ndarray) -> float:
        cells, weight = 2 * codes + treated[order], pair.weight[order]
        total = np.bincount(cells, weight, 2 * k)
        if (total == 0).any():
            return 0.0
        mean = (np.bincount(cells, weight * residual[order], 2 * k) / total).reshape(k, 2)
        apart, size = mean[:, 1] - mean[:, 0], total.reshape(k, 2).sum(axis=1)
        return float(size @ (apart - size @ apart / size.sum()) ** 2 / size.sum())

    observed = spread(np.arange(n))
    reached = 1 + sum(spread(rng.permutation(n)) >= observed - 1e-12 for _ in range(PERMUTATIONS))
    return unknown(n, "").assign(p_value=reached / (PERMUTATIONS + 1))


def _as_published(trial: Trial, parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    if not parts:
        return trial.published([], Table.FAIRNESS)
    columns = [column for column in Table.FAIRNESS.columns if column not in ("label", "deviation")]
    table = pd.concat(parts, ignore_index=True).reindex(columns=columns)
    texts = ["group", "attribute", "outcome", "contrast", "note"]
    table[texts] = table[texts].astype("object").fillna("")
    return trial.published([table], Table.FAIRNESS)
