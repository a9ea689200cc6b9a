"""Effects, balance, attrition and subgroups against the numbers that R made (estimatr)."""

import functools
import logging

import numpy as np
import pandas as pd
import pytest
import yaml

from nanotarget import estimate, explore
from nanotarget.estimate.robustness import Specification
from nanotarget.study.checks import validate
from nanotarget.study.config import CovariateConfig, OutcomeConfig, SubgroupConfig
from trials import trial

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
    config = validate(settings, name)
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
    found = estimate.effects(trial(data, arms, outcomes, adjust=adjust))
    assert (found["note"] == "").all()
    columns = {column: column for column in TESTED}
    columns |= {"n": "nobs", "p_adjusted": "p_holm_within_outcome"}
    for ours, theirs in (("dim", "dim_joint"), ("lin", "lin_joint")):
        golden = golden_effects(reference, name, theirs)
        rows = found[found["estimator"] == ours].drop(columns=["estimator", "se_type"])
        count = compare(rows, golden, columns, f"effects {name} {ours}", ["outcome", "contrast"])
        assert count == 9 * 3 * STUDIES[name]


def specified(data, arms, outcomes, adjust, spec):
    outcomes = [OutcomeConfig(name=name, kind="continuous") for name in outcomes]
    return estimate.robustness(trial(data, arms, outcomes, adjust=adjust), specifications=[spec])


GOLDEN_SPECIFICATIONS = {
    ("dim_joint", "HC2"): Specification("dim"),
    ("dim_joint", "HC1"): Specification("dim", "HC1"),
    ("dim_joint", "HC3"): Specification("dim", "HC3"),
    ("difference_in_means_welch", "neyman_welch_df"): Specification("dim", "Welch"),
    ("lin_joint", "HC2"): Specification("lin", adjustment="covariates"),
    ("lin_pair_only", "HC2"): Specification("lin", adjustment="covariates, two arms"),
    ("ancova_additive", "HC2"): Specification("ancova", adjustment="covariates"),
}


@pytest.mark.parametrize("estimator", GOLDEN_SPECIFICATIONS)
@pytest.mark.parametrize("name", STUDIES)
def test_specification_curve_and_adjusted_p_equal_r(reference, project, name, estimator):
    """Every row of the golden effects, with its p values adjusted within and across outcomes."""
    data, arms, outcomes, adjust, _ = study(reference, project, name)
    found = specified(data, arms, outcomes, adjust, GOLDEN_SPECIFICATIONS[estimator])
    adjusted = {
        "p_holm_within": "p_holm_within_outcome",
        "p_bonferroni_within": "p_bonferroni_within_outcome",
        "p_bh_within": "p_BH_within_outcome",
        "p_holm_across": "p_holm_across_outcomes",
    }
    welch = estimator[0] == "difference_in_means_welch"
    tested = ["estimate", "std_error", "p_value", "df"] if welch else TESTED
    columns = {column: column for column in tested} | adjusted | {"n": "nobs"}
    rows = found.drop(columns=["estimator", "se_type"])
    golden = golden_effects(reference, name, *estimator)
    count = compare(rows, golden, columns, f"{name} {' '.join(estimator)}", ["outcome", "contrast"])
    assert count == (9 if welch else 12) * 3 * STUDIES[name]


@pytest.mark.parametrize("name", STUDIES)
def test_omnibus_tests_equal_r(reference, project, name):
    data, arms, outcomes, _, _ = study(reference, project, name)
    found = estimate.omnibus(trial(data, arms, outcomes))
    golden = table(reference / "golden" / f"{name}__omnibus.csv")
    assert len(found) == len(golden) == 3 * STUDIES[name]
    keys = ["outcome", "test"]
    columns = {c: c for c in ("statistic", "df1", "p_value")}
    count = compare(found, golden, columns, f"omnibus {name}", keys)
    means = golden["test"] != "kruskal_wallis"
    count += compare(found[found["df2"].notna()], golden[means], {"df2": "df2"}, f"omnibus {name}, df2", keys)
    assert count == (3 * 3 + 2) * STUDIES[name]


BINARY = [
    ("exp_hillstrom_2008", "visit"),
    ("exp_hillstrom_2008", "conversion"),
    ("exp_levendusky_2016", "high_pol"),
]


