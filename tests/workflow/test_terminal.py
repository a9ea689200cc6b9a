"""What a person sees of a run: a sentence a job, each problem once, what the computer refuses in words."""

import errno
import logging
import re
import resource
import subprocess
import sys

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from nanotarget.study.problems import SHOWN, InputError, Problem, refused, reporting, told
from nanotarget.study.progress import LOG as PROGRESS
from nanotarget.study.progress import latest
from running import PATIENCE, spare
from snakemake_logger_plugin_nanotarget import Bars, LogHandler, plain
from tiny_study import tiny_study

PROBLEM = Problem("data.csv", "row 3", "it is odd", "an even number", "make it even")
LOST = "RuleException:\nCalledProcessError in file 'a.smk', line 3:\nCommand 'python' {}."


def record(event=None, message="", level=logging.INFO, **fields):
    made = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    made.__dict__.update(fields)
    if event:
        made.event = event
    return made


def shown(capsys, *records):
    handler = LogHandler(None, None)
    for one in records:
        handler.emit(one)
    handler.close()
    return capsys.readouterr().err


def begun(job, sentence, *logs):
    return record(LogEvent.JOB_INFO, jobid=job, rule_name="learn", rule_msg=sentence, log=list(logs))


def failed(*logs):
    return record(LogEvent.JOB_ERROR, level=logging.ERROR, jobid=1, rule_name="learn", log=list(logs))


def lost(status):
    return record(LogEvent.ERROR, LOST.format(status), logging.ERROR, exception="RuleException")


def test_a_log_file_gets_a_sentence_a_job_and_nothing_of_snakemake(capsys):
    text = shown(
        capsys,
        record(message="Building DAG of jobs..."),
        record(LogEvent.RUN_INFO, stats={"learn": 2, "total": 2}),
        begun(1, "Learning who would support which petition"),
        record(LogEvent.JOB_FINISHED, job_id=1),
        record(LogEvent.PROGRESS, done=1, total=2),
        begun(2, "Drawing"),
        record(message="Failed to look", level=logging.WARNING),
    )
    assert text == "1 of 2: Learning who would support which petition\n2 of 2: Drawing\n"


def test_a_problem_is_told_once_without_rule_and_traceback(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(SHOWN, "lines")
    log = tmp_path / "learn.log"
    with pytest.raises(SystemExit), reporting(log):
        logging.getLogger("nanotarget").warning("a warning\nof two lines")
        raise InputError([PROBLEM])
    assert capsys.readouterr().err == ""
    text = shown(capsys, begun(1, "Learning", log), lost("returned non-zero exit status 1"), failed(log))
    assert text == f"1 of 1: Learning\n{InputError([PROBLEM])}\n"


def test_a_bug_is_named_as_ours_and_its_traceback_stays_in_the_log(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(SHOWN, "lines")
    log = tmp_path / "learn.log"
    with pytest.raises(SystemExit), reporting(log):
        1 / 0  # noqa: B018
    text = shown(capsys, lost("returned non-zero exit status 1"), failed(log))
    assert "fault of nanotarget" in text and "learn.log" in text and "division by zero" in text
    assert "Traceback" not in text and "Traceback" in log.read_text("utf-8")


@pytest.mark.parametrize("status", ["died with <Signals.SIGKILL: 9>", "returned non-zero exit status 137"])
def test_a_killed_job_is_told_from_a_failed_one(capsys, status):
    text = shown(capsys, lost(status), failed("none.log"))
    assert "memory ran out" in text and "--cores 1" in text


@pytest.mark.parametrize(
    ("heard", "meant"),
    [
        (
            "slurmstepd: error: StepId=3.0 exceeded memory limit (9 > 4), being killed",
            "more memory than it had",
        ),
        (
            "error: *** JOB 3 ON node1 CANCELLED AT 2026-11-30T20:17:16 DUE TO TIME LIMIT ***",
            "took longer than",
        ),
        ("error: *** JOB 3 ON node1 CANCELLED AT 2026-11-30T20:17:16 ***", "was cancelled on the cluster"),
        ("SLURM-job '3' failed, SLURM status is: 'NODE_FAIL'.", "lost with the node"),
        ("SLURM-job '3' failed, SLURM status is: 'FAILED'.", "not run by the cluster"),
        ("nothing that anybody knows", "lost with its node; which of them is not known"),
    ],
)
def test_what_a_cluster_did_to_jobs_is_told_once(capsys, tmp_path, heard, meant):
    """As one job of Slurm, of which each says again that it failed."""
    log = tmp_path / "3.log"
    log.write_text(heard)
    jobs = [{"jobid": i, "rule_name": name, "log": ["none.log"]} for i, name in enumerate(("check", "clean"))]
    group = record(LogEvent.GROUP_ERROR, level=logging.ERROR, job_error_info=jobs, aux_logs=[str(log)])
    each = [record(LogEvent.JOB_ERROR, level=logging.ERROR, **job) for job in jobs]
    text = shown(capsys, group, *each)
    assert text.count("One of the rules check, clean") == 1 and meant in text and len(text.splitlines()) <= 2
    alone = record(
        LogEvent.JOB_ERROR, level=logging.ERROR, jobid=1, rule_name="learn", rule_msg=heard, log=["none.log"]
    )
    assert f"Rule learn {'' if 'knows' in heard else 'was '}" in shown(capsys, alone)


def test_a_job_of_a_group_that_says_what_is_wrong_is_heard(capsys, tmp_path):
    log = tmp_path / "check.log"
    log.write_text("INFO nanotarget: at work\nERROR nanotarget: data.csv: it is odd\n")
    jobs = [{"jobid": 1, "rule_name": "check", "log": [str(log)]}]
    group = record(LogEvent.GROUP_ERROR, level=logging.ERROR, job_error_info=jobs, aux_logs=[])
    assert shown(capsys, group) == "data.csv: it is odd\n"


def test_a_job_that_says_nothing_is_not_passed_over(capsys, tmp_path):
    log = tmp_path / "learn.log"
    log.write_text("INFO nanotarget: at work\n")
    text = shown(capsys, lost("returned non-zero exit status 1"), failed(log))
    assert "stopped without saying why" in text and "learn.log" in text


def test_what_stops_snakemake_itself_is_told_in_our_words(capsys):
    trace = "Traceback (most recent call last):\n  File 'x'\nOSError: [Errno 28] No space left on device\n"
    text = shown(capsys, record(LogEvent.ERROR, trace, logging.ERROR, exception="OSError"))
    assert "the disk is full" in text and "Traceback" not in text and "Errno" not in text
    assert plain("Traceback:\n x\nValueError: odd\n") == "ValueError: odd"
    assert plain("MissingInputException: a file is missing:\n  a.csv\n").endswith("a.csv")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOTDIR, errno.EDQUOT])
