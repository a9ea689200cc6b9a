"""Exploratory analyses: what the registration does not ask.

`subgroups` estimates effects in groups of respondents, `shrinkage` lets groups borrow strength from each
other, `pair` sets two arms side by side, `targeting` asks who should get nano, `validation` whether the
diagnosis kept its promise, `dissuasion` how far petitions could lower support, and `fairness` whether
groups are served alike.
"""

from nanotarget.explore.subgroups import (
    MOBILISATION_COLUMNS,
    ODDS_COLUMNS,
    SUBGROUP_COLUMNS,
    interaction,
    mobilisation,
    odds_ratios,
    subgroups,
)

__all__ = [
    "MOBILISATION_COLUMNS",
    "ODDS_COLUMNS",
    "SUBGROUP_COLUMNS",
    "interaction",
    "mobilisation",
    "odds_ratios",
    "subgroups",
]
