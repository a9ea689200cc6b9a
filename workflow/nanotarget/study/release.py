"""What a release says of itself in files for machines, all from pyproject.toml and CITATION.cff."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

CODEMETA = "https://w3id.org/codemeta/3.0"
VERSION_LINE = re.compile(r"^version: .*$", re.MULTILINE)


def cited(citation: str, version: str) -> str:
    """Put the version into the text of a CITATION.cff, whose comments and order stay."""
    text, n = VERSION_LINE.subn(f"version: {version}", citation)
    if n != 1:
        raise ValueError("CITATION.cff must have one line that begins with 'version: '")
    return text


def author(person: Mapping[str, Any]) -> dict[str, Any]:
    """Turn an author of a CITATION.cff into one of schema.org."""
    if "name" in person:
        return {"@type": "Organization", "name": person["name"]}
    names = {"givenName": "given-names", "familyName": "family-names", "email": "email"}
    found = {"@type": "Person"} | {new: person[old] for new, old in names.items() if old in person}
    found |= {"@id": person["orcid"]} if "orcid" in person else {}
    if "affiliation" in person:
        found["affiliation"] = {"@type": "Organization", "name": person["affiliation"]}
    return found


def codemeta(project: Mapping[str, Any], citation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of codemeta.json.

    Args:
        project: table `project` of pyproject.toml.
        citation: content of CITATION.cff.
    """
    python = {"@type": "ComputerLanguage", "name": "Python", "version": project["requires-python"]}
    return {
        "@context": CODEMETA,
        "@type": "SoftwareSourceCode",
        "name": project["name"],
        "version": project["version"],
        "description": project["description"],
        "license": f"https://spdx.org/licenses/{project['license']}",
        "author": [author(person) for person in citation["authors"]],
        "keywords": citation["keywords"],
        "programmingLanguage": python,
        "softwareRequirements": sorted(project["dependencies"]),
        "runtimePlatform": "Linux",
        "softwareHelp": {"@type": "WebPage", "url": "docs/README.md"},
    }


def pretty(content: Mapping[str, Any]) -> str:
    """Return JSON as it is committed."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


# What whoever uses the workflow as a module may put elsewhere.
PLACES = {
    "results": "What the rules make; a folder a study.",
    "logs": "Logs of the jobs.",
    "benchmarks": "Time and memory of slow jobs.",
    "private": "Part of the results that has a row a person: for who fields, not to be published.",
}


def interface(
    places: Mapping[str, str], inputs: Mapping[str, str], rules: Iterable[tuple[str, str, list[str]]]
) -> dict[str, Any]:
    """Return the content of INTERFACE.yaml: what a workflow that uses this one as a module gives and gets.

    Args:
        places: path variables of the workflow; those that `PLACES` names can be set by the module.
        inputs: key of the config that names a file -> what the file is.
        rules: name, what it does, and the files that it makes, below the path variable.
    """
    return {
        "config": "docs/config.schema.json",
        "pathvars": {
            name: {"default": places[name], "description": about}
            for name, about in PLACES.items()
            if name in places
        },
        "inputs": dict(inputs),
        "outputs": {name: {"description": about, "files": files} for name, about, files in rules if files},
    }
