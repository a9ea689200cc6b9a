"""AMCEs and marginal means against the numbers that R made (estimatr, cregg, cjoint)."""

import dataclasses
import functools
import itertools
import logging

import numpy as np
import pandas as pd
import pytest
import yaml

from nanotarget.calibrate import by_group, conjoint
from nanotarget.calibrate.choice_models import choice_models
from nanotarget.calibrate.conjoint import Analysis
from nanotarget.calibrate.design_checks import Survey, design_checks
from nanotarget.calibrate.learners.base import TrainingData
from nanotarget.calibrate.learners.ridge import Regression, _newton
from nanotarget.petitions.design import Design
from nanotarget.petitions.utilities import additive_layout
from nanotarget.study.checks import validate
from nanotarget.study.response import Choice, ChoiceAmong

pytestmark = pytest.mark.golden

# pytest --log-cli-level=INFO shows how much was compared.
LOG = logging.getLogger(__name__)

RELATIVE = 1e-8
ROUNDING = 1e-12  # what is nearer to zero is zero, whatever the processor
FULL = ["estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "df"]
SE_TYPES = {"CR1": "cluster_stata_CR1", "CR0": "cluster_CR0", "HC2": "HC2_no_cluster", "CR2": "cluster_CR2"}
STUDIES = [
    ("conjoint_candidates_sw2022", "choice", 13),
    ("conjoint_climate_bs2013", "choice", 17),
    ("conjoint_immigration_hhy2014", "choice", 41),
    ("conjoint_candidates_hhy2014_rating", "choice", 32),
    ("conjoint_candidates_hhy2014_rating", "rating", 32),
]


def table(path):
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


@functools.cache
def study(reference, project, name):
    """The contract's table of profiles, straight from the reference file, and the design."""
    settings = yaml.safe_load((project / "examples" / f"{name}.yaml").read_text(encoding="utf-8"))
    config = validate(settings, name)
    design = Design.from_config(config.design)
    raw = table(reference / "data" / name / "data.csv.gz")
    profiles = pd.DataFrame({"respondent_id": raw["respondent"].astype(str), "weight": 1.0})
    for attribute in design.attributes:
        values = pd.Categorical(raw[attribute.column].astype(str), list(attribute.levels), ordered=True)
        assert not values.isna().any()
        profiles[attribute.name] = values
    for outcome in ("choice", "rating"):
        if outcome in raw:
            profiles[outcome] = raw[outcome].astype(float)
    return profiles, design, raw


@functools.cache
def effects(reference, project, name, outcome, se_type):
    """The AMCEs of a whole study."""
    profiles, design, _ = study(reference, project, name)
    return conjoint.amce(profiles, design, outcome, se_type)


def compare(found, golden, columns, what, keys=("attribute", "level")):
    """Match rows by key; return how many numbers were compared, after asserting that all agree."""
    both = found.merge(golden, on=list(keys), suffixes=("", "_golden"), validate="1:1")
    assert len(both) == len(golden), f"{len(golden) - len(both)} rows of {what} have no counterpart"
    worst, count = 0.0, 0
    for column in columns:
        ours, theirs = both[column].to_numpy(float), both[f"{column}_golden"].to_numpy(float)
        np.testing.assert_allclose(ours, theirs, rtol=RELATIVE, err_msg=f"{what}: {column}")
        worst, count = max(worst, np.abs(ours / theirs - 1).max()), count + len(both)
    LOG.info("%s: %d numbers, largest relative difference %.1e", what, count, worst)
    return count


@pytest.mark.parametrize("se_type", SE_TYPES)
@pytest.mark.parametrize(("name", "outcome", "levels"), STUDIES)
def test_main_effects_equal_estimatr(reference, project, name, outcome, levels, se_type):
    found = effects(reference, project, name, outcome, se_type)
    found = found[(found["estimator"] == "main_effects") & found["std_error"].notna()]
    golden = table(reference / "golden" / f"{name}__amce_estimatr_{outcome}.csv")
    golden = golden[golden["se_type"] == SE_TYPES[se_type]]
    assert len(found) == levels
    assert compare(found, golden, FULL, f"amce {name} {outcome} {se_type}") == 7 * levels
    assert set(found["n"]) == set(golden["nobs"])
    if se_type != "HC2":
        assert set(found["n_clusters"]) == set(golden["nclusters"])


@pytest.mark.parametrize(("name", "outcome", "levels"), STUDIES)
def test_main_effects_equal_cregg(reference, project, name, outcome, levels):
    golden = table(reference / "golden" / f"{name}__amce_cregg_{outcome}.csv")
    found = effects(reference, project, name, outcome, "CR0")
    assert compare_cregg(found, golden, f"amce cregg {name} {outcome}") == 2 * levels


def compare_cregg(found, golden, what):
    """Compare estimates and standard errors; cregg's are those of CR0 times sqrt(G / (G - 1))."""
    found = found[found["std_error"].notna()].copy()
    if "estimator" in found:
        found = found[found["estimator"] == "main_effects"]
    groups = found["total_clusters"] if "total_clusters" in found else found["n_clusters"]
    groups = groups.astype(float)
    found["std_error"] *= np.sqrt(groups / (groups - 1))
    names = {"feature": "attribute", "std.error": "std_error"}
    golden = golden.rename(columns=names)[["attribute", "level", "estimate", "std_error", "z"]]
    return compare(found, golden[golden["std_error"].notna()], ["estimate", "std_error"], what)


def groupings(name, raw):
    """The groups of the golden files: group -> rows."""
    if name == "conjoint_immigration_hhy2014":
        values = raw["ethnocentrism"]
        high = values > values.median()
        return {"ethnocentrism": {"above median": high, "at or below": values.notna() & ~high}}
    found = {"female": {"female": raw["resp_female"] == 1, "male": raw["resp_female"] == 0}}
    if "pid" in raw:
        found["pid"] = {value: raw["pid"] == value for value in raw["pid"].unique()}
    if "resp_ideo" in raw:
        ideology = raw["resp_ideo"]
        bounds = {"left 0-3": (0, 3), "centre 4-6": (4, 6), "right 7-10": (7, 10)}
        found["ideology3"] = {group: ideology.between(*ends) for group, ends in bounds.items()}
    return found


@pytest.mark.parametrize(
    ("name", "grouping", "levels"),
    [
        ("conjoint_candidates_sw2022", "female", 2 * 13),
        ("conjoint_candidates_sw2022", "pid", 3 * 13),
        ("conjoint_climate_bs2013", "female", 2 * 17),
        ("conjoint_climate_bs2013", "ideology3", 3 * 17),
        ("conjoint_immigration_hhy2014", "ethnocentrism", 2 * 41),
    ],
)
def test_effects_and_means_in_groups_equal_cregg(reference, project, name, grouping, levels):
    profiles, design, raw = study(reference, project, name)
    groups = groupings(name, raw)[grouping]
    n_levels = sum(design.shape) * len(groups)
    for kind, numbers in (("amce", 2 * levels), ("mm", 2 * n_levels)):
        golden = table(reference / "golden" / f"{name}__{kind}_by_{grouping}_cregg_choice.csv")
        estimate = conjoint.amce if kind == "amce" else conjoint.marginal_means
        count = 0
        for group, rows in groups.items():
            subset = profiles[rows]
            found = estimate(subset, design, "choice", "CR0")
            found["total_clusters"] = subset["respondent_id"].nunique()
            part = golden[golden["BY"] == group]
            count += compare_cregg(found, part, f"{kind} cregg {name} {group}")
        assert count == numbers


@pytest.mark.parametrize("name", [*dict.fromkeys(name for name, _, _ in STUDIES)])
def test_log_odds_equal_glm_and_clogit(reference, project, name):
    """Their clustered errors: `vcovCL` with HC1 is CR1, `clogit`'s are CR0.

    R's `glm` takes the information from before its last step, so that errors agree to 1e-7 only.
    """
    profiles, design, raw = study(reference, project, name)
    pairs = raw.groupby("respondent").cumcount() // 2
    profiles = profiles.assign(task=raw.get("task", pairs))
    found = choice_models(profiles, design, ["choice"])
    people, levels = profiles["respondent_id"].nunique(), sum(design.shape) - len(design.shape)
    for estimator, errors in (("logit", "se_cluster_vcovCL_HC1"), ("conditional_logit", "se_cluster_robust")):
        path = reference / "golden" / f"{name}__{'logit_glm' if estimator == 'logit' else 'clogit'}.csv"
        if not path.exists():
            continue
        golden = table(path).rename(columns={errors: "std_error", "loglik": "log_likelihood"})
        own = found[found["estimator"] == estimator].copy()
        if estimator == "conditional_logit":
            tasks = len(profiles) // 2
            own["std_error"] /= np.sqrt(people / (people - 1) * (tasks - 1) / (tasks - levels))
        own["attribute"] = own["attribute"].map({a.name: a.column for a in design.attributes})
        assert compare(own, golden, ["estimate", "log_likelihood"], f"{estimator} {name}") == 2 * levels
        both = own.merge(golden, on=["attribute", "level"], suffixes=("", "_golden"), validate="1:1")
        tolerance = 1e-7 if estimator == "logit" else RELATIVE
        np.testing.assert_allclose(both["std_error"], both["std_error_golden"], rtol=tolerance)


GROUPED = [
    ("conjoint_candidates_sw2022", "female", ["female", "male"]),
    ("conjoint_candidates_sw2022", "pid", ["Democrat", "Independent", "Republican (GOP)"]),
    ("conjoint_climate_bs2013", "female", ["female", "male"]),
    ("conjoint_climate_bs2013", "ideology3", ["left 0-3", "centre 4-6", "right 7-10"]),
    ("conjoint_immigration_hhy2014", "ethnocentrism", ["above median", "at or below"]),
]


@pytest.mark.parametrize(("name", "grouping", "order"), GROUPED)
def test_differences_between_groups_and_their_joint_test_equal_cregg(
    reference, project, name, grouping, order
):
    """cregg's errors are those of CR0 times sqrt(G / (G - 1)): of effects with the respondents of all groups,

    which are in one model, of means with those of each group.
    """
    profiles, design, raw = study(reference, project, name)
    rows = groupings(name, raw)[grouping]
    code = np.full(len(profiles), -1)
    for g, group in enumerate(order):
        code[rows[group]] = g
    grouped = by_group.Grouping(grouping, order, code, np.zeros(len(order), dtype=bool))
    analysis = Analysis("choice", "CR0", null=0.5)
    found = by_group.in_groups(profiles, design, grouped, analysis)
    ids = profiles["respondent_id"].where(profiles["choice"].notna())
    people = {group: ids[code == g].nunique() for g, group in enumerate(order)}
    people[""] = ids[code >= 0].nunique()
    variance = (
        found.set_index(["quantity", "group", "minus", "attribute", "level", "reference"])["std_error"] ** 2
    )

    def errors(row):
        if row.quantity == "amce":
            return row.std_error * np.sqrt(people[""] / (people[""] - 1))
        own = [
            variance[row.quantity, group, "", row.attribute, row.level, ""]
            * people[group]
            / (people[group] - 1)
            for group in (row.group, row.minus)
        ]
        return np.sqrt(sum(own))

    compared = found[found["minus"].eq(order[0])].copy()
    compared["std_error"] = [errors(row) for row in compared.itertuples()]
    compared["BY"] = compared["group"] + " - " + compared["minus"]
    against = compared["attribute"].map({a.name: a.levels[0] for a in design.attributes})
    compared = compared[compared["reference"].eq("") | compared["reference"].eq(against)]
    for kind, quantity in (("amcediff", "amce"), ("mmdiff", "marginal_mean")):
        golden = table(reference / "golden" / f"{name}__{kind}_by_{grouping}_cregg_choice.csv")
        golden = golden.rename(columns={"feature": "attribute", "std.error": "std_error"})
        golden = golden[golden["std_error"].notna()]
        golden["estimate"] = golden["estimate"].where(
            golden["estimate"].abs() > ROUNDING, 0.0
        )  # R's rounding error
        own = compared[compared["quantity"] == quantity]
        keys = ("BY", "attribute", "level")
        both = own.merge(golden, on=list(keys), suffixes=("", "_golden"), validate="1:1")
        assert len(both) == len(golden) == len(own)
        for column in ("estimate", "std_error"):
            ours, theirs = both[column], both[f"{column}_golden"]
            np.testing.assert_allclose(ours, theirs, rtol=RELATIVE, atol=ROUNDING, err_msg=column)
    golden = table(reference / "golden" / f"{name}__anova_by_{grouping}_cregg_choice.csv").iloc[-1]
    classical, robust = by_group.group_tests(profiles, design, grouped, analysis).to_dict("records")[:2]
    theirs = golden[["F", "Df", "Resid. Df", "Pr(>F)"]].astype(float)
    ours = [classical[c] for c in ("statistic", "df1", "df2", "p_value")]
    np.testing.assert_allclose(ours, theirs, rtol=RELATIVE)
    assert robust["test"] == "robust F" and 0 <= robust["p_value"] <= 1


def test_restricted_design_equals_cjoint(reference, project):
    """Estimates equal, and so do the standard errors: cjoint's are CR1 (its p values are normal)."""
    name = "conjoint_immigration_hhy2014"
    golden = table(reference / "golden" / f"{name}__amce_cjoint_choice.csv")
    golden = golden[golden["model"] == "immigrationdesign_with_EducationxJob_and_OriginxReason"]
    # cjoint writes the attributes with spaces and the levels in lower case.
    golden = pd.DataFrame(
        {
            "attribute": golden["Attribute"].str.replace(" ", "").str.lower(),
            "level": golden["Level"].str.lower(),
            "estimate": golden["Estimate"],
            "std_error": golden["Std. Err"],
        }
    )
    found = effects(reference, project, name, "choice", "CR1")
    found = found[(found["estimator"] == "restricted") & found["std_error"].notna()].copy()
    assert (found["support"] == 1).all()
    found["attribute"], found["level"] = found["attribute"].str.lower(), found["level"].str.lower()
    assert compare(found, golden, ["estimate", "std_error"], "amce cjoint restricted") == 2 * 41


def test_level_probabilities_equal_cjoint(reference, project):
    """cjoint's design object is the one of `randomisation: rejection`."""
    name = "conjoint_immigration_hhy2014"
    settings = yaml.safe_load((project / "examples" / f"{name}.yaml").read_text(encoding="utf-8"))
    settings["design"]["randomisation"] = "rejection"
    design = Design.from_config(validate(settings, name).design)
    golden = table(reference / "golden" / f"{name}__design_marginal_probs.csv")
    golden["attribute"] = golden["attribute"].str.replace(" ", "").str.lower()
    found = pd.DataFrame(
        [
            (a.name.lower(), level.lower(), p)
            for i, a in enumerate(design.attributes)
            for level, p in zip(a.levels, design.level_probabilities(i), strict=True)
        ],
        columns=["attribute", "level", "prob"],
    )
    golden["level"] = golden["level"].str.lower()
    assert compare(found, golden, ["prob"], "design probabilities cjoint") == 50


@pytest.mark.parametrize(("name", "outcome", "levels"), STUDIES)
def test_marginal_means_equal_estimatr(reference, project, name, outcome, levels):
    profiles, design, _ = study(reference, project, name)
    found = conjoint.marginal_means(profiles, design, outcome, "CR2")
    golden = table(reference / "golden" / f"{name}__mm_estimatr_{outcome}.csv")
    columns = ["estimate", "std_error", "conf_low", "conf_high", "df", "n"]
    total = levels + len(design.shape)
    assert compare(found, golden, columns, f"mm {name} {outcome} CR2") == 6 * total


@pytest.mark.parametrize(("name", "outcome", "levels"), STUDIES)
def test_marginal_means_equal_cregg(reference, project, name, outcome, levels):
    profiles, design, _ = study(reference, project, name)
    golden = table(reference / "golden" / f"{name}__mm_cregg_{outcome}.csv")
    null = 0.5 if outcome == "choice" else 0.0
    found = conjoint.marginal_means(profiles, design, outcome, "CR0", null=null)
    used = profiles[profiles[outcome].notna()]
    found["total_clusters"] = used["respondent_id"].nunique()
    total = levels + len(design.shape)
    assert compare_cregg(found, golden, f"mm cregg {name} {outcome}") == 2 * total
    factor = np.sqrt(found["total_clusters"] / (found["total_clusters"] - 1))
    found["z"] = found["statistic"] / factor
    golden = golden.rename(columns={"feature": "attribute"})[["attribute", "level", "z"]]
    assert compare(found, golden, ["z"], f"mm cregg z {name} {outcome}") == total


def test_the_design_that_was_fielded_passes_its_checks_and_another_does_not(reference, project):
    """The immigration study drew sequentially: as `rejection` its level frequencies are impossible."""
    name = "conjoint_immigration_hhy2014"
    profiles, design, raw = study(reference, project, name)
    profiles = profiles.assign(task=raw["task"], profile=raw["profile"])
    respondents = profiles.drop_duplicates("respondent_id")
    rejected = Design(design.attributes, design.prohibited, "rejection")
    verdicts = {}
    for label, d in (("sequential", design), ("rejection", rejected)):
        checks = design_checks(Survey(profiles, respondents, []), d, "choice")
        verdicts[label] = checks[checks["check"].isin(["frequency", "independence"])].set_index("item")
    assert (verdicts["sequential"]["verdict"] == "ok").all()
    flagged = verdicts["rejection"]["verdict"] == "flag"
    blocks = ["Education × Job", "CountryOfOrigin × ReasonForApplication"]
    tied = list(itertools.chain.from_iterable(block.split(" × ") for block in blocks))
    frequency = verdicts["rejection"]["check"] == "frequency"
    assert set(flagged[flagged & frequency].index) == {*tied, *blocks}


def test_combinations_that_the_config_forgets_are_found_in_the_data(reference, project):
    """The immigration study barred 22 pairs of levels; whoever does not know it assigns none of them."""
    profiles, design, _ = study(reference, project, "conjoint_immigration_hhy2014")
    codes = design.codes(profiles)
    forgetful = Design(design.attributes)
    assert forgetful.n_feasible == 1_478_400 and design.n_feasible == 936_960
    shown = forgetful.as_shown(codes)
    assert shown.n_feasible == 936_960 and len(shown.shown.never) == 22
    together = dataclasses.replace(forgetful, dependent=((0, 4), (2, 3))).as_shown(codes)
    assert together.n_feasible == 936_960 and together.shown.never == ()
    assert design.as_shown(codes) is design


@pytest.mark.parametrize("name", ["conjoint_candidates_sw2022", "conjoint_climate_bs2013"])
def test_the_conditional_logit_is_that_of_survival(reference, project, name):
    """R's clogit, by the formulas of two petitions and by those of any number."""
    profiles, design, raw = study(reference, project, name)
    rows = profiles.assign(task=raw["task"], profile=raw["profile"])
    people = pd.DataFrame({"respondent_id": rows["respondent_id"].unique(), "weight": 1.0})
    data = TrainingData.from_tables(rows, people, design, Choice, ())
    golden = table(reference / "golden" / f"{name}__clogit.csv")

    class Pairs(ChoiceAmong):
        profiles = 2

    for kind in (Choice, Pairs):
        nobody = np.zeros((data.n_respondents, 0)), np.zeros(0, dtype=bool)  # no covariate
        layout = additive_layout(design)
        problem = Regression(dataclasses.replace(data, response=kind), *nobody, layout)
        start = np.zeros(len(golden))
        worths = problem.tables(_newton(problem, start, start)[0])[0]
        found = {
            (attribute.column, level): worths[layout.offsets[a] + k] - worths[layout.offsets[a]]
            for a, attribute in enumerate(design.attributes)
            for k, level in enumerate(attribute.levels)
        }
        ours = [found[row.attribute, row.level] for row in golden.itertuples()]
        np.testing.assert_allclose(ours, golden["estimate"], rtol=RELATIVE)
