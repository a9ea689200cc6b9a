"""What the conjoint survey says on average, and whether it was run as designed.

AMCEs, marginal means and design checks. Attributes and levels enter as codes; their texts only
label rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.calibrate import regression
from nanotarget.calibrate.multiplicity import adjusted
from nanotarget.calibrate.regression import SeType, Wald
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.petitions.design import Block, Design
from nanotarget.study.config import CovariateConfig
from nanotarget.study.problems import listed

AMCE_COLUMNS = ("outcome", "attribute", "level", *ESTIMATE_COLUMNS, "n_clusters", "estimator", "support")
MARGINAL_MEAN_COLUMNS = ("outcome", "attribute", "level", *ESTIMATE_COLUMNS, "n_clusters")
CHECK_COLUMNS = ("check", "item", "statistic", "df1", "df2", "p_value", "p_adjusted", "n", "verdict")


def dummies(codes: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, list[slice]]:
    """Return level dummies without references, and the columns of each attribute.

    Args:
        codes: (n, n_attributes) level indices.
        shape: number of levels of each attribute.

    Returns:
        (n, sum(levels - 1)) zeros and ones, and one slice of its columns an attribute.
    """
    ends = np.cumsum([levels - 1 for levels in shape])
    slices = [slice(int(end) - levels + 1, int(end)) for end, levels in zip(ends, shape, strict=True)]
    columns = [codes[:, [a]] == np.arange(1, levels) for a, levels in enumerate(shape)]
    return np.hstack(columns).astype(np.float64), slices


def with_constant(x: np.ndarray) -> np.ndarray:
    """Return x with a leading column of ones."""
    return np.column_stack([np.ones(len(x)), x])


def amce(
    profiles: pd.DataFrame, design: Design, outcome: str, se_type: SeType, alpha: float = 0.05
) -> pd.DataFrame:
    """Estimate average marginal component effects against each attribute's reference level.

    Estimator `main_effects` is weighted least squares on the dummies of all attributes. A design
    with prohibited combinations also gets `restricted` (Hainmueller, Hopkins & Yamamoto 2014,
    section 3): attributes that are randomised jointly are fully interacted, and the effect of a
    level is averaged over those combinations of the other attributes of its block that the design
    allows with the level and with the reference, weighted with the design's probability of the
    combination. Both cluster by respondent unless `se_type` is HC2.

    Args:
        profiles: `contracts.calibration_profiles`; rows without the outcome are left out.
        design: the study's design.
        outcome: its name (`RESPONSES`).
        se_type: type of the standard errors, see `regression.fit`.
        alpha: intervals have level 1 - alpha.

    Returns:
        One row an estimator, attribute and level, in that order; the reference level has estimate
        0 and no standard error. `n` is the number of profiles in the model and `n_clusters` of
        respondents (missing without clustering). `support` is the share of the design's
        probability of the comparable combinations that was shown and is averaged over.
    """
    used = profiles[profiles[outcome].notna()]
    tables = [_main_effects(used, design, outcome, se_type, alpha)]
    if any(len(block.attributes) > 1 for block in design.blocks):
        tables.append(_restricted(used, design, outcome, se_type, alpha))
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "outcome", outcome)
    return table[list(AMCE_COLUMNS)]


def _fit(x: np.ndarray, used: pd.DataFrame, outcome: str, se_type: SeType) -> regression.Fit:
    return regression.fit(
        x,
        used[outcome].to_numpy(np.float64),
        se_type,
        used["respondent_id"].to_numpy(),
        used["weight"].to_numpy(np.float64),
    )


def _levels_table(
    design: Design, estimates: pd.DataFrame, model: regression.Fit, support: np.ndarray
) -> pd.DataFrame:
    """Put estimates of non-reference levels (in design order) beside the reference levels."""
    keys = [(a.name, level, i) for a in design.attributes for i, level in enumerate(a.levels)]
    table = pd.DataFrame(keys, columns=["attribute", "level", "position"])
    others = (table.pop("position") > 0).to_numpy()
    for column in estimates:
        table[column] = np.nan
        table.loc[others, column] = estimates[column].to_numpy()
    table.loc[~others, "estimate"] = 0.0
    table["support"] = np.nan
    table.loc[others, "support"] = support
    table["n"] = model.n
    table["n_clusters"] = pd.array([model.n_clusters] * len(table), dtype="Int64")
    return table


def _main_effects(
    used: pd.DataFrame, design: Design, outcome: str, se_type: SeType, alpha: float
) -> pd.DataFrame:
    codes = design.codes(used)
    levels, slices = dummies(codes, design.shape)
    x = with_constant(levels)
    model = _fit(x, used, outcome, se_type)
    estimates = regression.contrast(model, np.eye(x.shape[1])[1:], alpha)
    for i, columns in enumerate(slices):
        if not (codes[:, i] == 0).any():  # nothing to compare with
            estimates.iloc[columns] = np.nan
    shown = np.where(estimates["estimate"].isna(), 0.0, 1.0)
    return _levels_table(design, estimates, model, shown).assign(estimator="main_effects")


def _restricted(
    used: pd.DataFrame, design: Design, outcome: str, se_type: SeType, alpha: float
) -> pd.DataFrame:
    codes = design.codes(used)
    cells = [block.cell_of(codes) for block in design.blocks]
    shown = [np.unique(cell) for cell in cells]
    # The first cell shown of a block is the reference of the model: it has no column.
    columns = [cell[:, None] == present[1:] for cell, present in zip(cells, shown, strict=True)]
    x = with_constant(np.hstack(columns).astype(np.float64))
    model = _fit(x, used, outcome, se_type)

    rows = np.zeros((sum(design.shape) - len(design.shape), x.shape[1]))
    support = np.zeros(len(rows))
    ends = np.cumsum([levels - 1 for levels in design.shape])
    start = 1
    for block, present in zip(design.blocks, shown, strict=True):
        stop = start + len(present) - 1
        for attribute in block.attributes:
            for level in range(1, design.shape[attribute]):
                row = int(ends[attribute]) - design.shape[attribute] + level
                support[row], weights = _strata(block, attribute, level, present)
                rows[row, start:stop] = weights[present[1:]]
        start = stop
    estimates = regression.contrast(model, rows, alpha)
    estimates.loc[support == 0] = np.nan
    return _levels_table(design, estimates, model, support).assign(estimator="restricted")


def _strata(block: Block, attribute: int, level: int, present: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the share of comparable strata that was shown, and a weight on each cell of the block.

    A stratum is a combination of the block's other attributes. The weights average (cell with the
    level) - (cell with the reference) over the strata in which the design allows both, with the
    design's probability of the stratum (Hainmueller, Hopkins & Yamamoto 2014, equation 5).
    """
    position = block.attributes.index(attribute)
    radix = block.cells.max(axis=0) + 1
    radix[position] = 1
    others = block.cells.copy()
    others[:, position] = 0
    stratum = np.ravel_multi_index(tuple(others.T), tuple(radix))
    probability = np.bincount(stratum, weights=block.probabilities)
    treated = np.flatnonzero(block.cells[:, position] == level)
    reference = np.flatnonzero(block.cells[:, position] == 0)
    _, at_treated, at_reference = np.intersect1d(stratum[treated], stratum[reference], return_indices=True)
    treated, reference = treated[at_treated], reference[at_reference]
    mass = probability[stratum[treated]]
    seen = np.isin(treated, present) & np.isin(reference, present)
    weights = np.zeros(len(block.cells))
    if not seen.any():
        return 0.0, weights
    share = mass[seen] / mass[seen].sum()
    weights[treated[seen]] = share
    weights[reference[seen]] = -share
    return float(mass[seen].sum() / mass.sum()), weights


