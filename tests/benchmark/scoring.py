"""Measure exact scoring of tree ensembles: one process a figure, CPU seconds, medians, peak memory.

All data are synthetic. Usage: python tests/benchmark/scoring.py [job [key=value ...]]; without a job all run.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from nanotarget.design import Attribute, Design
from nanotarget.ensemble import Ensemble, Inputs, Nodes, best_petitions, from_nodes, from_stochtree, landscape

SHAPE = (5, 5, 5, 5, 5, 3, 3)
N_COVARIATES = 12


def design_of(shape):
    """A design without prohibitions."""
    return Design(
        tuple(
            Attribute(f"a{i}", tuple(map(str, range(n))), f"a{i}", (1 / n,) * n) for i, n in enumerate(shape)
        )
    )


def people(n, seed):
    """Synthetic covariates: age, a 0-10 scale, gender, a continuous one, eight 1-5 scales."""
    rng = np.random.default_rng(seed)
    scales = [rng.integers(1, 6, n) for _ in range(8)]
    first = [rng.integers(18, 90, n), rng.integers(0, 11, n), rng.integers(0, 2, n)]
    return np.column_stack([*first, rng.normal(size=n).round(2), *scales]).astype(float)


def memory():
    """Peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def save(ensemble, folder):
    """Write an ensemble as Parquet and JSON."""
    leaves, cuts, facts = ensemble.to_tables()
    leaves.to_parquet(Path(folder, "leaves.parquet"))
    cuts.to_parquet(Path(folder, "cuts.parquet"))
    Path(folder, "facts.json").write_text(json.dumps(facts))


def load(folder):
    """Read what `save` wrote."""
    facts = json.loads(Path(folder, "facts.json").read_text())
    tables = [pd.read_parquet(Path(folder, f"{name}.parquet")) for name in ("leaves", "cuts")]
    return Ensemble.from_tables(*tables, facts)


def read(folder, trees=200, draws=500, rows=18_000):
    """Fit a forest, read it out (measured), extrapolate native prediction from three respondents."""
    import stochtree

    rng = np.random.default_rng(1)
    inputs = Inputs.indicators(SHAPE, N_COVARIATES)
    levels = np.column_stack([rng.integers(0, n, rows) for n in SHAPE])
    z = people(rows, 1)
    x = inputs.matrix(z, levels)
    own = (levels[:, 0] == 3) * z[:, 1] / 5 + 2 * (levels[:, 1] == 4) * (levels[:, 0] == 2)
    y = x[:, :31] @ rng.normal(size=31) + own + 2 * rng.normal(size=rows) + 5
    model = stochtree.BARTModel()
    start = time.process_time()
    model.sample(
        X_train=x,
        y_train=y,
        num_gfr=0,
        num_burnin=100,
        num_mcmc=draws,
        mean_forest_params={"num_trees": trees},
        general_params={"random_seed": 1, "num_threads": 1},
    )
    fit, before = time.process_time() - start, memory()
    start = time.process_time()
    ensemble = from_stochtree(model, inputs, SHAPE, N_COVARIATES)
    out = {"fit_s": fit, "read_s": time.process_time() - start, "fit_mib": before, "read_mib": memory()}
    save(ensemble, folder)
    petitions = design_of(SHAPE).petition_levels(np.arange(28_125))
    new = people(3_113, 2)[:3]
    seconds, error = [], 0.0
    ids = design_of(SHAPE).petition_ids(best_petitions(ensemble, new, design_of(SHAPE), dtype=np.float32)[0])
    for k, row in enumerate(new):
        matrix = inputs.matrix(np.repeat(row[None], len(petitions), axis=0), petitions)
        start = time.process_time()
        native = model.predict(matrix, type="mean", terms="y_hat")
        seconds.append(time.process_time() - start)
        double = landscape(ensemble, row[None], design_of(SHAPE))[0]
        single = landscape(ensemble, row[None], design_of(SHAPE), np.float32)[0]
        error = max(error, np.abs(double - native).max())
        out["error32_sd"] = max(out.get("error32_sd", 0.0), np.abs(single - native).max() / y.std())
        out["same_best"] = out.get("same_best", True) and bool(native.argmax() == ids[k])
    return out | {"native_s_each": float(np.median(seconds)), "error64": error}


