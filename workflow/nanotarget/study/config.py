"""The study's config: validated against the schema, cross-checked, and typed.

`validate` turns what YAML gave into a complete dictionary (defaults filled in) or raises one
`InputError` with everything that is wrong. `typed` turns a section of it into its dataclass.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import itertools
import re
import types
import typing
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jsonschema
import yaml

from nanotarget.study.problems import InputError, Problem, listed

SCHEMA_FILE = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"

Level = str | int | float
OutcomeKind = Literal["binary", "continuous", "ordinal", "count"]


@dataclass(frozen=True)
class AttributeConfig:
    """One dimension of a petition; `levels` in order, the first is the reference."""

    name: str
    levels: list[Level]
    column: str | None = None
    probabilities: list[float] | None = None


@dataclass(frozen=True)
class DesignConfig:
    """The petitions: attributes, prohibited combinations, randomisation and text."""

    attributes: list[AttributeConfig]
    prohibited: list[dict[str, list[Level]]] = field(default_factory=list)
    randomisation: Literal["rejection", "sequential"] = "rejection"
    petition_text: str | None = None


@dataclass(frozen=True)
class CovariateConfig:
    """One pre-treatment respondent variable on the allow-list."""

    name: str
    kind: Literal["numeric", "categorical"]
    label: str | None = None
    column: str | None = None
    levels: list[Level] | None = None
    range: list[float] | None = None
    missing_values: list[Level] = field(default_factory=list)
    target: bool = True


@dataclass(frozen=True)
class ColumnValues:
    """Rows in which `column` holds one of `values`."""

    column: str
    values: list[Level]


@dataclass(frozen=True)
class ExclusionConfig:
    """One pre-registered exclusion."""

    step: str
    rule: Literal["in", "not_in", "below", "above", "missing", "duplicate"]
    column: str
    values: list[Level] = field(default_factory=list)
    value: float | None = None


@dataclass(frozen=True)
class ChoiceConfig:
    """Column (or pattern) of the chosen profile."""

    column: str
    chosen_values: list[Level] | None = None


@dataclass(frozen=True)
class RatingConfig:
    """Column (or pattern) of the rating and its possible range."""

    column: str
    range: list[float]


@dataclass(frozen=True)
class CalibrationOutcomes:
    """What was measured on each profile."""

    choice: ChoiceConfig | None = None
    rating: RatingConfig | None = None


@dataclass(frozen=True)
class CalibrationConfig:
    """Where and how the conjoint survey was recorded."""

    file: str
    respondent: str
    outcomes: CalibrationOutcomes
    analyse: Literal["choice", "rating"]
    layout: Literal["long", "wide"] = "long"
    header_rows: int = 1
    task: str | None = None
    profile: str | None = None
    tasks: int | None = None
    profiles: int = 2
    attribute_columns: str | None = None
    weight: str | None = None
    opt_out: ColumnValues | None = None
    exclusions: list[ExclusionConfig] = field(default_factory=list)
    identifiers: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ArmConfig:
    """One arm of the experiment."""

    name: str
    value: Level | None = None
    policy: str | None = None


@dataclass(frozen=True)
class OutcomeConfig:
    """One outcome of the experiment."""

    name: str
    kind: OutcomeKind
    label: str | None = None
    column: str | None = None
    range: list[float] | None = None
    at_least: float | None = None
    observed_if: ColumnValues | None = None


@dataclass(frozen=True)
class RandomisationConfig:
    """How arms were drawn; `blocks` and `cluster` are columns of the raw file."""

    scheme: Literal["complete", "blocked", "clustered"] = "complete"
    blocks: list[str] = field(default_factory=list)
    cluster: str | None = None


@dataclass(frozen=True)
class ExperimentConfig:
    """Where and how the experiment was recorded."""

    file: str
    respondent: str
    arm: str
    arms: list[ArmConfig]
    header_rows: int = 1
    randomisation: RandomisationConfig = field(default_factory=RandomisationConfig)
    petition_columns: str | None = None
    delivered: ColumnValues | None = None
    outcomes: list[OutcomeConfig] = field(default_factory=list)
    weight: str | None = None
    opt_out: ColumnValues | None = None
    exclusions: list[ExclusionConfig] = field(default_factory=list)
    post_checks: list[ExclusionConfig] = field(default_factory=list)
    identifiers: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RosterArmConfig:
    """One arm to which people of the roster are randomised; `share` counts relative to the other arms."""

    name: str
    share: float | None = None
    policy: str | None = None


@dataclass(frozen=True)
class RosterConfig:
    """Who is going to be fielded, and how they are randomised; `ledger` records what was drawn."""

    file: str
    respondent: str
    arms: list[RosterArmConfig]
    ledger: str
    header_rows: int = 1
    randomisation: Literal["complete", "blocked"] = "complete"
    blocks: list[str] = field(default_factory=list)
    opt_out: ColumnValues | None = None
    exclusions: list[ExclusionConfig] = field(default_factory=list)
    identifiers: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class GroupConfig:
    """Values of a numeric covariate from `min` to `max`, both included; None is open."""

    name: str
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class SubgroupConfig:
    """One grouping of respondents by a pre-treatment covariate."""

    name: str
    covariate: str
    groups: list[GroupConfig] = field(default_factory=list)


@dataclass(frozen=True)
class BartConfig:
    """Settings of the learner `bart`; the defaults are those of cjbart, in two chains."""

    trees: int = 50
    draws: int = 1000
    burn_in: int = 100
    chains: int = 2


@dataclass(frozen=True)
class CalibrateConfig:
    """Settings of the calibrate stage."""

    se_type: Literal["CR0", "CR1", "CR2", "HC2"] = "CR1"
    learner: Literal["ridge", "hierarchical", "boosting", "bart", "auto"] = "ridge"
    candidates: list[str] = field(default_factory=lambda: ["ridge", "hierarchical", "bart"])
    information: Literal["covariates", "covariates + own answers"] = "covariates"
    folds: int = 5
    interactions: bool = True
    bart: BartConfig = field(default_factory=BartConfig)

    @property
    def own_answers(self) -> bool:
        """Whether a policy may use what a respondent of the panel answered in the calibration."""
        return self.information == "covariates + own answers"

    @property
    def learners(self) -> list[str]:
        """Learners to fit: the one named, or all candidates."""
        return self.candidates if self.learner == "auto" else [self.learner]


@dataclass(frozen=True)
class RungConfig:
    """A set of covariates of the ladder."""

    name: str
    covariates: list[str]


@dataclass(frozen=True)
class CostsConfig:
    """Costs of personalization, in money."""

    value: float
    calibration: float = 0
    message: float = 0
    audience: float | None = None


# Learners with which the diagnosis may fit the calibration many times; ridge takes the place of the others.
FAST_LEARNERS = ("ridge", "hierarchical")
CURVE_SHARES = (25, 50, 75)  # per cent of the training respondents, on the learning curve


@dataclass(frozen=True)
class DiagnoseConfig:
    """Settings of the diagnose stage; `sesoi` in units of the analysed outcome."""

    sesoi: float = 0
    confidence: float = 0.95
    goal: Literal["support", "dissuade"] = "support"
    bootstraps: int = 500
    permutations: int = 199
    splits: int = 3
    ladder: list[RungConfig] = field(default_factory=list)
    costs: CostsConfig | None = None

    def variants(self, learners: Sequence[str]) -> dict[str, list[str]]:
        """Return the names of the cross-fits that a diagnosis needs beside that of the calibration, by kind.

        Divisions into folds after the calibration's own (which comes first if a learner is slow), parts of
        the respondents, and sets of covariates; no kind without any.

        Args:
            learners: of the study, one or the candidates.
        """
        first = 2 if set(learners) <= set(FAST_LEARNERS) else 1
        kinds = {
            "splits": [f"split_{s}" for s in range(first, self.splits + 1)],
            "shares": [f"share_{share}" for share in CURVE_SHARES],
            "rungs": [f"rung_{r + 1}" for r in range(len(self.ladder))],
        }
        return {kind: names for kind, names in kinds.items() if names}


@dataclass(frozen=True)
class AssignConfig:
    """Settings of the assign stage."""

    policies: list[str] = field(default_factory=lambda: ["random", "overall_best", "segment", "nano"])
    segments: int = 5
    permutations: int = 5
    candidates: int = 100


@dataclass(frozen=True)
class EstimateConfig:
    """Settings of the estimate stage."""

    alpha: float = 0.05
    adjust: list[str] = field(default_factory=list)
    sesoi: dict[str, float] = field(default_factory=dict)
    robustness: list[str] = field(default_factory=list)
    draws: int = 10000


@dataclass(frozen=True)
class BaseConfig:
    """The group of a grouping whose support is there already, to be mobilised."""

    grouping: str
    group: str


@dataclass(frozen=True)
class ExploreConfig:
    """Settings of the explore stage."""

    subgroups: list[SubgroupConfig] = field(default_factory=list)
    base: BaseConfig | None = None
    comparable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PrivacyConfig:
    """What is published about people."""

    min_cell: int = 10


@dataclass(frozen=True)
class StudyConfig:
    """A whole study; mirrors the schema key by key (a test keeps them in step)."""

    study: str
    root_seed: int
    title: str = ""
    synthetic: bool = False
    samples: Literal["new", "panel"] = "new"
    preregistration: str | None = None
    design: DesignConfig | None = None
    covariates: list[CovariateConfig] = field(default_factory=list)
    calibration: CalibrationConfig | None = None
    calibrate: CalibrateConfig = field(default_factory=CalibrateConfig)
    diagnose: DiagnoseConfig = field(default_factory=DiagnoseConfig)
    experiment: ExperimentConfig | None = None
    roster: RosterConfig | None = None
    assign: AssignConfig = field(default_factory=AssignConfig)
    estimate: EstimateConfig = field(default_factory=EstimateConfig)
    explore: ExploreConfig = field(default_factory=ExploreConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)


def typed(kind: Any, section: Any) -> Any:
    """Build a config dataclass (or a list of them) from a validated section.

    Args:
        kind: the dataclass, or any annotation that the dataclasses above use.
        section: what `validate` returned for it.
    """
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        options = [option for option in typing.get_args(kind) if dataclasses.is_dataclass(option)]
        return section if section is None or not options else typed(options[0], section)
    if origin is list:
        (item,) = typing.get_args(kind)
        return [typed(item, entry) for entry in section]
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{key: typed(hints[key], value) for key, value in section.items()})  # type: ignore[operator]
    return section


@cache
def schema() -> dict[str, Any]:
    """Return the config schema."""
    return yaml.safe_load(SCHEMA_FILE.read_text(encoding="utf-8"))


# JSON Schema takes 6.0 for a whole number and YAML knows .nan; neither can be used as one here.
_STRICT = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: (
                isinstance(value, int | float) and not isinstance(value, bool) and value == value
            ),
        }
    ),
)


def validate(raw: Any, source: str) -> dict[str, Any]:
    """Check a config and return it complete with defaults.

    Args:
        raw: what YAML (or Snakemake) made of the file.
        source: name of the file for messages.

    Raises:
        InputError: with every problem of the config at once.
    """
    if not isinstance(raw, Mapping) or not raw:
        raise InputError(
            [
                Problem(
                    source,
                    "whole file",
                    "it holds no settings",
                    "a mapping of keys to values",
                    "copy config.yaml and change it for your study",
                )
            ]
        )
    config = copy.deepcopy(dict(raw))
    validator = _STRICT(schema())
    errors = sorted(validator.iter_errors(config), key=lambda e: [str(part) for part in e.absolute_path])
    problems = list(dict.fromkeys(problem for error in errors for problem in explain(error, source)))
    if problems:
        raise InputError(problems)
    _fill_defaults(config, schema())
    problems = list(_cross_check(typed(StudyConfig, config), source))
    if problems:
        raise InputError(problems)
    return config


def key_of(path: Sequence[str | int]) -> str:
    """Write the path of a key as people read it: ``design.attributes[2].levels``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "top level"


