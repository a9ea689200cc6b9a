"""Diagnose samples of a regime and keep, beside what is found, what is true. All data are synthetic.

A batch of replications is one job of the workflow beside this file. A replication is drawn from its number
alone, whatever the batch and the learner.
"""

import json
import time
from pathlib import Path

import numpy as np

from nanotarget.calibrate.learners import FITTERS
from nanotarget.calibrate.learners.crossfit import crossfit
from nanotarget.diagnose import Group, Inputs, diagnose
from nanotarget.diagnose.quantities import Quantity
from nanotarget.study.config import BartConfig, CalibrateConfig, DiagnoseConfig
from nanotarget.study.seeds import child_rng
from regimes import REGIMES, SESOI, draw_sample
from truths import truths
from worlds import REFERENCE

LEARNERS = {
    "ridge": CalibrateConfig(learner="ridge", interactions=False),
    "ridge-pairs": CalibrateConfig(learner="ridge"),
    "bart": CalibrateConfig(learner="bart", bart=BartConfig(trees=30, draws=100, burn_in=100, chains=1)),
}
FOLDS, HALVES = 5, 2
BOOTSTRAPS = 200
COLUMNS = ["diagnostic", "quantity", "estimator", "goal", "group"]
NUMBERS = [
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "ceiling",
    "ceiling_low",
    "ceiling_high",
    "p_value",
]
KEPT = {  # what of diagnostics.csv is kept
    Quantity.PERSON_BY_MESSAGE,
    Quantity.BASELINE,
    Quantity.COMMON,
    Quantity.LAG_DIFFERENCE,
    Quantity.COMMON_INTERACTIONS,
    Quantity.SLOPE,
    Quantity.PREDICTABLE_VARIANCE,
    Quantity.CROSS_HALF_GAIN,
    Quantity.GAIN,
    Quantity.ORDER_DIFFERENCE,
}
ANSWERED = ["goal", "overall", "binding", "stages"]


def replicate(name, learner, seed, n=None, bootstraps=BOOTSTRAPS, shape=REFERENCE):
    """Draw a sample of a regime, diagnose it, and return what is found beside what is true.

    Args:
        name, learner: keys of `REGIMES` and `LEARNERS`.
        seed: number of the replication.
        n: respondents, if not those of the regime.
        shape: levels of the attributes.
    """
    regime = REGIMES[name]
    sample = draw_sample(regime, seed, name, n, shape)
    start = time.process_time()
    fitted, halves = (fit(sample.data, learner, folds, seed) for folds in (FOLDS, HALVES))
    learned = time.process_time()
    settings = DiagnoseConfig(sesoi=SESOI[regime.outcome], bootstraps=bootstraps)
    groups = [Group(label, who) for label, who in sample.groups.items() if label != "all"]
    inputs = Inputs(fitted, halves, settings, seed, LEARNERS[learner].learner, sizes=(1,))
    diagnosis = diagnose(inputs, groups)
    ended = time.process_time()
    answer = diagnosis.answer
    return {
        "seed": seed,
        "learner_s": learned - start,
        "diagnosis_s": ended - learned,
        "truth": truths(sample, fitted, halves, child_rng(seed, f"validation/{name}/twins")),
        "found": kept(diagnosis.diagnostics),
        "answers": [
            {"group": "all"} | {key: part[key] for key in (*ANSWERED, "group") if key in part}
            for part in (answer, *answer["others"])
        ],
        "flags": [flag.partition(":")[0] for flag in answer["flags"]],
    }


def fit(data, learner, folds, seed):
    """Cross-fit a learner."""
    settings = LEARNERS[learner]
    return crossfit(data, lambda part, _: FITTERS[settings.learner](part, seed, settings), folds, seed)


def kept(table):
    """Return the rows of diagnostics that are compared with the truth, as plain records."""
    rows = table[table["quantity"].isin(KEPT)]
    numbers = rows[NUMBERS].astype(float)
    return [
        dict(zip(COLUMNS, names, strict=True))
        | {name: value for name, value in zip(NUMBERS, values, strict=True) if np.isfinite(value)}
        for names, values in zip(rows[COLUMNS].to_numpy().tolist(), numbers.to_numpy().tolist(), strict=True)
    ]


def run_batch(path, name, learner, seeds):
    """Run replications of a regime and leave their file, whole or not at all."""
    records = [replicate(name, learner, seed) for seed in seeds]
    content = {"data": "synthetic", "regime": name, "learner": learner, "replications": records}
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(content, indent=1))
    scratch.replace(path)


if __name__ == "__main__":
    run_batch(
        Path(snakemake.output[0]),
        snakemake.wildcards.regime,
        snakemake.wildcards.learner,
        snakemake.params.seeds,
    )
