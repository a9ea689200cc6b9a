"""Keys of a config that contradict each other, as tables of what is wrong if a condition is true."""

from __future__ import annotations

import itertools
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nanotarget.study.config import (
    HIDDEN,
    ArmConfig,
    AttributeConfig,
    CalibrationConfig,
    CovariateConfig,
    DesignConfig,
    ExclusionConfig,
    ExperimentConfig,
    GroupingConfig,
    OutcomeConfig,
    RepeatedConfig,
    RosterArmConfig,
    RosterConfig,
    Study,
    SubgroupConfig,
    normalised,
)
from nanotarget.study.fields import Level
from nanotarget.study.messages import validated
from nanotarget.study.problems import InputError, Problem, listed, raise_if_any
from nanotarget.study.reading import parse_yaml, read_text
from nanotarget.study.response import RESPONSES, Response

# (whether it is wrong, place, what is wrong, what was expected, what to do)
Row = tuple[object, str, str, str, str]

# Columns that the pipeline itself writes beside attributes, covariates and outcomes.
RESERVED = frozenset(
    {*RESPONSES, "respondent_id", "task", "profile", "weight", "arm", "opt_out", "observed", "block"}
    | {
        "cluster",
        "outcome_cluster",
        "delivered",
        "passed",
        "policy",
        "petition_id",
        "predicted",
        "gain_over_best",
    }
)
# Columns of the fielding export beside those of the attributes.
FIELDING = ("respondent_id", "arm", "policy", "petition_id", "petition_text", "simulated")
MOST_CATEGORIES = 100  # of an ordinal outcome, beyond the first
MARGIN = 0.01  # by which published shares may exceed 1 together, as they are rounded
# Learners of choices among more than two profiles, or none of them.
BEYOND_PAIRS = ("ridge", "stagewise", "boosting", "bart")
# The key that the rule of an exclusion needs.
NEEDED = {"in": "values", "not_in": "values", "below": "value", "above": "value"}


def read_study(path: Path) -> Study:
    """Read the config file of a study.

    Raises:
        InputError: if the file cannot be read, is no YAML, or does not describe a study.
    """
    return validate(read_settings(path, str(path)), path.name)


def read_settings(path: str | Path, source: str) -> Mapping[str, Any]:
    """Read the settings of a config file, unchecked.

    Args:
        path: of the file.
        source: its name for messages.

    Raises:
        InputError: if the file cannot be read, is no YAML, or holds no settings.
    """
    text = read_text(path, source, "check the name, or copy config.yaml")
    return _settings(parse_yaml(text, source), source)


def validate(raw: Any, source: str) -> Study:
    """Make a study of a config.

    Args:
        raw: what YAML (or Snakemake) made of the file.
        source: name of the file for messages.

    Raises:
        InputError: with every problem of the config at once.
    """
    study = validated(Study, _settings(raw, source), source)
    raise_if_any(problems(_cross_check(study), source))
    return study


def _settings(raw: Any, source: str) -> Mapping[str, Any]:
    if isinstance(raw, Mapping) and raw:
        return raw
    expected, remedy = "a mapping of keys to values", "copy config.yaml and change it for your study"
    raise InputError([Problem(source, "whole file", "it holds no settings", expected, remedy)])


def unstated(source: str) -> Problem:
    """Return what is wrong with a diagnosis for which no smallest gain is stated.

    Args:
        source: the config, as the user named it.
    """
    return Problem(
        source,
        "key diagnose.sesoi",
        "the smallest gain of nano over overall-best that would matter is not stated; without it no gain "
        "could be called too small",
        "a number in units of the analysed outcome, for example 0.02 of choices or 0.3 rating points",
        "state what gain would be worth the effort of targeting, before you look at the verdict",
    )


def problems(rows: Iterable[Row], source: str) -> list[Problem]:
    """Return the problems of the rows whose condition is true."""
    return [Problem(source, *said) for wrong, *said in rows if wrong]


def at(where: str, *rows: tuple[object, str, str, str]) -> Iterator[Row]:
    """Say of several rows that they are about one place."""
    for wrong, what, expected, remedy in rows:
        yield wrong, where, what, expected, remedy


def twice(key: str, noun: str, names: Iterable[object], remedy: str = "rename one of them") -> Iterator[Row]:
    """Refuse names that differ in nothing but case and spaces."""
    for name in dict.fromkeys(repeated(list(names))):
        yield True, key, f"the {noun} '{name}' is there twice", f"every {noun} once", remedy


def unknown(
    key: str, noun: str, names: Iterable[str], known: Iterable[str], remedy: str = "correct the name"
) -> Iterator[Row]:
    """Refuse names that nothing bears."""
    known = list(known)
    for name in names:
        expected = f"one of {listed(known)}" if known else "none: there is nothing to name"
        yield name not in known, key, f"unknown {noun} '{name}'", expected, remedy


# Small letters of other scripts that look like Latin ones, or whose capitals do.
ALIKE = str.maketrans("аеорсухіјѕһвкмнтɡοαρτικυνχ", "aeopcyxijshbkmhtgoaptikuvx")


def _as_seen(value: object) -> str:
    """Return a text as people compare it: without what they do not see, letters that look alike as one."""
    seen = (letter for letter in normalised(value) if unicodedata.category(letter) != "Cf")
    return "".join(seen).translate(ALIKE)


