"""The experiment: what the arms did to the outcomes, and whether the groups are comparable.

`arms` estimates the mean of every arm (`prognosis` its score for many covariates), `effects` compares
them, `kinds` (`binary` on `logistic`, `ordinal`, `ranks`, `scales`) does so as the kind of outcome asks for,
`randomization` asks what chance alone would have done,
`omnibus` tests all arms together, `equivalence` says what a null means, `robustness` is the specification
curve, `sample` says whether the arms are comparable, `missing` whether they lose the same people, `lee` and
`ipw` (on `influence`) what the missing can do to the effects, `compliance` what follows from petitions that
did not arrive and failed checks, `flow` who was there at which stage.
"""

from nanotarget.estimate.arms import MISSING, ArmMeans, arm_means, contrasts, covariate_columns, pairs
from nanotarget.estimate.binary import LOGIT_COLUMNS, PROPORTION_COLUMNS, logit, proportions
from nanotarget.estimate.compliance import CACE_COLUMNS, CHECK_COLUMNS, cace, checks
from nanotarget.estimate.effects import EFFECT_COLUMNS, effects
from nanotarget.estimate.equivalence import EQUIVALENCE_COLUMNS, POWER_COLUMNS, equivalence, power, sentences
from nanotarget.estimate.flow import PARTICIPANT_COLUMNS, participant_flow
from nanotarget.estimate.ipw import IPW_COLUMNS, ipw_effects
from nanotarget.estimate.kinds import SCALE_COLUMNS, scales
from nanotarget.estimate.lee import LEE_COLUMNS, lee_bounds
from nanotarget.estimate.missing import (
    ATTRITION_COLUMNS,
    DIFFERENTIAL_COLUMNS,
    attrition,
    differential_attrition,
)
from nanotarget.estimate.omnibus import OMNIBUS_COLUMNS, omnibus
from nanotarget.estimate.ordinal import ORDINAL_COLUMNS, ordinal
from nanotarget.estimate.randomization import (
    RANDOMIZATION_COLUMNS,
    Scheme,
    randomization_distribution,
    randomization_inference,
)
from nanotarget.estimate.ranks import mann_whitney
from nanotarget.estimate.robustness import ROBUSTNESS_COLUMNS, SPECIFICATIONS, Specification, robustness
from nanotarget.estimate.sample import BALANCE_COLUMNS, balance
from nanotarget.estimate.scales import RATIO_COLUMNS, STANDARDISED_COLUMNS, ratios, standardised

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
    "LOGIT_COLUMNS",
    "MISSING",
    "OMNIBUS_COLUMNS",
    "ORDINAL_COLUMNS",
    "PARTICIPANT_COLUMNS",
    "POWER_COLUMNS",
    "PROPORTION_COLUMNS",
    "RANDOMIZATION_COLUMNS",
    "RATIO_COLUMNS",
    "ROBUSTNESS_COLUMNS",
    "SCALE_COLUMNS",
    "SPECIFICATIONS",
    "STANDARDISED_COLUMNS",
    "ArmMeans",
    "Scheme",
    "Specification",
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
    "logit",
    "mann_whitney",
    "omnibus",
    "ordinal",
    "pairs",
    "participant_flow",
    "power",
    "proportions",
    "randomization_distribution",
    "randomization_inference",
    "ratios",
    "robustness",
    "scales",
    "sentences",
    "standardised",
]
