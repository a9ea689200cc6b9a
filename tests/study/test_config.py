"""The config: defaults arrive, every mistake has its place, scripts get back what rules hand them."""

import copy

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nanotarget.study.checks import validate
from nanotarget.study.config import DataConfig, LearningConfig, RefitConfig, Study, normalised, part_of
from nanotarget.study.problems import InputError
from nanotarget.study.reference import json_schema, simplified
from tiny_study import tiny_study


def test_validation_neither_changes_its_input_nor_depends_on_itself():
    raw = tiny_study().config
    before = copy.deepcopy(raw)
    once = validate(raw, "study.yaml")
    assert raw == before
    assert validate(once.model_dump(mode="json"), "study.yaml") == once


@pytest.mark.parametrize("kind", [DataConfig, LearningConfig, RefitConfig])
def test_a_part_of_a_section_is_made_of_it_alone(kind):
    study = validate(tiny_study().config, "study.yaml")
    whole = {DataConfig: study, LearningConfig: study.calibrate, RefitConfig: study.diagnose}[kind]
    made = kind.model_validate(part_of(kind, whole.model_dump(mode="json")))
    assert made.model_dump() == part_of(kind, whole.model_dump())
    with pytest.raises(KeyError):
        part_of(kind, {})


def test_numbers_stay_as_they_were_written():
    config = tiny_study().config
    config["diagnose"] = {"sesoi": 1}
    config["calibration"]["outcomes"]["rating"]["range"] = [0, 10.5]
    study = validate(config, "study.yaml")
    for sections in (study.model_dump(mode="json"), study.model_dump()):
        assert repr(sections["diagnose"]["sesoi"]) == "1"
        assert repr(sections["calibration"]["outcomes"]["rating"]["range"]) == "[0, 10.5]"


@pytest.mark.parametrize("name", ["config.yaml", "config_panel.yaml", "examples"])
def test_the_configs_of_the_project_are_good(project, name):
    path = project / name
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    assert files
    for file in files:
        config = validate(yaml.safe_load(file.read_text(encoding="utf-8")), file.name)
        assert path == file or config.study == file.stem


def problems(config):
    with pytest.raises(InputError) as caught:
        validate(config, "study.yaml")
    return [(problem.where, problem.what) for problem in caught.value.problems]


def test_all_mistakes_are_told_at_once():
    config = tiny_study().config
    config["covariates"][0]["range"] = [5, 5]
    config["experiment"]["arms"][1]["name"] = "control"
    config["estimate"] = {"adjust": ["aeg"]}
    assert [where for where, _ in problems(config)] == [
        "key covariates[0] ('age')",
        "key experiment.arms",
        "key estimate.adjust",
    ]


@pytest.mark.parametrize("nothing", [None, {}, [], "text", 3])
def test_what_is_no_config(nothing):
    assert problems(nothing) == [("whole file", "it holds no settings")]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (True, "true is not a whole number"),
        (2.0, "2.0 is not a whole number"),
        ("2", "'2' is not a whole number"),
        (None, "an empty value is not a whole number"),
        (-1, "-1 does not fit"),
    ],
)
def test_the_seed_is_a_whole_number(value, what):
    config = tiny_study().config
    config["root_seed"] = value
    assert problems(config) == [("key root_seed", what)]


def test_a_number_that_is_none_is_refused():
    config = tiny_study().config
    config["diagnose"] = {"sesoi": float("nan")}
    assert problems(config) == [("key diagnose.sesoi", "nan is not a number")]


def change(path, value):
    def mutate(config):
        *parents, last = path
        for key in parents:
            config = config[key]
        config[last] = value

    return mutate