def repeated(values: Sequence[object]) -> list[str]:
    """Return the values that cannot be told apart from another one of them."""
    compared = [_as_seen(value) for value in values]
    return [str(value) for value, text in zip(values, compared, strict=True) if compared.count(text) > 1]


def needs_value(step: ExclusionConfig) -> str | None:
    """Return the key that the rule of an exclusion needs and that is not there."""
    needed = NEEDED.get(step.rule)
    return needed if needed and getattr(step, needed) in (None, []) else None


def _cross_check(study: Study) -> Iterator[Row]:
    yield from _sections(study)
    yield from _names(study)
    if study.design:
        yield from _design(study.design)
    yield from _covariates(study)
    yield from _identifiers(study)
    if study.calibration:
        yield from _calibration(study.calibration)
    if study.experiment:
        yield from _experiment(study, study.experiment)
    if study.roster:
        yield from _roster(study, study.roster)
    yield from _groupings(study, study.calibrate.groups, "calibrate.groups")
    yield from _ladder(study)
    yield from _explore(study)
    yield _secret(study)


def _sections(study: Study) -> list[Row]:
    calibrate, bart = study.calibrate, study.calibrate.bart
    of_pairs = [name for name in calibrate.learners if name not in BEYOND_PAIRS]
    beyond_pairs = bool(study.calibration and study.calibration.beyond_pairs)
    return [
        (not (study.calibration or study.experiment or study.roster), "top level",
         "there is neither a calibration nor an experiment",
         "at least one of the sections 'calibration' and 'experiment'", "add the section of your data"),
        (study.calibration and not study.design, "key design",
         "a calibration needs the design of its petitions", "a section 'design' with attributes and levels",
         "add it"),
        (calibrate.own_answers and study.samples != "panel", "key calibrate.information",
         "own answers can only be used for people who come back, but the config says 'samples: new'",
         "'covariates', or 'samples: panel'", "correct one of the two keys"),
        (calibrate.own_answers and set(calibrate.learners) != {"hierarchical"}, "key calibrate.learner",
         f"learner '{calibrate.learner}' cannot use a person's own answers",
         "learner 'hierarchical' where information is 'covariates + own answers'",
         "choose it, or write 'information: covariates'"),
        (beyond_pairs and calibrate.own_answers, "key calibrate.information",
         "a person's own choices among more than two profiles, or none of them, cannot be used yet: the only "
         "learner of own answers, 'hierarchical', reads ratings and choices between two",
         "'covariates' (her choices still help to learn what people like her prefer), or a rating to analyse",
         f"write 'information: covariates' with learner {' or '.join(BEYOND_PAIRS)}"),
        (beyond_pairs and not calibrate.own_answers and of_pairs, "key calibrate.learner",
         f"learner {listed(of_pairs)} cannot learn from choices among more than two profiles, "
         "or none of them",
         f"{', '.join(BEYOND_PAIRS[:-1])} or {BEYOND_PAIRS[-1]} (with 'auto' as candidates, too)",
         "choose one of them, or analyse a rating"),
        (bart.draws < 2 * bart.chains, "key calibrate.bart",
         f"{bart.draws} draws in {bart.chains} chains are fewer than 2 per chain",
         "at least 2 draws in each chain", "ask for more draws or fewer chains"),
        # Both would answer the question whom `assign` assigns to.
        (study.roster and study.experiment, "key roster",
         "a study with an experiment has no roster: it has been fielded, and the experiment says to whom",
         "either the section 'roster' (before fielding) or the section 'experiment' (after it)",
         "remove 'roster'; its ledger stays where it is. For new people write another config"),
        (study.roster and not study.calibration, "key roster",
         "a roster needs a calibration, from which its petitions are learned", "a section 'calibration'",
         "add it"),
        (study.roster and study.calibration and not study.learns, "key roster",
         "nobody compared two petitions in the calibration, so none can be chosen for anybody",
         "a calibration with two petitions for each respondent at least", "remove 'roster'"),
        (study.samples == "panel" and not (study.calibration and (study.experiment or study.roster)),
         "key samples", "a panel needs both samples",
         "a calibration and an experiment (or a roster) of the same people",
         "add the missing section or write 'samples: new'"),
    ]  # fmt: skip


def _names(study: Study) -> Iterator[Row]:
    """Attributes, covariates and outcomes share tables, so their names must differ."""
    named: dict[str, Sequence[AttributeConfig | CovariateConfig | OutcomeConfig]] = {
        "design.attributes": study.design.attributes if study.design else [],
        "covariates": study.covariates,
        "experiment.outcomes": study.experiment.outcomes if study.experiment else [],
    }
    remedy = "give it another 'name' and put the raw column's name into 'column'"
    owner: dict[str, str] = {}
    for section, things in named.items():
        for name in [thing.name for thing in things]:
            first = owner.setdefault(normalised(name), section)
            reserved = f"the name '{name}' is reserved for a column of the pipeline"
            shared = f"the name '{name}' is also used in {first}"
            differ = "names that differ between attributes, covariates and outcomes"
            yield normalised(name) in RESERVED, f"key {section}", reserved, "another name", remedy
            yield first != section, f"key {section}", shared, differ, remedy


def _indistinct(where: str, levels: Sequence[Level] | None) -> Row:
    same = repeated(levels or [])
    what = f"levels that cannot be told apart: {listed(same)}"
    return (
        same,
        where,
        what,
        "levels that differ in more than case, spaces and letters that look alike",
        "rename or remove one",
    )


