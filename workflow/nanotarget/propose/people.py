"""What a proposal says about respondents: who is who, what may be known about them, what must not."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nanotarget.clean.cells import BINARY
from nanotarget.clean.personal import ADDRESS, EMAIL
from nanotarget.propose.columns import DATE, Column, RawFile, merged_counts, words
from nanotarget.propose.ordering import ordered
from nanotarget.study.checks import RESERVED
from nanotarget.study.config import normalised
from nanotarget.study.problems import listed, shortened

ID_WORDS = words(
    "id ids respondent respondentid responseid participant subject case caseid uuid person customer user",
    "worker member voter respid respnr customerid subjid subjectid userid personid participantid caseid",
    "intnr lfdn panelist resp uid",
)
SERIAL_WORDS = words("session index row position page collector")  # numbers of a session, of a file, ...
PERSON_WORDS = ID_WORDS - words("id ids case caseid uuid uid")  # which say whose id it is
NAME_WORDS = words(
    "name firstname lastname surname email mail recipient ip phone mobile telephone street address latitude",
    "longitude postcode zip",
)
PLATFORM_WORDS = words(
    "startdate enddate recordeddate progress status finished duration seconds distribution userlanguage",
    "external reference timing click",
)
PLATFORM = re.compile(  # names that only platforms write, without separators
    r"(q\d+|t\w*)?.*(firstclick|lastclick|pagesubmit|clickcount)|(q?recaptcha|qrelevantid|qduplicate|qballotbox).*"
    r"|(start|end|recorded)date|ipaddress|location(latitude|longitude)|distributionchannel|userlanguage"
    r"|durationinseconds|recipient(last|first)name|recipientemail|externalreference|externaldatareference"
)
PREVIEW = re.compile(r"(survey )?(preview|test)|spam", re.IGNORECASE)
STATUS_CODES = {"1", "2", "8", "9", "12"}  # of Qualtrics: previews, tests and spam; 0 is a response
DESIGN_WORDS = words("pos position order randomization randomisation seed row index")
WEIGHT_WORDS = words("weight weights wt wgt pweight")
CONSENT_WORDS = words("consent consented agree agreed")
PERSONAL_WORDS = words("personal personalisation personalization optout opt targeting")
FINISHED_WORDS = words("finished completed complete")
ATTENTION_WORDS = words("attention imc screener trap")
SECONDS_WORDS = words("duration seconds elapsed")
TRAIT_WORDS = words(
    "age birth born gender sex female male woman man educ education degree income region state country",
    "county area urban rural residence pid party partisanship ideology ideo left right race ethnicity",
    "religion marital married employment occupation job class owner household language nationality",
    "hhinc inc faminc salary wage children kids hispanic latino black white asian veteran union citizen",
    "church homeowner smoker ethnic birthyr birthyear alter geschlecht bildung einkommen edad sexo genero",
    "ingreso educacion partido sexe diplome revenu eta genere",
)
STEPS = (  # exclusions in their usual order
    *(
        "Preview or test",
        "No consent",
        "Not finished",
        "Duplicate respondent",
        "Failed attention check",
        "Speeder",
    ),
    "Not randomised",
)
MAX_LEVELS = 30  # a categorical covariate with more levels is hardly one
FREE_TEXT_LENGTH = 40  # letters of the average answer from which it is free text


@dataclass(frozen=True)
class Noted:
    """A column (or what is said about it), and why."""

    column: str
    reason: str


@dataclass(frozen=True)
class GuessedCovariate:
    """One covariate; `levels` of a categorical one, `range` of a numeric one."""

    name: str
    column: str
    label: str
    levels: list[str] | None
    range: tuple[float, float] | None
    missing_values: list[str]
    reason: str
    target: bool = True

    @property
    def settings(self) -> dict[str, object]:
        """As the config writes it."""
        return {
            "name": self.name,
            **({"label": self.label} if self.label else {}),
            **({"column": self.column} if self.column != self.name else {}),
            "kind": "numeric" if self.levels is None else "categorical",
            **({"levels": self.levels} if self.levels is not None else {}),
            **range_setting(self.range),
            **({"missing_values": self.missing_values} if self.missing_values else {}),
            **({} if self.target else {"target": False}),
        }


@dataclass(frozen=True)
class GuessedExclusion:
    """An exclusion; one that is only suggested stands in the config as a comment."""

    settings: Mapping[str, object]
    reason: str
    suggested: bool = True
    question: str = ""


@dataclass
class GuessedPeople:
    """What a file says about people beside what was measured.

    Attributes:
        candidates: columns that describe people, in the file's order.
        identifiers: columns with direct identifiers.
        weight, consent: suggestions, the latter as the config writes it.
        exclusions: in the order in which they would be applied.
        late: candidates that were asked after the first task.
        unused: other columns, with the reason.
    """

    candidates: list[str] = field(default_factory=list)
    identifiers: list[Noted] = field(default_factory=list)
    weight: Noted | None = None
    consent: dict[str, object] | None = None
    exclusions: list[GuessedExclusion] = field(default_factory=list)
    late: set[str] = field(default_factory=set)
    unused: list[Noted] = field(default_factory=list)


def identifying(column: Column, n_people: int) -> str:
    """Say why a column identifies people; "" if it does not."""
    if column.mostly(EMAIL):
        return "contains e-mail addresses"
    if column.mostly(ADDRESS):
        return "contains network addresses"
    many = len(column.answers) > max(50, 0.05 * n_people)
    if many and column.named(NAME_WORDS):
        return "its name says that it tells who somebody is"
    if column.numbers is not None or column.mostly(DATE):
        return ""
    if many and np.mean([len(text) for text in column.answers]) > FREE_TEXT_LENGTH:
        return "contains free text"
    if len(column.answers) > max(50, 0.5 * n_people):
        return "nearly everybody has a different text"
    return ""


def by_platform(column: Column) -> bool:
    """Does the name say that a survey platform wrote the column?"""
    name = re.sub(r"[^a-z0-9]", "", column.name.lower())
    return bool(PLATFORM.fullmatch(name)) or (column.named(PLATFORM_WORDS) and not column.named(TRAIT_WORDS))


def respondent_column(file: RawFile) -> Noted | None:
    """Find the column that names the respondent with a different value in every row."""
    candidates = [
        (column.named(ID_WORDS), column.texts.nunique() / len(column.texts), column)
        for column in file.columns.values()
        if not any(column.mostly(pattern) for pattern in (EMAIL, ADDRESS, DATE))
        and (column.named(ID_WORDS) or not by_platform(column))
        and (column.numbers is None or column.whole)
    ]
    candidates = [
        (named, share, c) for named, share, c in candidates if share == 1 or (named and share > 0.9)
    ]
    if not candidates:
        return None
    named, share, column = max(
        candidates, key=lambda found: (*found[:2], not found[2].named(SERIAL_WORDS), -found[2].position)
    )
    reason = "a different value in every row" if share == 1 else "nearly every row has a different value"
    return Noted(column.name, reason + (", and its name says so" if named else ""))


def read_people(
    file: RawFile,
    respondent: str,
    taken: Collection[str],
    after: float = math.inf,
    arm: str | None = None,
) -> GuessedPeople:
    """Sort the columns of a file that say something about people.

    Args:
        file: the file.
        respondent: its column with the respondent's id.
        taken: columns that are already understood (attributes, outcomes, ...).
        after: position of a column; those behind it were asked after what may have changed their answers.
        arm: column of the arm, in an experiment; checks after the treatment exclude nobody there.
    """
    n_people = file.columns[respondent].texts.nunique()
    people = GuessedPeople()
    for column in file.columns.values():
        if column.name != respondent and column.name not in taken:
            _sort_in(people, column, n_people, column.position > after, arm is not None)
    for note in people.identifiers:
        if file.columns[note.column].mostly(EMAIL):
            people.exclusions.append(_duplicates(file, note.column, respondent))
    if arm and file.columns[arm].n_missing:
        step: dict[str, object] = {"step": "Not randomised", "rule": "missing", "column": arm}
        people.exclusions.append(GuessedExclusion(step, "who has no arm was not randomised", suggested=False))
    people.exclusions.sort(key=lambda exclusion: STEPS.index(str(exclusion.settings["step"])))
    return people


def _sort_in(people: GuessedPeople, column: Column, n_people: int, late: bool, experiment: bool) -> None:
    """Add a column to what is known about people, under what it seems to be."""
    if reason := identifying(column, n_people):
        people.identifiers.append(Noted(column.name, reason))
    elif column.named(PERSONAL_WORDS) and column.binary and _answer(column, 1.0):
        people.consent = {"column": column.name, "values": [_answer(column, 1.0)]}
    elif not (experiment and late) and (exclusion := _exclusion(column, experiment)):
        people.exclusions.append(exclusion)
    elif people.weight is None and weighs(column):
        people.weight = Noted(column.name, "positive numbers, and its name says so")
    elif reason := _useless(column, n_people):
        people.unused.append(Noted(column.name, reason))
    elif late and not column.named(TRAIT_WORDS):
        people.unused.append(Noted(column.name, "asked after what may have changed its answer"))
    else:
        people.candidates.append(column.name)
        if late and not experiment:
            people.late.add(column.name)


def _exclusion(column: Column, experiment: bool) -> GuessedExclusion | None:
    """Suggest whom a column would exclude; in an experiment only what was known before the treatment."""
    n = len(column.answers)
    if previews := _previews(column):
        step: dict[str, object] = {"step": "Preview or test", "rule": "in", "column": column.name}
        rows = sum(column.answers[text] for text in previews)
        question = f"{rows} rows are no answers of respondents; leave them out?"
        return GuessedExclusion(step | {"values": previews}, "its texts say so", question=question)
    if column.named(CONSENT_WORDS) and not column.named(PERSONAL_WORDS) and n <= 3:
        return _unusual("No consent", column, suggested=not _answer(column, 1.0))
    if column.named(FINISHED_WORDS) and n <= 2 and not experiment:
        return _unusual("Not finished", column)
    if column.named(ATTENTION_WORDS) and 1 < n <= 10:
        return _unusual("Failed attention check", column)
    if column.named(SECONDS_WORDS) and column.numbers is not None and not experiment:
        third = float(f"{np.nanmedian(column.numbers) / 3:.2g}")
        settings = {"step": "Speeder", "rule": "below", "column": column.name, "value": third}
        return GuessedExclusion(settings, "a third of the median; take the limit that you registered")
    return None


def _previews(column: Column) -> list[str]:
    """Return the answers that mark previews, tests and spam."""
    if column.words == {"status"} and column.answers.keys() <= STATUS_CODES | {"0", "4", "16"}:
        return [text for text in column.answers if text in STATUS_CODES]
    if column.named(("status", "channel", "type")):
        return [text for text in column.answers if PREVIEW.fullmatch(text)]
    return []


def _unusual(step: str, column: Column, suggested: bool = True) -> GuessedExclusion:
    """Exclude whoever did not give the usual answer: yes, or else the most frequent one."""
    usual = _answer(column, 1.0) or max(column.answers, key=lambda text: column.answers[text])
    settings = {"step": step, "rule": "not_in", "column": column.name, "values": [usual]}
    return GuessedExclusion(settings, "its name says so; the value is the most frequent one", suggested)


def _answer(column: Column, value: float) -> str:
    return next((text for text in column.answers if BINARY.get(normalised(text)) == value), "")


def _duplicates(file: RawFile, column: str, respondent: str) -> GuessedExclusion:
    people = file.raw.drop_duplicates(respondent)[column].dropna()
    repeated = int(people.map(normalised).duplicated().sum())
    settings: dict[str, object] = {"step": "Duplicate respondent", "rule": "duplicate", "column": column}
    reason = f"{repeated} addresses occur again" if repeated else "no address occurs twice"
    return GuessedExclusion(settings, reason, suggested=not repeated)


def weighs(column: Column) -> bool:
    """Does a column look like survey weights?"""
    numbers = column.numbers
    return (
        (column.named(WEIGHT_WORDS) or column.words == {"w"})
        and numbers is not None
        and bool(np.all(numbers > 0))
        and len(column.answers) > 1
    )


def _useless(column: Column, n_people: int) -> str:
    """Say why a column describes nobody; "" if it may."""
    if len(column.answers) < 2:
        return "the same for everybody"
    if column.mostly(DATE):
        return "dates"
    if by_platform(column):
        return "written by the survey platform"
    if column.named(DESIGN_WORDS):
        return "its name says that it belongs to the design, not to the person"
    if column.numbers is None and len(column.answers) > MAX_LEVELS:
        return f"{len(column.answers)} different texts are too many levels"
    if column.whole and len(column.answers) == n_people and n_people > MAX_LEVELS:
        return "a different number for everybody"
    return ""


def range_setting(limits: tuple[float, float] | None) -> dict[str, object]:
    """Return the limits as the config writes them; nothing where all numbers are the same."""
    return {"range": list(limits)} if limits and limits[0] < limits[1] else {}


def covariates(
    files: Sequence[RawFile], candidates: Sequence[str], optional: Collection[str], names: set[str]
) -> list[GuessedCovariate]:
    """Describe columns as covariates, from all files that have them.

    Args:
        files: the samples.
        candidates: columns in order.
        optional: those that the calibration lacks or asked late, which therefore cannot target.
        names: normalised names that are taken; gets the new ones.
    """
    described = []
    for name in candidates:
        covariate = _covariate(name, [file.columns[name] for file in files if name in file.columns])
        if covariate:
            taken = free_name(name, names)
            described.append(dataclasses.replace(covariate, name=taken, target=name not in optional))
    return described


def _covariate(name: str, columns: Sequence[Column]) -> GuessedCovariate | None:
    """Describe a covariate by its column in each file; None if it has one answer, or too many texts."""
    answers = merged_counts(pair for column in columns for pair in column.answers.items())
    missing = list(dict.fromkeys(text for column in columns for text in column.missing_values))
    codes = {label: code for column in columns for label, code in column.codes.items()}
    label = next((column.question for column in columns if column.question), "")
    label = label if len(label) <= 60 and normalised(label) != normalised(name) else ""
    numbers = [column.numbers for column in columns if column.numbers is not None]
    if len(answers) > 2 and len(numbers) == len(columns):
        known = np.concatenate(numbers)
        limits = (float(np.nanmin(known)), float(np.nanmax(known)))
        reason = f"{len(answers)} different numbers; the range is what was seen, widen it to what is possible"
        reason += f"; {listed(missing)} is taken for no answer" if missing else ""
        missing += [codes[text] for text in missing if text in codes]
        return GuessedCovariate(name, name, label, None, limits, missing, reason)
    if not 2 <= len(answers) <= MAX_LEVELS:
        return None
    labels = list(dict.fromkeys(label for column in columns for label in column.labels))
    levels, why = ordered(list(answers), labels)
    reason = f"{len(levels)} different answers; order {why}"
    return GuessedCovariate(name, name, label, levels, None, missing, reason)


def coarser(file: RawFile, candidates: Iterable[str]) -> dict[str, str]:
    """Find covariates that only group another one: {text column: numeric column}.

    Each of its answers covers an interval of the number, and the intervals do not overlap.
    """
    columns = [file.columns[name] for name in candidates]
    texts = [
        column
        for column in columns
        if column.numbers is None
        and 3 <= len(column.answers) <= MAX_LEVELS
        and min(column.answers.values()) >= 5
    ]
    finer = {text.name: next((n.name for n in columns if _groups(text, n)), "") for text in texts}
    return {text: number for text, number in finer.items() if number}


def _groups(text: Column, number: Column) -> bool:
    """Do the texts name intervals of the number that do not overlap?"""
    if number.numbers is None or len(number.answers) <= 2 * len(text.answers):
        return False
    limits = pd.Series(number.numbers, index=text.texts.index).groupby(text.texts).agg(["min", "max"])
    limits = limits.sort_values("min")
    return bool((limits["max"].to_numpy()[:-1] <= limits["min"].to_numpy()[1:]).all())


def free_name(column: str, names: set[str]) -> str:
    """Return a name for a column that the pipeline and the study do not use yet; takes it."""
    name = shortened(column, 200)
    while normalised(name) in names or normalised(name) in RESERVED:
        name += "_"
    names.add(normalised(name))
    return name
