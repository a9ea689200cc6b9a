"""A proposal for a whole study: which file is what, put together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from nanotarget.clean.cells import read_ids
from nanotarget.propose.codebook import attribute_by, covariate_by, find_codebook, find_codes
from nanotarget.propose.columns import RawFile, read_file
from nanotarget.propose.conjoint import find_conjoint
from nanotarget.propose.designed import find_designed
from nanotarget.propose.doubts import asked_late, derived_outcomes, unanswered_codes
from nanotarget.propose.measured import GuessedConjoint
from nanotarget.propose.people import (
    GuessedCovariate,
    GuessedPeople,
    Noted,
    coarser,
    covariates,
    read_people,
    respondent_column,
)
from nanotarget.propose.refusals import nobody, unknown
from nanotarget.propose.trial import GuessedTrial, find_trial
from nanotarget.study.config import normalised
from nanotarget.study.problems import InputError, Problem, collecting, listed, raise_if_any


@dataclass(frozen=True)
class GuessedSample:
    """A file, its respondents and what it says about them."""

    file: RawFile
    respondent: Noted
    people: GuessedPeople


@dataclass(frozen=True)
class Proposal:
    """What the files of a study are taken for.

    Attributes:
        calibration, conjoint: the conjoint survey, if there is one.
        experiment, trial: the experiment, if there is one.
        roster: people to field to, beside a calibration and without an experiment.
        panel: do the people of the calibration come back, and the evidence for it.
        covariates: in the order of the files.
        refused: columns that are no covariates because their cells fail the check of covariates.
    """

    calibration: GuessedSample | None
    conjoint: GuessedConjoint | None
    experiment: GuessedSample | None
    trial: GuessedTrial | None
    roster: GuessedSample | None
    panel: tuple[bool, str]
    covariates: list[GuessedCovariate]
    refused: list[Noted] = field(default_factory=list)

    @property
    def found(self) -> str:
        """Say in words what the files were taken for."""
        parts = []
        if self.calibration and self.conjoint:
            parts.append(
                f"a conjoint survey with respondents in '{self.calibration.respondent.column}', attributes "
                f"{listed(attribute.name for attribute in self.conjoint.attributes)} and "
                f"{' and '.join(self.conjoint.outcomes)}"
            )
        if self.experiment and self.trial:
            parts.append(
                f"an experiment with respondents in '{self.experiment.respondent.column}' and "
                f"arms in '{self.trial.arm.column}'"
            )
        if self.roster:
            parts.append(f"a list of people in '{self.roster.respondent.column}'")
        return "; ".join(parts)

    @property
    def samples(self) -> list[GuessedSample]:
        """The samples that there are."""
        return [sample for sample in (self.calibration, self.experiment, self.roster) if sample]

    @property
    def left_out(self) -> list[Noted]:
        """Columns that are of no use, in the order of the samples."""
        parts = [*(sample.people for sample in self.samples), self.trial, self.conjoint]
        unused = [note for part in parts if part for note in part.unused]
        return list(dict.fromkeys([*unused, *self.refused]))

    @property
    def doubts(self) -> list[str]:
        """What makes one doubt that covariates are what they seem."""
        names = [covariate.column for covariate in self.covariates]
        found: list[str] = []
        for sample in self.samples:
            found += unanswered_codes(sample.file, [name for name in names if name in sample.file.columns])
        if self.experiment and self.trial:
            found += asked_late(self.experiment.file, names, self.trial.arm.column)
        return list(dict.fromkeys(found))

    @property
    def doubtful_outcomes(self) -> list[str]:
        """What makes one doubt that outcomes are what they seem."""
        if not (self.experiment and self.trial):
            return []
        file, names = self.experiment.file, [outcome.column for outcome in self.trial.outcomes]
        return [*derived_outcomes(file, names), *unanswered_codes(file, names)]

    @property
    def synthetic(self) -> bool:
        """Does a file say that its data are simulated?"""
        return any(sample.file.synthetic for sample in self.samples)


def propose(paths: Sequence[str]) -> Proposal:
    """Read the data files of a study and guess what they are.

    Args:
        paths: a conjoint survey, an experiment or a list of people to field to, a codebook with the levels
            of attributes in their order, or what their codes mean, the design of the survey; each at most
            once.

    Raises:
        InputError: if a file cannot be read, if it is none of these, or if two are the same.
    """
    codes, files = find_codes(_read(paths))
    book, files = find_codebook(files)
    surveys = [(file, conjoint) for file in files if (conjoint := find_conjoint(file))]
    if not surveys and (found := find_designed(files)):
        answers, listing, conjoint = found
        surveys, files = [(answers, conjoint)], [file for file in files if file is not listing]
    _at_most_one([file for file, _ in surveys], "a conjoint survey")
    surveyed, conjoint = surveys[0] if surveys else (None, None)
    calibration = _survey(surveyed, conjoint) if surveyed and conjoint else None
    experiment, trial, roster = _later([file for file in files if file is not surveyed], surveyed, conjoint)
    names = {normalised(attribute.name) for attribute in conjoint.attributes} if conjoint else set()
    names |= {normalised(outcome.column) for outcome in trial.outcomes} if trial else set()
    known = _covariates(calibration, experiment or roster, names)
    if codes and conjoint:
        told = {"labels": (codes.settings, "it says what each code of an attribute means")}
        conjoint = dataclasses.replace(conjoint, settings=conjoint.settings | told)
    if book and conjoint:
        attributes = [attribute_by(book, attribute) for attribute in conjoint.attributes]
        conjoint = dataclasses.replace(conjoint, attributes=attributes)
    if book:
        known = [covariate_by(book, covariate) for covariate in known]
    panel = _panel(calibration, experiment or roster)
    return Proposal(calibration, conjoint, experiment, trial, roster, panel, known)


def _read(paths: Sequence[str]) -> list[RawFile]:
    """Read all files or raise their problems at once."""
    problems: list[Problem] = []
    files: list[RawFile] = []
    for path in paths:
        with collecting(problems):
            files.append(read_file(path))
    raise_if_any(problems)
    return files


def _later(
    files: Sequence[RawFile], surveyed: RawFile | None, conjoint: GuessedConjoint | None
) -> tuple[GuessedSample | None, GuessedTrial | None, GuessedSample | None]:
    """Sort the files beside the survey into an experiment and its trial, or a roster."""
    attributes = [attribute.column for attribute in conjoint.attributes] if conjoint else []
    asked_before = surveyed.columns if surveyed else {}
    problems: list[Problem] = []
    trials: list[tuple[RawFile, Noted, GuessedTrial]] = []
    rosters: list[tuple[RawFile, Noted]] = []
    for file in files:
        if not (respondent := respondent_column(file)):
            problems.append(nobody(file))
        elif trial := find_trial(file, respondent.column, attributes, asked_before):
            trials.append((file, respondent, trial))
        elif surveyed:
            rosters.append((file, respondent))
        else:
            problems.append(unknown(file))
    raise_if_any(problems)
    _at_most_one([file for file, *_ in trials], "an experiment")
    _at_most_one([file for file, _ in rosters], "a list of people without an arm")
    if trials and rosters:
        raise InputError([unknown(file) for file, _ in rosters])
    experiment = _fielded(*trials[0]) if trials else None
    return experiment, trials[0][2] if trials else None, _listed(*rosters[0]) if rosters else None


def _survey(file: RawFile, conjoint: GuessedConjoint) -> GuessedSample:
    respondent = conjoint.respondent
    taken = conjoint.taken | {note.column for note in conjoint.unused}
    return GuessedSample(file, respondent, read_people(file, respondent.column, taken, conjoint.first))


def _fielded(file: RawFile, respondent: Noted, trial: GuessedTrial) -> GuessedSample:
    arm = trial.arm.column
    people = read_people(file, respondent.column, trial.taken, file.columns[arm].position, arm)
    return GuessedSample(file, respondent, people)


def _listed(file: RawFile, respondent: Noted) -> GuessedSample:
    return GuessedSample(file, respondent, read_people(file, respondent.column, ()))


def _covariates(
    first: GuessedSample | None, second: GuessedSample | None, names: set[str]
) -> list[GuessedCovariate]:
    """Describe what may be known of people: in both samples, or in the only one.

    What only the experiment knows cannot target and is left to adjustment. What only the
    calibration knows is of no use for those whom a petition is assigned to.
    """
    samples = [sample for sample in (first, second) if sample]
    candidates = samples[-1].people.candidates
    optional: set[str] = set()
    if first and second:
        for name in first.people.candidates:
            if name not in candidates:
                first.people.unused.append(Noted(name, f"not known in {second.file.path}"))
        optional = {name for name in candidates if name not in first.people.candidates}
    optional |= first.people.late if first else set()
    derived = coarser(samples[-1].file, candidates)
    for name, finer in derived.items():
        samples[-1].people.unused.append(Noted(name, f"only groups '{finer}'"))
    kept = [name for name in candidates if name not in derived]
    return covariates([sample.file for sample in samples], kept, optional, names)


def _panel(first: GuessedSample | None, second: GuessedSample | None) -> tuple[bool, str]:
    if not (first and second):
        return False, "there is only one sample"
    known = set(read_ids(first.file.raw[first.respondent.column].dropna()))
    ids = read_ids(second.file.raw[second.respondent.column].dropna())
    share = float(ids.isin(known).mean())
    return share > 0.5, f"{share:.0%} of the ids of {second.file.path} are also in {first.file.path}"


def _at_most_one(files: Sequence[RawFile], what: str) -> None:
    if len(files) > 1:
        remedy = "name one of them; a study of each is another config"
        paths = listed(file.path for file in files)
        raise InputError([Problem(files[0].path, "whole file", f"{paths} are each {what}", "one", remedy)])
