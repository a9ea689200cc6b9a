"""The flow of participants: steps at which people leave, and how clean/flow.csv counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

FLOW_COLUMNS = ["sample", "step", "rule", "arm", "n_before", "n_excluded", "n_after"]
OBSERVED = "Outcome observed"  # the step that is attrition, not an exclusion
EVERYBODY = "all"  # the arm that counts everybody


@dataclass(frozen=True)
class Step:
    """One row of the flow before it is counted: (n_people,) who was there before and after."""

    step: str
    rule: str
    before: np.ndarray
    after: np.ndarray


def count_steps(sample: str, steps: Sequence[Step], groups: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Count people before and after each step, in each group (n_people,)."""
    rows = [
        (sample, s.step, s.rule, name, int((s.before & group).sum()), int((s.after & group).sum()))
        for s in steps
        for name, group in groups.items()
    ]
    flow = pd.DataFrame(rows, columns=[column for column in FLOW_COLUMNS if column != "n_excluded"])
    flow["n_excluded"] = flow["n_before"] - flow["n_after"]
    return flow[FLOW_COLUMNS]
