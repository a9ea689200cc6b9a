"""Raw files as tables of text: CSV of any usual kind, Parquet, Stata and SPSS."""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import io
import itertools
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pyreadstat

from nanotarget.clean.guarded import Cells, Texts, UnreadableError, guarded
from nanotarget.study.problems import InputError, Problem, listed, placed

SEPARATORS = (",", ";", "\t", "|")
SEPARATOR_NAMES = "comma, semicolon, tab or |"
LARGEST = 2_000_000_000  # bytes of an unpacked text
MOST_CELLS = 500_000_000  # of a Parquet file, which may say more than it holds
LARGE = 5_000_000  # letters from which it matters how fast a text is read
HEAD = 1_000_000  # letters that hold the names of columns
TEXT_ENDINGS = (".csv", ".tsv", ".tab", ".txt")
PLAIN_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
ENDINGS = f"{', '.join(TEXT_ENDINGS)} (each also with .gz), .parquet, .dta, .sav or .zsav"
SIGNATURES = {
    b"PK\x03\x04": "an Excel workbook or a zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PAR1": "a Parquet file",
    b"<stata_dta>": "a Stata file",
    b"$FL": "an SPSS file",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"SQLite": "a database",
    b"\x1f\x8b": "a doubly compressed file",
    b"\x89HDF": "an HDF5 file",
    b"ARROW1": "an Arrow file",
    b"\x80\x04": "a pickle of Python, which is never read",
    b"\x80\x05": "a pickle of Python, which is never read",
    b"RDX": "a file of R",
    b"X\n\x00": "a file of R",
    b"{\\rtf": "a text with formats (RTF)",
    b"version https://git-lfs": "the pointer of Git LFS to a file that was not fetched",
}


_KEPT: ContextVar[dict[tuple[str, int], pd.DataFrame] | None] = ContextVar("kept", default=None)


