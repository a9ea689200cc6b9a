"""Columns whose names number tasks and profiles, or profiles only: by digits, letters or sides."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nanotarget.clean.cells import BINARY
from nanotarget.propose.columns import UNANSWERED, Column, RawFile, shared_beginning, shared_end, words
from nanotarget.propose.ordering import ALPHABET, ordered
from nanotarget.study.config import normalised

TASK_WORDS = words("task round contest trial scenario screen set pair choiceset question")
PROFILE_WORDS = words("profile candidate option alternative alt petition p concept card")
OF_ATTRIBUTE = re.compile(r"(attribut[eo]?|attr|feature|merkmal|row)[-_. ]?$", re.IGNORECASE)
CHOICE_WORDS = words("choice chosen choose selected pick picked prefer vote win")
MAX_PROFILES = 10
SIDES: tuple[tuple[str, ...], ...] = (
    ("left", "right"),
    ("first", "second"),
    ("top", "bottom"),
    ("links", "rechts"),
    ("gauche", "droite"),
    *(("izquierda", "derecha"), ("sinistra", "destra"), ("links", "mitte", "rechts"), ("l", "r")),
)
LETTERS = tuple("abcdefgh")
# A number, a side, or a letter that is a part of its own or ends a word.
SLOT = re.compile(
    r"\d+|(?<![a-z])(?:left|right|first|second|top|bottom|links|rechts|mitte|gauche|droite|izquierda|derecha"
    r"|sinistra|destra)(?![a-z])|[a-h](?![a-z])|(?<![a-z])[lr](?![a-z])",
    re.IGNORECASE,
)
NONE = re.compile(
    r"(neither|none|nothing|no (choice|preference|option)|weder|kein|ninguno|ninguna|aucun|ni l|nessun|geen"
    r"|opt.?out|don.t know|undecided)\b",
    re.IGNORECASE,
)
BY_POSITION = re.compile(r"(.*?)([-._])(\d+)\2(\d+)(?:\2(\d+))?")


@dataclass(frozen=True)
class Family:
    """Columns that differ in what stands for task and profile only.

    Attributes:
        before, between, after: what stands around the two.
        turned: does the profile stand first?
        tasks, profiles: what stands for each of them, in order; no tasks where a row is one.
        names: column of each (task, profile), both from 1.
    """

    before: str
    between: str
    after: str
    turned: bool
    tasks: tuple[str, ...]
    profiles: tuple[str, ...]
    names: dict[tuple[int, int], str]

    @property
    def slots(self) -> str:
        """The pattern of the two slots and what stands between them, or of the only one."""
        if not self.tasks:
            return "{profile}"
        first, second = ("{profile}", "{task}") if self.turned else ("{task}", "{profile}")
        return f"{first}{self.between}{second}"


@dataclass(frozen=True)
class Attributes:
    """The columns of all attributes.

    Attributes:
        pattern: of their names, with {task}, {profile} and {attribute} (or {row}).
        families: columns of each attribute, by its part of their names; of each row of the table, if the
            order of attributes differs from respondent to respondent.
        named_by: pattern of the columns that hold the names of attributes, with {task} and {row}; "" without.
        names: these columns by (task, row).
    """

    pattern: str
    families: dict[str, Family]
    named_by: str
    names: dict[tuple[int, int], str]

    @property
    def size(self) -> tuple[int, int]:
        """Numbers of tasks and profiles in a row."""
        return len(self.family.tasks) or 1, len(self.family.profiles)

    @property
    def family(self) -> Family:
        """One of the families, which are alike."""
        return next(iter(self.families.values()))

    @property
    def columns(self) -> set[str]:
        """All their columns."""
        shown = {name for family in self.families.values() for name in family.names.values()}
        return shown | set(self.names.values())


@dataclass(frozen=True)
class Choices:
    """The columns that say which profile of each task was chosen.

    Attributes:
        column: as the config names them: a pattern or a list.
        names: in the order of the tasks.
        values: what they hold when the first, second, ... profile was chosen; a list of such lists, one per
            task, where that depends on the task.
        none: answers that choose none of the profiles, or say that there is no answer.
        sure: do the answers tell which of them means the first profile?
    """

    column: str | list[str]
    names: list[str]
    values: list[str] | list[list[str]]
    none: list[str]
    sure: bool

    @property
    def is_option(self) -> bool:
        """Whether respondents could choose none, as far as the answers tell."""
        return bool(self.none) and all(NONE.match(text) for text in self.none)


def find_attributes(file: RawFile) -> Attributes | None:
    """Find the largest set of families whose names differ in one part, the attribute; None without two."""
    if by_position := _by_position(file):
        return by_position
    by_parts: dict[tuple[str, str, str], dict[tuple[str, str], str]] = defaultdict(dict)
    for name in file.raw.columns:
        for first, second in itertools.combinations(SLOT.finditer(name), 2):
            parts = (name[: first.start()], name[first.end() : second.start()], name[second.end() :])
            by_parts[parts][first[0], second[0]] = name
        for digits in re.finditer(
            r"(?<!\d)\d{2,3}(?!\d)", name
        ):  # as Stata's reshape writes task and profile
            parts = (name[: digits.start()], "", name[digits.end() :])
            by_parts[parts][digits[0][:-1], digits[0][-1]] = name
    families = [family for parts, names in by_parts.items() if (family := _family(parts, names, file))]
    groups: dict[tuple[str, ...], list[Family]] = defaultdict(list)
    for family in families:
        values = ("|".join(family.tasks), "|".join(family.profiles))
        groups["after", family.after, family.slots, *values].append(family)
        groups["before", family.before, family.slots, *values].append(family)
        groups["between", family.before, family.after, str(family.turned), *values].append(family)
    (fixed, *_), group = max(groups.items(), key=lambda item: _rank(item[1]), default=(("",), []))
    if len(group) < 2:
        return None
    return {"before": _named_last, "after": _named_first, "between": _named_between}[fixed](group)


def find_beside(file: RawFile, varying: Mapping[str, Column]) -> Attributes | None:
    """Find the attributes of profiles that stand beside one another in a task's row: p1_price, p2_price.

    Args:
        file: the file.
        varying: columns that differ between the rows of a person.
    """
    by_parts: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for name in varying:
        for slot in SLOT.finditer(name):
            by_parts[name[: slot.start()], name[slot.end() :]][slot[0]] = name
    groups: dict[tuple[str, ...], list[Family]] = defaultdict(list)
    for (before, after), names in by_parts.items():
        profiles = _in_order(set(names))
        if 2 <= len(profiles) <= MAX_PROFILES and _alike([varying[names[p]] for p in profiles]):
            found = {(1, p): names[profile] for p, profile in enumerate(profiles, 1)}
            family = Family(before, "", after, False, (), profiles, found)
            groups["after", after, *profiles].append(family)
            groups["before", before, *profiles].append(family)
    (fixed, *_), group = max(groups.items(), key=lambda item: _rank(item[1]), default=(("",), []))
    if len(group) < 2:
        return None
    return (_named_first if fixed == "after" else _named_last)(group)


def _alike(columns: Sequence[Column]) -> bool:
    """Do columns draw from the same texts?"""
    texts = [set(map(normalised, column.counts)) for column in columns]
    return len(set.intersection(*texts)) >= 0.5 * len(set.union(*texts)) > 0


def _rank(group: Sequence[Family]) -> tuple[int, int]:
    """Rank a group of families by the columns that it explains."""
    return len(group) * len(group[0].names) if len(group) > 1 else 0, len(group)


def _family(parts: tuple[str, str, str], names: dict[tuple[str, str], str], file: RawFile) -> Family | None:
    """Make a family of columns that are there for every task and every profile."""
    if len(names) < 2 or not file.columns.keys() >= set(names.values()):
        return None
    firsts, seconds = (_in_order({pair[k] for pair in names}) for k in (0, 1))
    if not firsts or not seconds or len(firsts) * len(seconds) != len(names):
        return None
    spoken = [[word.lower() for word in re.findall(r"[A-Za-z]+", part)] for part in parts]
    if any(OF_ATTRIBUTE.search(part) for part in parts[:2]):
        return None
    turned = _turned(firsts, seconds, *(set(part) for part in spoken[:2]))
    tasks, profiles = (seconds, firsts) if turned else (firsts, seconds)
    if len(profiles) > MAX_PROFILES:
        return None
    found = {
        (t, p): names[(profile, task) if turned else (task, profile)]
        for t, task in enumerate(tasks, 1)
        for p, profile in enumerate(profiles, 1)
    }
    return Family(*parts, turned, tasks, profiles, found)


def _in_order(values: set[str]) -> tuple[str, ...]:
    """Put what stands for tasks or profiles in order, from 0, 1 or a, or by sides; () if some are missing."""
    if all(value.isdigit() for value in values):
        numbers = sorted(values, key=int)
        first = int(numbers[0])
        whole = first in (0, 1) and [int(number) for number in numbers] == list(
            range(first, first + len(values))
        )
        return tuple(numbers) if whole else ()
    lowered = {value.lower(): value for value in values}
    for known in (*SIDES, LETTERS[: len(values)]):
        if len(values) > 1 and set(known) == set(lowered):
            return tuple(lowered[value] for value in known)
    return ()


def _turned(firsts: Sequence[str], seconds: Sequence[str], before: set[str], between: set[str]) -> bool:
    """Does the profile stand before the task?"""
    if before & PROFILE_WORDS and between & TASK_WORDS:
        return True
    if (before | between) & TASK_WORDS:
        return False
    sided = [any(set(map(str.lower, values)) == set(side) for side in SIDES) for values in (firsts, seconds)]
    if sided[0] != sided[1]:
        return sided[0]
    digits = [values[0].isdigit() for values in (firsts, seconds)]
    if digits[0] != digits[1] and len(firsts) != len(seconds):
        return len(firsts) < len(seconds)
    return len(seconds) > 5 >= len(firsts)


def _named_last(group: Sequence[Family]) -> Attributes:
    """Take what stands behind the slots, and a separator, for the attribute."""
    shared = shared_beginning([family.after for family in group])
    separator = shared[: len(shared) - len(shared.lstrip("_.- "))]
    pattern = f"{group[0].before}{group[0].slots}{separator}{{attribute}}"
    return Attributes(pattern, {family.after[len(separator) :]: family for family in group}, "", {})


def _named_first(group: Sequence[Family]) -> Attributes:
    """Take what stands before the slots, and a separator or a word, for the attribute."""
    shared = shared_end([family.before for family in group])
    begin = re.search(r"[^\w]|_", shared)
    shared = shared[begin.start() :] if begin else ""
    pattern = f"{{attribute}}{shared}{group[0].slots}{group[0].after}"
    return Attributes(pattern, {family.before.removesuffix(shared): family for family in group}, "", {})


def _named_between(group: Sequence[Family]) -> Attributes:
    """Take what stands between the slots, without separators, for the attribute."""
    betweens = [family.between for family in group]
    start, end = shared_beginning(betweens), shared_end(betweens)
    start = start[: len(start) - len(start.lstrip("_.- "))]
    end = end[len(end.rstrip("_.- ")) :]
    first, second = ("{profile}", "{task}") if group[0].turned else ("{task}", "{profile}")
    pattern = f"{group[0].before}{first}{start}{{attribute}}{end}{second}{group[0].after}"
    named = {b[len(start) : len(b) - len(end)]: family for b, family in zip(betweens, group, strict=True)}
    return Attributes(pattern, named, "", {})


def _by_position(file: RawFile) -> Attributes | None:
    """Find what the Conjoint Survey Design Tool writes: K-task-row has names, K-task-profile-row levels."""
    named: dict[tuple[str, str], dict[tuple[int, int], str]] = defaultdict(dict)
    shown: dict[tuple[str, str], dict[tuple[int, int, int], str]] = defaultdict(dict)
    for name in file.columns:
        if match := BY_POSITION.fullmatch(name):
            start, separator, *numbers = match.groups()
            if numbers[2] is None:
                named[start, separator][int(numbers[0]), int(numbers[1])] = name
            else:
                task, profile, row = map(int, numbers)
                shown[start, separator][task, profile, row] = name
    for (start, s), levels in shown.items():
        tasks, profiles, rows = max(levels)
        names = named.get((start, s), {})
        whole = itertools.product(range(1, tasks + 1), range(1, profiles + 1), range(1, rows + 1))
        if (
            set(levels) != set(whole)
            or set(names) != {(t, r) for t, _, r in levels}
            or profiles > MAX_PROFILES
        ):
            continue
        if len({normalised(text) for name in names.values() for text in file.columns[name].answers}) != rows:
            continue  # the names of attributes are as many as the rows of the table
        task_numbers, profile_numbers = (tuple(map(str, range(1, n + 1))) for n in (tasks, profiles))
        families = {
            str(row): Family(
                f"{start}{s}",
                s,
                f"{s}{row}",
                False,
                task_numbers,
                profile_numbers,
                {(t, p): levels[t, p, row] for t in range(1, tasks + 1) for p in range(1, profiles + 1)},
            )
            for row in range(1, rows + 1)
        }
        pattern, by = f"{start}{s}{{task}}{s}{{profile}}{s}{{row}}", f"{start}{s}{{task}}{s}{{row}}"
        return Attributes(pattern, families, by, names)
    return None


def find_choices(
    file: RawFile, attributes: Attributes, among: Collection[str] | None = None
) -> Choices | None:
    """Find the columns, one per task in a row, that say which profile was chosen; among some if given."""
    candidates = []
    for column, names in _series(file, attributes):
        if among is not None and not set(names) <= set(among):
            continue
        columns = [file.columns[name] for name in names]
        if found := _answers(column, columns, attributes):
            rank = (columns[0].named(CHOICE_WORDS), isinstance(column, str), found.sure, -columns[0].position)
            candidates.append((rank, found))
    return max(candidates, key=lambda candidate: candidate[0])[1] if candidates else None


def _series(file: RawFile, attributes: Attributes) -> Iterator[tuple[str | list[str], list[str]]]:
    """Find columns, as many as tasks, that differ in what stands for the task, in a number, or in nothing.

    Yields:
        As the config names them, and their names in the order of the tasks.
    """
    tasks = attributes.family.tasks
    others = [column for name, column in file.columns.items() if name not in attributes.columns]
    if not tasks:
        yield from ((column.name, [column.name]) for column in others)
        return
    by_parts: dict[tuple[str, str], dict[str, Column]] = defaultdict(dict)
    by_question: dict[str, list[Column]] = defaultdict(list)
    for column in others:
        by_question[column.question].append(column)
        for slot in SLOT.finditer(column.name):
            by_parts[column.name[: slot.start()], column.name[slot.end() :]][slot[0]] = column
    for (before, after), columns in by_parts.items():
        if set(columns) == set(tasks):
            yield f"{before}{{task}}{after}", [columns[task].name for task in tasks]
            continue
        numbered = {int(slot): column for slot, column in columns.items() if slot.isdigit()}
        alike: dict[frozenset[str], list[str]] = defaultdict(list)
        for number in sorted(numbered):
            answers = frozenset(map(normalised, numbered[number].answers))
            alike[answers].append(numbered[number].name)
        yield from ((names, names) for names in alike.values() if len(names) == len(tasks) > 1)
    for question, same in by_question.items():
        if question and len(same) == len(tasks) > 1:
            names = [column.name for column in same]
            yield names, names


def _answers(column: str | list[str], columns: Sequence[Column], attributes: Attributes) -> Choices | None:
    """Read which answers of these columns name which profile; None if they name none."""
    tasks, profiles = attributes.size
    names = [one.name for one in columns]
    spelled = {normalised(text): text for one in columns for text in one.counts}
    none = [text for text in spelled.values() if NONE.match(text) or normalised(text) in UNANSWERED]
    labels = list(dict.fromkeys(label for one in columns for label in one.labels))
    chosen = [text for text in spelled.values() if text not in none]
    if len(chosen) == profiles:
        values, sure = in_order_of_profiles(chosen, attributes.family.profiles, labels)
        return Choices(column, names, values, none, sure)
    by_task = [[text for text in one.counts if text not in none] for one in columns]
    if len(chosen) == tasks * profiles and all(len(texts) == profiles for texts in by_task):
        found = [in_order_of_profiles(texts, attributes.family.profiles, labels) for texts in by_task]
        return Choices(column, names, [texts for texts, _ in found], none, all(sure for _, sure in found))
    return None


def in_order_of_profiles(
    texts: Sequence[str], profiles: Sequence[str], labels: Sequence[str]
) -> tuple[list[str], bool]:
    """Put answers in the order of the profiles that they name; is that order sure?"""
    endings = [next((text for text in texts if _ends(text, profile)), "") for profile in profiles]
    if all(endings) and len(set(endings)) == len(texts):
        return endings, True
    for known in (*SIDES, LETTERS[: len(texts)]):
        endings = [next((text for text in texts if _ends(text, value)), "") for value in known]
        if all(endings) and len(set(endings)) == len(texts) == len(known):
            return endings, True
    values, reason = ordered(list(texts), labels)
    return values, reason != ALPHABET and not set(map(normalised, texts)) <= set(BINARY)


def _ends(text: str, value: str) -> bool:
    """Is a value the last word of a text, or its first?"""
    parts = re.findall(r"\w+", normalised(text))
    return bool(parts) and value.lower() in (parts[-1], parts[0])
