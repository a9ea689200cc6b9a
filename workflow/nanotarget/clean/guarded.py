"""Readers of C in a process of their own: what a damaged file does to them becomes a message."""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

GIGABYTES = 8  # beyond what the process has
SECONDS = 900  # of CPU
TOLD = b"told"
Cells: TypeAlias = Sequence[str | None] | pa.Array | pa.ChunkedArray  # texts of a column


@dataclass(frozen=True)
class Texts:
    """What a file holds: cells of columns as texts, codes of value labels, and labels in their order."""

    columns: Mapping[str, Cells]
    codes: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)


class UnreadableError(Exception):
    """A file that its reader did not read, and why."""


def guarded(read: Callable[[Path], Texts], file: Path) -> Texts:
    """Read a file in a child process with limits of memory and time.

    What comes back is a table of texts and JSON, never an object of Python.

    Args:
        read: the reader.
        file: the file.

    Raises:
        UnreadableError: if the reader fails, or the process that it runs in is killed.
    """
    receiver, sender = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of C libraries, which fork knows
        child = os.fork()
    if child == 0:
        os.close(receiver)
        _answer(read, file, sender)
    os.close(sender)
    with os.fdopen(receiver, "rb") as stream:
        content = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        cause = f"by {signal.Signals(-status).name}" if status < 0 else f"with the code {status}"
        raise UnreadableError(f"the program that reads it was ended {cause}")
    return _understood(content)


def _answer(read: Callable[[Path], Texts], file: Path, sender: int) -> None:
    """Read, write the answer to the parent, and end without what the parent would do at its end."""
    code = 1
    faulthandler.disable()  # the parent says what happened
    try:
        _limit()
        told: dict[str, object]
        try:
            found = read(file)
            table = pa.table(
                {
                    name: cells if isinstance(cells, pa.Array) else pa.array(cells, pa.large_string())
                    for name, cells in found.columns.items()
                }
            )
            told = {"codes": found.codes, "labels": found.labels}
        except MemoryError:
            table, told = pa.table({}), {"failed": f"it needs more than {GIGABYTES} GB of memory"}
        except Exception as error:  # a damaged file may fail anywhere in its reader
            table, told = pa.table({}), {"failed": str(error)[:200].split("\n")[0] or type(error).__name__}
        table = table.replace_schema_metadata({TOLD: json.dumps(told).encode()})
        with os.fdopen(sender, "wb") as stream, pa.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)
        code = 0
    finally:
        os._exit(code)


def _limit() -> None:
    """Let this process grow by GIGABYTES and work for SECONDS."""
    size = Path("/proc/self/statm")
    if size.is_file():
        limit = int(size.read_text("ascii").split()[0]) * resource.getpagesize() + GIGABYTES * 2**30
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        if soft == resource.RLIM_INFINITY or limit < soft:
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if soft == resource.RLIM_INFINITY or soft > SECONDS:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, hard))


def _understood(content: bytes) -> Texts:
    try:
        with pa.ipc.open_stream(content) as stream:
            table = stream.read_all()
        told = json.loads(table.schema.metadata[TOLD])
    except (pa.ArrowInvalid, ValueError, KeyError, TypeError):
        raise UnreadableError("the program that reads it gave no answer") from None
    if "failed" in told:
        raise UnreadableError(told["failed"])
    columns = {name: table[i] for i, name in enumerate(table.column_names)}
    return Texts(columns, told["codes"], told["labels"])
