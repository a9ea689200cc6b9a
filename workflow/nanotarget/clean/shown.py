"""Petitions that can be shown and that were shown: the design tried out, levels and prohibitions checked."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from nanotarget.clean.cells import Cells, stacked
from nanotarget.petitions.design import Attribute, Design
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
            if never := [
                level for level, share in zip(attribute.visible, shares, strict=False) if share == 0
            ]:
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

    An attribute of which nothing is recorded was hidden if the design allows it; a petition of which nothing
    is recorded is missing.

    Args:
        cells: of each attribute, in the design's order.
        design: the petitions.
    """
    recorded = ~np.all([c.empty for c in cells], axis=0)
    codes = []
    for i, (c, a) in enumerate(zip(cells, design.attributes, strict=True)):
        index = c.levels(a.name, a.visible, f"design.attributes[{i}].levels", a.hidden_values)
        codes.append(np.where(_hidden(c, a) & recorded, len(a.visible), index))
    petitions = np.array(codes).T  # an attribute is one piece of memory
    _refuse_prohibited(cells, petitions, design)
    return petitions


def _hidden(cells: Cells, attribute: Attribute) -> np.ndarray:
    """Say which cells mean that an attribute was hidden: certain texts, or without any an empty cell."""
    if attribute.hidden == "never":
        return np.zeros(len(cells.text), dtype=bool)
    return cells.among(attribute.hidden_values) if attribute.hidden_values else cells.empty


def check_recorded(
    cells: Sequence[Cells], petitions: np.ndarray, tasks: pd.DataFrame, design: Design
) -> None:
    """Refuse attributes without a level in tasks that were answered, and say whether it looks like hiding.

    Args:
        cells: of each attribute, in the design's order.
        petitions: (n, n_attributes) level indices.
        tasks: their person and task.
        design: the petitions.
    """
    size = tasks.groupby(["person", "task"])["task"].transform("size").to_numpy()
    for a, (c, attribute) in enumerate(zip(cells, design.attributes, strict=True)):
        missing = c.empty & (petitions[:, a] < 0)
        if not missing.any():
            continue
        in_task = pd.Series(missing).groupby([tasks["person"], tasks["task"]]).transform("sum").to_numpy()
        whole = int((missing & (in_task == size)).sum())
        together = f", {whole} of them in all petitions of a task" if size.max() > 1 else ""
        remedy = (
            "complete the file; if the survey did not show the attribute there, write 'hidden: allowed' at it"
        )
        if attribute.hidden_values:
            texts = listed(attribute.hidden_values)
            remedy = f"complete the file, or write {texts} where the survey did not show it"
        elif attribute.hidden != "never":
            remedy = "complete the file, or remove these tasks: nothing of these petitions is recorded"
        c.refuse(
            missing,
            f"'{attribute.name}' is missing in {int(missing.sum()):,} of {len(missing):,} petitions of tasks "
            f"that were answered{together}",
            "a level in every profile shown",
            remedy,
        )


HALF = 0.05  # of the tasks that hide an attribute may hide it in some petitions only without a question
LOOKS_HIDDEN = frozenset(
    [
        "not shown",
        "hidden",
        "not displayed",
        "not presented",
        "omitted",
        "blank",
        "nicht gezeigt",
        "non affiché",
    ]
)


def hiding_doubts(petitions: np.ndarray, tasks: pd.DataFrame, design: Design) -> Iterator[str]:
    """Ask about attributes that seem to be missing where the config takes them for hidden, or the reverse.

    Args:
        petitions: (n, n_attributes) level indices.
        tasks: their person and task.
        design: the petitions.
    """
    for a, attribute in enumerate(design.attributes):
        if looks := [level for level in attribute.visible if normalised(level) in LOOKS_HIDDEN]:
            yield (
                f"'{attribute.name}' has the level {listed(looks)}, which can be assigned. If it means that "
                "the survey hid the attribute, write 'hidden: allowed' and move it to 'hidden_values'"
            )
        if attribute.hidden == "never":
            continue
        hidden = pd.Series(petitions[:, a] == len(attribute.visible))
        share = hidden.groupby([tasks["person"], tasks["task"]]).mean()
        some, half = int((share > 0).sum()), int(((share > 0) & (share < 1)).sum())
        if 0 < half < HALF * some:
            yield (
                f"'{attribute.name}' is hidden in all petitions of {counted(some - half, 'task')}, in {half} "
                "only in some: perhaps its level is missing there. Complete the file, or remove these tasks"
            )


