"""What the conjoint survey says on average: AMCEs and marginal means.

Attributes and levels enter as codes; their texts only label rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from nanotarget.calibrate import regression
from nanotarget.calibrate.regression import SeType
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.petitions.design import Block, Design
from nanotarget.study.config import HIDDEN

AMCE_COLUMNS = ("outcome", "attribute", "level", *ESTIMATE_COLUMNS, "n_clusters", "estimator", "support")
MARGINAL_MEAN_COLUMNS = ("outcome", "attribute", "level", *ESTIMATE_COLUMNS, "n_clusters")


class Analysis(NamedTuple):
    """How an outcome of the survey is analysed.

    Attributes:
        outcome: its name (`RESPONSES`).
        se_type: type of the standard errors, see `regression.fit`.
        alpha: intervals have level 1 - alpha.
        null: marginal mean that is tested, e.g. the share of choices a profile gets by chance.
    """

    outcome: str
    se_type: SeType
    alpha: float = 0.05
    null: float = 0.0


def dummies(codes: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, list[slice]]:
    """Return level dummies without references, and the columns of each attribute.

    Args:
        codes: (n, n_attributes) level indices.
        shape: number of levels of each attribute.

    Returns:
        (n, sum(levels - 1)) zeros and ones, and one slice of its columns an attribute.
    """
    ends = np.cumsum([levels - 1 for levels in shape])
    slices = [slice(int(end) - levels + 1, int(end)) for end, levels in zip(ends, shape, strict=True)]
    columns = [codes[:, [a]] == np.arange(1, levels) for a, levels in enumerate(shape)]
    return np.hstack(columns).astype(np.float64), slices


def with_constant(x: np.ndarray) -> np.ndarray:
    """Return x with a leading column of ones."""
    return np.column_stack([np.ones(len(x)), x])


def amce(
    profiles: pd.DataFrame, design: Design, outcome: str, se_type: SeType, alpha: float = 0.05
) -> pd.DataFrame:
    """Estimate average marginal component effects against each attribute's reference level.

    Estimator `main_effects` is weighted least squares on the dummies of all attributes. A design
    with prohibited combinations also gets `restricted` (Hainmueller, Hopkins & Yamamoto 2014,
    section 3): attributes that are randomised jointly are fully interacted, and the effect of a
    level is averaged over those combinations of the other attributes of its block that the design
    allows with the level and with the reference, weighted with the design's probability of the
    combination. Both cluster by respondent unless `se_type` is HC2.

    Effects of an attribute that was hidden in some profiles are estimated from those that show it, with
    hiding as a level of the others: complete-case OLS. An attribute that follows from others has no effect
    beside theirs; its own is estimated in their place.

    Args:
        profiles: `contracts.calibration_profiles`; rows without the outcome are left out.
        design: the study's design.
        outcome: its name (`RESPONSES`).
        se_type: type of the standard errors, see `regression.fit`.
        alpha: intervals have level 1 - alpha.

    Returns:
        One row an estimator, attribute and level, in that order; the reference level has estimate
        0 and no standard error. `n` is the number of profiles in the model and `n_clusters` of
        respondents (missing without clustering). `support` is the share of the design's
        probability of the comparable combinations that was shown and is averaged over.
    """
    used = profiles[profiles[outcome].notna()]
    tables = []
    for part in _parts(used, design):
        estimates = [_main_effects(part.rows, part.design, outcome, se_type, alpha)]
        if any(len(block.attributes) > 1 for block in part.design.blocks):
            estimates.append(_restricted(part.rows, part.design, outcome, se_type, alpha))
        table = pd.concat(estimates, ignore_index=True)
        tables.append(table[table["attribute"].isin(part.reported)])
    table = pd.concat(tables)
    order = [table["attribute"].map(design.names.index), table["estimator"] != "main_effects"]
    table = table.iloc[np.lexsort(order)].reset_index(drop=True)
    table.insert(0, "outcome", outcome)
    return table.loc[reported_levels(table, design), list(AMCE_COLUMNS)].reset_index(drop=True)


class Part(NamedTuple):
    """Profiles from which effects of some attributes are estimated, and the design that they are of."""

    reported: list[str]
    rows: pd.DataFrame
    design: Design


def _parts(used: pd.DataFrame, design: Design) -> Iterator[Part]:
    """Yield one part for all attributes that were always shown, and one for each other attribute."""
    sources = dict(design.derived)
    own = [a for a in range(len(design.shape)) if a not in sources]
    whole = own_design(used, design)
    alone = [a for a in own if design.attributes[a].hidden == "allowed"]
    if len(alone) < len(own):
        yield Part([design.names[a] for a in own if a not in alone], used, whole)
    for a in alone:
        yield Part([design.names[a]], used[used[design.names[a]] != HIDDEN], whole)
    for a, followed in sources.items():
        others = sorted({a, *own} - set(followed))
        rows = used[used[design.names[a]] != HIDDEN] if design.attributes[a].hidden == "allowed" else used
        yield Part([design.names[a]], rows, _of_some(used, design, others))


def own_design(profiles: pd.DataFrame, design: Design) -> Design:
    """Return the design without attributes that follow from others, as the profiles show it."""
    followers = dict(design.derived)
    if not followers:
        return design
    return _of_some(profiles, design, [a for a in range(len(design.shape)) if a not in followers])


def _of_some(profiles: pd.DataFrame, design: Design, attributes: Sequence[int]) -> Design:
    part = design.only(attributes)
    return part.as_shown(part.codes(profiles))


def reported_levels(table: pd.DataFrame, design: Design) -> pd.Series:
    """Return which rows are of levels that a policy may choose: not of hiding, unless it is an option."""
    optional = [attribute.name for attribute in design.attributes if attribute.hidden == "option"]
    return (table["level"] != HIDDEN) | table["attribute"].isin(optional)


def _fit(x: np.ndarray, used: pd.DataFrame, outcome: str, se_type: SeType) -> regression.Fit:
    return regression.fit(
        x,
        used[outcome].to_numpy(np.float64),
        se_type,
        used["respondent_id"].to_numpy(),
        used["weight"].to_numpy(np.float64),
    )


def fit(x: np.ndarray, rows: pd.DataFrame, analysis: Analysis) -> regression.Fit:
    """Regress the outcome of some profiles on (n, k) columns, with their weights, by respondent."""
    return _fit(x, rows, analysis.outcome, analysis.se_type)


class Contrasts(NamedTuple):
    """Effects of the levels of an attribute against each other, as rows of a linear model.

    Attributes:
        attribute: name of the attribute.
        model: number of the model; attributes that were always shown have one in common.
        profiles: from which it is estimated.
        x: (n_profiles, k) columns of the model.
        rows: (pairs, k) contrasts of its coefficients.
        pairs: (level, reference) of each row.
        seen: (pairs,) whether both levels were shown.
    """

    attribute: str
    model: int
    profiles: pd.DataFrame
    x: np.ndarray
    rows: np.ndarray
    pairs: list[tuple[str, str]]
    seen: np.ndarray


def contrasts(profiles: pd.DataFrame, design: Design, outcome: str) -> Iterator[Contrasts]:
    """Yield each level against every earlier level of its attribute (main effects), by attribute.

    Args:
        profiles: `contracts.calibration_profiles`; rows without the outcome are left out.
        design: the study's design.
        outcome: its name.
    """
    found = []
    for number, part in enumerate(_parts(profiles[profiles[outcome].notna()], design)):
        codes = part.design.codes(part.rows)
        levels, slices = dummies(codes, part.design.shape)
        x = with_constant(levels)
        for a, columns in enumerate(slices):
            attribute = part.design.attributes[a]
            if attribute.name not in part.reported:
                continue
            named = design.attributes[design.names.index(attribute.name)]
            hiding = HIDDEN if named.hidden != "option" else None
            shown = [j for j, level in enumerate(attribute.levels) if level != hiding]
            pairs = list(itertools.combinations(shown, 2))
            indicators = np.vstack([np.zeros(x.shape[1]), np.eye(x.shape[1])[1:][columns]])
            rows = np.array([indicators[later] - indicators[earlier] for earlier, later in pairs])
            names = [(attribute.levels[later], attribute.levels[earlier]) for earlier, later in pairs]
            seen = np.asarray(np.isin(pairs, codes[:, a]).all(axis=1))
            found.append(Contrasts(attribute.name, number, part.rows, x, rows, names, seen))
    yield from sorted(found, key=lambda own: design.names.index(own.attribute))


def level_contrasts(profiles: pd.DataFrame, design: Design, analysis: Analysis) -> pd.DataFrame:
    """Estimate the AMCE of each level against every earlier level of its attribute (main effects).

    Against the first level these are the estimates of `amce`.

    Args:
        profiles: `contracts.calibration_profiles`; rows without the outcome are left out.
        design: the study's design.
        analysis: how the outcome is analysed.

    Returns:
        attribute, level, reference, ESTIMATE_COLUMNS, n_clusters; a row a pair of levels.
    """
    models: dict[int, regression.Fit] = {}
    tables = []
    for own in contrasts(profiles, design, analysis.outcome):
        model = models.get(own.model) or fit(own.x, own.profiles, analysis)
        models[own.model] = model
        found = regression.contrast(model, own.rows, analysis.alpha)
        found.loc[~own.seen] = np.nan
        tables.append(
            found.assign(
                attribute=own.attribute,
                level=[level for level, _ in own.pairs],
                reference=[reference for _, reference in own.pairs],
                n=model.n,
                n_clusters=pd.array([model.n_clusters] * len(found), dtype="Int64"),
            )
        )
    kept = ["attribute", "level", "reference", *ESTIMATE_COLUMNS, "n_clusters"]
    return pd.concat(tables, ignore_index=True)[kept]


def _levels_table(
    design: Design, estimates: pd.DataFrame, model: regression.Fit, support: np.ndarray
) -> pd.DataFrame:
    """Put estimates of non-reference levels (in design order) beside the reference levels."""
    keys = [(a.name, level, i) for a in design.attributes for i, level in enumerate(a.levels)]
    table = pd.DataFrame(keys, columns=["attribute", "level", "position"])
    others = (table.pop("position") > 0).to_numpy()
    for column in estimates:
        table[column] = np.nan
        table.loc[others, column] = estimates[column].to_numpy()
    table.loc[~others, "estimate"] = 0.0
    table["support"] = np.nan
    table.loc[others, "support"] = support
    table["n"] = model.n
    table["n_clusters"] = pd.array([model.n_clusters] * len(table), dtype="Int64")
    return table


def _main_effects(
    used: pd.DataFrame, design: Design, outcome: str, se_type: SeType, alpha: float
) -> pd.DataFrame:
    codes = design.codes(used)
    levels, slices = dummies(codes, design.shape)
    x = with_constant(levels)
    model = _fit(x, used, outcome, se_type)
    estimates = regression.contrast(model, np.eye(x.shape[1])[1:], alpha)
    for i, columns in enumerate(slices):
        if not (codes[:, i] == 0).any():  # nothing to compare with
            estimates.iloc[columns] = np.nan
    shown = np.where(estimates["estimate"].isna(), 0.0, 1.0)
    return _levels_table(design, estimates, model, shown).assign(estimator="main_effects")


def _restricted(
    used: pd.DataFrame, design: Design, outcome: str, se_type: SeType, alpha: float
) -> pd.DataFrame:
    codes = design.codes(used)
    cells = [block.cell_of(codes) for block in design.blocks]
    shown = [np.unique(cell) for cell in cells]
    # The first cell shown of a block is the reference of the model: it has no column.
    columns = [cell[:, None] == present[1:] for cell, present in zip(cells, shown, strict=True)]
    x = with_constant(np.hstack(columns).astype(np.float64))
    model = _fit(x, used, outcome, se_type)

    rows = np.zeros((sum(design.shape) - len(design.shape), x.shape[1]))
    support = np.zeros(len(rows))
    ends = np.cumsum([levels - 1 for levels in design.shape])
    start = 1
    for block, present in zip(design.blocks, shown, strict=True):
        stop = start + len(present) - 1
        for attribute in block.attributes:
            for level in range(1, design.shape[attribute]):
                row = int(ends[attribute]) - design.shape[attribute] + level
                support[row], weights = _strata(block, attribute, level, present)
                rows[row, start:stop] = weights[present[1:]]
        start = stop
    estimates = regression.contrast(model, rows, alpha)
    estimates.loc[support == 0] = np.nan
    return _levels_table(design, estimates, model, support).assign(estimator="restricted")


def _strata(block: Block, attribute: int, level: int, present: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the share of comparable strata that was shown, and a weight on each cell of the block.

    A stratum is a combination of the block's other attributes. The weights average (cell with the
    level) - (cell with the reference) over the strata in which the design allows both, with the
    design's probability of the stratum (Hainmueller, Hopkins & Yamamoto 2014, equation 5).
    """
    position = block.attributes.index(attribute)
    radix = block.cells.max(axis=0) + 1
    radix[position] = 1
    others = block.cells.copy()
    others[:, position] = 0
    stratum = np.ravel_multi_index(tuple(others.T), tuple(radix))
    probability = np.bincount(stratum, weights=block.probabilities)
    treated = np.flatnonzero(block.cells[:, position] == level)
    reference = np.flatnonzero(block.cells[:, position] == 0)
    _, at_treated, at_reference = np.intersect1d(stratum[treated], stratum[reference], return_indices=True)
    treated, reference = treated[at_treated], reference[at_reference]
    mass = probability[stratum[treated]]
    seen = np.isin(treated, present) & np.isin(reference, present)
    weights = np.zeros(len(block.cells))
    if not seen.any():
        return 0.0, weights
    share = mass[seen] / mass[seen].sum()
    weights[treated[seen]] = share
    weights[reference[seen]] = -share
    return float(mass[seen].sum() / mass.sum()), weights