KIND_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


def explain(error: jsonschema.ValidationError, source: str) -> Iterator[Problem]:
    """Say for people what a violation of a schema means."""
    rule: Any = error.validator_value
    value = error.instance
    where = f"key {key_of(list(error.absolute_path))}"
    parent: Any = error.schema
    about = parent.get("description", "see workflow/schemas/config.schema.yaml")
    match error.validator:
        case "additionalProperties":
            known = list(parent.get("properties", {}))
            for key in sorted(set(value) - set(known), key=str):
                close = difflib.get_close_matches(str(key), known, n=1)
                hint = f"write '{close[0]}'" if close else "remove it or correct its name"
                yield Problem(
                    source,
                    f"key {key_of([*error.absolute_path, key])}",
                    f"unknown key '{key}'",
                    f"one of {listed(known, 40)}",
                    hint,
                )
        case "required":
            for key in rule:
                if key not in value:
                    text = parent["properties"][key].get("description", "")
                    yield Problem(
                        source,
                        where,
                        f"the key '{key}' is missing",
                        text or f"a value for '{key}'",
                        f"add '{key}:' there",
                    )
        case "enum":
            yield Problem(
                source,
                where,
                f"{_shown(value)} is not allowed",
                f"one of {listed(rule)}",
                f"choose one of them. {about}",
            )
        case "type":
            kinds = [rule] if isinstance(rule, str) else rule
            expected = " or ".join(KIND_NAMES[kind] for kind in kinds)
            remedy = about
            if isinstance(value, bool):
                remedy = f'write "Yes", "No", "on" or "off" in quotes, or YAML reads true or false. {about}'
            yield Problem(source, where, f"{_shown(value)} is not {expected}", expected, remedy)
        case "uniqueItems":
            twice = sorted({str(item) for item in value if value.count(item) > 1})
            yield Problem(
                source, where, f"listed twice: {listed(twice)}", "every value once", "remove the repetition"
            )
        case "pattern":
            yield Problem(
                source,
                where,
                f"{_shown(value)} is not a valid name",
                "lower-case letters, digits and _, beginning with a letter",
                about,
            )
        case _:
            bounds = {
                "minimum": "at least",
                "maximum": "at most",
                "exclusiveMinimum": "more than",
                "exclusiveMaximum": "less than",
                "minItems": "a list of at least",
                "maxItems": "a list of at most",
                "minLength": "a text of at least",
                "minProperties": "at least so many entries:",
            }
            yield Problem(
                source,
                where,
                f"{_shown(value)} does not fit",
                f"{bounds.get(str(error.validator), str(error.validator))} {rule}",
                about,
            )


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "an empty value" if value is None else str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _fill_defaults(value: Any, rules: Mapping[str, Any]) -> None:
    """Insert the schema's defaults in place, top down."""
    if "$ref" in rules:
        rules = schema()["$defs"][rules["$ref"].rsplit("/", 1)[1]]
    if isinstance(value, dict):
        for key, rule in rules.get("properties", {}).items():
            if "$ref" in rule:
                rule = schema()["$defs"][rule["$ref"].rsplit("/", 1)[1]]
            if key not in value and "default" in rule:
                value[key] = copy.deepcopy(rule["default"])
            if key in value:
                _fill_defaults(value[key], rule)
    elif isinstance(value, list) and isinstance(rules.get("items"), dict):
        for item in value:
            _fill_defaults(item, rules["items"])


