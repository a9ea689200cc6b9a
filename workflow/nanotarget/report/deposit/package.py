"""What belongs into the deposit of a study: code, config, registration, public data, published results."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from nanotarget.clean.parts import all_raw_files
from nanotarget.report.deposit.programs import Program, Shown, exhibits, programs
from nanotarget.report.deposit.runtimes import COLUMNS
from nanotarget.report.disclosure import RESULT, Status
from nanotarget.study import preregistration
from nanotarget.study.artefacts import read_csv, read_json
from nanotarget.study.config import Study
from nanotarget.study.preregistration import Registration
from nanotarget.study.private import is_private
from nanotarget.study.provenance import MANIFEST, ROOT

CODE, STUDY, RESULTS = "code", "study", "results"
NEVER = (".git",)
STAND_INS = """The raw files in this folder are SIMULATED STAND-INS. No person gave these answers.

They have the columns of the raw data, which may not be published, and answers that were drawn at random from
what the config says is possible. They let you run the whole study; what comes out means nothing, and is not
what `results/` holds. README.md says how to get the data themselves.
"""
SIMULATED = "DATA_ARE_SIMULATED.txt"  # lies in the folder of raw data that nobody gave


@dataclass(frozen=True)
class Code:
    """The code of the project.

    Attributes:
        files: path in the project -> bytes.
        runs: those that can be executed.
        commit: what they are, empty if the project is no repository.
        changed: tracked files that differ from it, and rules, scripts and modules that are not in it.
    """

    files: Mapping[str, bytes]
    runs: frozenset[str] = frozenset()
    commit: str = ""
    changed: tuple[str, ...] = ()


def code_of(project: Path) -> Code:
    """Return the code of the project: its last commit, or, outside a repository, what is not ignored."""
    if not (project / ".git").exists():
        files = {path.relative_to(project).as_posix(): path for path in not_ignored(project)}
        runs = frozenset(name for name, path in files.items() if os.access(path, os.X_OK))
        return Code({name: files[name].read_bytes() for name in sorted(files)}, runs)
    contents, executable = dict[str, bytes](), set[str]()
    with tarfile.open(fileobj=io.BytesIO(_git(project, "archive", "--format=tar", "HEAD"))) as archive:
        for member in archive.getmembers():
            if member.isfile() and (stream := archive.extractfile(member)):
                contents[member.name] = stream.read()
                executable |= {member.name} if member.mode & 0o100 else set()
    commit = _git(project, "rev-parse", "HEAD").decode().strip()
    changed = _git(project, "diff", "--name-only", "HEAD").decode().splitlines()
    changed += _git(project, "ls-files", "--others", "--exclude-standard", "workflow").decode().splitlines()
    return Code(dict(sorted(contents.items())), frozenset(executable), commit, tuple(changed))


def _git(project: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(project), *arguments], capture_output=True, check=True).stdout


def not_ignored(project: Path) -> Iterator[Path]:
    """Yield the files of a project: all but what .gitignore names, whether there is a git or not."""
    lines = (project / ".gitignore").read_text("utf-8").splitlines()
    patterns = [line.strip("/") for line in lines if line and not line.startswith(("#", "!", "/"))]
    for folder, folders, files in os.walk(project):
        left_out = {
            name for name in folders + files if name in NEVER or any(fnmatch(name, p) for p in patterns)
        }
        folders[:] = sorted(
            name for name in folders if name not in left_out and not Path(folder, name).is_symlink()
        )
        yield from (Path(folder, name) for name in sorted(files) if name not in left_out)


def without_data(files: Mapping[str, bytes], raw: Iterable[str]) -> dict[str, bytes]:
    """Leave out of the code data of people: raw files, and folders of `data/` not marked as simulated."""
    simulated = {str(PurePath(name).parent) for name in files if PurePath(name).name == SIMULATED}
    hidden = set(map(inside, raw))
    return {
        name: content
        for name, content in files.items()
        if (name.count("/") < 2 or not name.startswith("data/") or str(PurePath(name).parent) in simulated)
        and (name not in hidden or str(PurePath(name).parent) in simulated)
    }


@dataclass(frozen=True)
class Package:
    """A study that is to be deposited.

    Attributes:
        study: its config as a model.
        config: the file.
        results: folder of its results.
        project: folder of the code.
        code: what is in it.
        stand_ins: simulated files in the place of raw ones that may not be published.
    """

    study: Study
    config: Path
    results: Path
    project: Path = ROOT
    code: Code = field(default_factory=lambda: Code({}))
    stand_ins: Mapping[str, bytes] = field(default_factory=dict)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Manifest of the results."""
        return dict(read_json(self.results / MANIFEST))

    @cached_property
    def published(self) -> list[dict[str, Any]]:
        """Rows of the manifest that are not of people."""
        return [row for row in self.manifest["artefacts"] if not is_private(row["path"])]

    @cached_property
    def programs(self) -> dict[str, Program]:
        """Programs that made the results, by rule."""
        return programs(self.project, (row["rule"] for row in self.manifest["artefacts"]))

    @cached_property
    def exhibits(self) -> list[Shown]:
        """Figures and tables, each with its program."""
        return exhibits(self.project, self.manifest, self.programs)

    @cached_property
    def registration(self) -> Registration | None:
        """The pre-registration."""
        return preregistration.read(self.study.preregistration)

    @cached_property
    def disclosed(self) -> list[str]:
        """What the audit of disclosure found and nobody has settled."""
        file = self.results / RESULT
        if not file.is_file():
            return ["the results have not been audited"]
        table = read_csv(file)
        still = table[table["status"] == Status.OPEN]
        return [f"{row.file}, {row.cell}: {row.rule}" for row in still.itertuples()]

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Measured cost of each rule, as it is kept: rule, seconds, megabytes; no rows without."""
        file = self.study.deposit.runtimes
        known = file is not None and Path(file).is_file()
        return read_csv(str(file)) if known else pd.DataFrame(columns=COLUMNS)

    @property
    def seconds(self) -> dict[str, float]:
        """CPU seconds of each rule."""
        return dict(zip(self.costs["rule"].astype(str), self.costs["seconds"].astype(float), strict=True))

    @property
    def peak(self) -> int:
        """Megabytes of memory of the largest job; 0 if they are not known."""
        most = self.costs["megabytes"].max() if "megabytes" in self.costs else 0
        return 0 if pd.isna(most) else int(most)

    @property
    def shares_data(self) -> bool:
        """Whether the raw data are part of it: they are public, or nobody's."""
        return self.study.synthetic or self.study.deposit.data == "public"

    @property
    def provided(self) -> str:
        """Whether raw data are part of it, in a word."""
        return "yes" if self.shares_data else "simulated stand-in" if self.stand_ins else "no"

    @property
    def licence(self) -> str:
        """Licence of the data; that of simulated ones is the code's."""
        return self.study.deposit.data_licence or ("MIT" if self.study.synthetic else "")

    @property
    def files(self) -> dict[str, Path | bytes]:
        """Everything but what describes it: path in the deposit -> file or content."""
        deposit = self.study.deposit
        measured = deposit.runtimes if len(self.costs) else None
        beside = [self.study.preregistration, measured, *deposit.instruments]
        beside += all_raw_files(self.study) if self.shares_data else []
        code = without_data(self.code.files, self.study.raw_files)
        kept: dict[str, Path | bytes] = {f"{CODE}/{name}": content for name, content in code.items()}
        kept |= {f"{STUDY}/{self.config.name}": self.config}
        kept |= {f"{STUDY}/{inside(file)}": Path(file) for file in beside if file}
        if not self.shares_data and self.stand_ins:
            kept |= {f"{STUDY}/{inside(file)}": content for file, content in self.stand_ins.items()}
            kept[f"{STUDY}/STAND_INS.txt"] = STAND_INS.encode()
        kept |= {f"{RESULTS}/{row['path']}": self.results / row["path"] for row in self.published}
        kept |= {f"{RESULTS}/{MANIFEST}": self.results / MANIFEST}
        return dict(sorted(kept.items()))


def inside(file: str) -> str:
    """Return where a file of the study lies in the deposit: where it lies in its folder, else at its top."""
    path = PurePath(file)
    return path.name if path.is_absolute() or ".." in path.parts else path.as_posix()