def _empty(where: str, limits: Sequence[float] | None) -> Row:
    what = f"the range {limits} is empty"
    return limits and limits[0] >= limits[1], where, what, "[smallest, largest]", "swap the numbers"


def _design(design: DesignConfig) -> Iterator[Row]:
    key = "key design.attributes"
    yield from twice(key, "attribute", [attribute.name for attribute in design.attributes])
    columns = [attribute.column or attribute.name for attribute in design.attributes]
    for column in sorted({column for column in columns if columns.count(column) > 1}):
        what = f"two attributes have the column '{column}'"
        yield True, key, what, "a column of its own for every attribute", "correct 'column'"
    for i, attribute in enumerate(design.attributes):
        where = f"{key}[{i}] ('{attribute.name}')"
        shares, n = attribute.probabilities or [], len(attribute.levels)
        complete = len(shares) == n
        yield _indistinct(where, attribute.levels)
        yield (attribute.probabilities is not None and not complete, where,
         f"{len(shares)} probabilities for {n} levels",
         "one probability per level, in the order of the levels", "add or remove probabilities")  # fmt: skip
        what = f"the probabilities add up to {sum(shares):.6g}"
        yield complete and abs(sum(shares) - 1) > 1e-6, where, what, "a sum of 1", "correct the probabilities"
        yield from _hidden(attribute, where)
    yield from _prohibited(design)
    yield from _dependent(design)


def _hidden(attribute: AttributeConfig, where: str) -> Iterator[Row]:
    levels = {normalised(level) for level in attribute.levels}
    both = [value for value in attribute.hidden_values if normalised(value) in levels]
    yield from at(where,
        (attribute.hidden_values and attribute.hidden == "never",
         "'hidden_values' say what hides an attribute that is never hidden", "hidden: allowed, or option",
         "write it, or remove 'hidden_values'"),
        (both, f"a level and hidden at once: {listed(both)}", "either a level or a hidden value",
         "remove it from 'levels' or from 'hidden_values'"),
        (attribute.hidden != "never" and HIDDEN in levels, f"the level '{HIDDEN}' has a meaning of its own",
         "another text", "rename the level, or move it to 'hidden_values'"),
    )  # fmt: skip


def _dependent(design: DesignConfig) -> Iterator[Row]:
    names = [attribute.name for attribute in design.attributes]
    for i, group in enumerate(design.dependent):
        yield from unknown(f"key design.dependent[{i}]", "attribute", group, names)
    followers = {attribute.name for attribute in design.attributes if attribute.derived_from}
    for i, attribute in enumerate(design.attributes):
        where = f"key design.attributes[{i}] ('{attribute.name}')"
        yield from unknown(where, "attribute", attribute.derived_from, names)
        chained = sorted(followers & set(attribute.derived_from))
        what = f"it is derived from {listed(chained)}, which is derived itself"
        if attribute.name in chained:
            what = "it is derived from itself"
        yield chained, where, what, "attributes that were drawn", "name what it follows from in the end"


def _prohibited(design: DesignConfig) -> Iterator[Row]:
    levels = {a.name: {normalised(level) for level in a.levels} for a in design.attributes}
    for i, combination in enumerate(design.prohibited):
        where = f"key design.prohibited[{i}]"
        yield from unknown(where, "attribute", combination, levels)
        for name in filter(levels.__contains__, combination):
            for level in combination[name]:
                expected = f"a level of '{name}' as listed in design.attributes"
                absent = normalised(level) not in levels[name]
                yield absent, f"{where}.{name}", f"unknown level '{level}'", expected, "correct the level"


def _covariates(study: Study) -> Iterator[Row]:
    names = [covariate.name for covariate in study.covariates]
    yield from twice("key covariates", "covariate", names, "remove or rename one")
    read = [(covariate.column or covariate.name, covariate.kind) for covariate in study.covariates]
    for column, kind in dict.fromkeys(both for both in read if read.count(both) > 1):
        what = f"the column '{column}' is read twice as {kind}"
        yield True, "key covariates", what, "every column once", "remove one of them"
    samples = (study.calibration, study.experiment, study.roster)
    taken = {sample.respondent: "the respondent's id" for sample in samples if sample}
    if study.experiment:
        taken |= {column: "an outcome" for o in study.experiment.outcomes for column in o.raw_columns}
        taken[study.experiment.arm] = "the arm"
    for i, covariate in enumerate(study.covariates):
        yield from _covariate(covariate, taken, f"key covariates[{i}] ('{covariate.name}')")


