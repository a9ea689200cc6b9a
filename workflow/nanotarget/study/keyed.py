"""Numbers that hang on who somebody is, and on nothing else.

A stream of random numbers depends on the order of people and on how they are divided among jobs. What is
drawn here depends on the seed, on what it is for, and on a person's id: everybody can be drawn alone, on
any machine and in any order.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

AT_ONCE = 250_000  # ids that are objects of Python at once, which take five times the memory
SAMPLED = 5_000  # people on whom statements about very many rest


def sampled(people: pd.DataFrame) -> pd.DataFrame:
    """Return a table of people, sorted by respondent_id; of more than SAMPLED a random sample of so many.

    They are those whose ids have the smallest hashes: samples of parts give the sample of the whole.
    """
    if len(people) > SAMPLED:
        drawn = hashes(people["respondent_id"], 0, "sample")
        people = people.iloc[np.argsort(drawn, kind="stable")[:SAMPLED]]
    return people.sort_values("respondent_id", kind="stable", ignore_index=True)


def hashes(ids: pd.Series, seed: int, name: str) -> np.ndarray:
    """Return (n,) uint64 of persons: SipHash-2-4 of their ids, with a key made of the seed and a name.

    Whoever does not know the key cannot tell it from independent uniform draws (Aumasson & Bernstein
    2012), one a person. (pandas then mixes the bits once more, one to one, by the last steps of SplitMix64.)

    Args:
        ids: (n,) texts.
        seed: root seed of the study.
        name: what they are for; other names give independent numbers.
    """
    key = hashlib.sha256(f"{seed} {name}".encode()).hexdigest()[:16]
    drawn = np.empty(len(ids), dtype=np.uint64)
    for start in range(0, len(ids), AT_ONCE):
        texts = ids.iloc[start : start + AT_ONCE].to_numpy(dtype=object)
        drawn[start : start + AT_ONCE] = pd.util.hash_array(texts, hash_key=key, categorize=False)
    return drawn


def uniforms(ids: pd.Series, seed: int, name: str) -> np.ndarray:
    """Return (n,) numbers of persons, uniform from 0 to below 1."""
    return (hashes(ids, seed, name) >> np.uint64(11)) * 2.0**-53


class KeyedDraws:
    """Draws by persons in the place of a generator, as far as `Design.draw` asks for them."""

    def __init__(self, ids: pd.Series, seed: int, name: str) -> None:
        """Draw for the persons with these ids."""
        self._ids, self._seed, self._name = ids, seed, name
        self._drawn = 0

    def choice(self, n: int, size: int, p: np.ndarray) -> np.ndarray:
        """Return for every person a number below n, drawn with the probabilities p.

        Each call draws anew; numbers of probability 0 are never drawn.
        """
        if size != len(self._ids):
            raise ValueError("one draw a person")
        self._drawn += 1
        drawn = uniforms(self._ids, self._seed, f"{self._name} {self._drawn}")
        ends = np.cumsum(p)
        possible = np.flatnonzero(p)
        return np.minimum(np.searchsorted(ends / ends[-1], drawn, side="right"), possible[-1])
