"""The experiment: what the arms did to the outcomes, and whether the groups are comparable.

`arms` estimates the mean of every arm (`prognosis` its score for many covariates), `effects` compares
them, `binary` (on `logistic`), `ordinal`, `ranks` and `scales` do so as the kind of outcome asks for,
`omnibus` tests all arms together, `equivalence` says what a null means, `robustness` is the specification
curve, `sample` says whether the arms are comparable.
"""

from nanotarget.estimate.arms import MISSING, ArmMeans, arm_means, contrasts, covariate_columns, pairs
from nanotarget.estimate.binary import LOGIT_COLUMNS, PROPORTION_COLUMNS, logit, proportions
from nanotarget.estimate.effects import EFFECT_COLUMNS, effects
from nanotarget.estimate.equivalence import (
    EQUIVALENCE_COLUMNS,
    POWER_COLUMNS,
    equivalence,
    power,
    sentences,
)
from nanotarget.estimate.omnibus import OMNIBUS_COLUMNS, omnibus
from nanotarget.estimate.ordinal import ORDINAL_COLUMNS, ordinal
from nanotarget.estimate.ranks import mann_whitney
from nanotarget.estimate.robustness import (
    ROBUSTNESS_COLUMNS,
    SPECIFICATIONS,
    Specification,
    robustness,
)
from nanotarget.estimate.sample import ATTRITION_COLUMNS, BALANCE_COLUMNS, attrition, balance
from nanotarget.estimate.scales import RATIO_COLUMNS, STANDARDISED_COLUMNS, ratios, standardised

__all__ = [
    "ATTRITION_COLUMNS",
    "BALANCE_COLUMNS",
    "EFFECT_COLUMNS",
    "EQUIVALENCE_COLUMNS",
    "LOGIT_COLUMNS",
    "MISSING",
    "OMNIBUS_COLUMNS",
    "ORDINAL_COLUMNS",
    "POWER_COLUMNS",
    "PROPORTION_COLUMNS",
    "RATIO_COLUMNS",
    "ROBUSTNESS_COLUMNS",
    "SPECIFICATIONS",
    "STANDARDISED_COLUMNS",
    "ArmMeans",
    "Specification",
    "arm_means",
    "attrition",
    "balance",
    "contrasts",
    "covariate_columns",
    "effects",
    "equivalence",
    "logit",
    "mann_whitney",
    "omnibus",
    "ordinal",
    "pairs",
    "power",
    "proportions",
    "ratios",
    "robustness",
    "sentences",
    "standardised",
]