def _covariate(covariate: CovariateConfig, taken: Mapping[str, str], where: str) -> Iterator[Row]:
    categorical, levels = covariate.kind == "categorical", covariate.levels or []
    known = {normalised(level) for level in levels}
    both = [value for value in covariate.missing_values if normalised(value) in known]
    other = taken.get(covariate.column or covariate.name)
    mean, limits = covariate.population_mean, covariate.range
    yield from at(where,
        (other, f"{other} cannot be a covariate", "what describes people before the treatment",
         "remove it from the covariates"),
        (mean is not None and limits and not limits[0] <= mean <= limits[1],
         f"'population_mean' is {mean}, outside the range", f"a number in the range {limits}",
         "correct one of them"),
        (categorical and not levels, "a categorical covariate needs its levels", "a list 'levels'", "add it"),
        (categorical and covariate.range, "a categorical covariate has no range", "levels only",
         "remove 'range'"),
        (not categorical and levels, "a numeric covariate has no levels", "a range, or kind: categorical",
         "remove 'levels' or change the kind"),
        (both, f"a level and a missing value at once: {listed(both)}", "either a level or a missing value",
         "remove it from 'levels' or from 'missing_values'"),
    )  # fmt: skip
    yield _empty(where, covariate.range)
    yield _indistinct(where, levels)
    shares = covariate.population_shares
    foreign = [str(level) for level in shares if normalised(level) not in known]
    yield from at(where,
        (categorical and covariate.population_mean is not None, "a categorical covariate has no mean",
         "'population_shares' of its levels", "write them, or remove 'population_mean'"),
        (categorical and foreign, f"'population_shares' of {listed(foreign)}, which are no levels",
         "levels as listed in 'levels'", "correct the levels"),
        (not categorical and shares, "a numeric covariate has no shares of levels", "'population_mean'",
         "write it, or remove 'population_shares'"),
        (sum(shares.values()) > 1 + MARGIN, f"'population_shares' add up to {sum(shares.values()):g}",
         "shares of at most 1 together", "correct them"),
    )  # fmt: skip


def _identifiers(study: Study) -> Iterator[Row]:
    """Refuse keys that would carry a direct identifier into an artefact."""
    kept = [(f"covariates[{i}]", c.column or c.name) for i, c in enumerate(study.covariates)]
    attributes = study.design.attributes if study.design else []
    kept += [(f"design.attributes[{i}]", a.column or a.name) for i, a in enumerate(attributes)]
    identifiers: set[str] = set()
    for section in ("calibration", "experiment", "roster"):
        if sample := getattr(study, section):
            identifiers |= set(sample.identifiers)
            kept.append((f"{section}.respondent", sample.respondent))
            kept.append((f"{section}.weight", getattr(sample, "weight", None) or ""))
    if study.experiment:
        kept.append(("experiment.arm", study.experiment.arm))
        outcomes = enumerate(study.experiment.outcomes)
        kept += [(f"experiment.outcomes[{i}]", column) for i, o in outcomes for column in o.raw_columns]
    for key, column in kept:
        what = f"'{column}' is a direct identifier and would be written"
        remedy = "name a column that does not identify a person, for example a pseudonym"
        expected = "a column that is not listed under 'identifiers'"
        yield column in identifiers, f"key {key}", what, expected, remedy


def _pattern(where: str, pattern: str | None, *needed: str) -> Row:
    parts = sorted("{" + part + "}" for part in needed)
    lacking = [part for part in parts if pattern is not None and part not in pattern]
    what = f"the pattern '{pattern}' lacks {listed(lacking)}"
    return lacking, where, what, f"a column name with {listed(parts)}", "add it to the pattern"


def _calibration(calibration: CalibrationConfig) -> Iterator[Row]:
    outcomes, shown = (
        {outcome.name: outcome for outcome in calibration.outcomes.measured},
        calibration.profiles,
    )
    analysed = outcomes.get(calibration.analyse)
    yield (analysed is None, "key calibration.analyse", f"there is no outcome '{calibration.analyse}'",
     "an outcome listed in calibration.outcomes", "add the outcome or analyse another one")  # fmt: skip
    for outcome in outcomes.values():
        yield _empty(f"key calibration.outcomes.{outcome.name}.range", outcome.limits)
    yield (any(outcome.paired for outcome in outcomes.values()) and shown < 2, "key calibration.profiles",
     "a choice needs at least two profiles a task", "2 or more",
     "correct 'profiles' or analyse a rating")  # fmt: skip
    yield from _layout(calibration)
    if calibration.layout != "long":
        yield from _patterns(calibration)
    if calibration.repeated:
        yield from _repeated(calibration, calibration.repeated)
    yield from _exclusions(calibration.exclusions, "calibration.exclusions")


def _repeated(calibration: CalibrationConfig, asked: RepeatedConfig) -> Iterator[Row]:
    """Check that the repetition of a task is found in one way, and is another task."""
    key, wide = "key calibration.repeated", calibration.layout == "wide"
    yield ((asked.again is None) == (not asked.answers), key,
     "it does not say where the second answers are" if asked.again is None else "it says so in two ways",
     "either 'again' (the number of a task) or 'answers' (columns)", "write one of them")  # fmt: skip
    yield (asked.again == asked.task, f"{key}.again", f"task {asked.task} cannot repeat itself",
     "another task of the file", "correct 'task' or 'again'")  # fmt: skip
    for name, number in (("task", asked.task), ("again", asked.again or 0)):
        yield (calibration.tasks and number > calibration.tasks, f"{key}.{name}",
         f"there is no task {number}", f"1 to {calibration.tasks}", "correct it")  # fmt: skip
    yield (asked.answers and not wide, f"{key}.answers",
     f"it has no meaning in the {calibration.layout} layout", "key 'again'",
     "name the task that repeats it")  # fmt: skip
    measured = {outcome.name: outcome for outcome in calibration.outcomes.measured}
    for name, named in asked.answers.items():
        yield (name not in measured, f"{key}.answers.{name}", f"there is no outcome '{name}'",
         f"one of {listed(measured)}", "correct the name or add the outcome")  # fmt: skip
        choice = name in measured and measured[name].paired
        right = isinstance(named, str) if choice else len(asked.columns(name, 0)) == calibration.profiles
        yield (name in measured and not right, f"{key}.answers.{name}",
         "these are not the columns of its second answers",
         "a column, which names the profile chosen" if choice else
         f"a list of {calibration.profiles} columns, one a profile", "correct it")  # fmt: skip


