"""The experiment: what the arms did to the outcomes, and whether the groups are comparable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import special

from nanotarget import regression
from nanotarget.config import CovariateConfig
from nanotarget.contracts import ESTIMATE_COLUMNS
from nanotarget.preregistration import (
    EFFECTS,
    EQUIVALENCE,
    Registration,
    contrast_name,
    label_of,
    touching,
)

EFFECT_COLUMNS = (
    "outcome",
    "estimator",
    "se_type",
    "contrast",
    *ESTIMATE_COLUMNS,
    "p_adjusted",
    "label",
    "deviation",
    "note",
)
EQUIVALENCE_COLUMNS = (
    "outcome",
    "contrast",
    "sesoi",
    *ESTIMATE_COLUMNS,
    "p_lower",
    "p_upper",
    "verdict",
    "label",
    "deviation",
)
POWER_COLUMNS = (
    "outcome",
    "estimator",
    "contrast",
    "std_error",
    "df",
    "n",
    "alpha",
    "power",
    "mde",
    "mde_holm",
    "sesoi",
    "power_at_sesoi",
    "equivalence_margin",
    "deviation",
)
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
MISSING = "(missing)"


def pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    """Return every later arm with every earlier one: for a, b, c the pairs (b, a), (c, a), (c, b)."""
    return [(arms[j], arms[i]) for j in range(1, len(arms)) for i in range(j)]


@dataclass(frozen=True)
class ArmMeans:
    """Mean outcome of each arm, with or without adjustment.

    Attributes:
        mean, variance: an entry an arm; NaN where there is no estimate.
        df: residual degrees of freedom of the joint model.
        n: respondents in the model.
        notes: what is wrong with an arm, by arm.
        left_out: columns that could not be adjusted for.
    """

    mean: dict[str, float]
    variance: dict[str, float]
    df: float
    n: int
    notes: dict[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def arm_means(
    observed: pd.DataFrame, arms: Sequence[str], outcome: str, adjust: Sequence[CovariateConfig] = ()
) -> ArmMeans:
    """Estimate the mean outcome of every arm with HC2 variances.

    Without covariates this is the regression on arm dummies; with them the fully interacted
    regression of Lin (2013) on covariates centred over all observed respondents. Both models
    separate by arm, so each arm is fitted alone: the HC2 covariance between arms is zero and an
    arm that cannot be estimated does not spoil the others.

    Args:
        observed: rows of `contracts.experiment` in which the outcome is there.
        arms: names, in order.
        outcome: its column.
        adjust: covariates of the adjustment; none for the unadjusted means.
    """
    arm = observed["arm"].astype("str").to_numpy()
    y = observed[outcome].to_numpy(np.float64)
    w = observed["weight"].to_numpy(np.float64)
    members = {name: arm == name for name in arms}
    z, names = covariate_columns(observed, adjust)
    mean, variance, notes = (dict.fromkeys(arms, np.nan), dict.fromkeys(arms, np.nan), {})
    for name in arms:
        if members[name].sum() < 2:
            notes[name] = f"fewer than two observed respondents in '{name}'"
        elif members[name].sum() <= 1 + z.shape[1]:
            notes[name] = f"too few respondents in '{name}' for the adjustment"
    usable = [name for name in arms if name not in notes]
    keep = _adjustable(z, [members[name] for name in usable])
    z = z[:, keep]
    df = 0.0
    for name in usable:
        rows = members[name]
        x = np.column_stack([np.ones(rows.sum()), z[rows]])
        model = regression.fit(x, y[rows], "HC2", weights=w[rows])
        mean[name], variance[name] = float(model.coef[0]), float(model.vcov[0, 0])
        df += model.df
        if np.isnan(variance[name]):
            notes[name] = f"too few respondents in '{name}' for the adjustment"
    left_out = tuple(dict.fromkeys(name for name, kept in zip(names, keep, strict=True) if not kept))
    n = int(sum(members[name].sum() for name in usable))
    return ArmMeans(mean, variance, df, n, notes, left_out)


def covariate_columns(
    table: pd.DataFrame, covariates: Sequence[CovariateConfig]
) -> tuple[np.ndarray, list[str]]:
    """Return the centred columns of an adjustment and their names.

    A numeric covariate is one column, missing values set to the mean, and a second column that
    marks them if there are any. A categorical one has a column a level but the first (and one for
    missing values, if there are any).

    Args:
        table: with a column a covariate and `weight`; means are weighted.
        covariates: in order.
    """
    columns: list[np.ndarray] = []
    names: list[str] = []
    for covariate in covariates:
        values = table[covariate.name]
        missing = values.isna().to_numpy()
        if covariate.kind == "numeric":
            numbers = values.to_numpy(np.float64)
            columns.append(
                np.where(missing, 0.0, numbers - _mean(numbers[~missing], table["weight"][~missing]))
            )
            names.append(covariate.name)
        else:
            for level in [str(level) for level in covariate.levels or []][1:]:
                columns.append((values.astype("str") == level).to_numpy(np.float64))
                names.append(f"{covariate.name}: {level}")
        if missing.any():
            columns.append(missing.astype(np.float64))
            names.append(f"{covariate.name}: {MISSING}")
    z = np.column_stack(columns) if columns else np.empty((len(table), 0))
    weights = table["weight"].to_numpy(np.float64)
    return (z - np.average(z, axis=0, weights=weights) if len(table) else z), names


def _mean(values: np.ndarray, weights: pd.Series) -> float:
    return float(np.average(values, weights=weights)) if len(values) else 0.0


def _adjustable(z: np.ndarray, members: Sequence[np.ndarray]) -> np.ndarray:
    """Say which columns every arm can be adjusted for.

    A column must vary in every arm beyond a single respondent (whose value it would fit exactly)
    and must not be a combination of earlier columns there.
    """
    keep = np.ones(z.shape[1], dtype=bool)
    for rows in members:
        for j in range(z.shape[1]):
            counts = np.unique(z[rows, j], return_counts=True)[1]
            keep[j] &= rows.sum() - counts.max() >= 2
    for rows in members:
        candidates = np.flatnonzero(keep)
        x = np.column_stack([np.ones(rows.sum()), z[rows][:, candidates]])
        independent = regression.orthogonalise(x)[2]
        aliased = np.setdiff1d(np.arange(1, x.shape[1]), independent)
        keep[candidates[aliased - 1]] = False
    return keep


def contrasts(means: ArmMeans, arms: Sequence[str], alpha: float) -> pd.DataFrame:
    """Compare every later arm with every earlier one.

    Returns:
        contrast, estimate ... df, n, note; an impossible comparison is NaN and its note says why.
    """
    rows = []
    for later, earlier in pairs(arms):
        notes = [means.notes[arm] for arm in (earlier, later) if arm in means.notes]
        variance = means.variance[later] + means.variance[earlier]
        if variance == 0:
            notes.append("the outcome does not vary in either arm")
            variance = np.nan
        estimate = means.mean[later] - means.mean[earlier] if not notes else np.nan
        if means.left_out:
            notes.append(f"not adjusted for {', '.join(means.left_out)}")
        rows.append((contrast_name(later, earlier), estimate, np.sqrt(variance), "; ".join(notes)))
    table = pd.DataFrame(rows, columns=["contrast", "estimate", "error", "note"])
    df = np.where(table["error"].isna() | table["estimate"].isna(), np.nan, means.df)
    estimates = regression.tidy(table["estimate"].to_numpy(), table.pop("error").to_numpy(), df, alpha)
    estimates.insert(0, "contrast", table["contrast"])
    return estimates.assign(n=means.n, note=table["note"])


def effects(
    table: pd.DataFrame,
    arms: Sequence[str],
    outcomes: Sequence[str],
    adjust: Sequence[CovariateConfig] = (),
    alpha: float = 0.05,
    registration: Registration | None = None,
    deviations: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Estimate the effect of every arm against every earlier one on every outcome.

    Estimators: `dim`, the difference in means, and `lin`, the regression adjustment of Lin (2013),
    both with HC2 standard errors and n - parameters degrees of freedom. P values are adjusted by
    Holm (1979) over the contrasts of an outcome and estimator. Respondents without the outcome
    are left out; how missing covariates enter is said in `covariate_columns`.

    Args:
        table: `contracts.experiment`.
        arms: names in order; the sign of a contrast is later minus earlier.
        outcomes: columns.
        adjust: covariates of the Lin adjustment; without any there is no `lin`.
        alpha: intervals have level 1 - alpha.
        registration: gives the labels; without one all estimates are exploratory.
        deviations: from `preregistration.deviations`.

    Returns:
        `EFFECT_COLUMNS`, sorted by outcome, estimator and contrast as they were given. What cannot
        be estimated is NaN, and `note` says why.
    """
    tables = []
    for outcome in outcomes:
        observed = table[table[outcome].notna() & table["arm"].notna()]
        for estimator, covariates in (("dim", ()), ("lin", adjust)):
            if estimator == "lin" and not adjust:
                continue
            rows = contrasts(arm_means(observed, arms, outcome, covariates), arms, alpha)
            rows["p_adjusted"] = regression.holm(rows["p_value"].to_numpy())
            tables.append(rows.assign(outcome=outcome, estimator=estimator, se_type="HC2"))
    if not tables:
        return pd.DataFrame(columns=list(EFFECT_COLUMNS)).astype(dict.fromkeys(ESTIMATE_COLUMNS, np.float64))
    found = pd.concat(tables, ignore_index=True)
    found["label"] = [
        label_of(registration, o, e, c)
        for o, e, c in zip(found["outcome"], found["estimator"], found["contrast"], strict=True)
    ]
    return _marked(found, EFFECTS, deviations)[list(EFFECT_COLUMNS)]


