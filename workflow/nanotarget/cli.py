"""The command `nanotarget`: read a config for people, then hand over to Snakemake."""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

import yaml

from nanotarget.study.artefacts import read_csv, read_json, write_text
from nanotarget.study.checks import read_settings, read_study, unstated
from nanotarget.study.config import Study
from nanotarget.study.private import OWNERS_ONLY, PRIVATE
from nanotarget.study.problems import SHOWN, InputError, Problem, counted, listed, refused
from nanotarget.study.provenance import MANIFEST
from nanotarget.study.record import COMPARED, changed, claim

ROOT = Path(__file__).parents[2]
PROFILES = ROOT / "workflow" / "profiles"  # by the name of what runs the jobs
GROUPS = PROFILES / "groups.yaml"  # which jobs are one on any cluster
EXAMPLE_SHARE = 0.25  # of the people of the reference study, in the example
SHOWN_PROBLEMS = 5  # of a question of an archive
LOCK = Path(".snakemake") / "nanotarget.lock"
CACHE = Path(".snakemake") / "cache"
# Sections of the config that a target cannot do without.
NEEDS = {
    "calibrate": "calibration",
    "diagnose": "calibration",
    "assign": "calibration",
    "estimate": "experiment",
    "explore": "experiment",
}
# Targets that diagnose a study with a calibration, and need to know which gain would matter.
DIAGNOSING = ("diagnose", "report", "all")
TARGETS = {
    "all": "everything that the data allow",
    "check": "config and raw data, in seconds",
    "calibrate": "what moves people: AMCEs, marginal means, the learner",
    "diagnose": "can nano-targeting pay?",
    "assign": "who gets which petition",
    "estimate": "what the arms of the experiment did",
    "explore": "effects by subgroup",
    "report": "figures, tables and the report",
    "disclose": "does what is published tell about few people?",
    "simulate": "simulated raw data of a study",
}


def run(target: str, study: Study, options: argparse.Namespace, more: list[str]) -> int:
    """Run a target with Snakemake; returns its exit code.

    Snakemake's own lock survives a killed run and would stop the next one. Ours is released by the
    kernel when the last process that holds it ends, be it this one or Snakemake; what a killed run left
    unfinished is made again, and so is what somebody has changed.
    """
    profile = profile_of(options.cluster)
    with alone() as lock:
        if lock is None:
            return 1
        claim(study.study, options.config)
        # -P and PYTHONSAFEPATH: no module of the study's folder is imported, by Snakemake or by its jobs;
        # nor is a profile of that folder obeyed that nobody named.
        command = [sys.executable, "-P", "-m", "snakemake", target, "--snakefile", str(ROOT / "Snakefile")]
        command += ["--workflow-profile", profile]
        command += ["--profile", str(GROUPS)] if options.cluster else []  # of two, the other one is obeyed
        # Jobs that a cluster runs as one run one after the other: they ask for what one of them needs.
        command += ["--cores", "1" if options.cluster else options.cores, "--nolock", "--rerun-incomplete"]
        # Who gives Snakemake options of its own gets its own words.
        command += ["--show-failed-logs"] if more else ["--logger", "nanotarget"]
        command += forced(Path("results") / study.study, more)
        command += ["--configfile", str(options.config), *more]
        shown = {} if more else {SHOWN: "bars" if sys.stderr.isatty() else "lines"}
        env = os.environ | {"PYTHONSAFEPATH": "1", COMPARED: "1"} | writable_cache() | shown
        return obeyed(subprocess.Popen(command, env=env, pass_fds=[lock.fileno()]))


@contextmanager
def alone() -> Iterator[TextIO | None]:
    """Keep other runs out of this folder; say that one is going on, and yield nothing, if so."""
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write("Another run is going on in this folder. Wait for it, or stop it first.\n")
            yield None
        else:
            yield lock


