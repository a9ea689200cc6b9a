"""Two kinds of output: what may be published, and rows of people, which are in a folder of their own."""

from __future__ import annotations

from pathlib import PurePath

PRIVATE = "private"  # folder of a study's results
OWNERS_ONLY = 0o600

README = """# Results of a study that may be published

Tables, figures, pages and numbers about groups of people. What may be looked up about one person (rows of
people, their petitions, models that were learned from them) is in `{private}/`, which is not for publication.

`manifest.json` lists every artefact, and says which are private.
"""
README_PRIVATE = """# Not for publication

Every file here has a row per person, or says what people with one combination of traits get. They serve those
who field and analyse the study: keep them where the raw data are kept, and delete them with these. Only their
owner can read them (mode 600). What may be published is one folder up.

- `clean/`: the cleaned answers and traits
- `calibrate/`, `diagnose/`: what models learned of people, and what they predict of each
- `assign/`: who gets which petition, and what the survey platform imports
"""
READMES = {"README.md": README.format(private=PRIVATE), f"{PRIVATE}/README.md": README_PRIVATE}


def is_private(path: str | PurePath, results: str | PurePath = "") -> bool:
    """Say whether an artefact is of people, by the folder that it is in.

    Args:
        path: of the artefact.
        results: folder of the study's results, if the path begins with it; what it is in does not matter.
    """
    file = PurePath(path)
    inside = file.relative_to(results) if file.is_relative_to(results) else file
    return PRIVATE in inside.parts
