"""What each column of a raw file looks like, before anyone has said what it means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from nanotarget.clean.cells import BINARY, parse_numbers
from nanotarget.clean.raw import read_raw
from nanotarget.study.config import normalised
from nanotarget.study.problems import InputError, Problem, collecting

DATE = re.compile(r"(\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4})([ T]\d{1,2}:\d{2}.*)?")
UNANSWERED = {
    *("prefer not to say", "prefer not to answer", "don't know", "don’t know", "dont know", "do not know"),
    *("refused", "refusal", "no answer", "not answered", "not available", "na", "n/a", "nan", "missing", "."),
    *("-99", "-999", "99999"),
}
ANSWERED = {"response", "open-ended response"}  # below the questions of SurveyMonkey
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
MOSTLY = 0.9  # share of cells that makes a column a column of e-mail addresses, dates, ...


@dataclass(frozen=True)
class Column:
    """One column of a raw file.

    Attributes:
        name: in the file's header.
        position: of the column in the file, from 0.
        question: text that a survey platform wrote below the name; "" without one.
        texts: the cells as read, NaN where empty.
        codes: code of each value label (Stata, SPSS).
        labels: texts of the column in the file's own order, where it keeps one.
    """

    name: str
    position: int
    question: str
    texts: pd.Series
    codes: dict[str, str]
    labels: Sequence[str] = ()

    @cached_property
    def words(self) -> frozenset[str]:
        """Words of the name in lower case: "RecipientEmail" has "recipient" and "email"."""
        return frozenset(word.lower() for word in WORD.findall(self.name))

    @cached_property
    def _spelled(self) -> tuple[np.ndarray, list[str]]:
        """Index of each cell's text (-1 where it is empty), and the distinct texts as they are spelled."""
        which, texts = pd.factorize(self.texts)
        return which, list(texts)

    @cached_property
    def values(self) -> np.ndarray:
        """(n_rows,) index of each cell's value, -1 where it is empty; texts compared as equal have one."""
        which, texts = self._spelled
        index = {text: i for i, text in enumerate(self._distinct)}
        merged = [index[normalised(text)] for text in texts]
        return np.array([*merged, -1], dtype=np.int64)[which]

    @cached_property
    def _distinct(self) -> list[str]:
        """Distinct texts as they are compared."""
        return list(dict.fromkeys(normalised(text) for text in self._spelled[1]))

    @cached_property
    def n_values(self) -> int:
        """Distinct values."""
        return int(self.values.max(initial=-1)) + 1

    @cached_property
    def counts(self) -> dict[str, int]:
        """Distinct answers in their most frequent spelling, with their number of cells."""
        which, texts = self._spelled
        cells = np.bincount(which[which >= 0], minlength=len(texts)).tolist()
        return merged_counts(sorted(zip(texts, cells, strict=True)))

    def indices(self, texts: Iterable[str]) -> list[int]:
        """Return the index of each of these texts in `values`."""
        index = {text: i for i, text in enumerate(self._distinct)}
        return [index[normalised(text)] for text in texts]

    def mapped(self, value_of: Mapping[str, float]) -> np.ndarray:
        """Return (n_rows,) the number of each cell by its normalised text, NaN for other texts."""
        which, texts = self._spelled
        return np.array([value_of.get(normalised(text), np.nan) for text in texts] + [np.nan])[which]

    @cached_property
    def missing_values(self) -> list[str]:
        """Texts of the column that mean that there is no answer."""
        return [text for text in self.counts if normalised(text) in UNANSWERED]

    @cached_property
    def answers(self) -> dict[str, int]:
        """`counts` without texts that mean that there is no answer."""
        return {text: n for text, n in self.counts.items() if text not in self.missing_values}

    @cached_property
    def numbers(self) -> np.ndarray | None:
        """(n_rows,) numbers, NaN where there is none; None for a column with other texts."""
        texts = list(self.answers)
        values = parse_numbers(texts)
        if not texts or np.isnan(values).any() or self.codes.keys() & self.answers.keys():
            return None
        return self.mapped({normalised(text): value for text, value in zip(texts, values, strict=True)})

    @property
    def whole(self) -> bool:
        """Are all numbers of the column whole?"""
        return self.numbers is not None and not np.nansum(self.numbers % 1)

    @property
    def binary(self) -> bool:
        """Are its answers two, yes and no in some spelling?"""
        known = {BINARY.get(normalised(text)) for text in self.answers}
        return len(self.answers) == 2 and known == {0.0, 1.0}

    @property
    def n_missing(self) -> int:
        """Cells without an answer."""
        return len(self.texts) - sum(self.answers.values())

    def mostly(self, pattern: re.Pattern[str]) -> bool:
        """Do most cells match the pattern as a whole?"""
        total = sum(self.counts.values())
        hits = sum(n for text, n in self.counts.items() if pattern.fullmatch(text.strip()))
        return total > 0 and hits >= MOSTLY * total

    def named(self, words: Iterable[str]) -> bool:
        """Does the name contain one of these words?"""
        return not self.words.isdisjoint(words)