@pytest.mark.parametrize(
    ("mutate", "where", "what"),
    [
        (
            change(["design", "attributes", 1, "column"], "sector"),
            "key design.attributes",
            "two attributes have the column 'sector'",
        ),
        (
            change(["design", "attributes", 1, "name"], " SECTOR"),
            "key design.attributes",
            "the attribute 'Sector' is there twice",
        ),
        (
            change(["design", "prohibited", 0], {"Sektor": ["Energy"], "Job": ["Green Job"]}),
            "key design.prohibited[0]",
            "unknown attribute 'Sektor'",
        ),
        (
            change(["covariates", 1, "range"], [0, 1]),
            "key covariates[1] ('party')",
            "a categorical covariate has no range",
        ),
        (
            change(["covariates", 0, "levels"], ["a", "b"]),
            "key covariates[0] ('age')",
            "a numeric covariate has no levels",
        ),
        (change(["covariates", 1, "name"], "Age"), "key covariates", "the covariate 'age' is there twice"),
        (
            change(["covariates", 0, "column"], "email"),
            "key covariates[0]",
            "'email' is a direct identifier and would be written",
        ),
        (
            change(["calibration", "weight"], "email"),
            "key calibration.weight",
            "'email' is a direct identifier and would be written",
        ),
        (
            change(["experiment", "outcomes", 0, "column"], "email"),
            "key experiment.outcomes[0]",
            "'email' is a direct identifier and would be written",
        ),
        (
            change(["calibration", "profiles"], 1),
            "key calibration.profiles",
            "a choice needs at least two profiles a task",
        ),
        (
            lambda config: config.update(
                calibrate={"learner": "hierarchical"},
                calibration=config["calibration"] | {"profiles": 3, "analyse": "choice"},
            ),
            "key calibrate.learner",
            "learner 'hierarchical' cannot learn from choices among more than two profiles, or none of them",
        ),
        (
            lambda config: config.update(
                samples="panel",
                calibrate={"learner": "hierarchical", "information": "covariates + own answers"},
                calibration=config["calibration"] | {"profiles": 3, "analyse": "choice"},
            ),
            "key calibrate.information",
            "a person's own choices among more than two profiles, or none of them, cannot be used yet: the "
            "only learner of own answers, 'hierarchical', reads ratings and choices between two",
        ),
        (
            change(["calibration", "outcomes", "rating", "range"], [10, 0]),
            "key calibration.outcomes.rating.range",
            "the range [10, 0] is empty",
        ),
        (
            change(["calibration", "outcomes", "choice", "chosen_values"], ["A", "B"]),
            "key calibration.outcomes.choice.chosen_values",
            "it has no meaning in the long layout",
        ),
        (
            lambda config: (
                config["calibration"].update(
                    layout="wide",
                    tasks=6,
                    attribute_columns="task{task}_{profile}_{attribute}",
                    outcomes={"choice": {"column": "choice{task}", "none_option": True}},
                    analyse="choice",
                )
                or [config["calibration"].pop(key, None) for key in ("task", "profile")]
            ),
            "key calibration.outcomes.choice.none_option",
            "no answer says that none of the profiles was chosen",
        ),
        (
            change(["calibration", "exclusions", 0, "values"], []),
            "key calibration.exclusions[0] ('No consent')",
            "the rule 'not_in' needs 'values'",
        ),
        (
            change(["calibration", "exclusions", 0, "value"], 3),
            "key calibration.exclusions[0] ('No consent')",
            "the rule 'not_in' does not use 'value'",
        ),
        (
            change(["calibration", "exclusions", 0, "step"], "speeder "),
            "key calibration.exclusions",
            "the step 'speeder ' is there twice",
        ),
        (
            change(["experiment", "arms", 0, "value"], "nano"),
            "key experiment.arms",
            "the arm 'nano' is there twice",
        ),
        (
            change(["experiment", "outcomes", 1, "at_least"], 7),
            "key experiment.outcomes[1] ('support')",
            "'at_least' makes a binary outcome",
        ),
        (
            change(["experiment", "outcomes", 0, "range"], [0, 1]),
            "key experiment.outcomes[0] ('sign')",
            "a binary outcome has no range",
        ),
        (
            change(["experiment", "outcomes", 1], {"name": "support", "kind": "ordinal"}),
            "key experiment.outcomes[1] ('support')",
            "an ordinal outcome needs its lowest and highest category",
        ),
        (
            change(["experiment", "outcomes", 1], {"name": "support", "kind": "ordinal", "range": [0.5, 10]}),
            "key experiment.outcomes[1] ('support')",
            "an ordinal outcome needs its lowest and highest category",
        ),
        (
            change(["experiment", "outcomes", 1], {"name": "support", "kind": "count", "range": [-1, 10]}),
            "key experiment.outcomes[1] ('support')",
            "a count is never below 0",
        ),
        (
            change(["experiment", "randomisation"], {"scheme": "blocked"}),
            "key experiment.randomisation",
            "blocked randomisation needs its blocks",
        ),
        (
            change(["experiment", "randomisation"], {"blocks": ["party"]}),
            "key experiment.randomisation",
            "complete randomisation has no blocks",
        ),
        (
            change(["design", "attributes", 0, "derived_from"], ["Nothing"]),
            "key design.attributes[0] ('Sector')",
            "unknown attribute 'Nothing'",
        ),
        (
            change(["design", "attributes", 0, "derived_from"], ["Sector"]),
            "key design.attributes[0] ('Sector')",
            "it is derived from itself",
        ),
        (
            change(["design", "dependent"], [["Sector", "Nothing"]]),
            "key design.dependent[0]",
            "unknown attribute 'Nothing'",
        ),
        (
            change(["design", "attributes", 0, "hidden_values"], ["Not shown"]),
            "key design.attributes[0] ('Sector')",
            "'hidden_values' say what hides an attribute that is never hidden",
        ),
        (
            change(
                ["design", "attributes", 0],
                {
                    "name": "Sector",
                    "levels": ["Energy", "Transport", "Housing"],
                    "hidden": "option",
                    "hidden_values": ["energy"],
                },
            ),
            "key design.attributes[0] ('Sector')",
            "a level and hidden at once: 'energy'",
        ),
        (
            change(["experiment", "randomisation"], {"scheme": "clustered"}),
            "key experiment.randomisation",
            "it does not say what a cluster is",
        ),
        (
            change(
                ["experiment", "randomisation"],
                {"scheme": "blocked", "blocks": ["party"], "cluster": "email"},
            ),
            "key experiment.randomisation",
            "only clustered randomisation has a cluster",
        ),
        (
            change(["experiment", "randomisation"], {"scheme": "blocked", "blocks": ["arm"]}),
            "key experiment.randomisation.blocks",
            "'arm' is the column of the arm",
        ),
        (
            change(["experiment", "randomisation"], {"scheme": "blocked", "blocks": ["id"]}),
            "key experiment.randomisation.blocks",
            "'id' is the column of the respondent",
        ),
        (
            change(["experiment", "randomisation"], {"scheme": "clustered", "cluster": "arm"}),
            "key experiment.randomisation.cluster",
            "'arm' is the column of the arm",
        ),
        (
            change(["experiment", "post_checks"], [{"step": "Recall", "rule": "in", "column": "recall"}]),
            "key experiment.post_checks[0] ('Recall')",
            "the rule 'in' needs 'values'",
        ),
        (
            change(["covariates", 1, "name"], "Block"),
            "key covariates",
            "the name 'Block' is reserved for a column of the pipeline",
        ),
        (
            change(["estimate"], {"robustness": ["lin"]}),
            "key estimate.robustness",
            "'lin' cannot be estimated",
        ),
        (
            change(["estimate"], {"adjust": ["age"], "robustness": ["cace", "lin"]}),
            "key estimate.robustness",
            "'cace' cannot be estimated",
        ),
        (
            change(["estimate"], {"robustness": ["ordinal"]}),
            "key estimate.robustness",
            "'ordinal' cannot be estimated",
        ),
        (change(["estimate"], {"draws": 999}), "key estimate.draws", "999 does not fit"),
        (
            change(["estimate"], {"robustness": ["dim"]}),
            "key estimate.robustness[0]",
            "'dim' is not allowed",
        ),
        (
            change(["experiment", "petition_columns"], "shown"),
            "key experiment.petition_columns",
            "the pattern 'shown' lacks '{attribute}'",
        ),
        (change(["estimate"], {"sesoi": {"sing": 0.1}}), "key estimate.sesoi", "unknown outcome 'sing'"),
        (change(["explore"], {"comparable": ["sing"]}), "key explore.comparable", "unknown outcome 'sing'"),
        (
            change(["explore"], {"base": {"grouping": "g", "group": "red"}}),
            "key explore.base",
            "unknown grouping 'g'",
        ),
        (
            change(
                ["explore"],
                {
                    "subgroups": [{"name": "g", "covariate": "party"}],
                    "base": {"grouping": "g", "group": "no such party"},
                },
            ),
            "key explore.base",
            "'g' has no group 'no such party'",
        ),
        (
            change(["explore"], {"subgroups": [{"name": "g", "covariate": "ag"}]}),
            "key explore.subgroups[0] ('g')",
            "unknown covariate 'ag'",
        ),
        (
            change(
                ["explore"],
                {"subgroups": [{"name": "g", "covariate": "party"}, {"name": "G", "covariate": "party"}]},
            ),
            "key explore.subgroups",
            "the grouping 'g' is there twice",
        ),
        (
            change(
                ["explore"],
                {
                    "subgroups": [
                        {
                            "name": "g",
                            "covariate": "age",
                            "groups": [{"name": "a", "max": 30}, {"name": "b", "min": 30}],
                        }
                    ]
                },
            ),
            "key explore.subgroups[0] ('g')",
            "the groups overlap or are out of order",
        ),
    ],
)
def test_keys_that_contradict_each_other(mutate, where, what):
    config = tiny_study().config
    mutate(config)
    assert (where, what) in problems(config)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"column": "a", "columns": ["a", "b"], "combine": "sum"}, "both 'column' and 'columns'"),
        ({"columns": ["a"], "combine": "sum"}, "one column to combine"),
        ({"columns": ["a", "b"]}, "'columns' without 'combine'"),
        ({"columns": ["a", "b"], "combine": "mean"}, "a sum or mean is not binary"),
        ({"combine": "mean"}, "'combine' without 'columns'"),
        ({"recode": {"no": 0, "yes": 2}}, "'recode' makes other numbers than 0 and 1 of a binary outcome"),
        ({"recode": {"no": 0, "NO ": 1}}, "answers that cannot be told apart: 'no', 'NO '"),
    ],
)
def test_outcomes_that_cannot_be_made(more, what):
    config = tiny_study().config
    config["experiment"]["outcomes"][0] |= more
    assert what in [found for _, found in problems(config)]


