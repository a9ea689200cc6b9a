"""Attrition, bounds and weights for missing outcomes against brute force, statsmodels and known truth."""

import itertools
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import optimize, special

from nanotarget import estimate
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate import Table
from nanotarget.estimate.ipw import MIN_PROBABILITY, PENALTY, penalised_logit
from nanotarget.study.config import CovariateConfig
from nanotarget.study.seeds import child_rng
from trials import ipw, trial

ARMS = ["control", "best", "nano"]
AGE = CovariateConfig(name="age", kind="numeric")
PARTY = CovariateConfig(name="party", kind="categorical", levels=["red", "blue", "none"])
NUMBERS = [column for column in ESTIMATE_COLUMNS if column != "n"]


def sample(rng, n=600, selective=1.0):
    """Older people and, in later arms, everybody answer more often; age raises the outcome."""
    arm = rng.permutation(np.arange(n) % 3)
    age = rng.normal(size=n)
    party = rng.choice(PARTY.levels, size=n)
    y = 1.5 * age + (party == "red") + 0.5 * arm + rng.normal(size=n)
    answers = rng.random(n) < special.expit(0.3 + selective * age * (1 - arm) + 0.4 * arm)
    return pd.DataFrame(
        {
            "arm": pd.Categorical.from_codes(arm, ARMS),
            "age": age,
            "party": pd.Categorical(party, PARTY.levels),
            "y": np.where(answers, y, np.nan),
            "full": y,
            "weight": 1.0,
        }
    )


@pytest.fixture
def table():
    return sample(child_rng(3, "missing"))


def weighted(table, seed=4):
    return table.assign(weight=child_rng(seed, "weights").uniform(0.5, 2, len(table)))


def pick(found, **where):
    for column, value in where.items():
        found = found[found[column] == value]
    return found.reset_index(drop=True)


# Differential attrition


def test_interactions_equal_one_regression_of_statsmodels(table):
    found = estimate.differential_attrition(trial(table, ARMS, ["y"], covariates=[AGE, PARTY]))
    assert list(found.columns) == list(Table.DIFFERENTIAL_ATTRITION.columns)
    assert found["covariate"].tolist() == ["age", "party", "(all)"]
    dummies = np.column_stack([table["arm"] == arm for arm in ARMS]).astype(float)
    blocks = {
        "age": table[["age"]].to_numpy(),
        "party": np.column_stack([table["party"] == p for p in PARTY.levels[1:]]).astype(float),
    }
    blocks["(all)"] = np.hstack(list(blocks.values()))
    for name, z in blocks.items():
        # Reference arm and products with the other two, not a slope an arm as in the library.
        products = np.hstack([dummies[:, [a]] * z for a in (1, 2)])
        x = np.hstack([np.ones((len(z), 1)), dummies[:, 1:], z, products])
        model = sm.OLS(table["y"].isna().astype(float), x).fit(cov_type="HC2", use_t=True)
        test = model.f_test(np.eye(x.shape[1])[-products.shape[1] :])
        row = pick(found, covariate=name).loc[0]
        np.testing.assert_allclose(
            row[["wald_f", "df1", "df2", "p_value"]].astype(float),
            [test.fvalue, test.df_num, test.df_denom, test.pvalue],
            rtol=1e-8,
        )
    low, high = sorted(found["p_value"][:2])
    assert sorted(found["p_adjusted"][:2]) == pytest.approx([min(2 * low, 1), max(2 * low, high)])
    assert np.isnan(found["p_adjusted"][2])
    # Age matters for who answers in one direction in the first arm and in the other in the last.
    assert found["p_value"][0] < 1e-6


def test_interactions_neither_depend_on_the_order_of_arms_nor_of_levels(table):
    first = estimate.differential_attrition(trial(table, ARMS, ["y"], covariates=[AGE, PARTY]))
    turned = CovariateConfig(name="party", kind="categorical", levels=["none", "red", "blue"])
    second = estimate.differential_attrition(trial(table[::-1], ARMS[::-1], ["y"], covariates=[AGE, turned]))
    pd.testing.assert_frame_equal(first, second, rtol=1e-8)


