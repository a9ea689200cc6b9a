"""What scores of different folds have in common.

A rule follows the noise of the answers that it was learned from, and these are other folds' evidence. Let n_k
be the noise of the answers of fold k, and let fold k be scored n_k'r(s + what the other n_j say) by a rule r
learned from signal s and noise. If r is linear, two folds have E[(n_j'n_k)^2] / (K - 1)^2 in common, so that
the variance of the mean over folds is that of independent scores times 1 + the share of noise in the rule
(cf. Bengio & Grandvalet 2004). A rule that chooses is not linear. Where people differ in what decides their
choice, the linear part of the rule counts alone (Stein's identity: the covariance of two folds is a product
of mean derivatives, and jumps at different people's thresholds have nothing in common).

How much noise is in a rule is seen from two rules that were learned from disjoint halves.
"""

from __future__ import annotations

import numpy as np

# Of a choice between two levels by the sign of noise the linear part has 2 / pi of the variance; of one among
# more levels less (three .54, five .42), and less where signal decides.
LINEAR_PART_OF_CHOICE = 2 / np.pi


def shared_noise(
    one: np.ndarray, other: np.ndarray, weight: np.ndarray, folds: int, linear: float = 1.0
) -> float:
    """Return the factor on a standard error for what folds share, 1 (signal) to sqrt(1 + linear) (noise).

    Args:
        one, other: (n,) or (n, k) what two rules learned from disjoint halves do, zero for nothing.
        weight: (n,).
        folds: number of folds K; their rules have learned from more answers than those of the halves.
        linear: share of its linear part in the variance of a rule's noise.
    """

    def product(a: np.ndarray, b: np.ndarray) -> float:
        return float(weight @ (a * b).reshape(len(a), -1).sum(axis=1))

    total = (product(one, one) + product(other, other)) / 2
    if total <= 0:
        return 1.0
    signal = min(max(product(one, other) / total, 0.0), 1.0)
    noise = (1 - signal) / 2 / (1 - 1 / folds)
    return float(np.sqrt(1 + linear * noise / (signal + noise)))