def normalised(text: object) -> str:
    """Return text as levels are compared: trimmed, single spaces, no case; 1.0 equals 1.

    Letters are composed (Unicode NFC), as "é" is one letter in some exports and two in others.
    """
    plain = unicodedata.normalize("NFC", " ".join(str(text).split()).casefold())
    return re.sub(r"^([+-]?\d+)\.0+$", r"\1", plain)


def _repeated(values: Sequence[object]) -> list[str]:
    seen: dict[str, int] = {}
    for value in values:
        seen[normalised(value)] = seen.get(normalised(value), 0) + 1
    return [str(value) for value in values if seen[normalised(value)] > 1]


def _cross_check(config: StudyConfig, source: str) -> Iterator[Problem]:
    """Yield what the schema cannot see: keys that contradict each other."""
    yield from _check_sections(config, source)
    yield from _check_names(config, source)
    if config.design:
        yield from _check_design(config.design, source)
    yield from _check_covariates(config, source)
    yield from _check_identifiers(config, source)
    if config.calibration:
        yield from _check_calibration(config.calibration, config.design, source)
    if config.experiment:
        yield from _check_experiment(config, config.experiment, source)
    if config.roster:
        yield from _check_roster(config, config.roster, source)
    yield from _check_ladder(config, source)
    yield from _check_explore(config, source)


