"""Blocks and clusters: within which the arms were drawn, and who was randomised together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from nanotarget.clean.people import People
from nanotarget.study.config import RandomisationConfig, normalised
from nanotarget.study.problems import counted

MISSING = "(missing)"
MIN_CLUSTERS = 8  # so many groups that are each in one arm by chance are hardly possible


def blocks_of(people: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Name everybody's block after its levels ("party: Left; region: North"); empty without blocks.

    Args:
        people: with one column per name, categorical or text; a missing value is a level.
    """
    block = pd.Series("", index=people.index, dtype="str")
    for i, name in enumerate(names):
        block += f"{'; ' if i else ''}{name}: " + people[name].astype("str").fillna(MISSING)
    return block


def read_blocks(
    people: People, randomisation: RandomisationConfig, identifiers: Collection[str]
) -> pd.Series:
    """Return the block in which each respondent was randomised; "" without blocks.

    Args:
        people: one row per respondent.
        randomisation: which columns blocks are named after.
        identifiers: columns that no artefact may contain; names made of them become codes in sorted order.
    """
    raw = people.table.raw.iloc[people.rows].reset_index(drop=True)
    spelled = {name: _in_one_spelling(raw[name]) for name in randomisation.blocks}
    block = blocks_of(pd.DataFrame(spelled, index=raw.index), randomisation.blocks)
    return _coded(block, "b") if set(randomisation.blocks) & set(identifiers) else block


def read_clusters(
    people: People,
    randomisation: RandomisationConfig,
    identifiers: Collection[str],
    shared: Mapping[str, pd.Series],
) -> pd.Series:
    """Return the cluster in which each respondent was randomised; without clusters, the respondent's id.

    Args:
        people, randomisation, identifiers: as in `read_blocks`.
        shared: what everybody in a cluster must share, by its name for messages.
    """
    if randomisation.cluster is None:
        return people.ids.ids
    cells = people.cells(randomisation.cluster)
    cells.refuse(
        cells.empty,
        "the cluster is missing",
        "the cluster in which each respondent was randomised",
        "complete the file, or exclude these people with an exclusion of rule 'missing'",
    )
    cluster = cells.ids
    for what, values in shared.items():
        several = values.groupby(cluster).transform("nunique") > 1
        cells.refuse(
            several.to_numpy(),
            f"{counted(cluster[several].nunique(), 'cluster')} in more than one {what}",
            f"one {what} per cluster, because the config says 'scheme: clustered'",
            "correct the file, or key experiment.randomisation in the config",
        )
    return _coded(cluster, "c") if randomisation.cluster in identifiers else cluster


def read_outcome_clusters(
    people: People,
    randomisation: RandomisationConfig,
    identifiers: Collection[str],
    block: pd.Series,
    cluster: pd.Series,
) -> pd.Series:
    """Return the group whose outcomes hang together; the cluster where the config names none.

    Args:
        people, randomisation, identifiers: as in `read_blocks`.
        block, cluster: from `read_blocks` and `read_clusters`.
    """
    if randomisation.outcome_cluster is None:
        return cluster
    cells = people.cells(randomisation.outcome_cluster)
    cells.refuse(
        cells.empty,
        "the outcome cluster is missing",
        "the outcome cluster of each respondent",
        "complete the file, or exclude these people with an exclusion of rule 'missing'",
    )
    unit = cells.ids
    several = unit.groupby(cluster).transform("nunique") > 1
    cells.refuse(
        several.to_numpy(),
        f"{counted(cluster[several].nunique(), 'cluster')} in more than one outcome cluster",
        "outcome clusters of whole clusters: people who were randomised together hang together",
        "correct the file, or key experiment.randomisation in the config",
    )
    alone = unit.groupby(block).transform("nunique") < 2
    cells.refuse(
        (alone & (block != "")).to_numpy(),
        f"{counted(block[alone].nunique(), 'block')} inside a single outcome cluster",
        "blocks with people of two or more outcome clusters: what a cluster shares drops out of "
        "comparisons within a smaller block",
        "remove 'outcome_cluster' from experiment.randomisation if blocks lie inside it",
    )
    return _coded(unit, "u") if randomisation.outcome_cluster in identifiers else unit


def suspected_clusters(people: People, arm: np.ndarray, known: Collection[str]) -> list[str]:
    """Return the columns each of whose values, though most people share theirs, is in one arm only.

    Where people were randomised one by one no such column can be expected; where classes or villages were,
    standard errors of people would be far too small.

    Args:
        people: one row per respondent.
        arm: (n,) number of everybody's arm.
        known: columns of which the config says what they are, and that may follow from the arm.
    """
    raw = people.table.raw.iloc[people.rows]
    columns = []
    for name in raw.columns:
        codes, values = pd.factorize(raw[name])
        if name in known or (codes < 0).any():
            continue
        several = np.bincount(codes, minlength=len(values)) > 1
        pairs = np.unique(np.column_stack([codes, arm]), axis=0)
        of_arms = np.bincount(pairs[several[pairs[:, 0]], 1], minlength=arm.max(initial=0) + 1)
        if (
            len(pairs) == len(values)
            and several.sum() >= MIN_CLUSTERS
            and 2 * several[codes].sum() > len(codes)
            and (of_arms[np.unique(arm)] > 1).all()
        ):
            columns.append(str(name))
    return columns


def _in_one_spelling(texts: pd.Series) -> pd.Series:
    """Give texts that are compared as equal one spelling, which no order of rows decides."""
    trimmed = texts.str.split().str.join(" ")
    return trimmed.groupby(trimmed.map(normalised, na_action="ignore")).transform("min")


def _coded(names: pd.Series, letter: str) -> pd.Series:
    """Number names in sorted order: c0001, c0002, ..."""
    codes, known = pd.factorize(names, sort=True)
    width = max(4, len(str(len(known))))
    return pd.Series([f"{letter}{code + 1:0{width}d}" for code in codes], index=names.index, dtype="str")
