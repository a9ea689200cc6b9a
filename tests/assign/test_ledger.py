"""The ledger as a folder of waves: only ever longer, checked against edits, whole after every kill."""

import json
import os
import signal
import warnings
from pathlib import Path

import pandas as pd
import pytest

from nanotarget.assign import ledger as ledgers
from nanotarget.assign.ledger import LEDGER_COLUMNS, append_to_ledger, read_ledger
from nanotarget.assign.randomise import randomise
from nanotarget.study import artefacts
from nanotarget.study.config import RosterArmConfig
from nanotarget.study.problems import InputError

ARMS = [RosterArmConfig(name="control"), RosterArmConfig(name="best"), RosterArmConfig(name="nano")]


@pytest.fixture(autouse=True)
def small_parts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ledgers, "SHARD", 4)


def people(ids):
    return pd.DataFrame({"respondent_id": [f"p{i}" for i in ids], "block": ["u", "v"] * (len(ids) // 2)})


def add(path, ids, seed=1):
    ledger = read_ledger(path, ARMS)
    drawn = randomise(people(ids).astype("str"), ARMS, ledger, seed)
    append_to_ledger(path, ledger, drawn)
    return drawn.set_index("respondent_id")[["arm", "block"]].astype("str")


def files(path):
    return {file: file.read_bytes() for file in sorted(Path(path).rglob("*")) if file.is_file()}


def test_waves_keep_the_arms_of_those_before_them():
    first = add("data/arms", range(10))
    written = files("data/arms")
    assert {file.name for file in written} == {"wave-0001.json"} | {f"part-0000{k}.parquet" for k in range(3)}
    again = add("data/arms", range(10), seed=2)
    assert files("data/arms") == written  # nobody is new
    more = add("data/arms", range(4, 18), seed=2)
    assert {file: files("data/arms")[file] for file in written} == written
    pd.testing.assert_frame_equal(again, first)
    pd.testing.assert_frame_equal(more.iloc[:6], first.iloc[4:])
    ledger = read_ledger("data/arms", ARMS)
    waves = set(ledger["respondent_id"][:10]), set(ledger["respondent_id"][10:])
    assert waves == ({f"p{i}" for i in range(10)}, {f"p{i}" for i in range(10, 18)})
    assert sorted(ledger["arm"].value_counts()) == [6, 6, 6]


def test_a_folder_holds_what_a_csv_would():
    for ids in (range(10), range(4, 18)):
        pd.testing.assert_frame_equal(add("folder", ids), add("file.csv", ids))
    folder, file = (read_ledger(path, ARMS)[LEDGER_COLUMNS].astype("str") for path in ("folder", "file.csv"))
    folder, file = (table.sort_values("respondent_id", ignore_index=True) for table in (folder, file))
    pd.testing.assert_frame_equal(folder, file)


def test_a_folder_goes_on_from_a_csv(monkeypatch):
    first = add("arms.csv", range(10))
    monkeypatch.setattr(ledgers, "MOST_ROWS", 12)
    with pytest.raises(
        InputError, match=r"14 people.*too many.*\n.*\n.*'arms' in key.*move arms.csv to arms/ea"
    ):
        add("arms.csv", range(14))
    Path("arms").mkdir()
    Path("arms.csv").rename("arms/earlier.csv")
    pd.testing.assert_frame_equal(add("arms", range(14)).iloc[:10], first)
    Path("arms/earlier.csv").rename("other.csv")
    with pytest.raises(InputError, match="what was drawn before it was removed"):
        read_ledger("arms", ARMS)


def edited(edit):
    note = Path("arms/wave-0001.json")
    told = json.loads(note.read_text())
    part = Path("arms/wave-0001/part-00001.parquet")
    if edit == "note":
        note.write_text(json.dumps(told | {"people": 9}))
    elif edit == "no JSON":
        note.write_text("{")
    elif edit == "note removed":
        note.unlink()
    elif edit == "arm":
        artefacts.write_parquet(pd.read_parquet(part).assign(arm="nano"), part)
    elif edit == "truncated":
        part.write_bytes(part.read_bytes()[:-9])
    elif edit == "part removed":
        part.unlink()
    elif edit == "part added":
        artefacts.write_parquet(pd.read_parquet(part), part.with_name("part-00009.parquet"))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("note", "wave-0001.json: whole file: it was edited"),
        ("no JSON", "wave-0001.json: whole file: it was edited"),
        ("note removed", "wave-0002.json: whole file: .* before it was removed"),
        ("arm", "part-00001.parquet: whole file: it was edited or cut off"),
        ("truncated", "part-00001.parquet: whole file: it was edited or cut off"),
        ("part removed", "part-00001.parquet: whole file: the file is gone"),
        ("part added", "part-00009.parquet: whole file: nobody was drawn into this file"),
    ],
)
def test_an_edited_folder_is_refused_where_it_was_edited(edit, message):
    add("arms", range(10))
    add("arms", range(16))
    edited(edit)
    with pytest.raises(InputError, match=message):
        read_ledger("arms", ARMS)


def test_an_arm_that_the_config_lost_is_named():
    add("arms", range(10))
    with pytest.raises(InputError, match=r"arms: column 'arm': 'control' is no arm of the config"):
        read_ledger("arms", ARMS[1:])


def test_a_file_in_the_place_of_the_folder_is_refused():
    Path("arms").write_text("x")
    with pytest.raises(InputError, match="a file stands where a folder is named"):
        read_ledger("arms", ARMS)


def killed_at(step, path):
    """Draw a second wave in a process that is killed at its nth step on the disk; was it?"""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        steps = iter(range(10**6))

        def struck(call):
            def call_or_die(*arguments, **options):
                if next(steps) == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **options)

            return call_or_die

        os.fsync, os.mkdir, os.replace = struck(os.fsync), struck(os.mkdir), struck(os.replace)
        artefacts.pq.write_table, Path.replace = struck(artefacts.pq.write_table), struck(Path.replace)
        Path.write_bytes = struck(Path.write_bytes)
        add(path, range(16))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("path", ["arms", "arms.csv"])
def test_a_kill_at_any_step_leaves_the_old_ledger_or_the_new_one(path):
    add("whole" + path, range(10))
    first, whole = len(read_ledger("whole" + path, ARMS)), add("whole" + path, range(16))
    step, strikes = 0, set()
    while True:
        name = f"{step}{path}"
        add(name, range(10))
        was_killed = killed_at(step, name)
        left = len(read_ledger(name, ARMS))
        assert left in (first, 16)
        pd.testing.assert_frame_equal(add(name, range(16)), whole)
        assert not [file for file in files(name) if file.suffix == ".tmp"]
        if not was_killed:
            assert left == 16
            break
        strikes.add(left)
        step += 1
    assert step >= (9 if path == "arms" else 3)
    assert strikes == {first, 16}