def grow(folder, trees=200, draws=500):
    """Draw random trees, far bushier than a posterior's: many product sets and boxes."""
    rng = np.random.default_rng(1)
    inputs = Inputs.indicators(SHAPE, N_COVARIATES)
    n = trees * draws
    # Complete trees of 15 nodes; a split becomes a leaf with probability 1/2 below the root.
    number = np.tile(np.arange(15), n)
    split = (number < 7) & ((number == 0) | (rng.random(15 * n) < 0.5))
    first = 15 * np.repeat(np.arange(n), 15)
    column = rng.integers(0, len(inputs.covariate), 15 * n)
    own = column >= 31
    values = np.round(rng.random(15 * n) * np.array([100, 11, 2, 2] + [6] * 8)[np.where(own, column - 31, 0)])
    nodes = Nodes(
        np.repeat(np.arange(draws), trees),
        15 * np.arange(n),
        np.where(split, first + 2 * number + 1, -1),
        np.where(split, first + 2 * number + 2, -1),
        column,
        np.where(own, values, 0.5),
        np.zeros(15 * n, dtype=np.int64),
        rng.normal(size=15 * n) / 50,
    )
    start = time.process_time()
    ensemble = from_nodes(nodes, inputs, SHAPE, N_COVARIATES, draws)
    save(ensemble, folder)
    return {"leaves_s": time.process_time() - start, "peak_mib": memory()}


def score(folder, respondents=3_113, draws=None, petitions=28_125):
    """Load an ensemble, find everyone's best petition."""
    ensemble = load(folder)
    if draws:
        ensemble = ensemble.of_draws(range(draws))
    shape = ensemble.shape
    if petitions > 28_125:
        # An attribute more that no leaf splits on: a larger grid, the same trees.
        factor = int(np.ceil(petitions / 28_125))
        leaves, cuts, facts = ensemble.to_tables()
        leaves[f"levels_{len(shape)}"] = (1 << factor) - 1
        ensemble = Ensemble.from_tables(leaves, cuts, facts | {"shape": [*shape, factor]})
    z = people(respondents, 2)
    loaded = memory()
    start = time.process_time()
    levels, _ = best_petitions(ensemble, z, design_of(ensemble.shape), dtype=np.float32)
    return {
        "score_s": time.process_time() - start,
        "peak_mib": memory(),
        "loaded_mib": loaded,
        "leaves": len(ensemble.weight),
        "products": len(ensemble.products),
        "boxes": len(ensemble.boxes),
        "pairs": int(ensemble.pooled.nnz),
        "cells": int(ensemble.layout[2].nnz),
        "distinct": len(np.unique(levels, axis=0)),
    }


def alone(job, folder, **settings):
    """Run a job in a process of its own."""
    arguments = [f"{key}={value}" for key, value in settings.items()]
    command = [sys.executable, __file__, job, f"folder={folder}", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    answer = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    )
    sys.stdout.write(f"{job} {settings} {json.dumps(answer)}\n")
    sys.stdout.flush()
    return answer


def everything(folder):
    """The goals' job three times, then how cost grows."""
    first = alone("read", folder)
    runs = [alone("score", folder) for _ in range(3)]
    seconds = float(np.median([run["score_s"] for run in runs]))
    sys.stdout.write(f"median {seconds:.2f} CPU s; {first['native_s_each'] * 3113 / seconds:.0f} x native\n")
    with tempfile.TemporaryDirectory() as bushy:
        alone("grow", bushy)
        for _ in range(3):
            alone("score", bushy)
        alone("grow", bushy, draws=2_000)
        alone("score", bushy)
    for n in (100, 1_000, 10_000, 100_000):
        alone("score", folder, respondents=n)
    for draws in (100, 250):
        alone("score", folder, draws=draws)
    for petitions in (281_250, 1_012_500):
        alone("score", folder, petitions=petitions, respondents=311)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        options = dict(pair.split("=", 1) for pair in sys.argv[2:])
        folder = options.pop("folder")
        job = {"read": read, "score": score, "grow": grow}[sys.argv[1]]
        answer = job(folder, **{key: int(value) for key, value in options.items()})
        sys.stdout.write(json.dumps(answer))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            everything(scratch)
