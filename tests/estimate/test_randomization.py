"""Randomisation inference against enumeration of all assignments, and where its hypothesis ends."""

import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from nanotarget import estimate
from nanotarget.calibrate import regression
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate import randomization
from nanotarget.estimate.randomization import randomization_distribution, randomization_inference
from nanotarget.estimate.tables import CORRECTED, Table
from nanotarget.study import ties
from nanotarget.study.seeds import child_rng
from trials import trial

ARMS = ["control <br>", "best - of all", "nano"]
FAR = 4.5  # Monte Carlo errors that chance hardly ever explains
P_VALUES = ["p_value", "p_greater", "p_less"]
NUMBERS = ["estimate", "std_error", "statistic", "conf_low", "conf_high", *P_VALUES, "p_adjusted"]


def experiment(arm, arms=ARMS, **columns):
    """Respondents r000, r001, ... in the arms with these codes."""
    ids = [f"r{i:03d}" for i in range(len(arm))]
    return pd.DataFrame(
        {"respondent_id": ids, "arm": pd.Categorical.from_codes(arm, arms), "weight": 1.0} | columns
    )


def regressed(y, w, later, block, cluster):
    """The documented statistic by a regression of unit means and its hat matrix: effect and error."""
    units = sorted(set(zip(block, cluster, strict=True)))
    rows = [(block == b) & (cluster == c) for b, c in units]
    n = np.array([w[r].sum() for r in rows])
    mean = np.array([np.average(y[r], weights=w[r]) for r in rows])
    arm = np.array([later[r][0] for r in rows]).astype(float)
    blocks = np.array([b for b, _ in units])
    x = np.column_stack([arm, *(blocks == b for b in np.unique(blocks))]).astype(float)
    bread = np.linalg.inv(x.T @ (x * n[:, None]))
    coef = bread @ x.T @ (n * mean)
    leverage = np.einsum("ij,jk,ik,i->i", x, bread, x, n)
    for cell in set(zip(blocks, arm, strict=True)):
        rows = (blocks == cell[0]) & (arm == cell[1])
        leverage[rows] = leverage[rows].mean()
    scores = x * (n * (mean - x @ coef))[:, None]
    variance = bread @ (scores.T @ (scores / (1 - leverage)[:, None])) @ bread
    return coef[0], np.sqrt(variance[0, 0])


def assignments(later, block, cluster):
    """Every way to permute the labels of clusters within blocks."""
    units = sorted(set(zip(block, cluster, strict=True)))
    rows = [(block == b) & (cluster == c) for b, c in units]
    label = np.array([later[r][0] for r in rows])
    inside = [[i for i, (b, _) in enumerate(units) if b == level] for level in np.unique(block)]
    choices = [itertools.combinations(members, int(label[members].sum())) for members in inside]
    for chosen in itertools.product(*choices):
        redrawn = np.zeros(len(later), dtype=bool)
        for i in itertools.chain(*chosen):
            redrawn |= rows[i]
        yield redrawn


def enumerated(table, later, earlier, outcome="y"):
    """Estimate, error and exact p values of a contrast by visiting all assignments."""
    pair = table[table["arm"].isin([later, earlier]) & table[outcome].notna()]
    block = pair.get("block", pd.Series("", pair.index)).to_numpy()
    cluster = pair.get("cluster", pair["respondent_id"]).to_numpy()
    is_later = (pair["arm"] == later).to_numpy()
    args = pair[outcome].to_numpy(), pair["weight"].to_numpy()
    found = np.array([regressed(*args, z, block, cluster) for z in assignments(is_later, block, cluster)])
    effect, error = regressed(*args, is_later, block, cluster)
    t, observed = found[:, 0] / found[:, 1], effect / error
    as_large = [np.abs(t) >= abs(observed) - 1e-9, t >= observed - 1e-9, t <= observed + 1e-9]
    return effect, error, [share.mean() for share in as_large]


