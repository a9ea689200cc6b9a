"""A person's card as a page, for her debriefing; it is private, as everything that is hers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nanotarget.report.page import still_page
from nanotarget.study.config import Study
from nanotarget.study.problems import InputError, Problem

CARDS, IDS = Path("assign") / "cards.jsonl", Path("clean") / "ids.parquet"


def find_card(private: Path, identity: str) -> dict[str, Any]:
    """Return the card of a person, by her id or pseudonym.

    Args:
        private: folder of the study's private results.
        identity: the id; no message repeats it.

    Raises:
        InputError: if there are no cards yet, or none is hers.
    """
    file = private / CARDS
    if not file.is_file():
        what, remedy = "there are no cards yet", "run 'nanotarget assign' with this config first"
        raise InputError([Problem(str(file), "whole file", what, "a finished assignment", remedy)])
    names = {identity, *_pseudonyms(private / IDS, identity)}
    with file.open(encoding="utf-8") as lines:
        found = next((card for line in lines if (card := json.loads(line))["respondent_id"] in names), None)
    if found is None:
        what = "nobody with this id has a card: she is not in the sample, or refused personalisation"
        expected = "the id of somebody who gets a petition of her own"
        raise InputError([Problem(str(file), "respondent_id", what, expected, "correct the id")])
    return dict(found)


def _pseudonyms(file: Path, identity: str) -> list[str]:
    if not file.is_file():
        return []
    ids = pd.read_parquet(file)
    return ids.loc[ids["id"] == identity, "respondent_id"].tolist()


def render_card(templates: Mapping[str, str], study: Study, card: Mapping[str, Any]) -> str:
    """Fill the page."""
    labels = {c.name: c.label or c.name for c in study.covariates}
    return still_page(templates, "card.html.j2", study=study, card=card, labels=labels)
