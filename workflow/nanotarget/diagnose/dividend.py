"""Dividend: what nano gains over overall-best, honestly estimated.

Every respondent is scored under petitions that were chosen by a model fitted without her, the
overall-best petition included, with doubly robust scores (`value`).

The gain is a sum over those to whom nano gives another petition; for everybody else it is exactly
zero. Its intervals are therefore Student's with (divergent respondents - 1) degrees of freedom: with
a dozen of them or fewer, one of the two normal bounds misses the true gain in 7 % to 16 % of samples
instead of 5 % and would decide too often.

Folds share answers, which makes errors larger than those of independent scores (`folds`).

Overall-best has the highest average utility of the training respondents, weighted with their survey
weights. For a rating that is the highest average response. For a choice utilities are log-odds, and
the petition that wins most often against a random one may be another; it is not searched for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.calibrate.learners.base import mean_and_error
from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.diagnose.crossover import Half
from nanotarget.diagnose.folds import LINEAR_PART_OF_CHOICE, shared_noise
from nanotarget.diagnose.rows import ONE_SIDED, Row, mean_row, quantile, with_ceiling
from nanotarget.diagnose.value import Pairs, Scores, policy_scores, random_scores
from nanotarget.petitions import policy
from nanotarget.petitions.utilities import in_memory
from nanotarget.study.seeds import child_rng

FIRST_ORDER, PAIRS, SECOND_ORDER = "dr_q1", "dr_pairs", "dr_q2"
NANO_BEST = "nano - overall_best"
SHUFFLES = 5  # of petitions among respondents
SIZES = (1, 2, 3, 5, 8, 13, 21)  # numbers of petitions on the frontier
LARGER = (2, 4, np.inf)  # calibrations that the learning curve looks ahead to, times the present one
FRONTIER_COLUMNS = ("k", "value", "std_error", "gain", "gain_std_error", "gain_low", "gain_high")
CURVE_COLUMNS = ("share", "n", "gain", "std_error", "conf_low", "conf_high", "kind")


@dataclass(frozen=True)
class Dividend:
    """Scores of respondents under policies, computed once, whatever weights respondents get.

    Attributes:
        fitted: the cross-fitted learner.
        halves: rules learned from disjoint halves; without them rules are taken to be all signal.
        order, pairs: of the weights on which the verdict stands, see `value.policy_weights`.
    """

    fitted: Crossfit
    halves: Sequence[Half] = ()
    order: int = 1
    pairs: Pairs = ()

    @property
    def estimator(self) -> str:
        """Name of the estimator on which the verdict stands."""
        return PAIRS if self.pairs else f"dr_q{self.order}"

    @cached_property
    def petitions(self) -> Mapping[str, np.ndarray]:
        """(n_units, n_attributes) petitions of the policies."""
        return {"nano": policy.nano(self.fitted.utilities), "overall_best": self.fitted.overall_best}

    @cached_property
    def scores(self) -> Mapping[str, Mapping[str, Scores]]:
        """Scores by estimator and policy."""
        weights: dict[str, tuple[int, Pairs]] = {FIRST_ORDER: (1, ()), SECOND_ORDER: (2, ())}
        if self.pairs:
            weights[PAIRS] = (1, self.pairs)
        return {
            estimator: {
                name: policy_scores(self.fitted, shown, *allowed) for name, shown in self.petitions.items()
            }
            for estimator, allowed in weights.items()
        }

    def shared_noise(self, weight: np.ndarray) -> float:
        """Return the factor on standard errors of nano's gain for what folds share (`folds.shared_noise`)."""
        if not self.halves:
            return 1.0
        one, other = (half.change for half in self.halves)
        return shared_noise(one, other, weight, len(self.fitted.models), LINEAR_PART_OF_CHOICE)

    @cached_property
    def divergent(self) -> np.ndarray:
        """(n_respondents,) share of a respondent's rows in which nano differs from overall-best."""
        apart = (self.petitions["nano"] != self.petitions["overall_best"]).any(axis=1)
        return self.fitted.respondent_means(apart.astype(float))

    def gains(self, estimator: str = FIRST_ORDER) -> np.ndarray:
        """Return the (n_respondents,) scores of nano less those of overall-best."""
        scores = self.scores[estimator]
        return scores["nano"].value - scores["overall_best"].value

    def degrees(self, weight: np.ndarray) -> int:
        """Return the degrees of freedom of the gain."""
        return max(int(((self.divergent > 0) & (weight > 0)).sum()) - 1, 1)

    def shuffled(self, seed: int) -> np.ndarray:
        """Return the (n_respondents,) scores if a fold's nano petitions were dealt anew among its people."""
        rng, fitted = child_rng(seed, "diagnose/shuffled petitions"), self.fitted
        total = np.zeros(fitted.data.n_respondents)
        for _ in range(SHUFFLES):
            dealt = self.petitions["nano"].copy()
            for f in range(len(fitted.models)):
                units = np.flatnonzero(fitted.unit_fold == f)
                dealt[units] = dealt[rng.permutation(units)]
            total += policy_scores(fitted, dealt, 1).value
        return total / SHUFFLES

    def _gain(self, weight: np.ndarray, confidence: float, estimator: str) -> Row:
        """Return the gain of nano over overall-best with an error that knows what folds share."""
        scores, df = self.gains(estimator), self.degrees(weight)
        found = mean_row(
            "dividend", NANO_BEST, scores, weight, estimator=estimator, confidence=confidence, df=df
        )
        error = found["std_error"] * self.shared_noise(weight)
        margin = quantile(df, (1 + confidence) / 2) * error
        gain = found["estimate"]
        return found | {"std_error": error, "conf_low": gain - margin, "conf_high": gain + margin}

    def headline(self, weight: np.ndarray, confidence: float) -> Row:
        """Return the gain of nano over overall-best with its one-sided bounds as ceiling."""
        found = self._gain(weight, confidence, self.estimator)
        margin = quantile(self.degrees(weight), ONE_SIDED) * found["std_error"]
        gain = found["estimate"]
        return with_ceiling(found, gain, gain - margin, gain + margin)

    def rows(self, weight: np.ndarray, confidence: float) -> list[Row]:
        """Return the values of the policies and their differences, by every estimator."""
        random = random_scores(self.fitted.data)
        estimators = {
            estimator: {name: scores.value for name, scores in policies.items()}
            for estimator, policies in self.scores.items()
        } | {"plug_in": {name: scores.plug_in for name, scores in self.scores[FIRST_ORDER].items()}}

        def of(quantity: str, estimator: str, scores: np.ndarray) -> Row:
            df = self.degrees(weight) if quantity in (NANO_BEST, "order 2 - order 1") else None
            return mean_row(
                "dividend", quantity, scores, weight, estimator=estimator, confidence=confidence, df=df
            )

        found = [of("random", "observed", random)]
        for estimator, values in estimators.items():
            found += [of(name, estimator, score) for name, score in values.items()]
            if estimator == self.estimator:
                found.append(self.headline(weight, confidence))
            elif estimator in self.scores:
                found.append(self._gain(weight, confidence, estimator))
            else:
                found.append(of(NANO_BEST, estimator, values["nano"] - values["overall_best"]))
            found += [of(f"{name} - random", estimator, score - random) for name, score in values.items()]
        found.append(of("share divergent", "observed", self.divergent))
        disagreement = of("order 2 - order 1", "dr", self.gains(SECOND_ORDER) - self.gains(FIRST_ORDER))
        if disagreement["std_error"] > 0:
            statistic = abs(disagreement["estimate"]) / disagreement["std_error"]
            disagreement["p_value"] = two_sided(statistic, self.degrees(weight))
        return [*found, disagreement]

    def matching(self, weight: np.ndarray, confidence: float, seed: int) -> list[Row]:
        """Split the gain: matching petitions to people, less the quality lost by leaving the best one.

        V(nano) - V(best) = [V(nano) - V(dealt anew)] - [V(best) - V(dealt anew)] (methods.md, section 3.6).
        """
        dealt = self.shuffled(seed)
        return [
            mean_row(
                "dividend",
                quantity,
                self.scores[FIRST_ORDER][name].value - dealt,
                weight,
                estimator="dr_q1",
                confidence=confidence,
            )
            for quantity, name in (("matching gain", "nano"), ("quality loss", "overall_best"))
        ]

    def frontier(self, weight: np.ndarray, sizes: Sequence[int] = SIZES) -> pd.DataFrame:
        """Value k petitions, each respondent given the best of them, all chosen without her.

        Args:
            weight: (n_respondents,).
            sizes: numbers k of petitions.

        Returns:
            `FRONTIER_COLUMNS`, bounds of the gain over overall-best one-sided; k = 1 is overall-best.
        """
        fitted, best = self.fitted, self.scores[FIRST_ORDER]["overall_best"].value
        training = [(in_memory(utilities), w) for utilities, w in fitted.training]
        own_best = [policy.nano(utilities) for utilities, _ in training]
        held_out = [np.flatnonzero(fitted.unit_fold == f) for f in range(len(training))]
        own = [
            model.utilities(fitted.data.respondents.iloc[fitted.respondent[units]])
            for model, units in zip(fitted.models, held_out, strict=True)
        ]
        rows = []
        for k in sizes:
            petitions = fitted.overall_best.copy()
            if k > 1:
                for f, (utilities, w) in enumerate(training):
                    chosen = policy.best_set(utilities, w, k, 1, own_best[f])
                    petitions[held_out[f]] = policy.segment(own[f], chosen)
            value = policy_scores(fitted, petitions, 1).value
            inside = weight > 0
            mean, error = mean_and_error(value[inside], weight[inside])
            gain, gain_error = mean_and_error((value - best)[inside], weight[inside])
            apart = fitted.respondent_means((petitions != fitted.overall_best).any(axis=1).astype(float))
            margin = quantile(max((apart[inside] > 0).sum() - 1, 1), ONE_SIDED) * gain_error
            rows.append((k, mean, error, gain, gain_error, gain - margin, gain + margin))
        return pd.DataFrame(rows, columns=list(FRONTIER_COLUMNS))


