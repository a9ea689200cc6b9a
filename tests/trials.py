"""Trials of made-up experiments for the tests of the estimators."""

from __future__ import annotations

from nanotarget.estimate import Trial, ipw_effects
from nanotarget.study.config import OutcomeConfig


def trial(table, arms, outcomes=(), **more):
    """Return the trial of a table; outcomes by name are continuous, the allow-list is the adjustment."""
    outcomes = [OutcomeConfig(name=o, kind="continuous") if isinstance(o, str) else o for o in outcomes]
    return Trial(table, arms, outcomes, **({"covariates": more.get("adjust", ())} | more))


def ipw(trial):
    """Return the weighted effects of a trial without the augmented ones."""
    found = ipw_effects(trial)
    return found[found["estimator"] == "ipw"].reset_index(drop=True)
