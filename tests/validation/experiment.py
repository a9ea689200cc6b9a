"""Analyse simulated experiments whose truth is known: how often tests reject, what intervals cover.

A batch of replications of a world is one job. The arms of a batch are drawn once, covariate and outcomes in
every replication anew: people (or clusters) are alike before they are drawn, so that this is as good as
drawing the arms, too. All data are synthetic.

Usage: PYTHONPATH=tests/validation python tests/validation/experiment.py [world ...] [--replications N]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from nanotarget.estimate.effects import effects
from nanotarget.estimate.equivalence import equivalence
from nanotarget.estimate.ipw import ipw_effects
from nanotarget.estimate.lee import lee_bounds
from nanotarget.estimate.randomization import randomization_inference
from nanotarget.estimate.trial import Trial, pairs
from nanotarget.study.config import CovariateConfig, OutcomeConfig
from nanotarget.study.preregistration import contrast_name
from nanotarget.study.seeds import child_rng

ARMS = ["control", "best", "nano"]
ALPHA = 0.05
DRAWS = 499  # (1 + draws) alpha is whole, so that the test under the sharp null has exactly its level
BATCH = 200
COLUMNS = ["estimator", "contrast", "estimate", "std_error", "p_value", "p_adjusted", "conf_low", "conf_high"]
COVARIATE = CovariateConfig(name="z", kind="numeric")


@dataclass(frozen=True)
class Experiment:
    """A world of experiments.

    Attributes:
        sizes: units (people or clusters) of the arms in each block.
        draw: takes the arm (n,) of everybody, the cluster (n,), a covariate (n,) and a generator; returns
            the outcome (n,).
        means: true mean outcome of the arms.
        blocks: number of blocks, all of the same sizes.
        cluster_size: people of a cluster.
        margin: smallest effect of interest; the third arm's effect is at it, if it is given.
        missing: "" or what is asked of the answers that are there: "lee" (bounds of the effect) or "ipw".
    """

    sizes: tuple[int, int, int]
    draw: Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
    means: tuple[float, float, float] = (0.0, 0.0, 0.0)
    blocks: int = 1
    cluster_size: int = 1
    margin: float | None = None
    missing: str = ""


def sharp(arm, cluster, z, rng):
    """No arm does anything to anybody."""
    return 0.7 * z + rng.normal(size=len(arm))


def weak(arm, cluster, z, rng):
    """Equal means, and the smallest arm varies most."""
    return np.array([0.5, 1.0, 3.0])[arm] * rng.normal(size=len(arm))


def rare(arm, cluster, z, rng):
    """One in twenty signs, whatever the arm."""
    return (rng.random(len(arm)) < 0.05).astype(float)


def together(arm, cluster, z, rng):
    """People of a cluster have much in common."""
    return rng.normal(size=cluster.max() + 1)[cluster] + rng.normal(size=len(arm))


def constant(arm, cluster, z, rng):
    """Everybody gains the same from an arm; outcomes are skewed."""
    return np.array([0.0, 0.3, 0.5])[arm] + 0.5 * z + rng.exponential(size=len(arm))


def blocked(arm, cluster, z, rng):
    """The covariate, which the blocks are made of, tells much."""
    return 2 * z + rng.normal(size=len(arm))


def at_margin(arm, cluster, z, rng):
    """The third arm's effect is exactly the smallest that matters."""
    return 0.3 * (arm == 2) + rng.normal(size=len(arm))


def stayers(arm, cluster, z, rng):
    """Constant effects; who would score low drops out, and less so the more an arm does for her."""
    talent = rng.normal(size=len(arm))
    outcome = np.array([0.0, 0.3, 0.5])[arm] + talent + rng.normal(size=len(arm))
    stays = talent + rng.normal(size=len(arm)) > np.array([-1.0, -1.3, -1.5])[arm]
    return np.where(stays, outcome, np.nan)


