"""The specification curve: every contrast under every registered way to estimate it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from nanotarget.calibrate.regression import SeType
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate.arms import arm_means, contrasts
from nanotarget.estimate.binary import MARGINAL, logit
from nanotarget.estimate.ordinal import ordinal
from nanotarget.estimate.ranks import mann_whitney
from nanotarget.estimate.scales import ratios
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial
from nanotarget.study.config import OutcomeConfig

DIFFERENCES = ("dim", "lin", "ancova", "logit")
SCALES = {
    **dict.fromkeys(DIFFERENCES, "difference"),
    "ordinal": "log odds ratio",
    "mann_whitney": "probability",
    "ratio": "log ratio",
}
# Kinds of outcomes that an estimator is for; the others are for all.
ONLY_FOR = {
    "logit": ("binary",),
    "ordinal": ("ordinal",),
    "mann_whitney": ("ordinal", "count", "continuous"),
    "ratio": ("count",),
}
ALL, PASSED, UNWEIGHTED = "all", "passed checks", "without weights"
NONE, COVARIATES, TWO_ARMS = "none", "covariates", "covariates, two arms"
DEFAULT, WELCH = "default", "Welch"
SE_TYPES: dict[str, SeType | None] = {DEFAULT: None, WELCH: "HC2", "HC1": "HC1", "HC2": "HC2", "HC3": "HC3"}


@dataclass(frozen=True)
class Specification:
    """One way to estimate a contrast.

    Attributes:
        estimator: a key of `SCALES`.
        se_type: `default` (the estimator's own; HC2 of differences, CR2 where clusters were randomised), HC1,
            HC2, HC3, or `Welch`: HC2 with Welch's degrees of freedom whatever the size of the arms.
        sample: `all`, `passed checks` or `without weights`.
        adjustment: `none`, `covariates`, or `covariates, two arms`: only those of the contrast are modelled.
    """

    estimator: str
    se_type: str = DEFAULT
    sample: str = ALL
    adjustment: str = NONE

    @property
    def main(self) -> bool:
        """Whether it is the specification that other tables show under the estimator's name."""
        return (self.se_type, self.sample) == (DEFAULT, ALL) and self.adjustment != TWO_ARMS


SPECIFICATIONS = (
    Specification("dim"),
    Specification("dim", "HC1"),
    Specification("dim", "HC3"),
    Specification("dim", WELCH),
    Specification("dim", sample=PASSED),
    Specification("dim", sample=UNWEIGHTED),
    Specification("lin", adjustment=COVARIATES),
    Specification("lin", adjustment=TWO_ARMS),
    Specification("lin", sample=PASSED, adjustment=COVARIATES),
    Specification("lin", sample=UNWEIGHTED, adjustment=COVARIATES),
    Specification("ancova", adjustment=COVARIATES),
    Specification("logit"),
    Specification("logit", adjustment=COVARIATES),
    Specification("ordinal"),
    Specification("ordinal", adjustment=COVARIATES),
    Specification("mann_whitney"),
    Specification("ratio"),
)


def robustness(trial: Trial, specifications: Sequence[Specification] = SPECIFICATIONS) -> pd.DataFrame:
    """Estimate every contrast of every outcome in every specification that fits it.

    Left out is what does not fit: estimators for another kind of outcome, adjustment without covariates,
    samples that are everybody, and standard errors that ignore clusters where clusters were randomised.

    Args:
        trial: its registration gives the labels. Only the specification that other tables show under the
            estimator's name can be confirmatory or secondary; the variants are exploratory.
        specifications: the set, fixed before the data are seen.

    Returns:
        The columns of `Table.ROBUSTNESS`, sorted by outcome, contrast and scale as given, then by estimate;
        `rank` counts from the smallest. Estimates of one scale can be compared with each other, those of two
        cannot.
    """
    parts = []
    for outcome in trial.outcomes:
        observed = trial.observed(outcome.name)
        samples = _samples(observed)
        for spec in specifications:
            if not _fits(spec, outcome.kind, samples, observed):
                continue
            rows = _estimated(spec, samples[spec.sample], outcome.name)
            rows = rows.assign(
                outcome=outcome.name,
                estimator=spec.estimator,
                scale=SCALES[spec.estimator],
                sample=spec.sample,
                adjustment=spec.adjustment,
                place=range(len(rows)),
            )
            parts.append(trial.labelled(rows) if spec.main else rows.assign(label="exploratory"))
    if parts:
        parts = [_ordered(pd.concat(parts, ignore_index=True), trial.outcomes)]
    return trial.published(parts, Table.ROBUSTNESS)


def _ordered(estimates: pd.DataFrame, outcomes: Sequence[OutcomeConfig]) -> pd.DataFrame:
    keys = estimates[["place"]].assign(
        # One estimate with several standard errors must not be ordered by the rounding of its sums.
        estimate=estimates["estimate"].round(12),
        outcome=estimates["outcome"].map({o.name: i for i, o in enumerate(outcomes)}),
        scale=estimates["scale"].map({name: i for i, name in enumerate(dict.fromkeys(SCALES.values()))}),
    )
    order = keys.sort_values(["outcome", "place", "scale", "estimate"], kind="stable").index
    estimates = estimates.loc[order].reset_index(drop=True)
    return estimates.assign(
        rank=estimates.groupby(["outcome", "contrast", "scale"], sort=False).cumcount() + 1
    )


def _samples(observed: Trial) -> dict[str, Trial]:
    samples = {ALL: observed}
    if "passed" in observed.table:
        passed = observed.table["passed"].fillna(True).astype(bool)
        if not passed.all():
            samples[PASSED] = observed.among(passed)
    if len(np.unique(observed.weight)) > 1:
        samples[UNWEIGHTED] = observed.with_columns(weight=1.0)
    return samples


def _fits(spec: Specification, kind: str, samples: Mapping[str, Trial], observed: Trial) -> bool:
    return (
        kind in ONLY_FOR.get(spec.estimator, (kind,))
        and spec.sample in samples
        and (bool(observed.adjust) or spec.adjustment == NONE)
        and (observed.scheme.clusters is None or spec.se_type == DEFAULT)
    )


def _estimated(spec: Specification, sample: Trial, outcome: str) -> pd.DataFrame:
    """Return contrast, se_type, `ESTIMATE_COLUMNS` and note of one specification."""
    covariates = () if spec.adjustment == NONE else sample.adjust
    if spec.adjustment == TWO_ARMS:
        whole = replace(spec, adjustment=COVARIATES)
        two = [_estimated(whole, sample.of_arms(*pair[::-1]), outcome) for pair in sample.pairs]
        return pd.concat(two, ignore_index=True)
    match spec.estimator:
        case "logit":
            rows = logit(sample, outcome, covariates)
            rows = rows[rows["quantity"] == MARGINAL]
        case "ordinal":
            rows = ordinal(sample, outcome, covariates)
        case "mann_whitney":
            rows = mann_whitney(sample, outcome)
        case "ratio":
            rows = ratios(sample, outcome)
        case _:
            welch = True if spec.se_type == WELCH else None
            means = arm_means(
                sample, outcome, covariates, SE_TYPES[spec.se_type], additive=spec.estimator == "ancova"
            )
            rows = contrasts(sample, means, welch).assign(se_type=WELCH if welch else means.se_type)
    return rows[["contrast", "se_type", *ESTIMATE_COLUMNS, "df_type", "note"]].reset_index(drop=True)
