"""Raw files of every usual kind become the same table of text."""

import gzip
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanotarget.clean.raw import SEPARATORS, read_raw
from nanotarget.study.problems import InputError

TABLE = pd.DataFrame(
    {
        "id": ["R_1", "R_2", "R_3", "R_4"],
        "level": ["NA", "None", "null", 'a "quoted", <br>\nlevel; with | all\tof it'],
        "größe": ["1,5", "2,5", None, "€ 10 – ok"],
        "日本語": ["気候", None, "x", " padded "],
    },
    dtype="str",
)


def written(table, **options):
    return table.to_csv(index=False, **options)


def read(tmp_path, content, name="data.csv", header_rows=1):
    path = tmp_path / name
    path.write_bytes(content)
    return read_raw(path, header_rows)


def assert_same(found, wanted=TABLE):
    assert list(found.columns) == list(wanted.columns)
    assert found.index.name == "row"
    pd.testing.assert_frame_equal(found.reset_index(drop=True), wanted, check_index_type=False)


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
def test_any_usual_csv(tmp_path, separator, encoding, packed):
    content = written(TABLE, sep=separator).encode(encoding)
    assert_same(read(tmp_path, gzip.compress(content) if packed else content))


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_windows_letters(tmp_path, encoding):
    table = TABLE[["id", "größe"]].replace("€ 10 – ok", "Überfluß")
    assert_same(read(tmp_path, written(table, sep=";").encode(encoding)), table)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(tmp_path, end):
    table = TABLE[["id", "größe"]]
    assert_same(read(tmp_path, written(table, lineterminator=end).encode()), table)


def test_a_single_data_row_whose_cells_hold_other_separators(tmp_path):
    found = read(tmp_path, b'id;text;more\n1;"a,b,c,d,e";x,y,z,w\n')
    assert found.to_dict("records") == [{"id": "1", "text": "a,b,c,d,e", "more": "x,y,z,w"}]


def test_decimal_commas_between_semicolons(tmp_path):
    found = read(tmp_path, b"id;rating\n1;2,5\n2;3,5\n")
    assert list(found["rating"]) == ["2,5", "3,5"]


def test_rows_are_counted_as_a_spreadsheet_does(tmp_path):
    found = read(tmp_path, b'\nid,text\n1,"two\nlines"\n\n,\n2,x\n')
    assert list(found.index) == [3, 6]


def test_further_header_rows_are_skipped(tmp_path):
    content = b'id,q1\nId,"How, exactly?"\n"{""ImportId"":""a""}","{""ImportId"":""b""}"\nR_1,4\n'
    found = read(tmp_path, content, header_rows=3)
    assert found.to_dict("index") == {4: {"id": "R_1", "q1": "4"}}
    with pytest.raises(InputError, match="set 'header_rows: 3'"):
        read(tmp_path, content, header_rows=2)


def test_row_names_without_a_header_and_empty_columns_are_left_out(tmp_path):
    found = read(tmp_path, b",id,a,,\n1,R_1,x,,\n2,R_2,y,,\n")
    assert list(found.columns) == ["id", "a"]
    assert list(found["a"]) == ["x", "y"]


def test_parquet(tmp_path):
    arrow = pa.table(
        {
            "int": pa.array([2**60 + 1, None, 3]),
            "float": pa.array([1.0, 2.5, float("nan")]),
            "bool": pa.array([True, False, None]),
            "text": pa.array(["NA", "", "1.0"]),
            "factor": pa.array(["b", None, "a"]).dictionary_encode(),
            "day": pa.array(np.array(["2024-02-29", "NaT", "2025-01-01"], dtype="datetime64[D]")),
        }
    )
    path = tmp_path / "data.parquet"
    pq.write_table(arrow, path)
    found = read_raw(path)
    assert list(found.index) == [1, 2, 3]
    assert (found.dtypes == "str").all()
    assert found.astype(object).where(found.notna(), None).to_dict("list") == {
        "int": ["1152921504606846977", None, "3"],
        "float": ["1", "2.5", None],
        "bool": ["True", "False", None],
        "text": ["NA", None, "1.0"],
        "factor": ["b", None, "a"],
        "day": ["2024-02-29", None, "2025-01-01"],
    }


