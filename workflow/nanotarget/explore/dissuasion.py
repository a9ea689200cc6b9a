"""How far could petitions lower support? Nano-worst against overall-worst, on calibration data alone.

By the same doubly robust scores and errors as the dividend, of the opposite outcome. A petition that
dissuades is never generated for fielding: an arm of an experiment or of a roster can only name a policy that
seeks support (the config's schema allows no other), and nothing here leaves a petition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from nanotarget.calibrate import regression
from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.clean.contracts import ESTIMATE_COLUMNS
from nanotarget.diagnose import Group, allowed_interactions
from nanotarget.diagnose.ceiling import gain_ceiling
from nanotarget.diagnose.dividend import Dividend
from nanotarget.diagnose.divisions import Divisions
from nanotarget.diagnose.evidence import Answers, block_name
from nanotarget.diagnose.heterogeneity import Heterogeneity
from nanotarget.diagnose.quantities import POLICIES, Quantity
from nanotarget.diagnose.rows import Estimate, Sample
from nanotarget.petitions.design import Design, Pairs
from nanotarget.petitions.encoding import split_levels
from nanotarget.study.seeds import child_rng

DISSUASION_COLUMNS = ("group", "quantity", "attribute", *ESTIMATE_COLUMNS, "label", "note")
ASYMMETRY = "dissuasion - gain"
BOOTSTRAPS = 200
TESTED = (str(Quantity.GAIN), "overall_worst - nano_worst", ASYMMETRY)

Row = dict[str, Any]


def dissuasion(
    ends: Ends,
    groups: Sequence[Group] = (),
    confidence: float = 0.95,
    bootstraps: int = BOOTSTRAPS,
) -> pd.DataFrame:
    """Compare what personalisation adds to dissuasion with what it adds to support.

    A = [V(overall_worst) - V(nano_worst)] - [V(nano) - V(overall_best)]

    with its standard error from the respondents' paired scores (docs/methods.md): positive where
    personalised dissuasion would do more than personalised persuasion. Differences are those of the
    diagnosis: means over divisions, with errors that allow for what folds share.

    Args:
        ends: both ends of the calibration.
        groups: of respondents, large enough to be published.
        confidence: level of intervals.
        bootstraps: samples of respondents from which gaps and ceilings have their errors.

    Returns:
        `DISSUASION_COLUMNS`; for all respondents and each group, in units of the outcome:
        values of the four policies, the gain, the loss (dissuasion) and A, with Student's intervals
        (respondents who would get another petition, less 1, for the differences);
        `room above` overall-best and `room below` overall-worst up to the most extreme answers;
        by attribute the `top gap` between the best level and the runner-up of the common part-worths, the
        `bottom gap` between the worst and the last but one, and `bottom gap - top gap`: negative where the
        worst level is more easily overtaken, which makes A positive;
        by attribute (attributes that prohibitions tie together as one) and for all, what could be gained at
        either end if people's own preferences were known (`gain_ceiling`): `ceiling above`, `ceiling below`
        and `ceiling below - ceiling above`, which is A as the gaps alone predict it.
        Statistic and p value stand at differences only. Every row is exploratory.
    """
    counts = child_rng(ends.seed, "explore/dissuasion").multinomial(
        ends.n, np.full(ends.n, 1 / ends.n), size=bootstraps
    )
    counts = np.vstack([np.ones(ends.n), counts]).astype(np.float64)
    weight, rows = ends.fitted.data.weight, []
    for name, members in [("all", np.ones(ends.n, dtype=bool)), *((g.name, g.members) for g in groups)]:
        own = weight * members
        n = int((own > 0).sum())
        if n < 2:
            rows.append({"group": name, "quantity": ASYMMETRY, "n": n, "note": "fewer than two respondents"})
            continue
        estimates = [*ends.values(own), *ends.gaps(own * counts)]
        rows += [{"group": name, "n": n, **row} for row in estimates]
    return _tidy(rows, 1 - confidence)


@dataclass(frozen=True)
class Ends:
    """Both ends of a calibration.

    Attributes:
        fitted: the cross-fitted learner, seen from support (`Crossfit` as it was fitted).
        seed: root seed of the test of interactions and of the bootstrap.
        divisions: what many divisions say, by goal; without any the study's own, its rules taken for signal.
    """

    fitted: Crossfit
    seed: int = 0
    divisions: Mapping[str, Divisions] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of respondents."""
        return self.fitted.data.n_respondents

    @property
    def design(self) -> Design:
        """The petitions."""
        return self.fitted.data.design

    @cached_property
    def up(self) -> Dividend:
        """Scores of the best petitions."""
        return Dividend(self.fitted, *self.allowed)

    @cached_property
    def down(self) -> Dividend:
        """Scores of the worst petitions, of the opposite outcome."""
        return Dividend(self.fitted.for_goal("dissuade"), *self.allowed)

    @cached_property
    def heterogeneity(self) -> Heterogeneity:
        """Common part-worths and what people add to them."""
        return Heterogeneity(Answers.from_crossfit(self.fitted))

    @cached_property
    def allowed(self) -> tuple[int, Pairs]:
        """Order of the weights and pairs of attributes that may interact, as in the diagnosis."""
        if len(self.design.blocks) < 2:
            return allowed_interactions(None)
        return allowed_interactions(self.heterogeneity.interactions(self.fitted.data.weight, self.seed))

    @cached_property
    def scores(self) -> dict[str, np.ndarray]:
        """(n_respondents,) doubly robust scores of the policies at either end, outcome units."""
        up, down, opposite = self.up, self.down, self.fitted.data.response.opposite
        nano, best = (up.scores[up.estimator][name].value for name in POLICIES)
        nano_worst, worst = (opposite(down.scores[down.estimator][name].value) for name in POLICIES)
        return {"nano": nano, "overall_best": best, "overall_worst": worst, "nano_worst": nano_worst}

    def values(self, weight: np.ndarray) -> Iterator[Row]:
        """Yield values of the policies, their differences and the room left at either end."""
        up, down, outcome = self.up, self.down, self.fitted.data.outcome
        for name, scores in self.scores.items():
            yield _mean(name, scores, weight)
        yield _mean("room above", outcome.max() - self.scores["overall_best"], weight)
        yield _mean("room below", self.scores["overall_worst"] - outcome.min(), weight)
        gain, loss = (
            self.divisions.get(goal, Divisions.alone(own))
            for goal, own in (("support", up), ("dissuade", down))
        )
        sample = Sample.of(weight)
        for name, own in ((TESTED[0], gain), (TESTED[1], loss), (ASYMMETRY, loss.less(gain))):
            estimate = own.dividend(sample)
            note = "" if estimate.std_error > 0 else "nobody would get another petition"
            yield _row(name, estimate, note)

    def gaps(self, weights: np.ndarray) -> Iterator[Row]:
        """Yield gaps between levels and ceilings at either end, with their errors over samples.

        Args:
            weights: (1 + bootstraps, n_respondents); the first is the sample itself.
        """
        variances = self.heterogeneity.variances(weights).on_scale(self.fitted, weights[0])
        design, other = self.design, variances.for_goal("dissuade")
        for attribute, levels in zip(
            design.attributes, split_levels(variances.part_worths, design), strict=True
        ):
            # Which level is which is settled by the sample: the gaps are contrasts of fixed levels.
            order = np.argsort(levels[0], kind="stable")
            top, bottom = (
                levels[:, order[-1]] - levels[:, order[-2]],
                levels[:, order[1]] - levels[:, order[0]],
            )
            for quantity, samples in (
                ("top gap", top),
                ("bottom gap", bottom),
                ("bottom gap - top gap", bottom - top),
            ):
                yield _sampled(quantity, attribute.name, samples, weights)
        ends = [(own.part_worths, own.scale) for own in (variances, other)]
        # Every sample has its own covariance: which levels people differ in is estimated, too.
        covariance = variances.covariance.nearest(variances.person_by_message)
        for b, block in enumerate(design.blocks):
            alone = covariance.only(b)
            up, down = (gain_ceiling(design, levels, alone, end) for levels, end in ends)
            yield from _ceilings(block_name(block, design), up, down, weights)
        up, down = (gain_ceiling(design, levels, covariance, end) for levels, end in ends)
        yield from _ceilings("", up, down, weights)