def designs():
    """Small experiments of every scheme, with and without weights and missing outcomes."""
    rng = child_rng(1, "designs")
    ten = np.array([0, 1, 2, 1, 0, 0, 2, 1, 0, 1, 2, 0])
    yield "complete", experiment(ten, y=rng.normal(size=12) + ten)
    yield "complete", experiment(ten, y=rng.normal(size=12), weight=rng.uniform(0.3, 3, 12))
    yield "complete", experiment(ten, y=np.where(np.arange(12) == 3, np.nan, rng.integers(0, 3, 12)))
    block = np.array(list("aaaabbbbbccccccc"))
    arm = np.array([0, 1, 1, 2, 0, 0, 1, 2, 2, 1, 1, 0, 0, 2, 2, 0])
    yield "blocked", experiment(arm, block=block, y=rng.normal(size=16) + 3 * (block == "b"))
    weight = rng.uniform(0.5, 2, 16)
    yield "blocked", experiment(arm, block=block, y=rng.normal(size=16), weight=weight)
    triplets = np.concatenate([rng.permutation(3) for _ in range(7)])
    yield "blocked", experiment(triplets, block=np.repeat(list("gfedcba"), 3), y=rng.normal(size=21))
    sizes = np.array([2, 1, 3, 2, 2, 1, 4, 2, 3, 1])
    cluster = np.repeat(list("jihgfedcba"), sizes)
    arm = np.repeat([0, 1, 0, 2, 1, 1, 0, 2, 0, 1], sizes)
    yield "clustered", experiment(arm, cluster=cluster, y=rng.normal(size=21))
    block = np.repeat(list("xxxxxyyyyy"), sizes)
    columns = {"cluster": cluster, "block": block, "weight": rng.uniform(0.5, 2, 21)}
    yield "blocked and clustered", experiment(arm, y=rng.normal(size=21), **columns)


@pytest.mark.parametrize("scheme, table", list(designs()))
def test_every_scheme_gives_the_p_values_of_all_its_assignments(scheme, table):
    draws = 20_000
    found = randomization_inference(trial(table, ARMS, ["y"]), 1, draws)
    assert list(found.columns) == list(Table.RANDOMIZATION_INFERENCE.columns)
    assert set(found["scheme"]) == {scheme}
    for row, (later, earlier) in zip(found.itertuples(), estimate.pairs(ARMS), strict=True):
        effect, error, exact = enumerated(table, later, earlier)
        assert row.contrast == f"{later} - {earlier}"
        assert row.estimate == pytest.approx(effect, rel=1e-10)
        assert row.std_error == pytest.approx(error, rel=1e-10)
        assert row.statistic == pytest.approx(effect / error, rel=1e-10)
        for p, truth in zip((row.p_value, row.p_greater, row.p_less), exact, strict=True):
            assert abs(p - truth) < FAR * np.sqrt(truth * (1 - truth) / draws) + 1 / draws
    np.testing.assert_allclose(found["p_adjusted"], regression.holm(found["p_value"].to_numpy()))


def test_the_error_is_hc2_and_for_clusters_of_one_size_cr2():
    rng = child_rng(2, "errors")
    arm, cluster = np.repeat(rng.permutation(np.arange(40) % 2), 3), np.repeat(np.arange(40), 3)
    y = rng.normal(size=120) * (1 + arm) + rng.normal(size=40)[cluster]
    x = np.column_stack([np.ones(120), arm])
    plain = experiment(arm, ARMS[:2], y=y)
    block = cluster % 4
    dummies = np.column_stack([arm, *(block == b for b in range(4))]).astype(float)
    cases = {
        "HC2": (plain, sm.OLS(y, x).fit().HC2_se[1]),
        "CR2": (
            plain.assign(cluster=cluster.astype(str)),
            np.sqrt(regression.fit(x, y, "CR2", cluster).vcov[1, 1]),
        ),
        "HC2, blocks": (plain.assign(block=block.astype(str)), sm.OLS(y, dummies).fit().HC2_se[0]),
    }
    for name, (table, error) in cases.items():
        found = randomization_inference(trial(table, ARMS[:2], ["y"]), 1, 10)
        assert found["std_error"][0] == pytest.approx(error, rel=1e-10), name


