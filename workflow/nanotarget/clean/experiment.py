"""The experiment: its raw file to one tidy row per respondent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from nanotarget.clean import contracts
from nanotarget.clean.blocks import read_blocks, read_clusters, read_outcome_clusters, suspected_clusters
from nanotarget.clean.covariates import read_covariates, read_weights
from nanotarget.clean.exclusions import exclude, refused, refusers
from nanotarget.clean.flow import OBSERVED
from nanotarget.clean.outcomes import read_outcome
from nanotarget.clean.people import People, Sample, check_left, check_unique, one_per_row, read_table, tidy
from nanotarget.clean.quality import experiment_quality
from nanotarget.clean.shown import read_petitions
from nanotarget.petitions.design import Design
from nanotarget.study.config import CovariateConfig, ExperimentConfig, Level
from nanotarget.study.problems import listed, raise_if_any


def read_experiment(
    config: ExperimentConfig, design: Design | None, covariates: Sequence[CovariateConfig]
) -> Sample:
    """Turn the raw experiment into a tidy table, `contracts.experiment`.

    Args:
        config: the section `experiment`.
        design: the petitions; needed with `petition_columns`.
        covariates: the allow-list.

    Raises:
        InputError: with all problems of the file.
    """
    design = design if config.petition_columns else None
    table = read_table("experiment", config, covariates, _columns(config, design))
    everyone = one_per_row(table, config.respondent)
    people = check_left(exclude(everyone, config.exclusions))
    check_unique(people)
    arm = _arms(people, config)
    described = read_covariates(people, covariates)
    weight = read_weights(people, config.weight)
    randomised = _randomised(people, config, arm)
    passed = _passed(people, config)
    outcomes = {outcome.name: read_outcome(people, outcome) for outcome in config.outcomes}
    petition = _petition(people, config, design, _expects_petition(config, arm, outcomes)) if design else {}
    raise_if_any(table.problems)
    observed = ~np.isnan(next(iter(outcomes.values()), np.full(len(arm), np.nan)))
    arms = [a.name for a in config.arms]
    columns = {
        "arm": pd.Categorical.from_codes(arm, arms),
        "opt_out": refused(people, config.consent),
        **described,
        **petition,
        **outcomes,
        "observed": observed,
        "weight": weight,
        **randomised,
        "delivered": _delivered(people, config),
        "passed": passed,
    }
    respondents = tidy(people, columns)
    contracts.experiment(arms, covariates, config.outcomes, design).validate(respondents, lazy=True)
    answering = people
    if outcomes:
        answering = people.without(OBSERVED, f"{config.outcomes[0].name} is missing", ~observed)
    return Sample(
        respondents,
        answering.flow("experiment", _by_arm(everyone, config)),
        experiment_quality(respondents, [*described, *outcomes], people.compared),
        people.identities(config.exclusions),
        questions=_questions(people, config, design, arm),
        refusers=refusers(everyone, people, config.consent),
    )


def _questions(
    people: People, config: ExperimentConfig, design: Design | None, arm: np.ndarray
) -> tuple[str, ...]:
    """Ask whether people were randomised together where the file looks like it."""
    if config.randomisation.cluster:
        return ()
    named = {column for _, columns in _columns(config, design) for column in columns}
    known = named | {config.respondent} | set(config.identifiers)
    return tuple(
        f"{config.file}, column '{name}': all people with the same value are in one arm. Were they "
        f"randomised together? If so, write 'scheme: clustered' and 'cluster: {name}' at "
        "experiment.randomisation: without it standard errors are too small"
        for name in suspected_clusters(people, arm, known)
    )


def _columns(config: ExperimentConfig, design: Design | None) -> list[tuple[str, list[str]]]:
    """Raw columns that only the experiment has by the config key that names them."""
    wanted = [("experiment.arm", [config.arm])]
    if design:
        wanted.append(("experiment.petition_columns", _petition_columns(config, design)))
    for i, outcome in enumerate(config.outcomes):
        columns = outcome.raw_columns
        if outcome.observed_if:
            columns.append(outcome.observed_if.column)
        wanted.append((f"experiment.outcomes[{i}] ('{outcome.name}')", columns))
    wanted.append(("experiment.randomisation.blocks", config.randomisation.blocks))
    for key in ("cluster", "outcome_cluster"):
        if column := getattr(config.randomisation, key):
            wanted.append((f"experiment.randomisation.{key}", [column]))
    if config.delivered:
        wanted.append(("experiment.delivered.column", [config.delivered.column]))
    wanted += [
        (f"experiment.post_checks[{i}] ('{check.step}')", [check.column])
        for i, check in enumerate(config.post_checks)
    ]
    return wanted


def _petition_columns(config: ExperimentConfig, design: Design) -> list[str]:
    """Fill the pattern for each attribute, by plain replacement: `str.format` would evaluate more of it."""
    return [(config.petition_columns or "").replace("{attribute}", a.column) for a in design.attributes]


def _arm_texts(config: ExperimentConfig) -> list[Level]:
    """What the file says of each arm."""
    return [arm.name if arm.value is None else arm.value for arm in config.arms]


def _arms(people: People, config: ExperimentConfig) -> np.ndarray:
    """Return the number of each respondent's arm; -1 where it is missing or unknown, which is refused."""
    cells, texts = people.cells(config.arm), _arm_texts(config)
    arm = cells.levels("arm", texts, "experiment.arms")
    cells.refuse(
        cells.empty,
        "the arm is missing",
        f"one of {listed(map(str, texts))}",
        "complete the file, or exclude who was not randomised with an exclusion of rule 'missing'",
    )
    return arm


