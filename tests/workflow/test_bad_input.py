"""Bad input: one message that names the place, what was expected and what to do; nothing written.

Every case is a small mutation of the tiny good study. All run the code of the Snakefile (`read_study`)
and of the script of rule `check` in this process; the cases marked `real` also run Snakemake, as forks,
and the good study runs it as people do.
"""

from __future__ import annotations

import dataclasses
import gzip
import os
import re
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import yaml
from snakemake.iocontainers import Namedlist

from forked import snakemake_forked
from nanotarget.assign.ledger import LEDGER_COLUMNS, SEALED_COLUMNS, sealed
from nanotarget.study.checks import read_study
from nanotarget.study.config import DataConfig, part_of
from nanotarget.study.problems import InputError
from running import PATIENCE
from tiny_study import TinyStudy, await_fielding, tiny_study


@dataclass(frozen=True)
class Case:
    """A mutation of the good study and what the message must say."""

    name: str
    mutate: Callable[[TinyStudy], object]
    says: tuple[str, ...]
    layout: str = "long"
    real: bool = False


def put(sample: str, row: int, column: str, text: str | None) -> Callable[[TinyStudy], object]:
    """Write a text into a cell; `row` counts like a spreadsheet, the header being row 1."""

    def mutate(study: TinyStudy) -> None:
        getattr(study, sample).loc[row - 2, column] = text

    return mutate


def also(*mutations: Callable[[TinyStudy], object]) -> Callable[[TinyStudy], object]:
    return lambda study: [mutate(study) for mutate in mutations]


def content(name: str, make: Callable[[TinyStudy], bytes]) -> Callable[[TinyStudy], object]:
    """Replace the bytes of a raw file."""
    return lambda study: study.contents.update({name: make(study)})


def csv(table: pd.DataFrame, **options: object) -> bytes:
    return table.to_csv(index=False, **options).encode()


def change(sample: str, function: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[TinyStudy], object]:
    """Replace a raw table by a function of it."""
    return lambda study: setattr(study, sample, function(getattr(study, sample)))


def rename(sample: str, **columns: str) -> Callable[[TinyStudy], object]:
    return change(sample, lambda table: table.rename(columns=columns))


def without_numbers(study: TinyStudy) -> None:
    """Let the config name no columns with the numbers of tasks and profiles."""
    del study.config["calibration"]["task"], study.config["calibration"]["profile"]


def append(sample: str, row: int) -> Callable[[TinyStudy], object]:
    """Repeat a row at the end of the file, as another e-mail address."""

    def mutate(study: TinyStudy) -> None:
        table = getattr(study, sample)
        copy = table.loc[[row - 2]].assign(email="again@example.org")
        setattr(study, sample, pd.concat([table, copy], ignore_index=True))

    return mutate


def parquet(study: TinyStudy) -> bytes:
    return study.calibration.to_parquet()


def use_file(name: str) -> Callable[[TinyStudy], object]:
    return lambda study: study.config["calibration"].update(file=name)


def ledger(*rows: str, header: str = "") -> Callable[[TinyStudy], object]:
    """Let the study's ledger hold these rows, sealed unless they have a header of their own."""

    def mutate(study: TinyStudy) -> None:
        study.config["roster"]["ledger"] = LEDGER
        if header:
            study.contents[LEDGER] = "\n".join([header, *rows, ""]).encode()
        else:
            cells = pd.DataFrame([row.split(",") for row in rows], columns=LEDGER_COLUMNS)
            study.contents[LEDGER] = csv(sealed(cells))

    return mutate


def roster(**settings: object) -> Callable[[TinyStudy], object]:
    """Change settings of the section `roster`."""
    return lambda study: study.config["roster"].update(settings)


CONFIG = "study.yaml"
CHECK = ("check", "--cores", "1", "--configfile", CONFIG)
CALIBRATION = "calibration.csv"
EXPERIMENT = "experiment.csv"
ROSTER = "roster.csv"
LEDGER = "arms.csv"
UNSAFE = (
    "logs/arms.csv",
    "data/../logs/arms.csv",
    "benchmarks/arms.csv",
    "papers/arms.csv",
    ".snakemake/arms.csv",
    "results/../.pytest_cache/arms.csv",
    "../arms.csv",
    "/tmp/arms.csv",
)

