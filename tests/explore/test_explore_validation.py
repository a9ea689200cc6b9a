"""Dilution, dose and response, predicted against observed gain: known truth, brute force, bad designs."""

import importlib

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from nanotarget import estimate
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate import Table
from nanotarget.explore.pair import Fielded, Pair
from nanotarget.study.seeds import child_rng
from trials import trial

# The package has a function of the same name.
v = importlib.import_module("nanotarget.explore.validation")

ARMS = ["control", "best", "nano"]
ATTRIBUTES = ["cost", "sponsor", "frame"]
LEVELS = ["a", "b", "c"]
BEST = [0, 1, 2]


def study(n=600, seed=1, slope=1.0, weighted=True, chance=0.35):
    """Experiment and assignments; the effect is `slope` times the predicted gain."""
    rng = child_rng(seed, "validation")
    ids = [f"r{i:05d}" for i in range(n)]
    switched = rng.random((n, 3)) < chance
    own = np.where(switched, (np.array(BEST) + 1) % 3, BEST)
    dose = switched.sum(axis=1)
    gain = dose * rng.uniform(0.2, 1.0, n)
    arm = rng.integers(0, 3, n)
    y = 1 + 0.3 * dose + slope * gain * (arm == 2) + rng.normal(size=n)
    table = pd.DataFrame(
        {
            "respondent_id": ids,
            "arm": pd.Categorical.from_codes(arm, ARMS),
            "y": y,
            "weight": rng.uniform(0.5, 2, n) if weighted else 1.0,
        }
    )
    parts = []
    for policy, levels, predicted in (
        ("overall_best", np.tile(BEST, (n, 1)), np.full(n, 5.0)),
        ("nano", own, 5 + gain),
    ):
        part = pd.DataFrame({"respondent_id": ids, "policy": policy, "petition_id": levels @ [9, 3, 1]})
        for j, name in enumerate(ATTRIBUTES):
            part[name] = pd.Categorical.from_codes(levels[:, j], LEVELS, ordered=True)
        parts.append(part.assign(predicted=predicted, gain_over_best=predicted - 5))
    return table, pd.concat(parts, ignore_index=True).sort_values("respondent_id", ignore_index=True)


def run(table, assignments, min_cell=10, **more):
    more = {"comparable": ("y",)} | more
    found = v.validation(trial(table, ARMS, ["y"]), Fielded(assignments, "nano", "best"), min_cell, **more)
    assert list(found.columns) == list(Table.VALIDATION.columns)
    return found


def promised(table, assignments):
    return Fielded(assignments, "nano", "best").promised(table)


def pick(found, estimator, quantity, group="all"):
    rows = found[
        (found["estimator"] == estimator) & (found["quantity"] == quantity) & (found["group"] == group)
    ]
    assert len(rows) == 1
    return rows.iloc[0]


def numbers(row):
    return row[["estimate", "std_error", "p_value", "df"]].to_numpy(float)


def test_promises_are_those_of_the_two_petitions():
    table, assignments = study(30)
    found = promised(table.iloc[::-1], assignments)
    wide = assignments.set_index(["respondent_id", "policy"])
    for index, row in found.iterrows():
        nano, best = (wide.loc[(table.loc[index, "respondent_id"], p)] for p in ("nano", "overall_best"))
        assert row["gain"] == pytest.approx(nano["gain_over_best"])
        assert row["differing"] == sum(nano[a] != best[a] for a in ATTRIBUTES)
    unknown = promised(table.assign(respondent_id="x"), assignments)
    assert unknown.isna().all(axis=None)


def test_the_divergent_are_an_experiment_of_their_own():
    table, assignments = study()
    found = run(table, assignments)
    dose = promised(table, assignments)["differing"]
    for group, rows in (("all", dose >= 0), ("divergent", dose > 0), ("others", dose == 0)):
        alone = estimate.effects(trial(table[rows & table["arm"].isin(ARMS[1:])], ARMS[1:], ["y"])).iloc[0]
        row = pick(found, "dilution", "effect", group)
        np.testing.assert_allclose(
            row[list(ESTIMATE_COLUMNS)].to_numpy(float), alone[list(ESTIMATE_COLUMNS)].to_numpy(float)
        )
    both = table["arm"].isin(ARMS[1:])
    share = np.average(dose[both] > 0, weights=table.loc[both, "weight"])
    assert pick(found, "dilution", "share divergent")["estimate"] == pytest.approx(share)
    itt = pick(found, "dilution", "effect")["estimate"]
    assert pick(found, "dilution", "effect / share divergent", "divergent")["estimate"] == pytest.approx(
        itt / share
    )


