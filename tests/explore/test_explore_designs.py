"""What is explored honours blocks, clusters and weights: no effects where blocks alone differ."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import special

from nanotarget import explore
from nanotarget.estimate import arms as a
from nanotarget.study.config import CovariateConfig, OutcomeConfig, SubgroupConfig
from nanotarget.study.seeds import child_rng
from trials import trial

ARMS = ["best", "nano"]
WOMAN = CovariateConfig(name="woman", kind="categorical", levels=["no", "yes"])
AGE = CovariateConfig(name="age", kind="numeric", range=[-10, 10])
OUTCOMES = [OutcomeConfig(name="y", kind="continuous"), OutcomeConfig(name="signed", kind="binary")]
GROUPING = SubgroupConfig(name="sex", covariate="woman")


VILLAGES = 14


def world(seed=1, drawn="people"):
    """Return an experiment without effects in two blocks, and the petitions of its arms.

    Args:
        seed: of everything.
        drawn: "people" or "clusters" of four; "within" villages that lie in both blocks and like either arm
            or not, more of them the second one than chance would have it in nine draws of ten.
    """
    rng = child_rng(seed, "explore/designs")
    liking = 2.0 * special.ndtri((np.arange(VILLAGES) + 0.5) / VILLAGES)
    luck = special.ndtri(0.95) * liking.std() * np.sqrt(2 / VILLAGES)
    likings = np.column_stack([rng.permutation(liking), rng.permutation(liking) + luck])
    parts = []
    for b, (size, share) in enumerate(((448, 0.2), (336, 0.8))):
        people = 4 if drawn == "clusters" else 1
        units = size // people
        unit = np.repeat(np.arange(units), people)
        treated = (rng.permutation(units) < round(units * share))[unit]
        village = np.arange(size) // 2 % VILLAGES
        match drawn:
            case "people":
                shared, columns = 0.0, {}
            case "clusters":
                shared = 2.0 * rng.normal(size=units)[unit]
                columns = {"cluster": [f"c{b}_{u}" for u in unit]}
            case _:
                shared = likings[village, treated.astype(int)]
                columns = {"outcome_cluster": [f"v{v:02d}" for v in village]}
        y = 6.0 * b + shared + rng.normal(size=size)
        parts.append(
            pd.DataFrame(
                {
                    "arm": np.where(treated, "nano", "best"),
                    "y": y,
                    "signed": (rng.random(size) < 1 / (1 + np.exp(3 - y))).astype(float),
                    # Half of every cluster are women, so that groups share its shock.
                    "woman": np.where(np.arange(size) % 2, "yes", "no"),
                    "age": rng.normal(size=size) + b,
                    "weight": rng.uniform(0.5, 2.0, size),
                    "block": f"b{b}",
                    **columns,
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "respondent_id", [f"r{i:05d}" for i in range(len(table))])
    rows = []
    for policy in ("nano", "overall_best"):
        own = rng.random(len(table)) < 0.5 if policy == "nano" else np.zeros(len(table), dtype=bool)
        gain = own * rng.uniform(0.1, 1.0, len(table))
        rows.append(
            pd.DataFrame(
                {
                    "respondent_id": table["respondent_id"],
                    "policy": policy,
                    "petition_id": np.where(own, "p2", "p1"),
                    "predicted": 5.0 + gain,
                    "gain_over_best": gain,
                    "cost": np.where(own, "b", "a"),
                }
            )
        )
    fielded = explore.Fielded(pd.concat(rows, ignore_index=True), "nano", "best")
    return trial(table, ARMS, OUTCOMES, covariates=[WOMAN, AGE], adjust=[AGE]), fielded


def explored(name, experiment, fielded):
    match name:
        case "subgroups" | "odds_ratios":
            return [getattr(explore, name)(experiment, [GROUPING], 10)]
        case "mobilisation":
            return [explore.mobilisation(experiment, GROUPING, "yes", 10)]
        case "lower_tail":
            return [explore.lower_tail(experiment, 1)]
        case "polarisation":
            return [explore.polarisation(experiment, explore.Poles(GROUPING, "yes", "no", 10), 1, 200)]
        case "validation":
            return [explore.validation(experiment, fielded, 10, ("y",))]
        case "fairness":
            found = explore.fairness(experiment, fielded, [GROUPING], 10, 1)
            return [found[found["contrast"] != ""]]
        case _:
            gain = fielded.promised(experiment.table).set_axis(experiment.table["respondent_id"])["gain"]
            found = explore.targeting(experiment, gain, [GROUPING], 10, 1)
            return [found.gate, found.projection, found.rate, found.curve]


NO_EFFECTS = ("Dividend", "Fielded", "Poles", "calibrated_gap", "dissuasion")
ESTIMATORS = [name for name in explore.__all__ if name not in NO_EFFECTS]
# Not effects, or effects less what was predicted of them.
OTHERS = ("share divergent", "theta - mean predicted gain", "lambda - 1")


def largest(name, experiment, fielded):
    """Return the largest of an analysis' effects, in standard errors."""
    found = []
    for rows in explored(name, experiment, fielded):
        known = rows["estimate"].notna() & (rows["std_error"] > 0)
        assert known.any()
        if "quantity" in rows:
            known &= ~rows["quantity"].isin(OTHERS)
        found.append((rows["estimate"] / rows["std_error"])[known].abs().max())
        if "interaction_p" in rows:
            assert not (rows["interaction_p"] < 1e-4).any()
    return max(found)