def _check_sections(config: StudyConfig, source: str) -> Iterator[Problem]:
    if config.calibration is None and config.experiment is None and config.roster is None:
        yield Problem(
            source,
            "top level",
            "there is neither a calibration nor an experiment",
            "at least one of the sections 'calibration' and 'experiment'",
            "add the section of your data",
        )
    if config.calibration and config.design is None:
        yield Problem(
            source,
            "key design",
            "a calibration needs the design of its petitions",
            "a section 'design' with attributes and levels",
            "add it",
        )
    calibrate = config.calibrate
    if calibrate.own_answers and config.samples != "panel":
        yield Problem(
            source,
            "key calibrate.information",
            "own answers can only be used for people who come back, but the config says 'samples: new'",
            "'covariates', or 'samples: panel'",
            "correct one of the two keys",
        )
    if calibrate.own_answers and set(calibrate.learners) != {"hierarchical"}:
        yield Problem(
            source,
            "key calibrate.learner",
            f"learner '{calibrate.learner}' cannot use a person's own answers",
            "learner 'hierarchical' where information is 'covariates + own answers'",
            "choose it, or write 'information: covariates'",
        )
    if calibrate.bart.draws < 2 * calibrate.bart.chains:
        yield Problem(
            source,
            "key calibrate.bart",
            f"{calibrate.bart.draws} draws in {calibrate.bart.chains} chains are less than 2 a chain",
            "at least 2 draws in each chain",
            "ask for more draws or fewer chains",
        )
    if config.roster and config.experiment:
        # Both would answer the question whom `assign` assigns to.
        yield Problem(
            source,
            "key roster",
            "a study with an experiment has no roster: it has been fielded, and the experiment says to whom",
            "either the section 'roster' (before fielding) or the section 'experiment' (after it)",
            "remove 'roster'; its ledger stays where it is. For new people write another config",
        )
    if config.roster and config.calibration is None:
        yield Problem(
            source,
            "key roster",
            "a roster needs a calibration, from which its petitions are learned",
            "a section 'calibration'",
            "add it",
        )
    if config.samples == "panel" and not (config.calibration and (config.experiment or config.roster)):
        yield Problem(
            source,
            "key samples",
            "a panel needs both samples",
            "a calibration and an experiment (or a roster) of the same people",
            "add the missing section or write 'samples: new'",
        )


# Columns that the pipeline itself writes beside attributes, covariates and outcomes.
RESERVED = frozenset(
    {
        "respondent_id",
        "task",
        "profile",
        "choice",
        "rating",
        "weight",
        "arm",
        "opt_out",
        "observed",
        "block",
        "cluster",
        "delivered",
        "passed",
        "policy",
        "petition_id",
        "predicted",
        "gain_over_best",
    }
)


def _check_names(config: StudyConfig, source: str) -> Iterator[Problem]:
    """Attributes, covariates and outcomes share tables, so their names must differ."""
    named = [("design.attributes", a.name) for a in (config.design.attributes if config.design else [])]
    named += [("covariates", c.name) for c in config.covariates]
    named += [
        ("experiment.outcomes", o.name) for o in (config.experiment.outcomes if config.experiment else [])
    ]
    owner: dict[str, str] = {}
    for section, name in named:
        if normalised(name) in RESERVED:
            yield Problem(
                source,
                f"key {section}",
                f"the name '{name}' is reserved for a column of the pipeline",
                "another name",
                "give it another 'name' and put the raw column's name into 'column'",
            )
        if owner.setdefault(normalised(name), section) != section:
            yield Problem(
                source,
                f"key {section}",
                f"the name '{name}' is also used in {owner[normalised(name)]}",
                "names that differ between attributes, covariates and outcomes",
                "give it another 'name' and put the raw column's name into 'column'",
            )


def _check_design(design: DesignConfig, source: str) -> Iterator[Problem]:
    names = [attribute.name for attribute in design.attributes]
    for name in dict.fromkeys(_repeated(names)):
        yield Problem(
            source,
            "key design.attributes",
            f"the attribute '{name}' is there twice",
            "attribute names that differ in more than case and spaces",
            "rename one of them",
        )
    columns = [attribute.column or attribute.name for attribute in design.attributes]
    for column in sorted({column for column in columns if columns.count(column) > 1}):
        yield Problem(
            source,
            "key design.attributes",
            f"two attributes have the column '{column}'",
            "a column of its own for every attribute",
            "correct 'column'",
        )
    for i, attribute in enumerate(design.attributes):
        where = f"key design.attributes[{i}] ('{attribute.name}')"
        if twice := _repeated(attribute.levels):
            yield Problem(
                source,
                where,
                f"levels that cannot be told apart: {listed(twice)}",
                "levels that differ in more than case and spaces",
                "rename or remove one",
            )
        shares = attribute.probabilities
        if shares is not None and len(shares) != len(attribute.levels):
            yield Problem(
                source,
                where,
                f"{len(shares)} probabilities for {len(attribute.levels)} levels",
                "one probability a level, in the order of the levels",
                "add or remove probabilities",
            )
        elif shares is not None and abs(sum(shares) - 1) > 1e-6:
            yield Problem(
                source,
                where,
                f"the probabilities add up to {sum(shares):.6g}",
                "a sum of 1",
                "correct the probabilities",
            )
    levels = {
        attribute.name: {normalised(level) for level in attribute.levels} for attribute in design.attributes
    }
    for i, combination in enumerate(design.prohibited):
        for name, prohibited in combination.items():
            where = f"key design.prohibited[{i}]"
            if name not in levels:
                yield Problem(
                    source,
                    where,
                    f"unknown attribute '{name}'",
                    f"one of {listed(names)}",
                    "correct the name",
                )
                continue
            for level in prohibited:
                if normalised(level) not in levels[name]:
                    yield Problem(
                        source,
                        f"{where}.{name}",
                        f"unknown level '{level}'",
                        f"a level of '{name}' as listed in design.attributes",
                        "correct the level",
                    )


