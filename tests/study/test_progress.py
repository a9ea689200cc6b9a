"""Progress: honest about what is left, silent where nothing is worth saying, never in an artefact's way."""

import logging

import numpy as np
import pytest

from nanotarget.study.problems import SHOWN, reporting
from nanotarget.study.progress import EVERY, Crowd, duration, steps


class Clock:
    """Seconds that pass when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def said(caplog, n, seconds):
    clock, seen = Clock(), []
    with caplog.at_level(logging.INFO, logger="nanotarget.study.progress"):
        for item in steps(range(n), "permutations", clock):
            seen.append(item)
            clock.now += seconds
    assert seen == list(range(n))
    return caplog.messages


def test_the_time_left_is_that_of_the_steps_so_far(caplog):
    assert said(caplog, 4, 60) == [
        "1 of 4 permutations, about 3 min left for the others",
        "2 of 4 permutations, about 2 min left for the others",
        "3 of 4 permutations, about 60 s left for the others",
    ]


def test_what_counts_is_the_size_of_the_steps(caplog):
    with caplog.at_level(logging.INFO, logger="nanotarget.study.progress"):
        list(steps("ab", "people", clock=iter([0, 300, 400]).__next__, sizes=[3_000_000, 1_000_000]))
    assert caplog.messages == ["3,000,000 of 4,000,000 people, about 2 min left for the others"]


def test_people_of_several_jobs_are_counted_together():
    now = iter([0, 100, 100, 300, 400]).__next__
    crowd = Crowd(4, now)
    crowd.heard(1, "0 of 2,500,000 people")
    assert str(crowd) == ""
    crowd.heard(1, "500,000 of 2,500,000 people, about 7 min left for the others")
    crowd.heard(2, "what another rule says")
    assert str(crowd) == "500,000 of about 10,000,000 people, about 32 min left"
    crowd.heard(2, "1,000,000 of 2,000,000 people")
    assert str(crowd) == "1,500,000 of about 9,000,000 people, about 8 min left"
    crowd.ended(1)
    assert str(crowd) == "3,500,000 of about 9,000,000 people, about 8 min left"
    crowd.ended(2)
    crowd.ended(3)  # it was over before its log was read
    assert str(crowd) == "4,500,000 of about 9,000,000 people, about 7 min left"


def test_messages_keep_their_distance(caplog):
    assert len(said(caplog, 101, EVERY / 4)) == 25


def test_a_short_loop_says_nothing(caplog):
    assert said(caplog, 5, EVERY / 10) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (9, "less than 10 s"),
        (84, "about 80 s"),
        (100, "about 2 min"),
        (5000, "about 83 min"),
        (7860, "about 2 h 11 min"),
    ],
)
def test_durations_are_as_rough_as_they_are_known(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("bars", [False, True])
def test_progress_reaches_the_log_and_a_terminal_without_bars(tmp_path, capsys, monkeypatch, bars):
    monkeypatch.delenv(SHOWN, raising=False)
    if bars:
        monkeypatch.setenv(SHOWN, "bars")
    clock, log = Clock(), tmp_path / "logs/tiny/permute/1.log"
    for _ in range(2):  # a second script in the same process does not say everything twice
        with reporting(log):
            logging.getLogger("nanotarget.calibrate.learners").info("for the log only")
            for _ in steps(range(2), "permutations", clock):
                clock.now += 30
    line = "1 of 2 permutations, about 30 s left for the others"
    assert log.read_text().count(line) == 1
    assert "for the log only" in log.read_text()
    shown = capsys.readouterr().err
    assert shown == ("" if bars else f"{log.as_posix()}: {line}\n" * 2)


def test_a_loop_draws_the_same_whether_or_not_it_speaks(caplog):
    def draws(clock):
        rng = np.random.default_rng(1)
        return [rng.random() for _ in steps(range(3), "draws", clock)]

    ticking = iter(range(0, 1000, 60))
    assert draws(Clock()) == draws(lambda: next(ticking))
