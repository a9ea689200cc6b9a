"""Non-delivery, checks after treatment and the flow of participants against brute force and known truth."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from nanotarget import estimate
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate import Table
from nanotarget.study.config import CovariateConfig
from nanotarget.study.preregistration import Analysis, RegisteredOutcome, Registration
from nanotarget.study.seeds import child_rng
from trials import ipw, trial

ARMS = ["control", "best", "nano"]
NUMBERS = [column for column in ESTIMATE_COLUMNS if column != "n"]
AGE = CovariateConfig(name="age", kind="numeric")


def sample(rng, n=900, reach=0.7, leak=0.0, effect=(0.0, 0.5, 1.0)):
    """People who are easily reached have a higher outcome; effects are those of what they got."""
    arm = rng.permutation(np.arange(n) % 3)
    open_minded = rng.random(n) < reach
    leaked = ~open_minded & (rng.random(n) < leak)
    reached = np.where(arm == 0, leaked, open_minded | leaked)
    age = rng.normal(size=n)
    # Who is reached in the arm without petition got the one of `best`.
    gain = np.where(reached, np.asarray(effect)[np.where(arm == 0, 1, arm)], 0)
    y = 1.0 * open_minded + 0.3 * age + gain + rng.normal(size=n)
    delivered = pd.array(reached, dtype="boolean")
    if not leak:
        delivered[arm == 0] = pd.NA
    return pd.DataFrame(
        {
            "arm": pd.Categorical.from_codes(arm, ARMS),
            "age": age,
            "y": y,
            "delivered": delivered,
            "passed": pd.array(rng.random(n) < 0.9 - 0.1 * arm, dtype="boolean"),
            "weight": rng.uniform(0.5, 2, n),
        }
    )


@pytest.fixture
def table():
    return sample(child_rng(1, "compliance"))


def pick(found, **where):
    for column, value in where.items():
        found = found[found[column] == value]
    return found.reset_index(drop=True)


def two_stages(y, d, z, w):
    """2SLS in matrices, HC2 with the leverages of the instruments."""
    instruments = np.column_stack([np.ones(len(y)), z]).astype(float)
    x = np.column_stack([np.ones(len(y)), d]).astype(float)
    weights = np.diag(w)
    inverse = np.linalg.inv(instruments.T @ weights @ instruments)
    fitted = instruments @ inverse @ instruments.T @ weights @ x
    bread = np.linalg.inv(fitted.T @ weights @ fitted)
    b = bread @ fitted.T @ weights @ y
    leverage = np.diag(instruments @ inverse @ instruments.T @ weights)
    scores = fitted * (w * (y - x @ b) / np.sqrt(1 - leverage))[:, None]
    first = np.linalg.lstsq(instruments * np.sqrt(w)[:, None], d * np.sqrt(w), rcond=None)[0]
    residual = instruments * (w * (d - instruments @ first) / np.sqrt(1 - leverage))[:, None]
    return (
        b[1],
        (bread @ scores.T @ scores @ bread)[1, 1] ** 0.5,
        first[1] ** 2 / (inverse @ residual.T @ residual @ inverse)[1, 1],
    )


@pytest.mark.parametrize("leak", [0.0, 0.3])
def test_compliers_effect_is_two_stage_least_squares(leak):
    table = sample(child_rng(2, "2sls"), leak=leak)
    found = estimate.cace(trial(table, ARMS, ["y"], unfielded=["control"]))
    assert list(found.columns) == list(Table.CACE.columns)
    assert found["estimand"].tolist() == ["compliers", "compliers", "reached in both arms"]
    itt = pick(estimate.effects(trial(table, ARMS, ["y"])), estimator="dim")
    np.testing.assert_allclose(found["itt"], itt["estimate"], rtol=1e-9)
    for later in ("best", "nano"):
        pair = table[table["arm"].isin(["control", later])]
        d = pair["delivered"].fillna(False).to_numpy(float)
        z = (pair["arm"] == later).to_numpy(float)
        theirs = two_stages(pair["y"].to_numpy(), d, z, pair["weight"].to_numpy())
        row = pick(found, contrast=f"{later} - control").loc[0]
        ours = row[["estimate", "std_error", "first_stage_f"]].astype(float)
        np.testing.assert_allclose(ours, theirs, rtol=1e-8)
        assert row["df"] == len(pair) - 2
        assert row["estimate"] == pytest.approx(row["itt"] / row["first_stage"])
    adjusted = found["p_adjusted"].to_numpy()
    assert (adjusted >= found["p_value"]).all() and adjusted.min() == pytest.approx(
        3 * found["p_value"].min()
    )


def test_anderson_rubin_interval_ends_where_the_test_is_at_its_level(table):
    row = estimate.cace(trial(table, ARMS, ["y"], unfielded=["control"], alpha=0.1)).iloc[1]
    pair = table[table["arm"].isin(["control", "nano"])]
    d = pair["delivered"].fillna(False).to_numpy(float)

    def excess(b):
        at = pair.assign(y=pair["y"] - b * d)
        return estimate.effects(trial(at, ["control", "nano"], ["y"]))["p_value"][0] - 0.1

    low = optimize.brentq(excess, row["estimate"] - 3, row["estimate"])
    high = optimize.brentq(excess, row["estimate"], row["estimate"] + 3)
    assert [row["ar_low"], row["ar_high"]] == pytest.approx([low, high], rel=1e-6)
    assert "weak" not in row["note"]


def test_effects_on_those_reached_are_found():
    """Truth: 0.5 and 1 among the reached, 0.5 between them; assignment alone shows 70 per cent of it."""
    rng = child_rng(3, "truth of cace")
    rows = [estimate.cace(trial(sample(rng), ARMS, ["y"], unfielded=["control"])) for _ in range(150)]
    estimates, errors = (np.array([t[c] for t in rows]) for c in ("estimate", "std_error"))
    truth = np.array([0.5, 1.0, 0.5])
    # Equal shares of delivery are rejected as often as they should be, where they are equal.
    rejected = np.isnan(estimates[:, 2])
    assert 0.005 < rejected.mean() < 0.1 and not np.isnan(estimates[:, :2]).any()
    estimates, errors = estimates[~rejected], errors[~rejected]
    rows = [found for found, out in zip(rows, rejected, strict=True) if not out]
    np.testing.assert_allclose(estimates.mean(axis=0), truth, atol=0.04)
    itt = np.array([t["itt"] for t in rows]).mean(axis=0)
    np.testing.assert_allclose(itt, 0.7 * truth, atol=0.03)
    np.testing.assert_allclose(errors.mean(axis=0), estimates.std(axis=0), rtol=0.15)
    for ends in (("conf_low", "conf_high"), ("ar_low", "ar_high")):
        low, high = (np.array([t[c] for t in rows]) for c in ends)
        assert (((low <= truth) & (truth <= high)).mean(axis=0) > 0.9).all()


def test_two_sided_compliance_finds_the_compliers():
    rng = child_rng(4, "two-sided")
    rows = [
        estimate.cace(trial(sample(rng, leak=0.4), ARMS[:2], ["y"], unfielded=["control"])).iloc[0]
        for _ in range(100)
    ]
    found = pd.DataFrame(rows)
    # 0.7 are reached if assigned only; another 0.12 always.
    assert found["first_stage"].mean() == pytest.approx(0.7, abs=0.02)
    assert found["estimate"].mean() == pytest.approx(0.5, abs=0.04)


def test_order_of_arms_and_rows_and_scale_of_weights(table):
    first = estimate.cace(trial(table, ARMS, ["y"], unfielded=["control"]))
    shuffled = table.sample(frac=1, random_state=1)
    shuffled["weight"] *= 7
    pd.testing.assert_frame_equal(
        first, estimate.cace(trial(shuffled, ARMS, ["y"], unfielded=["control"])), rtol=1e-9
    )
    turned = estimate.cace(trial(table, ARMS[::-1], ["y"], unfielded=["control"]))
    for ours, theirs, sign in (
        ("estimate", "estimate", -1),
        ("std_error", "std_error", 1),
        ("first_stage", "first_stage", 1),
        ("ar_low", "ar_high", -1),
    ):
        np.testing.assert_allclose(turned[ours], sign * first[theirs][::-1], rtol=1e-8)


def test_full_delivery_gives_the_effect_of_assignment(table):
    table["delivered"] = pd.array(table["arm"] != "control", dtype="boolean")
    found = estimate.cace(trial(table, ARMS, ["y"], unfielded=["control"]))
    dim = pick(estimate.effects(trial(table, ARMS, ["y"])), estimator="dim")
    np.testing.assert_allclose(found["estimate"], dim["estimate"], rtol=1e-9)
    np.testing.assert_allclose(found["std_error"], dim["std_error"], rtol=1e-9)
    np.testing.assert_allclose(found["ar_low"], found["conf_low"], rtol=1e-8)
    np.testing.assert_allclose(found["ar_high"], found["conf_high"], rtol=1e-8)
    assert np.isinf(found["first_stage_f"]).all()


def test_what_is_not_identified_is_missing_and_says_why(table):
    blank = [*NUMBERS, "ar_low", "ar_high"]
    unlogged = table.copy()
    unlogged.loc[np.flatnonzero(unlogged["arm"] == "best")[:3], "delivered"] = pd.NA
    rows = estimate.cace(trial(unlogged, ARMS, ["y"], unfielded=["control"])).set_index("contrast")
    assert rows.loc["best - control", blank].isna().all()
    assert rows.loc["best - control", "note"] == "delivery is not logged for 3 of 300 respondents in 'best'"
    assert np.isfinite(rows.loc["nano - control", "estimate"])
    uneven = table.copy()
    uneven.loc[np.flatnonzero(uneven["arm"] == "best")[:150], "delivered"] = False
    rows = estimate.cace(trial(uneven, ARMS, ["y"], unfielded=["control"])).set_index("contrast")
    assert rows.loc["nano - best", blank].isna().all()
    assert rows.loc["nano - best", "note"].startswith("not identified: the arms' petitions")
    assert np.isfinite(rows.loc["best - control", "estimate"])
    none = table.assign(delivered=pd.array([False] * 900, dtype="boolean"))
    found = estimate.cace(trial(none, ARMS, ["y"], unfielded=["control"]))
    assert found[blank].isna().all(axis=None) and found["note"].str.startswith("not identified").all()
    found = estimate.cace(trial(table, ARMS, ["y"], unfielded=ARMS))
    assert set(found["note"]) == {"nothing was to be delivered in either arm"}


def test_weak_first_stages_are_named():
    rng = child_rng(5, "weak")
    table = sample(rng, n=300, reach=0.03)
    row = estimate.cace(trial(table, ARMS, ["y"], unfielded=["control"])).iloc[1]
    assert row["first_stage_f"] < 10 and "weak first stage" in row["note"]
    # Delivery in the control arm by chance nearly as often: the set of effects has no end.
    d = (np.arange(300) % 2).astype(bool)
    d[np.flatnonzero(table["arm"] == "nano")[:2]] = True
    table = table.assign(delivered=pd.array(d, dtype="boolean"), y=table["y"] * 3)
    row = estimate.cace(trial(table, ["control", "nano"], ["y"], unfielded=["control"])).iloc[0]
    assert 0 < row["first_stage_f"] < stats.t.ppf(0.975, 198) ** 2
    assert (row["ar_low"], row["ar_high"]) == (-np.inf, np.inf)
    assert "do not bound" in row["note"] or "exclude only" in row["note"]


def test_unbounded_sets_leave_out_what_the_test_rejects():
    """A large effect of assignment with hardly any first stage excludes small effects only."""
    rng = child_rng(6, "complement")
    arm = np.repeat(["control", "nano"], 100)
    d = pd.array((np.arange(200) % 5 == 0) | (np.arange(200) == 199), dtype="boolean")
    y = 5.0 * (arm == "nano") + rng.normal(size=200)
    table = pd.DataFrame({"arm": arm, "y": y, "delivered": d, "weight": 1.0})
    table.loc[198, "delivered"] = True
    note = estimate.cace(trial(table, ["control", "nano"], ["y"], unfielded=["control"]))["note"][0]
    low, high = map(float, note.rsplit("between ", 1)[1].split(" and "))
    for b, rejected in ((0.0, True), (high * 0.95, True), (high * 1.05, False), (low * 1.05, False)):
        at = table.assign(y=table["y"] - b * table["delivered"].astype(float))
        p = estimate.effects(trial(at, ["control", "nano"], ["y"]))["p_value"][0]
        assert (p < 0.05) == rejected, (b, p)


def test_bad_data_of_compliance(table):
    table["flat"] = 1.1
    first = np.flatnonzero(table["arm"] == "best")
    table.loc[first[1:], "y"] = np.nan
    found = estimate.cace(trial(table, [*ARMS, "nobody"], ["y", "flat"], unfielded=["control"]))
    rows = pick(found, outcome="y").set_index("contrast")
    assert np.isfinite(rows.loc["nano - control", NUMBERS].astype(float)).all()
    assert rows.drop("nano - control")[NUMBERS].isna().all(axis=None)
    assert rows.loc["nano - best", "note"] == "fewer than two observed respondents in 'best'"
    flat = pick(found, outcome="flat", contrast="nano - control")
    assert flat["note"][0] == "the outcome does not vary in either arm, or only with delivery"
    assert flat[NUMBERS].isna().all(axis=None)


def test_copies_in_clusters_count_once(table):
    copies = pd.concat([table, table])
    copies = copies.assign(cluster=copies.index.astype(str))
    one, two = (estimate.cace(trial(t, ARMS, ["y"], unfielded=["control"])) for t in (table, copies))
    np.testing.assert_allclose(one["estimate"], two["estimate"], rtol=1e-9)
    np.testing.assert_allclose(one["std_error"], two["std_error"], rtol=0.01)
    assert one["df"].tolist() == two["df"].tolist()


def test_an_arm_that_is_one_cluster_has_no_errors(table):
    table["cluster"] = np.where(table["arm"] == "nano", "all", np.arange(900).astype(str))
    for found in (
        estimate.cace(trial(table, ARMS, ["y"], unfielded=["control"])),
        ipw(trial(table, ARMS, ["y"], adjust=[AGE])),
        pick(estimate.lee_bounds(trial(table, ARMS, ["y"])), trimming="fraction", bound="lower"),
    ):
        assert found["std_error"].isna().tolist() == [False, True, True]
        assert found["note"][1:].str.contains("single cluster|fewer than two clusters").all()


# Checks after treatment


def test_failed_checks_are_left_out_beside_the_full_sample(table):
    found = estimate.checks(trial(table, ARMS, ["y"], adjust=[AGE]))
    assert list(found.columns) == list(Table.CHECKS.columns)
    assert found["sample"].tolist() == ["all", "passed"] * 6
    columns = [column for column in Table.CHECKS.columns if column in Table.EFFECTS.columns]
    pd.testing.assert_frame_equal(
        pick(found, sample="all")[columns],
        estimate.effects(trial(table, ARMS, ["y"], adjust=[AGE]))[columns],
    )
    kept = table[table["passed"].to_numpy(bool)]
    pd.testing.assert_frame_equal(
        pick(found, sample="passed")[columns],
        estimate.effects(trial(kept, ARMS, ["y"], adjust=[AGE]))[columns],
    )
    assert set(pick(found, sample="passed")["n_left_out"]) == {len(table) - len(kept)}


def test_estimates_without_failed_checks_are_never_confirmatory(table):
    registered = Registration(
        registry="OSF",
        id="1",
        date="2025-01-01",
        arms=ARMS,
        outcomes=[RegisteredOutcome(name="y", kind="continuous")],
        hypotheses=[Analysis(id="H1", outcome="y")],
    )
    found = estimate.checks(trial(table, ARMS, ["y"], registration=registered))
    labels = set(zip(found["sample"], found["label"], strict=True))
    assert labels == {("all", "confirmatory"), ("passed", "exploratory")}
    for other in (
        estimate.cace(trial(table, ARMS, ["y"], unfielded=["control"], registration=registered)),
        estimate.lee_bounds(trial(table, ARMS, ["y"], registration=registered)),
        estimate.ipw_effects(trial(table, ARMS, ["y"], adjust=[AGE], registration=registered)),
    ):
        assert set(other["label"]) == {"exploratory"}


def test_people_without_a_check_stay(table):
    table.loc[:99, "passed"] = pd.NA
    left_out = int((table["passed"] == False).fillna(False).sum())  # noqa: E712
    found = pick(estimate.checks(trial(table, ARMS, ["y"])), sample="passed")
    assert set(found["n_left_out"]) == {left_out} and set(found["n"]) == {900 - left_out}
    table["passed"] = pd.array([pd.NA] * 900, dtype="boolean")
    found = pick(estimate.checks(trial(table, ARMS, ["y"])), sample="passed")
    assert found[NUMBERS].isna().all(axis=None)
    assert set(found["note"]) == {"no check after treatment was asked"}


# Flow


@pytest.fixture
def flow():
    left = {"all": 1000, **dict.fromkeys(ARMS, 320), "none": 40}
    steps = [
        ("In the raw file", "", {}),
        ("No consent", "consent is no", {"all": 40, "none": 40}),
        ("Too fast", "time is below 60", {"all": 60, **dict.fromkeys(ARMS, 20)}),
    ]
    rows = []
    for step, rule, out in steps:
        for arm in left:
            gone = out.get(arm, 0)
            rows.append(("experiment", step, rule, arm, left[arm], gone, left[arm] - gone))
            left[arm] -= gone
    rows.append(("experiment", "Outcome observed", "y is missing", "all", 900, 50, 850))
    rows.append(("calibration", "In the raw file", "", "all", 77, 0, 77))
    columns = ["sample", "step", "rule", "arm", "n_before", "n_excluded", "n_after"]
    return pd.DataFrame(rows, columns=columns)


def test_flow_adds_up(table, flow):
    table.loc[table.index[:50], "y"] = np.nan
    found = estimate.participant_flow(trial(table, ARMS, ["y"]), flow)
    assert list(found.columns) == list(Table.PARTICIPANTS.columns)
    assert list(dict.fromkeys(found["stage"])) == [
        "assessed",
        "excluded",
        "randomised",
        "received",
        "not received",
        "completed",
        "not completed",
        "failed check",
        "analysed",
    ]
    n = found.pivot_table("n", "arm", "stage", aggfunc="sum", fill_value=0)
    for arm in ["all", *ARMS]:
        row = n.loc[arm]
        assert row["assessed"] - row["excluded"] == row["randomised"]
        assert row["received"] + row["not received"] == row["randomised"]
        assert row["completed"] + row["not completed"] == row["randomised"]
        assert row["analysed"] == row["completed"]
    assert n.loc["none", "assessed"] == n.loc["none", "excluded"] == 40
    assert n.loc["all", "completed"] == 850
    assert n.loc["all", "failed check"] == int((~table["passed"].astype(bool)).sum())
    for stage in ("randomised", "received", "not received", "completed", "analysed"):
        assert n.loc[ARMS, stage].sum() == n.loc["all", stage]
    reasons = found[found["stage"] == "excluded"]["reason"].unique().tolist()
    assert reasons == ["No consent (consent is no)", "Too fast (time is below 60)"]
    unlogged = pick(found, stage="not received", arm="control", reason="delivery not logged")
    assert unlogged["n"][0] == 300


def test_flow_without_logs_has_fewer_stages(table, flow):
    found = estimate.participant_flow(trial(table.assign(delivered=pd.NA, passed=pd.NA), ARMS, ["y"]), flow)
    assert not found["stage"].isin(["received", "not received", "failed check"]).any()
    turned = estimate.participant_flow(trial(table, ARMS[::-1], ["y"]), flow)
    found = estimate.participant_flow(trial(table, ARMS, ["y"]), flow)
    key = ["stage", "arm", "outcome", "reason"]
    pd.testing.assert_frame_equal(
        found.sort_values(key, ignore_index=True), turned.sort_values(key, ignore_index=True)
    )


def test_deviations_mark_the_new_tables(table, flow):
    outputs = "estimate/cace.csv; estimate/lee_bounds.csv; estimate/ipw.csv; estimate/effects.csv"
    outputs += "; estimate/participants.csv; estimate/differential_attrition.csv"
    columns = ["deviation", "what", "registered", "done", "outputs", "outcome", "estimator"]
    deviations = pd.DataFrame([("D1", "", "", "", outputs, "", "")], columns=columns)
    marked = trial(table, ARMS, ["y"], adjust=[AGE], unfielded=["control"], deviations=deviations)
    tables = [
        estimate.cace(marked),
        estimate.lee_bounds(marked),
        estimate.ipw_effects(marked),
        estimate.checks(marked),
        estimate.participant_flow(marked, flow),
        estimate.differential_attrition(marked),
    ]
    for found in tables:
        assert set(found["deviation"]) == {"D1"}
    assert set(tables[0]["label"]) == {"exploratory"}
