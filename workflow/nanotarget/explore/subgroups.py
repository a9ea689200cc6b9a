"""Do the arms do different things to different people? Effects in groups of respondents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.calibrate import regression
from nanotarget.calibrate.regression import Wald
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.clean.groups import group_codes, suppressed_groups
from nanotarget.estimate import ArmMeans, arm_means, contrasts, pairs
from nanotarget.estimate.labels import touching
from nanotarget.estimate.tables import Table
from nanotarget.explore.shrinkage import shrink
from nanotarget.study.config import CovariateConfig, SubgroupConfig

SHRUNKEN = ("shrunken", "shrunken_error", "shrunken_low", "shrunken_high")
SUBGROUP_COLUMNS = (
    "grouping",
    "group",
    "outcome",
    "contrast",
    *ESTIMATE_COLUMNS,
    "p_adjusted",
    "shrunken",
    "shrunken_error",
    "shrunken_low",
    "shrunken_high",
    "tau",
    "tau_low",
    "tau_high",
    "interaction_f",
    "interaction_df1",
    "interaction_df2",
    "interaction_p",
    "label",
    "suppressed",
    "deviation",
    "note",
)
ODDS_NUMBERS = ("share_ref", "share_other", "odds_ratio", "odds_low", "odds_high")
ODDS_COLUMNS = (*SUBGROUP_COLUMNS[:4], *ODDS_NUMBERS, *SUBGROUP_COLUMNS[4:])
MOBILISATION_COLUMNS = (
    "grouping",
    "group",
    "quantity",
    "outcome",
    "contrast",
    *ESTIMATE_COLUMNS,
    "label",
    "suppressed",
    "deviation",
    "note",
)


def interaction(means: Sequence[ArmMeans], arms: Sequence[str]) -> Wald:
    """Test whether the differences between arms are the same in all groups.

    F test of the arm x group interactions with HC2 variances; groups in which an arm cannot be
    estimated are left out.

    Args:
        means: of each group.
        arms: names, in order.
    """
    tested = [m for m in means if not any(np.isnan(m.variance[arm]) for arm in arms)]
    if len(tested) < 2:
        return Wald(np.nan, 0, np.nan, np.nan)
    mean = np.array([m.mean[arm] for m in tested for arm in arms])
    variance = np.array([m.variance[arm] for m in tested for arm in arms])
    by_group = np.hstack([-np.ones((len(tested) - 1, 1)), np.eye(len(tested) - 1)])
    by_arm = np.hstack([-np.ones((len(arms) - 1, 1)), np.eye(len(arms) - 1)])
    rows = np.kron(by_group, by_arm)
    return regression.f_test(rows @ mean, (rows * variance) @ rows.T, sum(m.df for m in tested))


def subgroups(
    table: pd.DataFrame,
    arms: Sequence[str],
    outcomes: Sequence[str],
    groupings: Sequence[SubgroupConfig],
    covariates: Sequence[CovariateConfig],
    min_cell: int,
    alpha: float = 0.05,
    deviations: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Estimate every contrast in groups of respondents (difference in means, HC2).

    Of a binary outcome these are differences in shares; see `odds_ratios` for where shares are high or low.

    Args:
        table: `contracts.experiment`.
        arms, outcomes: as in `estimate.effects`.
        groupings: from the config.
        covariates: the allow-list, which says what kind of covariate a grouping is by.
        min_cell: groups with fewer observed respondents in an arm are suppressed, and enough
            others to hide them (see `suppressed_groups`).
        alpha: intervals have level 1 - alpha.
        deviations: from `deviations.deviations`.

    Returns:
        `SUBGROUP_COLUMNS`, sorted as the config lists groupings, groups, outcomes and contrasts.
        `interaction_*` tests all groups of a grouping with `min_cell` respondents in every arm
        together (also those hidden only to hide others); `p_adjusted` is by Holm over the
        published groups of a grouping, outcome and contrast. `shrunken*` and `tau*` are from
        `shrink`, over the same groups (NaN with fewer than three). Every row is exploratory.
    """
    found = _tables(
        table,
        arms,
        outcomes,
        groupings,
        covariates,
        min_cell,
        alpha,
        deviations,
        Table.SUBGROUPS,
        _as_they_are,
    )
    return found[list(SUBGROUP_COLUMNS)]


