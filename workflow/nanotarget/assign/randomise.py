"""Who is randomised to which arm: new people are drawn, whoever was drawn before keeps the arm.

The counts of arms are rounded at random with the right expectation, so that everybody's probability
of an arm is the arm's share, even in a block of one; the largest remainder alone would never give
such a block the arm with the smallest share.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nanotarget.study.config import RosterArmConfig
from nanotarget.study.keyed import hashes
from nanotarget.study.seeds import child_rng

GRID = 2.0**20  # multiples of 1 / GRID are added without error, so that whole numbers stay whole


def randomise(
    people: pd.DataFrame, arms: Sequence[RosterArmConfig], ledger: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """Randomise people to arms; whoever is in the ledger keeps arm and block.

    Within each block the new people fill the shares of all (those in the ledger under this block and
    the new ones) as closely as possible: counts differ by less than one from the numbers that are
    nearest to the shares, in each block and in total (unbiased two-way rounding, Cox 1987, JASA 82).
    Who of a block gets which arm follows from the ranks of keyed hashes of their ids, a random order that
    does not hang on the order of people or on how they are divided.

    Args:
        people: respondent_id (unique) and block (the same for all without blocks), in any order.
        arms: names and shares.
        ledger: respondent_id, arm and block, as `read_ledger` returns them; people who are not in `people`
            count too.
        seed: root seed. The draw depends on it, on the ledger and on the set of people.

    Returns:
        respondent_id, arm and block (categorical), known (was in the ledger), in the order of `people`.
    """
    names = pd.Index([arm.name for arm in arms])
    labels = _labels(people["block"], ledger["block"])
    old_arm, old_block = _codes(ledger["arm"], names), _codes(ledger["block"], labels)
    place = places(people["respondent_id"], ledger["respondent_id"])
    known = place >= 0
    arm, block = np.empty(len(people), dtype=np.int64), _codes(people["block"], labels)
    arm[known], block[known] = old_arm[place[known]], old_block[place[known]]
    if not known.all():
        earlier = np.zeros((len(labels), len(names)))
        np.add.at(earlier, (old_block, old_arm), 1)
        new = people.loc[~known, ["respondent_id"]].assign(block=block[~known])
        # A later wave draws from another stream, or its draws would repeat those of the first one.
        arm[~known] = _draw(new, earlier, arms, seed, f"randomise after {len(ledger)}")
    drawn = {"arm": pd.Categorical.from_codes(arm, names), "block": pd.Categorical.from_codes(block, labels)}
    return people[["respondent_id"]].reset_index(drop=True).assign(**drawn, known=known)


def _labels(*blocks: pd.Series) -> pd.Index:
    found: set[str] = set()
    for block in blocks:
        found.update(block.cat.categories if isinstance(block.dtype, pd.CategoricalDtype) else block.unique())
    return pd.Index(sorted(found), dtype="str")


def _codes(texts: pd.Series, labels: pd.Index) -> np.ndarray:
    """Return the number of each text, all of which are among the labels."""
    known = texts.astype("category").cat
    return labels.get_indexer(known.categories)[known.codes.to_numpy()]


def places(ids: pd.Series, among: pd.Series) -> np.ndarray:
    """Return at which place each id stands in a list of different ones; -1 if it does not.

    Numbers are found faster, and in less memory, than texts.
    """
    if not len(among):
        return np.full(len(ids), -1)
    listed = pd.Index(hashes(among, 0, "place"))
    if listed.is_unique:
        place = listed.get_indexer(hashes(ids, 0, "place"))
        found = place >= 0
        if (among.to_numpy()[place[found]] == ids.to_numpy()[found]).all():
            return place
    return pd.Index(among).get_indexer(ids)  # two different ids share a number


def _draw(
    new: pd.DataFrame, earlier: np.ndarray, arms: Sequence[RosterArmConfig], seed: int, wave: str
) -> np.ndarray:
    """Return the numbers of the arms of new people.

    Args:
        new: respondent_id and the number of the block.
        earlier: (n_blocks, n_arms) people who were randomised before.
        wave: name of the stream.
    """
    present, block = np.unique(new["block"], return_inverse=True)
    exact = wanted(np.bincount(block), earlier[present], shares(arms))
    counts = round_at_random(exact, child_rng(seed, wave))
    arm = np.empty(len(block), dtype=np.int64)
    arm[_ranked(block, new["respondent_id"], seed, wave)] = np.concatenate(
        [np.repeat(np.arange(len(arms)), row) for row in counts]
    )
    return arm


def _ranked(block: np.ndarray, ids: pd.Series, seed: int, wave: str) -> np.ndarray:
    """Return the places of people by block and hash; of two with one hash the lower id comes first."""
    drawn = hashes(ids, seed, wave)
    order = np.lexsort((drawn, block))
    if not (np.diff(block[order]) == 0)[np.diff(drawn[order]) == 0].any():
        return order
    return np.lexsort((pd.factorize(ids, sort=True)[0], drawn, block))


def shares(arms: Sequence[RosterArmConfig]) -> np.ndarray:
    """Return the shares of the arms, which sum to 1; equal ones if no arm has a share."""
    share = np.array([1.0 if arm.share is None else arm.share for arm in arms])
    return share / share.sum()


def wanted(sizes: np.ndarray, earlier: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return how many new people each arm should get in each block, before rounding.

    In each block these are the numbers of at least 0 that bring old and new people together
    nearest to the shares (least squares: the projection onto a simplex).

    Args:
        sizes: (n_blocks,) new people, at least one in a block.
        earlier: (n_blocks, n_arms) people who were randomised before.
        share: (n_arms,) shares.

    Returns:
        (n_blocks, n_arms) numbers; rows sum to `sizes`.
    """
    lacking = (sizes + earlier.sum(axis=1))[:, None] * share - earlier
    ordered = -np.sort(-lacking, axis=1)
    level = (ordered.cumsum(axis=1) - sizes[:, None]) / np.arange(1, len(share) + 1)
    last = (ordered > level).sum(axis=1) - 1
    return np.maximum(lacking - level[np.arange(len(sizes)), last][:, None], 0)


