"""Experiments of six designs without an average effect, analysed by every estimator. All data are synthetic.

`design_tables.py` adds batches to the committed rows and writes the page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from nanotarget import estimate
from nanotarget.estimate.robustness import Specification, robustness
from nanotarget.estimate.trial import Trial
from nanotarget.study.config import CovariateConfig, OutcomeConfig
from nanotarget.study.seeds import child_rng

ROOT = Path(__file__).parents[2]
ARMS = ["control", "nano"]
ALPHA = 0.05
DRAWS = 399  # (1 + draws) alpha is whole
BATCH = 20
ADJUST = [CovariateConfig(name="z", kind="numeric")]
OUTCOMES = {
    "whole": OutcomeConfig(name="whole", kind="continuous"),
    "sharp": OutcomeConfig(name="sharp", kind="continuous"),
    "answered": OutcomeConfig(name="answered", kind="continuous"),
    "stayed": OutcomeConfig(name="stayed", kind="continuous"),
    "signed": OutcomeConfig(name="signed", kind="binary"),
    "scale": OutcomeConfig(name="scale", kind="ordinal", range=[0, 4]),
    "shares": OutcomeConfig(name="shares", kind="count"),
}


@dataclass(frozen=True)
class Design:
    """How an experiment is drawn.

    Attributes:
        about: in words.
        people: of each block.
        treated: share of the second arm in each block.
        cluster: people who are randomised together.
        groups: outcome clusters, inside which arms are drawn, across blocks; 0 for none.
        weighted: people have survey weights, which depend on the covariate.
    """

    about: str
    people: tuple[int, ...] = (400,)
    treated: tuple[float, ...] = (0.5,)
    cluster: int = 1
    groups: int = 0
    weighted: bool = False


DESIGNS = {
    "complete": Design("400 people, half in each arm"),
    "unequal arms": Design("420 people, a seventh in the arm whose outcomes vary most", (420,), (1 / 7,)),
    "blocked": Design(
        "four blocks of 100 that differ in level and attrition; 20, 40, 60 and 80% in the second arm",
        (100,) * 4,
        (0.2, 0.4, 0.6, 0.8),
    ),
    "clustered": Design("60 clusters of 10, drawn as wholes; a third of the variance between them", (600,),
                        cluster=10),
    "clustered within": Design(
        "arms drawn inside 40 groups of about 15 that differ in level and in effect (0 on average)", (600,),
        groups=40,
    ),
    "weighted": Design("600 people with survey weights of .3 to 4 that go with the covariate", (600,),
                       weighted=True),
}  # fmt: skip


def draw(design: Design, rng: np.random.Generator) -> Trial:
    """Draw an experiment in which nobody gains on average.

    `whole`: noise varies more in the second arm; `sharp`: nobody responds at all, what redraws test;
    `answered`: the covariate tells who drops out, in each arm otherwise; `stayed`: who scores low drops out,
    more of them in the first arm.
    """
    parts = []
    for b, (people, share) in enumerate(
        zip(design.people, design.treated * len(design.people), strict=False)
    ):
        units = people // design.cluster
        arm = (rng.permutation(units) < round(units * share)).astype(int)
        unit = np.repeat(np.arange(units), design.cluster)
        shock = 0.7 * rng.normal(size=units)[unit] if design.cluster > 1 else 0.0
        parts.append(
            pd.DataFrame({"arm": arm[unit], "unit": unit, "level": shock + 2.0 * b, "block": f"b{b}"})
        )
    table = pd.concat(parts, ignore_index=True)
    n, arm, level = len(table), table["arm"].to_numpy(), table["level"].to_numpy()
    group = rng.integers(max(design.groups, 1), size=n)
    spread = 0.7 * bool(design.groups)
    own, gain = (spread * rng.normal(size=max(design.groups, 1))[group] for _ in range(2))
    z, noise = rng.normal(size=n), rng.normal(size=n)
    sharp = level + own + 0.7 * z + noise
    whole = level + own + arm * gain + 0.7 * z + np.where(arm == 1, 1.5, 1.0) * noise
    # Symmetric about 0 where the arms vary differently, so that answers of few values have no effect either.
    latent = sharp - level if len(design.people) > 1 else whole
    told = rng.random(n) < 1 / (1 + np.exp(-1.5 - np.where(arm == 1, 0.8, -0.4) * z))
    stays = sharp - level + rng.normal(size=n) > np.where(arm == 1, -1.9, -1.4)
    weight = np.exp(0.5 * z) if design.weighted else np.ones(n)
    columns = {
        "respondent_id": [f"r{i:05d}" for i in range(n)],
        "arm": np.array(ARMS)[arm],
        "whole": whole,
        "sharp": sharp,
        "answered": np.where(told, whole, np.nan),
        "stayed": np.where(stays, sharp, np.nan),
        "signed": (latent + rng.logistic(size=n) > 0).astype(float),
        "scale": np.digitize(latent + rng.logistic(size=n), [-3.0, -1.0, 1.0, 3.0]).astype(float),
        "shares": rng.poisson(np.exp(0.3 * (sharp - level) + 0.5)).astype(float),
        "delivered": pd.array((arm == 1) & (rng.random(n) < 0.7), dtype="boolean"),
        "z": z,
        "third": pd.Categorical(np.digitize(z, [-0.5, 0.5]).astype(str)),
        "weight": np.clip(weight, 0.3, 4.0),
    }
    table = table.assign(**columns)
    if len(design.people) < 2:
        table = table.drop(columns="block")
    if design.cluster > 1:
        table["cluster"] = table["unit"].map("c{:03d}".format)
    if design.groups:
        table["outcome_cluster"] = [f"g{g:02d}" for g in group]
    return Trial(
        table.drop(columns=["unit", "level"]), ARMS, list(OUTCOMES.values()), ADJUST, ADJUST,
        unfielded=ARMS[:1], alpha=ALPHA, tighten=["third"],
    )  # fmt: skip


def of(trial: Trial, *names: str) -> Trial:
    """Take some outcomes of a trial."""
    return replace(trial, outcomes=[OUTCOMES[name] for name in names])


def bounds(trial: Trial) -> pd.DataFrame:
    """Return the intervals of the effect within Lee's bounds, a row a way of trimming."""
    found = estimate.lee_bounds(of(trial, "stayed"))
    found = found[found["bound"] == "lower"]
    return found.assign(
        conf_low=found["effect_low"], conf_high=found["effect_high"], p_value=np.nan, estimate=found["naive"],
        estimator="lee", quantity=found["trimming"],
    )  # fmt: skip


