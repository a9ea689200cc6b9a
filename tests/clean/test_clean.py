"""Raw tables become tidy tables; people leave in order; what is odd is told."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from nanotarget.clean.cells import parse_numbers
from nanotarget.clean.samples import read_samples
from nanotarget.clean.shown import check_design
from nanotarget.study import artefacts
from nanotarget.study.checks import validate
from nanotarget.study.problems import InputError
from tiny_study import await_fielding, tiny_study


def cleaned(study, folder, monkeypatch):
    monkeypatch.chdir(folder)
    study.write(folder)
    return read_study(Path("study.yaml").read_text(encoding="utf-8"))


def read_study(text):
    study = validate(yaml.safe_load(text), "study.yaml")
    design = check_design(study.design, "study.yaml") if study.design else None
    return read_samples(study, design)


@pytest.fixture
def clean(tmp_path, monkeypatch):
    """Clean a study; `clean(study)` returns its samples."""
    return lambda study: cleaned(study, tmp_path, monkeypatch)


def flow_of(sample, arm="all"):
    rows = sample.flow[sample.flow["arm"] == arm]
    return {step: (before, after) for step, before, after in rows[["step", "n_before", "n_after"]].to_numpy()}


def quality_of(sample, check, item, level=""):
    table = sample.quality
    rows = table[(table["check"] == check) & (table["item"] == item) & (table["level"] == level)]
    assert len(rows) == 1
    return rows.iloc[0]


# The calibration ---------------------------------------------------------------------------------


def test_long_and_wide_give_the_same_tables(tmp_path, monkeypatch):
    tables = []
    for layout in ("long", "wide"):
        folder = tmp_path / layout
        folder.mkdir()
        tables.append(cleaned(tiny_study(layout), folder, monkeypatch))
    long, wide = tables
    pd.testing.assert_frame_equal(long.calibration.profiles, wide.calibration.profiles)
    pd.testing.assert_frame_equal(long.calibration.respondents, wide.calibration.respondents)
    pd.testing.assert_frame_equal(long.calibration.quality, wide.calibration.quality)
    pd.testing.assert_frame_equal(long.flow, wide.flow)


def test_an_answer_of_yes_or_no_to_each_petition_is_read_from_both_layouts(tmp_path, monkeypatch):
    tables = []
    for layout in ("long", "wide"):
        study = tiny_study(layout)
        for column in study.calibration:
            if column.endswith("rating"):
                study.calibration[column] = np.where(study.calibration[column].astype(float) > 5, "Yes", "no")
        outcomes = study.config["calibration"]["outcomes"]
        study.config["calibration"] |= {
            "outcomes": {"would_sign": {"column": outcomes["rating"]["column"]}},
            "analyse": "would_sign",
        }
        folder = tmp_path / layout
        folder.mkdir()
        tables.append(cleaned(study, folder, monkeypatch).calibration)
    long, wide = tables
    pd.testing.assert_frame_equal(long.profiles, wide.profiles)
    pd.testing.assert_frame_equal(long.quality, wide.quality)
    assert set(long.profiles["would_sign"]) == {0.0, 1.0} and "choice" not in long.profiles
    answers = long.profiles.groupby("respondent_id")["would_sign"].nunique()
    assert quality_of(long, "same_would_sign", "would_sign")["n"] == (answers == 1).sum()


def test_every_cell_arrives_where_it_belongs(clean):
    study = tiny_study()
    profiles = clean(study).calibration.profiles
    raw = study.calibration.sort_values(["id", "task", "profile"], ignore_index=True)
    assert list(profiles.columns) == [
        "respondent_id", "task", "profile", "Sector", "Job", "Cost <br>", "choice", "rating", "weight",
    ]  # fmt: skip
    columns = {"respondent_id": "id", "Sector": "sector", "Job": "job", "Cost <br>": "cost"}
    for tidy, column in columns.items():
        assert list(profiles[tidy].astype(str)) == list(raw[column])
    for column in ("task", "profile", "choice", "rating"):
        assert list(profiles[column]) == list(raw[column].astype(float))
    assert list(profiles["weight"]) == list(raw["w"].astype(float))
    assert list(profiles["Cost <br>"].cat.categories) == ["0", "10", "25"]
    assert profiles["Cost <br>"].cat.ordered


def test_the_order_of_rows_and_columns_does_not_matter(tmp_path, monkeypatch):
    study = tiny_study()
    tables = []
    for name, table in (
        ("a", study.calibration),
        ("b", study.calibration.sample(frac=1, random_state=3).iloc[:, ::-1]),
    ):
        (tmp_path / name).mkdir()
        study.calibration = table
        tables.append(cleaned(study, tmp_path / name, monkeypatch).calibration)
    pd.testing.assert_frame_equal(tables[0].profiles, tables[1].profiles)
    pd.testing.assert_frame_equal(tables[0].respondents, tables[1].respondents)


def test_spelling_is_compared_as_people_read_it(clean):
    study = tiny_study()
    wanted = clean(study).calibration.profiles
    raw = study.calibration
    raw["sector"] = "  " + raw["sector"].str.upper() + " "
    raw["job"] = raw["job"].str.replace(" ", "\u00a0  ")
    raw["cost"] = raw["cost"] + ".0"
    raw["choice"] = raw["choice"].map({"1": "yes", "0": "No"})
    raw["rating"] = raw["rating"] + ",5"
    raw.loc[raw["rating"] == "10,5", "rating"] = "10"
    found = clean(study).calibration.profiles
    same = [column for column in wanted if column != "rating"]
    pd.testing.assert_frame_equal(found[same], wanted[same])
    np.testing.assert_array_equal(found["rating"], np.minimum(wanted["rating"] + 0.5, 10))


def test_without_numbers_consecutive_rows_are_a_task(clean):
    study = tiny_study()
    wanted = clean(study).calibration.profiles
    del study.config["calibration"]["task"], study.config["calibration"]["profile"]
    pd.testing.assert_frame_equal(clean(study).calibration.profiles, wanted)


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_unanswered_tasks_leave_and_half_answered_ones_stay(clean, layout):
    study = tiny_study(layout)
    raw = study.calibration
    if layout == "long":
        raw.loc[raw["task"].eq("2") & raw["id"].eq("c1"), ["choice", "rating", "sector"]] = ""
        raw.loc[raw["id"].eq("c2"), ["choice", "rating"]] = ""
        raw.loc[raw["task"].eq("3") & raw["id"].eq("c3"), "choice"] = ""
        raw.loc[raw["task"].eq("3") & raw["id"].eq("c3") & raw["profile"].eq("1"), "rating"] = ""
    else:
        raw.loc[raw["id"].eq("c1"), ["t2_choice", "t2_p1_rating", "t2_p2_rating", "t2_p1_sector"]] = ""
        raw.loc[raw["id"].eq("c2"), [c for c in raw if c.endswith(("choice", "rating"))]] = ""
        raw.loc[raw["id"].eq("c3"), ["t3_choice", "t3_p1_rating"]] = ""
    sample = clean(study).calibration
    tasks = sample.profiles.groupby("respondent_id")["task"].unique()
    assert list(tasks["c1"]) == [1, 3]
    assert "c2" not in tasks
    assert "c2" not in set(sample.respondents["respondent_id"])
    assert flow_of(sample)["No task answered"] == (30, 29)
    half = sample.profiles[(sample.profiles["respondent_id"] == "c3") & (sample.profiles["task"] == 3)]
    assert half["choice"].isna().all()
    assert list(half["rating"].isna()) == [True, False]
    assert quality_of(sample, "unanswered_tasks", "tasks")["n"] == 4
    assert quality_of(sample, "missing", "choice")["n"] == 2
    assert quality_of(sample, "missing", "rating")["n"] == 1


def test_a_choice_recorded_for_one_profile_only_is_missing_for_the_task(clean):
    study = tiny_study()
    study.calibration.loc[0, "choice"] = ""
    sample = clean(study).calibration
    task = sample.profiles[(sample.profiles["respondent_id"] == "c1") & (sample.profiles["task"] == 1)]
    assert task["choice"].isna().all()
    assert quality_of(sample, "incomplete_choices", "tasks")["n"] == 1


def test_only_the_allow_list_is_kept(clean):
    samples = clean(tiny_study())
    assert list(samples.calibration.respondents.columns) == ["respondent_id", "age", "party", "weight"]
    written = [samples.calibration.profiles, samples.calibration.respondents, samples.experiment.respondents]
    for table in [*written, samples.flow, samples.quality]:
        assert "example.org" not in table.to_csv()


def test_a_covariate_may_be_missing_for_everyone(clean):
    study = tiny_study()
    study.calibration[["age", "party"]] = ""
    study.experiment["party"] = "Refused"
    samples = clean(study)
    assert samples.calibration.respondents[["age", "party"]].isna().all(axis=None)
    assert samples.experiment.respondents["party"].isna().all()
    assert quality_of(samples.calibration, "missing", "party")["share"] == 1


def test_the_level_none_is_a_level(clean):
    study = tiny_study()
    samples = clean(study)
    first = study.calibration.drop_duplicates("id")
    assert samples.calibration.respondents["party"].eq("None").sum() == first["party"].eq("None").sum() > 0


def test_a_covariate_that_is_not_for_targeting_may_be_absent_from_the_calibration(clean):
    study = tiny_study()
    study.config["covariates"][0]["target"] = False
    study.calibration = study.calibration.drop(columns="age")
    samples = clean(study)
    assert samples.calibration.respondents["age"].isna().all()
    assert samples.experiment.respondents["age"].notna().all()


def test_spss_labels_and_codes(clean, tmp_path):
    study = tiny_study()
    wanted = clean(study).calibration
    raw = study.calibration.astype(dict.fromkeys(("task", "profile", "rating", "age", "w", "seconds"), float))
    raw["choice"] = raw["choice"].astype(float) + 1
    raw["cost"] = raw["cost"].astype(float)
    labels = {
        "choice": {1: "not chosen", 2: "chosen"},
        "rating": {0: "not at all", 10: "fully"},
        "task": {1: "first", 2: "second", 3: "third"},
    }
    pyreadstat.write_sav(raw, tmp_path / "calibration.sav", variable_value_labels=labels)
    study.config["calibration"]["file"] = "calibration.sav"
    with pytest.raises(InputError, match="'not chosen', 'chosen' are neither yes nor no"):
        clean(study)
    raw["choice"] -= 1
    labels["choice"] = {0: "not chosen", 1: "chosen"}
    pyreadstat.write_sav(raw, tmp_path / "calibration.sav", variable_value_labels=labels)
    pd.testing.assert_frame_equal(clean(study).calibration.profiles, wanted.profiles)


# Who leaves --------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_exclusions_apply_in_order_to_who_is_left(clean, layout):
    study = tiny_study(layout)
    raw = study.calibration

    def change(person, column, text):
        raw.loc[raw["id"] == person, column] = text

    change("c1", ["consent", "seconds"], "no number")  # leaves before the speed is looked at
    change("c2", "email", "c1@example.org")  # repeats somebody who has left: stays
    change("c3", "email", " C4@Example.org")  # comes first: stays
    change("c4", "email", "c4@example.org")  # repeats c3: leaves
    change("c5", "seconds", "179.5")
    change("c6", "seconds", "")  # not below: stays
    change("c7", "consent", "")  # not in: leaves
    change("c8", "personal", "no")
    change("c1", "party", "not a level")  # nobody who stays is concerned
    sample = clean(study).calibration
    assert flow_of(sample) == {
        "In the raw file": (30, 30),
        "No consent": (30, 28),
        "Duplicate": (28, 27),
        "Speeder": (27, 26),
        "Opted out of personalisation": (26, 25),
        "No task answered": (25, 25),
    }
    gone = {f"c{i}" for i in range(1, 31)} - set(sample.respondents["respondent_id"])
    assert gone == {"c1", "c4", "c5", "c7", "c8"}
    assert set(sample.profiles["respondent_id"]) == set(sample.respondents["respondent_id"])
    median = quality_of(sample, "speed", "seconds", "50%")
    left = pd.to_numeric(raw.drop_duplicates("id").set_index("id").drop(["c1", "c4", "c7"])["seconds"])
    assert median["statistic"] == left.median()
    assert median["n"] == 26


def test_duplicates_of_the_respondent_itself(clean):
    study = tiny_study("wide")
    raw = study.calibration
    raw.loc[[1, 2], "id"] = "c1"
    study.config["calibration"]["exclusions"].append({"step": "Again", "rule": "duplicate", "column": "id"})
    sample = clean(study).calibration
    assert flow_of(sample)["Again"] == (30, 28)
    kept = sample.profiles.query("respondent_id == 'c1'")["rating"].iloc[0]
    assert kept == float(raw.loc[0, "t1_p1_rating"])


def test_the_flow_of_the_experiment_adds_up_by_arm(clean):
    study = tiny_study()
    raw = study.experiment
    study.config["experiment"]["exclusions"].append({"step": "No arm", "rule": "missing", "column": "arm"})
    raw.loc[0, "arm"] = ""
    raw.loc[1, ["consent", "arm"]] = ["No", "Tset"]
    raw.loc[3, "consent"] = "No"
    raw.loc[[5, 6, 7], "sign"] = ""
    raw.loc[8, "personal"] = "No"
    sample = clean(study).experiment
    assert list(dict.fromkeys(sample.flow["arm"])) == ["all", "control", "best", "nano", "none"]
    for _, step in sample.flow.groupby("step", sort=False):
        counts = step.set_index("arm")[["n_before", "n_excluded", "n_after"]]
        assert (counts.drop("all").sum() == counts.loc["all"]).all()
    assert flow_of(sample)["Outcome observed"] == (57, 54)
    assert flow_of(sample, "none") == {
        "In the raw file": (2, 2),
        "No consent": (2, 1),
        "Duplicate": (1, 1),
        "No arm": (1, 0),
        "Outcome observed": (0, 0),
    }
    people = sample.respondents.set_index("respondent_id")
    assert len(people) == 57
    assert people["opt_out"].sum() == 1
    assert people.loc["e9", "opt_out"]
    assert (people["observed"] == people["sign"].notna()).all()


# The experiment ----------------------------------------------------------------------------------


def test_outcomes_of_the_experiment(clean):
    study = tiny_study()
    raw = study.experiment
    raw["answered"] = np.where(np.arange(60) % 4 == 0, "no", "yes")
    raw.loc[0, "support"] = "not asked"  # not observed, so nobody reads it
    raw["sign"] = raw["sign"].map({"1": "TRUE", "0": "False"})
    asked = {"column": "answered", "values": ["Yes"]}
    study.config["experiment"]["outcomes"] = [
        {"name": "sign", "kind": "binary"},
        {"name": "support", "kind": "continuous", "range": [0, 10], "observed_if": asked},
        {"name": "high", "column": "support", "kind": "binary", "at_least": 7, "observed_if": asked},
    ]
    people = clean(study).experiment.respondents.set_index("respondent_id").loc[raw["id"]]
    support = pd.to_numeric(raw["support"], errors="coerce").where(raw["answered"] == "yes").to_numpy()
    np.testing.assert_array_equal(people["sign"], raw["sign"] == "TRUE")
    np.testing.assert_array_equal(people["support"], support)
    np.testing.assert_array_equal(people["high"], np.where(np.isnan(support), np.nan, support >= 7))


def test_a_missing_petition_is_allowed_where_nobody_saw_one(clean):
    study = tiny_study()
    raw = study.experiment
    raw.loc[1, ["shown_sector", "shown_job", "shown_cost", "sign", "support"]] = ""  # left before it
    people = clean(study).experiment.respondents.set_index("respondent_id")
    empty = people[["Sector", "Job", "Cost <br>"]].isna().all(axis=1)
    assert empty.sum() == 21
    assert set(people.loc[empty, "arm"]) == {"control", "best"}


def test_an_experiment_alone(clean):
    study = tiny_study()
    for key in ("calibration", "design"):
        del study.config[key]
    del study.config["experiment"]["petition_columns"]
    samples = clean(study)
    assert samples.calibration is None
    assert set(samples.flow["sample"]) == {"experiment"}
    assert list(samples.experiment.respondents.columns) == [
        "respondent_id", "arm", "opt_out", "age", "party", "sign", "support", "observed", "weight",
        "block", "cluster", "outcome_cluster", "delivered", "passed",
    ]  # fmt: skip


def people_of(study, clean):
    """The cleaned people of the experiment in the order of the raw file."""
    return clean(study).experiment.respondents.set_index("respondent_id").loc[study.experiment["id"]]


def test_a_complete_design_is_one_block_of_single_people(clean):
    people = people_of(tiny_study(), clean)
    assert people["block"].eq("").all()
    assert (people["cluster"] == people.index).all()
    assert people[["delivered", "passed"]].isna().all(axis=None)


def test_blocks_are_combinations_of_raw_columns_in_one_spelling(clean):
    study = tiny_study()
    study.config["experiment"]["randomisation"] = {"scheme": "blocked", "blocks": ["town <br>", "wave"]}
    study.experiment["town <br>"] = np.resize(["São Paulo", " são  paulo ", "__import__('os')", ""], 60)
    study.experiment["wave"] = np.resize(["1", "1.0", "2", "1"], 60)
    names = [
        "town <br>: São Paulo; wave: 1",
        "town <br>: São Paulo; wave: 1",
        "town <br>: __import__('os'); wave: 2",
        "town <br>: (missing); wave: 1",
    ]
    people = people_of(study, clean)
    assert people["block"].tolist() == names * 15
    assert (people["cluster"] == people.index).all()
    study.experiment = study.experiment.iloc[::-1]
    pd.testing.assert_series_equal(people_of(study, clean)["block"].iloc[::-1], people["block"])


def clustered(study, blocks=()):
    """Let the tiny experiment be randomised by 20 households of three, whose addresses sort backwards."""
    household = np.arange(60) // 3
    study.experiment["household"] = [f"{chr(ord('z') - h)}@example.org" for h in household]
    study.experiment["region"] = np.where(household < 10, "North", "South")
    study.experiment["arm"] = np.resize(["Control", "Overall best"], 20)[household]
    shown = study.experiment.loc[1, ["shown_sector", "shown_job", "shown_cost"]]
    for column, text in shown.items():
        study.experiment[column] = np.where(household % 2 == 0, "", text)
    study.config["experiment"]["randomisation"] = {
        "scheme": "clustered",
        "cluster": "household",
        "blocks": list(blocks),
    }
    return study


def test_clusters_in_blocks(clean):
    people = people_of(clustered(tiny_study(), ["region"]), clean)
    assert people["cluster"].iloc[0] == "z@example.org" and people["cluster"].nunique() == 20
    assert people["block"].value_counts().to_dict() == {"region: North": 30, "region: South": 30}


def test_arms_inside_clusters_of_outcomes(clean):
    study = tiny_study()
    study.experiment["school"] = [f"school {i % 12}" for i in range(60)]
    study.config["experiment"]["randomisation"] = {"outcome_cluster": "school"}
    people = people_of(study, clean)
    assert people["outcome_cluster"].tolist() == study.experiment["school"].tolist()
    assert (people["cluster"] == people.index).all()
    study.config["experiment"]["identifiers"] += ["school"]
    assert people_of(study, clean)["outcome_cluster"].str.fullmatch(r"u00\d\d").all()


@pytest.mark.parametrize(
    ("school", "randomisation", "what"),
    [
        (["a", "b", ""], {}, "the outcome cluster is missing"),
        (
            ["a", "b", "c"],
            {"scheme": "clustered", "cluster": "household"},
            "clusters in more than one outcome cluster",
        ),
        (["a", "b"], {"scheme": "blocked", "blocks": ["school"]}, "2 blocks inside a single outcome cluster"),
    ],
)
def test_outcome_clusters_that_cannot_be(clean, school, randomisation, what):
    study = clustered(tiny_study())
    study.experiment["school"] = np.resize(school, 60)
    study.config["experiment"]["randomisation"] = {"outcome_cluster": "school"} | randomisation
    with pytest.raises(InputError) as error:
        clean(study)
    assert what in str(error.value)


def test_outcomes_are_made_of_columns_by_declared_steps(clean):
    study = tiny_study()
    answers = ["Never", "sometimes", "Often"]
    for k in range(3):
        study.experiment[f"q{k}"] = np.resize([answers[(k + i) % 3] for i in range(7)], 60)
    study.experiment.loc[4, "q1"] = ""
    recode = {"never": 0, "Sometimes": 1, "often": 3}
    columns = ["q0", "q1", "q2"]
    study.config["experiment"]["outcomes"] += [
        {"name": "total", "kind": "count", "columns": columns, "combine": "sum", "recode": recode},
        {"name": "mean", "kind": "continuous", "columns": columns, "combine": "mean", "recode": recode},
        {
            "name": "ever",
            "kind": "binary",
            "column": "q0",
            "recode": {"never": 0, "sometimes": 1, "often": 1},
        },
        {
            "name": "much",
            "kind": "binary",
            "columns": columns,
            "combine": "sum",
            "recode": recode,
            "at_least": 4,
        },
    ]
    people = people_of(study, clean)
    known = {answer.casefold(): number for answer, number in recode.items()}
    numbers = study.experiment[columns].apply(lambda column: column.str.casefold().map(known))
    total = numbers.sum(axis=1, skipna=False).to_numpy()
    assert np.isnan(total[4]) and np.isnan(total).sum() == 1
    np.testing.assert_array_equal(people["total"], total)
    np.testing.assert_allclose(people["mean"], total / 3)
    np.testing.assert_array_equal(people["ever"], numbers["q0"] > 0)
    np.testing.assert_array_equal(people["much"], np.where(np.isnan(total), np.nan, total >= 4))


def test_an_answer_that_is_not_recoded_is_refused(clean):
    study = tiny_study()
    study.experiment["q0"] = np.resize(["never", "often", "no idea"], 60)
    study.config["experiment"]["outcomes"] += [
        {"name": "mean", "kind": "continuous", "column": "q0", "recode": {"never": 0, "often": 1}}
    ]
    with pytest.raises(InputError) as error:
        clean(study)
    assert "no idea" in str(error.value) and "'recode'" in str(error.value)


def test_no_identifier_names_a_cluster_or_a_block(clean):
    study = clustered(tiny_study(), ["region", "postcode"])
    study.experiment["postcode"] = np.where(study.experiment["region"] == "North", "SW1A 1AA", "EC1A 1BB")
    study.config["experiment"]["identifiers"] += ["household", "postcode"]
    sample = clean(study).experiment
    people = sample.respondents.set_index("respondent_id").loc[study.experiment["id"]]
    assert people["cluster"].tolist() == [f"c{20 - i // 3:04d}" for i in range(60)]
    assert people["block"].tolist() == ["b0001"] * 30 + ["b0002"] * 30
    written = pd.concat([sample.respondents.astype(str), sample.flow.astype(str), sample.quality.astype(str)])
    assert not written.apply(lambda column: column.str.contains("example.org|1A", na=False)).any(axis=None)
    study.experiment = study.experiment.iloc[::-1]
    again = people_of(study, clean)
    pd.testing.assert_frame_equal(again.iloc[::-1], people)


def test_delivery_and_post_treatment_checks_exclude_nobody(clean, tmp_path):
    study = tiny_study()
    raw = study.experiment
    raw["sent"] = np.resize(["Yes", "no", "", "YES "], 60)
    raw["recall"] = np.resize(["right", "wrong", "right"], 60)
    raw["reading"] = np.resize(["30", "31", "2", "", "30"], 60)
    study.config["experiment"]["delivered"] = {"column": "sent", "values": ["yes"]}
    study.config["experiment"]["post_checks"] = [
        {"step": "Recall", "rule": "in", "column": "recall", "values": ["Wrong"]},
        {"step": "Did not read", "rule": "below", "column": "reading", "value": 5},
    ]
    sample = clean(study).experiment
    people = sample.respondents.set_index("respondent_id").loc[raw["id"]]
    assert people["delivered"].tolist() == [True, False, pd.NA, True] * 15
    expected = (raw["recall"] != "wrong") & (raw["reading"] != "2")
    assert people["passed"].tolist() == expected.tolist() and 0 < expected.sum() < 60
    assert len(people) == 60 and "Recall" not in set(sample.flow["step"])
    path = tmp_path / "experiment.parquet"
    artefacts.write_parquet(sample.respondents, path)
    pd.testing.assert_frame_equal(artefacts.read_parquet(path), sample.respondents)


def test_ordinal_outcomes_and_counts(clean):
    study = tiny_study()
    study.experiment["spent"] = np.resize(["0", "12.5", "1e6", ""], 60)
    study.config["experiment"]["outcomes"] = [
        {"name": "support", "kind": "ordinal", "range": [0, 10]},
        {"name": "spent", "kind": "count"},
    ]
    people = people_of(study, clean)
    np.testing.assert_array_equal(people["support"], pd.to_numeric(study.experiment["support"]))
    np.testing.assert_array_equal(people["spent"], np.resize([0, 12.5, 1e6, np.nan], 60))


def test_an_experiment_without_any_outcome_yet(clean):
    study = tiny_study()
    study.config["experiment"]["outcomes"] = []
    sample = clean(study).experiment
    assert not sample.respondents["observed"].any()
    assert "Outcome observed" not in set(sample.flow["step"])


def test_an_outcome_that_nobody_has(clean):
    study = tiny_study()
    study.experiment[["sign", "support"]] = ""
    sample = clean(study).experiment
    assert flow_of(sample)["Outcome observed"] == (60, 0)
    assert sample.respondents[["sign", "support"]].isna().all(axis=None)


def test_a_panel_knows_people_who_were_excluded_from_its_calibration(clean):
    study = tiny_study()
    study.config["samples"] = "panel"
    study.experiment = study.experiment[:30].assign(id=[f"c{i}.0" for i in range(1, 31)])
    study.experiment["id"] = [f"{i}.0" for i in range(1, 31)]
    study.calibration["id"] = study.calibration["id"].str[1:]
    study.calibration.loc[study.calibration["id"] == "7", "consent"] = "No"
    samples = clean(study)
    assert len(samples.calibration.respondents) == 29
    assert set(samples.experiment.respondents["respondent_id"]) == {str(i) for i in range(1, 31)}


# Quality -----------------------------------------------------------------------------------------


def test_straight_lining_and_level_frequencies(clean):
    study = tiny_study()
    raw = study.calibration
    raw["choice"] = np.where(raw["profile"] == "1", "0", "1")
    raw.loc[raw["id"].eq("c1") & raw["task"].eq("1"), "choice"] = ["1", "0"]
    raw.loc[raw["id"].eq("c2"), "rating"] = "5"
    sample = clean(study).calibration
    same = quality_of(sample, "same_profile", "choice")
    assert (same["n"], same["share"], same["expected"]) == (29, 29 / 30, 0.25)
    assert quality_of(sample, "same_rating", "rating")["n"] >= 1
    count = raw["sector"].value_counts().reindex(["Energy", "Transport", "Housing"])
    expected = np.array([9, 9, 6]) / 24 * 180  # two of the nine petitions with Housing are prohibited
    test = stats.chisquare(count, expected * count.sum() / expected.sum())
    whole = quality_of(sample, "level_frequency", "Sector")
    assert whole["statistic"] == pytest.approx(test.statistic)
    assert whole["p_value"] == pytest.approx(test.pvalue)
    housing = quality_of(sample, "level_frequency", "Sector", "Housing")
    assert (housing["n"], housing["expected"]) == (count["Housing"], pytest.approx(0.25))


# Anything else -----------------------------------------------------------------------------------

TEXTS = [
    "",
    " ",
    "NA",
    "None",
    "0",
    "2",
    "-1",
    "2,5",
    "1,500",
    "yes",
    "No",
    "c1",
    "e3",
    "Housing",
    "25",
    "Nano",
    "\n",
]
CELLS = st.tuples(
    st.sampled_from(["calibration", "experiment"]),
    st.integers(0, 99),  # column, counted round
    st.one_of(st.integers(0, 29), st.none()),  # row, or the whole column
    st.sampled_from(TEXTS),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["long", "wide"]), st.booleans(), st.lists(CELLS, min_size=1, max_size=3))
def test_whatever_the_cells_hold_it_is_cleaned_or_refused(clean, layout, numbered, changes):
    study = tiny_study(layout)
    if layout == "long" and not numbered:
        del study.config["calibration"]["task"], study.config["calibration"]["profile"]
    for sample, column, row, text in changes:
        table = getattr(study, sample)
        table.iloc[slice(None) if row is None else row, column % table.shape[1]] = text
    try:
        samples = clean(study)
    except InputError as error:
        assert all(problem.file in ("calibration.csv", "experiment.csv") for problem in error.problems)
    else:
        for step in samples.flow.itertuples():
            assert step.n_before - step.n_excluded == step.n_after >= 0


# Numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", " 2.50 ", "-3", "+4", ".5", "1e3"], [1, 2.5, -3, 4, 0.5, 1000]),
        (["2,5", "3"], [2.5, 3]),
        (["2,5", "1,250"], [2.5, 1.25]),
        (["0,125", "3"], [0.125, 3]),
        (["1,250", "3"], [np.nan, 3]),
        (["2,5", "3.5"], [np.nan, 3.5]),
        (["1,234,567", "12,345.6"], [np.nan, np.nan]),
        (["nan", "inf", "1e999", "1_000", "5%", "0x10", "1 000", "", "--1"], [np.nan] * 9),
    ],
)
def test_numbers(texts, values):
    np.testing.assert_array_equal(parse_numbers(texts), values)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_numbers_survive_being_written(values):
    values = [float(f"{value:.6f}") for value in values]
    np.testing.assert_array_equal(parse_numbers([f"{value:.6f}" for value in values]), values)
    commas = [f"{value:.6f}".replace(".", ",") for value in values]
    np.testing.assert_array_equal(parse_numbers(commas), values)


@given(st.lists(st.text(max_size=12), min_size=1))
def test_any_text_is_a_finite_number_or_none(texts):
    values = parse_numbers(texts)
    assert len(values) == len(texts)
    assert not np.isinf(values).any()


# Real data against R -----------------------------------------------------------------------------

CONJOINTS = {
    "conjoint_candidates_sw2022": (1191, 7146),
    "conjoint_climate_bs2013": (2500, 20000),
    "conjoint_immigration_hhy2014": (1396, 13960),
    "conjoint_candidates_hhy2014_rating": (311, 3466),
}


def load_example(name, project, reference, monkeypatch):
    monkeypatch.chdir(project)
    config = (project / f"examples/{name}.yaml").read_text(encoding="utf-8")
    return read_study(config.replace("../shared", str(reference)))


@pytest.mark.golden
@pytest.mark.parametrize("name", CONJOINTS)
def test_published_conjoints(name, project, reference, monkeypatch):
    sample = load_example(name, project, reference, monkeypatch).calibration
    assert (len(sample.respondents), len(sample.profiles)) == CONJOINTS[name]
    levels = pd.read_csv(reference / "data" / name / "levels.csv", keep_default_na=False)
    for attribute, part in levels.groupby("attribute", sort=False):
        count = sample.profiles[attribute].value_counts(sort=False)
        assert list(count.index) == list(part["level"])
        assert list(count) == list(part["n"])
    assert (sample.profiles.groupby(["respondent_id", "task"])["choice"].sum() == 1).all()
    # The randomisation that the config declares is the one that the data show.
    whole = sample.quality[(sample.quality["check"] == "level_frequency") & (sample.quality["level"] == "")]
    assert (whole["p_value"] > 0.05 / len(whole)).all()


@pytest.mark.golden
@pytest.mark.parametrize("name", ["exp_hillstrom_2008", "exp_levendusky_2016"])
def test_published_experiments(name, project, reference, monkeypatch):
    people = load_example(name, project, reference, monkeypatch).experiment.respondents
    golden = pd.read_csv(reference / "golden" / f"{name}__arms.csv")
    for row in golden.itertuples():
        values = people.loc[people["arm"] == row.arm, row.outcome]
        assert (len(values), values.notna().sum()) == (row.n_assigned, row.n_observed)
        assert values.mean() == pytest.approx(row.mean, abs=1e-12)
        assert values.std() == pytest.approx(row.sd, abs=1e-12)


def test_a_roster_keeps_opt_outs_and_needs_no_covariate_that_targets_nothing(clean):
    study = tiny_study()
    await_fielding(study)
    study.config["covariates"].append({"name": "later", "kind": "numeric", "target": False})
    study.roster.loc[0, ["id", "personal"]] = [" 007 ", "no"]
    study.roster.loc[1, "consent"] = "No"
    study.roster.loc[2, "party"] = "refused"
    roster = clean(study).roster
    people = roster.respondents.set_index("respondent_id")
    assert list(people.columns) == ["opt_out", "age", "party", "later"]
    assert people.index[people["opt_out"]].tolist() == ["007"]
    assert "r2" not in people.index
    assert people.loc["r3", ["party", "later"]].isna().all()
    assert flow_of(roster) == {"In the raw file": (41, 41), "No consent": (41, 40)}
    assert set(roster.quality["check"]) == {"opt_out", "missing"}
    assert "email" not in people.columns
