"""Rows of tasks, and petitions listed in a file of their own, read as the long layout reads them."""

import numpy as np
import pandas as pd
import pytest

from nanotarget.clean.calibration import read_calibration
from nanotarget.petitions.design import Design
from nanotarget.study.config import CalibrationConfig, DesignConfig
from nanotarget.study.problems import InputError

LEVELS = {"price": ["1", "2", "3"], "brand": ["a", "b"]}
DESIGN = Design.from_config(
    DesignConfig.model_validate({"attributes": [{"name": n, "levels": v} for n, v in LEVELS.items()]})
)


@pytest.fixture
def survey():
    """Draw 30 people x 4 tasks x 2 profiles; who has a version sees its petitions."""
    rng = np.random.default_rng(3)
    n, tasks = 30, 4
    version = rng.integers(1, 4, n)
    listed = {name: rng.choice(levels, (3, tasks, 2)) for name, levels in LEVELS.items()}
    shown = {name: cells[version - 1] for name, cells in listed.items()}
    return version, listed, shown, rng.integers(1, 3, (n, tasks)), rng.integers(0, 11, (n, tasks, 2))


def read(folder, table, **config):
    table.to_csv(folder / "data.csv", index=False)
    settings = {"file": str(folder / "data.csv"), "respondent": "id", "analyse": "choice", "tasks": 4}
    found = read_calibration(CalibrationConfig.model_validate(settings | config), DESIGN, [])
    return found.profiles


def long(survey, folder):
    _, _, shown, chosen, rated = survey
    n, tasks = chosen.shape
    table = {"id": np.repeat(np.arange(n), tasks * 2), "task": np.tile(np.repeat(np.arange(tasks) + 1, 2), n)}
    table |= {name: cells.ravel() for name, cells in shown.items()}
    table |= {"chosen": (chosen.ravel().repeat(2) == np.tile([1, 2], n * tasks)).astype(int)}
    outcomes = {"choice": {"column": "chosen"}, "rating": {"column": "rated", "range": [0, 10]}}
    return read(folder, pd.DataFrame(table | {"rated": rated.ravel()}), task="task", outcomes=outcomes)


def beside(survey):
    _, _, shown, chosen, rated = survey
    n, tasks = chosen.shape
    table = {"id": np.repeat(np.arange(n), tasks), "task": np.tile(np.arange(tasks) + 1, n)}
    for j, letter in enumerate("AB"):
        table |= {f"{name}_{letter}": cells[:, :, j].ravel() for name, cells in shown.items()}
        table |= {f"rated_{letter}": rated[:, :, j].ravel()}
    return pd.DataFrame(table | {"choice": np.array(["A", "B"])[chosen.ravel() - 1]})


TASK_LAYOUT = {
    "layout": "task",
    "attribute_columns": "{attribute}_{profile}",
    "profile_values": ["A", "B"],
    "outcomes": {
        "choice": {"column": "choice", "chosen_values": ["A", "B"]},
        "rating": {"column": "rated_{profile}", "range": [0, 10]},
    },
}


def test_rows_of_tasks(survey, tmp_path):
    expected, table = long(survey, tmp_path), beside(survey)
    pd.testing.assert_frame_equal(read(tmp_path, table, task="task", **TASK_LAYOUT), expected)
    pd.testing.assert_frame_equal(read(tmp_path, table.drop(columns="task"), **TASK_LAYOUT), expected)
    mixed = table.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(read(tmp_path, mixed, task="task", **TASK_LAYOUT), expected)


def test_a_task_twice_is_refused(survey, tmp_path):
    table = beside(survey)
    with pytest.raises(InputError, match="the same respondent, task and profile more than once"):
        read(tmp_path, pd.concat([table, table.iloc[[5]]]), task="task", **TASK_LAYOUT)


def listing(survey, folder):
    _, listed, *_ = survey
    shape = listed["price"].shape
    version, task, profile = (cells.ravel() + 1 for cells in np.indices(shape))
    table = pd.DataFrame({"Version": version, "Task": task, "Concept": profile})
    table = table.assign(**{name: cells.ravel() for name, cells in listed.items()})
    table.sample(frac=1, random_state=2).to_csv(folder / "design.csv", index=False)
    where = {"file": str(folder / "design.csv"), "version": "Version", "version_shown": "seen"}
    return table, where | {"task": "Task", "profile": "Concept"}


def answers(survey):
    version, _, _, chosen, rated = survey
    table = {"id": np.arange(len(version)), "seen": version}
    table |= {f"Q{t + 1}": chosen[:, t] for t in range(chosen.shape[1])}
    table |= {f"r{t + 1}_{p + 1}": rated[:, t, p] for t in range(chosen.shape[1]) for p in (0, 1)}
    return pd.DataFrame(table)


