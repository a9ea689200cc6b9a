"""Whatever a config, a registration or a raw file holds, reading it ends with a study or with a message.

A few seconds of examples here; `make fuzz` asks for 100,000 (NANOTARGET_FUZZ).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nanotarget.clean.raw import read_raw
from nanotarget.clean.samples import read_samples
from nanotarget.clean.shown import check_design
from nanotarget.study import preregistration
from nanotarget.study.checks import validate
from nanotarget.study.problems import InputError
from nanotarget.study.reading import parse_yaml
from tiny_study import tiny_study

GOOD = tiny_study()
TEXT = yaml.safe_dump(GOOD.config, sort_keys=False)
CSV = GOOD.calibration.to_csv(index=False).encode()
REGISTRATION = Path(__file__).parents[2] / "data/climate_petition/preregistration.yaml"
EXAMPLES = int(os.environ.get("NANOTARGET_FUZZ", "0"))


def examples(n: int) -> Any:
    """Ask for n examples, or for as many as the environment says."""
    return settings(
        max_examples=EXAMPLES or n, deadline=None, database=None, derandomize=not EXAMPLES,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


# What means something to YAML, to a template, to Snakemake, to a file system or to a spreadsheet.
SIGNS = r"{ } {{ [ ] &a *a !!x <<: ? - : # ' | > % @ ` ~ = \ ../ /dev/zero null yes {%for%}"
NUMBERS = ".inf .nan 1e999 0o7 010 12:30 2026-02-30"
LETTERS = ('"', ": ", "- ", "\t", "\n", "---\n", "...\n", "\x00", "\x07", "\ufeff", "\u200b", "é", "\ud7ff")
PIECES = st.sampled_from([*SIGNS.split(), *NUMBERS.split(), *LETTERS])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | PIECES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def spoiled(text: str) -> st.SearchStrategy[str]:
    """Texts in which one to three places were overwritten."""
    places = st.tuples(st.integers(0, len(text)), st.integers(0, 4), PIECES | st.text(max_size=4))

    def write(changes: list[tuple[int, int, str]]) -> str:
        new = text
        for place, removed, piece in changes:
            new = new[:place] + piece + new[place + removed :]
        return new

    return st.lists(places, min_size=1, max_size=3).map(write)


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key) of every value of a config."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from places(value)


N_PLACES = len(list(places(GOOD.config)))


def checked(raw: Any) -> None:
    with suppress(InputError):
        study = validate(raw, "study.yaml")
        if study.design:
            check_design(study.design, "study.yaml")


@examples(60)
@given(spoiled(TEXT))
def test_text_of_a_config(text: str) -> None:
    with suppress(InputError):
        checked(parse_yaml(text, "study.yaml"))


@examples(100)
@given(st.integers(0, N_PLACES - 1), VALUES)
def test_tree_of_a_config(place: int, value: Any) -> None:
    config = copy.deepcopy(GOOD.config)
    container, key = list(places(config))[place]
    container[key] = value
    checked(config)


@examples(60)
@given(text=spoiled(REGISTRATION.read_text("utf-8")))
def test_text_of_a_registration(text: str) -> None:
    with suppress(InputError):
        preregistration.parse(text, "registration.yaml")


@examples(60)
@given(st.integers(0, len(CSV)), st.binary(max_size=6), st.integers(0, 6))
def test_bytes_of_a_raw_file(tmp_path_factory: Any, place: int, piece: bytes, removed: int) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    path.write_bytes(CSV[:place] + piece + CSV[place + removed :])
    with suppress(InputError):
        read_raw(path)


@examples(10)
@given(st.data())
def test_cells_of_a_raw_file(tmp_path_factory: Any, data: st.DataObject) -> None:
    table = GOOD.calibration.copy()
    for _ in range(data.draw(st.integers(1, 3))):
        row, column = data.draw(st.integers(0, len(table) - 1)), data.draw(st.sampled_from(list(table)))
        table.loc[row, column] = data.draw(PIECES | st.text(max_size=6) | st.integers().map(str))
    path = tmp_path_factory.getbasetemp() / "cells.csv"
    path.write_text(table.to_csv(index=False), encoding="utf-8", errors="replace")
    config = copy.deepcopy(GOOD.config)
    del config["experiment"]
    config["calibration"]["file"] = str(path)
    study = validate(config, "study.yaml")
    assert study.design
    with suppress(InputError):
        read_samples(study, check_design(study.design, "study.yaml"))


def test_what_is_fuzzed_is_good_as_it_is(tmp_path: Path) -> None:
    validate(parse_yaml(TEXT, "study.yaml"), "study.yaml")
    (tmp_path / "a.csv").write_bytes(CSV)
    assert len(read_raw(tmp_path / "a.csv")) == 180
    assert preregistration.read(str(REGISTRATION))
    assert N_PLACES > 100
    with pytest.raises(InputError):
        validate({}, "study.yaml")
