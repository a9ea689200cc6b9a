"""What a survey platform imports."""

import io
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotarget.assign.fielding import Fielded, fielding_table
from nanotarget.petitions.design import Design
from nanotarget.study import artefacts
from nanotarget.study.checks import FIELDING
from nanotarget.study.config import AttributeConfig, DesignConfig, RosterArmConfig

ARMS = [
    RosterArmConfig(name="control"),
    RosterArmConfig(name="best", policy="overall_best"),
    RosterArmConfig(name="nano", policy="nano"),
]
DESIGN = Design.from_config(
    DesignConfig(
        attributes=[
            AttributeConfig(name="Cost", levels=["-5 %", "+5 %"], column="cost"),
            AttributeConfig(name="Who", levels=['Seek "better" Job', "@home, <br>"], column="who"),
        ],
        petition_text="{{ petition['Cost'] }}\nfor {{ petition['Who'] }}",
    )
)


@pytest.fixture
def table():
    ids = ["=1+1", "b", "c"]
    levels = DESIGN.petition_levels([0, 3, 1, 2, 0, 3])
    assignments = pd.DataFrame({"respondent_id": [i for i in ids for _ in range(2)]})
    assignments["policy"] = ["overall_best", "nano"] * 3
    assignments["petition_id"] = DESIGN.petition_ids(levels)
    assignments = pd.concat([assignments, DESIGN.frame(levels)], axis=1)
    drawn = pd.DataFrame({"respondent_id": ids, "arm": ["nano", "control", "best"], "block": ""})
    names = pd.DataFrame({"respondent_id": ids, "id": ids})
    return fielding_table(Fielded(drawn, assignments, names), ARMS, DESIGN)


def test_everybody_gets_the_petition_of_the_arm_and_control_none(table):
    assert list(table.columns) == [
        "respondent_id",
        "arm",
        "policy",
        "petition_id",
        "cost",
        "who",
        "petition_text",
    ]
    # What the config refuses as attributes' columns; the last one is added where data are simulated.
    assert {*table.columns, "simulated"} == {*FIELDING, "cost", "who"}
    assert table["petition_id"].tolist() == [3, pd.NA, 0]
    assert table["cost"].tolist()[::2] == ["+5 %", "-5 %"]
    assert table["petition_text"].tolist()[::2] == ["+5 %\nfor @home, <br>", '-5 %\nfor Seek "better" Job']
    assert table.loc[1, ["policy", "petition_id", "cost", "who", "petition_text"]].isna().all()


def test_the_file_reads_back_and_no_cell_is_a_formula(table, tmp_path):
    path = tmp_path / "fielding.csv"
    artefacts.write_csv(table, path)
    read = pd.read_csv(path, dtype="str", keep_default_na=False, na_values=[""])
    assert read["respondent_id"].tolist() == ["'=1+1", "b", "c"]
    assert read["petition_id"].tolist()[::2] == ["3", "0"]
    assert read.loc[0, "petition_text"] == "'+5 %\nfor @home, <br>"
    back = artefacts.read_csv(path, dtype="str")
    pd.testing.assert_frame_equal(back, table.astype("str"))


def test_nobody_gets_a_petition_without_a_policy():
    drawn = pd.DataFrame({"respondent_id": ["a"], "arm": ["control"]})
    nobody = pd.DataFrame({"respondent_id": [], "policy": [], "petition_id": [], "Cost": [], "Who": []})
    names = pd.DataFrame({"respondent_id": ["a"], "id": ["a"]})
    people = Fielded(drawn, nobody, names)
    assert fielding_table(people, ARMS, DESIGN)["petition_text"].isna().all()


@given(st.lists(st.text("=+-@＝＋－＠'\t\r\n ab", max_size=4), min_size=1), st.text("=+-@'a", min_size=1))
def test_the_treatment_is_safe_and_can_be_undone(texts, header):
    safe = artefacts.without_formulas(pd.DataFrame({header: texts}))
    assert not any(cell.strip()[:1] in tuple("=+-@＝＋－＠") for cell in safe.iloc[:, 0] if cell.strip())
    assert [cell.removeprefix("'") for cell in safe.iloc[:, 0]] == texts
    assert safe.columns[0].removeprefix("'") == header


def test_no_text_beside_formulas_is_touched():
    shown = ["-0.12", "-1e-05", "-0.12 [-0.3, 0.1]", "+3 (1, 2)"]
    table = pd.DataFrame({"a": ["Less = more", "5 - 3", "", None], "n": [1, -2, 3, 4], "shown": shown})
    buffers = [io.StringIO(), io.StringIO()]
    table.to_csv(buffers[0])
    artefacts.without_formulas(table).to_csv(buffers[1])
    assert buffers[0].getvalue() == buffers[1].getvalue()


CELLS = st.text("=-'a1,\"\r\n ;é", max_size=3) | st.none()
KINDS = {
    "text": lambda cells: pd.Series(cells, dtype="str"),
    "levels": lambda cells: pd.Series(cells, dtype="str").astype("category"),
    "whole": lambda cells: pd.Series([None if cell is None else len(cell) for cell in cells], dtype="Int64"),
    "true": lambda cells: pd.Series([cell is None for cell in cells], dtype="bool"),
    "share": lambda cells: pd.Series([len(cell or "") / 3 for cell in cells], dtype="float64"),
}


@given(
    st.lists(CELLS, max_size=6), st.lists(st.sampled_from(list(KINDS)), min_size=1, unique=True), st.data()
)
def test_a_table_that_is_written_in_parts_has_the_bytes_of_the_whole(cells, kinds, data):
    table = pd.DataFrame({kind: KINDS[kind](cells) for kind in kinds})
    cut = data.draw(st.integers(0, len(cells)))
    with tempfile.TemporaryDirectory() as folder:
        whole, parts = Path(folder) / "whole.csv", Path(folder) / "parts.csv"
        artefacts.write_csv(table, whole)
        artefacts.write_csv_parts([table.iloc[:cut], table.iloc[cut:]], parts)
        assert parts.read_bytes() == whole.read_bytes()


def test_whoever_is_missing_from_a_table_or_there_twice_is_not_passed_over():
    ids = pd.DataFrame({"respondent_id": ["a", "b"], "id": ["1", "2"]})
    drawn = pd.DataFrame({"respondent_id": ["a", "b"], "arm": ["best", "control"]})
    levels = DESIGN.petition_levels([0])
    given = pd.DataFrame({"respondent_id": ["a"], "policy": ["overall_best"], "petition_id": [0]})
    given = pd.concat([given, DESIGN.frame(levels)], axis=1)
    for people in (
        Fielded(drawn, given, ids.head(1)),
        Fielded(drawn, given.head(0), ids),
        Fielded(drawn.iloc[[0, 0]], given, ids),
    ):
        with pytest.raises(ValueError, match="same people"):
            fielding_table(people, ARMS, DESIGN)