@pytest.mark.parametrize("drawn", ["people", "clusters"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_nothing_is_found_where_only_blocks_differ(name, drawn):
    assert largest(name, *world(drawn=drawn)) < 4


# Polarisation redraws the arms, which tests that nobody responds to them; villages do.
@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name != "polarisation"])
def test_arms_drawn_inside_villages_have_errors_of_villages(name):
    experiment, fielded = world(drawn="within")
    assert largest(name, experiment, fielded) < 2.5
    # People who are taken to be alone are sure of what is chance.
    alone = replace(experiment, table=experiment.table.drop(columns="outcome_cluster"))
    assert largest(name, alone, fielded) > 2.5


def mean(rows, column):
    return np.average(rows[column], weights=rows["weight"])


def by_blocks(table, column="y"):
    total = 0.0
    for _, rows in table.groupby("block"):
        best, nano = (rows[rows["arm"] == arm] for arm in ARMS)
        total += rows["weight"].sum() / table["weight"].sum() * (mean(nano, column) - mean(best, column))
    return total


def test_effects_in_groups_are_those_of_blocks_averaged_by_size():
    experiment, fielded = world(2)
    table = experiment.table
    groups = explore.subgroups(experiment, [GROUPING], 10).query("outcome == 'y'")
    expected = [by_blocks(table[table["woman"] == level]) for level in ("no", "yes")]
    np.testing.assert_allclose(groups["estimate"], expected, rtol=1e-10)
    validated = explore.validation(experiment, fielded, 10).query("outcome == 'y'")
    whole = validated.query("estimator == 'dilution' and quantity == 'effect' and group == 'all'")
    assert whole["estimate"].item() == pytest.approx(by_blocks(table), rel=1e-10)
    refused = explore.lower_tail(experiment.with_columns(y=table["y"].clip(lower=0)), 1)
    share = refused.query("outcome == 'y' and quantity == 'share refused'")["estimate"].item()
    assert share == pytest.approx(by_blocks(table.assign(r=(table["y"] <= 0).astype(float)), "r"), rel=1e-9)


def test_groups_that_share_clusters_are_compared_with_what_they_share():
    experiment, _ = world(3, drawn="clusters")
    rows = explore.mobilisation(experiment, GROUPING, "yes", 10).query("outcome == 'y'")
    inside, outside, difference = (rows.iloc[i] for i in range(3))
    assert difference["estimate"] == pytest.approx(inside["estimate"] - outside["estimate"], rel=1e-10)
    # The shocks of clusters are in both groups and not in their difference.
    assert difference["std_error"] < 0.6 * np.hypot(inside["std_error"], outside["std_error"])
    test = explore.subgroups(experiment, [GROUPING], 10).query("outcome == 'y'").iloc[0]
    z = difference["estimate"] / difference["std_error"]
    assert test["interaction_f"] == pytest.approx(z**2, rel=1e-8)


def test_errors_of_odds_in_clusters_are_those_of_the_shares_on_their_scale():
    experiment, _ = world(4, drawn="clusters")
    found = explore.odds_ratios(experiment, [GROUPING], 10).iloc[0]
    men = experiment.among(experiment.table["woman"] == "no")
    means = a.arm_means(men, "signed")
    on = {arm: sign / (means.mean[arm] * (1 - means.mean[arm])) for arm, sign in (("nano", 1), ("best", -1))}
    share = {arm: np.log(means.mean[arm] / (1 - means.mean[arm])) for arm in ARMS}
    assert found["estimate"] == pytest.approx(share["nano"] - share["best"], rel=1e-10)
    assert found["std_error"] == pytest.approx(means.combination(on).error, rel=1e-10)