def test_interactions_that_cannot_be_tested_say_why(table):
    with_arm = CovariateConfig(name="same", kind="numeric")
    table = table.assign(same=table["arm"].cat.codes.astype(float), lost=np.nan)
    rare = np.where(np.arange(len(table)) == np.flatnonzero(table["arm"] == "nano")[0], "blue", "red")
    table = table.assign(party=pd.Categorical(rare, PARTY.levels))
    found = estimate.differential_attrition(
        trial(table, ARMS, ["y", "full", "lost"], covariates=[with_arm, PARTY])
    )
    assert found[["wald_f", "p_value", "p_adjusted"]].isna().all(axis=None)
    assert pick(found, outcome="y")["note"].str.startswith("not testable").all()
    assert set(pick(found, outcome="full")["note"]) == {"nobody is missing"}
    assert set(pick(found, outcome="lost")["note"]) == {"everybody is missing"}
    # Two arms without attrition have slopes of zero without error.
    two = table.assign(y=table["y"].where(table["arm"] == "control", 0.0))
    note = estimate.differential_attrition(trial(two, ARMS, ["y"], covariates=[AGE]))["note"][0]
    assert note.startswith("not testable: too few")
    one = table[table["arm"] == "nano"]
    assert (
        estimate.differential_attrition(trial(one, ARMS, ["y"], covariates=[AGE]))["note"][0]
        == "there is only one arm"
    )
    part = estimate.differential_attrition(trial(table, ARMS, ["y"], covariates=[AGE, with_arm])).iloc[-1]
    assert part["p_value"] < 1e-6
    assert part["note"] == "without same, which some arm cannot tell"


def test_interactions_have_their_size():
    """Missing depends on arm and covariate, but alike in every arm."""
    rng = child_rng(5, "size of differential attrition")
    data = sample(rng, 300, selective=0)
    chance = 0.5 + 0.1 * data["arm"].cat.codes + 0.1 * np.clip(data["age"], -2, 2)
    names = [f"y{i}" for i in range(600)]
    answers = pd.DataFrame({name: np.where(rng.random(300) < chance, 0.0, np.nan) for name in names})
    found = estimate.differential_attrition(
        trial(pd.concat([data, answers], axis=1), ARMS, names, covariates=[AGE])
    )
    assert (found["p_value"] < 0.05).mean() == pytest.approx(0.05, abs=0.022)


# Lee bounds


def brute_bounds(later, earlier, copies):
    """Bounds by repeating everybody so often that the share to trim is a whole number of copies."""
    p, q = later.notna().mean(), earlier.notna().mean()
    sign = 1 if p >= q else -1
    more, fewer = (later, earlier) if sign > 0 else (earlier, later)
    repeated = np.sort(np.repeat(more.dropna().to_numpy(), copies))
    drop = len(repeated) * (1 - min(p, q) / max(p, q))
    assert drop == pytest.approx(round(drop), abs=1e-6)
    drop = round(drop)
    kept = len(repeated) - drop
    ends = sorted(sign * (part.mean() - fewer.mean()) for part in (repeated[:kept], repeated[drop:]))
    return ends


@pytest.mark.parametrize("kind", ["continuous", "binary", "ties"])
def test_bounds_trim_exactly_the_share(table, kind):
    change = {"continuous": lambda y: y, "binary": lambda y: y > 1, "ties": lambda y: np.round(y)}[kind]
    table["y"] = change(table["y"]).astype(float).where(table["y"].notna())
    found = estimate.lee_bounds(trial(table, ARMS, ["y"]))
    assert list(found.columns) == list(Table.LEE.columns)
    for later, earlier in estimate.pairs(ARMS):
        parts = [table.loc[table["arm"] == arm, "y"] for arm in (later, earlier)]
        rows = pick(found, contrast=f"{later} - {earlier}", trimming="fraction")
        # Both arms have 200 people, so that the share to trim is a multiple of 1 / 200 answers.
        np.testing.assert_allclose(rows["estimate"], brute_bounds(*parts, copies=200), rtol=1e-9)
        assert rows["naive"][0] == pytest.approx(parts[0].mean() - parts[1].mean())
        assert (rows["estimate"][0] <= rows["naive"][0]) and (rows["naive"][0] <= rows["estimate"][1])
        whole = pick(found, contrast=f"{later} - {earlier}", trimming="whole")
        widest = (np.ptp(table["y"].dropna())) / parts[0].notna().sum() * 2
        np.testing.assert_allclose(whole["estimate"], rows["estimate"], atol=widest)