@contextmanager
def reading_once() -> Iterator[None]:
    """Read no file twice in the block: who guesses what a file is then checks the guess on the same file."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def read_raw(path: str | Path, header_rows: int = 1) -> pd.DataFrame:
    """Read a raw file, or take what `reading_once` keeps of it; see `_read`."""
    kept = _KEPT.get()
    if kept is None:
        return _read(path, header_rows)
    key = str(path), header_rows
    if key not in kept:
        kept[key] = _read(path, header_rows)
    return kept[key].copy(deep=False)


def _read(path: str | Path, header_rows: int) -> pd.DataFrame:
    """Read a raw file as text.

    Separator, encoding (UTF-8, UTF-16, Windows-1252) and gzip of a CSV are recognised from its
    content. Only an empty cell is missing: the texts "NA" and "None" stay texts.

    Args:
        path: the file; its ending says which format it has.
        header_rows: rows of a CSV before the data; the first has the names. The other formats
            keep names and question texts apart from the data and ignore it.

    Returns:
        One column per raw column, every cell text or missing. The index, named "row", is the row a
        spreadsheet would show: in a CSV the header is row 1, in other formats the first person is.
        ``attrs["codes"]`` maps a column with value labels (Stata, SPSS) to {label: code as text};
        the cells contain the labels. ``attrs["labels"]`` maps a column with value labels, or with
        categories (Parquet), to them in their order. ``attrs["questions"]`` maps a column to its text in
        the second header row.

    Raises:
        InputError: if the file is absent, broken, empty, or no table.
    """
    file, name = Path(path), str(path)
    if not file.is_file():
        raise InputError([_absent(file, name)])
    ending = file.suffix.lower()
    if ending == ".gz":
        ending = Path(file.stem).suffix.lower()
        if ending not in TEXT_ENDINGS:
            ending += ".gz"
    if file.stat().st_size == 0:
        raise _empty(name)
    try:
        if ending in TEXT_ENDINGS:
            table = _read_csv(file.read_bytes(), name, header_rows)
        elif ending in (".parquet", ".dta", ".sav", ".zsav"):
            table = _read_binary(file, name, ending)
        else:
            raise _error(
                name,
                "file name",
                f"the ending '{ending}' is not known",
                ENDINGS,
                "export the data in one of these formats, for example as CSV",
            )
    except OSError as error:
        raise _error(
            name,
            "whole file",
            f"it cannot be read: {error.strerror or error}",
            "a readable file",
            "check the permissions of the file",
        ) from None
    if table.empty:
        raise _error(
            name,
            "whole file",
            "there are no data rows",
            "at least one row after the header",
            "export the data again, or correct 'header_rows'",
        )
    return table


def _error(name: str, where: str, what: str, expected: str, remedy: str) -> InputError:
    return InputError([Problem(name, where, what, expected, remedy)])


def _empty(name: str) -> InputError:
    return _error(
        name, "whole file", "the file is empty", "a header row and data rows", "export the data again"
    )


def _absent(file: Path, name: str) -> Problem:
    remedy = "correct 'file' in the config; it is relative to the folder that Snakemake runs in"
    if file.is_dir():
        return Problem(name, "whole file", "this is a folder", "a file", remedy)
    if file.parent.is_dir():
        there = sorted(entry.name for entry in file.parent.iterdir() if entry.is_file())
        if close := difflib.get_close_matches(file.name, there, n=3):
            remedy = f"did you mean {listed(close)}? Otherwise {remedy}"
    return Problem(name, "whole file", "the file does not exist", "an existing file", remedy)


def _read_csv(content: bytes, name: str, header_rows: int) -> pd.DataFrame:
    if content.startswith(b"\x1f\x8b"):
        try:
            content = _unpacked(content, name)
        except (OSError, EOFError, zlib.error) as error:
            raise _error(
                name,
                "whole file",
                f"the gzip compression is broken ({error})",
                "a complete gzip file",
                "download or export the file again",
            ) from None
    text = _decode(content, name)
    if not text.strip():
        raise _empty(name)
    text, separator = _separated(text, name)
    if (regular := _read_regular(text, separator, header_rows)) is not None:
        return regular
    everything = enumerate(_parse(text, separator, name), 1)
    records = [(row, cells) for row, cells in everything if any(map(str.strip, cells))]
    header = [cell.strip() for cell in records[0][1]]
    while header and not header[-1]:
        header.pop()
    _check_header(header, name)
    data = records[header_rows:]
    if len(header) == 1 and data and all(len(cells) > 1 for _, cells in data[:FIRST]):
        raise _error(
            name,
            f"row {records[0][0]}",
            f"it holds {listed(header)} alone, the rows below have more columns",
            "the names of the columns in the first row",
            "remove what stands above the names",
        )
    if eaten := _data_in_header([cells for _, cells in records[1:header_rows]], [cells for _, cells in data]):
        raise _error(
            name,
            f"row {records[eaten][0]}",
            f"it holds data like the rows below, but 'header_rows: {header_rows}' takes it for a part of the "
            "header",
            "rows without data above the data",
            f"set 'header_rows: {eaten}' for this file",
        )
    if joined := [row for row, cells in data if list(map(str.strip, cells[: len(header)])) == header]:
        raise _error(
            name,
            placed(joined),
            "the names of the columns are there again",
            "names in the first row only",
            "remove these rows; files were probably put one below the other",
        )
    for position, (row, cells) in enumerate(data[:2], header_rows + 1):
        if _imported(cells):
            raise _error(
                name,
                f"row {row}",
                "this row belongs to the header that Qualtrics writes",
                "data",
                f"set 'header_rows: {position}' for this file",
            )
    ragged = [(row, len(cells)) for row, cells in data if not _fits(cells, len(header))]
    if ragged:
        subject = "it" if len(ragged) == 1 else "the first of them"
        raise _error(
            name,
            placed(row for row, _ in ragged),
            f"{subject} has {ragged[0][1]} cells, the header has {len(header)}",
            f"{len(header)} cells in every row",
            "check for a separator in a cell without quotes, or for a cut-off end of the file",
        )
    table = _table(
        {column: [cells[i] for _, cells in data] for i, column in enumerate(header) if column},
        pd.Index([row for row, _ in data], name="row", dtype="int64"),
    )
    if header_rows > 1:
        texts = zip(header, records[1][1], strict=False)
        table.attrs["questions"] = {column: " ".join(text.split()) for column, text in texts if column}
    return table


def without_rows(file: Path, rows: set[int]) -> bytes:
    """Return a CSV without some rows; all others keep their bytes, and a compressed file is compressed again.

    Args:
        file: as `read_raw` reads it.
        rows: their numbers in the index of its table.

    Raises:
        InputError: if the file is no text whose rows can be told apart in its bytes.
    """
    packed = file.read_bytes()
    zipped = packed.startswith(b"\x1f\x8b")
    content = _unpacked(packed, str(file)) if zipped else packed
    text = _decode(content, str(file))
    body, separator = _separated(text, str(file))
    pieces, lines = content.splitlines(keepends=True), list(io.StringIO(body, newline=""))
    if len(pieces) != len(lines):
        raise _error(
            str(file),
            "whole file",
            "its rows cannot be told apart in its bytes (it is UTF-16, for example)",
            "a CSV in UTF-8",
            "export the file again as 'CSV UTF-8', or remove the rows by hand",
        )
    kept, begun = [], 0
    reader = csv.reader(iter(lines), delimiter=separator, strict=True)
    for row, _ in enumerate(reader, 1):
        kept += [] if row in rows else pieces[begun : reader.line_num]
        begun = reader.line_num
    whole = b"".join(kept)
    return gzip.compress(whole, mtime=0) if zipped else whole


def _data_in_header(taken: Sequence[Sequence[str]], data: Sequence[Sequence[str]]) -> int:
    """Return which row that is taken for a part of the header is one of data, from 1; 0 without one.

    It has a number in every column, but a few that are empty, in which the rows of data have numbers only.
    """
    if not taken or not data:
        return 0
    numeric = [
        i
        for i in range(min(map(len, (*taken, *data[:FIRST]))))
        if (cells := [row[i].strip() for row in data[:FIRST] if row[i].strip()])
        and all(map(PLAIN_NUMBER.fullmatch, cells))
    ]
    for position, row in enumerate(taken, 1):
        cells = [row[i].strip() for i in numeric if row[i].strip()]
        if cells and all(map(PLAIN_NUMBER.fullmatch, cells)):
            return position
    return 0


def _read_regular(text: str, separator: str, header_rows: int) -> pd.DataFrame | None:
    """Read a large CSV of which every row has the cells of the header; None leaves it to `_parse`.

    Arrow finds the same cells in a tenth of the time, but does not say what is wrong and where.
    """
    if len(text) < LARGE or header_rows > 1:
        return None
    if not (names := regular_names(text[:HEAD], separator)):
        return None
    try:
        cells = pa_csv.read_csv(pa.py_buffer(text.encode()), *csv_options(len(names), separator))
    except pa.ArrowInvalid:
        return None
    table = regular_table(cells, names, 2)
    return None if _imported(table.iloc[:2].to_numpy().ravel().astype(str)) else table


def regular_names(head: str, separator: str) -> list[str] | None:
    """Return the names of columns if Arrow may read what is below them; None leaves it to `_parse`."""
    lines = csv.reader(io.StringIO(head, newline=""), delimiter=separator)
    names, first = (list(map(str.strip, cells)) for cells in itertools.islice(lines, 2))
    return names if all(names) and len(set(names)) == len(names) and not _imported(first) else None


def csv_options(
    width: int, separator: str
) -> tuple[pa_csv.ReadOptions, pa_csv.ParseOptions, pa_csv.ConvertOptions]:
    """Return how Arrow reads a CSV of so many columns: as texts, all rows below the first."""
    numbered = [str(i) for i in range(width)]
    kind = pa.dictionary(pa.int32(), pa.string())
    return (
        pa_csv.ReadOptions(column_names=numbered, skip_rows_after_names=1, use_threads=False),
        pa_csv.ParseOptions(delimiter=separator, newlines_in_values=True, ignore_empty_lines=False),
        pa_csv.ConvertOptions(column_types=dict.fromkeys(numbered, kind), null_values=[]),
    )


def regular_table(cells: pa.Table, names: Sequence[str], first: int) -> pd.DataFrame:
    """Return what Arrow read as `read_raw` does; the rows of the file are counted from `first`."""
    coded = cells.unify_dictionaries()
    columns = {name: _without_blanks(coded.column(i)) for i, name in enumerate(names)}
    table = pd.DataFrame(columns, index=pd.RangeIndex(first, first + len(cells), name="row"), copy=False)
    if (empty := table.isna().all(axis=1)).any():
        table = table[~empty]
    return _with_nothing_told(table)


def _without_blanks(cells: pa.ChunkedArray) -> Any:
    """Return texts as pandas keeps them; blank ones are missing."""
    coded = cells.combine_chunks()
    texts = [text if text.strip() else None for text in coded.dictionary.to_pylist()]
    known = pa.DictionaryArray.from_arrays(coded.indices, pa.array(texts, pa.large_string()))
    return pd.array(known.cast(pa.large_string()), dtype="str")


def _imported(cells: Iterable[str]) -> bool:
    """Do cells belong to the header that Qualtrics writes?"""
    return any(cell.lstrip().startswith('{"ImportId"') for cell in cells)


def _unpacked(content: bytes, name: str) -> bytes:
    """Decompress, but not what was made to fill the memory."""
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
        unpacked = stream.read(LARGEST + 1)
    if len(unpacked) > LARGEST:
        what = f"it is larger than {LARGEST:,} bytes when it is unpacked"
        remedy = "leave out columns that the config does not name"
        raise _error(name, "whole file", what, "a smaller table", remedy)
    return unpacked


def _fits(cells: Sequence[str], width: int) -> bool:
    """Does a row have as many cells as the header, not counting empty ones beyond it?"""
    return len(cells) >= width and not any(map(str.strip, cells[width:]))


def _decode(content: bytes, name: str) -> str:
    """Recognise the encoding and refuse what is not text."""
    for signature, kind in SIGNATURES.items():
        if content.startswith(signature):
            raise _error(
                name,
                "whole file",
                f"its content is {kind}, not text",
                "a CSV file",
                "export the data as CSV, or give the file its proper ending",
            )
    text = _decode_letters(content, name)
    if "\0" in text:
        raise _error(
            name, "whole file", "it is a binary file, not text", "a CSV file", "export the data as CSV"
        )
    if re.match(r"\s*[\[{]\s*[{\[\"]", text):
        raise _error(
            name,
            "whole file",
            "its content is JSON, not a table",
            "a CSV file",
            "export the data as CSV",
        )
    if re.match(r"\s*<(!doctype|html|\?xml)", text, re.IGNORECASE):
        raise _error(
            name,
            "whole file",
            "its content is a web page, not a table",
            "a CSV file",
            "download the data again; a log-in page was probably saved in their place",
        )
    return text


def _decode_letters(content: bytes, name: str) -> str:
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        # Programs that add a byte order mark to a text that has one leave two.
        return content.decode("utf-16" if utf16 else "utf-8-sig").lstrip("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    # In Windows-1252 nearly every accented letter is invalid UTF-8; a few invalid places in
    # otherwise valid UTF-8 mean a damaged file, and guessing would garble all its other letters.
    lenient = content.decode("utf-8", errors="replace")
    accented, invalid = sum(letter > "\x7f" for letter in lenient), lenient.count("\ufffd")
    if not utf16 and accented < 2 * invalid:
        with suppress(UnicodeDecodeError):
            return content.decode("cp1252")
    raise _error(
        name,
        f"line {line}",
        "a letter is neither UTF-8, UTF-16 nor Windows-1252",
        "a text file in UTF-8",
        "export the data again as 'CSV UTF-8'",
    )


def _parse(text: str, separator: str, name: str, limit: int | None = None) -> list[list[str]]:
    csv.field_size_limit(LARGEST)  # a cell may hold a long text
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    records: list[list[str]] = []
    known: dict[str, str] = {}  # equal cells share one text in memory
    try:
        for record in reader:
            records.append([known.setdefault(cell, cell) for cell in record])
            if len(records) == limit:
                break
    except csv.Error as error:
        raise _error(
            name,
            f"row {len(records) + 1} (line {reader.line_num} of the text)",
            f"the quotes are broken ({error})",
            "every cell that opens with a quote closes with one",
            "double a quote inside a quoted cell, and close every quote",
        ) from None
    return records


FIRST = 100  # records that tell how they are separated


def _first(text: str, separator: str, name: str) -> list[list[str]]:
    """Return the first records, if possible without a copy of a large text."""
    with suppress(InputError):  # of the cut
        if len(text) > HEAD and len(records := _parse(text[:HEAD], separator, name, FIRST)) == FIRST:
            return records
    return _parse(text, separator, name, FIRST)


def _separated(text: str, name: str) -> tuple[str, str]:
    """Return the rows of a CSV and their separator.

    Excel has a line of its own that states it; an empty row in its place keeps the numbers of rows.
    """
    stated = re.match(r'"?sep=(.)"?[,;]*\r?\n', text, re.IGNORECASE)
    text = text[stated.end() - 1 :] if stated else text
    names = text.lstrip().split("\n", 1)[0]
    return text, stated[1] if stated and stated[1] in names else separator_of(text, name)


def separator_of(text: str, name: str) -> str:
    """Return the separator with which most of the first rows are as wide as the header."""
    fits: dict[str, tuple[float, int]] = {}
    failure: InputError | None = None
    for separator in SEPARATORS:
        try:
            records = [r for r in _first(text, separator, name) if any(map(str.strip, r))]
        except InputError as error:
            failure = failure or error
            continue
        width = len(records[0])
        if width > 1:
            fits[separator] = (sum(len(r) == width for r in records) / len(records), width)
    if fits:
        return max(fits, key=lambda separator: fits[separator])
    if failure:
        raise failure
    raise _error(
        name,
        "row 1",
        f"only one column was found: {listed([text.strip().splitlines()[0][:60]])}",
        f"columns separated by {SEPARATOR_NAMES}",
        "export the data as CSV with one of these separators",
    )


def _check_header(header: Sequence[str], name: str) -> None:
    if twice := sorted({column for column in header if column and header.count(column) > 1}):
        raise _error(
            name,
            "header",
            f"columns with the same name: {listed(twice)}",
            "every name once",
            "rename one of them in the file",
        )


def _table(columns: Mapping[str, Cells], rows: pd.Index) -> pd.DataFrame:
    """Make a table of text; blank cells are missing."""
    table = pd.DataFrame(
        {
            column: (
                _without_blanks(cells.dictionary_encode())
                if isinstance(cells, pa.ChunkedArray)
                else pd.array([c if c is None or c.strip() else None for c in cells], dtype="str")
            )
            for column, cells in columns.items()
        },
        index=rows,
    )
    return _with_nothing_told(table)


def _with_nothing_told(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table without codes, labels and questions."""
    table.attrs |= {"codes": {}, "labels": {}, "questions": {}}
    return table


