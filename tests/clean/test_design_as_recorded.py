"""What the raw file says of the design: followers, hidden attributes, one petition each."""

import numpy as np
import pandas as pd
import pytest

from nanotarget.clean.calibration import read_calibration
from nanotarget.petitions.design import Design
from nanotarget.study.config import HIDDEN, CalibrationConfig, DesignConfig
from nanotarget.study.problems import InputError
from nanotarget.study.seeds import child_rng

LEVELS = {"price": ["10", "20", "30"], "brand": ["North", "South", "West"], "label": ["none", "green"]}


def recorded(tasks=4, profiles=2, people=60):
    """A long file of a rated survey, with two columns that analysts add."""
    rng = child_rng(1, "recorded")
    n = people * tasks * profiles
    table = pd.DataFrame({name: rng.choice(levels, n) for name, levels in LEVELS.items()})
    table["cheap"] = np.where(table["price"] == "10", "yes", "no")
    table["both"] = (table["price"] == "10").map({True: "c", False: "d"}) + table["label"].str[:1]
    table["id"] = np.repeat([f"p{i:03}" for i in range(people)], tasks * profiles)
    table["task"] = np.tile(np.repeat(np.arange(1, tasks + 1), profiles), people)
    table["profile"] = np.tile(np.arange(1, profiles + 1), people * tasks)
    table["rating"] = rng.integers(0, 11, n)
    return table


def read(folder, table, attributes, dependent=(), **more):
    path = folder / "survey.csv"
    table.to_csv(path, index=False)
    design = DesignConfig.model_validate({"attributes": attributes, "dependent": list(dependent)})
    config = {
        "file": str(path),
        "respondent": "id",
        "task": "task",
        "profile": "profile",
        "outcomes": {"rating": {"column": "rating", "range": [0, 10]}},
        "analyse": "rating",
    }
    return read_calibration(CalibrationConfig.model_validate(config | more), Design.from_config(design), [])


def attributes(*more, **of_price):
    plain = [{"name": name, "levels": levels} for name, levels in LEVELS.items()]
    plain[0] |= of_price
    return [*plain, *more]


CHEAP = {"name": "cheap", "levels": ["no", "yes"]}
BOTH = {"name": "both", "levels": ["cn", "cg", "dn", "dg"]}


def problems(folder, *arguments, **more):
    with pytest.raises(InputError) as refused:
        read(folder, *arguments, **more)
    return [(problem.what, problem.remedy) for problem in refused.value.problems]


def test_columns_that_follow_from_attributes_are_named_with_what_they_follow_from(tmp_path):
    found = problems(tmp_path, recorded(), attributes(CHEAP, BOTH))
    assert [what.split(":")[0] for what, _ in found] == [
        "'both' follows from 'price', 'label'",
        "'cheap' follows from 'price'",
    ]
    assert "derived_from: [price]" in found[1][1]


def test_what_the_config_says_to_follow_does_so(tmp_path):
    said = read(tmp_path, recorded(), attributes(CHEAP | {"derived_from": ["price"]}))
    assert said.profiles["cheap"].notna().all() and said.questions == ()
    assert read(tmp_path, recorded(), attributes(CHEAP), dependent=[["price", "cheap"]]).questions == ()
    ((what, remedy),) = problems(tmp_path, recorded(), attributes(CHEAP | {"derived_from": ["brand"]}))
    assert what.startswith("'cheap' does not follow from 'brand'") and "derived_from" in remedy


def test_a_few_rows_are_no_proof_that_an_attribute_follows_from_another(tmp_path):
    few = recorded(people=12, tasks=1, profiles=2)
    assert read(tmp_path, few, attributes(CHEAP)).questions[:1] == ()


def hiding(table, share=0.3, by_task=True):
    rng = child_rng(2, "hiding")
    code = table.groupby(["id", "task"]).ngroup() if by_task else pd.Series(range(len(table)))
    hidden = rng.random(code.max() + 1)[code] < share
    return table.assign(price=table["price"].where(~hidden, "")), hidden