@dataclass(frozen=True)
class RawFile:
    """A raw file as `init` reads it.

    Attributes:
        path: as the person named it.
        header_rows: rows before the data.
        raw: what `read_raw` returned.
        columns: by name in the file's order; empty ones are left out.
        synthetic: do all question texts say that the data are simulated?
    """

    path: str
    header_rows: int
    raw: pd.DataFrame
    columns: dict[str, Column]
    synthetic: bool


def words(*lines: str) -> frozenset[str]:
    """Return the words of some lines."""
    return frozenset(word for line in lines for word in line.split())


def merged_counts(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Add up texts that are compared as equal, under their most frequent spelling."""
    spelled: dict[str, dict[str, int]] = {}
    for text, n in counts:
        of = spelled.setdefault(normalised(text), {})
        trimmed = " ".join(text.split())
        of[trimmed] = of.get(trimmed, 0) + int(n)
    return {max(of, key=lambda text: of[text]): sum(of.values()) for of in spelled.values()}


def read_file(path: str) -> RawFile:
    """Read a raw file and detect how many rows stand before its data.

    Raises:
        InputError: if there is no such file, or what `read_raw` says about it with one header row, if no
            number of them works.
    """
    if not Path(path).is_file():
        what = "this is a folder" if Path(path).is_dir() else "the file does not exist"
        raise InputError([Problem(path, "whole file", what, "a data file", "check the name and the folder")])
    problems: list[Problem] = []
    for header_rows in (1, 2, 3):
        with collecting(problems):
            raw = read_raw(path, header_rows)
            if header_rows == 1 and _begins_with_questions(raw):
                continue
            return _described(path, header_rows, raw)
    raise InputError(problems[:1])


def _begins_with_questions(raw: pd.DataFrame) -> bool:
    """Is the first row no data: texts where all others are numbers, dates or e-mail addresses?"""
    if len(raw) < 2:
        return False
    first, rest = raw.iloc[0], raw.iloc[1:]
    if any(normalised(text) in ANSWERED for text in first.dropna()) and first.isna().any():
        return bool(rest.loc[:, first.isna()].notna().any(axis=None))
    typed = 0
    for column in raw.columns[first.notna().to_numpy()]:
        texts = rest[column].dropna()
        if texts.empty:
            continue
        values = texts.drop_duplicates().tolist()
        if not np.isnan(parse_numbers(values)).any():
            if not np.isnan(parse_numbers([first[column]])[0]):
                return False
            typed += 1
    return typed > 0


def _described(path: str, header_rows: int, raw: pd.DataFrame) -> RawFile:
    questions = raw.attrs["questions"]
    ending = shared_remark([text for text in questions.values() if text])
    columns = {
        name: Column(
            name,
            i,
            questions.get(name, "").removesuffix(ending).strip(),
            raw[name],
            dict(raw.attrs["codes"].get(name, {})),
            raw.attrs["labels"].get(name, ()),
        )
        for i, name in enumerate(raw.columns)
        if raw[name].notna().any()
    }
    return RawFile(
        path, header_rows, raw, columns, "simulated" in ending.lower() or "synthetic" in ending.lower()
    )


def shared_beginning(texts: Sequence[str]) -> str:
    """Return what all texts begin with."""
    lowest, highest = min(texts), max(texts)
    same = (i for i, letter in enumerate(lowest) if highest[i : i + 1] != letter)
    return lowest[: next(same, len(lowest))]


def shared_end(texts: Sequence[str]) -> str:
    """Return what all texts end with."""
    return shared_beginning([text[::-1] for text in texts])[::-1]


def shared_remark(texts: Sequence[str]) -> str:
    """Return what all texts end with, from a bracket or separator on ("" if nothing is shared)."""
    if len(texts) < 2:
        return ""
    ending = shared_end(texts)
    begin = re.search(r"\s*[(\[|–-]", ending)
    return ending[begin.start() :] if begin else ""
