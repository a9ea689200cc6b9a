"""Are the arms comparable? Balance of covariates, and who is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import special

from nanotarget import regression
from nanotarget.config import CovariateConfig
from nanotarget.estimate.arms import MISSING, pairs
from nanotarget.preregistration import contrast_name, marked

BALANCE_COLUMNS = (
    "covariate",
    "level",
    "contrast",
    "mean_ref",
    "mean_other",
    "std_diff",
    "n_ref",
    "n_other",
    "deviation",
)
ATTRITION_COLUMNS = (
    "outcome",
    "arm",
    "n_assigned",
    "n_observed",
    "n_missing",
    "attrition",
    "chi2",
    "chi2_df",
    "chi2_p",
    "wald_f",
    "df1",
    "df2",
    "wald_p",
    "deviation",
)


def balance(
    table: pd.DataFrame,
    arms: Sequence[str],
    covariates: Sequence[CovariateConfig],
    deviations: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Compare covariates between arms among everyone who was randomised.

    The standardised difference is (mean of the later arm - mean of the earlier arm) divided by
    the root of the mean of the two variances (Austin 2009). Levels of a categorical covariate are
    compared as shares, among those who answered; missing values are one more row. Survey weights are
    left aside: it is the randomisation that is looked at, not the population.
    """
    rows = []
    for covariate in covariates:
        for level, values in _balanced(table[covariate.name], covariate):
            for later, earlier in pairs(arms):
                groups = [values[(table["arm"] == arm).to_numpy()] for arm in (earlier, later)]
                groups = [group[~np.isnan(group)] for group in groups]
                means = [group.mean() if len(group) else np.nan for group in groups]
                spread = [group.var(ddof=1) if len(group) > 1 else np.nan for group in groups]
                pooled = np.sqrt(sum(spread) / 2)
                difference = (means[1] - means[0]) / pooled if pooled > 0 else np.nan
                name = contrast_name(later, earlier)
                sizes = [len(group) for group in groups]
                rows.append((covariate.name, level, name, *means, difference, *sizes))
    found = pd.DataFrame(rows, columns=list(BALANCE_COLUMNS[:-1]))
    return marked(found, "estimate/balance.csv", deviations)


def _balanced(values: pd.Series, covariate: CovariateConfig) -> Iterator[tuple[str, np.ndarray]]:
    missing = values.isna().to_numpy()
    if covariate.kind == "numeric":
        yield "", values.to_numpy(np.float64)
    else:
        for level in [str(level) for level in covariate.levels or []]:
            yield level, np.where(missing, np.nan, values.astype("str") == level)
    if missing.any():
        yield MISSING, missing.astype(np.float64)


def attrition(
    table: pd.DataFrame,
    arms: Sequence[str],
    outcomes: Sequence[str],
    deviations: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Count who is missing from each outcome, by arm, and test whether the arms differ.

    Pearson's chi-squared of arm by missing, and the F test of the linear probability model with
    HC2 standard errors; both are repeated on every arm's row and NaN if nobody or everybody is
    missing.
    """
    rows = []
    arm = table["arm"].astype("str").to_numpy()
    dummies = np.column_stack([arm == name for name in arms]).astype(np.float64)
    assigned = dummies.sum(axis=0).astype(np.int64)
    present = assigned > 0
    for outcome in outcomes:
        missing = table[outcome].isna().to_numpy(np.float64)
        lost = (dummies.T @ missing).astype(np.int64)
        tests = [np.nan] * 7
        if 0 < lost.sum() < assigned.sum() and present.sum() > 1:
            counts = np.column_stack([lost, assigned - lost])[present].astype(np.float64)
            expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
            chi2 = float(((counts - expected) ** 2 / expected).sum())
            chi2_df = int(present.sum()) - 1
            model = regression.fit(dummies[:, present], missing, "HC2")
            differences = np.eye(int(present.sum()))[1:]
            differences[:, 0] = -1
            wald = regression.wald(model, differences)
            tests = [chi2, chi2_df, float(special.chdtrc(chi2_df, chi2))]
            tests += [wald.statistic, wald.df1, wald.df2, wald.p_value]
        for i, name in enumerate(arms):
            share = lost[i] / assigned[i] if assigned[i] else np.nan
            rows.append((outcome, name, assigned[i], assigned[i] - lost[i], lost[i], share, *tests))
    found = pd.DataFrame(rows, columns=list(ATTRITION_COLUMNS[:-1]))
    return marked(found, "estimate/attrition.csv", deviations)