def _check_covariates(config: StudyConfig, source: str) -> Iterator[Problem]:
    names = [covariate.name for covariate in config.covariates]
    for name in dict.fromkeys(_repeated(names)):
        yield Problem(
            source,
            "key covariates",
            f"the covariate '{name}' is there twice",
            "every covariate once",
            "remove or rename one",
        )
    samples = (config.calibration, config.experiment, config.roster)
    respondents = {sample.respondent for sample in samples if sample}
    for i, covariate in enumerate(config.covariates):
        where = f"key covariates[{i}] ('{covariate.name}')"
        if (covariate.column or covariate.name) in respondents:
            yield Problem(
                source,
                where,
                "the respondent's id cannot be a covariate",
                "a variable that does not identify a person",
                "remove it from the covariates",
            )
        if covariate.kind == "categorical" and not covariate.levels:
            yield Problem(
                source, where, "a categorical covariate needs its levels", "a list 'levels'", "add it"
            )
        if covariate.kind == "categorical" and covariate.range:
            yield Problem(
                source, where, "a categorical covariate has no range", "levels only", "remove 'range'"
            )
        if covariate.kind == "numeric" and covariate.levels:
            yield Problem(
                source,
                where,
                "a numeric covariate has no levels",
                "a range, or kind: categorical",
                "remove 'levels' or change the kind",
            )
        levels = {normalised(level) for level in covariate.levels or []}
        if both := [value for value in covariate.missing_values if normalised(value) in levels]:
            yield Problem(
                source,
                where,
                f"a level and a missing value at once: {listed(both)}",
                "either a level or a missing value",
                "remove it from 'levels' or from 'missing_values'",
            )
        if covariate.range and covariate.range[0] >= covariate.range[1]:
            yield Problem(
                source,
                where,
                f"the range {covariate.range} is empty",
                "[smallest, largest]",
                "swap the numbers",
            )
        if covariate.levels and (twice := _repeated(covariate.levels)):
            yield Problem(
                source,
                where,
                f"levels that cannot be told apart: {listed(twice)}",
                "levels that differ in more than case and spaces",
                "rename or remove one",
            )


def _check_identifiers(config: StudyConfig, source: str) -> Iterator[Problem]:
    """Yield keys that would carry a direct identifier into an artefact."""
    kept = [(f"covariates[{i}]", c.column or c.name) for i, c in enumerate(config.covariates)]
    if config.design:
        kept += [
            (f"design.attributes[{i}]", a.column or a.name) for i, a in enumerate(config.design.attributes)
        ]
    identifiers = set()
    for section, sample in (
        ("calibration", config.calibration),
        ("experiment", config.experiment),
        ("roster", config.roster),
    ):
        if sample:
            identifiers |= set(sample.identifiers)
            kept.append((f"{section}.respondent", sample.respondent))
            if not isinstance(sample, RosterConfig) and sample.weight:
                kept.append((f"{section}.weight", sample.weight))
    if config.experiment:
        kept.append(("experiment.arm", config.experiment.arm))
        kept += [
            (f"experiment.outcomes[{i}]", o.column or o.name)
            for i, o in enumerate(config.experiment.outcomes)
        ]
    for key, column in kept:
        if column in identifiers:
            yield Problem(
                source,
                f"key {key}",
                f"'{column}' is a direct identifier and would be written",
                "a column that is not listed under 'identifiers'",
                "name a column that does not identify a person, for example a pseudonym",
            )


def _check_pattern(pattern: str, needed: set[str], where: str, source: str) -> Iterator[Problem]:
    missing = sorted(part for part in needed if "{" + part + "}" not in pattern)
    if missing:
        yield Problem(
            source,
            where,
            f"the pattern '{pattern}' lacks {listed(['{' + m + '}' for m in missing])}",
            f"a column name with {listed(sorted('{' + n + '}' for n in needed))}",
            "add it to the pattern",
        )


