"""Effects, balance, attrition and subgroups against the numbers that R made (estimatr)."""

import functools
import logging

import numpy as np
import pandas as pd
import pytest
import yaml

from nanotarget import estimate, explore, regression
from nanotarget.config import CovariateConfig, StudyConfig, SubgroupConfig, typed, validate

pytestmark = pytest.mark.golden

# pytest --log-cli-level=INFO shows how much was compared.
LOG = logging.getLogger(__name__)

RELATIVE = 1e-8
TESTED = ["estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "df"]
STUDIES = {"exp_hillstrom_2008": 3, "exp_levendusky_2016": 4}


def table(path):
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


@functools.cache
def study(reference, project, name):
    """The contract's table of the experiment, straight from the reference file, and the config."""
    settings = yaml.safe_load((project / "examples" / f"{name}.yaml").read_text(encoding="utf-8"))
    config = typed(StudyConfig, validate(settings, name))
    experiment = config.experiment
    raw = table(reference / "data" / name / "data.csv.gz")
    # The golden files name the arms as the raw files do.
    arms = [str(arm.value or arm.name) for arm in experiment.arms]
    data = pd.DataFrame({"arm": pd.Categorical(raw[experiment.arm], arms), "weight": 1.0})
    for covariate in config.covariates:
        values = raw[covariate.column or covariate.name]
        if covariate.kind == "numeric":
            data[covariate.name] = values.astype(float)
        else:
            data[covariate.name] = pd.Categorical(values.astype(str), [str(v) for v in covariate.levels])
    for outcome in experiment.outcomes:
        values = raw[outcome.column or outcome.name].astype(float)
        if outcome.at_least is not None:
            values = (values >= outcome.at_least).astype(float).where(values.notna())
        if outcome.observed_if:
            values = values.where(raw[outcome.observed_if.column].isin(outcome.observed_if.values))
        data[outcome.name] = values
    adjust = [c for c in config.covariates if c.name in config.estimate.adjust]
    return data, arms, [o.name for o in experiment.outcomes], adjust, config


def compare(found, golden, columns, what, keys):
    """Match rows by key; return how many numbers were compared, after asserting that all agree.

    `columns` maps ours to theirs.
    """
    both = found.merge(golden, on=list(keys), suffixes=("", "_golden"), validate="1:1")
    assert len(both) == len(golden), f"{len(golden) - len(both)} rows of {what} have no counterpart"
    worst, count = 0.0, 0
    for column, theirs in columns.items():
        theirs = f"{theirs}_golden" if theirs in found else theirs
        a, b = both[column].to_numpy(float), both[theirs].to_numpy(float)
        np.testing.assert_allclose(a, b, rtol=RELATIVE, err_msg=f"{what}: {column}")
        worst, count = max(worst, np.abs(a / b - 1).max()), count + len(both)
    LOG.info("%s: %d numbers, largest relative difference %.1e", what, count, worst)
    return count


def golden_effects(reference, name, estimator, se_type="HC2"):
    golden = table(reference / "golden" / f"{name}__effects.csv")
    return golden[(golden["estimator"] == estimator) & (golden["se_type"] == se_type)]


@pytest.mark.parametrize("name", STUDIES)
def test_effects_and_holm_equal_estimatr(reference, project, name):
    data, arms, outcomes, adjust, _ = study(reference, project, name)
    found = estimate.effects(data, arms, outcomes, adjust)
    assert (found["note"] == "").all()
    columns = {column: column for column in TESTED}
    columns |= {"n": "nobs", "p_adjusted": "p_holm_within_outcome"}
    for ours, theirs in (("dim", "dim_joint"), ("lin", "lin_joint")):
        golden = golden_effects(reference, name, theirs)
        rows = found[found["estimator"] == ours].drop(columns=["estimator", "se_type"])
        count = compare(rows, golden, columns, f"effects {name} {ours}", ["outcome", "contrast"])
        assert count == 9 * 3 * STUDIES[name]


@pytest.mark.parametrize("name", STUDIES)
def test_lin_adjustment_of_two_arms_equals_estimatr(reference, project, name):
    data, arms, outcomes, adjust, _ = study(reference, project, name)
    found = []
    for later, earlier in estimate.pairs(arms):
        pair = data[data["arm"].isin([later, earlier])]
        rows = estimate.effects(pair, [earlier, later], outcomes, adjust)
        found.append(rows[rows["estimator"] == "lin"])
    found = pd.concat(found).drop(columns=["estimator", "se_type"])
    golden = golden_effects(reference, name, "lin_pair_only")
    columns = {column: column for column in TESTED} | {"n": "nobs"}
    count = compare(found, golden, columns, f"lin of pairs {name}", ["outcome", "contrast"])
    assert count == 8 * 3 * STUDIES[name]


@pytest.mark.parametrize("se_type", ["HC1", "HC2", "HC3"])
@pytest.mark.parametrize("name", STUDIES)
def test_joint_regression_on_arms_equals_estimatr(reference, project, name, se_type):
    """The model behind `dim`, fitted in one piece."""
    data, arms, outcomes, _, _ = study(reference, project, name)
    found = joint(data, arms, outcomes, se_type, ())
    golden = golden_effects(reference, name, "dim_joint", se_type)
    columns = {column: column for column in TESTED}
    count = compare(found, golden, columns, f"joint {name} {se_type}", ["outcome", "contrast"])
    assert count == 7 * 3 * STUDIES[name]


@pytest.mark.parametrize("name", STUDIES)
def test_additive_adjustment_equals_estimatr(reference, project, name):
    data, arms, outcomes, adjust, _ = study(reference, project, name)
    found = joint(data, arms, outcomes, "HC2", adjust)
    golden = golden_effects(reference, name, "ancova_additive")
    columns = {column: column for column in TESTED}
    count = compare(found, golden, columns, f"ancova {name}", ["outcome", "contrast"])
    assert count == 7 * 3 * STUDIES[name]


def joint(data, arms, outcomes, se_type, adjust):
    tables = []
    for outcome in outcomes:
        observed = data[data[outcome].notna()]
        dummies = np.column_stack([observed["arm"] == arm for arm in arms]).astype(float)
        x = np.hstack([dummies, estimate.covariate_columns(observed, adjust)[0]])
        model = regression.fit(x, observed[outcome].to_numpy(), se_type)
        pairs = estimate.pairs(arms)
        rows = np.zeros((len(pairs), x.shape[1]))
        for i, (later, earlier) in enumerate(pairs):
            rows[i, arms.index(later)], rows[i, arms.index(earlier)] = 1, -1
        names = [f"{later} - {earlier}" for later, earlier in pairs]
        tables.append(regression.contrast(model, rows).assign(outcome=outcome, contrast=names))
    return pd.concat(tables)


@pytest.mark.parametrize("name", STUDIES)
def test_omnibus_test_equals_estimatr(reference, project, name):
    data, arms, outcomes, _, _ = study(reference, project, name)
    found = []
    for outcome in outcomes:
        observed = data[data[outcome].notna()]
        dummies = np.column_stack([observed["arm"] == arm for arm in arms]).astype(float)
        model = regression.fit(dummies, observed[outcome].to_numpy(), "HC2")
        test = regression.wald(model, np.array([[-1, 1, 0], [-1, 0, 1]]))
        found.append((outcome, test.statistic, test.df1, test.df2, test.p_value))
    found = pd.DataFrame(found, columns=["outcome", "statistic", "df1", "df2", "p_value"])
    golden = table(reference / "golden" / f"{name}__omnibus.csv")
    golden = golden[golden["test"] == "wald_F_HC2"]
    columns = {c: c for c in ("statistic", "df1", "df2", "p_value")}
    assert compare(found, golden, columns, f"omnibus {name}", ["outcome"]) == 4 * STUDIES[name]


def test_balance_equals_r(reference, project):
    name = "exp_hillstrom_2008"
    data, arms, _, _, config = study(reference, project, name)
    covariates = [c for c in config.covariates if c.name != "newbie"]
    # R's file has newbie as a number.
    data = data.assign(newbie=data["newbie"].astype(float))
    covariates.append(CovariateConfig("newbie", "numeric"))
    for binary in ("mens", "womens"):
        covariates = [CovariateConfig(binary, "numeric") if c.name == binary else c for c in covariates]
        data[binary] = data[binary].astype(float)
    found = estimate.balance(data, arms, covariates)
    found["covariate"] += found["level"]
    golden = table(reference / "golden" / f"{name}__balance.csv")
    columns = {c: c for c in ("mean_ref", "mean_other", "std_diff")}
    assert compare(found, golden, columns, f"balance {name}", ["covariate", "contrast"]) == 3 * 18


def test_attrition_equals_r(reference, project):
    name = "exp_levendusky_2016"
    data, arms, outcomes, _, _ = study(reference, project, name)
    found = estimate.attrition(data, arms, outcomes)
    golden = table(reference / "golden" / f"{name}__attrition_test_L_dif_w2_first.csv")
    golden = golden.rename(columns={"wald_p": "p"})
    columns = {
        "chi2": "chisq",
        "chi2_df": "chisq_df",
        "chi2_p": "chisq_p",
        "wald_f": "wald_F_HC2",
        "wald_p": "p",
    }
    rows = found[found["arm"] == arms[0]]
    assert compare(rows, golden, columns, f"attrition {name}", ["outcome"]) == 5
    # Outcomes without attrition have no test.
    assert found.loc[found["n_missing"] == 0, "chi2_p"].isna().all()


def test_lee_bounds_equal_r(reference, project):
    """attrition::estimator_trim drops whole people; its interval is that of Imbens and Manski."""
    name = "exp_levendusky_2016"
    data, arms, outcomes, _, _ = study(reference, project, name)
    found = estimate.lee_bounds(data, arms, outcomes)
    rows = found[found["trimming"] == "whole"]
    both = [rows[rows["bound"] == bound] for bound in ("lower", "upper")]
    wide = both[0].merge(both[1], on=["outcome", "contrast"], suffixes=("", "_upper"))
    golden = table(reference / "golden" / f"{name}__lee_bounds_L_dif_w2_first.csv")
    columns = {
        "estimate": "lower_bound",
        "estimate_upper": "upper_bound",
        "std_error": "lower_se",
        "std_error_upper": "upper_se",
        "trim_share": "trim_share_Q",
        "naive": "naive_dim",
        "rate_later": "response_rate_other",
        "rate_earlier": "response_rate_ref",
    }
    golden = golden.rename(columns={"trimmed_arm": "arm_trimmed"})
    assert compare(wide, golden, columns, f"lee bounds {name}", ["outcome", "contrast"]) == 8 * 3
    wide = wide.merge(golden, on=["outcome", "contrast"])
    assert wide["trimmed_arm"].tolist() == wide["arm_trimmed"].tolist()
    # R solves for the critical value to 1.5e-8.
    np.testing.assert_allclose(wide["effect_low"], wide["ci_lower"], rtol=1e-6)
    np.testing.assert_allclose(wide["effect_high"], wide["ci_upper"], rtol=1e-6)
    # Trimming the exact share moves the bounds by less than an answer: the range of 6 over 712 answers.
    exact = found[found["trimming"] == "fraction"].reset_index(drop=True)
    np.testing.assert_allclose(exact["estimate"], rows["estimate"], atol=6 / 712)


@pytest.mark.parametrize("name", STUDIES)
def test_arm_sizes_equal_r(reference, project, name):
    data, arms, outcomes, _, _ = study(reference, project, name)
    golden = table(reference / "golden" / f"{name}__arms.csv")
    columns = {"n_assigned": "n_assigned", "n_observed": "n_observed"}
    found = estimate.attrition(data, arms, outcomes)
    assert compare(found, golden, columns, f"arms {name}", ["outcome", "arm"]) == 2 * 3 * STUDIES[name]


@pytest.mark.parametrize(
    ("name", "outcome", "by", "groups"),
    [
        ("exp_hillstrom_2008", "visit", "channel", 3),
        ("exp_hillstrom_2008", "visit", "newbie", 2),
        ("exp_hillstrom_2008", "visit", "bought", 3),
        ("exp_levendusky_2016", "L_dif", "pid_3_recoded", 3),
    ],
)
def test_subgroups_equal_estimatr(reference, project, name, outcome, by, groups):
    data, arms, *_ = study(reference, project, name)
    golden = table(reference / "golden" / f"{name}__subgroup_{outcome}_by_{by}.csv")
    golden["subgroup"] = golden["subgroup"].astype(str)
    levels = sorted(set(golden["subgroup"]))
    if by == "bought":
        both = data["mens"].astype(float) + 2 * data["womens"].astype(float)
        data = data.assign(bought=both.map({1: "mens only", 2: "womens only", 3: "both"}))
    covariate = CovariateConfig(by, "categorical", levels=levels)
    found = explore.subgroups(data, arms, [outcome], [SubgroupConfig("g", by)], [covariate], 10)
    found = found.rename(columns={"group": "subgroup"})
    columns = {c: c for c in ("estimate", "std_error", "p_value", "conf_low", "conf_high", "df")}
    columns |= {
        "n": "nobs",
        "interaction_f": "interaction_wald_F_HC2",
        "interaction_df1": "interaction_df1",
        "interaction_df2": "interaction_df2",
        "interaction_p": "interaction_p",
    }
    count = compare(found, golden, columns, f"subgroups {name} {by}", ["subgroup", "contrast"])
    assert count == 11 * 2 * groups
    assert not found["suppressed"].any()
