"""Carry rows of the proof over to today's code where it computes the same numbers.

A faster way to the same numbers changes the hash of the code and nothing else. Replications of each file,
drawn by the hash so that nobody knows them beforehand, are computed again. Where every column agrees in its
six digits, all rows that the file has of that code are said to hold for the code of today, and
docs/validation/carried/ says which were checked. Where one differs these rows stay as they are, and the file,
the seed and the columns are named. All data are synthetic.

Usage: PYTHONPATH=tests:tests/benchmark:tests/validation python tests/validation/carry.py
    [--code C] [--checked N] [--minutes M] [file ...]
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from nanotarget.study.seeds import child_rng
from replicate import COLUMNS, KEY, code, replicate
from run import DIGITS, FOLDER, read, rows_in, save

TRAIL = FOLDER / "carried" / "carried.csv"
SIXTH_DIGIT, NOTHING = 1.01e-5, 1e-8  # how far apart numbers of six digits may be that are the same
TIMES = ["code", "seconds"]  # columns that may differ


def written(rows):
    """Return rows as they are when they have been written and read."""
    text = io.StringIO(pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, float_format=DIGITS))
    return read(text)


def differences(old, new):
    """Return the columns in which two tables of rows of one replication differ."""
    old, new = (rows.set_index(KEY[3:]).sort_index().drop(columns=TIMES) for rows in (old, new))
    if not old.index.equals(new.index):
        return KEY[3:]
    return [column for column in old if not same(old[column], new[column])]


def same(old, new):
    """Return whether two columns say the same, numbers in six digits."""
    if pd.api.types.is_numeric_dtype(old) and pd.api.types.is_numeric_dtype(new):
        return np.allclose(new, old, rtol=SIXTH_DIGIT, atol=NOTHING, equal_nan=True)
    return old.astype("string").equals(new.astype("string"))


def drawn(path, rows, number):
    """Return the seeds of a file to compute again, by today's hash."""
    seeds = np.sort(rows["seed"].unique())
    rng = child_rng(int(code(), 16) % 2**31, f"carry/{path.stem}")
    return sorted(int(seed) for seed in rng.choice(seeds, min(number, len(seeds)), replace=False))


def carry(path, number, only=None):
    """Carry the rows of each code in a file, or of one alone, where they hold.

    Returns:
        (trail, faults): a line of the trail for each code whose rows are carried, a text for each replication
        that differs.
    """
    rows = rows_in(path)
    trail, faults = [], []
    for before, older in rows[rows["code"] != code()].groupby("code"):
        if only and before != only:
            continue
        seeds, wrong = drawn(path, older, number), []
        for seed in seeds:
            world, learner = older[["world", "learner"]].iloc[0]
            found = written(replicate(world, learner, seed))
            if columns := differences(older[older["seed"] == seed], found):
                wrong.append(f"{path.name}: replication {seed} of {before} differs in {', '.join(columns)}")
        faults += wrong
        if wrong:
            continue
        rows.loc[older.index, "code"] = code()
        checked = " ".join(map(str, seeds))
        trail.append(
            {"file": path.name, "from": before, "to": code(), "rows": len(older), "checked": checked}
        )
    if trail:
        save(rows, path)
    return trail, faults


def main():
    """Carry the files that the command line names, or all, and end with 1 if rows of some do not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--code", help="whose rows alone are carried")
    parser.add_argument("--checked", type=int, default=2, help="replications of each file to compute again")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which nothing is begun")
    chosen = parser.parse_args()
    end, wrong = time.monotonic() + 60 * chosen.minutes, []
    for path in chosen.files or sorted(FOLDER.glob("*.csv")):
        if time.monotonic() > end:
            break
        trail, faults = carry(path, chosen.checked, chosen.code)
        wrong += faults
        if trail:
            TRAIL.parent.mkdir(exist_ok=True)
            before = pd.read_csv(TRAIL, dtype=str).to_dict("records") if TRAIL.exists() else []
            save(pd.DataFrame(before + trail), TRAIL)
    sys.exit("\n".join(wrong) if wrong else 0)


if __name__ == "__main__":
    main()
