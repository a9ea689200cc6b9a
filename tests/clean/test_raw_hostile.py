"""Raw files that were damaged, or made to harm: a table or a message, never a traceback."""

from __future__ import annotations

import gzip
from contextlib import suppress

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from nanotarget.clean import raw
from nanotarget.clean.raw import read_raw, reading_once
from nanotarget.study.problems import InputError

TEXT = "id,party\n1,Left\n2,Right\n"


@pytest.mark.parametrize("separator", [",", ";", "|"])
def test_the_line_in_which_excel_states_the_separator_is_no_header(tmp_path, separator):
    path = tmp_path / "a.csv"
    path.write_text(f"sep={separator}\r\n" + TEXT.replace(",", separator), encoding="utf-8-sig")
    table = read_raw(path)
    assert table["party"].tolist() == ["Left", "Right"]
    assert table.index.tolist() == [3, 4]  # as a spreadsheet counts


def test_two_byte_order_marks_are_no_part_of_a_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\ufeff" + TEXT, encoding="utf-8-sig")
    assert list(read_raw(path)) == ["id", "party"]


def test_what_unpacks_to_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(TEXT.encode() + b"3,Left\n" * 1000))
    assert len(read_raw(path)) == 1002
    monkeypatch.setattr(raw, "LARGEST", 5000)
    with pytest.raises(InputError, match="larger than 5,000 bytes when it is unpacked"):
        read_raw(path)


@pytest.mark.parametrize("ending", ["sav", "dta", "parquet"])
def test_damaged_files_of_other_formats_get_a_message(tmp_path, ending):
    table = pd.DataFrame({"id": ["a", "b", "c"], "x": [1.0, 2.0, np.nan]})
    path = tmp_path / f"a.{ending}"
    write = {
        "sav": lambda: pyreadstat.write_sav(table, str(path)),
        "dta": lambda: pyreadstat.write_dta(table, str(path)),
        "parquet": lambda: table.to_parquet(path),
    }
    write[ending]()
    good, rng = path.read_bytes(), np.random.default_rng(5)
    for cut in rng.integers(1, len(good), 20):
        path.write_bytes(good[:cut])
        with suppress(InputError):
            read_raw(path)
    for place in rng.integers(len(good), size=60):
        path.write_bytes(good[:place] + bytes(rng.integers(256, size=4, dtype="uint8")) + good[place + 4 :])
        with suppress(InputError):
            read_raw(path)


def test_a_file_is_read_once_by_who_guesses_and_then_checks(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(TEXT)
    with reading_once():
        table = read_raw(path)
        table["id"] = "changed"
        path.write_text("id,party\n9,Left\n")
        assert read_raw(path)["id"].tolist() == ["1", "2"]
    assert read_raw(path)["id"].tolist() == ["9"]
