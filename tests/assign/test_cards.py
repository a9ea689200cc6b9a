"""Cards: gains of switches add up, traits behind them equal one person changed by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from nanotarget.assign.cards import TOP, Compared, _told, cards, lines, switches, typical
from nanotarget.assign.uncertainty import certainty, find_candidates
from nanotarget.calibrate.learners.hierarchical import fit_hierarchical
from nanotarget.calibrate.learners.ridge import fit_ridge
from nanotarget.petitions.policy import nano, overall_best
from nanotarget.petitions.score import predicted_response
from nanotarget.study.config import CovariateConfig
from worlds import factorial, simulate

DESIGN = factorial((3, 3, 2))


@pytest.fixture(scope="module", params=["ridge", "own answers"])
def made(request):
    data, _ = simulate(DESIGN, 60, 4, np.random.default_rng(0), specific=0.8, idiosyncratic=0.3)
    model = fit_ridge(data, 1) if request.param == "ridge" else fit_hierarchical(data, 1, True)
    people = data.respondents.assign(weight=data.weight)
    traits = [name for name in data.respondents if name not in ("respondent_id", "weight")]
    covariates = [
        CovariateConfig(name=name, kind="numeric") for name in traits if people[name].dtype.kind == "f"
    ]
    utilities = model.utilities(people)
    chosen, best = nano(utilities), overall_best(utilities, data.weight)
    found = switches(model, people, people, chosen, best, covariates)
    sure = certainty(model, people, chosen, best, find_candidates(model, people, [*chosen, best], 20))
    return model, Compared(people, chosen, best, sure), found, covariates


def test_gains_of_the_switches_add_up_to_the_gain_of_her_petition(made):
    model, compared, found, _ = made
    assert len(found) == (compared.chosen != compared.best).sum() > 20
    utilities = model.utilities(compared.people)
    best = np.repeat(compared.best[None], 60, axis=0)
    predicted = [
        predicted_response(utilities, petitions, model.intercept, model.response)
        for petitions in (compared.chosen, best)
    ]
    total = found.groupby("person")["gain"].sum().reindex(range(60), fill_value=0)
    assert np.allclose(total, predicted[0] - predicted[1], atol=1e-6)
    assert (found["gain"] > -1e-9).all()


def test_what_a_trait_has_to_do_with_a_switch_equals_one_person_changed_by_hand(made):
    model, compared, found, covariates = made
    name = covariates[0].name
    value = typical(compared.people, name)
    for row in found.head(5).to_dict("records"):
        person = compared.people.iloc[[row["person"]]]
        hers = compared.chosen[[row["person"]]]
        without = hers.copy()
        without[0, row["attribute"]] = compared.best[row["attribute"]]
        gains = []
        for someone in (person, person.assign(**{name: value})):
            utilities = model.utilities(someone)
            gain = [
                predicted_response(utilities, petition, model.intercept, model.response)[0]
                for petition in (hers, without)
            ]
            gains.append(gain[0] - gain[1])
        assert row["gain"] == pytest.approx(gains[0], abs=1e-9)
        assert row[name] == pytest.approx(gains[0] - gains[1], abs=1e-9)


def test_a_card_names_the_traits_that_argue_most_for_a_switch(made):
    model, compared, found, covariates = made
    rows = cards(model, compared, found, "c0ffee")
    assert [row["respondent_id"] for row in rows] == sorted(compared.people["respondent_id"].astype(str))
    again = [json.loads(line) for line in lines(rows).splitlines()]
    assert again == rows
    names = [covariate.name for covariate in covariates]
    position = {str(name): i for i, name in enumerate(compared.people["respondent_id"])}
    for row in rows:
        i = position[row["respondent_id"]]
        for switch in row["switches"]:
            parts = [reason["part_of_gain"] for reason in switch["because"]]
            assert len(parts) <= TOP and parts == sorted(parts, reverse=True) and all(p >= 0 for p in parts)
            mine = found[
                (found["person"] == i) & (found["attribute"] == DESIGN.names.index(switch["attribute"]))
            ]
            assert parts[:1] == [round(max(mine[names].iloc[0].max(), 0), 4)] or not parts
        assert bool(row["switches"]) == (row["petition_id"] != row["overall_best_id"])
        assert row["model_sha256"] == "c0ffee" and row["text"] and 0 <= row["p_hers_better"] <= 1


def test_a_typical_value_is_the_weighted_median_or_the_most_frequent_level():
    people = pd.DataFrame(
        {
            "age": [20.0, 30.0, 40.0, np.nan],
            "party": pd.Categorical(["a", "b", "b", None], ["a", "b", "c"]),
            "none": [np.nan] * 4,
            "weight": [5.0, 1.0, 1.0, 9.0],
        }
    )
    assert (
        typical(people, "age") == 20.0 and typical(people, "party") == "a" and typical(people, "none") is None
    )
    assert typical(people.assign(weight=1.0), "age") == 30.0
    assert typical(people.assign(weight=1.0), "party") == "b"


def test_who_gets_the_overall_best_petition_has_a_card_without_switches(made):
    model, compared, _, covariates = made
    best = np.repeat(compared.best[None], 60, axis=0)
    found = switches(model, compared.people, compared.people, best, compared.best, covariates)
    rows = cards(model, Compared(compared.people, best, compared.best, compared.sure), found, "")
    assert len(rows) == 60 and not any(row["switches"] for row in rows)


def test_an_answer_is_told_without_decimals_that_nobody_gave():
    assert [_told(v) for v in (60.0, 0.25, "Left", None, np.nan)] == ["60", "0.25", "Left", None, None]
