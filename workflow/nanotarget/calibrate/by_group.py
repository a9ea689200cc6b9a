"""Do groups of people like different levels? Means and effects by group, differences, joint tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import linalg, special

from nanotarget.calibrate import conjoint, regression
from nanotarget.calibrate.conjoint import Analysis
from nanotarget.calibrate.multiplicity import CORRECTED, adjusted
from nanotarget.calibrate.regression import Fit, Wald
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.clean.groups import group_codes, suppressed_groups
from nanotarget.petitions.design import Design
from nanotarget.study.config import CovariateConfig, GroupConfig, GroupingConfig, SubgroupConfig

GROUP_COLUMNS = (
    *("outcome", "grouping", "quantity", "group", "minus", "attribute", "level", "reference"),
    *(*ESTIMATE_COLUMNS, "n_clusters", *CORRECTED, "suppressed"),
)
TEST_COLUMNS = (
    *("outcome", "grouping", "item", "test", "statistic", "df1", "df2", "p_value", "p_adjusted", "n"),
    "note",
)
KEYS = ["quantity", "attribute", "level", "reference"]
MEAN, EFFECT = "marginal_mean", "amce"
CLASSICAL, ROBUST = "classical F", "robust F"
WHOLE = "(all levels)"


class Grouping(NamedTuple):
    """Groups of respondents.

    Attributes:
        name: of the grouping.
        groups: names, in order.
        code: (n_profiles,) group of the respondent of each profile, -1 for none.
        suppressed: (n_groups,) whether a group is too small to be published, or hides one that is.
    """

    name: str
    groups: list[str]
    code: np.ndarray
    suppressed: np.ndarray

    @classmethod
    def of(
        cls,
        profiles: pd.DataFrame,
        respondents: pd.DataFrame,
        config: GroupingConfig,
        covariate: CovariateConfig,
        min_cell: int,
    ) -> Grouping:
        """Group the profiles of a survey by a covariate of their respondents.

        Args:
            profiles: `contracts.calibration_profiles`.
            respondents: `contracts.calibration_respondents`.
            config: the grouping.
            covariate: which it is by.
            min_cell: respondents of the smallest group that is published.
        """
        values = respondents[covariate.name]
        grouping = by_quantiles(values, config) if config.quantiles else config
        names, codes = group_codes(values, grouping, covariate)
        counts = np.bincount(codes[codes >= 0], minlength=len(names))
        there = np.flatnonzero(counts)  # a group of nobody has nothing to hide
        names, counts = [names[g] for g in there], counts[there]
        codes = np.where(codes >= 0, np.searchsorted(there, codes), -1)
        person = pd.Index(respondents["respondent_id"]).get_indexer(profiles["respondent_id"])
        return cls(config.name, names, codes[person], suppressed_groups(counts[:, None], min_cell))


def by_quantiles(values: pd.Series, config: GroupingConfig) -> SubgroupConfig:
    """Return groups of a number with about as many respondents each, named after what they span."""
    numbers = np.sort(values.dropna().to_numpy(np.float64))
    share = np.arange(1, (config.quantiles or 1) + 1) / (config.quantiles or 1)
    ends = np.unique(np.quantile(numbers, share, method="inverted_cdf"))
    groups, distinct = [], np.unique(numbers)
    for low, high in itertools.pairwise([-np.inf, *ends]):
        inside = distinct[(distinct > low) & (distinct <= high)]
        name = f"{inside[0]:g} to {inside[-1]:g}" if len(inside) > 1 else f"{inside[0]:g}"
        groups.append(GroupConfig(name=name, min=inside[0], max=inside[-1]))
    return SubgroupConfig(name=config.name, covariate=config.covariate, groups=groups)


def in_groups(profiles: pd.DataFrame, design: Design, grouping: Grouping, analysis: Analysis) -> pd.DataFrame:
    """Estimate marginal means and AMCEs in every group, and the differences between any two groups.

    Means are `conjoint.marginal_means`, effects `conjoint.level_contrasts`: of any two levels of an
    attribute. Groups are of different people, so that variances of differences are sums.

    Args:
        profiles: `contracts.calibration_profiles`; those without the outcome are left out.
        design: the study's design.
        grouping: of the profiles.
        analysis: how outcomes are analysed.

    Returns:
        `GROUP_COLUMNS`. `quantity` is `marginal_mean` or `amce` (of a level against `reference`); `minus` is
        the group that is subtracted, empty where none is. P values of differences are adjusted over the
        levels of all attributes and all pairs of groups (effects: those against the first level are one
        family, all others another). A suppressed group has no numbers, nor have its differences.
    """
    parts = {
        name: estimates(profiles[grouping.code == g], design, analysis)
        for g, name in enumerate(grouping.groups)
    }
    hidden = dict(zip(grouping.groups, grouping.suppressed, strict=True))
    rows = [part.assign(group=name, minus="", suppressed=hidden[name]) for name, part in parts.items()]
    for earlier, later in itertools.combinations(grouping.groups, 2):
        difference = _difference(parts[later], parts[earlier], analysis.alpha)
        rows.append(
            difference.assign(group=later, minus=earlier, suppressed=hidden[later] or hidden[earlier])
        )
    table = pd.concat(rows, ignore_index=True)
    blank = table["suppressed"].to_numpy(bool)
    table.loc[blank, [c for c in ESTIMATE_COLUMNS if c != "n"]] = np.nan
    table["n"] = table["n"].astype("Int64").mask(blank)
    table["n_clusters"] = table["n_clusters"].mask(blank)
    first = {attribute.name: attribute.levels[0] for attribute in design.attributes}
    against_first = (table["reference"] == table["attribute"].map(first)).to_numpy()
    compared = (table["minus"] != "").to_numpy()
    family = [table["quantity"].to_numpy(), against_first, compared]
    for column, method in CORRECTED.items():
        table[column] = adjusted(table["p_value"], *family, method=method).where(compared)
    table = table.assign(outcome=analysis.outcome, grouping=grouping.name)
    return table[list(GROUP_COLUMNS)]


def estimates(rows: pd.DataFrame, design: Design, analysis: Analysis) -> pd.DataFrame:
    """Estimate marginal means of all levels, and effects of any two: `KEYS`, ESTIMATE_COLUMNS, n_clusters."""
    means = conjoint.marginal_means(
        rows, design, analysis.outcome, analysis.se_type, analysis.alpha, analysis.null
    )
    effects = conjoint.level_contrasts(rows, design, analysis)
    parts = [means.assign(quantity=MEAN, reference=""), effects.assign(quantity=EFFECT)]
    return pd.concat(parts, ignore_index=True)


def _difference(one: pd.DataFrame, other: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Subtract the estimates of a group from those of another, row by row."""
    both = one.merge(other, on=KEYS, suffixes=("", "_other"), validate="1:1", sort=False)
    error = np.hypot(both["std_error"], both["std_error_other"]).to_numpy(np.float64)
    estimate = (both["estimate"] - both["estimate_other"]).to_numpy(np.float64)
    df = (both["df"] + both["df_other"]).to_numpy(np.float64)
    return regression.tidy(estimate, error, df, alpha).assign(
        **{key: both[key] for key in KEYS},
        n=both["n"] + both["n_other"],
        n_clusters=both["n_clusters"] + both["n_clusters_other"],
    )


