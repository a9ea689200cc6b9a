"""The experiment: what the arms did to the outcomes, and whether the groups are comparable.

`trial` is the experiment as it is analysed, `tables` names what is made of it, `labels` and `deviations` say
how it relates to the registration. `arms` estimates the mean of every arm (`prognosis` its score for many
covariates), `effects` compares them, `kinds` (`binary` on `logistic`, `ordinal`, `ranks`, `scales`) does so
as the kind of outcome asks for, `randomization` asks what chance alone would have done,
`omnibus` tests all arms together, `equivalence` says what a null means, `robustness` is the specification
curve, `outcomes` describes what the arms answered, `sample` says whether they are comparable, `missing`
whether they lose the same people, `lee` and `ipw` (on `influence`) what the missing can do to the effects,
`compliance` what follows from petitions that did not arrive and failed checks, `flow` who was there at which
stage.
"""

from nanotarget.estimate.binary import log_odds, logit, proportions
from nanotarget.estimate.compliance import cace, checks
from nanotarget.estimate.effects import effects
from nanotarget.estimate.equivalence import equivalence, power, sentences
from nanotarget.estimate.flow import participant_flow
from nanotarget.estimate.ipw import ipw_effects
from nanotarget.estimate.kinds import scales
from nanotarget.estimate.lee import lee_bounds
from nanotarget.estimate.missing import attrition, differential_attrition
from nanotarget.estimate.omnibus import omnibus
from nanotarget.estimate.ordinal import ordinal
from nanotarget.estimate.outcomes import outcomes
from nanotarget.estimate.randomization import randomization_distribution, randomization_inference
from nanotarget.estimate.ranks import mann_whitney
from nanotarget.estimate.robustness import robustness
from nanotarget.estimate.sample import balance
from nanotarget.estimate.scales import ratios, standardised
from nanotarget.estimate.tables import Table
from nanotarget.estimate.trial import Trial, pairs

__all__ = [
    "Table",
    "Trial",
    "attrition",
    "balance",
    "cace",
    "checks",
    "differential_attrition",
    "effects",
    "equivalence",
    "ipw_effects",
    "lee_bounds",
    "log_odds",
    "logit",
    "mann_whitney",
    "omnibus",
    "ordinal",
    "outcomes",
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
