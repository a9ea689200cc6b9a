"""Effects of an experiment on small made-up data with known answers, and on degenerate ones."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from nanotarget import estimate
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate import Table
from nanotarget.estimate.arms import MISSING, covariate_columns
from nanotarget.study.config import CovariateConfig
from nanotarget.study.seeds import child_rng
from trials import trial

ARMS = ["control <br>", "best - of all", "nano"]
NUMBERS = [column for column in ESTIMATE_COLUMNS if column != "n"]
AGE = CovariateConfig(name="age", kind="numeric")
PARTY = CovariateConfig(name="party", kind="categorical", levels=["red", "blue", "none"])


@pytest.fixture
def table():
    rng = child_rng(1, "experiment")
    n = 300
    arm = rng.permutation(np.arange(n) % 3)
    age = rng.normal(50, 12, size=n)
    party = rng.choice(["red", "blue", "none"], size=n)
    support = 0.05 * age + (party == "red") + 0.5 * arm + rng.normal(size=n) * (1 + arm)
    return pd.DataFrame(
        {
            "arm": pd.Categorical.from_codes(arm, ARMS),
            "age": age,
            "party": pd.Categorical(party, PARTY.levels),
            "support": support,
            "sign": (support > 3.5).astype(float),
            "weight": rng.uniform(0.5, 2, size=n),
        }
    )


def unweighted(table):
    return table.assign(weight=1.0)


def test_contrasts_are_later_minus_earlier_whatever_the_names(table):
    found = estimate.effects(trial(table, ARMS, ["support"]))
    assert list(found.columns) == list(Table.EFFECTS.columns)
    assert found["contrast"].tolist() == [
        "best - of all - control <br>",
        "nano - control <br>",
        "nano - best - of all",
    ]
    mean = unweighted(table).groupby("arm", observed=True)["support"].mean()
    plain = estimate.effects(trial(unweighted(table), ARMS, ["support"]))
    np.testing.assert_allclose(
        plain["estimate"],
        [mean.iloc[1] - mean.iloc[0], mean.iloc[2] - mean.iloc[0], mean.iloc[2] - mean.iloc[1]],
    )
    assert estimate.pairs(["a", "b", "c", "d"]) == [
        ("b", "a"),
        ("c", "a"),
        ("c", "b"),
        ("d", "a"),
        ("d", "b"),
        ("d", "c"),
    ]


@pytest.mark.parametrize("adjust", [(), (AGE, PARTY)])
def test_weighted_effects_equal_one_joint_regression(table, adjust):
    """statsmodels on arm dummies, centred covariates and all their products."""
    dummies = np.column_stack([table["arm"] == arm for arm in ARMS]).astype(float)
    z = np.column_stack([table["age"], table["party"] == "blue", table["party"] == "none"]).astype(float)
    z = (z - np.average(z, axis=0, weights=table["weight"]))[:, : z.shape[1] if adjust else 0]
    x = np.hstack([dummies, *(dummies[:, [a]] * z for a in range(3))])
    model = sm.WLS(table["support"], x, weights=table["weight"]).fit(cov_type="HC2", use_t=True)
    found = estimate.effects(trial(table, ARMS, ["support"], adjust=adjust))
    found = found[found["estimator"] == ("lin" if adjust else "dim")].reset_index()
    for i, row in enumerate([[-1, 1, 0], [-1, 0, 1], [0, -1, 1]]):
        test = model.t_test(np.array([row + [0] * (x.shape[1] - 3)]))
        theirs = [test.effect[0], test.sd[0, 0], test.tvalue[0, 0], test.pvalue, *test.conf_int()[0]]
        np.testing.assert_allclose(
            found.loc[i, NUMBERS[:-1]].astype(float), np.array(theirs, float), rtol=1e-7
        )
        assert found.loc[i, "df"] == model.df_resid


def test_neither_row_order_nor_the_scale_of_weights_matters(table):
    first = estimate.effects(trial(table, ARMS, ["support", "sign"], adjust=[AGE, PARTY]))
    other = table.sample(frac=1, random_state=2)
    again = estimate.effects(
        trial(other.assign(weight=other["weight"] * 9), ARMS, ["support", "sign"], adjust=[AGE, PARTY])
    )
    pd.testing.assert_frame_equal(first, again, rtol=1e-9)


def test_renaming_arms_renames_and_reordering_them_turns_signs(table):
    first = estimate.effects(trial(table, ARMS, ["support"], adjust=[AGE]))
    names = dict(zip(ARMS, ["x", "y", "z"], strict=True))
    renamed = table.assign(arm=table["arm"].cat.rename_categories(names))
    same = estimate.effects(trial(renamed, ["x", "y", "z"], ["support"], adjust=[AGE]))
    pd.testing.assert_frame_equal(first.drop(columns="contrast"), same.drop(columns="contrast"))
    turned = estimate.effects(trial(table, ARMS[::-1], ["support"], adjust=[AGE]))
    # c, b, a gives b - c, a - c, a - b: the negative contrasts from last to first.
    for estimator in ("dim", "lin"):
        a, b = (t[t["estimator"] == estimator] for t in (first, turned))
        np.testing.assert_allclose(b["estimate"].to_numpy(), -a["estimate"].to_numpy()[::-1], rtol=1e-9)
        np.testing.assert_allclose(b["std_error"].to_numpy(), a["std_error"].to_numpy()[::-1], rtol=1e-9)
        np.testing.assert_allclose(b["p_adjusted"].to_numpy(), a["p_adjusted"].to_numpy()[::-1], rtol=1e-7)


def test_relabelling_levels_does_not_change_the_adjustment(table):
    turned = CovariateConfig(name="party", kind="categorical", levels=["none", "red", "blue"])
    first, second = (
        estimate.effects(trial(table, ARMS, ["support"], adjust=[AGE, p])) for p in (PARTY, turned)
    )
    pd.testing.assert_frame_equal(first, second, rtol=1e-9)


def test_half_weights_of_a_row_twice_keep_the_estimate(table):
    halves = pd.concat([table, table]).assign(weight=lambda t: t["weight"] / 2)
    first, second = (
        estimate.effects(trial(t, ARMS, ["support"], adjust=[AGE, PARTY])) for t in (table, halves)
    )
    np.testing.assert_allclose(first["estimate"], second["estimate"], rtol=1e-9)


def test_those_without_the_outcome_are_left_out(table):
    table.loc[:49, "support"] = np.nan
    found = estimate.effects(trial(table, ARMS, ["support", "sign"], adjust=[AGE]))
    assert found.groupby("outcome")["n"].first().to_dict() == {"support": 250, "sign": 300}
    alone = estimate.effects(trial(table.iloc[50:], ARMS, ["support"], adjust=[AGE]))
    columns = [column for column in alone if not column.endswith("_across")]  # of two outcomes or of one
    pd.testing.assert_frame_equal(
        found[found["outcome"] == "support"].reset_index(drop=True)[columns], alone[columns]
    )


def test_missing_covariates_are_means_with_a_mark_and_levels_of_their_own(table):
    table = unweighted(table)
    table.loc[:29, "age"] = np.nan
    table.loc[20:59, "party"] = None
    z, names = covariate_columns(trial(table, ARMS), [AGE, PARTY])
    assert names == ["age", "age: (missing)", "party: blue", "party: none", "party: (missing)"]
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(z[:30, 0], 0, atol=1e-12)
    assert len(np.unique(z[:, 1])) == 2 and (z[:30, 1] > 0).all()
    found = estimate.effects(trial(table, ARMS, ["support"], adjust=[AGE, PARTY]))
    assert (found["n"] == 300).all() and (found["note"] == "").all()
    assert found.loc[found["estimator"] == "lin", "df"].tolist() == [300 - 3 * 6] * 3


def test_holm_is_within_outcome_and_estimator(table):
    found = estimate.effects(trial(table, ARMS, ["support", "sign"], adjust=[AGE]))
    for _, family in found.groupby(["outcome", "estimator"]):
        p = np.sort(family["p_value"])
        assert family["p_adjusted"].min() == pytest.approx(min(1, 3 * p[0]))
        assert (family["p_adjusted"] >= family["p_value"]).all()


@pytest.mark.parametrize("left", [0, 1])
def test_an_arm_with_hardly_anybody_spoils_only_its_own_contrasts(table, left):
    nano = table.index[table["arm"] == "nano"]
    found = estimate.effects(trial(table.drop(nano[left:]), ARMS, ["support"], adjust=[AGE]))
    lost = found["contrast"].str.startswith("nano")
    assert found.loc[lost, NUMBERS].isna().all(axis=None)
    assert found.loc[lost, "note"].eq("fewer than two observed respondents in 'nano'").all()
    pair = estimate.effects(trial(table.drop(nano), ARMS[:2], ["support"], adjust=[AGE]))
    np.testing.assert_allclose(
        found.loc[~lost, [*NUMBERS, "n"]].to_numpy(float),
        pair[[*NUMBERS, "n"]].to_numpy(float),
        rtol=1e-9 if left == 0 else 0.05,  # one person's age still counts in the centring
    )


def test_an_arm_too_small_for_the_adjustment(table):
    nano = table.index[table["arm"] == "nano"]
    found = estimate.effects(trial(table.drop(nano[3:]), ARMS, ["support"], adjust=[AGE, PARTY])).set_index(
        ["estimator", "contrast"]
    )
    row = found.loc[("lin", "nano - control <br>")]
    assert row[NUMBERS].isna().all() and "too few respondents in 'nano' for the adjustment" in row["note"]
    assert found.loc[("dim", "nano - control <br>"), NUMBERS].notna().all()
    assert found.loc[("lin", "best - of all - control <br>"), NUMBERS].notna().all()


def test_an_outcome_without_variation_is_said_and_not_tested(table):
    found = estimate.effects(trial(table.assign(sign=1.0), ARMS, ["sign"], adjust=[AGE]))
    assert found[NUMBERS].isna().all(axis=None)
    assert found["note"].eq("the outcome does not vary in either arm").all()
    nobody = table["sign"].where(table["arm"] == "nano", 0.0)
    partly = estimate.effects(trial(table.assign(sign=nobody), ARMS, ["sign"])).set_index("contrast")
    assert partly.loc["best - of all - control <br>", NUMBERS].isna().all()
    assert partly.loc["nano - control <br>", NUMBERS].notna().all()
    assert partly["p_adjusted"].notna().sum() == 2


def test_covariates_that_cannot_be_adjusted_for_are_left_out_and_named(table):
    table["twice"] = 2 * table["age"] - 3
    table["constant"] = 1.0
    rare = table["party"].astype("str")
    rare.iloc[0] = "rare"
    table["party"] = pd.Categorical(rare, ["red", "blue", "none", "rare"])
    party = CovariateConfig(name="party", kind="categorical", levels=["red", "blue", "none", "rare"])
    numeric = [CovariateConfig(name=name, kind="numeric") for name in ("age", "twice", "constant")]
    found = estimate.effects(trial(table, ARMS, ["support"], adjust=[*numeric, party]))
    lin = found[found["estimator"] == "lin"]
    assert lin["note"].eq("not adjusted for twice, constant, party: rare").all()
    assert lin[NUMBERS].notna().all(axis=None)
    merged = table.assign(party=pd.Categorical(rare.replace("rare", "red"), PARTY.levels))
    same = estimate.effects(trial(merged, ARMS, ["support"], adjust=[AGE, PARTY]))
    np.testing.assert_allclose(
        lin[NUMBERS].to_numpy(float), same.loc[same["estimator"] == "lin", NUMBERS].to_numpy(float), rtol=1e-9
    )


def test_a_study_without_outcomes_has_empty_tables(table):
    nothing = trial(table, ARMS)
    found = estimate.effects(nothing)
    assert found.empty and list(found.columns) == list(Table.EFFECTS.columns)
    assert list(estimate.equivalence(nothing, found).columns) == list(Table.EQUIVALENCE.columns)
    assert list(estimate.power(nothing, found).columns) == list(Table.POWER.columns)


def effects_row(value, error, df=3000):
    return pd.DataFrame(
        {
            "outcome": ["y"],
            "estimator": "dim",
            "contrast": "b - a",
            "estimate": value,
            "std_error": error,
            "df": float(df),
            "df_type": "n - parameters",
            "n": 3003,
            "family": "y, dim",
        }
    )


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [
        (0.0, 0.01, "equivalent"),
        (0.0, 0.04, "inconclusive"),
        (0.03, 0.01, "equivalent"),
        (0.04, 0.01, "inconclusive"),
        (0.08, 0.01, "larger"),
        (-0.08, 0.01, "smaller"),
        (np.nan, np.nan, "not testable"),
    ],
)
def test_equivalence_verdicts_agree_with_the_interval(value, error, verdict):
    asked = trial(None, ["a", "b"], sesoi={"y": 0.05, "other": 1.0})
    row = estimate.equivalence(asked, effects_row(value, error)).iloc[0]
    assert row["verdict"] == verdict
    inside = row["conf_low"] > -0.05 and row["conf_high"] < 0.05
    assert inside == (verdict == "equivalent")
    assert row["label"] == "exploratory"
    if verdict != "not testable":
        assert row["p_value"] == max(row["p_lower"], row["p_upper"])
        assert (row["p_upper"] < 0.05) == (row["conf_high"] < 0.05)


def test_equivalence_equals_statsmodels(table):
    table = unweighted(table)
    y = [table.loc[table["arm"] == arm, "support"].to_numpy() for arm in ARMS[:2]]
    pair = trial(table[table["arm"] != "nano"], ARMS[:2], ["support"], sesoi={"support": 0.9})
    found = estimate.equivalence(pair, estimate.effects(pair)).iloc[0]
    # With arms of the same size HC2 and the pooled variance agree.
    pvalue, lower, upper = sm.stats.ttost_ind(y[1], y[0], -0.9, 0.9, usevar="pooled")
    np.testing.assert_allclose(
        [found["p_value"], found["p_lower"], found["p_upper"]], [pvalue, lower[1], upper[1]], rtol=1e-9
    )


def test_power_of_the_reference_study():
    """1037.67 people an arm, a share of one half."""
    error = np.sqrt(2 * 0.25 / (3113 / 3))

    def power(rows, **sesoi):
        return estimate.power(trial(None, ["a", "b"], sesoi=sesoi), rows).iloc[0]

    found = power(effects_row(0.0, error, 3110), y=0.05)
    assert found["mde"] == pytest.approx(0.0615, abs=5e-5)
    assert found["equivalence_margin"] == pytest.approx(0.064, abs=5e-4)
    three = pd.concat([effects_row(0.0, error, 3110)] * 3)
    assert power(three)["mde_holm"] == pytest.approx(0.0710, abs=1e-4)
    sd = power(effects_row(0.0, np.sqrt(2 / (3113 / 3)), 3110))
    assert sd["mde"] == pytest.approx(0.123, abs=5e-4) and np.isnan(sd["power_at_sesoi"])
    at_mde = power(effects_row(0.0, error, 3110), y=found["mde"])
    assert at_mde["power_at_sesoi"] == pytest.approx(0.8, abs=1e-3)


def test_balance_of_missing_values_and_levels(table):
    table.loc[table["arm"] == "nano", "age"] = np.nan
    found = estimate.balance(trial(table, ARMS, covariates=[AGE, PARTY])).set_index(
        ["covariate", "level", "contrast"]
    )
    row = found.loc[("age", "", "nano - control <br>")]
    assert row["n_other"] == 0 and np.isnan(row["std_diff"])
    assert found.loc[("age", MISSING, "nano - control <br>"), "mean_other"] == 1
    assert {level for covariate, level, _ in found.index if covariate == "party"} == set(PARTY.levels)
    shares = found.loc["party"].xs("nano - control <br>", level="contrast")["mean_other"]
    assert shares.sum() == pytest.approx(1)


def test_attrition_counts_and_tests(table):
    lost = (table["arm"] == "nano") & (table["age"] > 50)
    table["support"] = table["support"].mask(lost)
    found = estimate.attrition(trial(table, ARMS, ["support", "sign"]))
    assert found["n_missing"].tolist() == [0, 0, lost.sum(), 0, 0, 0]
    assert (found["n_observed"] + found["n_missing"] == found["n_assigned"]).all()
    assert (found.loc[found["outcome"] == "support", "chi2_p"] < 1e-8).all()
    assert found.loc[found["outcome"] == "sign", "chi2_p"].isna().all()
    empty = estimate.attrition(trial(table[table["arm"] != "nano"], ARMS, ["support"]))
    assert empty["n_assigned"].tolist() == [100, 100, 0]


@pytest.mark.statistical
def test_intervals_cover_the_truth():
    """Unequal arms, effects that differ between people and unequal variances; the truth is 0.4."""
    covered, gaps = {"dim": [], "lin": []}, {"dim": [], "lin": []}
    for draw in range(400):
        rng = child_rng(draw, "effects")
        z = rng.normal(size=90)
        arm = rng.permutation(np.repeat([0, 1, 2], [20, 30, 40]))
        y = z + arm * (0.2 + 0.3 * z) + rng.normal(size=90) * (1 + arm)
        table = pd.DataFrame(
            {"arm": pd.Categorical.from_codes(arm, list("abc")), "age": z, "y": y, "weight": 1.0}
        )
        found = estimate.effects(trial(table, list("abc"), ["y"], adjust=[AGE]))
        for row in found[found["contrast"] == "c - a"].itertuples():
            covered[row.estimator].append(row.conf_low <= 0.4 <= row.conf_high)
            gaps[row.estimator].append(row.estimate - 0.4)
    for estimator in ("dim", "lin"):
        # Monte Carlo error of the coverage is 0.011. Lin conditions on the sample's covariates.
        assert 0.92 <= np.mean(covered[estimator]) <= 0.98
        assert abs(np.mean(gaps[estimator])) < 4 * np.std(gaps[estimator]) / 20
