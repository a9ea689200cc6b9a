"""What a person sees of a run of `nanotarget`: one sentence a job, bars on a terminal, each problem once.

Snakemake finds this package by its name (option ``--logger nanotarget``). All that Snakemake itself says goes
to its own log under .snakemake/log; the terminal gets what a reader can act on.
"""

from __future__ import annotations

import errno
import re
import shutil
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from logging import ERROR, LogRecord
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from nanotarget.study.problems import refused, told
from nanotarget.study.progress import Crowd, latest

KILLED = ("SIGKILL", "exit status 137")
# What Slurm says of a job that it ended, or never began -> what that means, and what to do about it.
CLUSTER = {
    "memory limit|oom.kill|OUT_OF_MEMORY": (
        "was ended by the cluster: it took more memory than it had asked for",
        "ask for more in a profile of your own, as docs/cluster.md shows",
    ),
    "DUE TO TIME LIMIT|'TIMEOUT'": (
        "was ended by the cluster: it took longer than it had asked for",
        "ask for more in a profile of your own, as docs/cluster.md shows",
    ),
    "NODE_FAIL|DUE TO NODE FAILURE": ("was lost with the node that it ran on", "nothing"),
    "CANCELLED": ("was cancelled on the cluster", "ask whoever cancelled it"),
    "SLURM status is": (
        "was not run by the cluster, which may have no node as large as it asked for",
        "compare 'scontrol show job' with the nodes, as docs/cluster.md shows",
    ),
}
FULL = 1_000_000  # free bytes below which a job that says nothing was most likely stopped by a full disk
REFRESHES = 4  # a second


class LogHandler(LogHandlerBase):
    """Writes the events of a run to stderr; on a terminal as bars that move while jobs work."""

    def __post_init__(self) -> None:
        self.bars = Bars() if sys.stderr.isatty() else None
        self.stats: dict[str, int] = {}
        self.total = 0
        self.begun = 0
        self.failed = False
        self.reason = ""
        self.grouped: set[object] = set()  # failed jobs that their group has told of

    @property
    def writes_to_stream(self) -> bool:
        return True

    @property
    def writes_to_file(self) -> bool:
        return False

    @property
    def has_filter(self) -> bool:
        return True

    @property
    def has_formatter(self) -> bool:
        return True

    @property
    def needs_rulegraph(self) -> bool:
        return False

    def emit(self, record: LogRecord) -> None:
        """Show an event, if it tells a person something."""
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self.stats = record.__dict__["stats"]
            self.total = self.stats.get("total", 0)
        elif event == LogEvent.PROGRESS:
            self.total = record.__dict__["total"]
            if self.bars:
                self.bars.count(record.__dict__["done"], self.total)
        elif event == LogEvent.JOB_INFO:
            self._begin(record.__dict__)
        elif event == LogEvent.JOB_FINISHED and self.bars:
            self.bars.end(record.__dict__["job_id"])
        elif event == LogEvent.GROUP_ERROR:
            jobs = record.__dict__["job_error_info"]
            self.grouped |= {job["jobid"] for job in jobs}
            self._fail(jobs, _paths(record.__dict__["aux_logs"]))
        elif event == LogEvent.JOB_ERROR:
            if record.__dict__["jobid"] not in self.grouped:
                self._fail([record.__dict__])
        elif record.levelno >= ERROR:
            self.reason = self.reason or record.getMessage()

    def close(self) -> None:
        """Say why the run stopped, where no job has said it; leave the terminal in order."""
        if self.reason and not self.failed:
            self._say(plain(self.reason))
        if self.bars:
            self.bars.stop()
        self.reason = ""
        super().close()

    def _begin(self, job: dict[str, object]) -> None:
        self.begun += 1
        sentence = str(job["rule_msg"] or job["rule_name"])
        if self.bars:
            rule = str(job["rule_name"])
            self.bars.begin(int(str(job["jobid"])), sentence, _paths(job["log"]))
            if (jobs := self.stats.get(rule, 0)) > 1:
                self.bars.join(int(str(job["jobid"])), rule, jobs)
            self.bars.count(None, self.total)
        else:
            self._say(f"{self.begun} of {max(self.total, self.begun)}: {sentence}")

    def _fail(self, jobs: list[dict[str, object]], of_group: Sequence[Path] | None = None) -> None:
        """Say what went wrong in a job, or in jobs that a cluster ran as one (with the logs of that)."""
        self.failed = True
        logs = [*(log for job in jobs for log in _paths(job["log"])), *(of_group or ())]
        if self.bars:
            for job in jobs:
                self.bars.end(int(str(job["jobid"])))
        messages = dict.fromkeys(message for log in logs for message in told(log))
        for message in messages or [self._unsaid(jobs, logs, of_group is not None)]:
            self._say(message)

    def _unsaid(self, jobs: list[dict[str, object]], logs: list[Path], grouped: bool) -> str:
        """Return what to say of jobs that could not say anything themselves."""
        logs = [log for log in logs if log.exists()]
        said = [str(job.get("rule_msg") or "") for job in jobs]
        heard = "\n".join([self.reason, *said, *(log.read_text("utf-8", "replace") for log in logs)])
        rules = ", ".join(str(job["rule_name"]) for job in jobs)
        named = f"Rule {rules}" if len(jobs) == 1 else f"One of the rules {rules}"
        for signs, (what, remedy) in CLUSTER.items():
            if re.search(signs, heard):
                return f"{named} {what}.\n    what to do: {remedy}; the same command goes on"
        if any(sign in heard for sign in KILLED):
            return (
                f"{named} was killed from outside, most likely because memory ran out.\n"
                "    what to do: close other programs, or run fewer jobs at once with --cores 1; "
                "the same command goes on"
            )
        if shutil.disk_usage(Path.cwd()).free < FULL:
            return str(refused(OSError(errno.ENOSPC, "")))
        where = ", ".join(log.as_posix() for log in logs)
        if grouped:  # Snakemake does not pass on what the cluster said of a group
            return (
                f"{named} was ended by the cluster or lost with its node; which of them is not known.\n"
                f"    what to do: ask the cluster about the job{f' of the log {where}' if where else ''}; "
                "the same command goes on"
            )
        return f"{named} stopped without saying why{f' (log: {where})' if where else ''}"

    def _say(self, text: str) -> None:
        if self.bars:
            self.bars.say(text)
        else:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


