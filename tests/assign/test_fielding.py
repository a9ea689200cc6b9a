"""What a survey platform imports."""

import io

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
