"""SPSS and Stata files without some rows: everything else is written as it was read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyreadstat

from nanotarget.clean.raw import read_raw
from nanotarget.study.problems import InputError, Problem


def rewrite(file: Path, rows: np.ndarray, target: Path) -> None:
    """Write a file of SPSS (.sav, .zsav) or Stata (.dta) without some rows.

    What the library that writes it cannot keep shows when both files are read: then nothing is replaced.

    Args:
        file: as `read_raw` reads it.
        rows: their numbers in the index of its table.
        target: where the other one goes; its ending does not matter.

    Raises:
        InputError: if what is left would be read otherwise than before.
    """
    ending = file.suffix.lower()
    copy = target.with_name(f"{target.name}{ending}")
    try:
        _write(file, rows, copy)
        before, after = read_raw(str(file)), read_raw(str(copy))
        left = before.drop(index=rows).reset_index(drop=True)
        if not after.reset_index(drop=True).equals(left) or after.attrs != before.attrs:
            what = (
                "without her rows it would not be the same file: the library that writes it loses something"
            )
            remedy = "remove her rows with the program that wrote it, and type this again"
            raise InputError([Problem(str(file), "whole file", what, "a file that can be rewritten", remedy)])
        copy.replace(target)
    finally:
        copy.unlink(missing_ok=True)


def _write(file: Path, rows: np.ndarray, copy: Path) -> None:
    as_stored = {"user_missing": True, "disable_datetime_conversion": True}
    shared: dict[str, Any]
    if file.suffix.lower() == ".dta":
        data, meta = pyreadstat.read_dta(str(file), **as_stored)
        shared = {"missing_user_values": meta.missing_user_values or None}
        write = pyreadstat.write_dta
    else:
        data, meta = pyreadstat.read_sav(str(file), **as_stored)
        shared = {
            "missing_ranges": meta.missing_ranges or None,
            "variable_measure": meta.variable_measure or None,
            "variable_display_width": meta.variable_display_width or None,
            "note": list(meta.notes) or None,
            "compress": file.suffix.lower() == ".zsav",
        }
        write = pyreadstat.write_sav
    write(
        data.drop(index=data.index[rows - 1]),
        str(copy),
        file_label=meta.file_label or "",
        column_labels=meta.column_names_to_labels,
        variable_value_labels=meta.variable_value_labels or None,
        variable_format=meta.original_variable_types or None,
        **shared,
    )
