"""Does the correction for response error find the truth? (make validate-errors, docs/validation_surveys.md)

Surveys of people who choose by what they prefer, but for a known share of answers that go the other way. All
data are synthetic. Usage: python tests/validation/response_error.py [--replications N] [WORLD ...]
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from nanotarget.calibrate.by_group import EFFECT, MEAN
from nanotarget.calibrate.conjoint import Analysis
from nanotarget.calibrate.reliability import EXTRAPOLATED, REPEATED, Agreement
from nanotarget.calibrate.resampled import Sample
from nanotarget.calibrate.response_error import Measured, Plain, Survey, groups_of
from nanotarget.petitions.design import Design
from nanotarget.study.config import AttributeConfig, DesignConfig
from nanotarget.study.progress import steps
from nanotarget.study.seeds import child_rng

FOLDER = Path(__file__).parents[2] / "docs" / "validation_response_error"
CHOICE = Analysis("choice", "CR1", null=0.5)
BOOTSTRAPS = 200
MANY = 400_000  # people of whom the truth is computed


@dataclass(frozen=True)
class World:
    """People who choose between two petitions.

    Attributes:
        weight: of each attribute: how far apart its levels are on average.
        spread: standard deviation between people of what a level adds.
        error: share of answers that go to the other petition whatever is shown.
        product: weight of the product of the first two attributes, which the extrapolation does not know.
        noise: scale of logistic noise in utility instead: near ties are answered at random more often.
        respondents, tasks: sizes.
    """

    weight: tuple[float, ...] = (0.6, 0.4, 0.3, 0.1)
    shape: tuple[int, ...] = (4, 3, 3, 2)
    spread: float = 0.3
    error: float = 0.2
    product: float = 0.0
    noise: float = 0.0
    respondents: int = 600
    tasks: int = 5

    @property
    def design(self) -> Design:
        """Its petitions."""
        attributes = [
            AttributeConfig(name=f"a{i}", levels=[f"l{j}" for j in range(size)])
            for i, size in enumerate(self.shape)
        ]
        return Design.from_config(DesignConfig(attributes=attributes))

    def drawn(self, n: int, tasks: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw people: (n, tasks, 2, attributes) levels, (n, tasks) lead of the first petition."""
        levels = np.stack([rng.integers(0, size, (n, tasks, 2)) for size in self.shape], axis=-1)
        utility = np.zeros((n, tasks, 2))
        for a, (size, weight) in enumerate(zip(self.shape, self.weight, strict=True)):
            grid = np.linspace(-1, 1, size)
            worths = weight * grid + rng.normal(0, self.spread, (n, size))
            utility += worths[np.arange(n)[:, None, None], levels[..., a]]
        ends = [levels[..., a] / (self.shape[a] - 1) * 2 - 1 for a in (0, 1)]
        utility += self.product * ends[0] * ends[1]
        return levels, utility[..., 0] - utility[..., 1]

    def answered(self, lead: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return whether the first petition is chosen, with error."""
        tied = rng.random(lead.shape) < 0.5
        if self.noise:
            lead = lead + rng.logistic(0, self.noise, lead.shape)
        chosen = np.where(lead == 0, tied, lead > 0)
        return chosen ^ (rng.random(lead.shape) < self.error)


UNEVEN = {"weight": (0.9, 0.5, 0.2, 0.1)}
DOMINANT = {"weight": (2.0, 0.2, 0.1, 0.1), "spread": 0.2}
WORLDS = {
    f"{name}-{round(100 * error)}": World(error=error, **settings)
    for name, settings in (("even", {}), ("uneven", UNEVEN))
    for error in (0.1, 0.2, 0.3)
} | {
    "dominant-20": World(**DOMINANT),
    "none-0": World(error=0.0),
    "products-20": World(product=0.5),
    "near-ties": World(error=0.0, noise=0.4),
}


def profiles_of(world: World, levels: np.ndarray, chosen: np.ndarray) -> pd.DataFrame:
    """Return `contracts.calibration_profiles` of (n, tasks) choices."""
    n, tasks = chosen.shape
    person = np.repeat(np.arange(n), 2 * tasks)
    return pd.DataFrame(
        {
            "respondent_id": pd.array([f"r{i:06}" for i in person], dtype="str"),
            "task": np.tile(np.repeat(np.arange(1, tasks + 1), 2), n),
            "profile": np.tile([1, 2], n * tasks),
            "choice": np.stack([chosen, ~chosen], axis=-1).astype(float).ravel(),
            "weight": 1.0,
        }
    ).join(world.design.frame(levels.reshape(-1, levels.shape[-1])))


@cache
def truth(world: World) -> pd.Series:
    """Return what choices without error give, by attribute, level and reference."""
    rng = child_rng(1, f"truth/{world}")
    levels, lead = world.drawn(MANY, 1, rng)
    clean = replace(world, error=0.0, noise=0.0).answered(lead, rng)[:, 0]
    y = np.stack([clean, ~clean], axis=-1).astype(float).ravel()
    codes, found = levels.reshape(-1, len(world.shape)), {}
    for a, size in enumerate(world.shape):
        means = [y[codes[:, a] == j].mean() for j in range(size)]
        found |= {(f"a{a}", f"l{j}", ""): mean for j, mean in enumerate(means)}
        for k, j in itertools.combinations(range(size), 2):
            found[f"a{a}", f"l{j}", f"l{k}"] = means[j] - means[k]
    return pd.Series(found)


def replicate(world: World, draw: int) -> list[dict[str, object]]:
    """Return a row a method: error found, and the share of true values that intervals cover."""
    rng = child_rng(draw, f"response error/{world}")
    levels, lead = world.drawn(world.respondents, world.tasks, rng)
    profiles = profiles_of(world, levels, world.answered(lead, rng))
    second = profiles_of(world, levels[:, :1], world.answered(lead[:, :1], rng))
    again = second[["respondent_id", "task", "profile", "choice"]]
    people = profiles[["respondent_id"]].drop_duplicates(ignore_index=True).assign(weight=1.0)
    sample = Sample.of(people, BOOTSTRAPS, rng)
    survey = Survey(profiles, again, world.design, 2, 2)
    everybody = groups_of(survey, [], sample)[0]
    plain = Plain.of(survey, CHOICE, everybody)
    found = {own.method: own for own in Measured.of(survey, "choice", everybody).agreements}
    return [_judged(plain, found[method], draw, truth(world)) for method in (REPEATED, EXTRAPOLATED)]


def _judged(plain: Plain, agreement: Agreement, draw: int, true: pd.Series) -> dict[str, object]:
    row: dict[str, object] = {"draw": draw, "method": agreement.method}
    row |= {"error": agreement.error.value[0], "std_error": agreement.error.std_error[0]}
    if not agreement.usable:
        return row
    table = plain.corrected(agreement).table(CHOICE.alpha)
    aim = true.loc[list(zip(table["attribute"], table["level"], table["reference"], strict=True))].to_numpy()
    intervals = (("raw", "raw_"), ("delta", "conf_"), ("boot", "boot_"))
    for quantity, (kind, ends) in itertools.product((MEAN, EFFECT), intervals):
        own = (table["quantity"] == quantity).to_numpy()
        covered = (table[f"{ends}low"] <= aim) & (aim <= table[f"{ends}high"])
        row[f"{quantity}_{kind}"] = covered[own].mean()
    return row


def main() -> None:
    """Simulate what is not there yet, and write the rows of each world."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replications", type=int, default=400)
    parser.add_argument("worlds", nargs="*", default=list(WORLDS))
    chosen = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for name in chosen.worlds:
        file = FOLDER / f"{name}.csv"
        known = pd.read_csv(file) if file.exists() else pd.DataFrame({"draw": []})
        lacking = sorted(set(range(chosen.replications)) - set(known["draw"]))
        rows = [row for draw in steps(lacking, name) for row in replicate(WORLDS[name], draw)]
        table = pd.concat([known, pd.DataFrame(rows)]) if len(known) else pd.DataFrame(rows)
        table.to_csv(file, index=False, float_format="%.4g", lineterminator="\n")


if __name__ == "__main__":
    main()
