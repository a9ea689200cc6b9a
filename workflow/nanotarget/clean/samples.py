"""All samples of a study: read, cleaned, and compared with what the config declares about their people."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from nanotarget.clean.calibration import Calibration, read_calibration
from nanotarget.clean.experiment import read_experiment
from nanotarget.clean.people import Sample, among_those
from nanotarget.clean.roster import Keep, read_roster
from nanotarget.petitions.design import Design
from nanotarget.study.config import DataConfig
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
    def questions(self) -> tuple[str, ...]:
        """What the files make one ask of the config."""
        return tuple(question for sample in self._all for question in sample.questions)

    @property
    def _all(self) -> list[Sample]:
        return [sample for sample in (self.calibration, self.experiment, self.roster) if sample]


def read_samples(
    data: DataConfig, design: Design | None, keep: Keep | None = None, heads: bool = False
) -> Samples:
    """Read and clean the raw files of a study.

    Args:
        data: what was recorded about whom, and where.
        design: the petitions; without them no calibration is read.
        keep, heads: of the roster, see `read_roster`.

    Raises:
        InputError: with the problems of all files at once.
    """
    problems: list[Problem] = []
    calibration: Calibration | None = None
    experiment: Sample | None = None
    roster: Sample | None = None
    panel = data.samples == "panel"
    if data.experiment:
        with collecting(problems):
            experiment = read_experiment(data.experiment, design, data.covariates)
    if data.calibration and design and not panel:
        with collecting(problems):
            calibration = read_calibration(data.calibration, design, data.covariates, frozenset())
    if data.roster:
        with collecting(problems):
            among = calibration.identities if calibration else None
            roster = read_roster(data.roster, data.covariates, keep, heads, among)
    if data.calibration and design and panel:  # who refuses when she comes back leaves the calibration
        back = [sample for sample in (experiment, roster) if sample]
        refusers = frozenset[str]().union(*(sample.refusers for sample in back))
        with collecting(problems):
            calibration = read_calibration(data.calibration, design, data.covariates, refusers)
    compare = _compare_panel if panel else _compare_new
    for config, sample in ((data.experiment, experiment), (data.roster, roster)):
        if data.calibration and calibration and config and sample:
            problems += compare(calibration, sample, data.calibration.file, config.file)
    raise_if_any(problems)
    return Samples(calibration, experiment, roster)


def _compare_panel(first: Calibration, second: Sample, first_file: str, file: str) -> list[Problem]:
    """Return the problems of the files of a later sample with people who were not in the calibration."""
    people = second.identities
    return [
        Problem(
            named,
            placed(rows),
            f"{counted(len(rows), 'respondent')} not in {first_file}",
            "people of the calibration, because the config says 'samples: panel'",
            "make the ids of both files agree, or write 'samples: new'",
        )
        for named, rows in _by_file(people[~people["respondent"].isin(first.everyone)], file)
    ]


def _compare_new(first: Calibration, second: Sample, first_file: str, file: str) -> list[Problem]:
    """Return the problems of the files of a later sample with people of the calibration."""
    people = second.identities
    again = among_those(people, first.identities)
    return [
        Problem(
            named,
            placed(rows),
            f"{counted(len(rows), 'respondent')} also in {first_file}",
            "other people than in the calibration, because the config says 'samples: new'",
            "remove them from one file, write 'samples: panel' if the same people came back, "
            "or give different people different ids",
        )
        for named, rows in _by_file(people[again], file)
    ]


def _by_file(people: pd.DataFrame, file: str) -> list[tuple[str, list[int]]]:
    """Return the rows of people by the file in which they are: of a sample of parts each has its own."""
    if "file" not in people:
        return [(file, list(people.index))] if len(people) else []
    found = people.groupby("file", observed=True, sort=True)
    return [(str(named), list(group.index)) for named, group in found]
