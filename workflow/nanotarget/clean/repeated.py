"""A task that respondents were asked twice: its second answers, which only say how reliable answers are."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nanotarget.clean import contracts
from nanotarget.clean.people import People
from nanotarget.clean.profiles import Profiles, read_answers
from nanotarget.clean.shown import read_petitions
from nanotarget.petitions.design import Design
from nanotarget.study.config import CalibrationConfig, RepeatedConfig


def apart(shown: Profiles, people: People, config: CalibrationConfig) -> tuple[Profiles, Profiles | None]:
    """Take the repetition of a task out of what was shown: it is not a task of its own.

    Args:
        shown: all profiles of the file.
        people: whose they are.
        config: the section `calibration`.

    Returns:
        The profiles that count, and those of the repetition (without levels where the file does not repeat
        them); None where no task was repeated.
    """
    if not (repeated := config.repeated):
        return shown, None
    if repeated.again is None:
        return shown, _answered_only(people, config, repeated)
    again = (shown.table["task"] == repeated.again).to_numpy()
    return shown.at(~again), shown.at(again)


def _answered_only(people: People, config: CalibrationConfig, repeated: RepeatedConfig) -> Profiles:
    """Read the second answers, which stand in columns of their own."""
    numbers, n = range(1, config.profiles + 1), len(people.rows)
    table = pd.DataFrame(
        {
            "person": np.tile(people.person, len(numbers)),
            "respondent_id": np.tile(people.ids.ids, len(numbers)),
            "task": repeated.task,
            "profile": np.repeat(numbers, n),
        }
    )
    answers, read = {}, {}
    for outcome in config.outcomes.measured:
        if columns := repeated.columns(outcome.name, config.profiles):
            cells = people.cells(*columns)
            answers[outcome.name] = cells
            read[outcome.name] = read_answers(cells, outcome.of_task(repeated.task), config, table["profile"])
    return Profiles(table.assign(**read), [], answers)


def second_answers(
    again: Profiles, first: Profiles, petitions: np.ndarray, design: Design, config: CalibrationConfig
) -> pd.DataFrame:
    """Return the second answers under the numbers of the first task and profile that they are about.

    Petitions that differ from those of the first task are refused, where the file has them.

    Args:
        again: of the repetition.
        first: what else was answered.
        petitions: (n_profiles, n_attributes) levels of `first`.
        design: the petitions.
        config: the section `calibration`.

    Returns:
        `contracts.second_answers`, of respondents who answered the first task, too.
    """
    repeated = config.repeated
    assert repeated is not None
    again = again.at(again.answered)
    again.check_choices(config.profiles, [o for o in config.outcomes.measured if o.name in again.answers])
    again = again.without_incomplete()
    own = again.table["profile"]
    place = config.profiles + 1 - own if repeated.swapped else own
    table = again.table.assign(task=repeated.task, profile=place)
    keys = ["person", "task", "profile"]
    at = pd.MultiIndex.from_frame(first.table[keys]).get_indexer(pd.MultiIndex.from_frame(table[keys]))
    if again.attributes:
        _check_alike(again.at(at >= 0), petitions[at[at >= 0]], design, repeated)
    kinds = {"respondent_id": "str", "task": "int64", "profile": "int64"}
    kept = table.loc[at >= 0, [*kinds, *again.answers]].astype(kinds)
    kept = kept.sort_values([*kinds], kind="stable", ignore_index=True)
    return contracts.second_answers(list(again.answers)).validate(kept, lazy=True)


def _check_alike(again: Profiles, petitions: np.ndarray, design: Design, repeated: RepeatedConfig) -> None:
    """Refuse a repetition that shows other petitions than the task that it repeats."""
    differ = read_petitions(again.attributes, design) != petitions
    places = "with the petitions in reversed order" if repeated.swapped else "in the same order"
    for cells, attribute, bad in zip(again.attributes, design.names, differ.T, strict=True):
        cells.refuse(
            bad,
            f"'{attribute}' differs from task {repeated.task}, which this task repeats",
            f"the petitions of task {repeated.task}, {places}",
            "correct 'task', 'again' or 'swapped' of key calibration.repeated, or the file",
        )