def _layout(calibration: CalibrationConfig) -> Iterator[Row]:
    """Refuse what has a meaning in other layouts only."""
    named = {
        f"outcomes.{outcome.name}.chosen_values": outcome.names_of_profiles
        for outcome in calibration.outcomes.measured
    }
    meant: dict[str, tuple[object, str]] = {
        "attribute_columns": (calibration.attribute_columns, "task or wide"),
        "attribute_names": (calibration.attribute_names, "wide"),
        "task_values": (calibration.task_values, "wide"),
        "profile_values": (calibration.profile_values, "task or wide"),
        **{key: (value, "task or wide") for key, value in named.items()},
        "task": (calibration.task, "long or task"),
        "profile": (calibration.profile, "long"),
    }
    for key, (value, layouts) in meant.items():
        wrong = value is not None and calibration.layout not in layouts.split(" or ")
        what = f"it has no meaning in the {calibration.layout} layout"
        expected, remedy = f"'layout: {layouts}', or no such key", "remove it or correct 'layout'"
        yield wrong, f"key calibration.{key}", what, expected, remedy
    for key in ("attribute_columns", "attribute_names"):
        both = calibration.shown is not None and meant[key][0] is not None
        what = "the petitions shown stand in a file of their own"
        yield both, f"key calibration.{key}", what, "either this key or 'shown'", "remove one of them"


def _patterns(calibration: CalibrationConfig) -> Iterator[Row]:
    """Check the patterns of names of columns in the layouts that have several profiles in a row."""
    key, layout = "key calibration", calibration.layout
    slots = ("task", "profile") if layout == "wide" else ("profile",)
    what = "the wide layout needs the number of tasks"
    yield (
        layout == "wide" and calibration.tasks is None,
        f"{key}.tasks",
        what,
        "a whole number",
        "add 'tasks:'",
    )
    where, pattern = f"{key}.attribute_columns", calibration.attribute_columns
    expected = f"a pattern such as '{'_'.join(f'{slot}{{{slot}}}' for slot in slots)}_{{attribute}}'"
    lacking = pattern is None and calibration.shown is None
    yield lacking, where, f"the {layout} layout needs it", f"{expected}, or key calibration.shown", "add it"
    yield _pattern(where, pattern, *slots, "row" if calibration.attribute_names else "attribute")
    yield _pattern(f"{key}.attribute_names", calibration.attribute_names, "task", "row")
    for name, values, n in (
        ("task", calibration.task_values, calibration.tasks),
        ("profile", calibration.profile_values, calibration.profiles),
    ):
        yield (values is not None and n is not None and len(values) != n, f"{key}.{name}_values",
         f"{len(values or [])} values for {n} {name}s", f"one value per {name}",
         "correct the list")  # fmt: skip
    for outcome in calibration.outcomes.measured:
        yield from _named_outcome(outcome, calibration)


def _named_outcome(outcome: Response, calibration: CalibrationConfig) -> Iterator[Row]:
    where, named = f"key calibration.outcomes.{outcome.name}", outcome.names_of_profiles
    wide, profiles = calibration.layout == "wide", calibration.profiles
    tasks = (calibration.tasks or 0) if wide else 1
    if isinstance(outcome.column, str):
        slots = [slot for slot in outcome.placeholders if wide or slot != "task"]
        yield _pattern(f"{where}.column", outcome.column, *slots)
    else:
        n = tasks if outcome.paired else tasks * profiles
        yield (len(outcome.column) != n, f"{where}.column", f"{len(outcome.column)} columns, not {n}",
         "a pattern, or a column of every task" + ("" if outcome.paired else " and profile"),
         "correct the list")  # fmt: skip
    yield (outcome.none_is_answer and not outcome.none_values, f"{where}.none_option",
     "no answer says that none of the profiles was chosen", "such answers in key none_of_them",
     "add none_of_them, for example [Neither], or remove none_option")  # fmt: skip
    if named is None:
        return
    by_task = [values for values in named if isinstance(values, list)]
    for values in by_task or [[value for value in named if not isinstance(value, list)]]:
        yield _indistinct(f"{where}.chosen_values", values)
        both = [str(v) for v in outcome.none_values if normalised(v) in map(normalised, values)]
        yield (both, f"{where}.none_of_them", f"{listed(both)} chooses a profile and none of them",
         "answers that are not in chosen_values", "remove it from one of the two")  # fmt: skip
    yield (by_task and len(by_task) != tasks, f"{where}.chosen_values",
     f"{len(by_task)} lists for {tasks} tasks", "one list per task", "correct the list")  # fmt: skip
    wrong = [len(values) for values in by_task or (named,) if len(values) != profiles]
    yield (wrong, f"{where}.chosen_values", f"{wrong[0] if wrong else 0} values for {profiles} profiles",
     "one value per profile; an answer that chooses none of them belongs to key none_of_them",
     "correct the list")  # fmt: skip


