"""Diagnose samples of worlds and keep, beside what is found, what is true: one row a replication.

A replication is drawn from its number alone, whatever the learner. Its row says which code it was computed
with, so that rows of several days and machines add up. All data are synthetic.
"""

from __future__ import annotations

import ast
import hashlib
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nanotarget.calibrate.learners import FITTERS
from nanotarget.calibrate.learners.crossfit import crossfit
from nanotarget.diagnose import Inputs
from nanotarget.diagnose.diagnosis import View, answer_of
from nanotarget.diagnose.dividend import Dividend
from nanotarget.diagnose.inputs import Group
from nanotarget.diagnose.quantities import DIAGNOSTICS, Estimator, Quantity
from nanotarget.diagnose.redivision import Limits, RidgeDivider, dividers, redivide
from nanotarget.diagnose.rows import table_of
from nanotarget.petitions import policy
from nanotarget.study.config import BartConfig, BoostingConfig, CalibrateConfig, DiagnoseConfig
from nanotarget.study.seeds import child_rng
from regimes import REGIMES, draw_sample
from truths import shares_of_units, truths

ROOT = Path(__file__).parents[2]
LEARNERS = {
    "ridge": CalibrateConfig(learner="ridge", interactions=False),
    "ridge-pairs": CalibrateConfig(learner="ridge"),
    "hierarchical": CalibrateConfig(learner="hierarchical"),
    "stagewise": CalibrateConfig(learner="stagewise", interactions=False),
    "boosting": CalibrateConfig(learner="boosting", boosting=BoostingConfig(bags=4)),
    "bart": CalibrateConfig(learner="bart", bart=BartConfig(trees=30, draws=100, burn_in=100, chains=1)),
}
FOLDS, HALVES = 5, 2
BOOTSTRAPS = 200
# Estimates by the prefix of their columns: quantity, estimator (None: the one that the verdict is based on).
ESTIMATES = {
    "person": (Quantity.PERSON_BY_MESSAGE, Estimator.CROSS_TASK),
    "baseline": (Quantity.BASELINE, Estimator.CROSS_TASK),
    "common": (Quantity.COMMON, Estimator.CROSS_TASK),
    "slope": (Quantity.SLOPE, Estimator.CROSSFIT),
    "free": (Quantity.PREDICTABLE_VARIANCE, Estimator.CROSS_PERSON),
    "products": (Quantity.PREDICTABLE_VARIANCE, Estimator.CROSS_PERSON_PRODUCTS),
    "learned": (Quantity.PREDICTABLE_VARIANCE, Estimator.CROSSFIT),
    "half": (Quantity.CROSS_HALF_GAIN, None),
    "gain": (Quantity.GAIN, None),
    "gain1": (Quantity.GAIN, Estimator.FIRST_ORDER),
    "gain2": (Quantity.GAIN, Estimator.SECOND_ORDER),
    "all": (Quantity.GAIN_OF_ALL, Estimator.EXTRAPOLATED),
}
PARTS = {"": "estimate", "_se": "std_error", "_low": "conf_low", "_high": "conf_high"}
CEILINGS = dict(zip(("G1", "G2", "G3", "dividend_bound"), DIAGNOSTICS, strict=True))
BOUNDS = {"": "ceiling", "_low": "ceiling_low", "_high": "ceiling_high"}
TESTS = {
    "lag_p": Quantity.LAG_DIFFERENCE,
    "interactions_p": Quantity.COMMON_INTERACTIONS,
    "order_p": Quantity.ORDER_DIFFERENCE,
}
TRUTHS = {  # columns of what is true, but for that of an estimate, which is named after it
    "G1_true": "G1",
    "G2_true": "G2",
    "oracle": "oracle",
    "covariate_oracle": "covariate oracle",
    "deployed": "at deployment",
}
TRUTHS |= {f"{name}_true": ESTIMATES[name][0] for name in ("person", "baseline", "common", "slope", "free")}
TRUTHS |= {
    "half_true": Quantity.CROSS_HALF_GAIN,
    "gain_true": Quantity.GAIN,
    "all_true": Quantity.GAIN_OF_ALL,
}
KEY = ["world", "learner", "seed", "goal", "group"]
COLUMNS = [
    *KEY,
    "code",
    "seconds",
    "overall",
    "rule",
    *DIAGNOSTICS,
    "flags",
    *(name + part for name in ESTIMATES for part in PARTS),
    *(name + bound for name in CEILINGS for bound in BOUNDS),
    *TESTS,
    *TRUTHS,
]
# What a replication depends on; texts of the diagnosis prove nothing.
LIBRARY = "workflow/nanotarget"
SOURCES = [
    f"{LIBRARY}/{part}" for part in ("calibrate/learners", "calibrate/link.py", "diagnose", "petitions")
]
HARNESS = ["worlds.py", *(f"validation/{name}.py" for name in ("regimes", "replicate", "scales", "truths"))]


