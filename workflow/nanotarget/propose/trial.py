"""What a proposal says about an experiment: arms, the petition shown, outcomes and their kind."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from nanotarget.clean.blocks import MIN_CLUSTERS
from nanotarget.propose.columns import DATE, Column, RawFile, words
from nanotarget.propose.ordering import ordered
from nanotarget.propose.people import (
    ATTENTION_WORDS,
    DESIGN_WORDS,
    PLATFORM_WORDS,
    TRAIT_WORDS,
    Noted,
    identifying,
    range_setting,
    weighs,
)
from nanotarget.study.config import OutcomeKind, normalised

ARM_WORDS = words("arm arms treat treatment treated condition experimental assignment")
MAYBE_ARM_WORDS = words("z group segment variant assigned version cell message t")
CONTROL = re.compile(
    r"(pure )?(control|placebo|baseline|untreated)\b|no[ -](e-?mail|message|treatment)", re.I
)
POLICIES = {  # what the text of an arm says about the policy behind it
    "overall_best": re.compile(r"\bbest\b", re.I),
    "nano": re.compile(r"\bnano|\bpersonali[sz]ed|\bindividual", re.I),
    "segment": re.compile(r"\bsegment", re.I),
    "random": re.compile(r"\brandom", re.I),
}
GROUP_WORDS = words(
    "school class classroom teacher village town municipality county district ward precinct household family",
    "hospital clinic doctor team firm company site neighborhood neighbourhood cluster interviewer",
)
DRAWN = re.compile(r"(UR|RG|ZG)\d{2}")  # what SoSci Survey draws from an urn, or at random
MAX_ARMS = 12
ORDINAL_POINTS = 7  # a scale with more points counts as continuous


@dataclass(frozen=True)
class GuessedArm:
    """One arm as the raw file writes it, and the policy that its text suggests."""

    value: str
    n: int
    policy: str | None

    @property
    def settings(self) -> dict[str, object]:
        """As the config writes it; with a stroke where the pipeline needs the word itself."""
        name = f"{self.value}_" if normalised(self.value) in ("all", "none") else self.value
        value = {} if name == self.value else {"value": self.value}
        return {"name": name, **value, **({"policy": self.policy} if self.policy else {})}


@dataclass(frozen=True)
class GuessedOutcome:
    """One outcome."""

    column: str
    label: str
    kind: OutcomeKind
    range: tuple[float, float] | None
    reason: str

    @property
    def settings(self) -> dict[str, object]:
        """As the config writes it."""
        label = {"label": self.label} if self.label else {}
        return {"name": self.column, **label, "kind": self.kind, **range_setting(self.range)}


@dataclass(frozen=True)
class GuessedTrial:
    """An experiment.

    Attributes:
        arm: its column; `arms` in order, control first.
        cluster: column whose values each have one arm, or None.
        together: column of groups, by its name, of which each has people in several arms; or None.
        petition_columns: pattern of the columns with the petition shown, or None.
        outcomes: in the file's order.
        taken: all these columns.
        unused: columns after the arm that are no outcomes.
    """

    arm: Noted
    arms: list[GuessedArm]
    cluster: Noted | None
    together: str | None
    petition_columns: tuple[str, str] | None
    outcomes: list[GuessedOutcome]
    taken: frozenset[str]
    unused: list[Noted]

    @property
    def questions(self) -> list[str]:
        """What the data do not answer."""
        asked = []
        if not any(CONTROL.match(arm.value) for arm in self.arms):
            first = self.arms[0].value
            asked.append(
                f"which arm is the control? None says so, and '{first}' stands first as the reference"
            )
        if self.cluster:
            column = self.cluster.column
            asked.append(f"were whole groups ('{column}') randomised? If people were, remove 'randomisation'")
        if self.together:
            asked.append(
                f"do people of one '{self.together}' answer alike? Arms were drawn inside it; if so, write "
                f"'randomisation: {{outcome_cluster: {self.together}}}', which standard errors then honour"
            )
        if not self.outcomes:
            asked.append("which columns are outcomes? No number and no yes or no stands behind the arm")
        return asked


def find_trial(
    file: RawFile, respondent: str, attributes: Sequence[str], known: Collection[str]
) -> GuessedTrial | None:
    """Find an experiment in a file with one row per respondent; None if it has no column of arms.

    Args:
        file: the file.
        respondent: its column with the respondent's id.
        attributes: columns of the design's attributes.
        known: columns of the calibration, which were asked before any treatment of this experiment.
    """
    arm = arm_column(file, respondent)
    if arm is None:
        return None
    column = file.columns[arm.column]
    petition = _petition_columns(file, attributes)
    shown = {petition[0].replace("{attribute}", name) for name in attributes} if petition else set()
    cluster = _cluster(file, arm.column, respondent)
    clusters = {cluster.column} if cluster else set()
    together = None if cluster else _together(file, arm.column, respondent)
    outcomes: list[GuessedOutcome] = []
    unused: list[Noted] = []
    n_people = len(file.raw)
    for other in file.columns.values():
        if other.position < column.position or other.name in (arm.column, respondent, *shown, *clusters):
            continue
        if other.name in known or other.named(TRAIT_WORDS | ATTENTION_WORDS) or weighs(other):
            continue
        if identifying(other, n_people) or other.mostly(DATE):
            continue
        if reason := _no_outcome(other, column, file):
            unused.append(Noted(other.name, reason))
        else:
            outcomes.append(_outcome(other))
    taken = {arm.column, *shown, *clusters, *(o.column for o in outcomes), *(note.column for note in unused)}
    return GuessedTrial(
        arm, _arms(column, bool(shown)), cluster, together, petition, outcomes, frozenset(taken), unused
    )


def arm_column(file: RawFile, respondent: str) -> Noted | None:
    """Find the column whose name or whose values look most like arms."""
    candidates = [
        (_armlike(column), column)
        for column in file.columns.values()
        if column.name != respondent
        and 2 <= len(column.answers) <= MAX_ARMS
        and column.n_missing <= 0.2 * len(column.texts)
    ]
    (score, why), column = max(
        candidates, key=lambda candidate: (candidate[0][0], -candidate[1].position), default=((0, ""), None)
    )
    return Noted(column.name, why) if column and score >= 3 else None


def _cluster(file: RawFile, arm: str, respondent: str) -> Noted | None:
    """Find the column with the fewest values of which each, though of several people, has one arm."""
    arms = file.columns[arm]
    candidates = []
    for column in file.columns.values():
        if column.name in (arm, respondent) or column.n_missing or column.mostly(DATE):
            continue
        if column.numbers is not None and not column.whole:
            continue
        several = np.bincount(column.values, minlength=column.n_values) > 1
        pairs = np.unique(column.values * (arms.n_values + 1) + arms.values + 1)
        if several.sum() >= MIN_CLUSTERS and len(pairs) == column.n_values:
            candidates.append((column.n_values, column.position, column.name))
    if not candidates:
        return None
    n, _, name = min(candidates)
    return Noted(name, f"all rows of each of the {n} values of '{name}' are in one arm")


def _together(file: RawFile, arm: str, respondent: str) -> str | None:
    """Find the column, named like groups of people, with the fewest values, inside which arms were drawn."""
    arms = file.columns[arm].values
    candidates = []
    for column in file.columns.values():
        if column.name in (arm, respondent) or column.n_missing or not column.named(GROUP_WORDS):
            continue
        several = np.bincount(column.values, minlength=column.n_values) > 1
        pairs = np.unique(np.column_stack([column.values, arms]), axis=0)[:, 0]
        mixed = np.bincount(pairs, minlength=column.n_values) > 1
        if several.sum() >= MIN_CLUSTERS and 2 * mixed.sum() > several.sum():
            candidates.append((column.n_values, column.position, column.name))
    return min(candidates)[-1] if candidates else None


def _armlike(column: Column) -> tuple[int, str]:
    """Score how much a column looks like arms, and say why."""
    name = (
        3
        if column.named(ARM_WORDS) or DRAWN.fullmatch(column.name)
        else 2
        if column.named(MAYBE_ARM_WORDS)
        else 0
    )
    control = 3 if any(CONTROL.match(text) for text in column.answers) else 0
    policies = 3 if sum(_policy(text) is not None for text in column.answers) >= 2 else 0
    why = ["its name says so"] * bool(name) + ["one of its values is a control"] * bool(control)
    return name + control + policies, " and ".join(why) or "its values name policies"


def _policy(text: str) -> str | None:
    return next((policy for policy, pattern in POLICIES.items() if pattern.search(text)), None)


def _arms(column: Column, fielded: bool) -> list[GuessedArm]:
    """Order arms: control first, then as policies are, then as levels are."""
    levels, _ = ordered(list(column.answers), column.labels)
    rank = {None: 0, "random": 1, "overall_best": 2, "segment": 3, "nano": 4}
    arms = [GuessedArm(text, column.answers[text], _policy(text) if fielded else None) for text in levels]
    return sorted(arms, key=lambda arm: (not CONTROL.match(arm.value), rank[_policy(arm.value)]))


def _petition_columns(file: RawFile, attributes: Sequence[str]) -> tuple[str, str] | None:
    """Find the pattern of columns that name all attributes."""
    if not attributes:
        return None
    for name in file.raw.columns:
        if attributes[0] in name:
            before, _, after = name.partition(attributes[0])
            if all(f"{before}{attribute}{after}" in file.columns for attribute in attributes):
                return f"{before}{{attribute}}{after}", "these columns are named after the attributes"
    return None


def _no_outcome(column: Column, arm: Column, file: RawFile) -> str:
    """Say why a column after the arm is no outcome; "" if it may be one."""
    if len(column.answers) < 2:
        return "the same for everybody"
    if column.named(PLATFORM_WORDS) or column.named(DESIGN_WORDS):
        return "written by the survey platform"
    if column.texts.groupby(arm.texts).nunique().max() == 1:
        return "says again who is in which arm"
    if column.numbers is None and not column.binary:
        return "texts, which are neither yes and no nor numbers"
    if column.whole and len(column.answers) == len(column.texts):
        return "a different number in every row"
    if column.binary and column.numbers is not None:
        for later in file.columns.values():
            if later.position > column.position and _tells_answered(column.numbers, later):
                return f"says who answered '{later.name}' (see 'observed_if' of an outcome)"
    return ""


def _tells_answered(flag: np.ndarray, later: Column) -> bool:
    """Is the later column always there where the flag is 1, and mostly missing where it is 0?"""
    numbers = later.numbers
    if numbers is None or not np.isnan(numbers).any():
        return False
    there = ~np.isnan(numbers)
    return bool(there[flag == 1].all() and there[flag == 0].mean() < 0.5)


def _outcome(column: Column) -> GuessedOutcome:
    label = column.question if 0 < len(column.question) <= 60 else ""
    if column.binary:
        return GuessedOutcome(column.name, label, "binary", None, "two answers, yes and no")
    numbers = column.numbers
    assert numbers is not None
    known = numbers[~np.isnan(numbers)]
    limits = (float(known.min()), float(known.max()))
    values = np.unique(known)
    zeros = float((known == 0).mean())
    spread = float(known.std())
    skew = float(((known - known.mean()) ** 3).mean() / spread**3) if spread else 0.0
    if limits[0] >= 0 and skew > 2 and len(values) > ORDINAL_POINTS and (zeros > 0.2 or column.whole):
        reason = f"at least 0, {zeros:.0%} are 0 and a few are very large"
        return GuessedOutcome(column.name, label, "count", limits, reason)
    steps = np.array_equal(values, np.arange(values[0], values[0] + len(values)))
    if column.whole and steps and 3 <= len(values) <= ORDINAL_POINTS:
        return GuessedOutcome(column.name, label, "ordinal", limits, f"a scale of {len(values)} points")
    reason = f"{len(values)} different numbers; the range is what was seen"
    return GuessedOutcome(column.name, label, "continuous", limits, reason)
