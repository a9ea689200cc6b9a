"""Do the arms differ at all? Tests of all arms together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.calibrate import regression
from nanotarget.calibrate.regression import Wald
from nanotarget.estimate.arms import ArmMeans, arm_means, departures
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial


def omnibus(trial: Trial) -> pd.DataFrame:
    """Test that no arm differs from another, three times an outcome.

    `wald_F_HC2` (CR2 with clusters, clusters - 1 degrees of freedom) and `welch_oneway` (Welch 1951) test
    means and know weights and blocks, the second not clusters. `kruskal_wallis` (Kruskal & Wallis 1952,
    corrected for ties) tests that distributions are the same and knows none of them. Where a test does not
    know what there is, it is left out with a note, and so are arms that cannot be estimated.
    """
    rows = []
    for outcome in trial.outcome_names:
        means = arm_means(trial, outcome)
        usable = [name for name in trial.arms if name not in means.notes]
        said = [*means.notes.values(), *departures(means)]
        tests = {
            f"wald_F_{means.se_type}": _wald(means, usable),
            "welch_oneway": _welch(means, usable),
            "kruskal_wallis": _kruskal_wallis(trial.observed(outcome).table, usable, outcome),
        }
        ignored = trial.observed(outcome).ignored
        refused = {"kruskal_wallis": ignored} if ignored else {}
        if means.model is not None:
            refused["welch_oneway"] = "not for clusters: they would be ignored"
        for name, test in tests.items():
            why = [refused[name]] if name in refused else []
            if why:
                test = Wald(np.nan, test.df1, np.nan, np.nan)
            elif np.isnan(test.statistic):
                why = ["the arms cannot be compared by this test"]
            numbers = (test.statistic, test.df1, test.df2, test.p_value)
            rows.append((outcome, name, *numbers, means.n, "; ".join([*said, *why])))
    columns = [c for c in Table.OMNIBUS.columns if c not in ("label", "deviation")]
    return trial.published([pd.DataFrame(rows, columns=columns)], Table.OMNIBUS)


def _wald(means: ArmMeans, usable: Sequence[str]) -> Wald:
    k = len(usable)
    if k < 2:
        return Wald(np.nan, 0, np.nan, np.nan)
    rows = np.hstack([-np.ones((k - 1, 1)), np.eye(k - 1)])
    if means.model is not None:
        padded = np.zeros((k - 1, len(means.model.coef)))
        padded[:, [means.place[name] for name in usable]] = rows
        return regression.wald(means.model, padded)
    variance = np.array([means.variance[name] for name in usable])
    return regression.f_test(
        rows @ np.array([means.mean[name] for name in usable]), (rows * variance) @ rows.T, means.df
    )


def _welch(means: ArmMeans, usable: Sequence[str]) -> Wald:
    k = len(usable)
    nothing = Wald(np.nan, max(k - 1, 0), np.nan, np.nan)
    variance = np.array([means.variance[name] for name in usable])
    if k < 2 or means.model is not None or (variance == 0).any():
        return nothing
    mean = np.array([means.mean[name] for name in usable])
    share = 1 / variance / (1 / variance).sum()
    between = float(((mean - share @ mean) ** 2 / variance).sum()) / (k - 1)
    spread = float(((1 - share) ** 2 / [means.arm_df[name] for name in usable]).sum()) / (k**2 - 1)
    statistic, df2 = between / (1 + 2 * (k - 2) * spread), 1 / (3 * spread)
    return Wald(statistic, k - 1, df2, float(special.fdtrc(k - 1, df2, statistic)))


def _kruskal_wallis(observed: pd.DataFrame, usable: Sequence[str], outcome: str) -> Wald:
    from scipy import stats

    groups = [observed.loc[observed["arm"] == name, outcome].to_numpy(np.float64) for name in usable]
    if len(groups) < 2 or np.ptp(np.concatenate(groups)) == 0:
        return Wald(np.nan, max(len(groups) - 1, 0), np.nan, np.nan)
    statistic, p_value = stats.kruskal(*groups)
    return Wald(float(statistic), len(groups) - 1, np.nan, float(p_value))
