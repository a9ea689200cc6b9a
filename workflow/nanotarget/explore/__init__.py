"""Exploratory analyses: what the registration does not ask.

`subgroups` estimates effects in groups of respondents.
"""

from nanotarget.explore.subgroups import SUBGROUP_COLUMNS, interaction, subgroups

__all__ = ["SUBGROUP_COLUMNS", "interaction", "subgroups"]
