"""Who gets which petition: policies applied to a roster, lookup for survey platforms, audit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nanotarget.calibrate.learners.base import Model
from nanotarget.petitions import policy
from nanotarget.petitions.design import Design
from nanotarget.petitions.score import predicted_response
from nanotarget.petitions.utilities import in_memory
from nanotarget.study.config import ArmConfig, CovariateConfig, PolicyConfig
from nanotarget.study.seeds import child_rng

AGREED = 0.95  # share of petitions fielded that are assigned again, below which the two are not the same rule


def assign(
    model: Model,
    population: pd.DataFrame,
    roster: pd.DataFrame,
    settings: PolicyConfig,
    seed: int,
) -> pd.DataFrame:
    """Assign a petition under every policy to every respondent of a roster.

    Args:
        model: the learner fitted to the whole calibration.
        population: respondents of the calibration with their weights: overall-best and the petitions of
            `segment` are best for them.
        roster: respondent_id, the covariates and, if there is one, opt_out (those get overall-best, of which
            nothing is predicted for them).
        settings: of the stage; overall_best is added to its policies if it is missing.
        seed: root seed for the policy `random`.

    Returns:
        The table of `contracts.assignments`.
    """
    design = model.design
    roster = roster.sort_values("respondent_id", ignore_index=True)
    n = len(roster)
    utilities = model.utilities(roster)
    calibrated, weight = in_memory(model.utilities(population)), population["weight"].to_numpy()
    best = np.repeat(policy.overall_best(calibrated, weight)[None], n, axis=0)
    opted_out = roster["opt_out"].to_numpy() if "opt_out" in roster else np.zeros(n, dtype=bool)

    def predict(petitions: np.ndarray) -> np.ndarray:
        return predicted_response(utilities, petitions, model.intercept, model.response)

    predicted_best = predict(best)
    names = settings.policies if "overall_best" in settings.policies else ["overall_best", *settings.policies]
    rules = {
        "random": lambda: policy.random(n, design, child_rng(seed, "assign/random")),
        "overall_best": lambda: best,
        "segment": lambda: policy.segment(utilities, policy.best_set(calibrated, weight, settings.segments)),
        "nano": lambda: policy.nano(utilities),
        "best_min": lambda: np.repeat(policy.overall_best(calibrated, weight, worst=True)[None], n, axis=0),
        "nano_min": lambda: policy.nano(utilities, worst=True),
    }
    parts = []
    for name in names:
        petitions = np.where(opted_out[:, None], best, rules[name]())
        predicted = predict(petitions)
        part = pd.DataFrame({"respondent_id": roster["respondent_id"], "policy": name})
        part["petition_id"] = design.petition_ids(petitions)
        part = pd.concat([part, design.frame(petitions)], axis=1)
        part["predicted"] = np.where(opted_out, np.nan, predicted)  # of who refused nothing is predicted
        part["gain_over_best"] = predicted - predicted_best
        parts.append(part)
    table = pd.concat(parts, ignore_index=True).astype({"policy": "str"})
    order = table["policy"].map({name: i for i, name in enumerate(names)})
    return table.iloc[np.lexsort([order, table["respondent_id"]])].reset_index(drop=True)


def petition_to_send(model: Model, population: pd.DataFrame) -> dict[str, Any]:
    """Return the overall-best petition: petition_id, the level of each attribute, text.

    Args:
        model, population: as for `assign`.
    """
    design = model.design
    best = policy.overall_best(in_memory(model.utilities(population)), population["weight"].to_numpy())[None]
    levels = {name: str(level) for name, level in design.frame(best).iloc[0].items()}
    (petition,), (text,) = design.petition_ids(best), design.texts(best)
    return {"petition_id": int(petition), "levels": levels, "text": text}


def petitions_table(assignments: pd.DataFrame, design: Design) -> pd.DataFrame:
    """List every petition assigned at least once: id, levels, text, n_<policy> respondents."""
    counts = pd.crosstab(assignments["petition_id"], assignments["policy"])
    levels = design.petition_levels(counts.index.to_numpy())
    table = pd.concat([pd.Series(counts.index, name="petition_id"), design.frame(levels)], axis=1)
    table["text"] = design.texts(levels)
    for name in assignments["policy"].unique():
        table[f"n_{name}"] = counts[name].to_numpy()
    return table


def pooled_petitions(petitions: pd.DataFrame, min_cell: int) -> pd.DataFrame:
    """List the petitions that enough people get to be published, and pool the others.

    A petition that few people get tells what they were like, and with it who they are.

    Args:
        petitions: from `petitions_table`.
        min_cell: fewest people.

    Returns:
        Rows policy, petition_id, the levels, text, petitions (1, or how many are pooled, without id, levels
        and text), n respondents; by policy from the most to the least assigned, the pooled ones last. Where
        these would be of fewer people than `min_cell`, they take in the next ones.
    """
    described = [c for c in petitions if not c.startswith("n_")]
    parts = []
    for column in (c for c in petitions if c.startswith("n_")):
        given = petitions[petitions[column] > 0].sort_values(column, ascending=False, kind="stable")
        n = given[column].to_numpy()
        kept = int((n >= min_cell).sum())
        while kept and 0 < n[kept:].sum() < min_cell:
            kept -= 1
        part = given[described].head(kept).assign(petitions=1, n=n[:kept])
        if kept < len(n) or not len(n):
            part = pd.concat([part, pd.DataFrame({"petitions": [len(n) - kept], "n": n[kept:].sum()})])
        parts.append(part.assign(policy=column.removeprefix("n_")))
    table = pd.concat(parts, ignore_index=True).astype({"petition_id": "Int64"})
    return table[["policy", *described, "petitions", "n"]]


def concentration_table(observed: Model, permuted: Iterable[Model], roster: pd.DataFrame) -> pd.DataFrame:
    """Show how many petitions nano assigns beside how many it would assign to noise.

    A number of distinct petitions alone is no evidence of heterogeneity: the learner is fitted again
    to calibrations in which the covariates are randomly permuted among respondents, so that they predict
    nothing, and assigns to the same roster.

    Args:
        observed: the learner fitted to the calibration as it is.
        permuted: the learner fitted to permuted covariates, see `crossfit.permute_covariates`.
        roster: as for `assign`; respondents who opted out are left out.

    Returns:
        One row per fit: policy, covariates ("observed", "permuted"), draw, n, distinct, effective, top_share.
    """
    people = roster[~roster["opt_out"]] if "opt_out" in roster else roster

    def row(fitted: Model, covariates: str, draw: int) -> dict[str, Any]:
        ids = fitted.design.petition_ids(policy.nano(fitted.utilities(people)))
        return {"policy": "nano", "covariates": covariates, "draw": draw, **policy.concentration(ids)}

    rows = [row(observed, "observed", 0)]
    rows += [row(fitted, "permuted", draw) for draw, fitted in enumerate(permuted, start=1)]
    return pd.DataFrame(rows)


def lookup_table(
    assignments: pd.DataFrame, roster: pd.DataFrame, covariates: Sequence[CovariateConfig], name: str
) -> pd.DataFrame:
    """Map every covariate profile of the roster to its petition under a policy.

    For survey platforms that assign by look-up. Only covariates that the policy may use appear;
    respondents who opted out are left out.

    Returns:
        One row a distinct covariate profile: covariates, petition_id, attributes, n respondents.
    """
    used = [c.name for c in covariates if c.target]
    chosen = assignments[assignments["policy"] == name]
    people = roster[~roster["opt_out"]] if "opt_out" in roster else roster
    merged = people[["respondent_id", *used]].merge(
        chosen.drop(columns=["policy", "predicted", "gain_over_best"]), on="respondent_id", validate="1:1"
    )
    keys = [*used, *(c for c in merged.columns if c not in (*used, "respondent_id"))]
    return merged.groupby(keys, dropna=False, observed=True, sort=True).size().rename("n").reset_index()


def audit(
    assignments: pd.DataFrame, experiment: pd.DataFrame, arms: Sequence[ArmConfig], design: Design
) -> pd.DataFrame:
    """Compare the petitions fielded with those that the pipeline would assign.

    Args:
        experiment: cleaned experiment with one column per attribute (missing = no petition shown).

    Returns:
        One row per arm whose config names a policy: arm, policy, n (respondents with a petition), n_agree
        (same petition), share_agree, attributes_agree (mean share of equal attributes), n_infeasible
        (fielded although prohibited), distinct_fielded, distinct_assigned, possible (petitions of the
        design). For the policy `random` agreement means nothing and is left empty.
    """
    rows = []
    for arm in arms:
        if arm.policy is None:
            continue
        group = experiment[experiment["arm"] == arm.name]
        shown = group[group[design.names].notna().all(axis=1)]
        fielded = design.codes(shown)
        mine = assignments[assignments["policy"] == arm.policy].set_index("respondent_id")
        known = mine.loc[shown["respondent_id"]]
        recomputed = design.codes(known.reset_index())
        equal = fielded == recomputed
        agree = equal.all(axis=1)
        comparable = arm.policy != "random" and len(shown) > 0
        rows.append(
            {
                "arm": arm.name,
                "policy": arm.policy,
                "n": len(shown),
                "n_agree": int(agree.sum()) if comparable else np.nan,
                "share_agree": agree.mean() if comparable else np.nan,
                "attributes_agree": equal.mean() if comparable else np.nan,
                "n_infeasible": int((~design.is_feasible(fielded)).sum()),
                "distinct_fielded": len(np.unique(design.petition_ids(fielded))) if len(shown) else 0,
                "distinct_assigned": known["petition_id"].nunique(),
                "possible": design.n_feasible,
            }
        )
    columns = ["arm", "policy", "n", "n_agree", "share_agree", "attributes_agree", "n_infeasible"]
    return pd.DataFrame(rows, columns=[*columns, "distinct_fielded", "distinct_assigned", "possible"])
