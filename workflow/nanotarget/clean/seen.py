"""Who was there before: texts of very many people, remembered by 128 bits each."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nanotarget.study.keyed import hashes


class Seen:
    """Texts that were met before.

    Two different texts are taken for one with a probability of n^2 / 2^129, less than 1e-21 for a billion.
    They are kept in sorted runs, of which two of one length become one, so that there are few.
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._runs: list[np.ndarray] = []

    def among(self, texts: pd.Series) -> np.ndarray:
        """Return whether each of these texts, none missing, was met before."""
        wanted = _digests(texts)
        found = np.zeros(len(wanted), dtype=bool)
        for run in self._runs:
            at = np.searchsorted(run["first"], wanted["first"])
            found |= run[np.minimum(at, len(run) - 1)] == wanted
        return found

    def add(self, texts: pd.Series) -> None:
        """Remember texts, none missing."""
        if not len(texts):
            return
        run = _digests(texts)
        while self._runs and len(self._runs[-1]) <= len(run):
            run = np.concatenate([self._runs.pop(), run])
        self._runs.append(run[np.argsort(run["first"], kind="stable")])


def _digests(texts: pd.Series) -> np.ndarray:
    digests = np.empty(len(texts), dtype=[("first", "u8"), ("second", "u8")])
    digests["first"], digests["second"] = hashes(texts, 0, "seen"), hashes(texts, 0, "seen again")
    return digests
