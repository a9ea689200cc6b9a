"""Labels follow from the registration alone, and what was done differently is listed."""

import copy

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from nanotarget import estimate, explore
from nanotarget.calibrate import regression
from nanotarget.clean.samples import read_samples
from nanotarget.estimate import deviations as deviations_module
from nanotarget.estimate import labels, tables
from nanotarget.estimate.tables import Table
from nanotarget.petitions.design import Design
from nanotarget.study import preregistration
from nanotarget.study.checks import validate
from nanotarget.study.config import SubgroupConfig
from nanotarget.study.problems import InputError
from nanotarget.study.seeds import child_rng
from simulated_studies import STUDIES
from trials import trial

EFFECTS, EQUIVALENCE, CHECKS, ROBUSTNESS = Table.EFFECTS, Table.EQUIVALENCE, Table.CHECKS, Table.ROBUSTNESS


@pytest.fixture
def text(project):
    return (project / "data/climate_petition/preregistration.yaml").read_text(encoding="utf-8")


@pytest.fixture
def registration(text):
    return preregistration.parse(text, "preregistration.yaml")


@pytest.fixture
def settings(project):
    return yaml.safe_load((project / "config.yaml").read_text(encoding="utf-8"))


def deviations(settings, registration):
    config = validate(copy.deepcopy(settings), "config.yaml")
    return deviations_module.deviations(config, registration)


@pytest.mark.parametrize("study", STUDIES, ids=str)
def test_the_simulated_studies_do_what_they_registered(study, project, monkeypatch):
    monkeypatch.chdir(project)
    text = (study.data / "preregistration.yaml").read_text(encoding="utf-8")
    assert "SYNTHETIC" in text.splitlines()[0]
    config = study.config()
    design = Design.from_config(config.design)
    experiment = config.model_copy(update={"calibration": None})
    people = read_samples(experiment, design).experiment.respondents
    registration = preregistration.parse(text, "preregistration.yaml")
    table = deviations_module.deviations(config, registration, people["arm"].value_counts().to_dict())
    assert table.empty and list(table.columns) == list(deviations_module.DEVIATION_COLUMNS)


@pytest.mark.parametrize(
    ("outcome", "estimator", "contrast", "label"),
    [
        ("sign", "dim", "nano - best", "confirmatory"),
        ("sign", "dim", "best - nano", "confirmatory"),
        ("sign", "dim", "best - control", "confirmatory"),
        ("sign", "lin", "nano - best", "secondary"),
        ("sign", "tost", "nano - best", "secondary"),
        ("sign", "tost", "nano - control", "exploratory"),
        ("support", "dim", "nano - best", "secondary"),
        ("share", "tost", "nano - control", "secondary"),
        ("sign", "logit", "nano - best", "secondary"),
        ("share", "ri", "control - nano", "secondary"),
        ("sign", "cace", "nano - best", "exploratory"),
        ("sign", "ri", "nano - placebo", "exploratory"),
        ("donation", "ri", "nano - best", "exploratory"),
        ("sign", "dim", "nano - placebo", "exploratory"),
        ("donation", "dim", "nano - best", "exploratory"),
    ],
)
def test_labels(registration, outcome, estimator, contrast, label):
    assert labels.label_of(registration, outcome, estimator, contrast) == label
    assert labels.label_of(None, outcome, estimator, contrast) == "exploratory"


def test_arms_whose_names_look_like_contrasts(text):
    content = yaml.safe_load(text)
    content["arms"] = ["a", "b", "a - b"]
    for hypothesis, contrast in zip(
        content["hypotheses"], (["a - b", "a"], ["b", "a"], ["a - b", "b"]), strict=True
    ):
        hypothesis["contrast"] = contrast
    del content["secondary"], content["primary"]
    registration = preregistration.parse(yaml.safe_dump(content), "p.yaml")
    assert labels.label_of(registration, "sign", "dim", "a - b - a") == "confirmatory"
    assert labels.label_of(registration, "sign", "dim", "a - b - b - a") == "exploratory"


