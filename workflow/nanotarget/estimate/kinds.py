"""What the arms did to an outcome on the scales that its kind asks for, beside the difference in means."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.estimate.binary import logit, proportions
from nanotarget.estimate.ordinal import ordinal
from nanotarget.estimate.ranks import mann_whitney
from nanotarget.estimate.scales import ratios, standardised
from nanotarget.study.config import OutcomeConfig
from nanotarget.study.preregistration import Registration

SCALE_COLUMNS = (
    "outcome",
    "estimator",
    "quantity",
    "se_type",
    "contrast",
    *ESTIMATE_COLUMNS,
    "ratio",
    "ratio_low",
    "ratio_high",
    "p_adjusted",
    "share_ref",
    "share_other",
    "p_chi2",
    "p_fisher",
    "sd",
    "parallel_chi2",
    "parallel_df",
    "parallel_p",
    "label",
    "deviation",
    "note",
)
ESTIMATORS = {
    "binary": (logit, proportions),
    "ordinal": (ordinal, mann_whitney, standardised),
    "continuous": (mann_whitney, standardised),
    "count": (ratios, mann_whitney, standardised),
}


def scales(
    table: pd.DataFrame,
    arms: Sequence[str],
    outcomes: Sequence[OutcomeConfig],
    alpha: float = 0.05,
    registration: Registration | None = None,
    deviations: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Estimate every contrast of every outcome by the estimators of its kind, without covariates.

    Args:
        table, arms, alpha, registration, deviations: as in `effects`.
        outcomes: with their kinds.

    Returns:
        `SCALE_COLUMNS`, by outcome and estimator as in `ESTIMATORS`; what one does not have is empty.
    """
    found = [
        estimator(table, arms, [outcome.name], alpha=alpha, registration=registration, deviations=deviations)
        for outcome in outcomes
        for estimator in ESTIMATORS[outcome.kind]
    ]
    whole = pd.concat([rows for rows in found if len(rows)], ignore_index=True) if found else pd.DataFrame()
    whole = whole.reindex(columns=list(SCALE_COLUMNS))
    return whole.assign(quantity=whole["quantity"].fillna(""))
