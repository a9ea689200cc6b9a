"""What a reader of C may do to its process, and what then comes back."""

import os
import signal
from pathlib import Path

import pytest

from nanotarget.clean import guarded as module
from nanotarget.clean.guarded import Texts, UnreadableError, guarded

FOUND = Texts({"a": ["1", None, "é"], "b ": ["x", "y", "z"]}, {"a": {"one": "1"}}, {"a": ["one"]})


def crashing(file):
    os.kill(os.getpid(), signal.SIGSEGV)


def silent(file):
    os._exit(0)


def failing(file):
    raise ValueError("byte 7 is wrong\nand more")


def greedy(file):
    bytearray(2 * module.GIGABYTES * 2**30)


def endless(file):
    while True:
        pass


def test_texts_come_back_as_they_were_read():
    found = guarded(lambda file: FOUND, Path("x"))
    assert {name: cells.to_pylist() for name, cells in found.columns.items()} == FOUND.columns
    assert (found.codes, found.labels) == (FOUND.codes, FOUND.labels)
    assert guarded(lambda file: Texts({}), Path("x")) == Texts({})


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (crashing, "ended by SIGSEGV"),
        (silent, "gave no answer"),
        (failing, "^byte 7 is wrong$"),
        (greedy, "more than 8 GB"),
        (endless, "ended by SIGXCPU"),
    ],
)
def test_what_happens_to_a_reader_becomes_a_message(read, says, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 1)
    with pytest.raises(UnreadableError, match=says):
        guarded(read, Path("x"))
