"""A config proposed from data: other names, other shapes, hostile texts, and files that are neither."""

import numpy as np
import pandas as pd
import pytest
import yaml

from nanotarget.clean.samples import read_samples
from nanotarget.clean.shown import check_design
from nanotarget.cli import main
from nanotarget.propose import propose, study_name, write_config
from nanotarget.propose.written import flow, remark, scalar
from nanotarget.study.checks import validate
from nanotarget.study.problems import InputError
from tiny_study import COSTS, JOBS, SECTORS, await_fielding, tiny_study

HOSTILE = [
    'Seek "better" Job',
    "a <br> b",
    "温室効果ガス",
    r"50 \% & {x}",
    "# no comment",
    "{{ 7 * 7 }}",
    "yes: no",
    "- dash",
    "'",
    "1e3",
    "007",
    "null",
]


def checked(*paths):
    """Propose, write, read again and check against the data; returns config and text."""
    text = write_config(propose([str(path) for path in paths]), "tiny")
    config = validate(yaml.safe_load(text), "tiny.yaml")
    design = check_design(config.design, "tiny.yaml") if config.design else None
    read_samples(config, design)
    return config, text


def written(study, folder):
    study.write(folder)
    return [folder / f"{name}.csv" for name in ("calibration", "experiment")]


def as_sets(config):
    return {a.column or a.name: {str(level) for level in a.levels} for a in config.design.attributes}


EXPECTED = {"sector": set(SECTORS), "job": set(JOBS), "cost": set(map(str, COSTS))}


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_the_tiny_study_is_understood(tmp_path, layout):
    study = tiny_study(layout)
    study.calibration.loc[study.calibration["id"] == "c3", "personal"] = "No"
    config, text = checked(*written(study, tmp_path))
    assert as_sets(config) == EXPECTED
    calibration, experiment = config.calibration, config.experiment
    assert (calibration.layout, calibration.tasks, calibration.profiles) == (layout, 3, 2)
    assert calibration.respondent == experiment.respondent == "id"
    assert calibration.identifiers == experiment.identifiers == ["email"]
    assert calibration.outcomes.choice
    assert [(arm.name, arm.policy) for arm in experiment.arms] == [
        ("Control", None),
        ("Overall best", "overall_best"),
        ("Nano", "nano"),
    ]
    assert experiment.petition_columns == "shown_{attribute}"
    assert [(o.name, o.kind) for o in experiment.outcomes] == [("sign", "binary"), ("support", "continuous")]
    assert [covariate.name for covariate in config.covariates] == ["age", "party"]
    for suggestion in ("# weight: w", "  consent: {column: personal", "  #   - {step: Speeder"):
        assert suggestion in text
    assert calibration.weight is None and [step.step for step in calibration.exclusions] == ["No consent"]
    assert calibration.analyse == "rating"
    assert calibration.outcomes.rating.range == [0, 10]


def test_a_rating_is_told_from_a_price_by_how_people_differ(tmp_path):
    rng = np.random.default_rng(3)
    person = np.repeat(np.arange(80), 6)
    price = rng.choice([10, 20, 30, 40], len(person))
    utility = -0.05 * price + rng.normal(size=len(person))
    first = utility[0::2] > utility[1::2]
    table = pd.DataFrame(
        {
            "who": person,
            "price": price,
            "colour": rng.choice(["red", "blue"], len(person)),
            "won": np.column_stack([first, ~first]).ravel().astype(int),
            "mark": np.clip(np.round(5 + 2 * rng.normal(size=80)[person] + utility), 1, 9).astype(int),
        }
    )
    table.to_csv(tmp_path / "data.csv", index=False)
    config, _ = checked(tmp_path / "data.csv")
    assert [a.name for a in config.design.attributes] == ["price", "colour"]
    assert config.calibration.outcomes.choice.column == "won"
    assert config.calibration.outcomes.rating.column == "mark"
    table.drop(columns="mark").to_csv(tmp_path / "data.csv", index=False)
    config, _ = checked(tmp_path / "data.csv")
    assert config.calibration.outcomes.rating is None
    assert config.calibration.analyse == "choice"


