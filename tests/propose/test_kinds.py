"""Kinds of files that people have: trials told from conjoints, numbers of tasks, wide exports."""

import numpy as np
import pandas as pd
import pytest
import yaml

from nanotarget.clean.samples import read_samples
from nanotarget.clean.shown import check_design
from nanotarget.cli import main
from nanotarget.propose import propose, questions, verified_config
from nanotarget.study.checks import validate
from nanotarget.study.problems import InputError

LEVELS = {"price": ["10", "20", "30"], "brand": ["North", "South", "West"], "tag": ["no tag", "green tag"]}
N, TASKS = 40, 4


def proposed(table, folder):
    """Write a table, propose a config that has passed its own check; return it and its text."""
    path = folder / "data.csv"
    table.to_csv(path, index=False)
    text = verified_config(propose([str(path)]), "tiny")
    return validate(yaml.safe_load(text), "tiny.yaml"), text


def trial(rng, arms, by_village=True):
    """Make a trial of 30 villages of 8 people, a row a person."""
    village = np.repeat(np.arange(30), 8)
    drawn = rng.choice(arms, 30)[village] if by_village else rng.choice(arms, 240)
    return pd.DataFrame(
        {
            "person_id": np.arange(240) + 1001,
            "village": village,
            "treatment": drawn,
            "sex": rng.choice(["male", "female"], 240),
            "trust": rng.integers(1, 10, 240),
            "voted": rng.choice(["Yes", "No"], 240),
        }
    )


def long_survey(rng):
    """Make a long conjoint survey of N people, TASKS pairs each, sorted."""
    rows = N * TASKS * 2
    table = pd.DataFrame({"respondent": np.repeat(np.arange(N) + 101, TASKS * 2)})
    for name, levels in LEVELS.items():
        table[name] = rng.choice(levels, rows)
    first = rng.integers(0, 2, N * TASKS)
    table["chosen"] = np.column_stack([first, 1 - first]).ravel()
    table["age"] = rng.integers(18, 80, N)[np.repeat(np.arange(N), TASKS * 2)]
    return table


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_trial_of_clusters_is_no_conjoint(tmp_path, shuffled):
    table = trial(np.random.default_rng(1), ["Control", "Letter", "Phone call"])
    table = table.sample(frac=1, random_state=1) if shuffled else table
    config, text = proposed(table, tmp_path)
    experiment = config.experiment
    assert config.calibration is None
    assert (experiment.respondent, experiment.arm) == ("person_id", "treatment")
    assert (experiment.randomisation.scheme, experiment.randomisation.cluster) == ("clustered", "village")
    assert [covariate.name for covariate in config.covariates] == ["sex"]
    assert "village" not in [outcome.name for outcome in experiment.outcomes]
    assert len(questions(text)) == 2  # whole groups, and a trait that stands behind the arm


def test_a_trial_without_ids_is_told_from_a_conjoint(tmp_path):
    table = trial(np.random.default_rng(1), ["Control", "Letter"]).drop(columns="person_id")
    with pytest.raises(InputError, match="arms in 'treatment'") as error:
        proposed(table, tmp_path)
    assert "the number of the row" in str(error.value)