def test_the_error_of_the_ratio_is_its_spread_and_covers():
    """Everything else being equal the restricted comparison is sharper and has the same truth."""
    truth, ratios, errors, restricted, hits = [], [], [], [], 0
    for seed in range(80):
        table, assignments = study(240, seed=seed, weighted=False)
        apart, pair = promised(table, assignments), Pair.of(trial(table, ARMS), "nano", "best", "y")
        found = v._dilution(pair, promised(pair.table, assignments)["differing"].to_numpy(), 10, "")
        row = pick(found, "dilution", "effect / share divergent", "divergent")
        ratios.append(row["estimate"])
        errors.append(row["std_error"])
        restricted.append(pick(found, "dilution", "effect", "divergent")["estimate"])
        truth.append(apart.loc[apart["differing"] > 0, "gain"].mean())
    center = np.mean(truth)
    hits = np.mean(np.abs(np.array(ratios) - center) <= 1.97 * np.array(errors))
    assert np.mean(errors) == pytest.approx(np.std(ratios, ddof=1), rel=0.25)
    assert 0.89 <= hits <= 0.99
    assert np.mean(restricted) == pytest.approx(center, abs=4 * np.std(restricted) / np.sqrt(80))
    assert np.std(restricted) < np.std(ratios)


def test_dose_and_response_are_least_squares_by_number_of_attributes():
    table, assignments = study()
    found = run(table, assignments)
    both = table[table["arm"].isin(ARMS[1:])]
    dose = promised(both, assignments)["differing"]
    groups = found[(found["estimator"] == "dose") & (found["quantity"] == "effect")]
    assert groups["group"].tolist() == ["0", "1", "2 or more"]
    assert groups["n"].sum() == len(both)
    alone = estimate.effects(trial(both[dose >= 2], ARMS[1:], ["y"])).iloc[0]
    assert groups.iloc[2]["estimate"] == pytest.approx(alone["estimate"])
    nano = (both["arm"] == "nano").astype(float)
    x = np.column_stack([np.ones(len(both)), nano, dose, nano * dose])
    model = sm.WLS(both["y"], x, weights=both["weight"]).fit(cov_type="HC2", use_t=True)
    for place, quantity in ((1, "effect at no difference"), (3, "effect per attribute")):
        expected = [
            model.params.iloc[place],
            model.bse.iloc[place],
            model.pvalues.iloc[place],
            model.df_resid,
        ]
        np.testing.assert_allclose(numbers(pick(found, "dose", quantity)), expected, rtol=1e-7)


def test_numbers_with_few_people_go_together_and_zero_stays_alone():
    def named(counts, min_cell=10):
        dose = np.repeat(np.arange(len(counts)), 2 * np.array(counts)).astype(float)
        n = len(dose)
        table = pd.DataFrame(
            {
                "respondent_id": [f"{i:04d}" for i in range(n)],
                "arm": pd.Categorical.from_codes(np.arange(n) % 2, ["best", "nano"]),
                "y": 0.0,
                "weight": 1.0,
            }
        )
        names, codes = v.dose_groups(Pair.of(trial(table, ARMS), "nano", "best", "y"), dose, min_cell)
        assert (codes >= 0).all()
        return names

    assert named([20, 20, 20, 20]) == ["0", "1", "2", "3"]
    assert named([20, 20, 5, 6, 3]) == ["0", "1", "2 or more"]
    assert named([20, 5, 20, 20]) == ["0", "1 to 2", "3"]
    assert named([20, 3, 0, 4]) == ["0", "1 or more"]
    assert named([3, 20, 20]) == ["0", "1", "2"]
    assert named([20]) == ["0"]
    assert named([0, 20, 20]) == ["1", "2"]


def test_theta_and_lambda_are_the_interacted_regression_and_find_the_truth():
    table, assignments = study(4000, slope=1.0)
    dividend = v.Dividend(0.5, 0.1, 0.3, 0.7)
    found = run(table, assignments, dividend=dividend)
    both = table[table["arm"].isin(ARMS[1:])]
    gain, nano, w = promised(both, assignments)["gain"], (both["arm"] == "nano").astype(float), both["weight"]
    mean = np.average(gain, weights=w)
    x = np.column_stack([np.ones(len(both)), nano, nano * (gain - mean), gain - mean])
    model = sm.WLS(both["y"], x, weights=w).fit(cov_type="HC2", use_t=True)
    theta, slope = pick(found, "validation", "theta"), pick(found, "validation", "lambda")
    for row, place in ((theta, 1), (slope, 2)):
        expected = [
            model.params.iloc[place],
            model.bse.iloc[place],
            model.pvalues.iloc[place],
            model.df_resid,
        ]
        np.testing.assert_allclose(numbers(row), expected, rtol=1e-7)
    one = pick(found, "validation", "lambda - 1")
    assert one["p_value"] == pytest.approx(float(model.t_test(([0, 0, 1, 0], 1)).pvalue), rel=1e-7)
    assert one["p_value"] > 1e-3 and slope["p_value"] < 1e-3
    assert (slope["estimate"], slope["predicted"]) == pytest.approx((1 + one["estimate"], 1))
    own = pick(found, "validation", "theta - mean predicted gain")
    assert own["estimate"] == pytest.approx(theta["estimate"] - mean) and own["predicted"] == pytest.approx(
        mean
    )
    assert abs(own["statistic"]) < 4
    against = pick(found, "validation", "theta - dividend")
    assert against["estimate"] == pytest.approx(theta["estimate"] - 0.5)
    assert against["std_error"] == pytest.approx(np.hypot(theta["std_error"], 0.1))
    assert theta[list(v.PREDICTED)].tolist() == [0.5, 0.3, 0.7]