def marginal_means(
    profiles: pd.DataFrame,
    design: Design,
    outcome: str,
    se_type: SeType,
    alpha: float = 0.05,
    null: float = 0.0,
) -> pd.DataFrame:
    """Estimate the mean outcome of the profiles that show a level (Leeper, Hobolt & Tilley 2020).

    Each level's mean is a regression on a constant among the profiles with that level.

    Args:
        profiles, design, outcome, se_type, alpha: as in `amce`.
        null: mean that is tested, e.g. the share of choices a profile gets by chance.

    Returns:
        One row per attribute and level; `n` is the number of profiles with the level and
        `n_clusters` of respondents who saw one.
    """
    used = profiles[profiles[outcome].notna()]
    codes = design.codes(used)
    tables = []
    for i, attribute in enumerate(design.attributes):
        for j, level in enumerate(attribute.levels):
            shown = used[codes[:, i] == j]
            row = pd.DataFrame({"outcome": [outcome], "attribute": attribute.name, "level": level})
            row["n"] = len(shown)
            if len(shown):
                model = _fit(np.ones((len(shown), 1)), shown, outcome, se_type)
                row = row.join(regression.contrast(model, np.ones((1, 1)), alpha, null))
                row["n_clusters"] = pd.array([model.n_clusters], dtype="Int64")
            tables.append(row)
    return pd.concat(tables, ignore_index=True).reindex(columns=list(MARGINAL_MEAN_COLUMNS))


