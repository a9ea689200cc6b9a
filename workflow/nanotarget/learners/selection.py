"""Which learner predicts best, and is it clearly better than a simpler one?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nanotarget.learners.base import mean_and_error


def choose(losses: Mapping[str, np.ndarray], weight: np.ndarray) -> tuple[str, str]:
    """Choose the simplest learner whose held-out loss is within one standard error of the best.

    Args:
        losses: (n_respondents,) held-out losses of each learner, the simplest first.
        weight: (n_respondents,) survey weights.

    Returns:
        Its name, and why in a sentence. The error is that of the difference to the best learner, in the
        same respondents (Breiman et al. 1984, section 3.4.3, who use the error of the loss itself).
    """
    means = {name: float(np.average(loss, weights=weight)) for name, loss in losses.items()}
    best = min(means, key=lambda name: means[name])
    for name, loss in losses.items():
        if name == best:
            return name, f"it has the lowest cross-fitted loss ({means[best]:.4g})"
        worse, error = mean_and_error(loss - losses[best], weight)
        if worse <= error:
            return name, (
                f"its cross-fitted loss is {worse:.2g} above that of {best}, within one standard error "
                f"({error:.2g}), and it is simpler"
            )
    raise AssertionError("the best learner is one of them")