def test_an_empty_cell_is_hidden_only_if_the_config_says_so(tmp_path):
    table, hidden = hiding(recorded())
    ((what, remedy),) = problems(tmp_path, table, attributes())
    n = int(hidden.sum())
    assert f"'price' is missing in {n} of 480 petitions" in what and f"{n} of them in all petitions" in what
    assert "'hidden: allowed'" in remedy
    said = read(tmp_path, table, attributes(hidden="allowed"))
    assert ((said.profiles["price"] == HIDDEN) == hidden).all() and said.questions == ()
    quality = said.quality[(said.quality["check"] == "level_frequency") & (said.quality["item"] == "price")]
    assert quality["p_value"].dropna().gt(0.01).all(), "the share hidden is taken from the survey"


def test_a_petition_of_which_nothing_is_recorded_is_missing_and_not_hidden(tmp_path):
    table, _ = hiding(recorded())
    table.loc[7, list(LEVELS)] = ""
    every = [{"name": name, "levels": levels, "hidden": "allowed"} for name, levels in LEVELS.items()]
    found = problems(tmp_path, table, every)
    assert len(found) == 3 and all("is missing in 1 of 480" in what for what, _ in found)


def test_texts_that_say_hidden_leave_empty_cells_missing(tmp_path):
    table, hidden = hiding(recorded())
    table["price"] = table["price"].replace("", "not shown")
    said = read(tmp_path, table, attributes(hidden="option", hidden_values=["Not shown"]))
    assert ((said.profiles["price"] == HIDDEN) == hidden).all()
    table.loc[3, "price"] = ""
    ((what, remedy),) = problems(tmp_path, table, attributes(hidden="option", hidden_values=["Not shown"]))
    assert "is missing in 1 of 480" in what and "write 'Not shown'" in remedy
    as_level = attributes()
    as_level[0] = as_level[0] | {"levels": ["10", "20", "30", "Not shown"]}
    (question,) = read(tmp_path, table.drop(index=[2, 3]), as_level).questions
    assert "'price' has the level 'Not shown', which can be assigned" in question


def test_hiding_in_one_petition_of_a_task_is_asked_about_where_it_is_rare(tmp_path):
    table, hidden = hiding(recorded())
    shown = np.flatnonzero(~hidden)[0]
    table.loc[shown, "price"] = ""
    (question,) = read(tmp_path, table, attributes(hidden="allowed")).questions
    assert "in 1 only in some: perhaps its level is missing there" in question
    table, _ = hiding(recorded(), by_task=False)
    assert read(tmp_path, table, attributes(hidden="allowed")).questions == ()


def test_one_petition_each_is_said_with_counts(tmp_path):
    table = recorded(tasks=1, profiles=1, people=90)
    (question,) = read(tmp_path, table, attributes(), profiles=1).questions
    assert question.startswith("Each of the 90 respondents answered about one petition")
    assert read(tmp_path, table, attributes(), profiles=1, tasks=1).questions == ()
    assert read(tmp_path, recorded(), attributes()).questions == ()


def test_the_row_of_an_attribute_is_kept_where_the_order_was_drawn(tmp_path):
    long, rng = recorded(people=30, tasks=2), child_rng(5, "order")
    names, wide = list(LEVELS), []
    order = {person: rng.permutation(names) for person in long["id"].unique()}
    for person, own in long.groupby("id"):
        cells = {"id": person}
        for shown in own.itertuples():
            for row, name in enumerate(order[person], 1):
                cells[f"name{shown.task}_{row}"] = name
                cells[f"level{shown.task}_{shown.profile}_{row}"] = getattr(shown, name)
            cells[f"rating{shown.task}_{shown.profile}"] = shown.rating
        wide.append(cells)
    keys = {
        "layout": "wide",
        "task": None,
        "profile": None,
        "tasks": 2,
        "attribute_columns": "level{task}_{profile}_{row}",
        "attribute_names": "name{task}_{row}",
        "outcomes": {"rating": {"column": "rating{task}_{profile}", "range": [0, 10]}},
    }
    said = read(tmp_path, pd.DataFrame(wide), attributes(), **keys)
    assert said.profiles[names].astype("str").equals(long[names].astype("str"))
    wanted = [[list(order[person]).index(name) + 1 for name in names] for person in long["id"]]
    assert said.rows[names].to_numpy().tolist() == wanted
    assert said.rows["respondent_id"].equals(said.profiles["respondent_id"])
    assert read(tmp_path, long, attributes()).rows is None
