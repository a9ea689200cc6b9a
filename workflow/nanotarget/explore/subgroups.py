"""Do the arms do different things to different people? Effects in groups of respondents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nanotarget import regression
from nanotarget.config import CovariateConfig, SubgroupConfig
from nanotarget.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate import ArmMeans, arm_means, contrasts
from nanotarget.groups import group_codes, suppressed_groups
from nanotarget.preregistration import touching
from nanotarget.regression import Wald

SUBGROUPS = "explore/subgroups.csv"
SUBGROUP_COLUMNS = (
    "grouping",
    "group",
    "outcome",
    "contrast",
    *ESTIMATE_COLUMNS,
    "p_adjusted",
    "interaction_f",
    "interaction_df1",
    "interaction_df2",
    "interaction_p",
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

    Args:
        table: `contracts.experiment`.
        arms, outcomes: as in `estimate.effects`.
        groupings: from the config.
        covariates: the allow-list, which says what kind of covariate a grouping is by.
        min_cell: groups with fewer observed respondents in an arm are suppressed, and enough
            others to hide them (see `suppressed_groups`).
        alpha: intervals have level 1 - alpha.
        deviations: from `preregistration.deviations`.

    Returns:
        `SUBGROUP_COLUMNS`, sorted as the config lists groupings, groups, outcomes and contrasts.
        `interaction_*` tests all groups of a grouping with `min_cell` respondents in every arm
        together (also those hidden only to hide others); `p_adjusted` is by Holm over the
        published groups of a grouping, outcome and contrast. Every row is exploratory.
    """
    kinds = {covariate.name: covariate for covariate in covariates}
    tables = []
    for grouping in groupings:
        covariate = kinds[grouping.covariate]
        names, codes = group_codes(table[covariate.name], grouping, covariate)
        for outcome in outcomes:
            rows = _grouped(table, codes, names, arms, outcome, min_cell, alpha)
            rows.insert(0, "grouping", grouping.name)
            mark = "" if deviations is None else touching(deviations, SUBGROUPS, outcome, "dim")
            tables.append(rows.assign(label="exploratory", deviation=mark))
    if not tables:
        return pd.DataFrame(columns=list(SUBGROUP_COLUMNS))
    return pd.concat(tables, ignore_index=True)[list(SUBGROUP_COLUMNS)]


def _grouped(
    table: pd.DataFrame,
    codes: np.ndarray,
    names: Sequence[str],
    arms: Sequence[str],
    outcome: str,
    min_cell: int,
    alpha: float,
) -> pd.DataFrame:
    known = (table[outcome].notna() & table["arm"].notna()).to_numpy()
    groups = [table[known & (codes == i)] for i in range(len(names))]
    counts = np.array([[(group["arm"] == arm).sum() for arm in arms] for group in groups])
    means = [arm_means(group, arms, outcome) for group in groups]
    hidden = suppressed_groups(counts, min_cell)
    rows = pd.concat(
        [
            contrasts(m, arms, alpha).assign(group=name, suppressed=bool(hide))
            for m, name, hide in zip(means, names, hidden, strict=True)
        ],
        ignore_index=True,
    )
    rows["n"] = rows["n"].astype("Int64")
    blank = rows["suppressed"].to_numpy()
    rows.loc[blank, [c for c in ESTIMATE_COLUMNS if c != "n"]] = np.nan
    rows.loc[blank, "n"] = pd.NA
    rows.loc[blank, "note"] = ""
    rows["p_adjusted"] = rows.groupby("contrast")["p_value"].transform(
        lambda p: regression.holm(p.to_numpy())
    )
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