def group_tests(
    profiles: pd.DataFrame, design: Design, grouping: Grouping, analysis: Analysis
) -> pd.DataFrame:
    """Test whether groups answer alike: one main-effects model for all of them against one for each.

    `classical F` compares sums of squares, as R's `anova` and cregg's `cj_anova` do: it takes every profile
    for a draw of its own. `robust F` is a Wald test with the standard errors of the analysis, clustered by
    respondent, with Hotelling's correction (`regression.hotelling`): this is the one to report. Groups that
    are suppressed, or answered nothing, are left out.

    Args:
        profiles, design, grouping, analysis: as in `in_groups`.

    Returns:
        `TEST_COLUMNS`: all levels and the constant (`WHOLE`) by both tests, and the levels of each attribute
        by the robust one; `p_adjusted` is by Holm over attributes.
    """
    answered = profiles[analysis.outcome].notna().to_numpy()
    design = conjoint.own_design(profiles[answered], design)
    kept = [
        g
        for g, hide in enumerate(grouping.suppressed)
        if not hide and (answered & (grouping.code == g)).any()
    ]
    if len(kept) < 2:
        nothing = Wald(np.nan, 0, np.nan, np.nan)
        return _tests([(WHOLE, ROBUST, nothing, "fewer than two groups are left")], grouping, analysis, 0)
    members = [profiles[answered & (grouping.code == g)] for g in kept]
    levels, slices = conjoint.dummies(design.codes(pd.concat(members)), design.shape)
    x = conjoint.with_constant(levels)
    ends = np.cumsum([0, *map(len, members)])
    designs = [x[start:end] for start, end in itertools.pairwise(ends)]
    models = [conjoint.fit(own, rows, analysis) for own, rows in zip(designs, members, strict=True)]
    found = [(WHOLE, CLASSICAL, _classical(x, members, designs, analysis), "")]
    everything = [(WHOLE, np.arange(x.shape[1]))]
    own = [(a.name, 1 + np.arange(s.start, s.stop)) for a, s in zip(design.attributes, slices, strict=True)]
    for item, columns in everything + own:
        known = [k for k in columns if not any(np.isnan(model.coef[k]) for model in models)]
        lost = len(columns) - len(known)
        note = f"without {lost} levels that some group did not see, or saw always together" if lost else ""
        found.append((item, ROBUST, _alike(models, known), note))
    return _tests(found, grouping, analysis, len(x))


