"""The audit finds every kind of leak in a study made for it, and nothing where there is none."""

import numpy as np
import pandas as pd
import pytest

from nanotarget.clean.flow import FLOW_COLUMNS
from nanotarget.estimate import balance
from nanotarget.estimate.sample import published_balance
from nanotarget.estimate.tables import Table
from nanotarget.report.disclosure import COLUMNS, Audited, Rule, Status, audit, audit_files
from nanotarget.study import artefacts
from nanotarget.study.checks import validate
from nanotarget.study.config import CovariateConfig
from tiny_study import tiny_study
from trials import trial

ARMS = ["control", "best", "nano"]
AGES = [{"name": "young", "max": 59}, {"name": "old", "min": 60}]
PARTY = CovariateConfig(name="party", kind="categorical", levels=["Left", "Right", "None"])


def study(**privacy):
    config = tiny_study().config
    config["explore"] = {
        "subgroups": [
            {"name": "party", "covariate": "party"},
            {"name": "age", "covariate": "age", "groups": AGES},
        ]
    }
    return validate(config | {"privacy": {"min_cell": 10, **privacy}}, "study.yaml")


def people(n=600, seed=1):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "respondent_id": [f"{i:03}-{i:016x}" for i in range(n)],
            "arm": pd.Categorical.from_codes(rng.integers(0, 3, n), ARMS),
            "party": pd.Categorical.from_codes(rng.choice(3, n, p=[0.5, 0.4, 0.1]), PARTY.levels),
            "age": rng.integers(18, 90, n).astype(float),
            "sign": rng.integers(0, 2, n).astype(float),
            "support": rng.integers(1, 10, n).astype(float),
        }
    )


@pytest.fixture
def found(tmp_path):
    """Audit tables of a study, by file."""

    def found(tables, who=None, asked=None):
        results = tmp_path / "results"
        who = people() if who is None else who
        artefacts.write_parquet(who, results / "private/clean/experiment.parquet")
        ids = who[["respondent_id"]].assign(sample="experiment", id="x")
        artefacts.write_parquet(ids, results / "private/clean/ids.parquet")
        for name, table in tables.items():
            artefacts.write_csv(table, results / name)
        table = audit(results, asked or study())
        assert list(table.columns) == COLUMNS
        return table

    return found


def rules(table):
    return set(table.loc[table["status"] == Status.OPEN, "rule"])


def test_nothing_is_found_where_nothing_is(found):
    effects = pd.DataFrame(
        {"outcome": ["sign"], "estimate": [0.1], "df": [600.0], "n": [400], "n_excluded": [0]}
    )
    cells = pd.DataFrame({"file": ["a.csv"], "rule": ["degrees of freedom"], "n": [3]})  # of findings
    assert found({"estimate/effects.csv": effects, "tables/disclosure.csv": cells}).empty


@pytest.mark.parametrize("count", [1, 9])
def test_a_count_under_the_threshold_is_found_in_every_table(found, count):
    effects = pd.DataFrame({"outcome": ["sign", "share"], "n": [count, 10], "n_tests": [3, 3]})
    table = found({"explore/new.csv": effects, "figures/new.csv": effects})
    assert table[["file", "cell", "rule", "status"]].to_numpy().tolist() == [
        [file, "sign: n", Rule.THRESHOLD, Status.OPEN] for file in ("explore/new.csv", "figures/new.csv")
    ]


def test_answers_are_no_people_where_people_are_counted_too(found):
    groups = pd.DataFrame({"level": ["a", "b"], "n": [5, 40], "n_clusters": [12, 4]})
    assert found({"calibrate/groups.csv": groups})["cell"].tolist() == ["b: n_clusters"]


def test_shares_stand_for_people_and_so_do_all_others(found):
    imces = pd.DataFrame({"level": ["a", "b", "c"], "n": 1000, "share_above": [0.004, 0.5, 0.995]})
    assert found({"calibrate/imces.csv": imces})["cell"].tolist() == ["a: share_above", "c: share_above"]


def test_few_degrees_of_freedom(found):
    effects = pd.DataFrame({"outcome": ["sign", "share", "y"], "df": [9.0, 10.0, np.inf], "n": 100})
    table = found({"estimate/effects.csv": effects})
    assert table["cell"].tolist() == ["sign: df"] and rules(table) == {Rule.DF}


def test_one_person_who_makes_the_mean_of_her_arm(found):
    who = people()
    nano = who.index[who["arm"] == "nano"]
    who.loc[nano, "support"] = 0.0
    who.loc[nano[0], "support"] = 10.0
    table = found({}, who)
    assert rules(table) == {Rule.NK, Rule.P_RATIO}
    assert "support, nano" in set(table["cell"]) and not table["cell"].str.contains("control|sign").any()


def test_a_hidden_count_that_the_total_tells(found):
    outcomes = pd.DataFrame(
        {"outcome": "sign", "arm": "nano", "value": ["a", "b", "c"], "n": 100, "share": [0.4, np.nan, 0.57]}
    )
    table = found({"estimate/outcomes.csv": outcomes})
    assert rules(table) == {Rule.TOLD} and set(table["status"]) == {Status.OPEN, Status.HIDDEN}
    outcomes.loc[2, "share"] = np.nan
    assert rules(found({"estimate/outcomes.csv": outcomes})) == set()


def test_a_flow_with_a_hole(found):
    flow = pd.DataFrame(
        {"sample": "experiment", "step": ["Raw", "Speeder"], "rule": ["", "below 180"], "arm": "all",
         "n_before": [300, 300], "n_excluded": [0, np.nan], "n_after": [300, 296]}
    )  # fmt: skip
    assert rules(found({"clean/flow.csv": flow})) == {Rule.TOLD}


