"""A tiny good study that tests change: 30 people x 3 tasks x 2 profiles, an experiment of 60 or a roster."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # hundreds of tests write a config
SECTORS = ["Energy", "Transport", "Housing"]
JOBS = ["Green Job", "Jobs & growth", 'Seek "better" Job']
COSTS = [0, 10, 25]
PARTIES = ["None", "Left", "Right"]
SHOWN = ["sector", "job", "cost"]


@dataclass
class TinyStudy:
    """Config and raw tables (all text); `contents` replaces the bytes of a file."""

    config: dict[str, Any]
    calibration: pd.DataFrame
    experiment: pd.DataFrame
    roster: pd.DataFrame | None = None
    contents: dict[str, bytes] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write the raw files and the config; return the config's path."""
        self.calibration.to_csv(folder / "calibration.csv", index=False)
        self.experiment.to_csv(folder / "experiment.csv", index=False)
        if self.roster is not None:
            self.roster.to_csv(folder / "roster.csv", index=False)
        path = folder / "study.yaml"
        text = yaml.dump(self.config, Dumper=DUMPER, allow_unicode=True, sort_keys=False)
        path.write_text(text, encoding="utf-8")
        secret = (
            folder / "data/tiny/pseudonyms.key"
        )  # the same in every folder, so that bytes can be compared
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_text("5" * 64 + "\n", encoding="ascii")
        for name, content in self.contents.items():
            (folder / name).write_bytes(content)
        return path


def tiny_study(layout: str = "long") -> TinyStudy:
    """Return a copy of the study with the calibration in the long or in the wide layout."""
    return copy.deepcopy(_made(layout))


@cache
def _made(layout: str) -> TinyStudy:
    rng = np.random.default_rng(7)
    long = _calibration(rng)
    experiment = _experiment(rng)
    if layout == "long":
        return TinyStudy(_config(_long_keys()), long, experiment)
    return TinyStudy(_config(_wide_keys()), _widened(long), experiment)


def await_fielding(study: TinyStudy) -> None:
    """Put a roster of 41 people in the place of the experiment."""
    del study.config["experiment"]
    study.roster = _people("r", 41, np.random.default_rng(8)).drop(columns=["seconds", "w"])
    study.config["roster"] = {
        "file": "roster.csv",
        "respondent": "id",
        "arms": [
            {"name": "control", "share": 1},
            {"name": "best", "share": 2, "policy": "overall_best"},
            {"name": "nano", "share": 2, "policy": "nano"},
        ],
        "randomisation": "blocked",
        "blocks": ["party"],
        "ledger": "ledger/arms.csv",
        "identifiers": ["email"],
        "consent": {"column": "personal", "values": ["Yes"]},
        "exclusions": [{"step": "No consent", "rule": "not_in", "column": "consent", "values": ["Yes"]}],
    }


def _petitions(n: int, rng: np.random.Generator) -> pd.DataFrame:
    grid = [cell for cell in itertools.product(SECTORS, JOBS, COSTS) if cell[::2] != ("Housing", 25)]
    drawn = [grid[i] for i in rng.integers(len(grid), size=n)]
    return pd.DataFrame(drawn, columns=SHOWN).astype(str)


def _people(prefix: str, n: int, rng: np.random.Generator) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"{prefix}{i}" for i in range(1, n + 1)],
            "email": [f"{prefix}{i}@example.org" for i in range(1, n + 1)],
            "consent": "Yes",
            "personal": "Yes",
            "seconds": rng.integers(200, 900, n).astype(str),
            "age": rng.integers(18, 90, n).astype(str),
            "party": rng.choice(PARTIES, n),
            "w": rng.choice(["0.5", "1", "1.5"], n),
        }
    )


def _calibration(rng: np.random.Generator) -> pd.DataFrame:
    people = _people("c", 30, rng)
    rows = people.loc[people.index.repeat(6)].reset_index(drop=True)
    rows["task"] = np.tile(np.repeat(["1", "2", "3"], 2), 30)
    rows["profile"] = np.tile(["1", "2"], 90)
    first = rng.integers(2, size=90)
    rows["choice"] = np.column_stack([first, 1 - first]).ravel().astype(str)
    # Some people like every petition better than others do, and all ratings are given: else a spread or a
    # width would be estimated as 0, which is infinitely far away for the search that fits the scale.
    levels = np.repeat(2 * (np.arange(30) % 6) - 5, 6)
    rows["rating"] = np.clip(levels + rng.integers(0, 11, 180), 0, 10).astype(str)
    return pd.concat([rows, _petitions(180, rng)], axis=1)


