"""Who agreed to personalisation, and what tells who somebody is: it stands in no message and no artefact."""

from pathlib import Path

import pytest
import yaml

from nanotarget.clean.personal import kind_of, looks_like_data
from nanotarget.clean.samples import read_samples
from nanotarget.petitions.design import Design
from nanotarget.study.checks import validate
from nanotarget.study.problems import InputError
from tiny_study import await_fielding, tiny_study


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read a study; `read(study)` returns its samples."""

    def samples(study):
        monkeypatch.chdir(tmp_path)
        study.write(tmp_path)
        data = validate(yaml.safe_load(Path("study.yaml").read_text(encoding="utf-8")), "study.yaml")
        return read_samples(data, Design.from_config(data.design))

    return samples


def message(read, study):
    with pytest.raises(InputError) as error:
        read(study)
    return error.value.message()


def test_only_a_stated_yes_is_consent(read):
    study = tiny_study()
    people = study.calibration["id"]
    study.calibration.loc[people == "c3", "personal"] = "No"
    study.calibration.loc[people == "c4", "personal"] = ""
    study.calibration.loc[people == "c5", "personal"] = "Perhaps"
    study.experiment.loc[study.experiment["id"].isin(["e9", "e10"]), "personal"] = ["", "no, thanks"]
    samples = read(study)
    stayed = set(samples.calibration.respondents["respondent_id"])
    assert not stayed & {"c3", "c4", "c5"}
    assert len(stayed) == 27
    refused = samples.experiment.respondents.query("opt_out")
    assert set(refused["respondent_id"]) == {"e9", "e10"}
    flow = samples.flow.set_index("step").query("sample == 'calibration' and arm == 'all'")
    assert flow.loc["Opted out of personalisation", "rule"] == "personal is not 'Yes'"
    assert flow.loc["Opted out of personalisation", "n_excluded"] == 3


def test_who_refuses_when_she_comes_back_leaves_the_calibration(read):
    study = tiny_study()
    study.config["samples"] = "panel"
    study.experiment["id"] = [f"c{i % 30 + 1}" for i in range(60)]
    study.experiment = study.experiment.iloc[:30]
    study.experiment.loc[[3, 7], "personal"] = ["No", ""]  # c4 says so, c8 says nothing
    study.experiment.loc[[5], ["personal", "consent"]] = ["No", "No"]  # c6 leaves before she is assigned
    samples = read(study)
    assert not set(samples.calibration.respondents["respondent_id"]) & {"c4", "c6", "c8"}
    assert not set(samples.calibration.profiles["respondent_id"]) & {"c4", "c6", "c8"}
    assert len(samples.calibration.respondents) == 27
    later = samples.flow.set_index("step").query("arm == 'all'").loc["Opted out of personalisation later"]
    assert later["n_excluded"] == 3


def test_people_of_a_roster_must_agree(read):
    study = tiny_study()
    await_fielding(study)
    study.roster.loc[0, "personal"] = ""
    assert read(study).roster.respondents["opt_out"].sum() == 1


@pytest.mark.parametrize(
    ("section", "key", "change"),
    [
        ("experiment", "experiment.consent.values", {"consent": {"column": "personal", "values": ["Ja"]}}),
        (
            "calibration",
            "calibration.exclusions[0].values",
            {"exclusions": [{"step": "Bots", "rule": "in", "column": "consent", "values": ["Yes", "Nein"]}]},
        ),
    ],
)
def test_a_value_that_nobody_has_is_an_error(read, section, key, change):
    study = tiny_study()
    study.config[section].update(change)
    told = message(read, study)
    assert f"no cell is '{'Ja' if section == 'experiment' else 'Nein'}', which key {key} names" in told
    assert "values that occur: 'Yes'" in told


def test_the_key_of_earlier_versions_names_its_successor():
    study = tiny_study()
    study.config["experiment"]["opt_out"] = {"column": "personal", "values": ["No"]}
    with pytest.raises(InputError, match="write 'consent' with the values that mean yes"):
        validate(study.config, "study.yaml")


# What tells who somebody is ----------------------------------------------------------------------


def test_no_message_quotes_an_identifier(read):
    study = tiny_study()
    study.config["covariates"][0]["column"] = "email"
    for section in ("calibration", "experiment"):
        study.config[section]["identifiers"] = []
    told = message(read, study)
    assert "@" not in told
    assert "no number, but 'age' holds numbers" in told


def test_no_message_quotes_what_many_people_wrote(read):
    study = tiny_study()
    study.calibration["age"] = study.calibration["id"].map(lambda name: f"Ann {name} Smith")
    told = message(read, study)
    assert "Smith" not in told
    assert "30 texts not shown here are no number" in told


def test_a_file_without_a_header_is_not_printed(read):
    study = tiny_study()
    study.contents["calibration.csv"] = b"c1,c1@example.org,59\nc2,c2@example.org,57\n"
    told = message(read, study)
    assert "@" not in told
    assert "c1" not in told
    assert "1 problem found" in told
    assert "row 1: it seems to hold what somebody answered (not shown here), not names of columns" in told


def test_an_exclusion_on_an_identifier_publishes_no_value(read):
    study = tiny_study()
    step = {"step": "Withdrew", "rule": "in", "column": "email", "values": ["e7@example.org"]}
    study.config["experiment"]["exclusions"].append(step)
    flow = read(study).flow
    assert not flow["rule"].str.contains("@").any()
    assert flow.query("step == 'Withdrew' and arm == 'all'")["n_excluded"].item() == 1


@pytest.mark.parametrize("address", ["{}@example.org", "+49 30 1234{}"])
def test_ids_that_tell_who_somebody_is_are_refused(read, address):
    study = tiny_study()
    study.experiment["id"] = [address.format(i) for i in range(100, 160)]
    told = message(read, study)
    assert "column 'id', which key experiment.respondent names" in told
    assert "ids that tell nobody who somebody is" in told
    assert "@" not in told


def test_identifiers_must_be_columns(read):
    study = tiny_study()
    study.config["calibration"]["identifiers"] = ["e-mail"]
    assert "the file has no such column, but key calibration.identifiers names it" in message(read, study)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ann@example.org", "an e-mail address"),
        ("write to ann@example.org", "an e-mail address"),
        ("203.0.113.7", "a network address"),
        ("(030) 123456", "a telephone number"),
        ("555-123-4567", "a telephone number"),
        *(
            (harmless, "")
            for harmless in ("R_3nP2", "c12", "123456789", "2024-10-11", "12.5", "50%", "A & B")
        ),
    ],
)
def test_kinds_of_identifiers(text, kind):
    assert kind_of(text) == kind


def test_a_header_is_told_from_data():
    assert looks_like_data(["17", "Ann", "3.5"])
    assert looks_like_data(["id", "a@b.org"])
    assert not looks_like_data(["id", "Q1", "t1_p2", "1", "2", "2b", "Q4.2", "1st choice"])
