"""Summarise all replications in tables between the markers of docs/validation.md. All data are synthetic.

Usage: PYTHONPATH=tests:tests/benchmark python tests/validation/summary.py [--folder F]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from experiment import read as read_experiments
from experiment import summarise
from nanotarget.diagnose.quantities import DIAGNOSTICS, Estimator, Quantity
from nanotarget.diagnose.verdict import Overall, Verdict
from recovery import table
from regimes import REGIMES, SESOI

EXPERIMENTS = Path(__file__).parents[2] / "docs" / "validation_experiment.md"
PAGE = Path(__file__).parents[2] / "docs" / "validation.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
VERDICTS = (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)
OVERALL = (Overall.DEPLOY, Overall.COLLECT, Overall.DO_NOT)
DECISIVE = "decisive"  # the estimator that a verdict is based on, whichever it is
# Estimates that are compared with the truth: quantity, estimator.
ESTIMATES = {
    "Person x message variance": (Quantity.PERSON_BY_MESSAGE, Estimator.CROSS_TASK),
    "Baseline variance": (Quantity.BASELINE, Estimator.CROSS_TASK),
    "Common message variance": (Quantity.COMMON, Estimator.CROSS_TASK),
    "Calibration slope": (Quantity.SLOPE, Estimator.CROSSFIT),
    "Predictable variance, learner-free": (Quantity.PREDICTABLE_VARIANCE, Estimator.CROSS_PERSON),
    "Gain of the half-sample rules (G3)": (Quantity.CROSS_HALF_GAIN, DECISIVE),
    "Gain of nano over overall-best (dividend)": (Quantity.GAIN, DECISIVE),
    "The same, first order": (Quantity.GAIN, Estimator.FIRST_ORDER),
    "The same, second order": (Quantity.GAIN, Estimator.SECOND_ORDER),
}
# Ceilings: quantity, estimator, and the truth.
CEILINGS = {
    "G1, who knows everybody's tastes": (*ESTIMATES["Person x message variance"], "G1"),
    "G2, who knows what covariates tell": (*ESTIMATES["Calibration slope"], "G2"),
    "G3, cross-half gain": (*ESTIMATES["Gain of the half-sample rules (G3)"], Quantity.CROSS_HALF_GAIN),
    "Dividend": (*ESTIMATES["Gain of nano over overall-best (dividend)"], Quantity.GAIN),
}
TESTS = {
    "tasks further apart are less alike": Quantity.LAG_DIFFERENCE,
    "attributes interact": Quantity.COMMON_INTERACTIONS,
    "second order differs from first": Quantity.ORDER_DIFFERENCE,
}
KNOWN = {
    Quantity.PERSON_BY_MESSAGE: "variance of person x message",
    Quantity.PREDICTABLE_VARIANCE: "predictable",
    "G1": "G1",
    "oracle": "oracle",
    "G2": "G2",
    "covariate oracle": "covariate oracle",
    Quantity.CROSS_HALF_GAIN: "half-sample rules",
    Quantity.GAIN: "nano",
    "at deployment": "nano at deployment",
}
DECIDING = (Quantity.CROSS_HALF_GAIN, Quantity.GAIN)  # of whose estimators one decides, case by case
ALPHA = 0.05
GROUPED, DISSUADED = ("R12",), ("R11",)  # worlds in which groups, and the other goal, are what it is about
ROUNDING = 1e-9  # structurally zero gains are met exactly
# Verdicts that are wrong where the true gain is on the other side of the smallest one that matters: stage or
# overall, verdict, whose gain.
MISTAKES = {
    "heterogeneity fails, an oracle gains": ("heterogeneity", "FAIL", "oracle"),
    "predictability fails, the covariate oracle gains": ("predictability", "FAIL", "covariate oracle"),
    "crossover fails, half-sample rules gain": ("crossover", "FAIL", Quantity.CROSS_HALF_GAIN),
    "dividend fails, nano gains": ("dividend", "FAIL", Quantity.GAIN),
    "dividend passes, nano does not": ("dividend", "PASS", Quantity.GAIN),
    "DO NOT DEPLOY, nano gains": ("overall", "DO NOT DEPLOY", Quantity.GAIN),
    "DO NOT DEPLOY, the covariate oracle gains": ("overall", "DO NOT DEPLOY", "covariate oracle"),
}
# What worlds were made to show: words, worlds, goal, group, stage, its verdict, how often it should happen.
PROMISES = [
    ("dividend passes", ("R0", "R1", "R2", "R3", "R4", "R9b"), "support", "all", "dividend", "PASS", "<= 5"),
    ("dividend passes", ("R1-choice", "R3-choice"), "support", "all", "dividend", "PASS", "<= 5"),
    ("heterogeneity passes", ("R0", "R1", "R2"), "support", "all", "heterogeneity", "PASS", "<= 5"),
    ("heterogeneity passes", ("R3",), "support", "all", "heterogeneity", "PASS", ">= 80"),
    ("predictability passes", ("R3",), "support", "all", "predictability", "PASS", "<= 5"),
    ("predictability passes", ("R4",), "support", "all", "predictability", "PASS", ">= 80"),
    ("crossover passes", ("R4",), "support", "all", "crossover", "PASS", "<= 5"),
    ("deployed", ("R5", "R6", "R10"), "support", "all", "overall", "DEPLOY", ">= 80"),
    ("deployed", ("R7",), "support", "all", "overall", "DEPLOY", "<= 5"),
    ("not deployed", ("R8",), "support", "all", "overall", "DO NOT DEPLOY", "<= 5"),
    ("deployed", ("R11",), "support", "all", "overall", "DEPLOY", "<= 5"),
    ("deployed", ("R11",), "dissuade", "all", "overall", "DEPLOY", ">= 80"),
    ("deployed", ("R12",), "support", "all", "overall", "DEPLOY", "<= 5"),
    ("deployed in the base", ("R12",), "support", "base: yes", "overall", "DEPLOY", ">= 80"),
]
# Warnings that worlds were made to call forth.
WARNINGS = [("warned of interactions", "R13", "interactions"), ("warned of fading tastes", "R14", "lag")]
POWER = ">= 80"


def read(folder):
    """Return three tables of all replications: what is found beside what is true, verdicts, and facts."""
    found, answers, facts = [], [], []
    for path in sorted(folder.glob("*.json")):
        batch = json.loads(path.read_text())
        for record in batch["replications"]:
            key = {"regime": batch["regime"], "learner": batch["learner"], "seed": record["seed"]}
            for row in record["found"]:
                truth = record["truth"][row["goal"]].get(row["group"], {})
                found.append(key | row | {"truth": truth})
                if row["quantity"] in DECIDING and "ceiling" in row:
                    found.append(found[-1] | {"estimator": DECISIVE})
            answers += [key | answer | answer["stages"] for answer in record["answers"]]
            facts.append(
                key | {name: record[name] for name in ("learner_s", "diagnosis_s", "flags", "truth")}
            )
    return pd.DataFrame(found), pd.DataFrame(answers), pd.DataFrame(facts)


def compared(found, what, truth):
    """Return the rows of one estimate with their truth, where both are there.

    Args:
        what: quantity, estimator.
        truth: name of the truth.
    """
    rows = found[(found[["quantity", "estimator"]] == list(what)).all(axis=1)].copy()
    rows["true"] = [truths.get(truth) for truths in rows["truth"]]
    return rows[rows["true"].notna()].astype({"true": float})


def share(values, digits=0):
    """Return a rate in percent and its Monte Carlo standard error, or a dash where there is nothing."""
    values = pd.Series(values).dropna().astype(float)
    if values.empty:
        return "-"
    rate = values.mean()
    error = np.sqrt(rate * (1 - rate) / len(values))
    return f"{100 * rate:.{digits}f} ({100 * error:.1f})"


def number(values, digits=4):
    """Return a mean and its Monte Carlo standard error."""
    error = f" ({values.sem():.{digits}f})" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{error}"


def cells(rows):
    """Yield label and rows of each regime, learner, goal and group, in the order of the regimes."""
    order = {name: k for k, name in enumerate(REGIMES)}
    keys = ["regime", "learner", "goal", "group"]
    own = (rows["goal"] == "support") & ((rows["group"] == "all") | rows["regime"].isin(GROUPED))
    rows = rows[own | (rows["regime"].isin(DISSUADED) & (rows["group"] == "all"))]
    for key, part in sorted(
        rows.groupby(keys), key=lambda cell: (order[cell[0][0]], cell[0][1:] != ("ridge",), cell[0])
    ):
        regime, learner, goal, group = key
        parts = [regime, *([learner] if learner != "ridge" else []), *([goal] if goal != "support" else [])]
        yield ", ".join([*parts, *([group] if group != "all" else [])]), part


def estimates(found, what):
    """Tabulate bias, error and coverage of one estimate, and its coverage in all worlds together."""
    lines, pooled = [], []
    for label, rows in cells(compared(found, what, what[0])):
        rows = rows.dropna(subset=["estimate"])
        error = rows["estimate"] - rows["true"]
        inside = (rows["conf_low"] <= rows["true"]) & (rows["true"] <= rows["conf_high"])
        inside = inside.where(rows["conf_low"].notna())
        if (rows["group"] == "all").all():
            pooled.append(inside)
        lines.append(
            [
                label,
                str(len(rows)),
                f"{rows['true'].mean():.4f}",
                number(error),
                f"{np.sqrt((error**2).mean()):.4f}",
                f"{rows['std_error'].mean():.4f}",
                share(inside),
            ]
        )
    if pooled:
        together = pd.concat(pooled)
        lines.append(["all worlds", str(together.notna().sum()), *["-"] * 4, share(together, 1)])
    header = ["world", "n", "truth", "bias", "RMSE", "mean standard error", "95 % interval covers, %"]
    return table(header, lines)


def ceilings(found, what, truth):
    """Tabulate bias of a ceiling, and how often each of its one-sided bounds misses the truth."""
    lines = []
    for label, rows in cells(compared(found, what, truth)):
        rows = rows.dropna(subset=["ceiling"])
        lines.append(
            [
                label,
                str(len(rows)),
                f"{rows['true'].mean():.4f}",
                number(rows["ceiling"] - rows["true"]),
                share(rows["ceiling_low"] > rows["true"] + ROUNDING, 1),
                share(rows["ceiling_high"] < rows["true"] - ROUNDING, 1),
            ]
        )
    header = ["world", "n", "truth", "bias", "low bound is above, %", "high bound is below, %"]
    return table(header, lines)


def verdicts(answers):
    """Tabulate how often each stage passes, fails, does not decide, and the overall verdicts."""
    lines = []
    for label, rows in cells(answers):
        stages = [
            " / ".join(f"{100 * (rows[stage] == verdict).mean():.0f}" for verdict in VERDICTS)
            for stage in DIAGNOSTICS
        ]
        expected = REGIMES[label].expected if label in REGIMES else ""
        rates = [share(rows["overall"] == verdict) for verdict in OVERALL]
        lines.append([label, str(len(rows)), expected, *stages, *rates])
    header = [
        "world",
        "n",
        "expected",
        *(f"{s}: P / F / I, %" for s in DIAGNOSTICS),
        *(f"{v}, %" for v in OVERALL),
    ]
    return table(header, lines)


def label_of(regime, learner):
    """Return how a world is called; ridge goes without saying."""
    return regime if learner == "ridge" else f"{regime}, {learner}"


def promises(answers, facts):
    """Tabulate what the worlds were made to show: how often it happens, and how often it should."""
    lines = []
    for words, regimes, goal, group, stage, verdict, wanted in PROMISES:
        for regime in regimes:
            chosen = answers[["regime", "goal", "group"]] == [regime, goal, group]
            for learner, rows in answers[chosen.all(axis=1)].groupby("learner"):
                lines.append(
                    [
                        words,
                        label_of(regime, learner),
                        str(len(rows)),
                        share(rows[stage] == verdict, 1),
                        wanted,
                    ]
                )
    for words, regime, flag in WARNINGS:
        for learner, rows in facts[facts["regime"] == regime].groupby("learner"):
            raised = pd.Series([flag in flags for flags in rows["flags"]])
            lines.append([words, label_of(regime, learner), str(len(rows)), share(raised, 1), POWER])
    return table(["what", "world", "n", "rate, %", "goal"], lines)


def mistakes(answers, facts):
    """Tabulate how often a verdict is wrong, given what is true in the replication itself."""
    keys = ["regime", "learner", "seed", "goal", "group"]
    both = answers.merge(truths_of(facts), on=keys, validate="one_to_one")
    smallest = both["regime"].map({name: SESOI[regime.outcome] for name, regime in REGIMES.items()})
    lines = []
    for label, rows in cells(both):
        rates = []
        for stage, verdict, truth in MISTAKES.values():
            pays = rows[truth] > smallest[rows.index]
            wrong = ~pays if verdict in ("PASS", "DEPLOY") else pays
            rates.append(share((rows[stage] == verdict) & wrong, 1))
        lines.append([label, *rates])
    return table(["world", *(f"{words}, %" for words in MISTAKES)], lines)


def tests(found):
    """Tabulate how often the tests behind the warnings reject at 5 %."""
    lines = []
    for label, rows in cells(found[(found["goal"] == "support") & (found["group"] == "all")]):
        rates = []
        for quantity in TESTS.values():
            own = rows[rows["quantity"] == quantity]
            rates.append(share((own["p_value"] < ALPHA).where(own["p_value"].notna()), 1))
        lines.append([label, *rates])
    return table(["world", *(f"{words}, %" for words in TESTS)], lines)


def worlds(facts):
    """Tabulate what is true, mean over replications."""
    lines = []
    for label, rows in cells(truths_of(facts)):
        if rows["learner"].iloc[0] == "ridge":
            lines.append([label, *("-" if rows[n].isna().all() else f"{rows[n].mean():.3f}" for n in KNOWN)])
    return table(["world", *KNOWN.values()], lines)


def truths_of(facts):
    """Return a row a replication, goal and group with all that is true."""
    return pd.DataFrame(
        [
            {name: fact[name] for name in ("regime", "learner", "seed")}
            | {"goal": goal, "group": group}
            | numbers
            for fact in facts.to_dict("records")
            for goal, groups in fact["truth"].items()
            for group, numbers in groups.items()
        ],
        columns=["regime", "learner", "seed", "goal", "group", *KNOWN],
    ).astype(dict.fromkeys(KNOWN, float))


def seconds(facts):
    """Tabulate CPU seconds of a replication."""
    everybody = facts.assign(goal="support", group="all")
    lines = [
        [label, str(len(rows)), f"{rows['learner_s'].median():.1f}", f"{rows['diagnosis_s'].median():.1f}"]
        for label, rows in cells(everybody)
    ]
    return table(["world", "n", "learner, CPU s", "diagnosis, CPU s"], lines)


def tables(folder):
    """Return all tables as Markdown."""
    found, answers, facts = read(folder)
    parts = [
        "Mean or rate (Monte Carlo standard error). All data are synthetic.",
        "### Goals",
        promises(answers, facts),
        "### What is true",
        worlds(facts),
        "### Verdicts",
        verdicts(answers),
        "### Mistakes",
        mistakes(answers, facts),
        "### Warnings",
        tests(found),
    ]
    for title, what in ESTIMATES.items():
        parts += [f"### {title}", estimates(found, what)]
    for title, (*what, truth) in CEILINGS.items():
        parts += [f"### Ceiling: {title}", ceilings(found, what, truth)]
    return "\n\n".join([*parts, "### Cost", seconds(facts)])


def experiments(folder):
    """Tabulate the simulated experiments as Markdown."""
    rows = summarise(read_experiments(folder))

    def percent(row, name):
        value = row[name]
        return "-" if pd.isna(value) else f"{value:.1f} ({row[f'{name}_error']:.1f})"

    lines = [
        [
            row["world"],
            row["estimator"],
            row["contrast"],
            f"{row['replications']:,}",
            f"{row['truth']:g}",
            f"{row['bias']:.4f} ({row['bias_error']:.4f})",
            *(percent(row, name) for name in ("rejected", "covered", "family")),
        ]
        for row in rows.to_dict("records")
    ]
    names = ["world", "estimator", "contrast", "n", "truth", "bias"]
    names += ["rejected at 5 %, %", "95 % interval covers, %", "family, %"]
    return "Rates with Monte Carlo standard errors. All data are synthetic.\n\n" + table(names, lines)


def put(page, text):
    """Put tables between the marks of a page."""
    head, _, rest = page.read_text().partition(BEGIN)
    tail = rest.partition(END)[2]
    page.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}")


def main():
    """Write the tables of what is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("results/validation"))
    folder = parser.parse_args().folder
    if any(folder.glob("*.json")):
        put(PAGE, tables(folder))
    if any((folder / "experiment").glob("*.json")):
        put(EXPERIMENTS, experiments(folder / "experiment"))


if __name__ == "__main__":
    main()
