"""Diagnose the same answers with other seeds of folds, halves and divisions: does the verdict hang on them?

Each seed is what another `root_seed` is to a study: it divides people anew and draws the bootstrap samples. A
row a data set and seed is kept beside the replications; those of today's code are not computed again. All
data are synthetic.

Usage: PYTHONPATH=tests:tests/benchmark:tests/validation python tests/validation/seeds.py [data ...]
    [--seeds N] [--minutes M]
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import numpy as np
import pandas as pd

from nanotarget.calibrate.learners import TrainingData
from nanotarget.clean.samples import read_samples
from nanotarget.diagnose import Inputs
from nanotarget.diagnose.quantities import DIAGNOSTICS
from nanotarget.petitions.design import Design
from nanotarget.study.config import DiagnoseConfig
from nanotarget.study.response import RESPONSES
from recovery import table
from regimes import REGIMES, draw_sample
from replicate import FOLDS, HALVES, LEARNERS, code, diagnosed, divide, fit
from run import FOLDER, save
from simulated_studies import REFERENCE
from summary import PAGE, put

ROWS = FOLDER / "seeds" / "rows.csv"
BEGIN, END = "<!-- seeds: begin -->", "<!-- seeds: end -->"
DRAWS = 3  # of the world `boundary`
ESTIMATES = {"gain": "dividend", "half": "G3"}
COLUMNS = ["data", "seed", "code", "overall", "rule", *DIAGNOSTICS]
COLUMNS += [name + part for name in ESTIMATES for part in ("", "_se", "_low", "_high")]


class Answers(NamedTuple):
    """Answers, and how they are diagnosed.

    Attributes:
        data: the calibration.
        learner: a key of `LEARNERS`.
        settings: of the diagnosis.
    """

    data: TrainingData
    learner: str
    settings: DiagnoseConfig


def reference():
    """Return the calibration of the reference study."""
    config = REFERENCE.config()
    design = Design.from_config(config.design)
    sample = read_samples(config, design).calibration
    design = design.as_shown(design.codes(sample.profiles))
    kind = RESPONSES[config.calibration.analyse]
    data = TrainingData.from_tables(sample.profiles, sample.respondents, design, kind, config.covariates)
    return Answers(data, "ridge-pairs", config.diagnose)


def boundary(draw):
    """Return answers of the world in which a rule gains about as much as matters."""
    regime = REGIMES["boundary"]
    data = draw_sample(regime, draw, "boundary").data
    return Answers(data, "ridge", DiagnoseConfig(sesoi=regime.sesoi))


DATA = {f"boundary, draw {k}": lambda k=k: boundary(k) for k in range(1, DRAWS + 1)}
DATA |= {"reference study": reference}


def diagnose(answers, seed):
    """Return what is said and found with a seed, by column."""
    fitted, halves = (fit(answers.data, answers.learner, folds, seed) for folds in (FOLDS, HALVES))
    divisions, goals = {}, ("support",)
    inputs = Inputs(
        fitted,
        halves,
        answers.settings,
        seed,
        LEARNERS[answers.learner].learner,
        divisions=divisions,
        sizes=(1,),
    )
    divisions |= divide(inputs, goals).divisions
    everybody = np.ones(answers.data.n_respondents, dtype=bool)
    return diagnosed(inputs, goals, {"all": everybody})["support", "all"]


def read():
    """Return the rows of today's code."""
    rows = pd.read_csv(ROWS, dtype={"code": str}) if ROWS.exists() else pd.DataFrame(columns=COLUMNS)
    return rows[rows["code"] == code()]


def add(row):
    """Put a row into the file, whole or not at all."""
    new = pd.DataFrame([row], columns=COLUMNS)
    old = read()
    rows = pd.concat([old, new]) if len(old) else new
    ROWS.parent.mkdir(parents=True, exist_ok=True)
    save(rows.sort_values(["data", "seed"], kind="stable"), ROWS)


def run(names, seeds, minutes):
    """Compute what is missing, all data sets growing alike, until time is up."""
    end, known = time.monotonic() + 60 * minutes, {}
    there = set(read()[["data", "seed"]].itertuples(index=False, name=None))
    for seed in range(1, seeds + 1):
        for name in names:
            if (name, seed) in there or time.monotonic() > end:
                continue
            if name not in known:
                known[name] = DATA[name]()
            add({"data": name, "seed": seed, "code": code()} | diagnose(known[name], seed))


def counts(values):
    """Return how often each of some words is said, the most frequent first."""
    return ", ".join(f"{word} {count}" for word, count in values.value_counts().items())


def spread(part, name):
    """Return the mean estimate, and its standard deviation over seeds in shares of its standard error."""
    return f"{part[name].mean():.3f}", f"{part[name].std() / part[f'{name}_se'].mean():.2f}"


def summary(rows):
    """Tabulate verdicts and how much estimates move with the seed, as Markdown."""
    lines = []
    for name, part in rows.groupby("data"):
        stages = "; ".join(f"{stage}: {counts(part[stage])}" for stage in DIAGNOSTICS)
        moved = [cell for estimate in ESTIMATES for cell in spread(part, estimate)]
        lines.append([name, str(len(part)), counts(part["overall"]), counts(part["rule"]), stages, *moved])
    names = [f"{words}{more}" for words in ESTIMATES.values() for more in ("", ": SD over seeds / its error")]
    return table(["data", "seeds", "overall", "the rule", "stages", *names], lines)


def main():
    """Run what the command line asks for, and show all rows on the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", choices=[[], *DATA], metavar="data")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which nothing is begun")
    chosen = parser.parse_args()
    run(chosen.data or list(DATA), chosen.seeds, chosen.minutes)
    put(PAGE, summary(read()), BEGIN, END)


if __name__ == "__main__":
    main()
