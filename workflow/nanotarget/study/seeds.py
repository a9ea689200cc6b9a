"""Named random streams: one root seed, one independent child stream per name."""

from __future__ import annotations

import hashlib

import numpy as np


def child_rng(root_seed: int, name: str) -> np.random.Generator:
    """Return the generator of a named stream of a study.

    The stream depends on the root seed and the name only: not on the order in which streams are
    made, the number of cores or other rules (`numpy.random.SeedSequence`, O'Neill 2015 hashing).

    Args:
        root_seed: the study's `root_seed`.
        name: what the stream is for, e.g. "crossfit" or "assign/random".
    """
    words = np.frombuffer(hashlib.sha256(name.encode("utf-8")).digest()[:16], dtype="<u4")
    sequence = np.random.SeedSequence([root_seed, *(int(word) for word in words)])
    return np.random.Generator(np.random.PCG64(sequence))
