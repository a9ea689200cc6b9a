"""Cross-fits to variants of the calibration: other divisions into folds, parts of it, fewer covariates.

They are fitted with the study's learner if it is fast, with ridge regression if it is not, and leave
what the diagnosis needs of them as a few numbers and every respondent's scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nanotarget.config import FAST_LEARNERS, CalibrateConfig, DiagnoseConfig
from nanotarget.diagnosis.dividend import Dividend
from nanotarget.diagnosis.evidence import Answers
from nanotarget.diagnosis.heterogeneity import Heterogeneity
from nanotarget.diagnosis.predictability import Predictability
from nanotarget.learners import FITTERS
from nanotarget.learners.base import Model, TrainingData
from nanotarget.learners.crossfit import assign_folds, compare_losses, fit_folds, held_out_losses
from nanotarget.learners.ridge import fit_null
from nanotarget.seeds import child_rng


@dataclass(frozen=True)
class Refit:
    """What a cross-fit to a variant leaves.

    Attributes:
        gains: (n_respondents,) scores of nano less overall-best.
        divergent: (n_respondents,) share of rows with another petition than overall-best.
        improvement: reduction of held-out loss against the null, its standard error; this and what follows of
            rungs only, NaN elsewhere.
        slope: calibration slope, its standard error.
        variance: person x message in total, linear in these covariates, as the learner sees it.
    """

    gains: np.ndarray
    divergent: np.ndarray
    improvement: np.ndarray
    slope: np.ndarray
    variance: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the numbers for a file."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Refit:
        """Read the numbers of a file."""
        return cls(**arrays)

    @classmethod
    def of(
        cls, dividend: Dividend, predictability: Predictability, improvement: tuple[float, float]
    ) -> Refit:
        """Summarise a cross-fit.

        Args:
            dividend: of the goal's outcome.
            predictability: of the cross-fit as it is; variances and slope are those of either goal.
            improvement: of its held-out loss over the null of no person-specific part, with its standard
                error.
        """
        weight = dividend.fitted.data.weight
        one = weight[None]
        return cls(
            dividend.gains(),
            dividend.divergent,
            np.array(improvement),
            np.array(predictability.slope(weight)),
            np.array(
                [
                    predictability.heterogeneity.variances(one).person_by_message[0],
                    predictability.learner_free(one).sum(),
                    predictability.learned(one)[0],
                ]
            ),
        )


def refit(
    data: TrainingData,
    variant: str,
    calibrate: CalibrateConfig,
    settings: DiagnoseConfig,
    learner: str,
    seed: int,
) -> Refit:
    """Cross-fit a variant.

    Args:
        variant: one of `DiagnoseConfig.variants`.
        settings: ladder and goal are used.
        learner: of the study; ridge takes the place of a slow one.
    """
    kind, _, number = variant.partition("_")
    fitter = FITTERS[learner if learner in FAST_LEARNERS else "ridge"]
    own_answers = calibrate.own_answers and kind != "rung"
    stream = "crossfit/folds" if kind != "split" or number == "1" else f"diagnose/folds/{number}"
    if kind == "rung":
        names = settings.ladder[int(number) - 1].covariates
        data = replace(data, covariates=tuple(c for c in data.covariates if c.name in names))
        calibrate = replace(calibrate, information="covariates")
    fold = assign_folds(data, calibrate.folds, seed, own_answers, stream)
    n = data.n_respondents
    rank = child_rng(seed, "diagnose/learning curve").permutation(n)
    taken = set(data.respondents["respondent_id"][rank < n * int(number) / 100]) if kind == "share" else None

    def fit(train: TrainingData, part: str) -> Model:
        if taken is not None:
            inside = train.respondents["respondent_id"].isin(taken).to_numpy()
            train = train.subset(inside[train.respondent])
        return fitter(train, seed, calibrate)

    def fit_common(train: TrainingData, part: str) -> Model:
        return fit_null(train, seed, calibrate.interactions)

    fitted = fit_folds(data, fold, fit, "fold")
    dividend = Dividend(fitted.towards(settings.goal))
    if kind != "rung":
        return Refit(dividend.gains(), dividend.divergent, *(np.full(size, np.nan) for size in (2, 2, 3)))
    null = fit_folds(data, fold, fit_common, "fold")
    found = compare_losses(held_out_losses(fitted), held_out_losses(null), data.weight)
    predictability = Predictability(fitted, Heterogeneity(Answers.from_crossfit(fitted)))
    improvement = (found["improvement"], found["std_error"])
    return Refit.of(dividend, predictability, improvement)