def round_at_random(exact: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Round a table to whole numbers whose expectations are the exact ones.

    Every cell and every column sum goes up or down to a neighbouring whole number; row sums stay.
    While a cell is not whole, a closed loop of such cells is moved by alternating equal amounts,
    up or down at random, until one of them is whole (Cox 1987).

    Args:
        exact: (n, k) numbers; the sums of rows are whole.

    Returns:
        (n, k) whole numbers.
    """
    table = np.rint(exact * GRID) / GRID
    table[np.arange(len(table)), table.argmax(axis=1)] += np.rint(exact.sum(axis=1)) - table.sum(axis=1)
    total = table.sum(axis=0)
    table = np.vstack([table, np.ceil(total) - total])  # one more row makes the columns whole
    while (broken := table != np.rint(table)).any():
        loop = _loop(broken)
        cells = tuple(np.array(loop).T)
        values = table[cells]
        sign = np.resize([1.0, -1.0], len(loop))
        above, below = np.ceil(values) - values, values - np.floor(values)
        up, down = np.where(sign > 0, above, below).min(), np.where(sign > 0, below, above).min()
        table[cells] += sign * (up if rng.random() < down / (up + down) else -down)
    return table[:-1].astype(np.int64)


def _loop(broken: np.ndarray) -> list[tuple[int, int]]:
    """Return cells that form a closed loop, moving within a row and within a column in turn.

    Args:
        broken: (n, k) the cells to use: none or at least two in every row and column.
    """
    at, came, path = (0, int(broken.any(axis=1).argmax())), -1, list[tuple[int, int]]()
    seen: dict[tuple[int, int], int] = {}
    while at not in seen:
        seen[at] = len(path)
        axis, i = at
        others = np.flatnonzero(broken[i] if axis == 0 else broken[:, i])
        j = int(others[others != came][0])
        path.append((i, j) if axis == 0 else (j, i))
        at, came = (1 - axis, j), i
    return path[seen[at] :]
