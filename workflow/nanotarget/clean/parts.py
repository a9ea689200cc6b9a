"""Raw files of very many people: one file or a folder of parts, read piece by piece.

A folder is read in the order of its parts' names. Every piece is what `read_raw` would give for its rows,
so that nothing else knows of pieces; a file of usual size is one piece.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from nanotarget.clean.raw import (
    HEAD,
    TEXT_ENDINGS,
    csv_options,
    read_raw,
    read_rows,
    regular_names,
    regular_table,
    separator_of,
)
from nanotarget.study.config import Study
from nanotarget.study.problems import InputError, Problem
from nanotarget.study.shards import SHARD

LARGE = 64_000_000  # bytes of raw files from which they are divided among jobs, and `check` reads their heads
HEAD_ROWS = 1000  # rows of the head of a Parquet file
BLOCK = 16_000_000  # bytes of a CSV that are read at once
PERSON = {".parquet": 10, ".gz": 10}  # bytes that a person with a dozen covariates takes at the least
WRITTEN_OUT = 80  # bytes of a person in other files


def raw_files(path: str) -> list[Path]:
    """Return the files of which a raw table consists and that are there, sorted by name.

    Files and folders whose names begin with a dot or an underscore are left out: programs write notes
    of their own beside the parts.
    """
    folder = Path(path)
    files = [folder] if not folder.is_dir() else folder.rglob("*")
    return sorted(
        (file for file in files if file.is_file() and not _apart(file.relative_to(folder))),
        key=lambda file: file.relative_to(folder).as_posix(),
    )


def _apart(file: Path) -> bool:
    return any(name.startswith((".", "_")) for name in file.parts)


def all_raw_files(study: Study) -> list[str]:
    """Return all raw files of a study, there or not; of a roster in a folder each of its parts."""
    return [
        str(part) for file in study.raw_files for part in (raw_files(file) if Path(file).is_dir() else [file])
    ]


def raw_parts(path: str) -> list[Path]:
    """Return the parts of a raw table in their order; a file, there or not, is its only part.

    Raises:
        InputError: if a folder has no part.
    """
    if not Path(path).is_dir():
        return [Path(path)]
    files = raw_files(path)
    if not files:
        what, remedy = "the folder has no part", "correct 'file' in the config, or export the data again"
        raise InputError([Problem(path, "whole folder", what, "at least one file with data", remedy)])
    return files


def slices(path: str) -> int:
    """Return among how many jobs the people of a raw table are divided: by its size, never by cores."""
    return sum(file.stat().st_size for file in raw_files(path)) // LARGE + 1


def people(path: str) -> int:
    """Return about how many people a raw table has, rather too many; by its size, as only jobs read files."""
    return sum(
        file.stat().st_size // PERSON.get(file.suffix.lower(), WRITTEN_OUT) for file in raw_files(path)
    )


def is_large(path: str) -> bool:
    """Is a raw table so large that only its first rows are read before its turn has come?"""
    return slices(path) > 1


def read_pieces(part: Path, header_rows: int, most: int = SHARD) -> Iterator[pd.DataFrame]:
    """Read a raw file in pieces of at most `most` rows, each as `read_raw` returns it.

    Raises:
        InputError: as `read_raw`, when the piece that has the problem is reached.
    """
    read = 0
    with suppress(pa.ArrowInvalid, OSError, UnicodeDecodeError):  # what is wrong and where, `read_raw` says
        for piece in _streamed(part, header_rows, most):
            if len(piece):  # and not empty rows alone
                yield piece
                read = int(piece.index[-1])
        if read:
            return
    table = read_raw(part, header_rows)
    table = table[table.index > read]
    for start in range(0, len(table), most):
        piece = table.iloc[start : start + most]
        piece.attrs = table.attrs
        yield piece


def _streamed(part: Path, header_rows: int, most: int) -> Iterator[pd.DataFrame]:
    """Yield the pieces of a large regular file; nothing of another one."""
    if not part.is_file():
        return
    if part.suffix.lower() == ".parquet":
        rows = _rows_of(part)
        for start in range(0, rows if rows > most else 0, most):
            yield read_rows(part, range(start, min(start + most, rows)))
    elif part.stat().st_size > LARGE and header_rows == 1 and _is_text(part):
        yield from _streamed_csv(part, most)


def _rows_of(part: Path) -> int:
    with suppress(pa.ArrowInvalid):  # of what is no Parquet file
        return pq.ParquetFile(part).metadata.num_rows
    return 0


def _is_text(part: Path) -> bool:
    return Path(part.name.lower().removesuffix(".gz")).suffix in TEXT_ENDINGS


def _streamed_csv(part: Path, most: int) -> Iterator[pd.DataFrame]:
    opened = gzip.open if part.suffix.lower() == ".gz" else open
    with opened(part, "rb") as stream:
        head = stream.read(HEAD).decode("utf-8-sig", "ignore").lstrip("\ufeff")
    if head.lstrip('"').lower().startswith("sep="):
        return
    separator = separator_of(head, str(part))
    if not (names := regular_names(head, separator)):
        return
    read, parse, convert = csv_options(len(names), separator)
    read.block_size = BLOCK
    held, first = None, 2
    with pa_csv.open_csv(part, read, parse, convert) as stream:
        for batch in stream:
            more = pa.Table.from_batches([batch])
            held = more if held is None else pa.concat_tables([held, more])
            while len(held) >= most:
                yield regular_table(held.slice(0, most), names, first)
                held, first = held.slice(most), first + most
    if held is not None and len(held):
        yield regular_table(held, names, first)


def read_head(part: Path, header_rows: int) -> Iterator[pd.DataFrame]:
    """Yield the first rows of a raw file as one piece; all of one that is small.

    Raises:
        InputError: as `read_raw`.
    """
    if part.is_file() and part.suffix.lower() == ".parquet" and (rows := _rows_of(part)) > HEAD_ROWS:
        yield read_rows(part, range(min(rows, HEAD_ROWS)))
    else:
        yield next(read_pieces(part, header_rows, HEAD_ROWS))
