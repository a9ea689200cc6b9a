"""The frozen pre-registration of a study: what it registers, read and checked."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import jsonschema
import yaml

from nanotarget.study.config import (
    ExclusionConfig,
    OutcomeKind,
    RandomisationConfig,
    explain,
    typed,
)
from nanotarget.study.problems import InputError, Problem, listed, raise_if_any

SCHEMA_FILE = Path(__file__).parents[2] / "schemas" / "preregistration.schema.yaml"

Label = Literal["confirmatory", "secondary", "exploratory"]

Estimator = Literal["dim", "lin", "tost", "logit", "ordinal", "mann_whitney", "ri", "lee", "ipw", "cace"]
ESTIMATORS = get_args(Estimator)
# What an analysis is done with that registers no estimator; the others must be registered by name.
MAIN_ESTIMATORS = ("dim", "lin", "tost")
# Those whose p values are adjusted within registered families.
FAMILY_ESTIMATORS = ("dim", "lin")


@dataclass(frozen=True)
class RegisteredOutcome:
    """A registered outcome; `at_least` is the threshold that makes a number binary."""

    name: str
    kind: OutcomeKind
    at_least: float | None = None


@dataclass(frozen=True)
class Analysis:
    """A registered hypothesis or secondary analysis.

    Attributes:
        contrast: [arm, other arm], the first minus the second; None = every contrast of registered arms.
        direction: what was expected; it is on record, and every test is two-sided all the same.
        estimator: one of ESTIMATORS; None = all of MAIN_ESTIMATORS.
    """

    id: str
    outcome: str
    text: str = ""
    contrast: list[str] | None = None
    direction: Literal["greater", "less", "two-sided"] = "two-sided"
    estimator: Estimator | None = None

    @property
    def estimators(self) -> tuple[str, ...]:
        """What it is done with."""
        return MAIN_ESTIMATORS if self.estimator is None else (self.estimator,)

    def asks(self, outcome: str, contrast: str) -> bool:
        """Say whether an estimate answers its question; the sign of the contrast does not matter."""
        return outcome == self.outcome and (
            self.contrast is None
            or contrast in (contrast_name(*self.contrast), contrast_name(*reversed(self.contrast)))
        )

    def covers(self, outcome: str, estimator: str, contrast: str) -> bool:
        """Say whether an estimate is this analysis: it answers its question by its estimator."""
        return self.asks(outcome, contrast) and estimator in self.estimators


@dataclass(frozen=True)
class Family:
    """Analyses (ids) whose p values are adjusted together."""

    name: str
    analyses: list[str]


@dataclass(frozen=True)
class SampleSize:
    """Registered number of people randomised and left after the exclusions, in all and by arm."""

    planned: int
    arms: dict[str, int] = field(default_factory=dict)
    stopping_rule: str = ""


@dataclass(frozen=True)
class RegisteredExclusions:
    """Registered exclusions of both samples, in order."""

    calibration: list[ExclusionConfig] = field(default_factory=list)
    experiment: list[ExclusionConfig] = field(default_factory=list)


@dataclass(frozen=True)
class Registration:
    """A pre-registration; mirrors its schema key by key. None = not registered."""

    registry: str
    id: str
    date: str
    arms: list[str]
    outcomes: list[RegisteredOutcome]
    hypotheses: list[Analysis]
    secondary: list[Analysis] = field(default_factory=list)
    primary: str | None = None
    robustness: list[str] = field(default_factory=list)
    multiplicity: Literal["holm"] = "holm"
    families: list[Family] = field(default_factory=list)
    alpha: float = 0.05
    adjust: list[str] = field(default_factory=list)
    weight: str | None = None
    sesoi: dict[str, float] = field(default_factory=dict)
    randomisation: RandomisationConfig | None = None
    sample_size: SampleSize | None = None
    exclusions: RegisteredExclusions = field(default_factory=RegisteredExclusions)
    post_checks: list[ExclusionConfig] = field(default_factory=list)
    data_collected: str = ""
    other: str = ""

    @property
    def analyses(self) -> list[Analysis]:
        """Hypotheses, then secondary analyses."""
        return [*self.hypotheses, *self.secondary]

    def knows(self, contrast: str) -> bool:
        """Say whether a contrast is one of two registered arms."""
        return contrast in {contrast_name(*arms) for arms in itertools.permutations(self.arms, 2)}


def contrast_name(arm: str, other: str) -> str:
    """Write a contrast as every artefact does: ``arm - other``."""
    return f"{arm} - {other}"


@cache
def schema() -> dict[str, Any]:
    """Return the schema of a pre-registration file."""
    return yaml.safe_load(SCHEMA_FILE.read_text(encoding="utf-8"))


def parse(text: str, source: str) -> Registration:
    """Read a pre-registration.

    Args:
        text: YAML.
        source: name of the file for messages.

    Raises:
        InputError: with everything that is wrong with it.
    """
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # an impossible date is a ValueError
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "whole file"
        what = f"it is no valid YAML ({getattr(error, 'problem', None) or error})"
        raise InputError(
            [Problem(source, where, what, "a mapping of keys to values", "correct the file at that place")]
        ) from None
    if not isinstance(raw, Mapping):
        raise InputError(
            [
                Problem(
                    source,
                    "whole file",
                    "it holds no pre-registration",
                    "a mapping of keys to values",
                    "begin with data/climate_petition/preregistration.yaml",
                )
            ]
        )
    # YAML reads an unquoted day as a date.
    content = {k: v.isoformat() if isinstance(v, datetime.date) else v for k, v in raw.items()}
    errors = sorted(
        jsonschema.Draft202012Validator(schema()).iter_errors(content),
        key=lambda e: [str(part) for part in e.absolute_path],
    )
    raise_if_any(dict.fromkeys(problem for error in errors for problem in explain(error, source)))
    registration: Registration = typed(Registration, content)
    raise_if_any(_cross_check(registration, source))
    return registration


def read(path: str | None) -> Registration | None:
    """Read the file of a pre-registration; a study without one has none.

    Raises:
        InputError: as `parse`.
    """
    return parse(Path(path).read_text(encoding="utf-8"), path) if path else None


def _cross_check(registration: Registration, source: str) -> Iterator[Problem]:
    try:
        datetime.date.fromisoformat(registration.date)
    except ValueError:
        yield Problem(
            source, "key date", f"'{registration.date}' is no day", "YYYY-MM-DD", "correct the date"
        )
    ids = [analysis.id for analysis in registration.analyses]
    for twice in sorted({name for name in ids if ids.count(name) > 1}):
        yield Problem(
            source, "key hypotheses", f"the id '{twice}' is there twice", "every id once", "rename one"
        )
    if registration.primary is not None and registration.primary not in [
        h.id for h in registration.hypotheses
    ]:
        yield Problem(
            source,
            "key primary",
            f"there is no hypothesis '{registration.primary}'",
            f"one of {listed(h.id for h in registration.hypotheses)}",
            "correct the id",
        )
    yield from _check_families(registration, source)
    outcomes = [outcome.name for outcome in registration.outcomes]
    kinds = {outcome.name: outcome.kind for outcome in registration.outcomes}
    for analysis in registration.analyses:
        where = f"analysis '{analysis.id}'"
        if analysis.outcome not in outcomes:
            yield Problem(
                source,
                where,
                f"unknown outcome '{analysis.outcome}'",
                f"one of {listed(outcomes)}",
                "correct the name or register the outcome",
            )
        needed = {"logit": "binary", "ordinal": "ordinal"}.get(analysis.estimator or "")
        if needed and kinds.get(analysis.outcome, needed) != needed:
            yield Problem(
                source,
                where,
                f"'{analysis.estimator}' does not suit an outcome of kind '{kinds[analysis.outcome]}'",
                f"an outcome of kind '{needed}', or another estimator",
                "correct the estimator",
            )
        yield from _check_arms(analysis.contrast or [], where, registration, source)
    size = registration.sample_size
    if size and size.arms:
        yield from _check_arms(size.arms, "key sample_size.arms", registration, source)
        if set(size.arms) == set(registration.arms) and sum(size.arms.values()) != size.planned:
            yield Problem(
                source,
                "key sample_size",
                f"{size.planned} are planned, but the arms add up to {sum(size.arms.values())}",
                "arms that add up to 'planned'",
                "correct one of them",
            )
    steps = (
        registration.exclusions.calibration,
        registration.exclusions.experiment,
        registration.post_checks,
    )
    for step in itertools.chain(*steps):
        needed = {"in": "values", "not_in": "values", "below": "value", "above": "value"}.get(step.rule)
        if needed and getattr(step, needed) in (None, []):
            where = f"exclusion '{step.step}'"
            yield Problem(
                source, where, f"the rule '{step.rule}' needs '{needed}'", f"a key '{needed}'", "add it"
            )
    for name in registration.sesoi:
        if name not in outcomes:
            yield Problem(
                source,
                "key sesoi",
                f"unknown outcome '{name}'",
                f"one of {listed(outcomes)}",
                "correct the name",
            )


def _check_arms(
    names: Iterable[str], where: str, registration: Registration, source: str
) -> Iterator[Problem]:
    for arm in names:
        if arm not in registration.arms:
            yield Problem(
                source,
                where,
                f"unknown arm '{arm}'",
                f"one of {listed(registration.arms)}",
                "correct the name",
            )


def _check_families(registration: Registration, source: str) -> Iterator[Problem]:
    """A family is adjusted within one table, and an analysis in one family."""
    analyses = {analysis.id: analysis for analysis in registration.analyses}
    owner: dict[str, str] = {}
    for family in registration.families:
        where = f"family '{family.name}'"
        for name in family.analyses:
            if name not in analyses:
                yield Problem(
                    source,
                    where,
                    f"there is no analysis '{name}'",
                    f"one of {listed(analyses)}",
                    "correct it",
                )
            elif not set(FAMILY_ESTIMATORS) & set(analyses[name].estimators):
                yield Problem(
                    source,
                    where,
                    f"the p value of '{name}' ({analyses[name].estimator}) is not adjusted",
                    f"analyses by {listed(FAMILY_ESTIMATORS)}",
                    "take it out",
                )
            if owner.setdefault(name, family.name) != family.name:
                yield Problem(
                    source,
                    where,
                    f"'{name}' is also in the family '{owner[name]}'",
                    "every analysis in one family",
                    "take it out of one",
                )
    names = [family.name for family in registration.families]
    for twice in sorted({name for name in names if names.count(name) > 1}):
        yield Problem(
            source, "key families", f"the family '{twice}' is there twice", "every name once", "rename one"
        )
