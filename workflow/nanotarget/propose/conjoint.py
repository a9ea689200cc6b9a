"""What a proposal says about a conjoint survey: tasks, profiles, attributes, choice and rating."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import chdtrc, fdtrc

from nanotarget.clean.cells import BINARY
from nanotarget.propose.columns import EMAIL, Column, SeenFile, merged_counts, shared_beginning
from nanotarget.propose.ordering import ordered
from nanotarget.propose.people import ID_WORDS, Noted, free_name, respondent_column
from nanotarget.study.config import normalised

TASK_WORDS = {
    "task",
    "round",
    "contest",
    "trial",
    "scenario",
    "screen",
    "set",
    "pair",
    "choiceset",
    "question",
}
PROFILE_WORDS = {"profile", "candidate", "option", "alternative", "alt", "petition", "p", "concept", "card"}
CHOICE_WORDS = {"choice", "chosen", "choose", "selected", "pick", "picked", "prefer", "vote", "win"}
RATING_WORDS = {
    "rating",
    "rate",
    "rated",
    "support",
    "score",
    "evaluation",
    "likert",
    "favor",
    "favour",
    "scale",
}
MOST_ATTRIBUTE_LEVELS = 40
EXPECTED = 20  # a pair of levels that should have occurred so often, and never did, was hardly possible
NOT_CHANCE = 1e-6  # p value from which a number is taken for an answer rather than for a random level


@dataclass(frozen=True)
class GuessedAttribute:
    """One attribute.

    Attributes:
        name, column: for people, and in the raw file.
        levels: in order; `shares` is how often each was shown.
        uneven: are the shares too different for equal probabilities?
        reason: how the order was found.
    """

    name: str
    column: str
    levels: list[str]
    shares: list[float]
    uneven: bool
    reason: str


@dataclass(frozen=True)
class GuessedConjoint:
    """A conjoint survey; each setting of the config with its reason.

    Attributes:
        settings: keys of the section `calibration` and their reasons, in order: layout, task, ...
        choice, rating: the sections below `outcomes`, None if there is no such outcome.
        attributes: in the file's order.
        never: pairs of levels that never occurred together, in the form of `design.prohibited`.
        taken: all columns that belong to the tasks.
        unused: columns of the tasks that are none of these.
        last: position of the last column of the tasks, in the wide layout.
    """

    respondent: Noted
    settings: dict[str, tuple[Any, str]]
    choice: tuple[dict[str, Any], str] | None
    rating: tuple[dict[str, Any], str] | None
    attributes: list[GuessedAttribute]
    never: list[dict[str, list[str]]]
    taken: frozenset[str]
    unused: list[Noted]
    last: int | None = None


@dataclass(frozen=True)
class Measured:
    """What was measured on profiles, one below the other.

    Attributes:
        person, task: (n,) which of them each profile belongs to.
        columns: by name; the cells of the profiles.
    """

    person: np.ndarray
    task: np.ndarray
    columns: Mapping[str, Column]


def find_conjoint(seen: SeenFile) -> GuessedConjoint | None:
    """Find a conjoint survey in a file, long or wide; None if there is none."""
    return _find_long(seen) or _find_wide(seen)


# Long: a row is a profile.


def _find_long(seen: SeenFile) -> GuessedConjoint | None:
    respondent = _repeated_respondent(seen)
    if respondent is None:
        return None
    person = pd.factorize(seen.raw[respondent.column])[0]
    varying = {
        name: column
        for name, column in seen.columns.items()
        if name != respondent.column and _varies(column, person)
    }
    task, profile = _numbering(varying, person)
    measured = {name: column for name, column in varying.items() if name not in (task, profile)}
    settings: dict[str, tuple[Any, str]] = {}
    if task:
        of_task = pd.factorize(pd.MultiIndex.from_arrays([person, seen.raw[task]]))[0]
        size = int(np.bincount(of_task).max())
        numbers = varying[task].numbers
        assert numbers is not None
        settings["task"] = task, "its numbers begin at 1 and tell the rows of a person apart"
        if profile:
            settings["profile"] = profile, "its numbers tell the rows of a task apart"
        settings["tasks"] = int(np.nanmax(numbers)), f"the largest number in '{task}'"
    else:
        size = _consecutive(measured, person)
        of_task = pd.factorize(pd.MultiIndex.from_arrays([person, _order(person) // size]))[0]
        settings["tasks"] = (
            int(np.bincount(person).max()) // size,
            f"no column numbers them; every {size} consecutive rows of a person are a task",
        )
    settings["profiles"] = size, "rows of a task"
    shown = Measured(person, of_task, measured)
    choice = _choice(shown) if size > 1 else None
    rating = _rating(shown, choice)
    outcomes = {name for name in (choice, rating) if name}
    attributes, unused = _attributes({n: c for n, c in measured.items() if n not in outcomes}, {})
    if len(attributes) < 2 or not outcomes:
        return None
    return GuessedConjoint(
        respondent,
        settings,
        ({"column": choice}, "exactly one profile of a task is chosen") if choice else None,
        _rated(rating, measured[rating]) if rating else None,
        attributes,
        never_seen(attributes, {a.column: measured[a.column].texts for a in attributes}),
        frozenset(varying),
        unused,
    )


def _order(person: np.ndarray) -> np.ndarray:
    return pd.Series(person).groupby(person).cumcount().to_numpy()


def _repeated_respondent(seen: SeenFile) -> Noted | None:
    """Find the column whose values each fill several consecutive rows (or repeat, if its name says id)."""
    n = len(seen.raw)
    best: tuple[tuple[bool, int, int], Noted] | None = None
    for column in seen.columns.values():
        different = column.texts.nunique()
        if column.n_missing or not 2 <= different <= n / 2 or column.mostly(EMAIL):
            continue
        if column.numbers is not None and not column.whole:
            continue
        runs = int((column.texts != column.texts.shift()).sum())
        hinted = column.named(ID_WORDS)
        if runs != different and not hinted:
            continue
        rank = (hinted, different, -column.position)
        if best is None or rank > best[0]:
            best = (
                rank,
                Noted(column.name, f"{different} values, each in {n / different:.3g} rows on average"),
            )
    return best[1] if best else None


def _varies(column: Column, person: np.ndarray) -> bool:
    """Do the answers of more than a few people differ between their rows?"""
    texts = column.texts.map(normalised, na_action="ignore")
    different = texts.groupby(person).nunique()
    return bool((different > 1).mean() > 0.02)


def _numbering(varying: Mapping[str, Column], person: np.ndarray) -> tuple[str | None, str | None]:
    """Find the columns that number tasks and profiles."""
    counting = {}
    for name, column in varying.items():
        if column.whole and column.numbers is not None and not column.n_missing:
            values = np.unique(column.numbers)
            if 2 <= len(values) <= 100 and np.array_equal(values, np.arange(1, len(values) + 1)):
                counting[name] = column
    best: tuple[tuple[bool, bool, int], str, str] | None = None
    for task, profile in itertools.permutations(counting, 2):
        few = len(counting[profile].answers)
        if few > 10 or (few > len(counting[task].answers) and not counting[task].named(TASK_WORDS)):
            continue
        rows = pd.DataFrame({"p": person, "t": counting[task].numbers, "f": counting[profile].numbers})
        if rows.duplicated().any():
            continue
        rank = (counting[task].named(TASK_WORDS), counting[profile].named(PROFILE_WORDS), -few)
        if best is None or rank > best[0]:
            best = rank, task, profile
    if best:
        return best[1], best[2]
    named = [name for name, column in counting.items() if column.named(TASK_WORDS)]
    return (named[0], None) if named else (None, None)


def _consecutive(measured: Mapping[str, Column], person: np.ndarray) -> int:
    """Find how many consecutive rows are a task: so many that one of them is always chosen."""
    rows = np.bincount(person)
    order = _order(person)
    for size in (2, 3, 4):
        if (rows % size).any():
            continue
        of_task = pd.factorize(pd.MultiIndex.from_arrays([person, order // size]))[0]
        if _choice(Measured(person, of_task, measured)):
            return size
    return 1


# Wide: a row is a respondent.

NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class _Family:
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
        return max(task for task, _ in self.names), max(profile for _, profile in self.names)


def _find_wide(seen: SeenFile) -> GuessedConjoint | None:
    group = _conjoint_families(seen)
    respondent = respondent_column(seen)
    if group is None or respondent is None:
        return None
    families, pattern, parts = group
    tasks, profiles = families[0].size
    pairs = list(itertools.product(range(1, tasks + 1), range(1, profiles + 1)))
    n = len(seen.raw)
    stacked = {
        part: _stack(seen, part, [family.names[pair] for pair in pairs])
        for part, family in zip(parts, families, strict=True)
    }
    person = np.tile(np.arange(n), len(pairs))
    of_task = np.tile(np.arange(n), len(pairs)) * tasks + np.repeat([t for t, _ in pairs], n) - 1
    taken = {name for family in families for name in family.names.values()}
    shown = Measured(person, of_task, stacked)
    rating = _rating(shown, None)
    choices = _choice_columns(seen, tasks, profiles, taken)
    choice = None
    if choices and profiles > 1:
        values, why = _chosen_values(seen, choices[1], stacked.get(rating or ""), tasks, profiles)
        choice = {"column": choices[0], "chosen_values": values}, why
        taken |= set(choices[1])
    questions = _attribute_names(
        {part: column.question for part, column in stacked.items() if part != rating}
    )
    attributes, unused = _attributes({p: c for p, c in stacked.items() if p != rating}, questions)
    if len(attributes) < 2 or not (choice or rating):
        return None
    settings: dict[str, tuple[Any, str]] = {
        "layout": ("wide", "a row is a respondent; the names of its columns number tasks and profiles"),
        "tasks": (tasks, "the largest number of a task in the names of columns"),
        "profiles": (profiles, "the largest number of a profile in the names of columns"),
        "attribute_columns": (pattern, f"{len(families)} groups of columns have such names"),
    }
    rated = None
    if rating:
        rated = _rated(pattern.replace("{attribute}", rating), stacked[rating])
    return GuessedConjoint(
        respondent,
        settings,
        choice,
        rated,
        attributes,
        never_seen(attributes, {a.column: stacked[a.column].texts for a in attributes}),
        frozenset(taken),
        unused,
        max(seen.columns[name].position for name in taken if name in seen.columns),
    )


def _conjoint_families(seen: SeenFile) -> tuple[list[_Family], str, list[str]] | None:
    """Find the largest set of families whose names differ in one part, the attribute.

    Returns:
        The families, the pattern of their names, and the attribute's part of each.
    """
    by_parts: dict[tuple[str, str, str], dict[tuple[int, int], str]] = {}
    for name in seen.raw.columns:
        runs = list(NUMBER.finditer(name))
        for first, second in itertools.combinations(runs, 2):
            key = (name[: first.start()], name[first.end() : second.start()], name[second.end() :])
            by_parts.setdefault(key, {})[int(first[0]), int(second[0])] = name
    families = [
        family for key, names in by_parts.items() if (family := _family(key, names, seen)) is not None
    ]
    best: tuple[list[_Family], str, list[str]] | None = None
    for fixed in ("after", "before"):
        groups: dict[tuple[str, str, bool, tuple[int, int]], list[_Family]] = {}
        for family in families:
            alike = (getattr(family, fixed), family.between, family.turned, family.size)
            groups.setdefault(alike, []).append(family)
        for group in groups.values():
            if len(group) >= 2 and (best is None or len(group) > len(best[0])):
                best = (group, *_pattern(group, fixed))
    return best


def _family(key: tuple[str, str, str], names: dict[tuple[int, int], str], seen: SeenFile) -> _Family | None:
    """Make a family of columns that are there for every task and every profile."""
    first = {a for a, _ in names}
    second = {b for _, b in names}
    if first != set(range(1, len(first) + 1)) or second != set(range(1, len(second) + 1)):
        return None
    if len(names) != len(first) * len(second) or len(second) < 1 or len(names) < 2:
        return None
    words = [{word.lower() for word in re.findall(r"[A-Za-z]+", part)} for part in key]
    said = bool(words[0] & PROFILE_WORDS and words[1] & TASK_WORDS)
    unsaid = not (words[0] | words[1]) & TASK_WORDS
    turned = said or (unsaid and len(second) > 5 >= len(first))
    if (len(first) if turned else len(second)) > 10:
        return None
    if not all(name in seen.columns for name in names.values()):
        return None
    return _Family(*key, turned, {(b, a) if turned else (a, b): name for (a, b), name in names.items()})


def _pattern(group: Sequence[_Family], fixed: str) -> tuple[str, list[str]]:
    """Write the pattern of a group's names and the attribute's part of each."""
    first, second = ("{profile}", "{task}") if group[0].turned else ("{task}", "{profile}")
    between = group[0].between
    if fixed == "before":  # the attribute stands behind the numbers
        texts = [family.after for family in group]
        shared = shared_beginning(texts)
        separator = shared[: len(shared) - len(shared.lstrip("_.- "))]
        parts = [text[len(separator) :] for text in texts]
        return f"{group[0].before}{first}{between}{second}{separator}{{attribute}}", parts
    texts = [family.before for family in group]
    shared = shared_beginning([text[::-1] for text in texts])[::-1]
    begin = re.search(r"[^\w]|_", shared)
    shared = shared[begin.start() :] if begin else ""
    parts = [text[: len(text) - len(shared)] for text in texts]
    return f"{{attribute}}{shared}{first}{between}{second}{group[0].after}", parts


def _stack(seen: SeenFile, part: str, names: Sequence[str]) -> Column:
    """Put the columns of a family one below the other, under the attribute's part of their name."""
    columns = [seen.columns[name] for name in names]
    codes = {label: code for column in columns for label, code in column.codes.items()}
    texts = pd.concat([column.texts for column in columns], ignore_index=True)
    return Column(part, columns[0].position, columns[0].question, texts, codes)


