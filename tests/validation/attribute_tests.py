"""Size and power of tests that an attribute matters to anybody (make validate-answers).

All data are synthetic. Usage: python tests/validation/attribute_tests.py [--surveys N]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from nanotarget.calibrate.attribute_tests import Answers, attribute_tests
from nanotarget.petitions.design import Design
from nanotarget.study.config import AttributeConfig, DesignConfig
from nanotarget.study.progress import steps
from nanotarget.study.seeds import child_rng

FILE = Path(__file__).parents[2] / "docs" / "validation_answers" / "attribute_tests.csv"
SHAPE = (3, 3, 2, 4)
BARRED = ({"a0": ["l0"], "a1": ["l2"]},)
# What the first attribute does: to everybody alike, by a covariate, to each person otherwise, in standard
# deviations of the noise of an answer. What the others do is the same everywhere.
EFFECTS = {
    "nothing": (0.0, 0.0, 0.0),
    "average": (0.12, 0.0, 0.0),
    "covariate": (0.0, 0.2, 0.0),
    "persons": (0.0, 0.0, 0.5),
}
KINDS = [("rating", ()), ("choice", ()), ("choice", BARRED)]
RESPONDENTS, TASKS, DRAWS = 200, 4, 199


def design_of(barred):
    """The petitions."""
    attributes = [
        AttributeConfig(name=f"a{i}", levels=[f"l{j}" for j in range(size)]) for i, size in enumerate(SHAPE)
    ]
    return Design.from_config(DesignConfig(attributes=attributes, prohibited=list(barred)))


def survey(design, effect, rng):
    """Profiles with both outcomes, and five covariates of which the first may matter."""
    n = RESPONDENTS * TASKS * 2
    person = np.repeat(np.arange(RESPONDENTS), TASKS * 2)
    codes, z = design.draw(n, rng), rng.normal(size=(RESPONDENTS, 5))
    average, covariate, own = EFFECTS[effect]
    levels = np.linspace(-1, 1, SHAPE[0])
    worth = average * levels + covariate * z[:, :1] * levels + own * rng.normal(size=(RESPONDENTS, SHAPE[0]))
    y = worth[person, codes[:, 0]] + 0.5 * codes[:, 1] + 0.5 * z[person, 1] * codes[:, 2] + rng.normal(size=n)
    pair = y.reshape(-1, 2)
    profiles = pd.DataFrame(
        {
            "respondent_id": [f"r{i:04}" for i in person],
            "task": np.tile(np.repeat(np.arange(1, TASKS + 1), 2), RESPONDENTS),
            "profile": np.tile([1, 2], RESPONDENTS * TASKS),
            "choice": (pair == pair.max(axis=1, keepdims=True)).astype(float).ravel(),
            "rating": y + 2 * rng.normal(size=RESPONDENTS)[person],
            "weight": 1.0,
        }
    ).join(design.frame(codes))
    return profiles, pd.DataFrame(z, index=profiles["respondent_id"].unique())


def p_values(effect, kind, draw):
    """P values of the first attribute, by part."""
    outcome, barred = kind
    rng = child_rng(draw, f"attribute tests/{effect}/{kind}")
    design = design_of(barred)
    profiles, features = survey(design, effect, rng)
    answers = Answers.of(profiles, design, outcome, features, rng)
    found = attribute_tests(answers, design, DRAWS, rng, only=[0])
    return found.set_index("part")["p_value"]


def main():
    """Simulate and write shares of surveys that reject at 5 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surveys", type=int, default=400)
    chosen = parser.parse_args()
    rows = []
    for effect in EFFECTS:
        for kind in KINDS:
            name = f"{kind[0]}{', prohibited combinations' if kind[1] else ''}"
            many = chosen.surveys if effect == "nothing" else chosen.surveys // 10
            draws = steps(range(many), f"{effect} {name}")
            p = pd.DataFrame([p_values(effect, kind, draw) for draw in draws])
            rows.append({"effect": effect, "outcome": name, "surveys": len(p), **(p <= 0.05).mean().round(4)})
            pd.DataFrame(rows).to_csv(FILE, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
