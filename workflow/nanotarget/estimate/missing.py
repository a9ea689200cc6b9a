"""Who is missing: attrition by arm, and whether covariates explain it differently in different arms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.calibrate import regression
from nanotarget.calibrate.multiplicity import adjusted
from nanotarget.estimate.arms import adjustable, arm_columns, covariate_columns
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial
from nanotarget.study.config import CovariateConfig

ALL = "(all)"
MISSED = "(missed)"


def attrition(trial: Trial) -> pd.DataFrame:
    """Count who is missing from each outcome, by arm, and test whether the arms differ.

    Pearson's chi-squared of arm by missing, and the F test of the linear probability model with
    HC2 standard errors (CR2 where clusters were randomised; within blocks, averaged by their size); both
    are repeated on every arm's row and NaN if nobody or everybody is missing. Chi-squared takes every
    respondent for a draw of its own: it is left out, with a note, where that is not how people were
    randomised. Survey weights are left aside: it is the sample that is examined, not the population.
    """
    rows, arms = [], trial.arms
    trial = trial.with_columns(weight=1.0)
    dummies = np.column_stack([trial.members(name) for name in arms]).astype(np.float64)
    assigned = dummies.sum(axis=0).astype(np.int64)
    present = assigned > 0
    for outcome in trial.outcome_names:
        missing = trial.table[outcome].isna().to_numpy(np.float64)
        lost = (dummies.T @ missing).astype(np.int64)
        tests, notes = [np.nan] * 7, [""]
        if 0 < lost.sum() < assigned.sum() and present.sum() > 1:
            counts = np.column_stack([lost, assigned - lost])[present].astype(np.float64)
            expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
            chi2 = float(((counts - expected) ** 2 / expected).sum())
            chi2_df = int(present.sum()) - 1
            tests, notes = [chi2, chi2_df, float(special.chdtrc(chi2_df, chi2))], [trial.scheme.unfit]
            if trial.scheme.unfit:
                tests, notes = [np.nan] * 3, [f"chi-squared {trial.scheme.unfit}"]
            everybody = trial.among(trial.table["arm"].isin(arms)).with_columns(
                **{MISSED: missing[dummies.any(axis=1)]}
            )
            columns = arm_columns(everybody, MISSED)
            x = columns.interacted()
            clusters = None if columns.clusters is None else columns.clusters[columns.rows]
            y = columns.y[columns.rows]
            model = regression.fit(x, y, "HC2" if clusters is None else "CR2", clusters)
            differences = np.zeros((len(columns.usable) - 1, x.shape[1]))
            differences[:, 1 : len(columns.usable)] = np.eye(len(columns.usable) - 1)
            differences[:, 0] = -1
            wald = regression.wald(model, differences)
            tests += [wald.statistic, wald.df1, wald.df2, wald.p_value]
            notes += [*columns.notes.values(), *columns.remarks]
        for i, name in enumerate(arms):
            share = lost[i] / assigned[i] if assigned[i] else np.nan
            note = "; ".join(filter(None, notes))
            rows.append((outcome, name, assigned[i], assigned[i] - lost[i], lost[i], share, *tests, note))
    columns_without = [column for column in Table.ATTRITION.columns if column != "deviation"]
    table = pd.DataFrame(rows, columns=columns_without)
    return trial.published([table], Table.ATTRITION)


def differential_attrition(trial: Trial) -> pd.DataFrame:
    """Test whether a covariate goes with being missing differently in different arms.

    The linear probability model of being missing on arms, columns of the covariate and all their products:
    F test with HC2 standard errors (CR2 where clusters were randomised) that the products are zero, i.e.
    that the slopes of all arms are the same; with blocks the model has a mean for every arm in every block.
    For each covariate alone, and for all of them together (`ALL`) if there are several. P values are
    adjusted by Holm (1979) over the covariates of an outcome. Survey weights are left aside, as in
    `attrition`.

    Args:
        trial: arms without people are left out; missing covariates enter as in `covariate_columns`.

    Returns:
        The columns of `Table.DIFFERENTIAL_ATTRITION`; what cannot be tested is NaN, and `note` says why.
        Columns of a covariate that in some arm cannot be distinguished from the constant, or from one
        respondent, are left out with a note.
    """
    trial = trial.of_arms(*trial.arms)
    families = [(covariate.name, [covariate]) for covariate in trial.covariates]
    if len(families) > 1:
        families.append((ALL, list(trial.covariates)))
    rows = []
    for outcome in trial.outcome_names:
        n_missing = int(trial.table[outcome].isna().sum())
        for name, covariates in families:
            test, note = _interactions(trial, outcome, covariates)
            numbers = (test.statistic, test.df1, test.df2, test.p_value, np.nan)
            rows.append((outcome, name, *numbers, len(trial.table), n_missing, note))
    columns = [column for column in Table.DIFFERENTIAL_ATTRITION.columns if column != "deviation"]
    tests = pd.DataFrame(rows, columns=columns)
    single = tests["covariate"] != ALL
    tests.loc[single, "p_adjusted"] = adjusted(tests.loc[single, "p_value"], tests.loc[single, "outcome"])
    return trial.published([tests], Table.DIFFERENTIAL_ATTRITION)


def _interactions(
    trial: Trial, outcome: str, covariates: Sequence[CovariateConfig]
) -> tuple[regression.Wald, str]:
    """Test the products of arms and covariates; the note says what could not be tested."""
    missing = np.isnan(trial.y(outcome)).astype(np.float64)
    members = [own for own in map(trial.members, trial.arms) if own.any()]
    nothing = regression.Wald(np.nan, 0, np.nan, np.nan)
    if missing.all() or not missing.any():
        return nothing, "nobody is missing" if len(missing) and not missing.any() else "everybody is missing"
    if len(members) < 2:
        return nothing, "there is only one arm"
    z, names = covariate_columns(trial, covariates)
    strata = trial.scheme.strata(np.ones(len(z)), members)
    kept = adjustable(z, members, strata.columns)
    dropped = [name for name, stays in zip(names, kept, strict=True) if not stays]
    notes = [f"without {', '.join(dropped)}, which some arm cannot tell"] if dropped else []
    if not kept.any():
        return nothing, "not testable: some arm has nobody or everybody with each value"
    arms = np.column_stack(members).astype(np.float64)
    k = int(kept.sum())
    blocks = [own[:, None] * strata.columns for own in members]
    x = np.hstack([*(own[:, None] * z[:, kept] for own in members), arms, *blocks])
    slopes = np.zeros(((len(members) - 1) * k, x.shape[1]))
    for i in range(1, len(members)):
        rows = slopes[(i - 1) * k : i * k]
        rows[:, :k] = -np.eye(k)
        rows[:, i * k : (i + 1) * k] = np.eye(k)
    clusters = trial.scheme.clusters
    test = regression.wald(regression.fit(x, missing, "HC2" if clusters is None else "CR2", clusters), slopes)
    notes += strata.remarks
    if np.isnan(test.statistic):
        notes.append("not testable: too few respondents, or too few of them missing, for these columns")
    return test, "; ".join(notes)
