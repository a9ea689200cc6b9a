"""Do the arms do different things to different people? Effects in groups of respondents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import linalg, special

from nanotarget.calibrate import regression
from nanotarget.calibrate.multiplicity import adjusted
from nanotarget.calibrate.regression import Wald
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.clean.groups import suppressed_groups
from nanotarget.estimate.arms import ArmMeans, arm_columns, arm_means, contrasts
from nanotarget.estimate.tables import SHARES, SHRUNKEN, TAU, Table
from nanotarget.estimate.trial import Trial
from nanotarget.explore.shrinkage import shrink
from nanotarget.study.config import SubgroupConfig

UNIT = "(unit)"  # column of the outcome clusters of everybody, with codes that all groups share
ODDS = ("odds_ratio", "odds_low", "odds_high")


def interaction(means: Sequence[ArmMeans], arms: Sequence[str], joint: Joint | None = None) -> Wald:
    """Test whether the differences between arms are the same in all groups.

    F test of the arm x group interactions with HC2 variances; groups in which an arm cannot be
    estimated are left out.

    Args:
        means: of each group.
        arms: names, in order.
        joint: what the means of groups have in common where clusters were randomised: its clusters may
            have people in several groups.
    """
    tested = [i for i, m in enumerate(means) if not any(np.isnan(m.variance[arm]) for arm in arms)]
    if len(tested) < 2:
        return Wald(np.nan, 0, np.nan, np.nan)
    chosen = [means[i] for i in tested]
    mean = np.array([m.mean[arm] for m in chosen for arm in arms])
    by_group = np.hstack([-np.ones((len(tested) - 1, 1)), np.eye(len(tested) - 1)])
    by_arm = np.hstack([-np.ones((len(arms) - 1, 1)), np.eye(len(arms) - 1)])
    rows = np.kron(by_group, by_arm)
    if joint is not None:
        slope = np.array([m.slope.get(arm, 1.0) for m in chosen for arm in arms])
        covariance, df = joint.covariance(tested)
        return regression.f_test(rows @ mean, (rows * slope) @ covariance @ (rows * slope).T, df)
    variance = np.array([m.variance[arm] for m in chosen for arm in arms])
    return regression.f_test(rows @ mean, (rows * variance) @ rows.T, sum(m.df for m in chosen))


@dataclass(frozen=True, eq=False)
class Joint:
    """Groups of a clustered experiment together: one model of all arms in all groups, with CR2 errors.

    Attributes:
        trial: the experiment.
        outcome: its name.
        members: (n,) rows of each group.
    """

    trial: Trial
    outcome: str
    members: Sequence[np.ndarray]

    @classmethod
    def of(cls, trial: Trial, outcome: str, members: Sequence[np.ndarray]) -> Joint | None:
        """Put groups together where clusters were randomised; None where people were."""
        return None if trial.scheme.clusters is None else cls(trial, outcome, members)

    def model(self, groups: Sequence[int]) -> tuple[regression.Fit, np.ndarray]:
        """Fit the means of all arms in some groups; also return the (groups, arms) place of each mean."""
        whole = self.trial.with_columns(**{UNIT: self.trial.scheme.unit})
        parts = [whole.among(self.members[i]) for i in groups]
        columns = [arm_columns(part, self.outcome) for part in parts]
        clusters = [
            part.observed(self.outcome).table[UNIT].to_numpy()[own.rows]
            for part, own in zip(parts, columns, strict=True)
        ]
        x = linalg.block_diag(*(own.interacted() for own in columns))
        y, w = (np.concatenate([getattr(own, name)[own.rows] for own in columns]) for name in "yw")
        codes = pd.factorize(np.concatenate(clusters))[0]
        first = np.cumsum([0, *(own.interacted().shape[1] for own in columns[:-1])])
        places = first[:, None] + np.arange(len(self.trial.arms))
        return regression.fit(x, y, "CR2", codes, w), places

    def covariance(self, groups: Sequence[int]) -> tuple[np.ndarray, float]:
        """Return the covariance of all arms' means in some groups, and degrees of freedom of F tests."""
        model, places = self.model(groups)
        return model.vcov[np.ix_(places.ravel(), places.ravel())], model.df_wald

    def difference(self, later: str, earlier: str, alpha: float) -> pd.DataFrame:
        """Return a contrast in the first of two groups less that in the second."""
        model, places = self.model([0, 1])
        row = np.zeros(len(model.coef))
        for arm, sign in ((later, 1.0), (earlier, -1.0)):
            row[places[:, list(self.trial.arms).index(arm)]] = sign, -sign
        return regression.contrast(model, row, alpha)