CONFIG_CASES = [
    Case("empty config", lambda s: s.config.clear(), (CONFIG, "whole file", "no settings"), real=True),
    Case(
        "unknown key",
        lambda s: s.config.update(covariate=[]),
        (CONFIG, "key covariate:", "unknown key 'covariate'", "write 'covariates'"),
        real=True,
    ),
    Case(
        "key written twice",
        lambda s: s.contents.update({CONFIG: yaml.safe_dump(s.config).encode() + b"root_seed: 99\n"}),
        (f"{CONFIG}: line ", "the key 'root_seed' is written twice"),
        real=True,
    ),
    Case(
        "key written twice deep inside",
        lambda s: s.contents.update(
            {CONFIG: b"study: tiny\nestimate: {alpha: 0.05, draws: 2000, alpha: 0.1}\n"}
        ),
        (f"{CONFIG}: line 2, column 38", "the key 'alpha' is written twice"),
    ),
    Case(
        "unknown key deep inside",
        lambda s: s.config["experiment"]["arms"][1].update(polcy="nano"),
        (CONFIG, "key experiment.arms[1].polcy", "write 'policy'"),
    ),
    Case(
        "policy of an arm that is not assigned",
        lambda s: s.config.update(assign={"policies": ["random"]}),
        (CONFIG, "key experiment.arms[2] ('nano')", "the policy 'nano' is not assigned", "assign.policies"),
    ),
    Case(
        "own answers of people who do not come back",
        lambda s: s.config.update(
            calibrate={"learner": "hierarchical", "information": "covariates + own answers"}
        ),
        (CONFIG, "key calibrate.information", "samples: new", "'samples: panel'"),
    ),
    Case(
        "own answers for a learner that cannot use them",
        lambda s: s.config.update(
            samples="panel", calibrate={"learner": "bart", "information": "covariates + own answers"}
        ),
        (CONFIG, "key calibrate.learner", "'bart' cannot use a person's own answers", "'hierarchical'"),
    ),
    Case(
        "fewer draws than chains can share",
        lambda s: s.config.update(calibrate={"learner": "bart", "bart": {"draws": 5, "chains": 3}}),
        (CONFIG, "key calibrate.bart", "5 draws in 3 chains", "more draws or fewer chains"),
    ),
    Case("no study name", lambda s: s.config.pop("study"), (CONFIG, "the key 'study' is missing")),
    Case(
        "bad study name",
        lambda s: s.config.update(study="../evil"),
        (CONFIG, "key study:", "'../evil' is not allowed", "lower-case letters"),
    ),
    Case(
        "seed is text",
        lambda s: s.config.update(root_seed="one"),
        (CONFIG, "key root_seed", "'one' is not a whole number"),
    ),
    Case(
        "seed is a fraction",
        lambda s: s.config.update(root_seed=1.0),
        (CONFIG, "key root_seed", "1.0 is not a whole number"),
    ),
    Case(
        "unquoted No",
        lambda s: s.config["design"]["attributes"][0].update(levels=[False, True]),
        (CONFIG, "key design.attributes[0].levels[0]", "false is not text", "in quotes"),
    ),
    Case(
        "neither sample",
        lambda s: (s.config.pop("calibration"), s.config.pop("experiment")),
        (CONFIG, "neither a calibration nor an experiment"),
    ),
    Case(
        "calibration without design",
        lambda s: (s.config.pop("design"), s.config["experiment"].pop("petition_columns")),
        (CONFIG, "key design:", "a calibration needs the design"),
    ),
    Case(
        "panel without calibration",
        lambda s: (s.config.update(samples="panel"), s.config.pop("calibration")),
        (CONFIG, "key samples", "a panel needs both samples"),
    ),
    Case(
        "wrong choice of a setting",
        lambda s: s.config.update(calibrate={"learner": "lasso"}),
        (CONFIG, "key calibrate.learner", "'lasso' is not allowed", "'ridge'"),
    ),
    Case(
        "probabilities do not add up",
        lambda s: s.config["design"]["attributes"][0].update(probabilities=[0.5, 0.5, 0.5]),
        (CONFIG, "design.attributes[0]", "add up to 1.5", "a sum of 1"),
    ),
    Case(
        "levels that differ in case only",
        lambda s: s.config["design"]["attributes"][0]["levels"].append("ENERGY"),
        (CONFIG, "design.attributes[0] ('Sector')", "cannot be told apart: 'Energy', 'ENERGY'"),
    ),
    Case(
        "prohibition of an unknown level",
        lambda s: s.config["design"]["prohibited"][0].update({"Sector": ["Houses"]}),
        (CONFIG, "key design.prohibited[0].Sector", "unknown level 'Houses'"),
    ),
    Case(
        "prohibitions leave nothing",
        lambda s: s.config["design"]["prohibited"].append(
            {"Sector": ["Energy", "Transport", "Housing"], "Cost <br>": [0, 10, 25]}
        ),
        (CONFIG, "key design.prohibited", "no combination of Sector, Cost <br> is left"),
    ),
    Case(
        "a level that can never be shown",
        lambda s: s.config["design"]["prohibited"].append({"Sector": ["Housing"], "Cost <br>": [0, 10]}),
        (CONFIG, "key design.prohibited", "no petition with Sector: 'Housing'"),
    ),
    Case(
        "template names no attribute",
        lambda s: s.config["design"].update(petition_text="{{ petition['Sektor'] }}"),
        (CONFIG, "key design.petition_text", "Sektor", "Sector, Job, Cost <br>"),
    ),
    Case(
        "template with broken syntax",
        lambda s: s.config["design"].update(petition_text="{{ petition['Sector'] "),
        (CONFIG, "key design.petition_text", "the template cannot be used"),
    ),
    Case(
        "template fails for one level",
        lambda s: s.config["design"].update(petition_text="{{ 1 // (petition['Cost <br>'] | int) }}"),
        (CONFIG, "key design.petition_text", "the template cannot be used"),
    ),
    Case(
        "reserved name",
        lambda s: s.config["covariates"][0].update(name="Arm", column="age"),
        (CONFIG, "key covariates:", "'Arm' is reserved", "'column'"),
    ),
    Case(
        "one name in two sections",
        lambda s: s.config["covariates"][0].update(name="Sector", column="age"),
        (CONFIG, "key covariates", "'Sector' is also used in design.attributes"),
    ),
    Case(
        "respondent's id as covariate",
        lambda s: s.config["covariates"][0].update(column="id"),
        (CONFIG, "key covariates[0] ('age')", "cannot be a covariate"),
    ),
    Case(
        "identifier as respondent",
        lambda s: s.config["experiment"].update(respondent="email"),
        (CONFIG, "key experiment.respondent", "'email' is a direct identifier", "pseudonym"),
    ),
    Case(
        "categorical covariate without levels",
        lambda s: s.config["covariates"][1].pop("levels"),
        (CONFIG, "key covariates[1] ('party')", "needs its levels"),
    ),
    Case(
        "level and missing value at once",
        lambda s: s.config["covariates"][1].update(missing_values=["left"]),
        (CONFIG, "key covariates[1] ('party')", "a level and a missing value at once: 'left'"),
    ),
    Case(
        "range upside down",
        lambda s: s.config["covariates"][0].update(range=[99, 18]),
        (CONFIG, "key covariates[0] ('age')", "the range [99, 18] is empty", "swap"),
    ),
    Case(
        "analysed outcome not measured",
        lambda s: s.config["calibration"]["outcomes"].pop("rating"),
        (CONFIG, "key calibration.analyse", "there is no outcome 'rating'"),
    ),
    Case(
        "wide pattern lacks a part",
        lambda s: s.config["calibration"].update(attribute_columns="t{task}_{attribute}"),
        (CONFIG, "key calibration.attribute_columns", "lacks '{profile}'"),
        layout="wide",
    ),
    Case(
        "wide without tasks",
        lambda s: s.config["calibration"].pop("tasks"),
        (CONFIG, "key calibration.tasks", "the wide layout needs the number of tasks"),
        layout="wide",
    ),
    Case(
        "key of the other layout",
        lambda s: s.config["calibration"].update(task="task"),
        (CONFIG, "key calibration.task", "no meaning in the wide layout"),
        layout="wide",
    ),
    Case(
        "exclusion without value",
        lambda s: s.config["calibration"]["exclusions"][2].pop("value"),
        (CONFIG, "key calibration.exclusions[2] ('Speeder')", "needs 'value'"),
    ),
    Case(
        "exclusion with a useless value",
        lambda s: s.config["calibration"]["exclusions"][1].update(values=["x"]),
        (CONFIG, "key calibration.exclusions[1] ('Duplicate')", "does not use 'values'"),
    ),
    Case(
        "two arms of one name",
        lambda s: s.config["experiment"]["arms"][2].update(name="best"),
        (CONFIG, "key experiment.arms", "the arm 'best' is there twice"),
    ),
    Case(
        "arm named all",
        lambda s: s.config["experiment"]["arms"][0].update(name="All"),
        (CONFIG, "key experiment.arms", "cannot be named 'All'"),
    ),
    Case(
        "adjustment for an unknown covariate",
        lambda s: s.config.update(estimate={"adjust": ["agee"]}),
        (CONFIG, "key estimate.adjust", "unknown covariate 'agee'", "'age'"),
    ),
    Case(
        "no pre-registration file",
        lambda s: s.config.update(preregistration="prereg.yaml"),
        ("prereg.yaml: whole file", "the file cannot be read", "key preregistration"),
        real=True,
    ),
    Case(
        "pre-registration is no YAML",
        lambda s: (
            s.config.update(preregistration="prereg.yaml"),
            s.contents.update({"prereg.yaml": b"a: [b"}),
        ),
        ("prereg.yaml: line 1, column 6", "not valid YAML"),
    ),
    Case(
        "pre-registration with a key written twice",
        lambda s: (
            s.config.update(preregistration="prereg.yaml"),
            s.contents.update({"prereg.yaml": b"alpha: 0.05\nalpha: 0.1\n"}),
        ),
        ("prereg.yaml: line 2, column 1", "the key 'alpha' is written twice"),
    ),
    Case(
        "pre-registration with wrong and missing keys",
        lambda s: (
            s.config.update(preregistration="prereg.yaml"),
            s.contents.update(
                {"prereg.yaml": b"registry: OSF\nalpha: 0.6\nhypotheses: [{id: H1, outcom: sign}]\n"}
            ),
        ),
        (
            "key alpha: 0.6 does not fit",
            "key hypotheses[0].outcom",
            "write 'outcome'",
            "the key 'date' is missing",
        ),
    ),
]


def last_line(text: str) -> Callable[[TinyStudy], object]:
    """Write a line of YAML at the end of the config."""
    return lambda study: study.contents.update(
        {CONFIG: yaml.safe_dump(study.config).encode() + text.encode()}
    )


def template(text: str) -> Callable[[TinyStudy], object]:
    return lambda study: study.config["design"].update(petition_text=text)


def setting(*path: str | int, value: object) -> Callable[[TinyStudy], object]:
    """Write a value to a key deep inside the config."""

    def mutate(study: TinyStudy) -> None:
        place: Any = study.config
        for step in path[:-1]:
            place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
        place[path[-1]] = value

    return mutate


