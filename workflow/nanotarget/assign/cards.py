"""A card for each person: her petition beside the overall-best one, and which of her traits are behind it.

A switch is an attribute in which the two differ. What a trait has to do with it is counterfactual: how much
less her level would gain over that of the overall-best petition if she had the trait's typical value (the
weighted median or the most frequent level of the calibration) and stayed the same otherwise. It says what the
model does, not what causes people's tastes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nanotarget.calibrate.learners.base import Model
from nanotarget.petitions.score import predicted_response
from nanotarget.study.config import CovariateConfig

TOP = 3  # traits that are named behind a switch
DIGITS = 4


def typical(population: pd.DataFrame, covariate: str) -> Any:
    """Return the value of a covariate that splits a population in halves, or is most frequent in it."""
    known = population[population[covariate].notna()]
    if known.empty:
        return None
    weight = known["weight"].to_numpy()
    if pd.api.types.is_numeric_dtype(known[covariate]):
        order = np.argsort(known[covariate].to_numpy(), kind="stable")
        middle = np.searchsorted(weight[order].cumsum(), weight.sum() / 2)
        return known[covariate].iloc[order[min(middle, len(order) - 1)]]
    return known.groupby(covariate, observed=True)["weight"].sum().idxmax()


def switches(
    model: Model,
    people: pd.DataFrame,
    population: pd.DataFrame,
    chosen: np.ndarray,
    best: np.ndarray,
    covariates: Sequence[CovariateConfig],
) -> pd.DataFrame:
    """Say of each attribute in which a person's petition differs what it gains, and what is behind it.

    Args:
        model: the frozen learner.
        people: respondent_id and covariates of those who did not refuse.
        population: respondents of the calibration with their weights.
        chosen: (n, n_attributes) their petitions.
        best: (n_attributes,) the overall-best petition.
        covariates: of the study; those that may not target are left out.

    Returns:
        person (position), attribute (position), gain (predicted, in units of the outcome), and a column a
        covariate: how much of the gain goes if she had the typical value. A row a switch.
    """
    person, attribute = np.nonzero(chosen != best)
    rows = people.iloc[person]
    with_it, without = chosen[person], chosen[person].copy()
    without[np.arange(len(person)), attribute] = best[attribute]

    def gains(table: pd.DataFrame) -> np.ndarray:
        utilities = model.utilities(table)
        hers, theirs = (
            predicted_response(utilities, petitions, model.intercept, model.response)
            for petitions in (with_it, without)
        )
        return hers - theirs

    found = pd.DataFrame({"person": person, "attribute": attribute, "gain": 0.0})
    if not len(person):
        return found
    found["gain"] = gains(rows)
    for covariate in (c for c in covariates if c.target and c.name in people):
        value = typical(population, covariate.name)
        changed = rows.assign(**{covariate.name: pd.Series([value] * len(rows), rows.index)})
        changed[covariate.name] = changed[covariate.name].astype(rows[covariate.name].dtype)
        found[covariate.name] = found["gain"] - gains(changed)
    return found


@dataclass(frozen=True)
class Compared:
    """Whom the cards are for, and what they would get.

    Attributes:
        people, chosen, best: as for `switches`.
        sure: table of `uncertainty.certainty` of the same people, in their order.
    """

    people: pd.DataFrame
    chosen: np.ndarray
    best: np.ndarray
    sure: pd.DataFrame


def cards(model: Model, compared: Compared, found: pd.DataFrame, digest: str) -> list[dict[str, Any]]:
    """Return a card a person, by id.

    Args:
        model: the frozen learner.
        compared: the people and their petitions.
        found: result of `switches`.
        digest: SHA-256 of the model.
    """
    shown = np.vstack([compared.chosen, compared.best[None]])
    known = _described(model, shown)
    *ids, common = model.design.petition_ids(shown).tolist()
    differ = _differ(model, compared, found)
    rows = [
        {
            "respondent_id": respondent,
            "petition_id": petition,
            **known[petition],
            "overall_best_id": common,
            **{f"overall_best_{name}": value for name, value in known[common].items()},
            "switches": differ.get(i, []),
            "p_hers_better": round(better, DIGITS),
            "p_hers_best": round(best, DIGITS),
            "model_sha256": digest,
        }
        for i, (respondent, petition, better, best) in enumerate(
            zip(
                compared.people["respondent_id"].astype(str),
                ids,
                compared.sure["p_nano_better"].tolist(),
                compared.sure["p_nano_best"].tolist(),
                strict=True,
            )
        )
    ]
    return sorted(rows, key=lambda row: row["respondent_id"])


def _described(model: Model, petitions: np.ndarray) -> dict[int, dict[str, Any]]:
    """Levels and text of each petition, by id."""
    design = model.design
    levels = design.petition_levels(np.unique(design.petition_ids(petitions)))
    frame = design.frame(levels).astype("object")
    named = [{name: str(level) for name, level in row.items()} for row in frame.to_dict("records")]
    ids = design.petition_ids(levels).tolist()
    return {
        petition: {"levels": row, "text": text}
        for petition, row, text in zip(ids, named, design.texts(levels), strict=True)
    }


def _differ(model: Model, compared: Compared, found: pd.DataFrame) -> dict[int, list[dict[str, Any]]]:
    """The switches of each person, by position."""
    design = model.design
    traits = [name for name in found.columns if name not in ("person", "attribute", "gain")]
    values = {name: compared.people[name].astype("object").tolist() for name in traits}
    levels = [[str(level) for level in attribute.levels] for attribute in design.attributes]
    by_person: dict[int, list[dict[str, Any]]] = {}
    for switch in found.to_dict("records"):
        i, a = switch["person"], switch["attribute"]
        by_person.setdefault(i, []).append(
            {
                "attribute": design.names[a],
                "hers": levels[a][compared.chosen[i, a]],
                "overall_best": levels[a][compared.best[a]],
                "gain": round(switch["gain"], DIGITS),
                "because": [
                    {
                        "covariate": name,
                        "value": _told(values[name][i]),
                        "part_of_gain": round(part, DIGITS),
                    }
                    for part, name in sorted(
                        ((switch[name], name) for name in traits if switch[name] > 0), reverse=True
                    )[:TOP]
                ],
            }
        )
    return by_person


def _told(value: Any) -> str | None:
    """Return an answer as it is told: a whole number without decimals, None if there was none."""
    return None if pd.isna(value) else f"{value:.12g}" if isinstance(value, float) else str(value)


def lines(rows: Sequence[dict[str, Any]]) -> str:
    """Return cards as JSON Lines: one a line, which survey tools merge by the id."""
    return "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
