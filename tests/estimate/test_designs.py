"""Every estimator honours blocks, clusters and weights, or says why it has no numbers.

The world has no effect, but blocks that differ in outcomes, in attrition and in the shares of the arms: an
estimator that pools them finds large effects, as does one that takes clusters for people.
"""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from nanotarget import estimate
from nanotarget.estimate import arms as a
from nanotarget.study.config import CovariateConfig, OutcomeConfig
from nanotarget.study.seeds import child_rng
from trials import ipw, trial

ARMS = ["control", "nano"]
OUTCOMES = [
    OutcomeConfig(name="y", kind="continuous"),
    OutcomeConfig(name="signed", kind="binary"),
    OutcomeConfig(name="scale", kind="ordinal"),
    OutcomeConfig(name="shares", kind="count"),
]
AGE = [CovariateConfig(name="age", kind="numeric", range=[-10, 10])]
# A constant outcome or a range of ties has no effect either; what no estimator says is its null.
NULLS = {"mann_whitney": 0.5}
# What is analysed of an outcome by another function of the list, or of other tables.
NO_ESTIMATOR = {
    "Table": "names",
    "Trial": "the experiment",
    "pairs": "names",
    "participant_flow": "counts",
    "balance": "compares covariates, not outcomes; says who is in the arms as they are",
    "sentences": "words about `equivalence`",
    "outcomes": "describes answers, compares nothing",
    "power": "standard errors of `effects`",
    "randomization_distribution": "the draws of `randomization_inference`",
}


