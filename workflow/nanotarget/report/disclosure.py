"""Audit of everything that a study publishes together: can something about few people be read from it?

Published are all results outside the folder of what is private (`study.private`). Counts of people are
compared with the threshold wherever they stand, or follow from a share and its base; what was hidden is
bounded from all sums over all tables. Exhibits are made of the tidy tables, and are read, too.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd

from nanotarget.clean.flow import FLOW_COLUMNS
from nanotarget.clean.groups import group_codes
from nanotarget.clean.headcount import ANSWERED, Cells, Headcount, cells_of_flow, cells_of_quality
from nanotarget.clean.pseudonyms import CODE
from nanotarget.clean.quality import LEVELS, QUALITY_COLUMNS
from nanotarget.estimate.counts import OF_TABLE
from nanotarget.study.artefacts import read_csv, read_parquet
from nanotarget.study.config import AcceptedConfig, CovariateConfig, GroupingConfig, Study, SubgroupConfig
from nanotarget.study.disclosure import (
    LEAST_DF,
    Sum,
    bounds,
    dominated,
    k_anonymity,
    l_diversity,
    small,
    telling,
)
from nanotarget.study.fields import Section
from nanotarget.study.private import is_private
from nanotarget.study.provenance import MANIFEST

RESULT = "disclosure.csv"
PEOPLE_FILES = ("calibration_respondents", "experiment", "ids")  # a roster may be too large to be read
APART = ("simulated", MANIFEST)
COLUMNS = ["file", "cell", "rule", "status", "done"]
# Columns that count people; where people answered several times, `n` counts answers and `n_clusters` people.
PEOPLE = re.compile(
    r"n|n_(assigned|observed|missing|before|excluded|after|ref|other|clusters|agree|infeasible|left_out)"
)
ANSWERS = "n_clusters"
OF_PAIRS = ("calibrate/likeness.csv", "figures/reliability.csv")  # whose `n` counts pairs of tasks
HIDDEN = "hidden, as it is small or would tell another"
UNAVOIDABLE = "the n of estimates tells it: how many did not answer, of whom no answer is published"
OPENED = (".csv", ".html", ".json", ".tex", ".svg", ".md")
PSEUDONYM = re.compile(rf"[0-9a-f]{{{CODE}}}")


class Rule(StrEnum):
    """What a published cell must not do."""

    THRESHOLD = "fewer people than the threshold"
    DF = "degrees of freedom"
    NK = "dominance"
    P_RATIO = "p-ratio"
    TOLD = "hidden, but told by others"
    INTERSECTION = "people in two groups are told"
    ALIKE = "k-anonymity"
    DIVERSE = "l-diversity"
    ROWS = "a person by her pseudonym"


class Status(StrEnum):
    """What became of a cell."""

    OPEN = "open"
    ACCEPTED = "accepted"
    HIDDEN = "hidden"


@dataclass(frozen=True)
class Finding:
    """A cell that a rule is about."""

    file: str
    cell: str
    rule: Rule
    status: Status
    done: str = ""


Cell = tuple[str, str, str]  # file, cell, column
Who = frozenset[tuple[str, str]]  # facts that say whom a cell counts, in any table


class Audited(Section):
    """What the audit asks of a config."""

    covariates: list[CovariateConfig]
    attributes: list[str]
    outcomes: list[str]
    subgroups: list[SubgroupConfig]
    groups: list[GroupingConfig]
    min_cell: int
    accepted: list[AcceptedConfig]

    @classmethod
    def of(cls, study: Study) -> Audited:
        """Take it from a whole config."""
        return cls(
            covariates=study.covariates,
            attributes=[attribute.name for attribute in study.design.attributes] if study.design else [],
            outcomes=[outcome.name for outcome in study.experiment.outcomes] if study.experiment else [],
            subgroups=study.explore.subgroups,
            groups=study.calibrate.groups,
            min_cell=study.privacy.min_cell,
            accepted=study.privacy.accepted,
        )


def audit(results: Path, study: Study) -> pd.DataFrame:
    """Audit all results of a study that lie in a folder, exhibits and pages, too; see `audit_files`.

    Args:
        results: folder of its results, with the private ones.
        study: its config.
    """
    files = [path for path in sorted(results.rglob("*")) if path.is_file()]
    inside = {path.relative_to(results).as_posix(): path for path in files}
    return audit_files(
        {
            name: path
            for name, path in inside.items()
            if name.split("/")[0] not in APART and not is_private(name)
        },
        {path.stem: path for name, path in inside.items() if is_private(name) and path.stem in PEOPLE_FILES},
        Audited.of(study),
    )


def audit_files(published: Mapping[str, Path], private: Mapping[str, Path], study: Audited) -> pd.DataFrame:
    """Audit results of a study together.

    Args:
        published: what everybody may read, by the name below the folder of results.
        private: the tables of people (PEOPLE_FILES) that the study has.
        study: what is asked of its config.

    Returns:
        A row per finding: file, cell (never its value), rule, status (open, accepted by the config with a
        reason, hidden) and what was done. The study may be published if nothing is open.
    """
    files = {name: path for name, path in published.items() if path.suffix in OPENED}
    tables = {
        name: read_csv(path)
        for name, path in files.items()
        if path.suffix == ".csv" and Path(name).stem != Path(RESULT).stem  # its exhibit counts cells
    }
    tables = {name: table for name, table in tables.items() if len(table)}
    people = {name: read_parquet(path) for name, path in private.items()}
    threshold = study.min_cell
    found = [
        *_counts(tables, threshold),
        *_shares(tables, people, threshold),
        *_lacking(tables, threshold),
        *_degrees(tables),
        *_contributors(study, people.get("experiment")),
        *_told(tables, people, threshold),
        *_intersections(study, people, threshold),
        *_alike(study, tables, threshold),
        *_named(files, people.get("ids")),
    ]
    rows = [_accepted(study, finding) for finding in dict.fromkeys(found)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _accepted(study: Audited, found: Finding) -> Finding:
    for accepted in study.accepted:
        if found.status is Status.OPEN and accepted.file == found.file and accepted.rule in ("", found.rule):
            return Finding(found.file, found.cell, found.rule, Status.ACCEPTED, accepted.reason)
    return found


def _cell(row: pd.Series, column: str) -> str:
    """Name a cell by what the row is about, and its column; no number that it holds."""
    texts = [str(value) for value in row if isinstance(value, str) and value]
    return f"{', '.join(texts[:6])}: {column}"


def _counts(tables: dict[str, pd.DataFrame], threshold: int) -> Iterator[Finding]:
    """Find counts of people under the threshold, and those that were hidden."""
    for file, table in tables.items():
        columns = [c for c in table.select_dtypes("number") if PEOPLE.fullmatch(c)]
        columns = [c for c in columns if c != "n" or not (ANSWERS in columns or file in OF_PAIRS)]
        of_people = (
            table["check"].ne(LEVELS).to_numpy() if "check" in table else np.ones(len(table), dtype=bool)
        )
        for column in columns:
            for i in np.flatnonzero(of_people & small(table[column].to_numpy(np.float64), threshold)):
                yield Finding(file, _cell(table.iloc[i], column), Rule.THRESHOLD, Status.OPEN)
        if "suppressed" in table:
            for i in np.flatnonzero(table["suppressed"].astype("bool")):
                yield Finding(
                    file, _cell(table.iloc[i], "all numbers"), Rule.THRESHOLD, Status.HIDDEN, "suppressed"
                )
    for file, table, cells in _of_heads(tables):
        for column in cells:
            for i in np.flatnonzero(table[column].isna()):
                yield Finding(file, _cell(table.iloc[i], column), Rule.THRESHOLD, Status.HIDDEN, HIDDEN)


@dataclass(frozen=True)
class Share:
    """A column of shares of people: the column or sample that they are shares of, whose rows make a total."""

    file: str
    column: str
    base: str
    by: Sequence[str] = ()
    only: str = ""


SHARES = (
    Share("calibrate/imces.csv", "share_positive", "n"),
    Share("calibrate/imces.csv", "share_above", "n"),
    Share("calibrate/imces.csv", "share_below", "n"),
    Share("diagnose/switches.csv", "share_nano", "calibration_respondents", ["attribute"]),
    Share("diagnose/switches.csv", "share_replicated", "calibration_respondents"),
    Share("diagnose/abundance.csv", "share", "calibration_respondents", only="source == 'observed'"),
    Share("estimate/outcomes.csv", "share", "n", ["outcome", "arm"], "value == value"),
    Share("estimate/balance.csv", "mean_ref", "n_ref", ["covariate", "contrast"], "level == level"),
    Share("estimate/balance.csv", "mean_other", "n_other", ["covariate", "contrast"], "level == level"),
    Share("assign/arm_balance.csv", "mean_ref", "n_ref", ["covariate", "contrast"], "level == level"),
    Share("assign/arm_balance.csv", "mean_other", "n_other", ["covariate", "contrast"], "level == level"),
)


# Tables that say who was there: their columns, and whom they count.
HEADS: dict[str, tuple[Sequence[str], Callable[[pd.DataFrame], Cells]]] = {
    "clean/flow.csv": (FLOW_COLUMNS, cells_of_flow),
    "clean/quality.csv": (QUALITY_COLUMNS, cells_of_quality),
    **{table: (table.columns, cells_of) for table, cells_of in OF_TABLE.items()},
}


Rows = tuple[Share, str, pd.DataFrame]


def _of_people(tables: dict[str, pd.DataFrame], people: dict[str, pd.DataFrame]) -> Iterator[Rows]:
    """Yield shares, files that hold them and their rows with the people `count` they stand for.

    An exhibit has the name and the columns of the tidy table that it shows.
    """
    for share in SHARES:
        for file, table in tables.items():
            named = Path(file).stem == Path(share.file).stem and share.column in table
            if not named or not (share.base in table or share.base in people):
                continue
            rows = table.query(share.only) if share.only else table
            base = rows[share.base] if share.base in rows else len(people[share.base])
            yield share, file, rows.assign(count=(rows[share.column] * base).astype("float64"))


def _shares(
    tables: dict[str, pd.DataFrame], people: dict[str, pd.DataFrame], threshold: int
) -> Iterator[Finding]:
    """Find shares of so few people, or of all but so few, and those that were hidden."""
    for share, file, rows in _of_people(tables, people):
        rest = (rows["count"] / rows[share.column] - rows["count"]).to_numpy(np.float64)
        few = small(rows["count"].to_numpy(), threshold) | small(rest, threshold)
        for place in np.flatnonzero(few):
            yield Finding(file, _cell(rows.iloc[place], share.column), Rule.THRESHOLD, Status.OPEN)
        for place in np.flatnonzero(rows[share.column].isna()):
            yield Finding(file, _cell(rows.iloc[place], share.column), Rule.THRESHOLD, Status.HIDDEN, HIDDEN)


def _lacking(tables: dict[str, pd.DataFrame], threshold: int) -> Iterator[Finding]:
    """Find covariates that few people of an arm lack, as told by how many have them."""
    for file, table in tables.items():
        if not {"contrast", "n_ref", "n_other"} <= set(table):
            continue
        for column in ("n_ref", "n_other"):
            n = table[column].astype("float64")
            everybody = n.groupby(table["contrast"]).transform("max")
            for i in np.flatnonzero(small((everybody - n).to_numpy(), threshold)):
                yield Finding(file, _cell(table.iloc[i], column), Rule.THRESHOLD, Status.OPEN)


def _degrees(tables: dict[str, pd.DataFrame]) -> Iterator[Finding]:
    """Find estimates with so few degrees of freedom that data could be solved for."""
    for file, table in tables.items():
        for column in [c for c in ("df", "df2") if c in table]:
            df = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)
            for i in np.flatnonzero(df < LEAST_DF):
                yield Finding(file, _cell(table.iloc[i], column), Rule.DF, Status.OPEN)


def _contributors(study: Audited, experiment: pd.DataFrame | None) -> Iterator[Finding]:
    """Find means of arms, and of published groups in them, to which few people contribute nearly all."""
    if experiment is None:
        return
    groups = [
        ("", np.ones(len(experiment), dtype=bool)),
        *_groups(study, experiment, study.subgroups),
    ]
    for outcome in study.outcomes:
        values = experiment[outcome].to_numpy(np.float64)
        for group, inside in groups:
            for arm in experiment["arm"].cat.categories:
                own = values[inside & (experiment["arm"] == arm).to_numpy() & ~np.isnan(values)]
                file = "explore/subgroups.csv" if group else "estimate/outcomes.csv"
                for rule, broken in ((Rule.NK, dominated), (Rule.P_RATIO, telling)):
                    if len(own) >= study.min_cell and broken(own):
                        cell = ", ".join(text for text in (outcome, group, str(arm)) if text)
                        yield Finding(file, cell, rule, Status.OPEN)


def _groups(
    study: Audited, people: pd.DataFrame, groupings: Iterable[SubgroupConfig]
) -> list[tuple[str, np.ndarray]]:
    covariates = {covariate.name: covariate for covariate in study.covariates}
    found = []
    for grouping in groupings:
        names, codes = group_codes(people[grouping.covariate], grouping, covariates[grouping.covariate])
        found += [(f"{grouping.name}: {name}", codes == g) for g, name in enumerate(names)]
    return found


def _told(
    tables: dict[str, pd.DataFrame], people: dict[str, pd.DataFrame], threshold: int
) -> Iterator[Finding]:
    """Find hidden counts that all published sums together tell to within less than the threshold."""
    published, sums, where = _linked(tables, people)
    told = [
        cell
        for cell, found in bounds(published, sums).items()
        if cell in where and found.told(threshold) and found.high > 0
    ]
    by_n = _told_by_n(published, sums, threshold) if any(_is(cell, "missing") for cell in told) else set()
    for cell in told:
        if cell in by_n:
            yield Finding(*where[cell], Rule.TOLD, Status.ACCEPTED, UNAVOIDABLE)
        else:
            yield Finding(*where[cell], Rule.TOLD, Status.OPEN)


def _is(cell: Hashable, *kinds: str) -> bool:
    return isinstance(cell, tuple) and cell[0] in kinds


def _told_by_n(published: Mapping[Hashable, float], sums: Sequence[Sum], threshold: int) -> set[Hashable]:
    """Return the counts of people without an answer that the n of estimates alone tell."""
    shown = {
        cell: n for cell, n in published.items() if _is(cell, "answered") or (_is(cell, "missing") and n == 0)
    }
    after = [
        (total, parts) for total, parts in sums if all(_is(c, "there", *ANSWERED) for c in (total, *parts))
    ]
    found = bounds(shown, after)
    return {cell for cell, ends in found.items() if _is(cell, "missing") and ends.told(threshold)}


def _linked(
    tables: dict[str, pd.DataFrame], people: dict[str, pd.DataFrame]
) -> tuple[dict[Hashable, float], list[Sum], dict[Hashable, tuple[str, str]]]:
    """Return published counts by whom they count, sums over all tables, and where hidden counts stand."""
    published: dict[Hashable, float] = {}
    where: dict[Hashable, tuple[str, str]] = {}
    sums: list[Sum] = []

    def put(who: Hashable, count: float, place: tuple[str, str]) -> Hashable:
        if np.isnan(count):
            where.setdefault(who, place)
        else:
            published.setdefault(who, float(np.round(count)))
        return who

    for share, file, rows in _of_people(tables, people):
        if not share.by or file != share.file:
            continue
        keys = [c for c in ("attribute", "covariate", "outcome", "level", "value", "arm") if c in rows]
        for name, part in rows.groupby(list(share.by), sort=False, dropna=False):
            arm = _arm_of(share, part.iloc[0])
            names = dict(zip(share.by, map(str, name), strict=True)) | {"contrast": ""}
            context = (share.file, *names.values(), arm)
            total = len(people[share.base]) if share.base in people else part[share.base].max()
            parts = part[part.get("level", pd.Series("", index=part.index)) != "(missing)"]
            cells = [
                put((*context, *map(str, row[keys])), row["count"], (share.file, _cell(row, share.column)))
                for _, row in parts.iterrows()
            ]
            if parts["count"].isna().any() and not np.isnan(total):
                put(("all", *context), total, (share.file, ""))
                sums.append((("all", *context), cells))
    heads = Headcount()
    for file, table, whom in _of_heads(tables):
        heads.take(table, whom)
        if file == "clean/flow.csv":
            heads.take_flow(table)
        for column, persons in whom.items():
            for i in np.flatnonzero(table[column].isna()).tolist():
                if (person := persons[i]) is not None:
                    where.setdefault(person, (file, _cell(table.iloc[i], column)))
    published |= {name: n for name, n in heads.counts.items() if not np.isnan(n)}
    sums += heads.sums
    return published, sums, where


def _of_heads(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, pd.DataFrame, Cells]]:
    """Yield tables that say who was there, and whom their columns count; exhibits with all columns, too."""
    for file, table in tables.items():
        for known, (columns, cells_of) in HEADS.items():
            if Path(file).stem == Path(known).stem and set(columns) <= set(table):
                yield file, table, cells_of(table)


def _arm_of(share: Share, row: pd.Series) -> str:
    """Return the arm that a share of a table of contrasts ("later - earlier") is about."""
    if "contrast" not in row:
        return ""
    later, _, earlier = str(row["contrast"]).rpartition(" - ")
    return earlier if share.column.endswith("_ref") else later


def _intersections(study: Audited, people: dict[str, pd.DataFrame], threshold: int) -> Iterator[Finding]:
    """Find small groups at the intersection of two published groupings that the counts of both tell."""
    asked: dict[str, tuple[Sequence[SubgroupConfig], str]] = {
        "experiment": (study.subgroups, "explore/subgroups.csv"),
        "calibration_respondents": (study.groups, "calibrate/groups.csv"),
    }
    for sample, (groupings, file) in asked.items():
        if sample not in people:
            continue
        table = people[sample]
        arms = table["arm"].astype("str") if "arm" in table else pd.Series("", index=table.index)
        for one, other in itertools.combinations(groupings, 2):
            first, second = (_groups(study, table, [grouping]) for grouping in (one, other))
            for arm in arms.unique():
                inside = (arms == arm).to_numpy()
                for (a, in_a), (b, in_b) in itertools.product(first, second):
                    n, n_a, n_b = inside.sum(), (inside & in_a).sum(), (inside & in_b).sum()
                    low, high = max(0, n_a + n_b - n), min(n_a, n_b)
                    both = (inside & in_a & in_b).sum()
                    if n_a >= threshold <= n_b and 0 < both < threshold and high - low < threshold:
                        yield Finding(file, f"{a} and {b}, {arm}", Rule.INTERSECTION, Status.OPEN)


def _alike(study: Audited, tables: dict[str, pd.DataFrame], threshold: int) -> Iterator[Finding]:
    """Find published tables with a row per person or profile whose people are too few, or too much alike."""
    names = [covariate.name for covariate in study.covariates]
    for file, table in tables.items():
        known = [c for c in names if c in table]
        if len(known) > 1:
            if k_anonymity(table, known) < threshold:
                yield Finding(file, "rows of profiles", Rule.ALIKE, Status.OPEN)
            for sensitive in [c for c in study.attributes if c in table]:
                if l_diversity(table, known, sensitive) < 2:
                    yield Finding(file, f"rows of profiles: {sensitive}", Rule.DIVERSE, Status.OPEN)


def _named(files: dict[str, Path], ids: pd.DataFrame | None) -> Iterator[Finding]:
    """Find pseudonyms of people in what is published."""
    if ids is None:
        return
    codes = set(ids["respondent_id"].str[-CODE:])
    for file, path in files.items():
        if codes & set(PSEUDONYM.findall(path.read_text("utf-8"))):
            yield Finding(file, "text", Rule.ROWS, Status.OPEN)