def test_a_robustness_estimator_answers_registered_questions_only(text):
    content = yaml.safe_load(text)
    content["secondary"] = [{"id": "S1", "outcome": "support", "contrast": ["nano", "best"]}]
    content["hypotheses"][0]["estimator"] = "ri"
    found = preregistration.parse(yaml.safe_dump(content), "p.yaml")
    label_of = labels.label_of
    assert label_of(found, "sign", "ri", "nano - best") == "confirmatory"
    assert label_of(found, "sign", "dim", "nano - best") == "exploratory"
    assert label_of(found, "sign", "ri", "nano - control") == "secondary"
    assert label_of(found, "support", "mann_whitney", "best - nano") == "secondary"
    assert label_of(found, "support", "mann_whitney", "nano - control") == "exploratory"
    assert label_of(found, "support", "ordinal", "nano - best") == "exploratory"


def change(settings, path, value):
    """Return the settings with one key changed; None removes it."""
    changed = copy.deepcopy(settings)
    *parents, last = path
    place = changed
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "what", "touched"),
    [
        (["estimate", "alpha"], 0.01, "alpha", {"dim", "lin", "tost"}),
        (["estimate", "adjust"], ["age"], "adjust", {"lin"}),
        (
            ["estimate", "sesoi"],
            {"sign": 0.04, "support": 0.3},
            "smallest effect of interest of sign",
            {"tost"},
        ),
        (["experiment", "exclusions", 2], None, "exclusions from the experiment", {"dim", "lin", "tost"}),
        (
            ["experiment", "exclusions", 0, "values"],
            ["Yes", "Maybe"],
            "exclusions from the experiment",
            {"dim", "lin", "tost"},
        ),
        (["calibration", "exclusions", 4, "value"], 200, "exclusions from the calibration", set()),
        (["experiment", "arms", 0, "name"], "placebo", "arms", {"dim", "lin", "tost"}),
        (
            ["experiment", "outcomes", 0],
            {"name": "sign", "kind": "binary", "at_least": 2},
            "measurement of sign",
            {"dim", "lin", "tost"},
        ),
        (["experiment", "outcomes", 2], None, "outcome", set()),
    ],
)
def test_each_difference_is_listed_and_marks_what_it_touches(
    settings, registration, path, value, what, touched
):
    table = deviations(change(settings, path, value), registration)
    assert table["what"].iloc[0] == what
    assert table["deviation"].tolist() == [f"D{i}" for i in range(1, len(table) + 1)]
    assert (table["registered"] != table["done"]).all()
    outputs = {"dim": EFFECTS, "lin": EFFECTS, "tost": EQUIVALENCE}
    marked = {e for e, o in outputs.items() if "D1" in labels.touching(table, o, "sign", e).split("; ")}
    assert marked == touched


ESTIMATES = set(tables.ESTIMATES)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            ["experiment", "randomisation"],
            {"scheme": "clustered", "cluster": "town", "blocks": ["b", "a"]},
            ("randomisation", "complete", "clustered by town within 'a', 'b'", ESTIMATES, ""),
        ),
        (["experiment", "weight"], "w", ("survey weights", "none", "w", ESTIMATES, "")),
        (
            ["experiment", "post_checks"],
            [{"step": "Recall", "rule": "in", "column": "recall", "values": ["wrong"]}],
            ("post-treatment checks", "none", "Recall (recall in 'wrong')", {ROBUSTNESS, CHECKS}, ""),
        ),
        (
            ["estimate", "robustness"],
            ["ri", "lin", "logit", "mann_whitney", "lee"],
            ("robustness: ipw", "in the set", "left out", {ROBUSTNESS}, ""),
        ),
        (
            ["estimate", "adjust"],
            ["age"],
            (
                "adjust",
                "age, education, party, climate_concern, prior_support",
                "age",
                {EFFECTS, "estimate/power.csv", ROBUSTNESS, "estimate/ipw.csv"},
                "lin; ipw",
            ),
        ),
    ],
)
def test_a_difference_names_exactly_the_outputs_it_touches(settings, registration, path, value, expected):
    table = deviations(change(settings, path, value), registration)
    assert len(table) == 1
    row = table.iloc[0]
    assert (row.what, row.registered, row.done, set(row.outputs.split("; ")), row.estimator) == expected


