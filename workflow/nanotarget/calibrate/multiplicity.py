"""Adjustment for multiple comparisons: the one place that says how p values of a family are adjusted."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from nanotarget.calibrate import regression

METHODS = {
    "holm": regression.holm,
    "bonferroni": regression.bonferroni,
    "bh": regression.benjamini_hochberg,
}
CORRECTED = {f"p_{method}": method for method in METHODS}  # columns of tables that have all of them


def adjusted(
    p_values: pd.Series, *family: pd.Series | np.ndarray | Sequence[Hashable], method: str = "holm"
) -> pd.Series:
    """Adjust p values within families; missing ones stay missing and do not count.

    Args:
        p_values: (n,).
        family: (n,) what distinguishes families; without any all tests are one family.
        method: one of `METHODS`: Holm (1979), Bonferroni, or Benjamini & Hochberg (1995), which controls the
            false discovery rate.
    """
    values = p_values.to_numpy(np.float64)
    together: dict[Hashable, list[int]] = {}
    for row, member in enumerate(zip(*family, strict=True) if family else [()] * len(values)):
        together.setdefault(member, []).append(row)
    found = np.empty(len(values))
    for rows in together.values():
        found[rows] = METHODS[method](values[rows])
    return pd.Series(found, index=p_values.index, name=p_values.name)
