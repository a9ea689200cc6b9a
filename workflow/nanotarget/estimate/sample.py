"""Are the arms comparable? Balance of covariates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from nanotarget.estimate.arms import MISSING
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial
from nanotarget.study.config import CovariateConfig, normalised
from nanotarget.study.disclosure import hidden_cells, small
from nanotarget.study.preregistration import contrast_name

PLACES = 3  # of means that must not tell of how many people they are


def balance(trial: Trial, more: Iterable[Trial] = ()) -> pd.DataFrame:
    """Compare covariates between arms among everyone who was randomised.

    The standardised difference is (mean of the later arm - mean of the earlier arm) divided by
    the root of the mean of the two variances (Austin 2009). Levels of a categorical covariate are
    compared as shares, among those who answered; missing values are one more row. Survey weights are
    ignored: it is the randomisation that is examined, not the population; `population` is what the config
    says of it.

    Args:
        trial: the people, or a part of them.
        more: the other parts of very many people.
    """
    moments = _moments(trial)
    for other in more:
        for key, found in _moments(other).items():
            moments[key] = moments[key].with_(found) if key in moments else found
    nobody = Moments(0, np.nan, np.nan)
    rows = []
    for covariate in trial.covariates:
        for level in _levels(covariate, moments):
            known = _population(covariate, level)
            for later, earlier in trial.pairs:
                groups = [moments.get((covariate.name, level, arm), nobody) for arm in (earlier, later)]
                means = [group.mean for group in groups]
                pooled = np.sqrt(sum(group.variance for group in groups) / 2)
                difference = (means[1] - means[0]) / pooled if pooled > 0 else np.nan
                name = contrast_name(later, earlier)
                sizes = [group.n for group in groups]
                rows.append((covariate.name, level, name, *means, difference, known, *sizes))
    table = pd.DataFrame(rows, columns=list(Table.BALANCE.columns[:-1]))
    return trial.published([table], Table.BALANCE)


def published_balance(table: pd.DataFrame, min_cell: int) -> pd.DataFrame:
    """Take from a table of balance what would tell something about few people.

    A level that fewer people of an arm have is hidden, with the next smallest one, as all shares make one.
    Where few people of an arm lack a covariate, so is their share, and how many have the covariate; its means
    are rounded, as the exact share k / n tells n.

    Args:
        table: from `balance`.
        min_cell: fewest people.
    """
    table = table.copy()
    means, sizes = ["mean_ref", "mean_other"], ["n_ref", "n_other"]
    counts = table[means].to_numpy(np.float64) * table[sizes].to_numpy(np.float64)
    table[sizes] = table[sizes].astype("Int64")
    levels = table["level"].fillna("").to_numpy()
    for rows in table.groupby("covariate", sort=False).indices.values():
        missing, named = rows[levels[rows] == MISSING], rows[~np.isin(levels[rows], ["", MISSING])]
        if len(named):
            per_level = [
                counts[named[levels[named] == level]].ravel() for level in dict.fromkeys(levels[named])
            ]
            hidden = hidden_cells(np.array(per_level), min_cell).repeat(len(named) // len(per_level))
            table.loc[table.index[named[hidden]], [*means, "std_diff"]] = np.nan
        if small(counts[missing], min_cell).any():
            table.loc[table.index[missing], [*means, "std_diff"]] = np.nan
            others = table.index[np.setdiff1d(rows, missing)]
            table.loc[others, sizes] = pd.NA
            table.loc[others, [*means, "std_diff"]] = table.loc[others, [*means, "std_diff"]].round(PLACES)
    return table


class Moments(NamedTuple):
    """Number, mean and variance (divided by n - 1) of some values; missing where there are too few."""

    n: int
    mean: float
    variance: float

    @classmethod
    def of(cls, values: np.ndarray) -> Moments:
        """Return those of values, of which missing ones do not count."""
        values = values[~np.isnan(values)]
        n = len(values)
        return cls(n, values.mean() if n else np.nan, values.var(ddof=1) if n > 1 else np.nan)

    def with_(self, other: Moments) -> Moments:
        """Return those of these values and others together (Chan, Golub & LeVeque 1983)."""
        if not (self.n and other.n):
            return self if self.n else other
        n = self.n + other.n
        apart = other.mean - self.mean
        squares = sum(part.variance * (part.n - 1) for part in (self, other) if part.n > 1)
        squares += apart**2 * self.n * other.n / n
        return Moments(n, self.mean + apart * other.n / n, squares / (n - 1))


def _moments(trial: Trial) -> dict[tuple[str, str, str], Moments]:
    """Return what the people of each arm are like, by covariate, level and arm."""
    members = {arm: trial.members(arm) for arm in trial.arms}
    return {
        (covariate.name, level, arm): Moments.of(values[who])
        for covariate in trial.covariates
        for level, values in _balanced(trial.table[covariate.name], covariate)
        for arm, who in members.items()
    }


def _levels(covariate: CovariateConfig, moments: Mapping[tuple[str, str, str], Moments]) -> list[str]:
    """Return the levels to compare; missing values are one where somebody has none."""
    known = [str(level) for level in covariate.levels or []] or [""]
    somebody = any(
        name == covariate.name and level == MISSING and found.mean > 0
        for (name, level, _), found in moments.items()
    )
    return [*known, MISSING] if somebody else known


def _population(covariate: CovariateConfig, level: str) -> float:
    """Return the mean or share of a level that the config gives for the population; NaN if it gives none."""
    if covariate.kind == "numeric":
        known = None if level else covariate.population_mean
    else:
        shares = {normalised(name): share for name, share in covariate.population_shares.items()}
        known = shares.get(normalised(level))
    return np.nan if known is None else float(known)


def _balanced(values: pd.Series, covariate: CovariateConfig) -> Iterator[tuple[str, np.ndarray]]:
    missing = values.isna().to_numpy()
    if covariate.kind == "numeric":
        yield "", values.to_numpy(np.float64)
    else:
        for level in [str(level) for level in covariate.levels or []]:
            yield level, np.where(missing, np.nan, values == level)
    yield MISSING, missing.astype(np.float64)
