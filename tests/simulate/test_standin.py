"""Stand-ins have the columns of the raw files, pass `check`, and hold nothing of the data."""

from pathlib import Path

import pytest

from nanotarget.assign.check import check
from nanotarget.clean.raw import read_raw
from nanotarget.simulate.standin import PEOPLE, SAID, stand_ins
from nanotarget.study.checks import read_study
from tiny_study import await_fielding, tiny_study


def studied(folder, layout, roster=False):
    tiny = tiny_study(layout)
    if roster:
        await_fielding(tiny)
    return tiny, read_study(tiny.write(folder))


@pytest.mark.parametrize(("layout", "roster"), [("long", False), ("wide", False), ("long", True)])
def test_stand_ins_pass_the_check_of_the_study_that_they_stand_in_for(tmp_path, monkeypatch, layout, roster):
    monkeypatch.chdir(tmp_path)
    tiny, study = studied(tmp_path, layout, roster)
    made = stand_ins(study)
    assert set(made) == set(study.raw_files) and made == stand_ins(study)
    real = {file: Path(file).read_text("utf-8") for file in made}
    for file, content in made.items():
        Path(file).write_bytes(content)
    sizes = check(study, "study.yaml")
    assert sizes["calibration"]["respondents"] == PEOPLE  # nobody is excluded
    assert sizes["roster" if roster else "experiment"]["respondents"] == PEOPLE
    for file in made:
        table = read_raw(file)
        assert set(table.columns) <= set(real[file].splitlines()[0].replace('"', "").split(","))
        assert table["id"].str.startswith("STANDIN-").all()
    people = {*tiny.calibration["id"], *tiny.calibration["email"], *tiny.experiment["email"]}
    assert not [name for name in people if name.encode() in b"".join(made.values())]


def test_the_reference_study_has_stand_ins_that_say_so(project, tmp_path, monkeypatch):
    monkeypatch.chdir(project)
    study = read_study(Path("config.yaml"))
    made = stand_ins(study)
    assert set(made) == set(study.raw_files)
    for content in made.values():
        assert SAID in content.decode().splitlines()[1]
        assert b"SIM_" not in content


@pytest.mark.parametrize(
    "changes",
    [
        {"calibration": {"file": "calibration.parquet"}},
        {"experiment": {"randomisation": {"scheme": "blocked", "blocks": ["party"]}}},
        {"calibration": {"outcomes": {"rating": {"column": "rating", "range": [0, 10]}}, "layout": "task"}},
    ],
)
def test_what_is_not_stood_in_for_has_none(tmp_path, changes):
    _, study = studied(tmp_path, "long")
    parts = {
        name: getattr(study, name).model_copy(
            update={key: value for key, value in part.items() if key in ("file", "layout")}
        )
        for name, part in changes.items()
    }
    if "experiment" in changes:
        scheme = study.experiment.randomisation.model_copy(update=changes["experiment"]["randomisation"])
        parts["experiment"] = study.experiment.model_copy(update={"randomisation": scheme})
    assert stand_ins(study) and stand_ins(study.model_copy(update=parts)) == {}
