"""Labels of the config stand where artefacts have names; nothing else in a table changes."""

from __future__ import annotations

import pandas as pd

from nanotarget.report import theme
from nanotarget.report.labels import Labels, without_rule

SETTINGS = {
    "arms": [
        {"name": "control"},
        {"name": "best", "label": "One - for all"},
        {"name": "nano", "label": "Personalised"},
    ],
    "covariates": [
        {"name": "left_right", "kind": "numeric", "range": [0, 10]},
        {"name": "trust", "label": "Trust (0-10)", "kind": "numeric", "range": [0, 10]},
    ],
    "subgroups": [{"name": "support_group", "covariate": "left_right"}],
}
LABELS = Labels.from_settings(SETTINGS)


def test_names_are_written_as_people_read_them_and_unknown_ones_stay():
    table = pd.DataFrame(
        {
            "arm": ["control", "all", None],
            "contrast": ["nano - best", "best - control", None],
            "covariate": ["left_right", "(all)", "trust"],
            "grouping": ["support_group", "gender", ""],
            "group": ["support_group: base", "all", "trust"],
            "term": ["trust", "left_right: (missing)", "(constant)"],
            "reason": ["No consent (consent is not 'Yes')", "No (really)", ""],
            "note": ["who answers in 'best'", "", "'best' and 'x'"],
            "estimate": [1.0, 2.0, 3.0],
        }
    )
    shown = LABELS.table(table)
    assert shown["arm"].tolist()[:2] == ["control", "all"] and shown["arm"].isna().tolist()[2]
    assert shown["contrast"].tolist()[:2] == ["Personalised - One – for all", "One – for all - control"]
    assert shown["covariate"].tolist() == ["Left right", "(all)", "Trust (0-10)"]
    assert shown["grouping"].tolist() == ["Support group", "gender", ""]
    assert shown["group"].tolist() == ["Support group: base", "all", "trust"]
    assert shown["term"].tolist() == ["Trust (0-10)", "Left right: (missing)", "(constant)"]
    assert shown["reason"].tolist() == ["No consent", "No", ""]
    assert shown["note"].tolist() == ["who answers in 'One – for all'", "", "'One – for all' and 'x'"]
    assert shown["estimate"].equals(table["estimate"]) and list(shown) == list(table)
    assert theme.difference(shown["contrast"][0]) == "Personalised − One – for all"


def test_a_sentence_about_a_contrast_names_its_arms_by_their_labels():
    said = "The data exclude an advantage of nano over best of more than 3 points on nanotechnology."
    table = pd.DataFrame({"contrast": ["nano - best"], "sentence": [said]})
    expected = said.replace("of nano over best of", "of Personalised over One – for all of")
    assert LABELS.table(table)["sentence"].tolist() == [expected]


def test_a_table_without_rows_and_one_without_names_stay_as_they_are():
    empty = pd.DataFrame({"arm": [], "contrast": []})
    assert LABELS.table(empty).empty
    assert without_rule("Speeder") == "Speeder"