def subgroups(trial: Trial, groupings: Sequence[SubgroupConfig], min_cell: int) -> pd.DataFrame:
    """Estimate every contrast in groups of respondents (difference in means, HC2).

    Of a binary outcome these are differences in shares; see `odds_ratios` for where shares are high or low.

    Args:
        trial: its covariates say what kind of covariate a grouping is by.
        groupings: from the config.
        min_cell: groups with fewer observed respondents in an arm are suppressed, and enough
            others to hide them (see `suppressed_groups`).

    Returns:
        The columns of `Table.SUBGROUPS`, sorted as the config lists groupings, groups, outcomes and
        contrasts. `interaction_*` tests all groups of a grouping with `min_cell` respondents in every arm
        together (also those hidden only to hide others); `p_adjusted` is by Holm over the published groups of
        a grouping, outcome and contrast. `shrunken*` and `tau*` are from `shrink`, over the same groups (NaN
        with fewer than three). Every row is exploratory.
    """
    return trial.published(_in_groups(trial, groupings, min_cell, _as_they_are), Table.SUBGROUPS)


def odds_ratios(trial: Trial, groupings: Sequence[SubgroupConfig], min_cell: int) -> pd.DataFrame:
    """Estimate every contrast of a binary outcome in groups as a difference in log odds.

    Where nearly everybody signs, a difference in shares has no room: an interaction that is there in
    shares and gone in log odds may be a ceiling and no more.

    Args:
        trial: of its outcomes the binary ones are analysed, 0 or 1.
        groupings, min_cell: as in `subgroups`.

    Returns:
        The columns of `Table.ODDS_RATIOS`: as `subgroups`, estimates in log odds with errors by the delta
        method from the HC2 variances of the shares; `share_ref` and `share_other` of the earlier and the
        later arm, `odds_ratio` with its interval. NaN with a note where nobody or everybody in an arm has a
        1.
    """
    binary = replace(trial, outcomes=[outcome for outcome in trial.outcomes if outcome.kind == "binary"])
    parts = _in_groups(binary, groupings, min_cell, _in_log_odds)
    for part in parts:
        part[list(ODDS)] = np.exp(part[["estimate", "conf_low", "conf_high"]].astype(np.float64))
    return trial.published(parts, Table.ODDS_RATIOS)


def mobilisation(trial: Trial, grouping: SubgroupConfig, base: str, min_cell: int) -> pd.DataFrame:
    """Set the base, whose support is to be mobilised, against all others, who would have to be persuaded.

    Args:
        trial: its covariates say what kind of covariate the grouping is by.
        grouping: by pre-treatment support.
        base: the name of one of its groups.
        min_cell: as in `subgroups`.

    Returns:
        The columns of `Table.MOBILISATION`: for every outcome and contrast the effect in the base (of
        signing: the mobilisation), the effect among the grouping's other respondents, and the first less the
        second. All three are suppressed where the base is in `subgroups`, or the others are too few.

    Raises:
        ValueError: if the grouping has no group of that name.
    """
    names, codes = trial.groups(grouping)
    place = names.index(base)
    others = f"all but {base}"
    parts = []
    for outcome in trial.outcome_names:
        known = _known(trial, outcome)
        counts = _cells(trial, known, codes, len(names))
        small = (counts.sum(axis=0) - counts[place] < min_cell).any()
        hidden = bool(suppressed_groups(counts, min_cell)[place] or small)
        inside, outside = (
            contrasts(trial, arm_means(trial.among(known & rows), outcome))
            for rows in (codes == place, (codes >= 0) & (codes != place))
        )
        difference = _difference(inside, outside, trial.alpha)
        joint = Joint.of(trial, outcome, [known & (codes == place), known & (codes >= 0) & (codes != place)])
        if joint is not None:
            for i, pair in enumerate(trial.pairs):
                if difference.loc[i, ["std_error"]].notna().all():
                    own = joint.difference(*pair, trial.alpha)
                    difference.loc[i, list(own.columns)] = own.iloc[0].to_numpy()
        for name, quantity, part in zip(
            (base, others, base),
            ("mobilisation", "persuasion", "mobilisation - persuasion"),
            (inside, outside, difference),
            strict=True,
        ):
            part = _blanked(part.assign(suppressed=hidden))
            parts.append(part.assign(grouping=grouping.name, group=name, quantity=quantity, outcome=outcome))
    return trial.published(parts, Table.MOBILISATION)


