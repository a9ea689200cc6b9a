"""Does the correction for response error find the truth? (make validate-answers, docs/validation_answers.md)

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

DOCS = Path(__file__).parents[2] / "docs"
FOLDER, PAGE = DOCS / "validation_answers", DOCS / "validation_answers.md"
TESTS = FOLDER / "attribute_tests.csv"  # of attribute_tests.py
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


INTRODUCTION = """# Response error and tests of attributes: surveys of known truth

Written by `make validate-answers` from the rows beside; all data are synthetic.

## Response error

Surveys of {respondents} people, {tasks} choices each and one of the tasks asked again. They choose what
they prefer, but for a share of answers that go the other way (the last digits of a world's name, in per
cent). By method: mean estimated error, its standard deviation over surveys, the mean standard error; and
per cent of 95 % intervals that hold the truth: of the error, of all marginal means and all effects (any two
levels), as answered (*raw*), corrected with the delta method and with the bootstrap. In `dominant` one
attribute decides nearly everything; in `products` two attributes interact in everybody's taste; in
`near-ties` there is no such error, but noise in utility as a logit has, so that near ties are answered by
chance more often, which the correction does not assume. Surveys in which answers agree no more often than
by chance, by two standard errors, are not corrected and count for the error only.
"""


def page() -> str:
    """Return the page: what the rows of all worlds say, and the tests of attributes."""
    lines = [INTRODUCTION.format(respondents=World.respondents, tasks=World.tasks)]
    head = ["world", "method", "surveys", "error", "SD", "SE", "error covered"]
    head += [f"{name}, {kind}" for name in ("means", "effects") for kind in ("raw", "delta", "bootstrap")]
    lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for name, world in WORLDS.items():
        if not (file := FOLDER / f"{name}.csv").exists():
            continue
        for method, own in pd.read_csv(file).groupby("method", sort=False):
            near = (own["error"] - world.error).abs() < 1.96 * own["std_error"]
            kinds = [f"{part}_{kind}" for part in (MEAN, EFFECT) for kind in ("raw", "delta", "boot")]
            cells = [name, method, len(own), *(f"{v:.3f}" for v in (own["error"].mean(), own["error"].std()))]
            cells += [f"{own['std_error'].mean():.3f}", "-" if world.noise else f"{100 * near.mean():.1f}"]
            cells += [f"{100 * own[kind].mean():.1f}" for kind in kinds]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    if TESTS.exists():
        tests = pd.read_csv(TESTS)
        lines += ["", TESTED, f"| {' | '.join(tests)} |", f"|{'---|' * len(tests.columns)}"]
        lines += [f"| {' | '.join(map(str, row))} |" for row in tests.itertuples(index=False)]
    return "\n".join(lines) + "\n"


TESTED = """## Tests that an attribute matters to anybody

Surveys of 200 people, 4 tasks of two petitions, five covariates, 199 draws; share of surveys in which the
test of the first attribute rejects at 5 %, as a whole (*any*) and by part. What the attribute does: nothing
(to the answers of anybody), something to everybody alike, something that one covariate tells, something
else to each person. Other attributes matter everywhere.
"""


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
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