def test_errors_are_those_of_proposition_3(table):
    """Influence values against the formula of Lee (2009), where the share to trim is whole."""
    more = pd.Series(np.r_[child_rng(1, "more").normal(size=80), np.full(20, np.nan)])
    fewer = pd.Series(np.r_[child_rng(1, "fewer").normal(size=60), np.full(40, np.nan)])
    data = pd.DataFrame({"y": pd.concat([fewer, more]), "arm": ["a"] * 100 + ["b"] * 100, "weight": 1.0})
    found = pick(estimate.lee_bounds(trial(data, ["a", "b"], ["y"])), trimming="fraction")
    kept = np.sort(more.dropna())[20:]
    mean, threshold, share = kept.mean(), kept[0], 0.25
    variance = kept.var() / 60 + (threshold - mean) ** 2 * share / 60
    variance += (threshold - mean) ** 2 * (0.2 / 80 + 0.4 / 60) + fewer.var(ddof=0) / 60
    assert found["std_error"][1] == pytest.approx(np.sqrt(variance), rel=1e-9)
    assert found["trim_share"][1] == pytest.approx(share)
    turned = pick(
        estimate.lee_bounds(trial(data.assign(y=-data["y"]), ["a", "b"], ["y"])), trimming="fraction"
    )
    np.testing.assert_allclose(turned["estimate"], -found["estimate"][::-1])
    np.testing.assert_allclose(turned["std_error"], found["std_error"][::-1])


def test_weights_stand_for_people(table):
    """Integer weights give the bounds of repeated people; as clusters these have the weights' errors."""
    weight = child_rng(2, "copies").integers(1, 4, len(table))
    heavy = pick(
        estimate.lee_bounds(trial(table.assign(weight=weight.astype(float)), ARMS, ["y"])),
        trimming="fraction",
    )
    copies = table.loc[np.repeat(table.index, weight)]
    copies = copies.assign(cluster=copies.index.astype(str))
    repeated = pick(estimate.lee_bounds(trial(copies, ARMS, ["y"])), trimming="fraction")
    np.testing.assert_allclose(heavy["estimate"], repeated["estimate"], rtol=1e-9)
    np.testing.assert_allclose(heavy["std_error"], repeated["std_error"] * np.sqrt(199 / 200), rtol=1e-9)
    whole = pick(estimate.lee_bounds(trial(copies, ARMS, ["y"])), trimming="whole")
    assert whole["estimate"].isna().all()
    assert whole["note"].str.contains("not for survey weights, blocks or clusters").all()


@pytest.mark.parametrize("change", [weighted, lambda t: t.assign(y=np.round(t["y"]))])
def test_bounds_neither_depend_on_row_order_nor_on_the_order_of_arms(table, change):
    table = change(table)
    first = estimate.lee_bounds(trial(table, ARMS, ["y"]))
    shuffled = table.sample(frac=1, random_state=1)
    shuffled["weight"] *= 3
    pd.testing.assert_frame_equal(first, estimate.lee_bounds(trial(shuffled, ARMS, ["y"])), rtol=1e-9)
    turned = estimate.lee_bounds(trial(table, ARMS[::-1], ["y"]))
    for trimming in ("fraction", "whole"):
        a, b = (pick(t, trimming=trimming) for t in (first, turned))
        np.testing.assert_allclose(b["estimate"], -a["estimate"][::-1], rtol=1e-9)
        np.testing.assert_allclose(b["std_error"], a["std_error"][::-1], rtol=1e-9)
        np.testing.assert_allclose(b["effect_low"], -a["effect_high"][::-1], rtol=1e-9)
        assert b["trimmed_arm"].tolist() == a["trimmed_arm"][::-1].tolist()


@pytest.mark.parametrize("people", [40, 60, 70, 90, 110])
@pytest.mark.parametrize("answers", [10, 20, 30])
def test_whole_people_are_trimmed_by_exact_counts(people, answers):
    """Where Q times the answers is a whole number, no person more or less is trimmed by rounding."""
    rng = child_rng(5, "exact counts")
    more = pd.Series(rng.normal(size=70)).where(np.arange(70) < 60)
    fewer = pd.Series(rng.normal(size=people)).where(np.arange(people) < answers)
    data = pd.concat([fewer, more], keys=["a", "b"], names=["arm"]).rename("y").reset_index("arm")
    share = 1 - Fraction(answers, people) / Fraction(60, 70)
    y, rank = np.sort(more.dropna()), [Fraction(i, 60) for i in range(1, 61)]
    sides = [r < 1 - share for r in rank], [r > share for r in rank]
    expected = [y[kept].mean() - fewer.mean() for kept in sides]
    for seed in range(3):
        shuffled = data.assign(weight=1.0).sample(frac=1, random_state=seed)
        rows = pick(estimate.lee_bounds(trial(shuffled, ["a", "b"], ["y"])), trimming="whole")
        np.testing.assert_allclose(rows["estimate"], expected, rtol=1e-9)


