"""Measure randomisation inference by scheme, a process each: CPU s, peak memory. Data are synthetic.

Usage: python tests/benchmark/randomization.py [scheme]
"""

import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd

from nanotarget.estimate.randomization import randomization_inference
from nanotarget.estimate.trial import Trial
from nanotarget.study.config import OutcomeConfig

N, DRAWS, RUNS = 3_113, 10_000, 3
ARMS = ["control", "best", "nano"]
DISCRETE, CONTINUOUS = ["sign", "support", "share"], ["score1", "score2", "score3"]
# Label, outcomes, columns that say how people were randomised and weighted.
SCHEMES = {
    "complete": ("complete: 2, 11 and 7 values", DISCRETE, ["even"]),
    "continuous": ("complete: continuous", CONTINUOUS, ["even"]),
    "weighted": ("complete: continuous, survey weights", CONTINUOUS, ["weight"]),
    "blocked": ("12 blocks: 2, 11 and 7 values", DISCRETE, ["even", "block"]),
    "triplets": ("1,038 blocks of three: continuous, one outcome", CONTINUOUS[:1], ["even", "triplet"]),
    "clustered": ("300 clusters: continuous", CONTINUOUS, ["even", "cluster"]),
}


def draw(columns):
    """Draw an experiment of three arms without effects that was randomised as the columns say."""
    rng = np.random.default_rng(1)
    cluster = rng.integers(0, 300, N)
    arm = rng.permutation(300)[cluster] % 3 if "cluster" in columns else rng.permutation(np.arange(N) % 3)
    if "triplet" in columns:
        arm = np.argsort(rng.random((N // 3 + 1, 3)), axis=1).ravel()[:N]
    support = np.clip(np.round(rng.normal(5, 2.5, N)), 0, 10)
    people = pd.DataFrame(
        {
            "respondent_id": [f"r{i:04d}" for i in range(N)],
            "arm": pd.Categorical.from_codes(arm, ARMS),
            "sign": (support > 6).astype(float),
            "support": support,
            "share": rng.integers(1, 8, N).astype(float),
            **{name: rng.normal(size=N) for name in CONTINUOUS},
        }
    )
    chosen = {
        "even": {"weight": 1.0},
        "weight": {"weight": rng.uniform(0.5, 2, N)},
        "block": {"block": rng.integers(0, 12, N).astype(str)},
        "triplet": {"block": [f"{i // 3:04d}" for i in range(N)]},
        "cluster": {"cluster": [f"{c:03d}" for c in cluster]},
    }
    for name in columns:
        people = people.assign(**chosen[name])
    return people


def say(line):
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def measure(scheme):
    """Print a row: scheme; CPU seconds of all outcomes and contrasts (median); peak memory."""
    label, outcomes, columns = SCHEMES[scheme]
    trial = Trial(draw(columns), ARMS, [OutcomeConfig(name=name, kind="continuous") for name in outcomes])
    seconds = []
    for _ in range(RUNS):
        start = time.process_time()
        randomization_inference(trial, 1, DRAWS)
        seconds.append(time.process_time() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(f"| {label} | {np.median(seconds):.2f} | {memory:,.0f} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1])
    else:
        say("| scheme and outcomes | CPU s | peak MiB |")
        say("|---|---:|---:|")
        for name in SCHEMES:
            subprocess.run([sys.executable, __file__, name], check=True)
