"""Binary outcomes: logit with average marginal effects, odds and risk ratios; tables of counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate import logistic
from nanotarget.estimate.arms import NORMAL, ArmColumns, ArmValues, arm_columns, compared, tidied
from nanotarget.estimate.tables import RATIO
from nanotarget.estimate.trial import Trial
from nanotarget.study.config import CovariateConfig
from nanotarget.study.preregistration import contrast_name

MARGINAL, ODDS, RISK = "average marginal effect", "log odds ratio", "log risk ratio"


def logit(
    trial: Trial,
    outcome: str,
    adjust: Sequence[CovariateConfig] = (),
    se_type: logistic.LogitSe | None = None,
) -> pd.DataFrame:
    """Compare the arms by a logistic regression on arms, blocks and covariates.

    Three quantities a contrast: the average marginal effect (everyone's predicted probability under one arm
    less that under the other, averaged), the log odds ratio (of the coefficients, hence conditional on
    covariates) and the log risk ratio (of the average probabilities). Standard errors by the delta method,
    given the covariates of the sample; t with n - parameters (clusters: clusters - 1) degrees of freedom.
    Without covariates and blocks the average marginal effect is `dim` and so is its HC2 standard error.
    (The margins of statsmodels leave the other arms as observed, and are no contrasts of three arms.)

    Args:
        trial: gives arms and alpha.
        outcome: of zeros and ones.
        adjust: covariates that enter additively.
        se_type: as in `logistic.fit`; by default HC2, CR1 where clusters were randomised.

    Returns:
        Rows of `Table.SCALES`, not yet adjusted and labelled; `ratio` and its interval are exponentials of
        log ratios. An arm in which all have the same outcome has no contrasts, and if covariates predict the
        outcome perfectly nothing has.
    """
    columns = varying_arms(arm_columns(trial, outcome, adjust))
    kind = se_type or ("HC2" if columns.clusters is None else "CR1")
    rows = pd.concat(_quantities(trial, columns, kind), ignore_index=True)
    return rows.assign(outcome=outcome, estimator="logit", se_type=kind)


def log_odds(trial: Trial, outcome: str) -> pd.DataFrame:
    """Return the log odds ratios of `logit` with the errors that R's `glm` and `sandwich` print.

    `model` (inverse information) takes the model for true and weights for counts of people, `HC0` (White
    1982) neither; both ignore clusters. Where they do not fit the rows have no numbers and their note says
    why.

    Args:
        trial: gives arms and alpha.
        outcome: of zeros and ones.

    Returns:
        Rows of `Table.SCALES`, not yet adjusted; exploratory, because `logit` has the errors that are
        registered.
    """
    observed = trial.observed(outcome)
    clusters = "not for clusters, which they ignore" if observed.scheme.clusters is not None else ""
    weights = "not for survey weights, which they take for counts" if observed.weighted else ""
    parts = []
    kinds: dict[logistic.LogitSe, str] = {"model": clusters or weights, "HC0": clusters}
    for se_type, why in kinds.items():
        rows = logit(trial, outcome, se_type=se_type)
        rows = rows[rows["quantity"] == ODDS].reset_index(drop=True)
        if why:
            rows[[*ESTIMATE_COLUMNS[:-1], *RATIO]] = np.nan
            rows = rows.assign(df_type="", note=why)
        parts.append(rows)
    return pd.concat(parts, ignore_index=True).assign(label="exploratory")


def varying_arms(columns: ArmColumns) -> ArmColumns:
    """Take out the arms in which everybody has the same outcome: their log odds are infinite."""
    constant = {
        name: f"the outcome does not vary in '{name}'"
        for name in columns.usable
        if np.ptp(columns.y[columns.members[name]]) == 0
    }
    return columns.without(constant)


def _quantities(trial: Trial, columns: ArmColumns, se_type: logistic.LogitSe) -> Iterator[pd.DataFrame]:
    rows, dummies, w = columns.rows, columns.dummies, columns.w[columns.rows]
    controls = columns.controls[rows]
    clusters = None if columns.clusters is None else columns.clusters[rows]
    x = np.hstack([dummies, controls])
    fitted = logistic.fit(x, columns.y[rows], se_type, clusters, w) if columns.usable else None
    if fitted is None:
        trouble = "arms and covariates predict the outcome perfectly" if columns.usable else ""
        for quantity in (MARGINAL, ODDS, RISK):
            rows_without = compared(trial, columns, None, trouble)
            yield _ratios(rows_without, quantity)
        return
    k = dummies.shape[1]
    eta = (controls @ fitted.coef[k:])[:, None] + fitted.coef[:k]
    probability = special.expit(eta)
    share = w / w.sum()
    risk = share @ probability
    slope = share[:, None] * probability * (1 - probability)
    to_risk = np.hstack([np.diag(slope.sum(axis=0)), slope.T @ controls])
    to_log = to_risk / risk[:, None]
    jacobians = {
        MARGINAL: (risk, to_risk),
        ODDS: (fitted.coef[:k], np.eye(k, x.shape[1])),
        RISK: (np.log(risk), to_log),
    }
    for quantity, (value, jacobian) in jacobians.items():
        estimates = ArmValues(value, jacobian @ fitted.vcov @ jacobian.T, fitted.df)
        yield _ratios(compared(trial, columns, estimates), quantity)


def _ratios(rows: pd.DataFrame, quantity: str) -> pd.DataFrame:
    names = {"ratio": "estimate", "ratio_low": "conf_low", "ratio_high": "conf_high"}
    ratios = {n: np.nan if quantity == MARGINAL else np.exp(rows[column]) for n, column in names.items()}
    return rows.assign(quantity=quantity, **ratios)


def proportions(trial: Trial, outcome: str) -> pd.DataFrame:
    """Compare shares in the tables of counts, as textbooks do.

    Counts know no survey weights, blocks and clusters: where there are any, the rows have no numbers and
    their note says why.

    The interval and `p_value` are Wald's (unpooled variance p (1 - p) / n, normal), `p_chi2` is Pearson's
    test without continuity correction and `p_fisher` the exact test of Fisher (1935), two-sided by the
    probability of tables. `p_adjusted` belongs to `p_value`.

    Args:
        trial: gives arms and alpha.
        outcome: of zeros and ones.

    Returns:
        Rows of `Table.SCALES`, not yet adjusted and labelled.
    """
    observed = trial.observed(outcome)
    y = observed.y(outcome)
    arms = {name: y[observed.members(name)] for name in trial.arms}
    counts = {name: (int(values.sum()), len(values)) for name, values in arms.items()}
    rows = [
        {"contrast": contrast_name(later, earlier), **_two_by_two(counts, earlier, later)}
        for later, earlier in trial.pairs
    ]
    table = pd.DataFrame(rows, columns=["contrast", *_TWO_BY_TWO])
    if why := observed.ignored:
        table[[c for c in _TWO_BY_TWO if c not in ("n", "note")]] = np.nan
        table["note"] = why
    table["df"] = np.where(table["error"].isna(), np.nan, np.inf)
    table["df_type"] = np.where(table["error"].isna(), "", NORMAL)
    return tidied(table, trial.alpha).assign(outcome=outcome, estimator="proportions", se_type="Wald")


_TWO_BY_TWO = ("share_ref", "share_other", "value", "error", "n", "p_chi2", "p_fisher", "note")


def _two_by_two(counts: Mapping[str, tuple[int, int]], ref: str, other: str) -> dict[str, float | str]:
    """Compare ones and sizes of two arms."""
    from scipy import stats
    from statsmodels.stats.proportion import proportions_chisquare

    (ones_ref, n_ref), (ones_other, n_other) = counts[ref], counts[other]
    n, ones = n_ref + n_other, ones_ref + ones_other
    empty = [name for name, size in ((ref, n_ref), (other, n_other)) if size == 0]
    shares = [k / m if m else np.nan for k, m in ((ones_ref, n_ref), (ones_other, n_other))]
    row: dict[str, float | str] = dict(zip(_TWO_BY_TWO, [*shares, *[np.nan] * 6], strict=True))
    row |= {"n": n, "note": "; ".join(f"no observed respondents in '{name}'" for name in empty)}
    if empty:
        return row
    row["value"] = shares[1] - shares[0]
    variance = shares[0] * (1 - shares[0]) / n_ref + shares[1] * (1 - shares[1]) / n_other
    row["error"] = np.sqrt(variance) if variance > 0 else np.nan
    if variance == 0:
        row["note"] = "the outcome does not vary in either arm"
    if 0 < ones < n:
        row["p_chi2"] = float(proportions_chisquare([ones_ref, ones_other], [n_ref, n_other])[1])
        two_by_two = [[ones_ref, n_ref - ones_ref], [ones_other, n_other - ones_other]]
        row["p_fisher"] = float(stats.fisher_exact(two_by_two).pvalue)
    return row