def marginal_means(
    profiles: pd.DataFrame,
    design: Design,
    outcome: str,
    se_type: SeType,
    alpha: float = 0.05,
    null: float = 0.0,
) -> pd.DataFrame:
    """Estimate the mean outcome of the profiles that show a level (Leeper, Hobolt & Tilley 2020).

    Each level's mean is a regression on a constant among the profiles with that level.

    Args:
        profiles, design, outcome, se_type, alpha: as in `amce`.
        null: mean that is tested, e.g. the share of choices a profile gets by chance.

    Returns:
        One row per attribute and level; `n` is the number of profiles with the level and
        `n_clusters` of respondents who saw one. CR1 counts these, as a regression of these profiles alone
        does; a regression on all levels together counts all respondents: its errors are a little smaller.
    """
    used = profiles[profiles[outcome].notna()]
    codes = design.codes(used)
    tables = []
    for i, attribute in enumerate(design.attributes):
        for j, level in enumerate(attribute.fielded):
            shown = used[codes[:, i] == j]
            row = pd.DataFrame({"outcome": [outcome], "attribute": attribute.name, "level": level})
            row["n"] = len(shown)
            if len(shown):
                model = _fit(np.ones((len(shown), 1)), shown, outcome, se_type)
                row = row.join(regression.contrast(model, np.ones((1, 1)), alpha, null))
                row["n_clusters"] = pd.array([model.n_clusters], dtype="Int64")
            tables.append(row)
    return pd.concat(tables, ignore_index=True).reindex(columns=list(MARGINAL_MEAN_COLUMNS))
