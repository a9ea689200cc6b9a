"""Who withdraws is erased from raw files and ledger; everybody else keeps her bytes, her arm and her seal."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from nanotarget import cli
from nanotarget.assign.ledger import SEALED_COLUMNS, append_to_ledger, bury, read_ledger, sealed
from nanotarget.assign.randomise import randomise
from nanotarget.assign.tombstone import TOMBSTONE, seal_kept, tombstone
from nanotarget.clean.raw import read_raw, without_rows
from nanotarget.study.config import RosterArmConfig
from nanotarget.study.problems import InputError
from tiny_study import await_fielding, tiny_study

ARMS = [RosterArmConfig(name="control"), RosterArmConfig(name="nano")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b'id,text\na,x\nb,"two\nlines, ""q"""\nc,z\n'),
        ("bom.csv", b"\xef\xbb\xbfid;text\r\na;x\r\nb;y\r\n\r\nc;z\r\n"),
        ("sep.csv", b"sep=;\r\nid;text\r\na;x\r\nb;y\r\nc;z"),
        ("western.csv", "id\ttext\na\té ü\nb\tÄ\nc\tz ß\n".encode("cp1252")),
        ("header.csv", b"id,text\nthe id,the text\na,x\nb,y\nc,z\n"),
        ("packed.csv.gz", gzip.compress(b"id,text\na,x\nb,y\nc,z\n", mtime=0)),
    ],
)
def test_a_row_goes_and_all_others_keep_their_bytes(tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content)
    header = 2 if name == "header.csv" else 1
    table = read_raw(file, header)
    row = int(table.index[table["id"] == "b"][0])
    file.write_bytes(without_rows(file, {row}))
    after = read_raw(file, header)
    assert after.reset_index(drop=True).equals(table[table["id"] != "b"].reset_index(drop=True))
    unpacked = [gzip.decompress(c) if name.endswith("gz") else c for c in (content, file.read_bytes())]
    lost = set(unpacked[0].splitlines()) - set(unpacked[1].splitlines())
    assert 0 < len(lost) <= 2 and len(unpacked[1]) < len(unpacked[0])
    assert unpacked[0].startswith(unpacked[1][:12])


def test_rows_of_what_has_two_bytes_a_letter_are_refused(tmp_path):
    file = tmp_path / "wide.csv"
    file.write_bytes("id,text\na,x\nb,y\u0a0dé\n".encode("utf-16"))
    with pytest.raises(InputError, match="export the file again"):
        without_rows(file, {3})
    assert "y\u0a0d" in file.read_bytes().decode("utf-16")