def read_rows(path: str | Path, rows: range) -> pd.DataFrame:
    """Read some rows of a large Parquet file, counted from 0, as `read_raw` reads all."""
    return _read_binary(Path(path), str(path), ".parquet", rows)


def _read_binary(file: Path, name: str, ending: str, of: range | None = None) -> pd.DataFrame:
    """Read a file whose reader is a program of C; of a Parquet file maybe some rows only."""
    try:
        found = guarded(partial(_parquet, of=of) if ending == ".parquet" else _labelled, file)
    except UnreadableError as error:
        kind = "Parquet" if ending == ".parquet" else ending
        raise _error(
            name,
            "whole file",
            f"it is no complete {kind} file ({error})",
            f"a file that was written as {kind} and not changed since",
            "copy or export the file again",
        ) from None
    _check_header([column.strip() for column in found.columns], name)
    rows = len(next(iter(found.columns.values()), ()))
    table = _table(
        {column.strip(): cells for column, cells in found.columns.items()},
        pd.RangeIndex(1, rows + 1, name="row") + (of.start if of else 0),
    )
    table.attrs["codes"] = {column.strip(): dict(codes) for column, codes in found.codes.items()}
    table.attrs["labels"] = {column.strip(): list(labels) for column, labels in found.labels.items()}
    return table