def _choice_columns(
    seen: SeenFile, tasks: int, profiles: int, taken: set[str]
) -> tuple[str, list[str]] | None:
    """Find the columns, one a task, that say which profile was chosen."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for name in seen.columns:
        if name not in taken:
            for run in NUMBER.finditer(name):
                found.setdefault((name[: run.start()], name[run.end() :]), {})[int(run[0])] = name
    best: tuple[tuple[bool, int], str, list[str]] | None = None
    for (before, after), names in found.items():
        if set(names) != set(range(1, tasks + 1)):
            continue
        columns = [seen.columns[names[task]] for task in range(1, tasks + 1)]
        answers = merged_counts(pair for column in columns for pair in column.answers.items())
        if len(answers) == profiles:
            rank = (columns[0].named(CHOICE_WORDS), -columns[0].position)
            if best is None or rank > best[0]:
                best = rank, f"{before}{{task}}{after}", [column.name for column in columns]
    return best[1:] if best else None


def _chosen_values(
    seen: SeenFile, names: Sequence[str], rating: Column | None, tasks: int, profiles: int
) -> tuple[list[str], str]:
    """Find which answer means which profile: by ratings, else by the order of the answers."""
    answers = merged_counts(pair for name in names for pair in seen.columns[name].answers.items())
    values, _ = ordered(list(answers))
    if rating is None or rating.numbers is None or profiles > 4:
        return values, "the answers in order; check which means the first profile"
    ratings = rating.numbers.reshape(tasks, profiles, len(seen.raw))
    chosen = np.stack([seen.columns[name].texts.map(normalised, na_action="ignore") for name in names])

    def agreement(order: Sequence[str]) -> float:
        return sum(
            float(np.nansum((ratings[:, p] - np.nanmean(ratings))[chosen == normalised(value)]))
            for p, value in enumerate(order)
        )

    best = max(itertools.permutations(values), key=agreement)
    return list(best), "so that the profile chosen is the one rated higher"


def _attribute_names(questions: Mapping[str, str]) -> dict[str, str]:
    """Find what question texts say beyond what they share: names of attributes for people."""
    texts = list(questions.values())
    if len(texts) < 2 or not all(texts):
        return {}
    before = shared_beginning(texts)
    before = before[: before.rfind(" ") + 1]  # whole words
    names = {part: text[len(before) :].strip() for part, text in questions.items()}
    distinct = {normalised(name) for name in names.values()}
    if len(distinct) < len(names) or any(not 0 < len(name) <= 60 for name in names.values()):
        return {}
    return names


# Both layouts.


def _choice(shown: Measured) -> str | None:
    """Find the column that is yes for exactly one profile of nearly every task."""
    best: tuple[tuple[bool, float], str] | None = None
    for name, column in shown.columns.items():
        if not column.binary:
            continue
        yes = column.texts.map(lambda text: BINARY[normalised(text)], na_action="ignore")
        of_task = yes.groupby(shown.task).agg(["sum", "count"])
        complete = of_task[of_task["count"] == np.bincount(shown.task).max()]
        one = float((complete["sum"] == 1).mean()) if len(complete) else 0.0
        rank = (column.named(CHOICE_WORDS), one)
        if one > 0.95 and (best is None or rank > best[0]):
            best = rank, name
    return best[1] if best else None


def _rating(shown: Measured, choice: str | None) -> str | None:
    """Find the number that people differ in as they do in no random level."""
    chosen = None
    if choice:
        texts = shown.columns[choice].texts
        chosen = texts.map(lambda text: BINARY.get(normalised(text)), na_action="ignore").to_numpy(float)
    best: tuple[tuple[bool, float], str] | None = None
    for name, column in shown.columns.items():
        if name == choice or column.numbers is None or len(column.answers) < 3 or len(column.answers) > 101:
            continue
        strength = _between_people(column.numbers, shown.person)
        if chosen is not None and column.named(RATING_WORDS):  # levels such as a price go with it, too
            both = ~np.isnan(column.numbers) & ~np.isnan(chosen)
            strength = max(strength, abs(float(np.corrcoef(column.numbers[both], chosen[both])[0, 1])))
        named = column.named(("rating", "rated", "score", "likert"))
        rank = (column.named(RATING_WORDS), strength)
        if (strength > 0.05 or named) and (best is None or rank > best[0]):
            best = rank, name
    return best[1] if best else None


def _between_people(values: np.ndarray, person: np.ndarray) -> float:
    """Return the share of variance between people (0 if it may be chance)."""
    known = ~np.isnan(values)
    groups = pd.Series(values[known]).groupby(person[known])
    n, people = int(known.sum()), groups.ngroups
    total = float(((values[known] - values[known].mean()) ** 2).sum())
    within = float(((pd.Series(values[known]) - groups.transform("mean")) ** 2).sum())
    if people < 2 or n <= people or within <= 0 or total <= within:
        return 0.0
    f = (total - within) / (people - 1) / (within / (n - people))
    return 1 - within / total if fdtrc(people - 1, n - people, f) < NOT_CHANCE else 0.0


def _rated(column: str, cells: Column) -> tuple[dict[str, Any], str]:
    numbers = cells.numbers
    assert numbers is not None
    limits = [float(np.nanmin(numbers)), float(np.nanmax(numbers))]
    reason = "its name says so, or people differ in it as in no random level; the range is what was seen"
    return {"column": column, "range": limits}, reason


def _attributes(
    columns: Mapping[str, Column], names: Mapping[str, str]
) -> tuple[list[GuessedAttribute], list[Noted]]:
    """Describe what varies from profile to profile and is no answer."""
    found: list[GuessedAttribute] = []
    unused: list[Noted] = []
    kept: dict[str, Column] = {}
    used: set[str] = set()
    for name, column in columns.items():
        if not 2 <= len(column.counts) <= MOST_ATTRIBUTE_LEVELS:
            unused.append(
                Noted(name, f"varies between profiles, but {len(column.counts)} values are no levels")
            )
            continue
        if twin := next((other for other in kept if _same(column, kept[other])), None):
            unused.append(Noted(name, f"says the same as '{twin}' in other words"))
            continue
        kept[name] = column
        levels, reason = ordered(list(column.counts), column.codes)
        count = np.array([column.counts[level] for level in levels])
        expected = count.sum() / len(count)
        uneven = chdtrc(len(count) - 1, ((count - expected) ** 2 / expected).sum()) < NOT_CHANCE
        shares = [round(float(n), 4) for n in count / count.sum()]
        found.append(
            GuessedAttribute(
                free_name(names.get(name, name), used), name, levels, shares, bool(uneven), reason
            )
        )
    return found, unused


def _same(one: Column, other: Column) -> bool:
    """Do two columns tell each other's values?"""
    if len(one.counts) != len(other.counts):
        return False
    pairs = pd.DataFrame(
        {"one": one.texts.map(normalised, "ignore"), "other": other.texts.map(normalised, "ignore")}
    )
    return len(pairs.dropna().drop_duplicates()) == len(one.counts)


