"""Doubly robust scores, groups, projection and targeting curve against known truth and brute force."""

import importlib

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate import Table, prognosis
from nanotarget.explore.pair import Pair
from nanotarget.study.config import CovariateConfig, GroupConfig, SubgroupConfig
from nanotarget.study.seeds import child_rng
from trials import trial

# The package has a function of the same name.
t = importlib.import_module("nanotarget.explore.targeting")

ARMS = ["control", "best", "nano"]
PRIOR = CovariateConfig(name="prior", kind="numeric")
PARTY = CovariateConfig(name="party", kind="categorical", levels=["red", "blue", "none", "rare"])
COVARIATES = [PRIOR, PARTY]
BY_PRIOR = SubgroupConfig(
    name="support",
    covariate="prior",
    groups=[GroupConfig(name="low", max=-0.5), GroupConfig(name="high", min=-0.4999)],
)
BY_PARTY = SubgroupConfig(name="party", covariate="party")


def experiment(n=600, seed=1, slope=0.5, weighted=True, **more):
    rng = child_rng(seed, "targeting")
    prior = rng.normal(size=n)
    party = rng.choice(PARTY.levels[:3], n)
    arm = rng.choice(3, n, p=[0.25, 0.25, 0.5])
    effect = 0.3 + slope * prior
    table = pd.DataFrame(
        {
            "respondent_id": [f"r{i:05d}" for i in range(n)],
            "arm": pd.Categorical.from_codes(arm, ARMS),
            "prior": prior,
            "party": pd.Categorical(party, PARTY.levels),
            "y": 2 * prior + (party == "red") + effect * (arm == 2) + rng.normal(size=n),
            "weight": rng.uniform(0.5, 2, n) if weighted else 1.0,
        }
    )
    return table.assign(**more)


def gain_of(table, noise=0.0):
    return pd.Series(table["prior"].to_numpy(), index=table["respondent_id"])


def run(table, gain=None, groupings=(BY_PRIOR, BY_PARTY), arms=ARMS, outcomes=("y",), adjust=COVARIATES):
    gain = gain_of(table) if gain is None else gain
    asked = trial(table, arms, outcomes, covariates=COVARIATES, adjust=adjust)
    return t.targeting(asked, gain, groupings, 10, 1)


def of(table, contrast="nano - best"):
    return table[table["contrast"] == contrast]


def test_ridge_is_the_penalised_least_squares_of_the_textbook():
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(60, 4)) * [1, 10, 0.1, 3], rng.uniform(0.5, 2, 60)
    y, new = x @ [1, 0.05, 2, 0] + rng.normal(size=60), rng.normal(size=(7, 4))
    share = w / w.sum()
    centre, scale = share @ x, np.sqrt(share @ (x - share @ x) ** 2)
    z = np.column_stack([np.ones(60), (x - centre) / scale])

    def coefficients(penalty, rows):
        gram = (z[rows].T * share[rows] * 60) @ z[rows] + 60 * penalty * np.diag([0, 1, 1, 1, 1])
        return np.linalg.solve(gram, z[rows].T @ (share[rows] * 60 * y[rows]))

    everybody = np.arange(60)
    errors = [
        sum(share[i] * (y[i] - z[i] @ coefficients(penalty, everybody != i)) ** 2 for i in everybody)
        for penalty in prognosis.PENALTIES
    ]
    b = coefficients(prognosis.PENALTIES[np.argmin(errors)], everybody)
    expected = b[0] + ((new - centre) / scale) @ b[1:]
    np.testing.assert_allclose(prognosis.ridge(x, y, w, new), expected)
    # A column without variation is no column.
    padded = [np.column_stack([part, np.full(len(part), 0.1)]) for part in (x, new)]
    np.testing.assert_allclose(prognosis.ridge(padded[0], y, w, padded[1]), expected)
    np.testing.assert_allclose(prognosis.ridge(x[:, :0], y, w, new[:, :0]), share @ y)


@pytest.mark.parametrize("seed", range(3))
def test_groups_by_predicted_gain_do_not_depend_on_rounding_or_the_order_of_rows(seed):
    """The middle gain is that of a fifth of the people, exactly; gains of equal people differ by an ulp."""
    rng = child_rng(seed, "quantile groups")
    group = np.repeat([0, 1, 2], [1, 4, 10])
    gain = np.array([0.1, 0.2, 0.7])[group]
    nudged = np.where(rng.random(15) < 0.5, gain, np.nextafter(gain, 1))
    order = rng.permutation(15)
    names, codes = t.quantile_groups(nudged[order], np.full(15, 0.1))
    assert codes.tolist() == group[order].tolist() and len(names) == 3