def world(seed=1, clustered=False, weighted=False, blocked=True, within=False, sizes=(700, 500)):
    """Return an experiment without effects; blocks differ in shares of arms, levels and attrition.

    Args:
        seed: of all draws.
        clustered: five people are randomised together.
        weighted: people have survey weights.
        blocked: arms are drawn within two blocks.
        within: arms are drawn inside 60 groups of people whose outcomes hang together, across blocks.
        sizes: people of the blocks.
    """
    rng = child_rng(seed, "designs")
    shared = rng.normal(size=60) * 1.5
    parts = []
    for b, (size, share) in enumerate(zip(sizes, (0.2, 0.8), strict=True)):
        level, people = (8.0 * b, 5 if clustered else 1) if blocked else (0.0, 5 if clustered else 1)
        units = size // people
        treated = rng.permutation(units) < round(units * (share if blocked else 0.5))
        unit = np.repeat(np.arange(units), people)
        n = len(unit)
        shock = rng.normal(size=units)[unit] * (1.5 if clustered else 0.0)
        group = rng.integers(60, size=n)
        shock += shared[group] if within else 0.0
        y = level + shock + rng.normal(size=n)
        latent = y - 4 if blocked else y
        missed = rng.random(n) < (0.3 if b and blocked else 0.1)
        parts.append(
            pd.DataFrame(
                {
                    "arm": np.where(treated[unit], "nano", "control"),
                    "y": np.where(missed, np.nan, y),
                    "signed": (rng.random(n) < 1 / (1 + np.exp(-latent / 3))).astype(float),
                    "scale": np.digitize(latent, [-4, 0, 4]).astype(float),
                    "shares": rng.poisson(np.exp(0.3 * (latent + 4) / 2)).astype(float),
                    "age": rng.normal(size=n) + 0.5 * latent,
                    "delivered": pd.array(treated[unit] & (rng.random(n) < 0.7), dtype="boolean"),
                    "passed": pd.array(rng.random(n) < 0.9, dtype="boolean"),
                    "weight": rng.uniform(0.5, 2.0, n) if weighted else 1.0,
                    **({"block": f"b{b}"} if blocked else {}),
                    **({"cluster": [f"c{b}_{u}" for u in unit]} if clustered else {}),
                    **({"outcome_cluster": [f"g{g:02d}" for g in group]} if within else {}),
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "respondent_id", [f"r{i:05d}" for i in range(len(table))])
    more = {"unfielded": ["control"], "sesoi": {"y": 0.5}, "tighten": ["third"]}
    table["third"] = pd.cut(table["age"], 3, labels=["a", "b", "c"])
    return trial(table, ARMS, OUTCOMES, adjust=AGE, **more)


def of_outcome(function):
    """Run an estimator of one outcome on those that `kinds` gives it."""

    def run(experiment):
        kinds = [o for o in experiment.outcomes if function in estimate.kinds.ESTIMATORS[o.kind]]
        return pd.concat([function(experiment, outcome.name) for outcome in kinds], ignore_index=True)

    return run


def made(name):
    function = getattr(estimate, name)
    if name == "equivalence":
        return lambda experiment: function(experiment, estimate.effects(experiment))
    if name == "randomization_inference":
        return lambda experiment: function(experiment, 1, 400)
    if name in ("logit", "proportions", "ordinal", "mann_whitney", "ratios", "standardised", "log_odds"):
        return of_outcome(function)
    return function


ESTIMATORS = {name: made(name) for name in estimate.__all__ if name not in NO_ESTIMATOR}
DESIGNS = {
    "blocked": {},
    "clustered": {"clustered": True, "blocked": False},
    "weighted": {"weighted": True, "blocked": False},
    "blocked, clustered and weighted": {"clustered": True, "weighted": True},
    "clustered within": {"within": True, "blocked": False},
    "blocked and clustered within": {"within": True, "weighted": True},
}


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_finds_no_effect_where_there_is_none_or_says_why_not(name, design):
    rows = ESTIMATORS[name](world(**DESIGNS[design]))
    assert len(rows)
    if "estimate" in rows:
        unknown = rows["estimate"].isna() | rows["std_error"].isna()
        null = rows["estimator"].map(NULLS).fillna(0.0) if "estimator" in rows else 0.0
        z = ((rows["estimate"] - null) / rows["std_error"]).abs()
        if name == "lee_bounds":  # bounds are on either side of the effect
            lower, upper = (rows[rows["bound"] == end].reset_index() for end in ("lower", "upper"))
            lower, upper = lower[lower["std_error"].notna()], upper[upper["std_error"].notna()]
            assert (lower["estimate"] < 4 * lower["std_error"]).all()
            assert (upper["estimate"] > -4 * upper["std_error"]).all()
        else:
            assert (z[~unknown] < 4).all(), rows[["estimate", "std_error", "note"]]
    else:
        p = rows[[c for c in ("p_value", "wald_p", "chi2_p") if c in rows]]
        unknown = p.isna().any(axis=1)
        if name == "attrition":  # nobody is missing from some outcomes
            unknown &= rows["n_missing"] > 0
        assert not (p < 1e-4).any(axis=None), rows
    said = rows.get("note", rows.get("verdict"))
    assert (said[unknown] != "").all(), rows[unknown]


def test_every_estimator_of_a_kind_is_among_those_tested():
    used = {function.__name__ for group in estimate.kinds.ESTIMATORS.values() for function in group}
    assert used <= set(ESTIMATORS)
    assert set(NO_ESTIMATOR) <= set(estimate.__all__)


# ------------------------------------------------------------------ simple independent computations


def blocks_of(table, column="y", among=None):
    """Yield the share of each block (of `among`'s weight, else the table's) and its rows by arm."""
    among = table if among is None else among
    for block, rows in table.groupby("block"):
        share = among.loc[among["block"] == block, "weight"].sum() / among["weight"].sum()
        yield share, *(rows[rows["arm"] == arm] for arm in ARMS)


def mean(rows, column):
    return np.average(rows[column], weights=rows["weight"])


@pytest.fixture(scope="module")
def blocked():
    return world(seed=3, weighted=True)


def test_means_and_ratios_are_those_of_blocks_averaged_by_size(blocked):
    table = blocked.table[blocked.table["y"].notna()]
    difference = sum(s * (mean(t, "y") - mean(c, "y")) for s, c, t in blocks_of(table))
    found = estimate.effects(blocked).query("outcome == 'y' and estimator == 'dim'")["estimate"].item()
    assert found == pytest.approx(difference, rel=1e-10)
    means = [sum(s * mean(rows[i], "shares") for s, *rows in blocks_of(blocked.table)) for i in (0, 1)]
    ratio = estimate.ratios(blocked, "shares")["estimate"].item()
    assert ratio == pytest.approx(np.log(means[1] / means[0]), rel=1e-10)


def test_the_standard_deviation_is_that_of_the_blocks_of_all(blocked):
    table = blocked.table
    parts = [(s, c) for s, c, _ in blocks_of(table)]
    n = sum(len(c) for _, c in parts)
    first = sum(s * mean(c, "shares") for s, c in parts)
    second = sum(s * mean(c.assign(q=(c["shares"] - first) ** 2), "q") for s, c in parts)
    found = estimate.standardised(blocked, "shares")
    assert found["sd"].iloc[0] == pytest.approx(np.sqrt(second * n / (n - 1)), rel=1e-10)


def test_weighting_for_attrition_is_within_blocks(blocked):
    # Without covariates an answer counts for those of its own block and arm.
    bare = trial(blocked.table, ARMS, OUTCOMES[:1], covariates=[])
    table = blocked.table[blocked.table["y"].notna()]
    difference = sum(s * (mean(t, "y") - mean(c, "y")) for s, c, t in blocks_of(table, among=blocked.table))
    found = ipw(bare)
    assert found["estimate"].item() == pytest.approx(difference, rel=1e-6)
    dim = estimate.effects(bare)["estimate"].item()
    assert found["naive"].item() == pytest.approx(dim, rel=1e-10) != found["estimate"].item()
    lee = estimate.lee_bounds(bare)
    np.testing.assert_allclose(lee["naive"], dim, rtol=1e-10)


def test_with_everybody_observed_weighting_is_the_difference_within_blocks(blocked):
    table = blocked.table[blocked.table["y"].notna()]
    whole = trial(table, ARMS, OUTCOMES[:1], adjust=AGE)
    dim = estimate.effects(whole).query("estimator == 'dim'").reset_index(drop=True)
    found = ipw(whole)
    for column in ("estimate", "std_error", "df"):
        np.testing.assert_allclose(found[column], dim[column], rtol=1e-9)


def trimmed_mean(values, weights, share, lowest):
    """Drop a share of the weight from one end, person by person."""
    order = np.argsort(values if lowest else -values)
    left, kept, total = share * weights.sum(), 0.0, 0.0
    for i in order:
        gone = min(left, weights[i])
        left -= gone
        kept, total = kept + weights[i] - gone, total + (weights[i] - gone) * values[i]
    return total / kept


def lee_by_hand(table):
    """Weigh every arm to the blocks of all, and trim the arm that answers more."""
    arms = {}
    for arm in ARMS:
        rows = table[table["arm"] == arm].copy()
        target = table.groupby("block")["weight"].sum() / table["weight"].sum()
        rows["w"] = rows["weight"] * rows["block"].map(target / rows.groupby("block")["weight"].sum())
        arms[arm] = rows
    rate = {arm: rows.loc[rows["y"].notna(), "w"].sum() for arm, rows in arms.items()}
    more = max(ARMS, key=rate.get)
    fewer = next(arm for arm in ARMS if arm != more)
    answers = {arm: rows[rows["y"].notna()] for arm, rows in arms.items()}
    other = np.average(answers[fewer]["y"], weights=answers[fewer]["w"])
    own, share = answers[more], 1 - rate[fewer] / rate[more]
    ends = [trimmed_mean(own["y"].to_numpy(), own["w"].to_numpy(), share, low) - other for low in (0, 1)]
    return sorted(ends if more == "nano" else [-end for end in ends])


def test_lee_bounds_trim_arms_weighted_to_the_blocks_of_all(blocked):
    found = estimate.lee_bounds(blocked).query("outcome == 'y' and trimming == 'fraction'")
    np.testing.assert_allclose(found["estimate"], lee_by_hand(blocked.table), rtol=1e-9)
    whole = estimate.lee_bounds(blocked).query("outcome == 'y' and trimming == 'whole'")
    assert whole["estimate"].isna().all() and whole["note"].str.contains("blocks").all()


def spread(experiment, statistic, draws=400):
    """Standard deviation over samples of respondents of every arm in every block."""
    table, rng = experiment.table, child_rng(5, "designs/bootstrap")
    cells = [rows.index.to_numpy() for _, rows in table.groupby(["block", "arm"])]
    values = [
        statistic(table.loc[np.concatenate([rng.choice(own, len(own)) for own in cells])])
        for _ in range(draws)
    ]
    return np.std(values, axis=0, ddof=1)


def superiority(table):
    total = 0.0
    for share, control, treated in blocks_of(table[table["y"].notna()]):
        difference = treated["y"].to_numpy()[:, None] - control["y"].to_numpy()
        mass = treated["weight"].to_numpy()[:, None] * control["weight"].to_numpy()
        total += share * (mass * ((difference > 0) + (difference == 0) / 2)).sum() / mass.sum()
    return total


def test_mann_whitney_compares_people_of_one_block(blocked):
    found = estimate.mann_whitney(blocked, "y").iloc[0]
    assert found["estimate"] == pytest.approx(superiority(blocked.table), rel=1e-10)
    assert found["std_error"] == pytest.approx(spread(blocked, superiority), rel=0.12)


def test_errors_of_lee_bounds_are_within_blocks(blocked):
    # Rates that differ clearly: where they do not, bounds are no smooth function of the sample.
    lost = child_rng(6, "designs/lost").random(len(blocked.table)) < 0.25
    apart = blocked.with_columns(y=blocked.table["y"].where(~(lost & blocked.members("nano"))))
    found = estimate.lee_bounds(apart).query("outcome == 'y' and trimming == 'fraction'")
    np.testing.assert_allclose(found["estimate"], lee_by_hand(apart.table), rtol=1e-9)
    np.testing.assert_allclose(found["std_error"], spread(apart, lee_by_hand, 300), rtol=0.15)


def test_the_effect_on_those_reached_divides_differences_within_blocks(blocked):
    table = blocked.table[blocked.table["y"].notna()].assign(d=lambda t: t["delivered"].astype(float))
    itt, first = (
        sum(s * (mean(t, column) - mean(c, column)) for s, c, t in blocks_of(table)) for column in ("y", "d")
    )
    found = estimate.cace(blocked).query("outcome == 'y'").iloc[0]
    assert found["itt"] == pytest.approx(itt, rel=1e-10)
    assert found["estimate"] == pytest.approx(itt / first, rel=1e-10)
    dim = a.arm_means(blocked.with_columns(z=table["y"] - itt / first * table["d"]), "z")
    error = dim.combination({"nano": 1.0, "control": -1.0}).error
    assert found["std_error"] == pytest.approx(error / first, rel=1e-9)


def test_attrition_is_compared_within_blocks_and_clusters():
    experiment = world(seed=4)
    table, missed = experiment.table, experiment.table["y"].isna().astype(float)
    block, treated = (table["block"] == "b1").astype(float), (table["arm"] == "nano").astype(float)
    centred = block - block.mean()
    x = np.column_stack([np.ones(len(table)), treated, centred, treated * centred])
    ols = sm.OLS(missed, x).fit(cov_type="HC2", use_t=True)
    found = estimate.attrition(experiment).query("outcome == 'y'").iloc[0]
    assert found["wald_f"] == pytest.approx(ols.tvalues.iloc[1] ** 2, rel=1e-9)
    assert np.isnan(found["chi2_p"]) and "blocked assignment" in found["note"]
    # The products of arm and age, beside the products of arm and block.
    age = (table["age"] - table["age"].mean()).to_numpy()
    full = np.column_stack([x, age, treated * age])
    ols = sm.OLS(missed, full).fit(cov_type="HC2", use_t=True)
    test = estimate.differential_attrition(experiment).query("outcome == 'y'").iloc[0]
    assert test["wald_f"] == pytest.approx(ols.tvalues.iloc[-1] ** 2, rel=1e-8)


def test_models_of_odds_know_the_blocks(blocked):
    table = blocked.table.assign(nano=(blocked.table["arm"] == "nano").astype(float))
    x = sm.add_constant(table[["nano"]].assign(b=(table["block"] == "b1").astype(float)))
    glm = sm.GLM(table["signed"], x, family=sm.families.Binomial(), freq_weights=table["weight"]).fit()
    odds = estimate.logit(blocked, "signed").query("quantity == 'log odds ratio'")["estimate"].item()
    assert odds == pytest.approx(glm.params["nano"], abs=1e-7)


def test_counts_alone_are_left_out_where_they_would_ignore_the_design():
    plain = world(seed=2, blocked=False)
    assert estimate.proportions(plain, "signed")["estimate"].notna().all()
    for more, word in (({}, "blocked"), ({"clustered": True, "blocked": False}, "clustered"),
                       ({"weighted": True, "blocked": False}, "survey weights")):  # fmt: skip
        other = world(seed=2, **more)
        shares = estimate.proportions(other, "signed")
        assert shares[["estimate", "p_value", "p_chi2", "p_fisher"]].isna().all(axis=None)
        assert shares["note"].str.contains(word).all()
        ranks = estimate.omnibus(other).query("test == 'kruskal_wallis'")
        assert ranks["p_value"].isna().all() and ranks["note"].str.contains(word).all()


def test_redraws_name_what_they_estimate(blocked):
    found = estimate.randomization_inference(blocked, 1, 50)
    assert set(found["estimand"]) == {"regression on block fixed effects"}
    table = blocked.table[blocked.table["y"].notna()]
    x = np.column_stack([np.ones(len(table)), table["arm"] == "nano", table["block"] == "b1"]).astype(float)
    fixed = sm.WLS(table["y"], x, weights=table["weight"]).fit().params.iloc[1]
    assert found.query("outcome == 'y'")["estimate"].item() == pytest.approx(fixed, rel=1e-9)
    plain = estimate.randomization_inference(world(seed=2, blocked=False), 1, 50)
    assert set(plain["estimand"]) == {"difference in means"}


@pytest.mark.parametrize("name", ["effects", "ipw_effects", "mann_whitney", "cace"])
def test_intervals_of_blocked_designs_cover(name):
    inside = []
    for seed in range(60):
        experiment = world(seed=100 + seed, sizes=(150, 100))
        rows = ESTIMATORS[name](
            trial(experiment.table, ARMS, OUTCOMES[:1], adjust=AGE, unfielded=["control"])
        )
        null = NULLS.get(name, 0.0)
        inside.append(((rows["conf_low"] <= null) & (null <= rows["conf_high"])).iloc[0])
    # 60 intervals of 95%: fewer than 50 have probability 2e-4.
    assert np.sum(inside) >= stats.binom.ppf(2e-4, 60, 0.95)


def simple_error(experiment, values):
    """Return the error of a difference in means of (n,) values, from sums over outcome clusters."""
    table = experiment.table
    residual = pd.Series(0.0, index=table.index)
    for arm, sign in (("nano", 1), ("control", -1)):
        own = table["arm"] == arm
        residual[own] = sign * (values[own] - values[own].mean()) / own.sum()
    sums = residual.groupby(table["outcome_cluster"]).sum()
    return np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1))


