"""Samples from which nothing can be learned: too few people, nothing answered, one person who is all."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from nanotarget.clean.samples import Samples
from nanotarget.study.config import DataConfig
from nanotarget.study.problems import Problem, counted

MIN_RESPONDENTS = 10  # of a calibration: with fewer, folds hold one or two people
MAX_SHARE = 0.5  # of the weights of a sample that one respondent may have


def insufficient(data: DataConfig, samples: Samples) -> Iterator[Problem]:
    """Yield what makes a sample useless, after its exclusions."""
    if data.calibration and samples.calibration:
        file, people = data.calibration.file, samples.calibration.respondents
        if len(people) < MIN_RESPONDENTS:
            what = f"{counted(len(people), 'respondent')} left after the exclusions"
            remedy = "collect more, or check the exclusions of the config"
            yield Problem(file, "whole file", what, f"at least {MIN_RESPONDENTS} respondents", remedy)
        analysed = data.calibration.analyse
        if not samples.calibration.profiles[analysed].notna().any():
            yield _empty(file, analysed, "calibration.analyse")
        elif samples.calibration.profiles[analysed].nunique() == 1:
            what = f"the outcome '{analysed}' is the same in every row that is left"
            remedy = "correct key calibration.analyse or the file: nothing can be learned from it"
            yield Problem(file, f"outcome '{analysed}'", what, "answers that differ", remedy)
        for covariate in data.covariates:
            if covariate.target and not people[covariate.name].notna().any():
                what = f"the covariate '{covariate.name}' is empty for everybody who is left"
                remedy = "remove it from the covariates, or export the data again"
                column = covariate.column or covariate.name
                yield Problem(file, f"column '{column}'", what, "values", remedy)
        yield from _dominated(file, data.calibration.weight, people)
    if data.experiment and samples.experiment:
        file, people = data.experiment.file, samples.experiment.respondents
        counts = people["arm"].value_counts()
        for arm in data.experiment.arms:
            if not counts.get(arm.name):
                what = f"nobody is in the arm '{arm.name}' after the exclusions"
                remedy = "correct key experiment.arms, the exclusions or the file"
                yield Problem(file, f"column '{data.experiment.arm}'", what, "people in every arm", remedy)
        for outcome in data.experiment.outcomes:
            if not people[outcome.name].notna().any():
                yield _empty(file, outcome.raw_columns[0], "experiment.outcomes")
        yield from _dominated(file, data.experiment.weight, people)


def _empty(file: str, outcome: str, key: str) -> Problem:
    what = f"the outcome '{outcome}' is empty in every row that is left"
    remedy = f"correct key {key} (and observed_if, if there is one), or export the data again"
    return Problem(file, f"outcome '{outcome}'", what, "answers", remedy)


def _dominated(file: str, weight: str | None, people: pd.DataFrame) -> Iterator[Problem]:
    if weight and len(people) > 1 and people["weight"].max() > MAX_SHARE * people["weight"].sum():
        row = people["weight"].idxmax()
        what = f"one respondent ('{people.loc[row, 'respondent_id']}') has more than half of all weight"
        remedy = "correct the weight; no estimate would speak of anybody else"
        yield Problem(file, f"column '{weight}'", what, f"at most {MAX_SHARE:.0%} for one person", remedy)
