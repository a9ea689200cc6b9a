"""Trials of made-up experiments for the tests of the estimators."""

from __future__ import annotations

from nanotarget.estimate import Trial
from nanotarget.study.config import OutcomeConfig


def trial(table, arms, outcomes=(), **more):
    """Return the trial of a table; outcomes by name are continuous, the allow-list is the adjustment."""
    outcomes = [OutcomeConfig(name=o, kind="continuous") if isinstance(o, str) else o for o in outcomes]
    return Trial(table, arms, outcomes, **({"covariates": more.get("adjust", ())} | more))
