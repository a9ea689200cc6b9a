"""Petitions that can be shown and that were shown: the design tried out, levels and prohibitions checked."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from nanotarget.clean.cells import Cells, stacked
from nanotarget.petitions.design import Design
from nanotarget.petitions.text import unusable
from nanotarget.study.config import DesignConfig, normalised
from nanotarget.study.problems import Problem, collecting, counted, listed, raise_if_any

SHARED = 0.8  # of the levels of two attributes
MIN_AGREED = 20  # times that two attributes should have had the same level, and never had
MIN_SHOWN = 8  # rows of each number, so that random levels do not look like numbers

LOG = logging.getLogger("nanotarget")


def check_design(config: DesignConfig, source: str) -> Design:
    """Build the design and try out what the config's schema cannot see.

    Args:
        config: the section `design`.
        source: name of the config file for messages.

    Raises:
        InputError: if no petition is feasible, a level can never be shown, or the template of the
            petition text fails or does not tell petitions apart.
    """
    design = Design.from_config(config)
    problems: list[Problem] = []
    with collecting(problems):
        for i, attribute in enumerate(design.attributes):
            shares = design.level_probabilities(i)
            if never := [level for level, share in zip(attribute.levels, shares, strict=True) if share == 0]:
                problems.append(
                    Problem(
                        source,
                        "key design.prohibited",
                        f"the prohibitions leave no petition with {attribute.name}: {listed(never)}",
                        "every level in at least one petition",
                        "remove a prohibition, or the level from design.attributes",
                    )
                )
    with collecting(problems):  # a template may fail for some levels only, so each is tried once
        levels = [[min(k, n - 1) for n in design.shape] for k in range(max(design.shape))]
        design.texts(np.array(levels))
        problems.extend(_same_texts(design))
    raise_if_any(dataclasses.replace(problem, file=source) for problem in problems)
    return design


def _same_texts(design: Design) -> Iterator[Problem]:
    """Refuse a text that is the same for all petitions; an attribute that it does not show is logged."""
    silent = []
    for i, attribute in enumerate(design.attributes):
        rows = np.zeros((len(attribute.levels), len(design.attributes)), dtype=int)
        rows[:, i] = np.arange(len(rows))
        if len(set(design.texts(rows))) < len(rows):
            silent.append(attribute.name)
    if len(silent) == len(design.attributes):
        remedy = "name the attributes in it, or leave it out: then every attribute is named"
        yield unusable("petitions that differ have the same text", remedy)
    elif silent:
        LOG.warning("design.petition_text: petitions that differ only in %s have one text", listed(silent))


def read_petitions(cells: Sequence[Cells], design: Design) -> np.ndarray:
    """Return (n, n_attributes) level indices, -1 where a level is missing or unknown; refuse prohibited ones.

    Args:
        cells: of each attribute, in the design's order.
        design: the petitions.
    """
    codes = [
        c.levels(a.name, a.levels, f"design.attributes[{i}].levels")
        for i, (c, a) in enumerate(zip(cells, design.attributes, strict=True))
    ]
    petitions = np.column_stack(codes)
    _refuse_prohibited(cells, petitions, design)
    return petitions


def _refuse_prohibited(cells: Sequence[Cells], codes: np.ndarray, design: Design) -> None:
    """Refuse petitions with a prohibited combination."""
    for combination in design.prohibited:
        hit = np.all([np.isin(codes[:, a], list(levels)) for a, levels in combination], axis=0)
        if hit.any():
            first = codes[np.flatnonzero(hit)[0]]
            parts = [f"{design.names[a]} = '{design.attributes[a].levels[first[a]]}'" for a, _ in combination]
            stacked([cells[a] for a, _ in combination]).refuse(
                np.tile(hit, len(combination)),
                f"a prohibited combination in {counted(int(hit.sum()), 'petition')}, "
                f"first {' with '.join(parts)}",
                "no petition that key design.prohibited rules out",
                "correct the file, or design.prohibited in the config",
            )


def check_attributes(cells: Sequence[Cells], petitions: np.ndarray, design: Design) -> None:
    """Refuse attributes that are rows of a table whose order was drawn: they share levels and never agree.

    Args:
        cells: of each attribute, in the design's order.
        petitions: (n, n_attributes) level indices.
        design: the petitions.
    """
    levels = [list(map(normalised, attribute.levels)) for attribute in design.attributes]
    for one, other in itertools.combinations(range(len(levels)), 2):
        shared = set(levels[one]) & set(levels[other])
        if len(shared) < max(3, SHARED * max(len(levels[one]), len(levels[other]))):
            continue
        shape = len(levels[one]), len(levels[other])
        known = (petitions[:, one] >= 0) & (petitions[:, other] >= 0)
        pairs = petitions[known, one] * shape[1] + petitions[known, other]
        table = np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape)
        alike = [(levels[one].index(level), levels[other].index(level)) for level in shared]
        expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / max(table.sum(), 1)
        if sum(expected[pair] for pair in alike) >= MIN_AGREED and not any(table[pair] for pair in alike):
            names = " and ".join(f"'{design.attributes[a].name}'" for a in (one, other))
            cells[other].refuse(
                np.ones(len(petitions), dtype=bool),
                f"{names} have the same levels and never the same level, as rows of a table with "
                "attributes in a random order have",
                "a column of one attribute",
                "name the columns with the names of the attributes in key calibration.attribute_names "
                "and write {row} in attribute_columns",
            )


def check_no_numbers(
    cells: Sequence[Cells], petitions: np.ndarray, table: pd.DataFrame, design: Design
) -> None:
    """Refuse attributes whose levels number the profiles of a task, or the tasks of a respondent.

    Args:
        cells: of each attribute, in the design's order.
        petitions: (n, n_attributes) level indices.
        table: their task and profile.
        design: the petitions.
    """
    for a, attribute in enumerate(design.attributes):
        for what in ("profile", "task"):
            pairs = pd.DataFrame({"number": table[what].to_numpy(), "level": petitions[:, a]}).value_counts()
            several = pairs.index.get_level_values("number").nunique()
            if several > 1 and len(pairs) == several == len(attribute.levels) and pairs.min() >= MIN_SHOWN:
                cells[a].refuse(
                    np.ones(len(petitions), dtype=bool),
                    f"'{attribute.name}' has a level of its own for every {what}, so it numbers {what}s",
                    "an attribute whose levels were drawn at random",
                    f"take it out of design.attributes; in the long layout name it in key calibration.{what}",
                )
