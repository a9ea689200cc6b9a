"""Can nano-targeting pay? The dividend: what nano gains over overall-best, honestly estimated.

Every respondent is scored under petitions that were chosen by a model fitted without her, the
overall-best petition included, with doubly robust scores (`value`). The verdict compares the one-sided
95 % bounds of the gain with the smallest gain that would matter.

The gain is a sum over those to whom nano gives another petition; for everybody else it is exactly
zero. Its intervals are therefore Student's with (divergent respondents - 1) degrees of freedom: with
a dozen of them or fewer, one of the two normal bounds misses the true gain in 7 % to 16 % of samples
instead of 5 % and would decide too often.

Overall-best has the highest average utility of the training respondents, weighted with their survey
weights. For a rating that is the highest average response. For a choice utilities are log-odds, and
the petition that wins most often against a random one may be another; it is not searched for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from nanotarget import policy
from nanotarget.learners.base import mean_and_error
from nanotarget.learners.crossfit import Crossfit
from nanotarget.value import policy_scores, random_scores

NANO_BEST = "nano - overall_best"
VERDICTS = {"PASS": "DEPLOY", "FAIL": "DO NOT DEPLOY", "INCONCLUSIVE": "COLLECT MORE"}


def dividend(fitted: Crossfit, sesoi: float, confidence: float) -> pd.DataFrame:
    """Estimate the value of nano, overall-best and random and their differences.

    Args:
        fitted: the cross-fitted learner.
        sesoi: smallest gain of nano over overall-best that would matter, outcome units.
        confidence: level of the two-sided intervals.

    Returns:
        One row a quantity and estimator: diagnostic, quantity, estimator (dr_q1: doubly robust with
        first-order weights; dr_q2: second order, a sensitivity check; plug_in: the model's own
        promise), estimate, std_error, conf_low, conf_high, ceiling, ceiling_low, ceiling_high, verdict,
        n. The verdict stands on the row dr_q1 of nano - overall_best, whose ceiling is the gain itself
        with its one-sided 95 % bounds.
    """
    data, n = fitted.data, fitted.data.n_respondents
    chosen = {"nano": policy.nano(fitted.utilities), "overall_best": fitted.overall_best}
    divergent = fitted.respondent_means((chosen["nano"] != chosen["overall_best"]).any(axis=1).astype(float))
    random = random_scores(data)
    rows = []
    first, second = (
        {name: policy_scores(fitted, petitions, order) for name, petitions in chosen.items()}
        for order in (1, 2)
    )
    estimators = {
        "dr_q1": {name: scores.value for name, scores in first.items()},
        "dr_q2": {name: scores.value for name, scores in second.items()},
        "plug_in": {name: scores.plug_in for name, scores in first.items()},
    }
    for estimator, values in estimators.items():
        quantities = {
            **values,
            NANO_BEST: values["nano"] - values["overall_best"],
            "nano - random": values["nano"] - random,
            "overall_best - random": values["overall_best"] - random,
        }
        for quantity, score in quantities.items():
            rows.append({"quantity": quantity, "estimator": estimator, "score": score})
    rows.insert(0, {"quantity": "random", "estimator": "observed", "score": random})
    rows.append({"quantity": "share divergent", "estimator": "observed", "score": divergent})

    df = max(int((divergent > 0).sum()) - 1, 1)
    table = pd.DataFrame(
        [
            _row(row, data.weight, confidence, df if row["quantity"] == NANO_BEST else max(n - 1, 1))
            for row in rows
        ]
    )
    headline = (table["quantity"] == NANO_BEST) & (table["estimator"] == "dr_q1")
    estimate, error = table.loc[headline, ["estimate", "std_error"]].to_numpy()[0]
    margin = float(special.stdtrit(df, 0.95)) * error
    low, high = estimate - margin, estimate + margin
    table.loc[headline, ["ceiling", "ceiling_low", "ceiling_high"]] = [estimate, low, high]
    table.loc[headline, "verdict"] = verdict_of(low, high, sesoi, bool(divergent.any()))
    return table


def _row(row: Mapping[str, Any], weight: np.ndarray, confidence: float, df: int) -> dict[str, Any]:
    estimate, error = mean_and_error(row["score"], weight)
    margin = float(special.stdtrit(df, (1 + confidence) / 2)) * error
    return {
        "diagnostic": "dividend",
        "quantity": row["quantity"],
        "estimator": row["estimator"],
        "estimate": estimate,
        "std_error": error,
        "conf_low": estimate - margin,
        "conf_high": estimate + margin,
        "ceiling": np.nan,
        "ceiling_low": np.nan,
        "ceiling_high": np.nan,
        "verdict": "",
        "n": len(weight),
    }


def verdict_of(low: float, high: float, sesoi: float, divergent: bool) -> str:
    """Return PASS, FAIL or INCONCLUSIVE from one-sided bounds of the gain.

    When nano gives everybody the overall-best petition the gain is structurally zero: FAIL, however
    small the smallest gain that would matter.
    """
    if not divergent:
        return "FAIL"
    if low > sesoi:
        return "PASS"
    return "FAIL" if high < sesoi else "INCONCLUSIVE"


def verdict(
    table: pd.DataFrame, sesoi: float, unit: str, has_covariates: bool, synthetic: bool
) -> dict[str, Any]:
    """Summarise the diagnosis for people.

    Args:
        table: from `dividend`.
        unit: unit of the outcome in words, e.g. "points on the rating scale".
        has_covariates: whether a policy has anything to look at.

    Returns:
        overall (DEPLOY, DO NOT DEPLOY, COLLECT MORE), binding diagnostic, what was evaluated, the
        headline numbers and a text in plain words.
    """

    def find(quantity: str, estimator: str) -> pd.Series:
        return table[(table["quantity"] == quantity) & (table["estimator"] == estimator)].iloc[0]

    gain, second, promised = (find(NANO_BEST, estimator) for estimator in ("dr_q1", "dr_q2", "plug_in"))
    best = find("overall_best - random", "dr_q1")
    divergent = float(find("share divergent", "observed")["estimate"])
    stage = gain["verdict"]
    if not has_covariates:
        text = "No covariate may be used for targeting, so nano cannot differ from the overall-best petition."
    elif divergent == 0:
        text = (
            "The learner finds no reason to give anybody another petition than the overall-best one; "
            "the gain of nano-targeting is structurally zero."
        )
    else:
        span = f"{gain['ceiling_low']:.3f} to {gain['ceiling_high']:.3f}"
        text = (
            f"Nano gives {divergent:.0%} of respondents another petition than the overall-best one. "
            f"Out of sample its gain over that petition is {gain['estimate']:.3f} {unit} "
            f"(90 % interval {span}); the learner itself promises {promised['estimate']:.3f}. "
        )
        matters = f"{sesoi:g}, the smallest gain that matters"
        text += {
            "PASS": f"The whole interval lies above {matters}: nano-targeting pays.",
            "FAIL": f"The whole interval lies below {matters}: use the overall-best petition.",
            "INCONCLUSIVE": f"The interval includes {matters}: the data do not decide.",
        }[stage]
    text += f" The overall-best petition itself gains {best['estimate']:.3f} {unit} over a random one."
    return {
        "overall": VERDICTS[stage],
        "binding": "dividend" if stage != "PASS" else None,
        "stages": {"dividend": stage},
        "not_evaluated": ["heterogeneity", "predictability", "crossover"],
        "sesoi": sesoi,
        "unit": unit,
        "gain": gain["estimate"],
        "gain_low": gain["ceiling_low"],
        "gain_high": gain["ceiling_high"],
        "gain_second_order": second["estimate"],
        "gain_promised": promised["estimate"],
        "share_divergent": divergent,
        "synthetic": synthetic,
        "text": text,
    }
