"""The command `nanotarget`: read a config for people, then hand over to Snakemake."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from nanotarget.config import validate
from nanotarget.problems import InputError, Problem

ROOT = Path(__file__).parents[2]
TARGETS = ("all", "check", "calibrate", "diagnose", "assign", "estimate", "explore", "report", "simulate")


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses a key written twice, where the plain loader silently takes the last."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key '{key}' is written twice", key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def read_config(path: Path) -> dict[str, Any]:
    """Read and validate a config file.

    Raises:
        InputError: if the file cannot be read, is no YAML, or does not describe a study.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise InputError(
            [
                Problem(
                    str(path),
                    "whole file",
                    f"it cannot be read ({error.strerror})",
                    "a config file",
                    "check the name, or copy config.yaml",
                )
            ]
        ) from None
    except UnicodeDecodeError:
        raise InputError(
            [Problem(str(path), "whole file", "it is not UTF-8 text", "a YAML file", "save it as UTF-8")]
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "whole file"
        raise InputError(
            [
                Problem(
                    str(path),
                    where,
                    f"it is not valid YAML: {error.problem}",
                    "keys and values as in config.yaml",
                    "correct that line; quote texts that hold ':' or '#'",
                )
            ]
        ) from None
    return validate(raw, path.name)


def main() -> int:
    """Run a target for a study; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="nanotarget", description="Run a stage of a study and whatever it needs."
    )
    parser.add_argument("target", choices=TARGETS, help="what to make")
    parser.add_argument("config", nargs="?", default="config.yaml", help="the study (default: config.yaml)")
    parser.add_argument("--cores", default="all", help="number of cores (default: all)")
    options, more = parser.parse_known_args()
    try:
        config = read_config(Path(options.config))
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    command = [sys.executable, "-m", "snakemake", options.target, "--snakefile", str(ROOT / "Snakefile")]
    command += ["--profile", str(ROOT / "workflow" / "profiles" / "local"), "--cores", options.cores]
    command += ["--configfile", options.config, *more]
    status = subprocess.run(command, check=False).returncode
    if status == 0 and options.target in ("all", "report"):
        report = Path("results") / config["study"] / "report.html"
        sys.stdout.write(f"Done. Open {os.fspath(report)}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
