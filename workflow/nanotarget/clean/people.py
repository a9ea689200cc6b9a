"""People of raw files: which rows are whose, who is left after which step, and who is who."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from nanotarget.clean.cells import Cells, Table, read_ids
from nanotarget.clean.flow import EVERYBODY, Step, count_steps
from nanotarget.clean.personal import MANY, kind_of, quoted
from nanotarget.clean.raw import read_raw
from nanotarget.clean.seen import Seen
from nanotarget.study.config import (
    CalibrationConfig,
    ColumnValues,
    CovariateConfig,
    ExclusionConfig,
    ExperimentConfig,
    RosterConfig,
    normalised,
)
from nanotarget.study.problems import InputError, Problem, counted

SampleConfig = CalibrationConfig | ExperimentConfig | RosterConfig


# 1.23E+11, ####, #REF!: of a number with many digits, of a narrow column, of a formula.
BY_SPREADSHEET = r"\s*(\d([.,]\d+)?E\+\d+|#+|#(REF|VALUE|NUM|DIV/0|NULL)!|#NAME\?|#N/A)\s*"


@dataclass(frozen=True)
class Sample:
    """A sample read and cleaned.

    Attributes:
        respondents: see `contracts`; one row per respondent who stayed.
        flow: `flow.FLOW_COLUMNS`, see `People.flow`.
        quality: QUALITY_COLUMNS, see `nanotarget.clean.quality`.
        identities: what tells the respondents apart, see `People.identities`. Never written.
        questions: what the file makes one ask of the config.
        refusers: ids of those who refused personalisation, whether or not they stayed. Never written.
    """

    respondents: pd.DataFrame
    flow: pd.DataFrame
    quality: pd.DataFrame
    identities: pd.DataFrame
    questions: tuple[str, ...] = field(default=(), kw_only=True)
    refusers: frozenset[str] = field(default=frozenset(), kw_only=True)


@dataclass(frozen=True)
class People:
    """The people of a raw file and at which step each of them left.

    Attributes:
        table: the file.
        unit: (n_rows,) number of the person whose row it is.
        respondent: column with the respondent's id.
        steps: so far; the first is everyone in the file.
        compared: for each column that an exclusion compares with a number, the numbers of the people
            who were left, one per person.
        aside: (n_rows,) rows that are nobody's petition; None without such rows.
    """

    table: Table
    unit: np.ndarray
    respondent: str
    steps: tuple[Step, ...]
    compared: Mapping[str, np.ndarray] = field(default_factory=dict)
    aside: np.ndarray | None = None

    @property
    def left(self) -> np.ndarray:
        """(n_people,) who is left."""
        return self.steps[-1].after

    @cached_property
    def rows(self) -> np.ndarray:
        """Positions in the file of the rows of who is left; other properties and `cells` follow them."""
        stays = self.left[self.unit]
        return np.flatnonzero(stays if self.aside is None else stays & ~self.aside)

    @cached_property
    def person(self) -> np.ndarray:
        """Number of the person of each row, 0, 1, ... among who is left."""
        return pd.factorize(self.unit[self.rows])[0]

    @cached_property
    def first(self) -> np.ndarray:
        """Position of the first row of each person."""
        return np.unique(self.person, return_index=True)[1]

    @property
    def ids(self) -> Cells:
        """Cells of the respondents' ids."""
        return self.cells(self.respondent)

    def cells(self, *columns: str) -> Cells:
        """Return the cells of who is left, one column below the other."""
        n = len(self.table.raw)
        return self.table.cells(*columns).at(np.concatenate([self.rows + i * n for i in range(len(columns))]))

    def without(self, step: str, rule: str, leaves: np.ndarray) -> People:
        """Return the people after a step at which those leave for whom `leaves` is true in any row."""
        after = self.left.copy()
        after[self.unit[self.rows[leaves]]] = False
        return dataclasses.replace(self, steps=(*self.steps, Step(step, rule, self.left, after)))

    def flow(self, sample: str, groups: Mapping[str, np.ndarray]) -> pd.DataFrame:
        """Count people before and after each step: all, and those in each group (n_people,)."""
        return count_steps(sample, self.steps, {EVERYBODY: self.steps[0].before, **groups})

    def identities(self, exclusions: Sequence[ExclusionConfig]) -> pd.DataFrame:
        """Return what tells people apart: the id and every column that a duplicate rule names.

        One row per person who is left, with their first row of the file as index.
        """
        raw = self.table.raw.iloc[self.rows[self.first]]
        keys = dict.fromkeys(e.column for e in exclusions if e.rule == "duplicate")
        columns = {k: raw[k].map(normalised, na_action="ignore") for k in keys if k != self.respondent}
        return pd.DataFrame({"respondent": read_ids(raw[self.respondent]), **columns})