def told_by_covariate(arm, cluster, z, rng):
    """Constant effects; the covariate tells who drops out, differently in every arm."""
    outcome = np.array([0.0, 0.3, 0.5])[arm] + z + rng.normal(size=len(arm))
    stays = rng.random(len(arm)) < 1 / (1 + np.exp(-1 - np.array([-1.0, 0.0, 1.0])[arm] * z))
    return np.where(stays, outcome, np.nan)


WORLDS = {
    "sharp null": Experiment((200, 200, 200), sharp),
    "weak null": Experiment((400, 140, 60), weak),
    "rare binary": Experiment((200, 200, 200), rare, (0.05, 0.05, 0.05)),
    "constant effects": Experiment((100, 60, 40), constant, (0.0, 0.3, 0.5)),
    "clustered": Experiment((20, 20, 20), together, cluster_size=10),
    "blocked": Experiment((8, 12, 20), blocked, blocks=15),
    "at the margin": Experiment((200, 200, 200), at_margin, (0.0, 0.0, 0.3), margin=0.3),
    "who drops out": Experiment((200, 200, 200), stayers, (0.0, 0.3, 0.5), missing="lee"),
    "missing at random": Experiment((200, 200, 200), told_by_covariate, (0.0, 0.3, 0.5), missing="ipw"),
}


def draw_people(world, rng):
    """Draw the people of a batch of a world: who is in which block, cluster and arm."""
    in_block = np.repeat(np.arange(3), world.sizes)
    units = np.concatenate([rng.permutation(in_block) for _ in range(world.blocks)])
    block = np.repeat(np.arange(world.blocks), len(in_block) * world.cluster_size)
    return pd.DataFrame(
        {
            "respondent_id": [f"r{i:04d}" for i in range(len(block))],
            "arm": pd.Categorical.from_codes(np.repeat(units, world.cluster_size), ARMS),
            "block": [f"{b:02d}" if world.blocks > 1 else "" for b in block],
            "cluster": [f"c{c:04d}" for c in np.repeat(np.arange(len(units)), world.cluster_size)],
            "weight": 1.0,
            "z": block / world.blocks,
        }
    )


def trial_of(table, *outcomes):
    """Return the trial of a table, adjusted for the covariate."""
    outcomes = [OutcomeConfig(name=name, kind="continuous") for name in outcomes]
    return Trial(table, ARMS, outcomes, adjust=[COVARIATE], alpha=ALPHA)


def bounded(table, outcome):
    """Return the intervals of Imbens & Manski for the effect within Lee's bounds."""
    found = lee_bounds(trial_of(table, outcome))
    found = found[(found["trimming"] == "fraction") & (found["bound"] == "lower")]
    intervals = found[["outcome", "contrast"]].assign(
        conf_low=found["effect_low"], conf_high=found["effect_high"], estimate=found["naive"]
    )
    return intervals.assign(estimator="lee")


def reweighted(table, outcome):
    """Return the estimates by weights for who is missing."""
    return ipw_effects(trial_of(table, outcome)).assign(estimator="ipw")


MISSING = {"lee": bounded, "ipw": reweighted}


def analyse(name, number, replications=BATCH, only_redrawn=False):
    """Return what is found in a batch: a row a replication, estimator and contrast, with the truth.

    Args:
        name: key of `WORLDS`.
        number: of the batch; all draws follow from it and the name.
        replications: in the batch.
        only_redrawn: leave out what does not redraw the arms; the draws are the same.
    """
    world, rng = WORLDS[name], child_rng(number, f"experiment/{name}")
    people = draw_people(world, rng)
    arm, cluster = people["arm"].cat.codes.to_numpy(), pd.factorize(people["cluster"])[0]
    names = [f"y{k}" for k in range(replications)]
    tables, outcomes = [], {}
    for y in names:
        z = rng.normal(size=len(people)) if world.blocks == 1 else people["z"].to_numpy()
        outcomes[y] = world.draw(arm, cluster, z, rng)
        if only_redrawn:
            continue
        table = people.assign(z=z, **{y: outcomes[y]})
        if world.missing:
            tables.append(MISSING[world.missing](table, y))
            continue
        trial = trial_of(table, y)
        tables.append(effects(trial))
        if world.margin is not None:
            bounds = equivalence(replace(trial, sesoi={y: world.margin}), tables[-1])
            tables.append(bounds.assign(estimator="tost"))
    if not world.missing:
        people = pd.concat([people, pd.DataFrame(outcomes)], axis=1)
        redrawn = randomization_inference(trial_of(people, *names), number, DRAWS)
        tables.append(redrawn.assign(estimator="ri"))
    truth = {
        contrast_name(later, earlier): world.means[ARMS.index(later)] - world.means[ARMS.index(earlier)]
        for later, earlier in pairs(ARMS)
    }
    rows = pd.concat([table.reindex(columns=["outcome", *COLUMNS]) for table in tables], ignore_index=True)
    return rows.assign(world=name, truth=rows["contrast"].map(truth), batch=number)