def attrition(missing, assigned=(200, 200, 200), first=0):
    """Return who is missing: of a first outcome in every arm as many as `first`, of a second `missing`."""
    rows = [
        (outcome, arm, n, n - m, m, m / n)
        for outcome, lost in (("sign", [first] * 3), ("support", missing))
        for arm, n, m in zip(ARMS, assigned, lost, strict=True)
    ]
    columns = ["outcome", "arm", "n_assigned", "n_observed", "n_missing", "attrition"]
    return pd.DataFrame(rows, columns=columns).reindex(columns=Table.ATTRITION.columns)


@pytest.mark.parametrize(("first", "status"), [(0, Status.ACCEPTED), (40, Status.OPEN)])
def test_few_without_an_answer_whom_other_tables_tell(found, first, status):
    """Where everybody answered another outcome its n is the size of the arm, which nothing can hide."""
    table = attrition([4, 5, 30], first=first)
    few = table["n_missing"].isin([4, 5])
    table.loc[few, ["n_missing", "attrition"]] = np.nan
    found_here = found({"estimate/attrition.csv": table})
    told = found_here[found_here["rule"] == Rule.TOLD]
    assert set(told["status"]) == {status} and len(told) == 2
    hidden = table.assign(n_assigned=np.nan, n_missing=np.nan)
    if first:
        assert rules(found({"estimate/attrition.csv": hidden})) == set()


def test_tables_are_bounded_together(found):
    """The flow hides who left; the table of participants, by itself harmless, tells."""
    flow = pd.DataFrame(
        [("experiment", "Raw", np.nan, arm, np.nan, 0, np.nan) for arm in ("all", *ARMS)]
        + [("experiment", "Speeder", "below 180", arm, np.nan, np.nan, n)
           for arm, n in zip(("all", *ARMS), (600, 200, 200, 200), strict=True)],
        columns=FLOW_COLUMNS,
    )  # fmt: skip
    assert rules(found({"clean/flow.csv": flow})) == set()
    people = pd.DataFrame({"stage": "assessed", "arm": ["nano"], "outcome": "", "reason": "", "n": [204]})
    people = people.reindex(columns=Table.PARTICIPANTS.columns)
    more = pd.concat([people.assign(stage="excluded", reason="Speeder (below 180)", n=np.nan), people])
    table = found({"clean/flow.csv": flow, "estimate/participants.csv": more})
    assert rules(table) == {Rule.TOLD}
    assert table.loc[table["rule"] == Rule.TOLD, "cell"].str.contains("nano").any()


def test_people_in_two_groups_whose_sizes_tell_them(found):
    """All but five of an arm are of one party, and twelve are young: seven to twelve are both."""
    who = people()
    nano = who.index[who["arm"] == "nano"]
    who.loc[nano, "age"], who.loc[nano, "party"] = 70.0, "Right"
    who.loc[nano[:12], "age"], who.loc[nano[:5], "party"] = 30.0, None
    table = found({}, who)
    assert rules(table) == {Rule.INTERSECTION}
    assert table["cell"].tolist() == ["party: Right and age: young, nano"]
    who.loc[nano[:12], "age"] = 70.0
    assert found({}, who).empty


def test_rows_of_profiles(found):
    rows = pd.DataFrame({"age": [20, 20, 30], "party": ["Left", "Left", "Right"], "Sector": ["Energy"] * 3})
    assert rules(found({"assign/lookup.csv": rows})) == {Rule.ALIKE, Rule.DIVERSE}


def test_a_pseudonym_in_a_page(found, tmp_path):
    artefacts.write_text("<p>0000000000000005</p>", tmp_path / "results/report.html")
    artefacts.write_text("<p>0000000000000005</p>", tmp_path / "results/private/card.html")
    table = found({})
    assert table[["file", "rule"]].to_numpy().tolist() == [["report.html", Rule.ROWS]]


def test_what_the_config_accepts_is_not_open(found):
    effects = pd.DataFrame({"outcome": ["sign"], "n": [5], "df": [3.0]})
    reason = "these are invented people"
    accepted = [{"file": "estimate/effects.csv", "rule": Rule.DF.value, "reason": reason}]
    table = found({"estimate/effects.csv": effects}, asked=study(accepted=accepted)).set_index("rule")
    assert table.loc[Rule.DF, ["status", "done"]].tolist() == [Status.ACCEPTED, reason]
    assert table.loc[Rule.THRESHOLD, "status"] == Status.OPEN


@pytest.mark.parametrize("seed", range(12))
def test_a_published_balance_tells_of_nobody(seed, tmp_path):
    """Whatever is small in it: levels, and who lacks a covariate."""
    rng = np.random.default_rng(seed)
    who = people(seed=seed).assign(weight=1.0)
    rare = rng.choice(600, rng.integers(1, 40), replace=False)
    who.loc[rare, "party"] = "None" if seed % 2 else None
    who.loc[rng.choice(600, rng.integers(0, 50), replace=False), "age"] = np.nan
    covariates = [PARTY, CovariateConfig(name="age", kind="numeric", range=[18, 99])]
    table = balance(trial(who, ARMS, ["sign"], covariates=covariates))
    file = tmp_path / "balance.csv"
    artefacts.write_csv(published_balance(table, 10), file)
    assert rules(audit_files({"estimate/balance.csv": file}, {}, Audited.of(study()))) == set()
    artefacts.write_csv(table, file)
    if not published_balance(table, 10).astype("str").equals(table.astype("str")):
        assert rules(audit_files({"estimate/balance.csv": file}, {}, Audited.of(study()))) == {Rule.THRESHOLD}
