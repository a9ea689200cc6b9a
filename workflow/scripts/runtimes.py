"""Keep what each rule of the last run of a study cost, for the README of its deposit.

Usage: python workflow/scripts/runtimes.py my-study.yaml      writes data/<study>/runtimes.csv
"""

import sys
from pathlib import Path

from nanotarget.report.deposit.runtimes import runtimes
from nanotarget.study.artefacts import write_csv
from nanotarget.study.checks import read_settings
from nanotarget.study.problems import InputError
from nanotarget.study.provenance import MANIFEST
from nanotarget.study.record import recorded


def main(config):
    """Write the table of one study and return the exit code."""
    try:
        study = str(read_settings(config, config).get("study"))
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    results = Path("results") / study
    if not (results / MANIFEST).is_file():
        print(f"{results / MANIFEST}: there is no manifest; run the pipeline first.", file=sys.stderr)
        return 1
    table, out = runtimes(results, recorded()), Path("data") / study / "runtimes.csv"
    write_csv(table, out)
    seconds = table["seconds"].sum()
    print(f"{out}: {seconds:.0f} CPU seconds in {len(table)} rules; name it at key deposit.runtimes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