def test_an_added_estimator_touches_its_own_rows_only(settings, registration):
    changed = change(settings, ["experiment", "delivered"], {"column": "sent", "values": ["yes"]})
    robustness = [*settings["estimate"]["robustness"], "cace"]
    table = deviations(change(changed, ["estimate", "robustness"], robustness), registration)
    assert table["what"].tolist() == ["robustness: cace"]
    rows = pd.DataFrame({"outcome": "sign", "estimator": ["ri", "cace"], "contrast": "nano - best"})
    for output in ("estimate/cace.csv", ROBUSTNESS):
        assert labels.marked(rows, output, table)["deviation"].tolist() == ["", "D1"]
    assert labels.marked(rows, EFFECTS, table)["deviation"].tolist() == ["", ""]


def test_a_registered_design_is_compared_whatever_the_order_of_blocks(settings, text):
    blocked = {"scheme": "blocked", "blocks": ["region", "wave"]}
    content = yaml.safe_load(text)
    content["randomisation"] = blocked
    registration = preregistration.parse(yaml.safe_dump(content), "p.yaml")
    assert deviations(settings, registration)["done"].tolist() == ["complete"]
    same = change(settings, ["experiment", "randomisation"], blocked | {"blocks": ["wave", "region"]})
    assert deviations(same, registration).empty
    del content["randomisation"]
    assert deviations(same, preregistration.parse(yaml.safe_dump(content), "p.yaml")).empty


def test_planned_and_realised_sizes(settings, text):
    content = yaml.safe_load(text)
    content["sample_size"]["arms"] = {"control": 1037, "best": 1038, "nano": 1038}
    registration = preregistration.parse(yaml.safe_dump(content, sort_keys=False), "p.yaml")
    config = validate(copy.deepcopy(settings), "config.yaml")

    def sizes(**realised):
        table = deviations_module.deviations(config, registration, realised)
        everything = {*ESTIMATES, *tables.SAMPLE_TABLES}
        assert all(set(outputs.split("; ")) == everything for outputs in table["outputs"])
        return table[["what", "registered", "done"]].to_numpy().tolist()

    assert sizes(nano=1038, best=1038, control=1037) == []
    assert sizes(control=1036, best=1039, nano=1038) == [
        ["sample size of control", "1037", "1036"],
        ["sample size of best", "1038", "1039"],
    ]
    assert sizes(control=1037, best=1038) == [
        ["sample size", "3113", "2075"],
        ["sample size of nano", "1038", "0"],
    ]
    assert deviations_module.deviations(config, registration).empty
    del content["sample_size"]
    silent = preregistration.parse(yaml.safe_dump(content), "p.yaml")
    assert deviations_module.deviations(config, silent, {"control": 1}).empty


# Families ----------------------------------------------------------------------------------------


def with_families(text, families, **changes):
    content = yaml.safe_load(text) | {"families": families} | changes
    return preregistration.parse(yaml.safe_dump(content), "p.yaml")


@pytest.fixture
def outcomes():
    """Three arms of 200 with effects near the threshold of significance on two outcomes."""
    rng = child_rng(5, "families")
    arm = np.arange(600) % 3
    return pd.DataFrame(
        {
            "arm": pd.Categorical.from_codes(arm, ["control", "best", "nano"]),
            "sign": (rng.random(600) < 0.4 + 0.08 * arm).astype(float),
            "support": 0.2 * arm + rng.normal(size=600),
            "age": rng.normal(size=600),
            "weight": 1.0,
        }
    )


def adjusted(outcomes, settings, registration):
    config = validate(copy.deepcopy(settings), "config.yaml")
    age = [c for c in config.covariates if c.name == "age"]
    arms = ["control", "best", "nano"]
    found = estimate.effects(
        trial(outcomes, arms, ["sign", "support"], adjust=age, registration=registration)
    )
    return found.set_index(["outcome", "estimator", "contrast"])


