"""Who is randomised to which arm, once and for all: new people are drawn, the ledger is kept.

The counts of arms are rounded at random with the right expectation, so that everybody's probability
of an arm is the arm's share, even in a block of one; the largest remainder alone would never give
such a block the arm with the smallest share.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from nanotarget.assign.tombstone import seal_kept
from nanotarget.clean.cells import Table
from nanotarget.clean.raw import read_raw
from nanotarget.study.artefacts import write_text
from nanotarget.study.config import RosterArmConfig
from nanotarget.study.private import OWNERS_ONLY
from nanotarget.study.problems import InputError, Problem, listed, raise_if_any
from nanotarget.study.seeds import child_rng

LEDGER_COLUMNS = ["respondent_id", "arm", "block"]
SEALED_COLUMNS = [*LEDGER_COLUMNS, "seal"]
SEAL = 16  # hexadecimal digits: enough against accidents, which is all that a seal without a secret is for
GRID = 2.0**20  # multiples of 1 / GRID are added without error, so that whole numbers stay whole


def randomise(
    people: pd.DataFrame, arms: Sequence[RosterArmConfig], ledger: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """Randomise people to arms; whoever is in the ledger keeps arm and block.

    Within each block the new people fill the shares of all (those in the ledger under this block and
    the new ones) as closely as possible: counts differ by less than one from the numbers that are
    nearest to the shares, in each block and in total (unbiased two-way rounding, Cox 1987, JASA 82).

    Args:
        people: respondent_id (unique) and block (text, the same for all without blocks), in any order.
        arms: names and shares.
        ledger: LEDGER_COLUMNS, as `read_ledger` returns it; people who are not in `people` count too.
        seed: root seed. The draw depends on it, on the ledger and on the set of people.

    Returns:
        respondent_id, arm, block, known (was in the ledger), sorted by respondent_id.
    """
    people = people.sort_values("respondent_id", ignore_index=True)
    known = people["respondent_id"].isin(ledger["respondent_id"])
    old = ledger.set_index("respondent_id").loc[people.loc[known, "respondent_id"]].reset_index()
    new = people.loc[~known, ["respondent_id", "block"]].reset_index(drop=True)
    new["arm"] = _draw(new["block"], arms, ledger, seed)
    drawn = pd.concat([old.assign(known=True), new.assign(known=False)], ignore_index=True)
    columns = [*LEDGER_COLUMNS, "known"]
    return drawn[columns].sort_values("respondent_id", ignore_index=True).astype({"arm": "str"})


def _draw(blocks: pd.Series, arms: Sequence[RosterArmConfig], ledger: pd.DataFrame, seed: int) -> np.ndarray:
    """Return the names of the arms of new people, who are in the order of their ids."""
    names = np.array([arm.name for arm in arms], dtype=object)
    if blocks.empty:
        return names[:0]
    # A later wave draws from another stream, or its draws would repeat those of the first one.
    rng = child_rng(seed, f"randomise after {len(ledger)}")
    labels, block = np.unique(blocks.to_numpy(dtype=object), return_inverse=True)
    row, column = pd.Index(labels).get_indexer(ledger["block"]), pd.Index(names).get_indexer(ledger["arm"])
    earlier = np.zeros((len(labels), len(names)))
    np.add.at(earlier, (row[row >= 0], column[row >= 0]), 1)
    counts = round_at_random(wanted(np.bincount(block), earlier, shares(arms)), rng)
    order = rng.permutation(len(block))
    order = order[np.argsort(block[order], kind="stable")]
    arm = np.empty(len(block), dtype=np.int64)
    arm[order] = np.concatenate([np.repeat(np.arange(len(names)), row) for row in counts])
    return names[arm]


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


def read_ledger(path: str, arms: Sequence[RosterArmConfig]) -> pd.DataFrame:
    """Read the ledger; one that is not there yet is empty.

    Returns:
        All columns as text, among them SEALED_COLUMNS, in the order of the file.

    Raises:
        InputError: with everything that is damaged.
    """
    file = Path(path)
    outside = not file.is_absolute() and not file.resolve().is_relative_to(Path.cwd().resolve())
    if file.is_symlink() or outside:
        what = "it is a link, or lies behind one that leads out of the study's folder"
        remedy = "name the place itself in key roster.ledger, or move the ledger"
        expected = "a file in the study's folder, as it is replaced as a whole"
        raise InputError([Problem(path, "whole file", what, expected, remedy)])
    if not file.exists():
        return pd.DataFrame(columns=SEALED_COLUMNS, dtype="str")
    raw = read_raw(path)
    restore = "restore the ledger from a copy; it must say to which arm people were randomised"
    if missing := [column for column in SEALED_COLUMNS if column not in raw.columns]:
        what = f"the ledger lacks {listed(missing)}"
        raise InputError([Problem(path, "header", what, f"columns {listed(SEALED_COLUMNS)}", restore)])
    table = Table(raw, path)
    ids, drawn = table.cells("respondent_id"), table.cells("arm")
    respondent, arm = ids.ids, drawn.text.str.strip()
    names = [a.name for a in arms]
    ids.refuse(ids.empty, "the respondent's id is missing", "an id in every row", restore)
    twice = respondent.duplicated(keep=False).to_numpy() & ~ids.empty
    ids.refuse(twice, "a respondent is in the ledger more than once", "everybody once", restore)
    drawn.refuse(drawn.empty, "the arm is missing", f"one of {listed(names)}", restore)
    drawn.refuse_texts(
        (arm.notna() & ~arm.isin(names)).to_numpy(),
        "no arm of the config, but people were randomised to it",
        f"one of {listed(names)}",
        f"put the arm back into key roster.arms (a ledger serves one study), or {restore}",
    )
    kept = raw.assign(respondent_id=respondent.to_numpy(), arm=arm.to_numpy(), block=raw["block"].fillna(""))
    if not table.problems:  # what is damaged in itself has its own message
        broken = kept["seal"].fillna("").to_numpy() != sealed(kept)["seal"].to_numpy()
        what = "the ledger was edited here, or a row before it was removed: the seal does not fit"
        first = broken & (broken.cumsum() == 1)
        table.cells("seal").refuse(first, what, "rows as they were written", restore)
    raise_if_any(table.problems)
    return kept.reset_index(drop=True)


def sealed(ledger: pd.DataFrame) -> pd.DataFrame:
    """Return a ledger whose column `seal` chains every row to all before it (SHA-256)."""
    seals, last = [], ""
    for row in ledger[LEDGER_COLUMNS].itertuples(index=False):
        own = hashlib.sha256(json.dumps([last, *row]).encode()).hexdigest()[:SEAL]
        last = seal_kept(*row) or own
        seals.append(last)
    return ledger.assign(seal=seals)


def append_to_ledger(path: str, ledger: pd.DataFrame, drawn: pd.DataFrame) -> None:
    """Add the people whom `randomise` drew anew below those in the ledger; do nothing without any.

    Args:
        path: the ledger, which is replaced as a whole or not at all.
        ledger: what `read_ledger` returned.
        drawn: what `randomise` returned.
    """
    new = drawn.loc[~drawn["known"], LEDGER_COLUMNS]
    if len(new):
        rows = sealed(pd.concat([ledger, new], ignore_index=True))
        # As it is: nothing may change an id here, not even so that a spreadsheet takes it for no formula.
        write_text(rows.to_csv(index=False, lineterminator="\n"), path)
        Path(path).chmod(OWNERS_ONLY)
        for written in (Path(path), Path(path).parent):  # on the disk before anybody is told of an arm
            with _opened(written) as number:
                os.fsync(number)


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Keep others from the ledger (its folder: the file is replaced) while it is read and added to."""
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    with _opened(folder) as number:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    number = os.open(path, os.O_RDONLY)
    try:
        yield number
    finally:
        os.close(number)
