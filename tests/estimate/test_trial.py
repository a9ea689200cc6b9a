"""A trial: who was randomised how, and what is done to every estimate before it stands in a table."""

import inspect

import numpy as np
import pandas as pd
import pytest

from nanotarget import estimate, explore
from nanotarget.calibrate.multiplicity import adjusted
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate import Table, Trial
from nanotarget.estimate.trial import Scheme, TrialConfig
from nanotarget.study.preregistration import Analysis, RegisteredOutcome, Registration
from trials import trial

ARMS = ["control", "best", "nano"]


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "respondent_id": list("abcdef"),
            "arm": pd.Categorical(["nano", "best", None, "best", "control", "nano"], ARMS),
            "y": [1.0, 2.0, 3.0, np.nan, 5.0, 6.0],
            "weight": [1.0, 2.0, 1.0, 1.0, 1.0, 3.0],
        }
    )


def test_a_scheme_reads_blocks_and_clusters(table):
    assert Scheme.of(table).name == "complete" and Scheme.of(table).clusters is None
    alone = Scheme.of(table.assign(block="", cluster=table["respondent_id"]))
    assert alone.name == "complete" and alone.clusters is None
    np.testing.assert_array_equal(alone.cluster, Scheme.of(table).cluster)
    assert Scheme.of(table.assign(block=list("ababab"))).name == "blocked"
    together = Scheme.of(table.assign(cluster=list("ababab")))
    assert together.name == "clustered"
    np.testing.assert_array_equal(together.clusters, [0, 1, 0, 1, 0, 1])


def test_a_part_of_a_trial_knows_how_its_own_respondents_were_randomised(table):
    whole = trial(table.assign(cluster=list("aabbcd")), ARMS, ["y"])
    assert whole.observed("y").table["respondent_id"].tolist() == ["a", "b", "e", "f"]
    assert whole.scheme.clusters is not None
    part = whole.of_arms("nano", "control")
    assert part.scheme.clusters is None and part.arms == ("nano", "control")
    assert part.pairs == [("control", "nano")]
    assert part.weight.tolist() == [1.0, 1.0, 3.0]
    assert part.members("nano").tolist() == [True, False, True]


def test_a_trial_of_a_config_adjusts_in_the_order_asked_for(table):
    kinds = [{"name": name, "kind": "numeric"} for name in ("age", "income", "trust")]
    section = {
        "arms": [{"name": "control"}, {"name": "nano", "policy": "nano"}],
        "outcomes": [{"name": "y", "kind": "continuous"}],
        "covariates": kinds,
        "adjust": ["trust", "age"],
        "sesoi": {"y": 0.5},
        "alpha": 0.1,
    }
    found = Trial.of(table, TrialConfig.model_validate(section))
    assert (found.arms, found.unfielded, found.outcome_names) == (["control", "nano"], ["control"], ["y"])
    assert [covariate.name for covariate in found.adjust] == ["trust", "age"]
    assert (found.sesoi, found.alpha) == ({"y": 0.5}, 0.1)


def rows(p_values, **columns):
    estimates = pd.DataFrame(dict.fromkeys(ESTIMATE_COLUMNS, 0.0), index=range(len(p_values)))
    names = ["best - control", "nano - control", "nano - best"][: len(p_values)]
    return estimates.assign(
        p_value=p_values, contrast=names, se_type="HC2", df_type="Welch", estimand="", note="", **columns
    )


def test_estimates_are_adjusted_labelled_and_marked_where_they_are_published(table):
    registration = Registration(
        registry="OSF",
        id="abc12",
        date="2025-01-01",
        arms=ARMS,
        outcomes=[RegisteredOutcome(name="y", kind="continuous")],
        hypotheses=[Analysis(id="H1", outcome="y", contrast=["nano", "best"], estimator="dim")],
    )
    deviations = pd.DataFrame(
        [("D1", "adjust", "age", "nothing", Table.EFFECTS.value, "", "lin")],
        columns=["deviation", "what", "registered", "done", "outputs", "outcome", "estimator"],
    )
    asked = trial(table, ARMS, ["y"], registration=registration, deviations=deviations)
    parts = [rows([0.01, 0.02, 0.03], outcome="y", estimator=name) for name in ("dim", "lin")]
    found = asked.published(parts, Table.EFFECTS)
    assert list(found.columns) == list(Table.EFFECTS.columns)
    np.testing.assert_allclose(found["p_adjusted"], [0.03, 0.04, 0.04] * 2)
    assert found["label"].tolist() == ["exploratory", "exploratory", "confirmatory"] + ["exploratory"] * 3
    assert found["deviation"].tolist() == [""] * 3 + ["D1"] * 3
    assert found["family"].tolist() == ["y, dim"] * 3 + ["y, lin"] * 3


def test_what_has_no_estimator_is_exploratory_and_nothing_has_the_columns_of_its_table(table):
    part = rows([0.5], outcome="y", quantity="share refused", value_ref=0.0, value_other=0.0)
    assert trial(table, ARMS).published([part], Table.LOWER_TAIL)["label"].tolist() == ["exploratory"]
    for output in Table:
        nothing = trial(table, ARMS).published([], output)
        assert nothing.empty and list(nothing.columns) == list(output.columns)


def test_families_are_adjusted_apart_and_missing_p_values_do_not_count():
    p_values = pd.Series([0.01, np.nan, 0.02, 0.03], index=[4, 2, 9, 1])
    np.testing.assert_allclose(adjusted(p_values), [0.03, np.nan, 0.04, 0.04])
    apart = adjusted(p_values, ["a", "a", "b", "b"])
    np.testing.assert_allclose(apart, [0.01, np.nan, 0.04, 0.04])
    assert apart.index.tolist() == [4, 2, 9, 1]
    assert adjusted(p_values.iloc[:0]).empty


@pytest.mark.parametrize("stage", [estimate, explore])
def test_estimators_are_functions_of_a_trial(stage):
    functions = [f for f in map(stage.__dict__.get, stage.__all__) if inspect.isfunction(f)]
    for function in functions:
        parameters = list(inspect.signature(function).parameters)
        of_calibration = function.__name__ in ("pairs", "dissuasion", "calibrated_gap")
        first = "trial" if of_calibration else parameters[0]
        assert first == "trial" and len(parameters) <= 5, function.__name__
