"""The deposit for machines: a Provenance Run RO-Crate (JSON-LD), and with it the crates that it extends.

Every rule of the run is an action with the script that it ran, what it read and what it made. No times: they
would differ between two runs whose bytes are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from nanotarget.report.deposit.package import CODE, RESULTS, STUDY, Package, inside
from nanotarget.study.config import AuthorConfig

METADATA = "ro-crate-metadata.json"
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
WORKFLOW = f"{CODE}/Snakefile"
SPDX = "https://spdx.org/licenses/"
KINDS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tex": "application/x-tex",
    ".bib": "application/x-bibtex",
    ".yaml": "application/yaml",
    ".txt": "text/plain",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".parquet": "application/vnd.apache.parquet",
    ".npz": "application/x-npz",
}
Entity = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """Checksum and size of a file."""

    sha256: str
    size: int


def crate(package: Package, files: Mapping[str, Size]) -> dict[str, Any]:
    """Return the content of ro-crate-metadata.json.

    Args:
        package: the study.
        files: everything else in the deposit: path -> checksum and size.
    """
    return {"@context": CONTEXT, "@graph": list(_graph(package, files))}


def _graph(package: Package, files: Mapping[str, Size]) -> Iterator[Entity]:
    shown = [path for path in files if not path.startswith(f"{CODE}/")]
    yield {
        "@id": METADATA,
        "@type": "CreativeWork",
        "about": _to("./"),
        "conformsTo": _refer(
            ["https://w3id.org/ro/crate/1.1", "https://w3id.org/workflowhub/workflow-ro-crate/1.0"]
        ),
    }
    yield _root(package, shown)
    for profile, name in PROFILES.items():
        yield {"@id": profile, "@type": "CreativeWork", "name": name, "version": profile.rsplit("/", 1)[1]}
    for identifier in dict.fromkeys([package.licence, "MIT"]):
        yield {
            "@id": SPDX + identifier,
            "@type": "CreativeWork",
            "name": identifier,
            "description": "Licence",
        }
    for author in package.study.deposit.authors:
        yield from _person(author)
    yield {"@id": f"{CODE}/", "@type": "Dataset", "name": "Code", "license": _to(f"{SPDX}MIT"),
           "description": "The project nanotarget, with which the results were made"}  # fmt: skip
    for path in shown:
        yield _file(path, files[path])
    yield from _workflow(package, files)
    yield from _actions(package, set(files))


def _root(package: Package, paths: Sequence[str]) -> Entity:
    deposit = package.study.deposit
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": package.study.title or package.study.study,
        "description": deposit.summary,
        "datePublished": deposit.date,
        "license": _to(SPDX + package.licence),
        "author": _refer(map(_identity, deposit.authors)),
        "publisher": _refer(map(_identity, deposit.authors[:1])),
        "conformsTo": _refer(PROFILES),
        "mainEntity": _to(WORKFLOW),
        "mentions": _refer(["#run", "#engine-run"]),
        "hasPart": _refer([*paths, f"{CODE}/", WORKFLOW, *_scripts(package)]),
    }
    return root | ({"identifier": f"https://doi.org/{deposit.doi}"} if deposit.doi else {})


def _identity(author: AuthorConfig) -> str:
    return author.orcid or f"#{author.given} {author.family}".replace(" ", "-")


def _person(author: AuthorConfig) -> Iterator[Entity]:
    person: Entity = {
        "@id": _identity(author),
        "@type": "Person",
        "name": f"{author.given} {author.family}",
        "givenName": author.given,
        "familyName": author.family,
    }
    if author.affiliation:
        place = f"#{author.affiliation}".replace(" ", "-")
        person["affiliation"] = _to(place)
        yield {"@id": place, "@type": "Organization", "name": author.affiliation}
    yield person


def _file(path: str, known: Size, *kinds: str) -> Entity:
    suffix = PurePath(path).suffix
    return {
        "@id": path,
        "@type": ["File", *kinds] if kinds else "File",
        "name": PurePath(path).name,
        "contentSize": str(known.size),
        "sha256": known.sha256,
        "encodingFormat": KINDS.get(suffix, "text/plain"),
    }


def _scripts(package: Package) -> list[str]:
    return sorted({f"{CODE}/{program.script}" for program in package.programs.values()})


def _workflow(package: Package, files: Mapping[str, Size]) -> Iterator[Entity]:
    yield _file(WORKFLOW, files[WORKFLOW], "SoftwareSourceCode", "ComputationalWorkflow", "HowTo") | {
        "name": "nanotarget",
        "description": "Snakemake workflow from raw survey exports to the report",
        "programmingLanguage": _to("#snakemake"),
        "license": _to(f"{SPDX}MIT"),
        "input": _refer(f"#input-{inside(file)}" for file in _read(package)),
        "output": _to("#output"),
        "hasPart": _refer(_scripts(package)),
        "step": _refer(f"#step-{rule}" for rule in package.programs),
    }
    version = package.manifest["packages"].get("snakemake", "")
    page = {
        "url": "https://snakemake.github.io",
        "identifier": "https://snakemake.github.io",
        "version": version,
    }
    yield {
        "@id": "#snakemake",
        "@type": "ComputerLanguage",
        "name": "Snakemake",
        "alternateName": "Snakefile",
    } | page
    yield {
        "@id": "#engine",
        "@type": "SoftwareApplication",
        "name": "Snakemake",
        "softwareVersion": version,
    } | page
    for script in _scripts(package):
        yield _file(script, files[script], "SoftwareSourceCode", "SoftwareApplication") | {
            "encodingFormat": "text/x-python",
            "description": "Program of a step of the workflow",
        }
    for file in _read(package):
        example = f"{STUDY}/{inside(file)}"
        about = {"@id": f"#input-{inside(file)}", "@type": "FormalParameter", "name": file,
                 "additionalType": "File", "valueRequired": True}  # fmt: skip
        yield about | (
            {"workExample": _to(example)} if example in files else {"workExample": _to(_config(package))}
        )
    yield {"@id": "#output", "@type": "FormalParameter", "name": "manifest", "additionalType": "File",
           "workExample": _to(f"{RESULTS}/manifest.json")}  # fmt: skip


def _config(package: Package) -> str:
    return f"{STUDY}/{package.config.name}"


def _read(package: Package) -> list[str]:
    """Files that a user gives: config, registration, raw data."""
    registered = [package.study.preregistration] if package.study.preregistration else []
    return [package.config.name, *registered, *package.study.raw_files]


def _actions(package: Package, files: set[str]) -> Iterator[Entity]:
    made: dict[str, list[str]] = {}
    for row in package.published:
        made.setdefault(row["rule"], []).append(f"{RESULTS}/{row['path']}")
    given = [path for file in _read(package) if (path := f"{STUDY}/{inside(file)}") in files]
    yield {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"Run of the study {package.study.study}",
        "description": f"Root seed {package.study.root_seed}; the same inputs give the same bytes",
        "instrument": _to(WORKFLOW),
        "object": _refer(given),
        "result": _refer([path for paths in made.values() for path in paths] + [f"{RESULTS}/manifest.json"]),
        "agent": _refer(map(_identity, package.study.deposit.authors[:1])),
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
    yield {
        "@id": "#engine-run",
        "@type": "OrganizeAction",
        "name": "Run of Snakemake",
        "instrument": _to("#engine"),
        "object": _refer(f"#control-{rule}" for rule in package.programs),
        "result": _to("#run"),
        "agent": _refer(map(_identity, package.study.deposit.authors[:1])),
    }
    prefix = f"{package.results.as_posix()}/"
    for position, (rule, program) in enumerate(package.programs.items(), 1):
        script = f"{CODE}/{program.script}"
        yield {"@id": f"#step-{rule}", "@type": "HowToStep", "name": rule, "position": str(position),
               "description": f"Rule in {program.file}, line {program.line}",
               "workExample": _to(script)}  # fmt: skip
        yield {"@id": f"#control-{rule}", "@type": "ControlAction", "name": f"Rule {rule}",
               "instrument": _to(f"#step-{rule}"), "object": _to(f"#run-{rule}")}  # fmt: skip
        inputs = [
            f"{RESULTS}/{file.removeprefix(prefix)}" if file.startswith(prefix) else f"{STUDY}/{inside(file)}"
            for file in package.manifest["rules"][rule]["inputs"]
        ]
        yield {
            "@id": f"#run-{rule}",
            "@type": "CreateAction",
            "name": f"Run of {PurePath(script).name} for rule {rule}",
            "instrument": _to(script),
            "object": _refer(path for path in inputs if path in files),
            "result": _refer(made.get(rule, [])),
            "actionStatus": "http://schema.org/CompletedActionStatus",
        }


def _to(identity: str) -> Entity:
    return {"@id": identity}


def _refer(identities: Any) -> list[Entity]:
    return [_to(identity) for identity in identities]
