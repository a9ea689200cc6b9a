"""Effects of the arms on the outcomes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nanotarget.calibrate import regression
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate.arms import arm_means, contrasts
from nanotarget.estimate.labels import families, label_of, marked, own_family
from nanotarget.estimate.tables import Table
from nanotarget.study.config import CovariateConfig
from nanotarget.study.preregistration import Registration

EFFECT_COLUMNS = (
    "outcome",
    "estimator",
    "se_type",
    "contrast",
    *ESTIMATE_COLUMNS,
    "p_adjusted",
    "family",
    "label",
    "deviation",
    "note",
)


def effects(
    table: pd.DataFrame,
    arms: Sequence[str],
    outcomes: Sequence[str],
    adjust: Sequence[CovariateConfig] = (),
    alpha: float = 0.05,
    registration: Registration | None = None,
    deviations: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Estimate the effect of every arm against every earlier one on every outcome.

    Estimators: `dim`, the difference in means, and `lin`, the regression adjustment of Lin (2013),
    both with HC2 standard errors (CR2 where clusters were randomised). Blocks and degrees of freedom:
    `arm_means`, `ArmMeans.combination`; too many covariates: `arm_columns`. P values are adjusted by
    Holm (1979) within their `preregistration.families`. Respondents without the outcome
    are left out; how missing covariates enter is said in `covariate_columns`.

    Args:
        table: `contracts.experiment`.
        arms: names in order; the sign of a contrast is later minus earlier.
        outcomes: columns.
        adjust: covariates of the Lin adjustment; without any there is no `lin`.
        alpha: intervals have level 1 - alpha.
        registration: gives labels and families; without one all estimates are exploratory.
        deviations: from `deviations.deviations`.

    Returns:
        `EFFECT_COLUMNS`, sorted by outcome, estimator and contrast as they were given. What cannot
        be estimated is NaN, and `note` says why.
    """
    tables = []
    for outcome in outcomes:
        observed = observed_rows(table, outcome)
        for estimator, covariates in (("dim", ()), ("lin", adjust)):
            if estimator == "lin" and not adjust:
                continue
            means = arm_means(observed, arms, outcome, covariates)
            rows = contrasts(means, arms, alpha)
            tables.append(rows.assign(outcome=outcome, estimator=estimator, se_type=means.se_type))
    return labelled(tables, EFFECT_COLUMNS, registration, deviations, Table.EFFECTS)


def observed_rows(table: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """Return the respondents who were randomised and whose outcome is there."""
    return table[table[outcome].notna() & table["arm"].notna()]


def labelled(
    tables: Sequence[pd.DataFrame],
    columns: Sequence[str],
    registration: Registration | None,
    deviations: pd.DataFrame | None,
    output: str = Table.SCALES,
) -> pd.DataFrame:
    """Put estimates together: Holm within families, labels and deviations.

    Args:
        tables: each a family where none is registered, with outcome, estimator, contrast and
            `ESTIMATE_COLUMNS`.
        columns: of the result, in order.
        registration, deviations: as in `effects`.
        output: artefact that they go into.
    """
    if not tables:
        return pd.DataFrame(columns=list(columns)).astype(dict.fromkeys(ESTIMATE_COLUMNS, np.float64))
    found = pd.concat([rows.assign(part=i) for i, rows in enumerate(tables)], ignore_index=True)
    found["family"] = families(registration, found)
    together = found["part"].where(found["family"] == own_family(found), -1)
    found["p_adjusted"] = found.groupby(["family", together])["p_value"].transform(
        lambda p: regression.holm(p.to_numpy())
    )
    found["label"] = [
        label_of(registration, o, e, c)
        for o, e, c in zip(found["outcome"], found["estimator"], found["contrast"], strict=True)
    ]
    return marked(found, output, deviations)[list(columns)]