def _tests(
    found: Sequence[tuple[str, str, Wald, str]], grouping: Grouping, analysis: Analysis, n: int
) -> pd.DataFrame:
    rows = [(item, test, *astuple(result), note) for item, test, result, note in found]
    table = pd.DataFrame(rows, columns=["item", "test", "statistic", "df1", "df2", "p_value", "note"])
    by_attribute = table["item"] != WHOLE
    table["p_adjusted"] = adjusted(table["p_value"].where(by_attribute))
    return table.assign(outcome=analysis.outcome, grouping=grouping.name, n=n)[list(TEST_COLUMNS)]


def _classical(
    x: np.ndarray, members: Sequence[pd.DataFrame], designs: Sequence[np.ndarray], analysis: Analysis
) -> Wald:
    """Compare the residual sums of squares of one model for all and of one for each group."""
    everybody, rank = _squares(x, pd.concat(members), analysis)
    parts = [_squares(own, rows, analysis) for own, rows in zip(designs, members, strict=True)]
    squares, ranks = (sum(values) for values in zip(*parts, strict=True))
    df1, df2 = int(ranks - rank), float(len(x) - ranks)
    if df1 < 1 or df2 < 1 or squares <= 0:
        return Wald(np.nan, df1, df2, np.nan)
    statistic = (everybody - squares) / df1 / (squares / df2)
    return Wald(float(statistic), df1, df2, float(special.fdtrc(df1, df2, statistic)))


def _squares(x: np.ndarray, rows: pd.DataFrame, analysis: Analysis) -> tuple[float, int]:
    """Return the weighted residual sum of squares, and the rank of the model."""
    root = np.sqrt(rows["weight"].to_numpy(np.float64))
    q = regression.orthogonalise(x * root[:, None])[0]
    y = rows[analysis.outcome].to_numpy(np.float64) * root
    residual = y - q @ (q.T @ y)
    return float(residual @ residual), q.shape[1]


def _alike(models: Sequence[Fit], columns: Sequence[int]) -> Wald:
    """Test that coefficients are the same in all groups, which are of different people."""
    k = len(columns)
    estimate = np.concatenate([model.coef[columns] for model in models])
    covariance = linalg.block_diag(*(model.vcov[np.ix_(columns, columns)] for model in models))
    against_first = np.hstack([-np.ones((len(models) - 1, 1)), np.eye(len(models) - 1)])
    rows = np.kron(against_first, np.eye(k))
    df2 = sum(model.df_wald for model in models)
    return regression.hotelling(regression.f_test(rows @ estimate, rows @ covariance @ rows.T, df2))


def all_groupings(
    profiles: pd.DataFrame, design: Design, groupings: Sequence[Grouping], analyses: Sequence[Analysis]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return `in_groups` and `group_tests` of every outcome and grouping."""
    pairs: Iterator[tuple[Analysis, Grouping]] = itertools.product(analyses, groupings)
    found = [
        (in_groups(profiles, design, grouping, analysis), group_tests(profiles, design, grouping, analysis))
        for analysis, grouping in pairs
    ]
    tables, tests = zip(*found, strict=True)
    return pd.concat(tables, ignore_index=True), pd.concat(tests, ignore_index=True)
