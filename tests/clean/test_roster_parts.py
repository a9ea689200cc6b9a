"""A roster in parts is read as one in a file: same people, same counts, same refusals, each with its part."""

import gzip

import numpy as np
import pandas as pd
import pytest

from nanotarget.clean import parts, roster
from nanotarget.clean.parts import raw_parts, read_head, read_pieces
from nanotarget.clean.raw import read_raw
from nanotarget.clean.roster import read_roster
from nanotarget.clean.samples import read_samples
from nanotarget.clean.seen import Seen
from nanotarget.petitions.design import Design
from nanotarget.study import keyed
from nanotarget.study.checks import validate
from nanotarget.study.problems import InputError
from tiny_study import await_fielding, tiny_study

N = 61


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The tiny study; its roster has N people, some of whom leave, in the file roster.csv."""
    monkeypatch.chdir(tmp_path)
    made = tiny_study()
    await_fielding(made)
    rng = np.random.default_rng(3)
    people = pd.DataFrame({"id": [f"r{i}" for i in range(N)], "personal": "Yes", "consent": "Yes"})
    people["email"] = people["id"] + "@example.org"
    people["age"] = rng.integers(18, 90, N).astype(str)
    people["party"] = rng.choice(["None", "Left", "Right", ""], N)
    people["seconds"] = rng.integers(100, 900, N).astype(str)
    people.loc[[3, 40], "consent"] = "No"
    people.loc[[5, 50], "personal"] = "No"
    people.loc[44, "email"] = " R2@example.org"  # a part later than the first
    made.roster = people
    made.config["roster"]["exclusions"] += [
        {"step": "Duplicate", "rule": "duplicate", "column": "email"},
        {"step": "Speeder", "rule": "below", "column": "seconds", "value": 150},
    ]
    made.write(tmp_path)
    return made


def cut(people, folder, size, form="csv"):
    """Write people into parts of a size."""
    folder.mkdir()
    for k, start in enumerate(range(0, len(people), size)):
        part = people.iloc[start : start + size].replace("", None)
        if form == "csv":
            part.to_csv(folder / f"people-{k:03d}.csv", index=False)
        else:
            part.to_parquet(folder / f"people-{k:03d}.parquet", index=False, row_group_size=5)
    return str(folder.name)


def read(study, file="roster.csv", heads=False):
    config = validate(study.config | {"roster": study.config["roster"] | {"file": file}}, "study.yaml")
    shards = []
    return read_roster(config.roster, config.covariates, shards.append, heads), shards


@pytest.mark.parametrize(("form", "size"), [("csv", 7), ("csv", 61), ("parquet", 30)])
def test_a_folder_of_parts_is_read_as_one_file(study, tmp_path, monkeypatch, form, size):
    whole, (everybody,) = read(study)
    assert len(everybody) < N - 2
    folder = cut(study.roster, tmp_path / "people", size, form)
    monkeypatch.setattr(roster, "SHARD", 20)
    monkeypatch.setattr(parts.read_pieces, "__defaults__", (4,))  # pieces, parts and shards all differ
    sample, shards = read(study, folder)
    assert [len(shard) for shard in shards] == [20] * (len(everybody) // 20) + [len(everybody) % 20]
    joined = pd.concat(shards).sort_values("respondent_id", ignore_index=True)
    pd.testing.assert_frame_equal(joined, everybody)
    pd.testing.assert_frame_equal(sample.respondents, whole.respondents)
    pd.testing.assert_frame_equal(sample.flow, whole.flow)
    pd.testing.assert_frame_equal(sample.quality, whole.quality)
    assert sample.refusers == whole.refusers


def test_shards_follow_the_file_and_not_its_parts(study, tmp_path, monkeypatch):
    monkeypatch.setattr(roster, "SHARD", 20)
    _, one = read(study)
    for size in (9, 30):
        _, shards = read(study, cut(study.roster, tmp_path / f"by {size}", size))
        for shard, same in zip(shards, one, strict=True):
            pd.testing.assert_frame_equal(shard, same)


def test_the_sample_of_a_large_roster_is_random_and_hangs_on_nothing_but_who_is_there(
    study, tmp_path, monkeypatch
):
    study.roster.loc[44, "email"] = "r44@example.org"  # of two with one address the first stays
    study.write(tmp_path)
    _, (everybody,) = read(study)
    monkeypatch.setattr(keyed, "SAMPLED", 15)
    sample, _ = read(study)
    shuffled = study.roster.sample(frac=1, random_state=2)
    again, _ = read(study, cut(shuffled, tmp_path / "shuffled", 8))
    assert len(sample.respondents) == 15
    assert sample.respondents["respondent_id"].is_monotonic_increasing
    assert not sample.respondents.equals(everybody.iloc[:15])
    pd.testing.assert_frame_equal(sample.respondents, again.respondents)


def test_problems_name_their_parts_and_come_all_at_once(study, tmp_path):
    people = study.roster.copy()
    people.loc[12, "age"] = "old"
    people.loc[33, "party"] = "Centre"
    people.loc[52, "id"] = "r1"  # is in the first part, too
    folder = cut(people, tmp_path / "people", 10)
    (tmp_path / "people/people-004.csv").write_text("id,age\nx,30\n")
    with pytest.raises(InputError) as refused:
        read(study, folder)
    found = {problem.file: problem for problem in refused.value.problems}
    assert "column 'age', row 4" in found["people/people-001.csv"].where
    assert "column 'party', row 5" in found["people/people-003.csv"].where
    assert "the file has no such column" in found["people/people-004.csv"].what
    assert "more than one row for 1 respondent" in found["people/people-005.csv"].what
    assert "row 4" in found["people/people-005.csv"].where


def test_people_of_the_calibration_are_named_by_part(study, tmp_path):
    people = study.roster.copy()
    people.loc[[4, 25], "id"] = ["c3", "c5"]
    folder = cut(people, tmp_path / "people", 10)
    config = validate(study.config | {"roster": study.config["roster"] | {"file": folder}}, "study.yaml")
    with pytest.raises(InputError) as refused:
        read_samples(config, Design.from_config(config.design))
    assert {(problem.file, problem.where) for problem in refused.value.problems} == {
        ("people/people-000.csv", "row 6"),
        ("people/people-002.csv", "row 7"),
    }
    cut(study.roster, tmp_path / "others", 10)
    others = config.model_copy(update={"roster": config.roster.model_copy(update={"file": "others"})})
    read = read_samples(others, Design.from_config(config.design)).roster
    assert len(read.identities) == 0 < len(read.respondents)  # nobody's is kept who was not met


def test_a_value_that_one_part_lacks_is_no_problem_and_one_that_all_lack_is(study, tmp_path):
    people = study.roster.assign(consent=["Yes"] * 30 + ["Ja"] * (N - 30))
    study.config["roster"]["exclusions"][0]["values"] = ["Yes", "Ja"]
    folder = cut(people, tmp_path / "people", 10)
    read(study, folder)
    study.config["roster"]["exclusions"][0]["values"] = ["Yes", "Ja", "Oui"]
    with pytest.raises(InputError, match=r"people: column 'consent': no cell is 'Oui'.*\n.*'Ja', 'Yes'"):
        read(study, folder)


def test_a_part_of_people_who_all_leave_is_no_problem_and_a_roster_of_them_is(study, tmp_path):
    people = study.roster.copy()
    people.loc[:19, "consent"] = "No"
    sample, shards = read(study, cut(people, tmp_path / "people", 10))
    assert len(sample.respondents) == sum(map(len, shards)) < N - 20
    with pytest.raises(InputError, match="people gone: whole file: nobody is left after the exclusions"):
        read(study, cut(people.assign(seconds="1"), tmp_path / "people gone", 10))


def test_a_truncated_part_is_named(study, tmp_path):
    folder = tmp_path / "people"
    cut(study.roster, folder, 20, "parquet")
    broken = folder / "people-002.parquet"
    broken.write_bytes(broken.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"people/people-002.parquet: whole file: it is no complete Parquet"):
        read(study, "people")


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".csv.gz"])
def test_how_many_people_there_are_is_guessed_from_the_size_and_rather_too_high(tmp_path, ending):
    rng = np.random.default_rng(2)
    n = 20_000
    table = pd.DataFrame(
        {"id": [f"P{i:010d}" for i in rng.permutation(n)], "agrees": rng.choice(["Yes", "No"], n)}
    )
    for k in range(11):
        table[f"covariate {k}"] = rng.choice(["Strongly agree", "Disagree", "Neither", "Agree"], n)
    half = n // 2
    (tmp_path / "people").mkdir()
    for k, part in enumerate((table[:half], table[half:])):
        file = tmp_path / f"people/{k}{ending}"
        part.to_parquet(file) if ending == ".parquet" else part.to_csv(file, index=False)
    assert n <= parts.people(str(tmp_path / "people")) <= 4 * n
    assert parts.people(str(tmp_path / "none.csv")) == 0


def test_a_folder_without_parts_is_refused(tmp_path):
    (tmp_path / "_notes").mkdir()
    (tmp_path / "_notes/people.csv").write_text("id\n1\n")
    (tmp_path / ".hidden.csv").write_text("id\n1\n")
    with pytest.raises(InputError, match="the folder has no part"):
        raw_parts(str(tmp_path))


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_pieces_of_a_large_file_are_the_rows_of_the_whole(tmp_path, monkeypatch, ending):
    table = pd.DataFrame({"id": [f"p{i}" for i in range(40)], "text": ['a "b", c\nd', " ", "é", "NA"] * 10})
    file = tmp_path / f"people{ending}"
    if ending == ".parquet":
        table.to_parquet(file, row_group_size=9)
    else:
        text = table.to_csv(index=False).encode("utf-8-sig").replace(b"p7,", b"\n\np7,")
        file.write_bytes(gzip.compress(text) if ending.endswith("gz") else text)
    whole = read_raw(file)
    monkeypatch.setattr(parts, "LARGE", 10)
    monkeypatch.setattr(parts, "BLOCK", 100)
    for most in (1, 11, 40, 100):
        pieces = list(read_pieces(file, 1, most))
        assert max(map(len, pieces)) <= most
        pd.testing.assert_frame_equal(pd.concat(pieces), whole)


def test_what_is_wrong_in_the_middle_of_a_large_file_is_told_as_of_a_small_one(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "LARGE", 10)
    monkeypatch.setattr(parts, "BLOCK", 60)
    rows = [f"p{i},1" for i in range(50)]
    rows[33] = "p33,1,2"
    file = tmp_path / "people.csv"
    file.write_text("id,x\n" + "\n".join(rows) + "\n")
    read = []
    with pytest.raises(InputError, match=r"row 35: it has 3 cells, the header has 2"):
        read += read_pieces(file, 1, 10)
    (tmp_path / "people.csv").write_text("id,x\n" + "\n".join([*rows[:33], '"p33\n",', *rows[34:]]))
    assert sum(map(len, read_pieces(file, 1, 10))) == 50


def test_check_reads_the_first_rows_of_every_part_of_a_large_roster(study, tmp_path, monkeypatch):
    people = study.roster.copy()
    people.loc[29, "age"] = "old"  # the last row of a part
    folder = cut(people, tmp_path / "people", 10)
    monkeypatch.setattr(parts, "LARGE", 100)
    monkeypatch.setattr(parts, "HEAD_ROWS", 4)
    sample, _ = read(study, folder, heads=True)
    assert sample.flow["n_before"].iloc[0] == 4 * 6 + 1
    people.loc[21, "age"] = "old"
    people.iloc[20:30].to_csv(tmp_path / "people/people-002.csv", index=False)
    with pytest.raises(InputError, match=r"people/people-002.csv: column 'age', row 3"):
        read(study, folder, heads=True)
    assert len(next(read_head(tmp_path / "people/people-000.csv", 1))) == 4


def test_seen_finds_what_was_there_and_nothing_else():
    seen = Seen()
    rng = np.random.default_rng(1)
    texts = pd.Series([f"t{i}" for i in rng.permutation(500)], dtype="str")
    assert not seen.among(texts).any()
    for start in range(0, 300, 17):
        seen.add(texts[start : start + 17])
    seen.add(texts[:0])
    met = 17 * len(range(0, 300, 17))
    assert seen.among(texts).tolist() == [True] * met + [False] * (500 - met)
    assert len(seen._runs) < 6
