"""The ledger: who was randomised to which arm, once and for all.

It is a CSV in which a seal chains each row to all before it, or, for very many people, a folder of waves. A
wave is a folder of Parquet files and a note with their checksums, which is chained to the note before it and
written last: what has no note was never drawn, as nobody was told of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nanotarget.assign.tombstone import seal_kept, tombstone
from nanotarget.clean.cells import Table
from nanotarget.clean.raw import read_raw
from nanotarget.study.artefacts import sha256, write_json, write_parquet, write_text
from nanotarget.study.config import RosterArmConfig
from nanotarget.study.keyed import hashes
from nanotarget.study.private import OWNERS_ONLY
from nanotarget.study.problems import InputError, Problem, listed, raise_if_any
from nanotarget.study.shards import SHARD, part_name, read_part

LEDGER_COLUMNS = ["respondent_id", "arm", "block"]
SEALED_COLUMNS = [*LEDGER_COLUMNS, "seal"]
SEAL = 16  # hexadecimal digits: enough against accidents, which is all that a seal without a secret is for
MOST_ROWS = 1_000_000  # of a CSV, which is read and sealed row by row
EARLIER = "earlier.csv"  # in a folder: the CSV with which the study began
WITHDRAWN = "withdrawn"  # in a note: parts from which ids were taken, with a seal of their own
RESTORE = "restore the ledger from a copy; it must say to which arm people were randomised"


def read_ledger(path: str, arms: Sequence[RosterArmConfig]) -> pd.DataFrame:
    """Read the ledger; one that is not there yet is empty.

    Returns:
        LEDGER_COLUMNS in the order in which people were drawn; of a CSV all its columns, as texts.

    Raises:
        InputError: with everything that is damaged.
    """
    file = Path(path)
    outside = not file.is_absolute() and not file.resolve().is_relative_to(Path.cwd().resolve())
    if file.is_symlink() or outside:
        what = "it is a link, or lies behind one that leads out of the study's folder"
        remedy = "name the place itself in key roster.ledger, or move the ledger"
        expected = "a file in the study's folder, as it is replaced as a whole"
        raise InputError([Problem(path, "whole file", what, expected, remedy)])
    if not file.exists():
        return pd.DataFrame(columns=SEALED_COLUMNS, dtype="str")
    return _read_csv(path, arms) if path.endswith(".csv") else _read_waves(file, arms)


def _read_csv(path: str, arms: Sequence[RosterArmConfig]) -> pd.DataFrame:
    raw = read_raw(path)
    if missing := [column for column in SEALED_COLUMNS if column not in raw.columns]:
        what = f"the ledger lacks {listed(missing)}"
        raise InputError([Problem(path, "header", what, f"columns {listed(SEALED_COLUMNS)}", RESTORE)])
    table = Table(raw, path)
    ids, drawn = table.cells("respondent_id"), table.cells("arm")
    respondent, arm = ids.ids, drawn.text.str.strip()
    names = [a.name for a in arms]
    ids.refuse(ids.empty, "the respondent's id is missing", "an id in every row", RESTORE)
    twice = respondent.duplicated(keep=False).to_numpy() & ~ids.empty
    ids.refuse(twice, "a respondent is in the ledger more than once", "everybody once", RESTORE)
    drawn.refuse(drawn.empty, "the arm is missing", f"one of {listed(names)}", RESTORE)
    drawn.refuse_texts(
        (arm.notna() & ~arm.isin(names)).to_numpy(),
        "no arm of the config, but people were randomised to it",
        f"one of {listed(names)}",
        f"put the arm back into key roster.arms (a ledger serves one study), or {RESTORE}",
    )
    kept = raw.assign(respondent_id=respondent.to_numpy(), arm=arm.to_numpy(), block=raw["block"].fillna(""))
    if not table.problems:  # what is damaged in itself has its own message
        broken = kept["seal"].fillna("").to_numpy() != sealed(kept)["seal"].to_numpy()
        what = "the ledger was edited here, or a row before it was removed: the seal does not fit"
        first = broken & (broken.cumsum() == 1)
        table.cells("seal").refuse(first, what, "rows as they were written", RESTORE)
    raise_if_any(table.problems)
    return kept.reset_index(drop=True)


def _read_waves(folder: Path, arms: Sequence[RosterArmConfig]) -> pd.DataFrame:
    if not folder.is_dir():
        what, remedy = "a file stands where a folder is named", "end its name in .csv, or name another folder"
        raise InputError([Problem(str(folder), "whole file", what, "a folder of waves", remedy)])
    tables = [pd.DataFrame(columns=LEDGER_COLUMNS, dtype="str")]
    if (folder / EARLIER).is_file():
        tables.append(_read_csv(str(folder / EARLIER), arms)[LEDGER_COLUMNS])
    problems: list[Problem] = []
    notes = _notes(folder)
    people, last = len(tables[-1]), ""
    for number, note in enumerate(notes, 1):
        told = _read_note(note)
        intact = told.get("seal") == _seal(told) and note.name == _wave(number) + ".json"
        taken = told.get(WITHDRAWN, {"parts": {}})
        intact &= WITHDRAWN not in told or taken.get("seal") == _seal_of_taken(told["seal"], taken["parts"])
        if not (intact and told["follows"] == last and told["after"] == people):
            what = "it was edited, or what was drawn before it was removed: the seal does not fit"
            raise InputError([Problem(str(note), "whole file", what, "the file as it was written", RESTORE)])
        known = {name: {first, *taken["parts"].get(name, [])} for name, first in told["parts"].items()}
        problems += _changed(folder / _wave(number), known)
        people, last = people + told["people"], told["seal"]
    raise_if_any(problems)
    for number in range(1, len(notes) + 1):
        for part in sorted((folder / _wave(number)).iterdir()):
            tables.append(read_part(part))
    _refuse_unknown(str(folder), {arm for table in tables for arm in table["arm"].unique()}, arms)
    return pd.concat(tables, ignore_index=True)


def _notes(folder: Path) -> list[Path]:
    return sorted(folder.glob("wave-*.json"))


def _wave(number: int) -> str:
    return f"wave-{number:04d}"


def _read_note(note: Path) -> dict[str, Any]:
    try:
        told = json.loads(note.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _seal(told: dict[str, Any]) -> str:
    content = {name: value for name, value in told.items() if name not in ("seal", WITHDRAWN)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _seal_of_taken(seal: str, parts: dict[str, list[str]]) -> str:
    return hashlib.sha256(json.dumps([WITHDRAWN, seal, parts], sort_keys=True).encode()).hexdigest()


def _changed(wave: Path, parts: dict[str, set[str]]) -> Iterator[Problem]:
    """Yield the problem of every part of a wave that is not as it was written."""
    found = {part.name for part in wave.iterdir()} if wave.is_dir() else set()
    for name in sorted(found | set(parts)):
        part = wave / name
        if name not in found:
            what = "the file is gone"
        elif name not in parts:
            what = "nobody was drawn into this file"
        elif sha256(part) not in parts[name]:
            what = "it was edited or cut off: its checksum does not fit"
        else:
            continue
        yield Problem(str(part), "whole file", what, f"the files that {wave.name}.json lists", RESTORE)


def _refuse_unknown(path: str, drawn: set[str], arms: Sequence[RosterArmConfig]) -> None:
    names = [arm.name for arm in arms]
    if unknown := sorted(drawn - set(names)):
        what = f"{listed(unknown)} is no arm of the config, but people were randomised to it"
        remedy = f"put the arm back into key roster.arms (a ledger serves one study), or {RESTORE}"
        raise InputError([Problem(path, "column 'arm'", what, f"one of {listed(names)}", remedy)])


def sealed(ledger: pd.DataFrame) -> pd.DataFrame:
    """Return a ledger whose column `seal` chains every row to all before it (SHA-256)."""
    seals, last = [], ""
    for row in ledger[LEDGER_COLUMNS].itertuples(index=False):
        own = hashlib.sha256(json.dumps([last, *row]).encode()).hexdigest()[:SEAL]
        last = seal_kept(*row) or own
        seals.append(last)
    return ledger.assign(seal=seals)


def append_to_ledger(path: str, ledger: pd.DataFrame, drawn: pd.DataFrame) -> None:
    """Add the people whom `randomise` drew anew behind those in the ledger; do nothing without any.

    Args:
        path: the ledger. A CSV is replaced as a whole or not at all, a wave is there with its note.
        ledger: what `read_ledger` returned.
        drawn: what `randomise` returned.

    Raises:
        InputError: if a CSV would have too many rows.
    """
    new = drawn.loc[~drawn["known"], LEDGER_COLUMNS]
    if not len(new):
        return
    if not path.endswith(".csv"):
        order = np.argsort(hashes(new["respondent_id"], 0, "order in the ledger"), kind="stable")
        _append_wave(Path(path), len(ledger), new.iloc[order])
        return
    if len(ledger) + len(new) > MOST_ROWS:
        folder = path.removesuffix(".csv")
        moved = f", and move {path} to {folder}/{EARLIER} first" if len(ledger) else ""
        what = f"{len(ledger) + len(new):,} people are too many for a CSV that is sealed row by row"
        remedy = f"write '{folder}' in key roster.ledger: a folder of Parquet files{moved}"
        raise InputError([Problem(path, "whole file", what, f"at most {MOST_ROWS:,} people", remedy)])
    new = new.astype("str").sort_values("respondent_id")
    write_rows(sealed(pd.concat([ledger, new], ignore_index=True)), path)


def write_rows(rows: pd.DataFrame, path: str) -> None:
    """Replace a CSV as a whole by sealed rows.

    As they are: nothing may change an id here, not even so that a spreadsheet takes it for no formula.
    """
    write_text(rows.to_csv(index=False, lineterminator="\n"), path)
    Path(path).chmod(OWNERS_ONLY)
    _onto_disk(Path(path), Path(path).parent)


def bury(path: str, arms: Sequence[RosterArmConfig], wanted: str) -> None:
    """Take the id of a person out of the ledger; that somebody was randomised to her arm stays.

    Args:
        path: the ledger, in which she is.
        arms: of the config.
        wanted: her id.
    """
    with locked(path):
        folder = Path(path)
        if path.endswith(".csv"):
            _bury_row(path, arms, wanted)
        elif not any(_bury_in_wave(note, wanted) for note in _notes(folder)):
            _bury_row(str(folder / EARLIER), arms, wanted)


def _bury_row(path: str, arms: Sequence[RosterArmConfig], wanted: str) -> None:
    ledger = _read_csv(path, arms)
    hers = ledger["respondent_id"] == wanted
    row = ledger.loc[hers].iloc[0]
    ledger.loc[hers, [name for name in ledger.columns if name not in SEALED_COLUMNS]] = ""
    ledger.loc[hers, "respondent_id"] = tombstone(row["seal"], row["arm"], row["block"])
    write_rows(sealed(ledger), path)


def _bury_in_wave(note: Path, wanted: str) -> bool:
    """Take her id out of a wave, if she is in it.

    The note is written first: killed in between, the part is as it was, which the note knows, too.
    """
    told = _read_note(note)
    for part in sorted((note.parent / note.stem).iterdir()):
        people = read_part(part)
        hers = (people["respondent_id"] == wanted).to_numpy()
        if not hers.any():
            continue
        place = json.dumps([told["seal"], part.name, int(hers.argmax())])
        seal = hashlib.sha256(place.encode()).hexdigest()[:SEAL]
        row = people[hers].iloc[0]
        people.loc[hers, "respondent_id"] = tombstone(seal, row["arm"], row["block"])
        temporary = note.parent / f".{part.name}.tmp"
        write_parquet(people, temporary)
        temporary.chmod(OWNERS_ONLY)
        parts = told.get(WITHDRAWN, {"parts": {}})["parts"]
        parts = parts | {part.name: [*parts.get(part.name, []), sha256(temporary)]}
        taken = {"parts": parts, "seal": _seal_of_taken(told["seal"], parts)}
        write_json(told | {WITHDRAWN: taken}, note)
        temporary.replace(part)
        _onto_disk(part, part.parent, note, note.parent)
        return True
    return False


def _append_wave(folder: Path, after: int, new: pd.DataFrame) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    notes = _notes(folder)
    wave = folder / _wave(len(notes) + 1)
    shutil.rmtree(wave, ignore_errors=True)  # of a run that was killed before its note
    for left in folder.glob(".*.tmp"):
        left.unlink()
    wave.mkdir()
    for number, start in enumerate(range(0, len(new), SHARD)):
        write_parquet(new.iloc[start : start + SHARD], wave / part_name(number))
    parts = sorted(wave.iterdir())
    for part in parts:
        part.chmod(OWNERS_ONLY)
    _onto_disk(*parts, wave)
    told: dict[str, Any] = {
        "after": after,
        "people": len(new),
        "follows": _read_note(notes[-1])["seal"] if notes else "",
        "parts": {part.name: sha256(part) for part in parts},
    }
    note = folder / f"{wave.name}.json"
    write_json(told | {"seal": _seal(told)}, note)
    _onto_disk(note, folder, folder.parent)


def _onto_disk(*written: Path) -> None:
    """Wait until files and folders are on the disk: nobody is told of an arm before."""
    for path in written:
        with _opened(path) as number:
            os.fsync(number)


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Keep others from the ledger (its folder: the file is replaced) while it is read and added to."""
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    with _opened(folder) as number:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    number = os.open(path, os.O_RDONLY)
    try:
        yield number
    finally:
        os.close(number)