def test_scores_are_the_formula_with_models_that_have_not_seen_the_respondent():
    """Move one respondent's outcome: of all scores in her fold only hers may change."""
    table = experiment(200)
    one = t.contrast_scores(trial(table, ARMS, adjust=COVARIATES), "nano", "best", "y", 1)
    place = 5
    who = one.pair.table["respondent_id"][place]
    moved = table.assign(y=np.where(table["respondent_id"] == who, table["y"] + 100, table["y"]))
    two = t.contrast_scores(trial(moved, ARMS, adjust=COVARIATES), "nano", "best", "y", 1)
    fold = t._folds(one.pair, child_rng(1, "explore/targeting/folds"))
    change = two.value - one.value
    both = table[table["arm"].isin(["nano", "best"])]
    chance = (both["arm"] == "nano").mean()
    sign = 1 / chance if one.pair.treated[place] else -1 / (1 - chance)
    assert change[place] == pytest.approx(100 * sign)
    same = (fold == fold[place]) & (np.arange(len(fold)) != place)
    assert same.sum() > 10 and np.abs(change[same]).max() == 0
    assert np.abs(change[fold != fold[place]]).max() > 0


def test_without_covariates_scores_average_to_the_difference_in_means():
    """With realised shares and no covariate, up to the means of the folds."""
    table = experiment(2000, weighted=False)
    scores = t.contrast_scores(trial(table, ARMS, adjust=[]), "nano", "best", "y", 1)
    y, treated = scores.pair.y, scores.pair.treated
    difference = y[treated].mean() - y[~treated].mean()
    assert scores.value.mean() == pytest.approx(difference, abs=2e-3)
    # The same error, too: a score has the variance of both arms.
    error = scores.value.std(ddof=1) / np.sqrt(len(y))
    welch = np.sqrt(y[treated].var(ddof=1) / treated.sum() + y[~treated].var(ddof=1) / (~treated).sum())
    assert error == pytest.approx(welch, rel=0.01)


