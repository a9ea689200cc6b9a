"""The four diagnostics of one calibration, for both goals and for groups, as tables and in words."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from nanotarget.calibrate.learners.base import mean_and_error
from nanotarget.calibrate.learners.crossfit import Crossfit
from nanotarget.diagnose.ceiling import ceiling_samples, gain_ceiling
from nanotarget.diagnose.crossover import Crossover, Half
from nanotarget.diagnose.dividend import (
    CURVE_COLUMNS,
    FIRST_ORDER,
    FRONTIER_COLUMNS,
    NANO_BEST,
    SIZES,
    Dividend,
    learning_curve,
    median_of_splits,
    two_sided,
)
from nanotarget.diagnose.evidence import Answers
from nanotarget.diagnose.heterogeneity import LAGS, Heterogeneity, Interactions, Variances, shares_of
from nanotarget.diagnose.permutation import p_value
from nanotarget.diagnose.predictability import CALIBRATION_COLUMNS, Predictability
from nanotarget.diagnose.refits import Refit
from nanotarget.diagnose.rows import (
    COLUMNS,
    ONE_SIDED,
    Row,
    mean_row,
    quantile,
    row,
    sample_row,
    with_ceiling,
)
from nanotarget.diagnose.value import Pairs
from nanotarget.diagnose.verdict import Facts, Stage, answer_of, listed_flags, stage_verdicts, threshold
from nanotarget.petitions.policy import effective_number
from nanotarget.study.config import CURVE_SHARES, FAST_LEARNERS, DiagnoseConfig
from nanotarget.study.progress import steps
from nanotarget.study.seeds import child_rng

LOG = logging.getLogger(__name__)
UNITS = {"rating": "points on the rating scale", "choice": "in the probability to be chosen"}
ALPHA = 1 - ONE_SIDED
TASKS = 200  # of a person, up to which it is asked whether her own answers could pay
DECISIVE = {  # how the flag of interactions ends
    "dr_q1": ".",
    "dr_pairs": ": the gain is that of weights that allow for the pairs that stand out.",
    "dr_q2": ", which has none: the gain is that of second order.",
}
CLEARLY = 0.01  # p-value below which interactions of attributes are taken for certain
FEW = 30  # divergent respondents below which the gain rests on few
LADDER_COLUMNS = (
    "rung",
    "learner",
    "information",
    "n_covariates",
    "improvement",
    "std_error",
    "slope",
    "slope_low",
    "slope_high",
    "predictable_variance",
    "predictable_share",
    "gain",
    "gain_std_error",
    "gain_low",
    "gain_high",
    "n",
)
SWITCH_COLUMNS = ("attribute", "level", "overall_best", "share_nano", "share_replicated")


@dataclass(frozen=True)
class Group:
    """Respondents looked at by themselves: "<grouping>: <group>" and (n_respondents,) who is in it."""

    name: str
    members: np.ndarray


@dataclass(frozen=True)
class Diagnosis:
    """What the stage leaves: the table of diagnostics, the answer, and the tables of the figures."""

    diagnostics: pd.DataFrame
    answer: dict[str, Any]
    calibration: pd.DataFrame
    switches: pd.DataFrame
    frontier: pd.DataFrame
    learning_curve: pd.DataFrame
    ladder: pd.DataFrame


@dataclass(frozen=True)
class Material:
    """What a diagnosis is made from.

    Attributes:
        fitted: the cross-fitted learner.
        halves: models fitted to disjoint halves.
        settings: of the stage.
        seed: root seed.
        learner: name of the learner.
        improvement: of its held-out loss over the null, and the standard error (learners.csv).
        own_answers: whether policies look at people's own answers.
        refits: by variant (`DiagnoseConfig.variants`), scored for the study's goal; may be empty.
        permuted: permutations.csv, or None.
        sizes: numbers of petitions on the frontier.
    """

    fitted: Crossfit
    halves: Crossfit
    settings: DiagnoseConfig
    seed: int
    learner: str = "ridge"
    improvement: tuple[float, float] = (np.nan, np.nan)
    own_answers: bool = False
    refits: Mapping[str, Refit] = field(default_factory=dict)
    permuted: pd.DataFrame | None = None
    sizes: Sequence[int] = SIZES

    @property
    def slow(self) -> bool:
        """Whether refits are by ridge, because the learner is slow."""
        return self.learner not in FAST_LEARNERS

    @property
    def known(self) -> str:
        """What a policy looks at, in words; empty if there is nothing."""
        covariates = "covariates" if any(c.target for c in self.fitted.data.covariates) else ""
        answers = "people's own answers" if self.own_answers else ""
        return " and ".join(part for part in (covariates, answers) if part)

    @property
    def has_information(self) -> bool:
        """Whether a policy has anything to look at."""
        return bool(self.known)

    @cached_property
    def heterogeneity(self) -> Heterogeneity:
        """The answers."""
        return Heterogeneity(Answers.from_crossfit(self.fitted))

    @cached_property
    def predictability(self) -> Predictability:
        """The predictions."""
        return Predictability(self.fitted, self.heterogeneity)

    @cached_property
    def interactions(self) -> Interactions | None:
        """Interactions of attributes that are common to all; None where there is one block of attributes."""
        if len(self.fitted.data.design.blocks) < 2:
            return None
        return self.heterogeneity.interactions(self.fitted.data.weight, self.seed)

    @cached_property
    def allowed(self) -> tuple[int, Pairs]:
        """Order of the weights on which the dividend stands, and the pairs allowed to interact."""
        return allowed_interactions(self.fitted, self.interactions)

    @cached_property
    def counts(self) -> np.ndarray:
        """(1 + bootstraps, n_respondents) how often a respondent is in a sample; the first is the data."""
        n = self.fitted.data.n_respondents
        drawn = child_rng(self.seed, "diagnose/bootstrap").multinomial(
            n, np.full(n, 1 / n), size=self.settings.bootstraps
        )
        return np.vstack([np.ones(n), drawn]).astype(float)


def diagnose(material: Material, groups: Sequence[Group] = ()) -> Diagnosis:
    """Run the four diagnostics for the goal of the study, the other goal and groups of respondents.

    Args:
        material: what there is.
        groups: of respondents.

    Returns:
        Tables and answer. What needs covariates is empty, and its stages not evaluated, without any.
    """
    settings, data = material.settings, material.fitted.data
    everybody = data.weight
    other = "dissuade" if settings.goal == "support" else "support"
    views = {goal: View.of(material, goal) for goal in (settings.goal, other)}
    main = views[settings.goal]
    own, facts = main.whole(everybody)
    rows = [line | {"goal": settings.goal, "group": "all"} for line in own]
    answer = answer_of(facts)
    others = []
    combinations = [(other, "all", everybody)] if material.has_information else []
    combinations += [
        (goal, group.name, everybody * group.members)
        for goal in (settings.goal, other)
        for group in groups
        if material.has_information
    ]
    for goal, name, weight in steps(combinations, "goals and groups"):
        own, own_facts = views[goal].brief(weight, facts.smallest)
        rows += [r | {"goal": goal, "group": name} for r in own]
        said = answer_of(own_facts)
        gain = own_facts.stages["dividend"]
        others.append(
            {key: said[key] for key in ("goal", "overall", "binding", "stages", "text")}
            | {"group": name, "gain": gain.ceiling, "gain_low": gain.low, "gain_high": gain.high}
        )
    table = pd.DataFrame(rows, columns=list(COLUMNS)).assign(label="exploratory")
    gain = facts.stages["dividend"]
    answer |= {
        "threshold": facts.smallest,
        "sesoi": settings.sesoi,
        "unit": UNITS[data.outcome_kind],
        "gain": gain.ceiling,
        "gain_low": gain.low,
        "gain_high": gain.high,
        "share_divergent": facts.divergent,
        "flags": main.flags(table, facts),
        "others": others,
    }
    return Diagnosis(
        table,
        answer,
        main.calibration(everybody),
        main.switches(everybody),
        main.frontier,
        main.curve(everybody),
        main.ladder(everybody),
    )


@dataclass(frozen=True)
class View:
    """A calibration seen from one goal: to dissuade, the outcome and all utilities have the opposite sign.

    Attributes:
        material: what there is.
        goal: support or dissuade.
        fitted, halves: of the goal's outcome.
    """

    material: Material
    goal: str
    fitted: Crossfit
    halves: Crossfit

    @classmethod
    def of(cls, material: Material, goal: str) -> View:
        """Look at the calibration for a goal."""
        return cls(material, goal, material.fitted.towards(goal), material.halves.towards(goal))

    @property
    def sign(self) -> float:
        """Of the goal's outcome."""
        return 1.0 if self.goal == "support" else -1.0

    @property
    def _rules(self) -> Sequence[Half]:
        """The rules of the two halves, where a policy has anything to look at."""
        return self.crossover.halves if self.material.has_information else ()

    @cached_property
    def dividend(self) -> Dividend:
        """Scores under the policies."""
        return Dividend(self.fitted, self._rules, *self.material.allowed)

    @cached_property
    def scored_halves(self) -> Dividend:
        """Scores of either half's answers under the policies learned from the other half."""
        return Dividend(self.halves, self._rules, *self.material.allowed)

    @cached_property
    def crossover(self) -> Crossover:
        """The two halves."""
        return Crossover(self.halves, self.material.fitted.data.weight)

    # --- one diagnostic after the other: its headline row and its stage ---

    def _heterogeneity(self, weights: np.ndarray, seed: int | None) -> tuple[Row, Stage, Variances]:
        material = self.material
        found = material.heterogeneity.variances(weights)
        total, confidence = found.person_by_message, material.settings.confidence
        n = int((weights[0] > 0).sum())
        p = material.heterogeneity.sign_flip_p(weights[0], seed) if seed is not None else np.nan
        line = sample_row(
            "heterogeneity",
            "person x message variance",
            total,
            estimator="cross_task",
            n=n,
            confidence=confidence,
            p_value=p,
        )
        gains = ceiling_samples(
            material.fitted.data.design, self.sign * found.part_worths, total, found.shares
        )
        gains = np.minimum(gains, self._room(weights[0]))
        low, high = np.quantile(gains[1:], [ALPHA, ONE_SIDED])
        evaluated = bool(((material.heterogeneity.products.pairs > 0) & (weights[0] > 0)).any())
        stage = Stage(
            "heterogeneity",
            float(gains[0]),
            float(low),
            float(high),
            found=bool(line["estimate"] - quantile(np.inf, ONE_SIDED) * line["std_error"] > 0),
            evaluated=evaluated,
        )
        return with_ceiling(line, stage.ceiling, stage.low, stage.high), stage, found

    def _room(self, weight: np.ndarray) -> float:
        """Return how far overall-best is from the end of the scale: nobody can gain more."""
        value = self.dividend.scores[FIRST_ORDER]["overall_best"].value
        return float(max(self.fitted.data.outcome.max() - weight @ value / weight.sum(), 0))

    def _predictability(
        self, weights: np.ndarray, variances: Variances, above: Stage, seed: int | None
    ) -> tuple[list[Row], Stage]:
        material, settings = self.material, self.material.settings
        predictability, n = material.predictability, int((weights[0] > 0).sum())
        slope, error = predictability.slope(weights[0])
        error *= self.crossover.shared_noise(weights[0], len(self.fitted.models))
        line = row(
            "predictability",
            "calibration slope",
            slope,
            error,
            estimator="crossfit",
            n=n,
            confidence=settings.confidence,
            df=max(n - 1, 1),
            p_value=two_sided(slope / error, max(n - 1, 1)) if error > 0 else np.nan,
        )
        by_block = predictability.learner_free(weights)
        free = by_block.sum(axis=1)
        p = predictability.dealt_p(weights[0], seed) if seed is not None else np.nan
        learned = predictability.learned(weights)
        known, shares = np.maximum(free, learned), shares_of(by_block[0])
        if learned[0] > free[0]:
            shares = shares_of(predictability.learned_shares(weights[0]))
        if material.own_answers:
            own = own_answers_variance(variances, self._noise_of_respondents(weights[0], variances), 1.0)
            known = np.maximum(known, own)
            shares = variances.shares if own[0] >= known[0] else shares
        gains = ceiling_samples(material.fitted.data.design, self.sign * variances.part_worths, known, shares)
        low, high = np.quantile(gains[1:], [ALPHA, ONE_SIDED])
        bound = quantile(np.inf, ONE_SIDED)
        is_learned = bool(np.isfinite(slope) and slope - bound * error > 0)
        ceiling = float(min(gains[0], above.ceiling)) if above.evaluated else float(gains[0])
        stage = Stage(
            "predictability",
            ceiling,
            float(min(low, ceiling)),
            float(max(min(high, above.high), ceiling)) if above.evaluated else float(high),
            found=is_learned or p < ALPHA,
            learned=is_learned,
            evaluated=material.has_information,
        )
        rows = [with_ceiling(line, stage.ceiling, stage.low, stage.high)]
        named: dict[str, Any] = {"n": n, "confidence": settings.confidence}
        rows.append(
            sample_row(
                "predictability", "predictable variance", free, estimator="cross_person", p_value=p, **named
            )
        )
        rows.append(
            sample_row("predictability", "predictable variance", learned, estimator="crossfit", **named)
        )
        total = variances.person_by_message
        if above.found:
            share = known / np.where(total > 0, total, np.nan)
            bounds = np.nanquantile(share[1:], [(1 - settings.confidence) / 2, (1 + settings.confidence) / 2])
            line = sample_row("predictability", "predictable share", share, estimator="ratio", **named)
            rows.append(line | {"std_error": np.nan, "conf_low": bounds[0], "conf_high": bounds[1]})
        return rows, stage

    def _noise_of_respondents(self, weight: np.ndarray, variances: Variances) -> np.ndarray:
        """(n_blocks,) variance of a respondent's own estimate of her coordinates that is noise."""
        vectors = self.material.heterogeneity.residual_vectors
        mass = weight[vectors.respondent] * vectors.share
        squares = mass @ vectors.by_block(vectors.value**2) / mass.sum()
        return np.maximum(squares - variances.by_block[0], 1e-12)

    def _crossover(self, weight: np.ndarray) -> tuple[Row, Stage]:
        if self.material.allowed != (1, ()):
            # Where attributes clearly interact no learner is trusted to score; answers do.
            line = self.scored_halves.headline(weight, self.material.settings.confidence)
            line |= {"diagnostic": "crossover", "quantity": "cross-half gain"}
            return line, stage_of(line)
        estimate, error = self.crossover.gain(weight)
        line = row(
            "crossover",
            "cross-half gain",
            estimate,
            error,
            estimator="cross_half",
            n=int((weight > 0).sum()),
            confidence=self.material.settings.confidence,
        )
        margin = quantile(np.inf, ONE_SIDED) * error
        line = with_ceiling(line, estimate, estimate - margin, estimate + margin)
        return line, stage_of(line)

    def _dividend(self, weight: np.ndarray) -> tuple[Row, Stage]:
        line = self.dividend.headline(weight, self.material.settings.confidence)
        return line, stage_of(line)

    # --- together ---

    def brief(self, weight: np.ndarray, smallest: float) -> tuple[list[Row], Facts]:
        """Return the headline rows of a group of respondents and what there is to say.

        Args:
            weight: (n_respondents,), zero for those who are not in the group.
            smallest: smallest gain that matters.
        """
        weights = self.material.counts * weight
        first, heterogeneity, variances = self._heterogeneity(weights, None)
        second, predictability = self._predictability(weights, variances, heterogeneity, None)
        third, crossover = self._crossover(weight)
        fourth, dividend = self._dividend(weight)
        facts = self._facts(
            weight, smallest, variances, [heterogeneity, predictability, crossover, dividend], second
        )
        rows = [first, second[0], third, fourth]
        rows.append(self._divergent(weight))
        return self._judged(rows, facts), facts

    def _divergent(self, weight: np.ndarray) -> Row:
        return mean_row(
            "dividend",
            "share divergent",
            self.dividend.divergent,
            weight,
            estimator="observed",
            confidence=self.material.settings.confidence,
        )

    def _judged(self, rows: list[Row], facts: Facts) -> list[Row]:
        """Write verdicts on the headline rows."""
        return [
            r | {"verdict": facts.answers[r["diagnostic"]]} if np.isfinite(r["ceiling"]) else r for r in rows
        ]

    def _facts(
        self,
        weight: np.ndarray,
        smallest: float,
        variances: Variances,
        stages: Sequence[Stage],
        predictable: Sequence[Row],
        **more: Any,
    ) -> Facts:
        found = {stage.name: stage for stage in stages}
        within = variances.total[0] - variances.baseline[0]
        share = [r["estimate"] for r in predictable if r["quantity"] == "predictable share"]
        person = variances.person_by_message[0]
        facts: dict[str, Any] = {
            "goal": self.goal,
            "unit": UNITS[self.fitted.data.outcome_kind],
            "smallest": smallest,
            "stages": found,
            "answers": stage_verdicts(found, smallest),
            "within": max(person, 0) * self.material.heterogeneity.answers.n_sides / within
            if within > 0
            else np.nan,
            "predictable": share[0] if share else np.nan,
            "respondents": int((weight > 0).sum()),
            "known": self.material.known,
        }
        if self.material.has_information:
            scores, inside = self.dividend.scores[FIRST_ORDER], weight > 0
            mass = weight[inside] / weight[inside].sum()
            promised = scores["nano"].plug_in - scores["overall_best"].plug_in
            facts |= {
                "slope": predictable[0]["estimate"],
                "divergent": float(mass @ self.dividend.divergent[inside]),
                "promised": float(mass @ promised[inside]),
            }
        return Facts(**(facts | more))

    def whole(self, weight: np.ndarray) -> tuple[list[Row], Facts]:
        """Return all rows of the sample and what there is to say."""
        material, settings = self.material, self.material.settings
        weights = material.counts * weight
        LOG.info("how much people differ, in %d bootstrap samples", settings.bootstraps)
        first, heterogeneity, variances = self._heterogeneity(weights, material.seed)
        rows = [first, *self._variance_rows(weights, variances)]
        stages = [heterogeneity]
        if not material.has_information:
            smallest, _ = threshold(settings, 1)
            stages += [Stage(name, evaluated=False) for name in ("predictability", "crossover", "dividend")]
            own = [r for r in self.dividend.rows(weight, settings.confidence) if "nano" not in r["quantity"]]
            own = [r for r in own if r["quantity"] not in ("share divergent", "order 2 - order 1")]
            facts = self._facts(weight, smallest, variances, stages, [], best=gain_of_best(own))
            lines = [*self._threshold_rows(smallest, None), *rows, *own]
            return self._judged(lines, facts), facts

        LOG.info("how much of it can be predicted, in %d bootstrap samples", settings.bootstraps)
        second, predictability = self._predictability(weights, variances, heterogeneity, material.seed)
        LOG.info("whether it changes the best petition, and whether that pays")
        third, crossover = self._crossover(weight)
        petitions = len(np.unique(self.crossover.halves[0].nano, axis=0))
        smallest, breaks_even = threshold(settings, petitions)
        values = self._values(weight)
        decisive = next(r for r in values if np.isfinite(r["ceiling"]))
        dividend = stage_of(decisive)
        stages += [predictability, crossover, dividend]
        frontier, curve = self.frontier, self.curve(weight)
        limit = curve.loc[(curve["kind"] == "extrapolated") & curve["n"].isna(), "gain"]
        facts = self._facts(
            weight,
            smallest,
            variances,
            stages,
            second,
            best=gain_of_best(values),
            intensity=self.crossover.intensity(weight),
            tasks_needed=self._tasks_needed(weight, variances, smallest),
            limit=float(limit.iloc[0]) if len(limit) else np.nan,
            petitions_90=petitions_for(frontier, dividend),
            learned=self._learned(second),
        )
        rows += [*second, *self._betting(weight), third, *self._crossing(weight, variances, smallest, facts)]
        rows += [*values, *self.dividend.matching(weight, settings.confidence, material.seed)]
        rows += self._costs(dividend, petitions)
        return self._judged([*self._threshold_rows(smallest, breaks_even), *rows], facts), facts

    def _learned(self, predictable: Sequence[Row]) -> float:
        """Share of what covariates tell, as far as is known without a learner, that was learned."""
        free, seen = (r["estimate"] for r in predictable if r["quantity"] == "predictable variance")
        return max(seen, 0) / free if free > 0 else np.nan

    def _named(self, diagnostic: str, quantity: str, estimate: float, estimator: str) -> Row:
        """Return a number without an error of its own."""
        return row(
            diagnostic,
            quantity,
            estimate,
            estimator=estimator,
            n=self.fitted.data.n_respondents,
            confidence=self.material.settings.confidence,
        )

    def _threshold_rows(self, smallest: float, breaks_even: float | None) -> list[Row]:
        found = {"smallest gain that matters": smallest, "sesoi": self.material.settings.sesoi}
        if breaks_even is not None:
            found["break-even gain"] = breaks_even
        return [self._named("threshold", name, value, "config") for name, value in found.items()]

    def _variance_rows(self, weights: np.ndarray, found: Variances) -> list[Row]:
        material, n = self.material, int((weights[0] > 0).sum())
        heterogeneity, design = material.heterogeneity, material.fitted.data.design
        answers = heterogeneity.answers
        rows: list[Row] = []

        def add(quantity: str, samples: np.ndarray, p_value: float = np.nan) -> None:
            rows.append(
                sample_row(
                    "heterogeneity",
                    quantity,
                    samples,
                    estimator="cross_task",
                    n=n,
                    confidence=material.settings.confidence,
                    p_value=p_value,
                )
            )

        person = found.person_by_message
        if answers.has_baseline:
            add("baseline variance", found.baseline)
        add("common message variance", found.common)
        # A choice compares two petitions, each of which adds its variance: all variances are by petition.
        add("noise variance", (found.total - found.baseline) / answers.n_sides - found.common - person)
        add("interaction share", person / np.maximum(found.common + person, 1e-12))
        for b, block in enumerate(design.blocks):
            name = " x ".join(design.names[a] for a in block.attributes)
            add(f"person x message variance: {name}", found.by_block[:, b])
        common = material.interactions
        if common is not None:
            add("person x message variance, pairs of attributes", found.pairs)
            add("common interactions of attributes", np.array([common.variance]), common.p_value)
        lags = heterogeneity.by_lag(weights)
        for k, name in enumerate(LAGS):
            if np.isfinite(lags[0, k]):
                add(f"person x message variance, {name}", lags[:, k])
        if np.isfinite(lags[0, [0, -1]]).all():
            difference = lags[:, 0] - lags[:, -1]
            # One-sided: moods and carry-over fade with distance.
            statistic = difference[0] / difference[1:].std(ddof=1)
            add("lag difference", difference, float(special.ndtr(-statistic)))
        error = heterogeneity.response_error(weights)
        if error is not None:
            add("response error", error)
            add(
                "person x message variance, corrected for response error",
                person / np.maximum(1 - 2 * error, 1e-6) ** 2,
            )
        return rows

    def _betting(self, weight: np.ndarray) -> list[Row]:
        """Compare nano and the common part where they bet on different petitions of a pair."""
        counts, pairs = self.material.predictability.discordance()
        apart, won = counts.T
        mass = weight @ apart
        rows = []
        n, confidence = int((weight > 0).sum()), self.material.settings.confidence
        if mass > 0:
            rate = (weight @ won) / mass
            error = float(np.sqrt((weight**2) @ (won - rate * apart) ** 2) / mass)
            line = row(
                "predictability",
                "discordance win rate",
                rate,
                error,
                estimator="pairs",
                n=n,
                confidence=confidence,
            )
            line["p_value"] = float(2 * special.ndtr(-abs(rate - 0.5) / error)) if error > 0 else np.nan
            rows.append(line)
        total = weight @ pairs
        if total > 0:
            uplift = (weight @ (2 * won - apart)) / total
            error = float(np.sqrt((weight**2) @ (2 * won - apart - uplift * pairs) ** 2) / total)
            rows.append(
                row(
                    "predictability",
                    "accuracy uplift",
                    uplift,
                    error,
                    estimator="pairs",
                    n=n,
                    confidence=confidence,
                )
            )
        return rows

    def _crossing(self, weight: np.ndarray, variances: Variances, smallest: float, facts: Facts) -> list[Row]:
        crossover, permuted = self.crossover, self.material.permuted
        share = weight / weight.sum()
        dominated = (crossover.individual_gains <= smallest).mean(axis=0) @ share
        found = [("share dominated", float(dominated), "cross_half")]
        observed = float(np.mean([self._effective(half.nano, weight) for half in crossover.halves]))
        found.append(("effective number of petitions", observed, "halves"))
        replicated = self._effective(crossover.replicated, weight)
        found.append(("effective number of petitions", replicated, "replicated"))
        if permuted is not None and len(permuted) > 1:
            zero = permuted["draw"] == 0
            for quantity, column in (
                ("effective number of petitions", "effective"),
                ("distinct petitions", "distinct"),
            ):
                found.append((quantity, float(permuted.loc[zero, column].iloc[0]), "observed"))
                found.append((quantity, float(permuted.loc[~zero, column].mean()), "permuted"))
        if self.material.heterogeneity.answers.has_baseline:
            base, person = max(variances.baseline[0], 0), max(variances.person_by_message[0], 0)
            if base + person > 0:
                found.append(("cross-message correlation", base / (base + person), "cross_task"))
        if np.isfinite(facts.intensity):
            found.append(("share of intensity", facts.intensity, "cross_half"))
        for line in crossover.agreement(weight).itertuples():
            found.append((f"divergence: {line.attribute}", line.divergence, "halves"))
            found.append((f"replicated divergence: {line.attribute}", line.replicated, "replicated"))
            if np.isfinite(line.kappa):
                found.append((f"kappa: {line.attribute}", line.kappa, "replicated"))
        rows = [self._named("crossover", *each) for each in found]
        if permuted is not None and len(permuted) > 1:
            values = permuted.sort_values("draw")["improvement"].to_numpy()
            line = self._named("predictability", "improvement of ridge", values[0], "permutation")
            rows.append(line | {"p_value": p_value(values)})
        return rows

    def _effective(self, petitions: np.ndarray, weight: np.ndarray) -> float:
        """Effective number of (n_respondents, n_attributes) petitions."""
        ids = self.fitted.data.design.petition_ids(petitions)
        _, kind = np.unique(ids, return_inverse=True)
        return effective_number(np.bincount(kind, weights=weight))

    def _values(self, weight: np.ndarray) -> list[Row]:
        """Return values of policies; what decides is the median of several divisions if there are any."""
        rows, median = self.dividend.rows(weight, self.material.settings.confidence), self._splits(weight)
        if not any(np.isfinite(r["ceiling"]) for r in median):
            return [*rows, *median]
        single = {"quantity": f"{NANO_BEST}, first division"} | dict.fromkeys(
            ("ceiling", "ceiling_low", "ceiling_high"), np.nan
        )
        return [*median, *(r | single if np.isfinite(r["ceiling"]) else r for r in rows)]

    def _splits(self, weight: np.ndarray) -> list[Row]:
        """Return the gain as the median of several divisions into folds, if there are any."""
        slow = self.material.slow
        splits = [
            refit
            for name, refit in self.material.refits.items()
            if name.startswith("split_") and (slow or name != "split_1")
        ]
        if not splits or self.goal != self.material.settings.goal or self.dividend.estimator != FIRST_ORDER:
            return []
        scores = (
            [refit.gains for refit in splits] if slow else [self.dividend.gains(), *(r.gains for r in splits)]
        )
        apart = [refit.divergent for refit in splits]
        estimates, errors = zip(*(mean_and_error(s, weight) for s in scores), strict=True)
        factor = self.dividend.shared_noise(weight)
        middle, error = median_of_splits(estimates, [e * factor for e in errors])
        df = max(int(np.median([(d > 0).sum() for d in apart])) - 1, 1)
        line = row(
            "dividend",
            f"{NANO_BEST}, ridge" if slow else NANO_BEST,
            middle,
            error,
            estimator=FIRST_ORDER,
            n=len(weight),
            confidence=self.material.settings.confidence,
            df=df,
        )
        if slow:
            return [line]
        margin = quantile(df, ONE_SIDED) * error
        return [with_ceiling(line, middle, middle - margin, middle + margin)]

    def _tasks_needed(self, weight: np.ndarray, variances: Variances, smallest: float) -> float:
        """Return how many tasks a person must answer for these to promise the smallest gain; NaN if none do.

        Of block b a person's answers tell lambda_T = tau_b^2 / (tau_b^2 + noise_b / T) of her variance
        (methods.md, section 9).
        """
        answers = self.material.heterogeneity.answers
        answered = np.unique(np.column_stack([answers.respondent, answers.task]), axis=0)
        tasks = len(answered) / answers.n_respondents
        noise = self._noise_of_respondents(weight, variances)
        ahead = np.arange(1, TASKS + 1)
        known = np.array([own_answers_variance(variances, noise, t / tasks)[0] for t in ahead])
        part_worths = np.repeat(self.sign * variances.part_worths[:1], TASKS, axis=0)
        gains = gain_ceiling(self.material.fitted.data.design, part_worths, known, variances.shares)
        reached = ahead[gains >= smallest]
        return float(reached[0]) if len(reached) and smallest > 0 else np.nan

    def _costs(self, dividend: Stage, petitions: int) -> list[Row]:
        rows = []
        if dividend.ceiling > 0:
            rows.append(
                self._named(
                    "dividend", "number needed to treat", 1 / dividend.ceiling, self.dividend.estimator
                )
            )
        costs = self.material.settings.costs
        if costs is not None and dividend.low > 0:
            audience = (costs.calibration + costs.message * (petitions - 1)) / (costs.value * dividend.low)
            rows.append(
                self._named("dividend", "audience that breaks even", audience, self.dividend.estimator)
            )
        return rows

    # --- tables of the figures ---

    def calibration(self, weight: np.ndarray) -> pd.DataFrame:
        """Return binned predictions and answers with their intervals."""
        if not self.material.has_information:
            return pd.DataFrame(columns=[*CALIBRATION_COLUMNS, "conf_low", "conf_high"])
        found = self.material.predictability.calibration(weight)
        margin = quantile(np.inf, (1 + self.material.settings.confidence) / 2) * found["std_error"]
        return found.assign(conf_low=found["observed"] - margin, conf_high=found["observed"] + margin)

    def switches(self, weight: np.ndarray) -> pd.DataFrame:
        """Return the share of respondents to whom nano gives each level: by a half, and by both."""
        if not self.material.has_information:
            return pd.DataFrame(columns=list(SWITCH_COLUMNS))
        one, other = self.crossover.halves
        share = weight / weight.sum()
        rows = []
        for a, attribute in enumerate(self.fitted.data.design.attributes):
            first, second = (
                np.bincount(half.nano[:, a], weights=share, minlength=len(attribute)) for half in (one, other)
            )
            same = one.nano[:, a] == other.nano[:, a]
            both = np.bincount(one.nano[same, a], weights=share[same], minlength=len(attribute))
            for k, level in enumerate(attribute.levels):
                best = k in (one.best[a], other.best[a])
                rows.append((attribute.name, level, best, (first[k] + second[k]) / 2, both[k]))
        return pd.DataFrame(rows, columns=list(SWITCH_COLUMNS))

    @cached_property
    def frontier(self) -> pd.DataFrame:
        """Value of k petitions; empty without covariates."""
        if not self.material.has_information:
            return pd.DataFrame(columns=list(FRONTIER_COLUMNS))
        return self.dividend.frontier(self.fitted.data.weight, self.material.sizes)

    def curve(self, weight: np.ndarray) -> pd.DataFrame:
        """Return the learning curve; empty without refits to parts of the calibration."""
        refits = self.material.refits
        parts = {s / 100: refits[f"share_{s}"].gains for s in CURVE_SHARES if f"share_{s}" in refits}
        if not parts or self.goal != self.material.settings.goal:
            return pd.DataFrame(columns=list(CURVE_COLUMNS))
        whole = refits["split_1"].gains if self.material.slow else self.dividend.gains()
        folds = len(self.fitted.models)
        training = round(self.fitted.data.n_respondents * (1 - 1 / folds))
        return learning_curve({**parts, 1.0: whole}, weight, training, self.material.settings.confidence)

    def ladder(self, weight: np.ndarray) -> pd.DataFrame:
        """Return what each set of covariates adds, then all, then people's own answers."""
        material = self.material
        if not material.has_information or not material.refits:
            return pd.DataFrame(columns=list(LADDER_COLUMNS))
        simple = "ridge" if material.slow else material.learner
        rungs = [
            (rung.name, material.refits[f"rung_{r + 1}"], len(rung.covariates), simple, "covariates")
            for r, rung in enumerate(material.settings.ladder)
            if f"rung_{r + 1}" in material.refits
        ]
        everything = sum(c.target for c in self.fitted.data.covariates)
        information = "covariates + own answers" if material.own_answers else "covariates"
        if material.slow:
            rungs.append(("All covariates", material.refits["split_1"], everything, "ridge", "covariates"))
        own = Refit.of(self.dividend, material.predictability, material.improvement)
        name = "All covariates" if not material.own_answers else information
        rungs.append((name, own, everything, material.learner, information))
        rows = [self._rung(*rung, weight) for rung in rungs]
        return pd.DataFrame(rows, columns=list(LADDER_COLUMNS))

    def _rung(
        self, name: str, refit: Refit, covariates: int, learner: str, information: str, weight: np.ndarray
    ) -> tuple[Any, ...]:
        gain, error = mean_and_error(refit.gains, weight)
        bound = quantile(max((refit.divergent > 0).sum() - 1, 1), ONE_SIDED) * error
        slope, slope_error = refit.slope
        person, free, seen = refit.variance
        known = max(free, seen)
        return (
            name,
            learner,
            information,
            covariates,
            *refit.improvement,
            slope,
            slope - quantile(np.inf, ONE_SIDED) * slope_error,
            slope + quantile(np.inf, ONE_SIDED) * slope_error,
            known,
            known / person if person > 0 else np.nan,
            gain,
            error,
            gain - bound,
            gain + bound,
            len(weight),
        )

    def flags(self, table: pd.DataFrame, facts: Facts) -> list[str]:
        """Return what a reader must be warned of."""
        own = table[(table["goal"] == self.goal) & (table["group"] == "all")].set_index("quantity")

        def p_of(quantity: str) -> float:
            return float(own.loc[quantity, "p_value"]) if quantity in own.index else np.nan

        few = self.dividend.divergent if self.material.has_information else np.zeros(0)
        lag = "lag difference"
        return listed_flags(
            [
                (
                    p_of(lag) < ALPHA,
                    "lag: answers in neighbouring tasks are more alike than in distant ones, so part of the "
                    "heterogeneity is a passing mood or carried over; its ceiling is too high.",
                ),
                (
                    p_of("common interactions of attributes") < ALPHA,
                    "interactions: what a level adds depends on other attributes; main effects alone do not "
                    "find the best petition, and first-order weights rely on the learner for them"
                    + DECISIVE[self.dividend.estimator],
                ),
                (
                    p_of("order 2 - order 1") < ALPHA,
                    "orders: first- and second-order weights give different gains; see both in the table.",
                ),
                (
                    0 < (few > 0).sum() < FEW,
                    f"few: only {(few > 0).sum()} respondents would get another petition; all rests on them.",
                ),
            ]
        )