def test_estimates_are_the_differences_in_means_of_the_effects_table():
    rng = child_rng(3, "effects")
    arm = rng.permutation(np.arange(200) % 3)
    table = experiment(arm, y=rng.normal(size=200), weight=rng.uniform(0.5, 2, 200))
    found, theirs = (
        randomization_inference(trial(table, ARMS, ["y"]), 1, 10),
        estimate.effects(trial(table, ARMS, ["y"])),
    )
    np.testing.assert_allclose(found["estimate"], theirs["estimate"], rtol=1e-10)
    # Weighted: leverages at their mean, so nearly the same.
    np.testing.assert_allclose(found["std_error"], theirs["std_error"], rtol=0.01)
    table["weight"] = 3.0
    found, theirs = (
        randomization_inference(trial(table, ARMS, ["y"]), 1, 10),
        estimate.effects(trial(table, ARMS, ["y"])),
    )
    np.testing.assert_allclose(found["std_error"], theirs["std_error"], rtol=1e-10)


def test_in_large_samples_it_agrees_with_the_t_test():
    rng = child_rng(4, "normal")
    arm = rng.permutation(np.arange(900) % 3)
    table = experiment(arm, y=rng.normal(size=900) + 0.1 * arm)
    draws = 10_000
    trial_of_y = trial(table, ARMS, ["y"])
    found, theirs = randomization_inference(trial_of_y, 1), estimate.effects(trial_of_y)
    p = theirs["p_value"].to_numpy()
    assert (np.abs(found["p_value"] - p) < FAR * np.sqrt(p * (1 - p) / draws) + 0.002).all()
    assert found["p_value"].min() < 0.1
    for bound in ("conf_low", "conf_high"):
        assert (np.abs(found[bound] - theirs[bound]) < 0.1 * theirs["std_error"]).all()


def test_drawing_counts_of_alike_people_is_drawing_their_labels(monkeypatch):
    rng = child_rng(5, "kinds")
    arm = rng.permutation(np.arange(14) % 2)
    table = experiment(arm, ARMS[:2], y=rng.integers(0, 3, 14).astype(float), block=["a"] * 6 + ["b"] * 8)
    exact = enumerated(table, *ARMS[1::-1])[2]
    draws, distributions, routes = 20_000, [], []
    redraw = randomization._Blocks.redraw
    monkeypatch.setattr(
        randomization._Blocks,
        "redraw",
        lambda self, *a: (routes.append(self.copies.max()), redraw(self, *a))[1],
    )
    for units_per_kind in (0, np.inf):
        monkeypatch.setattr(randomization, "UNITS_PER_KIND", units_per_kind)
        found = randomization_inference(trial(table, ARMS[:2], ["y"]), 1, draws)
        for p, truth in zip(found.loc[0, P_VALUES], exact, strict=True):
            assert abs(p - truth) < FAR * np.sqrt(truth * (1 - truth) / draws) + 1 / draws
        distributions.append(
            randomization_distribution(trial(table, ARMS[:2], ["y"]), 1, draws).set_index("low")["draws"]
        )
    assert max(routes) > 1 and min(routes) == 1, "both routes were taken"
    counts = pd.concat(distributions, axis=1).fillna(0).to_numpy()
    counts = counts[counts.sum(axis=1) > 10]
    assert stats.chi2_contingency(counts).pvalue > 1e-4