@pytest.mark.parametrize(
    "pattern",
    ["{a}_{t}_{p}", "F{t}-{p}-{a}", "c{t}.{p}.{a}", "{a}_round{t}_cand{p}", "profile{p}_task{t}_{a}"],
)
def test_wide_names_of_other_platforms(tmp_path, pattern):
    rng = np.random.default_rng(1)
    levels = {"tax": ["Low tax", "High tax"], "jobs": ["None", "Many"], "who": ["EU", "UN", "State"]}
    table = {"respondent": np.arange(60)}
    for task in range(1, 5):
        for profile in (1, 2):
            for name, values in levels.items():
                table[pattern.format(t=task, p=profile, a=name)] = rng.choice(values, 60)
        table[f"vote{task}"] = rng.choice(["Left", "Right"], 60)
    pd.DataFrame(table).to_csv(tmp_path / "data.csv", index=False)
    config, _ = checked(tmp_path / "data.csv")
    assert as_sets(config) == {name: set(values) for name, values in levels.items()}
    assert (config.calibration.tasks, config.calibration.profiles) == (4, 2)
    assert config.calibration.attribute_columns == (
        pattern.replace("{t}", "{task}").replace("{p}", "{profile}").replace("{a}", "{attribute}")
    )
    assert config.calibration.outcomes.choice.chosen_values == ["Left", "Right"]


def test_a_qualtrics_export_with_three_header_rows(tmp_path):
    study = tiny_study("wide")
    names = list(study.calibration.columns)
    rows = pd.DataFrame([{n: f"Question {n}" for n in names}, {n: '{"ImportId":"' + n + '"}' for n in names}])
    pd.concat([rows, study.calibration]).to_csv(tmp_path / "data.csv", index=False)
    config, _ = checked(tmp_path / "data.csv")
    assert config.calibration.header_rows == 3
    assert as_sets(config) == EXPECTED


@pytest.mark.parametrize("kind", ["parquet", "dta", "sav"])
def test_other_formats(tmp_path, kind):
    import pyreadstat

    table = tiny_study().calibration
    path = tmp_path / f"data.{kind}"
    if kind == "parquet":
        table.to_parquet(path)
    else:
        {"dta": pyreadstat.write_dta, "sav": pyreadstat.write_sav}[kind](table, str(path))
    assert as_sets(checked(path)[0]) == EXPECTED


def test_value_labels_give_the_order(tmp_path):
    import pyreadstat

    table = tiny_study().calibration
    labels = {1: "Zebra", 2: "Apple", 3: "Mole"}
    table["sector"] = table["sector"].map(dict(zip(SECTORS, labels, strict=True))).astype(float)
    pyreadstat.write_sav(table, str(tmp_path / "data.sav"), variable_value_labels={"sector": labels})
    config, _ = checked(tmp_path / "data.sav")
    assert config.design.attributes[0].levels == ["Zebra", "Apple", "Mole"]


def test_hostile_texts_stay_data(tmp_path):
    study = tiny_study()
    rng = np.random.default_rng(5)
    study.calibration["# odd: [name]"] = rng.choice(HOSTILE, len(study.calibration))
    config, text = checked(written(study, tmp_path)[0])
    levels = next(a.levels for a in config.design.attributes if a.name == "# odd: [name]")
    assert sorted(map(str, levels)) == sorted(HOSTILE)
    assert "49" not in text.split("covariates:")[0]


@pytest.mark.parametrize("text", [*HOSTILE, "12", "1.50", "1_000", "~", "on", "a, b", "two\nlines", " "])
def test_scalars_are_read_back_as_the_same_text(text):
    assert str(yaml.safe_load(f"[{scalar(text)}]")[0]) == text
    assert yaml.safe_load(f"x: {flow([text, {'k': text}])}") == {
        "x": yaml.safe_load(flow([text, {"k": text}]))
    }


@pytest.mark.parametrize("value", ["a  b", "two\nlines", "c\u2028d", "x: # y", "{% raw %}", "{{ 7 * 7 }}"])
def test_values_of_a_suggestion_are_what_the_file_says(tmp_path, value):
    """Suggestions stand in comments; with the "# " taken away they must be the file's own text."""
    study = tiny_study()
    study.calibration["consent"] = value
    study.calibration.loc[study.calibration["id"] == "c3", "consent"] = "refused to"
    text = write_config(propose([str(path) for path in written(study, tmp_path)][:1]), "tiny")
    line = next(line for line in text.splitlines() if "step: No consent" in line)
    assert yaml.safe_load(line.removeprefix("  #"))[0]["values"] == [" ".join(value.split())]


def test_a_remark_never_ends_its_line():
    text = "a\nb\x85c\u2028d\x07e"
    assert yaml.safe_load(f"x: 1 # {remark(text)}") == {"x": 1}
    assert len(remark(text).splitlines()) == 1