def allowed_interactions(fitted: Crossfit, found: Interactions | None) -> tuple[int, Pairs]:
    """Return the order of the weights that a value should stand on, and the pairs allowed to interact.

    First-order weights leave interactions of attributes to the learner, whose shrinkage leaves a part of
    them out. Where they are clearly there, the weights allow for the pairs that stand out. Where none
    does and the learner has no interactions, second-order weights, with all their noise, are the honest
    ones.

    Args:
        fitted: the cross-fitted learner.
        found: `Heterogeneity.interactions`; None where there is nothing to interact.
    """
    if found is None or found.p_value >= CLEARLY:
        return 1, ()
    additive = all(len(subset) < 2 for tables in fitted.common for subset in tables.layout.subsets)
    return (2 if additive and not found.pairs else 1), found.pairs


def stage_of(line: Row) -> Stage:
    """Return the stage whose ceiling stands in its headline row."""
    return Stage(line["diagnostic"], line["ceiling"], line["ceiling_low"], line["ceiling_high"])


def own_answers_variance(variances: Variances, noise: np.ndarray, times: float) -> np.ndarray:
    """Return the (n_samples,) variance that own answers tell, were there `times` as many tasks.

    Args:
        noise: (n_blocks,) variance of noise in a person's own estimates with the present number of tasks.
    """
    positive = np.maximum(variances.by_block, 0)
    return (positive**2 / (positive + noise / times)).sum(axis=1)


def gain_of_best(rows: Sequence[Row]) -> float:
    """Return what overall-best gains over a random petition, by first-order weights."""
    wanted = ("overall_best - random", FIRST_ORDER)
    return float(next(r["estimate"] for r in rows if (r["quantity"], r["estimator"]) == wanted))


def petitions_for(frontier: pd.DataFrame, dividend: Stage) -> float:
    """Return how few petitions reach 90 % of nano's gain; NaN where it is not shown to be positive."""
    enough = frontier.loc[frontier["gain"] >= 0.9 * dividend.ceiling, "k"]
    return float(enough.iloc[0]) if dividend.low > 0 and len(enough) else np.nan
