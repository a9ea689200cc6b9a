"""What a script says: input problems without a traceback, bugs with one, both in the log."""

import logging
import warnings

import pytest

from nanotarget.study.problems import InputError, Problem, counted, listed, placed, reporting

PROBLEM = Problem("data.csv", "row 3", "it is odd", "an even number", "make it even")


def test_an_input_error_reaches_the_log_and_the_person(tmp_path, capsys):
    log = tmp_path / "logs" / "check.log"
    with pytest.raises(SystemExit) as stop, reporting(log):
        logging.getLogger("nanotarget").info("working on it")
        raise InputError([PROBLEM, PROBLEM])
    assert stop.value.code == 1
    shown = capsys.readouterr().err
    assert shown.startswith("2 problems found; nothing was written.\n1. data.csv: row 3: it is odd.\n")
    text = log.read_text(encoding="utf-8")
    assert shown in text
    assert "working on it" in text
    assert "Traceback" not in shown + text


def test_a_bug_keeps_its_traceback(tmp_path):
    log = tmp_path / "check.log"
    with pytest.raises(ZeroDivisionError), reporting(log):
        1 / 0  # noqa: B018
    text = log.read_text(encoding="utf-8")
    assert "Traceback" in text
    assert "ZeroDivisionError" in text


def test_warnings_go_to_the_log_and_logging_is_left_as_it_was(tmp_path):
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    log = tmp_path / "check.log"
    with reporting(log):
        warnings.warn("mind the gap", stacklevel=1)
    assert "mind the gap" in log.read_text(encoding="utf-8")
    assert (list(root.handlers), root.level) == before


def test_lists_for_messages_stay_short():
    assert listed(["a", 1]) == "'a', 1"
    assert listed(range(12), limit=3) == "0, 1, 2 and 9 more"
    assert listed(["x\ny" * 40]) == "'" + ("x y" * 40)[:57] + "...'"
    assert placed([7]) == "row 7"
    assert placed([7, 9]) == "rows 7, 9"
    assert counted(1, "row") == "1 row"
    assert counted(0, "row") == "0 rows"
