"""Small made-up tables with the columns of the pipeline's artefacts, for the tests of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy import nan

from nanotarget.assign.assign import pooled_petitions
from nanotarget.estimate.tables import CORRECTED
from nanotarget.report import catalogue, figures, tables, theme

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


class Later(Mapping[str, Any]):
    """What many tests of a module look at, made when the first one does: not while tests are collected."""

    def __init__(self, make: Callable[[], Mapping[str, Any]]):
        self.make = make

    @cached_property
    def made(self) -> Mapping[str, Any]:
        return self.make()

    def __getitem__(self, name: str) -> Any:
        return self.made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.made)

    def __len__(self) -> int:
        return len(self.made)


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


def groups() -> pd.DataFrame:
    means = marginal_means().assign(quantity="marginal_mean", reference="")
    effects = amce().dropna(subset="std_error").assign(quantity="amce")
    effects["reference"] = effects["attribute"].map({a: levels[0] for a, levels in ATTRIBUTES.items()})
    own = pd.concat([means, effects], ignore_index=True)
    difference = own.assign(estimate=0.1, conf_low=-0.1, conf_high=0.3, group=NASTY, minus="left")
    for column in ("p_holm", "p_bh", "p_bonferroni"):
        difference[column] = 0.5
    parts = [own.assign(group=group, minus="") for group in ("left", NASTY)]
    return pd.concat([*parts, difference], ignore_index=True).assign(grouping="side", suppressed=False)


def choice_models() -> pd.DataFrame:
    table = amce().dropna(subset="std_error").drop(columns=["estimator", "support"])
    parts = [table.assign(outcome="choice", estimator=name) for name in ("logit", "conditional_logit")]
    return pd.concat(parts, ignore_index=True).assign(odds_ratio=1.1, log_likelihood=-900.0, note="")


def interactions() -> pd.DataFrame:
    (one, levels), (other, others), *_ = ATTRIBUTES.items()
    rows = [
        {"outcome": "rating", "quantity": quantity, "attribute": one, "level": a, "other_attribute": other,
         "other_level": b}
        for quantity, first in (("amie", 0), ("acie", 1))
        for a in levels[first:]
        for b in others[first:]
    ]  # fmt: skip
    table = estimates(rows).assign(n_clusters=150)
    return table.assign(**{f"p_{method}": table["p_value"] for method in ("holm", "bonferroni", "bh")})


def interaction_tests() -> pd.DataFrame:
    one, other, *_ = ATTRIBUTES
    row = {"outcome": "rating", "attribute": one, "other_attribute": other, "statistic": 1.3, "df1": 2}
    row |= {"df2": 140.0, "p_value": 0.2, "largest": 0.1, "n": 1200, "note": ""}
    return pd.DataFrame([row | {f"p_{method}": 0.6 for method in ("holm", "bonferroni", "bh")}])


def group_tests() -> pd.DataFrame:
    rows = [
        ("(all levels)", "classical F", 2.5, 5, 900.0, 0.03),
        ("(all levels)", "robust F", 2.4, 5, 140.0, 0.04),
        *[(attribute, "robust F", 1.2, 1, 140.0, 0.3) for attribute in ATTRIBUTES],
    ]
    columns = ["item", "test", "statistic", "df1", "df2", "p_value"]
    table = pd.DataFrame(rows, columns=columns).assign(outcome="rating", grouping="side", n=1200, note="")
    return table.assign(p_adjusted=table["p_value"].where(table["item"] != "(all levels)"))


def attribute_tests() -> pd.DataFrame:
    parts = ("any", "average", "covariates", "persons")
    rows = [{"attribute": attribute, "part": part} for attribute in ATTRIBUTES for part in parts]
    table = pd.DataFrame(rows).assign(outcome="rating", statistic=1.0, p_value=0.2, p_holm=0.4, draws=299)
    return table.assign(n=1200, n_clusters=300, note="levels of whole tasks permuted")


def likeness() -> pd.DataFrame:
    middle = np.linspace(0.05, 0.85, 9)
    rows = {"outcome": "rating", "likeness": middle, "agreement": 0.5 + 0.3 * middle**2, "std_error": 0.03}
    return pd.DataFrame(rows | {"expected": 0.5 + 0.28 * middle**2, "n": 400})


def reliability() -> pd.DataFrame:
    rows = [
        {
            "quantity": quantity,
            "method": method,
            "estimate": estimate,
            "note": note,
            "used": method == "repeated",
        }
        for method, note in (("repeated", ""), ("extrapolated", ""), ("linear", "too low"))
        for quantity, estimate in (("agreement", 0.75), ("response_error", 0.15), ("factor", 0.7))
    ]
    table = pd.DataFrame(rows).assign(outcome="rating", grouping="", group="", std_error=0.02)
    table = table.assign(conf_low=table["estimate"] - 0.04, conf_high=table["estimate"] + 0.04)
    everybody = table.assign(n=1500, n_clusters=300)
    return pd.concat([everybody, everybody.assign(grouping=NASTY, group=NASTY)], ignore_index=True)


def corrected() -> pd.DataFrame:
    table = groups().query("minus == ''").assign(grouping="", group="", method="repeated")
    raw = {"raw": "estimate", "raw_std_error": "std_error", "raw_low": "conf_low", "raw_high": "conf_high"}
    for name, source in raw.items():
        table[name] = table[source] * 0.7
    return table.assign(boot_std_error=table["std_error"], boot_low=-1.0, boot_high=1.0)


def corrected_diagnosis() -> pd.DataFrame:
    row = {"diagnostic": "dividend", "quantity": "gain that it leaves possible", "estimator": "dr_q1"}
    row |= {"raw": 0.02, "raw_low": 0.01, "raw_high": 0.03, "estimate": 0.03, "conf_low": 0.015}
    row |= {"conf_high": 0.05, "threshold": 0.04, "raw_side": "below", "side": "open", "method": "repeated"}
    return pd.DataFrame([row | {"n": 300}])


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
    family = table["outcome"] + ", " + table["estimator"]
    return table.assign(
        deviation="", note="", family=family, estimand="difference in means", df_type="n - parameters"
    )


def outcomes() -> pd.DataFrame:
    rows = [
        (outcome, arm, value, 100, 97, *((0.4, 0.49, 0.0) if value is None else (nan,) * 3), share)
        for outcome in ("sign", "support")
        for arm in (*ARMS, "(all)")
        for value, share in ((None, nan), (0.0, 0.6), (1.0, 0.4))
    ]
    names = ["outcome", "arm", "value", "n_assigned", "n", "mean", "sd", "median", "share"]
    return pd.DataFrame(rows, columns=names).assign(deviation="").astype({"value": "float64"})


def diagnostics(attributes: dict[str, list[str]] = ATTRIBUTES) -> pd.DataFrame:
    """All rows for the goal support and everybody; the headline rows for the other goal and a subgroup."""
    cells = [
        ("threshold", "smallest gain that matters", "", 0.1, nan),
        ("threshold", "sesoi", "", 0.1, nan),
        ("heterogeneity", "person x message variance", "cross_task", 0.13, 0.04),
        ("heterogeneity", "baseline variance", "cross_task", 1.2, 0.06),
        ("heterogeneity", "common message variance", "cross_task", 0.5, 0.05),
        ("heterogeneity", "noise variance", "cross_task", 1.4, 0.05),
        ("heterogeneity", "interaction share", "cross_task", 0.2, 0.05),
        *(
            ("heterogeneity", f"person x message variance: {a}", "cross_task", 0.03 - 0.02 * k, 0.012)
            for k, a in enumerate(attributes)
        ),
        ("heterogeneity", "person x message variance, lag 1", "cross_task", 0.14, 0.06),
        ("heterogeneity", "lag difference", "cross_task", 0.02, 0.05),
        ("predictability", "calibration slope", "crossfit", 0.58, 0.16),
        ("predictability", "predictable variance", "cross_person", 0.02, 0.01),
        ("predictability", "discordance win rate", "crossfit", 0.52, 0.01),
        ("crossover", "cross-half gain", "cross_half", -0.01, 0.02),
        ("crossover", "distinct petitions", "observed", 57, nan),
        ("crossover", "distinct petitions", "permuted", 49, 5.0),
        ("crossover", "effective number of petitions", "observed", 9.3, nan),
        ("crossover", "effective number of petitions", "permuted", 8.1, 1.0),
        *(
            ("crossover", f"{quantity}: {a}", "cross_half", 0.4 - 0.1 * k, 0.05)
            for quantity in ("divergence", "replicated divergence", "kappa")
            for k, a in enumerate(attributes)
        ),
        *(
            ("dividend", quantity, estimator, value - 0.1 * k, 0.03)
            for quantity, value in (
                ("nano", 5.4), ("overall_best", 5.3), ("nano - overall_best", 0.1), ("nano - random", 0.4),
                ("overall_best - random", 0.3),
            )
            for k, estimator in enumerate(("dr_q1", "dr_q2", "plug_in"))
        ),
        ("dividend", "order 2 - order 1", "", -0.1, 0.08),
        ("dividend", "share divergent", "observed", 0.4, 0.01),
    ]  # fmt: skip
    columns = ["diagnostic", "quantity", "estimator", "estimate", "std_error"]
    table = pd.DataFrame(cells, columns=columns).assign(goal="support", group="all")
    heads = table["quantity"] + " " + table["estimator"]
    verdicts = {
        "person x message variance cross_task": ("INCONCLUSIVE", 0.12, 0.05, 0.21),
        "calibration slope crossfit": ("FAIL", 0.03, 0.01, 0.06),
        "cross-half gain cross_half": ("FAIL", -0.01, -0.043, 0.023),
        "nano - overall_best dr_q1": ("FAIL", 0.002, -0.047, 0.051),
    }
    ceilings = ["verdict", "ceiling", "ceiling_low", "ceiling_high"]
    table[ceilings] = [verdicts.get(head, ("", nan, nan, nan)) for head in heads]
    headlines = table[table["verdict"] != ""]
    table = pd.concat(
        [table, headlines.assign(goal="dissuade"), headlines.assign(group=f"support_group: {NASTY}")],
        ignore_index=True,
    )
    table["conf_low"] = table["estimate"] - 1.96 * table["std_error"]
    table["conf_high"] = table["estimate"] + 1.96 * table["std_error"]
    table["p_value"] = np.where(table["quantity"] == "lag difference", 0.7, nan)
    table["verdict"] = table["verdict"].replace("", nan)  # as a CSV file gives it back
    return table.assign(n=1486, label="exploratory")[DIAGNOSTICS]


DIAGNOSTICS = [
    "diagnostic", "quantity", "estimate", "std_error", "conf_low", "conf_high", "ceiling", "ceiling_low",
    "ceiling_high", "verdict", "estimator", "p_value", "n", "goal", "group", "label",
]  # fmt: skip


def calibration() -> pd.DataFrame:
    predicted = np.array([-0.31, -0.12, -0.05, 0.0, 0.06, 0.14, 0.35])
    observed = 0.58 * predicted + np.array([0.02, -0.03, 0.04, 0.0, -0.02, 0.03, -0.01])
    table = pd.DataFrame({"bin": range(1, 8), "predicted": predicted, "observed": observed})
    return table.assign(std_error=0.05, conf_low=observed - 0.098, conf_high=observed + 0.098, n=2548)


def switches(attributes: dict[str, list[str]] = ATTRIBUTES) -> pd.DataFrame:
    rows = []
    for attribute, levels in attributes.items():
        shares = np.geomspace(1, 0.002, len(levels)) if len(levels) > 1 else np.ones(1)
        for k, (level, share) in enumerate(zip(levels, shares / shares.sum(), strict=True)):
            rows.append({"attribute": attribute, "level": level, "overall_best": k == 0, "share_nano": share})
    return pd.DataFrame(rows).assign(share_replicated=lambda t: 0.6 * t["share_nano"])


def abundance() -> pd.DataFrame:
    parts = []
    for source, count, power in (("observed", 57, 1.3), ("permuted", 49, 1.2)):
        rank = np.arange(1, count + 1)
        share = rank**-power / (rank**-power).sum()
        table = pd.DataFrame({"source": source, "rank": rank, "share": share})
        spread = (0.6, 1.5) if source == "permuted" else (nan, nan)
        parts.append(table.assign(share_low=share * spread[0], share_high=share * spread[1]))
    parts[1].loc[40:, "share_low"] = 0.0
    return pd.concat(parts, ignore_index=True)


def frontier() -> pd.DataFrame:
    k = np.array([1, 2, 3, 5, 8, 13, 20])
    gain = np.array([0, 0.01, 0.012, 0.006, 0.004, 0.003, 0.001])
    table = pd.DataFrame({"k": k, "value": 5.4 + gain, "std_error": 0.04, "gain": gain})
    table["gain_std_error"] = [0.0, *[0.025] * 6]
    margin = 1.645 * table["gain_std_error"]
    return table.assign(gain_low=gain - margin, gain_high=gain + margin)


def learning_curve() -> pd.DataFrame:
    n = np.array([372, 743, 1115, 1486, 2972, 5944, nan])
    gain = 0.04 - 50 / n
    gain[-1] = 0.04
    table = pd.DataFrame({"share": [0.25, 0.5, 0.75, 1, nan, nan, nan], "n": n, "gain": gain})
    table["std_error"] = [0.06, 0.045, 0.035, 0.03, 0.03, 0.035, 0.04]
    margin = 1.96 * table["std_error"]
    table = table.assign(conf_low=gain - margin, conf_high=gain + margin)
    return table.assign(kind=["measured"] * 4 + ["extrapolated"] * 3)


def ladder() -> pd.DataFrame:
    rungs = [
        ("one covariate", 1),
        ("demographics", 5),
        (NASTY, 7),
        ("all", 12),
        ("covariates + own answers", 12),
    ]
    table = pd.DataFrame(rungs, columns=["rung", "n_covariates"])
    table["learner"] = ["ridge", "ridge", "ridge", "boosting", "hierarchical"]
    table["information"] = ["covariates"] * 4 + ["covariates + own answers"]
    step = np.arange(5)
    table = table.assign(improvement=0.002 * step, std_error=0.0015, slope=0.2 * step, gain=0.01 * step)
    table = table.assign(slope_low=table["slope"] - 0.3, slope_high=table["slope"] + 0.3)
    table = table.assign(predictable_variance=0.01 * step, predictable_share=0.1 * step, gain_std_error=0.02)
    table = table.assign(gain_low=table["gain"] - 0.033, gain_high=table["gain"] + 0.033, n=1486)
    return table[LADDER]


LADDER = [
    "rung", "learner", "information", "n_covariates", "improvement", "std_error", "slope", "slope_low",
    "slope_high", "predictable_variance", "predictable_share", "gain", "gain_std_error", "gain_low",
    "gain_high", "n",
]  # fmt: skip


def verdict() -> dict[str, object]:
    stages = {
        "heterogeneity": "INCONCLUSIVE",
        "predictability": "FAIL",
        "crossover": "FAIL",
        "dividend": "FAIL",
    }
    other = {"goal": "dissuade", "group": "all", "overall": "DO NOT DEPLOY", "binding": "crossover",
             "stages": stages, "gain": 0.01, "gain_low": -0.03, "gain_high": 0.05,
             "text": "Dissuasion does not pay either."}  # fmt: skip
    return {
        "overall": "DO NOT DEPLOY",
        "goal": "support",
        "binding": "predictability",
        "stages": stages,
        "rule": "DOES NOT PAY",
        "threshold": 0.1,
        "sesoi": 0.1,
        "unit": "rating points",
        "gain": 0.002,
        "gain_low": -0.047,
        "gain_high": 0.051,
        "share_divergent": 0.4,
        "ceilings": {
            "heterogeneity": {"estimate": 0.12, "low": 0.05, "high": 0.21},
            "predictability": {"estimate": 0.03, "low": 0.01, "high": 0.06},
            "crossover": {"estimate": -0.01, "low": -0.043, "high": 0.023},
            "dividend": {"estimate": 0.002, "low": -0.047, "high": 0.051},
        },
        "synthetic": True,
        "text": f"Nano-targeting does not pay. {NASTY}",
        "reasons": ["Tastes may differ enough: an oracle could gain 0.05 to 0.21.",
                    "The covariates see little of it: at most 0.06.",
                    "The halves do not agree on who should get what.",
                    "Out of sample nano gains nothing."],
        "advice": ["More respondents would not help.", "Ask covariates that are closer to the issue."],
        "flags": ["Neighbouring tasks resemble each other more than distant ones."],
        "others": [other, other | {"goal": "support", "group": f"support_group: {NASTY}", "text": "No."}],
    }  # fmt: skip


def petition() -> dict[str, object]:
    text = f"Act on energy. {NASTY}"
    return {"petition_id": 7, "levels": {"Sector": "Energy"}, "text": text, "synthetic": True}


def petitions() -> pd.DataFrame:
    n = 40
    counted = pd.DataFrame(
        {
            "petition_id": range(n),
            "Sector": "Energy",
            "text": NASTY,
            "n_random": [3] * n,
            "n_overall_best": [120] + [0] * (n - 1),
            "n_nano": [60, 30, 20, 10] + [0] * (n - 4),
        }
    )
    return pooled_petitions(counted, 10)


def subgroups() -> pd.DataFrame:
    rows = [
        {"grouping": "support_group", "group": group, "outcome": "sign", "contrast": contrast}
        for contrast in CONTRASTS
        for group in ("opposed", NASTY, "base")
    ]
    table = estimates(rows).assign(interaction_p=0.4, label="exploratory", deviation="", note="")
    table = table.assign(
        p_adjusted=0.3, shrunken=0.7 * table["estimate"], shrunken_low=-0.1, shrunken_high=0.2
    )
    return hidden(table, [0], ("shrunken", "shrunken_low", "shrunken_high", "p_adjusted"))


def hidden(table: pd.DataFrame, rows: list[int], more: tuple[str, ...] = ()) -> pd.DataFrame:
    """Suppress rows as the exploratory tables do."""
    numbers = ["estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "df", "n", *more]
    table["suppressed"] = False
    table.loc[rows, "suppressed"] = True
    table.loc[rows, numbers] = nan
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
    rows = [
        {"covariate": covariate, "level": level, "contrast": contrast, "mean_ref": mean, "mean_other": other}
        for covariate, level, mean, other in (("age", "", 41.2, 40.9), ("party", NASTY, 0.5, 0.45))
        for contrast in CONTRASTS
    ]
    return pd.DataFrame(rows).assign(std_diff=-0.1, population=nan, n_ref=100, n_other=101, deviation="")


def equivalence() -> pd.DataFrame:
    rows = [
        {"outcome": "sign", "estimator": "tost", "contrast": contrast, "sesoi": 0.05}
        for contrast in CONTRASTS
    ]
    table = estimates(rows).assign(p_lower=0.1, p_upper=0.2, label="exploratory", deviation="")
    return table.assign(
        verdict=["inconclusive", "equivalent", "not testable"],
        non_superiority=["inconclusive", "not superior", "not testable"],
    )


def attrition() -> pd.DataFrame:
    rows = [
        {"outcome": "sign", "arm": arm, "n_assigned": 1038, "n_observed": 1000, "n_missing": 38,
         "attrition": 0.0366,
         "chi2": 5.3, "chi2_df": 2, "chi2_p": 0.07, "wald_p": 0.08, "deviation": ""}
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


def quality() -> pd.DataFrame:
    rows = [{"sample": "calibration", "check": "missing", "item": "age", "level": nan, "n": 3, "share": 0.1}]
    for attribute, levels in ATTRIBUTES.items():
        item = {"sample": "calibration", "check": "level_frequency", "item": attribute}
        rows.append(item | {"level": nan, "n": 900, "share": 1.0})
        rows += [item | {"level": level, "n": 300, "share": 0.335, "expected": 0.3} for level in levels]
    return pd.DataFrame(rows)


def contrasts(**keys: object) -> pd.DataFrame:
    """Estimates of every contrast of both outcomes, with notes on some."""
    rows = [{"outcome": o, "contrast": c, **keys} for o in ("sign", "support") for c in CONTRASTS]
    table = estimates(rows).assign(p_adjusted=0.3, label="secondary", deviation="", note="")
    table.loc[1, ["estimate", "std_error", "p_value", "conf_low", "conf_high"]] = nan
    table.loc[1, "note"] = f"the outcome does not vary in '{NASTY}'"
    return table


def scales() -> pd.DataFrame:
    odds = contrasts(estimator="logit", quantity="log odds ratio")
    odds = odds.assign(ratio=np.exp(odds["estimate"]), ratio_low=0.9, ratio_high=1.2)
    ordinal = contrasts(estimator="ordinal").assign(parallel_p=0.0001)
    return pd.concat([odds, ordinal], ignore_index=True)


def participants() -> pd.DataFrame:
    rows = [
        {"stage": stage, "arm": arm, "outcome": outcome, "reason": reason, "n": 1000 + k, "deviation": ""}
        for stage, outcome, reason in (
            ("assessed", "", ""), ("excluded", "", NASTY), ("randomised", "", ""), ("analysed", "sign", "")
        )
        for k, arm in enumerate(("all", *ARMS))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def differential_attrition() -> pd.DataFrame:
    cells = [("age", 0.4, 0.8, ""), (NASTY, nan, nan, "not testable"), ("(all)", 1.2, 0.3, "")]
    table = pd.DataFrame(cells, columns=["covariate", "wald_f", "p_value", "note"])
    return table.assign(
        outcome="sign", df1=4, df2=3104.0, p_adjusted=1.0, n_assigned=3113, n_missing=131, deviation=""
    )


def lee_bounds() -> pd.DataFrame:
    table = contrasts(trimming="fraction").assign(
        effect_low=-0.1, effect_high=0.2, naive=0.1, rate_later=0.95, rate_earlier=0.96, rate_p=0.2,
        trim_share=0.013,
    )  # fmt: skip
    return pd.concat([table.assign(bound="lower"), table.assign(bound="upper")], ignore_index=True)


def grouped(**keys: object) -> pd.DataFrame:
    """Estimates of groups, the second one suppressed."""
    parts = [contrasts(grouping="support_group", group=group, **keys) for group in ("base", NASTY)]
    table = pd.concat(parts, ignore_index=True).assign(label="exploratory", interaction_p=0.4)
    return hidden(table, list(range(6, 12)))


def odds_ratios() -> pd.DataFrame:
    table = grouped().assign(share_ref=0.17, share_other=0.2, odds_ratio=1.26, odds_low=0.76, odds_high=2.1)
    return table.assign(shrunken=0.2, shrunken_low=-0.1, shrunken_high=0.5)


def validation() -> pd.DataFrame:
    quantities = ("share divergent", "effect / share divergent", "theta", "lambda")
    parts = [contrasts(estimator="validation", quantity=q, group="all")[2:3] for q in quantities]
    table = pd.concat(parts, ignore_index=True)
    return hidden(table.assign(predicted=0.1, predicted_low=0.0, predicted_high=0.2), [])


def dissuasion() -> pd.DataFrame:
    cells = [("nano", ""), ("overall_worst", ""), ("dissuasion - gain", ""), ("bottom gap", NASTY)]
    rows = [{"group": g, "quantity": q, "attribute": a} for g in ("all", NASTY) for q, a in cells]
    return estimates(rows).assign(label="exploratory", note="")


def fairness() -> pd.DataFrame:
    rows = [
        {"grouping": "gender", "group": "", "quantity": "divergence of assignment", "attribute": NASTY,
         "outcome": "", "contrast": ""},
        {"grouping": "gender", "group": "Female", "quantity": "realised gain", "attribute": "",
         "outcome": "sign", "contrast": "nano - best"},
    ]  # fmt: skip
    return hidden(estimates(rows).assign(p_adjusted=0.3, label="exploratory", deviation="", note=""), [1])


def omnibus() -> pd.DataFrame:
    cells = [("wald_F_HC2", 2979.0), ("kruskal_wallis", nan)]
    table = pd.DataFrame(cells, columns=["test", "df2"]).assign(outcome="sign", statistic=8.4, df1=2)
    return table.assign(p_value=0.0002, n=2982, label="exploratory", deviation="", note="")


def learners() -> pd.DataFrame:
    row = {"learner": "ridge", "outcome": "rating", "loss": 1.85, "loss_null": 1.86, "improvement": 0.0047}
    taken = {"chosen": True, "reason": "named in the config", "penalty_common": 27.5}
    return pd.DataFrame([row | {"std_error": 0.0015, "statistic": 3.1, "n": 1472} | taken])


def gap() -> pd.DataFrame:
    quantities = ["nano", "overall_best", "overall_worst", "nano_worst"]
    quantities += ["nano - overall_best", "nano_worst - overall_worst"]
    rows = estimates([{"quantity": quantity} for quantity in quantities])
    return rows.assign(group="base - opposed", label="exploratory")


def audit() -> pd.DataFrame:
    row = {"arm": "nano", "policy": "nano", "n": 1037, "n_agree": 376, "share_agree": 0.363}
    return pd.DataFrame(
        [
            row
            | {
                "attributes_agree": 0.86,
                "n_infeasible": 0,
                "distinct_fielded": 67,
                "distinct_assigned": 2,
                "possible": 9,
            }
        ]
    )


def drawable() -> dict[str, pd.DataFrame]:
    """Return the sources whose figures made-up rows can feed; those of the experiment need real ones."""
    left = ("participants", "lee_bounds", "robustness", "validation", "rate", "dissuasion", "lower_tail")
    left += ("polarisation", "gap")
    return {name: table for name, table in sources().items() if name not in left}


def sources() -> dict[str, pd.DataFrame]:
    """Return every table that the report reads, by the name under which it reads it."""
    return {
        "flow": flow(),
        "amce": amce(),
        "marginal_means": marginal_means(),
        "choice_models": choice_models(),
        "groups": groups(),
        "interactions": interactions(),
        "interaction_tests": interaction_tests(),
        "group_tests": group_tests(),
        "attribute_tests": attribute_tests(),
        "likeness": likeness(),
        "reliability": reliability(),
        "corrected": corrected(),
        "corrected_diagnosis": corrected_diagnosis(),
        "learners": learners(),
        "diagnostics": diagnostics(),
        "calibration": calibration(),
        "ladder": ladder(),
        "switches": switches(),
        "abundance": abundance(),
        "frontier": frontier(),
        "learning_curve": learning_curve(),
        "petitions": petitions(),
        "audit": audit(),
        "effects": effects(),
        "equivalence": equivalence(),
        "attrition": attrition(),
        "balance": balance(),
        "power": power(),
        "subgroups": subgroups(),
        "deviations": deviations(),
        "quality": quality(),
        "participants": participants(),
        "scales": scales(),
        "omnibus": omnibus(),
        "robustness": contrasts(
            scale="difference", rank=1, estimator="dim", se_type="HC2", sample="all", adjustment="none"
        ).assign(df_type="n - parameters", **dict.fromkeys(CORRECTED, 0.5)),
        "randomization_inference": contrasts(scheme="complete", estimand="difference in means").assign(
            p_mid=0.19, p_greater=0.1, p_less=0.9, draws=2000, **dict.fromkeys(CORRECTED, 0.4)
        ),
        "outcomes": outcomes(),
        "sentences": pd.DataFrame({"outcome": ["sign"], "contrast": ["nano - best"], "sentence": [NASTY]}),
        "differential_attrition": differential_attrition(),
        "lee_bounds": lee_bounds(),
        "ipw": contrasts(estimator="ipw").assign(naive=0.1, largest_weight=1.5, n_cut=0, n_effective=1973.9),
        "cace": contrasts(estimand="compliers").assign(
            itt=0.1, first_stage=0.88, first_stage_f=7000.0, ar_low=0.03, ar_high=0.12
        ),
        "checks": contrasts(sample="passed", estimator="dim", n_left_out=154),
        "odds_ratios": odds_ratios(),
        "mobilisation": grouped(quantity="mobilisation - persuasion"),
        "gate": grouped(),
        "projection": contrasts(term="age").assign(interaction_p=0.6),
        "rate": contrasts(target="AUTOC"),
        "validation": validation(),
        "dissuasion": dissuasion(),
        "lower_tail": contrasts(quantity="share refused", value_ref=0.6, value_other=0.7),
        "polarisation": contrasts(quantity="gap", value_ref=3.1, value_other=3.4).assign(suppressed=False),
        "gap": gap(),
        "fairness": fairness(),
    }


def drawn(found: Mapping[str, pd.DataFrame], names: theme.Names, *wanted: str) -> dict[str, figures.Drawn]:
    """Draw every figure of the catalogue that some sources can feed, or those of some names."""
    return {
        exhibit.name: figures.draw(exhibit, found, names)
        for exhibit in catalogue.of_study(found, names.has)
        if exhibit.kind is catalogue.Kind.FIGURE and (not wanted or exhibit.name in wanted)
    }


def tabulated(found: Mapping[str, pd.DataFrame], names: theme.Names) -> dict[str, tables.Table]:
    """Make every table of the catalogue that some sources can feed."""
    return {
        exhibit.name: tables.tabulate(exhibit, found, names)
        for exhibit in catalogue.of_study(found, names.has)
        if exhibit.kind is catalogue.Kind.TABLE
    }
