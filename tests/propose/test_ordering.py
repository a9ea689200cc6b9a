"""The order of levels: amounts, grades, labels of the file, a codebook."""

import numpy as np
import pandas as pd
import pytest

from manual_layouts import PUBLISHED
from nanotarget.propose import propose
from nanotarget.propose.amounts import amount
from nanotarget.propose.ordering import ALPHABET, ordered
from nanotarget.propose.vocabulary import vocabulary


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["€100", "€5", "none"], ["none", "€5", "€100"]),
        (["1,500", "900", "20k"], ["900", "1,500", "20k"]),
        (["-5%", "0%", "3.5%"], ["-5%", "0%", "3.5%"]),
        (["Yes", "No"], ["No", "Yes"]),
        (["Often", "Never", "Sometimes"], ["Never", "Sometimes", "Often"]),
        (["Master", "Primary", "High school"], ["Primary", "High school", "Master"]),
        (["<25k", "25-50k", "50-100k", ">100k"], ["<25k", "25-50k", "50-100k", ">100k"]),
        (["under 18", "18-34", "35 to 64", "65+"], ["under 18", "18-34", "35 to 64", "65+"]),
        (["$10,000-$35,000", "$35,000-$60,000"], ["$10,000-$35,000", "$35,000-$60,000"]),
        (["1 of 2: 20%", "1 of 2: 5%"], ["1 of 2: 5%", "1 of 2: 20%"]),
        (
            ["Agree", "Strongly agree", "Neither agree nor disagree", "Disagree", "Strongly disagree"],
            ["Strongly disagree", "Disagree", "Neither agree nor disagree", "Agree", "Strongly agree"],
        ),
        (["hoch", "niedrig", "mittel"], ["niedrig", "mittel", "hoch"]),
        (["a menudo", "nunca", "a veces"], ["nunca", "a veces", "a menudo"]),
        (["très important", "peu important"], ["peu important", "très important"]),
        (["b", "A", "No c"], ["No c", "A", "b"]),
        (["Zone 1a", "Zone 1b"], ["Zone 1a", "Zone 1b"]),
        (["1 year", "2 weeks", "3 months"], ["2 weeks", "3 months", "1 year"]),
        (["5 m", "2 km", "800 m"], ["5 m", "800 m", "2 km"]),
        (["2.500 €", "900 €", "10.000 €"], ["900 €", "2.500 €", "10.000 €"]),
        (["1.5", "1.25", "1.125"], ["1.125", "1.25", "1.5"]),
        (["5% more", "no change", "5% less", "10% less"], ["10% less", "5% less", "no change", "5% more"]),
        (["less than 2", "2 to 5", "more than 5"], ["less than 2", "2 to 5", "more than 5"]),
        (
            ["daily", "once a week", "never", "twice a week"],
            ["never", "once a week", "twice a week", "daily"],
        ),
        (["Two children", "No children", "One child"], ["No children", "One child", "Two children"]),
        (
            ["not very fair", "very fair", "not at all fair"],
            ["not at all fair", "not very fair", "very fair"],
        ),
        (
            ["rather satisfied", "very dissatisfied", "neither", "rather dissatisfied"],
            ["very dissatisfied", "rather dissatisfied", "neither", "rather satisfied"],
        ),
        (["Veteran", "Not a veteran"], ["Not a veteran", "Veteran"]),
        (["Mit Rabatt", "Ohne Rabatt"], ["Ohne Rabatt", "Mit Rabatt"]),
    ],
)
def test_order_of_levels(texts, expected):
    assert ordered(texts)[0] == expected
    assert ordered(texts[::-1])[0] == expected


def test_a_date_is_no_amount():
    assert amount("1.2.2020") is None
    assert amount("no number") is None


@pytest.mark.parametrize("study", PUBLISHED)
def test_published_orders(study):
    for name, levels in PUBLISHED[study].items():
        if not name.endswith("*"):
            assert ordered(sorted(levels))[0] == levels, name


@pytest.mark.parametrize(
    "texts",
    [
        ["Energy", "Housing", "Transport"],
        ["Doctor", "High school teacher", "Nurse"],
        ["Female", "Male"],
        ["Tax cut", "Tax on carbon", "Taxi"],
        ["Middle Eastern", "Small farmer", "Upper Silesia"],
    ],
)
def test_names_are_in_the_order_of_the_alphabet_and_marked(texts):
    assert ordered(texts[::-1]) == (texts, ALPHABET)


def test_labels_of_a_file_come_first():
    assert ordered(["High", "Low", "Other"], ["Other", "High", "Low"])[0] == ["Other", "High", "Low"]
    assert ordered(["High", "Low"], ["High"])[0] == ["Low", "High"]


def test_no_text_has_two_rungs_of_a_scale():
    assert all(scale for scale in vocabulary().scales.values())
    assert not vocabulary().middles & set(vocabulary().degrees)


def _survey(rng, n=40):
    colours, tools = ["red", "green", "blue"], ["tax", "ban"]
    chosen = rng.integers(0, 2, n * 3)
    return pd.DataFrame(
        {
            "id": np.repeat(np.arange(n), 6),
            "task": np.tile(np.repeat([1, 2, 3], 2), n),
            "colour": pd.Categorical(rng.choice(colours, n * 6), colours),
            "tool": pd.Categorical(rng.choice(tools, n * 6), tools),
            "chosen": np.stack([chosen, 1 - chosen], axis=1).ravel(),
        }
    )


def test_categories_of_parquet_are_labels(tmp_path):
    _survey(np.random.default_rng(1)).to_parquet(tmp_path / "data.parquet")
    found = propose([str(tmp_path / "data.parquet")]).conjoint
    assert [a.levels for a in found.attributes] == [["red", "green", "blue"], ["tax", "ban"]]
    assert found.attributes[0].reason == "of the labels in the file"


def test_a_codebook_tells_the_order(tmp_path):
    _survey(np.random.default_rng(1)).to_csv(tmp_path / "data.csv", index=False)
    lines = [("colour", "red"), ("colour", "green"), ("colour", "blue"), ("tool", "tax"), ("tool", "ban")]
    book = pd.DataFrame(lines, columns=["attribute", "level"])
    book.to_csv(tmp_path / "levels.csv", index=False)
    found = propose([str(tmp_path / "levels.csv"), str(tmp_path / "data.csv")]).conjoint
    assert [a.levels for a in found.attributes] == [["red", "green", "blue"], ["tax", "ban"]]
    assert found.attributes[0].reason.endswith("levels.csv")
    shown = pd.read_csv(tmp_path / "data.csv")["colour"].value_counts(normalize=True)
    assert found.attributes[0].shares == pytest.approx(shown[["red", "green", "blue"]].tolist(), abs=1e-4)
