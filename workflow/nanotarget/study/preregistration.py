"""The frozen pre-registration: what its file may say, how it is read, the names that estimates share."""

from __future__ import annotations

import datetime
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from nanotarget.study.checks import Row, needs_value, problems, unknown
from nanotarget.study.config import (
    ExclusionConfig,
    OutcomeKind,
    RandomisationConfig,
    RobustnessEstimator,
)
from nanotarget.study.fields import Alpha, Day, Digest, Distinct, Name, Number, Positive, Section
from nanotarget.study.messages import validated
from nanotarget.study.problems import InputError, Problem, listed, raise_if_any
from nanotarget.study.reading import parse_yaml, read_text

Label = Literal["confirmatory", "secondary", "exploratory"]

# What an analysis is done with that registers no estimator; the others must be registered by name.
MainEstimator = Literal["dim", "lin", "tost"]
Estimator = Literal[MainEstimator, RobustnessEstimator]
MAIN_ESTIMATORS = get_args(MainEstimator)
ESTIMATORS = tuple(dict.fromkeys(get_args(Estimator)))
# Those whose p values are adjusted within registered families.
FAMILY_ESTIMATORS = ("dim", "lin")


class RegisteredOutcome(Section):
    """A registered outcome."""

    name: Name = Field(description="Name of the outcome.")
    kind: OutcomeKind = Field(description="As in the config.")
    at_least: Number | None = Field(None, description="Threshold that makes a number a binary outcome.")


class Analysis(Section, title="analysis"):
    """A registered hypothesis or secondary analysis."""

    id: Name = Field(description="Name of the hypothesis or analysis.")
    text: str = Field("", description="The hypothesis in words.")
    outcome: str = Field(description="One of the registered outcomes.")
    contrast: Annotated[Distinct[str], Field(min_length=2, max_length=2)] | None = Field(
        None,
        description="[arm, other arm]: the first minus the second; every contrast of registered arms if "
        "absent.",
    )
    direction: Literal["greater", "less", "two-sided"] = Field(
        "two-sided",
        description="Expected sign of the contrast; on record only, every test is two-sided.",
    )
    estimator: Estimator | None = Field(
        None,
        description="dim: difference in means; lin: Lin adjustment; tost: equivalence test; if absent, all "
        "three; the others as in estimate.robustness of the config.",
    )

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


class Family(Section):
    """Analyses whose p values are adjusted together."""

    name: Name = Field(description="Name of the family.")
    analyses: Distinct[str] = Field(min_length=1, description="Ids of hypotheses and secondary analyses.")


class SampleSize(Section):
    """Registered number of people randomised and left after the exclusions, in all and by arm."""

    planned: int = Field(ge=1, description="People in all arms together.")
    arms: dict[str, Annotated[int, Field(ge=0)]] = Field({}, description="People in each arm.")
    stopping_rule: str = Field("", description="When and why data collection ends.")


class RegisteredExclusions(Section):
    """Registered exclusions of both samples, in order."""

    calibration: list[ExclusionConfig] = Field([], description="Exclusions from the calibration sample.")
    experiment: list[ExclusionConfig] = Field([], description="Exclusions from the experiment.")


class Registration(Section, title="pre-registration"):
    """What was registered before the data were seen; what a study does differently is a deviation."""

    registry: Name = Field(description="Where it was registered.")
    id: Name = Field(description="Identifier in that registry.")
    date: Day = Field(description="Day of registration, as YYYY-MM-DD.")
    arms: Distinct[Name] = Field(
        min_length=2, description="Names of the arms, as in experiment.arms of the config."
    )
    outcomes: list[RegisteredOutcome] = Field(
        min_length=1, description="Registered outcomes, as in experiment.outcomes of the config."
    )
    hypotheses: list[Analysis] = Field(description="Confirmatory hypotheses.")
    secondary: list[Analysis] = Field([], description="Registered analyses that are not confirmatory.")
    primary: str | None = Field(None, description="Id of the primary hypothesis.")
    robustness: Distinct[RobustnessEstimator] = Field(
        [],
        description="Estimators of the robustness set, as in estimate.robustness of the config. Their "
        "estimates are secondary where they answer the question of a registered analysis.",
    )
    families: list[Family] = Field(
        [],
        description="Analyses whose p values are adjusted together by Holm (1979), also across outcomes and "
        "estimators; those of no family are adjusted over the contrasts of their outcome and estimator.",
    )
    alpha: Alpha = Field(0.05, description="Two-sided level of tests.")
    adjust: Distinct[str] = Field([], description="Covariates of the Lin adjustment.")
    weight: str | None = Field(
        None, description="Column with the survey weights of the experiment; none if absent."
    )
    sesoi: dict[str, Positive] = Field({}, description="Smallest effect of interest, one entry per outcome.")
    randomisation: RandomisationConfig | None = Field(
        None,
        description="How arms are drawn, as in experiment.randomisation of the config; not registered if "
        "absent.",
    )
    sample_size: SampleSize | None = Field(
        None,
        description="How many people are to be randomised and left after the exclusions; not registered if "
        "absent.",
    )
    exclusions: RegisteredExclusions = Field(
        RegisteredExclusions(),
        description="Exclusions in their order, one list per sample; written as in the config.",
    )
    post_checks: list[ExclusionConfig] = Field(
        [],
        description="Who fails a check made after the treatment, as in experiment.post_checks of the config; "
        "left out only for robustness.",
    )
    model: dict[Literal["model.json", "model.npz"], Digest] = Field(
        {},
        description="SHA-256 of the frozen model's files, the two lines of its SHA256SUMS in "
        "private/calibrate/model/; with them no petition is assigned by another model.",
    )
    data_collected: str = Field("", description="Had any data been collected at that time? In words.")
    other: str = Field("", description="Anything else that was registered, in words.")

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