@pytest.mark.parametrize(
    ("covariate", "more", "what"),
    [
        (0, {"population_shares": {"a": 0.5}}, "a numeric covariate has no shares of levels"),
        (1, {"population_mean": 3}, "a categorical covariate has no mean"),
        (1, {"population_shares": {"nowhere": 0.5}}, "'population_shares' of 'nowhere', which are no levels"),
    ],
)
def test_figures_of_the_population_that_cannot_be(covariate, more, what):
    config = tiny_study().config
    config["covariates"][covariate] |= more
    assert what in [found for _, found in problems(config)]


def test_designs_of_the_experiment():
    config = tiny_study().config
    for design in (
        {},
        {"scheme": "blocked", "blocks": ["party", "wave"]},
        {"scheme": "clustered", "cluster": "id"},
        {"scheme": "clustered", "cluster": "email", "blocks": ["party"]},
        {"outcome_cluster": "school"},
        {"scheme": "clustered", "cluster": "class", "outcome_cluster": "school"},
    ):
        config["experiment"]["randomisation"] = design
        complete = {"scheme": "complete", "blocks": [], "cluster": None, "outcome_cluster": None} | design
        assert validate(config, "study.yaml").experiment.randomisation.model_dump() == complete


def properties(rules):
    """All (name, schema) of keys anywhere in a schema."""
    for part in rules.values() if isinstance(rules, dict) else rules if isinstance(rules, list) else []:
        yield from properties(part)
    if isinstance(rules, dict) and isinstance(rules.get("properties"), dict):
        yield from rules["properties"].items()