def test_without_declared_families_the_contrasts_of_an_outcome_and_estimator_are_one(
    outcomes, settings, registration
):
    for registered in (None, registration):
        found = adjusted(outcomes, settings, registered)
        assert found["family"].unique().tolist() == ["sign, dim", "sign, lin", "support, dim", "support, lin"]
        for _, family in found.groupby(level=["outcome", "estimator"]):
            expected = regression.holm(family["p_value"].to_numpy())
            np.testing.assert_array_equal(family["p_adjusted"], expected)


def test_declared_families_span_outcomes_and_leave_the_rest_alone(outcomes, settings, text):
    dim = {"id": "S3", "outcome": "support", "contrast": ["best", "nano"], "estimator": "dim"}
    registration = with_families(
        text, [{"name": "all confirmatory", "analyses": ["H1", "H2", "H3", "S3"]}], secondary=[dim]
    )
    found = adjusted(outcomes, settings, registration)
    together = [
        ("sign", "dim", "best - control"),
        ("sign", "dim", "nano - control"),
        ("sign", "dim", "nano - best"),
        ("support", "dim", "nano - best"),
    ]
    assert found.index[found["family"] == "all confirmatory"].tolist() == together
    p = found.loc[together, "p_value"].sort_values()
    by_hand = np.minimum(np.maximum.accumulate(p * [4, 3, 2, 1]), 1)
    np.testing.assert_allclose(found.loc[by_hand.index, "p_adjusted"], by_hand)
    alone = adjusted(outcomes, settings, None)
    apart = [("support", "dim", "best - control"), ("support", "dim", "nano - control")]
    assert found.loc[apart, "family"].tolist() == ["support, dim"] * 2
    np.testing.assert_allclose(
        found.loc[apart, "p_adjusted"], regression.holm(found.loc[apart, "p_value"].to_numpy())
    )
    pd.testing.assert_frame_equal(
        found.xs("lin", level="estimator")[["p_value", "p_adjusted", "family"]],
        alone.xs("lin", level="estimator")[["p_value", "p_adjusted", "family"]],
    )
    # At the first step of Holm the critical value is that of alpha / 4.
    power = estimate.power(trial(None, []), found.reset_index()).set_index(
        ["outcome", "estimator", "contrast"]
    )
    row = power.loc[("support", "dim", "nano - best")]
    critical = row["mde_holm"] / row["std_error"] - stats.t.ppf(0.8, row["df"])
    assert 2 * stats.t.sf(critical, row["df"]) == pytest.approx(0.05 / 4)


def test_an_arm_that_is_not_registered_is_in_no_registered_family(text):
    every = {"id": "S3", "outcome": "support"}
    registration = with_families(text, [{"name": "f", "analyses": ["S3"]}], secondary=[every])
    table = pd.DataFrame(
        {
            "outcome": "support",
            "estimator": ["dim", "lin", "dim", "logit"],
            "contrast": ["nano - best", "nano - best", "nano - random", "nano - best"],
        },
        index=[3, 1, 4, 2],
    )
    found = labels.families(registration, table)
    assert found.to_dict() == {3: "f", 1: "f", 4: "support, dim", 2: "support, logit"}
    assert labels.families(registration, table.iloc[:0]).empty


def test_a_family_that_lost_a_member_marks_those_that_are_left(settings, text):
    secondary = [
        {"id": "S3", "outcome": "support", "estimator": "dim"},
        {"id": "S4", "outcome": "share", "estimator": "dim"},
    ]
    registration = with_families(text, [{"name": "f", "analyses": ["S3", "S4", "H1"]}], secondary=secondary)
    assert deviations(settings, registration).empty
    table = deviations(change(settings, ["experiment", "outcomes", 2], None), registration)
    assert table["what"].tolist() == ["outcome", "family f", "family f"]
    assert table["registered"].iloc[1:].eq("S3, S4, H1").all() and table["done"].iloc[1:].eq("H1, S3").all()
    rows = pd.DataFrame(
        {
            "outcome": ["sign", "sign", "support"],
            "estimator": ["dim", "lin", "dim"],
            "contrast": "nano - best",
        }
    )
    marks = {output: labels.marked(rows, output, table)["deviation"].tolist() for output in ESTIMATES}
    assert marks.pop(EFFECTS) == marks.pop("estimate/power.csv") == ["D2", "", "D3"]
    assert set(map(tuple, marks.values())) == {("", "", "")}


