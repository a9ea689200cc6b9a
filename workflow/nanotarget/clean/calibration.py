"""The calibration: the raw file of a conjoint survey to tidy profiles and respondents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanotarget.clean import contracts
from nanotarget.clean.covariates import read_covariates, read_weights
from nanotarget.clean.exclusions import REFUSED, exclude, leave_out_refusers
from nanotarget.clean.none_rows import without_none_rows
from nanotarget.clean.people import People, Sample, check_left, one_per_id, one_per_row, read_table, tidy
from nanotarget.clean.profiles import Profiles, attribute_rows, profile_columns, read_profiles
from nanotarget.clean.quality import Tasks, calibration_quality
from nanotarget.clean.repeated import apart, second_answers
from nanotarget.clean.shown import (
    check_attributes,
    check_followers,
    check_no_numbers,
    check_recorded,
    hiding_doubts,
    read_petitions,
)
from nanotarget.petitions.design import Design
from nanotarget.study.config import CalibrationConfig, CovariateConfig
from nanotarget.study.problems import InputError, Problem, raise_if_any


@dataclass(frozen=True)
class Calibration(Sample):
    """The tidy calibration.

    Attributes:
        profiles: `contracts.calibration_profiles`.
        everyone: ids of all respondents of the raw file.
        rows: `contracts.attribute_rows`; None where the order of attributes was not drawn.
        again: `contracts.second_answers`; None where no task was asked twice.
    """

    profiles: pd.DataFrame
    everyone: frozenset[str]
    rows: pd.DataFrame | None = None
    again: pd.DataFrame | None = None


def read_calibration(
    config: CalibrationConfig,
    design: Design,
    covariates: Sequence[CovariateConfig],
    refusers: frozenset[str] = frozenset(),
) -> Calibration:
    """Turn the raw calibration into tidy tables.

    Tasks without any answer are dropped, and respondents without any task with them. A choice
    that is recorded for some profiles of a task only is missing for the whole task. A covariate
    with ``target: false`` may be absent from the file; it is missing then. A task that repeats another one
    is none of the profiles: its answers stand apart.

    Args:
        config: the section `calibration`.
        design: the petitions.
        covariates: the allow-list.
        refusers: ids of people who came back and refused personalisation then.

    Raises:
        InputError: with all problems of the file.
    """
    optional = {c.name for c in covariates if not c.target}
    table = read_table("calibration", config, covariates, profile_columns(config, design), optional)
    everyone = (one_per_row if config.layout == "wide" else one_per_id)(table, config.respondent)
    people = leave_out_refusers(exclude(everyone, config.exclusions), config.consent)
    people = check_left(_without_later_refusers(people, refusers))
    people = without_none_rows(people, config, design)
    shown, repetition = apart(read_profiles(people, config, design), people, config)
    answered = shown.at(shown.answered)
    petitions = read_petitions(answered.attributes, design)
    check_recorded(answered.attributes, petitions, answered.table, design)
    check_attributes(answered.attributes, petitions, design)
    check_followers(answered.attributes, petitions, design)
    check_no_numbers(answered.attributes, petitions, answered.table, design)
    answered.check_choices(config.profiles, config.outcomes.measured)
    again = second_answers(repetition, answered, petitions, design, config) if repetition else None
    people = _answering(people, answered)
    described = read_covariates(people, covariates)
    respondents = tidy(people, {**described, "weight": read_weights(people, config.weight)})
    raise_if_any(table.problems)
    _check_two_answer(people)
    profiles = _tidy(answered, petitions, design, respondents)
    contracts.calibration_profiles(design, list(shown.answers)).validate(profiles, lazy=True)
    contracts.calibration_respondents(covariates).validate(respondents, lazy=True)
    tasks = Tasks(shown.n_tasks, {name: answered.n_incomplete(name) for name in answered.paired})
    as_shown = design.as_shown(design.codes(profiles))
    return Calibration(
        respondents,
        people.flow("calibration", {}),
        calibration_quality(profiles, respondents, as_shown, people.compared, tasks),
        people.identities(config.exclusions),
        profiles,
        frozenset(everyone.ids.ids.dropna()),
        _rows(answered, config, design),
        again,
        questions=(
            *hiding_doubts(petitions, answered.table, design),
            *_one_petition_each(config, profiles),
        ),
    )


def _without_later_refusers(people: People, refusers: frozenset[str]) -> People:
    """Let those leave who refused when they came back: a later no holds for earlier answers, too."""
    if not refusers:
        return people
    again = people.ids.ids.isin(refusers).to_numpy()
    return people.without(f"{REFUSED} later", "refused when they came back", again)


def _rows(answered: Profiles, config: CalibrationConfig, design: Design) -> pd.DataFrame | None:
    rows = attribute_rows(answered, config, design)
    if rows is None:
        return None
    kinds = {"respondent_id": "str", "task": "int64", "profile": "int64"}
    rows = rows.sort_values([*kinds], kind="stable", ignore_index=True).astype(kinds)
    return contracts.attribute_rows(design).validate(rows, lazy=True)


def petitions_answered(profiles: pd.DataFrame, outcome: str) -> pd.Series:
    """Return how many petitions each respondent gave an answer to, by respondent_id."""
    return profiles.groupby("respondent_id")[outcome].count()


def _one_petition_each(config: CalibrationConfig, profiles: pd.DataFrame) -> Iterator[str]:
    """Say that nobody compared two petitions, and ask the config to say so, too."""
    most = petitions_answered(profiles, config.analyse).max()
    if most < 2 and not config.one_petition_each:
        n = profiles["respondent_id"].nunique()
        yield (
            f"Each of the {n:,} respondents answered about one petition. What levels do on average can be "
            "estimated by comparing people (AMCEs, marginal means); who prefers which petition cannot be "
            "learned. If that is the design, write 'profiles: 1' and 'tasks: 1' in the section calibration: "
            "diagnose and assign are left out"
        )


def _answering(people: People, answered: Profiles) -> People:
    """Let those leave who answered no task."""
    silent = ~np.isin(people.person, answered.table["person"])
    return people.without("No task answered", "no outcome answered", silent)


def _check_two_answer(people: People) -> None:
    """Raise a problem if fewer than two respondents are left."""
    if (n := len(people.first)) < 2:
        raise InputError(
            [
                Problem(
                    people.table.source,
                    "whole file",
                    f"after the exclusions {'one respondent' if n else 'nobody'} is left with an answer",
                    "at least two respondents: each is scored by what the others answered",
                    "check the columns of the outcomes and the exclusions in the config against the file",
                )
            ]
        )


def _tidy(
    answered: Profiles, petitions: np.ndarray, design: Design, respondents: pd.DataFrame
) -> pd.DataFrame:
    """Put profiles and the weights of their respondents together, one row per profile."""
    table = answered.without_incomplete().table
    weight = respondents.set_index("respondent_id")["weight"]
    profiles = pd.DataFrame(
        {
            "respondent_id": pd.array(table["respondent_id"], dtype="str"),
            "task": table["task"].astype("int64"),
            "profile": table["profile"].astype("int64"),
            **design.frame(petitions),
            **{name: table[name] for name in answered.answers},
            "weight": weight.loc[table["respondent_id"]].to_numpy(),
        }
    )
    return profiles.sort_values(["respondent_id", "task", "profile"], kind="stable", ignore_index=True)
