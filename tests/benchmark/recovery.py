"""Show how well each learner recovers what matters, on simulated calibrations with known truth.

All data are synthetic. Every replication (world, outcome, seed, learner) leaves one row in
`docs/recovery/rows.csv`, which is committed, so that runs add up; rows that are there are not computed again,
those that other code of the learner has computed are replaced.

Usage: PYTHONPATH=tests:tests/benchmark python tests/benchmark/recovery.py [--seeds N] [--trees N] [--summary]
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from nanotarget.calibrate.learners import FITTERS, fit_null
from nanotarget.calibrate.learners.bart import LOGIT_OF_PROBIT
from nanotarget.calibrate.learners.crossfit import Crossfit, held_out_losses
from nanotarget.petitions import policy
from nanotarget.petitions.score import best_petitions
from nanotarget.study.config import CalibrateConfig
from nanotarget.study.seeds import child_rng
from recovery_worlds import ALL, draw_respondents
from worlds import REFERENCE, answer, factorial

# A variant of a learner is one more label with its settings. The null has none: nobody differs.
LEARNERS = {"null": None} | {name: CalibrateConfig(learner=name) for name in FITTERS}
RIVALS = [label for label in LEARNERS if label not in ("null", "ridge")]
TREES = ("boosting", "bart")  # learners that take half a minute
# Outcomes by world: of all ratings without ends, of some also choices and ratings from 0 to 10.
CHOICES = ("none", "crossover", "segments", "interactions", "products")
BOUNDED = ("none", "crossover", "segments", "products")
CELLS = [
    *((world, "rating") for world in ALL),
    *((world, "choice") for world in CHOICES),
    *((world, "bounded") for world in BOUNDED),
]
RESPONDENTS, TASKS, NEWCOMERS = 1_000, 6, 2_000
PETITIONS = 300  # random ones, over which predictions are compared with the truth
ROUNDING = 1e-9  # differences of utility below are none
# Latent utilities have noise of SD 1 a petition: P(A over B) = Phi((a - b) / sqrt(2)), about a logit. Of
# bounded ratings 1.5 points are 1, the average petition gets 7, and about one answer in ten is at an end.
POINTS, MIDDLE, ENDS = 1.5, 7.0, (0.0, 10.0)
UNITS = {"rating": 1.0, "choice": LOGIT_OF_PROBIT / np.sqrt(2), "bounded": POINTS}

ROOT = Path(__file__).parents[2]
ROWS = ROOT / "docs" / "recovery" / "rows.csv"
KEY = ["world", "outcome", "seed", "learner"]
PAGE = ROOT / "docs" / "recovery.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def replicate(world, outcome, seed, settings, n=RESPONDENTS, newcomers=NEWCOMERS, shape=REFERENCE):
    """Draw a world and its calibration, fit a learner, measure it on new people; return the measures.

    Args:
        settings: of the learner; None is the null.
        n, newcomers: respondents of the calibration, and new ones.
    """
    truth = ALL[world](factorial(shape), child_rng(seed, f"recovery/{world}"))
    rng = child_rng(seed, f"recovery/{world}/{outcome}/answers")
    calibration, _ = survey(truth, *draw_respondents(world, n, rng), outcome, rng)
    new, predictable = survey(truth, *draw_respondents(world, newcomers, rng), outcome, rng)
    null = fit_null(calibration, seed)
    start = time.process_time()
    model = (
        FITTERS[settings.learner](calibration, seed, settings) if settings else fit_null(calibration, seed)
    )
    seconds = time.process_time() - start
    petitions = truth.layout.design.draw(PETITIONS, rng)
    return (
        measure_policies(model.utilities(new.respondents), predictable)
        | measure_predictions(model.utilities(new.respondents), predictable, petitions, outcome)
        | measure_loss(model, null, new)
        | {"cpu_s": seconds}
    )


def survey(truth, respondents, covariates, outcome, rng):
    """Draw answers of people of a world; also return what covariates tell about their utilities."""
    utilities = truth.utilities(respondents, rng)
    kind = "choice" if outcome == "choice" else "rating"
    data = answer(utilities, respondents, covariates, TASKS, rng, outcome=kind)
    if outcome == "bounded":
        data = replace(data, outcome=np.clip(np.round(MIDDLE + POINTS * data.outcome), *ENDS))
    return data, truth.predictable(respondents)


def measure_policies(predicted, truth):
    """Measure nano and the overall-best petition of predicted utilities by what they are truly worth.

    Returns:
        gain, gain_own_best: of nano, and of the learner's own overall-best petition, over the petition that
            is truly best on average.
        regret: what nano misses of the best that covariates could do; oracle_gain: what that gains.
        distinct: number of nano petitions.
        worse_off, invented: share of people whose nano petition is truly worse for people like them than
            the true overall-best petition, and than the learner's own.
    """
    everybody = np.ones(truth.n)
    best = truth.utility_of(np.tile(policy.overall_best(truth, everybody), (truth.n, 1)))
    own_best = truth.utility_of(np.tile(policy.overall_best(predicted, everybody), (truth.n, 1)))
    petitions = policy.nano(predicted)
    nano, oracle = truth.utility_of(petitions), truth.utility_of(best_petitions(truth))
    return {
        "gain": (nano - best).mean(),
        "gain_own_best": (own_best - best).mean(),
        "regret": (oracle - nano).mean(),
        "oracle_gain": (oracle - best).mean(),
        "distinct": len(np.unique(petitions, axis=0)),
        "worse_off": (nano < best - ROUNDING).mean(),
        "invented": (nano < own_best - ROUNDING).mean(),
    }


def measure_predictions(predicted, truth, petitions, outcome):
    """Compare predicted and true utilities of petitions: what is common to all, and what is a person's own.

    Returns:
        correlation: of the person-specific parts; not a number where there truly is none.
        slope, slope_common: of the true on the predicted part; 1 if predictions are neither too bold nor
            too timid.
    """
    unit = UNITS[outcome]
    parts = [split_utilities(u.utilities_of_all(petitions)) for u in (predicted, truth)]
    (common, specific), (true_common, true_specific) = parts
    moments = (specific * true_specific).mean(), (specific**2).mean(), (true_specific**2).mean()
    differs, truly_differs = moments[1] > ROUNDING**2, moments[2] > ROUNDING**2
    correlation = np.nan
    if truly_differs:
        correlation = moments[0] / np.sqrt(moments[1] * moments[2]) if differs else 0.0
    return {
        "correlation": correlation,
        "slope": unit * moments[0] / moments[1] if differs else np.nan,
        "slope_common": unit * (common @ true_common) / (common @ common),
    }


def split_utilities(values):
    """Split (n, n_petitions) utilities into the average person's, and what each person's differ from them."""
    centred = values - values.mean(axis=1, keepdims=True)
    common = centred.mean(axis=0)
    return common, centred - common


def measure_loss(model, null, new):
    """Return the loss on new people's answers relative to that of the null; negative = predicts worse."""
    fold = np.zeros(len(new.task), dtype=int)
    loss, loss_null = (held_out_losses(Crossfit(new, fold, [m])).mean() for m in (model, null))
    return {"loss_reduction": 1 - loss / loss_null}