def test_the_interval_holds_the_constant_effects_that_are_not_rejected():
    """The same test of shifted outcomes: accepted just inside of each bound, rejected just outside."""
    rng = child_rng(6, "inversion")
    sizes = rng.integers(1, 4, size=36)
    arm = np.repeat(rng.permutation(np.arange(36) % 3), sizes)
    n = len(arm)
    plain = experiment(arm, y=rng.normal(size=n) * (1 + arm) + arm)
    schemes = [
        plain,
        plain.assign(weight=rng.uniform(0.5, 2, n)),
        plain.assign(block=rng.choice(["a", "b"], n)),
        plain.assign(cluster=np.repeat([f"{i:02d}" for i in range(36)], sizes)),
    ]
    for table in schemes:
        found = randomization_inference(trial(table, ARMS, ["y"], alpha=0.1), 1, 999)
        for i, (later, _) in enumerate(estimate.pairs(ARMS)):
            row = found.loc[i]
            for bound, outward in ((row["conf_low"], -1), (row["conf_high"], 1)):
                for tau, accepted in ((bound - outward * 1e-6, True), (bound + outward * 1e-6, False)):
                    shifted = table.assign(y=table["y"] - tau * (table["arm"] == later))
                    p = randomization_inference(trial(shifted, ARMS, ["y"]), 1, 999)["p_value"][i]
                    assert (p > 0.1) == accepted, (later, tau)


def many(arm, draw, runs, arms=ARMS):
    """An experiment with as many outcomes as runs; redrawing exchangeable outcomes is redrawing arms."""
    names = [f"y{k}" for k in range(runs)]
    outcomes = pd.DataFrame({name: draw() for name in names})
    return pd.concat([experiment(arm, arms), outcomes], axis=1), names


def test_under_the_sharp_null_it_rejects_as_often_as_it_should():
    """Three arms, one of which does something: the pair without an effect is tested at its level."""
    rng, runs = child_rng(7, "size"), 500
    arm = np.repeat([0, 1, 2], [8, 14, 6])
    table, names = many(arm, lambda: rng.exponential(size=28) * np.where(arm == 2, 5, 1), runs)
    found = randomization_inference(trial(table, ARMS, names), 1, 199)
    rate = (found.loc[found["contrast"] == f"{ARMS[1]} - {ARMS[0]}", P_VALUES] <= 0.1).mean()
    assert (np.abs(rate - 0.1) < FAR * np.sqrt(0.09 / runs)).all(), rate


def test_intervals_cover_a_constant_effect():
    rng, runs = child_rng(8, "coverage"), 500
    arm = np.repeat([0, 1], [12, 20])
    table, names = many(arm, lambda: rng.exponential(size=32) + 0.7 * arm, runs, ARMS[:2])
    found = randomization_inference(trial(table, ARMS[:2], names, alpha=0.1), 1, 199)
    covered = (found["conf_low"] <= 0.7) & (found["conf_high"] >= 0.7)
    assert abs(covered.mean() - 0.9) < FAR * np.sqrt(0.09 / runs)
    assert 0.5 < (found["conf_high"] - found["conf_low"]).median() < 2


def permuted(arm, draws, rng):
    """The arms as they were and redrawn all at once: (1 + draws, n)."""
    return np.vstack([arm, rng.permuted(np.tile(arm, (draws, 1)), axis=1)])


def differences(y, redrawn):
    """Difference in means of arms 1 and 0 and Neyman's variance, for every row of redrawn arms."""
    moments = []
    for k in (1, 0):
        n, total, squares = ((redrawn == k) @ v for v in (np.ones(len(y)), y, y**2))
        moments.append((total / n, (squares - total**2 / n) / (n - 1) / n))
    return moments[0][0] - moments[1][0], moments[0][1] + moments[1][1]


def test_studentised_it_keeps_its_size_when_only_the_means_are_equal():
    """The small arm varies most: the permuted plain difference in means rejects far too often."""
    rng, runs, draws = child_rng(9, "weak null"), 500, 199
    arm = np.repeat([0, 1], [120, 30])
    table, names = many(arm, lambda: rng.normal(size=150) * np.where(arm == 1, 3.0, 1.0), runs, ARMS[:2])
    found = randomization_inference(trial(table, ARMS[:2], names), 1, draws)
    plain = []
    for name in names:
        means = differences(table[name].to_numpy(), permuted(arm, draws, rng))[0]
        plain.append((np.abs(means) >= abs(means[0])).mean() <= 0.05)
    assert np.mean(plain) > 0.15
    assert (found["p_value"] <= 0.05).mean() < 0.05 + FAR * np.sqrt(0.05 * 0.95 / runs)


