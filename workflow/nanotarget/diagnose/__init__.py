"""Can nano-targeting pay? Four diagnostics from calibration data alone, and what they say together.

`evidence` turns answers into moments of respondents; `heterogeneity`, `predictability`, `crossover` and
`dividend` look at one question each; `ceiling` turns variances into gains; `refits` and `permutation` ask
what would be with other data; `verdict` says it in words, and `assemble` puts all together.
"""

from nanotarget.diagnose.assemble import Diagnosis, Group, Material, allowed_interactions, diagnose

__all__ = ["Diagnosis", "Group", "Material", "allowed_interactions", "diagnose"]
