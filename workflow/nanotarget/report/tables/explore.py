"""What the registration does not ask: groups, targeting, promises kept, the lower end, fairness."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter

import numpy as np
import pandas as pd

from nanotarget.diagnose.words import NEVER_FIELDED
from nanotarget.report.tables.parts import UNADJUSTED, Estimates, Shown, Table
from nanotarget.report.theme import Names

BY_CONTRAST = ("outcome", "contrast")
GROUPS: Shown = {"grouping": "Grouping", "group": "Group"}
TAIL: Shown = {"p_value": "p", "n": "n", "label": "Label"}
SHRUNKEN = "Shrunken: groups borrow strength from each other (normal-normal model); with three or more."

subgroups = Estimates(
    GROUPS,
    {"shrunken": "Shrunken", ("shrunken_low", "shrunken_high"): "Its interval", "df": "df",
     "df_type": "df from", "n": "n", "p_value": "p", "p_adjusted": "p, adjusted",
     "interaction_p": "p of interaction", "label": "Label"},
    BY_CONTRAST,
    notes=(UNADJUSTED, "p, adjusted: over the groups of a grouping (Holm).", SHRUNKEN),
)  # fmt: skip
_odds_ratios = Estimates(
    {**GROUPS, "share_ref": "Second arm", "share_other": "First arm"},
    {"odds_ratio": "Odds ratio", ("odds_low", "odds_high"): "Its interval",
     "ratio": "Shrunken", ("ratio_low", "ratio_high"): "Its interval",
     "p_value": "p", "interaction_p": "p of interaction", "n": "n", "label": "Label"},
    BY_CONTRAST,
    notes=("The estimate is a difference in log odds.", UNADJUSTED, SHRUNKEN),
)  # fmt: skip


def odds_ratios(table: pd.DataFrame, names: Names) -> Table:
    """Effects on odds within subgroups (explore/odds_ratios.csv), with shrunken odds ratios."""
    shrunken = {
        f"ratio{end}": np.exp(table[f"shrunken{end}"].astype("float64")) for end in ("", "_low", "_high")
    }
    made = _odds_ratios(table.assign(**shrunken), names)
    return replace(made, data=made.data[list(table.columns)])


mobilisation = Estimates({"quantity": "Quantity", "group": "Group"}, TAIL, BY_CONTRAST, notes=(UNADJUSTED,))
gate = Estimates(
    GROUPS,
    {"p_value": "p", "interaction_p": "p of equal effects", "n": "n", "label": "Label"},
    BY_CONTRAST,
    notes=("Means of doubly robust scores; predicted gain: what the learner promised from nano.", UNADJUSTED),
)
projection = Estimates(
    {"term": "Term"},
    {"p_value": "p", "interaction_p": "p of all slopes", "n": "n", "label": "Label"},
    BY_CONTRAST,
    ("outcome", "term"),
    ("(mean): the effect at the means of the covariates.", UNADJUSTED),
)
rate = Estimates(
    {"contrast": "Contrast", "target": "Weights"},
    TAIL,
    alike=("outcome", "target"),
    notes=("People are ranked by the gain that the learner promised them from nano.", UNADJUSTED),
)
validation = Estimates(
    {"quantity": "Quantity", "group": "Among"},
    {"predicted": "Predicted", ("predicted_low", "predicted_high"): "Its interval", **TAIL},
    ("outcome", "estimator"),
    ("outcome", "estimator", "quantity"),
    ("Petitions differ: nano gives the respondent another petition than overall-best.",),
)
dissuasion = Estimates(
    {"quantity": "Quantity", "attribute": "Attribute"},
    TAIL,
    ("group",),
    ("group", "quantity"),
    (NEVER_FIELDED, UNADJUSTED),
    attrgetter("confidence"),
)
lower_tail = Estimates(
    {"quantity": "Quantity", "value_other": "First arm", "value_ref": "Second arm"},
    TAIL,
    BY_CONTRAST,
    ("outcome", "quantity"),
    (UNADJUSTED,),
)
polarisation = Estimates(
    {"quantity": "Measure", "value_other": "First arm", "value_ref": "Second arm"},
    TAIL,
    BY_CONTRAST,
    ("outcome", "quantity"),
    ("Intervals and p by redrawing the arms; gap: of the means of base and opposed.", UNADJUSTED),
)
gap = Estimates(
    {"quantity": "Quantity"},
    TAIL,
    ("group",),
    notes=("Mean answer of the base less that of the opposed, on calibration data.", NEVER_FIELDED),
    level=attrgetter("confidence"),
)
fairness = Estimates(
    {"group": "Group", "attribute": "Attribute", "outcome": "Outcome"},
    {"p_value": "p", "p_adjusted": "p, adjusted", "n": "n", "label": "Label"},
    ("grouping", "quantity"),
    ("quantity", "outcome"),
    (
        "Divergence: Cramér's V of group by level of nano's petition, p by permutation. Rows without a "
        "group: do the groups differ, p by permutation. Calibration slope: realised on predicted gains, 1 if "
        "predictions hold. Harmed, at least: of yes or no, by how much nano lowers the share of yes. Less "
        "all others: a group against all others together, p by permutation, adjusted over the groups (Holm).",
        UNADJUSTED,
    ),
)
