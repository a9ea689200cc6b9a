"""What a diagnostic leaves: estimates for a sample of respondents, rows of its table, a stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.calibrate.learners.base import mean_and_error
from nanotarget.diagnose.quantities import Diagnostic, Estimator, Quantity

COLUMNS = (
    "diagnostic",
    "quantity",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "ceiling",
    "ceiling_low",
    "ceiling_high",
    "verdict",
    "estimator",
    "p_value",
    "n",
    "goal",
    "group",
    "label",
)
ONE_SIDED = 0.95  # level of the bounds that verdicts are based on
ALPHA = 1 - ONE_SIDED
# Share of what covariates can explain that a learner must explain: below it another one is advised, and its
# rule does not stand for all rules from these covariates.
LEARNED_ENOUGH = 0.5


@dataclass(frozen=True)
class Estimate:
    """A number with its uncertainty.

    Attributes:
        value: of the estimate.
        std_error: its standard error; NaN where it has none.
        df: degrees of freedom of Student's distribution; infinite for the normal one.
        p_value: of the test that belongs to it.
    """

    value: float
    std_error: float = np.nan
    df: float = np.inf
    p_value: float = np.nan

    @classmethod
    def mean(cls, scores: np.ndarray, weight: np.ndarray, df: float | None = None) -> Estimate:
        """Return the weighted mean of (n_respondents,) scores; respondents without weight are not counted.

        Args:
            df: degrees of freedom, respondents less 1 by default.
        """
        inside = weight > 0
        value, error = mean_and_error(scores[inside], weight[inside])
        return cls(value, error, max(int(inside.sum()) - 1, 1) if df is None else df)

    @classmethod
    def bootstrapped(cls, samples: np.ndarray, p_value: float = np.nan) -> Estimate:
        """Return the estimate of the first sample with the standard deviation of the others as its error."""
        spread = float(np.std(samples[1:], ddof=1)) if len(samples) > 2 else np.nan
        return cls(float(samples[0]), spread, p_value=p_value)

    @property
    def pair(self) -> tuple[float, float]:
        """The number and its standard error."""
        return self.value, self.std_error

    def interval(self, level: float) -> tuple[float, float]:
        """Return the bounds that are exceeded with probability 1 - level each."""
        margin = quantile(self.df, level) * self.std_error
        return self.value - margin, self.value + margin

    def p_above(self, null: float = 0.0) -> float:
        """Return the one-sided p-value of being at most a number; 1 without an error."""
        if not self.std_error > 0:
            return 1.0
        statistic = (null - self.value) / self.std_error
        return float(special.ndtr(statistic) if np.isinf(self.df) else special.stdtr(self.df, statistic))

    def times(self, factor: float) -> Estimate:
        """Return the same estimate with a standard error that is larger by a factor."""
        return replace(self, std_error=self.std_error * factor)

    def tested(self, null: float = 0.0) -> Estimate:
        """Return the same with the two-sided p-value of a null hypothesis; none without an error."""
        if not self.std_error > 0:
            return self
        statistic = -abs(self.value - null) / self.std_error
        below = special.ndtr(statistic) if np.isinf(self.df) else special.stdtr(self.df, statistic)
        return replace(self, p_value=float(2 * below))


def holm_levels(estimates: Sequence[Estimate], null: float) -> list[float]:
    """Return the level of one-sided bounds of each of several estimates, so that 5% hold for all together.

    Bounds that exclude the null are those that Holm's (1979) steps reject, in either direction.

    Args:
        null: a number that estimates are compared with.
    """
    p = [min(own.p_above(null), 1 - own.p_above(null)) if own.std_error > 0 else 1.0 for own in estimates]
    levels, left = [ONE_SIDED] * len(p), len(p)
    for place in np.argsort(p, kind="stable"):
        levels[place] = 1 - ALPHA / left
        if p[place] < ALPHA / left:
            left -= 1
    return levels


def quantile(df: float, level: float) -> float:
    """Return a quantile of Student's distribution; of the normal one if `df` is infinite."""
    return float(special.ndtri(level) if np.isinf(df) else special.stdtrit(df, level))


@dataclass(frozen=True)
class Row:
    """A row of diagnostics.csv.

    Attributes:
        quantity, attribute: what is estimated; of which attribute, empty for all of them.
        estimator: how.
        estimate, std_error, conf_low, conf_high, p_value, n: the number.
        ceiling, ceiling_low, ceiling_high: gain that a headline row leaves possible, one-sided bounds.
        verdict: of the stage, on its headline row.
        goal, group: of whom it speaks.
    """

    quantity: Quantity
    estimator: Estimator
    estimate: float
    std_error: float
    conf_low: float
    conf_high: float
    p_value: float
    n: int
    attribute: str = ""
    ceiling: float = np.nan
    ceiling_low: float = np.nan
    ceiling_high: float = np.nan
    verdict: str = ""
    goal: str = ""
    group: str = "all"

    @property
    def decides(self) -> bool:
        """Whether a verdict is based on it."""
        return bool(np.isfinite(self.ceiling))

    def with_ceiling(self, ceiling: float, low: float, high: float) -> Row:
        """Add the gain that a headline row leaves possible, with its one-sided bounds."""
        return replace(self, ceiling=ceiling, ceiling_low=low, ceiling_high=high)

    def cells(self) -> list[Any]:
        """Return the cells of the table, in the order of `COLUMNS`."""
        named = vars(self) | {
            "diagnostic": self.quantity.diagnostic,
            "quantity": self.quantity.of(self.attribute),
            "label": "exploratory",
        }
        return [str(cell) if isinstance(cell, str) else cell for cell in map(named.get, COLUMNS)]


