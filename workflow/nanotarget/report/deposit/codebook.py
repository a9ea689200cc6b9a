"""The variables of a study's raw files that it reads, as a table for who opens them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from nanotarget.study.config import (
    CalibrationConfig,
    CovariateConfig,
    DesignConfig,
    ExperimentConfig,
    RosterConfig,
    Study,
)

COLUMNS = ["column", "role", "label", "values"]
Row = tuple[str, str, str, str]


def codebook(study: Study) -> pd.DataFrame:
    """Return file, column, role, label, values: a row a variable, in the order of the config."""
    tables = []
    for sample in (study.calibration, study.experiment, study.roster):
        if sample is not None:
            rows = [*_people(sample), *(row for c in study.covariates for row in _covariate(c))]
            if isinstance(sample, CalibrationConfig):
                rows += _tasks(sample, study.design)
            if isinstance(sample, ExperimentConfig):
                rows += _trial(sample)
            table = pd.DataFrame(rows, columns=COLUMNS).drop_duplicates()
            table.insert(0, "file", sample.file)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _people(sample: CalibrationConfig | ExperimentConfig | RosterConfig) -> Iterator[Row]:
    yield sample.respondent, "respondent", "", ""
    for name in sample.identifiers:
        yield name, "identifier, reaches no artefact", "", ""
    if sample.consent:
        agreed = "; ".join(map(str, sample.consent.values))
        yield sample.consent.column, "consent to personalisation", "", f"{agreed} = agreed"
    for step in sample.exclusions:
        yield step.column, "exclusion", step.step, ""


def _covariate(covariate: CovariateConfig) -> Iterator[Row]:
    use = "" if covariate.target else ", never for targeting"
    values = _span(covariate.range) if covariate.kind == "numeric" else _listed(covariate.levels or [])
    name = covariate.name
    yield covariate.column or name, f"covariate, {covariate.kind}{use}", covariate.label or name, values


def _tasks(calibration: CalibrationConfig, design: DesignConfig | None) -> Iterator[Row]:
    for attribute in design.attributes if design else []:
        name = attribute.column or attribute.name
        column = (calibration.attribute_columns or "{attribute}").replace("{attribute}", name)
        yield column, "attribute of a petition", attribute.name, _listed(attribute.levels)
    for outcome in calibration.outcomes.measured:
        columns = [outcome.column] if isinstance(outcome.column, str) else outcome.column
        for column in columns:
            yield column, f"outcome, {outcome.label}", "", _span(outcome.limits)


def _trial(experiment: ExperimentConfig) -> Iterator[Row]:
    values = [arm.name if arm.value is None else f"{arm.value} = {arm.name}" for arm in experiment.arms]
    yield experiment.arm, "arm", "", _listed(values)
    for outcome in experiment.outcomes:
        for column in outcome.raw_columns:
            yield column, f"outcome, {outcome.kind}", outcome.label or outcome.name, _span(outcome.range)


def _listed(values: Sequence[object]) -> str:
    return "; ".join(map(str, values))


def _span(ends: Sequence[float] | None) -> str:
    return "" if ends is None else " to ".join(f"{end:g}" for end in ends)
