"""Words of clean/flow.csv that later stages look for."""

OBSERVED = "Outcome observed"  # the step that is attrition, not an exclusion
EVERYBODY = "all"  # the arm that counts everybody