def test_a_pair_does_not_depend_on_the_other_arms():
    rng = child_rng(10, "other arms")
    arm = rng.permutation(np.arange(60) % 3)
    y = rng.normal(size=60)
    first, other = (
        randomization_inference(trial(experiment(arm, y=y + shift * (arm == 2)), ARMS, ["y"]), 1, 999)
        for shift in (0, 50)
    )
    together = ["p_adjusted", *CORRECTED]  # with the tests of the other arms
    pd.testing.assert_series_equal(first.loc[0].drop(together), other.loc[0].drop(together))


def test_redrawing_all_arms_at_once_would_not_keep_the_size_of_a_pair():
    """Nobody responds differently to two arms (skewed outcomes, one arm small); the third is unlike them."""
    rng, runs, draws = child_rng(11, "joint"), 400, 199
    arm = np.repeat([0, 1, 2], [40, 5, 150])
    table, names = many(
        arm, lambda: np.where(arm == 2, rng.normal(size=195), rng.lognormal(0, 1.5, 195)), runs
    )
    joint = []
    for name in names:
        effect, variance = differences(table[name].to_numpy(), permuted(arm, draws, rng))
        t = np.abs(effect / np.sqrt(variance))
        joint.append((t >= t[0]).mean() <= 0.05)
    found = randomization_inference(trial(table, ARMS[:2], names), 1, draws)
    error = np.sqrt(0.05 * 0.95 / runs)
    assert abs((found["p_value"] <= 0.05).mean() - 0.05) < FAR * error
    assert np.mean(joint) > 0.05 + FAR * error


@pytest.fixture
def table():
    rng = child_rng(11, "invariants")
    sizes = rng.integers(1, 4, size=60)
    arm, n = np.repeat(rng.permutation(np.arange(60) % 3), sizes), sizes.sum()
    return experiment(
        arm,
        y=rng.normal(size=n) + arm,
        sign=np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, 2, n)),
        block=np.repeat(rng.choice(["a", "b"], 60), sizes),
        cluster=np.repeat([f"c{i:02d}" for i in range(60)], sizes),
        weight=rng.uniform(0.5, 2, n),
    )


def test_row_order_does_not_matter_and_the_seed_does(table):
    first, again, other = (
        randomization_inference(trial(t, ARMS, ["y", "sign"]), seed, 500)
        for t, seed in ((table, 1), (table.sample(frac=1, random_state=2), 1), (table, 2))
    )
    pd.testing.assert_frame_equal(first, again)
    assert (first["p_value"] != other["p_value"]).any()
    np.testing.assert_allclose(first["p_value"], other["p_value"], atol=FAR * np.sqrt(0.5 / 500))


@pytest.mark.parametrize("keep", [["weight", "block", "cluster"], ["block"], []])
def test_renaming_arms_renames_and_reordering_them_turns_signs(table, keep):
    table = table[["respondent_id", "arm", "y", "sign", *keep]].assign(
        **({} if "weight" in keep else {"weight": 1.0})
    )
    first = randomization_inference(trial(table, ARMS, ["y", "sign"]), 1, 500)
    renamed = table.assign(arm=table["arm"].cat.rename_categories(dict(zip(ARMS, "zyx", strict=True))))
    same = randomization_inference(trial(renamed, list("zyx"), ["y", "sign"]), 1, 500)
    pd.testing.assert_frame_equal(first.drop(columns="contrast"), same.drop(columns="contrast"))
    turned = randomization_inference(trial(table, ARMS[::-1], ["y", "sign"]), 1, 500)
    for outcome in ("y", "sign"):
        a, b = (t[t["outcome"] == outcome].reset_index(drop=True) for t in (first, turned))
        b = b[::-1].reset_index(drop=True)
        for ours, theirs, sign in (
            ("estimate", "estimate", -1),
            ("std_error", "std_error", 1),
            ("conf_low", "conf_high", -1),
            ("p_value", "p_value", 1),
            ("p_greater", "p_less", 1),
            ("p_adjusted", "p_adjusted", 1),
        ):
            np.testing.assert_allclose(a[ours], sign * b[theirs], rtol=1e-9, err_msg=ours)


