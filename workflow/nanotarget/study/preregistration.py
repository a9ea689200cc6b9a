"""The frozen pre-registration: the label of every estimate, and what was done differently.

Labels follow from the registration alone; there is no way to set one by hand.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pandas as pd
import yaml

from nanotarget.study.config import (
    ExclusionConfig,
    ExperimentConfig,
    OutcomeKind,
    RandomisationConfig,
    StudyConfig,
    explain,
    normalised,
    typed,
)
from nanotarget.study.problems import InputError, Problem, listed, raise_if_any

SCHEMA_FILE = Path(__file__).parents[2] / "schemas" / "preregistration.schema.yaml"

Label = Literal["confirmatory", "secondary", "exploratory"]

DEVIATION_COLUMNS = ("deviation", "what", "registered", "done", "outputs", "outcome", "estimator")

# Artefacts that an analysis of the experiment's outcomes goes into.
EFFECTS = "estimate/effects.csv"
EQUIVALENCE = "estimate/equivalence.csv"
SCALES = "estimate/scales.csv"
OMNIBUS = "estimate/omnibus.csv"
RANDOMIZATION_INFERENCE = "estimate/randomization_inference.csv"
LEE = "estimate/lee_bounds.csv"
IPW = "estimate/ipw.csv"
CACE = "estimate/cace.csv"
CHECKS = "estimate/checks.csv"
ROBUSTNESS = "estimate/robustness.csv"
POWER = "estimate/power.csv"
ALL_ESTIMATES = (
    EFFECTS,
    EQUIVALENCE,
    SCALES,
    OMNIBUS,
    RANDOMIZATION_INFERENCE,
    LEE,
    IPW,
    CACE,
    CHECKS,
    ROBUSTNESS,
    POWER,
    *(
        f"explore/{name}.csv"
        for name in (
            "subgroups",
            "odds_ratios",
            "mobilisation",
            "lower_tail",
            "gate",
            "projection",
            "rate",
            "targeting_curve",
            "validation",
            "fairness",
        )
    ),
)
SAMPLE_TABLES = tuple(
    f"estimate/{name}.csv" for name in ("attrition", "differential_attrition", "balance", "participants")
)

# Estimator -> where its rows are beside the specification curve in ROBUSTNESS.
TABLE_OF = {
    "dim": EFFECTS,
    "lin": EFFECTS,
    "tost": EQUIVALENCE,
    "logit": SCALES,
    "ordinal": SCALES,
    "mann_whitney": SCALES,
    "ri": RANDOMIZATION_INFERENCE,
    "lee": LEE,
    "ipw": IPW,
    "cace": CACE,
}
ESTIMATORS = tuple(TABLE_OF)
# What an analysis is done with that registers no estimator; the others must be registered by name.
MAIN_ESTIMATORS = ("dim", "lin", "tost")

Estimator = Literal["dim", "lin", "tost", "logit", "ordinal", "mann_whitney", "ri", "lee", "ipw", "cace"]


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
            elif EFFECTS not in map(TABLE_OF.__getitem__, analyses[name].estimators):
                yield Problem(
                    source,
                    where,
                    f"the p value of '{name}' ({analyses[name].estimator}) is not adjusted",
                    f"analyses by {listed(e for e, table in TABLE_OF.items() if table == EFFECTS)}",
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


def own_family(table: pd.DataFrame) -> pd.Series:
    """Name the family of each estimate where none is registered: its outcome and estimator."""
    return table["outcome"].astype("str") + ", " + table["estimator"].astype("str")


def families(registration: Registration | None, table: pd.DataFrame) -> pd.Series:
    """Name the family of tests in which the p value of each estimate is adjusted.

    What no registered family lists is adjusted over the contrasts of its outcome and estimator.

    Args:
        registration: the study's, or None.
        table: with outcome, estimator and contrast.

    Returns:
        Texts with the index of the table.
    """
    members = [
        (family.name, analysis)
        for family in (registration.families if registration else [])
        for analysis in registration.analyses  # type: ignore[union-attr]
        if analysis.id in family.analyses
    ]

    def family_of(own: str, *estimate: str) -> str:
        if registration is not None and registration.knows(estimate[-1]):
            for name, analysis in members:
                if analysis.covers(*estimate):
                    return name
        return own

    rows = zip(own_family(table), table["outcome"], table["estimator"], table["contrast"], strict=True)
    return pd.Series([family_of(*row) for row in rows], index=table.index, dtype="str", name="family")


def label_of(registration: Registration | None, outcome: str, estimator: str, contrast: str) -> Label:
    """Return the label of an estimate; without a registration everything is exploratory.

    Args:
        registration: the study's, or None.
        outcome: name of the outcome.
        estimator: one of ESTIMATORS (or any other, which is exploratory). One of the registered
            robustness set is secondary wherever it answers the question of a registered analysis.
        contrast: as `contrast_name` writes it. With an arm that is not registered it is exploratory,
            even where an analysis was registered for every contrast.
    """
    if registration is None or estimator not in ESTIMATORS:
        return "exploratory"
    if not registration.knows(contrast):
        return "exploratory"
    if any(hypothesis.covers(outcome, estimator, contrast) for hypothesis in registration.hypotheses):
        return "confirmatory"
    if any(analysis.covers(outcome, estimator, contrast) for analysis in registration.secondary):
        return "secondary"
    if estimator in registration.robustness and any(
        analysis.asks(outcome, contrast) for analysis in registration.analyses
    ):
        return "secondary"
    return "exploratory"


def deviations(
    config: StudyConfig, registration: Registration | None, realised: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """List what the study does differently from its registration.

    Args:
        config: the study; parts without data (no calibration, no experiment) cannot deviate.
        registration: the study's; without one there is nothing to deviate from.
        realised: arm -> people randomised to it and left after the exclusions; None = not known, and
            not compared with what was planned.

    Returns:
        deviation (D1, D2, ...), what, registered, done, outputs (artefacts touched) and estimator
        (which of their rows; empty = all), both joined by "; ", and outcome (empty = all).
    """
    found = [] if registration is None else list(_differences(config, registration))
    if registration and config.experiment and realised is not None:
        found += _sizes(registration, realised)
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
        and (row.estimator == "" or estimator in row.estimator.split("; "))
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
    what: str,
    registered: str,
    done: str,
    outputs: Sequence[str],
    outcome: str = "",
    estimators: Sequence[str] = (),
) -> Difference:
    return what, registered, done, "; ".join(outputs), outcome, "; ".join(estimators)


def _differences(config: StudyConfig, registration: Registration) -> Iterator[Difference]:
    if config.calibration:
        yield from _steps(
            "exclusions from the calibration",
            registration.exclusions.calibration,
            config.calibration.exclusions,
            ("calibrate/amce.csv", "calibrate/marginal_means.csv", "diagnose/diagnostics.csv"),
        )
    if config.experiment is None:
        return
    estimates = (*ALL_ESTIMATES, *SAMPLE_TABLES)
    yield from _steps(
        "exclusions from the experiment",
        registration.exclusions.experiment,
        config.experiment.exclusions,
        estimates,
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
            (EFFECTS, POWER, ROBUSTNESS, IPW),
            estimators=("lin", "ipw"),
        )
    yield from _design_differences(config.experiment, registration)
    yield from _robustness_differences(config, registration)
    yield from _outcome_differences(config, registration)
    yield from _untested(config, registration)


def _design_differences(experiment: ExperimentConfig, registration: Registration) -> Iterator[Difference]:
    if registration.randomisation is not None:
        texts = [_scheme_text(drawn) for drawn in (registration.randomisation, experiment.randomisation)]
        if texts[0] != texts[1]:
            yield _difference("randomisation", texts[0], texts[1], ALL_ESTIMATES)
    if registration.weight != experiment.weight:
        texts = [column or "none" for column in (registration.weight, experiment.weight)]
        yield _difference("survey weights", texts[0], texts[1], ALL_ESTIMATES)
    yield from _steps(
        "post-treatment checks", registration.post_checks, experiment.post_checks, (ROBUSTNESS, CHECKS)
    )


def _scheme_text(randomisation: RandomisationConfig) -> str:
    by = f" by {randomisation.cluster}" if randomisation.cluster else ""
    blocks = listed(sorted(randomisation.blocks), len(randomisation.blocks))
    return f"{randomisation.scheme}{by}" + (f" within {blocks}" if blocks else "")


def _robustness_differences(config: StudyConfig, registration: Registration) -> Iterator[Difference]:
    """An estimator left out thins the whole specification curve, one added touches its own rows."""
    done = config.estimate.robustness
    for name in registration.robustness:
        if name not in done:
            yield _difference(f"robustness: {name}", "in the set", "left out", (ROBUSTNESS,))
    for name in done:
        if name not in registration.robustness:
            outputs = (TABLE_OF[name], ROBUSTNESS)
            yield _difference(f"robustness: {name}", "not in the set", "added", outputs, estimators=(name,))


def _sizes(registration: Registration, realised: Mapping[str, int]) -> Iterator[Difference]:
    if registration.sample_size is None:
        return
    planned = {"sample size": registration.sample_size.planned}
    planned |= {f"sample size of {arm}": n for arm, n in registration.sample_size.arms.items()}
    found = {"sample size": sum(realised.values())}
    found |= {f"sample size of {arm}": n for arm, n in realised.items()}
    for what, n in planned.items():
        if found.get(what, 0) != n:
            outputs = (*ALL_ESTIMATES, *SAMPLE_TABLES)
            yield _difference(what, str(n), str(found.get(what, 0)), outputs)


def _steps(
    what: str,
    registered: Sequence[ExclusionConfig],
    done: Sequence[ExclusionConfig],
    outputs: Sequence[str],
) -> Iterator[Difference]:
    """Steps are compared by what they do, in order, not by their names."""
    if [_rule_text(step) for step in registered] != [_rule_text(step) for step in done]:
        texts = ["; then ".join(f"{s.step} ({_rule_text(s)})" for s in steps) for steps in (registered, done)]
        yield _difference(what, texts[0] or "none", texts[1] or "none", outputs)


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
            outputs = (EQUIVALENCE, POWER)
            yield _difference(what, texts[0], texts[1], outputs, outcome=registered.name)


def _untested(config: StudyConfig, registration: Registration) -> Iterator[Difference]:
    """Registered analyses that the config makes impossible, and the families that they are missing from."""
    reasons = {a.id: _reason_untested(config, a) for a in registration.analyses}
    outcomes = {outcome.name for outcome in config.experiment.outcomes} if config.experiment else set()
    for analysis in registration.analyses:
        if reasons[analysis.id] and analysis.outcome in outcomes:  # a missing outcome is listed itself
            yield _difference(
                f"analysis {analysis.id}",
                analysis.text or f"{analysis.outcome}, {analysis.estimator}",
                f"not tested: {reasons[analysis.id]}",
                (),
                outcome=analysis.outcome,
            )
    for family in registration.families:
        left = [a for a in registration.analyses if a.id in family.analyses and not reasons[a.id]]
        if len(left) < len(family.analyses):
            texts = (", ".join(family.analyses), ", ".join(a.id for a in left))
            for outcome in dict.fromkeys(a.outcome for a in left):
                estimators = dict.fromkeys(e for a in left if a.outcome == outcome for e in a.estimators)
                what = f"family {family.name}"
                yield _difference(what, *texts, (EFFECTS, POWER), outcome, tuple(estimators))


def _reason_untested(config: StudyConfig, analysis: Analysis) -> str:
    """Say why an analysis cannot be done; empty if it can."""
    assert config.experiment is not None
    arms = {arm.name for arm in config.experiment.arms}
    if analysis.outcome not in {outcome.name for outcome in config.experiment.outcomes}:
        return f"no outcome '{analysis.outcome}'"
    if missing := [arm for arm in analysis.contrast or [] if arm not in arms]:
        return f"no arm {listed(missing)}"
    match analysis.estimator:
        case None | "dim":
            return ""
        case "lin":
            return "" if config.estimate.adjust else "no covariates to adjust for"
        case "tost":
            return "" if analysis.outcome in config.estimate.sesoi else "no smallest effect of interest"
        case estimator:
            done = estimator in config.estimate.robustness
            return "" if done else f"'{estimator}' is not in estimate.robustness"
