"""The committed raw data of the simulated studies, cleaned by a few plain lines, without the pipeline."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from nanotarget.study.checks import validate

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True)
class SimulatedStudy:
    """A folder of data/ and the config that describes it."""

    name: str
    config_file: str

    def __str__(self):
        return self.name

    @property
    def data(self):
        return PROJECT / "data" / self.name

    def config(self):
        raw = yaml.safe_load((PROJECT / self.config_file).read_text(encoding="utf-8"))
        return validate(raw, self.config_file)

    def parameters(self):
        return yaml.safe_load((self.data / "simulation.yaml").read_text(encoding="utf-8"))

    def truth(self):
        return json.loads((self.data / "truth.json").read_text(encoding="utf-8"))

    def raw(self, name):
        """Return the cells as text (empty = "") and the row of questions."""
        table = pd.read_csv(self.data / f"{name}.csv", dtype=str, keep_default_na=False)
        return table.iloc[1:].reset_index(drop=True), table.iloc[0]

    def analysed(self, name):
        """Return the raw rows that the registered exclusions keep, and how many rows each step dropped."""
        table, _ = self.raw(name)
        steps = {"no_consent": lambda t: t.consent == "Yes"}
        if name == "calibration":
            steps["unfinished"] = lambda t: t.Finished == "True"
        steps["duplicate"] = lambda t: ~t.RecipientEmail.duplicated()
        steps["inattentive"] = lambda t: t.attention_check == "Strongly agree"
        if name == "calibration":
            steps["speeder"] = lambda t: t.duration_seconds.astype(int) >= 180
        else:
            steps["not_randomised"] = lambda t: t.arm != ""
        dropped = {}
        for step, keep in steps.items():
            kept = table[keep(table)]
            dropped[step] = len(table) - len(kept)
            table = kept
        return table.reset_index(drop=True), dropped

    def usable(self):
        """Return the raw rows of the calibration that may be used."""
        table, _ = self.analysed("calibration")
        return table[table.personalisation_consent == "Yes"]

    def profiles(self):
        """Return the usable calibration: levels (n, 6, 2, 7), choice (n, 6, 2) and rating (n, 6, 2)."""
        table = self.usable()
        attributes = self.config().design.attributes
        levels = np.empty((len(table), 6, 2, len(attributes)), dtype=int)
        choice, rating = np.empty((2, len(table), 6, 2))
        for t in range(6):
            answer = table[f"task{t + 1}_choice"]
            chosen = answer.map({"Petition A": 0, "Petition B": 1, "": np.nan}).to_numpy()
            for p in range(2):
                for a, attribute in enumerate(attributes):
                    levels[:, t, p, a] = level_codes(
                        table[f"task{t + 1}_profile{p + 1}_{attribute.column}"], attribute
                    )
                choice[:, t, p] = np.where(np.isnan(chosen), np.nan, chosen == p)
                rating[:, t, p] = pd.to_numeric(table[f"task{t + 1}_profile{p + 1}_rating"])
        return levels, choice, rating


REFERENCE = SimulatedStudy("climate_petition", "config.yaml")
PANEL = SimulatedStudy("climate_petition_panel", "config_panel.yaml")
STUDIES = (REFERENCE, PANEL)


def level_codes(cells, attribute):
    """Return the level index of each cell, whatever its spaces and capitals; -1 for an empty one."""
    known = {" ".join(str(level).split()).casefold(): i for i, level in enumerate(attribute.levels)}
    known[""] = -1
    return cells.map(lambda text: known[" ".join(text.split()).casefold()]).to_numpy()
