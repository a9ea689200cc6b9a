"""Are groups of people served alike? Who gets which petition, what it promises and what it did.

It reports and decides nothing: people who want different things rightly get different petitions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nanotarget.calibrate import regression
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.clean.groups import group_codes, suppressed_groups
from nanotarget.estimate.labels import marked
from nanotarget.estimate.tables import Table
from nanotarget.explore.pair import NO_ATTRIBUTES, Pair, hide, promised, unknown
from nanotarget.study.config import CovariateConfig, SubgroupConfig
from nanotarget.study.seeds import child_rng

FAIRNESS_COLUMNS = (
    "grouping",
    "group",
    "quantity",
    "attribute",
    "outcome",
    "contrast",
    *ESTIMATE_COLUMNS,
    "p_adjusted",
    "label",
    "suppressed",
    "deviation",
    "note",
)
DIVERGENCE, PROMISED, REALISED = "divergence of assignment", "predicted gain", "realised gain"
PERMUTATIONS = 999


def fairness(
    table: pd.DataFrame,
    assignments: pd.DataFrame,
    nano: str,
    best: str,
    outcomes: Sequence[str],
    groupings: Sequence[SubgroupConfig],
    covariates: Sequence[CovariateConfig],
    min_cell: int,
    seed: int,
    alpha: float = 0.05,
    deviations: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Compare nano's petitions, what they promise and what they did between groups.

    Args:
        table: `contracts.experiment`.
        assignments: `contracts.assignments` with the policies nano and overall_best.
        nano, best: the arms that fielded them.
        outcomes: columns.
        groupings: by protected attributes, from the config.
        covariates: the allow-list, which says what kind of covariate a grouping is by.
        min_cell: groups with fewer respondents are left out (in an arm, for the realised gain).
        seed: root seed of the permutations.
        alpha: intervals have level 1 - alpha.
        deviations: from `deviations.deviations`.

    Returns:
        `FAIRNESS_COLUMNS`. By grouping and attribute the divergence of assignment: Cramer's V of group by
        level of nano's petition, of everybody in the table, with a permutation p value, by Holm over the
        attributes of a grouping in `p_adjusted`. By group the mean predicted gain of nano over overall-best
        (HC2; units of the calibration's outcome) and by outcome the realised gain, nano less best.
        Survey weights enter gains, not the divergence. Every row is exploratory.
    """
    people = table.sort_values("respondent_id", ignore_index=True)
    gain = promised(people, assignments)["gain"].to_numpy(np.float64)
    petitions = assignments[assignments["policy"] == "nano"].set_index("respondent_id")
    petitions = petitions.reindex(people["respondent_id"])
    attributes = [column for column in assignments.columns if column not in NO_ATTRIBUTES]
    kinds = {covariate.name: covariate for covariate in covariates}
    parts = []
    for grouping in groupings:
        covariate = kinds[grouping.covariate]
        names, codes = group_codes(people[covariate.name], grouping, covariate)
        codes = np.where(np.isfinite(gain), codes, -1)
        hidden = suppressed_groups(np.bincount(codes[codes >= 0], minlength=len(names))[:, None], min_cell)
        shown = np.isin(codes, np.flatnonzero(~hidden))
        levels = petitions[attributes][shown]
        rows = [
            _divergence(codes[shown], levels, seed),
            _predicted(gain, people["weight"].to_numpy(np.float64), codes, names, hidden, alpha),
            *(_realised(people, nano, best, outcome, codes, names, min_cell, alpha) for outcome in outcomes),
        ]
        parts.append(pd.concat(rows, ignore_index=True).assign(grouping=grouping.name))
    if not parts:
        return pd.DataFrame(columns=list(FAIRNESS_COLUMNS))
    found = pd.concat(parts, ignore_index=True).assign(label="exploratory")
    found = marked(found.reindex(columns=list(FAIRNESS_COLUMNS)), Table.FAIRNESS, deviations)
    texts = ["group", "attribute", "outcome", "contrast", "note"]
    found[texts] = found[texts].fillna("")
    return found[list(FAIRNESS_COLUMNS)]


def _divergence(codes: np.ndarray, levels: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Cramer's V of each attribute; the same permutations of people for all."""
    n = len(codes)
    level_codes = [pd.factorize(levels[name], sort=True)[0] for name in levels]
    observed = np.array([cramers_v(codes, own) for own in level_codes])
    rng = child_rng(seed, "explore/fairness")
    reached = np.ones(len(observed))
    for _ in range(PERMUTATIONS):
        dealt = codes[rng.permutation(n)]
        # A permutation that comes out alike but for rounding is alike.
        reached += np.array([cramers_v(dealt, own) for own in level_codes]) >= observed - 1e-12
    rows = []
    for name, value, count in zip(levels.columns, observed, reached, strict=True):
        note = "" if np.isfinite(value) else "one group or one level only"
        p = count / (PERMUTATIONS + 1) if not note else np.nan
        rows.append(unknown(n, note).assign(attribute=name, estimate=value, p_value=p))
    table = pd.concat(rows, ignore_index=True)
    return table.assign(
        quantity=DIVERGENCE, p_adjusted=regression.holm(table["p_value"].to_numpy()), suppressed=False
    ).astype({"n": "Int64"})


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
    gain: np.ndarray,
    weight: np.ndarray,
    codes: np.ndarray,
    names: Sequence[str],
    hidden: np.ndarray,
    alpha: float,
) -> pd.DataFrame:
    rows = []
    for i, name in enumerate(names):
        own = codes == i
        row = unknown(int(own.sum()), "fewer than two respondents")
        if own.sum() > 1:
            model = regression.fit(np.ones((own.sum(), 1)), gain[own], "HC2", weights=weight[own])
            row = regression.contrast(model, np.ones(1), alpha).assign(n=int(own.sum()), note="")
        rows.append(row.assign(group=name))
    return hide(pd.concat(rows, ignore_index=True), hidden).assign(quantity=PROMISED)


def _realised(
    people: pd.DataFrame,
    nano: str,
    best: str,
    outcome: str,
    codes: np.ndarray,
    names: Sequence[str],
    min_cell: int,
    alpha: float,
) -> pd.DataFrame:
    pair = Pair.of(people.assign(_code=codes), nano, best, outcome)
    own = pair.table["_code"].to_numpy()
    hidden = suppressed_groups(pair.counts(own, len(names)), min_cell)
    rows = [pair.restricted(own == i).effect(alpha).assign(group=name) for i, name in enumerate(names)]
    table = hide(pd.concat(rows, ignore_index=True), hidden)
    return table.assign(quantity=REALISED, outcome=outcome, contrast=pair.contrast)
