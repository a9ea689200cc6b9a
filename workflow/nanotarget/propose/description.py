"""What is in a study, in text: sizes, petitions, people, arms, power, what is missing."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from nanotarget.assign.randomise import shares
from nanotarget.calibrate.design_checks import unseen_flags
from nanotarget.clean.calibration import Calibration, petitions_answered
from nanotarget.clean.flow import EVERYBODY, OBSERVED
from nanotarget.clean.people import Sample
from nanotarget.clean.samples import Samples, read_samples
from nanotarget.clean.shown import check_design
from nanotarget.estimate import Trial, effects, pairs, power
from nanotarget.estimate.equivalence import smallest_detectable
from nanotarget.petitions.design import Design
from nanotarget.study.config import CalibrationConfig, RosterConfig, Study
from nanotarget.study.preregistration import contrast_name
from nanotarget.study.problems import counted

WIDTH = 100
POWER = 0.8  # with which the smallest detectable difference is detected


def describe(study: Study, source: str) -> str:
    """Say what is in a study.

    Args:
        study: the validated config.
        source: name of the config file for messages.

    Returns:
        Text of several sections, at most `WIDTH` wide where its words allow it.

    Raises:
        InputError: with the problems of all raw files at once.
    """
    design = check_design(study.design, source) if study.design else None
    samples = read_samples(study, design)
    if design and samples.calibration:
        design = design.as_shown(design.codes(samples.calibration.profiles))
    lines = [f"{study.study}: {study.title}" if study.title else study.study]
    if study.synthetic:
        lines += ["The data are SIMULATED (synthetic): nothing here is evidence about people."]
    if design:
        lines += ["", *_petitions(design)]
    if samples.calibration:
        lines += ["", *_calibration(study, samples.calibration)]
    if design and samples.calibration:
        for flag in unseen_flags(samples.calibration.profiles, design):
            lines += _wrapped(flag)
    if samples.experiment:
        lines += ["", *_experiment(study, samples.experiment)]
    if samples.roster and study.roster:
        lines += ["", *_roster(study, study.roster, samples.roster, samples.calibration)]
    lines += ["", *_covariates(study, samples)]
    lines += ["", "Will be run", *_plan(study, samples.calibration)]
    missing = list(_missing(study))
    lines += ["", "Missing", *(missing or ["  nothing"])]
    return "\n".join(lines) + "\n"


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_long_words=False
    )


def _table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> list[str]:
    """Set a table with its first column to the left and all others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return [
        "  "
        + "  ".join(
            cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [header, *rows]
    ]


def _petitions(design: Design) -> list[str]:
    product = math.prod(len(attribute.fielded) for attribute in design.attributes)
    possible = f"{design.n_feasible:,} petitions are possible"
    if design.n_feasible < product:
        possible += f" of {product:,} combinations"
    lines = [f"Petitions: {counted(len(design.attributes), 'attribute')}, {possible}"]
    sources = dict(design.derived)
    for a, attribute in enumerate(design.attributes):
        levels = ", ".join(" ".join(level.split()) for level in attribute.visible)
        notes = [str(len(attribute.visible))]
        if a in sources:
            notes.append(f"follows from {', '.join(design.names[b] for b in sources[a])}")
        if attribute.hidden != "never":
            share = design.shown.hidden[a] if design.shown else 0
            may = "a policy may hide it" if attribute.hidden == "option" else "a policy always shows it"
            notes.append(f"hidden in {share:.0%} of the petitions of the survey, {may}")
        lines += _wrapped(f"{attribute.name} ({'; '.join(notes)}): {levels}")
    return lines


def _people(flow: pd.DataFrame, sample: str) -> list[str]:
    """Say who is in the file and who leaves at which exclusion."""
    steps = flow[(flow["sample"] == sample) & (flow["arm"] == EVERYBODY)]
    lines = [f"  {int(steps['n_after'].iloc[0]):,} people in the raw file"]
    left = steps[(steps["n_excluded"] > 0) & (steps["step"] != OBSERVED)]
    for step, n in zip(left["step"], left["n_excluded"], strict=True):
        lines += _wrapped(f"- {n:,}: {step}", "    ")
    return lines


def _alone(config: CalibrationConfig, calibration: Calibration) -> int:
    """Count who answered about one petition."""
    return int((petitions_answered(calibration.profiles, config.analyse) < 2).sum())


def _calibration(study: Study, calibration: Calibration) -> list[str]:
    profiles, config = calibration.profiles, study.calibration
    assert config is not None
    tasks = profiles.groupby("respondent_id")["task"].nunique()
    fewest = f"{tasks.min()} to " if tasks.min() < tasks.max() else ""
    lines = [f"Calibration: {config.file}", *_people(calibration.flow, "calibration")]
    lines += [
        f"  {len(tasks):,} people answered {fewest}{counted(int(tasks.max()), 'task')} of "
        f"{counted(int(profiles['profile'].max()), 'profile')}: {len(profiles):,} petitions shown"
    ]
    if alone := _alone(config, calibration):
        them = "average effects only: preferences need two petitions of one person"
        lines += _wrapped(f"{alone:,} of them answered about one petition, so that they tell of {them}")
    for outcome in config.outcomes.measured:
        known = profiles[outcome.name].dropna()
        used = " (analysed)" if outcome.name == config.analyse else ""
        lines += [
            f"  {outcome.name}{used}: mean {known.mean():.3g}, SD {known.std():.3g}, n = {len(known):,}"
        ]
    known = profiles[config.analyse].dropna()
    most = max(len(a.levels) for a in study.design.attributes) if study.design else 2
    # Two of `most` levels are each on a share 1/most of the profiles; clustering is left aside.
    error = float(known.std()) * np.sqrt(2 * most / len(known))
    difference = smallest_detectable(error, len(known) - 2, study.estimate.alpha, POWER)
    return lines + _wrapped(
        f"Between two levels of the attribute with most of them ({most}), a difference of "
        f"{difference:.2g} is detected with probability {POWER:.0%}."
    )


def _experiment(study: Study, experiment: Sample) -> list[str]:
    config, people = study.experiment, experiment.respondents
    assert config is not None
    lines = [f"Experiment: {config.file}", *_people(experiment.flow, "experiment")]
    count = people["arm"].value_counts()
    rows = []
    for arm in config.arms:
        observed = people.loc[people["arm"] == arm.name, "observed"]
        missing = f"{1 - observed.mean():.1%}" if config.outcomes and len(observed) else ""
        rows.append((arm.name, f"{count[arm.name]:,}", missing, arm.policy or ""))
    lines += ["", *_table(rows, ("arm", "n", "no outcome", "policy"))]
    if not config.outcomes:
        return lines
    arms, alpha = [arm.name for arm in config.arms], study.estimate.alpha
    trial = Trial(people, arms, config.outcomes, sesoi=study.estimate.sesoi, alpha=alpha)
    powers = power(trial, effects(trial), POWER)
    kinds = {outcome.name: outcome.kind for outcome in config.outcomes}
    table = [
        (
            row.outcome,
            kinds[row.outcome],
            row.contrast,
            f"{_spread(people, row.outcome):.3g}",
            f"{row.mde:.2g}",
            f"{row.power_at_sesoi:.0%}" if np.isfinite(row.power_at_sesoi) else "",
        )
        for row in powers.itertuples()
    ]
    header = ("outcome", "kind", "contrast", "SD in arms", "detectable", "power at SESOI")
    return [
        *lines,
        "",
        *_table(table, header),
        *_wrapped(
            f"detectable: the difference that a two-sided test at {study.estimate.alpha:g} detects with "
            f"probability {POWER:.0%}, from n and spread alone, before any correction for several tests."
        ),
    ]


def _spread(people: pd.DataFrame, outcome: str) -> float:
    """Return the standard deviation within arms, which says nothing about what the arms did."""
    within = people[outcome] - people.groupby("arm", observed=True)[outcome].transform("mean")
    n_arms = people.loc[people[outcome].notna(), "arm"].nunique()
    return float(np.sqrt((within**2).sum() / max(within.notna().sum() - n_arms, 1)))


def _roster(study: Study, config: RosterConfig, roster: Sample, calibration: Calibration | None) -> list[str]:
    n = int(roster.flow["n_after"].iloc[-1])
    lines = [f"Roster: {config.file}", *_people(roster.flow, "roster")]
    names = [arm.name for arm in config.arms]
    planned = {name: n * float(share) for name, share in zip(names, shares(config.arms), strict=True)}
    rows = [(arm.name, f"{planned[arm.name]:,.0f}", arm.policy or "") for arm in config.arms]
    lines += ["", *_table(rows, ("arm", "n planned", "policy"))]
    if calibration is None or study.calibration is None:
        return lines
    spread = float(calibration.profiles[study.calibration.analyse].std())
    detectable = []
    for later, earlier in pairs(names):
        both = planned[later] + planned[earlier]
        error = spread * np.sqrt(1 / planned[later] + 1 / planned[earlier])
        difference = smallest_detectable(float(error), both - 2, study.estimate.alpha, POWER)
        detectable.append((contrast_name(later, earlier), f"{difference:.2g}"))
    return [
        *lines,
        "",
        *_table(detectable, ("contrast", "detectable")),
        *_wrapped(
            f"detectable: the difference detected with probability {POWER:.0%} if everybody answers and the "
            f"outcome spreads like the {study.calibration.analyse} of the calibration (SD {spread:.3g})."
        ),
    ]


def _covariates(study: Study, samples: Samples) -> list[str]:
    tables: dict[str, pd.DataFrame] = {}
    if samples.calibration:
        tables["calibration"] = samples.calibration.respondents
    if samples.experiment:
        tables["experiment"] = samples.experiment.respondents
    if samples.roster:
        tables["roster"] = samples.roster.respondents
    if not study.covariates:
        return ["Covariates: none, so that everybody is the same to a policy"]
    rows = [
        (
            covariate.name,
            covariate.kind if covariate.levels is None else f"{len(covariate.levels)} levels",
            *(f"{table[covariate.name].isna().mean():.1%}" for table in tables.values()),
            "yes" if covariate.target else "no",
        )
        for covariate in study.covariates
    ]
    header = ("covariate", "kind", *(f"missing in {name}" for name in tables), "targets")
    return [f"Covariates: {len(rows)}", *_table(rows, header)]


def _plan(study: Study, calibration: Calibration | None) -> Iterator[str]:
    settings = study.calibrate
    alone = (
        study.calibration
        and calibration
        and _alone(study.calibration, calibration) == len(calibration.respondents)
    )
    if study.calibration and (alone or not study.learns):
        yield (
            f"  calibrate  average effects, standard errors {settings.se_type}; no learner, no diagnose "
            "and assign: everybody saw one petition"
        )
        if study.learns:
            yield "             (the config has to say so: write 'profiles: 1' and 'tasks: 1')"
    elif study.learns:
        best_of = f"the best of {', '.join(settings.candidates)}"
        learner = best_of if settings.learner == "auto" else settings.learner
        yield (
            f"  calibrate  learner {learner}, {settings.folds} folds, from {settings.information}; "
            f"standard errors {settings.se_type}"
        )
        diagnose = study.diagnose
        stated = "not stated" if diagnose.sesoi is None else f"{diagnose.sesoi:g}"
        yield (
            f"  diagnose   goal {diagnose.goal}, SESOI {stated}; {diagnose.bootstraps} bootstraps, "
            f"{diagnose.permutations} permutations, {counted(diagnose.splits, 'split')}"
        )
        to = "the experiment" if study.experiment else "the roster" if study.roster else "the calibration"
        yield f"  assign     {', '.join(study.assign.policies)} to {to}"
    if study.experiment:
        more = ", ".join(["difference in means", *study.estimate.robustness])
        yield f"  estimate   {more}; adjusted for {counted(len(study.estimate.adjust), 'covariate')}"
        yield f"  explore    {counted(len(study.explore.subgroups), 'grouping')}"
    yield "  report     figures, tables, report.html"


def _missing(study: Study) -> Iterator[str]:
    """Yield what a study can do without, but should know that it does."""
    if study.preregistration is None:
        yield "  preregistration: every estimate is labelled exploratory"
    elif not Path(study.preregistration).is_file():
        yield f"  preregistration: there is no file {study.preregistration}"
    if study.calibration is None:
        yield "  calibration: nothing is learned, diagnosed or assigned"
    elif study.diagnose.sesoi is None:
        yield "  diagnose.sesoi: nothing is diagnosed before the smallest gain that would matter is stated"
    elif study.diagnose.sesoi == 0:
        yield "  diagnose.sesoi: any gain above 0 counts as one that matters"
    if study.design and study.design.petition_text is None:
        yield "  design.petition_text: petitions are written as 'attribute: level'"
    if study.experiment is None:
        yield "  experiment: effects are not estimated" + (
            "" if study.roster else f"; the study ends with {'assign' if study.learns else 'calibrate'}"
        )
    else:
        without = [o.name for o in study.experiment.outcomes if o.name not in study.estimate.sesoi]
        if without or not study.experiment.outcomes:
            yield f"  estimate.sesoi: no equivalence test for {', '.join(without) or 'any outcome'}"
        if not study.explore.subgroups:
            yield "  explore.subgroups: no effects by subgroup"
    if not any(covariate.target for covariate in study.covariates):
        yield "  covariates: nothing that nano could use"
    if study.calibration and study.calibration.consent is None:
        yield "  consent: everybody's answers are used for targeting"