def among_those(identities: pd.DataFrame, others: pd.DataFrame) -> np.ndarray:
    """Return who of some people is among others, by anything that tells both apart (`People.identities`)."""
    found = np.zeros(len(identities), dtype=bool)
    for key in identities.columns.intersection(others.columns):
        found |= (identities[key].notna() & identities[key].isin(others[key])).to_numpy()
    return found


def one_per_row(table: Table, respondent: str) -> People:
    """Take every row of a file for another person."""
    return _everyone(table, respondent, np.arange(len(table.raw)))


def one_per_id(table: Table, respondent: str) -> People:
    """Take the rows with one id for one person; a row without an id is a person of its own."""
    ids = read_ids(table.raw[respondent])
    nameless = pd.Series([f"row {row}" for row in table.raw.index], index=table.raw.index)
    return _everyone(table, respondent, pd.factorize(ids.where(ids.notna(), nameless))[0])


def _everyone(table: Table, respondent: str, unit: np.ndarray) -> People:
    ids = table.cells(respondent)
    ids.refuse_texts(
        ids.text.str.fullmatch(BY_SPREADSHEET).fillna(False).to_numpy(bool),
        "what a spreadsheet made of an id: digits are lost",
        "ids as the survey platform wrote them",
        "export the data again, and open or save them in no spreadsheet, or as text there",
    )
    everyone = np.ones(unit.max() + 1, dtype=bool)
    return People(table, unit, respondent, (Step("In the raw file", "", everyone, everyone),))


def tidy(people: People, columns: Mapping[str, object]) -> pd.DataFrame:
    """Put columns of values, one per person who is left, behind their ids and in the order of these."""
    return by_id(in_order(people, columns))


def in_order(people: People, columns: Mapping[str, object]) -> pd.DataFrame:
    """Put columns of values, one per person who is left, behind their ids, in the order of the file."""
    ids = pd.array(people.ids.ids.iloc[people.first], dtype="str")
    return pd.DataFrame({"respondent_id": ids, **columns})


def by_id(table: pd.DataFrame) -> pd.DataFrame:
    """Sort people by their ids."""
    return table.sort_values("respondent_id", kind="stable", ignore_index=True)


def read_table(
    section: str,
    config: SampleConfig,
    covariates: Sequence[CovariateConfig],
    own: Sequence[tuple[str, Sequence[str]]],
    optional: Collection[str] = (),
) -> Table:
    """Read the raw file of a sample, which must have every column that the config names.

    Args:
        section: of the config, for messages.
        config: the section.
        covariates: the allow-list.
        own: (config key, columns) that only this sample needs.
        optional: covariates that the file may lack.

    Raises:
        InputError: if the file cannot be read, or with one problem for each key whose columns it lacks.
    """
    wanted = wanted_columns(section, config, covariates, own, optional)
    table = table_of(read_raw(config.file, config.header_rows), section, config, wanted)
    for key, named in values_of(section, config):
        texts = table.raw[named.column].dropna().unique()
        table.problems.extend(values_of_nobody(key, named, texts, table))
    return table


def wanted_columns(
    section: str,
    config: SampleConfig,
    covariates: Sequence[CovariateConfig],
    own: Sequence[tuple[str, Sequence[str]]],
    optional: Collection[str],
) -> list[tuple[str, Sequence[str]]]:
    """Return the keys of the config that name columns, and these columns; arguments as in `read_table`."""
    wanted: list[tuple[str, Sequence[str]]] = [(f"{section}.respondent", [config.respondent]), *own]
    wanted += [
        (f"covariates[{i}] ('{c.name}')", [c.column or c.name])
        for i, c in enumerate(covariates)
        if c.name not in optional
    ]
    if not isinstance(config, RosterConfig) and config.weight:
        wanted.append((f"{section}.weight", [config.weight]))
    if config.consent:
        wanted.append((f"{section}.consent.column", [config.consent.column]))
    wanted += [
        (f"{section}.exclusions[{i}] ('{e.step}')", [e.column]) for i, e in enumerate(config.exclusions)
    ]
    return [*wanted, (f"{section}.identifiers", config.identifiers)]


