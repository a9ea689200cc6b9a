"""The specification curve: every contrast under every registered way to estimate it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from nanotarget.calibrate.regression import SeType
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate.arms import arm_means, cluster_ids, contrasts, pairs
from nanotarget.estimate.binary import MARGINAL, logit
from nanotarget.estimate.effects import observed_rows
from nanotarget.estimate.labels import label_of, marked
from nanotarget.estimate.ordinal import ordinal
from nanotarget.estimate.ranks import mann_whitney
from nanotarget.estimate.scales import ratios
from nanotarget.estimate.tables import Table
from nanotarget.study.config import CovariateConfig, OutcomeConfig
from nanotarget.study.preregistration import Registration

ROBUSTNESS_COLUMNS = (
    "outcome",
    "contrast",
    "scale",
    "rank",
    "estimator",
    "se_type",
    "sample",
    "adjustment",
    *ESTIMATE_COLUMNS,
    "label",
    "deviation",
    "note",
)
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


def robustness(
    table: pd.DataFrame,
    arms: Sequence[str],
    outcomes: Sequence[OutcomeConfig],
    adjust: Sequence[CovariateConfig] = (),
    alpha: float = 0.05,
    registration: Registration | None = None,
    deviations: pd.DataFrame | None = None,
    specifications: Sequence[Specification] = SPECIFICATIONS,
) -> pd.DataFrame:
    """Estimate every contrast of every outcome in every specification that fits it.

    Left out is what does not fit: estimators for another kind of outcome, adjustment without covariates,
    samples that are everybody, and standard errors that ignore clusters where clusters were randomised.

    Args:
        table, arms, adjust, alpha, deviations: as in `effects`.
        outcomes: with their kinds.
        registration: gives the labels. Only the specification that other tables show under the estimator's
            name can be confirmatory or secondary; the variants are exploratory.
        specifications: the set, fixed before the data are seen.

    Returns:
        `ROBUSTNESS_COLUMNS`, sorted by outcome, contrast and scale as given, then by estimate; `rank` counts
        from the smallest. Estimates of one scale can be compared with each other, those of two cannot.
    """
    tables = []
    for outcome in outcomes:
        observed = observed_rows(table, outcome.name)
        samples = _samples(observed)
        for spec in specifications:
            if not _fits(spec, outcome.kind, samples, bool(adjust), cluster_ids(observed) is not None):
                continue
            rows = _estimated(spec, samples[spec.sample], arms, outcome.name, adjust, alpha)
            tables.append(
                rows.assign(
                    outcome=outcome.name,
                    estimator=spec.estimator,
                    scale=SCALES[spec.estimator],
                    sample=spec.sample,
                    adjustment=spec.adjustment,
                    label=[
                        label_of(registration, outcome.name, spec.estimator, contrast)
                        if spec.main
                        else "exploratory"
                        for contrast in rows["contrast"]
                    ],
                    place=range(len(rows)),
                )
            )
    if not tables:
        return pd.DataFrame(columns=list(ROBUSTNESS_COLUMNS))
    return marked(_ordered(pd.concat(tables, ignore_index=True), outcomes), Table.ROBUSTNESS, deviations)[
        list(ROBUSTNESS_COLUMNS)
    ]


def _ordered(found: pd.DataFrame, outcomes: Sequence[OutcomeConfig]) -> pd.DataFrame:
    keys = found[["place"]].assign(
        # One estimate with several standard errors must not be ordered by the rounding of its sums.
        estimate=found["estimate"].round(12),
        outcome=found["outcome"].map({o.name: i for i, o in enumerate(outcomes)}),
        scale=found["scale"].map({name: i for i, name in enumerate(dict.fromkeys(SCALES.values()))}),
    )
    order = keys.sort_values(["outcome", "place", "scale", "estimate"], kind="stable").index
    found = found.loc[order].reset_index(drop=True)
    return found.assign(rank=found.groupby(["outcome", "contrast", "scale"], sort=False).cumcount() + 1)


def _samples(observed: pd.DataFrame) -> dict[str, pd.DataFrame]:
    samples = {ALL: observed}
    if "passed" in observed:
        passed = observed["passed"].fillna(True).astype(bool)
        if not passed.all():
            samples[PASSED] = observed[passed]
    if observed["weight"].nunique() > 1:
        samples[UNWEIGHTED] = observed.assign(weight=1.0)
    return samples


def _fits(
    spec: Specification, kind: str, samples: dict[str, pd.DataFrame], covariates: bool, clustered: bool
) -> bool:
    return (
        kind in ONLY_FOR.get(spec.estimator, (kind,))
        and spec.sample in samples
        and (covariates or spec.adjustment == NONE)
        and (not clustered or spec.se_type == DEFAULT)
    )


def _estimated(
    spec: Specification,
    observed: pd.DataFrame,
    arms: Sequence[str],
    outcome: str,
    adjust: Sequence[CovariateConfig],
    alpha: float,
) -> pd.DataFrame:
    """Return contrast, se_type, `ESTIMATE_COLUMNS` and note of one specification."""
    covariates = () if spec.adjustment == NONE else adjust
    if spec.adjustment == TWO_ARMS:
        whole = Specification(spec.estimator, spec.se_type, spec.sample, COVARIATES)
        return pd.concat(
            [
                _estimated(whole, observed[observed["arm"].isin(pair)], pair[::-1], outcome, adjust, alpha)
                for pair in pairs(arms)
            ],
            ignore_index=True,
        )
    match spec.estimator:
        case "logit":
            rows = logit(observed, arms, [outcome], covariates, alpha)
            rows = rows[rows["quantity"] == MARGINAL]
        case "ordinal":
            rows = ordinal(observed, arms, [outcome], covariates, alpha)
        case "mann_whitney":
            rows = mann_whitney(observed, arms, [outcome], alpha)
        case "ratio":
            rows = ratios(observed, arms, [outcome], alpha)
        case _:
            welch = True if spec.se_type == WELCH else None
            se_type = SE_TYPES[spec.se_type]
            means = arm_means(observed, arms, outcome, covariates, se_type, spec.estimator == "ancova")
            shown = WELCH if welch else means.se_type
            rows = contrasts(means, arms, alpha, welch).assign(se_type=shown)
    return rows[["contrast", "se_type", *ESTIMATE_COLUMNS, "note"]].reset_index(drop=True)