def _exclusions(exclusions: Sequence[ExclusionConfig], key: str) -> Iterator[Row]:
    yield from twice(f"key {key}", "step", [exclusion.step for exclusion in exclusions])
    for i, step in enumerate(exclusions):
        where = f"key {key}[{i}] ('{step.step}')"
        needed = needs_value(step)
        what = f"the rule '{step.rule}' needs '{needed}'"
        yield needed, where, what, "a list of values" if needed == "values" else "a number", "add it"
        for name, given in (("values", step.values), ("value", step.value is not None)):
            what, expected = f"the rule '{step.rule}' does not use '{name}'", f"no '{name}', or another rule"
            unused = given and NEEDED.get(step.rule) != name
            yield unused, where, what, expected, f"remove '{name}' or correct 'rule'"


def _arms(names: Sequence[str], texts: Sequence[Level], section: str) -> Iterator[Row]:
    key = f"key {section}.arms"
    for name in dict.fromkeys([*repeated(names), *repeated(texts)]):
        yield True, key, f"the arm '{name}' is there twice", "every arm once", "rename or remove one"
    for name in names:
        # The participant flow counts people under these.
        yield (normalised(name) in ("all", "none"), key, f"an arm cannot be named '{name}'",
         "another name than 'all' and 'none'",
         "rename it; 'value' of an arm of the experiment holds the text of the raw file")  # fmt: skip


def _policies(study: Study, arms: Sequence[ArmConfig | RosterArmConfig], section: str) -> Iterator[Row]:
    assigned = {*study.assign.policies, "overall_best"}
    for i, arm in enumerate(arms):
        where, what = f"key {section}.arms[{i}] ('{arm.name}')", f"the policy '{arm.policy}' is not assigned"
        expected = f"one of {listed(sorted(assigned))}"
        yield arm.policy and arm.policy not in assigned, where, what, expected, "add it to assign.policies"


def _experiment(study: Study, experiment: ExperimentConfig) -> Iterator[Row]:
    texts = [arm.name if arm.value is None else arm.value for arm in experiment.arms]
    yield from _arms([arm.name for arm in experiment.arms], texts, "experiment")
    if study.calibration and experiment.petition_columns:  # the audit compares with what is assigned
        yield from _policies(study, experiment.arms, "experiment")
    outcomes = [outcome.name for outcome in experiment.outcomes]
    yield from twice("key experiment.outcomes", "outcome", outcomes)
    for i, outcome in enumerate(experiment.outcomes):
        yield from _outcome(outcome, f"key experiment.outcomes[{i}] ('{outcome.name}')")
    yield from _randomisation(experiment)
    yield (experiment.petition_columns and not study.design, "key design",
     "experiment.petition_columns needs the design of the petitions", "a section 'design'",
     "add it or remove petition_columns")  # fmt: skip
    yield _pattern("key experiment.petition_columns", experiment.petition_columns or None, "attribute")
    covariates = sorted(covariate.name for covariate in study.covariates)
    remedy = "add it to the covariates or correct the name"
    yield from unknown("key estimate.adjust", "covariate", study.estimate.adjust, covariates, remedy)
    yield from unknown("key estimate.sesoi", "outcome", study.estimate.sesoi, outcomes)
    levels = sorted(covariate.name for covariate in study.covariates if covariate.kind == "categorical")
    yield from unknown("key estimate.tighten", "categorical covariate", study.estimate.tighten, levels)
    yield from _robustness(study, experiment)
    yield from _exclusions(experiment.exclusions, "experiment.exclusions")
    yield from _exclusions(experiment.post_checks, "experiment.post_checks")


def _outcome(outcome: OutcomeConfig, where: str) -> Iterator[Row]:
    kind, limits, binary = outcome.kind, outcome.range, outcome.at_least is not None
    whole = limits is not None and not any(limit % 1 for limit in limits)
    yield _empty(where, limits)
    yield from at(where,
        (binary and kind != "binary", "'at_least' makes a binary outcome", "kind: binary", "change the kind"),
        (kind == "binary" and limits and not binary, "a binary outcome has no range", "0 or 1",
         "remove 'range'"),
        (kind == "ordinal" and not whole, "an ordinal outcome needs its lowest and highest category",
         "a 'range' of two whole numbers, such as [1, 5]", "add it, or write kind: continuous"),
        (kind == "ordinal" and limits and limits[1] - limits[0] > MOST_CATEGORIES,
         f"an ordinal outcome has at most {MOST_CATEGORIES + 1} categories", "a smaller range",
         "correct 'range', or write kind: continuous"),
        (binary and limits and not limits[0] < (outcome.at_least or 0) <= limits[1],
         f"within the range {limits} everybody is at least {outcome.at_least}, or nobody is",
         "a threshold inside the range", "correct 'at_least' or 'range'"),
        (kind == "count" and limits and limits[0] < 0, "a count is never below 0", "a range from 0 on",
         "correct 'range' or 'kind'"),
        (outcome.columns and outcome.column, "both 'column' and 'columns'", "one of them", "remove one"),
        (len(outcome.columns) == 1, "one column to combine", "two or more", "write it as 'column'"),
        (bool(outcome.columns) != (outcome.combine is not None),
         "'columns' without 'combine'" if outcome.columns else "'combine' without 'columns'",
         "a list 'columns' with 'combine: sum' or 'combine: mean', or neither", "add or remove one"),
        (kind == "binary" and not binary and not set(outcome.recode.values()) <= {0, 1},
         "'recode' makes other numbers than 0 and 1 of a binary outcome", "0 or 1, or a threshold 'at_least'",
         "correct 'recode' or 'kind'"),
        (kind == "binary" and not binary and outcome.columns, "a sum or mean is not binary",
         "a threshold 'at_least'", "add it, or change the kind"),
        (repeated(list(outcome.recode)), f"answers that cannot be told apart: "
         f"{listed(repeated(list(outcome.recode)))}", "every answer once in 'recode'", "remove one"),
    )  # fmt: skip


