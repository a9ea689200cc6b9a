"""Columns of a wide conjoint survey, whose names number tasks and profiles."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from nanotarget.propose.columns import RawFile, merged_counts, shared_beginning, shared_end, words

TASK_WORDS = words("task round contest trial scenario screen set pair choiceset question")
PROFILE_WORDS = words("profile candidate option alternative alt petition p concept card")
CHOICE_WORDS = words("choice chosen choose selected pick picked prefer vote win")
MAX_PROFILES = 10
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Family:
    """Columns that differ in the numbers of task and profile only.

    Attributes:
        before, between, after: what stands around the two numbers.
        turned: does the profile stand first?
        names: column of each (task, profile), both from 1.
    """

    before: str
    between: str
    after: str
    turned: bool
    names: dict[tuple[int, int], str]

    @property
    def size(self) -> tuple[int, int]:
        """Numbers of tasks and profiles."""
        return max(self.names)


@dataclass(frozen=True)
class Attributes:
    """The columns of all attributes.

    Attributes:
        pattern: of their names, with {attribute}, {task} and {profile}.
        families: columns of each attribute, by its part of their names.
    """

    pattern: str
    families: dict[str, Family]

    @property
    def size(self) -> tuple[int, int]:
        """Numbers of tasks and profiles."""
        return next(iter(self.families.values())).size

    @property
    def columns(self) -> set[str]:
        """All their columns."""
        return {name for family in self.families.values() for name in family.names.values()}


def find_attributes(file: RawFile) -> Attributes | None:
    """Find the largest set of families whose names differ in one part, the attribute; None without two."""
    by_parts: dict[tuple[str, str, str], dict[tuple[int, int], str]] = defaultdict(dict)
    for name in file.raw.columns:
        for first, second in itertools.combinations(NUMBER.finditer(name), 2):
            parts = (name[: first.start()], name[first.end() : second.start()], name[second.end() :])
            by_parts[parts][int(first[0]), int(second[0])] = name
    families = [family for parts, names in by_parts.items() if (family := _family(parts, names, file))]
    groups: dict[tuple[str, ...], list[Family]] = defaultdict(list)
    for fixed in ("after", "before"):
        for family in families:
            alike = (fixed, getattr(family, fixed), _numbers(family), str(family.size))
            groups[alike].append(family)
    (fixed, *_), group = max(groups.items(), key=lambda item: len(item[1]), default=(("",), []))
    if len(group) < 2:
        return None
    return _named_last(group) if fixed == "before" else _named_first(group)


def _family(parts: tuple[str, str, str], names: dict[tuple[int, int], str], file: RawFile) -> Family | None:
    """Make a family of columns that are there for every task and every profile."""
    n_first, n_second = max(names)
    if len(names) < 2 or set(names) != set(itertools.product(range(1, n_first + 1), range(1, n_second + 1))):
        return None
    spoken = [{word.lower() for word in re.findall(r"[A-Za-z]+", part)} for part in parts]
    said = bool(spoken[0] & PROFILE_WORDS and spoken[1] & TASK_WORDS)
    unsaid = not (spoken[0] | spoken[1]) & TASK_WORDS
    turned = said or (unsaid and n_second > 5 >= n_first)
    if (n_first if turned else n_second) > MAX_PROFILES or not file.columns.keys() >= set(names.values()):
        return None
    return Family(*parts, turned, {(b, a) if turned else (a, b): name for (a, b), name in names.items()})


def _numbers(family: Family) -> str:
    """Write the pattern of the two numbers and what stands between them."""
    first, second = ("{profile}", "{task}") if family.turned else ("{task}", "{profile}")
    return f"{first}{family.between}{second}"


def _named_last(group: Sequence[Family]) -> Attributes:
    """Take what stands behind the numbers, and a separator, for the attribute."""
    shared = shared_beginning([family.after for family in group])
    separator = shared[: len(shared) - len(shared.lstrip("_.- "))]
    pattern = f"{group[0].before}{_numbers(group[0])}{separator}{{attribute}}"
    return Attributes(pattern, {family.after[len(separator) :]: family for family in group})


def _named_first(group: Sequence[Family]) -> Attributes:
    """Take what stands before the numbers, and a separator or a word, for the attribute."""
    shared = shared_end([family.before for family in group])
    begin = re.search(r"[^\w]|_", shared)
    shared = shared[begin.start() :] if begin else ""
    pattern = f"{{attribute}}{shared}{_numbers(group[0])}{group[0].after}"
    return Attributes(pattern, {family.before.removesuffix(shared): family for family in group})


def find_choices(file: RawFile, attributes: Attributes) -> tuple[str, list[str]] | None:
    """Find the columns, one per task, that say which profile was chosen.

    Returns:
        The pattern of their names, and the names in the order of the tasks.
    """
    tasks, profiles = attributes.size
    by_parts: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for name in file.columns:
        if name not in attributes.columns:
            for number in NUMBER.finditer(name):
                by_parts[name[: number.start()], name[number.end() :]][int(number[0])] = name
    candidates = []
    for (before, after), names in by_parts.items():
        if set(names) == set(range(1, tasks + 1)):
            columns = [file.columns[names[task]] for task in range(1, tasks + 1)]
            answers = merged_counts(pair for column in columns for pair in column.answers.items())
            if len(answers) == profiles:
                rank = (columns[0].named(CHOICE_WORDS), -columns[0].position)
                candidates.append((rank, f"{before}{{task}}{after}", [column.name for column in columns]))
    return max(candidates, key=lambda candidate: candidate[0])[1:] if candidates else None