@pytest.mark.parametrize("first", ["arm", "wave"])
def test_the_order_of_rows_says_nothing(tmp_path, first):
    rng = np.random.default_rng(2)
    table = trial(rng, ["control", "a", "b"], by_village=False).drop(columns="village")
    table.insert(5, "wave", np.arange(240) // 120)
    config, _ = proposed(table.sort_values("wave"), tmp_path)
    again, _ = proposed(table.sample(frac=1, random_state=3), tmp_path)
    assert config == again
    assert config.experiment.arm == "treatment"


@pytest.mark.parametrize("arms", [["0", "1", "2"], ["0.0", "1.0"], ["2020", "yes"], ["null", "1e3"]])
def test_arms_that_yaml_would_change_are_quoted(tmp_path, arms):
    config, text = proposed(trial(np.random.default_rng(4), arms, by_village=False), tmp_path)
    assert sorted(arm.name for arm in config.experiment.arms) == sorted(arms)
    assert "which arm is the control?" in text
    assert "write 'randomisation: {outcome_cluster: village}'" in text


NUMBERED = {
    "letters": (lambda t: t, lambda p: "AB"[p]),
    "from 0": (lambda t: t, lambda p: p),
    "texts": (lambda t: f"Task {t + 1}", lambda p: f"Package {'AB'[p]}"),
    "sides": (lambda t: t + 1, lambda p: ["left", "right"][p]),
}


@pytest.mark.parametrize("kind", NUMBERED)
@pytest.mark.parametrize("shuffled", [False, True])
def test_what_numbers_tasks_and_profiles_is_no_attribute(tmp_path, kind, shuffled):
    of_task, of_profile = NUMBERED[kind]
    table = long_survey(np.random.default_rng(5))
    table.insert(1, "screen", [of_task(i // 2 % TASKS) for i in range(len(table))])
    table.insert(2, "side", [of_profile(i % 2) for i in range(len(table))])
    table = table.sample(frac=1, random_state=2) if shuffled else table
    config, _ = proposed(table, tmp_path)
    assert [a.name for a in config.design.attributes] == list(LEVELS)
    calibration = config.calibration
    assert (calibration.task, calibration.profile) == ("screen", "side")
    assert (calibration.tasks, calibration.profiles) == (TASKS, 2)
    profiles = read_samples(config, check_design(config.design, "")).calibration.profiles
    assert profiles.groupby(["respondent_id", "task"]).size().eq(2).all()
    assert sorted(profiles["task"].unique()) == [1, 2, 3, 4]


def test_one_column_may_hold_both_numbers(tmp_path):
    table = long_survey(np.random.default_rng(6))
    table["shown"] = [f"{i // 2 % TASKS + 1}x{i % 2 + 1}" for i in range(len(table))]
    config, _ = proposed(table, tmp_path)
    assert config.calibration.task == config.calibration.profile == "shown"
    assert [a.name for a in config.design.attributes] == list(LEVELS)


def test_pairs_may_be_numbered_through_the_whole_file(tmp_path):
    table = long_survey(np.random.default_rng(7))
    table["PairNum"], table["Order"] = 7000 + 7 * (table.index // 2), table.index % 2 + 1
    config, _ = proposed(table, tmp_path)
    assert (config.calibration.task, config.calibration.profile) == ("PairNum", "Order")
    assert config.calibration.tasks == TASKS
    assert [a.name for a in config.design.attributes] == list(LEVELS)
    profiles = read_samples(config, check_design(config.design, "")).calibration.profiles
    assert profiles["task"].max() == TASKS


def test_check_stops_at_an_attribute_that_numbers_profiles(tmp_path):
    table = long_survey(np.random.default_rng(8))
    table["side"] = ["left", "right"] * (len(table) // 2)
    config, _ = proposed(table, tmp_path)
    attribute = {"name": "side", "levels": ["left", "right"]}
    written = config.model_dump(mode="json", exclude_unset=True)
    written["design"]["attributes"].append(attribute)
    written["calibration"].pop("profile", None)
    changed = validate(written, "tiny.yaml")
    with pytest.raises(InputError, match="'side' has a level of its own for every profile"):
        read_samples(changed, check_design(changed.design, "tiny.yaml"))


def test_functions_of_attributes_are_left_out(tmp_path):
    table = long_survey(np.random.default_rng(9))
    table["cheap"] = (table["price"] == "10").astype(int)
    config, text = proposed(table, tmp_path)
    assert [a.name for a in config.design.attributes] == list(LEVELS)
    assert "cheap: follows from 'price'" in text


def test_ids_need_no_sorted_rows(tmp_path):
    table = long_survey(np.random.default_rng(10)).rename(columns={"respondent": "respid"})
    table["respid"] = table["respid"].replace(table["respid"].iloc[0], 99999)  # elsewhere a missing answer
    table["task"], table["profile"] = table.index // 2 % TASKS + 1, table.index % 2 + 1
    config, _ = proposed(table.sample(frac=1, random_state=1), tmp_path)
    assert config.calibration.respondent == "respid"


def test_chosen_may_be_written_as_selected(tmp_path):
    table = long_survey(np.random.default_rng(11))
    table["chosen"] = table["chosen"].map({1: "Selected", 0: "Not selected"})
    assert proposed(table, tmp_path)[0].calibration.outcomes.choice.column == "chosen"


def test_a_covariate_that_its_data_refuse_is_left_out(tmp_path):
    table = long_survey(np.random.default_rng(12))
    large = pd.concat([table.assign(respondent=table["respondent"] + 100 * k) for k in range(3)])
    large = large.reset_index(drop=True)
    large.loc[1, "age"] += 1
    config, text = proposed(large, tmp_path)
    assert not config.covariates
    assert "#   age: " in text


def test_init_says_what_is_open_and_quotes_what_is_pasted(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "my data"
    folder.mkdir()
    table = trial(np.random.default_rng(13), ["0", "1"], by_village=False)
    table.to_csv(folder / "a.csv", index=False)
    out = folder / "my study.yaml"
    monkeypatch.setattr("sys.argv", ["nanotarget", "init", str(folder / "a.csv"), "--out", str(out)])
    assert main() == 0
    said = capsys.readouterr().out
    assert f"nanotarget check '{out}'" in said
    assert "questions to decide (lines" in said


def wide_survey(rng, name, choice, values=("Option A", "Option B"), tasks="1234", profiles="12"):
    """Make a wide conjoint survey; `name` and `choice` say how columns are called."""
    table = {"ResponseId": [f"R_{i:04}" for i in range(120)], "age": rng.integers(18, 80, 120)}
    for task in tasks:
        for profile in profiles:
            for k, (attribute, levels) in enumerate(LEVELS.items(), 1):
                table[name.format(t=task, p=profile, a=attribute, k=k)] = rng.choice(levels, 120)
    for i, task in enumerate(tasks):
        table[choice(i, task)] = rng.choice(values[2 * i : 2 * i + 2] if len(values) > 4 else values, 120)
    return pd.DataFrame(table)


WIDE = {
    "choices of other numbers": ("task{t}_profile{p}_{a}", lambda i, t: f"Q{7 + 2 * i}", {}),
    "choices of a block": ("task{t}_profile{p}_{a}", lambda i, t: f"Q4.{i + 2}", {}),
    "from 0": ("c{t}_p{p}_{a}", lambda i, t: f"c{t}_choice", {"tasks": "0123", "profiles": "01"}),
    "lettered profiles": ("task{t}_{p}_{a}", lambda i, t: f"task{t}_choice", {"profiles": "AB"}),
    "sides": ("{a}_{p}_{t}", lambda i, t: f"choice_{t}", {"profiles": ["left", "right"]}),
    "lettered tasks": ("{a}{t}{p}", lambda i, t: f"choice_{t}", {"tasks": "abcd"}),
    "attribute between": ("src_{t}_attribut{k}_{p}", lambda i, t: f"Q2_screen{t}_1", {}),
    "answers by task": (
        "task{t}_profile{p}_{a}",
        lambda i, t: f"task{t}_choice",
        {"values": [f"Candidate {i + 1}" for i in range(8)]},
    ),
    "neither": ("task{t}_profile{p}_{a}", lambda i, t: f"pick{t}", {"values": ["A", "B", "Neither"]}),
    "weder noch": ("v{t}.{p}.{a}", lambda i, t: f"wahl{t}", {"values": ["Links", "Rechts", "Weder noch"]}),
}


@pytest.mark.parametrize("kind", WIDE)
def test_usual_wide_exports(tmp_path, kind):
    name, choice, more = WIDE[kind]
    table = wide_survey(np.random.default_rng(20), name, choice, **more)
    config, _ = proposed(table, tmp_path)
    assert [set(map(str, a.levels)) for a in config.design.attributes] == list(map(set, LEVELS.values()))
    assert (config.calibration.tasks, config.calibration.profiles) == (4, 2)
    assert [covariate.name for covariate in config.covariates] == ["age"]
    profiles = read_samples(config, check_design(config.design, "")).calibration.profiles
    first = table.set_index("ResponseId")[
        name.format(t=(more.get("tasks") or "1")[0], p=(more.get("profiles") or "1")[0], a="price", k=1)
    ]
    ours = profiles[(profiles["task"] == 1) & (profiles["profile"] == 1)].set_index("respondent_id")
    column = ours.columns[2]
    assert ours[column].astype(str).to_dict() == first.loc[ours.index].to_dict()
    answers = table[choice(0, (more.get("tasks") or "1")[0])].to_numpy()
    means_first = (more.get("values") or ["Option A"])[0]
    assert ours["choice"].eq(1).sum() == (answers == means_first).sum()
    may_be_none = len(more.get("values") or ()) == 3
    assert config.calibration.outcomes.choice.none_option == may_be_none
    assert profiles.groupby(["respondent_id", "task"])["choice"].sum().eq(0).any() == may_be_none


def by_position(rng, start, separator):
    """Make an export of the Conjoint Survey Design Tool with previews and a question asked late."""
    table = wide_survey(rng, "x{t}{p}{a}", lambda i, t: f"Q4.{i + 2}")
    out = table[["ResponseId", "age", "Q4.2", "Q4.3", "Q4.4", "Q4.5"]].copy()
    out.insert(1, "Status", ["Survey Preview"] * 5 + ["IP Address"] * 115)
    out["mood"] = rng.choice(["low", "high"], 120)
    orders = np.array([rng.permutation(3) for _ in range(120)])
    for t in "1234":
        for row in range(3):
            out[separator.join([start, t, str(row + 1)])] = np.array(list(LEVELS))[orders[:, row]]
            for p in "12":
                cells = table[[f"x{t}{p}{a}" for a in LEVELS]].to_numpy()
                out[separator.join([start, t, p, str(row + 1)])] = cells[np.arange(120), orders[:, row]]
    names = pd.DataFrame([list(out), ['{"ImportId": "' + name + '"}' for name in out]], columns=out.columns)
    return pd.concat([names, out]), table


@pytest.mark.parametrize(("start", "separator"), [("F", "-"), ("K", "."), ("f", "_")])
def test_attributes_in_an_order_of_their_own_for_everybody(tmp_path, start, separator):
    export, table = by_position(np.random.default_rng(21), start, separator)
    config, text = proposed(export, tmp_path)
    assert {a.name: set(map(str, a.levels)) for a in config.design.attributes} == {
        name: set(levels) for name, levels in LEVELS.items()
    }
    assert config.calibration.attribute_names == separator.join([start, "{task}", "{row}"])
    assert config.calibration.outcomes.choice.column == ["Q4.2", "Q4.3", "Q4.4", "Q4.5"]
    assert [covariate.name for covariate in config.covariates] == ["age"]
    assert "values: [Survey Preview]" in text and len(questions(text)) == 3
    assert "have an order? Nothing tells it" in text
    profiles = read_samples(config, check_design(config.design, "")).calibration.profiles
    last = profiles[(profiles["task"] == 4) & (profiles["profile"] == 2)].set_index("respondent_id")
    assert last["price"].astype(str).to_dict() == table.set_index("ResponseId")["x42price"].to_dict()


def test_check_stops_where_positions_are_taken_for_attributes(tmp_path):
    export, _ = by_position(np.random.default_rng(22), "F", "-")
    renamed = {
        f"F-{t}-{p}-{row}": f"task{t}_profile{p}_row{'abc'[row - 1]}"
        for t in "1234" for p in "12" for row in (1, 2, 3)
    }  # fmt: skip
    with pytest.raises(InputError, match="never the same level") as error:
        proposed(export.rename(columns=renamed), tmp_path)
    assert "attribute_names" in str(error.value)


def test_what_platforms_write_is_neither_attribute_nor_covariate(tmp_path):
    rng = np.random.default_rng(23)
    table = wide_survey(rng, "t{t}_p{p}_{a}", lambda i, t: f"choice{t}")
    table["gender"] = rng.choice(["f", "m"], 120)
    for name in ("Progress", "Q_RecaptchaScore", "Q3_First Click", "Q3_Page Submit", "Q3_Click Count"):
        table.insert(1, name, rng.integers(1, 6, 120))
    table.insert(1, "Duration (in seconds)", rng.permutation(120) + 200)
    config, _ = proposed(table, tmp_path)
    assert config.calibration.respondent == "ResponseId"
    assert [(c.name, c.target) for c in config.covariates] == [("age", True), ("gender", False)]


@pytest.mark.parametrize(("answers", "found"), [(["a", "b", "c", "d"], "4 tasks, 2 profiles")])
def test_a_refusal_says_how_far_the_search_came(tmp_path, answers, found):
    table = wide_survey(
        np.random.default_rng(24), "task{t}_profile{p}_{a}", lambda i, t: f"pick{t}", values=answers
    )
    with pytest.raises(InputError, match="respondents in 'ResponseId'") as error:
        proposed(table, tmp_path)
    for part in (
        found,
        "'price', 'brand', 'tag'",
        "nearest comes 'pick1' with the answers 'a', 'b', 'c', 'd'",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize(("none", "row"), [(False, None), (True, None), (True, "0"), (True, "")])
def test_choices_among_three_or_none_of_them(tmp_path, none, row):
    rng = np.random.default_rng(26)
    table = long_survey(rng).iloc[: N * 6].copy()
    table["respondent"] = np.repeat(np.arange(N), 6)
    table["task"], table["profile"] = np.arange(N * 6) // 3 % 2 + 1, np.arange(N * 6) % 3 + 1
    chosen = np.repeat(rng.integers(0 if none else 1, 4, N * 2), 3)
    table["chosen"] = (table["profile"] == chosen).astype(int)
    if row is not None:  # Sawtooth's way: a fourth row without levels
        fourth = table[table["profile"] == 3].assign(profile=4, **dict.fromkeys(LEVELS, row))
        fourth["chosen"] = (chosen[::3] == 0).astype(int)
        table = pd.concat([table, fourth]).sort_values(["respondent", "task", "profile"])
    config, text = proposed(table.drop(columns="age"), tmp_path)
    assert (config.calibration.profiles, config.calibration.analyse) == (3, "choice")
    assert [set(map(str, a.levels)) for a in config.design.attributes] == list(map(set, LEVELS.values()))
    assert config.calibration.outcomes.choice.none_option == none
    assert text.count("# DECIDE: is choosing none") == none
    profiles = read_samples(config, check_design(config.design, "")).calibration.profiles
    by_task = profiles.groupby(["respondent_id", "task"])["choice"].sum()
    assert by_task.mean() == pytest.approx((chosen > 0).mean()) and len(by_task) == N * 2


def test_one_petition_each_is_no_conjoint(tmp_path):
    rng = np.random.default_rng(27)
    table = pd.DataFrame({name: rng.choice(levels, 200) for name, levels in LEVELS.items()})
    table.insert(0, "id", np.arange(200))
    table["gave"] = rng.integers(0, 11, 200)
    with pytest.raises(InputError, match="several petitions each"):
        proposed(table, tmp_path)


def test_attributes_that_whole_tasks_lack_are_hidden_by_design(tmp_path):
    rng = np.random.default_rng(12)
    table = long_survey(rng)
    table["rating"] = rng.integers(0, 11, len(table))
    task = table.index // 2
    table["brand"] = table["brand"].where(rng.random(task.max() + 1)[task] > 0.3, "")
    config, text = proposed(table, tmp_path)
    hidden = {attribute.name: attribute.hidden for attribute in config.design.attributes}
    assert hidden == {"price": "never", "brand": "allowed", "tag": "never"}
    share = round(100 * (table["brand"] == "").mean())
    assert f"hidden: allowed # guess: empty in {share}% of the petitions" in text
