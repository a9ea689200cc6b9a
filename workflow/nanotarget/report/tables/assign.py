"""Who gets which petition."""

from nanotarget.report.tables.parts import Listing

audit = Listing(
    {"arm": "Arm", "policy": "Policy", "n": "n", "n_agree": "Same petition", "share_agree": "Share",
     "attributes_agree": "Same levels, share", "distinct_fielded": "Distinct, fielded",
     "distinct_assigned": "Distinct, recomputed"},
)  # fmt: skip
arm_balance = Listing(
    {"covariate": "Covariate", "level": "Level", "mean_other": "Mean, first arm",
     "mean_ref": "Mean, second arm", "std_diff": "Standardised difference"},
    "contrast",
)  # fmt: skip
