"""Raw tables to tidy tables: columns located, people excluded in order, contents checked, quality described.

A raw file takes one way through the modules (`FLOW`; a test keeps them to it): text as it is in the file,
cells with their places, people and who of them is left, what was known about them and shown to them, and
the tidy table of a sample.

Two kinds of problems stop a file. What concerns its columns comes first; what concerns its cells is
checked after the exclusions, so that nobody has to correct the answers of people who are left out
anyway, and is reported all at once.
"""

FLOW = (
    *("guarded", "raw", "rewritten", "parts", "personal", "cells", "labels", "flow", "seen", "people"),
    *("exclusions", "covariates"),
    *("blocks", "positions", "none_rows", "shown", "design_file", "profiles", "outcomes", "contracts"),
    *("repeated", "quality", "headcount"),
    *("calibration", "experiment", "roster", "samples", "pseudonyms", "enough", "groups"),
)
