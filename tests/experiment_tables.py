"""Tables of a small made-up experiment from the functions that make the artefacts, for tests of figures."""

from __future__ import annotations

import dataclasses
import io
from functools import cache

import numpy as np
import pandas as pd

import report_tables as fake
from nanotarget import estimate, explore
from nanotarget.calibrate.imce import distribution
from nanotarget.estimate.trial import Trial
from nanotarget.explore.dissuasion import DISSUASION_COLUMNS
from nanotarget.petitions.design import Design, overview
from nanotarget.study import artefacts
from nanotarget.study.config import (
    AttributeConfig,
    CovariateConfig,
    DesignConfig,
    GroupConfig,
    OutcomeConfig,
    SubgroupConfig,
)
from trials import trial

ARMS = ("control", fake.LONG, fake.NASTY)
BEST, NANO = ARMS[1:]
OUTCOMES = [
    OutcomeConfig(name="sign", kind="binary"),
    OutcomeConfig(name="support", kind="continuous", label=fake.LONG),
]
COVARIATE = CovariateConfig(name="age", kind="numeric", range=[0, 10])
GROUPING = SubgroupConfig(
    name="generation",
    covariate="age",
    groups=[
        GroupConfig(name=fake.NASTY, max=3),
        GroupConfig(name=fake.LONG, min=4, max=6),
        GroupConfig(name="old", min=7),
    ],
)
POLES = explore.Poles(GROUPING, "old", fake.NASTY, 5)
DESIGN = Design.from_config(
    DesignConfig(
        attributes=[
            AttributeConfig(name=name, levels=list(levels)) for name, levels in fake.ATTRIBUTES.items()
        ],
        petition_text=f"First line: {{{{ petition['Sector'] }}}}\n{fake.LONG}\n{fake.JAPANESE} $x_1$ <br>",
    )
)


def people(n: int = 360, seed: int = 5) -> pd.DataFrame:
    """Return an experiment of n people with missing answers, failed deliveries and failed checks."""
    rng = np.random.default_rng(seed)
    arm = np.array(ARMS)[np.arange(n) % 3]
    treated = (arm != "control").astype(float)
    table = pd.DataFrame(
        {
            "respondent_id": [f"p{i:04d}" for i in range(n)],
            "arm": pd.Categorical(arm, categories=list(ARMS)),
            "age": rng.integers(0, 11, n).astype(float),
            "sign": (rng.random(n) < 0.4 + 0.15 * treated).astype(float),
            "support": np.clip(rng.normal(5 + treated, 2, n).round(), 0, 10),
            "weight": 1.0,
            "delivered": pd.array(rng.random(n) < 0.9, dtype="boolean"),
            "passed": pd.array(rng.random(n) < 0.9, dtype="boolean"),
        }
    )
    table.loc[rng.random(n) < 0.06, "sign"] = np.nan
    table.loc[rng.random(n) < 0.03, "delivered"] = pd.NA
    return table


def petitions(table: pd.DataFrame, differ: bool) -> pd.DataFrame:
    """Return both petitions of everybody; nano's differ in up to three attributes, or in none."""
    rng = np.random.default_rng(6)
    n = len(table)
    dose = rng.integers(0, 4, n) if differ else np.zeros(n, dtype=int)
    best = np.zeros((n, 3), dtype=int)
    nano = (np.arange(3) < dose[:, None]).astype(int)
    parts = []
    for policy, levels, gain in (("overall_best", best, 0.0), ("nano", nano, dose * 0.2)):
        frame = DESIGN.frame(levels)
        parts.append(
            pd.DataFrame({"respondent_id": table["respondent_id"], "policy": policy})
            .assign(petition_id=DESIGN.petition_ids(levels), predicted=5.0 + gain, gain_over_best=gain)
            .join(frame)
        )
    return pd.concat(parts, ignore_index=True)


def dissuasion() -> pd.DataFrame:
    """Return both ends of a calibration, with the rows of `explore.dissuasion`."""
    values = ["nano", "overall_best", "overall_worst", "nano_worst"]
    gains = ["nano - overall_best", "overall_worst - nano_worst", "dissuasion - gain"]
    ends = ["top gap", "bottom gap", "bottom gap - top gap"]
    ceilings = ["ceiling above", "ceiling below", "ceiling below - ceiling above"]
    cells = [(group, q, "") for group in ("all", f"generation: {fake.NASTY}") for q in values + gains]
    cells += [("all", q, a) for a in fake.ATTRIBUTES for q in ends + ceilings]
    cells += [("all", q, "") for q in ceilings]
    rows = [dict(zip(("group", "quantity", "attribute"), cell, strict=True)) for cell in cells]
    return fake.estimates(rows).assign(label="exploratory", note="")[list(DISSUASION_COLUMNS)]


