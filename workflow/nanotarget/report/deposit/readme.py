"""The README of a deposit, after the template of the social science data editors, and how it is cited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from nanotarget.clean.parts import all_raw_files
from nanotarget.clean.raw import read_raw
from nanotarget.report.deposit.package import Package, inside
from nanotarget.report.markdown import filled
from nanotarget.study.config import AuthorConfig
from nanotarget.study.release import author, codemeta, pretty

# Headings of the template that no package may lack.
REQUIRED = (
    "Overview",
    "Data Availability and Provenance Statements",
    "Statement about Rights",
    "License for Data",
    "Summary of Availability",
    "Details on each Data Source",
    "Dataset list",
    "Computational requirements",
    "Software Requirements",
    "Controlled Randomness",
    "Memory, Runtime, Storage Requirements",
    "Description of programs/code",
    "License for Code",
    "Instructions to Replicators",
    "List of tables, figures and programs",
    "References",
)
MEGABYTE = 1_000_000


def readme(package: Package, template: str) -> str:
    """Fill the template of the README."""
    study, deposit = package.study, package.study.deposit
    registered = study.preregistration
    facts = dict(
        **{name: getattr(deposit, name) for name in ("summary", "rights", "access", "sources", "machine")},
        **{name: getattr(deposit, name) for name in ("ethics", "funding")},
        title=study.title or study.study,
        study=study.study,
        synthetic=study.synthetic,
        root_seed=study.root_seed,
        authors=", ".join(f"{person.given} {person.family}" for person in deposit.authors),
        contact=deposit.contact,
        config=package.config.name,
        commit=package.code.commit,
        shares_data=package.shares_data,
        licence=package.licence,
        provided=package.provided,
        stand_ins=bool(package.stand_ins),
        provenance=" ".join(dict.fromkeys(source.collected for source in deposit.sources)),
        cited=_cited(package),
        datasets=_datasets(package),
        packages=package.manifest["packages"],
        programs=list(package.programs.values()),
        seconds={rule: f"{time:.1f}" for rule, time in package.seconds.items()},
        total=duration(sum(package.seconds.values())),
        peak=package.peak,
        storage=f"{sum(row['bytes'] for row in package.manifest['artefacts']) / MEGABYTE:.0f} MB",
        n_figures=sum(shown.file.startswith("figures/") for shown in package.exhibits),
        n_tables=sum(shown.file.startswith("tables/") for shown in package.exhibits),
        exhibits=package.exhibits,
        registration=package.registration,
        registered=inside(registered) if registered else "",
        instruments=[inside(file) for file in deposit.instruments],
    )
    return filled(template, facts)


def duration(seconds: float) -> str:
    """Say how long something takes, as one would."""
    for size, noun in ((3600.0, "hour"), (60.0, "minute"), (1.0, "second")):
        if seconds >= 1.5 * size or size == 1.0:
            count = f"{seconds / size:.0f}"
            return f"{count} {noun}" + ("" if count == "1" else "s")
    raise AssertionError("a second is the last resort")


def _cited(package: Package) -> list[str]:
    """References of the data, of the registration, and of the software."""
    data = [
        source.citation + (f" https://doi.org/{source.doi}" if source.doi else "")
        for source in package.study.deposit.sources
    ]
    version = package.manifest["packages"].get("nanotarget", "")
    return [
        *dict.fromkeys(data),
        f"The nanotarget authors. nanotarget, version {version}. `code/CITATION.cff`.",
    ]


def _datasets(package: Package) -> list[dict[str, Any]]:
    """Raw files with format and size, as the manifest knows them where they are not there."""
    return [
        {"file": inside(file), "format": Path(file).suffix.lstrip(".").upper(), "rows": _rows(file)}
        for file in all_raw_files(package.study)
    ]


def _rows(file: str) -> str:
    return str(len(read_raw(file))) if Path(file).is_file() else ""


def citation(package: Package) -> dict[str, Any]:
    """Return the content of the deposit's CITATION.cff."""
    deposit = package.study.deposit
    content: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use these data or results, please cite them as below.",
        "title": f"Replication package: {package.study.title or package.study.study}",
        "type": "dataset",
        "authors": [_cff(person) for person in deposit.authors],
        "date-released": deposit.date,
        "license": list(dict.fromkeys([package.licence, "MIT"])),
        "abstract": " ".join(deposit.summary.split()),
        "keywords": ["nano-targeting", "conjoint analysis", "survey experiment", "reproducibility"],
    }
    return content | ({"doi": deposit.doi} if deposit.doi else {})


def citation_text(package: Package) -> str:
    """Return CITATION.cff; its DOI is a comment until the archive has reserved one."""
    text = yaml.safe_dump(citation(package), sort_keys=False, allow_unicode=True, width=110)
    return (
        text
        if package.study.deposit.doi
        else text + "# doi: put the one that the archive reserves into key deposit.doi\n"
    )


def _cff(person: AuthorConfig) -> dict[str, str]:
    names = {"given-names": person.given, "family-names": person.family, "orcid": person.orcid}
    return {key: value for key, value in (names | {"affiliation": person.affiliation}).items() if value}


def codemeta_text(package: Package, project: dict[str, Any]) -> str:
    """Return codemeta.json of the deposit: that of the project, with the study's name and authors.

    Args:
        project: table `project` of pyproject.toml.
    """
    cited = citation(package)
    content = codemeta(project, cited) | {
        "name": cited["title"],
        "description": cited["abstract"],
        "author": [author(person) for person in cited["authors"]],
        "datePublished": cited["date-released"],
    }
    return pretty(content | ({"identifier": f"https://doi.org/{cited['doi']}"} if "doi" in cited else {}))
