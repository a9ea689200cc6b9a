"""The experiment: what the arms did to the outcomes, and whether the groups are comparable.

`arms` estimates the mean of every arm, `effects` compares them, `equivalence` says what a null means,
`sample` whether the arms are comparable.
"""

from nanotarget.estimate.arms import MISSING, ArmMeans, arm_means, contrasts, covariate_columns, pairs
from nanotarget.estimate.effects import EFFECT_COLUMNS, effects
from nanotarget.estimate.equivalence import EQUIVALENCE_COLUMNS, POWER_COLUMNS, equivalence, power
from nanotarget.estimate.sample import ATTRITION_COLUMNS, BALANCE_COLUMNS, attrition, balance

__all__ = [
    "ATTRITION_COLUMNS",
    "BALANCE_COLUMNS",
    "EFFECT_COLUMNS",
    "EQUIVALENCE_COLUMNS",
    "MISSING",
    "POWER_COLUMNS",
    "ArmMeans",
    "arm_means",
    "attrition",
    "balance",
    "contrasts",
    "covariate_columns",
    "effects",
    "equivalence",
    "pairs",
    "power",
]
