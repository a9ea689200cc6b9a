"""A file that lists the levels of each attribute in their order, beside the data."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nanotarget.clean.labels import Labels, entry_of, read_labels
from nanotarget.propose.columns import Column, RawFile
from nanotarget.propose.measured import GuessedAttribute
from nanotarget.propose.people import ID_WORDS, GuessedCovariate
from nanotarget.study.config import LabelsConfig, normalised

MAX_LEVELS = 150  # different texts of a column of levels, even where it mixes those of all attributes

MAX_LINES = 1000


@dataclass(frozen=True)
class Codebook:
    """Levels in the order of their lines, by the name of what has them.

    Attributes:
        path: as the person named the file.
        levels: texts as they are compared; names, too.
    """

    path: str
    levels: Mapping[str, Sequence[str]]

    def order(self, names: Sequence[str], texts: Sequence[str]) -> list[str] | None:
        """Put levels in the order of the entry that has them all, if need be the one with such a name."""
        wanted, known = set(map(normalised, texts)), set(map(normalised, names))
        entries = [(name in known, name) for name, levels in self.levels.items() if wanted <= set(levels)]
        if not entries:
            return None
        levels = self.levels[max(entries)[1]]
        return sorted(texts, key=lambda text: levels.index(normalised(text)))


@dataclass(frozen=True)
class Codes:
    """A file that says what the codes of levels mean.

    Attributes:
        settings: the section `calibration.labels`.
        labels: by attribute and code, as the pipeline reads them.
    """

    settings: Mapping[str, str]
    labels: Labels

    def applied(self, file: RawFile) -> RawFile:
        """Return a file with labels in the columns that are named like an attribute and have its codes."""
        columns = dict(file.columns)
        for name, column in file.columns.items():
            entry = entry_of([name], self.labels)
            if entry is not None and set(column.counts) <= set(self.labels[entry]):
                of = self.labels[entry]
                texts = column.texts.map(of).astype("str")
                columns[name] = Column(name, column.position, column.question, texts, {}, list(of.values()))
        return dataclasses.replace(file, columns=columns)


def find_codes(files: Sequence[RawFile]) -> tuple[Codes | None, list[RawFile]]:
    """Take the file that says what codes mean out of some files, and put labels into the others."""
    for file in files:
        others = [other for other in files if other is not file]
        if not others or len(file.raw) > MAX_LINES or len(file.columns) < 3:
            continue
        for names, codes, labels in itertools.permutations(file.columns.values(), 3):
            if not codes.whole or codes.n_missing or _book(names, codes) is None:
                continue
            if labels.whole or _book(names, labels) is None:
                continue
            columns = {"attribute": names.name, "code": codes.name, "label": labels.name}
            read = read_labels(LabelsConfig(file=file.path, **columns), [])
            found = Codes({"file": file.path, **columns}, read)
            told = [found.applied(other) for other in others]
            if all(_labelled(entry, told, others) for entry in read):
                return found, told
    return None, list(files)


def _labelled(entry: str, told: Sequence[RawFile], files: Sequence[RawFile]) -> bool:
    """Is there a column of an attribute whose codes were read?"""
    return any(
        entry_of([name], [entry]) and after.columns[name] is not column
        for after, before in zip(told, files, strict=True)
        for name, column in before.columns.items()
    )


def find_codebook(files: Sequence[RawFile]) -> tuple[Codebook | None, list[RawFile]]:
    """Take the codebook out of some files: a name and a level a line, which columns elsewhere have."""
    for file in files:
        others = [other for other in files if other is not file]
        if not others or len(file.raw) > MAX_LINES:
            continue
        texts = [
            set(map(normalised, column.counts))
            for other in others
            for column in other.columns.values()
            if 2 <= column.n_values <= MAX_LEVELS
        ]
        books = [book for pair in itertools.permutations(file.columns.values(), 2) if (book := _book(*pair))]
        if known := [book for book in books if _knows(book, texts)]:
            # numbers of lines may stand beside the levels, and be known elsewhere, too
            richest = max(known, key=lambda book: len(set(itertools.chain.from_iterable(book.values()))))
            return Codebook(file.path, richest), others
    return None, list(files)


def _book(names: Column, levels: Column) -> dict[str, list[str]] | None:
    """Return the levels of each name, if two columns may be names and levels: no line twice."""
    n = len(names.texts)
    if names.numbers is not None or not 2 <= names.n_values <= n / 2 or levels.named(ID_WORDS):
        return None
    if (names.values < 0).any() or (levels.values < 0).any():
        return None
    book: dict[str, list[str]] = {}
    for name, level in zip(names.texts, levels.texts, strict=True):
        book.setdefault(normalised(name), []).append(normalised(level))
    return book if all(len(set(of)) == len(of) > 1 for of in book.values()) else None


def _knows(book: Mapping[str, Sequence[str]], texts: Sequence[set[str]]) -> bool:
    """Does each name have the levels of a column, or are there columns of names and of levels, row by row?"""
    if all(any(column <= set(levels) for column in texts) for levels in book.values()):
        return True
    every = set(itertools.chain.from_iterable(book.values()))
    named, shown = (sum(column <= known for column in texts) for known in (set(book), every))
    return named > 1 and shown >= 2 * named


def attribute_by(book: Codebook, attribute: GuessedAttribute) -> GuessedAttribute:
    """Return an attribute with its levels in the order of the codebook, which it may not know."""
    levels = book.order([attribute.name, attribute.column], attribute.levels)
    if levels is None:
        return attribute
    share = dict(zip(attribute.levels, attribute.shares, strict=True))
    shares, reason = [share[level] for level in levels], f"of {book.path}"
    return dataclasses.replace(attribute, levels=levels, shares=shares, reason=reason)


def covariate_by(book: Codebook, covariate: GuessedCovariate) -> GuessedCovariate:
    """Return a covariate with its levels in the order of the codebook, which it may not know."""
    levels = book.order([covariate.name, covariate.column], covariate.levels or [])
    return dataclasses.replace(covariate, levels=levels) if levels else covariate
