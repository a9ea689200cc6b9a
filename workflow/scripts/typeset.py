"""Compile the paper of a study into papers/<study>/ (`make paper`).

Usage: python workflow/scripts/typeset.py my-study.yaml pdflatex
"""

import sys
from pathlib import Path

from nanotarget.report.typeset import typeset
from nanotarget.study.checks import read_settings
from nanotarget.study.problems import InputError


def main(config, engine):
    """Compile the paper of one study and return the exit code."""
    try:
        study = str(read_settings(config, config).get("study"))
        print(typeset(Path("results") / study, Path("papers") / study, engine))
    except InputError as error:
        print(error.message(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
