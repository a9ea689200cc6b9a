"""How often surveys that were run as designed get a flag of the design checks (docs/validation_surveys.md).

All data are synthetic. Usage: python tests/validation/surveys.py [--surveys N]
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nanotarget.calibrate.design_checks import FLAWS, Survey, design_checks, design_flags
from nanotarget.petitions.design import Design
from nanotarget.study.config import AttributeConfig, CovariateConfig, DesignConfig
from nanotarget.study.progress import steps
from nanotarget.study.seeds import child_rng

PAGE = Path(__file__).parents[2] / "docs" / "validation_surveys.md"
PARTIES = ["a", "b", "c", "d"]


@dataclass(frozen=True)
class Clean:
    """A survey run as designed.

    Attributes:
        respondents, tasks, profiles: sizes.
        shape: levels of the attributes.
        prohibited: combinations that the design bars.
        outcome: rating or choice.
        covariates: number of them: two numbers of many or few values, and categories of 3 to 60 % of people.
    """

    respondents: int
    tasks: int
    shape: tuple[int, ...]
    profiles: int = 2
    prohibited: tuple[dict[str, list[str]], ...] = ()
    outcome: str = "choice"
    covariates: int = 6

    @property
    def design(self) -> Design:
        """Its petitions."""
        attributes = [
            AttributeConfig(name=f"a{i}", levels=[f"l{j}" for j in range(size)])
            for i, size in enumerate(self.shape)
        ]
        return Design.from_config(DesignConfig(attributes=attributes, prohibited=list(self.prohibited)))

    def drawn(self, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame, list[CovariateConfig]]:
        """Return profiles, respondents and covariates."""
        n, shown = self.respondents, self.tasks * self.profiles
        person = np.repeat(np.arange(n), shown)
        levels = self.design.draw(n * shown, rng)
        taste = rng.normal(0.3, 0.5, (n, len(self.shape)))
        utility = (taste[person] * (levels == 1)).sum(axis=1) + rng.normal(size=len(person))
        by_task = utility.reshape(-1, self.profiles)
        profiles = pd.DataFrame(
            {
                "respondent_id": pd.array([f"r{i:05}" for i in person], dtype="str"),
                "task": np.tile(np.repeat(np.arange(1, self.tasks + 1), self.profiles), n),
                "profile": np.tile(np.arange(1, self.profiles + 1), n * self.tasks),
                "choice": (by_task == by_task.max(axis=1, keepdims=True)).astype(float).ravel(),
                "rating": np.clip(np.round(5 + 1.5 * rng.normal(size=n)[person] + utility), 0, 10),
                "weight": 1.0,
            }
        ).join(self.design.frame(levels))
        people, covariates = {"respondent_id": profiles["respondent_id"].unique(), "weight": 1.0}, []
        for c in range(self.covariates):
            name = f"c{c}"
            if c % 2:
                people[name] = pd.Categorical(rng.choice(PARTIES, n, p=[0.03, 0.07, 0.3, 0.6]), PARTIES)
                covariates.append(CovariateConfig(name=name, kind="categorical", levels=PARTIES))
            else:
                people[name] = rng.integers(0, 8 if c % 4 else 73, n).astype(float)
                covariates.append(CovariateConfig(name=name, kind="numeric"))
        return profiles, pd.DataFrame(people), covariates


BARRED = ({"a0": ["l0"], "a1": ["l2"]}, {"a1": ["l1"], "a3": ["l3", "l0"]})
SURVEYS = {
    "60 people, 3 tasks, ratings": Clean(60, 3, (3, 3, 2), outcome="rating"),
    "150 people, 4 tasks": Clean(150, 4, (3, 4, 2, 5)),
    "400 people, 5 tasks, prohibited combinations": Clean(400, 5, (3, 3, 2, 4), prohibited=BARRED),
    "300 people, 4 tasks of three petitions": Clean(300, 4, (3, 3, 2, 4), profiles=3),
    "1,500 people, 6 tasks, ratings, 12 covariates": Clean(
        1500, 6, (5, 5, 5, 5, 5, 3, 3), outcome="rating", covariates=12
    ),
}


def flagged(name: str, surveys: int) -> dict[str, object]:
    """Count the surveys of a kind in which anything is flagged."""
    kind, checks, any_flag, tests = SURVEYS[name], Counter(), 0, 0
    for draw in steps(range(surveys), name):
        profiles, respondents, covariates = kind.drawn(child_rng(draw, f"clean survey/{name}"))
        design = kind.design.as_shown(kind.design.codes(profiles))
        table = design_checks(Survey(profiles, respondents, covariates), design, kind.outcome)
        checks.update(table.loc[table["verdict"] == "flag", "check"].unique())
        any_flag += bool(design_flags(table, profiles, design))
        tests = len(table)
    share = any_flag / surveys
    error = 100 * np.sqrt(share * (1 - share) / surveys)
    return {
        "survey": name,
        "tests": tests,
        "surveys": surveys,
        "any flag": f"{100 * share:.1f} ({error:.1f})",
        **{check: f"{100 * checks[check] / surveys:.1f}" for check in FLAWS},
    }


def page(rows: list[dict[str, object]]) -> str:
    """Return the page: rows as a table."""
    lines = [
        "# Checks of the conjoint's design: surveys that were run as designed",
        "",
        "Written by `make validate-surveys`; all data are synthetic. Per cent of surveys in which anything "
        "is flagged, with the Monte Carlo error, and by check. P values of all tests of a survey are one "
        "family (Holm), so that at most 5 % should be flagged.",
        "",
        f"| {' | '.join(rows[0])} |",
        f"|{'---|' * len(rows[0])}",
        *(f"| {' | '.join(map(str, row.values()))} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Simulate and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surveys", type=int, default=300)
    chosen = parser.parse_args()
    # The large one takes ten times as long.
    numbers = {n: chosen.surveys // (5 if kind.respondents > 1000 else 1) for n, kind in SURVEYS.items()}
    PAGE.write_text(page([flagged(name, number) for name, number in numbers.items()]), encoding="utf-8")


if __name__ == "__main__":
    main()
