"""How sure is it that a petition is a respondent's best, and what would overall-best cost her?

Over posterior draws of utilities, on a set of candidate petitions: everybody's best under the posterior
mean, the overall-best petition, and the petitions that are most often somebody's best in some draws,
searched over the whole grid. The *coverage* of the set is the share of people and draws whose best petition
of the whole grid is in it, measured in draws that did not choose it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanotarget.calibrate.learners.base import Model
from nanotarget.petitions.score import best_petitions

SEARCHED = 10  # draws whose best petitions are candidates, and as many that measure coverage
PEOPLE = 500  # respondents, evenly spaced by id, whose best petitions are searched for in these draws


@dataclass(frozen=True)
class Candidates:
    """Petitions that may be somebody's best.

    Attributes:
        petitions: (k, n_attributes) level indices, by petition id.
        coverage: share of people and draws whose best petition of all is among them.
    """

    petitions: np.ndarray
    coverage: float


def find_candidates(model: Model, respondents: pd.DataFrame, assigned: np.ndarray, size: int) -> Candidates:
    """Choose candidate petitions.

    Args:
        assigned: (k, n_attributes) petitions that must be among them.
        size: number of candidates beyond these.
    """
    design = model.design
    order = np.argsort(respondents["respondent_id"].to_numpy(), kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(PEOPLE, len(order))).astype(int))]
    people = respondents.iloc[chosen]
    draws = np.unique(np.linspace(0, model.n_draws - 1, min(2 * SEARCHED, model.n_draws)).astype(int))
    ids = [design.petition_ids(best_petitions(drawn)) for drawn in model.drawn_utilities(people, draws)]
    kept = np.unique(design.petition_ids(assigned))
    best, count = np.unique(np.concatenate(ids[::2]), return_counts=True)
    others = ~np.isin(best, kept)
    frequent = best[others][np.argsort(-count[others], kind="stable")][:size]
    members = np.union1d(kept, frequent)
    tested = ids[1::2] or ids
    return Candidates(design.petition_levels(members), float(np.isin(np.concatenate(tested), members).mean()))


def certainty(
    model: Model, respondents: pd.DataFrame, nano: np.ndarray, best: np.ndarray, candidates: Candidates
) -> pd.DataFrame:
    """Compare each respondent's nano petition and the overall-best one over posterior draws.

    Args:
        respondents: respondent_id and covariates.
        nano: (n, n_attributes) each respondent's petition under nano.
        best: (n_attributes,) the overall-best petition.

    Returns:
        One row per respondent: respondent_id; p_nano_best, p_overall_best: probability that the petition is
        best among the candidates; p_nano_better: that nano is better than overall-best (0 where they are the
        same petition); regret_nano, regret_overall_best: expected loss against the best candidate, in
        units of utility (rating points, log-odds of a choice).
    """
    design = model.design
    ids = design.petition_ids(candidates.petitions)
    own = np.searchsorted(ids, design.petition_ids(nano))
    common = int(np.searchsorted(ids, design.petition_ids(best[None]))[0])
    people = np.arange(len(respondents))
    sums = np.zeros((5, len(people)))
    for value in model.draws_of_petitions(respondents, candidates.petitions):
        top = value.max(axis=1)
        mine, everybodys = value[people, own], value[:, common]
        # A tie goes to the lowest id, as everywhere.
        first = value.argmax(axis=1)
        sums += [first == own, first == common, mine > everybodys, top - mine, top - everybodys]
    means = sums / model.n_draws
    names = ["p_nano_best", "p_overall_best", "p_nano_better", "regret_nano", "regret_overall_best"]
    table = pd.DataFrame(dict(zip(names, means, strict=True)))
    table.insert(0, "respondent_id", respondents["respondent_id"].to_numpy())
    return table.astype({"respondent_id": "str"})


def summary(table: pd.DataFrame, candidates: Candidates, n_draws: int) -> pd.DataFrame:
    """Return quantity, value, n: means over respondents, and what they rest on."""
    rows = [(name, float(table[name].mean()), len(table)) for name in table.columns[1:]]
    rows += [
        ("candidates", float(len(candidates.petitions)), len(table)),
        ("coverage", candidates.coverage, len(table)),
        ("draws", float(n_draws), len(table)),
    ]
    return pd.DataFrame(rows, columns=["quantity", "value", "n"])