def table_of(rows: Iterable[Row]) -> pd.DataFrame:
    """Return diagnostics.csv."""
    return pd.DataFrame([row.cells() for row in rows], columns=list(COLUMNS))


@dataclass(frozen=True)
class Sample:
    """Respondents of whom a diagnosis speaks, and bootstrap samples of them.

    Attributes:
        weights: (1 + n_bootstraps, n_respondents) survey weights, zero outside a group; then these times how
            often a bootstrap sample has drawn the respondent.
        confidence: of two-sided intervals.
        seed: root seed of permutation tests; None for none, as in groups.
    """

    weights: np.ndarray
    confidence: float = 0.95
    seed: int | None = None

    @classmethod
    def of(cls, weight: np.ndarray, confidence: float = 0.95) -> Sample:
        """Return (n_respondents,) respondents without any bootstrap sample."""
        return cls(weight[None], confidence)

    @property
    def weight(self) -> np.ndarray:
        """(n_respondents,) survey weights."""
        return self.weights[0]

    @property
    def share(self) -> np.ndarray:
        """(n_respondents,) survey weights that add up to 1."""
        return self.weight / self.weight.sum()

    @property
    def n(self) -> int:
        """Number of respondents."""
        return int((self.weight > 0).sum())

    def row(
        self, quantity: Quantity, estimator: Estimator, estimate: Estimate | float, attribute: str = ""
    ) -> Row:
        """Return the row of an estimate, or of a number without an error."""
        known = estimate if isinstance(estimate, Estimate) else Estimate(float(estimate))
        low, high = known.interval((1 + self.confidence) / 2)
        return Row(
            quantity, estimator, known.value, known.std_error, low, high, known.p_value, self.n, attribute
        )

    def mean_row(
        self, quantity: Quantity, estimator: Estimator, scores: np.ndarray, df: float | None = None
    ) -> Row:
        """Return the row of the weighted mean of (n_respondents,) scores."""
        return self.row(quantity, estimator, Estimate.mean(scores, self.weight, df))


@dataclass(frozen=True)
class Stage:
    """What one diagnostic says.

    Attributes:
        name: of the diagnostic.
        ceiling, low, high: largest gain that it leaves possible, with one-sided 95% bounds.
        significant: whether what the diagnostic tests for is there (one-sided 5%).
        learned: of predictability, whether the learner's own predictions hold for respondents whom it has not
            seen, and explain enough of what covariates can explain.
        evaluated: whether the data allow an estimate.
        rows: tidy rows, the headline first.
    """

    name: Diagnostic
    ceiling: float = np.nan
    low: float = np.nan
    high: float = np.nan
    significant: bool = False
    learned: bool = False
    evaluated: bool = True
    rows: tuple[Row, ...] = ()

    @classmethod
    def of(cls, headline: Row, *others: Row) -> Stage:
        """Return the stage whose ceiling is that of its headline row."""
        name, ceiling = headline.quantity.diagnostic, headline.ceiling
        return cls(name, ceiling, headline.ceiling_low, headline.ceiling_high, rows=(headline, *others))

    def at_most(self, room: Estimate) -> Stage:
        """Return the same with a ceiling and bounds that leave no more than there is room for."""
        own, most = (self.ceiling, self.low, self.high), (room.value, *room.interval(ONE_SIDED))
        return self._between(*(min(bound, max(end, 0.0)) for bound, end in zip(own, most, strict=True)))

    def at_least(self, part: Stage) -> Stage:
        """Return the same with a ceiling and an upper bound that leave what a part of it leaves possible."""
        if not (self.evaluated and part.evaluated):
            return self
        ceiling, high = np.fmax((self.ceiling, self.high), (part.ceiling, part.high))
        return self._between(float(ceiling), self.low, float(high))

    def _between(self, ceiling: float, low: float, high: float) -> Stage:
        rows = (self.headline.with_ceiling(ceiling, low, high), *self.rows[1:])
        return replace(self, ceiling=ceiling, low=low, high=high, rows=rows)

    @property
    def headline(self) -> Row:
        """The row that the verdict is based on."""
        return self.rows[0]

    def value(self, quantity: Quantity, estimator: Estimator | None = None) -> float:
        """Return an estimate of the stage's rows; NaN if there is none."""
        wanted = (r for r in self.rows if r.quantity == quantity and estimator in (None, r.estimator))
        return next((row.estimate for row in wanted), np.nan)
