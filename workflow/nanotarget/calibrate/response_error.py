"""What response error does to averages of choices: reliability, corrected estimates beside the raw ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from nanotarget.calibrate import conjoint, regression
from nanotarget.calibrate.by_group import KEYS, MEAN, Grouping, estimates
from nanotarget.calibrate.conjoint import Analysis
from nanotarget.calibrate.reliability import (
    EXTRAPOLATED,
    GIVEN,
    LIKENESS,
    LINEAR,
    REPEATED,
    Agreement,
    Curve,
    Pairs,
    asked_twice,
    by_likeness,
    intraclass,
    options_of,
    straight_line,
)
from nanotarget.calibrate.resampled import Resampled, Sample, fixed, least_squares, ratio
from nanotarget.petitions.design import Design
from nanotarget.study.response import RESPONSES

GROUP = ("outcome", "grouping", "group")
INTERVAL = ("estimate", "std_error", "conf_low", "conf_high")
RELIABILITY_COLUMNS = (*GROUP, "quantity", "method", *INTERVAL, "n", "n_clusters", "used", "note")
CORRECTED_COLUMNS = (
    *("outcome", "grouping", "quantity", "group", "minus", "attribute", "level", "reference"),
    *("raw", "raw_std_error", "raw_low", "raw_high", *INTERVAL),
    *("boot_std_error", "boot_low", "boot_high", "method", "n", "n_clusters", "suppressed"),
)
AGREEMENT, ERROR, FACTOR = "agreement", "response_error", "factor"
ICC, ICC_DIFFERENCES = "icc", "icc_of_differences"
CHANCE = "answers agree hardly more often than by chance: nothing can be corrected"
LIKE_PROJOINT = "a straight line ends too low; for comparison with projoint"


class Survey(NamedTuple):
    """A conjoint survey, and what is known of how reliable its answers are.

    Attributes:
        profiles: `contracts.calibration_profiles`.
        again: `contracts.second_answers`; None where no task was asked twice.
        design: the petitions.
        alike: `CalibrationConfig.alike`.
        profiles_a_task: petitions of a task.
        given: agreement that is known from elsewhere; None to estimate it.
    """

    profiles: pd.DataFrame
    again: pd.DataFrame | None
    design: Design
    alike: int
    profiles_a_task: int
    given: float | None = None


@dataclass(frozen=True)
class Group:
    """Respondents who are looked at by themselves.

    Attributes:
        grouping, name: empty for everybody.
        rows: (n_profiles,) whether a profile is of one of them.
        sample: with weight for them only.
        suppressed: whether nothing of them is published.
    """

    grouping: str
    name: str
    rows: np.ndarray
    sample: Sample
    suppressed: bool = False


def groups_of(survey: Survey, groupings: Sequence[Grouping], sample: Sample) -> list[Group]:
    """Return everybody, and every group of every grouping."""
    person = sample.person(survey.profiles["respondent_id"])
    found = [Group("", "", np.ones(len(person), dtype=bool), sample)]
    for grouping in groupings:
        for g, (name, hide) in enumerate(zip(grouping.groups, grouping.suppressed, strict=True)):
            rows = grouping.code == g
            inside = np.zeros(len(sample.ids), dtype=bool)
            inside[person[rows]] = True
            found.append(Group(grouping.name, name, rows, sample.only(inside), bool(hide)))
    return found


@dataclass(frozen=True)
class Measured:
    """A group and how often its answers agree, by every method, the one to rely on first."""

    group: Group
    agreements: list[Agreement]

    @classmethod
    def of(cls, survey: Survey, outcome: str, group: Group) -> Measured:
        """Estimate the agreement of a group; of a suppressed one, and of ratings, there is none."""
        counts = RESPONSES[outcome].binary and not group.suppressed
        return cls(group, list(_agreements(survey, outcome, group)) if counts else [])

    @property
    def used(self) -> Agreement | None:
        """Return what corrections rely on; None if nothing can be corrected."""
        usable = (own for own in self.agreements if own.usable and own.method != LINEAR)
        return next(usable, None)


def _agreements(survey: Survey, outcome: str, group: Group) -> Iterator[Agreement]:
    response, sample = RESPONSES[outcome], group.sample
    options = options_of(response, survey.alike, survey.profiles_a_task)
    people = int((sample.weight > 0).sum())
    if survey.given is not None:
        yield Agreement(GIVEN, options, fixed(survey.given, sample), people, people)
    if survey.again is not None and outcome in survey.again:
        twice = asked_twice(survey.profiles, survey.again, response, sample)
        n = int((twice.influence != 0).sum())
        yield Agreement(REPEATED, options, twice, n, n)
    if response.paired and options == 2:
        pairs = Pairs.of(survey.profiles[group.rows], survey.design, outcome, sample)
        n, people = len(pairs.same), len(np.unique(pairs.person))
        if people > 2:
            yield Agreement(EXTRAPOLATED, options, Curve.fitted(pairs, sample).alike, n, people)
            yield Agreement(LINEAR, options, straight_line(pairs, sample), n, people)


def reliability(
    survey: Survey, outcome: str, measured: Sequence[Measured], alpha: float = 0.05
) -> pd.DataFrame:
    """Say how reliable the answers to an outcome are, for everybody and in every group.

    Of choices and of yes or no: the share of answers that agree, the response error and the factor by which
    it shrinks differences (`calibrate.reliability`). Of ratings: intraclass correlations; error of a rating
    averages out, so that nothing that is estimated from ratings is corrected.

    Args:
        survey: its answers.
        outcome: name of the outcome.
        measured: everybody first.
        alpha: intervals have level 1 - alpha.

    Returns:
        `RELIABILITY_COLUMNS`; `used` marks the method that corrections rely on.
    """
    of_one = _of_answers if RESPONSES[outcome].binary else _of_ratings
    rows = [
        dict(zip(GROUP, (outcome, own.group.grouping, own.group.name), strict=True)) | row
        for own in measured
        if not own.group.suppressed
        for row in of_one(survey, outcome, own, alpha)
    ]
    return pd.DataFrame(rows, columns=list(RELIABILITY_COLUMNS))


def _of_ratings(survey: Survey, outcome: str, own: Measured, alpha: float) -> Iterator[dict[str, object]]:
    if survey.again is None or outcome not in survey.again:
        return
    found = intraclass(survey.profiles, survey.again, outcome, own.group.sample)
    people = int((found.influence[:, 0] != 0).sum())
    size = {"n": people * survey.profiles_a_task, "n_clusters": people, "used": False, "note": ""}
    for quantity, row in zip((ICC, ICC_DIFFERENCES), _intervals(found, alpha), strict=True):
        yield {"quantity": quantity, "method": REPEATED} | row | size


def _of_answers(survey: Survey, outcome: str, own: Measured, alpha: float) -> Iterator[dict[str, object]]:
    for agreement in own.agreements:
        note = (LIKE_PROJOINT if agreement.method == LINEAR else "") if agreement.usable else CHANCE
        size = {"n": agreement.n, "n_clusters": agreement.people, "used": agreement is own.used, "note": note}
        for quantity, value in (
            (AGREEMENT, agreement.alike),
            (ERROR, agreement.error),
            (FACTOR, agreement.factor),
        ):
            yield {"quantity": quantity, "method": agreement.method} | _intervals(value, alpha)[0] | size


def _intervals(found: Resampled, alpha: float) -> list[dict[str, object]]:
    table = regression.tidy(found.value, found.std_error, np.full(len(found.value), np.inf), alpha)
    rows: list[dict[str, object]] = table[list(INTERVAL)].to_dict("records")
    return rows


def likeness(survey: Survey, outcome: str, everybody: Group) -> pd.DataFrame:
    """Return agreement by how much two tasks have in common: outcome, `reliability.LIKENESS`."""
    pairs = Pairs.of(survey.profiles, survey.design, outcome, everybody.sample)
    if len(np.unique(pairs.person)) < 3:
        return pd.DataFrame(columns=["outcome", *LIKENESS])
    table = by_likeness(Curve.fitted(pairs, everybody.sample), everybody.sample)
    return table.assign(outcome=outcome)[["outcome", *LIKENESS]]


def corrected(survey: Survey, analysis: Analysis, measured: Sequence[Measured]) -> pd.DataFrame:
    """Correct marginal means, effects and their differences between groups for response error.

    A mean m becomes c + (m - c) / lambda, where c is what chance alone gives, an effect is divided by lambda.
    `std_error` is by the delta method, with the variance of the raw estimate, that of lambda and their
    covariance; `boot_*` are of respondents drawn anew, with percentile intervals.

    Args:
        survey: its answers.
        analysis: of an outcome of yes or no, or a choice.
        measured: everybody first.

    Returns:
        `CORRECTED_COLUMNS`, rows as in `by_group.in_groups`, those of everybody first.
    """
    tables, found = [], {}
    for here in measured:
        group = here.group
        names = {"grouping": group.grouping, "group": group.name, "minus": "", "suppressed": group.suppressed}
        own = Plain.of(survey, analysis, group).corrected(here.used)
        found[group.grouping, group.name] = own
        tables.append(own.table(analysis.alpha).assign(**names))
    for one, other in itertools.combinations([here.group for here in measured], 2):
        if one.grouping and one.grouping == other.grouping:
            both = found[other.grouping, other.name].less(found[one.grouping, one.name])
            names = {"grouping": one.grouping, "group": other.name, "minus": one.name}
            hidden = one.suppressed or other.suppressed
            tables.append(both.table(analysis.alpha).assign(**names, suppressed=hidden))
    table = pd.concat(tables, ignore_index=True).assign(outcome=analysis.outcome)
    for column in ("n", "n_clusters"):
        table[column] = table[column].astype("Int64")
    numbers = [column for column in table if table[column].dtype.kind in "fi"]
    table.loc[table["suppressed"].to_numpy(bool), numbers] = np.nan
    return table[list(CORRECTED_COLUMNS)]


@dataclass(frozen=True)
class Both:
    """Raw estimates, what they are corrected to, and how.

    Attributes:
        raw: KEYS, ESTIMATE_COLUMNS, n_clusters.
        value, variance: (k,) corrected estimates and their variances.
        samples: (samples, k) of them.
        method: how reliability was found, empty where it could not be.
    """

    raw: pd.DataFrame
    value: np.ndarray
    variance: np.ndarray
    samples: np.ndarray
    method: str

    def less(self, other: Both) -> Both:
        """Subtract another group's estimates, row by row; the groups are of different people."""
        keys = pd.MultiIndex.from_frame(other.raw[KEYS])
        at = keys.get_indexer(pd.MultiIndex.from_frame(self.raw[KEYS]))
        theirs = other.raw.iloc[at].reset_index(drop=True)
        raw = self.raw.assign(
            estimate=self.raw["estimate"] - theirs["estimate"],
            std_error=np.hypot(self.raw["std_error"], theirs["std_error"]),
            **{name: self.raw[name] + theirs[name] for name in ("df", "n", "n_clusters")},
        )
        return Both(
            raw,
            self.value - other.value[at],
            self.variance + other.variance[at],
            self.samples - other.samples[:, at],
            self.method if self.method == other.method else f"{self.method}, {other.method}",
        )

    def table(self, alpha: float) -> pd.DataFrame:
        """Return `CORRECTED_COLUMNS` without names of outcome and groups."""
        df = self.raw["df"].to_numpy(np.float64)
        before, error = (self.raw[name].to_numpy(np.float64) for name in ("estimate", "std_error"))
        raw = regression.tidy(before, error, df, alpha)[list(INTERVAL)]
        raw.columns = ["raw", "raw_std_error", "raw_low", "raw_high"]
        after = regression.tidy(self.value, np.sqrt(self.variance), df, alpha)[list(INTERVAL)]
        # A sample without agreement beyond chance has no largest value.
        samples = np.where(np.isfinite(self.samples), self.samples, np.inf)
        ends = (alpha / 2, 1 - alpha / 2)
        low, high = np.quantile(samples, ends, axis=0, method="inverted_cdf")
        with np.errstate(invalid="ignore"):
            spread = np.std(samples, axis=0, ddof=1)
        boot = pd.DataFrame({"boot_std_error": spread, "boot_low": low, "boot_high": high})
        boot.loc[np.isnan(self.value)] = np.nan
        kept = self.raw[[*KEYS, "n", "n_clusters"]]
        return pd.concat([kept, raw, after, boot], axis=1).assign(method=self.method)