def test_imbens_manski_intervals_solve_their_equation(table):
    found = estimate.lee_bounds(trial(table, ARMS, ["y"], alpha=0.1))
    for _, (low, high) in itertools.groupby(
        found.to_dict("records"), lambda r: (r["contrast"], r["trimming"])
    ):
        width = (high["estimate"] - low["estimate"]) / max(low["std_error"], high["std_error"])
        critical = optimize.brentq(lambda c, w=width: special.ndtr(c + w) - special.ndtr(-c) - 0.9, 1, 2)
        assert low["effect_low"] == pytest.approx(low["estimate"] - critical * low["std_error"], abs=1e-9)
        assert high["effect_high"] == pytest.approx(high["estimate"] + critical * high["std_error"], abs=1e-9)
        assert special.ndtri(0.9) <= critical <= special.ndtri(0.95)
    np.testing.assert_allclose(
        found["conf_high"] - found["estimate"], special.ndtri(0.95) * found["std_error"], rtol=1e-9
    )


def test_equal_response_rates_give_the_difference_in_means(table):
    complete = estimate.lee_bounds(trial(table, ARMS, ["full"]))
    dim = estimate.effects(trial(table, ARMS, ["full"]))
    for bound, trimming in itertools.product(("lower", "upper"), ("fraction", "whole")):
        rows = pick(complete, bound=bound, trimming=trimming)
        np.testing.assert_allclose(rows["estimate"], dim["estimate"], rtol=1e-9)
        # Nobody is missing: the standard error of the means with variances by n instead of n - 1.
        np.testing.assert_allclose(rows["std_error"], dim["std_error"] * np.sqrt(199 / 200), rtol=1e-9)
        assert (rows["trim_share"] == 0).all() and (rows["trimmed_arm"] == "").all()
        assert rows["note"].str.startswith("response rates are equal").all()
    table["y"] = table["full"].where(table.groupby("arm", observed=True).cumcount() % 4 > 0)
    equal = estimate.lee_bounds(trial(table, ARMS, ["y"]))
    np.testing.assert_allclose(equal["estimate"], equal["naive"], rtol=1e-9)
    # Who would have been trimmed is not known, so that the error is not smaller than with everybody.
    assert (equal["std_error"].to_numpy() > complete["std_error"].to_numpy()).all()


def test_bounds_of_bad_data_are_missing_and_say_why(table):
    arm = table["arm"]
    table["constant"] = 1.1
    table.loc[arm == "best", ["y"]] = np.nan
    table.loc[arm == "control", ["y", "constant"]] = np.nan
    table.loc[np.flatnonzero(arm == "control")[0], ["y", "constant"]] = 1.0
    table.loc[np.flatnonzero(arm == "best")[:9], "constant"] = np.nan
    found = estimate.lee_bounds(trial(table, [*ARMS, "nobody"], ["y", "constant"]))
    assert len(found) == 2 * 6 * 4
    rows = pick(found, outcome="y")
    assert rows[NUMBERS].isna().all(axis=None)
    assert rows["note"].str.contains("fewer than two observed respondents").all()
    flat = pick(found, outcome="constant", contrast="nano - best")
    np.testing.assert_allclose(flat["estimate"], 0, atol=1e-12)
    assert flat["std_error"].isna().all()
    assert flat["note"].str.endswith("no standard error: the outcome does not vary").all()


def test_monotonicity_is_in_the_note(table):
    rows = pick(estimate.lee_bounds(trial(table, ARMS, ["y"])), contrast="nano - control")
    assert (rows["rate_p"] < 0.05).all() and (rows["trimmed_arm"] == "nano").all()
    assert set(rows["note"]) == {"assumes that whoever answers in 'control' would also answer in 'nano'"}
    near = table.assign(y=table["full"].where(np.arange(600) % 7 > 0))
    assert estimate.lee_bounds(trial(near, ARMS, ["y"]))["note"].str.contains("direction is uncertain").all()


