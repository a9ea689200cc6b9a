"""Who gets which petition."""

from dataclasses import replace

import pandas as pd

from nanotarget.assign.assign import AGREED
from nanotarget.report.tables.parts import Listing, Table
from nanotarget.report.theme import Names

DISAGREED = (
    "Other petitions were fielded than this pipeline assigns. The verdict, the predicted gain and who is "
    "promised most (validation, targeting) are those of the petitions assigned, not of those shown. The "
    "share of people whose petition differs from the overall-best one is that of the petitions shown; "
    "effects by whether and by how much petitions differ (dilution, dose) cannot be given, because nobody "
    "knows what people of other arms would have been shown. The effects of the experiment are of the "
    "petitions shown."
)
_AUDIT = Listing(
    {"arm": "Arm", "policy": "Policy", "n": "n", "n_agree": "Same petition", "share_agree": "Share",
     "attributes_agree": "Same levels, share", "distinct_fielded": "Distinct, fielded",
     "distinct_assigned": "Distinct, recomputed", "possible": "Possible"},
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
