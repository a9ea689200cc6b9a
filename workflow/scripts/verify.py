"""Say which artefacts of a study no longer match its manifest (exit code 1 if any).

Usage: python workflow/scripts/verify.py results/<study>
   or: python workflow/scripts/verify.py my-study.yaml
"""

import sys
from pathlib import Path

from nanotarget.study.checks import read_settings
from nanotarget.study.problems import InputError
from nanotarget.study.provenance import MANIFEST, verify


def results_of(argument):
    """Return the results folder that an argument means: itself, or that of a config file."""
    path = Path(argument)
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        return Path("results") / str(read_settings(path, str(path)).get("study"))
    return path


def main(arguments):
    """Check one study and return the exit code."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        results = results_of(arguments[0])
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    if not (results / MANIFEST).is_file():
        print(f"{results / MANIFEST}: there is no manifest; run the pipeline first.", file=sys.stderr)
        return 1
    try:
        problems, count = verify(results)
    except (KeyError, TypeError, ValueError) as error:
        print(f"{results / MANIFEST}: not a manifest of nanotarget ({error}).", file=sys.stderr)
        return 1
    if problems:
        count_problems = sum(map(len, problems.values()))
        print(f"{count_problems} problems; the manifest lists {count} artefacts of {results}:")
        for remedy, found in problems.items():
            print("\n".join(f"  {problem}" for problem in found))
            print(f"  What to do: {remedy}.")
        return 1
    print(f"all {count} artefacts match")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
