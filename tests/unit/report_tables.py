"""Small made-up tables with the columns of the pipeline's artefacts, for the tests of the report."""

from __future__ import annotations

import pandas as pd

NASTY = 'Seek <br> "Better" Job & 50% of $x_1$ {tax}^2 ~ #1 \\cmd'
LONG = "A level whose text is so long that nobody could print it on one line of a figure, and then some words"
JAPANESE = "気候 変動"

ATTRIBUTES = {
    "Sector": ["Energy", "Transport", "Housing"],
    NASTY: ["*starred*", "[bracketed]", LONG, "x" * 90],
    JAPANESE: ["税金", "補助金"],
}
ARMS = ("control", "best", "nano")
CONTRASTS = ("best - control", "nano - control", "nano - best")


def estimates(rows: list[dict[str, object]], value: float = 0.1, error: float = 0.05) -> pd.DataFrame:
    """Add the columns of an estimate to rows that say what is estimated."""
    out = []
    for k, row in enumerate(rows):
        point = value * (1 - k % 3) - 0.013 * k
        out.append(
            {
                **row,
                "estimate": point,
                "std_error": error,
                "statistic": point / error,
                "p_value": 0.00001 if k == 0 else 0.2,
                "conf_low": point - 1.96 * error,
                "conf_high": point + 1.96 * error,
                "df": 100.0,
                "n": 500,
            }
        )
    return pd.DataFrame(out)


def flow() -> pd.DataFrame:
    rows = [
        {
            "sample": "calibration",
            "step": step,
            "rule": "not_in",
            "arm": "all",
            "n_before": before,
            "n_excluded": before - after,
            "n_after": after,
        }
        for step, before, after in [("No consent", 1600, 1580), (LONG, 1580, 1500)]
    ]
    for arm, sizes in {
        "all": (3300, 3200, 3113),
        "control": (1100, 1066, 1040),
        "best": (1098, 1067, 1036),
        "nano": (1102, 1067, 1037),
    }.items():
        for k, step in enumerate(["No consent", "Duplicate respondent"]):
            rows.append(
                {
                    "sample": "experiment",
                    "step": step,
                    "rule": "not_in",
                    "arm": arm,
                    "n_before": sizes[k],
                    "n_excluded": sizes[k] - sizes[k + 1],
                    "n_after": sizes[k + 1],
                }
            )
    return pd.DataFrame(rows)


def marginal_means(outcome: str = "rating") -> pd.DataFrame:
    rows = [
        {"outcome": outcome, "attribute": a, "level": level}
        for a, levels in ATTRIBUTES.items()
        for level in levels
    ]
    table = estimates(rows)
    table["estimate"] += 5
    table["conf_low"] += 5
    table["conf_high"] += 5
    return table.assign(n_clusters=150)


def amce(outcome: str = "rating", estimator: str = "main_effects") -> pd.DataFrame:
    rows = [
        {"outcome": outcome, "attribute": a, "level": level}
        for a, levels in ATTRIBUTES.items()
        for level in levels
    ]
    table = estimates(rows).assign(n_clusters=150, estimator=estimator, support=1.0)
    reference = table["level"].isin([levels[0] for levels in ATTRIBUTES.values()])
    table.loc[reference, "estimate"] = 0.0
    empty = ["std_error", "statistic", "p_value", "conf_low", "conf_high", "df", "support"]
    table.loc[reference, empty] = float("nan")
    return table


def effects() -> pd.DataFrame:
    rows = [
        {"outcome": outcome, "estimator": estimator, "se_type": "HC2", "contrast": contrast}
        for outcome in ("sign", "support")
        for contrast in CONTRASTS
        for estimator in ("dim", "lin")
    ]
    table = estimates(rows)
    labels = {"dim": "confirmatory", "lin": "secondary"}
    table["p_adjusted"] = table["p_value"]
    table["label"] = [
        labels[e] if o == "sign" else "exploratory"
        for o, e in zip(table["outcome"], table["estimator"], strict=True)
    ]
    return table.assign(deviation="")