def design_checks(
    profiles: pd.DataFrame,
    respondents: pd.DataFrame,
    design: Design,
    covariates: Sequence[CovariateConfig],
    outcome: str,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Check that the survey was randomised as designed and that its assumptions are plausible.

    - `frequency`: level counts of an attribute, and cell counts of a block with prohibitions,
      against the design (chi-squared).
    - `independence`: the joint counts of two attributes against what the design makes of their
      observed margins, impossible cells apart (chi-squared, quasi-independence).
    - `balance`: a covariate (each level of a categorical one) regressed on all attributes.
    - `profile_order`, `fatigue`: does an attribute's effect depend on the profile's position, or
      change linearly with the number of the task?
    - `carry_over`: does what the same position showed in the task before matter?

    The last four are F tests with standard errors clustered by respondent (CR1), corrected for the
    number of contrasts beside the number of respondents (`regression.hotelling`). P values are
    adjusted by Holm within a check.

    Args:
        profiles: `contracts.calibration_profiles`.
        respondents: `contracts.calibration_respondents`.
        design: the study's design.
        covariates: to balance.
        outcome: its name (`RESPONSES`).
        alpha: level of the verdicts.

    Returns:
        check, item, statistic, df1, df2 (missing for chi-squared), p_value, p_adjusted, n
        (profiles used), verdict (`ok`, `flag` = adjusted p below alpha, `not testable`).
    """
    rows = [
        *_check_frequency(profiles, design),
        *_check_independence(profiles, design),
        *_check_balance(profiles, respondents, design, covariates),
        *_check_stability(profiles, design, outcome),
        *_check_carry_over(profiles, design, outcome),
    ]
    table = pd.DataFrame(
        [(check, item, t.statistic, t.df1, t.df2, t.p_value, n) for check, item, t, n in rows],
        columns=["check", "item", "statistic", "df1", "df2", "p_value", "n"],
    )
    table["p_adjusted"] = adjusted(table["p_value"], table["check"])
    flagged = np.where(table["p_adjusted"] < alpha, "flag", "ok")
    table["verdict"] = np.where(table["p_adjusted"].isna(), "not testable", flagged)
    return table[list(CHECK_COLUMNS)]


FLAWS = {
    "frequency": "levels of {} were not shown as often as the design says",
    "independence": "{} were not shown independently of each other",
    "balance": "the petitions shown go with the respondents' {}",
    "profile_order": "effects of {} depend on the position of the petition",
    "fatigue": "effects of {} change from task to task",
    "carry_over": "effects of {} depend on the task before",
}
MIN_EXPECTED = 10  # so many times the design would have shown a combination that was never shown


def design_warnings(checks: pd.DataFrame, profiles: pd.DataFrame, design: Design) -> list[str]:
    """Say in sentences what the checks flagged, and which combinations of two levels were never shown.

    Args:
        checks: from `design_checks`.
        profiles: `contracts.calibration_profiles`.
        design: the study's design.
    """
    flagged = checks[checks["verdict"] == "flag"]
    warnings = [
        f"The survey is not as it was designed: {FLAWS[check].format(', '.join(rows['item']))} (see "
        "calibrate/design_checks.csv)."
        for check, rows in flagged.groupby("check", sort=False)
    ]
    return warnings + _never_shown(profiles, design)


def _never_shown(profiles: pd.DataFrame, design: Design) -> list[str]:
    """Name combinations of two levels that nobody saw although the design would have shown them often."""
    codes, missed = design.codes(profiles), []
    for i in range(len(design.shape)):
        for j in range(i + 1, len(design.shape)):
            counts = np.zeros((design.shape[i], design.shape[j]))
            np.add.at(counts, (codes[:, i], codes[:, j]), 1)
            for a, b in np.argwhere((counts == 0) & (len(codes) * _joint(design, i, j) >= MIN_EXPECTED)):
                one, other = design.attributes[i], design.attributes[j]
                missed.append(f"{one.name} '{one.levels[a]}' with {other.name} '{other.levels[b]}'")
    if not missed:
        return []
    return [
        f"Combinations that nobody saw can be assigned, on the assumption that levels do not interact: "
        f"{listed(missed, 3)}. If they are impossible, say so at design.prohibited."
    ]


Row = tuple[str, str, Wald, int]


def chi_squared(observed: np.ndarray, expected: np.ndarray, df: int) -> Wald:
    """Pearson's test; an observation where none is expected makes the statistic infinite."""
    possible = expected > 0
    if df < 1:
        return Wald(np.nan, df, np.nan, np.nan)
    statistic = float(((observed - expected)[possible] ** 2 / expected[possible]).sum())
    if observed[~possible].any():
        statistic = np.inf
    return Wald(statistic, df, np.nan, float(special.chdtrc(df, statistic)))


def _check_frequency(profiles: pd.DataFrame, design: Design) -> Iterator[Row]:
    codes = design.codes(profiles)
    n = len(codes)
    for i, attribute in enumerate(design.attributes):
        expected = n * design.level_probabilities(i)
        observed = np.bincount(codes[:, i], minlength=len(expected))
        yield "frequency", attribute.name, chi_squared(observed, expected, int((expected > 0).sum()) - 1), n
    for block in design.blocks:
        if len(block.attributes) > 1:
            item = " × ".join(design.names[i] for i in block.attributes)
            cell = block.cell_of(codes)
            observed = np.bincount(cell[cell >= 0], minlength=len(block.cells))
            test = chi_squared(observed, n * block.probabilities, len(block.cells) - 1)
            yield "frequency", item, test, n


def _check_independence(profiles: pd.DataFrame, design: Design) -> Iterator[Row]:
    codes = design.codes(profiles)
    n = len(codes)
    for i in range(len(design.shape)):
        for j in range(i + 1, len(design.shape)):
            counts = np.zeros((design.shape[i], design.shape[j]))
            np.add.at(counts, (codes[:, i], codes[:, j]), 1)
            expected, df = quasi_independent(counts, _joint(design, i, j))
            yield (
                "independence",
                f"{design.names[i]} × {design.names[j]}",
                chi_squared(counts, expected, df),
                n,
            )


def _joint(design: Design, i: int, j: int) -> np.ndarray:
    """Return the design's joint probabilities of two attributes."""
    block = next(b for b in design.blocks if i in b.attributes)
    if j not in block.attributes:
        return np.outer(design.level_probabilities(i), design.level_probabilities(j))
    joint = np.zeros((design.shape[i], design.shape[j]))
    cells = tuple(block.cells[:, block.attributes.index(k)] for k in (i, j))
    np.add.at(joint, cells, block.probabilities)
    return joint


def quasi_independent(counts: np.ndarray, seed: np.ndarray) -> tuple[np.ndarray, int]:
    """Fit the margins of a table of counts to the association of a seed table.

    Iterative proportional fitting (Deming & Stephan 1940). With a seed of products this is the
    usual independence model, with zeros in the seed quasi-independence (Goodman 1968).

    Returns:
        Expected counts, and degrees of freedom: cells minus the rank of the margins.
    """
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    fitted = seed.astype(np.float64)
    for _ in range(1000):
        for axis, margin in ((1, rows), (0, columns)):
            total = fitted.sum(axis=axis)
            factor = np.divide(margin, total, out=np.zeros_like(total), where=total > 0)
            fitted = fitted * (factor[:, None] if axis == 1 else factor)
        if np.abs(fitted.sum(axis=1) - rows).max() <= 1e-10 * counts.sum():
            break
    at_row, at_column = np.nonzero(fitted)
    margins = np.zeros((len(at_row), sum(counts.shape)))
    margins[np.arange(len(at_row)), at_row] = 1
    margins[np.arange(len(at_row)), counts.shape[0] + at_column] = 1
    return fitted, len(at_row) - (int(np.linalg.matrix_rank(margins)) if len(at_row) else 0)


def _indicators(
    respondents: pd.DataFrame, covariates: Sequence[CovariateConfig]
) -> Iterator[tuple[str, pd.Series]]:
    """Yield what a covariate is tested as: itself, or each level of a categorical one."""
    for covariate in covariates:
        values = respondents[covariate.name]
        if covariate.kind == "numeric":
            yield covariate.name, values.astype(np.float64)
            continue
        levels = [str(level) for level in covariate.levels or []]
        # Of two levels the second says it all.
        for level in levels[1:] if len(levels) == 2 else levels:
            yield f"{covariate.name}: {level}", (values == level).astype(np.float64).where(values.notna())


def _check_balance(
    profiles: pd.DataFrame, respondents: pd.DataFrame, design: Design, covariates: Sequence[CovariateConfig]
) -> Iterator[Row]:
    x = with_constant(dummies(design.codes(profiles), design.shape)[0])
    person = pd.Index(respondents["respondent_id"]).get_indexer(profiles["respondent_id"])
    for item, values in _indicators(respondents, covariates):
        y = values.to_numpy()[person]
        known = (person >= 0) & ~np.isnan(y)
        (test,) = _joint_tests(x[known], y[known], profiles[known], [slice(1, x.shape[1])])
        yield "balance", item, test, len(y[known])


def _joint_tests(x: np.ndarray, y: np.ndarray, rows: pd.DataFrame, tested: Sequence[slice]) -> list[Wald]:
    """Test each slice of the columns of x, clustered by respondent."""
    identity = np.eye(x.shape[1])
    if len(y) == 0 or np.ptp(y) == 0:
        return [Wald(np.nan, len(identity[columns]), np.nan, np.nan) for columns in tested]
    weights = rows["weight"].to_numpy(np.float64)
    model = regression.fit(x, y, "CR1", rows["respondent_id"].to_numpy(), weights)
    return [regression.hotelling(regression.wald(model, identity[columns])) for columns in tested]


def _check_stability(profiles: pd.DataFrame, design: Design, outcome: str) -> Iterator[Row]:
    used = profiles[profiles[outcome].notna()]
    y = used[outcome].to_numpy(np.float64)
    levels, slices = dummies(design.codes(used), design.shape)
    position = (used["profile"].to_numpy()[:, None] == np.unique(used["profile"])[1:]).astype(np.float64)
    task = used["task"].to_numpy(np.float64)[:, None]
    for check, moderator in (
        ("profile_order", position),
        ("fatigue", task - task.mean() if len(task) else task),
    ):
        blocks = [levels[:, s][:, :, None] * moderator[:, None, :] for s in slices]
        interactions = [block.reshape(len(used), -1) for block in blocks]
        x = with_constant(np.hstack([levels, moderator, *interactions]))
        offset = 1 + levels.shape[1] + moderator.shape[1]
        factor = moderator.shape[1]
        tested = [slice(offset + s.start * factor, offset + s.stop * factor) for s in slices]
        for attribute, test in zip(design.attributes, _joint_tests(x, y, used, tested), strict=True):
            yield check, attribute.name, test, len(used)


def _check_carry_over(profiles: pd.DataFrame, design: Design, outcome: str) -> Iterator[Row]:
    codes = design.codes(profiles)
    key = ["respondent_id", "task", "profile"]
    before = pd.MultiIndex.from_arrays(
        [profiles["respondent_id"], profiles["task"] + 1, profiles["profile"]], names=key
    )
    previous = before.get_indexer(pd.MultiIndex.from_frame(profiles[key]))
    known = (previous >= 0) & profiles[outcome].notna().to_numpy()
    used = profiles[known]
    own = dummies(codes[known], design.shape)[0]
    earlier, slices = dummies(codes[previous[known]], design.shape)
    x = with_constant(np.hstack([own, earlier]))
    y = used[outcome].to_numpy(np.float64)
    offset = 1 + own.shape[1]
    tested = [slice(offset + s.start, offset + s.stop) for s in slices]
    for attribute, test in zip(design.attributes, _joint_tests(x, y, used, tested), strict=True):
        yield "carry_over", attribute.name, test, len(used)
