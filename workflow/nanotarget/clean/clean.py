"""Raw tables to tidy tables: columns found, people excluded in order, contents checked, quality told.

Two kinds of problems stop a file. What concerns its columns comes first; what concerns its cells is
looked for after the exclusions, so that nobody has to correct the answers of people who are left
out anyway, and is reported all at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanotarget.clean import contracts
from nanotarget.clean.cells import (
    Cells,
    Report,
    cells_of,
    holds,
    match_levels,
    read_binary,
    read_ids,
    read_numbers,
    require,
)
from nanotarget.clean.people import (
    Step,
    check_ids,
    check_unique,
    count_flow,
    exclude,
    identify,
    opt_out_step,
    randomised_in,
    read_covariates,
    read_weights,
)
from nanotarget.clean.quality import calibration_quality, experiment_quality, roster_quality
from nanotarget.clean.raw import read_raw
from nanotarget.petitions.design import Design
from nanotarget.study.config import (
    CalibrationConfig,
    ColumnValues,
    CovariateConfig,
    DesignConfig,
    ExperimentConfig,
    OutcomeConfig,
    RosterConfig,
)
from nanotarget.study.problems import InputError, Problem, collecting, counted, listed, placed, raise_if_any


@dataclass(frozen=True)
class Calibration:
    """The tidy calibration.

    Attributes:
        profiles: `contracts.calibration_profiles`.
        respondents: `contracts.calibration_respondents`.
        flow: FLOW_COLUMNS, see `nanotarget.people`.
        quality: QUALITY_COLUMNS, see `nanotarget.quality`.
        people: a row a respondent who stayed; what tells people apart (see `identify`). Never written.
        everyone: ids of all respondents of the raw file.
    """

    profiles: pd.DataFrame
    respondents: pd.DataFrame
    flow: pd.DataFrame
    quality: pd.DataFrame
    people: pd.DataFrame
    everyone: frozenset[str]


@dataclass(frozen=True)
class Experiment:
    """The tidy experiment: `contracts.experiment`, and the rest as in `Calibration`."""

    respondents: pd.DataFrame
    flow: pd.DataFrame
    quality: pd.DataFrame
    people: pd.DataFrame


@dataclass(frozen=True)
class Roster:
    """The tidy roster: `contracts.roster`, and the rest as in `Calibration`."""

    respondents: pd.DataFrame
    flow: pd.DataFrame
    quality: pd.DataFrame
    people: pd.DataFrame


@dataclass(frozen=True)
class Samples:
    """The samples that a study has."""

    calibration: Calibration | None
    experiment: Experiment | None
    roster: Roster | None

    @property
    def flow(self) -> pd.DataFrame:
        """Participant flow of all samples."""
        tables = [sample.flow for sample in (self.calibration, self.experiment, self.roster) if sample]
        return pd.concat(tables, ignore_index=True)

    @property
    def quality(self) -> pd.DataFrame:
        """Quality checks of all samples."""
        tables = [sample.quality for sample in (self.calibration, self.experiment, self.roster) if sample]
        return pd.concat(tables, ignore_index=True)


def read_samples(
    samples: str,
    design: Design | None,
    covariates: Sequence[CovariateConfig],
    calibration: CalibrationConfig | None,
    experiment: ExperimentConfig | None,
    roster: RosterConfig | None = None,
) -> Samples:
    """Read and clean the raw files of a study.

    Args:
        samples: "new" if the samples must be different people, "panel" if the same ones.
        design: the petitions; needed with a calibration.
        covariates: the allow-list.
        calibration: where the calibration is, or None.
        experiment: where the experiment is, or None.
        roster: where the list of people to field to is, or None.

    Raises:
        InputError: with the problems of all files at once.
    """
    problems: list[Problem] = []
    first: Calibration | None = None
    second: Experiment | None = None
    third: Roster | None = None
    if calibration and design:
        with collecting(problems):
            raw = read_raw(calibration.file, calibration.header_rows)
            first = read_calibration(raw, calibration, design, covariates, calibration.file)
    if experiment:
        with collecting(problems):
            raw = read_raw(experiment.file, experiment.header_rows)
            second = read_experiment(raw, experiment, design, covariates, experiment.file)
    if roster:
        with collecting(problems):
            raw = read_raw(roster.file, roster.header_rows)
            third = read_roster(raw, roster, covariates, roster.file)
    for config, later in ((experiment, second), (roster, third)):
        if calibration and first and config and later:
            problems += _compare_people(first, later, samples, calibration.file, config.file)
    raise_if_any(problems)
    return Samples(first, second, third)


def check_design(config: DesignConfig, source: str) -> Design:
    """Build the design and try out what the config's schema cannot see.

    Args:
        config: the section `design`.
        source: name of the config file for messages.

    Raises:
        InputError: if no petition is feasible, a level can never be shown, or the template of the
            petition text fails.
    """
    design = Design.from_config(config)
    problems: list[Problem] = []
    with collecting(problems):
        for i, attribute in enumerate(design.attributes):
            shares = design.level_probabilities(i)
            if never := [level for level, share in zip(attribute.levels, shares, strict=True) if share == 0]:
                problems.append(
                    Problem(
                        source,
                        "key design.prohibited",
                        f"the prohibitions leave no petition with {attribute.name}: {listed(never)}",
                        "every level in at least one petition",
                        "remove a prohibition, or the level from design.attributes",
                    )
                )
    with collecting(problems):  # a template may fail for some levels only, so each is tried once
        levels = [[min(k, n - 1) for n in design.shape] for k in range(max(design.shape))]
        design.texts(np.array(levels))
    raise_if_any(dataclasses.replace(problem, file=source) for problem in problems)
    return design


def _compare_people(
    first: Calibration, second: Experiment | Roster, samples: str, calibration_file: str, later_file: str
) -> list[Problem]:
    """Hold a later sample to what the config declares about it and the calibration."""
    people = second.people
    if samples == "panel":
        unknown = ~people["respondent"].isin(first.everyone)
        if unknown.any():
            return [
                Problem(
                    later_file,
                    placed(people.index[unknown]),
                    f"{counted(int(unknown.sum()), 'respondent')} not in {calibration_file}",
                    "people of the calibration, because the config says 'samples: panel'",
                    "make the ids of both files agree, or write 'samples: new'",
                )
            ]
        return []
    again = np.zeros(len(people), dtype=bool)
    for key in people.columns.intersection(first.people.columns):
        again |= (people[key].notna() & people[key].isin(first.people[key])).to_numpy()
    if not again.any():
        return []
    return [
        Problem(
            later_file,
            placed(people.index[again]),
            f"{counted(int(again.sum()), 'respondent')} also in {calibration_file}",
            "other people than in the calibration, because the config says 'samples: new'",
            "remove them from one file, write 'samples: panel' if the same people came back, "
            "or give different people different ids",
        )
    ]


def read_calibration(
    raw: pd.DataFrame,
    calibration: CalibrationConfig,
    design: Design,
    covariates: Sequence[CovariateConfig],
    source: str,
) -> Calibration:
    """Turn the raw calibration into tidy tables.

    Tasks without any answer are dropped, and respondents without any task with them. A choice
    that is recorded for some profiles of a task only is missing for the whole task. A covariate
    with ``target: false`` may be absent from the file; it is missing then.

    Args:
        raw: what `read_raw` returned.
        calibration: the config's section.
        design: the petitions.
        covariates: the allow-list.
        source: name of the raw file for messages.

    Raises:
        InputError: with all problems of the file.
    """
    needed = [c.target or (c.column or c.name) in raw.columns for c in covariates]
    wanted = _calibration_columns(calibration, design)
    require(raw, [*wanted, *_person_columns("calibration", calibration, covariates, needed)], source)
    report = Report(source)
    ids = read_ids(raw[calibration.respondent])
    if calibration.layout == "wide":
        unit = np.arange(len(raw))
    else:
        unknown = pd.Series([f"row {row}" for row in raw.index], index=raw.index)
        unit = pd.factorize(ids.where(ids.notna(), unknown))[0]
    steps, compared = exclude(raw, unit, calibration.respondent, calibration.exclusions, report)
    if calibration.opt_out:
        steps.append(opt_out_step(raw, unit, calibration.opt_out, steps[-1].after))
    staying = steps[-1].after[unit]
    kept, unit = raw.loc[staying], unit[staying]
    if kept.empty:
        raise InputError([*report.problems, _nobody_left(source)])
    check_ids(cells_of(kept, [calibration.respondent]), report)
    shown = (_from_wide if calibration.layout == "wide" else _from_long)(
        kept, unit, calibration, design, report
    )
    n_shown = len(np.unique(shown.table[["unit", "task"]], axis=0))
    shown = shown.at(_answered(shown.table))
    answering = np.zeros(len(steps[0].before), dtype=bool)
    answering[shown.table["unit"]] = True
    last = steps[-1].after
    steps.append(Step("No task answered", "no choice and no rating", last, last & answering))
    codes = _check_petitions(shown, design, report)
    incomplete = _check_choices(shown, calibration.profiles, report)
    kept, unit = kept.loc[answering[unit]], unit[answering[unit]]
    person = pd.factorize(unit)[0]
    values = read_covariates(kept, covariates, person, report)
    weight = read_weights(kept, calibration.weight, person, report)
    raise_if_any(report.problems)
    if (answering := shown.table["unit"].nunique()) < 2:
        raise InputError([_too_few_answer(source, answering)])
    first = np.unique(person, return_index=True)[1]
    names = read_ids(kept[calibration.respondent].iloc[first]).to_numpy()
    respondents = pd.DataFrame({"respondent_id": pd.array(names, dtype="str"), **values, "weight": weight})
    respondents = respondents.sort_values("respondent_id", kind="stable", ignore_index=True)
    outcomes = [name for name in ("choice", "rating") if getattr(calibration.outcomes, name)]
    by_unit = pd.Series(weight, index=unit[first])
    table = shown.table
    profiles = pd.DataFrame(
        {
            "respondent_id": pd.array(table["respondent_id"], dtype="str"),
            "task": table["task"].astype("int64"),
            "profile": table["profile"].astype("int64"),
            **design.frame(codes),
            **{name: table[name] for name in outcomes},
            "weight": by_unit.loc[table["unit"]].to_numpy(),
        }
    ).sort_values(["respondent_id", "task", "profile"], kind="stable", ignore_index=True)
    contracts.calibration_profiles(design, outcomes).validate(profiles, lazy=True)
    contracts.calibration_respondents(covariates).validate(respondents, lazy=True)
    return Calibration(
        profiles,
        respondents,
        count_flow("calibration", steps, {"all": steps[0].before}),
        calibration_quality(profiles, respondents, design, compared, n_shown, incomplete),
        identify(kept.iloc[first], calibration.respondent, calibration.exclusions),
        frozenset(ids.dropna()),
    )


def _calibration_columns(calibration: CalibrationConfig, design: Design) -> list[tuple[str, list[str]]]:
    """Raw columns of profiles by the config key that names them."""
    outcomes = calibration.outcomes
    wanted = [("calibration.respondent", [calibration.respondent])]
    if calibration.layout == "wide":
        pairs = _pairs(calibration)
        pattern = calibration.attribute_columns or ""
        wanted += [
            ("calibration.attribute_columns", [_named(pattern, t, p, a.column) for t, p in pairs])
            for a in design.attributes
        ]
    else:
        pairs = [(0, 0)]
        wanted += [
            (f"design.attributes[{i}] ('{a.name}')", [a.column]) for i, a in enumerate(design.attributes)
        ]
        wanted += [
            (f"calibration.{key}", [column])
            for key, column in (("task", calibration.task), ("profile", calibration.profile))
            if column
        ]
    for name, outcome in (("choice", outcomes.choice), ("rating", outcomes.rating)):
        if outcome:
            columns = [_named(outcome.column, t, p) for t, p in pairs]
            wanted.append((f"calibration.outcomes.{name}.column", columns))
    return wanted


def _person_columns(
    section: str,
    sample: CalibrationConfig | ExperimentConfig | RosterConfig,
    covariates: Sequence[CovariateConfig],
    needed: Sequence[bool],
) -> list[tuple[str, list[str]]]:
    """Raw columns of people by the config key that names them."""
    wanted = [
        (f"covariates[{i}] ('{c.name}')", [c.column or c.name]) for i, c in enumerate(covariates) if needed[i]
    ]
    if not isinstance(sample, RosterConfig) and sample.weight:
        wanted.append((f"{section}.weight", [sample.weight]))
    if sample.opt_out:
        wanted.append((f"{section}.opt_out.column", [sample.opt_out.column]))
    wanted += [
        (f"{section}.exclusions[{i}] ('{e.step}')", [e.column]) for i, e in enumerate(sample.exclusions)
    ]
    return wanted


def _pairs(calibration: CalibrationConfig) -> list[tuple[int, int]]:
    """All (task, profile) of the wide layout."""
    tasks = range(1, (calibration.tasks or 0) + 1)
    return [(task, profile) for task in tasks for profile in range(1, calibration.profiles + 1)]


def _named(pattern: str, task: int, profile: int, attribute: str = "") -> str:
    """Fill a pattern by plain replacement: `str.format` would evaluate what else it holds."""
    name = pattern.replace("{task}", str(task)).replace("{profile}", str(profile))
    return name.replace("{attribute}", attribute)


@dataclass(frozen=True)
class _Shown:
    """Profiles shown, one a row.

    Attributes:
        table: unit, respondent_id, task, profile, choice and rating (NaN where not measured).
        attributes: cells of each attribute in the design's order.
        choices: cells of the choice, or of the respondent's id without a choice.
    """

    table: pd.DataFrame
    attributes: list[Cells]
    choices: Cells

    def at(self, keep: np.ndarray) -> _Shown:
        """Return the profiles where `keep` is true."""
        table = self.table.loc[keep].reset_index(drop=True)
        return _Shown(table, [cells.at(keep) for cells in self.attributes], self.choices.at(keep))


def _from_wide(
    raw: pd.DataFrame, unit: np.ndarray, calibration: CalibrationConfig, design: Design, report: Report
) -> _Shown:
    """Turn rows of respondents into rows of profiles, task by task and profile by profile."""
    repeated = check_unique(cells_of(raw, [calibration.respondent]), report)
    raw, unit = raw.loc[~repeated], unit[~repeated]
    n, pairs, profiles = len(raw), _pairs(calibration), calibration.profiles
    profile = np.repeat([p for _, p in pairs], n)
    choice = rating = np.full(n * len(pairs), np.nan)
    choices = cells_of(raw, [calibration.respondent] * len(pairs))
    if calibration.outcomes.choice:
        cells = cells_of(raw, [_named(calibration.outcomes.choice.column, t, 0) for t, p in pairs if p == 1])
        values = calibration.outcomes.choice.chosen_values or list(range(1, profiles + 1))
        index = match_levels(cells, "choice", values, report, "calibration.outcomes.choice.chosen_values")
        of_task = np.arange(len(index)).reshape(-1, n).repeat(profiles, axis=0).ravel()
        choices, index = cells.at(of_task), index[of_task]
        choice = np.where(index < 0, np.nan, (index == profile - 1).astype(float))
    if calibration.outcomes.rating:
        cells = cells_of(raw, [_named(calibration.outcomes.rating.column, t, p) for t, p in pairs])
        rating = read_numbers(cells, "rating", report, calibration.outcomes.rating.range)
    table = pd.DataFrame(
        {
            "unit": np.tile(unit, len(pairs)),
            "respondent_id": np.tile(read_ids(raw[calibration.respondent]).to_numpy(), len(pairs)),
            "task": np.repeat([t for t, _ in pairs], n),
            "profile": profile,
            "choice": choice,
            "rating": rating,
        }
    )
    pattern = calibration.attribute_columns or ""
    attributes = [
        cells_of(raw, [_named(pattern, t, p, a.column) for t, p in pairs]) for a in design.attributes
    ]
    return _Shown(table, attributes, choices)


def _from_long(
    raw: pd.DataFrame, unit: np.ndarray, calibration: CalibrationConfig, design: Design, report: Report
) -> _Shown:
    """Take rows of profiles as they are and number tasks and profiles where the file does not."""
    ids = cells_of(raw, [calibration.respondent])
    outcomes = calibration.outcomes
    choices = cells_of(raw, [outcomes.choice.column]) if outcomes.choice else ids
    nothing = np.full(len(raw), np.nan)
    limits = outcomes.rating.range if outcomes.rating else None
    table = pd.DataFrame(
        {
            "unit": unit,
            "respondent_id": read_ids(ids.text),
            "choice": read_binary(choices, "choice", report) if outcomes.choice else nothing,
            "rating": read_numbers(cells_of(raw, [outcomes.rating.column]), "rating", report, limits)
            if outcomes.rating
            else nothing,
        }
    )
    if calibration.task:
        cells = cells_of(raw, [calibration.task])
        table["task"] = _positions(cells, "task", calibration.tasks, report)
    else:
        table["task"] = _consecutive_tasks(ids, unit, calibration, report)
    if calibration.profile:
        cells = cells_of(raw, [calibration.profile])
        table["profile"] = _positions(cells, "profile", calibration.profiles, report)
    else:
        table["profile"] = table.groupby(["unit", "task"]).cumcount() + 1
        many = ((table["profile"] > calibration.profiles) & (table["task"] > 0)).to_numpy()
        report.add(
            ids,
            many,
            f"a task has more than the {calibration.profiles} profiles that the config declares",
            f"at most {calibration.profiles} rows a task",
            "correct 'profiles' in the config, or the numbers of the tasks in the file",
        )
        table.loc[many, "profile"] = 0
    shown = _Shown(table, [cells_of(raw, [a.column]) for a in design.attributes], choices)
    usable = ((table["task"] > 0) & (table["profile"] > 0) & table["respondent_id"].notna()).to_numpy()
    key = ["respondent_id", "task", "profile"]
    report.add(
        ids,
        (table.duplicated(key, keep=False) & usable).to_numpy(),
        "the same respondent, task and profile more than once",
        "one row for each of them",
        "remove the repetitions, or correct the numbers of tasks and profiles",
    )
    return shown.at(usable & ~table.duplicated(key).to_numpy())


def _positions(cells: Cells, name: str, largest: int | None, report: Report) -> np.ndarray:
    """Read numbers of tasks or profiles: 1, 2, ...; 0 where wrong."""
    numbers = read_numbers(cells, name, report)
    report.add(
        cells,
        cells.text.isna().to_numpy(),
        f"the number of the {name} is missing",
        "1, 2, ... in every row",
        "add the numbers, or exclude these rows",
    )
    broken = ~np.isnan(numbers) & ((numbers < 1) | (numbers % 1 != 0))
    report.texts(cells, broken, f"no number of a {name}", "1, 2, ...", f"number every {name} from 1")
    large = ~broken & (numbers > (largest or np.inf))
    report.texts(
        cells,
        large,
        f"more than the {largest} {name}s that the config declares",
        f"1 to {largest}",
        f"correct '{name}s' in the config, or the file",
    )
    return np.where(broken | large | np.isnan(numbers), 0, numbers).astype(np.int64)


def _consecutive_tasks(
    ids: Cells, unit: np.ndarray, calibration: CalibrationConfig, report: Report
) -> np.ndarray:
    """Number tasks where the file does not: consecutive rows of a respondent, `profiles` a task."""
    profiles = calibration.profiles
    order = pd.Series(unit).groupby(unit).cumcount().to_numpy()
    size = np.bincount(unit)[unit]
    begins = np.append(True, unit[1:] != unit[:-1])
    report.add(
        ids,
        begins & (order > 0),
        "rows of a respondent are interrupted by another respondent's",
        "all rows of a respondent one after the other, in the order of the tasks",
        "sort the file, or name the column of the tasks' numbers in key calibration.task",
    )
    last = order == size - 1
    report.add(
        ids,
        last & (size % profiles != 0),
        f"the respondent's rows are no multiple of {profiles}, so they are not whole tasks",
        f"{profiles} consecutive rows a task",
        "complete the tasks in the file, or name the column of their numbers in key calibration.task",
    )
    task = order // profiles + 1
    if calibration.tasks:
        report.add(
            ids,
            last & (task > calibration.tasks),
            f"the respondent has more than the {calibration.tasks} tasks that the config declares",
            f"at most {calibration.tasks * profiles} rows a respondent",
            "correct 'tasks' in the config, or the file",
        )
    return task


def _answered(table: pd.DataFrame) -> np.ndarray:
    """Does each profile belong to a task with at least one answer?"""
    answer = table["choice"].notna() | table["rating"].notna()
    return answer.groupby([table["unit"], table["task"]]).transform("any").to_numpy(dtype=bool)


def _check_petitions(shown: _Shown, design: Design, report: Report) -> np.ndarray:
    """Return (n, n_attributes) level indices; report what is missing, unknown or prohibited."""
    keys = _attribute_keys(design)
    codes = np.empty((len(shown.table), len(design.attributes)), dtype=np.int64)
    for i, (attribute, cells) in enumerate(zip(design.attributes, shown.attributes, strict=True)):
        report.add(
            cells,
            cells.text.isna().to_numpy(),
            f"'{attribute.name}' is missing in a task that was answered",
            "a level in every profile shown",
            "complete the file; a level of its own, such as 'Not shown', says that it was hidden",
        )
        codes[:, i] = match_levels(cells, attribute.name, attribute.levels, report, keys[i])
    _check_feasible(shown.attributes, codes, design, report)
    return codes


def _check_choices(shown: _Shown, profiles: int, report: Report) -> int:
    """Hold every task to one chosen profile; return how many tasks have an incomplete choice.

    The choice of an incomplete task becomes missing (in place).
    """
    table = shown.table
    if not table["choice"].notna().any():
        return 0
    task = table.groupby(["unit", "task"])["choice"]
    size, there, chosen = task.transform("size"), task.transform("count"), task.transform("sum")
    report.add(
        shown.choices,
        ((size < profiles) & (there > 0)).to_numpy(),
        f"a task has fewer than the {profiles} profiles between which the respondent chose",
        f"{profiles} rows a task",
        "complete or remove these tasks, or correct 'profiles' in the config",
    )
    complete = (there == size) & (size == profiles)
    for bad, count in ((chosen > 1, "more than one profile is"), (complete & (chosen == 0), "no profile is")):
        report.add(
            shown.choices,
            bad.to_numpy(),
            f"{count} chosen in a task",
            "exactly one chosen profile in every task",
            "correct the file; empty the cells of the whole task if the answer is missing",
        )
    incomplete = there < size
    table.loc[incomplete, "choice"] = np.nan
    return int((incomplete & (there > 0) & (table["profile"] == 1)).sum())


def read_experiment(
    raw: pd.DataFrame,
    experiment: ExperimentConfig,
    design: Design | None,
    covariates: Sequence[CovariateConfig],
    source: str,
) -> Experiment:
    """Turn the raw experiment into a tidy table.

    Args:
        raw: what `read_raw` returned.
        experiment: the config's section.
        design: the petitions; needed with `petition_columns`.
        covariates: the allow-list.
        source: name of the raw file for messages.

    Raises:
        InputError: with all problems of the file.
    """
    petitions = design if experiment.petition_columns else None
    wanted = _experiment_columns(experiment, petitions)
    needed = [True] * len(covariates)
    require(raw, [*wanted, *_person_columns("experiment", experiment, covariates, needed)], source)
    report = Report(source)
    texts = [arm.name if arm.value is None else arm.value for arm in experiment.arms]
    # The flow counts people by arm before they are excluded; a wrong arm matters only in who stays.
    group_of = match_levels(cells_of(raw, [experiment.arm]), "arm", texts, Report(source), "")
    steps, compared = exclude(raw, np.arange(len(raw)), experiment.respondent, experiment.exclusions, report)
    staying = steps[-1].after
    kept = raw.loc[staying]
    if kept.empty:
        raise InputError([*report.problems, _nobody_left(source)])
    ids = cells_of(kept, [experiment.respondent])
    check_ids(ids, report)
    check_unique(ids, report)
    arms = cells_of(kept, [experiment.arm])
    arm = match_levels(arms, "arm", texts, report, "experiment.arms")
    report.add(
        arms,
        arms.text.isna().to_numpy(),
        "the arm is missing",
        f"one of {listed(map(str, texts))}",
        "complete the file, or exclude who was not randomised with an exclusion of rule 'missing'",
    )
    person = np.arange(len(kept))
    values = read_covariates(kept, covariates, person, report)
    weight = read_weights(kept, experiment.weight, person, report)
    block, cluster = randomised_in(kept, experiment.randomisation, experiment.identifiers, arm, report)
    passed = _passed(kept, experiment, report)
    outcomes = {outcome.name: _outcome(kept, outcome, report) for outcome in experiment.outcomes}
    answered = (
        np.isfinite(list(outcomes.values())).any(axis=0) if outcomes else np.zeros(len(kept), dtype=bool)
    )
    shown: dict[str, object] = {}
    if petitions:
        has_petition = np.array([a.policy is not None for a in experiment.arms])[arm] & (arm >= 0)
        pattern = experiment.petition_columns or ""
        shown = _petitions(kept, pattern, petitions, has_petition & answered, report)
    raise_if_any(report.problems)
    observed = ~np.isnan(next(iter(outcomes.values()))) if outcomes else np.zeros(len(kept), dtype=bool)
    if outcomes:
        seen = np.zeros(len(raw), dtype=bool)
        seen[np.flatnonzero(staying)[observed]] = True
        steps.append(Step("Outcome observed", f"{experiment.outcomes[0].name} is missing", staying, seen))
    groups = {"all": np.ones(len(raw), dtype=bool)}
    groups |= {a.name: group_of == i for i, a in enumerate(experiment.arms)}
    if (group_of < 0).any():
        groups["none"] = group_of < 0
    names = [a.name for a in experiment.arms]
    respondent_id = read_ids(ids.text)
    respondents = pd.DataFrame(
        {
            "respondent_id": pd.array(respondent_id, dtype="str"),
            "arm": pd.Categorical.from_codes(arm, names),
            "opt_out": _refused(kept, experiment.opt_out),
            **values,
            **shown,
            **outcomes,
            "observed": observed,
            "weight": weight,
            "block": pd.array([""] * len(kept) if block is None else block, dtype="str"),
            "cluster": pd.array(respondent_id if cluster is None else cluster, dtype="str"),
            "delivered": _delivered(kept, experiment.delivered),
            "passed": passed,
        }
    ).sort_values("respondent_id", kind="stable", ignore_index=True)
    contracts.experiment(names, covariates, experiment.outcomes, petitions).validate(respondents, lazy=True)
    return Experiment(
        respondents,
        count_flow("experiment", steps, groups),
        experiment_quality(respondents, [*values, *outcomes], compared),
        identify(kept, experiment.respondent, experiment.exclusions),
    )


def read_roster(
    raw: pd.DataFrame, roster: RosterConfig, covariates: Sequence[CovariateConfig], source: str
) -> Roster:
    """Turn the list of people to field to into a tidy table.

    A covariate with ``target: false`` that makes no blocks may be absent from the file; it is
    missing then.

    Args:
        raw: what `read_raw` returned.
        roster: the config's section.
        covariates: the allow-list.
        source: name of the raw file for messages.

    Raises:
        InputError: with all problems of the file.
    """
    needed = [c.target or c.name in roster.blocks or (c.column or c.name) in raw.columns for c in covariates]
    wanted = [("roster.respondent", [roster.respondent])]
    require(raw, [*wanted, *_person_columns("roster", roster, covariates, needed)], source)
    report = Report(source)
    steps, compared = exclude(raw, np.arange(len(raw)), roster.respondent, roster.exclusions, report)
    kept = raw.loc[steps[-1].after]
    if kept.empty:
        raise InputError([*report.problems, _nobody_left(source)])
    ids = cells_of(kept, [roster.respondent])
    check_ids(ids, report)
    check_unique(ids, report)
    values = read_covariates(kept, covariates, np.arange(len(kept)), report)
    raise_if_any(report.problems)
    respondents = pd.DataFrame(
        {
            "respondent_id": pd.array(read_ids(ids.text), dtype="str"),
            "opt_out": _refused(kept, roster.opt_out),
            **values,
        }
    ).sort_values("respondent_id", kind="stable", ignore_index=True)
    contracts.roster(covariates).validate(respondents, lazy=True)
    return Roster(
        respondents,
        count_flow("roster", steps, {"all": steps[0].before}),
        roster_quality(respondents, list(values), compared),
        identify(kept, roster.respondent, roster.exclusions),
    )


def _refused(raw: pd.DataFrame, opt_out: ColumnValues | None) -> np.ndarray:
    """Return who refused personalisation."""
    return holds(raw[opt_out.column], opt_out.values) if opt_out else np.zeros(len(raw), dtype=bool)


def _delivered(raw: pd.DataFrame, delivered: ColumnValues | None) -> pd.api.extensions.ExtensionArray:
    """Return to whom the petition was delivered as assigned; NA where it was not logged."""
    if delivered is None:
        return pd.array([pd.NA] * len(raw), dtype="boolean")
    logged = raw[delivered.column].notna().to_numpy()
    return pd.arrays.BooleanArray(holds(raw[delivered.column], delivered.values), ~logged)


def _passed(
    raw: pd.DataFrame, experiment: ExperimentConfig, report: Report
) -> pd.api.extensions.ExtensionArray:
    """Return who would stay if the post-treatment checks were exclusions; NA without checks."""
    if not experiment.post_checks:
        return pd.array([pd.NA] * len(raw), dtype="boolean")
    steps, _ = exclude(raw, np.arange(len(raw)), experiment.respondent, experiment.post_checks, report)
    return pd.array(steps[-1].after, dtype="boolean")


def _experiment_columns(
    experiment: ExperimentConfig, petitions: Design | None
) -> list[tuple[str, list[str]]]:
    """Raw columns of what happened to people by the config key that names them."""
    wanted = [
        ("experiment.respondent", [experiment.respondent]),
        ("experiment.arm", [experiment.arm]),
    ]
    if petitions:
        pattern = experiment.petition_columns or ""
        columns = [_named(pattern, 0, 0, a.column) for a in petitions.attributes]
        wanted.append(("experiment.petition_columns", columns))
    for i, outcome in enumerate(experiment.outcomes):
        columns = [outcome.column or outcome.name]
        if outcome.observed_if:
            columns.append(outcome.observed_if.column)
        wanted.append((f"experiment.outcomes[{i}] ('{outcome.name}')", columns))
    done = experiment.randomisation
    wanted.append(("experiment.randomisation.blocks", done.blocks))
    if done.cluster:
        wanted.append(("experiment.randomisation.cluster", [done.cluster]))
    if experiment.delivered:
        wanted.append(("experiment.delivered.column", [experiment.delivered.column]))
    wanted += [
        (f"experiment.post_checks[{i}] ('{check.step}')", [check.column])
        for i, check in enumerate(experiment.post_checks)
    ]
    return wanted


def _outcome(raw: pd.DataFrame, outcome: OutcomeConfig, report: Report) -> np.ndarray:
    """Return an outcome as numbers; NaN where it is missing or not counted as observed."""
    cells = cells_of(raw, [outcome.column or outcome.name])
    if outcome.observed_if:
        counts = holds(raw[outcome.observed_if.column], outcome.observed_if.values)
        cells = dataclasses.replace(cells, text=cells.text.where(counts))
    if outcome.kind == "binary" and outcome.at_least is None:
        return read_binary(cells, outcome.name, report)
    values = read_numbers(cells, outcome.name, report, outcome.range)
    if outcome.kind == "ordinal":
        report.texts(
            cells.coded,
            values % 1 > 0,
            f"between the categories of '{outcome.name}'",
            "a whole number, because the outcome is ordinal",
            "correct the cells, or write 'kind: continuous' in the config",
        )
    if outcome.kind == "count":
        report.texts(
            cells.coded,
            values < 0,
            f"below 0, but '{outcome.name}' counts something",
            "a number of at least 0",
            "correct the cells, or write 'kind: continuous' in the config",
        )
    if outcome.at_least is not None:
        return np.where(np.isnan(values), np.nan, (values >= outcome.at_least).astype(float))
    return values


def _petitions(
    raw: pd.DataFrame, pattern: str, design: Design, needed: np.ndarray, report: Report
) -> dict[str, object]:
    """Return the petition shown, one categorical an attribute; missing where none was shown."""
    cells = [cells_of(raw, [_named(pattern, 0, 0, a.column)]) for a in design.attributes]
    keys = _attribute_keys(design)
    codes = np.column_stack(
        [
            match_levels(c, a.name, a.levels, report, key)
            for c, a, key in zip(cells, design.attributes, keys, strict=True)
        ]
    )
    empty = np.column_stack([c.text.isna() for c in cells])
    for c, gap in zip(cells, (empty & ~empty.all(axis=1, keepdims=True)).T, strict=True):
        report.add(
            c,
            gap,
            "the petition shown is incomplete",
            "a level of every attribute, or none where no petition was shown",
            "complete the file",
        )
    report.add(
        cells[0],
        empty.all(axis=1) & needed,
        "no petition is recorded, but the arm has one and the respondent answered",
        "the petition shown in arms with a 'policy'",
        "complete the file, or remove 'policy' from the arm",
    )
    _check_feasible(cells, codes, design, report)
    return {
        a.name: pd.Categorical.from_codes(codes[:, i], list(a.levels), ordered=True)
        for i, a in enumerate(design.attributes)
    }


def _attribute_keys(design: Design) -> list[str]:
    return [f"design.attributes[{i}].levels" for i in range(len(design.attributes))]


def _check_feasible(cells: Sequence[Cells], codes: np.ndarray, design: Design, report: Report) -> None:
    """Report petitions that hold a prohibited combination."""
    for combination in design.prohibited:
        hit = np.ones(len(codes), dtype=bool)
        for attribute, levels in combination:
            hit &= np.isin(codes[:, attribute], list(levels))
        if hit.any():
            shown = codes[np.flatnonzero(hit)[0]]
            parts = [f"{design.names[a]} = '{design.attributes[a].levels[shown[a]]}'" for a, _ in combination]
            example = f"first {' with '.join(parts)}"
            together = [cells[a] for a, _ in combination]
            both = Cells(
                pd.concat([c.text for c in together], ignore_index=True),
                np.concatenate([c.rows for c in together]),
                np.concatenate([c.columns for c in together]),
                {},
            )
            report.add(
                both,
                np.tile(hit, len(together)),
                f"a prohibited combination in {counted(int(hit.sum()), 'petition')}, {example}",
                "no petition that key design.prohibited rules out",
                "correct the file, or design.prohibited in the config",
            )


def _too_few_answer(source: str, answering: int) -> Problem:
    return Problem(
        source,
        "whole file",
        f"after the exclusions {'one respondent' if answering else 'nobody'} is left with an answer",
        "at least two respondents: each is scored by what the others answered",
        "check the columns of the outcomes and the exclusions in the config against the file",
    )


def _nobody_left(source: str) -> Problem:
    return Problem(
        source,
        "whole file",
        "nobody is left after the exclusions",
        "at least one respondent",
        "check the values of the exclusions in the config against the file",
    )
