"""Pseudonyms: artefacts know people by codes that only the holder of the study's secret can tell from ids."""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pandas as pd

from nanotarget.clean.people import Sample
from nanotarget.study.private import OWNERS_ONLY
from nanotarget.study.problems import InputError, Problem

if TYPE_CHECKING:  # the contracts of tables cost every start of Snakemake half a second
    from nanotarget.clean.samples import Samples

CODE = 16  # hexadecimal digits: among ten million people two with one code have a chance of 3 in a million
BYTES = 32
Kind = TypeVar("Kind", bound=Sample)
GROUPS = ("cluster", "outcome_cluster")  # columns that hold ids of respondents where nobody was in a group


def public_key(study: str) -> bytes:
    """Return the key of a simulated study, which has nobody to protect: the same bytes in every copy."""
    return f"public key of the simulated study {study}".encode()


def secret_key(path: str) -> bytes:
    """Return the secret of a study; the first time, draw it and keep it in a file that only its owner reads.

    Raises:
        InputError: if the file is not such a secret.
    """
    file = Path(path)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNERS_ONLY)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(BYTES) + "\n")
    text = file.read_bytes().strip()
    if not re.fullmatch(rb"[0-9a-f]{%d}" % (2 * BYTES), text):
        expected = f"{2 * BYTES} hexadecimal digits, as they were written"
        remedy = "restore it from a copy, or move it away: a new one is made, and with it other pseudonyms"
        raise InputError([Problem(path, "whole file", "it is not the secret of a study", expected, remedy)])
    return bytes.fromhex(text.decode("ascii"))


def code(identity: str, key: bytes) -> str:
    """Return the code of a person: nobody finds the id without the key (HMAC-SHA256, RFC 2104)."""
    return hmac.digest(key, identity.encode("utf-8"), "sha256").hex()[:CODE]


def ranked(ids: Iterable[str], key: bytes) -> dict[str, str]:
    """Return id -> pseudonym: the id's place among all that are sorted, and the code.

    What is estimated from people in the order of their pseudonyms does not hang on the key.
    """
    everyone = sorted(set(ids))
    width = len(str(len(everyone)))
    return {name: f"{i:0{width}}-{code(name, key)}" for i, name in enumerate(everyone, 1)}


def under_pseudonyms(cleaned: Samples, key: bytes) -> tuple[Samples, pd.DataFrame]:
    """Put pseudonyms in the place of all ids.

    Who comes back has the pseudonym of the calibration.

    Returns:
        The samples, and whose pseudonyms these are: sample, respondent_id (the pseudonym), id, sorted by the
        first two; those of a roster tells `roster_part`.
    """
    known = ranked(cleaned.calibration.everyone, key) if cleaned.calibration else {}
    calibration, experiment, roster = cleaned.calibration, cleaned.experiment, cleaned.roster
    people = dict[str, tuple[pd.Series, Mapping[str, str]]]()
    if calibration:
        people["calibration"] = calibration.respondents["respondent_id"], known
        tables = {name: getattr(calibration, name) for name in ("profiles", "rows", "again")}
        renamed = {name: _renamed(table, known) for name, table in tables.items() if table is not None}
        calibration = replace(_under(calibration, known), **renamed)
    if experiment:
        ids = experiment.respondents["respondent_id"]
        names = known if set(ids) <= known.keys() else ranked(ids, key)
        people["experiment"] = ids, names
        experiment = _under(experiment, names)
    if roster:
        roster = _under(roster, _roster_names(roster.respondents["respondent_id"], known, key))
    mapping = pd.concat(
        [
            pd.DataFrame({"sample": sample, "respondent_id": ids.map(names), "id": ids})
            for sample, (ids, names) in people.items()
        ],
        ignore_index=True,
    )
    mapping = mapping.sort_values(["sample", "respondent_id"], ignore_index=True).astype("str")
    return replace(cleaned, calibration=calibration, experiment=experiment, roster=roster), mapping


def roster_part(
    people: pd.DataFrame, known: Mapping[str, str], key: bytes
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Put pseudonyms in the place of the ids of a roster, or of a part of it.

    New people have codes alone, so that they keep them when others join.

    Args:
        people: of the roster.
        known: id -> pseudonym of those who come back.
        key: of the study.

    Returns:
        The people, and whose pseudonyms these are: respondent_id (the pseudonym) and id, in the same order.
    """
    ids = people["respondent_id"]
    whose = pd.DataFrame({"respondent_id": ids.map(_roster_names(ids, known, key)).astype("str"), "id": ids})
    order = whose["respondent_id"].argsort(kind="stable")
    renamed = people.assign(respondent_id=whose["respondent_id"])
    return renamed.iloc[order].reset_index(drop=True), whose.iloc[order].reset_index(drop=True)


def _roster_names(ids: pd.Series, known: Mapping[str, str], key: bytes) -> Mapping[str, str]:
    return known if set(ids) <= known.keys() else {name: code(name, key) for name in ids}


def _under(sample: Kind, names: Mapping[str, str]) -> Kind:
    return replace(sample, respondents=_renamed(sample.respondents, names))


def _renamed(table: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Return a table of people in the order of their pseudonyms; groups that are named after people, too."""
    columns = ["respondent_id", *(c for c in GROUPS if c in table and set(table[c]) <= names.keys())]
    renamed = table.assign(**{c: table[c].map(names).astype("str") for c in columns})
    order = [c for c in ("respondent_id", "task", "profile") if c in table]
    return renamed.sort_values(order, kind="stable", ignore_index=True)


def ids_of(mapping: pd.DataFrame, sample: str) -> pd.Series:
    """Return the ids of a sample by pseudonym, from the second result of `under_pseudonyms`."""
    return mapping[mapping["sample"] == sample].set_index("respondent_id")["id"]
