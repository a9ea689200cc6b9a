"""Tables of the experiment without counts of few people: nothing small stays."""

import numpy as np
import pandas as pd
import pytest

from nanotarget import estimate
from nanotarget.clean.flow import Step, count_steps
from nanotarget.clean.headcount import hidden_heads
from nanotarget.estimate import Table
from nanotarget.estimate.counts import FEW, published
from nanotarget.estimate.robustness import PASSED
from trials import trial

ARMS = ["best", "nano"]


def study(missing=(3, 4), failed=(0, 0), size=150):
    """A trial of one outcome which a few of either arm did not answer, and who failed a check."""
    rng = np.random.default_rng(1)
    place = np.tile(np.arange(size), 2)
    arm = np.repeat([0, 1], size)
    table = pd.DataFrame(
        {
            "respondent_id": [f"r{i:03d}" for i in range(2 * size)],
            "arm": pd.Categorical.from_codes(arm, ARMS),
            "y": np.where(place < np.array(missing)[arm], np.nan, rng.normal(size=2 * size)),
            "weight": 1.0,
            "delivered": pd.array([pd.NA] * 2 * size, dtype="boolean"),
            "passed": pd.array(place < size - np.array(failed)[arm], dtype="boolean"),
        }
    )
    everybody = np.ones(2 * size, dtype=bool)
    steps = [Step("In the raw file", "", everybody, everybody)]
    steps.append(Step("Outcome observed", "y is missing", everybody, table["y"].notna().to_numpy()))
    flow = count_steps("experiment", steps, {"all": everybody} | {n: arm == i for i, n in enumerate(ARMS)})
    return trial(table, ARMS, ["y"]), flow


def shown(kind, make, few=10, **sizes):
    asked, flow = study(**sizes)
    hidden = hidden_heads(flow, asked.table, ["y"], few)
    exact = make(asked, flow)
    return exact, published(exact, kind, hidden, few)


@pytest.mark.parametrize("kind", [Table.PARTICIPANTS, Table.ATTRITION, Table.OUTCOMES, Table.LEE])
def test_few_who_did_not_answer_are_in_no_table(kind):
    makers = {
        Table.PARTICIPANTS: estimate.participant_flow,
        Table.ATTRITION: lambda asked, _: estimate.attrition(asked),
        Table.OUTCOMES: lambda asked, _: estimate.outcomes(asked),
        Table.LEE: lambda asked, _: estimate.lee_bounds(asked),
    }
    exact, table = shown(kind, makers[kind])
    assert list(table.columns) == list(exact.columns) and len(table) == len(exact)
    for column in ("n", "n_missing"):
        if column in table and kind is not Table.LEE:
            assert not pd.to_numeric(table[column]).between(1, 9).any()
    by_arm = table[table["arm"].isin(ARMS)] if "arm" in table else table
    gone = {"n_assigned", "n_missing", "attrition", "rate_later", "rate_earlier"} & set(table)
    assert by_arm[sorted(gone)].isna().all(axis=None)
    if kind is Table.ATTRITION:
        assert table["n_observed"].tolist() == [147, 146] and table["chi2"].isna().all()
        np.testing.assert_allclose(table["chi2_p"], exact["chi2_p"].round(2))
    many, same = shown(kind, makers[kind], missing=(30, 40), failed=(20, 20))
    pd.testing.assert_frame_equal(same, many, check_dtype=False)


def test_estimates_without_few_who_failed_a_check_are_not_published():
    exact, table = shown(Table.CHECKS, lambda asked, _: estimate.checks(asked), failed=(3, 2))
    passed = table["sample"].eq("passed")
    assert exact.loc[passed, "estimate"].notna().all() and table.loc[passed, "estimate"].isna().all()
    assert table.loc[passed, "note"].eq(FEW).all() and table.loc[passed, "n_left_out"].isna().all()
    pd.testing.assert_frame_equal(table[~passed], exact[~passed], check_dtype=False)
    curve, left = shown(Table.ROBUSTNESS, lambda asked, _: estimate.robustness(asked), failed=(3, 2))
    assert PASSED in set(curve["sample"]) and PASSED not in set(left["sample"])
    assert (
        left.groupby(["contrast", "scale"])["rank"]
        .apply(lambda r: r.tolist() == [*range(1, len(r) + 1)])
        .all()
    )
    many, same = shown(Table.CHECKS, lambda asked, _: estimate.checks(asked), failed=(30, 20))
    pd.testing.assert_frame_equal(same, many, check_dtype=False)
