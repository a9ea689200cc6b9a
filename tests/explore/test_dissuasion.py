"""Nano-worst against overall-worst, the asymmetry, and the lower tail of the experiment."""

import importlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import yaml

from nanotarget import estimate
from nanotarget.calibrate.learners.base import mean_and_error
from nanotarget.calibrate.learners.crossfit import crossfit
from nanotarget.calibrate.learners.ridge import fit_ridge
from nanotarget.diagnose import Group
from nanotarget.diagnose.ceiling import gain_ceiling
from nanotarget.diagnose.dividend import Dividend
from nanotarget.estimate import Table
from nanotarget.explore.pair import Pair
from nanotarget.explore.polarisation import calibrated_gap
from nanotarget.petitions.policy import overall_best
from nanotarget.petitions.utilities import Tables, additive_layout
from nanotarget.study.checks import validate
from nanotarget.study.config import OutcomeConfig
from nanotarget.study.problems import InputError
from nanotarget.study.seeds import child_rng
from trials import trial
from worlds import answer, as_respondents, factorial, simulate

# The package has functions of the same names.
d = importlib.import_module("nanotarget.explore.dissuasion")
lt = importlib.import_module("nanotarget.explore.lower_tail")

DESIGN = factorial((4, 3, 3))


def world(seed=1, n=240, outcome="rating"):
    return simulate(
        DESIGN, n, 4, np.random.default_rng(seed), common=0.3, specific=0.35, features=2, outcome=outcome
    )[0]


def fitted_to(data):
    return crossfit(data, lambda train, part: fit_ridge(train, 1), 4, 1)


def pick(found, quantity, attribute="", group="all"):
    rows = found[
        (found["quantity"] == quantity) & (found["attribute"] == attribute) & (found["group"] == group)
    ]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.fixture(scope="module", params=["rating", "choice"])
def fitted(request):
    return fitted_to(world(outcome=request.param))


def test_the_asymmetry_is_of_paired_scores_of_the_dividend(fitted):
    found = d.dissuasion(d.Ends(fitted), bootstraps=20)
    assert list(found.columns) == list(d.DISSUASION_COLUMNS)
    up, down = (Dividend(fitted.for_goal(goal)).gains() for goal in ("support", "dissuade"))
    row = pick(found, d.ASYMMETRY)
    expected = mean_and_error(down - up, fitted.data.weight)
    assert (row["estimate"], row["std_error"]) == pytest.approx(expected)
    loss = pick(found, "overall_worst")["estimate"] - pick(found, "nano_worst")["estimate"]
    assert pick(found, "overall_worst - nano_worst")["estimate"] == pytest.approx(loss)
    assert row["estimate"] == pytest.approx(loss - pick(found, "nano - overall_best")["estimate"])


def test_values_of_the_worst_petitions_are_on_the_scale_of_the_outcome(fitted):
    found = d.dissuasion(d.Ends(fitted), bootstraps=2)
    values = [pick(found, q)["estimate"] for q in ("nano", "overall_best", "overall_worst", "nano_worst")]
    mean = fitted.data.outcome.mean()
    assert values[0] > mean > values[3] and values[1] > values[2]
    room = pick(found, "room above")["estimate"]
    assert room == pytest.approx(fitted.data.outcome.max() - values[1])
    assert pick(found, "room below")["estimate"] == pytest.approx(values[2] - fitted.data.outcome.min())


def test_the_opposite_study_has_the_opposite_asymmetry():
    """Learned anew from less support: what was the top is the bottom."""
    data = world()
    before = d.dissuasion(d.Ends(fitted_to(data), 1), bootstraps=30)
    after = d.dissuasion(d.Ends(fitted_to(data.reversed()), 1), bootstraps=30)
    for quantity, other, sign in (
        (d.ASYMMETRY, d.ASYMMETRY, -1),
        ("nano - overall_best", "overall_worst - nano_worst", 1),
        ("nano", "nano_worst", -1),
        ("ceiling above", "ceiling below", 1),
        ("ceiling below - ceiling above", "ceiling below - ceiling above", -1),
        ("room above", "room below", 1),
    ):
        one, two = pick(before, quantity), pick(after, other)
        assert one["estimate"] == pytest.approx(sign * two["estimate"], abs=1e-6), quantity
        assert one["std_error"] == pytest.approx(two["std_error"], abs=1e-6), quantity
    assert pick(before, "top gap", "a0")["estimate"] == pytest.approx(
        pick(after, "bottom gap", "a0")["estimate"]
    )


