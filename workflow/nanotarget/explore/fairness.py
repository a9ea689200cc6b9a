"""Are groups of people served alike? Who gets which petition, what it should do and what it did.

It reports and decides nothing: people who want different things rightly get different petitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from nanotarget.calibrate import regression
from nanotarget.calibrate.multiplicity import adjusted
from nanotarget.clean.groups import suppressed_groups
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial
from nanotarget.explore.pair import Fielded, Pair, hide, unknown
from nanotarget.study.config import SubgroupConfig
from nanotarget.study.seeds import child_rng

DIVERGENCE, PROMISED, REALISED = "divergence of assignment", "predicted gain", "realised gain"
PERMUTATIONS = 999


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
        The columns of `Table.FAIRNESS`. By grouping and attribute the divergence of assignment: Cramer's V of
        group by level of nano's petition, of everybody in the table, with a permutation p value, by Holm over
        the attributes of a grouping in `p_adjusted`. By group the mean predicted gain of nano over
        overall-best (HC2; units of the calibration's outcome) and by outcome the realised gain, nano less
        best. Survey weights enter gains, not the divergence. Every row is exploratory.
    """
    people = trial.table.sort_values("respondent_id", ignore_index=True)
    trial = replace(trial, table=people)
    gain = fielded.promised(people)["gain"].to_numpy(np.float64)
    petitions = fielded.petitions(people, "nano")[fielded.attributes]
    parts = []
    for grouping in groupings:
        names, codes = trial.groups(grouping)
        codes = np.where(np.isfinite(gain), codes, -1)
        hidden = suppressed_groups(np.bincount(codes[codes >= 0], minlength=len(names))[:, None], min_cell)
        shown = np.isin(codes, np.flatnonzero(~hidden))
        rows = [
            _divergence(codes[shown], petitions[shown], seed),
            _predicted(trial, gain, (names, codes), hidden),
        ]
        for outcome in trial.outcome_names:
            pair = Pair.of(trial.with_columns(_code=codes), fielded.nano, fielded.best, outcome)
            rows.append(_realised(pair, names, min_cell))
        parts.append(pd.concat(rows, ignore_index=True).assign(grouping=grouping.name))
    if not parts:
        return trial.published([], Table.FAIRNESS)
    columns = [column for column in Table.FAIRNESS.columns if column not in ("label", "deviation")]
    table = pd.concat(parts, ignore_index=True).reindex(columns=columns)
    texts = ["group", "attribute", "outcome", "contrast", "note"]
    table[texts] = table[texts].fillna("")
    return trial.published([table], Table.FAIRNESS)


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
    rows = []
    for i, name in enumerate(names):
        own = codes == i
        row = unknown(int(own.sum()), "fewer than two respondents")
        if own.sum() > 1:
            model = regression.fit(np.ones((own.sum(), 1)), gain[own], "HC2", weights=trial.weight[own])
            row = regression.contrast(model, np.ones(1), trial.alpha).assign(n=int(own.sum()), note="")
        rows.append(row.assign(group=name))
    return hide(pd.concat(rows, ignore_index=True), hidden).assign(quantity=PROMISED)


def _realised(pair: Pair, names: Sequence[str], min_cell: int) -> pd.DataFrame:
    own = pair.table["_code"].to_numpy()
    hidden = suppressed_groups(pair.counts(own, len(names)), min_cell)
    rows = [pair.restricted(own == i).effect().assign(group=name) for i, name in enumerate(names)]
    table = hide(pd.concat(rows, ignore_index=True), hidden)
    return table.assign(quantity=REALISED, outcome=pair.outcome, contrast=pair.contrast)