@pytest.mark.parametrize(("name", "outcome"), BINARY)
def test_tables_of_binary_outcomes_equal_r(reference, project, name, outcome):
    data, arms, *_ = study(reference, project, name)
    golden = table(reference / "golden" / f"{name}__binary_{outcome}.csv")
    found = estimate.proportions(trial(data, arms), outcome)
    columns = {
        "estimate": "prop_diff",
        "p_chi2": "prop_test_p_no_continuity",
        "conf_low": "conf_low_wald",
        "conf_high": "conf_high_wald",
    }
    fisher = golden["fisher_p"].notna().all()  # R was not asked for it with 42,000 people
    columns |= {"p_fisher": "fisher_p"} if fisher else {}
    count = compare(found, golden, columns, f"proportions {name} {outcome}", ["outcome", "contrast"])
    assert count == 3 * len(columns)


def stopped_early(ones, n):
    """Log odds of each arm and their two variances as R's `glm` and `sandwich` have them.

    `glm` stops as soon as the deviance hardly changes, and its weights are those before the last step. In a
    model of arms alone all of it follows from the counts.
    """
    share, before = ones / n, np.inf
    # R starts from (y + 1/2) / 2, so that the first working responses are +-(log 3 + 4/3) with equal weights.
    eta, weight = (2 * share - 1) * (np.log(3) + 4 / 3), n * 3 / 16
    while True:
        p = 1 / (1 + np.exp(-eta))
        deviance = -2 * (n * (share * np.log(p) + (1 - share) * np.log(1 - p))).sum()
        if abs(deviance - before) / (abs(deviance) + 0.1) < 1e-8:
            break
        before, weight = deviance, n * p * (1 - p)
        eta = eta + (share - p) / (p * (1 - p))
    # Working residuals at the end, working weights of the step before.
    squares = share * (1 / p) ** 2 + (1 - share) * (1 / (1 - p)) ** 2
    return eta, 1 / weight, squares / n


@pytest.mark.parametrize(("name", "outcome"), BINARY)
def test_odds_ratios_equal_r(reference, project, name, outcome):
    """Ours go on to the optimum, where both standard errors are the root of the sum of inverse counts."""
    data, arms, *_ = study(reference, project, name)
    golden = table(reference / "golden" / f"{name}__binary_{outcome}.csv").set_index("contrast")
    by_arm = data.groupby("arm", observed=True)[outcome]
    ones, n = (by_arm.agg(how).loc[arms].to_numpy(float) for how in ("sum", "count"))
    eta, *variances = stopped_early(ones, n)
    logs, inverse = np.log(ones / (n - ones)), 1 / ones + 1 / (n - ones)
    both = estimate.log_odds(trial(data, arms), outcome)
    tables = [both[both["se_type"] == se_type].set_index("contrast") for se_type in ("model", "HC0")]
    for later, earlier in estimate.pairs(arms):
        i, j = arms.index(later), arms.index(earlier)
        theirs = golden.loc[f"{later} - {earlier}", ["log_odds_ratio", "se_model", "se_HC0"]].to_numpy(float)
        early = [eta[i] - eta[j], *(np.sqrt(v[i] + v[j]) for v in variances)]
        np.testing.assert_allclose(early, theirs, rtol=RELATIVE)
        for found in tables:
            ours = found.loc[f"{later} - {earlier}", ["estimate", "std_error"]].to_numpy(float)
            exact = [logs[i] - logs[j], np.sqrt(inverse[i] + inverse[j])]
            np.testing.assert_allclose(ours, exact, rtol=1e-9)


def test_balance_equals_r(reference, project):
    name = "exp_hillstrom_2008"
    data, arms, _, _, config = study(reference, project, name)
    covariates = [c for c in config.covariates if c.name != "newbie"]
    # R's file has newbie as a number.
    data = data.assign(newbie=data["newbie"].astype(float))
    covariates.append(CovariateConfig(name="newbie", kind="numeric"))
    for binary in ("mens", "womens"):
        covariates = [
            CovariateConfig(name=binary, kind="numeric") if c.name == binary else c for c in covariates
        ]
        data[binary] = data[binary].astype(float)
    found = estimate.balance(trial(data, arms, covariates=covariates))
    found["covariate"] += found["level"]
    golden = table(reference / "golden" / f"{name}__balance.csv")
    columns = {c: c for c in ("mean_ref", "mean_other", "std_diff")}
    assert compare(found, golden, columns, f"balance {name}", ["covariate", "contrast"]) == 3 * 18


def test_attrition_equals_r(reference, project):
    name = "exp_levendusky_2016"
    data, arms, outcomes, _, _ = study(reference, project, name)
    found = estimate.attrition(trial(data, arms, outcomes))
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
    found = estimate.lee_bounds(trial(data, arms, outcomes))
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
    found = estimate.attrition(trial(data, arms, outcomes))
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
    covariate = CovariateConfig(name=by, kind="categorical", levels=levels)
    found = explore.subgroups(
        trial(data, arms, [outcome], covariates=[covariate]), [SubgroupConfig(name="g", covariate=by)], 10
    )
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
