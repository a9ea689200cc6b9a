"""Small conjoint surveys drawn from a design, with answers that are known by construction."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nanotarget.petitions.design import Design
from nanotarget.study.config import AttributeConfig, DesignConfig

# Names that a formula interface would choke on: a name inside a level, HTML, LaTeX, Japanese.
JOB, REASON, TAX = "Job", 'C(Reason) + "x" <br>', "税 $x_1$ & 50% \\cmd"
NASTY = Design.from_config(
    DesignConfig(
        attributes=[
            AttributeConfig(name=JOB, levels=["None", "Job", "NA"]),
            AttributeConfig(name=REASON, levels=["Seek Better Job", "<b>Job</b>", "'; drop", "10"]),
            AttributeConfig(name=TAX, levels=["税金", "補助金"], probabilities=[0.7, 0.3]),
        ]
    )
)
RESTRICTED = Design.from_config(
    DesignConfig(
        attributes=[
            AttributeConfig(name="education", levels=["none", "some", "college"]),
            AttributeConfig(name="gender", levels=["f", "m"]),
            AttributeConfig(
                name="work", levels=["janitor", "nurse", "doctor"], probabilities=[0.5, 0.3, 0.2]
            ),
        ],
        prohibited=[{"education": ["none", "some"], "work": ["doctor"]}],
        randomisation="sequential",
    )
)


def survey(design, rng, respondents=200, tasks=4, outcome=None):
    """Profiles drawn from the design; `outcome(codes, person)` gives the rating without noise."""
    person = np.repeat(np.arange(respondents), 2 * tasks)
    codes = design.draw(len(person), rng)
    y = rng.normal(size=respondents)[person] + rng.normal(size=len(person))
    y = y + (0 if outcome is None else outcome(codes, person))
    profiles = pd.DataFrame(
        {
            "respondent_id": [f"r{i:04}" for i in person],
            "task": np.tile(np.repeat(np.arange(1, tasks + 1), 2), respondents),
            "profile": np.tile([1, 2], respondents * tasks),
        }
    ).join(design.frame(codes))
    # A choice goes to the profile with the higher rating of its task.
    pair = y.reshape(-1, 2)
    choice = (pair == pair.max(axis=1, keepdims=True)).astype(float).reshape(-1)
    return profiles.assign(choice=choice, rating=y, weight=rng.uniform(0.5, 2, respondents)[person])


def people(profiles):
    return profiles[["respondent_id"]].drop_duplicates(ignore_index=True)
