"""The frozen pre-registration: the label of every estimate, and what was done differently.

Labels follow from the registration alone; there is no way to set one by hand.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pandas as pd
import yaml

from nanotarget.config import ExclusionConfig, StudyConfig, explain, normalised, typed
from nanotarget.problems import InputError, Problem, listed, raise_if_any

SCHEMA_FILE = Path(__file__).parents[1] / "schemas" / "preregistration.schema.yaml"

Label = Literal["confirmatory", "secondary", "exploratory"]

DEVIATION_COLUMNS = ("deviation", "what", "registered", "done", "outputs", "outcome", "estimator")

ESTIMATORS = ("dim", "lin", "tost")

# Artefacts that an analysis of the experiment's outcomes goes into.
EFFECTS = "estimate/effects.csv"
EQUIVALENCE = "estimate/equivalence.csv"
ALL_ESTIMATES = (EFFECTS, EQUIVALENCE, "estimate/power.csv", "explore/subgroups.csv")
SAMPLE_TABLES = ("estimate/attrition.csv", "estimate/balance.csv")


@dataclass(frozen=True)
class RegisteredOutcome:
    """A registered outcome; `at_least` is the threshold that makes a number binary."""

    name: str
    kind: Literal["binary", "continuous"]
    at_least: float | None = None


@dataclass(frozen=True)
class Analysis:
    """A registered hypothesis or secondary analysis.

    Attributes:
        contrast: [arm, other arm], the first minus the second; None = every contrast of registered arms.
        direction: what was expected; it is on record, and every test is two-sided all the same.
        estimator: dim, lin or tost; None = all of them.
    """

    id: str
    outcome: str
    text: str = ""
    contrast: list[str] | None = None
    direction: Literal["greater", "less", "two-sided"] = "two-sided"
    estimator: Literal["dim", "lin", "tost"] | None = None

    def covers(self, outcome: str, estimator: str, contrast: str) -> bool:
        """Say whether an estimate is this analysis; the sign of the contrast does not matter."""
        if outcome != self.outcome or self.estimator not in (None, estimator):
            return False
        return self.contrast is None or contrast in (
            contrast_name(*self.contrast),
            contrast_name(*reversed(self.contrast)),
        )


@dataclass(frozen=True)
class RegisteredExclusions:
    """Registered exclusions of both samples, in order."""

    calibration: list[ExclusionConfig] = field(default_factory=list)
    experiment: list[ExclusionConfig] = field(default_factory=list)


@dataclass(frozen=True)
class Registration:
    """A pre-registration; mirrors its schema key by key."""

    registry: str
    id: str
    date: str
    arms: list[str]
    outcomes: list[RegisteredOutcome]
    hypotheses: list[Analysis]
    secondary: list[Analysis] = field(default_factory=list)
    primary: str | None = None
    multiplicity: Literal["holm"] = "holm"
    alpha: float = 0.05
    adjust: list[str] = field(default_factory=list)
    sesoi: dict[str, float] = field(default_factory=dict)
    exclusions: RegisteredExclusions = field(default_factory=RegisteredExclusions)


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


def _cross_check(registration: Registration, source: str) -> Iterator[Problem]:
    try:
        datetime.date.fromisoformat(registration.date)
    except ValueError:
        yield Problem(
            source, "key date", f"'{registration.date}' is no day", "YYYY-MM-DD", "correct the date"
        )
    analyses = [*registration.hypotheses, *registration.secondary]
    ids = [analysis.id for analysis in analyses]
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
    outcomes = [outcome.name for outcome in registration.outcomes]
    for analysis in analyses:
        where = f"analysis '{analysis.id}'"
        if analysis.outcome not in outcomes:
            yield Problem(
                source,
                where,
                f"unknown outcome '{analysis.outcome}'",
                f"one of {listed(outcomes)}",
                "correct the name or register the outcome",
            )
        for arm in analysis.contrast or []:
            if arm not in registration.arms:
                yield Problem(
                    source,
                    where,
                    f"unknown arm '{arm}'",
                    f"one of {listed(registration.arms)}",
                    "correct the name",
                )
    for step in [*registration.exclusions.calibration, *registration.exclusions.experiment]:
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


def label_of(registration: Registration | None, outcome: str, estimator: str, contrast: str) -> Label:
    """Return the label of an estimate; without a registration everything is exploratory.

    Args:
        registration: the study's, or None.
        outcome: name of the outcome.
        estimator: dim, lin or tost (or any other, which is exploratory).
        contrast: as `contrast_name` writes it. With an arm that is not registered it is exploratory,
            even where an analysis was registered for every contrast.
    """
    if registration is None or estimator not in ESTIMATORS:
        return "exploratory"
    if contrast not in {contrast_name(*arms) for arms in itertools.permutations(registration.arms, 2)}:
        return "exploratory"
    if any(hypothesis.covers(outcome, estimator, contrast) for hypothesis in registration.hypotheses):
        return "confirmatory"
    if any(analysis.covers(outcome, estimator, contrast) for analysis in registration.secondary):
        return "secondary"
    return "exploratory"


def deviations(config: StudyConfig, registration: Registration | None) -> pd.DataFrame:
    """List what the study does differently from its registration.

    Args:
        config: the study; parts without data (no calibration, no experiment) cannot deviate.
        registration: the study's; without one there is nothing to deviate from.

    Returns:
        deviation (D1, D2, ...), what, registered, done, outputs (artefacts touched, joined by
        "; "), outcome and estimator (which of their rows; empty = all).
    """
    found = [] if registration is None else list(_differences(config, registration))
    rows = [(f"D{i}", *difference) for i, difference in enumerate(found, 1)]
    return pd.DataFrame(rows, columns=list(DEVIATION_COLUMNS), dtype="str")


def touching(deviations: pd.DataFrame, output: str, outcome: str, estimator: str) -> str:
    """Return the ids of the deviations that touch a row of an artefact, joined by "; ".

    Args:
        deviations: from `deviations`.
        output: path of the artefact inside the study's results.
        outcome: of the row.
        estimator: of the row.
    """
    table = deviations.fillna("")
    touched = [
        row.deviation
        for row in table.itertuples()
        if output in row.outputs.split("; ")
        and row.outcome in ("", outcome)
        and row.estimator in ("", estimator)
    ]
    return "; ".join(touched)


def marked(table: pd.DataFrame, output: str, deviations: pd.DataFrame | None) -> pd.DataFrame:
    """Add the ids of the deviations that touch each row."""
    if deviations is None or deviations.empty:
        return table.assign(deviation="")
    blank = [""] * len(table)
    outcomes, estimators = table.get("outcome", blank), table.get("estimator", blank)
    marks = [touching(deviations, output, o, e) for o, e in zip(outcomes, estimators, strict=True)]
    return table.assign(deviation=marks)


Difference = tuple[str, str, str, str, str, str]


def _difference(
    what: str, registered: str, done: str, outputs: Sequence[str], outcome: str = "", estimator: str = ""
) -> Difference:
    return what, registered, done, "; ".join(outputs), outcome, estimator


def _differences(config: StudyConfig, registration: Registration) -> Iterator[Difference]:
    if config.calibration:
        yield from _exclusions(
            "calibration",
            registration.exclusions.calibration,
            config.calibration.exclusions,
            ("calibrate/amce.csv", "calibrate/marginal_means.csv", "diagnose/diagnostics.csv"),
        )
    if config.experiment is None:
        return
    estimates = (*ALL_ESTIMATES, *SAMPLE_TABLES)
    yield from _exclusions(
        "experiment", registration.exclusions.experiment, config.experiment.exclusions, estimates
    )
    arms = [arm.name for arm in config.experiment.arms]
    if sorted(arms) != sorted(registration.arms):
        yield _difference("arms", ", ".join(registration.arms), ", ".join(arms), estimates)
    done = config.estimate
    if done.alpha != registration.alpha:
        yield _difference("alpha", f"{registration.alpha:g}", f"{done.alpha:g}", ALL_ESTIMATES)
    if sorted(done.adjust) != sorted(registration.adjust):
        yield _difference(
            "adjust",
            ", ".join(registration.adjust) or "nothing",
            ", ".join(done.adjust) or "nothing",
            (EFFECTS, "estimate/power.csv"),
            estimator="lin",
        )
    yield from _outcome_differences(config, registration)
    yield from _untested(config, registration)


def _exclusions(
    sample: str,
    registered: Sequence[ExclusionConfig],
    done: Sequence[ExclusionConfig],
    outputs: Sequence[str],
) -> Iterator[Difference]:
    """Steps are compared by what they do, in order, not by their names."""
    if [_rule_text(step) for step in registered] != [_rule_text(step) for step in done]:
        texts = ["; then ".join(f"{s.step} ({_rule_text(s)})" for s in steps) for steps in (registered, done)]
        yield _difference(f"exclusions from the {sample}", texts[0] or "none", texts[1] or "none", outputs)


def _rule_text(step: ExclusionConfig) -> str:
    match step.rule:
        case "in" | "not_in":
            values = sorted({normalised(value) for value in step.values})
            return f"{step.column} {step.rule.replace('_', ' ')} {listed(values, len(values))}"
        case "below" | "above":
            return f"{step.column} {step.rule} {step.value:g}"
        case _:
            return f"{step.column} {step.rule}"


def _outcome_differences(config: StudyConfig, registration: Registration) -> Iterator[Difference]:
    assert config.experiment is not None
    done = {outcome.name: outcome for outcome in config.experiment.outcomes}
    for registered in registration.outcomes:
        outcome = done.get(registered.name)
        if outcome is None:
            yield _difference("outcome", registered.name, "not analysed", (), outcome=registered.name)
            continue
        texts = [
            o.kind + (f", 1 if at least {o.at_least:g}" if o.at_least is not None else "")
            for o in (registered, outcome)
        ]
        if texts[0] != texts[1]:
            what = f"measurement of {registered.name}"
            yield _difference(what, texts[0], texts[1], ALL_ESTIMATES, outcome=registered.name)
        bounds = [sesoi.get(registered.name) for sesoi in (registration.sesoi, config.estimate.sesoi)]
        if bounds[0] != bounds[1]:
            texts = ["none" if bound is None else f"{bound:g}" for bound in bounds]
            what = f"smallest effect of interest of {registered.name}"
            outputs = (EQUIVALENCE, "estimate/power.csv")
            yield _difference(what, texts[0], texts[1], outputs, outcome=registered.name)


def _untested(config: StudyConfig, registration: Registration) -> Iterator[Difference]:
    """Registered analyses that the config makes impossible although their outcome is there."""
    assert config.experiment is not None
    arms = {arm.name for arm in config.experiment.arms}
    outcomes = {outcome.name for outcome in config.experiment.outcomes}
    for analysis in [*registration.hypotheses, *registration.secondary]:
        if analysis.outcome not in outcomes:
            continue
        missing = [arm for arm in analysis.contrast or [] if arm not in arms]
        if missing:
            reason = f"not tested: no arm {listed(missing)}"
        elif analysis.estimator == "lin" and not config.estimate.adjust:
            reason = "not tested: no covariates to adjust for"
        elif analysis.estimator == "tost" and analysis.outcome not in config.estimate.sesoi:
            reason = "not tested: no smallest effect of interest"
        else:
            continue
        yield _difference(
            f"analysis {analysis.id}",
            analysis.text or f"{analysis.outcome}, {analysis.estimator}",
            reason,
            (),
            outcome=analysis.outcome,
        )