WIDE = {
    "layout": "wide",
    "outcomes": {
        "choice": {"column": "Q{task}"},
        "rating": {"column": "r{task}_{profile}", "range": [0, 10]},
    },
}


def test_a_second_file_lists_the_petitions(survey, tmp_path):
    expected = long(survey, tmp_path)
    _, shown = listing(survey, tmp_path)
    pd.testing.assert_frame_equal(read(tmp_path, answers(survey), shown=shown, **WIDE), expected)


def test_version_0_was_shown_to_everyone(survey, tmp_path):
    _, listed, shown, *_ = survey
    for name, cells in listed.items():  # all see the last task of the first version
        shown[name][:, 3] = cells[0, 3]
    expected = long(survey, tmp_path)
    table, where = listing(survey, tmp_path)
    table.loc[(table["Version"] == 1) & (table["Task"] == 4), "Version"] = 0
    table = table[(table["Task"] < 4) | (table["Version"] == 0)]
    table.to_csv(tmp_path / "design.csv", index=False)
    pd.testing.assert_frame_equal(read(tmp_path, answers(survey), shown=where, **WIDE), expected)


def test_what_the_second_file_lacks_is_said_at_once(survey, tmp_path):
    table, shown = listing(survey, tmp_path)
    pd.concat([table.iloc[1:], table.iloc[[4]]]).to_csv(tmp_path / "design.csv", index=False)
    with pytest.raises(InputError) as error:
        read(tmp_path, answers(survey), shown=shown, **WIDE)
    assert "has no row for this version, task and profile" in str(error.value)
    assert "design.csv" in str(error.value)
    assert "the same version, task and profile more than once" in str(error.value)
    with pytest.raises(InputError, match=r"calibration\.shown\.profile"):
        read(tmp_path, answers(survey), shown=shown | {"profile": "Card"}, **WIDE)


NONE_ROWS = {
    "profiles": 3,
    "task": "task",
    "profile": "concept",
    "outcomes": {"choice": {"column": "chosen", "none_option": True, "none_of_them": [0]}},
}


def menus(none="0"):
    """Rows as Sawtooth writes them: three concepts a task, and a fourth row that is none of them."""
    rng = np.random.default_rng(4)
    n, tasks = 30, 4
    key = np.repeat(np.arange(n * tasks), 4)
    concept = np.tile([1, 2, 3, 4], n * tasks)
    table = {"id": key // tasks, "task": key % tasks + 1, "concept": concept}
    for name, levels in LEVELS.items():
        table[name] = np.where(concept == 4, none, rng.choice(levels, len(key)))
    return pd.DataFrame(table | {"chosen": (concept == rng.integers(1, 5, n * tasks).repeat(4)).astype(int)})


@pytest.mark.parametrize("none", ["0", ""])
def test_a_row_without_levels_stands_for_none(tmp_path, none):
    table = menus(none)
    found = read(tmp_path, table, **NONE_ROWS)
    left_out = read(tmp_path, table[table["concept"] < 4], **NONE_ROWS)
    pd.testing.assert_frame_equal(found, left_out)
    assert len(found) == 360 and found.groupby(["respondent_id", "task"])["choice"].sum().min() == 0
    # Without numbers of concepts rows are counted.
    counted = read(tmp_path, table.drop(columns="concept"), **{**NONE_ROWS, "profile": None})
    pd.testing.assert_frame_equal(found, counted)


def test_a_task_that_nobody_reached_has_no_row_for_none(tmp_path):
    table = menus("")
    gone = table["task"].eq(4) & table["id"].eq(7)
    table = table.astype({"chosen": object})
    table.loc[gone, ["price", "brand", "chosen"]] = ""
    assert len(read(tmp_path, table, **NONE_ROWS)) == 357


def test_a_row_for_none_that_is_not_chosen_alone_is_refused(tmp_path):
    table = menus()
    first = table["task"].eq(1) & table["id"].eq(0)
    table.loc[first, "chosen"] = 0
    table.loc[table["task"].eq(2) & table["id"].eq(0) & table["concept"].isin([1, 4]), "chosen"] = 1
    table.loc[table["task"].eq(3) & table["id"].eq(0) & table["concept"].eq(3), ["price", "brand"]] = "0"
    with pytest.raises(InputError) as refused:
        read(tmp_path, table, **NONE_ROWS)
    said = [str(problem) for problem in refused.value.problems]
    assert any(
        "rows 5, 9" in text and "not exactly one row of a task with a row for none" in text for text in said
    ), said
    assert any(
        "rows 12, 13" in text and "more than one row of a task has no levels" in text for text in said
    ), said
