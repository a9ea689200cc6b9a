"""Add replications to the committed rows of docs/validation/; those that are there are not computed again.

One file a world and learner, one row a replication (and goal and group, where a world is about these). A row
that other code has computed is replaced. All data are synthetic.

Usage: PYTHONPATH=tests:tests/benchmark:tests/validation python tests/validation/run.py [world ...]
    [--learner L] [--replications N] [--forests N] [--cores N] [--minutes M]
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import pandas as pd

from regimes import REGIMES
from replicate import COLUMNS, KEY, code, replicate

FOLDER = Path(__file__).parents[2] / "docs" / "validation"
FLEXIBLE = ("R1", "R3", "R4", "R6", "R7", "bounded-5", "bounded-6", "bounded-7")  # worlds of these:
RIVALS = ("hierarchical", "stagewise", "boosting", "bart")
DIGITS = "%.6g"


def cells(replications, forests):
    """Return (world, learner) -> number of replications."""
    wanted = {(name, learner_of(regime)): replications for name, regime in REGIMES.items()}
    wanted |= {("R13", "ridge-pairs"): replications}
    return wanted | {(world, learner): forests for world in FLEXIBLE for learner in RIVALS}


def learner_of(regime):
    """Return the default learner of a regime: ridge, or what learns from people's own answers."""
    return "hierarchical" if regime.panel else "ridge"


def path_of(folder, world, learner):
    """Return the file of the rows of a world and learner."""
    return folder / f"{world}_{learner}.csv"


def rows_in(path):
    """Return the rows of a file; none if it is not there."""
    return read(path) if path.exists() else pd.DataFrame(columns=COLUMNS)


def read(file):
    """Return the rows of a path or an open file."""
    return pd.read_csv(file, keep_default_na=False, na_values=[""], dtype={"code": str, "flags": str})


def save(table, path):
    """Write a table whole or not at all."""
    scratch = path.with_suffix(".tmp")
    table.to_csv(scratch, index=False, float_format=DIGITS)
    scratch.replace(path)


def add(folder, rows):
    """Put the rows of a replication into their file, in place of older ones, whole or not at all."""
    new = pd.DataFrame(rows, columns=COLUMNS)
    world, learner, seed = new.loc[0, KEY[:3]]
    path = path_of(folder, world, learner)
    old = rows_in(path)
    kept = old[old["seed"] != seed]
    table = (pd.concat([kept, new]) if len(kept) else new).sort_values("seed", kind="stable")
    save(table, path)


def missing(folder, wanted):
    """Return what is to be computed, (world, learner, seed), so that all worlds grow alike."""
    jobs = []
    for (world, learner), number in wanted.items():
        rows = rows_in(path_of(folder, world, learner))
        there = set(rows.loc[rows["code"] == code(), "seed"])
        jobs += [(world, learner, seed) for seed in range(1, number + 1) if seed not in there]
    return sorted(jobs, key=lambda job: job[2])


def run(folder, wanted, cores, minutes):
    """Compute what is missing until time is up."""
    end, jobs = time.monotonic() + 60 * minutes, iter(missing(folder, wanted))
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(cores) as pool:
        running = {pool.submit(replicate, *job) for _, job in zip(range(cores), jobs, strict=False)}
        while running:
            done = next(as_completed(running))
            running.remove(done)
            add(folder, done.result())
            if time.monotonic() < end and (job := next(jobs, None)):
                running.add(pool.submit(replicate, *job))


def cores_of(text):
    """Return a number of cores; "all" are those of the machine."""
    return os.cpu_count() or 1 if text == "all" else int(text)


def main():
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("worlds", nargs="*", choices=[[], *REGIMES], metavar="world")
    parser.add_argument("--learner")
    parser.add_argument("--replications", type=int, default=200, help="a world with ridge")
    parser.add_argument("--forests", type=int, default=40, help="a world with other learners")
    parser.add_argument("--cores", type=cores_of, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which nothing is begun")
    chosen = parser.parse_args()
    wanted = cells(chosen.replications, chosen.forests)
    if chosen.learner:
        wanted |= {(world, chosen.learner): chosen.replications for world in chosen.worlds}
    wanted = {
        (world, learner): number
        for (world, learner), number in wanted.items()
        if world in (chosen.worlds or REGIMES) and learner == (chosen.learner or learner)
    }
    run(FOLDER, wanted, chosen.cores, chosen.minutes)


if __name__ == "__main__":
    main()
