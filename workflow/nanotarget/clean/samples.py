"""All samples of a study: read, cleaned, and compared with what the config declares about their people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nanotarget.clean.calibration import Calibration, read_calibration
from nanotarget.clean.experiment import read_experiment
from nanotarget.clean.people import Sample
from nanotarget.clean.roster import read_roster
from nanotarget.petitions.design import Design
from nanotarget.study.config import CalibrationConfig, CovariateConfig, ExperimentConfig, RosterConfig
from nanotarget.study.problems import Problem, collecting, counted, placed, raise_if_any


@dataclass(frozen=True)
class Samples:
    """The samples that a study has."""

    calibration: Calibration | None
    experiment: Sample | None
    roster: Sample | None

    @property
    def flow(self) -> pd.DataFrame:
        """Participant flow of all samples."""
        return pd.concat([sample.flow for sample in self._all], ignore_index=True)

    @property
    def quality(self) -> pd.DataFrame:
        """Quality checks of all samples."""
        return pd.concat([sample.quality for sample in self._all], ignore_index=True)

    @property
    def _all(self) -> list[Sample]:
        return [sample for sample in (self.calibration, self.experiment, self.roster) if sample]


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
    later: list[Sample | None] = [None, None]
    if calibration and design:
        with collecting(problems):
            first = read_calibration(calibration, design, covariates)
    if experiment:
        with collecting(problems):
            later[0] = read_experiment(experiment, design, covariates)
    if roster:
        with collecting(problems):
            later[1] = read_roster(roster, covariates)
    for config, sample in zip((experiment, roster), later, strict=True):
        if calibration and first and config and sample:
            compare = _compare_panel if samples == "panel" else _compare_new
            problems += compare(first, sample, calibration.file, config.file)
    raise_if_any(problems)
    return Samples(first, *later)


def _compare_panel(first: Calibration, second: Sample, first_file: str, file: str) -> list[Problem]:
    """Return the problem of a later sample with people who were not in the calibration."""
    people = second.identities
    unknown = ~people["respondent"].isin(first.everyone)
    if not unknown.any():
        return []
    return [
        Problem(
            file,
            placed(people.index[unknown]),
            f"{counted(int(unknown.sum()), 'respondent')} not in {first_file}",
            "people of the calibration, because the config says 'samples: panel'",
            "make the ids of both files agree, or write 'samples: new'",
        )
    ]


def _compare_new(first: Calibration, second: Sample, first_file: str, file: str) -> list[Problem]:
    """Return the problem of a later sample with people of the calibration."""
    people = second.identities
    again = np.zeros(len(people), dtype=bool)
    for key in people.columns.intersection(first.identities.columns):
        again |= (people[key].notna() & people[key].isin(first.identities[key])).to_numpy()
    if not again.any():
        return []
    return [
        Problem(
            file,
            placed(people.index[again]),
            f"{counted(int(again.sum()), 'respondent')} also in {first_file}",
            "other people than in the calibration, because the config says 'samples: new'",
            "remove them from one file, write 'samples: panel' if the same people came back, "
            "or give different people different ids",
        )
    ]
