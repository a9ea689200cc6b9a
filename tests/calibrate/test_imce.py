"""Individual effects and their importance: against enumeration, and against what is known."""

import numpy as np
import pandas as pd
import pytest

from nanotarget.calibrate.imce import DISTRIBUTION_COLUMNS, distribution, imce, importance
from nanotarget.calibrate.learners.bart import fit_bart
from nanotarget.calibrate.learners.hierarchical import fit_hierarchical
from nanotarget.calibrate.learners.ridge import fit_ridge
from nanotarget.petitions.score import landscape
from nanotarget.study.config import BartConfig
from worlds import factorial, simulate

DESIGN = factorial((4, 3, 2), [{"a0": ["l0"], "a1": ["l1", "l2"]}])
GRID = DESIGN.petition_levels(np.arange(24))
CHANCE = DESIGN.joint_probabilities((0, 1, 2)).ravel()


def fits(outcome):
    data, _ = simulate(DESIGN, 80, 5, np.random.default_rng(0), specific=0.4, outcome=outcome)
    bart = fit_bart(data, 1, BartConfig(trees=20, draws=80, burn_in=40, chains=2))
    return data, {"ridge": fit_ridge(data, 1), "hierarchical": fit_hierarchical(data, 1), "bart": bart}


def enumerated(model, people, outcome):
    """(n, reported levels) effects by averaging over the whole grid, of choices over all opponents, too."""
    values = landscape(model.utilities(people))
    possible = CHANCE > 0
    if outcome == "choice":
        rivals = values[:, possible]
        wins = 1 / (1 + np.exp(rivals[:, None, :] - values[:, :, None]))
        values = wins @ CHANCE[possible]
    columns = []
    for a, size in enumerate(DESIGN.shape):
        means = []
        for level in range(size):
            given = CHANCE * (GRID[:, a] == level)
            means.append(values[:, possible] @ given[possible] / given.sum())
        columns += [mean - means[0] for mean in means[1:]]
    return np.column_stack(columns)


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_effects_equal_enumeration_of_the_grid(outcome):
    data, models = fits(outcome)
    for name, model in models.items():
        table = imce(model, data.respondents, 0.9, 1)
        found = table["estimate"].to_numpy().reshape(80, -1)
        exact = enumerated(model, data.respondents, outcome)
        if outcome == "rating":
            assert found == pytest.approx(exact, abs=1e-9), name
        else:  # the normal approximation of the other attributes
            assert np.abs(found - exact).max() < 0.15 * np.abs(exact).max(), name
            assert np.polyfit(exact.ravel(), found.ravel(), 1)[0] == pytest.approx(1, abs=0.05), name
            assert np.corrcoef(exact.ravel(), found.ravel())[0, 1] > 0.998, name


@pytest.mark.parametrize("outcome", ["rating", "choice"])
def test_intervals_hold_the_draws_and_people_are_joined_by_id(outcome):
    data, models = fits(outcome)
    shuffled = data.respondents.sample(frac=1, random_state=1)
    for model in models.values():
        table = imce(model, data.respondents, 0.9, 1)
        assert (table["conf_low"] <= table["conf_high"]).all()
        inside = (table["conf_low"] <= table["estimate"]) & (table["estimate"] <= table["conf_high"])
        assert inside.mean() > 0.95
        keys = ["respondent_id", "attribute", "level"]
        moved = imce(model, shuffled, 0.9, 1)
        both = table.merge(moved, on=keys, suffixes=("", "_moved"), validate="1:1")
        assert len(both) == len(table)
        for column in ("estimate", "conf_low", "conf_high"):
            assert np.allclose(both[column], both[f"{column}_moved"], atol=2e-3)


def test_chunks_of_respondents_change_nothing(monkeypatch):
    data, models = fits("rating")
    for model in models.values():
        whole = imce(model, data.respondents, 0.9, 1)
        monkeypatch.setattr("nanotarget.calibrate.imce.NUMBERS", 20 * model.n_draws * sum(DESIGN.shape))
        parts = imce(model, data.respondents, 0.9, 1)
        monkeypatch.undo()
        assert (whole["respondent_id"] == parts["respondent_id"]).all()
        assert np.allclose(whole["estimate"], parts["estimate"])
        assert np.allclose(whole["conf_low"], parts["conf_low"], atol=1e-5)


def test_no_effects_differ_where_nothing_was_learned():
    data, _ = simulate(DESIGN, 60, 4, np.random.default_rng(1))
    flat = fit_ridge(type(data)(**{**vars(data), "covariates": ()}), 1)
    table = imce(flat, data.respondents, 0.9, 1)
    assert table.groupby(["attribute", "level"])["estimate"].nunique().max() == 1
    explained = importance(table, data.respondents, data.covariates, 1)
    assert explained.empty
    assert list(explained.columns) == ["attribute", "level", "covariate", "importance", "n"]


def test_importance_names_the_covariate_that_drives_an_effect():
    design = factorial((3, 3))
    rng = np.random.default_rng(2)
    data, _ = simulate(design, 500, 5, rng, common=0.1)
    slope = np.array([0.0, 1.0, -1.0])[data.levels[:, 0]] * data.respondents["z1"].to_numpy()[data.respondent]
    driven = type(data)(**{**vars(data), "outcome": data.outcome + slope})
    model = fit_ridge(driven, 1)
    table = importance(imce(model, data.respondents, 0.9, 1), data.respondents, data.covariates, 1)
    own = table[(table["attribute"] == "a0") & (table["level"] == "l1")].set_index("covariate")["importance"]
    assert own.idxmax() == "z1"
    assert own["z1"] > 1 and own.drop("z1").max() < 0.1


def test_the_distribution_counts_people_and_keeps_the_extremes_to_itself():
    effects = np.concatenate([np.linspace(-1, 1, 101), np.full(101, 0.5)])
    table = pd.DataFrame(
        {
            "respondent_id": np.tile(np.arange(101), 2).astype(str),
            "attribute": np.repeat(["b", "a"], 101),
            "level": "x",
            "estimate": effects,
            "std_error": 0.1,
            "conf_low": effects - 0.2,
            "conf_high": effects + 0.2,
        }
    )
    found = distribution(table)
    assert list(found["attribute"]) == ["b", "a"] and set(found["n"]) == {101}
    spread, flat = (row for _, row in found.iterrows())
    assert np.allclose(spread[["q05", "q25", "q50", "q75", "q95"]].astype(float), [-0.9, -0.5, 0, 0.5, 0.9])
    assert (spread["share_positive"], spread["share_above"], spread["share_below"]) == (
        50 / 101,
        40 / 101,
        40 / 101,
    )
    assert flat["std_dev"] == 0 and flat["share_above"] == 1 and flat["q05"] == flat["q95"] == 0.5
    assert 1.0 not in set(spread[["mean", "std_dev", "q95"]]) and list(found) == list(DISTRIBUTION_COLUMNS)
    assert list(distribution(table.iloc[:0])) == list(DISTRIBUTION_COLUMNS)
