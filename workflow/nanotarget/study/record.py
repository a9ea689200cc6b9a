"""What every job read and wrote, by checksum: what was changed by hand is noticed before it is used.

Snakemake compares times. An artefact that was edited is newer than what it was made from, and so passes as
made; raw data whose time was kept pass as unchanged.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from nanotarget.study.artefacts import read_json, sha256, write_json
from nanotarget.study.checks import read_settings
from nanotarget.study.problems import InputError, Problem, raise_if_any
from nanotarget.study.provenance import MANIFEST
from nanotarget.study.shards import is_part

RECORD = Path(".snakemake") / "nanotarget.jsonl"
COMPARED = "NANOTARGET_COMPARED"  # set where a command has compared before it starts Snakemake
FORCED = {"-R", "--forcerun"}
EXEMPT = {  # they run nothing, or everything again
    "--lint",
    "--unlock",
    "--list-rules",
    "-l",
    "--list-target-rules",
    "--lt",
    "-F",
    "--forceall",
}
ASKED = ("mem_mb", "runtime")  # resources that every rule with a script states
NAMES = Path(".snakemake") / "nanotarget.json"  # of studies -> their configs


@dataclass(frozen=True)
class Made:
    """What one job made: its rule, and the files it wrote and read (path -> SHA-256).

    Also what it asked for (`ASKED`), and what it cost: cpu_s and, on Linux, peak_mb.
    """

    rule: str
    outputs: Mapping[str, str]
    inputs: Mapping[str, str]
    asked: Mapping[str, float] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)


@contextmanager
def recording(job: Any) -> Iterator[None]:
    """Record what the job that the block does reads and writes (code aside), if it does not fail.

    Args:
        job: the object `snakemake` of a script.
    """
    library = job.input.get("library", [])
    code = {library} if isinstance(library, str) else set(library)
    inputs = _checksums(file for file in job.input if file not in code)
    yield
    asked = {name: job.resources[name] for name in ASKED}
    made = Made(job.rule, _checksums(job.output), inputs, asked, _cost())
    line = json.dumps(asdict(made), ensure_ascii=False)
    RECORD.parent.mkdir(exist_ok=True)
    # One write on a line of its own: jobs that end at the same time, or that were killed here, do not mix.
    # The lock is for jobs on other nodes: file systems that nodes share append in turn only under one.
    with RECORD.open("ab", buffering=0) as record:
        with suppress(OSError):  # a file system without locks
            fcntl.lockf(record, fcntl.LOCK_EX)
        record.write(f"\n{line}\n".encode())


def _cost() -> dict[str, float]:
    """Return CPU seconds of this process and, where Linux tells it, its peak memory in megabytes."""
    cost = {"cpu_s": round(time.process_time(), 2)}
    status = Path("/proc/self/status")  # getrusage would count the Snakemake that started this process
    for line in status.read_text().splitlines() if status.is_file() else []:
        if line.startswith("VmHWM:"):
            cost["peak_mb"] = int(line.split()[1]) // 1024
    return cost


def changed(results: Path) -> dict[str, list[str]]:
    """Compare the artefacts of a study, and the files they were made from, with their checksums.

    Args:
        results: folder of the study's results.

    Returns:
        What was changed, in a sentence, with the rules that are therefore to run again.
    """
    again: dict[str, list[str]] = {}
    for change in _changes(results):
        rules = again.setdefault(f"{change.file}: {change.since}; {change.after}", [])
        rules += [change.rule] if change.rule not in rules else []
    return again


@dataclass(frozen=True)
class Change:
    """A file that differs from the record, what is said of it, the rule to run again, whether times tell."""

    file: str
    since: str
    after: str
    rule: str
    seen: bool


def _changes(results: Path) -> Iterator[Change]:
    made = _made(results)
    checksum = cache(sha256)
    for output, job in made.items():
        if results not in Path(output).parents:
            continue
        if not Path(output).is_file():  # Snakemake misses files, but no part of a folder
            if is_part(output) and Path(output).parent.is_dir():
                since = f"gone since rule {job.rule} made it"
                yield Change(output, since, "it and what follows is made again", job.rule, False)
            continue
        if checksum(output) != job.outputs[output]:
            since = f"changed since rule {job.rule} made it"
            yield Change(output, since, "it and what follows is made again", job.rule, False)
        for file, known in job.inputs.items():
            if file not in made and Path(file).is_file() and checksum(file) != known:
                newer = Path(file).stat().st_mtime > Path(output).stat().st_mtime
                since = "changed since results were made from it"
                yield Change(file, since, "they are made again", job.rule, newer)


def refuse_unforced(results: Path, config: str, arguments: Sequence[str]) -> None:
    """Refuse to go on from what was changed where Snakemake itself was started, which does not see it.

    Args:
        results: folder of the study's results.
        config: the study's config.
        arguments: of Snakemake; it may be told to make what was changed again, or to run nothing.

    Raises:
        InputError: with what was changed, and what to type.
    """
    if "snakemake" not in arguments[0] or os.environ.get(COMPARED) or EXEMPT & set(arguments):
        return
    unseen = [change for change in _changes(results) if not change.seen]
    rules = sorted({change.rule for change in unseen})
    if FORCED & set(arguments) and set(rules) <= set(arguments):
        return
    more = f"--forcerun {' '.join(rules)}"
    remedy = f"type: nanotarget all {shlex.quote(config)}   (or add to your command: {more})"
    expected = "what the record of the last run says"
    raise_if_any(
        Problem(file, "whole file", since, expected, remedy)
        for file, since in dict.fromkeys((change.file, change.since) for change in unseen)
    )


def refuse_changed(results: Path, outputs: Iterable[str]) -> None:
    """Refuse artefacts that differ from what their jobs wrote.

    Raises:
        InputError: with the name of each.
    """
    made = _made(results)
    remedy = "run 'nanotarget all' with the study's config: it makes the file again; results are not edited"
    raise_if_any(
        Problem(
            file,
            "whole file",
            "it was changed after it had been made",
            f"what rule {made[file].rule} wrote",
            remedy,
        )
        for file in whole(outputs)
        if file in made and Path(file).is_file() and sha256(file) != made[file].outputs[file]
    )


def claim(study: str, config: Path) -> None:
    """Give the name of a study to a config, and with it the folder of results.

    Raises:
        InputError: if another config that still exists has it.
    """
    names = read_json(NAMES) if NAMES.is_file() else {}
    owner = Path(names.get(study, config))
    if owner.resolve() != config.resolve() and owner.is_file() and _study_of(owner) == study:
        what = f"{owner} describes a study '{study}', too; its results would be overwritten"
        remedy = f"rename one of the two studies, or remove {owner}"
        expected = "a name of its own for every config"
        raise InputError([Problem(str(config), "key study", what, expected, remedy)])
    write_json({**names, study: str(config)}, NAMES)


def _study_of(config: Path) -> Any:
    try:
        return read_settings(config, str(config)).get("study")
    except InputError:
        return None


def _checksums(files: Iterable[str]) -> dict[str, str]:
    return {str(file): sha256(file) for file in whole(files) if Path(file).is_file()}


def whole(files: Iterable[str]) -> Iterator[str]:
    """Yield files, and in the place of a folder those in it."""
    for file in files:
        parts = sorted(Path(file).rglob("*")) if Path(file).is_dir() else []
        yield from map(str, parts) if parts else [file]


def _made(results: Path) -> dict[str, Made]:
    """Return what made each artefact last; what no job has recorded is known from the manifest."""
    made: dict[str, Made] = {}
    for job in [*_of_manifest(results), *recorded()]:
        folders = {Path(output).parent for output in job.outputs if is_part(output)}
        for output in [known for known in made if is_part(known) and Path(known).parent in folders]:
            if made[output].rule == job.rule and len(job.outputs) > 1:
                del made[output]  # a folder is made as a whole: it may have fewer parts now
        made |= dict.fromkeys(job.outputs, job)
    return made


def recorded() -> Iterator[Made]:
    """Yield what jobs recorded in this folder, in their order."""
    text = RECORD.read_text("utf-8", "replace") if RECORD.is_file() else ""
    for line in text.split("\n"):
        try:
            yield Made(**json.loads(line))
        except (ValueError, TypeError):  # an empty line, or that of a job that was killed while it wrote
            continue


def _of_manifest(results: Path) -> Iterator[Made]:
    try:
        content = read_json(results / MANIFEST)
        raw = {row["path"]: row["sha256"] for row in content["inputs"]}
        for row in content["artefacts"]:
            inputs = content["rules"][row["rule"]]["inputs"]
            known = {file: raw[file] for file in inputs if file in raw}
            yield Made(row["rule"], {(results / row["path"]).as_posix(): row["sha256"]}, known)
    except (OSError, ValueError, KeyError, TypeError):  # none, or no manifest of ours: it will be written
        return
