"""Groups of respondents by a covariate, and which of them are too small to be published."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nanotarget.study.config import CovariateConfig, SubgroupConfig


def group_codes(
    values: pd.Series, grouping: SubgroupConfig, covariate: CovariateConfig
) -> tuple[list[str], np.ndarray]:
    """Return the names of the groups and each respondent's group; -1 for those in none.

    Groups of a numeric covariate include both bounds; a categorical one is grouped by its levels.
    """
    if covariate.kind == "categorical":
        names = [str(level) for level in covariate.levels or []]
        return names, pd.Index(names).get_indexer(values.astype("str").where(values.notna()))
    numbers = values.to_numpy(np.float64)
    codes = np.full(len(numbers), -1)
    for i, group in enumerate(grouping.groups):
        low = -np.inf if group.min is None else group.min
        high = np.inf if group.max is None else group.max
        codes[(numbers >= low) & (numbers <= high)] = i
    return [group.name for group in grouping.groups], codes


def suppressed_groups(counts: np.ndarray, min_cell: int) -> np.ndarray:
    """Say which groups must not be published.

    A group with fewer than `min_cell` respondents in an arm is suppressed. Then the next smallest
    groups are, too, until two are and together they have `min_cell` respondents in every arm:
    otherwise the suppressed numbers could be had by subtraction from the totals.

    Args:
        counts: (groups, arms) respondents observed.
        min_cell: smallest cell that may be published.
    """
    hidden: np.ndarray = np.any(counts < min_cell, axis=1)
    by_size = np.argsort(counts.min(axis=1), kind="stable")
    for group in by_size:
        if hidden.any() and (hidden.sum() < 2 or (counts[hidden].sum(axis=0) < min_cell).any()):
            hidden[group] = True
    return hidden


def published_groups(
    respondents: pd.DataFrame,
    groupings: Sequence[SubgroupConfig],
    covariates: Sequence[CovariateConfig],
    min_cell: int,
) -> list[tuple[str, np.ndarray]]:
    """Return the groups of respondents that are large enough to be published.

    Args:
        respondents: one row per respondent.
        groupings: from the config.
        covariates: the allow-list, which says what kind of covariate a grouping is by.
        min_cell: smallest group.

    Returns:
        "<grouping>: <group>" and (n_respondents,) who is in it.
    """
    kinds = {covariate.name: covariate for covariate in covariates}
    published = []
    for grouping in groupings:
        covariate = kinds[grouping.covariate]
        names, codes = group_codes(respondents[covariate.name], grouping, covariate)
        members = [codes == g for g in range(len(names))]
        hidden = suppressed_groups(np.array([[inside.sum()] for inside in members]), min_cell)
        published += [
            (f"{grouping.name}: {name}", inside)
            for name, inside, hide in zip(names, members, hidden, strict=True)
            if not hide
        ]
    return published