def tests_of(table: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Return p values of tests without an estimate, a row a column."""
    row = table.iloc[0]
    p_values = [row[column] for column in columns.values()]
    return pd.DataFrame({"estimator": list(columns), "p_value": p_values, "note": row["note"]})


def missing_everywhere(trial: Trial) -> Trial:
    """Let a fifth be missing, whoever they are."""
    lost = np.arange(len(trial.table)) % 5 == 0
    shuffled = trial.table["sharp"].rank().to_numpy().astype(int) % len(lost)
    return of(trial.with_columns(sharp=trial.table["sharp"].where(~lost[shuffled])), "sharp")


ANALYSES: dict[str, Callable[[Trial, int], pd.DataFrame]] = {
    "effects": lambda t, seed: estimate.effects(of(t, "whole")),
    "robustness": lambda t, seed: robustness(
        of(t, "whole"), [Specification("ancova", adjustment="covariates")]
    ),
    "logit": lambda t, seed: estimate.logit(t, "signed"),
    "log_odds": lambda t, seed: estimate.log_odds(t, "signed"),
    "proportions": lambda t, seed: estimate.proportions(t, "signed"),
    "ordinal": lambda t, seed: estimate.ordinal(t, "scale"),
    "mann_whitney": lambda t, seed: estimate.mann_whitney(t, "scale"),
    "ratios": lambda t, seed: estimate.ratios(t, "shares"),
    "standardised": lambda t, seed: estimate.standardised(t, "whole"),
    "randomization_inference": lambda t, seed: estimate.randomization_inference(
        of(t, "sharp"), seed, DRAWS
    ).assign(estimator="ri", se_type=lambda rows: rows["scheme"]),
    "ipw_effects": lambda t, seed: estimate.ipw_effects(of(t, "answered")),
    "lee_bounds": lambda t, seed: bounds(t),
    "cace": lambda t, seed: estimate.cace(of(t, "whole")).assign(estimator="cace"),
    "omnibus": lambda t, seed: estimate.omnibus(of(t, "sharp")).rename(columns={"test": "estimator"}),
    "attrition": lambda t, seed: tests_of(
        estimate.attrition(missing_everywhere(t)),
        {"attrition, F": "wald_p", "attrition, chi-squared": "chi2_p"},
    ),
    "differential_attrition": lambda t, seed: tests_of(
        estimate.differential_attrition(replace(missing_everywhere(t), covariates=ADJUST)),
        {"differential attrition": "p_value"},
    ),
}
# Functions of the library that compare no outcomes, or do so by those above.
NO_ANALYSIS = (
    "Table", "Trial", "pairs", "participant_flow", "balance", "sentences", "power", "outcomes", "checks",
    "scales", "randomization_distribution", "equivalence",
)  # fmt: skip
KEYS = ("estimator", "quantity", "se_type")
SUMS = ("n", "rejected", "covered", "missed", "error", "square", "variance")


def analyse(trial: Trial, seed: int) -> pd.DataFrame:
    """Return what every estimator finds: what it is, by what errors, its numbers and its note."""
    columns = [*KEYS, "estimate", "std_error", "p_value", "conf_low", "conf_high", "note"]
    parts = [function(trial, seed).reindex(columns=columns) for function in ANALYSES.values()]
    parts = [part.dropna(axis=1, how="all") for part in parts]
    rows = pd.concat(parts, ignore_index=True).reindex(columns=columns)
    rows[[*KEYS, "note"]] = rows[[*KEYS, "note"]].astype(object).fillna("")
    # The tests of all arms are named after their errors, which follow from the design.
    rows["estimator"] = rows["estimator"].str.replace(r"_(HC2|CR2)$", "", regex=True)
    return rows


def code() -> str:
    """Return a hash of what the rows depend on."""
    files = [Path(__file__), *sorted((ROOT / "workflow/nanotarget/estimate").glob("*.py"))]
    files.append(ROOT / "workflow/nanotarget/calibrate/regression.py")
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]


def batch(name: str, number: int, replications: int = BATCH) -> pd.DataFrame:
    """Return `SUMS` over replications with a number; `missed` are intervals that do not cover."""
    rng = child_rng(number, f"designs/{name}")
    found = [analyse(draw(DESIGNS[name], rng), replications * number + i) for i in range(replications)]
    rows = pd.concat(found, ignore_index=True)
    null = np.where(rows["estimator"] == "mann_whitney", 0.5, 0.0)
    known = rows["p_value"].notna() | rows["conf_low"].notna()
    rows = rows[known].assign(null=null[known])
    inside = (rows["conf_low"] <= rows["null"]) & (rows["null"] <= rows["conf_high"])
    error = rows["estimate"] - rows["null"]
    sums = rows[list(KEYS)].assign(
        n=1,
        rejected=(rows["p_value"] <= ALPHA).astype(int),
        covered=(inside & rows["conf_low"].notna()).astype(int),
        missed=(~inside & rows["conf_low"].notna()).astype(int),
        error=error,
        square=error**2,
        variance=rows["std_error"] ** 2,
    )
    sums = sums.groupby(list(KEYS), sort=False)[list(SUMS)].sum().reset_index()
    return sums.assign(design=name, batch=number, code=code())