def test_no_key_of_the_config_relabels_an_estimate():
    labels = {"confirmatory", "secondary", "exploratory"}
    keys = list(properties(simplified(json_schema(Study))))
    assert len(keys) > 100
    assert not [name for name, rules in keys if labels & {name, *map(str, rules.get("enum", []))}]
    for path in (["estimate"], ["explore"], ["experiment"], ["experiment", "outcomes", 1]):
        for key in ("status", "registered", "confirmatory"):
            config = tiny_study().config | {"estimate": {}, "explore": {}}
            change([*path, key], "confirmatory")(config)
            assert any(f"unknown key '{key}'" == what for _, what in problems(config))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("  A   b ", "a B"),
        (1, "1"),
        (1.0, "1"),
        ("1.0", 1),
        ("-2.00", -2),
        ("Stra\u00dfe", "STRASSE"),
        ("Cafe\u0301", "Caf\u00e9"),
        ("a\u00a0b", "a b"),
    ],
)
def test_the_same_level(one, other):
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"), [("1.5", "1"), ("1.0.0", "1.0"), ("v1.0", "v1"), ("+", "-"), ("", "0")]
)
def test_another_level(one, other):
    assert normalised(one) != normalised(other)


@given(st.text())
def test_normalising_twice_changes_nothing(text):
    assert normalised(normalised(text)) == normalised(text)


def test_the_ladder_asks_what_is_gained_without_each_protected_covariate():
    config = tiny_study().config
    names = [covariate["name"] for covariate in config["covariates"] if covariate.get("target", True)]
    config["diagnose"] = {"protected": names[:1], "ladder": [{"name": "one", "covariates": names[:1]}]}
    study = validate(config, "study.yaml")
    rungs = [(rung.name, rung.covariates) for rung in study.diagnose.ladder]
    assert rungs == [("one", names[:1]), (f"Without {names[0]}", names[1:])]
    again = validate(study.model_dump(mode="json"), "study.yaml")
    assert again.diagnose.ladder == study.diagnose.ladder
    assert study.diagnose.variants(["ridge"])["rungs"] == ["rung_1", "rung_2"]
    assert validate(tiny_study().config, "study.yaml").diagnose.ladder == []


@pytest.mark.parametrize(
    ("section", "settings", "said"),
    [
        ("diagnose", {"protected": ["nobody"]}, "unknown covariate 'nobody'"),
        ("explore", {"sensitive": {"Sector": ["Fear"]}}, "unknown level 'Fear'"),
        ("explore", {"sensitive": {"Mood": ["Fear"]}}, "unknown attribute 'Mood'"),
        ("privacy", {"secret": "results/tiny/x.key"}, "cannot be the secret"),
        ("privacy", {"secret": "data/tiny/arms.csv"}, "cannot be the secret"),
    ],
)
def test_what_protects_people_must_be_there(section, settings, said):
    config = tiny_study().config
    config[section] = config.get(section, {}) | settings
    with pytest.raises(InputError, match=said):
        validate(config, "study.yaml")