def _randomisation(experiment: ExperimentConfig) -> Iterator[Row]:
    drawn, key = experiment.randomisation, "key experiment.randomisation"
    what, expected = "blocked randomisation needs its blocks", "a list 'blocks' of raw columns"
    yield drawn.scheme == "blocked" and not drawn.blocks, key, what, expected, "add it"
    what, expected = "complete randomisation has no blocks", "scheme: blocked or clustered"
    yield drawn.scheme == "complete" and drawn.blocks, key, what, expected, "correct it"
    yield ((drawn.scheme == "clustered") != (drawn.cluster is not None), key,
     "only clustered randomisation has a cluster" if drawn.cluster else "it does not say what a cluster is",
     "'scheme: clustered' with a raw column 'cluster', or neither",
     "add or remove 'cluster', or correct 'scheme'")  # fmt: skip
    yield (drawn.cluster and drawn.cluster == drawn.outcome_cluster, f"{key}.outcome_cluster",
     "it is the cluster, by which errors are clustered anyway", "a larger group, or no such key",
     "remove it")  # fmt: skip
    expected = "what was known of people before arms were drawn"
    for name, column, columns in (
        ("blocks", "arm", drawn.blocks),
        ("blocks", "respondent", drawn.blocks),
        ("cluster", "arm", [drawn.cluster]),
        ("outcome_cluster", "arm", [drawn.outcome_cluster]),
        ("outcome_cluster", "respondent", [drawn.outcome_cluster]),
    ):
        raw = getattr(experiment, column)
        what = f"'{raw}' is the column of the {column}"
        yield raw in columns, f"{key}.{name}", what, expected, "name another column"
    for outcome in experiment.outcomes:
        what = f"'{outcome.name}' is an outcome"
        asked = set(outcome.raw_columns) & {*drawn.blocks, drawn.cluster}
        yield asked, f"{key}.blocks", what, expected, "name another column"


def _robustness(study: Study, experiment: ExperimentConfig) -> Iterator[Row]:
    """Refuse estimators of the robustness set that nothing in the study could be estimated with."""
    kinds = {outcome.kind for outcome in experiment.outcomes}
    adjusted = (study.estimate.adjust, "covariates in estimate.adjust")
    needs = {
        "lin": adjusted,
        "ipw": adjusted,
        "aipw": adjusted,
        "cace": (experiment.delivered, "the key experiment.delivered"),
        "logit": ("binary" in kinds, "a binary outcome"),
        "ordinal": ("ordinal" in kinds, "an outcome of kind 'ordinal'"),
    }
    for name in study.estimate.robustness:
        there, needed = needs.get(name, (True, ""))
        what, remedy = f"'{name}' cannot be estimated", f"add it, or remove '{name}'"
        yield not there, "key estimate.robustness", what, needed, remedy


def _roster(study: Study, roster: RosterConfig) -> Iterator[Row]:
    names = [arm.name for arm in roster.arms]
    yield from _arms(names, names, "roster")
    without = [arm.name for arm in roster.arms if arm.share is None]
    yield (0 < len(without) < len(names), "key roster.arms",
     f"no share for {listed(without)}, although other arms have one",
     "a share for every arm, or for none (equal shares)", "add or remove shares")  # fmt: skip
    yield from _policies(study, roster.arms, "roster")
    yield from _blocks(study, roster)
    yield (unsafe(roster.ledger) or Path(roster.ledger).suffix not in (".csv", ""),
     "key roster.ledger", f"'{roster.ledger}' cannot be the ledger",
     "a file that ends in .csv, or a folder whose name has no ending, in the study's folder, outside the "
     "folder 'results' and the others that 'make clean' removes",
     f"write for example data/{study.study}/arms.csv")  # fmt: skip
    for i, attribute in enumerate(study.design.attributes if study.design else []):
        column = attribute.column or attribute.name
        yield (column in FIELDING, f"key design.attributes[{i}] ('{attribute.name}')",
         f"the fielding export already has a column '{column}'", f"another column than {listed(FIELDING)}",
         "rename the column in the raw file and in the config")  # fmt: skip
    yield from _exclusions(roster.exclusions, "roster.exclusions")


def unsafe(file: str) -> bool:
    """Say whether a ledger or secret lies where it may be lost: neither can be drawn again."""
    first = Path(os.path.normpath(file)).parts[0]
    removed = first in ("results", "logs", "benchmarks", "papers")
    return removed or first.startswith(".") or Path(file).is_absolute()


def _secret(study: Study) -> Row:
    secret = study.privacy.secret or ""
    return (secret and (unsafe(secret) or not secret.endswith(".key")),
     "key privacy.secret", f"'{secret}' cannot be the secret of the pseudonyms",
     "a file that ends in .key in the study's folder, outside the folder 'results' and the others that "
     "'make clean' removes",
     f"write for example data/{study.study}/pseudonyms.key, or leave the key out")  # fmt: skip


