"""Gap, variance and tails between arms: plain arithmetic, known truth, designs, small groups."""

import numpy as np
import pandas as pd
import pytest

from nanotarget.estimate import Table
from nanotarget.explore import polarisation as module_function
from nanotarget.explore.polarisation import GAP, HIGHEST, LOWEST, SPLIT, VARIANCE, Poles
from nanotarget.study.config import CovariateConfig, GroupConfig, OutcomeConfig, SubgroupConfig
from nanotarget.study.seeds import child_rng
from trials import trial

ARMS = ["best", "nano"]
PRIOR = CovariateConfig(name="prior", kind="numeric", range=[0, 10])
GROUPING = SubgroupConfig(
    name="before",
    covariate="prior",
    groups=[
        GroupConfig(name="against", max=3),
        GroupConfig(name="between", min=4, max=6),
        GroupConfig(name="for", min=7),
    ],
)
POLES = Poles(GROUPING, "for", "against", 10)
SUPPORT = OutcomeConfig(name="y", kind="continuous", range=[0, 10])


def people(n=600, seed=1, base=0.0, opposed=0.0, spread=1.0):
    """An experiment in which nano adds something to the base, the opposed and the spread of answers."""
    rng = child_rng(seed, "polarisation")
    prior = rng.integers(0, 11, n)
    nano = rng.permutation(np.arange(n) % 2)
    noise = rng.normal(size=n) * np.where(nano, spread, 1)
    y = 5 + 0.2 * (prior - 5) + nano * (base * (prior > 6) + opposed * (prior < 4)) + noise
    return pd.DataFrame(
        {
            "respondent_id": [f"r{i:04d}" for i in range(n)],
            "arm": pd.Categorical.from_codes(nano, ARMS),
            "prior": prior.astype(float),
            "y": y,
            "weight": 1.0,
        }
    )


def whole(table):
    """Answers as surveys have them; their redraws cost less, too."""
    return table.assign(y=table["y"].round())


def found(table, poles=POLES, draws=500, outcome=SUPPORT):
    rows = module_function(trial(table, ARMS, [outcome], covariates=[PRIOR]), poles, 1, draws)
    assert list(rows.columns) == list(Table.POLARISATION.columns)
    assert (rows["label"] == "exploratory").all() and (rows["contrast"] == "nano - best").all()
    return rows.set_index("quantity")


def test_measures_are_those_of_plain_arithmetic():
    table = people(base=0.5, opposed=-0.3, spread=1.5)
    rows = found(table)
    one, other = (table[table["arm"] == arm] for arm in ARMS)

    def gap(part):
        return part.loc[part["prior"] > 6, "y"].mean() - part.loc[part["prior"] < 4, "y"].mean()

    plain = {
        GAP: gap,
        VARIANCE: lambda part: part["y"].var(ddof=1),
        LOWEST: lambda part: (part["y"] <= 2).mean(),
        HIGHEST: lambda part: (part["y"] >= 8).mean(),
    }
    assert list(rows.index) == list(plain)
    for name, measure in plain.items():
        row = rows.loc[name]
        assert row["value_ref"] == pytest.approx(measure(one)), name
        assert row["value_other"] == pytest.approx(measure(other)), name
        assert row["estimate"] == pytest.approx(measure(other) - measure(one)), name
        assert row["conf_low"] < row["estimate"] < row["conf_high"], name
    errors = [part["y"][inside].var(ddof=1) / inside.sum() for part in (one, other) for inside in
              (part["prior"] > 6, part["prior"] < 4)]  # fmt: skip
    assert rows.loc[GAP, "std_error"] == pytest.approx(np.sqrt(sum(errors)), rel=0.01)


def test_intervals_cover_and_the_test_has_its_size():
    """Nano moves both groups alike, or one more; or it spreads the answers."""
    hits, rejected, gaps, spreads = [], [], [], []
    for seed in range(40):
        rows = found(whole(people(240, seed, base=0.8, opposed=0.8, spread=1.5)), draws=199)
        hits.append(rows.loc[GAP, "conf_low"] <= 0 <= rows.loc[GAP, "conf_high"])
        truth = 1.5**2 - 1  # of the noise; what the prior adds is the same in either arm, but for the shift
        spreads.append(rows.loc[VARIANCE, "estimate"])
        rejected.append(found(whole(people(240, seed)), draws=199)["p_value"] <= 0.05)
        gaps.append(found(whole(people(240, seed, base=0.8)), draws=1).loc[GAP, "estimate"])
    assert np.mean(hits) >= 0.85
    assert np.mean(gaps) == pytest.approx(0.8, abs=4 * np.std(gaps) / np.sqrt(40))
    assert np.mean(spreads) == pytest.approx(truth, abs=0.4)
    assert (np.mean(rejected, axis=0) <= 0.15).all()  # 5%, and three standard errors


def test_blocks_in_which_arms_have_other_shares_do_not_pass_for_a_gap():
    """In one block nearly all are in nano's arm and like everything: pooled, nano would look like a wedge."""
    table = people(1200, base=0.0)
    rng = child_rng(3, "polarisation/blocks")
    block = rng.integers(0, 2, len(table))
    nano = np.where(block == 1, rng.random(len(table)) < 0.8, rng.random(len(table)) < 0.2).astype(int)
    y = 0.2 * table["prior"] + 3 * block * (table["prior"] > 6) + rng.normal(size=len(table))
    table = table.assign(block=block, arm=pd.Categorical.from_codes(nano, ARMS), y=y)
    row = found(table).loc[GAP]
    effects = {}
    for sign, inside in ((1, table["prior"] > 6), (-1, table["prior"] < 4)):
        cells = table[inside].groupby("block")
        weight, effect = [], []
        for _, cell in cells:
            share = (cell["arm"] == "nano").mean()
            weight.append(len(cell) * share * (1 - share))
            effect.append(cell.groupby("arm", observed=True)["y"].mean().diff().iloc[-1])
        effects[sign] = np.average(effect, weights=weight)
    assert row["estimate"] == pytest.approx(effects[1] - effects[-1])
    assert abs(row["statistic"]) < 3 and row["value_other"] - row["value_ref"] > 1


def test_clusters_leave_the_gap_empty_with_its_reason():
    table = people(400, spread=3)
    cluster = np.arange(400) // 4
    table = table.assign(cluster=cluster, arm=pd.Categorical.from_codes(cluster % 2, ARMS))
    rows = found(table)
    assert np.isnan(rows.loc[GAP, "estimate"]) and rows.loc[GAP, "note"] == SPLIT
    assert rows.loc[[VARIANCE, LOWEST], "std_error"].notna().all()


def test_small_groups_are_hidden_and_a_study_without_poles_has_no_gap():
    table = people(200)
    few = table[(table["prior"] > 3) | (np.arange(200) < 15)].reset_index(drop=True)
    rows = found(few)
    assert (
        rows.loc[GAP, "suppressed"] and rows.loc[GAP, ["estimate", "value_ref", "value_other"]].isna().all()
    )
    assert list(found(table, poles=None).index) == [VARIANCE, LOWEST, HIGHEST]


def test_an_outcome_with_two_values_has_a_gap_alone():
    table = people(300)
    binary = OutcomeConfig(name="y", kind="binary")
    assert list(found(table.assign(y=(table["y"] > 5).astype(float)), outcome=binary).index) == [GAP]


def test_the_order_of_rows_changes_nothing():
    table = people(200)
    pd.testing.assert_frame_equal(found(table), found(table.sample(frac=1, random_state=2)), rtol=1e-9)
