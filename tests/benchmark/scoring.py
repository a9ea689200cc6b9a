"""Measure exact scoring and individual effects: one process a figure, CPU seconds, medians, peak memory.

All data are synthetic but those of the individual effects, which are read from the reference folder
(NANOTARGET_REFERENCE); without it that part is left out.
Usage: python tests/benchmark/scoring.py [job [key=value ...]]; without a job all run.
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
from types import SimpleNamespace

import numpy as np
import pandas as pd
import yaml

from nanotarget.assign.assign import Policies
from nanotarget.calibrate.imce import imce
from nanotarget.calibrate.learners import TrainingData, model_from_data
from nanotarget.calibrate.learners.bart import fit_bart
from nanotarget.clean.samples import read_samples
from nanotarget.petitions.design import Attribute, Design
from nanotarget.petitions.ensemble import (
    Ensemble,
    EnsembleUtilities,
    Inputs,
    Nodes,
    from_nodes,
    from_stochtree,
)
from nanotarget.petitions.score import best_petitions, landscape
from nanotarget.petitions.utilities import part_worths
from nanotarget.study import artefacts
from nanotarget.study.checks import validate
from nanotarget.study.config import BartConfig
from nanotarget.study.response import Choice, Rating

PROJECT = Path(__file__).parents[2]
REFERENCE = (PROJECT / os.environ.get("NANOTARGET_REFERENCE", "../shared")).resolve()
CONJOINT = "conjoint_candidates_sw2022"
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
    """Write an ensemble."""
    artefacts.write_npz(ensemble.to_arrays(), Path(folder, "ensemble.npz"))


def load(folder):
    """Read what `save` wrote."""
    return Ensemble.from_arrays(artefacts.read_npz(Path(folder, "ensemble.npz")))


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
    design = design_of(SHAPE)
    double, single = (EnsembleUtilities(ensemble, design, new, dtype) for dtype in (np.float64, np.float32))
    ids = design.petition_ids(best_petitions(single))
    landscapes = [landscape(utilities) for utilities in (double, single)]
    seconds, errors, same = [], [], True
    for k, row in enumerate(new):
        matrix = inputs.matrix(np.repeat(row[None], len(petitions), axis=0), petitions)
        start = time.process_time()
        native = model.predict(matrix, type="mean", terms="y_hat")
        seconds.append(time.process_time() - start)
        errors.append([np.abs(values[k] - native).max() for values in landscapes])
        same &= bool(native.argmax() == ids[k])
    worst = np.max(errors, axis=0)
    exact = {"error64": worst[0], "error32_sd": worst[1] / y.std(), "same_best": same}
    return out | exact | {"native_s_each": float(np.median(seconds))}


def grow(folder, trees=200, draws=500, more=1):
    """Draw random trees, far bushier than a posterior's: many product sets and boxes.

    Args:
        more: levels of an eighth attribute, for larger grids.
    """
    rng = np.random.default_rng(1)
    shape = (*SHAPE, more) if more > 1 else SHAPE
    inputs = Inputs.indicators(shape, N_COVARIATES)
    n = trees * draws
    # Complete trees of 15 nodes; a split becomes a leaf with probability 1/2 below the root.
    number = np.tile(np.arange(15), n)
    split = (number < 7) & ((number == 0) | (rng.random(15 * n) < 0.5))
    first = 15 * np.repeat(np.arange(n), 15)
    column = rng.integers(0, len(inputs.covariate), 15 * n)
    own = column >= sum(shape)
    place = np.where(own, column - sum(shape), 0)
    values = np.round(rng.random(15 * n) * np.array([100, 11, 2, 2] + [6] * 8)[place])
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
    ensemble = from_nodes(nodes, inputs, shape, N_COVARIATES, draws)
    save(ensemble, folder)
    return {"leaves_s": time.process_time() - start, "peak_mib": memory()}


def score(folder, respondents=3_113, draws=None):
    """Load an ensemble, find everyone's best petition."""
    ensemble = load(folder)
    if draws:
        ensemble = ensemble.of_draws(range(draws))
    z = people(respondents, 2)
    loaded = memory()
    start = time.process_time()
    levels = best_petitions(EnsembleUtilities(ensemble, design_of(ensemble.shape), z, np.float32))
    return {
        "score_s": time.process_time() - start,
        "peak_mib": memory(),
        "loaded_mib": loaded,
        "petitions": int(np.prod(ensemble.shape)),
        "leaves": len(ensemble.weight),
        "products": len(ensemble.products),
        "boxes": len(ensemble.boxes),
        "pairs": int(ensemble.pooled.nnz),
        "distinct": len(np.unique(levels, axis=0)),
    }


