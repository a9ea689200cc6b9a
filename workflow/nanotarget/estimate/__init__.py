"""The experiment: what the arms did to the outcomes, and whether the groups are comparable.

`arms` estimates the mean of every arm, `effects` compares them, `equivalence` says what a null means,
`sample` whether the arms are comparable, `missing` whether they lose the same people, `lee` and `ipw` what
the missing can do to the effects, `compliance` what follows from petitions that did not arrive and failed
checks, `flow` who was there at which stage.
"""

from nanotarget.estimate.arms import MISSING, ArmMeans, arm_means, contrasts, covariate_columns, pairs
from nanotarget.estimate.compliance import CACE_COLUMNS, CHECK_COLUMNS, cace, checks
from nanotarget.estimate.effects import EFFECT_COLUMNS, effects
from nanotarget.estimate.equivalence import EQUIVALENCE_COLUMNS, POWER_COLUMNS, equivalence, power
from nanotarget.estimate.flow import PARTICIPANT_COLUMNS, participant_flow
from nanotarget.estimate.ipw import IPW_COLUMNS, ipw_effects
from nanotarget.estimate.lee import LEE_COLUMNS, lee_bounds
from nanotarget.estimate.missing import (
    ATTRITION_COLUMNS,
    DIFFERENTIAL_COLUMNS,
    attrition,
    differential_attrition,
)
from nanotarget.estimate.sample import BALANCE_COLUMNS, balance

__all__ = [
    "ATTRITION_COLUMNS",
    "BALANCE_COLUMNS",
    "CACE_COLUMNS",
    "CHECK_COLUMNS",
    "DIFFERENTIAL_COLUMNS",
    "EFFECT_COLUMNS",
    "EQUIVALENCE_COLUMNS",
    "IPW_COLUMNS",
    "LEE_COLUMNS",
    "MISSING",
    "PARTICIPANT_COLUMNS",
    "POWER_COLUMNS",
    "ArmMeans",
    "arm_means",
    "attrition",
    "balance",
    "cace",
    "checks",
    "contrasts",
    "covariate_columns",
    "differential_attrition",
    "effects",
    "equivalence",
    "ipw_effects",
    "lee_bounds",
    "pairs",
    "participant_flow",
    "power",
]
