"""Stand-ins for raw files that may not be published: the same columns, answers drawn at random.

They let others run the whole study. Everything in them comes from the config and nothing from the data, not
even a count: people, answers and petitions are drawn independently, so that no result of them means anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from nanotarget.petitions.design import Design
from nanotarget.study.artefacts import csv_text
from nanotarget.study.config import (
    CalibrationConfig,
    ColumnValues,
    CovariateConfig,
    ExclusionConfig,
    ExperimentConfig,
    OutcomeConfig,
    RosterConfig,
    Study,
)
from nanotarget.study.response import Choice, Response
from nanotarget.study.seeds import child_rng

PEOPLE = 300
TASKS = 6  # of a survey whose config does not say how many
UNBOUNDED = (0, 10)
SAID = "SIMULATED STAND-IN, NO REAL PERSON ANSWERED"
Columns = dict[str, list[str]]
Sample = CalibrationConfig | ExperimentConfig | RosterConfig


def stand_ins(study: Study) -> dict[str, bytes]:
    """Return a stand-in for each raw file, by its name; none if one of them cannot be stood in for.

    Not for files other than CSV, surveys with a row a task or with files of their own for petitions shown or
    codes, and experiments whose arms were drawn by blocks or clusters.
    """
    calibration, experiment, design = study.calibration, study.experiment, study.design
    if not all(file.lower().endswith(".csv") for file in study.raw_files) or not _plain(study):
        return {}
    tables = dict[str, tuple[Columns, int]]()
    if calibration and design:
        rng = child_rng(study.root_seed, "stand-in/calibration")
        tables[calibration.file] = _survey(study, calibration, Design.from_config(design), rng)
    if experiment:
        rng = child_rng(study.root_seed, "stand-in/experiment")
        shown = Design.from_config(design) if design else None
        tables[experiment.file] = _trial(study, experiment, shown, rng)
    if study.roster:
        people = _people(study, study.roster, "R", child_rng(study.root_seed, "stand-in/roster"))
        tables[study.roster.file] = people, study.roster.header_rows
    return {file: _csv(columns, header) for file, (columns, header) in tables.items()}


def _plain(study: Study) -> bool:
    """Whether every raw file has a form that is stood in for."""
    calibration, experiment = study.calibration, study.experiment
    if calibration:
        other = calibration.layout == "task" or calibration.profiles < 2 or calibration.attribute_names
        lists = any(isinstance(outcome.column, list) for outcome in calibration.outcomes.measured)
        several = any(
            isinstance(v, list) for o in calibration.outcomes.measured for v in o.names_of_profiles or []
        )
        if other or lists or several or calibration.shown or calibration.labels:
            return False
    complete = experiment is None or experiment.randomisation.scheme == "complete"
    return complete and study.samples == "new"


def _csv(columns: Mapping[str, Sequence[str]], header_rows: int) -> bytes:
    table = pd.DataFrame(columns)
    texts = pd.DataFrame([[SAID] * len(table.columns)] * (header_rows - 1), columns=table.columns)
    return csv_text(pd.concat([texts, table], ignore_index=True)).encode()


def _people(study: Study, sample: Sample, letter: str, rng: np.random.Generator) -> Columns:
    """The columns of people: id, identifiers, consent, covariates, and what exclusions look at."""
    ids = [f"STANDIN-{letter}{i:04}" for i in range(1, PEOPLE + 1)]
    columns = {sample.respondent: ids}
    for name in sample.identifiers:
        columns[name] = [f"{person.lower()}@example.org" for person in ids]
    if sample.consent:
        columns[sample.consent.column] = [str(sample.consent.values[0])] * PEOPLE
    for covariate in study.covariates:
        columns[covariate.column or covariate.name] = _drawn(covariate, rng)
    if not isinstance(sample, RosterConfig) and sample.weight:
        columns[sample.weight] = ["1"] * PEOPLE
    steps = [*sample.exclusions, *(sample.post_checks if isinstance(sample, ExperimentConfig) else [])]
    for step in steps:
        columns.setdefault(step.column, _kept(step, ids))
    return columns


def _drawn(covariate: CovariateConfig, rng: np.random.Generator) -> list[str]:
    if covariate.levels:
        return [str(covariate.levels[i]) for i in rng.integers(len(covariate.levels), size=PEOPLE)]
    low, high = covariate.range or UNBOUNDED
    return list(map(str, rng.integers(int(np.ceil(low)), int(high) + 1, PEOPLE)))


def _kept(step: ExclusionConfig, ids: Sequence[str]) -> list[str]:
    """Answers by which a rule excludes nobody."""
    if step.rule == "not_in":
        return [str(step.values[0])] * len(ids)
    if step.rule in ("below", "above") and step.value is not None:
        return [str(int(step.value) + (1 if step.rule == "below" else -1))] * len(ids)
    return [f"stand-in {person}" for person in ids]


def _survey(
    study: Study, calibration: CalibrationConfig, design: Design, rng: np.random.Generator
) -> tuple[Columns, int]:
    people = _people(study, calibration, "C", rng)
    tasks, profiles = calibration.tasks or TASKS, calibration.profiles
    shown = design.draw(PEOPLE * tasks * profiles, rng).reshape(PEOPLE, tasks, profiles, -1)
    chosen = rng.integers(profiles, size=(PEOPLE, tasks))
    if calibration.layout == "wide":
        wide = _wide(calibration, design, shown, chosen, rng)
        return people | wide, calibration.header_rows
    columns = {name: list(np.repeat(cells, tasks * profiles)) for name, cells in people.items()}
    if calibration.task:
        columns[calibration.task] = [
            str(t + 1) for _ in range(PEOPLE) for t in range(tasks) for _ in range(profiles)
        ]
    if calibration.profile:
        columns[calibration.profile] = [str(p + 1) for _ in range(PEOPLE * tasks) for p in range(profiles)]
    for a, attribute in enumerate(design.attributes):
        columns[attribute.column or attribute.name] = _texts(design, a, shown[..., a].ravel())
    of_task = (chosen[..., None] == np.arange(profiles)).astype(int).ravel()
    for outcome in calibration.outcomes.measured:
        answers = of_task if isinstance(outcome, Choice) else _answers(outcome, shown[..., 0].size, rng)
        columns[str(outcome.column)] = list(map(str, answers))
    return columns, calibration.header_rows


def _texts(design: Design, attribute: int, codes: np.ndarray) -> list[str]:
    levels = [str(level) for level in design.attributes[attribute].levels]
    return [levels[code] for code in codes]


def _answers(outcome: Response, n: int, rng: np.random.Generator) -> np.ndarray:
    low, high = outcome.limits or ((0, 1) if outcome.binary else UNBOUNDED)
    return rng.integers(int(np.ceil(low)), int(high) + 1, n)


def _wide(
    calibration: CalibrationConfig,
    design: Design,
    shown: np.ndarray,
    chosen: np.ndarray,
    rng: np.random.Generator,
) -> Columns:
    columns: Columns = {}
    tasks, profiles = shown.shape[1:3]
    task_names = [str(name) for name in calibration.task_values or range(1, tasks + 1)]
    names = [str(name) for name in calibration.profile_values or range(1, profiles + 1)]
    for t in range(tasks):
        for outcome in calibration.outcomes.measured:
            pattern = str(outcome.column).replace("{task}", task_names[t])
            if isinstance(outcome, Choice):
                values = outcome.names_of_profiles or range(1, profiles + 1)
                columns[pattern] = [str(values[p]) for p in chosen[:, t]]
                continue
            for name in names:
                answers = _answers(outcome, PEOPLE, rng)
                columns[pattern.replace("{profile}", name)] = list(map(str, answers))
        for p, name in enumerate(names):
            for a, attribute in enumerate(design.attributes):
                filled = {"{task}": task_names[t], "{profile}": name}
                column = str(calibration.attribute_columns)
                for field, text in (filled | {"{attribute}": attribute.column or attribute.name}).items():
                    column = column.replace(field, text)
                columns[column] = _texts(design, a, shown[:, t, p, a])
    return columns


def _trial(
    study: Study, experiment: ExperimentConfig, design: Design | None, rng: np.random.Generator
) -> tuple[Columns, int]:
    columns = _people(study, experiment, "E", rng)
    arms = rng.permutation(np.arange(PEOPLE) % len(experiment.arms))
    columns[experiment.arm] = [
        str(experiment.arms[i].name if experiment.arms[i].value is None else experiment.arms[i].value)
        for i in arms
    ]
    if experiment.petition_columns and design:
        shown = design.draw(PEOPLE, rng)
        for a, attribute in enumerate(design.attributes):
            name = experiment.petition_columns.replace("{attribute}", attribute.column or attribute.name)
            texts = _texts(design, a, shown[:, a])
            columns[name] = [t if experiment.arms[i].policy else "" for t, i in zip(texts, arms, strict=True)]
    for outcome in experiment.outcomes:
        for name in outcome.raw_columns:
            columns[name] = _measured(outcome, rng)
    told: list[ColumnValues | None] = [experiment.delivered, *(o.observed_if for o in experiment.outcomes)]
    for rows in told:
        if rows:
            columns.setdefault(rows.column, [str(rows.values[0])] * PEOPLE)
    return columns, experiment.header_rows


def _measured(outcome: OutcomeConfig, rng: np.random.Generator) -> list[str]:
    if outcome.recode:
        answers = [str(answer) for answer in outcome.recode]
        return [answers[i] for i in rng.integers(len(answers), size=PEOPLE)]
    binary = outcome.kind == "binary" and outcome.at_least is None
    low, high = outcome.range or ((0, 1) if binary else UNBOUNDED)
    return list(map(str, rng.integers(int(np.ceil(low)), int(high) + 1, PEOPLE)))