def effects_of_levels() -> pd.DataFrame:
    """Return individual effects with the columns of private/calibrate/imce.parquet."""
    rng = np.random.default_rng(8)
    parts = []
    for attribute, levels in fake.ATTRIBUTES.items():
        for level in levels[1:]:
            estimate = rng.normal(0.1, 0.2, 50)
            parts.append(pd.DataFrame({"attribute": attribute, "level": level, "estimate": estimate}))
    table = pd.concat(parts, ignore_index=True).assign(std_error=0.1)
    ends = {"conf_low": table["estimate"] - 0.2, "conf_high": table["estimate"] + 0.2}
    return table.assign(respondent_id=np.arange(len(table)) % 50, **ends)


def participants(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `estimate.participant_flow`."""
    return estimate.participant_flow(trial(table, ARMS, OUTCOMES), _flow(table))


def sources(differ: bool = True) -> dict[str, pd.DataFrame]:
    """Return the tables as they are read from their files; without `differ` all get the same petition."""
    table, whole, adjusted = analysed()
    fielded = explore.Fielded(petitions(table, differ), NANO, BEST)
    gain = fielded.promised(table)["gain"].set_axis(table["respondent_id"])
    targeting = explore.targeting(adjusted, gain, [GROUPING], 5, 1)
    made = {
        "validation": explore.validation(
            whole, fielded, 5, ["support"], explore.Dividend(0.3, 0.1, 0.1, 0.5)
        ),
        "targeting_curve": targeting.curve,
        "rate": targeting.rate,
    }
    return whatever_nano_gives() | {name: reread(part) for name, part in made.items()}


def analysed() -> tuple[pd.DataFrame, Trial, Trial]:
    """Return the people, their trial, and the one that is adjusted for the covariate."""
    table = people()
    whole = trial(table, ARMS, OUTCOMES, covariates=[COVARIATE], sesoi={"sign": 0.1})
    return table, whole, dataclasses.replace(whole, adjust=[COVARIATE])


@cache
def whatever_nano_gives() -> dict[str, pd.DataFrame]:
    """Return the tables that do not depend on the petitions of nano."""
    table, whole, adjusted = analysed()
    effects = estimate.effects(whole)
    made = {
        "participants": participants(table),
        "design": overview(DESIGN, 1),
        "imces": distribution(effects_of_levels()),
        "effects": effects,
        "equivalence": estimate.equivalence(whole, effects),
        "randomization_distribution": estimate.randomization_distribution(whole, 1, 300),
        "randomization_inference": estimate.randomization_inference(whole, 1, 300),
        "robustness": estimate.robustness(adjusted),
        "lee_bounds": estimate.lee_bounds(whole),
        "subgroups": explore.subgroups(whole, [GROUPING], 5),
        "lower_tail": explore.lower_tail(whole, 1),
        "polarisation": explore.polarisation(whole, POLES, 1, 300),
        "gap": fake.gap(),
        "dissuasion": dissuasion(),
    }
    return {name: reread(part) for name, part in made.items()}


def reread(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as it comes back from its file."""
    return artefacts.read_csv(io.StringIO(table.to_csv(index=False)))


def _flow(table: pd.DataFrame) -> pd.DataFrame:
    """Return clean/flow.csv of people of whom ten more of each arm did not consent."""
    rows = []
    for arm, n in {"all": len(table), **table["arm"].value_counts(sort=False).to_dict()}.items():
        lost = 30 if arm == "all" else 10
        rows.append(("In the raw file", np.nan, arm, n + lost, 0))
        rows.append((fake.LONG, f"consent is {fake.NASTY}", arm, n + lost, lost))
    flow = pd.DataFrame(rows, columns=["step", "rule", "arm", "n_before", "n_excluded"])
    flow = flow.sort_values("step", key=lambda s: s != "In the raw file", kind="stable")
    return flow.assign(sample="experiment", n_after=flow["n_before"] - flow["n_excluded"])
