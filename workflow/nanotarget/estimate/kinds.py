"""What the arms did to an outcome on the scales that its kind asks for, beside the difference in means."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from nanotarget.estimate.binary import log_odds, logit, proportions
from nanotarget.estimate.ordinal import ordinal
from nanotarget.estimate.ranks import mann_whitney
from nanotarget.estimate.scales import ratios, standardised
from nanotarget.estimate.tables import CORRECTED, Table
from nanotarget.estimate.trial import Trial

ESTIMATORS: dict[str, tuple[Callable[[Trial, str], pd.DataFrame], ...]] = {
    "binary": (logit, log_odds, proportions),
    "ordinal": (ordinal, mann_whitney, standardised),
    "continuous": (mann_whitney, standardised),
    "count": (ratios, mann_whitney, standardised),
}


def scales(trial: Trial) -> pd.DataFrame:
    """Estimate every contrast of every outcome by the estimators of its kind, without covariates.

    Returns:
        The columns of `Table.SCALES`, by outcome and estimator as in `ESTIMATORS`; what one does not have is
        empty. P values are adjusted over the contrasts of an outcome, estimator, quantity and kind of errors.
    """
    made = ("p_adjusted", *CORRECTED, "deviation")
    columns = [c for c in Table.SCALES.columns if c not in made]
    parts = []
    for outcome in trial.outcomes:
        for estimator in ESTIMATORS[outcome.kind]:
            rows = estimator(trial, outcome.name)
            rows = rows.assign(quantity=rows.get("quantity", "")).reindex(columns=columns)
            parts += [part for _, part in rows.groupby(["estimator", "quantity", "se_type"], sort=False)]
    return trial.published(parts, Table.SCALES)