def test_identifiers_are_never_covariates(tmp_path):
    study = tiny_study()
    n = len(study.calibration)
    person = study.calibration["id"]
    study.calibration["ip"] = "198.51.100." + person.str[1:]
    study.calibration["comment"] = "I think that this is what " + person + " wanted to say to everybody"
    many = [f"Person {i}" for i in range(120)]
    long = pd.concat([study.calibration] * 4, ignore_index=True)
    long["id"] = [f"x{i // 6}" for i in range(4 * n)]
    long["FirstName"] = [many[i // 6] for i in range(4 * n)]
    long["email"] = long["id"] + "@example.org"
    long["comment"] = long["comment"] + long["id"]
    long["age"], long["party"] = [str(20 + i // 6 % 50) for i in range(4 * n)], "Left"
    long.to_csv(tmp_path / "data.csv", index=False)
    found = propose([str(tmp_path / "data.csv")])
    assert {note.column for note in found.calibration.people.identifiers} == {
        "email",
        "ip",
        "comment",
        "FirstName",
    }
    assert [covariate.name for covariate in found.covariates] == ["age"]


def test_what_follows_the_arm_is_no_covariate(tmp_path):
    rng = np.random.default_rng(2)
    n = 300
    arm = rng.choice(["control", "message"], n)
    pd.DataFrame(
        {
            "id": range(n),
            "trust": rng.integers(0, 11, n),
            "treatment": arm,
            "dummy": (arm == "message").astype(int),
            "mood": rng.choice(["good", "bad", "so so"], n),
            "gender": rng.choice(["f", "m"], n),
            "agree5": rng.integers(1, 6, n),
            "gift": np.where(rng.random(n) < 0.7, 0, np.round(rng.lognormal(2, 1.2, n), 2)),
            "signed": rng.choice(["Yes", "No"], n),
        }
    ).to_csv(tmp_path / "data.csv", index=False)
    config, text = checked(tmp_path / "data.csv")
    assert [covariate.name for covariate in config.covariates] == ["trust", "gender"]
    assert {o.name: o.kind for o in config.experiment.outcomes} == {
        "agree5": "ordinal",
        "gift": "count",
        "signed": "binary",
    }
    assert config.experiment.arms[0].name == "control"
    assert "dummy: says again who is in which arm" in text
    assert "mood: texts" in text


def test_a_list_of_people_becomes_a_roster(tmp_path):
    study = tiny_study()
    await_fielding(study)
    study.write(tmp_path)
    config, _ = checked(tmp_path / "calibration.csv", tmp_path / "roster.csv")
    assert config.experiment is None
    assert config.roster.respondent == "id"
    assert [arm.policy for arm in config.roster.arms] == [None, "overall_best", "nano"]


def test_people_who_come_back_are_a_panel(tmp_path):
    study = tiny_study()
    study.experiment = study.experiment.iloc[:30].copy()
    study.experiment[["id", "email"]] = study.calibration[["id", "email"]].drop_duplicates("id").to_numpy()
    config, _ = checked(*written(study, tmp_path))
    assert config.samples == "panel"


@pytest.mark.parametrize(
    ("name", "expected"), [("My Study 2", "my_study_2"), ("2024-wave", "study_2024_wave"), ("日本", "study")]
)
def test_names_of_studies(name, expected):
    assert study_name(name) == expected


def test_files_that_are_neither(tmp_path):
    pd.DataFrame({"id": range(50), "age": range(20, 70)}).to_csv(tmp_path / "people.csv", index=False)
    pd.DataFrame({"x": [1] * 50, "y": [2.5] * 50}).to_csv(tmp_path / "nobody.csv", index=False)
    with pytest.raises(InputError) as error:
        propose([str(tmp_path / "people.csv"), str(tmp_path / "nobody.csv")])
    assert "neither like a conjoint survey nor like an experiment" in str(error.value)
    assert "no column tells respondents apart" in str(error.value)
    with pytest.raises(InputError, match="2 problems"):
        propose([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")])


def test_two_surveys_are_two_studies(tmp_path):
    first, _ = written(tiny_study(), tmp_path)
    second = tmp_path / "again.csv"
    second.write_bytes(first.read_bytes())
    with pytest.raises(InputError, match="each a conjoint survey"):
        propose([str(first), str(second)])


def test_no_file_is_overwritten(tmp_path, monkeypatch, capsys):
    calibration, experiment = written(tiny_study(), tmp_path)
    out = tmp_path / "my study.yaml"
    command = ["nanotarget", "init", str(calibration), str(experiment), "--out", str(out)]
    monkeypatch.setattr("sys.argv", command)
    assert main() == 0
    assert "guesses" in capsys.readouterr().out
    out.write_text("mine", encoding="utf-8")
    assert main() == 1
    assert "--force" in capsys.readouterr().err
    assert out.read_text(encoding="utf-8") == "mine"
    monkeypatch.setattr("sys.argv", [*command, "--force"])
    assert main() == 0
    assert "study: my_study" in out.read_text(encoding="utf-8")
