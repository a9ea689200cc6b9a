"""Cells of raw files: find the columns, read levels and numbers, say where a problem is."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nanotarget.study.config import normalised
from nanotarget.study.problems import Problem, listed, placed, raise_if_any

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
BINARY = {"1": 1.0, "0": 0.0, "yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Cells:
    """Raw cells of one variable and their places in the file (all of one length).

    Attributes:
        text: str, NaN where the cell is empty.
        rows: row of the file.
        columns: column of the file.
        codes: code of each value label that these columns have.
    """

    text: pd.Series
    rows: np.ndarray
    columns: np.ndarray
    codes: Mapping[str, str]

    def at(self, keep: np.ndarray) -> Cells:
        """Return the cells where `keep` is true, or at these positions."""
        text = self.text.loc[keep] if keep.dtype == bool else self.text.iloc[keep]
        return Cells(text.reset_index(drop=True), self.rows[keep], self.columns[keep], self.codes)

    @property
    def coded(self) -> Cells:
        """The cells with codes in the place of value labels.

        Labels stay where one of them is a number other than its code, as in 1 = "0", 2 = "1":
        there the label is what people saw and answered.
        """
        misleading = any(NUMBER.fullmatch(t.strip()) and t.strip() != c for t, c in self.codes.items())
        if misleading or not self.codes:
            return self
        return dataclasses.replace(self, text=self.text.map(lambda t: self.codes.get(t, t)).astype("str"))


def cells_of(raw: pd.DataFrame, columns: Sequence[str]) -> Cells:
    """Return the cells of columns one below the other."""
    codes: dict[str, str] = {}
    for column in columns:
        codes |= raw.attrs["codes"].get(column, {})
    return Cells(
        pd.concat([raw[column] for column in columns], ignore_index=True),
        np.tile(raw.index.to_numpy(), len(columns)),
        np.repeat(np.array(columns, dtype=object), len(raw)),
        codes,
    )


@dataclass
class Report:
    """Problems found in one raw file."""

    source: str
    problems: list[Problem] = field(default_factory=list)

    def add(self, cells: Cells, bad: np.ndarray, what: str, expected: str, remedy: str) -> None:
        """Add one problem for all bad cells, if there are any."""
        if bad.any():
            columns = list(dict.fromkeys(cells.columns[bad]))
            rows = sorted(set(cells.rows[bad].tolist()))
            where = f"column{'s' if len(columns) > 1 else ''} {listed(columns, 3)}, {placed(rows)}"
            self.problems.append(Problem(self.source, where, what, expected, remedy))

    def texts(self, cells: Cells, bad: np.ndarray, wrong: str, expected: str, remedy: str) -> None:
        """Add one problem for all bad cells that quotes their distinct texts."""
        if bad.any():
            texts = list(dict.fromkeys(cells.text[bad]))
            self.add(
                cells,
                bad,
                f"{listed(texts, 5)} {'is' if len(texts) == 1 else 'are'} {wrong}",
                expected,
                remedy,
            )


def require(raw: pd.DataFrame, wanted: Iterable[tuple[str, Sequence[str]]], source: str) -> None:
    """Raise one problem for each config key that names columns which the file does not have."""
    folded = {normalised(column): column for column in raw.columns}
    problems = []
    for key, columns in wanted:
        missing = [column for column in dict.fromkeys(columns) if column not in raw.columns]
        if missing:
            close = difflib.get_close_matches(normalised(missing[0]), folded, n=3)
            similar = f"similar: {listed(folded[c] for c in close)}" if close else listed(raw.columns, 12)
            problems.append(
                Problem(
                    source,
                    f"column{'s' if len(missing) > 1 else ''} {listed(missing)}",
                    f"the file has no such column, but key {key} names it",
                    f"one of the file's columns ({similar})",
                    "correct the name in the config or in the file's header",
                )
            )
    raise_if_any(problems)


def match_levels(
    cells: Cells,
    name: str,
    levels: Sequence[object],
    report: Report,
    key: str,
    missing: Sequence[object] = (),
) -> np.ndarray:
    """Return for each cell the index of its level; -1 where the cell is empty, `missing`, or wrong."""
    known = {normalised(level): i for i, level in enumerate(levels)}
    known |= dict.fromkeys(map(normalised, missing), -1)
    which, texts = pd.factorize(cells.text)
    index = np.array([known.get(normalised(text), -2) for text in texts] + [-1])[which]
    bad = index == -2
    if bad.any():
        spelled = {normalised(level): level for level in levels}
        close = difflib.get_close_matches(normalised(cells.text[bad].iloc[0]), spelled, n=1)
        hint = f"did you mean '{spelled[close[0]]}'? " if close else ""
        report.texts(
            cells,
            bad,
            f"no level of '{name}'",
            f"one of {listed(map(str, levels), 12)}",
            f"{hint}Correct the file, or add the level to key {key}",
        )
    return np.maximum(index, -1)


def parse_numbers(texts: Sequence[str]) -> np.ndarray:
    """Read the distinct texts of one variable as numbers; NaN where a text is none.

    A decimal comma is read where nothing else can be meant: no number of the variable has a point,
    and at least one comma cannot separate thousands ("2,5" or "0,125", but not "1,500").
    """
    trimmed = [text.strip() for text in texts]
    commas = [text for text in trimmed if DECIMAL_COMMA.fullmatch(text)]
    points = any("." in text for text in trimmed if NUMBER.fullmatch(text))
    if not points and any(not THOUSANDS.fullmatch(text) for text in commas):
        trimmed = [text.replace(",", ".") if DECIMAL_COMMA.fullmatch(text) else text for text in trimmed]
    values = np.array([float(text) if NUMBER.fullmatch(text) else np.nan for text in trimmed], dtype=float)
    return np.where(np.isfinite(values), values, np.nan)


def read_numbers(
    cells: Cells,
    name: str,
    report: Report,
    limits: Sequence[float] | None = None,
    missing: Sequence[object] = (),
) -> np.ndarray:
    """Return the cells as numbers; NaN where a cell is empty, `missing`, or wrong."""
    cells = cells.coded
    which, texts = pd.factorize(cells.text)
    gone = set(map(normalised, missing))
    answered = np.array([normalised(text) not in gone for text in texts] + [False])
    values = np.full(len(texts) + 1, np.nan)
    values[answered] = parse_numbers([text for text, ok in zip(texts, answered, strict=False) if ok])
    bad = (answered & np.isnan(values))[which]
    report.texts(
        cells,
        bad,
        f"no number, but '{name}' holds numbers",
        "numbers such as 12 or 12.5, without units or separators of thousands",
        "correct the cells, or empty them where the answer is missing",
    )
    if limits:
        low, high = limits
        report.texts(
            cells,
            ((values < low) | (values > high))[which],
            f"outside the range of '{name}'",
            f"{low} to {high}",
            "correct the cells, or 'range' in the config",
        )
    return values[which]


def read_binary(cells: Cells, name: str, report: Report) -> np.ndarray:
    """Return the cells as 0 and 1; NaN where a cell is empty or wrong."""
    bad = _neither(cells)
    if bad.any() and not _neither(cells.coded).any():
        cells, bad = cells.coded, np.zeros(len(bad), dtype=bool)
    report.texts(
        cells,
        bad,
        f"neither yes nor no, but '{name}' is binary",
        "0 or 1 (also No/Yes, False/True)",
        "correct the cells, or the column that the config names",
    )
    return cells.text.map(lambda text: BINARY.get(normalised(text), np.nan), na_action="ignore").to_numpy(
        float
    )


def _neither(cells: Cells) -> np.ndarray:
    """Is each text something else than yes or no?"""
    known = cells.text.map(lambda text: normalised(text) in BINARY, na_action="ignore")
    return known.isin([False]).to_numpy()


def read_ids(texts: pd.Series) -> pd.Series:
    """Respondents' ids as they are compared: trimmed, "12.0" equals "12"; case counts."""
    return texts.str.strip().str.replace(r"^(\d+)\.0+$", r"\1", regex=True)


def holds(texts: pd.Series, values: Sequence[object]) -> np.ndarray:
    """Is each text one of these values? A missing text is none."""
    wanted = set(map(normalised, values))
    return texts.map(lambda text: normalised(text) in wanted, na_action="ignore").isin([True]).to_numpy()
