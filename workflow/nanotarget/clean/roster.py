"""The roster: the list of people to field to, as one tidy row per respondent.

It may be too large for memory: it is read piece by piece and handed on in shards, and of all people only
a random sample comes back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nanotarget.clean import contracts
from nanotarget.clean.cells import Table
from nanotarget.clean.covariates import read_covariates
from nanotarget.clean.exclusions import exclude, refused, refusers
from nanotarget.clean.parts import is_large, raw_parts, read_head, read_pieces
from nanotarget.clean.people import (
    People,
    Sample,
    among_those,
    by_id,
    check_unique,
    in_order,
    nobody_left,
    one_per_row,
    table_of,
    values_of,
    values_of_nobody,
    wanted_columns,
    with_ids,
)
from nanotarget.clean.quality import Tallies, roster_quality
from nanotarget.clean.seen import Seen
from nanotarget.study.config import CovariateConfig, RosterConfig
from nanotarget.study.keyed import sampled
from nanotarget.study.problems import Problem, collecting, raise_if_any
from nanotarget.study.shards import SHARD

LOG = logging.getLogger("nanotarget.clean.roster")
Keep = Callable[[pd.DataFrame], None]


def read_roster(
    config: RosterConfig,
    covariates: Sequence[CovariateConfig],
    keep: Keep | None = None,
    heads: bool = False,
    among: pd.DataFrame | None = None,
) -> Sample:
    """Turn the list of people to field to into tidy tables, `contracts.roster`.

    A covariate with ``target: false`` that makes no blocks may be absent from the file; it is
    missing then.

    Args:
        config: the section `roster`.
        covariates: the allow-list.
        keep: gets the shards, each sorted by id; people are in them in the order of the file.
        heads: read the first rows of each part only, if the roster is large: do they fit the config?
        among: identities of the people that may not be in it; only theirs come back, of whoever is.

    Returns:
        The sample. Its `respondents` are everybody, or of a large roster some (`sampled`).

    Raises:
        InputError: with all problems of all parts.
    """
    parts = raw_parts(config.file)
    heads = heads and is_large(config.file)
    names = [str(part) for part in parts]
    gathered = _Gathered(config, covariates, names, _Shards(keep) if keep else None, among)
    problems: list[Problem] = []
    for number, part in enumerate(parts):
        with collecting(problems):
            read = read_head if heads else read_pieces
            for piece in read(part, config.header_rows):
                gathered.add(piece, number, problems)
    if heads and not problems and gathered.sampled is None:  # the first rows are all of people who leave
        return read_roster(config, covariates, keep, among=among)
    if not heads:
        problems += gathered.lacking()
    raise_if_any(problems)
    return gathered.sample()


@dataclass
class _Shards:
    """Cuts pieces into shards."""

    keep: Keep
    held: list[pd.DataFrame] = field(default_factory=list)

    def add(self, people: pd.DataFrame) -> None:
        """Take people; hand on a shard as soon as there are enough."""
        self.held.append(people)
        while sum(map(len, self.held)) >= SHARD:
            everyone = pd.concat(self.held, ignore_index=True)
            self._hand_on(everyone.iloc[:SHARD])
            self.held = [everyone.iloc[SHARD:]] if len(everyone) > SHARD else []

    def end(self) -> None:
        """Hand on the people who are left."""
        if self.held:
            self._hand_on(pd.concat(self.held, ignore_index=True))

    def _hand_on(self, people: pd.DataFrame) -> None:
        self.keep(by_id(people))


class _Gathered:
    """What the pieces of a roster add up to."""

    def __init__(
        self,
        config: RosterConfig,
        covariates: Sequence[CovariateConfig],
        parts: Sequence[str],
        shards: _Shards | None,
        among: pd.DataFrame | None,
    ) -> None:
        self.config, self.covariates, self.parts, self.shards = config, covariates, parts, shards
        self.among = among
        optional = {c.name for c in covariates if not c.target and c.name not in config.blocks}
        self.wanted = wanted_columns("roster", config, covariates, (), optional)
        self.earlier = [Seen() for _ in config.exclusions]
        self.ids = Seen()
        self.texts: dict[str, set[str]] = {}
        self.flow: pd.DataFrame | None = None
        self.tallies = Tallies(0, 0, {c.name: 0 for c in covariates})
        self.compared: dict[str, list[np.ndarray]] = {}
        self.identities: list[pd.DataFrame] = []
        self.refusers: frozenset[str] = frozenset()
        self.sampled: pd.DataFrame | None = None

    def add(self, raw: pd.DataFrame, part: int, problems: list[Problem]) -> None:
        """Clean a piece and add it, but for what is wrong with it.

        Raises:
            InputError: if columns are wrong, so that the rest of the part is not worth reading.
        """
        config = self.config.model_copy(update={"file": self.parts[part]})
        table = table_of(raw, "roster", config, self.wanted)
        for key, named in values_of("roster", config):
            texts = self.texts.setdefault(key, set())
            texts.update(table.raw[named.column].dropna().unique())
        people = self._cleaned(table)
        if not table.problems and len(people.rows):
            self._count(people, part)
        problems += table.problems

    def _cleaned(self, table: Table) -> People:
        everyone = one_per_row(table, self.config.respondent)
        people = with_ids(exclude(everyone, self.config.exclusions, self.earlier))
        check_unique(people, self.ids)
        flow = people.flow("roster", {})
        self.flow = flow if self.flow is None else _summed(self.flow, flow)
        self.refusers |= refusers(everyone, people, self.config.consent)
        return people

    def _count(self, people: People, part: int) -> None:
        described = read_covariates(people, self.covariates)
        if people.table.problems:
            return
        table = in_order(people, {"opt_out": refused(people, self.config.consent), **described})
        contracts.roster(self.covariates).validate(table, lazy=True)
        self.tallies = self.tallies.with_(Tallies.of(table, [c.name for c in self.covariates]))
        for column, numbers in people.compared.items():
            self.compared.setdefault(column, []).append(numbers)
        source = pd.Categorical.from_codes(np.full(len(table), part), categories=self.parts)
        identities = people.identities(self.config.exclusions).assign(file=source)
        self.identities.append(
            identities if self.among is None else identities[among_those(identities, self.among)]
        )
        self.sampled = sampled(table if self.sampled is None else pd.concat([self.sampled, table]))
        if self.shards:
            self.shards.add(table)
        LOG.info("%d people of the roster were read", self.tallies.people)

    def lacking(self) -> Iterator[Problem]:
        """Yield what no part has: a value that decides about people, or people who are left."""
        private = frozenset(self.config.identifiers)
        whole = Table(pd.DataFrame(), self.config.file, private=private)
        for key, named in values_of("roster", self.config):
            if key in self.texts:
                yield from values_of_nobody(key, named, self.texts[key], whole)
        if self.flow is not None and not self.flow["n_after"].iloc[-1]:
            yield nobody_left(self.config.file)

    def sample(self) -> Sample:
        """Return the sample; hand on the last shard."""
        assert self.sampled is not None and self.flow is not None  # otherwise there was a problem
        if self.shards:
            self.shards.end()
        return Sample(
            self.sampled,
            self.flow,
            roster_quality(self.tallies, _whole(self.compared)),
            pd.concat(self.identities),
            refusers=self.refusers,
        )


def _summed(flow: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    counts = ["n_before", "n_excluded", "n_after"]
    return flow.assign(**{name: flow[name] + more[name] for name in counts})


def _whole(compared: Mapping[str, Sequence[np.ndarray]]) -> dict[str, np.ndarray]:
    return {column: np.concatenate(numbers) for column, numbers in compared.items()}
