"""What a study owes people, authorities and reviewers in words, filled from it; blanks are marked."""

import json
import re
import stat
from pathlib import Path

import pandas as pd
import pytest

from nanotarget import cli
from nanotarget.report import transparency
from nanotarget.report.transparency import BLANK, BLANKS, Counts
from nanotarget.study.checks import read_study
from tiny_study import tiny_study

COUNTS = Counts(learned_from=30, people=60, versions=7, possible=24)
NASTY = '<script>alert("x")</script> & {{ 7 * 7 }}'


def study_of(folder, **changes):
    tiny = tiny_study()
    tiny.config |= {"title": NASTY, **changes}
    return read_study(tiny.write(folder))


@pytest.fixture(scope="module")
def templates(project):
    folder = project / "workflow/nanotarget/report/templates"
    return {
        path.name: path.read_text("utf-8")
        for path in folder.iterdir()
        if path.suffix != ".bib" and path.name != "deposit.md.j2"
    }


def said(items, title):
    return " ".join(item.text for item in items if item.title == title)


def test_a_notice_is_filled_from_the_study_and_marks_what_only_the_sponsor_knows(tmp_path, templates):
    study = study_of(tmp_path, notice={"sponsor": "A sponsor", "special_categories": ["party"]})
    items = transparency.notice(study, "ridge", COUNTS)
    points = {item.point for item in items}
    assert {f"Article 12(1)({letter})" for letter in "abcdefghijkm"} <= points
    assert said(items, "Sponsor") == "A sponsor"
    assert "party (None; Left; Right)" in said(items, "Audience and parameters")
    assert "Special categories" in (told := said(items, "Categories of personal data")) and "18(1)(c)" in told
    assert said(items, "Number of people and of versions").startswith("60 people, 7 versions")
    assert "best overall" in said(items, "Who is left out")
    assert "24 possible petitions" in said(items, "Goal, mechanism and logic")
    content = transparency.as_json(items, study)
    assert content["blanks"] == sum(item.blank for item in items) > 10
    page = transparency.render_notice(templates, study, items)
    assert page.count(f"[{BLANK}]") == content["blanks"] and "script-src &#39;none&#39;" in page
    assert NASTY not in page and "{{ 7 * 7 }}" in page  # shown as it is, neither run nor evaluated


def test_a_notice_names_no_special_category_that_the_sponsor_has_not_named_and_says_so(tmp_path):
    items = transparency.notice(study_of(tmp_path), "bart", COUNTS)
    assert "named none of them" in said(items, "Categories of personal data")
    assert "decision trees" in said(items, "Goal, mechanism and logic")


def test_petitions_and_people_are_counted_from_the_assignment(tmp_path):
    petitions = pd.DataFrame({"petition_id": [1, 2, 3], "n_overall_best": [0, 60, 0], "n_nano": [20, 40, 0]})
    learners = pd.DataFrame(
        {
            "learner": ["ridge", "bart"],
            "outcome": ["rating", "rating"],
            "chosen": [False, True],
            "n": [30, 29],
        }
    )
    learner, counts = transparency.counted(study_of(tmp_path), learners, petitions)
    assert learner == "bart" and counts == Counts(29, 60, 2, 24)


CARD = ("Model details", "Intended use", "Factors", "Metrics", "Evaluation data and training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations")  # fmt: skip
SHEET = ("Motivation", "Composition", "Collection process", "Preprocessing, cleaning, labelling", "Uses",
         "Distribution", "Maintenance")  # fmt: skip


def test_model_card_and_data_sheet_have_every_section_and_mark_what_is_unknown(tmp_path, templates):
    told = {
        "flow": [("calibration", 30, 28)],
        "learner": "ridge",
        "plain": "a regression",
        "counts": COUNTS,
        "losses": [
            {"learner": "ridge", "outcome": "rating", "loss": 1.5, "loss_null": 2.0, "n": 28, "chosen": True}
        ],
        "verdict": {"overall": "COLLECT MORE", "text": "A text.", "reasons": ["One."]},
        "digest": "c0ffee",
    }
    texts = transparency.sheets(templates, study_of(tmp_path), told)
    for name, sections in {"model_card": CARD, "data_sheet": SHEET}.items():
        assert tuple(re.findall(r"^## (.*)$", texts[name], re.M)) == sections
        assert BLANKS in texts[name]
    assert (
        "| ridge | rating | 1.5 | 2 | 28 | yes |" in texts["model_card"] and "c0ffee" in texts["model_card"]
    )
    assert "| calibration | 30 | 28 |" in texts["data_sheet"] and "email" in texts["data_sheet"]
    assert "{{ 7 * 7 }}" in texts["data_sheet"]


def test_the_flow_is_told_by_its_ends():
    flow = pd.DataFrame(
        [("a", "all", 10, 9), ("a", "all", 9, 8), ("b", "nano", 3, 3), ("b", "all", 5, 4)],
        columns=["sample", "arm", "n_before", "n_after"],
    )
    assert transparency.ends(flow) == [("a", "10", "8"), ("b", "5", "4")]


HERS = {
    "respondent_id": "1-c0de",
    "text": "Her text",
    "overall_best_text": "The text for everybody",
    "switches": [
        {
            "attribute": "Job",
            "hers": "Green Job",
            "overall_best": "Jobs & growth",
            "because": [{"covariate": "party", "value": "Left", "part_of_gain": 0.2}],
        }
    ],
    "p_hers_better": 0.83,
    "model_sha256": "c0ffee",
}


def ask(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["nanotarget", "card", "study.yaml", *arguments])
    return cli.main()


def test_one_persons_page_is_found_by_her_id_and_can_be_read_by_its_owner_only(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study_of(tmp_path)
    assert ask(monkeypatch, "jo", "--out", "card.html") == 1
    assert "run 'nanotarget assign'" in capsys.readouterr().err
    private = Path("results/tiny/private")
    (private / "assign").mkdir(parents=True)
    (private / "clean").mkdir()
    (private / "assign/cards.jsonl").write_text(json.dumps(HERS) + "\n", "utf-8")
    ids = {"sample": ["experiment"], "respondent_id": ["1-c0de"], "id": ["jo"]}
    pd.DataFrame(ids).to_parquet(private / "clean/ids.parquet")
    assert ask(monkeypatch, "jo", "--out", "card.html") == 0
    page = Path("card.html").read_text("utf-8")
    assert "Jobs &amp; growth" in page and "party (Left)" in page and "83 in 100" in page
    assert "script-src &#39;none&#39;" in page and stat.S_IMODE(Path("card.html").stat().st_mode) == 0o600
    assert ask(monkeypatch, "1-c0de", "--out", "card.html") == 1  # it is there already
    assert ask(monkeypatch, "secret-id", "--out", "other.html") == 1
    told = capsys.readouterr()
    assert "nobody with this id" in told.err and "secret-id" not in told.err + told.out