def _mean(quantity: str, scores: np.ndarray, weight: np.ndarray) -> Row:
    return _row(quantity, Estimate.mean(scores, weight))


def _row(quantity: str, found: Estimate, note: str = "") -> Row:
    numbers = {"estimate": found.value, "std_error": found.std_error, "df": found.df}
    return {"quantity": quantity, **numbers, "note": note}


def _ceilings(name: str, above: np.ndarray, below: np.ndarray, weights: np.ndarray) -> Iterator[Row]:
    yield _sampled("ceiling above", name, above, weights)
    yield _sampled("ceiling below", name, below, weights)
    yield _sampled("ceiling below - ceiling above", name, below - above, weights)


def _sampled(quantity: str, attribute: str, samples: np.ndarray, weights: np.ndarray) -> Row:
    error = float(np.std(samples[1:], ddof=1)) if len(samples) > 2 else np.nan
    return {
        "quantity": quantity,
        "attribute": attribute,
        "estimate": float(samples[0]),
        "std_error": error,
        "df": int((weights[0] > 0).sum()) - 1,
    }


def _tidy(rows: Sequence[Row], alpha: float) -> pd.DataFrame:
    table = pd.DataFrame(rows).reindex(columns=list(DISSUASION_COLUMNS))
    table[["attribute", "note"]] = table[["attribute", "note"]].fillna("")
    estimate, error, df = (table[c].to_numpy(np.float64) for c in ("estimate", "std_error", "df"))
    error = np.where(error > 0, error, np.nan)
    tests = regression.tidy(estimate, error, np.where(np.isnan(error), np.nan, df), alpha)
    table[list(tests.columns)] = tests
    tested = table["quantity"].isin(TESTED) | table["quantity"].str.contains(" - (?:top|ceiling)")
    table.loc[~tested, ["statistic", "p_value"]] = np.nan
    return table.assign(label="exploratory")