def skewed(n=1500, seed=1):
    """Two good levels are close, the worst one is far off; people's deviations are as large for each."""
    rng = np.random.default_rng(seed)
    design = factorial((3, 3))
    common = np.array([0.55, 0.45, -1.0] * 2)
    z = rng.normal(size=(n, 6))
    slopes = np.kron(np.eye(2), 0.25 * (np.eye(3) - 1 / 3))
    respondents, covariates = as_respondents(pd.DataFrame(z, columns=[f"z{j}" for j in range(6)]))
    utilities = Tables(additive_layout(design), common + z @ slopes)
    return answer(utilities, respondents, covariates, 5, rng), utilities, design


def test_close_runners_up_make_support_gain_more_and_the_gaps_explain_it():
    data, utilities, design = skewed()
    found = d.dissuasion(d.Ends(fitted_to(data), 1), bootstraps=60)
    values = utilities.utilities_of_all(design.petition_levels(np.arange(9)))
    best, worst = (overall_best(utilities, np.ones(utilities.n), worst=w) for w in (False, True))
    ids = design.petition_ids(np.array([best, worst]))
    gain = values.max(axis=1).mean() - values[:, ids[0]].mean()
    loss = values[:, ids[1]].mean() - values.min(axis=1).mean()
    row = pick(found, d.ASYMMETRY)
    assert loss - gain < -0.1
    assert row["conf_high"] < 0 and abs(row["estimate"] - (loss - gain)) < 4 * row["std_error"]
    for attribute in design.names:
        gaps = pick(found, "bottom gap - top gap", attribute)
        assert abs(gaps["estimate"] - 1.35) < 4 * gaps["std_error"] and gaps["conf_low"] > 0
    predicted = pick(found, "ceiling below - ceiling above")
    assert predicted["conf_high"] < 0
    parts = [pick(found, "ceiling below - ceiling above", name)["estimate"] for name in design.names]
    assert sum(parts) == pytest.approx(predicted["estimate"])
    # The covariates tell all here, so that the ceilings are the truth.
    for end, truth in (("ceiling above", gain), ("ceiling below", loss)):
        assert abs(pick(found, end)["estimate"] - truth) < 4 * pick(found, end)["std_error"] + 0.01


def test_ceilings_add_up_to_those_of_the_diagnosis(fitted):
    found = d.dissuasion(d.Ends(fitted), bootstraps=3)
    weight = fitted.data.weight
    variances = d.Ends(fitted).heterogeneity.variances(weight[None]).on_scale(fitted, weight)
    covariance = variances.covariance.nearest(variances.person_by_message)
    whole = gain_ceiling(DESIGN, -variances.part_worths, covariance, variances.scale)
    assert pick(found, "ceiling below")["estimate"] == pytest.approx(whole[0])


def test_gaps_and_their_errors_are_those_of_clustered_least_squares():
    data, _, design = skewed(400)
    found = d.dissuasion(d.Ends(fitted_to(data), 1), bootstraps=300)
    dummies = np.column_stack([data.levels[:, a] == k for a in (0, 1) for k in (1, 2)]).astype(float)
    x, y = (v - data.respondent_means(v)[data.respondent] for v in (dummies, data.outcome))
    model = sm.OLS(y, x).fit(cov_type="cluster", cov_kwds={"groups": data.respondent})
    # Levels are 0.55, 0.45 and -1: the runner-up less the worst, the best less the runner-up.
    for quantity, row in (("bottom gap", [1, -1, 0, 0]), ("top gap", [-1, 0, 0, 0])):
        test, own = model.t_test(row), pick(found, quantity, design.names[0])
        # A level is taken off by the other tasks there, by all here: alike but for noise.
        assert own["estimate"] == pytest.approx(test.effect.item(), abs=test.sd.item())
        assert own["std_error"] == pytest.approx(test.sd.item(), rel=0.15)


