"""Exploratory analyses: what the registration does not ask.

`subgroups` estimates effects in groups of respondents, `shrinkage` lets groups borrow strength from each
other, `pair` sets two arms side by side, `targeting` asks who should get nano, `validation` whether the
diagnosis predicted the gain, `dissuasion` how far petitions could lower support, `lower_tail` whether the
experiment did, `polarisation` whether arms drive people apart, and `fairness` whether groups are served
alike.
"""

from nanotarget.explore.dissuasion import dissuasion
from nanotarget.explore.fairness import exposure, fairness
from nanotarget.explore.lower_tail import lower_tail
from nanotarget.explore.pair import Fielded
from nanotarget.explore.polarisation import Poles, calibrated_gap, polarisation
from nanotarget.explore.subgroups import mobilisation, odds_ratios, subgroups
from nanotarget.explore.targeting import targeting
from nanotarget.explore.validation import Dividend, validation

__all__ = [
    "Dividend",
    "Fielded",
    "Poles",
    "calibrated_gap",
    "dissuasion",
    "exposure",
    "fairness",
    "lower_tail",
    "mobilisation",
    "odds_ratios",
    "polarisation",
    "subgroups",
    "targeting",
    "validation",
]