def never_seen(
    attributes: Sequence[GuessedAttribute], texts: Mapping[str, pd.Series]
) -> list[dict[str, list[str]]]:
    """Find pairs of levels that never occurred together although each is frequent.

    Returns:
        Entries as in `design.prohibited`: levels of one attribute with the same levels of another.
    """
    codes = {}
    for attribute in attributes:
        index = {normalised(level): i for i, level in enumerate(attribute.levels)}
        of = texts[attribute.column].map(
            lambda text, index=index: index[normalised(text)], na_action="ignore"
        )
        codes[attribute.column] = of.fillna(-1).to_numpy(int)
    found: list[dict[str, list[str]]] = []
    for one, other in itertools.combinations(attributes, 2):
        a, b = codes[one.column], codes[other.column]
        both = (a >= 0) & (b >= 0)
        table = np.zeros((len(one.levels), len(other.levels)))
        np.add.at(table, (a[both], b[both]), 1)
        expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / max(table.sum(), 1)
        never = (table == 0) & (expected >= EXPECTED)
        groups: dict[tuple[int, ...], list[str]] = {}
        for i, row in enumerate(never):
            if row.any():
                groups.setdefault(tuple(np.flatnonzero(row)), []).append(one.levels[i])
        for columns, levels in groups.items():
            found.append({one.name: levels, other.name: [other.levels[j] for j in columns]})
    return found
