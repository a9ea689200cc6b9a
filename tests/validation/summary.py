"""Put tables of all committed replications between the marks of docs/validation.md. All data are synthetic.

Usage: PYTHONPATH=tests:tests/benchmark:tests/validation python tests/validation/summary.py
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from experiment import read as read_experiments
from experiment import summarise
from nanotarget.diagnose.quantities import DIAGNOSTICS
from nanotarget.diagnose.verdict import Overall, Verdict
from recovery import table
from regimes import REGIMES
from replicate import COLUMNS, KEY
from run import FOLDER, learner_of, rows_in

EXPERIMENTS = Path(__file__).parents[2] / "docs" / "validation_experiment.md"
EXPERIMENT_ROWS = Path("results/validation/experiment")
PAGE = Path(__file__).parents[2] / "docs" / "validation.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
VERDICTS = (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)
OVERALL = (Overall.DEPLOY, Overall.COLLECT, Overall.DO_NOT)
# Estimates that are compared with the truth: prefix of their columns, and of that of the truth.
ESTIMATES = {
    "Gain of nano over overall-best (dividend)": ("gain", "gain_true"),
    "The same, first order": ("gain1", "gain_true"),
    "The same, second order": ("gain2", "gain_true"),
    "Gain of the half-sample rules (G3)": ("half", "half_true"),
    "Gain of the rule that learns from all, extrapolated": ("all", "all_true"),
    "Person x message variance": ("person", "person_true"),
    "Baseline variance": ("baseline", "baseline_true"),
    "Common message variance": ("common", "common_true"),
    "Calibration slope": ("slope", "slope_true"),
    "Predictable variance, learner-free": ("free", "free_true"),
    "Predictable variance, products of covariates included": ("products", "free_true"),
}
# Ceilings: prefix of their columns, and the truth: what an oracle gains (what the library computes from true
# variances stands among what is true).
CEILINGS = {
    "G1, who knows everybody's tastes": ("G1", "oracle"),
    "G2, who knows what covariates tell": ("G2", "covariate_oracle"),
    "G3, cross-half gain": ("G3", "half_true"),
    "Dividend": ("dividend_bound", "gain_true"),
}
TESTS = {
    "tasks further apart are less alike": "lag_p",
    "attributes interact": "interactions_p",
    "second order differs from first": "order_p",
}
KNOWN = {
    "person_true": "variance of person x message",
    "free_true": "predictable",
    "G1_true": "G1",
    "oracle": "oracle",
    "G2_true": "G2",
    "covariate_oracle": "covariate oracle",
    "half_true": "half-sample rules",
    "gain_true": "nano",
    "all_true": "nano, from all",
    "deployed": "nano at deployment",
}
FLAGS = ("order", "ends", "interactions", "lag", "orders", "few")
ALPHA = 0.05
ROUNDING = 1e-5  # of a unit: rows are rounded, and structurally zero gains are met exactly
# Verdicts that are wrong where the true gain is on the other side of the smallest one that matters: what is
# said, in which column, of whose gain, and how often it may be.
NO_RULE = "DO NOT DEPLOY, the covariate oracle gains"
MISTAKES = {
    "heterogeneity fails, an oracle gains": ("heterogeneity", "FAIL", "oracle"),
    "predictability fails, the covariate oracle gains": ("predictability", "FAIL", "covariate_oracle"),
    "DEPLOY, nano does not pay": ("overall", "DEPLOY", "gain_true"),
    "the rule does not pay, nano gains": ("rule", "DOES NOT PAY", "gain_true"),
    "DO NOT DEPLOY, nano gains": ("overall", "DO NOT DEPLOY", "gain_true"),
    NO_RULE: ("overall", "DO NOT DEPLOY", "covariate_oracle"),
}
NONE = (
    *("R0", "R1", "R2", "R3", "R4", "R9b", "bounded-R1", "bounded-R4", "split", "R1-choice", "R3-choice"),
    "R1-panel",
)
POWERFUL = (
    *("R5", "R6", "R10", "bounded-5", "bounded-6", "stars", "seven", "slider", "skewed", "t3"),
    *("split-told", "weights", "weak-interactions", "few-attributes", "many-attributes", "prohibited"),
    *("dropout", "clickers", "R3-panel", "R6-panel"),
)
HIDDEN = ("R8", "boundary", "xor", "xor-weak", "xor-linear", "corner", "wedge", "split-told")
# What worlds were made to show: words, worlds, goal, group, column, its verdict, how often it should happen.
PROMISES = [
    ("dividend passes", NONE, "support", "all", "dividend", "PASS", "<= 1"),
    (
        "heterogeneity passes",
        ("R0", "R1", "R2", "bounded-R1", "R1-panel"),
        "support",
        "all",
        "heterogeneity",
        "PASS",
        "<= 5",
    ),
    ("heterogeneity passes", ("R3",), "support", "all", "heterogeneity", "PASS", ">= 80"),
    ("predictability passes", ("R3",), "support", "all", "predictability", "PASS", "<= 5"),
    ("predictability passes", ("R4", "xor", "xor-weak"), "support", "all", "predictability", "PASS", ">= 80"),
    ("crossover passes", ("R4", "bounded-R4"), "support", "all", "crossover", "PASS", "<= 5"),
    ("deployed", POWERFUL, "support", "all", "overall", "DEPLOY", ">= 80"),
    ("deployed", ("R7", "R11", "R12", "bounded-7"), "support", "all", "overall", "DEPLOY", "<= 5"),
    ("not deployed", HIDDEN, "support", "all", "overall", "DO NOT DEPLOY", "<= 5"),
    ("deployed", ("R11",), "dissuade", "all", "overall", "DEPLOY", ">= 80"),
    ("deployed in the base", ("R12",), "support", "base: yes", "overall", "DEPLOY", ">= 80"),
]
# Warnings that worlds were made to call forth.
WARNINGS = [
    ("warned of interactions", "R13", "interactions"),
    ("warned of interactions", "weak-interactions", "interactions"),
    ("warned of fading tastes", "R14", "lag"),
]
POWER = ">= 80"
BOUNDED = ("bounded-5", "bounded-6", "bounded-7")
# Worlds whose replications are taken together, by what they are called.
SETS = {
    "all worlds": tuple(REGIMES),
    "answers on scales": tuple(name for name, regime in REGIMES.items() if regime.scale),
    "bounded-5, -6, -7": BOUNDED,
}
TOGETHER = "all worlds, ridge"


def read(folder):
    """Return the rows of all replications."""
    parts = [rows_in(path) for path in sorted(folder.glob("*.csv"))]
    rows = pd.concat([part.dropna(axis=1, how="all") for part in parts], ignore_index=True)
    rows = rows.reindex(columns=COLUMNS)
    sesoi = rows["world"].map({name: regime.sesoi for name, regime in REGIMES.items()})
    return rows.assign(flags=rows["flags"].astype(object).fillna(""), sesoi=sesoi)


@dataclass(frozen=True)
class Cell:
    """The replications of a world, learner, goal and group.

    Attributes:
        label: what they are called.
        world, learner, goal, group: which they are.
        columns: (n,) values by column.
    """

    label: str
    world: str
    learner: str
    goal: str
    group: str
    columns: dict[str, np.ndarray]

    def __getitem__(self, column):
        """Return the values of a column."""
        return self.columns[column]

    def __len__(self):
        """Return the number of replications."""
        return len(self["seed"])

    def known(self, *columns):
        """Return the replications in which numbers are known."""
        inside = np.all([np.isfinite(self[name]) for name in columns], axis=0)
        return replace(self, columns={name: values[inside] for name, values in self.columns.items()})


def share(values, digits=0):
    """Return a rate in percent and its Monte Carlo standard error, or a dash where there is nothing."""
    if not len(values):
        return "-"
    rate = np.mean(values)
    error = np.sqrt(rate * (1 - rate) / len(values))
    return f"{100 * rate:.{digits}f} ({100 * error:.1f})"


def number(values, digits=4):
    """Return a mean and its Monte Carlo standard error."""
    error = f" ({np.std(values, ddof=1) / np.sqrt(len(values)):.{digits}f})" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{error}"


def cells(rows):
    """Return the cells of a table of replications, in the order of the worlds."""
    order, found = {name: k for k, name in enumerate(REGIMES)}, []
    for (world, learner, goal, group), part in rows.groupby(["world", "learner", "goal", "group"]):
        parts = [label_of(world, learner), *([goal] if goal != "support" else [])]
        label = ", ".join([*parts, *([group] if group != "all" else [])])
        columns = {name: part[name].to_numpy() for name in part}
        place = order[world], learner != "ridge", learner, goal != "support", goal, group
        found.append((place, Cell(label, world, learner, goal, group, columns)))
    return [cell for _, cell in sorted(found, key=lambda pair: pair[0])]


def label_of(world, learner):
    """Return how a world is called; ridge goes without saying."""
    return world if learner == "ridge" else f"{world}, {learner}"


def with_all(found):
    """Return the cells, and all replications of whole samples with ridge together."""
    parts = [cell.columns for cell in found if (cell.group, cell.learner) == ("all", "ridge")]
    if not parts:
        return found
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return [*found, Cell(TOGETHER, "", "ridge", "", "all", columns)]


def together(found):
    """Tabulate, by learner and set of worlds, wrong verdicts and the coverage of gains."""
    lines = []
    for learner in sorted({cell.learner for cell in found}, key=lambda name: (name != "ridge", name)):
        for label, names in SETS.items():
            own = [cell for cell in found if cell.learner == learner and cell.world in names]
            if own:
                lines.append([f"{learner}, {label}", *_of_set(own)])
    header = ["learner, worlds", "replications", "answers", "DEPLOY", "of these wrong"]
    header += ["the rule does not pay", "of these wrong", "no rule pays", "of these wrong"]
    covered = [f"{words} covered, %" for words in ("dividend", "G3", "rule from all")]
    return table([*header, *covered, "dividend: mean of error / standard error"], lines)


def _of_set(own):
    columns = {name: np.concatenate([cell[name] for cell in own]) for name in own[0].columns}
    cell = replace(own[0], columns=columns)
    whole = sum(len(part) for part in own if (part.goal, part.group) == ("support", "all"))
    texts = [str(whole), str(len(cell))]
    for words in ("DEPLOY, nano does not pay", "the rule does not pay, nano gains", NO_RULE):
        said, wrong = verdict_and_mistake(cell, words)
        texts += [str(int(said.sum())), str(int(wrong.sum()))]
    for name in ("gain", "half", "all"):
        part = cell.known(name, f"{name}_true", f"{name}_low")
        texts.append(share(covers(part, name, f"{name}_true"), 1))
    part = cell.known("gain", "gain_true")
    part = replace(part, columns={name: values[part["gain_se"] > 0] for name, values in part.columns.items()})
    return [*texts, number((part["gain"] - part["gain_true"]) / part["gain_se"], 2)]


def verdict_and_mistake(cell, words):
    """Return where a verdict of `MISTAKES` is given, and where it is wrong."""
    column, verdict, true = MISTAKES[words]
    said, pays = cell[column] == verdict, cell[true] > cell["sesoi"]
    return said, said & (~pays if verdict == "DEPLOY" else pays)


def covers(cell, name, true):
    """Return where an interval covers the truth."""
    low, high = cell[f"{name}_low"], cell[f"{name}_high"]
    return (low <= cell[true] + ROUNDING) & (cell[true] - ROUNDING <= high)


def estimates(found, name, true):
    """Tabulate bias, error and coverage of one estimate, and its coverage in all worlds together."""
    lines = []
    for cell in with_all(found):
        part = cell.known(name, true)
        if not len(part):
            continue
        error, inside = part[name] - part[true], covers(part, name, true)
        ratio = np.linalg.norm(error) / np.maximum(np.linalg.norm(part[f"{name}_se"]), ROUNDING)
        numbers = [
            f"{part[true].mean():.4f}",
            number(error),
            f"{np.sqrt((error**2).mean()):.4f}",
            f"{part[f'{name}_se'].mean():.4f}",
        ]
        if cell.label == TOGETHER:
            numbers = ["-"] * 4
        covered = share(inside[np.isfinite(part[f"{name}_low"])], 1)
        lines.append([cell.label, str(len(part)), *numbers, f"{ratio:.2f}", covered])
    header = ["world", "n", "truth", "bias", "RMSE", "mean standard error", "RMSE / error"]
    return table([*header, "95% interval covers, %"], lines)


def ceilings(found, name, true):
    """Tabulate bias of a ceiling, and how often each of its one-sided bounds misses the truth."""
    lines = []
    for cell in found:
        part = cell.known(name, true)
        if not len(part):
            continue
        lines.append(
            [
                cell.label,
                str(len(part)),
                f"{part[true].mean():.4f}",
                number(part[name] - part[true]),
                share(part[f"{name}_low"] > part[true] + ROUNDING, 1),
                share(part[f"{name}_high"] < part[true] - ROUNDING, 1),
            ]
        )
    return table(["world", "n", "truth", "bias", "low bound is above, %", "high bound is below, %"], lines)


def verdicts(found):
    """Tabulate how often each stage passes, fails, does not decide, and the overall verdicts."""
    lines = []
    for cell in found:
        stages = [
            " / ".join(f"{100 * np.mean(cell[stage] == verdict):.0f}" for verdict in VERDICTS)
            for stage in DIAGNOSTICS
        ]
        expected = REGIMES[cell.label].expected if cell.label in REGIMES else ""
        rates = [share(cell["overall"] == verdict) for verdict in OVERALL]
        lines.append([cell.label, str(len(cell)), expected, *stages, *rates])
    names = [*(f"{s}: P / F / I, %" for s in DIAGNOSTICS), *(f"{v}, %" for v in OVERALL)]
    return table(["world", "n", "expected", *names], lines)


def promises(found):
    """Tabulate what the worlds were made to show: how often it happens, and how often it should."""
    lines = []
    for words, worlds, goal, group, column, verdict, wanted in PROMISES:
        for world in worlds:
            for cell in found:
                if (cell.world, cell.goal, cell.group) != (world, goal, group):
                    continue
                happens = cell[column] == verdict
                limit = float(wanted.split()[1]) / 100
                met = happens.mean() <= limit if wanted.startswith("<") else happens.mean() >= limit
                lines.append([words, label_of(world, cell.learner), happens, wanted, met])
    for words, world, flag in WARNINGS:
        for cell in found:
            if cell.world == world:
                raised = warned(cell, flag)
                lines.append([words, label_of(world, cell.learner), raised, POWER, raised.mean() >= 0.8])
    lines = [
        [words, label, str(len(happens)), share(happens, 1), wanted, "yes" if met else "**no**"]
        for words, label, happens, wanted, met in lines
    ]
    return table(["what", "world", "n", "rate, %", "goal", "met"], lines)


def warned(cell, flag):
    """Return which replications have a flag."""
    return np.array([flag in flags.split() for flags in cell["flags"]], dtype=bool)


def mistakes(found):
    """Tabulate how often a verdict is wrong, given what is true in the replication itself."""
    lines = []
    for cell in with_all(found):
        rates = [share(verdict_and_mistake(cell, words)[1], 1) for words in MISTAKES]
        lines.append([cell.label, str(len(cell)), *rates])
    return table(["world", "n", *(f"{words}, %" for words in MISTAKES)], lines)


def tests(found):
    """Tabulate how often the tests behind the warnings reject at 5%, and how often a warning is given."""
    lines = []
    for cell in found:
        if (cell.goal, cell.group) == ("support", "all"):
            rates = [share(cell[p][np.isfinite(cell[p])] < ALPHA, 1) for p in TESTS.values()]
            lines.append([cell.label, *rates, *(share(warned(cell, flag), 1) for flag in FLAGS)])
    return table(["world", *(f"{words}, %" for words in TESTS), *(f"`{f}`, %" for f in FLAGS)], lines)


def worlds(found):
    """Tabulate what is true, mean over replications."""
    lines = []
    for cell in found:
        if cell.learner == learner_of(REGIMES[cell.world]):
            means = (cell[name][np.isfinite(cell[name])] for name in KNOWN)
            lines.append([cell.label, *(f"{mean.mean():.3f}" if len(mean) else "-" for mean in means)])
    return table(["world", *KNOWN.values()], lines)


def cost(found):
    """Tabulate CPU seconds of a replication, and how many rows are of which code."""
    lines = []
    for cell in found:
        if (cell.goal, cell.group) == ("support", "all"):
            own = ", ".join(f"{name} ({count})" for name, count in Counter(cell["code"]).most_common())
            lines.append([cell.label, str(len(cell)), f"{np.median(cell['seconds']):.1f}", own])
    return table(["world", "n", "CPU s", "code (replications)"], lines)


def tables(folder):
    """Return all tables as Markdown."""
    rows = read(folder)
    seeds = rows.drop_duplicates(KEY[:3])
    found = cells(rows)
    parts = [
        f"{len(seeds):,} replications of {seeds['world'].nunique()} worlds. Mean or rate (Monte Carlo "
        "standard error). All data are synthetic.",
        "### In brief",
        together(found),
        "### Goals",
        promises(found),
        "### Mistakes",
        mistakes(found),
        "### Verdicts",
        verdicts(found),
        "### What is true",
        worlds(found),
    ]
    for title, (name, true) in ESTIMATES.items():
        parts += [f"### {title}", estimates(found, name, true)]
    for title, (name, true) in CEILINGS.items():
        parts += [f"### Ceiling: {title}", ceilings(found, name, true)]
    return "\n\n".join([*parts, "### Warnings", tests(found), "### Cost and code", cost(found)])


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


def put(page, text, begin=BEGIN, end=END):
    """Put tables between the marks of a page."""
    head, _, rest = page.read_text().partition(begin)
    tail = rest.partition(end)[2]
    page.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}")


def main():
    """Write the tables of what is there."""
    if any(FOLDER.glob("*.csv")):
        put(PAGE, tables(FOLDER))
    if any(EXPERIMENT_ROWS.glob("*.json")):
        put(EXPERIMENTS, experiments(EXPERIMENT_ROWS))


if __name__ == "__main__":
    main()
