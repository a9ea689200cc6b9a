"""Measure what others would do with the people of a roster, in CPU seconds of one thread for a million.

FOLDER is one that `roster.py` filled. Petitions of `nano` are found by this project, by the argmax of each
attribute written by hand in pandas, and by a matrix product over all pairs of people and petitions; the raw
files are read as text by this project, by pandas and, where it is installed, by DuckDB.
Usage: python tests/benchmark/peers.py FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from nanotarget.calibrate.frozen import read_frozen
from nanotarget.calibrate.learners.base import AdditiveModel
from nanotarget.clean.parts import raw_parts, read_pieces
from nanotarget.petitions.design import Design
from nanotarget.petitions.score import best_petitions
from nanotarget.study.checks import read_study
from nanotarget.study.shards import parts, read_part

RESULTS = Path("results/roster/private")
PAIRED = 2_000  # people whose pairs with all petitions are tried
REPEATS = 3


def main() -> None:
    os.chdir(sys.argv[1])
    study = read_study(Path("study.yaml"))
    design = Design.from_config(study.design)
    model = read_frozen(
        *(str(RESULTS / "calibrate/model" / f) for f in ("model.json", "model.npz", "SHA256SUMS")), design
    )
    assert isinstance(model, AdditiveModel) and study.roster
    people = read_part(parts(RESULTS / "clean/roster.parquet")[0])
    ours = best_petitions(model.utilities(people))
    assert (by_hand(model, people) == ours).all()
    few = people.iloc[:PAIRED]
    assert (by_pairs(model, few) == design.petition_ids(ours[:PAIRED])).all()
    tell("nano, this project", len(people), lambda: best_petitions(model.utilities(people)))
    tell("nano, by hand in pandas", len(people), lambda: by_hand(model, people))
    tell("nano, every pair", len(few), lambda: by_pairs(model, few))

    files = raw_parts(study.roster.file)
    form = files[0].suffix.removeprefix(".")
    read = {
        "parquet": lambda file: pd.read_parquet(file).astype("str"),
        "csv": partial(pd.read_csv, dtype="str"),
    }
    n = sum(len(piece) for file in files for piece in read_pieces(file, 1))
    tell(f"{form}, this project", n, lambda: [len(piece) for file in files for piece in read_pieces(file, 1)])
    tell(f"{form}, pandas", n, lambda: [len(read[form](file)) for file in files])
    if find_spec("duckdb"):
        import duckdb

        duckdb.sql("SET threads = 1")
        source = (
            f"read_{form}({[str(file) for file in files]}{', all_varchar = true' if form == 'csv' else ''})"
        )
        table = f"SELECT COLUMNS(*)::VARCHAR FROM {source}"
        tell(f"{form}, DuckDB", n, lambda: len(duckdb.sql(table).df()))


def tell(what: str, people: int, do: Callable[[], object]) -> None:
    """Print the median of CPU seconds that a million people take."""
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        do()
        seconds.append(time.process_time() - start)
    row = {"what": what, "people": people, "cpu_s": round(float(np.median(seconds)) / people * 1e6, 2)}
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def by_hand(model: AdditiveModel, people: pd.DataFrame) -> np.ndarray:
    """The level of the highest part-worth of each attribute."""
    worths = pd.DataFrame(model.features(people) @ model.coefficients)
    ends = np.cumsum((0, *model.design.shape))
    own = [worths.iloc[:, a:b].to_numpy().argmax(axis=1) for a, b in pairwise(ends)]
    return np.column_stack(own)


def by_pairs(model: AdditiveModel, people: pd.DataFrame) -> np.ndarray:
    """The petition of the highest utility among all; (n,) ids."""
    design = model.design
    levels = design.petition_levels(np.arange(np.prod(design.shape)))
    starts = np.cumsum((0, *design.shape[:-1]))
    chosen = np.zeros((len(levels), sum(design.shape)))
    np.put_along_axis(chosen, levels + starts, 1, axis=1)
    return ((model.features(people) @ model.coefficients) @ chosen.T).argmax(axis=1)


if __name__ == "__main__":
    main()
