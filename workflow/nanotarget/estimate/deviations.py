"""What a study does differently from its pre-registration, and which tables that touches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from nanotarget.estimate.tables import ESTIMATES, SAMPLE_TABLES, TABLE_OF, Table
from nanotarget.study.config import (
    ConductedConfig,
    ExclusionConfig,
    ExperimentConfig,
    RandomisationConfig,
    Study,
    normalised,
)
from nanotarget.study.preregistration import Analysis, Registration
from nanotarget.study.problems import listed

DEVIATION_COLUMNS = ("deviation", "what", "registered", "done", "outputs", "outcome", "estimator")


class Difference(NamedTuple):
    """What was registered and done, the tables that it touches, and of these the outcome and estimators."""

    what: str
    registered: str
    done: str
    outputs: Sequence[str]
    outcome: str = ""
    estimators: Sequence[str] = ()


def deviations(
    config: Study | ConductedConfig,
    registration: Registration | None,
    realised: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """List what the study does differently from its registration.

    Args:
        config: the study; parts without data (no calibration, no experiment) cannot deviate.
        registration: the study's; without one there is nothing to deviate from.
        realised: arm -> people randomised to it and left after the exclusions; None = not known, and
            not compared with what was planned.

    Returns:
        `DEVIATION_COLUMNS`: deviation (D1, D2, ...), what, registered, done, outputs (tables) and estimator
        (which of their rows; empty = all), both joined by "; ", and outcome (empty = all).
    """
    differences = [] if registration is None else list(_differences(config, registration))
    if registration and config.experiment and realised is not None:
        differences += _sizes(registration, realised)
    rows = [
        (f"D{i}", d.what, d.registered, d.done, "; ".join(d.outputs), d.outcome, "; ".join(d.estimators))
        for i, d in enumerate(differences, 1)
    ]
    return pd.DataFrame(rows, columns=list(DEVIATION_COLUMNS), dtype="str")


def _differences(config: Study | ConductedConfig, registration: Registration) -> Iterator[Difference]:
    if config.calibration:
        yield from _steps(
            "exclusions from the calibration",
            registration.exclusions.calibration,
            config.calibration.exclusions,
            ("calibrate/amce.csv", "calibrate/marginal_means.csv", "diagnose/diagnostics.csv"),
        )
    if config.experiment is None:
        return
    estimates = (*ESTIMATES, *SAMPLE_TABLES)
    yield from _steps(
        "exclusions from the experiment",
        registration.exclusions.experiment,
        config.experiment.exclusions,
        estimates,
    )
    arms = [arm.name for arm in config.experiment.arms]
    if sorted(arms) != sorted(registration.arms):
        yield Difference("arms", ", ".join(registration.arms), ", ".join(arms), estimates)
    done = config.estimate
    if done.alpha != registration.alpha:
        yield Difference("alpha", f"{registration.alpha:g}", f"{done.alpha:g}", ESTIMATES)
    if sorted(done.adjust) != sorted(registration.adjust):
        yield Difference(
            "adjust",
            ", ".join(registration.adjust) or "nothing",
            ", ".join(done.adjust) or "nothing",
            (Table.EFFECTS, Table.EQUIVALENCE, Table.POWER, Table.ROBUSTNESS, Table.IPW),
            estimators=("lin", "ipw", "aipw", "tost_lin"),
        )
    yield from _design_differences(config.experiment, registration)
    yield from _robustness_differences(config, registration)
    yield from _outcome_differences(config, registration)
    yield from _untested(config, registration)


def _design_differences(experiment: ExperimentConfig, registration: Registration) -> Iterator[Difference]:
    if registration.randomisation is not None:
        texts = [_scheme_text(drawn) for drawn in (registration.randomisation, experiment.randomisation)]
        if texts[0] != texts[1]:
            yield Difference("randomisation", texts[0], texts[1], ESTIMATES)
    if registration.weight != experiment.weight:
        texts = [column or "none" for column in (registration.weight, experiment.weight)]
        yield Difference("survey weights", texts[0], texts[1], ESTIMATES)
    yield from _steps(
        "post-treatment checks",
        registration.post_checks,
        experiment.post_checks,
        (Table.ROBUSTNESS, Table.CHECKS),
    )


def _scheme_text(randomisation: RandomisationConfig) -> str:
    by = f" by {randomisation.cluster}" if randomisation.cluster else ""
    if randomisation.outcome_cluster:
        by += f" (outcomes clustered by {randomisation.outcome_cluster})"
    blocks = listed(sorted(randomisation.blocks), len(randomisation.blocks))
    return f"{randomisation.scheme}{by}" + (f" within {blocks}" if blocks else "")


def _robustness_differences(
    config: Study | ConductedConfig, registration: Registration
) -> Iterator[Difference]:
    """An estimator left out thins the whole specification curve, one added touches its own rows."""
    done = config.estimate.robustness
    for name in registration.robustness:
        if name not in done:
            yield Difference(f"robustness: {name}", "in the set", "left out", (Table.ROBUSTNESS,))
    for name in done:
        if name not in registration.robustness:
            outputs = (TABLE_OF[name], Table.ROBUSTNESS)
            yield Difference(f"robustness: {name}", "not in the set", "added", outputs, estimators=(name,))


def _sizes(registration: Registration, realised: Mapping[str, int]) -> Iterator[Difference]:
    if registration.sample_size is None:
        return
    planned = {"sample size": registration.sample_size.planned}
    planned |= {f"sample size of {arm}": n for arm, n in registration.sample_size.arms.items()}
    actual = {"sample size": sum(realised.values())}
    actual |= {f"sample size of {arm}": n for arm, n in realised.items()}
    for what, n in planned.items():
        if actual.get(what, 0) != n:
            outputs = (*ESTIMATES, *SAMPLE_TABLES)
            yield Difference(what, str(n), str(actual.get(what, 0)), outputs)


def _steps(
    what: str,
    registered: Sequence[ExclusionConfig],
    done: Sequence[ExclusionConfig],
    outputs: Sequence[str],
) -> Iterator[Difference]:
    """Steps are compared by what they do, in order, not by their names."""
    if [_rule_text(step) for step in registered] != [_rule_text(step) for step in done]:
        texts = ["; then ".join(f"{s.step} ({_rule_text(s)})" for s in steps) for steps in (registered, done)]
        yield Difference(what, texts[0] or "none", texts[1] or "none", outputs)


def _rule_text(step: ExclusionConfig) -> str:
    match step.rule:
        case "in" | "not_in":
            values = sorted({normalised(value) for value in step.values})
            return f"{step.column} {step.rule.replace('_', ' ')} {listed(values, len(values))}"
        case "below" | "above":
            return f"{step.column} {step.rule} {step.value:g}"
        case _:
            return f"{step.column} {step.rule}"


def _outcome_differences(config: Study | ConductedConfig, registration: Registration) -> Iterator[Difference]:
    assert config.experiment is not None
    done = {outcome.name: outcome for outcome in config.experiment.outcomes}
    for registered in registration.outcomes:
        outcome = done.get(registered.name)
        if outcome is None:
            yield Difference("outcome", registered.name, "not analysed", (), outcome=registered.name)
            continue
        texts = [
            o.kind + (f", 1 if at least {o.at_least:g}" if o.at_least is not None else "")
            for o in (registered, outcome)
        ]
        if texts[0] != texts[1]:
            what = f"measurement of {registered.name}"
            yield Difference(what, texts[0], texts[1], ESTIMATES, outcome=registered.name)
        bounds = [sesoi.get(registered.name) for sesoi in (registration.sesoi, config.estimate.sesoi)]
        if bounds[0] != bounds[1]:
            texts = ["none" if bound is None else f"{bound:g}" for bound in bounds]
            what = f"smallest effect of interest of {registered.name}"
            outputs = (Table.EQUIVALENCE, Table.POWER)
            yield Difference(what, texts[0], texts[1], outputs, outcome=registered.name)


def _untested(config: Study | ConductedConfig, registration: Registration) -> Iterator[Difference]:
    """Registered analyses that the config makes impossible, and the families that they are missing from."""
    reasons = {a.id: _reason_untested(config, a) for a in registration.analyses}
    outcomes = {outcome.name for outcome in config.experiment.outcomes} if config.experiment else set()
    for analysis in registration.analyses:
        if reasons[analysis.id] and analysis.outcome in outcomes:  # a missing outcome is listed itself
            yield Difference(
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
                yield Difference(what, *texts, (Table.EFFECTS, Table.POWER), outcome, tuple(estimators))


def _reason_untested(config: Study | ConductedConfig, analysis: Analysis) -> str:
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