def test_a_row_twice_with_half_its_weight_changes_nothing_within_its_cluster(table):
    twice = pd.concat([table, table.assign(respondent_id=table["respondent_id"] + "b")])
    twice["weight"] /= 2
    first, second = (randomization_inference(trial(t, ARMS, ["y"]), 1, 500) for t in (table, twice))
    np.testing.assert_allclose(first[NUMBERS].astype(float), second[NUMBERS].astype(float), rtol=1e-9)


def test_missing_outcomes_are_left_out_of_the_redraws(table):
    found = randomization_inference(trial(table, ARMS, ["sign"]), 1, 500)
    dropped = randomization_inference(trial(table[table["sign"].notna()], ARMS, ["sign"]), 1, 500)
    pd.testing.assert_frame_equal(found, dropped)
    counts = table[table["sign"].notna()]["arm"].value_counts()
    assert found["n"].tolist() == [counts[a] + counts[b] for a, b in estimate.pairs(ARMS)]


def test_blocks_with_one_arm_only_add_nothing_and_are_said():
    rng = child_rng(12, "lonely")
    arm = np.array([0, 1] * 8 + [0] * 5)
    whole = experiment(arm, ARMS[:2], y=rng.normal(size=21), block=["a"] * 16 + ["b"] * 5)
    both, part = (randomization_inference(trial(t, ARMS[:2], ["y"]), 1, 500) for t in (whole, whole[:16]))
    assert both["note"][0] == "5 respondents are in blocks with only one of the arms"
    assert both["n"][0] == 16
    pd.testing.assert_frame_equal(both[NUMBERS], part[NUMBERS])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "columns, note",
    [
        ({"arm": [0, 0, 0, 0, 0, 1]}, "fewer than two observed respondents in 'nano'"),
        ({"arm": [0, 0, 0, 0, 0, 0]}, "fewer than two observed respondents in 'nano'"),
        ({"y": np.nan}, "fewer than two observed respondents in 'best'; fewer than two observed respondents"),
        ({"y": [1.0, 2, 3, np.nan, np.nan, np.nan]}, "fewer than two observed respondents in 'nano'"),
        ({"y": 0.1}, "the outcome does not vary in either arm"),
        ({"block": list("aaabbb")}, "fewer than two observed respondents of an arm in blocks that have both"),
        ({"block": list("abcabc"), "y": [0.1, 0.2, 0.3] * 2}, "the outcome does not vary within blocks"),
        ({"cluster": list("aaabbc")}, "fewer than two clusters in 'best'"),
        ({"cluster": list("abccde")}, "1 clusters are in more than one arm"),
        ({"cluster": list("aabcdd"), "block": list("xyxxxy")}, "2 clusters are in more than one block"),
    ],
)
def test_what_cannot_be_tested_is_nan_and_says_why(columns, note):
    arm = columns.pop("arm", [0, 0, 0, 1, 1, 1])
    table = experiment(arm, ["best", "nano"], **{"y": [3.0, 1, 4, 1, 5, 9]} | columns)
    found = randomization_inference(trial(table, ["best", "nano"], ["y"]), 1, 100)
    assert found["note"][0].startswith(note)
    assert found.loc[0, NUMBERS].isna().all()
    assert randomization_distribution(trial(table, ["best", "nano"], ["y"]), 1, 100).empty


