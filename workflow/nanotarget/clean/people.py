"""People in raw files: who leaves at which exclusion, who is who, what is known about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanotarget.clean.cells import Cells, Report, cells_of, holds, match_levels, read_ids, read_numbers
from nanotarget.study.config import (
    ColumnValues,
    CovariateConfig,
    ExclusionConfig,
    RandomisationConfig,
    normalised,
)
from nanotarget.study.problems import counted, listed

MISSING = "(missing)"
FLOW_COLUMNS = ["sample", "step", "rule", "arm", "n_before", "n_excluded", "n_after"]


@dataclass(frozen=True)
class Step:
    """One row of the flow before it is counted: which people were there before and after."""

    step: str
    rule: str
    before: np.ndarray
    after: np.ndarray


def exclude(
    raw: pd.DataFrame,
    unit: np.ndarray,
    respondent: str,
    exclusions: Sequence[ExclusionConfig],
    report: Report,
) -> tuple[list[Step], dict[str, np.ndarray]]:
    """Apply exclusions in order, each to who is left.

    A person leaves if the rule holds in any of the person's rows.

    Args:
        raw: the raw table.
        unit: (n_rows,) number of the person whose row it is.
        respondent: column with the respondent's id, whose case counts.
        exclusions: the rules.
        report: gets the problems of the cells that a rule reads.

    Returns:
        The steps, the first being everyone in the file; and for each column that a rule compares
        with a number (speed), the numbers of the people who were left, one a person.
    """
    everyone = np.ones(unit.max() + 1, dtype=bool)
    steps = [Step("In the raw file", "", everyone, everyone)]
    compared: dict[str, np.ndarray] = {}
    for exclusion in exclusions:
        before = steps[-1].after
        there = before[unit]
        cells = cells_of(raw, [exclusion.column]).at(there)
        match exclusion.rule:
            case "in":
                rule = f"{exclusion.column} is {listed(exclusion.values)}"
                hit = holds(cells.text, exclusion.values)
            case "not_in":
                rule = f"{exclusion.column} is not {listed(exclusion.values)}"
                hit = ~holds(cells.text, exclusion.values)
            case "missing":
                rule = f"{exclusion.column} is missing"
                hit = cells.text.isna().to_numpy()
            case "duplicate":
                rule = f"{exclusion.column} repeats an earlier one"
                same = exclusion.column == respondent
                key = read_ids(cells.text) if same else cells.text.map(normalised, na_action="ignore")
                hit = _repeats(key, unit[there])
            case "below" | "above":
                rule = f"{exclusion.column} is {exclusion.rule} {exclusion.value:g}"
                values = read_numbers(cells, exclusion.column, report)
                hit = values < exclusion.value if exclusion.rule == "below" else values > exclusion.value
                first = np.unique(unit[there], return_index=True)[1]
                compared[exclusion.column] = values[first]
        leaves = np.zeros(len(before), dtype=bool)
        leaves[unit[there][hit]] = True
        steps.append(Step(exclusion.step, rule, before, before & ~leaves))
    return steps, compared


def _repeats(key: pd.Series, unit: np.ndarray) -> np.ndarray:
    """Does each row repeat the key of an earlier person? A missing key repeats nothing."""
    owner = pd.Series(unit).groupby(key.to_numpy()).transform("first")
    return (owner.notna() & (owner != unit)).to_numpy()


def count_flow(sample: str, steps: Sequence[Step], groups: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Count people before and after each step, in each group."""
    rows = [
        (sample, s.step, s.rule, name, int((s.before & group).sum()), int((s.after & group).sum()))
        for s in steps
        for name, group in groups.items()
    ]
    flow = pd.DataFrame(rows, columns=[column for column in FLOW_COLUMNS if column != "n_excluded"])
    flow["n_excluded"] = flow["n_before"] - flow["n_after"]
    return flow[FLOW_COLUMNS]


def identify(raw: pd.DataFrame, respondent: str, exclusions: Sequence[ExclusionConfig]) -> pd.DataFrame:
    """What tells people apart: the respondent's id and every column that a duplicate rule names."""
    keys = dict.fromkeys(e.column for e in exclusions if e.rule == "duplicate")
    columns = {key: raw[key].map(normalised, na_action="ignore") for key in keys if key != respondent}
    return pd.DataFrame({"respondent": read_ids(raw[respondent]), **columns})


def check_ids(cells: Cells, report: Report) -> None:
    """Report rows without a respondent's id."""
    report.add(
        cells,
        cells.text.isna().to_numpy(),
        "the respondent's id is missing",
        "an id in every row",
        "add the ids, or exclude these rows with an exclusion of rule 'missing'",
    )


def check_unique(cells: Cells, report: Report) -> np.ndarray:
    """Report respondents with more than one row; return which rows are such repetitions."""
    ids = read_ids(cells.text)
    report.add(
        cells,
        (ids.duplicated(keep=False) & ids.notna()).to_numpy(),
        f"more than one row for {counted(ids[ids.notna() & ids.duplicated()].nunique(), 'respondent')}",
        "one row a respondent",
        f"remove the repetitions, or add an exclusion with rule 'duplicate' and column '{cells.columns[0]}'",
    )
    return (ids.duplicated() & ids.notna()).to_numpy()


