"""Who gets which petition: policies applied to a roster, lookup for survey platforms, audit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from nanotarget.calibrate.learners.base import Model
from nanotarget.petitions import policy
from nanotarget.petitions.design import Design
from nanotarget.petitions.score import predicted_response
from nanotarget.petitions.utilities import Tables, Utilities, in_memory
from nanotarget.study.config import ArmConfig, CovariateConfig, PolicyConfig
from nanotarget.study.keyed import KeyedDraws

MOST_PROFILES = 100_000  # of covariates that one table lists
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
        model, population, settings, seed: as for `Policies.learned`.
        roster: as for `Policies.assign`.

    Returns:
        The table of `contracts.assignments`.
    """
    return Policies.learned(model, population, settings, seed).assign(roster)


@dataclass(frozen=True)
class Policies:
    """Policies, with what they need to know of the population; they assign to anybody, one by one.

    Attributes:
        model: the learner fitted to the whole calibration.
        names: the policies in their order; overall_best is among them.
        common: policy -> (k, n_attributes) petitions of those that choose among few petitions.
        seed: root seed for the policy `random`, which draws by persons.
    """

    model: Model
    names: Sequence[str]
    common: Mapping[str, np.ndarray]
    seed: int

    @classmethod
    def learned(cls, model: Model, population: pd.DataFrame, settings: PolicyConfig, seed: int) -> Policies:
        """Find the petitions that are best for a population.

        Args:
            model: the learner fitted to the whole calibration.
            population: respondents of the calibration with their weights: overall-best and the petitions of
                `segment` are best for them.
            settings: of the stage; overall_best is added to its policies if it is missing.
            seed: root seed.
        """
        calibrated, weight = in_memory(model.utilities(population)), population["weight"].to_numpy()
        names = settings.policies
        names = names if "overall_best" in names else ["overall_best", *names]
        find = {
            "overall_best": lambda: policy.overall_best(calibrated, weight)[None],
            "best_min": lambda: policy.overall_best(calibrated, weight, worst=True)[None],
            "segment": lambda: policy.best_set(calibrated, weight, settings.segments),
        }
        return cls(model, names, {name: find[name]() for name in find if name in names}, seed)

    def assign(self, roster: pd.DataFrame) -> pd.DataFrame:
        """Assign a petition under every policy to every respondent of a roster, or of a part of it.

        Args:
            roster: respondent_id, the covariates and, if there is one, opt_out (those get overall-best, of
                which nothing is predicted for them).

        Returns:
            The table of `contracts.assignments`.
        """
        design, k = self.model.design, len(self.names)
        roster = roster.sort_values("respondent_id", ignore_index=True)
        opted_out = roster["opt_out"].to_numpy() if "opt_out" in roster else np.zeros(len(roster), dtype=bool)
        petitions = np.empty((len(roster), k, len(design.shape)), dtype=np.int64)
        predicted = np.empty((len(roster), k))
        for chunk in self.model.utilities(roster).chunks():  # made once for all policies: trees take long
            rows, utilities = chunk.rows, Tables(chunk.layout, chunk.cells.T)
            people, best = roster.iloc[rows], self.common["overall_best"]
            for j, name in enumerate(self.names):
                chosen = np.where(opted_out[rows, None], best, self._chosen(name, utilities, people))
                petitions[rows, j] = chosen
                predicted[rows, j] = predicted_response(
                    utilities, chosen, self.model.intercept, self.model.response
                )
        gain = predicted - predicted[:, [self.names.index("overall_best")]]
        predicted[opted_out] = np.nan  # of who refused nothing is predicted
        shown = petitions.reshape(-1, petitions.shape[2])
        people = {
            "respondent_id": roster["respondent_id"].repeat(k).array,
            "policy": pd.array(np.tile(np.array(self.names, dtype=object), len(roster)), dtype="str"),
            "petition_id": design.petition_ids(shown),
        }
        outcome = {"predicted": predicted.ravel(), "gain_over_best": gain.ravel()}
        return pd.concat([pd.DataFrame(people), design.frame(shown), pd.DataFrame(outcome)], axis=1)

    def _chosen(self, name: str, utilities: Utilities, roster: pd.DataFrame) -> np.ndarray:
        """Return the (n, n_attributes) petitions under a policy."""
        if name == "random":
            draws = KeyedDraws(roster["respondent_id"], self.seed, "assign/random")
            return policy.random(len(roster), self.model.design, cast(np.random.Generator, draws))
        if name in ("nano", "nano_min"):
            return policy.nano(utilities, worst=name == "nano_min")
        return policy.segment(utilities, self.common[name])


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


def count_petitions(assigned: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Count who gets which petition under which policy.

    Args:
        assigned: parts of the assignments, of which petition_id and policy are used.

    Returns:
        Counts, the petitions ascending as index, the policies in their order as columns.
    """
    total: pd.DataFrame | None = None
    for part in assigned:
        policy_of, names = pd.factorize(part["policy"])
        petition, ids = pd.factorize(part["petition_id"], sort=True)
        counts = np.bincount(petition * len(names) + policy_of, minlength=len(ids) * len(names))
        table = pd.DataFrame(counts.reshape(len(ids), len(names)), index=pd.Index(ids), columns=list(names))
        total = table if total is None else total.add(table, fill_value=0).astype("int64")[table.columns]
    if total is None:
        raise ValueError("nobody is there to count")
    return total


def petitions_table(counts: pd.DataFrame, design: Design) -> pd.DataFrame:
    """List every petition assigned at least once: id, levels, text, n_<policy> respondents.

    Args:
        counts: from `count_petitions`.
        design: the petitions.
    """
    levels = design.petition_levels(counts.index.to_numpy())
    table = pd.concat([pd.Series(counts.index, name="petition_id"), design.frame(levels)], axis=1)
    table["text"] = design.texts(levels)
    for name in counts:
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
    parts: Iterable[tuple[pd.DataFrame, pd.DataFrame]], covariates: Sequence[CovariateConfig], name: str
) -> pd.DataFrame:
    """Map every covariate profile of the roster to its petition under a policy.

    For survey platforms that assign by look-up. Only covariates that the policy may use appear;
    respondents who opted out are left out.

    Args:
        parts: assignments and roster of the same people, part by part.
        covariates: the allow-list.
        name: of the policy.

    Returns:
        One row a distinct covariate profile: covariates, petition_id, attributes, n respondents. Of more
        than MOST_PROFILES a single row, in which column `not_written` says so.
    """
    used = [c.name for c in covariates if c.target]
    found: pd.DataFrame | None = None
    for assignments, roster in parts:
        chosen = assignments[assignments["policy"] == name]
        people = roster[~roster["opt_out"]] if "opt_out" in roster else roster
        if len(people) > MOST_PROFILES and len(people.drop_duplicates(used)) > MOST_PROFILES:
            return _no_lookup()
        merged = people[["respondent_id", *used]].merge(
            chosen.drop(columns=["policy", "predicted", "gain_over_best"]), on="respondent_id", validate="1:1"
        )
        part = merged.drop(columns="respondent_id").assign(n=1)
        whole = part if found is None else pd.concat([found, part], ignore_index=True)
        keys = [column for column in whole if column != "n"]
        found = whole.groupby(keys, dropna=False, observed=True, sort=True)["n"].sum().reset_index()
        if len(found) > MOST_PROFILES:
            return _no_lookup()
    if found is None:
        raise ValueError("nobody is there to list")
    return found


def _no_lookup() -> pd.DataFrame:
    why = f"there are more than {MOST_PROFILES:,} profiles: use the fielding export"
    return pd.DataFrame({"not_written": [why]})


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