def _parquet(file: Path, of: range | None = None) -> Texts:
    stored = pq.ParquetFile(file)
    about = stored.metadata
    wanted = of or range(about.num_rows)
    if len(wanted) * about.num_columns > MOST_CELLS:
        raise ValueError(f"it has more than {MOST_CELLS:,} cells")
    ends = list(itertools.accumulate(about.row_group(g).num_rows for g in range(about.num_row_groups)))
    begins = [0, *ends[:-1]]
    groups = [g for g, end in enumerate(ends) if end > wanted.start and begins[g] < wanted.stop]
    table = stored.read_row_groups(groups, use_threads=False)
    table = table.slice(wanted.start - begins[groups[0]] if groups else 0, len(wanted))
    labels = {
        column: [str(_text(cell)) for cell in cells.chunk(0).dictionary.to_pylist()]
        for column, cells in zip(table.column_names, table.columns, strict=True)
        if pa.types.is_dictionary(cells.type) and cells.num_chunks
    }
    if twice := {column for column in table.column_names if table.column_names.count(column) > 1}:
        raise ValueError(f"columns with the same name: {listed(sorted(twice))}")
    return Texts({name: _texts(table[name]) for name in table.column_names}, {}, labels)


def _texts(cells: pa.ChunkedArray) -> pa.Array | list[str | None]:
    """Write typed cells as texts, each different one once."""
    try:
        whole = cells.combine_chunks()
        coded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    except pa.ArrowNotImplementedError:  # lists and the like
        return [_text(cell) for cell in cells.to_pylist()]
    known = pa.array([_text(cell) for cell in coded.dictionary.to_pylist()], pa.large_string())
    return pa.DictionaryArray.from_arrays(coded.indices, known).cast(pa.large_string())


def _labelled(file: Path) -> Texts:
    read = pyreadstat.read_dta if file.suffix.lower() == ".dta" else pyreadstat.read_sav
    data, meta = read(str(file), apply_value_formats=True, formats_as_category=False)
    given = meta.variable_value_labels.items()
    return Texts(
        {column: [_text(cell) for cell in data[column]] for column in data},
        {column: {str(label): _text(code) for code, label in labels.items()} for column, labels in given},
        {
            column: [str(labels[code]) for code in sorted(labels, key=_number_or_text)]
            for column, labels in given
        },
    )


def _number_or_text(code: Any) -> tuple[bool, Any]:
    return isinstance(code, str), code


def _text(cell: Any) -> str | None:
    """Write a typed cell as text: numbers without a trailing ".0", dates as ISO 8601."""
    if cell is None or cell is pd.NaT or cell != cell:
        return None
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bytes):
        return cell.decode("utf-8", errors="replace")
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float | np.floating) and cell.is_integer():
        return str(int(cell))
    return str(cell)
