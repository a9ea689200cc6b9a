"""What a proposal says about respondents: who is who, what may be known about them, what must not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nanotarget.clean.cells import BINARY
from nanotarget.propose.columns import ADDRESS, DATE, EMAIL, Column, SeenFile, merged_counts
from nanotarget.propose.ordering import ordered
from nanotarget.study.checks import RESERVED
from nanotarget.study.config import normalised
from nanotarget.study.problems import listed, shortened

ID_WORDS = {
    *("id", "ids", "respondent", "respondentid", "responseid", "participant", "subject", "case", "caseid"),
    *("uuid", "person", "customer", "user", "worker", "member", "voter"),
}
NAME_WORDS = {
    *("name", "firstname", "lastname", "surname", "email", "mail", "recipient", "ip", "phone", "mobile"),
    *("telephone", "street", "address", "latitude", "longitude", "postcode", "zip"),
}
PLATFORM_WORDS = {
    *("startdate", "enddate", "recordeddate", "progress", "status", "finished", "duration", "seconds"),
    *("distribution", "userlanguage", "external", "reference", "timing", "click"),
}
DESIGN_WORDS = {"pos", "position", "order", "randomization", "randomisation", "seed", "row", "index"}
WEIGHT_WORDS = {"weight", "weights", "wt", "wgt", "pweight"}
CONSENT_WORDS = {"consent", "consented", "agree", "agreed"}
PERSONAL_WORDS = {"personal", "personalisation", "personalization", "optout", "opt", "targeting"}
FINISHED_WORDS = {"finished", "completed", "complete"}
ATTENTION_WORDS = {"attention", "imc", "screener", "trap"}
SECONDS_WORDS = {"duration", "seconds", "elapsed"}
TRAIT_WORDS = {
    *(
        "age",
        "birth",
        "born",
        "gender",
        "sex",
        "female",
        "male",
        "woman",
        "man",
        "educ",
        "education",
        "degree",
    ),
    *(
        "income",
        "region",
        "state",
        "country",
        "county",
        "area",
        "urban",
        "rural",
        "residence",
        "pid",
        "party",
    ),
    *("partisanship", "ideology", "ideo", "left", "right", "race", "ethnicity", "religion", "marital"),
    *("married", "employment", "occupation", "job", "class", "owner", "household", "language", "nationality"),
}
STEPS = (  # exclusions in their usual order
    *("No consent", "Not finished", "Duplicate respondent", "Failed attention check", "Speeder"),
    "Not randomised",
)
MOST_LEVELS = 30  # a categorical covariate with more levels is hardly one
LONG_TEXT = 40  # letters of the average answer from which it is free text


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
    target: bool
    reason: str

    @property
    def kind(self) -> str:
        """As the config writes it."""
        return "numeric" if self.levels is None else "categorical"


@dataclass(frozen=True)
class GuessedExclusion:
    """An exclusion; one that is only suggested stands in the config as a comment."""

    settings: dict[str, object]
    reason: str
    suggested: bool = True


@dataclass(frozen=True)
class GuessedPeople:
    """What a file says about people beside what was measured.

    Attributes:
        candidates: columns that describe people, in the file's order.
        identifiers: columns with direct identifiers.
        weight, opt_out: suggestions.
        exclusions: in the order in which they would be applied.
        unused: other columns, with the reason.
    """

    candidates: list[str]
    identifiers: list[Noted]
    weight: Noted | None
    opt_out: tuple[str, str] | None
    exclusions: list[GuessedExclusion]
    unused: list[Noted] = field(default_factory=list)


def identifying(column: Column, n_people: int) -> str:
    """Say why a column identifies people; "" if it does not."""
    if column.mostly(EMAIL):
        return "holds e-mail addresses"
    if column.mostly(ADDRESS):
        return "holds network addresses"
    many = len(column.answers) > max(50, 0.05 * n_people)
    if many and column.named(NAME_WORDS):
        return "its name says that it tells who somebody is"
    if column.numbers is not None or column.mostly(DATE):
        return ""
    if many and np.mean([len(text) for text in column.answers]) > LONG_TEXT:
        return "holds free text"
    if len(column.answers) > max(50, 0.5 * n_people):
        return "nearly everybody has a text of her own"
    return ""


def respondent_column(seen: SeenFile, taken: Collection[str] = ()) -> Noted | None:
    """Find the column with one value a row that names the respondent."""
    best: tuple[tuple[bool, float, int], Noted] | None = None
    for column in seen.columns.values():
        if column.name in taken or column.mostly(EMAIL) or column.mostly(ADDRESS) or column.mostly(DATE):
            continue
        if column.numbers is not None and not column.whole:
            continue
        hinted = column.named(ID_WORDS)
        different = column.texts.nunique() / len(column.texts)
        if different < 1 and not (hinted and different > 0.9):
            continue
        reason = "a different value in every row" if different == 1 else "most rows have a value of their own"
        rank = (hinted, different, -column.position)
        if best is None or rank > best[0]:
            best = rank, Noted(column.name, reason + (", and its name says so" if hinted else ""))
    return best[1] if best else None


def read_people(
    seen: SeenFile,
    respondent: str,
    taken: Collection[str],
    late: Callable[[Column], bool],
    arm: str | None = None,
) -> GuessedPeople:
    """Sort the columns of a file that say something about people.

    Args:
        seen: the file.
        respondent: its column with the respondent's id.
        taken: columns that are already understood (attributes, outcomes, ...).
        late: was a column asked after what may have changed its answer?
        arm: column of the arm, in an experiment; checks after the treatment exclude nobody there.
    """
    n_people = seen.columns[respondent].texts.nunique()
    identifiers: list[Noted] = []
    unused: list[Noted] = []
    candidates: list[str] = []
    weight: Noted | None = None
    opt_out: tuple[str, str] | None = None
    exclusions: list[GuessedExclusion] = []
    for column in seen.columns.values():
        if column.name == respondent or column.name in taken:
            continue
        rule = None if arm and late(column) else _exclusion(column, arm is not None)
        if reason := identifying(column, n_people):
            identifiers.append(Noted(column.name, reason))
            if column.mostly(EMAIL):
                exclusions.append(_duplicates(seen, column, respondent))
        elif column.named(PERSONAL_WORDS) and column.binary:
            opt_out = (column.name, _answer(column, 0.0))
        elif rule:
            exclusions.append(rule)
        elif weight is None and weighs(column):
            weight = Noted(column.name, "positive numbers, and its name says so")
        elif reason := _useless(column, n_people):
            unused.append(Noted(column.name, reason))
        elif late(column) and not column.named(TRAIT_WORDS):
            unused.append(Noted(column.name, "asked after what may have changed its answer"))
        else:
            candidates.append(column.name)
    if arm and seen.columns[arm].n_missing:
        step: dict[str, object] = {"step": "Not randomised", "rule": "missing", "column": arm}
        exclusions.append(GuessedExclusion(step, "who has no arm was not randomised", suggested=False))
    exclusions.sort(key=lambda exclusion: STEPS.index(str(exclusion.settings["step"])))
    return GuessedPeople(candidates, identifiers, weight, opt_out, exclusions, unused)


def _exclusion(column: Column, experiment: bool) -> GuessedExclusion | None:
    """Suggest whom a column would exclude; in an experiment only what was known before the treatment."""
    settings: dict[str, object] | None = None
    if column.named(CONSENT_WORDS) and not column.named(PERSONAL_WORDS) and len(column.answers) <= 3:
        settings = {"step": "No consent", "rule": "not_in", "column": column.name, "values": [_usual(column)]}
    elif column.named(FINISHED_WORDS) and len(column.answers) <= 2 and not experiment:
        settings = {
            "step": "Not finished",
            "rule": "not_in",
            "column": column.name,
            "values": [_usual(column)],
        }
    elif column.named(ATTENTION_WORDS) and 1 < len(column.answers) <= 10:
        values = [_usual(column)]
        settings = {
            "step": "Failed attention check",
            "rule": "not_in",
            "column": column.name,
            "values": values,
        }
    elif column.named(SECONDS_WORDS) and column.numbers is not None and not experiment:
        third = float(f"{np.nanmedian(column.numbers) / 3:.2g}")
        settings = {"step": "Speeder", "rule": "below", "column": column.name, "value": third}
        return GuessedExclusion(settings, "a third of the median; take the limit that you registered")
    if settings is None:
        return None
    return GuessedExclusion(settings, "its name says so; the value is the most frequent one")


def _usual(column: Column) -> str:
    """Return the answer yes, or else the most frequent one."""
    return _answer(column, 1.0) or max(column.answers, key=lambda text: column.answers[text])


def _answer(column: Column, value: float) -> str:
    return next((text for text in column.answers if BINARY.get(normalised(text)) == value), "")


def _duplicates(seen: SeenFile, column: Column, respondent: str) -> GuessedExclusion:
    people = seen.raw.drop_duplicates(respondent)[column.name].dropna()
    repeated = int(people.map(normalised).duplicated().sum())
    settings: dict[str, object] = {"step": "Duplicate respondent", "rule": "duplicate", "column": column.name}
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
    if column.named(PLATFORM_WORDS) and not column.named(TRAIT_WORDS):
        return "written by the survey platform"
    if column.named(DESIGN_WORDS):
        return "its name says that it belongs to the design, not to the person"
    if column.numbers is None and len(column.answers) > MOST_LEVELS:
        return f"{len(column.answers)} different texts are too many levels"
    if column.whole and len(column.answers) == n_people and n_people > MOST_LEVELS:
        return "a different number for everybody"
    return ""


def covariates(
    files: Sequence[SeenFile], candidates: Sequence[str], optional: Collection[str], names: set[str]
) -> list[GuessedCovariate]:
    """Describe columns as covariates, from all files that have them.

    Args:
        files: the samples.
        candidates: columns in order.
        optional: those that the calibration lacks, which therefore cannot target.
        names: normalised names that are taken; gets the new ones.
    """
    found = []
    for name in candidates:
        columns = [seen.columns[name] for seen in files if name in seen.columns]
        answers = merged_counts(pair for column in columns for pair in column.answers.items())
        numbers = [column.numbers for column in columns]
        missing = list(dict.fromkeys(text for column in columns for text in column.missing_values))
        codes = {label: code for column in columns for label, code in column.codes.items()}
        label = next((column.question for column in columns if column.question), "")
        levels: list[str] | None = None
        limits: tuple[float, float] | None = None
        if len(answers) <= 2 or any(values is None for values in numbers):
            levels, why = ordered(list(answers), codes)
            reason = f"{len(levels)} different answers; order {why}"
        else:
            everything = np.concatenate([values for values in numbers if values is not None])
            limits = (float(np.nanmin(everything)), float(np.nanmax(everything)))
            reason = (
                f"{len(answers)} different numbers; the range is what was seen, widen it to what is possible"
            )
            reason += f"; {listed(missing)} looks like no answer" if missing else ""
            missing += [codes[text] for text in missing if text in codes]
        if len(answers) < 2 or (levels and len(levels) > MOST_LEVELS):
            continue
        found.append(
            GuessedCovariate(
                free_name(name, names),
                name,
                label if label and len(label) <= 60 and normalised(label) != normalised(name) else "",
                levels,
                limits,
                missing,
                name not in optional,
                reason,
            )
        )
    return found


def coarser(seen: SeenFile, candidates: Iterable[str]) -> dict[str, str]:
    """Find covariates that only group another one: {text column: numeric column}.

    Each of its answers covers an interval of the number, and the intervals do not overlap.
    """
    columns = [seen.columns[name] for name in candidates]
    found: dict[str, str] = {}
    for text in columns:
        if (
            text.numbers is not None
            or not 3 <= len(text.answers) <= MOST_LEVELS
            or min(text.answers.values()) < 5
        ):
            continue
        for number in columns:
            if number.numbers is None or len(number.answers) <= 2 * len(text.answers):
                continue
            limits = (
                pd.Series(number.numbers, index=seen.raw.index)
                .groupby(text.texts)
                .agg(["min", "max"])
                .sort_values("min")
            )
            if (limits["max"].to_numpy()[:-1] <= limits["min"].to_numpy()[1:]).all():
                found[text.name] = number.name
                break
    return found


def free_name(column: str, names: set[str]) -> str:
    """Return a name for a column that the pipeline and the study do not use yet; takes it."""
    name = shortened(column, 200)
    while normalised(name) in names or normalised(name) in RESERVED:
        name += "_"
    names.add(normalised(name))
    return name
