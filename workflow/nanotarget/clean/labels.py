"""Codes of levels, where a file of its own says what each code means, as Sawtooth writes it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping

from nanotarget.clean.cells import Cells, Table, read_ids
from nanotarget.clean.raw import read_raw
from nanotarget.study.config import LabelsConfig, normalised
from nanotarget.study.problems import Problem, listed

Labels = Mapping[str, Mapping[str, str]]  # label of each code, of each attribute as `normalised` writes it


def read_labels(config: LabelsConfig, problems: list[Problem]) -> Labels:
    """Read what codes mean.

    Args:
        config: the section `calibration.labels`.
        problems: get what is wrong with the file.

    Raises:
        InputError: if the file cannot be read, or lacks a column.
    """
    table = Table(read_raw(config.file), config.file, problems)
    keys = ("attribute", "code", "label")
    columns = [getattr(config, key) for key in keys]
    table.require(
        [(f"calibration.labels.{key}", [column]) for key, column in zip(keys, columns, strict=True)]
    )
    names, codes, labels = (table.raw[column] for column in columns)
    for key, column in zip(keys, columns, strict=True):
        cells = table.cells(column)
        cells.refuse(cells.empty, f"the {key} is missing", f"the {key} in every row", "complete the file")
    named = names.fillna("").map(normalised)
    coded = read_ids(codes)
    for column, what, repeated in ((config.code, "code", coded), (config.label, "label", labels)):
        texts = repeated.fillna("").map(normalised)
        twice = (named + "\0" + texts).duplicated(keep=False) & (texts != "")
        table.cells(column).refuse(
            twice.to_numpy(),
            f"the same {what} of one attribute more than once",
            f"each {what} once for each attribute",
            "remove the repetitions",
        )
    found: dict[str, dict[str, str]] = {}
    for name, code, label in zip(named, coded.fillna(""), labels.fillna(""), strict=True):
        found.setdefault(name, {})[code] = label
    return found


def labelled(cells: Cells, name: str, column: str, labels: Labels) -> Cells:
    """Put labels in the place of the codes of an attribute.

    Args:
        cells: of the attribute.
        name, column: of the attribute; one of them is, or ends with, its name in the file of labels.
        labels: what codes mean.
    """
    entry = entry_of((name, column), labels)
    if entry is None:
        cells.refuse(
            ~cells.empty,
            f"the file of labels has no attribute '{name}', but {listed(labels)}",
            "labels of every attribute",
            "complete the file that calibration.labels names, or correct the name of the attribute",
        )
        return cells
    of = labels[entry]
    codes = read_ids(cells.text)
    unknown = ~cells.empty & ~codes.isin(list(of)).to_numpy() & ~cells.among(of.values())
    cells.refuse_texts(
        unknown,
        f"no code of '{name}'",
        f"one of {listed(of, 12)}",
        "correct the cells, or add the code to the file that calibration.labels names",
    )
    text = codes.map(of).where(codes.isin(list(of)), cells.text.where(~unknown))
    return dataclasses.replace(cells, text=text.astype("str"))


def entry_of(names: Iterable[str], entries: Iterable[str]) -> str | None:
    """Find the entry with one of these names, else the longest one that one of them ends with."""
    known, wanted = list(entries), [normalised(name) for name in names]
    exact = next((name for name in wanted if name in known), None)
    ends = [entry for entry in known for name in wanted if re.search(rf"(^|\W|_){re.escape(entry)}$", name)]
    return exact or max(ends, key=len, default=None)