def test_an_empty_promise_is_found_out():
    found = run(*study(4000, slope=0.0))
    assert pick(found, "validation", "lambda - 1")["p_value"] < 1e-3
    assert pick(found, "validation", "theta - mean predicted gain")["estimate"] < 0
    assert pick(found, "dilution", "effect", "divergent")["p_value"] > 1e-3


def test_on_another_scale_nothing_is_held_against_the_prediction():
    found = run(*study(), comparable=(), dividend=v.Dividend(0.5, 0.1, 0.3, 0.7))
    for quantity in ("theta - mean predicted gain", "theta - dividend", "lambda - 1"):
        row = pick(found, "validation", quantity)
        assert np.isnan(row["estimate"]) and row["note"] == v.OTHER_SCALE
    slope = pick(found, "validation", "lambda")
    assert slope["std_error"] > 0 and np.isnan(slope["predicted"])
    assert slope["note"] == f"{v.SLOPE_SCALE}: {v.OTHER_SCALE}"


def test_rows_and_ids_in_another_order_change_nothing():
    table, assignments = study(200)
    first = run(table, assignments)
    second = run(table.sample(frac=1, random_state=1), assignments.sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(first, second, rtol=1e-9)


def test_few_divergent_are_hidden_wherever_they_could_be_told():
    table, assignments = study(300, chance=0.015)
    both = table["arm"].isin(ARMS[1:])
    few = (promised(table, assignments)["differing"] > 0) & both
    assert 0 < few.sum() < 20
    found = run(table, assignments)
    shown = found[~found["suppressed"]]
    assert set(zip(shown["estimator"], shown["quantity"], strict=True)) == {
        ("dilution", "effect"),
        ("validation", "theta"),
        ("validation", "theta - mean predicted gain"),
    }
    hidden = found[found["suppressed"]]
    assert hidden[[*ESTIMATE_COLUMNS, *v.PREDICTED]].isna().all(axis=None)
    assert hidden["note"].eq("").all()


def fielded(table, assignments, other=0.0, best=BEST):
    """The experiment with the petitions that its arms showed; a share of nano's by another rule."""
    own = assignments[assignments["policy"] == "nano"].set_index("respondent_id")[ATTRIBUTES]
    shown = own.loc[table["respondent_id"]].astype("object").reset_index(drop=True)
    switched = np.arange(len(table)) < other * len(table)
    shown.loc[switched] = ["a", "a", "a"]
    shown.loc[table["arm"] == "best"] = [LEVELS[level] for level in best]
    shown.loc[table["arm"] == "control"] = None
    return table.assign(**{name: pd.Categorical(shown[name], LEVELS, ordered=True) for name in ATTRIBUTES})


def run_fielded(table, assignments, min_cell=10):
    people = Fielded(assignments, "nano", "best", table)
    return v.validation(trial(table, ARMS, ["y"]), people, min_cell, comparable=("y",)), people


def test_what_was_fielded_as_it_is_assigned_changes_nothing():
    table, assignments = study()
    found, people = run_fielded(fielded(table, assignments), assignments)
    assert people.agreement == 1 and people.note == ""
    pd.testing.assert_frame_equal(found, run(table, assignments))


def test_petitions_differ_from_the_overall_best_one_that_was_fielded():
    """The calibration would now find another one; in either arm the petition is compared with that shown."""
    table, assignments = study()
    other = [0, 1, 0]
    people = run_fielded(fielded(table, assignments, best=other), assignments)[1]
    nano = assignments[assignments["policy"] == "nano"].set_index("respondent_id").loc[table["respondent_id"]]
    expected = sum(nano[name].to_numpy() != LEVELS[other[a]] for a, name in enumerate(ATTRIBUTES))
    found = people.promised(table)["differing"].to_numpy()
    assert (found == expected).all() and (found != promised(table, assignments)["differing"]).any()


def test_nobody_is_divided_by_petitions_that_are_not_known():
    """Nano's arm shows its petitions; which ones people of the other arm would have got, nothing says."""
    table, assignments = study()
    table = fielded(table, assignments, other=0.6)
    found, people = run_fielded(table, assignments)
    nano = table["arm"] == "nano"
    apart = (table.loc[nano, ATTRIBUTES].astype("object") != [LEVELS[level] for level in BEST]).any(axis=1)
    share = np.average(apart, weights=table.loc[nano, "weight"])
    assert people.agreement < 0.95
    assert people.promised(table)["differing"].notna().equals(nano)
    own = pick(found, "dilution", "share divergent")
    assert own["estimate"] == pytest.approx(share) and own["n"] == nano.sum()
    effect = pick(found, "dilution", "effect")
    assert effect["estimate"] == pick(run(table, assignments), "dilution", "effect")["estimate"]
    ratio = pick(found, "dilution", "effect / share divergent", "divergent")
    assert ratio["estimate"] == pytest.approx(effect["estimate"] / share) and ratio["std_error"] > 0
    empty = found[(found["estimator"] == "dose") | found["group"].isin(["others"])]
    assert len(empty) == 3 and empty["estimate"].isna().all()
    assert empty["note"].str.contains("of the petitions shown in 'nano' are assigned again").all()
    assert pick(found, "dilution", "effect", "divergent")["note"] == empty["note"].iloc[0]
    assert (
        pick(found, "validation", "theta")["estimate"]
        == pick(run(table, assignments), "validation", "theta")["estimate"]
    )


def test_the_error_of_the_ratio_of_the_fielded_share_is_its_spread():
    ratios, errors = [], []
    for seed in range(60):
        table, assignments = study(240, seed=seed, weighted=False)
        found, _ = run_fielded(fielded(table, assignments, other=0.3), assignments, min_cell=0)
        row = pick(found, "dilution", "effect / share divergent", "divergent")
        ratios.append(row["estimate"])
        errors.append(row["std_error"])
    assert np.mean(errors) == pytest.approx(np.std(ratios, ddof=1), rel=0.25)


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_everybody_or_nobody_divergent_is_said(chance):
    found = run(*study(200, chance=chance))
    share = pick(found, "dilution", "share divergent")
    assert share["estimate"] == pytest.approx(chance, abs=1e-12)
    assert share["note"] == f"{'the petitions differ for everybody' if chance else 'they differ for nobody'}"
    ratio = pick(found, "dilution", "effect / share divergent", "divergent")
    everybody = pick(found, "dilution", "effect")
    if chance:
        np.testing.assert_allclose(numbers(ratio), numbers(everybody), rtol=1e-10)
    else:
        assert ratio["note"] == "the petitions differ for nobody"
        assert pick(found, "validation", "lambda")["note"] == "nobody is promised more than anybody else"
        assert pick(found, "dilution", "effect", "divergent")["note"].startswith("fewer than two")
    assert (
        pick(found, "dose", "effect per attribute")["note"] == "nobody's petitions differ more than another's"
    )


@pytest.mark.parametrize("keep", [0, 1])
def test_an_arm_that_is_gone_leaves_notes(keep):
    table, assignments = study(200)
    gone = table["arm"] == "nano"
    found = run(table[~(gone & (gone.cumsum() > keep))], assignments, min_cell=0)
    effects = found[found["quantity"] != "share divergent"]
    assert effects["estimate"].isna().all()
    assert effects["note"].str.contains("fewer than two observed respondents in 'nano'").all()


def test_an_outcome_without_variation_and_people_without_petitions():
    table, assignments = study(300)
    gone = assignments["respondent_id"].isin(table["respondent_id"][:30])
    found = run(table.assign(y=1.0), assignments[~gone])
    row = pick(found, "dilution", "effect")
    lost = table["arm"].iloc[:30].isin(ARMS[1:]).sum()
    assert (
        row["note"]
        == f"the outcome does not vary in either arm; {lost} respondents without both petitions left out"
    )
    assert np.isnan(pick(found, "validation", "theta")["std_error"])
    nothing = run(table, assignments[assignments["policy"] != "nano"])
    assert nothing["estimate"].isna().all()


def test_the_dividend_is_the_row_with_a_ceiling():
    rows = pd.DataFrame(
        {
            "diagnostic": "dividend",
            "quantity": ["nano - overall_best"] * 3,
            "estimate": [0.1, 0.2, 0.3],
            "std_error": 0.01,
            "conf_low": 0.0,
            "conf_high": 0.4,
            "ceiling": [np.nan, 0.2, 0.3],
            "goal": ["support", "support", "dissuade"],
            "group": "all",
        }
    )
    assert v.Dividend.of(rows) == v.Dividend(0.2, 0.01, 0.0, 0.4)
    assert v.Dividend.of(rows.iloc[[0]]) is None
