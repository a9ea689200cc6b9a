"""Which learner predicts best, and is it clearly better than a simpler one?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nanotarget.calibrate.learners.base import Model, NotConverged, TrainingData, mean_and_error
from nanotarget.calibrate.learners.crossfit import Crossfit, compare_losses, crossfit, held_out_losses
from nanotarget.calibrate.learners.ridge import fit_null
from nanotarget.study.config import LearningConfig

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """Cross-fitted learners.

    Attributes:
        fitted: cross-fit of each learner.
        rows: facts about each learner, a row of calibrate/learners.csv; `warning` where one has not
            converged.
        chosen: name of the one that is used.
    """

    fitted: Mapping[str, Crossfit]
    rows: Sequence[dict[str, Any]]
    chosen: str


def compare(
    data: TrainingData,
    fit: Callable[[str, TrainingData, str], Model],
    settings: LearningConfig,
    seed: int,
    warnings: Mapping[str, str],
) -> Comparison:
    """Cross-fit the learners of a config, compare them with a no-heterogeneity null model, choose one.

    A learner that has not converged is chosen only if it is the only one, and never without its warning.

    Args:
        fit: from name of a learner, training data and name of the part left out to a model.
        warnings: of learners that are known not to have converged.

    Raises:
        NotConverged: if no learner came to an end.
    """

    def cross(fitter: Callable[[TrainingData, str], Model]) -> Crossfit:
        return crossfit(data, fitter, settings.folds, seed, settings.own_answers)

    null = held_out_losses(cross(lambda train, part: fit_null(train, seed, settings.interactions)))
    fitted: dict[str, Crossfit] = {}
    losses: dict[str, np.ndarray] = {}
    facts: dict[str, dict[str, float]] = {}
    warned = dict(warnings)
    for name in settings.learners:
        LOG.info("cross-fitting the learner %s", name)
        try:
            fitted[name] = cross(lambda train, part, name=name: fit(name, train, part))  # type: ignore[misc]
        except NotConverged as error:
            if not losses and name == settings.learners[-1]:
                raise
            warned[name] = error.problems[0].what
            continue
        losses[name] = held_out_losses(fitted[name])
        facts[name] = compare_losses(losses[name], null, data.weight)
    for name in warned:
        LOG.warning("%s: %s", name, warned[name])
    chosen, reason = choose({n: loss for n, loss in losses.items() if n not in warned} or losses, data.weight)
    if settings.learner != "auto":
        reason = "named in the config"
    elif passed := [name for name in warned if name != chosen]:
        reason += f"; passed over because it has not converged: {', '.join(passed)}"
    rows = []
    for name in settings.learners:
        row = {"learner": name, "outcome": data.response.name, **facts.get(name, {})}
        row |= {"chosen": name == chosen, "reason": reason if name == chosen else ""}
        rows.append(row | ({"warning": warned[name]} if name in warned else {}))
    return Comparison(fitted, rows, chosen)


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
