"""How long each rule took in the run that made a study's results, from what Snakemake notes of every job."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nanotarget.study.artefacts import read_json

NOTES = Path(".snakemake") / "metadata"


def runtimes(results: Path, manifest: Mapping[str, Any]) -> pd.DataFrame:
    """Return rule and seconds (of all its jobs together), for the rules whose jobs were noted.

    Args:
        results: folder of the results, relative to the folder in which Snakemake ran.
        manifest: of the results.
    """
    jobs: dict[tuple[str, float], float] = {}
    for row in manifest["artefacts"]:
        name = base64.urlsafe_b64encode(str(results / row["path"]).encode()).decode()
        if (note := NOTES / name).is_file():
            told = read_json(note)
            jobs[row["rule"], told["starttime"]] = told["endtime"] - told["starttime"]
    table = pd.DataFrame([(rule, time) for (rule, _), time in jobs.items()], columns=["rule", "seconds"])
    return table.groupby("rule", as_index=False)["seconds"].sum().round(1)