def _difference(one: pd.DataFrame, other: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Compare the contrasts of two groups of different people."""
    error = np.hypot(one["std_error"], other["std_error"]).to_numpy()
    df = np.where(np.isnan(error), np.nan, one["df"] + other["df"])
    difference = regression.tidy((one["estimate"] - other["estimate"]).to_numpy(), error, df, alpha)
    notes = [
        "; ".join(dict.fromkeys(filter(None, both))) for both in zip(one["note"], other["note"], strict=True)
    ]
    return difference.assign(contrast=one["contrast"], n=one["n"] + other["n"], note=notes)


Scale = Callable[[ArmMeans, Sequence[str]], ArmMeans]


def _as_they_are(means: ArmMeans, arms: Sequence[str]) -> ArmMeans:
    return means


def _in_log_odds(means: ArmMeans, arms: Sequence[str]) -> ArmMeans:
    """Turn shares into log odds: Var(logit p) = Var(p) / (p (1 - p))^2."""
    mean, variance, slope, notes = {}, {}, {}, dict(means.notes)
    for arm in arms:
        share = means.mean[arm]
        inside = 0 < share < 1
        mean[arm] = float(np.log(share / (1 - share))) if inside else np.nan
        slope[arm] = 1 / (share * (1 - share)) if inside else np.nan
        variance[arm] = means.variance[arm] * slope[arm] ** 2
        if not inside and arm not in notes:
            notes[arm] = f"{'everybody' if share >= 1 else 'nobody'} in '{arm}' has a 1: no odds"
    return replace(means, mean=mean, variance=variance, notes=notes, slope=slope)


def _in_groups(
    trial: Trial, groupings: Sequence[SubgroupConfig], min_cell: int, scale: Scale
) -> list[pd.DataFrame]:
    """Return the estimates of every grouping and outcome."""
    return [
        _grouped(trial, outcome, trial.groups(grouping), min_cell, scale).assign(grouping=grouping.name)
        for grouping in groupings
        for outcome in trial.outcome_names
    ]


def _known(trial: Trial, outcome: str) -> np.ndarray:
    """(n,) who was randomised and answered."""
    return (trial.table[outcome].notna() & trial.table["arm"].notna()).to_numpy()


def _cells(trial: Trial, known: np.ndarray, codes: np.ndarray, groups: int) -> np.ndarray:
    """(groups, arms) respondents."""
    inside = known & (codes >= 0)
    return np.column_stack(
        [np.bincount(codes[inside & trial.members(arm)], minlength=groups) for arm in trial.arms]
    )


def _blanked(rows: pd.DataFrame) -> pd.DataFrame:
    """Take the numbers out of suppressed rows."""
    blank = rows["suppressed"].to_numpy()
    rows = rows.assign(n=rows["n"].astype("Int64"))
    numbers = [c for c in (*ESTIMATE_COLUMNS, *SHARES) if c in rows and c != "n"]
    rows.loc[blank, numbers] = np.nan
    rows.loc[blank, "n"] = pd.NA
    rows.loc[blank, [c for c in ("df_type", "note") if c in rows]] = ""
    return rows


def _grouped(
    trial: Trial, outcome: str, groups: tuple[list[str], np.ndarray], min_cell: int, scale: Scale
) -> pd.DataFrame:
    names, codes = groups
    known = _known(trial, outcome)
    counts = _cells(trial, known, codes, len(names))
    raw = [arm_means(trial.among(known & (codes == i)), outcome) for i in range(len(names))]
    means = [scale(m, trial.arms) for m in raw]
    hidden = suppressed_groups(counts, min_cell)
    rows = pd.concat(
        [
            contrasts(trial, m).assign(
                group=name,
                suppressed=bool(hide),
                share_ref=[shares.mean[earlier] for _, earlier in trial.pairs],
                share_other=[shares.mean[later] for later, _ in trial.pairs],
            )
            for m, shares, name, hide in zip(means, raw, names, hidden, strict=True)
        ],
        ignore_index=True,
    )
    rows = _blanked(rows)
    rows["p_adjusted"] = adjusted(rows["p_value"], rows["contrast"])
    rows = _with_shrunken(rows, trial.alpha)
    # A variance from a handful of answers (or of equal ones: zero) would pass for knowledge.
    large = [i for i, cells in enumerate(counts) if (cells >= min_cell).all()]
    joint = Joint.of(trial, outcome, [known & (codes == i) for i in large])
    test = interaction([means[i] for i in large], trial.arms, joint)
    return rows.assign(
        outcome=outcome,
        interaction_f=test.statistic,
        interaction_df1=test.df1,
        interaction_df2=test.df2,
        interaction_p=test.p_value,
    )


def _with_shrunken(rows: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Add shrunken estimates of each contrast over its published groups, which alone they depend on."""
    rows = rows.assign(**dict.fromkeys((*SHRUNKEN, *TAU), np.nan))
    for contrast in rows["contrast"].unique():
        place = (rows["contrast"] == contrast).to_numpy()
        family = rows[place]
        shrunken = shrink(family["estimate"].to_numpy(float), family["std_error"].to_numpy(float), alpha)
        margin = special.ndtri(1 - alpha / 2) * shrunken.error
        rows.loc[place, list(SHRUNKEN)] = np.column_stack(
            [shrunken.mean, shrunken.error, shrunken.mean - margin, shrunken.mean + margin]
        )
        rows.loc[place, list(TAU)] = shrunken.tau, shrunken.tau_low, shrunken.tau_high
    return rows