def test_a_group_is_a_weight_of_zero_for_all_others():
    data = world()
    fitted = fitted_to(data)
    members = data.respondents["z0"].to_numpy() > 0
    found = d.dissuasion(d.Ends(fitted), [Group("z0: high", members)], bootstraps=10)
    up, down = (Dividend(fitted.for_goal(goal)).gains()[members] for goal in ("support", "dissuade"))
    row = pick(found, d.ASYMMETRY, group="z0: high")
    assert (row["estimate"], row["std_error"]) == pytest.approx(
        mean_and_error(down - up, np.ones(members.sum()))
    )
    assert row["n"] == members.sum()
    empty = d.dissuasion(d.Ends(fitted), [Group("none", members & ~members)], bootstraps=2)
    row = empty[empty["group"] == "none"].iloc[0]
    assert row["note"] == "fewer than two respondents" and np.isnan(row["estimate"])


def test_without_covariates_nobody_would_get_another_petition():
    data = replace(world(), covariates=())
    found = d.dissuasion(d.Ends(fitted_to(data)), bootstraps=2)
    rows = found[found["quantity"].isin(d.TESTED)]
    assert rows["estimate"].eq(0).all() and rows["std_error"].isna().all()
    assert rows["note"].eq("nobody would get another petition").all()


def test_only_differences_are_tested(fitted):
    found = d.dissuasion(d.Ends(fitted), bootstraps=10)
    tested = set(found.loc[found["p_value"].notna(), "quantity"])
    assert tested == {*d.TESTED, "bottom gap - top gap", "ceiling below - ceiling above"}


@pytest.mark.parametrize("policy", ["best_min", "nano_min"])
@pytest.mark.parametrize("section", ["roster", "experiment"])
def test_no_arm_can_field_a_petition_that_dissuades(project, section, policy):
    settings = yaml.safe_load((project / "config.yaml").read_text(encoding="utf-8"))
    settings["assign"] = {**settings.get("assign", {}), "policies": ["nano", "best_min", "nano_min"]}
    if section == "roster":
        settings.pop("experiment")
        settings["roster"] = {
            "file": "people.csv",
            "respondent": "id",
            "ledger": "ledger.csv",
            "arms": [{"name": "a", "policy": "nano"}, {"name": "b", "policy": "nano"}],
        }
    validate(settings, "config")  # nothing else is wrong with it
    settings[section]["arms"][1]["policy"] = policy
    with pytest.raises(InputError, match=policy):
        validate(settings, "config")


# --- the lower tail of the experiment ---

ARMS = ["control", "best", "nano"]


def experiment(n=600, seed=1, weighted=True):
    rng = child_rng(seed, "lower tail")
    arm = rng.integers(0, 3, n)
    latent = rng.normal(4 + 0.3 * arm, 2.5)
    return pd.DataFrame(
        {
            "respondent_id": [f"r{i:05d}" for i in range(n)],
            "arm": pd.Categorical.from_codes(arm, ARMS),
            "support": np.clip(np.round(latent), 0, 10),
            "exact": latent,
            "sign": (latent > 5).astype(float),
            "weight": rng.uniform(0.5, 2, n) if weighted else 1.0,
        }
    )


def tail(table, *outcomes, arms=ARMS, **floors):
    measured = [
        OutcomeConfig(name=name, kind="continuous", range=[floors[name], 10.0] if name in floors else None)
        for name in outcomes
    ]
    found = lt.lower_tail(trial(table, arms, measured), 1)
    assert list(found.columns) == list(Table.LOWER_TAIL.columns)
    return found


def test_mid_quantiles_without_ties_are_hazens_and_weights_are_copies():
    rng = np.random.default_rng(1)
    values, levels = rng.normal(size=37), [0.05, 0.1, 0.5, 0.93]
    found = lt.mid_quantiles(values, np.ones((1, 37)), levels)[0]
    np.testing.assert_allclose(found, np.quantile(values, levels, method="hazen"))
    times = rng.integers(0, 3, 37)
    copies = lt.mid_quantiles(np.repeat(values, times), np.ones((1, times.sum())), levels)
    np.testing.assert_allclose(lt.mid_quantiles(values, times[None], levels), copies)
    # By hand: 0, 0, 1, 1, 1, 2 has mid-shares 1/6, 7/12, 11/12.
    ties = lt.mid_quantiles(np.array([0.0, 1, 0, 1, 2, 1]), np.ones((1, 6)), [1 / 6, 0.375, 11 / 12])
    np.testing.assert_allclose(ties[0], [0, 0.5, 2])


