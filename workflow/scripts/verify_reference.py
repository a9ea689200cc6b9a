"""Say whether a run gives the bytes of the reference run that its authors recorded (exit code 1 if not).

Usage: python workflow/scripts/verify_reference.py config.yaml   (compare results/<study> with the record)
   or: python workflow/scripts/verify_reference.py config.yaml --record   (make results/<study> the record)
"""

import sys
from pathlib import Path

import numpy as np

from nanotarget.study.artefacts import read_json
from nanotarget.study.checks import read_study
from nanotarget.study.problems import InputError
from nanotarget.study.provenance import MANIFEST, verify
from nanotarget.study.replication import RECORD, compared, recorded, write_record

ROUNDING = 1e-6  # relative differences below it are those of other processors and libraries


def main(arguments):
    """Compare or record one study and return the exit code."""
    if not arguments or arguments[1:] not in ([], ["--record"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        study = read_study(Path(arguments[0])).study
    except InputError as error:
        print(error.message(), file=sys.stderr)
        return 1
    results, record = Path("results") / study, Path("data") / study / RECORD
    if not (results / MANIFEST).is_file():
        print(f"{results / MANIFEST}: there is no manifest; run the pipeline first.", file=sys.stderr)
        return 1
    if verify(results)[0]:
        print(f"{results} is not what its own manifest says: see 'make verify'.", file=sys.stderr)
        return 1
    if arguments[1:]:
        write_record(recorded(results), record)
        print(f"{record}: {len(read_json(record)['artefacts'])} artefacts of {results} are the reference run")
        return 0
    if not record.is_file():
        print(f"{record}: no reference run is recorded for this study.", file=sys.stderr)
        return 1
    return report(compared(results, read_json(record)), record)


def report(found, record):
    """Print what differs and return the exit code."""
    total = found.same + len(found.different)
    if not found.different:
        print(f"all {total} artefacts have the bytes of the reference run ({record})")
        return 0
    print(f"{len(found.different)} of {total} artefacts differ from the reference run ({record})")
    for title, wanted in (
        ("Numbers that differ by more than rounding, or are not there", lambda r: r > ROUNDING),
        (
            f"Numbers that agree within {ROUNDING:g} (relative): other processor or libraries",
            lambda r: 0 < r <= ROUNDING,
        ),
        ("Equal numbers, other words", lambda r: r == 0),
        (
            "Other bytes, no numbers kept: models, rows of people, what is drawn and written from the tables",
            np.isnan,
        ),
    ):
        rows = [d for d in found.different if wanted(d.relative)]
        if rows:
            print(f"{title}: {len(rows)}")
            print("\n".join(f"  {line(d)}" for d in sorted(rows, key=lambda d: -np.nan_to_num(d.relative))))
    if found.surroundings:
        print("What else is not as in the reference run:")
        print("\n".join(f"  {what}" for what in found.surroundings))
    return 1


def line(difference):
    """Return a difference in a line."""
    if not 0 < difference.relative < np.inf:
        return f"{difference.path}: {difference.what}"
    return f"{difference.path}: by up to {difference.relative:.1e} of the number ({difference.what})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
