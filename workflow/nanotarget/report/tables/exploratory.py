"""What the registration does not ask: groups, targeting, promises kept, the lower end, fairness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from nanotarget.report.tables.calibration import NEVER_FIELDED
from nanotarget.report.tables.parts import LOOKS, Shown, Table, estimated
from nanotarget.report.theme import Names

BY_CONTRAST = ("outcome", "contrast")
GROUPS: Shown = {"grouping": "Grouping", "group": "Group"}
TAIL: Shown = {"p_value": "p", "n": "n", "label": "Label"}
SHRUNKEN = "Shrunken: groups borrow strength from each other (normal-normal model); with three or more."


def subgroups(table: pd.DataFrame, names: Names) -> Table:
    """Effects within subgroups (explore/subgroups.csv), a group an outcome and contrast."""
    beside: Shown = {
        "shrunken": "Shrunken", ("shrunken_low", "shrunken_high"): "Its interval", "n": "n",
        "p_value": "p", "p_adjusted": "p, adjusted", "interaction_p": "p of interaction", "label": "Label",
    }  # fmt: skip
    notes = [LOOKS, "p, adjusted: over the groups of a grouping (Holm).", SHRUNKEN]
    title = "Effects within subgroups"
    return estimated("subgroups", title, table, names, GROUPS, beside, BY_CONTRAST, notes=notes)


def odds_ratios(table: pd.DataFrame, names: Names) -> Table:
    """Effects on odds within subgroups (explore/odds_ratios.csv), with shrunken odds ratios."""
    shrunken = {
        f"ratio{end}": np.exp(table[f"shrunken{end}"].astype("float64")) for end in ("", "_low", "_high")
    }
    beside: Shown = {
        "odds_ratio": "Odds ratio", ("odds_low", "odds_high"): "Its interval",
        "ratio": "Shrunken", ("ratio_low", "ratio_high"): "Its interval",
        "p_value": "p", "interaction_p": "p of interaction", "n": "n", "label": "Label",
    }  # fmt: skip
    keys: Shown = {**GROUPS, "share_ref": "Second arm", "share_other": "First arm"}
    notes = ["The estimate is a difference in log odds.", LOOKS, SHRUNKEN]
    made = estimated(
        "odds_ratios", "Odds ratios within subgroups", table.assign(**shrunken), names, keys, beside,
        BY_CONTRAST, notes=notes,
    )  # fmt: skip
    return replace(made, data=made.data[list(table.columns)])


def mobilisation(table: pd.DataFrame, names: Names) -> Table:
    """Mobilising the base against persuading the others (explore/mobilisation.csv)."""
    keys: Shown = {"quantity": "Quantity", "group": "Group"}
    title = "Mobilisation and persuasion"
    return estimated("mobilisation", title, table, names, keys, TAIL, BY_CONTRAST, notes=[LOOKS])


def gate(table: pd.DataFrame, names: Names) -> Table:
    """Doubly robust effects in groups (explore/gate.csv), a group an outcome and contrast."""
    beside: Shown = {"p_value": "p", "interaction_p": "p of equal effects", "n": "n", "label": "Label"}
    notes = ["Means of doubly robust scores; predicted gain: what the learner promised from nano.", LOOKS]
    return estimated("gate", "Doubly robust effects in groups", table, names, GROUPS, beside, BY_CONTRAST,
                     notes=notes)  # fmt: skip


def projection(table: pd.DataFrame, names: Names) -> Table:
    """Best linear projection of the effect on covariates (explore/projection.csv)."""
    beside: Shown = {"p_value": "p", "interaction_p": "p of all slopes", "n": "n", "label": "Label"}
    return estimated(
        "projection", "Who responds more: best linear projection", table, names, {"term": "Term"}, beside,
        BY_CONTRAST, ["outcome", "term"], ["(mean): the effect at the means of the covariates.", LOOKS],
    )  # fmt: skip


def rate(table: pd.DataFrame, names: Names) -> Table:
    """What ranking people by predicted gain is worth (explore/rate.csv)."""
    notes = ["People are ranked by the gain that the learner promised them from nano.", LOOKS]
    title = "Rank-weighted average treatment effects"
    return estimated("rate", title, table, names, {"contrast": "Contrast", "target": "Weights"}, TAIL,
                     alike=["outcome", "target"], notes=notes)  # fmt: skip


def validation(table: pd.DataFrame, names: Names) -> Table:
    """Did the diagnosis keep its promise: dilution, dose and gain (explore/validation.csv)."""
    beside: Shown = {"predicted": "Predicted", ("predicted_low", "predicted_high"): "Its interval", **TAIL}
    return estimated(
        "validation", "Predicted and observed gain", table, names,
        {"quantity": "Quantity", "group": "Among"}, beside, ["outcome", "estimator"],
        ["outcome", "estimator", "quantity"],
        ["Divergent: people to whom nano gives another petition than overall-best."],
    )  # fmt: skip


def dissuasion(table: pd.DataFrame, names: Names) -> Table:
    """How far petitions could lower support (explore/dissuasion.csv), a group a group of people."""
    return estimated(
        "dissuasion", "Persuasion and dissuasion", table, names,
        {"quantity": "Quantity", "attribute": "Attribute"}, TAIL, ["group"], ["group", "quantity"],
        [NEVER_FIELDED, LOOKS], level=names.confidence,
    )  # fmt: skip


def lower_tail(table: pd.DataFrame, names: Names) -> Table:
    """Lower ends of the outcomes (explore/lower_tail.csv), a group an outcome and contrast."""
    keys: Shown = {"quantity": "Quantity", "value_other": "First arm", "value_ref": "Second arm"}
    return estimated("lower_tail", "Lower ends of the outcomes", table, names, keys, TAIL, BY_CONTRAST,
                     ["outcome", "quantity"], [LOOKS])  # fmt: skip


def fairness(table: pd.DataFrame, names: Names) -> Table:
    """Are groups served alike (explore/fairness.csv), a group a grouping and quantity."""
    keys: Shown = {"group": "Group", "attribute": "Attribute", "outcome": "Outcome"}
    beside: Shown = {"p_value": "p", "p_adjusted": "p, adjusted", "n": "n", "label": "Label"}
    notes = ["Divergence: Cramér's V of group by level of nano's petition, p by permutation.", LOOKS]
    return estimated("fairness", "Are groups served alike?", table, names, keys, beside,
                     ["grouping", "quantity"], ["quantity", "outcome"], notes)  # fmt: skip