@pytest.mark.filterwarnings("error")
def test_arms_that_separate_the_outcome_have_p_values_but_no_interval():
    arm = np.repeat([0, 1], 5)
    table = experiment(arm, ["best", "nano"], y=arm.astype(float))
    found = randomization_inference(trial(table, ["best", "nano"], ["y"]), 1, 20_000).loc[0]
    assert found["estimate"] == 1
    assert found[["std_error", "statistic", "conf_low", "conf_high"]].isna().all()
    assert found["p_value"] == pytest.approx(2 / 252, abs=FAR * np.sqrt(2 / 252 / 20_000))
    assert found["p_greater"] == pytest.approx(1 / 252, abs=FAR * np.sqrt(1 / 252 / 20_000))
    assert "does not vary within the arms" in found["note"]


@pytest.mark.filterwarnings("error")
def test_too_few_assignments_have_no_interval():
    table = experiment([0, 0, 0, 1, 1, 1], ["best", "nano"], y=[3.0, 1, 4, 1, 5, 9])
    found = randomization_inference(trial(table, ["best", "nano"], ["y"]), 1, 1_000).loc[0]
    assert found["p_value"] >= 0.08
    assert found[["conf_low", "conf_high"]].isna().all()
    assert found["note"] == "too few different assignments were drawn for an interval"


def test_the_distribution_is_that_of_the_test(table):
    draws = 2_000
    found = randomization_inference(trial(table, ARMS, ["y", "sign"]), 1, draws)
    bins = randomization_distribution(trial(table, ARMS, ["y", "sign"]), 1, draws)
    assert list(bins.columns) == list(randomization.DISTRIBUTION_COLUMNS)
    for (outcome, contrast), rows in bins.groupby(["outcome", "contrast"]):
        assert rows["draws"].sum() == draws
        assert (rows["density"] * (rows["high"] - rows["low"])).sum() == pytest.approx(1)
        row = found[(found["outcome"] == outcome) & (found["contrast"] == contrast)].iloc[0]
        at_least = [
            (1 + rows.loc[rows[edge] >= row["statistic"], "draws"].sum()) / (1 + draws)
            for edge in ("low", "high")
        ]
        beyond = rows.loc[rows["high"] > row["statistic"], "draws"].sum()
        assert at_least[0] - 1e-12 <= row["p_greater"] <= (1 + beyond) / (1 + draws) + 1e-12


def test_labels_and_deviations_are_those_of_every_estimate(table):
    deviations = pd.DataFrame(
        [("D1", "alpha", "0.05", "0.1", Table.RANDOMIZATION_INFERENCE, "sign", "")],
        columns=["deviation", "what", "registered", "done", "outputs", "outcome", "estimator"],
    )
    found = randomization_inference(trial(table, ARMS, ["y", "sign"], deviations=deviations), 1, 20)
    assert found["deviation"].tolist() == [""] * 3 + ["D1"] * 3
    assert set(found["label"]) == {"exploratory"}
    assert found["df"].isna().all()
    assert set(ESTIMATE_COLUMNS) <= set(found.columns)


def test_the_mid_p_value_counts_redraws_that_equal_the_observed_one_by_half():
    redrawn = np.array([0.0, 1.0, 1.0, 2.0, 3.0, 1.0 + 1e-12])
    # Above: 2 of 6; equal: 3, and the observed one itself.
    assert ties.mid_share(redrawn, 1.0) == pytest.approx((2 + 4 / 2) / 7)
    # Sixteen binary answers without an effect: the difference between the arms takes few values.
    rng = child_rng(1, "mid-p")
    p, mid = [], []
    for _ in range(60):
        table = pd.DataFrame(
            {
                "respondent_id": [f"r{i:02d}" for i in range(16)],
                "arm": rng.permutation(["a", "b"] * 8),
                "y": rng.permutation([0.0] * 10 + [1.0] * 6),
                "weight": 1.0,
            }
        )
        row = estimate.randomization_inference(trial(table, ["a", "b"], ["y"]), 1, 500).iloc[0]
        p.append(row["p_value"])
        mid.append(row["p_mid"])
    assert (np.array(mid) <= p).all()
    # A valid p value of few values is above one half on average; the mid-p value is one half.
    assert np.mean(p) > 0.58
    assert abs(np.mean(mid) - 0.5) < 3 * np.std(mid) / np.sqrt(60)