@cache
def code():
    """Return a hash of what estimates and truths are computed with; comments and docstrings do not count."""
    places = [ROOT / source for source in SOURCES]
    paths = [path for p in places for path in (sorted(p.rglob("*.py")) if p.is_dir() else [p])]
    paths = [path for path in paths if path.name != "words.py"] + [ROOT / "tests" / name for name in HARNESS]
    digest = hashlib.sha256()
    for path in paths:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if hasattr(node, "body") and isinstance(node.body, list):
                node.body = [part for part in node.body if not is_text(part)]
        digest.update(path.relative_to(ROOT).as_posix().encode() + ast.dump(tree).encode())
    return digest.hexdigest()[:10]


def is_text(node):
    """Return whether a statement is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def replicate(name, learner, seed, n=None, bootstraps=BOOTSTRAPS, shape=None):
    """Draw a sample of a regime, diagnose it, and return rows of what is found beside what is true.

    Args:
        name, learner: keys of `REGIMES` and `LEARNERS`.
        seed: number of the replication.
        n, shape: respondents and levels of the attributes, if not those of the regime.

    Returns:
        A row (column -> value) for each goal and group that the regime is about.
    """
    regime = REGIMES[name]
    sample = draw_sample(regime, seed, name, n, shape)
    start = time.process_time()
    fitted, halves = (fit(sample.data, learner, folds, seed, regime.panel) for folds in (FOLDS, HALVES))
    settings = DiagnoseConfig(sesoi=regime.sesoi, bootstraps=bootstraps)
    divisions = {}
    known = {"learner": LEARNERS[learner].learner, "own_answers": regime.panel}
    inputs = Inputs(fitted, halves, settings, seed, **known, divisions=divisions, sizes=(1,))
    divided = divide(inputs, regime.goals)
    divisions |= divided.divisions  # what the answers alone say is known from dividing them
    found = diagnosed(inputs, regime.goals, sample.groups)
    seconds = round(time.process_time() - start, 1)
    rules = divided.rules | learned_from_all(sample, learner, seed)
    true = truths(sample, fitted, rules, child_rng(seed, f"validation/{name}/twins"))
    return [
        {"world": name, "learner": learner, "seed": seed, "goal": goal, "group": group}
        | {"code": code(), "seconds": seconds}
        | row
        | {column: true[goal][group].get(what) for column, what in TRUTHS.items()}
        for (goal, group), row in found.items()
    ]


def fit(data, learner, folds, seed, panel=False):
    """Cross-fit a learner; in a panel folds are of tasks, and it knows people's answers of the others."""
    return crossfit(data, lambda part, _: learn(part, learner, seed, panel), folds, seed, panel)


def learn(data, learner, seed, panel=False):
    """Fit a learner, in a panel with people's own answers."""
    known = "covariates + own answers" if panel else "covariates"
    settings = LEARNERS[learner].model_copy(update={"information": known})
    return FITTERS[settings.learner](data, seed, settings)


def learned_from_all(sample, learner, seed):
    """Return what the rules learned from everybody give, by goal and 1, as `Divided.rules`."""
    data, regime = sample.data, sample.regime
    utilities = learn(data, learner, seed, regime.panel).utilities(data.respondents)
    rules = {}
    for goal in regime.goals:
        worst = goal == "dissuade"
        nano = policy.nano(utilities, worst)
        best = np.broadcast_to(policy.overall_best(utilities, data.weight, worst), nano.shape)
        rules[goal, 1] = [Given(nano, best)]
    return rules