def test_names_and_the_order_of_values_are_no_deviation(settings, registration):
    changed = change(settings, ["experiment", "exclusions", 0, "step"], "Refused")
    changed = change(changed, ["calibration", "exclusions", 1, "values"], [1, "true"])
    changed = change(changed, ["estimate", "adjust"], settings["estimate"]["adjust"][::-1])
    assert deviations(changed, registration).empty


def test_the_order_of_exclusions_is_a_deviation(settings, registration):
    steps = settings["experiment"]["exclusions"]
    changed = change(settings, ["experiment", "exclusions"], [steps[1], steps[0], *steps[2:]])
    assert deviations(changed, registration)["what"].tolist() == ["exclusions from the experiment"]


def test_registered_analyses_that_cannot_be_done_are_listed(settings, registration):
    changed = change(settings, ["estimate", "adjust"], [])
    changed = change(changed, ["estimate", "robustness"], ["logit", "mann_whitney", "ri", "lee"])
    changed = change(changed, ["experiment", "arms", 2, "name"], "tailored")
    table = deviations(changed, registration)
    assert table["what"].tolist() == [
        "arms",
        "adjust",
        "robustness: lin",
        "robustness: ipw",
        "analysis H1",
        "analysis H2",
        "analysis S1",
        "analysis S2",
    ]
    assert table["done"].str.startswith("not tested").sum() == 4


def test_a_study_without_data_or_registration_has_no_deviations(settings, registration):
    without = {**settings, "experiment": None, "estimate": {}, "explore": {}}
    assert deviations(without, registration).empty
    assert deviations(change(settings, ["estimate", "alpha"], 0.01), None).empty