@pytest.mark.parametrize("ending", [".dta", ".sav", ".zsav"])
def test_stata_and_spss_with_value_labels(tmp_path, ending):
    data = pd.DataFrame({"id": ["a", "b", "c"], "x": [1.0, 2.5, np.nan], "yes": [1.0, 2.0, 1.0]})
    path = tmp_path / f"data{ending}"
    labels = {"yes": {1: "Ja, bitte", 2: "Nein"}}
    if ending == ".dta":
        pyreadstat.write_dta(data.astype({"yes": "int64"}), path, variable_value_labels=labels)
    else:
        pyreadstat.write_sav(data, path, variable_value_labels=labels, compress=ending == ".zsav")
    found = read_raw(path)
    assert found.attrs["codes"] == {"yes": {"Ja, bitte": "1", "Nein": "2"}}
    assert list(found["yes"]) == ["Ja, bitte", "Nein", "Ja, bitte"]
    assert list(found["x"].fillna("missing")) == ["1", "2.5", "missing"]
    assert list(found["id"]) == ["a", "b", "c"]


@pytest.mark.parametrize("ending", [".dta", ".sav", ".parquet", ".csv.gz"])
def test_a_truncated_file_is_refused(tmp_path, ending):
    path = tmp_path / f"data{ending}"
    data = pd.DataFrame({"id": [f"person {i}" for i in range(500)], "x": np.arange(500.0)})
    match ending:
        case ".dta":
            pyreadstat.write_dta(data, path)
        case ".sav":
            pyreadstat.write_sav(data, path)
        case ".parquet":
            data.to_parquet(path)
        case _:
            data.to_csv(path, index=False)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError) as caught:
        read_raw(path)
    assert str(path) in str(caught.value)


def test_a_missing_permission_is_reported(tmp_path, monkeypatch):
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\n1,2\n")

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", refuse)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        read_raw(path)


CELL = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12
).filter(lambda text: text.strip() and '{"ImportId"' not in text)  # which makes a row one of the header


@given(
    st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=8),
    st.sampled_from(SEPARATORS),
    st.sampled_from(["utf-8", "utf-16"]),
)
def test_what_was_written_quoted_is_read_back(tmp_path_factory, rows, separator, encoding):
    table = pd.DataFrame(rows, columns=["a", "b", "c"], dtype="str")
    stream = io.StringIO()
    table.to_csv(stream, index=False, sep=separator, quoting=1)
    path = tmp_path_factory.mktemp("raw") / "data.csv"
    path.write_bytes(stream.getvalue().encode(encoding))
    assert_same(read_raw(path), table)


def test_a_large_file_is_read_as_a_small_one(tmp_path, monkeypatch):
    lines = ['id,"a, b",text', '1,"x\ny"," "', '2,"say ""no""",NA', ",,", '3,"",é', "4, padded ,0.50"]
    path = tmp_path / "data.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    small = read_raw(path)
    monkeypatch.setattr("nanotarget.clean.raw.LARGE", 1)
    called = []
    monkeypatch.setattr("nanotarget.clean.raw._parse", lambda *given, **_: called.append(given))
    monkeypatch.setattr("nanotarget.clean.raw.separator_of", lambda *_: ",")
    large = read_raw(path)
    assert not called
    pd.testing.assert_frame_equal(large, small)
    assert large.attrs == small.attrs


def test_what_is_wrong_in_a_large_file_is_said_as_in_a_small_one(tmp_path, monkeypatch):
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n3\n", encoding="utf-8")
    monkeypatch.setattr("nanotarget.clean.raw.LARGE", 1)
    with pytest.raises(InputError, match="it has 1 cells, the header has 2"):
        read_raw(path)
