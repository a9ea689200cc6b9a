"""Who gets which petition."""

from dataclasses import replace

import pandas as pd

from nanotarget.report.tables.parts import Listing, Table
from nanotarget.report.theme import Names

AGREED = 0.95  # share of equal petitions below which comparisons by recomputed petitions are warned of
DISAGREED = (
    "Other petitions were fielded than this pipeline assigns. What gain is predicted, and who would "
    "get another petition than the overall-best one (validation, dilution, dose, targeting), is said of the "
    "recomputed petitions, not of those shown; the effects of the experiment are of those shown."
)
_AUDIT = Listing(
    {"arm": "Arm", "policy": "Policy", "n": "n", "n_agree": "Same petition", "share_agree": "Share",
     "attributes_agree": "Same levels, share", "distinct_fielded": "Distinct, fielded",
     "distinct_assigned": "Distinct, recomputed"},
)  # fmt: skip
arm_balance = Listing(
    {"covariate": "Covariate", "level": "Level", "mean_other": "Mean, first arm",
     "mean_ref": "Mean, second arm", "std_diff": "Standardised difference"},
    "contrast",
)  # fmt: skip


def audit(table: pd.DataFrame, names: Names) -> Table:
    """Show what was fielded beside what would be assigned; say what follows where they differ."""
    listed = _AUDIT(table, names)
    return replace(listed, notes=[DISAGREED] if (table["share_agree"] < AGREED).any() else [])