def _marked(table: pd.DataFrame, output: str, deviations: pd.DataFrame | None) -> pd.DataFrame:
    """Add the ids of the deviations that touch each row."""
    if deviations is None or deviations.empty:
        return table.assign(deviation="")
    blank = [""] * len(table)
    outcomes, estimators = table.get("outcome", blank), table.get("estimator", blank)
    marks = [touching(deviations, output, o, e) for o, e in zip(outcomes, estimators, strict=True)]
    return table.assign(deviation=marks)


def equivalence(
    effects: pd.DataFrame,
    sesoi: Mapping[str, float],
    alpha: float = 0.05,
    registration: Registration | None = None,
    deviations: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Test that differences in means are smaller than the smallest effect of interest.

    Two one-sided tests (Schuirmann 1987): `p_lower` against an effect of at most -sesoi, `p_upper`
    against one of at least +sesoi; `p_value` is the larger one and `statistic` belongs to it. The
    interval has level 1 - 2 alpha. Verdicts: `equivalent` (both tests reject), `larger` or
    `smaller` (the interval lies beyond the bound), `inconclusive`. Where `p_upper` is below alpha
    the contrast is not superior by as much as sesoi.

    Args:
        effects: from `effects`; its `dim` rows are used.
        sesoi: smallest effect of interest by outcome; outcomes without one are left out.
        alpha: one-sided level.
        registration, deviations: as in `effects`; the estimator is called `tost`.
    """
    rows = effects[(effects["estimator"] == "dim") & effects["outcome"].isin(sesoi)]
    table = rows[["outcome", "contrast", "estimate", "std_error", "df", "n"]].reset_index(drop=True)
    bound = table["outcome"].map(sesoi).astype(np.float64)
    lower = (table["estimate"] + bound) / table["std_error"]
    upper = (table["estimate"] - bound) / table["std_error"]
    df = table["df"].to_numpy()
    table["sesoi"] = bound
    table["p_lower"] = special.stdtr(df, -lower.to_numpy())
    table["p_upper"] = special.stdtr(df, upper.to_numpy())
    table["p_value"] = table[["p_lower", "p_upper"]].max(axis=1)
    table["statistic"] = np.where(table["p_lower"] >= table["p_upper"], lower, upper)
    margin = special.stdtrit(df, 1 - alpha) * table["std_error"]
    table["conf_low"], table["conf_high"] = table["estimate"] - margin, table["estimate"] + margin
    table["verdict"] = np.select(
        [
            table["std_error"].isna(),
            table["p_value"] < alpha,
            table["conf_low"] > bound,
            table["conf_high"] < -bound,
        ],
        ["not testable", "equivalent", "larger", "smaller"],
        default="inconclusive",
    )
    table.loc[table["std_error"].isna(), ["p_value", "statistic"]] = np.nan
    table["label"] = [
        label_of(registration, o, "tost", c) for o, c in zip(table["outcome"], table["contrast"], strict=True)
    ]
    return _marked(table, EQUIVALENCE, deviations)[list(EQUIVALENCE_COLUMNS)]


def power(
    effects: pd.DataFrame,
    sesoi: Mapping[str, float],
    alpha: float = 0.05,
    target: float = 0.8,
    deviations: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Say what the experiment could have found, from its standard errors alone.

    Nothing here depends on the estimates. `mde` is the effect that a two-sided test finds with
    probability `power` (Bloom 1995), `mde_holm` the same at the first step of Holm over the
    contrasts of an outcome, `power_at_sesoi` the probability to find an effect of sesoi, and
    `equivalence_margin` the smallest bound at which two one-sided tests would show equivalence
    with that probability if there were no effect.

    Args:
        effects: from `effects`.
        sesoi: smallest effect of interest by outcome.
        alpha: two-sided level.
        target: the power asked for.
        deviations: as in `effects`.
    """
    table = effects[["outcome", "estimator", "contrast", "std_error", "df", "n"]].reset_index(drop=True)
    error, df = table["std_error"].to_numpy(), table["df"].to_numpy()
    family = table.groupby(["outcome", "estimator"])["std_error"].transform("count").to_numpy()
    found = special.stdtrit(df, target)
    critical = special.stdtrit(df, 1 - alpha / 2)
    first = special.stdtrit(df, 1 - alpha / 2 / np.maximum(family, 1))
    table["alpha"], table["power"] = alpha, target
    table["mde"] = (critical + found) * error
    table["mde_holm"] = (first + found) * error
    table["sesoi"] = table["outcome"].map(sesoi).astype(np.float64)
    shift = table["sesoi"] / error
    table["power_at_sesoi"] = special.ndtr(shift - critical) + special.ndtr(-shift - critical)
    table["equivalence_margin"] = (
        special.stdtrit(df, 1 - alpha) + special.stdtrit(df, (1 + target) / 2)
    ) * error
    return _marked(table, "estimate/power.csv", deviations)[list(POWER_COLUMNS)]


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
    return _marked(found, "estimate/balance.csv", deviations)


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
    return _marked(found, "estimate/attrition.csv", deviations)