class Given(NamedTuple):
    """What rules give to respondents who have not been seen, or whose answers to some tasks have not.

    Attributes:
        nano, best: (n_respondents, n_attributes) petitions.
        share: of each respondent's answers that score them: (n_respondents,), or one for all.
    """

    nano: np.ndarray
    best: np.ndarray
    share: np.ndarray | float = 1.0


@dataclass
class Divided:
    """What many divisions say, and the rules that they scored.

    Attributes:
        divisions: by goal; none where the study's own stand for them.
        rules: by goal and number of folds (1: learned from everybody), the `Given` by each division; in a
            panel by each fold, which has some of everybody's answers.
    """

    divisions: dict
    rules: dict


@dataclass(frozen=True)
class Remembering:
    """A divider that remembers what its rules have given."""

    divider: object
    rules: dict

    def divide(self, fold, everybody):
        """See `redivision.Divider`."""
        found = self.divider.divide(fold, everybody)
        for goal, own in found.items():
            self.rules.setdefault((goal, fold.max() + 1), []).append(Given(own.nano, own.best))
        return found


def divide(inputs, goals):
    """Divide ratings again with ridge, as a study does; of others the study's own divisions are taken."""
    fitted, rules = inputs.fitted, {}
    if not RidgeDivider.applies(fitted):
        for cross in (fitted, inputs.halves):
            for goal in goals:
                own = Dividend(cross.for_goal(goal)).petitions
                shown = own[Quantity.NANO], own[Quantity.OVERALL_BEST]
                rules[goal, len(cross.models)] = given(cross, *shown)
        return Divided({}, rules)
    both = dividers(fitted, inputs.halves, None, inputs.allowed, goals)
    both = (Remembering(divider, rules) for divider in both)
    limits = Limits(FOLDS, inputs.settings.splits)
    return Divided(redivide(*both, fitted.data, limits, inputs.seed), rules)


def given(fitted, nano, best):
    """Return what a cross-fit gives, from the (n_units, n_attributes) petitions of its units."""
    if len(nano) == fitted.data.n_respondents:
        return [Given(nano, best)]
    share = shares_of_units(fitted)
    units = [np.flatnonzero(fitted.unit_fold == f) for f in range(len(fitted.models))]
    return [Given(nano[own], best[own], share[own]) for own in units]


def diagnosed(inputs, goals, groups):
    """Return what is said of goals and groups: (goal, group) -> columns."""
    found, smallest = {}, inputs.settings.sesoi
    for goal in goals:
        view = View.of(inputs, goal)
        for label, members in groups.items():
            if (goal, label) == (goals[0], "all"):
                rows, facts = view.whole()
                flags = [flag.partition(":")[0] for flag in view.flags(rows, facts)]
            else:
                (rows, facts), flags = view.brief(Group(label, members), smallest), []
            found[goal, label] = said(answer_of(facts), flags) | numbers(
                table_of([replace(row, goal=goal, group=label) for row in rows])
            )
    return found


def said(answer, flags):
    """Return verdicts and flags as columns."""
    verdicts = {name: str(answer[name]) for name in ("overall", "rule")}
    return verdicts | {name: str(v) for name, v in answer["stages"].items()} | {"flags": " ".join(flags)}


def numbers(table):
    """Return the estimates, ceilings and p-values of a table of diagnostics as columns."""
    row = {}
    decides = table["ceiling"].notna()
    for name, (quantity, estimator) in ESTIMATES.items():
        wanted = decides if estimator is None else table["estimator"] == estimator
        own = table[(table["quantity"] == quantity) & wanted]
        row |= {name + part: own[column].iloc[0] if len(own) else np.nan for part, column in PARTS.items()}
    for name, diagnostic in CEILINGS.items():
        own = table[(table["diagnostic"] == diagnostic) & decides]
        row |= {name + part: own[column].iloc[0] if len(own) else np.nan for part, column in BOUNDS.items()}
    for name, quantity in TESTS.items():
        own = table.loc[table["quantity"] == quantity, "p_value"]
        row[name] = own.iloc[0] if len(own) else np.nan
    return row
