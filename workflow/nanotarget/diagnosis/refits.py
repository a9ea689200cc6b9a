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
from nanotarget.learners.crossfit import Crossfit, assign_folds, compare_losses, fit_folds, held_out_losses
from nanotarget.learners.ridge import fit_null
from nanotarget.seeds import child_rng


@dataclass(frozen=True)
class Refit:
    """What a cross-fit to a variant leaves.

    Attributes:
        gains: (n_respondents,) scores of nano less overall-best.
        promised: (n_respondents,) what the learner promises of the gain.
        divergent: (n_respondents,) share of rows with another petition than overall-best.
        improvement: reduction of held-out loss against the null, its standard error.
        slope: calibration slope, its standard error.
        variance: person x message in total, linear in these covariates, as the learner sees it.
    """

    gains: np.ndarray
    promised: np.ndarray
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
    def of(cls, fitted: Crossfit, improvement: tuple[float, float]) -> Refit:
        """Summarise a cross-fit.

        Args:
            improvement: of its held-out loss over the null of no person-specific part, and the standard
            error.
        """
        weight = fitted.data.weight
        dividend = Dividend(fitted)
        heterogeneity = Heterogeneity(Answers.from_crossfit(fitted))
        predictability = Predictability(fitted, heterogeneity)
        one = weight[None]
        slope, error = predictability.slope(weight)
        plug_in = {name: scores.plug_in for name, scores in dividend.scores[1].items()}
        return cls(
            dividend.gains(),
            plug_in["nano"] - plug_in["overall_best"],
            dividend.divergent,
            np.array(improvement),
            np.array([slope, error]),
            np.array(
                [
                    heterogeneity.variances(one).person_by_message[0],
                    predictability.learner_free(one).sum(),
                    np.nan_to_num(slope) ** 2 * predictability.predicted_variance(one)[0],
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

    fitted, null = fit_folds(data, fold, fit, "fold"), fit_folds(data, fold, fit_common, "fold")
    found = compare_losses(held_out_losses(fitted), held_out_losses(null), data.weight)
    return Refit.of(fitted, (found["improvement"], found["std_error"]))