@pytest.mark.parametrize("discrete", [False, True])
def test_bounds_and_their_intervals_cover_the_truth(discrete):
    """Monotone selection that depends on the outcome; truth from 400,000 people an arm."""
    rng = child_rng(6, "coverage of lee bounds")

    def people(n):
        taste = rng.normal(size=n)
        low, high = taste + rng.normal(size=n), taste + 0.3 + rng.normal(size=n)
        if discrete:
            low, high = np.clip(np.round(low), -1, 2), np.clip(np.round(high), -1, 2)
        draw = rng.random(n)
        # Whoever answers in the first arm answers in the second; the latter adds people with a taste.
        first = draw < 0.7 - 0.1 * (taste > 0)
        return low, high, first, first | (draw < 0.75 + 0.1 * (taste > 0))

    low, high, first, second = people(400_000)
    effect = (high - low)[first].mean()
    big = pd.DataFrame(
        {
            "arm": np.repeat(["a", "b"], len(low)),
            "y": np.r_[np.where(first, low, np.nan), np.where(second, high, np.nan)],
            "weight": 1.0,
        }
    )
    bounds = pick(estimate.lee_bounds(trial(big, ["a", "b"], ["y"])), trimming="fraction")["estimate"]
    assert bounds[0] < effect < bounds[1]
    assert abs(np.nanmean(big["y"][len(low) :]) - np.nanmean(big["y"][: len(low)]) - effect) > 0.05
    arm = np.repeat(["a", "b"], 300)

    def answers():
        low, high, first, second = people(600)
        return np.where(arm == "a", np.where(first, low, np.nan), np.where(second, high, np.nan))

    reps = [f"y{i}" for i in range(800)]
    data = pd.DataFrame({name: answers() for name in reps}).assign(arm=arm, weight=1.0)
    rows = pick(estimate.lee_bounds(trial(data, ["a", "b"], reps)), trimming="fraction")
    own = (rows["conf_low"] <= np.tile(bounds, 800)) & (np.tile(bounds, 800) <= rows["conf_high"])
    rows = pick(rows, bound="lower")
    # An effect at the end of the bounds is covered as often as it should be, one inside more often.
    at_end = (rows["effect_low"] <= bounds[0]) & (bounds[0] <= rows["effect_high"])
    inside = (rows["effect_low"] <= effect) & (effect <= rows["effect_high"])
    # 2.5 Monte Carlo standard errors
    assert own[::2].mean() == pytest.approx(0.95, abs=0.02)
    assert own[1::2].mean() == pytest.approx(0.95, abs=0.02)
    assert at_end.mean() == pytest.approx(0.95, abs=0.02)
    assert inside.mean() > 0.97


# Inverse probability weights


def test_logit_equals_statsmodels():
    rng = child_rng(7, "logit")
    x = sm.add_constant(rng.normal(size=(400, 3)))
    y = (rng.random(400) < special.expit(x @ [0.5, 1, -2, 0])).astype(float)
    weight = rng.uniform(0.5, 2, 400)
    ours, hessian = penalised_logit(x, y, weight, 0.0)
    theirs = sm.GLM(y, x, family=sm.families.Binomial(), freq_weights=weight).fit(tol=1e-14)
    np.testing.assert_allclose(ours, theirs.params, rtol=1e-8)
    np.testing.assert_allclose(np.linalg.inv(hessian), theirs.cov_params(), rtol=1e-6)

    def loss(b):
        return weight @ (np.logaddexp(0, x @ b) - y * (x @ b)) + b[1:] @ b[1:] / 2

    best = optimize.minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-8})
    np.testing.assert_allclose(penalised_logit(x, y, weight, 1.0)[0], best.x, atol=1e-6)
    # Values that separate, and columns that say the same, have a maximum all the same.
    apart = (x[:, 1] > 0).astype(float)
    twice = np.column_stack([x, x[:, 1] * 1000])
    coefficients, _ = penalised_logit(twice, apart, weight, 1.0)
    assert np.isfinite(coefficients).all()


def stacked(y, weight, z):
    """Mean and variance by the sandwich of all equations, with numerical derivatives."""
    observed = ~np.isnan(y)
    x = np.column_stack([np.ones(len(y)), z])
    penalty = np.r_[0, np.full(z.shape[1], PENALTY)] / len(y)
    weight = weight / weight.mean()

    def equations(theta):
        m, g = theta[0], theta[1:]
        p = special.expit(x @ g)
        of_mean = np.where(observed, weight * (y - m) / np.maximum(p, MIN_PROBABILITY), 0)
        return np.column_stack([of_mean, x * (weight * (observed - p))[:, None] - penalty * g])

    theta = optimize.root(lambda t: equations(t).sum(axis=0), np.zeros(x.shape[1] + 1), tol=1e-12).x
    step = 1e-6
    bread = np.column_stack(
        [
            (equations(theta + step * e) - equations(theta - step * e)).sum(axis=0) / (2 * step)
            for e in np.eye(len(theta))
        ]
    )
    inverse = np.linalg.inv(bread)
    scores = equations(theta)
    return theta[0], (inverse @ (scores.T @ scores) @ inverse.T)[0, 0]