def drawn_ledger(path, n=9):
    people = pd.DataFrame({"respondent_id": [f"p{i}" for i in range(n)], "block": ["x", "y", "x"] * (n // 3)})
    empty = pd.DataFrame(columns=SEALED_COLUMNS, dtype="str")
    append_to_ledger(str(path), empty, randomise(people, ARMS, empty, 1))
    return people


def buried(ledger, name):
    hers = ledger["respondent_id"] == name
    row = ledger[hers].iloc[0]
    ledger.loc[hers, "respondent_id"] = tombstone(row["seal"], row["arm"], row["block"])
    return sealed(ledger)


def test_the_chain_of_seals_can_be_checked_over_a_tombstone(tmp_path):
    path = tmp_path / "arms.csv"
    drawn_ledger(path)
    before = read_ledger(str(path), ARMS)
    after = buried(buried(before.copy(), "p4"), "p7")
    assert after["seal"].tolist() == before["seal"].tolist()
    after.to_csv(path, index=False)
    again = read_ledger(str(path), ARMS)
    assert not {"p4", "p7"} & set(again["respondent_id"]) and (again["arm"] == before["arm"]).all()
    later = pd.DataFrame({"respondent_id": ["p8", "q1", "q2"], "block": ["x", "x", "y"]})
    append_to_ledger(str(path), again, randomise(later, ARMS, again, 1))
    longer = read_ledger(str(path), ARMS)
    assert len(longer) == 11 and longer["seal"].tolist()[:9] == before["seal"].tolist()


@pytest.mark.parametrize("column", ["arm", "block", "respondent_id", "seal"])
def test_a_tombstone_that_was_edited_is_noticed(tmp_path, column):
    path = tmp_path / "arms.csv"
    drawn_ledger(path)
    ledger = buried(read_ledger(str(path), ARMS), "p4")
    hers = ledger["respondent_id"].str.startswith("withdrawn")
    other = {"arm": {"control": "nano", "nano": "control"}.get(ledger.loc[hers, "arm"].iloc[0])}
    ledger.loc[hers, column] = other.get(column) or (
        "z" if column == "block" else "withdrawn-00-0000000000000000"
    )
    ledger.to_csv(path, index=False)
    with pytest.raises(InputError, match="the seal does not fit"):
        read_ledger(str(path), ARMS)


def test_only_a_tombstone_keeps_a_seal():
    assert seal_kept(tombstone("00ff", "a", "b"), "a", "b") == "00ff"
    assert seal_kept(tombstone("00ff", "a", "b"), "a", "c") is None and seal_kept("p1", "a", "b") is None


def forget(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["nanotarget", "forget", "study.yaml", *arguments])
    return cli.main()


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny = tiny_study()
    await_fielding(tiny)
    tiny.config["roster"]["ledger"] = "arms.csv"
    tiny.write(tmp_path)
    names = [arm["name"] for arm in tiny.config["roster"]["arms"]]
    tiny.roster.loc[1, "id"] = "-r2"  # which a spreadsheet takes for a formula
    tiny.write(tmp_path)
    ids = tiny.roster["id"].tolist()
    rows = pd.DataFrame({"respondent_id": ids, "arm": (names * len(ids))[: len(ids)], "block": ""})
    sealed(rows).assign(note="hers").to_csv("arms.csv", index=False)
    for file in (
        "results/tiny/private/assign/cards.jsonl",
        "results/tiny/report.html",
        "logs/tiny/clean.log",
    ):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(ids[0])
    return tiny


def everything():
    files = [p for p in Path().rglob("*") if p.is_file() and ".snakemake" not in p.parts]
    return {str(path): path.read_bytes() for path in files}


def test_a_person_is_erased_only_when_it_was_confirmed(study, monkeypatch, capsys):
    her, other = study.roster["id"].iloc[:2]
    before = everything()
    Path("deposits/tiny").mkdir(parents=True)
    assert forget(monkeypatch, her) == 1
    told = capsys.readouterr().out
    assert everything() == before and "add --yes" in told and her not in told
    for place in (
        "roster.csv: 1 row",
        "arms.csv: her id",
        "results/tiny/private: all",
        "logs/tiny",
        "deposits/tiny",
    ):
        assert place in told
    assert forget(monkeypatch, her, "--yes") == 0
    after = everything()
    assert "nanotarget all study.yaml" in capsys.readouterr().out
    assert set(before) - set(after) == {"results/tiny/private/assign/cards.jsonl", "logs/tiny/clean.log"}
    changed = {file for file in after if after[file] != before[file]}
    assert changed == {"roster.csv", "arms.csv"}
    lines = before["roster.csv"].splitlines(keepends=True)
    assert after["roster.csv"] == b"".join(line for line in lines if not line.startswith(f"{her},".encode()))
    arms = [RosterArmConfig.model_validate(arm) for arm in study.config["roster"]["arms"]]
    ledger = read_ledger("arms.csv", arms)
    assert her not in set(ledger["respondent_id"]) and other in set(ledger["respondent_id"])
    assert ledger["note"].fillna("").tolist()[:2] == ["", "hers"] and len(ledger) == len(study.roster)
    assert forget(monkeypatch, her, "--yes") == 1  # nobody has this id any more
    error = capsys.readouterr().err
    assert "holds this id" in error and her not in error


def test_all_tasks_of_a_person_go_and_parquet_and_what_cannot_be_edited(study, monkeypatch, capsys):
    her = study.calibration["id"].iloc[0]
    calibration = study.calibration
    calibration.to_parquet("calibration.parquet")
    config = study.config["calibration"] | {"file": "calibration.parquet"}
    study.config["calibration"] = config
    study.write(Path())
    assert forget(monkeypatch, her, "--yes") == 0
    left = pd.read_parquet("calibration.parquet")
    assert left.equals(calibration[calibration["id"] != her].reset_index(drop=True))
    assert "6 rows of her" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["dta", "sav", "zsav"])
def test_her_rows_go_from_files_of_stata_and_spss(study, monkeypatch, ending):
    her, file = study.calibration["id"].iloc[0], f"calibration.{ending}"
    labels = {"agree": {1.0: "Yes", 2.0: "No"}}
    table = study.calibration.assign(agree=[1.0, 2.0, np.nan] * (len(study.calibration) // 3), when=20_000.0)
    named = {"id": "Who", "agree": "Do you agree?"}
    if ending == "dta":
        formats = {"when": "%td"}
        pyreadstat.write_dta(
            table, file, "A survey", named, variable_value_labels=labels, variable_format=formats
        )
    else:
        kept = {"missing_ranges": {"agree": [2.0]}, "variable_measure": {"agree": "ordinal"}, "note": "x"}
        pyreadstat.write_sav(
            table, file, "A survey", named, ending == "zsav", variable_value_labels=labels,
            variable_format={"when": "DATE11"}, **kept,
        )  # fmt: skip
    read = pyreadstat.read_dta if ending == "dta" else pyreadstat.read_sav
    before, meta = read(file, user_missing=True)
    study.config["calibration"] = study.config["calibration"] | {"file": file}
    study.write(Path())
    assert forget(monkeypatch, her, "--yes") == 0
    after, meta_after = read(file, user_missing=True)
    assert after.equals(before[before["id"] != her].reset_index(drop=True)) and len(after) < len(before)
    for about in ("file_label", "column_names_to_labels", "variable_value_labels", "original_variable_types",
                  "missing_ranges", "variable_measure", "notes"):  # fmt: skip
        assert getattr(meta_after, about) == getattr(meta, about), about
    assert not [path for path in Path().iterdir() if path.name.endswith((".tmp", f".tmp.{ending}"))]


def test_what_cannot_be_written_as_it_was_is_left_alone(study, monkeypatch, capsys):
    her = study.calibration["id"].iloc[0]
    study.calibration.to_stata("calibration.dta", write_index=False)
    study.config["calibration"] = study.config["calibration"] | {"file": "calibration.dta"}
    study.write(Path())
    monkeypatch.setattr(
        pyreadstat, "write_dta", lambda data, path, **_: data.iloc[:, :-1].to_stata(path, write_index=False)
    )
    kept = Path("calibration.dta").read_bytes()
    assert forget(monkeypatch, her, "--yes") == 1
    assert "would not be the same file" in capsys.readouterr().err
    assert Path("calibration.dta").read_bytes() == kept


def waves(folder, n=(9, 6)):
    """Return a ledger of a folder of waves."""
    start = 0
    for size in n:
        known = read_ledger(str(folder), ARMS)
        ids = [f"p{i}" for i in range(start, start + size)]
        people = pd.DataFrame({"respondent_id": ids, "block": ["x", "y", "x"] * (size // 3)})
        append_to_ledger(str(folder), known, randomise(people, ARMS, known, 1))
        start += size
    return read_ledger(str(folder), ARMS)


def test_an_id_goes_from_a_folder_of_waves_and_the_chain_holds(tmp_path):
    folder = tmp_path / "arms"
    before = waves(folder)
    for her in ("p4", "p7", "p11"):
        bury(str(folder), ARMS, her)
    after = read_ledger(str(folder), ARMS)
    gone = before["respondent_id"].isin(["p4", "p7", "p11"])
    assert after[["arm", "block"]].equals(before[["arm", "block"]])
    assert after.loc[~gone, "respondent_id"].equals(before.loc[~gone, "respondent_id"])
    assert after.loc[gone, "respondent_id"].str.fullmatch(TOMBSTONE.pattern).all()
    assert after["respondent_id"].is_unique
    for file in folder.rglob("*"):
        assert file.is_dir() or not any(her.encode() in file.read_bytes() for her in ("p11",))
        assert file.is_dir() or not file.stat().st_mode & 0o077 or file.suffix == ".json"
    later = pd.DataFrame({"respondent_id": ["p8", "q1", "q2"], "block": ["x", "x", "y"]})
    append_to_ledger(str(folder), after, randomise(later, ARMS, after, 1))
    longer = read_ledger(str(folder), ARMS)
    assert len(longer) == len(before) + 2 and longer.head(len(before)).equals(after)


def test_a_wave_from_which_an_id_was_taken_is_still_checked(tmp_path):
    folder = tmp_path / "arms"
    waves(folder)
    part = sorted((folder / "wave-0001").iterdir())[0]
    first = part.read_bytes()
    bury(str(folder), ARMS, "p4")
    second = part.read_bytes()
    part.write_bytes(first)  # as if it had been killed between the note and the part
    bury(str(folder), ARMS, "p4")
    assert part.read_bytes() == second and len(read_ledger(str(folder), ARMS)) == 15
    people = pd.read_parquet(part)
    people.assign(arm="nano").to_parquet(part)
    with pytest.raises(InputError, match="checksum does not fit"):
        read_ledger(str(folder), ARMS)
    part.write_bytes(second)
    note = folder / "wave-0001.json"
    note.write_text(note.read_text().replace('"withdrawn": {', '"withdrawn": {"more": 1,', 1).replace(
        hashlib.sha256(second).hexdigest(), "0" * 64))  # fmt: skip
    with pytest.raises(InputError, match="the seal does not fit"):
        read_ledger(str(folder), ARMS)


def test_who_was_drawn_before_there_were_waves(tmp_path):
    folder = tmp_path / "arms"
    folder.mkdir()
    drawn_ledger(folder / "earlier.csv")
    bury(str(folder), ARMS, "p3")
    assert "p3" not in set(read_ledger(str(folder), ARMS)["respondent_id"])
