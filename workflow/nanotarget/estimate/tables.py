"""The tables that the outcomes of the experiment go into: their paths in the results and their columns."""

from __future__ import annotations

from enum import StrEnum

from nanotarget.calibrate.multiplicity import METHODS
from nanotarget.clean.contracts import ESTIMATE_COLUMNS

LABEL = ("label", "deviation", "note")
PUBLISHED = ("label", "suppressed", "deviation", "note")
RATIO = ("ratio", "ratio_low", "ratio_high")
SHARES = ("share_ref", "share_other")
JOINT = ("interaction_f", "interaction_df1", "interaction_df2", "interaction_p")
SHRUNKEN = ("shrunken", "shrunken_error", "shrunken_low", "shrunken_high")
TAU = ("tau", "tau_low", "tau_high")
PREDICTED = ("predicted", "predicted_low", "predicted_high")

# P values of one procedure, adjusted over the contrasts of an outcome and over those of all outcomes.
CORRECTED = tuple(f"p_{method}_{scope}" for scope in ("within", "across") for method in METHODS)
_EFFECT = (
    *("outcome", "estimator", "estimand", "se_type", "contrast", *ESTIMATE_COLUMNS, "df_type"),
    "p_adjusted",
)
_GROUP = ("grouping", "group", "outcome", "contrast")
_IN_GROUP = (*ESTIMATE_COLUMNS, "df_type", "p_adjusted", *SHRUNKEN, *TAU, *JOINT, *PUBLISHED)


