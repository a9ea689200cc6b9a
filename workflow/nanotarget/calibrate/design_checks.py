"""Was the conjoint survey run as designed? Tests of it, and what they flag in sentences."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.calibrate import regression
from nanotarget.calibrate.conjoint import dummies, own_design, with_constant
from nanotarget.calibrate.multiplicity import adjusted
from nanotarget.calibrate.regression import Wald
from nanotarget.petitions.design import Design, pair_counts, quasi_independent
from nanotarget.study.config import CovariateConfig

CHECK_COLUMNS = ("check", "item", "statistic", "df1", "df2", "p_value", "p_adjusted", "n", "verdict")
# What a flag of each check means, of the items that it flags.
FLAWS = {
    "frequency": "levels of {} were not shown as often as the design says",
    "independence": "{} were not shown independently of each other",
    "position": "levels of {} were shown more often at some positions than at others",
    "within_task": "levels of {} in the petitions of one task go together",
    "balance": "the petitions shown go with the respondents' {}",
    "profile_order": "effects of {} depend on the position of the petition",
    "fatigue": "effects of {} change from task to task",
    "carry_over": "effects of {} depend on the task before",
    "row_order": "effects of {} depend on the row in which it stands",
}
SEE = "see calibrate/design_checks.csv"
# Pearson's statistic follows its distribution if few cells are expected less often (Cochran 1954).
EXPECTED, SHARE = 5, 0.8
GROUPS = 5  # of a number with more than twice as many values


class Survey(NamedTuple):
    """What was recorded of a survey.

    Attributes:
        profiles: `contracts.calibration_profiles`.
        respondents: `contracts.calibration_respondents`.
        covariates: of the respondents, to balance.
        rows: `contracts.attribute_rows`, where the order of attributes was drawn; None elsewhere.
    """

    profiles: pd.DataFrame
    respondents: pd.DataFrame
    covariates: Sequence[CovariateConfig]
    rows: pd.DataFrame | None = None


Row = tuple[str, str, Wald, int]
UNTESTABLE = Wald(np.nan, 0, np.nan, np.nan)


def design_checks(survey: Survey, design: Design, outcome: str, alpha: float = 0.05) -> pd.DataFrame:
    """Check that the survey was randomised as designed and that its assumptions are plausible.

    - `frequency`: level counts of an attribute, and cell counts of a block with prohibitions,
      against the design (chi-squared).
    - `independence`: the joint counts of two attributes against what the design makes of their
      observed margins, impossible cells apart (chi-squared, quasi-independence).
    - `position`: the position of a petition in its task regressed on its levels.
    - `within_task`: do levels of two petitions of a task go together, or avoid each other (chi-squared)?
    - `balance`: a covariate against how often each respondent saw the levels; a number also in groups, as a
      line does not see what happens at one value of it.
    - `profile_order`, `fatigue`: does an attribute's effect depend on the profile's position, or
      change linearly with the number of the task?
    - `carry_over`: does what the same position showed in the task before matter?
    - `row_order`: does an attribute's effect change linearly with the row in which it stood, where the order
      of attributes was drawn?

    `position` and the last four are F tests with standard errors clustered by respondent (CR1), corrected
    for the number of contrasts beside the number of respondents (`regression.hotelling`). `balance` is an F
    test of canonical correlations (Wilks' lambda, Rao 1951): randomisation makes what people saw independent
    and alike, whatever the covariate is. P values are adjusted by Holm over *all* tests: a survey that was
    run as designed gets a flag, any flag, with probability alpha at most.

    Frequencies and joint counts are not tested where they are taken from the survey (`design.dependent`),
    nor are attributes that follow from others. Where an attribute was hidden, its levels are tested among the
    profiles that show it.

    Args:
        survey: what was recorded.
        design: the study's design.
        outcome: its name (`RESPONSES`).
        alpha: level of all verdicts together.

    Returns:
        check, item, statistic, df1, df2 (missing for chi-squared), p_value, p_adjusted, n
        (profiles used), verdict (`ok`, `flag` = adjusted p below alpha, `not testable`).
    """
    profiles = survey.profiles
    design = own_design(profiles, design.declared)
    rows = [
        *_check_frequency(profiles, design),
        *_check_independence(profiles, design),
        *_check_position(profiles, design),
        *_check_within_task(profiles, design),
        *_check_balance(survey, design),
        *_check_stability(profiles, design, outcome),
        *_check_carry_over(profiles, design, outcome),
        *_check_row_order(survey, design, outcome),
    ]
    table = pd.DataFrame(
        [(check, item, t.statistic, t.df1, t.df2, t.p_value, n) for check, item, t, n in rows],
        columns=["check", "item", "statistic", "df1", "df2", "p_value", "n"],
    )
    table["p_adjusted"] = adjusted(table["p_value"])
    flagged = np.where(table["p_adjusted"] < alpha, "flag", "ok")
    table["verdict"] = np.where(table["p_adjusted"].isna(), "not testable", flagged)
    return table[list(CHECK_COLUMNS)]


def design_flags(checks: pd.DataFrame, profiles: pd.DataFrame, design: Design) -> list[str]:
    """Say in sentences what the checks flagged, and what was never shown.

    Args:
        checks: from `design_checks`.
        profiles: `contracts.calibration_profiles`.
        design: the study's design, as the profiles show it.
    """
    flagged = checks[checks["verdict"] == "flag"]
    flags = [
        f"design: {FLAWS[check].format(listed_names(rows['item']))} ({SEE})."
        for check, rows in flagged.groupby("check", sort=False)
    ]
    return [*flags, *unseen_flags(profiles, design)]


def unseen_flags(profiles: pd.DataFrame, design: Design) -> list[str]:
    """Say in sentences what petitions, and pairs of petitions, nobody saw; arguments as `design_flags`."""
    together = _apart(profiles, own_design(profiles, design))
    return [*together, *_never_shown(design), *_hidden(profiles, design)]


def listed_names(names: Sequence[str], limit: int = 8) -> str:
    """Write names for a sentence, at most `limit` of them."""
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _never_shown(design: Design) -> Iterator[str]:
    """Name what nobody saw although the design would have shown it."""
    never = design.shown.never if design.shown else ()
    if not never:
        return
    texts = [
        " with ".join(
            f"{design.names[a]} '{design.attributes[a].levels[level]}'"
            for a, levels in combination
            for level in levels
        )
        for combination in never
    ]
    them = "it" if len(never) == 1 else "them"
    what = f"never: nobody saw {listed_names(texts, 3)}, although the design would have shown {them}"
    if design.assign_never_shown:
        yield (
            f"{what}. They can be assigned, as 'never_shown: assign' says: on the assumption that levels do "
            "not interact."
        )
    else:
        yield (
            f"{what}. No petition with {'it' if len(never) == 1 else 'one of them'} is assigned. If that is "
            "the design, say so at design.prohibited or design.dependent; if it may be assigned all the "
            "same, write 'never_shown: assign'."
        )


def _apart(profiles: pd.DataFrame, design: Design) -> Iterator[str]:
    """Name attributes of which a level never meets another, or itself, within a task."""
    unlike = []
    for a, attribute in enumerate(design.attributes):
        counts, expected = _meetings(profiles, design, a)
        missing = np.argwhere((counts == 0) & (expected > np.log(counts.size * len(design.shape) / 0.001)))
        pairs = sorted({(min(pair), max(pair)) for pair in missing.tolist()})
        if pairs == [(k, k) for k in range(len(counts))]:
            unlike.append(attribute.name)
        elif pairs:
            met = [f"'{attribute.visible[i]}' and '{attribute.visible[j]}'" for i, j in pairs]
            yield (
                f"task: levels of {attribute.name} never meet in a task: {listed_names(met, 3)}. Effects are "
                "averages over the petitions that stood beside it; against others they may differ."
            )
    if unlike:
        yield (
            f"task: no two petitions of a task have the same {listed_names(unlike)}. Surveys with minimal "
            "overlap are drawn so, and nothing has to be declared; effects are averages over petitions that "
            "differ, and may be others against a petition with the same level."
        )


def _hidden(profiles: pd.DataFrame, design: Design) -> Iterator[str]:
    """Say if nobody saw a petition that shows all that petitions to be assigned show."""
    able = [a for a, attribute in enumerate(design.attributes) if attribute.hidden == "allowed"]
    if not able:
        return
    codes = design.codes(profiles)
    shown = np.sum([codes[:, a] < len(design.attributes[a].visible) for a in able], axis=0)
    if len(shown) and shown.max() < len(able):
        many = f"exactly {shown.max()}" if shown.min() == shown.max() else f"at most {shown.max()}"
        yield (
            f"hidden: nobody saw a petition with all attributes ({many} of the {len(able)} that the design "
            "can hide), but all are shown in every petition that is assigned; what it gains rests on the "
            "assumption that attributes add up."
        )


def chi_squared(observed: np.ndarray, expected: np.ndarray, df: int) -> Wald:
    """Pearson's test; an observation where none is expected makes the statistic infinite.

    Not testable where too many cells are expected too rarely.
    """
    possible = expected > 0
    if df < 1 or (expected[possible] >= EXPECTED).mean() < SHARE:
        return Wald(np.nan, df, np.nan, np.nan)
    statistic = float(((observed - expected)[possible] ** 2 / expected[possible]).sum())
    if observed[~possible].any():
        statistic = np.inf
    return Wald(statistic, df, np.nan, float(special.chdtrc(df, statistic)))


def _visible(codes: np.ndarray, design: Design, *attributes: int) -> np.ndarray:
    """Return which profiles show all of some attributes."""
    return np.all([codes[:, a] < len(design.attributes[a].visible) for a in attributes], axis=0)


def _check_frequency(profiles: pd.DataFrame, design: Design) -> Iterator[Row]:
    codes = design.codes(profiles)
    for block in design.blocks:
        known = design.is_declared(block)
        for a in block.attributes:
            shown = codes[_visible(codes, design, a), a]
            share = design.level_probabilities(a)[: len(design.attributes[a].visible)]
            expected = len(shown) * share / share.sum()
            observed = np.bincount(shown, minlength=len(share))
            test = chi_squared(observed, expected, int((share > 0).sum()) - 1) if known else UNTESTABLE
            yield "frequency", design.names[a], test, len(shown)
    for block in design.blocks:
        if len(block.attributes) > 1 and design.is_declared(block):
            item = " × ".join(design.names[a] for a in block.attributes)
            cell = block.cell_of(codes)
            observed = np.bincount(cell[cell >= 0], minlength=len(block.cells))
            test = chi_squared(observed, len(codes) * block.probabilities, len(block.cells) - 1)
            yield "frequency", item, test, len(codes)


def _check_independence(profiles: pd.DataFrame, design: Design) -> Iterator[Row]:
    codes = design.codes(profiles)
    joint_by_design = {
        pair
        for block in design.blocks
        if not design.is_declared(block)
        for pair in itertools.combinations(block.attributes, 2)
    }
    for pair in itertools.combinations(range(len(design.shape)), 2):
        visible = tuple(slice(len(design.attributes[a].visible)) for a in pair)
        shown = codes[_visible(codes, design, *pair)]
        counts = pair_counts(shown, design.shape, *pair)[visible]
        expected, df = quasi_independent(counts, design.joint_probabilities(pair)[visible])
        test = UNTESTABLE if pair in joint_by_design else chi_squared(counts, expected, df)
        yield "independence", " × ".join(design.names[a] for a in pair), test, len(shown)


def _check_position(profiles: pd.DataFrame, design: Design) -> Iterator[Row]:
    levels, slices = dummies(design.codes(profiles), design.shape)
    x, position = with_constant(levels), profiles["profile"].to_numpy()
    tested = [slice(1 + s.start, 1 + s.stop) for s in slices]
    last = int(position.max()) if len(position) else 1
    # Of two positions one says it all.
    for place in range(2, last + 1) if last < 3 else range(1, last + 1):
        tests = _joint_tests(x, (position == place).astype(np.float64), profiles, tested)
        for attribute, test in zip(design.attributes, tests, strict=True):
            yield (
                "position",
                attribute.name + (f" at position {place}" if last > 2 else ""),
                test,
                len(profiles),
            )


def _check_within_task(profiles: pd.DataFrame, design: Design) -> Iterator[Row]:
    if profiles["profile"].nunique() < 2:
        return
    for a, attribute in enumerate(design.attributes):
        counts, expected = _meetings(profiles, design, a)
        rows, columns = (np.count_nonzero(counts.sum(axis=axis)) for axis in (1, 0))
        test = chi_squared(counts, expected, int((rows - 1) * (columns - 1)))
        yield "within_task", attribute.name, test, int(counts.sum())


def _meetings(profiles: pd.DataFrame, design: Design, attribute: int) -> tuple[np.ndarray, np.ndarray]:
    """Count which levels of an attribute two petitions of a task have, and how often by their margins.

    Returns:
        (n_levels, n_levels) counts and expected counts, the earlier position in the rows; without the
        petitions that hide the attribute. Pairs of more than two positions are independent of each other
        under the design, though they share petitions, so that they are counted together.
    """
    n = len(design.attributes[attribute].visible)
    codes = design.codes(profiles)[:, attribute]
    task = profiles.groupby(["respondent_id", "task"], sort=False).ngroup().to_numpy()
    wide = np.full((task.max(initial=-1) + 1, int(profiles["profile"].max())), -1)
    wide[task, profiles["profile"].to_numpy() - 1] = np.where(codes < n, codes, -1)
    counts, expected = np.zeros((2, n, n))
    for one, other in itertools.combinations(wide.T, 2):
        both = (one >= 0) & (other >= 0)
        own = np.bincount(one[both] * n + other[both], minlength=n * n).reshape(n, n)
        counts += own
        expected += np.outer(own.sum(axis=1), own.sum(axis=0)) / max(own.sum(), 1)
    return counts, expected


def _check_balance(survey: Survey, design: Design) -> Iterator[Row]:
    seen, n_seen = _exposure(survey.profiles, survey.respondents, design)
    for covariate in survey.covariates:
        for item, values in _as_tested(survey.respondents[covariate.name], covariate):
            known = ~np.isnan(values).any(axis=1) & (n_seen > 0)
            yield "balance", item, _independent(seen[known], values[known]), int(n_seen[known].sum())


def _exposure(
    profiles: pd.DataFrame, respondents: pd.DataFrame, design: Design
) -> tuple[np.ndarray, np.ndarray]:
    """Return what respondents saw, of one variance for all under the design, and the number of profiles.

    Returns:
        (n_respondents, total levels) sums of level indicators less their means, divided by the root of the
        number of profiles; and (n_respondents,) that number.
    """
    person = pd.Index(respondents["respondent_id"]).get_indexer(profiles["respondent_id"])
    codes = design.codes(profiles)
    shown = np.hstack([np.eye(size)[codes[:, a]] for a, size in enumerate(design.shape)])
    total = np.zeros((len(respondents), shown.shape[1]))
    np.add.at(total, person[person >= 0], (shown - shown.mean(axis=0))[person >= 0])
    n = np.bincount(person[person >= 0], minlength=len(respondents))
    return total / np.sqrt(np.maximum(n, 1))[:, None], n


def _as_tested(values: pd.Series, covariate: CovariateConfig) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what a covariate is tested as, (n, k): a number itself and in groups, levels as indicators."""
    if covariate.kind != "numeric":
        yield covariate.name, _indicators(pd.Categorical(values).codes)
        return
    numbers = values.to_numpy(dtype=np.float64)
    yield covariate.name, numbers[:, None]
    known = numbers[~np.isnan(numbers)]
    distinct = np.unique(known)
    if len(distinct) > 2 * GROUPS:
        edges = np.unique(np.quantile(known, np.arange(1, GROUPS) / GROUPS, method="inverted_cdf"))
        group = np.searchsorted(edges, numbers)
    else:
        group = np.searchsorted(distinct, numbers)
    if len(distinct) > 2:
        yield f"{covariate.name} (in groups)", _indicators(np.where(np.isnan(numbers), -1, group))


def _indicators(group: np.ndarray) -> np.ndarray:
    """Return (n, n_groups) indicators of groups, NaN where there is none (-1)."""
    table = np.eye(int(group.max(initial=0)) + 1)[group]
    table[group < 0] = np.nan
    return table


def _independent(one: np.ndarray, other: np.ndarray) -> Wald:
    """Test that two sets of variables, (n, p) and (n, q), are uncorrelated: Wilks' lambda, Rao's F (1951)."""
    bases = [_basis(values) for values in (one, other)]
    (n, p), q = bases[0].shape, bases[1].shape[1]
    if p == 0 or q == 0:
        return Wald(np.nan, p * q, np.nan, np.nan)
    square = (p * q) ** 2 - 4
    root = float(np.sqrt(square / (p**2 + q**2 - 5))) if p**2 + q**2 > 5 and square > 0 else 1.0
    df2 = root * (n - 1 - (p + q + 1) / 2) - p * q / 2 + 1
    if df2 <= 0 or n - 1 - p - q < 1:
        return Wald(np.nan, p * q, np.nan, np.nan)
    correlations = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    wilks = float(np.prod(np.maximum(1 - correlations**2, 0))) ** (1 / root)
    if wilks <= 0:
        return Wald(np.inf, p * q, df2, 0.0)
    statistic = (1 - wilks) / wilks * df2 / (p * q)
    return Wald(statistic, p * q, df2, float(special.fdtrc(p * q, df2, statistic)))


def _basis(values: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis, (n, rank), of centred variables."""
    centred = values - values.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=0))
    varying = spread > 1e-10 * np.maximum(np.abs(values).max(axis=0, initial=0), 1)
    left, size, _ = np.linalg.svd(centred[:, varying] / spread[varying], full_matrices=False)
    return left[:, size > 1e-7]


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


def _check_row_order(survey: Survey, design: Design, outcome: str) -> Iterator[Row]:
    if survey.rows is None:
        return
    key = ["respondent_id", "task", "profile"]
    used = survey.profiles[survey.profiles[outcome].notna()]
    rows = used[key].merge(survey.rows, on=key, how="left", validate="1:1")
    y = used[outcome].to_numpy(np.float64)
    levels, slices = dummies(design.codes(used), design.shape)
    for attribute, own in zip(design.attributes, slices, strict=True):
        row = rows[attribute.name].to_numpy(np.float64)[:, None]
        row = np.nan_to_num(row - np.nanmean(row)) if len(row) else row
        x = with_constant(np.hstack([levels, row, levels[:, own] * row]))
        (test,) = _joint_tests(x, y, used, [slice(2 + levels.shape[1], x.shape[1])])
        yield "row_order", attribute.name, test, len(used)
