"""Labels follow from the registration alone, and what was done differently is listed."""

import copy

import numpy as np
import pandas as pd
import pytest
import yaml

from nanotarget import estimate, explore, preregistration
from nanotarget.config import StudyConfig, SubgroupConfig, typed, validate
from nanotarget.problems import InputError
from nanotarget.seeds import child_rng
from simulated_studies import STUDIES

EFFECTS, EQUIVALENCE = preregistration.EFFECTS, preregistration.EQUIVALENCE


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
    config = typed(StudyConfig, validate(copy.deepcopy(settings), "config.yaml"))
    return preregistration.deviations(config, registration)


@pytest.mark.parametrize("study", STUDIES, ids=str)
def test_the_simulated_studies_do_what_they_registered(study):
    text = (study.data / "preregistration.yaml").read_text(encoding="utf-8")
    assert "SYNTHETIC" in text.splitlines()[0]
    table = preregistration.deviations(study.config(), preregistration.parse(text, "preregistration.yaml"))
    assert table.empty and list(table.columns) == list(preregistration.DEVIATION_COLUMNS)


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
        ("sign", "dim", "nano - placebo", "exploratory"),
        ("donation", "dim", "nano - best", "exploratory"),
    ],
)
def test_labels(registration, outcome, estimator, contrast, label):
    assert preregistration.label_of(registration, outcome, estimator, contrast) == label
    assert preregistration.label_of(None, outcome, estimator, contrast) == "exploratory"


def test_arms_whose_names_look_like_contrasts(text):
    content = yaml.safe_load(text)
    content["arms"] = ["a", "b", "a - b"]
    for hypothesis, contrast in zip(
        content["hypotheses"], (["a - b", "a"], ["b", "a"], ["a - b", "b"]), strict=True
    ):
        hypothesis["contrast"] = contrast
    del content["secondary"], content["primary"]
    registration = preregistration.parse(yaml.safe_dump(content), "p.yaml")
    assert preregistration.label_of(registration, "sign", "dim", "a - b - a") == "confirmatory"
    assert preregistration.label_of(registration, "sign", "dim", "a - b - b - a") == "exploratory"


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
    marked = {
        e for e, o in outputs.items() if "D1" in preregistration.touching(table, o, "sign", e).split("; ")
    }
    assert marked == touched


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
    config = typed(StudyConfig, validate(copy.deepcopy(settings), "config.yaml"))
    age = next(c for c in config.covariates if c.name == "age")
    listed = deviations(change(settings, ["estimate", "adjust"], ["age"]), registration)
    # As the rule reads it back from CSV: empty cells are missing.
    listed = listed.replace("", np.nan)
    arms = ["control", "best", "nano"]
    found = estimate.effects(table, arms, ["sign"], [age], registration=registration, deviations=listed)
    assert found.groupby("estimator")["label"].agg(set).to_dict() == {
        "dim": {"confirmatory"},
        "lin": {"secondary"},
    }
    assert found.groupby("estimator")["deviation"].agg(set).to_dict() == {"dim": {""}, "lin": {"D1"}}
    power = estimate.power(found, {}, deviations=listed)
    assert power.loc[power["estimator"] == "lin", "deviation"].eq("D1").all()
    tost = estimate.equivalence(found, {"sign": 0.05}, 0.05, registration, listed)
    assert tost["label"].tolist() == ["exploratory", "exploratory", "secondary"]

    alpha = deviations(change(settings, ["estimate", "alpha"], 0.01), registration)
    groups = SubgroupConfig("by age", "age", config.explore.subgroups[0].groups)
    rows = explore.subgroups(table.assign(age=5.0), arms, ["sign"], [groups], [age], 10, deviations=alpha)
    assert rows["deviation"].eq("D1").all() and rows["label"].eq("exploratory").all()
    missing = deviations(change(settings, ["experiment", "exclusions", 2], None), registration)
    assert estimate.balance(table, arms, [age], missing)["deviation"].eq("D1").all()
    assert estimate.attrition(table, arms, ["sign"], missing)["deviation"].eq("D1").all()


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


def test_schema_and_dataclasses_have_the_same_keys():
    schema = preregistration.schema()
    pairs = [
        (schema, preregistration.Registration),
        (schema["properties"]["outcomes"]["items"], preregistration.RegisteredOutcome),
        (schema["$defs"]["analyses"]["items"], preregistration.Analysis),
        (schema["properties"]["exclusions"], preregistration.RegisteredExclusions),
    ]
    for rules, kind in pairs:
        assert set(rules["properties"]) == set(kind.__dataclass_fields__)
        assert all("description" in rule for rule in rules["properties"].values())


def test_an_arm_that_is_not_registered_is_exploratory_even_where_every_contrast_was(registration):
    label_of = preregistration.label_of
    assert label_of(registration, "support", "dim", "nano - best") == "secondary"
    assert label_of(registration, "support", "dim", "nano - random") == "exploratory"
    assert label_of(registration, "support", "ordinal", "nano - best") == "exploratory"