# (name, last line of the config, what the message says)
YAML_KINDS = [
    ("control character", 'title: "a\x07b"', "column 10", "U+0007 is not allowed"),
    ("escaped control character", r'title: "a\x07b"', "column 8", "U+0007 cannot be printed"),
    ("half a letter", r'title: "\ud800"', "column 8", "U+D800 cannot be printed"),
    ("null byte", r'title: "a\0"', "column 8", "U+0000 cannot be printed"),
    ("impossible date", "title: 2026-02-30", "column 8", "day is out of range"),
    ("list as key", "? [a, b]\n: 1", "column 3", "a key must be a text"),
    ("mapping as key", "? {a: b}\n: 1", "column 3", "a key must be a text"),
    ("deep lists", "title: " + "[" * 5000 + "]" * 5000, "nested more than 30 levels"),
    ("deep mappings", "title: " + "{a: " * 5000 + "}" * 5000, "nested more than 30 levels"),
    ("deep list left open", "title: " + "[" * 5000, "nested more than 30 levels"),
    ("merge key", "estimate:\n  <<: {alpha: 0.1}", "column 3", "merge keys (<<)"),
    ("anchor", "title: &a text", "column 8", "anchors (&)"),
    ("alias", "title: *a", "column 8", "aliases (*)"),
    ("endless alias", "title: &a [*a]", "column 8", "anchors (&)"),
    ("tag of Python", "title: !!python/object/apply:os.system ['true']", "column 8", "tags (!)"),
    ("tag of YAML", "title: !!str 1", "column 8", "tags (!)"),
    ("tag of nobody", "title: !x 1", "column 8", "tags (!)"),
    ("two documents", "---\nstudy: other", "line ", "another document"),
    ("octal number", "title: 010", "column 8", "010 is no plain number", "in quotes"),
    ("hexadecimal number", "title: 0x1F", "column 8", "0x1F is no plain number"),
    ("binary number", "title: 0b11", "column 8", "0b11 is no plain number"),
    ("time of day", "title: 12:30", "column 8", "12:30 is no plain number"),
    ("time of day with decimals", "title: 12:30.5", "column 8", "12:30.5 is no plain number"),
    ("underscores in a number", "title: 1_000", "column 8", "1_000 is no plain number"),
    ("huge whole number", "title: " + "9" * 5000, "column 8", "is no plain number"),
    ("number beyond all", "title: 1.0e+400", "column 8", "1.0e+400 is no plain number"),
    ("infinity", "title: .inf", "column 8", ".inf is no plain number"),
    ("minus infinity", "title: -.INF", "column 8", "-.INF is no plain number"),
    ("not a number", "title: .NaN", "column 8", ".NaN is no plain number"),
    ("key twice, once in quotes", '"study": tiny', "column 1", "'study' is written twice"),
    ("tab", "title:\n\t- a", "line ", "not valid YAML"),
    ("open quote", 'title: "a', "line ", "not valid YAML"),
]
# (name, template of the petition, what the message says)
TEMPLATE_KINDS = [
    ("recursion", "{% macro r() %}{{ r() }}{% endmacro %}{{ r() }}", "calls itself"),
    ("product", "{{ 'a' * 10 }}", "'*' is not possible"),
    ("power", "{{ 10 ** 10 ** 9 }}", "'**' is not possible"),
    ("memory", "{{ '%2000000000d' % 1 }}", "needs more than 512 MB"),
    (
        "doubling",
        "{% set a = 'aaaaaaaa' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}",
        "needs more than 512 MB",
    ),
    ("endless", "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "1 s"),
    ("random choice", "{{ [1, 2] | random }}", "random"),
    ("random text", "{{ lipsum() }}", "lipsum"),
    ("address of an object", "{{ petition.items }}", "prints an object of Python"),
    ("filter of another type", "{{ petition['Sector'] | xmlattr }}", "AttributeError"),
    ("same text", "Sign this.", "have the same text", "name the attributes in it"),
    ("empty text", " {# nothing #} ", "the text of a petition is empty"),
    ("text of one level empty", "{% if petition['Sector'] == 'Energy' %}x{% endif %}", "is empty"),
    ("too long", "{{ petition['Sector'] | center(200000) }}x", "more than 100000 letters"),
    ("half a letter", "{{ petition['Sector'] }}{{ '\\ud800' }}", "UnicodeEncodeError"),
    ("private", "{{ petition.__class__.__mro__ }}", "unsafe"),
    ("file", "{% include '/etc/hostname' %}", "no loader"),
    ("import", "{% import 'os' as os %}", "no loader"),
]
# (key, value, what the message says)
NUMBER_KINDS = [
    (("root_seed",), 10**18 * 10, "is no plain number"),
    (("root_seed",), -1, "at least 0"),
    (("diagnose", "bootstraps"), 10**12, "at most 100000"),
    (("diagnose", "permutations"), 10**9, "at most 100000"),
    (("diagnose", "splits"), 10**6, "at most 1000"),
    (("calibration", "tasks"), 10**9, "at most 1000"),
    (("calibration", "profiles"), 10**9, "at most 100"),
    (("estimate", "draws"), 10**9, "at most 1000000"),
    (("privacy", "min_cell"), 10**9, "at most 1000000"),
    (("covariates", 0, "range"), [18, 1e300], "a number between -1e+15 and 1e+15"),
    (("calibration", "exclusions", 2, "value"), 1e16, "a number between -1e+15 and 1e+15"),
    (("diagnose", "sesoi"), 1e99, "a number between -1e+15 and 1e+15"),
    (("estimate", "sesoi"), {"support": 1e99}, "a number between -1e+15 and 1e+15"),
]
# (key, value, what the message says)
NAME_KINDS = [
    (("study",), "tiny\n", "key study", "lower-case letters"),
    (("study",), "a" * 65, "key study", "at most 64"),
    (("calibration", "file"), "x" * 300 + ".csv", "key calibration.file", "at most 255 bytes"),
    (("calibration", "file"), "é" * 140 + ".csv", "key calibration.file", "at most 255 bytes"),
    (("calibration", "file"), "a/" * 2500 + "b.csv", "key calibration.file", "at most 255 bytes"),
    (("calibration", "file"), "c{x}.csv", "key calibration.file", "without braces"),
    (("calibration", "file"), "", "key calibration.file", "cannot be a file"),
    (("calibration", "file"), "a\nb.csv", "key calibration.file", "without line ends"),
    (("experiment", "file"), "e{x}.csv", "key experiment.file", "without braces"),
    (("preregistration",), "p{x}.yaml", "key preregistration", "without braces"),
    (("preregistration",), "/dev/zero", "/dev/zero: whole file", "no regular file"),
    (("preregistration",), ".", "whole file", "no regular file"),
    (("design", "attributes", 0, "levels", 0), "x" * 10_000, "levels[0]", "at most 1000 letters"),
    (("experiment", "outcomes", 0, "name"), "x" * 300, "outcomes[0].name", "at most 200 letters"),
]


def fifo(study: TinyStudy) -> None:
    study.config["preregistration"] = "pipe"


HARD_CASES = [
    *(Case(f"YAML: {name}", last_line(line), (CONFIG, *says)) for name, line, *says in YAML_KINDS),
    *(
        Case(f"template: {name}", template(text), (CONFIG, "key design.petition_text", *says))
        for name, text, *says in TEMPLATE_KINDS
    ),
    *(
        Case(f"number: {path[-1]}: {value}", setting(*path, value=value), tuple(says))
        for path, value, *says in NUMBER_KINDS
    ),
    *(
        Case(f"name: {path[0]} {str(value)[:12]!r} {says[-1]}", setting(*path, value=value), tuple(says))
        for path, value, *says in NAME_KINDS
    ),
    Case(
        "invisible letter in a level",
        put("calibration", 3, "sector", "Trans\u200bport"),
        (CALIBRATION, "column 'sector', row 3", "U+200B (zero width space), 'Transport' does not"),
    ),
    Case(
        "letter of another script in a level",
        put("calibration", 3, "sector", "\u0415nergy"),
        (CALIBRATION, "U+0415 (cyrillic capital letter ie), 'Energy' does not"),
    ),
    Case(
        "columns of a Parquet file that differ by a space",
        also(
            use_file("c.parquet"),
            content("c.parquet", lambda s: s.calibration.assign(**{"age ": "5"}).to_parquet()),
        ),
        ("c.parquet: header", "columns with the same name: 'age'"),
    ),
    Case(
        "three respondents",
        change("calibration", lambda table: table.head(18)),
        (CALIBRATION, "3 respondents left after the exclusions", "at least 10"),
    ),
    Case(
        "nobody rated anything",
        change("calibration", lambda table: table.assign(rating="")),
        (CALIBRATION, "outcome 'rating'", "is empty in every row"),
    ),
    Case(
        "an outcome of the experiment is empty",
        change("experiment", lambda table: table.assign(support="")),
        (EXPERIMENT, "outcome 'support'", "is empty in every row"),
    ),
    Case(
        "one respondent outweighs all",
        change("calibration", lambda t: t.assign(w=t["w"].where(t["id"] != "c2", "100000"))),
        (CALIBRATION, "column 'w'", "('c2') has more than half of all weight"),
    ),
    Case(
        "one participant outweighs all",
        put("experiment", 3, "w", "1000000"),
        (EXPERIMENT, "column 'w'", "('e2') has more than half of all weight"),
    ),
    Case(
        "an arm nobody is in",
        change("experiment", lambda t: t.assign(arm=t["arm"].replace("Nano", "Control"))),
        (EXPERIMENT, "column 'arm'", "nobody is in the arm 'nano'"),
    ),
    Case("a pipe as pre-registration", fifo, ("pipe: whole file", "no regular file")),
]

FILE_CASES = [
    Case(
        "file not there",
        use_file("calibratoin.csv"),
        ("calibratoin.csv: whole file", "does not exist", "did you mean 'calibration.csv'"),
        real=True,
    ),
    Case("file is a folder", use_file("."), (".: whole file", "this is a folder")),
    Case("empty file", content(CALIBRATION, lambda s: b""), (CALIBRATION, "the file is empty")),
    Case("only blank lines", content(CALIBRATION, lambda s: b"\n \n"), (CALIBRATION, "the file is empty")),
    Case(
        "header only",
        content(CALIBRATION, lambda s: csv(s.calibration[:0])),
        (CALIBRATION, "there are no data rows"),
    ),
    Case(
        "a separator nobody uses",
        content(CALIBRATION, lambda s: csv(s.calibration, sep="~")),
        (f"{CALIBRATION}: row 1", "only one column was found", "comma, semicolon, tab or |"),
    ),
    Case(
        "ragged row",
        content(CALIBRATION, lambda s: csv(s.calibration).replace(b"c2,c2@", b"c2,and,more,c2@", 1)),
        (f"{CALIBRATION}: row 8", "has 17 cells, the header has 15", "separator in a cell"),
    ),
    Case(
        "cut-off file",
        content(CALIBRATION, lambda s: csv(s.calibration).rsplit(b",", 5)[0]),
        (f"{CALIBRATION}: row 181", "has 10 cells, the header has 15", "cut-off end"),
    ),
    Case(
        "quote never closed",
        content(CALIBRATION, lambda s: csv(s.calibration).replace(b"c2@", b'"c2@', 1).replace(b'""', b"")),
        (CALIBRATION, "the quotes are broken", "close every quote"),
    ),
    Case(
        "two columns of one name",
        content(CALIBRATION, lambda s: csv(s.calibration).replace(b",age,", b",party,", 1)),
        (f"{CALIBRATION}: header", "columns with the same name: 'party'"),
    ),
    Case(
        "binary file named .csv",
        content(CALIBRATION, lambda s: bytes(range(256)) * 20),
        (CALIBRATION, "text"),
    ),
    Case("NUL bytes", content(CALIBRATION, lambda s: b"a,b\n1,\0\n"), (CALIBRATION, "it is a binary file")),
    Case(
        "Parquet named .csv",
        content(CALIBRATION, parquet),
        (CALIBRATION, "its content is a Parquet file, not text", "proper ending"),
    ),
    Case(
        "Excel named .csv",
        content(CALIBRATION, lambda s: b"PK\x03\x04" + bytes(100)),
        (CALIBRATION, "an Excel workbook or a zip archive", "export the data as CSV"),
    ),
    Case(
        "web page saved as CSV",
        content(CALIBRATION, lambda s: b"<!DOCTYPE html><html>Please log in</html>"),
        (CALIBRATION, "its content is a web page", "log-in page"),
    ),
    Case(
        "damaged UTF-8",
        content(
            CALIBRATION,
            lambda s: csv(s.calibration).replace(b"Green", "Gréén £".encode()).replace(b"c9@", b"c9\xff@", 1),
        ),
        (f"{CALIBRATION}: line 50", "neither UTF-8, UTF-16 nor Windows-1252"),
    ),
    Case(
        "Qualtrics header not declared",
        content(
            CALIBRATION,
            lambda s: csv(s.calibration).replace(
                b"\n", b"\n" + b'"{""ImportId"":""QID1""}"' + b"," * 15 + b"\n", 1
            ),
        ),
        (f"{CALIBRATION}: row 2", "header that Qualtrics writes", "header_rows: 2"),
    ),
    Case(
        "broken gzip",
        also(
            use_file("calibration.csv.gz"),
            content("calibration.csv.gz", lambda s: gzip.compress(csv(s.calibration))[:200]),
        ),
        ("calibration.csv.gz", "the gzip compression is broken"),
    ),
    Case(
        "truncated Parquet",
        also(use_file("calibration.parquet"), content("calibration.parquet", lambda s: parquet(s)[:-300])),
        ("calibration.parquet", "no complete Parquet file", "copy or export the file again"),
        real=True,
    ),
    Case(
        "broken SPSS file",
        also(use_file("calibration.sav"), content("calibration.sav", lambda s: b"$FL2" + bytes(40))),
        ("calibration.sav", "no complete .sav file"),
    ),
    Case(
        "unknown ending",
        also(use_file("calibration.xlsx"), content("calibration.xlsx", lambda s: b"PK\x03\x04")),
        ("calibration.xlsx: file name", "the ending '.xlsx' is not known", ".parquet"),
    ),
    Case(
        "missing column",
        rename("calibration", age="aeg"),
        (f"{CALIBRATION}: column 'age'", "key covariates[0] ('age') names it", "similar: 'aeg'"),
    ),
    Case(
        "missing wide columns",
        rename("calibration", t2_p1_sector="t2_p1_Sector"),
        (f"{CALIBRATION}: column 't2_p1_sector'", "key calibration.attribute_columns", "'t2_p1_Sector'"),
        layout="wide",
    ),
    Case(
        "missing column of an exclusion",
        rename("experiment", consent="agreed"),
        (f"{EXPERIMENT}: column 'consent'", "key experiment.exclusions[0] ('No consent')"),
    ),
]

CELL_CASES = [
    Case(
        "unknown level",
        put("calibration", 12, "sector", "Enrgy"),
        (
            f"{CALIBRATION}: column 'sector', row 12",
            "'Enrgy' is no level of 'Sector'",
            "did you mean 'Energy'",
        ),
        real=True,
    ),
    Case(
        "unknown level in the wide layout",
        put("calibration", 5, "t3_p2_job", "Job"),
        (f"{CALIBRATION}: column 't3_p2_job', row 5", "'Job' is no level of 'Job'", "'Green Job'"),
        layout="wide",
    ),
    Case(
        "missing attribute",
        put("calibration", 12, "cost", ""),
        (
            f"{CALIBRATION}: column 'cost', row 12",
            "'Cost <br>' is missing in 1 of 180 petitions of tasks",
        ),
    ),
    Case(
        "prohibited combination",
        also(put("calibration", 12, "sector", "Housing"), put("calibration", 12, "cost", "25")),
        (
            f"{CALIBRATION}: columns 'sector', 'cost', row 12",
            "a prohibited combination in 1 petition, first Sector = 'Housing' with Cost <br> = '25'",
        ),
    ),
    Case(
        "duplicate profile",
        append("calibration", 12),
        (f"{CALIBRATION}: column 'id', rows 12, 182", "same respondent, task and profile more than once"),
    ),
    Case(
        "two profiles chosen",
        also(put("calibration", 2, "choice", "1"), put("calibration", 3, "choice", "1")),
        (f"{CALIBRATION}: column 'choice', rows 2, 3", "more than one profile is chosen in a task"),
    ),
    Case(
        "no profile chosen",
        also(put("calibration", 2, "choice", "0"), put("calibration", 3, "choice", "0")),
        (f"{CALIBRATION}: column 'choice', rows 2, 3", "no profile is chosen in a task"),
    ),
    Case(
        "choice is no profile in the wide layout",
        put("calibration", 4, "t1_choice", "C"),
        (f"{CALIBRATION}: column 't1_choice', row 4", "'C' is no level of 'choice'", "'A', 'B'"),
        layout="wide",
    ),
    Case(
        "one profile of a task is missing",
        change("calibration", lambda table: table.drop(index=10)),
        (f"{CALIBRATION}: column 'choice', row 12", "fewer than the 2 profiles", "2 rows per task"),
    ),
    Case(
        "more tasks than declared",
        lambda s: s.config["calibration"].update(tasks=2),
        (
            f"{CALIBRATION}: column 'task', rows 6, 7, 12",
            "'3' is more than the 2 tasks that the config declares",
        ),
    ),
    Case(
        "more profiles than declared",
        put("calibration", 3, "profile", "3"),
        (f"{CALIBRATION}: column 'profile', row 3", "'3' is more than the 2 profiles"),
    ),
    Case(
        "task is no number",
        put("calibration", 3, "task", "first"),
        (f"{CALIBRATION}: column 'task', row 3", "'first' is no number, but 'task' holds numbers"),
    ),
    Case(
        "tasks counted from 0",
        put("calibration", 3, "task", "0"),
        (f"{CALIBRATION}: column 'task', row 3", "'0' is no number of a task", "from 1"),
    ),
    Case(
        "rows are no whole tasks",
        also(without_numbers, change("calibration", lambda table: table.drop(index=5))),
        (f"{CALIBRATION}: column 'id', row 6", "no multiple of 2", "key calibration.task"),
    ),
    Case(
        "rows of a respondent are scattered",
        also(
            without_numbers,
            change("calibration", lambda table: table.sort_values("task", kind="stable", ignore_index=True)),
        ),
        (f"{CALIBRATION}: column 'id', rows 62, 64", "interrupted by another respondent's", "sort the file"),
    ),
    Case(
        "rating out of range",
        put("calibration", 9, "rating", "11"),
        (f"{CALIBRATION}: column 'rating', row 9", "'11' is outside the range of 'rating'", "0 to 10"),
    ),
    Case(
        "text in place of a rating",
        put("calibration", 9, "rating", "ten"),
        (f"{CALIBRATION}: column 'rating', row 9", "'ten' is no number", "numbers such as 12 or 12.5"),
    ),
    Case(
        "comma that may separate thousands",
        put("calibration", 9, "rating", "1,500"),
        (f"{CALIBRATION}: column 'rating', row 9", "'1,500' is no number", "separators of thousands"),
    ),
    Case(
        "covariate varies within a respondent",
        put("calibration", 9, "party", "Refused"),
        (f"{CALIBRATION}: column 'party', row 9", "'party' differs from the respondent's first row"),
    ),
    Case(
        "unknown level of a covariate",
        put("experiment", 9, "party", "Lefft"),
        (
            f"{EXPERIMENT}: column 'party', row 9",
            "'Lefft' is no level of 'party'",
            "key covariates[1].levels",
        ),
    ),
    Case(
        "covariate out of range",
        put("experiment", 9, "age", "-99"),
        (f"{EXPERIMENT}: column 'age', row 9", "'-99' is outside the range of 'age'", "18 to 99"),
    ),
    Case(
        "weight of zero",
        change("calibration", lambda table: table.assign(w=table["w"].mask(table["id"] == "c2", "0"))),
        (f"{CALIBRATION}: column 'w', rows 8, 9, 10", "a weight is missing or not positive", "above 0"),
    ),
    Case(
        "missing id",
        also(put("calibration", 9, "id", ""), put("calibration", 9, "email", "")),
        (f"{CALIBRATION}: column 'id', row 9", "the respondent's id is missing"),
    ),
    Case(
        "respondent twice in the wide layout",
        append("calibration", 9),
        (f"{CALIBRATION}: column 'id', rows 9, 32", "more than one row for 1 respondent", "'duplicate'"),
        layout="wide",
    ),
    Case(
        "text in the column of an exclusion",
        put("calibration", 2, "seconds", "3 min"),
        (f"{CALIBRATION}: column 'seconds', row 2", "'3 min' is no number"),
    ),
    Case(
        "nobody is left",
        lambda s: s.config["calibration"]["exclusions"][2].update(value=100000),
        (f"{CALIBRATION}: whole file", "nobody is left after the exclusions"),
    ),
    Case(
        "unknown arm",
        put("experiment", 9, "arm", "Nanno"),
        (
            f"{EXPERIMENT}: column 'arm', row 9",
            "'Nanno' is no level of 'arm'",
            "did you mean 'Nano'",
            "experiment.arms",
        ),
    ),
    Case(
        "missing arm",
        put("experiment", 9, "arm", ""),
        (f"{EXPERIMENT}: column 'arm', row 9", "the arm is missing", "rule 'missing'"),
    ),
    Case(
        "respondent twice in the experiment",
        append("experiment", 9),
        (f"{EXPERIMENT}: column 'id', rows 9, 62", "more than one row for 1 respondent"),
    ),
    Case(
        "binary outcome is a number",
        put("experiment", 9, "sign", "2"),
        (f"{EXPERIMENT}: column 'sign', row 9", "'2' is neither yes nor no", "0 or 1"),
    ),
    Case(
        "outcome out of range",
        put("experiment", 9, "support", "10.5"),
        (f"{EXPERIMENT}: column 'support', row 9", "'10.5' is outside the range of 'support'"),
    ),
    Case(
        "ordinal outcome between categories",
        also(
            put("experiment", 9, "support", "3.5"),
            lambda s: s.config["experiment"]["outcomes"][1].update(kind="ordinal"),
        ),
        (
            f"{EXPERIMENT}: column 'support', row 9",
            "'3.5' is between the categories of 'support'",
            "kind: continuous",
        ),
    ),
    Case(
        "count below zero",
        also(
            put("experiment", 9, "support", "-3"),
            lambda s: s.config["experiment"]["outcomes"].append(
                {"name": "spent", "column": "support", "kind": "count"}
            ),
        ),
        (f"{EXPERIMENT}: column 'support', row 9", "'-3' is below 0, but 'spent' counts something"),
    ),
    Case(
        "unknown columns of the design of the experiment",
        lambda s: s.config["experiment"].update(
            randomisation={"scheme": "clustered", "cluster": "vilage", "blocks": ["regoin"]},
            delivered={"column": "sent", "values": ["yes"]},
            post_checks=[{"step": "Recall", "rule": "missing", "column": "recall"}],
        ),
        (
            "column 'vilage': the file has no such column, but key experiment.randomisation.cluster",
            "column 'regoin': the file has no such column, but key experiment.randomisation.blocks",
            "column 'sent': the file has no such column, but key experiment.delivered.column",
            "column 'recall': the file has no such column, but key experiment.post_checks[0] ('Recall')",
        ),
    ),
    Case(
        "a cluster in two arms and two blocks",
        also(
            change(
                "experiment",
                lambda table: table.assign(
                    village=["A", "A", *(f"v{i}" for i in range(56)), "B", ""],
                    region=["North", "South"] * 30,
                ),
            ),
            lambda s: s.config["experiment"].update(
                randomisation={"scheme": "clustered", "cluster": "village", "blocks": ["region"]}
            ),
        ),
        (
            f"{EXPERIMENT}: column 'village', rows 2, 3: 1 cluster in more than one arm",
            "one arm per cluster, because the config says 'scheme: clustered'",
            f"{EXPERIMENT}: column 'village', rows 2, 3: 1 cluster in more than one block",
            f"{EXPERIMENT}: column 'village', row 61: the cluster is missing",
        ),
    ),
    Case(
        "text in the column of a post-treatment check",
        also(
            change("experiment", lambda table: table.assign(reading=["fast", *["30"] * 59])),
            lambda s: s.config["experiment"].update(
                post_checks=[{"step": "Reading", "rule": "below", "column": "reading", "value": 5}]
            ),
        ),
        (f"{EXPERIMENT}: column 'reading', row 2", "'fast' is no number"),
    ),
    Case(
        "incomplete petition",
        put("experiment", 4, "shown_job", ""),
        (f"{EXPERIMENT}: column 'shown_job', row 4", "the petition shown is incomplete"),
    ),
    Case(
        "no petition in an arm with one",
        also(*(put("experiment", 4, f"shown_{name}", "") for name in ("sector", "job", "cost"))),
        (f"{EXPERIMENT}: column 'shown_sector', row 4", "no petition is recorded", "'policy'"),
    ),
    Case(
        "same person in both samples",
        put("experiment", 9, "id", "c3"),
        (
            f"{EXPERIMENT}: row 9",
            "1 respondent also in calibration.csv",
            "samples: panel",
        ),
    ),
    Case(
        "same e-mail address in both samples",
        put("experiment", 9, "email", "C3@example.org"),
        (f"{EXPERIMENT}: row 9", "1 respondent also in calibration.csv"),
    ),
    Case(
        "strangers in a panel",
        also(
            lambda s: s.config.update(samples="panel"),
            change("experiment", lambda table: table.assign(id=table["id"].str.replace("e", "c"))),
        ),
        (f"{EXPERIMENT}: rows 32, 33", "30 respondents not in calibration.csv", "samples: new"),
    ),
    Case(
        "problems of both files at once",
        also(
            put("calibration", 9, "rating", "ten"),
            put("calibration", 15, "sector", "Sea"),
            put("experiment", 4, "sign", "perhaps"),
            lambda s: s.config["design"].update(petition_text="{{ petition }"),
            lambda s: s.config.update(preregistration="none.yaml"),
        ),
        ("2 problems found", "key design.petition_text", "none.yaml"),
    ),
    Case(
        "problems of both data files at once",
        also(
            put("calibration", 9, "rating", "ten"),
            put("calibration", 15, "sector", "Sea"),
            put("experiment", 4, "sign", "perhaps"),
        ),
        ("3 problems found", "'ten' is no number", "'Sea' is no level", "'perhaps' is neither"),
        real=True,
    ),
]
ROSTER_CASES = [
    Case(
        "roster and experiment",
        lambda s: s.config.update(experiment=tiny_study().config["experiment"]),
        (CONFIG, "key roster:", "it has been fielded", "remove 'roster'"),
    ),
    Case(
        "roster without calibration",
        lambda s: s.config.pop("calibration"),
        (CONFIG, "key roster:", "needs a calibration"),
    ),
    Case("no ledger", lambda s: s.config["roster"].pop("ledger"), (CONFIG, "the key 'ledger' is missing")),
    *(
        Case(f"ledger in {place}", roster(ledger=place), ("key roster.ledger", "'make clean' removes"))
        for place in UNSAFE
    ),
    Case(
        "ledger that is a link",
        lambda s: s.config["roster"].update(ledger="link.csv"),
        ("link.csv: whole file", "it is a link"),
    ),
    Case(
        "ledger behind a link",
        lambda s: s.config["roster"].update(ledger="out/arms.csv"),
        ("out/arms.csv: whole file", "leads out of the study's folder"),
    ),
    Case(
        "ledger among the results",
        roster(ledger="./results/tiny/arms.csv"),
        (CONFIG, "key roster.ledger", "outside the folder 'results'", "data/tiny/arms.csv"),
    ),
    Case(
        "one arm",
        lambda s: s.config["roster"].update(arms=[{"name": "nano", "policy": "nano"}]),
        (CONFIG, "key roster.arms", "a list of at least 2"),
    ),
    Case(
        "two arms of the roster with one name",
        lambda s: s.config["roster"]["arms"][2].update(name="Best"),
        (CONFIG, "key roster.arms", "the arm 'best' is there twice"),
    ),
    Case(
        "share of nothing",
        lambda s: s.config["roster"]["arms"][0].update(share=0),
        (CONFIG, "key roster.arms[0].share", "more than 0", "equal shares if no arm has one"),
    ),
    Case(
        "share of some arms only",
        lambda s: s.config["roster"]["arms"][0].pop("share"),
        (CONFIG, "key roster.arms:", "no share for 'control'"),
    ),
    Case(
        "policy that nobody assigns",
        lambda s: s.config.update(assign={"policies": ["random"]}),
        (CONFIG, "key roster.arms[2] ('nano')", "the policy 'nano' is not assigned", "assign.policies"),
    ),
    Case(
        "numeric block",
        roster(blocks=["age"]),
        (CONFIG, "key roster.blocks", "'age' is numeric", "categorical covariates: 'party'"),
    ),
    Case(
        "unknown block",
        roster(blocks=["partie"]),
        (CONFIG, "key roster.blocks", "unknown covariate 'partie'"),
    ),
    Case("blocked without blocks", roster(blocks=[]), (CONFIG, "key roster.blocks", "needs it")),
    Case(
        "blocks of a complete randomisation",
        roster(randomisation="complete"),
        (CONFIG, "key roster.blocks", "only blocked randomisation uses it"),
    ),
    Case(
        "attribute's column that the export has itself",
        also(
            lambda s: s.config["design"]["attributes"][1].update(column="policy"),
            rename("calibration", job="policy"),
        ),
        (CONFIG, "key design.attributes[1] ('Job')", "already has a column 'policy'"),
    ),
    Case(
        "identifier as respondent of the roster",
        roster(respondent="email"),
        (CONFIG, "key roster.respondent", "'email' is a direct identifier"),
    ),
    Case(
        "roster not there",
        roster(file="rooster.csv"),
        ("rooster.csv: whole file", "did you mean 'roster.csv'"),
    ),
    Case(
        "roster lacks a covariate",
        change("roster", lambda table: table.drop(columns="party")),
        (f"{ROSTER}: column 'party'", "key covariates[1] ('party') names it"),
    ),
    Case(
        "respondent twice on the roster",
        append("roster", 9),
        (f"{ROSTER}: column 'id', rows 9, 43", "more than one row for 1 respondent"),
    ),
    Case(
        "unknown level on the roster",
        put("roster", 9, "party", "Centre"),
        (f"{ROSTER}: column 'party', row 9", "'Centre' is no level of 'party'"),
    ),
    Case(
        "somebody of the calibration on the roster",
        put("roster", 9, "id", "c3"),
        (f"{ROSTER}: row 9", "1 respondent also in calibration.csv"),
    ),
    Case(
        "strangers on the roster of a panel",
        lambda s: s.config.update(samples="panel"),
        (f"{ROSTER}: rows 2, 3", "41 respondents not in calibration.csv", "samples: new"),
    ),
    Case(
        "nobody of the roster is left",
        change("roster", lambda table: table.assign(consent="No")),
        (f"{ROSTER}: whole file", "nobody is left after the exclusions"),
    ),
    Case(
        "ledger with an unknown arm",
        ledger("r1,nano,party: Left", "r2,placebo,party: Left"),
        (f"{LEDGER}: column 'arm', row 3", "'placebo' is no arm of the config", "key roster.arms"),
        real=True,
    ),
    Case(
        "everything wrong with a ledger at once",
        ledger("r1,nano,party: Left", "r1 ,best,party: Left", ",best,party: Left", "r3,,party: Left"),
        (
            "3 problems found",
            f"{LEDGER}: column 'respondent_id', rows 2, 3: a respondent is in the ledger more than once",
            f"{LEDGER}: column 'respondent_id', row 4: the respondent's id is missing",
            f"{LEDGER}: column 'arm', row 5: the arm is missing",
            "restore the ledger from a copy",
        ),
    ),
    Case(
        "ledger without its columns",
        ledger("r1,nano", header="id,arm"),
        (f"{LEDGER}: header", "the ledger lacks 'respondent_id', 'block', 'seal'"),
    ),
    Case(
        "ledger cut off",
        ledger("r1,nano,party: Left,x", "r2", header=",".join(SEALED_COLUMNS)),
        (f"{LEDGER}: row 3", "has 1 cells"),
    ),
    Case(
        "ledger edited",
        ledger("r1,nano,party: Left,0123456789abcdef", header=",".join(SEALED_COLUMNS)),
        (f"{LEDGER}: column 'seal', row 2", "was edited here", "restore the ledger from a copy"),
    ),
    Case(
        "ledger and roster wrong at once",
        also(ledger("r1,placebo,"), put("roster", 9, "age", "old")),
        ("2 problems found", "'placebo' is no arm", "'old' is no number"),
    ),
]


def attribute(i: int, **changes: object) -> Callable[[TinyStudy], object]:
    return lambda study: study.config["design"]["attributes"][i].update(changes)


def outcome(**settings: object) -> Callable[[TinyStudy], object]:
    """Replace the second outcome of the experiment."""
    return setting("experiment", "outcomes", 1, value={"name": "support", **settings})


def covariate(**settings: object) -> Callable[[TinyStudy], object]:
    return lambda study: study.config["covariates"].append({"kind": "numeric", **settings})


def grouped(*groups: dict[str, object], covariate: str = "age") -> Callable[[TinyStudy], object]:
    """Let the config have a grouping."""
    settings = {"name": "g", "covariate": covariate, **({"groups": [*groups]} if groups else {})}
    return setting("explore", "subgroups", value=[settings])


def drawn(**settings: object) -> Callable[[TinyStudy], object]:
    return setting("experiment", "randomisation", value=settings)


def raw(make: Callable[[TinyStudy], bytes]) -> Callable[[TinyStudy], object]:
    return content(CALIBRATION, make)


def ids(sample: str, name: Callable[[str], str]) -> Callable[[TinyStudy], object]:
    return change(sample, lambda table: table.assign(id=table["id"].map(name)))


YOUNG, OLD = {"name": "young", "max": 40}, {"name": "old", "min": 41}
# (name, mutation, place and what the message says): keys that contradict each other.
CONTRADICTIONS: list[tuple[str, Callable[[TinyStudy], object], str, str]] = [
    ("blank level", attribute(0, levels=["Energy", " "]), "levels[1]", "shows nothing"),
    ("invisible level", attribute(0, levels=["Energy", "\u200b"]), "levels[1]", "can be seen"),
    (
        "levels that differ in what nobody sees",
        attribute(0, levels=["Energy", "Energy\u200b"]),
        "attributes[0]",
        "cannot be told apart",
    ),
    (
        "levels in two scripts",
        attribute(0, levels=["Energy", "\u0415nergy"]),
        "attributes[0]",
        "letters that look alike",
    ),
    ("blank name of an arm", setting("experiment", "arms", 0, "name", value=" "), "arms[0].name", "nothing"),
    ("blank column", setting("calibration", "task", value=" "), "calibration.task", "shows nothing"),
    ("empty column", setting("calibration", "task", value=""), "calibration.task", "can be seen"),
    ("derived from itself", attribute(0, derived_from=["Sector"]), "attributes[0]", "derived from itself"),
    ("derived from nothing known", attribute(0, derived_from=["Sec"]), "attributes[0]", "unknown attribute"),
    (
        "derived in a circle",
        also(attribute(0, derived_from=["Job"]), attribute(1, derived_from=["Sector"])),
        "attributes[0]",
        "which is derived itself",
    ),
    (
        "hidden value that is a level",
        attribute(0, hidden="allowed", hidden_values=["Energy"]),
        "attributes[0]",
        "a level and hidden at once",
    ),
    (
        "hidden values of what is never hidden",
        attribute(0, hidden_values=["-"]),
        "attributes[0]",
        "never hidden",
    ),
    (
        "too few probabilities",
        attribute(0, probabilities=[0.5, 0.5]),
        "attributes[0]",
        "2 probabilities for 3",
    ),
    ("two attributes of one column", attribute(1, column="sector"), "design.attributes", "have the column"),
    (
        "dependence of nothing known",
        setting("design", "dependent", value=[["Sector", "Jobs"]]),
        "design.dependent[0]",
        "unknown attribute 'Jobs'",
    ),
    (
        "an outcome that was not measured",
        setting("calibration", "analyse", value="would_sign"),
        "calibration.analyse",
        "no outcome 'would_sign'",
    ),
    (
        "range of one number",
        setting("calibration", "outcomes", "rating", "range", value=[5, 5]),
        "rating.range",
        "is empty",
    ),
    (
        "pattern in the long layout",
        setting("calibration", "attribute_columns", value="{attribute}"),
        "calibration.attribute_columns",
        "no meaning in the long layout",
    ),
    (
        "exclusion without values",
        setting("calibration", "exclusions", 0, value={"step": "x", "rule": "in", "column": "consent"}),
        "exclusions[0]",
        "needs 'values'",
    ),
    (
        "exclusion without its number",
        setting("calibration", "exclusions", 0, value={"step": "x", "rule": "below", "column": "seconds"}),
        "exclusions[0]",
        "needs 'value'",
    ),
    (
        "exclusion with what it does not use",
        setting(
            "calibration",
            "exclusions",
            0,
            value={"step": "x", "rule": "missing", "column": "seconds", "value": 2},
        ),
        "exclusions[0]",
        "does not use",
    ),
    (
        "two steps of one name",
        setting("calibration", "exclusions", 1, "step", value="no consent"),
        "calibration.exclusions",
        "is there twice",
    ),
    (
        "two arms of one text",
        setting("experiment", "arms", 1, "value", value="Control"),
        "experiment.arms",
        "is there twice",
    ),
    (
        "two outcomes of one name",
        setting("experiment", "outcomes", 1, "name", value="sign"),
        "experiment.outcomes",
        "is there twice",
    ),
    ("ordinal without categories", outcome(kind="ordinal"), "outcomes[1]", "lowest and highest category"),
    ("ordinal with halves", outcome(kind="ordinal", range=[0, 2.5]), "outcomes[1]", "two whole numbers"),
    (
        "ordinal with a million categories",
        outcome(kind="ordinal", range=[0, 1000000]),
        "outcomes[1]",
        "at most 101 categories",
    ),
    ("binary with a range", outcome(kind="binary", range=[0, 5]), "outcomes[1]", "has no range"),
    (
        "threshold of what is not binary",
        outcome(kind="continuous", at_least=5),
        "outcomes[1]",
        "kind: binary",
    ),
    (
        "threshold that nobody reaches",
        outcome(kind="binary", range=[0, 10], at_least=50),
        "outcomes[1]",
        "everybody is at least 50, or nobody is",
    ),
    ("combination of nothing", outcome(kind="continuous", combine="sum"), "outcomes[1]", "without 'columns'"),
    (
        "columns uncombined",
        outcome(kind="continuous", columns=["sign", "support"]),
        "outcomes[1]",
        "without 'combine'",
    ),
    (
        "column and columns",
        outcome(kind="continuous", column="support", columns=["sign", "support"], combine="sum"),
        "outcomes[1]",
        "both 'column' and 'columns'",
    ),
    ("count from below zero", outcome(kind="count", range=[-5, 10]), "outcomes[1]", "never below 0"),
    (
        "pattern without attribute",
        setting("experiment", "petition_columns", value="shown"),
        "experiment.petition_columns",
        "lacks '{attribute}'",
    ),
    ("blocked by nothing", drawn(scheme="blocked"), "experiment.randomisation", "needs its blocks"),
    ("clustered by nothing", drawn(scheme="clustered"), "experiment.randomisation", "what a cluster is"),
    (
        "cluster of a complete randomisation",
        drawn(scheme="complete", cluster="party"),
        "experiment.randomisation",
        "only clustered",
    ),
    (
        "errors clustered twice",
        drawn(scheme="clustered", cluster="party", outcome_cluster="party"),
        "outcome_cluster",
        "it is the cluster",
    ),
    ("blocks of arms", drawn(scheme="blocked", blocks=["arm"]), "randomisation.blocks", "column of the arm"),
    ("blocks of people", drawn(scheme="blocked", blocks=["id"]), "randomisation.blocks", "of the respondent"),
    ("blocks of answers", drawn(scheme="blocked", blocks=["sign"]), "randomisation.blocks", "is an outcome"),
    (
        "reached by nothing",
        setting("estimate", "robustness", value=["cace"]),
        "estimate.robustness",
        "experiment.delivered",
    ),
    ("adjusted for nothing known", setting("estimate", "adjust", value=["agee"]), "estimate.adjust", "agee"),
    (
        "adjusted twice",
        setting("estimate", "adjust", value=["age", "age"]),
        "estimate.adjust",
        "listed twice",
    ),
    (
        "tightened by a number",
        setting("estimate", "tighten", value=["age"]),
        "estimate.tighten",
        "categorical",
    ),
    (
        "effect of nothing known",
        setting("estimate", "sesoi", value={"x": 1}),
        "estimate.sesoi",
        "outcome 'x'",
    ),
    (
        "ordinal model of nothing ordinal",
        setting("estimate", "robustness", value=["ordinal"]),
        "estimate.robustness",
        "outcome of kind 'ordinal'",
    ),
    (
        "base of nothing known",
        setting("explore", "base", value={"grouping": "x", "group": "y"}),
        "explore.base",
        "unknown grouping",
    ),
    (
        "comparable with nothing known",
        setting("explore", "comparable", value=["x"]),
        "explore.comparable",
        "'x'",
    ),
    (
        "rung of nothing known",
        setting("diagnose", "ladder", value=[{"name": "a", "covariates": ["x"]}]),
        "diagnose.ladder[0]",
        "may not be used",
    ),
    (
        "two rungs of one name",
        setting(
            "diagnose",
            "ladder",
            value=[{"name": "a", "covariates": ["age"]}, {"name": "a", "covariates": ["party"]}],
        ),
        "diagnose.ladder",
        "is there twice",
    ),
    (
        "costs without a value",
        setting("diagnose", "costs", value={"message": 1}),
        "diagnose.costs",
        "'value'",
    ),
    ("two groups of one name", grouped(YOUNG, OLD | {"name": "Young"}), "subgroups[0]", "is there twice"),
    ("groups that overlap", grouped(YOUNG, OLD | {"min": 30}), "subgroups[0]", "overlap"),
    ("one group", grouped(YOUNG), "subgroups[0]", "at least two groups"),
    ("a group upside down", grouped(YOUNG, OLD | {"min": 60, "max": 50}), "subgroups[0]", "out of order"),
    ("groups of categories", grouped(YOUNG, OLD, covariate="party"), "subgroups[0]", "by its levels"),
    ("groups of nothing known", grouped(covariate="agee"), "subgroups[0]", "unknown covariate 'agee'"),
    ("one column read twice", covariate(name="age2", column="age"), "covariates", "is read twice"),
    ("arm as covariate", covariate(name="group", column="arm"), "covariates[2]", "the arm cannot be"),
    (
        "outcome as covariate",
        covariate(name="signed", column="sign"),
        "covariates[2]",
        "an outcome cannot be",
    ),
    ("identifier as covariate", covariate(name="mail", column="email"), "covariates[2]", "direct identifier"),
    (
        "identifier as weight",
        setting("experiment", "weight", value="email"),
        "experiment.weight",
        "direct identifier",
    ),
    ("range of categories", setting("covariates", 1, "range", value=[0, 1]), "covariates[1]", "has no range"),
    ("levels of numbers", setting("covariates", 0, "levels", value=["a", "b"]), "covariates[0]", "no levels"),
    (
        "shares above one",
        setting("covariates", 1, "population_shares", value={"Left": 0.9, "Right": 0.9}),
        "covariates[1]",
        "add up to 1.8",
    ),
    (
        "shares of nothing known",
        setting("covariates", 1, "population_shares", value={"Lefft": 0.9}),
        "covariates[1]",
        "which are no levels",
    ),
    ("mean of categories", setting("covariates", 1, "population_mean", value=3), "covariates[1]", "no mean"),
    (
        "mean out of range",
        setting("covariates", 0, "population_mean", value=300),
        "covariates[0]",
        "outside the range",
    ),
]
# (name, mutation, what the message says): files and cells.
MESSES: list[tuple[str, Callable[[TinyStudy], object], str]] = [
    ("JSON named .csv", raw(lambda s: s.calibration.to_json(orient="records").encode()), "content is JSON"),
    (
        "lines of JSON named .csv",
        raw(lambda s: s.calibration.to_json(orient="records", lines=True).encode()),
        "content is JSON",
    ),
    ("RTF named .csv", raw(lambda s: rb"{\rtf1\ansi id,task}"), "a text with formats"),
    ("pickle named .csv", raw(lambda s: b"\x80\x04\x95abc."), "a pickle of Python"),
    ("Arrow named .csv", raw(lambda s: b"ARROW1\0\0abc"), "an Arrow file"),
    ("HDF5 named .csv", raw(lambda s: b"\x89HDF\r\n\x1a\nabc"), "an HDF5 file"),
    ("file of R named .csv", raw(lambda s: gzip.compress(b"RDX3\nX\n")), "a file of R"),
    ("pointer of Git LFS", raw(lambda s: b"version https://git-lfs.github.com/spec/v1\n"), "was not fetched"),
    (
        "CSV named .sav",
        also(use_file("c.sav"), content("c.sav", lambda s: csv(s.calibration))),
        "no complete .sav file",
    ),
    (
        "CSV named .dta",
        also(use_file("c.dta"), content("c.dta", lambda s: csv(s.calibration))),
        "no complete .dta file",
    ),
    (
        "CSV named .parquet",
        also(use_file("c.parquet"), content("c.parquet", lambda s: csv(s.calibration))),
        "no complete Parquet file",
    ),
    ("UTF-32", raw(lambda s: csv(s.calibration).decode().encode("utf-32")), "it is a binary file"),
    (
        "UTF-16 without its mark",
        raw(lambda s: csv(s.calibration).decode().encode("utf-16-le")),
        "binary file",
    ),
    ("EBCDIC", raw(lambda s: csv(s.calibration).decode().encode("cp500")), "a letter is neither UTF-8"),
    (
        "title above the names",
        raw(lambda s: b"My study" + b"," * 14 + b"\n" + csv(s.calibration)),
        "remove what stands above the names",
    ),
    (
        "names twice",
        raw(lambda s: csv(s.calibration) + csv(s.calibration)),
        "row 182: the names of the columns",
    ),
    (
        "line of a program at the end",
        raw(lambda s: csv(s.calibration) + b"180 rows\n"),
        "row 182: it has 1 cells",
    ),
    (
        "rows in one pair of quotes",
        raw(
            lambda s: b"\n".join(
                b'"' + line.replace(b'"', b'""') + b'"' for line in csv(s.calibration).splitlines()
            )
        ),
        "only one column",
    ),
    ("columns and rows exchanged", raw(lambda s: s.calibration.T.to_csv(header=False).encode()), "same name"),
    ("a link to nothing", use_file("link.csv"), "does not exist"),
    ("no-break space in a level", put("calibration", 3, "sector", "Trans\u00a0port"), "U+00A0"),
    ("soft hyphen in a level", put("calibration", 3, "sector", "Trans\u00adport"), "U+00AD"),
    ("mark of direction in a level", put("calibration", 3, "sector", "Transport\u200f"), "U+200F"),
    ("byte order mark in a level", put("calibration", 3, "sector", "\ufeffTransport"), "U+FEFF"),
    ("level of ten thousand letters", put("calibration", 3, "sector", "x" * 10_000), "xx...' is no level"),
    ("line break in a level", put("calibration", 3, "sector", "Ener\ngy"), "did you mean 'Energy'"),
    ("minus sign of typographers", put("calibration", 3, "rating", "\u22125"), "is no number"),
    ("per cent", put("calibration", 3, "rating", "7%"), "'7%' is no number"),
    ("NA for a number", change("calibration", lambda t: t.assign(rating="NA")), "'NA' is no number"),
    ("date for an age", put("experiment", 3, "age", "1980-01-02"), "'1980-01-02' is no number"),
    ("formula for an age", put("experiment", 3, "age", "=A1"), "'=A1' is no number"),
    ("fault of a spreadsheet", put("experiment", 3, "age", "#N/A"), "'#N/A' is no number"),
    ("a number beyond all", put("experiment", 3, "age", "1e400"), "'1e400' is no number"),
    ("five hundred digits", put("experiment", 3, "age", "9" * 500), "is no number"),
    ("infinite weight", put("experiment", 3, "w", "inf"), "'inf' is no number"),
    ("weight that is no number", put("experiment", 3, "w", "nan"), "'nan' is no number"),
    (
        "ids that a spreadsheet shortened",
        ids("experiment", lambda i: f"{1.2e11 + int(i[1:]) * 1e9:.2E}"),
        "digits are lost",
    ),
    ("ids of a narrow column", put("experiment", 3, "id", "########"), "what a spreadsheet made of an id"),
    ("ids of a broken formula", put("experiment", 3, "id", "#REF!"), "what a spreadsheet made of an id"),
    ("ids that differ in spaces", put("experiment", 4, "id", " e9 "), "more than one row for 1 respondent"),
    (
        "everybody gave the same rating",
        change("calibration", lambda t: t.assign(rating="5")),
        "the same in every row",
    ),
    (
        "a covariate that nobody has",
        change("calibration", lambda t: t.assign(age="")),
        "the covariate 'age' is empty for everybody",
    ),
    (
        "one level in all petitions",
        change("calibration", lambda t: t.assign(sector="Energy")),
        "numbers tasks",
    ),
    (
        "all refused personalisation",
        change("calibration", lambda t: t.assign(personal="No")),
        "nobody is left",
    ),
    ("no arm at all", change("experiment", lambda t: t.assign(arm="")), "the arm is missing"),
    (
        "an outcome that never counts",
        also(
            change("experiment", lambda t: t.assign(seen="no")),
            setting("experiment", "outcomes", 1, "observed_if", value={"column": "seen", "values": ["yes"]}),
        ),
        "and observed_if, if there is one",
    ),
    (
        "condition in no column",
        setting("experiment", "outcomes", 1, "observed_if", value={"column": "seeen", "values": ["yes"]}),
        "column 'seeen': the file has no such column",
    ),
    ("weights of texts", change("experiment", lambda t: t.assign(w="heavy")), "'heavy' is no number"),
    ("numbers of tasks in letters and numbers", put("calibration", 3, "task", "x1"), "'x1' is no number"),
    (
        "labels in no file",
        setting(
            "calibration", "labels", value={"file": "l.csv", "attribute": "a", "code": "c", "label": "l"}
        ),
        "l.csv: whole file: the file does not",
    ),
    (
        "labels in no column",
        setting(
            "calibration",
            "labels",
            value={"file": CALIBRATION, "attribute": "a", "code": "task", "label": "job"},
        ),
        "key calibration.labels.attribute",
    ),
    (
        "petitions in no file",
        setting("calibration", "shown", value={"file": "d.csv", "task": "task", "profile": "profile"}),
        "d.csv: whole file: the file does not exist",
    ),
]
EATEN = Case(
    "people taken for a header",
    setting("calibration", "header_rows", value=3),
    (f"{CALIBRATION}: row 2", "takes it for a part of the header", "set 'header_rows: 1'"),
)
WIDE_KINDS: list[tuple[str, Callable[[TinyStudy], object], str, str]] = [
    (
        "pattern without profile",
        setting("calibration", "attribute_columns", value="t{task}_{attribute}"),
        "attribute_columns",
        "lacks '{profile}'",
    ),
    (
        "pattern with a conversion",
        setting("calibration", "attribute_columns", value="t{task}_p{profile!r}_{attribute}"),
        "attribute_columns",
        "lacks '{profile}'",
    ),
    (
        "no number of tasks",
        lambda s: s.config["calibration"].pop("tasks"),
        "calibration.tasks",
        "number of tasks",
    ),
    (
        "too few names of tasks",
        setting("calibration", "task_values", value=["a"]),
        "task_values",
        "1 values for 3",
    ),
    (
        "too many names of profiles",
        setting("calibration", "profile_values", value=["a", "b", "c"]),
        "profile_values",
        "3 values for 2",
    ),
    (
        "too many answers",
        setting("calibration", "outcomes", "choice", "chosen_values", value=["A", "B", "C"]),
        "chosen_values",
        "3 values for 2 profiles",
    ),
    (
        "two profiles of one answer",
        setting("calibration", "outcomes", "choice", "chosen_values", value=["A", "a"]),
        "chosen_values",
        "cannot be told apart",
    ),
    (
        "an answer that is none and one",
        setting("calibration", "outcomes", "choice", "none_of_them", value=["A"]),
        "none_of_them",
        "chooses a profile and none",
    ),
    (
        "none without an answer",
        setting("calibration", "outcomes", "choice", "none_option", value=True),
        "none_option",
        "no answer says",
    ),
]

KIND_CASES = [
    *(Case(name, mutate, (CONFIG, place, says)) for name, mutate, place, says in CONTRADICTIONS),
    *(Case(name, mutate, (CONFIG, place, says), "wide") for name, mutate, place, says in WIDE_KINDS),
    *(Case(name, mutate, (says,)) for name, mutate, says in MESSES),
    EATEN,
]
ROSTER_CASES = [dataclasses.replace(c, mutate=also(await_fielding, c.mutate)) for c in ROSTER_CASES]
CASES = CONFIG_CASES + HARD_CASES + FILE_CASES + CELL_CASES + ROSTER_CASES + KIND_CASES


def run_here(
    folder: Path, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Do what the Snakefile and rule `check` do; return the exit code and what people see."""
    monkeypatch.chdir(folder)
    try:
        study = read_study(Path(CONFIG))
    except InputError as error:
        return 1, error.message()
    rule = SimpleNamespace(
        log=["logs/check.log"],
        params=SimpleNamespace(study=part_of(DataConfig, study.model_dump(mode="json")), source=CONFIG),
        rule="check",
        input=Namedlist([CALIBRATION]),
        output=Namedlist(fromdict={"report": "results/tiny/check.json"}),
        resources={"mem_mb": 1000, "runtime": 5},
    )
    code = 0
    try:
        runpy.run_path(
            str(project / "workflow/scripts/check.py"), init_globals={"snakemake": rule}, run_name="__main__"
        )
    except SystemExit as stop:
        code = int(stop.code or 0)
        assert capsys.readouterr().err in Path("logs/check.log").read_text(encoding="utf-8")
        return code, Path("logs/check.log").read_text(encoding="utf-8")
    return code, ""


def run_snakemake(folder: Path, project: Path) -> tuple[int, str]:
    """Type the command that people type."""
    command = [sys.executable, "-m", "snakemake", *CHECK, "--snakefile", project / "Snakefile"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, done.stdout + done.stderr


def assert_refused(case: Case, code: int, output: str, folder: Path) -> None:
    assert code != 0
    for part in case.says:
        assert part in output
    assert "expected: " in output
    assert "what to do: " in output
    assert "Traceback" not in output
    assert re.search(r"^\d+\. .+: .+: ", output, re.MULTILINE)  # file: place: what
    assert not [file for file in (folder / "results").rglob("*") if file.is_file()]


def test_there_are_enough_cases() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert len(CONFIG_CASES) >= 20
    assert len(FILE_CASES + CELL_CASES) >= 30
    assert sum(case.real for case in CASES) >= 8


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_refused(
    case: Case,
    tmp_path: Path,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = tiny_study(case.layout)
    case.mutate(study)
    study.write(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.csv").symlink_to("elsewhere.csv")
    (tmp_path / "out").symlink_to("/")
    before = {file.name for file in tmp_path.iterdir()}
    began = time.process_time()
    code, output = run_here(tmp_path, project, monkeypatch, capsys)
    assert time.process_time() - began < 3
    assert_refused(case, code, output, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} - before <= {"logs"}


@pytest.mark.workflow
@pytest.mark.parametrize("case", [case for case in CASES if case.real], ids=lambda case: case.name)
def test_snakemake_refuses_bad_input(case: Case, tmp_path: Path, project: Path) -> None:
    study = tiny_study(case.layout)
    case.mutate(study)
    study.write(tmp_path)
    done = snakemake_forked(project, tmp_path, *CHECK)
    assert_refused(case, done.returncode, done.stdout, tmp_path)


def test_a_good_roster_passes(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tiny_study()
    await_fielding(study)
    ledger("r1,nano,party: Left", "somebody who left,best,party: Left")(study)
    study.write(tmp_path)
    assert run_here(tmp_path, project, monkeypatch, capsys) == (0, "")
    report = yaml.safe_load((tmp_path / "results/tiny/check.json").read_text(encoding="utf-8"))
    assert report["roster"] == {"respondents": 41}


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_the_good_study_passes(
    layout: str,
    tmp_path: Path,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny_study(layout).write(tmp_path)
    assert run_here(tmp_path, project, monkeypatch, capsys) == (0, "")
    assert (tmp_path / "results/tiny/check.json").is_file()


@pytest.mark.workflow
def test_snakemake_accepts_the_good_study(tmp_path: Path, project: Path) -> None:
    tiny_study().write(tmp_path)
    code, output = run_snakemake(tmp_path, project)
    assert code == 0, output
    report = yaml.safe_load((tmp_path / "results/tiny/check.json").read_text(encoding="utf-8"))
    assert report == {
        "study": "tiny",
        "petitions": 24,
        "calibration": {"respondents": 30, "profiles": 180},
        "experiment": {"respondents": 60, "arms": {"control": 20, "best": 20, "nano": 20}},
    }
