"""Mean outcomes of the arms and the contrasts between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nanotarget import regression
from nanotarget.config import CovariateConfig
from nanotarget.preregistration import contrast_name

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
    keep = adjustable(z, [members[name] for name in usable])
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


def adjustable(z: np.ndarray, members: Sequence[np.ndarray]) -> np.ndarray:
    """Say which columns every arm can be adjusted for.

    A column must vary in every arm beyond a single respondent (whose value it would fit exactly)
    and must not be a combination of earlier columns there.

    Args:
        z: (n, k) columns.
        members: (n,) booleans an arm.

    Returns:
        (k,) booleans.
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
