"""A proposal for a whole study: which file is what, put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nanotarget.clean.cells import read_ids
from nanotarget.propose.columns import Column, SeenFile, see
from nanotarget.propose.conjoint import GuessedConjoint, find_conjoint
from nanotarget.propose.people import (
    GuessedCovariate,
    GuessedPeople,
    Noted,
    coarser,
    covariates,
    read_people,
    respondent_column,
)
from nanotarget.propose.trial import GuessedTrial, find_trial
from nanotarget.study.config import normalised
from nanotarget.study.problems import InputError, Problem, collecting, listed, raise_if_any


@dataclass(frozen=True)
class GuessedSample:
    """A file, its respondents and what it says about them."""

    seen: SeenFile
    respondent: Noted
    people: GuessedPeople


@dataclass(frozen=True)
class Proposal:
    """What was found in the files of a study.

    Attributes:
        calibration, conjoint: the conjoint survey, if there is one.
        experiment, trial: the experiment, if there is one.
        roster: people to field to, beside a calibration and without an experiment.
        panel: do the people of the calibration come back, and why it looks so.
        covariates: in the order of the files.
    """

    calibration: GuessedSample | None
    conjoint: GuessedConjoint | None
    experiment: GuessedSample | None
    trial: GuessedTrial | None
    roster: GuessedSample | None
    panel: tuple[bool, str]
    covariates: list[GuessedCovariate]

    @property
    def samples(self) -> list[GuessedSample]:
        """The samples that there are."""
        return [sample for sample in (self.calibration, self.experiment, self.roster) if sample]

    @property
    def synthetic(self) -> bool:
        """Does a file say that its data are simulated?"""
        return any(sample.seen.synthetic for sample in self.samples)


def propose(paths: Sequence[str]) -> Proposal:
    """Look at the data files of a study and guess what they are.

    Args:
        paths: a conjoint survey, an experiment or a list of people to field to; each at most once.

    Raises:
        InputError: if a file cannot be read, if it is none of these, or if two are the same.
    """
    problems: list[Problem] = []
    files: list[SeenFile] = []
    for path in paths:
        with collecting(problems):
            files.append(see(path))
    raise_if_any(problems)
    conjoints = [(seen, found) for seen in files if (found := find_conjoint(seen))]
    _at_most_one([seen for seen, _ in conjoints], "a conjoint survey")
    conjoint = conjoints[0][1] if conjoints else None
    surveyed = conjoints[0][0] if conjoints else None
    attributes = [attribute.column for attribute in conjoint.attributes] if conjoint else []
    trials: list[tuple[SeenFile, GuessedTrial, Noted]] = []
    rosters: list[tuple[SeenFile, Noted]] = []
    for seen in files:
        if seen is surveyed:
            continue
        respondent = respondent_column(seen)
        if respondent is None:
            problems.append(_nobody(seen))
            continue
        asked_before = set(surveyed.columns) if surveyed else set()
        trial = find_trial(seen, respondent.column, attributes, asked_before)
        if trial:
            trials.append((seen, trial, respondent))
        elif surveyed:
            rosters.append((seen, respondent))
        else:
            problems.append(_unknown(seen))
    raise_if_any(problems)
    _at_most_one([seen for seen, *_ in trials], "an experiment")
    _at_most_one([seen for seen, _ in rosters], "a list of people without an arm")
    if trials and rosters:
        raise InputError([_unknown(seen) for seen, _ in rosters])
    calibration = _survey(surveyed, conjoint) if surveyed and conjoint else None
    experiment = _fielded(*trials[0]) if trials else None
    roster = _listed(*rosters[0]) if rosters else None
    names = {normalised(a.name) for a in conjoint.attributes} if conjoint else set()
    trial = trials[0][1] if trials else None
    names |= {normalised(outcome.column) for outcome in trial.outcomes} if trial else set()
    return Proposal(
        calibration,
        conjoint,
        experiment,
        trial,
        roster,
        _panel(calibration, experiment or roster),
        _covariates(calibration, experiment or roster, names),
    )


def _survey(seen: SeenFile, conjoint: GuessedConjoint) -> GuessedSample:
    last = conjoint.last

    def late(column: Column) -> bool:
        return last is not None and column.position > last

    taken = conjoint.taken | {note.column for note in conjoint.unused}
    people = read_people(seen, conjoint.respondent.column, taken, late)
    return GuessedSample(seen, conjoint.respondent, people)


def _fielded(seen: SeenFile, trial: GuessedTrial, respondent: Noted) -> GuessedSample:
    def late(column: Column) -> bool:
        return column.position > trial.first_after

    people = read_people(seen, respondent.column, trial.taken, late, trial.arm.column)
    return GuessedSample(seen, respondent, people)


def _listed(seen: SeenFile, respondent: Noted) -> GuessedSample:
    return GuessedSample(seen, respondent, read_people(seen, respondent.column, (), lambda column: False))


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
                first.people.unused.append(Noted(name, f"not known in {second.seen.path}"))
        optional = {name for name in candidates if name not in first.people.candidates}
    derived = coarser(samples[-1].seen, candidates)
    for name, finer in derived.items():
        samples[-1].people.unused.append(Noted(name, f"only groups '{finer}'"))
    kept = [name for name in candidates if name not in derived]
    return covariates([sample.seen for sample in samples], kept, optional, names)


def _panel(first: GuessedSample | None, second: GuessedSample | None) -> tuple[bool, str]:
    if not (first and second):
        return False, "there is only one sample"
    known = set(read_ids(first.seen.raw[first.respondent.column].dropna()))
    ids = read_ids(second.seen.raw[second.respondent.column].dropna())
    share = float(ids.isin(known).mean())
    return share > 0.5, f"{share:.0%} of the ids of {second.seen.path} are also in {first.seen.path}"


def _at_most_one(files: Sequence[SeenFile], what: str) -> None:
    if len(files) > 1:
        remedy = "name one of them; a study of each is another config"
        paths = listed(seen.path for seen in files)
        raise InputError([Problem(files[0].path, "whole file", f"{paths} are each {what}", "one", remedy)])


def _nobody(seen: SeenFile) -> Problem:
    return Problem(
        seen.path,
        "whole file",
        "no column tells respondents apart",
        "a column with a different id in every row; in a long conjoint survey, one id a person",
        "add such a column, for example the number of the row",
    )


def _unknown(seen: SeenFile) -> Problem:
    return Problem(
        seen.path,
        "whole file",
        "this looks neither like a conjoint survey nor like an experiment "
        f"(its columns: {listed(seen.columns, 12)})",
        "a conjoint survey: a row a profile, or columns such as task1_profile2_cost; or an experiment: "
        "a row a respondent, with a column such as 'arm' or 'treatment'",
        "rename the columns of the tasks or of the arm so, or write the config by hand after examples/",
    )
