"""Counts of few people in the tables that say who was there: hidden in all of them, and told by none."""

import itertools

import numpy as np
import pandas as pd
import pytest

from nanotarget.clean.flow import Step, count_steps
from nanotarget.clean.headcount import (
    KEPT,
    RECORDED,
    Headcount,
    became,
    cells_of_flow,
    hidden_heads,
    left,
    published_flow,
    published_quality,
    there,
)
from nanotarget.clean.quality import QUALITY_COLUMNS
from nanotarget.study.disclosure import bounds

ARMS = ["control", "best", "nano"]


def study(sizes, excluded, missing):
    """Return flow and experiment: people by arm, of whom so many leave at a step, and miss the outcome."""
    arm = np.repeat(np.arange(3), sizes)
    place = np.concatenate([np.arange(n) for n in sizes])
    here = [np.ones(len(arm), dtype=bool)]
    gone = np.zeros(3, dtype=int)
    for numbers in excluded:
        gone = gone + numbers
        here.append(place >= gone[arm])
    steps = [Step("In the raw file", "", here[0], here[0])]
    steps += [Step(f"Step {i}", f"rule {i}", *ends) for i, ends in enumerate(itertools.pairwise(here))]
    observed = here[-1] & (place >= (gone + missing)[arm])
    steps.append(Step("Outcome observed", "sign is missing", here[-1], observed))
    groups = {"all": here[0]} | {name: arm == i for i, name in enumerate(ARMS)}
    experiment = pd.DataFrame(
        {
            "arm": pd.Categorical.from_codes(arm[here[-1]], ARMS),
            "sign": np.where(observed, 1.0, np.nan)[here[-1]],
            "delivered": pd.array([pd.NA] * here[-1].sum(), dtype="boolean"),
            "passed": pd.array([pd.NA] * here[-1].sum(), dtype="boolean"),
        }
    )
    return count_steps("experiment", steps, groups), experiment


def told(flow, experiment, hidden):
    """Return the hidden cells that what is left tells, of a study with this flow."""
    heads = Headcount()
    heads.take_flow(flow)
    heads.take_answers(experiment, ["sign"])
    assert len(heads.sums) > 5
    left_over = {cell: n for cell, n in heads.counts.items() if cell not in hidden}
    return [
        cell for cell, found in bounds(left_over, heads.sums).items() if found.told(10) and found.high > 0
    ]


def test_nothing_is_hidden_where_nothing_is_small():
    flow, experiment = study([100, 100, 100], [[12, 10, 0], [0, 0, 0]], [20, 20, 20])
    assert hidden_heads(flow, experiment, ["sign"], 10) == set()
    pd.testing.assert_frame_equal(published_flow(flow, set()), flow, check_dtype=False)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_hidden_is_not_told(seed):
    rng = np.random.default_rng(seed)
    excluded = rng.integers(0, 14, (2, 3)) * [[1], [seed % 2]]
    flow, experiment = study([120, 110, 115], excluded, rng.integers(0, 14, 3))
    hidden = hidden_heads(flow, experiment, ["sign"], 10)
    counts = Headcount()
    counts.take(flow, cells_of_flow(flow))
    small = {cell for cell, n in counts.counts.items() if 0 < n < 10}
    assert small <= hidden
    assert not told(flow, experiment, hidden)
    assert not any(cell[0] == "answered" for cell in hidden)  # the n of estimates
    shown = published_flow(flow, hidden)
    for column in ("n_before", "n_excluded", "n_after"):
        assert not shown[column].between(1, 9).any()
        assert (shown[column].isna() | shown[column].eq(flow[column])).all()


def test_few_who_leave_hide_how_many_were_recorded():
    flow, experiment = study([100, 100, 100], [[2, 1, 1]], [30, 30, 30])
    hidden = hidden_heads(flow, experiment, ["sign"], 10)
    rule = "Step 0 (rule 0)"
    assert {left("experiment", arm, rule) for arm in (*ARMS, "all")} <= hidden
    assert {there("experiment", arm, RECORDED) for arm in (*ARMS, "all")} <= hidden
    assert not {there("experiment", arm, KEPT) for arm in (*ARMS, "all")} & hidden


def test_few_without_an_answer_hide_the_size_of_their_arm():
    flow, experiment = study([100, 100, 100], [[0, 0, 0]], [4, 5, 6])
    hidden = hidden_heads(flow, experiment, ["sign"], 10)
    assert {there("experiment", arm) for arm in ARMS} <= hidden
    assert there("experiment", "all") not in hidden and became("missing", "all", "sign") not in hidden
    rows = published_flow(flow, hidden).set_index(["step", "arm"])
    assert rows.loc[("Outcome observed", "all"), "n_excluded"] == 15
    assert rows.loc["Outcome observed"].loc[ARMS, ["n_before", "n_excluded"]].isna().all(axis=None)


def test_a_check_of_quality_of_few_people_has_neither_count_nor_share():
    rows = [
        ("calibration", "missing", "age", "", 4, 0.02, None, None, None),
        ("calibration", "missing", "party", "", 198, 0.99, None, None, None),
        ("calibration", "same_rating", "rating", "", 20, 0.1, 0.05, None, None),
        ("calibration", "missing", "income", "", 0, 0.0, None, None, None),
        ("calibration", "level_frequency", "Sector", "Energy", 5, 0.01, 0.2, None, None),
        ("calibration", "speed", "seconds", "5%", 7, None, None, 12.0, None),
        ("experiment", "arm", "arm", "nano", 50, 0.3, None, None, None),
    ]
    quality = pd.DataFrame(rows, columns=QUALITY_COLUMNS)
    shown = published_quality(quality, {there("experiment", "nano")}, 10)
    assert shown["n"].isna().tolist() == [True, True, False, False, False, True, True]
    assert shown["share"].isna().tolist() == [True, True, False, False, False, True, True]
    assert shown["statistic"].isna().all()
