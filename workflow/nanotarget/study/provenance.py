"""What was made from what: a manifest of every artefact, and the check that nothing has changed since.

No clock, host or absolute path: two runs on two machines write the same manifest.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from nanotarget.study.artefacts import read_json, sha256
from nanotarget.study.private import is_private

ROOT = Path(__file__).resolve().parents[3]
MANIFEST = "manifest.json"
# A simulation's output is compared with the raw data by `make simulate`; it is not an artefact of the study.
APART = frozenset({MANIFEST, "simulated"})

# What is to be done about a problem that `verify` finds.
AGAIN = "run the pipeline again: it makes these again"
REMOVE = "move these out of the folder, if you need them; the pipeline has not made them"
RESTORE = (
    "if a change of the data was not meant, restore them from a copy; if it was, run the pipeline again. "
    "Never delete raw data"
)


@dataclass(frozen=True)
class Rule:
    """What one rule of the workflow did.

    Attributes:
        name: of the rule.
        inputs: files it read (data, artefacts and code), relative to the project.
        outputs: files or folders it wrote, relative to the project.
        params: settings that it was given.
    """

    name: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    params: Mapping[str, Any]


def packages(project: str = "nanotarget") -> dict[str, str]:
    """Return the versions of Python and of the packages that the project needs, directly or not.

    Extras are left out: what lints and tests does not make results.
    """
    versions: dict[str, str] = {}
    todo = [(project, frozenset[str]())]
    seen = set(todo)
    while todo:
        name, extras = todo.pop()
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # an optional requirement of another platform
            continue
        versions[canonicalize_name(name)] = distribution.version
        for line in distribution.requires or []:
            requirement = Requirement(line)
            environments = [{"extra": extra} for extra in (extras or {""})]
            if requirement.marker and not any(requirement.marker.evaluate(e) for e in environments):
                continue
            item = (canonicalize_name(requirement.name), frozenset(requirement.extras))
            if item not in seen:
                seen.add(item)
                todo.append(item)
    return {"python": platform.python_version(), **dict(sorted(versions.items()))}


def digest(content: Any) -> str:
    """Return the SHA-256 of settings: of their JSON with sorted keys."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def portable(path: str | PurePath) -> str:
    """Return a path as it may be published: relative ones with /, of an absolute one only the name."""
    pure = PurePath(path)
    return pure.name if pure.is_absolute() else pure.as_posix()


def _named(file: str) -> str:
    """Return a rule's input as it is published: a file of the library by its name in the project."""
    path = Path(file).resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT / "workflow") else portable(file)


def fingerprints(files: Iterable[str | Path]) -> list[dict[str, Any]]:
    """Return path, sha256 and size in bytes of files (raw data, pre-registration), sorted by path."""
    rows = [
        {"path": portable(file), "sha256": sha256(file), "bytes": Path(file).stat().st_size} for file in files
    ]
    return sorted(rows, key=lambda row: row["path"])


def manifest(
    results: str | Path,
    rules: Sequence[Rule],
    inputs: Iterable[str | Path],
    study: Mapping[str, Any],
    versions: Mapping[str, str],
) -> dict[str, Any]:
    """List every artefact of a study with its checksum and where it comes from.

    Args:
        results: folder of the study's results, relative to the project.
        rules: every rule that made something in it.
        inputs: raw data and the pre-registration.
        study: what identifies the run: name, root seed, whether the data are simulated.
        versions: of the packages.

    Returns:
        study, packages, inputs (path, sha256, bytes), rules (name -> inputs, digest of the parameters)
        and artefacts (path below `results`, sha256, private, bytes, rule), each sorted.
    """
    artefacts = []
    for rule in rules:
        for output in rule.outputs:
            path = Path(output)
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file() and not _temporary(file):
                    inside = file.relative_to(results)
                    row = {"path": inside.as_posix(), "sha256": sha256(file), "private": is_private(inside)}
                    artefacts.append({**row, "bytes": file.stat().st_size, "rule": rule.name})
    return {
        "study": dict(study),
        "packages": dict(versions),
        "inputs": fingerprints(inputs),
        "rules": {
            rule.name: {
                "inputs": sorted(map(_named, rule.inputs)),
                "parameters_sha256": digest(rule.params),
            }
            for rule in rules
        },
        "artefacts": sorted(artefacts, key=lambda row: str(row["path"])),
    }


def _temporary(file: Path) -> bool:
    """Was a file, or the folder that it is in, left by a job that was killed?"""
    return any(name.startswith(".") and name.endswith(".tmp") for name in file.parts)


def verify(results: str | Path, project: str | Path = ".") -> tuple[dict[str, list[str]], int]:
    """Compare a results folder with its manifest.

    Args:
        results: folder with manifest.json.
        project: folder from which the paths of the inputs count. Inputs that are not there (data
            that may not be shared) are not checked.

    Returns:
        The problems, one sentence each (changed, missing or unknown artefacts, changed inputs), by what is to
        be done about them, and the number of artefacts in the manifest.

    Raises:
        OSError, ValueError: if the manifest cannot be read.
    """
    folder = Path(results)
    content = read_json(folder / MANIFEST)
    known = {row["path"]: row for row in content["artefacts"]}
    problems: dict[str, list[str]] = {AGAIN: [], REMOVE: [], RESTORE: []}
    for path, row in known.items():
        file = folder / path
        if not file.is_file():
            problems[AGAIN].append(f"{path}: missing (made by rule {row['rule']})")
        elif sha256(file) != row["sha256"]:
            problems[AGAIN].append(f"{path}: changed since rule {row['rule']} made it")
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder).as_posix()
        if file.is_file() and path not in known and path.split("/")[0] not in APART and not _temporary(file):
            problems[REMOVE].append(f"{path}: unknown, no rule made it")
    for row in content["inputs"]:
        file = Path(project) / row["path"]
        if file.is_file() and sha256(file) != row["sha256"]:
            problems[RESTORE].append(f"{row['path']}: input changed since the results were made")
    return {todo: found for todo, found in problems.items() if found}, len(known)