def check_followers(cells: Sequence[Cells], petitions: np.ndarray, design: Design) -> None:
    """Refuse attributes that follow from others without the config saying so, and the reverse.

    Args:
        cells: of each attribute, in the design's order.
        petitions: (n, n_attributes) level indices.
        design: the petitions.
    """
    known = petitions[(petitions >= 0).all(axis=1)]
    declared = dict(design.derived)
    everywhere = np.ones(len(petitions), dtype=bool)
    for a, sources in declared.items():
        if len(known) and not _follows(known, a, sources, design.shape):
            cells[a].refuse(
                everywhere,
                f"'{design.names[a]}' does not follow from {listed(design.names[b] for b in sources)}: where "
                "they are the same it has different levels",
                "one level for each combination of what it is derived from",
                "correct 'derived_from' in the config, or the file",
            )
    found = dict(_followers(known, [a for a in range(len(design.shape)) if a not in declared], design))
    for a, sources in found.items():
        names = listed(design.names[b] for b in sources)
        cells[a].refuse(
            everywhere,
            f"'{design.names[a]}' follows from {names}: it has one level for each of theirs, so it has no "
            "effect of its own",
            "attributes that were drawn at random",
            "take it out of design.attributes; if petitions show it, write "
            f"'derived_from: [{', '.join(design.names[b] for b in sources)}]' at it",
        )


def _followers(
    petitions: np.ndarray, free: list[int], design: Design
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield attributes with the one, or the two, that they certainly follow from.

    Combinations of two attributes come first: these would else be said to follow from their combination.
    Later attributes come first, as columns that analysts add stand behind those that were drawn.
    """
    followers: set[int] = set()
    first = np.ascontiguousarray(petitions[:FIRST])
    likely = {
        sources: _determined(first, sources, design.shape)
        for size in (1, 2)
        for sources in itertools.combinations(free, size)
    }
    for size in (2, 1):
        for a in reversed(free):
            others = [b for b in free if b not in {a, *followers}]
            alone = [b for b in others if likely[b,][a] and _follows(petitions, a, (b,), design.shape)]
            if size == 2 and alone:
                continue
            for sources in itertools.combinations(alone if size == 1 else others, size):
                if not likely[sources][a] or any({a, *sources} <= set(group) for group in design.dependent):
                    continue
                if _certain(petitions, a, sources, design):
                    followers.add(a)
                    yield a, sources
                    break


FIRST = 300  # petitions that nearly always tell that an attribute does not follow from others


def _determined(petitions: np.ndarray, sources: tuple[int, ...], shape: Sequence[int]) -> np.ndarray:
    """Return (n_attributes,) whether each combination of some attributes goes with one level of each."""
    code = np.ravel_multi_index(tuple(petitions[:, b] for b in sources), [shape[b] for b in sources])
    order = np.argsort(code, kind="stable")
    code, rows = code[order], petitions[order]
    again = code[1:] == code[:-1]
    determined: np.ndarray = (rows[1:][again] == rows[:-1][again]).all(axis=0)
    return determined


def _follows(petitions: np.ndarray, a: int, sources: tuple[int, ...], shape: Sequence[int]) -> bool:
    """Say whether each combination of some attributes goes with one level of another."""
    code = np.ravel_multi_index(tuple(petitions[:, b] for b in sources), [shape[b] for b in sources])
    return len(np.unique(code * shape[a] + petitions[:, a])) == len(np.unique(code))


CERTAIN = 40  # bits of surprise if the attribute were drawn at random


def _certain(petitions: np.ndarray, a: int, sources: tuple[int, ...], design: Design) -> bool:
    """Say whether an attribute follows from others although nothing of the design makes it."""
    if not len(petitions) or not _follows(petitions, a, sources, design.shape):
        return False
    by_design = design.joint_probabilities(tuple(sorted({a, *sources})))
    at = sorted({a, *sources}).index(a)
    if ((by_design > 0).sum(axis=at) <= 1).all():  # the prohibitions say so
        return False
    most = np.bincount(petitions[:, a]).max() / len(petitions)
    shape = [design.shape[b] for b in sources]
    cells = len(np.unique(np.ravel_multi_index(tuple(petitions[:, b] for b in sources), shape)))
    return bool(most < 1 and -(len(petitions) - cells) * np.log2(most) > CERTAIN)


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
    first = petitions[:FIRST]
    for one, other in itertools.combinations(range(len(levels)), 2):
        shared = set(levels[one]) & set(levels[other])
        if len(shared) < max(3, SHARED * max(len(levels[one]), len(levels[other]))):
            continue
        alike = [(levels[one].index(level), levels[other].index(level)) for level in shared]
        if any(((first[:, one] == i) & (first[:, other] == j)).any() for i, j in alike):
            continue
        shape = len(levels[one]), len(levels[other])
        known = (petitions[:, one] >= 0) & (petitions[:, other] >= 0)
        pairs = petitions[known, one] * shape[1] + petitions[known, other]
        table = np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape)
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