def test_errors_count_what_arms_of_a_cluster_share():
    """Pupils of a school share much and are in both arms: the difference knows what the arms do not."""
    experiment = world(seed=8, within=True, blocked=False, sizes=(600, 600))
    plain = trial(experiment.table.drop(columns="outcome_cluster"), ARMS, OUTCOMES, adjust=AGE)
    y = experiment.table["signed"]
    error = simple_error(experiment, y)
    clustered = estimate.effects(experiment).query("outcome == 'signed' and estimator == 'dim'").iloc[0]
    alone = estimate.effects(plain).query("outcome == 'signed' and estimator == 'dim'").iloc[0]
    assert clustered["estimate"] == pytest.approx(alone["estimate"], rel=1e-10)
    assert (clustered["se_type"], clustered["df_type"]) == ("CR2", "Bell-McCaffrey")
    assert clustered["std_error"] == pytest.approx(error, rel=0.02)
    # With everybody observed and all alike, weights and instruments give the same difference.
    weighted = ipw(experiment).query("outcome == 'signed'").iloc[0]
    assert weighted["std_error"] == pytest.approx(error, rel=0.01)
    cace = estimate.cace(experiment).query("outcome == 'signed'").iloc[0]
    ratio = cace["estimate"]
    reached = y - ratio * experiment.table["delivered"].astype(float)
    expected = simple_error(experiment, reached) / cace["first_stage"]
    assert cace["std_error"] == pytest.approx(expected, rel=0.01)
    lee = estimate.lee_bounds(experiment).query("outcome == 'signed' and trimming == 'fraction'")
    assert lee["std_error"].min() == pytest.approx(error, rel=0.01)
