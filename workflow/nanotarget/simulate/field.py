"""A simulated study from its parameters: the pipeline itself chooses the petitions that are fielded.

The calibration is drawn and exported, then read, learned from and assigned by the code of the stages, under
the settings of the study's config; people of the experiment answer the petitions assigned.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from nanotarget.assign.assign import assign
from nanotarget.calibrate.learners import FITTERS, Model, TrainingData
from nanotarget.calibrate.learners.selection import compare
from nanotarget.clean.calibration import read_calibration
from nanotarget.clean.roster import read_roster
from nanotarget.petitions.design import Design
from nanotarget.simulate.simulate import (
    Parameters,
    Policies,
    Study,
    calibration_survey,
    experiment,
    recruit,
)
from nanotarget.study.artefacts import write_csv
from nanotarget.study.config import LearningConfig, RosterArmConfig, RosterConfig
from nanotarget.study.config import Study as StudyConfig
from nanotarget.study.response import RESPONSES


def simulate(config: StudyConfig, parameters: Parameters) -> Study:
    """Simulate the calibration, what the pipeline assigns from it, and the experiment that fields that.

    Args:
        config: of the study, with design, calibration and experiment.

    Raises:
        InputError: if the parameters do not fit the design or the covariates.
    """
    assert config.design
    design = Design.from_config(config.design)
    calibration = calibration_survey(design, config.covariates, parameters)
    recruits = recruit(calibration, design, config.covariates, parameters)
    policies = assigned(config, calibration.raw, recruits.roster)
    return experiment(calibration, recruits, policies, design, parameters)


def assigned(config: StudyConfig, calibration: pd.DataFrame, roster: pd.DataFrame) -> Policies:
    """Return the petitions that the pipeline learns from a raw calibration for the people of a raw roster.

    Args:
        config: of the study.
        calibration, roster: as exported, the first row holds the questions.

    Returns:
        The petitions; those of nano in the order of the roster.
    """
    assert config.design and config.calibration and config.experiment
    design = Design.from_config(config.design)
    with TemporaryDirectory() as folder:
        files = {name: str(Path(folder) / f"{name}.csv") for name in ("calibration", "roster")}
        write_csv(calibration, files["calibration"])
        write_csv(roster, files["roster"])
        answered = read_calibration(
            config.calibration.model_copy(update={"file": files["calibration"]}), design, config.covariates
        )
        shards: list[pd.DataFrame] = []
        read_roster(
            RosterConfig(
                file=files["roster"],
                header_rows=config.experiment.header_rows,
                respondent=config.experiment.respondent,
                consent=config.experiment.consent,
                arms=[RosterArmConfig(name=arm.name) for arm in config.experiment.arms],
                ledger="none.csv",
            ),
            config.covariates,
            shards.append,
        )
    people = pd.concat(shards, ignore_index=True)
    outcome = RESPONSES[config.calibration.analyse]
    data = TrainingData.from_tables(
        answered.profiles, answered.respondents, design, outcome, config.covariates
    )
    model = frozen_model(data, config.calibrate, config.root_seed)
    settings = config.assign.model_copy(update={"policies": ["overall_best", "nano"]})
    table = assign(model, answered.respondents, people, settings, config.root_seed)
    order = roster[config.experiment.respondent].iloc[1:]
    best, nano = (
        design.codes(table[table["policy"] == policy].set_index("respondent_id").loc[order])
        for policy in ("overall_best", "nano")
    )
    return Policies(best=best[0], nano=nano)


def frozen_model(data: TrainingData, settings: LearningConfig, seed: int) -> Model:
    """Return the model that stage `calibrate` freezes."""

    def fit(name: str, train: TrainingData, _: str = "whole") -> Model:
        return FITTERS[name](train, seed, settings)

    learner = settings.learner
    if learner == "auto":
        return fit(compare(data, fit, settings, seed, {}).chosen, data)
    return fit(learner, data)