def test_scores_are_unbiased_and_their_intervals_cover_where_a_block_has_its_own_shares():
    """Blocks with unlike shares and unlike outcomes: the plain difference in means would be wrong."""
    hits, estimates, plain = 0, [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        block = rng.integers(0, 2, 300)
        treated = rng.random(300) < np.where(block, 0.8, 0.3)
        z = rng.normal(size=300) + block
        y = 3 * block + z + treated * (0.5 + block) + rng.normal(size=300)
        table = pd.DataFrame(
            {
                "respondent_id": [f"{i:03d}" for i in range(300)],
                "arm": pd.Categorical.from_codes(treated.astype(int), ["best", "nano"]),
                "prior": z,
                "y": y,
                "weight": 1.0,
                "block": np.where(block, "b", "a"),
            }
        )
        scores = t.contrast_scores(trial(table, ARMS, adjust=[PRIOR]), "nano", "best", "y", 1)
        estimate, error = scores.value.mean(), scores.value.std(ddof=1) / np.sqrt(300)
        estimates.append(estimate)
        plain.append(y[treated].mean() - y[~treated].mean())
        hits += abs(estimate - 1.0) <= 1.96 * error
    assert np.mean(estimates) == pytest.approx(1.0, abs=4 * np.std(estimates) / np.sqrt(150))
    assert np.mean(plain) > 2
    assert 0.90 <= hits / 150 <= 0.99


def test_covariates_make_scores_precise_and_design_shares_are_taken_at_their_word():
    table = experiment(900)
    spread = [
        t.contrast_scores(trial(table, ARMS, adjust=adjust), "nano", "best", "y", 1).value.std()
        for adjust in ([], COVARIATES)
    ]
    assert spread[1] < 0.6 * spread[0]
    fixed = t.contrast_scores(
        trial(table, ARMS, adjust=[], shares={"control": 1, "best": 1, "nano": 2}), "nano", "best", "y", 1
    )
    y, treated = fixed.pair.y, fixed.pair.treated
    free = t.contrast_scores(trial(table, ARMS, adjust=[]), "nano", "best", "y", 1)
    assert fixed.value[treated].std() != free.value[treated].std()
    assert np.corrcoef(fixed.value[treated], y[treated])[0, 1] > 0.99


def test_groups_average_to_all():
    table = experiment()
    gate = of(run(table).gate)
    assert list(gate.columns) == list(Table.GATE.columns)
    overall = gate[gate["grouping"] == "all"].iloc[0]
    scores = t.contrast_scores(trial(table, ARMS, adjust=COVARIATES), "nano", "best", "y", 1)
    w = scores.pair.weight
    assert overall["estimate"] == pytest.approx(w @ scores.value / w.sum())
    for grouping, codes in (
        ("party", scores.pair.table["party"].cat.codes.to_numpy()),
        (t.PREDICTED, t.quantile_groups(scores.pair.table["prior"].to_numpy(), w)[1]),
    ):
        rows = gate[(gate["grouping"] == grouping) & ~gate["suppressed"]]
        mass = np.bincount(codes, weights=w)
        mass = mass[mass > 0]
        if grouping == "party":  # the empty level hides itself and one more
            assert set(gate.loc[gate["suppressed"], "group"]) >= {"rare"}
            continue
        assert rows["estimate"].to_numpy() @ mass / mass.sum() == pytest.approx(overall["estimate"])
        assert rows["n"].sum() == overall["n"]


def test_errors_of_groups_are_those_of_a_regression_on_groups():
    table = experiment()
    gate = of(run(table).gate)
    rows = gate[gate["grouping"] == "support"]
    scores = t.contrast_scores(trial(table, ARMS, adjust=COVARIATES), "nano", "best", "y", 1)
    inside = (scores.pair.table["prior"] <= -0.5) | (scores.pair.table["prior"] >= -0.4999)
    low = (scores.pair.table["prior"] <= -0.5)[inside]
    x = np.column_stack([low, ~low]).astype(float)
    model = sm.WLS(scores.value[inside], x, weights=scores.pair.weight[inside]).fit(
        cov_type="HC2", use_t=True
    )
    np.testing.assert_allclose(rows["estimate"].astype(float), model.params, rtol=1e-8)
    np.testing.assert_allclose(rows["std_error"].astype(float), model.bse, rtol=1e-8)
    test = model.f_test([1, -1])
    assert rows["interaction_p"].iloc[0] == pytest.approx(float(test.pvalue), rel=1e-6)


def test_the_projection_finds_the_slope_and_equals_least_squares():
    table = experiment(3000)
    rows = of(run(table).projection).set_index("term")
    assert abs(rows.loc["prior", "estimate"] - 0.5) < 4 * rows.loc["prior", "std_error"]
    assert abs(rows.loc["(mean)", "estimate"] - 0.3) < 4 * rows.loc["(mean)", "std_error"]
    assert rows.loc["prior", "interaction_p"] < 1e-6
    scores = t.contrast_scores(trial(table, ARMS, adjust=COVARIATES), "nano", "best", "y", 1)
    own, w = scores.pair.table, scores.pair.weight
    x = np.column_stack([own["prior"], own["party"] == "blue", own["party"] == "none"]).astype(float)
    x = sm.add_constant(x - np.average(x, axis=0, weights=w))
    model = sm.WLS(scores.value, x, weights=w).fit(cov_type="HC2", use_t=True)
    shown = ["(mean)", "prior", "party: blue", "party: none"]
    np.testing.assert_allclose(rows.loc[shown, "estimate"].astype(float), model.params, rtol=1e-7)
    np.testing.assert_allclose(rows.loc[shown, "std_error"].astype(float), model.bse, rtol=1e-7)


def slow_toc(score, weight, priority, share):
    """TOC by its definition, person by person; everybody with the same priority has the mean score."""
    score = np.array([np.average(score[priority == p], weights=weight[priority == p]) for p in priority])
    order = np.argsort(-priority, kind="stable")
    score, weight = score[order], weight[order]
    left, total = share * weight.sum(), 0.0
    for s, w in zip(score, weight, strict=True):
        total += min(left, w) * s
        left -= min(left, w)
    return total / (share * weight.sum()) - np.average(score, weights=weight)


@pytest.mark.parametrize("digits", [6, 0])
def test_the_curve_is_that_of_the_definition(digits):
    table = experiment(150)
    scores = t.contrast_scores(trial(table, ARMS, adjust=COVARIATES), "nano", "best", "y", 1)
    priority = np.round(scores.pair.table["prior"].to_numpy(), digits)
    share = np.array([0.1, 0.35, 0.7, 1.0])
    estimate, error = t.rank_weighted(scores, priority, share, np.random.default_rng(1), 20)
    w, n = scores.pair.weight, len(priority)
    slow = [slow_toc(scores.value, w, priority, q) for q in share]
    np.testing.assert_allclose(estimate[2:], slow, atol=1e-10)
    assert estimate[-1] == pytest.approx(0, abs=1e-12) and error[-1] == pytest.approx(0, abs=1e-12)
    reached = np.cumsum(w[np.argsort(-priority, kind="stable")]) / w.sum()
    everywhere = np.array([slow_toc(scores.value, w, priority, q) for q in reached])
    step = np.diff(reached, prepend=0)
    assert len(step) == n
    assert estimate[0] == pytest.approx(step @ everywhere)
    assert estimate[1] == pytest.approx(step @ (everywhere * reached))


def test_rate_knows_a_useful_ranking_from_a_useless_one():
    """True effects are standard normal in the priority: QINI = integral of phi(z_q) dq, AUTOC of it / q."""
    z = np.linspace(-8, 8, 20001)
    autoc = np.trapezoid(stats.norm.pdf(z) ** 2 / stats.norm.sf(z), z)
    found, useless = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        table = experiment(400, seed=seed, slope=1.0, weighted=False)
        scores = t.contrast_scores(trial(table, ARMS, adjust=COVARIATES), "nano", "best", "y", 1)
        prior = scores.pair.table["prior"].to_numpy()
        for priority, kept in ((prior, found), (rng.normal(size=len(prior)), useless)):
            kept.append(t.rank_weighted(scores, priority, np.ones(1), np.random.default_rng(1), 60))
    for kept, truth in ((found, (autoc, 1 / (2 * np.sqrt(np.pi)))), (useless, (0.0, 0.0))):
        estimates, errors = (np.array([pair[i][:2] for pair in kept]) for i in (0, 1))
        simulation = estimates.std(axis=0, ddof=1)
        np.testing.assert_allclose(estimates.mean(axis=0), truth, atol=4 * simulation.max() / np.sqrt(60))
        np.testing.assert_allclose(errors.mean(axis=0), simulation, rtol=0.3)


def test_tables_of_the_curve_end_in_zero_and_hold_no_small_step():
    table = experiment(260)
    found = run(table)
    assert list(found.rate.columns) == list(Table.RATE.columns)
    curve = of(found.curve)
    sizes = table["arm"].value_counts()
    assert len(curve) == min(sizes["nano"], sizes["best"]) // 10
    end = curve[curve["share"] == 1].iloc[0]
    assert end[["estimate", "std_error", "conf_low", "conf_high"]].tolist() == [0, 0, 0, 0]
    assert np.isnan(end["p_value"]) and curve["std_error"].iloc[:-1].gt(0).all()
    assert of(found.rate)["target"].tolist() == ["AUTOC", "QINI"]


def test_neither_row_order_nor_the_size_of_chunks_matters(monkeypatch):
    table = experiment(200)
    first = run(table)
    monkeypatch.setattr(t, "CELLS_AT_ONCE", 1000)
    second = run(table.sample(frac=1, random_state=2))
    for name in ("gate", "projection", "rate", "curve"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name), rtol=1e-7, atol=1e-12)


