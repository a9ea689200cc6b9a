"""Did a replicator get our bytes, and if not, how far are the numbers from ours?

A study's folder of data keeps a record of the run that its authors published: the checksum of every artefact,
and the numbers of its tidy tables. `provenance.verify` compares a run with its own manifest; this compares it
with that record.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from nanotarget.study.artefacts import read_csv, read_json, sha256, write_text
from nanotarget.study.provenance import MANIFEST

RECORD = "reference_manifest.json"
# Figures and tables print what the tidy tables of the stages hold.
DERIVED = frozenset({"figures", "tables"})
MOST_ROWS = 1000  # of a table whose numbers are kept; the larger ones list people or petitions
# What a run was made from and with, and what is said where that differs.
SURROUNDINGS = {
    "inputs": "{name} is not the file of the reference run",
    "rules": "rule {name} has other settings than in the reference run",
    "packages": "{name} {its} instead of {ours}",
    "machine": "{name} {its} instead of {ours}",
}

Columns = dict[str, list[float | None]]


@dataclass(frozen=True)
class Difference:
    """How an artefact differs from the record.

    Attributes:
        path: below the results.
        what: is known of it: that it is missing, has another shape, or by how much its numbers differ.
        relative: largest difference of two numbers over the larger of them; 0 if all numbers are equal,
            infinite if there is more or less than in the record, NaN if no numbers were kept.
    """

    path: str
    what: str
    relative: float


@dataclass(frozen=True)
class Comparison:
    """A run beside the record.

    Attributes:
        same: artefacts with the recorded bytes.
        different: the others.
        surroundings: what else differs: raw data, settings, packages, kind of processor.
    """

    same: int
    different: list[Difference]
    surroundings: list[str]


def recorded(results: Path) -> dict[str, Any]:
    """Return what is to be kept of a run: checksums and numbers.

    Args:
        results: folder of its results, with manifest.json.

    Returns:
        study, machine (kind of processor, system), packages, inputs, rules (digest of parameters),
        artefacts (path -> checksum) and numbers (path -> column -> numbers, null where missing).

    Raises:
        OSError, ValueError, KeyError: if the manifest cannot be read.
    """
    content = read_json(results / MANIFEST)
    paths = [row["path"] for row in content["artefacts"]]
    return {
        "study": content["study"],
        "machine": {"processor": platform.machine(), "system": platform.system()},
        "packages": content["packages"],
        "inputs": {row["path"]: row["sha256"] for row in content["inputs"]},
        "rules": {name: rule["parameters_sha256"] for name, rule in content["rules"].items()},
        "artefacts": {row["path"]: row["sha256"] for row in content["artefacts"]},
        "numbers": {path: columns for path in paths if (columns := _numbers(results, path))},
    }


def write_record(record: Mapping[str, Any], path: Path) -> None:
    """Write a record with a line a column or artefact, so that a change of one is a change of one line."""
    write_text("".join(_lines(record, 0)) + "\n", path)


def _lines(value: Any, depth: int) -> Iterator[str]:
    if not isinstance(value, Mapping) or not value:
        yield json.dumps(value, ensure_ascii=False)
        return
    start = "{"
    for key, entry in value.items():
        yield f"{start}\n{' ' * (depth + 1)}{json.dumps(key, ensure_ascii=False)}: "
        yield from _lines(entry, depth + 1)
        start = ","
    yield f"\n{' ' * depth}}}"


def compared(results: Path, record: Mapping[str, Any]) -> Comparison:
    """Compare a run with the record.

    Args:
        results: folder of the run's results, with manifest.json.
        record: from `recorded`.

    Raises:
        OSError, ValueError, KeyError: if the manifest or the record cannot be read.
    """
    own = recorded(results)
    surroundings = [
        said.format(name=name, ours=ours.get(name, "absent"), its=its.get(name, "absent"))
        for part, said in SURROUNDINGS.items()
        for ours, its in [(record[part], own[part])]
        for name in sorted(ours.keys() | its.keys())
        if ours.get(name) != its.get(name)
    ]
    known = record["artefacts"]
    same, different = 0, list[Difference]()
    for path in sorted(known.keys() | own["artefacts"].keys()):
        file = results / path
        if path not in known:
            different.append(Difference(path, "not in the reference run", np.inf))
        elif not file.is_file():
            different.append(Difference(path, "missing", np.inf))
        elif sha256(file) == known[path]:
            same += 1
        else:
            different.append(_difference(path, record["numbers"].get(path), _numbers(results, path)))
    return Comparison(same, different, surroundings)


def _numbers(results: Path, path: str) -> Columns:
    """Return the numeric columns of a tidy table; nothing for other artefacts and for large tables."""
    pure = PurePosixPath(path)
    if pure.suffix != ".csv" or pure.parts[0] in DERIVED or not (results / path).is_file():
        return {}
    table = read_csv(results / path)
    if len(table) > MOST_ROWS:
        return {}
    numeric = table.select_dtypes("number").dropna(axis=1, how="all").astype(np.float64)
    return {str(name): [None if np.isnan(v) else v for v in numeric[name]] for name in numeric}


def _difference(path: str, ours: Columns | None, its: Columns) -> Difference:
    if not ours:
        return Difference(path, "other bytes; its numbers are not kept", np.nan)
    if ours.keys() != its.keys():
        names = ", ".join(sorted(ours.keys() ^ its.keys()))
        return Difference(path, f"not the same columns of numbers ({names})", np.inf)
    worst = Difference(path, "the same numbers, other words", 0.0)
    for name, values in ours.items():
        one, other = (np.array(column, dtype=np.float64) for column in (values, its[name]))
        if len(one) != len(other):
            return Difference(path, f"{len(other)} rows instead of {len(one)}", np.inf)
        none = ~np.isfinite(one)
        if not np.array_equal(one[none], other[none], equal_nan=True) or not np.isfinite(other[~none]).all():
            return Difference(path, f"column {name}: not the same cells are empty or infinite", np.inf)
        one[none] = other[none] = 0
        apart, size = np.abs(one - other), np.maximum(np.abs(one), np.abs(other))
        relative = np.divide(apart, size, out=np.zeros_like(apart), where=size > 0)
        if not np.max(relative, initial=0) > worst.relative:
            continue
        row = int(np.argmax(relative))
        said = f"column {name}, row {row + 1}: {other[row]:.12g} instead of {one[row]:.12g}"
        worst = Difference(path, said, float(relative[row]))
    return worst
