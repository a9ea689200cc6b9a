"""Cells of raw files: find the columns, read levels, numbers and ids, say where a problem is."""

from __future__ import annotations

import dataclasses
import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nanotarget.clean.personal import looks_like_data, quoted
from nanotarget.study.config import normalised
from nanotarget.study.problems import InputError, Problem, listed, placed, raise_if_any

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
BINARY = {
    **{"1": 1.0, "0": 0.0, "yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0},
    **{"selected": 1.0, "not selected": 0.0},
}
UNKNOWN = -2  # index of a text that is no level


@dataclass(frozen=True)
class Table:
    """A raw file that is being read.

    Attributes:
        raw: what `read_raw` returned.
        source: name of the file for messages.
        problems: of its cells, so far.
        private: columns of identifiers, whose cells no message quotes.
    """

    raw: pd.DataFrame
    source: str
    problems: list[Problem] = field(default_factory=list)
    private: frozenset[str] = frozenset()

    def require(self, wanted: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Raise one problem for each config key that names columns which the file does not have."""
        wanted = list(wanted)
        lacking = {column for _, columns in wanted for column in columns} - set(self.raw.columns)
        if lacking and looks_like_data(self.raw.columns):
            raise InputError([self._headerless])
        folded = {normalised(column): column for column in self.raw.columns}
        problems = []
        for key, columns in wanted:
            missing = [column for column in dict.fromkeys(columns) if column not in self.raw.columns]
            if missing:
                close = difflib.get_close_matches(normalised(missing[0]), folded, n=3)
                similar = listed(folded[c] for c in close)
                known = f"similar: {similar}" if close else listed(self.raw.columns, 12)
                problems.append(
                    Problem(
                        self.source,
                        f"column{'s' if len(missing) > 1 else ''} {listed(missing)}",
                        f"the file has no such column, but key {key} names it",
                        f"one of the file's columns ({known})",
                        "correct the name in the config or in the file's header",
                    )
                )
        raise_if_any(problems)

    @property
    def _headerless(self) -> Problem:
        return Problem(
            self.source,
            "row 1",
            "it seems to hold what somebody answered (not shown here), not names of columns",
            "the names of the columns in the first row",
            "add a row with the names, or export the file with its header",
        )

    def cells(self, *columns: str) -> Cells:
        """Return the cells of columns, one column below the other."""
        codes: dict[str, str] = {}
        for column in columns:
            codes |= self.raw.attrs["codes"].get(column, {})
        return Cells(
            pd.concat([self.raw[column] for column in columns], ignore_index=True),
            np.tile(self.raw.index.to_numpy(), len(columns)),
            np.repeat(np.array(columns, dtype=object), len(self.raw)),
            codes,
            self,
        )


@dataclass(frozen=True)
class Cells:
    """Raw cells of one variable and their places in the file (all of one length).

    Attributes:
        text: str, NaN where the cell is empty.
        rows: row of the file.
        columns: column of the file.
        codes: code of each value label that these columns have.
        table: the file, which gets the problems.
    """

    text: pd.Series
    rows: np.ndarray
    columns: np.ndarray
    codes: Mapping[str, str]
    table: Table

    def at(self, keep: np.ndarray) -> Cells:
        """Return the cells where `keep` is true, or at these positions."""
        text = self.text.loc[keep] if keep.dtype == bool else self.text.iloc[keep]
        return dataclasses.replace(
            self, text=text.reset_index(drop=True), rows=self.rows[keep], columns=self.columns[keep]
        )

    @property
    def empty(self) -> np.ndarray:
        """Is each cell empty?"""
        return self.text.isna().to_numpy()

    @property
    def ids(self) -> pd.Series:
        """The cells as respondents' ids."""
        return read_ids(self.text)

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

    def refuse(self, bad: np.ndarray, what: str, expected: str, remedy: str) -> None:
        """Add one problem for all bad cells, if there are any."""
        if bad.any():
            columns = list(dict.fromkeys(self.columns[bad]))
            rows = sorted(set(self.rows[bad].tolist()))
            where = f"column{'s' if len(columns) > 1 else ''} {listed(columns, 3)}, {placed(rows)}"
            self.table.problems.append(Problem(self.table.source, where, what, expected, remedy))

    def refuse_texts(self, bad: np.ndarray, wrong: str, expected: str, remedy: str) -> None:
        """Add one problem for all bad cells that quotes their distinct texts."""
        if bad.any():
            texts = list(dict.fromkeys(self.text[bad]))
            private = not self.table.private.isdisjoint(self.columns[bad])
            what = f"{quoted(texts, private)} {'is' if len(texts) == 1 else 'are'} {wrong}"
            self.refuse(bad, what, expected, remedy)

    def among(self, values: Iterable[object]) -> np.ndarray:
        """Is each text one of these values? An empty cell is none."""
        wanted = set(map(normalised, values))
        which, texts = pd.factorize(self.text)
        return np.array([normalised(text) in wanted for text in texts] + [False])[which]

    def index(self, levels: Iterable[object], missing: Iterable[object] = ()) -> np.ndarray:
        """Return the index of each cell's level; -1 where it is empty or `missing`, UNKNOWN where wrong."""
        known = {normalised(level): i for i, level in enumerate(levels)}
        known |= dict.fromkeys(map(normalised, missing), -1)
        which, texts = pd.factorize(self.text)
        return np.array([known.get(normalised(text), UNKNOWN) for text in texts] + [-1])[which]

    def levels(
        self, name: str, levels: Sequence[object], key: str, missing: Sequence[object] = ()
    ) -> np.ndarray:
        """Return `index` with -1 for wrong cells too, which are refused.

        Args:
            name: of the variable, for messages.
            levels: in the order of their index.
            key: of the config that names the levels.
            missing: texts that mean that there is no answer.
        """
        index = self.index(levels, missing)
        bad = index == UNKNOWN
        if bad.any():
            hint = _hint(self.text[bad].iloc[0], levels)
            self.refuse_texts(
                bad,
                f"no level of '{name}'",
                f"one of {listed(map(str, levels), 12)}",
                f"{hint}Correct the file, or add the level to key {key}",
            )
        return np.maximum(index, -1)

    def numbers(
        self, name: str, limits: Sequence[float] | None = None, missing: Sequence[object] = ()
    ) -> np.ndarray:
        """Return the cells as numbers; NaN where a cell is empty or `missing`, or is refused."""
        cells = self.coded
        which, texts = pd.factorize(cells.text)
        gone = set(map(normalised, missing))
        answered = np.array([normalised(text) not in gone for text in texts] + [False])
        values = np.full(len(texts) + 1, np.nan)
        values[answered] = parse_numbers([text for text, ok in zip(texts, answered, strict=False) if ok])
        cells.refuse_texts(
            (answered & np.isnan(values))[which],
            f"no number, but '{name}' holds numbers",
            "numbers such as 12 or 12.5, without units or separators of thousands",
            "correct the cells, or empty them where the answer is missing",
        )
        if limits:
            low, high = limits
            cells.refuse_texts(
                ((values < low) | (values > high))[which],
                f"outside the range of '{name}'",
                f"{low} to {high}",
                "correct the cells, or 'range' in the config",
            )
        return values[which]

    def binary(self, name: str) -> np.ndarray:
        """Return the cells as 0 and 1; NaN where a cell is empty or is refused."""
        cells = self.coded if self._neither.any() and not self.coded._neither.any() else self
        cells.refuse_texts(
            cells._neither,
            f"neither yes nor no, but '{name}' is binary",
            "0 or 1 (also No/Yes, False/True, Not selected/Selected)",
            "correct the cells, or the column that the config names",
        )
        which, texts = pd.factorize(cells.text)
        return np.array([BINARY.get(normalised(text), np.nan) for text in texts] + [np.nan])[which]

    @property
    def _neither(self) -> np.ndarray:
        """Is each text something other than yes or no?"""
        return ~self.empty & ~self.among(BINARY)


def stacked(cells: Sequence[Cells]) -> Cells:
    """Put cells of several variables of one file one below the other."""
    return Cells(
        pd.concat([c.text for c in cells], ignore_index=True),
        np.concatenate([c.rows for c in cells]),
        np.concatenate([c.columns for c in cells]),
        {},
        cells[0].table,
    )


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


def read_ids(texts: pd.Series) -> pd.Series:
    """Respondents' ids as they are compared: trimmed, "12.0" equals "12"; case counts."""
    return texts.str.strip().str.replace(r"^(\d+)\.0+$", r"\1", regex=True)


def _hint(text: str, levels: Sequence[object]) -> str:
    """Say which level a text is most like, or which letter people do not see or take for another one."""
    spelled = {normalised(level): str(level) for level in levels}
    close = difflib.get_close_matches(normalised(text), spelled, n=1)
    if not close:
        return ""
    level = spelled[close[0]]
    known = set("".join(spelled.values()))
    for letter in text:
        if not letter.isascii() and letter not in known:
            named = unicodedata.name(letter, "without a name").lower()
            return f"it holds the letter U+{ord(letter):04X} ({named}), '{level}' does not. "
    return f"did you mean '{level}'? "