def diagnostics() -> pd.DataFrame:
    rows = [
        {"diagnostic": "dividend", "quantity": quantity, "estimator": estimator}
        for quantity in ("nano - overall_best", "nano - random", "overall_best - random")
        for estimator in ("dr_q1", "dr_q2", "plug_in")
    ]
    return estimates(rows).assign(ceiling=0.1, ceiling_low=float("nan"), ceiling_high=0.2, verdict="FAIL")


def verdict() -> dict[str, object]:
    return {
        "overall": "DO NOT DEPLOY",
        "binding": "dividend",
        "text": f"Nano-targeting does not pay. {NASTY}",
    }


def petitions() -> pd.DataFrame:
    n = 40
    return pd.DataFrame(
        {
            "petition_id": range(n),
            "Sector": "Energy",
            "text": NASTY,
            "n_random": [3] * n,
            "n_overall_best": [120] + [0] * (n - 1),
            "n_nano": [60, 30, 20, 10] + [0] * (n - 4),
        }
    )


def subgroups() -> pd.DataFrame:
    rows = [
        {"grouping": "support_group", "group": group, "outcome": "sign", "contrast": contrast}
        for contrast in CONTRASTS
        for group in ("opposed", NASTY, "base")
    ]
    table = estimates(rows).assign(interaction_p=0.4, label="exploratory", suppressed=False)
    table.loc[0, "suppressed"] = True
    table.loc[0, ["estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "df", "n"]] = (
        float("nan")
    )
    return table


def deviations() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "deviation": "D1",
                "what": "alpha",
                "registered": "0.01",
                "done": NASTY,
                "outputs": "estimate/effects.csv",
            }
        ]
    )


def balance() -> pd.DataFrame:
    row = {"covariate": NASTY, "level": "", "contrast": "nano - best", "mean_ref": 41.2, "mean_other": 40.9}
    return pd.DataFrame([row | {"std_diff": 0.03, "n_ref": 100, "n_other": 101, "deviation": ""}])


def equivalence() -> pd.DataFrame:
    rows = [{"outcome": "sign", "contrast": contrast, "sesoi": 0.05} for contrast in CONTRASTS]
    table = estimates(rows).assign(p_lower=0.1, p_upper=0.2, label="exploratory", deviation="")
    return table.assign(verdict=["inconclusive", "equivalent", "not testable"])


def attrition() -> pd.DataFrame:
    rows = [
        {"outcome": "sign", "arm": arm, "n_assigned": 1038, "n_observed": 1000, "n_missing": 38,
         "attrition": 0.0366,
         "chi2": 5.3, "chi2_df": 2, "chi2_p": 0.07, "deviation": ""}
        for arm in ARMS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def power() -> pd.DataFrame:
    row = {
        "outcome": "sign",
        "estimator": "dim",
        "contrast": "nano - best",
        "std_error": 0.02,
        "df": 2979,
        "n": 2982,
    }
    rest = {"alpha": 0.05, "power": 0.8, "mde": 0.06, "mde_holm": 0.07, "sesoi": 0.05, "power_at_sesoi": 0.65}
    return pd.DataFrame([row | rest | {"equivalence_margin": 0.063, "deviation": ""}])


def learners() -> pd.DataFrame:
    row = {"learner": "ridge", "outcome": "rating", "loss": 1.85, "loss_null": 1.86, "improvement": 0.0047}
    taken = {"chosen": True, "reason": "named in the config", "penalty_common": 27.5}
    return pd.DataFrame([row | {"std_error": 0.0015, "statistic": 3.1, "n": 1472} | taken])


def audit() -> pd.DataFrame:
    row = {"arm": "nano", "policy": "nano", "n": 1037, "n_agree": 376, "share_agree": 0.363}
    return pd.DataFrame(
        [row | {"attributes_agree": 0.86, "n_infeasible": 0, "distinct_fielded": 67, "distinct_assigned": 2}]
    )


def sources() -> dict[str, pd.DataFrame]:
    """Return every table that the report reads, by the name under which it reads it."""
    return {
        "flow": flow(),
        "amce": amce(),
        "marginal_means": marginal_means(),
        "learners": learners(),
        "diagnostics": diagnostics(),
        "petitions": petitions(),
        "audit": audit(),
        "effects": effects(),
        "equivalence": equivalence(),
        "attrition": attrition(),
        "balance": balance(),
        "power": power(),
        "subgroups": subgroups(),
        "deviations": deviations(),
    }