def _check_calibration(
    calibration: CalibrationConfig, design: DesignConfig | None, source: str
) -> Iterator[Problem]:
    outcomes = calibration.outcomes
    if getattr(outcomes, calibration.analyse) is None:
        yield Problem(
            source,
            "key calibration.analyse",
            f"there is no outcome '{calibration.analyse}'",
            "an outcome listed in calibration.outcomes",
            "add the outcome or analyse the other one",
        )
    if outcomes.rating and outcomes.rating.range[0] >= outcomes.rating.range[1]:
        yield Problem(
            source,
            "key calibration.outcomes.rating.range",
            f"the range {outcomes.rating.range} is empty",
            "[smallest, largest]",
            "swap the numbers",
        )
    if outcomes.choice and calibration.profiles < 2:
        yield Problem(
            source,
            "key calibration.profiles",
            "a choice needs at least two profiles a task",
            "2 or more",
            "correct 'profiles' or analyse a rating",
        )
    elif calibration.analyse == "choice" and outcomes.choice and calibration.profiles != 2:
        # The learner's logit is of paired differences.
        yield Problem(
            source,
            "key calibration.analyse",
            f"choices among {calibration.profiles} profiles a task cannot be learned from",
            "exactly 2 profiles a task, or a rating",
            "analyse a rating if each profile has one, or correct 'profiles'",
        )
    wide_only = {
        "attribute_columns": calibration.attribute_columns,
        "outcomes.choice.chosen_values": outcomes.choice.chosen_values if outcomes.choice else None,
    }
    long_only = {"task": calibration.task, "profile": calibration.profile}
    for key, value in (wide_only if calibration.layout == "long" else long_only).items():
        if value is not None:
            yield Problem(
                source,
                f"key calibration.{key}",
                f"it has no meaning in the {calibration.layout} layout",
                f"'layout: {'wide' if calibration.layout == 'long' else 'long'}', or no such key",
                "remove it or correct 'layout'",
            )
    if calibration.layout == "wide":
        if calibration.tasks is None:
            yield Problem(
                source,
                "key calibration.tasks",
                "the wide layout needs the number of tasks",
                "a whole number",
                "add 'tasks:'",
            )
        if calibration.attribute_columns is None:
            yield Problem(
                source,
                "key calibration.attribute_columns",
                "the wide layout needs it",
                "a pattern such as 'task{task}_profile{profile}_{attribute}'",
                "add it",
            )
        else:
            yield from _check_pattern(
                calibration.attribute_columns,
                {"task", "profile", "attribute"},
                "key calibration.attribute_columns",
                source,
            )
        if outcomes.choice:
            yield from _check_pattern(
                outcomes.choice.column, {"task"}, "key calibration.outcomes.choice.column", source
            )
            shown = outcomes.choice.chosen_values
            if shown is not None and len(shown) != calibration.profiles:
                yield Problem(
                    source,
                    "key calibration.outcomes.choice.chosen_values",
                    f"{len(shown)} values for {calibration.profiles} profiles",
                    "one value a profile",
                    "correct the list",
                )
        if outcomes.rating:
            yield from _check_pattern(
                outcomes.rating.column, {"task", "profile"}, "key calibration.outcomes.rating.column", source
            )
    yield from _check_exclusions(calibration.exclusions, "calibration.exclusions", source)


def _check_exclusions(exclusions: Sequence[ExclusionConfig], key: str, source: str) -> Iterator[Problem]:
    for name in dict.fromkeys(_repeated([exclusion.step for exclusion in exclusions])):
        yield Problem(
            source,
            f"key {key}",
            f"the step '{name}' is there twice",
            "every step once",
            "rename one of them",
        )
    for i, exclusion in enumerate(exclusions):
        where = f"key {key}[{i}] ('{exclusion.step}')"
        if exclusion.rule in ("in", "not_in") and not exclusion.values:
            yield Problem(
                source, where, f"the rule '{exclusion.rule}' needs 'values'", "a list of values", "add it"
            )
        if exclusion.rule in ("below", "above") and exclusion.value is None:
            yield Problem(source, where, f"the rule '{exclusion.rule}' needs 'value'", "a number", "add it")
        unused = "values" if exclusion.values and exclusion.rule not in ("in", "not_in") else None
        if exclusion.value is not None and exclusion.rule not in ("below", "above"):
            unused = "value"
        if unused:
            yield Problem(
                source,
                where,
                f"the rule '{exclusion.rule}' does not use '{unused}'",
                f"no '{unused}', or another rule",
                f"remove '{unused}' or correct 'rule'",
            )


def _check_arms(names: Sequence[str], texts: Sequence[Level], section: str, source: str) -> Iterator[Problem]:
    for name in dict.fromkeys([*_repeated(names), *_repeated(texts)]):
        yield Problem(
            source,
            f"key {section}.arms",
            f"the arm '{name}' is there twice",
            "every arm once",
            "rename or remove one",
        )
    for name in names:
        if normalised(name) in ("all", "none"):  # the participant flow counts people under these
            yield Problem(
                source,
                f"key {section}.arms",
                f"an arm cannot be named '{name}'",
                "another name than 'all' and 'none'",
                "rename it; 'value' of an arm of the experiment holds the text of the raw file",
            )


def _check_experiment(config: StudyConfig, experiment: ExperimentConfig, source: str) -> Iterator[Problem]:
    texts = [arm.name if arm.value is None else arm.value for arm in experiment.arms]
    yield from _check_arms([arm.name for arm in experiment.arms], texts, "experiment", source)
    if config.calibration and experiment.petition_columns:  # the audit compares with what is assigned
        yield from _check_policies(config, experiment.arms, "experiment", source)
    for name in dict.fromkeys(_repeated([outcome.name for outcome in experiment.outcomes])):
        yield Problem(
            source,
            "key experiment.outcomes",
            f"the outcome '{name}' is there twice",
            "every outcome once",
            "rename one of them",
        )
    for i, outcome in enumerate(experiment.outcomes):
        yield from _check_outcome(outcome, f"key experiment.outcomes[{i}] ('{outcome.name}')", source)
    yield from _check_randomisation(experiment, source)
    if experiment.petition_columns:
        if config.design is None:
            yield Problem(
                source,
                "key design",
                "experiment.petition_columns needs the design of the petitions",
                "a section 'design'",
                "add it or remove petition_columns",
            )
        yield from _check_pattern(
            experiment.petition_columns, {"attribute"}, "key experiment.petition_columns", source
        )
    covariates = {covariate.name for covariate in config.covariates}
    for name in config.estimate.adjust:
        if name not in covariates:
            yield Problem(
                source,
                "key estimate.adjust",
                f"unknown covariate '{name}'",
                f"one of {listed(sorted(covariates))}",
                "add it to the covariates or correct the name",
            )
    outcomes = [outcome.name for outcome in experiment.outcomes]
    for name in config.estimate.sesoi:
        if name not in outcomes:
            yield Problem(
                source,
                "key estimate.sesoi",
                f"unknown outcome '{name}'",
                f"one of {listed(outcomes)}",
                "correct the name",
            )
    yield from _check_robustness(config, experiment, source)
    yield from _check_exclusions(experiment.exclusions, "experiment.exclusions", source)
    yield from _check_exclusions(experiment.post_checks, "experiment.post_checks", source)


