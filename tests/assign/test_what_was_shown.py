"""Policies keep to what the survey has shown: through learning, freezing and assigning."""

import json

import numpy as np
import pandas as pd
import pytest

from conjoint_surveys import people, survey
from nanotarget.assign.assign import assign
from nanotarget.calibrate.imce import imce
from nanotarget.calibrate.learners import FITTERS, TrainingData, model_from_data
from nanotarget.petitions.design import Design
from nanotarget.study.config import HIDDEN, DesignConfig, LearningConfig, PolicyConfig
from nanotarget.study.seeds import child_rng

POLICIES = ["random", "overall_best", "segment", "nano", "best_min", "nano_min"]
LEVELS = {"a": ["a0", "a1", "a2"], "b": ["b0", "b1"], "c": ["c0", "c1", "c2"]}


def design_of(never_shown="exclude", **of_a):
    attributes = [{"name": name, "levels": levels} for name, levels in LEVELS.items()]
    attributes[0] |= of_a
    return DesignConfig.model_validate({"attributes": attributes, "never_shown": never_shown})


def learned(profiles, config, outcome="rating", learner="ridge"):
    """Learn, freeze and thaw; return the model and the calibration's people."""
    covariates = [{"name": "left", "kind": "numeric"}]
    respondents = people(profiles).assign(weight=1.0)
    respondents["left"] = child_rng(3, "left").normal(size=len(respondents))
    settings = {"design": config.model_dump(), "covariates": covariates, "outcome": outcome}
    data = TrainingData.from_settings(profiles, respondents, settings)
    model = FITTERS[learner](data, 1, LearningConfig())
    frozen = json.loads(json.dumps(model.settings()))
    return model_from_data(frozen, model.arrays(), Design.from_config(config)), respondents


def assigned(*arguments):
    """Assign to the calibration's own people."""
    model, respondents = learned(*arguments)
    return assign(model, respondents, respondents, PolicyConfig(policies=POLICIES), 1)


@pytest.mark.parametrize(("outcome", "learner"), [("rating", "ridge"), ("choice", "hierarchical")])
def test_what_nobody_saw_is_assigned_to_nobody_under_no_policy(outcome, learner):
    config = design_of()
    profiles = survey(
        Design.from_config(config),
        child_rng(1, "never"),
        outcome=lambda codes, _: 1.5 * (codes[:, 0] == 2) + 1.5 * (codes[:, 2] == 2),
    )
    both = ((profiles["a"] == "a2") & (profiles["c"] == "c2")).to_numpy()
    apart = profiles.assign(c=profiles["c"].mask(both, "c1"))
    table = assigned(apart, config, outcome, learner)
    assert not ((table["a"] == "a2") & (table["c"] == "c2")).any()
    free = assigned(apart, design_of("assign"), outcome, learner)
    best = free[free["policy"] == "overall_best"]
    assert ((best["a"] == "a2") & (best["c"] == "c2")).all(), "unless the config says so"


@pytest.mark.parametrize("hidden", ["allowed", "option"])
def test_what_is_best_hidden_is_hidden_only_if_that_is_an_option(hidden):
    config = design_of(hidden=hidden)
    profiles = survey(Design.from_config(design_of()), child_rng(2, "hidden"))
    gone = child_rng(4, "hidden").random(len(profiles)) < 0.4
    levels = pd.Series(np.where(gone, HIDDEN, profiles["a"]))
    profiles["a"] = pd.Categorical(levels, [*LEVELS["a"], HIDDEN], ordered=True)
    profiles["rating"] += 2 * gone
    table = assigned(profiles, config)
    chosen = table.loc[table["policy"].isin(["overall_best", "nano", "segment"]), "a"]
    assert (chosen == HIDDEN).all() if hidden == "option" else not (table["a"] == HIDDEN).any()
    effects = imce(*learned(profiles, config), 0.95, 1)
    assert (HIDDEN in set(effects["level"])) == (hidden == "option")
    assert len(effects) == len(table) / len(POLICIES) * (5 + (hidden == "option"))