def profile_of(cluster: str | None) -> str:
    """Return the profile by which Snakemake submits jobs to a cluster; "none" if they run here.

    Raises:
        InputError: if there is no such profile, or what submits the jobs is not installed.
    """
    if cluster is None:
        return "none"
    ours = sorted(file.parent.name for file in PROFILES.glob("*/config.yaml"))
    folder = PROFILES / cluster if cluster in ours else Path(cluster)
    file = folder / "config.yaml"
    if not file.is_file():
        what, expected = (
            f"there is no profile {cluster}",
            f"{', '.join(ours)}, or a folder with a config.yaml",
        )
        remedy = f"choose one, or copy {PROFILES / ours[0]} and change what your cluster wants otherwise"
        raise InputError([Problem(cluster, "--cluster", what, expected, remedy)])
    executor = str(read_settings(file, str(file)).get("executor", "local"))
    if executor != "local" and not find_spec(f"snakemake_executor_plugin_{executor.replace('-', '_')}"):
        what, expected = f"Snakemake's executor {executor} is not installed", "its package in the environment"
        remedy = f"type in {ROOT}: make {cluster if cluster in ours else ' or make '.join(ours)}"
        raise InputError([Problem(str(file), "key executor", what, expected, remedy)])
    return str(folder)


def forced(results: Path, more: list[str]) -> list[str]:
    """Return the options by which Snakemake makes again what was changed, and say what that is.

    What a user forces (`more`) is taken out of there and joined, as Snakemake obeys the last such option.
    """
    again = changed(results)
    for what in again:
        sys.stderr.write(f"{what}.\n")
    rules = sorted({rule for made in again.values() for rule in made})
    for option in {"--forcerun", "-R"} & set(more):
        start = more.index(option)
        end = next((i for i in range(start + 1, len(more)) if more[i].startswith("-")), len(more))
        rules += more[start + 1 : end]
        del more[start:end]
    return ["--forcerun", *rules] if rules else []