def test_errors_of_quantiles_are_their_spread(monkeypatch):
    monkeypatch.setattr(lt, "DRAWS", 60)
    tables = [experiment(300, seed, weighted=False) for seed in range(60)]
    pair = [Pair.of(trial(table, ARMS), "nano", "best", "support") for table in tables]
    rows = [lt._quantiles(each, 1) for each in pair]
    errors, estimates = (np.array([row[c] for row in rows]) for c in ("std_error", "estimate"))
    np.testing.assert_allclose(errors.mean(axis=0), estimates.std(axis=0, ddof=1), rtol=0.3)


def test_the_share_that_refused_is_of_the_lowest_answer():
    table = experiment()
    found = tail(table, "support", "sign", support=1.0)
    own = found[(found["contrast"] == "nano - best") & (found["quantity"] == lt.REFUSED)]
    shares = [
        np.average((table["support"] <= 1)[table["arm"] == a], weights=table.loc[table["arm"] == a, "weight"])
        for a in ("best", "nano")
    ]
    row = own[own["outcome"] == "support"].iloc[0]
    assert (row["value_ref"], row["value_other"]) == pytest.approx(shares)
    assert row["estimate"] == pytest.approx(shares[1] - shares[0])
    # Of a binary outcome it is the effect with the other sign, and there are no quantiles.
    effect = estimate.effects(trial(table[table["arm"] != "control"], ARMS[1:], ["sign"])).iloc[0]
    row = own[own["outcome"] == "sign"].iloc[0]
    assert (row["estimate"], row["std_error"]) == pytest.approx((-effect["estimate"], effect["std_error"]))
    assert (found["outcome"] == "sign").sum() == 3


def test_neither_row_order_nor_names_nor_order_of_arms_matter():
    table = experiment(200)
    first = tail(table, "support")
    pd.testing.assert_frame_equal(first, tail(table.sample(frac=1, random_state=1), "support"), rtol=1e-9)
    named = table.assign(arm=table["arm"].cat.rename_categories({"nano": "x", "best": "y"}))
    other = tail(named, "support", arms=["x", "control", "y"])
    before = first[first["contrast"] == "nano - best"]
    after = other[other["contrast"] == "y - x"]
    np.testing.assert_allclose(after["estimate"], -before["estimate"].to_numpy())
    np.testing.assert_allclose(after["std_error"], before["std_error"].to_numpy())


@pytest.mark.parametrize("keep", [0, 1])
def test_an_arm_that_is_gone_and_answers_that_are_alike(keep):
    table = experiment(200)
    gone = table["arm"] == "nano"
    found = tail(table[~(gone & (gone.cumsum() > keep))], "support")
    rows = found[found["contrast"] == "nano - best"]
    assert rows["estimate"].isna().all() and rows["note"].str.contains("fewer than two").all()
    table.loc[table["arm"] != "control", "support"] = 3.0
    rows = tail(table, "support").set_index(["contrast", "quantity"]).loc["nano - best"]
    assert rows["std_error"].isna().all()
    assert rows.loc["quantile 10%", "note"] == "the quantile is the same in every sample"


def test_the_gap_is_the_difference_of_two_groups_of_different_people():
    data = world()
    ends = d.Ends(fitted_to(data))
    base = np.arange(data.n_respondents) % 3 == 0
    table = calibrated_gap(ends, {"base": base, "opposed": ~base}, 0.95).set_index("quantity")
    nano, best, worst, nano_worst = ends.scores.values()
    for name, scores in (
        ("nano", nano),
        ("nano - overall_best", nano - best),
        ("nano_worst - overall_worst", nano_worst - worst),
    ):
        error = np.sqrt(sum(scores[rows].var(ddof=1) / rows.sum() for rows in (base, ~base)))
        assert table.loc[name, "estimate"] == pytest.approx(scores[base].mean() - scores[~base].mean())
        assert table.loc[name, "std_error"] == pytest.approx(error)
        assert np.isnan(table.loc[name, "p_value"]) == (name == "nano")