class Bars:
    """The bars of a run: one for all jobs, and one for each job that is at work."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.whole = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self.jobs = Progress(BarColumn(bar_width=12), TimeElapsedColumn(), TextColumn("{task.description}"))
        self.all = self.whole.add_task("Jobs", total=None, visible=False)
        self.working: dict[int, tuple[TaskID, str, list[Path]]] = {}
        self.crowds: dict[str, Crowd] = {}
        self.members: dict[int, Crowd] = {}
        self.live = Live(get_renderable=self._drawn, console=self.console, refresh_per_second=REFRESHES)
        self.live.start()

    def begin(self, job: int, sentence: str, logs: list[Path]) -> None:
        self.working[job] = (self.jobs.add_task(sentence, total=None), sentence, logs)

    def join(self, job: int, rule: str, jobs: int) -> None:
        """Count the people of a job with those of the other jobs of its rule."""
        self.members[job] = self.crowds.setdefault(rule, Crowd(jobs))

    def end(self, job: int) -> None:
        if job in self.working:
            self.jobs.remove_task(self.working.pop(job)[0])
        if job in self.members:
            self.members.pop(job).ended(job)

    def count(self, done: int | None, total: int) -> None:
        self.whole.update(self.all, completed=done, total=total or None, visible=True)

    def say(self, text: str) -> None:
        self.console.print(text, markup=False)

    def stop(self) -> None:
        for job in list(self.working):
            self.end(job)
        self.live.stop()

    def _drawn(self) -> RenderableType:
        for job, (task, sentence, logs) in self.working.items():
            said = next((said for log in logs if (said := latest(log))), "")
            note = f"{sentence} ({said})" if said else sentence
            self.jobs.update(task, description=note.replace("[", r"\["))
            if job in self.members:
                self.members[job].heard(job, said)
        told = [Text(text) for crowd in set(self.members.values()) if (text := str(crowd))]
        return Group(self.jobs, *told, self.whole)


def plain(reason: str) -> str:
    """Return an error of Snakemake without its traceback, and in our words what the computer refused."""
    last = deque((line.strip() for line in reason.splitlines() if line.strip()), maxlen=1)
    if found := re.search(r"\[Errno (\d+)\] ([^:]*)(?:: '(.*)')?$", last[0] if last else ""):
        number, text, file = found.groups()
        if problem := refused(OSError(int(number), text, file)):
            return str(problem)
    return last[0] if last and "Traceback" in reason else reason.strip()


def _paths(logs: object) -> list[Path]:
    return [Path(str(log)) for log in logs] if isinstance(logs, Iterable) else []