def test_arms_in_another_order_turn_the_signs():
    table = experiment(300)
    turned = run(table, groupings=[BY_PRIOR], arms=ARMS[::-1])
    before, after = of(run(table).rate), of(turned.rate, "best - nano")
    np.testing.assert_allclose(after["estimate"], -before["estimate"].to_numpy(), rtol=1e-8)
    np.testing.assert_allclose(after["std_error"], before["std_error"].to_numpy(), rtol=1e-8)


def test_small_groups_stay_hidden_and_do_not_show_through():
    table = experiment(600)
    few = table.index[table["arm"].isin(["nano", "best"])][:6]
    table.loc[few, "party"] = "rare"
    gate = of(run(table).gate)
    party = gate[gate["grouping"] == "party"]
    assert "rare" in set(party.loc[party["suppressed"], "group"]) and party["suppressed"].sum() == 2
    assert party.loc[party["suppressed"], list(ESTIMATE_COLUMNS)].isna().all(axis=None)
    rows = of(run(table).projection).set_index("term")
    assert rows.loc["party: rare", "suppressed"]
    assert rows.loc["party: rare", list(ESTIMATE_COLUMNS)].isna().all()
    assert rows.drop(index="party: rare")[["estimate", "std_error"]].notna().all(axis=None)


def test_clusters_are_halved_folded_and_counted_as_wholes():
    table = experiment(400, weighted=False)
    # The arm is the cluster's: everybody stands in the table three times.
    whole = pd.concat(
        [
            table.assign(respondent_id=table["respondent_id"] + str(i), cluster=table["respondent_id"])
            for i in range(3)
        ]
    )
    scores = t.contrast_scores(trial(whole, ARMS, adjust=COVARIATES), "nano", "best", "y", 1)
    fold = pd.Series(t._folds(scores.pair, np.random.default_rng(1)))
    assert fold.groupby(scores.pair.units).nunique().eq(1).all()
    single = t.contrast_scores(trial(table, ARMS, adjust=COVARIATES), "nano", "best", "y", 1)
    one, three = (
        t.rank_weighted(s, s.pair.table["prior"].to_numpy(), np.ones(1), np.random.default_rng(1), 200)
        for s in (single, scores)
    )
    np.testing.assert_allclose(three[1][:2], one[1][:2], rtol=0.1)
    gates = of(run(whole, gain=pd.Series(whole["prior"].to_numpy(), whole["respondent_id"])).gate)
    alone = of(run(table).gate)
    assert gates.iloc[0]["std_error"] == pytest.approx(alone.iloc[0]["std_error"], rel=0.05)