def writable_cache() -> dict[str, str]:
    """Return where Snakemake keeps what it reads, in the study's folder where a home cannot be written to."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    return (
        {}
        if existing.is_dir() and os.access(existing, os.W_OK)
        else {"XDG_CACHE_HOME": str(CACHE.absolute())}
    )


def obeyed(child: subprocess.Popen[bytes]) -> int:
    """Wait for a process, pass signals on to it, and return its exit code.

    The interrupt key of a terminal reaches the child by itself; a second one would cut its cleaning short.
    """

    def pass_on(number: int, _: object) -> None:
        if number != signal.SIGINT or not sys.stdin.isatty():
            child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, pass_on)
    status = child.wait()
    return status if status >= 0 else 128 - status


def main() -> int:
    """Run a command; returns the exit code."""
    options, more = parsed(sys.argv[1:])
    try:
        return command(options, more)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130
    except (OSError, MemoryError) as error:
        if problem := refused(error):
            sys.stderr.write(f"{problem}\n")
            return 1
        raise


def command(options: argparse.Namespace, more: list[str]) -> int:
    """Do what was asked for; returns the exit code.

    Raises:
        InputError: if a file of the user cannot be used.
        OSError: if the computer refuses.
    """
    if options.command == "init":
        return propose_config(options.files, options.out, options.force)
    if options.command == "example":
        return write_example(options.out, options.force, options.raw)
    study = read_study(options.config)
    if options.command == "describe":
        from nanotarget.propose.description import describe

        sys.stdout.write(describe(study, str(options.config)))
        return 0
    if options.command == "forget":
        return forget(study, options.config, options.person, options.yes)
    if options.command == "card":
        return write_card(study, options.person, options.out, options.force)
    if options.command == "deposit":
        return write_deposit(study, options.config, options.out)
    if options.command == "check" and not more:
        return check_study(study, options.config)
    refuse_absent(study, options)
    status = run(options.command, study, options, more)
    if status == 0 and not more:
        results = Path("results") / study.study
        sys.stdout.write(f"Done: {made(options.command, results)}{marked(study)}\n")
        for flag in flags(options.command, results):
            sys.stdout.write(f"Warning: {flag}\n")
    if status and not more:
        sys.stderr.write("Stopped. What was finished is kept; the same command goes on.\n")
    return status


def check_study(study: Study, source: Path) -> int:
    """Check config and raw data in this process, write nothing, and say what is open; returns the exit code.

    Raises:
        InputError: the problems of all files.
    """
    from nanotarget.assign.check import check
    from nanotarget.propose import questions

    with noting():
        sizes = check(study, str(source))
    if lines := questions(source.read_text(encoding="utf-8")):
        sys.stdout.write(f"{source}{asked(lines).replace(';', ':', 1)}\n")
    for question in sizes.get("questions", []):
        sys.stdout.write(f"{question}.\n")
    if study.undecided:
        sys.stdout.write(f"{source}: diagnose.sesoi is not stated yet; 'diagnose' and 'all' need it.\n")
    sys.stdout.write(f"Done: config and raw data are fine{marked(study)}\n")
    return 0


@contextmanager
def noting() -> Iterator[None]:
    """Show what the library warns of, each warning on a line."""
    notes = logging.StreamHandler(sys.stdout)
    notes.setLevel(logging.WARNING)
    notes.setFormatter(logging.Formatter("Note: %(message)s."))
    library = logging.getLogger("nanotarget")
    library.addHandler(notes)
    try:
        yield
    finally:
        library.removeHandler(notes)


def forget(study: Study, config: Path, person: str, sure: bool) -> int:
    """Say what of a person can be erased and what cannot be undone; erase it if that was confirmed.

    Raises:
        InputError: if nobody has this id, or a file cannot be edited.
    """
    from nanotarget.assign.withdrawal import LASTING, erasures

    with alone() as lock:
        if lock is None:
            return 1
        planned = erasures(study, person)
        sys.stdout.write("Erased:\n" if sure else "Would be erased:\n")
        for erasure in planned:
            if sure:
                erasure.erase()
            sys.stdout.write(f"  {erasure.place}: {erasure.what}\n")
    sys.stdout.write("Cannot be undone from here:\n")
    sys.stdout.writelines(f"  {lasting}\n" for lasting in LASTING)
    if deposited := sorted(Path("deposits").glob(f"{study.study}*")):
        sys.stdout.write(f"  {', '.join(map(str, deposited))}: still there\n")
    again = f"nanotarget all {shlex.quote(str(config))}"
    if not sure:
        sys.stdout.write("Nothing was erased: add --yes. There will be no copy.\n")
        return 1
    sys.stdout.write(f"Done. Results still count her until they are made again: {again}\n")
    return 0


def write_card(study: Study, person: str, out: Path, force: bool) -> int:
    """Write the page of one person, which only its owner can read.

    Raises:
        InputError: if nobody has this id, or the page would overwrite a file.
    """
    from importlib import resources

    from nanotarget.report.card import find_card, render_card

    check_new(out, force)
    found = find_card(Path("results") / study.study / PRIVATE, person)
    folder = resources.files("nanotarget.report").joinpath("templates")
    names = ("card.html.j2", "head.html.j2", "banner.html.j2", "style.css")
    templates = {name: folder.joinpath(name).read_text("utf-8") for name in names}
    write_text(render_card(templates, study, found), out)
    out.chmod(OWNERS_ONLY)
    sys.stdout.write(f"Done: {out}, of one person: not for publication{marked(study)}\n")
    return 0


def write_deposit(study: Study, config: Path, out: Path) -> int:
    """Package a finished study, say what an archive will ask, and write nothing while that is open.

    Raises:
        InputError: if there are no results.
    """
    from nanotarget.report.deposit.assemble import assemble, executables
    from nanotarget.report.deposit.package import Package, code_of
    from nanotarget.report.deposit.writing import write
    from nanotarget.simulate.standin import stand_ins

    results = Path("results") / study.study
    if not (results / MANIFEST).is_file():
        what, remedy = "the study has not been run", f"run 'nanotarget all {shlex.quote(str(config))}' first"
        raise InputError([Problem(str(results / MANIFEST), "whole file", what, "a finished run", remedy)])
    package = Package(study, config, results, code=code_of(ROOT), stand_ins=stand_ins(study))
    files, checks = assemble(package)
    width = max(len(check.item) for check in checks)
    for check in checks:
        sys.stdout.write(f"{check.item:{width}}  {check.status}\n")
        for found in check.found[:SHOWN_PROBLEMS]:
            sys.stdout.write(f"    {found}\n")
        if check.found:
            more = len(check.found) - SHOWN_PROBLEMS
            sys.stdout.write(f"    and {more} more\n" if more > 0 else "")
            sys.stdout.write(f"    what to do: {check.remedy}\n")
    if still := sum(bool(check.found) for check in checks):
        sys.stderr.write(f"{counted(still, 'question')} open; nothing was written.\n")
        return 1
    archive = write(files, executables(package), out / study.study)
    sys.stdout.write(f"Done: {len(files)} files in {out / study.study} and {archive}{marked(study)}\n")
    return 0


def refuse_absent(study: Study, options: argparse.Namespace) -> None:
    """Raise an `InputError` if a target needs a section, or answers, that the study does not have."""
    if study.calibration and not study.learns and options.command in ("diagnose", "assign"):
        what = f"'{options.command}' needs to know who prefers what, but everybody saw one petition"
        remedy = "run 'calibrate' or 'report' for effects on average; correct 'tasks' if it is wrong"
        expected = "respondents with two petitions at least"
        raise InputError([Problem(str(options.config), "key calibration.tasks", what, expected, remedy)])
    if study.undecided and options.command in DIAGNOSING:
        raise InputError([unstated(str(options.config))])
    needed = NEEDS.get(options.command)
    if needed and getattr(study, needed) is None:
        raise InputError(
            [
                Problem(
                    str(options.config),
                    f"key {needed}",
                    f"'{options.command}' needs the section '{needed}', which this study does not have",
                    f"a study with a section '{needed}'",
                    "add it, or run 'all' for what the data allow",
                )
            ]
        )


def marked(study: Study) -> str:
    """Return what the last line says of data that nobody gave."""
    return " (SIMULATED data)" if study.synthetic else ""


def parsed(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; returns its options and those that go to Snakemake."""
    parser = argparse.ArgumentParser(
        prog="nanotarget",
        description="Learn, diagnose, assign, estimate, report.",
        epilog="'make help' adds what belongs to the project: tests, verification, documents.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    init = commands.add_parser("init", help="propose a config for data files")
    init.add_argument(
        "files", nargs="+", metavar="FILE", help="conjoint survey, experiment or list of people"
    )
    init.add_argument(
        "--out", required=True, type=Path, help="the config to write, for example my-study.yaml"
    )
    example = commands.add_parser("example", help="write a small synthetic survey export to try things with")
    example.add_argument(
        "--out", required=True, type=Path, help="the CSV to write, for example my-export.csv"
    )
    example.add_argument(
        "--raw",
        action="store_true",
        help="as the Conjoint Survey Design Tool leaves it in Qualtrics, with previews",
    )
    for command in (init, example):
        command.add_argument("--force", action="store_true", help="overwrite the file if it exists")
    described = commands.add_parser("describe", help="say what is in a study, in seconds")
    card = commands.add_parser("card", help="write the page that tells a person why she got her petition")
    card.add_argument("config", type=Path, help="the study")
    card.add_argument("person", metavar="ID", help="of the person, as in the raw file, or her pseudonym")
    card.add_argument("--out", required=True, type=Path, help="the page to write, for example card.html")
    card.add_argument("--force", action="store_true", help="overwrite the file if it exists")
    gone = commands.add_parser("forget", help="erase a person who withdrew from the files of a study")
    gone.add_argument("config", type=Path, help="the study")
    gone.add_argument("person", metavar="ID", help="of the person, as in the raw file")
    gone.add_argument("--yes", action="store_true", help="erase; without it only say what would be erased")
    deposit = commands.add_parser("deposit", help="package a finished study for an archive")
    deposit.add_argument(
        "--out", default="deposits", type=Path, help="folder for the package and its zip (default: deposits)"
    )
    stages = [commands.add_parser(target, help=text) for target, text in TARGETS.items()]
    for command in (described, deposit, *stages):
        command.add_argument(
            "config", nargs="?", default="config.yaml", type=Path, help="the study (default: config.yaml)"
        )
    for command in stages:
        command.add_argument("--cores", default="all", help="number of cores (default: all)")
        command.add_argument(
            "--cluster",
            metavar="NAME",
            help="where jobs run: slurm, kubernetes or the folder of a profile (default: here)",
        )
        command.epilog = "Further options go to Snakemake, e.g. --dry-run."
    options, more = parser.parse_known_args(arguments)
    if more and options.command not in TARGETS:
        parser.error(f"unknown: {' '.join(more)}")
    return options, more


def propose_config(files: list[str], out: Path, force: bool) -> int:
    """Write a proposed config and say what to do next; returns the exit code.

    Raises:
        InputError: if a file cannot be understood, or the config would overwrite one.
    """
    from nanotarget.clean.raw import reading_once
    from nanotarget.propose import propose, questions, study_name, verified_config

    check_new(out, force)
    with reading_once():
        text = verified_config(propose(files), study_name(out.stem))
    write_text(text, out)
    guesses, quoted = text.count("# guess"), shlex.quote(str(out))
    sys.stdout.write(
        f"{out}: {guesses} guesses, each with its reason{asked(questions(text))}. Read them, then run\n"
        f"  nanotarget check {quoted}\n  nanotarget describe {quoted}\n"
    )
    return 0


def asked(lines: Sequence[int]) -> str:
    """Say how many questions of a config are open, and in which lines."""
    if not lines:
        return ""
    where = f"line{'s' if len(lines) > 1 else ''} {listed(lines)}"
    return f"; {counted(len(lines), 'question')} to decide ({where})"


def write_example(out: Path, force: bool, raw: bool) -> int:
    """Write the conjoint survey of the simulated reference study with a quarter of its people.

    Args:
        out: where to.
        force: overwrite what is there.
        raw: as the Conjoint Survey Design Tool leaves it, with attributes in an order of each respondent's.

    Raises:
        InputError: if it would overwrite a file.
    """
    from nanotarget.petitions.design import Design
    from nanotarget.simulate.platform import as_design_tool
    from nanotarget.simulate.simulate import Parameters, calibration_survey, with_fewer
    from nanotarget.study.artefacts import write_csv

    check_new(out, force)
    study = read_study(ROOT / "config.yaml")
    described = (ROOT / "data" / study.study / "simulation.yaml").read_text(encoding="utf-8")
    parameters = with_fewer(Parameters.model_validate(yaml.safe_load(described)), EXAMPLE_SHARE)
    if study.design is None or study.calibration is None:
        raise ValueError("the reference study has a design and a calibration")
    design = Design.from_config(study.design)
    calibration = calibration_survey(design, study.covariates, parameters).raw
    n = len(calibration) - 1
    if raw:
        config, attributes = study.calibration, study.design.attributes
        calibration = as_design_tool(calibration, config, attributes, parameters.seed)
    write_csv(calibration, out)
    sys.stdout.write(f"{out}: {n} SIMULATED respondents; no real person answered\n")
    return 0


def check_new(out: Path, force: bool) -> None:
    """Raise an `InputError` if a file cannot be written, or would be overwritten without `force`."""
    if out.is_dir() or (out.exists() and not force):
        remedy = "choose another name with --out, or overwrite it with --force"
        raise InputError([Problem(str(out), "--out", "it exists already", "a new file", remedy)])
    if not out.parent.is_dir():
        remedy = f"make the folder first, or correct '{out}'"
        raise InputError(
            [Problem(str(out.parent), "--out", "there is no such folder", "an existing folder", remedy)]
        )


def made(target: str, results: Path) -> str:
    """Say in one line what was made and where to look."""
    if target in ("all", "report"):
        paths = [row["path"] for row in read_json(results / MANIFEST)["artefacts"]]
        figures = sum(path.startswith("figures/") and path.endswith(".svg") for path in paths)
        tables = sum(path.startswith("tables/") and path.endswith(".html") for path in paths)
        return (
            f"{figures} figures and {tables} tables among the {len(paths)} artefacts listed in "
            f"{results / MANIFEST}; open {results / 'report.html'}"
        )
    if target == "diagnose":
        verdict = read_json(results / "diagnose" / "verdict.json")
        return f"{verdict['overall']}; open {results / 'diagnose' / 'answer.html'}"
    if target == "disclose":
        from nanotarget.report.disclosure import RESULT, Status

        found = read_csv(results / RESULT)
        n = int((found["status"] == Status.OPEN).sum())
        return f"{counted(len(found), 'finding')}, {n} open; see {results / RESULT}"
    stage = {"simulate": "simulated"}.get(target, target)
    folders = [folder for folder in (results / stage, results / PRIVATE / stage) if folder.is_dir()]
    return "; ".join(
        f"{', '.join(sorted(path.name for path in folder.iterdir()))} in {folder}" for folder in folders
    )


def flags(target: str, results: Path) -> list[str]:
    """Return the warnings that belong to what was made: of the survey's design, or of the verdict."""
    if target in ("check", "simulate", "estimate", "explore"):
        return []
    verdict, design = results / "diagnose" / "verdict.json", results / "calibrate" / "design_flags.json"
    if target != "calibrate" and verdict.is_file():
        return list(read_json(verdict)["flags"])
    return list(read_json(design)) if design.is_file() else []


if __name__ == "__main__":
    sys.exit(main())
