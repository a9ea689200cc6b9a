"""Can nano-targeting pay? Four diagnostics from calibration data alone, and what they say together.

`evidence` turns answers into moments of respondents; `heterogeneity`, `predictability`, `crossover` and
`dividend` answer one question each, by a stage with its rows; `ceiling` turns variances into gains; `refits`,
`ladder` and `permutation` ask what would be with other data. `quantities` names what is estimated; `verdict`
has the rules, `words` the sentences, and `diagnosis` makes all of it from `inputs`.
"""

from nanotarget.diagnose.diagnosis import Diagnosis, diagnose
from nanotarget.diagnose.inputs import Group, Inputs, allowed_interactions

__all__ = ["Diagnosis", "Group", "Inputs", "allowed_interactions", "diagnose"]