def test_without_clusters_of_one_errors_are_hc2():
    table = experiment(100).assign(cluster=[f"c{i}" for i in range(100)])
    assert Pair.of(trial(table, ARMS), "nano", "best", "y").trial.scheme.clusters is None


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_an_arm_with_hardly_anybody_gets_a_note(keep):
    table = experiment(200)
    gone = table["arm"] == "nano"
    gone &= gone.cumsum() > keep
    found = run(table[~gone])
    for rows in (found.gate, found.projection, found.rate, found.curve):
        rows = of(rows)
        shown = rows[~rows["suppressed"]] if "suppressed" in rows else rows
        assert rows["estimate"].isna().all()
        assert shown["note"].str.contains("fewer than 4 observed respondents or clusters in 'nano'").all()
        assert of(found.gate, "best - control")["estimate"].notna().any()


def test_a_constant_outcome_collinear_covariates_and_equal_promises_are_no_accident():
    table = experiment(300).assign(same=1.0)
    twice = CovariateConfig(name="twice", kind="numeric")
    table["twice"] = 2 * table["prior"]
    gain = pd.Series(0.25, index=table["respondent_id"])
    found = run(table, gain, groupings=[], outcomes=["same", "y"], adjust=[PRIOR, twice])
    gate = of(found.gate)
    flat = gate[(gate["outcome"] == "same") & (gate["grouping"] == "all")].iloc[0]
    assert flat[["estimate", "std_error"]].isna().all()
    assert flat["note"] == "the outcome does not vary in either arm"
    rate = of(found.rate)
    assert rate.loc[rate["outcome"] == "y", "note"].eq("nobody is promised more than anybody else").all()
    rows = of(found.projection).set_index(["outcome", "term"])
    assert rows.loc[("y", "twice"), "note"] == "a combination of the terms before it"
    assert rows.loc[("y", "prior"), "std_error"] > 0
    groups = gate[(gate["grouping"] == t.PREDICTED) & (gate["outcome"] == "y")]
    assert groups["group"].tolist() == ["1 of 1"]


def test_blocks_with_one_arm_are_left_out_and_counted():
    table = experiment(300)
    table["block"] = np.where(table.index < 40, "x", "y")
    table.loc[table.index < 40, "arm"] = "nano"
    scores = t.contrast_scores(trial(table, ARMS, adjust=[]), "nano", "best", "y", 1)
    assert scores.note == "40 respondents of blocks with one arm only left out"
    assert scores.pair.table["block"].eq("y").all()


def test_respondents_without_a_promise_are_in_no_quantile_and_not_ranked():
    table = experiment(400)
    gain = gain_of(table)
    gain.iloc[::4] = np.nan
    found = run(table, gain)
    known = table["respondent_id"].map(gain).notna() & table["arm"].isin(["nano", "best"])
    assert of(found.rate)["n"].eq(known.sum()).all()
    rows = of(found.gate)
    assert rows.loc[rows["grouping"] == t.PREDICTED, "n"].sum() == known.sum()