def assign(folder, respondents=3_113, paired=0):
    """Assign petitions under four policies, as the stage does (float64); `paired`: answers are choices."""
    ensemble = load(folder)
    design = design_of(ensemble.shape)
    table = pd.DataFrame(people(respondents, 2)).add_prefix("z")
    table.insert(0, "respondent_id", [f"{i:08d}" for i in range(respondents)])
    model = SimpleNamespace(
        design=design,
        response=Choice if paired else Rating,
        intercept=0.0,
        utilities=lambda some: EnsembleUtilities(ensemble, design, some.filter(like="z").to_numpy()),
    )
    few = best_petitions(model.utilities(table.iloc[:3]))
    policies = Policies(
        model, ["random", "overall_best", "segment", "nano"], {"overall_best": few[:1], "segment": few}, 1
    )
    start = time.process_time()
    policies.assign(table)
    return {"assign_s": time.process_time() - start, "peak_mib": memory()}


def additive(folder):
    """Find the best petition of 3,113 respondents with additive part-worths."""
    design = design_of(SHAPE)
    utilities = part_worths(np.random.default_rng(1).normal(size=(3_113, sum(SHAPE))), design)
    best_petitions(utilities)  # what is imported or planned at first use is not measured
    start = time.process_time()
    for _ in range(20):
        best_petitions(utilities)
    return {"score_ms": 1000 * (time.process_time() - start) / 20, "peak_mib": memory()}


def conjoint():
    """The real conjoint that cjbart was timed on: design and training data."""
    settings = yaml.safe_load((PROJECT / "examples" / f"{CONJOINT}.yaml").read_text(encoding="utf-8"))
    settings["calibration"]["file"] = str(REFERENCE / "data" / CONJOINT / "data.csv.gz")
    config = validate(settings, CONJOINT)
    design = Design.from_config(config.design)
    sample = read_samples(config, design).calibration
    covariates = tuple(config.covariates)
    return TrainingData.from_tables(sample.profiles, sample.respondents, design, Choice, covariates)


def fit(folder):
    """Fit 50 trees x 1,000 draws to it, as cjbart did."""
    data = conjoint()
    start = time.process_time()
    model = fit_bart(data, 1, BartConfig(chains=1))
    out = {"fit_s": time.process_time() - start, "fit_mib": memory()}
    artefacts.write_npz(model.arrays(), Path(folder, "model.npz"))
    artefacts.write_json(model.settings(), Path(folder, "model.json"))
    return out


def explain(folder):
    """Individual effects of all levels with intervals from the frozen model."""
    data = conjoint()
    settings = artefacts.read_json(Path(folder, "model.json"))
    model = model_from_data(settings, artefacts.read_npz(Path(folder, "model.npz")), data.design)
    start = time.process_time()
    effects = imce(model, data.respondents, 0.95, 1)
    return {"imce_s": time.process_time() - start, "peak_mib": memory(), "effects": len(effects)}


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
    for paired in (0, 1):
        alone("assign", folder, paired=paired)
    for draws in (100, 250):
        alone("score", folder, draws=draws)
    for more in (10, 36):
        with tempfile.TemporaryDirectory() as larger:
            alone("grow", larger, more=more)
            alone("score", larger, respondents=311)
    for _ in range(3):
        alone("additive", folder)
    if REFERENCE.is_dir():
        alone("fit", folder)
        for _ in range(3):
            alone("explain", folder)


JOBS = {
    "read": read,
    "score": score,
    "grow": grow,
    "assign": assign,
    "additive": additive,
    "fit": fit,
    "explain": explain,
}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        options = dict(pair.split("=", 1) for pair in sys.argv[2:])
        folder = options.pop("folder")
        answer = JOBS[sys.argv[1]](folder, **{key: int(value) for key, value in options.items()})
        sys.stdout.write(json.dumps(answer))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            everything(scratch)
