"""Tables of very many people: a folder of parts, each with a fixed number of people, and how they are read.

How people are divided depends on how many they are, never on cores or nodes: the same people give the
same parts everywhere. A table that is one file is its own only part.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from nanotarget.study.artefacts import write_parquet

SHARD = 250_000  # people of a part; the last one has fewer


def part_name(number: int) -> str:
    """Return the name of a part, counted from 0; the names sort in the order of the parts."""
    return f"part-{number:05d}.parquet"


def is_part(path: str | Path) -> bool:
    """Is a file a part of a folder, by its name?"""
    return re.fullmatch(r"part-\d+\.parquet", Path(path).name) is not None


def parts(path: str | Path) -> list[Path]:
    """Return the parts of a table in their order."""
    folder = Path(path)
    return sorted(folder.glob("part-*.parquet")) if folder.is_dir() else [folder]


def sizes(files: Sequence[Path]) -> list[int]:
    """Return the number of rows of each part, without reading them."""
    return [pq.ParquetFile(part).metadata.num_rows for part in files]


def read_part(part: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a part, or some of its columns."""
    return pq.ParquetFile(part).read(columns, use_threads=False).to_pandas()


def slice_of(path: str | Path, number: int, slices: int) -> list[Path]:
    """Return the parts that one of several jobs does: every so many-th."""
    return parts(path)[number::slices]


def read_all(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read all parts of a table, or some of their columns, one below the other."""
    return pd.concat([read_part(part, columns) for part in parts(path)], ignore_index=True)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of `path` when the block ends without error.

    What a killed job left of it is removed; nobody finds a folder that is half full.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def writer(folder: Path) -> Callable[[pd.DataFrame], None]:
    """Return what writes a table as the next part of a folder."""
    numbers = count()

    def write(table: pd.DataFrame) -> None:
        write_parquet(table, folder / part_name(next(numbers)))

    return write
