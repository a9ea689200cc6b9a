"""How sure the assignment is: against enumeration of the whole grid over all draws."""

import numpy as np

from nanotarget.assign.uncertainty import certainty, find_candidates, summary
from nanotarget.calibrate.learners.bart import fit_bart
from nanotarget.calibrate.learners.hierarchical import fit_hierarchical
from nanotarget.calibrate.learners.ridge import fit_ridge
from nanotarget.petitions.policy import nano, overall_best
from nanotarget.study.config import BartConfig
from worlds import factorial, simulate

DESIGN = factorial((3, 3, 2), [{"a0": ["l0"], "a1": ["l1", "l2"]}])
GRID = DESIGN.petition_levels(np.arange(18))
GRID = GRID[DESIGN.is_feasible(GRID)]


def fits():
    data, _ = simulate(DESIGN, 60, 4, np.random.default_rng(0), specific=0.8, idiosyncratic=0.3)
    bart = fit_bart(data, 1, BartConfig(trees=20, draws=60, burn_in=40, chains=2))
    return data, [fit_ridge(data, 1), fit_hierarchical(data, 1), fit_hierarchical(data, 1, True), bart]


def test_probabilities_and_regrets_equal_enumeration():
    data, models = fits()
    people = data.respondents
    for model in models:
        chosen = nano(model.utilities(people))
        best = overall_best(model.utilities(people), data.weight)
        candidates = find_candidates(model, people, np.vstack([chosen, best]), 100)
        table = certainty(model, people, chosen, best, candidates)
        values = np.array(
            [
                drawn.utilities_of_all(GRID)
                for drawn in model.drawn_utilities(people, np.arange(model.n_draws))
            ]
        )
        ids = DESIGN.petition_ids(GRID)
        own = np.searchsorted(ids, DESIGN.petition_ids(chosen))
        common = np.searchsorted(ids, DESIGN.petition_ids(best[None]))[0]
        i = np.arange(60)
        mine, everybodys = values[:, i, own], values[:, :, common]
        members = np.searchsorted(ids, DESIGN.petition_ids(candidates.petitions))
        among = values[:, :, members]
        first = members[among.argmax(axis=2)]
        top = among.max(axis=2)
        assert np.allclose(table["p_nano_best"], (first == own).mean(axis=0), atol=0.02)
        assert np.allclose(table["p_overall_best"], (first == common).mean(axis=0), atol=0.02)
        assert np.allclose(table["regret_nano"], (top - mine).mean(axis=0), atol=1e-4)
        assert np.allclose(table["regret_overall_best"], (top - everybodys).mean(axis=0), atol=1e-4)
        better = (mine - everybodys > 1e-6).mean(axis=0)
        assert np.allclose(table["p_nano_better"], better, atol=0.02)
        assert candidates.coverage > 0.9
        # The nano petition is best on average, so nobody expects to lose less with overall-best.
        assert (table["regret_nano"] <= table["regret_overall_best"] + 1e-5).all()
        same = (chosen == best).all(axis=1)
        assert (table.loc[same, "p_nano_better"] == 0).all()
        rows = summary(table, candidates, model.n_draws).set_index("quantity")["value"]
        assert rows["draws"] == model.n_draws
        assert rows["coverage"] == candidates.coverage


def test_coverage_is_low_where_candidates_are_few():
    data, models = fits()
    people = data.respondents
    best = overall_best(models[2].utilities(people), data.weight)
    few = find_candidates(models[2], people, best[None], 0)
    many = find_candidates(models[2], people, best[None], 100)
    assert len(few.petitions) == 1
    assert few.coverage < 0.6 < many.coverage


def test_order_of_the_roster_changes_nothing():
    data, models = fits()
    for model in models:
        tables = []
        for people in (data.respondents, data.respondents.sample(frac=1, random_state=1)):
            chosen = nano(model.utilities(people))
            best = overall_best(model.utilities(people), people["weight"].to_numpy())
            candidates = find_candidates(model, people, np.vstack([chosen, best]), 5)
            table = certainty(model, people, chosen, best, candidates)
            tables.append(table.sort_values("respondent_id", ignore_index=True))
        assert (tables[0]["respondent_id"] == tables[1]["respondent_id"]).all()
        assert np.allclose(tables[0].iloc[:, 1:], tables[1].iloc[:, 1:], atol=0.03)