def parse(text: str, source: str) -> Registration:
    """Read a pre-registration.

    Args:
        text: YAML.
        source: name of the file for messages.

    Raises:
        InputError: with everything that is wrong with it.
    """
    raw: Any = parse_yaml(text, source)
    if not isinstance(raw, Mapping):
        what, remedy = "it holds no pre-registration", "begin with data/climate_petition/preregistration.yaml"
        raise InputError([Problem(source, "whole file", what, "a mapping of keys to values", remedy)])
    registration = validated(Registration, raw, source)
    raise_if_any(problems(_cross_check(registration), source))
    return registration


def read(path: str | None) -> Registration | None:
    """Read the file of a pre-registration; a study without one has none.

    Raises:
        InputError: as `parse`, or if there is no such file.
    """
    remedy = "correct key preregistration in the config or the file; without the key all is exploratory"
    return parse(read_text(path, path, remedy), path) if path else None


def _cross_check(registration: Registration) -> Iterator[Row]:
    day = registration.date
    yield not _is_day(day), "key date", f"'{day}' is no day", "YYYY-MM-DD", "correct the date"
    yield from _twice("key hypotheses", "id", [analysis.id for analysis in registration.analyses])
    ids = [hypothesis.id for hypothesis in registration.hypotheses]
    if registration.primary is not None:
        yield from unknown("key primary", "hypothesis", [registration.primary], ids, "correct the id")
    yield from _families(registration)
    outcomes = [outcome.name for outcome in registration.outcomes]
    for analysis in registration.analyses:
        yield from _analysis(analysis, registration)
    if registration.sample_size:
        yield from _sample_size(registration.sample_size, registration.arms)
    exclusions = registration.exclusions
    for step in (*exclusions.calibration, *exclusions.experiment, *registration.post_checks):
        needed = needs_value(step)
        what = f"the rule '{step.rule}' needs '{needed}'"
        yield needed, f"exclusion '{step.step}'", what, f"a key '{needed}'", "add it"
    yield from unknown("key sesoi", "outcome", registration.sesoi, outcomes)


def _is_day(text: str) -> bool:
    try:
        return bool(datetime.date.fromisoformat(text))
    except ValueError:
        return False


def _twice(key: str, noun: str, names: Iterable[str]) -> Iterator[Row]:
    for name, n in sorted(Counter(names).items()):
        yield n > 1, key, f"the {noun} '{name}' is there twice", f"every {noun} once", "rename one"


def _analysis(analysis: Analysis, registration: Registration) -> Iterator[Row]:
    where = f"analysis '{analysis.id}'"
    kinds: dict[str, str] = {outcome.name: outcome.kind for outcome in registration.outcomes}
    remedy = "correct the name or register the outcome"
    yield from unknown(where, "outcome", [analysis.outcome], kinds, remedy)
    needed = {"logit": "binary", "ordinal": "ordinal"}.get(analysis.estimator or "")
    kind = kinds.get(analysis.outcome)
    yield (
        needed and kind and kind != needed,
        where,
        f"'{analysis.estimator}' does not suit an outcome of kind '{kind}'",
        f"an outcome of kind '{needed}', or another estimator",
        "correct the estimator",
    )
    yield from unknown(where, "arm", analysis.contrast or [], registration.arms)


def _sample_size(size: SampleSize, arms: list[str]) -> Iterator[Row]:
    yield from unknown("key sample_size.arms", "arm", size.arms, arms)
    total = sum(size.arms.values())
    what = f"{size.planned} are planned, but the arms add up to {total}"
    wrong = set(size.arms) == set(arms) and total != size.planned
    yield wrong, "key sample_size", what, "arms that add up to 'planned'", "correct one of them"


def _families(registration: Registration) -> Iterator[Row]:
    """A family is adjusted within one table, and an analysis in one family."""
    analyses = {analysis.id: analysis for analysis in registration.analyses}
    adjusted = f"analyses by {listed(FAMILY_ESTIMATORS)}"
    owner: dict[str, str] = {}
    for family in registration.families:
        where = f"family '{family.name}'"
        yield from unknown(where, "analysis", family.analyses, analyses, "correct the id")
        for name in family.analyses:
            analysis, first = analyses.get(name), owner.setdefault(name, family.name)
            unadjusted = analysis and not set(analysis.estimators) & set(FAMILY_ESTIMATORS)
            what = f"the p value of '{name}' ({analysis and analysis.estimator}) is not adjusted"
            yield unadjusted, where, what, adjusted, "take it out"
            what = f"'{name}' is also in the family '{first}'"
            yield first != family.name, where, what, "every analysis in one family", "take it out of one"
    yield from _twice("key families", "family", [family.name for family in registration.families])