def _check_outcome(outcome: OutcomeConfig, where: str, source: str) -> Iterator[Problem]:
    limits = outcome.range
    if outcome.at_least is not None and outcome.kind != "binary":
        yield Problem(source, where, "'at_least' makes a binary outcome", "kind: binary", "change the kind")
    if limits and limits[0] >= limits[1]:
        yield Problem(
            source, where, f"the range {limits} is empty", "[smallest, largest]", "swap the numbers"
        )
    if outcome.kind == "binary" and limits and outcome.at_least is None:
        yield Problem(source, where, "a binary outcome has no range", "0 or 1", "remove 'range'")
    if outcome.kind == "ordinal" and (limits is None or any(limit % 1 for limit in limits)):
        yield Problem(
            source,
            where,
            "an ordinal outcome needs its lowest and highest category",
            "a 'range' of two whole numbers, such as [1, 5]",
            "add it, or write kind: continuous",
        )
    if outcome.kind == "count" and limits and limits[0] < 0:
        yield Problem(
            source, where, "a count is never below 0", "a range from 0 on", "correct 'range' or 'kind'"
        )


def _check_randomisation(experiment: ExperimentConfig, source: str) -> Iterator[Problem]:
    done = experiment.randomisation
    key = "key experiment.randomisation"
    if done.scheme == "blocked" and not done.blocks:
        yield Problem(
            source, key, "blocked randomisation needs its blocks", "a list 'blocks' of raw columns", "add it"
        )
    if done.scheme == "complete" and done.blocks:
        yield Problem(
            source, key, "complete randomisation has no blocks", "scheme: blocked or clustered", "correct it"
        )
    if (done.scheme == "clustered") != (done.cluster is not None):
        yield Problem(
            source,
            key,
            "only clustered randomisation has a cluster"
            if done.cluster
            else "it does not say what a cluster is",
            "'scheme: clustered' with a raw column 'cluster', or neither",
            "add or remove 'cluster', or correct 'scheme'",
        )
    own = {"arm": experiment.arm, "respondent": experiment.respondent}
    for name, columns in (("blocks", done.blocks), ("cluster", [done.cluster])):
        for what, column in own.items():
            if column in columns and (name, what) != ("cluster", "respondent"):
                yield Problem(
                    source,
                    f"{key}.{name}",
                    f"'{column}' is the column of the {what}",
                    "what was known of people before arms were drawn",
                    "name another column",
                )


def _check_robustness(config: StudyConfig, experiment: ExperimentConfig, source: str) -> Iterator[Problem]:
    """Yield estimators of the robustness set that nothing in the study could be estimated with."""
    kinds = {outcome.kind for outcome in experiment.outcomes}
    lacking = {
        "lin": None if config.estimate.adjust else "covariates in estimate.adjust",
        "ipw": None if config.estimate.adjust else "covariates in estimate.adjust",
        "cace": None if experiment.delivered else "the key experiment.delivered",
        "logit": None if "binary" in kinds else "a binary outcome",
        "ordinal": None if "ordinal" in kinds else "an outcome of kind 'ordinal'",
    }
    for name in config.estimate.robustness:
        if needed := lacking.get(name):
            yield Problem(
                source,
                "key estimate.robustness",
                f"'{name}' cannot be estimated",
                needed,
                f"add it, or remove '{name}'",
            )


# Columns of assign/fielding.csv beside those of the attributes.
FIELDING = ("respondent_id", "arm", "policy", "petition_id", "petition_text")


def _check_policies(
    config: StudyConfig, arms: Sequence[ArmConfig | RosterArmConfig], section: str, source: str
) -> Iterator[Problem]:
    assigned = {*config.assign.policies, "overall_best"}
    for i, arm in enumerate(arms):
        if arm.policy and arm.policy not in assigned:
            yield Problem(
                source,
                f"key {section}.arms[{i}] ('{arm.name}')",
                f"the policy '{arm.policy}' is not assigned",
                f"one of {listed(sorted(assigned))}",
                "add it to assign.policies",
            )