def read_covariates(
    raw: pd.DataFrame, covariates: Sequence[CovariateConfig], person: np.ndarray, report: Report
) -> dict[str, object]:
    """Read covariates of respondents.

    Args:
        raw: rows of the people who stayed.
        covariates: the allow-list; one whose column is absent is missing for everyone.
        person: (n_rows,) number of the respondent, 0, 1, ...; rows of one respondent must agree.
        report: gets the problems.

    Returns:
        Name -> values, one a respondent.
    """
    first = np.unique(person, return_index=True)[1]
    columns: dict[str, object] = {}
    for i, covariate in enumerate(covariates):
        column = covariate.column or covariate.name
        levels = covariate.levels or []
        if column not in raw.columns:
            cells, values = None, np.full(len(raw), np.nan if covariate.kind == "numeric" else -1)
        elif covariate.kind == "numeric":
            cells = cells_of(raw, [column])
            values = read_numbers(cells, covariate.name, report, covariate.range, covariate.missing_values)
        else:
            cells = cells_of(raw, [column])
            key = f"covariates[{i}].levels"
            values = match_levels(cells, covariate.name, levels, report, key, covariate.missing_values)
        if cells:
            _check_constant(cells, values, person, f"'{covariate.name}'", report)
        columns[covariate.name] = (
            values[first]
            if covariate.kind == "numeric"
            else pd.Categorical.from_codes(values[first].astype(int), [str(level) for level in levels])
        )
    return columns


def _check_constant(cells: Cells, values: np.ndarray, person: np.ndarray, name: str, report: Report) -> None:
    """Report where a value differs from the first one of the same respondent."""
    same = values[np.unique(person, return_index=True)[1]][person]
    report.add(
        cells,
        (values != same) & ~(pd.isna(values) & pd.isna(same)),
        f"{name} differs from the respondent's first row",
        "one value a respondent",
        "correct the file; only what was known before the tasks can describe a respondent",
    )


def read_weights(raw: pd.DataFrame, weight: str | None, person: np.ndarray, report: Report) -> np.ndarray:
    """Return the survey weight of each respondent; 1 without weights."""
    first = np.unique(person, return_index=True)[1]
    if weight is None:
        return np.ones(len(first))
    cells = cells_of(raw, [weight])
    values = read_numbers(cells, "weight", report)
    report.add(
        cells,
        cells.text.isna().to_numpy() | (values <= 0),
        "a weight is missing or not positive",
        "a number above 0 for everyone",
        "correct the weights, or exclude these people",
    )
    _check_constant(cells, values, person, "the weight", report)
    return values[first]


def blocks_of(people: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Name everybody's block after its levels ("party: Left; region: North"); empty without blocks.

    Args:
        people: with a column a name, categorical or text; a missing value is a level.
    """
    block = pd.Series("", index=people.index, dtype="str")
    for i, name in enumerate(names):
        block += f"{'; ' if i else ''}{name}: " + people[name].astype("str").fillna(MISSING)
    return block


def randomised_in(
    raw: pd.DataFrame,
    randomisation: RandomisationConfig,
    identifiers: Sequence[str],
    arm: np.ndarray,
    report: Report,
) -> tuple[pd.Series | None, pd.Series | None]:
    """Return the block and the cluster in which each respondent was randomised.

    Args:
        raw: a row a respondent who stayed.
        randomisation: which columns they are named after.
        identifiers: columns that no artefact may hold; names made of them become codes in sorted order.
        arm: (n,) number of the arm, below 0 where it is unknown.
        report: gets the problems: clusters that are missing, or in several arms or blocks.

    Returns:
        Texts with an index of 0, 1, ...; None without blocks or without clusters.
    """
    block = cluster = None
    if randomisation.blocks:
        spelled = pd.DataFrame({name: _in_one_spelling(raw[name]) for name in randomisation.blocks})
        block = blocks_of(spelled.reset_index(drop=True), randomisation.blocks)
        if set(randomisation.blocks) & set(identifiers):
            block = _coded(block, "b")
    if randomisation.cluster:
        cells = cells_of(raw, [randomisation.cluster])
        cluster = read_ids(cells.text)
        _check_clusters(cells, cluster, pd.Series(arm).where(arm >= 0), block, report)
        if randomisation.cluster in identifiers:
            cluster = _coded(cluster, "c")
    return block, cluster


def _in_one_spelling(texts: pd.Series) -> pd.Series:
    """Give texts that are compared as equal one spelling, which no order of rows decides."""
    trimmed = texts.str.split().str.join(" ")
    return trimmed.groupby(trimmed.map(normalised, na_action="ignore")).transform("min")


def _coded(names: pd.Series, letter: str) -> pd.Series:
    """Number names in sorted order: c0001, c0002, ..."""
    codes, known = pd.factorize(names, sort=True)
    width = max(4, len(str(len(known))))
    return pd.Series([f"{letter}{code + 1:0{width}d}" for code in codes], index=names.index, dtype="str")


def _check_clusters(
    cells: Cells, cluster: pd.Series, arm: pd.Series, block: pd.Series | None, report: Report
) -> None:
    report.add(
        cells,
        cluster.isna().to_numpy(),
        "the cluster is missing",
        "the cluster in which each respondent was randomised",
        "complete the file, or exclude these people with an exclusion of rule 'missing'",
    )
    for what, values in (("arm", arm), ("block", block)):
        if values is None:
            continue
        several = values.groupby(cluster).transform("nunique") > 1
        report.add(
            cells,
            several.to_numpy(),
            f"{counted(cluster[several].nunique(), 'cluster')} in more than one {what}",
            f"one {what} a cluster, because the config says 'scheme: clustered'",
            "correct the file, or key experiment.randomisation in the config",
        )


def opt_out_step(raw: pd.DataFrame, unit: np.ndarray, opt_out: ColumnValues, before: np.ndarray) -> Step:
    """Return the step in which those who refused personalisation leave the calibration."""
    leaves = np.zeros(len(before), dtype=bool)
    leaves[unit[holds(raw[opt_out.column], opt_out.values)]] = True
    rule = f"{opt_out.column} is {listed(opt_out.values)}"
    return Step("Opted out of personalisation", rule, before, before & ~leaves)