@cache
def code(label):
    """Return a hash of the code of a learner and of the worlds, comments not counted."""
    names = dict.fromkeys(["base", "ridge", *(["trees"] if label in TREES else []), label])
    learners = ROOT / "workflow" / "nanotarget" / "calibrate" / "learners"
    paths = [path for name in names if (path := learners / f"{name}.py").exists()]
    paths += [ROOT / "tests" / "worlds.py", Path(__file__).with_name("recovery_worlds.py")]
    digest = hashlib.sha256()
    for path in paths:
        digest.update(ast.dump(ast.parse(path.read_text(encoding="utf-8"))).encode())
    return digest.hexdigest()[:10]


def read_rows():
    """Return the table of replications; empty before the first."""
    if not ROWS.exists():
        return pd.DataFrame(columns=[*KEY, "code"])
    # "null" is a learner here.
    return pd.read_csv(ROWS, dtype={"code": str}, keep_default_na=False, na_values=[""])


def run(seeds, trees, cells):
    """Run the replications that are not there yet, seed after seed.

    Args:
        seeds, trees: replications of each cell, and those with the learners that take half a minute.
        cells: worlds and outcomes.
    """
    for seed in range(1, max(seeds, trees) + 1):
        for world, outcome in cells:
            for label, settings in LEARNERS.items():
                if seed > (trees if label in TREES else seeds):
                    continue
                key = {"world": world, "outcome": outcome, "seed": seed, "learner": label}
                rows = read_rows()
                there = (rows[KEY] == pd.Series(key)).all(axis=1)
                if (rows.loc[there, "code"] == code(label)).any():
                    continue
                measures = replicate(world, outcome, seed, settings)
                measures = {name: float(f"{value:.6g}") for name, value in measures.items()}
                add(key | {"code": code(label), **measures})
                sys.stdout.write(f"{world} {outcome} {seed} {label} (synthetic)\n")
                sys.stdout.flush()