def _experiment(rng: np.random.Generator) -> pd.DataFrame:
    people = _people("e", 60, rng)
    people["arm"] = np.tile(["Control", "Overall best", "Nano"], 20)
    people["sign"] = rng.integers(2, size=60).astype(str)
    people["support"] = rng.integers(0, 11, 60).astype(str)
    shown = _petitions(60, rng).add_prefix("shown_")
    shown.loc[people["arm"] == "Control"] = ""
    return pd.concat([people, shown], axis=1)


def _widened(long: pd.DataFrame) -> pd.DataFrame:
    fixed = ["id", "email", "consent", "personal", "seconds", "age", "party", "w"]
    wide = long.drop_duplicates("id")[fixed].set_index("id", drop=False)
    for (task, profile), part in long.groupby(["task", "profile"]):
        part = part.set_index("id")
        for name in [*SHOWN, "rating"]:
            wide[f"t{task}_p{profile}_{name}"] = part[name]
        if profile == "1":
            wide[f"t{task}_choice"] = part["choice"].map({"1": "A", "0": "B"})
    return wide.reset_index(drop=True)


def _long_keys() -> dict[str, Any]:
    return {
        "task": "task",
        "profile": "profile",
        "outcomes": {"choice": {"column": "choice"}, "rating": {"column": "rating", "range": [0, 10]}},
    }


def _wide_keys() -> dict[str, Any]:
    return {
        "layout": "wide",
        "attribute_columns": "t{task}_p{profile}_{attribute}",
        "outcomes": {
            "choice": {"column": "t{task}_choice", "chosen_values": ["A", "B"]},
            "rating": {"column": "t{task}_p{profile}_rating", "range": [0, 10]},
        },
    }


def _config(calibration: dict[str, Any]) -> dict[str, Any]:
    return {
        "study": "tiny",
        "root_seed": 1,
        "diagnose": {"sesoi": 0},
        "design": {
            "attributes": [
                {"name": "Sector", "column": "sector", "levels": list(SECTORS)},
                {"name": "Job", "column": "job", "levels": list(JOBS)},
                {"name": "Cost <br>", "column": "cost", "levels": list(COSTS)},
            ],
            "prohibited": [{"Sector": ["Housing"], "Cost <br>": [25]}],
            "petition_text": "{{ petition['Sector'] }} for {{ petition['Cost <br>'] }}",
        },
        "covariates": [
            {"name": "age", "kind": "numeric", "range": [18, 99]},
            {"name": "party", "kind": "categorical", "levels": list(PARTIES), "missing_values": ["Refused"]},
        ],
        "calibration": {
            "file": "calibration.csv",
            "respondent": "id",
            "tasks": 3,
            **calibration,
            "analyse": "rating",
            "weight": "w",
            "identifiers": ["email"],
            "consent": {"column": "personal", "values": ["Yes"]},
            "exclusions": [
                {"step": "No consent", "rule": "not_in", "column": "consent", "values": ["Yes"]},
                {"step": "Duplicate", "rule": "duplicate", "column": "email"},
                {"step": "Speeder", "rule": "below", "column": "seconds", "value": 180},
            ],
        },
        "experiment": {
            "file": "experiment.csv",
            "respondent": "id",
            "arm": "arm",
            "arms": [
                {"name": "control", "value": "Control"},
                {"name": "best", "value": "Overall best", "policy": "overall_best"},
                {"name": "nano", "value": "Nano", "policy": "nano"},
            ],
            "petition_columns": "shown_{attribute}",
            "outcomes": [
                {"name": "sign", "kind": "binary"},
                {"name": "support", "kind": "continuous", "range": [0, 10]},
            ],
            "weight": "w",
            "identifiers": ["email"],
            "consent": {"column": "personal", "values": ["Yes"]},
            "exclusions": [
                {"step": "No consent", "rule": "not_in", "column": "consent", "values": ["Yes"]},
                {"step": "Duplicate", "rule": "duplicate", "column": "email"},
            ],
        },
    }