def test_weighted_means_equal_stacked_equations(table):
    table = weighted(table)
    found = ipw(trial(table, ARMS, ["y"], adjust=[AGE, PARTY]))
    assert list(found.columns) == list(Table.IPW.columns)
    z = np.column_stack([table["age"], table["party"] == "blue", table["party"] == "none"]).astype(float)
    z = z - np.average(z, axis=0, weights=table["weight"])
    z = z / z.std(axis=0)
    parts = {}
    for arm in ARMS:
        own = (table["arm"] == arm).to_numpy()
        parts[arm] = stacked(table["y"].to_numpy()[own], table["weight"].to_numpy()[own], z[own])
    for row, (later, earlier) in zip(found.to_dict("records"), estimate.pairs(ARMS), strict=True):
        assert row["estimate"] == pytest.approx(parts[later][0] - parts[earlier][0], rel=1e-6)
        # HC2 against no correction: 1 / n
        error = np.sqrt(parts[later][1] + parts[earlier][1])
        assert row["std_error"] == pytest.approx(error, rel=0.02)
        assert row["std_error"] > error


def test_weights_remove_the_bias_of_the_naive_difference():
    rng = child_rng(8, "weights remove bias")
    rows = []
    for _ in range(120):
        rows.append(ipw(trial(sample(rng), ARMS, ["y"], adjust=[AGE, PARTY])).iloc[1])
    found = pd.DataFrame(rows)
    truth = 1.0
    spread = found["estimate"].std()
    covered = ((found["conf_low"] <= truth) & (truth <= found["conf_high"])).mean()
    assert abs(found["naive"].mean() - truth) > 0.5
    assert abs(found["estimate"].mean() - truth) < 0.05
    assert found["std_error"].mean() == pytest.approx(spread, rel=0.15)
    assert covered > 0.91, covered


def test_nobody_missing_gives_the_difference_in_means(table):
    table = weighted(table)
    found = ipw(trial(table, ARMS, ["full"], adjust=[AGE]))
    dim = estimate.effects(trial(table, ARMS, ["full"]))
    columns = [*ESTIMATE_COLUMNS, "contrast", "p_adjusted"]
    pd.testing.assert_frame_equal(found[columns], dim[columns], rtol=1e-9)
    # Without covariates everybody in an arm has the same probability.
    plain = ipw(trial(table, ARMS, ["y"], adjust=[]))
    dim = estimate.effects(trial(table, ARMS, ["y"]))
    pd.testing.assert_frame_equal(plain[columns], dim[columns], rtol=1e-9)


def test_weighted_effects_depend_on_neither_row_order_nor_scale_nor_order_of_arms(table):
    table = weighted(table)
    first = ipw(trial(table, ARMS, ["y"], adjust=[AGE, PARTY]))
    other = table.sample(frac=1, random_state=2)
    other = other.assign(weight=other["weight"] * 9, age=other["age"] * 100 + 7)
    pd.testing.assert_frame_equal(first, ipw(trial(other, ARMS, ["y"], adjust=[AGE, PARTY])), rtol=1e-6)
    turned = ipw(trial(table, ARMS[::-1], ["y"], adjust=[AGE, PARTY]))
    np.testing.assert_allclose(turned["estimate"], -first["estimate"][::-1], rtol=1e-9)
    np.testing.assert_allclose(turned["std_error"], first["std_error"][::-1], rtol=1e-9)


def test_weights_are_cut_and_counted(table):
    far = table["age"] < -1
    control = table["arm"] == "control"
    keep = np.flatnonzero(far & control)[0]
    table["y"] = table["full"].where(~(far & control) | (np.arange(600) == keep))
    table["age"] = np.where(far, -10.0, table["age"])
    found = ipw(trial(table, ARMS, ["y"], adjust=[AGE]))
    assert found["n_cut"].tolist() == [1, 1, 0]
    assert found["largest_weight"].tolist()[:2] == [1 / MIN_PROBABILITY] * 2
    assert (found["n_effective"] < found["n"]).all()