@dataclass(frozen=True)
class Plain:
    """Estimates of a group as they are answered.

    Attributes:
        raw: KEYS, ESTIMATE_COLUMNS, n_clusters.
        resampled: the same estimates, in the order of the rows.
    """

    raw: pd.DataFrame
    resampled: Resampled

    @classmethod
    def of(cls, survey: Survey, analysis: Analysis, group: Group) -> Plain:
        """Estimate marginal means and effects of a group."""
        raw = estimates(survey.profiles[group.rows], survey.design, analysis)
        return cls(raw, _resampled(survey, analysis, group))

    def corrected(self, agreement: Agreement | None) -> Both:
        """Correct the estimates by how often answers agree; NaN where that is not known."""
        raw, plain = self.raw, self.resampled
        if agreement is None:
            lost = np.full(len(raw), np.nan)
            return Both(raw, lost, lost, np.full(plain.samples.shape, np.nan), "")
        factor = agreement.factor
        centre = np.where(raw["quantity"] == MEAN, 1 / agreement.options, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            value = centre + (raw["estimate"].to_numpy(np.float64) - centre) / factor.value
            slope = -(value - centre) / factor.value
            together = (plain.influence * factor.influence).sum(axis=0)
            variance = (
                (raw["std_error"].to_numpy(np.float64) / factor.value) ** 2
                + slope**2 * (factor.influence**2).sum()
                + 2 * slope / factor.value * together
            )
            samples = centre + (plain.samples - centre) / factor.samples
        return Both(raw, value, np.maximum(variance, 0), samples, agreement.method)


def _resampled(survey: Survey, analysis: Analysis, group: Group) -> Resampled:
    """Return `by_group.estimates` of a group, in the order of its rows, with contributions and samples."""
    used = survey.profiles[group.rows & survey.profiles[analysis.outcome].notna().to_numpy()]
    y, sample = used[analysis.outcome].to_numpy(np.float64), group.sample
    person = sample.person(used["respondent_id"])
    codes, weight = survey.design.codes(used), sample.weight[person][:, None]
    parts = []
    for a, attribute in enumerate(survey.design.attributes):
        shown = weight * (codes[:, [a]] == np.arange(len(attribute.fielded)))
        parts.append(ratio(sample.totals(shown * y[:, None], person), sample.totals(shown, person), sample))
    models: dict[int, Resampled] = {}
    for own in conjoint.contrasts(used, survey.design, analysis.outcome):
        if own.model not in models:
            answers = own.profiles[analysis.outcome].to_numpy(np.float64)
            models[own.model] = least_squares(
                own.x, answers, sample.person(own.profiles["respondent_id"]), sample
            )
        parts.append(_compared(models[own.model], own))
    return Resampled(
        np.concatenate([part.value for part in parts]),
        np.hstack([part.influence for part in parts]),
        np.hstack([part.samples for part in parts]),
    )


def _compared(model: Resampled, own: conjoint.Contrasts) -> Resampled:
    """Return contrasts of coefficients; NaN where one was not seen, or is not told from others."""
    lost = np.isnan(model.value)
    filled = Resampled(*(np.where(lost, 0.0, part) for part in model))
    found = filled.weighted(own.rows)
    gone = ~own.seen | ((own.rows != 0) & lost).any(axis=1)
    return Resampled(*(np.where(gone, np.nan, part) for part in found))