def add(row):
    """Add a row to the table, in the place of the one with its key; whole or not at all."""
    rows = read_rows()  # anew: another run may have added some
    other = rows[~(rows[KEY] == pd.Series(row)[KEY]).all(axis=1)]
    new = pd.DataFrame([row])
    table = pd.concat([other, new]) if len(other) else new
    ROWS.parent.mkdir(parents=True, exist_ok=True)
    scratch = ROWS.with_suffix(".tmp")
    table.sort_values(KEY).to_csv(scratch, index=False)
    scratch.replace(ROWS)


def summarise(page):
    """Write the tables of all replications between the markers of a page."""
    head, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    tail = rest.partition(END)[2]
    page.write_text(f"{head}{BEGIN}\n\n{tables(read_rows())}\n\n{END}{tail}", encoding="utf-8")


# Title, digits and unit of each measure.
COLUMNS = {
    "gain": ("gain of nano", 3, 1),
    "gain_own_best": ("gain of own best", 3, 1),
    "regret": ("regret", 3, 1),
    "distinct": ("distinct", 0, 1),
    "worse_off": ("worse off, %", 0, 100),
    "invented": ("invented, %", 0, 100),
    "correlation": ("correlation", 2, 1),
    "slope": ("slope", 2, 1),
    "slope_common": ("slope, common", 2, 1),
    "loss_reduction": ("loss reduction, %", 1, 100),
    "cpu_s": ("CPU s", 1, 1),
}


def tables(records):
    """Return all tables as Markdown: gains at a glance, then every measure of each world."""
    counts = [
        f"{label} {low}" if low == high else f"{label} {low} to {high}"
        for label in LEARNERS
        if len(own := records[records["learner"] == label].groupby(["world", "outcome"]).size())
        for low, high in [(own.min(), own.max())]
    ]
    of_cells = {(w, o): records[(records["world"] == w) & (records["outcome"] == o)] for w, o in CELLS}
    cells = {cell: rows for cell, rows in of_cells.items() if len(rows)}  # what has been measured
    parts = [
        f"Seeds a cell: {', '.join(counts)}. Mean (Monte Carlo standard error). All data are synthetic.",
        "Gain of nano over the true overall-best petition:",
        table(
            ["world", "oracle", *LEARNERS], [[f"`{w}`, {o}", *gains(rows)] for (w, o), rows in cells.items()]
        ),
        "The same less ridge's in the same seeds (worlds of different seeds differ more than learners do):",
        table(["world", *RIVALS], [[f"`{w}`, {o}", *leads(rows)] for (w, o), rows in cells.items()]),
    ]
    for (world, outcome), rows in cells.items():
        parts += [f"### `{world}`, {outcome}", ALL[world].__doc__, details(rows)]
    return "\n\n".join(parts)


def gains(rows):
    """Return entries: what the covariate oracle gains in a world, and each learner's nano."""
    learners = [rows.loc[rows["learner"] == label, "gain"] for label in LEARNERS]
    return [entry(values, 3) for values in (rows["oracle_gain"][rows["learner"] == "null"], *learners)]


def leads(rows):
    """Return entries: by how much the nano of each rival gains more than ridge's."""
    wide = rows.pivot_table(index="seed", columns="learner", values="gain")
    return [entry(wide[label] - wide["ridge"], 3) if label in wide else "-" for label in RIVALS]


def details(rows):
    """Return the table of all measures of all learners in one world."""
    lines = []
    for label in LEARNERS:
        own = rows[rows["learner"] == label]
        lines.append(
            [label, *(entry(own[name] * unit, digits) for name, (_, digits, unit) in COLUMNS.items())]
        )
    return table(["learner", *(title for title, *_ in COLUMNS.values())], lines)


def table(header, lines):
    """Return a table as Markdown: the first column is text, the others are numbers."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *lines))


def entry(values, digits):
    """Return the mean of the replications and its standard error, or a dash where there is nothing."""
    values = values.dropna()
    if values.empty:
        return "-"
    error = f" ({values.sem():.{digits}f})" if len(values) > 1 else ""
    return f"{round(values.mean(), digits) + 0.0:.{digits}f}{error}"  # + 0: no minus before a zero


def main():
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="replications of each cell")
    parser.add_argument("--trees", type=int, default=0, help=f"replications with {' and '.join(TREES)}")
    parser.add_argument("--worlds", nargs="*", default=list(ALL), help="worlds to run")
    parser.add_argument("--summary", action="store_true", help="write the tables into docs/recovery.md")
    arguments = parser.parse_args()
    if arguments.summary:
        summarise(PAGE)
    else:
        run(arguments.seeds, arguments.trees, [cell for cell in CELLS if cell[0] in arguments.worlds])


if __name__ == "__main__":
    main()