def test_weighted_effects_of_bad_data(table):
    table.loc[table["arm"] == "best", "y"] = np.nan
    table["apart"] = (table["y"].isna()).astype(float)
    table["flat"] = table["y"] * 0
    apart = CovariateConfig(name="apart", kind="numeric")
    found = ipw(trial(table, [*ARMS, "nobody"], ["y", "flat"], adjust=[apart, AGE]))
    rows = pick(found, outcome="y").set_index("contrast")
    assert np.isfinite(rows.loc["nano - control", NUMBERS].astype(float)).all()
    others = rows.drop("nano - control")
    assert others[NUMBERS].isna().all(axis=None)
    assert others["note"].str.contains("fewer than two observed respondents").all()
    assert "does not vary" in pick(found, outcome="flat", contrast="nano - control")["note"][0]
    assert (found["label"] == "exploratory").all()


def test_clusters_of_copies_have_the_error_of_one_copy(table):
    twice = pd.concat([table, table])
    twice = twice.assign(cluster=twice.index.astype(str), weight=0.5)
    one, two = (ipw(trial(t, ARMS, ["y"], adjust=[AGE])) for t in (table, twice))
    np.testing.assert_allclose(one["estimate"], two["estimate"], rtol=0.01)
    np.testing.assert_allclose(one["std_error"], two["std_error"], rtol=0.01)
    assert two["df"].tolist() == one["df"].tolist()


# ------------------------------------------------------------------------------ weights and a model


def augmented(*arguments, **more):
    found = estimate.ipw_effects(trial(*arguments, **more))
    return found[found["estimator"] == "aipw"].reset_index(drop=True)


def by_equations(y, weight, x, z):
    """Return the mean that a regression weighted by w / p predicts, and its error, by stacked equations."""
    known = ~np.isnan(y[0])
    own, k, q = y[1], x.shape[1], z.shape[1]
    w = weight / weight[own].mean()
    penalty = PENALTY * (np.arange(k) > 0) / own.sum()

    def equations(theta):
        g, b, mean = theta[:k], theta[k : k + q], theta[-1]
        p = 1 / (1 + np.exp(-x @ g))
        logit = x * (own * w * (known - p))[:, None] - own[:, None] * penalty * g
        fit = z * (own * known * w / p * (np.where(known, y[0], 0) - z @ b))[:, None]
        return np.column_stack([logit, fit, weight * (z @ b - mean)])

    theta = optimize.root(lambda t: equations(t).sum(axis=0), np.zeros(k + q + 1), tol=1e-12).x
    step = 1e-6
    bread = np.column_stack(
        [
            (equations(theta + step * e) - equations(theta - step * e)).sum(axis=0) / (2 * step)
            for e in np.eye(len(theta))
        ]
    )
    scores = equations(theta)
    inverse = np.linalg.inv(bread)
    return theta[-1], (scores @ inverse.T)[:, -1]


def test_augmented_means_equal_stacked_equations(table):
    # Many copies, so that the correction of HC2, of the order of parameters / n, is small.
    table = pd.concat([weighted(table)] * 12, ignore_index=True)
    found = augmented(table, ARMS, ["y"], adjust=[AGE, PARTY])
    z = np.column_stack([table["age"], table["party"] == "blue", table["party"] == "none"]).astype(float)
    z = np.column_stack([np.ones(len(z)), z - np.average(z, axis=0, weights=table["weight"])])
    x = np.column_stack([np.ones(len(z)), z[:, 1:] / z[:, 1:].std(axis=0)])
    y, weight = table["y"].to_numpy(), table["weight"].to_numpy()
    parts = {arm: by_equations((y, (table["arm"] == arm).to_numpy()), weight, x, z) for arm in ARMS}
    for row, (later, earlier) in zip(found.to_dict("records"), estimate.pairs(ARMS), strict=True):
        assert row["estimate"] == pytest.approx(parts[later][0] - parts[earlier][0], rel=1e-5)
        influence = parts[later][1] - parts[earlier][1]
        assert row["std_error"] == pytest.approx(np.sqrt(influence @ influence), rel=0.006)
        assert row["std_error"] > np.sqrt(influence @ influence)


