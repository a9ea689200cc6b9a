"""A file that says what codes of levels mean, as Sawtooth writes it."""

import pandas as pd
import pytest

from nanotarget.clean.cells import Table
from nanotarget.clean.labels import entry_of, labelled, read_labels
from nanotarget.study.config import LabelsConfig

CONFIG = LabelsConfig(file="labels.csv", attribute="Attribute", code="Level", label="Label")
ROWS = [("Price", 1, "$10"), ("Price", 2, "$20"), ("Colour", 1, "red"), ("Colour", 2, "blue")]


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def read_rows(rows):
        pd.DataFrame(rows, columns=["Attribute", "Level", "Label"]).to_csv("labels.csv", index=False)
        problems = []
        return read_labels(CONFIG, problems), problems

    return read_rows


def cells(*texts):
    raw = pd.DataFrame({"Att 1 - Price": pd.array(texts, dtype="str")})
    raw.attrs["codes"] = {}
    return Table(raw, "design.csv").cells("Att 1 - Price")


def test_labels_stand_in_the_place_of_codes(read):
    labels, problems = read(ROWS)
    shown = cells("2", "1.0", None, "$20")
    assert labelled(shown, "Att 1 - Price", "Att 1 - Price", labels).text.tolist()[:2] == ["$20", "$10"]
    assert labelled(shown, "price", "x", labels).text.fillna("").tolist() == ["$20", "$10", "", "$20"]
    assert not problems and not shown.table.problems


def test_codes_without_a_label_are_refused(read):
    shown = cells("3")
    labelled(shown, "Price", "Price", read(ROWS)[0])
    labelled(shown, "Size", "Size", read(ROWS)[0])
    said = [str(problem) for problem in shown.table.problems]
    assert "'3' is no code of 'Price'" in said[0] and "one of '1', '2'" in said[0]
    assert "the file of labels has no attribute 'Size', but 'price', 'colour'" in said[1]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("Price", 1, "$30"), "the same code of one attribute more than once"),
        (("Price", 3, "$20"), "the same label of one attribute more than once"),
        (("Price", 3, None), "the label is missing"),
    ],
)
def test_labels_must_be_clear(read, row, says):
    assert says in str(read([*ROWS, row])[1][0])


@pytest.mark.parametrize(
    ("name", "entry"),
    [("PRICE", "price"), ("att2_price", "price"), ("Att 3 - full price", "full price"), ("priced", None)],
)
def test_names_of_attributes(name, entry):
    assert entry_of([name], ["price", "full price"]) == entry
