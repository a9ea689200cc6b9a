"""Synthetic layouts of studies, drawn at random: names, numbers, order of rows, platform columns, languages.

Even seeds are the visible half, on which the rules of `init` may be written; odd seeds are held out.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat
import yaml

from nanotarget.propose import propose, verified_config
from nanotarget.study.checks import validate
from nanotarget.study.problems import InputError

ORDERED = {  # levels in the order that a reader would give them
    "en": [
        ["$10", "$50", "$100", "$1,000"],
        ["<25k", "25-50k", "50-100k", ">100k"],
        ["Never", "Sometimes", "Often", "Always"],
        ["Strongly disagree", "Disagree", "Neither agree nor disagree", "Agree", "Strongly agree"],
        ["Low", "Medium", "High"],
        ["5% of 100", "20% of 100", "60% of 100"],
        ["No", "Yes"],
        ["Very unlikely", "Unlikely", "Likely", "Very likely"],
        ["2 years", "5 years", "10 years"],
        ["Under 30", "30 to 49", "50 to 69", "70 or more"],
    ],
    "de": [
        ["10 €", "50 €", "100 €"],
        ["nie", "manchmal", "oft", "immer"],
        ["stimme gar nicht zu", "stimme eher nicht zu", "teils/teils", "stimme eher zu", "stimme voll zu"],
        ["niedrig", "mittel", "hoch"],
        ["unter 30", "30 bis 49", "50 und mehr"],
        ["kurzfristig", "mittelfristig", "langfristig"],
        ["nein", "ja"],
    ],
    "es": [
        ["10 euros", "50 euros", "100 euros"],
        ["nunca", "a veces", "a menudo", "siempre"],
        ["bajo", "medio", "alto"],
        ["menos de 30", "30 a 49", "50 o más"],
        ["nada importante", "poco importante", "muy importante"],
        ["en desacuerdo", "ni de acuerdo ni en desacuerdo", "de acuerdo"],
    ],
    "fr": [
        ["10 euros", "50 euros", "100 euros"],
        ["jamais", "parfois", "souvent", "toujours"],
        ["faible", "moyen", "élevé"],
        ["moins de 30", "30 à 49", "50 et plus"],
        ["pas d'accord", "neutre", "d'accord"],
    ],
}
NOMINAL = {
    "en": [["Energy", "Transport", "Housing"], ["Tax", "Ban", "Subsidy", "Standard"], ["Woman", "Man"]],
    "de": [["Verkehr", "Energie", "Wohnen"], ["Steuer", "Verbot"], ["Frau", "Mann"]],
    "es": [["Energía", "Transporte", "Vivienda"], ["Impuesto", "Prohibición"], ["Mujer", "Hombre"]],
    "fr": [["Énergie", "Transport", "Logement"], ["Taxe", "Interdiction"], ["Femme", "Homme"]],
}
NAMES = [
    "cost",
    "sector",
    "Party ID",
    "how_long",
    "Reach",
    "tool",
    "who",
    "Kosten",
    "Größe",
    "Sexo",
    "climat",
]
IDS = ["ResponseId", "respondent", "caseid", "id", "subject_id", "respid", "CASE", "uid"]
PLATFORM = ["Progress", "Q_RecaptchaScore", "Q1_First Click", "Q1_Page Submit", "Finished", "Status"]
WIDE = [  # names of attribute columns, what stands for tasks and profiles
    ("task{t}_profile{p}_{a}", "12345678", "12"),
    ("{a}_{t}_{p}", "12345678", "12"),
    ("c{t}.p{p}.{a}", "01234567", "01"),
    ("T{t}_{p}_{a}", "12345678", "AB"),
    ("{a}_{p}_{t}", "12345678", ("left", "right")),
    ("{a}_{t}{p}", "abcdefgh", "12"),
    ("src_{t}_attribut{k}_{p}", "12345678", "12"),
    ("round{t}-cand{p}-{a}", "12345678", "12"),
    ("F-{t}-{p}-{k}", "12345678", "12"),
]
CHOICES = {"en": ("Option A", "Option B"), "de": ("Links", "Rechts"), "es": ("A", "B"), "fr": ("1", "2")}
CONTROLS = ["Control", "control group", "placebo", "0", "baseline"]


@dataclass(frozen=True)
class Layout:
    """One or two files and what a proposal for them should say."""

    table: pd.DataFrame | None
    kind: str
    respondent: str
    tasks: int
    attributes: list[list[str]]  # levels, in order where `ordered`
    ordered: list[bool]
    arm: str
    arms: set[str]
    head: Sequence[Sequence[str]] = ()  # rows between the names and the data
    design: pd.DataFrame | None = None  # a second file with the petitions shown
    labels: dict[str, dict[int, str]] | None = None  # of the values of an SPSS file
    book: pd.DataFrame | None = None  # a third file that lists attributes and levels

    def made(self, table: pd.DataFrame, respondent: str, **more: Any) -> Layout:
        """Return the layout with its file."""
        return dataclasses.replace(self, table=table, respondent=respondent, **more)

    def write(self, folder: Path) -> list[str]:
        """Write the files; return their paths."""
        path = folder / ("data.sav" if self.labels else "data.csv")
        if self.labels:
            pyreadstat.write_sav(self.table, path, variable_value_labels=self.labels)
        else:
            with path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([list(self.table), *self.head, *self.table.to_numpy().tolist()])
        paths = [path]
        for name, table in (("design.csv", self.design), ("labels.csv", self.book)):
            if table is not None:
                table.to_csv(folder / name, index=False)
                paths.append(folder / name)
        return [*map(str, paths)]


def draw(seed: int) -> Layout:
    """Draw a layout."""
    rng = np.random.default_rng([17, seed])
    kind = str(rng.choice(["long", "long", "wide", "wide", "by position", "trial"]))
    return _trial(rng) if kind == "trial" else _survey(rng, kind)


def _attributes(rng: np.random.Generator, language: str) -> tuple[list[str], list[list[str]], list[bool]]:
    n = int(rng.integers(2, 5))
    known = [ORDERED[language][i] for i in rng.permutation(len(ORDERED[language]))[:n]]
    other = [NOMINAL[language][i] for i in rng.permutation(3)[: int(rng.integers(1, 3))]]
    levels = [*known, *other]
    order = rng.permutation(len(levels))
    names = list(rng.permutation(NAMES))[: len(levels)]
    return names, [levels[i] for i in order], [bool(i < n) for i in order]


def _people(rng: np.random.Generator, n: int) -> dict[str, object]:
    """Draw what is known of people, in a random subset of columns."""
    known = {
        "age": rng.integers(18, 85, n),
        "gender": rng.choice(["female", "male"], n),
        "region": rng.choice(["North", "South", "East"], n),
    }
    return {name: known[name] for name in known if rng.random() < 0.7}


def _with_platform(rng: np.random.Generator, table: pd.DataFrame) -> pd.DataFrame:
    """Add columns that a platform writes, one value per row, before the others."""
    n = len(table)
    for name in PLATFORM:
        if rng.random() < 0.4:
            values = {
                "Finished": ["True"] * n,
                "Status": ["IP Address"] * (n - 4) + ["Survey Preview"] * 4,
                "Progress": rng.choice(["100", "80"], n, p=[0.9, 0.1]),
            }
            table.insert(0, name, values.get(name, np.round(rng.random(n) * 9, 2)))
    return table


def _survey(rng: np.random.Generator, kind: str) -> Layout:
    language = str(rng.choice(list(ORDERED)))
    names, levels, known = _attributes(rng, language)
    n, tasks = int(rng.integers(80, 200)), int(rng.integers(3, 7))
    shown = {a: rng.choice(values, (n, tasks, 2)) for a, values in zip(names, levels, strict=True)}
    first = rng.integers(0, 2, (n, tasks))
    respondent = str(rng.choice(IDS))
    ids = [f"R_{i:05}" for i in rng.permutation(n)] if rng.random() < 0.5 else list(1000 + rng.permutation(n))
    people = _people(rng, n)
    make = {"long": _long, "wide": _wide, "by position": _by_position}[kind]
    table = make(rng, shown, first, {respondent: ids, **people}, CHOICES[language])
    return Layout(table, kind, respondent, tasks, levels, known, "", set())


def _long(rng, shown, first, people, values):
    """Make a row a profile; tasks and profiles numbered in one of many ways, or by the order of rows."""
    n, tasks = first.shape
    size = tasks * 2
    table = pd.DataFrame(
        {name: np.repeat(np.asarray(cells, dtype=object), size) for name, cells in people.items()}
    )
    t, p = np.tile(np.repeat(np.arange(tasks), 2), n), np.tile([0, 1], n * tasks)
    way = int(rng.integers(0, 7))
    columns = [
        {"task": t + 1, "profile": p + 1},
        {"contest": t, "alt": p},
        {"Task": [f"Task {i + 1}" for i in t], "Package": np.array(["A", "B"])[p]},
        {"round_no": t + 1, "side": np.array(["left", "right"])[p]},
        {"shown": [f"{i + 1}x{j + 1}" for i, j in zip(t, p, strict=True)]},
        {"PairNum": np.repeat(np.arange(n * tasks) + 500, 2), "Order": p + 1},
        {},
    ][way]
    for name, cells in columns.items():
        table[name] = cells
    for name, cells in shown.items():
        table[name] = cells.ravel()
    chosen = np.stack([first, 1 - first], axis=-1).ravel()
    spelled = [["0", "1"], ["no", "yes"], ["FALSE", "TRUE"], ["Not selected", "Selected"]][
        int(rng.integers(0, 4))
    ]
    table[str(rng.choice(["chosen", "choice", "Y", "selected"]))] = np.array(spelled)[chosen]
    if columns and rng.random() < 0.5:
        table = table.sample(frac=1, random_state=int(rng.integers(0, 99))).reset_index(drop=True)
    return table


def _wide(rng, shown, first, people, values):
    """Make a row a respondent, in one of many ways to name columns."""
    tasks = first.shape[1]
    pattern, task_values, profile_values = WIDE[int(rng.integers(0, len(WIDE)))]
    table = dict(people)
    choices = {}
    numbering = int(rng.integers(0, 3))
    for i in range(tasks):
        for j in (0, 1):
            for k, (name, cells) in enumerate(shown.items(), 1):
                column = pattern.format(t=task_values[i], p=profile_values[j], a=name, k=k)
                table[column] = cells[:, i, j]
        column = [f"choice{task_values[i]}", f"Q{7 + 2 * i}", f"Q4.{i + 2}"][numbering]
        choices[column] = np.where(first[:, i] == 1, values[0], values[1])
    joined = {**choices, **table} if rng.random() < 0.3 else {**table, **choices}
    return _with_platform(rng, pd.DataFrame(joined))


def _by_position(rng, shown, first, people, values):
    """Make what the Conjoint Survey Design Tool writes, with attributes in an order of each respondent."""
    n, tasks = first.shape
    start, s = str(rng.choice(["F", "K", "f"])), str(rng.choice(["-", ".", "_"]))
    names = np.array(list(shown))
    order = np.array([rng.permutation(len(names)) for _ in range(n)])
    table = dict(people)
    for i in range(tasks):
        table[f"Q5.{i + 2}"] = np.where(first[:, i] == 1, values[0], values[1])
    for i in range(tasks):
        for row in range(len(names)):
            table[f"{start}{s}{i + 1}{s}{row + 1}"] = names[order[:, row]]
            for j in (0, 1):
                cells = np.stack([shown[name][:, i, j] for name in names], axis=1)
                table[f"{start}{s}{i + 1}{s}{j + 1}{s}{row + 1}"] = cells[np.arange(n), order[:, row]]
    return _with_platform(rng, pd.DataFrame(table))


def _trial(rng: np.random.Generator) -> Layout:
    """Make a trial: arms by name or by number, people or whole clusters randomised, sorted or not."""
    clusters, size = int(rng.integers(20, 40)), int(rng.integers(4, 12))
    n = clusters * size
    cluster = np.repeat(np.arange(clusters) + 1, size)
    arms = (
        [str(rng.choice(CONTROLS)), "1", "2"] if rng.random() < 0.4 else [str(rng.choice(CONTROLS)), "Letter"]
    )
    arms = ["0", "1", "2"] if "0" in arms else arms
    whole = rng.random() < 0.5
    drawn = rng.choice(arms, clusters)[cluster - 1] if whole else rng.choice(arms, n)
    respondent, arm = str(rng.choice(IDS)), str(rng.choice(["arm", "treatment", "condition", "Treat"]))
    table = pd.DataFrame({respondent: 100 + rng.permutation(n), **_people(rng, n)})
    if whole or rng.random() < 0.5:
        table[str(rng.choice(["village", "school", "cluster"]))] = cluster
    table[arm] = drawn
    table["support"] = rng.integers(0, 11, n)
    table["signed"] = rng.choice(["Yes", "No"], n)
    way = int(rng.integers(0, 3))
    table = [table, table.sort_values(arm, kind="stable"), table.sample(frac=1, random_state=1)][way]
    return Layout(
        _with_platform(rng, table.reset_index(drop=True)), "trial", respondent, 0, [], [], arm, set(arms)
    )


def outcome(layout, folder):
    """Say what of a layout a proposal gets right: {part: (right, of)}."""
    config = validate(yaml.safe_load(verified_config(propose(layout.write(folder)), "drawn")), "drawn")
    sample = config.experiment if layout.kind == "trial" else config.calibration
    parts = {"ids": (int(sample is not None and sample.respondent in layout.respondent.split("|")), 1)}
    if layout.kind == "trial":
        right = (
            sample is not None and sample.arm == layout.arm and {a.name for a in sample.arms} == layout.arms
        )
        return parts | {"arms": (int(right), 1)}
    found = [[str(level) for level in a.levels] for a in config.design.attributes] if config.design else []
    same = [levels for levels in layout.attributes if sorted(levels) in map(sorted, found)]
    known = [levels for levels, known in zip(layout.attributes, layout.ordered, strict=True) if known]
    exact = len(found) == len(layout.attributes) == len(same)
    return parts | {
        "tasks": (int(sample is not None and (sample.tasks, sample.profiles) == (layout.tasks, 2)), 1),
        "attributes": (int(exact), 1),
        "order": (sum(levels in found for levels in known), len(known)),
    }


def rates(layouts, folder):
    """Add up what is right over layouts: {part: (right, of)}; a refusal gets nothing right."""
    total: dict[str, list[int]] = {}
    for layout in layouts:
        try:
            parts = outcome(layout, folder)
        except InputError:
            parts = dict.fromkeys(("ids", "arms" if layout.kind == "trial" else "tasks"), (0, 1))
            if layout.kind != "trial":
                parts |= {"attributes": (0, 1), "order": (0, sum(layout.ordered))}
        for part, (right, of) in parts.items():
            sums = total.setdefault(part, [0, 0])
            sums[0], sums[1] = sums[0] + right, sums[1] + of
    return total