def _check_roster(config: StudyConfig, roster: RosterConfig, source: str) -> Iterator[Problem]:
    names = [arm.name for arm in roster.arms]
    yield from _check_arms(names, names, "roster", source)
    without = [arm.name for arm in roster.arms if arm.share is None]
    if 0 < len(without) < len(names):
        yield Problem(
            source,
            "key roster.arms",
            f"no share for {listed(without)}, although other arms have one",
            "a share for every arm, or for none (equal shares)",
            "add or remove shares",
        )
    yield from _check_policies(config, roster.arms, "roster", source)
    if (roster.randomisation == "blocked") != bool(roster.blocks):
        yield Problem(
            source,
            "key roster.blocks",
            "only blocked randomisation uses it" if roster.blocks else "blocked randomisation needs it",
            "'randomisation: blocked' with a list of covariates, or neither",
            "add or remove 'blocks', or correct 'randomisation'",
        )
    categorical = [covariate.name for covariate in config.covariates if covariate.kind == "categorical"]
    for name in roster.blocks:
        if name not in categorical:
            known = any(covariate.name == name for covariate in config.covariates)
            yield Problem(
                source,
                "key roster.blocks",
                f"'{name}' is numeric, so that nearly everybody would be a block"
                if known
                else f"unknown covariate '{name}'",
                f"categorical covariates: {listed(categorical) or 'the config has none'}",
                "remove it, or add a categorical covariate that groups it" if known else "correct the name",
            )
    if Path(roster.ledger).parts[:1] == ("results",) or not roster.ledger.endswith(".csv"):
        # `make clean` removes results; a ledger that is lost cannot be drawn again.
        yield Problem(
            source,
            "key roster.ledger",
            f"'{roster.ledger}' cannot be the ledger",
            "a file that ends in .csv, outside the folder 'results'",
            f"write for example data/{config.study}/arms.csv",
        )
    for i, attribute in enumerate(config.design.attributes if config.design else []):
        if (attribute.column or attribute.name) in FIELDING:
            yield Problem(
                source,
                f"key design.attributes[{i}] ('{attribute.name}')",
                f"assign/fielding.csv already has a column '{attribute.column or attribute.name}'",
                f"another column than {listed(FIELDING)}",
                "rename the column in the raw file and in the config",
            )
    yield from _check_exclusions(roster.exclusions, "roster.exclusions", source)


def _check_ladder(config: StudyConfig, source: str) -> Iterator[Problem]:
    targeted = [c.name for c in config.covariates if c.target]
    for name in dict.fromkeys(_repeated([rung.name for rung in config.diagnose.ladder])):
        yield Problem(
            source, "key diagnose.ladder", f"'{name}' is there twice", "one name a set", "rename one"
        )
    for i, rung in enumerate(config.diagnose.ladder):
        unknown = [name for name in rung.covariates if name not in targeted]
        if unknown:
            yield Problem(
                source,
                f"key diagnose.ladder[{i}] ('{rung.name}')",
                f"{listed(unknown)} may not be used for targeting",
                f"covariates of the allow-list with `target`: {listed(targeted) or 'there are none'}",
                "correct the names, or take them out",
            )


def _check_explore(config: StudyConfig, source: str) -> Iterator[Problem]:
    yield from _check_subgroups(config, source)
    outcomes = [outcome.name for outcome in config.experiment.outcomes] if config.experiment else []
    for name in config.explore.comparable:
        if config.experiment and name not in outcomes:
            yield Problem(
                source,
                "key explore.comparable",
                f"unknown outcome '{name}'",
                f"outcomes of the experiment: {listed(outcomes) or 'there are none'}",
                "correct the name",
            )
    base = config.explore.base
    if base is None:
        return
    grouping = next((g for g in config.explore.subgroups if g.name == base.grouping), None)
    if grouping is None:
        yield Problem(
            source,
            "key explore.base",
            f"unknown grouping '{base.grouping}'",
            f"one of explore.subgroups: {listed(g.name for g in config.explore.subgroups) or 'none'}",
            "correct the name or add the grouping",
        )
        return
    covariate = next((c for c in config.covariates if c.name == grouping.covariate), None)
    groups = [group.name for group in grouping.groups]
    if not groups and covariate is not None:
        groups = [str(level) for level in covariate.levels or []]
    if base.group not in groups:
        yield Problem(
            source,
            "key explore.base",
            f"'{base.grouping}' has no group '{base.group}'",
            f"one of {listed(groups)}",
            "correct the name",
        )


def _check_subgroups(config: StudyConfig, source: str) -> Iterator[Problem]:
    covariates = {covariate.name: covariate for covariate in config.covariates}
    for name in dict.fromkeys(_repeated([grouping.name for grouping in config.explore.subgroups])):
        yield Problem(
            source,
            "key explore.subgroups",
            f"the grouping '{name}' is there twice",
            "every grouping once",
            "rename one of them",
        )
    for i, grouping in enumerate(config.explore.subgroups):
        where = f"key explore.subgroups[{i}] ('{grouping.name}')"
        covariate = covariates.get(grouping.covariate)
        if covariate is None:
            yield Problem(
                source,
                where,
                f"unknown covariate '{grouping.covariate}'",
                f"one of {listed(sorted(covariates))}",
                "add it to the covariates or correct the name",
            )
        elif covariate.kind == "numeric":
            if len(grouping.groups) < 2:
                yield Problem(
                    source,
                    where,
                    "a numeric covariate needs at least two groups",
                    "groups with min and max",
                    "add them",
                )
            bounds = [
                (
                    -float("inf") if group.min is None else group.min,
                    float("inf") if group.max is None else group.max,
                )
                for group in grouping.groups
            ]
            ordered = all(low <= high for low, high in bounds)
            apart = all(a[1] < b[0] for a, b in itertools.pairwise(bounds))
            if not (ordered and apart):
                yield Problem(
                    source,
                    where,
                    "the groups overlap or are out of order",
                    "groups from low to high, each beginning above the end of the one before",
                    "correct min and max",
                )
        elif grouping.groups:
            yield Problem(
                source,
                where,
                "a categorical covariate is grouped by its levels",
                "no 'groups'",
                "remove 'groups'",
            )