class Table(StrEnum):
    """Every table made of the arms and outcomes of the experiment, by its path in the results of a study."""

    columns: tuple[str, ...]

    def __new__(cls, path: str, columns: tuple[str, ...]) -> Table:
        """Make a table of its path and its columns, in order."""
        table = str.__new__(cls, path)
        table._value_, table.columns = path, columns
        return table

    EFFECTS = "estimate/effects.csv", (*_EFFECT, *CORRECTED, "family", *LABEL)
    OUTCOMES = (
        "estimate/outcomes.csv",
        ("outcome", "arm", "value", "n_assigned", "n", "mean", "sd", "median", "share", "deviation"),
    )
    EQUIVALENCE = (
        "estimate/equivalence.csv",
        (
            *("outcome", "estimator", "contrast", "sesoi", *ESTIMATE_COLUMNS, "df_type", "p_lower"),
            *("p_upper", "verdict"),
            *("non_superiority", "label", "deviation"),
        ),
    )
    SCALES = (
        "estimate/scales.csv",
        (
            *(
                "outcome",
                "estimator",
                "quantity",
                "se_type",
                "contrast",
                *ESTIMATE_COLUMNS,
                "df_type",
                *RATIO,
            ),
            *("p_adjusted", *CORRECTED, *SHARES, "p_chi2", "p_fisher", "sd"),
            *("parallel_chi2", "parallel_df", "parallel_p", *LABEL),
        ),
    )
    OMNIBUS = (
        "estimate/omnibus.csv",
        ("outcome", "test", "statistic", "df1", "df2", "p_value", "n", *LABEL),
    )
    RANDOMIZATION_INFERENCE = (
        "estimate/randomization_inference.csv",
        (
            *("outcome", "contrast", "scheme", "estimand", *ESTIMATE_COLUMNS, "p_mid", "p_greater"),
            *("p_less", "p_adjusted", *CORRECTED, "draws", *LABEL),
        ),
    )
    LEE = (
        "estimate/lee_bounds.csv",
        (
            *("outcome", "contrast", "trimming", "bound", *ESTIMATE_COLUMNS, "effect_low", "effect_high"),
            *("naive", "rate_later", "rate_earlier", "rate_p", "trimmed_arm", "trim_share", *LABEL),
        ),
    )
    IPW = (
        "estimate/ipw.csv",
        (
            *("outcome", "estimator", "contrast", *ESTIMATE_COLUMNS, "df_type", "p_adjusted", *CORRECTED),
            "naive",
            *("largest_weight", "n_cut", "n_effective", *LABEL),
        ),
    )
    CACE = (
        "estimate/cace.csv",
        (
            *("outcome", "contrast", "estimand", *ESTIMATE_COLUMNS, "p_adjusted", *CORRECTED),
            *("itt", "first_stage", "first_stage_f", "ar_low", "ar_high", *LABEL),
        ),
    )
    CHECKS = "estimate/checks.csv", ("sample", *_EFFECT, "family", *LABEL, "n_left_out")
    ROBUSTNESS = (
        "estimate/robustness.csv",
        (
            *("outcome", "contrast", "scale", "rank", "estimator", "se_type", "sample", "adjustment"),
            *(*ESTIMATE_COLUMNS, "df_type", *CORRECTED, *LABEL),
        ),
    )
    POWER = (
        "estimate/power.csv",
        (
            *("outcome", "estimator", "contrast", "std_error", "df", "n", "alpha", "power"),
            *("mde", "mde_holm", "sesoi", "power_at_sesoi", "equivalence_margin", "deviation"),
        ),
    )
    SUBGROUPS = "explore/subgroups.csv", (*_GROUP, *_IN_GROUP)
    ODDS_RATIOS = (
        "explore/odds_ratios.csv",
        (*_GROUP, *SHARES, "odds_ratio", "odds_low", "odds_high", *_IN_GROUP),
    )
    MOBILISATION = (
        "explore/mobilisation.csv",
        ("grouping", "group", "quantity", "outcome", "contrast", *ESTIMATE_COLUMNS, *PUBLISHED),
    )
    LOWER_TAIL = (
        "explore/lower_tail.csv",
        ("outcome", "contrast", "quantity", "value_ref", "value_other", *ESTIMATE_COLUMNS, *LABEL),
    )
    POLARISATION = (
        "explore/polarisation.csv",
        ("outcome", "contrast", "quantity", "value_ref", "value_other", *ESTIMATE_COLUMNS, *PUBLISHED),
    )
    GATE = "explore/gate.csv", (*_GROUP, *ESTIMATE_COLUMNS, *JOINT, *PUBLISHED)
    PROJECTION = (
        "explore/projection.csv",
        ("outcome", "contrast", "term", *ESTIMATE_COLUMNS, *JOINT, *PUBLISHED),
    )
    RATE = "explore/rate.csv", ("outcome", "contrast", "target", *ESTIMATE_COLUMNS, *LABEL)
    TARGETING_CURVE = (
        "explore/targeting_curve.csv",
        ("outcome", "contrast", "share", *ESTIMATE_COLUMNS, *LABEL),
    )
    VALIDATION = (
        "explore/validation.csv",
        (
            *("outcome", "estimator", "contrast", "quantity", "group"),
            *(*ESTIMATE_COLUMNS, *PREDICTED, *PUBLISHED),
        ),
    )
    FAIRNESS = (
        "explore/fairness.csv",
        (
            *("grouping", "group", "quantity", "attribute", "outcome", "contrast"),
            *(*ESTIMATE_COLUMNS, "p_adjusted", *PUBLISHED),
        ),
    )
    ATTRITION = (
        "estimate/attrition.csv",
        (
            *("outcome", "arm", "n_assigned", "n_observed", "n_missing", "attrition"),
            *("chi2", "chi2_df", "chi2_p", "wald_f", "df1", "df2", "wald_p", "deviation", "note"),
        ),
    )
    DIFFERENTIAL_ATTRITION = (
        "estimate/differential_attrition.csv",
        (
            *("outcome", "covariate", "wald_f", "df1", "df2", "p_value", "p_adjusted"),
            *("n_assigned", "n_missing", "deviation", "note"),
        ),
    )
    BALANCE = (
        "estimate/balance.csv",
        (
            *("covariate", "level", "contrast", "mean_ref", "mean_other", "std_diff", "population"),
            *("n_ref", "n_other", "deviation"),
        ),
    )
    PARTICIPANTS = "estimate/participants.csv", ("stage", "arm", "outcome", "reason", "n", "deviation")


# Who is in the sample; the others are estimates from its outcomes.
SAMPLE_TABLES = (Table.ATTRITION, Table.DIFFERENTIAL_ATTRITION, Table.BALANCE, Table.PARTICIPANTS)
ESTIMATES = tuple(table for table in Table if table not in SAMPLE_TABLES)

# Estimator that can be registered -> where its rows are beside the specification curve in ROBUSTNESS.
TABLE_OF = {
    "dim": Table.EFFECTS,
    "lin": Table.EFFECTS,
    "tost": Table.EQUIVALENCE,
    "logit": Table.SCALES,
    "ordinal": Table.SCALES,
    "mann_whitney": Table.SCALES,
    "ri": Table.RANDOMIZATION_INFERENCE,
    "lee": Table.LEE,
    "ipw": Table.IPW,
    "aipw": Table.IPW,
    "cace": Table.CACE,
}
