"""Exploratory analyses: what the registration does not ask.

`subgroups` estimates effects in groups of respondents, `shrinkage` lets groups borrow strength from each
other, `pair` sets two arms side by side, `targeting` asks who should get nano, `validation` whether the
diagnosis kept its promise, `dissuasion` how far petitions could lower support, `lower_tail` whether the
experiment did, and `fairness` whether groups are served alike.
"""

from nanotarget.explore.dissuasion import DISSUASION_COLUMNS, dissuasion
from nanotarget.explore.fairness import FAIRNESS_COLUMNS, fairness
from nanotarget.explore.lower_tail import LOWER_TAIL_COLUMNS, lower_tail
from nanotarget.explore.pair import promised
from nanotarget.explore.subgroups import (
    MOBILISATION_COLUMNS,
    ODDS_COLUMNS,
    SUBGROUP_COLUMNS,
    interaction,
    mobilisation,
    odds_ratios,
    subgroups,
)
from nanotarget.explore.targeting import (
    GATE_COLUMNS,
    PROJECTION_COLUMNS,
    RATE_COLUMNS,
    TOC_COLUMNS,
    Targeting,
    targeting,
)
from nanotarget.explore.validation import VALIDATION_COLUMNS, Dividend, validation

__all__ = [
    "DISSUASION_COLUMNS",
    "FAIRNESS_COLUMNS",
    "GATE_COLUMNS",
    "LOWER_TAIL_COLUMNS",
    "MOBILISATION_COLUMNS",
    "ODDS_COLUMNS",
    "PROJECTION_COLUMNS",
    "RATE_COLUMNS",
    "SUBGROUP_COLUMNS",
    "TOC_COLUMNS",
    "VALIDATION_COLUMNS",
    "Dividend",
    "Targeting",
    "dissuasion",
    "fairness",
    "interaction",
    "lower_tail",
    "mobilisation",
    "odds_ratios",
    "promised",
    "subgroups",
    "targeting",
    "validation",
]
