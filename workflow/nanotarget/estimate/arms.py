"""Mean outcomes of the arms and the contrasts between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from nanotarget.calibrate import regression
from nanotarget.estimate.prognosis import prognostic_score
from nanotarget.estimate.trial import Strata, Trial
from nanotarget.study.config import CovariateConfig
from nanotarget.study.preregistration import contrast_name

MISSING = "(missing)"
# With fewer respondents in an arm the degrees of freedom are Welch's; with more the intervals differ by
# less than 2%.
SMALL_ARM = 50
# What degrees of freedom are.
RESIDUAL, CLUSTERS, WELCH, BELL_MCCAFFREY, NORMAL = (
    *("n - parameters", "clusters - 1", "Welch"),
    *("Bell-McCaffrey", "normal"),
)
# Respondents of the smallest arm that a column of the adjustment needs.
RESPONDENTS_PER_COLUMN = 10


@dataclass(frozen=True)
class ArmMeans:
    """Mean outcome of each arm, with or without adjustment.

    Attributes:
        mean, variance: one entry per arm; NaN where there is no estimate.
        df: residual degrees of freedom of the joint model (with clusters: clusters - 1).
        df_type: what `df` is: `RESIDUAL` or `CLUSTERS`.
        n: respondents in the model.
        notes: what is wrong with an arm, by arm.
        left_out: columns that could not be adjusted for.
        remarks: what else was done otherwise than asked for.
        se_type: of the variances.
        size: respondents of each arm in the model.
        arm_df: degrees of freedom of each arm's variance.
        model: the joint model, if the arms were not fitted one by one.
        place: coefficient of each arm in it.
        slope: derivative of each arm's value by that coefficient; 1 where it is the mean itself.
        shared: covariance of the means of two arms, where they have one without a joint model.
    """

    mean: dict[str, float]
    variance: dict[str, float]
    df: float
    n: int
    notes: dict[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    se_type: regression.SeType = "HC2"
    size: dict[str, int] = field(default_factory=dict)
    arm_df: dict[str, float] = field(default_factory=dict)
    model: regression.Fit | None = None
    place: dict[str, int] = field(default_factory=dict)
    slope: dict[str, float] = field(default_factory=dict)
    shared: Mapping[tuple[str, str], float] = field(default_factory=dict)
    df_type: str = RESIDUAL

    def combination(self, on: Mapping[str, float], welch: bool | None = None) -> Combination:
        """Return a linear combination of arm means with its standard error and degrees of freedom.

        Degrees of freedom are n - parameters; those of Welch (1947) if an arm has fewer than `SMALL_ARM`
        respondents, because then the larger variance can belong to the smaller arm; those of Bell & McCaffrey
        (2002) with clusters.

        Args:
            on: coefficient of each arm.
            welch: whether to use Welch's, whatever the size of the arms; None for the rule above.
        """
        estimate = sum(c * self.mean[arm] for arm, c in on.items())
        if self.model is not None:
            row = np.zeros(len(self.model.coef))
            places = [self.place[arm] for arm in on]
            row[places] = [c * self.slope.get(arm, 1.0) for arm, c in on.items()]
            block = self.model.vcov[np.ix_(places, places)]
            variance = float(row[places] @ block @ row[places])
            df = float(regression.contrast(self.model, row)["df"].iloc[0])
            kind = BELL_MCCAFFREY if self.model.se_type == "CR2" else RESIDUAL
            return Combination(estimate, float(np.sqrt(max(variance, 0.0))), df, self.n, kind)
        parts = np.array([c**2 * self.variance[arm] for arm, c in on.items()])
        common = sum(on[a] * on[b] * self.shared.get((a, b), 0.0) for a in on for b in on if a != b)
        error = float(np.sqrt(parts.sum() + common))
        if welch or (welch is None and min(self.size[arm] for arm in on) < SMALL_ARM):
            df = regression.welch_df(parts, np.array([self.arm_df[arm] for arm in on]))
            return Combination(estimate, error, df, sum(self.size[arm] for arm in on), WELCH)
        return Combination(estimate, error, self.df, self.n, self.df_type)


class Combination(NamedTuple):
    """A linear combination of arm means; `n` respondents are behind its degrees of freedom of `df_type`."""

    estimate: float
    error: float
    df: float
    n: int
    df_type: str


@dataclass(frozen=True)
class ArmColumns:
    """What the models of the arms are fitted on.

    Attributes:
        usable: arms that can be estimated, in order.
        members: (n,) rows of each arm.
        y: (n,) outcome.
        strata: the blocks within which arms are compared, and the survey weights.
        z: (n, k) centred columns of the covariates.
        clusters: (n,) unit that was randomised as a whole; None where that is the respondent.
        notes, left_out, remarks: as in `ArmMeans`.
    """

    usable: list[str]
    members: dict[str, np.ndarray]
    y: np.ndarray
    strata: Strata
    z: np.ndarray
    clusters: np.ndarray | None
    notes: dict[str, str]
    left_out: tuple[str, ...]
    remarks: tuple[str, ...]

    def without(self, notes: Mapping[str, str]) -> ArmColumns:
        """Return the columns without some arms, for the reasons given."""
        usable = [name for name in self.usable if name not in notes]
        return replace(self, usable=usable, notes={**self.notes, **notes})

    @property
    def rows(self) -> np.ndarray:
        """(n,) members of a usable arm."""
        chosen = np.zeros(len(self.y), dtype=bool)
        for name in self.usable:
            chosen |= self.members[name]
        return chosen

    @property
    def dummies(self) -> np.ndarray:
        """(rows, arms) indicators of the usable arms, for the rows of `rows`."""
        members = np.array([self.members[name] for name in self.usable], dtype=np.float64)
        return members.reshape(len(self.usable), len(self.y))[:, self.rows].T

    @property
    def w(self) -> np.ndarray:
        """(n,) survey weights."""
        return self.strata.weight

    @property
    def controls(self) -> np.ndarray:
        """(n, b + k) columns of blocks and covariates."""
        return np.hstack([self.strata.columns, self.z])

    def interacted(self) -> np.ndarray:
        """Return the columns of the fully interacted model: indicators of usable arms, then products."""
        controls, dummies = self.controls[self.rows], self.dummies
        return np.hstack([dummies, *(dummies[:, [i]] * controls for i in range(dummies.shape[1]))])


def arm_columns(
    trial: Trial, outcome: str, adjust: Sequence[CovariateConfig] = (), everybody: bool = False
) -> ArmColumns:
    """Prepare the columns of the models, and say which arms and columns can be used.

    Too many covariates for the smallest arm become one prognostic score: more columns than a tenth of its
    respondents (Harrell, Lee & Mark 1996; Lei & Ding 2021 show that the adjustment is biased and its standard
    error too small when columns are many relative to respondents). An arm too small for even one column is
    not adjusted.

    Args:
        trial: its respondents who were randomised.
        outcome: its name.
        adjust: covariates.
        everybody: keep those without the outcome, too: they are no members of their arm, but count in means
            of columns and sizes of blocks. Else they are left out.
    """
    trial = trial.among(trial.table["arm"].notna()) if everybody else trial.observed(outcome)
    arms, y, w, clusters = trial.arms, trial.y(outcome), trial.weight, trial.scheme.clusters
    members = {name: trial.members(name) & ~np.isnan(y) for name in arms}
    notes = {}
    for name in arms:
        if members[name].sum() < 2:
            notes[name] = f"fewer than two observed respondents in '{name}'"
        elif clusters is not None and len(np.unique(clusters[members[name]])) < 2:
            notes[name] = f"fewer than two clusters in '{name}'"
        elif adjust and members[name].sum() < RESPONDENTS_PER_COLUMN:
            notes[name] = f"too few respondents in '{name}' for the adjustment"
    usable = [name for name in arms if name not in notes]
    strata = trial.scheme.strata(w, [members[name] for name in usable])
    blocks, remarks = strata.columns, list(strata.remarks)
    z, names = covariate_columns(trial, adjust)
    smallest = min((int(members[name].sum()) for name in usable), default=0)
    if usable and z.shape[1] > max(smallest / RESPONDENTS_PER_COLUMN, 1):
        code = pd.Index(arms).get_indexer(trial.table["arm"].astype("str"))
        score = prognostic_score(z, y, w, code, trial.scheme.unit)
        remarks.append(
            f"adjusted for one prognostic score: {z.shape[1]} columns are too many for {smallest} respondents"
        )
        z, names = score[:, None], ["prognostic score"]
    for name in list(usable):
        if members[name].sum() <= 1 + blocks.shape[1] + z.shape[1]:
            notes[name] = f"too few respondents in '{name}' for the adjustment"
            usable.remove(name)
    keep = adjustable(z, [members[name] for name in usable], blocks)
    left_out = tuple(dict.fromkeys(name for name, kept in zip(names, keep, strict=True) if not kept))
    return ArmColumns(usable, members, y, strata, z[:, keep], clusters, notes, left_out, tuple(remarks))


def arm_means(
    trial: Trial,
    outcome: str,
    adjust: Sequence[CovariateConfig] = (),
    se_type: regression.SeType | None = None,
    additive: bool = False,
) -> ArmMeans:
    """Estimate the mean outcome of every arm.

    Without covariates this is the regression on arm dummies; with them the fully interacted
    regression of Lin (2013) on covariates centred over all observed respondents. With blocks the
    dummies of the blocks are interacted in the same way: the mean of an arm is then its mean in each
    block, averaged by the size of the blocks. That is unbiased whatever the shares of the arms in the
    blocks; block fixed effects would weigh blocks by n p (1 - p) instead (Imai 2008; Gerber & Green
    2012, section 3.6.1).

    The interacted models separate by arm, so each arm is fitted alone: the HC2 covariance between
    arms is zero and an arm that cannot be estimated does not spoil the others. Clusters (CR2) and the
    other variances are those of one model of all arms that can be estimated.

    Args:
        trial: those without the outcome are left out.
        outcome: its name.
        adjust: covariates of the adjustment; none for the unadjusted means.
        se_type: of the standard errors; by default CR2 where units larger than a respondent were
            randomised, else HC2.
        additive: one common slope for all arms instead of Lin's (analysis of covariance).
    """
    columns = arm_columns(trial, outcome, adjust)
    se_type = se_type or ("HC2" if columns.clusters is None else "CR2")
    if se_type == "HC2" and not additive:
        return _one_by_one(columns, trial.arms)
    return _together(columns, trial.arms, se_type, additive)


def _one_by_one(columns: ArmColumns, arms: Sequence[str]) -> ArmMeans:
    mean, variance = dict.fromkeys(arms, np.nan), dict.fromkeys(arms, np.nan)
    notes, sizes, dfs = dict(columns.notes), dict.fromkeys(arms, 0), dict.fromkeys(arms, np.nan)
    controls = columns.controls
    for name in columns.usable:
        rows = columns.members[name]
        x = np.column_stack([np.ones(rows.sum()), controls[rows]])
        model = regression.fit(x, columns.y[rows], "HC2", weights=columns.w[rows])
        mean[name], variance[name] = float(model.coef[0]), float(model.vcov[0, 0])
        sizes[name], dfs[name] = model.n, model.df
        if np.isnan(variance[name]):
            notes[name] = f"too few respondents in '{name}' for the adjustment"
    df = float(sum(dfs[name] for name in columns.usable))
    n = sum(sizes.values())
    return ArmMeans(mean, variance, df, n, notes, columns.left_out, columns.remarks, size=sizes, arm_df=dfs)


def _together(
    columns: ArmColumns, arms: Sequence[str], se_type: regression.SeType, additive: bool
) -> ArmMeans:
    mean, variance = dict.fromkeys(arms, np.nan), dict.fromkeys(arms, np.nan)
    notes, sizes = dict(columns.notes), dict.fromkeys(arms, 0)
    if not columns.usable:
        return ArmMeans(mean, variance, 0.0, 0, notes, columns.left_out, columns.remarks, se_type, sizes)
    rows, dummies = columns.rows, columns.dummies
    clusters = None if columns.clusters is None else columns.clusters[rows]
    x = np.hstack([dummies, columns.controls[rows]]) if additive else columns.interacted()
    model = regression.fit(x, columns.y[rows], se_type, clusters, columns.w[rows])
    place = {name: i for i, name in enumerate(columns.usable)}
    for name, i in place.items():
        mean[name], variance[name] = float(model.coef[i]), float(model.vcov[i, i])
        sizes[name] = int(columns.members[name].sum())
        if np.isnan(variance[name]):
            notes[name] = f"too few respondents in '{name}' for the adjustment"
    return ArmMeans(
        mean,
        variance,
        model.df_wald,
        model.n,
        notes,
        columns.left_out,
        columns.remarks,
        se_type,
        sizes,
        model=model,
        place=place,
    )


def covariate_columns(trial: Trial, covariates: Sequence[CovariateConfig]) -> tuple[np.ndarray, list[str]]:
    """Return the centred columns of an adjustment and their names.

    A numeric covariate is one column, missing values set to the mean, and a second column that
    marks them if there are any. A categorical one has one column per level but the first (and one for
    missing values, if there are any).

    Args:
        trial: (n) respondents; means are weighted.
        covariates: in order.
    """
    columns: list[np.ndarray] = []
    names: list[str] = []
    for covariate in covariates:
        values = trial.table[covariate.name]
        missing = values.isna().to_numpy()
        if covariate.kind == "numeric":
            numbers = values.to_numpy(np.float64)
            columns.append(np.where(missing, 0.0, numbers - _mean(numbers[~missing], trial.weight[~missing])))
            names.append(covariate.name)
        else:
            for level in [str(level) for level in covariate.levels or []][1:]:
                columns.append((values.astype("str") == level).to_numpy(np.float64))
                names.append(f"{covariate.name}: {level}")
        if missing.any():
            columns.append(missing.astype(np.float64))
            names.append(f"{covariate.name}: {MISSING}")
    z = np.column_stack(columns) if columns else np.empty((len(trial.table), 0))
    return (z - np.average(z, axis=0, weights=trial.weight) if len(z) else z), names


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float(np.average(values, weights=weights)) if len(values) else 0.0


def adjustable(z: np.ndarray, members: Sequence[np.ndarray], blocks: np.ndarray | None = None) -> np.ndarray:
    """Say which columns every arm can be adjusted for.

    A column must vary in every arm beyond a single respondent (whose value it would fit exactly)
    and must not be a combination of blocks and earlier columns there.

    Args:
        z: (n, k) columns.
        members: (n,) booleans an arm.
        blocks: (n, b) columns of blocks, if there are any.

    Returns:
        (k,) booleans.
    """
    blocks = np.empty((len(z), 0)) if blocks is None else blocks
    keep = np.ones(z.shape[1], dtype=bool)
    for rows in members:
        for j in range(z.shape[1]):
            counts = np.unique(z[rows, j], return_counts=True)[1]
            keep[j] &= rows.sum() - counts.max() >= 2
    for rows in members:
        candidates = np.flatnonzero(keep)
        x = np.column_stack([np.ones(rows.sum()), blocks[rows], z[rows][:, candidates]])
        independent = regression.orthogonalise(x)[2]
        first = 1 + blocks.shape[1]
        aliased = np.setdiff1d(np.arange(first, x.shape[1]), independent)
        keep[candidates[aliased - first]] = False
    return keep


def contrasts(trial: Trial, means: ArmMeans, welch: bool | None = None) -> pd.DataFrame:
    """Compare every later arm with every earlier one.

    Args:
        trial: gives arms and alpha.
        means: from `arm_means`.
        welch: as in `ArmMeans.combination`.

    Returns:
        contrast, estimate ... df, n, df_type, note; an impossible comparison is NaN and its note says why.
    """
    rows = []
    for later, earlier in trial.pairs:
        notes = obstacles(means, later, earlier)
        difference = Combination(np.nan, np.nan, np.nan, means.n, "")
        if not notes:
            difference = means.combination({later: 1.0, earlier: -1.0}, welch)
            if difference.error == 0:
                notes.append("the outcome does not vary in either arm")
                difference = Combination(np.nan, np.nan, np.nan, difference.n, "")
        note = "; ".join([*notes, *departures(means)])
        rows.append((contrast_name(later, earlier), *difference, note))
    columns = ["contrast", "value", "error", "df", "n", "df_type", "note"]
    return tidied(pd.DataFrame(rows, columns=columns), trial.alpha)


def tidied(rows: pd.DataFrame, alpha: float, null: float = 0.0) -> pd.DataFrame:
    """Return t tests and intervals of contrasts.

    Args:
        rows: contrast, value, error, df, and other columns that are kept.
        alpha, null: as in `regression.tidy`.
    """
    value, error, df = (rows[c].to_numpy(np.float64) for c in ("value", "error", "df"))
    estimates = regression.tidy(value, error, df, alpha, null)
    return rows.drop(columns=["value", "error", "df"]).join(estimates)


class ArmValues(NamedTuple):
    """A value of each usable arm, their covariance and the degrees of freedom of t tests."""

    value: np.ndarray
    covariance: np.ndarray
    df: float


def compared(trial: Trial, columns: ArmColumns, values: ArmValues | None, trouble: str = "") -> pd.DataFrame:
    """Compare every later arm with every earlier one by values of a model of all arms together.

    Args:
        trial: gives arms and alpha.
        columns: of the model, which say what is wrong with an arm.
        values: of `columns.usable`; None if there is no fit.
        trouble: why there is no fit.

    Returns:
        As `contrasts`.
    """
    place = {name: i for i, name in enumerate(columns.usable)}
    rows = []
    for later, earlier in trial.pairs:
        notes = obstacles(columns, later, earlier)
        estimate = error = df = np.nan
        if not notes and values is not None:
            i, j = place[later], place[earlier]
            estimate, df = values.value[i] - values.value[j], values.df
            v = values.covariance
            error = np.sqrt(v[i, i] + v[j, j] - 2 * v[i, j])
        elif not notes:
            notes.append(trouble)
        note = "; ".join([*notes, *departures(columns)])
        rows.append((contrast_name(later, earlier), estimate, error, df, note))
    table = pd.DataFrame(rows, columns=["contrast", "value", "error", "df", "note"])
    kind = np.where(table["df"].isna(), "", RESIDUAL if columns.clusters is None else CLUSTERS)
    return tidied(table.assign(n=int(columns.rows.sum()), df_type=kind), trial.alpha)


def obstacles(means: ArmMeans | ArmColumns, later: str, earlier: str) -> list[str]:
    """Return why two arms cannot be compared."""
    return [means.notes[arm] for arm in (earlier, later) if arm in means.notes]


def departures(means: ArmMeans | ArmColumns) -> list[str]:
    """Return what was done otherwise than asked for, in plain words."""
    left_out = [f"not adjusted for {', '.join(means.left_out)}"] if means.left_out else []
    return [*left_out, *means.remarks]
