"""What each rule cost in the run that made a study's results, from the record of its jobs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from nanotarget.study.record import Made

COLUMNS = ["rule", "seconds", "megabytes"]


def runtimes(results: Path, jobs: Iterable[Made]) -> pd.DataFrame:
    """Return CPU seconds (of all jobs together) and largest peak of memory of each rule, sorted by rule.

    Args:
        results: folder of the results.
        jobs: as they were recorded; of those with the same outputs the last counts.
    """
    last = {
        (job.rule, tuple(sorted(job.outputs))): job.cost
        for job in jobs
        if "cpu_s" in job.cost and any(results in Path(output).parents for output in job.outputs)
    }
    rows = [(rule, cost["cpu_s"], cost.get("peak_mb", float("nan"))) for (rule, _), cost in last.items()]
    grouped = pd.DataFrame(rows, columns=COLUMNS).groupby("rule", as_index=False)
    return grouped.agg({"seconds": "sum", "megabytes": "max"}).round(1)
