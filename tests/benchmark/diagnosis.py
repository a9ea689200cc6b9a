"""Measure the diagnosis over numbers of respondents, a process each: CPU s, peak memory. Data are synthetic.

Usage: PYTHONPATH=tests python tests/benchmark/diagnosis.py [n]
"""

import resource
import subprocess
import sys
import time

import numpy as np

from nanotarget.calibrate.learners.crossfit import assign_halves, crossfit, fit_folds
from nanotarget.calibrate.learners.ridge import fit_ridge
from nanotarget.diagnose import Inputs, diagnose
from nanotarget.diagnose.permutation import permutation_table
from nanotarget.study.config import DiagnoseConfig
from worlds import REFERENCE, factorial, simulate

SIZES = (500, 1_500, 5_000, 20_000)
SETTINGS = DiagnoseConfig(sesoi=0.1, bootstraps=500, permutations=0, splits=1)
DRAWS = 10  # permutations that are timed


def say(line):
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def measure(n):
    """Print a row: respondents; CPU seconds of models, diagnosis, one permutation; peak memory."""
    data, _ = simulate(
        factorial(REFERENCE), n, 6, np.random.default_rng(1), features=12, common=0.2, specific=0.1
    )

    def fit(train, part):
        return fit_ridge(train, 1)

    times = [time.process_time()]
    fitted, halves = crossfit(data, fit, 5, 1), fit_folds(data, assign_halves(data, 1), fit, "half")
    times.append(time.process_time())
    diagnose(Inputs(fitted, halves, SETTINGS, 1))
    times.append(time.process_time())
    permutation_table(data, fitted.fold, range(1, DRAWS + 1), 1)
    times.append(time.process_time())
    learned, diagnosed, permuted = np.diff(times)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(f"| {n:,} | {learned:.1f} | {diagnosed:.1f} | {permuted / DRAWS:.2f} | {memory:,.0f} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(int(sys.argv[1]))
    else:
        say("| respondents | cross-fit and halves, CPU s | diagnosis | a permutation | peak MiB |")
        say("|---:|---:|---:|---:|---:|")
        for size in SIZES:
            subprocess.run([sys.executable, __file__, str(size)], check=True)