def test_a_refusal_of_the_computer_has_no_traceback(tmp_path, capsys, monkeypatch, number):
    monkeypatch.delenv(SHOWN, raising=False)
    log = tmp_path / "learn.log"
    with pytest.raises(SystemExit) as stop, reporting(log):
        raise OSError(number, "refused", str(tmp_path / "results/a.csv"))
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert said.strip() in told(log)[0] and "a.csv: reading or writing" in said and "what to do:" in said
    assert "Traceback" not in said + log.read_text("utf-8")
    assert refused(ValueError("odd")) is None


def test_a_log_that_cannot_be_written_does_not_hide_the_message(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(SHOWN, "bars")
    (tmp_path / "logs").write_text("a file, no folder")
    with pytest.raises(SystemExit), reporting(tmp_path / "logs" / "learn.log"):
        raise InputError([PROBLEM])
    assert str(InputError([PROBLEM])) in capsys.readouterr().err


def test_how_far_a_job_has_come_is_read_from_its_log(tmp_path):
    log = tmp_path / "learn.log"
    assert latest(log) == ""
    log.write_text(f"INFO {PROGRESS.name}: 1 of 4 folds\nINFO {PROGRESS.name}: 2 of 4 folds\nINFO other: x\n")
    assert latest(log) == "2 of 4 folds"


def test_jobs_that_divide_people_are_counted_together_on_a_terminal(tmp_path):
    bars = Bars()
    for job, done in ((1, "2,000"), (2, "1,000")):
        log = tmp_path / f"{job}.log"
        log.write_text(f"INFO {PROGRESS.name}: {done} of 4,000 people, about 20 s left for the others\n")
        bars.begin(job, f"Assigning petitions to part {job}", [log])
        bars.join(job, "score", 3)
    with bars.console.capture() as printed:
        bars.console.print(bars._drawn())
    bars.end(1)
    with bars.console.capture() as later:
        bars.console.print(bars._drawn())
    bars.stop()
    assert "3,000 of about 12,000 people, " in printed.get()
    assert "part 1 (2,000 of 4,000 people, about 20 s" in " ".join(printed.get().split())
    assert "5,000 of about 12,000 people, " in later.get()


@pytest.mark.parametrize("spoiled", ["results", "logs", ".snakemake"])
def test_a_file_in_the_place_of_a_folder(tmp_path, spoiled):
    code, text = command(tmp_path, lambda: (tmp_path / spoiled).write_text(""))
    assert code == 1
    assert spoiled in text and "a file stands where a folder is needed" in text and "Traceback" not in text


def test_no_room_for_a_file(tmp_path):
    limit = (20_000, 20_000)  # bytes of one file
    code, text = command(tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert code == 1
    assert "room for results" in text and "Traceback" not in text


def test_a_home_that_cannot_be_written_to_is_no_obstacle(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/proc/1/home")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    code, text = command(tmp_path)
    assert code == 0, text
    assert re.search(r"^(\d+) of \1: Calibration is complete$", text, re.MULTILINE) and "Done: " in text


def command(folder, spoil=lambda: None, **options):
    """Run `nanotarget` up to the clean stage on a tiny study; return its code and what it said."""
    study = tiny_study()
    spare(study.config)
    study.write(folder)
    spoil()
    run = [sys.executable, "-P", "-m", "nanotarget.cli", "calibrate", "study.yaml", "--cores", "2"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, **options)
    return done.returncode, done.stdout + done.stderr