def two_sided(statistic: float, df: float) -> float:
    """Return the two-sided p-value of Student's t."""
    return float(2 * special.stdtr(df, -abs(statistic)))


def learning_curve(
    gains: Mapping[float, np.ndarray], weight: np.ndarray, training: int, confidence: float
) -> pd.DataFrame:
    """Extrapolate the gain from parts of the calibration: gain(n) = limit - c / n (methods.md, section 4).

    Args:
        gains: by share of the training respondents, the (n_respondents,) scores of nano less overall-best,
        for
            the same people and folds.
        weight: (n_respondents,).
        training: number of respondents in a training set at share 1.

    Returns:
        `CURVE_COLUMNS`: measured, then extrapolated to `LARGER` calibrations; n is empty for an infinite one.
        Errors of the extrapolation are over respondents: it is linear in their scores.
    """
    shares = sorted(gains)
    scores = np.column_stack([gains[share] for share in shares])
    basis = np.column_stack([np.ones(len(shares)), 1 / np.array(shares)])
    rows = []

    def add(share: float, values: np.ndarray, kind: str) -> None:
        estimate, error = mean_and_error(values, weight)
        margin = quantile(np.inf, (1 + confidence) / 2) * error
        n = np.nan if np.isinf(share) else round(share * training)
        rows.append(
            (
                share if np.isfinite(share) else np.nan,
                n,
                estimate,
                error,
                estimate - margin,
                estimate + margin,
                kind,
            )
        )

    for j, share in enumerate(shares):
        add(share, scores[:, j], "measured")
    if len(shares) > 2:
        to_line = np.linalg.pinv(basis)
        for share in LARGER:
            add(share, scores @ (np.array([1, 1 / share]) @ to_line), "extrapolated")
    return pd.DataFrame(rows, columns=list(CURVE_COLUMNS))


def median_of_splits(estimates: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Combine estimates from several divisions into folds.

    The median, with variance median of (error^2 + (estimate - median)^2) (Chernozhukov et al. 2018,
    "Double/debiased machine learning", definition 3.3).
    """
    middle = float(np.median(estimates))
    variance = np.median(np.square(errors) + (np.asarray(estimates) - middle) ** 2)
    return middle, float(np.sqrt(variance))