def test_estimates_carry_their_label_and_deviations(settings, registration):
    rng = child_rng(1, "marks")
    table = pd.DataFrame(
        {
            "arm": pd.Categorical.from_codes(np.arange(90) % 3, ["control", "best", "nano"]),
            "sign": rng.integers(2, size=90).astype(float),
            "age": rng.normal(size=90),
            "weight": 1.0,
        }
    )
    config = validate(copy.deepcopy(settings), "config.yaml")
    age = next(c for c in config.covariates if c.name == "age")
    listed = deviations(change(settings, ["estimate", "adjust"], ["age"]), registration)
    # As the rule reads it back from CSV: empty cells are missing.
    listed = listed.replace("", np.nan)
    arms = ["control", "best", "nano"]
    marks = {"sesoi": {"sign": 0.05}, "registration": registration, "deviations": listed}
    asked = trial(table, arms, ["sign"], adjust=[age], **marks)
    found = estimate.effects(asked)
    assert found.groupby("estimator")["label"].agg(set).to_dict() == {
        "dim": {"confirmatory"},
        "lin": {"secondary"},
    }
    assert found.groupby("estimator")["deviation"].agg(set).to_dict() == {"dim": {""}, "lin": {"D1"}}
    power = estimate.power(asked, found)
    assert power.loc[power["estimator"] == "lin", "deviation"].eq("D1").all()
    tost = estimate.equivalence(asked, found)
    assert tost["label"].tolist() == ["exploratory", "exploratory", "secondary"]

    alpha = deviations(change(settings, ["estimate", "alpha"], 0.01), registration)
    groups = SubgroupConfig(name="by age", covariate="age", groups=config.explore.subgroups[0].groups)
    rows = explore.subgroups(
        trial(table.assign(age=5.0), arms, ["sign"], covariates=[age], deviations=alpha), [groups], 10
    )
    assert rows["deviation"].eq("D1").all() and rows["label"].eq("exploratory").all()
    missing = deviations(change(settings, ["experiment", "exclusions", 2], None), registration)
    assert (
        estimate.balance(trial(table, arms, covariates=[age], deviations=missing))["deviation"].eq("D1").all()
    )
    assert estimate.attrition(trial(table, arms, ["sign"], deviations=missing))["deviation"].eq("D1").all()


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (["registry"], None, "key top level"),
        (["alfa"], 0.1, "key alfa"),
        (["alpha"], "five percent", "key alpha"),
        (["date"], "2025-02-30", "key date"),
        (["primary"], "H9", "key primary"),
        (["hypotheses", 0, "outcome"], "votes", "analysis 'H1'"),
        (["hypotheses", 0, "contrast"], ["nano", "placebo"], "analysis 'H1'"),
        (["hypotheses", 0, "contrast"], ["nano", "nano"], "key hypotheses[0].contrast"),
        (["hypotheses", 1, "id"], "H1", "key hypotheses"),
        (["hypotheses", 0, "label"], "confirmatory", "key hypotheses[0].label"),
        (["sesoi"], {"votes": 0.1}, "key sesoi"),
        (["families"], [{"name": "f", "analyses": ["H1", "H9"]}], "family 'f'"),
        (["families"], [{"name": "f", "analyses": ["H1", "S2"]}], "family 'f'"),
        (
            ["families"],
            [{"name": "f", "analyses": ["H1"]}, {"name": "g", "analyses": ["H1"]}],
            "family 'g'",
        ),
        (
            ["families"],
            [{"name": "f", "analyses": ["H1"]}, {"name": "f", "analyses": ["H2"]}],
            "key families",
        ),
        (["families"], [{"name": "f", "analyses": []}], "key families[0].analyses"),
        (["robustness"], ["probit"], "key robustness[0]"),
        (["randomisation", "scheme"], "adaptive", "key randomisation.scheme"),
        (["sample_size", "planned"], "many", "key sample_size.planned"),
        (["sample_size", "arms"], {"placebo": 10}, "key sample_size.arms"),
        (["sample_size", "arms"], {"control": 1, "best": 1, "nano": 1}, "key sample_size"),
        (["hypotheses", 0, "estimator"], "ordinal", "analysis 'H1'"),
        (["secondary", 2, "estimator"], "logit", "analysis 'S3'"),
        (["post_checks"], [{"step": "Recall", "rule": "in", "column": "recall"}], "exclusion 'Recall'"),
        (["confirmatory"], ["S3"], "key confirmatory"),
        (["exclusions", "calibration", 4, "value"], None, "exclusion 'Speeder'"),
        (["exclusions", "experiment", 0, "rule"], "unlike", "key exclusions.experiment[0].rule"),
    ],
)
def test_a_wrong_registration_is_refused(text, path, value, where):
    wrong = change(yaml.safe_load(text), path, value)
    with pytest.raises(InputError) as caught:
        preregistration.parse(yaml.safe_dump(wrong), "p.yaml")
    assert where in [problem.where for problem in caught.value.problems]
    assert all(problem.file == "p.yaml" for problem in caught.value.problems)


@pytest.mark.parametrize(
    "text", ["", "- a list", "a: [1", "date: 2025-02-30", "just text", "\ta: 1", "!!python/name:os.system"]
)
def test_a_file_that_is_no_registration_is_refused(text):
    with pytest.raises(InputError):
        preregistration.parse(text, "p.yaml")


def test_an_unquoted_day_is_a_date(text):
    registration = preregistration.parse(text.replace('date: "2025-04-28"', "date: 2025-04-28"), "p.yaml")
    assert registration.date == "2025-04-28"


def test_estimators_have_the_same_names_everywhere():
    assert set(tables.TABLE_OF) == set(preregistration.ESTIMATORS)
    adjusted = [estimator for estimator, table in tables.TABLE_OF.items() if table == EFFECTS]
    assert adjusted == list(preregistration.FAMILY_ESTIMATORS)


def test_an_arm_that_is_not_registered_is_exploratory_even_where_every_contrast_was(registration):
    label_of = labels.label_of
    assert label_of(registration, "support", "dim", "nano - best") == "secondary"
    assert label_of(registration, "support", "dim", "nano - random") == "exploratory"
    assert label_of(registration, "support", "ordinal", "nano - best") == "exploratory"
