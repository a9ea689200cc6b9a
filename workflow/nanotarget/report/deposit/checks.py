"""What a data editor asks, answered first: the list of the AEA, the Data and Code Availability Standard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import pandas as pd

from nanotarget.report.deposit.package import CODE, Package, inside
from nanotarget.report.deposit.readme import REQUIRED
from nanotarget.report.deposit.scan import traces
from nanotarget.report.deposit.writing import content_of
from nanotarget.study.problems import counted, listed
from nanotarget.study.provenance import verify

TEXTS = {".csv", ".html", ".json", ".md", ".tex", ".bib", ".yaml", ".yml", ".txt", ".svg", ".cff", ""}
WINDOWS = set('<>:"|?*\\')
LONGEST_PATH = 240
Files = Mapping[str, Path | bytes]


@dataclass(frozen=True)
class Check:
    """One question, what is open (nothing: it is answered), and what to do."""

    item: str
    found: tuple[str, ...]
    remedy: str

    @property
    def status(self) -> str:
        """Whether something is open."""
        return "OPEN" if self.found else "ok"


def self_check(package: Package, files: Files) -> list[Check]:
    """Answer every question.

    Args:
        package: the study.
        files: all files of the deposit.
    """
    questions: dict[str, tuple[Callable[[], Iterable[str]], str]] = {
        "results complete, and as they were made": (
            lambda: _unverified(package),
            "run 'nanotarget all' with this config, then deposit",
        ),
        "no cell can be traced to people": (
            lambda: package.disclosed,
            "see results/<study>/disclosure.csv: hide the cell, or accept it with a reason "
            "(privacy.accepted)",
        ),
        "code is the committed one": (lambda: _uncommitted(package), "commit the code, or undo the changes"),
        "title, summary, authors and date": (lambda: _who(package), "fill them in"),
        "data availability and rights": (lambda: _availability(package), "fill them in"),
        "every data set is cited": (lambda: _uncited(package), "add an entry to key deposit.sources"),
        "ethics approval": (
            lambda: [] if package.study.deposit.ethics.strip() else ["key deposit.ethics is empty"],
            "name board, number and date, or say why none was asked",
        ),
        "survey instruments": (
            lambda: _instruments(package),
            "name the questionnaires at key deposit.instruments",
        ),
        "files are there and lie in the study's folder": (
            lambda: _misplaced(package, files),
            "correct the key, or move the file into the folder of the study",
        ),
        "no trace of people, no path of this computer": (
            lambda: _traces(files),
            "take it out of the file; identifiers belong into a file that is not deposited",
        ),
        "no identifier in public data": (
            lambda: _identifiers(package),
            "write 'data: restricted', or deposit data without these columns",
        ),
        "README is complete": (lambda: _unwritten(files), "tell the authors of nanotarget"),
        "every exhibit names its program": (
            lambda: [shown.file for shown in package.exhibits if not shown.program.line],
            "tell the authors of nanotarget",
        ),
        "run time of every program": (
            lambda: _untimed(package),
            "run 'make runtimes CONFIG=...' after a full run, and name the file at key deposit.runtimes",
        ),
        "names of files work everywhere": (lambda: _unportable(files), "rename them"),
    }
    return [Check(item, tuple(question()), remedy) for item, (question, remedy) in questions.items()]


def as_table(checks: Iterable[Check]) -> pd.DataFrame:
    """Return the answers as a table: item, status, found, remedy."""
    rows = [
        (check.item, check.status, "; ".join(check.found), check.remedy if check.found else "")
        for check in checks
    ]
    return pd.DataFrame(rows, columns=["item", "status", "found", "remedy"])


def _unverified(package: Package) -> Iterator[str]:
    problems, _ = verify(package.results)
    for found in problems.values():
        yield from found


def _uncommitted(package: Package) -> list[str]:
    changed = package.code.changed
    return (
        [f"{counted(len(changed), 'file')} differ from the commit: {listed(changed, 3)}"] if changed else []
    )


def _who(package: Package) -> Iterator[str]:
    study, deposit = package.study, package.study.deposit
    for key, value in {
        "title": study.title,
        "deposit.summary": deposit.summary,
        "deposit.authors": deposit.authors,
        "deposit.date": deposit.date,
    }.items():
        if not value:
            yield f"key {key} is empty"


def _availability(package: Package) -> Iterator[str]:
    deposit = package.study.deposit
    if not deposit.rights.strip():
        yield "key deposit.rights is empty"
    if not package.licence:
        yield "key deposit.data_licence is empty"
    if not package.shares_data and not deposit.access.strip():
        yield "key deposit.access is empty, and the data are restricted"


def _uncited(package: Package) -> Iterator[str]:
    cited = {source.file: source for source in package.study.deposit.sources}
    for file in package.study.raw_files:
        if file not in cited:
            yield f"no reference of {inside(file)}"
        elif not cited[file].collected.strip():
            yield f"not said where {inside(file)} comes from (collected)"


def _instruments(package: Package) -> list[str]:
    if package.study.synthetic or package.study.deposit.instruments:
        return []
    return ["no questionnaire is named"]


def _misplaced(package: Package, files: Files) -> Iterator[str]:
    yield from (
        f"{path} is not there"
        for path, file in files.items()
        if not isinstance(file, bytes) and not file.is_file()
    )
    outside = [file for file in package.study.raw_files if inside(file) != PurePath(file).as_posix()]
    if package.shares_data:
        yield from (f"{file} lies outside" for file in outside)


def _traces(files: Files) -> Iterator[str]:
    for path, file in files.items():
        readable = PurePath(path).suffix in TEXTS and not path.startswith(f"{CODE}/")
        if readable and (isinstance(file, bytes) or file.is_file()):
            for trace in traces(content_of(file).decode("utf-8", "replace")):
                yield f"{path}, line {trace.line}: {trace.what}"


def _identifiers(package: Package) -> Iterator[str]:
    if package.shares_data and not package.study.synthetic:
        for sample in (package.study.calibration, package.study.experiment, package.study.roster):
            if sample and sample.identifiers:
                yield f"{inside(sample.file)} holds {listed(sample.identifiers, 3)}"


def _unwritten(files: Files) -> Iterator[str]:
    text = content_of(files["README.md"]).decode()
    headings = {line.lstrip("# ").strip() for line in text.splitlines() if line.startswith("#")}
    yield from (f"section '{name}' is missing" for name in REQUIRED if name not in headings)


def _untimed(package: Package) -> list[str]:
    untimed = sorted(set(package.programs) - set(package.seconds))
    return [f"no time of {listed(untimed, 4)}"] if untimed else []


def _unportable(files: Files) -> Iterator[str]:
    for path in files:
        if not path.startswith(f"{CODE}/") and (set(path) & WINDOWS or len(path) > LONGEST_PATH):
            yield path
    alike = Counter(path.lower() for path in files)
    yield from (f"{path} (differs from another in capitals only)" for path, n in alike.items() if n > 1)
