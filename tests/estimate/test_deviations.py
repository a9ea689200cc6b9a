"""What was done differently is listed, and marks the estimates that it touches."""

import copy

import numpy as np
import pandas as pd
import pytest
import yaml

from changed import change
from nanotarget import estimate, explore
from nanotarget.clean.samples import read_samples
from nanotarget.estimate import deviations as deviations_module
from nanotarget.estimate import labels, tables
from nanotarget.estimate.tables import Table
from nanotarget.petitions.design import Design
from nanotarget.study import preregistration
from nanotarget.study.checks import validate
from nanotarget.study.config import SubgroupConfig
from nanotarget.study.seeds import child_rng
from simulated_studies import STUDIES
from trials import trial

EFFECTS, EQUIVALENCE, CHECKS, ROBUSTNESS = Table.EFFECTS, Table.EQUIVALENCE, Table.CHECKS, Table.ROBUSTNESS
ESTIMATES = set(tables.ESTIMATES)


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
    marked = set()
    for estimator, output in outputs.items():
        row = pd.DataFrame({"outcome": ["sign"], "estimator": [estimator]})
        if "D1" in labels.marked(row, output, table)["deviation"].item().split("; "):
            marked.add(estimator)
    assert marked == touched


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
                {EFFECTS, "estimate/equivalence.csv", "estimate/power.csv", ROBUSTNESS, "estimate/ipw.csv"},
                "lin; ipw; aipw; tost_lin",
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


def test_a_family_that_lost_a_member_marks_those_that_are_left(settings, text):
    secondary = [
        {"id": "S3", "outcome": "support", "estimator": "dim"},
        {"id": "S4", "outcome": "share", "estimator": "dim"},
    ]
    families = [{"name": "f", "analyses": ["S3", "S4", "H1"]}]
    content = yaml.safe_load(text) | {"families": families, "secondary": secondary}
    registration = preregistration.parse(yaml.safe_dump(content), "p.yaml")
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
    registered = registration.model_copy(deep=True)
    steps = registered.exclusions.calibration
    steps[1] = steps[1].model_copy(update={"values": ["True", 1]})
    changed = change(settings, ["experiment", "exclusions", 0, "step"], "Refused")
    changed = change(changed, ["calibration", "exclusions", 1, "values"], [1, "true"])
    changed = change(changed, ["estimate", "adjust"], settings["estimate"]["adjust"][::-1])
    assert deviations(changed, registered).empty


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
    assert tost["label"].tolist() == ["exploratory", "exploratory", "secondary", *["exploratory"] * 3]
    assert tost["deviation"].tolist() == [""] * 3 + ["D1"] * 3

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