def odds_ratios(
    table: pd.DataFrame,
    arms: Sequence[str],
    outcomes: Sequence[str],
    groupings: Sequence[SubgroupConfig],
    covariates: Sequence[CovariateConfig],
    min_cell: int,
    alpha: float = 0.05,
    deviations: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Estimate every contrast of a binary outcome in groups as a difference in log odds.

    Where nearly everybody signs, a difference in shares has no room: an interaction that is there in
    shares and gone in log odds may be a ceiling and no more.

    Args:
        outcomes: the binary ones, 0 or 1.
        table, arms, groupings, covariates, min_cell, alpha, deviations: as in `subgroups`.

    Returns:
        `ODDS_COLUMNS`: as `subgroups`, estimates in log odds with errors by the delta method from the HC2
        variances of the shares; `share_ref` and `share_other` of the earlier and the later arm,
        `odds_ratio` with its interval. NaN with a note where nobody or everybody in an arm has a 1.
    """
    found = _tables(
        table,
        arms,
        outcomes,
        groupings,
        covariates,
        min_cell,
        alpha,
        deviations,
        Table.ODDS_RATIOS,
        _in_log_odds,
    )
    for ratio, log in (("odds_ratio", "estimate"), ("odds_low", "conf_low"), ("odds_high", "conf_high")):
        found[ratio] = np.exp(found[log].astype(np.float64))
    return found[list(ODDS_COLUMNS)]


def mobilisation(
    table: pd.DataFrame,
    arms: Sequence[str],
    outcomes: Sequence[str],
    grouping: SubgroupConfig,
    base: str,
    covariate: CovariateConfig,
    min_cell: int,
    alpha: float = 0.05,
    deviations: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Set the base, whose support is to be mobilised, against all others, who would have to be persuaded.

    Args:
        table, arms, outcomes, min_cell, alpha, deviations: as in `subgroups`.
        grouping: by pre-treatment support.
        base: the name of one of its groups.
        covariate: what the grouping is by.

    Returns:
        `MOBILISATION_COLUMNS`: for every outcome and contrast the effect in the base (of signing: the
        mobilisation), the effect among the grouping's other respondents, and the first less the second.
        All three are suppressed where the base is in `subgroups`, or the others are too few.

    Raises:
        ValueError: if the grouping has no group of that name.
    """
    names, codes = group_codes(table[covariate.name], grouping, covariate)
    place = names.index(base)
    others = f"all but {base}"
    parts = []
    for outcome in outcomes:
        known = (table[outcome].notna() & table["arm"].notna()).to_numpy()
        groups = [table[known & (codes == place)], table[known & (codes >= 0) & (codes != place)]]
        counts = _cells([table[known & (codes == i)] for i in range(len(names))], arms)
        small = (counts.sum(axis=0) - counts[place] < min_cell).any()
        hidden = bool(suppressed_groups(counts, min_cell)[place] or small)
        means = [arm_means(group, arms, outcome) for group in groups]
        inside, outside = (contrasts(m, arms, alpha) for m in means)
        for name, quantity, part in zip(
            (base, others, base),
            ("mobilisation", "persuasion", "mobilisation - persuasion"),
            (inside, outside, _difference(inside, outside, alpha)),
            strict=True,
        ):
            mark = "" if deviations is None else touching(deviations, Table.MOBILISATION, outcome, "dim")
            part = _blanked(part.assign(suppressed=hidden))
            parts.append(part.assign(group=name, quantity=quantity, outcome=outcome, deviation=mark))
    if not parts:
        return pd.DataFrame(columns=list(MOBILISATION_COLUMNS))
    found = pd.concat(parts, ignore_index=True).assign(grouping=grouping.name, label="exploratory")
    return found[list(MOBILISATION_COLUMNS)]


def _difference(one: pd.DataFrame, other: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Compare the contrasts of two groups of different people."""
    error = np.hypot(one["std_error"], other["std_error"]).to_numpy()
    df = np.where(np.isnan(error), np.nan, one["df"] + other["df"])
    found = regression.tidy((one["estimate"] - other["estimate"]).to_numpy(), error, df, alpha)
    notes = [
        "; ".join(dict.fromkeys(filter(None, both))) for both in zip(one["note"], other["note"], strict=True)
    ]
    return found.assign(contrast=one["contrast"], n=one["n"] + other["n"], note=notes)


Scale = Callable[[ArmMeans, Sequence[str]], ArmMeans]


def _as_they_are(means: ArmMeans, arms: Sequence[str]) -> ArmMeans:
    return means


def _in_log_odds(means: ArmMeans, arms: Sequence[str]) -> ArmMeans:
    """Turn shares into log odds: Var(logit p) = Var(p) / (p (1 - p))^2."""
    mean, variance, notes = {}, {}, dict(means.notes)
    for arm in arms:
        share = means.mean[arm]
        inside = 0 < share < 1
        mean[arm] = float(np.log(share / (1 - share))) if inside else np.nan
        variance[arm] = means.variance[arm] / (share * (1 - share)) ** 2 if inside else np.nan
        if not inside and arm not in notes:
            notes[arm] = f"{'everybody' if share >= 1 else 'nobody'} in '{arm}' has a 1: no odds"
    return replace(means, mean=mean, variance=variance, notes=notes)


def _tables(
    table: pd.DataFrame,
    arms: Sequence[str],
    outcomes: Sequence[str],
    groupings: Sequence[SubgroupConfig],
    covariates: Sequence[CovariateConfig],
    min_cell: int,
    alpha: float,
    deviations: pd.DataFrame | None,
    output: str,
    scale: Scale,
) -> pd.DataFrame:
    kinds = {covariate.name: covariate for covariate in covariates}
    tables = []
    for grouping in groupings:
        covariate = kinds[grouping.covariate]
        names, codes = group_codes(table[covariate.name], grouping, covariate)
        for outcome in outcomes:
            rows = _grouped(table, codes, names, arms, outcome, min_cell, alpha, scale)
            rows.insert(0, "grouping", grouping.name)
            mark = "" if deviations is None else touching(deviations, output, outcome, "dim")
            tables.append(rows.assign(label="exploratory", deviation=mark))
    if not tables:
        return pd.DataFrame(columns=list(ODDS_COLUMNS))
    return pd.concat(tables, ignore_index=True)


def _cells(groups: Sequence[pd.DataFrame], arms: Sequence[str]) -> np.ndarray:
    """(groups, arms) respondents."""
    return np.array([[(group["arm"] == arm).sum() for arm in arms] for group in groups])


def _blanked(rows: pd.DataFrame) -> pd.DataFrame:
    """Take the numbers out of suppressed rows."""
    blank = rows["suppressed"].to_numpy()
    rows = rows.assign(n=rows["n"].astype("Int64"))
    numbers = [c for c in (*ESTIMATE_COLUMNS, *ODDS_NUMBERS) if c in rows and c != "n"]
    rows.loc[blank, numbers] = np.nan
    rows.loc[blank, "n"] = pd.NA
    rows.loc[blank, "note"] = ""
    return rows


def _grouped(
    table: pd.DataFrame,
    codes: np.ndarray,
    names: Sequence[str],
    arms: Sequence[str],
    outcome: str,
    min_cell: int,
    alpha: float,
    scale: Scale,
) -> pd.DataFrame:
    known = (table[outcome].notna() & table["arm"].notna()).to_numpy()
    groups = [table[known & (codes == i)] for i in range(len(names))]
    counts = _cells(groups, arms)
    raw = [arm_means(group, arms, outcome) for group in groups]
    means = [scale(m, arms) for m in raw]
    hidden = suppressed_groups(counts, min_cell)
    rows = pd.concat(
        [
            contrasts(m, arms, alpha).assign(
                group=name,
                suppressed=bool(hide),
                share_ref=[shares.mean[earlier] for _, earlier in pairs(arms)],
                share_other=[shares.mean[later] for later, _ in pairs(arms)],
            )
            for m, shares, name, hide in zip(means, raw, names, hidden, strict=True)
        ],
        ignore_index=True,
    )
    rows = _blanked(rows)
    rows["p_adjusted"] = rows.groupby("contrast")["p_value"].transform(
        lambda p: regression.holm(p.to_numpy())
    )
    rows = _with_shrunken(rows, alpha)
    # A variance from a handful of answers (or of equal ones: zero) would pass for knowledge.
    large = [m for m, cells in zip(means, counts, strict=True) if (cells >= min_cell).all()]
    test = interaction(large, arms)
    return rows.assign(
        outcome=outcome,
        interaction_f=test.statistic,
        interaction_df1=test.df1,
        interaction_df2=test.df2,
        interaction_p=test.p_value,
    )


def _with_shrunken(rows: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Add shrunken estimates of each contrast over its published groups, which alone they depend on."""
    rows = rows.assign(**dict.fromkeys((*SHRUNKEN, "tau", "tau_low", "tau_high"), np.nan))
    for contrast in rows["contrast"].unique():
        place = (rows["contrast"] == contrast).to_numpy()
        family = rows[place]
        found = shrink(family["estimate"].to_numpy(float), family["std_error"].to_numpy(float), alpha)
        margin = special.ndtri(1 - alpha / 2) * found.error
        rows.loc[place, list(SHRUNKEN)] = np.column_stack(
            [found.mean, found.error, found.mean - margin, found.mean + margin]
        )
        rows.loc[place, ["tau", "tau_low", "tau_high"]] = found.tau, found.tau_low, found.tau_high
    return rows
