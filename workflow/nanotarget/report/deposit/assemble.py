"""All of a deposit: what belongs into it, what describes it, and the answers to an archive's questions."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from nanotarget.report.deposit.checks import Check, Files, as_table, self_check
from nanotarget.report.deposit.codebook import codebook
from nanotarget.report.deposit.crate import METADATA, crate
from nanotarget.report.deposit.package import CODE, STUDY, Package
from nanotarget.report.deposit.readme import citation_text, codemeta_text, readme
from nanotarget.report.deposit.writing import SUMS, checksums, sized
from nanotarget.study.artefacts import csv_text
from nanotarget.study.release import pretty

CHECKS = "checks.csv"


def assemble(package: Package) -> tuple[dict[str, Path | bytes], list[Check]]:
    """Return all files of the deposit (path -> file or content), and what its self-check says."""
    files = dict(package.files) | _descriptions(package)
    checks = self_check(package, files)
    if not any(check.found for check in checks):
        files[CHECKS] = csv_text(as_table(checks)).encode()
        files |= _listings(package, files)
    return dict(sorted(files.items())), checks


def _descriptions(package: Package) -> dict[str, Path | bytes]:
    template = resources.files("nanotarget.report").joinpath("templates", "deposit.md.j2").read_text("utf-8")
    project = tomllib.loads((package.project / "pyproject.toml").read_text("utf-8"))["project"]
    texts = {
        "README.md": readme(package, template),
        "LICENSE.txt": (package.project / "LICENSE").read_text("utf-8"),
        "CITATION.cff": citation_text(package),
        "codemeta.json": codemeta_text(package, project),
        f"{STUDY}/codebook.csv": csv_text(codebook(package.study)),
    }
    return {path: text.encode() for path, text in texts.items()}


def _listings(package: Package, files: Files) -> Mapping[str, bytes]:
    """What lists all other files: the crate first, then checksums of it, too."""
    sizes = {path: sized(source) for path, source in files.items()}
    described = pretty(crate(package, sizes)).encode()
    return {METADATA: described, SUMS: checksums(sizes | {METADATA: sized(described)})}


def executables(package: Package) -> frozenset[str]:
    """Return the files of the deposit that can be executed."""
    return frozenset(f"{CODE}/{name}" for name in package.code.runs)