def table_of(
    raw: pd.DataFrame, section: str, config: SampleConfig, wanted: Sequence[tuple[str, Sequence[str]]]
) -> Table:
    """Return what was read of a sample's file, which must have the wanted columns.

    Raises:
        InputError: with one problem for each key whose columns it lacks.
    """
    repeated = {e.column for e in config.exclusions if e.rule == "duplicate"} - {config.respondent}
    table = Table(raw, config.file, private=frozenset({*config.identifiers, *repeated}))
    table.require(wanted)
    _refuse_personal_ids(table, f"{section}.respondent", config.respondent)
    return table


def values_of(section: str, config: SampleConfig) -> Iterator[tuple[str, ColumnValues]]:
    """Yield the config key and the cells that decide about people: consent and exclusions by value."""
    if config.consent:
        yield f"{section}.consent.values", config.consent
    for i, step in enumerate(config.exclusions):
        if step.values:
            yield f"{section}.exclusions[{i}].values", ColumnValues(column=step.column, values=step.values)


def values_of_nobody(key: str, named: ColumnValues, texts: Iterable[str], table: Table) -> list[Problem]:
    """Return the problem of values that decide about people and that nobody has: misspelt, or changed.

    Args:
        key: of the config.
        named: the column and its values.
        texts: the different cells of the column.
        table: the file.
    """
    seen, private = set(map(normalised, texts)), named.column in table.private
    absent = [str(value) for value in named.values if normalised(value) not in seen]
    if not absent:
        return []
    occur = sorted(texts)
    return [
        Problem(
            table.source,
            f"column '{named.column}'",
            f"no cell is {quoted(absent, private)}, which key {key} names",
            f"values that occur: {quoted(occur, private or len(occur) > MANY, 12)}",
            "correct the value in the config, or remove it there",
        )
    ]


def _refuse_personal_ids(table: Table, key: str, respondent: str) -> None:
    """Refuse ids that tell who somebody is: they would be written beside everything she answered."""
    kinds = [kind_of(text) for text in table.raw[respondent].dropna().unique()[:MANY]]
    if kinds and all(kinds):
        problem = Problem(
            table.source,
            f"column '{respondent}', which key {key} names",
            f"its cells hold {kinds[0]} each, and artefacts hold the ids of respondents",
            "ids that tell nobody who somebody is",
            "name another column, or put a number in the place of each address before the file is used here; "
            "list the column of addresses under 'identifiers'",
        )
        table.problems.append(problem)


def check_left(people: People) -> People:
    """Return the people, of whom somebody must be left; refuse rows without an id.

    Raises:
        InputError: if nobody is left, with all problems until then.
    """
    if not len(people.rows):
        raise InputError([*people.table.problems, nobody_left(people.table.source)])
    return with_ids(people)


def nobody_left(source: str) -> Problem:
    """Return the problem of a file of which the exclusions leave nobody."""
    return Problem(
        source,
        "whole file",
        "nobody is left after the exclusions",
        "at least one respondent",
        "check the values of the exclusions in the config against the file",
    )


def with_ids(people: People) -> People:
    """Return the people; refuse rows without an id."""
    people.ids.refuse(
        people.ids.empty,
        "the respondent's id is missing",
        "an id in every row",
        "add the ids, or exclude these rows with an exclusion of rule 'missing'",
    )
    return people


def check_unique(people: People, earlier: Seen | None = None) -> None:
    """Refuse respondents with more than one row.

    Args:
        people: of a file, or of a piece of one.
        earlier: the ids of the pieces before it, to which these are added.
    """
    ids = people.ids.ids
    given = ids.notna()
    again = (ids.duplicated(keep=False) & given).to_numpy(copy=True)
    if earlier:
        again[given] |= earlier.among(ids[given])
        earlier.add(ids[given])
    people.ids.refuse(
        again,
        f"more than one row for {counted(ids[again].nunique(), 'respondent')}",
        "one row per respondent",
        f"remove the repetitions, or add an exclusion with rule 'duplicate' and column '{people.respondent}'",
    )
