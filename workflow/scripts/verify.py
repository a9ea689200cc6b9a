"""Say which artefacts of a study no longer match its manifest (exit code 1 if any).

Usage: python workflow/scripts/verify.py results/<study>
   or: python workflow/scripts/verify.py my-study.yaml
"""

import sys
from pathlib import Path

import yaml

from nanotarget.study.provenance import MANIFEST, verify


def results_of(argument):
    """Return the results folder that an argument means: itself, or that of a config file."""
    path = Path(argument)
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        return Path("results") / yaml.safe_load(path.read_text(encoding="utf-8"))["study"]
    return path


def main(arguments):
    """Check one study and return the exit code."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    results = results_of(arguments[0])
    if not (results / MANIFEST).is_file():
        print(f"{results / MANIFEST}: there is no manifest; run the pipeline first.", file=sys.stderr)
        return 1
    try:
        problems, count = verify(results)
    except (KeyError, TypeError, ValueError) as error:
        print(f"{results / MANIFEST}: not a manifest of nanotarget ({error}).", file=sys.stderr)
        return 1
    if problems:
        print(f"{len(problems)} problems; the manifest lists {count} artefacts of {results}:")
        print("\n".join(f"  {problem}" for problem in problems))
        print("What to do: delete the files that are named and run the pipeline again.")
        return 1
    print(f"all {count} artefacts match")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