def test_augmented_effects_with_nobody_missing_are_those_of_lin(table):
    table = weighted(table)
    lin = estimate.effects(trial(table, ARMS, ["full"], adjust=[AGE, PARTY]))
    lin = lin[lin["estimator"] == "lin"].reset_index(drop=True)
    found = augmented(table, ARMS, ["full"], adjust=[AGE, PARTY])
    np.testing.assert_allclose(found["estimate"], lin["estimate"], rtol=1e-9)
    # Covariates are those of a sample: that adds to the variance, and how much follows from the slopes.
    assert (found["std_error"] >= lin["std_error"] * (1 - 1e-9)).all()
    assert (found["std_error"] < lin["std_error"] * 1.2).all()


@pytest.mark.parametrize("right", ["logit", "model", "neither"])
def test_one_of_two_models_suffices(right):
    """Who is missing and what is answered depend on age and its square; one of both is told half of it."""
    rng = child_rng(5, f"doubly robust/{right}")
    truth, n = 1.0, 9_000
    age = rng.normal(size=n)
    arm = rng.integers(2, size=n)
    bent = age**2 - 1
    of_answers, of_missing = ("bent", "age") if right == "logit" else ("age", "bent")
    known = {"age": age, "bent": bent}
    if right == "neither":
        of_answers = of_missing = "bent"
    y = truth * arm + (1 + arm) * known[of_answers] + rng.normal(size=n)
    stays = rng.random(n) < 1 / (1 + np.exp(-0.5 + (0.4 - 1.2 * arm) * known[of_missing]))
    table = pd.DataFrame(
        {"arm": np.array(ARMS)[arm], "y": np.where(stays, y, np.nan), "age": age, "weight": 1.0}
    )
    row = augmented(table, ARMS[:2], ["y"], adjust=[AGE]).iloc[0]
    distance = abs(row["estimate"] - truth) / row["std_error"]
    assert distance > 5 if right == "neither" else distance < 3


# --------------------------------------------------------------------------- bounds within cells


def test_bounds_within_cells_are_averages_of_bounds():
    """Two cells whose bounds are those of either alone, weighted by who answers in either arm."""
    rng = child_rng(9, "cells")
    n = 4_000
    half = rng.permutation(n) < n / 2
    arm = rng.integers(2, size=n)
    y = 3.0 * half + 0.5 * arm + rng.normal(size=n)
    stays = rng.random(n) < np.where(arm == 1, 0.95, np.where(half, 0.6, 0.9))
    table = pd.DataFrame({"arm": np.array(ARMS)[arm], "y": np.where(stays, y, np.nan), "weight": 1.0})
    table["half"] = pd.Categorical(np.where(half, "one", "other"))
    found = estimate.lee_bounds(trial(table, ARMS[:2], ["y"], tighten=["half"]))
    cells = pick(found, trimming="within cells")["estimate"].to_numpy()
    plain = pick(found, trimming="fraction")["estimate"].to_numpy()
    parts, shares = [], []
    for name in ("one", "other"):
        own = table[table["half"] == name]
        alone = estimate.lee_bounds(trial(own, ARMS[:2], ["y"]))
        parts.append(pick(alone, trimming="fraction")["estimate"].to_numpy())
        shares.append(len(own) * own[own["arm"] == "control"]["y"].notna().mean())
    np.testing.assert_allclose(cells, np.average(parts, axis=0, weights=shares), rtol=1e-9)
    # Narrower, because the cell tells who drops out and how people answer; the effect is inside.
    assert cells[1] - cells[0] < 0.8 * (plain[1] - plain[0])
    assert cells[0] < 0.5 < cells[1]
    errors = []
    for draw in range(60):
        rng = child_rng(draw, "cells/bootstrap")
        sample = table.iloc[rng.integers(n, size=n)].reset_index(drop=True)
        again = estimate.lee_bounds(trial(sample, ARMS[:2], ["y"], tighten=["half"]))
        errors.append(pick(again, trimming="within cells")["estimate"].to_numpy())
    claimed = pick(found, trimming="within cells")["std_error"].to_numpy()
    np.testing.assert_allclose(claimed, np.std(errors, axis=0, ddof=1), rtol=0.3)
    assert set(pick(found, trimming="within cells")["label"]) == {"exploratory"}


def test_small_cells_are_put_together(table):
    table["rare"] = pd.Categorical(np.where(np.arange(len(table)) < 5, "few", "many"))
    found = estimate.lee_bounds(trial(table, ARMS, ["y"], tighten=["rare"]))
    cells, plain = (pick(found, trimming=name)["estimate"] for name in ("within cells", "fraction"))
    np.testing.assert_allclose(cells, plain, rtol=1e-9)