def _by_arm(everyone: People, config: ExperimentConfig) -> dict[str, np.ndarray]:
    """Group everyone in the file by arm; an unknown arm matters only in those who are left."""
    arm = everyone.cells(config.arm).index(_arm_texts(config))
    groups = {a.name: arm == i for i, a in enumerate(config.arms)}
    return groups | ({"none": arm < 0} if (arm < 0).any() else {})


def _randomised(people: People, config: ExperimentConfig, arm: np.ndarray) -> dict[str, object]:
    """Return the block and the cluster in which each respondent was randomised, and the outcome cluster."""
    block = read_blocks(people, config.randomisation, config.identifiers)
    shared = {"arm": pd.Series(arm).where(arm >= 0), "block": block}
    cluster = read_clusters(people, config.randomisation, config.identifiers, shared)
    unit = read_outcome_clusters(people, config.randomisation, config.identifiers, block, cluster)
    columns = {"block": block, "cluster": cluster, "outcome_cluster": unit}
    return {name: pd.array(values, dtype="str") for name, values in columns.items()}


def _delivered(people: People, config: ExperimentConfig) -> pd.api.extensions.ExtensionArray:
    """Return to whom the petition was delivered as assigned; NA where it was not logged."""
    if config.delivered is None:
        return pd.array([pd.NA] * len(people.rows), dtype="boolean")
    cells = people.cells(config.delivered.column)
    return pd.arrays.BooleanArray(cells.among(config.delivered.values), cells.empty)


def _passed(people: People, config: ExperimentConfig) -> pd.api.extensions.ExtensionArray:
    """Return who would be left if the post-treatment checks were exclusions; NA without checks."""
    if not config.post_checks:
        return pd.array([pd.NA] * len(people.rows), dtype="boolean")
    checked = exclude(people, config.post_checks)
    return pd.array(np.isin(people.rows, checked.rows), dtype="boolean")


def _expects_petition(
    config: ExperimentConfig, arm: np.ndarray, outcomes: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Return who is in an arm with a policy and answered, so that a petition must be recorded."""
    has_policy = np.array([a.policy is not None for a in config.arms])[arm] & (arm >= 0)
    answered = [np.isfinite(values) for values in outcomes.values()]
    return has_policy & np.any([np.zeros(len(arm), dtype=bool), *answered], axis=0)


def _petition(
    people: People, config: ExperimentConfig, design: Design, expected: np.ndarray
) -> dict[str, object]:
    """Return the petition shown, one categorical per attribute; missing where none was shown."""
    cells = [people.cells(column) for column in _petition_columns(config, design)]
    codes = read_petitions(cells, design)
    empty = np.column_stack([c.empty for c in cells])
    none = empty.all(axis=1)
    for c, index in zip(cells, codes.T, strict=True):
        c.refuse(
            c.empty & ~none & (index < 0),
            "the petition shown is incomplete",
            "a level of every attribute, or none where no petition was shown",
            "complete the file",
        )
    cells[0].refuse(
        none & expected,
        "no petition is recorded, but the arm has one and the respondent answered",
        "the petition shown in arms with a 'policy'",
        "complete the file, or remove 'policy' from the arm",
    )
    return {
        a.name: pd.Categorical.from_codes(codes[:, i], list(a.levels), ordered=True)
        for i, a in enumerate(design.attributes)
    }
