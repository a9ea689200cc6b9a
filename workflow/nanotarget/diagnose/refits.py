"""Cross-fits to variants of the calibration: parts of it, fewer covariates.

They are fitted with the study's learner if it is fast, with ridge regression if it is not, and leave
what the diagnosis needs of them as a few numbers and every respondent's scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nanotarget.calibrate.learners import FITTERS, Fitter
from nanotarget.calibrate.learners.base import Model, TrainingData
from nanotarget.calibrate.learners.crossfit import assign_folds, compare_losses, fit_folds, held_out_losses
from nanotarget.calibrate.learners.ridge import fit_null
from nanotarget.diagnose.dividend import Dividend
from nanotarget.diagnose.predictability import Predictability
from nanotarget.diagnose.quantities import Estimator, Quantity
from nanotarget.diagnose.rows import Estimate, Row, Sample
from nanotarget.study.config import CURVE_SHARES, FAST_LEARNERS, WHOLE, LearningConfig, RefitConfig
from nanotarget.study.seeds import child_rng


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
                    predictability.learner_free(weight).estimate.value,
                    predictability.learned(one)[0],
                ]
            ),
        )


@dataclass(frozen=True)
class Refits:
    """The cross-fits of a study, scored for its goal, and what they say beside that of the calibration.

    Attributes:
        by_variant: by name, see `DiagnoseConfig.variants`; may be empty.
        slow: whether they are by ridge, because the learner is slow; all respondents are then among the
            parts.
    """

    by_variant: Mapping[str, Refit]
    slow: bool = False

    def __getitem__(self, variant: str) -> Refit:
        """Return a cross-fit."""
        return self.by_variant[variant]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.by_variant)

    def rung(self, place: int) -> Refit:
        """Return the cross-fit of a rung of the ladder, from 0."""
        return self[f"rung_{place + 1}"]

    def parts(self, dividend: Dividend) -> dict[float, np.ndarray]:
        """Return (n_respondents,) gains by share of the respondents learned from."""
        parts = {share / 100: self[f"share_{share}"].gains for share in CURVE_SHARES}
        return parts | {1.0: self[WHOLE].gains if self.slow else dividend.gains()}

    def of_ridge(self, sample: Sample, shared: float) -> list[Row]:
        """Return the gain of ridge in the study's own division if the learner is slow.

        Args:
            shared: factor on its error for what folds share.
        """
        if not (self.slow and self):
            return []
        refit = self[WHOLE]
        apart = int(((refit.divergent > 0) & (sample.weight > 0)).sum())
        gain = Estimate.mean(refit.gains, sample.weight, max(apart - 1, 1)).times(shared)
        return [sample.row(Quantity.GAIN_OF_RIDGE, Estimator.FIRST_ORDER, gain)]


def to_arrays(refits: Mapping[str, Refit]) -> dict[str, np.ndarray]:
    """Return the numbers of refits for a file: "<variant>.<name>"."""
    return {f"{variant}.{name}": v for variant, refit in refits.items() for name, v in vars(refit).items()}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, Refit]:
    """Read the refits of a file, by variant."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    for key, values in arrays.items():
        variant, _, name = key.partition(".")
        parts.setdefault(variant, {})[name] = values
    return {variant: Refit(**part) for variant, part in parts.items()}


@dataclass(frozen=True)
class Refitting:
    """Cross-fits to variants of a calibration.

    Attributes:
        data: the calibration.
        calibrate: its settings.
        settings: of the diagnosis: ladder and goal.
        learner: of the study; ridge takes the place of a slow one.
        seed: root seed.
    """

    data: TrainingData
    calibrate: LearningConfig
    settings: RefitConfig
    learner: str
    seed: int

    @property
    def _fitter(self) -> Fitter:
        return FITTERS[self.learner if self.learner in FAST_LEARNERS else "ridge"]

    def refit(self, variant: str) -> Refit:
        """Cross-fit a variant, one of `DiagnoseConfig.variants`."""
        kind, _, number = variant.partition("_")
        if kind == "rung":
            return self._rung(self.settings.ladder[int(number) - 1].covariates)
        fold = assign_folds(self.data, self.calibrate.folds, self.seed, self.calibrate.own_answers)

        def fit(train: TrainingData, _: str) -> Model:
            return self._fitter(self._part(train, int(number)), self.seed, self.calibrate)

        fitted = fit_folds(self.data, fold, fit, "fold")
        dividend = Dividend(fitted.for_goal(self.settings.goal))
        return Refit(dividend.gains(), dividend.divergent, *(np.full(size, np.nan) for size in (2, 2, 3)))

    def _part(self, train: TrainingData, percent: int) -> TrainingData:
        """Return a part of the calibration's respondents, the same in all folds."""
        if percent == 100:
            return train
        n = self.data.n_respondents
        rank = child_rng(self.seed, "diagnose/learning curve").permutation(n)
        taken = self.data.respondents["respondent_id"][rank < n * percent / 100]
        inside = train.respondents["respondent_id"].isin(set(taken)).to_numpy()
        return train.subset(inside[train.respondent])

    @cached_property
    def _fold_of_rungs(self) -> np.ndarray:
        """(n_rows,) folds of respondents: no rung of the ladder uses their own answers."""
        return assign_folds(self.data, self.calibrate.folds, self.seed)

    @cached_property
    def _null_losses(self) -> np.ndarray:
        """(n_respondents,) held-out losses without person-specific part, the same for all rungs."""

        def fit_common(train: TrainingData, _: str) -> Model:
            return fit_null(train, self.seed, self.calibrate.interactions)

        return held_out_losses(fit_folds(self.data, self._fold_of_rungs, fit_common, "fold"))

    def _rung(self, names: Sequence[str]) -> Refit:
        """Cross-fit with some covariates only."""
        covariates = tuple(c for c in self.data.covariates if c.name in names)
        calibrate = self.calibrate.model_copy(update={"information": "covariates"})

        def fit(train: TrainingData, _: str) -> Model:
            return self._fitter(train, self.seed, calibrate)

        fitted = fit_folds(replace(self.data, covariates=covariates), self._fold_of_rungs, fit, "fold")
        compared = compare_losses(held_out_losses(fitted), self._null_losses, self.data.weight)
        return Refit.of(
            Dividend(fitted.for_goal(self.settings.goal)),
            Predictability.of(fitted),
            (compared["improvement"], compared["std_error"]),
        )
