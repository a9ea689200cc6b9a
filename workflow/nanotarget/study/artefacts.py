"""Write and read artefacts: deterministic bytes, atomic replacement, nothing half-written."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from pandas.api.types import is_integer_dtype, is_numeric_dtype

from nanotarget.study.private import OWNERS_ONLY, is_private

# Twelve significant digits: more than any golden number asks for, fewer than the last bits
# in which two BLAS builds may differ.
FLOAT_FORMAT = "%.12g"
# What a spreadsheet takes for a formula (also in full width, as Japanese ones do). The apostrophe is
# among them, so that taking one away gives every text back. A number or an interval computes nothing.
FORMULA = re.compile(r"\s*[-=+@＝＋－＠']")
PLAIN = "[0-9A-Za-z]"  # what begins so is no formula, nor a text made harmless
HARMLESS = re.compile(r"[-+]?\d+([.,]\d+)?([eE][-+]?\d+)?( [\[(][-+\d., ]*[\])])?")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` that replaces it when the block ends without error.

    A job that is killed leaves only the temporary file; an orphaned job that goes on writing
    cannot corrupt what a rerun has written meanwhile. Only their owner reads files of people.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Jobs on two nodes may have the same number.
    temporary = target.with_name(f".{target.name}.{os.uname().nodename}.{os.getpid()}.tmp")
    try:
        if is_private(target, Path.cwd()):
            temporary.touch(mode=OWNERS_ONLY)
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(content: bytes, path: str | Path) -> None:
    """Write bytes atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(text: str, path: str | Path) -> None:
    """Write UTF-8 text with LF line ends atomically."""
    write_bytes(text.encode("utf-8"), path)


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe before every text, headers too, that a spreadsheet could take for a formula.

    To get the texts back, remove one leading apostrophe where there is one; `read_csv` does.
    """

    def inert(cell: Any) -> Any:
        risky = isinstance(cell, str) and FORMULA.match(cell) and not HARMLESS.fullmatch(cell)
        return f"'{cell}" if risky else cell

    return _with_texts(table, inert)


def _with_texts(table: pd.DataFrame, change: Callable[[Any], Any]) -> pd.DataFrame:
    """Change the texts of a table, each different one once, and its headers; none that is `PLAIN` changes."""
    changed = table.copy(deep=False)
    for i, (_, column) in enumerate(table.items()):
        if not is_numeric_dtype(column.dtype):
            # This look takes no Python for each of very many ids, of which it leaves none or few.
            some = column[~column.str.match(PLAIN, na=True)] if column.dtype == "str" else column
            new = {cell: change(cell) for cell in some.unique() if isinstance(cell, str)}
            if any(old != text for old, text in new.items()):
                changed.isetitem(i, column.astype("object").map(lambda cell: new.get(cell, cell)))  # noqa: B023
    return changed.rename(columns=change)


def csv_text(table: pd.DataFrame, header: bool = True) -> str:
    """Return a tidy table as CSV (comma, LF, 12 significant digits, empty = missing) without formulas."""
    buffer = io.StringIO()
    table = without_formulas(table)
    table.to_csv(buffer, index=False, header=header, float_format=FLOAT_FORMAT, lineterminator="\n")
    return buffer.getvalue()


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a tidy table as CSV in UTF-8."""
    write_text(csv_text(table), path)


def write_csv_parts(tables: Iterable[pd.DataFrame], path: str | Path) -> None:
    """Write tables with the same columns, one below the other, as one CSV; only one is in memory."""
    with replacing(path) as temporary, temporary.open("wb") as stream:
        for number, table in enumerate(tables):
            if number == 0:
                stream.write(csv_text(table.head(0)).encode("utf-8"))
            rows = without_formulas(table)
            stream.write(_unquoted(rows) or csv_text(table, header=False).encode("utf-8"))


def _unquoted(table: pd.DataFrame) -> bytes:
    """Return the rows of a table as `csv_text` writes them, in a fifth of its time; b"" where only it can.

    Only it can write fractions, and texts in quotes (as the only cell of a row may need).
    """
    texts = [n for n, c in table.items() if c.dtype == "bool" or isinstance(c.dtype, pd.CategoricalDtype)]
    table = table.astype(dict.fromkeys(texts, "str"))
    if len(table.columns) < 2 or not all(c.dtype == "str" or is_integer_dtype(c) for _, c in table.items()):
        return b""
    buffer, as_they_are = io.BytesIO(), pa_csv.WriteOptions(include_header=False, quoting_style="none")
    try:
        pa_csv.write_csv(pa.Table.from_pandas(table, preserve_index=False), buffer, as_they_are)
    except pa.ArrowInvalid:  # there is a comma, a quote or a line end in a text
        return b""
    return buffer.getvalue()


def told_simulated(table: pd.DataFrame, synthetic: bool) -> pd.DataFrame:
    """Say in a table that people pass on that its data are simulated: a last column `simulated`, always true.

    It is a column and no comment: most readers of CSV do not skip comments, and rows that are copied keep it.
    """
    return table.assign(simulated=True) if synthetic else table


def read_csv(path: str | Path | io.StringIO, **options: Any) -> pd.DataFrame:
    """Read a CSV artefact (or its text) back; only the empty string is missing, so a level 'NA' survives."""
    return _as_written(pd.read_csv(path, keep_default_na=False, na_values=[""], **options))


def read_csv_parts(path: str | Path, rows: Iterable[int], **options: Any) -> Iterator[pd.DataFrame]:
    """Read a CSV artefact in pieces of so many rows each; only one is in memory."""
    with pd.read_csv(path, keep_default_na=False, na_values=[""], iterator=True, **options) as reader:
        for n in rows:
            yield _as_written(reader.get_chunk(n)).reset_index(drop=True)


def _as_written(table: pd.DataFrame) -> pd.DataFrame:
    return _with_texts(table, lambda cell: cell.removeprefix("'") if isinstance(cell, str) else cell)


def write_parquet(table: pd.DataFrame, path: str | Path) -> None:
    """Write a tidy table as Parquet without an index and without version-dependent metadata."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    with replacing(path) as temporary:
        pq.write_table(arrow, temporary, compression="zstd", write_statistics=True)


def read_parquet(path: str | Path) -> pd.DataFrame:
    """Read a Parquet artefact (categoricals come back with their order)."""
    return pd.read_parquet(path)


def write_npz(arrays: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Write named arrays of numbers or texts, uncompressed: no compression library shows in the bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
    write_bytes(buffer.getvalue(), path)


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Read named arrays; nothing in the file is executed."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _plain(value: Any) -> Any:
    """Turn numbers, arrays and containers into what JSON knows; floats to 12 digits, NaN to null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(FLOAT_FORMAT % value) if np.isfinite(value) else None
    return value


def write_json(content: Mapping[str, Any] | list[Any], path: str | Path) -> None:
    """Write JSON with sorted keys, two-space indent, 12 significant digits and a final line end."""
    text = json.dumps(_plain(content), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(text + "\n", path)


def read_json(path: str | Path) -> Any:
    """Read a JSON artefact."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