def summarise(rows):
    """Tabulate error rates in percent with Monte Carlo errors, a row a world, estimator and contrast.

    Returns:
        world, estimator, contrast, replications, truth, bias (and error; of `lee` that of the naive
        difference), rejected (p <= alpha; for `tost` where the truth is at the margin its size) and covered
        (and errors, NaN where there is no interval); family (and error): any adjusted p <= alpha among the
        contrasts without an effect; not for `tost`.
    """
    rows = rows.assign(
        error=rows["estimate"] - rows["truth"],
        rejected=(rows["p_value"] <= ALPHA).where(rows["p_value"].notna()).astype(float),
        covered=((rows["conf_low"] <= rows["truth"]) & (rows["truth"] <= rows["conf_high"]))
        .where(rows["conf_low"].notna())
        .astype(float),
        false=(rows["p_adjusted"] <= ALPHA) & (rows["truth"] == 0),
    )
    family = rows.groupby(["world", "estimator", "batch", "outcome"])["false"].any().astype(float)
    lines = []
    for (world, estimator, contrast), part in rows.groupby(["world", "estimator", "contrast"], sort=False):
        line = {"world": world, "estimator": estimator, "contrast": contrast, "replications": len(part)}
        line |= {
            "truth": part["truth"].iloc[0],
            "bias": part["error"].mean(),
            "bias_error": part["error"].sem(),
        }
        line |= rate("rejected", part["rejected"]) | rate("covered", part["covered"])
        errors = family[world, estimator]
        lines.append(line | rate("family", errors if estimator != "tost" else errors.iloc[:0]))
    return pd.DataFrame(lines)


def rate(name, values):
    """Return a rate in percent and its Monte Carlo error."""
    values = values.dropna()
    share = values.mean()
    return {name: 100 * share, f"{name}_error": 100 * np.sqrt(share * (1 - share) / max(len(values), 1))}


def run_batch(path, name, number, replications=BATCH):
    """Analyse a batch and leave its file, whole or not at all."""
    start = time.process_time()
    rows = analyse(name, number, replications)
    content = {"data": "synthetic", "world": name, "cpu_s": time.process_time() - start}
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(content | {"rows": json.loads(rows.to_json(orient="records"))}))
    scratch.replace(path)


def read(folder):
    """Return the rows of all batches of a folder."""
    batches = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return pd.DataFrame([row for batch in batches for row in batch["rows"]])


def main():
    """Analyse worlds and print their summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("worlds", nargs="*", default=list(WORLDS))
    parser.add_argument("--replications", type=int, default=2_000)
    arguments = parser.parse_args()
    tables = []
    for name in arguments.worlds:
        for number in range(-(-arguments.replications // BATCH)):
            left = arguments.replications - number * BATCH
            tables.append(analyse(name, number, min(BATCH, left)))
    sys.stdout.write(summarise(pd.concat(tables)).round(3).to_csv(index=False))


if __name__ == "__main__":
    if "snakemake" in globals():
        number = int(snakemake.wildcards.batch)
        run_batch(Path(snakemake.output[0]), list(WORLDS)[int(snakemake.wildcards.world)], number)
    else:
        main()