def _blocks(study: Study, roster: RosterConfig) -> Iterator[Row]:
    key = "key roster.blocks"
    yield ((roster.randomisation == "blocked") != bool(roster.blocks), key,
     "only blocked randomisation uses it" if roster.blocks else "blocked randomisation needs it",
     "'randomisation: blocked' with a list of covariates, or neither",
     "add or remove 'blocks', or correct 'randomisation'")  # fmt: skip
    kinds = {covariate.name: covariate.kind for covariate in study.covariates}
    categorical = [name for name, kind in kinds.items() if kind == "categorical"]
    expected = f"categorical covariates: {listed(categorical) or 'the config has none'}"
    for name in roster.blocks:
        what = f"'{name}' is numeric, so that nearly everybody would be a block"
        remedy = "remove it, or add a categorical covariate that groups it"
        yield kinds.get(name) == "numeric", key, what, expected, remedy
        yield name not in kinds, key, f"unknown covariate '{name}'", expected, "correct the name"


def _ladder(study: Study) -> Iterator[Row]:
    targeted = [c.name for c in study.covariates if c.target]
    remedy = "correct the name; who may not be targeted by is no cost"
    yield from unknown("key diagnose.protected", "covariate", study.diagnose.protected, targeted, remedy)
    yield from twice("key diagnose.ladder", "set", [rung.name for rung in study.diagnose.ladder])
    for i, rung in enumerate(study.diagnose.ladder):
        barred = [name for name in rung.covariates if name not in targeted]
        yield (barred, f"key diagnose.ladder[{i}] ('{rung.name}')",
         f"{listed(barred)} may not be used for targeting",
         f"covariates of the allow-list with `target`: {listed(targeted) or 'there are none'}",
         "correct the names, or take them out")  # fmt: skip


def _groupings(study: Study, groupings: Sequence[SubgroupConfig], key: str) -> Iterator[Row]:
    yield from twice(f"key {key}", "grouping", [grouping.name for grouping in groupings])
    kinds = {covariate.name: covariate.kind for covariate in study.covariates}
    remedy = "add it to the covariates or correct the name"
    for i, grouping in enumerate(groupings):
        where = f"key {key}[{i}] ('{grouping.name}')"
        yield from unknown(where, "covariate", [grouping.covariate], sorted(kinds), remedy)
        if kind := kinds.get(grouping.covariate):
            yield from _groups(grouping, kind, where)


def _explore(study: Study) -> Iterator[Row]:
    attributes = {a.name: list(map(str, a.levels)) for a in study.design.attributes} if study.design else {}
    key = "key explore.sensitive"
    yield from unknown(key, "attribute", study.explore.sensitive, attributes)
    for name, levels in study.explore.sensitive.items():
        yield from unknown(f"{key}.{name}", "level", map(str, levels), attributes.get(name, map(str, levels)))
    groupings = {grouping.name: grouping for grouping in study.explore.subgroups}
    yield from _groupings(study, study.explore.subgroups, "explore.subgroups")
    covariates = {covariate.name: covariate for covariate in study.covariates}
    if study.experiment:
        outcomes = [outcome.name for outcome in study.experiment.outcomes]
        yield from unknown("key explore.comparable", "outcome", study.explore.comparable, outcomes)
    if base := study.explore.base:
        yield from unknown(
            "key explore.base",
            "grouping",
            [base.grouping],
            groupings,
            "correct the name or add the grouping",
        )
        if chosen := groupings.get(base.grouping):
            covariate = covariates.get(chosen.covariate)
            levels = [str(level) for level in (covariate and covariate.levels) or []]
            groups = [group.name for group in chosen.groups] or levels
            expected = f"one of {listed(groups)}"
            for group in filter(None, (base.group, base.opposed)):
                what = f"'{base.grouping}' has no group '{group}'"
                yield group not in groups, "key explore.base", what, expected, "correct the name"
            what = f"'{base.group}' is the base and opposed to it"
            yield base.opposed == base.group, "key explore.base", what, "two groups", "name another group"


def _groups(grouping: SubgroupConfig, kind: str, where: str) -> Iterator[Row]:
    infinity = float("inf")
    bounds = [
        (-infinity if group.min is None else group.min, infinity if group.max is None else group.max)
        for group in grouping.groups
    ]
    ordered = all(low <= high for low, high in bounds)
    apart = all(a[1] < b[0] for a, b in itertools.pairwise(bounds))
    numeric = kind == "numeric"
    yield from twice(where, "group", [group.name for group in grouping.groups])
    quantiles = isinstance(grouping, GroupingConfig) and grouping.quantiles is not None
    yield from at(where,
        (quantiles and not numeric, "only a numeric covariate has quantiles", "no 'quantiles'",
         "remove 'quantiles': a categorical covariate is grouped by its levels"),
        (quantiles and bounds, "'groups' and 'quantiles' say two things", "one of them", "remove one"),
        (numeric and not quantiles and len(bounds) < 2, "a numeric covariate needs at least two groups",
         "groups with min and max", "add them"),
        (numeric and not (ordered and apart), "the groups overlap or are out of order",
         "groups from low to high, each beginning above the end of the one before", "correct min and max"),
        (not numeric and bounds, "a categorical covariate is grouped by its levels", "no 'groups'",
         "remove 'groups'"),
    )  # fmt: skip
