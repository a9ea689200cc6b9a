"""Effects of the arms on the outcomes."""

from __future__ import annotations

import pandas as pd

from nanotarget.estimate.arms import arm_means, contrasts
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial


def effects(trial: Trial) -> pd.DataFrame:
    """Estimate the effect of every arm against every earlier one on every outcome.

    Estimators: `dim`, the difference in means, and `lin`, the regression adjustment of Lin (2013),
    both with HC2 standard errors (CR2 where outcomes are clustered). Blocks, degrees of freedom (`df_type`):
    `arm_means`, `ArmMeans.combination`; too many covariates: `arm_columns`. Respondents without the outcome
    are left out; how missing covariates enter is said in `covariate_columns`.

    Args:
        trial: without covariates to adjust for there is no `lin`.

    Returns:
        The columns of `Table.EFFECTS`, sorted by outcome, estimator and contrast as they were given. What
        cannot be estimated is NaN, and `note` says why.
    """
    adjustments = {"dim": (), "lin": trial.adjust} if trial.adjust else {"dim": ()}
    parts = []
    for outcome in trial.outcomes:
        for estimator, covariates in adjustments.items():
            means = arm_means(trial, outcome.name, covariates)
            rows = contrasts(trial, means)
            what = {"outcome": outcome.name, "estimator": estimator, "estimand": trial.estimand}
            parts.append(rows.assign(**what, se_type=means.se_type))
    return trial.published(parts, Table.EFFECTS)
